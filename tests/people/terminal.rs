//! The ceremony as people meet it: byok at a terminal, every prompt answered rightly and wrongly.

use crate::support;

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use unicode_width::UnicodeWidthStr as _;

use support::pty::{APPROVE, CTRL_C, CTRL_D, Ended, Pty};
use support::{
    Kind, LABEL, PIN, Room, SHA_256, Transcript, fits, folded, last_rows, openssl_check_values,
    refused, sha256, skip, stderr,
};

const NAME: &str = "Who is at the keyboard? Name: ";
const ASK_PIN: &str = " PIN of the HSM token \"ceremony\" (nothing is shown while you type): ";
const STOP: &str = "type STOP to end the ceremony, Enter to go on: ";
const WRITTEN: &str = " Press Enter when it is written: ";
const LAST: &str = "Type LAST to try once more, anything else to stop: ";
const OPERATOR: &str = "Ada Lovelace";
const HAVE: &str = " Press Enter when you have this: ";
const WRAPPED: &str = "records/one/payments-2026/eu-west-1/WrappedKeyMaterial.bin";

/// A room whose plan leaves everything to people: the PIN is typed, and rows of the slip are.
fn room() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan.pin = "prompt".into();
    room.plan.wrapping_key_sha256 = None;
    Some(room)
}

/// The same behind the proxy, which notes every call in `calls`.
fn watched_room(rules: &str) -> Option<Room> {
    let mut room = room()?;
    let rules = format!("log:{};{rules}", room.path("calls").display());
    room.behind_proxy(&rules)?;
    Some(room)
}

/// What came of every C_Login.
fn logins(room: &Room) -> Vec<String> {
    let calls = fs::read_to_string(room.path("calls")).unwrap_or_default();
    let logins = calls.lines().filter_map(|l| l.strip_prefix("C_Login "));
    logins.map(str::to_owned).collect()
}

fn start(room: &Room) -> Pty {
    room.write_plan();
    Pty::start(room.byok(&["run", "plan.toml"]))
}

/// Up to the prompt for the PIN.
fn until_pin(room: &Room) -> Pty {
    let mut pty = start(room);
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, OPERATOR);
    pty
}

/// Up to the first row of the slip.
fn until_slip(room: &Room) -> Pty {
    let mut pty = until_pin(room);
    pty.answer(ASK_PIN, PIN);
    pty.expect("Type key.");
    pty
}

/// What the slip of the online side shows: `LC_ALL=C sha256sum * | sha256sum` beside the files.
fn slip(room: &Room) -> [u8; 32] {
    let file = fs::read(room.path("inputs/eu-west-1.json")).unwrap();
    digest(format!("{}  eu-west-1.json\n", sha256(&file)).as_bytes())
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let bytes = support::openssl(&["dgst", "-sha256", "-binary"], bytes);
    bytes.try_into().unwrap()
}

/// Row `number` of a digest as hex digits in two groups.
fn in_hex(digest: &[u8; 32], number: usize) -> String {
    let hex = support::hex(&digest[(number - 1) * 4..number * 4]);
    format!("{} {}", &hex[..4], &hex[4..])
}

/// Row `number` of a digest as four words.
fn in_words(digest: &[u8; 32], number: usize) -> String {
    let row = byok::ground::words::row(digest, number);
    row.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
}

/// Waits for the question of a row and says which row it wants.
#[track_caller]
fn asked_row(pty: &mut Pty, of: &str) -> usize {
    let shown = pty.expect(&format!(" of the digest {of} ("));
    pty.expect(" of 3):\n   8 hex digits or 4 words: ");
    let number = shown.rsplit("Row ").next().unwrap();
    number.split(' ').next().unwrap().parse().unwrap()
}

/// Types all three rows, each as `typed` says.
#[track_caller]
fn type_rows(pty: &mut Pty, of: &str, typed: impl Fn(usize) -> String) -> Vec<usize> {
    let mut rows = Vec::new();
    for _ in 0..3 {
        let row = asked_row(pty, of);
        pty.enter(&typed(row));
        rows.push(row);
    }
    rows
}

/// The same for the digest over all parameter files, in hex.
#[track_caller]
fn type_slip(pty: &mut Pty, room: &Room) {
    let slip = slip(room);
    type_rows(pty, "of the parameter files", |row| in_hex(&slip, row));
}

/// From the PIN on, everything right.
#[track_caller]
fn well(mut pty: Pty, room: &Room) -> (Ended, Transcript) {
    type_slip(&mut pty, room);
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    (ended, room.transcript("records/one"))
}

/// The run ended with this exit code, left an aborted record, and nothing in the token.
#[track_caller]
fn rolled_back(pty: Pty, room: &Room, code: i32) -> (Ended, Transcript) {
    let ended = pty.end();
    assert_eq!(ended.code, Some(code), "{}", ended.screen);
    assert!(!room.path("records/one").exists());
    assert!(!room.path("records/one.incomplete").exists());
    assert_eq!(room.objects(), [""; 0]);
    let transcript = room.aborted();
    let last = transcript.lines.last().unwrap();
    assert_eq!(last["event"], "aborted");
    assert_eq!(last["exit"], code);
    (ended, transcript)
}

/// Nothing was made, on disk or in the token.
#[track_caller]
fn nothing_made(room: &Room) {
    assert_eq!(room.beside(), [""; 0]);
    assert_eq!(room.objects(), [""; 0]);
}

