//! One row for each import, which grows from step to step: judged (5), proved (6), wrapped (8). Each holds the one
//! before it, so that no import is lost on the way, and none meets what belongs to another.

use crate::hsm::{Way, WrappingHandle};
use crate::plan::parameters::Judged;

/// An import whose wrapping was proved with throw-away keys. Data keys are wrapped only with one.
pub(crate) struct Proved<'p> {
    pub(super) judged: Judged<'p>,
    /// The wrapping key in the HSM, and how RSA_AES_KEY_WRAP is done; `None` for the host path.
    pub(super) wrapping_key: Option<(WrappingHandle, Way)>,
}

/// What the KMS takes.
pub(super) struct Wrapped<'p> {
    pub judged: Judged<'p>,
    pub bytes: Vec<u8>,
    /// What the KMS is asked to decrypt, to prove itself.
    pub challenge: Option<Vec<u8>>,
}
