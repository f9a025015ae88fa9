//! `ceremony-scripts/online.sh`, run as the cloud operator runs it: with the real AWS CLI, of both
//! versions, against a KMS that really unwraps; around a real ceremony; and where that KMS knows less than
//! AWS does, against an `aws` that answers as it is told, and the AWS CLI's own judgement of each command.

use crate::desk;
use crate::kms_on_loopback;
use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use byok::evidence::receipts::answer::Answer;
use byok::evidence::receipts::describe::describe_key;
use byok::ground::words;
use byok::paper::outputs::ImportScript;
use byok::plan::kms::{self, aws};
use desk::{Desk, OLD_CLI, Ran, ran, script, which};
use jiff::{SignedDuration, Timestamp};
use kms_on_loopback::{ACCOUNT, LoopbackKms, REGION};
use serde_json::{Value, json};
use support::pty::Pty;
use support::{ARN, Kind, PIN, Room, base64, hex, sha256, skip};

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
const MATERIAL: &str = "6c2d1a4f5e0b3c7d8e9f00112233445566778899aabbccddeeff001122334455";
const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:keys";
const VERBS: [&str; 16] = [
    "create",
    "parameters",
    "slip",
    "import",
    "prove",
    "replicate",
    "rotate",
    "alias",
    "status",
    "alarm",
    "evidence",
    "disable",
    "enable",
    "delete-material",
    "schedule-deletion",
    "cancel-deletion",
];

fn kms() -> Option<LoopbackKms> {
    let kms = LoopbackKms::start();
    if kms.is_none() {
        skip("BYOK_TEST_VENV is not set");
    }
    kms
}

/// The CLI of the tests, and Debian's where it is installed.
fn every_cli(kms: &LoopbackKms) -> Vec<PathBuf> {
    let mut found = vec![kms.aws_cli()];
    if Path::new(OLD_CLI).exists() {
        found.push(OLD_CLI.into());
    } else {
        skip("no AWS CLI 2 in /usr/bin");
    }
    found
}

