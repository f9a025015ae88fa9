//! A signature in the format of `ssh-keygen -Y sign`.

use std::cell::OnceCell;

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::key::{PublicKey, Verdict};
use super::wire::{Reader, put, put_number};

const MAGIC: &[u8] = b"SSHSIG";
/// The beginning of a signature file.
pub(crate) const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "\n-----END SSH SIGNATURE-----";
/// The length of ssh-keygen's base64 lines.
const LINE: usize = 70;

/// A signature from its file. Whether it is valid is another question: [`verify`](Self::verify).
#[derive(Clone, Debug)]
pub struct Signature {
    /// The key by which it claims to be.
    pub key: PublicKey,
    /// Its purpose.
    pub namespace: String,
    hash: Hash,
    /// `string` algorithm · `string` signature, by the rules of the algorithm.
    value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

/// The message that is signed: hashed once, however many signatures it has.
pub struct Message<'a> {
    bytes: &'a [u8],
    sha256: OnceCell<Vec<u8>>,
    sha512: OnceCell<Vec<u8>>,
}

impl<'a> Message<'a> {
    /// A message with these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        let (sha256, sha512) = (OnceCell::new(), OnceCell::new());
        Self {
            bytes,
            sha256,
            sha512,
        }
    }

    fn digest(&self, hash: Hash) -> &[u8] {
        let known = match hash {
            Hash::Sha256 => &self.sha256,
            Hash::Sha512 => &self.sha512,
        };
        known.get_or_init(|| hash.of(self.bytes))
    }
}

/// SHA-256 of what ECDSA on P-256 signs for this message (RFC 5656, section 6.2.1): 32 bytes.
pub fn digest_to_sign(namespace: &str, message: &[u8]) -> [u8; 32] {
    Sha256::digest(signed(namespace, Hash::Sha512, &Message::new(message))).into()
}

/// The bytes that are signed. `reserved` always counts as empty, as in ssh-keygen.
fn signed(namespace: &str, hash: Hash, message: &Message) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put(&mut bytes, namespace.as_bytes());
    put(&mut bytes, b"");
    put(&mut bytes, hash.name().as_bytes());
    put(&mut bytes, message.digest(hash));
    bytes
}

impl Signature {
    /// A P-256 signature over [`digest_to_sign`]; `r` and `s` have 32 bytes each.
    pub fn p256(key: PublicKey, namespace: &str, r_and_s: &[u8; 64]) -> Self {
        let (r, s) = r_and_s.split_at(32);
        let mut numbers = Vec::new();
        put_number(&mut numbers, r);
        put_number(&mut numbers, s);
        let mut value = Vec::new();
        put(&mut value, key.kind().as_bytes());
        put(&mut value, &numbers);
        Self {
            key,
            namespace: namespace.to_owned(),
            hash: Hash::Sha512,
            value,
        }
    }

    /// The file, byte for byte as ssh-keygen would write it.
    pub fn armored(&self) -> String {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(1_u32.to_be_bytes());
        put(&mut bytes, self.key.blob());
        put(&mut bytes, self.namespace.as_bytes());
        put(&mut bytes, b"");
        put(&mut bytes, self.hash.name().as_bytes());
        put(&mut bytes, &self.value);
        let base64 = Base64::encode_string(&bytes);
        let mut text = BEGIN.to_owned();
        let mut rest = base64.as_str();
        while rest.len() > LINE {
            let (line, after) = rest.split_at(LINE);
            text += &format!("{line}\n");
            rest = after;
        }
        text + rest + END + "\n"
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Why it is not an SSH signature.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(file).map_err(|_| "not an SSH signature: not text")?;
        let inner = text
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.split_once(END))
            .ok_or("not an SSH signature: its first or last line is wrong")?
            .0;
        let base64: String = inner.split_ascii_whitespace().collect();
        let bytes = Base64::decode_vec(&base64).map_err(|_| "not an SSH signature: not base64")?;
        Self::parse_bytes(&bytes).ok_or_else(|| "not an SSH signature of a known form".to_owned())
    }

    fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
        if reader.number()? != 1 {
            return None;
        }
        let key = PublicKey::from_blob(reader.string()?)?;
        let namespace = String::from_utf8_lossy(reader.string()?).into_owned();
        let _reserved = reader.string()?;
        let hash = match reader.string()? {
            b"sha256" => Hash::Sha256,
            b"sha512" => Hash::Sha512,
            _ => return None,
        };
        let value = reader.string()?.to_vec();
        reader.is_at_end().then_some(Self {
            key,
            namespace,
            hash,
            value,
        })
    }

    /// Whether it is for this purpose.
    ///
    /// # Errors
    /// For which purpose it is instead.
    pub(crate) fn is_for(&self, namespace: &str) -> Result<(), String> {
        let shown = crate::ground::words::quoted(&self.namespace);
        match self.namespace == namespace {
            true => Ok(()),
            false => Err(format!(
                "signed for \"{shown}\", but this record needs \"{namespace}\""
            )),
        }
    }

    /// Whether it is a signature of `message`, for this purpose, by the key in it.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify(&self, namespace: &str, message: &Message) -> Result<Verdict, String> {
        self.is_for(namespace)?;
        let signed = signed(namespace, self.hash, message);
        match self.key.verify(&signed, &self.value) {
            Verdict::Fails => Err(format!(
                "not a signature of transcript.jsonl by the key in it, {}",
                self.key.fingerprint()
            )),
            verdict => Ok(verdict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cut_or_strange_file_is_taken_for_a_signature() {
        let key = PublicKey::p256(&[4; 65]);
        let file = Signature::p256(key, "byok-ceremony", &[1; 64]).armored();
        assert!(Signature::parse(file.as_bytes()).is_ok());
        for end in 0..file.len() - 1 {
            let cut = Signature::parse(&file.as_bytes()[..end]);
            assert!(cut.is_err(), "{:?}", &file[..end]);
        }
        for strange in ["", "x", BEGIN, &format!("{BEGIN}{END}"), "\u{0}"] {
            assert!(Signature::parse(strange.as_bytes()).is_err());
        }
    }
}
