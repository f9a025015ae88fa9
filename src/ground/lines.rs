//! An answer line by line: `ok`, a warning, not yet, or wrong.

use serde::Serialize;

use crate::ground::error::{Error, Exit, Result};
use crate::ground::words;

/// One line of the answer.
#[derive(Serialize)]
pub(crate) struct Line {
    /// How it stands.
    pub state: State,
    /// In words.
    pub what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// What a run ends with here.
    #[serde(skip)]
    pub refusal: Option<Error>,
}

/// How something stands.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum State {
    Ok,
    Warning,
    NotYet,
    Wrong,
}

/// All that were answered, in the order of the checks.
#[derive(Default)]
pub(crate) struct Lines(pub Vec<Line>);

impl Lines {
    /// A line that refuses nothing.
    pub(crate) fn add(&mut self, state: State, what: impl Into<String>) {
        self.0.push(Line {
            state,
            what: words::without_os_number(&what.into()),
            hints: Vec::new(),
            refusal: None,
        });
    }

    pub(crate) fn warn(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            self.add(State::Warning, note);
        }
    }

    /// `ok` with what was found, or the refusal.
    pub(crate) fn judge<T>(
        &mut self,
        result: Result<T>,
        ok: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let value = self.unless_refused(result)?;
        self.add(State::Ok, ok(&value));
        Some(value)
    }

    /// Only the refusal, if it is one.
    pub(crate) fn unless_refused<T>(&mut self, result: Result<T>) -> Option<T> {
        result
            .map_err(|error| self.refuse(State::Wrong, error))
            .ok()
    }

    pub(crate) fn refuse(&mut self, state: State, error: Error) {
        self.0.push(Line {
            state,
            what: error.line(),
            hints: error.hints.clone(),
            refusal: Some(error),
        });
    }

    /// The same, of one import among several: the run names it by its step.
    pub(crate) fn refuse_of(&mut self, name: &str, state: State, error: Error) {
        let what = format!("{name}: {}", error.line());
        self.refuse(state, error);
        if let Some(line) = self.0.last_mut() {
            line.what = what;
        }
    }

    /// What a run would end with.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.0
            .iter()
            .find_map(|line| Some(line.refusal.as_ref()?.exit))
    }

    /// The first that is wrong, or not there yet.
    pub(crate) fn into_result(self) -> Result<()> {
        let mut refused = self.0.into_iter().filter_map(|line| line.refusal);
        refused.next().map_or(Ok(()), Err)
    }
}
