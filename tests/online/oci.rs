//! The whole way to OCI Vault: a ceremony, its `import.sh` with the tests' small oci, a vault that unwraps, and what it shows.

use crate::away::{self, checked, import_of, receipt, receipt_refused, reimport, result, slip};
use crate::kms_on_loopback::oci::{COMPARTMENT, ENDPOINT, OciVault};
use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{Kind, Room, refused, skip, stderr, stdout, verifiers, well};

const OAEP: &str = "RSAES_OAEP_SHA_256";
const RSA_AES: &str = "RSA_AES_KEY_WRAP_SHA_256";

/// A room whose data key becomes the new key `payments` of a vault.
fn room(kind: Kind, spec: &str, wrapping: &str) -> Option<(OciVault, Room)> {
    let Some(vault) = OciVault::start() else {
        skip("BYOK_TEST_VENV has no cryptography");
        return None;
    };
    let mut room = Room::new(kind)?;
    fs::write(room.path("inputs/oci.json"), vault.wrapping_key()).unwrap();
    room.plan.imported = false; // into AWS KMS
    room.plan.spec = spec.into();
    goes_to(
        &mut room,
        &vault,
        &format!("{COMPARTMENT}/payments"),
        wrapping,
    );
    Some((vault, room))
}

fn goes_to(room: &mut Room, vault: &OciVault, place: &str, wrapping: &str) {
    let key = ["oci", "oci", &format!("{ENDPOINT}/{place}")];
    let by = [wrapping, &slip(&pem(vault))];
    room.plan.key_more = import_of(room, key, "oci.json", by);
}

fn pem(vault: &OciVault) -> String {
    let told: Value = serde_json::from_str(&vault.wrapping_key()).unwrap();
    told["data"]["public-key"].as_str().unwrap().to_owned()
}

fn carried(room: &Room, record: &str) -> PathBuf {
    away::carried(room, record, "oci")
}

/// Runs import.sh there, by the loopback.
fn import(vault: &OciVault, online: &Path, args: &[&str]) -> Output {
    let address = vault.address();
    let args = [&["--yes", "--address", &address], args].concat();
    away::run(online, &vault.env(), &args)
}

fn every_spec(kind: Kind, rows: &[(&str, &str)]) {
    for (spec, wrapping) in rows {
        let Some((vault, room)) = room(kind, spec, wrapping) else {
            return;
        };
        let transcript = room.run_well();
        let wrapped = transcript.event("key-wrapped");
        let named = (&wrapped["kms"], &wrapped["key"]);
        let key = format!("{ENDPOINT}/{COMPARTMENT}/payments");
        assert_eq!(named, (&"oci".into(), &key.into()));
        assert!(transcript.event("sealed").get("import_before").is_none());
        let online = carried(&room, "records/one");
        let file = fs::read(online.join("wrapped-import-key.json")).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        let named = match *wrapping {
            OAEP => "RSA_OAEP_SHA256",
            _ => "RSA_OAEP_AES_SHA256",
        };
        assert_eq!(file["wrappingAlgorithm"], named);
        let output = import(&vault, &online, &[]);
        well(&output);
        let doubt = stdout(&output).contains("NOT ESTABLISHED");
        assert_eq!(doubt, *wrapping == RSA_AES);
        let standing = receipt(&room, "records/one", &online.join("import-result.json"));
        let expected = match spec.starts_with("RSA_") {
            true => "proved in KMS",
            false => "accepted by KMS",
        };
        assert_eq!(standing, expected, "{spec} {wrapping}");
        well(&verifiers::both(room.dir.path(), &["records/one"]));
        let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
        let proof = match spec.starts_with("RSA_") {
            true => "its public key",
            false => "nothing: this KMS shows nothing of such a key",
        };
        assert!(report.contains(proof), "{spec}");
    }
}

#[test]
fn what_oci_takes_from_softhsm_by_the_host_is_imported_and_pairs_are_proved() {
    every_spec(
        Kind::SoftHsm,
        &[
            ("SYMMETRIC_DEFAULT", RSA_AES),
            ("RSA_2048", RSA_AES),
            ("RSA_3072", RSA_AES),
        ],
    );
}

#[test]
fn what_kryoptic_wraps_inside_is_imported() {
    every_spec(
        Kind::Kryoptic,
        &[("SYMMETRIC_DEFAULT", OAEP), ("SYMMETRIC_DEFAULT", RSA_AES)],
    );
}