#[test]
fn a_whole_ceremony_asks_shows_and_records_what_people_did() {
    let Some(room) = watched_room("") else {
        return;
    };
    let mut pty = start(&room);
    pty.expect(APPROVE);
    let settings = pty.settings();
    assert!(
        settings.contains("-isig") && settings.contains(" echo "),
        "{settings}"
    );
    pty.enter("Yes");
    pty.answer(NAME, OPERATOR);
    pty.expect(ASK_PIN);
    assert!(pty.settings().contains("-echo "), "echo is on");
    pty.enter(PIN);
    let slip = slip(&room);
    let rows = type_rows(&mut pty, "of the parameter files", |row| in_hex(&slip, row));
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);

    let screen = &ended.screen;
    let plan = fs::read(room.path("plan.toml")).unwrap();
    for (place, text) in [("the plan's digest", &plan), ("the head", &record(&room))] {
        for row in 1..=8 {
            let shown = format!("row {row}   {}", in_hex(&digest(text), row));
            assert!(screen.contains(&shown), "{place}, {shown}:\n{screen}");
            assert!(screen.contains(byok::ground::words::row(&digest(text), row).as_str()));
        }
    }
    let meaning = [
        "PRODUCTION",
        "Payments data key, eu-west-1",
        "payments-2026   SYMMETRIC_DEFAULT, 32 bytes, inside the HSM",
        "eu-west-1, account 1111 2222 3333",
        "key 1234abcd-12ab-34cd-56ef-1234567890ab",
        "inside the HSM, RSAES_OAEP_SHA_1",
        "never expires",
        "escrow    NONE",
        "records/one (new)",
        " PRODUCTION. Nothing has been made yet.",
        "\n step 1 of 13  open the record\n",
        "\n step 12 of 13  seal\n",
        "SEALED",
        "no exceptions recorded",
        "cd records\n",
        "cp -r one /media/usb1",
        "needs the folder payments-2026/eu-west-1",
    ];
    for text in meaning {
        assert!(screen.contains(text), "{text:?}:\n{screen}");
    }
    let head = format!("{}  records/one/transcript.jsonl\n", sha256(&record(&room)));
    assert!(
        !screen.contains(&head),
        "that line is for programs:\n{screen}"
    );
    assert!(!screen.contains(PIN), "{screen}");
    assert!(!screen.contains('\x1b'), "{screen}");
    fits(screen);
    let (approval, _) = screen.split_once(APPROVE).unwrap();
    assert!(
        approval.lines().count() < 24,
        "the approval scrolls:\n{screen}"
    );
    let (before, last) = screen.rsplit_once("step 13 of 13").unwrap();
    assert!(
        last.lines().count() < 24,
        "the last screen scrolls:\n{screen}"
    );
    let page = last_rows(before.split_once(WRITTEN).unwrap().0, 24);
    assert!(page.contains("step 13 of 13: the head digest"), "{page}");
    assert!(
        !page.contains("step 12 of 13"),
        "something else stands there:\n{page}"
    );

    let transcript = room.transcript("records/one");
    assert_eq!(transcript.event("plan-approved")["how"], "typed");
    assert_eq!(transcript.event("roll-call")["operator"], OPERATOR);
    assert_eq!(transcript.event("hsm-opened")["logins"], 1);
    let [a, b, c] = rows[..] else { panic!() };
    assert_eq!(
        transcript.event("import-parameters-read")["two_sided_check"],
        format!("rows {a}, {b}, {c} of the parameter files' digest typed")
    );
    assert_eq!(logins(&room), ["CKR_OK"]);
    let key = room.openssl_opens(WRAPPED);
    let (kcv, _) = openssl_check_values(&key);
    assert_eq!(transcript.event("key-generated")["kcv"], kcv.as_str());
    assert!(screen.contains(&format!("KCV {kcv}")));
}

/// A screen without the questions between its pages. The last page comes after `Press Enter for the digest:`.
fn without_pages(screen: &str) -> String {
    let page =
        |line: &str| line.starts_with(" Page ") && line.contains("Press Enter for the rest: ");
    let lines = screen.lines().filter(|line| !page(line));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The text of a narrow screen, without spaces, and without the questions between its pages.
fn without_turns(text: &str) -> String {
    let mut parts = text.split("Page");
    let first = parts.next().unwrap_or_default().to_owned();
    let after = |part: &str| match part.split_once("PressEnterfortherest:") {
        Some((_, rest)) => rest.to_owned(),
        None if part.ends_with('.') => String::new(), // the question for the digest follows
        None => format!("Page{part}"),
    };
    first + &parts.map(after).collect::<String>()
}

/// The same without what stands above its pages.
fn without_tops(text: &str) -> String {
    let mut parts = text.split("byok0.1.0PRODUCTION");
    assert_eq!(parts.next(), Some(""), "{text}");
    let below = parts.map(|part| part.split_once("Paymentsdatakey,eu-west-1").unwrap().1);
    below.collect()
}

fn record(room: &Room) -> Vec<u8> {
    fs::read(room.path("records/one/transcript.jsonl")).unwrap()
}

#[test]
fn only_yes_with_a_capital_approves() {
    let Some(room) = room() else {
        return;
    };
    for answer in ["yes", "YES", "y", "Y", "Yes please", "no", "stop"] {
        let mut pty = start(&room);
        pty.answer(APPROVE, answer);
        // A yes is hardly meant as a no: it is asked for once more, and then it ends all the same.
        let meant = ["y", "yes"].contains(&answer.to_lowercase().as_str());
        if meant {
            let said = pty.answer(APPROVE, answer);
            assert!(
                said.contains("Not approved yet: only Yes, with a capital Y"),
                "{said}"
            );
        }
        let ended = pty.end();
        assert_eq!(ended.code, Some(1), "{answer:?}:\n{}", ended.screen);
        assert_eq!(ended.screen.contains("Not approved yet"), meant);
        assert!(ended.screen.contains("the plan was not approved"));
        fits(&ended.screen);
        nothing_made(&room);
    }
    let mut pty = start(&room);
    pty.answer(APPROVE, "yes");
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, OPERATOR);
}

#[test]
fn enter_alone_neither_approves_nor_ends_the_ceremony() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = start(&room);
    pty.answer(APPROVE, "");
    let asked = pty.answer(APPROVE, "  ");
    assert_eq!(
        asked,
        format!("\n Nothing was typed, so nothing is decided.\n{APPROVE}")
    );
    pty.answer(APPROVE, "yes");
    pty.answer(APPROVE, ""); // the question that follows a small yes is no other
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, OPERATOR);
}

