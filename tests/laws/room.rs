//! The auditor's program: byok built without the room (`--no-default-features`). It says what the whole one says, and
//! has nothing of an HSM in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const HOUSE: &str = env!("CARGO_MANIFEST_DIR");
const WHOLE: &str = env!("CARGO_BIN_EXE_byok");

/// Builds it, in a place of its own below `target`, where it stays for the next time.
fn without_room() -> PathBuf {
    let target = Path::new(HOUSE).join("target/without-room");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--no-default-features",
            "--bin",
            "byok",
            "--locked",
        ])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(HOUSE)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    target.join("debug/byok")
}

fn tree(features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal", "--locked", "--offline"])
        .args(["--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(HOUSE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| line.split(' ').next().unwrap().to_owned();
    text.lines().map(name).collect()
}

#[test]
fn nothing_of_an_hsm_is_in_the_tree_of_the_program_without_the_room() {
    const OF_THE_ROOM: [&str; 5] = [
        "cryptoki",
        "cryptoki-sys",
        "libloading",
        "seccompiler",
        "signal-hook",
    ];
    let (whole, without) = (tree(&[]), tree(&["--no-default-features"]));
    for name in OF_THE_ROOM {
        assert!(whole.contains(name), "{name}: is the search right?");
        assert!(!without.contains(name), "{name}");
    }
    assert!(without.contains("serde_json") && without.len() < whole.len());
}

/// The compiler refuses it: `forbid` cannot be lifted again. It is said once, for all of the library.
#[test]
fn no_unsafe_is_compiled_without_the_room() {
    let library = fs::read_to_string(Path::new(HOUSE).join("src/lib.rs")).unwrap();
    let library: String = library.split_whitespace().collect();
    assert!(library.contains("#![cfg_attr(not(feature=\"room\"),forbid(unsafe_code),"));
    let program = fs::read_to_string(Path::new(HOUSE).join("src/main.rs")).unwrap();
    assert!(!program.contains("unsafe"));
}

/// What a program says to the same question in the same place.
fn said(program: &Path, place: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).current_dir(place);
    command.env_remove("COLUMNS").output().unwrap()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.unwrap().success());
}

