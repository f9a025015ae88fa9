//! Standard output belongs to byok: programs read it, and people take the head digest from it. The HSM's module is
//! somebody else's code in this process and may print; what it writes to descriptor 1 goes to standard error.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::OnceLock;

/// Standard output as this process was given it, once descriptor 1 is standard error.
static OWN: OnceLock<File> = OnceLock::new();

/// From now on descriptor 1 is standard error, and only byok knows the number of standard output.
pub(crate) fn keep() -> io::Result<()> {
    let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    io::stdout().flush()?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    OWN.set(File::from(own))
        .map_err(|_| io::Error::other("it was kept before"))
}

/// Writes to standard output.
///
/// # Errors
/// The system's, also if the reader is gone.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    match OWN.get() {
        Some(mut own) => own.write_all(bytes),
        None => io::stdout().write_all(bytes),
    }
}

/// Standard output, for finding out what it is.
pub(crate) fn descriptor() -> BorrowedFd<'static> {
    OWN.get().map_or_else(rustix::stdio::stdout, File::as_fd)
}
