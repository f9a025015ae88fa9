//! The record: one directory, written once. No file is ever overwritten, and the final name appears
//! by a single rename after everything in it is sealed and on disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags};

use crate::error::{Error, Result};
use crate::files::{create_new, open_no_link, parent, sync_name, write_new};
use crate::hsm::KeyId;
use crate::machine;
use crate::plan::is_marked;
use crate::transcript::{self, Attempt, Event, Mark, Torn, Transcript, VoidShares};
use crate::verify;
use crate::words::{self, Digest};

/// Holds space for the outputs while shares are handed out.
const RESERVED: &str = ".reserved";

/// The checksum file's name.
pub const SUMS: &str = "SHA256SUMS";

/// What follows the name of a record in that of an attempt that did not come to its end.
pub const MARKS: [&str; 2] = [".interrupted-", ".aborted-"];

/// The most attempts that a record names, the latest of them: more are no ceremony's.
const MOST_ATTEMPTS: usize = 100;

/// Signs the whole transcript: its exact bytes in, the signature's file out; `None` is no signature.
pub type Sign<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Option<String>>;

/// A record that is being written, under the name `<directory>.incomplete`.
pub struct Record {
    /// The name it will have.
    directory: PathBuf,
    /// The name it has.
    working: PathBuf,
    /// Its transcript.
    pub transcript: Transcript,
    /// What was written so far: path within the record, digest.
    written: Vec<(String, Digest)>,
}

/// An unfinished record that a run left when the power went.
pub struct Leftover {
    /// The directory, `<directory>.incomplete`, or what an earlier run renamed that to.
    pub working: PathBuf,
    /// Label and CKA_ID of everything that run may have made in the token.
    pub intended: Vec<(String, KeyId)>,
    /// The shares that run handed out, where nobody was told yet that they are void.
    pub void: Option<VoidShares>,
    /// Why its transcript cannot be relied on, if so; then nothing is destroyed for its sake.
    pub broken: Option<String>,
}

