//! Import parameters that were judged.

use jiff::Timestamp;

use crate::ground::words;
use crate::plan::kms::aws::{self, ImportParameters};

/// Import parameters that belong to the plan's KMS key and can be used now.
pub(crate) struct Judged {
    /// As they were read.
    pub read: ImportParameters,
    /// When key and token expire.
    pub valid_to: Timestamp,
}

/// The digest over all parameter files, as the slip of the online side shows it.
pub(crate) fn files_digest(judged: &[Judged]) -> words::Digest {
    let files: Vec<_> = judged
        .iter()
        .flat_map(|judged| judged.read.files.iter().cloned())
        .collect();
    aws::parameter_files_digest(&files)
}
