//! The environment with which byok was started, before anything in it was hidden from an HSM's module.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

static START: OnceLock<BTreeMap<OsString, OsString>> = OnceLock::new();

/// Takes note of it, once.
pub(crate) fn remember() {
    START.get_or_init(|| std::env::vars_os().collect());
}

/// A variable with which byok was started, whatever was hidden since.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    match START.get() {
        Some(start) => start.get(OsStr::new(name)).cloned(),
        None => std::env::var_os(name),
    }
}

/// The names of all variables with which byok was started.
pub(crate) fn names() -> impl Iterator<Item = &'static OsString> {
    START.get().into_iter().flat_map(BTreeMap::keys)
}
