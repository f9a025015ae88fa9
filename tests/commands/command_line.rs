//! The verbs as people use them: what they print, where, and the exit code they end with.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{
    ARN, Kind, KmsKey, LABEL, PIN, Room, SHA_1, SHA_256, done, now, refused, sha256, skip, stderr,
    stdout,
};

const CHINA: &str =
    "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

/// As `aws kms describe-key` and `create-key` answer.
fn describe_key(arn: &str, origin: &str) -> String {
    let id = arn.rsplit('/').next().unwrap();
    format!(
        "{{\"KeyMetadata\":{{\"AWSAccountId\":\"111122223333\",\"KeyId\":\"{id}\",\"Arn\":\"{arn}\",\"Enabled\":false,\
         \"KeyUsage\":\"ENCRYPT_DECRYPT\",\"KeyState\":\"PendingImport\",\"Origin\":\"{origin}\",\"KeyManager\":\"CUSTOMER\",\
         \"CustomerMasterKeySpec\":\"SYMMETRIC_DEFAULT\",\"KeySpec\":\"SYMMETRIC_DEFAULT\",\"MultiRegion\":false}}}}\n"
    )
}

// ---- byok plan ---------------------------------------------------------------------

/// What a person fills in.
fn filled(plan: &str, room: &Room) -> String {
    let replaced = [
        (
            "network = \"forbidden\"",
            "network = \"allowed\"".to_owned(),
        ),
        ("pin    = \"prompt\"", "pin    = \"file:pin\"".to_owned()),
        (SHA_256, SHA_1.to_owned()),
        (
            "# wrapping_key_sha256 = \"\"",
            format!("wrapping_key_sha256 = \"{}\"", room.kms.sha256()),
        ),
    ];
    replaced.iter().fold(plan.to_owned(), |plan, (from, to)| {
        assert!(plan.contains(from), "{from} is not in:\n{plan}");
        plan.replace(from, to)
    })
}

#[test]
fn a_plan_is_written_from_what_the_online_side_and_the_hsm_say() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(
        room.path("describe-key.json"),
        describe_key(ARN, "EXTERNAL"),
    )
    .unwrap();
    let module = room.plan.module.as_str();
    let args = [
        "plan",
        "describe-key.json",
        "inputs/eu-west-1.json",
        "--module",
        module,
        "--label",
        LABEL,
        "--out",
        "plan.toml",
    ];
    let output = room.byok(&args).output().unwrap();
    assert_eq!(done(&output), "", "words go to standard error");
    assert!(stderr(&output).contains("byok check plan.toml"));
    let text = fs::read_to_string(room.path("plan.toml")).unwrap();
    for says in [
        ARN,
        "# KMS says: SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT, PendingImport",
        "\"pkcs11:token=ceremony;serial=",
        "\"inputs/eu-west-1.json\"",
        "kind  = \"generate\"",
    ] {
        assert!(text.contains(says), "{says} is not in:\n{text}");
    }
    assert!(text.contains("\n# wrapping_key_sha256 = \"\"\n"), "{text}");
    assert!(
        !text.contains(&room.kms.sha256()),
        "the digest comes from paper alone"
    );

    // It stands now; no second plan takes its place.
    refused(
        &room.byok(&args).output().unwrap(),
        2,
        &[
            "plan.toml",
            "give another name, or move that file away first",
        ],
    );
    assert_eq!(fs::read_to_string(room.path("plan.toml")).unwrap(), text);
    // The same to standard output.
    assert_eq!(done(&room.byok(&args[..7]).output().unwrap()), text);

    // What was filled in is checked, and comes to its end.
    let text = filled(&text, &room);
    fs::write(room.path("plan.toml"), &text).unwrap();
    done(
        &room
            .byok(&["check", "--hsm", "plan.toml"])
            .output()
            .unwrap(),
    );
    let output = room.run_text(&text);
    done(&output);
    assert_eq!(room.objects().len(), 1);
}

#[test]
fn a_plan_in_another_directory_still_finds_what_it_names() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::create_dir(room.path("plans")).unwrap();
    fs::write(room.path("create-key.json"), describe_key(ARN, "EXTERNAL")).unwrap();
    std::os::unix::fs::symlink(&room.plan.module, room.path("module.so")).unwrap();
    let args = [
        "plan",
        "create-key.json",
        "inputs/eu-west-1.json",
        "--module",
        "module.so",
        "--out",
        "plans/plan.toml",
    ];
    done(&room.byok(&args).output().unwrap());
    let text = fs::read_to_string(room.path("plans/plan.toml")).unwrap();
    let text = filled(&text, &room).replace("file:pin", "file:../pin");
    fs::write(room.path("plans/plan.toml"), text).unwrap();
    done(&room.byok(&["check", "plans/plan.toml"]).output().unwrap());
}

#[test]
fn a_plan_is_not_written_for_keys_that_take_no_material_or_cannot_be_told_apart() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(room.path("kms.json"), describe_key(ARN, "AWS_KMS")).unwrap();
    let plan = |args: &[&str]| {
        room.byok(&[&["plan", "--out", "plan.toml"], args].concat())
            .output()
            .unwrap()
    };
    refused(
        &plan(&["kms.json"]),
        2,
        &[ARN, "its origin is AWS_KMS", "--origin EXTERNAL"],
    );
    fs::write(
        room.path("kms.json"),
        describe_key(ARN, "EXTERNAL").replace("SYMMETRIC_DEFAULT", "ML_DSA_44"),
    )
    .unwrap();
    refused(
        &plan(&["kms.json"]),
        2,
        &["spec \"ML_DSA_44\" is not importable"],
    );
    refused(&plan(&["pin"]), 2, &["pin: "]);
    refused(
        &plan(&["nowhere.json"]),
        2,
        &["nowhere.json: there is no such file"],
    );

    // Two KMS keys, and one download that names neither.
    let other = ARN.replace("1234abcd", "aaaaaaaa");
    fs::write(room.path("one.json"), describe_key(ARN, "EXTERNAL")).unwrap();
    fs::write(room.path("two.json"), describe_key(&other, "EXTERNAL")).unwrap();
    let console = room.path("inputs/console");
    fs::create_dir(&console).unwrap();
    fs::write(console.join("WrappingPublicKey.bin"), &room.kms.spki).unwrap();
    fs::write(console.join("ImportToken.bin"), &room.kms.token).unwrap();
    refused(
        &plan(&["one.json", "two.json", "inputs/console"]),
        2,
        &["inputs/console: it does not name its KMS key"],
    );
    refused(
        &plan(&["inputs/console"]),
        2,
        &["it does not name its KMS key"],
    );
    assert!(!room.path("plan.toml").exists());

    // With one KMS key it is that one's, and the deadline is a person's to fill in.
    done(&plan(&["one.json", "inputs/console"]));
    let text = fs::read_to_string(room.path("plan.toml")).unwrap();
    assert!(
        text.contains("\"inputs/console\"") && text.contains("# parameters_valid_to = "),
        "{text}"
    );
    assert!(text.contains("token=FILL-IN"), "{text}");
}

