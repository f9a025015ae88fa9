//! From a record to the one that it builds on, and from there to the first.
//!
//! Each record names the head digest of the one before it (`previous_head`). byok looks for that record among the
//! directories that were given (by head digest, in each directory itself and one level below), then where the plan
//! said it was, then beside this record.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files::head_of;
use super::recorded::RecordedPlan;
use super::{Verified, is_the_one, materials, verify};
use crate::evidence::receipts::KnownMaterial;
use crate::evidence::transcript::{self, Said, SameMaterial};
use crate::ground::anchor::Anchor;
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

/// A verified record on which a later one builds.
pub struct Link {
    /// Where it was found.
    pub directory: PathBuf,
    /// The record.
    pub verified: Verified,
    /// For how many of its receipts the later record vouches; `None`: it had no receipts then.
    pub vouched: Option<usize>,
}

/// The records before one, the newest first.
pub struct Followed {
    /// The records that were found; all of them hold.
    pub links: Vec<Link>,
    /// Why there are no more.
    pub end: End,
}

/// A verified record that was given but is not among those before. Nothing here vouches for it.
pub struct Other {
    /// Where it was found.
    pub directory: PathBuf,
    /// The record.
    pub verified: Verified,
}

/// The other records among these directories, in each itself and one level below. Their materials may explain what
/// KMS lists, so byok looks for them only if a KMS key has several materials. It ignores records that do not hold,
/// were aborted, or are rehearsals if this one is real (or the other way round).
pub(crate) fn others(
    record: &Path,
    verified: &Verified,
    followed: &Followed,
    given: &[PathBuf],
) -> Vec<Other> {
    if materials(record, verified, followed, &[]).is_empty() {
        return Vec::new();
    }
    let mut heads = vec![verified.chain.head];
    heads.extend(followed.links.iter().map(|link| link.verified.chain.head));
    let mut found = Vec::new();
    for directory in with_below(given) {
        let is_it = directory.canonicalize().ok() == record.canonicalize().ok();
        let known = head_of(&directory).is_none_or(|head| heads.contains(&head));
        if is_it || known {
            continue;
        }
        let Ok(other) = verify(&directory, None) else {
            continue;
        };
        if other.is_aborted() || other.is_rehearsal() != verified.is_rehearsal() {
            continue;
        }
        heads.push(other.chain.head); // of several copies the first
        found.push(Other {
            directory,
            verified: other,
        });
    }
    found
}

/// Each directory and its entries, by name.
fn with_below(given: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for directory in given {
        let inside = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut below: Vec<PathBuf> = inside.map(|entry| entry.path()).collect();
        below.sort();
        all.push(directory.clone());
        all.extend(below);
    }
    all
}

/// Where following ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// The last record that was found names no previous one.
    First,
    /// The previous record is not here.
    NotFollowed {
        /// Its head digest.
        head: String,
    },
}

impl Followed {
    /// The materials that the receipts of these records know, the newest first.
    pub(crate) fn known(&self) -> Vec<KnownMaterial> {
        let of_links = self.links.iter();
        of_links
            .flat_map(|link| link.verified.receipts.known())
            .collect()
    }
}

/// Follows a record to those before it. `given` are more places to look.
///
/// # Errors
/// Exit 2 if a given directory does not exist. Exit 4 if a record that was found is broken, is not the one that the
/// later record names, has lost receipts, does not have the data keys with which the later one compared, or knows
/// different material of the same KMS key; or if one of the two records is a rehearsal and the other is not.
pub fn follow(record: &Path, verified: &Verified, given: &[PathBuf]) -> Result<Followed> {
    for directory in given {
        if !directory.is_dir() {
            let shown = directory.display();
            return Err(Error::usage(format!(
                "--previous {shown}: there is no such directory"
            )));
        }
    }
    let mut links: Vec<Link> = Vec::new();
    let end = loop {
        let (place, later) = match links.last() {
            Some(link) => (link.directory.as_path(), &link.verified),
            None => (record, verified),
        };
        let Some(head) = digest(later.chain.opening().previous_head.as_deref()) else {
            break End::First;
        };
        match step(place, later, &head, given)? {
            Some(link) => links.push(link),
            None => {
                break End::NotFollowed {
                    head: words::hex(&head),
                };
            }
        }
    };
    given_ones_hold(given, record, &links)?;
    let followed = Followed { links, end };
    one_material(verified, &followed)?;
    Ok(followed)
}

fn digest(named: Option<&str>) -> Option<Digest> {
    words::digest_from_hex(named?)
}

