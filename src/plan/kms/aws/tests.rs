//! What import parameters look like in the field, right and wrong.

use base64ct::{Base64, Encoding};

use super::*;
use crate::crypto::wrapping::key::tests::{crafted_spki, real_spki};
use crate::ground::error::{Error, Exit};
use crate::plan::kms::parameter_files_digest;

mod archive;
mod directory;
mod json;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// A token as opaque as a real one.
fn token() -> Vec<u8> {
    (0..1184_u32).map(|i| (i * 7 + 1) as u8).collect()
}

fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// The error, after a look at what every error owes to people.
#[track_caller]
fn refused<T>(result: Result<T>, exit: Exit, what: &str) -> Error {
    let Err(error) = result else {
        panic!("accepted, should be refused: {what}");
    };
    assert!(error.what.contains(what), "{} / {what}", error.what);
    assert_eq!(error.exit, exit, "{error}");
    assert!(!error.hints.is_empty(), "{error}");
    assert!(!error.what.ends_with('.'));
    error
}

#[test]
fn the_digest_over_all_files_is_what_sha256sum_prints() {
    let file = |name: &str, content: &[u8]| ParameterFile {
        name: name.into(),
        sha256: words::sha256(content),
    };
    // printf b >b.json; printf a >B.json; LC_ALL=C sha256sum * | sha256sum
    let files = [file("b.json", b"b"), file("B.json", b"a")];
    let expected = "6a9d9af0bab416e67fe3105e9f2e0a18cbbda1ba51e7c5584e9e5b952af8700f";
    assert_eq!(words::hex(&parameter_files_digest(&files)), expected);
}

#[test]
fn tokens_that_cannot_be_are_refused() {
    let spki = real_spki();
    let bare = |token: &[u8]| bare(Form::Directory, &spki, token.to_vec());
    let opaque: Vec<u8> = (0..=MAX_TOKEN_LEN)
        .map(|i| (i * 7 + i / 251) as u8)
        .collect();
    for len in [32, 240, 1184, MAX_TOKEN_LEN] {
        assert!(bare(&opaque[1..=len]).is_ok(), "{len}");
    }
    // no control byte: once in some thousand short tokens by chance, in a long one never
    let letters: Vec<u8> = (0..48)
        .map(|i| {
            if i % 8 == 0 {
                b'a' + i / 8
            } else {
                0xa0 + i % 96
            }
        })
        .collect();
    assert!(bare(&letters[..32]).is_ok());
    refused(bare(&letters), Exit::Usage, "is text");
    refused(bare(&[]), Exit::Usage, "the import token is empty");
    let long = bare(&opaque);
    refused(long, Exit::Usage, "has 6145 bytes; KMS gives at most 6144");
    refused(bare(&spki), Exit::Usage, "the import token is a public key");
    refused(bare(&crafted_spki(4096)), Exit::Usage, "is a public key");
    for (token, what) in [
        (&b"None\n"[..], "is the word `None`"),
        (b" null", "is the word `null`"),
        (&opaque[128..159], "has 31 bytes"),
        (&[1; 1184], "is text"),
        (&[0; 1184], "mostly zero bytes"),
        (&[0xff; 1184], "the same few bytes over and over"),
        (
            b"AQECAHhTAQECAHhTAQECAHhTAQECAHhTAQECAHhT",
            "is base64 once more",
        ),
        (
            b"AQECAHhTAQECAHhTAQECAHhTAQECAHhTAQECAHh",
            "base64 that is cut short",
        ),
        (b"AQECAHhT-_ECAHhTAQECAHhT", "is base64 for URLs"),
        (b"00112233445566778899aabbccddeeff", "is hexadecimal digits"),
        (
            b"\nAn error occurred (X) when calling it",
            "is an error message of AWS (An error",
        ),
        (b"<html>", "is a page of HTML"),
        (b"{\"a\": 1}", "is JSON"),
        (b"-----BEGIN PUBLIC KEY-----", "is PEM text"),
        (
            b"\xff\xfeN\0o\0n\0e\0\r\0\n\0",
            "is UTF-16: the word `None`",
        ),
    ] {
        let error = refused(bare(token), Exit::Usage, what);
        assert_eq!(error.check, Some("IMPORT-TOKEN"));
    }
}