#[test]
fn of_several_tokens_the_plan_names_the_one_that_was_chosen() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.token(&["init", "second", PIN]);
    let module = room.plan.module.as_str();
    let plan = |more: &[&str]| {
        room.byok(&[&["plan", "--module", module], more].concat())
            .output()
            .unwrap()
    };
    let output = plan(&[]);
    refused(
        &output,
        3,
        &[
            "2 tokens match",
            "there is pkcs11:token=ceremony;serial=",
            "there is pkcs11:token=second;serial=",
            "--token",
        ],
    );
    assert_eq!(stdout(&output), "");
    for wish in ["second", "pkcs11:token=second"] {
        let text = done(&plan(&["--token", wish]));
        assert!(
            text.contains("token  = \"pkcs11:token=second;serial="),
            "{text}"
        );
    }
    refused(
        &plan(&["--token", "third"]),
        3,
        &["no token matches", "there is pkcs11:token=second"],
    );
}

#[test]
fn a_file_that_is_no_part_of_a_plan_is_told_as_what_it_is() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let transcript = room.transcript("records/one");
    let result = format!(
        "{{\"format\":\"byok-import-result-v1\",\"ceremony\":{},\"label\":\"{LABEL}\",\"import\":\"eu-west-1\",\
         \"key_arn\":\"{ARN}\",\"exit\":0,\"at\":\"2026-11-22T11:42:03Z\"}}\n",
        transcript.lines[0]["ceremony"]
    );
    fs::write(room.path("import-result.json"), result).unwrap();
    for (path, what, command) in [
        (
            "import-result.json",
            "is the import result of import.sh, not import parameters",
            "byok receipt RECORD import-result.json",
        ),
        (
            "records/one",
            "is a record",
            "byok plan --reimport records/one",
        ),
        (
            "plan.toml",
            "is a plan, not import parameters",
            "byok check plan.toml",
        ),
        ("nowhere.json", "there is no such file", "each by its path"),
    ] {
        let output = room.byok(&["plan", path]).output().unwrap();
        refused(&output, 2, &[&format!("{path}: {what}"), command]);
    }
}

#[test]
fn help_fits_a_screen_of_79_columns() {
    let verbs: [&[&str]; 12] = [
        &[],
        &["rehearse"],
        &["doctor"],
        &["plan"],
        &["check"],
        &["run"],
        &["verify"],
        &["receipt"],
        &["inspect"],
        &["script"],
        &["share"],
        &["share", "check"],
    ];
    for verb in verbs {
        for help in ["-h", "--help"] {
            let output = Command::new(support::program())
                .args(verb)
                .arg(help)
                .output()
                .unwrap();
            for line in done(&output).lines() {
                assert!(line.chars().count() <= 79, "{verb:?} {help}: {line}");
            }
        }
    }
}

#[test]
fn a_refused_command_line_says_what_to_type_and_where_its_value_is() {
    let record = "RECORD is the directory that a ceremony left";
    let rows: [(&[&str], &str, &str); 12] = [
        (
            &["plan", "--reimport"],
            "type: byok plan --reimport RECORD\n",
            record,
        ),
        (
            &["plan", "--recover="],
            "type: byok plan --recover RECORD\n",
            record,
        ),
        (
            &["plan", "--new-shares"],
            "type: byok plan --new-shares RECORD\n",
            record,
        ),
        (
            &["plan", "--token"],
            "type: byok plan --token TOKEN\n",
            "lists the tokens",
        ),
        (
            &["plan", "--threshold", "two", "--custodians", "a, b"],
            "type: byok plan --threshold M\n",
            "--custodians 'Security, Audit, Treasury' --threshold 2",
        ),
        (
            &["run"],
            "type: byok run PLAN\n",
            "PLAN is the file that byok plan wrote",
        ),
        (
            &["run", "plan.toml", "--approve"],
            "type: byok run --approve SHA256 PLAN\n",
            "sha256sum PLAN",
        ),
        (&["verify"], "type: byok verify RECORD\n", record),
        (
            &["verify", "--head"],
            "type: byok verify --head 'ROW1 ROW2 ROW3' RECORD\n",
            "type ROW1 to ROW3 from the paper",
        ),
        (
            &["receipt"],
            "type: byok receipt RECORD FILES...\n",
            "every import-result*.json",
        ),
        (
            &["verify", "--rows", "a"],
            "byok verify --help: all options",
            "an example",
        ),
        (
            &["verfy"],
            "byok --help lists what there is to type",
            "'verify'",
        ),
    ];
    for (typed, command, found) in rows {
        let refused = Command::new(support::program())
            .args(typed)
            .output()
            .unwrap();
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{typed:?}: {said}");
        assert!(
            said.contains(&format!("byok: hint: {command}")),
            "{typed:?}: {said}"
        );
        assert!(said.contains(found), "{typed:?}: {said}");
        assert!(refused.stdout.is_empty(), "{typed:?}");
    }
    // Help that was asked for is none of it.
    let help = Command::new(support::program())
        .args(["plan", "--help"])
        .output()
        .unwrap();
    assert!(!done(&help).contains("hint:"));
    assert_eq!(stderr(&help), "");
}

// ---- byok check --------------------------------------------------------------------

