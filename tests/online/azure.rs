//! The whole way to Azure: a ceremony, its `.byok` file in a vault that unwraps it, and what proves that it is there. The
//! vendor's own `az` runs `import.sh` where it is installed: `tests/run.sh clouds`.

use crate::away::{self, checked, import_of, receipt, receipt_refused, reimport};
use crate::kms_on_loopback::azure::Vault;
use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{
    Kind, Room, Transcript, base64, folded, hex, names_in, openssl, refused, skip, stderr, stdout,
    verifiers, well,
};

const PREMIUM: &str = "https://byok-tests.vault.azure.net";
const MANAGED: &str = "https://byok-tests.managedhsm.azure.net";
const SHA_1: &str = "RSA_AES_KEY_WRAP_SHA_1";

/// A room whose data key goes to the key `payments` of a vault, under a KEK of so many bits.
fn room(url: &str, spec: &str, kek_bits: &str) -> Option<(Vault, Room)> {
    let Some(vault) = Vault::start(url) else {
        skip("BYOK_TEST_VENV has no azure-keyvault-keys");
        return None;
    };
    let mut room = Room::new(Kind::SoftHsm)?;
    let kek = vault.text(&["kek", "KEK", kek_bits]);
    fs::write(room.path("inputs/kek.json"), kek).unwrap();
    room.plan.imported = false; // into AWS KMS
    room.plan.spec = spec.into();
    let key = ["azure", "azure", &vault.key("payments")];
    room.plan.key_more = import_of(&room, key, "kek.json", [SHA_1, &slip(&vault)]);
    Some((vault, room))
}

/// The digest of the KEK.
pub fn slip(vault: &Vault) -> String {
    away::slip(&vault.text(&["pem", "KEK"]))
}

fn carried(room: &Room, record: &str) -> PathBuf {
    away::carried(room, record, "azure")
}

/// Imports the file that byok wrote, by the vendor's client, with what its `import.sh` says about it.
pub fn imported(vault: &Vault, online: &Path) -> Value {
    let script = fs::read_to_string(online.join("import.sh")).unwrap();
    let decided = |name: &str| {
        let line = script
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap().trim_matches('\'').to_owned()
    };
    let (kty, curve, ops) = (decided("kty"), decided("curve"), decided("ops"));
    let file = online.join("payments.byok");
    let mut args = vec!["import", "payments", file.to_str().unwrap(), &kty, &curve];
    args.extend(ops.split(' '));
    vault.told(&args)
}

/// The vault's answer to the challenge of a ceremony: as `import.sh` asks for it.
fn answered(vault: &Vault, transcript: &Transcript, version: &str, algorithm: &str) -> Output {
    let made = transcript.event("challenge-made");
    answer_to(vault, made, version, algorithm)
}

/// Its answer to this challenge.
pub fn answer_to(vault: &Vault, made: &Value, version: &str, algorithm: &str) -> Output {
    let text = format!("{}\n", made["ciphertext"].as_str().unwrap());
    let bytes = openssl(&["base64", "-d", "-A"], text.as_bytes());
    let (nonce, rest) = bytes.split_at(12);
    let (text, tag) = rest.split_at(rest.len() - 16);
    let (text, nonce, tag) = (base64(text), hex(nonce), hex(tag));
    vault.client(&[
        "decrypt", "payments", version, algorithm, &text, &nonce, &tag,
    ])
}

