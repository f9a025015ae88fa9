//! The end of the answer: which algorithm to choose for which data key, what fails, and what to type next. What
//! scrolled off a small window need not be scrolled back to.

use std::path::PathBuf;

use serde::Serialize;

use super::examination::{Examination, Path};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::text::fold;
use crate::ground::words;
use crate::plan::WrapIn;

/// Rather in the HSM than in this computer.
const PLACES: [WrapIn; 2] = [WrapIn::Hsm, WrapIn::Host];

/// What to write into a plan for some specs.
#[derive(Serialize)]
pub(super) struct Choice {
    wrapping: WrappingAlgorithm,
    wrap_in: WrapIn,
    /// The sizes of wrapping key with which it works, if not with all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wrapping_key_specs: Vec<&'static str>,
    specs: Vec<&'static str>,
}

/// What a person types after it.
pub(super) enum Next {
    /// There is a plan.
    Check(PathBuf),
    /// There is none yet: the module and token, as they were given.
    Plan(PathBuf, PathBuf),
}

impl Examination {
    /// The best way for each kind of data key, those with the same way together.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        for choice in self.made.iter().filter_map(|made| self.choice(made.spec)) {
            let same = |other: &&mut Choice| {
                (other.wrapping, other.wrap_in) == (choice.wrapping, choice.wrap_in)
                    && other.wrapping_key_specs == choice.wrapping_key_specs
            };
            match choices.iter_mut().find(same) {
                Some(other) => other.specs.extend(choice.specs),
                None => choices.push(choice),
            }
        }
        choices
    }

    /// `None`: nothing works.
    fn choice(&self, spec: &'static str) -> Option<Choice> {
        let ways = || {
            let ways =
                PLACES.map(|place| WrappingAlgorithm::BEST_FIRST.map(|wrapping| (place, wrapping)));
            ways.into_iter().flatten()
        };
        let tried = |(place, wrapping)| {
            let mut tried = self.paths_of(spec, place, Some(wrapping));
            tried.retain(|path| self.can_be_chosen(path));
            tried
        };
        let works = |path: &&Path| path.works;
        let with_all = |way: &_| {
            let tried = tried(*way);
            !tried.is_empty() && tried.iter().all(works)
        };
        let with_some = |way: &_| tried(*way).iter().any(works);
        let of = |(wrap_in, wrapping), wrapping_key_specs| Choice {
            wrapping,
            wrap_in,
            wrapping_key_specs,
            specs: vec![spec],
        };
        if let Some(way) = ways().find(with_all) {
            return Some(of(way, Vec::new()));
        }
        let way = ways().find(with_some)?;
        let sizes = tried(way).into_iter().filter(works);
        Some(of(way, sizes.map(|path| path.wrapping_key_spec).collect()))
    }

    /// What does not work, a few words each; `refused` is what concerns every data key.
    fn fails(&self, refused: &[&str]) -> Vec<String> {
        let mut fails: Vec<String> = refused.iter().map(|what| (*what).to_owned()).collect();
        let made = self.made.iter().filter(|made| made.why.is_some());
        fails.extend(made.map(|made| format!("data keys of {}", made.spec)));
        let failed = self.paths.iter().filter(|path| !path.works).count();
        if failed > 0 {
            fails.push(format!("{failed} of {} wrappings", self.paths.len()));
        }
        let mut escrow = self.escrow.iter();
        if escrow.any(|escrow| escrow.works) {
            let failed = self.escrow.iter().filter(|escrow| !escrow.works);
            let failed: Vec<&str> = failed.map(|escrow| escrow.spec).collect();
            if !failed.is_empty() {
                fails.push(format!("[escrow] for {}", failed.join(", ")));
            }
        }
        fails
    }

    /// Without a plan: whom that serves, a line for each algorithm.
    pub(super) fn served(&self) -> String {
        let lines = self.serves().into_iter().map(|served| {
            let (wrapping, kms) = (served.wrapping, served.kms.join(", "));
            field(
                "serves",
                &format!("{wrapping}, {}: {kms}", place(served.wrap_in)),
            )
        });
        let lines: String = lines.collect();
        match lines.is_empty() {
            true => lines,
            false => format!("\n{lines}"),
        }
    }

    /// The whole of it.
    pub(super) fn answer(&self, refused: &[&str], warning: Option<&str>, next: &Next) -> String {
        let mut text = "\n".to_owned();
        for choice in self.choices() {
            text += &field("choose", &choice.told());
        }
        let not_tried = self.made.iter().filter(|made| !made.tried);
        let not_tried: Vec<&str> = not_tried.map(|made| made.spec).collect();
        if !not_tried.is_empty() {
            let told = format!("{}: byok doctor --all tries them", not_tried.join(", "));
            text += &field("not tried", &told);
        }
        text += &match &self.fails(refused)[..] {
            [] => field("fails", "nothing of what was tried"),
            fails => field("fails", &format!("{} (why: above)", fails.join(", "))),
        };
        if let Some(warning) = warning {
            text += &field("WARNING", warning);
        }
        text + &next.told()
    }
}

impl Choice {
    /// As it stands in a plan.
    fn told(&self) -> String {
        let sizes = match &self.wrapping_key_specs[..] {
            [] => String::new(),
            sizes => format!(", only under {}", sizes.join(" or ")),
        };
        format!(
            "wrapping = \"{}\", {}{sizes}, for {}",
            self.wrapping,
            place(self.wrap_in),
            self.specs.join(", ")
        )
    }
}

impl Next {
    /// A command is never folded: it is copied.
    fn told(&self) -> String {
        match self {
            Self::Check(plan) => {
                let plan = words::shell_path(plan);
                format!(
                    "next      correct `wrapping` and `wrap_in` in the plan, then\n          byok check --hsm {plan}\n"
                )
            }
            Self::Plan(module, token) => {
                let (module, token) = (words::shell_path(module), words::shell_path(token));
                format!(
                    "next      byok plan FILES --out plan.toml \\\n            --module {module} \\\n            --token {token}\n          then correct `wrapping` and `wrap_in` in plan.toml\n"
                )
            }
        }
    }
}

fn place(wrap_in: WrapIn) -> &'static str {
    match wrap_in {
        WrapIn::Hsm => "wrap_in = \"hsm\"",
        WrapIn::Host => "wrap_in = \"host\"",
    }
}

fn field(name: &str, value: &str) -> String {
    let folded = fold(value, "          ");
    format!("{name:<10}{}", folded.trim_start())
}