#[test]
fn check_ends_with_the_code_that_run_would() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let good = room.plan.clone();
    let check = |room: &Room, args: &[&str]| {
        room.write_plan();
        room.byok(&[&["check", "plan.toml"], args].concat())
            .output()
            .unwrap()
    };
    let output = check(&room, &[]);
    let text = done(&output);
    assert!(text.contains("WARNING  no [escrow]"), "{text}");
    done(&check(&room, &["--hsm"])); // what it says: stories/ceremony.txt
    let said = json(&check(&room, &["--json", "--hsm"]));
    assert_eq!(said["exit"], 0);
    let lines = said["lines"].as_array().unwrap();
    assert!(
        lines
            .iter()
            .all(|line| line["state"] == "ok" || line["state"] == "warning"),
        "{said}"
    );
    assert_eq!(room.objects(), [""; 0]);
    assert_eq!(room.beside(), [""; 0]);

    // Each thing that is wrong: the state, the exit code, and what is said, of check and of run.
    type Change = fn(&mut Room);
    let table: [(Change, &[&str], &str, i32, &str); 14] = [
        (
            |room| fs::remove_file(room.path("inputs/eu-west-1.json")).unwrap(),
            &[],
            "not yet  ",
            2,
            "[PARAMETERS-PRESENT]",
        ),
        (
            |room| room.plan.key_arn = ARN.replace("1111", "9999"),
            &[],
            "wrong    ",
            4,
            "[KEY-ARN-MATCH]",
        ),
        (
            |room| {
                fs::write(
                    room.path("inputs/eu-west-1.json"),
                    room.kms.parameters(ARN, now() - 1),
                )
                .unwrap()
            },
            &[],
            "wrong    ",
            4,
            "[PARAMETERS-DEADLINE]",
        ),
        (
            |room| {
                fs::write(
                    room.path("inputs/eu-west-1.json"),
                    room.kms.parameters(ARN, now() + 90_000),
                )
                .unwrap()
            },
            &[],
            "wrong    ",
            5,
            "[CLOCK]",
        ),
        (
            |room| fs::write(room.path("inputs/eu-west-1.json"), "{}").unwrap(),
            &[],
            "wrong    ",
            2,
            "has no `",
        ),
        (
            |room| room.plan.wrapping_key_sha256 = Some("00".repeat(32)),
            &[],
            "wrong    ",
            4,
            "[WRAPPING-KEY-MATCH]",
        ),
        (
            |room| room.plan.module = "/nonexistent.so".into(),
            &[],
            "wrong    ",
            3,
            "/nonexistent.so",
        ),
        (
            |room| room.plan.token = "pkcs11:token=another".into(),
            &[],
            "wrong    ",
            3,
            "no token matches",
        ),
        (
            |room| room.plan.directory = "inputs".into(),
            &[],
            "wrong    ",
            2,
            "[RECORD-EXISTS]",
        ),
        (
            |room| room.plan.expires = "2025-01-01T00:00:00Z".into(),
            &[],
            "wrong    ",
            2,
            "[EXPIRY]",
        ),
        (
            |room| room.plan.pin = "file:nowhere".into(),
            &[],
            "wrong    ",
            2,
            "the PIN file",
        ),
        (
            |room| room.plan.pin = "file:inputs".into(),
            &[],
            "wrong    ",
            2,
            "not a regular file",
        ),
        (
            |room| fs::write(room.path("pin"), "wrong-pin-of-the-tests").unwrap(),
            &["--hsm"],
            "wrong    ",
            3,
            "CKR_PIN_INCORRECT",
        ),
        (
            |room| room.plan.wrapping = SHA_256.into(),
            &["--hsm"],
            "wrong    ",
            3,
            "C_WrapKey: CKR_ARGUMENTS_BAD",
        ),
    ];
    for (change, args, state, exit, says) in table {
        change(&mut room);
        let checked = check(&room, args);
        let text = stdout(&checked);
        assert_eq!(checked.status.code(), Some(exit), "{says}: {text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with(state) && line.contains(says)),
            "{says}: {text}"
        );
        let said = json(&check(&room, &[args, &["--json"]].concat()));
        assert_eq!(said["exit"], exit);
        let ran = room.run();
        refused(&ran, exit, &[says]);
        let _ = fs::remove_dir_all(room.path("records"));
        room.plan = good.clone();
        room.write_parameters();
        fs::write(room.path("pin"), PIN).unwrap();
    }
    room.token(&["plant", "ceremony", PIN, LABEL]);
    let output = check(&room, &["--hsm"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("[LABEL-FREE]"));
    room.plan.label = "payments-2027".into();
    done(&check(&room, &["--hsm"]));
}

#[test]
fn check_says_so_where_no_session_can_be_opened() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let Some(()) = room.behind_proxy("fail:C_OpenSession:1:CKR_TOKEN_WRITE_PROTECTED") else {
        return;
    };
    room.write_plan();
    for args in [
        &["check", "plan.toml"][..],
        &["check", "--hsm", "plan.toml"],
    ] {
        let output = room.byok(args).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
        assert!(
            stdout(&output).contains("C_OpenSession: CKR_TOKEN_WRITE_PROTECTED"),
            "{}",
            stdout(&output)
        );
    }
    refused(
        &room.run(),
        3,
        &["C_OpenSession: CKR_TOKEN_WRITE_PROTECTED"],
    );
    room.without_proxy();
    room.run_corrected(&[]);
}

// ---- byok inspect ------------------------------------------------------------------

