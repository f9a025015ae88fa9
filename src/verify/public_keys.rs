//! Rule 5, of key pairs: the files that hold a public key are those of the data key.

use std::collections::BTreeMap;
use std::path::Path;

use crate::receipts::is_pair;
use crate::transcript::{Chain, Line};
use crate::words;
use crate::wrapping::public;

/// The longest public key that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// Whether the public key of each key pair, which must lie there where the pair was made, has as DER the
/// fingerprint for its digest, and as PEM says the same.
pub(super) fn fit(
    directory: &Path,
    chain: &Chain,
    outputs: &BTreeMap<String, String>,
) -> Result<(), String> {
    let aborted = chain.end().event == "aborted";
    for line in chain.data_keys().filter(|line| is_pair(line.text("spec"))) {
        let label = line.text("label");
        let [der, pem] = ["der", "pem"].map(|form| format!("{label}/public-key.{form}"));
        for path in [&der, &pem] {
            if !outputs.contains_key(path) && line.event == "key-generated" && !aborted {
                return Err(format!(
                    "transcript.jsonl: line {}: {path}, the public key, was not written",
                    line.number
                ));
            }
        }
        der_fits(line, &der, outputs)?;
        pem_fits(directory, &der, &pem, outputs)?;
    }
    Ok(())
}

fn der_fits(line: &Line, der: &str, outputs: &BTreeMap<String, String>) -> Result<(), String> {
    match outputs.get(der) {
        Some(sha256) if sha256 != line.text("fingerprint") => Err(format!(
            "{der}: its digest is not the fingerprint that line {} of the transcript tells",
            line.number
        )),
        _ => Ok(()),
    }
}

fn pem_fits(
    directory: &Path,
    der: &str,
    pem: &str,
    outputs: &BTreeMap<String, String>,
) -> Result<(), String> {
    let (Some(_), Some(written)) = (outputs.get(der), outputs.get(pem)) else {
        return Ok(());
    };
    let spki = super::read(&directory.join(der), LONGEST).map_err(|why| format!("{der}: {why}"))?;
    if spki.is_empty() {
        return Err(format!("{der}: it is empty"));
    }
    match words::hex(&words::sha256(public::to_pem(&spki).as_bytes())) == *written {
        true => Ok(()),
        false => Err(format!("{pem}: it is not {der} in PEM")),
    }
}
