//! Every importable key spec under every wrapping algorithm and wrapping key that a KMS takes for it, on both
//! HSMs: wrapped in the HSM where its controls prove that, else in this computer; opened by openssl.

use crate::support;

use std::fs;

use support::specs::{Import, RSA_AES, combinations, elsewhere, in_hsm};
use support::{Kind, KmsKey, Room, openssl, refused, sha256, stderr};

/// A plan with one data key and an import for each combination, and the parameters of each.
fn plan_for_all(room: &mut Room, spec: &str) -> Vec<(String, KmsKey, &'static str)> {
    let mut imports = Vec::new();
    let mut text = String::new();
    for (wrapping, bits) in combinations(spec) {
        let name = format!("{wrapping}-{bits}");
        let kms = KmsKey::rsa(bits);
        let arn = format!(
            "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-{:012}",
            imports.len()
        );
        let file = format!("inputs/{name}.json");
        let other = elsewhere(spec).map(|(other, key)| (other, format!("{key}-{}", imports.len())));
        let parameters = match &other {
            None => kms.parameters(&arn, support::now() + 86_000),
            Some((other, key)) => kms.parameters_of(other, key, wrapping),
        };
        fs::write(room.path(&file), parameters).unwrap();
        let import = Import {
            name: &name,
            elsewhere: other.as_ref().map(|(kms, key)| (*kms, key.as_str())),
            arn: &arn,
            file: &file,
            wrapping,
            in_hsm: in_hsm(room.kind, spec, wrapping),
            wrapping_key_sha256: &kms.sha256(),
        };
        text += &import.text();
        imports.push((name, kms, wrapping));
    }
    room.plan.spec = spec.into();
    room.plan.imported = false;
    room.plan.key_more += &text;
    imports
}

