//! Plans with imports elsewhere than into AWS KMS, as far as no server is needed.

use std::fs;

use crate::support;

use support::targets::into_azure_and_google;
use support::{ARN, Kind, LABEL, Room, folded, now, refused, stdout, well};

const BAO: &str = "[[key.import]]\nname = \"bao\"\nkms = \"openbao\"\n\
    key = \"https://bao.example:8200/v1/transit/keys/payments\"\nparameters = \"inputs/bao.json\"\n\
    wrapping = \"RSA_AES_KEY_WRAP_SHA_1\"\nexpires = \"never\"\n";

const AZURE: &str = "[[key.import]]\nname = \"azure\"\nkms = \"azure\"\n\
    key = \"https://a-vault.vault.azure.net/keys/payments\"\nparameters = \"inputs/kek.json\"\n\
    wrapping = \"RSA_AES_KEY_WRAP_SHA_1\"\nexpires = \"never\"\n";

const GOOGLE: &str = "[[key.import]]\nname = \"google\"\nkms = \"google\"\n\
    key = \"projects/a-project/locations/global/keyRings/r/cryptoKeys/payments\"\nparameters = \"inputs/job.json\"\n\
    wrapping = \"RSA_AES_KEY_WRAP_SHA_1\"\nexpires = \"never\"\n";

fn paper(room: &Room) -> String {
    room.write_plan();
    let output = room.byok(&["script", "plan.toml"]).output().unwrap();
    well(&output);
    folded(&stdout(&output))
}

#[test]
fn the_paper_has_a_deadline_only_where_a_kms_has_one_and_says_what_is_typed_elsewhere() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let deadline = [
        "They are valid for 24 hours",
        "The deadline on the screen",
        "T+24 h",
    ];
    let elsewhere = [
        "az keyvault key show --id https://a-vault.vault.azure.net/keys/KEK -o json &gt; kek.json",
        "Deadline of Azure Key Vault: NONE: whoever may import there",
        "Azure Key Vault, https://a-vault.vault.azure.net",
        "bao read -format=json transit/wrapping_key &gt; bao.json",
        "Deadline of OpenBao: NONE: whoever may import there",
        "OpenBao, https://bao.example:8200",
    ];
    room.plan.spec = "ECC_NIST_P256".into();
    for (aws, bao) in [(true, false), (false, true), (true, true)] {
        room.plan.imported = aws;
        let more = if bao {
            [BAO, AZURE].concat()
        } else {
            String::new()
        };
        (room.plan.key_more, room.plan.import_more) = match aws {
            true => (String::new(), more),
            false => (more, String::new()),
        };
        let paper = paper(&room);
        for (texts, wanted) in [(&deadline[..], aws), (&elsewhere[..], bao)] {
            for text in texts {
                assert_eq!(paper.contains(text), wanted, "{aws} {bao} {text}");
            }
        }
    }
    // Google's deadline is later
    room.plan.imported = false;
    for (more, hours) in [(GOOGLE.to_owned(), "72"), ([GOOGLE, BAO].concat(), "72")] {
        (room.plan.key_more, room.plan.import_more) = (more, String::new());
        let paper = paper(&room);
        for text in [
            &format!("They are valid for {hours} hours"),
            &format!("T+{hours} h"),
            "gcloud kms import-jobs describe JOB --project a-project --location global --keyring r --format=json &gt; job.json",
            "Google Cloud KMS, global",
        ] {
            assert!(paper.contains(text), "{text}");
        }
        assert!(!paper.contains("24 h"));
    }
    room.plan.imported = true;
    (room.plan.key_more, room.plan.import_more) = (String::new(), [BAO, AZURE].concat());
    room.write_plan();
    fs::remove_dir_all(room.path("inputs")).unwrap(); // not ready, and byok says how it gets so
    let output = room.byok(&["check", "plan.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = folded(&stdout(&output));
    for command in [
        "aws kms get-parameters-for-import",
        "bao read -format=json transit/wrapping_key",
    ] {
        assert!(told.contains(command), "{told}");
    }
}

#[test]
fn doctor_tries_what_the_kms_of_the_plan_takes() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.imported = false;
    room.plan.key_more = BAO.into();
    room.write_plan();
    let output = room
        .byok(&["doctor", "--json", "plan.toml"])
        .output()
        .unwrap();
    well(&output);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let paths = told["paths"].as_array().unwrap();
    let tried = |path: &serde_json::Value| path["wrapping"].as_str().unwrap().to_owned();
    assert!(
        paths
            .iter()
            .all(|path| tried(path).starts_with("RSA_AES_KEY_WRAP_"))
    );
    let of_aes = |path: &&serde_json::Value| {
        path["spec"] == "SYMMETRIC_DEFAULT" && path["wrapped_in"] == "hsm" && path["works"] == true
    };
    let works = paths.iter().find(of_aes).unwrap();
    assert_eq!(works["wrapping"], "RSA_AES_KEY_WRAP_SHA_1");
    let choice = &told["choices"][0];
    assert_eq!(choice["wrapping"], "RSA_AES_KEY_WRAP_SHA_1", "{choice}");
    assert_eq!(choice["wrap_in"], "hsm", "{choice}");
}

/// A result names the KMS that it comes from; what another KMS would say about a version proves nothing here.
#[test]
fn a_result_of_one_kms_is_not_taken_for_that_of_another() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    into_azure_and_google(&mut room);
    let transcript = room.run_well();
    let at = jiff::Timestamp::from_second(now() as i64 + 60).unwrap();
    let key = "https://a-hsm.managedhsm.azure.net/keys/payments";
    for (import, name, own) in [
        ("eu-west-1", ("key_arn", ARN), None),
        ("azure", ("key", key), Some("azure")),
    ] {
        for kms in [
            None,
            Some("openbao"),
            Some("azure"),
            Some("google"),
            Some("oci"),
        ] {
            let version =
                "projects/a-project/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
            let mut result = serde_json::json!({
                "format": "byok-import-result-v1", "ceremony": transcript.lines[0]["ceremony"], "label": LABEL,
                "import": import, name.0: name.1, "KeyId": own.is_none().then_some(ARN), "exit": 0, "error": null,
                "at": at.to_string(), "cli": "aws-cli/2.30", "reimported": "true", "version": version,
            });
            if let Some(kms) = kms {
                result["kms"] = kms.into();
            }
            let file = format!("{import}-{}.json", kms.unwrap_or("none"));
            fs::write(room.path(&file), result.to_string()).unwrap();
            let output = room.byok(&["receipt", "records/one", &file]).output();
            match kms == own {
                true => well(&output.unwrap()),
                false => refused(&output.unwrap(), 4, &["[RECEIPT]"]),
            }
        }
    }
    let output = room.byok(&["verify", "records/one"]).output().unwrap();
    well(&output);
    let told = stdout(&output);
    assert!(
        !told.contains("proved in KMS") && !told.contains("a-project"),
        "{told}"
    );
}
