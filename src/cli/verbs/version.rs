//! `byok --version`: which program this is.

use crate::cli::VERSION;
use crate::cli::verbs::print;
use crate::ground::error::{Error, Result};
use crate::ground::words;

/// What byok was built from, as `build-release.sh` says it. A build without git, or by cargo alone, knows no commit.
const COMMIT: &str = match option_env!("BYOK_COMMIT") {
    Some(commit) => commit,
    None => "not known",
};

/// Version and commit; with `--verbose` the SHA-256 that a record names, to compare with paper.
///
/// # Errors
/// Exit 5 if byok cannot read itself.
pub(crate) fn version(verbose: bool) -> Result<()> {
    let mut text = format!("byok {VERSION}, commit {COMMIT}\n");
    if verbose {
        let own = words::own_digest()
            .map_err(|e| Error::machine(format!("byok cannot read its own file: {e}")))?;
        text += &format!("SHA-256 {}\n\n{}", words::hex(&own), words::rows(&own, 2));
    }
    print(&text)
}