/// Makes a data key of the spec once, wrapped in every way, and opens each with openssl.
fn made_wrapped_and_opened(kind: Kind, spec: &str) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    let imports = plan_for_all(&mut room, spec);
    let transcript = room.run_well();
    let made = transcript.event("key-generated");
    let mut seen: Option<Vec<u8>> = None;
    for (name, kms, wrapping) in &imports {
        let file = room.path(&format!(
            "records/one/payments-2026/{name}/WrappedKeyMaterial.bin"
        ));
        let material = kms.open(&file, wrapping);
        if let Some(seen) = &seen {
            assert!(*seen == material, "{spec} {name}: other material");
            continue;
        }
        let fingerprint = match spec {
            _ if spec.starts_with("AES_") => {
                let bytes = spec[4..].parse::<usize>().unwrap() / 8;
                assert_eq!(material.len(), bytes, "{spec} {name}");
                let (kcv, fingerprint) = support::openssl_check_values(&material);
                assert_eq!(made["kcv"], kcv.as_str(), "{spec} {name}");
                fingerprint
            }
            "SYMMETRIC_DEFAULT" => support::openssl_check_values(&material).1,
            _ if spec.starts_with("HMAC_") => support::openssl_hmac_fingerprint(spec, &material),
            _ => sha256(&public_key_of(&room, &material)),
        };
        assert_eq!(made["fingerprint"], fingerprint.as_str(), "{spec} {name}");
        seen = Some(material);
    }
    let objects = room.objects();
    assert_eq!(objects.len(), 1, "{objects:?}");
    let verified = support::verifiers::both(room.dir.path(), &["records/one"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}

/// The SPKI of a PKCS#8 private key that `openssl pkey -check` accepts and that has no byte after its end;
/// it must be the public key that the record holds.
fn public_key_of(room: &Room, pkcs8: &[u8]) -> Vec<u8> {
    let printed = openssl(&["asn1parse", "-inform", "DER"], pkcs8);
    let first = String::from_utf8(printed)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let number = |name: &str| -> usize {
        let after = first
            .split(&format!("{name}="))
            .nth(1)
            .unwrap()
            .trim_start();
        after
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert_eq!(
        number("hl") + number(" l"),
        pkcs8.len(),
        "bytes after the PKCS#8: {first}"
    );
    let checked = openssl(
        &[
            "pkey", "-inform", "DER", "-check", "-pubout", "-outform", "DER",
        ],
        pkcs8,
    );
    let spki = checked.strip_prefix(b"Key is valid\n").unwrap_or(&checked);
    let recorded = fs::read(room.path("records/one/payments-2026/public-key.der")).unwrap();
    assert_eq!(recorded, spki);
    let pem = fs::read(room.path("records/one/payments-2026/public-key.pem")).unwrap();
    assert_eq!(
        openssl(&["pkey", "-pubin", "-pubout", "-outform", "DER"], &pem),
        spki
    );
    spki.to_vec()
}

macro_rules! each_spec {
    ($($name:ident: $kind:ident $spec:literal;)*) => {
        $(#[test]
        fn $name() {
            made_wrapped_and_opened(Kind::$kind, $spec);
        })*
    };
}

each_spec! {
    symmetric_on_softhsm: SoftHsm "SYMMETRIC_DEFAULT";
    symmetric_on_kryoptic: Kryoptic "SYMMETRIC_DEFAULT";
    hmac_224_on_softhsm: SoftHsm "HMAC_224";
    hmac_224_on_kryoptic: Kryoptic "HMAC_224";
    hmac_256_on_softhsm: SoftHsm "HMAC_256";
    hmac_256_on_kryoptic: Kryoptic "HMAC_256";
    hmac_384_on_softhsm: SoftHsm "HMAC_384";
    hmac_384_on_kryoptic: Kryoptic "HMAC_384";
    hmac_512_on_softhsm: SoftHsm "HMAC_512";
    hmac_512_on_kryoptic: Kryoptic "HMAC_512";
    aes_128_on_softhsm: SoftHsm "AES_128";
    aes_128_on_kryoptic: Kryoptic "AES_128";
    aes_192_on_softhsm: SoftHsm "AES_192";
    aes_192_on_kryoptic: Kryoptic "AES_192";
    aes_256_on_softhsm: SoftHsm "AES_256";
    aes_256_on_kryoptic: Kryoptic "AES_256";
    ed25519_on_kryoptic: Kryoptic "ED25519";
    p256_on_softhsm: SoftHsm "ECC_NIST_P256";
    p256_on_kryoptic: Kryoptic "ECC_NIST_P256";
    p384_on_softhsm: SoftHsm "ECC_NIST_P384";
    p384_on_kryoptic: Kryoptic "ECC_NIST_P384";
    p521_on_softhsm: SoftHsm "ECC_NIST_P521";
    p521_on_kryoptic: Kryoptic "ECC_NIST_P521";
    secp256k1_on_softhsm: SoftHsm "ECC_SECG_P256K1";
    rsa_2048_on_softhsm: SoftHsm "RSA_2048";
    rsa_2048_on_kryoptic: Kryoptic "RSA_2048";
    rsa_3072_on_softhsm: SoftHsm "RSA_3072";
    rsa_3072_on_kryoptic: Kryoptic "RSA_3072";
    rsa_4096_on_softhsm: SoftHsm "RSA_4096";
    rsa_4096_on_kryoptic: Kryoptic "RSA_4096";
}

/// It makes and uses such a key, but wraps it in no way: in the HSM, or for this computer.
#[test]
fn a_softhsm_that_does_not_wrap_ed25519_is_refused_before_a_data_key_exists() {
    for wrap_in in ["hsm", "host"] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        room.plan_spec("ED25519", None);
        room.plan.wrap_in = wrap_in.into();
        room.plan.wrapping = RSA_AES[0].into();
        let says = [
            "step 6 of 13, preflight",
            "CKR_KEY_NOT_WRAPPABLE [CONTROL]",
            "state: no data key was left in the HSM",
        ];
        refused(&room.run(), 3, &says);
        assert!(room.aborted().events("key-intended").is_empty());
        assert!(room.objects().is_empty());
    }
}

#[test]
fn a_softhsm_that_appends_bytes_to_private_keys_is_refused_for_every_one_of_them() {
    for spec in ["ECC_NIST_P384", "ECC_SECG_P256K1", "RSA_2048"] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        room.plan.spec = spec.into();
        room.plan.wrapping = RSA_AES[0].into();
        refused(
            &room.run(),
            3,
            &[
                "step 6 of 13, preflight",
                "bytes after the",
                "of the PKCS#8 private key, which KMS refuses",
                "wrap_in = \"host\"",
                "state: no data key was left in the HSM",
            ],
        );
        assert!(room.aborted().events("key-intended").is_empty());
        assert!(room.objects().is_empty());
    }
}
