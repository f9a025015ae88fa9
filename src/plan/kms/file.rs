//! Files of import parameters: opened once, regular files only, and never beyond a limit.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

/// Files of import parameters are far shorter than this; in bytes.
pub(super) const MAX_FILE_LEN: usize = 1 << 20;

/// A file that was read, with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterFile {
    /// Base name; for a file of a directory `<directory>/<file>`.
    pub name: String,
    /// SHA-256 of exactly the bytes that were read.
    pub sha256: Digest,
}

/// What is at the plan's path.
pub(super) enum Opened {
    /// A regular file: base name and content.
    File { name: String, bytes: Vec<u8> },
    /// A directory: base name and handle.
    Directory { name: String, handle: OwnedFd },
}

/// Opens `path`, following links; with `NONBLOCK`, because otherwise a FIFO would block the ceremony for ever.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let name = name_of(path)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| refused(&name, errno))?;
    match kind_of(&name, fd.as_fd())? {
        FileType::Directory => Ok(Opened::Directory { name, handle: fd }),
        kind => {
            let bytes = read_regular(&name, fd, kind)?;
            Ok(Opened::File { name, bytes })
        }
    }
}

/// Reads parameters that are always one file; `fetch` is what to do for somebody who has a directory.
pub(super) fn read_one(path: &Path, fetch: &str) -> Result<(Vec<u8>, ParameterFile)> {
    match open(path)? {
        Opened::File { name, bytes } => {
            let sha256 = words::sha256(&bytes);
            Ok((bytes, ParameterFile { name, sha256 }))
        }
        Opened::Directory { name, .. } => {
            Err(Error::usage(format!("{name}: is a directory")).hint(fetch))
        }
    }
}

/// Reads `entry` of the open directory `parent`; `name` is its name in messages. Links are not followed.
pub(super) fn read_at(parent: BorrowedFd<'_>, entry: &str, name: &str) -> Result<Vec<u8>> {
    let flags =
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::openat(parent, entry, flags, Mode::empty());
    let fd = opened.map_err(|errno| match errno {
        // of one name below an open directory open(2) says it of a link alone
        Errno::LOOP => not_regular(name, "a symbolic link"),
        _ => refused(name, errno),
    })?;
    let kind = kind_of(name, fd.as_fd())?;
    read_regular(name, fd, kind)
}

fn kind_of(name: &str, fd: BorrowedFd<'_>) -> Result<FileType> {
    let stat = rustix::fs::fstat(fd).map_err(|errno| refused(name, errno))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn read_regular(name: &str, fd: OwnedFd, kind: FileType) -> Result<Vec<u8>> {
    match kind {
        FileType::RegularFile => read_capped(name, File::from(fd)),
        FileType::Directory => Err(not_regular(name, "a directory")),
        FileType::Fifo => Err(not_regular(name, "a FIFO")),
        FileType::CharacterDevice | FileType::BlockDevice => Err(not_regular(name, "a device")),
        _ => Err(not_regular(name, "a special file")),
    }
}

fn read_capped(name: &str, file: File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Reading one byte more than allowed shows whether there is more, whatever the announced size.
    file.take(MAX_FILE_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error.to_string()))?;
    if bytes.len() > MAX_FILE_LEN {
        return Err(Error::usage(format!("{name}: is larger than 1 MiB"))
            .hint("import parameters have only a few kilobytes: is it the right file?"));
    }
    Ok(bytes)
}

/// The base name. It is part of digest lines, so it must be one line and mean one file.
fn name_of(path: &Path) -> Result<String> {
    // `.` and `..` have no name of their own.
    let whole = match path.file_name() {
        Some(_) => path.to_path_buf(),
        None => path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
    };
    let name = whole.file_name().and_then(|name| name.to_str());
    match name {
        Some(name) if words::is_printable(name) && !name.contains('\\') => Ok(name.to_owned()),
        _ => Err(
            Error::usage(format!("`{}` has no plain file name", path.display()))
                .hint("rename it: printable UTF-8 characters, no backslash"),
        ),
    }
}

fn refused(name: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Error::usage(format!("{name}: no such file or directory"))
            .hint("check `parameters` in the plan; paths are relative to the plan file"),
        // open(2) says this about a socket.
        Errno::NXIO => not_regular(name, "a socket"),
        _ => unreadable(name, &std::io::Error::from(errno).to_string()),
    }
}

fn unreadable(name: &str, why: &str) -> Error {
    Error::machine(format!("{name}: cannot be read: {why}"))
        .hint("check its owner, its mode and the medium it is on, then run again")
}

fn not_regular(name: &str, what: &str) -> Error {
    Error::usage(format!("{name}: is {what}, not a regular file"))
        .hint("copy the file itself to this place")
}
