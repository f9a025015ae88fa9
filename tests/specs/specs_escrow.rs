//! Every importable key spec in escrow: dealt, proved, brought back by a quorum on either HSM, found again
//! in the HSM, and always the same bytes, opened by openssl.

use crate::support;

use std::fs;

use support::escrow::{
    self, builds_on, lay, reference, reference_recovers, shares, table, wrapped,
};
use support::screen::Screen;
use support::{Kind, LABEL, PIN, Room, base64, hex, openssl, refused, stderr, stdout};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];

/// A ceremony that made a data key and dealt any 2 of 3.
fn dealt(kind: Kind, spec: &str, bits: Option<usize>, keep: &str) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.plan_spec(spec, bits);
    room.plan.keep = keep.into();
    room.plan.more = table(2, 3, "files:shares");
    room.run_well();
    Some(room)
}

/// A room before another token whose plan recovers what `old` dealt.
fn recovery(old: &Room, to: Kind) -> Option<Room> {
    let mut new = Room::new(to)?;
    new.plan_spec(&old.plan.spec, None);
    new.plan.key_more = old.plan.key_more.clone();
    new.plan.keep = old.plan.keep.clone();
    new.use_kms_key(old.kms.clone());
    new.plan.kind = "recover".into();
    new.plan.top_more = format!(
        "{}reuse_escrow = \"a test\"\n",
        builds_on(old, "records/one")
    );
    new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    let shares = shares(&old.path("shares"));
    lay(&new.path("brought"), &[&shares[2].1, &shares[0].1]);
    Some(new)
}

/// Makes the room's plan one that reimports what `records/one` holds into `records/two`.
fn reimports(room: &mut Room) {
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.more = String::new();
}

/// Dealt on one HSM, recovered on the same kind and on the other, found there again: the same bytes.
fn comes_back(kind: Kind, spec: &str, bits: Option<usize>, keep: &str) {
    let Some(old) = dealt(kind, spec, bits, keep) else {
        return;
    };
    let material = old.openssl_opens(&wrapped("records/one"));
    packed_as_it_should_be(&old, spec, bits);
    for to in BOTH {
        if spec == "ECC_SECG_P256K1" && to == Kind::Kryoptic {
            continue; // it does not know that curve
        }
        if spec == "ED25519" && to == Kind::SoftHsm {
            continue; // it does not wrap such keys
        }
        if to == Kind::SoftHsm && bits.is_some_and(|bits| !bits.is_multiple_of(64)) {
            continue; // it does not tell the length: see below
        }
        let Some(mut new) = recovery(&old, to) else {
            continue;
        };
        let checked = new.check();
        assert!(checked.status.success(), "{to:?}: {}", stdout(&checked));
        let output = new.run();
        assert!(output.status.success(), "{to:?}: {}", stderr(&output));
        let again = new.openssl_opens(&wrapped("records/one"));
        assert!(same_key(spec, &again, &material), "{to:?}: other material");
        if keep != "extractable" {
            continue;
        }
        reimports(&mut new);
        let output = new.run();
        assert!(output.status.success(), "{to:?}: {}", stderr(&output));
        let again = new.openssl_opens(&wrapped("records/two"));
        assert!(same_key(spec, &again, &material), "{to:?}: other material");
        for record in ["records/one", "records/two"] {
            let verified = support::verifiers::both(new.dir.path(), &[record]);
            assert!(verified.status.success(), "{}", stderr(&verified));
        }
    }
}

/// Byte for byte, but for the leading zero bytes of a scalar: kryoptic leaves them out of a PKCS#8, and SoftHSM
/// puts them in (RFC 5915, section 3, wants them). openssl writes both anew.
fn same_key(spec: &str, a: &[u8], b: &[u8]) -> bool {
    let anew = |der| openssl(&["pkey", "-inform", "DER", "-outform", "DER"], der);
    match spec.starts_with("ECC_") {
        true => anew(a) == anew(b),
        false => a == b,
    }
}

