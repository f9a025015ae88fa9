//! What a reimport, recover or destroy builds on: the previous record, its escrow package, and the data
//! keys in the HSM. The checks are the ceremony's own.

use super::super::reimport::{self, Expected};
use super::super::{destroy, recover, shares};
use super::Facts;
use crate::evidence::previous::Previous;
use crate::ground::error::{Error, Result};
use crate::ground::lines::{Lines, State};
use crate::hsm::Hsm;
use crate::plan::{Keep, KeyPlan, Kind, Plan, RecoverPlan, ShareSource};

/// The escrow package that the plan names.
pub(super) fn package(facts: &mut Facts, lines: &mut Lines) {
    if let Some(recover) = &facts.plan.recover
        && facts.is_read
    {
        let told = told_package(facts.plan, recover, facts.previous());
        lines.judge(told, Clone::clone);
    }
}

fn told_package(plan: &Plan, recover: &RecoverPlan, previous: Option<&Previous>) -> Result<String> {
    let Some(package) = recover::package_at_hand(&recover.package, previous)? else {
        return Ok("package: typed in the room from its printed rows".into());
    };
    recover::packed(plan, previous, &package)?;
    let shares = shares(recover, &package.ceremony, previous)?;
    Ok(format!(
        "package: from ceremony {}; it holds every data key of the plan; {shares}",
        package.ceremony
    ))
}

/// How many shares the record says are needed, and whose they are; files are only counted here, and read in the room.
fn shares(recover: &RecoverPlan, ceremony: &str, previous: Option<&Previous>) -> Result<String> {
    let files = match &recover.shares {
        ShareSource::Files(directory) => Some((directory, shares::share_files(directory)?.len())),
        ShareSource::Typed => None,
    };
    let policy = previous.and_then(|previous| previous.policy_of(ceremony));
    let Some(policy) = policy else {
        return Ok("shares were not checked".to_owned());
    };
    let fewest = policy.fewest();
    if let Some((directory, count)) = files.filter(|(_, count)| *count < fewest) {
        let few = format!(
            "{}: {count} of at least {fewest} shares that are needed",
            directory.display()
        );
        return Err(Error::mismatch(few)
            .check("QUORUM")
            .hint("put the share files of a quorum there before the ceremony"));
    }
    Ok(format!(
        "shares were not checked; needed: {}",
        policy.whole()
    ))
}

/// Material never goes into a different KMS key by mistake.
pub(super) fn same_kms_keys(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    let imports = plan.kind != Kind::Generate && plan.imports().next().is_some();
    let Some(previous) = facts.previous().filter(|_| imports) else {
        return;
    };
    match lines.unless_refused(reimport::same_kms_keys(plan, previous)) {
        Some(notes) if notes.is_empty() => {
            lines.add(State::Ok, "KMS keys: those of the previous record");
        }
        notes => lines.warn(notes.into_iter().flatten()),
    }
}

/// What every data key must turn out to be.
pub(super) fn expected(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    if plan.kind == Kind::Generate || !facts.is_read {
        return;
    }
    let told = plan.keys.iter().map(|key| {
        let expected = reimport::expected(facts.previous(), key);
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
    let all: Vec<_> = told.collect();
    facts.expected = all.into_iter().collect::<Option<_>>().unwrap_or_default();
}

/// Looks for the data keys in the HSM, as the ceremony will.
pub(super) fn find(facts: &mut Facts, lines: &mut Lines) {
    let (plan, previous) = (facts.plan, facts.known.previous.as_ref());
    let Some(opened) = &mut facts.opened else {
        return;
    };
    let hsm = &mut opened.hsm;
    for (key, expected) in &facts.expected {
        let found = look_for(plan.kind, hsm, key, expected)
            .or_else(|error| destroyed_before(plan, previous, hsm, key, expected).ok_or(error));
        let found = found.map_err(|e| e.doing(format!("finding the data key {:?}", key.label)));
        if let Some((found, notes)) = lines.unless_refused(found) {
            if let Some(found) = found {
                lines.add(State::Ok, format!("data key {:?}: {found}", key.label));
            }
            lines.warn(notes);
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

/// What was found, and what the ceremony would record as exceptions.
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
