//! Files that somebody made to do harm, wherever byok reads one: nobody waits, nothing fills the memory, the
//! exit code is the right one, and what is shown of them is what it says it is.
//!
//! What is no regular file within a record stands in `verdicts/tampering.rs`, the forms of import parameters in the
//! unit tests of `kms::aws`.

use crate::support;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64ct::Encoding as _;
use byok::ground::words;
use support::{Kind, PATIENCE, Room};

/// The most memory that a single file costs, in KiB (VmHWM of the process).
const SMALL: u64 = 128 << 10;

/// The same where a whole record is read.
const RECORD: u64 = 640 << 10;

fn sha256(bytes: &[u8]) -> String {
    words::hex(&words::sha256(bytes))
}

/// How a child ended.
struct Ended {
    args: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// Most memory, in KiB.
    peak: u64,
}

/// Runs byok in this room and kills it where it does not end.
fn byok(room: &Room, args: &[&str]) -> Ended {
    let out = tempfile::NamedTempFile::new().unwrap();
    let err = tempfile::NamedTempFile::new().unwrap();
    let mut child = room
        .byok(args)
        .stdout(Stdio::from(out.reopen().unwrap()))
        .stderr(Stdio::from(err.reopen().unwrap()))
        .spawn()
        .unwrap();
    let (code, peak) = watch(&mut child);
    let read = |file: &tempfile::NamedTempFile| {
        String::from_utf8(fs::read(file.path()).unwrap()).expect("what is shown is text")
    };
    Ended {
        args: args.join(" "),
        code,
        stdout: read(&out),
        stderr: read(&err),
        peak,
    }
}

/// `None` where it had to be killed.
fn watch(child: &mut Child) -> (Option<i32>, u64) {
    let status = format!("/proc/{}/status", child.id());
    let start = Instant::now();
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(now.unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), peak);
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return (None, peak);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Ended {
    /// It ended in time, with this code and not by a panic, within this memory, and showed nothing that
    /// moves the cursor.
    #[track_caller]
    fn ends(&self, code: i32, most: u64) -> &Self {
        let Self { args, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{args}: {stderr} {}", self.stdout);
        assert!(!stderr.contains("panicked"), "{args}: {stderr}");
        assert!(self.peak <= most, "{args}: {} KiB", self.peak);
        assert!(is_shown_well(&self.stdout) && is_shown_well(stderr));
        self
    }

    #[track_caller]
    fn refused(&self, code: i32, says: &[&str]) {
        self.ends(code, SMALL);
        let (args, stderr) = (&self.args, &self.stderr);
        let mut lines = stderr.lines();
        assert!(
            lines.any(|line| line.starts_with("byok: error: ")),
            "{args}: {stderr}"
        );
        let said = says.iter().any(|say| stderr.contains(say));
        assert!(said, "{args}: none of {says:?}: {stderr}");
    }
}

/// No control character but the line feed, nothing that turns text round or hides it.
fn is_shown_well(text: &str) -> bool {
    text.lines().all(words::is_printable)
}

/// A room whose ceremony dealt shares; the token is not needed any more.
fn dealt() -> Option<&'static Room> {
    static ROOM: OnceLock<Option<Room>> = OnceLock::new();
    let room = ROOM.get_or_init(|| {
        let mut room = Room::new(Kind::SoftHsm)?;
        room.run_with_escrow(2, &["Audit", "Legal"]);
        Some(room)
    });
    room.as_ref()
}

/// Its record as somebody copied it.
fn copy_of_record(room: &Room) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(room.path("records/one"))
        .arg(dir.path().join("record"))
        .status();
    assert!(copied.unwrap().success());
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What may lie in a file's place. All are made anew in a directory of their own.
struct Hostile {
    dir: tempfile::TempDir,
}

