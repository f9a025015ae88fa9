//! `byok share check`: from a file and typed at a terminal, against a record, a package, or nothing.

use crate::support;

use std::fs;
use std::process::{Output, Stdio};
use std::time::Duration;

use expectrl::session::OsSession;
use expectrl::{Eof, Expect as _, Session};
use serde_json::Value;
use support::escrow::{of_no_group, slow};
use support::{Kind, Room, refused, stderr, stdout};

const CUSTODIANS: [&str; 3] = ["Security", "Audit", "Treasury"];
const AUDIT: &str = "02-Audit.txt";

fn dealt() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.run_with_escrow(2, &CUSTODIANS);
    Some(room)
}

fn check(room: &Room, args: &[&str]) -> Output {
    room.byok(&[&["share", "check"], args].concat())
        .output()
        .unwrap()
}

fn write_share(room: &Room, name: &str, words: &[&str]) {
    let text = format!("a form\n{}\n", words.join(" "));
    fs::write(room.path(name), text).unwrap();
}

/// Neither the share's value words nor the share itself are in what was said.
#[track_caller]
fn says_no_words(output: &Output, share: &str) {
    let said = stdout(output) + &stderr(output);
    let words: Vec<&str> = share.split(' ').collect();
    for three in words.windows(2) {
        assert!(!said.contains(&three.join(" ")), "{said}");
    }
}