#[test]
fn nobody_s_name_is_not_a_name() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = start(&room);
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, "");
    pty.answer(NAME, "   ");
    pty.answer(NAME, "Zo\u{eb} \u{652f}\u{6255}");
    pty.answer(ASK_PIN, PIN);
    let (_, transcript) = well(pty, &room);
    assert_eq!(
        transcript.event("roll-call")["operator"],
        "Zo\u{eb} \u{652f}\u{6255}"
    );
}

#[test]
fn each_pin_typed_is_tried_once() {
    let Some(room) = watched_room("") else {
        return;
    };
    let mut pty = until_pin(&room);
    pty.answer(ASK_PIN, "a-wrong-pin-1");
    pty.expect("That PIN was wrong.");
    pty.answer(ASK_PIN, "");
    pty.expect("Nothing was typed, so nothing was tried.");
    pty.answer(ASK_PIN, "a-wrong-pin-\u{1b}[C");
    let told = pty.expect("Type it again.");
    assert!(told.contains("Nothing was tried: it holds a control character"));
    support::fits(&told);
    pty.answer(ASK_PIN, PIN);
    let (ended, transcript) = well(pty, &room);
    assert_eq!(logins(&room), ["CKR_PIN_INCORRECT", "CKR_OK"]);
    assert_eq!(transcript.event("hsm-opened")["logins"], 2);
    for secret in [PIN, "a-wrong-pin-1"] {
        assert!(!ended.screen.contains(secret), "{}", ended.screen);
        assert!(
            !String::from_utf8(transcript.bytes.clone())
                .unwrap()
                .contains(secret)
        );
    }
}

#[test]
fn what_was_typed_before_the_pin_was_asked_for_is_no_pin() {
    let Some(room) = watched_room("") else {
        return;
    };
    let mut pty = start(&room);
    pty.answer(APPROVE, "Yes");
    pty.expect(NAME);
    pty.keys(format!("{OPERATOR}\rtyped-ahead\r").as_bytes());
    pty.answer(ASK_PIN, PIN);
    well(pty, &room);
    assert_eq!(logins(&room), ["CKR_OK"]);
}

#[test]
fn a_token_that_says_few_tries_are_left_is_tried_on() {
    let Some(room) = watched_room("pin-flags:1") else {
        return;
    };
    let mut pty = until_pin(&room);
    pty.answer(ASK_PIN, PIN);
    well(pty, &room);
    assert_eq!(logins(&room), ["CKR_OK"]);
}

#[test]
fn the_first_wrong_pin_says_that_few_tries_are_left() {
    let Some(room) = watched_room("pin-flags") else {
        return;
    };
    let mut pty = until_pin(&room);
    pty.answer(ASK_PIN, "a-wrong-pin-1");
    pty.expect("The token says that few tries are left.");
    pty.answer(ASK_PIN, PIN);
    well(pty, &room);
}

#[test]
fn the_last_try_needs_the_word_last() {
    for answer in ["last", "yes", "LAST TRY"] {
        let Some(room) = watched_room("pin-flags:1") else {
            return;
        };
        let mut pty = until_pin(&room);
        pty.answer(ASK_PIN, "a-wrong-pin-1");
        pty.expect("ONE try is left; the next wrong PIN locks it");
        pty.expect("THE NEXT WRONG PIN LOCKS THE TOKEN");
        pty.answer(LAST, "");
        pty.expect("Nothing was typed, so nothing is decided.");
        pty.answer(LAST, answer);
        let (ended, _) = rolled_back(pty, &room, 1);
        assert!(ended.screen.contains("the token is not locked"));
        assert_eq!(logins(&room), ["CKR_PIN_INCORRECT"], "{answer:?}");
    }
}

#[test]
fn last_and_the_right_pin_open_the_token() {
    let Some(room) = watched_room("pin-flags:2") else {
        return;
    };
    let mut pty = until_pin(&room);
    pty.answer(LAST, "LAST");
    pty.answer(ASK_PIN, PIN);
    well(pty, &room);
    assert_eq!(logins(&room), ["CKR_OK"]);
}

#[test]
fn last_and_a_wrong_pin_lock_the_token_and_end_the_ceremony() {
    let Some(room) = watched_room("pin-flags:2") else {
        return;
    };
    let mut pty = until_pin(&room);
    pty.answer(LAST, "LAST");
    pty.answer(ASK_PIN, "a-wrong-pin-1");
    let (ended, _) = rolled_back(pty, &room, 3);
    assert!(ended.screen.contains("locked"), "{}", ended.screen);
    assert_eq!(logins(&room), ["CKR_PIN_LOCKED"]);
}

#[test]
fn a_locked_token_is_never_tried() {
    let Some(room) = watched_room("pin-flags:3") else {
        return;
    };
    let pty = until_pin(&room);
    let (ended, _) = rolled_back(pty, &room, 3);
    assert!(ended.screen.contains("security officer resets it"));
    assert!(!ended.screen.contains(ASK_PIN), "{}", ended.screen);
    assert_eq!(logins(&room), [""; 0]);
}

#[test]
fn two_people_type_half_a_pin_each() {
    let Some(mut room) = watched_room("") else {
        return;
    };
    room.plan.pin = "prompt-halves".into();
    let (left, right) = PIN.split_at(9);
    let mut pty = until_pin(&room);
    for (first, second) in [(right, left), (left, right)] {
        pty.answer(
            "First person: your half of the PIN (nothing is shown): ",
            first,
        );
        pty.answer(
            "Second person: your half of the PIN (nothing is shown): ",
            second,
        );
    }
    let (ended, _) = well(pty, &room);
    assert_eq!(logins(&room), ["CKR_PIN_INCORRECT", "CKR_OK"]);
    for half in [left, right] {
        assert!(!ended.screen.contains(half), "{}", ended.screen);
    }
}

