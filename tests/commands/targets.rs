//! Plans with imports elsewhere than into AWS KMS, as far as no server is needed.

use std::fs;

use crate::support;

use support::targets::{
    MANAGED, RING, answers_of_every_kms, into_a_managed_hsm, into_azure_and_google, into_every_kms,
};
use support::{ARN, Kind, LABEL, Room, folded, now, refused, stderr, stdout, well};

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
        "re valid for 24 hours",
        "The deadline on the screen",
        "24 h after the download",
    ];
    let elsewhere = [
        "bash azure.sh parameters https://a-vault.vault.azure.net/keys/KEK --out inputs/kek.json",
        "Deadline of Azure Key Vault: NONE: whoever may import there",
        "Azure Key Vault, https://a-vault.vault.azure.net",
        "bash transit.sh parameters https://bao.example:8200/v1/transit/keys/payments --out inputs/bao.json",
        "in ceremony-scripts/online, with common.sh beside it",
        "Deadline of OpenBao: NONE: whoever may import there",
        "OpenBao, https://bao.example:8200",
    ];
    room.plan.spec = "ECC_NIST_P256".into();
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 300);
    room.plan.expires = format!("{expires:.0}");
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
        let showed = match (aws, bao) {
            (true, false) => "where online.sh showed its slip",
            (false, _) => "where azure.sh or transit.sh showed its slip",
            (true, true) => "where azure.sh or online.sh or transit.sh showed its slip",
        };
        assert!(paper.contains(showed), "{showed}: {paper}");
        // the scripts write SHA256SUMS; what never expires plans nothing
        assert!(!paper.contains("sha256sum *"), "{paper}");
        let expires = paper.contains("When does the material expire in KMS?");
        assert_eq!(expires, aws, "{paper}");
    }
    room.plan.imported = false;
    room.plan.key_more = BAO.replace("\"openbao\"", "\"vault\"");
    room.plan.import_more = String::new();
    let vault = paper(&room);
    assert!(!vault.contains("runs every import"), "{vault}");
    for verb in ["parameters https://bao", "prove payments-2026/bao --out"] {
        let typed = format!("bash transit.sh --vault {verb}");
        assert!(vault.contains(&typed), "{typed}: {vault}");
    }
    // Google's deadline is later
    room.plan.imported = false;
    for (more, hours) in [(GOOGLE.to_owned(), "72"), ([GOOGLE, BAO].concat(), "72")] {
        (room.plan.key_more, room.plan.import_more) = (more, String::new());
        let paper = paper(&room);
        for text in [
            &format!("re valid for {hours} hours"),
            &format!("{hours} h after the download"),
            "bash google.sh parameters projects/a-project/locations/global/keyRings/r/importJobs/JOB --out inputs/job.json",
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
        "bash transit.sh parameters https://bao.example:8200/v1/transit/keys/payments --out FILE",
    ] {
        assert!(told.contains(command), "{told}");
    }
}

const FILES: [&str; 4] = [
    "inputs/job.json",
    "inputs/kek.json",
    "inputs/bao.json",
    "inputs/oci.json",
];

/// What people know of an engine and of a vault, in the places of a plan that byok writes.
fn filled_in(plan: &str) -> String {
    let compartment = format!("ocid1.compartment.oc1..{}", "a".repeat(60));
    let known = [
        (
            "https://FILL-IN/v1/FILL-IN/keys",
            "https://bao.example:8200/v1/transit/keys".to_owned(),
        ),
        (
            "https://FILL-IN-management.kms.FILL-IN.",
            "https://v-management.kms.eu-frankfurt-1.".into(),
        ),
        ("ocid1.compartment.oc1..FILL-IN", compartment),
    ];
    known.iter().fold(plan.to_owned(), |plan, (from, to)| {
        assert!(plan.contains(from), "{from} is not in {plan}");
        plan.replace(from, to)
    })
}

