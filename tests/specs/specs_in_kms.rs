//! Every importable key spec under every wrapping algorithm and wrapping key that KMS takes for it, made on both
//! HSMs, imported by the record's own scripts with the real AWS CLI into a KMS that really unwraps, and proved byte
//! for byte to be there: by the KMS's id of symmetric material, by GenerateMac, by GetPublicKey.

use crate::kms_on_loopback;
use crate::support;

use std::fs;
use std::process::Command;

use kms_on_loopback::{LoopbackKms, key_material_id_of, usages};
use serde_json::{Value, json};
use support::specs::{Import, combinations, elsewhere, in_hsm};
use support::{Kind, LABEL, PIN, Room, base64, sha256, skip, stderr, stdout, unhex, verifiers};

const ONE: &str = "records/one";
const TEXT: &str = "byok-ceremony material fingerprint v1";

/// An import, and the KMS key that it is for.
struct Wanted {
    name: String,
    arn: String,
}

/// A KMS key of its own for each combination, its import parameters, and the plan for all of them.
fn plan_for_all(kms: &LoopbackKms, room: &mut Room, spec: &str) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (at, (wrapping, bits)) in combinations(spec).into_iter().enumerate() {
        let name = format!("{wrapping}-{bits}");
        let usages = usages(spec);
        let arn = kms.external_key_for(spec, usages[at % usages.len()]);
        let file = format!("inputs/{name}.json");
        let asked = json!({"KeyId": arn, "WrappingAlgorithm": wrapping, "WrappingKeySpec": format!("RSA_{bits}")});
        let told = kms.ask("GetParametersForImport", &asked);
        fs::write(room.path(&file), told.to_string()).unwrap();
        let import = Import {
            name: &name,
            elsewhere: None,
            arn: &arn,
            file: &file,
            wrapping,
            in_hsm: in_hsm(room.kind, spec, wrapping),
            wrapping_key_sha256: &sha256(&binary(&told["PublicKey"])),
        };
        room.plan.key_more += &import.text();
        wanted.push(Wanted { name, arn });
    }
    room.plan.spec = spec.into();
    room.plan.imported = false;
    wanted
}

fn binary(base64: &Value) -> Vec<u8> {
    let text = base64.as_str().unwrap();
    support::openssl(&["base64", "-d", "-A"], text.as_bytes())
}

