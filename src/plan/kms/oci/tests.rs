use super::*;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::WrappingKey;
use crate::crypto::wrapping::key::tests::crafted;
use crate::ground::error::{Exit, Result};

const HOST: &str = "https://a-1-management.kms.us-ashburn-1.oraclecloud.com";
const COMPARTMENT: &str = "ocid1.compartment.oc1..aaaa0example";
const KEY: &str = "ocid1.key.oc1.iad.a1.abuw0example";

fn key(url: &str) -> Result<KmsKey> {
    KmsKey::parse(Some("oci"), None, Some(url))
}

fn new() -> KmsKey {
    key(&format!("{HOST}/{COMPARTMENT}/payments.2026_a-1")).unwrap()
}

fn next() -> KmsKey {
    key(&format!("{HOST}/{KEY}")).unwrap()
}

fn name_of(key: KmsKey) -> Name {
    match key {
        KmsKey::Oci(name) => name,
        other => panic!("{other}"),
    }
}

fn parse(bytes: &[u8]) -> Result<WrappingKey> {
    OCI.parse(bytes).map(|answered| answered.wrapping_key)
}

#[test]
fn a_key_has_one_spelling_and_anything_else_is_refused_by_its_part() {
    let (new, next) = (name_of(new()), name_of(next()));
    assert_eq!(compartment(&new), Some((COMPARTMENT, "payments.2026_a-1")));
    assert_eq!((ocid(&next), ocid(&new)), (Some(KEY), None));
    let planned = [&next, &new].map(|key| planned_ocid(key.as_str()));
    assert_eq!(planned, [Some(KEY.to_owned()), None]);
    assert_eq!(KmsKey::Oci(next).place(), HOST);
    let whole = format!("{HOST}/ocid1.tenancy.oc1..aaaa/k");
    key(&whole).unwrap();
    key(&format!("{HOST}/ocid1.compartment.oc1..oraclecloud.com/k")).unwrap();
    let long = format!("{HOST}/{COMPARTMENT}/{}", "k".repeat(64));
    let start = format!("{HOST}/ocid1.key.oc1.iad.a1.");
    let longest = start.clone() + &"a".repeat(325 - start.len());
    key(&longest).unwrap();
    let longer = longest + "a";
    for (url, why) in [
        (String::new(), "does not begin"),
        (format!("http{}", &whole[5..]), "does not begin"),
        (HOST.into(), "has no .oraclecloud.com/ after its region"),
        (
            whole.replace("-management", "-crypto"),
            "has no -management.kms. after",
        ),
        (
            whole.replace("a-1-management", "-management"),
            "has a vault",
        ),
        (
            whole.replace("oraclecloud.com", "oraclecloud.com.example"),
            "has no .oraclecloud.com/",
        ),
        (
            whole.replace("oraclecloud.com", "oraclecloud.com:443"),
            "has no .oraclecloud.com/",
        ),
        (whole.replace("https://", "https://x@"), "has a vault"),
        (whole.replace("us-ashburn-1", "US"), "has a region"),
        (
            whole.replace("us-ashburn-1.", ""),
            "has no .oraclecloud.com/",
        ),
        (format!("{HOST}/{COMPARTMENT}"), "has a place"),
        (format!("{HOST}/{COMPARTMENT}/"), "has a place"),
        (format!("{HOST}/{COMPARTMENT}/a/b"), "has a place"),
        (format!("{HOST}/{COMPARTMENT}/a b"), "has a place"),
        (format!("{HOST}/{COMPARTMENT}/-a"), "has a place"),
        (format!("{HOST}/{KEY}/k"), "has a place"),
        (format!("{HOST}/{KEY}/"), "has a place"),
        (format!("{HOST}/ocid1.vault.oc1.iad.a1.x"), "has a place"),
        (format!("{HOST}/ocid1.key.oc1"), "has a place"),
        (format!("{HOST}/ocid1.key.oc1.iad.a1."), "has a place"),
        (format!("{HOST}/ocid1.key.OC1.iad.a1.x"), "has a place"),
        (long, "has a place"),
        (longer, "is longer than 325"),
    ] {
        let error = key(&url).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{url}");
        assert!(error.what.contains(why), "{why}: {}", error.what);
    }
}

