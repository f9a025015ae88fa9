//! The RSA public key that KMS gave, checked before anything is wrapped under it.
//!
//! Whoever can replace it reads the data key. People compare the SHA-256 of the exact DER bytes, so a key must
//! have only one encoding: strict DER, nothing before or after it, and the exponent 65537, so that nobody can
//! search for a second key with a similar digest.

use std::fmt;

use der::{Decode, Encode};
use rsa::pkcs1::RsaPublicKey as Pkcs1PublicKey;
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};

use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

/// rsaEncryption (RFC 8017, appendix A.1).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey (RFC 5480, section 2.1.1); SM2 keys carry it too.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// 65537, big-endian.
const EXPONENT: [u8; 3] = [1, 0, 1];

const AS_DELIVERED: &str = "give the public key exactly as KMS delivered it: the JSON of aws kms get-parameters-for-import, or the console's .zip";
const NEW_SET: &str = "download new import parameters, compare their digests with the online slip, and find out where this file came from";

/// A checked RSA public key: 2048, 3072 or 4096 bits, odd modulus, exponent 65537.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappingKey {
    spki: Vec<u8>,
    modulus: Vec<u8>,
    rsa: rsa::PublicKey,
}

impl WrappingKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in strict DER that fills `der`.
    ///
    /// # Errors
    /// Exit 2, check `WRAPPING-KEY-SPKI`: not such a structure; the error names PEM, PKCS#1, private keys, EC keys,
    /// certificates, and files that were cut or lengthened. Exit 4: another size (`WRAPPING-KEY-SIZE`), an even
    /// modulus (`WRAPPING-KEY-MODULUS`), another exponent (`WRAPPING-KEY-EXPONENT`).
    pub fn from_spki_der(der: &[u8]) -> Result<Self> {
        judge_wholeness(der)?;
        judge_shape(der)?;
        let (modulus, exponent) = decode(der)?;
        judge_modulus(&modulus)?;
        judge_exponent(&exponent)?;
        let number = |bytes| rsa::BoxedUint::from_be_slice_vartime(bytes);
        let rsa = rsa::PublicKey::new(number(&modulus), number(&exponent))
            .map_err(|error| malformed(format!("is not a usable RSA key ({error})")))?;
        Ok(Self {
            spki: der.to_vec(),
            modulus,
            rsa,
        })
    }

    /// From modulus and exponent, big-endian, as an HSM reports them for its own key pair.
    ///
    /// # Errors
    /// As [`from_spki_der`](Self::from_spki_der).
    pub fn from_parts(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        use rsa::pkcs8::EncodePublicKey as _;
        const LONGEST: usize = 1024; // of any RSA key that is used
        let number = |bytes| rsa::BoxedUint::from_be_slice_vartime(bytes);
        let is_one = |part: &[u8]| (1..=LONGEST).contains(&part.len());
        let spki = (is_one(modulus) && is_one(exponent))
            .then(|| rsa::PublicKey::new(number(modulus), number(exponent)).ok())
            .flatten()
            .and_then(|key| key.to_public_key_der().ok())
            .ok_or_else(|| malformed("is not a usable RSA key"))?;
        Self::from_spki_der(spki.as_bytes())
    }

    /// The SubjectPublicKeyInfo, byte for byte as given (DER).
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of [`spki_der`](Self::spki_der): people compare it.
    pub fn sha256(&self) -> Digest {
        words::sha256(&self.spki)
    }

    /// The modulus: big-endian, no leading zero, [`modulus_len`](Self::modulus_len) bytes.
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The public exponent: big-endian, no leading zero; always 65537.
    pub fn public_exponent(&self) -> &[u8] {
        &EXPONENT
    }

    /// The length of the modulus in bits: 2048, 3072 or 4096.
    pub fn bits(&self) -> usize {
        self.modulus.len() * 8
    }

    /// The length of the modulus, and of every RSA ciphertext under it, in bytes.
    pub fn modulus_len(&self) -> usize {
        self.modulus.len()
    }

    /// The `WrappingKeySpec` of the AWS API: `RSA_2048`, `RSA_3072` or `RSA_4096`.
    pub(crate) fn spec(&self) -> &'static str {
        match self.bits() {
            2048 => "RSA_2048",
            3072 => "RSA_3072",
            _ => "RSA_4096",
        }
    }

    /// The key for wrapping in software.
    pub(crate) fn rsa(&self) -> rsa::PublicKey {
        self.rsa.clone()
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = words::hex(&self.sha256());
        write!(f, "WrappingKey({} {digest})", self.spec())
    }
}

/// Whether the bytes are PEM (RFC 7468) rather than DER.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.trim_ascii_start().starts_with(b"-----BEGIN ")
}

/// One DER element: its tag, its content, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

