//! docs/recovery-without-byok.md, its commands run as they stand, and the script that does the same:
//! from shares and package that byok dealt to wrapped material that the KMS's private key opens.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use byok::ground::words;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect as _, Session};
use support::escrow::{of_no_group, slow};
use support::{
    ARN, Kind, LABEL, Room, SHA_1, SHA_256, Transcript, base64, openssl, openssl_check_values,
    refused, stderr,
};

const DOCUMENT: &str = include_str!("../../docs/recovery-without-byok.md");
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/ceremony-scripts/recover-without-byok.sh"
);
const CUSTODIANS: [&str; 3] = ["Security", "Audit", "Treasury"];
const SECURITY: &str = "01-Security.txt";
const TREASURY: &str = "03-Treasury.txt";

/// The document's commands, one text per fenced block.
fn blocks() -> Vec<&'static str> {
    let blocks: Vec<&str> = DOCUMENT
        .split("\n```sh\n")
        .skip(1)
        .map(|rest| rest.split("\n```\n").next().unwrap())
        .collect();
    let with_the_script_s = blocks.len() + 1;
    assert_eq!(DOCUMENT.matches("\n```").count(), with_the_script_s * 2);
    blocks
}

/// Where a block stands, by the heading above it.
const WHEELS: usize = 0;
const PARAMETERS: usize = 1;
const ROOM: usize = 2;
const CLEAN_UP: usize = 9;
const IMPORT: usize = 10;

/// What the cloud operator's and the offline machine's programs are found in.
fn path(room: &Room) -> Option<String> {
    let Ok(venv) = std::env::var("BYOK_TEST_VENV") else {
        support::skip("BYOK_TEST_VENV is not set");
        return None;
    };
    let usual = std::env::var("PATH").unwrap();
    Some(format!("{}:{venv}/bin:{usual}", room.path("bin").display()))
}

/// The first block, run once: the wheels, from the package index or from what `tests/run.sh` got.
fn wheels(path: &str) -> Option<&'static Path> {
    static WHEELS_DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let wheels = WHEELS_DIR.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recovery-wheels");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let mut command = bash(&dir, path);
        command.args(["-ec", blocks()[WHEELS]]);
        let kept = PathBuf::from(std::env::var("BYOK_TEST_VENV").unwrap()).join("wheels");
        if kept.exists() {
            command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", kept);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success() || stderr(&output).contains("o matching distribution"),
            "{}",
            stderr(&output)
        );
        output.status.success().then(|| dir.join("wheels"))
    });
    if wheels.is_none() {
        support::skip("the wheels are neither in BYOK_TEST_VENV nor can they be downloaded");
    }
    wheels.as_deref()
}

fn bash(stick: &Path, path: &str) -> Command {
    let mut command = Command::new("bash");
    command
        .current_dir(stick)
        .env("PATH", path)
        .env("TERM", "xterm")
        .env_remove("PYTHONPATH");
    command
}

/// What is left of a ceremony with escrow: shares, record, and a stick with the package.
struct Left {
    room: Room,
    transcript: Transcript,
    stick: PathBuf,
    path: String,
}

fn left() -> Option<Left> {
    left_by(|_| {})
}

/// The same, of a plan that was changed first.
fn left_by(change: impl Fn(&mut Room)) -> Option<Left> {
    left_of(Kind::SoftHsm, change)
}

/// The same, of this HSM.
fn left_of(kind: Kind, change: impl Fn(&mut Room)) -> Option<Left> {
    let mut room = Room::new(kind)?;
    change(&mut room);
    let path = path(&room)?;
    let wheels = wheels(&path)?;
    let transcript = match room.plan.more.is_empty() {
        true => room.run_with_escrow(2, &CUSTODIANS),
        false => room.run_well(),
    };
    let stick = room.path("stick");
    fs::create_dir_all(stick.join("wheels")).unwrap();
    for wheel in fs::read_dir(wheels).unwrap() {
        let wheel = wheel.unwrap();
        fs::copy(wheel.path(), stick.join("wheels").join(wheel.file_name())).unwrap();
    }
    let package = room.path("records/one/escrow-package.json");
    fs::copy(package, stick.join("escrow-package.json")).unwrap();
    // as AWS KMS gives them, also where the plan names another KMS: the page takes the wrapping key from them
    let parameters = room.kms.parameters(ARN, support::now() + 86_000);
    fs::write(room.path("parameters.json"), parameters).unwrap();
    fs::create_dir(room.path("bin")).unwrap();
    let aws = "#!/bin/bash\nhere=${0%/*}\nprintf '%s\\n' \"$@\" > \"$here/$2.argv\"\n\
               [ \"$2\" != get-parameters-for-import ] || cat \"$here/../parameters.json\"\n";
    fs::write(room.path("bin/aws"), aws).unwrap();
    fs::set_permissions(room.path("bin/aws"), fs::Permissions::from_mode(0o755)).unwrap();
    Some(Left {
        room,
        transcript,
        stick,
        path,
    })
}

impl Left {
    fn kcv(&self) -> &str {
        self.transcript.event("key-generated")["kcv"]
            .as_str()
            .unwrap()
    }

    fn fingerprint(&self) -> &str {
        self.transcript.event("key-generated")["fingerprint"]
            .as_str()
            .unwrap()
    }

