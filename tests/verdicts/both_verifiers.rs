//! byok and the script of stock tools come to the same verdict, on good records and on records that
//! somebody changed: a table, each change with its name.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use byok::crypto::sshsig::PublicKey;
use byok::crypto::sshsig::{Signature, digest_to_sign};
use byok::evidence::rules::{Rule, limits};
use serde_json::{Value, json};
use support::forger::forger;
use support::pty::Pty;
use support::verifiers::{Records, both, copy_tree, has_jq, rule, script, script_in};
use support::{ARN, Kind, LABEL, PIN, Room, escrow, now, sha256, stderr, stdout, well};

const ID: &str = "6c2d1a4f5e0b3c7d8e9f00112233445566778899aabbccddeeff001122334455";
const ONE: &str = "records/one";
const TWO: &str = "records/two";
const OTHER: &str = "records/other";
const WRAPPED: &str = "payments-2026/eu-west-1/WrappedKeyMaterial.bin";
const TITLE: &str = "Zahlungsschlüssel 支払い 😀";

/// Three records of one HSM: `one` with an escrow, two imports and receipts; `two`, which reimports its
/// data key; `other`, of another data key.
fn records() -> Option<&'static Room> {
    static MADE: OnceLock<Option<Room>> = OnceLock::new();
    MADE.get_or_init(make).as_ref()
}

fn make() -> Option<Room> {
    if !has_jq() {
        return None;
    }
    let mut room = Room::new(Kind::SoftHsm)?;
    let parameters = room.path("inputs/second.json");
    fs::copy(room.path("inputs/eu-west-1.json"), parameters).unwrap();
    room.plan.title = TITLE.into();
    room.plan.import_more = format!(
        "[[key.import]]\nname = \"second-person\"\nkey_arn = \"{ARN}\"\nparameters = \"inputs/second.json\"\n\
         wrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\nwitness_of = \"eu-west-1\"\n\
         wrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    );
    room.run_with_escrow(2, &["Security", "Audit", "Vorstand Zürich"]);
    receive(&room);
    room.plan.import_more = String::new();
    room.plan.more = String::new();

    room.plan.label = "other-2026".into();
    room.plan.directory = OTHER.into();
    well(&room.run());
    room.plan.label = LABEL.into();

    let head = sha256(&room.transcript(ONE).bytes);
    room.plan.kind = "reimport".into();
    room.plan.top_more = format!("previous = \"{ONE}\"\nprevious_head = \"{head}\"\n");
    room.plan.directory = TWO.into();
    well(&room.run());
    Some(room)
}

/// One answer of each kind, one of them as PowerShell writes it.
fn receive(room: &Room) {
    let ceremony = &room.transcript(ONE).lines[0]["ceremony"];
    let at = jiff::Timestamp::from_second(now() as i64 + 60).unwrap();
    let result = |import: &str, exit: u8| {
        let id = (exit == 0).then_some(ID);
        json!({"format": "byok-import-result-v1", "ceremony": ceremony, "label": LABEL, "import": import,
            "key_arn": ARN, "KeyId": id.map(|_| ARN), "KeyMaterialId": id, "exit": exit, "error": null,
            "at": at.to_string(), "cli": "aws-cli/1.46"})
    };
    let described = json!({"KeyMetadata": {"KeyId": ARN.rsplit('/').next(), "Arn": ARN, "KeyState": "Enabled",
        "Origin": "EXTERNAL", "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": false,
        "Description": "tab\there", "CreationDate": 1795300000.123, "CurrentKeyMaterialId": ID}});
    let listed =
        json!({"Rotations": [{"KeyId": ARN, "KeyMaterialId": ID, "KeyMaterialState": "CURRENT"}]});
    let event = json!({"eventVersion": "1.11", "eventTime": at.to_string(), "eventSource": "kms.amazonaws.com",
        "eventName": "DeleteImportedKeyMaterial", "requestParameters": {"keyId": ARN}, "responseElements": null,
        "resources": [{"ARN": ARN}]});
    let trail = json!({"Events": [{"CloudTrailEvent": event.to_string()}]});
    let answers = [
        result("eu-west-1", 254),
        result("eu-west-1", 0),
        result("second-person", 0),
        described,
        listed,
        trail,
    ];
    let mut args = vec!["receipt".to_owned(), ONE.to_owned()];
    for (at, answer) in answers.iter().enumerate() {
        let text = serde_json::to_string_pretty(answer).unwrap() + "\r\n";
        let name = format!("answer-{at}.json");
        let utf_16 = |text: &str| {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect::<Vec<_>>()
        };
        let bytes = if at == 3 {
            utf_16(&text)
        } else {
            text.into_bytes()
        };
        fs::write(room.path(&name), bytes).unwrap();
        args.push(name);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    well(&room.byok(&args).output().unwrap());
}

fn copy(record: &str) -> Option<Records> {
    Some(Records::of(records()?.dir.path(), record))
}

/// What is to come of a change.
enum Seen {
    /// Broken; this is named.
    As(&'static str),
    /// The record holds together all the same; the head from paper finds it out.
    OnPaper,
}
use Seen::{As, OnPaper};

/// Of a line `escrow-dealt`: who got shares.
const DEALT: &str = r#""threshold":2,"shares":[{"share":1,"custodian":"A","share_sha256":"1"},{"share":2,"custodian":"B","share_sha256":"2"}]"#;

type Change = fn(&Records);

/// Applies each change to a copy of a record; both verifiers see it alike.
fn table(record: &str, changes: &[(&str, Seen, Change)]) {
    let Some(good) = copy(record) else { return };
    let paper = good.head();
    for (name, seen, change) in changes {
        println!("{name}");
        let copy = copy(record).unwrap();
        change(&copy);
        let output = copy.verify(&[]);
        match seen {
            As(named) => support::refused(&output, 4, &[named]),
            OnPaper => {
                well(&output);
                assert!(stdout(&output).contains("NOT AUTHENTICATED"), "{name}");
                let output = copy.verify(&["--head", &paper]);
                support::refused(&output, 4, &["not the one given"]);
            }
        }
    }
}

fn place(lines: &[String], event: &str) -> usize {
    let named = format!("\"event\":\"{event}\"");
    lines.iter().position(|line| line.contains(&named)).unwrap()
}

/// A line at the same time as this one that tells another event.
fn told_with(line: &str, event: &str) -> String {
    let (before, _) = line.split_once("\"event\":").unwrap();
    format!("{before}\"event\":{event}}}")
}

/// Forges the transcript with the line of this event changed.
fn forge_line(copy: &Records, event: &str, from: &str, to: &str) {
    let mut lines = copy.lines("transcript.jsonl");
    let at = place(&lines, event);
    let changed = lines[at].replacen(from, to, 1);
    assert_ne!(changed, lines[at], "{from}");
    lines[at] = changed;
    copy.forge(&lines);
}

/// Of what the ceremony's computer says about its medium.
fn forge_medium(copy: &Records, told: &str) {
    let told = format!("\"medium_sha256\":{told},\"network\"");
    forge_line(copy, "machine-checked", "\"network\"", &told);
}

fn flip(copy: &Records, path: &str) {
    let mut bytes = copy.read(path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    copy.write(path, bytes);
}

// ---- the transcript -----------------------------------------------------------------------------

#[test]
fn both_see_what_was_done_to_lines_of_the_transcript() {
    table(
        OTHER,
        &[
            ("a bit flipped", As("transcript.jsonl: line "), |copy| {
                flip(copy, "transcript.jsonl")
            }),
            (
                "a line deleted",
                As("transcript.jsonl: line 5: seq"),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    lines.remove(4);
                    copy.write_lines("transcript.jsonl", &lines);
                },
            ),
            (
                "a line inserted",
                As("transcript.jsonl: line 4: "),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    let line = lines[3].replacen("\"seq\":4", "\"seq\":5", 1);
                    lines.insert(4, line);
                    copy.write_lines("transcript.jsonl", &lines);
                },
            ),
            (
                "a line doubled",
                As("transcript.jsonl: line 5: seq"),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    lines.insert(4, lines[3].clone());
                    copy.write_lines("transcript.jsonl", &lines);
                },
            ),
            (
                "two lines exchanged",
                As("transcript.jsonl: line 3: seq"),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    lines.swap(2, 3);
                    copy.write_lines("transcript.jsonl", &lines);
                },
            ),
            ("all lines chained again", OnPaper, |copy| {
                forge_line(copy, "roll-call", "not asked", "Ada Lovelace");
            }),
            (
                "a line taken out and the rest chained again",
                OnPaper,
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    lines.remove(place(&lines, "roll-call"));
                    copy.forge(&lines);
                },
            ),
            (
                "the first prev is not zeros",
                As("transcript.jsonl: line 1: prev is not 64 zeros"),
                |copy| {
                    let lines = copy.lines("transcript.jsonl");
                    copy.chain("transcript.jsonl", &lines, &"1".repeat(64));
                    copy.sums_anew();
                },
            ),
            (
                "a prev in upper case",
                As("transcript.jsonl: line "),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    let at = lines[2].find("\"prev\":\"").unwrap() + 8;
                    lines[2] = format!(
                        "{}{}{}",
                        &lines[2][..at],
                        lines[2][at..at + 64].to_uppercase(),
                        &lines[2][at + 64..]
                    );
                    copy.write_lines("transcript.jsonl", &lines);
                },
            ),
            (
                "an event after the end",
                As("\"sealed\" is before the end"),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    lines.push(lines.last().unwrap().clone());
                    copy.forge(&lines);
                },
            ),
            (
                "cut after a line",
                As("neither sealed nor aborted"),
                |copy| {
                    let lines = copy.lines("transcript.jsonl");
                    copy.write_lines("transcript.jsonl", &lines[..6]);
                },
            ),
            (
                "cut within a line",
                As("it does not end with a line feed"),
                |copy| {
                    let bytes = copy.read("transcript.jsonl");
                    copy.write("transcript.jsonl", &bytes[..bytes.len() / 2]);
                },
            ),
            (
                "the last line feed missing",
                As("it does not end with a line feed"),
                |copy| {
                    let bytes = copy.read("transcript.jsonl");
                    copy.write("transcript.jsonl", &bytes[..bytes.len() - 1]);
                },
            ),
            (
                "two transcripts in one",
                As("transcript.jsonl: line "),
                |copy| {
                    let both = [
                        copy.read("transcript.jsonl"),
                        copy.read("../two/transcript.jsonl"),
                    ]
                    .concat();
                    copy.write("transcript.jsonl", both);
                },
            ),
            (
                "an empty transcript",
                As("the transcript is empty"),
                |copy| copy.write("transcript.jsonl", ""),
            ),
            (
                "an aborted one that claims to be sealed",
                As("it does not fit the lines above it"),
                |copy| {
                    forge_line(
                        copy,
                        "sealed",
                        "\"outcome\":\"done\"",
                        "\"outcome\":\"aborted\"",
                    );
                },
            ),
            ("a sealed one that claims to be aborted", OnPaper, |copy| {
                forge_line(
                    copy,
                    "sealed",
                    "\"event\":\"sealed\"",
                    "\"event\":\"aborted\",\"step\":4,\"exit\":3,\"error\":\"\",\"state\":[],\"removed\":[]",
                );
            }),
            (
                "a rehearsal that poses as real, or the other way round",
                OnPaper,
                |copy| {
                    forge_line(
                        copy,
                        "ceremony-opened",
                        "\"rehearsal\":false",
                        "\"rehearsal\":true",
                    );
                },
            ),
            ("another format", As("not byok-transcript-v1"), |copy| {
                forge_line(
                    copy,
                    "ceremony-opened",
                    "byok-transcript-v1",
                    "byok-transcript-v2",
                );
            }),
            (
                "exceptions counted wrong",
                As("it does not fit the lines above it"),
                |copy| {
                    forge_line(copy, "sealed", "\"exceptions\":", "\"exceptions\":9");
                },
            ),
            ("a data key twice", As("is there twice"), |copy| {
                let mut lines = copy.lines("transcript.jsonl");
                let at = place(&lines, "key-generated");
                lines.insert(at, lines[at].clone());
                copy.forge(&lines);
            }),
            ("a data key that nobody made", As("no data key"), |copy| {
                forge_line(copy, "key-generated", "key-generated", "key-invented");
            }),
            (
                "another wrapped digest",
                As("was not written as it was wrapped"),
                |copy| {
                    forge_line(copy, "key-wrapped", "\"sha256\":\"", "\"sha256\":\"0");
                },
            ),
            (
                "an output outside the record",
                As("\"../plan.toml\" is not a path within a record"),
                |copy| {
                    forge_line(copy, "output-written", "\"plan.toml\"", "\"../plan.toml\"");
                },
            ),
            (
                "an absolute output",
                As("is not a path within a record"),
                |copy| {
                    forge_line(copy, "output-written", "\"plan.toml\"", "\"/plan.toml\"");
                },
            ),
            ("an output twice", As("was written twice"), |copy| {
                forge_line(copy, "output-written", "\"plan.toml\"", "\"README.txt\"");
            }),
            (
                "another plan approved than opened",
                As("the plan approved here is not the one in line 1"),
                |copy| {
                    forge_line(
                        copy,
                        "plan-approved",
                        "\"plan_sha256\":\"",
                        "\"plan_sha256\":\"0",
                    );
                },
            ),
            (
                "an opening in the middle",
                As("is in the wrong place"),
                |copy| {
                    forge_line(copy, "roll-call", "roll-call", "ceremony-opened");
                },
            ),
            ("earlier attempts named", OnPaper, |copy| {
                let earlier = "\"attempts\":[{\"directory\":\"one.aborted\",\"ceremony\":\"00\",\"head\":\"11\"}]}";
                forge_line(copy, "ceremony-opened", "}", &format!(",{earlier}"));
            }),
            ("previous_head made up", OnPaper, |copy| {
                let other = format!("\"previous_head\":\"{}\"}}", "5".repeat(64));
                forge_line(copy, "ceremony-opened", "}", &format!(",{other}"));
            }),
        ],
    );
}

