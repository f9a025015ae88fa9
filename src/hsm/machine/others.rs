//! What other users of this computer could do to what a ceremony relies on: HSM module, PIN file, share files.
//!
//! Root is not counted: no process can protect itself from root.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Bits of a mode: write, read, search, for group and others.
const WRITE: u32 = 0o022;
const READ: u32 = 0o044;
const SEARCH: u32 = 0o011;
/// In such a directory, users can remove and rename only their own files.
const STICKY: u32 = 0o1000;

/// Why other users could replace the file: each part of its path that is theirs, or that they may change. Empty
/// if the path leads nowhere.
pub(crate) fn who_may_change(path: &Path) -> Vec<String> {
    let way = way(path).unwrap_or_default();
    way.iter()
        .filter_map(|(path, kind)| theirs(path, kind).or_else(|| writable(path, kind)))
        .collect()
}

/// Why other users could read the file, if they could.
pub(crate) fn who_may_read(path: &Path) -> Option<String> {
    let way = way(path).unwrap_or_default();
    let (_, kind) = way.last()?;
    let to_read = kind.mode() & READ != 0 && is_reached(&way[..way.len() - 1]);
    to_read.then(|| format!("{} may read it (mode {})", who(kind, READ), mode(kind)))
}

/// Why other users could enter the directory, or put something into it. If they may write to it, it counts as
/// open wherever it is: a closed directory above it may be opened later.
pub(crate) fn who_may_enter(directory: &Path) -> Option<String> {
    let way = way(directory).ok()?;
    let (path, kind) = way.last()?;
    let enters = kind.mode() & SEARCH != 0 && is_reached(&way[..way.len() - 1]);
    let open = match kind.mode() & WRITE {
        0 if enters => Some((who(kind, SEARCH), "enter")),
        0 => None,
        _ => Some((who(kind, WRITE), "write to")),
    };
    let open = open.map(|(who, what)| format!("{who} may {what} it (mode {})", mode(kind)));
    theirs(path, kind).or(open)
}

/// Whether other users can pass through all these directories.
fn is_reached(directories: &[(PathBuf, Metadata)]) -> bool {
    let mut open = directories.iter().filter(|(_, kind)| kind.is_dir());
    open.all(|(_, kind)| kind.mode() & SEARCH != 0)
}

fn theirs(path: &Path, kind: &Metadata) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    let is_theirs = kind.uid() != 0 && kind.uid() != own;
    is_theirs.then(|| format!("{} belongs to user {}", path.display(), kind.uid()))
}

/// The mode of a link means nothing. In a sticky directory, other users cannot replace this user's files.
fn writable(path: &Path, kind: &Metadata) -> Option<String> {
    let sticky = kind.is_dir() && kind.mode() & STICKY != 0;
    let open = kind.mode() & WRITE != 0 && !kind.is_symlink() && !sticky;
    open.then(|| {
        let (who, shown) = (who(kind, WRITE), path.display());
        format!("{who} may write to {shown} (mode {})", mode(kind))
    })
}

fn who(kind: &Metadata, what: u32) -> String {
    match kind.mode() & what & 0o007 {
        0 => format!("group {}", kind.gid()),
        _ => "everybody".to_owned(),
    }
}

fn mode(kind: &Metadata) -> String {
    format!("{:04o}", kind.mode() & 0o7777)
}

/// Everything that decides where the path leads, from the root on: directories, links, and the file itself.
fn way(path: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let whole = std::path::absolute(path)?;
    let mut ahead: VecDeque<PathBuf> = parts(&whole);
    let (mut at, mut links) = (PathBuf::new(), 0);
    let mut way = Vec::new();
    while let Some(part) = ahead.pop_front() {
        if part == Path::new("..") {
            at.pop();
            continue;
        }
        let next = at.join(part);
        let kind = fs::symlink_metadata(&next)?;
        if kind.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::other("too many links"));
            }
            let mut target = parts(&fs::read_link(&next)?);
            target.append(&mut ahead);
            ahead = target;
        } else {
            at.clone_from(&next);
        }
        way.push((next, kind));
    }
    Ok(way)
}

/// The components. An absolute path begins with the root, which replaces everything before it.
fn parts(path: &Path) -> VecDeque<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn whatever_on_the_way_is_open_is_named() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        for directory in ["shut", "real"] {
            fs::create_dir(at(directory)).unwrap();
            set(&at(directory), 0o755);
        }
        fs::write(at("real/module.so"), "").unwrap();
        set(&at("real/module.so"), 0o644);
        symlink("../real/module.so", at("shut/link.so")).unwrap();
        symlink(at("shut/link.so"), at("other.so")).unwrap();
        let files = ["real/module.so", "shut/link.so", "other.so"];
        for file in files {
            assert_eq!(who_may_change(&at(file)), [""; 0], "{file}");
        }
        set(&at("real"), 0o777);
        for file in files {
            let told = who_may_change(&at(file)).join("; ");
            assert!(told.contains("everybody may write to"), "{file}: {told}");
            assert!(told.contains("real (mode 0777)"), "{file}: {told}");
        }
        set(&at("real"), 0o1777);
        assert_eq!(who_may_change(&at("other.so")), [""; 0]);
        set(&at("shut"), 0o775);
        assert_eq!(who_may_change(&at("real/module.so")), [""; 0]);
        let told = who_may_change(&at("other.so")).join("; ");
        assert!(
            told.starts_with("group ") && told.contains("shut"),
            "{told}"
        );
        set(&at("real/module.so"), 0o666);
        let told = who_may_change(&at("real/module.so")).join("; ");
        assert!(told.contains("module.so (mode 0666)"), "{told}");
        assert_eq!(who_may_change(&at("nothing")), [""; 0]);
    }

    #[test]
    fn a_directory_is_open_if_others_may_write_to_it_or_get_there() {
        let top = tempfile::tempdir().unwrap();
        let shares = top.path().join("shares");
        fs::create_dir(&shares).unwrap();
        for (above, mode, open) in [
            (0o700, 0o777, true),
            (0o700, 0o770, true),
            (0o700, 0o755, false),
            (0o755, 0o755, true),
            (0o755, 0o711, true),
            (0o755, 0o744, false),
            (0o755, 0o700, false),
        ] {
            set(top.path(), above);
            set(&shares, mode);
            let told = who_may_enter(&shares);
            assert_eq!(told.is_some(), open, "{above:o} {mode:o}: {told:?}");
        }
        assert_eq!(who_may_enter(&top.path().join("nothing")), None);
    }

    #[test]
    fn a_secret_is_read_by_those_who_get_there() {
        let top = tempfile::tempdir().unwrap();
        let pin = top.path().join("pin");
        fs::write(&pin, "").unwrap();
        for (above, mode, read) in [
            (0o700, 0o644, false),
            (0o755, 0o644, true),
            (0o755, 0o640, true),
            (0o755, 0o600, false),
        ] {
            set(top.path(), above);
            set(&pin, mode);
            assert_eq!(who_may_read(&pin).is_some(), read, "{above:o} {mode:o}");
        }
    }
}