/// What the package says of the data key, and what the text of it says.
fn packed_as_it_should_be(old: &Room, spec: &str, bits: Option<usize>) {
    let transcript = old.transcript("records/one");
    let made = transcript.event("key-generated");
    let package = escrow::package(&old.path("records/one"));
    let packed = &package["keys"][0];
    assert_eq!(packed["spec"], spec);
    assert_eq!(packed["fingerprint"], made["fingerprint"]);
    assert_eq!(packed["bits"], made["bits"]);
    let is_aes = spec.starts_with("AES_");
    assert_eq!(packed["kcv"], made["kcv"]);
    assert_eq!(packed["kcv"].is_string(), is_aes);
    let public_key = packed["public_key"].as_str();
    assert_eq!(public_key.is_some(), spec == "ED25519");
    if let Some(public_key) = public_key {
        let spki = fs::read(old.path("records/one/payments-2026/public-key.der")).unwrap();
        assert_eq!(public_key, base64(&spki));
    }
    let padded = support::is_private(spec) || !made["bytes"].as_u64().unwrap().is_multiple_of(8);
    assert_eq!(
        packed["wrapping"],
        if padded { "AES-KWP" } else { "AES-KW" }
    );
    if bits.is_some() {
        assert_eq!(made["bits"].as_u64(), bits.map(|bits| bits as u64));
    }
    let text = fs::read_to_string(old.path("records/one/package.txt")).unwrap();
    assert_eq!(text.contains("KCV"), is_aes, "{text}");
    let told = made["bits"]
        .as_u64()
        .map_or(String::new(), |bits| format!(", {bits} bits"));
    assert!(
        text.contains(&format!("spec         {spec}{told}\n")),
        "{text}"
    );
}

macro_rules! each_spec {
    ($($name:ident: $kind:ident $spec:literal $bits:expr, $keep:literal;)*) => {
        $(#[test]
        fn $name() {
            comes_back(Kind::$kind, $spec, $bits, $keep);
        })*
    };
}

each_spec! {
    hmac_224_of_softhsm: SoftHsm "HMAC_224" Some(256), "extractable";
    hmac_224_of_kryoptic: Kryoptic "HMAC_224" Some(224), "extractable";
    hmac_256_of_softhsm: SoftHsm "HMAC_256" None, "sealed";
    hmac_256_of_kryoptic: Kryoptic "HMAC_256" Some(264), "extractable";
    hmac_384_of_softhsm: SoftHsm "HMAC_384" None, "none";
    hmac_384_of_kryoptic: Kryoptic "HMAC_384" Some(1024), "none";
    hmac_512_of_softhsm: SoftHsm "HMAC_512" None, "extractable";
    hmac_512_of_kryoptic: Kryoptic "HMAC_512" None, "sealed";
    aes_128_of_softhsm: SoftHsm "AES_128" None, "extractable";
    aes_128_of_kryoptic: Kryoptic "AES_128" None, "sealed";
    aes_192_of_softhsm: SoftHsm "AES_192" None, "sealed";
    aes_192_of_kryoptic: Kryoptic "AES_192" None, "extractable";
    aes_256_of_softhsm: SoftHsm "AES_256" None, "none";
    aes_256_of_kryoptic: Kryoptic "AES_256" None, "extractable";
    ed25519_of_kryoptic: Kryoptic "ED25519" None, "extractable";
    ed25519_sealed_of_kryoptic: Kryoptic "ED25519" None, "sealed";
    p256_of_softhsm: SoftHsm "ECC_NIST_P256" None, "extractable";
    p256_of_kryoptic: Kryoptic "ECC_NIST_P256" None, "sealed";
    p384_of_softhsm: SoftHsm "ECC_NIST_P384" None, "sealed";
    p384_of_kryoptic: Kryoptic "ECC_NIST_P384" None, "none";
    p521_of_softhsm: SoftHsm "ECC_NIST_P521" None, "none";
    p521_of_kryoptic: Kryoptic "ECC_NIST_P521" None, "extractable";
    secp256k1_of_softhsm: SoftHsm "ECC_SECG_P256K1" None, "extractable";
    rsa_2048_of_softhsm: SoftHsm "RSA_2048" None, "extractable";
    rsa_2048_of_kryoptic: Kryoptic "RSA_2048" None, "none";
    rsa_3072_of_softhsm: SoftHsm "RSA_3072" None, "sealed";
    rsa_3072_of_kryoptic: Kryoptic "RSA_3072" None, "extractable";
    rsa_4096_of_softhsm: SoftHsm "RSA_4096" None, "none";
    rsa_4096_of_kryoptic: Kryoptic "RSA_4096" None, "sealed";
}