pub fn version(told: &Value) -> String {
    let kid = told["key"]["kid"].as_str().unwrap();
    kid.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn every_key_pair_that_a_vault_takes_is_imported_by_the_vendors_client_and_proved() {
    for (spec, url, kek_bits) in [
        ("ECC_NIST_P256", PREMIUM, "2048"),
        ("ECC_NIST_P384", MANAGED, "3072"),
        ("ECC_NIST_P521", PREMIUM, "4096"),
        ("ECC_SECG_P256K1", PREMIUM, "3072"),
        ("RSA_2048", PREMIUM, "2048"),
        ("RSA_3072", MANAGED, "4096"),
        ("RSA_4096", PREMIUM, "3072"),
    ] {
        let Some((vault, room)) = room(url, spec, kek_bits) else {
            return;
        };
        let transcript = room.run_well();
        let kid = vault.told(&["show", "KEK"])["key"]["kid"].clone();
        let read = transcript.event("import-parameters-read");
        assert_eq!(read["wrapping_key_id"], kid);
        assert_eq!(read["wrapping_key_sha256"], slip(&vault).as_str());
        let wrapped = transcript.event("key-wrapped");
        let named = (&wrapped["kms"], &wrapped["key"]);
        assert_eq!(named, (&"azure".into(), &vault.key("payments").into()));
        assert!(transcript.event("sealed").get("import_before").is_none());

        let online = carried(&room, "records/one");
        let file = fs::read(online.join("payments.byok")).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(file["header"]["kid"], kid);
        let told = imported(&vault, &online);
        assert_eq!(
            told["key"]["kty"].as_str().unwrap().len(),
            if spec.starts_with("RSA") { 7 } else { 6 }
        );
        let shown = vault.text(&["show", "payments"]);
        fs::write(room.path("proof.json"), &shown).unwrap();
        assert_eq!(
            receipt(&room, "records/one", &room.path("proof.json")),
            "proved in KMS",
            "{spec}"
        );
        well(&verifiers::both(room.dir.path(), &["records/one"]));
        let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
        assert!(report.contains(kid.as_str().unwrap()), "{spec}");
    }
}

#[test]
fn an_answer_about_another_key_or_one_that_is_not_in_an_hsm_proves_nothing() {
    let Some((vault, room)) = room(PREMIUM, "ECC_NIST_P256", "2048") else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    imported(&vault, &online);
    let good = vault.text(&["show", "payments"]);
    let told: Value = serde_json::from_str(&good).unwrap();
    let x = told["key"]["x"].as_str().unwrap();
    let y = told["key"]["y"].as_str().unwrap();
    let kek = vault.text(&["show", "KEK"]);
    let swapped = good.replace(x, "@").replace(y, x).replace('@', y);
    // a point of that curve: the generator
    let of_another = good
        .replace(x, "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY=")
        .replace(y, "T+NC4v4af5uO5+tKfA+eFivOM1drMV7Oy7ZAaDe/UfU=");
    for (text, exit, says) in [
        (of_another, 4, "[KEY-MATERIAL]"),
        (swapped, 2, "are not those of a public key"),
        (good.replace("P-256", "P-999"), 2, "is no curve of byok"),
        (good.replace("EC-HSM", "EC"), 4, "[KMS-KEY-MATCH]"),
        (
            good.replace("keys/payments", "keys/other"),
            4,
            "imports nothing",
        ),
        (
            good.replace("byok-tests", "byok-others"),
            4,
            "imports nothing",
        ),
        (
            good.replace("https://byok-tests", "http://x"),
            2,
            "is not a vault's identifier",
        ),
        (kek, 2, "is import parameters"),
    ] {
        receipt_refused(&room, "records/one", text, exit, &[says]);
    }
    // Azure compares identifiers whatever their case
    fs::write(
        room.path("proof.json"),
        good.replace("keys/payments", "keys/Payments"),
    )
    .unwrap();
    assert_eq!(
        receipt(&room, "records/one", &room.path("proof.json")),
        "proved in KMS"
    );
}

/// Only a Managed HSM takes AES keys; what it had encrypted before opens after a reimport.
#[test]
fn an_aes_key_in_a_managed_hsm_answers_the_challenge_also_after_a_reimport() {
    let Some((vault, mut room)) = room(MANAGED, "SYMMETRIC_DEFAULT", "4096") else {
        return;
    };
    let first = room.run_well();
    assert_eq!(first.event("key-wrapped")["wrapped_in"], "hsm");
    let told = imported(&vault, &carried(&room, "records/one"));
    assert_eq!(told["key"]["kty"], "oct-HSM");
    let answer = answered(&vault, &first, &version(&told), "A256GCM");
    well(&answer);
    let result: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let wrong = stdout(&answer).replace(result["result"].as_str().unwrap(), &base64(&[7; 32]));
    receipt_refused(&room, "records/one", wrong, 4, &["[KEY-MATERIAL]"]);
    fs::write(room.path("proof.json"), &answer.stdout).unwrap();
    assert_eq!(
        receipt(&room, "records/one", &room.path("proof.json")),
        "proved in KMS"
    );

    vault.forget("payments");
    reimport(&mut room, "records/two");
    let output = room.run();
    well(&output);
    let told = imported(&vault, &carried(&room, "records/two"));
    let again = answered(&vault, &first, &version(&told), "A256GCM");
    well(&again);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["result"], result["result"]);
    for record in ["records/one", "records/two"] {
        well(&verifiers::both(room.dir.path(), &[record]));
    }
}

