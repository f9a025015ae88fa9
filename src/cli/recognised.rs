//! Import parameters that are known by what they say, before a plan names their key; of every KMS but AWS KMS.

use jiff::Timestamp;

use crate::crypto::wrapping::key::is_pem;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::strict_json;
use crate::plan::kms::aws::text;
use crate::plan::kms::{Answered, ELSEWHERE, Elsewhere, KmsKey};

/// What a file of import parameters says of itself, if it is in the form that a command of a KMS prints.
pub(crate) struct Recognised {
    /// Its KMS.
    pub row: &'static Elsewhere,
    /// What it gives.
    pub answered: Answered,
}

impl Recognised {
    /// The key that such a label is imported as; `FILL-IN` stands for each part that the file does not say.
    pub(crate) fn kms_key(&self, label: &str) -> KmsKey {
        let (shape, last) = (&self.row.shape, (self.row.labelled)(label));
        let unsaid = || shape.of(self.row.unsaid);
        let of = self.answered.of.clone().unwrap_or_else(unsaid);
        (self.row.key)(shape.beside(&of, &last))
    }

    /// Until when the KMS takes material by it, if it has a deadline.
    pub(crate) fn valid_to(&self) -> Option<Timestamp> {
        self.row.deadline(&self.answered)
    }

    /// What else it says: name and value.
    pub(crate) fn more(&self) -> Vec<(&'static str, String)> {
        let id = self
            .answered
            .id
            .clone()
            .map(|id| (self.row.answer.id.0, id));
        let until = self.valid_to().map(|at| ("valid_to", at.to_string()));
        id.into_iter().chain(until).collect()
    }
}

/// Import parameters of any KMS but AWS KMS; `None`: the file is something else. A key alone, in PEM, is anybody's.
///
/// # Errors
/// Exit 4: they are import parameters of a KMS, but of no use.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Option<Recognised>> {
    let text = text::decode(bytes).unwrap_or_default();
    let text = text.trim().as_bytes();
    if is_pem(text) {
        return Ok(None);
    }
    let has = |mark| strict_json::parse(text).is_ok_and(|json| json.get(mark).is_some());
    let mut useless = None;
    for row in ELSEWHERE {
        match row.parse(text) {
            Ok(answered) => return Ok(Some(Recognised { row, answered })),
            Err(error) if error.exit == Exit::Mismatch || row.answer.mark.is_some_and(has) => {
                let error = Error {
                    exit: Exit::Mismatch, // it is of that KMS, whatever is wrong with it
                    ..error
                };
                useless = useless.or(Some(error));
            }
            Err(_) => {}
        }
    }
    useless.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests;