#[test]
fn an_hsm_that_fills_secrets_up_deals_no_escrow_of_them_and_takes_none_back() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan_spec("HMAC_224", None);
    room.plan.more = table(2, 3, "files:shares");
    let says = [
        "step 6 of 13, preflight: control, escrow",
        "it wrapped 32 bytes, but the key has 28",
        "[CONTROL]",
        "bits = 256, a length that AES-KW accepts",
        "no data key was left in the HSM",
    ];
    refused(&room.run(), 3, &says);
    assert!(room.aborted().events("key-intended").is_empty());
    assert!(room.objects().is_empty());

    let Some(old) = dealt(Kind::Kryoptic, "HMAC_224", None, "extractable") else {
        return;
    };
    let new = recovery(&old, Kind::SoftHsm).unwrap();
    refused(
        &new.run(),
        3,
        &["[CONTROL]", "can be recovered on another HSM"],
    );
    assert!(new.objects().is_empty());
}

/// Makes a data key and wraps it; no escrow.
fn made(kind: Kind, spec: &str) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.plan_spec(spec, None);
    room.run_well();
    Some(room)
}

/// The token of a record loses its data key and gets what `plant` puts there; the reimport says so.
#[track_caller]
fn not_found_again(room: &mut Room, plant: &[&str], says: &[&str]) {
    room.token(&["destroy", "ceremony", PIN, LABEL]);
    room.token(&[&plant[..1], &["ceremony", PIN, LABEL], &plant[1..]].concat());
    let before = room.objects();
    reimports(room);
    let checked = room.check();
    let run = room.run();
    refused(&run, 4, says);
    refused(
        &run,
        4,
        &[
            "this is not the data key \"payments-2026\"",
            "[SAME-MATERIAL]",
        ],
    );
    assert_eq!(room.objects(), before, "the token was touched");
    assert!(!room.path("records/two").exists());
    assert_eq!(checked.status.code(), Some(4), "{}", stdout(&checked));
}

#[test]
fn a_planted_key_pair_is_not_the_data_key() {
    for kind in BOTH {
        for (spec, plant) in [
            ("ECC_NIST_P256", &["pair", "beef", "yes"][..]),
            ("ECC_NIST_P384", &["pair", "beef", "yes"]), // on another curve
            ("RSA_2048", &["rsa", "beef"]),
            ("RSA_3072", &["rsa", "beef"]), // of another length
        ] {
            let Some(mut room) = made(kind, spec) else {
                return;
            };
            not_found_again(&mut room, plant, &["there is CKA_ID beef: "]);
        }
    }
}

#[test]
fn a_key_of_another_class_is_not_the_data_key() {
    for kind in BOTH {
        let Some(mut room) = made(kind, "ECC_NIST_P256") else {
            return;
        };
        let secret = ["plant", "beef"];
        not_found_again(&mut room, &secret, &["CKA_ID beef: CKO_SECRET_KEY"]);
        let Some(mut room) = made(kind, "HMAC_256") else {
            return;
        };
        let pair = ["pair", "beef", "yes"];
        not_found_again(&mut room, &pair, &["CKA_ID beef: CKO_PRIVATE_KEY"]);
    }
}

#[test]
fn an_hmac_key_with_zero_bytes_appended_is_another_key_in_the_token() {
    for kind in BOTH {
        let Some(mut room) = made(kind, "HMAC_224") else {
            return;
        };
        let mut material = room.openssl_opens(&wrapped("records/one"));
        assert_eq!(material.len(), 28);
        material.extend([0; 4]);
        let plant = ["secret", "beef", &hex(&material)];
        not_found_again(&mut room, &plant, &["32 bytes, not 28"]);
    }
}

