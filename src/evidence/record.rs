//! The record: one directory, written once. No file is ever overwritten. The final name appears by a single rename,
//! after everything in it is sealed and on disk.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags};

use crate::crypto::sshsig::PublicKey;
use crate::evidence::transcript::{self, Event, Mark, Transcript};
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::files::{create_new, parent, sync_name, write_new};
use crate::ground::words::{self, Digest};

/// Reserves space for the outputs while shares are handed out.
const RESERVED: &str = ".reserved";

/// Signs the whole transcript: takes its exact bytes, returns the signature file's text; `None` is no signature.
pub(crate) type Sign<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Option<String>>;

/// What a finished ceremony leaves behind.
pub(crate) struct Sealed {
    /// The record's directory, under its final name.
    pub directory: PathBuf,
    /// Head digest of the transcript.
    pub head: Digest,
    /// When the first import token expires.
    pub deadline: Option<Timestamp>,
    /// How many exceptions the transcript records.
    pub exceptions: u32,
    /// Who signed it.
    pub signer: Option<PublicKey>,
    /// The directories of earlier attempts, by their names beside it.
    pub attempts: Vec<String>,
}

mod leftover;
mod within;

pub(crate) use leftover::{
    Leftover, SealedBeside, as_it_counts, attempts, attempts_before, damaged_beside, is_unfinished,
    sealed_beside,
};
#[cfg(feature = "room")]
pub(crate) use within::is_within;
pub(crate) use within::refuse_module_within;

/// What KMS needs besides the wrapped material: the file's name in an import's folder.
pub(crate) const IMPORT_TOKEN: &str = "ImportToken.bin";

/// A record that is being written, under the name `<directory>.incomplete`.
pub(crate) struct Record {
    /// Its final name.
    directory: PathBuf,
    /// Its present name.
    working: PathBuf,
    /// Its transcript.
    pub transcript: Transcript,
    /// The name to which an earlier run's leftover was renamed.
    aside: Option<PathBuf>,
    /// What was written so far: path within the record, and digest.
    written: Vec<(String, Digest)>,
}

/// The turn to begin a record. Of two runs that start together, the second waits, and then finds a live transcript.
pub(crate) struct Turn {
    directory: PathBuf,
    /// A lock on the parent directory.
    lock: File,
}

impl Turn {
    /// Waits for the turn, and makes the record's parent directories.
    ///
    /// # Errors
    /// Exit 2 if the record already exists; exit 5 if the disk or its permissions refuse.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        refuse_existing(directory)?;
        let above = parent(directory);
        make_with_parents(&above)?;
        let lock = File::open(&above).map_err(|e| cannot("opening", &above, e))?;
        take_turn(&lock).map_err(|e| cannot("locking", &above, e))?;
        Ok(Self {
            directory: directory.to_owned(),
            lock,
        })
    }
}

impl Record {
    /// Makes `<directory>.incomplete` with an empty, locked transcript. A directory with that name that was found in
    /// this turn is renamed to `<directory>.interrupted-<UTC>` first.
    ///
    /// # Errors
    /// Exit 5 if the disk or its permissions refuse.
    pub(crate) fn open(turn: Turn, leftover: Option<&Leftover>) -> Result<Self> {
        let Turn {
            directory,
            lock: _lock,
        } = turn;
        let working = with_suffix(&directory, ".incomplete");
        let aside = leftover
            .filter(|leftover| leftover.working == working)
            .map(|leftover| rename_to_free(&leftover.working, &directory, ".interrupted-"))
            .transpose()?;
        make_directory(&working)?;
        let path = working.join(transcript::FILE);
        let file = create_new(&path).map_err(|e| cannot("making", &path, e))?;
        let transcript = Transcript::start(file, &path)?;
        sync_directory(&working)?;
        sync_directory(&parent(&directory))?;
        Ok(Self {
            directory,
            working,
            transcript,
            aside,
            written: Vec::new(),
        })
    }

    /// Writes one output: a new file for its owner only, synced, with its `output-written`.
    ///
    /// # Errors
    /// Exit 5 if the file already exists or the disk refuses.
    pub(crate) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<Digest> {
        let _ = self.release(); // checked before the record gets its name
        let target = self.working.join(path);
        let mut directory = self.working.clone();
        for part in Path::new(path)
            .parent()
            .into_iter()
            .flat_map(Path::components)
        {
            directory.push(part);
            // a link to a directory does not count: what this run writes stays in its record
            if !fs::symlink_metadata(&directory).is_ok_and(|kind| kind.is_dir()) {
                make_directory(&directory)?;
            }
        }
        let sha256 = words::sha256(bytes);
        self.written.push((path.to_owned(), sha256));
        write_new(&target, bytes).map_err(|e| cannot("writing", &target, e))?;
        self.transcript
            .append(&Event::OutputWritten(transcript::Output {
                path: path.to_owned(),
                sha256: words::hex(&sha256),
                bytes: bytes.len(),
            }))?;
        Ok(sha256)
    }

