//! Material that was there before the ceremony: keys of the HSM token, and files that hold one in clear. Real
//! tokens of both HSMs; openssl makes the files and opens what was wrapped.

use crate::support;

use std::fs;

use support::{
    Kind, LABEL, Room, is_private, openssl, openssl_check_values, openssl_hmac_fingerprint,
    refused, sha256, stderr, stdout, unhex,
};

const REASON: &str = "reason = \"the vendor of the old system gave it as a file\"\n";
const ID: &str = "0badcafe";

/// What a data key of this spec is wrapped with here: where an HSM cannot, in this computer.
fn room(kind: Kind, spec: &str) -> Option<Room> {
    let mut room = Room::new(kind)?;
    let private = is_private(spec);
    room.plan_spec(spec, None);
    room.plan.wrapping = support::SHA_1.into();
    if room.plan.elsewhere.is_some() {
        room.plan.wrapping = "RSA_AES_KEY_WRAP_SHA_1".into();
    }
    if private {
        room.plan.wrapping = "RSA_AES_KEY_WRAP_SHA_1".into();
        if kind == Kind::SoftHsm || spec.starts_with("ECC_") || spec == "ED25519" {
            room.plan.wrap_in = "host".into();
        }
    }
    Some(room)
}

fn specs(kind: Kind) -> Vec<&'static str> {
    let mut specs = vec![
        "SYMMETRIC_DEFAULT",
        "AES_192",
        "HMAC_224",
        "HMAC_256",
        "HMAC_512",
        "ECC_NIST_P256",
        "ECC_NIST_P384",
        "ECC_NIST_P521",
        "RSA_2048",
        "RSA_3072",
    ];
    specs.push(match kind {
        Kind::SoftHsm => "ECC_SECG_P256K1", // kryoptic does not know it
        Kind::Kryoptic => "ED25519",        // SoftHSM does not wrap it
    });
    specs
}

/// What openssl makes of this spec: raw bytes, or PKCS#8 DER.
fn material(spec: &str) -> Vec<u8> {
    let random = |len: &str| openssl(&["rand", len], &[]);
    let key = |args: &[&str]| {
        let pem = openssl(&[&["genpkey", "-quiet"][..], args].concat(), &[]);
        openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem)
    };
    let curve = |name: &str| {
        let curve = format!("ec_paramgen_curve:{name}");
        key(&["-algorithm", "EC", "-pkeyopt", &curve])
    };
    match spec {
        "SYMMETRIC_DEFAULT" | "HMAC_256" => random("32"),
        "AES_192" => random("24"),
        "ED25519" => key(&["-algorithm", "ED25519"]),
        "HMAC_224" => random("28"),
        "HMAC_512" => random("64"),
        "ECC_NIST_P256" => curve("P-256"),
        "ECC_NIST_P384" => curve("P-384"),
        "ECC_NIST_P521" => curve("P-521"),
        "ECC_SECG_P256K1" => curve("secp256k1"),
        rsa => {
            let bits = format!("rsa_keygen_bits:{}", rsa.trim_start_matches("RSA_"));
            key(&["-algorithm", "RSA", "-pkeyopt", &bits])
        }
    }
}

fn fingerprint(spec: &str, material: &[u8]) -> String {
    match spec {
        "SYMMETRIC_DEFAULT" | "AES_192" => openssl_check_values(material).1,
        _ if spec.starts_with("HMAC_") => openssl_hmac_fingerprint(spec, material),
        _ => sha256(&public_key(material)),
    }
}