/// What a package holds instead, wrapped by openssl under the escrow key of these shares.
fn forged(old: &Room, escrow_key: &str, plain: &[u8]) -> serde_json::Value {
    let wrapped = openssl(
        &[
            "enc",
            "-e",
            "-id-aes256-wrap-pad",
            "-K",
            escrow_key,
            "-iv",
            "A65959A6",
        ],
        plain,
    );
    let mut package = escrow::package(&old.path("records/one"));
    package["keys"][0]["wrapped"] = base64(&wrapped).into();
    package
}

/// The recovery of `old` on this HSM from another package than the record's.
#[track_caller]
fn does_not_recover(old: &Room, to: Kind, package: &serde_json::Value, says: &[&str]) {
    let Some(mut new) = recovery(old, to) else {
        return;
    };
    fs::write(new.path("package.json"), package.to_string()).unwrap();
    new.plan.more = new.plan.more.replace("\"record\"", "\"package.json\"");
    let output = new.run();
    refused(&output, 4, says);
    assert!(new.objects().is_empty(), "{to:?}");
    assert!(new.aborted().events("key-recovered").is_empty());
}

fn escrow_key(old: &Room) -> Option<String> {
    let python = reference()?;
    let shares = shares(&old.path("shares"));
    let set = vec![shares[0].1.as_str(), shares[1].1.as_str()];
    Some(reference_recovers(&python, &[set]).remove(0))
}

/// A PKCS#8 private key made by openssl.
fn pkcs8(algorithm: &str, option: &str) -> Vec<u8> {
    let pem = openssl(
        &[
            "genpkey",
            "-quiet",
            "-algorithm",
            algorithm,
            "-pkeyopt",
            option,
        ],
        &[],
    );
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem)
}

#[test]
fn a_package_that_holds_the_hmac_key_with_zero_bytes_appended_is_refused() {
    let Some(old) = dealt(Kind::Kryoptic, "HMAC_224", None, "extractable") else {
        return;
    };
    let Some(escrow_key) = escrow_key(&old) else {
        return;
    };
    let mut material = old.openssl_opens(&wrapped("records/one"));
    material.extend([0; 4]);
    let package = forged(&old, &escrow_key, &material);
    let says = ["32 bytes, not 28", "[SAME-MATERIAL]"];
    does_not_recover(&old, Kind::Kryoptic, &package, &says);
}

#[test]
fn a_package_that_holds_another_private_key_is_refused() {
    for (spec, same_kind, another_kind) in [
        (
            "ECC_NIST_P256",
            pkcs8("EC", "ec_paramgen_curve:P-256"),
            [pkcs8("EC", "ec_paramgen_curve:P-384"), vec![7; 64]],
        ),
        (
            "RSA_2048",
            pkcs8("RSA", "rsa_keygen_bits:2048"),
            [pkcs8("RSA", "rsa_keygen_bits:3072"), vec![7; 128]],
        ),
    ] {
        let Some(old) = dealt(Kind::Kryoptic, spec, None, "extractable") else {
            return;
        };
        let Some(escrow_key) = escrow_key(&old) else {
            return;
        };
        for to in BOTH {
            let package = forged(&old, &escrow_key, &same_kind);
            does_not_recover(
                &old,
                to,
                &package,
                &["this is not the data key", "[SAME-MATERIAL]"],
            );
            for other in &another_kind {
                let package = forged(&old, &escrow_key, other);
                does_not_recover(&old, to, &package, &["the package", "[ESCROW-PACKAGE]"]);
            }
        }
    }
}

#[test]
fn a_package_that_says_something_else_of_the_data_key_is_refused() {
    let Some(old) = dealt(Kind::Kryoptic, "HMAC_224", None, "extractable") else {
        return;
    };
    for (member, value, says) in [
        (
            "spec",
            "HMAC_256".into(),
            "the package says that it is HMAC_256, not HMAC_224",
        ),
        (
            "bits",
            256.into(),
            "the package says that it has 256 bits, not 224",
        ),
        ("wrapping", "AES-KW".into(), "it is wrapped with AES-KW"),
        (
            "wrapped",
            base64(&[7; 48]).into(),
            "48 wrapped bytes do not fit 28 bytes",
        ),
    ] {
        let mut package = escrow::package(&old.path("records/one"));
        package["keys"][0][member] = value;
        does_not_recover(&old, Kind::Kryoptic, &package, &[says, "[ESCROW-PACKAGE]"]);
    }
}

