//! Wrong answers that may be given again, a PIN or a row of a paper: each is a line of the transcript, so that
//! an auditor sees how often it was tried.

use crate::evidence::transcript::{self, Event};
use crate::ground::error::{Result, Step};

/// What was asked for.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    /// The HSM token's PIN.
    Pin,
    /// This row of a digest on the slip of the online side.
    Slip(usize),
    /// This row of the head digest of the previous record.
    PreviousHead(usize),
}

/// Called for each wrong answer.
pub(crate) type Wrong<'a> = &'a mut dyn FnMut(Asked) -> Result<()>;

/// For use without a transcript.
///
/// # Errors
/// None.
pub(crate) fn not_recorded(_: Asked) -> Result<()> {
    Ok(())
}

impl Asked {
    pub(super) fn event(self, step: Step) -> Event {
        let (asked, row) = match self {
            Self::Pin => ("pin", None),
            Self::Slip(row) => ("slip", Some(row)),
            Self::PreviousHead(row) => ("previous-head", Some(row)),
        };
        Event::WrongAnswer(transcript::WrongAnswer {
            step: step.number(),
            asked: asked.into(),
            row,
        })
    }
}
