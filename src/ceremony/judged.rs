//! One row for each import, which grows from step to step: judged (5), proved (6), wrapped (8). Each holds the one
//! before it, so that no import is lost on the way, and none meets what belongs to another.

use jiff::Timestamp;

use crate::ground::words;
use crate::hsm::{Way, WrappingHandle};
use crate::plan::kms::aws::{self, ImportParameters};
use crate::plan::{ImportPlan, KeyPlan};

/// Import parameters that belong to the plan's KMS key and can be used now.
pub(crate) struct Judged<'p> {
    /// The data key, as the plan has it.
    pub key: &'p KeyPlan,
    /// The import, as the plan has it.
    pub import: &'p ImportPlan,
    /// As they were read.
    pub read: ImportParameters,
    /// When key and token expire.
    pub valid_to: Timestamp,
    /// How the wrapping key was compared with the slip.
    pub compared: String,
}

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
}

impl Judged<'_> {
    /// `label/import`, for messages and paths.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.key.label, self.import.name)
    }

    /// The SHA-256 of the wrapping key.
    pub(super) fn wrapping_key_sha256(&self) -> words::Digest {
        self.read.wrapping_key.sha256()
    }
}

/// The digest over all parameter files, as the slip of the online side shows it.
pub(crate) fn files_digest(judged: &[Judged]) -> words::Digest {
    let files: Vec<_> = judged
        .iter()
        .flat_map(|judged| judged.read.files.iter().cloned())
        .collect();
    aws::parameter_files_digest(&files)
}
