//! `byok inspect`: what a file is. It judges nothing that takes a plan to judge, and shows no secrets.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use serde_json::{Map, Value, json};

use crate::cli::recognised::recognise;
use crate::evidence::receipts::describe::describe_key;
use crate::evidence::transcript::Chain;
use crate::evidence::verify;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json;
use crate::ground::words;
use crate::plan::Plan;
use crate::plan::kms;
use crate::plan::kms::aws::{self, Form, ImportParameters};

mod evidence;
mod keys;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 32 << 20;

/// Says on standard output what the file is.
///
/// # Errors
/// Exit 2 if a ceremony knows no such file; exit 4 if it is broken.
pub(crate) fn inspect(path: &Path, as_json: bool) -> Result<()> {
    let facts = facts(path)?;
    if as_json {
        return super::print_json(&facts);
    }
    let width = facts.keys().map(String::len).max().unwrap_or(0);
    // What it is comes first; the rest as in the JSON.
    let (what, rest): (Vec<_>, Vec<_>) = facts.iter().partition(|(name, _)| *name == "what");
    for (name, value) in what.into_iter().chain(rest) {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        super::print(&line(name, width, &words::quoted_whole(&value)))?;
    }
    Ok(())
}

/// A value that has no room beside its name in a person's window stands below it.
fn line(name: &str, width: usize, value: &str) -> String {
    let beside = format!("{name:<width$}  {value}\n");
    match super::window() {
        Some(window) if window.lines(&beside) != beside => {
            format!("{name}\n{}", window.lines(&format!("  {value}\n")))
        }
        _ => beside,
    }
}

/// Whether it is a private key. What only wants to know what a file is does not read such a file.
pub(super) fn is_private_key(path: &Path) -> bool {
    keys::private(path).is_ok_and(|key| key.is_some())
}

type Facts = Map<String, Value>;

fn facts(path: &Path) -> Result<Facts> {
    let kind = fs::metadata(path).map_err(|e| Error::usage(format!("{}: {e}", path.display())))?;
    if kind.is_dir() {
        return directory(path);
    }
    if !kind.is_file() {
        return Err(Error::usage(format!(
            "{}: not a regular file",
            path.display()
        )));
    }
    // Asked first, and nothing else reads such a file: not even its digest is shown.
    if let Some(share) = evidence::share(path)? {
        return Ok(share);
    }
    if let Some(key) = keys::private(path)? {
        return Ok(key);
    }
    let bytes = read(path)?;
    let mut facts = file(path, &bytes)?;
    facts.insert("sha256".into(), words::hex(&words::sha256(&bytes)).into());
    Ok(facts)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = |e: std::io::Error| Error::usage(format!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(cannot)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::usage(format!(
            "{}: longer than any file of a ceremony",
            path.display()
        )));
    }
    Ok(bytes)
}

fn directory(path: &Path) -> Result<Facts> {
    if path.join(crate::evidence::transcript::FILE).exists() {
        let verified = verify::verify(path, None)
            .map_err(|broken| Error::mismatch(format!("broken record: {broken}")))?;
        let report = verified.report();
        return Ok(object(json!({
            "what": "record", "title": report.title, "outcome": report.outcome, "rehearsal": report.rehearsal,
            "head": report.head, "next": format!("byok verify {}", words::shell_path(path)),
        })));
    }
    aws::read(path).map(|read| parameters(&read))
}

/// A file with a structure is recognised by it, others by name or length.
fn file(path: &Path, bytes: &[u8]) -> Result<Facts> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_zip(bytes) {
        return aws::parse(&name, bytes).map(|read| parameters(&read));
    }
    if let Some(known) = by_content(bytes)? {
        return Ok(known);
    }
    recognise(bytes)?; // of no use: its own KMS says why
    if let Some(opaque) = keys::opaque(&name, bytes) {
        return Ok(opaque);
    }
    match (aws::parse(&name, bytes), Plan::parse(path, bytes.to_vec())) {
        (Ok(read), _) => Ok(parameters(&read)),
        (_, Ok(plan)) => Ok(plan_facts(&plan)),
        (_, Err(error)) if name.ends_with(".toml") => Err(error),
        (Err(error), _) => Err(error.hint(
            "byok knows plans, import parameters, wrapped material, and every file of a record",
        )),
    }
}

fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// `None`: a plan, import parameters, or bytes without a structure.
fn by_content(bytes: &[u8]) -> Result<Option<Facts>> {
    if let Some(part) = evidence::of_record(bytes)? {
        return Ok(Some(part));
    }
    if is_transcript(bytes) {
        return transcript(bytes).map(Some);
    }
    Ok(escrow_package(bytes)
        .or_else(|| of_elsewhere(bytes))
        .or_else(|| evidence::answer(bytes))
        .or_else(|| described(bytes))
        .or_else(|| keys::public(bytes)))
}

