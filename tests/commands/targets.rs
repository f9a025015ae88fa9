//! Plans with imports elsewhere than into AWS KMS, as far as no server is needed.

use std::fs;

use crate::support;

use support::{Kind, Room, folded, stdout, well};

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
