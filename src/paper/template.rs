//! Pages whose words are in HTML files that read like the page; the facts are in structs beside them.
//!
//! `{{name}}` is a field; `{{#if name}} … {{else}} … {{/if}}` asks whether it says anything; `{{#each name}} … {{/each}}`
//! is repeated for each of a list, whose own fields hide those around it. Only `Html` goes in, so everything from
//! outside is escaped.
//!
//! Filling cannot fail: in a ceremony it would be too late. `tests::fits` walks every branch of each template, whatever
//! a plan makes of it: it must be well formed and name only fields that exist.

use crate::paper::html::Html;

/// What a name in a template stands for.
pub(crate) enum Value<'a> {
    Html(&'a Html),
    Flag(bool),
    List(Vec<&'a dyn Facts>),
}

/// What a template is filled from.
pub(crate) trait Facts {
    /// The field of this name.
    fn get(&self, name: &str) -> Option<Value<'_>>;
}

/// What can be a field.
pub(crate) trait Field {
    fn value(&self) -> Value<'_>;
    /// A value that is not empty, for the test of the templates.
    #[cfg(test)]
    fn example() -> Self;
}

impl Field for Html {
    fn value(&self) -> Value<'_> {
        Value::Html(self)
    }
    #[cfg(test)]
    fn example() -> Self {
        Self::fixed("x")
    }
}

impl Field for bool {
    fn value(&self) -> Value<'_> {
        Value::Flag(*self)
    }
    #[cfg(test)]
    fn example() -> Self {
        true
    }
}

impl<T: Facts + Field> Field for Vec<T> {
    fn value(&self) -> Value<'_> {
        Value::List(self.iter().map(|item| item as &dyn Facts).collect())
    }
    #[cfg(test)]
    fn example() -> Self {
        vec![T::example()]
    }
}

/// A struct of facts whose fields a template names.
macro_rules! facts {
    ($($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$about])*
        pub(crate) struct $name { $($(#[$of])* pub(crate) $field: $type,)* }

        #[cfg(test)]
        impl $name {
            pub(crate) const NAMES: &[&str] = &[$(stringify!($field)),*];
        }

        impl $crate::paper::template::Facts for $name {
            fn get(&self, name: &str) -> Option<$crate::paper::template::Value<'_>> {
                use $crate::paper::template::Field as _;
                match name {
                    $(stringify!($field) => Some(self.$field.value()),)*
                    _ => None,
                }
            }
        }

        impl $crate::paper::template::Field for $name {
            fn value(&self) -> $crate::paper::template::Value<'_> {
                $crate::paper::template::Value::List(vec![self])
            }
            #[cfg(test)]
            fn example() -> Self {
                Self { $($field: $crate::paper::template::Field::example(),)* }
            }
        }
    )* };
}
pub(crate) use facts;

/// A piece of a template.
enum Node<'t> {
    Text(&'t str),
    Name(&'t str),
    If(&'t str, Vec<Node<'t>>, Vec<Node<'t>>),
    Each(&'t str, Vec<Node<'t>>),
}

/// The nodes up to a tag that ends them, and that tag: nothing at the end of the text.
fn nodes<'t>(rest: &mut &'t str) -> (Vec<Node<'t>>, &'t str) {
    let mut nodes = Vec::new();
    while let Some((text, (tag, after))) = rest
        .split_once("{{")
        .and_then(|(text, tail)| Some((text, tail.split_once("}}")?)))
    {
        nodes.push(Node::Text(text));
        *rest = after;
        nodes.push(match tag.split_once(' ') {
            Some(("#if", name)) => {
                let (yes, end) = self::nodes(rest);
                let no = match end {
                    "else" => self::nodes(rest).0,
                    _ => Vec::new(),
                };
                Node::If(name, yes, no)
            }
            Some(("#each", name)) => Node::Each(name, self::nodes(rest).0),
            _ if tag == "else" || tag.starts_with('/') => return (nodes, tag),
            _ => Node::Name(tag),
        });
    }
    nodes.push(Node::Text(rest));
    (nodes, "")
}

/// The innermost field of this name.
fn find<'a>(scopes: &[&'a dyn Facts], name: &str) -> Option<Value<'a>> {
    scopes.iter().rev().find_map(|facts| facts.get(name))
}

/// A template of this program, filled. Of several structs the later ones come first.
pub(crate) fn fill(template: &'static str, scopes: &[&dyn Facts]) -> Html {
    let mut page = Html::default();
    fill_nodes(&nodes(&mut &*template).0, scopes, &mut page);
    page
}

