use base64ct::{Base64, Encoding as _};

use super::*;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::WrappingKey;
use crate::crypto::wrapping::key::tests::crafted;
use crate::ground::error::{Exit, Result};

fn key(url: &str) -> Result<KmsKey> {
    KmsKey::parse(Some("openbao"), None, Some(url))
}

fn parse(bytes: &[u8]) -> Result<WrappingKey> {
    OPENBAO.parse(bytes).map(|answered| answered.wrapping_key)
}

#[test]
fn the_url_of_a_key_falls_into_its_parts() {
    for (url, server, mount, name) in [
        (
            "https://bao.example:8200/v1/transit/keys/payments",
            "https://bao.example:8200",
            "transit",
            "payments",
        ),
        (
            "https://bao.example/v1/team-1/kms.a/keys/a.b-c_1",
            "https://bao.example",
            "team-1/kms.a",
            "a.b-c_1",
        ),
        (
            "https://v1/v1/v1/keys/v1/keys/keys",
            "https://v1",
            "v1/keys/v1",
            "keys",
        ),
        (
            "https://[fd00::1]:8200/v1/keys/keys/keys",
            "https://[fd00::1]:8200",
            "keys",
            "keys",
        ),
        (
            "http://127.0.0.1:8200/v1/transit/keys/k",
            "http://127.0.0.1:8200",
            "transit",
            "k",
        ),
        (
            "http://[::1]/v1/transit/keys/k",
            "http://[::1]",
            "transit",
            "k",
        ),
    ] {
        let Ok(KmsKey::OpenBao(key)) = key(url) else {
            panic!("{url}")
        };
        let parts = ["server", "mount", "name"].map(|part| key.part(part));
        assert_eq!(parts, [server, mount, name]);
        assert_eq!(key.as_str(), url);
    }
}

#[test]
fn a_key_has_one_spelling_and_anything_else_is_refused_by_its_part() {
    let start = "https://bao.example/v1/transit/keys/".to_owned();
    let longest = start.clone() + &"k".repeat(325 - start.len());
    key(&longest).unwrap();
    let long = longest + "k";
    for (url, why) in [
        ("", "has no /v1/ after its server"),
        ("transit/keys/payments", "has no /v1/"),
        ("arn:aws:kms:eu-west-1:111122223333:key/1", "has no /v1/"),
        ("https://bao.example/transit/keys/k", "has no /v1/"),
        ("https://user@bao.example/v1/transit/keys/k", "has a server"),
        ("https://Bao.example/v1/transit/keys/k", "has a server"),
        ("https:///v1/transit/keys/k", "has a server"),
        ("https://bao..example/v1/transit/keys/k", "has a server"),
        ("https://-bao/v1/transit/keys/k", "has a server"),
        ("https://bao.example:443/v1/transit/keys/k", "has a server"),
        (
            "https://bao.example:08200/v1/transit/keys/k",
            "has a server",
        ),
        ("https://bao.example:0/v1/transit/keys/k", "has a server"),
        (
            "https://bao.example:65536/v1/transit/keys/k",
            "has a server",
        ),
        ("https://bao.example:/v1/transit/keys/k", "has a server"),
        ("https://[::1/v1/transit/keys/k", "has a server"),
        ("https://bao.example/x/v1/transit/keys/k", "has a server"),
        ("http://bao.example/v1/transit/keys/k", "has a server"),
        ("ftp://127.0.0.1/v1/transit/keys/k", "has a server"),
        ("https://bao.example/v1/keys/k", "has no /keys/"),
        ("https://bao.example/v1/transit/keys/k/import", "has a name"),
        ("https://bao.example/v1/transit/encrypt/k", "has no /keys/"),
        ("https://bao.example/v1/transit/keys/", "has a name"),
        ("https://bao.example/v1/../keys/k", "has a mount"),
        ("https://bao.example/v1/transit//keys/k", "has a mount"),
        ("https://bao.example/v1/transit/keys/k?x=1", "has a name"),
        ("https://bao.example/v1/transit/keys/k#x", "has a name"),
        ("https://bao.example/v1/transit/keys/k k", "has a name"),
        ("https://bao.example/v1/transit/keys/ключ", "has a name"),
        ("https://bao.example/v1/transit/keys/%6b", "has a name"),
        ("https://bao.example/v1/transit/keys/-k", "has a name"),
        (&long, "is longer than 325 characters"),
    ] {
        let error = key(url).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{url}");
        assert!(
            error.what.contains(&format!("{url:?} {why}")),
            "{}",
            error.what
        );
    }
}