#[test]
fn rows_of_the_slip_are_taken_as_words_too_and_typed_again_after_a_slip() {
    let Some(room) = room() else {
        return;
    };
    let slip = slip(&room);
    let mut pty = until_slip(&room);
    for mistakes in [0, 1, 2] {
        let of = "of the parameter files";
        for _ in 0..mistakes {
            let row = asked_row(&mut pty, of);
            let other = row % 8 + 1;
            pty.enter(&in_words(&slip, other));
            pty.expect(&format!("That is row {other} of this digest."));
        }
        let row = asked_row(&mut pty, of);
        pty.enter(&in_words(&slip, row).to_uppercase());
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
}

#[test]
fn three_wrong_rows_end_the_ceremony() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = until_slip(&room);
    for wrong in ["00000000", "", "no such row", "0000 0001", "00000002"] {
        asked_row(&mut pty, "of the parameter files");
        pty.enter(wrong); // what is no row at all does not count
    }
    let (ended, transcript) = rolled_back(pty, &room, 4);
    assert!(
        ended.screen.contains("it is not counted"),
        "{}",
        ended.screen
    );
    assert!(ended.screen.contains("Tries left: 1"), "{}", ended.screen);
    assert!(ended.screen.contains("[TWO-SIDED]"), "{}", ended.screen);
    let hints = folded(&ended.screen);
    let (_, hints) = hints.split_once("hint: ").unwrap();
    assert!(hints.starts_with("is it the wrong slip"), "{hints}");
    assert!(hints.contains("run the same plan again"), "{hints}");
    fits(&ended.screen);
    assert!(transcript.events("key-intended").is_empty());
    assert!(transcript.events("import-parameters-read").is_empty());
}

#[test]
fn who_has_only_the_wrapping_key_s_digest_types_rows_of_that() {
    let Some(room) = room() else {
        return;
    };
    let of = "of the wrapping key for payments-2026/eu-west-1";
    let key = digest(&room.kms.spki);
    let mut pty = until_slip(&room);
    asked_row(&mut pty, "of the parameter files");
    pty.enter("key");
    let rows = type_rows(&mut pty, of, |row| in_words(&key, row));
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let (asked, _) = ended.screen.split_once("step 6 of 13").unwrap();
    fits(asked);
    let [a, b, c] = rows[..] else { panic!() };
    assert_eq!(
        room.transcript("records/one")
            .event("import-parameters-read")["two_sided_check"],
        format!("rows {a}, {b}, {c} of the wrapping key's digest typed")
    );
}

#[test]
fn another_wrapping_key_s_digest_is_refused() {
    let Some(room) = room() else {
        return;
    };
    let other = digest(b"another key");
    let mut pty = until_slip(&room);
    asked_row(&mut pty, "of the parameter files");
    pty.enter("key");
    for _ in 0..3 {
        let row = asked_row(&mut pty, "of the wrapping key for payments-2026/eu-west-1");
        pty.enter(&in_hex(&other, row));
    }
    rolled_back(pty, &room, 4);
}

/// Every question of a ceremony, and how to come to it.
const QUESTIONS: [&str; 4] = [APPROVE, NAME, ASK_PIN, "8 hex digits or 4 words: "];

fn until_question(room: &Room, question: &str) -> Pty {
    let mut pty = start(room);
    for (asked, answer) in QUESTIONS.iter().zip(["Yes", OPERATOR, PIN, ""]) {
        pty.expect(asked);
        if *asked == question {
            break;
        }
        pty.enter(answer);
    }
    pty
}

/// The run ended with 1 at this question: before the approval nothing was made, after it the record
/// is closed as aborted.
#[track_caller]
fn ended_at(pty: Pty, room: &Room, question: &str) -> String {
    if question != APPROVE {
        let screen = rolled_back(pty, room, 1).0.screen;
        tells_what_exists_and_what_to_do(&screen);
        return screen;
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(1), "{}", ended.screen);
    nothing_made(room);
    tells_what_exists_and_what_to_do(&ended.screen);
    ended.screen
}

#[track_caller]
fn tells_what_exists_and_what_to_do(screen: &str) {
    let error = screen.split("byok: error: ").nth(1).unwrap();
    for line in ["\nbyok: state: ", "\nbyok: hint: "] {
        assert!(error.contains(line), "{screen}");
    }
}

/// Where no record has begun, and where none ever does.
#[test]
fn whoever_stops_before_anything_began_reads_what_exists_and_what_to_do() {
    let Some(room) = room() else {
        return;
    };
    room.write_plan();
    let module = room.module.to_str().unwrap();
    let rehearse = ["rehearse", "plan.toml", "--module", module];
    for (args, question) in [
        (&["run", "plan.toml"][..], APPROVE),
        (&rehearse, HAVE),
        (&rehearse, APPROVE),
        (&["doctor", "plan.toml"], ASK_PIN),
    ] {
        let mut pty = Pty::start(room.byok(args));
        if (args[0], question) == ("rehearse", APPROVE) {
            has_the_papers(&mut pty);
        }
        pty.expect(question);
        pty.keys(&[CTRL_C]);
        pty.answer("Enter to go on: ", "STOP");
        let ended = pty.end();
        assert_eq!(ended.code, Some(1), "{}", ended.screen);
        tells_what_exists_and_what_to_do(&ended.screen);
        let practice = folded(&ended.screen).contains("only practice things were made, in");
        assert_eq!(practice, args[0] == "rehearse", "{}", ended.screen);
    }
    nothing_made(&room);
}

/// Whoever rehearses has all papers.
fn has_the_papers(pty: &mut Pty) {
    loop {
        let shown = pty.expect_one_of(&[HAVE, " SHA-256 of the plan. Compare"]);
        if !shown.ends_with(HAVE) {
            return;
        }
        pty.enter("");
    }
}

#[test]
fn ctrl_c_asks_and_stop_ends_the_ceremony_at_every_question() {
    for question in QUESTIONS {
        let Some(room) = room() else {
            return;
        };
        let mut pty = until_question(&room, question);
        for answers in [&[""][..], &["STOP!", "no", PIN, ""]] {
            pty.keys(b"half an answer");
            pty.keys(&[CTRL_C]);
            for answer in answers {
                pty.answer(STOP, answer); // asked again until it is one of the two
            }
            pty.expect(" It goes on where it was:\n");
            pty.expect(question.trim_start());
        }
        pty.keys(&[CTRL_C]);
        pty.answer(STOP, if question == NAME { " stop" } else { "STOP" });
        let screen = ended_at(pty, &room, question);
        assert!(screen.contains("ended at the keyboard"), "{screen}");
        assert_eq!(screen.contains("half an answer"), question != ASK_PIN);
    }
}

