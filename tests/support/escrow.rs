//! Escrow as the tests see it: share files, packages, and other programs that open them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use byok::crypto::escrow::slip39::words::{number_of, spelled};

use super::{Kind, LABEL, Room, Transcript, hex, openssl, pipe, skip};

/// As many as there can be.
pub const CUSTODIANS: [&str; 16] = [
    "Security",
    "Audit",
    "Treasury",
    "Legal",
    "Operations",
    "Risk",
    "Compliance",
    "Internal control",
    "Data protection",
    "Network",
    "Payments",
    "Human resources",
    "Procurement",
    "Facilities",
    "Vorstand Zürich",
    "監査",
];

/// `[escrow]` for the first `count` custodians.
pub fn table(threshold: usize, count: usize, deliver: &str) -> String {
    let names: Vec<String> = CUSTODIANS[..count]
        .iter()
        .map(|name| format!("{name:?}"))
        .collect();
    named_table(threshold, &names.join(", "), deliver)
}

pub fn named_table(threshold: usize, names: &str, deliver: &str) -> String {
    format!("[escrow]\nthreshold = {threshold}\ncustodians = [{names}]\ndeliver = \"{deliver}\"\n")
}

/// A room whose ceremony deals this escrow to files in `shares`.
pub fn room(kind: Kind, threshold: usize, count: usize) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.plan.more = table(threshold, count, "files:shares");
    Some(room)
}

/// The share files of a directory in their order: path and words.
pub fn shares(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|e| panic!("{}: {e}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let words = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().last().unwrap().to_owned()
    };
    paths
        .iter()
        .map(|path| (path.clone(), words(path)))
        .collect()
}

/// A directory that nobody else can enter: shares lie in no other.
pub fn make_closed(directory: &Path) {
    fs::create_dir(directory).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Lays these shares into a fresh directory, one file each.
pub fn lay(directory: &Path, shares: &[&str]) {
    let _ = fs::remove_dir_all(directory);
    make_closed(directory);
    for (at, words) in shares.iter().enumerate() {
        let path = directory.join(format!("{:02}-brought.txt", at + 1));
        fs::write(path, format!("from paper\n{words}\n")).unwrap();
    }
}

/// The words with one changed.
pub fn with_word(share: &str, at: usize, word: &str) -> String {
    let mut words: Vec<&str> = share.split(' ').collect();
    words[at] = word;
    words.join(" ")
}

/// Another word of the list than the one at `at`.
pub fn another_word(share: &str, at: usize) -> &'static str {
    let word = share.split(' ').nth(at).unwrap();
    spelled((number_of(word.as_bytes()).unwrap() + 1) % 1024)
}

/// The words with two neighbours exchanged, the first two that differ from the tenth word on, and at which word: two
/// neighbours are the same word once in a thousand shares.
pub fn swapped(share: &str) -> (String, usize) {
    let mut words: Vec<&str> = share.split(' ').collect();
    let at = (9..)
        .find(|at| words[*at] != words[*at + 1])
        .expect("a share is not one word");
    words.swap(at, at + 1);
    (words.join(" "), at)
}

/// A share that nobody dealt: one word of its value changed and the checksum (RS1024 of SLIP-0039)
/// made anew.
pub fn forged(share: &str) -> String {
    let changed = with_word(share, 10, another_word(share, 10));
    resealed(&changed, |_| {})
}

/// The same with the numbers of its words edited: the first four tell set, group, number and quorum.
pub fn resealed(share: &str, edit: impl FnOnce(&mut Vec<u32>)) -> String {
    let mut numbers: Vec<u32> = share
        .split(' ')
        .map(|word| u32::from(number_of(word.as_bytes()).unwrap()))
        .collect();
    let data = numbers.len() - 3;
    numbers.truncate(data);
    edit(&mut numbers);
    let mut input: Vec<u32> = b"shamir_extendable".iter().map(|b| u32::from(*b)).collect();
    input.extend(&numbers);
    input.extend([0, 0, 0]);
    let checksum = rs1024(&input) ^ 1;
    numbers.extend([checksum >> 20, checksum >> 10 & 1023, checksum & 1023]);
    let words: Vec<&str> = numbers
        .iter()
        .map(|number| spelled(*number as u16))
        .collect();
    words.join(" ")
}

/// A share whose PBKDF2 would take 328 million iterations (iteration exponent 15).
pub fn slow(share: &str) -> String {
    resealed(share, |numbers| numbers[1] |= 15)
}

/// A share of a group that its set does not have.
pub fn of_no_group(share: &str) -> String {
    resealed(share, |numbers| numbers[2] |= 1 << 6)
}

/// The words of one share under the number of another.
pub fn numbered_as(share: &str, other: &str) -> String {
    let fourth = other.split(' ').nth(3).unwrap();
    let number = u32::from(number_of(fourth.as_bytes()).unwrap());
    resealed(share, |numbers| numbers[3] = number)
}

