//! What is kept for ever: what the fuzzers found worth keeping, every input that once was a fault, and records that
//! earlier versions made. Each must be read as it was.

use crate::parsers;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// No input of the corpus takes more of a processor, in a build without optimization.
const LONGEST: Duration = Duration::from_secs(20);

/// The largest file of the corpus, in bytes.
const LARGEST: u64 = 64 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The time that this thread had of a processor: what else the machine does is not in it.
fn spent() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn every_file_of_the_corpus_is_read_without_a_panic_and_in_time() {
    for (target, parser) in parsers::ALL {
        let directory = corpus().join(target);
        let files = names(&directory);
        assert!(files.len() >= 5, "{target}: only {} files", files.len());
        for name in files {
            let path = directory.join(&name);
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() as u64 <= LARGEST, "{} is large", path.display());
            println!("{target}/{name}"); // shown where it panics
            let start = spent();
            parser(&bytes);
            let took = spent() - start;
            assert!(took < LONGEST, "{target}/{name}: {took:?}");
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program_and_no_other_is_there() {
    let targets: BTreeSet<String> = parsers::ALL.map(|(name, _)| name.to_owned()).into();
    assert_eq!(names(&corpus()), targets);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let programs = names(&fuzz.join("fuzz_targets"));
    let programs: BTreeSet<String> = programs
        .iter()
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .collect();
    assert_eq!(programs, targets);
}

/// Made by 0.1.0: a rehearsal's whole life, aborted ceremonies and unattended ones; the life of data keys of every spec with
/// what KMS answered, and material from a file (`tests/make-records.sh`).
const RECORDS: [&str; 12] = [
    "generate",
    "reimport",
    "recover",
    "aborted",
    "unattended",
    "all-made",
    "all-again",
    "all-dealt-anew",
    "all-recovered",
    "all-destroyed",
    "from-file",
    "aborted-early",
];

/// The shares of 0.1.0, and the record whose package they open.
const SHARES: [(&str, &str); 4] = [
    ("shares", "generate"),
    ("shares-all", "all-made"),
    ("shares-all-anew", "all-dealt-anew"),
    ("shares-from-file", "from-file"),
];

fn record(name: &str) -> PathBuf {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/0.1.0");
    records.join(name)
}

fn byok(args: &[&str]) -> (Option<i32>, String) {
    let byok = Command::new(crate::support::program()).args(args).output();
    let output = byok.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn every_record_that_an_earlier_version_made_still_verifies() {
    for name in RECORDS {
        let path = record(name);
        let transcript = fs::read(path.join("transcript.jsonl")).unwrap();
        let head = byok::ground::words::hex(&byok::ground::words::sha256(&transcript));
        let path = path.to_str().unwrap();
        let (code, said) = byok(&["verify", "--head", &head, path]);
        assert_eq!(code, Some(0), "{name}: {said}");
        let verdict = said.lines().rfind(|line| line.starts_with("verdict"));
        let authentic = verdict.is_some_and(|line| line.starts_with("verdict   authentic"));
        assert!(authentic, "{name}: {said}");

        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("ceremony-scripts/verify-record.sh");
        let script = Command::new(script).args(["--head", &head, path]).output();
        let script = script.unwrap();
        let said = String::from_utf8(script.stdout).unwrap();
        assert!(
            script.status.success() && said.contains("authentic"),
            "{name}: {said}"
        );
    }
}

#[test]
fn the_life_and_the_shares_of_an_earlier_version_are_still_read() {
    let (generate, recover) = (record("generate"), record("recover"));
    let records = generate.parent().unwrap().to_str().unwrap();
    let (code, said) = byok(&["verify", "--previous", records, recover.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    for event in [
        "generated",
        "shares dealt",
        "recovered",
        "shares dealt anew",
    ] {
        assert!(said.contains(event), "{said}");
    }
    for (shares, dealt) in SHARES {
        for share in names(&record(shares)) {
            let (share, dealt) = (record(shares).join(share), record(dealt));
            let share = ["--share", share.to_str().unwrap()];
            let dealt = ["share", "check", "--record", dealt.to_str().unwrap()];
            let (code, said) = byok(&[&dealt[..], &share].concat());
            assert_eq!(code, Some(0), "{said}");
        }
    }
}

#[test]
fn the_life_of_every_spec_of_an_earlier_version_is_still_told() {
    let (last, again) = (record("all-destroyed"), record("all-again"));
    let records = last.parent().unwrap().to_str().unwrap();
    let (code, said) = byok(&["verify", "--previous", records, last.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    for event in ["generated", "recovered", "destroyed"] {
        assert_eq!(
            said.matches(&format!("UTC  {event} ")).count(),
            12,
            "{event}: {said}"
        );
    }
    let outlives =
        "not destroyed     byok did not ask about the 3 share forms and the package of ceremony ";
    assert_eq!(said.matches(outlives).count(), 12, "{said}");
    let (code, said) = byok(&["verify", "--previous", records, again.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("proved in KMS"), "{said}");
}

#[test]
fn every_plan_and_package_of_an_earlier_version_is_still_read() {
    for name in RECORDS {
        let plan = record(name).join("plan.toml");
        byok::plan::Plan::read(&plan).unwrap_or_else(|e| panic!("{name}: {}", e.for_people()));
        let package = record(name).join("escrow-package.json");
        if package.exists() {
            byok::evidence::previous::read_package_file(&package)
                .unwrap_or_else(|e| panic!("{name}: {}", e.for_people()));
        }
    }
}
