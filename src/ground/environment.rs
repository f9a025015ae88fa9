//! The environment that byok was started with, before anything of it was hidden from an HSM's module.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

static START: OnceLock<BTreeMap<OsString, OsString>> = OnceLock::new();

/// Looks, once.
pub(crate) fn remember() {
    START.get_or_init(|| std::env::vars_os().collect());
}

/// A variable as byok was started with it, whatever was hidden since.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    match START.get() {
        Some(start) => start.get(OsStr::new(name)).cloned(),
        None => std::env::var_os(name),
    }
}

/// The names of all variables that byok was started with.
pub(crate) fn names() -> impl Iterator<Item = &'static OsString> {
    START.get().into_iter().flat_map(BTreeMap::keys)
}