/// Nothing but shares, package and fingerprint is left: the package holds the public half, which a signature of the
/// HSM must fit. Another one, or none, is refused.
#[test]
fn an_ed25519_key_comes_back_without_its_record_by_the_public_key_in_its_package() {
    let Some(old) = dealt(Kind::Kryoptic, "ED25519", None, "extractable") else {
        return;
    };
    let material = old.openssl_opens(&wrapped("records/one"));
    let good = escrow::package(&old.path("records/one"));
    let mut none = good.clone();
    let key = none["keys"][0].as_object_mut().unwrap();
    key.remove("public_key").unwrap();
    let says = ["it has no public_key", "[ESCROW-PACKAGE]"];
    does_not_recover(&old, Kind::Kryoptic, &none, &says);
    let mut other = good.clone();
    other["keys"][0]["public_key"] = base64(&[7; 44]).into();
    let without_record = |package: &serde_json::Value| {
        let mut new = recovery(&old, Kind::Kryoptic).unwrap();
        let fingerprint = good["keys"][0]["fingerprint"].as_str().unwrap();
        new.plan.top_more = "reuse_escrow = \"a test\"\n".into();
        new.plan.key_more = format!("fingerprint = \"{fingerprint}\"\n");
        fs::write(new.path("package.json"), package.to_string()).unwrap();
        new.plan.more = new.plan.more.replace("\"record\"", "\"package.json\"");
        new
    };
    let says = ["is by none of the public keys", "[ESCROW-PACKAGE]"];
    refused(&without_record(&other).run(), 4, &says);
    let mut new = without_record(&good);
    let output = new.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(new.openssl_opens(&wrapped("records/one")), material);
    // kryoptic does not tell the public half of what it unwrapped, and this record has it
    reimports(&mut new);
    let record = new.plan.top_more.clone();
    new.plan.top_more.clear();
    refused(&new.run(), 4, &["[SAME-MATERIAL]"]);
    new.plan.top_more = record;
    let output = new.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(new.openssl_opens(&wrapped("records/two")), material);
}

#[test]
fn new_shares_and_the_end_of_keys_of_other_types_follow_from_the_record() {
    for (kind, spec, bits) in [
        (Kind::SoftHsm, "HMAC_256", Some(320)),
        (Kind::Kryoptic, "ECC_NIST_P256", None),
        (Kind::Kryoptic, "ED25519", None),
        (Kind::SoftHsm, "AES_192", None),
        (Kind::SoftHsm, "RSA_2048", None),
    ] {
        let Some(mut room) = dealt(kind, spec, bits, "extractable") else {
            continue;
        };
        let carried = bits.map_or(String::new(), |bits| format!("bits  = {bits}\n"));
        let carried = format!("spec  = \"{spec}\"\n{carried}keep  = \"extractable\"\n");
        for way in ["--reimport", "--recover", "--new-shares"] {
            let planned = room.byok(&["plan", way, "records/one"]).output().unwrap();
            let planned = stdout(&planned);
            assert!(planned.contains(&carried), "{planned}");
        }
        room.plan.kind = "reimport".into();
        room.plan.imported = false;
        room.plan.top_more = builds_on(&room, "records/one");
        room.plan.directory = "records/two".into();
        room.plan.more = table(2, 2, "files:new-shares");
        let output = room.run();
        assert!(output.status.success(), "{spec}: {}", stderr(&output));
        let kept = |record: &str| {
            let package = escrow::package(&room.path(record));
            let key = package["keys"][0].clone();
            ["spec", "bits", "fingerprint", "wrapping"].map(|member| key[member].clone())
        };
        assert_eq!(kept("records/one"), kept("records/two"));
        room.plan.kind = "destroy".into();
        room.plan.top_more += "reason = \"end of life\"\n";
        room.plan.directory = "records/three".into();
        room.plan.more = String::new();
        let output = room.run();
        assert!(output.status.success(), "{spec}: {}", stderr(&output));
        assert!(room.objects().is_empty(), "{spec}");
    }
}

