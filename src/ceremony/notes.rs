//! Questions of a ceremony, and what else goes into the transcript: deviations that byok notices, and what people
//! want the auditor to know.

use super::{Ceremony, Error, Result, screens};
use crate::crypto::locked::Locked;

impl Ceremony<'_> {
    /// Asks a question. What people noted meanwhile is in the transcript before anything follows from
    /// the answer. `None`: nobody is asked.
    pub(super) fn ask(&mut self, question: &str) -> Result<Option<String>> {
        let answer = self.desk.ask(question);
        self.take_notes()?;
        answer
    }

    /// The same for one word of a share.
    pub(super) fn ask_for_word(&mut self, question: &str) -> Result<Option<Locked>> {
        let answer = self.desk.ask_word(question);
        self.take_notes()?;
        answer
    }

    /// Records, with the present step, what people noted since this was last done.
    pub(super) fn take_notes(&mut self) -> Result<()> {
        let notes = self.desk.take_notes();
        notes
            .iter()
            .try_for_each(|note| self.ledger.exception(note, true))
    }

    /// Records a deviation. If a person is there, they must type `yes` to go on; `no` ends the ceremony, and after
    /// anything else the question comes again.
    pub(super) fn exception(&mut self, what: &str) -> Result<()> {
        let what_shown = screens::fold(what, " ");
        let mut question =
            format!("{what_shown} Type yes to go on and record this as an exception: ");
        while let Some(answer) = self.ask(&question)? {
            match answer.to_ascii_lowercase().as_str() {
                "yes" => break,
                "no" => return Err(Error::declined(format!("not accepted: {what}"))),
                _ => question = " Type yes to go on, no to end the ceremony here: ".to_owned(),
            }
        }
        self.note(what)
    }

    /// Records a deviation that needs no answer.
    pub(super) fn note(&mut self, what: &str) -> Result<()> {
        let shown = screens::fold(&format!("exception: {what}"), " ");
        self.desk.say(&shown);
        self.ledger.exception(what, false)
    }
}
