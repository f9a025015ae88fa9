//! `byok rehearse` lives the whole life of a data key. What it says is looked at from outside: the
//! records, the shares, and the wrapped material of all three ceremonies. With a plan, people practise
//! it: every kind is played at a terminal, with what stands on the practice papers and nothing else.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::escrow::{files_below, fingerprint, head, table, wrapped};
use support::pty::{APPROVE, Pty};
use support::{
    ARN, Kind, LABEL, Room, SHA_1, SHA_256, Transcript, fits, folded, refused, stderr, stdout,
};

const RECORDS: [&str; 3] = ["record", "record-reimport", "record-recover"];

/// A rehearsal that came to its end.
struct Rehearsal {
    /// Held so that it stays.
    _dir: tempfile::TempDir,
    room: PathBuf,
    said: String,
}

impl Rehearsal {
    fn new() -> Option<Self> {
        let module = Kind::SoftHsm.module()?;
        let dir = tempfile::tempdir().unwrap();
        let practice = dir.path().join("practice");
        let output = byok(&[
            "rehearse",
            "--directory",
            practice.to_str().unwrap(),
            "--module",
            module.to_str().unwrap(),
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        let rooms: Vec<PathBuf> = fs::read_dir(practice)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let [room] = rooms.try_into().unwrap();
        Some(Self {
            _dir: dir,
            room,
            said: stdout(&output),
        })
    }

    fn transcript(&self, record: &str) -> Transcript {
        Transcript::read(&self.room.join(record).join("transcript.jsonl"))
    }
}

/// Without a terminal, and with an empty environment.
fn byok(args: &[&str]) -> Output {
    let mut command = Command::new(support::program());
    command.args(args).env_clear().stdin(Stdio::null());
    command.output().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_whole_life_of_a_data_key_is_lived_and_told() {
    let Some(rehearsal) = Rehearsal::new() else {
        return;
    };
    tells_every_part(&rehearsal);
    leaves_records_of_rehearsals_that_hold(&rehearsal);
    is_one_data_key_in_two_tokens(&rehearsal);
    wraps_anew_each_time(&rehearsal);
    keeps_shares_private(&rehearsal);
}

fn tells_every_part(rehearsal: &Rehearsal) {
    let said = &rehearsal.said;
    let lines: Vec<&str> = said.lines().collect();
    let expected = [
        ("made      payments-2026: 32 random bytes", "KCV "),
        (
            "wrapped   inside the HSM, under a stand-in KMS",
            "512 bytes",
        ),
        (
            "imported  the stand-in holds the same key; no receipt",
            "opened",
        ),
        ("escrowed  any 3 of 5 shares open it;", "proved"),
        (
            "reimport  deleted in the KMS, wrapped again: old data opens",
            "proved",
        ),
        (
            "lost      HSM erased; 3 shares, new HSM, KMS: old data opens",
            "proved",
        ),
        ("evidence  one byte changed: verify names line ", "refused"),
        ("look at   ", "/record/transcript.html"),
    ];
    for (line, (starts, outcome)) in lines.iter().zip(expected) {
        assert!(
            line.starts_with(starts) && line.contains(outcome),
            "{line:?} in\n{said}"
        );
    }
    assert_eq!(lines.len(), expected.len() + 1, "{said}"); // the last one goes on below itself
    for line in &lines[..7] {
        assert!(
            line.len() <= 79 && line.find("  ") < line.rfind("  "),
            "{line}"
        );
    }
}

fn leaves_records_of_rehearsals_that_hold(rehearsal: &Rehearsal) {
    for record in RECORDS {
        let shown = rehearsal.room.join(record);
        let output = byok(&["verify", shown.to_str().unwrap()]);
        assert!(output.status.success(), "{record}: {}", stderr(&output));
        assert!(
            stdout(&output).starts_with("REHEARSAL: "),
            "{}",
            stdout(&output)
        );
        let transcript = rehearsal.transcript(record);
        assert_eq!(transcript.lines[0]["rehearsal"], true, "{record}");
        assert_eq!(transcript.event("sealed")["exceptions"], 0, "{record}");
        assert_eq!(transcript.event("sealed")["exposure"], "software HSM");
    }
}

fn is_one_data_key_in_two_tokens(rehearsal: &Rehearsal) {
    let [made, again, recovered] = RECORDS.map(|record| rehearsal.transcript(record));
    assert_eq!(again.lines[0]["kind"], "reimport");
    assert_eq!(recovered.lines[0]["kind"], "recover");
    let first = head(&rehearsal.room.join("record"));
    for later in [&again, &recovered] {
        assert_eq!(later.lines[0]["previous_head"], first.as_str());
        assert_eq!(
            later.event("same-material")["fingerprint"],
            fingerprint(&made)
        );
    }
    let who = &recovered.event("quorum-met")["shares"];
    assert_eq!(
        *who,
        serde_json::json!(["Security", "Treasury", "Operations"])
    );
    // It is another token, and the object in it another one.
    let serial = |transcript: &Transcript| transcript.event("hsm-opened")["serial"].clone();
    assert!(serial(&made).is_string());
    assert_eq!(serial(&made), serial(&again));
    assert_ne!(serial(&made), serial(&recovered));
    let object = |transcript: &Transcript, event| transcript.event(event)["cka_id"].clone();
    let first = object(&made, "key-generated");
    assert_eq!(first, object(&again, "key-found"));
    assert_ne!(first, object(&recovered, "key-recovered"));
    let tokens = fs::read_dir(rehearsal.room.join("tokens")).unwrap();
    assert_eq!(tokens.count(), 1, "the first HSM is not erased");
}

fn wraps_anew_each_time(rehearsal: &Rehearsal) {
    let beside = |record: &str, name| {
        let path = rehearsal.room.join(wrapped(record)).with_file_name(name);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let wrapping_key = |record: &str| {
        let transcript = rehearsal.transcript(record);
        let digest = transcript.event("key-wrapped")["wrapping_key_sha256"].as_str();
        digest.unwrap().to_owned()
    };
    all_differ(RECORDS.map(|record| beside(record, "ImportToken.bin")));
    all_differ(RECORDS.map(|record| beside(record, "WrappedKeyMaterial.bin")));
    all_differ(RECORDS.map(wrapping_key));
}

#[track_caller]
fn all_differ<T: PartialEq>([a, b, c]: [T; 3]) {
    assert!(a != b && a != c && b != c);
}

fn keeps_shares_private(rehearsal: &Rehearsal) {
    assert_eq!(mode(&rehearsal.room), 0o700);
    for (directory, count) in [("shares", 5), ("brought", 3), ("new-shares", 5)] {
        let directory = rehearsal.room.join(directory);
        assert_eq!(mode(&directory), 0o700);
        let files = files_below(&directory);
        assert_eq!(files.len(), count, "{}", directory.display());
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

// ---- a plan, practised by people -----------------------------------------------------

const READY: &str = " Press Enter when you have this: ";
const NAME: &str = "Who is at the keyboard? Name: ";
const PRACTICE_PIN: &str = "practice-1234";

/// What the real ceremony before left: two custodians, both needed.
fn after_a_real_one() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.run_with_escrow(2, &["Security", "Audit"]);
    room.plan.more = String::new();
    room.plan.directory = "records/two".into();
    room.plan.pin = "prompt".into();
    room.plan.network = "forbidden".into(); // practised where people work
    Some(room)
}

fn builds_on_it(room: &Room, with_head: bool) -> String {
    let mut text = "previous = \"records/one\"\n".to_owned();
    if with_head {
        text += &format!("previous_head = \"{}\"\n", head(&room.path("records/one")));
    }
    text
}

/// A person who rehearses the room's plan, and a memory of what was on the papers.
struct Person {
    pty: Pty,
    papers: String,
}

impl Person {
    fn rehearses(room: &Room) -> Self {
        room.write_plan();
        let module = room.module.display().to_string();
        let args = ["rehearse", "plan.toml", "--module", &module];
        let mut pty = Pty::start(room.byok(&[&args[..], &["--directory", "practice"]].concat()));
        let mut papers = String::new();
        loop {
            pty.expect(" page ");
            let page = pty.answer(READY, "");
            assert!(page.lines().count() <= 24, "it scrolls:\n{page}");
            fits(&page);
            papers += &page;
            let (of, last) = page.split_once(" of ").unwrap();
            if last.starts_with(of.trim()) {
                break;
            }
        }
        Self { pty, papers }
    }

    /// Up to the PIN, which is typed as well; says what the approval showed.
    fn begins(&mut self) -> String {
        let approval = self.pty.answer(APPROVE, "Yes");
        assert!(approval.contains("byok 0.1.0   REHEARSAL"), "{approval}");
        fits(&approval);
        self.pty.answer(NAME, "Ada Lovelace");
        self.pty.seats();
        approval
    }

    fn types_pin(&mut self) {
        self.pty
            .answer("(nothing is shown while you type): ", PRACTICE_PIN);
    }

    /// The eight hex digits of a row that stands on paper below this line.
    #[track_caller]
    fn row(&self, below: &str, row: usize) -> String {
        let (_, rows) = self.papers.split_once(below).expect(below);
        let starts = format!("row {row}   ");
        let mut lines = rows.lines().map(str::trim_start);
        let line = lines.find_map(|line| line.strip_prefix(&starts)).unwrap();
        line.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn types_slip(&mut self) {
        for _ in 0..3 {
            let asked = self.pty.expect(" of the digest of the parameter files (");
            let row = asked.rsplit("Row ").next().unwrap();
            let row = row.split(' ').next().unwrap().parse().unwrap();
            let typed = self.row("digest over all parameter files", row);
            self.pty.answer("8 hex digits or 4 words: ", &typed);
        }
    }

    fn types_head(&mut self) {
        for row in 1..=3 {
            let typed = self.row("head digest of the previous record", row);
            self.pty.answer("8 hex digits or 4 words: ", &typed);
        }
    }

    fn types_words(&mut self, custodian: &str, words: &[String]) {
        for (at, word) in words.iter().enumerate() {
            let question = format!(" {custodian}, row {:>2} of 33: ", at + 1);
            self.pty.answer(&question, &word[..4]);
        }
    }

    /// It came to its end, every line of it proved, marked as practice, and nothing real was touched.
    #[track_caller]
    fn ends(self, room: &Room, objects: &[String], says: &[&str]) -> (String, Transcript) {
        let ended = self.pty.end();
        let screen = ended.screen;
        assert_eq!(ended.code, Some(0), "{screen}");
        fits(&screen);
        let usual = [
            " REHEARSAL  step 12 of 13",
            "evidence  one byte changed: verify names line ",
            "REHEARSAL: nothing here is real",
        ];
        for text in usual.iter().chain(says) {
            assert!(screen.contains(text), "{text:?}:\n{screen}");
        }
        assert!(!screen.contains("PRODUCTION"), "{screen}");
        assert_eq!(room.objects(), objects, "the real token was touched");
        assert!(!room.path("records/two").exists());
        let record = practice(room).join("record");
        let verified = byok(&["verify", record.to_str().unwrap()]);
        assert!(verified.status.success(), "{}", stderr(&verified));
        assert!(stdout(&verified).starts_with("REHEARSAL: "));
        let transcript = Transcript::read(&record.join("transcript.jsonl"));
        assert_eq!(transcript.lines[0]["rehearsal"], true);
        (screen, transcript)
    }
}

/// The one rehearsal's directory.
#[track_caller]
fn practice(room: &Room) -> PathBuf {
    let entries = fs::read_dir(room.path("practice")).unwrap();
    let rooms: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let [one] = rooms.try_into().unwrap();
    one
}

/// The words of each practice share form, by its custodian.
fn forms(room: &Room) -> Vec<(String, Vec<String>)> {
    let form = |(path, words): (PathBuf, String)| {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("PRACTICE SHARE FORM 0"), "{text}");
        assert!(text.contains("\nWorthless: "), "{text}");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(words_on(&text), words.split(' ').collect::<Vec<_>>());
        let name = path.file_stem().unwrap().to_str().unwrap();
        (name[3..].to_owned(), words_on(&text))
    };
    let directory = practice(room).join("practice-forms");
    support::escrow::shares(&directory)
        .into_iter()
        .map(form)
        .collect()
}

/// Words 1 to 33, read off three columns of them.
#[track_caller]
fn words_on(page: &str) -> Vec<String> {
    let mut words = vec![String::new(); 33];
    for line in page.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        if cells.len() == 6 && cells[0].parse::<usize>().is_ok() {
            for pair in cells.chunks(2) {
                words[pair[0].parse::<usize>().unwrap() - 1] = pair[1].to_owned();
            }
        }
    }
    assert!(words.iter().all(|word| !word.is_empty()), "{page}");
    words
}

/// The KMS key of the imports holds the data key of the record before.
#[track_caller]
fn same_as_before(room: &Room, transcript: &Transcript) {
    let before = practice(room).join("previous/transcript.jsonl");
    let made = Transcript::read(&before);
    assert_eq!(
        transcript.event("same-material")["fingerprint"],
        fingerprint(&made)
    );
    let real = Transcript::read(&room.path("records/one/transcript.jsonl"));
    assert_ne!(fingerprint(&real), fingerprint(&made));
}

/// Beside its name, if there are several imports.
const HELD: &str = "the stand-in holds the same key; no receipt";
const IMPORTED: &str = "the stand-in holds the same key; no receipt             opened";

#[test]
fn a_plan_with_escrow_is_practised_whole_at_the_screen() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "prompt-halves".into();
    room.plan.keep = "sealed".into();
    room.plan.network = "forbidden".into();
    room.plan.wrapping = SHA_256.into(); // which SoftHSM does not wrap with
    room.plan.wrapping_key_sha256 = None;
    room.plan.more = table(2, 2, "screen");
    let mut person = Person::rehearses(&room);
    let said = "The soft HSM does not wrap with RSAES_OAEP_SHA_256";
    assert!(person.papers.contains(said), "{}", person.papers);
    let approval = person.begins();
    for text in [
        "inside the HSM, RSAES_OAEP_SHA_1",
        "any 2 of 2: Security, Audit; written down at the screen",
        "sealed after the proof",
    ] {
        assert!(approval.contains(text), "{text:?}:\n{approval}");
    }
    let (one, two) = PRACTICE_PIN.split_at(5);
    let half = "your half of the PIN (nothing is shown): ";
    person.pty.answer(half, one);
    person.pty.answer(half, two);
    person.types_slip();
    for custodian in ["Security", "Audit"] {
        let looks = format!("when only {custodian} looks: ");
        let shown = person.pty.expect(&looks);
        person.pty.enter(&support::share_asked(&shown));
        let shown = person
            .pty
            .answer("Type written when the form is full: ", "written");
        assert!(shown.contains("REHEARSAL"), "{shown}");
        person.types_words(custodian, &words_on(&shown));
    }
    let says = [
        "made      payments-2026: 32 random bytes inside a soft HSM",
        IMPORTED,
        "escrowed  any 2 of 2 shares open it; typed back, joined",
    ];
    let (_, transcript) = person.ends(&room, &[], &says);
    assert_eq!(transcript.event("escrow-proved")["shares"], 2);
    assert_eq!(transcript.events("key-sealed").len(), 1);
    assert!(room.beside().is_empty());
}

/// More data keys of a plan, of these specs, each with an import and lines of its own.
fn keys_of(specs: &[(&str, &str, &str, &str)], digest: Option<&str>) -> String {
    let mut text = String::new();
    for (at, (label, spec, wrapping, more)) in specs.iter().enumerate() {
        let arn = ARN.replace("1234abcd", &format!("{at:08}"));
        text += &format!(
            "[[key]]\nlabel = \"{label}\"\nspec = \"{spec}\"\nkeep = \"extractable\"\n{more}\
             [[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{arn}\"\nparameters = \"inputs/{label}.json\"\n\
             wrapping = \"{wrapping}\"\nexpires = \"never\"\n"
        );
        if let Some(digest) = digest {
            text += &format!("wrapping_key_sha256 = \"{digest}\"\n");
        }
    }
    text
}

#[test]
fn data_keys_of_every_kind_are_practised_and_what_differs_is_said_once() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "prompt".into();
    let digest = room.plan.wrapping_key_sha256.clone();
    let keys = [
        ("mac", "HMAC_224", SHA_256, ""),
        ("long-mac", "HMAC_512", SHA_1, "bits = 1024\n"),
        ("p521", "ECC_NIST_P521", "RSA_AES_KEY_WRAP_SHA_256", ""),
        ("coin", "ECC_SECG_P256K1", SHA_256, ""),
        ("p256", "ECC_NIST_P256", "RSA_AES_KEY_WRAP_SHA_256", ""),
        ("rsa", "RSA_2048", "RSA_AES_KEY_WRAP_SHA_1", ""),
    ];
    room.plan.more = keys_of(&keys, digest.as_deref()) + &table(2, 2, "files:shares");
    let mut person = Person::rehearses(&room);
    let papers = person
        .papers
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for told in [
        "The soft HSM does not wrap with RSAES_OAEP_SHA_256, for HMAC_224: RSAES_OAEP_SHA_1 is practised instead.",
        "The soft HSM does not wrap with RSAES_OAEP_SHA_256, for ECC_SECG_P256K1: this computer wraps instead \
         (wrap_in = \"host\").",
        "does not wrap with RSA_AES_KEY_WRAP_SHA_256, for ECC_NIST_P256, ECC_NIST_P521: this computer wraps instead",
        "does not wrap with RSA_AES_KEY_WRAP_SHA_1, for RSA_2048: this computer wraps instead",
        "The soft HSM cannot serve [escrow] for HMAC_224 of 224 bits: bits = 256 is practised instead.",
    ] {
        assert_eq!(papers.matches(told).count(), 1, "{told}\n{papers}");
    }
    let approval = person.begins();
    assert!(approval.contains("REHEARSAL"), "{approval}");
    person.types_pin();
    let says = [
        "made      mac: 32 random bytes inside a soft HSM",
        "made      long-mac: 128 random bytes inside a soft HSM",
        "made      p521: key pair on P-521 inside a soft HSM",
        ": in this computer, under a stand-in KMS's RSA-4096 key",
        "escrowed  any 2 of 2 shares open it; in files, read back, joined",
    ];
    let (screen, transcript) = person.ends(&room, &[], &says);
    assert_eq!(screen.matches(HELD).count(), 7, "{screen}");
    assert_eq!(transcript.events("key-generated").len(), 7);
}

/// Data keys that `more` adds to the plan come back in practice, from a stand-in for the real record.
fn practised_again(kind: &str, more: &str, found: &str) {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let keys = [
        ("mac", "HMAC_224", SHA_1, ""),
        ("p521", "ECC_NIST_P521", "RSA_AES_KEY_WRAP_SHA_256", ""),
        ("coin", "ECC_SECG_P256K1", SHA_256, ""),
        ("rsa", "RSA_3072", "RSA_AES_KEY_WRAP_SHA_1", ""),
    ];
    room.plan.pin = "prompt".into();
    room.plan.kind = kind.into();
    room.plan.directory = "records/two".into();
    room.plan.top_more =
        "previous = \"records/gone\"\nprevious_head = \"000102030405060708090a0b\"\n".into();
    let digest = room.plan.wrapping_key_sha256.clone();
    room.plan.more = keys_of(&keys, digest.as_deref()) + more;
    if kind == "recover" {
        room.plan.top_more += "reuse_escrow = \"a test\"\n";
    }
    let mut person = Person::rehearses(&room);
    person.begins();
    person.types_pin();
    let spec = |label: &str, made_of: &str| {
        format!("{found:<9} {label}: {made_of}, the same data key as before")
    };
    let mac = if kind == "recover" {
        "32 bytes"
    } else {
        "28 bytes"
    };
    let says = [
        spec("mac", mac),
        spec("p521", "key pair on P-521"),
        spec("rsa", "RSA key pair, 3072 bits"),
    ];
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    let (screen, _) = person.ends(&room, &[], &says);
    assert_eq!(screen.matches(HELD).count(), 5, "{screen}");
}

#[test]
fn a_reimport_of_every_kind_of_data_key_is_practised() {
    practised_again("reimport", "", "found");
}

#[test]
fn a_recovery_of_every_kind_of_data_key_is_practised() {
    let recover = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n";
    practised_again("recover", recover, "recovered");
}

#[test]
fn a_recovery_is_practised_with_forms_and_slips_to_type() {
    let Some(mut room) = after_a_real_one() else {
        return;
    };
    let objects = room.objects();
    room.plan.kind = "recover".into();
    room.plan.wrapping_key_sha256 = None;
    room.plan.top_more = builds_on_it(&room, false) + "reuse_escrow = \"a test\"\n";
    room.plan.more = "[recover]\nshares = \"typed\"\npackage = \"record\"\n".into();
    let mut person = Person::rehearses(&room);
    person.begins();
    person.types_head();
    person.types_pin();
    person.types_slip();
    let forms = forms(&room);
    let names: Vec<&str> = forms.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Security", "Audit"]);
    for (custodian, words) in &forms {
        assert_ne!(
            words.join(" "),
            room.share(&format!(
                "0{}-{custodian}.txt",
                1 + usize::from(custodian == "Audit")
            ))
        );
        let question = "Which custodian types a share now? Name: ";
        person.pty.answer(question, custodian);
        person.types_words(custodian, words);
    }
    let says = [
        "recovered payments-2026: 32 bytes, the same data key as before",
        IMPORTED,
    ];
    let (_, transcript) = person.ends(&room, &objects, &says);
    assert_eq!(
        transcript.event("quorum-met")["shares"],
        serde_json::json!(["Security", "Audit"])
    );
    assert!(
        transcript.event("same-material")["anchor"]
            .to_string()
            .contains("rows 1, 2, 3")
    );
    assert_eq!(transcript.events("exception").len(), 0);
    same_as_before(&room, &transcript);
}

#[test]
fn a_recovery_without_the_record_is_practised_from_forms_and_the_printed_package() {
    let Some(mut room) = after_a_real_one() else {
        return;
    };
    let objects = room.objects();
    let known = fingerprint(&room.transcript("records/one"));
    room.plan.kind = "recover".into();
    room.plan.top_more = "reuse_escrow = \"a test\"\n".into();
    room.plan.key_more = format!("fingerprint = \"{known}\"\n");
    room.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"typed\"\n".into();
    let mut person = Person::rehearses(&room);
    let papers = support::folded(&person.papers);
    assert!(
        papers.contains("here custodian 1, 2 and 3 do, and any 2"),
        "{papers}"
    );
    person.begins();
    person.types_pin();
    let (_, rows) = person
        .papers
        .split_once("The printed escrow package")
        .unwrap();
    let rows: Vec<String> = rows
        .lines()
        .filter(|line| line.contains("  check "))
        .map(|line| line.trim().split_once("   ").unwrap().1.to_owned())
        .collect();
    assert_eq!(rows.len(), 5);
    for row in &rows {
        person
            .pty
            .answer("16 hex digits and the 4 of its check: ", row);
    }
    let says = [
        "recovered payments-2026: 32 bytes, the same data key as before",
        IMPORTED,
    ];
    let (_, transcript) = person.ends(&room, &objects, &says);
    assert_eq!(transcript.events("share-used").len(), 3);
    same_as_before(&room, &transcript);
}

#[test]
fn a_reimport_is_practised_with_its_witness_and_types_no_more_than_the_real_one() {
    let Some(mut room) = after_a_real_one() else {
        return;
    };
    let objects = room.objects();
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on_it(&room, true);
    let digest = room.plan.wrapping_key_sha256.clone().unwrap();
    room.plan.import_more = format!(
        "[[key.import]]\nname = \"again\"\nkey_arn = \"{ARN}\"\nparameters = \"inputs/second.json\"\n\
         wrapping = \"{SHA_1}\"\nexpires = \"never\"\nwitness_of = \"eu-west-1\"\n\
         wrapping_key_sha256 = \"{digest}\"\n"
    );
    let mut person = Person::rehearses(&room);
    for typed in ["slip of the online side", "head digest", "share form"] {
        assert!(!person.papers.contains(typed), "{}", person.papers);
    }
    person.begins();
    person.types_pin();
    let says = [
        "found     payments-2026: 32 bytes, the same data key as before",
        HELD,
    ];
    let (screen, transcript) = person.ends(&room, &objects, &says);
    assert_eq!(screen.matches(HELD).count(), 2);
    assert_eq!(transcript.events("key-wrapped").len(), 2);
    same_as_before(&room, &transcript);
}

#[test]
fn the_end_of_a_data_key_is_practised_and_the_real_one_stays() {
    let Some(mut room) = after_a_real_one() else {
        return;
    };
    let objects = room.objects();
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    room.plan.top_more = builds_on_it(&room, true) + "reason = \"a test\"\n";
    let mut person = Person::rehearses(&room);
    let approval = person.begins();
    assert!(approval.contains("DESTROY"), "{approval}");
    person.types_pin();
    person.pty.answer("or no to end the ceremony: ", "DESTROY");
    for what in ["share 1, Security", "share 2, Audit", "escrow-package.json"] {
        person.pty.expect(what);
        person
            .pty
            .answer("Type destroyed, or what happens to it: ", "destroyed");
    }
    let says = [
        "destroyed payments-2026: 32 bytes, the same data key as before",
        "gone      payments-2026: no longer in the soft HSM",
    ];
    let (_, transcript) = person.ends(&room, &objects, &says);
    assert_eq!(transcript.event("key-destroyed")["why"], "a test");
    assert_eq!(transcript.events("escrow-destroyed").len(), 3);
    assert_eq!(objects.len(), 1);
    same_as_before(&room, &transcript);
}

#[test]
fn new_shares_are_practised_without_any_import() {
    let Some(mut room) = after_a_real_one() else {
        return;
    };
    let objects = room.objects();
    room.plan.kind = "reimport".into();
    room.plan.imported = false;
    room.plan.top_more = builds_on_it(&room, true);
    room.plan.more = table(2, 3, "files:new-shares");
    let mut person = Person::rehearses(&room);
    person.begins();
    person.types_pin();
    let says = [
        "found     payments-2026: 32 bytes, the same data key as before",
        "escrowed  any 2 of 3 shares open it; in files, read back, joined",
    ];
    let (_, transcript) = person.ends(&room, &objects, &says);
    assert_eq!(
        transcript.event("escrow-superseded")["custodians"],
        serde_json::json!(["Security", "Audit"])
    );
    assert!(!room.path("new-shares").exists());
    assert_eq!(files_below(&practice(&room).join("shares")).len(), 3);
    same_as_before(&room, &transcript);
}

#[test]
fn an_import_into_openbao_is_practised_without_a_server() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.imported = false;
    room.plan.key_more = "[[key.import]]\nname = \"bao\"\nkms = \"openbao\"\n\
        key = \"https://bao.example:8200/v1/transit/keys/payments\"\nparameters = \"inputs/bao.json\"\n\
        wrapping = \"RSA_AES_KEY_WRAP_SHA_1\"\nexpires = \"never\"\n"
        .into();
    let objects = room.objects();
    let mut person = Person::rehearses(&room);
    let approval = folded(&person.begins());
    for text in [
        "for bao, OpenBao",
        "key https://bao.example:8200/v1/transit/keys/payments",
        "deadline NONE: whoever may import there",
        "compared by byok alone: OpenBao takes any material",
    ] {
        assert!(approval.contains(text), "{text:?}:\n{approval}");
    }
    person.types_slip();
    let (_, transcript) = person.ends(&room, &objects, &[IMPORTED]);
    assert_eq!(transcript.event("key-wrapped")["kms"], "openbao");
    assert_eq!(transcript.event("key-wrapped")["wrapped_in"], "hsm");
}

#[test]
fn imports_into_other_kmss_are_practised_without_a_cloud() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.imported = false;
    room.plan.spec = "AES_256".into();
    room.plan.key_more = [
        ("azure", "https://a-hsm.managedhsm.azure.net/keys/payments"),
        ("openbao", "https://bao.example:8200/v1/transit/keys/payments"),
        (
            "google",
            "projects/a-project/locations/global/keyRings/r/cryptoKeys/payments",
        ),
        (
            "oci",
            "https://a-test-management.kms.eu-zurich-1.oraclecloud.com/ocid1.compartment.oc1..a/payments",
        ),
    ]
    .map(|(kms, key)| {
        let hash = if kms == "oci" { "SHA_256" } else { "SHA_1" };
        format!(
            "[[key.import]]\nname = \"{kms}\"\nkms = \"{kms}\"\nkey = \"{key}\"\nparameters = \"inputs/{kms}.json\"\n\
             wrapping = \"RSA_AES_KEY_WRAP_{hash}\"\nexpires = \"never\"\n"
        )
    })
    .concat();
    let objects = room.objects();
    let mut person = Person::rehearses(&room);
    let approval = folded(&person.begins());
    for text in [
        "for azure, Azure Managed HSM",
        "key https://a-hsm.managedhsm.azure.net/keys/payments",
        "for as long as the KEK exists",
        "compared by byok alone: Azure Managed HSM takes any material",
        "for google, Google Cloud KMS",
        "Google Cloud KMS takes any material as a new version",
        "for oci, OCI Vault",
        "NOT ESTABLISHED: how OCI computes RSA_OAEP_AES_SHA256",
    ] {
        assert!(approval.contains(text), "{text:?}:\n{approval}");
    }
    assert!(!approval.contains("one wrapping key"), "{approval}");
    person.types_slip();
    let each = [
        "imported  azure: the stand-in holds the same key; no receipt      opened",
        "imported  google: the stand-in holds the same key; no receipt     opened",
        "imported  oci: the stand-in holds the same key; no receipt        opened",
    ];
    let (_, transcript) = person.ends(&room, &objects, &each);
    let wrapped = transcript.events("key-wrapped");
    assert_eq!(wrapped.len(), 4);
    assert_eq!(wrapped[0]["kms"], "azure");
    assert_eq!(transcript.event("key-generated")["spec"], "AES_256");
}