fn fill_nodes(nodes: &[Node<'static>], scopes: &[&dyn Facts], page: &mut Html) {
    for node in nodes {
        match node {
            Node::Text(text) => page.push_fixed(text),
            Node::Name(name) => {
                if let Some(Value::Html(html)) = find(scopes, name) {
                    page.push(html);
                }
            }
            Node::If(name, yes, no) => {
                fill_nodes(if says(scopes, name) { yes } else { no }, scopes, page);
            }
            Node::Each(name, each) => {
                let Some(Value::List(list)) = find(scopes, name) else {
                    continue;
                };
                for item in list {
                    fill_nodes(each, &[scopes, &[item]].concat(), page);
                }
            }
        }
    }
}

/// Whether the field says anything.
fn says(scopes: &[&dyn Facts], name: &str) -> bool {
    match find(scopes, name) {
        Some(Value::Html(html)) => *html != Html::default(),
        Some(Value::Flag(flag)) => flag,
        Some(Value::List(list)) => !list.is_empty(),
        None => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    facts! {
        Outer { name: Html, is: bool, list: Vec<Inner>, }
        Inner { name: Html, own: Html, }
    }

    fn outer(is: bool) -> Outer {
        let inner = |name: &str| Inner {
            name: name.into(),
            own: Html::default(),
        };
        Outer {
            name: "<a>".into(),
            is,
            list: vec![inner("1"), inner("2")],
        }
    }

    #[test]
    fn a_template_is_filled_from_the_innermost_facts_and_escaped() {
        let filled = |template, is| fill(template, &[&outer(is)]);
        assert_eq!(filled("{{name}}!", true), Html::text("<a>!"));
        assert_eq!(
            filled("{{#each list}}{{name}}, {{/each}}{{name}}", true),
            Html::text("1, 2, <a>")
        );
        let asks = "{{#if is}}yes{{else}}no{{/if}}{{#each list}}{{#if own}}own{{/if}}{{#if is}}+{{/if}}{{/each}}.";
        assert_eq!(filled(asks, true), Html::text("yes++."));
        assert_eq!(filled(asks, false), Html::text("no."));
    }

    #[test]
    fn a_template_that_does_not_fit_its_facts_is_found_out_wherever_it_is_wrong() {
        let wrong = |template| misfits(template, &[&Outer::example()], &mut BTreeSet::new());
        let right = "{{#if is}}{{name}}{{else}}{{#each list}}{{own}}{{/each}}{{/if}}";
        assert_eq!(wrong(right), None);
        let used = fits(right, &[&Outer::example()]);
        let mut names = Outer::NAMES.iter().chain(Inner::NAMES);
        assert!(names.all(|name| used.contains(*name)));
        for template in [
            "{{nam}}",
            "{{own}}",
            "{{list}}",
            "{{is}}",
            "{{#each name}}{{/each}}",
            "{{#if is}}{{else}}{{nam}}{{/if}}",
            "{{#each list}}{{nam}}{{/each}}",
            "{{#if is}}",
            "{{/if}}",
            "{{#if is}}{{/each}}",
            "{{#each list}}{{else}}{{/each}}",
            "{{name",
            "{{#if is}}{{else}}{{else}}{{/if}}",
            "{{#unless is}}{{/if}}",
            "name}}",
        ] {
            assert!(wrong(template).is_some(), "{template}");
        }
    }

    /// Asserts that a template fits what it is filled from: every tag is closed, every name is a field of the right
    /// shape, in every branch. Gives the names that it says.
    pub(crate) fn fits(template: &str, scopes: &[&dyn Facts]) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        if let Some(wrong) = misfits(template, scopes, &mut used) {
            panic!("{wrong}, in:\n{template}");
        }
        used
    }

    /// Asserts that no field is declared in vain, and that no template in this folder was left out.
    pub(crate) fn nothing_is_left_out(
        folder: &str,
        templates: &[&str],
        used: &BTreeSet<String>,
        declared: &[&[&str]],
    ) {
        let unused: Vec<_> = declared
            .concat()
            .into_iter()
            .filter(|name| !used.contains(*name))
            .collect();
        assert!(unused.is_empty(), "no page says {unused:?}");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "html")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(
                    templates.contains(&text.as_str()),
                    "{} is not tested",
                    path.display()
                );
            }
        }
    }

    fn misfits(
        template: &str,
        scopes: &[&dyn Facts],
        used: &mut BTreeSet<String>,
    ) -> Option<String> {
        let mut open = Vec::new();
        let pieces: Vec<&str> = template.split("{{").collect();
        if pieces[0].contains("}}") {
            return Some("}} without {{".into());
        }
        for piece in &pieces[1..] {
            let Some((tag, text)) = piece.split_once("}}") else {
                return Some(format!("{{{{{piece} is not closed"));
            };
            let fine = match tag.split_once(' ').unwrap_or((tag, "")) {
                ("#if", _) => {
                    open.push("/if");
                    true
                }
                ("#each", _) => {
                    open.push("/each");
                    true
                }
                ("else", "") => open
                    .last_mut()
                    .is_some_and(|end| std::mem::replace(end, "/if ") == "/if"),
                (end, "") if end.starts_with('/') => {
                    open.pop().is_some_and(|open| open.trim() == end)
                }
                (_, "") => true,
                _ => false,
            };
            if !fine || text.contains("}}") {
                return Some(format!("{{{{{tag}}}}} is out of place"));
            }
        }
        if let Some(open) = open.pop() {
            return Some(format!("{open} is missing"));
        }
        let (nodes, _) = nodes(&mut &*template);
        nodes.iter().find_map(|node| misfit(node, scopes, used))
    }

    fn misfit(node: &Node, scopes: &[&dyn Facts], used: &mut BTreeSet<String>) -> Option<String> {
        let name = match node {
            Node::Text(_) => return None,
            Node::Name(name) | Node::If(name, ..) | Node::Each(name, _) => *name,
        };
        used.insert(name.to_owned());
        let mut below = |nodes: &[Node], scopes: &[&dyn Facts]| {
            nodes.iter().find_map(|node| misfit(node, scopes, used))
        };
        match (node, find(scopes, name)) {
            (Node::Name(_), Some(Value::Html(_))) => None,
            (Node::If(_, yes, no), Some(_)) => below(yes, scopes).or_else(|| below(no, scopes)),
            (Node::Each(_, each), Some(Value::List(list))) => {
                below(each, &[scopes, &[list[0]]].concat())
            }
            _ => Some(format!("{{{{{name}}}}} is no such field")),
        }
    }
}