/// AES keys of each length, from the HSM: the algorithm that answers is that of the length.
#[test]
fn an_aes_key_of_each_length_is_imported_and_answers_the_challenge() {
    for (spec, algorithm) in [
        ("AES_128", "A128GCM"),
        ("AES_192", "A192GCM"),
        ("AES_256", "A256GCM"),
    ] {
        let Some((vault, room)) = room(MANAGED, spec, "3072") else {
            return;
        };
        let transcript = room.run_well();
        assert_eq!(transcript.event("key-wrapped")["wrapped_in"], "hsm");
        let online = carried(&room, "records/one");
        let told = imported(&vault, &online);
        let script = fs::read_to_string(online.join("import.sh")).unwrap();
        assert!(
            script.contains(&format!("\ndecrypt='{algorithm}'\n")),
            "{spec}"
        );
        let answer = answered(&vault, &transcript, &version(&told), algorithm);
        well(&answer);
        fs::write(room.path("proof.json"), &answer.stdout).unwrap();
        assert_eq!(
            receipt(&room, "records/one", &room.path("proof.json")),
            "proved in KMS",
            "{spec}"
        );
        well(&verifiers::both(room.dir.path(), &["records/one"]));
    }
}

#[test]
fn the_script_takes_no_option_and_no_file_that_is_not_the_ceremonys() {
    let Some((vault, room)) = room(PREMIUM, "ECC_NIST_P256", "2048") else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    away::script_reads_well(&online, "https://byok");
    let path = away::path_without(&room, "az");
    let run = |args: &[&str]| away::run(&online, &[("PATH", path.clone())], args);
    assert_eq!(run(&["--imported"]).status.code(), Some(1));
    for args in [
        &["--ops", "decrypt"][..],
        &["--pem-file", "x"],
        &["--id", &vault.key("other")],
        &["--after"],
        &["--after", "1"],
        &["--after", &"F".repeat(32)],
        &["--address", "http://127.0.0.1:1"],
        &["--address", "https://user:secret@127.0.0.1"],
        &["--address", "https://127.0.0.1/x"],
    ] {
        let output = run(args);
        refused(&output, 2, &["nothing was imported"]);
        assert!(!stderr(&output).contains("secret"));
    }
    refused(&run(&["--yes"]), 2, &["the command az is not installed"]);
    for name in ["payments.byok", "WrappedKeyMaterial.bin"] {
        let good = fs::read(online.join(name)).unwrap();
        fs::write(online.join(name), b"{}").unwrap();
        let says = format!("{name} is not the file that the ceremony wrote");
        refused(&run(&["--yes"]), 4, &[&says]);
        fs::write(online.join(name), good).unwrap();
    }
    let results = names_in(&online);
    assert!(!results.iter().any(|name| name.starts_with("import-result")));
}

