//! The end of a ceremony that failed: everything that it made is taken back, or named with the command that
//! removes it.

use super::{Ceremony, Destroyed, Event, KeyId, Result, Vault, words};
use crate::evidence::transcript::{self, LeftObject};
use crate::ground::error::{Again, Error, Exit};
use crate::hsm::{self, removal_command};
use crate::plan::Kind;

impl Ceremony<'_> {
    /// Ends a ceremony that failed: takes back what was made, closes the record as aborted, and adds
    /// to the error what now exists.
    pub(super) fn abort(mut self, mut vault: Option<Vault>, error: Error) -> Error {
        let mut error = error.at(self.ledger.step);
        let _ = self.take_notes(); // a transcript that cannot be written must not stop what follows
        let (mut taken_back, mut left) = (0, Vec::new());
        if let Some(vault) = &mut vault {
            (taken_back, left) = self.destroy_made(vault);
            error.state.append(&mut vault.taken_away);
            error.state.extend(vault.out_there.void());
        }
        let removed = self.ledger.record.take_back();
        error
            .state
            .push(what_is_left(self.plan().kind, taken_back, left.len()));
        let mark = self.ledger.record.transcript.mark();
        let mut ended = self.end_aborted(vault.as_ref(), &error, &removed, &left);
        let made_a_signer = vault.as_ref().is_some_and(|vault| vault.signing.is_made());
        let signer_left = vault.as_mut().and_then(|vault| self.destroy_signer(vault));
        if made_a_signer && signer_left.is_none() {
            error.state.push(
                "the transcript signer that this run made was destroyed too: cross out its rows on the paper".into(),
            );
        }
        if let Some(signer) = signer_left {
            // It is still there, so it can sign again, and what it signs is then true.
            error.state.push(
                "the transcript signer that this run made may still be in the HSM".to_owned(),
            );
            left.push(signer);
            ended = self
                .ledger
                .record
                .reopen(mark)
                .and_then(|()| self.end_aborted(vault.as_ref(), &error, &removed, &left));
        }
        if let (Some(vault), false) = (&vault, left.is_empty()) {
            error.hints.push(TAKEN_AWAY_NEXT.into());
            let commands = left.iter().map(|left| self.removal_hint(vault, left));
            error.hints.extend(commands);
        }
        let working = self.ledger.record.working().to_owned();
        let closed = ended.and_then(|unsigned| {
            error.state.extend(unsigned);
            self.ledger.record.close_aborted()
        });
        error.state.push(match closed {
            Ok(directory) => format!("nothing was written except {}", directory.display()),
            Err(e) if working.exists() => format!(
                "the record could not be closed ({}); what was written is in {}",
                e.what,
                working.display()
            ),
            Err(_) => format!(
                "the record could not be closed: {} is no longer there; what was written is on the disk that disappeared",
                working.display()
            ),
        });
        if error.hints.is_empty() {
            error.hints.push(what_next(&error).into());
        }
        let _ = self.desk.look_after_calls(&error.for_people());
        error
    }

    /// Writes the last line of an aborted ceremony, and has the HSM sign it if it answers. Returns why, if it does
    /// not.
    fn end_aborted(
        &mut self,
        vault: Option<&Vault>,
        error: &Error,
        removed: &[String],
        left: &[(String, KeyId)],
    ) -> Result<Option<String>> {
        if self.ledger.record.transcript.is_empty() {
            return Ok(None); // the disk refused its first line, and no other line may come first
        }
        let aborted = Event::Aborted(transcript::Aborted {
            step: self.ledger.step.number(),
            exit: error.exit as u8,
            error: error.line(),
            state: error
                .state
                .iter()
                .map(|state| words::printable(state))
                .collect(),
            removed: removed.to_vec(),
            may_be_left: left
                .iter()
                .map(|(label, id)| LeftObject {
                    label: label.clone(),
                    cka_id: id.to_string(),
                })
                .collect(),
            signer_destroyed: vault.is_some_and(|vault| vault.signing.intended.is_some()),
        });
        let rehearsal = self.basis.rehearsal;
        let mut unsigned = None;
        let sign = |vault: &Vault, bytes: &[u8]| vault.sign(rehearsal, bytes);
        let mut sign = |bytes: &[u8]| match vault.map(|vault| sign(vault, bytes)) {
            None => Ok(None),
            Some(Ok(signature)) => Ok(signature),
            Some(Err(e)) => {
                unsigned = Some(format!("its transcript is not signed ({})", e.what));
                Ok(None)
            }
        };
        self.ledger.record.end(&aborted, &mut sign)?;
        Ok(unsigned)
    }

    fn removal_hint(&self, vault: &Vault, (label, id): &(String, KeyId)) -> String {
        let token = &vault.hsm.token().token;
        let of_label = self.plan().keys.iter().find(|key| key.label == *label);
        let is_private = of_label.is_some_and(|key| key.spec.is_private());
        let command = removal_command(&self.plan().hsm.module, token, (label, *id), is_private);
        format!("to remove {label:?}, CKA_ID {id}: {command}")
    }

    /// Destroys what this run made in the token. Returns how many objects, and what may be left.
    fn destroy_made(&mut self, vault: &mut Vault) -> (usize, Vec<(String, KeyId)>) {
        let mut destroyed = 0;
        let mut left = Vec::new();
        for (label, id) in std::mem::take(&mut vault.made) {
            match self.destroy_one(vault, &label, id) {
                Ok(0) => {}
                Ok(objects) => {
                    destroyed += objects;
                    let event = Event::KeyDestroyed(Destroyed {
                        label,
                        cka_id: id.to_string(),
                        objects,
                        why: "the ceremony was aborted".into(),
                    });
                    // A transcript that cannot be written must not stop the destruction.
                    let _ = self.ledger.append(event);
                }
                Err(_) => left.push((label, id)),
            }
        }
        (destroyed, left)
    }

    /// In a new session if the HSM lost the old one: whatever a PIN can still reach is destroyed.
    pub(super) fn destroy_one(
        &mut self,
        vault: &mut Vault,
        label: &str,
        id: KeyId,
    ) -> Result<usize> {
        match vault.hsm.destroy_named(label, id) {
            Err(lost) if hsm::session_was_lost(&lost) => {
                self.open_to_destroy(vault)?;
                vault.hsm.destroy_named(label, id)
            }
            done => done,
        }
    }
}

