//! An answer in lines: `ok`, a warning, `not yet`, or `wrong`.

use serde::Serialize;

use crate::ground::error::{Error, Exit, Result};
use crate::ground::words;

/// One line of an answer.
#[derive(Serialize)]
pub(crate) struct Line {
    /// Its state.
    pub state: State,
    /// The text.
    pub what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The exit code with which a run would end here.
    #[serde(skip)]
    pub refusal: Option<Error>,
}

/// The state of a line.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum State {
    Ok,
    Warning,
    NotYet,
    Wrong,
}

/// All lines, in the order of the checks.
#[derive(Default)]
pub(crate) struct Lines(pub Vec<Line>);

impl Lines {
    /// Adds a line that refuses nothing.
    pub(crate) fn add(&mut self, state: State, what: impl Into<String>) {
        self.0.push(Line {
            state,
            what: words::without_os_number(&what.into()),
            hints: Vec::new(),
            refusal: None,
        });
    }

    /// Adds what to do about the line that was added last.
    pub(crate) fn hint(&mut self, hint: &str) {
        if let Some(line) = self.0.last_mut() {
            line.hints.push(hint.to_owned());
        }
    }

    pub(crate) fn warn(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            self.add(State::Warning, note);
        }
    }

    /// Adds `ok` with what was found, or the refusal.
    pub(crate) fn judge<T>(
        &mut self,
        result: Result<T>,
        ok: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let value = self.unless_refused(result)?;
        self.add(State::Ok, ok(&value));
        Some(value)
    }

    /// Adds only the refusal, if there is one.
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

    /// A refusal of one import of several: the line names it, and a run names it with its step.
    pub(crate) fn refuse_of(&mut self, name: &str, state: State, error: Error) {
        let what = format!("{name}: {}", error.line());
        self.refuse(state, error);
        if let Some(line) = self.0.last_mut() {
            line.what = what;
        }
    }

    /// The exit code with which a run would end.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.0
            .iter()
            .find_map(|line| Some(line.refusal.as_ref()?.exit))
    }

    /// The first line that is wrong or not yet there, as an error.
    pub(crate) fn into_result(self) -> Result<()> {
        let mut refused = self.0.into_iter().filter_map(|line| line.refusal);
        refused.next().map_or(Ok(()), Err)
    }
}
