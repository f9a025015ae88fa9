//! Where the records branch: sealed records about the same data keys that none of the records that were followed
//! builds on.
//!
//! They are looked for beside each record that was followed, and in the directories that were given. Only their
//! transcripts are read, and nothing vouches for them: they are named, and better no verdict.

use std::collections::BTreeSet;
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
/// The most bytes of such transcripts that are read.
const MOST_BYTES: u64 = limits::LARGEST_RECORD / 4;

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
    while search.round(&beside) {}
    let mut records = search.found;
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

/// What is known so far.
struct Search {
    /// The head digest of each known record, with its place.
    heads: Vec<(Digest, PathBuf)>,
    fingerprints: BTreeSet<String>,
    rehearsal: bool,
    found: Vec<Branch>,
    read: u64,
    more: bool,
}

impl Search {
    fn of(followed: &[(&Path, &Verified)], more: bool) -> Self {
        let heads = followed.iter();
        let heads = heads.map(|(at, record)| (record.chain.head, at.to_path_buf()));
        let keys = followed.iter().flat_map(|(_, it)| it.chain.data_keys());
        Self {
            heads: heads.collect(),
            fingerprints: keys.map(|key| key.fingerprint.clone()).collect(),
            rehearsal: followed.iter().any(|(_, record)| record.is_rehearsal()),
            found: Vec::new(),
            read: 0,
            more,
        }
    }

    /// Looks at each directory once. Whether it found any: then others may build on those.
    fn round(&mut self, directories: &[PathBuf]) -> bool {
        let before = self.found.len();
        self.read = 0;
        for directory in directories {
            let found = self.look(directory);
            self.found.extend(found);
        }
        self.found.len() > before
    }

    fn look(&mut self, directory: &Path) -> Option<Branch> {
        if self.is_too_much(directory) {
            return None;
        }
        let head = head_of(directory)?;
        if self.heads.iter().any(|(known, _)| *known == head) {
            return None;
        }
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
        let builds_on = self.record_of(opened.previous_head.as_deref());
        let related = builds_on.is_some() || chain.as_ref().is_ok_and(|it| self.has_key_of(it));
        if !related || opened.rehearsal != self.rehearsal {
            return None;
        }
        self.heads.push((head, directory.to_owned()));
        Some(Branch {
            directory: directory.to_owned(),
            chain,
            builds_on,
        })
    }

    /// Whether this transcript would be more than is read; what is read is counted.
    fn is_too_much(&mut self, directory: &Path) -> bool {
        let length = std::fs::symlink_metadata(directory.join(transcript::FILE));
        self.read += length.map_or(0, |file| file.len());
        self.more |= self.read > MOST_BYTES;
        self.read > MOST_BYTES
    }

    fn record_of(&self, named: Option<&str>) -> Option<PathBuf> {
        let named = words::digest_from_hex(named?)?;
        let mut heads = self.heads.iter();
        let (_, directory) = heads.find(|(head, _)| *head == named)?;
        Some(directory.clone())
    }

    fn has_key_of(&self, chain: &Chain) -> bool {
        let mut keys = chain.data_keys();
        keys.any(|key| self.fingerprints.contains(&key.fingerprint))
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
