//! Verifying a record, without an HSM, by rules that a script of stock tools can follow too.
//!
//! The rules, in the order they are checked; the first that does not hold is named:
//! 1. Every entry is a regular file or a directory, and its name can be shown.
//! 2. `transcript.jsonl` is a chain: see [`crate::transcript`].
//! 3. `plan.toml` has the digest that `ceremony-opened` and `plan-approved` name.
//! 4. Every `output-written` file is there with its digest (of an aborted ceremony: but those removed).
//! 5. Every `key-wrapped` names an `output-written` file with the same digest, and a data key that
//!    `key-generated`, `key-found` or `key-recovered` names.
//!    Of a key pair `<label>/public-key.der` has the fingerprint for its digest, and `<label>/public-key.pem` is the
//!    same in PEM. Unless aborted, each `key-generated` of a key pair has both: see `public_keys`.
//! 6. Every file is named in the transcript, but for `transcript.jsonl`, `SHA256SUMS`, `signatures/*`,
//!    `receipts.jsonl`, `receipts/*` and `import-result*.json`. No directory is empty (of an aborted
//!    ceremony one may be), but for `signatures` and `receipts`.
//! 7. `SHA256SUMS` lists exactly the files of rule 4 and `transcript.jsonl`, with their digests.
//! 8. `receipts.jsonl`, where there is one, is a chain that begins at the head digest and agrees with
//!    the answers in `receipts/`, every one of which it names (which is looked at last, before a list of
//!    signers): see [`crate::receipts`].
//! 9. Below `signatures/` there are signatures of the transcript and nothing else; the HSM's own is there and
//!    by the key that `transcript-signer` names, where the transcript has that line: see [`signatures`].
//! 10. An anchor, where one is given, fits the head digest; a list of signers holds one who signed.
//!
//! `ceremony-scripts/verify-record.sh` follows the same rules; a rule that is added here is added there,
//! and `tests/both_verifiers.rs` shows that both see what breaks it.
//!
//! [`follow`] then goes on to the record that this one builds on, and so to the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;

use crate::plan::MOST_KEYS;
use crate::receipts::{self, Receipts};
use crate::record::SUMS;
use crate::strict_json::Json;
use crate::transcript::{self, Chain, signature};
use crate::words::{self, Digest};

mod follow;
mod life;
mod materials;
mod public_keys;
mod recorded;
mod signatures;
mod signers;

pub use follow::{End, Followed, Link, Other, follow, others};
pub use life::{Row, life};
pub use materials::{KmsKeyMaterials, Material, materials};
pub(crate) use recorded::RecordedPlan;
pub use signatures::{SignatureReport, vouch};
pub use signers::AllowedSigners;

/// How a head digest that does not fit is told, so that people are pointed to their paper first.
pub const NOT_THE_HEAD: &str = "not the one given:";

/// How it is told that nobody who signed is in the list, so that people look at their list first.
pub const NOT_LISTED: &str = "no listed key signed this record";

/// Files below these names may be added to a sealed record.
const ADDED_LATER: [&str; 2] = [signature::FOLDER, receipts::FOLDER];

/// The longest transcript that is read, in bytes: some eighty thousand lines.
pub(crate) const LONGEST_TRANSCRIPT: u64 = 32 << 20;

/// The longest file of a record, in bytes; a longer one is refused before it is read.
const LONGEST_FILE: u64 = 64 << 20;

/// How a file is told that is longer.
const TOO_LONG: &str = "longer than byok reads";

/// A record whose parts hold together.
pub struct Verified {
    /// Its transcript.
    pub chain: Chain,
    /// What KMS answered, as far as it was added.
    pub receipts: Receipts,
    /// Who signed it.
    pub signatures: Vec<SignatureReport>,
    /// Whether an anchor from outside the record vouches for it.
    pub authenticated: bool,
}