#[test]
fn both_read_json_with_one_meaning_only() {
    let event = "key-generated";
    let Some(good) = copy(OTHER) else { return };
    let line = place(&good.lines("transcript.jsonl"), event) + 1;
    let deep = format!("\"bytes\":{}{}", "[".repeat(130), "]".repeat(130));
    let broken = [
        ("a key twice", "\"kcv\":", "\"kcv\":\"000000\",\"kcv\":"),
        (
            "a key twice, once escaped",
            "\"kcv\":",
            "\"k\\u0063v\":\"000000\",\"kcv\":",
        ),
        (
            "a key twice, deeper",
            "\"attributes\":{",
            "\"attributes\":{\"CKA_TOKEN\":true,",
        ),
        ("a space", ",\"at\"", ", \"at\""),
        ("a space at the end", "}}", "}} "),
        ("a carriage return", "}}", "}}\r"),
        ("two values", "}}", "}}{}"),
        (
            "an escape that is not needed",
            "\"label\"",
            "\"l\\u0061bel\"",
        ),
        ("an escaped slash", "\"label\":\"", "\"label\":\"\\/"),
        ("a float", "\"bytes\":32", "\"bytes\":32.5"),
        ("a float of an integer", "\"bytes\":32", "\"bytes\":32.0"),
        ("an exponent", "\"bytes\":32", "\"bytes\":32e0"),
        (
            "an exponent as newer versions of jq keep it",
            "\"bytes\":32",
            "\"bytes\":1E+2",
        ),
        (
            "an exponent as jq writes it",
            "\"bytes\":32",
            "\"bytes\":1e+17",
        ),
        (
            "a number of 16 digits",
            "\"bytes\":32",
            "\"bytes\":1000000000000000",
        ),
        (
            "a number of 20 digits",
            "\"bytes\":32",
            "\"bytes\":18446744073709551615",
        ),
        ("a negative zero", "\"bytes\":32", "\"bytes\":-0"),
        (
            "a number with a leading zero",
            "\"bytes\":32",
            "\"bytes\":032",
        ),
        ("a number with a plus", "\"bytes\":32", "\"bytes\":+32"),
        ("not a number", "\"bytes\":32", "\"bytes\":nan"),
        ("single quotes", "\"bytes\":32", "\"bytes\":'32'"),
        (
            "a control character",
            "\"label\":\"",
            "\"label\":\"\\u001b[2J",
        ),
        ("a tab", "\"label\":\"", "\"label\":\"\\t"),
        (
            "a raw control character",
            "\"label\":\"",
            "\"label\":\"\u{1}",
        ),
        ("NUL", "\"label\":\"", "\"label\":\"\0"),
        ("DEL", "\"label\":\"", "\"label\":\"\u{7f}"),
        ("DEL escaped", "\"label\":\"", "\"label\":\"\\u007f"),
        (
            "a C1 control character",
            "\"label\":\"",
            "\"label\":\"\u{85}",
        ),
        (
            "a right-to-left override",
            "\"label\":\"",
            "\"label\":\"\u{202e}",
        ),
        ("a zero-width space", "\"label\":\"", "\"label\":\"\u{200b}"),
        ("a soft hyphen", "\"label\":\"", "\"label\":\"\u{ad}"),
        ("a line separator", "\"label\":\"", "\"label\":\"\u{2028}"),
        ("a tag character", "\"label\":\"", "\"label\":\"\u{e0041}"),
        (
            "a byte-order mark within",
            "\"label\":\"",
            "\"label\":\"\u{feff}",
        ),
        (
            "an escaped surrogate pair",
            "\"label\":\"",
            "\"label\":\"\\ud83d\\ude00",
        ),
        (
            "half a surrogate pair",
            "\"label\":\"",
            "\"label\":\"\\udc00",
        ),
        ("nesting without end", "\"bytes\":32", &deep),
        ("time with a fraction", "Z\",\"prev\"", ".5Z\",\"prev\""),
        ("no event", "\"event\":", "\"evenT\":"),
    ];
    for (name, from, to) in broken {
        println!("{name}");
        let copy = copy(OTHER).unwrap();
        forge_line(&copy, event, from, to);
        support::refused(
            &copy.verify(&[]),
            4,
            &[&format!("transcript.jsonl: line {line}: ")],
        );
    }

    // What is as compact and plain as it should be holds, however strange.
    for (name, to) in [
        ("nothing", "null"),
        ("a long number", "999999999999999"),
        ("a negative one", "-999999999999999"),
        (
            "characters of all lengths",
            "\"é支😀\u{fffd}\u{ffff}\u{a0}\\\\\\\"/\"",
        ),
        (
            "as deep as can be",
            &format!("{}{}", "[".repeat(126), "]".repeat(126)),
        ),
    ] {
        println!("{name}");
        let copy = copy(OTHER).unwrap();
        let later = format!("\"bytes\":32,\"later\":{to}");
        forge_line(&copy, event, "\"bytes\":32", &later);
        well(&copy.verify(&[]));
    }
    // One level more is too deep for both.
    let copy = copy(OTHER).unwrap();
    let deep = format!(
        "\"bytes\":32,\"later\":{}{}",
        "[".repeat(127),
        "]".repeat(127)
    );
    forge_line(&copy, event, "\"bytes\":32", &deep);
    assert_eq!(copy.verify(&[]).status.code(), Some(4));
}

#[test]
fn both_know_which_times_there_are() {
    for (time, holds) in [
        ("2024-02-29T23:59:59Z", true),
        ("2023-02-29T00:00:00Z", false),
        ("2100-02-29T00:00:00Z", false),
        ("2000-02-29T00:00:00Z", true),
        ("2024-04-31T00:00:00Z", false),
        ("2024-13-01T00:00:00Z", false),
        ("2024-00-01T00:00:00Z", false),
        ("2024-01-00T00:00:00Z", false),
        ("2024-01-01T24:00:00Z", false),
        ("2024-01-01T00:60:00Z", false),
        ("2024-01-01T00:00:60Z", false),
        ("2024-01-01 00:00:00Z", false),
        ("2024-01-01t00:00:00Z", false),
        ("+024-01-01T00:00:00Z", false),
        ("0000-01-01T00:00:00Z", true),
    ] {
        println!("{time}");
        let Some(copy) = copy(OTHER) else { return };
        let mut lines = copy.lines("transcript.jsonl");
        let at = lines[0].find("\"at\":\"").unwrap() + 6;
        lines[0] = format!("{}{time}{}", &lines[0][..at], &lines[0][at + 20..]);
        copy.forge(&lines);
        assert_eq!(copy.verify(&[]).status.success(), holds, "{time}");
    }
    table(
        TWO,
        &[(
            "a time that goes back",
            As("its time is before the line above"),
            |copy| {
                forge_line(copy, "roll-call", "\"at\":\"2", "\"at\":\"1");
            },
        )],
    );
}

// ---- the files ----------------------------------------------------------------------------------

#[test]
fn both_see_a_bit_flipped_in_every_file() {
    let Some(good) = copy(ONE) else { return };
    let mut files = Vec::new();
    for (path, bytes) in support::tree(&good.path("")) {
        let path = path
            .strip_prefix(good.path(""))
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        files.extend(bytes.map(|_| path));
    }
    assert!(files.len() > 15, "{files:?}");
    for path in files {
        println!("{path}");
        let copy = copy(ONE).unwrap();
        flip(&copy, &path);
        let output = copy.verify(&[]);
        assert_eq!(output.status.code(), Some(4), "{path}");
        let named = stderr(&output).contains(&path) || path.starts_with("receipts");
        assert!(named, "{path}: {}", stderr(&output));
    }
}

