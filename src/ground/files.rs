//! Opens, reads and makes files in the one way that is safe whatever a stranger may have put there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The longest text that people write or bring: a plan, import parameters, a KMS answer.
const SMALL: u64 = 1 << 20;

/// Opens a regular file for reading, and nothing else: it follows links, waits for no FIFO, and reads no device.
///
/// # Errors
/// As `File::open`; and if it is not such a file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    open(path, OFlags::NONBLOCK)
}

/// The same without following a link, for files in a directory where somebody else may have written.
///
/// # Errors
/// As [`open_regular`].
pub(crate) fn open_no_link(path: &Path) -> io::Result<File> {
    open(path, OFlags::NONBLOCK | OFlags::NOFOLLOW)
}

/// With NONBLOCK, so that a FIFO in the file's place cannot block the ceremony.
fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let mut options = File::options();
    let file = options
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// A regular file of at most 1 MiB.
///
/// # Errors
/// As `std::fs::read`; and if it is not such a file.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, SMALL)
}

/// A regular file of at most `most` bytes, a whole number of MiB.
///
/// # Errors
/// As [`read_small`].
pub(crate) fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let mebibytes = most >> 20;
        return Err(io::Error::other(format!("longer than {mebibytes} MiB")));
    }
    Ok(bytes)
}

/// Makes a new file for its owner only, written in full and synced, or no file at all. The caller syncs the
/// directory.
///
/// # Errors
/// The system's; `AlreadyExists` if something has that name.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_new(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // a part of a file would be in the way of the complete file, and look like it
        let _ = fs::remove_file(path);
    }
    written
}

/// Makes a new, empty file for its owner only.
///
/// # Errors
/// As [`write_new`].
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Makes sure that the name of something new survives a power cut.
///
/// # Errors
/// The system's.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    File::open(parent(path)).and_then(|directory| directory.sync_all())
}

/// A path's parent directory.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
