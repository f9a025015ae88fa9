//! Whether what a run wrote was on disk in time, told from its calls: a power cut keeps what was synced.

use std::path::{Path, PathBuf};

use super::Room;
use super::strace::Call;

/// What a call did, and to what.
enum Did {
    Made(PathBuf),
    Wrote(PathBuf, String),
    Synced(PathBuf),
    Removed(PathBuf),
    Named(PathBuf, PathBuf),
}

/// Everything that was not on disk when it had to be: all of the record and of the shares when the record gets
/// its name, that name itself before the end, and what is intended before the token is written to.
pub fn judge(room: &Room, calls: &[Call]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut not_synced: Vec<PathBuf> = Vec::new();
    let mut intended = false;
    let mut named = false;
    for call in calls {
        match did(room, call) {
            None => {
                let in_token = call.file().contains("/tokens/");
                if in_token && intended {
                    faults.push(format!(
                        "the token is written to before what was intended is on disk: {}",
                        call.line
                    ));
                    intended = false;
                }
            }
            Some(Did::Made(path)) => {
                add(&mut not_synced, &path);
                add(&mut not_synced, path.parent().unwrap_or(&path));
            }
            Some(Did::Wrote(path, text)) => {
                intended |= text.contains("-intended");
                add(&mut not_synced, &path);
            }
            Some(Did::Synced(path)) => {
                intended &= !path.ends_with("transcript.jsonl");
                not_synced.retain(|other| *other != path);
            }
            Some(Did::Removed(path)) => not_synced.retain(|other| *other != path),
            Some(Did::Named(from, to)) => {
                let late = not_synced.drain(..).map(|path| {
                    format!(
                        "{} is not on disk when {} becomes {}",
                        path.display(),
                        from.display(),
                        to.display()
                    )
                });
                faults.extend(late);
                add(&mut not_synced, to.parent().unwrap_or(&to));
                named = true;
            }
        }
    }
    let late = not_synced
        .iter()
        .map(|path| format!("{} is not on disk at the end", path.display()));
    faults.extend(late);
    if !named {
        faults.push("no record got its name".into());
    }
    faults
}

fn add(paths: &mut Vec<PathBuf>, path: &Path) {
    if !paths.iter().any(|other| other == path) {
        paths.push(path.to_owned());
    }
}

/// `None` for what happens in the token, which is the HSM's own.
fn did(room: &Room, call: &Call) -> Option<Did> {
    let quoted = || room.dir.path().join(call.path());
    let file = || PathBuf::from(call.file());
    if call.file().contains("/tokens/") || call.path().contains("/tokens/") {
        return None;
    }
    match call.name.as_str() {
        "open" | "openat" | "creat" | "mkdir" | "mkdirat" => Some(Did::Made(quoted())),
        "write" | "writev" | "pwrite64" | "ftruncate" => {
            Some(Did::Wrote(file(), call.line.clone()))
        }
        "fsync" | "fdatasync" => Some(Did::Synced(file())),
        "unlink" | "unlinkat" | "rmdir" => Some(Did::Removed(quoted())),
        "rename" | "renameat" | "renameat2" => {
            let to = call.line.split('"').nth(3).unwrap_or_default();
            Some(Did::Named(quoted(), room.dir.path().join(to)))
        }
        other => panic!("{other} is not known here: {}", call.line),
    }
}