#[test]
fn both_see_what_was_done_to_files() {
    table(
        ONE,
        &[
            (
                "a file of nearly a known name",
                As("receiptsXjsonl: the transcript does not name this file"),
                |copy| copy.write("receiptsXjsonl", ""),
            ),
            (
                "a file in a directory of nearly a known name",
                As("signaturesX/note.sig: the transcript does not name this file"),
                |copy| copy.write("signaturesX/note.sig", ""),
            ),
            (
                "the plan edited",
                As("plan.toml: not the plan that was approved"),
                |copy| {
                    copy.replace("plan.toml", "extractable", "none");
                    copy.sums_anew();
                },
            ),
            (
                "the plan edited and its output line forged",
                As("plan.toml: not the plan"),
                |copy| {
                    let was = sha256(&copy.read("plan.toml"));
                    copy.replace("plan.toml", "never", "2031-01-01T00:00:00Z");
                    let line = |is: &str| format!("\"path\":\"plan.toml\",\"sha256\":\"{is}");
                    copy.forge_with(&line(&was), &line(&sha256(&copy.read("plan.toml"))));
                },
            ),
            (
                "other wrapped material, named by every digest",
                OnPaper,
                |copy| {
                    let was = sha256(&copy.read(WRAPPED));
                    copy.write(WRAPPED, [7; 256]);
                    let lines = copy.lines("transcript.jsonl");
                    let forged: Vec<_> = lines
                        .iter()
                        .map(|line| line.replace(&was, &sha256(&[7; 256])))
                        .collect();
                    fs::remove_dir_all(copy.path("receipts")).unwrap();
                    fs::remove_file(copy.path("receipts.jsonl")).unwrap();
                    copy.forge(&forged);
                },
            ),
            (
                "an import.sh more in a subdirectory",
                As("payments-2026/import.sh: the transcript does not name"),
                |copy| {
                    copy.write("payments-2026/import.sh", "#!/bin/sh\n");
                },
            ),
            (
                "an import.sh in a directory more",
                As("payments-2026/eu-west-1/more/import.sh: the transcript does not name"),
                |copy| copy.write("payments-2026/eu-west-1/more/import.sh", "#!/bin/sh\n"),
            ),
            (
                "an empty directory more",
                As("payments-2026/more/: an empty directory"),
                |copy| fs::create_dir(copy.path("payments-2026/more")).unwrap(),
            ),
            (
                "empty directories, the first by name",
                As("a/b/: an empty directory"),
                |copy| {
                    fs::create_dir_all(copy.path("a-b")).unwrap();
                    fs::create_dir_all(copy.path("a/b")).unwrap();
                },
            ),
            (
                "an empty directory with a space in its name",
                As("a b/: an empty directory"),
                |copy| fs::create_dir(copy.path("a b")).unwrap(),
            ),
            (
                "empty directories two levels down",
                As("payE/eu-west-1/x/: an empty directory"),
                |copy| fs::create_dir_all(copy.path("payE/eu-west-1/x")).unwrap(),
            ),
            (
                "an empty directory in the place of a signature",
                As("signatures/empty.sig/: an empty directory"),
                |copy| fs::create_dir(copy.path("signatures/empty.sig")).unwrap(),
            ),
            (
                "an empty directory among the receipts",
                As("receipts/more/: an empty directory"),
                |copy| fs::create_dir(copy.path("receipts/more")).unwrap(),
            ),
            (
                "a control character in place of a slash",
                As("not a readable name"),
                |copy| copy.write("payments-2026\u{1}import.sh", "#!/bin/sh\n"),
            ),
            (
                "the report edited",
                As("transcript.html: its bytes"),
                |copy| {
                    copy.replace("transcript.html", "software HSM", "never left the HSM");
                    copy.sums_anew();
                },
            ),
            (
                "the report edited, and named by every digest",
                OnPaper,
                |copy| {
                    let was = sha256(&copy.read("transcript.html"));
                    without_receipts(copy);
                    copy.replace("transcript.html", "software HSM", "never left the HSM");
                    copy.forge_with(&was, &sha256(&copy.read("transcript.html")));
                },
            ),
            (
                "a hidden file more",
                As(".import.sh.swp: the transcript does not name"),
                |copy| copy.write(".import.sh.swp", ""),
            ),
            (
                "a file whose name begins with -",
                As("-rf: the transcript does not name"),
                |copy| copy.write("-rf", ""),
            ),
            (
                "a file with quotes in its name",
                As("the transcript does not name"),
                |copy| copy.write("a\"b\\c", ""),
            ),
            ("a line feed in a name", As("not a readable name"), |copy| {
                copy.write("import-result\n.json", "{}")
            }),
            (
                "a right-to-left override in a name",
                As("not a readable name"),
                |copy| {
                    copy.write("import-result\u{202e}.json", "{}");
                },
            ),
            ("a file missing", As("ImportToken.bin: missing"), |copy| {
                fs::remove_file(copy.path("payments-2026/eu-west-1/ImportToken.bin")).unwrap();
            }),
            ("an empty file", As("README.txt: its bytes"), |copy| {
                copy.write("README.txt", "")
            }),
            ("no transcript", As("transcript.jsonl: missing"), |copy| {
                fs::remove_file(copy.path("transcript.jsonl")).unwrap()
            }),
            ("no plan", As("plan.toml: missing"), |copy| {
                fs::remove_file(copy.path("plan.toml")).unwrap()
            }),
            (
                "the package missing",
                As("escrow-package.json: missing"),
                |copy| {
                    fs::remove_file(copy.path("escrow-package.json")).unwrap();
                },
            ),
            (
                "a link in the place of a file",
                As("README.txt: "),
                |copy| {
                    fs::rename(copy.path("README.txt"), copy.path("../aside")).unwrap();
                    symlink("../aside", copy.path("README.txt")).unwrap();
                },
            ),
            (
                "a link in the place of a directory",
                As("payments-2026: neither"),
                |copy| {
                    fs::rename(copy.path("payments-2026"), copy.path("../aside")).unwrap();
                    symlink("../aside", copy.path("payments-2026")).unwrap();
                },
            ),
            (
                "a link in the place of the transcript",
                As("transcript.jsonl: "),
                |copy| {
                    fs::rename(copy.path("transcript.jsonl"), copy.path("../aside")).unwrap();
                    symlink("../aside", copy.path("transcript.jsonl")).unwrap();
                },
            ),
            ("a FIFO", As("README.txt: neither"), |copy| {
                fs::remove_file(copy.path("README.txt")).unwrap();
                well(
                    &Command::new("mkfifo")
                        .arg(copy.path("README.txt"))
                        .output()
                        .unwrap(),
                );
            }),
            (
                "a directory in the place of the transcript",
                As("transcript.jsonl: "),
                |copy| {
                    fs::remove_file(copy.path("transcript.jsonl")).unwrap();
                    fs::create_dir(copy.path("transcript.jsonl")).unwrap();
                },
            ),
            (
                "another ceremony's record under this name",
                OnPaper,
                |copy| {
                    let records = copy.dir.path().join("records");
                    fs::rename(records.join("one"), records.join("away")).unwrap();
                    fs::rename(records.join("other"), records.join("one")).unwrap();
                },
            ),
            ("empty checksums", As("SHA256SUMS: "), |copy| {
                copy.write("SHA256SUMS", "")
            }),
            ("a digest changed", As("SHA256SUMS: "), |copy| {
                flip(copy, "SHA256SUMS")
            }),
            ("a line missing", As("is not listed"), |copy| {
                let lines = copy.lines("SHA256SUMS");
                copy.write_lines("SHA256SUMS", &lines[1..]);
            }),
            ("a line more", As("SHA256SUMS: "), |copy| {
                let more = format!("{}{}  more.txt\n", copy.text("SHA256SUMS"), "0".repeat(64));
                copy.write("SHA256SUMS", more);
            }),
            ("a line twice", As("SHA256SUMS: "), |copy| {
                let mut lines = copy.lines("SHA256SUMS");
                lines.push(lines[0].clone());
                copy.write_lines("SHA256SUMS", &lines);
            }),
            ("an empty line", As("SHA256SUMS: "), |copy| {
                copy.write("SHA256SUMS", copy.text("SHA256SUMS") + "\n")
            }),
            ("CRLF", As("SHA256SUMS: "), |copy| {
                copy.write("SHA256SUMS", copy.text("SHA256SUMS").replace('\n', "\r\n"))
            }),
            ("hex in upper case", As("SHA256SUMS: "), |copy| {
                let upper: String = copy
                    .lines("SHA256SUMS")
                    .iter()
                    .map(|line| format!("{}{}\n", line[..64].to_uppercase(), &line[64..]))
                    .collect();
                copy.write("SHA256SUMS", upper);
            }),
            ("a byte-order mark", As("SHA256SUMS: "), |copy| {
                copy.write(
                    "SHA256SUMS",
                    "\u{feff}".to_owned() + &copy.text("SHA256SUMS"),
                )
            }),
            (
                "the last line feed missing",
                As("its last line is incomplete"),
                |copy| {
                    copy.write("SHA256SUMS", copy.text("SHA256SUMS").trim_end());
                },
            ),
            ("the mark of binary mode", As("SHA256SUMS: "), |copy| {
                copy.write("SHA256SUMS", copy.text("SHA256SUMS").replace("  ", " *"))
            }),
            (
                "a byte-order mark before the transcript",
                As("transcript.jsonl: line 1: "),
                |copy| {
                    copy.write(
                        "transcript.jsonl",
                        "\u{feff}".to_owned() + &copy.text("transcript.jsonl"),
                    );
                },
            ),
        ],
    );
    // Their order is free.
    let Some(copy) = copy(ONE) else { return };
    let mut lines = copy.lines("SHA256SUMS");
    lines.reverse();
    copy.write_lines("SHA256SUMS", &lines);
    well(&copy.verify(&[]));
}

// ---- signatures ---------------------------------------------------------------------------------

const HSM_SIG: &str = "signatures/hsm.sig";

/// The key that the transcript names.
fn named_key(copy: &Records) -> String {
    let lines = copy.lines("transcript.jsonl");
    let line = &lines[place(&lines, "transcript-signer")];
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["public_key"].as_str().unwrap().to_owned()
}

/// What whoever has the PIN can do: sign the transcript as it is now in the HSM of the room.
fn sign_in_hsm(copy: &Records, namespace: &str) {
    let digest = digest_to_sign(namespace, &copy.read("transcript.jsonl"));
    let digest = byok::ground::words::hex(&digest);
    let label = "byok-transcript-signer";
    let said = records()
        .unwrap()
        .token(&["sign", "ceremony", PIN, label, &digest]);
    let r_and_s = support::unhex(said.trim()).try_into().unwrap();
    let key = PublicKey::parse(&named_key(copy)).unwrap();
    copy.write(HSM_SIG, Signature::p256(key, namespace, &r_and_s).armored());
}

#[test]
fn both_see_what_was_done_to_signatures() {
    table(
        OTHER,
        &[
            (
                "the signature removed",
                As("signatures/hsm.sig: missing"),
                |copy| {
                    fs::remove_file(copy.path(HSM_SIG)).unwrap();
                },
            ),
            (
                "all signatures removed",
                As("signatures/hsm.sig: missing"),
                |copy| {
                    fs::remove_dir_all(copy.path("signatures")).unwrap();
                },
            ),
            (
                "a signature by another key",
                As("signatures/hsm.sig: by the key SHA256:"),
                |copy| {
                    forger().sign(&copy.path(""), false);
                },
            ),
            (
                "the signature of another record",
                As("signatures/hsm.sig: not a signature"),
                |copy| {
                    copy.write(HSM_SIG, copy.read("../one/signatures/hsm.sig"));
                },
            ),
            (
                "all lines chained again, the signature as it was",
                As("signatures/hsm.sig: "),
                |copy| {
                    copy.chain_anew_with("not asked", "Ada Lovelace");
                },
            ),
            (
                "the signer's line exchanged",
                As("signatures/hsm.sig: by the key SHA256:"),
                |copy| {
                    let lines = copy.lines("transcript.jsonl");
                    let exchanged = |line: &String| forger().in_place_of_signer(line);
                    let lines: Vec<_> = lines.iter().map(exchanged).collect();
                    copy.chain_anew(&lines);
                },
            ),
            (
                "the signer's line exchanged, and signed by that key",
                OnPaper,
                |copy| {
                    copy.forge(&copy.lines("transcript.jsonl"));
                },
            ),
            (
                "the signer's line taken out",
                As("signatures/hsm.sig: the transcript names no signer"),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    lines.remove(place(&lines, "transcript-signer"));
                    copy.chain_anew(&lines);
                },
            ),
            (
                "the signer's line and the signature taken out",
                OnPaper,
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    lines.remove(place(&lines, "transcript-signer"));
                    fs::remove_dir_all(copy.path("signatures")).unwrap();
                    copy.chain_anew(&lines);
                },
            ),
            (
                "a second signer",
                As("a second transcript signer"),
                |copy| {
                    let mut lines = copy.lines("transcript.jsonl");
                    let at = place(&lines, "transcript-signer");
                    lines.insert(at, lines[at].clone());
                    copy.forge(&lines);
                },
            ),
            (
                "a fingerprint of another key",
                As("fingerprint is not that of public_key"),
                |copy| {
                    let from = "\"fingerprint\":\"SHA256:";
                    forge_only(copy, "transcript-signer", from, &format!("{from}A"));
                },
            ),
            (
                "the purpose of a rehearsal",
                As("signatures/hsm.sig: signed for"),
                |copy| {
                    sign_in_hsm(copy, "byok-rehearsal");
                },
            ),
            (
                "the purpose of something else",
                As("signatures/hsm.sig: signed for"),
                |copy| {
                    sign_in_hsm(copy, "git");
                },
            ),
            (
                "a note among the signatures",
                As("signatures/note.txt: not a signature's name"),
                |copy| {
                    copy.write("signatures/note.txt", "seen\n");
                },
            ),
            (
                "an empty directory among the signatures",
                As("signatures/more/: an empty"),
                |copy| {
                    fs::create_dir(copy.path("signatures/more")).unwrap();
                },
            ),
        ],
    );
}

/// Changes a line and chains again; whoever signs is not touched.
fn forge_only(copy: &Records, event: &str, from: &str, to: &str) {
    let mut lines = copy.lines("transcript.jsonl");
    let at = place(&lines, event);
    lines[at] = lines[at].replacen(from, to, 1);
    copy.chain_anew(&lines);
}

/// What each anchor gives. The paper tells one transcript from every other. A list of signers tells what
/// this HSM signed from what it did not: not which of two transcripts of the same PIN holder is the true one.
#[test]
fn what_the_same_hsm_key_signed_again_is_authentic_by_signature_and_only_the_paper_tells() {
    let Some(good) = copy(ONE) else { return };
    let paper = good.head();
    let list = format!("hsm namespaces=\"byok-ceremony\" {}\n", named_key(&good));
    let forgeries: [(&str, bool, Change); 5] = [
        (
            "all lines chained again, signed by the same HSM key",
            true,
            |copy| {
                without_receipts(copy);
                copy.chain_anew_with("not asked", "Ada Lovelace");
                sign_in_hsm(copy, "byok-ceremony");
            },
        ),
        (
            "other wrapped material, signed by the same HSM key",
            true,
            |copy| {
                let was = sha256(&copy.read(WRAPPED));
                copy.write(WRAPPED, [7; 256]);
                let lines = copy.lines("transcript.jsonl");
                let is = sha256(&[7; 256]);
                let lines: Vec<_> = lines.iter().map(|line| line.replace(&was, &is)).collect();
                without_receipts(copy);
                copy.chain_anew(&lines);
                sign_in_hsm(copy, "byok-ceremony");
            },
        ),
        ("a swapped record of the same HSM", true, |copy| {
            let records = copy.dir.path().join("records");
            fs::rename(records.join("one"), records.join("away")).unwrap();
            fs::rename(records.join("other"), records.join("one")).unwrap();
        }),
        (
            "all lines chained again, signed by another key",
            false,
            |copy| {
                without_receipts(copy);
                copy.forge_with("not asked", "Ada Lovelace");
            },
        ),
        ("all lines chained again, signed by nobody", false, |copy| {
            let mut lines = copy.lines("transcript.jsonl");
            lines.remove(place(&lines, "transcript-signer"));
            fs::remove_dir_all(copy.path("signatures")).unwrap();
            without_receipts(copy);
            copy.chain_anew(&lines);
        }),
    ];
    for (name, by_signature, change) in forgeries {
        println!("{name}");
        let copy = copy(ONE).unwrap();
        change(&copy);
        fs::write(copy.dir.path().join("list"), &list).unwrap();
        well(&copy.verify(&[]));
        support::refused(&copy.verify(&["--head", &paper]), 4, &["not the one given"]);
        let listed = copy.verify(&["--signers", "list"]);
        assert_eq!(listed.status.success(), by_signature, "{name}");
        assert_eq!(
            stdout(&listed).starts_with("authentic: "),
            by_signature,
            "{name}"
        );
        let all = copy.verify(&["--signers", "list", "--head", &paper]);
        assert_eq!(all.status.code(), Some(4), "{name}");
    }
    let untouched = copy(ONE).unwrap();
    fs::write(untouched.dir.path().join("list"), &list).unwrap();
    well(&untouched.verify(&["--signers", "list", "--head", &paper]));
}

