//! The ledger: the record that a ceremony writes, and what is counted while it is written.

use std::path::Path;

use jiff::Timestamp;

use super::words;
use super::wrong::Asked;
use crate::evidence::record::{self, Record};
use crate::evidence::transcript::{self, Attempt, Event};
use crate::ground::error::{Result, Step};

/// The record of the ceremony that is under way.
pub(super) struct Ledger {
    pub record: Record,
    /// The step that is under way.
    pub step: Step,
    pub exceptions: u32,
    /// The earlier attempts that were not sealed.
    pub attempts: Vec<Attempt>,
    /// When the first import token of the record expires.
    pub deadline: Option<Timestamp>,
}

impl Ledger {
    /// For a record that has just been opened.
    pub(super) fn of(record: Record, directory: &Path) -> Self {
        Self {
            record,
            step: Step::OpenRecord,
            exceptions: 0,
            attempts: record::attempts_before(directory),
            deadline: None,
        }
    }

    /// Writes a line of the transcript.
    pub(super) fn append(&mut self, event: impl Into<Event>) -> Result<()> {
        self.record.transcript.append(&event.into())
    }

    /// Writes one output into the record.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.record.write(path, bytes).map(|_| ())
    }

    /// Makes sure that every line so far is on disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.record.transcript.sync()
    }

    /// Records a deviation. `typed`: by a person, as a note.
    pub(super) fn exception(&mut self, what: &str, typed: bool) -> Result<()> {
        self.exceptions += 1;
        self.append(transcript::Exception {
            step: self.step.number(),
            what: words::printable(what),
            typed,
        })
    }

    /// Records a wrong answer.
    pub(super) fn wrong_answers(&mut self) -> impl FnMut(Asked) -> Result<()> {
        |asked| self.append(asked.event(self.step))
    }
}
