//! Reads receipts back: the chain of lines, the answers that they name, and whether both agree.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::answer::Answered;
use super::judge::{Entry, Rules, Scope};
use super::{FILE, FOLDER, FORMAT, Receipt, Receipts, TORN, imports};
use crate::evidence::rules::{Broken, Cause, Rule};
use crate::evidence::transcript::{self, Chain};
use crate::ground::strict_json::{self, Json};
use crate::ground::words::{self, Digest};

/// The longest chain of receipts and the longest answer that byok reads, in bytes; only byok judges these.
const LONGEST: u64 = 16 << 20;

/// Checks `receipts.jsonl` and everything that it names; `present` is the record's files with their digests.
///
/// # Errors
/// The first thing that does not hold, with its line.
pub(crate) fn read(
    directory: &Path,
    chain: &Chain,
    present: &BTreeMap<String, Digest>,
) -> Result<Receipts, Broken> {
    let mut receipts = Receipts {
        imports: imports(chain),
        last: chain.head,
        ..Receipts::default()
    };
    if present.contains_key(FILE) {
        let bytes = crate::evidence::rules::reading::read(&directory.join(FILE), LONGEST);
        let bytes = bytes.map_err(|unread| unread.within(FILE))?;
        let ceremony = chain.opening().ceremony.as_str();
        let reader = Reader {
            directory,
            present,
            ceremony,
        };
        reader.lines(&bytes, &mut receipts)?;
    }
    let named: Vec<&str> = receipts.receipts.iter().map(|r| r.file.as_str()).collect();
    let unnamed = present
        .keys()
        .filter(|path| path.starts_with(FOLDER) && !named.contains(&path.as_str()));
    receipts.unnamed = unnamed.cloned().collect();
    Ok(receipts)
}

struct Reader<'a> {
    directory: &'a Path,
    present: &'a BTreeMap<String, Digest>,
    ceremony: &'a str,
}

impl Reader<'_> {
    fn lines(&self, bytes: &[u8], into: &mut Receipts) -> Result<(), Broken> {
        let broken = |number, why: &str| Broken::line(Rule::Receipts, number, why).within(FILE);
        let mut start = 0;
        while let Some(len) = bytes[start..].iter().position(|byte| *byte == b'\n') {
            let raw = &bytes[start..start + len];
            let number = into.receipts.len() + 1;
            let receipt = self
                .line(number, raw, into)
                .map_err(|why| broken(number, &why))?;
            into.receipts.push(receipt);
            into.last = words::sha256(raw);
            start += len + 1;
            into.heads.push(words::sha256(&bytes[..start]));
        }
        if start < bytes.len() {
            let number = into.receipts.len() + 1;
            return Err(broken(number, TORN).because(Cause::Torn));
        }
        Ok(())
    }

    fn line(&self, number: usize, raw: &[u8], before: &Receipts) -> Result<Receipt, String> {
        let (json, at) = linked(number, raw, &before.last)?;
        if before.receipts.last().is_some_and(|last| at < last.at) {
            return Err("its time is before the line above".into());
        }
        let text = |name| json.get(name).and_then(Json::as_str).unwrap_or_default();
        let file = text("file").to_owned();
        if file != name(number) {
            return Err(format!("its file is not {}", name(number)));
        }
        let sha256 = self
            .present
            .get(&file)
            .ok_or(format!("{file} is missing"))?;
        if words::hex(sha256) != text("sha256") {
            return Err(format!("{file}: its bytes are not those that were added"));
        }
        let entry = self.entry(&json, &file, sha256, before)?;
        Ok(Receipt {
            number,
            at,
            file,
            sha256: *sha256,
            entry,
        })
    }

    /// What the answer's bytes say; the line must agree.
    fn entry(
        &self,
        json: &Json,
        file: &str,
        sha256: &Digest,
        before: &Receipts,
    ) -> Result<Entry, String> {
        let bytes = crate::evidence::rules::reading::read(&self.directory.join(file), LONGEST)
            .map_err(|why| format!("{file}: {why}"))?;
        if words::sha256(&bytes) != *sha256 {
            return Err(format!("{file}: it changed while byok read it"));
        }
        let scope = Scope {
            ceremony: self.ceremony,
            imports: &before.imports,
            earlier: &before.receipts,
            before: &[],
            rules: Rules::Now,
        };
        let answer = Answered::read(&bytes).map_err(|error| format!("{file}: {}", error.line()))?;
        let judged = said(json, file, &scope, &answer);
        judged.or_else(|why| {
            let older = Scope {
                rules: Rules::Older,
                ..scope
            };
            match said(json, file, &older, &answer) {
                Ok(entry) => Ok(scope.judge(&answer).unwrap_or(entry.told_by_older_rules())),
                Err(_) => Err(why),
            }
        })
    }
}