#[test]
fn a_ceremony_goes_on_after_ctrl_c_and_enter() {
    let Some(room) = watched_room("") else {
        return;
    };
    let mut pty = start(&room);
    for (question, answer) in [(APPROVE, "Yes"), (NAME, OPERATOR), (ASK_PIN, PIN)] {
        pty.expect(question);
        pty.keys(&[CTRL_C]);
        pty.answer(STOP, "");
        pty.answer(question, answer);
    }
    let (ended, transcript) = well(pty, &room);
    assert_eq!(transcript.event("roll-call")["operator"], OPERATOR);
    assert_eq!(logins(&room), ["CKR_OK"]);
    assert!(!ended.screen.contains(PIN), "{}", ended.screen);
}

const WHAT: &str = "What happened? (one line, for the auditor): ";

#[test]
fn what_is_noted_at_any_question_stands_in_the_transcript_with_its_step() {
    let Some(room) = watched_room("") else {
        return;
    };
    let mut pty = start(&room);
    let row = "8 hex digits or 4 words: ";
    let noted = [
        (
            APPROVE,
            1,
            "Yes",
            "the printed plan had two pages; both were read",
        ),
        (NAME, 2, OPERATOR, "Grace came late"),
    ];
    for (question, _, answer, what) in noted {
        pty.answer(question, "note");
        pty.expect(WHAT);
        pty.keys(&[CTRL_C]);
        pty.answer(STOP, "");
        pty.answer(WHAT, what);
        pty.expect("Noted for the auditor.");
        pty.answer(question, answer);
    }
    pty.answer(ASK_PIN, PIN);
    pty.answer(row, "note");
    pty.answer(WHAT, "it was dark");
    let (ended, transcript) = well(pty, &room);
    assert!(
        ended.screen.contains("3 exceptions recorded"),
        "{}",
        ended.screen
    );
    let events = transcript.events("exception");
    let found = events
        .iter()
        .map(|line| (&line["step"], &line["what"], &line["typed"]));
    let mut expected = noted.map(|(_, step, _, what)| (step, what)).to_vec();
    expected.push((5, "it was dark"));
    for ((step, what, typed), (by_step, said)) in found.zip(&expected) {
        assert_eq!(
            (step.as_u64(), what.as_str()),
            (Some(*by_step), Some(*said))
        );
        assert_eq!(typed, true);
    }
    assert_eq!(events.len(), 3);
    let output = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_note_outlives_the_ceremony_that_it_is_about() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = start(&room);
    pty.answer(APPROVE, "note");
    pty.answer(WHAT, "no plan on paper");
    pty.answer(APPROVE, "no");
    let ended = pty.end();
    assert_eq!(ended.code, Some(1), "{}", ended.screen);
    let lost = " Not recorded, because there is no record: no plan on paper\n";
    assert!(ended.screen.contains(lost), "{}", ended.screen);
    nothing_made(&room);

    let mut pty = until_question(&room, NAME);
    pty.enter("note");
    pty.answer(WHAT, "nobody knows who has the token");
    pty.expect(NAME);
    pty.signal(Signal::TERM);
    let (ended, transcript) = rolled_back(pty, &room, 1);
    let exception = transcript.event("exception");
    assert_eq!(exception["what"], "nobody knows who has the token");
    assert_eq!(exception["step"], 2);
    assert!(!ended.screen.contains("Not recorded"), "{}", ended.screen);
}

#[test]
fn a_word_that_byok_takes_elsewhere_costs_no_try_of_the_pin_unless_it_is_the_pin() {
    const IS_IT: &str = " Is it the PIN? Type yes or no (nothing is shown): ";
    for typed in ["note", "stop", "aside", "note the fan is loud"] {
        let Some(room) = watched_room("") else {
            return;
        };
        let mut pty = until_pin(&room);
        pty.answer(ASK_PIN, typed);
        let told = pty.answer(IS_IT, PIN); // too early
        assert!(told.contains("Nothing was tried: "), "{told}");
        support::fits(&told);
        pty.answer(IS_IT, "no");
        pty.answer(ASK_PIN, PIN);
        let (ended, transcript) = well(pty, &room);
        assert_eq!(logins(&room), ["CKR_OK"]);
        let after = ended.screen.split_once(ASK_PIN).unwrap().1;
        let after = after.split_once(IS_IT).unwrap().0;
        assert!(!after.contains(typed), "{after}");
        assert!(!ended.screen.contains(PIN), "{}", ended.screen);
        assert!(!ended.screen.contains("What happened?"), "{}", ended.screen);
        assert!(transcript.events("exception").is_empty());
    }
    let Some(room) = watched_room("") else {
        return;
    };
    let mut pty = until_pin(&room);
    pty.answer(ASK_PIN, "stop");
    pty.answer(IS_IT, "Yes");
    pty.expect("That PIN was wrong.");
    pty.answer(ASK_PIN, PIN);
    well(pty, &room);
    assert_eq!(logins(&room), ["CKR_PIN_INCORRECT", "CKR_OK"]);
}

#[test]
fn stop_asks_at_open_questions_and_is_a_no_at_the_approval() {
    for question in [NAME, "8 hex digits or 4 words: "] {
        let Some(room) = room() else {
            return;
        };
        let mut pty = until_question(&room, question);
        pty.enter("stop");
        pty.answer(STOP, "");
        pty.answer(question, " Stop ");
        pty.answer(STOP, "STOP");
        let screen = ended_at(pty, &room, question);
        assert!(screen.contains("ended at the keyboard"), "{screen}");
    }
    let Some(room) = room() else {
        return;
    };
    let mut pty = start(&room);
    pty.answer(APPROVE, "stop");
    let screen = ended_at(pty, &room, APPROVE);
    assert!(screen.contains("the plan was not approved"), "{screen}");
}

