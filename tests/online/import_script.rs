//! The scripts for the cloud operator, run as that person runs them: against a fake `aws` that notes
//! its arguments and answers as told, and against a real AWS CLI with a KMS that really unwraps.

use crate::kms_on_loopback;
use crate::support;
use crate::support::pty::Pty;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use base64ct::{Base64, Encoding as _};
use byok::ground::words;
use byok::paper::outputs::{ImportScript, ImportType, MultiRegion, Run, import_all};
use jiff::{SignedDuration, Timestamp};
use kms_on_loopback::{LoopbackKms, key_material_id_of};
use serde_json::Value;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const MATERIAL_ID: &str = "6c2d1a4f5e0b3c7d8e9f00112233445566778899aabbccddeeff001122334455";
const CEREMONY: &str = "00112233445566778899aabbccddeeff";
const WRAPPED: &[u8] = b"wrapped";
const TOKEN: &[u8] = b"token";
static WRAPPED_SHA256: LazyLock<String> = LazyLock::new(|| words::hex(&words::sha256(WRAPPED)));
static TOKEN_SHA256: LazyLock<String> = LazyLock::new(|| words::hex(&words::sha256(TOKEN)));

/// All that the scripts may use besides bash and the AWS CLI: what macOS and Linux both have.
const TOOLS: [&str; 14] = [
    "awk",
    "bash",
    "cat",
    "date",
    "env",
    "head",
    "iconv",
    "ls",
    "mktemp",
    "printf",
    "rm",
    "sed",
    "sha256sum",
    "tr",
];