/// Who imports need not be who proves: that is no alarm, and every other failure of the proof is one.
#[test]
fn an_importer_who_may_not_ask_for_the_proof_is_told_who_does_and_no_alarm() {
    let Some((vault, room)) = room(MANAGED, "AES_256", "2048") else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    let (address, authority) = (vault.address(), vault.authority());
    let args = ["--yes", "--address", &address, "--ca-cert"];
    let args = [&args[..], &[authority.to_str().unwrap()]].concat();
    let mut env = vault.env();
    env.push(("BYOK_TEST_TOKEN", "of.an.importer".into()));
    let output = away::run(&online, &env, &args);
    well(&output);
    let prove = format!(
        "bash azure.sh prove {} --out proof.json --address {address} --ca-cert {}",
        online.display(),
        authority.display()
    );
    away::not_proved_yet(&stdout(&output), &prove);
    away::stops_unseen(&online, vault.env(), ["az", "az login"], &args);
    // a key that does not answer is an alarm
    vault.forget("payments");
    let script = online.join("import.sh");
    let text = fs::read_to_string(&script).unwrap();
    fs::write(&script, text.replace("\ntag='", "\ntag='00")).unwrap();
    fs::remove_file(online.join("import-result.json")).unwrap();
    let output = away::run(&online, &vault.env(), &args);
    well(&output);
    away::is_alarmed(&stdout(&output));
}

/// Neither a name nor what the server says calms an alarm, and nor does an empty answer.
#[test]
fn an_error_that_says_forbidden_anywhere_is_an_alarm_that_its_result_keeps() {
    let Some((vault, room)) = room(MANAGED, "AES_256", "2048") else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    let (address, authority) = (vault.address(), vault.authority());
    let args = ["--yes", "--address", &address, "--ca-cert"];
    let args = [&args[..], &[authority.to_str().unwrap()]].concat();
    // the version that is asked is not there
    let script = online.join("import.sh");
    let good = fs::read_to_string(&script).unwrap();
    let other = good.replace(
        "key decrypt --id \"$id/$version\"",
        "key decrypt --id \"$id/Forbidden\"",
    );
    fs::write(&script, other).unwrap();
    let output = away::run(&online, &vault.env(), &args);
    away::alarm_is_kept(&room, &online, &output, "(KeyNotFound)");

    fs::write(&script, good).unwrap();
    vault.forget("payments");
    let empty = "case \" $* \" in *' key decrypt '*) echo '{}'; exit ;; esac";
    let env = away::meddled(&room, vault.env(), "az", empty);
    let output = away::run(&online, &env, &args);
    away::alarm_is_kept(&room, &online, &output, "{}");
}

/// Under a free name, and as the next version of a key.
#[test]
fn two_runs_at_the_same_time_make_two_versions_and_the_later_one_says_so() {
    for next in [false, true] {
        let Some((vault, room)) = room(PREMIUM, "ECC_NIST_P256", "2048") else {
            return;
        };
        room.run_well();
        let online = carried(&room, "records/one");
        let (address, authority) = (vault.address(), vault.authority());
        let present = match next {
            true => version(&imported(&vault, &online)),
            false => String::new(),
        };
        let args = ["--yes", "--address", &address, "--ca-cert"];
        let mut args = [&args[..], &[authority.to_str().unwrap()]].concat();
        args.extend([&["--after", &present][..], &[]][usize::from(!next)]);
        let env = away::beside_another(&online, vault.env(), ["az", "key import"], &args);
        away::found_two(&online, &env, &args);
    }
}

/// Before the import, or after it: old versions are not taken for new ones, and nothing says that there are no others.
#[test]
fn a_list_of_versions_that_does_not_come_is_told_and_not_taken_for_an_empty_one() {
    for fails in [1, 2] {
        let Some((vault, room)) = room(PREMIUM, "ECC_NIST_P256", "2048") else {
            return;
        };
        room.run_well();
        let online = carried(&room, "records/one");
        let (address, authority) = (vault.address(), vault.authority());
        let present = version(&imported(&vault, &online));
        let args = ["--yes", "--address", &address, "--after", &present];
        let args = [&args[..], &["--ca-cert", authority.to_str().unwrap()]].concat();
        let count = room.path("lists");
        let text = format!(
            "case \" $* \" in *' list-versions '*) echo >>'{0}'\n[ $(wc -l <'{0}') != {fails} ] || exit 1 ;; esac",
            count.display()
        );
        let env = away::meddled(&room, vault.env(), "az", &text);
        let output = away::run(&online, &env, &args);
        well(&output);
        let said = stdout(&output);
        assert!(said.contains("Could not look for other versions"), "{said}");
        assert_eq!(away::result(&online)["exit"], 0);
    }
}