/// What the answer says by these rules, if the line says the same.
fn said(line: &Json, file: &str, scope: &Scope, answer: &Answered) -> Result<Entry, String> {
    let entry = scope.judge(answer);
    let entry = entry.map_err(|error| format!("{file}: {}", error.line()))?;
    agree(line, &entry).map_err(|what| format!("{what} is not what {file} says"))?;
    Ok(entry)
}

/// One line by itself, and whether it follows the line with this digest.
fn linked(number: usize, raw: &[u8], prev: &Digest) -> Result<(Json, Timestamp), String> {
    let json = transcript::numbered(raw, number).map_err(|(_, why)| why)?;
    let text = |name| json.get(name).and_then(Json::as_str).unwrap_or_default();
    if number == 1 && text("format") != FORMAT {
        return Err(format!("its format is {:?}, not {FORMAT}", text("format")));
    }
    if text("prev") != words::hex(prev) {
        return Err(match number {
            1 => "prev is not the head of the transcript".to_owned(),
            _ => format!(
                "prev is not the digest of line {}: one of the two was changed",
                number - 1
            ),
        });
    }
    let at = transcript::time(text("at")).ok_or("at is not a time such as 2026-11-22T11:42:03Z")?;
    Ok((json, at))
}

/// A `receipts.jsonl` by itself, without its record.
pub struct Alone {
    /// How many lines it has.
    pub lines: usize,
    /// The transcript's head digest, with which it begins.
    pub transcript_head: String,
}

/// Checks that the lines are a chain; what they say is not judged.
///
/// # Errors
/// The first line that does not hold.
pub fn alone(bytes: &[u8]) -> Result<Alone, String> {
    let text = bytes.strip_suffix(b"\n").ok_or(TORN)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let first = strict_json::parse(lines[0]).map_err(|why| format!("line 1: {why}"))?;
    let head = first.get("prev").and_then(Json::as_str).unwrap_or_default();
    let head = words::digest_from_hex(head).ok_or("line 1: prev is not a digest")?;
    let mut prev = head;
    for (at, raw) in lines.iter().enumerate() {
        linked(at + 1, raw, &prev).map_err(|why| format!("line {}: {why}", at + 1))?;
        prev = words::sha256(raw);
    }
    Ok(Alone {
        lines: lines.len(),
        transcript_head: words::hex(&head),
    })
}

/// A member of the line that disagrees with the answer. Members that only a later version knows, or only this one,
/// are ignored: lines of older versions stay valid.
fn agree(line: &Json, entry: &Entry) -> Result<(), String> {
    let derived = serde_json::to_string(entry).map_err(|e| e.to_string())?;
    let derived = strict_json::parse(derived.as_bytes())?;
    let needed = |name: &str| ["answer", "proves"].contains(&name);
    let differs = |name: &str, value: &Json| match line.get(name) {
        Some(said) => said != value,
        None => needed(name),
    };
    let members = derived.as_object().unwrap_or_default();
    match members.iter().find(|(name, value)| differs(name, value)) {
        Some((name, _)) => Err(name.clone()),
        None => Ok(()),
    }
}

/// The file of a line's answer.
pub(crate) fn name(number: usize) -> String {
    format!("{FOLDER}{number:03}.json")
}

/// One line as byok writes it, without its line feed.
pub(crate) fn line(
    receipts: &Receipts,
    at: Timestamp,
    sha256: &Digest,
    entry: &Entry,
) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Written<'a> {
        seq: usize,
        at: Timestamp,
        prev: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<&'static str>,
        file: String,
        sha256: String,
        #[serde(flatten)]
        entry: &'a Entry,
    }
    let seq = receipts.receipts.len() + 1;
    serde_json::to_vec(&Written {
        seq,
        at,
        prev: words::hex(&receipts.last),
        format: (seq == 1).then_some(FORMAT),
        file: name(seq),
        sha256: words::hex(sha256),
        entry,
    })
}

impl Receipts {
    /// Adds a line that was just written; `whole` is the file including it.
    pub(crate) fn push(&mut self, receipt: Receipt, line: &[u8], whole: &[u8]) {
        self.receipts.push(receipt);
        self.last = words::sha256(line);
        self.heads.push(words::sha256(whole));
    }
}