fn names_in(directory: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

/// A place with every record of version 0.1.0 and an answer of KMS.
fn place() -> TempDir {
    let place = TempDir::new().unwrap();
    copy(
        &Path::new(HOUSE).join("tests/records/0.1.0"),
        &place.path().join("records"),
    );
    let described = "{\"KeyMetadata\":{\"KeyId\":\"1234abcd-12ab-34cd-56ef-1234567890ab\",\"Arn\":\
        \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\",\
        \"KeyState\":\"Enabled\",\"Origin\":\"EXTERNAL\",\"KeySpec\":\"SYMMETRIC_DEFAULT\",\
        \"KeyUsage\":\"ENCRYPT_DECRYPT\",\"ExpirationModel\":\"KEY_MATERIAL_DOES_NOT_EXPIRE\"}}";
    fs::write(place.path().join("describe-key.json"), described).unwrap();
    place
}

#[test]
fn the_program_without_the_room_says_what_the_whole_one_says() {
    let without = without_room();
    let places = [place(), place()];
    let same = |args: &[&str], exit: i32| {
        let [whole, other] = [(Path::new(WHOLE), &places[0]), (&without, &places[1])]
            .map(|(program, place)| said(program, place.path(), args));
        assert_eq!(whole.status.code(), Some(exit), "{args:?}: {whole:?}");
        assert_eq!(other, whole, "{args:?}");
        assert!(whole.stdout.len() + whole.stderr.len() > 20, "{args:?}");
    };
    for record in ["aborted", "generate", "recover", "reimport", "unattended"] {
        let record = format!("records/{record}");
        for args in [
            &["verify", &record][..],
            &["verify", "--json", &record],
            &["verify", "--next", &record],
            &["inspect", &record],
            &["inspect", &format!("{record}/plan.toml")],
            &["inspect", &format!("{record}/transcript.jsonl")],
            &["script", &format!("{record}/plan.toml")],
        ] {
            same(args, 0);
        }
    }
    for (args, exit) in [
        (&["inspect", "records/generate/escrow-package.json"][..], 0),
        (&["inspect", "records/shares/02-Audit.txt"], 0),
        (&["inspect", "--json", "describe-key.json"], 0),
        (&["script", "--blank"], 0),
        (&["verify", "records"], 2),
        (&["check", "describe-key.json"], 2),
        (&["plan", "describe-key.json", "--no-escrow"], 0),
    ] {
        same(args, exit);
    }
    same(&["receipt", "records/unattended", "describe-key.json"], 0);
    // each wrote the second of its own clock into the receipt: both now look at the same one
    let [record, other] = places
        .each_ref()
        .map(|place| place.path().join("records/unattended"));
    assert_eq!(names_in(&record), names_in(&other));
    fs::remove_dir_all(&other).unwrap();
    copy(&record, &other);
    same(&["verify", "records/unattended"], 0);
    fs::write(places[0].path().join("records/reimport/README.txt"), "x").unwrap();
    fs::write(places[1].path().join("records/reimport/README.txt"), "x").unwrap();
    same(&["verify", "records/reimport"], 4);
}

#[test]
fn a_plan_is_checked_as_far_as_any_computer_can() {
    let without = without_room();
    let place = place();
    // the record that it builds on lies beside it
    let plan = "records/reimport/plan.toml";
    let text = fs::read_to_string(place.path().join(plan)).unwrap();
    fs::write(place.path().join("records/again.toml"), text).unwrap();
    let records = place.path().join("records");
    fs::rename(records.join("recover"), records.join("record")).unwrap();
    for plan in ["records/again.toml", "records/generate/plan.toml"] {
        let [whole, other] = [Path::new(WHOLE), &without]
            .map(|program| said(program, place.path(), &["check", "--json", plan]));
        let lines = |output: &Output| -> Vec<String> {
            let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let lines = answer["lines"].as_array().unwrap().iter();
            lines
                .map(|line| line["what"].as_str().unwrap().to_owned())
                .collect()
        };
        let (whole, other) = (lines(&whole), lines(&other));
        let (room, of_plan): (Vec<_>, Vec<_>) = other
            .iter()
            .partition(|line| line.starts_with("the room: "));
        assert_eq!(room.len(), 1, "{other:?}");
        assert!(of_plan.len() > 1, "{other:?}");
        for line in of_plan {
            assert!(whole.contains(line), "{line}\n{whole:#?}");
        }
    }
}

#[test]
fn what_needs_the_room_is_refused_by_name() {
    let without = without_room();
    let place = place();
    let plan = "records/generate/plan.toml";
    for (args, name) in [
        (&["run", plan][..], "byok run"),
        (&["rehearse"], "byok rehearse"),
        (&["doctor", plan], "byok doctor"),
        (
            &["share", "check", "--share", "records/shares/02-Audit.txt"],
            "byok share",
        ),
        (&["check", "--hsm", plan], "byok check --hsm"),
        (
            &["plan", "describe-key.json", "--module", "m.so"],
            "byok plan --module",
        ),
    ] {
        let output = said(&without, place.path(), args);
        let told = String::from_utf8(output.stderr).unwrap();
        let wanted = format!("{name}: this byok was built without the room: use the other one");
        assert!(told.contains(&wanted), "{args:?}: {told}");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(output.stdout.is_empty());
    }
    let version = |program: &Path| {
        let told = said(program, place.path(), &["--version"]).stdout;
        String::from_utf8(told).unwrap()
    };
    let whole = version(Path::new(WHOLE));
    assert_eq!(
        version(&without),
        whole.replace(", commit", ", without the room, commit")
    );
    let help = said(&without, place.path(), &["--help"]).stdout;
    assert!(
        String::from_utf8(help)
            .unwrap()
            .contains("built without the room")
    );
}