fn public_key(pkcs8: &[u8]) -> Vec<u8> {
    openssl(
        &["pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
        pkcs8,
    )
}

/// The key in the token: `test-token have` knows it by this.
fn in_token(spec: &str) -> String {
    match spec {
        "SYMMETRIC_DEFAULT" => "aes:32".into(),
        "AES_192" => "aes:24".into(),
        "ED25519" => "edwards:130c656477617264733235353139".into(), // by its name
        "HMAC_224" => "generic:28".into(),
        "HMAC_256" => "generic:32".into(),
        "HMAC_512" => "generic:64".into(),
        "ECC_NIST_P256" => "ec:06082a8648ce3d030107".into(),
        "ECC_NIST_P384" => "ec:06052b81040022".into(),
        "ECC_NIST_P521" => "ec:06052b81040023".into(),
        "ECC_SECG_P256K1" => "ec:06052b8104000a".into(),
        rsa => rsa.replace("RSA_", "rsa:"),
    }
}

fn have(room: &Room, name: &str, kind: &str, extractable: bool) -> String {
    let extractable = if extractable { "yes" } else { "no" };
    let told = room.token(&[
        "have",
        "ceremony",
        support::PIN,
        name,
        ID,
        kind,
        extractable,
    ]);
    told.trim_end().to_owned()
}

fn wrapped(record: &str) -> String {
    format!("{record}/{LABEL}/eu-west-1/WrappedKeyMaterial.bin")
}

fn exceptions(transcript: &support::Transcript) -> String {
    let said: Vec<&str> = transcript
        .events("exception")
        .iter()
        .map(|event| event["what"].as_str().unwrap())
        .collect();
    said.join("\n")
}

/// 28 bytes that no public key holds, or all 24: of an EC key the beginning of its number, of others the end.
fn private_part(material: &[u8]) -> &[u8] {
    let number = [0x02, 1, 1, 0x04]; // RFC 5915: version 1, then the private key
    match material.windows(4).position(|window| window == number) {
        Some(at) if material.len() > 64 => &material[at + 5..at + 33],
        _ => &material[material.len().saturating_sub(28)..],
    }
}

/// Nothing below the room but the file itself holds these bytes, in any form that people write them in.
fn stands_nowhere(room: &Room, secret: &[u8], but: &str) {
    let secret = private_part(secret);
    let forms = [
        secret.to_vec(),
        support::hex(secret).into_bytes(),
        support::base64(secret).trim_end_matches('=').as_bytes()[..32].to_vec(),
        sha256(secret).into_bytes(),
    ];
    for (path, bytes) in support::tree(room.dir.path()) {
        let own = path.ends_with(but)
            || path.starts_with(room.path("tokens"))
            || path.ends_with("token.sql");
        let Some(bytes) = bytes.filter(|_| !own) else {
            continue;
        };
        for form in &forms {
            let there = bytes.windows(form.len()).any(|window| window == form);
            assert!(!there, "{} holds it", path.display());
        }
    }
}

#[test]
fn a_file_of_every_spec_becomes_a_data_key_that_kms_takes() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        for spec in specs(kind) {
            let Some(mut room) = room(kind, spec) else {
                continue;
            };
            let material = material(spec);
            fs::write(room.path("old.key"), &material).unwrap();
            room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
            let transcript = room.run_well();
            let opened = room.openssl_opens(&wrapped("records/one"));
            match is_private(spec) {
                true => assert_eq!(
                    public_key(&opened),
                    public_key(&material),
                    "{kind:?} {spec}"
                ),
                false => assert!(opened == material, "{kind:?} {spec}"),
            }
            let found = transcript.event("key-found");
            assert_eq!(found["source"], "file");
            assert_eq!(found["fingerprint"], fingerprint(spec, &material).as_str());
            assert_eq!(found["attributes"]["CKA_LOCAL"], false, "{found}");
            assert_eq!(found["cka_id"], transcript.event("key-intended")["cka_id"]);
            assert!(transcript.events("key-generated").is_empty());
            assert!(transcript.events("same-material").is_empty());
            let said = exceptions(&transcript);
            assert!(
                said.contains("came from a file, old.key: its bytes were in this computer"),
                "{said}"
            );
            assert!(said.contains("the vendor of the old system"), "{said}");
            assert_eq!(room.objects().len(), 1, "{:?}", room.objects());
            stands_nowhere(&room, &material, "old.key");
            let verified = support::verifiers::both(room.dir.path(), &["records/one"]);
            assert!(verified.status.success(), "{}", stderr(&verified));
        }
    }
}

#[test]
fn a_key_of_the_token_of_every_spec_is_wrapped_as_it_is_and_stays() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        for spec in specs(kind) {
            let Some(mut room) = room(kind, spec) else {
                continue;
            };
            let told = have(&room, LABEL, &in_token(spec), true);
            let before = room.objects();
            room.plan.key_more = "source = \"token\"\n".into();
            let transcript = room.run_well();
            let opened = room.openssl_opens(&wrapped("records/one"));
            if spec == "SYMMETRIC_DEFAULT" {
                let taken = room.token(&["take", "ceremony", support::PIN, LABEL]);
                assert_eq!(unhex(taken.trim_end()), opened);
            } else if is_private(spec) {
                let spki = support::hex(&public_key(&opened));
                let point = &told[told.len() - 64..]; // some modules put it into an OCTET STRING
                assert!(spki.contains(point), "{kind:?} {spec}: {told} {spki}");
            }
            let found = transcript.event("key-found");
            assert_eq!(found["source"], "token");
            assert_eq!(found["cka_id"], ID);
            assert_eq!(found["fingerprint"], fingerprint(spec, &opened).as_str());
            assert!(transcript.events("key-intended").is_empty());
            let said = exceptions(&transcript);
            assert!(
                said.contains("was in the HSM before this ceremony"),
                "{said}"
            );
            assert!(said.contains("CKA_MODIFIABLE is TRUE, not FALSE"), "{said}");
            assert_eq!(room.objects(), before, "{kind:?} {spec}");
            let verified = support::verifiers::both(room.dir.path(), &["records/one"]);
            assert!(verified.status.success(), "{}", stderr(&verified));
        }
    }
}

