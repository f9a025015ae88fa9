//! Verifies a record without an HSM, by rules that a script of stock tools can follow too.
//!
//! The rules, in the order in which they are checked; byok names the first that does not hold:
//! 1. Every entry is a regular file or a directory, and its name can be shown.
//! 2. `transcript.jsonl` is a chain: see [`crate::evidence::transcript`].
//! 3. `plan.toml` has the digest that `ceremony-opened` and `plan-approved` name.
//! 4. Every `output-written` file is there with its digest (if the ceremony was aborted: except those removed).
//! 5. Every `key-wrapped` names an `output-written` file with the same digest, and a data key that `key-generated`,
//!    `key-found` or `key-recovered` names. For a key pair, the digest of `<label>/public-key.der` is the
//!    fingerprint, and `<label>/public-key.pem` is the same in PEM. Unless the ceremony was aborted, each
//!    `key-generated` of a key pair has both: see `public_keys`.
//! 6. The transcript names every file, except `transcript.jsonl`, `SHA256SUMS`, `signatures/*`, `receipts.jsonl`,
//!    `receipts/*` and `import-result*.json`. No directory is empty, except `signatures` and `receipts`, and
//!    unless the ceremony was aborted.
//! 7. `SHA256SUMS` lists exactly the files of rule 4 and `transcript.jsonl`, with their digests.
//! 8. `receipts.jsonl`, if there is one, is a chain that begins at the head digest and agrees with the answers in
//!    `receipts/`. It names every answer; this is checked last: see [`crate::evidence::receipts`].
//! 9. Below `signatures/` there are only signatures of the transcript. If the transcript has a
//!    `transcript-signer`, the HSM's own signature is there, by the key that this line names: see [`signatures`].
//! 10. An anchor, if one is given, fits the head digest; a list of signers, if given, has at least one who signed.
//!
//! Each rule has its names: see [`crate::evidence::rules`]. `ceremony-scripts/verify-record.sh` follows all except
//! rule 8; a rule that is added here is added there, and `tests/verdicts/both_verifiers.rs` has a case for each name.
//!
//! [`follow()`] then goes on to the record that this one builds on, and from there to the first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::evidence::receipts::{self, Receipts};
use crate::evidence::rules::{Broken, Cause, Rule, limits, reading};
use crate::evidence::transcript::{
    self, Chain, EscrowDealt, Exception, Line, MachineChecked, Output, PlanApproved, SUMS,
    SameMaterial, SealedLine, Wrapped,
};
use crate::ground::anchor::Anchor;
use crate::ground::strict_json::Json;
use crate::ground::words::{self, quoted};

mod anchor;
mod branches;
mod files;
mod follow;
mod life;
mod materials;
mod public_keys;
mod recorded;
mod signatures;
mod signers;

pub(crate) use branches::{Branch, Branches, branches, more_records};
use files::{Files, left_by};
pub use follow::follow;
pub(crate) use follow::{End, Followed, Link, Other, others};
pub use life::life;
pub(crate) use life::{Row, deletions};
pub use materials::materials;
pub(crate) use materials::{KmsKeyMaterials, Material};
pub(crate) use recorded::RecordedPlan;
pub(crate) use signatures::SignatureReport;
pub use signers::AllowedSigners;

/// Files below these names may be added to a sealed record.
const ADDED_LATER: [&str; 2] = [transcript::SIGNATURES, receipts::FOLDER];

/// A record whose parts fit together.
pub struct Verified {
    /// Its transcript.
    pub chain: Chain,
    /// The receipts that were added.
    pub receipts: Receipts,
    /// Who signed it.
    pub signatures: Vec<SignatureReport>,
    /// Whether something outside the record vouches for it.
    pub authenticated: bool,
}

/// The output of `byok verify --json`.
#[derive(Serialize)]
pub struct Report {
    /// `authentic` or `consistent, not authenticated`.
    pub verdict: &'static str,
    /// Whether something outside the record vouches for it.
    pub authenticated: bool,
    /// Whether the record is from a rehearsal.
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
    /// The exposure grade, for a ceremony that finished.
    pub exposure: String,
    /// SHA-256 of byok's medium from which the ceremony's computer ran, by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    /// How many exceptions it has.
    pub exceptions: usize,
    /// The data keys that it made.
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
    pub bits: Option<usize>,
    /// Fingerprint.
    pub fingerprint: String,
}

impl KeyReport {
    /// What people compare at a glance.
    pub(crate) fn glance(&self) -> String {
        crate::crypto::wrapping::glance(self.kcv.as_deref(), &self.fingerprint)
    }
}