#[test]
fn ctrl_c_twice_asks_twice_and_tries_no_pin() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = until_question(&room, NAME);
    pty.keys(&[CTRL_C]);
    pty.expect(STOP);
    pty.keys(&[CTRL_C]);
    pty.answer(STOP, "");
    pty.answer(NAME, OPERATOR);
    pty.expect(ASK_PIN);
    pty.keys(&[CTRL_C]);
    pty.expect(STOP);
    pty.keys(&[CTRL_C]);
    pty.answer(STOP, "STOP");
    rolled_back(pty, &room, 1);
}

#[test]
fn ctrl_d_asks_as_ctrl_c_does_and_ends_the_ceremony_only_where_nobody_stops_pressing_it() {
    for question in QUESTIONS {
        let Some(room) = room() else {
            return;
        };
        let mut pty = until_question(&room, question);
        pty.keys(&[CTRL_D]);
        pty.expect(" Ctrl-D: ");
        pty.answer(STOP, "");
        pty.expect(question.trim_start());
        pty.keys(&[CTRL_D]);
        pty.expect(STOP);
        pty.keys(&[CTRL_D]);
        pty.expect("That was neither.");
        pty.answer(STOP, "STOP");
        let screen = ended_at(pty, &room, question);
        assert!(screen.contains("ended at the keyboard"), "{screen}");

        let mut pty = until_question(&room, question);
        pty.keys(&[CTRL_D]);
        pty.expect(STOP);
        pty.keys(&[CTRL_D; 110]);
        let screen = pty.end().screen;
        assert!(screen.contains("the input ended"), "{screen}");
    }
}

#[test]
fn of_lines_that_were_pasted_the_first_is_taken_and_that_is_said() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = until_question(&room, NAME);
    pty.keys(b"Ada \x1b[D\r");
    pty.expect("a character that cannot be shown");
    pty.expect(NAME);
    pty.keys(format!("{OPERATOR}\rBen\rEve\r").as_bytes());
    pty.expect(" Only the first line was taken.\n");
    pty.answer(ASK_PIN, PIN);
    let (ended, transcript) = well(pty, &room);
    assert_eq!(transcript.event("roll-call")["operator"], OPERATOR);
    let told = ended.screen.matches("Only the first line").count();
    assert_eq!(told, 1, "{}", ended.screen);
}

#[test]
fn a_misspelt_word_of_a_row_is_named_and_going_to_another_digest_is_taken_back() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = until_slip(&room);
    let of = "of the parameter files";
    asked_row(&mut pty, of);
    pty.enter("flytrap liberty local insincere");
    pty.expect("'local' is not in the word list (word 3). It is not counted.");
    asked_row(&mut pty, of);
    pty.enter("key");
    let key = digest(&room.kms.spki);
    let of_key = "of the wrapping key for payments-2026/eu-west-1";
    let row = asked_row(&mut pty, of_key);
    pty.enter(&in_hex(&key, row));
    asked_row(&mut pty, of_key);
    pty.enter("back");
    let told = pty.expect("it begins again, at row ");
    assert!(told.contains("Back to the digest over all parameter files"));
    let first = asked_row(&mut pty, of);
    let slip = slip(&room);
    pty.enter(&in_hex(&slip, first));
    asked_row(&mut pty, of);
    pty.enter("key");
    pty.expect(&format!("key is no longer possible: row {first} was taken"));
    for _ in 0..2 {
        let row = asked_row(&mut pty, of);
        pty.enter(&in_hex(&slip, row));
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let read = room.transcript("records/one");
    let how = read.event("import-parameters-read")["two_sided_check"].to_string();
    assert!(how.contains("of the parameter files' digest"), "{how}");
}

#[test]
fn a_signal_ends_the_ceremony_at_every_question() {
    for question in QUESTIONS {
        for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
            let Some(room) = room() else {
                return;
            };
            let pty = until_question(&room, question);
            pty.signal(signal);
            let screen = ended_at(pty, &room, question);
            assert!(screen.contains("interrupted by a signal"), "{screen}");
        }
    }
}

#[test]
fn a_window_that_is_closed_ends_the_ceremony_at_every_question() {
    for question in QUESTIONS {
        let Some(room) = room() else {
            return;
        };
        let mut pty = until_question(&room, question);
        pty.close_window();
        assert_eq!(pty.code(), Some(1), "{question}");
        assert_eq!(room.objects(), [""; 0]);
        if question == APPROVE {
            nothing_made(&room);
        } else {
            assert_eq!(room.aborted().lines.last().unwrap()["exit"], 1);
        }
    }
}

#[test]
fn words_that_nobody_can_read_any_more_do_not_end_a_ceremony() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let plan = fs::read(room.write_plan()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut byok = room.byok(&["run", "plan.toml", "--approve", &sha256(&plan)]);
    let output = byok.stderr(writer).stdout(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", room.beside());
    assert_eq!(room.beside(), ["one"]);
}

#[test]
fn a_ceremony_without_a_terminal_and_without_an_approval_is_refused() {
    let Some(room) = room() else {
        return;
    };
    room.write_plan();
    let output = room.byok(&["run", "plan.toml"]).output().unwrap();
    refused(
        &output,
        2,
        &["a ceremony needs a terminal", "--approve SHA256"],
    );
    assert!(!stderr(&output).contains(APPROVE));
    nothing_made(&room);
}

/// What was said, whatever the window made of its lines.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_narrow_window_and_a_dumb_terminal_change_how_it_looks_and_nothing_else() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "prompt".into();
    room.write_plan();
    let mut said = Vec::new();
    for (terminal, columns, rows) in [("dumb", 30, 8), ("xterm-256color", 1, 1), ("", 0, 0)] {
        let mut byok = room.byok(&["run", "plan.toml"]);
        byok.env("TERM", terminal)
            .env("COLUMNS", columns.to_string());
        let mut pty = Pty::start_sized(byok, columns, rows);
        pty.answer("stop: ", "Yes");
        pty.answer("Name: ", OPERATOR);
        pty.answer("type): ", PIN);
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        assert!(!ended.screen.contains('\x1b'), "{}", ended.screen);
        let width = match columns {
            0 => 79,
            columns => usize::from(columns - 1).max(20),
        };
        for line in ended.screen.lines() {
            let is_typed = line.ends_with(OPERATOR) || line.ends_with("Yes");
            assert!(
                is_typed || line.trim_end().width() <= width,
                "{columns}: {line}"
            );
        }
        let screen = unfolded(&ended.screen);
        let small = format!("This window has {rows} rows of {columns} columns");
        assert_eq!(screen.contains(&small), columns > 0, "{screen}");
        let meaning = screen.split_once(" SHA-256 of the plan").unwrap().0;
        let meaning = meaning
            .split(" Press Enter for the digest:")
            .next()
            .unwrap();
        // a long word may have been broken
        said.push(without_tops(&without_turns(&meaning.replace(' ', ""))));
        room.token(&["destroy", "ceremony", PIN, LABEL]);
        fs::remove_dir_all(room.path("records")).unwrap();
    }
    assert!(said.iter().all(|meaning| *meaning == said[2]), "{said:?}");
    assert!(said[2].starts_with("make"), "{said:?}");
}

