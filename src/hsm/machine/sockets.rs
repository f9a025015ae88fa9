//! The kernel refuses this process whatever leads to a network, and whatever types at its terminal in a person's
//! place, by a filter on system calls (seccomp(2)).
//!
//! Sockets within this computer stay: AF_UNIX, by which smart-card and HSM daemons are reached, and the netlink
//! socket of udev's events, by which libusb learns about devices.
//!
//! The filter is written out here because a filter made of rules alone knows a system call by its number only:
//! the x32 calls of x86-64 have their own numbers, and calls of another processor's ABI (i386, 32-bit Arm) must
//! get an error, not kill a ceremony.

use seccompiler::sock_filter;

/// The answer of a refused call: `socket(2)` returns it for a socket type that the process may not make.
const EACCES: u32 = 13;

const AF_UNIX: u32 = 1;
const AF_NETLINK: u32 = 16;
const NETLINK_KOBJECT_UEVENT: u32 = 15;

// linux/audit.h, and the numbers of system calls; those from 424 on are the same everywhere
#[cfg(target_arch = "x86_64")]
const ABI: Option<Abi> = Some(Abi {
    architecture: 0xc000_003e,
    socket: 41,
    socketpair: 53,
    ioctl: 16,
});
#[cfg(target_arch = "aarch64")]
const ABI: Option<Abi> = Some(Abi {
    architecture: 0xc000_00b7,
    socket: 198,
    socketpair: 199,
    ioctl: 29,
});
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ABI: Option<Abi> = None;

/// `io_uring_setup`, `_enter`, `_register`: a ring makes sockets past any filter. `pidfd_getfd` takes a socket
/// from another process. `ptrace`, `process_vm_readv`, `process_vm_writev` make another process open one.
#[cfg(target_arch = "aarch64")]
const WAYS_AROUND: [u32; 7] = [425, 426, 427, 438, 117, 270, 271];
#[cfg(not(target_arch = "aarch64"))]
const WAYS_AROUND: [u32; 7] = [425, 426, 427, 438, 101, 310, 311];
/// ioctl(2) requests, asm-generic/ioctls.h: `TIOCSTI` puts a byte into a terminal's input, `TIOCLINUX` pastes
/// a console's selection into it. A module must not answer for the people, nor type into the shell afterwards.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
/// Set in the number of every x32 call, and in no other.
const X32: u32 = 0x4000_0000;

struct Abi {
    architecture: u32,
    socket: u32,
    socketpair: u32,
    ioctl: u32,
}

/// What to deny.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Denied {
    /// Typing at a terminal.
    Keystrokes,
    /// That, and network sockets.
    Sockets,
}

/// Denies it to every thread of this process, and to every program that it starts, for ever.
///
/// # Errors
/// Why the kernel refuses.
pub(super) fn deny(what: Denied) -> Result<(), String> {
    let Some(abi) = ABI else {
        return Err("byok does not know the system calls of this processor".to_owned());
    };
    seccompiler::apply_filter_all_threads(&program(&abi, what)).map_err(|e| e.to_string())
}

/// Where execution continues.
#[derive(Clone, Copy)]
enum To {
    Next,
    Request,
    Family,
    Allow,
    Refuse,
}

/// One instruction, with its jumps still by name.
struct Instruction {
    code: u16,
    k: u32,
    yes: To,
    no: To,
}

// linux/bpf_common.h
const LOAD: u16 = 0x20;
const IS: u16 = 0x15;
const HAS: u16 = 0x45;
const ANSWER: u16 = 0x06;

// linux/seccomp.h: struct seccomp_data; of an argument only its lower half, because the kernel takes an int, and
// for ioctl(2)'s request an unsigned int
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const SECOND_ARGUMENT: u32 = 24;
const THIRD_ARGUMENT: u32 = 32;
const ALLOW: u32 = 0x7fff_0000;
const ERROR: u32 = 0x0005_0000;

fn program(abi: &Abi, what: Denied) -> Vec<sock_filter> {
    let step = |code, k, yes, no| Instruction { code, k, yes, no };
    let load = |k| step(LOAD, k, To::Next, To::Next);
    let answer = |k| step(ANSWER, k, To::Next, To::Next);
    let mut steps = vec![
        load(ARCHITECTURE),
        step(IS, abi.architecture, To::Next, To::Refuse),
        load(NUMBER),
        step(HAS, X32, To::Refuse, To::Next),
    ];
    if what == Denied::Sockets {
        steps.extend(WAYS_AROUND.map(|call| step(IS, call, To::Refuse, To::Next)));
        steps.push(step(IS, abi.socket, To::Family, To::Next));
        steps.push(step(IS, abi.socketpair, To::Family, To::Next));
    }
    steps.push(step(IS, abi.ioctl, To::Request, To::Allow));
    let request = steps.len();
    steps.extend([
        load(SECOND_ARGUMENT),
        step(IS, TIOCSTI, To::Refuse, To::Next),
        step(IS, TIOCLINUX, To::Refuse, To::Allow),
    ]);
    let family = steps.len();
    steps.extend([
        load(FIRST_ARGUMENT),
        step(IS, AF_UNIX, To::Allow, To::Next),
        step(IS, AF_NETLINK, To::Next, To::Refuse),
        load(THIRD_ARGUMENT),
        step(IS, NETLINK_KOBJECT_UEVENT, To::Allow, To::Refuse),
    ]);
    let end = steps.len();
    steps.extend([answer(ALLOW), answer(ERROR | EACCES)]);
    let place = |to, at| match to {
        To::Next => at + 1,
        To::Request => request,
        To::Family => family,
        To::Allow => end,
        To::Refuse => end + 1,
    };
    let jump = |to, at| (place(to, at) - at - 1) as u8; // a few dozen at most, and always ahead
    let written = steps.iter().enumerate().map(|(at, step)| sock_filter {
        code: step.code,
        jt: jump(step.yes, at),
        jf: jump(step.no, at),
        k: step.k,
    });
    written.collect()
}