impl Verified {
    /// Whether the ceremony was aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        self.chain.is_aborted()
    }

    /// Whether the record is from a rehearsal.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.chain.opening().rehearsal
    }

    /// Whether something from outside vouched for the previous record when this one was made. Without that, a forged
    /// record and a forger's key would look just the same.
    pub(crate) fn knew_its_previous(&self) -> bool {
        self.chain.events::<SameMaterial>().next().is_some() && !self.compared_in_doubt()
    }

    /// Whether it compared its data keys with material for which nothing from outside vouched.
    pub(crate) fn compared_in_doubt(&self) -> bool {
        let mut compared = self.chain.events::<SameMaterial>();
        compared.any(|same| !same.anchor.vouches())
    }

    fn medium(&self) -> Option<String> {
        let mut checked = self.chain.events::<MachineChecked>();
        checked.find_map(|told| told.machine.medium_sha256.clone())
    }

    /// The facts for programs.
    pub fn report(&self) -> Report {
        let opening = self.chain.opening();
        let keys = self.chain.data_keys().map(|key| KeyReport {
            label: key.label.clone(),
            spec: key.spec.to_string(),
            kcv: key.kcv.clone(),
            bits: key.bits,
            fingerprint: key.fingerprint.clone(),
        });
        let sealed = self.chain.sealed();
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
            ceremony: opening.ceremony.clone(),
            title: opening.title.clone(),
            exposure: sealed
                .map(|end| end.exposure.to_string())
                .unwrap_or_default(),
            medium: self.medium(),
            exceptions: self.chain.events::<Exception>().count(),
            keys: keys.collect(),
            signatures: self.signatures.clone(),
        }
    }
}

/// Checks every rule. `anchor` is the head digest from outside the record, or its beginning.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(directory: &Path, anchor: Option<&Anchor>) -> Result<Verified, Broken> {
    vouched_for(directory, anchor, None)
}

/// As [`verify`]; and somebody on a list from outside the record must have signed it.
///
/// # Errors
/// The first thing that does not hold.
pub(crate) fn vouched_for(
    directory: &Path,
    anchor: Option<&Anchor>,
    allowed: Option<&AllowedSigners>,
) -> Result<Verified, Broken> {
    let verified = check(directory, anchor, allowed)?;
    match verified.receipts.unnamed().first() {
        Some(path) => Err(Broken::new(Rule::Receipts, receipts::UNNAMED)
            .because(Cause::Unnamed)
            .within(path)),
        None => Ok(verified),
    }
}

/// The same, but an answer that an interrupted `byok receipt` left without its line is accepted.
///
/// # Errors
/// The first thing that does not hold.
pub(crate) fn but_for_unnamed_receipts(directory: &Path) -> Result<Verified, Broken> {
    check(directory, None, None)
}

/// Checks that the transcript in this directory is a chain with the anchor's head digest, before anything else in the
/// record is read.
///
/// # Errors
/// What does not hold.
pub(crate) fn is_the_one(directory: &Path, anchor: &Anchor) -> Result<(), Broken> {
    let (chain, _) = read_chain(directory)?;
    anchor::fits(anchor, &chain)
}

fn check(
    directory: &Path,
    anchor: Option<&Anchor>,
    allowed: Option<&AllowedSigners>,
) -> Result<Verified, Broken> {
    let mut files = Files::list(directory)?;
    let (chain, bytes) = read_chain(directory)?;
    known_format(&chain)?;
    medium_is_a_digest(&chain)?;
    members_fit(&chain)?;
    few_enough(&chain)?;
    end_fits(&chain)?;
    plan_is_the_approved_one(&chain, &mut files)?;
    let outputs = outputs(&chain)?;
    for (path, sha256) in &outputs {
        file_has_digest(&mut files, path, sha256)?;
    }
    wrapped_as_written(&chain, &outputs)?;
    public_keys::fit(directory, &chain, &outputs)?;
    no_other_file(&files, &outputs)?;
    if !chain.is_aborted() {
        no_empty_directory(&files.empty)?; // a run that failed may leave the folder of what it did not write
    }
    checksums(directory, &chain, &outputs)?;
    let present = files.into_digests()?;
    let mut signatures = signatures::check(directory, &chain, &bytes, &present)?;
    if let Some(anchor) = anchor {
        anchor::fits(anchor, &chain)?;
    }
    if let Some(allowed) = allowed {
        signatures::vouch(&mut signatures, &chain, allowed)?;
    }
    let receipts = receipts::read(directory, &chain, &present)?;
    Ok(Verified {
        chain,
        receipts,
        signatures,
        authenticated: anchor.is_some() || allowed.is_some(),
    })
}

/// A fault in a line of the transcript.
fn in_line(rule: Rule, number: usize, why: &str) -> Broken {
    Broken::line(rule, number, why).within(transcript::FILE)
}

