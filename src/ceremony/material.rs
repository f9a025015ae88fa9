//! Key material in a file, for `source = "file:PATH"`: read once, straight into locked memory, and judged.
//!
//! Only its type is recorded, not even a digest: for a short or guessed secret a digest would be as good as the
//! secret.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64ct::{Base64, Encoding as _};

use crate::crypto::locked::Locked;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::pkcs8;
use crate::ground::error::{Error, Result};
use crate::ground::files::open_regular;

mod doubt;
mod odd;

pub(crate) use doubt::Doubt;

/// The longest file of a private key, in bytes: PEM of RSA-4096 has about 3300.
const LONGEST_PRIVATE: usize = 16 << 10;

const ENDS: &str = "-----";

/// Whether the file could hold a key of this spec, judged by its type and length alone.
///
/// # Errors
/// Exit 2 if it is missing, is not a regular file, or has an impossible length.
pub(crate) fn look_at(path: &Path, spec: Spec) -> Result<()> {
    open(path)
        .and_then(|file| length(&file, path, spec))
        .map(|_| ())
}

/// The data key: raw bytes of a secret, exactly as long as the spec; of a private key unencrypted PKCS#8, DER
/// or PEM.
///
/// # Errors
/// Exit 2 if the file holds anything else. The error repeats no byte of it.
pub(crate) fn read(path: &Path, spec: Spec) -> Result<Locked> {
    let mut file = open(path)?;
    let len = length(&file, path, spec)?;
    let mut bytes = Locked::zeroed(len + 1)?; // one more shows a file that grew
    let read = fill(&mut file, &mut bytes).map_err(|e| cannot(path, e))?;
    if read != len {
        return Err(unfit(path, "it changed while it was read"));
    }
    let bytes = bytes.truncated(len)?;
    if !spec.is_private() {
        return Ok(bytes);
    }
    if let Some(odd) = odd::text(path, &bytes) {
        return Err(odd.refused(path));
    }
    match is_pem(&bytes) {
        true => {
            let der = pem(&bytes).map_err(|why| unfit_private(path, why))?;
            judge_private(path, "PEM", spec, der)
        }
        false => judge_private(path, "DER", spec, bytes),
    }
}

/// Whether a secret looks as if no generator drew it.
pub(crate) fn doubt(spec: Spec, bytes: &[u8]) -> Option<Doubt> {
    match spec.is_private() {
        true => None,
        false => Doubt::of(bytes),
    }
}

fn open(path: &Path) -> Result<File> {
    open_regular(path).map_err(|e| cannot(path, e))
}

fn length(file: &File, path: &Path, spec: Spec) -> Result<usize> {
    let len = file.metadata().map_err(|e| cannot(path, e))?.len();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    match spec.secret_len() {
        Some(wanted) if len != wanted => Err(unfit(
            path,
            &format!("it has {len} bytes, and {} has {wanted}", spec.name()),
        )
        .hint("the file must hold the raw bytes and nothing else: no hex, no base64, no line feed at the end")),
        None if !(16..=LONGEST_PRIVATE).contains(&len) => Err(unfit_private(
            path,
            "no private key has this length",
        )),
        _ => Ok(len),
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

/// Cuts zero bytes that some HSMs leave after the structure; anything else there is refused.
fn judge_private(path: &Path, form: &str, spec: Spec, der: Locked) -> Result<Locked> {
    if let Some(why) = named_shape(&der) {
        return Err(unfit_private(path, why));
    }
    let whole =
        pkcs8::der_len(&der).map_err(|_| unfit_private(path, "it is not a PKCS#8 structure"))?;
    if let Some(odd) = odd::structure(path, form, spec, &der[..whole]) {
        return Err(odd.refused(path));
    }
    if der[whole..].iter().any(|byte| *byte != 0) {
        return Err(unfit_private(
            path,
            "something follows its PKCS#8 structure",
        ));
    }
    let der = der.truncated(whole)?;
    match pkcs8::public_key(spec, &der) {
        Ok(_) => Ok(der),
        Err(_) => Err(unfit_private(
            path,
            &format!("it is not a private key for {}", spec.name()),
        )),
    }
}

/// Names a structure that people have instead of PKCS#8, by the tags of its members.
fn named_shape(der: &[u8]) -> Option<&'static str> {
    match pkcs8::content(der)? {
        [0x02, 0x01, 0x00, 0x30, ..] => None,
        [0x02, 0x01, 0x01, 0x30, ..] => None, // RFC 5958, with the public key
        [0x02, 0x01, 0x00, 0x02, ..] => Some(TRADITIONAL),
        [0x02, 0x01, 0x01, 0x04, ..] => Some(TRADITIONAL),
        [0x02, 0x01, 0x03, ..] => Some("it is PKCS#12, not PKCS#8"),
        content @ [0x30, ..] if has_octets_second(content) => Some(ENCRYPTED),
        [0x30, ..] => Some("it is a public key or a certificate, not a private key"),
        _ => None,
    }
}

const TRADITIONAL: &str = "it is in the traditional form of RSA or EC keys, not PKCS#8";
const ENCRYPTED: &str =
    "it is encrypted (EncryptedPrivateKeyInfo, RFC 5958), and byok asks for no passphrase";

fn has_octets_second(content: &[u8]) -> bool {
    let first = pkcs8::der_len(content).unwrap_or(content.len());
    content.get(first) == Some(&0x04)
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes
        .windows(ENDS.len() + 6)
        .any(|window| window == b"-----BEGIN ")
}

/// The one PRIVATE KEY of a PEM text (RFC 7468), decoded into locked memory.
fn pem(bytes: &[u8]) -> std::result::Result<Locked, &'static str> {
    const MEMORY: &str = "there is no locked memory for it";
    let mut body = Locked::zeroed(bytes.len()).map_err(|_| MEMORY)?;
    let (mut len, mut inside, mut found) = (0, false, 0);
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        let named = |mark: &[u8]| line.strip_prefix(mark)?.strip_suffix(ENDS.as_bytes());
        if let Some(label) = named(b"-----BEGIN ") {
            inside = private_label(label)?;
            found += usize::from(inside);
        } else if named(b"-----END ").is_some() {
            inside = false;
        } else if inside {
            if line.contains(&b':') {
                return Err(ENCRYPTED); // Proc-Type: 4,ENCRYPTED
            }
            body[len..len + line.len()].copy_from_slice(line);
            len += line.len();
        }
    }
    match found {
        1 if !inside => {}
        0 => return Err("its PEM holds no private key"),
        1 => return Err("its PEM has no END line"),
        _ => return Err("its PEM holds more than one private key"),
    }
    let mut der = Locked::zeroed(len / 4 * 3).map_err(|_| MEMORY)?;
    let decoded = Base64::decode(&body[..len], &mut der)
        .map_err(|_| "its PEM is not base64")?
        .len();
    der.truncated(decoded).map_err(|_| MEMORY)
}