/// One data key, five KMSs: what no answer tells is to be filled in, and the plan is refused until then.
#[test]
fn a_plan_is_written_from_the_answers_of_every_kms() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let slip = answers_of_every_kms(&room);
    let args = [
        "plan",
        "inputs/eu-west-1.json",
        "--label",
        LABEL,
        "--out",
        "new.toml",
    ];
    let args = [
        &args[..],
        &FILES,
        &["--module", &room.plan.module, "--no-escrow"],
    ]
    .concat();
    let output = room.byok(&args).output().unwrap();
    well(&output);
    let told = folded(&stderr(&output));
    assert!(
        told.contains("FILL IN `key` in this plan for bao, oci"),
        "{told}"
    );
    let plan = fs::read_to_string(room.path("new.toml")).unwrap();
    for line in [
        format!("key_arn    = \"{ARN}\""),
        format!("key        = \"{RING}/cryptoKeys/{LABEL}\""),
        format!("key        = \"{MANAGED}/keys/{LABEL}\""),
        format!("key        = \"https://FILL-IN/v1/FILL-IN/keys/{LABEL}\""),
        "# FILL IN: name it by its URL: https://HOST:PORT/v1/MOUNT/keys/NAME".into(),
        format!("# import_job: {RING}/importJobs/job"),
        "# Azure Managed HSM takes only RSA_AES_KEY_WRAP_SHA_1:".into(),
        "# RSA_AES_KEY_WRAP_SHA_256, RSA_AES_KEY_WRAP_SHA_1".into(),
        "title = \"Data key payments-2026, eu-west-1, google, azure, bao, oci\"".into(),
    ] {
        assert!(plan.lines().any(|is| is == line), "{line} is not in {plan}");
    }
    let check = |text: &str| {
        fs::write(room.path("new.toml"), text).unwrap();
        room.byok(&["check", "new.toml"]).output().unwrap()
    };
    refused(
        &check(&plan),
        2,
        &["FILL-IN/keys/payments-2026\" is not filled in"],
    );
    let filled = filled_in(&plan)
        .replace("\"forbidden\"", "\"allowed\"")
        .replace("\"prompt\"", "\"file:pin\"");
    let output = check(&filled);
    well(&output);
    assert!(
        stdout(&output).contains("ready: byok run would start"),
        "{}",
        stdout(&output)
    );
    let line = |text: &str, name: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(str::to_owned).collect()
    };
    let wrappings = [
        "RSAES_OAEP_SHA_256",
        "RSA_AES_KEY_WRAP_SHA_1", // the job's
        "RSA_AES_KEY_WRAP_SHA_1", // all that Azure takes
        "RSA_AES_KEY_WRAP_SHA_256",
        "RSAES_OAEP_SHA_256",
    ];
    let wanted = wrappings.map(|wrapping| format!("\"{wrapping}\""));
    assert_eq!(line(&plan, "wrapping   = "), wanted);
    assert!(
        slip.len() == 64 && !plan.contains(&slip),
        "the slip is on paper"
    );
}

/// No answer of these KMSs names a spec: it is the usual one, that of the KMS keys of AWS, or the one that is said.
#[test]
fn a_plan_from_answers_that_name_no_spec_takes_the_one_that_is_said() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    answers_of_every_kms(&room);
    let plan = |args: &[&str]| room.byok(&[&["plan"], args].concat()).output().unwrap();
    let spec = ["--spec", "ECC_NIST_P256", "--no-escrow"];
    let output = plan(&[&FILES[..3], &spec].concat());
    well(&output);
    assert!(stdout(&output).contains("spec  = \"ECC_NIST_P256\""));
    let output = plan(&[&["inputs/oci.json"], &spec[..]].concat());
    refused(
        &output,
        2,
        &[
            "inputs/oci.json: OCI Vault imports AES and RSA keys only",
            "--spec SPEC",
        ],
    );
    let vault = fs::read_to_string(room.path("inputs/kek.json")).unwrap();
    let vault = vault.replace("a-hsm.managedhsm", "a-vault.vault");
    fs::write(room.path("inputs/kek.json"), vault).unwrap();
    let output = plan(&["inputs/kek.json", "--no-escrow"]);
    refused(
        &output,
        2,
        &["Azure Key Vault takes key pairs only", "--spec SPEC"],
    );
    let output = plan(&["inputs/kek.json", "--spec", "NO_SUCH", "--no-escrow"]);
    refused(&output, 2, &["spec \"NO_SUCH\" is not a key spec"]);
    // two wrapping keys of one kind are two imports
    fs::copy(room.path("inputs/bao.json"), room.path("inputs/other.json")).unwrap();
    let output = plan(&[
        "inputs/bao.json",
        "inputs/other.json",
        "--spec",
        "AES_128",
        "--no-escrow",
    ]);
    well(&output);
    assert!(
        stdout(&output).contains("name       = \"bao-2\""),
        "{}",
        stdout(&output)
    );
    // broken ones are told by their own KMS
    let job = fs::read_to_string(room.path("inputs/job.json")).unwrap();
    fs::write(
        room.path("inputs/job.json"),
        job.replace("ACTIVE", "PENDING_GENERATION"),
    )
    .unwrap();
    for verb in ["plan", "inspect"] {
        let output = room.byok(&[verb, "inputs/job.json"]).output().unwrap();
        refused(
            &output,
            4,
            &[
                "the import job is PENDING_GENERATION, not ACTIVE",
                "bash google.sh job projects/P/locations/L/keyRings/R/importJobs/JOB",
            ],
        );
        assert!(!stderr(&output).contains("aws "), "{}", stderr(&output));
    }
}

