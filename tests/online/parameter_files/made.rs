//! Keys, tokens and files for the table.

use std::io::{Cursor, Write as _};

use crate::support::{ARN, KmsKey, base64, opaque, openssl};

/// What good parameters are made of.
pub struct Made {
    pub spki: Vec<u8>,
    pub token: Vec<u8>,
}

impl Made {
    pub fn new() -> Self {
        let key = KmsKey::rsa(2048);
        Self {
            spki: key.spki,
            token: opaque("a token"),
        }
    }

    /// As the AWS CLI prints it.
    pub fn json(&self) -> String {
        answer(&self.spki, &self.token)
    }

    /// The members as JSON text, without the braces; `with` replaces, `""` leaves out.
    pub fn with(&self, name: &str, value: &str) -> String {
        let members = [
            ("KeyId", quoted(ARN)),
            ("ImportToken", quoted(&base64(&self.token))),
            ("PublicKey", quoted(&base64(&self.spki))),
            ("ParametersValidTo", valid_to()),
        ];
        let known = members.iter().any(|(known, _)| *known == name);
        let mut lines: Vec<String> = members
            .iter()
            .map(|(known, own)| (*known, if *known == name { value } else { own.as_str() }))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("    \"{name}\": {value}"))
            .collect();
        if !known {
            lines.push(format!("    \"{name}\": {value}"));
        }
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// The console's two files.
    pub fn pair(&self) -> [(String, Vec<u8>); 2] {
        [
            ("WrappingPublicKey.bin".into(), self.spki.clone()),
            ("ImportToken.bin".into(), self.token.clone()),
        ]
    }

    /// DescribeKey of the same KMS key.
    pub fn described(&self) -> String {
        format!(
            "{{\"KeyMetadata\": {{\"Arn\": \"{ARN}\", \"KeySpec\": \"SYMMETRIC_DEFAULT\", \"KeyUsage\": \"ENCRYPT_DECRYPT\", \
             \"Origin\": \"EXTERNAL\", \"KeyState\": \"PendingImport\", \"MultiRegion\": false}}}}\n"
        )
    }

