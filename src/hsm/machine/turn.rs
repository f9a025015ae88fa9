//! One at a time: a lock on this computer that needs no preparation, works for every user, and ends with the
//! process that holds it.
//!
//! It is flock(2) on an empty file in a directory where everybody may make files. A file there may be anybody's,
//! so byok never writes to it and follows no link. Only a file of this user or of root counts: another user could
//! remove a file of their own, and then two processes would hold the lock. A file that a killed process left
//! behind is not locked, so it is in the way of other users only.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Where the lock may be: the first of these that is such a directory.
const PLACES: [&str; 3] = ["/run/lock", "/dev/shm", "/tmp"];

/// Everybody may make files there, and remove only their own.
const STICKY_AND_OPEN: u32 = 0o1777;

const ROOT: u32 = 0;

/// Everybody may read it, so that everybody may lock it.
const FOR_ALL: u32 = 0o444;

/// How often byok tries, a tenth of a second apart: a process that only looks at a token is soon done.
const LOOKS: usize = 20;

/// The lock, held until this is dropped.
pub(crate) struct Turn {
    path: PathBuf,
    _file: File,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the lock ends: a waiting process checks that the file still has its name. Another user's file stays.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Why the lock was refused.
#[derive(Debug)]
pub(crate) enum NoTurn {
    /// Another process holds it, and kept it for a while.
    Held,
    /// The file with its name is not a lock that byok may rely on.
    Planted {
        /// Its path.
        path: PathBuf,
        /// Its owner; `None` if the file appears and disappears.
        owner: Option<u32>,
    },
    /// The system's error; or there is no directory for it.
    System(io::Error),
}

impl From<io::Error> for NoTurn {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Turn {
    /// Takes the lock of this name.
    ///
    /// # Errors
    /// Why the lock was refused.
    pub(crate) fn take(name: &str) -> Result<Self, NoTurn> {
        let place = PLACES
            .into_iter()
            .map(Path::new)
            .find(|place| is_open(place));
        let place = place.ok_or_else(|| {
            io::Error::other(format!(
                "none of {} is a directory where everybody may make files (mode 1777)",
                PLACES.join(", ")
            ))
        })?;
        Self::take_in(place, name)
    }

    fn take_in(place: &Path, name: &str) -> Result<Self, NoTurn> {
        let path = place.join(format!("{name}.lock"));
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            let file = open_or_make(&path)?;
            match file.try_lock() {
                // its holder may have removed the name meanwhile
                Ok(()) if is_at(&file, &path) => {
                    must_stay(&file, &path)?;
                    return Ok(Self { path, _file: file });
                }
                Ok(()) | Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(e)) => return Err(e.into()),
            }
        }
        Err(NoTurn::Held)
    }
}

fn is_open(place: &Path) -> bool {
    let kind = std::fs::symlink_metadata(place);
    kind.is_ok_and(|kind| {
        kind.is_dir() && kind.uid() == ROOT && kind.mode() & STICKY_AND_OPEN == STICKY_AND_OPEN
    })
}

/// The file with this name, made if it is not there.
fn open_or_make(path: &Path) -> Result<File, NoTurn> {
    const MAKING: usize = 10; // another process may have made it, but not yet opened it to all
    for _ in 0..MAKING {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(found) => {
                let file = File::from(found);
                return match file.metadata()?.is_file() {
                    true => Ok(file),
                    false => Err(in_the_way(path)),
                };
            }
            Err(Errno::NOENT) => match make(path) {
                Err(Errno::EXIST) => continue,
                made => return made.map_err(|e| NoTurn::System(e.into())),
            },
            Err(Errno::ACCESS) => {}
            Err(_) => return Err(in_the_way(path)), // a link, a socket
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(in_the_way(path))
}

/// The file's owner decides, not whether byok could lock it: its owner can remove it.
fn must_stay(file: &File, path: &Path) -> Result<(), NoTurn> {
    match is_trusted(file.metadata()?.uid()) {
        true => Ok(()),
        false => Err(in_the_way(path)),
    }
}

fn is_trusted(owner: u32) -> bool {
    owner == ROOT || owner == rustix::process::geteuid().as_raw()
}

/// Its owner could remove it while byok relies on it, and no other name or directory would serve.
fn in_the_way(path: &Path) -> NoTurn {
    let found = std::fs::symlink_metadata(path);
    NoTurn::Planted {
        path: path.to_owned(),
        owner: found.ok().map(|found| found.uid()),
    }
}

fn make(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(FOR_ALL);
    let file = rustix::fs::open(path, flags, mode)?;
    rustix::fs::fchmod(&file, mode)?; // whatever the umask is
    Ok(File::from(file))
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(file), Ok(named)) => (file.dev(), file.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn whoever_holds_it_keeps_the_others_out_and_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let held = Turn::take_in(place.path(), "token").unwrap();
        let second = Turn::take_in(place.path(), "token");
        assert!(matches!(second, Err(NoTurn::Held)));
        assert!(Turn::take_in(place.path(), "other").is_ok());
        drop(held);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_was_left_behind_is_in_nobodys_way() {
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join("token.lock");
        for mode in [0o644, 0o600] {
            fs::write(&left, "old").unwrap();
            fs::set_permissions(&left, fs::Permissions::from_mode(mode)).unwrap();
            assert!(Turn::take_in(place.path(), "token").is_ok());
        }
    }

    #[track_caller]
    fn planted(place: &Path, name: &str) -> (PathBuf, Option<u32>) {
        match Turn::take_in(place, name) {
            Err(NoTurn::Planted { path, owner }) => (path, owner),
            _ => panic!("taken, or held"),
        }
    }

    /// It is the name itself that has to be free: whoever passes it by meets nobody who comes when it is.
    #[test]
    fn what_somebody_planted_is_neither_followed_nor_written_nor_waited_for_nor_passed_by() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("target");
        fs::write(&target, "precious").unwrap();
        let plants: [fn(&Path, &Path); 4] = [
            |target, plant| symlink(target, plant).unwrap(),
            |_, plant| symlink("/nowhere", plant).unwrap(),
            |_, plant| fs::create_dir(plant).unwrap(),
            |_, plant| {
                let made = std::process::Command::new("mkfifo").arg(plant).status();
                assert!(made.unwrap().success());
            },
        ];
        for (number, made) in plants.iter().enumerate() {
            let plant = place.path().join(format!("token-{number}.lock"));
            made(&target, &plant);
            let own = rustix::process::geteuid().as_raw();
            let told = planted(place.path(), &format!("token-{number}"));
            assert_eq!(told, (plant, Some(own)));
        }
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert!(!Path::new("/nowhere").exists());
    }

    #[test]
    fn a_file_of_another_user_is_no_lock_whether_it_is_held_or_not() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root makes files of other users");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let theirs = place.path().join("token.lock");
        fs::write(&theirs, "theirs").unwrap();
        std::os::unix::fs::chown(&theirs, Some(65533), None).unwrap();
        assert_eq!(
            planted(place.path(), "token"),
            (theirs.clone(), Some(65533))
        );
        let held = File::open(&theirs).unwrap();
        held.lock().unwrap();
        let second = Turn::take_in(place.path(), "token");
        assert!(matches!(second, Err(NoTurn::Held)));
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    }

    #[test]
    fn only_ones_own_files_and_those_of_root_count() {
        let own = rustix::process::geteuid().as_raw();
        assert!(is_trusted(own) && is_trusted(ROOT));
        assert!(!is_trusted(own.wrapping_add(1)) && !is_trusted(65533));
    }
}
