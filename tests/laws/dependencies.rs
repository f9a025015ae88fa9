//! What the house is built of, and which room may do what: no network code anywhere, and each
//! dangerous thing in one place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates that speak to a network, or bring an event loop for it. A name with `*` is a beginning.
const NETWORK: [&str; 42] = [
    "actix*",
    "async-io",
    "async-net",
    "async-std",
    "aws-*",
    "awc",
    "axum",
    "attohttpc",
    "curl*",
    "dns-lookup",
    "embassy-net",
    "ftp",
    "h2",
    "h3",
    "hickory*",
    "http",
    "http-body*",
    "httparse",
    "hyper*",
    "isahc",
    "lettre",
    "mio",
    "minreq",
    "native-tls",
    "nix-socket",
    "openssl*",
    "polling",
    "quiche",
    "quinn*",
    "reqwest*",
    "rustls*",
    "s2n*",
    "smol",
    "smoltcp",
    "socket2",
    "ssh2",
    "tiny_http",
    "tokio*",
    "tonic",
    "trust-dns*",
    "tungstenite",
    "ureq*",
];

/// Name and features of every crate that byok is linked from.
fn linked() -> Vec<(String, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--edges",
            "normal,build",
            "--locked",
            "--offline",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}\t{f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let named = |line: &str| {
        let (package, features) = line.split_once('\t')?;
        let features = features.trim_end_matches(" (*)").split(',');
        let name = package.split(' ').next()?;
        Some((name.to_owned(), features.map(str::to_owned).collect()))
    };
    tree.lines().filter_map(named).collect()
}

fn is_network(name: &str) -> bool {
    NETWORK.iter().any(|known| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *known,
    })
}

#[test]
fn there_is_no_network_code_in_the_dependency_tree() {
    let linked = linked();
    for known in ["byok", "cryptoki", "rsa", "rustix"] {
        assert!(
            linked.iter().any(|(name, _)| name == known),
            "no {known} in {linked:?}"
        );
    }
    let found: Vec<_> = linked.iter().filter(|(name, _)| is_network(name)).collect();
    assert!(found.is_empty(), "{found:?}");
    // rustix can open sockets where it is asked for that
    for (name, features) in linked.iter().filter(|(name, _)| name == "rustix") {
        assert!(!features.iter().any(|f| f == "net"), "{name} {features:?}");
    }
    assert!(is_network("hyper-util") && is_network("openssl-sys") && !is_network("url"));
}

/// One line of code of the house.
struct Line {
    /// Path below `src`.
    file: String,
    number: usize,
    code: String,
}

/// Every line of code below `src`, without comments and without unit tests.
fn house() -> Vec<Line> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut lines = Vec::new();
    for path in files {
        let file = path.strip_prefix(&src).unwrap().display().to_string();
        if file.ends_with("tests.rs") || file.contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (at, line) in text.lines().enumerate() {
            if line == "#[cfg(test)]" {
                break; // unit tests stand last
            }
            let code = match line.trim_start().starts_with("//") {
                true => "",
                false => line.split(" // ").next().unwrap_or_default(),
            };
            lines.push(Line {
                file: file.clone(),
                number: at + 1,
                code: code.to_owned(),
            });
        }
    }
    lines
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Whether a file belongs to a room: `hsm` is `hsm.rs` and all below `hsm/`.
fn stands_in(file: &str, rooms: &[&str]) -> bool {
    let in_room =
        |room: &&str| file == format!("{room}.rs") || file.starts_with(&format!("{room}/"));
    rooms.iter().any(in_room)
}

/// Each of these words stands in these rooms, and in no other.
#[track_caller]
fn only_in(rooms: &[&str], words: &[&str]) {
    let house = house();
    let said = |line: &&Line| words.iter().any(|word| has_word(&line.code, word));
    let found: Vec<&Line> = house.iter().filter(said).collect();
    for room in rooms {
        let there = found.iter().any(|line| stands_in(&line.file, &[room]));
        assert!(
            there,
            "{words:?} do not stand in {room}: is the search right?"
        );
    }
    let elsewhere: Vec<String> = found
        .iter()
        .filter(|line| !stands_in(&line.file, rooms))
        .map(|line| format!("src/{}:{}: {}", line.file, line.number, line.code.trim()))
        .collect();
    assert!(
        elsewhere.is_empty(),
        "{words:?} belong in {rooms:?}:\n{}",
        elsewhere.join("\n")
    );
}

/// Whether `word` stands in the code with nothing before and after it that would make it another.
fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let longer_before = word.starts_with(part) && before.ends_with(part);
        let longer_after = word.ends_with(part) && after.starts_with(part);
        !longer_before && !longer_after
    })
}

#[test]
fn only_the_room_of_the_hsm_names_cryptoki() {
    only_in(&["hsm", "ground/raw"], &["cryptoki", "cryptoki_sys"]);
}

#[test]
fn only_the_operator_s_room_reads_the_keyboard() {
    let ways = [
        "stdin",
        "Stdin",
        "STDIN_FILENO",
        "STDIN",
        "/dev/stdin",
        "/dev/tty",
        "/proc/self/fd/0",
    ];
    only_in(&["ceremony/operator"], &ways);
}

#[test]
fn unsafe_code_stands_in_one_file() {
    only_in(
        &["ground/raw"],
        &[
            "unsafe {",
            "unsafe fn",
            "unsafe impl",
            "unsafe extern",
            "unsafe(",
        ],
    );
    // allowed in one, forbidden in all where the room is not built
    only_in(&["ground/raw", "lib"], &["unsafe_code"]);
}

#[test]
fn the_core_never_prints() {
    let ways = [
        "println!",
        "eprintln!",
        "print!",
        "eprint!",
        "dbg!",
        "stdout",
        "stderr",
        "Stdout",
        "Stderr",
    ];
    // the program prints errors, the verbs print results, the operator's room talks; one file keeps standard output for
    // the verbs before a module is loaded
    only_in(
        &["cli/main", "cli/verbs", "ceremony/operator", "ground/out"],
        &ways,
    );
}

#[test]
fn no_room_opens_a_socket() {
    let ways = [
        "std::net",
        "unix::net",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "UnixListener",
        "UnixDatagram",
        "ToSocketAddrs",
    ];
    only_in(&[], &ways);
}

#[test]
fn no_pin_share_or_key_is_taken_from_the_environment() {
    // what byok was started with is remembered: for `byok plan`, which of the modules' own variables are set, whether
    // the screen is sent elsewhere (SSH, tmux), what the terminal is called
    only_in(
        &["ground/environment", "hsm/machine"],
        &[
            "std::env::var",
            "env::var",
            "env::vars",
            "env::var_os",
            "env::vars_os",
            "getenv",
        ],
    );
}

#[test]
fn the_search_finds_words_and_nothing_else() {
    assert!(has_word("let x = unsafe { y };", "unsafe {"));
    assert!(has_word("eprintln!(\"x\")", "eprintln!"));
    assert!(!has_word("eprintln!(\"x\")", "println!"));
    assert!(!has_word("deny(unsafe_code)", "unsafe"));
    assert!(stands_in("hsm/keys.rs", &["hsm"]) && stands_in("hsm.rs", &["hsm"]));
    assert!(!stands_in("hsmx.rs", &["hsm"]) && !stands_in("verbs/hsm.rs", &["hsm"]));
    let house = house();
    assert!(house.len() > 1000 && house.iter().any(|line| line.file == "ceremony/generate.rs"));
}
