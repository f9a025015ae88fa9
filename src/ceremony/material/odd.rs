//! Private keys in forms that are almost PKCS#8 as KMS imports it: each is named, with the command that converts it.

use std::path::Path;

use crate::crypto::spec::Spec;
use crate::crypto::wrapping::pkcs8::{self, Outline};
use crate::ground::error::Error;
use crate::ground::words;

const LABEL: &[u8] = b"-----BEGIN PRIVATE KEY-----";

/// Where the commands write to: a disk in memory.
const NEW: &str = "/dev/shm/NEW.p8";

/// What is odd, and what makes it right.
pub(super) struct Odd {
    why: String,
    way_out: String,
}

impl Odd {
    pub(super) fn refused(self, path: &Path) -> Error {
        super::unfit(path, &self.why).hint(format!(
            "on an offline machine, to a disk in memory: {}",
            self.way_out
        ))
    }
}

/// Text that holds PEM, but not line by line.
pub(super) fn text(path: &Path, bytes: &[u8]) -> Option<Odd> {
    let old = words::shell_path(path);
    let odd = |why: &str, way_out: String| {
        let why = why.to_owned();
        Some(Odd { why, way_out })
    };
    if let Some(encoding) = utf16(bytes) {
        let way_out = format!("iconv -f {encoding} -t UTF-8 {old} > {NEW}");
        return odd(
            "it is UTF-16 text, as PowerShell and Notepad write it",
            way_out,
        );
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let way_out = format!("tail -c +4 {old} > {NEW}");
        return odd(
            "it begins with a byte order mark, as Notepad writes one",
            way_out,
        );
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let stands_there = bytes.windows(LABEL.len()).any(|window| window == LABEL);
    if stands_there && !lines.any(|line| line == LABEL) {
        let way_out = format!(
            r"tr '\r' '\n' < {old} | sed -e 's/\\n/\n/g' -e 's/-----BEGIN PRIVATE KEY-----/&\n/' -e 's/-----END/\n&/' | sed '/-----/!s/[[:space:]]//g' > {NEW}"
        );
        return odd(
            "its PEM has lost its line ends: it is all on one line",
            way_out,
        );
    }
    None
}

/// The encoding, where every second byte is zero or a byte order mark says it.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    let zeros = |start: usize| bytes.iter().skip(start).step_by(2).all(|byte| *byte == 0);
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [_, _, ..] if zeros(1) => Some("UTF-16LE"),
        [_, _, ..] if zeros(0) => Some("UTF-16BE"),
        _ => None,
    }
}

/// PKCS#8 that other programs write, and KMS does not take. `form` is DER or PEM.
pub(super) fn structure(path: &Path, form: &str, spec: Spec, der: &[u8]) -> Option<Odd> {
    let outline = Outline::of(der)?;
    if outline.is_version_2() {
        return Some(version_2(path, form, &outline));
    }
    let Spec::Ec(curve) = spec else {
        return None;
    };
    let old = format!("-inform {form} -in {}", words::shell_path(path));
    let again = "openssl pkcs8 -topk8 -nocrypt";
    if outline.parameters.first() == Some(&0x30) {
        return Some(Odd {
            why:
                "its curve is written out (explicit parameters), and KMS takes curves by their name"
                    .into(),
            way_out: format!(
                "openssl pkey {old} -ec_param_enc named_curve | {again} -outform DER -out {NEW}"
            ),
        });
    }
    let (has, wants) = (pkcs8::private_value(der)?.len(), curve.bytes());
    let how = match has.cmp(&wants) {
        _ if outline.parameters != curve.params() => return None,
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Less => "leading zero bytes are missing",
        std::cmp::Ordering::Greater => "it has too many leading zero bytes",
    };
    Some(Odd {
        why: format!("its private value has {has} bytes, not {wants}: {how}"),
        way_out: format!("{again} {old} -outform DER -out {NEW}"),
    })
}

/// No tool that every system has writes version 1 of it: so its parts are put together anew.
fn version_2(path: &Path, form: &str, outline: &Outline) -> Odd {
    let old = words::shell_path(path);
    let octal = |byte: &u8| format!(r"\{byte:03o}");
    let head: String = outline.head_of_version_1().iter().map(octal).collect();
    let bytes = match form {
        "PEM" => format!("openssl asn1parse -in {old} -noout -out /dev/fd/1"),
        _ => format!("cat {old}"),
    };
    Odd {
        why: "it is version 2 of PKCS#8 (OneAsymmetricKey, RFC 5958), and KMS takes version 1 (RFC 5208)".into(),
        way_out: format!(
            "{{ printf '{head}'; {bytes} | tail -c +{} | head -c {}; }} > {NEW}",
            outline.start + 1,
            outline.key.len()
        ),
    }
}