/// Whoever looks up from the paper sees which ceremony a page belongs to, and how far it is.
#[test]
fn every_page_of_several_says_which_ceremony_it_is_and_which_page() {
    let Some(mut room) = room() else {
        return;
    };
    let seats: Vec<String> = (1..=14).map(|seat| format!("\"Witness {seat}\"")).collect();
    room.plan.record_more = format!("witnesses = [{}]\n", seats.join(", "));
    room.plan.wrapping_key_sha256 = Some(room.kms.sha256());
    room.write_plan();
    let mut pty = Pty::start_sized(room.byok(&["run", "plan.toml"]), 80, 14);
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, OPERATOR);
    for seat in &seats {
        pty.answer("who is here? Name, or absent: ", seat);
    }
    pty.answer(ASK_PIN, PIN);
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    for place in [
        "before step 1 of 13: approve",
        "step 2 of 13: roll call",
        "step 13 of 13: what comes next",
    ] {
        let first = format!("{place}, page 1 of ");
        let (_, all) = ended.screen.split_once(&first).unwrap();
        let all: usize = all.lines().next().unwrap().parse().unwrap();
        assert!(all > 1, "{place}");
        for at in 1..=all {
            let top =
                format!(" {place}, page {at} of {all}\n generate  Payments data key, eu-west-1\n");
            assert!(ended.screen.contains(&top), "{top}: {}", ended.screen);
        }
    }
}

#[test]
fn the_whole_approval_fits_a_screen_where_this_computer_wraps_too() {
    let Some(mut room) = room() else {
        return;
    };
    room.plan.wrap_in = "host".into();
    room.plan.wrapping = SHA_256.into();
    let expires = jiff::Timestamp::from_second(support::now() as i64 + 20_000_000).unwrap();
    room.plan.expires = expires.to_string();
    let mut pty = start(&room);
    let approval = pty.answer(APPROVE, "no");
    assert!(approval.lines().count() <= 24, "it scrolls:\n{approval}");
    assert!(approval.contains("IN THIS COMPUTER'S MEMORY"));
    fits(&approval);
    assert_eq!(pty.end().code, Some(1));
}

#[test]
fn long_and_wide_titles_stay_within_the_screen() {
    let wide = "\u{652f}\u{6255}\u{3044}\u{30c7}\u{30fc}\u{30bf}".repeat(20);
    let long = "Data key for payments. ".repeat(5);
    let unbroken = "x".repeat(120);
    for title in [wide.as_str(), long.trim_end(), &unbroken] {
        let Some(mut room) = room() else {
            return;
        };
        room.plan.title = title.into();
        room.plan.expires = "never".into();
        let pty = until_slip(&room);
        let (ended, transcript) = well(pty, &room);
        assert_eq!(transcript.lines[0]["title"], title);
        fits(&ended.screen);
        let shown: String = ended.screen.split_whitespace().collect();
        assert!(shown.contains(&title.replace(' ', "")), "{}", ended.screen);
    }
}

#[test]
fn a_record_on_a_disk_in_memory_needs_a_yes_that_is_recorded() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    if !mounts
        .lines()
        .any(|l| l.split(' ').skip(1).take(2).eq(["/dev/shm", "tmpfs"]))
    {
        return skip("/dev/shm is no tmpfs");
    }
    for answer in ["yes", "no"] {
        let Some(mut room) = room() else {
            return;
        };
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let place = shm.path().join("one");
        room.plan.directory = place.display().to_string();
        let mut pty = until_pin(&room);
        pty.expect("the record's disk is a tmpfs: it vanishes at power-off");
        let asked = "Type yes to go on and record this as an exception: ";
        pty.answer(asked, "y");
        let again = " Type yes to go on, no to end the ceremony here: ";
        for typo in ["", "yess"] {
            pty.answer(again, typo); // ends nothing
        }
        pty.answer(again, "stop");
        pty.answer(STOP, "");
        pty.answer(again, answer);
        if answer != "yes" {
            let ended = pty.end();
            assert_eq!(ended.code, Some(1), "{}", ended.screen);
            assert!(!place.exists());
            assert_eq!(room.objects(), [""; 0]);
            continue;
        }
        pty.answer(ASK_PIN, PIN);
        type_slip(&mut pty, &room);
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        assert!(ended.screen.contains("1 exception recorded"));
        let transcript = Transcript::read(&place.join("transcript.jsonl"));
        let exception = transcript.event("exception");
        assert_eq!(exception["step"], 3);
        assert!(exception["what"].as_str().unwrap().contains("tmpfs"));
        assert_eq!(transcript.event("sealed")["exceptions"], 1);
    }
}

// ---- 80x24 ------------------------------------------------------------------------------------