    /// Another package with the same names: as if of another ceremony.
    fn exchange_package(&self) {
        let path = self.stick.join("escrow-package.json");
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let wrapped = json["keys"][0]["wrapped"].as_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        json["keys"][0]["wrapped"] = base64(&[7; 40]).into();
        let other = json["keys"][0]["wrapped"].as_str().unwrap();
        fs::write(&path, text.replace(&wrapped, other)).unwrap();
    }

    /// The printed rows of the package.
    fn rows(&self) -> Vec<String> {
        let text = fs::read_to_string(self.room.path("records/one/package.txt")).unwrap();
        let rows = text
            .lines()
            .filter(|line| line.starts_with("row ") && line.contains("  check "));
        rows.map(str::to_owned).collect()
    }

    /// These blocks as one person at a terminal runs them.
    fn person(&self, blocks: &[&str]) -> Person {
        let script = self.room.path("typed.sh");
        // The last line is the test's: where the private directory was.
        let text = format!("{}\necho \"room was $room\"\n", blocks.join("\n"));
        fs::write(&script, text).unwrap();
        let mut command = bash(&self.stick, &self.path);
        command.arg(script);
        let mut session = Session::spawn(command).unwrap();
        session.set_expect_timeout(Some(Duration::from_secs(60)));
        Person { session }
    }

    #[track_caller]
    fn wrapped_is_the_data_key(&self, wrapping: &str) {
        let key = self
            .room
            .kms
            .open(&self.stick.join("WrappedKeyMaterial.bin"), wrapping);
        let (kcv, fingerprint) = openssl_check_values(&key);
        assert_eq!(
            (kcv.as_str(), fingerprint.as_str()),
            (self.kcv(), self.fingerprint())
        );
        let imported = self
            .room
            .openssl_opens("records/one/payments-2026/eu-west-1/WrappedKeyMaterial.bin");
        assert_eq!(key, imported);
    }
}

struct Person {
    session: OsSession,
}

impl Person {
    #[track_caller]
    fn sees(&mut self, text: &str) {
        let seen = self.session.expect(text);
        seen.unwrap_or_else(|e| panic!("{text}: {e}"));
    }

    #[track_caller]
    fn answer(&mut self, question: &str, answer: &str) {
        self.sees(question);
        self.session.send_line(answer).unwrap();
    }

    fn ends_input(&mut self) {
        std::thread::sleep(Duration::from_millis(200));
        self.session.send("\u{4}").unwrap();
    }

    /// The rest that was said; nothing is left in memory.
    #[track_caller]
    fn end(mut self) -> String {
        let rest = self.session.expect(Eof).unwrap();
        let said = String::from_utf8_lossy(rest.as_bytes()).into_owned();
        let place = said.split("room was ").nth(1).unwrap();
        let place = place.lines().next().unwrap().trim();
        assert!(place.starts_with("/dev/shm/recovery."), "{said}");
        assert!(!Path::new(place).exists(), "{place} is still there");
        said
    }
}

#[test]
fn the_documents_commands_bring_the_data_key_back_to_kms() {
    let Some(left) = left() else { return };
    let mut person = left.person(&blocks()[PARAMETERS..]);
    person.answer("ARN of the KMS key: ", ARN);
    person.sees(&left.room.kms.sha256());
    person.sees(&left.room.kms.sha256());
    person.sees("click-8.5.1-py3-none-any.whl: OK");
    person.sees("shamir_mnemonic-0.3.0-py3-none-any.whl: OK");
    person.answer("Enter a recovery share: ", &left.room.share(TREASURY));
    person.sees("shares needed");
    person.answer("Enter a recovery share: ", &left.room.share(SECURITY));
    person.sees("SUCCESS!");
    person.answer("Spec of the data key", "SYMMETRIC_DEFAULT");
    person.answer("Label of the data key: ", LABEL);
    person.sees("40 wrapped.bin");
    person.sees("32 data-key.bin");
    person.sees(left.kcv());
    person.sees(left.fingerprint());
    person.sees("256 WrappedKeyMaterial.bin");
    person.answer("ARN of the KMS key: ", ARN);
    let said = person.end();
    assert!(!said.contains("STOP"), "{said}");

    left.wrapped_is_the_data_key(SHA_256);
    assert_eq!(
        fs::read(left.stick.join("ImportToken.bin")).unwrap(),
        left.room.kms.token
    );
    let asked = |what: &str| fs::read_to_string(left.room.path("bin").join(what)).unwrap();
    let parameters = asked("get-parameters-for-import.argv");
    assert!(parameters.contains("RSAES_OAEP_SHA_256\n"), "{parameters}");
    let import = asked("import-key-material.argv");
    for wanted in [
        "--region\neu-west-1\n",
        ARN,
        "fileb://WrappedKeyMaterial.bin\n",
        "fileb://ImportToken.bin\n",
    ] {
        assert!(import.contains(wanted), "{import}");
    }
}