fn without_receipts(copy: &Records) {
    fs::remove_file(copy.path("receipts.jsonl")).unwrap();
    fs::remove_dir_all(copy.path("receipts")).unwrap();
}

// ---- the rules ----------------------------------------------------------------------------------

/// A case of each rule, of a copy of `other` (of `one` for receipts).
const RULES: [(&str, Change); 38] = [
    ("ENTRY", |copy| {
        symlink("plan.toml", copy.path("link")).unwrap()
    }),
    ("NAME", |copy| copy.write("a\u{202e}b", "")),
    ("LIMIT", |copy| {
        let file = fs::File::create(copy.path("big")).unwrap();
        file.set_len(limits::LONGEST_FILE + 1).unwrap();
    }),
    ("LINE", |copy| {
        forge_line(copy, "roll-call", ",\"at\"", ", \"at\"")
    }),
    ("SEQ", |copy| {
        let mut lines = copy.lines("transcript.jsonl");
        lines.remove(4);
        copy.write_lines("transcript.jsonl", &lines);
    }),
    ("AT", |copy| {
        forge_line(copy, "roll-call", "Z\",\"prev\"", ".5Z\",\"prev\"")
    }),
    ("EVENT", |copy| {
        forge_line(copy, "roll-call", "\"event\":", "\"evenT\":")
    }),
    ("PREV", |copy| {
        copy.replace("transcript.jsonl", "not asked", "Ada")
    }),
    ("ORDER", |copy| {
        forge_line(copy, "roll-call", "\"at\":\"2", "\"at\":\"1")
    }),
    ("OPENING", |copy| {
        forge_line(copy, "roll-call", "roll-call", "ceremony-opened")
    }),
    ("END", |copy| {
        forge_line(copy, "sealed", "\"event\":\"sealed\"", "\"event\":\"open\"")
    }),
    ("FORMAT", |copy| {
        forge_line(copy, "ceremony-opened", "transcript-v1", "transcript-v2")
    }),
    ("MEDIUM", |copy| forge_medium(copy, "\"0123\"")),
    ("MEDIUM", |copy| {
        forge_medium(copy, &format!("\"{}\"", "AB".repeat(32)))
    }),
    ("MEDIUM", |copy| forge_medium(copy, "5")),
    ("MEDIUM", |copy| forge_medium(copy, "[false]")),
    ("SEALED", |copy| {
        forge_line(copy, "sealed", "\"exceptions\":", "\"exceptions\":9")
    }),
    ("KEY-TWICE", |copy| {
        let mut lines = copy.lines("transcript.jsonl");
        let at = place(&lines, "key-generated");
        lines.insert(at, lines[at].clone());
        copy.forge(&lines);
    }),
    ("PLAN", |copy| {
        copy.replace("plan.toml", "extractable", "none")
    }),
    ("PATH", |copy| {
        forge_line(copy, "output-written", "\"plan.toml\"", "\"a//b\"")
    }),
    ("OUTPUT-TWICE", |copy| {
        forge_line(copy, "output-written", "\"plan.toml\"", "\"README.txt\"");
    }),
    ("MISSING", |copy| {
        fs::remove_file(copy.path("README.txt")).unwrap()
    }),
    ("BYTES", |copy| flip(copy, "README.txt")),
    ("WRAPPED", |copy| {
        forge_line(copy, "key-generated", "key-generated", "key-invented")
    }),
    ("PUBLIC-KEY", |copy| {
        forge_line(
            copy,
            "key-generated",
            "\"SYMMETRIC_DEFAULT\"",
            "\"ECC_NIST_P256\"",
        );
    }),
    ("PUBLIC-KEY", |copy| {
        forge_line(
            copy,
            "key-generated",
            "\"SYMMETRIC_DEFAULT\"",
            "\"ED25519\"",
        );
    }),
    ("MORE", |copy| copy.write("more", "")),
    ("EMPTY", |copy| fs::create_dir(copy.path("more")).unwrap()),
    ("SUMS", |copy| {
        copy.write("SHA256SUMS", copy.text("SHA256SUMS") + "\n")
    }),
    ("SIGNER", |copy| {
        fs::remove_file(copy.path(HSM_SIG)).unwrap()
    }),
    ("SIGNATURE-NAME", |copy| {
        copy.write("signatures/note.txt", "")
    }),
    ("SIGNATURE-FORM", |copy| {
        copy.write("signatures/note.sig", "")
    }),
    ("PURPOSE", |copy| sign_in_hsm(copy, "git")),
    ("SIGNATURE", |copy| {
        copy.write(HSM_SIG, copy.read("../one/signatures/hsm.sig"))
    }),
    ("HEAD", |_| {}),
    ("LISTED", |_| {}),
    ("RECEIPTS", |copy| copy.write("receipts/001.json", "{}")),
    ("MEMBERS", |copy| {
        forge_line(copy, "roll-call", "\"not asked\"", "5")
    }),
];

#[test]
fn both_show_a_medium_that_is_one_and_take_null_for_none() {
    for (told, shown) in [(format!("\"{ID}\""), true), ("null".to_owned(), false)] {
        let Some(copy) = copy(OTHER) else { return };
        forge_medium(&copy, &told);
        let output = copy.verify(&[]);
        well(&output);
        let line = format!("medium    {ID}");
        for said in [output, script(copy.dir.path(), &[&copy.record])] {
            let told = stdout(&said).lines().any(|said| said == line);
            assert_eq!(told, shown, "{}", stdout(&said));
        }
    }
}

/// READ alone has no case here: for whoever runs these tests as root there is no file that cannot be read.
#[test]
fn both_name_the_rule_that_does_not_hold_and_each_rule_has_a_case() {
    if records().is_none() {
        return;
    }
    let cases: BTreeSet<&str> = RULES
        .iter()
        .map(|(rule, _)| *rule)
        .chain(["READ"])
        .collect();
    let rules: BTreeSet<&str> = Rule::ALL.iter().map(|(_, name)| *name).collect();
    assert_eq!(cases, rules);
    for (name, change) in RULES {
        println!("{name}");
        let copy = copy(OTHER).unwrap();
        change(&copy);
        let forger = format!("forger {}\n", forger().public_key());
        fs::write(copy.dir.path().join("list"), forger).unwrap();
        let output = match name {
            "HEAD" => copy.verify(&["--head", &"0".repeat(64)]),
            "LISTED" => copy.verify(&["--signers", "list"]),
            _ => copy.verify(&[]),
        };
        assert_eq!(output.status.code(), Some(4), "{name}");
        assert_eq!(rule(&stderr(&output)), name);
    }
}

