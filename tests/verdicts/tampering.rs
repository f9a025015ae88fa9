//! Records that somebody changed: each change is seen and named, or it needs the head from paper.

use crate::support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use support::forger::forger;
use support::verifiers::script_agrees;
use support::{ARN, Kind, PIN, Room, refused, sha256, stderr, stdout};

const WRAPPED: &str = "payments-2026/eu-west-1/WrappedKeyMaterial.bin";
const OUTPUTS: [&str; 7] = [
    "README.txt",
    "import.sh",
    "payments-2026/eu-west-1/ImportToken.bin",
    WRAPPED,
    "payments-2026/eu-west-1/import.sh",
    "plan.toml",
    "transcript.html",
];

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a good record; one ceremony serves all tests.
fn good() -> Option<&'static Files> {
    static GOOD: OnceLock<Option<Files>> = OnceLock::new();
    let make = || {
        let room = Room::new(Kind::SoftHsm)?;
        room.run_corrected(&[]);
        let top = room.path("records/one");
        let files = support::tree(&top).into_iter().filter_map(|(path, bytes)| {
            let path = path
                .strip_prefix(&top)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            Some((path, bytes?))
        });
        Some(files.collect())
    };
    GOOD.get_or_init(make).as_ref()
}

/// A record on disk, to be changed and verified.
struct Copy {
    dir: tempfile::TempDir,
    /// Every how many times the script of stock tools judges it too; 0 is never.
    script_every: Cell<usize>,
    verified: Cell<usize>,
}

impl Copy {
    fn of(files: &Files) -> Self {
        let copy = Self {
            dir: tempfile::tempdir().unwrap(),
            script_every: Cell::new(1),
            verified: Cell::new(0),
        };
        for (path, bytes) in files {
            copy.write(path, bytes);
        }
        copy
    }

    fn good() -> Option<Self> {
        good().map(Self::of)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("record").join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }

    fn verify(&self, args: &[&str]) -> Output {
        let mut command = Command::new(support::program());
        command.env_clear().current_dir(self.dir.path());
        command.args(["verify", "record"]).args(args);
        let output = command.output().unwrap();
        self.verified.set(self.verified.get() + 1);
        let every = self.script_every.get();
        if every > 0 && self.verified.get().is_multiple_of(every) {
            script_agrees(self.dir.path(), &[args, &["record"]].concat(), &output);
        }
        output
    }

    /// Broken, and this is named as the first thing that does not hold.
    #[track_caller]
    fn broken(&self, says: &str) {
        let output = self.verify(&[]);
        refused(
            &output,
            4,
            &[
                "byok: error: broken: ",
                says,
                "read and not changed",
                "hint: ",
            ],
        );
        assert_eq!(
            stdout(&output),
            "",
            "nothing is said of a broken record but that it is"
        );
    }

    /// Holds together, and that is all that is said of it.
    #[track_caller]
    fn only_consistent(&self) {
        let output = self.verify(&[]);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        assert!(text.contains("consistent, NOT AUTHENTICATED"), "{text}");
        assert!(!text.contains("authentic:"), "{text}");
        let json: serde_json::Value =
            serde_json::from_slice(&self.verify(&["--json"]).stdout).unwrap();
        assert_eq!(json["verdict"], "consistent, not authenticated");
        assert_eq!(json["authenticated"], false);
    }