fn rs1024(values: &[u32]) -> u32 {
    let generator: [u32; 10] = [
        0xe0e040, 0x1c1c080, 0x3838100, 0x7070200, 0xe0e0009, 0x1c0c2412, 0x38086c24, 0x3090fc48,
        0x21b1f890, 0x3f3f120,
    ];
    let mut checksum = 1;
    for value in values {
        let top = checksum >> 20;
        checksum = (checksum & 0xfffff) << 10 ^ value;
        for (bit, polynomial) in generator.iter().enumerate() {
            if top >> bit & 1 == 1 {
                checksum ^= polynomial;
            }
        }
    }
    checksum
}

/// Python with the SLIP-0039 reference implementation, or `None` after saying that it is not here.
pub fn reference() -> Option<PathBuf> {
    let Ok(venv) = std::env::var("BYOK_TEST_VENV") else {
        skip("BYOK_TEST_VENV is not set");
        return None;
    };
    let python = PathBuf::from(venv).join("bin/python");
    let has = Command::new(&python)
        .args(["-c", "import shamir_mnemonic"])
        .output();
    if has.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("{}: no shamir_mnemonic", python.display()));
    None
}

/// What the reference implementation makes of each set of shares, in hex; an error is its text.
pub fn reference_recovers(python: &Path, sets: &[Vec<&str>]) -> Vec<String> {
    const PROGRAM: &str = "import sys\nfrom shamir_mnemonic import combine_mnemonics\n\
        for line in open(0):\n\
        \x20   try: print(combine_mnemonics(line.strip().split('|')).hex())\n\
        \x20   except Exception as e: print('refused:', e)\n";
    let input: String = sets.iter().map(|set| set.join("|") + "\n").collect();
    let output = pipe(Command::new(python).args(["-c", PROGRAM]), input.as_bytes());
    assert!(output.status.success(), "{}", super::stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The escrow package of a record, read by serde_json.
pub fn package(record: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(record.join("escrow-package.json")).unwrap()).unwrap()
}

/// The first data key of a package, opened by openssl under an escrow key in hex.
pub fn openssl_opens_package(package: &serde_json::Value, escrow_key: &str) -> Vec<u8> {
    let wrapped = package["keys"][0]["wrapped"].as_str().unwrap();
    let wrapped = openssl(&["base64", "-d", "-A"], wrapped.as_bytes());
    openssl(
        &[
            "enc",
            "-d",
            "-id-aes256-wrap",
            "-K",
            escrow_key,
            "-iv",
            "A6A6A6A6A6A6A6A6",
        ],
        &wrapped,
    )
}

/// Every way to choose `k` of `n`.
pub fn choices(n: usize, k: usize) -> Vec<Vec<usize>> {
    (0..1_u32 << n)
        .filter(|bits| bits.count_ones() as usize == k)
        .map(|bits| (0..n).filter(|at| bits >> at & 1 == 1).collect())
        .collect()
}

/// All files below a directory.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// No file below the directory, and not this text, holds any of the secrets.
#[track_caller]
pub fn nowhere(secrets: &[Vec<u8>], directory: &Path, said: &str) {
    let holds = |bytes: &[u8]| {
        secrets.iter().any(|secret| {
            bytes
                .windows(secret.len())
                .any(|window| window.eq_ignore_ascii_case(secret))
        })
    };
    assert!(!holds(said.as_bytes()), "a secret was said:\n{said}");
    for path in files_below(directory) {
        assert!(!holds(&fs::read(&path).unwrap()), "{}", path.display());
    }
}

/// Any three words of a share that stand together, and the share without spaces.
pub fn telling(share: &str) -> Vec<Vec<u8>> {
    let words: Vec<&str> = share.split(' ').collect();
    // the first four are the same for many and tell nothing
    words[4..]
        .windows(3)
        .map(|three| three.join(" ").into_bytes())
        .collect()
}

/// A key's bytes as text and as they are.
pub fn spellings(key: &[u8]) -> Vec<Vec<u8>> {
    vec![
        key.to_vec(),
        hex(key).into_bytes(),
        super::base64(key).into_bytes(),
    ]
}

/// The fingerprint that a record tells of the data key.
pub fn fingerprint(transcript: &Transcript) -> String {
    let told = |name: &str| {
        let events = transcript.events(name);
        events
            .first()
            .map(|event| event["fingerprint"].as_str().unwrap().to_owned())
    };
    told("key-generated")
        .or_else(|| told("key-found"))
        .or_else(|| told("key-recovered"))
        .unwrap()
}

/// SHA-256 of a record's transcript.
pub fn head(record: &Path) -> String {
    super::sha256(&fs::read(record.join("transcript.jsonl")).unwrap())
}

/// Where the wrapped data key of a record lies.
pub fn wrapped(record: &str) -> String {
    format!("{record}/{LABEL}/eu-west-1/WrappedKeyMaterial.bin")
}

/// `previous` and its head, as lines of a plan.
pub fn builds_on(room: &Room, record: &str) -> String {
    let record = room.path(record);
    format!(
        "previous = \"{}\"\nprevious_head = \"{}\"\n",
        record.display(),
        head(&record)
    )
}