#[test]
fn inspect_says_what_each_file_is() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_corrected(&[]);
    fs::write(
        room.path("describe-key.json"),
        describe_key(ARN, "EXTERNAL"),
    )
    .unwrap();
    fs::write(
        room.path("package.json"),
        "{\"format\":\"byok-escrow-package-v1\"}",
    )
    .unwrap();
    let console = room.path("console");
    fs::create_dir(&console).unwrap();
    fs::write(console.join("pkey.b64"), support::base64(&room.kms.spki)).unwrap();
    fs::write(console.join("token.b64"), support::base64(&room.kms.token)).unwrap();
    let zip = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs/console-streamed.zip");
    let wrapped = format!("records/one/{LABEL}/eu-west-1/WrappedKeyMaterial.bin");
    let head = sha256(&room.transcript("records/one").bytes);
    let digest = room.kms.sha256();
    let table: [(&str, &str, &str, &str); 9] = [
        (
            "inputs/eu-west-1.json",
            "import parameters, JSON",
            "wrapping_key_sha256",
            &digest,
        ),
        (
            "console",
            "import parameters, a directory",
            "wrapping_key_sha256",
            &digest,
        ),
        (
            zip.to_str().unwrap(),
            "import parameters, the console's zip",
            "key_arn",
            "not in the file",
        ),
        ("plan.toml", "plan", "kind", "generate"),
        (
            "describe-key.json",
            "answer of DescribeKey or CreateKey",
            "key_arn",
            ARN,
        ),
        (
            &wrapped,
            "wrapped key material, by its length",
            "wrapping_key",
            "RSA_2048, RSAES_OAEP",
        ),
        ("records/one/transcript.jsonl", "transcript", "head", &head),
        ("records/one", "record", "head", &head),
        (
            "package.json",
            "escrow package",
            "format",
            "byok-escrow-package-v1",
        ),
    ];
    for (path, what, name, value) in table {
        let text = done(&room.byok(&["inspect", path]).output().unwrap());
        assert!(
            text.contains(what) && text.contains(value),
            "{path}: {text}"
        );
        let said = json(&room.byok(&["inspect", "--json", path]).output().unwrap());
        assert_eq!(said["what"], what, "{path}");
        assert_eq!(said[name], value, "{path}");
    }
    assert!(
        Command::new("mkfifo")
            .arg(room.path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    for (path, says) in [
        ("nowhere", "nowhere: No such file"),
        ("fifo", "not a regular file"),
        ("pin", "neither JSON nor a zip"),
        ("inputs", "holds no public key"),
    ] {
        refused(&room.byok(&["inspect", path]).output().unwrap(), 2, &[says]);
    }
    let path = room.path("records/one/transcript.jsonl");
    let changed = fs::read_to_string(&path)
        .unwrap()
        .replacen("Payments", "Paymints", 1);
    fs::write(&path, changed).unwrap();
    for path in ["records/one", "records/one/transcript.jsonl"] {
        refused(
            &room.byok(&["inspect", path]).output().unwrap(),
            4,
            &["broken", "line 1"],
        );
    }
}

// ---- byok doctor -------------------------------------------------------------------

fn doctor(kind: Kind) {
    let Some(room) = Room::new(kind) else {
        return;
    };
    room.write_plan();
    let output = room
        .byok(&["doctor", "plan.toml", "--json"])
        .output()
        .unwrap();
    done(&output);
    let said = json(&output);
    assert_eq!(
        (&said["software"], &said["token"]["token"]),
        (&true.into(), &"ceremony".into())
    );
    assert_eq!(
        said["module"]["module_sha256"],
        sha256(&fs::read(&room.module).unwrap()).as_str()
    );
    assert_eq!(said["data_key_attributes"]["CKA_DECRYPT"], false);
    let paths = said["paths"].as_array().unwrap();
    let symmetric = paths
        .iter()
        .filter(|path| path["spec"] == "SYMMETRIC_DEFAULT");
    assert_eq!(symmetric.count(), 12); // every algorithm, size and place
    for path in paths {
        let spec = path["spec"].as_str().unwrap();
        let private = support::is_private(spec);
        let in_hsm = path["wrapped_in"] == "hsm";
        let wrapping = path["wrapping"].as_str().unwrap();
        let by_itself = match kind {
            Kind::SoftHsm => wrapping.ends_with("_SHA_1") && !private, // it appends bytes to private keys
            Kind::Kryoptic => !spec.starts_with("ECC_"), // it drops leading zeros of private values
        };
        let of_no_use = kind == Kind::SoftHsm && spec == "ED25519"; // it wraps such a key in no way
        let expected = !of_no_use && (!in_hsm || by_itself);
        assert_eq!(path["works"], expected, "{path}");
        assert_eq!(path["why"].is_null(), expected, "{path}");
        let rsa_aes = wrapping.starts_with("RSA_AES");
        let by = match kind {
            Kind::SoftHsm => "CKM_AES_KEY_WRAP_PAD",
            Kind::Kryoptic => "CKM_AES_KEY_WRAP_KWP",
        };
        let mechanism = (rsa_aes && in_hsm && expected).then_some(by);
        assert_eq!(path["mechanism"].as_str(), mechanism, "{path}");
    }
    let of = |list: &serde_json::Value, spec: &str| {
        let mut rows = list.as_array().unwrap().iter();
        let row = rows.find(|row| row["spec"] == spec);
        row.map(|row| row["works"] == true)
    };
    let makes = |spec| of(&said["data_keys"], spec).unwrap();
    assert_eq!(makes("ECC_SECG_P256K1"), kind == Kind::SoftHsm, "{said}");
    assert!(makes("HMAC_384") && makes("ECC_NIST_P521") && makes("RSA_2048"));
    assert!(!makes("RSA_4096"), "it is not tried unless --all says so");
    let escrow = |spec| of(&said["escrow"]["data_keys"], spec);
    assert_eq!(escrow("HMAC_224"), Some(kind == Kind::Kryoptic), "{said}");
    assert_eq!(escrow("HMAC_256"), Some(true));
    assert_eq!(escrow("RSA_2048"), Some(true));
    assert_eq!(said["signer"]["works"], true, "{said}");
    assert_eq!(said["choices"][0]["wrap_in"], "hsm");
    assert_eq!(said["choices"][0]["specs"][0], "SYMMETRIC_DEFAULT");
    assert_eq!(room.objects(), [""; 0]);

    let module = room.plan.module.as_str();
    let place = [
        "doctor",
        "--module",
        module,
        "--token",
        "pkcs11:token=ceremony",
        "--pin",
        "file:pin",
    ];
    let text = done(&room.byok(&place).output().unwrap());
    let lines: Vec<&str> = text.lines().collect();
    let named = |line: &str, spec: &str| line.split([' ', ',']).any(|word| word == spec);
    // the row of the spec, or of that which has the same
    let row = |spec: &str| {
        let at = lines.iter().position(|line| named(line, spec)).unwrap();
        let first = lines[at].starts_with(spec);
        let (_, cells) = lines[if first { at } else { at - 1 }]
            .split_once(' ')
            .unwrap();
        let cells: Vec<&str> = cells.split_whitespace().collect();
        format!("{spec} {}", cells.join(" "))
    };
    let rows = match kind {
        Kind::SoftHsm => [
            "SYMMETRIC_DEFAULT yes NO (1) two parts NO (2) yes AES-KW",
            "HMAC_224 yes NO (1) NO (3) NO (2) yes NO (4)",
            "AES_192 . NO (1) two parts NO (2) yes AES-KW",
            "ECC_NIST_P521 NO (5) NO (1) NO (6) NO (2) yes AES-KWP",
            "RSA_2048 . . NO (6) NO (2) yes AES-KWP",
            "ECC_SECG_P256K1 NO (5) NO (1) NO (6) NO (2) yes AES-KWP",
            "ED25519 . NO (1) NO (7) NO (2) NO (7) NO (7)",
        ],
        Kind::Kryoptic => [
            "SYMMETRIC_DEFAULT yes yes two parts two parts yes AES-KW",
            "HMAC_224 yes yes two parts two parts yes AES-KWP",
            "AES_192 . yes two parts two parts yes AES-KW",
            "ED25519 . yes two parts two parts yes AES-KWP",
            // how short a private value is that it drops zeros of is chance, and so how many reasons there are
            "ECC_NIST_P521 NO (n) NO (n) NO (n) NO (n) yes AES-KWP",
            "RSA_2048 . . two parts two parts yes AES-KWP",
            "ECC_SECG_P256K1 NO: this HSM does not make it (n)",
        ],
    };
    let any_reason = |row: &str| {
        let parts = row.split(' ').map(|part| match part.strip_prefix('(') {
            Some(number) if kind == Kind::Kryoptic && number.ends_with(')') => "(n)",
            _ => part,
        });
        parts.collect::<Vec<_>>().join(" ")
    };
    for expected in rows {
        let row = any_reason(&row(expected.split(' ').next().unwrap()));
        assert_eq!(row, expected, "{text}");
    }
    let (_, below) = text.split_once("\n  (1) ").unwrap();
    let reason = match kind {
        Kind::SoftHsm => "CKR_",
        Kind::Kryoptic => "RFC 5915",
    };
    assert!(below.contains(reason), "{text}");
    let place = |of: &str| lines.iter().position(|line| line.starts_with(of)).unwrap();
    let (head, legend) = (place("spec  "), place("  . "));
    support::fits(&lines[head..].join("\n"));
    assert!(legend - head < 20, "{text}"); // the whole table is seen at once
    serves(&text, kind);
    ends_with_the_answer(&text, kind);
    assert!(text.contains("signer    P-256 key pair"), "{text}");
    assert_eq!((room.objects(), room.signers()), (vec![], vec![]));
}

/// Without a plan: which KMSs can get data keys of this HSM, and how.
#[track_caller]
fn serves(text: &str, kind: Kind) {
    let told = support::folded(text);
    let lines: &[&str] = match kind {
        Kind::SoftHsm => &[
            "RSAES_OAEP_SHA_1, wrap_in = \"hsm\": AWS KMS serves",
            "RSA_AES_KEY_WRAP_SHA_1, wrap_in = \"hsm\": OpenBao, Vault, Azure Managed HSM, Google Cloud KMS serves",
            "RSAES_OAEP_SHA_256, wrap_in = \"host\": OCI Vault serves",
            "RSA_AES_KEY_WRAP_SHA_1, wrap_in = \"host\": Azure Key Vault choose",
        ],
        Kind::Kryoptic => &[
            "RSAES_OAEP_SHA_256, wrap_in = \"hsm\": AWS KMS, Google Cloud KMS, OCI Vault serves",
            "RSA_AES_KEY_WRAP_SHA_1, wrap_in = \"hsm\": AWS KMS, OpenBao, Vault, Azure Key Vault, Azure Managed HSM, \
             Google Cloud KMS choose",
        ],
    };
    for line in lines {
        assert!(told.contains(line), "{line}: {text}");
    }
}

/// What to choose, what fails, and what to type next, in few lines: nobody has to scroll back for it.
#[track_caller]
fn ends_with_the_answer(text: &str, kind: Kind) {
    let (_, answer) = text.rsplit_once("\n\n").unwrap();
    assert!(answer.lines().count() <= 14, "{text}");
    let answer = support::folded(answer);
    let choices: &[&str] = match kind {
        Kind::SoftHsm => &[
            "choose wrapping = \"RSAES_OAEP_SHA_1\", wrap_in = \"hsm\", for SYMMETRIC_DEFAULT, HMAC_224,",
            "choose wrapping = \"RSAES_OAEP_SHA_256\", wrap_in = \"host\", for ECC_NIST_P256, ECC_NIST_P384, \
             ECC_NIST_P521, ECC_SECG_P256K1 choose",
            "choose wrapping = \"RSA_AES_KEY_WRAP_SHA_256\", wrap_in = \"host\", for RSA_2048 not tried",
            "[escrow] for HMAC_224, ED25519 (why: above)",
        ],
        Kind::Kryoptic => &[
            "choose wrapping = \"RSAES_OAEP_SHA_256\", wrap_in = \"hsm\", for SYMMETRIC_DEFAULT, HMAC_224,",
            "choose wrapping = \"RSA_AES_KEY_WRAP_SHA_256\", wrap_in = \"hsm\", for AES_128, AES_192, AES_256, ED25519, RSA_2048",
            "fails data keys of ECC_SECG_P256K1, ",
        ],
    };
    for told in choices {
        assert!(answer.contains(told), "{told}: {text}");
    }
    for told in [
        " wrappings",
        "not tried RSA_3072, RSA_4096: byok doctor --all tries them",
        "WARNING a software HSM",
        "next byok plan FILES --out plan.toml",
        "--token 'pkcs11:token=ceremony' then correct `wrapping` and `wrap_in` in plan.toml",
    ] {
        assert!(answer.contains(told), "{told}: {text}");
    }
}

#[test]
fn doctor_tells_what_softhsm_can_do_and_leaves_nothing() {
    doctor(Kind::SoftHsm);
}

#[test]
fn doctor_tells_what_kryoptic_can_do_and_leaves_nothing() {
    doctor(Kind::Kryoptic);
}

#[test]
fn doctor_says_what_it_needs() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let module = room.plan.module.as_str();
    let doctor = |args: &[&str]| room.byok(&[&["doctor"], args].concat()).output().unwrap();
    refused(&doctor(&[]), 2, &["no module: give a PLAN"]);
    refused(
        &doctor(&["--module", module]),
        2,
        &["no token: give a PLAN"],
    );
    refused(
        &doctor(&["--module", module, "--token", "pkcs11:token=ceremony"]),
        2,
        &["nobody is there to type the PIN"],
    );
    refused(
        &doctor(&[
            "--module",
            module,
            "--token",
            "pkcs11:token=other",
            "--pin",
            "file:pin",
        ]),
        3,
        &["no token matches"],
    );
    refused(
        &doctor(&["--leftovers", "inputs"]),
        2,
        &["transcript.jsonl", "aborted or interrupted run"],
    );
}