#[test]
fn the_plan_of_a_reimport_takes_the_answers_of_every_kms() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    into_azure_and_google(&mut room);
    room.run_well();
    answers_of_every_kms(&room); // the KEK was made again
    let plan = |file: &str| {
        let args = ["plan", "--reimport", "records/one", file];
        room.byok(&args).output().unwrap()
    };
    let output = plan("inputs/kek.json");
    well(&output);
    let told = stdout(&output);
    assert!(told.contains("parameters = \"inputs/kek.json\""), "{told}");
    assert!(!told.contains("# fetched again: bash azure.sh "), "{told}");
    let refusal = "inputs/bao.json: it is import parameters of OpenBao or Vault, but not for a key of the record";
    refused(&plan("inputs/bao.json"), 4, &[refusal]);
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

/// Each import has the deadline of its own KMS, and the soonest comes first.
#[test]
fn report_and_paper_give_each_import_its_own_deadline() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    into_every_kms(&mut room);
    let script = paper(&room);
    for text in [
        "Those of AWS KMS are valid for 24 hours, those of Google Cloud KMS are valid for 72 hours: the import must be",
        "<h2>24 h after the download for AWS KMS, 72 h after the download for Google Cloud KMS, the import, at the latest",
        "The first deadline is on the last screen",
    ] {
        assert!(script.contains(text), "{text}: {script}");
    }
    room.run_well();
    let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
    let report = folded(&report);
    let inputs = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(room.path(file)).unwrap()).unwrap()
    };
    let told = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let first = inputs("inputs/eu-west-1.json")["ParametersValidTo"]
        .as_f64()
        .unwrap();
    let first = told(jiff::Timestamp::from_second(first as i64).unwrap());
    let last = told(
        inputs("inputs/job.json")["expireTime"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
    );
    let each = format!(
        "<p>before {first}: eu-west-1<p>before {last}: google<p>AT ANY TIME, there is no deadline: azure, bao, oci"
    );
    assert_eq!(report.matches(&each).count(), 2, "{each}: {report}"); // page 1, and the page of the imports
}

/// What is imported is not proved yet: the command is on the paper, on the last screen, and there when it comes again.
#[test]
fn the_last_screen_and_the_paper_say_how_a_missing_proof_is_asked_for() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    into_every_kms(&mut room);
    let azure = format!("bash azure.sh prove {LABEL}/azure --out proof.json");
    let bao = format!("bash transit.sh prove {LABEL}/bao --out proof.json");
    let script = paper(&room);
    let output = room.run();
    well(&output);
    let args = ["verify", "--next", "records/one"];
    let again = room.byok(&args).output().unwrap();
    well(&again);
    let screen = stdout(&again);
    support::fits(screen.split_once(" 2 cloud operator").unwrap().1);
    let readme = fs::read_to_string(room.path("records/one/README.txt")).unwrap();
    support::fits(&readme);
    // copies are made by the same commands, in the same place
    for command in ["cd records", "cp -r one /media/usb1; sync"] {
        assert!(
            script.contains(&format!("{command}</pre>")),
            "{command}: {script}"
        );
        assert!(screen.contains(command), "{command}: {screen}");
    }
    assert!(!script.contains("cp -r records/"), "{script}");
    assert!(script.contains("runs every import in turn"), "{script}");
    for told in [&script, &folded(&screen)] {
        for text in ["ceremony-scripts", "as it lies on the stick"] {
            assert!(told.contains(text), "{text}: {told}");
        }
    }
    for told in [script, stderr(&output), stdout(&again)] {
        for command in [&azure, &bao] {
            assert!(told.contains(command), "{command}: {told}");
        }
        // what went there shows nothing
        for script in ["google.sh prove", "oci.sh prove", "online.sh prove"] {
            assert!(!told.contains(script), "{script}: {told}");
        }
    }
}

/// What two KMSs say is theirs belongs to one of them at most; two data keys go to one vault under one key.
#[test]
fn one_wrapping_key_for_two_kmss_is_warned_of_before_and_after() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let check = |room: &Room| {
        room.write_plan();
        let output = room.byok(&["check", "plan.toml"]).output().unwrap();
        folded(&stdout(&output))
    };
    into_a_managed_hsm(&mut room);
    let second = room.plan.import_more.replace("keys/payments", "keys/cards");
    room.plan.import_more += &second.replace("\"azure\"\nkms", "\"second\"\nkms");
    let told = "one wrapping key for payments-2026/eu-west-1 (AWS KMS), payments-2026/azure (Azure Managed HSM): unless these are one server, \
         find out who made";
    assert!(
        check(&room).contains(&format!("WARNING {told}")),
        "{}",
        check(&room)
    );
    let screen = folded(&support::pty::approval(&room));
    assert!(screen.contains(&format!("WARNING {told}")), "{screen}");
    room.run_well();
    let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
    assert!(folded(&report).contains(&format!("WARNING: {told}")));
    // the vault alone
    room.plan.imported = false;
    room.plan.key_more = std::mem::take(&mut room.plan.import_more);
    let told = check(&room);
    assert!(!told.contains("one wrapping key for"), "{told}");
    assert!(told.contains("payments-2026/second: RSA_2048"), "{told}");
}