    /// Whoever forges a whole record also makes its checksums anew.
    fn checksums_anew(&self) {
        let mut sums = String::new();
        for line in String::from_utf8(self.read("SHA256SUMS")).unwrap().lines() {
            let (_, path) = line.split_once("  ").unwrap();
            sums += &format!("{}  {path}\n", sha256(&self.read(path)));
        }
        self.write("SHA256SUMS", sums.as_bytes());
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.read("transcript.jsonl")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn write_lines(&self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.write("transcript.jsonl", text.as_bytes());
    }

    /// Writes these lines with every `prev` computed again, and the checksums too. The HSM's key is not at
    /// hand, so another one is put in its place, which signs.
    fn write_rechained(&self, lines: &[String]) {
        let mut prev = "0".repeat(64);
        let mut chained = Vec::new();
        for line in lines {
            let line = &forger().in_place_of_signer(line);
            let at = line.find("\"prev\":\"").unwrap() + 8;
            let line = format!("{}{prev}{}", &line[..at], &line[at + 64..]);
            prev = sha256(line.as_bytes());
            chained.push(line);
        }
        self.write_lines(&chained);
        self.checksums_anew();
        let rehearsal = lines[0].contains("\"rehearsal\":true");
        forger().sign(&self.path(""), rehearsal);
    }
}

/// These lines with their numbers in order.
fn counted_anew(lines: &[String]) -> Vec<String> {
    let counted = |(at, line): (usize, &String)| {
        let rest = line.find(",\"at\"").unwrap();
        format!("{{\"seq\":{}{}", at + 1, &line[rest..])
    };
    lines.iter().enumerate().map(counted).collect()
}

fn head(files: &Files) -> String {
    sha256(&files["transcript.jsonl"])
}

// ---- the transcript ----------------------------------------------------------------

#[test]
fn a_changed_byte_in_any_line_names_that_line() {
    let Some(copy) = Copy::good() else {
        return;
    };
    copy.script_every.set(19);
    let bytes = copy.read("transcript.jsonl");
    let last = copy.lines().len();
    let (mut number, mut start) = (1, 0);
    for at in 0..bytes.len() {
        // Places in every line: some of all kinds, and each line feed.
        let place = at - start;
        if [0, 7, 30, 70, 110].contains(&place) || place % 41 == 20 || bytes[at] == b'\n' {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            copy.write("transcript.jsonl", &changed);
            if number < last {
                copy.broken(&format!("transcript.jsonl: line {number}: "));
            } else {
                let output = copy.verify(&[]);
                refused(&output, 4, &["broken: "]);
                let text = stderr(&output);
                let named = ["transcript.jsonl", "SHA256SUMS"]
                    .iter()
                    .any(|name| text.contains(name));
                assert!(named, "byte {at}: {text}");
            }
        }
        if bytes[at] == b'\n' {
            (number, start) = (number + 1, at + 1);
        }
    }
    copy.write("transcript.jsonl", &bytes);
    copy.only_consistent();
}

#[test]
fn lines_dropped_swapped_doubled_or_cut_are_seen() {
    let Some(copy) = Copy::good() else {
        return;
    };
    copy.script_every.set(7);
    let lines = copy.lines();
    let count = lines.len();
    for at in 0..count {
        let mut dropped = lines.clone();
        dropped.remove(at);
        copy.write_lines(&dropped);
        let named = if at + 1 < count {
            format!("transcript.jsonl: line {}: ", at + 1)
        } else {
            format!("transcript.jsonl: line {at}: the transcript ends with")
        };
        copy.broken(&named);

        let mut doubled = lines.clone();
        doubled.insert(at, lines[at].clone());
        copy.write_lines(&doubled);
        copy.broken(&format!("transcript.jsonl: line {}: seq is not", at + 2));

        if at + 1 < count {
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            copy.write_lines(&swapped);
            copy.broken(&format!("transcript.jsonl: line {}: seq is not", at + 1));

            // Cut after this line, and in the middle of the next.
            copy.write_lines(&lines[..=at]);
            copy.broken(&format!(
                "transcript.jsonl: line {}: the transcript ends with",
                at + 1
            ));
        }
        let mut cut: String = lines[..at].iter().map(|line| format!("{line}\n")).collect();
        cut += &lines[at][..lines[at].len() / 2];
        copy.write("transcript.jsonl", cut.as_bytes());
        copy.broken(&format!(
            "transcript.jsonl: line {}: it does not end with a line feed",
            at + 1
        ));
    }
    copy.write("transcript.jsonl", b"");
    copy.broken("transcript.jsonl: the transcript is empty");
    copy.write_lines(&lines);
    copy.only_consistent();
}

/// Rules that a chain which was computed again keeps to are not enough: each line has its own.
#[test]
fn a_chain_computed_again_does_not_hide_a_line_that_is_against_the_rules() {
    let Some(copy) = Copy::good() else {
        return;
    };
    let lines = copy.lines();
    let place = |event: &str| {
        lines
            .iter()
            .position(|line| line.contains(&format!("\"event\":\"{event}\"")))
            .unwrap()
    };
    let changed = |at: usize, change: &dyn Fn(&str) -> String| {
        let mut changed = lines.clone();
        changed[at] = change(&lines[at]);
        assert_ne!(changed[at], lines[at]);
        changed
    };
    let generated = place("key-generated");
    let (wrapped, sealed) = (place("key-wrapped"), place("sealed"));
    let at = |number: usize| format!("transcript.jsonl: line {}: ", number + 1);
    let cases: Vec<(Vec<String>, String)> = vec![
        (
            changed(generated, &|line| {
                line.replacen("\"kcv\":", "\"kcv\":\"000000\",\"kcv\":", 1)
            }),
            at(generated) + "duplicate key `kcv`",
        ),
        (
            changed(generated, &|line| {
                line.replacen("\"kcv\":", "\"k\\u0063v\":\"000000\",\"kcv\":", 1)
            }),
            at(generated) + "duplicate key `kcv`",
        ),
        (
            changed(generated, &|line| line.replacen(",\"at\"", ", \"at\"", 1)),
            at(generated) + "it is not compact JSON",
        ),
        (
            changed(generated, &|line| format!("{line} ")),
            at(generated) + "it is not compact JSON",
        ),
        (
            changed(generated, &|line| format!("{line}\r")),
            at(generated) + "it is not compact JSON",
        ),
        (
            changed(generated, &|line| format!("{line}{{}}")),
            at(generated) + "trailing characters",
        ),
        (
            changed(generated, &|line| {
                line.replacen("\"label\"", "\"l\\u0061bel\"", 1)
            }),
            at(generated) + "it is not compact JSON",
        ),
        (
            changed(generated, &|line| {
                line.replacen("\"at\":\"2", "\"at\":\"1", 1)
            }),
            at(generated) + "its time is before the line above",
        ),
        (
            changed(generated, &|line| {
                line.replacen("\"at\":\"2", "\"at\":\"+2", 1)
            }),
            at(generated) + "at is not a time",
        ),
        (
            changed(generated, &|line| {
                line.replacen("\"event\":", "\"evenT\":", 1)
            }),
            at(generated) + "it has no event",
        ),
        (
            changed(generated, &|line| {
                line.replacen("key-generated", "ceremony-opened", 1)
            }),
            at(generated) + "\"ceremony-opened\" is in the wrong place",
        ),
        (
            changed(generated, &|line| {
                line.replacen("key-generated", "aborted", 1)
            }),
            at(generated) + "\"aborted\" is before the end",
        ),
        (
            changed(generated, &|line| {
                line.replacen("key-generated", "key-invented", 1)
            }),
            at(wrapped) + "no data key \"payments-2026\" was made or brought back",
        ),
        (
            changed(0, &|line| line.replacen("ceremony-opened", "roll-call", 1)),
            at(0) + "\"roll-call\" is in the wrong place",
        ),
        (
            changed(sealed, &|line| {
                line.replacen("\"sealed\"", "\"sealing\"", 1)
            }),
            at(sealed) + "the transcript ends with \"sealing\"",
        ),
        (
            changed(place("plan-approved"), &|line| {
                line.replacen("\"plan_sha256\":\"", "\"plan_sha256\":\"x", 1)
            }),
            at(place("plan-approved")) + "the plan approved here is not the one in line 1",
        ),
        (
            changed(0, &|line| {
                line.replacen("\"plan_sha256\":\"", "\"plan_sha256\":\"x", 1)
            }),
            at(place("plan-approved")) + "the plan approved here",
        ),
        (
            changed(place("output-written"), &|line| {
                line.replacen("\"plan.toml\"", "\"../plan.toml\"", 1)
            }),
            at(place("output-written")) + "\"../plan.toml\" is not a path within a record",
        ),
        (
            changed(place("output-written"), &|line| {
                line.replacen("\"plan.toml\"", "\"README.txt\"", 1)
            }),
            "README.txt was written twice".into(),
        ),
        (
            changed(place("hsm-opened"), &|line| {
                line.replacen("hsm-opened", "transcript-signer", 1)
                    .replacen(
                        "\"module\":",
                        "\"origin\":\"made\",\"label\":\"l\",\"cka_id\":\"c\",\"public_key\":\"\",\"fingerprint\":\"\",\
                         \"attributes\":{},\"module\":",
                        1,
                    )
            }),
            at(place("transcript-signer")) + "a second transcript signer",
        ),
        (
            changed(place("transcript-signer"), &|line| {
                line.replacen("\"transcript-signer\"", "\"transcript-signed\"", 1)
            }),
            "signatures/hsm.sig: the transcript names no signer".into(),
        ),
        (
            changed(wrapped, &|line| {
                line.replacen("\"sha256\":\"", "\"sha256\":\"x", 1)
            }),
            at(wrapped) + WRAPPED + " was not written as it was wrapped",
        ),
    ];
    for (lines, named) in &cases {
        copy.write_rechained(lines);
        copy.broken(named);
    }
    copy.write_rechained(&lines);
    copy.only_consistent();
}

/// The first line's `prev` is part of the rules too.
#[test]
fn a_chain_must_begin_with_zeros() {
    let Some(copy) = Copy::good() else {
        return;
    };
    let mut lines = copy.lines();
    lines[0] = lines[0].replacen(&"0".repeat(64), &"1".repeat(64), 1);
    for at in 1..lines.len() {
        let prev = lines[at].find("\"prev\":\"").unwrap() + 8;
        let digest = sha256(lines[at - 1].as_bytes());
        lines[at] = format!("{}{digest}{}", &lines[at][..prev], &lines[at][prev + 64..]);
    }
    copy.write_lines(&lines);
    copy.checksums_anew();
    copy.broken("transcript.jsonl: line 1: prev is not 64 zeros");
}

// ---- forgeries that hold together ---------------------------------------------------

#[test]
fn a_forged_record_is_never_called_authentic_and_the_head_from_paper_finds_it_out() {
    let (Some(files), Some(copy)) = (good(), Copy::good()) else {
        return;
    };
    let paper = head(files);
    let lines = copy.lines();
    let signer = lines
        .iter()
        .find(|line| line.contains("\"transcript-signer\""))
        .unwrap();
    let signer: serde_json::Value = serde_json::from_str(signer).unwrap();
    let list = format!("hsm {}\n", signer["public_key"].as_str().unwrap());
    fs::write(copy.dir.path().join("list"), list).unwrap();
    let listed = copy.verify(&["--signers", "list"]);
    assert!(listed.status.success(), "{}", stderr(&listed));
    let forgeries: [(&str, &str, &str); 4] = [
        (
            "key-wrapped",
            ARN,
            "arn:aws:kms:eu-west-1:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        ),
        (
            "ceremony-opened",
            "\"rehearsal\":false",
            "\"rehearsal\":true",
        ),
        ("roll-call", "not asked", "Ada Lovelace"),
        ("sealed", "software HSM", "never left the HSM in clear"),
    ];
    for (event, from, to) in forgeries {
        let mut forged = lines.clone();
        let at = lines
            .iter()
            .position(|line| line.contains(&format!("\"event\":\"{event}\"")))
            .unwrap();
        forged[at] = forged[at].replacen(from, to, 1);
        assert_ne!(forged, lines, "{event}");
        copy.write_rechained(&forged);
        copy.only_consistent();
        let output = copy.verify(&["--signers", "list"]);
        refused(
            &output,
            4,
            &["no listed key signed this record", &forger().fingerprint],
        );
        for anchor in [&paper[..], &paper[..24]] {
            let output = copy.verify(&["--head", anchor]);
            refused(
                &output,
                4,
                &[
                    "transcript.jsonl: its head is",
                    anchor,
                    "not the one given:",
                ],
            );
            assert!(
                !stdout(&output).contains("authentic"),
                "{}",
                stdout(&output)
            );
        }
    }

    // Other wrapped material, named by every digest that there is.
    let other = [7; 256];
    let was = sha256(&files[WRAPPED]);
    copy.write(WRAPPED, &other);
    let forged: Vec<_> = lines
        .iter()
        .map(|line| line.replace(&was, &sha256(&other)))
        .collect();
    copy.write_rechained(&forged);
    copy.only_consistent();
    refused(&copy.verify(&["--head", &paper]), 4, &["its head is"]);

    // An event taken out, the others counted anew.
    let mut forged = lines.clone();
    forged.remove(
        lines
            .iter()
            .position(|line| line.contains("\"roll-call\""))
            .unwrap(),
    );
    copy.write(WRAPPED, &files[WRAPPED]);
    copy.write_rechained(&counted_anew(&forged));
    copy.only_consistent();
    refused(&copy.verify(&["--head", &paper]), 4, &["its head is"]);
}

#[test]
fn the_head_from_paper_makes_a_record_authentic_however_it_is_written() {
    let (Some(files), Some(copy)) = (good(), Copy::good()) else {
        return;
    };
    let paper = head(files);
    let rows = |digits: &str| {
        let rows: Vec<_> = digits
            .as_bytes()
            .chunks(8)
            .map(|row| std::str::from_utf8(row).unwrap())
            .collect();
        rows.join(" ")
    };
    for anchor in [
        paper.clone(),
        paper[..24].into(),
        rows(&paper),
        rows(&paper[..24]),
        paper.to_uppercase(),
        rows(&paper[..40]).to_uppercase(),
        format!(" {}\n{} ", &paper[..31], &paper[31..]),
    ] {
        let output = copy.verify(&["--head", &anchor]);
        assert!(output.status.success(), "{anchor}: {}", stderr(&output));
        assert!(
            stdout(&output).starts_with("authentic: "),
            "{}",
            stdout(&output)
        );
        assert!(!stdout(&output).contains("NOT AUTHENTICATED"));
    }
    let long = format!("{paper}0");
    for anchor in [
        &paper[..23],
        "",
        &long,
        &format!("{}g", &paper[..30]),
        &format!("0x{paper}"),
    ] {
        refused(
            &copy.verify(&["--head", anchor]),
            2,
            &["--head: a head digest is 64 hex digits"],
        );
    }
    let other = if paper.starts_with('0') { "1" } else { "0" }.to_owned() + &paper[1..];
    for anchor in [&other[..], &other[..24]] {
        refused(
            &copy.verify(&["--head", anchor]),
            4,
            &["its head is", &paper],
        );
    }
    // Paper that fits does not make a changed file good.
    copy.write(WRAPPED, &[7; 256]);
    refused(&copy.verify(&["--head", &paper]), 4, &[WRAPPED]);
}

// ---- the other files ----------------------------------------------------------------

#[test]
fn every_file_is_held_to_its_digest() {
    let (Some(files), Some(copy)) = (good(), Copy::good()) else {
        return;
    };
    let mut listed: Vec<_> = files.keys().map(String::as_str).collect();
    listed.retain(|path| !["SHA256SUMS", "transcript.jsonl", "signatures/hsm.sig"].contains(path));
    assert_eq!(listed, OUTPUTS);
    for path in OUTPUTS {
        let bytes = &files[path];
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            copy.write(path, &changed);
            copy.broken(&format!("broken: {path}: "));
        }
        copy.write(path, &[&bytes[..], b"\n"].concat());
        copy.broken(&format!("broken: {path}: "));
        copy.write(path, &bytes[..bytes.len() - 1]);
        copy.broken(&format!("broken: {path}: "));
        copy.write(path, bytes);
    }
    copy.only_consistent();
}

#[test]
fn a_missing_file_is_named() {
    let Some(files) = good() else {
        return;
    };
    for path in files.keys() {
        let copy = Copy::of(files);
        fs::remove_file(copy.path(path)).unwrap();
        copy.broken(&format!("broken: {path}: missing"));
    }
    let copy = Copy::of(files);
    fs::remove_dir_all(copy.path("payments-2026")).unwrap();
    copy.broken("payments-2026/");
    fs::remove_dir_all(copy.path("")).unwrap();
    refused(&copy.verify(&[]), 2, &["there is no such record"]);
}

#[test]
fn a_file_more_than_the_transcript_names_is_refused() {
    let Some(files) = good() else {
        return;
    };
    for path in [
        "more.txt",
        ".hidden",
        "payments-2026/eu-west-1/more.bin",
        "payments-2026/eu-west-1/.import.sh.swp",
        "payments-2026/more/import.sh",
        "receipts",
        "xsignatures/a.sig",
        "payments-2026/signatures/a.sig",
        "payments-2026/receipts.jsonl",
        "SHA256SUMS.bak",
        "Plan.toml",
        "payments-2026/transcript.jsonl",
    ] {
        let copy = Copy::of(files);
        copy.write(path, b"");
        copy.broken(&format!(
            "broken: {path}: the transcript does not name this file"
        ));
    }
}

#[test]
fn an_empty_directory_that_byok_did_not_make_is_refused() {
    let Some(files) = good() else {
        return;
    };
    for path in [
        "more",
        ".hidden",
        "payments-2026/eu-west-1/more",
        "payments-2026/signatures",
        "receipts/more",
    ] {
        let copy = Copy::of(files);
        fs::create_dir_all(copy.path(path)).unwrap();
        copy.broken(&format!(
            "broken: {path}/: an empty directory that byok did not make"
        ));
    }
    // An interrupted receipt leaves the one; the other stands empty where nobody signed yet.
    let copy = Copy::of(files);
    fs::create_dir(copy.path("receipts")).unwrap();
    copy.only_consistent();
    let mut lines = copy.lines();
    lines.retain(|line| !line.contains("\"event\":\"transcript-signer\""));
    copy.write_rechained(&counted_anew(&lines));
    fs::remove_file(copy.path("signatures/hsm.sig")).unwrap();
    copy.only_consistent();
}

#[test]
fn what_comes_later_may_be_added() {
    let (Some(files), Some(copy)) = (good(), Copy::good()) else {
        return;
    };
    let hsm_sig = copy.read("signatures/hsm.sig");
    forger().sign(&copy.path(""), false);
    let of_witness = copy.read("signatures/hsm.sig");
    copy.write("signatures/hsm.sig", &hsm_sig);
    for (path, bytes) in [
        ("payments-2026/eu-west-1/import-result.json", &b"{}\n"[..]),
        ("signatures/witness.sig", &of_witness),
    ] {
        copy.write(path, bytes);
        copy.only_consistent();
        let output = copy.verify(&["--head", &head(files)]);
        assert!(
            stdout(&output).starts_with("authentic: "),
            "{path}: {}",
            stderr(&output)
        );
    }
    // But no link, wherever it stands.
    symlink("/etc/passwd", copy.path("signatures/other.sig")).unwrap();
    copy.broken("signatures/other.sig: neither a regular file nor a directory");
}

#[test]
fn what_is_no_regular_file_is_refused_and_nobody_waits_for_it() {
    let Some(files) = good() else {
        return;
    };
    for path in files.keys() {
        // A link, though to the very same bytes.
        let copy = Copy::of(files);
        let aside = copy.dir.path().join("aside");
        fs::rename(copy.path(path), &aside).unwrap();
        symlink(&aside, copy.path(path)).unwrap();
        copy.broken(&format!("broken: {path}: "));

        fs::remove_file(copy.path(path)).unwrap();
        fs::create_dir(copy.path(path)).unwrap();
        copy.broken(&format!("broken: {path}"));

        fs::remove_dir(copy.path(path)).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(copy.path(path))
                .status()
                .unwrap()
                .success()
        );
        copy.broken(&format!("broken: {path}: "));
    }
    let copy = Copy::of(files);
    let folder = copy.path("payments-2026");
    let aside = copy.dir.path().join("aside");
    fs::rename(&folder, &aside).unwrap();
    symlink(&aside, &folder).unwrap();
    copy.broken("broken: payments-2026: neither a regular file nor a directory");
}