/// What `byok verify --json` says.
#[derive(Serialize)]
pub struct Report {
    /// `authentic` or `consistent, not authenticated`.
    pub verdict: &'static str,
    /// Whether an anchor from outside vouches for the record.
    pub authenticated: bool,
    /// Whether the record is practice.
    pub rehearsal: bool,
    /// `done` or `aborted`.
    pub outcome: &'static str,
    /// SHA-256 of the transcript.
    pub head: String,
    /// How many lines it has.
    pub lines: usize,
    /// The ceremony's id.
    pub ceremony: String,
    /// Its title.
    pub title: String,
    /// The exposure grade, of a ceremony that came to its end.
    pub exposure: String,
    /// How many exceptions it records.
    pub exceptions: usize,
    /// The data keys it made.
    pub keys: Vec<KeyReport>,
    /// Who signed it.
    pub signatures: Vec<SignatureReport>,
}

/// A data key of a record.
#[derive(Serialize)]
pub struct KeyReport {
    /// CKA_LABEL.
    pub label: String,
    /// KMS key spec.
    pub spec: String,
    /// Key check value of an AES key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kcv: Option<String>,
    /// Length of an HMAC key, which belongs to its fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u64>,
    /// Fingerprint.
    pub fingerprint: String,
}

impl KeyReport {
    /// What people compare at a glance.
    pub fn glance(&self) -> String {
        crate::wrapping::glance(self.kcv.as_deref(), &self.fingerprint)
    }
}

impl Verified {
    /// Whether the ceremony was aborted.
    pub fn is_aborted(&self) -> bool {
        self.chain.end().event == "aborted"
    }

    /// Whether the record is from a rehearsal.
    pub fn is_rehearsal(&self) -> bool {
        self.chain.opening().is_true("rehearsal")
    }

    /// Whether something from outside vouched for the record that this one builds on, when it was made.
    /// Without that, a forged record and a key of the forger's would look just the same.
    pub fn knew_its_previous(&self) -> bool {
        let mut compared = self.chain.events("same-material");
        compared.all(|line| !line.text("anchor").starts_with("none"))
    }

    /// The facts, for programs.
    pub fn report(&self) -> Report {
        let opening = self.chain.opening();
        let keys = self.chain.data_keys().map(|line| KeyReport {
            label: line.text("label").to_owned(),
            spec: line.text("spec").to_owned(),
            kcv: Some(line.text("kcv").to_owned()).filter(|kcv| !kcv.is_empty()),
            bits: line.json.get("bits").and_then(Json::as_u64),
            fingerprint: line.text("fingerprint").to_owned(),
        });
        Report {
            verdict: if self.authenticated {
                "authentic"
            } else {
                "consistent, not authenticated"
            },
            authenticated: self.authenticated,
            rehearsal: self.is_rehearsal(),
            outcome: if self.is_aborted() { "aborted" } else { "done" },
            head: words::hex(&self.chain.head),
            lines: self.chain.lines.len(),
            ceremony: opening.text("ceremony").to_owned(),
            title: opening.text("title").to_owned(),
            exposure: self.chain.end().text("exposure").to_owned(),
            exceptions: self.chain.events("exception").count(),
            keys: keys.collect(),
            signatures: self.signatures.clone(),
        }
    }
}

/// Checks every rule. `anchor` is the head digest from outside the record, or its beginning.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(directory: &Path, anchor: Option<&Anchor>) -> Result<Verified, String> {
    let verified = check(directory, anchor)?;
    match verified.receipts.unnamed().first() {
        Some(path) => Err(format!("{path}: {}", receipts::UNNAMED)),
        None => Ok(verified),
    }
}

/// The same, but an answer that an interrupted `byok receipt` left without its line is let pass.
///
/// # Errors
/// The first thing that does not hold.
pub(crate) fn but_for_unnamed_receipts(directory: &Path) -> Result<Verified, String> {
    check(directory, None)
}