fn is_transcript(bytes: &[u8]) -> bool {
    let beginning = &bytes[..bytes.len().min(4096)];
    let chained = beginning.windows(7).any(|w| w == b"\"prev\":");
    bytes.starts_with(b"{") && bytes.contains(&b'\n') && chained
}

/// Import parameters of another KMS than AWS KMS.
fn of_elsewhere(bytes: &[u8]) -> Option<Facts> {
    let known = recognise(bytes).ok()??;
    let mut facts = object(json!({
        "what": known.row.answer.what, "wrapping_key": known.answered.wrapping_key.spec(),
        "wrapping_key_sha256": words::hex(&known.answered.wrapping_key.sha256()),
        "key": "not in the file: only a plan names it",
    }));
    if let Some(wrapping) = known.answered.wrapping {
        facts.insert("wrapping".into(), wrapping.name().into());
    }
    for (name, value) in known.more() {
        facts.insert(name.into(), value.into());
    }
    Some(facts)
}

fn described(bytes: &[u8]) -> Option<Facts> {
    let key = describe_key(bytes).ok()?;
    Some(object(json!({
        "what": "answer of DescribeKey or CreateKey", "key_arn": key.arn.as_str(), "spec": key.key_spec,
        "origin": key.origin, "state": key.key_state, "usage": key.key_usage, "multi_region": key.multi_region,
    })))
}

fn transcript(bytes: &[u8]) -> Result<Facts> {
    let chain = Chain::read(bytes)
        .map_err(|broken| Error::mismatch(format!("broken transcript: {broken}")))?;
    Ok(object(json!({
        "what": "transcript", "title": chain.opening().title, "ceremony": chain.opening().ceremony,
        "rehearsal": chain.opening().rehearsal, "lines": chain.lines.len(), "ends": chain.end().name,
        "head": words::hex(&chain.head),
    })))
}

/// Names an escrow package without opening it.
fn escrow_package(bytes: &[u8]) -> Option<Facts> {
    let json = strict_json::parse(bytes).ok()?;
    let format = json.get("format")?.as_str()?;
    let keys = json.get("keys").and_then(strict_json::Json::as_array);
    let keys: Vec<Value> = keys.unwrap_or_default().iter().map(packed).collect();
    format.starts_with("byok-escrow-package-").then(|| {
        object(json!({
            "what": "escrow package", "format": format, "data_keys": keys,
            "ceremony": json.get("ceremony").and_then(strict_json::Json::as_str).unwrap_or_default(),
            "note": "without a quorum of shares it opens nothing; without it no quorum does",
        }))
    })
}

/// What the package says about one data key, and how many wrapped bytes it holds.
fn packed(key: &strict_json::Json) -> Value {
    let text = |name| {
        key.get(name)
            .and_then(strict_json::Json::as_str)
            .unwrap_or_default()
    };
    let bytes = Base64::decode_vec(text("wrapped")).map_or(0, |wrapped| wrapped.len());
    json!({
        "label": text("label"), "spec": text("spec"), "fingerprint": text("fingerprint"),
        "wrapping": text("wrapping"), "wrapped_bytes": bytes,
    })
}

fn parameters(read: &ImportParameters) -> Facts {
    let form = match read.form {
        Form::Json => "JSON",
        Form::ConsoleZip => "the console's zip",
        Form::Directory => "a directory",
    };
    let mut facts = object(json!({
        "what": format!("import parameters, {form}"),
        "wrapping_key": read.wrapping_key.spec(),
        "wrapping_key_sha256": words::hex(&read.wrapping_key.sha256()),
        "import_token": format!("{} bytes", read.import_token.len()),
        "parameter_files_sha256": words::hex(&kms::parameter_files_digest(&read.files)),
    }));
    let mut add = |name: &str, value: Option<String>| {
        facts.insert(
            name.into(),
            value.unwrap_or_else(|| "not in the file".into()).into(),
        );
    };
    add(
        "key_arn",
        read.key_arn.as_ref().map(|arn| arn.as_str().to_owned()),
    );
    add("valid_to", read.valid_to.map(|at| at.to_string()));
    add(
        "wrapping",
        read.wrapping_algorithm
            .map(|algorithm| algorithm.to_string()),
    );
    facts
}

fn plan_facts(plan: &Plan) -> Facts {
    let keys: Vec<&str> = plan.keys.iter().map(|key| key.label.as_str()).collect();
    object(json!({
        "what": "plan", "title": plan.title, "kind": plan.kind, "data_keys": keys,
        "imports": plan.imports().count(), "record": plan.directory.display().to_string(),
    }))
}

fn object(value: Value) -> Facts {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("what".to_owned(), other)]),
    }
}