#[test]
fn the_checksums_are_checked_too() {
    let (Some(files), Some(copy)) = (good(), Copy::good()) else {
        return;
    };
    let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
    let lines: Vec<&str> = sums.lines().collect();
    assert_eq!(lines.len(), OUTPUTS.len() + 1);
    for line in &lines {
        let (digest, path) = line.split_once("  ").unwrap();
        let other = if digest.starts_with('0') { "1" } else { "0" }.to_owned() + &digest[1..];
        copy.write("SHA256SUMS", sums.replace(digest, &other).as_bytes());
        copy.broken(&format!("SHA256SUMS: its digest of {path}"));
        copy.write(
            "SHA256SUMS",
            sums.replace(&format!("{line}\n"), "").as_bytes(),
        );
        copy.broken(&format!("SHA256SUMS: {path} is not listed"));
        copy.write("SHA256SUMS", format!("{sums}{line}\n").as_bytes());
        copy.broken(&format!(
            "SHA256SUMS: {path} does not belong there, or is there twice"
        ));
    }
    let more = format!("{sums}{}  more.txt\n", "0".repeat(64));
    for (text, says) in [
        (more.as_str(), "more.txt does not belong there"),
        (sums.trim_end(), "its last line is incomplete"),
        (&sums.replace("  ", " "), ""),
        (&sums.to_uppercase(), ""),
        (&sums.replace('\n', "\r\n"), ""),
        ("", ""),
    ] {
        copy.write("SHA256SUMS", text.as_bytes());
        copy.broken(&format!("SHA256SUMS: {says}"));
    }
    copy.write("SHA256SUMS", b"\xff\xfe");
    copy.broken("SHA256SUMS: not text");
    copy.write("SHA256SUMS", sums.as_bytes());
    copy.only_consistent();
    let check = Command::new("sha256sum")
        .args(["-c", "--quiet", "SHA256SUMS"])
        .current_dir(copy.path(""))
        .output();
    assert!(check.unwrap().status.success());
}