/// What somebody types who follows the advice after `mark`.
fn advised(ran: &Ran, mark: &str) -> Vec<String> {
    let said = format!("{}{}", ran.out, ran.err);
    let line = said.lines().find_map(|line| line.strip_prefix(mark));
    let line = line.unwrap_or_else(|| panic!("{mark}: {said}"));
    let words = line.strip_prefix("bash online.sh ").unwrap();
    words.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_to_type_next_asks_whom_this_run_asked() {
    let Some(kms) = kms() else {
        return;
    };
    let mut desk = Desk::at(&kms, &kms.aws_cli());
    let made = desk.run(&["create", "--name", "payments", "--region", REGION]);
    let mut next = advised(&made, "next     ");
    let algorithm = next.iter().position(|word| word == "...").unwrap();
    next[algorithm] = "RSAES_OAEP_SHA_256".into();
    let globals = std::mem::take(&mut desk.globals);
    let next: Vec<&str> = next.iter().map(String::as_str).collect();
    desk.run(&next).ended(0, &["SLIP of the import parameters"]);

    // Everything that is needed is in the line, and quoted.
    let url = &globals[1];
    let asks = [
        "--profile",
        "keys admin",
        "--region",
        REGION,
        "--endpoint-url",
        url,
    ];
    let refused = [&asks[..], &["disable", "--key", "alias/payments"]].concat();
    let says = format!(
        "bash online.sh status --region {REGION} --profile 'keys admin' --endpoint-url {url}\n"
    );
    desk.run(&refused).ended(2, &[&says]);

    // No line of the script writes such a command by hand.
    let text = fs::read_to_string(script()).unwrap();
    let (help, rest) = text.split_once("# ---- digests ----").unwrap();
    assert!(help.contains("again()"));
    for line in rest.lines().filter(|line| line.contains("bash online.sh")) {
        let is_help = line.contains("--help") || line.contains("import FOLDER");
        assert!(is_help, "{line}");
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

/// Makes a key with the script; its ARN.
fn created(desk: &Desk, name: &str, more: &[&str]) -> String {
    let args = [&["create", "--name", name, "--region", REGION], more].concat();
    desk.run(&args).ended(0, &["Origin EXTERNAL"]);
    let described = desk.read(&format!("{name}.describe-key.json"));
    let metadata = describe_key(described.as_bytes()).unwrap();
    assert_eq!(metadata.origin, "EXTERNAL");
    json_of(&described)["KeyMetadata"]["Arn"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn parameters(desk: &Desk, name: &str, arn: &str, algorithm: &str, size: &str) -> Ran {
    desk.run(&[
        "parameters",
        "--name",
        name,
        "--key",
        arn,
        "--algorithm",
        algorithm,
        "--size",
        size,
    ])
}

fn binary(desk: &Desk, name: &str, field: &str) -> Vec<u8> {
    let json = json_of(&desk.read(&format!("inputs/{name}.json")));
    let text = format!("{}\n", json[field].as_str().unwrap());
    support::openssl(&["base64", "-d", "-A"], text.as_bytes())
}

/// OAEP in OpenSSL, under the wrapping key that the script downloaded, in the folder of an import.
fn wrapped_by_openssl(desk: &Desk, name: &str, arn: &str, material: &[u8]) -> PathBuf {
    let spki = desk.path("spki.der");
    fs::write(&spki, binary(desk, name, "PublicKey")).unwrap();
    let wrapped = support::openssl(
        &[
            "pkeyutl",
            "-encrypt",
            "-pubin",
            "-keyform",
            "DER",
            "-inkey",
            spki.to_str().unwrap(),
            "-pkeyopt",
            "rsa_padding_mode:oaep",
            "-pkeyopt",
            "rsa_oaep_md:sha256",
            "-pkeyopt",
            "rsa_mgf1_md:sha256",
        ],
        material,
    );
    let token = binary(desk, name, "ImportToken");
    let folder = desk.work("record").join(name);
    fs::create_dir_all(&folder).unwrap();
    let script = ImportScript {
        ceremony: "00112233445566778899aabbccddeeff",
        rehearsal: false,
        title: "Payments",
        label: "payments-2026",
        import: name,
        key_arn: arn,
        region: REGION,
        account: ACCOUNT,
        wrapping_algorithm: "RSAES_OAEP_SHA_256",
        wrapped_sha256: &sha256(&wrapped),
        token_sha256: &sha256(&token),
        valid_to: Timestamp::now() + SignedDuration::from_hours(20),
        expires: Some(Timestamp::now() + SignedDuration::from_hours(24 * 100)),
        import_type: None,
        description: None,
        multi_region: None,
        rotates: None,
    };
    fs::write(folder.join("import.sh"), script.render()).unwrap();
    fs::write(folder.join("WrappedKeyMaterial.bin"), wrapped).unwrap();
    fs::write(folder.join("ImportToken.bin"), token).unwrap();
    folder
}

fn imported(desk: &Desk, name: &str, arn: &str, material: &[u8]) -> Ran {
    parameters(desk, name, arn, "RSAES_OAEP_SHA_256", "RSA_3072").ended(0, &[]);
    let folder = wrapped_by_openssl(desk, name, arn, material);
    desk.run(&["import", folder.to_str().unwrap()])
}

// ---- the life of a key ----

#[test]
fn a_key_lives_its_whole_life_with_either_version_of_the_aws_cli() {
    let Some(kms) = kms() else { return };
    for cli in every_cli(&kms) {
        let desk = Desk::at(&kms, &cli);
        let alias = format!("payments-{}", cli.components().count());
        let arn = created(
            &desk,
            "one",
            &[
                "--description",
                "Pay's \"2026\"",
                "--tag",
                "team=key ops",
                "--tag",
                "env=prod",
                "--alias",
                &alias,
            ],
        );
        let id = arn.rsplit('/').next().unwrap();
        let tags = kms.aws_text(&["kms", "list-resource-tags", "--key-id", &arn]);
        assert!(tags.contains("key ops") && tags.contains("prod"), "{tags}");
        let described = json_of(&desk.read("one.describe-key.json"));
        assert_eq!(described["KeyMetadata"]["Description"], "Pay's \"2026\"");

        desk.run(&["prove", "--key", &arn])
            .ended(4, &["PendingImport"]);
        imported(&desk, "one", &arn, &[7; 32]).ended(0, &["IMPORTED", "import-result.json"]);
        desk.run(&["prove", "--key", &arn, "--out", "answers"])
            .ended(
                0,
                &[
                    "Enabled",
                    "days left",
                    "ROUND TRIP",
                    "does NOT show which material",
                    "byok receipt RECORD answers/",
                ],
            );
        let kept = desk.read(&format!("answers/{REGION}-{id}.describe-key.json"));
        let Answer::DescribeKey { metadata, .. } = Answer::read(kept.as_bytes()).unwrap() else {
            panic!("{kept}");
        };
        assert_eq!(metadata.key_state, "Enabled");
        desk.run(&["status", "--regions", REGION]).ended(
            0,
            &[
                &arn,
                &format!("alias     alias/{alias}"),
                "state     Enabled",
                "expires 20",
                "99 days left",
            ],
        );

        if cli == Path::new(OLD_CLI) {
            continue; // the rest is the same for both
        }
        desk.run(&["disable", "--key", &arn])
            .ended(0, &["disabled"]);
        desk.run(&["prove", "--key", &arn]).ended(4, &["Disabled"]);
        desk.run(&["enable", "--key", id, "--region", REGION])
            .ended(0, &["enabled"]);

        let alias = format!("alias/{alias}");
        let next = created(&desk, "two", &[]);
        desk.run(&["alias", "--name", &alias, "--key", &arn])
            .ended(0, &["nothing was changed"]);
        desk.run(&["alias", "--name", &alias[6..], "--key", &next])
            .ended(
                0,
                &[
                    &format!("before   {alias} -> {id}"),
                    &format!("now      {alias} -> "),
                    "not Enabled",
                ],
            );
        desk.run(&["alias", "--name", "other", "--key", &next])
            .ended(0, &["now      alias/other"]);
        kms.aws_text(&["kms", "delete-alias", "--alias-name", "alias/other"]);
        desk.run(&["alias", "--name", &alias, "--key", &arn])
            .ended(0, &[]);

        destroys_only_what_is_typed(&desk, &arn);
    }
}

/// The end of a key, and back.
fn destroys_only_what_is_typed(desk: &Desk, arn: &str) {
    let id = arn.rsplit('/').next().unwrap();
    let state = |state: &str| {
        desk.run(&["status", "--regions", REGION])
            .ended(0, &[arn, &format!("state     {state}")]);
    };
    desk.typing("yes\n", &["delete-material", "--key", arn])
        .ended(1, &["alias/payments", "declined: nothing was changed"]);
    state("Enabled");
    let typed = format!("{id}\n");
    desk.typing(&typed, &["schedule-deletion", "--key", arn, "--days", "7"])
        .ended(0, &["days left", "cancel-deletion"]);
    state("PendingDeletion, deleted 20");
    parameters(desk, "late", arn, "RSAES_OAEP_SHA_256", "RSA_2048").ended(4, &["PendingDeletion"]);
    desk.run(&["cancel-deletion", "--key", arn])
        .ended(0, &["enabled"]);
    state("Enabled");
    let after_enter = format!("\n{typed}"); // which is asked again
    desk.typing(&after_enter, &["delete-material", "--key", arn])
        .ended(0, &["PendingImport"]);
    state("PendingImport");
    // Whatever it says of an expiry that was.
    desk.run(&["status", "--regions", REGION])
        .ended(0, &["material  NONE."]);
    desk.typing(&typed, &["delete-material", "--key", arn])
        .ended(4, &["no material"]);
}

#[test]
fn what_destroys_is_done_only_when_the_id_is_typed() {
    let desk = one_key("Enabled");
    for verb in ["delete-material", "schedule-deletion"] {
        for typed in ["", "\n", "yes\n", ARN, &ID[..35], &format!("{ID} \u{8}x\n")] {
            desk.typing(typed, &[verb, "--key", ARN]).ended(
                1,
                &[
                    "What breaks",
                    "alias/payments",
                    "declined: nothing was changed",
                ],
            );
        }
    }
    let calls = desk.calls();
    assert!(
        !calls.contains("delete-imported") && !calls.contains("schedule-key"),
        "{calls}"
    );
}

#[test]
fn a_multi_region_key_gets_its_replica_from_the_primary_only() {
    let Some(kms) = kms() else { return };
    let desk = Desk::at(&kms, &kms.aws_cli());
    let arn = created(&desk, "primary", &["--multi-region"]);
    imported(&desk, "primary", &arn, &[1; 32]).ended(0, &[]);
    let replicate = |key: &str, to: &str| {
        desk.run(&[
            "replicate",
            "--key",
            key,
            "--to",
            to,
            "--name",
            "replica",
            "--description",
            "the other",
        ])
    };
    replicate(&arn, REGION).ended(2, &["the Region of the primary"]);
    replicate(&arn, "eu-west-2").ended(
        0,
        &["arn:aws:kms:eu-west-2:", "import parameters of its own"],
    );
    let described = json_of(&desk.read("replica.describe-key.json"));
    let replica = described["KeyMetadata"]["Arn"].as_str().unwrap();
    assert_eq!(described["KeyMetadata"]["Description"], "the other");
    fs::remove_file(desk.work("replica.describe-key.json")).unwrap();
    replicate(replica, "eu-west-3").ended(4, &["this is a replica"]);
    let single = created(&desk, "single", &[]);
    replicate(&single, "eu-west-2").ended(4, &["not a multi-Region key"]);
}

// ---- import parameters and the slip ----

/// What may be wrapped how, by the documentation of KMS.
fn goes(spec: &str, algorithm: &str, size: &str) -> bool {
    let direct = algorithm.starts_with("RSAES_OAEP");
    match spec.split('_').next().unwrap() {
        "SYMMETRIC" | "HMAC" => direct,
        "RSA" => !direct,
        _ => !(spec == "ECC_NIST_P521" && direct && size == "RSA_2048"),
    }
}

#[test]
fn the_parameters_of_every_kind_of_key_are_what_byok_reads_and_the_slip_tells() {
    let Some(kms) = kms() else { return };
    let desk = Desk::at(&kms, &kms.aws_cli());
    for (spec, usage, algorithm, size) in [
        (
            "SYMMETRIC_DEFAULT",
            "ENCRYPT_DECRYPT",
            "RSAES_OAEP_SHA_256",
            "RSA_2048",
        ),
        (
            "HMAC_512",
            "GENERATE_VERIFY_MAC",
            "RSAES_OAEP_SHA_1",
            "RSA_3072",
        ),
        (
            "ECC_SECG_P256K1",
            "SIGN_VERIFY",
            "RSA_AES_KEY_WRAP_SHA_1",
            "RSA_2048",
        ),
        (
            "RSA_2048",
            "SIGN_VERIFY",
            "RSA_AES_KEY_WRAP_SHA_256",
            "RSA_4096",
        ),
    ] {
        let arn = created(&desk, spec, &["--spec", spec]);
        let described = json_of(&desk.read(&format!("{spec}.describe-key.json")));
        assert_eq!(described["KeyMetadata"]["KeySpec"], spec);
        assert_eq!(described["KeyMetadata"]["KeyUsage"], usage);
        parameters(&desk, spec, &arn, algorithm, size).ended(0, &[algorithm, size, "hours left"]);
        let file = desk.work(&format!("inputs/{spec}.json"));
        let read = aws::read(&file).unwrap();
        assert_eq!(read.wrapping_key_spec.as_deref(), Some(size));
        assert_eq!(read.key_arn.unwrap().to_string(), arn);
        assert_eq!(read.wrapping_algorithm.unwrap().to_string(), algorithm);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    the_slip_is_what_byok_computes(&desk);
}

#[test]
fn every_importable_spec_takes_the_algorithms_that_kms_takes_for_it_and_no_others() {
    let desk = one_key("PendingImport");
    desk.refuses("get-parameters-for-import", "GotThrough");
    for spec in [
        "SYMMETRIC_DEFAULT",
        "HMAC_224",
        "HMAC_256",
        "HMAC_384",
        "HMAC_512",
        "ECC_NIST_P256",
        "ECC_NIST_P384",
        "ECC_NIST_P521",
        "ECC_SECG_P256K1",
        "RSA_2048",
        "RSA_3072",
        "RSA_4096",
    ] {
        desk.answers(
            "describe-key",
            &described(spec, "PendingImport", "EXTERNAL"),
        );
        for algorithm in [
            "RSAES_OAEP_SHA_256",
            "RSAES_OAEP_SHA_1",
            "RSA_AES_KEY_WRAP_SHA_256",
            "RSA_AES_KEY_WRAP_SHA_1",
        ] {
            for size in ["RSA_2048", "RSA_3072", "RSA_4096"] {
                let ran = parameters(&desk, "n", ARN, algorithm, size);
                if goes(spec, algorithm, size) {
                    ran.ended(3, &["GotThrough"]);
                } else {
                    ran.ended(2, &[&format!("{spec} does not go with {algorithm}")]);
                }
            }
        }
    }
    for spec in ["ML_DSA_44", "SM2", "ECC_NIST_EDWARDS25519", "NEW_SPEC"] {
        desk.answers(
            "describe-key",
            &described(spec, "PendingImport", "EXTERNAL"),
        );
        parameters(&desk, "n", ARN, "RSAES_OAEP_SHA_256", "RSA_2048").ended(2, &[spec]);
    }
}

/// Every row, of every file that lies there.
fn the_slip_is_what_byok_computes(desk: &Desk) {
    let slip = desk.read("inputs/slip.txt");
    let mut files = Vec::new();
    for name in desk.files() {
        let Some(name) = name
            .strip_prefix(&format!("{}/", desk.work("inputs").display()))
            .map(str::to_owned)
        else {
            continue;
        };
        if name.ends_with(".json") {
            let read = aws::read(&desk.work("inputs").join(&name)).unwrap();
            let rows = words::rows(&read.wrapping_key.sha256(), 2);
            assert!(slip.contains(&rows), "{rows}\nin\n{slip}");
            files.extend(read.files);
        }
    }
    let rows = words::rows(&kms::parameter_files_digest(&files), 2);
    let (_, all) = slip.split_once("ALL PARAMETER FILES").unwrap();
    assert!(all.contains(&rows), "{rows}\nin\n{slip}");
    assert!(slip.contains("Downloaded by") && slip.contains("Compared by"));
    let sums = Command::new("sha256sum")
        .args(["-c", "--strict", "SHA256SUMS"])
        .current_dir(desk.work("inputs"))
        .output()
        .unwrap();
    assert!(sums.status.success(), "{sums:?}");
    assert_eq!(
        sha256(desk.read("inputs/SHA256SUMS").as_bytes()),
        hex(&kms::parameter_files_digest(&files))
    );
}

#[test]
fn its_words_are_those_of_byok() {
    let text = fs::read_to_string(script()).unwrap();
    let (_, after) = text.split_once("pgp_words() {\n    cat <<'END'\n").unwrap();
    let (table, _) = after.split_once("END\n").unwrap();
    assert_eq!(table, include_str!("../../src/ground/words/pgp.txt"));
}

/// What GetParametersForImport answers, as the AWS CLI prints it after `--query`.
fn answered(arn: &str, spki: &[u8], valid_to: Value) -> String {
    let answer = json!({
        "KeyId": arn, "PublicKey": base64(spki), "ImportToken": base64(&support::opaque("token")), "ParametersValidTo": valid_to,
        "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048",
    });
    serde_json::to_string_pretty(&answer).unwrap() + "\n"
}

/// One line of DescribeKey in text.
fn described(spec: &str, state: &str, origin: &str) -> String {
    format!(
        "{ARN}\t{ID}\t{spec}\tENCRYPT_DECRYPT\t{origin}\t{state}\tKEY_MATERIAL_EXPIRES\t2099-01-01T00:00:00Z\tFalse\tNone\t{MATERIAL}\tNone\n"
    )
}

/// A fake KMS with one symmetric key.
fn one_key(state: &str) -> Desk {
    let desk = Desk::fake();
    desk.answers(
        "describe-key",
        &described("SYMMETRIC_DEFAULT", state, "EXTERNAL"),
    );
    desk.answers(
        "get-caller-identity",
        "111122223333\tarn:aws:iam::111122223333:user/op\n",
    );
    desk.answers("list-aliases", "alias/payments\n");
    desk
}

#[test]
fn what_comes_back_must_be_what_was_asked() {
    let desk = one_key("PendingImport");
    let key = support::KmsKey::rsa(2048);
    let spki = support::openssl(&["base64", "-d", "-A"], spki_of(&key).as_bytes());
    let tomorrow = Timestamp::now().as_second() + 86_000;
    let other = ARN.replace("1234abcd", "4321abcd");
    let ask = || parameters(&desk, "one", ARN, "RSAES_OAEP_SHA_256", "RSA_2048");
    for (answer, why) in [
        (
            answered(&other, &spki, json!(tomorrow)),
            "KMS answered for another key",
        ),
        (
            answered(ARN, &spki[1..], json!(tomorrow)),
            "not an RSA key with the exponent 65537",
        ),
        (answered(ARN, b"", json!(tomorrow)), "not padded base64"),
        (
            answered(ARN, &spki, json!(1_700_000_000)),
            "expired 2023-11-14 22:13 UTC",
        ),
        (answered(ARN, &spki, json!("soon")), "is not a time"),
        (answered(ARN, &spki, Value::Null), "is not a time"),
    ] {
        desk.answers("get-parameters-for-import", &answer);
        ask().ended(4, &[why]);
        assert!(desk.files().iter().all(|file| !file.contains("inputs/")));
    }
    parameters_of_another_size(&desk, &spki, tomorrow);
    desk.answers(
        "describe-key",
        &described("SYMMETRIC_DEFAULT", "Enabled", "AWS_KMS"),
    );
    ask().ended(4, &["AWS_KMS, not EXTERNAL"]);
    desk.answers(
        "describe-key",
        &described("SYMMETRIC_DEFAULT", "Enabled", "EXTERNAL").replace("1234abcd", "99999999"),
    );
    ask().ended(4, &["KMS answered for another key"]);
}

fn parameters_of_another_size(desk: &Desk, spki: &[u8], tomorrow: i64) {
    desk.answers(
        "get-parameters-for-import",
        &answered(ARN, spki, json!(tomorrow)),
    );
    parameters(desk, "one", ARN, "RSAES_OAEP_SHA_256", "RSA_4096")
        .ended(4, &["is RSA_2048, not RSA_4096"]);
}

fn spki_of(key: &support::KmsKey) -> String {
    let answer = json_of(&key.parameters(ARN, 4_000_000_000));
    format!("{}\n", answer["PublicKey"].as_str().unwrap())
}

#[test]
fn a_deadline_is_shown_in_utc_however_the_cli_writes_it() {
    let desk = one_key("PendingImport");
    let spki = support::openssl(
        &["base64", "-d", "-A"],
        spki_of(&support::KmsKey::rsa(2048)).as_bytes(),
    );
    for (at, (written, shown)) in [
        (json!(4_107_542_399_i64), "2100-02-28 23:59 UTC"),
        (json!(4_107_542_400.25), "2100-03-01 00:00 UTC"),
        (
            json!("2096-02-29T23:30:00.123000-01:30"),
            "2096-03-01 01:00 UTC",
        ),
        (json!("2095-12-31T23:30:00+05:30"), "2095-12-31 18:00 UTC"),
        (json!("2096-01-01T00:00:00+0100"), "2095-12-31 23:00 UTC"),
        (json!("2096-08-09T08:09:08Z"), "2096-08-09 08:09 UTC"),
    ]
    .into_iter()
    .enumerate()
    {
        desk.answers("get-parameters-for-import", &answered(ARN, &spki, written));
        parameters(
            &desk,
            &format!("n{at}"),
            ARN,
            "RSAES_OAEP_SHA_256",
            "RSA_2048",
        )
        .ended(0, &[&format!("import   before {shown}, "), "days left"]);
        let read = aws::read(&desk.work(&format!("inputs/n{at}.json"))).unwrap();
        let told = read
            .valid_to
            .unwrap()
            .strftime("%Y-%m-%d %H:%M UTC")
            .to_string();
        assert_eq!(told, shown);
    }
}

#[test]
fn at_a_terminal_no_line_of_the_script_is_longer_than_79_columns() {
    let Some(kms) = kms() else { return };
    let desk = Desk::at(&kms, &kms.aws_cli());
    let arn = created(&desk, "one", &[]);
    fs::create_dir(desk.work("inputs")).unwrap();
    fs::write(desk.work("inputs/b.json"), "{").unwrap();
    let online = desk.path("online.sh").display().to_string();
    let get = ["--key", &arn, "--algorithm", "RSAES_OAEP_SHA_256"];
    for args in [
        &["slip"][..],
        &[&["parameters", "--name", "b"], &get[..]].concat(),
        &["prove"],
    ] {
        let command = || desk.command(&which("bash").unwrap(), &[&[&*online], args].concat());
        let piped = command().output().unwrap();
        let ended = Pty::start(command()).end();
        assert_eq!(ended.code, piped.status.code(), "{}", ended.screen);
        let told = support::stdout(&piped) + &support::stderr(&piped);
        let screen = ended.screen.replace(" \\\n", " "); // a command goes on
        assert_eq!(support::folded(&screen), support::folded(&told));
        support::fits(&ended.screen);
    }
}

#[test]
fn no_file_is_overwritten_and_a_changed_one_is_seen() {
    let Some(kms) = kms() else { return };
    let desk = Desk::at(&kms, &kms.aws_cli());
    let arn = created(&desk, "one", &[]);
    let kept = desk.read("one.describe-key.json");
    desk.run(&["create", "--name", "one", "--region", REGION])
        .ended(2, &["one.describe-key.json exists"]);
    assert_eq!(desk.read("one.describe-key.json"), kept);
    let get = |name| parameters(&desk, name, &arn, "RSAES_OAEP_SHA_256", "RSA_2048");
    get("b").ended(0, &[]);
    let first = desk.read("inputs/b.json");
    get("b").ended(2, &["inputs/b.json exists"]);
    assert_eq!(desk.read("inputs/b.json"), first);
    // The whole old set goes, as the sentence says it, and comes back for the rest.
    let said = get("b");
    let (_, mv) = said.err.split_once("together:\nonline.sh:   ").unwrap();
    let moves = |line: &str| {
        let mut sh = desk.command(Path::new("/bin/sh"), &["-c", line]);
        assert!(sh.status().unwrap().success(), "{line}");
    };
    moves(mv.trim());
    get("b").ended(0, &[]);
    get("b").ended(2, &["mv inputs inputs-used-2"]); // never into the other
    moves("rm -r inputs && mv inputs-used inputs");
    get("a-1").ended(0, &["a-1.json", "b.json"]);
    get("B").ended(0, &[]);
    the_slip_is_what_byok_computes(&desk);
    console_files_count(&desk);

    fs::write(
        desk.work("inputs/b.json"),
        first.replace("RSA_2048", "RSA_3072"),
    )
    .unwrap();
    for ran in [desk.run(&["slip"]), get("c")] {
        ran.ended(4, &["inputs/b.json changed since"]);
    }
    assert!(!desk.work("inputs/c.json").exists());
    fs::write(desk.work("inputs/b.json"), first).unwrap();
    fs::write(desk.work("inputs/notes.txt"), "x").unwrap();
    desk.run(&["slip"])
        .ended(2, &["notes.txt holds no import parameters"]);
}

#[test]
fn the_slip_is_made_only_of_parameters_that_mean_one_thing() {
    let desk = one_key("PendingImport");
    fs::create_dir(desk.work("inputs")).unwrap();
    let spki = |bits| base64(&support::KmsKey::rsa(bits).spki);
    let (right, forged) = (spki(2048), spki(3072));
    let token = base64(&support::opaque("token"));
    let good = format!(
        "{{\"KeyId\": \"{ARN}\", \"PublicKey\": \"{right}\", \"ImportToken\": \"{token}\"}}\n"
    );
    let slip = |text: &str| {
        fs::write(desk.work("inputs/a.json"), text).unwrap();
        let _ = fs::remove_file(desk.work("inputs/SHA256SUMS"));
        desk.run(&["slip"])
    };
    slip(&good).ended(0, &["RSA_2048"]);
    let before = |member: &str| good.replacen('{', &format!("{{{member}, "), 1);
    let after = |member: &str| good.replacen('}', &format!(", {member}}}"), 1);
    let member = format!("\"PublicKey\": \"{forged}\"");
    let nested = format!("\"more\": {{{member}}}");
    for text in [before(&member), after(&member)] {
        slip(&text).ended(2, &["has PublicKey twice"]);
    }
    for text in [before(&nested), after(&nested)] {
        slip(&text).ended(2, &["has PublicKey inside another member"]);
    }
    let spread = after(&format!("\"PublicKey\"\n :\n \"{forged}\""));
    slip(&spread).ended(2, &["has PublicKey twice"]);
    let escaped = format!("\"Public\\u004bey\": \"{forged}\"");
    slip(&after(&escaped)).ended(2, &["has PublicKey twice"]);
}

/// What the console gave, unpacked: the same digest that byok computes of a directory.
fn console_files_count(desk: &Desk) {
    let folder = desk.work("inputs/console");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("WrappingPublicKey.bin"),
        binary(desk, "b", "PublicKey"),
    )
    .unwrap();
    fs::write(
        folder.join("ImportToken.bin"),
        binary(desk, "b", "ImportToken"),
    )
    .unwrap();
    fs::write(folder.join("README.txt"), "how to").unwrap();
    let ran = desk
        .run(&["slip", "--out", "inputs"])
        .ended(0, &["WRAPPING KEY in console/WrappingPublicKey.bin"]);
    let mut files = aws::read(&folder).unwrap().files;
    for name in ["B", "a-1", "b"] {
        files.extend(
            aws::read(&desk.work(&format!("inputs/{name}.json")))
                .unwrap()
                .files,
        );
    }
    let rows = words::rows(&kms::parameter_files_digest(&files), 2);
    assert!(ran.out.contains(&rows), "{rows}\nin\n{}", ran.out);
    fs::remove_dir_all(folder).unwrap();
}

// ---- what KMS holds ----

#[test]
fn a_mac_and_a_public_key_prove_the_material() {
    let Some(kms) = kms() else { return };
    let desk = Desk::at(&kms, &kms.aws_cli());
    let hmac = created(&desk, "hmac", &["--spec", "HMAC_384"]);
    imported(&desk, "hmac", &hmac, &[9; 48]).ended(0, &["IMPORTED"]);
    let args = [
        "dgst",
        "-sha384",
        "-mac",
        "HMAC",
        "-macopt",
        "hexkey:090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909",
        "-binary",
    ];
    let fingerprint = hex(&support::openssl(
        &args,
        b"byok-ceremony material fingerprint v1",
    ));
    let prove = |more: &[&str]| desk.run(&[&["prove", "--key"], more].concat());
    prove(&[&hmac, "--fingerprint", &fingerprint.to_uppercase()])
        .ended(0, &["SAME", &fingerprint, "byok receipt"]);
    prove(&[&hmac, "--fingerprint", &fingerprint.replace('0', "1")])
        .ended(4, &["OTHER MATERIAL", "Delete nothing"]);
    prove(&[&hmac]).ended(0, &["Compare it", &fingerprint]);
    let id = hmac.rsplit('/').next().unwrap();
    let kept = desk.read(&format!("{REGION}-{id}.generate-mac.json"));
    assert!(
        matches!(Answer::read(kept.as_bytes()).unwrap(), Answer::GenerateMac(mac) if mac.key_id == hmac)
    );
    assert!(
        desk.files()
            .iter()
            .any(|file| file.ends_with(".generate-mac-3.json"))
    );

    let key = support::openssl(
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-outform",
            "DER",
        ],
        b"",
    );
    let spki = support::openssl(
        &["pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
        &key,
    );
    let ec = created(&desk, "ec", &["--spec", "ECC_NIST_P256"]);
    let pkcs8 = support::openssl(
        &[
            "pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER",
        ],
        &key,
    );
    imported(&desk, "ec", &ec, &pkcs8).ended(0, &["IMPORTED"]);
    fs::write(desk.work("public.der"), &spki).unwrap();
    fs::write(
        desk.work("public.pem"),
        support::openssl(&["pkey", "-pubin", "-inform", "DER"], &spki),
    )
    .unwrap();
    let other = support::openssl(
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ],
        b"",
    );
    fs::write(
        desk.work("other.pem"),
        support::openssl(&["pkey", "-pubout"], &other),
    )
    .unwrap();
    for (file, code, says) in [
        ("public.der", 0, "SAME"),
        ("public.pem", 0, "SAME"),
        ("other.pem", 4, "OTHER MATERIAL"),
    ] {
        prove(&[&ec, "--public-key", file]).ended(code, &[says, &sha256(&spki)]);
    }
    prove(&[&ec, "--fingerprint", &sha256(&spki)]).ended(0, &["SAME"]);
    let id = ec.rsplit('/').next().unwrap();
    // Who answered another endpoint's questions is written beside each answer.
    let endpoint = kms.endpoint();
    let answers = desk.files();
    let answers: Vec<_> = answers
        .iter()
        .filter(|file| file.contains(REGION) || file.contains(".describe-key"))
        .collect();
    for kind in [
        "hmac.describe-key.json",
        ".describe-key.json",
        ".generate-mac.json",
        ".get-public-key-2.json",
    ] {
        assert!(
            answers.iter().any(|file| file.ends_with(kind)),
            "{kind}: {answers:?}"
        );
    }
    for file in answers {
        assert_eq!(json_of(&desk.read(file))["endpoint"], *endpoint, "{file}");
    }
    let kept = desk.read(&format!("{REGION}-{id}.get-public-key.json"));
    assert!(matches!(
        Answer::read(kept.as_bytes()).unwrap(),
        Answer::GetPublicKey { .. }
    ));
}

// ---- around a ceremony ----

/// Row `number` of the digest over all files, as it stands on the slip: hex digits or words.
fn row_on_slip(slip: &str, number: usize, in_words: bool) -> String {
    let (_, all) = slip.split_once("ALL PARAMETER FILES").unwrap();
    let row = all
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("row {number} ")));
    let row: Vec<&str> = row.unwrap().split_whitespace().collect();
    if in_words {
        row[2..].join(" ")
    } else {
        row[..2].join(" ")
    }
}

#[test]
fn the_slip_opens_the_ceremony_and_its_answers_go_into_the_record() {
    let (Some(kms), Some(mut room)) = (kms(), Room::new(Kind::SoftHsm)) else {
        return;
    };
    let desk = Desk::at(&kms, &kms.aws_cli());
    let arn = created(&desk, "eu-west-1", &[]);
    parameters(&desk, "eu-west-1", &arn, "RSAES_OAEP_SHA_1", "RSA_4096").ended(0, &[]);
    fs::copy(
        desk.work("inputs/eu-west-1.json"),
        room.path("inputs/eu-west-1.json"),
    )
    .unwrap();
    for name in ["slip.txt", "SHA256SUMS"] {
        let told = room
            .byok(&["inspect"])
            .arg(desk.work("inputs").join(name))
            .output()
            .unwrap();
        assert!(
            !support::stdout(&told).contains("import parameters"),
            "{told:?}"
        );
        assert!(aws::read(&desk.work("inputs").join(name)).is_err());
    }
    let told = room
        .byok(&["inspect", "inputs/eu-west-1.json"])
        .output()
        .unwrap();
    let told = support::stdout(&told);
    assert!(
        told.contains("RSAES_OAEP_SHA_1") && told.contains("4096"),
        "{told}"
    );
    let plan = room
        .byok(&["plan"])
        .arg(desk.work("eu-west-1.describe-key.json"))
        .arg("inputs/eu-west-1.json")
        .output()
        .unwrap();
    assert!(support::stdout(&plan).contains(&arn), "{plan:?}");

    room.plan.key_arn = arn.clone();
    room.plan.wrapping_key_sha256 = None;
    room.plan.pin = "prompt".into();
    room.write_plan();
    let check = room.byok(&["check", "plan.toml"]).output().unwrap();
    assert!(
        check.status.success(),
        "{}{}",
        support::stdout(&check),
        support::stderr(&check)
    );
    let mut pty = Pty::start(room.byok(&["run", "plan.toml"]));
    pty.answer("Type Yes to approve, anything else to stop: ", "Yes");
    pty.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
    pty.answer("(nothing is shown while you type): ", PIN);
    let slip = desk.read("inputs/slip.txt");
    for at in 0..3 {
        let shown = pty.expect(" of the digest of the parameter files (");
        pty.expect(" of 3):\n   8 hex digits or 4 words: ");
        let number = shown.rsplit("Row ").next().unwrap();
        let number = number.split(' ').next().unwrap().parse().unwrap();
        pty.enter(&row_on_slip(&slip, number, at != 1));
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);

    let record = room.path("records/one").display().to_string();
    desk.run(&["import", &record]).ended(
        0,
        &["IMPORTED", "outcome", "payments-2026/eu-west-1: imported"],
    );
    desk.run(&[
        "prove",
        "--key",
        &arn,
        "--out",
        &room.path(".").display().to_string(),
    ])
    .ended(0, &["ROUND TRIP"]);
    let id = arn.rsplit('/').next().unwrap();
    let result = format!("{record}/payments-2026/eu-west-1/import-result.json");
    let trail = evidence(&arn, &room);
    let described = format!("{REGION}-{id}.describe-key.json");
    let added = room
        .byok(&["receipt", "records/one", &result, &described, &trail])
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", support::stderr(&added));
    assert!(
        support::stdout(&added).contains("accepted by KMS"),
        "{added:?}"
    );

    // This KMS takes a token once only: whose move is it?
    desk.run(&["import", &record]).ended(
        3,
        &[
            "InvalidImportToken",
            ">> ExpiredImportToken, InvalidImportToken",
            "no custodians",
            "   IncorrectKeyMaterial",
        ],
    );
}

/// What CloudTrail would tell of this import, through the script; a file for `byok receipt`.
fn evidence(arn: &str, room: &Room) -> String {
    let id = arn.rsplit('/').next().unwrap();
    let desk = Desk::fake();
    let event = |name: &str| {
        let inner = json!({
            "eventVersion": "1.11", "eventTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "eventSource": "kms.amazonaws.com", "eventName": name, "awsRegion": REGION,
            "requestParameters": {"keyId": arn}, "responseElements": null,
            "resources": [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": arn}],
        });
        json!({"EventId": "x", "EventName": name, "CloudTrailEvent": inner.to_string()})
    };
    for name in ["CreateKey", "DisableKey"] {
        let answer =
            serde_json::to_string_pretty(&json!([event(name), event(name)])).unwrap() + "\n";
        desk.answers(&format!("lookup-events.{name}"), &answer);
    }
    desk.answers(
        "lookup-events.ImportKeyMaterial",
        &serde_json::to_string_pretty(&json!([event("ImportKeyMaterial")])).unwrap(),
    );
    desk.answers("lookup-events", "[]\n");
    desk.run(&["evidence", "--key", arn, "--days", "7"]).ended(
        0,
        &[
            "ImportKeyMaterial            1",
            "DisableKey                   2",
        ],
    );
    let from = (Timestamp::now() - SignedDuration::from_hours(7 * 24))
        .strftime("%Y-%m-%d")
        .to_string();
    let calls = desk.calls();
    assert!(calls.contains(&format!("--start-time {from}T")), "{calls}");
    assert!(
        calls.contains("DeleteExpiredKeyMaterial") && !calls.contains("AttributeValue=Decrypt"),
        "{calls}"
    );
    let name = format!("{REGION}-{id}.cloudtrail.json");
    let Answer::CloudTrail(events) = Answer::read(desk.read(&name).as_bytes()).unwrap() else {
        panic!("no answer of CloudTrail");
    };
    assert_eq!(events.len(), 5);
    assert_eq!(
        fs::metadata(desk.work(&name)).unwrap().permissions().mode() & 0o777,
        0o600
    );
    desk.run(&["evidence", "--key", arn, "--out", &name])
        .ended(2, &["exists"]);
    assert_eq!(json_of(&desk.read(&name)).get("endpoint"), None);
    let given = ["--endpoint-url", "https://trail.example/"];
    let evidence = ["evidence", "--key", arn, "--out", "elsewhere.json"];
    desk.run(&[&evidence[..], &given].concat()).ended(0, &[]);
    let elsewhere = desk.read("elsewhere.json");
    assert_eq!(json_of(&elsewhere)["endpoint"], "https://trail.example/");
    let Answer::CloudTrail(events) = Answer::read(elsewhere.as_bytes()).unwrap() else {
        panic!("no answer of CloudTrail");
    };
    assert_eq!(events.len(), 5);
    fs::copy(desk.work(&name), room.path(&name)).unwrap();
    for event in ["CreateKey", "DisableKey", "ImportKeyMaterial"] {
        desk.answers(&format!("lookup-events.{event}"), "[]\n");
    }
    desk.run(&["evidence", "--key", arn, "--out", "other.json"])
        .ended(4, &["has no event"]);
    name
}

// ---- where the loopback KMS knows less than AWS ----

#[test]
fn a_rotation_needs_material_that_waits_and_tells_every_state() {
    let desk = one_key("Enabled");
    let current = format!(
        "CURRENT\tIMPORTED\t{MATERIAL}\tKEY_MATERIAL_EXPIRES\t2099-01-01T00:00:00Z\tfirst year\n"
    );
    let rotate = |more: &[&str]| desk.run(&[&["rotate", "--key", ARN], more].concat());
    desk.answers("list-key-rotations", &current);
    rotate(&[]).ended(
        0,
        &[
            "CURRENT          IMPORTED       6c2d",
            "expires 2099-01-01",
            "first year",
        ],
    );
    desk.calls();
    rotate(&["--now"]).ended(4, &["no material waits"]);
    let waiting = MATERIAL.replace('6', "7");
    desk.answers(
        "list-key-rotations",
        &format!("{current}PENDING_ROTATION\tPENDING_IMPORT\t{waiting}\tNone\tNone\tNone\n"),
    );
    rotate(&["--now"]).ended(4, &["no material waits"]);
    assert!(!desk.calls().contains("rotate-key-on-demand"));
    desk.answers("list-key-rotations", &format!("{current}PENDING_ROTATION\tIMPORTED\t{waiting}\tKEY_MATERIAL_DOES_NOT_EXPIRE\tNone\tNone\n"));
    desk.answers("rotate-key-on-demand", ARN);
    rotate(&["--now", "--out", "rotations.json"]).ended(
        0,
        &[
            "never expires",
            "asked KMS to rotate",
            "Not done yet",
            "byok receipt RECORD rotations.json",
        ],
    );
    let calls = desk.calls();
    assert!(calls.contains(&format!(
        "kms rotate-key-on-demand --region eu-west-1 --key-id {ARN}"
    )));
    let beside = format!("--output json --query {{KeyId: '{ARN}', Rotations: Rotations}}");
    assert!(calls.contains(&beside), "{calls}");
    desk.answers(
        "describe-key",
        &described("HMAC_256", "Enabled", "EXTERNAL"),
    );
    rotate(&["--now"]).ended(4, &["keeps its first material"]);
}

#[test]
fn an_alarm_that_nobody_hears_is_refused() {
    let desk = one_key("Enabled");
    let alarm =
        |more: &[&str]| desk.run(&[&["alarm", "--key", ARN, "--topic", TOPIC], more].concat());
    desk.answers("get-topic-attributes", "{\"Statement\":[]}\n");
    for nobody in [
        "",
        "PendingConfirmation\temail\tops@example.com\n",
        "Deleted\temail\tx\n",
    ] {
        desk.answers("list-subscriptions-by-topic", nobody);
        alarm(&[]).ended(4, &["nobody would be told"]);
    }
    assert!(!desk.calls().contains("put-"));
    desk.answers(
        "list-subscriptions-by-topic",
        &format!("PendingConfirmation\temail\ta@example.com\n{TOPIC}:1\temail\tops@example.com\n"),
    );
    for (operation, out) in [
        ("put-metric-alarm", ""),
        ("put-rule", "arn:rule\n"),
        ("put-targets", "0\n"),
    ] {
        desk.answers(operation, out);
    }
    desk.answers(
        "describe-alarms",
        "LessThanThreshold\t2592000.0\tMinimum\t60\tTrue\tINSUFFICIENT_DATA\n",
    );
    alarm(&[]).ended(
        0,
        &[
            "email ops@example.com\n",
            "a@example.com (NOT confirmed",
            "below 30 days (2592000 seconds)",
            "WARNING",
            "events.amazonaws.com",
        ],
    );
    let calls = desk.calls();
    for sent in [
        "--namespace AWS/KMS --metric-name SecondsUntilKeyMaterialExpires",
        &format!("--dimensions Name=KeyId,Value={ID} --statistic Minimum --period 60"),
        "--threshold 2592000 --comparison-operator LessThanThreshold",
        "KMS Imported Key Material Expiration",
        "DeleteImportedKeyMaterial",
        &format!("--targets Id=topic,Arn={TOPIC}"),
    ] {
        assert!(calls.contains(sent), "no {sent:?} in {calls}");
    }
    patterns_are_json(&desk);
    desk.answers(
        "get-topic-attributes",
        "{\"Service\":\"events.amazonaws.com\"}\n",
    );
    let quiet = alarm(&[]).ended(0, &[]);
    assert!(!quiet.out.contains("WARNING"));
    desk.answers("put-targets", "1\n");
    alarm(&[]).ended(4, &["did not accept the topic"]);
    desk.answers("put-targets", "0\n");
    desk.answers(
        "describe-alarms",
        "GreaterThanThreshold\t1.0\tMinimum\t60\tTrue\tOK\n",
    );
    alarm(&[]).ended(4, &["does not hold the alarm that was asked for"]);
    alarm(&["--days", "365"]).ended(2, &["from 1 to 364"]);
    desk.run(&[
        "alarm",
        "--key",
        ARN,
        "--topic",
        &TOPIC.replace("eu-west-1", "us-east-1"),
    ])
    .ended(2, &["its own Region"]);
}

fn patterns_are_json(desk: &Desk) {
    let planned = desk
        .run(&["alarm", "--key", ARN, "--topic", TOPIC, "--dry-run"])
        .ended(0, &[]);
    let patterns: Vec<&str> = planned
        .out
        .split("--event-pattern '")
        .skip(1)
        .map(|rest| rest.split('\'').next().unwrap())
        .collect();
    assert_eq!(patterns.len(), 2);
    for pattern in patterns {
        assert_eq!(json_of(pattern)["source"], json!(["aws.kms"]));
    }
}

// ---- failures ----

/// Each verb, with all that it takes; for the dry run and for refusals.
fn every_call() -> Vec<Vec<&'static str>> {
    vec![
        vec![
            "create",
            "--name",
            "n",
            "--spec",
            "RSA_2048",
            "--usage",
            "ENCRYPT_DECRYPT",
            "--multi-region",
            "--description",
            "it's",
            "--tag",
            "a=b c",
            "--tag",
            "d=e",
            "--alias",
            "n",
            "--policy",
            "policy.json",
        ],
        vec!["create", "--name", "n"],
        vec![
            "parameters",
            "--name",
            "n",
            "--key",
            ARN,
            "--algorithm",
            "RSA_AES_KEY_WRAP_SHA_256",
            "--size",
            "RSA_3072",
        ],
        vec!["prove", "--key", ARN],
        vec![
            "replicate",
            "--key",
            ARN,
            "--to",
            "eu-west-2",
            "--policy",
            "policy.json",
            "--description",
            "x",
            "--name",
            "r",
        ],
        vec!["rotate", "--key", ARN, "--now", "--out", "rotations.json"],
        vec!["alias", "--name", "payments", "--key", ARN],
        vec!["status", "--regions", "eu-west-1,eu-west-2"],
        vec!["alarm", "--key", ARN, "--topic", TOPIC, "--days", "45"],
        vec!["evidence", "--key", ARN, "--days", "3"],
        vec!["disable", "--key", ARN],
        vec!["enable", "--key", ARN],
        vec!["delete-material", "--key", ARN, "--material", MATERIAL],
        vec!["schedule-deletion", "--key", ARN, "--days", "7"],
        vec!["cancel-deletion", "--key", ARN],
    ]
}

#[test]
fn a_missing_permission_is_named() {
    for (operation, action, args, typed) in [
        (
            "create-key",
            "kms:CreateKey",
            &["create", "--name", "n", "--region", REGION][..],
            "",
        ),
        (
            "describe-key",
            "kms:DescribeKey",
            &["disable", "--key", ARN],
            "",
        ),
        (
            "get-parameters-for-import",
            "kms:GetParametersForImport",
            &[
                "parameters",
                "--name",
                "n",
                "--key",
                ARN,
                "--algorithm",
                "RSAES_OAEP_SHA_1",
            ],
            "",
        ),
        ("encrypt", "kms:Encrypt", &["prove", "--key", ARN], ""),
        (
            "list-key-rotations",
            "kms:ListKeyRotations",
            &["rotate", "--key", ARN],
            "",
        ),
        (
            "list-aliases",
            "kms:ListAliases",
            &["alias", "--name", "n", "--key", ARN],
            "",
        ),
        (
            "list-keys",
            "kms:ListKeys",
            &["status", "--regions", REGION],
            "",
        ),
        (
            "list-subscriptions-by-topic",
            "sns:ListSubscriptionsByTopic",
            &["alarm", "--key", ARN, "--topic", TOPIC],
            "",
        ),
        (
            "lookup-events",
            "cloudtrail:LookupEvents",
            &["evidence", "--key", ARN],
            "",
        ),
        (
            "disable-key",
            "kms:DisableKey",
            &["disable", "--key", ARN],
            "",
        ),
        ("enable-key", "kms:EnableKey", &["enable", "--key", ARN], ""),
        (
            "delete-imported-key-material",
            "kms:DeleteImportedKeyMaterial",
            &["delete-material", "--key", ARN],
            ID,
        ),
        (
            "schedule-key-deletion",
            "kms:ScheduleKeyDeletion",
            &["schedule-deletion", "--key", ARN],
            ID,
        ),
        (
            "cancel-key-deletion",
            "kms:CancelKeyDeletion",
            &["cancel-deletion", "--key", ARN],
            "",
        ),
    ] {
        let desk = one_key("Enabled");
        desk.refuses(operation, "AccessDeniedException");
        let ran = desk
            .typing(typed, args)
            .ended(3, &["AccessDeniedException", action, "key policy"]);
        assert!(!ran.err.contains("online.sh: line"), "{}", ran.err);
        assert!(
            desk.files()
                .iter()
                .all(|file| file.contains("describe-key")),
            "{:?}",
            desk.files()
        );
    }
}

#[test]
fn each_failure_says_what_to_do() {
    let desk = one_key("Enabled");
    for (error, advice) in [
        ("NotFoundException", "Check the ARN"),
        ("KMSInvalidStateException", "See its KeyState"),
        ("UnsupportedOperationException", "of this kind"),
        ("LimitExceededException", "quota"),
        ("ExpiredTokenException", "Sign in again"),
        ("UnrecognizedClientException", "Sign in again"),
        ("ThrottlingException", "Run it again"),
        ("SomethingNew", "for the reason above"),
    ] {
        desk.refuses("disable-key", error);
        desk.run(&["disable", "--key", ARN])
            .ended(3, &[error, advice]);
    }
    Desk::without_cli()
        .run(&["disable", "--key", ARN])
        .ended(3, &["AWS CLI (aws) is not installed"]);
    let other = one_key("Enabled");
    other.answers(
        "get-caller-identity",
        "444455556666\tarn:aws:iam::444455556666:user/op\n",
    );
    other
        .typing(ID, &["schedule-deletion", "--key", ARN])
        .ended(4, &["belong to account 444455556666"]);
    assert!(!other.calls().contains("schedule-key-deletion"));
}

#[test]
fn an_aws_cli_that_is_too_old_is_told_which_one_to_get() {
    let Some(kms) = kms() else { return };
    if !Path::new(OLD_CLI).exists() {
        return skip("no AWS CLI 2 in /usr/bin");
    }
    let desk = Desk::at(&kms, Path::new(OLD_CLI));
    let arn = created(&desk, "one", &[]);
    imported(&desk, "one", &arn, &[3; 32]).ended(0, &["IMPORTED"]);
    let id = arn.rsplit('/').next().unwrap();
    desk.run(&["rotate", "--key", &arn]).ended(
        3,
        &[
            "too old for kms:ListKeyRotations",
            "at least 2.",
            "aws-cli/2.9",
        ],
    );
    desk.typing(
        id,
        &["delete-material", "--key", &arn, "--material", MATERIAL],
    )
    .ended(3, &["too old", "at least 2.28"]);
    desk.run(&["status"]).ended(
        0,
        &[
            "state     Enabled",
            "materials not listed: this AWS CLI is too old",
        ],
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_asked() {
    let desk = one_key("PendingImport");
    for (args, why) in [
        (&["frob"][..], "frob is not a verb"),
        (&[], "usage: bash online.sh"),
        (&["create"], "--name is missing"),
        (&["create", "--name", "../x"], "begins with a letter"),
        (&["create", "--name", "a.b"], "letters, digits"),
        (&["create", "--name", "n", "--name", "m"], "given twice"),
        (
            &["create", "--name", "n", "--key", ARN],
            "create does not take --key",
        ),
        (&["create", "--name", "n", "--spec", "ML_DSA_65"], "ML-DSA"),
        (&["create", "--name", "n", "--spec", "SM2"], "China"),
        (
            &["create", "--name", "n", "--spec", "ECC_NIST_EDWARDS25519"],
            "Ed25519",
        ),
        (
            &["create", "--name", "n", "--usage", "SIGN_VERIFY"],
            "does not go with",
        ),
        (&["create", "--name", "n", "--tag", "a"], "KEY=VALUE"),
        (&["create", "--name", "n", "--tag", "a=\"b"], "no quotes"),
        (
            &["create", "--name", "n", "--alias", "alias/aws/s3"],
            "AWS's own",
        ),
        (
            &["create", "--name", "n", "--policy", "nowhere.json"],
            "cannot be read",
        ),
        (&["create", "--name"], "needs a value"),
        (
            &["parameters", "--key", "--algorithm", "RSAES_OAEP_SHA_256"],
            "--key needs a value: --algorithm after it is the next option",
        ),
        (&["create", "--frob"], "--frob is not known"),
        (&["disable", "--key", "alias/payments"], "is an alias"),
        (
            &[
                "disable",
                "--key",
                "arn:aws:kms:eu-west-1:111122223333:alias/payments",
            ],
            "is an alias",
        ),
        (
            &["disable", "--key", "arn:aws:s3:::bucket"],
            "not the ARN of a KMS key",
        ),
        (&["disable", "--key", "x; rm"], "nor the id of a KMS key"),
        (
            &["disable", "--key", ARN, "--region", "eu-west-2"],
            "not the Region of",
        ),
        (
            &["disable", "--key", ARN, "--region", "Europe"],
            "is not a Region",
        ),
        (&["disable", "more", "--key", ARN], "more: what is that?"),
        (
            &["parameters", "--name", "n", "--key", ARN],
            "--algorithm is missing",
        ),
        (
            &[
                "parameters",
                "--name",
                "n",
                "--key",
                ARN,
                "--algorithm",
                "RSAES_PKCS1_V1_5",
            ],
            "October 2023",
        ),
        (
            &[
                "parameters",
                "--name",
                "n",
                "--key",
                ARN,
                "--algorithm",
                "SM2PKE",
            ],
            "China",
        ),
        (
            &[
                "parameters",
                "--name",
                "n",
                "--key",
                ARN,
                "--algorithm",
                "RSAES_OAEP_SHA_256",
                "--size",
                "RSA_1024",
            ],
            "RSA_1024",
        ),
        (
            &["schedule-deletion", "--key", ARN, "--days", "6"],
            "from 7 to 30",
        ),
        (
            &["schedule-deletion", "--key", ARN, "--days", "31"],
            "from 7 to 30",
        ),
        (
            &["delete-material", "--key", ARN, "--material", "abc"],
            "64 lower-case hex",
        ),
        (&["evidence", "--key", ARN, "--days", "91"], "from 1 to 90"),
        (&["alias", "--name", "a b", "--key", ARN], "letters, digits"),
        (&["slip"], "inputs: no such folder"),
        (&["import"], "which folder?"),
        (&["import", "nowhere"], "is missing"),
        (
            &["prove", "--key", ARN, "--fingerprint", "xyz"],
            "hex digits only",
        ),
    ] {
        let ran = desk.run(args).ended(2, &[why]);
        assert!(!ran.err.contains("online.sh: line"), "{}", ran.err);
        assert_eq!(desk.calls(), "", "{args:?}");
    }
    assert_eq!(desk.files(), [""; 0]);
}

// ---- the environment, and what AWS says ----

#[test]
fn a_configured_endpoint_is_never_asked() {
    let mut desk = one_key("Enabled");
    for name in [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_KMS",
        "AWS_ENDPOINT_URL_STS",
    ] {
        desk.set_env(name, "http://127.0.0.1:1");
    }
    desk.set_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
    desk.set_env("AWS_PROFILE", "from-env");
    for args in every_call() {
        fs::write(desk.work("policy.json"), "{}").unwrap();
        desk.run(&args);
        let Ok(env) = fs::read_to_string(desk.path("aws/env")) else {
            panic!("{args:?} asks nothing");
        };
        assert!(
            env.contains("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"),
            "{env}"
        );
        assert!(!env.contains("AWS_ENDPOINT_URL"), "{args:?}: {env}");
        fs::remove_file(desk.path("aws/env")).unwrap();
        for file in desk.files() {
            fs::remove_file(file).unwrap();
        }
    }
    desk.run(&["disable", "--key", ARN]).ended(
        3,
        &["asks     AWS's own endpoints, profile from-env (from the environment)"],
    );
    let elsewhere = ["--endpoint-url", "http://127.0.0.1:1/"];
    desk.run(&[&["disable", "--key", ARN][..], &elsewhere].concat())
        .ended(
            3,
            &["asks     http://127.0.0.1:1/ (given by --endpoint-url)"],
        );
}

/// An alias, a plugin and a model would answer in its place, whatever is asked.
#[test]
fn what_answers_in_the_place_of_aws_is_refused_by_every_verb() {
    let mut desk = one_key("Enabled");
    desk.set_env("HOME", &desk.path("home").display().to_string());
    for (file, content, said) in [
        (
            ".aws/cli/alias",
            "[toplevel]\nkms = !echo",
            "an alias there",
        ),
        (".aws/config", "[plugins]\nx = y\n", "a plugin may answer"),
        (
            ".aws/models/cloudtrail/2013-11-01/service-2.json",
            "{}",
            "where AWS is",
        ),
    ] {
        let path = desk.path("home").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        for args in every_call() {
            fs::write(desk.work("policy.json"), "{}").unwrap();
            desk.run(&args).ended(2, &[said]);
            assert_eq!(desk.calls(), "", "{args:?}");
            assert!(!desk.path("aws/env").exists());
        }
        fs::remove_dir_all(desk.path("home")).unwrap();
    }
}

/// The real AWS CLI; what it asks must be AWS, which a proxy that is not there keeps it from.
#[test]
fn the_real_aws_clis_ask_no_configured_endpoint() {
    let Some(kms) = kms() else { return };
    let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    for cli in every_cli(&kms) {
        let mut desk = Desk::at(&kms, &cli);
        desk.globals.clear();
        let url = kms.endpoint();
        fs::write(
            desk.work("config"),
            format!("[default]\nendpoint_url = {url}\n"),
        )
        .unwrap();
        let config = desk.work("config").display().to_string();
        desk.set_env("AWS_CONFIG_FILE", &config);
        desk.set_env("AWS_ENDPOINT_URL", &url);
        desk.set_env("AWS_MAX_ATTEMPTS", "1");
        desk.set_env("HTTPS_PROXY", "http://127.0.0.1:1");
        desk.run(&["disable", "--key", &arn]).ended(3, &["proxy"]);
    }
}

#[test]
fn a_value_that_names_a_file_or_a_page_is_refused() {
    let desk = one_key("PendingImport");
    for begin in ["file://", "fileb://", "http://", "https://"] {
        let value = format!("{begin}/etc/passwd");
        let says = format!("a value that begins with {begin} is not accepted");
        for option in [
            "description",
            "tag",
            "alias",
            "policy",
            "profile",
            "name",
            "spec",
            "usage",
            "key",
            "algorithm",
            "size",
            "out",
            "fingerprint",
            "public-key",
            "to",
            "material",
            "topic",
        ] {
            let option = format!("--{option}");
            let value = if option == "--tag" {
                format!("{value}=x")
            } else {
                value.clone()
            };
            desk.run(&["create", "--name", "n", &option, &value]).ended(
                2,
                &[if option == "--name" {
                    "given twice"
                } else {
                    &says
                }],
            );
        }
    }
    desk.run(&["status", "--endpoint-url", "localhost:1"])
        .ended(2, &["begins with https://"]);
    desk.run(&["create", "--name", "n", "--description", "a\u{1b}[2J"])
        .ended(2, &["no control characters"]);
    assert_eq!(desk.calls(), "");
}

#[test]
fn every_format_of_an_error_keeps_its_class_and_moves_no_cursor() {
    let desk = one_key("Enabled");
    let code = "KMSInvalidStateException";
    for said in [
        format!("\nAn error occurred ({code}) when calling it: no\n"),
        format!(
            "\naws: [ERROR]: An error occurred ({code}) when calling it: no\n\nAdditional error details:\nType: User\n"
        ),
        format!("{{\n    \"Message\": \"no\",\n    \"Code\": \"{code}\"\n}}\n"),
        format!("Code: {code}\nMessage: no\n"),
        format!("{code}\tno\n"),
        format!("|  Code     |  {code}  |\n|  Message  |  no  |\n"),
        format!("An error occurred ({code}) \u{1b}[2J\u{9b}1A\r\u{202e}\n"),
    ] {
        fs::write(desk.path("aws/disable-key.err"), said).unwrap();
        let ran = desk
            .run(&["disable", "--key", ARN])
            .ended(3, &["See its KeyState", code]);
        let bad = |c: &char| c.is_control() && !['\n', '\t'].contains(c) || *c == '\u{202e}';
        assert_eq!(ran.err.chars().find(bad), None, "{:?}", ran.err);
    }
    assert!(
        fs::read_to_string(desk.path("aws/env"))
            .unwrap()
            .contains("AWS_CLI_ERROR_FORMAT=legacy")
    );
    for fault in [
        "InternalFailure",
        "KMSInternalException",
        "ServiceUnavailableException",
    ] {
        desk.refuses("disable-key", fault);
        let ran = desk.run(&["disable", "--key", ARN]).ended(
            3,
            &[
                "failed inside AWS",
                "nobody here made a mistake",
                "Run it again",
            ],
        );
        assert!(!ran.err.contains("could not be reached"), "{}", ran.err);
    }
    let fields = described("SYMMETRIC_DEFAULT", "Enabled", "EXTERNAL");
    desk.answers(
        "describe-key",
        &fields.replace("2099-01-01T00:00:00Z", "None"),
    );
    desk.answers("disable-key", "");
    desk.answers("list-keys", &format!("{ARN}\n"));
    desk.answers("list-aliases", &format!("{ID}\talias/\u{1b}[2Jx\n"));
    desk.answers(
        "list-key-rotations",
        &format!("CURRENT\tIMPORTED\t{MATERIAL}\tKEY_MATERIAL_EXPIRES\tNone\t\u{1b}[2J\n"),
    );
    let ran = desk
        .run(&["status"])
        .ended(0, &["material  expires at a time that KMS does not give"]);
    assert!(
        !ran.out.contains(['\u{1b}']) && !ran.out.contains("None"),
        "{:?}",
        ran.out
    );
}

#[test]
fn a_policy_is_matched_as_iam_does() {
    let (get, import) = ("kms:GetParametersForImport", "kms:ImportKeyMaterial");
    let none = |action: &str| format!("no statement allows {action}");
    let denied = |action: &str| format!("a Deny without a condition covers {action}");
    let under = |action: &str| format!("a Deny under a condition covers {action}");
    let allow = |actions: Value| json!({"Effect": "Allow", "Action": actions});
    let deny = |actions: Value| json!({"Effect": "Deny", "Action": actions});
    let condition =
        json!({"Effect": "Deny", "NotAction": "kms:Get*", "Condition": {"Bool": {"a": "b"}}});
    for (statements, says) in [
        (
            json!([allow(json!(["kms:Get*", "kms:ImportKeyMaterial"]))]),
            vec![],
        ),
        (json!(allow(json!("*"))), vec![]),
        (
            json!([
                allow(json!("KMS:importKEYmateri?l")),
                allow(json!("kms:GetP*Import"))
            ]),
            vec![],
        ),
        (
            json!([{"Effect": "Allow", "NotAction": ["kms:Delete*"]}]),
            vec![],
        ),
        (json!([allow(json!("kms:Import*"))]), vec![none(get)]),
        (
            json!([allow(json!("kms:ImportKeyMaterial?"))]),
            vec![none(get), none(import)],
        ),
        (
            json!([deny(json!("kms:ImportKeyMaterial"))]),
            vec![none(get), none(import), denied(import)],
        ),
        (
            json!([allow(json!("kms:*")), deny(json!("kms:Import*"))]),
            vec![denied(import)],
        ),
        (
            json!([allow(json!("kms:*")), condition]),
            vec![under(import)],
        ),
        (
            json!([{"Effect": "Allow", "NotAction": "kms:*"}]),
            vec![none(get), none(import)],
        ),
    ] {
        let desk = one_key("PendingImport");
        let policy = serde_json::to_string_pretty(&json!({"Statement": statements})).unwrap();
        fs::write(desk.work("policy.json"), &policy).unwrap();
        let ran = desk.run(&["create", "--name", "n", "--policy", "policy.json"]);
        let told: Vec<&str> = ran
            .err
            .lines()
            .filter(|line| line.ends_with("; going on"))
            .collect();
        assert_eq!(told.len(), says.len(), "{policy}\n{}", ran.err);
        for say in says {
            assert!(
                told.iter().any(|line| line.contains(&say)),
                "{say}\n{}",
                ran.err
            );
        }
    }
    let desk = one_key("PendingImport");
    fs::write(desk.work("policy.json"), "{\"Statement\": [").unwrap();
    let ran = desk.run(&["create", "--name", "n", "--policy", "policy.json"]);
    assert!(ran.err.contains("it is not JSON"), "{}", ran.err);
}

#[test]
fn a_folder_whose_import_stopped_was_not_imported() {
    let desk = one_key("PendingImport");
    fs::create_dir(desk.work("folder")).unwrap();
    fs::write(desk.work("folder/import.sh"), "exit 1\n").unwrap();
    let result = |key: &str, cli: &str| {
        let text = format!(
            "{{\n  \"format\": \"byok-import-result-v1\",\n  \"key_arn\": \"{ARN}\",\n  \"KeyId\": {key},\n  \
             \"exit\": 0,\n  \"cli\": \"{cli}\"\n}}\n"
        );
        fs::write(desk.work("folder/import-result.json"), text).unwrap();
        desk.run(&["import", "folder"])
            .ended(3, &["Whose move"])
            .out
    };
    let quoted = |text: &str| format!("\"{text}\"");
    let now = "aws-cli/2.99.0 Python";
    for key in [
        quoted(&ARN.replace("eu-west-1", "us-east-1")),
        quoted("mrk-1"),
        "null".into(),
    ] {
        let said = result(&key, now);
        assert!(!said.contains("WAS imported"), "{key}: {said}");
    }
    for (key, cli) in [
        (quoted(ARN), now),
        (quoted(ID), now),
        ("null".into(), "aws-cli/2.9.19 x"),
    ] {
        assert!(result(&key, cli).contains("WAS imported before"), "{key}");
    }
    // Somebody else could have put a link there.
    let result = desk.work("folder/import-result.json");
    fs::rename(&result, desk.work("planted.json")).unwrap();
    std::os::unix::fs::symlink("../planted.json", &result).unwrap();
    let said = desk.run(&["import", "folder"]).ended(3, &["Ignored"]);
    assert!(!said.out.contains("WAS imported"), "{}", said.out);
}

#[test]
fn an_import_asks_through_online_sh_too() {
    let desk = one_key("PendingImport");
    fs::create_dir(desk.work("folder")).unwrap();
    let asks = "read -r typed; echo \"typed $typed, given $*\"\n";
    fs::write(desk.work("folder/import.sh"), asks).unwrap();
    desk.typing("yes\n", &["import", "folder", "--profile", "ops"])
        .ended(0, &["typed yes, given --profile ops\n"]);
    desk.run(&["import", "folder"]).ended(0, &["given --yes\n"]);
    desk.run(&["status", "--yes"])
        .ended(2, &["does not take --yes"]);
}

// ---- dry runs ----

/// What the AWS CLI itself says of each command: `ok` or `refused`.
fn judged(python: &Path, how: &[&str], desk: &Desk, lines: &str) -> Vec<String> {
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/online/arguments.py");
    let args = [&[checker.to_str().unwrap()], how].concat();
    let mut command = desk.command(python, &args);
    command
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "x")
        .env("AWS_SECRET_ACCESS_KEY", "x")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("HOME", desk.path("tmp"));
    let ran = ran(&mut command, lines).ended(0, &[]);
    ran.out.lines().map(str::to_owned).collect()
}

/// Every dry run, without an `aws` to run.
fn planned(desk: &Desk) -> String {
    let mut lines = String::new();
    for args in every_call() {
        let args = [&args[..], &["--dry-run", "--profile", "key ops"]].concat();
        let before = desk.files();
        let ran = desk.run(&args).ended(0, &["--profile 'key ops'"]);
        assert_eq!(ran.err, "");
        assert_eq!(desk.files(), before);
        lines += &ran.out;
    }
    lines.replace(" --profile 'key ops'", "").replace(
        "aws cloudtrail lookup-events",
        "aws cloudtrail lookup-events --region eu-west-1",
    )
}

#[test]
fn a_dry_run_prints_commands_that_the_aws_cli_takes() {
    let desk = Desk::without_cli();
    for name in [
        "policy.json",
        "online.sh-round-trip",
        "online.sh-ciphertext",
        "online.sh-message",
    ] {
        let policy = json!({"Statement": {"Effect": "Allow", "Action": "kms:*"}});
        fs::write(desk.work(name), policy.to_string()).unwrap();
    }
    let lines = planned(&desk);
    let commands: Vec<&str> = lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for verb in [
        "create-key",
        "create-alias",
        "replicate-key",
        "rotate-key-on-demand",
        "list-key-rotations",
        "generate-mac",
        "get-public-key",
        "put-metric-alarm",
        "put-targets",
        "lookup-events",
        "delete-imported-key-material",
        "update-alias",
    ] {
        assert!(
            commands.iter().any(|line| line.contains(verb)),
            "no {verb} in\n{lines}"
        );
    }
    desk.run(&["import", "policy.json", "--dry-run"])
        .ended(0, &["bash policy.json"]);
    desk.run(&["slip", "--out", ".", "--dry-run"])
        .ended(0, &["# no aws command"]);
    let Some(venv) = std::env::var_os("BYOK_TEST_VENV") else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let python = PathBuf::from(venv).join("bin/python");
    let verdicts = judged(&python, &[], &desk, &lines);
    assert_eq!(verdicts.len(), commands.len());
    for (command, verdict) in commands.iter().zip(&verdicts) {
        assert_eq!(verdict, "ok", "{command}");
    }
    wrong_ones_are_refused(&python, &desk, &commands);
    if !Path::new(OLD_CLI).exists() {
        return skip("no AWS CLI 2 in /usr/bin");
    }
    let too_new = [
        "list-key-rotations",
        "rotate-key-on-demand",
        "--key-material-id",
    ];
    let verdicts = judged(Path::new("/usr/bin/python3"), &["parser"], &desk, &lines);
    for (command, verdict) in commands.iter().zip(&verdicts) {
        let is_new = too_new.iter().any(|word| command.contains(word));
        assert_eq!(verdict == "ok", !is_new, "{command}: {verdict}");
    }
}

/// The judge can say no: a wrong option, a wrong operation, a wrong value of an enumeration.
fn wrong_ones_are_refused(python: &Path, desk: &Desk, commands: &[&str]) {
    let swaps = [
        (" --key-id ", " --key-ids "),
        ("kms describe-key", "kms describe-keys"),
        (
            "--wrapping-algorithm RSA_AES_KEY_WRAP_SHA_256",
            "--wrapping-algorithm RSA_AES_SHA_256",
        ),
        (
            "--wrapping-key-spec RSA_3072",
            "--wrapping-key-spec RSA_3073",
        ),
        ("--origin EXTERNAL", "--origin EXTERN"),
        ("--statistic Minimum", "--statistic Min"),
        ("LessThanThreshold", "LessThan"),
        ("AttributeKey=EventName", "AttributeKey=Name"),
        ("ALL_KEY_MATERIAL", "ALL"),
        ("--mac-algorithm HMAC_SHA_256", "--mac-algorithm SHA_256"),
        ("--alias-name alias/", "--alias-name 'alias '"),
        (&MATERIAL[..8], ""),
        ("TagKey", "Key"),
    ];
    let wrong: Vec<String> = swaps
        .iter()
        .map(|(right, wrong)| {
            let line = commands.iter().find(|line| line.contains(right));
            line.unwrap_or_else(|| panic!("no {right}"))
                .replace(right, wrong)
        })
        .collect();
    for (line, verdict) in wrong
        .iter()
        .zip(judged(python, &[], desk, &(wrong.join("\n") + "\n")))
    {
        assert!(verdict.starts_with("refused"), "{line}: {verdict}");
    }
}

// ---- for people ----

#[test]
fn help_tells_of_each_verb_what_it_needs_and_what_it_does_not_do() {
    let desk = Desk::without_cli();
    let all = desk
        .run(&["--help"])
        .ended(0, &["Exit codes", "--dry-run", "--endpoint-url"]);
    for verb in VERBS {
        assert!(all.out.contains(verb), "{verb}");
        let help = desk.run(&[verb, "--help"]).ended(
            0,
            &["Example:\n  bash online.sh ", "\nNeeds: ", "\nDoes not: "],
        );
        assert!(
            help.out
                .starts_with(&format!("usage: bash online.sh {verb}"))
        );
        for help in [&help.out, &all.out] {
            support::fits(help);
            assert!(help.is_ascii(), "{help}");
        }
    }
}

#[test]
fn it_pleases_shellcheck_and_needs_no_root() {
    let Some(shellcheck) = which("shellcheck") else {
        return skip("no shellcheck");
    };
    let checked = Command::new(shellcheck).arg(script()).output().unwrap();
    assert!(checked.status.success(), "{}", support::stdout(&checked));
    let desk = one_key("Enabled");
    if !rustix::process::geteuid().is_root() {
        return; // every test here ran as an ordinary user
    }
    let Some(setpriv) = which("setpriv") else {
        return skip("no setpriv");
    };
    let bash = which("bash").unwrap();
    for path in ["", "aws", "work", "tmp"] {
        fs::set_permissions(desk.path(path), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let online = desk.path("online.sh");
    let args = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        bash.to_str().unwrap(),
        online.to_str().unwrap(),
        "prove",
        "--key",
        ARN,
    ];
    desk.answers("encrypt", "AAAA\n");
    desk.answers("decrypt", "AAAA\n");
    ran(&mut desk.command(&setpriv, &args), "").ended(
        4,
        &[
            "kept     eu-west-1-",
            "did not give back what was encrypted",
        ],
    );
}
