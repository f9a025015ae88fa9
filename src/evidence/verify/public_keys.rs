//! Rule 5 for key pairs: the files with a public key are the data key's.

use std::collections::BTreeMap;
use std::path::Path;

use crate::crypto::wrapping::public;
use crate::evidence::receipts::is_pair;
use crate::evidence::rules::{Broken, Rule, limits};
use crate::evidence::transcript::{Chain, DataKeyFacts, Event, Said};
use crate::ground::words::{self, quoted};

/// Checks each key pair's public key, which must be in the record that made the pair: the digest of its DER file is
/// the fingerprint, and the PEM file says the same.
pub(super) fn fit(
    directory: &Path,
    chain: &Chain,
    outputs: &BTreeMap<String, String>,
) -> Result<(), Broken> {
    let aborted = chain.is_aborted();
    for key in chain.data_keys().filter(|key| is_pair(&key.spec)) {
        let (label, line) = (&key.label, key.line);
        let [der, pem] = ["der", "pem"].map(|form| format!("{label}/public-key.{form}"));
        for path in [&der, &pem] {
            if !outputs.contains_key(path)
                && matches!(line.event, Event::KeyGenerated(_))
                && !aborted
            {
                let why = format!("{}, the public key, was not written", quoted(path));
                return Err(super::in_line(Rule::PublicKey, line.number, &why));
            }
        }
        der_fits(&key, &der, outputs)?;
        pem_fits(directory, &der, &pem, outputs)?;
    }
    Ok(())
}

fn der_fits(
    key: &Said<DataKeyFacts>,
    der: &str,
    outputs: &BTreeMap<String, String>,
) -> Result<(), Broken> {
    match outputs.get(der) {
        Some(sha256) if *sha256 != key.fingerprint => {
            let line = key.line.number;
            let why = format!("its digest is not the fingerprint in line {line} of the transcript");
            Err(Broken::new(Rule::PublicKey, why).within(der))
        }
        _ => Ok(()),
    }
}

fn pem_fits(
    directory: &Path,
    der: &str,
    pem: &str,
    outputs: &BTreeMap<String, String>,
) -> Result<(), Broken> {
    let broken = |path: &str, why: &str| Err(Broken::new(Rule::PublicKey, why).within(path));
    let (Some(_), Some(written)) = (outputs.get(der), outputs.get(pem)) else {
        return Ok(());
    };
    let spki =
        crate::evidence::rules::reading::read(&directory.join(der), limits::LONGEST_PUBLIC_KEY);
    let spki = spki.map_err(|unread| unread.within(der))?;
    if spki.is_empty() {
        return broken(der, "it is empty");
    }
    match words::hex(&words::sha256(public::to_pem(&spki).as_bytes())) == *written {
        true => Ok(()),
        false => broken(pem, &format!("it is not {} in PEM", quoted(der))),
    }
}
