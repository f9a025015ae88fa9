//! What records say must still be done: imports that nobody reported, proofs that are missing, material that expires.
//!
//! Only records say it. What a KMS holds is known as far as receipts tell, and when material expires is what plans said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::evidence::receipts::{self, Import, PROVED};
use crate::evidence::transcript::{Destroyed, EscrowDealt, HandedOut, KeyName};
use crate::evidence::verify::{self, RecordedPlan, Row, Verified};
use crate::ground::words::{self, Digest};

/// What must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Task {
    /// No receipt says that the KMS took it.
    Import,
    /// Its import parameters expired before a receipt said that the KMS took it.
    ImportAgain,
    /// The KMS took it; an answer of the KMS would prove that it holds this data key.
    Prove,
    /// The KMS deletes the material then.
    Reimport,
    /// The KMS has deleted the material.
    Expired,
}

impl Task {
    /// What it is about, for people.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Import => "not imported yet, as far as receipts say",
            Self::ImportAgain => "not imported in time, as far as receipts say",
            Self::Prove => "imported, not proved",
            Self::Reimport => "the KMS deletes the material",
            Self::Expired => "the KMS has deleted the material: nothing decrypts",
        }
    }

    /// Who must act.
    pub(crate) fn who(self) -> &'static str {
        match self {
            Self::Import | Self::Prove => "cloud operator",
            Self::ImportAgain | Self::Reimport | Self::Expired => "security officers",
        }
    }
}

/// An import of a data key, the last into its KMS key, and how far it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Held {
    /// The data key's label.
    pub label: String,
    /// The import's name.
    pub import: String,
    /// The KMS key.
    #[serde(flatten)]
    pub kms_key: KeyName,
    /// How far it came, by the receipts.
    pub kms: &'static str,
    /// When the KMS took it; if no receipt says so, when it was wrapped.
    pub since: Timestamp,
    /// When the KMS deletes the material, or deleted it.
    pub until: Option<Timestamp>,
    /// The record in which it is.
    pub record: PathBuf,
    /// The newest record about the data key: the next ceremony builds on it.
    pub newest: PathBuf,
    /// Whether the next ceremony needs a quorum of shares.
    pub by_quorum: bool,
}

/// Something that must be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Due {
    /// Before when; `None`: as soon as possible, and nothing ends.
    pub before: Option<Timestamp>,
    /// What.
    pub task: Task,
    /// About which import.
    #[serde(flatten)]
    pub held: Held,
}

impl Due {
    /// The command that begins it.
    pub(crate) fn command(&self) -> String {
        let shell = words::shell_path;
        let held = &self.held;
        match self.task {
            Task::Import => {
                let folder = held.record.join(&held.label).join(&held.import);
                format!("bash {}", shell(&folder.join("import.sh")))
            }
            Task::Prove => format!("byok receipt {} ANSWER", shell(&held.record)),
            Task::ImportAgain | Task::Reimport | Task::Expired => {
                let how = match held.by_quorum {
                    true => "--recover",
                    false => "--reimport",
                };
                format!("byok plan {how} {}", shell(&held.newest))
            }
        }
    }
}

/// All that records say.
#[derive(Default)]
pub(crate) struct Overview {
    /// What must be done, soonest first.
    pub due: Vec<Due>,
    /// Every import that is in a KMS, or on its way.
    pub held: Vec<Held>,
    /// Records that do not hold, and why.
    pub broken: Vec<(PathBuf, String)>,
    /// What else people should know.
    pub remarks: Vec<String>,
    /// How many records were read, and how many of them are practice, or of ceremonies that were aborted.
    pub records: usize,
    /// See `records`.
    pub practice: usize,
    /// See `records`.
    pub aborted: usize,
    /// How many data keys the others are about.
    pub data_keys: usize,
}

/// What these records say at this time.
pub(crate) fn overview(directories: &[PathBuf], now: Timestamp) -> Overview {
    let mut overview = Overview {
        records: directories.len(),
        ..Overview::default()
    };
    let mut known: BTreeMap<Digest, (&Path, Verified)> = BTreeMap::new();
    for directory in directories {
        match verify::verify(directory, None) {
            Err(why) => overview.broken.push((directory.clone(), why.to_string())),
            Ok(verified) if verified.is_aborted() => overview.aborted += 1,
            Ok(verified) if verified.is_rehearsal() => overview.practice += 1,
            // of several copies the first
            Ok(verified) => drop(
                known
                    .entry(verified.chain.head)
                    .or_insert((directory, verified)),
            ),
        }
    }
    let built_on: BTreeSet<Digest> = known
        .values()
        .filter_map(|(_, record)| previous(record))
        .collect();
    let mut fingerprints = BTreeSet::new();
    for (head, (directory, verified)) in &known {
        fingerprints.extend(
            verified
                .chain
                .data_keys()
                .map(|key| key.fingerprint.clone()),
        );
        if !built_on.contains(head) {
            overview.newest(directory, verified, &known, now);
        }
    }
    overview.data_keys = fingerprints.len();
    overview
        .due
        .sort_by_key(|due| (due.before.unwrap_or(now), due.clone()));
    overview
}

/// The head digest of the record that it builds on.
fn previous(record: &Verified) -> Option<Digest> {
    words::digest_from_hex(record.chain.opening().previous_head.as_deref()?)
}

