//! What earlier runs of a record left beside it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::with_suffix;
use crate::crypto::key_id::KeyId;
use crate::evidence::transcript::{self, Attempt, Torn, VoidShares};
use crate::evidence::verify;
use crate::ground::error::{Error, Result};
use crate::ground::files::{open_no_link, parent};
use crate::ground::words;
use crate::plan::{MARKS, is_marked};

/// The most attempts that a record names, the latest of them: no ceremony needs more.
const MOST_ATTEMPTS: usize = 100;

/// An unfinished record that a run left behind, for example in a power cut.
pub(crate) struct Leftover {
    /// The directory: `<directory>.incomplete`, or the name to which an earlier run renamed it.
    pub working: PathBuf,
    /// Label and CKA_ID of everything that the run may have made in the token.
    pub intended: Vec<(String, KeyId)>,
    /// The shares that the run handed out, if people do not know yet that they are void.
    pub void: Option<VoidShares>,
    /// Why its transcript cannot be relied on, if so; then byok destroys nothing because of it.
    pub broken: Option<String>,
}

impl Leftover {
    /// Looks for `<directory>.incomplete`, and for what earlier runs could not destroy: their records are beside
    /// it as `<directory>.interrupted-*` and `<directory>.aborted-*`. Changes nothing.
    ///
    /// # Errors
    /// Exit 5 if a running ceremony holds it.
    pub(crate) fn find(directory: &Path) -> Result<Option<Self>> {
        let working = with_suffix(directory, ".incomplete");
        let mut found = None;
        if fs::symlink_metadata(&working).is_ok() {
            found = Some(Self::read(working, true)?);
        }
        // A run that renamed one may have failed before it could destroy anything.
        for aside in set_aside(directory) {
            let mut earlier = Self::read(aside, false)?;
            earlier.void = None; // the run that renamed it named them
            match &mut found {
                Some(found) => found.intended.extend(earlier.intended),
                None if !earlier.intended.is_empty() => found = Some(earlier),
                None => {}
            }
        }
        Ok(found)
    }

    /// `may_be_live`: a running ceremony may hold it.
    fn read(working: PathBuf, may_be_live: bool) -> Result<Self> {
        let path = working.join(transcript::FILE);
        let cannot = |e: io::Error| {
            Error::machine(format!("{}: {e}", path.display()))
                .check("LEFTOVER")
                .hint(
                    "byok cannot find out whether a ceremony is running there; nothing was touched",
                )
        };
        let bytes = match open_no_link(&path) {
            Ok(mut file) => {
                if may_be_live && is_locked(&file).map_err(cannot)? {
                    return Err(live(&working));
                }
                read_capped(&mut file).map_err(cannot)?
            }
            // No transcript yet, so nothing was made in the token either.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Vec::new()
            }
            Err(e) => return Err(cannot(e)),
        };
        let (intended, void, broken) = match Torn::read(&bytes) {
            Ok(torn) => {
                if may_be_live && is_whole(&working, &torn) {
                    return Err(only_unnamed(&working));
                }
                let named = !may_be_live && is_aborted(&working);
                let torn = as_it_counts(&working, torn);
                (torn.intended(named), torn.void_shares(), None)
            }
            Err(broken) => (Vec::new(), None, Some(broken.to_string())),
        };
        Ok(Self {
            working,
            intended,
            void,
            broken,
        })
    }
}

/// Whether a sealed record is complete, except perhaps for its name.
fn is_whole(directory: &Path, torn: &Torn) -> bool {
    torn.is_sealed() && verify::verify(directory, None).is_ok()
}

/// The transcript without its line `sealed` if a power cut took the rest: outputs, checksums or the signature's file
/// may be missing, so nothing can have been carried out of the room.
pub(crate) fn as_it_counts(directory: &Path, torn: Torn) -> Torn {
    let name = directory.file_name().unwrap_or_default();
    match is_marked(&name.to_string_lossy()) && !is_whole(directory, &torn) {
        true => torn.unsealed(),
        false => torn,
    }
}

/// The power failed between the seal and the rename, or somebody made a record elsewhere and put it here. Nobody has
/// the head of either on paper.
fn only_unnamed(working: &Path) -> Error {
    let shown = working.display().to_string();
    let named = shown.strip_suffix(".incomplete").unwrap_or(&shown);
    let (word, name) = (words::shell_word(&shown), words::shell_word(named));
    Error::usage(format!(
        "{shown} is a complete, sealed record without its final name, {named}: a run was cut off at its very end, or somebody made it elsewhere"
    ))
    .check("LEFTOVER")
    .hint(format!(
        "verify it, then give it its name: byok verify {word} && mv -n {word} {name}"
    ))
    .hint("nobody has its head on paper: verify it with --signers and the transcript signer from paper, or ask who saw that run reach step 12")
    .hint("if it is from that run, its data keys, shares and outputs are good; if nobody knows it, keep it elsewhere as evidence")
    .hint("nothing was touched")
}

/// Whether the name says that the run closed its record as aborted.
fn is_aborted(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    name.to_string_lossy().contains(".aborted-")
}

