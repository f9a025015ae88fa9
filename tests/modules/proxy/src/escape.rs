//! `try-escape:PATH`: tries what a process that was closed must not get, and writes down what came of it:
//! in `C_Initialize`, and in a thread of its own when `C_Login` is called. Lines of three words,
//! `C_Initialize INET 13`: where, what was tried, and `ok`, an errno or `signal N`. Then what this module
//! sees: `env NAME=VALUE`, `fd N TARGET`, `task ID NoNewPrivs=1 Seccomp=2`.

use std::ffi::{c_int, c_long};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

// every program has them in its C library
unsafe extern "C" {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int;
    fn close(descriptor: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn fork() -> c_int;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(code: c_int) -> !;
}

const STREAM: c_int = 1;
const DATAGRAM: c_int = 2;
const RAW: c_int = 3;

/// Name, family, type and protocol.
const SOCKETS: [(&str, c_int, c_int, c_int); 10] = [
    ("UNIX", 1, STREAM, 0),
    ("INET", 2, DATAGRAM, 0),
    ("INET-TCP", 2, STREAM, 0),
    ("INET6", 10, DATAGRAM, 0),
    ("PACKET", 17, RAW, 0),
    ("VSOCK", 40, STREAM, 0),
    ("NETLINK-ROUTE", 16, RAW, 0),
    ("NETLINK-UEVENT", 16, RAW, 15),
    ("ALG", 38, 5, 0),
    ("BLUETOOTH", 31, RAW, 1),
];

#[cfg(target_arch = "x86_64")]
const IOCTL: c_long = 16;
#[cfg(not(target_arch = "x86_64"))]
const IOCTL: c_long = 29;

/// What types at a terminal, also as the kernel reads it of a longer number; and what any program asks of one.
const KEYSTROKES: [(&str, c_long); 5] = [
    ("TIOCSTI", 0x5412),
    ("TIOCSTI-long", 0x7_0000_5412),
    ("TIOCLINUX", 0x541c),
    ("TIOCLINUX-long", 0x7_0000_541c),
    ("TIOCGWINSZ", 0x5413),
];

/// What a call does before it is forwarded.
pub fn at(function: &str, path: &Path) {
    match function {
        "C_Initialize" => {
            let mut told = tries(function);
            told += &seen();
            write(path, &told);
        }
        "C_Login" => {
            let tried = std::thread::spawn(|| tries("thread") + &tasks());
            write(path, &tried.join().unwrap_or_default());
        }
        _ => {}
    }
}

fn write(path: &Path, text: &str) {
    let opened = File::options().append(true).create(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        eprintln!("byok_proxy: {}: {error}", path.display());
    }
}

fn tries(place: &str) -> String {
    let mut told = String::new();
    let mut tell = |what: &str, came: &str| {
        let _ = writeln!(told, "{place} {what} {came}");
    };
    for (name, family, kind, protocol) in SOCKETS {
        // SAFETY: three numbers
        tell(
            name,
            &came_of(unsafe { socket(family, kind, protocol) }.into()),
        );
    }
    let mut pair = [-1; 2];
    // SAFETY: two places for two numbers
    tell(
        "PAIR",
        &came_of(unsafe { socketpair(1, STREAM, 0, pair.as_mut_ptr()) }.into()),
    );
    for descriptor in pair {
        // SAFETY: they were made above, or are -1
        unsafe { close(descriptor) };
    }
    let mut parameters = [0u8; 256];
    // SAFETY: io_uring_setup, with more room than struct io_uring_params takes
    tell(
        "io_uring_setup",
        &came_of(unsafe { syscall(425, 8, parameters.as_mut_ptr()) }),
    );
    // SAFETY: io_uring_enter and io_uring_register, of what is none
    tell(
        "io_uring_enter",
        &came_of(unsafe { syscall(426, -1, 0, 0, 0, 0, 0) }),
    );
    tell(
        "io_uring_register",
        &came_of(unsafe { syscall(427, -1, 0, 0, 0) }),
    );
    for (name, request) in KEYSTROKES {
        // SAFETY: ioctl of a descriptor that there is not: what is refused is told before that is seen
        tell(name, &came_of(unsafe { syscall(IOCTL, -1, request, 0) }));
    }
    #[cfg(target_arch = "x86_64")]
    {
        const X32: c_long = 0x4000_0000;
        // SAFETY: the x32 call of socket: three numbers
        tell(
            "x32-socket",
            &came_of(unsafe { syscall(X32 + 41, 2, DATAGRAM, 0) }),
        );
        tell(
            "i386-getpid",
            &in_child(|| {
                let mut answer: i32 = 20; // getpid
                // SAFETY: it takes no arguments; the kernel changes r8 to r11
                unsafe {
                    std::arch::asm!("int 0x80", inlateout("eax") answer,
                    lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
                }
                if answer > 0 { 0 } else { -answer }
            }),
        );
    }
    told
}

/// Closes what was made.
fn came_of(answer: c_long) -> String {
    if answer < 0 {
        let errno = io::Error::last_os_error().raw_os_error();
        return errno.map_or("?".into(), |errno| errno.to_string());
    }
    if answer > 2 {
        // SAFETY: it was made a moment ago, and nobody else knows of it
        unsafe { close(answer as c_int) };
    }
    "ok".into()
}

/// In a child, because a kernel that does not know such calls ends whoever makes one.
#[cfg(target_arch = "x86_64")]
fn in_child(tried: impl FnOnce() -> i32) -> String {
    let mut status = 0;
    // SAFETY: the child makes one system call and ends
    unsafe {
        match fork() {
            -1 => return "no child".into(),
            0 => _exit(tried()),
            child => waitpid(child, &mut status, 0),
        };
    }
    match (status & 0x7f, status >> 8 & 0xff) {
        (0, 0) => "ok".into(),
        (0, errno) => errno.to_string(),
        (signal, _) => format!("signal {signal}"),
    }
}

fn seen() -> String {
    let mut told = String::new();
    for (name, value) in std::env::vars_os() {
        let _ = writeln!(told, "env {}={}", name.display(), value.display());
    }
    let descriptors = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    for descriptor in descriptors {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        let number = descriptor.file_name();
        let _ = writeln!(told, "fd {} {}", number.display(), target.display());
    }
    told + &tasks()
}

fn tasks() -> String {
    let mut told = String::new();
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    for task in tasks {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(":\t"));
            lines
                .find(|(field, _)| *field == name)
                .map_or("?", |(_, value)| value)
        };
        let (privileges, filter) = (field("NoNewPrivs"), field("Seccomp"));
        let id = task.file_name();
        let _ = writeln!(
            told,
            "task {} NoNewPrivs={privileges} Seccomp={filter}",
            id.display()
        );
    }
    told
}