impl Hostile {
    fn new() -> Self {
        let hostile = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fifo(&hostile.at("fifo"));
        symlink("fifo", hostile.at("link-to-fifo")).unwrap();
        symlink("/dev/zero", hostile.at("link-to-zero")).unwrap();
        symlink("loop", hostile.at("loop")).unwrap();
        fs::create_dir(hostile.at("directory")).unwrap();
        huge(&hostile.at("huge"));
        std::os::unix::net::UnixListener::bind(hostile.at("socket")).unwrap();
        hostile
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Each of them, and the device itself.
    fn each(&self) -> Vec<PathBuf> {
        let names = [
            "fifo",
            "link-to-fifo",
            "link-to-zero",
            "loop",
            "directory",
            "huge",
            "socket",
        ];
        let mut all: Vec<PathBuf> = names.iter().map(|name| self.at(name)).collect();
        all.push("/dev/zero".into());
        all
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// 10 GB that take no room on the disk.
/// Whoever reads it to its end is killed first.
fn huge(path: &Path) {
    File::create(path)
        .unwrap()
        .set_len(8_000_000_000_000)
        .unwrap();
}

/// What a refusal may call it.
const WHAT_IT_IS: [&str; 9] = [
    "not a regular file",
    "longer than",
    "larger than",
    "Too many levels of symbolic links",
    "Is a directory",
    "No such device or address", // what open(2) says of a socket
    "holds no public key",       // a directory in the place of import parameters
    "neither a regular file nor",
    "neither an answer of KMS nor", // `byok plan` looks at whatever it is given
];

#[test]
fn a_file_named_on_the_command_line_that_is_none_is_refused_at_once() {
    let Some(room) = dealt() else { return };
    let hostile = Hostile::new();
    let record = room.path("records/one");
    let share = room.path("shares/01-Audit.txt");
    let zeros = "0".repeat(64);
    for path in hostile.each() {
        let at = text(&path);
        let all: [&[&str]; 9] = [
            &["check", at],
            &["run", at, "--approve", &zeros],
            &["script", at],
            &["share", "check", "--share", at],
            &["share", "check", "--package", at, "--share", text(&share)],
            &["receipt", text(&record), at],
            &["verify", "--signers", at, text(&record)],
            &["inspect", at],
            &["doctor", at],
        ];
        for args in all {
            byok(room, args).refused(2, &WHAT_IT_IS);
        }
        let module = byok(
            room,
            &["doctor", "--module", at, "--token", "pkcs11:token=ceremony"],
        );
        module.refused(3, &WHAT_IT_IS);
    }
}

#[test]
fn a_file_named_by_a_plan_that_is_none_is_refused_before_anything_is_made() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let hostile = Hostile::new();
    let good = room.plan.clone();
    for path in hostile.each() {
        let at = text(&path).to_owned();
        let changes: [(&str, i32); 3] = [("parameters", 2), ("module", 3), ("pin", 2)];
        for (field, code) in changes {
            room.plan = good.clone();
            match field {
                "parameters" => room.plan.parameters.clone_from(&at),
                "module" => room.plan.module.clone_from(&at),
                _ => room.plan.pin = format!("file:{at}"),
            }
            let plan = room.write_plan();
            let approved = sha256(&fs::read(&plan).unwrap());
            let ended = byok(&room, &["run", "plan.toml", "--approve", &approved]);
            let mut says = WHAT_IT_IS.to_vec();
            says.push("PIN file"); // 10 GB of zeros are no PIN
            ended.refused(code, &says);
            assert_eq!(room.objects(), Vec::<String>::new(), "{field} {at}");
            let check = byok(&room, &["check", "plan.toml"]);
            check.ends(code, SMALL); // what the run would refuse
        }
    }
}

#[test]
fn files_of_a_record_of_ten_gigabytes_are_refused_unread() {
    let Some(room) = dealt() else { return };
    let names = [
        "plan.toml",
        "transcript.jsonl",
        "transcript.html",
        "SHA256SUMS",
        "escrow-package.json",
        "receipts.jsonl",
        "receipts/001.json",
        "signatures/hsm.sig",
        "signatures/witness.sig",
        "import-result-1.json",
        "payments-2026/eu-west-1/WrappedKeyMaterial.bin",
    ];
    for name in names {
        let dir = copy_of_record(room);
        let record = dir.path().join("record");
        let path = record.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        huge(&path);
        let verified = byok(room, &["verify", text(&record)]);
        verified.refused(4, &["longer than byok reads"]);
        let share = room.path("shares/01-Audit.txt");
        let args = [
            "share",
            "check",
            "--record",
            text(&record),
            "--share",
            text(&share),
        ];
        byok(room, &args).refused(4, &["longer than byok reads"]);
        let args = ["plan", "--reimport", text(&record)];
        byok(room, &args).refused(4, &["longer than byok reads"]);
    }
}

#[test]
fn leftovers_are_not_looked_for_in_what_is_no_file() {
    let Some(room) = dealt() else { return };
    for name in ["transcript.jsonl"] {
        for make in [fifo, huge, |path: &Path| {
            symlink("/dev/zero", path).unwrap()
        }] {
            let dir = copy_of_record(room);
            let record = dir.path().join("record");
            fs::remove_file(record.join(name)).unwrap();
            make(&record.join(name));
            let args = ["doctor", "--leftovers", text(&record)];
            byok(room, &args).refused(2, &["not a regular file", "longer than", "symbolic"]);
        }
    }
}

#[test]
fn what_lies_beside_a_record_never_holds_up_the_next_ceremony() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let beside = |name: &str| {
        let directory = room.path("records").join(name);
        fs::create_dir_all(&directory).unwrap();
        directory.join("transcript.jsonl")
    };
    fifo(&beside("fifo"));
    symlink("/dev/zero", beside("zero")).unwrap();
    fs::create_dir(beside("directory")).unwrap();
    huge(&beside("huge"));
    fs::write(beside("deep"), "[".repeat(1 << 20) + "\n").unwrap();
    let plan = room.write_plan();
    let approved = sha256(&fs::read(&plan).unwrap());
    let ended = byok(&room, &["run", "plan.toml", "--approve", &approved]);
    ended.ends(0, RECORD);
}

/// A zip of these entries.
fn zip(entries: &[(&str, usize)]) -> Vec<u8> {
    let mut writer = zip::write::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, zeros) in entries {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(*name, options).unwrap();
        let block = vec![0; 1 << 20];
        for _ in 0..*zeros {
            writer.write_all(&block).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// An RSA public key (SubjectPublicKeyInfo) with a modulus of so many bytes, exponent 65537.
fn rsa_key(bytes: usize) -> Vec<u8> {
    let der = |tag: u8, content: &[u8]| {
        let len = u32::try_from(content.len()).unwrap().to_be_bytes(); // of more than 64 KiB
        [&[tag, 0x83][..], &len[1..], content].concat()
    };
    let mut modulus = vec![0xff; bytes];
    modulus[0] = 0;
    let numbers = [der(2, &modulus), vec![2, 3, 1, 0, 1]].concat();
    let bits = [&[0][..], &der(0x30, &numbers)].concat();
    let rsa = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    der(0x30, &[&rsa[..], &der(3, &bits)].concat())
}

#[test]
fn parameters_that_are_made_to_do_harm_are_refused_and_cost_no_memory() {
    let Some(room) = dealt() else { return };
    let deep = |open: &str| open.repeat(1_000_000 / open.len());
    let numbers = format!("{{\"KeyId\":{}}}", "9".repeat(1_000_000));
    let modulus = format!(
        "{{\"KeyId\":\"{}\",\"ImportToken\":\"AAAA\",\"PublicKey\":\"{}\"}}",
        room.plan.key_arn,
        base64ct::Base64::encode_string(&rsa_key(600_000))
    );
    let cases: [(&str, Vec<u8>, i32); 17] = [
        ("modulus", modulus.into_bytes(), 4),
        (
            "bomb",
            zip(&[("PublicKey.bin", 300), ("ImportToken.bin", 300)]),
            2,
        ),
        (
            "bombs",
            zip(&[("a", 0), ("b", 0), ("c", 200), ("PublicKey.bin", 1)]),
            2,
        ),
        ("climbs", zip(&[("../../root/.ssh/authorized_keys", 0)]), 2),
        ("absolute", zip(&[("/etc/passwd", 0)]), 2),
        ("escape", zip(&[("\u{1b}]0;x\u{7}\u{1b}[2J\u{202e}", 0)]), 2),
        (
            "pairs",
            zip(&[("PublicKey.bin", 0), ("pkey.bin", 0), ("token.bin", 0)]),
            2,
        ),
        ("arrays", deep("[").into_bytes(), 2),
        ("objects", deep("{\"a\":").into_bytes(), 2),
        ("numbers", numbers.into_bytes(), 2),
        (
            "exponent",
            b"{\"ImportToken\":\"\",\"KeyId\":1e999999999}".to_vec(),
            2,
        ),
        (
            "wide",
            format!("{{\"a\":[{}1]}}", "1,".repeat(500_000)).into_bytes(),
            2,
        ),
        ("twice", b"{\"KeyId\":\"a\",\"KeyId\":\"b\"}".to_vec(), 2),
        ("not-utf-8", b"{\"KeyId\":\"\xff\xfe\xc0\x80\"}".to_vec(), 2),
        ("surrogate", b"{\"KeyId\":\"\\ud800\"}".to_vec(), 2),
        (
            "aws-error",
            b"{\"__type\":\"\\u001b[2J\\u202e\\u0007\",\"message\":\"\\nbyok: error: x\"}".to_vec(),
            2,
        ),
        ("zeros", vec![0; 1 << 20], 2),
    ];
    for (name, bytes, code) in cases {
        assert!(bytes.len() <= 1 << 20, "{name}: {}", bytes.len());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut plan = room.plan.clone();
        plan.parameters = text(&path).to_owned();
        plan.directory = "records/hostile".into();
        plan.pin = format!("file:{}", text(&room.path("pin")));
        let plan_path = dir.path().join("plan.toml");
        fs::write(&plan_path, plan.text()).unwrap();
        let check = byok(room, &["check", text(&plan_path)]);
        check.ends(code, SMALL);
        assert!(check.stdout.contains(name), "{name}: {}", check.stdout);
        let inspected = byok(room, &["inspect", text(&path)]);
        assert!(inspected.code.is_some(), "{name}: {}", inspected.stderr);
        assert!(inspected.peak <= SMALL, "{name}: {} KiB", inspected.peak);
        assert!(is_shown_well(&inspected.stdout) && is_shown_well(&inspected.stderr));
        assert!(
            !inspected.stderr.contains("panicked"),
            "{}",
            inspected.stderr
        );
    }
    assert!(!room.path("records/hostile").exists());
}

#[test]
fn plans_that_are_made_to_do_harm_are_refused_and_cost_no_memory() {
    let Some(room) = dealt() else { return };
    let good = room.plan.text();
    let many = |what: &str| what.repeat(1_000_000 / what.len());
    let cases: [(&str, Vec<u8>); 12] = [
        ("arrays", format!("title = {}", many("[")).into_bytes()),
        ("tables", format!("a = {}", many("{a=")).into_bytes()),
        ("dots", format!("{}a = 1", many("a.")).into_bytes()),
        ("headers", format!("[{}a]", many("a.")).into_bytes()),
        ("keys", many("[[key]]\n").into_bytes()),
        ("integer", format!("title = {}", many("9")).into_bytes()),
        ("float", format!("title = 1e{}", many("9")).into_bytes()),
        ("string", format!("title = \"{}\"", many("x")).into_bytes()),
        ("twice", format!("{good}\n[hsm]\n").into_bytes()),
        ("not-utf-8", b"title = \"\xc0\xaf\xff\"".to_vec()),
        (
            "escape",
            good.replace("Payments", "\\u001b[2J\\u202ePay")
                .into_bytes(),
        ),
        (
            "key-name",
            format!("\"\\u001b[2J\\u202e\\n\" = 1\n{good}").into_bytes(),
        ),
    ];
    for (name, bytes) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.toml");
        fs::write(&path, bytes).unwrap();
        for verb in ["check", "script"] {
            let ended = byok(room, &[verb, text(&path)]);
            ended.ends(2, SMALL);
            assert!(
                !ended.stderr.is_empty() || !ended.stdout.is_empty(),
                "{name}"
            );
        }
    }
}

#[test]
fn nothing_shown_of_a_file_forges_a_line_or_moves_the_cursor() {
    let Some(room) = dealt() else { return };
    let dir = tempfile::tempdir().unwrap();
    let forged = "The record is the one whose head digest you gave.";
    // a package whose ceremony is more than one line
    let package = fs::read_to_string(room.path("records/one/escrow-package.json")).unwrap();
    let start = package.find("\"ceremony\":\"").unwrap() + 12;
    let package = format!(
        "{}x\\n{forged}\\u001b[2J{}",
        &package[..start],
        &package[start + 32..]
    );
    let path = dir.path().join("package.json");
    fs::write(&path, package).unwrap();
    let share = room.path("shares/01-Audit.txt");
    let args = [
        "share",
        "check",
        "--package",
        text(&path),
        "--share",
        text(&share),
    ];
    let ended = byok(room, &args);
    ended.refused(4, &["cannot be shown"]);
    assert!(!ended.stdout.contains(forged));
    // what moves the cursor without being a control character of ASCII, told to a program
    let steering = "\u{9b}2J\u{202e}";
    let package = format!("{{\"format\":\"byok-escrow-package-v1\",\"ceremony\":\"{steering}\"}}");
    fs::write(&path, package).unwrap();
    let ended = byok(room, &["inspect", "--json", text(&path)]);
    assert!(is_shown_well(&ended.stdout), "{:?}", ended.stdout);
    let facts: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(facts["ceremony"], steering);
    // a file whose name is more than one line
    let record = copy_of_record(room);
    let record = record.path().join("record");
    let name = dir
        .path()
        .join(format!("answer\n{forged}\u{1b}[2J\u{202e}.json"));
    let ended = byok(room, &["receipt", text(&record), text(&name)]);
    ended.refused(2, &["No such file"]);
    assert_eq!(
        ended
            .stderr
            .lines()
            .filter(|l| l.starts_with(forged))
            .count(),
        0
    );
    let key_arn = &room.plan.key_arn;
    let answer = format!(
        "{{\"KeyId\":\"{key_arn}\",\"KeyMaterialId\":\"{}\"}}",
        "ab".repeat(32)
    );
    fs::write(&name, answer).unwrap();
    let ended = byok(room, &["receipt", text(&record), text(&name)]);
    ended.ends(0, SMALL);
    assert!(ended.stdout.contains("accepted by KMS"), "{}", ended.stdout);
    assert!(!ended.stdout.lines().any(|line| line.starts_with(forged)));
    // a file in the record whose name is more than one line
    let name = format!("signatures/\u{1b}[2J\u{202e}\n{forged}.sig");
    fs::create_dir_all(record.join("signatures")).unwrap();
    fs::write(record.join(name), "x").unwrap();
    let ended = byok(room, &["verify", text(&record)]);
    ended.refused(4, &["not a readable name"]);
    assert!(!ended.stderr.lines().any(|line| line.starts_with(forged)));
}

#[test]
fn an_answer_that_cannot_be_shown_is_no_receipt_and_leaves_the_record_whole() {
    let Some(room) = dealt() else { return };
    let record = copy_of_record(room);
    let record = record.path().join("record");
    let arn = &room.plan.key_arn;
    let id = arn.rsplit('/').next().unwrap();
    let states = [
        "Enabled\\nproved in KMS",
        "\\u001b[2J",
        "\\u202eelbanE",
        "\\u0000",
    ];
    for state in states {
        let answer = format!(
            "{{\"KeyMetadata\":{{\"KeyId\":\"{id}\",\"Arn\":\"{arn}\",\"KeySpec\":\"SYMMETRIC_DEFAULT\",\
             \"KeyUsage\":\"ENCRYPT_DECRYPT\",\"Origin\":\"EXTERNAL\",\"KeyState\":\"{state}\"}}}}"
        );
        let path = record.parent().unwrap().join("answer.json");
        fs::write(&path, answer).unwrap();
        let ended = byok(room, &["receipt", text(&record), text(&path)]);
        ended.refused(2, &["cannot be shown"]);
    }
    byok(room, &["verify", text(&record)]).ends(0, SMALL);
    assert!(!record.join("receipts.jsonl").exists());
}

/// A transcript of these members, chained; each line is an event of its own.
fn chained(lines: impl IntoIterator<Item = String>) -> Vec<u8> {
    let mut prev = "0".repeat(64);
    let mut all = String::new();
    for (at, members) in lines.into_iter().enumerate() {
        let line = format!(
            "{{\"seq\":{},\"at\":\"2026-11-22T12:00:00Z\",\"prev\":\"{prev}\",{members}}}",
            at + 1
        );
        prev = sha256(line.as_bytes());
        all += &line;
        all.push('\n');
    }
    all.into_bytes()
}

/// A record that holds, as far as anybody can make one: of these lines after the first.
fn made_up(lines: Vec<String>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("record");
    fs::create_dir(&record).unwrap();
    let plan = sha256(b"x\n");
    let mut all = vec![format!(
        "\"event\":\"ceremony-opened\",\"format\":\"byok-transcript-v1\",\"ceremony\":\"{}\",\"title\":\"x\",\
         \"kind\":\"generate\",\"rehearsal\":false,\"byok\":\"x\",\"byok_sha256\":\"x\",\"plan_sha256\":\"{plan}\"",
        "00".repeat(16)
    )];
    all.push(format!(
        "\"event\":\"output-written\",\"path\":\"plan.toml\",\"sha256\":\"{plan}\",\"bytes\":2"
    ));
    all.extend(lines);
    all.push(
        "\"event\":\"sealed\",\"outcome\":\"done\",\"exposure\":\"x\",\"exceptions\":0".into(),
    );
    let transcript = chained(all);
    fs::write(record.join("plan.toml"), "x\n").unwrap();
    let sums = format!(
        "{plan}  plan.toml\n{}  transcript.jsonl\n",
        sha256(&transcript)
    );
    fs::write(record.join("transcript.jsonl"), transcript).unwrap();
    fs::write(record.join("SHA256SUMS"), sums).unwrap();
    dir
}

#[test]
fn a_transcript_as_large_as_is_read_costs_a_bounded_memory() {
    let Some(room) = dealt() else { return };
    // Nothing takes more memory for its length: many small values.
    let wide = format!("\"event\":\"x\",\"x\":[{}0]", "[],".repeat((3 << 20) / 3));
    let record = made_up(vec![wide; 10]);
    let record = record.path().join("record");
    let len = fs::metadata(record.join("transcript.jsonl")).unwrap().len();
    assert!(len > 30 << 20);
    let ended = byok(room, &["verify", text(&record)]);
    ended.ends(0, RECORD);
    // one line, and one file, longer than any
    let record = made_up(vec![format!(
        "\"event\":\"x\",\"x\":\"{}\"",
        "x".repeat(4 << 20)
    )]);
    let record = record.path().join("record");
    byok(room, &["verify", text(&record)]).refused(4, &["longer than any line"]);
    let record = made_up(Vec::new());
    let path = record.path().join("record/transcript.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes.resize((32 << 20) + 1, b'\n');
    fs::write(&path, bytes).unwrap();
    let record = record.path().join("record");
    byok(room, &["verify", text(&record)]).ends(4, 128 << 10);
}

#[test]
fn a_record_of_as_many_data_keys_as_can_be_is_read_in_time_and_more_are_refused() {
    let Some(room) = dealt() else { return };
    let many = |count: usize| {
        let of = |n| {
            let made = format!(
                "\"event\":\"key-generated\",\"label\":\"k{n}\",\"spec\":\"SYMMETRIC_DEFAULT\",\
                 \"cka_id\":\"x\",\"fingerprint\":\"{n:064x}\",\"attributes\":{{}}"
            );
            let wrapped = format!(
                "\"event\":\"key-wrapped\",\"label\":\"k{n}\",\"import\":\"i\",\"key_arn\":\"a{n}\",\"wrapping\":\"x\",\
                 \"wrapped_in\":\"hsm\",\"wrapping_key_sha256\":\"x\",\"path\":\"plan.toml\",\"sha256\":\"{}\",\"bytes\":2",
                sha256(b"x\n")
            );
            [made, wrapped]
        };
        made_up((0..count).flat_map(of).collect())
    };
    let record = many(4096);
    let record = record.path().join("record");
    byok(room, &["verify", text(&record)]).ends(0, RECORD);
    let share = room.path("shares/01-Audit.txt");
    let args = [
        "share",
        "check",
        "--record",
        text(&record),
        "--share",
        text(&share),
    ];
    byok(room, &args).refused(
        2,
        &["neither this ceremony nor an earlier one whose record is here dealt shares"],
    );
    let record = many(4097);
    let record = record.path().join("record");
    byok(room, &["verify", text(&record)]).refused(4, &["more data keys or imports than 4096"]);
}
