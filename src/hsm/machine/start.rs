//! What this process was given at its start, before anything changed it: descriptors, and variables for its loader.

use std::ffi::OsStr;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::ground::environment;
use crate::ground::raw::{self, Inherited};

/// Variables that the dynamic loader reads begin with this.
const LOADER: &str = "LD_";

struct Start {
    /// Their numbers.
    given: Vec<RawFd>,
    /// Taken out once, by the code that closes them.
    descriptors: Mutex<Option<io::Result<Vec<Inherited>>>>,
}

static START: OnceLock<Start> = OnceLock::new();

/// Takes note, once; to be called before this process opens anything.
pub(super) fn remember() {
    START.get_or_init(|| {
        let descriptors = raw::inherited_descriptors();
        let given = descriptors.iter().flatten();
        Start {
            given: given.map(Inherited::number).collect(),
            descriptors: Mutex::new(Some(descriptors)),
        }
    });
}

/// The descriptors from 3 on that byok was started with; `None` if they are not known, or no longer known.
pub(super) fn descriptors() -> Option<io::Result<Vec<Inherited>>> {
    let descriptors = &START.get()?.descriptors;
    let mut descriptors = descriptors.lock().unwrap_or_else(PoisonError::into_inner);
    descriptors.take()
}

/// Whether byok was started with this descriptor: any other descriptor with that number is byok's own.
pub(crate) fn was_given(fd: RawFd) -> bool {
    START.get().is_some_and(|start| start.given.contains(&fd))
}

/// The names of all variables that byok was started with, if they are text.
pub(super) fn names() -> Vec<String> {
    environment::names()
        .filter_map(|name| name.to_str().map(str::to_owned))
        .collect()
}

/// Whether the dynamic loader reads a variable of this name.
pub(super) fn is_the_loaders(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(LOADER.as_bytes())
}

/// The loader's variables that byok was started with: they decided which code was loaded into it.
pub(super) fn loader_variables() -> Vec<String> {
    environment::names()
        .filter(|name| is_the_loaders(name))
        .map(|name| crate::ground::words::printable(&name.to_string_lossy()))
        .collect()
}
