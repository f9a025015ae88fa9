//! What lies inside a record, by whatever path it is reached.

use std::path::{Component, Path, PathBuf};

use crate::evidence::{record, transcript};
use crate::ground::error::{Error, Result};
use crate::ground::files::parent;

/// A program never comes out of a record: whoever handed the record over would choose what runs here.
///
/// # Errors
/// Exit 2 where the module lies inside one of these records, or below any directory with a transcript.
pub(crate) fn refuse_module_within<'p>(
    module: &Path,
    records: impl IntoIterator<Item = &'p Path>,
) -> Result<()> {
    let is_record = |above: &Path| above.join(transcript::FILE).symlink_metadata().is_ok();
    let inside = ways(module)
        .iter()
        .any(|way| way.ancestors().skip(1).any(is_record));
    if !inside && !records.into_iter().any(|record| is_within(module, record)) {
        return Ok(());
    }
    let module = module.display();
    Err(Error::usage(format!("the PKCS#11 module {module} lies inside a record: it was not loaded"))
        .check("MODULE-IN-RECORD")
        .hint("let hsm.module name the vendor's library as it is installed on this machine: byok plan --module PATH writes it")
        .hint("byok puts no module into a record: find out who did"))
}

/// Whether a path leads into the record, under any of the names that it has on its way.
pub(crate) fn is_within(path: &Path, directory: &Path) -> bool {
    let directory = real(directory);
    let working = record::with_suffix(&directory, ".incomplete");
    let ways = ways(path);
    let mut ways = ways.iter();
    ways.any(|way| way.starts_with(&directory) || way.starts_with(&working))
}

/// Where the file is, and where the link to it is if it is a link.
fn ways(path: &Path) -> [PathBuf; 2] {
    let name = path.file_name().unwrap_or_default();
    [real(path), real(&parent(path)).join(name)]
}

/// The path with its existing part resolved; `..` in what does not exist yet is taken literally.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut known = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    loop {
        if let Ok(found) = known.canonicalize() {
            return missing.iter().rev().fold(found, |mut path, part| {
                if *part == Component::ParentDir.as_os_str() {
                    path.pop();
                } else {
                    path.push(part);
                }
                path
            });
        }
        let Some(last) = known.components().next_back() else {
            return known;
        };
        missing.push(last.as_os_str().to_owned());
        if !known.pop() {
            return path.to_owned();
        }
    }
}