fn step(place: &Path, later: &Verified, head: &Digest, given: &[PathBuf]) -> Result<Option<Link>> {
    let Some(directory) = find(place, head, given) else {
        return Ok(None);
    };
    let anchor = Anchor::whole(head);
    // The head first: if it is not a record, or not the right one, the rest is not read.
    let verified = is_the_one(&directory, &anchor).and_then(|()| verify(&directory, Some(&anchor)));
    let verified = verified.map_err(|why| broken(&directory, &why.to_string()))?;
    let broken = |why: &str| broken(&directory, why);
    if verified.is_aborted() {
        return Err(broken("its ceremony was aborted: nothing can build on it"));
    }
    if verified.is_rehearsal() != later.is_rehearsal() {
        let why = "a rehearsal and a real ceremony never build on each other";
        return Err(broken(why));
    }
    let vouched = vouched(later, &verified).map_err(|why| broken(&why))?;
    same_material(later, &verified).map_err(|why| broken(&why))?;
    Ok(Some(Link {
        directory,
        verified,
        vouched,
    }))
}

fn broken(directory: &Path, why: &str) -> Error {
    Error::mismatch(format!(
        "the previous record {}: {why}",
        directory.display()
    ))
    .check("PREVIOUS-RECORD")
    .hint("use another copy of that record, and name it: byok verify --previous DIR RECORD")
}

/// A record at the place that the plan names is used even if it is a different one; the error then says so.
fn find(place: &Path, head: &Digest, given: &[PathBuf]) -> Option<PathBuf> {
    let is_it = |directory: &Path| head_of(directory).as_ref() == Some(head);
    let plan = RecordedPlan::of(place);
    let at_plan = plan.previous(place);
    let beside = plan.previous_beside(place);
    let below = with_below(given).into_iter();
    let mut places = below.chain(at_plan.clone()).chain(beside);
    places
        .find(|directory| is_it(directory))
        .or_else(|| at_plan.filter(|directory| directory.is_dir()))
}

/// The data keys with which the later record says it compared its own are those in this record.
fn same_material(later: &Verified, earlier: &Verified) -> Result<(), String> {
    let known = earlier.chain.data_keys();
    let known: BTreeSet<_> = known
        .map(|key| (key.label.clone(), key.fingerprint.clone()))
        .collect();
    let mut compared = later.chain.events::<SameMaterial>();
    let stranger = |same: &Said<SameMaterial>| {
        !known.contains(&(same.label.clone(), same.fingerprint.clone()))
    };
    match compared.find(stranger) {
        Some(same) => Err(format!(
            "it has no data key \"{}\" with the fingerprint in line {} of the later record",
            words::quoted(&same.label),
            same.line.number
        )),
        None => Ok(()),
    }
}

/// For how many receipts of `earlier` the later record vouches: those that its digest covers.
fn vouched(later: &Verified, earlier: &Verified) -> Result<Option<usize>, String> {
    let named = &later.chain.opening().previous_receipts_head;
    let Some(head) = digest(named.as_deref()) else {
        return Ok(None);
    };
    let covered = earlier
        .receipts
        .heads
        .iter()
        .position(|known| *known == head);
    covered.map(|at| Some(at + 1)).ok_or_else(|| {
        format!(
            "receipts.jsonl: lines for which a later record vouches are gone or changed (its digest was {})",
            words::hex(&head)
        )
    })
}

/// A record that was given but did not lead anywhere must at least hold by itself: a changed transcript has a
/// different head, so the change would otherwise go unnoticed.
fn given_ones_hold(given: &[PathBuf], record: &Path, links: &[Link]) -> Result<()> {
    let is = |a: &Path, b: &Path| a.canonicalize().ok() == b.canonicalize().ok();
    for directory in given {
        let used = is(directory, record) || links.iter().any(|link| is(&link.directory, directory));
        if !used && directory.join(transcript::FILE).exists() {
            verify(directory, None).map_err(|why| broken(directory, &why.to_string()))?;
        }
    }
    Ok(())
}

/// AWS KMS makes its id from KMS key and material, so one material has one id in one KMS key for ever.
fn one_material(verified: &Verified, followed: &Followed) -> Result<()> {
    let mut known: Vec<KnownMaterial> = Vec::new();
    let all = verified
        .receipts
        .known()
        .into_iter()
        .chain(followed.known());
    for material in all.filter(|material| !material.is_version) {
        let same = |other: &&KnownMaterial| {
            other.key_arn == material.key_arn && other.fingerprint == material.fingerprint
        };
        if let Some(other) = known.iter().find(same)
            && other.key_material_id != material.key_material_id
        {
            return Err(Error::mismatch(format!(
                "the receipts of these records have two ids for one material in {}: {} and {}",
                material.key_arn, other.key_material_id, material.key_material_id
            ))
            .check("KEY-MATERIAL-ID")
            .hint("STOP: the KMS key does not hold the material that these records say; delete nothing"));
        }
        known.push(material);
    }
    Ok(())
}
