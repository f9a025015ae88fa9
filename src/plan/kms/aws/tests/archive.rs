//! The console's zip.

use std::io::{Cursor, Write};

use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

const README: (&str, &[u8]) = ("README.txt", b"Use within 24 hours");

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = SimpleFileOptions::default();
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A zip of a good pair and these entries.
fn zip_with(more: &[(&str, &[u8])]) -> Vec<u8> {
    let (key, token) = (real_spki(), token());
    let pair: [(&str, &[u8]); 3] = [
        ("WrappingPublicKey.bin", &key),
        ("ImportToken.bin", &token),
        README,
    ];
    zip_of(&[&pair[..], more].concat())
}

/// Replaces every occurrence of a text of the same length.
fn patched(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

#[track_caller]
fn refused_zip(bytes: &[u8], what: &str) {
    let what = format!("eu.zip: {what}");
    refused(parse("eu.zip", bytes), Exit::Usage, &what);
}

#[test]
fn both_namings_of_the_console_are_read() {
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab_11230941";
    let (old_key, old_token) = (format!("wrappingKey_{id}"), format!("x/importToken_{id}"));
    let old = zip_of(&[
        (&old_key, &real_spki()),
        (&old_token, &token()),
        (&format!("README_{id}.txt"), b"?"),
    ]);
    for bytes in [zip_with(&[]), zip_with(&[("x/", b"")]), old] {
        let parameters = parse("eu.zip", &bytes).unwrap();
        assert_eq!(parameters.form, Form::ConsoleZip);
        assert_eq!(parameters.key_arn, None);
        assert_eq!(parameters.valid_to, None);
        assert_eq!(parameters.wrapping_key.spki_der(), real_spki());
        assert_eq!(parameters.import_token, token());
        assert_eq!(parameters.files.len(), 1);
        assert_eq!(parameters.files[0].name, "eu.zip");
        assert_eq!(parameters.files[0].sha256, words::sha256(&bytes));
    }
}

/// A zip written as a stream, as web services do: sizes stand behind each entry, not before it.
#[test]
fn a_streamed_zip_is_read() {
    let bytes = include_bytes!("../../../../../tests/inputs/console-streamed.zip");
    let parameters = parse("eu.zip", bytes).unwrap();
    let digest = words::hex(&parameters.wrapping_key.sha256());
    assert_eq!(
        digest,
        "fbbacc4457d3c9662f29f842e1eb28e8ecdd8fe02cc9534c3a0a91f755604fe5"
    );
    assert_eq!(parameters.import_token.len(), 1200);
}

#[test]
fn a_zip_without_the_one_pair_is_refused() {
    let (key, token) = (real_spki(), token());
    let none = zip_of(&[README]);
    refused_zip(&none, "holds no public key");
    let one = zip_of(&[("WrappingPublicKey.bin", &key)]);
    refused_zip(&one, "holds no import token");
    let more = zip_with(&[("wrappingKey_a_1", &key)]);
    let both = "(WrappingPublicKey.bin, wrappingKey_a_1)";
    refused_zip(
        &more,
        &format!("is ambiguous: more than one public key {both}"),
    );
    let mixed = zip_of(&[("wrappingKey_a_1", &key), ("importToken_b_1", &token)]);
    let what = "`wrappingKey_a_1` and `importToken_b_1` belong to two KMS keys";
    refused(parse("eu.zip", &mixed), Exit::Mismatch, what);
    let empty = zip_of(&[("pkey.bin", b""), ("token.bin", &token)]);
    refused_zip(&empty, "`pkey.bin` is empty");
}

#[test]
fn names_that_lead_elsewhere_or_twice_to_one_file_are_refused() {
    for name in ["../x", "a/../../x", "/etc/x", "a\\x", "C:x", "a\u{202e}x"] {
        refused_zip(
            &zip_with(&[(name, b"")]),
            "is a zip with an unsafe file name: `",
        );
    }
    let again = zip_with(&[("x/ImportToken.bin", b"other")]);
    refused_zip(&again, "is a zip with two entries of the same name");
    let again = zip_with(&[("ImportTokeX.bin", b"other")]);
    let again = patched(again, b"ImportTokeX.bin", b"ImportToken.bin");
    refused_zip(&again, "is a zip with two entries of the same name");
}

#[test]
fn large_and_many_entries_are_refused() {
    let large = vec![0; 64 * 1024 + 1];
    assert!(parse("eu.zip", &zip_with(&[("x", &large[1..])])).is_ok());
    let bomb = zip_with(&[("x", &large)]);
    refused_zip(
        &bomb,
        "is a zip with a large file: `x` has more than 64 KiB",
    );
    let names: Vec<String> = (0..14).map(|i| format!("f{i}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(parse("eu.zip", &zip_with(&many[..13])).is_ok());
    refused_zip(&zip_with(&many), "is a zip with more than 16 entries");
}

#[test]
fn what_cannot_be_unpacked_is_refused() {
    let good = zip_with(&[]);
    for cut in [2, 4, 30, good.len() / 2, good.len() - 1] {
        refused_zip(&good[..cut], "is a broken zip (");
    }
    refused_zip(b"PKCS", "is a broken zip (");
    // The general purpose flags stand 6 bytes into a local and 8 bytes into a central header.
    let mut encrypted = good.clone();
    for at in 0..good.len() - 10 {
        match good[at..at + 4] {
            [b'P', b'K', 3, 4] => encrypted[at + 6] |= 1,
            [b'P', b'K', 1, 2] => encrypted[at + 8] |= 1,
            _ => {}
        }
    }
    refused_zip(&encrypted, "is an encrypted zip");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer
        .add_symlink("ImportToken.bin", "/dev/zero", options)
        .unwrap();
    let link = writer.finish().unwrap().into_inner();
    refused_zip(&link, "is a zip with a symbolic link");
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("ImportToken.bin", stored).unwrap();
    writer.write_all(b"checked by its CRC").unwrap();
    let damaged = patched(writer.finish().unwrap().into_inner(), b"CRC", b"crc");
    refused_zip(&damaged, "is a broken zip: `ImportToken.bin` (");
    refused(
        parse("eu.zip", b"not a zip"),
        Exit::Usage,
        "eu.zip: is neither JSON nor a zip",
    );
}