/// What earlier runs renamed: `<directory>.interrupted-*`, in order of time.
fn set_aside(directory: &Path) -> Vec<PathBuf> {
    let marked = |mark: &str| {
        let mut prefix = directory.file_name().unwrap_or_default().to_owned();
        prefix.push(mark);
        prefix
    };
    let marks = MARKS.map(marked);
    let is_marked = |name: &OsString| {
        marks
            .iter()
            .any(|mark| name.as_encoded_bytes().starts_with(mark.as_encoded_bytes()))
    };
    let mut found: Vec<PathBuf> = beside(directory)
        .filter(|entry| is_marked(&entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Everything in a record's parent directory.
fn beside(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let all = fs::read_dir(parent(directory));
    all.into_iter().flatten().flatten()
}

/// Whether a run of this record began but could not close it.
pub(crate) fn is_unfinished(directory: &Path) -> bool {
    with_suffix(directory, ".incomplete").exists()
}

/// The transcripts of earlier runs of a record that did not finish, each with its directory's name, in order of time;
/// those that do not hold are left out.
pub(crate) fn attempts(directory: &Path) -> Vec<(String, Torn)> {
    let read = |aside: PathBuf| {
        let mut file = open_no_link(&aside.join(transcript::FILE)).ok()?;
        let torn = as_it_counts(&aside, Torn::read(&read_capped(&mut file).ok()?).ok()?);
        let name = aside.file_name().unwrap_or_default().to_string_lossy();
        Some((words::printable(&name), torn))
    };
    let last = [with_suffix(directory, ".incomplete")];
    let all = set_aside(directory).into_iter().chain(last);
    all.filter_map(read).collect()
}

/// The unfinished attempts beside a record, whether they hold or not: whoever copies the record must not lose them
/// unnoticed.
pub(crate) fn attempts_before(directory: &Path) -> Vec<Attempt> {
    let all = set_aside(directory);
    let latest = all.len().saturating_sub(MOST_ATTEMPTS);
    all[latest..].iter().map(|aside| attempt(aside)).collect()
}

fn attempt(aside: &Path) -> Attempt {
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    let file = open_no_link(&aside.join(transcript::FILE));
    let bytes = file.and_then(|mut file| read_capped(&mut file)).ok();
    let ceremony = bytes.as_ref().and_then(|bytes| {
        let torn = Torn::read(bytes).ok()?;
        let id = &torn.opened()?.ceremony;
        (!id.is_empty()).then(|| id.clone())
    });
    Attempt {
        directory: words::printable(&name),
        ceremony,
        head: bytes.map(|bytes| words::hex(&words::sha256(&bytes))),
    }
}

fn live(working: &Path) -> Error {
    Error::machine(format!("a ceremony is running in {}", working.display()))
        .check("LIVE-RUN")
        .hint("let it end, or end it at its own screen; nothing was touched")
}

/// Whether another process holds the file's lock.
fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

/// What the sealed records beside this one name: no trace of another run may be used to destroy it.
#[derive(Default)]
pub(crate) struct SealedBeside {
    /// CKA_IDs of data keys and transcript signers, in hex.
    pub ids: BTreeSet<String>,
    /// Ids of ceremonies.
    pub ceremonies: BTreeSet<String>,
}

/// Reads it: everything that looks like a CKA_ID, because a line that was changed must still protect its object.
pub(crate) fn sealed_beside(directory: &Path) -> SealedBeside {
    let mut sealed = SealedBeside::default();
    for entry in beside(directory) {
        let bytes = open_no_link(&entry.path().join(transcript::FILE))
            .and_then(|mut file| read_capped(&mut file))
            .unwrap_or_default();
        // A renamed attempt protects nothing. Whatever else has a transcript was sealed once, and may have been
        // damaged since.
        let torn = Torn::read(&bytes).map(|torn| as_it_counts(&entry.path(), torn));
        let is_attempt = is_marked(&entry.file_name().to_string_lossy())
            && torn.as_ref().is_ok_and(|torn| !torn.is_sealed());
        if !is_attempt {
            sealed.ids.extend(named_somehow(&bytes, "cka_id"));
            sealed.ceremonies.extend(named_somehow(&bytes, "ceremony"));
        }
    }
    sealed
}

/// A record beside this one that does not hold: nobody knows what it was to protect. Renamed attempts do not count.
pub(crate) fn damaged_beside(directory: &Path) -> Option<PathBuf> {
    let mut records = beside(directory).filter(|entry| {
        let is_record = fs::symlink_metadata(entry.path().join(transcript::FILE)).is_ok();
        is_record && !is_marked(&entry.file_name().to_string_lossy())
    });
    let damaged = records.find(|entry| verify::but_for_unnamed_receipts(&entry.path()).is_err());
    damaged.map(|entry| entry.path())
}

/// Every text value of a member with this name, in bytes that may not be a whole transcript.
fn named_somehow(bytes: &[u8], member: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let before = format!("\"{member}\":\"");
    text.split(&before)
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(text, _)| text.to_owned())
        .collect()
}

fn read_capped(file: &mut File) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    file.take(crate::evidence::rules::limits::LONGEST_TRANSCRIPT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
