//! Step 5: the import parameters, read once, judged, and compared with what the online side wrote down.

use jiff::{SignedDuration, Timestamp};

use super::judged::{Judged, files_digest};
use super::{Ceremony, Event, Step, before, two_sided};
use crate::evidence::transcript::{FileDigest, Imported};
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::words;
use crate::plan::kms::aws::{self, ImportParameters};
use crate::plan::{ImportPlan, KeyPlan, Plan};

/// How long AWS KMS lets a public key and its import token be used.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Reads and judges the parameters of one import.
///
/// # Errors
/// Exit 2: the file itself; a wrapping key too short for the data key. Exit 4: another KMS key, another algorithm, another wrapping key than on
/// the slip, expired. Exit 5: this machine's clock is behind.
pub(crate) fn judge<'p>(key: &'p KeyPlan, import: &'p ImportPlan) -> Result<Judged<'p>> {
    let read = aws::read(&import.parameters)?;
    same_kms_key(import, &read)?;
    same_algorithm(import, &read)?;
    key.spec
        .fits(import.wrapping, read.wrapping_key.bits())
        .map_err(|refusal| {
            let error = Error::usage(refusal.why).check("WRAPPING-KEY-FITS");
            error.hint(refusal.hint)
        })?;
    two_sided::key_of_the_slip(import, &read)?;
    let valid_to = deadline(import, &read)?;
    in_time(valid_to)?;
    Ok(Judged {
        key,
        import,
        read,
        valid_to,
        compared: "not asked".to_owned(),
    })
}

fn same_kms_key(import: &ImportPlan, read: &ImportParameters) -> Result<()> {
    match &read.key_arn {
        Some(arn) if arn != &import.key_arn => Err(Error::mismatch(format!(
            "the parameters are for {}, the plan is for {}",
            arn.as_str(),
            import.key_arn.as_str()
        ))
        .check("KEY-ARN-MATCH")
        .hint("material under these parameters would go into another KMS key: find out which of the two is wrong")
        .hint("if the plan is right, download import parameters for its key_arn")),
        _ => Ok(()),
    }
}

fn same_algorithm(import: &ImportPlan, read: &ImportParameters) -> Result<()> {
    match read.wrapping_algorithm {
        Some(algorithm) if algorithm != import.wrapping => Err(Error::mismatch(format!(
            "the parameters were downloaded for {algorithm}, the plan says {}",
            import.wrapping
        ))
        .check("WRAPPING-ALGORITHM-MATCH")
        .hint("KMS unwraps only with the algorithm of the download: change the plan, or download again")),
        _ => Ok(()),
    }
}

/// The deadline is the file's own, or the plan's where the file carries none.
fn deadline(import: &ImportPlan, read: &ImportParameters) -> Result<Timestamp> {
    match (read.valid_to, import.parameters_valid_to) {
        (Some(file), Some(plan)) if file != plan => Err(Error::usage(format!(
            "parameters_valid_to is {plan} in the plan, but the parameters carry {file}"
        ))
        .hint("take parameters_valid_to out of the plan: it is for files that carry none")),
        (Some(valid_to), _) | (None, Some(valid_to)) => Ok(valid_to),
        (None, None) => Err(Error::usage(
            "the parameters carry no ParametersValidTo, and the plan gives none",
        )
        .hint("set parameters_valid_to in the plan: 24 hours after the download at the latest")),
    }
}

fn in_time(valid_to: Timestamp) -> Result<()> {
    let now = clock::now();
    if now >= valid_to {
        return Err(Error::mismatch(format!(
            "the import parameters expired at {valid_to}; it is {now} here"
        ))
        .check("PARAMETERS-DEADLINE")
        .hint("download new ones on the online side, then run again: nothing is lost")
        .hint("if that time is still to come, this machine's clock is ahead: set it (date -u)"));
    }
    if valid_to.duration_since(now) > LIFETIME {
        return Err(Error::machine(format!(
            "this machine's clock is behind: it says {now}, but parameters valid to {valid_to} were made at most \
             24 hours before that"
        ))
        .check("CLOCK")
        .hint("set the clock to the present UTC, then run again: date -u -s \"YYYY-MM-DD HH:MM:SS\""));
    }
    Ok(())
}

impl<'a> Ceremony<'a> {
    /// Step 5, in the plan's order of imports.
    pub(super) fn read_parameters(&mut self) -> Result<Vec<Judged<'a>>> {
        self.begin(Step::Parameters)?;
        let plan = self.plan();
        let mut judged = plan
            .imports()
            .map(|(key, import)| {
                judge(key, import)
                    .map_err(|e| before::or_later(plan, key, import, e))
                    .map_err(|e| e.doing(format!("{}/{}", key.label, import.name)))
            })
            .collect::<Result<Vec<_>>>()?;
        two_sided::compare(
            &mut judged,
            self.desk.operator,
            &mut self.ledger.wrong_answers(),
        )?;
        for judged in &judged {
            self.ledger.append(event(judged))?;
        }
        self.ledger.deadline = judged.iter().map(|judged| judged.valid_to).min();
        self.ledger.sync()?;
        Ok(judged)
    }
}

fn event(judged: &Judged) -> Event {
    let Judged {
        key, import, read, ..
    } = judged;
    let digest = |file: &aws::ParameterFile| FileDigest {
        name: file.name.clone(),
        sha256: words::hex(&file.sha256),
    };
    Event::ImportParametersRead(Imported {
        label: key.label.clone(),
        import: import.name.clone(),
        key_arn: import.key_arn.as_str().to_owned(),
        key_arn_in_parameters: read.key_arn.is_some(),
        wrapping: import.wrapping.name().into(),
        files: read.files.iter().map(digest).collect(),
        wrapping_key_spec: read.wrapping_key.spec().into(),
        wrapping_key_sha256: words::hex(&judged.wrapping_key_sha256()),
        import_token_sha256: words::hex(&words::sha256(&read.import_token)),
        valid_to: judged.valid_to.into(),
        two_sided_check: judged.compared.clone(),
    })
}

/// [`files_digest`] from the plan's files, for a rehearsal that plays the online side too.
///
/// # Errors
/// As [`judge`].
pub(crate) fn slip(plan: &Plan) -> Result<words::Digest> {
    let judged = plan
        .imports()
        .map(|(key, import)| judge(key, import))
        .collect::<Result<Vec<_>>>()?;
    Ok(files_digest(&judged))
}