    /// Takes the space that the outputs will need, so that a full disk shows before the first share does. The
    /// space is released when the first output is written.
    ///
    /// # Errors
    /// Exit 5 if there is not enough.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<()> {
        let path = self.working.join(RESERVED);
        let file = create_new(&path).map_err(|e| cannot("making", &path, e))?;
        write_zeros(&file, bytes).map_err(|e| cannot("reserving space in", &path, e))
    }

    /// Releases the reserved space.
    fn release(&self) -> Result<()> {
        let path = self.working.join(RESERVED);
        match fs::remove_file(&path) {
            // a read-only disk also says so about a file that is not there
            Err(e) if fs::symlink_metadata(&path).is_ok() => Err(cannot("removing", &path, e)),
            _ => Ok(()),
        }
    }

    /// The new name of an earlier run's leftover.
    pub(crate) fn aside(&self) -> Option<&Path> {
        self.aside.as_deref()
    }

    /// The record's name while it is being written.
    pub(crate) fn working(&self) -> &Path {
        &self.working
    }

    /// Ends the transcript with `last`, has it signed, writes the checksums, and gives the record its final name.
    ///
    /// # Errors
    /// Exit 5 if the disk refuses or somebody took the name meanwhile; whatever the signing fails with. The record
    /// then does not have its final name.
    pub(crate) fn seal(&mut self, last: &Event, sign: Sign) -> Result<Digest> {
        let mark = self.transcript.mark();
        let named = self.end(last, sign).and_then(|()| {
            self.finish()?;
            rename_new(&self.working, &self.directory)
                .map_err(|e| cannot("naming", &self.directory, e))
        });
        if let Err(e) = named {
            // It will be sealed as aborted: a transcript has one last line, and a record has one SHA256SUMS.
            let _ = fs::remove_file(self.working.join(transcript::SUMS));
            self.reopen(mark)?;
            return Err(e);
        }
        // From here on the record exists and verifies: nothing may remove what it names. If a sync fails now, a power
        // cut can lose only the new name, and the next run finds `.incomplete`.
        let _ = sync_directory(&parent(&self.directory));
        Ok(self.transcript.head())
    }

    /// Appends the last line, and writes the signature of the whole transcript beside it.
    ///
    /// # Errors
    /// Exit 5 if the disk refuses; whatever the signing fails with. The line is written all the same.
    pub(crate) fn end(&mut self, last: &Event, sign: Sign) -> Result<()> {
        let _ = self.release(); // checked before the record gets its name
        self.transcript.append(last)?;
        self.transcript.sync()?;
        let path = self.working.join(transcript::FILE);
        let bytes = fs::read(&path).map_err(|e| cannot("reading", &path, e))?;
        if words::sha256(&bytes) != self.transcript.head() {
            return Err(Error::machine(format!(
                "{}: the disk does not return the bytes that were written",
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

    /// Removes the last line again, and its signature.
    ///
    /// # Errors
    /// Exit 5 if the file cannot be shortened.
    pub(crate) fn reopen(&mut self, mark: Mark) -> Result<()> {
        let signature = self.working.join(transcript::HSM_SIGNATURE);
        let _ = fs::remove_file(&signature);
        remove_empty_parents(&signature, &self.working);
        self.transcript.return_to(mark)
    }

    /// Removes every output except the plan, and returns what it removed.
    pub(crate) fn take_back(&mut self) -> Vec<String> {
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

    /// Renames the record of an aborted ceremony, whose last line is written, to `<directory>.aborted-<UTC>`, and
    /// returns that name.
    ///
    /// # Errors
    /// Exit 5 if the disk refuses; the directory then keeps its name.
    pub(crate) fn close_aborted(self) -> Result<PathBuf> {
        self.finish()?;
        rename_to_free(&self.working, &self.directory, ".aborted-")
    }

    fn finish(&self) -> Result<()> {
        self.release()?; // no transcript names this file
        let path = self.working.join(transcript::SUMS);
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

/// No record is written over another.
///
/// # Errors
/// Exit 2 if something already has the record's name.
pub(crate) fn refuse_existing(directory: &Path) -> Result<()> {
    if fs::symlink_metadata(directory).is_err() {
        return Ok(());
    }
    Err(
        Error::usage(format!("the record {} already exists", directory.display()))
            .check("RECORD-EXISTS")
            .hint("byok never overwrites a record: give record.directory in the plan another name"),
    )
}

/// Waits a limited time for another run that is just starting.
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
pub(crate) fn with_suffix(directory: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(directory.as_os_str());
    name.push(suffix);
    name.into()
}

/// Renames to `<directory><mark><UTC>`, with a counter if that name is taken.
fn rename_to_free(from: &Path, directory: &Path, mark: &str) -> Result<PathBuf> {
    let stamp = clock::compact(clock::now());
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

/// Renames without ever replacing; if the file system cannot guarantee that, it checks first.
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

/// Really writes zeros: some file systems promise space that they do not have.
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

/// Makes the directory and its missing parents, each with its name on disk.
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

/// Syncs a directory and everything below it, so that names are on disk as well as contents.
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
            error.hint("the disk is read-only: set record.directory in the plan to a place that can be written")
        }
        io::ErrorKind::PermissionDenied => {
            error.hint("this user may not write there: set record.directory in the plan to another place")
        }
        _ => error.hint("check the disk that holds record.directory, then run the ceremony again"),
    }
}