impl Leftover {
    /// Looks for `<directory>.incomplete`, and for what earlier runs could not take back: their records
    /// are beside it as `<directory>.interrupted-*` and `<directory>.aborted-*`. Changes nothing.
    ///
    /// # Errors
    /// Exit 5 where a running ceremony holds it.
    pub fn find(directory: &Path) -> Result<Option<Self>> {
        let working = with_suffix(directory, ".incomplete");
        let mut found = None;
        if fs::symlink_metadata(&working).is_ok() {
            found = Some(Self::read(working, true)?);
        }
        // A run that set one aside may have failed before it could destroy anything.
        for aside in set_aside(directory) {
            let mut earlier = Self::read(aside, false)?;
            earlier.void = None; // the run that set it aside named them
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
                .hint("it cannot be told whether a ceremony runs there; nothing of it was touched")
        };
        let bytes = match open_no_link(&path) {
            Ok(mut file) => {
                if may_be_live && is_locked(&file).map_err(cannot)? {
                    return Err(live(&working));
                }
                read_capped(&mut file).map_err(cannot)?
            }
            // No transcript yet: nothing was made in the token either.
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

/// Whether everything of a sealed record is there but, perhaps, its name.
fn is_whole(directory: &Path, torn: &Torn) -> bool {
    torn.is_sealed() && verify::verify(directory, None).is_ok()
}

/// A transcript without the line `sealed` that the power took the rest of: outputs, checksums or the
/// signature's file may be missing, so nothing was ever carried out of the room.
pub fn as_it_counts(directory: &Path, torn: Torn) -> Torn {
    let name = directory.file_name().unwrap_or_default();
    match is_marked(&name.to_string_lossy()) && !is_whole(directory, &torn) {
        true => torn.unsealed(),
        false => torn,
    }
}

/// The power went in the moment between the seal and the name; or somebody made a record elsewhere and put it here.
/// Nobody has the head of either on paper.
fn only_unnamed(working: &Path) -> Error {
    let shown = working.display().to_string();
    let named = shown.strip_suffix(".incomplete").unwrap_or(&shown);
    let (word, name) = (words::shell_word(&shown), words::shell_word(named));
    Error::usage(format!(
        "{shown} is a whole, sealed record without its name, {named}: of a run that was cut off at its very end, or made elsewhere"
    ))
    .check("LEFTOVER")
    .hint(format!(
        "verify it, then give it its name: byok verify {word} && mv -n {word} {name}"
    ))
    .hint("nobody has its head on paper: verify it with --signers and the transcript signer from paper, or ask who saw that run come to step 12")
    .hint("if it is that run's, its data keys, shares and outputs are good; if nobody knows it, keep it as evidence elsewhere")
    .hint("nothing of it was touched")
}

/// Whether the name says that the run closed its record as aborted.
fn is_aborted(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    name.to_string_lossy().contains(".aborted-")
}

/// What earlier runs set aside: `<directory>.interrupted-*`, in order of time.
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
    let beside = fs::read_dir(parent(directory))
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = beside
        .filter(|entry| is_marked(&entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Whether a run of this record began, and could not close it.
pub fn is_unfinished(directory: &Path) -> bool {
    with_suffix(directory, ".incomplete").exists()
}

/// The transcripts of earlier runs of a record that did not come to their end, each with the name of its
/// directory, in order of time; without those that do not hold.
pub fn attempts(directory: &Path) -> Vec<(String, Torn)> {
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

/// What stands beside a record of attempts that did not come to their end, whether they hold or not: nobody who
/// copies the record is to lose them unseen.
pub fn attempts_before(directory: &Path) -> Vec<Attempt> {
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
        let id = torn.lines.first()?.text("ceremony").to_owned();
        (!id.is_empty()).then_some(id)
    });
    Attempt {
        directory: words::printable(&name),
        ceremony,
        head: bytes.map(|bytes| words::hex(&words::sha256(&bytes))),
    }
}

impl Record {
    /// Makes `<directory>.incomplete` with an empty, locked transcript. A leftover of that name is
    /// set aside first as `<directory>.interrupted-<UTC>`, which is returned.
    ///
    /// # Errors
    /// Exit 2 where the record exists already; exit 5 where the disk or permissions say no, or a
    /// running ceremony holds the name.
    pub fn open(directory: &Path) -> Result<(Self, Option<PathBuf>)> {
        refuse_existing(directory)?;
        let parent = parent(directory);
        make_with_parents(&parent)?;
        // Two runs that start together take turns here; the second then finds a live transcript.
        let turn = File::open(&parent).map_err(|e| cannot("opening", &parent, e))?;
        take_turn(&turn).map_err(|e| cannot("locking", &parent, e))?;
        let working = with_suffix(directory, ".incomplete");
        let aside = Leftover::find(directory)?
            .filter(|leftover| leftover.working == working)
            .map(|leftover| rename_to_free(&leftover.working, directory, ".interrupted-"))
            .transpose()?;
        make_directory(&working)?;
        let path = working.join(transcript::FILE);
        let file = create_new(&path).map_err(|e| cannot("making", &path, e))?;
        let transcript = Transcript::start(file, &path)?;
        sync_directory(&working)?;
        sync_directory(&parent)?;
        let record = Self {
            directory: directory.to_owned(),
            working,
            transcript,
            written: Vec::new(),
        };
        Ok((record, aside))
    }

    /// Writes one output: a new file for the owner alone, synced, with its `output-written`.
    ///
    /// # Errors
    /// Exit 5 where the file exists or the disk says no.
    pub fn write(&mut self, path: &str, bytes: &[u8]) -> Result<Digest> {
        let _ = self.release(); // seen to before the record gets its name
        let target = self.working.join(path);
        let mut directory = self.working.clone();
        for part in Path::new(path)
            .parent()
            .into_iter()
            .flat_map(Path::components)
        {
            directory.push(part);
            // a link to a directory is none: what this run writes stays in its record
            if !fs::symlink_metadata(&directory).is_ok_and(|kind| kind.is_dir()) {
                make_directory(&directory)?;
            }
        }
        let sha256 = words::sha256(bytes);
        self.written.push((path.to_owned(), sha256));
        write_new(&target, bytes).map_err(|e| cannot("writing", &target, e))?;
        self.transcript.append(&Event::OutputWritten {
            path: path.to_owned(),
            sha256: words::hex(&sha256),
            bytes: bytes.len(),
        })?;
        Ok(sha256)
    }

    /// Takes the space that the outputs will need, so that a full disk is found out before the first
    /// share is shown. It is given back when the first output is written.
    ///
    /// # Errors
    /// Exit 5 where there is not enough.
    pub fn reserve(&mut self, bytes: usize) -> Result<()> {
        let path = self.working.join(RESERVED);
        let file = create_new(&path).map_err(|e| cannot("making", &path, e))?;
        write_zeros(&file, bytes).map_err(|e| cannot("reserving space in", &path, e))
    }

    /// Gives the reserved space back.
    fn release(&self) -> Result<()> {
        let path = self.working.join(RESERVED);
        match fs::remove_file(&path) {
            // a read-only disk says so of what is not there, too
            Err(e) if fs::symlink_metadata(&path).is_ok() => Err(cannot("removing", &path, e)),
            _ => Ok(()),
        }
    }

    /// The digest of an output, if it was written.
    pub fn digest_of(&self, path: &str) -> Option<Digest> {
        self.written
            .iter()
            .find(|(name, _)| name == path)
            .map(|(_, sha256)| *sha256)
    }

    /// The name that the record has while it is written.
    pub fn working(&self) -> &Path {
        &self.working
    }

    /// Ends the transcript with `last`, has it signed, writes the checksums, and gives the record its final
    /// name.
    ///
    /// # Errors
    /// Exit 5 where the disk says no or somebody took the name meanwhile; whatever signing fails with. The
    /// record then has not its final name.
    pub fn seal(&mut self, last: &Event, sign: Sign) -> Result<Digest> {
        let mark = self.transcript.mark();
        let named = self.end(last, sign).and_then(|()| {
            self.finish()?;
            rename_new(&self.working, &self.directory)
                .map_err(|e| cannot("naming", &self.directory, e))
        });
        if let Err(e) = named {
            // It will be sealed as aborted: a transcript has one last line, a record one SHA256SUMS.
            let _ = fs::remove_file(self.working.join(SUMS));
            self.reopen(mark)?;
            return Err(e);
        }
        // From here on the record exists and verifies: nothing may take back what it names. A sync
        // that fails now can lose only the name, in a power cut, and the next run finds `.incomplete`.
        let _ = sync_directory(&parent(&self.directory));
        Ok(self.transcript.head())
    }

    /// Appends the last line and puts the signature of the whole beside it.
    ///
    /// # Errors
    /// Exit 5 where the disk says no; whatever signing fails with. The line then stands there all the same.
    pub fn end(&mut self, last: &Event, sign: Sign) -> Result<()> {
        let _ = self.release(); // seen to before the record gets its name
        self.transcript.append(last)?;
        self.transcript.sync()?;
        let path = self.working.join(transcript::FILE);
        let bytes = fs::read(&path).map_err(|e| cannot("reading", &path, e))?;
        if words::sha256(&bytes) != self.transcript.head() {
            return Err(Error::machine(format!(
                "{}: the disk gives back other bytes than were written",
                path.display()
            )));
        }
        match sign(&bytes)? {
            Some(signature) => self.put_signature(&signature),
            None => Ok(()),
        }
    }

    fn put_signature(&self, signature: &str) -> Result<()> {
        let path = self.working.join(transcript::HSM_SIGNATURE);
        make_directory(&self.working.join(transcript::SIGNATURES))?;
        create_new(&path)
            .and_then(|mut file| {
                file.write_all(signature.as_bytes())
                    .and_then(|()| file.sync_all())
            })
            .map_err(|e| cannot("writing", &path, e))
    }

    /// Takes the last line back, and its signature.
    ///
    /// # Errors
    /// Exit 5 where the file cannot be shortened.
    pub fn reopen(&mut self, mark: Mark) -> Result<()> {
        let signature = self.working.join(transcript::HSM_SIGNATURE);
        let _ = fs::remove_file(&signature);
        remove_empty_parents(&signature, &self.working);
        self.transcript.return_to(mark)
    }

    /// Removes every output but the plan, and says which.
    pub fn take_back(&mut self) -> Vec<String> {
        let mut removed = Vec::new();
        self.written.retain(|(path, _)| {
            if path == "plan.toml" {
                return true;
            }
            let target = self.working.join(path);
            let gone = fs::remove_file(&target).is_ok() || !target.exists();
            if gone {
                removed.push(path.clone());
                remove_empty_parents(&target, &self.working);
            }
            !gone
        });
        removed
    }

    /// Gives the record of a ceremony that did not come to its end, whose last line is written, the name
    /// `<directory>.aborted-<UTC>`, which this returns.
    ///
    /// # Errors
    /// Exit 5 where the disk says no; the directory then keeps the name it has.
    pub fn close_aborted(self) -> Result<PathBuf> {
        self.finish()?;
        rename_to_free(&self.working, &self.directory, ".aborted-")
    }

    fn finish(&self) -> Result<()> {
        self.release()?; // no transcript names that file
        let path = self.working.join(SUMS);
        write_new(&path, self.sums().as_bytes()).map_err(|e| cannot("writing", &path, e))?;
        sync_tree(&self.working)
    }

    /// The checksums of every file, as `sha256sum -c` reads them, sorted by path.
    fn sums(&self) -> String {
        let mut files = self.written.clone();
        files.push((transcript::FILE.to_owned(), self.transcript.head()));
        files.sort();
        files
            .iter()
            .map(|(path, sha256)| format!("{}  {path}\n", words::hex(sha256)))
            .collect()
    }
}

/// # Errors
/// Exit 2 where something has the record's name already.
pub fn refuse_existing(directory: &Path) -> Result<()> {
    if fs::symlink_metadata(directory).is_err() {
        return Ok(());
    }
    Err(
        Error::usage(format!("the record {} exists already", directory.display()))
            .check("RECORD-EXISTS")
            .hint("no record is ever overwritten: give record.directory in the plan another name"),
    )
}

/// Waits a while for another run that is just starting; never for ever.
fn take_turn(directory: &File) -> io::Result<()> {
    for _ in 0..50 {
        match directory.try_lock() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
            Err(fs::TryLockError::Error(e)) => return Err(e),
        }
    }
    Err(io::Error::other("another program holds it"))
}

/// `<directory><suffix>`.
pub fn with_suffix(directory: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(directory.as_os_str());
    name.push(suffix);
    name.into()
}

/// Renames to `<directory><mark><UTC>`, with a counter where that name is taken.
fn rename_to_free(from: &Path, directory: &Path, mark: &str) -> Result<PathBuf> {
    let stamp = machine::compact(machine::now());
    for attempt in 1..100 {
        let counter = if attempt == 1 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        let to = with_suffix(directory, &format!("{mark}{stamp}{counter}"));
        match rename_new(from, &to) {
            Ok(()) => return sync_directory(&parent(directory)).map(|()| to),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(cannot("renaming", from, e)),
        }
    }
    Err(Error::machine(format!(
        "renaming {}: no free name",
        from.display()
    )))
}

/// Renames without ever replacing; where the file system cannot promise that, looks first.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        other => other.map_err(io::Error::from),
    }
}

fn live(working: &Path) -> Error {
    Error::machine(format!("a ceremony is running in {}", working.display()))
        .check("LIVE-RUN")
        .hint("let it end, or end it at its own screen; nothing of it was touched")
}

/// Whether another process holds the file's lock.
fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

/// What sealed records beside this one speak of: no trace of another run may be aimed at it.
#[derive(Default)]
pub struct SealedBeside {
    /// CKA_IDs of data keys and transcript signers, in hex.
    pub ids: BTreeSet<String>,
    /// Ids of ceremonies.
    pub ceremonies: BTreeSet<String>,
}

/// Reads them. Of a transcript that does not hold, everything that looks like a CKA_ID is kept.
pub fn sealed_beside(directory: &Path) -> SealedBeside {
    let beside = fs::read_dir(parent(directory))
        .into_iter()
        .flatten()
        .flatten();
    let mut sealed = SealedBeside::default();
    for entry in beside {
        let bytes = open_no_link(&entry.path().join(transcript::FILE))
            .and_then(|mut file| read_capped(&mut file))
            .unwrap_or_default();
        let Ok(torn) = Torn::read(&bytes) else {
            sealed.ids.extend(named_somehow(&bytes));
            continue;
        };
        let torn = as_it_counts(&entry.path(), torn);
        if torn.is_sealed() {
            let known = [
                "key-generated",
                "key-found",
                "key-recovered",
                "transcript-signer",
            ];
            let lines = torn
                .lines
                .iter()
                .filter(|line| known.contains(&line.event.as_str()));
            sealed
                .ids
                .extend(lines.map(|line| line.text("cka_id").to_owned()));
            let ceremony = torn.lines.first().map(|line| line.text("ceremony"));
            sealed.ceremonies.extend(ceremony.map(str::to_owned));
        } else if !is_marked(&entry.file_name().to_string_lossy()) {
            // It has a record's own name, so it was sealed once and has lost its end.
            sealed.ids.extend(named_somehow(&bytes));
        }
    }
    sealed
}

/// Whatever follows `"cka_id":"` in bytes that are no whole transcript any more.
fn named_somehow(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let ids = text.split("\"cka_id\":\"").skip(1);
    ids.filter_map(|rest| rest.split_once('"'))
        .map(|(id, _)| id.to_owned())
        .collect()
}

fn read_capped(file: &mut File) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    file.take(crate::rules::limits::LONGEST_TRANSCRIPT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Zeros that are really written: some file systems promise space that they do not have.
fn write_zeros(mut file: &File, bytes: usize) -> io::Result<()> {
    let block = [0; 4096];
    for _ in 0..bytes.div_ceil(block.len()) {
        file.write_all(&block)?;
    }
    file.sync_all()
}

fn make_directory(path: &Path) -> Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|e| cannot("making", path, e))
}