/// The report of a later ceremony tells what the record before it knows.
fn says_where_it_came_from(room: &Room, record: &str, source: &str) {
    let report = fs::read_to_string(room.path(&format!("{record}/transcript.html"))).unwrap();
    let report = report.replace('\n', " ");
    let (told, origin) = match source.contains("token") {
        true => (
            "<p>These data keys were in an HSM before their first ceremony; ",
            "it was in an HSM before its first ceremony",
        ),
        false => (
            "<p>In an earlier ceremony these data keys came from files, ",
            "it came from a file in an earlier ceremony",
        ),
    };
    let tile = "class=\"applies\">a data key came from elsewhere: <b>YES</b>";
    let holders = "<b>any 2 of 3 shares</b>"; // which the record before dealt
    for text in [told, origin, tile, holders] {
        assert!(report.contains(text), "{record}: {text}: {report}");
    }
}

/// The life after a first import is that of any data key.
#[test]
fn what_came_from_token_or_file_is_reimported_recovered_and_destroyed_like_any_other() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        for (source, hsm_label) in [
            (format!("source = \"file:old.key\"\n{REASON}"), LABEL),
            ("source = \"token\"\n".into(), LABEL),
            (
                format!("source = \"token:id={ID}\"\n"),
                "the old system's key",
            ),
        ] {
            let Some(mut room) = room(kind, "SYMMETRIC_DEFAULT") else {
                continue;
            };
            if source.contains("token") {
                have(&room, hsm_label, "aes:32", true);
            } else {
                fs::write(room.path("old.key"), material("SYMMETRIC_DEFAULT")).unwrap();
            }
            room.plan.key_more = source.clone();
            let first = room.run_with_escrow(2, &["A", "B", "C"]);
            if hsm_label != LABEL {
                assert_eq!(first.event("key-found")["label_in_hsm"], hsm_label);
            }
            let material = room.openssl_opens(&wrapped("records/one"));
            room.plan.key_more = String::new();
            room.plan.top_more = support::escrow::builds_on(&room, "records/one");
            room.plan.more = String::new();
            room.plan.kind = "reimport".into();
            room.plan.directory = "records/two".into();
            let output = room.run();
            assert!(output.status.success(), "{source}: {}", stderr(&output));
            assert_eq!(room.openssl_opens(&wrapped("records/two")), material);
            says_where_it_came_from(&room, "records/two", &source);

            room.plan.kind = "recover".into();
            room.plan.directory = "records/three".into();
            room.plan.top_more += "reuse_escrow = \"a test\"\n";
            room.plan.more = "[recover]\nshares = \"files:shares\"\npackage = \"record\"\n".into();
            let output = room.run();
            assert!(output.status.success(), "{source}: {}", stderr(&output));
            assert_eq!(room.openssl_opens(&wrapped("records/three")), material);
            says_where_it_came_from(&room, "records/three", &source);

            let objects = room.objects();
            room.plan.kind = "destroy".into();
            room.plan.directory = "records/four".into();
            room.plan.imported = false;
            room.plan.top_more =
                support::escrow::builds_on(&room, "records/one") + "reason = \"its end\"\n";
            room.plan.more = String::new();
            let output = room.run();
            assert!(output.status.success(), "{source}: {}", stderr(&output));
            assert_eq!(room.objects().len() + 1, objects.len(), "{objects:?}");
        }
    }
}

#[test]
fn a_file_with_escrow_is_sealed_or_not_kept_as_the_plan_says() {
    for (keep, left) in [("sealed", 1), ("none", 0)] {
        let Some(mut room) = room(Kind::SoftHsm, "ECC_NIST_P256") else {
            return;
        };
        let material = material("ECC_NIST_P256");
        fs::write(room.path("old.key"), &material).unwrap();
        room.plan.keep = keep.into();
        room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
        let transcript = room.run_with_escrow(2, &["A", "B"]);
        assert_eq!(transcript.events("key-sealed").len(), left);
        assert_eq!(room.objects().len(), left, "{:?}", room.objects());
        assert_eq!(
            public_key(&room.openssl_opens(&wrapped("records/one"))),
            public_key(&material)
        );
    }
}

