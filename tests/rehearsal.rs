//! `byok rehearse` lives the whole life of a data key. What it says is looked at from outside: the
//! records, the shares, and the wrapped material of all three ceremonies.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::escrow::{files_below, fingerprint, head, wrapped};
use support::{Kind, Transcript, stderr, stdout};

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_byok"));
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
        ("imported  the KMS unwrapped it", "proved"),
        ("escrowed  5 shares, any 3 open it;", "proved"),
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
