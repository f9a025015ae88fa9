//! The smaller parts of a record and what is added to it: receipts, packages as text, checksums, answers of KMS, and
//! shares, of which nothing is shown.

use std::path::Path;

use serde_json::{Value, json};

use super::{Facts, object};
use crate::crypto::escrow::{self, Package, package};
use crate::crypto::sshsig::{self, Signature};
use crate::evidence::receipts::{
    self,
    answer::{Answer, MacAnswer, PublicKeyAnswer},
};
use crate::evidence::transcript::{self, KeyName};
use crate::ground::error::{Error, Result};
use crate::ground::words;
use crate::paper::document;

/// A share file: that it is one, and whether it could be typed as it stands.
pub(super) fn share(path: &Path) -> Result<Option<Facts>> {
    let facts = |share: escrow::ShareFile| {
        let refused = share.foreign.as_ref().map(escrow::NotAShare::told);
        let mut facts = object(json!({
            "what": "a share file of byok", "words": share.words,
            "checksum": if share.holds { "ok" } else { "does not hold" }, "refused": refused,
            "note": "secret: nothing of it is shown; byok share check tells whose it is",
        }));
        facts.retain(|_, value| !value.is_null());
        facts
    };
    Ok(escrow::share_file(path)?.map(facts))
}

/// `receipts.jsonl`, `package.txt` or `SHA256SUMS`, by content.
///
/// # Errors
/// Exit 4 if it is one of them and broken.
pub(super) fn of_record(bytes: &[u8]) -> Result<Option<Facts>> {
    let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let first = beginning.lines().next().unwrap_or_default();
    if first.starts_with('{') && first.contains(&format!("\"format\":\"{}\"", receipts::FORMAT)) {
        return receipts(bytes).map(Some);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(None);
    };
    if first == package::FORMAT {
        return package_text(text).map(Some);
    }
    if text.starts_with(sshsig::BEGIN) {
        return signature_of(bytes).map(Some);
    }
    let mode = text.strip_prefix(document::beginning()).unwrap_or_default();
    if ["PRODUCTION", "PRACTICE", "REHEARSAL"]
        .iter()
        .any(|own| mode.starts_with(own))
    {
        return Ok(Some(object(json!({
            "what": "paper of byok: a script, forms, or the report of a record",
            "next": "it is a page for a browser; a record's transcript names the digest of its report",
        }))));
    }
    Ok(checksums(text))
}

fn receipts(bytes: &[u8]) -> Result<Facts> {
    let alone = receipts::alone(bytes)
        .map_err(|why| Error::mismatch(format!("broken receipts.jsonl: {why}")))?;
    Ok(object(json!({
        "what": "receipts of a record", "lines": alone.lines,
        "transcript_head": alone.transcript_head,
        "receipts_digest": words::hex(&words::sha256(bytes)),
        "next": "byok verify RECORD checks the answers too",
    })))
}

/// Who signed, by the key inside: that vouches for nothing.
fn signature_of(bytes: &[u8]) -> Result<Facts> {
    let signature = Signature::parse(bytes)
        .map_err(|why| Error::mismatch(format!("broken signature: {why}")))?;
    Ok(object(json!({
        "what": "signature (SSHSIG)", "namespace": words::printable(&signature.namespace),
        "key_type": words::printable(signature.key.kind()), "fingerprint": signature.key.fingerprint(),
        "next": "byok verify --signers FILE RECORD says whether a known key signed",
    })))
}

fn package_text(text: &str) -> Result<Facts> {
    let (ceremony, labels) = Package::look_at_text(text)
        .map_err(|why| Error::mismatch(format!("broken escrow package: {why}")))?;
    Ok(object(json!({
        "what": "escrow package as text", "format": package::FORMAT, "ceremony": ceremony,
        "data_keys": labels, "rows": "every check fits",
        "note": "without a quorum of shares it opens nothing; without it no quorum does",
    })))
}

fn checksums(text: &str) -> Option<Facts> {
    let path = |line: &str| {
        let (digest, path) = line.split_once("  ")?;
        words::digest_from_hex(digest).map(|_| path.to_owned())
    };
    let paths = text.lines().map(path).collect::<Option<Vec<String>>>()?;
    let of_record = paths.iter().any(|path| path == transcript::FILE);
    of_record.then(|| {
        object(json!({
            "what": "checksums of a record", "files": paths.len(),
            "next": "in its directory: sha256sum -c SHA256SUMS",
        }))
    })
}

/// What KMS, CloudTrail or `import.sh` answered; DescribeKey is shown in more detail elsewhere.
pub(super) fn answer(bytes: &[u8]) -> Option<Facts> {
    let answer = Answer::read(bytes).ok()?;
    let what = format!("answer of {}", answer.name());
    let facts = match answer {
        Answer::DescribeKey { .. } => return None,
        Answer::ImportResult(result) => {
            let member = match result.kms_key {
                KeyName::Arn(_) => "key_arn",
                KeyName::Other(_) => "key",
            };
            json!({
            "what": "import result of import.sh", "ceremony": result.ceremony, "label": result.label,
            "import": result.import, (member): result.kms_key.as_str(), "exit": result.exit,
            "key_material_id": result.key_material_id, "at": result.at.to_string(),
            "arguments": result.arguments,
            })
        }
        Answer::EngineKey(key) => {
            json!({"what": what, "name": key.name, "key": key.url, "type": key.key_type})
        }
        Answer::ImportKeyMaterial {
            key_id,
            key_material_id,
        } => json!({"what": what, "key_id": key_id, "key_material_id": key_material_id}),
        Answer::ListKeyRotations { rotations, .. } => {
            let ids: Vec<String> = rotations.into_iter().map(|of| of.key_material_id).collect();
            json!({"what": what, "key_material_ids": ids})
        }
        Answer::GenerateMac(MacAnswer { key_id, .. })
        | Answer::GetPublicKey(PublicKeyAnswer { key_id, .. }) => {
            json!({"what": what, "key_id": key_id})
        }
        Answer::CloudTrail(events) => {
            let names: Vec<String> = events.into_iter().map(|event| event.name).collect();
            json!({"what": "events of CloudTrail", "events": names})
        }
    };
    let mut facts = object(facts);
    facts.retain(|_, value| *value != Value::Null);
    facts.insert(
        "next".into(),
        "byok receipt RECORD FILE adds it to its record".into(),
    );
    Some(facts)
}
