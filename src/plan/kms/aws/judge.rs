//! What AWS KMS says of its keys, and whether import parameters are for one.

use jiff::Timestamp;

use super::{ImportParameters, read};
use crate::ground::error::{Error, Result};
use crate::plan::kms::{Facts, Given, ImportToken, KeyArn, Lifetime, Wanted, same_algorithm};

pub(in crate::plan::kms) const FACTS: Facts = Facts {
    kms: "AWS KMS",
    word: None,
    script: "online.sh",
    place: "{region}",
    owner: "{arn}",
    source: None,
    wrapping_key_bits: &[2048, 3072, 4096],
    binds_algorithm: true,
    lifetime: Lifetime::Hours(24),
    no_guard: None,
    doubt: None,
    proves_by_decrypting: |_| false,
    beside: &[
        ("ImportToken.bin", "what KMS requires with it"),
        (
            "import.sh",
            "checks both, then runs aws kms import-key-material",
        ),
    ],
};

/// Reads import parameters for this key.
pub(in crate::plan::kms) fn given(arn: &KeyArn, wanted: &Wanted) -> Result<Given> {
    let read = read(wanted.path)?;
    same_kms_key(arn, &read)?;
    same_algorithm(read.wrapping_algorithm, wanted.wrapping)?;
    Ok(Given {
        valid_to: Some(valid_to(wanted, &read)?),
        wrapping_key: read.wrapping_key,
        wrapping_key_id: None,
        token: Some(ImportToken {
            bytes: read.import_token,
            names_key: read.key_arn.is_some(),
        }),
        files: read.files,
    })
}

/// Their deadline, as they or the plan say it.
pub(in crate::plan::kms) fn deadline(wanted: &Wanted) -> Option<Timestamp> {
    read(wanted.path).ok()?.valid_to.or(wanted.valid_to)
}

fn same_kms_key(planned: &KeyArn, read: &ImportParameters) -> Result<()> {
    match &read.key_arn {
        Some(arn) if arn != planned => Err(Error::mismatch(format!(
            "the parameters are for {}, but the plan is for {}",
            arn.as_str(),
            planned.as_str()
        ))
        .check("KEY-ARN-MATCH")
        .hint("with these parameters the material would go into another KMS key: find out which of the two is wrong")
        .hint("if the plan is right, download import parameters for its key_arn")),
        _ => Ok(()),
    }
}

/// The file's own deadline or, if it carries none, the plan's.
fn valid_to(wanted: &Wanted, read: &ImportParameters) -> Result<Timestamp> {
    match (read.valid_to, wanted.valid_to) {
        (Some(file), Some(plan)) if file != plan => Err(Error::usage(format!(
            "parameters_valid_to is {plan} in the plan, but the parameters carry {file}"
        ))
        .hint("remove parameters_valid_to from the plan: it is for files without a deadline of their own")),
        (Some(valid_to), _) | (None, Some(valid_to)) => Ok(valid_to),
        (None, None) => Err(Error::usage(
            "the parameters carry no ParametersValidTo, and the plan gives none",
        )
        .hint("set parameters_valid_to in the plan: 24 hours after the download at the latest")),
    }
}