#[test]
fn pem_is_taken_and_every_other_form_of_a_private_key_is_refused_by_name() {
    let Some(mut room) = room(Kind::SoftHsm, "ECC_NIST_P256") else {
        return;
    };
    let der = material("ECC_NIST_P256");
    let pem = openssl(&["pkey", "-inform", "DER"], &der);
    let encrypt = ["-topk8", "-inform", "DER", "-passout", "pass:abcd"];
    let encrypted = |form: &str| {
        openssl(
            &[&["pkcs8"][..], &encrypt, &["-outform", form]].concat(),
            &der,
        )
    };
    let traditional = |form: &str| openssl(&["ec", "-inform", "DER", "-outform", form], &der);
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
    for (bytes, says) in [
        (encrypted("PEM"), "it is encrypted"),
        (encrypted("DER"), "it is encrypted"),
        (traditional("PEM"), "traditional form"),
        (traditional("DER"), "traditional form"),
        (public_key(&der), "a public key or a certificate"),
        ([&pem[..], &pem].concat(), "more than one private key"),
        (
            material("ECC_NIST_P384"),
            "not a private key for ECC_NIST_P256",
        ),
        (material("RSA_2048"), "not a private key for ECC_NIST_P256"),
        ([&der[..], b"x"].concat(), "something follows"),
        (vec![b'x'; 100], "not a PKCS#8 structure"),
    ] {
        fs::write(room.path("old.key"), &bytes).unwrap();
        let _ = fs::remove_dir_all(room.path("records"));
        let output = room.run();
        refused(
            &output,
            2,
            &[says, "[SOURCE]", "openssl pkcs8 -topk8 -nocrypt"],
        );
        assert!(room.objects().is_empty());
        let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert_eq!(checked.status.code(), Some(2), "{}", stdout(&checked));
        assert!(stdout(&checked).contains(says), "{}", stdout(&checked));
        stands_nowhere(&room, &bytes, "old.key");
    }
    let _ = fs::remove_dir_all(room.path("records"));
    fs::write(
        room.path("old.key"),
        [b"Bag Attributes\n".as_slice(), &pem].concat(),
    )
    .unwrap();
    room.run_well();
    assert_eq!(
        public_key(&room.openssl_opens(&wrapped("records/one"))),
        public_key(&der)
    );
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len();
    let head = match len {
        0..0x80 => vec![tag, len as u8],
        0x80..0x100 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [&head[..], value].concat()
}

/// A PKCS#8 on P-256 put together anew: its version, its private value, and what follows the private key.
fn p256_as(der: &[u8], version: u8, value: &[u8], behind: &[u8]) -> Vec<u8> {
    assert_eq!(der.len(), 138); // as openssl writes it
    let (algorithm, public) = (&der[6..27], &der[68..]);
    let inner = tlv(0x30, &[&[2, 1, 1], &tlv(4, value)[..], public].concat());
    let body = [&[2, 1, version], algorithm, &tlv(4, &inner), behind];
    tlv(0x30, &body.concat())
}

/// The command of a refusal, run with another name for what it makes.
fn way_out(room: &Room, said: &str) {
    let hint = "on an offline machine, to a disk in memory: ";
    let (_, command) = said.split_once(hint).unwrap_or_else(|| panic!("{said}"));
    let command = command.lines().next().unwrap();
    assert!(command.contains("/dev/shm/NEW.p8"), "{command}");
    let command = command.replace("/dev/shm/NEW.p8", "new.p8");
    let output = std::process::Command::new("sh")
        .args(["-e", "-c", &command])
        .current_dir(room.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", stderr(&output));
}

/// What other programs write beside PKCS#8 of version 1 by its curve's name. KMS would refuse it after the ceremony.
#[test]
fn each_odd_form_of_a_private_key_is_called_by_its_name_and_its_command_makes_it_right() {
    let Some(mut room) = room(Kind::SoftHsm, "ECC_NIST_P256") else {
        return;
    };
    let mut der = material("ECC_NIST_P256");
    while der[36] != 0 {
        der = material("ECC_NIST_P256");
    }
    let pem = |der: &[u8]| {
        let body = support::base64(der);
        let lines: Vec<&str> = (0..body.len())
            .step_by(64)
            .map(|at| &body[at..body.len().min(at + 64)])
            .collect();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        )
    };
    let explicit = {
        let old = openssl(
            &["pkey", "-inform", "DER", "-ec_param_enc", "explicit"],
            &der,
        );
        openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &old)
    };
    let value = der[36..68].to_vec();
    let public = tlv(0x81, &[&[0][..], &der[der.len() - 65..]].concat());
    let longer = p256_as(&der, 0, &[&[0], &value[..]].concat(), &[]);
    let shorter = p256_as(&der, 0, &value[1..], &[]);
    let second = p256_as(&der, 1, &value, &public);
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
        text.encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let text = pem(&der);
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
    for (bytes, says) in [
        (explicit.clone(), "explicit parameters"),
        (pem(&explicit).into_bytes(), "explicit parameters"),
        (longer.clone(), "has 33 bytes, not 32"),
        (pem(&longer).into_bytes(), "has 33 bytes, not 32"),
        (shorter.clone(), "has 31 bytes, not 32"),
        (pem(&shorter).into_bytes(), "has 31 bytes, not 32"),
        (second.clone(), "RFC 5958"),
        (pem(&second).into_bytes(), "RFC 5958"),
        (p256_as(&der, 1, &value, &[]), "RFC 5958"),
        (p256_as(&der, 0, &value, &public), "RFC 5958"),
        (format!("\u{feff}{text}").into_bytes(), "a byte order mark"),
        (
            [&b"\xff\xfe"[..], &wide(&text, u16::to_le_bytes)].concat(),
            "UTF-16",
        ),
        (wide(&text, u16::to_le_bytes), "UTF-16"),
        (wide(&text, u16::to_be_bytes), "UTF-16"),
        (text.replace('\n', "").into_bytes(), "all on one line"),
        (text.replace('\n', " ").into_bytes(), "all on one line"),
        (text.replace('\n', "\\n").into_bytes(), "all on one line"),
        (text.replace('\n', "\r").into_bytes(), "all on one line"),
    ] {
        let _ = fs::remove_file(room.path("new.p8"));
        fs::write(room.path("old.key"), &bytes).unwrap();
        room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
        room.write_plan();
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        let said = stdout(&check);
        assert_eq!(check.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{says}: {said}");
        let output = room.run();
        refused(&output, 2, &[says, "[SOURCE]"]);
        assert!(room.objects().is_empty());
        stands_nowhere(&room, &bytes, "old.key");
        fs::remove_dir_all(room.path("records")).unwrap();

        way_out(&room, &stderr(&output));
        room.plan.key_more = format!("source = \"file:new.p8\"\n{REASON}");
        room.write_plan();
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        let said = stdout(&check);
        assert!(
            said.contains("new.p8 holds one of ECC_NIST_P256"),
            "{says}: {said}"
        );
    }
    room.run_well();
    let opened = room.openssl_opens(&wrapped("records/one"));
    assert_eq!(public_key(&opened), public_key(&der));
}

/// A file of the right length that no generator drew is taken, for it is what it is, and never without a word.
#[test]
fn material_that_does_not_look_random_is_told_in_check_and_in_the_record() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
    let from = |args: &[&str]| openssl(args, &[]).trim_ascii().to_vec();
    let count: Vec<u8> = (0..32).collect();
    let half = openssl(&["rand", "16"], &[]);
    for (number, (bytes, says)) in [
        (
            from(&["rand", "-hex", "16"]),
            "it is hex text, which holds at most 128 bits",
        ),
        (
            from(&["rand", "-base64", "24"]),
            "it is base64 text, which holds at most 192 bits",
        ),
        (
            b"correct horse battery staple 123".to_vec(),
            "it is printable text",
        ),
        (vec![0xf5; 32], "all its bytes are the same"),
        (count, "its bytes count up or down"),
        (half.repeat(2), "it repeats a block of 16 bytes"),
        ([&[0; 16][..], &half].concat(), "equal bytes in a row"),
    ]
    .into_iter()
    .enumerate()
    {
        room.plan.label = format!("doubted-{number}");
        fs::write(room.path("old.key"), &bytes).unwrap();
        room.write_plan();
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        let said = stdout(&check);
        assert!(check.status.success(), "{said}");
        let warned = said
            .lines()
            .find(|line| line.contains("does not look random"));
        assert!(
            warned.is_some_and(|line| line.starts_with("WARNING")),
            "{said}"
        );
        assert!(said.contains(says), "{said}");
        let transcript = room.run_well();
        let told = exceptions(&transcript);
        assert!(
            told.contains("does not look random") && told.contains(says),
            "{told}"
        );
        stands_nowhere(&room, &bytes, "old.key");
        fs::remove_dir_all(room.path("records")).unwrap();
    }
    fs::write(room.path("old.key"), material("SYMMETRIC_DEFAULT")).unwrap();
    room.plan.label = LABEL.into();
    room.write_plan();
    let check = room.byok(&["check", "plan.toml"]).output().unwrap();
    assert!(
        !stdout(&check).contains("look random"),
        "{}",
        stdout(&check)
    );
    let told = exceptions(&room.run_well());
    assert!(!told.contains("look random"), "{told}");
}

