//! What AWS KMS says of a key, and whether import parameters are for it.

use jiff::Timestamp;

use super::{ImportParameters, fits, read, takes};
use crate::crypto::spec::{Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::error::{Error, Result};
use crate::plan::kms::{Given, ImportToken, KeyArn, Kms, Lifetime, Wanted};

impl Kms for KeyArn {
    fn as_str(&self) -> &str {
        self.as_str()
    }

    fn kms(&self) -> &'static str {
        "AWS KMS"
    }

    fn word(&self) -> Option<&'static str> {
        None
    }

    fn place(&self) -> &str {
        self.region()
    }

    fn owner(&self) -> &str {
        self.as_str()
    }

    fn command(&self) -> Option<String> {
        None
    }

    fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> std::result::Result<(), Refusal> {
        takes(spec, wrapping, self.is_china())
    }

    fn fits(
        &self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        wrapping_key_bits: usize,
    ) -> std::result::Result<(), Refusal> {
        fits(spec, wrapping, wrapping_key_bits)
    }

    fn binds_algorithm(&self) -> bool {
        true
    }

    fn read(&self, wanted: &Wanted) -> Result<Given> {
        let read = read(wanted.path)?;
        same_kms_key(self, &read)?;
        same_algorithm(wanted.wrapping, &read)?;
        Ok(Given {
            valid_to: Some(deadline(wanted, &read)?),
            wrapping_key: read.wrapping_key,
            wrapping_key_id: None,
            token: Some(ImportToken {
                bytes: read.import_token,
                names_key: read.key_arn.is_some(),
            }),
            files: read.files,
        })
    }

    fn deadline(&self, wanted: &Wanted) -> Option<Timestamp> {
        read(wanted.path).ok()?.valid_to.or(wanted.valid_to)
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Hours(24)
    }

    fn no_guard(&self) -> Option<String> {
        None
    }

    fn beside(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("ImportToken.bin", "what KMS requires with it"),
            (
                "import.sh",
                "checks both, then runs aws kms import-key-material",
            ),
        ]
    }
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

fn same_algorithm(wanted: WrappingAlgorithm, read: &ImportParameters) -> Result<()> {
    match read.wrapping_algorithm {
        Some(algorithm) if algorithm != wanted => Err(Error::mismatch(format!(
            "the parameters were downloaded for {algorithm}, but the plan says {wanted}"
        ))
        .check("WRAPPING-ALGORITHM-MATCH")
        .hint("KMS unwraps only with the algorithm chosen at the download: change the plan, or download again")),
        _ => Ok(()),
    }
}

/// The file's own deadline or, if it carries none, the plan's.
fn deadline(wanted: &Wanted, read: &ImportParameters) -> Result<Timestamp> {
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