#[test]
fn a_plan_for_ed25519_is_not_practised_because_softhsm_wraps_no_such_key() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan_spec("ED25519", None);
    room.write_plan();
    let module = room.module.display().to_string();
    let args = ["rehearse", "plan.toml", "--module", &module];
    let command = room.byok(&[&args[..], &["--directory", "practice"]].concat());
    let ended = Pty::start(command).end();
    assert_eq!(ended.code, Some(3), "{}", ended.screen);
    let said = folded(&ended.screen);
    for text in [
        "this plan cannot be practised: the soft HSM cannot do ED25519",
        "CKR_KEY_NOT_WRAPPABLE",
        "byok check --hsm PLAN tries the plan's own HSM",
    ] {
        assert!(said.contains(text), "{text:?}:\n{said}");
    }
}

#[test]
fn what_cannot_be_practised_is_refused_by_name_and_nothing_is_made() {
    let Some(mut room) = after_a_real_one() else {
        return;
    };
    let rehearse = |room: &Room| {
        room.write_plan();
        let mut command = room.byok(&["rehearse", "plan.toml", "--directory", "practice"]);
        let output = command.output().unwrap();
        assert!(!room.path("practice").exists());
        output
    };
    // a sealed data key is in no condition to be wrapped again
    room.plan.kind = "reimport".into();
    room.plan.top_more = "previous = \"records/lost\"\n".into();
    room.plan.keep = "sealed".into();
    refused(
        &rehearse(&room),
        2,
        &["no reimport can be practised", "byok plan --recover"],
    );
    room.plan.top_more = builds_on_it(&room, false);
    room.plan.keep = "extractable".into();
    room.plan.label = "another".into();
    refused(
        &rehearse(&room),
        2,
        &["the previous record has no data key \"another\""],
    );
    room.plan.label = LABEL.into();

    // whatever is wrong with plan or record is told as byok check tells it
    let same_as_check = |room: &Room, says: &str| {
        let rehearsed = rehearse(room);
        let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert_eq!(rehearsed.status.code(), checked.status.code());
        let said = stderr(&checked) + &stdout(&checked);
        assert!(stderr(&rehearsed).contains(says), "{}", stderr(&rehearsed));
        assert!(said.contains(says), "{said}");
    };
    let record = room.path("records/one");
    let transcript = fs::read_to_string(record.join("transcript.jsonl")).unwrap();
    let forged = transcript.replacen("Security", "Mallory", 1);
    fs::write(record.join("transcript.jsonl"), forged).unwrap();
    same_as_check(&room, "records/one: transcript.jsonl: line ");
    room.plan.kind = "rehash".into();
    same_as_check(
        &room,
        "kind \"rehash\" is not one of generate, reimport, recover, destroy",
    );
}
