//! One function for each reader of bytes that somebody else may have made. The fuzz targets and the replay
//! of their corpus call the same: no panic, whatever the bytes are, and what each reader promises holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use byok::crypto::escrow::package::{self, Package};
use byok::crypto::escrow::slip39::{self, Share};
use byok::crypto::escrow::{share_digest, share_words};
use byok::crypto::spec::Spec;
use byok::crypto::sshsig::PublicKey;
use byok::crypto::sshsig::{Message, Signature};
use byok::crypto::wrapping::key::WrappingKey;
use byok::crypto::wrapping::pkcs8;
use byok::evidence::previous::Previous;
use byok::evidence::receipts::describe::describe_key;
use byok::evidence::receipts::{self, answer::Answer};
use byok::evidence::transcript::{Chain, Torn};
use byok::evidence::verify::{self, AllowedSigners};
use byok::ground::anchor::Anchor;
use byok::ground::error::Error;
use byok::ground::strict_json::{self, Json};
use byok::ground::token_uri::TokenUri;
use byok::ground::words;
use byok::plan::Plan;
use byok::plan::kms::{self, aws};

/// Reads bytes; panics where a promise does not hold.
pub type Parser = fn(&[u8]);

/// Every fuzz target by name.
pub const ALL: [(&str, Parser); 15] = [
    ("allowed_signers", allowed_signers),
    ("console_zip", console_zip),
    ("package_json", package_json),
    ("package_text", package_text),
    ("parameters", parameters),
    ("plan", plan),
    ("private_key", private_key),
    ("receipt_answer", receipt_answer),
    ("receipts_chain", receipts_chain),
    ("record", record),
    ("share_words", share_words_of_a_file),
    ("ssh_signature", ssh_signature),
    ("transcript", transcript),
    ("uri", uri),
    ("wrapping_key", wrapping_key),
];

/// What is shown of a refusal moves no cursor and is as many lines as it says.
fn shows(error: &Error) {
    let text = error.for_people();
    assert!(text.lines().all(words::is_printable), "{text:?}");
    assert_eq!(
        text.lines().count(),
        1 + error.state.len() + error.hints.len()
    );
}

/// The list of signers that `verify --signers` takes.
pub fn allowed_signers(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = AllowedSigners::parse(text);
        if let Some(key) = PublicKey::parse(text) {
            assert_eq!(PublicKey::parse(&key.to_string()), Some(key));
        }
    }
}

/// Import parameters as the console packs them.
pub fn console_zip(bytes: &[u8]) {
    match aws::parse("parameters.zip", bytes) {
        Ok(read) => whole(&read),
        Err(error) => shows(&error),
    }
}

/// Import parameters of every KMS, and key descriptions, as JSON.
pub fn parameters(bytes: &[u8]) {
    match aws::parse("parameters.json", bytes) {
        Ok(read) => whole(&read),
        Err(error) => shows(&error),
    }
    if let Err(error) = describe_key(bytes) {
        shows(&error);
    }
    for read in kms::by_each_reader(bytes) {
        match read {
            Ok(key) => wrapping_key(key.spki_der()),
            Err(error) => shows(&error),
        }
    }
}

fn whole(read: &aws::ImportParameters) {
    assert!((32..=aws::MAX_TOKEN_LEN).contains(&read.import_token.len()));
    assert!(std::str::from_utf8(&read.import_token).is_err());
    wrapping_key(read.wrapping_key.spki_der());
    assert_eq!(read.files.len(), 1);
}

/// A SubjectPublicKeyInfo; one that is taken is written back to the same bytes.
pub fn wrapping_key(bytes: &[u8]) {
    match WrappingKey::from_spki_der(bytes) {
        Ok(key) => {
            assert_eq!(key.spki_der(), bytes);
            let again = WrappingKey::from_parts(key.modulus(), key.public_exponent()).unwrap();
            assert_eq!(again.spki_der(), bytes);
            assert_eq!(key.modulus_len() * 8, key.bits());
        }
        Err(error) => shows(&error),
    }
}

/// PKCS#8 of every spec, with the zero bytes that some modules append.
pub fn private_key(bytes: &[u8]) {
    let len = pkcs8::der_len(bytes).unwrap_or(bytes.len());
    assert!(len <= bytes.len());
    for spec in Spec::ALL {
        match pkcs8::public_key(spec, &bytes[..len]) {
            Ok(public) => assert_eq!(public[0], 0x30),
            Err(error) => shows(&error),
        }
    }
}

