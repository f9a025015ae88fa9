//! The files of a record: what there is, and reading it within limits.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use crate::evidence::rules::reading::{TOO_LONG, digest, open, read};
use crate::evidence::rules::{Broken, Cause, Rule, limits};
use crate::evidence::transcript;
use crate::ground::words::{self, Digest};

/// The files of a record by path (separated by `/`); each is read when its digest is needed.
pub(super) struct Files<'a> {
    directory: &'a Path,
    digests: BTreeMap<String, Option<Digest>>,
    /// The empty folders, each path ending in `/`.
    pub empty: Vec<String>,
}

impl<'a> Files<'a> {
    /// Rule 1. Reads only names, types and lengths.
    pub(crate) fn list(directory: &'a Path) -> Result<Self, Broken> {
        transcript_is_there(directory)?;
        let mut found = Found::default();
        found.below(directory, "")?;
        if let Some(name) = found.unreadable.first() {
            return Err(Broken::new(
                Rule::Name,
                format!("{name}: not a readable name"),
            ));
        }
        let (mut digests, mut total) = (BTreeMap::new(), 0);
        for (path, kind, len) in found.entries {
            let broken = |rule, why: &str| Err(Broken::new(rule, why).within(&path));
            if kind.is_dir() {
                continue;
            }
            total += len;
            if !kind.is_file() {
                return broken(Rule::Entry, "neither a regular file nor a directory");
            }
            if len > limits::LONGEST_FILE {
                return broken(Rule::Limit, TOO_LONG);
            }
            if total > limits::LARGEST_RECORD {
                return broken(
                    Rule::Limit,
                    "with this file the record is larger than byok reads",
                );
            }
            digests.insert(path, None);
        }
        Ok(Self {
            directory,
            digests,
            empty: found.empty,
        })
    }

    /// The paths, in order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.digests.keys().map(String::as_str)
    }

    /// The digest of a file; `None` if there is none.
    pub(crate) fn digest(&mut self, path: &str) -> Result<Option<Digest>, Broken> {
        let Some(known) = self.digests.get_mut(path) else {
            return Ok(None);
        };
        if known.is_none() {
            *known = Some(digest(&self.directory.join(path)).map_err(|e| e.within(path))?);
        }
        Ok(*known)
    }

    /// All files with their digests.
    pub(crate) fn into_digests(mut self) -> Result<BTreeMap<String, Digest>, Broken> {
        let paths: Vec<String> = self.paths().map(str::to_owned).collect();
        let mut all = BTreeMap::new();
        for path in paths {
            if let Some(digest) = self.digest(&path)? {
                all.insert(path, digest);
            }
        }
        Ok(all)
    }

    /// Whether a file would have this digest with LF in place of its CR LF.
    pub(crate) fn has_other_line_ends(&self, path: &str, sha256: &str) -> Option<Cause> {
        let bytes = read(&self.directory.join(path), limits::LONGEST_FILE).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mended = text.replace("\r\n", "\n");
        let same = words::hex(&words::sha256(mended.as_bytes())) == sha256;
        same.then_some(Cause::LineEnds)
    }
}