/// With the vendor's own command: what it is asked, and that it is asked for nothing twice.
#[test]
fn the_real_az_imports_once_and_the_next_version_only_after_the_one_that_is_named() {
    for (url, spec) in [
        (PREMIUM, "ECC_NIST_P256"),
        (PREMIUM, "RSA_2048"),
        (MANAGED, "SYMMETRIC_DEFAULT"),
    ] {
        let Some((vault, room)) = room(url, spec, "2048") else {
            return;
        };
        let Some(env) = vault.az_env() else {
            skip("no BYOK_TEST_AZ: tests/run.sh clouds");
            return;
        };
        room.run_well();
        let online = carried(&room, "records/one");
        let (address, authority) = (vault.address(), vault.authority());
        let authority = authority.to_str().unwrap();
        let trusting = ["--yes", "--address", &address, "--ca-cert", authority];
        let run = |args: &[&str]| away::run(&online, &env, &[&trusting[..], args].concat());
        let versions = || vault.told(&["show", "payments"]);
        // what trusts no such certificate sends nothing
        let output = away::run(&online, &env, &["--yes", "--address", &address]);
        refused(&output, 1, &["without knowing whether it is there"]);
        let output = run(&["--after", &"0".repeat(32)]);
        refused(&output, 4, &["there is no key of this name"]);

        let output = run(&[]);
        well(&output);
        let said = stdout(&output);
        let command = format!(
            "az keyvault key import --id {address}/keys/payments --byok-file payments.byok --kty "
        );
        assert!(said.contains(&command), "{said}");
        let result = online.join("import-result.json");
        let told: Value = serde_json::from_slice(&fs::read(&result).unwrap()).unwrap();
        assert_eq!(told["kid"], versions()["key"]["kid"]);
        assert_eq!(told["cli"], "azure-cli/2.91.0");
        assert_eq!(
            receipt(&room, "records/one", &result),
            "proved in KMS",
            "{spec}"
        );
        well(&verifiers::both(room.dir.path(), &["records/one"]));

        // again: with the result, and without it
        let output = run(&[]);
        well(&output);
        assert!(
            stdout(&output).contains("nothing is sent again"),
            "{}",
            stdout(&output)
        );
        assert_eq!(told["kid"], versions()["key"]["kid"]);
        assert_eq!(run(&["--imported"]).status.code(), Some(0));
        fs::remove_file(&result).unwrap();
        let present = version(&versions());
        let says = format!("bash import.sh --after {present}");
        refused(
            &run(&[]),
            4,
            &["there is a key of this name already", &says],
        );
        refused(&run(&["--after", &"0".repeat(32)]), 4, &[&says]);
        assert_eq!(told["kid"], versions()["key"]["kid"]);
        well(&run(&["--after", &present]));
        let next = version(&versions());
        assert_ne!(next, present);
        fs::remove_file(&result).unwrap();
        refused(
            &run(&["--after", &present]),
            4,
            &["there is a key of this name already"],
        );
        assert_eq!(version(&versions()), next);

        // a name that a deleted key holds
        vault.text(&["delete", "payments"]);
        let output = run(&[]);
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        assert!(
            stdout(&output).contains("A deleted key still holds this name"),
            "{}",
            stdout(&output)
        );
        assert_eq!(receipt(&room, "records/one", &result), "proved in KMS");
    }
}

