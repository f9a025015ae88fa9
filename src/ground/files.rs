//! Files opened, read and made in the one way that is safe for what strangers may have laid there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The longest text that people write or bring: a plan, import parameters, an answer of KMS.
const SMALL: u64 = 1 << 20;

/// Opens a regular file to read it, and nothing else: links are followed, no FIFO is waited for, no device is
/// read.
///
/// # Errors
/// As `File::open`, and for anything that is no such file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    open(path, OFlags::NONBLOCK)
}

/// The same, and no link is followed: of what lies in a directory that somebody else may have written.
///
/// # Errors
/// As [`open_regular`].
pub(crate) fn open_no_link(path: &Path) -> io::Result<File> {
    open(path, OFlags::NONBLOCK | OFlags::NOFOLLOW)
}

/// NONBLOCK, so that a FIFO put in the file's place cannot make the room wait.
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
/// As `std::fs::read`, and for anything that is no such file.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, SMALL)
}

/// A regular file of at most `most` bytes, which are whole MiB.
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

/// A new file for the owner alone, written whole and synced, or none. Its directory is synced by the caller.
///
/// # Errors
/// As the system says; `AlreadyExists` where something has that name.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_new(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // a part of a file stands in the way of the whole one, and looks like it
        let _ = fs::remove_file(path);
    }
    written
}

/// A new, empty file for the owner alone.
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

/// Makes the name of what was just made survive a power cut.
///
/// # Errors
/// As the system says.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    File::open(parent(path)).and_then(|directory| directory.sync_all())
}

/// The directory that a path stands in.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
