use super::*;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::tests::crafted;
use crate::ground::error::Exit;

const URL: &str = "https://a-vault-1.vault.azure.net/keys/payments";
const HSM: &str = "https://a-hsm.managedhsm.azure.net/keys/payments";

fn key(url: &str) -> Result<KmsKey> {
    KmsKey::parse(Some("azure"), None, Some(url))
}

fn parse(bytes: &[u8]) -> Result<Answered> {
    KEY_VAULT.parse(bytes)
}

/// As for a plan whose key this is.
fn judge(kek: &Answered, into: &str, now: Timestamp) -> Result<()> {
    let into = KEY_VAULT.shape.read(into).unwrap();
    super::super::in_one_place(&KEY_VAULT, kek, &into)?;
    super::judge(kek, &into, now)
}

#[test]
fn a_key_has_one_spelling_and_anything_else_is_refused_by_its_part() {
    for url in [
        URL,
        HSM,
        "https://abc.vault.azure.cn/keys/k",
        "https://a23.vault.usgovcloudapi.net/keys/0-1",
    ] {
        let key = key(url).unwrap();
        assert_eq!(key.as_str(), url);
        let (_, name) = key.elsewhere().unwrap();
        assert_eq!(format!("{}/keys/{}", key.place(), name.part("name")), url);
        assert_eq!(key.kms.contains("HSM"), url == HSM);
    }
    let long_vault = format!("https://a{}.vault.azure.net/keys/k", "b".repeat(24));
    let long = format!("https://a-vault-1.vault.azure.net/keys/{}", "k".repeat(128));
    for (url, why) in [
        ("", "does not begin"),
        ("http://a-vault-1.vault.azure.net/keys/k", "does not begin"),
        ("HTTPS://a-vault-1.vault.azure.net/keys/k", "does not begin"),
        (
            "https://a-vault-1.vault.azure.net/secrets/k",
            "has no /keys/",
        ),
        (
            "https://a-vault-1.vault.azure.net:443/keys/k",
            "has a domain",
        ),
        ("https://user@vault.azure.net/keys/k", "has a vault"),
        ("https://vault.azure.net/keys/k", "has a domain"),
        ("https://a-vault-1.vault.azure.net./keys/k", "has a domain"),
        ("https://abc.b.vault.azure.net/keys/k", "has a domain"),
        (
            "https://a-vault-1.vault.azure.net.example/keys/k",
            "has a domain",
        ),
        ("https://a-vault-1.Vault.azure.net/keys/k", "has a domain"),
        ("https://A-vault-1.vault.azure.net/keys/k", "has a vault"),
        ("https://1vault.vault.azure.net/keys/k", "has a vault"),
        ("https://ab.vault.azure.net/keys/k", "has a vault"),
        ("https://a--b.vault.azure.net/keys/k", "has a vault"),
        ("https://ab-.vault.azure.net/keys/k", "has a vault"),
        ("https://x@abc.vault.azure.net/keys/k", "has a vault"),
        (&long_vault, "has a vault"),
        ("https://a-vault-1.vault.azure.net/keys/", "has a name"),
        ("https://a-vault-1.vault.azure.net/keys/K", "has a name"),
        ("https://a-vault-1.vault.azure.net/keys/k_1", "has a name"),
        ("https://a-vault-1.vault.azure.net/keys/-k", "has a name"),
        (
            "https://a-vault-1.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef",
            "has a name",
        ),
        ("https://a-vault-1.vault.azure.net/keys/k?x=1", "has a name"),
        ("https://a-vault-1.vault.azure.net/keys/../k", "has a name"),
        (&long, "has a name"),
    ] {
        let error = key(url).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{url}");
        let says = format!("{url:?} {why}");
        assert!(error.what.contains(&says), "{says}: {}", error.what);
    }
}

#[test]
fn an_identifier_of_azure_is_read_whatever_its_case_with_a_version_or_without() {
    let version = "0123456789abcdef0123456789abcdef";
    for id in [
        URL.to_owned(),
        format!("{URL}/{version}"),
        URL.replace("payments", "Payments"),
        URL.replace("a-vault", "A-Vault") + "/" + version,
    ] {
        let (of, told) = identified(&id).unwrap();
        assert_eq!(of.as_str(), URL);
        assert_eq!(told, id.ends_with(version).then_some(version));
    }
    for id in [
        format!("{URL}/"),
        format!("{URL}/latest"),
        format!("{URL}/{}", version.to_uppercase()),
        format!("{URL}/{version}/{version}"),
    ] {
        assert!(identified(&id).is_none(), "{id}");
    }
}