fn pem(bits: usize) -> String {
    let base64 = Base64::encode_string(crafted(bits).spki_der());
    let lines: Vec<&str> = (0..base64.len())
        .step_by(64)
        .map(|at| &base64[at..base64.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

fn answer(pem: &str) -> String {
    let pem = pem.replace('\n', "\\n");
    format!(
        "{{\"request_id\": \"1\", \"data\": {{\"public_key\": \"{pem}\"}}, \"warnings\": null}}"
    )
}

#[test]
fn the_answer_the_key_alone_and_what_a_windows_shell_makes_of_them_are_one_key() {
    let pem = pem(4096);
    let json = answer(&pem);
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(json.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let key = parse(json.as_bytes()).unwrap();
    for bytes in [
        pem.clone().into_bytes(),
        pem.replace('\n', "\r\n").into_bytes(),
        wide,
    ] {
        assert_eq!(parse(&bytes).unwrap(), key);
    }
    assert_eq!(key.bits(), 4096);
}

#[test]
fn what_is_not_the_wrapping_key_of_a_transit_engine_is_refused_by_name() {
    let good = pem(4096);
    let short = parse(answer(&pem(2048)).as_bytes()).unwrap_err();
    assert_eq!(
        (short.exit, short.check),
        (Exit::Mismatch, Some("WRAPPING-KEY-SIZE"))
    );
    let twice = format!("{{\"public_key\":\"x\",{}", &answer(&good)[1..]);
    let cut = &good[..good.len() / 2];
    for (text, why) in [
        (String::new(), "is not JSON"),
        (answer(&good)[..300].to_owned(), "is not JSON"),
        (twice, "has a second `public_key`"),
        (
            answer(&good).replace("\"data\": {", "\"data\": {\"keys\": {},"),
            "is about a key of the engine",
        ),
        (
            "{\"errors\":[\"permission denied\"]}".into(),
            "is an error message (permission denied)",
        ),
        (
            "{\"ImportToken\":\"\",\"PublicKey\":\"\"}".into(),
            "is import parameters of AWS KMS",
        ),
        (
            "{\"data\":{\"public_key\":1}}".into(),
            "has no text `public_key` in `data`",
        ),
        (
            "{\"public_key\":\"x\"}".into(),
            "has no text `public_key` in `data`",
        ),
        (
            "Key           Value\npublic_key    -----BEGIN".into(),
            "is not JSON",
        ),
        (answer("x"), "is not one public key in PEM"),
        (cut.to_owned(), "is not one public key in PEM"),
        (good.clone() + &good, "is not one block of base64"),
        (
            good.replace("PUBLIC KEY", "PRIVATE KEY"),
            "is not one public key in PEM",
        ),
        (
            good.replace("PUBLIC KEY", "CERTIFICATE"),
            "is not one public key in PEM",
        ),
        (good.replacen("MII", "M-I", 1), "is not one block of base64"),
        (good.replacen("MII", "AAA", 1), "is not DER"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{text}");
        assert!(error.what.contains(why), "{why}: {}", error.what);
        assert!(
            error.hints.concat().contains("wrapping_key"),
            "{:?}",
            error.hints
        );
        assert!(!error.hints.concat().contains("aws"), "{:?}", error.hints);
    }
    assert!(parse(b"\xff\xff\xff").is_err());
}

/// The whole table: what OpenBao 2.7.2 itself takes, as `online/transit.rs` shows.
#[test]
fn exactly_what_a_transit_engine_takes_is_taken() {
    let key = key("https://bao.example:8200/v1/transit/keys/payments").unwrap();
    for spec in Spec::ALL {
        for wrapping in WrappingAlgorithm::ALL {
            let taken = key.takes(spec, wrapping);
            let not_there = ["HMAC_224", "AES_192", "ECC_SECG_P256K1"];
            let expected = wrapping.is_rsa_aes() && !not_there.contains(&spec.name());
            assert_eq!(
                taken.is_ok(),
                expected,
                "{} {wrapping} {taken:?}",
                spec.name()
            );
        }
    }
    assert_eq!(key_type(Spec::Symmetric { bytes: 16 }), Ok("aes128-gcm96"));
    let long = Spec::Hmac {
        hash: crate::crypto::spec::HmacHash::Sha224,
        bytes: 32,
    };
    assert_eq!(key_type(long), Ok("hmac"));
}
