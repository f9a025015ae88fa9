//! How a KMS names its keys: texts between which parts stand, each with its rule.

/// The longest name of a key, in bytes: Google's can be as long. It is shown whole.
const LONGEST: usize = 325;

/// A part: what it is called, whether a text is one, and what such a text is.
type Part = (&'static str, fn(&str) -> bool, &'static str);

/// The one spelling of the names of keys.
pub(crate) struct Shape {
    /// Such as `https://{vault}.{domain}/keys/{name}`.
    pub text: &'static str,
    /// Each part in it, in order.
    pub parts: &'static [Part],
}

/// A key's name, and its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    whole: String,
    parts: Vec<(&'static str, String)>,
}

impl Shape {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it, by the part.
    pub(super) fn read(&self, whole: &str) -> Result<Name, String> {
        if whole.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} characters"));
        }
        let between: Vec<&str> = self.text.split(['{', '}']).step_by(2).collect();
        let rest = whole.strip_prefix(between[0]);
        let rest = rest.ok_or_else(|| format!("does not begin with {}", between[0]))?;
        Ok(self.of(&values(self.parts, &between[1..], rest)?))
    }

    /// The name with these parts, whatever they are.
    pub(crate) fn of(&self, values: &[&str]) -> Name {
        let parts = self.parts.iter().zip(values);
        let parts = parts.map(|((part, ..), value)| (*part, (*value).to_owned()));
        let mut name = Name {
            whole: String::new(),
            parts: parts.collect(),
        };
        name.whole = name.fill(self.text);
        name
    }

    /// The name that differs from this one in its last part.
    pub(crate) fn beside(&self, name: &Name, last: &str) -> Name {
        let mut values: Vec<&str> = name.parts.iter().map(|(_, value)| &**value).collect();
        values.pop();
        values.push(last);
        self.of(&values)
    }
}

/// The values of these parts, each with what stands behind it. What stands there may be in a value too, so the first
/// place at which all of them are what they should be is the right one.
fn values<'n>(parts: &[Part], between: &[&str], text: &'n str) -> Result<Vec<&'n str>, String> {
    let ([(part, fits, rule), parts @ ..], [end, between @ ..]) = (parts, between) else {
        return Ok(Vec::new());
    };
    let (mut not_so, mut later_not_so) = (None, None);
    for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
        let is_end = match parts {
            [] => at == text.len(),
            _ => text[at..].starts_with(end),
        };
        if is_end && !fits(&text[..at]) {
            not_so.get_or_insert_with(|| format!("has a {part} that is not {rule}"));
        } else if is_end {
            match values(parts, between, &text[at + end.len()..]) {
                Ok(later) => return Ok([&[&text[..at]], &later[..]].concat()),
                Err(why) => later_not_so = later_not_so.or(Some(why)),
            }
        }
    }
    Err(later_not_so
        .or(not_so)
        .unwrap_or_else(|| format!("has no {end} after its {part}")))
}

impl Name {
    /// The whole name.
    pub(crate) fn as_str(&self) -> &str {
        &self.whole
    }

    /// A part of it; nothing if the KMS has no such part.
    pub(crate) fn part(&self, part: &str) -> &str {
        let found = self.parts.iter().find(|(name, _)| *name == part);
        found.map_or("", |(_, value)| value)
    }

    /// Puts each part in its place in a text, such as `{vault}`.
    pub(super) fn fill(&self, text: &str) -> String {
        let into = |text: String, (part, value): &(&str, String)| {
            text.replace(&format!("{{{part}}}"), value)
        };
        self.parts.iter().fold(text.to_owned(), into)
    }
}

/// Letters, digits and what else is given, at most so many.
pub(super) fn is_word(text: &str, most: usize, more: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    (1..=most).contains(&text.len()) && text.chars().all(fits)
}

/// The same in small letters.
pub(super) fn is_small(text: &str, most: usize, more: &str) -> bool {
    is_word(text, most, more) && !text.contains(|c: char| c.is_ascii_uppercase())
}

/// What [`is_label`] asks for.
pub(super) const LABEL: &str = "small letters, digits, and hyphens between them";

/// At most so many small letters, digits, and hyphens between them.
pub(super) fn is_label(text: &str, most: usize) -> bool {
    is_small(text, most, "-") && !text.starts_with('-') && !text.ends_with('-')
}