/// The element with which `bytes` begin; `None` if they end before it does.
fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        _ => {
            let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let fold = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add((*byte).into());
            (len.iter().try_fold(0, fold)?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some(Element { tag, content, rest })
}

fn child_tags(mut content: &[u8]) -> Vec<u8> {
    let mut tags = Vec::new();
    while let Some(child) = element(content) {
        tags.push(child.tag);
        content = child.rest;
    }
    tags
}

fn judge_wholeness(der: &[u8]) -> Result<()> {
    if der.is_empty() {
        return Err(malformed("is empty"));
    }
    if is_pem(der) {
        return Err(malformed("is PEM text, not DER").hint(
            "or turn it into DER: openssl pkey -pubin -in KEY.pem -outform DER -out PublicKey.bin",
        ));
    }
    let long_form = matches!(der.get(1), Some(0x80 | 0x85..=0xff));
    if der.first() != Some(&0x30) || long_form {
        return Err(malformed("is not DER (RFC 5280 SubjectPublicKeyInfo)"));
    }
    match element(der).map(|whole| whole.rest.len()) {
        None => Err(malformed(
            "is cut short: its DER announces more bytes than there are",
        )),
        Some(0) => Ok(()),
        Some(n) => Err(malformed(format!("has {n} extra bytes after its DER"))),
    }
}

fn judge_shape(der: &[u8]) -> Result<()> {
    let content = element(der).map_or(&[][..], |whole| whole.content);
    let what = match child_tags(content).as_slice() {
        [0x30, 0x03] => return Ok(()),
        [0x02, 0x02] => {
            return Err(
                malformed("is a PKCS#1 RSAPublicKey, not a SubjectPublicKeyInfo").hint(
                    "or convert it: openssl rsa -RSAPublicKey_in -inform DER -in KEY.der -outform DER -out PublicKey.bin",
                ),
            );
        }
        [0x02, 0x02, 0x02, ..] => return Err(private_key("an RSA")),
        [0x02, 0x30, 0x04, ..] => return Err(private_key("a PKCS#8")),
        [0x02, 0x04, ..] => return Err(private_key("an EC")),
        [0x30, 0x04] => return Err(private_key("an encrypted")),
        [0x30, 0x30, 0x03] => "is a certificate or a certificate request, not a public key",
        _ => "is DER, but not a SubjectPublicKeyInfo",
    };
    Err(malformed(what))
}

/// Modulus and exponent, big-endian, without leading zeros.
fn decode(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let broken = |_| malformed("is not a DER SubjectPublicKeyInfo of an RSA key");
    let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(broken)?;
    judge_algorithm(&spki.algorithm)?;
    let inner = spki.subject_public_key.raw_bytes();
    let key = Pkcs1PublicKey::<der::asn1::UintRef<'_>>::from_der(inner).map_err(broken)?;
    // However lenient the decoder is: people compare the digest of one encoding only.
    let canonical = spki.to_der().map_err(broken)? == der
        && key.to_der().map_err(broken)? == inner
        && spki.subject_public_key.unused_bits() == 0;
    if !canonical {
        return Err(malformed("is not in the only DER encoding of its key"));
    }
    let bytes = |number: der::asn1::UintRef<'_>| number.as_bytes().to_vec();
    Ok((bytes(key.modulus), bytes(key.public_exponent)))
}

fn judge_algorithm(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<()> {
    match algorithm.oid {
        RSA_ENCRYPTION => {}
        EC_PUBLIC_KEY => {
            return Err(malformed("is an elliptic-curve key, not an RSA key")
                .hint("ask KMS for --wrapping-key-spec RSA_4096 (or RSA_3072, RSA_2048)"));
        }
        other => {
            return Err(malformed(format!(
                "has the algorithm {other}, not rsaEncryption"
            )));
        }
    }
    match algorithm.parameters {
        Some(parameters) if parameters.is_null() => Ok(()),
        _ => Err(malformed(
            "has rsaEncryption parameters other than NULL (RFC 8017, appendix A.1)",
        )),
    }
}

fn judge_modulus(modulus: &[u8]) -> Result<()> {
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus.len() * 8 - unused as usize;
    if !matches!(bits, 2048 | 3072 | 4096) {
        let what = format!("the wrapping key has {bits} bits; KMS gives 2048, 3072 or 4096");
        return Err(suspect(what).check("WRAPPING-KEY-SIZE"));
    }
    if modulus.last().is_none_or(|byte| byte % 2 == 0) {
        let what = "the wrapping key has an even modulus: it is not an RSA key";
        return Err(suspect(what).check("WRAPPING-KEY-MODULUS"));
    }
    Ok(())
}

fn judge_exponent(exponent: &[u8]) -> Result<()> {
    if exponent == EXPONENT {
        return Ok(());
    }
    let shown = match *exponent {
        [a] => a.to_string(),
        [a, b] => u16::from_be_bytes([a, b]).to_string(),
        _ => format!("of {} bytes", exponent.len()),
    };
    let what = format!("the wrapping key has the exponent {shown}; KMS gives 65537");
    Err(suspect(what).check("WRAPPING-KEY-EXPONENT"))
}

fn malformed(what: impl fmt::Display) -> Error {
    Error::usage(format!("the wrapping key {what}"))
        .check("WRAPPING-KEY-SPKI")
        .hint(AS_DELIVERED)
}

fn private_key(kind: &str) -> Error {
    malformed(format!("is {kind} private key, not a public key"))
        .hint("KMS never gives out a private key: find out whose it is and treat it as exposed")
}

fn suspect(what: impl Into<String>) -> Error {
    Error::mismatch(what).hint(NEW_SET)
}

#[cfg(test)]
pub(crate) mod tests;