#[test]
fn a_file_that_cannot_be_the_material_is_refused_before_anything_is_made() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
    refused(
        &room.run(),
        2,
        &["the material in old.key: No such file", "[SOURCE]"],
    );
    fs::write(room.path("old.key"), [9; 33]).unwrap();
    refused(
        &room.run(),
        2,
        &[
            "it has 33 bytes, and SYMMETRIC_DEFAULT has 32",
            "no line feed at the end",
        ],
    );
    fs::remove_file(room.path("old.key")).unwrap();
    fs::create_dir(room.path("old.key")).unwrap();
    refused(&room.run(), 2, &["it is not a regular file"]);
    assert!(room.beside().is_empty(), "{:?}", room.beside());
    // Inside the record, by its own name and by a link that leads there.
    fs::create_dir_all(room.path("records/one.incomplete")).unwrap();
    fs::write(room.path("records/one.incomplete/k"), [9; 32]).unwrap();
    std::os::unix::fs::symlink("records", room.path("other")).unwrap();
    for path in ["records/one/k", "other/one.incomplete/k"] {
        room.plan.key_more = format!("source = \"file:{path}\"\n{REASON}");
        refused(&room.run(), 2, &["inside the record"]);
    }
    assert!(room.objects().is_empty());
}

#[test]
fn what_a_plan_says_beside_a_source_must_fit_it() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    for (more, says) in [
        ("source = \"file:k\"\n", "needs reason"),
        (
            "source = \"token\"\nreason = \"x\"\n",
            "reason in [[key]] belongs to source",
        ),
        ("reason = \"x\"\n", "reason in [[key]] belongs to source"),
        (
            "source = \"file:\"\nreason = \"x\"\n",
            "source must be hsm, token",
        ),
        ("source = \"DEADBEEF\"\n", "source must be hsm, token"),
        ("source = \"token:id=0\"\n", "source must be hsm, token"),
        (
            "source = \"file:records/one/k\"\nreason = \"x\"\n",
            "inside the record",
        ),
        (
            "fingerprint = \"c4037329a06992dfb163791b2bb4dc093890e9e3b0e4465179fdeafb9f1238ee\"\n",
            "builds on no record",
        ),
    ] {
        room.plan.key_more = more.into();
        let output = room.run();
        refused(&output, 2, &[says]);
        assert!(!stderr(&output).contains("DEADBEEF"));
    }
    for keep in ["sealed", "none"] {
        room.plan.keep = keep.into();
        room.plan.key_more = "source = \"token\"\n".into();
        room.plan.more = support::escrow::table(2, 2, "files:shares");
        refused(
            &room.run(),
            2,
            &[
                "is not possible with source = \"token\"",
                "neither seals nor destroys",
            ],
        );
    }
    for kind in ["reimport", "recover", "destroy"] {
        room.plan.kind = kind.into();
        refused(
            &room.run(),
            2,
            &["source and reason belong to kind = \"generate\""],
        );
    }
}