#[test]
fn a_sealed_record_has_no_leftovers() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_corrected(&[]);
    let objects = room.objects();
    let text = done(
        &room
            .byok(&["doctor", "plan.toml", "--leftovers", "records/one"])
            .output()
            .unwrap(),
    );
    let said = "sealed    this record is complete: what it made is in the token on purpose. byok verify records/one\n";
    assert_eq!(text, said);
    assert_eq!(room.objects(), objects);
}

/// A record whose data key still stands in the token, as if a run had been interrupted before its end.
fn interrupted(room: &Room, record: &str) {
    let path = room.path(record).join("transcript.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
}

/// A record may come from anybody, and its plan name any program.
#[test]
fn leftovers_are_looked_for_where_a_person_says_and_not_where_the_record_does() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    interrupted(&room, "records/one");
    let module = room.plan.module.clone();
    let doctor = |args: &[&str]| {
        let args = [&["doctor", "--leftovers", "records/one"], args].concat();
        room.byok(&args).output().unwrap()
    };
    refused(
        &doctor(&[]),
        2,
        &[
            "A record's own plan may name any program as the module, so byok does not use it",
            "byok doctor PLAN --leftovers records/one",
            &format!("--module '{module}' --token "),
        ],
    );
    let said = json(&doctor(&["--json", "plan.toml"]));
    assert_eq!(said["left"][0]["label"], LABEL, "{said}");
}

// ---- byok rehearse -----------------------------------------------------------------