// ---- what verify says ---------------------------------------------------------------

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

#[test]
fn verify_says_the_same_to_programs() {
    let (Some(files), Some(copy)) = (good(), Copy::good()) else {
        return;
    };
    let said = json(&copy.verify(&["--json", "--head", &head(files)]));
    assert_eq!(
        (&said["verdict"], &said["authenticated"]),
        (&"authentic".into(), &true.into())
    );
    assert_eq!(
        (&said["outcome"], &said["rehearsal"]),
        (&"done".into(), &false.into())
    );
    assert_eq!(said["head"], head(files).as_str());
    assert_eq!(said["lines"], copy.lines().len());
    let line = copy
        .lines()
        .into_iter()
        .find(|line| line.contains("key-generated"))
        .unwrap();
    let generated: serde_json::Value = serde_json::from_str(&line).unwrap();
    for name in ["label", "spec", "kcv", "fingerprint"] {
        assert_eq!(said["keys"][0][name], generated[name]);
    }
    copy.write("more.txt", b"");
    let output = copy.verify(&["--json"]);
    refused(&output, 4, &["more.txt"]);
    let said = json(&output);
    assert_eq!(
        (&said["verdict"], &said["authenticated"]),
        (&"broken".into(), &false.into())
    );
    assert!(said["why"].as_str().unwrap().contains("more.txt"));
}