/// Notes its arguments a line each and answers as the files beside it say.
const FAKE_AWS: &str = r#"#!/bin/bash
here=${0%/*}
[ "$1" != --version ] || { echo "aws-cli/$(cat "$here/version" 2>/dev/null || echo 2.99.0) Python/3.13.0"; exit 0; }
case " $* " in *" --generate-cli-skeleton "*) cat "$here/skeleton" 2>/dev/null; exit 0 ;; esac
printf '%s\n' "$@" > "$here/$2.argv"
printf '%s|%s' "${AWS_PAGER-unset}" "$AWS_CLI_AUTO_PROMPT" > "$here/$2.env"
env > "$here/$2.whole-env"
cat "$here/$2.out"
cat "$here/$2.err" >&2
exit "$(cat "$here/$2.exit")"
"#;

fn now() -> Timestamp {
    Timestamp::now()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn script() -> ImportScript<'static> {
    ImportScript {
        ceremony: CEREMONY,
        rehearsal: false,
        title: "Payments data key, eu-west-1",
        label: "payments-2026",
        import: "eu-west-1",
        key_arn: ARN,
        region: "eu-west-1",
        account: "111122223333",
        wrapping_algorithm: "RSAES_OAEP_SHA_256",
        wrapped_sha256: &WRAPPED_SHA256,
        token_sha256: &TOKEN_SHA256,
        valid_to: now() + hours(20),
        expires: None,
        import_type: None,
        description: None,
        multi_region: None,
        rotates: None,
    }
}

/// An import that the script at the top runs.
fn run<'a>(label: &'a str, import: &'a str) -> Run<'a> {
    Run {
        label,
        import,
        after: None,
        rotates: None,
    }
}

/// How a script ended and what it said.
struct Ran {
    code: i32,
    said: String,
}

impl Ran {
    #[track_caller]
    fn ended(self, code: i32, with: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}", self.said);
        for text in with {
            assert!(self.said.contains(text), "no {text:?} in:\n{}", self.said);
        }
        self
    }
}

/// A cloud operator's computer: few tools, a folder from the room, and an `aws`.
struct Desk {
    home: tempfile::TempDir,
}

impl Desk {
    /// With a folder as the ceremony wrote it, and an AWS that accepts everything.
    fn with(script: &ImportScript) -> Self {
        let desk = Self::bare();
        desk.lay_out(script);
        desk.sts_answers(
            r#"{"UserId":"A","Account":"111122223333","Arn":"arn:aws:iam::111122223333:user/op"}"#,
        );
        let accepted = format!(
            "{{\n    \"KeyId\": \"{ARN}\",\n    \"KeyMaterialId\": \"{MATERIAL_ID}\"\n}}\n"
        );
        desk.kms_answers(&accepted, "", 0);
        desk
    }

    fn bare() -> Self {
        let desk = Self {
            home: tempfile::tempdir().unwrap(),
        };
        for folder in ["tools", "aws", "tmp", "work"] {
            fs::create_dir(desk.path(folder)).unwrap();
        }
        for tool in TOOLS {
            symlink(which(tool).unwrap(), desk.path("tools").join(tool)).unwrap();
        }
        fs::write(desk.path("aws/aws"), FAKE_AWS).unwrap();
        mode(&desk.path("aws/aws"), 0o755);
        desk
    }

    fn lay_out(&self, script: &ImportScript) {
        let folder = self.path("record").join(script.label).join(script.import);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("WrappedKeyMaterial.bin"), WRAPPED).unwrap();
        fs::write(folder.join("ImportToken.bin"), TOKEN).unwrap();
        fs::write(folder.join("import.sh"), script.render()).unwrap();
    }

    fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    fn folder(&self) -> PathBuf {
        self.path("record/payments-2026/eu-west-1")
    }

    fn answers(&self, operation: &str, out: &str, err: &str, exit: i32) {
        let put = |kind: &str, text: &str| {
            fs::write(self.path(&format!("aws/{operation}.{kind}")), text).unwrap();
        };
        put("out", out);
        put("err", err);
        put("exit", &exit.to_string());
    }

    fn kms_answers(&self, out: &str, err: &str, exit: i32) {
        self.answers("import-key-material", out, err, exit);
    }

    fn kms_refuses(&self, error: &str) {
        let said = format!(
            "\nAn error occurred ({error}) when calling the ImportKeyMaterial operation: \"no\"\n"
        );
        self.kms_answers("", &said, 254);
    }

    fn sts_answers(&self, out: &str) {
        self.answers("get-caller-identity", out, "", 0);
    }

    fn command(&self, program: impl AsRef<Path>, script: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = format!(
            "{}:{}",
            self.path("aws").display(),
            self.path("tools").display()
        );
        command
            .arg(script)
            .args(args)
            .env_clear()
            .env("PATH", path)
            .env("TMPDIR", self.path("tmp"))
            .current_dir(self.path("work"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the script without its question.
    fn run(&self, args: &[&str]) -> Ran {
        let script = self.folder().join("import.sh");
        let args = [&["--yes"], args].concat();
        ran(&mut self.command(which("bash").unwrap(), &script, &args))
    }

    /// Runs the script; a person types this.
    fn typing(&self, typed: &str, args: &[&str]) -> Ran {
        let script = self.folder().join("import.sh");
        let mut command = self.command(which("bash").unwrap(), &script, args);
        let answers = self.path("tmp/typed");
        fs::write(&answers, typed).unwrap();
        let ran = ran(command.stdin(fs::File::open(&answers).unwrap()));
        fs::remove_file(answers).unwrap();
        ran
    }

    /// Runs the script at the top of the record without its questions.
    fn run_all(&self, args: &[&str]) -> Ran {
        let script = self.path("record/import.sh");
        let args = [&["--yes"], args].concat();
        ran(&mut self.command(which("bash").unwrap(), &script, &args))
    }

    fn version(&self, version: &str) {
        fs::write(self.path("aws/version"), version).unwrap();
    }

    /// The arguments of the last call of this operation; `None` if there was no call.
    fn argv(&self, operation: &str) -> Option<Vec<String>> {
        let noted = fs::read_to_string(self.path(&format!("aws/{operation}.argv"))).ok()?;
        Some(noted.lines().map(str::to_owned).collect())
    }

    fn nothing_was_sent(&self) {
        assert_eq!(self.argv("import-key-material"), None);
        assert!(!self.folder().join("import-result.json").exists());
    }

    fn result(&self, name: &str) -> Value {
        read_json(&self.folder().join(name))
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Ran {
        code: output.status.code().unwrap_or(-1),
        said: String::from_utf8(said).unwrap(),
    }
}

fn which(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

/// The arguments up to those that the plan decides.
const FIRST: [&str; 10] = [
    "kms",
    "import-key-material",
    "--region",
    "eu-west-1",
    "--key-id",
    ARN,
    "--encrypted-key-material",
    "fileb://WrappedKeyMaterial.bin",
    "--import-token",
    "fileb://ImportToken.bin",
];
const NEVER: [&str; 2] = ["--expiration-model", "KEY_MATERIAL_DOES_NOT_EXPIRE"];
const LAST: [&str; 4] = ["--output", "json", "--query", "@"];

#[test]
fn it_sends_exactly_what_the_ceremony_decided() {
    let desk = Desk::with(&script());
    desk.run(&[]).ended(
        0,
        &[
            "Payments data key, eu-west-1",
            "account 111122223333",
            "arn:aws:iam::111122223333:user/op",
            "aws kms import-key-material --region eu-west-1 --key-id arn:aws:kms:",
            MATERIAL_ID,
            "byok receipt RECORD import-result*.json",
        ],
    );
    let sent = desk.argv("import-key-material").unwrap();
    assert_eq!(sent, [&FIRST[..], &NEVER, &LAST].concat());
    let env = fs::read_to_string(desk.path("aws/import-key-material.env")).unwrap();
    assert_eq!(env, "|off");
    assert_eq!(fs::read_dir(desk.path("tmp")).unwrap().count(), 0);
}

#[test]
fn an_expiry_is_a_whole_second_in_utc() {
    let expires: Timestamp = (now() + hours(24 * 300)).to_string().parse().unwrap();
    let desk = Desk::with(&ImportScript {
        expires: Some(expires),
        ..script()
    });
    desk.run(&[]).ended(0, &[]);
    let sent = desk.argv("import-key-material").unwrap();
    let text = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let terms = [
        "--expiration-model",
        "KEY_MATERIAL_EXPIRES",
        "--valid-to",
        &text,
    ];
    assert_eq!(sent, [&FIRST[..], &terms, &LAST].concat());
}

#[test]
fn import_type_material_and_description_go_along_where_the_plan_says_so() {
    let existing = ImportType::ExistingKeyMaterial {
        key_material_id: Some(MATERIAL_ID.into()),
    };
    let desk = Desk::with(&ImportScript {
        import_type: Some(existing),
        description: Some("from ceremony 2026-11"),
        ..script()
    });
    desk.run(&[]).ended(0, &[]);
    let terms = [
        "--import-type",
        "EXISTING_KEY_MATERIAL",
        "--key-material-id",
        MATERIAL_ID,
        "--key-material-description",
        "from ceremony 2026-11",
    ];
    let sent = desk.argv("import-key-material").unwrap();
    assert_eq!(sent, [&FIRST[..], &NEVER, &terms, &LAST].concat());

    let desk = Desk::with(&ImportScript {
        import_type: Some(ImportType::NewKeyMaterial),
        ..script()
    });
    desk.run(&[]).ended(0, &[]);
    let sent = desk.argv("import-key-material").unwrap();
    let terms = ["--import-type", "NEW_KEY_MATERIAL"];
    assert_eq!(sent, [&FIRST[..], &NEVER, &terms, &LAST].concat());
}

/// What an AWS CLI shows that it could send.
const KNOWS_IMPORT_TYPE: &str = r#"{"KeyId": "", "EncryptedKeyMaterial": null, "ImportType": ""}"#;
const TOO_OLD: &str = r#"{"KeyId": "", "EncryptedKeyMaterial": null, "ValidTo": ""}"#;

fn new_material() -> ImportScript<'static> {
    ImportScript {
        import_type: Some(ImportType::NewKeyMaterial),
        rotates: Some(ARN),
        ..script()
    }
}

#[test]
fn an_aws_cli_that_is_too_old_is_told_so_before_anything_is_sent() {
    for script in [
        new_material(),
        ImportScript {
            description: Some("from ceremony 2026-11"),
            ..script()
        },
    ] {
        let desk = Desk::with(&script);
        fs::write(desk.path("aws/skeleton"), TOO_OLD).unwrap();
        let says = [
            "too old",
            "aws-cli/2.99.0",
            "AWS CloudShell",
            "nothing was imported",
        ];
        desk.run(&[]).ended(2, &says);
        desk.nothing_was_sent();
        fs::write(desk.path("aws/skeleton"), KNOWS_IMPORT_TYPE).unwrap();
        desk.run(&[]).ended(0, &["IMPORTED"]);
    }
    // What an old one can send it does send.
    let desk = Desk::with(&script());
    fs::write(desk.path("aws/skeleton"), TOO_OLD).unwrap();
    desk.run(&[]).ended(0, &["IMPORTED"]);
}

/// Who follows the advice asks whom this run asked.
#[test]
fn what_to_type_next_is_for_the_profile_and_the_endpoint_of_this_run() {
    let url = "https://kms.example:8443";
    let given = ["--profile", "keys admin", "--endpoint-url", url];
    let asks = format!("--profile keys\\ admin --endpoint-url {url}");
    let rotate = format!("  bash online.sh rotate --key {ARN} --now {asks}\n");
    let by_hand =
        format!("  aws kms rotate-key-on-demand {asks} --region eu-west-1 --key-id {ARN}\n");
    let desk = Desk::with(&new_material());
    desk.run(&given).ended(0, &[&rotate, &by_hand]);
    desk.kms_refuses("KMSInvalidStateException");
    let desk_of_no_new = Desk::with(&script());
    desk_of_no_new.kms_refuses("KMSInvalidStateException");
    let describe = format!("  aws kms describe-key {asks} --region eu-west-1 --key-id {ARN}\n");
    desk_of_no_new.run(&given).ended(1, &[&describe]);

    let desk = two_regions();
    let accepted = format!(r#"{{"KeyId": "{ARN}", "KeyMaterialId": "{MATERIAL_ID}"}}"#);
    desk.kms_answers(&accepted, "", 0);
    let mut all = given.to_vec();
    all.extend(["--ca-bundle", "/dev/null", "--cli-read-timeout=9", "--yes"]);
    let by_hand =
        format!("(aws kms rotate-key-on-demand --region eu-west-1 --key-id {ARN} {asks})\n");
    desk.run_all(&all).ended(0, &[&rotate, &by_hand]);
}

#[test]
fn every_result_is_to_be_brought_back() {
    let desk = Desk::with(&script());
    desk.kms_refuses("ThrottlingException");
    desk.run(&[]).ended(1, &["import-result.json"]);
    let accepted = format!(r#"{{"KeyId": "{ARN}", "KeyMaterialId": "{MATERIAL_ID}"}}"#);
    desk.kms_answers(&accepted, "", 0);
    let says = [
        "import-result-2.json",
        "Bring every import-result*.json back",
        "  byok receipt RECORD import-result*.json\n",
    ];
    desk.run(&[]).ended(0, &says);
}

#[test]
fn new_material_is_sent_once_and_then_waits_for_its_rotation() {
    let desk = Desk::with(&new_material());
    let next = [
        "new to the KMS key (NEW_KEY_MATERIAL)",
        "PENDING_ROTATION",
        &format!("bash online.sh rotate --key {ARN} --now"),
        "Enabled only while all its materials are imported",
    ];
    desk.run(&[]).ended(0, &next);
    let sent = desk.argv("import-key-material").unwrap();
    assert!(!sent.contains(&"--key-material-id".to_owned()), "{sent:?}");
    fs::remove_file(desk.path("aws/import-key-material.argv")).unwrap();
    let again = desk.run(&[]).ended(
        0,
        &["it was imported already", "import-result.json", next[2]],
    );
    assert!(!again.said.contains("IMPORTED into"), "{}", again.said);
    assert_eq!(desk.argv("import-key-material"), None);
    assert!(!desk.folder().join("import-result-2.json").exists());

    // A failed run is no import; neither is one of another ceremony.
    let desk = Desk::with(&new_material());
    desk.kms_refuses("IncorrectKeyMaterialException");
    let says = [
        "STOP",
        "has already",
        "list-key-rotations --include-key-material ALL_KEY_MATERIAL",
    ];
    desk.run(&[]).ended(1, &says);
    let other = r#"{"ceremony": "ffeeddccbbaa99887766554433221100", "exit": 0,"#;
    fs::write(desk.folder().join("import-result-7.json"), other).unwrap();
    desk.run(&[]).ended(1, &says);
}

fn described(kind: &str) -> String {
    format!(
        r#"{{"KeyMetadata": {{"Arn": "{ARN}", "MultiRegionConfiguration": {{
        "MultiRegionKeyType": "{kind}", "PrimaryKey": {{"Arn": "{ARN}-primary", "Region": "eu-west-1"}},
        "ReplicaKeys": [{{"Arn": "{ARN}-replica", "Region": "us-east-1"}}]}}}}}}"#
    )
}

#[test]
fn the_kms_is_asked_which_region_is_the_primary_before_anything_is_sent() {
    for (taken_for, is, other) in [
        (MultiRegion::Primary, "PRIMARY", "REPLICA"),
        (MultiRegion::Replica, "REPLICA", "PRIMARY"),
    ] {
        let desk = Desk::with(&ImportScript {
            multi_region: Some(taken_for),
            ..script()
        });
        desk.answers("describe-key", &described(other), "", 0);
        let says = [
            format!("this KMS key is the multi-Region {other}; the plan says it is the {is}"),
            format!("the primary is {ARN}-primary"),
            "import_type = \"NEW_KEY_MATERIAL\" at the primary".into(),
            "nothing was imported".into(),
        ];
        desk.run(&[]).ended(4, &says.each_ref().map(String::as_str));
        desk.nothing_was_sent();
        desk.answers("describe-key", &described(is), "", 0);
        desk.run(&["--profile", "op"]).ended(0, &["IMPORTED"]);
        let asked = desk.argv("describe-key").unwrap();
        assert_eq!(asked[..4], ["kms", "describe-key", "--profile", "op"]);
        // An answer without it, and none, leave it to KMS.
        desk.answers("describe-key", r#"{"KeyMetadata": {}}"#, "", 0);
        desk.run(&[]).ended(0, &["IMPORTED"]);
        desk.answers(
            "describe-key",
            "",
            "An error occurred (AccessDeniedException)",
            254,
        );
        desk.run(&[])
            .ended(0, &["Could not ask KMS", "AccessDenied", "IMPORTED"]);
    }
}

/// A primary and its replica, whose KMS answers each for itself.
fn two_regions() -> Desk {
    let desk = Desk::with(&ImportScript {
        multi_region: Some(MultiRegion::Primary),
        ..new_material()
    });
    desk.answers("describe-key", r#"{"KeyMetadata": {}}"#, "", 0);
    desk.lay_out(&ImportScript {
        import: "us-east-1",
        import_type: Some(ImportType::ExistingKeyMaterial {
            key_material_id: None,
        }),
        multi_region: Some(MultiRegion::Replica),
        rotates: Some(ARN),
        ..script()
    });
    let replica = Run {
        after: Some("eu-west-1"),
        rotates: Some(ARN),
        ..run("payments-2026", "us-east-1")
    };
    let primary = Run {
        rotates: Some(ARN),
        ..run("payments-2026", "eu-west-1")
    };
    let all = import_all(&[primary, replica], CEREMONY, "two Regions", false);
    fs::write(desk.path("record/import.sh"), all).unwrap();
    desk
}

#[test]
fn a_replica_waits_for_its_primary_in_this_run_or_an_earlier_one() {
    let desk = two_regions();
    let run = || desk.run_all(&[]);
    desk.kms_refuses("KMSInternalException");
    let says = [
        "us-east-1: NOT imported: import the primary first",
        "Not run: its primary",
    ];
    let first = run().ended(1, &says);
    assert!(!first.said.contains("KMS encrypts with"), "{}", first.said);
    let replica = desk.path("record/payments-2026/us-east-1/import-result.json");
    assert!(!replica.exists());

    let accepted = format!(r#"{{"KeyId": "{ARN}", "KeyMaterialId": "{MATERIAL_ID}"}}"#);
    desk.kms_answers(&accepted, "", 0);
    let rotate = format!("bash online.sh rotate --key {ARN} --now");
    let all = [
        "eu-west-1: imported",
        "us-east-1: imported",
        "so that KMS encrypts with the new material",
        &rotate,
    ];
    run().ended(0, &all);
    // The primary is not sent twice, and the replica goes on all the same.
    desk.kms_refuses("KMSInternalException");
    run().ended(
        1,
        &[
            "it was imported already",
            "eu-west-1: imported",
            "us-east-1: NOT imported: KMS",
        ],
    );
    desk.kms_answers(&accepted, "", 0);
    run().ended(0, &all);
    assert!(read_json(&replica)["KeyMaterialId"] == MATERIAL_ID);
}

#[test]
fn the_real_aws_clis_show_whether_they_know_the_options_without_sending_anything() {
    let venv = std::env::var_os("BYOK_TEST_VENV").map(|venv| PathBuf::from(venv).join("bin/aws"));
    let debian = PathBuf::from("/usr/bin/aws"); // 2.9.19, of before the option
    for (aws, knows) in [(venv, true), (Some(debian), false)] {
        let Some(aws) = aws.filter(|aws| aws.exists()) else {
            eprintln!("skipped: no such AWS CLI");
            continue;
        };
        let version = Command::new(&aws).arg("--version").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        if !knows && !version.contains("aws-cli/2.9.") {
            continue; // another machine has another one there
        }
        let desk = Desk::with(&new_material());
        fs::remove_file(desk.path("aws/aws")).unwrap();
        symlink(&aws, desk.path("aws/aws")).unwrap();
        let script = desk.folder().join("import.sh");
        let mut command = desk.command(which("bash").unwrap(), &script, &[]);
        let path = format!("{}:/usr/bin:/bin", desk.path("aws").display());
        command
            .args(["--yes", "--endpoint-url", "http://127.0.0.1:1"])
            .env("PATH", path)
            .env("HOME", desk.path("tmp"))
            .env("AWS_ACCESS_KEY_ID", "111122223333")
            .env("AWS_SECRET_ACCESS_KEY", "none")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        match knows {
            true => ran(&mut command).ended(1, &["Could not connect"]),
            false => ran(&mut command).ended(2, &["too old", "aws-cli/2.9."]),
        };
    }
}

#[test]
fn what_is_given_reaches_aws_and_everything_else_is_refused_by_name() {
    let desk = Desk::with(&script());
    let given = [
        "--profile",
        "key ops",
        "--endpoint-url",
        "https://kms.eu-west-1.amazonaws.com",
        "--ca-bundle",
        "ca.pem",
        "--cli-connect-timeout",
        "7",
        "--cli-read-timeout",
        "9",
    ];
    desk.run(&given).ended(0, &["--profile key\\ ops"]);
    let sent = desk.argv("import-key-material").unwrap();
    assert_eq!(
        sent,
        [&FIRST[..2], &given, &FIRST[2..], &NEVER, &LAST].concat()
    );
    // An endpoint of KMS does not know accounts.
    let asked = desk.argv("get-caller-identity").unwrap();
    let own = ["--region", "eu-west-1", "--output", "json", "--query", "@"];
    let sts = ["sts", "get-caller-identity"];
    assert_eq!(asked, [&sts[..], &given[..2], &given[4..], &own].concat());
    for refused in [
        "help",
        "x",
        "-h2",
        "--version",
        "--vers",
        "--debug",
        "--generate-cli-skeleton",
        "--cli-input-json",
        "--cli-input-yaml",
        "--import-type",
        "--import-type=NEW_KEY_MATERIAL",
        "--import-t",
        "--key-material-description",
        "--key-material-id",
        "--key-id",
        "--region",
        "--output",
        "--query",
        "--expiration-model",
        "--valid-to",
        "--no-sign-request",
        "--no-verify-ssl",
        "--endpoint",
        "--prof",
        "--color",
    ] {
        let desk = Desk::with(&script());
        let named = refused.split('=').next().unwrap();
        let says = format!("'{named}' is not accepted");
        desk.run(&[refused, "NEW_KEY_MATERIAL"])
            .ended(2, &[&says, "nothing was imported"]);
        desk.nothing_was_sent();
        assert_eq!(desk.argv("get-caller-identity"), None);
    }
    for (given, says) in [
        (&["--profile"][..], "--profile needs a value"),
        (&["--profile", "--yes"], "--profile needs a value"),
        (&["--profile="], "--profile needs a value"),
        (
            &["--profile", "file:///etc/passwd"],
            "the content of a file",
        ),
        (
            &["--endpoint-url", "localhost:4566"],
            "begins with https://",
        ),
        (&["--endpoint-url", "fileb://x"], "the content of a file"),
        (&["--cli-read-timeout", "x"], "give a number of seconds"),
    ] {
        let desk = Desk::with(&script());
        desk.run(given).ended(2, &[says, "nothing was imported"]);
        desk.nothing_was_sent();
    }
}

#[test]
fn nothing_that_is_configured_decides_where_it_is_sent() {
    let desk = Desk::with(&script());
    let script = desk.folder().join("import.sh");
    let mut command = desk.command(which("bash").unwrap(), &script, &["--yes"]);
    command
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
        .env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
        .env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false")
        .env("AWS_DATA_PATH", "/tmp")
        .env("AWS_PROFILE", "from-env");
    ran(&mut command).ended(
        0,
        &[
            "asks        AWS's own endpoint of KMS in eu-west-1",
            "profile     from-env (from the environment)",
            "account 111122223333",
        ],
    );
    for operation in ["get-caller-identity", "import-key-material"] {
        let file = desk.path(&format!("aws/{operation}.whole-env"));
        let env = fs::read_to_string(file).unwrap();
        assert!(
            env.contains("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"),
            "{env}"
        );
        assert!(
            !env.contains("AWS_ENDPOINT_URL") && !env.contains("AWS_DATA_PATH"),
            "{env}"
        );
    }
    let result = desk.result("import-result.json");
    assert_eq!(result["endpoint"], Value::Null);
    assert_eq!(result["profile"], "from-env");
    assert_eq!(result["account"], "111122223333");

    let given = ["--endpoint-url", "https://kms.example:8443/"];
    desk.run(&given).ended(
        0,
        &[
            "asks        https://kms.example:8443/ (given by --endpoint-url)",
            "This answer came from https://kms.example:8443/",
        ],
    );
    let result = desk.result("import-result-2.json");
    assert_eq!(result["endpoint"], "https://kms.example:8443/");
}

/// What the AWS CLI would ask in the place of AWS, and says of it.
const STAND_INS: [(&str, &str, &str); 9] = [
    (
        ".aws/cli/alias",
        "[toplevel]\nkms = !echo '{}'",
        "an alias there",
    ),
    (
        ".aws/cli/alias",
        "[toplevel]\r  K\u{a0}ms\t: !x",
        "an alias there",
    ),
    (
        ".aws/cli/alias",
        "[toplevel]\na = b\r\u{212a}MS=!x",
        "an alias there",
    ),
    (
        ".aws/cli/alias",
        "# mine\n [toplevel]\n sts = !x",
        "an alias there",
    ),
    (
        ".aws/cli/alias",
        "[command kms]\nimport-key-material = !x",
        "an alias there",
    ),
    (
        ".aws/cli/alias",
        "[command \"kms\"]\ndescribe-key = !x",
        "an alias there",
    ),
    (
        ".aws/config",
        "[default]\n[plugins]\nx = y",
        "a plugin may answer",
    ),
    (
        ".aws/models/kms/2014-11-01/service-2.json",
        "{}",
        "this file decides where AWS is",
    ),
    (
        ".aws/models/endpoints.json.gz",
        "",
        "this file decides where AWS is",
    ),
];

fn plant(home: &Path, (file, content, _): (&str, &str, &str)) {
    let path = home.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn what_answers_in_the_place_of_aws_is_refused_by_name() {
    for row in STAND_INS {
        let desk = Desk::with(&script());
        let script = desk.folder().join("import.sh");
        let mut command = desk.command(which("bash").unwrap(), &script, &["--yes"]);
        plant(&desk.path("home"), row);
        command.env("HOME", desk.path("home"));
        ran(&mut command).ended(2, &[row.2, row.0.split('/').nth(1).unwrap()]);
        desk.nothing_was_sent();

        let config = desk.path("home/.aws/config");
        command
            .env("HOME", "/nowhere")
            .env("AWS_CONFIG_FILE", &config);
        let code = if row.0 == ".aws/config" { 2 } else { 0 };
        assert_eq!(ran(&mut command).code, code, "{row:?}");
    }
    let desk = Desk::with(&script());
    let script = desk.folder().join("import.sh");
    let mut command = desk.command(which("bash").unwrap(), &script, &["--yes"]);
    let aliases = "[toplevel]\nwhoami = sts get-caller-identity\n# kms = x\n\
                   f = !f() {\n    aws kms list-keys --query \"x=kms\"\n  }; f\n[command ec2]\nkms-all = x\n";
    plant(&desk.path("home"), (".aws/cli/alias", aliases, ""));
    plant(
        &desk.path("home"),
        (".aws/config", "[default]\nregion = x\n", ""),
    );
    command.env("HOME", desk.path("home"));
    ran(&mut command).ended(0, &["IMPORTED"]);
    command.env("AWS_CONFIG_FILE", "~/x");
    ran(&mut command).ended(2, &["give the whole path"]);
}

/// The real AWS CLI would be the stand-in.
#[test]
fn an_alias_forges_no_import() {
    let Some(kms) = LoopbackKms::start() else {
        return;
    };
    let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    let folder = RealFolder::new(&kms, &arn, "RSAES_OAEP_SHA_256", &random_material(), 0);
    let home = folder.home.path().join("home");
    let alias = format!("[toplevel]\nsts = !:\nkms = !echo '{{\"KeyId\": \"{arn}\"}}'; #\n");
    plant(&home, (".aws/cli/alias", &alias, ""));
    let mut asked = Command::new(kms.aws_cli());
    asked.args(["kms", "describe-key"]).env("HOME", &home);
    let answer = String::from_utf8(asked.output().unwrap().stdout).unwrap();
    assert!(answer.contains(&arn), "{answer}");

    let mut command = Command::new(which("bash").unwrap());
    command
        .arg(folder.home.path().join("import.sh"))
        .arg("--yes")
        .env_clear()
        .envs(kms.env())
        .env("HOME", &home)
        .stdin(Stdio::null());
    ran(&mut command).ended(2, &["an alias there", "nothing was imported"]);
}

/// The rule by which an import counts is one, wherever it is read.
#[test]
fn after_a_stop_nothing_says_that_it_was_imported() {
    let elsewhere = ARN.replace("eu-west-1:111122223333", "us-east-1:444455556666");
    let mrk = "mrk-1234abcd12ab34cd56ef1234567890ab";
    for answer in [
        format!(r#"{{"KeyId": "{elsewhere}", "KeyMaterialId": "{MATERIAL_ID}"}}"#),
        format!(r#"{{"KeyId": "{mrk}", "KeyMaterialId": "{MATERIAL_ID}"}}"#),
        "{}".into(),
    ] {
        let desk = two_regions();
        desk.kms_answers(&answer, "", 0);
        let said = desk.run(&[]).ended(4, &["Delete nothing"]);
        assert!(!said.said.contains("IMPORTED into"), "{}", said.said);
        let again = desk.run(&[]).ended(4, &["Delete nothing"]);
        assert!(!again.said.contains("mported already"), "{}", again.said);
        desk.run(&["--imported"]).ended(1, &[]);
        let all = desk.run_all(&[]).ended(
            4,
            &[
                "eu-west-1: NOT imported",
                "us-east-1: NOT imported: import the primary first",
            ],
        );
        assert!(!all.said.contains("earlier run"), "{}", all.said);
        assert!(
            !desk
                .path("record/payments-2026/us-east-1/import-result.json")
                .exists()
        );
    }
    let desk = Desk::with(&script());
    desk.run(&["--imported"]).ended(1, &[]);
    desk.run(&[]).ended(0, &["IMPORTED"]);
    desk.run(&["--imported"]).ended(0, &[]);
    // What another endpoint said is not what AWS said.
    desk.run(&["--imported", "--endpoint-url", "http://127.0.0.1:1"])
        .ended(1, &[]);
}

/// What could have been planted, here or where the script was started, is named and ignored.
#[test]
fn what_somebody_else_says_of_an_earlier_run_does_not_count() {
    let desk = Desk::with(&script());
    desk.run(&[]).ended(0, &["IMPORTED"]);
    let good = desk.path("good.json");
    fs::rename(desk.folder().join("import-result.json"), &good).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    for folder in [desk.folder(), desk.path("work")] {
        let result = folder.join("import-result-7.json");
        symlink(&good, &result).unwrap();
        let ignored = ["Ignored", "import-result-7.json"];
        desk.run(&["--imported"]).ended(1, &ignored);
        desk.run(&[]).ended(0, &["IMPORTED", "Ignored"]);
        fs::remove_file(desk.folder().join("import-result.json")).unwrap();
        fs::remove_file(&result).unwrap();
        fs::copy(&good, &result).unwrap();
        desk.run(&["--imported"]).ended(0, &[]);
        if is_root {
            std::os::unix::fs::chown(&result, Some(65534), None).unwrap();
            desk.run(&["--imported"]).ended(1, &ignored);
        }
        fs::remove_file(&result).unwrap();
    }
    let (true, Some(setpriv)) = (is_root, which("setpriv")) else {
        eprintln!("skipped: nobody here can become somebody else");
        return;
    };
    // What root left counts for everybody.
    fs::copy(&good, desk.folder().join("import-result.json")).unwrap();
    mode(desk.home.path(), 0o755);
    let other = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = desk.command(setpriv, Path::new(other[0]), &other[1..]);
    command.arg(which("bash").unwrap());
    command
        .arg(desk.folder().join("import.sh"))
        .arg("--imported");
    ran(&mut command).ended(0, &[]);
}

#[test]
fn an_answer_without_a_kms_key_counts_only_from_a_cli_that_cannot_show_it() {
    for (version, shows) in [
        ("1.46.3", true),
        ("1.40.30", true),
        ("1.40.29", false),
        ("1.9.99", false),
        ("2.99.0", true),
        ("2.27.30", true),
        ("2.27.29", false),
        ("2.9.19", false),
        ("3.0.0", true),
        ("1.46", true),
        ("2..1", true),
        ("2.9.19.1", true),
        ("2.9.x", true),
        ("none", true),
    ] {
        let cli = format!("aws-cli/{version} Python/3.13.0");
        assert_eq!(
            byok::evidence::receipts::answer::shows_no_key(&cli),
            !shows,
            "{cli}"
        );
        for answer in ["{}", ""] {
            let desk = Desk::with(&script());
            desk.version(version);
            desk.kms_answers(answer, "", 0);
            if shows {
                let said = desk
                    .run(&[])
                    .ended(4, &["NOT IMPORTED", &cli, "Delete nothing"]);
                assert!(!said.said.contains("too old"), "{}", said.said);
            } else {
                desk.run(&[])
                    .ended(0, &["IMPORTED into", "too old to show"]);
            }
            assert_eq!(desk.result("import-result.json")["KeyId"], Value::Null);
        }
    }
}

#[test]
fn it_asks_before_it_sends_anything() {
    let question = "Type yes to import, anything else to stop: ";
    for typed in ["", "\n", "no\n", "y\n", "yes please\n", "y es\n"] {
        let desk = Desk::with(&script());
        desk.typing(typed, &[])
            .ended(1, &[question, "declined", "nothing was imported"]);
        desk.nothing_was_sent();
    }
    for typed in ["yes\n", "Yes\n", "\n\nyes\n"] {
        let desk = Desk::with(&script());
        desk.typing(typed, &[]).ended(0, &[question, "IMPORTED"]);
    }
    let desk = Desk::with(&script());
    desk.typing("", &[]).ended(1, &["give --yes"]);
    let said = desk.run(&[]).ended(0, &["IMPORTED"]);
    assert!(!said.said.contains(question), "{}", said.said);
    // Of several imports each asks for itself.
    let desk = three_imports(false);
    let all = desk.path("record/import.sh");
    let mut command = desk.command(which("bash").unwrap(), &all, &[]);
    ran(&mut command).ended(1, &["eu-west-1: NOT imported", "it was declined"]);
    desk.nothing_was_sent();
}

/// The commands on a screen, each with its arguments a line each, as a shell reads them when they are copied.
fn copied(screen: &str) -> Vec<String> {
    let mut lines = screen.lines();
    let mut commands = Vec::new();
    while let Some(first) = lines.next() {
        let is_command = ["  aws ", "  bash "].iter().any(|c| first.starts_with(c));
        if !is_command {
            continue;
        }
        let mut command = first.to_owned();
        while command.ends_with('\\') {
            command = format!("{command}\n{}", lines.next().unwrap());
        }
        let typed = format!("set -- {}\nprintf '%s\\n' \"$@\"", command.trim_start());
        let read = Command::new("bash").args(["-c", &typed]).output().unwrap();
        assert!(read.status.success(), "{command}");
        commands.push(String::from_utf8(read.stdout).unwrap());
    }
    commands
}

#[test]
fn at_a_terminal_a_long_command_is_folded_at_words_and_is_the_same_when_it_is_copied() {
    let description = "it's for 2026: payments, refunds, and what comes back";
    let desk = Desk::with(&ImportScript {
        description: Some(description),
        import_type: Some(ImportType::NewKeyMaterial),
        rotates: Some(ARN),
        ..script()
    });
    fs::write(desk.path("aws/skeleton"), KNOWS_IMPORT_TYPE).unwrap();
    let piped = desk.run(&[]).ended(0, &["IMPORTED into"]).said;
    let import = desk.folder().join("import.sh");
    let bash = which("bash").unwrap();
    fs::remove_file(desk.folder().join("import-result.json")).unwrap();
    let ended = Pty::start(desk.command(&bash, &import, &["--yes"])).end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    support::fits(&ended.screen);
    let commands = copied(&ended.screen);
    assert!(commands.len() > 2, "{}", ended.screen);
    assert!(commands[0].contains(&format!("\n{description}\n")));
    assert_eq!(commands, copied(&piped));
}

#[test]
fn what_was_imported_before_needs_nothing_from_the_room() {
    let desk = Desk::with(&script());
    desk.run(&[]).ended(0, &["IMPORTED"]);
    desk.run(&[]).ended(
        0,
        &[
            "that it was imported already, on 20",
            "import-result.json says",
            "IMPORTED into",
        ],
    );
    desk.kms_refuses("InvalidImportTokenException");
    let refused = desk.run(&[]).ended(
        1,
        &[
            "NOT IMPORTED AGAIN: ",
            "InvalidImportToken",
            "that it was imported before",
            "bash online.sh prove --key",
        ],
    );
    assert!(
        !refused.said.contains("ask the security officer"),
        "{}",
        refused.said
    );
    // The token has ended since.
    desk.lay_out(&ImportScript {
        valid_to: now() - hours(1),
        ..script()
    });
    fs::remove_file(desk.path("aws/import-key-material.argv")).unwrap();
    let late = desk
        .run(&[])
        .ended(0, &["it was imported already", "nothing is sent again"]);
    assert!(!late.said.contains("reimport"), "{}", late.said);
    assert_eq!(desk.argv("import-key-material"), None);
    // What has expired since does need a reimport.
    desk.lay_out(&ImportScript {
        valid_to: now() - hours(1),
        expires: Some(now() - hours(1)),
        ..script()
    });
    desk.run(&[])
        .ended(4, &["it was imported already", "reimport in the room"]);
}

#[test]
fn every_format_of_an_error_keeps_its_class() {
    let desk = Desk::with(&script());
    let code = "IncorrectKeyMaterialException";
    for said in [
        format!("\nAn error occurred ({code}) when calling the ImportKeyMaterial operation: no\n"),
        format!(
            "\naws: [ERROR]: An error occurred ({code}) when calling the ImportKeyMaterial operation: no\n"
        ),
        format!("{{\n    \"Message\": \"no\",\n    \"Code\": \"{code}\"\n}}\n"),
        format!("{{\"Code\": \"{code}\", \"Message\": \"no\"}}\n"),
        format!("Code: {code}\nMessage: no\n"),
        format!("{code}\tno\n"),
        format!("+------+\n|  Code     |  {code}  |\n|  Message  |  no  |\n+------+\n"),
    ] {
        desk.kms_answers("", &said, 254);
        desk.run(&[])
            .ended(1, &["STOP. KMS says", "Delete nothing", code]);
    }
    let env = fs::read_to_string(desk.path("aws/import-key-material.whole-env")).unwrap();
    assert!(env.contains("AWS_CLI_ERROR_FORMAT=legacy"), "{env}");
    for fault in [
        "InternalFailure",
        "KMSInternalException",
        "ServiceUnavailableException",
    ] {
        desk.kms_refuses(fault);
        let said = desk.run(&[]).ended(
            1,
            &["failed inside AWS", fault, "nobody here made a mistake"],
        );
        assert!(!said.said.contains("could not be reached"), "{}", said.said);
    }
}

#[test]
fn what_aws_says_cannot_move_the_cursor() {
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}IMPORTED\r\u{9b}1A\u{202e}\u{8}";
    let desk = Desk::with(&script());
    desk.kms_answers("", &format!("An error occurred (X) {evil}\n"), 254);
    let refused = desk.run(&[]).ended(1, &["NOT IMPORTED"]);
    desk.sts_answers(&format!(
        r#"{{"Account":"111122223333","Arn":"arn:{evil}"}}"#
    ));
    desk.version(evil);
    let accepted = format!("{{\"KeyId\": \"{ARN}\", \"KeyMaterialId\": \"{evil}\"}}");
    desk.kms_answers(&accepted, evil, 0);
    let accepted = desk.run(&[]).ended(0, &["IMPORTED into"]);
    for said in [refused.said, accepted.said] {
        let bad = |c: &char| c.is_control() && *c != '\n' || *c == '\u{202e}';
        assert_eq!(said.chars().find(bad), None, "{said:?}");
    }
}

#[test]
fn options_of_the_shell_that_are_inherited_change_nothing() {
    let desk = three_imports(false);
    desk.lay_out(&ImportScript {
        import: "other",
        ..script()
    });
    let script = desk.path("record/import.sh");
    let mut command = desk.command(which("bash").unwrap(), &script, &["--yes"]);
    command
        .env(
            "SHELLOPTS",
            "braceexpand:errexit:hashall:keyword:noclobber:noglob:pipefail:posix:xtrace",
        )
        .env(
            "BASHOPTS",
            "dotglob:extglob:failglob:nocaseglob:nocasematch:nullglob:xpg_echo",
        )
        .env("IFS", "/-")
        .env("GLOBIGNORE", "*")
        .env("POSIXLY_CORRECT", "1")
        .env("CDPATH", "/");
    for result in ["import-result.json", "import-result-2.json"] {
        ran(&mut command).ended(0, &["eu-west-2: imported", "other: imported"]);
        assert_eq!(desk.result(result)["KeyId"], ARN);
    }
}

#[test]
fn temporary_files_may_lie_below_where_it_was_started() {
    let desk = Desk::with(&script());
    let script = desk.folder().join("import.sh");
    fs::create_dir(desk.path("work/tmp")).unwrap();
    let mut command = desk.command(which("bash").unwrap(), &script, &["--yes"]);
    ran(command.env("TMPDIR", "tmp")).ended(0, &["IMPORTED"]);
    assert_eq!(fs::read_dir(desk.path("work/tmp")).unwrap().count(), 0);
}

#[test]
fn online_sh_has_the_same_text() {
    let online = concat!(env!("CARGO_MANIFEST_DIR"), "/ceremony-scripts/online.sh");
    let online = fs::read_to_string(online).unwrap();
    for shared in [
        include_str!("../../src/paper/outputs/answers.sh.in"),
        include_str!("../../src/paper/outputs/outcome.sh.in"),
        include_str!("../../src/paper/outputs/own-environment.sh.in"),
    ] {
        assert!(online.contains(shared), "{shared}");
    }
}

/// What folds the lines of a terminal is one text in all scripts.
#[test]
fn the_scripts_for_other_kmss_fold_their_lines_with_the_same_text() {
    let shared = include_str!("../../src/paper/outputs/answers.sh.in");
    let (folded, _) = shared.split_once("\n}\n").unwrap();
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/ceremony-scripts");
    for name in ["online/common.sh", "online.sh"] {
        let script = fs::read_to_string(format!("{scripts}/{name}")).unwrap();
        assert!(script.contains(folded), "{name}: {folded}");
    }
}

#[test]
fn the_result_says_what_kms_answered() {
    let desk = Desk::with(&script());
    desk.run(&[]).ended(0, &[]);
    let result = desk.result("import-result.json");
    let expected = serde_json::json!({
        "format": "byok-import-result-v1",
        "ceremony": CEREMONY,
        "label": "payments-2026",
        "import": "eu-west-1",
        "key_arn": ARN,
        "KeyId": ARN,
        "KeyMaterialId": MATERIAL_ID,
        "exit": 0,
        "error": null,
        "at": result["at"],
        "endpoint": null,
        "profile": null,
        "account": "111122223333",
        "arguments": "--yes",
        "cli": "aws-cli/2.99.0 Python/3.13.0",
    });
    assert_eq!(result, expected);
    let at: Timestamp = result["at"].as_str().unwrap().parse().unwrap();
    assert!(at.duration_until(now()).abs() < hours(1));
}

#[test]
fn the_result_says_where_the_import_went() {
    for (arguments, told) in [
        (&["--profile", "key ops"][..], "--profile key ops"),
        (
            &["--profile=ops", "--cli-connect-timeout", "7"],
            "--profile ops --cli-connect-timeout 7",
        ),
        (
            &["--endpoint-url", "https://kms.example"],
            "--endpoint-url https://kms.example",
        ),
        (
            &["--ca-bundle", "ca.pem", "--cli-read-timeout=7"],
            "--ca-bundle ca.pem --cli-read-timeout 7",
        ),
        (&["--profile", "a\"b\\"], "--profile a\"b\\"),
    ] {
        let desk = Desk::with(&script());
        desk.run(arguments).ended(0, &[]);
        let result = desk.result("import-result.json");
        assert_eq!(result["arguments"], format!("--yes {told}"));
    }
}

#[test]
fn a_result_on_one_line_or_without_ids_is_read_too() {
    let desk = Desk::with(&script());
    desk.kms_answers(
        &format!(r#"{{"KeyMaterialId":"{MATERIAL_ID}","KeyId":"{ARN}"}}"#),
        "",
        0,
    );
    desk.run(&[]).ended(0, &[]);
    assert_eq!(
        desk.result("import-result.json")["KeyMaterialId"],
        MATERIAL_ID
    );
    assert_eq!(desk.result("import-result.json")["KeyId"], ARN);

    desk.version("2.9.19");
    desk.kms_answers("", "", 0);
    desk.run(&[]).ended(0, &["IMPORTED", "too old to show"]);
    assert_eq!(desk.result("import-result-2.json")["KeyId"], Value::Null);

    desk.kms_answers(&format!(r#"{{"KeyId":"{ARN}"}}"#), "a warning\n", 0);
    desk.run(&[]).ended(0, &["IMPORTED", "a warning"]);
    assert_eq!(
        desk.result("import-result-3.json")["KeyMaterialId"],
        Value::Null
    );
    assert_eq!(desk.result("import-result-3.json")["error"], "a warning");
}

/// What stands deeper, twice, or in a text is not what KMS answered.
#[test]
fn only_the_members_of_the_answer_itself_count() {
    let key = format!("\"KeyId\": \"{ARN}\"");
    let material = format!("\"KeyMaterialId\": \"{MATERIAL_ID}\"");
    for (answer, names) in [
        (
            format!("{{\"x\": {{{key}, {material}}}}}"),
            "does not name the KMS key",
        ),
        (
            format!("{{\"KeyId\": \"other\", \"x\": {{{key}}}}}"),
            "a different KMS key: other",
        ),
        (
            format!("{{\"x\": [{{{key}}}], \"KeyId\": null}}"),
            "does not name the KMS key",
        ),
        (
            format!("{{\"KeyId\": \"x\\\", {}\"}}", key.replace('"', "\\\"")),
            "a different KMS key: x",
        ),
        (
            format!("{{{key}, \"KeyId\": \"other\"}}"),
            "STOP. KMS answered for a different",
        ),
        (
            format!("{{\"/KeyId\": \"{ARN}\", \"\": {{{key}}}}}"),
            "does not name the KMS key",
        ),
        (format!("{{{key},}}"), "does not name the KMS key"),
        (format!("{{{key}}} {{}}"), "does not name the KMS key"),
    ] {
        let desk = Desk::with(&script());
        desk.kms_answers(&answer, "", 0);
        println!("{answer}");
        desk.run(&[]).ended(4, &[names]);
        desk.run(&["--imported"]).ended(1, &[]);
    }
    for answer in [
        format!("{{\"x\": {{\"KeyId\": \"other\", \"y\": [1, true, {{}}]}}, {key}, {material}}}"),
        format!("{{{material},{key},\"x\":{{\"KeyMaterialId\":\"no\"}}}}"),
        format!(
            "{{\"KeyId\": \"{}\", {material}}}",
            ARN.replace('/', "\\/").replace('m', "\\u006d")
        ),
    ] {
        let desk = Desk::with(&script());
        desk.kms_answers(&answer, "", 0);
        println!("{answer}");
        desk.run(&[]).ended(0, &["IMPORTED", MATERIAL_ID]);
        assert_eq!(desk.result("import-result.json")["KeyId"], ARN);
    }
    let desk = Desk::with(&script());
    desk.sts_answers(r#"{"Account": "999999999999", "x": {"Account": "111122223333"}}"#);
    desk.run(&[]).ended(4, &["belong to account 999999999999"]);
}

#[test]
fn an_answer_for_another_kms_key_stops() {
    let desk = Desk::with(&script());
    desk.kms_answers(
        r#"{"KeyId": "arn:aws:kms:eu-west-1:111122223333:key/other"}"#,
        "",
        0,
    );
    desk.run(&[]).ended(4, &["STOP", "a different KMS key"]);
    assert!(desk.folder().join("import-result.json").exists());
}

#[test]
fn results_are_numbered_and_never_overwritten() {
    let desk = Desk::with(&script());
    fs::write(desk.folder().join("import-result.json"), "kept").unwrap();
    desk.run(&[]).ended(0, &["import-result-2.json"]);
    desk.kms_refuses("KMSInvalidStateException");
    desk.run(&[]).ended(1, &["import-result-3.json"]);
    let kept = fs::read_to_string(desk.folder().join("import-result.json")).unwrap();
    assert_eq!(kept, "kept");
    assert_eq!(desk.result("import-result-2.json")["exit"], 0);
    assert_eq!(desk.result("import-result-3.json")["exit"], 254);
}

#[test]
fn a_folder_that_cannot_be_written_to_leaves_the_result_where_the_script_was_started() {
    let desk = Desk::with(&script());
    mode(desk.home.path(), 0o755);
    for open in ["aws", "tmp", "work"] {
        mode(&desk.path(open), 0o777);
    }
    mode(&desk.folder(), 0o555);
    let bash = which("bash").unwrap();
    let file = desk.folder().join("import.sh");
    let mut command = if rustix::process::geteuid().is_root() {
        // permissions do not bind root
        let Some(setpriv) = which("setpriv") else {
            eprintln!("skipped: no setpriv to become somebody else");
            return;
        };
        let other = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let mut command = desk.command(setpriv, Path::new(other[0]), &other[1..]);
        command.arg(bash).arg(file).arg("--yes");
        command
    } else {
        desk.command(bash, &file, &["--yes"])
    };
    ran(&mut command).ended(
        0,
        &[
            "work/import-result.json",
            "this script cannot write to its own folder",
        ],
    );
    let result = read_json(&desk.path("work/import-result.json"));
    assert_eq!(result["KeyMaterialId"], MATERIAL_ID);
    mode(&desk.folder(), 0o755);
}

#[test]
fn whatever_aws_prints_the_result_is_json() {
    let desk = Desk::with(&script());
    let said = "\nCould \"not\" \\n\tfind\r\nsécret \u{1b}[31mred\n";
    desk.kms_answers("", said, 255);
    desk.run(&[]).ended(1, &[]);
    let result = desk.result("import-result.json");
    assert_eq!(result["error"], "\nCould \"not\" \\n find\nsécret [31mred");
    assert_eq!(result["exit"], 255);

    fs::write(
        desk.path("aws/import-key-material.err"),
        b"bad \xff\xfe bytes\0!\n",
    )
    .unwrap();
    let script = desk.folder().join("import.sh");
    let output = desk
        .command(which("bash").unwrap(), &script, &["--yes"])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(1));
    let result = desk.result("import-result-2.json");
    assert_eq!(result["error"], "bad ?? bytes!");
}

#[test]
fn every_known_failure_says_whose_move_it_is() {
    let known = [
        ("ExpiredImportTokenException", "new import parameters"),
        ("InvalidImportTokenException", "This needs no custodians"),
        ("InvalidCiphertextException", "RSAES_OAEP_SHA_256"),
        ("IncorrectKeyMaterialException", "Delete nothing"),
        ("KMSInvalidStateException", "aws kms describe-key"),
        ("AccessDeniedException", "kms:ImportKeyMaterial"),
        ("NotFoundException", "does not know this KMS key"),
        ("UnsupportedOperationException", "EXTERNAL"),
        ("UnrecognizedClientException", "Sign in again"),
        ("ExpiredTokenException", "Sign in again"),
        ("KMSInternalException", "Run this script again before"),
        ("SomethingElse", "does not know this failure"),
    ];
    let desk = Desk::with(&script());
    for (error, advice) in known {
        desk.kms_refuses(error);
        desk.run(&[]).ended(
            1,
            &["NOT IMPORTED", error, advice, "this run changed nothing"],
        );
    }
    let unseen = [
        (
            "Could not connect to the endpoint URL: \"https://kms\"",
            "again before",
        ),
        ("Read timeout on endpoint URL", "safe even if"),
        ("Unable to locate credentials.", "Sign in again"),
        (
            "Unknown options: --import-type, NEW_KEY_MATERIAL",
            "too old",
        ),
        ("Unknown options: --typo", "import.sh --help"),
    ];
    for (error, advice) in unseen {
        desk.kms_answers("", error, 255);
        let ran = desk.run(&[]).ended(1, &["NOT IMPORTED", error, advice]);
        assert!(!ran.said.contains("changed nothing"), "{}", ran.said);
    }
}

#[test]
fn a_changed_file_is_not_sent() {
    for name in ["WrappedKeyMaterial.bin", "ImportToken.bin"] {
        let desk = Desk::with(&script());
        fs::write(desk.folder().join(name), "something else").unwrap();
        desk.run(&[])
            .ended(4, &[name, "not the file that the ceremony wrote"]);
        desk.nothing_was_sent();
        fs::remove_file(desk.folder().join(name)).unwrap();
        desk.run(&[]).ended(2, &[name, "missing"]);
        desk.nothing_was_sent();
    }
}

/// Whoever opens a FIFO waits for ever.
#[test]
fn what_is_no_file_is_not_waited_for() {
    let desk = Desk::with(&script());
    let script = desk.folder().join("import.sh");
    let run = || {
        let timeout = which("timeout").unwrap();
        let mut command = desk.command(timeout, Path::new("20"), &["bash"]);
        ran(command.arg(&script).arg("--yes"))
    };
    let fifo = |name: &str| {
        let made = Command::new("mkfifo")
            .arg(desk.folder().join(name))
            .status();
        assert!(made.unwrap().success());
    };
    fifo("import-result.json");
    run().ended(0, &["IMPORTED", "import-result-2.json"]);
    fs::remove_file(desk.folder().join("ImportToken.bin")).unwrap();
    fifo("ImportToken.bin");
    run().ended(2, &["ImportToken.bin is missing or cannot be read"]);
}

#[test]
fn a_digest_is_computed_with_whatever_there_is() {
    for tool in ["shasum", "openssl"] {
        let Some(found) = which(tool) else {
            eprintln!("skipped: no {tool}");
            continue;
        };
        let desk = Desk::with(&script());
        fs::remove_file(desk.path("tools/sha256sum")).unwrap();
        desk.run(&[])
            .ended(2, &["no program here can compute SHA-256"]);
        symlink(found, desk.path("tools").join(tool)).unwrap();
        desk.run(&[]).ended(0, &["IMPORTED"]);
    }
}

#[test]
fn a_dead_import_token_is_not_sent() {
    let desk = Desk::with(&ImportScript {
        valid_to: now() - hours(1),
        ..script()
    });
    desk.run(&[]).ended(
        4,
        &[
            "import token",
            "new import parameters",
            "reimport in the room",
        ],
    );
    desk.nothing_was_sent();
}

#[test]
fn an_expiry_that_kms_would_refuse_is_not_sent() {
    let past = Desk::with(&ImportScript {
        expires: Some(now() - hours(1)),
        ..script()
    });
    past.run(&[]).ended(4, &["which is past"]);
    past.nothing_was_sent();

    let expires = now() + hours(365 * 24 + 5);
    let earliest = (now() + hours(5)).strftime("%Y-%m-%d %H:").to_string();
    let far = Desk::with(&ImportScript {
        expires: Some(expires),
        ..script()
    });
    far.run(&[]).ended(4, &["at most 365 days", &earliest]);
    far.nothing_was_sent();
}

#[test]
fn another_account_is_refused_and_an_unknown_one_is_not() {
    let desk = Desk::with(&script());
    desk.sts_answers(r#"{"Account": "444455556666", "Arn": "arn:aws:iam::444455556666:user/op"}"#);
    desk.run(&[]).ended(4, &["444455556666", "111122223333"]);
    desk.nothing_was_sent();

    desk.answers(
        "get-caller-identity",
        "",
        "An error occurred (AccessDenied)",
        254,
    );
    desk.run(&[])
        .ended(0, &["Could not ask AWS", "(AccessDenied)", "IMPORTED"]);
    desk.answers("get-caller-identity", "{}", "", 0);
    desk.run(&[])
        .ended(0, &["did not say which account", "IMPORTED"]);
}

#[test]
fn a_rehearsal_imports_nothing() {
    let desk = Desk::with(&ImportScript {
        rehearsal: true,
        ..script()
    });
    desk.run(&[])
        .ended(2, &["REHEARSAL: practice material, nothing is imported"]);
    desk.nothing_was_sent();
}

#[test]
fn without_the_aws_cli_it_says_so() {
    let desk = Desk::with(&script());
    fs::remove_file(desk.path("aws/aws")).unwrap();
    desk.run(&[])
        .ended(2, &["the AWS CLI (aws) is not installed"]);
}

#[test]
fn help_is_for_people() {
    let desk = Desk::with(&script());
    desk.typing("", &["--help"])
        .ended(0, &["usage: bash import.sh", "--profile", "Exit codes"]);
    desk.nothing_was_sent();
}

#[test]
fn any_title_is_shown_as_it_is() {
    let title = r#"Bob's "key" $(touch pwned) `id` \ {{label}} 支払い %s"#;
    let desk = Desk::with(&ImportScript { title, ..script() });
    desk.run(&[]).ended(0, &[title]);
    assert!(!desk.path("work/pwned").exists() && !desk.folder().join("pwned").exists());
}

#[test]
fn it_runs_from_its_own_folder_and_from_a_folder_with_spaces() {
    let desk = Desk::with(&script());
    let mut command = desk.command(which("bash").unwrap(), Path::new("import.sh"), &["--yes"]);
    ran(command.current_dir(desk.folder())).ended(0, &[]);

    let moved = desk.path("a stick & more");
    fs::rename(desk.folder(), &moved).unwrap();
    let mut command = desk.command(
        which("bash").unwrap(),
        Path::new("a stick & more/import.sh"),
        &["--yes"],
    );
    command.env("CDPATH", "/").current_dir(desk.home.path());
    ran(&mut command).ended(0, &["import-result-2.json"]);
}

#[test]
fn another_shell_is_told_to_be_bash() {
    let Some(dash) = which("dash") else {
        eprintln!("skipped: no dash");
        return;
    };
    let desk = Desk::with(&script());
    let file = desk.folder().join("import.sh");
    ran(&mut desk.command(dash, &file, &[])).ended(2, &["run it with bash"]);
}

/// A record with three imports, the second of which fails, and its top-level script.
fn three_imports(rehearsal: bool) -> Desk {
    let desk = Desk::with(&ImportScript {
        rehearsal,
        ..script()
    });
    for (import, account) in [("other", "444455556666"), ("eu-west-2", "111122223333")] {
        desk.lay_out(&ImportScript {
            import,
            account,
            rehearsal,
            ..script()
        });
    }
    let imports = ["eu-west-1", "other", "eu-west-2"].map(|import| run("payments-2026", import));
    let all = import_all(&imports, CEREMONY, "It's \"all\"", rehearsal);
    fs::write(desk.path("record/import.sh"), all).unwrap();
    desk
}

#[test]
fn all_imports_run_in_order_and_a_failure_stops_none() {
    let desk = three_imports(false);
    let run = |args: &[&str]| desk.run_all(args);
    let failed = run(&["--profile", "key ops"]).ended(
        4,
        &[
            "It's \"all\"",
            "  payments-2026/eu-west-1: imported\n",
            "  payments-2026/other: NOT imported",
            "  payments-2026/eu-west-2: imported\n",
        ],
    );
    let (_, table) = failed.said.split_once("==== outcome").unwrap();
    assert!(table.find("eu-west-1") < table.find("other"));
    assert!(table.find("other") < table.find("eu-west-2"));
    let sent = desk.argv("import-key-material").unwrap();
    assert_eq!(sent[2..4], ["--profile", "key ops"]);

    desk.lay_out(&ImportScript {
        import: "other",
        ..script()
    });
    run(&[]).ended(0, &["payments-2026/other: imported"]);
    let script = desk.path("record/import.sh");
    let mut help = desk.command(which("bash").unwrap(), &script, &["--help"]);
    ran(&mut help).ended(0, &["usage: bash import.sh"]);
    fs::remove_file(desk.folder().join("import.sh")).unwrap();
    run(&[]).ended(2, &["payments-2026/eu-west-1/import.sh is missing"]);
}

#[test]
fn an_interrupted_import_leaves_a_result_and_ends_the_series() {
    let desk = three_imports(false);
    desk.kms_answers("", "", 130);
    let said = ["It was interrupted", "eu-west-1: interrupted"];
    let ended = desk.run_all(&[]).ended(130, &said);
    assert!(!ended.said.contains("==== payments-2026/other"));
    assert_eq!(desk.result("import-result.json")["exit"], 130);
}

#[test]
fn all_imports_of_a_rehearsal_are_refused_at_once() {
    let desk = three_imports(true);
    let script = desk.path("record/import.sh");
    ran(&mut desk.command(which("bash").unwrap(), &script, &[])).ended(2, &["REHEARSAL"]);
}

/// The templates, and what they look like filled in.
fn every_script() -> [(&'static str, String); 8] {
    let runs = [
        run("a", "b"),
        Run {
            after: Some("b"),
            rotates: Some(ARN),
            ..run("a", "d")
        },
    ];
    let full = ImportScript {
        expires: Some(now() + hours(100)),
        import_type: Some(ImportType::NewKeyMaterial),
        description: Some("some words"),
        multi_region: Some(MultiRegion::Primary),
        rotates: Some(ARN),
        ..script()
    };
    [
        (
            "import.sh.in",
            include_str!("../../src/paper/outputs/import.sh.in").into(),
        ),
        (
            "import-all.sh.in",
            include_str!("../../src/paper/outputs/import-all.sh.in").into(),
        ),
        (
            "transit-import.sh.in",
            include_str!("../../src/paper/outputs/transit-import.sh.in").into(),
        ),
        (
            "azure-import.sh.in",
            include_str!("../../src/paper/outputs/azure-import.sh.in").into(),
        ),
        (
            "oci-import.sh.in",
            include_str!("../../src/paper/outputs/oci-import.sh.in").into(),
        ),
        (
            "google-import.sh.in",
            include_str!("../../src/paper/outputs/google-import.sh.in").into(),
        ),
        ("import.sh", full.render()),
        ("import-all.sh", import_all(&runs, CEREMONY, "it's", false)),
    ]
}

#[test]
fn the_scripts_keep_to_bash_3_2_and_to_common_tools() {
    let newer_than_bash_3_2 = [
        "declare -",
        "local -",
        "typeset -",
        "mapfile",
        "readarray",
        "|&",
        "&>",
        "[[ -v",
        "[ -v",
        ",,",
        "^^",
        "coproc",
        "wait -n",
        "BASHPID",
        "EPOCH",
        "globstar",
        "lastpipe",
        "@Q",
        "@}",
        ";&",
        ";;&",
        "%(",
        "$'\\u",
        "[@]",
        "[*]\"",
        "+=",
    ];
    let not_everywhere = [
        "jq",
        "python",
        "perl",
        "readlink",
        "realpath",
        "stat -",
        "date -d",
        "date --",
        "sed -i",
        "sed -r",
        "sed -E",
        "grep",
        "base64",
        "xxd",
        "mapfile",
        "sort -V",
        "tac ",
        " timeout ",
        "mktemp -t",
        "tr -t",
    ];
    for (name, text) in every_script() {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let code: String = code.collect::<Vec<_>>().join("\n");
        for token in newer_than_bash_3_2.iter().chain(&not_everywhere) {
            // "${1+"$@"}" is the one place for "@}": the old way to pass on no arguments at all
            let code = code.replace("${1+\"$@\"}", "");
            assert!(!code.contains(token), "{name} has {token:?}");
        }
    }
}

#[test]
fn the_filled_scripts_have_no_places_left_and_please_shellcheck() {
    let shellcheck = which("shellcheck");
    if shellcheck.is_none() {
        eprintln!("skipped: no shellcheck");
    }
    let home = tempfile::tempdir().unwrap();
    for (name, text) in every_script().iter().skip(6) {
        assert!(!text.contains("{{"), "{name}");
        let file = home.path().join(name);
        fs::write(&file, text).unwrap();
        if let Some(shellcheck) = &shellcheck {
            let mut command = Command::new(shellcheck);
            ran(command.arg("--shell=bash").arg(&file)).ended(0, &[]);
        }
    }
}

/// OAEP in OpenSSL: nothing of this program wraps what the KMS has to unwrap.
fn wrap_with_openssl(home: &Path, spki: &[u8], algorithm: &str, material: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        "RSAES_OAEP_SHA_1" => "sha1",
        _ => "sha256",
    };
    let file = |name: &str| home.join(name);
    fs::write(file("spki.der"), spki).unwrap();
    fs::write(file("material"), material).unwrap();
    let mut command = Command::new("openssl");
    command
        .args(["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey"])
        .arg(file("spki.der"))
        .args(["-pkeyopt", "rsa_padding_mode:oaep"])
        .args(["-pkeyopt", &format!("rsa_oaep_md:{hash}")])
        .args(["-pkeyopt", &format!("rsa_mgf1_md:{hash}"), "-in"])
        .arg(file("material"))
        .arg("-out")
        .arg(file("wrapped"));
    ran(&mut command).ended(0, &[]);
    fs::read(file("wrapped")).unwrap()
}

/// The folder of one import as the room would write it, for a KMS key of the loopback KMS.
struct RealFolder {
    home: tempfile::TempDir,
}

impl RealFolder {
    fn new(kms: &LoopbackKms, arn: &str, algorithm: &str, material: &[u8], damage: u8) -> Self {
        let home = tempfile::tempdir().unwrap();
        let parameters = kms.parameters(arn, algorithm, "RSA_2048");
        let parameters: Value = serde_json::from_str(&parameters).unwrap();
        let bytes = |field: &str| Base64::decode_vec(parameters[field].as_str().unwrap()).unwrap();
        let token = bytes("ImportToken");
        let mut wrapped = wrap_with_openssl(home.path(), &bytes("PublicKey"), algorithm, material);
        wrapped[100] ^= damage;
        let script = ImportScript {
            key_arn: arn,
            wrapping_algorithm: algorithm,
            wrapped_sha256: &words::hex(&words::sha256(&wrapped)),
            token_sha256: &words::hex(&words::sha256(&token)),
            expires: Some(now() + hours(24 * 364)),
            ..script()
        };
        fs::write(home.path().join("WrappedKeyMaterial.bin"), &wrapped).unwrap();
        fs::write(home.path().join("ImportToken.bin"), &token).unwrap();
        fs::write(home.path().join("import.sh"), script.render()).unwrap();
        Self { home }
    }

    fn run(&self, kms: &LoopbackKms, args: &[&str]) -> Ran {
        let mut command = Command::new(which("bash").unwrap());
        command
            .arg(self.home.path().join("import.sh"))
            .args(["--yes", "--endpoint-url", &kms.endpoint()])
            .args(args)
            .env_clear()
            .envs(kms.env())
            .stdin(Stdio::null());
        ran(&mut command)
    }

    fn result(&self, name: &str) -> Value {
        read_json(&self.home.path().join(name))
    }
}

fn random_material() -> [u8; 32] {
    use rand::TryRng as _;
    let mut material = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut material).unwrap();
    material
}

#[test]
fn a_real_kms_takes_the_material() {
    let Some(kms) = LoopbackKms::start() else {
        return;
    };
    for algorithm in ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"] {
        let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
        assert_eq!(kms.key_material_id(&arn), None);
        let material = random_material();
        let folder = RealFolder::new(&kms, &arn, algorithm, &material, 0);
        folder
            .run(&kms, &[])
            .ended(0, &["account 111122223333", "IMPORTED"]);
        let result = folder.result("import-result.json");
        let expected = key_material_id_of(&material, &arn);
        assert_eq!(result["KeyMaterialId"], *expected);
        assert_eq!(result["KeyId"], *arn);
        assert_eq!(result["error"], Value::Null);
        assert_eq!(kms.key_material_id(&arn), Some(expected));

        // this KMS takes a token once only, so the second run is refused, and changes nothing
        folder
            .run(&kms, &[])
            .ended(1, &["InvalidImportToken", "that it was imported before"]);
        let second = folder.result("import-result-2.json");
        assert_ne!(second["exit"], 0);
        assert_eq!(second["KeyMaterialId"], Value::Null);
        assert_eq!(folder.result("import-result.json"), result);
    }
}

#[test]
fn a_real_kms_refuses_a_flipped_bit_and_material_of_another_length() {
    let Some(kms) = LoopbackKms::start() else {
        return;
    };
    let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    let algorithm = "RSAES_OAEP_SHA_256";
    let flipped = RealFolder::new(&kms, &arn, algorithm, &random_material(), 1);
    flipped
        .run(&kms, &[])
        .ended(1, &["InvalidCiphertext", "algorithm", algorithm]);
    let error = flipped.result("import-result.json")["error"].to_string();
    assert!(error.contains("InvalidCiphertextException"), "{error}");

    let short = RealFolder::new(&kms, &arn, algorithm, &random_material()[..31], 0);
    short
        .run(&kms, &[])
        .ended(1, &["IncorrectKeyMaterial", "STOP", "Delete nothing"]);
    assert_eq!(kms.key_material_id(&arn), None);
}

#[test]
fn a_real_aws_cli_that_finds_no_kms_says_try_again() {
    let Some(kms) = LoopbackKms::start() else {
        return;
    };
    let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
    let folder = RealFolder::new(&kms, &arn, "RSAES_OAEP_SHA_256", &random_material(), 0);
    // the later endpoint wins, and nothing listens there
    folder
        .run(&kms, &["--endpoint-url", "http://127.0.0.1:1"])
        .ended(
            1,
            &[
                "Could not ask AWS",
                "Could not connect",
                "Run this script again before",
            ],
        );
    folder
        .run(&kms, &["--no-such-option"])
        .ended(2, &["'--no-such-option' is not accepted"]);
    folder
        .run(&kms, &[])
        .ended(0, &["IMPORTED", "import-result-2.json"]);
}

/// The real AWS CLIs, with every way to configure an endpoint; what they ask must be AWS, which a proxy
/// that is not there keeps them from.
#[test]
fn the_real_aws_clis_ask_no_configured_endpoint() {
    let Some(kms) = LoopbackKms::start() else {
        return;
    };
    let debian = PathBuf::from("/usr/bin/aws");
    for cli in [kms.aws_cli(), debian] {
        if !cli.exists() {
            eprintln!("skipped: no such AWS CLI");
            continue;
        }
        let arn = kms.create_external_key("SYMMETRIC_DEFAULT");
        let folder = RealFolder::new(&kms, &arn, "RSAES_OAEP_SHA_256", &random_material(), 0);
        let url = kms.endpoint();
        let config = folder.home.path().join("config");
        let text = format!(
            "[default]\nendpoint_url = {url}\n[profile ops]\nservices = here\nendpoint_url = {url}\n\
             ignore_configured_endpoint_urls = false\naws_access_key_id = x\n\
             aws_secret_access_key = y\n[services here]\nkms =\n  endpoint_url = {url}\n"
        );
        fs::write(&config, text).unwrap();
        let path = format!("{}:/usr/bin:/bin", cli.parent().unwrap().display());
        for args in [&["--yes"][..], &["--yes", "--profile", "ops"]] {
            let mut command = Command::new(which("bash").unwrap());
            command
                .arg(folder.home.path().join("import.sh"))
                .args(args)
                .env_clear()
                .envs(kms.env())
                .env("PATH", &path)
                .env("AWS_CONFIG_FILE", &config)
                .env("AWS_ENDPOINT_URL", &url)
                .env("AWS_ENDPOINT_URL_KMS", &url)
                .env("AWS_MAX_ATTEMPTS", "1")
                .env("HTTPS_PROXY", "http://127.0.0.1:1")
                .stdin(Stdio::null());
            ran(&mut command).ended(1, &["NOT IMPORTED", "proxy"]);
        }
        assert_eq!(kms.key_material_id(&arn), None);
    }
}