/// A plan; one that is taken has the digest of its bytes.
pub fn plan(bytes: &[u8]) {
    match Plan::parse(Path::new("plan.toml"), bytes.to_vec()) {
        Ok(plan) => {
            assert_eq!(plan.bytes, bytes);
            assert_eq!(plan.sha256, words::sha256(bytes));
            assert!(words::is_printable(&plan.title) && !plan.keys.is_empty());
        }
        Err(error) => shows(&error),
    }
}

/// A token's URI, and what else people type: a head digest, a row of it.
pub fn uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match TokenUri::parse(text) {
        Ok(uri) => assert_eq!(TokenUri::parse(&uri.to_string()).unwrap(), uri),
        Err(error) => shows(&error),
    }
    if let Ok(anchor) = Anchor::parse(text) {
        assert!((24..=64).contains(&anchor.digits().len()));
    }
    words::looks_like_row(text);
}

/// A share file: its last line is 33 words; what is a share is written back to the same words.
pub fn share_words_of_a_file(bytes: &[u8]) {
    slip39::words::looks_like_share(bytes);
    let Ok(words) = share_words(bytes) else {
        return;
    };
    share_digest("00112233445566778899aabbccddeeff", &words);
    if let Ok(share) = Share::from_words(&words) {
        let again = share.words().unwrap();
        assert!(again.numbers().eq(words.numbers()));
        // One share alone never gives a secret, unless it says that one is enough.
        assert!(share.threshold == 1 || slip39::combine(&[&share], b"").is_err());
    }
}

/// An escrow package as JSON; one that is taken reads back from what it is written as.
pub fn package_json(bytes: &[u8]) {
    match Package::from_json(bytes) {
        Ok(package) => {
            let again = Package::from_json(package.to_json().as_bytes()).unwrap();
            assert_eq!(again, package);
            let _ = Package::look_at_text(&package.to_text());
        }
        Err(why) => drop(words::printable(&why)),
    }
}

/// An escrow package as text, and its rows as they are typed.
pub fn package_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = Package::look_at_text(text);
    for (at, line) in text.lines().enumerate() {
        if let Ok(row) = package::read_row(at + 1, line) {
            assert_eq!(row.len(), 8);
        }
    }
}

/// A transcript, as it is and with its chain mended, so that what lies behind the chain is reached too.
pub fn transcript(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), rechained(bytes, &"0".repeat(64), &[])] {
        if let Ok(chain) = Chain::read(&bytes) {
            assert_eq!(chain.head, words::sha256(&bytes));
            assert!(
                chain
                    .lines
                    .iter()
                    .all(|line| Json::Object(line.members()).is_plain())
            );
        }
        if let Ok(torn) = Torn::read(&bytes) {
            torn.intended(false);
            torn.void_shares();
        }
    }
}

/// What KMS, CloudTrail or an `import.sh` answered.
pub fn receipt_answer(bytes: &[u8]) {
    if let Err(error) = Answer::read(bytes) {
        shows(&error);
    }
}

/// A chain of receipts by itself, as it is and mended.
pub fn receipts_chain(bytes: &[u8]) {
    let head = "ab".repeat(32);
    for bytes in [bytes.to_vec(), rechained(bytes, &head, &[])] {
        if let Ok(chain) = receipts::alone(&bytes) {
            assert_eq!(chain.transcript_head.len(), 64);
            assert!(chain.lines > 0);
        }
    }
}

/// A signature file; one that is taken is written back so that it reads the same.
pub fn ssh_signature(bytes: &[u8]) {
    let Ok(signature) = Signature::parse(bytes) else {
        return;
    };
    let again = Signature::parse(signature.armored().as_bytes()).unwrap();
    assert_eq!(again.armored(), signature.armored());
    let verdicts = ["byok-ceremony", "byok-rehearsal"].map(|space| {
        let verdict = signature.verify(space, &Message::new(b"a transcript"));
        verdict.is_ok()
    });
    assert!(verdicts != [true, true]);
}

/// A whole record made of one file: `--- PATH` begins a file of it. It is looked at as it is, and with its
/// chains, digests and checksums mended.
pub fn record(bytes: &[u8]) {
    let files = parts(bytes);
    let directory = Scratch::new();
    directory.write(&files);
    look_at(&directory.0);
    drop(directory);
    let directory = Scratch::new();
    directory.write(&mended(files));
    look_at(&directory.0);
}