#[test]
fn the_last_screen_can_be_had_again() {
    let Some(copy) = Copy::good() else {
        return;
    };
    let output = copy.verify(&["--next"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for says in [
        "needs the folder payments-2026/eu-west-1, nothing else",
        "bash import.sh",
        "BEFORE 20",
        "byok verify --next record",
    ] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
    assert!(text.contains("NOT AUTHENTICATED"), "{text}");
    copy.write(WRAPPED, b"");
    let output = copy.verify(&["--next"]);
    refused(&output, 4, &[WRAPPED]);
    assert!(
        !stdout(&output).contains("import.sh"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn an_aborted_record_verifies_as_aborted_and_is_guarded_alike() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(room.path("pin"), "wrong-pin-of-the-tests").unwrap();
    refused(&room.run(), 3, &["CKR_PIN_INCORRECT"]);
    let record = format!("records/{}", room.beside()[0]);
    let verify = |more: &[&str]| {
        room.byok(&[&["verify", &record], more].concat())
            .output()
            .unwrap()
    };
    let text = stdout(&verify(&[]));
    assert!(
        text.contains("ABORTED: this ceremony did not come to its end"),
        "{text}"
    );
    assert!(text.contains("NOT AUTHENTICATED"), "{text}");
    assert_eq!(json(&verify(&["--json"]))["outcome"], "aborted");
    let head = sha256(&room.transcript(&record).bytes);
    assert!(stdout(&verify(&["--head", &head])).contains("authentic: "));
    assert!(stdout(&verify(&["--next"])).contains("Nothing comes next: the ceremony was aborted"));
    let path = room.path(&record);
    change_a_byte(&path.join("plan.toml"));
    refused(&verify(&[]), 4, &["plan.toml"]);
    change_a_byte(&path.join("plan.toml"));
    change_a_byte(&path.join("transcript.jsonl"));
    refused(&verify(&[]), 4, &["transcript.jsonl: line "]);

    fs::write(room.path("pin"), PIN).unwrap();
    room.run_corrected(&[]);
}

/// There, and a second time back again.
fn change_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}