#[test]
fn parameters_that_are_no_kek_and_plans_that_no_vault_takes_are_refused() {
    let Some((vault, mut room)) = room(PREMIUM, "ECC_NIST_P256", "2048") else {
        return;
    };
    let good = room.plan.key_more.clone();
    for (from, to, says) in [
        ("key = ", "key_arn = ", "key_arn is for AWS KMS alone"),
        ("/keys/payments", "/secrets/payments", "has no /keys/"),
        (
            SHA_1,
            "RSA_AES_KEY_WRAP_SHA_256",
            "unwraps RSA_AES_KEY_WRAP_SHA_1 only",
        ),
        (
            SHA_1,
            "RSAES_OAEP_SHA_256",
            "unwraps RSA_AES_KEY_WRAP_SHA_1 only",
        ),
        (
            "expires = \"never\"",
            "expires = \"2027-01-01T00:00:00Z\"",
            "expires belongs to AWS KMS alone",
        ),
    ] {
        room.plan.key_more = good.replacen(from, to, 1);
        assert_ne!(room.plan.key_more, good, "{from}");
        checked(&room, 2, &[says]);
    }
    room.plan.key_more = good.clone();
    for (spec, says) in [
        ("HMAC_256", "has no HMAC keys"),
        ("SYMMETRIC_DEFAULT", "symmetric keys are for a Managed HSM"),
    ] {
        room.plan.spec = spec.into();
        checked(&room, 2, &[says]);
    }
    room.plan.spec = "ECC_NIST_P256".into();
    checked(&room, 0, &[]);
    let kek = fs::read_to_string(room.path("inputs/kek.json")).unwrap();
    for (text, exit, says) in [
        (
            vault.text(&["pem", "KEK"]),
            2,
            "is PEM, which has no identifier",
        ),
        (
            kek.replace("byok-tests", "byok-others"),
            4,
            "what was wrapped for a KEK of its own vault",
        ),
        (
            kek.replace(
                "\"expires\": null",
                "\"expires\": \"2026-01-01T00:00:00+00:00\"",
            ),
            4,
            "the KEK expired",
        ),
        (kek.replace("\"import\"", "\"wrapKey\""), 4, "[KEK]"),
        (
            vault.text(&["kek", "other", "2048"]),
            4,
            "WRAPPING-KEY-MATCH",
        ),
    ] {
        fs::write(room.path("inputs/kek.json"), text).unwrap();
        checked(&room, exit, &[says]);
    }
}

/// One plan, one data key, one record: into AWS KMS and into a Managed HSM.
#[test]
fn one_data_key_goes_to_aws_and_to_azure() {
    let Some((vault, mut room)) = room(MANAGED, "SYMMETRIC_DEFAULT", "2048") else {
        return;
    };
    room.plan.imported = true; // into AWS KMS too
    room.plan.import_more = room.plan.key_more.clone();
    room.plan.key_more.clear();
    let transcript = room.run_well();
    assert_eq!(transcript.events("key-wrapped").len(), 2);
    imported(&vault, &carried(&room, "records/one"));
    let told = fs::read_to_string(room.path("records/one/README.txt")).unwrap();
    for text in ["ImportToken.bin", "<name>.byok", "az keyvault key import"] {
        assert!(told.contains(text), "{text}");
    }
    let output = room
        .byok(&["verify", "--next", "records/one"])
        .output()
        .unwrap();
    well(&output);
    assert!(folded(&stdout(&output)).contains("where the KMS has no deadline"));
    let output = room
        .byok(&["plan", "--reimport", "records/one"])
        .output()
        .unwrap();
    well(&output);
    for line in [
        "kms        = \"azure\"",
        &format!("key        = \"{}\"", vault.key("payments")),
        &format!("# fetched again: bash azure.sh parameters {MANAGED}/keys/KEK --out FILE"),
    ] {
        assert!(
            stdout(&output).contains(line),
            "{line}: {}",
            stdout(&output)
        );
    }
    let output = room
        .byok(&["plan", "--reimport", "records/one", "inputs/kek.json"])
        .output()
        .unwrap();
    well(&output);
    let again = "parameters = \"inputs/kek.json\"";
    assert!(stdout(&output).contains(again), "{}", stdout(&output));
    let output = room.byok(&["inspect", "inputs/kek.json"]).output().unwrap();
    well(&output);
    assert!(
        stdout(&output).contains(&slip(&vault)),
        "{}",
        stdout(&output)
    );
}
