//! The signatures beside a transcript: the HSM's, and those that witnesses added afterwards.
//!
//! A key inside the record vouches for nothing: whoever makes a record anew also makes a key.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::signers::AllowedSigners;
use crate::crypto::sshsig::{Message, Signature};
use crate::crypto::sshsig::{PublicKey, Verdict};
use crate::evidence::rules::{Broken, Rule, limits};
use crate::evidence::transcript::{
    Chain, HSM_SIGNATURE, Line, SIGNATURES, Said, TranscriptSigner, namespace,
};
use crate::ground::words::Digest;

/// A signature in a record; if `checked`, it is valid by its own key.
#[derive(Clone, Debug, Serialize)]
pub struct SignatureReport {
    /// Path within the record.
    pub file: String,
    /// OpenSSH key type.
    pub key_type: String,
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Who signed, by a list from outside the record.
    pub principal: Option<String>,
    /// Whether byok knows this type of key; a signature by an unknown type vouches for nothing.
    pub checked: bool,
    #[serde(skip)]
    key: PublicKey,
}

/// Checks every file below `signatures/`. `bytes` is the transcript.
///
/// # Errors
/// The first thing that does not hold.
pub(super) fn check(
    directory: &Path,
    chain: &Chain,
    bytes: &[u8],
    present: &BTreeMap<String, Digest>,
) -> Result<Vec<SignatureReport>, Broken> {
    let signer = signer(chain)?;
    let has_one = present.contains_key(HSM_SIGNATURE);
    match &signer {
        Some((line, _)) if !has_one && chain.sealed().is_some() => {
            let line = line.number;
            let why = format!("missing, although line {line} of the transcript names the signer");
            return Err(Broken::new(Rule::Signer, why).within(HSM_SIGNATURE));
        }
        None if has_one => {
            let why = "the transcript names no signer";
            return Err(Broken::new(Rule::Signer, why).within(HSM_SIGNATURE));
        }
        _ => {}
    }
    let namespace = namespace(chain.opening().rehearsal);
    let paths = present.keys().filter(|path| path.starts_with(SIGNATURES));
    if paths.clone().count() as u64 > limits::MOST_SIGNATURES {
        let why = format!("more than {} signatures", limits::MOST_SIGNATURES);
        return Err(Broken::new(Rule::Limit, why).within(SIGNATURES));
    }
    let transcript = Message::new(bytes);
    let mut reports = Vec::new();
    for path in paths {
        let one = one(directory, path, namespace, &transcript, signer.as_ref());
        reports.push(one.map_err(|broken| broken.within(path))?);
    }
    Ok(reports)
}

/// The line that names the HSM's signer, with its key.
fn signer(chain: &Chain) -> Result<Option<(&Line, PublicKey)>, Broken> {
    let named: Vec<Said<TranscriptSigner>> = chain.events().collect();
    let broken = |signer: &Said<TranscriptSigner>, why: &str| {
        Err(super::in_line(Rule::Signer, signer.line.number, why))
    };
    match named.as_slice() {
        [] => Ok(None),
        [one] => match PublicKey::parse(&one.public_key).filter(PublicKey::is_p256) {
            None => broken(one, "public_key is not an OpenSSH public key on P-256"),
            Some(key) if key.fingerprint() != one.fingerprint => {
                broken(one, "fingerprint is not that of public_key")
            }
            Some(key) => Ok(Some((one.line, key))),
        },
        [_, second, ..] => broken(second, "a second transcript signer"),
    }
}

fn one(
    directory: &Path,
    path: &str,
    namespace: &str,
    transcript: &Message,
    signer: Option<&(&Line, PublicKey)>,
) -> Result<SignatureReport, Broken> {
    let broken = |rule, why: &str| Err(Broken::new(rule, why));
    let name = path
        .strip_prefix(SIGNATURES)
        .and_then(|p| p.strip_suffix(".sig"));
    if !name.is_some_and(is_name) {
        let why = "not a signature's name, such as signatures/auditor.sig";
        return broken(Rule::SignatureName, why);
    }
    let file =
        crate::evidence::rules::reading::read(&directory.join(path), limits::LONGEST_SIGNATURE)?;
    let signature = Signature::parse(&file).map_err(|why| Broken::new(Rule::SignatureForm, why))?;
    let of_hsm = path == HSM_SIGNATURE;
    if of_hsm && signer.is_none_or(|(_, key)| *key != signature.key) {
        let key = signature.key.fingerprint();
        let why = format!("by the key {key}, which the transcript does not name");
        return broken(Rule::Signer, &why);
    }
    signature
        .is_for(namespace)
        .map_err(|why| Broken::new(Rule::Purpose, why))?;
    let verdict = signature
        .verify(namespace, transcript)
        .map_err(|why| Broken::new(Rule::Signature, why))?;
    Ok(SignatureReport {
        file: path.to_owned(),
        key_type: signature.key.kind().to_owned(),
        fingerprint: signature.key.fingerprint(),
        principal: None,
        checked: verdict == Verdict::Holds,
        key: signature.key,
    })
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// Names the signer of each signature, by the list. At least one signature must be by a listed key.
///
/// # Errors
/// If none is; the text names the keys that signed.
pub(super) fn vouch(
    signatures: &mut [SignatureReport],
    chain: &Chain,
    allowed: &AllowedSigners,
) -> Result<(), Broken> {
    let broken = |why: &str| {
        let what = format!("signatures/: no listed key signed this record: {why}");
        Err(Broken::new(Rule::Listed, what))
    };
    let namespace = namespace(chain.opening().rehearsal);
    let at = chain.end().at;
    for signature in signatures.iter_mut().filter(|signature| signature.checked) {
        signature.principal = allowed.principal(&signature.key, namespace, at);
    }
    if signatures.iter().any(|s| s.principal.is_some()) {
        return Ok(());
    }
    if signatures.is_empty() {
        return broken("there is no signature");
    }
    let signed: Vec<String> = signatures
        .iter()
        .map(|signature| {
            let why = match signature.checked {
                true => allowed.why_not(&signature.key, namespace, at),
                false => "not checked by byok",
            };
            format!("{} by {} ({why})", signature.file, signature.fingerprint)
        })
        .collect();
    broken(&signed.join(", "))
}