#[test]
fn a_plan_that_gives_other_bits_than_the_record_is_refused() {
    let Some(mut room) = made(Kind::SoftHsm, "HMAC_256") else {
        return;
    };
    reimports(&mut room);
    room.plan.key_more = "bits = 264\n".into();
    refused(
        &room.run(),
        2,
        &[
            "264 bits in the plan, 256 in the previous record",
            "bits = 256",
        ],
    );
    room.plan.key_more = format!("fingerprint = \"{}\"\n", "ab".repeat(28));
    refused(
        &room.run(),
        2,
        &[
            "fingerprint is not a fingerprint of HMAC_256",
            "64 hex digits",
        ],
    );
}

/// How often C_WrapKey is called in a run of this plan.
fn wraps_of_a_good_run(spec: &str) -> Option<usize> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan_spec(spec, None);
    room.behind_proxy(&format!("log:{}", room.path("calls.log").display()))?;
    room.run_well();
    let calls = fs::read_to_string(room.path("calls.log")).unwrap();
    Some(
        calls
            .lines()
            .filter(|line| line.starts_with("C_WrapKey "))
            .count(),
    )
}

#[test]
fn what_is_left_of_a_private_key_is_removed_as_one() {
    for (spec, kind) in [("ECC_NIST_P256", "privkey"), ("HMAC_256", "secrkey")] {
        let (Some(wraps), Some(mut room)) = (wraps_of_a_good_run(spec), Room::new(Kind::SoftHsm))
        else {
            return;
        };
        room.plan_spec(spec, None);
        room.behind_proxy(&format!("removed-after:C_WrapKey:{wraps}"))
            .unwrap();
        let removal = format!("--delete-object --type {kind} --id ");
        refused(
            &room.run(),
            3,
            &["1 object of this run may still be in the HSM", &removal],
        );
        room.without_proxy();
        room.write_plan();
        let record = format!("records/{}", room.beside()[0]);
        let doctor = ["doctor", "plan.toml", "--leftovers", &record];
        let listed = stdout(&room.byok(&doctor).output().unwrap());
        let of_key = listed
            .lines()
            .skip_while(|line| !line.contains(LABEL))
            .nth(1);
        assert!(of_key.unwrap().contains(&removal), "{listed}");
    }
}

