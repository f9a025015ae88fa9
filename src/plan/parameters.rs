//! The import parameters of a plan: whether they are there, belong to the plan's KMS keys, and can be used now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::kms::{self, Given, KmsKey, Lifetime, Wanted};
use super::{ImportPlan, KeyPlan, LONGEST_VALIDITY, Plan, Role};
use crate::crypto::wrapping::key::WrappingKey;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::files;
use crate::ground::words;

/// Import parameters that belong to the plan's KMS key and can be used now.
pub(crate) struct Judged<'p> {
    /// The data key, from the plan.
    pub key: &'p KeyPlan,
    /// The import, from the plan.
    pub import: &'p ImportPlan,
    /// What they give.
    given: Given,
    /// How the wrapping key was compared with the slip.
    pub compared: String,
}

impl Deref for Judged<'_> {
    type Target = Given;

    fn deref(&self) -> &Given {
        &self.given
    }
}

impl Judged<'_> {
    /// `label/import`, for messages and paths.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.key.label, self.import.name)
    }

    /// The SHA-256 of the wrapping key.
    pub(crate) fn wrapping_key_sha256(&self) -> words::Digest {
        self.wrapping_key.sha256()
    }
}

/// The digest over all parameter files, as on the online side's slip.
pub(crate) fn files_digest(judged: &[Judged]) -> words::Digest {
    let files: Vec<_> = judged
        .iter()
        .flat_map(|judged| judged.files.iter().cloned())
        .collect();
    kms::parameter_files_digest(&files)
}

/// Reads and checks the parameters of one import.
///
/// # Errors
/// Exit 2: the file itself; a wrapping key too short for the data key. Exit 4: the wrong KMS key, the wrong
/// algorithm, not the wrapping key on the slip, or expired. Exit 5: this machine's clock is behind.
pub(crate) fn judge<'p>(key: &'p KeyPlan, import: &'p ImportPlan) -> Result<Judged<'p>> {
    let given = import.kms_key.read(&wanted(import))?;
    usable(key, import, &given.wrapping_key)?;
    if let (Some(valid_to), Lifetime::Hours(hours)) = (given.valid_to, import.kms_key.lifetime) {
        in_time(valid_to, hours)?;
    }
    Ok(Judged {
        key,
        import,
        given,
        compared: "not asked".to_owned(),
    })
}

/// What the plan says about the parameters of an import.
pub(crate) fn wanted(import: &ImportPlan) -> Wanted<'_> {
    Wanted {
        path: &import.parameters,
        wrapping: import.wrapping,
        valid_to: import.parameters_valid_to,
    }
}

/// Whether the wrapping key is one for this data key, and the one on the slip.
fn usable(key: &KeyPlan, import: &ImportPlan, wrapping_key: &WrappingKey) -> Result<()> {
    (import.kms_key)
        .fits(key.spec, import.wrapping, wrapping_key.bits())
        .map_err(|refusal| {
            let error = Error::usage(refusal.why).check("WRAPPING-KEY-FITS");
            error.hint(refusal.hint)
        })?;
    key_of_the_slip(import, wrapping_key)
}

fn in_time(valid_to: Timestamp, hours: i64) -> Result<()> {
    let now = clock::now();
    if now >= valid_to {
        return Err(Error::mismatch(format!(
            "the import parameters expired at {valid_to}; it is {now} here"
        ))
        .check("PARAMETERS-DEADLINE")
        .hint("download new ones on the online side, then run again: nothing is lost")
        .hint("if that time has not come yet, this machine's clock is ahead: set it (date -u)"));
    }
    if made_later(valid_to, hours, now).is_some() {
        return Err(Error::machine(format!(
            "the parameters are valid until {valid_to}, but the KMS makes them for {hours} hours at most, and it is {now} \
             here: this machine's clock is behind, or the file is not what the KMS wrote"
        ))
        .check("CLOCK")
        .hint("set the clock to the present UTC, if a watch shows another time, then run again: date -u -s \"YYYY-MM-DD HH:MM:SS\"")
        .hint("if the clock is right, fetch the parameters again, and find out where this file came from"));
    }
    Ok(())
}

/// When parameters that are valid until then were made at the earliest, if that is still to come. This clock counts in
/// seconds, and a KMS may write parts of one.
pub(crate) fn made_later(valid_to: Timestamp, hours: i64, now: Timestamp) -> Option<Timestamp> {
    let made = valid_to - SignedDuration::from_hours(hours);
    (made.as_second() > now.as_second()).then_some(made)
}

/// `wrapping_key_sha256`, if the plan gives it.
fn key_of_the_slip(import: &ImportPlan, wrapping_key: &WrappingKey) -> Result<()> {
    match import.wrapping_key_sha256 {
        Some(slip) if slip != wrapping_key.sha256() => Err(Error::mismatch(format!(
            "the wrapping key's SHA-256 is {}, but wrapping_key_sha256 in the plan is {}",
            words::hex(&wrapping_key.sha256()),
            words::hex(&slip)
        ))
        .check("WRAPPING-KEY-MATCH")
        .hint("this is not the wrapping key that the online side saw: STOP, and find out who had these files")),
        _ => Ok(()),
    }
}