#[test]
fn a_key_of_the_token_that_is_not_what_the_plan_says_is_refused_and_left_alone() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        for (label, of_kind, extractable, says) in [
            ("another", "aes:32", true, "holds no secret key labelled"),
            (LABEL, "aes:32", false, "CKA_EXTRACTABLE is FALSE"),
            (LABEL, "aes:16", true, "16 bytes, not 32"),
            (
                LABEL,
                "generic:32",
                true,
                "its key type is CKK_GENERIC_SECRET",
            ),
            (
                LABEL,
                "ec:06082a8648ce3d030107",
                true,
                "holds no secret key labelled",
            ),
        ] {
            let Some(mut room) = Room::new(kind) else {
                continue;
            };
            have(&room, label, of_kind, extractable);
            let before = room.objects();
            room.plan.key_more = "source = \"token\"\n".into();
            let output = room.run();
            refused(&output, 3, &["step 4 of 13", says, "[SOURCE]", "hint:"]);
            assert_eq!(room.objects(), before);
            let checked = room
                .byok(&["check", "--hsm", "plan.toml"])
                .output()
                .unwrap();
            assert_eq!(checked.status.code(), Some(3), "{}", stdout(&checked));
            assert!(stdout(&checked).contains(says), "{}", stdout(&checked));
        }
    }
}

#[test]
fn of_two_keys_of_one_label_none_is_guessed_and_the_id_decides() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    have(&room, LABEL, "aes:32", true);
    room.token(&["plant", "ceremony", support::PIN, LABEL, "77"]);
    room.plan.key_more = "source = \"token\"\n".into();
    refused(
        &room.run(),
        3,
        &[
            "2 keys in the token match",
            "source = \"token:id=HEX\"",
            ID,
            "there is CKA_ID 77",
        ],
    );
    let _ = fs::remove_dir_all(room.path("records"));
    room.plan.key_more = "source = \"token:id=77\"\n".into();
    let transcript = room.run_well();
    assert_eq!(transcript.event("key-found")["cka_id"], "77");
    assert_eq!(room.objects().len(), 2);
}