#[test]
fn a_record_tells_whose_share_it_is() {
    let Some(room) = dealt() else { return };
    let share = room.share(AUDIT);
    let path = format!("shares/{AUDIT}");
    let transcript = room.transcript("records/one");
    let ceremony = transcript.event("ceremony-opened")["ceremony"]
        .as_str()
        .unwrap();

    let output = check(&room, &["--record", "records/one", "--share", &path]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.contains(&format!("share 2 of 3, Audit, of ceremony\n{ceremony};")),
        "{said}"
    );
    for wanted in [
        "any 2 of 3 shares open",
        "NOT AUTHENTICATED",
        "Alone it opens nothing",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    says_no_words(&output, &share);

    let head = support::sha256(&transcript.bytes);
    let output = check(
        &room,
        &[
            "--record",
            "records/one",
            "--head",
            &head,
            "--share",
            &path,
            "--json",
        ],
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let handed_out = &transcript.events("share-handed-out")[1]["share_sha256"];
    assert_eq!(
        answer,
        serde_json::json!({"good": true, "rehearsal": false, "ceremony": ceremony, "share": 2, "threshold": 2,
            "shares": 3, "custodian": "Audit", "share_sha256": handed_out, "authenticated": true})
    );
    says_no_words(&output, &share);

    let another = "0".repeat(64);
    let args = [
        "--record",
        "records/one",
        "--head",
        &another,
        "--share",
        &path,
    ];
    refused(&check(&room, &args), 4, &["head"]);
    refused(
        &check(&room, &["--record", "nowhere", "--share", &path]),
        2,
        &["no such record"],
    );
    fs::write(room.path("records/one/plan.toml"), "broken").unwrap();
    let args = ["--record", "records/one", "--share", &path];
    refused(&check(&room, &args), 4, &["plan.toml"]);
}

#[test]
fn a_package_tells_nothing_but_its_ceremony() {
    let Some(room) = dealt() else { return };
    let path = format!("shares/{AUDIT}");
    let package = "records/one/escrow-package.json";
    let output = check(&room, &["--package", package, "--share", &path]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    for wanted in [
        "checksum holds",
        "share 2",
        "any 2",
        "A package does not say whose share",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    assert!(!said.contains("Audit"), "{said}");

    let output = check(&room, &["--package", package, "--share", &path, "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["good"], true);
    assert_eq!(answer["custodian"], Value::Null);

    let output = check(&room, &["--share", &path]);
    assert!(
        stdout(&output).contains("Only a record (--record) says"),
        "{}",
        stdout(&output)
    );
    let both = [
        "--package",
        package,
        "--record",
        "records/one",
        "--share",
        &path,
    ];
    refused(&check(&room, &both), 2, &["cannot be used with"]);
}

#[test]
fn what_is_no_share_of_this_ceremony_exits_4() {
    let (Some(room), Some(other)) = (dealt(), dealt()) else {
        return;
    };
    let right = room.share(AUDIT);
    let words: Vec<&str> = right.split(' ').collect();
    let against_record = |name: &str| check(&room, &["--record", "records/one", "--share", name]);

    let foreign = other.share(AUDIT);
    write_share(
        &room,
        "foreign.txt",
        &foreign.split(' ').collect::<Vec<_>>(),
    );
    let output = against_record("foreign.txt");
    refused(
        &output,
        4,
        &[
            "never dealt this share",
            "share 2 of a different set",
            "[SHARE]",
        ],
    );
    says_no_words(&output, &foreign);

    let mut wrong = words.clone();
    wrong[16] = if wrong[16] == "academic" {
        "acid"
    } else {
        "academic"
    };
    write_share(&room, "wrong.txt", &wrong);
    let output = against_record("wrong.txt");
    refused(&output, 4, &["row", "17", "[SHARE]"]);
    // Words of the list that byok's own sentences have, whatever the share.
    let of_byok = ["again", "check", "exact", "explain", "security"];
    let said = stderr(&output);
    assert!(
        of_byok.contains(&words[16]) || !said.contains(words[16]),
        "{said}"
    );
    says_no_words(&output, &right);

    let output = check(
        &room,
        &["--record", "records/one", "--share", "wrong.txt", "--json"],
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &answer["good"]),
        (Some(4), &Value::Bool(false))
    );
    assert!(
        answer["why"].as_str().unwrap().contains("not a share"),
        "{answer}"
    );

    let at = (5..30).find(|at| words[*at] != words[at + 1]).unwrap();
    let mut exchanged = words.clone();
    exchanged.swap(at, at + 1);
    write_share(&room, "exchanged.txt", &exchanged);
    let pair = format!("rows {} and {}", at + 1, at + 2);
    refused(&against_record("exchanged.txt"), 4, &[&pair]);

    write_share(&room, "short.txt", &words[..32]);
    refused(&against_record("short.txt"), 2, &["32 words"]);

    // Forms of the standard in which byok deals none: with a record, and with nothing to hold it against.
    for (forged, says) in [
        (slow(&right), "its iteration exponent is 15"),
        (
            of_no_group(&right),
            "a group that its own set does not have",
        ),
    ] {
        let forged: Vec<&str> = forged.split(' ').collect();
        write_share(&room, "forged.txt", &forged);
        let says = [says, "[SHARE]", "byok never dealt it"];
        refused(&against_record("forged.txt"), 4, &says);
        refused(&check(&room, &["--share", "forged.txt"]), 4, &says);
    }
}

#[test]
fn a_record_without_escrow_is_not_the_one() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    fs::write(room.path("share.txt"), "words\n").unwrap();
    let args = ["--record", "records/one", "--share", "share.txt"];
    refused(
        &check(&room, &args),
        2,
        &["neither this ceremony nor an earlier one whose record is here dealt shares"],
    );
}

#[test]
fn a_record_that_reused_shares_leads_to_the_one_that_dealt_them() {
    let Some(mut room) = dealt() else { return };
    let one = room.transcript("records/one");
    let dealt_by = one.event("ceremony-opened")["ceremony"]
        .as_str()
        .unwrap()
        .to_owned();
    room.plan.top_more = format!(
        "previous = \"records/one\"\nprevious_head = \"{}\"\n",
        support::sha256(&one.bytes)
    );
    room.plan.kind = "reimport".into();
    room.plan.more.clear();
    room.plan.directory = "records/two".into();
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let path = format!("shares/{AUDIT}");
    let args = ["--record", "records/two", "--share", &path];
    let output = check(&room, &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    for wanted in [
        format!("share 2 of 3, Audit, of ceremony\n{dealt_by};"),
        "an earlier ceremony, whose shares are still in use; its record:\n/".into(),
        "/records/one\n".into(),
    ] {
        assert!(said.contains(&wanted), "{said}");
    }
    // Where that record is not, nobody knows the shares.
    fs::rename(room.path("records/one"), room.path("lost")).unwrap();
    refused(
        &check(&room, &args),
        2,
        &["dealt shares", "ceremony id is on the share form"],
    );
}

#[test]
fn words_are_typed_only_where_nobody_else_sees_them() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    refused(&check(&room, &[]), 2, &["typed at a terminal", "--share"]);
    for name in ["SSH_CONNECTION", "TMUX", "STY"] {
        let mut command = room.byok(&["share", "check"]);
        let output = command.env(name, "set").output().unwrap();
        refused(&output, 5, &[name, "[SCREEN]", "--screen-recorded"]);
    }
    let allowed = ["share", "check", "--screen-recorded", "a lab"];
    let output = room.byok(&allowed).env("TMUX", "set").output().unwrap();
    refused(&output, 2, &["typed at a terminal"]);
    let output = check(&room, &["--screen-recorded", " "]);
    refused(&output, 2, &["wants a reason"]);
}

struct Custodian(OsSession);

impl Custodian {
    fn at(room: &Room, args: &[&str]) -> Self {
        let mut command = room.byok(&[&["share", "check"], args].concat());
        command.env("TERM", "xterm").stdin(Stdio::inherit());
        let mut session = Session::spawn(command).unwrap();
        session.set_expect_timeout(Some(Duration::from_secs(30)));
        Self(session)
    }

    #[track_caller]
    fn answer(&mut self, question: &str, answer: &str) {
        let asked = self.0.expect(question);
        asked.unwrap_or_else(|e| panic!("{question}: {e}"));
        // What is typed before a question stands is dropped.
        std::thread::sleep(Duration::from_millis(60));
        self.0.send_line(answer).unwrap();
    }

    #[track_caller]
    fn type_words(&mut self, words: &[&str]) {
        for (at, word) in words.iter().enumerate() {
            self.answer(&format!("row {:>2} of 33: ", at + 1), word);
        }
    }

    /// What else it said, and how it ended.
    fn end(mut self) -> (String, String) {
        let rest = self.0.expect(Eof).unwrap();
        let said = String::from_utf8_lossy(rest.as_bytes()).into_owned();
        let ended = format!("{:?}", self.0.get_process().wait().unwrap());
        (said, ended)
    }
}

/// The word that was typed by its first letters: one of the two that stand for a mistake.
fn spelled(letters: &str) -> &str {
    if letters == "acad" {
        "academic"
    } else {
        "acid"
    }
}

#[test]
fn a_custodian_types_it_and_is_told_the_row_to_look_at() {
    let Some(room) = dealt() else { return };
    let share = room.share(AUDIT);
    let words: Vec<&str> = share.split(' ').collect();
    let mut four_letters: Vec<&str> = words.iter().map(|word| &word[..4]).collect();
    let right = four_letters[16];
    four_letters[16] = if right == "acad" { "acid" } else { "acad" };

    let mut custodian = Custodian::at(&room, &["--record", "records/one"]);
    custodian.answer("only you look: ", "");
    custodian.answer("row  1 of 33: ", "nonsense");
    custodian.answer("not in the word list", four_letters[0]);
    custodian.answer("row  2 of 33: ", "back");
    custodian.0.expect("Typing goes on at row 1.").unwrap();
    custodian.type_words(&four_letters);
    let shown = custodian.0.expect("letter by letter").unwrap();
    let shown = String::from_utf8_lossy(shown.before()).into_owned();
    let marked = format!("> 17 {}", spelled(four_letters[16]));
    for cell in [
        &format!("15 {}", words[14]),
        &marked,
        &format!("18 {}", words[17]),
    ] {
        assert!(shown.contains(cell.as_str()), "{cell}: {shown}");
    }
    assert!(!shown.contains(words[16]), "the word was guessed: {shown}");
    custodian.answer("row 17 of 33: ", "note");
    custodian.answer("There is no transcript here", "back");
    custodian.answer("Which row do you type again?", "34");
    custodian.answer("The rows are 1 to 33.", "17 boring");
    custodian.answer("Type the number alone", "again 17");
    custodian.0.expect("Typing goes on at row 17.").unwrap();
    custodian.answer("row 17 of 33: ", right);
    for row in 18..=33 {
        custodian.answer(&format!("row {row} of 33: "), four_letters[row - 1]);
    }
    let (said, ended) = custodian.end();
    assert!(said.contains("share 2 of 3, Audit"), "{said}");
    assert!(
        said.contains("\u{1b}[3J"),
        "the screen was not wiped: {said}"
    );
    assert!(ended.contains(", 0)"), "{ended}");

    let mut custodian = Custodian::at(&room, &["--record", "records/one"]);
    custodian.answer("only you look: ", "");
    custodian.type_words(&four_letters);
    custodian.answer("row 17 of 33: ", "stop");
    let (said, ended) = custodian.end();
    assert!(said.contains("these words are not a share"), "{said}");
    assert!(said.contains("\u{1b}[3J"), "{said}");
    assert!(ended.contains(", 4)"), "{ended}");
}