fn check(directory: &Path, anchor: Option<&Anchor>) -> Result<Verified, String> {
    let (present, empty) = files(directory)?;
    let (chain, bytes) = read_chain(directory)?;
    known_format(&chain)?;
    few_enough(&chain)?;
    end_fits(&chain)?;
    plan_is_the_approved_one(&chain, &present)?;
    let outputs = outputs(&chain)?;
    for (path, sha256) in &outputs {
        file_has_digest(&present, path, sha256)?;
    }
    wrapped_as_written(&chain, &outputs)?;
    public_keys::fit(directory, &chain, &outputs)?;
    if let Some(path) = present
        .keys()
        .find(|path| !outputs.contains_key(*path) && !may_stand_beside(path))
    {
        return Err(format!("{path}: the transcript does not name this file"));
    }
    if chain.end().event != "aborted" {
        no_empty_directory(&empty)?; // a run that failed may leave the folder of what it did not write
    }
    checksums(directory, &chain, &outputs)?;
    let receipts = receipts::read(directory, &chain, &present)?;
    let signatures = signatures::check(directory, &chain, &bytes, &present)?;
    let authenticated = anchor
        .map(|anchor| anchor.fits(&chain.head))
        .transpose()?
        .is_some();
    Ok(Verified {
        chain,
        receipts,
        signatures,
        authenticated,
    })
}

/// A head digest from paper: all of it or at least its first three rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor(String);

impl Anchor {
    /// Reads 24 to 64 hex digits, spaces allowed, or the words of those rows.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits: String = text
            .split_whitespace()
            .collect::<String>()
            .to_ascii_lowercase();
        let digits = words::hex_of_words(text).unwrap_or(digits);
        if !(24..=64).contains(&digits.len()) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(
                "a head digest is 64 hex digits, or at least its first three rows: 24 digits, or their 12 words in order"
                    .into(),
            );
        }
        Ok(Self(digits))
    }

    /// All of a head digest, such as a later record names.
    pub fn whole(head: &Digest) -> Self {
        Self(words::hex(head))
    }

    /// The hex digits that are known of it, 24 to 64.
    pub fn digits(&self) -> &str {
        &self.0
    }

    fn fits(&self, head: &Digest) -> Result<(), String> {
        let head = words::hex(head);
        if head.starts_with(&self.0) {
            return Ok(());
        }
        Err(format!(
            "transcript.jsonl: its head is {head}, {NOT_THE_HEAD} {}",
            self.0
        ))
    }
}

fn read_chain(directory: &Path) -> Result<(Chain, Vec<u8>), String> {
    let name = transcript::FILE;
    let bytes =
        read(&directory.join(name), LONGEST_TRANSCRIPT).map_err(|why| format!("{name}: {why}"))?;
    let chain = Chain::read(&bytes).map_err(|why| format!("{name}: {why}"))?;
    Ok((chain, bytes))
}

/// What the last line says of the lines above it.
fn end_fits(chain: &Chain) -> Result<(), String> {
    let end = chain.end();
    let exceptions = chain.events("exception").count() as u64;
    if end.event == "sealed"
        && (end.text("outcome") != "done"
            || end.json.get("exceptions").and_then(Json::as_u64) != Some(exceptions))
    {
        return Err(format!(
            "transcript.jsonl: line {}: it does not fit the lines above it",
            end.number
        ));
    }
    let mut labels = BTreeSet::new();
    match chain
        .data_keys()
        .find(|line| !labels.insert(line.text("label")))
    {
        Some(twice) => Err(format!(
            "transcript.jsonl: line {}: the data key {:?} stands there twice",
            twice.number,
            twice.text("label")
        )),
        None => Ok(()),
    }
}

/// Rules differ between formats; one that is not known is not judged by the rules of another.
fn known_format(chain: &Chain) -> Result<(), String> {
    match chain.opening().text("format") {
        transcript::FORMAT => Ok(()),
        other => Err(format!(
            "transcript.jsonl: line 1: its format is {other:?}, not {}",
            transcript::FORMAT
        )),
    }
}

