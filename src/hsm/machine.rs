//! What this computer is during a ceremony, and what it does: core dumps, network, swap, disk.

use std::fs;
use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit};

use crate::ground::environment;
use crate::ground::error::{Error, Result};
use crate::ground::facts::Machine;

pub(crate) mod medium;
pub(crate) mod others;
mod power;
pub mod sandbox;
mod sockets;
mod start;
mod turn;

pub(crate) use start::was_given;
pub(crate) use turn::{NoTurn, Turn};

/// Switches core dumps off, and makes the process's memory unreadable to other processes of the same user.
/// Files made from now on are for their owner only. Remembers the descriptors and variables that the process was
/// given. `main` calls this first.
///
/// # Errors
/// Exit 5 if the kernel refuses.
pub fn protect_process() -> Result<()> {
    environment::remember();
    start::remember();
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

impl Machine {
    /// Looks at the machine. `directory` is the parent of the record's directory.
    pub(crate) fn look(directory: &Path) -> Self {
        let kernel = rustix::system::uname();
        let limit = rustix::process::getrlimit(Resource::Core);
        let medium_sha256 = medium::read().unwrap_or_default();
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
            live_system: medium_sha256.is_some() || is_live(&read("/proc/cmdline")),
            sleep_states: words_of(&read("/sys/power/state")),
            on_battery: power::on_battery(Path::new("/sys/class/power_supply")),
            medium_sha256,
        }
    }

    /// Whether a power cut would lose the record, and nobody who chose this machine may know.
    pub(crate) fn record_vanishes(&self) -> bool {
        match self.record_file_system.as_str() {
            _ if self.medium_sha256.is_some() => false,
            "tmpfs" | "ramfs" | "rootfs" => true,
            "overlay" | "aufs" => self.live_system,
            _ => false,
        }
    }

    /// The file system that a power cut would lose, for people.
    pub(crate) fn what_vanishes(&self) -> String {
        let live = if self.live_system {
            " of a live system"
        } else {
            ""
        };
        let article = match self.record_file_system.starts_with(['a', 'o']) {
            true => "an",
            false => "a",
        };
        format!("{article} {}{live}", self.record_file_system)
    }

    /// The interfaces that are up, for people.
    pub(crate) fn network_told(&self) -> String {
        match self.interfaces_up.as_slice() {
            [] => "no interface is up except lo".to_owned(),
            up => format!("{} up", up.join(", ")),
        }
    }

    /// What does not stop a ceremony, with what to do about it; one text for each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.swap.is_empty() {
            warnings.push(format!(
                "Swap is in use ({}). byok locks its secrets in memory, so they do not go there; secrets of the HSM's module may. To switch it off: swapoff -a",
                self.swap.join(", ")
            ));
        }
        // nothing on byok's medium puts a computer to sleep
        if self.medium_sha256.is_none() && self.sleep_states.iter().any(|state| state != "disk") {
            warnings.push(
                "This machine can go to sleep, which ends the HSM session. To prevent it, start byok with: systemd-inhibit --what=sleep:idle:handle-lid-switch byok run PLAN".to_owned(),
            );
        }
        if let Some(charge) = self.on_battery {
            warnings.push(format!(
                "This machine runs on its battery, {charge} % charged. A ceremony may take hours: plug it in."
            ));
        }
        warnings
    }
}

/// Refuses file systems without owners and permissions, such as FAT.
///
/// # Errors
/// Exit 5 if `what` would lie on one.
pub(crate) fn refuse_open_file_system(path: &Path, what: &str) -> Result<()> {
    let kind = file_system(path);
    if !matches!(
        kind.as_str(),
        "vfat" | "msdos" | "exfat" | "ntfs" | "ntfs3" | "fuseblk"
    ) {
        return Ok(());
    }
    Err(Error::machine(format!(
        "{what} would lie on {kind}, which has no owners or permissions: everybody could read it"
    ))
    .check("FILE-SYSTEM")
    .hint("use a disk with a Linux file system (ext4, xfs, btrfs)")
    .hint("a stick with such a file system is fine for the copies made afterwards"))
}

/// How live systems identify themselves on the kernel's command line (Debian, Ubuntu, Fedora, Arch).
fn is_live(command_line: &str) -> bool {
    const MARKS: [&str; 5] = [
        "boot=live",
        "boot=casper",
        "rd.live.image",
        "rd.live.dir",
        "archisobasedir",
    ];
    let options: Vec<&str> = command_line
        .split_whitespace()
        .map(|option| option.split_once('=').map_or(option, |(name, _)| name))
        .collect();
    MARKS
        .iter()
        .any(|mark| command_line.split_whitespace().any(|o| o == *mark) || options.contains(mark))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn words_of(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The interfaces of this process's own network namespace that are up, except `lo`.
///
/// The names come from /proc/self/net/dev, which follows the namespace. /sys/class/net may be mounted from
/// another one, so it only answers whether an interface with one of these names is up. A name that it does not
/// know counts as up: silence is not proof of an air gap.
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

/// The kind of file system that holds `path`, or its nearest ancestor that exists: in /proc/self/mounts, the
/// longest mount point that is a prefix.
fn file_system(path: &Path) -> String {
    let existing = path
        .ancestors()
        .find_map(|p| p.canonicalize().ok())
        .unwrap_or_default();
    file_system_in(&read("/proc/self/mounts"), &existing)
}

fn file_system_in(mounts: &str, existing: &Path) -> String {
    let mut best = (0, "unknown");
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(_), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let point = unescaped(point);
        if existing.starts_with(&point) && point.len() >= best.0 {
            best = (point.len(), kind);
        }
    }
    best.1.to_owned()
}

/// /proc/self/mounts writes space, tab, line feed and backslash as three octal digits.
fn unescaped(point: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(point.to_owned(), |point, (code, is)| {
        point.replace(code, is)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "overlay / overlay rw 0 0\n\
        /dev/sdb1 /media/a\\040stick vfat rw 0 0\n\
        tmpfs /run tmpfs rw 0 0\n\
        /dev/sda2 /home ext4 rw 0 0\n";

    #[test]
    fn the_longest_mount_point_tells_the_file_system() {
        let kind = |path| file_system_in(MOUNTS, Path::new(path));
        assert_eq!(kind("/media/a stick/records"), "vfat");
        assert_eq!(kind("/media/a"), "overlay");
        assert_eq!(kind("/run"), "tmpfs");
        assert_eq!(kind("/homely"), "overlay");
        assert_eq!(file_system_in("", Path::new("/")), "unknown");
    }

    #[test]
    fn a_live_system_is_known_by_its_command_line() {
        assert!(is_live(
            "BOOT_IMAGE=/live/vmlinuz boot=live components quiet"
        ));
        assert!(is_live("root=live:CDLABEL=F rd.live.image quiet"));
        assert!(is_live("archisobasedir=arch archisolabel=X"));
        assert!(!is_live("root=/dev/sda2 ro quiet"));
        assert!(!is_live(""));
    }

    #[test]
    fn an_overlay_vanishes_only_where_the_system_is_live() {
        let mut machine = Machine::look(Path::new("/"));
        machine.record_file_system = "overlay".into();
        machine.live_system = false;
        assert!(!machine.record_vanishes());
        machine.live_system = true;
        assert!(machine.record_vanishes());
        assert_eq!(machine.what_vanishes(), "an overlay of a live system");
    }
}