impl Overview {
    /// Adds what a record says that no other builds on, with those before it.
    fn newest(
        &mut self,
        directory: &Path,
        verified: &Verified,
        known: &BTreeMap<Digest, (&Path, Verified)>,
        now: Timestamp,
    ) {
        let mut before = Vec::new();
        let mut at = previous(verified);
        while let Some((place, record)) = at.and_then(|head| known.get(&head)) {
            before.push(place.to_path_buf());
            at = previous(record);
        }
        let followed = match verify::follow(directory, verified, &before) {
            Ok(followed) => followed,
            Err(why) => return self.broken.push((directory.to_owned(), why.what)),
        };
        if let verify::End::NotFollowed { head } = &followed.end {
            self.remarks.push(format!(
                "{}: the record before it is not here, head {head:.16}…: what that one says is missing",
                directory.display()
            ));
        }
        let rows = verify::life(directory, verified, &followed, now);
        let earlier = followed.links.iter().rev();
        let earlier = earlier.map(|link| (link.directory.as_path(), &link.verified));
        let chain: Vec<_> = earlier.chain([(directory, verified)]).collect();
        let ended = |record: &Verified| {
            record
                .chain
                .events::<Destroyed>()
                .map(|gone| gone.label.clone())
                .collect::<Vec<_>>()
        };
        let ended: BTreeSet<String> = chain.iter().flat_map(|(_, record)| ended(record)).collect();
        self.imports(&chain, &rows, &ended, now);
        self.shares(&chain);
    }

    fn imports(
        &mut self,
        chain: &[(&Path, &Verified)],
        rows: &[Row],
        ended: &BTreeSet<String>,
        now: Timestamp,
    ) {
        let Some((newest, _)) = chain.last() else {
            return;
        };
        let mut sent: BTreeMap<KeyName, Told> = BTreeMap::new();
        let mut taken: BTreeMap<KeyName, Told> = BTreeMap::new();
        for (directory, record) in chain {
            let plan = RecordedPlan::of(directory);
            let expiries = plan.expiries();
            for (import, standing) in record.receipts.by_import() {
                if ended.contains(&import.label) {
                    continue;
                }
                let told = Told {
                    ceremony: &record.chain.opening().ceremony,
                    import,
                    held: Held {
                        label: import.label.clone(),
                        import: import.import.clone(),
                        kms_key: import.kms_key.clone(),
                        kms: standing.kms,
                        since: standing.at.unwrap_or(import.wrapped_at),
                        until: expiries.of(&import.label, &import.import),
                        record: directory.to_path_buf(),
                        newest: newest.to_path_buf(),
                        by_quorum: plan.keeps_by_quorum(),
                    },
                };
                let key = import.kms_key.clone();
                if standing.is_accepted() {
                    sent.remove(&key);
                    taken.insert(key, told);
                } else {
                    sent.insert(key, told);
                }
            }
        }
        for told in sent.into_values() {
            let before = told.import.token_until;
            let task = match before.is_some_and(|until| until <= now) {
                true => Task::ImportAgain,
                false => Task::Import,
            };
            self.add(before, task, &told.held);
            self.held.push(told.held);
        }
        for mut told in taken.into_values() {
            told.held.until = told.deleted(rows).or(told.held.until);
            if told.lacks_proof(rows) {
                self.add(None, Task::Prove, &told.held);
            }
            if let Some(at) = told.held.until {
                let task = match at <= now {
                    true => Task::Expired,
                    false => Task::Reimport,
                };
                self.add(Some(at), task, &told.held);
            }
            self.held.push(told.held);
        }
    }

    fn add(&mut self, before: Option<Timestamp>, task: Task, held: &Held) {
        let held = held.clone();
        self.due.push(Due { before, task, held });
    }

    /// Shares of which nobody typed the paper back, of the last that were dealt.
    fn shares(&mut self, chain: &[(&Path, &Verified)]) {
        let dealt = |record: &Verified| record.chain.events::<EscrowDealt>().next().is_some();
        let last = chain.iter().rev().find(|(_, record)| dealt(record));
        let Some((directory, record)) = last else {
            return;
        };
        let handed = record.chain.events::<HandedOut>();
        let back: BTreeSet<u8> = handed
            .filter(|share| share.typed_back)
            .map(|share| share.share)
            .collect();
        let sets = record.chain.events::<EscrowDealt>();
        let unread: Vec<String> = sets
            .flat_map(|set| set.shares.clone())
            .filter(|share| !back.contains(&share.share))
            .map(|share| format!("{} ({})", share.share, words::quoted(&share.custodian)))
            .collect();
        if !unread.is_empty() {
            self.remarks.push(format!(
                "nobody typed these shares back in the ceremony, and each custodian can check the own one: {}: byok share check --record {}",
                unread.join(", "),
                words::shell_path(directory)
            ));
        }
    }
}

/// An import of a record.
struct Told<'a> {
    ceremony: &'a str,
    import: &'a Import,
    held: Held,
}

impl Told<'_> {
    /// Whether an answer of the KMS could still prove it. A later import of the same material may have.
    fn lacks_proof(&self, rows: &[Row]) -> bool {
        let import = self.import;
        let is_it = |row: &&Row| {
            row.ceremony == self.ceremony
                && row.label == import.label
                && row.import.as_ref() == Some(&import.import)
        };
        let mut own = rows.iter().filter(is_it);
        let shown = receipts::is_pair(&import.spec)
            || import.spec.starts_with("HMAC_")
            || import.challenge.is_some();
        shown && !own.any(|row| row.kms == Some(PROVED))
    }

    /// When the KMS deleted what this import brought, if an answer says so.
    fn deleted(&self, rows: &[Row]) -> Option<Timestamp> {
        let gone = rows.iter().filter(|row| {
            row.is_deletion()
                && row.kms_key.as_ref() == Some(&self.import.kms_key)
                && row.at >= self.held.since
        });
        gone.map(|row| row.at).min()
    }
}