#[test]
fn a_rehearsal_asks_nothing_proves_everything_and_is_marked_as_one() {
    let Some(module) = Kind::SoftHsm.module() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&module, dir.path().join("module.so")).unwrap();
    // The module is named from where the person stands.
    let byok = |args: &[&str]| {
        let mut command = Command::new(support::program());
        command
            .args(args)
            .current_dir(dir.path())
            .env_clear()
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    let output = byok(&[
        "rehearse",
        "--directory",
        "practice",
        "--module",
        "module.so",
    ]);
    let text = done(&output);
    let lines: Vec<&str> = text.lines().collect();
    let words: Vec<&str> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .filter(|word| !word.is_empty()) // a line that went on below itself
        .collect();
    assert_eq!(
        words,
        [
            "made", "wrapped", "imported", "escrowed", "reimport", "lost", "evidence", "look"
        ],
        "{text}"
    );
    assert!(
        lines[0].contains("payments-2026: 32 random bytes") && lines[0].contains("KCV "),
        "{text}"
    );
    assert!(
        lines[1].ends_with("512 bytes")
            && lines[2].ends_with("opened")
            && lines[6].ends_with("refused"),
        "{text}"
    );
    let look = lines[7]
        .split_whitespace()
        .nth(2)
        .unwrap()
        .trim_end_matches(',');
    let record = Path::new(look).parent().unwrap();
    assert!(look.starts_with("practice/"), "{text}");

    let shown = record.to_str().unwrap();
    let verified = done(&byok(&["verify", shown]));
    assert!(verified.starts_with("REHEARSAL: "), "{verified}");
    // what the stand-in took is in no receipt, and both say so
    for told in [lines[2], &verified] {
        assert!(told.contains("no receipt"), "{told}");
        assert!(!told.contains("proved"), "{told}");
    }
    assert_eq!(json(&byok(&["verify", "--json", shown]))["rehearsal"], true);
    assert!(done(&byok(&["verify", "--next", shown])).contains("REHEARSAL: nothing here is real"));
    let here = dir.path().join(record);
    let script = format!("{LABEL}/eu-west-1/import.sh");
    for path in ["README.txt", "import.sh", &script] {
        assert!(
            fs::read_to_string(here.join(path))
                .unwrap()
                .contains("REHEARSAL"),
            "{path}"
        );
    }
    for path in ["import.sh", &script] {
        let ran = Command::new("bash")
            .arg(here.join(path))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!ran.status.success(), "{path}: {}", stdout(&ran));
        assert!(
            (stdout(&ran) + &stderr(&ran)).contains("REHEARSAL"),
            "{path}: {}",
            stderr(&ran)
        );
        assert!(
            !here
                .join(LABEL)
                .join("eu-west-1/import-result.json")
                .exists()
        );
    }
    // A second one beside the first.
    done(&byok(&[
        "rehearse",
        "--directory",
        "practice",
        "--module",
        module.to_str().unwrap(),
    ]));
    assert_eq!(
        fs::read_dir(dir.path().join("practice")).unwrap().count(),
        2
    );

    refused(
        &byok(&[
            "rehearse",
            "--module",
            "/nonexistent.so",
            "--directory",
            "practice",
        ]),
        3,
        &["/nonexistent.so"],
    );
}

#[test]
fn rehearsing_a_plan_needs_a_terminal() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    let module = room.plan.module.as_str();
    let output = room
        .byok(&[
            "rehearse",
            "plan.toml",
            "--module",
            module,
            "--directory",
            "practice",
        ])
        .output()
        .unwrap();
    refused(&output, 2, &["rehearsing a plan needs a terminal"]);
    assert_eq!(
        room.objects(),
        [""; 0],
        "the plan's own token is not touched"
    );
    assert_eq!(room.beside(), [""; 0]);
}

// ---- the forms of import parameters --------------------------------------------------

#[test]
fn every_form_of_import_parameters_comes_to_its_end() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let deadline = now() + 86_000;
    let usual = room.kms.parameters(ARN, deadline);
    let fraction = format!("{deadline}.123");
    let iso = jiff::Timestamp::from_second(deadline as i64)
        .unwrap()
        .to_string();
    let offset = format!("\"{}+00:00\"", iso.trim_end_matches('Z'));
    let utf_16 = |text: &str| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    let (key, token) = (room.kms.spki.clone(), room.kms.token.clone());
    let mut forms: Vec<(&str, bool)> = Vec::new();
    let mut write = |path: &'static str, bytes: &[u8], carries: bool| {
        let path_here = room.path(path);
        fs::create_dir_all(path_here.parent().unwrap()).unwrap();
        fs::write(path_here, bytes).unwrap();
        forms.push((path, carries));
    };
    write("inputs/fraction.json", usual.as_bytes(), true);
    write(
        "inputs/integer.json",
        usual.replace(&fraction, &deadline.to_string()).as_bytes(),
        true,
    );
    write(
        "inputs/iso.json",
        usual.replace(&fraction, &offset).as_bytes(),
        true,
    );
    write("inputs/utf16.json", &utf_16(&usual), true);
    let named = usual.replacen(
        '{',
        &format!("{{\"WrappingAlgorithm\": \"{SHA_1}\", \"WrappingKeySpec\": \"RSA_2048\","),
        1,
    );
    write("inputs/later-api.json", named.as_bytes(), true);
    write("inputs/console/WrappingPublicKey.bin", &key, false);
    write("inputs/console/ImportToken.bin", &token, false);
    write("inputs/console/README.txt", b"Use within 24 hours", false);
    write(
        "inputs/workshop/pkey.b64",
        support::base64(&key).as_bytes(),
        false,
    );
    write(
        "inputs/workshop/token.b64",
        support::base64(&token).as_bytes(),
        false,
    );
    forms.retain(|(path, _)| path.ends_with(".json"));
    forms.extend([("inputs/console", false), ("inputs/workshop", false)]);
    let files = ["WrappingPublicKey.bin", "ImportToken.bin", "README.txt"];
    let zips = [
        ("inputs/zip.zip", vec!["zip", "-q", "../zip.zip"]),
        (
            "inputs/python.zip",
            vec!["python3", "-m", "zipfile", "-c", "../python.zip"],
        ),
    ];
    for (path, program) in &zips {
        let made = Command::new(program[0])
            .args(&program[1..])
            .args(files)
            .current_dir(room.path("inputs/console"))
            .output();
        match made {
            Ok(output) if output.status.success() => forms.push((path, false)),
            _ => skip(&format!("there is no {}", program[0])),
        }
    }
    for (number, (path, carries_deadline)) in forms.iter().enumerate() {
        room.plan.parameters = (*path).to_owned();
        room.plan.label = format!("payments-{number}");
        room.plan.directory = format!("records/{number}");
        if !carries_deadline {
            room.plan.import_more = String::new();
            refused(
                &room.run(),
                2,
                &["carry no ParametersValidTo", "parameters_valid_to"],
            );
            room.plan.import_more = format!("parameters_valid_to = \"{iso}\"\n");
        }
        let output = room.run();
        assert!(output.status.success(), "{path}: {}", stderr(&output));
        let folder = format!("records/{number}/payments-{number}/eu-west-1");
        assert_eq!(
            room.openssl_opens(&format!("{folder}/WrappedKeyMaterial.bin"))
                .len(),
            32,
            "{path}"
        );
        assert_eq!(
            fs::read(room.path(&folder).join("ImportToken.bin")).unwrap(),
            token,
            "{path}"
        );
        let transcript = room.transcript(&format!("records/{number}"));
        let read = transcript.event("import-parameters-read");
        assert_eq!(read["key_arn_in_parameters"], *carries_deadline, "{path}");
        let first = &read["files"][0];
        let name = first["name"].as_str().unwrap();
        let bytes = fs::read(room.path("inputs").join(name)).unwrap();
        assert_eq!(first["sha256"], sha256(&bytes).as_str(), "{path}");
        assert!(
            read["valid_to"]
                .as_str()
                .unwrap()
                .starts_with(iso.trim_end_matches('Z')),
            "{path}: {read}"
        );
    }
    assert_eq!(room.objects().len(), forms.len());
    room.plan.parameters = "inputs/fraction.json".into();
    room.plan.directory = "records/contradiction".into();
    room.plan.label = "contradiction".into();
    room.plan.import_more = "parameters_valid_to = \"2027-01-01T00:00:00Z\"\n".into();
    refused(
        &room.run(),
        2,
        &["parameters_valid_to is 2027-01-01T00:00:00Z in the plan, but the parameters carry"],
    );
}

