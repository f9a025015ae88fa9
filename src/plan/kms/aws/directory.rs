//! A directory that holds the public key and the import token as two files.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Dir;

use super::parts::{Pair, assemble, same_content};
use super::{Form, ImportParameters, ParameterFile, file};
use crate::ground::error::{Error, Result};
use crate::ground::words;

/// A directory with import parameters has fewer entries than this.
const MAX_ENTRIES: usize = 256;

/// Reads the pair from the open directory; `name` is its base name.
pub(super) fn read(name: &str, handle: &OwnedFd) -> Result<ImportParameters> {
    let names = entries(name, handle)?;
    let pair = Pair::of(names.iter().map(String::as_str)).map_err(|error| error.doing(name))?;
    let (key_file, key) = read_one(name, handle, pair.key)?;
    let (token_file, token) = read_one(name, handle, pair.token)?;
    for (file, twin) in pair.twins() {
        let bytes = if file == pair.key { &key } else { &token };
        let (_, twin_bytes) = read_one(name, handle, twin)?;
        same_content(file, bytes, twin, &twin_bytes).map_err(|error| error.doing(name))?;
    }
    let mut parameters =
        assemble(Form::Directory, &pair, &key, &token).map_err(|error| error.doing(name))?;
    parameters.files = vec![key_file, token_file];
    Ok(parameters)
}

fn read_one(directory: &str, handle: &OwnedFd, entry: &str) -> Result<(ParameterFile, Vec<u8>)> {
    let name = format!("{directory}/{entry}");
    let bytes = file::read_at(handle.as_fd(), entry, &name)?;
    let sha256 = words::sha256(&bytes);
    Ok((ParameterFile { name, sha256 }, bytes))
}

/// The names in the directory. A name that is not printable UTF-8 cannot be a file of the pair; it is ignored.
fn entries(name: &str, handle: &OwnedFd) -> Result<Vec<String>> {
    let failed = |errno: rustix::io::Errno| {
        let why = std::io::Error::from(errno);
        Error::machine(format!("{name}: cannot be listed: {why}"))
            .hint("check its owner, its mode and the medium it is on, then run again")
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(handle).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let plain = entry.file_name().to_str().ok();
        names.extend(
            plain
                .filter(|name| words::is_printable(name))
                .map(str::to_owned),
        );
        if names.len() > MAX_ENTRIES {
            return Err(
                Error::usage(format!("{name}: holds more than {MAX_ENTRIES} files"))
                    .hint("put the public key and the import token into a separate directory"),
            );
        }
    }
    Ok(names)
}
