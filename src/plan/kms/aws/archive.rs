//! The zip that the console downloads.

use std::io::{Cursor, Read};

use zip::read::{ZipArchive, ZipFile};

use super::parts::{Pair, assemble, same_content};
use super::text::DOWNLOAD;
use super::{Form, ImportParameters};
use crate::ground::error::{Error, Result};
use crate::ground::words;

/// The console puts three files into it.
const MAX_ENTRIES: usize = 16;
/// The longest inflated entry, in bytes.
const MAX_ENTRY_LEN: u64 = 64 * 1024;

/// Base name and inflated content.
type Entry = (String, Vec<u8>);
type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Reads the pair from the bytes of a zip.
pub(super) fn parse(bytes: &[u8]) -> Result<ImportParameters> {
    let entries = entries(bytes)?;
    let pair = Pair::of(entries.iter().map(|(name, _)| name.as_str()))?;
    let content = |wanted: &str| {
        let found = entries.iter().find(|(name, _)| name == wanted);
        found.map_or(&[][..], |(_, content)| content.as_slice())
    };
    for (file, twin) in pair.twins() {
        same_content(file, content(file), twin, content(twin))?;
    }
    assemble(
        Form::ConsoleZip,
        &pair,
        content(pair.key),
        content(pair.token),
    )
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| refused(format!("is a broken zip ({error})")))?;
    if archive.has_duplicate_names() {
        return Err(refused("is a zip with two entries of the same name"));
    }
    if archive.len() > MAX_ENTRIES {
        return Err(refused(format!(
            "is a zip with more than {MAX_ENTRIES} entries"
        )));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for index in 0..archive.len() {
        let Some(entry) = entry(&mut archive, index)? else {
            continue;
        };
        if entries.iter().any(|(name, _)| *name == entry.0) {
            return Err(refused("is a zip with two entries of the same name"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// One entry; `None` for a directory.
fn entry(archive: &mut Archive<'_>, index: usize) -> Result<Option<Entry>> {
    let about = archive.by_index_data(index).map_err(broken)?;
    let path = about.name().map_err(broken)?.into_owned();
    if about.encrypted() {
        return Err(refused("is an encrypted zip"));
    }
    if about.is_symlink() {
        return Err(refused("is a zip with a symbolic link"));
    }
    let name = base_name(&path)?;
    if about.is_dir() {
        return Ok(None);
    }
    let file = archive.by_index(index).map_err(broken)?;
    let content = inflate(&name, file)?;
    Ok(Some((name, content)))
}

fn inflate(name: &str, file: ZipFile<'_, Cursor<&[u8]>>) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    // The announced size is only a claim; reading one byte more than allowed shows the truth.
    file.take(MAX_ENTRY_LEN + 1)
        .read_to_end(&mut content)
        .map_err(|error| refused(format!("is a broken zip: `{name}` ({error})")))?;
    if content.len() as u64 > MAX_ENTRY_LEN {
        return Err(refused(format!(
            "is a zip with a large file: `{name}` has more than 64 KiB"
        )));
    }
    Ok(content)
}

/// The last part of an entry's path; the path must only lead downwards.
fn base_name(path: &str) -> Result<String> {
    let climbs = path.split('/').any(|part| part == "..");
    if climbs || path.starts_with('/') || path.contains(['\\', ':']) || !words::is_printable(path) {
        return Err(refused(format!(
            "is a zip with an unsafe file name: `{path}`"
        )));
    }
    let name = path.trim_end_matches('/').rsplit('/').next();
    Ok(name.unwrap_or_default().to_owned())
}

fn broken(error: zip::result::ZipError) -> Error {
    refused(format!("is a broken zip ({error})"))
}

fn refused(what: impl Into<String>) -> Error {
    Error::usage(what)
        .hint("bring the .zip exactly as it came from the console")
        .hint(DOWNLOAD)
}