/// The page explains each rule; the script has each rule and each limit, and no other.
#[test]
fn page_and_script_have_byoks_rules_and_limits() {
    let page = include_str!("../../docs/transcript-format.md");
    let script = include_str!("../../ceremony-scripts/verify-record.sh");
    for (rule, name) in Rule::ALL {
        assert!(
            page.contains(&format!("\n| `{name}` | ")),
            "no row for {name}"
        );
        let judged = ["broken ", "\"", "against(\""].map(|before| format!("{before}{name}"));
        let judged = judged.iter().any(|text| {
            script
                .match_indices(text.as_str())
                .any(|(at, text)| script[at + text.len()..].starts_with([' ', '"']))
        });
        assert_eq!(judged, !rule.is_byoks_alone(), "{name}");
    }
    let known: BTreeSet<&str> = Rule::ALL.iter().map(|(_, name)| *name).collect();
    let rows = page.split("\n| rule | what holds |").nth(1).unwrap();
    let rows = rows
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| `"));
    let explained: BTreeSet<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(explained, known);
    let limits: BTreeMap<&str, u64> = script
        .lines()
        .filter(|line| {
            line.starts_with("longest_")
                || line.starts_with("largest_")
                || line.starts_with("most_")
        })
        .flat_map(|line| line.split(' '))
        .filter_map(|limit| limit.split_once('='))
        .map(|(name, number)| (name, number.parse().unwrap()))
        .collect();
    assert_eq!(limits, limits::ALL.into_iter().collect());
    let counted = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let lines = script.lines().filter(counted).count();
    assert!(
        lines <= 450,
        "{lines} lines of code: nobody reads them in one sitting"
    );
}

#[test]
fn both_have_the_same_limits() {
    let longer = |copy: &Records, path: &str, len: u64| {
        let file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(copy.path(path));
        file.unwrap().set_len(len).unwrap();
    };
    let line_of = |copy: &Records, len: usize| {
        let mut lines = copy.lines("transcript.jsonl");
        let at = place(&lines, "roll-call");
        let room = len - lines[at].len();
        lines[at] = lines[at].replacen(
            "not asked",
            &("not asked".to_owned() + &"x".repeat(room)),
            1,
        );
        copy.forge(&lines);
    };
    let keys = |copy: &Records, more: usize| {
        let mut lines = copy.lines("transcript.jsonl");
        let at = place(&lines, "key-generated");
        let line = lines[at].clone();
        let named = |n| line.replacen("\"label\":\"", &format!("\"label\":\"n{n}-"), 1);
        lines.splice(at..at, (0..more).map(named));
        copy.forge(&lines);
    };
    type Case<'a> = (&'a str, Option<&'a str>, &'a dyn Fn(&Records));
    let path = |copy: &Records, len: usize| {
        let mut inner = PathBuf::from("receipts");
        while inner.as_os_str().len() + 201 < len {
            inner.push("x".repeat(200));
        }
        fs::create_dir_all(copy.path("").join(&inner)).unwrap();
        inner.push("x".repeat(len - inner.as_os_str().len() - 1));
        fs::write(copy.path("").join(&inner), "").unwrap();
    };
    let signatures = |copy: &Records, more: usize| {
        for number in 0..more {
            copy.write(&format!("signatures/w{number}.sig"), copy.read(HSM_SIG));
        }
    };
    let under_shares = |copy: &Records, count: usize| {
        let labels = vec!["payments-2026"; count];
        let labels = serde_json::to_string(&labels).unwrap();
        let dealt = format!(r#""escrow-dealt",{DEALT},"labels":{labels},"package_sha256":"x""#);
        let mut lines = copy.lines("transcript.jsonl");
        let at = lines.len() - 1;
        lines.insert(at, told_with(&lines[at], &dealt));
        copy.forge(&lines);
    };
    let cases: [Case; 17] = [
        ("the most line feeds", Some("LINE"), &|copy| {
            copy.write("transcript.jsonl", "\n".repeat(limits::MOST_LINES as usize));
        }),
        ("a line feed more", Some("LIMIT"), &|copy| {
            copy.write(
                "transcript.jsonl",
                "\n".repeat(limits::MOST_LINES as usize + 1),
            );
        }),
        ("the most signatures", None, &|copy| {
            signatures(copy, limits::MOST_SIGNATURES as usize - 1)
        }),
        ("a signature more", Some("LIMIT"), &|copy| {
            signatures(copy, limits::MOST_SIGNATURES as usize)
        }),
        ("the longest path", Some("RECEIPTS"), &|copy| {
            path(copy, limits::LONGEST_PATH as usize)
        }),
        ("a path of a byte more", Some("LIMIT"), &|copy| {
            path(copy, limits::LONGEST_PATH as usize + 1)
        }),
        ("a path that no system opens", Some("LIMIT"), &|copy| {
            let mut make = Command::new("bash");
            make.args([
                "-c",
                "for i in {1..30}; do mkdir $0 && cd -P $0 || exit; done",
            ]);
            make.arg("x".repeat(200)).current_dir(copy.path(""));
            well(&make.output().unwrap());
        }),
        ("the longest line", None, &|copy| {
            line_of(copy, limits::LONGEST_LINE as usize)
        }),
        ("a line of a byte more", Some("LIMIT"), &|copy| {
            line_of(copy, limits::LONGEST_LINE as usize + 1);
        }),
        (
            "a line of a byte more that is no JSON",
            Some("LIMIT"),
            &|copy| {
                let lines = copy.text("transcript.jsonl");
                let longer = "x".repeat(limits::LONGEST_LINE as usize + 1) + "\n";
                copy.write("transcript.jsonl", lines + &longer);
            },
        ),
        ("a transcript of a byte more", Some("LIMIT"), &|copy| {
            longer(copy, "transcript.jsonl", limits::LONGEST_TRANSCRIPT + 1);
        }),
        ("the most data keys", None, &|copy| {
            keys(copy, limits::MOST_KEYS as usize - 1)
        }),
        ("a data key more", Some("LIMIT"), &|copy| {
            keys(copy, limits::MOST_KEYS as usize)
        }),
        ("the most labels under shares", None, &|copy| {
            under_shares(copy, limits::MOST_KEYS as usize)
        }),
        ("a label more", Some("LIMIT"), &|copy| {
            under_shares(copy, limits::MOST_KEYS as usize + 1)
        }),
        (
            "a record of a byte more than the largest",
            Some("LIMIT"),
            &|copy| {
                fs::create_dir_all(copy.path("receipts")).unwrap();
                for number in 0..limits::LARGEST_RECORD / limits::LONGEST_FILE {
                    longer(copy, &format!("receipts/{number}"), limits::LONGEST_FILE);
                }
            },
        ),
        ("a file more than the most", Some("LIMIT"), &|copy| {
            fs::create_dir_all(copy.path("receipts")).unwrap();
            for number in 0..limits::MOST_ENTRIES {
                fs::File::create(copy.path(&format!("receipts/{number}"))).unwrap();
            }
        }),
    ];
    for (name, broken, change) in cases {
        println!("{name}");
        let Some(copy) = copy(OTHER) else { return };
        change(&copy);
        let output = copy.verify(&[]);
        match broken {
            None => well(&output),
            Some(limit) => assert_eq!(rule(&stderr(&output)), limit, "{}", stderr(&output)),
        }
    }
}

/// Each thing at each data key; where that would be more rows than a transcript has lines, all of them at each data key.
#[test]
fn what_outlives_data_keys_is_told_in_no_more_rows_than_there_can_be_lines() {
    for (count, rows) in [(3, 9), (363, 363)] {
        let Some(copy) = copy(OTHER) else { return };
        let mut lines = copy.lines("transcript.jsonl");
        lines[0] = lines[0].replacen("\"kind\":\"generate\"", "\"kind\":\"destroy\"", 1);
        let key = lines[place(&lines, "key-generated")].clone();
        let json: Value = serde_json::from_str(&key).unwrap();
        let (label, id) = (json["label"].as_str().unwrap(), &json["cka_id"]);
        let end = lines.pop().unwrap();
        let twice = format!(
            r#""escrow-dealt",{DEALT},"labels":["{label}","{label}"],"package_sha256":"x""#
        );
        lines.push(told_with(&end, &twice));
        for n in 0..count {
            let named = key.replacen("\"label\":\"", &format!("\"label\":\"n{n}-"), 1);
            let (_, named) = named.split_once("\"event\":").unwrap();
            lines.push(told_with(&end, named.strip_suffix('}').unwrap()));
        }
        for n in 0..count {
            let gone = format!(
                r#""key-destroyed","label":"n{n}-{label}","cka_id":{id},"objects":1,"why":"w""#
            );
            lines.push(told_with(&end, &gone));
            let kept = format!(r#""escrow-destroyed","what":"form {n}","said":"not asked""#);
            lines.push(told_with(&end, &kept));
        }
        lines.push(end);
        copy.forge(&lines);
        let output = copy.verify(&["--json"]);
        well(&output);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let life = report["life"].as_array().unwrap();
        let told = |what: &str| life.iter().filter(|row| row["what"] == what).count();
        assert_eq!(told("not destroyed"), rows);
        assert_eq!(told("destroyed"), count);
        assert_eq!(told("shares dealt anew"), 1);
    }
}

/// What file managers leave, and what copies do to line ends: broken, and named for what it is.
#[test]
fn what_systems_leave_on_a_medium_is_named_for_what_it_is() {
    let cases: [(&str, &str, &str, Change); 8] = [
        ("a Mac's view", "MORE", "macOS leaves", |copy| {
            copy.write("payments/.DS_Store", "")
        }),
        ("a Mac's second half", "MORE", "macOS leaves", |copy| {
            copy.write("._plan.toml", "")
        }),
        ("Windows' pictures", "MORE", "Windows leaves", |copy| {
            copy.write("Thumbs.db", "")
        }),
        ("Windows' index", "MORE", "Windows leaves", |copy| {
            copy.write("System Volume Information/IndexerVolumeGuid", "");
        }),
        ("the folder of it", "EMPTY", "Windows leaves", |copy| {
            fs::create_dir(copy.path("System Volume Information")).unwrap();
        }),
        (
            "a Linux desktop's bin",
            "EMPTY",
            "a Linux desktop leaves",
            |copy| {
                fs::create_dir(copy.path(".Trash-1000")).unwrap();
            },
        ),
        ("CR LF in the transcript", "LINE", "CR LF", |copy| {
            copy.write(
                "transcript.jsonl",
                copy.text("transcript.jsonl").replace('\n', "\r\n"),
            );
        }),
        ("CR LF in the plan", "PLAN", "CR LF", |copy| {
            copy.write("plan.toml", copy.text("plan.toml").replace('\n', "\r\n"));
        }),
    ];
    for (name, rule_of_it, says, change) in cases {
        println!("{name}");
        let Some(copy) = copy(OTHER) else { return };
        change(&copy);
        let output = copy.verify(&[]);
        support::refused(&output, 4, &[says, "copy"]);
        assert_eq!(rule(&stderr(&output)), rule_of_it);
        let said = stdout(&script(copy.dir.path(), &[&copy.record]));
        let hints = !["PLAN", "EMPTY"].contains(&rule_of_it);
        assert!(!hints || said.contains("hint      "), "{said}");
    }
}

/// A text of several screens, and what would then pass for a verdict.
fn screens_of(blank: &str) -> String {
    format!("x{}verdict   authentic", blank.repeat(2000))
}

/// Text of the record never looks like the verifier's own: each is cut, its blanks are one, and the last line
/// of all is the verdict.
#[test]
fn no_text_of_a_record_poses_as_a_verdict() {
    let places: [(&str, &str, &str); 12] = [
        ("ceremony-opened", "title", ""),
        ("ceremony-opened", "ceremony", ""),
        ("ceremony-opened", "format", "FORMAT"),
        ("ceremony-opened", "previous_head", "MEMBERS"),
        ("sealed", "exposure", ""),
        ("key-generated", "label", "WRAPPED"),
        ("key-generated", "spec", ""),
        ("key-generated", "kcv", ""),
        ("key-generated", "fingerprint", ""),
        ("key-wrapped", "import", ""),
        ("key-wrapped", "path", "WRAPPED"),
        ("roll-call", "event", ""),
    ];
    let blanks = ["\u{a0}", "\u{3000}", "\u{3164}", "\u{2800}", "支"];
    let titles = blanks.map(|blank| (blank, [places[0]].to_vec()));
    for (blank, places) in titles.into_iter().chain([(" ", places.to_vec())]) {
        for (event, member, broken) in places {
            println!("{event} {member} {blank:?}");
            let Some(copy) = copy(OTHER) else { return };
            let mut lines = copy.lines("transcript.jsonl");
            let at = place(&lines, event);
            let members: serde_json::Value = serde_json::from_str(&lines[at]).unwrap();
            let text = format!("\"{member}\":\"{}\"", screens_of(blank));
            lines[at] = match members[member].as_str() {
                Some(was) => lines[at].replacen(&format!("\"{member}\":\"{was}\""), &text, 1),
                None => lines[at].replacen("\"event\"", &format!("{text},\"event\""), 1),
            };
            copy.forge(&lines);
            let output = copy.verify(&[]);
            assert_eq!(rule(&stderr(&output)), broken);
            let script = script(copy.dir.path(), &[&copy.record]);
            for said in [stdout(&output) + &stderr(&output), stdout(&script)] {
                quiet(&said);
            }
        }
    }
    let Some(copy) = copy(OTHER) else { return };
    let name = format!("x{}verdict   authentic", " ".repeat(200));
    copy.write(&name, "");
    let output = copy.verify(&[]);
    quiet(&stderr(&output));
    quiet(&stdout(&script(copy.dir.path(), &[&copy.record])));
}

fn quiet(said: &str) {
    assert!(said.len() < 8000, "{} bytes", said.len());
    let blanks = |c: char| c.is_whitespace() && c != '\n' || "\u{3164}\u{2800}".contains(c);
    for line in said.lines() {
        let text = line.trim_start_matches(blanks);
        let run = text
            .split(|c| !blanks(c))
            .map(|run| run.chars().count())
            .max();
        assert!(run.unwrap_or(0) < 25, "{line}");
        assert!(
            !line.starts_with("authentic") && !line.starts_with("verdict   authentic"),
            "{line}"
        );
    }
    let last = said.lines().last().unwrap();
    assert!(last.contains("verdict"), "{said}");
}

/// On a terminal both fold at its width, below where the text begins, and the verdict is the last line, also
/// with what comes next.
#[test]
fn both_fold_at_the_width_of_the_terminal_and_end_with_the_verdict() {
    let Some(copy) = copy(TWO) else { return };
    copy.forge_with(
        "\"title\":\"",
        &format!("\"title\":\"{}", "word ".repeat(23)),
    );
    for (columns, next) in [(60, false), (132, false), (80, true)] {
        let width = usize::from(columns).min(80); // no line is wider than usual
        let mut byok = Command::new(support::program());
        byok.args(["verify", &copy.record])
            .args(next.then_some("--next"));
        let mut bash = Command::new("bash");
        let path = "/ceremony-scripts/verify-record.sh";
        bash.arg(env!("CARGO_MANIFEST_DIR").to_owned() + path)
            .arg(&copy.record);
        for (mut command, verdict) in [
            (byok, "consistent, NOT AUTHENTICATED"),
            (bash, "consistent, not authenticated"),
        ] {
            command.current_dir(copy.dir.path()).env("NO_COLOR", "1");
            let ended = Pty::start_sized(command, columns, 24).end();
            let titled: Vec<&str> = ended
                .screen
                .lines()
                .filter(|line| line.contains("word word"))
                .collect();
            let widest = titled
                .iter()
                .map(|line| line.chars().count())
                .max()
                .unwrap();
            assert!(
                widest < width && widest + 20 > width,
                "{widest}: {}",
                ended.screen
            );
            assert!(
                titled[1..]
                    .iter()
                    .all(|line| line.starts_with("          word")),
                "{}",
                ended.screen
            );
            assert_eq!(
                ended.screen.lines().last(),
                Some(&*format!("verdict   {verdict}")),
                "{}",
                ended.screen
            );
        }
    }
}

#[test]
fn a_head_with_a_wrong_digit_names_the_row_and_another_digest_is_named() {
    let Some(good) = copy(OTHER) else { return };
    let head = good.head();
    let other = |at: usize| {
        let digit = if &head[at..=at] == "0" { "1" } else { "0" };
        format!("{}{digit}{}", &head[..at], &head[at + 1..])
    };
    let plan = sha256(&good.read("plan.toml"));
    for (given, says) in [
        (other(9), "only row 2 differs"),
        (other(63), "only row 8 differs"),
        (other(20)[..24].to_owned(), "only row 3 differs"),
        (plan.clone(), "it is another digest: plan_sha256 in line 1"),
        (
            plan[..24].to_owned(),
            "it is another digest: plan_sha256 in line 1",
        ),
    ] {
        let output = good.verify(&["--head", &given]);
        support::refused(
            &output,
            4,
            &[
                "not the one given",
                says,
                "a mistyped digit looks exactly like this",
                "the paper is for another record, or this one was changed",
                "byok: verdict: not the record of that head\n",
            ],
        );
        assert!(!stderr(&output).contains("broken"), "{}", stderr(&output));
        let told = stdout(&good.verify(&["--json", "--head", &given]));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["verdict"], "not the record of that head");
        assert_eq!(
            (&told["authenticated"], &told["rule"]),
            (&false.into(), &"HEAD".into())
        );
    }
    let row = |digits: &str| format!("{} {}", &digits[8..12], &digits[12..16]);
    let shown = format!("{} given, {} here", row(&other(9)), row(&head));
    let output = good.verify(&["--head", &other(9)]);
    support::refused(&output, 4, &[&shown]);
    let both_wrong = format!("{}{}", &other(1)[..8], &other(9)[8..]);
    support::refused(
        &good.verify(&["--head", &both_wrong]),
        4,
        &["rows 1, 2 differ"],
    );
    let none = good.verify(&["--head", &"0".repeat(24)]);
    support::refused(&none, 4, &["no row agrees"]);
}

/// Of the directory that a plan names as the previous record its transcript's head is looked at first.
#[test]
fn what_is_not_the_previous_record_is_not_read_to_its_end() {
    let big = |copy: &Records| {
        let file = fs::File::create(copy.path("../one/big")).unwrap();
        file.set_len(limits::LONGEST_FILE + 1).unwrap();
    };
    type Case<'a> = (&'a str, &'a dyn Fn(&Records));
    let cases: [Case; 3] = [
        ("its head is ", &|copy| {
            fs::remove_dir_all(copy.path("../one")).unwrap();
            fs::rename(copy.path("../other"), copy.path("../one")).unwrap();
            big(copy);
        }),
        ("transcript.jsonl: missing", &|copy| {
            fs::remove_file(copy.path("../one/transcript.jsonl")).unwrap();
            big(copy);
        }),
        ("transcript.jsonl: line 1: ", &|copy| {
            let file = fs::File::create(copy.path("../one/transcript.jsonl")).unwrap();
            file.set_len(limits::LONGEST_LINE).unwrap();
            std::io::Write::write_all(&mut &file, b"no\nrecord\n").unwrap();
            big(copy);
        }),
    ];
    for (says, change) in cases {
        println!("{says}");
        let Some(copy) = copy(TWO) else { return };
        change(&copy);
        support::refused(&copy.verify(&[]), 4, &["the previous record ", says]);
    }
}

/// What the caller's shell, environment and home say changes no verdict of the script.
#[test]
fn the_callers_environment_does_not_decide() {
    let Some(good) = copy(OTHER) else { return };
    let home = good.dir.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(
        home.join(".jq"),
        "def is_time: true; def test($x): true; def text($x): \"\";",
    )
    .unwrap();
    let start_up =
        "jq() { :; }; sha256sum() { echo 0; }; set -f; shopt -s nocasematch; alias find=true\n";
    fs::write(home.join("start-up"), start_up).unwrap();
    let broken = copy(OTHER).unwrap();
    flip(&broken, "README.txt");
    let start_up = home.join("start-up");
    type Environment<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let environments: [Environment; 11] = [
        (&[], &[("BASH_COMPAT", "31"), ("FIND_BLOCK_SIZE", "1")]),
        (
            &[],
            &[
                ("BASH_FUNC_set%%", "() { echo authentic; exit 0; }"),
                ("_POSIX2_VERSION", "199209"),
                ("OPENSSL_CONF", "/nowhere/x"),
            ],
        ),
        (
            &[],
            &[("SHELLOPTS", "braceexpand:noclobber:noglob:hashall")],
        ),
        (&[], &[("SHELLOPTS", "posix"), ("POSIXLY_CORRECT", "1")]),
        (
            &[],
            &[("BASHOPTS", "nullglob:nocasematch:failglob:extglob")],
        ),
        (&[], &[("BASH_ENV", start_up.to_str().unwrap())]),
        (
            &[],
            &[
                ("BASH_FUNC_sha256sum%%", "() { echo 0; }"),
                ("BASH_FUNC_jq%%", "() { :; }"),
            ],
        ),
        (&[], &[("HOME", home.to_str().unwrap())]),
        (
            &[],
            &[
                ("GREP_OPTIONS", "-v"),
                ("IFS", "x"),
                ("LC_ALL", "C.UTF-8"),
                ("CDPATH", "/"),
            ],
        ),
        (&["-f", "-C"], &[]),
        (&["-p"], &[("HOME", home.to_str().unwrap())]),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (options, variables) in environments {
        println!("{options:?} {variables:?}");
        for (record, verdict) in [
            (&good, "consistent, not authenticated\n"),
            (&broken, "broken: README.txt: "),
        ] {
            let mut bash = Command::new("bash");
            bash.env_clear()
                .env("PATH", &path)
                .envs(variables.iter().copied());
            bash.args(options).arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/ceremony-scripts/verify-record.sh"
            ));
            let output = bash
                .arg(&record.record)
                .current_dir(record.dir.path())
                .output()
                .unwrap();
            let said = stdout(&output) + &stderr(&output);
            assert!(stdout(&output).starts_with(verdict), "{said}");
        }
    }
}

// ---- receipts -----------------------------------------------------------------------------------

/// Writes an answer anew with its digest in the chain, as a forger does.
fn forge_answer(copy: &Records, number: usize, text: &str, members: &[(&str, &str)]) {
    copy.write(&format!("receipts/{number:03}.json"), text);
    let mut lines = copy.lines("receipts.jsonl");
    let line = &mut lines[number - 1];
    let at = line.find("\"sha256\":\"").unwrap() + 10;
    *line = format!(
        "{}{}{}",
        &line[..at],
        sha256(text.as_bytes()),
        &line[at + 64..]
    );
    for (from, to) in members {
        assert!(line.contains(from), "{from} is not in {line}");
        *line = line.replacen(from, to, 1);
    }
    copy.forge_receipts(&lines);
}

/// Writes the second answer anew with this in the place of its exit code.
fn forge_exit(copy: &Records, member: &str) {
    let text = copy.text("receipts/002.json");
    let changed = text.replacen("\"exit\": 0", member, 1);
    assert_ne!(text, changed);
    forge_answer(copy, 2, &changed, &[]);
}

#[test]
fn both_see_what_was_done_to_receipts() {
    table(
        ONE,
        &[
            (
                "an answer edited",
                As("receipts/002.json: its bytes"),
                |copy| copy.replace("receipts/002.json", "exit", "EXIT"),
            ),
            (
                "an answer missing",
                As("receipts/004.json is missing"),
                |copy| fs::remove_file(copy.path("receipts/004.json")).unwrap(),
            ),
            (
                "an answer that no line names",
                As("receipts/007.json: no line"),
                |copy| copy.write("receipts/007.json", "{}"),
            ),
            (
                "a receipt removed from the middle",
                As("receipts.jsonl: line 2: seq"),
                |copy| {
                    let mut lines = copy.lines("receipts.jsonl");
                    lines.remove(1);
                    copy.write_lines("receipts.jsonl", &lines);
                },
            ),
            (
                "receipts exchanged",
                As("receipts.jsonl: line 2: seq"),
                |copy| {
                    let mut lines = copy.lines("receipts.jsonl");
                    lines.swap(1, 2);
                    copy.write_lines("receipts.jsonl", &lines);
                },
            ),
            (
                "receipts exchanged and chained again",
                As("receipts.jsonl: line 2: its file"),
                |copy| {
                    let mut lines = copy.lines("receipts.jsonl");
                    lines.swap(1, 2);
                    copy.forge_receipts(&lines);
                },
            ),
            (
                "receipts of another record",
                As("receipts.jsonl: line 1: prev is not the head"),
                |copy| {
                    let lines = copy.lines("receipts.jsonl");
                    copy.chain("receipts.jsonl", &lines, &"7".repeat(64));
                },
            ),
            (
                "a cut line",
                As("receipts.jsonl: line 7: it is incomplete"),
                |copy| {
                    copy.write("receipts.jsonl", copy.text("receipts.jsonl") + "{\"seq\":7");
                },
            ),
            (
                "a line that says more than its answer",
                As("proves is not what receipts/002.json says"),
                |copy| {
                    let mut lines = copy.lines("receipts.jsonl");
                    lines[1] = lines[1].replace("accepted by KMS", "proved in KMS");
                    copy.forge_receipts(&lines);
                },
            ),
            (
                "spaces in a line",
                As("receipts.jsonl: line 2: it is not compact JSON"),
                |copy| {
                    let mut lines = copy.lines("receipts.jsonl");
                    lines[1] = lines[1].replacen(",\"proves\"", ", \"proves\"", 1);
                    copy.forge_receipts(&lines);
                },
            ),
            (
                "a control character in a line",
                As("receipts.jsonl: line 2: it has a character"),
                |copy| {
                    let mut lines = copy.lines("receipts.jsonl");
                    lines[1] =
                        lines[1].replacen(",\"proves\"", ",\"more\":\"\\u0001\",\"proves\"", 1);
                    copy.forge_receipts(&lines);
                },
            ),
            (
                "a short KeyMaterialId",
                As("receipts.jsonl: line 2"),
                |copy| {
                    let text = copy.text("receipts/002.json").replace(ID, "ab");
                    forge_answer(copy, 2, &text, &[(ID, "ab")]);
                },
            ),
            (
                "a line feed in a KeyMaterialId",
                As("receipts.jsonl: line 2"),
                |copy| {
                    let text = copy.text("receipts/002.json");
                    let text = text.replace(ID, &format!("{}\\n", &ID[1..]));
                    forge_answer(copy, 2, &text, &[]);
                },
            ),
            (
                "arguments that are no text",
                As("receipts.jsonl: line 2"),
                |copy| forge_exit(copy, "\"arguments\": 5, \"exit\": 0"),
            ),
            (
                "an exit code with a point, and another one within",
                As("receipts.jsonl: line 2"),
                |copy| forge_exit(copy, "\"exit\": 0.0, \"more\": {\"exit\": 7}"),
            ),
            (
                "no exit code but one within a text",
                As("receipts.jsonl: line 2"),
                |copy| forge_exit(copy, "\"more\": \"{\\\"exit\\\": 0}\""),
            ),
            (
                "an exit code that says less than its line",
                As("receipts.jsonl: line 2"),
                |copy| forge_exit(copy, "\"exit\": 7"),
            ),
            ("another format", As("not byok-receipts-v1"), |copy| {
                let mut lines = copy.lines("receipts.jsonl");
                lines[0] = lines[0].replace("receipts-v1", "receipts-v2");
                copy.forge_receipts(&lines);
            }),
            (
                "a time before the line above",
                As("its time is before the line above"),
                |copy| {
                    let mut lines = copy.lines("receipts.jsonl");
                    lines[3] = lines[3].replacen("\"at\":\"2", "\"at\":\"1", 1);
                    copy.forge_receipts(&lines);
                },
            ),
            (
                "an answer of another ceremony",
                As("receipts/002.json: "),
                |copy| {
                    let ceremony = copy.text("receipts/002.json");
                    let at = ceremony.find("\"ceremony\": \"").unwrap() + 13;
                    let text = format!(
                        "{}{}{}",
                        &ceremony[..at],
                        "0".repeat(32),
                        &ceremony[at + 32..]
                    );
                    forge_answer(copy, 2, &text, &[]);
                },
            ),
            (
                "an answer of another KMS key",
                As("receipts/004.json: "),
                |copy| {
                    let text =
                        json!({"KeyId": ARN.replace("1234abcd", "abcd1234"), "KeyMaterialId": ID})
                            .to_string();
                    forge_answer(copy, 4, &text, &[]);
                },
            ),
            (
                "an answer of other material",
                As("receipts/003.json: "),
                |copy| {
                    let text = copy.text("receipts/003.json").replace(ID, &"1".repeat(64));
                    forge_answer(copy, 3, &text, &[(ID, &"1".repeat(64))]);
                },
            ),
            (
                "an answer with a key twice",
                As("receipts/002.json: "),
                |copy| {
                    let text = copy
                        .text("receipts/002.json")
                        .replacen("{", "{\"exit\": 1, ", 1);
                    forge_answer(copy, 2, &text, &[]);
                },
            ),
            (
                "an answer with a key twice, deeper",
                As("receipts/005.json: "),
                |copy| {
                    let text = copy.text("receipts/005.json").replacen(
                        "\"KeyId\"",
                        "\"KeyId\": {\"a\": []}, \"KeyId\"",
                        1,
                    );
                    forge_answer(copy, 5, &text, &[]);
                },
            ),
            (
                "an event within an answer with a key twice",
                As("receipts/006.json: "),
                |copy| {
                    let text = copy.text("receipts/006.json").replacen(
                        "\"{",
                        "\"{\\\"eventName\\\":1,",
                        1,
                    );
                    forge_answer(copy, 6, &text, &[]);
                },
            ),
            (
                "an exit code that is no integer",
                As("receipts/002.json: "),
                |copy| {
                    let text =
                        copy.text("receipts/002.json")
                            .replacen("\"exit\": 0", "\"exit\": 0.0", 1);
                    forge_answer(copy, 2, &text, &[]);
                },
            ),
            (
                "an answer with a comma too many",
                As("receipts/002.json: "),
                |copy| {
                    let text = copy.text("receipts/002.json").replacen("0,", "0,,", 1);
                    forge_answer(copy, 2, &text, &[]);
                },
            ),
            (
                "an answer that is an error message",
                As("receipts/002.json: "),
                |copy| {
                    forge_answer(copy, 2, "An error occurred (AccessDenied)", &[]);
                },
            ),
            ("an answer with NUL", As("receipts/002.json: "), |copy| {
                forge_answer(copy, 2, &(copy.text("receipts/002.json") + "\0"), &[]);
            }),
            (
                "an answer with white space of Unicode",
                As("receipts/002.json: "),
                |copy| {
                    forge_answer(copy, 2, &(copy.text("receipts/002.json") + "\u{a0}"), &[]);
                },
            ),
            (
                "a state that cannot be shown",
                As("receipts/005.json: "),
                |copy| {
                    let text = copy
                        .text("receipts/005.json")
                        .replace("CURRENT", "CURRENT\\u202e");
                    forge_answer(copy, 5, &text, &[]);
                },
            ),
            (
                "no receipts, but answers",
                As("no line of receipts.jsonl names this file"),
                |copy| {
                    fs::remove_file(copy.path("receipts.jsonl")).unwrap();
                },
            ),
        ],
    );
}

/// What nothing in the record vouches for: both say that it holds.
#[test]
fn both_take_receipts_that_say_the_same_in_another_form() {
    let Some(good) = copy(ONE) else { return };
    let paper = good.head();
    let changes: [(&str, Change); 9] = [
        ("white space around an exit code", |copy| {
            forge_exit(copy, "\"exit\"\t\r\n :\r\n\t 0\r\t\n ")
        }),
        ("an exit code with an escaped letter in its name", |copy| {
            forge_exit(copy, "\"e\\u0078it\":0")
        }),
        ("other exit codes within", |copy| {
            forge_exit(copy, "\"more\": [{\"exit\": 7.5}, {}], \"exit\": 0")
        }),
        ("arguments that are null", |copy| {
            forge_exit(copy, "\"exit\": 0, \"arguments\": null")
        }),
        ("a receipt removed from the end", |copy| {
            let lines = copy.lines("receipts.jsonl");
            copy.write_lines("receipts.jsonl", &lines[..5]);
            fs::remove_file(copy.path("receipts/006.json")).unwrap();
        }),
        ("the same answer with a byte-order mark", |copy| {
            let text = copy.text("receipts/002.json");
            forge_answer(copy, 2, &format!("\u{feff} {text}\n"), &[]);
        }),
        ("a member that a later version knows", |copy| {
            let mut lines = copy.lines("receipts.jsonl");
            lines[1] =
                lines[1].replacen(",\"proves\"", ",\"later\":[1,{\"a\":null}],\"proves\"", 1);
            copy.forge_receipts(&lines);
        }),
        ("a member that an older version did not know", |copy| {
            let mut lines = copy.lines("receipts.jsonl");
            lines[1] = lines[1].replacen("\"exit\":0,", "", 1);
            copy.forge_receipts(&lines);
        }),
        ("no receipts at all", |copy| {
            fs::remove_file(copy.path("receipts.jsonl")).unwrap();
            fs::remove_dir_all(copy.path("receipts")).unwrap();
        }),
    ];
    for (name, change) in changes {
        println!("{name}");
        let copy = copy(ONE).unwrap();
        change(&copy);
        let output = copy.verify(&["--head", &paper]);
        well(&output);
        assert!(stdout(&output).starts_with("authentic"), "{name}");
    }
}

#[test]
fn both_follow_to_the_record_before() {
    table(
        TWO,
        &[
            (
                "a receipt removed that this record built on",
                As("are gone or changed"),
                |copy| {
                    let lines: Vec<_> = copy.lines("../one/receipts.jsonl");
                    copy.write_lines("../one/receipts.jsonl", &lines[..5]);
                    fs::remove_file(copy.path("../one/receipts/006.json")).unwrap();
                },
            ),
            (
                "all receipts removed that this record built on",
                As("are gone or changed"),
                |copy| {
                    fs::remove_file(copy.path("../one/receipts.jsonl")).unwrap();
                    fs::remove_dir_all(copy.path("../one/receipts")).unwrap();
                },
            ),
            (
                "a byte changed in the record before",
                As("the previous record"),
                |copy| flip(copy, "../one/README.txt"),
            ),
            (
                "another record in the place of the one before",
                As("the previous record"),
                |copy| {
                    fs::remove_dir_all(copy.path("../one")).unwrap();
                    fs::rename(copy.path("../other"), copy.path("../one")).unwrap();
                },
            ),
            (
                "another fingerprint compared with the record before",
                As("the previous record"),
                |copy| {
                    let text = copy.text("transcript.jsonl");
                    let line = text.lines().find(|line| line.contains("\"same-material\""));
                    let line = line.unwrap().to_owned();
                    let at = line.find("\"fingerprint\":\"").unwrap() + 15;
                    let digit = if &line[at..=at] == "0" { "1" } else { "0" };
                    let other = format!("{}{digit}{}", &line[..at], &line[at + 1..]);
                    copy.forge_with(&line, &other);
                },
            ),
            (
                "a data key compared that the record before does not have",
                As("the previous record"),
                |copy| {
                    let text = copy.text("transcript.jsonl");
                    let line = text.lines().find(|line| line.contains("\"same-material\""));
                    let line = line.unwrap().to_owned();
                    copy.forge_with(&line, &line.replace(LABEL, "payments-2025"));
                },
            ),
            ("another previous_head", As("the previous record"), |copy| {
                let head = sha256(&copy.read("../one/transcript.jsonl"));
                let other = sha256(&copy.read("../other/transcript.jsonl"));
                copy.forge_with(
                    &format!("\"previous_head\":\"{head}"),
                    &format!("\"previous_head\":\"{other}"),
                );
            }),
        ],
    );
    let Some(good) = copy(TWO) else { return };
    let paper = good.head();
    let at = |copy: &Records, args: &[&str]| copy.verify(&[&["--head", &paper], args].concat());
    let following = at(&good, &[]);
    well(&following);
    assert!(
        stdout(&following).contains("previous  "),
        "{}",
        stdout(&following)
    );

    // One that is nowhere is no failure; one level below --previous it is found by its head.
    let copied = copy(TWO).unwrap();
    fs::create_dir(copied.path("../archive")).unwrap();
    fs::rename(copied.path("../one"), copied.path("../archive/2026")).unwrap();
    let nowhere = at(&copied, &[]);
    assert!(
        stdout(&nowhere).contains("not followed"),
        "{}",
        stdout(&nowhere)
    );
    well(&at(&copied, &["--previous", "records/archive"]));
    assert_eq!(
        at(&copied, &["--previous", "nowhere"]).status.code(),
        Some(2)
    );
    flip(&copied, "../archive/2026/README.txt");
    assert_eq!(
        at(&copied, &["--previous", "records/archive"])
            .status
            .code(),
        Some(4)
    );
    // A record that is given and leads nowhere must hold too.
    flip(&copied, "../other/plan.toml");
    assert_eq!(
        at(&copied, &["--previous", "records/other"]).status.code(),
        Some(4)
    );
}

// ---- good records -------------------------------------------------------------------------------

/// Both call it consistent without its head, and authentic with it.
#[track_caller]
fn good(directory: &Path, record: &str) {
    let output = both(directory, &[record]);
    well(&output);
    let head = sha256(&fs::read(directory.join(record).join("transcript.jsonl")).unwrap());
    let spaced = format!(
        "\u{a0}{}\u{2003}{}\u{3000}",
        &head[..8].to_uppercase(),
        &head[8..]
    );
    for anchor in [&head[..], &head[..24], &head.to_uppercase(), &spaced] {
        well(&both(directory, &["--head", anchor, record]));
    }
    let other = if head.starts_with('0') { "1" } else { "0" }.to_owned() + &head[1..];
    assert_eq!(
        both(directory, &["--head", &other, record]).status.code(),
        Some(4)
    );
}

#[test]
fn both_take_what_ceremonies_write() {
    let Some(room) = records() else { return };
    for record in [ONE, TWO, OTHER] {
        good(room.dir.path(), record);
    }
    assert!(room.transcript(ONE).lines[0]["title"] == TITLE);
}

/// A record that compares no data key with the one before it says nothing of what vouches for that one.
#[test]
fn what_compares_nothing_vouches_for_no_record_before() {
    let Some(copy) = copy(TWO) else { return };
    let head = copy.head();
    let output = copy.verify(&["--head", &head]);
    assert!(
        stdout(&output).contains(": authentic, "),
        "{}",
        stdout(&output)
    );
    forge_line(
        &copy,
        "same-material",
        "\"same-material\"",
        "\"some-material\"",
    );
    let head = copy.head();
    let output = copy.verify(&["--head", &head]);
    well(&output);
    assert!(stdout(&output).contains(": holds, "), "{}", stdout(&output));
}

/// An event that poses as the end of a ceremony that was done.
const SEALED_TOO: &str =
    "\"event\":\"sealed\",\"outcome\":\"aborted\",\"exposure\":\"\",\"exceptions\":0";

#[test]
fn both_take_aborted_records() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(room.path("pin"), "wrong-pin-of-the-tests").unwrap();
    support::refused(&room.run(), 3, &["CKR_PIN_INCORRECT"]);
    let record = format!("records/{}", room.beside()[0]);
    good(room.dir.path(), &record);
    // Nothing in it poses as sealed.
    let copy = Records::of(room.dir.path(), &record);
    forge_line(&copy, "aborted", "\"event\":\"aborted\"", SEALED_TOO);
    support::refused(
        &copy.verify(&[]),
        4,
        &["it does not fit the lines above it"],
    );
    copy.forge_with(SEALED_TOO, "\"event\":\"aborted\"");
    well(&copy.verify(&[]));
    fs::remove_file(copy.path("plan.toml")).unwrap();
    assert_eq!(
        copy.verify(&[]).status.code(),
        Some(4),
        "it is listed and not removed"
    );
}

#[test]
fn both_take_what_is_kept_nowhere_what_came_back_and_what_was_destroyed() {
    let Some(mut old) = escrow::room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    old.plan.keep = "none".into();
    old.run_well();
    good(old.dir.path(), ONE);
    let Some(mut new) = Room::new(Kind::SoftHsm) else {
        return;
    };
    new.use_kms_key(old.kms.clone());
    new.plan.kind = "recover".into();
    new.plan.keep = "none".into();
    new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    let previous = old.path(ONE).display().to_string();
    let head = sha256(&old.transcript(ONE).bytes);
    let on = format!("previous = \"{previous}\"\nprevious_head = \"{head}\"\n");
    new.plan.top_more = format!("{on}reuse_escrow = \"a test\"\n");
    let shares = escrow::shares(&old.path("shares"));
    escrow::lay(&new.path("brought"), &[&shares[0].1, &shares[1].1]);
    new.run_well();
    good(new.dir.path(), ONE);

    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let made = sha256(&room.run_well().bytes);
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    room.plan.directory = TWO.into();
    room.plan.top_more =
        format!("previous = \"{ONE}\"\nprevious_head = \"{made}\"\nreason = \"end of life\"\n");
    well(&room.run());
    good(room.dir.path(), TWO);
}

#[test]
fn both_take_a_rehearsal_and_say_that_it_is_one() {
    let Some(module) = Kind::SoftHsm.module() else {
        return;
    };
    let room = tempfile::tempdir().unwrap();
    let mut byok = Command::new(support::program());
    byok.args(["rehearse", "--directory", "practice", "--module"])
        .arg(module)
        .current_dir(room.path());
    well(&byok.output().unwrap());
    let run = fs::read_dir(room.path().join("practice"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let directory: PathBuf = run.path();
    for record in ["record", "record-reimport", "record-recover"] {
        good(&directory, record);
        let said = stdout(&script(&directory, &[record]));
        assert!(
            said.contains("REHEARSAL: this record is practice"),
            "{said}"
        );
    }
    a_rehearsal_that_poses_as_real_is_found_out(&directory);
}

/// The flag edited and every line chained again: what the HSM signed was practice.
fn a_rehearsal_that_poses_as_real_is_found_out(practice: &Path) {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&practice.join("record"), &dir.path().join("record"));
    let copy = Records {
        dir,
        record: "record".into(),
    };
    let paper = copy.head();
    let list = format!("hsm {}\n", named_key(&copy));
    fs::write(copy.dir.path().join("list"), list).unwrap();
    well(&copy.verify(&["--signers", "list"]));
    let _ = fs::remove_file(copy.path("receipts.jsonl"));
    let _ = fs::remove_dir_all(copy.path("receipts"));
    copy.chain_anew_with("\"rehearsal\":true", "\"rehearsal\":false");
    for args in [&[][..], &["--signers", "list"], &["--head", &paper]] {
        support::refused(
            &copy.verify(args),
            4,
            &["signatures/hsm.sig: signed for \"byok-rehearsal\""],
        );
    }
    // Signed anew by another key it holds together; the paper and a list of signers find it out.
    copy.forge(&copy.lines("transcript.jsonl"));
    well(&copy.verify(&[]));
    support::refused(&copy.verify(&["--signers", "list"]), 4, &["no listed key"]);
    support::refused(&copy.verify(&["--head", &paper]), 4, &["not the one given"]);
}

// ---- the script itself --------------------------------------------------------------------------

#[test]
fn the_script_says_loudly_that_nothing_vouches_for_a_record() {
    let Some(room) = records() else { return };
    let said = stdout(&script(room.dir.path(), &[ONE]));
    assert!(
        said.starts_with("consistent, not authenticated\nNOTHING FROM OUTSIDE VOUCHES"),
        "{said}"
    );
    let head = sha256(&room.transcript(ONE).bytes);
    let said = stdout(&script(room.dir.path(), &["--head", &head, ONE]));
    assert!(
        said.starts_with("authentic\n") && !said.contains("NOTHING"),
        "{said}"
    );
}

#[test]
fn the_script_takes_any_path_and_refuses_what_it_does_not_know() {
    let Some(room) = records() else { return };
    let copy = Records::of(room.dir.path(), ONE);
    let records = copy.dir.path().join("records");
    fs::rename(records.join("one"), records.join("-one")).unwrap();
    well(&script(&records, &["--", "-one"]));
    well(&script(&records, &["./-one/"]));
    well(&script(&records.join("-one"), &["."]));
    let name = "a record\n with 'all'";
    fs::rename(records.join("-one"), records.join(name)).unwrap();
    well(&script(&records, &[name]));
    for args in [
        &[][..],
        &["nowhere"],
        &["one", "two"],
        &["--head", "12", "other"],
        &["--head", "flytrap liberty quota", "other"],
        &["--head"],
        &["--wrong", "other"],
        &["--signers", "nowhere", "other"],
        &["--previous", "nowhere", "other"],
        &["other/plan.toml"],
    ] {
        let output = script(&records, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
    }
}

/// Neither calls it broken: it is a part of a record, or the directory above one.
#[test]
fn both_say_where_the_record_is_when_something_beside_it_is_given() {
    let Some(copy) = copy(ONE) else { return };
    let above = copy.dir.path().join("records");
    fs::write(above.join("note.txt"), "x").unwrap();
    for (given, says) in [
        ("one/transcript.jsonl", "is part of a record"),
        ("one/payments-2026/eu-west-1", "is part of a record"),
        (".", "holds records, but is not a record itself"),
        ("note.txt", "is a file, and a record is a directory"),
    ] {
        support::refused(&both(&above, &[given]), 2, &[says]);
        let says = "the whole directory in which transcript.jsonl lies";
        support::refused(&script(&above, &[given]), 2, &[says]);
    }
    // What has lost its transcript is a broken record, wherever it lies.
    fs::remove_file(copy.path("transcript.jsonl")).unwrap();
    support::refused(&both(&above, &["one"]), 4, &["transcript.jsonl"]);
}

/// A record on paper: the lines of the documentation, and both verifiers on them.
#[test]
fn both_take_the_known_answers_of_the_documentation() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/transcript-format.md");
    let document = fs::read_to_string(document).unwrap();
    let answers = document.split("## Known answers").nth(1).unwrap();
    let (_, text) = answers.split_once("```text\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let digests: Vec<&str> = answers.split('`').filter(|word| word.len() == 64).collect();
    let lines: Vec<&str> = text.lines().collect();
    for (line, digest) in lines.iter().zip(&digests) {
        assert_eq!(sha256(line.as_bytes()), *digest);
    }
    let head = digests[lines.len()];
    assert_eq!(sha256(text.as_bytes()), head);
    let room = tempfile::tempdir().unwrap();
    let record = room.path().join("record");
    fs::create_dir(&record).unwrap();
    fs::write(record.join("transcript.jsonl"), text).unwrap();
    fs::write(
        record.join("SHA256SUMS"),
        format!("{head}  transcript.jsonl\n"),
    )
    .unwrap();
    good(room.path(), "record");
}