/// A data key of another type than AES, by the document's commands.
#[track_caller]
fn the_document_opens(kind: Kind, spec: &str, bits: Option<usize>) {
    let Some(left) = left_of(kind, |room| room.plan_spec(spec, bits)) else {
        return;
    };
    let wrapping = match left.room.plan.wrapping.starts_with("RSA_AES_") {
        true => "RSA_AES_KEY_WRAP_SHA_256",
        false => SHA_256,
    };
    let commands: Vec<String> = blocks()[PARAMETERS..IMPORT]
        .iter()
        .map(|block| block.replace(SHA_256, wrapping))
        .collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let mut person = left.person(&commands);
    person.answer("ARN of the KMS key: ", ARN);
    person.answer("Enter a recovery share: ", &left.room.share(TREASURY));
    person.sees("shares needed");
    person.answer("Enter a recovery share: ", &left.room.share(SECURITY));
    person.sees("SUCCESS!");
    person.answer("Spec of the data key", spec);
    person.answer("Label of the data key: ", LABEL);
    person.sees("data-key.bin");
    person.sees(left.fingerprint());
    let said = person.end();
    assert!(!said.contains("STOP"), "{said}");
    let made = left
        .room
        .kms
        .open(&left.stick.join("WrappedKeyMaterial.bin"), wrapping);
    let imported = left
        .room
        .path("records/one/payments-2026/eu-west-1/WrappedKeyMaterial.bin");
    let imported = left.room.kms.open(&imported, &left.room.plan.wrapping);
    match support::is_private(spec) {
        true => {
            // The same key; openssl may write a PKCS#8 in another way than an HSM.
            let checked = ["pkey", "-inform", "DER", "-check", "-outform", "DER"];
            assert_eq!(
                openssl(&checked, &made),
                openssl(&checked, &imported),
                "{spec}"
            );
        }
        false => assert!(made == imported, "{spec}"),
    }
}

#[test]
fn the_documents_commands_bring_back_an_hmac_key() {
    the_document_opens(Kind::Kryoptic, "HMAC_224", None);
    the_document_opens(Kind::SoftHsm, "HMAC_512", None);
}

#[test]
fn the_documents_commands_bring_back_a_private_key() {
    the_document_opens(Kind::SoftHsm, "ECC_NIST_P256", None);
    the_document_opens(Kind::SoftHsm, "RSA_2048", None);
}

#[test]
fn the_documents_commands_bring_back_keys_that_are_not_for_aws() {
    the_document_opens(Kind::SoftHsm, "AES_192", None);
    the_document_opens(Kind::Kryoptic, "ED25519", None);
}

#[test]
fn the_documents_commands_take_the_package_from_paper() {
    let Some(left) = left() else { return };
    fs::remove_file(left.stick.join("escrow-package.json")).unwrap();
    let mut person = left.person(&blocks()[PARAMETERS..IMPORT]);
    person.answer("ARN of the KMS key: ", ARN);
    person.sees("type its rows in step 5");
    person.answer("Enter a recovery share: ", &left.room.share(SECURITY));
    person.sees("shares needed");
    person.answer("Enter a recovery share: ", &left.room.share(TREASURY));
    person.sees("SUCCESS!");
    person.answer("Spec of the data key", "SYMMETRIC_DEFAULT");
    std::thread::sleep(Duration::from_millis(500));
    for row in left.rows() {
        person.session.send_line(&row).unwrap();
    }
    person.ends_input();
    person.sees("40 wrapped.bin");
    person.sees(left.kcv());
    person.sees(left.fingerprint());
    let said = person.end();
    assert!(!said.contains("STOP"), "{said}");
    left.wrapped_is_the_data_key(SHA_256);
}

#[test]
fn the_documents_commands_stop_at_too_few_shares_and_at_another_package() {
    let Some(left) = left() else { return };
    left.exchange_package();
    let until_key = [&blocks()[PARAMETERS..7], &blocks()[CLEAN_UP..IMPORT]].concat();
    let mut person = left.person(&until_key);
    person.answer("ARN of the KMS key: ", ARN);
    person.answer("Enter a recovery share: ", &left.room.share(SECURITY));
    person.sees("shares needed");
    person.sees("Enter a recovery share: ");
    person.ends_input();
    person.sees("STOP: the shares gave no escrow key");
    person.answer("Spec of the data key", "SYMMETRIC_DEFAULT");
    person.answer("Label of the data key: ", LABEL);
    person.sees("STOP: these shares do not open this package");
    person.sees("0 data-key.bin");
    person.end();

    let package = left.stick.join("escrow-package.json");
    let text = fs::read_to_string(&package).unwrap();
    let member = format!("\"label\":\"{LABEL}\",");
    let steers = text.replace(
        &member,
        &(member.clone() + "\"note\":\"\u{1b}[8mforged\r\","),
    );
    fs::write(&package, steers).unwrap();
    let mut person = left.person(&until_key);
    person.answer("ARN of the KMS key: ", ARN);
    person.answer("Enter a recovery share: ", &left.room.share(SECURITY));
    person.sees("shares needed");
    person.answer("Enter a recovery share: ", &left.room.share(TREASURY));
    person.sees("SUCCESS!");
    person.answer("Spec of the data key", "SYMMETRIC_DEFAULT");
    person.answer("Label of the data key: ", LABEL);
    person.sees("?[8mforged?");
    person.sees("STOP: these shares do not open this package");
    person.sees("0 data-key.bin");
    person.end();
    assert!(!left.stick.join("WrappedKeyMaterial.bin").exists());
    assert!(blocks()[ROOM].contains("/dev/shm"));
}