/// Stands before the commands that remove what an aborted run left.
const TAKEN_AWAY_NEXT: &str = "the next run of this plan destroys what this one left, once it is approved; by hand, use pkcs11-tool (Debian: opensc)";

/// What to do after an error that has no hint of its own.
fn what_next(error: &Error) -> &'static str {
    match error.exit {
        Exit::Done | Exit::Declined => {
            "the same plan can be run again at any time; it needs a new approval"
        }
        Exit::Usage => "put that right, then run the plan again",
        Exit::Hsm if error.again == Again::Never => {
            "the HSM always refuses this, so another run of this plan would end here too: byok doctor shows what this HSM can do; change the plan or the HSM's configuration"
        }
        Exit::Hsm => {
            "check the HSM: power, cable, token and log; then run the same plan again, which removes what this run left"
        }
        Exit::Mismatch => "use nothing from this run, and find out why before anybody tries again",
        Exit::Machine => {
            "check the disk and this machine; then run the same plan again, which removes what this run left"
        }
    }
}

/// What an aborted run says about its data keys.
fn what_is_left(kind: Kind, taken_back: usize, left: usize) -> String {
    let none = match kind {
        Kind::Generate => "no data key was left in the HSM by this run",
        Kind::Reimport | Kind::Recover | Kind::Destroy => "this run left no new key in the HSM",
    };
    match (taken_back, left) {
        // a reimport makes nothing but session objects, and changes nothing
        (0, 0) if kind == Kind::Reimport => {
            format!("{none}; the data key that was there is untouched")
        }
        (0, 0) => none.to_owned(),
        (1, 0) => format!("{none}: the one it made was destroyed"),
        (n, 0) => format!("{none}: the {n} it made were destroyed"),
        (_, 1) => "1 object of this run may still be in the HSM".to_owned(),
        (_, n) => format!("{n} objects of this run may still be in the HSM"),
    }
}