/// SoftHSM wraps with SHA-1 alone; OCI never takes that.
#[test]
fn the_way_out_of_an_hsm_that_does_not_wrap_so_is_an_algorithm_of_that_kms() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let slip = answers_of_every_kms(&room);
    room.plan.imported = false;
    room.plan.key_more = format!(
        "[[key.import]]\nname = \"oci\"\nkms = \"oci\"\nkey = \"https://v-management.kms.r.oraclecloud.com/\
         ocid1.compartment.oc1..a/k\"\nparameters = \"inputs/oci.json\"\nwrapping = \"RSAES_OAEP_SHA_256\"\n\
         expires = \"never\"\nwrapping_key_sha256 = \"{slip}\"\n"
    );
    let output = room.run();
    refused(
        &output,
        3,
        &[
            "hint: perhaps this HSM wraps with wrapping = \"RSA_AES_KEY_WRAP_SHA_256\" in the plan",
            "hint: or set wrap_in = \"host\"",
        ],
    );
    // all other algorithms are not OCI's
    assert!(!stderr(&output).contains("SHA_1"), "{}", stderr(&output));
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

/// The same files again: each is taken by its own import, or refused.
#[test]
fn a_plan_again_drops_no_file_and_gives_none_to_another_import() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    into_every_kms(&mut room);
    let mut imports = room.plan.import_more.split("[[key.import]]");
    let bao = imports.find(|text| text.contains("\"bao\"")).unwrap();
    let two = bao.replace("\"bao\"", "\"two\"");
    let two = two.replace("/transit/", "/two/");
    let one = room.plan.import_more.clone();
    let copies = [
        ("bao", "bao2"),
        ("job", "job2"),
        ("eu-west-1", "eu-west-1-2"),
    ];
    for (from, to) in copies {
        let path = |name: &str| room.path(&format!("inputs/{name}.json"));
        fs::copy(path(from), path(to)).unwrap();
    }
    let again = |room: &Room, [first, second]: [&str; 2]| {
        let inputs = [first, second].map(|name| format!("inputs/{name}.json"));
        let args = ["plan", "--reimport", "records/one", &inputs[0], &inputs[1]];
        room.byok(&args).output().unwrap()
    };
    room.run_well();
    for (first, second) in copies {
        let says = format!("inputs/{first}.json and inputs/{second}.json are both for ");
        refused(&again(&room, [first, second]), 2, &[&says]);
    }
    well(&again(&room, ["bao", "job"]));
    // two engines of one server: no file says from which of them it is
    fs::remove_dir_all(room.path("records")).unwrap();
    room.plan.label = "second".into();
    room.plan.import_more = format!("{one}[[key.import]]{two}");
    room.run_well();
    refused(
        &again(&room, ["bao", "bao2"]),
        2,
        &[
            "it does not say which of these it is from: https://bao.example:8200/v1/transit, https://bao.example:8200/v1/two",
        ],
    );
}

/// What is wrong with an import job is said, and not that it is no answer of AWS KMS.
#[test]
fn a_plan_says_what_is_wrong_with_an_import_job_and_warns_of_one_that_expired() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    answers_of_every_kms(&room);
    let job = fs::read_to_string(room.path("inputs/job.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&job).unwrap();
    let plan = |text: String| {
        fs::write(room.path("inputs/job.json"), text).unwrap();
        let args = ["plan", "inputs/job.json", "--no-escrow"];
        let module = ["--module", &room.plan.module];
        room.byok(&[&args[..], &module].concat()).output().unwrap()
    };
    let named = told["name"].as_str().unwrap();
    let long = format!("{named}{}", "x".repeat(64));
    let output = plan(job.replace(named, &long));
    refused(&output, 4, &["which is no import job's"]);
    let output = plan(job.replace("-----BEGIN", "-----begin"));
    refused(&output, 4, &["inputs/job.json"]);
    assert!(!stderr(&output).contains("KeyId"), "{}", stderr(&output));
    let output = plan(job.replace(told["expireTime"].as_str().unwrap(), "2026-01-02T03:04:05Z"));
    well(&output);
    let says = "WARNING: inputs/job.json: KMS took material by it until 2026-01-02 03:04 UTC";
    assert!(
        folded(&stderr(&output)).contains(says),
        "{}",
        stderr(&output)
    );
}
