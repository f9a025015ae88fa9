//! One at a time: a lock of this computer that needs nothing prepared, works for every user, and ends with
//! the process that holds it.
//!
//! It is flock(2) on an empty file in a directory where everybody may make files. What lies there may be
//! anybody's, so nothing is ever written to it, no link is followed, and what is no file that all may
//! read is passed by: the next name serves, the same one for everybody. A file that a process left
//! behind when it was killed is not locked, so it is in nobody's way.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Where the lock may lie: the first of these that is a directory of the kind.
const PLACES: [&str; 3] = ["/run/lock", "/dev/shm", "/tmp"];

/// Everybody may make files there, and remove only their own.
const STICKY_AND_OPEN: u32 = 0o1777;

/// Everybody may read it, so that everybody may lock it.
const FOR_ALL: u32 = 0o444;

/// How many names are tried where somebody put something else in the place of the first ones.
const NAMES: usize = 16;

/// How often it is looked, a tenth of a second apart: who only looks at a token is soon done.
const LOOKS: usize = 20;

/// The lock, held until this is dropped.
pub struct Turn {
    path: PathBuf,
    _file: File,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the lock ends: who waits for it looks whether the file still has its name. Another user's stays.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Turn {
    /// Takes the lock of this name; `None` where another process holds it, and goes on holding it for a while.
    ///
    /// # Errors
    /// As the system says; where there is no place for it.
    pub fn take(name: &str) -> io::Result<Option<Self>> {
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

    fn take_in(place: &Path, name: &str) -> io::Result<Option<Self>> {
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            let (path, file) = open(place, name)?;
            match file.try_lock() {
                // the one who held it may have taken the name away meanwhile
                Ok(()) if is_at(&file, &path) => return Ok(Some(Self { path, _file: file })),
                Ok(()) | Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(e)) => return Err(e),
            }
        }
        Ok(None)
    }
}

fn is_open(place: &Path) -> bool {
    let kind = std::fs::symlink_metadata(place);
    kind.is_ok_and(|kind| kind.is_dir() && kind.mode() & STICKY_AND_OPEN == STICKY_AND_OPEN)
}

/// The file of the first name that nobody has put anything else under.
fn open(place: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    for number in 0..NAMES {
        let path = place.join(match number {
            0 => format!("{name}.lock"),
            _ => format!("{name}.{number}.lock"),
        });
        if let Some(file) = open_or_make(&path)? {
            return Ok((path, file));
        }
    }
    Err(io::Error::other(format!(
        "{} names like {} are taken by what is no lock",
        NAMES,
        place.join(name).display()
    )))
}

/// `None` where something else has the name.
fn open_or_make(path: &Path) -> io::Result<Option<File>> {
    const MAKING: usize = 10; // the moments in which another process has made it, and not yet for all
    for _ in 0..MAKING {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(found) => {
                let file = File::from(found);
                let kind = file.metadata()?;
                match kind.is_file() {
                    false => return Ok(None),
                    true if kind.mode() & FOR_ALL == FOR_ALL => return Ok(Some(file)),
                    true => {}
                }
            }
            Err(Errno::NOENT) => match make(path) {
                Err(Errno::EXIST) => continue,
                made => return made.map(Some).map_err(io::Error::from),
            },
            Err(Errno::ACCESS) => {}
            Err(_) => return Ok(None), // a link, a socket
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

fn make(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(FOR_ALL);
    let file = rustix::fs::open(path, flags, mode)?;
    rustix::fs::fchmod(&file, mode)?; // whatever the umask says
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
        let held = Turn::take_in(place.path(), "token").unwrap().unwrap();
        assert!(Turn::take_in(place.path(), "token").unwrap().is_none());
        assert!(Turn::take_in(place.path(), "other").unwrap().is_some());
        drop(held);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_was_left_behind_is_in_nobodys_way() {
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join("token.lock");
        fs::write(&left, "old").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Turn::take_in(place.path(), "token").unwrap().is_some());
    }

    #[test]
    fn what_somebody_planted_is_neither_followed_nor_written_nor_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("target");
        fs::write(&target, "precious").unwrap();
        let plants: [fn(&Path, &Path); 5] = [
            |target, plant| symlink(target, plant).unwrap(),
            |_, plant| symlink("/nowhere", plant).unwrap(),
            |_, plant| fs::create_dir(plant).unwrap(),
            |_, plant| {
                let made = std::process::Command::new("mkfifo").arg(plant).status();
                assert!(made.unwrap().success());
            },
            |_, plant| {
                fs::write(plant, "theirs").unwrap();
                fs::set_permissions(plant, fs::Permissions::from_mode(0o600)).unwrap();
            },
        ];
        for (number, planted) in plants.iter().enumerate() {
            let name = format!("token-{number}");
            planted(&target, &place.path().join(format!("{name}.lock")));
            let held = Turn::take_in(place.path(), &name).unwrap();
            assert!(held.is_some(), "{number}");
            assert!(Turn::take_in(place.path(), &name).unwrap().is_none());
        }
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert!(!Path::new("/nowhere").exists());
    }
}
