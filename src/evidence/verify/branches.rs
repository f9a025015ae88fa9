//! Where the records branch: sealed records about the same data keys that none of the records that were followed
//! builds on.
//!
//! They are looked for beside each record that was followed, and in the directories that were given. Only their
//! transcripts are read, and nothing vouches for them: they are named, and better no verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::files::head_of;
use super::{Followed, Verified, read_chain};
use crate::evidence::rules::{Broken, Cause, limits, reading};
use crate::evidence::transcript::{self, Chain, Opened, Torn};
use crate::ground::clock;
use crate::ground::words::{self, Digest, quoted, quoted_whole};
use crate::plan::is_marked;

/// What follows for those who build on the other records.
const NOT_KNOWN: &str = "what such records of these data keys dealt, wrapped and kept is not known here: build on the newest, \
    and read every other with byok verify";

/// The most that are named one by one.
const MOST_TOLD: usize = 8;
/// The most bytes of transcripts whose digest is taken, and of those that are then kept: all together no more than one
/// transcript may have.
const MOST_READ: u64 = limits::LARGEST_RECORD / 4;
const MOST_KEPT: u64 = limits::LONGEST_TRANSCRIPT;

/// A record about the same data keys that none of those that were followed builds on.
pub(crate) struct Branch {
    /// Where it was found.
    pub directory: PathBuf,
    /// Its transcript, or why that does not hold.
    pub chain: Result<Chain, Broken>,
    /// The record on which it builds, if that one is known; otherwise it has one of the data keys.
    pub builds_on: Option<PathBuf>,
}

impl Branch {
    /// Its path, and what it is.
    fn told(&self) -> String {
        let what = match &self.chain {
            Ok(chain) => {
                let (kind, at) = (&chain.opening().kind, clock::for_people(chain.end().at));
                format!("{}, sealed {at}", quoted(&kind.to_string()))
            }
            Err(broken) => format!("broken ({broken})"),
        };
        let how = match &self.builds_on {
            Some(record) => format!("builds on {}", record.display()),
            None => "has the same data key".to_owned(),
        };
        quoted_whole(&format!("{} ({what}; {how})", self.directory.display()))
    }
}

/// All that were found.
#[derive(Default)]
pub(crate) struct Branches {
    /// The records, in the order of their names.
    pub records: Vec<Branch>,
    /// Whether there is more beside the records than byok reads.
    pub more: bool,
}

impl Branches {
    /// The transcripts that hold.
    pub(crate) fn chains(&self) -> impl Iterator<Item = (&Path, &Chain)> {
        let records = self.records.iter();
        records.filter_map(|branch| Some((&*branch.directory, branch.chain.as_ref().ok()?)))
    }

    /// Where the record with this head digest is.
    pub(crate) fn copy_of(&self, head: &str) -> Option<&Path> {
        let mut chains = self.chains();
        let (directory, _) = chains.find(|(_, chain)| words::hex(&chain.head) == head)?;
        Some(directory)
    }

    /// A line for each, and for what is not named.
    pub(crate) fn told(&self) -> Vec<String> {
        let records = self.records.iter().take(MOST_TOLD).map(Branch::told);
        let not_named = self.records.len().saturating_sub(MOST_TOLD);
        let not_named = (not_named > 0).then(|| format!("{not_named} more"));
        let not_read = "there is more beside these records than byok reads: look for others there";
        records
            .chain(not_named)
            .chain(self.more.then(|| not_read.to_owned()))
            .collect()
    }

    /// The same for people who build on these records.
    pub(crate) fn not_built_on(&self) -> Vec<String> {
        let each = |record| format!("not built on: {record}");
        let mut told: Vec<String> = self.told().into_iter().map(each).collect();
        if !told.is_empty() {
            told.push(NOT_KNOWN.to_owned());
        }
        told
    }
}

/// How many records are about the data keys of those that were followed.
pub(crate) fn more_records(count: usize) -> String {
    match count {
        1 => "1 more record of these data keys".to_owned(),
        n => format!("{n} more records of these data keys"),
    }
}

/// Looks for them. Like [`others`](super::others) it ignores aborted records, and rehearsals if this record is real (or
/// the other way round). A run that did not come to its end has made nothing.
pub(crate) fn branches(
    record: &Path,
    verified: &Verified,
    followed: &Followed,
    given: &[PathBuf],
) -> Branches {
    let links = followed.links.iter();
    let links = links.map(|link| (link.directory.as_path(), &link.verified));
    let all: Vec<_> = std::iter::once((record, verified)).chain(links).collect();
    let places = all.iter().filter_map(|(directory, _)| place_of(directory));
    let (beside, more) = directories(places.chain(given.iter().cloned()), given);
    let mut search = Search::of(&all, more);
    search.read(&beside);
    let mut records = search.related();
    records.sort_by(|a, b| a.directory.cmp(&b.directory));
    Branches {
        records,
        more: search.more,
    }
}

/// The directory in which a record stands, as short as the record's own path.
fn place_of(record: &Path) -> Option<PathBuf> {
    let stands = record.canonicalize().ok()?.parent()?.to_owned();
    let written = record.file_name().and(record.parent());
    let written = written.filter(|place| stands_at(place).is_some_and(|place| place == stands));
    Some(written.map_or(stands, Path::to_owned))
}

/// The empty path is where byok was started.
fn stands_at(place: &Path) -> Option<PathBuf> {
    Path::new(".").join(place).canonicalize().ok()
}

