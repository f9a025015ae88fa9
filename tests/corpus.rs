//! What the fuzzers found worth keeping, and every input that once was a fault, read again without libFuzzer.

#[path = "support/parsers.rs"]
mod parsers;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No input of the corpus takes longer, in a build without optimization on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// The largest file of the corpus, in bytes.
const LARGEST: u64 = 64 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
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
            let start = Instant::now();
            parser(&bytes);
            let took = start.elapsed();
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