/// Makes the directory and those above it that are missing, each with its name on disk.
fn make_with_parents(path: &Path) -> Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| cannot("making", path, e))?;
    missing
        .into_iter()
        .try_for_each(|made| sync_name(made).map_err(|e| cannot("syncing", &parent(made), e)))
}

fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| cannot("syncing", path, e))
}

/// Syncs a directory and all below it, so that names are on disk as well as contents.
fn sync_tree(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path).map_err(|e| cannot("reading", path, e))? {
        let entry = entry.map_err(|e| cannot("reading", path, e))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_tree(&entry.path())?;
        }
    }
    sync_directory(path)
}

fn remove_empty_parents(path: &Path, top: &Path) {
    for directory in path
        .ancestors()
        .skip(1)
        .take_while(|directory| *directory != top)
    {
        if fs::remove_dir(directory).is_err() {
            break;
        }
    }
}

fn cannot(doing: &str, path: &Path, why: io::Error) -> Error {
    let error = Error::machine(format!("{doing} {}: {why}", path.display()));
    match why.kind() {
        io::ErrorKind::StorageFull => error.hint("the disk is full: make room, then run the ceremony again"),
        io::ErrorKind::ReadOnlyFilesystem => {
            error.hint("the disk is read-only: let record.directory in the plan name a place that can be written")
        }
        io::ErrorKind::PermissionDenied => {
            error.hint("this user may not write there: let record.directory in the plan name another place")
        }
        _ => error.hint("look at the disk that holds record.directory, then run the ceremony again"),
    }
}