/// The commands that the documentation gives to be typed, on a record as it was and as somebody changed it.
#[test]
fn the_documents_commands_see_what_both_see() {
    let page = include_str!("../../docs/transcript-format.md");
    let commands = page
        .split("```sh\n")
        .find(|text| text.starts_with("sums()"));
    let commands = commands.unwrap().split("```").next().unwrap();
    // The chain takes many processes a line: the first two runs are enough for that.
    let (_, but_the_chain) = commands.split_once("# the plan (rule 3)\n").unwrap();
    let (sums, _) = commands.split_once('\n').unwrap();
    let but_the_chain = format!("{sums}\n{but_the_chain}");
    let findings = |copy: &Records, commands: &str| {
        let mut bash = Command::new("bash");
        let output = bash
            .args(["-c", commands])
            .current_dir(copy.path(""))
            .output();
        let output = output.unwrap();
        let said = stdout(&output) + &stderr(&output);
        let expected = |line: &&str| {
            ["ceremony-opened", "sealed", "2"].contains(line)
                || line.ends_with(": OK")
                || line.starts_with("Good \"byok-ceremony\" signature")
                || **line == format!("{}  transcript.jsonl", copy.head())
        };
        let unexpected: Vec<&str> = said.lines().filter(|line| !expected(line)).collect();
        unexpected.join("\n")
    };
    let Some(good) = copy(ONE) else { return };
    assert_eq!(findings(&good, commands), "");
    let changes: [(&str, &str, Change); 14] = [
        ("a bit flipped", "line ", |copy| {
            flip(copy, "transcript.jsonl")
        }),
        ("the report edited", "transcript.html: FAILED", |copy| {
            flip(copy, "transcript.html")
        }),
        ("a file missing", "import.sh: FAILED", |copy| {
            fs::remove_file(copy.path("import.sh")).unwrap()
        }),
        ("a hidden file more", "> .hidden", |copy| {
            copy.write(".hidden", "")
        }),
        ("an import.sh more", "> more/import.sh", |copy| {
            copy.write("more/import.sh", "")
        }),
        ("an empty directory", "./more", |copy| {
            fs::create_dir(copy.path("more")).unwrap()
        }),
        ("a link", "./link", |copy| {
            symlink("plan.toml", copy.path("link")).unwrap()
        }),
        (
            "a note that poses as a result",
            "> import-result.txt",
            |copy| copy.write("import-result.txt", ""),
        ),
        (
            "the signature removed",
            "Couldn't read signature file",
            |copy| fs::remove_file(copy.path(HSM_SIG)).unwrap(),
        ),
        ("a signature by another key", "Could not verify", |copy| {
            forger().sign(&copy.path(""), false)
        }),
        ("a note among the signatures", "./signatures/note", |copy| {
            copy.write("signatures/note", "")
        }),
        ("a second signer", "two lines name a signer", |copy| {
            let mut lines = copy.lines("transcript.jsonl");
            let at = place(&lines, "transcript-signer");
            lines.insert(at, lines[at].clone());
            copy.forge(&lines);
        }),
        ("a fingerprint of another key", "> SHA256:", |copy| {
            let from = "\"fingerprint\":\"SHA256:";
            forge_only(copy, "transcript-signer", from, &format!("{from}A"));
        }),
        (
            "nobody named who signs",
            "nobody is named who signs",
            |copy| {
                let mut lines = copy.lines("transcript.jsonl");
                lines.remove(place(&lines, "transcript-signer"));
                copy.chain_anew(&lines);
            },
        ),
    ];
    for (name, says, change) in changes {
        println!("{name}");
        let copy = copy(OTHER).unwrap();
        change(&copy);
        let whole = says == "line ";
        let found = findings(&copy, if whole { commands } else { &but_the_chain });
        assert!(found.contains(says), "{name}: {found}");
        assert_eq!(copy.verify(&[]).status.code(), Some(4), "{name}");
    }
}