#[test]
fn the_printed_package_of_the_longest_secret_that_fits_is_typed_back() {
    let Some(old) = dealt(Kind::SoftHsm, "HMAC_512", None, "extractable") else {
        return;
    };
    let mut new = recovery(&old, Kind::SoftHsm).unwrap();
    let fingerprint = escrow::fingerprint(&old.transcript("records/one"));
    new.plan.top_more = "reuse_escrow = \"a test\"\n".into();
    new.plan.key_more = format!("fingerprint = \"{fingerprint}\"\n");
    new.plan.more = new.plan.more.replace("\"record\"", "\"typed\"");
    let text = fs::read_to_string(old.path("records/one/package.txt")).unwrap();
    let rows = text.lines().filter(|line| line.contains("  check "));
    let rows: Vec<&str> = rows.map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(rows.len(), 9, "72 bytes");
    new.write_plan();
    let mut screen = Screen::start(new.byok(&["run", "plan.toml"]));
    screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    screen.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
    for (at, row) in rows.iter().enumerate() {
        let question = format!("Row {}, 16 hex digits and the 4 of its check: ", at + 1);
        screen.answer(&question, row);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    assert!(
        new.openssl_opens(&wrapped("records/one")) == old.openssl_opens(&wrapped("records/one"))
    );

    for (spec, bits, fingerprint) in [("HMAC_512", Some(520), 64), ("ECC_NIST_P256", None, 32)] {
        new.plan_spec(spec, bits);
        new.plan.key_more += &format!("fingerprint = \"{}\"\n", "ab".repeat(fingerprint));
        let refusal = new.check();
        refused(&refusal, 2, &["too long", "escrow-package.json"]);
    }
}

#[test]
fn forms_and_the_package_page_have_places_for_what_there_is() {
    for (spec, bits, boxes, says, never) in [
        (
            "SYMMETRIC_DEFAULT",
            None,
            8,
            &["KCV", "The package by hand"][..],
            &["SHA-256 of escrow-package.json"][..],
        ),
        (
            "HMAC_224",
            Some(256),
            7,
            &["256 bits", "The package by hand", "40 bytes"],
            &["KCV", "SHA-256 of escrow-package.json"],
        ),
        (
            "HMAC_512",
            None,
            16,
            &["512 bits", "72 bytes, as in package.txt"],
            &["KCV"],
        ),
        (
            "HMAC_384",
            Some(1024),
            12,
            &["1024 bits", "SHA-256 of escrow-package.json"],
            &["KCV", "The package by hand"],
        ),
        (
            "ECC_NIST_P384",
            None,
            8,
            &["SHA-256 of escrow-package.json"],
            &["KCV", "The package by hand"],
        ),
    ] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        room.plan_spec(spec, bits);
        room.plan.more = table(2, 3, "screen");
        room.write_plan();
        let made = room
            .byok(&["script", "plan.toml", "--out", "script.html"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", stderr(&made));
        let html = fs::read_to_string(room.path("script.html")).unwrap();
        let form = html.split("Share 1 of 3: Security").nth(1).unwrap();
        let form = form.split("Share 2 of 3").next().unwrap();
        for text in says {
            assert!(form.contains(text), "{spec}: {text} is not in {form}");
        }
        for text in never {
            assert!(!form.contains(text), "{spec}: {text} is in {form}");
        }
        let places = form.split("<div>fingerprint</div>").nth(1).unwrap();
        let places = places.split("class=\"arn\"").next().unwrap();
        assert_eq!(
            places.matches("class=\"boxes\"").count(),
            boxes,
            "{spec}: {places}"
        );
    }
    let Some(room) = dealt(Kind::SoftHsm, "ECC_NIST_P256", None, "extractable") else {
        return;
    };
    let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
    let page = report.split("<h1>Escrow package</h1>").nth(1).unwrap();
    assert!(
        page.contains("too long to be typed: bring escrow-package.json"),
        "{page}"
    );
    let package = fs::read(room.path("records/one/escrow-package.json")).unwrap();
    assert!(page.contains(&support::sha256(&package)), "{page}");
    assert!(!page.contains("row 1 ") && !report.contains("<td>KCV</td>"));
    let text = fs::read_to_string(room.path("records/one/package.txt")).unwrap();
    assert!(text.contains("row 1   "), "{text}");
}

/// A shell at the record of a key pair, or anywhere.
fn bash(room: &Room, commands: &str) -> Vec<String> {
    let directory = room.path("records/one/payments-2026");
    let mut command = std::process::Command::new("bash");
    let output = command
        .args(["-ec", commands])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

#[test]
fn the_commands_of_the_page_on_check_values_make_its_numbers() {
    let page = include_str!("../../docs/check-values.md");
    let blocks: Vec<&str> = page
        .split("\n```sh\n")
        .skip(1)
        .map(|rest| rest.split("\n```\n").next().unwrap())
        .collect();
    let Some(room) = made(Kind::SoftHsm, "ECC_NIST_P256") else {
        return;
    };
    let material = room.openssl_opens(&wrapped("records/one"));
    fs::write(
        room.path("records/one/payments-2026/private-key.der"),
        material,
    )
    .unwrap();
    let transcript = room.transcript("records/one");
    let fingerprint = transcript.event("key-generated")["fingerprint"]
        .as_str()
        .unwrap();
    for block in &blocks[..4] {
        for number in bash(&room, block) {
            let stands =
                page.contains(&format!("`{number}`")) || page.contains(&format!("= {number}\n"));
            assert!(stands, "{number} of {block}");
        }
    }
    assert_eq!(bash(&room, blocks[4]), [fingerprint; 3]);
    for bits in [224_u16, 256, 384, 512] {
        let key: Vec<u8> = (0..bits / 8).map(|n| n as u8).collect();
        let number = support::openssl_hmac_fingerprint(&format!("HMAC_{bits}"), &key);
        assert!(
            page.contains(&format!("| `HMAC_{bits}` | `{number}` |")),
            "{number}"
        );
    }
}