#[test]
fn a_fingerprint_in_the_plan_decides_what_the_material_must_be() {
    let wrong = "c4037329a06992dfb163791b2bb4dc093890e9e3b0e4465179fdeafb9f1238ee";
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let material = material("SYMMETRIC_DEFAULT");
    fs::write(room.path("old.key"), &material).unwrap();
    have(&room, "old", "aes:32", true);
    for source in [
        format!("source = \"file:old.key\"\n{REASON}"),
        format!("source = \"token:id={ID}\"\n"),
    ] {
        let _ = fs::remove_dir_all(room.path("records"));
        room.plan.key_more = format!("{source}fingerprint = \"{wrong}\"\n");
        let before = room.objects();
        refused(
            &room.run(),
            4,
            &["this is not the material of the plan", "[SAME-MATERIAL]"],
        );
        assert_eq!(room.objects(), before);
    }
    let _ = fs::remove_dir_all(room.path("records"));
    let right = fingerprint("SYMMETRIC_DEFAULT", &material);
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}fingerprint = \"{right}\"\n");
    let transcript = room.run_well();
    let same = transcript.event("same-material");
    assert_eq!(same["anchor"], "fingerprint in the plan");
    assert_eq!(same["fingerprint"], right.as_str());
}

/// An abort takes back what it brought in, and nothing that was there before.
#[test]
fn an_aborted_ceremony_destroys_what_came_from_a_file_and_leaves_the_token_s_key() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(room.path("old.key"), material("SYMMETRIC_DEFAULT")).unwrap();
    have(&room, "theirs", "aes:32", true);
    let before = room.objects();
    let arn = support::ARN.replace("1234abcd", "5678abcd");
    fs::write(
        room.path("inputs/two.json"),
        room.kms.parameters(&arn, support::now() + 86_000),
    )
    .unwrap();
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
    // The second data key has too little: a directory for shares that is taken away beneath the run.
    room.plan.more = format!(
        "[[key]]\nlabel = \"theirs\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\nsource = \"token\"\n\
         fingerprint = \"{}\"\n[[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{arn}\"\nparameters = \"inputs/two.json\"\n\
         wrapping = \"{}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
        "00".repeat(32),
        room.plan.wrapping,
        room.kms.sha256()
    );
    refused(
        &room.run(),
        4,
        &[
            "step 7 of 13",
            "this is not the material of the plan",
            "the one it made was destroyed",
        ],
    );
    assert_eq!(room.objects(), before);
    let aborted = room.aborted();
    assert_eq!(aborted.destroyed(LABEL)["objects"], 1);
    assert!(
        aborted
            .events("key-destroyed")
            .iter()
            .all(|event| event["label"] != "theirs")
    );
    assert!(room.path("old.key").exists());
}

/// Whoever can write beside the record cannot aim a trace at the key that a plan takes from.
#[test]
fn the_traces_of_a_run_that_never_was_do_not_destroy_the_token_s_key() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let id = "00112233445566778899aabbccddeeff";
    room.token(&["plant", "ceremony", support::PIN, LABEL, id]);
    let before = room.objects();
    let planted = room.path("records/one.incomplete");
    fs::create_dir_all(&planted).unwrap();
    let first = format!(
        "{{\"seq\":1,\"at\":\"2026-01-01T00:00:00Z\",\"prev\":\"{}\",\"event\":\"ceremony-opened\",\"format\":\"byok-transcript-v1\",\"ceremony\":\"{id}\"}}",
        "0".repeat(64)
    );
    let second = format!(
        "{{\"seq\":2,\"at\":\"2026-01-01T00:00:00Z\",\"prev\":\"{}\",\"event\":\"key-intended\",\"label\":\"{LABEL}\",\"spec\":\"SYMMETRIC_DEFAULT\",\"cka_id\":\"{id}\"}}",
        sha256(first.as_bytes())
    );
    fs::write(
        planted.join("transcript.jsonl"),
        format!("{first}\n{second}\n"),
    )
    .unwrap();
    room.plan.key_more = "source = \"token\"\n".into();
    let transcript = room.run_well();
    assert!(transcript.events("key-destroyed").is_empty());
    assert_eq!(room.objects(), before);
}