// ---- PINs --------------------------------------------------------------------------

#[test]
fn a_pin_comes_from_a_file_or_a_descriptor_with_or_without_a_line_end() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    for (number, end) in ["", "\n", "\r\n", "\n\n"].iter().enumerate() {
        fs::write(room.path("pin"), format!("{PIN}{end}")).unwrap();
        for (pin, run) in [
            ("file:pin", vec!["env"]),
            ("fd:7", vec!["sh", "-c", "exec \"$0\" \"$@\" 7<pin"]),
            ("fd:3", vec!["sh", "-c", "exec \"$0\" \"$@\" 3<&0"]),
        ] {
            room.plan.pin = pin.into();
            room.plan.label = format!("{}-{number}", pin.replace(':', "-"));
            room.plan.directory = format!("records/{}", room.plan.label);
            let mut command = room.run_under(&run);
            // Descriptor 3 is a pipe.
            let output = support::pipe(&mut command, format!("{PIN}{end}").as_bytes());
            done(&output);
            assert!(!stderr(&output).contains(PIN));
        }
    }
    assert_eq!(room.objects().len(), 12);

    room.plan.label = LABEL.into();
    room.plan.directory = "records/one".into();
    for (pin, content, exit, says) in [
        (
            "file:nowhere",
            PIN.to_owned(),
            2,
            "the PIN file nowhere: No such file",
        ),
        (
            "file:inputs",
            PIN.to_owned(),
            2,
            "the PIN file inputs: it is not a regular file",
        ),
        (
            "fd:9",
            PIN.to_owned(),
            2,
            "the PIN from descriptor 9: No such file",
        ),
        ("file:pin", format!("x{PIN}\n"), 3, "CKR_PIN_INCORRECT"),
    ] {
        fs::write(room.path("pin"), content).unwrap();
        room.plan.pin = pin.into();
        refused(&room.run(), exit, &["step 4 of 13", says]);
    }
    fs::write(room.path("pin"), PIN).unwrap();
    room.plan.pin = "file:pin".into();
    let before = room.objects();
    room.run_corrected(&before);
}

#[test]
fn the_pin_is_in_no_argument_environment_or_file_of_a_running_ceremony() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let log = room.path("calls.log");
    let Some(()) = room.behind_proxy(&format!("hang:C_GenerateKey:1;log:{}", log.display())) else {
        return;
    };
    let mut run = room.run_under(&["env"]);
    let mut child = run
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    support::wait_for(|| {
        assert!(child.try_wait().unwrap().is_none());
        let calls = fs::read_to_string(&log).unwrap_or_default();
        calls.contains("C_GenerateKey hangs")
    });
    let proc = format!("/proc/{}", child.id());
    let holds_pin = |bytes: &[u8]| {
        bytes
            .windows(PIN.len())
            .any(|window| window == PIN.as_bytes())
    };
    let command_line = fs::read(format!("{proc}/cmdline")).unwrap();
    assert!(command_line.starts_with(support::program().as_bytes()));
    assert!(!holds_pin(&command_line));
    // Not dumpable: only root may look, and nobody else sees it at all.
    assert!(!holds_pin(
        &fs::read(format!("{proc}/environ")).unwrap_or_default()
    ));
    for (path, bytes) in support::tree(room.dir.path()) {
        let is_pin_file = path.ends_with("pin");
        assert!(
            is_pin_file || !holds_pin(&bytes.unwrap_or_default()),
            "{}",
            path.display()
        );
    }
    let mode = fs::metadata(room.path("records/one.incomplete"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!holds_pin(&output.stderr));
    room.without_proxy();
    room.run_corrected(&[]);
}

// ---- what a plan can ask for ---------------------------------------------------------

