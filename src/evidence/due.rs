//! What records say must still be done: imports that nobody reported, proofs that are missing, material that expires.
//!
//! Only records say it. What a KMS holds is known as far as receipts tell, and when material expires is what plans said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::evidence::receipts::{self, Import, PROVED, Standing};
use crate::evidence::rules::Cause;
use crate::evidence::transcript::{EscrowDealt, HandedOut, KeyName};
use crate::evidence::verify::{self, RecordedPlan, Verified};
use crate::ground::words::{self, Digest};
use crate::plan::{Kind, again, is_marked};

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

    /// What people do before its date.
    pub(crate) fn ahead(self) -> &'static [Ahead] {
        const fn ahead(hours: i64, what: &'static str) -> Ahead {
            Ahead { hours, what }
        }
        match self {
            Self::Reimport => {
                const {
                    &[
                        ahead(60 * 24, "plan the ceremony"),
                        ahead(14 * 24, "print the script, invite people"),
                        ahead(24, "get the import parameters"),
                    ]
                }
            }
            Self::Import => const { &[ahead(8, "import it"), ahead(2, "import it")] },
            Self::ImportAgain | Self::Prove | Self::Expired => &[],
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

/// Something that people do so many hours before a task must be done.
pub(crate) struct Ahead {
    /// How many hours before.
    pub hours: i64,
    /// What.
    pub what: &'static str,
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
    pub kms: String,
    /// When the KMS took it; if no receipt says so, when it was wrapped.
    pub since: Timestamp,
    /// When the KMS deletes the material, or deleted it; of what it did not take, when the import parameters expire.
    pub until: Option<Timestamp>,
    /// When the KMS deletes the material by the plan, whether it took it or not.
    #[serde(skip)]
    pub expires: Option<Timestamp>,
    /// The record in which it is.
    pub record: PathBuf,
    /// The newest record about the data key: the next ceremony builds on it.
    pub newest: PathBuf,
    /// Whether the next ceremony needs a quorum of shares.
    pub by_quorum: bool,
    /// The command that asks the KMS for what would prove the import, unless that is done or impossible.
    #[serde(skip)]
    pub prove: Option<String>,
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
    /// What it is about, for people, and how far the import came if that is not said by it.
    pub(crate) fn told(&self) -> String {
        match self.task {
            Task::Import | Task::ImportAgain => format!("{}: {}", self.task.told(), self.held.kms),
            Task::Prove | Task::Reimport | Task::Expired => self.task.told().to_owned(),
        }
    }

    /// The command that begins it.
    pub(crate) fn command(&self) -> String {
        let shell = words::shell_path;
        let held = &self.held;
        match self.task {
            Task::Import => {
                let folder = held.record.join(&held.label).join(&held.import);
                format!("bash {}", shell(&folder.join("import.sh")))
            }
            Task::Prove => held.prove.clone().unwrap_or_default(),
            Task::ImportAgain | Task::Reimport | Task::Expired => {
                let how = again(held.by_quorum);
                format!("byok plan {how} {} --out again.toml", shell(&held.newest))
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
    /// How many records were read, and how many of them are practice, or of ceremonies that did not come to their end.
    pub records: usize,
    /// See `records`.
    pub practice: usize,
    /// See `records`.
    pub aborted: usize,
    /// How many data keys the others are about.
    pub data_keys: usize,
}

/// A record that holds, where it was found.
type Known<'a> = (&'a Path, Verified);

/// What these records say at this time. Each is asked by itself, and none can take back what another says but for a `destroy`,
/// a later import of the same data key into the same KMS key, and CloudTrail: a directory more makes nothing silent unseen.
pub(crate) fn overview(directories: &[PathBuf], now: Timestamp) -> Overview {
    let mut overview = Overview {
        records: directories.len(),
        ..Overview::default()
    };
    let known = overview.read(directories);
    overview.follow(&known);
    let ended = overview.ended(&known);
    let mut by_time: Vec<&Known> = known.values().collect();
    by_time.sort_by_key(|(_, record)| when(record, &known));
    overview.imports(&by_time, &ended, now);
    overview.shares(&by_time, &ended);
    let keys = by_time
        .iter()
        .flat_map(|(_, record)| record.chain.data_keys());
    overview.data_keys = keys
        .map(|key| key.fingerprint.clone())
        .collect::<BTreeSet<_>>()
        .len();
    overview
        .due
        .sort_by_key(|due| (due.before.unwrap_or(now), due.clone()));
    overview
}

/// The head digest of the record that it builds on.
fn previous(record: &Verified) -> Option<Digest> {
    words::digest_from_hex(record.chain.opening().previous_head.as_deref()?)
}

/// What an import is of, and where it goes: one KMS key may hold several materials.
type Place = (String, KeyName);

impl Overview {
    /// What is said if nothing must be done.
    pub(crate) fn nothing(&self) -> &'static str {
        match self.held.is_empty() {
            true => "Nothing is due: these records hold no import.",
            false => "Nothing is due: every import is reported, and none expires.",
        }
    }

    /// The records that hold, by head digest. Of several copies the one with the most receipts counts.
    fn read<'a>(&mut self, directories: &'a [PathBuf]) -> BTreeMap<Digest, Known<'a>> {
        let mut known: BTreeMap<Digest, Known> = BTreeMap::new();
        for directory in directories {
            let verified = match verify::verify(directory, None) {
                Ok(verified) if verified.is_aborted() => {
                    self.aborted += 1;
                    continue;
                }
                Ok(verified) if verified.is_rehearsal() => {
                    self.practice += 1;
                    continue;
                }
                Ok(verified) => verified,
                Err(why) if why.cause == Some(Cause::Unfinished) && is_set_aside(directory) => {
                    self.aborted += 1;
                    continue;
                }
                Err(why) => {
                    self.broken.push((directory.clone(), why.to_string()));
                    continue;
                }
            };
            let (place, other) = match known.remove(&verified.chain.head) {
                Some(known) => known,
                None => {
                    known.insert(verified.chain.head, (directory, verified));
                    continue;
                }
            };
            let (less, more) = match other.receipts.heads.len() <= verified.receipts.heads.len() {
                true => ((place, other), (directory.as_path(), verified)),
                false => ((directory.as_path(), verified), (place, other)),
            };
            let heads = &less.1.receipts.heads;
            if !more.1.receipts.heads.starts_with(heads) {
                let why = format!(
                    "its receipts are not those of its copy {}",
                    words::path(more.0)
                );
                self.broken.push((less.0.to_owned(), why));
            }
            known.insert(more.1.chain.head, more);
        }
        known
    }

    /// Whether each record that no other builds on leads back to the first.
    fn follow(&mut self, known: &BTreeMap<Digest, Known>) {
        let built_on: BTreeSet<Digest> = known
            .values()
            .filter_map(|(_, record)| previous(record))
            .collect();
        for (head, (directory, record)) in known {
            if built_on.contains(head) {
                continue;
            }
            let before: Vec<PathBuf> = earlier(record, known)
                .map(|(place, _)| place.to_path_buf())
                .collect();
            match verify::follow(directory, record, &before) {
                Err(why) => self.broken.push((directory.to_path_buf(), why.what)),
                Ok(followed) => {
                    if let verify::End::NotFollowed { head } = &followed.end {
                        self.remarks.push(format!(
                            "{}: the record before it is not here, head {head:.16}…: what that one says is missing",
                            words::path(directory)
                        ));
                    }
                }
            }
        }
    }

    /// The fingerprints of data keys that a `destroy` ended. Whoever added such a record is told of it.
    fn ended(&mut self, known: &BTreeMap<Digest, Known>) -> BTreeSet<String> {
        let mut ended = BTreeSet::new();
        let is_end = |record: &Verified| record.chain.opening().kind.known() == Some(Kind::Destroy);
        for (directory, end) in known.values().filter(|(_, record)| is_end(record)) {
            let labels = RecordedPlan::of(directory).labels();
            let own = end.chain.data_keys();
            let before = earlier(end, known).flat_map(|(_, record)| record.chain.data_keys());
            let of_labels = own.chain(before).filter(|key| labels.contains(&key.label));
            ended.extend(of_labels.map(|key| key.fingerprint.clone()));
            let labels: Vec<String> = labels.iter().map(|label| words::quoted(label)).collect();
            self.remarks.push(format!(
                "nothing is due for what {} says was destroyed: {}",
                words::path(directory),
                labels.join(", ")
            ));
        }
        ended
    }

    fn imports(&mut self, by_time: &[&Known], ended: &BTreeSet<String>, now: Timestamp) {
        let mut newest: BTreeMap<String, &Path> = BTreeMap::new();
        let mut deletions = Vec::new();
        for (directory, record) in by_time {
            for key in record.chain.data_keys() {
                newest.insert(key.fingerprint.clone(), directory);
            }
            deletions.extend(verify::deletions(&record.receipts));
        }
        // the last that each KMS key was sent of a data key, and the last that it took
        let mut sent: BTreeMap<Place, Held> = BTreeMap::new();
        let mut taken: BTreeMap<Place, Held> = BTreeMap::new();
        for (directory, record) in by_time {
            let plan = RecordedPlan::of(directory);
            let expiries = plan.expiries();
            for (import, standing) in record.receipts.by_import() {
                let place = (import.fingerprint.clone(), import.kms_key.clone());
                if ended.contains(&place.0) {
                    continue;
                }
                if expiries.unreadable(&import.label, &import.import) {
                    let why = format!(
                        "`expires` of {}/{} cannot be read",
                        import.label, import.import
                    );
                    self.broken.push((directory.to_path_buf(), why));
                }
                let expires = expiries.of(&import.label, &import.import);
                let held = Held {
                    label: import.label.clone(),
                    import: import.import.clone(),
                    kms_key: import.kms_key.clone(),
                    kms: standing.told(),
                    since: standing.at.unwrap_or(import.wrapped_at),
                    until: match standing.is_done() {
                        true => expires,
                        false => import.token_until,
                    },
                    expires,
                    record: directory.to_path_buf(),
                    newest: newest.get(&place.0).unwrap_or(directory).to_path_buf(),
                    by_quorum: plan.keeps_by_quorum(),
                    prove: missing_proof(import, &standing, directory),
                };
                if standing.is_done() {
                    let gone = deletions
                        .iter()
                        .filter(|gone| gone.is_of(&standing) && gone.at >= held.since);
                    let until = gone.map(|gone| gone.at).min().or(held.until);
                    sent.remove(&place);
                    taken.insert(place, Held { until, ..held });
                } else {
                    sent.insert(place, held);
                }
            }
        }
        for held in sent.into_values() {
            let task = match held.until.is_some_and(|until| until <= now) {
                true => Task::ImportAgain,
                false => Task::Import,
            };
            self.add(held.until, task, &held);
            self.held.push(held);
        }
        for held in taken.into_values() {
            if held.prove.is_some() {
                self.add(None, Task::Prove, &held);
            }
            if let Some(at) = held.until {
                let task = match at <= now {
                    true => Task::Expired,
                    false => Task::Reimport,
                };
                self.add(Some(at), task, &held);
            }
            self.held.push(held);
        }
    }

    fn add(&mut self, before: Option<Timestamp>, task: Task, held: &Held) {
        let held = held.clone();
        self.due.push(Due { before, task, held });
    }

    /// Shares of which nobody typed the paper back, of the last that were dealt of each data key.
    fn shares(&mut self, by_time: &[&Known], ended: &BTreeSet<String>) {
        let mut last: BTreeMap<String, &Known> = BTreeMap::new();
        for known in by_time {
            let dealt = known.1.chain.events::<EscrowDealt>();
            let labels: BTreeSet<String> = dealt.flat_map(|dealt| dealt.labels.clone()).collect();
            let keys = known.1.chain.data_keys();
            for key in
                keys.filter(|key| labels.contains(&key.label) && !ended.contains(&key.fingerprint))
            {
                last.insert(key.fingerprint.clone(), known);
            }
        }
        let records: BTreeMap<&Path, &Verified> = last
            .values()
            .map(|(place, record)| (*place, record))
            .collect();
        for (directory, record) in records {
            let handed = record
                .chain
                .events::<HandedOut>()
                .filter(|share| share.typed_back);
            let back: BTreeSet<u8> = handed.map(|share| share.share).collect();
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
}

/// When a record was sealed; whatever the clock said, that is after those on which it builds, of which there are so many.
fn when(record: &Verified, known: &BTreeMap<Digest, Known>) -> (Timestamp, usize) {
    let before: Vec<Timestamp> = earlier(record, known)
        .map(|(_, record)| record.chain.end().at)
        .collect();
    let own = record.chain.end().at;
    (
        before.iter().copied().fold(own, Timestamp::max),
        before.len(),
    )
}

/// The records before one, the newest first, as far as they are known.
fn earlier<'a>(
    record: &Verified,
    known: &'a BTreeMap<Digest, Known<'a>>,
) -> impl Iterator<Item = &'a Known<'a>> {
    let first = previous(record).and_then(|head| known.get(&head));
    std::iter::successors(first, |(_, record)| known.get(&previous(record)?))
}

/// Whether byok gave the directory the name of a ceremony that did not come to its end.
fn is_set_aside(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    is_marked(&name.to_string_lossy())
}

/// How to ask the KMS for what would still prove an import.
fn missing_proof(import: &Import, standing: &Standing, record: &Path) -> Option<String> {
    let folder = words::shell_path(&record.join(&import.label).join(&import.import));
    let key = (import.kms.as_str(), import.kms_key.as_str());
    receipts::prove(&import.spec, key, &folder).filter(|_| standing.kms != PROVED)
}