#[test]
fn people_are_told_where_it_comes_from_and_that_the_file_is_theirs_to_remove() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(room.path("old.key"), material("SYMMETRIC_DEFAULT")).unwrap();
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
    room.write_plan();
    let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
    assert!(checked.status.success(), "{}", stdout(&checked));
    assert!(
        stdout(&checked).contains("byok never deletes that file"),
        "{}",
        stdout(&checked)
    );
    let output = room.byok(&["script", "plan.toml"]).output().unwrap();
    let script = stdout(&output);
    assert!(
        script.contains("from a FILE, THROUGH THIS COMPUTER")
            && script.contains("<td>from<td><code>old.key</code>"),
        "{}",
        stderr(&output)
    );
    assert!(script.contains("a data key in clear, which byok never deletes"));
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert!(
        said.contains(" REMOVE this and every copy: a data key in clear, which byok never deletes:\n     ../old.key\n"),
        "{said}"
    );
    assert!(room.path("old.key").exists());
    let readme = fs::read_to_string(room.path("records/one/README.txt")).unwrap();
    assert!(
        readme.contains("came from a file, old.key") && readme.contains("byok never deletes it"),
        "{readme}"
    );
    let next = room
        .byok(&["verify", "--next", "records/one"])
        .output()
        .unwrap();
    assert!(
        stdout(&next).contains(" REMOVE this and every copy")
            && stdout(&next).contains("     ../old.key\n"),
        "{}",
        stdout(&next)
    );
    let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
    assert!(report.contains("these data keys came from files"));
}

#[test]
fn material_longer_than_its_wrapping_key_takes_is_refused_by_byok_before_anything_is_made() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        room.plan.spec = "ECC_NIST_P521".into();
        room.plan.wrap_in = "host".into();
        let says = [
            "the material of ECC_NIST_P521 is too long for RSA_2048",
            "RSA_3072",
        ];
        refused(
            &room.run(),
            2,
            &[says[0], says[1], "step 5 of 13", "[WRAPPING-KEY-FITS]"],
        );
        assert!(room.objects().is_empty());
        let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert_eq!(checked.status.code(), Some(2));
        assert!(stdout(&checked).contains(says[0]), "{}", stdout(&checked));
    }
}

/// As FIPS mode wants it: then the way in is a key pair of the HSM.
#[test]
fn where_secrets_cannot_be_created_files_come_in_under_a_key_pair_of_the_hsm() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        for spec in ["SYMMETRIC_DEFAULT", "HMAC_512", "ECC_NIST_P256"] {
            let Some(mut room) = room(kind, spec) else {
                continue;
            };
            if room.behind_proxy("refuse-create-secret").is_none() {
                return;
            }
            let material = material(spec);
            fs::write(room.path("old.key"), &material).unwrap();
            room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
            let transcript = room.run_well();
            let found = transcript.event("key-found");
            assert_eq!(found["fingerprint"], fingerprint(spec, &material).as_str());
        }
    }
}

/// Whichever call fails on the way in, nothing is left in the token and nothing of the file on the disk.
#[test]
fn a_file_that_the_hsm_does_not_take_leaves_nothing() {
    for (spec, function) in [
        ("SYMMETRIC_DEFAULT", "C_CreateObject"),
        ("ECC_NIST_P256", "C_UnwrapKey"),
        ("ECC_NIST_P256", "C_SignInit"),
    ] {
        let Some(mut room) = room(Kind::SoftHsm, spec) else {
            return;
        };
        let material = material(spec);
        fs::write(room.path("old.key"), &material).unwrap();
        room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
        let mut ends = Vec::new();
        for number in 1..=10 {
            let rule = format!("fail:{function}:{number}:CKR_DEVICE_ERROR");
            if room.behind_proxy(&rule).is_none() {
                return;
            }
            let output = room.run();
            stands_nowhere(&room, &material, "old.key");
            ends.push(output.status.code().unwrap());
            if output.status.success() {
                room.token(&["destroy", "ceremony", support::PIN, LABEL]);
            }
            assert!(room.objects().is_empty(), "{rule}: {:?}", room.objects());
            let _ = fs::remove_dir_all(room.path("records"));
        }
        // a row that fails may be followed by one that does not
        assert!(
            ends.contains(&3) && ends.iter().all(|end| [0, 3].contains(end)),
            "{function}: {ends:?}"
        );
    }
}

#[test]
fn an_hsm_that_says_a_file_s_key_was_made_in_it_is_refused() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(room.path("old.key"), material("SYMMETRIC_DEFAULT")).unwrap();
    room.plan.key_more = format!("source = \"file:old.key\"\n{REASON}");
    if room.behind_proxy("lie:CKA_LOCAL=true").is_none() {
        return;
    }
    let says = [
        "step 6 of 13",
        "CKA_LOCAL is TRUE, not FALSE",
        "[ATTRIBUTES]",
    ];
    refused(&room.run(), 3, &says);
    assert!(room.aborted().events("key-intended").is_empty());
    assert!(room.objects().is_empty());
}