/// The cloud operator's part: the script at the top of the record, with the real AWS CLI.
#[track_caller]
fn import_all(kms: &LoopbackKms, room: &Room) {
    let mut bash = Command::new("bash");
    bash.arg(room.path(ONE).join("import.sh"));
    bash.args(["--yes", "--endpoint-url", &kms.endpoint()]);
    let output = bash.env_clear().envs(kms.env()).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

/// What shows that the KMS key holds exactly the data key: the answer as KMS gave it.
#[track_caller]
fn proved(kms: &LoopbackKms, room: &Room, spec: &str, made: &Value, arn: &str) -> Option<Value> {
    let fingerprint = made["fingerprint"].as_str().unwrap();
    if let Some(bits) = spec.strip_prefix("HMAC_") {
        let asked = json!({"KeyId": arn, "MacAlgorithm": format!("HMAC_SHA_{bits}"), "Message": base64(TEXT.as_bytes())});
        let told = kms.ask("GenerateMac", &asked);
        assert_eq!(support::hex(&binary(&told["Mac"])), fingerprint, "{arn}");
        return Some(told);
    }
    if spec == "SYMMETRIC_DEFAULT" {
        let told = kms.ask("DescribeKey", &json!({"KeyId": arn}));
        let key = unhex(room.token(&["take", "ceremony", PIN, LABEL]).trim());
        let expected = key_material_id_of(&key, arn);
        assert_eq!(
            told["KeyMetadata"]["CurrentKeyMaterialId"],
            expected.as_str()
        );
        return None;
    }
    let told = kms.ask("GetPublicKey", &json!({"KeyId": arn}));
    let recorded = fs::read(room.path(ONE).join(LABEL).join("public-key.der")).unwrap();
    assert_eq!(binary(&told["PublicKey"]), recorded, "{arn}");
    assert_eq!(sha256(&recorded), fingerprint);
    Some(told)
}

/// The first one's answer by the AWS CLI, as people fetch it.
fn by_the_cli(kms: &LoopbackKms, room: &Room, spec: &str, arn: &str) -> String {
    fs::write(room.path("text"), TEXT).unwrap();
    let text = format!("fileb://{}", room.path("text").display());
    match spec.strip_prefix("HMAC_") {
        Some(bits) => {
            let algorithm = format!("HMAC_SHA_{bits}");
            kms.aws_text(&[
                "kms",
                "generate-mac",
                "--key-id",
                arn,
                "--message",
                &text,
                "--mac-algorithm",
                &algorithm,
                "--output",
                "json",
            ])
        }
        None => kms.aws_text(&["kms", "get-public-key", "--key-id", arn, "--output", "json"]),
    }
}

fn byok(room: &Room, args: &[String]) -> std::process::Output {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    room.byok(&args).output().unwrap()
}

/// Every import into the KMS, with its proof; then the receipts of all of them.
fn imported_and_proved(kind: Kind, spec: &str) {
    let Some(kms) = LoopbackKms::start() else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    let wanted = plan_for_all(&kms, &mut room, spec);
    let transcript = room.run_well();
    let made = transcript.event("key-generated").clone();
    for import in &wanted {
        no_import_type(&room, &import.name);
    }
    import_all(&kms, &room);
    let mut receipt = vec!["receipt".to_owned(), ONE.to_owned()];
    receipt.extend(
        wanted
            .iter()
            .map(|import| format!("{ONE}/{LABEL}/{}/import-result.json", import.name)),
    );
    let mut proofs = Vec::new();
    for (at, import) in wanted.iter().enumerate() {
        let Some(told) = proved(&kms, &room, spec, &made, &import.arn) else {
            continue;
        };
        let text = match at {
            0 => by_the_cli(&kms, &room, spec, &import.arn),
            _ => told.to_string(),
        };
        let file = format!("proof-{at}.json");
        fs::write(room.path(&file), text).unwrap();
        proofs.push(file);
    }
    let said = byok(&room, &receipt);
    assert!(said.status.success(), "{}", stderr(&said));
    assert!(
        !stdout(&said).contains("proved in KMS"),
        "{}",
        stdout(&said)
    );
    told(&room, "accepted by KMS", &wanted);
    if spec == "SYMMETRIC_DEFAULT" {
        return both_take_it(&room, "accepted by KMS", &wanted); // only a second import proves it
    }
    receipt.truncate(2);
    let said = byok(&room, &[receipt, proofs].concat());
    assert!(said.status.success(), "{}", stderr(&said));
    let proofs = stdout(&said).matches("          proved in KMS: ").count();
    assert_eq!(proofs, wanted.len(), "{}", stdout(&said));
    told(&room, "proved in KMS", &wanted);
    both_take_it(&room, "proved in KMS", &wanted);
}

/// How far byok tells that each import came.
#[track_caller]
fn told(room: &Room, kms: &str, wanted: &[Wanted]) {
    let output = room.byok(&["verify", "--json", ONE]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let imports = report["imports"].as_array().unwrap();
    assert_eq!(imports.len(), wanted.len());
    assert!(
        imports.iter().all(|import| import["kms"] == kms),
        "{report}"
    );
    let rows = report["life"].as_array().unwrap();
    let imported = rows.iter().filter(|row| row["what"] == "imported");
    assert!(imported.clone().all(|row| row["kms"] == kms));
    assert_eq!(imported.count(), wanted.len());
}

/// Both verifiers take the whole record, and the last screen tells how far the imports came.
#[track_caller]
fn both_take_it(room: &Room, kms: &str, wanted: &[Wanted]) {
    let output = verifiers::both(room.dir.path(), &["--next", ONE]);
    assert!(output.status.success(), "{}", stderr(&output));
    let line = format!(" By the receipts:     {} {kms}\n", wanted.len());
    assert!(stdout(&output).contains(&line), "{}", stdout(&output));
}

/// KMS takes an import type, and what belongs to it, for symmetric material only; and a first import has none.
#[track_caller]
fn no_import_type(room: &Room, name: &str) {
    let script = room.path(ONE).join(LABEL).join(name).join("import.sh");
    let script = fs::read_to_string(script).unwrap();
    let sent = script.split("--expiration-model").nth(1).unwrap();
    let sent = sent.lines().next().unwrap();
    assert_eq!(
        sent, " KEY_MATERIAL_DOES_NOT_EXPIRE --output json --query '@'",
        "{name}"
    );
}

macro_rules! each_spec {
    ($($name:ident: $kind:ident $spec:literal;)*) => {
        $(#[test]
        fn $name() {
            imported_and_proved(Kind::$kind, $spec);
        })*
    };
}

each_spec! {
    symmetric_of_softhsm: SoftHsm "SYMMETRIC_DEFAULT";
    symmetric_of_kryoptic: Kryoptic "SYMMETRIC_DEFAULT";
    hmac_224_of_softhsm: SoftHsm "HMAC_224";
    hmac_224_of_kryoptic: Kryoptic "HMAC_224";
    hmac_256_of_softhsm: SoftHsm "HMAC_256";
    hmac_256_of_kryoptic: Kryoptic "HMAC_256";
    hmac_384_of_softhsm: SoftHsm "HMAC_384";
    hmac_384_of_kryoptic: Kryoptic "HMAC_384";
    hmac_512_of_softhsm: SoftHsm "HMAC_512";
    hmac_512_of_kryoptic: Kryoptic "HMAC_512";
    p256_of_softhsm: SoftHsm "ECC_NIST_P256";
    p256_of_kryoptic: Kryoptic "ECC_NIST_P256";
    p384_of_softhsm: SoftHsm "ECC_NIST_P384";
    p384_of_kryoptic: Kryoptic "ECC_NIST_P384";
    p521_of_softhsm: SoftHsm "ECC_NIST_P521";
    p521_of_kryoptic: Kryoptic "ECC_NIST_P521";
    secp256k1_of_softhsm: SoftHsm "ECC_SECG_P256K1";
    rsa_2048_of_softhsm: SoftHsm "RSA_2048";
    rsa_2048_of_kryoptic: Kryoptic "RSA_2048";
    rsa_3072_of_softhsm: SoftHsm "RSA_3072";
    rsa_3072_of_kryoptic: Kryoptic "RSA_3072";
    rsa_4096_of_softhsm: SoftHsm "RSA_4096";
    rsa_4096_of_kryoptic: Kryoptic "RSA_4096";
}

/// The list above leaves nothing out of what AWS KMS takes: kryoptic alone does not know secp256k1.
#[test]
fn every_spec_is_imported_and_proved_from_both_hsms() {
    let list = include_str!("specs_in_kms.rs");
    let all = byok::crypto::spec::Spec::ALL.into_iter();
    for spec in all.filter(|spec| elsewhere(spec.name()).is_none()) {
        for hsm in ["SoftHsm", "Kryoptic"] {
            let listed = list.contains(&format!(": {hsm} \"{}\";\n", spec.name()));
            let unknown = hsm == "Kryoptic" && spec.name() == "ECC_SECG_P256K1";
            assert_eq!(listed, !unknown, "{hsm} {}", spec.name());
        }
    }
}