/// Runs the script with these answers, a line each; nothing is left in memory.
fn script(left: &Left, args: &[&str], answers: &[&str]) -> Output {
    use std::io::Write as _;
    let mut command = bash(&left.stick, &left.path);
    command.arg(SCRIPT).args(args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut input = child.stdin.take().unwrap();
    // It may have stopped before it read everything.
    let _ = input.write_all((answers.join("\n") + "\n").as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    let name = format!("recovery.{pid}.");
    for entry in fs::read_dir("/dev/shm").unwrap() {
        let found = entry.unwrap().file_name().into_string().unwrap();
        assert!(!found.starts_with(&name), "{found} is still there");
    }
    output
}

#[test]
fn the_script_does_the_same() {
    let Some(left) = left() else { return };
    let parameters = "../parameters.json";
    let slip = left.room.kms.sha256()[..24].to_uppercase();
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let fingerprint = &left.fingerprint()[..16];
    let with_package = [parameters, SHA_256, "escrow-package.json"];
    let output = script(
        &left,
        &with_package,
        &["Yes", &slip, LABEL, &three, &one, fingerprint],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains(left.kcv()), "{}", stderr(&output));
    support::escrow::nowhere(
        &support::escrow::telling(&one),
        &left.stick,
        &stderr(&output),
    );
    left.wrapped_is_the_data_key(SHA_256);
    refused(&script(&left, &with_package, &[]), 2, &["is there already"]);
    // An import token of other parameters is not taken for this one.
    fs::remove_file(left.stick.join("WrappedKeyMaterial.bin")).unwrap();
    fs::write(left.stick.join("ImportToken.bin"), "of yesterday").unwrap();
    let output = script(&left, &with_package, &["Yes"]);
    refused(&output, 2, &["another import token"]);

    // The other hash, the package from paper, and every mistake on the way.
    fs::remove_file(left.stick.join("ImportToken.bin")).unwrap();
    let rows = left.rows();
    let mistyped = rows[0].replacen(" check ", " check 0", 1);
    let wrong = one.rsplit_once(' ').unwrap().0.to_owned() + " academic";
    let short = one.rsplit_once(' ').unwrap().0;
    let mut answers = vec!["", "Yes", &slip, "", &mistyped]; // Enter alone is asked again
    answers.extend(rows.iter().map(String::as_str));
    answers.extend([
        "",
        short,
        "",
        &wrong,
        "",
        &one,
        &one,
        "",
        &three,
        left.kcv(),
    ]);
    let output = script(&left, &[parameters, SHA_1], &answers);
    assert!(output.status.success(), "{}", stderr(&output));
    for wanted in ["32 of 33 words", "a word is wrong", "was typed before"] {
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
    left.wrapped_is_the_data_key(SHA_1);
}

#[test]
fn the_script_takes_shares_of_groups_and_says_what_each_still_needs() {
    use crate::groups::{TWO, table};
    let Some(left) = left_by(|room| room.plan.more = table(TWO, "files:shares")) else {
        return;
    };
    let slip = left.room.kms.sha256()[..24].to_uppercase();
    let share = |name: &str| left.room.share(name);
    let (security, audit) = (share("03-Security 3.txt"), share("04-Audit 1.txt"));
    let answers = [
        "Yes",
        &slip,
        LABEL,
        &security,
        &audit,
        &share("01-Security 1.txt"),
        &left.fingerprint()[..16],
    ];
    let with_package = ["../parameters.json", SHA_256, "escrow-package.json"];
    let output = script(&left, &with_package, &answers);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for wanted in [
        "\n0 of 2 groups are complete:\n  forms that begin ",
        ": 1 of 2 shares\n  forms that begin ",
        ": none yet\n",
        "\n1 of 2 groups are complete:\n  forms that begin ",
        ": complete\n",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    left.wrapped_is_the_data_key(SHA_256);
}

#[test]
fn the_script_goes_on_where_the_page_s_own_step_2_ended_and_asks_again_what_is_mistyped() {
    let Some(left) = left() else { return };
    // Steps 1 and 2 by hand, then the line that the page says.
    let mut online = bash(&left.stick, &left.path);
    let answer = format!("{ARN}\n");
    let output = support::pipe(online.args(["-c", blocks()[PARAMETERS]]), answer.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let line = DOCUMENT
        .lines()
        .find_map(|line| line.strip_prefix("bash recover-without-byok.sh "));
    let args: Vec<&str> = line.unwrap().split(' ').collect();
    let slip = left.room.kms.sha256();
    let mistyped = |text: &str, at: usize| {
        let digit = if text.as_bytes()[at] == b'0' {
            "1"
        } else {
            "0"
        };
        format!("{}{digit}{}", &text[..at], &text[at + 1..])
    };
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let answers = [
        "Yes",
        &slip[..16],
        &mistyped(&slip[..24], 9),
        &slip[..24],
        "payments-2062",
        LABEL,
        &one,
        &three,
        &mistyped(left.kcv(), 5),
        &mistyped(&left.fingerprint()[..16], 2),
        left.kcv(),
    ];
    let output = script(&left, &args, &answers);
    assert!(output.status.success(), "{}", stderr(&output));
    for said in [
        "That was 16 digits; 24 are needed",
        "Row 2 does not agree",
        "no data key with that label",
        "These digits do not agree",
        "Row 1 does not agree",
    ] {
        assert!(
            stderr(&output).contains(said),
            "{said}: {}",
            stderr(&output)
        );
    }
    left.wrapped_is_the_data_key(SHA_256);

    // From paper: the spec too.
    fs::remove_file(left.stick.join("WrappedKeyMaterial.bin")).unwrap();
    let rows = left.rows();
    let mut answers = vec!["Yes", &slip, "SYMETRIC_DEFAULT", "SYMMETRIC_DEFAULT"];
    answers.extend(rows.iter().map(String::as_str));
    answers.extend(["", &one, &three, left.kcv()]);
    let output = script(&left, &args[..2], &answers);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("is no spec that this script knows"));
    left.wrapped_is_the_data_key(SHA_256);
}

/// What the script said up to a question.
fn before<'a>(said: &'a str, question: &str) -> &'a str {
    said.split_once(question)
        .unwrap_or_else(|| panic!("{question}: {said}"))
        .0
}

#[test]
fn the_script_shows_what_it_read_after_it_was_compared_with_the_paper() {
    let Some(left) = left() else { return };
    let slip = left.room.kms.sha256();
    let args = ["../parameters.json", SHA_256, "escrow-package.json"];
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    // As it stands on a paper, row by row, with one digit of two rows mistyped first.
    let on_paper =
        |rows: [&str; 3]| format!("row 1  {}  Row 2\t{} row 3 {}", rows[0], rows[1], rows[2]);
    let right = on_paper([&slip[..8], &slip[8..16], &slip[16..24]]);
    let wrong = on_paper([&slip[..8], "0000 0000", "0000 0000"]);
    let words = "flytrap liberty quota insincere";
    let answers = [
        "Yes",
        words,
        &wrong,
        &right,
        LABEL,
        &one,
        &three,
        left.kcv(),
    ];
    let output = script(&left, &args, &answers);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Rows 2, 3 do not agree."), "{said}");
    assert!(said.contains("no words. Nothing was compared"), "{said}");
    let (asked, shown) = said.rsplit_once("first three rows from the paper").unwrap();
    assert!(!asked.contains(&slip[..8]), "{asked}");
    for row in 0..8 {
        assert!(shown.contains(&slip[row * 8..][..8]), "{shown}");
    }
    let asked = before(&said, "KCV (6 digits) or ");
    assert!(!asked.contains(left.kcv()) && !asked.contains(left.fingerprint()));
    left.wrapped_is_the_data_key(SHA_256);
}

#[test]
fn the_script_takes_printed_rows_as_byok_does() {
    let Some(left) = left() else { return };
    let slip = left.room.kms.sha256();
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let rows = left.rows();
    let plain = |row: usize| rows[row].split_once("  ").unwrap().1.trim().to_owned();
    let answers = [
        "Yes".to_owned(),
        slip,
        String::new(),
        rows[1].clone(),               // another row, by its name
        plain(2),                      // and by its check
        format!("row 1 {}", plain(1)), // by its check, though not by its name
        format!("row 1 {}", plain(0)),
        format!("ROW\t2\t {}", plain(1).to_uppercase()),
        format!(" row 3     {}", plain(2)),
        plain(3).replace("  check", "check"),
        format!("Row 05 {}", plain(4)),
        String::new(),
        one,
        three,
        left.kcv().to_owned(),
    ];
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let output = script(&left, &["../parameters.json", SHA_256], &answers);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("row 1 is asked for").count(), 3, "{said}");
    for told in ["That is row 2; row 1", "That is row 3; row 1"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    left.wrapped_is_the_data_key(SHA_256);
}

#[test]
fn the_script_takes_words_as_byok_does_and_names_what_is_not_in_the_list() {
    let Some(left) = left() else { return };
    let slip = left.room.kms.sha256();
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let short = |share: &str| -> Vec<String> {
        share
            .split(' ')
            .map(|word| word[..4].to_uppercase())
            .collect()
    };
    let mut mistyped = short(&one);
    let (seventh, last) = (mistyped[6].clone(), mistyped[32].clone());
    mistyped[6] = "zzzz".into(); // in no list
    mistyped[32] = last[..3].to_owned(); // too short to tell
    let one_a_line = short(&three);
    let too_long =
        format!("{} {last}ing\u{1b}[2J", mistyped[..32].join(" ")).replace("zzzz", &seventh);
    let mut answers = vec!["Yes", &slip, LABEL];
    let (mistyped, again) = (mistyped.join("\t "), format!("{one} academic"));
    answers.extend([&too_long, "", &again, "", &mistyped, "xq3", &seventh, &last]);
    answers.extend(one_a_line.iter().map(String::as_str));
    answers.push(left.kcv());
    let output = script(
        &left,
        &["../parameters.json", SHA_256, "escrow-package.json"],
        &answers,
    );
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for told in [
        "Word 7, zzzz, is not in the list",
        "Word 7, xq3, is not in the list",
        "That was 34 words, not 33",
        "12 of 33 words. The rest",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let cut = format!("Word 33, {}, is not in the list", last[..3].to_lowercase());
    assert!(said.contains(&cut), "{said}");
    let filtered = format!(
        "Word 33, {}ing??2j, is not in the list",
        last.to_lowercase()
    );
    assert!(said.contains(&filtered), "{said}");
    left.wrapped_is_the_data_key(SHA_256);
}

/// Programs of somebody's own, where python3 would look first: each leaves a mark where it is run.
fn plant_modules(left: &Left) -> PathBuf {
    let mark = left.room.path("was-run");
    let program = format!("open({mark:?}, 'a').write(__name__)\n");
    fs::create_dir(left.stick.join("shamir_mnemonic")).unwrap();
    for module in [
        "shamir_mnemonic/__init__.py",
        "shamir_mnemonic/cli.py",
        "click.py",
        "hashlib.py",
        "inspect.py",
        "runpy.py",
        "zipfile.py",
    ] {
        fs::write(left.stick.join(module), &program).unwrap();
    }
    mark
}

#[test]
fn programs_that_lie_beside_the_package_take_no_part() {
    let Some(left) = left() else { return };
    let mark = plant_modules(&left);
    let slip = &left.room.kms.sha256()[..24];
    let shares = [left.room.share(TREASURY), left.room.share(SECURITY)];
    let output = script(
        &left,
        &["../parameters.json", SHA_256, "escrow-package.json"],
        &["Yes", slip, LABEL, &shares[0], &shares[1], left.kcv()],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    left.wrapped_is_the_data_key(SHA_256);
    assert!(!mark.exists(), "a program beside the package was run");

    // A wheel that nobody listed is not unpacked by the document's commands either.
    let mut pack = bash(&left.room.path("bin"), &left.path);
    let wheel = left.stick.join("wheels/zz-1.0-py3-none-any.whl");
    pack.arg("-c").arg(format!(
        "mkdir click && echo 'print()' > click/planted.py && python3 -m zipfile -c {wheel:?} click"
    ));
    assert!(pack.status().unwrap().success());
    let look = "find lib -name planted.py; ls lib";
    let person = left.person(&[blocks()[ROOM], look, blocks()[CLEAN_UP]]);
    let said = person.end();
    assert!(said.contains("click-8.5.1.dist-info"), "{said}");
    assert!(!said.contains("planted.py"), "{said}");
    assert!(!mark.exists(), "a program beside the package was run");
}

/// The script brings each of these data keys back, from the file and from the printed rows.
#[track_caller]
fn opens_each(left: &Left, labels: &[&str]) {
    let package = fs::read(left.room.path("records/one/escrow-package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_slice(&package).unwrap();
    let slip = left.room.kms.sha256();
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let all_rows = left.rows();
    let mut rows = all_rows.iter().map(String::as_str);
    for (at, label) in labels.iter().enumerate() {
        let kcv = package["keys"][at]["kcv"].as_str().unwrap();
        let wrapped = format!("records/one/{label}/eu-west-1/WrappedKeyMaterial.bin");
        let key = left.room.openssl_opens(&wrapped);
        let of_key: Vec<&str> = rows.by_ref().take(key.len() / 8 + 1).collect();
        let from_file = ["Yes", &slip, label, &three, &one, kcv];
        let from_paper = [&["Yes", &slip, ""][..], &of_key, &["", &three, &one, kcv]].concat();
        for (args, answers) in [
            (
                &["../parameters.json", SHA_1, "escrow-package.json"][..],
                &from_file[..],
            ),
            (&["../parameters.json", SHA_1], &from_paper),
        ] {
            let output = script(left, args, answers);
            assert!(output.status.success(), "{label}: {}", stderr(&output));
            let made = left.stick.join("WrappedKeyMaterial.bin");
            assert_eq!(left.room.kms.open(&made, SHA_1), key, "{label}");
            fs::remove_file(made).unwrap();
            fs::remove_file(left.stick.join("ImportToken.bin")).unwrap();
        }
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn the_script_opens_each_of_several_data_keys_in_one_package() {
    let more = |room: &mut Room| {
        for (label, mark) in [("ledger", "1234abc1"), ("archive", "1234abc2")] {
            let arn = ARN.replace("1234abcd", mark);
            let parameters = room.kms.parameters(&arn, support::now() + 86_000);
            fs::write(room.path(&format!("inputs/{label}.json")), parameters).unwrap();
            room.plan.import_more += &format!(
                "[[key]]\nlabel = \"{label}\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n\
                 [[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{arn}\"\n\
                 parameters = \"inputs/{label}.json\"\nwrapping = \"{SHA_1}\"\nexpires = \"never\"\n\
                 wrapping_key_sha256 = \"{}\"\n",
                room.kms.sha256()
            );
        }
    };
    let Some(left) = left_by(more) else { return };
    opens_each(&left, &[LABEL, "ledger", "archive"]);
}

#[test]
fn the_script_opens_a_data_key_of_sixteen_bytes() {
    let china = |room: &mut Room| {
        room.plan.key_arn = ARN.replace("arn:aws:kms:eu-west-1", "arn:aws-cn:kms:cn-north-1");
        room.write_parameters();
    };
    let Some(left) = left_by(china) else { return };
    assert_eq!(left.rows().len(), 3);
    opens_each(&left, &[LABEL]);
}

/// One data key of another type, from the file and, where it is short enough, from the printed rows.
#[track_caller]
fn opens_spec(kind: Kind, spec: &str, bits: Option<usize>) {
    let Some(left) = left_of(kind, |room| room.plan_spec(spec, bits)) else {
        return;
    };
    let slip = left.room.kms.sha256();
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let fingerprint = left.fingerprint();
    let wrapping = left.room.plan.wrapping.as_str();
    let imported = left
        .room
        .path("records/one/payments-2026/eu-west-1/WrappedKeyMaterial.bin");
    let key = left.room.kms.open(&imported, wrapping);
    let rows = left.rows();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let on_page = bits.map_or(spec.to_owned(), |bits| format!("{spec}, {bits} bits"));
    let from_file = ["Yes", &slip, LABEL, &one, &three, fingerprint];
    let from_paper = [
        &["Yes", &slip, &on_page][..],
        &rows,
        &["", &one, &three, fingerprint],
    ]
    .concat();
    let elsewhere = support::specs::elsewhere(spec).is_some();
    let pem = openssl(&["pkey", "-pubin", "-inform", "DER"], &left.room.kms.spki);
    fs::write(left.room.path("wrapping-key.pem"), pem).unwrap();
    let parameters = match elsewhere {
        true => "../wrapping-key.pem",
        false => "../parameters.json",
    };
    for (package, answers) in [
        (Some("escrow-package.json"), &from_file[..]),
        (None, &from_paper),
    ] {
        let mut args = vec![parameters, wrapping];
        args.extend(package);
        let output = script(&left, &args, answers);
        assert!(output.status.success(), "{spec}: {}", stderr(&output));
        let has_kcv = spec.starts_with("AES_");
        assert_eq!(
            stderr(&output).contains("KCV"),
            has_kcv,
            "{}",
            stderr(&output)
        );
        let made = left.stick.join("WrappedKeyMaterial.bin");
        let opened = left.room.kms.open(&made, wrapping);
        assert!(
            opened == key,
            "{spec}: {} and {} bytes",
            opened.len(),
            key.len()
        );
        fs::remove_file(made).unwrap();
        let token = left.stick.join("ImportToken.bin");
        assert_eq!(fs::remove_file(token).is_err(), elsewhere, "{spec}");
    }
}

#[test]
fn the_script_opens_keys_that_are_not_for_aws_and_wraps_them_for_another_kms() {
    opens_spec(Kind::SoftHsm, "AES_128", None);
    opens_spec(Kind::Kryoptic, "AES_192", None);
    opens_spec(Kind::SoftHsm, "AES_256", None);
    opens_spec(Kind::Kryoptic, "ED25519", None);
}

#[test]
fn the_script_opens_hmac_keys_of_every_length() {
    opens_spec(Kind::Kryoptic, "HMAC_224", Some(224));
    opens_spec(Kind::Kryoptic, "HMAC_256", Some(264));
    opens_spec(Kind::SoftHsm, "HMAC_384", Some(384));
    opens_spec(Kind::SoftHsm, "HMAC_512", Some(512));
}

#[test]
fn the_script_opens_private_keys_and_cuts_off_what_an_hsm_appended() {
    opens_spec(Kind::SoftHsm, "ECC_NIST_P256", None); // 5 zero bytes
    opens_spec(Kind::SoftHsm, "ECC_NIST_P521", None); // 6 zero bytes
    opens_spec(Kind::SoftHsm, "ECC_SECG_P256K1", None);
    opens_spec(Kind::Kryoptic, "ECC_NIST_P384", None);
    opens_spec(Kind::SoftHsm, "RSA_2048", None);
    opens_spec(Kind::Kryoptic, "RSA_4096", None);
}

#[test]
fn the_script_refuses_a_key_of_another_type_or_length_than_the_package_says() {
    let Some(left) = left_of(Kind::Kryoptic, |room| room.plan_spec("HMAC_256", None)) else {
        return;
    };
    let slip = left.room.kms.sha256();
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let path = left.stick.join("escrow-package.json");
    let package = fs::read_to_string(&path).unwrap();
    let answers = ["Yes", &slip, LABEL, &one, &three, left.fingerprint()];
    for (wrapping, change, code, says) in [
        (
            "RSA_AES_KEY_WRAP_SHA_256",
            ("HMAC_256", "HMAC_256"),
            2,
            "under RSAES_OAEP only",
        ),
        (SHA_256, ("HMAC_256", "RSA_2048"), 4, "wrapped with AES-KWP"),
        (
            SHA_256,
            ("HMAC_256", "AES_256"),
            2,
            "AWS KMS does not import AES_256",
        ),
        (
            SHA_256,
            ("HMAC_256", "ED25519"),
            2,
            "AWS KMS does not import ED25519",
        ),
        (
            SHA_256,
            ("HMAC_256", "HMAC_999"),
            4,
            "no spec that this script knows",
        ),
        (
            SHA_256,
            ("\"bits\":256", "\"bits\":320"),
            4,
            "not have the length of such a data key",
        ),
        (SHA_256, ("\"bits\":256,", ""), 4, "nothing says how long"),
        (
            SHA_256,
            ("\"bits\":256", "\"bits\":0899"),
            4,
            "an HMAC key has no such length: 0899 bits",
        ),
        (
            SHA_256,
            ("\"bits\":256", "\"bits\":\u{1b}[2J\u{9b}2J"),
            4,
            "an HMAC key has no such length: ?[2J??2J bits",
        ),
        (
            SHA_256,
            ("HMAC_256", "\u{1b}[2JThey agree.\rHMAC"),
            4,
            "?[2JThey agree.?HMAC is no spec",
        ),
        (
            SHA_256,
            ("AES-KW", "\u{1b}[2J"),
            4,
            "the package says ?[2J; a key",
        ),
        (
            SHA_256,
            (
                "\"keys\":[",
                "\"keys\":[{\"label\":\"payments-2026\",\"spec\":\"HMAC_256\"},{\"label\":\"\u{1b}]0;x\u{7}\",\"spec\":\"\u{1b}c\"},",
            ),
            4,
            "holds more than one data key with the label payments-2026",
        ),
        (
            SHA_256,
            ("HMAC_256", "SYMMETRIC_DEFAULT"),
            4,
            "this is not the data key that the package names",
        ),
    ] {
        fs::write(&path, package.replace(change.0, change.1)).unwrap();
        let output = script(
            &left,
            &["../parameters.json", wrapping, "escrow-package.json"],
            &answers,
        );
        refused(&output, code, &[says]);
        let shown = stderr(&output).replace('\t', " "); // of cat -n
        assert!(shown.lines().all(words::is_printable), "{shown:?}");
        let bash_s_own = shown.lines().filter(|line| line.contains(": line "));
        assert_eq!(bash_s_own.count(), 0, "{shown}");
        assert!(!left.stick.join("WrappedKeyMaterial.bin").exists());
    }
}

#[test]
fn the_script_refuses_what_does_not_fit() {
    let (Some(left), Some(other)) = (left(), left()) else {
        return;
    };
    let slip = left.room.kms.sha256();
    let (one, three) = (left.room.share(SECURITY), left.room.share(TREASURY));
    let foreign = other.room.share(SECURITY);
    let args = ["../parameters.json", SHA_256, "escrow-package.json"];

    refused(&script(&left, &[], &[]), 2, &["PARAMETERS WRAPPING"]);
    refused(&script(&left, &args, &["no"]), 1, &["declined"]);
    let another = "0".repeat(24);
    let output = script(&left, &args, &["Yes", &another, &another, &another]);
    refused(
        &output,
        4,
        &[
            "Rows 1, 2, 3 do not agree",
            "not the wrapping key on the paper",
        ],
    );
    let output = script(
        &left,
        &args,
        &["Yes", &slip, LABEL, &one, &foreign, "", "stop"],
    );
    refused(
        &output,
        4,
        &["to another set", "not enough: 1 good, 2 needed"],
    );
    let output = script(&left, &args, &["Yes", &slip, LABEL, &one]);
    refused(&output, 1, &["not enough: 1 good, 2 needed"]);
    for forged in [slow(&three), of_no_group(&three)] {
        let answers = ["Yes", &slip, LABEL, &forged, "", &one, "stop"];
        let says = ["byok never dealt such a share", "not enough: 1 good"];
        refused(&script(&left, &args, &answers), 4, &says);
    }
    let output = script(
        &left,
        &args,
        &[
            "Yes", &slip, LABEL, &one, &three, "00000000", "00000000", "000000",
        ],
    );
    refused(&output, 4, &["another data key"]);
    let fifo = left.stick.join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    for args in [
        ["fifo", SHA_256, "escrow-package.json"],
        [args[0], SHA_256, "fifo"],
    ] {
        refused(&script(&left, &args, &[]), 2, &["fifo cannot be read"]);
    }
    left.exchange_package();
    let output = script(&left, &args, &["Yes", &slip, LABEL, &one, &three]);
    refused(&output, 4, &["do not open this package", "ceremony ids"]);
    let wheel = left.stick.join("wheels/click-8.5.1-py3-none-any.whl");
    fs::write(wheel, "not this").unwrap();
    refused(
        &script(&left, &args, &[]),
        2,
        &["wheels", "step 1", "FAILED"],
    );
    assert!(!left.stick.join("WrappedKeyMaterial.bin").exists());
}

#[test]
fn parameters_that_do_not_decode_whole_are_refused_before_anything_is_in_clear() {
    let Some(left) = left() else { return };
    let whole = fs::read_to_string(left.room.path("parameters.json")).unwrap();
    let token = base64(&left.room.kms.token);
    let answer: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let key = answer["PublicKey"].as_str().unwrap();
    let broken = |text: &str| format!("{}!{}", &text[..64], &text[65..]);
    let not_whole = "ImportToken in it is not whole base64";
    for (text, code, says) in [
        (whole.replace(&token, &broken(&token)), 2, not_whole),
        (
            whole.replace(&token, &token[..token.len() - 1]),
            2,
            not_whole,
        ),
        (whole.replace(&token, ""), 2, not_whole),
        (whole.replace("ImportToken", "Token"), 2, not_whole),
        (
            whole.replace(key, &broken(key)),
            2,
            "PublicKey in it is not whole base64",
        ),
        (whole.replace(key, &token), 4, "PublicKey is not an RSA key"),
        (
            whole.replacen('{', &format!("{{\"ImportToken\": \"{key}\","), 1),
            2,
            "a member stands in it twice",
        ),
        (format!("[{whole}]"), 2, "PublicKey in it is not whole"),
        (whole[..whole.len() / 2].to_owned(), 2, "as JSON"),
    ] {
        fs::write(left.room.path("parameters.json"), text).unwrap();
        let output = script(&left, &["../parameters.json", SHA_256], &["Yes"]);
        refused(&output, code, &[says]);
        assert!(!left.stick.join("ImportToken.bin").exists());
    }

    // The document's own commands say it, too.
    fs::write(
        left.room.path("parameters.json"),
        whole.replace(&token, &broken(&token)),
    )
    .unwrap();
    let mut person = left.person(&[blocks()[PARAMETERS], blocks()[ROOM], blocks()[CLEAN_UP]]);
    person.answer("ARN of the KMS key: ", ARN);
    person.sees("STOP: ImportToken is not whole");
    person.end();
}