#[test]
fn the_script_reads_a_thousand_lines() {
    let Some(copy) = copy(ONE) else { return };
    let mut lines = copy.lines("transcript.jsonl");
    let at = place(&lines, "roll-call");
    let line = lines[at].clone();
    lines.splice(at..at, std::iter::repeat_n(line, 1000));
    without_receipts(&copy);
    copy.forge(&lines);
    well(&script(copy.dir.path(), &[&copy.record]));
}

/// An aborted record names what it removed again: however much, it is looked up.
#[test]
fn the_script_looks_up_what_was_removed() {
    if !has_jq() {
        return;
    }
    let aborted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/0.1.0/aborted");
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&aborted, &dir.path().join("records/many"));
    let copy = Records {
        dir,
        record: "records/many".into(),
    };
    let mut lines = copy.lines("transcript.jsonl");
    let end = lines.len() - 1;
    let output = lines[place(&lines, "output-written")].clone();
    let paths: Vec<String> = (0..5_000).map(|n| format!("p/{n}")).collect();
    let named = |path: &String| output.replacen("plan.toml", path, 1);
    lines.splice(end..end, paths.iter().map(named));
    let end = lines.last_mut().unwrap();
    let none = "\"removed\":[]";
    assert!(end.contains(none), "{end}");
    *end = end.replace(none, &format!("\"removed\":{}", json!(paths)));
    copy.chain_anew(&lines);
    copy.sums_anew();
    well(&copy.verify(&[]));
}

