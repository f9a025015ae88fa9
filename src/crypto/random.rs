//! Random bytes from the operating system's generator, getrandom(2).

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::ground::error::{Error, Result};

/// Fills `bytes`; `what` says in an error what was being drawn.
///
/// # Errors
/// Exit 5 if the generator fails.
pub(crate) fn fill(bytes: &mut [u8], what: &str) -> Result<()> {
    SysRng
        .try_fill_bytes(bytes)
        .map_err(|e| Error::machine(format!("drawing {what}: {e}")))
}

/// `N` bytes that are no secret: an id, a challenge.
///
/// # Errors
/// As [`fill`].
pub(crate) fn array<const N: usize>(what: &str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes, what)?;
    Ok(bytes)
}
