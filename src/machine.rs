//! What this computer is and does during a ceremony: clock, core dumps, network, swap, disk.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use serde::Serialize;

use crate::error::{Error, Result};

/// The present time, to the second, from this machine's clock.
pub fn now() -> Timestamp {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `2026-11-22T11:42:03Z` as `20261122T114203Z`, for names of directories.
pub fn compact(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// `2026-11-22 11:42 UTC`, for people.
pub fn for_people(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Switches core dumps off and makes the process's memory unreadable to other processes of the
/// same user; files made from now on are for the owner alone. Called first thing in `main`.
///
/// # Errors
/// Exit 5 where the kernel refuses.
pub fn protect_process() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)
        .map_err(|e| Error::machine(format!("switching core dumps off: {e}")))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| Error::machine(format!("making this process not dumpable: {e}")))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}

/// What the ceremony's third step saw of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Kernel name and release.
    pub kernel: String,
    /// Whether core dumps are off in this process.
    pub core_dumps_off: bool,
    /// Network interfaces that are up, without the loopback one.
    pub interfaces_up: Vec<String>,
    /// Swap areas in use.
    pub swap: Vec<String>,
    /// Kind of the file system that will hold the record, such as `ext4` or `tmpfs`.
    pub record_file_system: String,
}

impl Machine {
    /// Looks. `directory` is where the record's directory will stand.
    pub fn look(directory: &Path) -> Self {
        let kernel = rustix::system::uname();
        let limit = rustix::process::getrlimit(Resource::Core);
        Self {
            kernel: format!(
                "{} {}",
                kernel.sysname().to_string_lossy(),
                kernel.release().to_string_lossy()
            ),
            core_dumps_off: limit.current == Some(0),
            interfaces_up: interfaces_up(),
            swap: swap(),
            record_file_system: file_system(directory),
        }
    }

    /// Whether the record would vanish when the power goes.
    pub fn record_vanishes(&self) -> bool {
        matches!(self.record_file_system.as_str(), "tmpfs" | "ramfs")
    }
}

/// The interfaces of this process's own network namespace that are up, but `lo`.
///
/// The names come from /proc/self/net/dev, which follows the namespace; /sys/class/net, mounted
/// elsewhere, may not, so it is asked only whether a name that exists here is up. A name it does
/// not know counts as up: silence is no proof of an air gap.
fn interfaces_up() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names = table
        .lines()
        .skip(2)
        .filter_map(|line| line.split_once(':'))
        .map(|(n, _)| n.trim());
    names
        .filter(|name| *name != "lo" && is_up(name))
        .map(str::to_owned)
        .collect()
}

fn is_up(interface: &str) -> bool {
    const IFF_UP: u32 = 1; // netdevice(7)
    let Ok(flags) = fs::read_to_string(format!("/sys/class/net/{interface}/flags")) else {
        return true;
    };
    u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).map_or(true, |f| f & IFF_UP != 0)
}

fn swap() -> Vec<String> {
    let table = fs::read_to_string("/proc/swaps").unwrap_or_default();
    table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The kind of file system that holds `path` or its nearest ancestor that exists, from
/// /proc/self/mounts: the longest mount point that is a prefix.
fn file_system(path: &Path) -> String {
    let existing = path
        .ancestors()
        .find_map(|p| p.canonicalize().ok())
        .unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut best = (0, "unknown");
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(_), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if existing.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), kind);
        }
    }
    best.1.to_owned()
}