/// A point on the curve whose x is 5: nobody drew it.
#[test]
fn both_take_no_signer_that_openssh_refuses() {
    let Some(other) = copy(OTHER) else { return };
    let aborted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/0.1.0/aborted");
    let text = |line: &str, member: &str| {
        let from = line.split_once(&format!("\"{member}\":\"")).unwrap().1;
        from.split_once('"').unwrap().0.to_owned()
    };
    let lines = other.lines("transcript.jsonl");
    let signer = &lines[place(&lines, "transcript-signer")];
    let small = "ecdsa-sha2-nistp256 \
                 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFRZJDuapYGAb+kTvOmYF63hHKUDxk2aPFM0FcCDJI+8w=";
    let digest = PublicKey::parse(small).unwrap();
    for (key, breaks) in [
        (text(signer, "public_key"), false),
        (small.to_owned(), true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&aborted, &dir.path().join("records/aborted"));
        let copy = Records {
            dir,
            record: "records/aborted".into(),
        };
        let mut lines = copy.lines("transcript.jsonl");
        let end = lines.len() - 1;
        let (begin, _) = lines[end].split_once(",\"event\"").unwrap();
        let (_, rest) = signer.split_once(",\"event\"").unwrap();
        let fingerprint = match breaks {
            true => format!("{digest:?}"),
            false => text(signer, "fingerprint"),
        };
        let line = format!("{begin},\"event\"{rest}")
            .replace(&text(signer, "public_key"), &key)
            .replace(&text(signer, "fingerprint"), &fingerprint);
        lines.insert(end, line);
        copy.chain_anew(&lines);
        copy.sums_anew();
        let output = copy.verify(&[]);
        match breaks {
            false => well(&output),
            true => assert_eq!(rule(&stderr(&output)), "SIGNER", "{}", stderr(&output)),
        }
    }
}

/// Wherever the temporary files lie.
#[test]
fn the_script_takes_a_relative_directory_for_temporary_files() {
    let Some(copy) = copy(OTHER) else { return };
    fs::create_dir(copy.dir.path().join("-x y")).unwrap();
    for directory in ["./-x y", "-x y"] {
        let mut script = script_in(copy.dir.path());
        let output = script.arg(&copy.record).env("TMPDIR", directory);
        well(&output.output().unwrap());
    }
    let left = fs::read_dir(copy.dir.path().join("-x y")).unwrap().count();
    assert_eq!(left, 0);
}

/// From a shell that cannot start to a program that cannot: the record is good, so nothing else may be said of it.
#[test]
fn a_program_that_fails_is_no_broken_record() {
    let Some(copy) = copy(OTHER) else { return };
    let mut judged_nothing = false;
    for kilobytes in [
        5000, 6000, 7000, 7500, 8000, 8500, 9000, 10_000, 12_000, 16_000,
    ] {
        let inner = script_in(copy.dir.path());
        let mut run = Command::new("bash");
        run.args(["-c", "ulimit -v $0; exec \"$@\""])
            .arg(kilobytes.to_string());
        run.arg("bash").args(inner.get_args()).arg(&copy.record);
        let output = run.current_dir(copy.dir.path()).output().unwrap();
        let said = stdout(&output) + &stderr(&output);
        let code = output.status.code();
        assert!(!said.contains("broken"), "{kilobytes}: {said}");
        assert!(code != Some(4), "{kilobytes}: {said}");
        assert_eq!(
            code == Some(0),
            said.starts_with("consistent, "),
            "{kilobytes}: {code:?} {said}"
        );
        judged_nothing |= code == Some(5);
    }
    assert!(judged_nothing);
}

/// Who reads the first lines only is told nothing else.
#[test]
fn a_reader_who_leaves_is_no_full_disk() {
    let Some(copy) = copy(OTHER) else { return };
    let mut inner = script_in(copy.dir.path());
    inner.arg(&copy.record);
    let mut run = Command::new("bash");
    run.args([
        "-c",
        "\"$@\" | { read -r line; echo \"$line\"; exec <&-; }; exit \"${PIPESTATUS[0]}\"",
        "x",
        "bash",
    ]);
    let output = run
        .args(inner.get_args())
        .current_dir(copy.dir.path())
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "consistent, not authenticated\n");
    assert_eq!(stderr(&output), "");
    assert!(
        [0, 141].contains(&output.status.code().unwrap()),
        "{output:?}"
    );
}

/// Full from one moment on after another: the record is good, so nothing else may be said of it.
#[test]
fn a_full_disk_is_no_broken_record() {
    let Some(copy) = copy(OTHER) else { return };
    let Some(way) = support::namespace(&["--mount"]) else {
        return;
    };
    fs::create_dir(copy.dir.path().join("small")).unwrap();
    let mut codes = BTreeSet::new();
    for pages in [
        1, 2, 3, 4, 5, 6, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 2000,
    ] {
        let inner = script_in(copy.dir.path());
        let mut run = Command::new(way[0]);
        run.args(&way[1..]).args(["sh", "-c"]);
        run.arg("mount -t tmpfs -o size=$0k tmpfs small || exit 77; TMPDIR=small exec \"$@\"");
        run.arg((pages * 4).to_string()).arg("bash");
        let output = run.args(inner.get_args()).arg(&copy.record);
        let output = output.current_dir(copy.dir.path()).output().unwrap();
        let said = stdout(&output) + &stderr(&output);
        match output.status.code() {
            Some(77) => return support::skip("no tmpfs can be mounted"),
            Some(0) => assert!(
                said.starts_with("consistent, not authenticated\n"),
                "{said}"
            ),
            Some(5) => assert!(
                said.contains("temporary files is full: nothing is judged\n"),
                "{said}"
            ),
            code => panic!("{pages}: {code:?}: {said}"),
        }
        assert!(!said.contains("broken"), "{said}");
        codes.insert(output.status.code());
    }
    assert_eq!(codes.len(), 2, "{codes:?}");
}