fn look_at(directory: &Path) {
    match verify::verify(directory, None) {
        Ok(verified) => {
            assert!(!verified.authenticated);
            verified.report();
            verified.receipts.standings();
            let now = "2026-11-22T12:00:00Z".parse().unwrap();
            match verify::follow(directory, &verified, &[]) {
                Ok(followed) => {
                    verify::life(directory, &verified, &followed, now);
                    verify::materials(directory, &verified, &followed, &[]);
                }
                Err(error) => shows(&error),
            }
        }
        Err(why) => drop(words::printable(&why)),
    }
    if let Err(error) = Previous::load(directory, None) {
        shows(&error);
    }
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files of one input. No path leads out of the directory.
fn parts(bytes: &[u8]) -> Files {
    let mut files = Files::new();
    let mut current: Option<String> = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let path = line.strip_prefix(b"--- ").and_then(|path| {
            let path = std::str::from_utf8(path).ok()?.trim_end();
            let plain =
                |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
            (path.len() < 200 && path.split('/').all(plain)).then(|| path.to_owned())
        });
        match (path, &current) {
            (Some(path), _) if files.len() < 32 => {
                files.entry(path.clone()).or_default();
                current = Some(path);
            }
            (None, Some(path)) => files
                .entry(path.clone())
                .or_default()
                .extend_from_slice(line),
            _ => {}
        }
    }
    files
}

/// The same files with everything made to fit that anybody can compute: digests, chains, checksums.
fn mended(mut files: Files) -> Files {
    const TRANSCRIPT: &str = "transcript.jsonl";
    const RECEIPTS: &str = "receipts.jsonl";
    let digests: Vec<(String, String)> = files
        .iter()
        .map(|(path, bytes)| (path.clone(), words::hex(&words::sha256(bytes))))
        .collect();
    if let Some(bytes) = files.get_mut(TRANSCRIPT) {
        *bytes = rechained(bytes, &"0".repeat(64), &digests);
        let head = words::hex(&words::sha256(bytes));
        if let Some(receipts) = files.get_mut(RECEIPTS) {
            *receipts = rechained(receipts, &head, &digests);
        }
    }
    let beside = |path: &str| {
        path == "SHA256SUMS" || path.starts_with("receipts") || path.starts_with("signatures/")
    };
    let sums: String = files
        .iter()
        .filter(|(path, _)| !beside(path) && !path.contains("import-result"))
        .map(|(path, bytes)| format!("{}  {path}\n", words::hex(&words::sha256(bytes))))
        .collect();
    files.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    files
}

/// Lines of JSON with `seq`, `prev` and the digests of `files` set right; other lines stay as they are.
fn rechained(bytes: &[u8], first: &str, files: &[(String, String)]) -> Vec<u8> {
    let digest_of = |path: &str| files.iter().find(|(known, _)| known == path);
    let mut prev = first.to_owned();
    let mut all = Vec::new();
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Ok(Json::Object(mut members)) = strict_json::parse(line) else {
            all.extend_from_slice(line);
            continue;
        };
        let text = |members: &[(String, Json)], wanted: &str| {
            let found = members.iter().find(|(name, _)| name == wanted);
            found.and_then(|(_, value)| value.as_str().map(str::to_owned))
        };
        let path = text(&members, "path").or_else(|| text(&members, "file"));
        let digest = path.and_then(|path| digest_of(&path));
        let plan = digest_of("plan.toml");
        for (name, value) in &mut members {
            match (name.as_str(), digest, plan) {
                ("seq", _, _) => *value = Json::Number((at + 1).into()),
                ("prev", _, _) => *value = Json::String(prev.clone()),
                ("sha256", Some((_, digest)), _) | ("plan_sha256", _, Some((_, digest))) => {
                    *value = Json::String(digest.clone());
                }
                _ => {}
            }
        }
        let written = Json::Object(members).to_compact_string();
        prev = words::hex(&words::sha256(written.as_bytes()));
        all.extend_from_slice(written.as_bytes());
        all.push(b'\n');
    }
    all
}

/// A directory that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("byok-record-{}-{number}", std::process::id());
        // One level down: what is beside a record is looked at too.
        let directory = std::env::temp_dir().join(name).join("record");
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// A path that is a file and a directory at once is one of them.
    fn write(&self, files: &Files) {
        for (path, bytes) in files {
            let path = self.0.join(path);
            let _ = path.parent().map(fs::create_dir_all);
            let _ = fs::write(path, bytes);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.0.parent().map(fs::remove_dir_all);
    }
}