/// No more than a plan can have.
fn few_enough(chain: &Chain) -> Result<(), String> {
    let keys = chain.data_keys().count();
    if keys.max(chain.events("key-wrapped").count()) <= MOST_KEYS {
        return Ok(());
    }
    Err(format!(
        "transcript.jsonl: more data keys or imports than {MOST_KEYS}"
    ))
}

fn plan_is_the_approved_one(
    chain: &Chain,
    present: &BTreeMap<String, Digest>,
) -> Result<(), String> {
    let opened = chain.opening();
    let named = opened.text("plan_sha256");
    for line in chain.events("plan-approved") {
        if line.text("plan_sha256") != named {
            return Err(format!(
                "transcript.jsonl: line {}: another plan was approved than opened",
                line.number
            ));
        }
    }
    match present.get("plan.toml") {
        Some(sha256) if words::hex(sha256) == named => Ok(()),
        Some(_) => Err("plan.toml: not the plan that was approved".into()),
        None if chain.end().event == "aborted" => Ok(()), // the disk may have been full by then
        None => Err("plan.toml: missing".into()),
    }
}

/// The files that the transcript vouches for.
fn outputs(chain: &Chain) -> Result<BTreeMap<String, String>, String> {
    let removed = match chain.end().json.get("removed") {
        Some(Json::Array(paths)) if chain.end().event == "aborted" => paths
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect(),
        _ => BTreeSet::new(),
    };
    let mut outputs = BTreeMap::new();
    for line in chain.events("output-written") {
        let path = line.text("path").to_owned();
        if !is_plain(&path) {
            return Err(format!(
                "transcript.jsonl: line {}: {path:?} is no path within a record",
                line.number
            ));
        }
        if !removed.contains(&path)
            && outputs
                .insert(path.clone(), line.text("sha256").to_owned())
                .is_some()
        {
            return Err(format!(
                "transcript.jsonl: line {}: {path} was written twice",
                line.number
            ));
        }
    }
    Ok(outputs)
}

fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && words::is_printable(path)
}

fn file_has_digest(
    present: &BTreeMap<String, Digest>,
    path: &str,
    sha256: &str,
) -> Result<(), String> {
    match present.get(path) {
        Some(is) if words::hex(is) == sha256 => Ok(()),
        Some(_) => Err(format!(
            "{path}: its bytes are not those that the transcript names"
        )),
        None => Err(format!("{path}: missing, though the transcript names it")),
    }
}

/// Rule 5.
fn wrapped_as_written(chain: &Chain, outputs: &BTreeMap<String, String>) -> Result<(), String> {
    if chain.end().event == "aborted" {
        return Ok(());
    }
    let made: BTreeSet<&str> = chain.data_keys().map(|line| line.text("label")).collect();
    for line in chain.events("key-wrapped") {
        let (path, label) = (line.text("path"), line.text("label"));
        if outputs.get(path).map(String::as_str) != Some(line.text("sha256")) {
            return Err(format!(
                "transcript.jsonl: line {}: {path} was not written as it was wrapped",
                line.number
            ));
        }
        if !made.contains(label) {
            return Err(format!(
                "transcript.jsonl: line {}: no data key {label:?} was made or brought back",
                line.number
            ));
        }
    }
    Ok(())
}

/// Rule 6: what is not named by digest.
fn may_stand_beside(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    [transcript::FILE, SUMS, receipts::FILE].contains(&path)
        || ADDED_LATER.iter().any(|folder| path.starts_with(folder))
        || (name.starts_with("import-result") && name.ends_with(".json"))
}

/// Rule 6, of directories: those with files in them stand or fall with these.
fn no_empty_directory(empty: &[String]) -> Result<(), String> {
    match empty
        .iter()
        .find(|path| !ADDED_LATER.contains(&path.as_str()))
    {
        Some(path) => Err(format!("{path}: an empty directory that byok did not make")),
        None => Ok(()),
    }
}