#[test]
fn a_second_run_sends_nothing_and_other_keys_are_named() {
    let Some((vault, room)) = room(Kind::SoftHsm, "RSA_2048", RSA_AES) else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    let output = import(&vault, &online, &[]);
    well(&output);
    let command = "oci kms management key import --compartment-id";
    assert!(stdout(&output).contains(command), "{}", stdout(&output));
    let keys = || {
        let told = vault.told(&["key", "list", "--compartment-id", COMPARTMENT, "--all"]);
        told["data"].as_array().unwrap().len()
    };
    let output = import(&vault, &online, &[]);
    well(&output);
    assert!(stdout(&output).contains("Nothing is sent again"));
    let address = vault.address();
    let args = ["--yes", "--address", &address];
    let signs_in = ["oci", "oci session authenticate"];
    away::stops_unseen(&online, vault.env(), signs_in, &args);
    assert_eq!(
        import(&vault, &online, &["--imported"]).status.code(),
        Some(0)
    );
    let told = result(&online);
    let good = fs::read_to_string(online.join("import-result.json")).unwrap();
    for name in ["import-result.json", "import-result-2.json"] {
        fs::remove_file(online.join(name)).unwrap();
    }
    let says = [
        "there is a key of this name already",
        "bash import.sh --another",
    ];
    refused(&import(&vault, &online, &[]), 4, &says);
    assert_eq!(keys(), 1);
    well(&import(&vault, &online, &["--another"]));
    assert_eq!(keys(), 2);

    // oci's own answer proves it too; that of another pair is found
    let (key, version) = (
        told["key_id"].as_str().unwrap(),
        told["key_version"].as_str().unwrap(),
    );
    let shown = vault.text(&[
        "key-version",
        "get",
        "--key-id",
        key,
        "--key-version-id",
        version,
    ]);
    fs::write(room.path("proof.json"), &shown).unwrap();
    assert_eq!(
        receipt(&room, "records/one", &room.path("proof.json")),
        "proved in KMS"
    );
    let own: Value = serde_json::from_str(&shown).unwrap();
    let own = own["data"]["public-key"]
        .as_str()
        .unwrap()
        .replace('\n', "\\n");
    let other = pem(&vault).replace('\n', "\\n");
    for text in [shown.replace(&own, &other), {
        let pem = told["public_key"].as_str().unwrap();
        good.replace(pem, &other.replace("\\n", " "))
    }] {
        receipt_refused(&room, "records/one", text, 4, &["[KEY-MATERIAL]"]);
    }
}

/// OCI takes any material; only byok finds that a reimport brings the same.
#[test]
fn an_aes_key_gets_a_next_version_only_after_the_present_one_that_is_named() {
    let Some((vault, mut room)) = room(Kind::SoftHsm, "SYMMETRIC_DEFAULT", OAEP) else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    well(&import(&vault, &online, &[]));
    let told = result(&online);
    let key = told["key_id"].as_str().unwrap().to_owned();
    assert_eq!(
        receipt(&room, "records/one", &online.join("import-result.json")),
        "accepted by KMS"
    );

    reimport(&mut room, "records/two");
    goes_to(&mut room, &vault, &key, OAEP);
    refused(&room.run(), 4, &["[KMS-KEY-MATCH]"]); // another name than before, so a reason is asked
    room.plan.key_more = room.plan.key_more.replace(
        "expires =",
        "other_kms_key = \"the key has its OCID now\"\nexpires =",
    );
    well(&room.run());
    let online = carried(&room, "records/two");
    let output = import(&vault, &online, &[]);
    let present = told["key_version"].as_str().unwrap();
    refused(&output, 4, &[&format!("bash import.sh --after {present}")]);
    refused(
        &import(&vault, &online, &["--another"]),
        2,
        &["is a next version"],
    );
    well(&import(&vault, &online, &["--after", present]));
    let next = result(&online);
    assert_eq!(next["key_id"], key.as_str());
    assert_ne!(next["key_version"], present);
    assert_eq!(
        receipt(&room, "records/two", &online.join("import-result.json")),
        "accepted by KMS"
    );
    // an answer about another key than the plan's
    let text = fs::read_to_string(online.join("import-result.json")).unwrap();
    let text = text.replace(
        &format!("\"key_id\": \"{key}\""),
        "\"key_id\": \"ocid1.key.oc1.iad.examplevault.other\"",
    );
    receipt_refused(&room, "records/two", text, 4, &["[KMS-KEY-MATCH]"]);
    for record in ["records/one", "records/two"] {
        well(&verifiers::both(room.dir.path(), &[record]));
    }
}

#[test]
fn the_script_takes_no_option_and_no_file_that_is_not_the_ceremonys() {
    let Some((vault, room)) = room(Kind::SoftHsm, "RSA_2048", RSA_AES) else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    away::script_reads_well(&online, "https://");
    for args in [
        &["--display-name", "x"][..],
        &["--endpoint", "https://x"],
        &["--after", "ocid1.keyversion.oc1.iad.x.y"],
        &["--after"],
        &["--address", "http://example.org"],
        &["--address", "https://user:secret@127.0.0.1"],
    ] {
        let output = import(&vault, &online, args);
        refused(&output, 2, &["nothing was imported"]);
        assert!(!stderr(&output).contains("secret"));
    }
    for name in ["wrapped-import-key.json", "WrappedKeyMaterial.bin"] {
        let good = fs::read(online.join(name)).unwrap();
        fs::write(online.join(name), b"{}").unwrap();
        let says = format!("{name} is not the file that the ceremony wrote");
        refused(&import(&vault, &online, &[]), 4, &[&says]);
        fs::write(online.join(name), good).unwrap();
    }
    // another vault cannot unwrap it
    let Some(other) = OciVault::start() else {
        return;
    };
    let output = import(&other, &online, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("could not unwrap the file"));
    assert_eq!(
        receipt(&room, "records/one", &online.join("import-result.json")),
        "import failed"
    );
}