/// A directory without a transcript is not a record, whatever else is in it.
fn transcript_is_there(directory: &Path) -> Result<(), Broken> {
    let broken = |rule, why: &str| Err(Broken::new(rule, why).within(transcript::FILE));
    match fs::symlink_metadata(directory.join(transcript::FILE)) {
        Ok(kind) if kind.is_file() => Ok(()),
        Ok(_) => broken(Rule::Entry, "not a regular file"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => broken(Rule::Missing, "missing"),
        Err(e) => broken(Rule::Read, &e.to_string()),
    }
}

#[derive(Default)]
struct Found {
    entries: Vec<(String, fs::FileType, u64)>,
    unreadable: Vec<String>,
    empty: Vec<String>,
}

impl Found {
    /// A folder with everything below it, by name.
    fn below(&mut self, directory: &Path, prefix: &str) -> Result<(), Broken> {
        let shown = match prefix {
            "" => "the record",
            prefix => prefix,
        };
        let cannot = |e: std::io::Error| {
            let broken = Broken::new(Rule::Read, e.to_string()).within(shown);
            broken.because(left_by(prefix))
        };
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory).map_err(cannot)? {
            entries.push(entry.map_err(cannot)?);
            self.few_enough(entries.len())?;
        }
        if entries.is_empty() {
            self.empty.push(prefix.to_owned());
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            self.entry(&entry, prefix).map_err(|e| match e {
                Failure::Io(e) => cannot(e),
                Failure::Broken(broken) => broken,
            })?;
        }
        Ok(())
    }

    fn few_enough(&self, more: usize) -> Result<(), Broken> {
        match (self.entries.len() + more) as u64 > limits::MOST_ENTRIES {
            true => Err(Broken::new(
                Rule::Limit,
                format!(
                    "the record: more than {} files and folders",
                    limits::MOST_ENTRIES
                ),
            )),
            false => Ok(()),
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, prefix: &str) -> Result<(), Failure> {
        if (prefix.len() + entry.file_name().len()) as u64 > limits::LONGEST_PATH {
            let longest = limits::LONGEST_PATH;
            let why = format!("the record: a path in it is longer than {longest} bytes");
            return Err(Failure::Broken(Broken::new(Rule::Limit, why)));
        }
        let shown = match entry.file_name().into_string() {
            Ok(name) if words::is_printable(&name) => name,
            Ok(name) => {
                self.unreadable.push(format!("{prefix}{name}"));
                return Ok(());
            }
            Err(name) => {
                self.unreadable.push(format!("{prefix}{name:?}"));
                return Ok(());
            }
        };
        let path = format!("{prefix}{shown}");
        let kind = entry.file_type().map_err(Failure::Io)?;
        let len = match kind.is_file() {
            true => entry.metadata().map_err(Failure::Io)?.len(),
            false => 0,
        };
        self.entries.push((path.clone(), kind, len));
        self.few_enough(0).map_err(Failure::Broken)?;
        match kind.is_dir() {
            true => self
                .below(&entry.path(), &format!("{path}/"))
                .map_err(Failure::Broken),
            false => Ok(()),
        }
    }
}

enum Failure {
    Io(std::io::Error),
    Broken(Broken),
}

/// Which program leaves files and folders of this name on a medium, whatever people do with it.
pub(super) fn left_by(path: &str) -> Option<Cause> {
    let by = |name: &str| match name.to_ascii_lowercase().as_str() {
        ".ds_store"
        | ".spotlight-v100"
        | ".trashes"
        | ".fseventsd"
        | ".temporaryitems"
        | ".documentrevisions-v100"
        | ".apdisk"
        | ".localized"
        | "__macosx" => Some("macOS"),
        "thumbs.db"
        | "ehthumbs.db"
        | "desktop.ini"
        | "system volume information"
        | "$recycle.bin"
        | "recycler"
        | "found.000"
        | "indexervolumeguid"
        | "wpsettings.dat" => Some("Windows"),
        ".directory" => Some("KDE"),
        "lost+found" => Some("the file system"),
        "@eadir" => Some("a network storage"),
        name if name.starts_with("._") => Some("macOS"),
        name if name.starts_with(".trash-") => Some("a Linux desktop"),
        name if name.starts_with(".nfs") => Some("NFS"),
        _ => None,
    };
    path.split('/').find_map(by).map(Cause::LeftBy)
}

/// The head digest of a transcript; `None` if the file does not begin like one, and then no more of it is read.
pub(super) fn head_of(directory: &Path) -> Option<Digest> {
    const BEGIN: [u8; 9] = *b"{\"seq\":1,";
    let mut file = open(&directory.join(transcript::FILE)).ok()?;
    let mut first = [0; BEGIN.len()];
    file.read_exact(&mut first).ok()?;
    let rest = file.take(limits::LONGEST_TRANSCRIPT);
    let is_one = first == BEGIN;
    is_one.then(|| words::sha256_of(first.chain(rest)).ok())?
}