fn read_chain(directory: &Path) -> Result<(Chain, Vec<u8>), Broken> {
    let name = transcript::FILE;
    let bytes = reading::read(&directory.join(name), limits::LONGEST_TRANSCRIPT);
    let bytes = bytes.map_err(|broken| broken.within(name))?;
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    if lines as u64 > limits::MOST_LINES {
        let why = format!("more than {} lines", limits::MOST_LINES);
        return Err(Broken::new(Rule::Limit, why).within(name));
    }
    let chain = Chain::read(&bytes).map_err(|broken| broken.within(name))?;
    Ok((chain, bytes))
}

/// Whether the last line fits the lines above it.
fn end_fits(chain: &Chain) -> Result<(), Broken> {
    let end = chain.end();
    let exceptions = chain.events::<Exception>().count();
    let fits =
        |sealed: &SealedLine| sealed.outcome == "done" && sealed.exceptions as usize == exceptions;
    if !chain.sealed().is_none_or(fits) {
        let why = "it does not fit the lines above it";
        return Err(in_line(Rule::Sealed, end.number, why));
    }
    let mut labels = BTreeSet::new();
    match chain
        .data_keys()
        .find(|key| !labels.insert(key.label.clone()))
    {
        Some(twice) => {
            let label = quoted(&twice.label);
            let why = format!("the data key \"{label}\" is there twice");
            Err(in_line(Rule::KeyTwice, twice.line.number, &why))
        }
        None => Ok(()),
    }
}

fn known_format(chain: &Chain) -> Result<(), Broken> {
    match chain.opening().format.as_ref() {
        transcript::FORMAT => Ok(()),
        other => Err(transcript::other_format(other).within(transcript::FILE)),
    }
}

/// A medium is named by its SHA-256, or not at all.
fn medium_is_a_digest(chain: &Chain) -> Result<(), Broken> {
    let is_digest = |told: &Json| {
        let sha256 = told.as_str().and_then(words::digest_from_hex);
        let sha256 = sha256.map(|sha256| words::hex(&sha256));
        matches!(told, Json::Null) || (sha256.is_some() && sha256.as_deref() == told.as_str())
    };
    let fits = |line: &Line| {
        let members = Json::Object(line.members());
        members.get("medium_sha256").is_none_or(is_digest)
    };
    let mut checked = chain.lines.iter();
    match checked.find(|line| line.name == "machine-checked" && !fits(line)) {
        Some(line) => {
            let why = "medium_sha256 is not 64 lower-case hex digits";
            Err(in_line(Rule::Medium, line.number, why))
        }
        None => Ok(()),
    }
}

/// Each event has the members of its type; later versions may have added others.
fn members_fit(chain: &Chain) -> Result<(), Broken> {
    match chain.lines.iter().find(|line| line.misfit.is_some()) {
        Some(line) => Err(line.does_not_fit().within(transcript::FILE)),
        None => Ok(()),
    }
}

/// There are no more keys and imports than a plan can have.
fn few_enough(chain: &Chain) -> Result<(), Broken> {
    let keys = chain.data_keys().count();
    let dealt = chain.events::<EscrowDealt>();
    let under_shares = dealt.map(|dealt| dealt.labels.len()).sum();
    let imports = chain.events::<Wrapped>().count();
    let most = limits::MOST_KEYS;
    match keys.max(under_shares).max(imports) as u64 > most {
        true => Err(Broken::new(
            Rule::Limit,
            format!(
                "{}: more data keys or imports than {most}",
                transcript::FILE
            ),
        )),
        false => Ok(()),
    }
}

fn plan_is_the_approved_one(chain: &Chain, files: &mut Files) -> Result<(), Broken> {
    let named = chain.opening().plan_sha256.as_str();
    for approved in chain.events::<PlanApproved>() {
        if approved.plan_sha256 != named {
            let why = "the plan approved here is not the one in line 1";
            return Err(in_line(Rule::Plan, approved.line.number, why));
        }
    }
    match files.digest("plan.toml")? {
        Some(sha256) if words::hex(&sha256) == named => Ok(()),
        Some(_) => Err(
            Broken::new(Rule::Plan, "plan.toml: not the plan that was approved")
                .because(files.has_other_line_ends("plan.toml", named)),
        ),
        None if chain.is_aborted() => Ok(()), // the disk may have been full
        None => Err(Broken::new(Rule::Plan, "plan.toml: missing")),
    }
}

/// The files for which the transcript vouches.
fn outputs(chain: &Chain) -> Result<BTreeMap<String, String>, Broken> {
    let removed = chain.aborted().map(|aborted| aborted.removed.iter());
    let removed: BTreeSet<&str> = removed.into_iter().flatten().map(String::as_str).collect();
    let mut outputs = BTreeMap::new();
    for output in chain.events::<Output>() {
        let (path, line) = (output.path.as_str(), output.line.number);
        if !is_plain(path) {
            let why = format!("\"{}\" is not a path within a record", quoted(path));
            return Err(in_line(Rule::Path, line, &why));
        }
        let digest = output.sha256.clone();
        if !removed.contains(path) && outputs.insert(path.to_owned(), digest).is_some() {
            let why = format!("{} was written twice", quoted(path));
            return Err(in_line(Rule::OutputTwice, line, &why));
        }
    }
    Ok(outputs)
}

fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && words::is_printable(path)
}

fn file_has_digest(files: &mut Files, path: &str, sha256: &str) -> Result<(), Broken> {
    match files.digest(path)? {
        Some(is) if words::hex(&is) == sha256 => Ok(()),
        Some(_) => Err(Broken::new(
            Rule::Bytes,
            "its bytes are not those that the transcript names",
        )
        .within(path)
        .because(files.has_other_line_ends(path, sha256))),
        None => Err(
            Broken::new(Rule::Missing, "missing, although the transcript names it").within(path),
        ),
    }
}

/// Rule 5.
fn wrapped_as_written(chain: &Chain, outputs: &BTreeMap<String, String>) -> Result<(), Broken> {
    if chain.is_aborted() {
        return Ok(());
    }
    let made: BTreeSet<String> = chain.data_keys().map(|key| key.label.clone()).collect();
    for wrapped in chain.events::<Wrapped>() {
        let (path, label, line) = (&wrapped.path, &wrapped.label, wrapped.line);
        if outputs.get(path) != Some(&wrapped.sha256) {
            let why = format!("{} was not written as it was wrapped", quoted(path));
            return Err(in_line(Rule::Wrapped, line.number, &why));
        }
        if !made.contains(label) {
            let label = quoted(label);
            let why = format!("no data key \"{label}\" was made or brought back");
            return Err(in_line(Rule::Wrapped, line.number, &why));
        }
    }
    Ok(())
}

/// Rule 6.
fn no_other_file(files: &Files, outputs: &BTreeMap<String, String>) -> Result<(), Broken> {
    let named = |path: &str| outputs.contains_key(path) || may_stand_beside(path);
    match files.paths().find(|path| !named(path)) {
        Some(path) => Err(
            Broken::new(Rule::More, "the transcript does not name this file")
                .within(path)
                .because(left_by(path)),
        ),
        None => Ok(()),
    }
}

/// Rule 6: files without a digest in the transcript.
fn may_stand_beside(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    [transcript::FILE, SUMS, receipts::FILE].contains(&path)
        || ADDED_LATER.iter().any(|folder| path.starts_with(folder))
        || (name.starts_with("import-result") && name.ends_with(".json"))
}

/// Rule 6 for directories: only empty ones are judged here, because the others are judged by their files.
fn no_empty_directory(empty: &[String]) -> Result<(), Broken> {
    match empty
        .iter()
        .find(|path| !ADDED_LATER.contains(&path.as_str()))
    {
        Some(path) => Err(
            Broken::new(Rule::Empty, "an empty directory that byok did not make")
                .within(path)
                .because(left_by(path)),
        ),
        None => Ok(()),
    }
}

/// Rule 7.
fn checksums(
    directory: &Path,
    chain: &Chain,
    outputs: &BTreeMap<String, String>,
) -> Result<(), Broken> {
    let broken = |why: String| Broken::new(Rule::Sums, format!("{SUMS}: {why}"));
    let bytes = reading::read(&directory.join(SUMS), limits::LONGEST_TRANSCRIPT);
    let bytes = bytes.map_err(|unread| match unread.rule {
        Rule::Missing => broken("missing".into()),
        _ => unread.within(SUMS),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| broken("not text".into()))?;
    let mut expected = outputs.clone();
    expected.insert(transcript::FILE.to_owned(), words::hex(&chain.head));
    // Not `lines`, which would also accept CRLF: sha256sum does not.
    for line in text.split_terminator('\n') {
        let line_ends = line.ends_with('\r').then_some(Cause::LineEnds);
        let broken = |why: String| broken(why).because(line_ends);
        let (sha256, path) = line
            .split_once("  ")
            .ok_or_else(|| broken(format!("\"{}\" is not a checksum", quoted(line))))?;
        let shown = quoted(path);
        match expected.remove(path) {
            Some(is) if is == sha256 => {}
            Some(_) => {
                return Err(broken(format!(
                    "its digest of {shown} is not the transcript's"
                )));
            }
            None => {
                return Err(broken(format!(
                    "{shown} does not belong there, or is there twice"
                )));
            }
        }
    }
    if !text.ends_with('\n') {
        return Err(broken("its last line is incomplete".into()));
    }
    match expected.keys().next() {
        Some(path) => Err(broken(format!("{} is not listed", quoted(path)))),
        None => Ok(()),
    }
}
