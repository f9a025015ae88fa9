//! The medium from which this computer runs, if it is one of byok's. Its first process read it back when the computer
//! started, and left its digest in a file that only root can write (ceremony-scripts/medium/read-back.sh).

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::others;
use crate::ground::error::{Error, Result};
use crate::ground::{files, words};

const FILE: &str = "/run/byok-medium";

/// Whom this process takes for whom (user_namespaces(7)), and what is in it if root is root.
const UID_MAP: &str = "/proc/self/uid_map";
const EVERYBODY: [&str; 3] = ["0", "0", "4294967295"];

/// SHA-256 of the medium, in hex; `None` if this computer runs from something else.
///
/// # Errors
/// Exit 5 if the file is there, and somebody else than root could have written it, or it holds no digest.
///
/// Whoever runs byok could also put other files over those of the kernel: no file can rule that out.
pub(crate) fn read() -> Result<Option<String>> {
    let path = Path::new(FILE);
    let kind = match fs::symlink_metadata(path) {
        Ok(kind) => kind,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(not_believed(&e.to_string())),
    };
    let map = fs::read_to_string(UID_MAP).unwrap_or_default();
    if !map.split_whitespace().eq(EVERYBODY) {
        return Err(not_believed(
            "byok runs in a user namespace, and there everybody can be root",
        ));
    }
    let others = others::who_may_change(path);
    if !kind.is_file() || kind.uid() != 0 || !others.is_empty() {
        return Err(not_believed(
            "somebody else than root could have written it",
        ));
    }
    let text = files::read_small(path).map_err(|e| not_believed(&e.to_string()))?;
    let text = String::from_utf8_lossy(&text);
    match words::digest_from_hex(text.trim_end()) {
        Some(digest) => Ok(Some(words::hex(&digest))),
        None => Err(not_believed("it does not hold a SHA-256")),
    }
}

/// Whether it is believed that this computer runs from one.
pub(crate) fn is_here() -> bool {
    read().is_ok_and(|sha256| sha256.is_some())
}

/// The medium from which this computer runs, for people.
pub(crate) fn told(sha256: Option<&str>) -> String {
    match sha256 {
        Some(sha256) => format!(
            "byok's medium with SHA-256 {sha256}; the record is in memory until it is carried out"
        ),
        None => "it does not run from byok's medium".to_owned(),
    }
}

fn not_believed(why: &str) -> Error {
    Error::machine(format!(
        "{FILE} should say from which medium this computer runs, and cannot be believed: {why}"
    ))
    .check("MEDIUM")
    .hint("find out who made it; start this computer again, from the medium")
}