/// Rule 7.
fn checksums(
    directory: &Path,
    chain: &Chain,
    outputs: &BTreeMap<String, String>,
) -> Result<(), String> {
    let bytes =
        read(&directory.join(SUMS), LONGEST_TRANSCRIPT).map_err(|why| format!("{SUMS}: {why}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{SUMS}: not text"))?;
    let mut expected = outputs.clone();
    expected.insert(transcript::FILE.to_owned(), words::hex(&chain.head));
    // Not `lines`, which would also take CRLF: sha256sum does not.
    for line in text.split_terminator('\n') {
        let (sha256, path) = line
            .split_once("  ")
            .ok_or_else(|| format!("{SUMS}: {line:?} is no checksum"))?;
        match expected.remove(path) {
            Some(is) if is == sha256 => {}
            Some(_) => {
                return Err(format!(
                    "{SUMS}: another digest of {path} than the transcript's"
                ));
            }
            None => {
                return Err(format!(
                    "{SUMS}: {path} does not belong there, or stands there twice"
                ));
            }
        }
    }
    if !text.ends_with('\n') {
        return Err(format!("{SUMS}: its last line is cut"));
    }
    match expected.keys().next() {
        Some(path) => Err(format!("{SUMS}: {path} is not listed")),
        None => Ok(()),
    }
}

/// Every file below the directory, by path, with its digest; and every empty directory, its path ending in
/// `/`. `/` separates.
fn files(directory: &Path) -> Result<(BTreeMap<String, Digest>, Vec<String>), String> {
    let kind = fs::metadata(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    if !kind.is_dir() {
        return Err(format!("{}: a record is a directory", directory.display()));
    }
    let (mut found, mut empty) = (BTreeMap::new(), Vec::new());
    collect(directory, "", &mut found, &mut empty)?;
    Ok((found, empty))
}

fn collect(
    directory: &Path,
    prefix: &str,
    found: &mut BTreeMap<String, Digest>,
    empty: &mut Vec<String>,
) -> Result<(), String> {
    let shown = |e| {
        format!(
            "{}: {e}",
            if prefix.is_empty() {
                "the record"
            } else {
                prefix
            }
        )
    };
    let mut entries = fs::read_dir(directory)
        .map_err(shown)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(shown)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    if entries.is_empty() {
        empty.push(prefix.to_owned());
    }
    for entry in entries {
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| format!("{prefix}{name:?}: not a readable name"))?;
        if !words::is_printable(&name) {
            return Err(format!("{prefix}{name:?}: not a readable name"));
        }
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(|e| format!("{path}: {e}"))?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), found, empty)?;
        } else if kind.is_file() {
            let sha256 = digest(&entry.path()).map_err(|why| format!("{path}: {why}"))?;
            found.insert(path, sha256);
        } else {
            return Err(format!("{path}: neither a regular file nor a directory"));
        }
    }
    Ok(())
}

/// Opens a regular file and nothing else: no link is followed, no FIFO waited for.
fn open(path: &Path) -> Result<fs::File, String> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(|e| {
            if e.kind() == std::io::ErrorKind::NotFound {
                "missing".to_owned()
            } else {
                e.to_string()
            }
        })?;
    match file.metadata() {
        Ok(kind) if kind.is_file() => Ok(file),
        Ok(_) => Err("not a regular file".into()),
        Err(e) => Err(e.to_string()),
    }
}

fn digest(path: &Path) -> Result<Digest, String> {
    let file = open(path)?;
    let len = file.metadata().map_err(|e| e.to_string())?.len();
    if len > LONGEST_FILE {
        return Err(TOO_LONG.into());
    }
    words::sha256_of(file.take(LONGEST_FILE)).map_err(|e| e.to_string())
}

pub(crate) fn read(path: &Path, longest: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    open(path)?
        .take(longest + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > longest {
        return Err(TOO_LONG.into());
    }
    Ok(bytes)
}