/// What a window of 24 rows shows when this stands at its end.
#[track_caller]
fn window_at(screen: &str, end: &str) -> String {
    let (before, _) = screen
        .split_once(end)
        .unwrap_or_else(|| panic!("{end:?}: {screen}"));
    let page = last_rows(&format!("{before}{end}"), 24);
    fits(&page);
    page
}

/// All eight rows and the heading are in sight while the head is written, and the last page of what comes next is at the end.
#[track_caller]
fn nothing_lost(room: &Room, screen: &str, record: &str) {
    let head = digest(&fs::read(room.path(record).join("transcript.jsonl")).unwrap());
    let page = window_at(screen, WRITTEN);
    assert!(page.contains("step 13 of 13: the head digest"), "{page}");
    assert!(
        page.contains(" SEALED ") && !page.contains("what comes next"),
        "{page}"
    );
    for row in 1..=8 {
        assert!(
            page.contains(&byok::ground::words::row(&head, row)),
            "row {row}: {page}"
        );
    }
    // below it the shell asks for the next command
    let end = last_rows(screen, 23);
    fits(&end);
    assert!(end.contains("step 13 of 13: what comes next"), "{end}");
    let name = record.rsplit('/').next().unwrap();
    let (_, next) = screen.rsplit_once(WRITTEN).unwrap();
    let joined = next.replace("\\\n       ", "");
    let (_, command) = joined.split_once("cp -r ").unwrap();
    assert!(
        command.starts_with(&format!("{name} /media/usb1; sync\n")),
        "{end}"
    );
    let last = end.trim_end().lines().last().unwrap();
    assert!(
        last.contains("Signed by the HSM: "),
        "something unexplained stands last: {last}"
    );
}

#[test]
fn no_line_of_approval_or_last_screens_is_lost_with_the_names_that_byok_gives() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let base = "records/2026-11-22-payments-production-eu-west-1-2026";
    room.plan.directory = base.into();
    room.plan.record_more = "witnesses = [\"Internal audit\", \"External audit\"]\n".into();
    room.plan.more = support::escrow::table(2, 3, "files:shares");
    let run = |room: &Room| {
        let mut pty = start(room);
        let shown = pty.answer(APPROVE, "Yes");
        pty.answer(NAME, OPERATOR);
        pty.seats();
        (pty, shown)
    };
    // a run that did not come to its end stands in the way
    let (mut pty, _) = run(&room);
    pty.expect("step 6 of 13");
    pty.signal(Signal::KILL);
    pty.wait();
    drop(pty);
    let (pty, shown) = run(&room);
    let approval = unfolded(&without_pages(&shown));
    assert!(
        approval.contains("a run that did not come to its end left"),
        "{shown}"
    );
    for page in shown.split("byok 0.1.0 ").skip(1) {
        assert!(page.lines().count() <= 24, "it scrolls:\n{page}");
        fits(page);
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    nothing_lost(&room, &ended.screen, base);
    let who = "Internal audit writes all 8, every other witness rows 1 to 3; everybody signs.";
    assert!(unfolded(&ended.screen).contains(who), "{}", ended.screen);

    for (kind, more) in [
        ("reimport", "reuse_escrow = \"a test\"\n"),
        ("recover", "reuse_escrow = \"a test\"\n"),
        ("destroy", "reason = \"end of life\"\n"),
    ] {
        room.plan.kind = kind.into();
        room.plan.directory = format!("{base}-{kind}");
        room.plan.top_more = support::escrow::builds_on(&room, base) + more;
        room.plan.more = match kind {
            "recover" => "[recover]\nshares = \"files:shares\"\npackage = \"record\"\n".into(),
            _ => String::new(),
        };
        room.plan.imported = kind != "destroy";
        let (mut pty, shown) = run(&room);
        for page in shown.split("byok 0.1.0 ").skip(1) {
            assert!(page.lines().count() <= 24, "{kind} scrolls:\n{page}");
            fits(page);
        }
        if kind == "destroy" {
            pty.answer("or no to end the ceremony: ", "DESTROY");
            for _ in 0..4 {
                pty.answer("Type destroyed, or what happens to it: ", "destroyed");
            }
        }
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{kind}: {}", ended.screen);
        let compares = "Compare the KCV of each data key with the paper";
        let pauses = unfolded(&ended.screen).contains(compares);
        assert_eq!(pauses, kind != "destroy", "{kind}: {}", ended.screen);
        nothing_lost(&room, &ended.screen, &room.plan.directory);
    }
}

#[test]
fn nothing_that_happens_after_the_seal_takes_anything_back() {
    for end in [&b"note\r"[..], &[CTRL_C], &[CTRL_D], b"stop\r"] {
        let Some(room) = room() else {
            return;
        };
        let mut pty = until_slip(&room);
        type_slip(&mut pty, &room);
        pty.expect(WRITTEN);
        pty.keys(end);
        pty.expect(match end.len() {
            1 => "ends nothing here: the record is sealed",
            _ => "nothing more is noted",
        });
        let shown = pty.answer(WRITTEN, ""); // and comes back to it
        assert!(!shown.contains("what comes next"), "{shown}");
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        assert!(ended.screen.contains("what comes next"), "{}", ended.screen);
        assert!(!ended.screen.contains("Not recorded"), "{}", ended.screen);
    }
    let Some(room) = room() else {
        return;
    };
    let mut pty = until_slip(&room);
    type_slip(&mut pty, &room);
    pty.expect(WRITTEN);
    pty.signal(Signal::TERM);
    assert_eq!(pty.end().code, Some(0));
    let verified = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
}

#[test]
fn what_is_noted_at_the_approval_is_seen_to_be_noted() {
    let Some(room) = room() else {
        return;
    };
    let mut pty = start(&room);
    pty.answer(APPROVE, "note");
    pty.answer(WHAT, "two pages were read");
    let shown = pty.expect(APPROVE);
    let (_, after) = shown.split_once("Noted for the auditor.").unwrap();
    assert!(
        after.lines().count() <= 2,
        "it is pushed off the screen:\n{after}"
    );
    pty.enter("no");
    assert_eq!(pty.end().code, Some(1));
}