fn several_keys(kind: Kind) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    let arn = |number: usize| ARN.replace("1234abcd", &format!("1234abc{number}"));
    let digest = room.kms.sha256();
    let import = |number: usize, wrapping: &str, wrap_in: &str| {
        let parameters = room.kms.parameters(&arn(number), now() + 86_000);
        fs::write(room.path(&format!("inputs/{number}.json")), parameters).unwrap();
        format!(
            "[[key.import]]\nname = \"region-{number}\"\nkey_arn = \"{}\"\nparameters = \"inputs/{number}.json\"\n\
             wrapping = \"{wrapping}\"\nwrap_in = \"{wrap_in}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{digest}\"\n",
            arn(number)
        )
    };
    let of_first = import(1, SHA_256, "host");
    let key =
        "[[key]]\nlabel = \"second-key\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n";
    let of_second = format!(
        "{key}{}{}",
        import(2, SHA_1, "hsm"),
        import(3, SHA_256, "host")
    );
    room.plan.import_more = of_first;
    room.plan.more = of_second;
    let transcript = room.run_well();
    let generated = transcript.events("key-generated");
    assert_eq!(generated.len(), 2);
    let opened = |folder: &str, wrapping: &str| {
        let path = room.path(&format!("records/one/{folder}/WrappedKeyMaterial.bin"));
        room.kms.open(&path, wrapping)
    };
    let first = [
        opened("payments-2026/eu-west-1", SHA_1),
        opened("payments-2026/region-1", SHA_256),
    ];
    let second = [
        opened("second-key/region-2", SHA_1),
        opened("second-key/region-3", SHA_256),
    ];
    assert_eq!(first[0], first[1]);
    assert_eq!(second[0], second[1]);
    assert_ne!(first[0], second[0]);
    for (key, generated) in [&first[0], &second[0]].iter().zip(generated) {
        let (kcv, fingerprint) = support::openssl_check_values(key);
        assert_eq!(generated["kcv"], kcv.as_str());
        assert_eq!(generated["fingerprint"], fingerprint.as_str());
    }
    assert_eq!(transcript.events("key-wrapped").len(), 4);
    assert_eq!(room.objects().len(), 2);
    done(&room.byok(&["verify", "records/one"]).output().unwrap());
    let next = done(
        &room
            .byok(&["verify", "--next", "records/one"])
            .output()
            .unwrap(),
    );
    assert!(next.contains("needs import.sh and the 4 folders"), "{next}");
}

support::twins!(
    several_keys_with_several_imports_each_on_softhsm,
    several_keys_with_several_imports_each_on_kryoptic,
    several_keys
);

fn in_china(kind: Kind) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    room.plan.key_arn = CHINA.into();
    room.write_parameters();
    let transcript = room.run_corrected(&[]);
    assert_eq!(transcript.event("key-generated")["bytes"], 16);
    let key = room.openssl_opens("records/one/payments-2026/eu-west-1/WrappedKeyMaterial.bin");
    assert_eq!(key.len(), 16);
}

support::twins!(
    sixteen_bytes_are_made_for_the_partition_aws_cn_on_softhsm,
    sixteen_bytes_are_made_for_the_partition_aws_cn_on_kryoptic,
    in_china
);

#[test]
fn one_data_key_cannot_be_for_china_and_elsewhere() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.import_more = format!(
        "[[key.import]]\nname = \"china\"\nkey_arn = \"{CHINA}\"\nparameters = \"inputs/eu-west-1.json\"\nwrapping = \"{SHA_1}\"\nexpires = \"never\"\n"
    );
    refused(
        &room.run(),
        2,
        &["16 bytes in partition aws-cn", "a separate data key"],
    );
    assert_eq!(room.beside(), [""; 0]);
    room.plan.import_more = String::new();
    room.run_corrected(&[]);
}

#[test]
fn an_expiry_within_a_year_goes_into_the_import() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let expires = jiff::Timestamp::from_second(now() as i64 + 364 * 86_400).unwrap();
    room.plan.expires = expires.to_string();
    room.use_kms_key(KmsKey::rsa(2048));
    room.run_corrected(&[]);
    let script =
        fs::read_to_string(room.path("records/one/payments-2026/eu-west-1/import.sh")).unwrap();
    assert!(script.contains("KEY_MATERIAL_EXPIRES"), "{script}");
}

#[test]
fn a_command_that_is_none_is_exit_2() {
    let byok = |args: &[&str]| {
        Command::new(support::program())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    for args in [
        &[][..],
        &["ceremony"],
        &["run"],
        &["run", "a", "b"],
        &["verify", "--heed", "x"],
        &["check", "--hsm"],
    ] {
        refused(&byok(args), 2, &["Usage: byok"]);
    }
    assert!(done(&byok(&["--help"])).contains("Start here:  byok rehearse"));
    for verb in [
        "rehearse", "doctor", "plan", "check", "run", "verify", "inspect",
    ] {
        assert!(
            done(&byok(&[verb, "--help"])).contains("Example:  byok "),
            "{verb}"
        );
    }
}

#[test]
fn the_version_says_the_commit_and_if_asked_the_program_s_own_digest_as_paper_shows_it() {
    let byok = |args: &[&str]| {
        Command::new(support::program())
            .args(args)
            .output()
            .unwrap()
    };
    let version = done(&byok(&["--version"]));
    let commit = version
        .strip_prefix(concat!("byok ", env!("CARGO_PKG_VERSION"), ", commit "))
        .unwrap_or_else(|| panic!("{version}"));
    let is_hex = |text: &str| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let known = commit
        .trim_end()
        .trim_end_matches(", with changes that are not committed");
    assert!(known == "not known" || is_hex(known), "{commit}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ceremony-scripts/digest-rows.sh");
    let rows = done(
        &Command::new(script)
            .arg(support::program())
            .output()
            .unwrap(),
    );
    let own = sha256(&fs::read(support::program()).unwrap());
    let told = format!("{version}SHA-256 {own}\n\n{rows}");
    for args in [
        &["--version", "--verbose"][..],
        &["--verbose", "-V"],
        &["run", "--version", "--verbose"],
    ] {
        assert_eq!(done(&byok(args)), told, "{args:?}");
    }
    refused(
        &byok(&["--verbose", "check", "plan.toml"]),
        2,
        &["--version"],
    );
}

#[test]
fn a_new_file_that_cannot_be_written_whole_is_not_left_and_stands_in_nobody_s_way() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    if !support::strace::is_here(&room) {
        return;
    }
    let wanted: [&[&str]; 2] = [&["plan", "--out"], &["script", "plan.toml", "--out"]];
    for args in wanted {
        let mut full = std::process::Command::new("strace");
        full.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=write"]);
        full.args(["-e", "inject=write:error=ENOSPC:when=1"]);
        full.arg(support::program()).args(args).arg("out");
        let output = full.current_dir(room.dir.path()).output().unwrap();
        refused(&output, 5, &["No space left", "no file was written"]);
        let output = room.byok(&[args, &["out"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let again = room.byok(&[args, &["out"]].concat()).output().unwrap();
        refused(
            &again,
            2,
            &["give another name, or move that file away first"],
        );
        fs::remove_file(room.path("out")).unwrap();
    }
}

#[test]
fn remarks_that_nobody_can_read_end_nothing() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    for args in [&["doctor", "plan.toml"][..], &["plan", "--out", "out"]] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = room.byok(args).stderr(full).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_ceremony_whose_last_line_cannot_be_written_says_that_it_is_sealed() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = room.run_under(&["env"]).stdout(full).output().unwrap();
    refused(&output, 5, &["records/one is sealed and complete"]);
    assert_eq!(
        room.transcript("records/one").lines.last().unwrap()["event"],
        "sealed"
    );
}