/// As the command prints it, with a modulus of so many bits.
fn shown(bits: usize) -> String {
    let n = Base64::encode_string(crafted(bits).modulus());
    format!(
        r#"{{
  "attributes": {{
    "created": "2026-11-20T08:00:00+00:00", "enabled": true, "expires": null, "exportable": false,
    "hsmPlatform": "2", "keySize": null, "notBefore": null, "recoverableDays": 90,
    "recoveryLevel": "Recoverable+Purgeable", "updated": "2026-11-20T08:00:00+00:00"
  }},
  "key": {{
    "crv": null, "d": null, "dp": null, "dq": null, "e": "AQAB", "k": null,
    "keyOps": ["import"],
    "kid": "https://a-vault-1.vault.azure.net/keys/KEK/0123456789abcdef0123456789abcdef",
    "kty": "RSA-HSM", "n": "{n}",
    "p": null, "q": null, "qi": null, "t": null, "x": null, "y": null
  }},
  "managed": null, "releasePolicy": null, "tags": {{}}
}}"#
    )
}

fn now() -> Timestamp {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

#[test]
fn what_az_prints_about_a_kek_is_one_in_whatever_encoding_a_shell_writes() {
    for bits in [2048, 3072, 4096] {
        let json = shown(bits);
        let wide: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(json.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        let kek = parse(json.as_bytes()).unwrap();
        assert_eq!(kek.wrapping_key.bits(), bits);
        let kid = kek.id.as_deref().unwrap();
        assert!(kid.ends_with("/keys/KEK/0123456789abcdef0123456789abcdef"));
        judge(&kek, URL, now()).unwrap();
        assert_eq!(parse(&wide).unwrap().wrapping_key, kek.wrapping_key);
        let later = json.replace(
            "\"expires\": null",
            "\"expires\": \"2026-11-29T12:00:01+00:00\"",
        );
        judge(&parse(later.as_bytes()).unwrap(), URL, now()).unwrap();
    }
}

#[test]
fn a_key_that_is_no_kek_of_this_vault_at_this_time_is_refused() {
    let good = shown(2048);
    let judged =
        |text: &str, into: &str| parse(text.as_bytes()).and_then(|kek| judge(&kek, into, now()));
    judged(&good, URL).unwrap();
    let kek = "https://a-vault-1.vault.azure.net/keys/kek";
    for (from, to, into, why) in [
        ("\"RSA-HSM\"", "\"RSA\"", URL, "is protected by software"),
        ("\"RSA-HSM\"", "\"EC-HSM\"", URL, "has the `kty` \"EC-HSM\""),
        ("[\"import\"]", "[]", URL, "and no other"),
        ("[\"import\"]", "[\"wrapKey\"]", URL, "and no other"),
        (
            "[\"import\"]",
            "[\"import\", \"sign\"]",
            URL,
            "and no other",
        ),
        (
            "[\"import\"]",
            "[\"import\", \"import\"]",
            URL,
            "and no other",
        ),
        ("true", "false", URL, "is disabled"),
        (
            "\"expires\": null",
            "\"expires\": \"2026-11-29T12:00:00+00:00\"",
            URL,
            "expired at",
        ),
        (
            "\"notBefore\": null",
            "\"notBefore\": \"2026-11-29T12:00:01Z\"",
            URL,
            "is valid from",
        ),
        ("", "", HSM, "wrapped for a KEK of its own vault"),
        (
            "",
            "",
            "https://a-vault-1.vault.azure.cn/keys/payments",
            "a KEK of its own vault",
        ),
        ("", "", kek, "is the plan's key itself"),
    ] {
        let error = judged(&good.replacen(from, to, 1), into).unwrap_err();
        let told = (error.exit, error.check);
        assert_eq!(told, (Exit::Mismatch, Some("KEK")), "{}", error.what);
        assert!(error.what.contains(why), "{why}: {}", error.what);
    }
    for (from, to) in [
        (
            "\"notBefore\": null",
            "\"notBefore\": \"2026-11-29T12:00:00Z\"",
        ),
        (
            "\"notBefore\": null",
            "\"notBefore\": \"2026-11-01T12:00:00Z\"",
        ),
        ("\"expires\": null", "\"expires\": \"2026-11-29T12:00:01Z\""),
    ] {
        judged(&good.replacen(from, to, 1), URL).unwrap();
    }
    let weak = good
        .replace("AQAB", "Aw==")
        .replace("\"expires\": null", "\"expires\": 1");
    let error = judged(&weak, URL).unwrap_err();
    assert_eq!(error.check, Some("WRAPPING-KEY-EXPONENT"));
    assert!(!error.hints.concat().contains("aws"), "{:?}", error.hints);
}

#[test]
fn what_is_not_what_az_prints_about_a_kek_is_refused_by_name() {
    let good = shown(2048);
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    for (text, why) in [
        (String::new(), "is not JSON"),
        (good[..good.len() / 2].to_owned(), "is not JSON"),
        (format!("[{good}]"), "is a list"),
        (
            "-----BEGIN PUBLIC KEY-----\n".into(),
            "is PEM, which has no identifier",
        ),
        (
            "{\"ImportToken\": \"\"}".into(),
            "is import parameters of AWS KMS",
        ),
        (
            "{\"data\": {}}".into(),
            "is an answer of OpenBao, Vault or OCI",
        ),
        (
            "{\"error\": {\"code\": \"Forbidden\"}}".into(),
            "is an error message of Azure",
        ),
        ("{\"schema_version\": \"1.0.0\"}".into(), "is a .byok file"),
        (
            with("\"managed\"", "\"deletedDate\": \"x\", \"managed\""),
            "is about a key that was deleted",
        ),
        (
            with("\"d\": null", "\"d\": \"AA==\""),
            "with its private half",
        ),
        (
            with("\"d\": null", "\"d\": \"AA==\"").replacen('{', "{\"error\": 1, \"kid\": 2,", 1),
            "with its private half",
        ),
        (
            with("\"tags\": {}", "\"tags\": {\"kid\": \"x\"}"),
            "has a second `kid`",
        ),
        (
            with("\"tags\": {}", "\"tags\": {\"a\": {\"enabled\": true}}"),
            "has a second `enabled`",
        ),
        (
            with("\"kty\":", "\"kty\": \"RSA-HSM\", \"kty\":"),
            "is not JSON",
        ),
        ("{}".into(), "has no object `key`"),
        (
            with("\"attributes\"", "\"attribute\""),
            "has no object `attributes`",
        ),
        (
            with("/0123456789abcdef0123456789abcdef", ""),
            "which is not a vault's identifier",
        ),
        (
            with("vault.azure.net", "vault.example"),
            "which is not a vault's identifier",
        ),
        (
            with("\"kid\": \"", "\"kid\": 1, \"other\": \""),
            "has no text `kid`",
        ),
        (with("[\"import\"]", "\"import\""), "has no list `keyOps`"),
        (
            with("\"enabled\": true", "\"enabled\": \"true\""),
            "whether the key is `enabled`",
        ),
        (
            with("\"enabled\": true", "\"x\": true"),
            "whether the key is `enabled`",
        ),
        (
            with("\"expires\": null", "\"expires\": 0"),
            "`expires` in `attributes` is not a time",
        ),
        (
            with("\"notBefore\": null", "\"notBefore\": \"soon\""),
            "is not a time",
        ),
        (with("AQAB", "AQA"), "`e` is not base64"),
        (with("AQAB", ""), "is not a usable RSA key"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{text}");
        assert!(error.what.contains(why), "{why}: {}", error.what);
        let hints = error.hints.concat();
        assert!(hints.contains("az keyvault key show"), "{hints}");
        assert!(!hints.contains("aws"), "{hints}");
    }
    assert!(parse(b"\xff\xff\xff").is_err());
    for n in ["", "AA==", &"AQAB".repeat(100_000)] {
        let at = good.find("\"n\": \"").unwrap() + 6;
        let end = at + good[at..].find('"').unwrap();
        let text = format!("{}{n}{}", &good[..at], &good[end..]);
        let error = parse(text.as_bytes()).unwrap_err();
        assert!(error.what.contains("RSA key"), "{}", error.what);
    }
}

#[test]
fn exactly_what_a_vault_and_a_managed_hsm_take_is_taken() {
    for (url, symmetric) in [(URL, false), (HSM, true)] {
        let key = key(url).unwrap();
        for spec in Spec::ALL {
            for wrapping in WrappingAlgorithm::ALL {
                let taken = key.takes(spec, wrapping);
                let of_spec = match spec.name() {
                    "SYMMETRIC_DEFAULT" | "AES_128" | "AES_192" | "AES_256" => symmetric,
                    "ED25519" => false,
                    name => !name.starts_with("HMAC_"),
                };
                let expected = of_spec && wrapping.name() == "RSA_AES_KEY_WRAP_SHA_1";
                let told = format!("{url} {} {wrapping} {taken:?}", spec.name());
                assert_eq!(taken.is_ok(), expected, "{told}");
            }
        }
    }
}