    /// What AWS cannot have given as a token: bytes, and a word of the refusal.
    pub fn bad_tokens(&self) -> Vec<(&'static str, Vec<u8>, &'static str)> {
        let once_more = base64(&self.token);
        let utf_16 = |text: &str| -> Vec<u8> {
            let units = std::iter::once(0xfeff_u16).chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect()
        };
        // What PowerShell's `>` makes of bytes: each becomes a character.
        let mangled: String = self.token.iter().map(|byte| char::from(*byte)).collect();
        let error = "\nAn error occurred (AccessDeniedException) when calling the GetParametersForImport operation: no\n";
        let with_key = [&self.token[..100], &self.spki[..], &self.token[100..]].concat();
        let pem = format!("-----BEGIN PKCS7-----\n{once_more}\n-----END PKCS7-----\n");
        let twice = base64(base64(once_more.as_bytes()).as_bytes());
        let begins = |magic: &[u8]| [magic, &self.token[..]].concat();
        // "доступа нет" and so on, a letter a byte
        let koi8 = b"\xcf\xdb\xc9\xc2\xcb\xc1 \xc4\xcf\xd3\xd4\xd5\xd0\xc1 \xce\xc5\xd4".repeat(3);
        let der = [&[0x30, 0x82, 0x02, 0x80][..], &self.token].concat();
        vec![
            ("the word None", b"None\n\n".to_vec(), "None"),
            ("the word null", b"null ".to_vec(), "null"),
            ("base64 twice more", twice.into_bytes(), "base64 once more"),
            ("PEM", pem.into_bytes(), "PEM"),
            (
                "an error message",
                error.as_bytes().to_vec(),
                "error message of AWS",
            ),
            (
                "an error in JSON",
                br#"{"__type":"AccessDeniedException","message":"no, this is not for you"}"#
                    .to_vec(),
                "error message of AWS",
            ),
            (
                "HTML",
                b"<!DOCTYPE html><html><body>Sign in to continue</body></html>".to_vec(),
                "HTML",
            ),
            ("UTF-16", utf_16(error), "UTF-16"),
            (
                "UTF-16 without a mark",
                utf_16(error)[2..].to_vec(),
                "UTF-16",
            ),
            ("bytes that became UTF-16", utf_16(&mangled), "UTF-16"),
            ("bytes that became UTF-8", mangled.into_bytes(), "text"),
            (
                "another alphabet",
                "сообщение об ошибке: доступа нет".as_bytes().to_vec(),
                "text",
            ),
            (
                "words in Latin-1",
                b"Zugriff verweigert: f\xfcr diesen Schl\xfcssel fehlt das Recht, ihn zu lesen"
                    .to_vec(),
                "text",
            ),
            ("words in KOI8-R", koi8, "text"),
            (
                "words in Windows-1252",
                "\u{e9}\u{e8} \u{e0}\u{e7}\u{fc}\u{f6}\u{e4}\u{df} "
                    .repeat(9)
                    .chars()
                    .map(|c| c as u8)
                    .collect(),
                "text",
            ),
            ("short", self.token[..31].to_vec(), "31 bytes"),
            ("one byte", vec![0x81], "1 bytes"),
            (
                "too long",
                opaque("long").into_iter().cycle().take(6145).collect(),
                "at most 6144",
            ),
            ("the public key", self.spki.clone(), "public key"),
            ("holds the public key", with_key, "public key"),
            ("a DER structure", der, "DER"),
            ("zeros", vec![0; 1184], "zero"),
            ("the same byte", vec![0xff; 1184], "over and over"),
            (
                "a few bytes",
                [0xde, 0xad, 0xbe, 0xef].repeat(300),
                "over and over",
            ),
            ("a zip", begins(b"PK\x03\x04"), "zip"),
            ("an empty zip", begins(b"PK\x05\x06"), "zip"),
            ("a zip in parts", begins(b"PK\x07\x08"), "zip"),
            ("gzip", gzip(error.as_bytes()), "gzip"),
            ("bzip2", begins(b"BZh91AY&SY"), "bzip2"),
            ("xz", begins(b"\xfd7zXZ\0"), "xz"),
            ("zstd", begins(b"\x28\xb5\x2f\xfd"), "zstd"),
            ("7z", begins(b"7z\xbc\xaf\x27\x1c"), "7z"),
            (
                "a key store of Java",
                begins(b"\xfe\xed\xfe\xed"),
                "key store",
            ),
        ]
    }
}

/// What a proxy makes of an error page.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = std::process::Command::new("gzip");
    let output = crate::support::pipe(gzip.arg("-c"), text);
    assert!(output.status.success());
    output.stdout
}

/// In ten hours, as version 2 of the AWS CLI prints it.
pub fn valid_to() -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(10);
    quoted(&at.strftime("%Y-%m-%dT%H:%M:%S.123000+00:00").to_string())
}

pub fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// The answer with this key and token.
pub fn answer(spki: &[u8], token: &[u8]) -> String {
    format!(
        "{{\n    \"KeyId\": \"{ARN}\",\n    \"ImportToken\": \"{}\",\n    \"PublicKey\": \"{}\",\n    \"ParametersValidTo\": {}\n}}\n",
        base64(token),
        base64(spki),
        valid_to()
    )
}

/// A deflated zip.
pub fn zip_of(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::write::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = zip::write::SimpleFileOptions::default();
        if name.ends_with('/') {
            writer.add_directory(name.as_str(), options).unwrap();
            continue;
        }
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An RSA public key with another exponent or size, by openssl.
pub fn rsa_spki(bits: u32, exponent: u32) -> Vec<u8> {
    let size = format!("rsa_keygen_bits:{bits}");
    let exponent = format!("rsa_keygen_pubexp:{exponent}");
    let key = [
        "genpkey",
        "-quiet",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        &size,
        "-pkeyopt",
        &exponent,
    ];
    openssl(&["pkey", "-pubout", "-outform", "DER"], &openssl(&key, &[]))
}

/// A public key on a curve.
pub fn ec_spki() -> Vec<u8> {
    let key = [
        "genpkey",
        "-quiet",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    openssl(&["pkey", "-pubout", "-outform", "DER"], &openssl(&key, &[]))
}