fn answer(bits: usize) -> String {
    let text = new().practice(&crafted(bits), WrappingAlgorithm::RsaesOaepSha256);
    text.unwrap()
}

#[test]
fn hostile_and_mistaken_parameters_are_refused_by_what_they_are() {
    let good = answer(4096);
    let key = parse(good.as_bytes()).unwrap();
    assert_eq!(
        parse(public::to_pem(key.spki_der()).as_bytes()).unwrap(),
        key
    );
    let with = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        text
    };
    for (text, why) in [
        (String::new(), "is not JSON"),
        ("[]".into(), "is a list"),
        ("{}".into(), "has no text `public-key` in `data`"),
        (
            "{\"ImportToken\": \"\"}".into(),
            "is import parameters of AWS KMS",
        ),
        (
            "{\"data\": {\"public_key\": \"\"}}".into(),
            "is the wrapping key of OpenBao",
        ),
        (
            with("\"lifecycle", "\"key-id\": \"x\", \"lifecycle"),
            "is about a key of the vault",
        ),
        (
            with("\"lifecycle", "\"key-shape\": {}, \"lifecycle"),
            "is about a key of the vault",
        ),
        (
            with("\"lifecycle", "\"x\": {\"public-key\": 1}, \"lifecycle"),
            "has a second",
        ),
        (
            with("\"public", "\"x\": {\"lifecycle-state\": 1}, \"public"),
            "has a second",
        ),
        (
            with("\"public-key\": \"", "\"public-key\": 1, \"y\": \""),
            "has no text `public-key` in `data`",
        ),
        (with("MII", "M"), "the public key is not"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{text}");
        assert!(error.what.contains(why), "{why}: {}", error.what);
        let hints = error.hints.concat();
        assert!(
            hints.contains("oci kms management wrapping-key get"),
            "{hints}"
        );
    }
    for (text, check) in [
        (with("ENABLED", "PENDING_DELETION"), "WRAPPING-KEY-STATE"),
        (with("\"ENABLED\"", "null"), "WRAPPING-KEY-STATE"),
        (with("\"ENABLED\"", "[\"ENABLED\"]"), "WRAPPING-KEY-STATE"),
        (answer(2048), "WRAPPING-KEY-SIZE"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!((error.exit, error.check), (Exit::Mismatch, Some(check)));
    }
    assert!(parse(b"\xff\xff").is_err());
}

#[test]
fn exactly_what_oci_takes_is_taken() {
    let shape = |spec| new().called(spec).map_err(|refusal| refusal.why);
    assert_eq!(shape(Spec::DEFAULT), Ok("AES"));
    assert_eq!(shape(Spec::Rsa { bits: 3072 }), Ok("RSA"));
    let hmac = Spec::ALL
        .into_iter()
        .find(|spec| matches!(spec, Spec::Hmac { .. }));
    assert!(
        shape(hmac.unwrap())
            .unwrap_err()
            .ends_with("has no HMAC keys")
    );
    for (key, pairs) in [(new(), true), (next(), false)] {
        for spec in Spec::ALL {
            for wrapping in WrappingAlgorithm::ALL {
                let taken = key.takes(spec, wrapping);
                let symmetric = spec.is_aes();
                let rsa = matches!(spec, Spec::Rsa { .. }) && pairs;
                let expected = match wrapping.name() {
                    "RSAES_OAEP_SHA_256" => symmetric,
                    "RSA_AES_KEY_WRAP_SHA_256" => symmetric || rsa,
                    _ => false,
                };
                assert_eq!(
                    taken.is_ok(),
                    expected,
                    "{} {wrapping} {taken:?}",
                    spec.name()
                );
            }
        }
    }
}