/// Whether the import parameters of an import are there.
///
/// # Errors
/// Exit 2 if they are not there yet.
pub(crate) fn exist(import: &ImportPlan) -> Result<()> {
    fs::metadata(&import.parameters).map(|_| ()).map_err(|e| {
        Error::usage(format!(
            "the import parameters {}: {e}",
            import.parameters.display()
        ))
        .check("PARAMETERS-PRESENT")
        .hint(import.kms_key.fetch())
    })
}

/// The error for import parameters that cannot be used. If the same data key goes to other KMS keys, it says how
/// this one gets it later. Nothing was made yet.
pub(crate) fn or_later(plan: &Plan, key: &KeyPlan, import: &ImportPlan, error: Error) -> Error {
    const OF_PARAMETERS: [&str; 6] = [
        "PARAMETERS-PRESENT",
        "PARAMETERS-DEADLINE",
        "KEY-ARN-MATCH",
        "KEK",
        "IMPORT-JOB",
        "WRAPPING-KEY-STATE",
    ];
    if key.imports.len() < 2 || !error.check.is_some_and(|id| OF_PARAMETERS.contains(&id)) {
        return error;
    }
    let name = &import.name;
    if let Some(Role::Primary) = key.role(plan.kind, import)
        && key.goes_to_several_regions(import)
    {
        return error.hint(format!(
            "{name} is taken for the primary of the multi-Region key: its replicas take nothing before it does"
        ));
    }
    let how = super::again(key.keep.by_quorum());
    let who = match key.keep.by_quorum() {
        true => "that needs a quorum of custodians",
        false => "that needs no custodians",
    };
    error
        .hint(format!(
            "or go on without it: remove the import {name:?} from the plan, and wrap for it later"
        ))
        .hint(format!(
            "later: byok plan {how} RECORD, with {name:?} as its only [[key.import]]; {who}"
        ))
}

/// What is said of each wrapping key under which several imports are wrapped, though no two of their KMSs share one. Each
/// import is given by its name, its key, and the digest of its wrapping key.
pub(crate) fn shared_wrapping_keys<'k, D: Ord>(
    imports: impl Iterator<Item = (String, &'k KmsKey, D)>,
) -> Vec<String> {
    const SHOWN: usize = 3;
    let mut by_key: BTreeMap<D, BTreeMap<String, String>> = BTreeMap::new();
    for (name, kms_key, digest) in imports {
        let owners = by_key.entry(digest).or_default();
        let told = format!("{name} ({})", kms_key.kms);
        owners.entry(kms_key.owner()).or_insert(told);
    }
    let shared = by_key.into_values().filter(|owners| owners.len() > 1);
    let told = shared.map(|owners| {
        let names: Vec<&str> = owners.values().map(String::as_str).collect();
        format!(
            "one wrapping key for {}: unless these are one server, find out who made these import parameters",
            words::some(&names, SHOWN)
        )
    });
    told.collect()
}

/// What is said of each file that looks like the slip and lies beside the import parameters: rows of it prove nothing,
/// because whoever could replace the parameters could replace it too.
pub(crate) fn slips_beside(plan: &Plan) -> Vec<String> {
    let own: Vec<&Path> = plan.imports().map(|(_, i)| &*i.parameters).collect();
    let places = own
        .iter()
        .flat_map(|path| [path.to_path_buf(), files::parent(path)]);
    let places: BTreeSet<PathBuf> = places.collect();
    let entries = places.iter().filter_map(|place| fs::read_dir(place).ok());
    let found = entries.flatten().flatten();
    let slips = found.filter(|entry| is_named_slip(&entry.file_name().to_string_lossy()));
    let paths: BTreeSet<PathBuf> = slips.map(|entry| entry.path()).collect();
    let beside = paths.iter().filter(|path| !own.contains(&path.as_path()));
    let told = beside.map(|path| {
        let file = path.display();
        format!("{file} lies beside the import parameters: a slip that came with them proves nothing about them")
    });
    told.collect()
}

/// `slip.txt`, as the online half writes it, or a print or copy of it, such as `Slip-2026.pdf`. Only names are looked at:
/// any other file there may be a secret.
fn is_named_slip(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case("slip"))
}

/// KMS accepts a `ValidTo` in the future, at most 365 days from the request.
///
/// # Errors
/// Exit 2 for an expiry that KMS would refuse.
pub(crate) fn expiry(import: &ImportPlan) -> Result<()> {
    let Some(expires) = import.expires else {
        return Ok(());
    };
    let now = clock::now();
    let refuse = |why: &str| {
        Err(Error::usage(format!(
            "expires {expires} of import {:?} {why}",
            import.name
        ))
        .check("EXPIRY"))
    };
    if expires <= now {
        return refuse("is in the past")
            .map_err(|e| e.hint("give a time in the future, or \"never\""));
    }
    if expires.duration_since(now) > LONGEST_VALIDITY {
        return refuse("is more than 365 days ahead").map_err(|e| {
            e.hint("KMS keeps imported material for at most 365 days, or for ever with \"never\"")
        });
    }
    Ok(())
}

/// [`files_digest`] over the plan's files, for a rehearsal, which also plays the online side.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_made_in_this_very_second_are_not_from_the_future() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-11-30T03:39:35Z");
        for (valid_to, made) in [
            ("2026-12-03T03:39:35.035614Z", None),
            ("2026-12-03T03:39:36Z", Some("2026-11-30T03:39:36Z")),
            ("9999-12-30T00:00:00Z", Some("9999-12-27T00:00:00Z")),
        ] {
            assert_eq!(made_later(time(valid_to), 72, now), made.map(time));
        }
    }
}
