//! What a reimport, recover or destroy builds on: the previous record, its escrow package, and the data
//! keys in the HSM. The questions are the ceremony's own.

use super::{Lines, State};
use crate::ceremony::reimport::{self, Expected};
use crate::ceremony::{before, destroy, recover, shares};
use crate::evidence::previous::Previous;
use crate::ground::error::{Error, Result};
use crate::hsm::Hsm;
use crate::plan::{Keep, KeyPlan, Kind, Plan, RecoverPlan, ShareSource};

/// Reads the previous record and the escrow package that the plan names.
pub(super) fn previous(plan: &Plan, lines: &mut Lines) -> Option<Previous> {
    let loaded = before::load_previous(plan, false);
    let previous = match loaded {
        Ok((None, _)) => None,
        Ok((Some(previous), _)) => {
            lines.add(State::Ok, told(plan, &previous));
            Some(previous)
        }
        Err(error) => {
            lines.refuse(State::Wrong, error);
            return None;
        }
    };
    if let Some(recover) = &plan.recover {
        lines.judge(package(plan, recover, previous.as_ref()), Clone::clone);
    }
    previous
}

/// What vouches for it is said as well: it may be anybody's until then.
fn told(plan: &Plan, previous: &Previous) -> String {
    let receipts = match previous.receipts {
        0 => "no receipts".to_owned(),
        1 => "1 receipt".to_owned(),
        n => format!("{n} receipts"),
    };
    let anchor = match plan.previous_head {
        Some(_) => "previous_head in the plan vouches for it",
        None => "nothing vouches for it yet: rows of its head digest are typed in the room",
    };
    format!(
        "previous: {} holds together, {receipts}; {anchor}",
        previous.directory.display()
    )
}

fn package(plan: &Plan, recover: &RecoverPlan, previous: Option<&Previous>) -> Result<String> {
    let Some(package) = recover::package_at_hand(&recover.package, previous)? else {
        return Ok("package: typed in the room from its printed rows".into());
    };
    recover::packed(plan, previous, &package)?;
    let shares = shares(recover, &package.ceremony, previous)?;
    Ok(format!(
        "package: of ceremony {}, it names every data key of the plan; {shares}",
        package.ceremony
    ))
}

/// How many shares the record says are needed, and whose they are; files are counted, and read in the room only.
fn shares(recover: &RecoverPlan, ceremony: &str, previous: Option<&Previous>) -> Result<String> {
    let files = match &recover.shares {
        ShareSource::Files(directory) => Some((directory, shares::share_files(directory)?.len())),
        ShareSource::Typed => None,
    };
    let threshold = previous.and_then(|previous| previous.threshold_of(ceremony));
    let Some(threshold) = threshold else {
        return Ok("shares were not asked for".to_owned());
    };
    if let Some((directory, count)) = files.filter(|(_, count)| *count < threshold.into()) {
        let few = format!(
            "{}: {count} of the {threshold} shares that are needed",
            directory.display()
        );
        return Err(Error::mismatch(few)
            .check("QUORUM")
            .hint("lay the share files of a quorum there before the ceremony"));
    }
    let dealt = previous.map_or(&[][..], |previous| previous.dealt_by(ceremony));
    let names: Vec<&str> = dealt.iter().map(|share| share.custodian.as_str()).collect();
    Ok(format!(
        "shares were not asked for: any {threshold} of {} are needed",
        names.join(", ")
    ))
}

/// What every data key must turn out to be; empty where that cannot be told.
pub(super) fn expected<'p>(
    plan: &'p Plan,
    previous: Option<&Previous>,
    lines: &mut Lines,
) -> Vec<(&'p KeyPlan, Expected)> {
    if plan.kind == Kind::Generate || plan.previous.is_some() && previous.is_none() {
        return Vec::new(); // why the previous record is not there was said
    }
    if let Some(previous) = previous.filter(|_| plan.imports().next().is_some()) {
        match reimport::same_kms_keys(plan, previous) {
            Ok(notes) if notes.is_empty() => {
                lines.add(State::Ok, "KMS keys: those of the previous record");
            }
            Ok(notes) => notes
                .into_iter()
                .for_each(|note| lines.add(State::Warning, note)),
            Err(error) => lines.refuse(State::Wrong, error),
        }
    }
    let told = plan.keys.iter().map(|key| {
        let expected = reimport::expected(previous, key);
        let told = |expected: &Expected| {
            let kcv = expected.kcv.as_ref();
            let kcv = kcv.map(|kcv| format!("KCV {kcv}, ")).unwrap_or_default();
            let fingerprint = &expected.fingerprint;
            format!(
                "data key {:?}: must have {kcv}fingerprint {fingerprint}",
                key.label
            )
        };
        Some((key, lines.judge(expected, told)?))
    });
    told.collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Looks for the data keys in the HSM, as the ceremony will.
pub(super) fn find(
    plan: &Plan,
    previous: Option<&Previous>,
    hsm: &mut Hsm,
    expected: &[(&KeyPlan, Expected)],
    lines: &mut Lines,
) {
    for (key, expected) in expected {
        let found = look_for(plan.kind, hsm, key, expected)
            .or_else(|error| destroyed_before(plan, previous, hsm, key, expected).ok_or(error));
        match found.map_err(|e| e.doing(format!("finding the data key {:?}", key.label))) {
            Ok((found, notes)) => {
                if let Some(found) = found {
                    lines.add(State::Ok, format!("data key {:?}: {found}", key.label));
                }
                notes
                    .into_iter()
                    .for_each(|note| lines.add(State::Warning, note));
            }
            Err(error) => lines.refuse(State::Wrong, error),
        }
    }
}

/// What an earlier attempt destroyed is recorded by the next ceremony.
fn destroyed_before(
    plan: &Plan,
    previous: Option<&Previous>,
    hsm: &mut Hsm,
    key: &KeyPlan,
    expected: &Expected,
) -> Option<(Option<String>, Vec<String>)> {
    if plan.kind != Kind::Destroy {
        return None;
    }
    let gone = destroy::destroyed_before(plan, previous, hsm, key, expected);
    gone.ok().flatten().map(|gone| (None, vec![gone.told]))
}

/// What was found, and what the ceremony would note as exceptions.
fn look_for(
    kind: Kind,
    hsm: &mut Hsm,
    key: &KeyPlan,
    expected: &Expected,
) -> Result<(Option<String>, Vec<String>)> {
    let free = || Some("nothing in the HSM stands in its way".to_owned());
    if key.keep == Keep::None && kind == Kind::Destroy {
        return Ok((Some("it was never kept in the HSM".to_owned()), Vec::new()));
    }
    if kind == Kind::Recover {
        if key.keep == Keep::None {
            return Ok((free(), Vec::new()));
        }
        return Ok(match recover::same_in_token(hsm, key, expected)? {
            None => (free(), Vec::new()),
            Some(note) => (None, vec![note]),
        });
    }
    let (found, mut notes) = reimport::find_right(hsm, key, expected)?;
    let there = format!(
        "found in the HSM (CKA_ID {}), with the right fingerprint",
        found.id
    );
    if kind == Kind::Reimport {
        notes.extend(reimport::usable(key, found)?.1);
    }
    Ok((Some(there), notes))
}