/// Whether a PEM label is that of PKCS#8; other private keys are refused by name.
fn private_label(label: &[u8]) -> std::result::Result<bool, &'static str> {
    match label {
        b"PRIVATE KEY" => Ok(true),
        b"ENCRYPTED PRIVATE KEY" => Err(ENCRYPTED),
        b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" => Err(TRADITIONAL),
        b"OPENSSH PRIVATE KEY" => Err("it is OpenSSH's own form, not PKCS#8"),
        _ => Ok(false),
    }
}

fn cannot(path: &Path, why: std::io::Error) -> Error {
    Error::usage(format!("the material in {}: {why}", path.display())).check("SOURCE")
}

fn unfit(path: &Path, why: &str) -> Error {
    Error::usage(format!("the material in {}: {why}", path.display())).check("SOURCE")
}

fn unfit_private(path: &Path, why: &str) -> Error {
    unfit(path, why)
        .hint("the file must hold unencrypted PKCS#8, as DER or PEM")
        .hint("on an offline machine, to a disk in memory: openssl pkcs8 -topk8 -nocrypt -in KEY -outform DER -out /dev/shm/KEY.p8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(spec: Spec, bytes: &[u8]) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("material");
        std::fs::write(&path, bytes).unwrap();
        read(&path, spec).unwrap_err()
    }

    #[test]
    fn a_secret_is_exactly_as_long_as_its_spec() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("material");
        std::fs::write(&path, [7; 32]).unwrap();
        assert_eq!(&read(&path, Spec::DEFAULT).unwrap()[..], [7; 32]);
        for len in [0, 31, 33, 64] {
            let error = refused(Spec::DEFAULT, &vec![7; len]);
            assert!(
                error.what.contains(&format!("it has {len} bytes")),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_is_no_private_key_never_panics_and_is_never_repeated() {
        let p256 = pkcs8::throw_away_p256().unwrap();
        for cut in 0..p256.len() {
            refused(Spec::P256, &p256[..cut]);
        }
        let pem = "-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n";
        for text in [
            pem,
            &pem[..40],
            "-----BEGIN PRIVATE KEY-----",
            &pem.replace("SECRET", "\u{1}\u{2}"),
        ] {
            let error = refused(Spec::P256, text.as_bytes());
            assert!(!error.what.contains("SECRETSECRET"), "{error:?}");
        }
        let both = format!("{pem}{pem}");
        assert!(
            refused(Spec::P256, both.as_bytes())
                .what
                .contains("more than one")
        );
    }

    #[test]
    fn zero_bytes_after_the_structure_are_cut_and_nothing_else() {
        let p256 = pkcs8::throw_away_p256().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("material");
        std::fs::write(&path, [&p256[..], &[0; 5]].concat()).unwrap();
        assert_eq!(read(&path, Spec::P256).unwrap()[..], p256[..]);
        let error = refused(Spec::P256, &[&p256[..], &[0, 1]].concat());
        assert!(error.what.contains("something follows"), "{error:?}");
        let other = refused(Spec::Ec(crate::crypto::spec::Curve::P384), &p256);
        assert!(
            other.what.contains("not a private key for ECC_NIST_P384"),
            "{other:?}"
        );
    }
}
