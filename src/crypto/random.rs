//! Random bytes from the operating system's generator, getrandom(2).

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::ground::error::{Error, Result};

/// Fills `bytes`; an error says with `what` what was being drawn.
///
/// # Errors
/// Exit 5 if the generator fails.
pub(crate) fn fill(bytes: &mut [u8], what: &str) -> Result<()> {
    SysRng
        .try_fill_bytes(bytes)
        .map_err(|e| Error::machine(format!("drawing {what}: {e}")))
}

/// `N` bytes that are not secret: an id, a challenge.
///
/// # Errors
/// As [`fill`].
pub(crate) fn array<const N: usize>(what: &str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes, what)?;
    Ok(bytes)
}