#[test]
fn parameters_that_are_no_wrapping_key_and_plans_that_oci_does_not_take_are_refused() {
    let Some((vault, mut room)) = room(Kind::SoftHsm, "SYMMETRIC_DEFAULT", RSA_AES) else {
        return;
    };
    let good = room.plan.key_more.clone();
    for (from, to, says) in [
        ("key = ", "key_arn = ", "key_arn is for AWS KMS alone"),
        (
            "oraclecloud.com",
            "oraclecloud.example",
            "has no .oraclecloud.com/ after its region",
        ),
        (
            RSA_AES,
            "RSA_AES_KEY_WRAP_SHA_1",
            "unwraps with SHA-256 only",
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
    for (spec, wrapping, says) in [
        ("HMAC_256", OAEP, "has no HMAC keys"),
        ("ECC_NIST_P256", RSA_AES, "imports AES and RSA keys only"),
        (
            "RSA_2048",
            OAEP,
            "takes RSA keys with RSA_OAEP_AES_SHA256 only",
        ),
    ] {
        room.plan.spec = spec.into();
        room.plan.key_more = good.replace(RSA_AES, wrapping);
        checked(&room, 2, &[says]);
    }
    room.plan.spec = "SYMMETRIC_DEFAULT".into();
    room.plan.key_more = good.clone();
    checked(&room, 0, &[]);
    let shown = vault.wrapping_key();
    fs::write(room.path("inputs/oci.json"), pem(&vault)).unwrap();
    checked(&room, 0, &[]);
    for (text, exit, says) in [
        (
            shown.replace("ENABLED", "DISABLED"),
            4,
            "[WRAPPING-KEY-STATE]",
        ),
        (
            shown.replace("\"id\"", "\"key-id\""),
            2,
            "is a data key, not the wrapping key",
        ),
    ] {
        fs::write(room.path("inputs/oci.json"), text).unwrap();
        checked(&room, exit, &[says]);
    }
    fs::write(room.path("inputs/oci.json"), &shown).unwrap();
    let output = room.byok(&["inspect", "inputs/oci.json"]).output().unwrap();
    well(&output);
    for text in ["import parameters of OCI Vault", &slip(&pem(&vault))] {
        assert!(stdout(&output).contains(text), "{}", stdout(&output));
    }
}

/// With the vendor's own command: what it is asked and prints is what the tests' own takes and prints.
#[test]
fn the_real_oci_imports_once_and_a_next_version_only_after_the_one_that_is_named() {
    for (spec, wrapping) in [("RSA_2048", RSA_AES), ("AES_192", RSA_AES)] {
        let Some((vault, mut room)) = room(Kind::SoftHsm, spec, wrapping) else {
            return;
        };
        if !vault.with_the_real_oci() {
            skip("no BYOK_TEST_OCI: tests/run.sh clouds");
            return;
        }
        let told = fs::read_to_string(room.path("inputs/oci.json")).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&told).unwrap()["data"]["public-key"],
            vault.told(&["wrapping-key", "get"])["data"]["public-key"]
        );
        fs::write(room.path("inputs/oci.json"), vault.wrapping_key()).unwrap();
        room.run_well();
        let online = carried(&room, "records/one");
        let output = import(&vault, &online, &[]);
        well(&output);
        let command = "oci kms management key import --compartment-id";
        assert!(stdout(&output).contains(command), "{}", stdout(&output));
        let made = result(&online);
        assert_eq!(made["cli"], "oci/3.95.1");
        assert_eq!(made["error"], Value::Null);
        let standing = receipt(&room, "records/one", &online.join("import-result.json"));
        let expected = match spec {
            "RSA_2048" => "proved in KMS",
            _ => "accepted by KMS",
        };
        assert_eq!(standing, expected, "{spec}");
        well(&verifiers::both(room.dir.path(), &["records/one"]));

        // again, and once more where the result was lost
        let output = import(&vault, &online, &[]);
        well(&output);
        assert!(stdout(&output).contains("Nothing is sent again"));
        for name in ["import-result.json", "import-result-2.json"] {
            fs::remove_file(online.join(name)).unwrap();
        }
        let says = ["there is a key of this name already"];
        refused(&import(&vault, &online, &[]), 4, &says);

        // a next version of that key, which only an AES key can have
        if spec == "RSA_2048" {
            continue;
        }
        let (key, version) = (made["key_id"].as_str(), made["key_version"].as_str());
        let (key, version) = (key.unwrap(), version.unwrap());
        goes_to(&mut room, &vault, key, wrapping);
        room.plan.label = "next".into();
        room.plan.directory = "records/two".into();
        room.run_well();
        let folder = room.path("records/two/next/oci");
        refused(
            &import(&vault, &folder, &[]),
            4,
            &[&format!("bash import.sh --after {version}")],
        );
        well(&import(&vault, &folder, &["--after", version]));
        assert_eq!(result(&folder)["key_id"], key);
        assert_ne!(result(&folder)["key_version"], version);
    }
}