/// The directories in these places, and the given ones themselves; no links. Whether there are too many.
fn directories(places: impl Iterator<Item = PathBuf>, given: &[PathBuf]) -> (Vec<PathBuf>, bool) {
    let (mut seen, mut all, mut entries) = (BTreeSet::new(), given.to_vec(), 0);
    for place in places.filter(|place| seen.insert(stands_at(place))) {
        let inside = std::fs::read_dir(Path::new(".").join(&place))
            .into_iter()
            .flatten()
            .flatten();
        for entry in inside.take(limits::MOST_ENTRIES as usize) {
            entries += 1;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                all.push(place.join(entry.file_name()));
            }
        }
    }
    (all, entries >= limits::MOST_ENTRIES)
}

/// A sealed record, of which it is not known yet whether it has to do with those that were followed.
struct Candidate {
    directory: PathBuf,
    head: Digest,
    chain: Result<Chain, Broken>,
    previous_head: Option<Digest>,
}

/// What is known so far. Each transcript is read once.
struct Search {
    /// The known records that nothing was looked for yet that builds on them.
    open: Vec<(Digest, PathBuf)>,
    heads: BTreeSet<Digest>,
    fingerprints: BTreeSet<String>,
    rehearsal: bool,
    candidates: Vec<Candidate>,
    read: u64,
    kept: u64,
    more: bool,
}

impl Search {
    fn of(followed: &[(&Path, &Verified)], more: bool) -> Self {
        let heads = followed.iter();
        let heads = heads.map(|(at, record)| (record.chain.head, at.to_path_buf()));
        let keys = followed.iter().flat_map(|(_, it)| it.chain.data_keys());
        Self {
            open: heads.collect(),
            heads: followed.iter().map(|(_, it)| it.chain.head).collect(),
            fingerprints: keys.map(|key| key.fingerprint.clone()).collect(),
            rehearsal: followed.iter().any(|(_, record)| record.is_rehearsal()),
            candidates: Vec::new(),
            read: 0,
            kept: 0,
            more,
        }
    }

    fn read(&mut self, directories: &[PathBuf]) {
        for directory in directories {
            let candidate = self.candidate(directory);
            self.candidates.extend(candidate);
        }
    }

    fn candidate(&mut self, directory: &Path) -> Option<Candidate> {
        let head = self.new_head(directory)?;
        let chain = match read_chain(directory) {
            Ok((chain, _)) => Ok(chain),
            Err(broken) if broken.cause == Some(Cause::Unfinished) && is_attempt(directory) => {
                return None;
            }
            Err(broken) => Err(broken),
        };
        let opened = match &chain {
            Ok(chain) if chain.is_aborted() => return None,
            Ok(chain) => chain.opening().clone(),
            Err(_) => opened(directory)?,
        };
        let previous = opened.previous_head.as_deref();
        (opened.rehearsal == self.rehearsal).then(|| Candidate {
            directory: directory.to_owned(),
            head,
            chain,
            previous_head: previous.and_then(words::digest_from_hex),
        })
    }

    /// The head digest of a record that is not among the known ones, if that is not more than is read.
    fn new_head(&mut self, directory: &Path) -> Option<Digest> {
        let length = std::fs::symlink_metadata(directory.join(transcript::FILE));
        let length = length.ok()?.len();
        self.read += length;
        if self.read > MOST_READ {
            self.more = true;
            return None;
        }
        let head = head_of(directory)?;
        if !self.heads.insert(head) {
            return None; // one of those that were followed, or a copy
        }
        self.kept += length;
        self.more |= self.kept > MOST_KEPT;
        (self.kept <= MOST_KEPT).then_some(head)
    }

    /// Those that build on a known record or have one of its data keys, and those that build on them.
    fn related(&mut self) -> Vec<Branch> {
        let mut with_key = Vec::new();
        let mut builds: BTreeMap<Option<Digest>, Vec<Candidate>> = BTreeMap::new();
        for candidate in std::mem::take(&mut self.candidates) {
            match &candidate.chain {
                Ok(chain) if self.has_key_of(chain) => with_key.push(candidate),
                _ => builds
                    .entry(candidate.previous_head)
                    .or_default()
                    .push(candidate),
            }
        }
        let mut found = Vec::new();
        let known: BTreeMap<Digest, PathBuf> = (self.open.iter().cloned())
            .chain(with_key.iter().map(|it| (it.head, it.directory.clone())))
            .collect();
        for candidate in with_key {
            let builds_on = candidate.previous_head.and_then(|head| known.get(&head));
            let builds_on = builds_on.cloned();
            self.open
                .push((candidate.head, candidate.directory.clone()));
            found.push(candidate.into_branch(builds_on));
        }
        while let Some((head, directory)) = self.open.pop() {
            for candidate in builds.remove(&Some(head)).unwrap_or_default() {
                self.open
                    .push((candidate.head, candidate.directory.clone()));
                found.push(candidate.into_branch(Some(directory.clone())));
            }
        }
        found
    }

    fn has_key_of(&self, chain: &Chain) -> bool {
        let mut keys = chain.data_keys();
        keys.any(|key| self.fingerprints.contains(&key.fingerprint))
    }
}

impl Candidate {
    fn into_branch(self, builds_on: Option<PathBuf>) -> Branch {
        Branch {
            directory: self.directory,
            chain: self.chain,
            builds_on,
        }
    }
}

/// Whether its name is that of a ceremony that did not finish, or has not finished yet.
fn is_attempt(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    is_marked(&name.to_string_lossy())
}

/// The first line of a transcript that does not hold.
fn opened(directory: &Path) -> Option<Opened> {
    let path = directory.join(transcript::FILE);
    let bytes = reading::read(&path, limits::LONGEST_TRANSCRIPT).ok()?;
    let first = bytes.split_inclusive(|byte| *byte == b'\n').next()?;
    Torn::read(first).ok()?.opened().cloned()
}
