//! Shares between people and the screen: handed out, written down, typed back, and typed again years
//! later, with the mistakes that people make.

use crate::support;

use std::fs;

use unicode_width::UnicodeWidthStr as _;

use support::escrow::{
    another_word, fingerprint, forged, head, room, shares, slow, swapped, table, with_word, wrapped,
};
use support::screen::{Screen, WIPE};
use support::{Kind, LABEL, Room, Transcript, folded, refused, sha256, stderr};

pub const APPROVE: &str = " Type Yes to approve, anything else to stop: ";
pub const KEYBOARD: &str = "Who is at the keyboard? Name: ";
const WRITTEN: &str = "Type written when the form is full: ";
const STOP: &str = "type STOP to end the ceremony, Enter to go on: ";
pub const WHO: &str = "Which custodian types a share now? Name: ";

/// A room whose ceremony deals any 2 of 3 at the screen.
fn screen_room() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan.more = table(2, 3, "screen");
    Some(room)
}

pub fn start(room: &Room) -> Screen {
    room.write_plan();
    let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
    screen.answer(APPROVE, "Yes");
    screen.answer(KEYBOARD, "Ada Lovelace");
    screen.seats();
    screen
}

/// Words 1 to 33 from the screen of a share, as a custodian reads the three columns.
#[track_caller]
pub fn read_off(screen: &str) -> Vec<String> {
    let mut words = vec![String::new(); 33];
    for line in screen.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let mut numbers = cells.iter().step_by(2);
        let numbered = numbers.all(|cell| cell.parse::<usize>().is_ok());
        if numbered && cells.len().is_multiple_of(2) {
            for pair in cells.chunks(2) {
                words[pair[0].parse::<usize>().unwrap() - 1] = pair[1].to_owned();
            }
        }
    }
    assert!(words.iter().all(|word| !word.is_empty()), "{screen}");
    words
}

/// The custodian sits down and copies the words.
#[track_caller]
pub fn copy(screen: &mut Screen, custodian: &str) -> Vec<String> {
    let name = byok::ceremony::screens::short(custodian);
    let shown = screen.expect(&format!("when only {name} looks: "));
    screen.enter(&support::share_asked(&shown));
    let shown = screen.expect(WRITTEN);
    assert_eq!(shown.matches(WIPE).count(), 1);
    let (_, page) = shown.rsplit_once(WIPE).unwrap();
    fits(page);
    let folded: Vec<&str> = page.split_whitespace().collect();
    let only = format!("ONLY {custodian} LOOKS");
    assert!(folded.join(" ").contains(&only), "{page}");
    let words = read_off(page);
    screen.enter("written");
    words
}

/// At most 79 columns, and not more lines than the screen has.
#[track_caller]
fn fits(page: &str) {
    support::fits(page);
    assert!(page.lines().count() <= 24, "it scrolls:\n{page}");
}

/// No bell, no blinking, no colour: the only thing that is asked of the terminal is to be wiped.
#[track_caller]
fn calm(screen: &Screen) {
    let shown = &screen.shown;
    let wipes = shown.matches(WIPE).count();
    assert!(
        wipes > 0 && shown.matches('\x1b').count() == 3 * wipes,
        "{shown}"
    );
    assert!(!shown.contains('\x07'), "{shown}");
}

pub fn asks(custodian: &str, row: usize) -> String {
    let name = byok::ceremony::screens::short(custodian);
    format!(" {name}, row {row:>2} of 33: ")
}

/// Types rows `from` to 33, four letters of each.
#[track_caller]
pub fn type_from(screen: &mut Screen, custodian: &str, words: &[String], from: usize) {
    for row in from..=33 {
        screen.answer(&asks(custodian, row), &words[row - 1][..4]);
    }
}

const WHAT: &str = "What happened? (one line, for the auditor): ";
const WHAT_NO_WORDS: &str = "What happened? (one line, for the auditor; no share words): ";

/// Step and words of the exceptions that people typed, in their order.
fn typed_notes(transcript: &Transcript) -> Vec<(u64, String)> {
    let typed = transcript.events("exception").into_iter();
    typed
        .filter(|line| line["typed"] == true)
        .map(|line| {
            let what = line["what"].as_str().unwrap().to_owned();
            (line["step"].as_u64().unwrap(), what)
        })
        .collect()
}

pub fn words_of(share: &str) -> Vec<String> {
    share.split(' ').map(str::to_owned).collect()
}

/// No two neighbouring words of the share are seen any more, typed or shown.
#[track_caller]
pub fn unseen(screen: &mut Screen, words: &[String]) {
    let visible = screen.visible();
    let seen = words[4..]
        .iter()
        .filter(|word| {
            visible
                .split_whitespace()
                .any(|on| on == *word || *on == word[..4])
        })
        .count();
    assert!(
        seen <= 2,
        "{seen} words are still on the screen:\n{visible}"
    );
}

#[test]
fn a_share_is_shown_written_down_and_typed_back_with_mistakes() {
    let Some(room) = screen_room() else {
        return;
    };
    let mut screen = start(&room);
    let mut dealt = Vec::new();

    // Security types well.
    let words = copy(&mut screen, "Security");
    unseen(&mut screen, &words);
    type_from(&mut screen, "Security", &words, 1);
    screen.expect("all 33 words came back right");
    unseen(&mut screen, &words);
    dealt.push(words);

    // Audit mistypes the word that ends the writing; every word still stands there, and the word is asked again.
    screen.answer("when only Audit looks: ", "2");
    screen.answer(WRITTEN, "writen");
    let page = screen.expect(" Not understood. Type written: ");
    let page = page.rsplit_once(WIPE).unwrap().1.to_owned();
    fits(&page);
    let shown = read_off(&page);
    screen.enter("written");
    screen.answer(&asks("Audit", 1), "words");

    // Audit types a word that is not in the list, goes back, and looks at the share again.
    let words = copy(&mut screen, "Audit");
    assert_eq!(words, shown);
    screen.answer(&asks("Audit", 1), &words[0]);
    screen.answer(&asks("Audit", 2), "kryoptic");
    screen.expect("What you typed for row 2 is not in the word list");
    screen.answer(&asks("Audit", 2), "");
    screen.expect("not in the word list");
    screen.answer(&asks("Audit", 2), another_word(&words.join(" "), 1));
    screen.answer(&asks("Audit", 3), "back");
    screen.expect(" Typing goes on at row 2.\n");
    screen.answer(&asks("Audit", 2), "back");
    screen.answer(&asks("Audit", 1), "back");
    screen.expect(" Typing goes on at row 1.\n"); // there is none before it
    screen.answer(&asks("Audit", 1), &words[0]);
    screen.answer(&asks("Audit", 2), &format!(" {} ", words[1].to_uppercase()));
    screen.answer(&asks("Audit", 3), "words");
    let again = copy(&mut screen, "Audit");
    assert_eq!(again, words);
    screen.expect(" Typing goes on at row 3.\n");
    type_from(&mut screen, "Audit", &words, 3);
    screen.expect("all 33 words came back right");
    unseen(&mut screen, &words);
    dealt.push(words);

    // Treasury, the last one, has written two wrong words on the form.
    let words = copy(&mut screen, "Treasury");
    let mut form = words.clone();
    for at in [17, 30] {
        form[at] = another_word(&words.join(" "), at).to_owned();
    }
    type_from(&mut screen, "Treasury", &form, 1);
    let told = screen.expect("type only the rows asked for now");
    assert!(told.contains("step 9 of 13: escrow share 3 of 3, Treasury\n"));
    assert!(
        told.contains("rows 18, 31 are not what was shown"),
        "{told}"
    );
    unseen(&mut screen, &words);
    screen.answer(&asks("Treasury", 18), &words[17]);
    screen.answer(&asks("Treasury", 31), "words");
    copy(&mut screen, "Treasury");
    screen.expect(" Typing goes on at row 31.\n"); // of the two that are asked for
    screen.answer(&asks("Treasury", 31), &form[30]);
    let told = screen.expect("type only the rows asked for now");
    assert!(told.contains("row 31 is not what was shown"), "{told}");
    assert!(!told.contains("step 10 of 13"));
    screen.answer(&asks("Treasury", 31), &words[30]);
    screen.expect("all 33 words came back right");
    dealt.push(words);

    screen.expect("step 10 of 13");
    assert_eq!(screen.end(), 0, "{}", screen.shown);
    calm(&screen);
    for words in &dealt {
        unseen(&mut screen, words);
    }
    let visible = screen.visible();
    for page in visible.split("byok 0.1.0 ").skip(1) {
        fits(page);
    }
    let transcript = room.transcript("records/one");
    recorded(&transcript, &dealt);
    verify(&room);
}

/// The digests in the transcript are those of the words that people read off.
#[track_caller]
fn recorded(transcript: &Transcript, dealt: &[Vec<String>]) {
    let ceremony = transcript.lines[0]["ceremony"].as_str().unwrap();
    let events = transcript.events("share-handed-out");
    assert_eq!(events.len(), dealt.len());
    for (event, words) in events.iter().zip(dealt) {
        let text = format!("byok-share-v1\n{ceremony}\n{}\n", words.join(" "));
        assert_eq!(event["share_sha256"], sha256(text.as_bytes()).as_str());
        assert_eq!(event["typed_back"], true);
    }
    assert_eq!(transcript.event("escrow-proved")["shares"], dealt.len());
}

#[track_caller]
pub fn verify(room: &Room) {
    let output = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_hand_out_that_is_stopped_leaves_no_words_and_voids_the_forms() {
    let Some(room) = screen_room() else {
        return;
    };
    let mut screen = start(&room);
    let words = copy(&mut screen, "Security");
    type_from(&mut screen, "Security", &words, 1);
    screen.expect("all 33 words came back right");
    let audit = copy(&mut screen, "Audit");
    for row in 1..=20 {
        screen.answer(&asks("Audit", row), &audit[row - 1]);
    }
    screen.expect(&asks("Audit", 21));
    screen.keys(b"\x03");
    screen.answer("type STOP to end the ceremony, Enter to go on: ", "STOP");
    assert_eq!(screen.end(), 1, "{}", screen.shown);
    unseen(&mut screen, &words);
    unseen(&mut screen, &audit);
    // the line is folded below its label
    let visible = screen
        .visible()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        visible.contains(
            "these shares are now void; destroy their forms: share 1, Security; share 2, Audit"
        ),
        "{visible}"
    );
    assert_eq!(room.objects(), [""; 0]);
    assert!(!room.path("records/one").exists());
}

#[test]
fn notes_from_every_prompt_of_a_hand_out_reach_the_transcript_and_no_share_does() {
    let Some(room) = screen_room() else {
        return;
    };
    room.write_plan();
    let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
    screen.answer(APPROVE, "note");
    screen.answer(
        WHAT,
        "the paper's row 3 was smeared; read from the second copy",
    );
    screen.answer(APPROVE, "Yes");
    screen.answer(KEYBOARD, " NOTE ");
    screen.answer(WHAT, "the door was opened \u{202e} 支払い \u{7} once");
    screen.answer(KEYBOARD, "Ada Lovelace");
    screen.seats();
    let words = copy(&mut screen, "Security");
    type_from(&mut screen, "Security", &words, 1);
    screen.answer("when only Audit looks: ", "note");
    screen.answer(WHAT, "");
    screen.expect("Nothing was noted.");
    screen.answer("when only Audit looks: ", "2");
    screen.answer(WRITTEN, "note");
    screen.answer(WHAT, "Audit took a second form: the first one tore");
    let audit = read_off(&screen.visible());
    screen.answer(WRITTEN, "written");
    screen.answer(&asks("Audit", 1), "note");
    screen.answer(
        WHAT_NO_WORDS,
        &format!("it reads {}", audit[..5].join(", ")),
    );
    screen.expect("That looks like words of a share.");
    unseen(&mut screen, &audit);
    screen.answer(WHAT_NO_WORDS, "a phone rang");
    screen.expect("Noted for the auditor. It goes on where it was:\n");
    type_from(&mut screen, "Audit", &audit, 1);
    let last = copy(&mut screen, "Treasury");
    // the very last question
    let mut mistaken = last.clone();
    mistaken[32] = "note".to_owned();
    type_from(&mut screen, "Treasury", &mistaken, 1);
    screen.answer(WHAT_NO_WORDS, "Treasury left early");
    screen.answer(&asks("Treasury", 33), &last[32]);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    assert!(
        screen.shown.contains("5 exceptions recorded"),
        "{}",
        screen.visible()
    );

    let transcript = room.transcript("records/one");
    let expected = [
        (
            1,
            "the paper's row 3 was smeared; read from the second copy",
        ),
        (2, "the door was opened \\u{202e} 支払い \\u{7} once"),
        (9, "Audit took a second form: the first one tore"),
        (9, "a phone rang"),
        (9, "Treasury left early"),
    ];
    let expected = expected.map(|(step, what)| (step, what.to_owned()));
    assert_eq!(typed_notes(&transcript), expected);
    assert_eq!(transcript.event("sealed")["exceptions"], 5);
    let text = String::from_utf8(transcript.bytes.clone()).unwrap();
    assert!(!text.contains(&audit[..3].join(", ")), "{text}");
    verify(&room);
}

#[test]
fn stop_asks_first_at_every_prompt_of_a_hand_out_and_notes_outlive_it() {
    for place in ["looks", "written", "word"] {
        let Some(room) = screen_room() else {
            return;
        };
        let mut screen = start(&room);
        let looks = "when only Security looks: ";
        let mut question = looks.to_owned();
        if place != "looks" {
            screen.answer(looks, "1");
            question = WRITTEN.to_owned();
        }
        if place == "word" {
            screen.answer(WRITTEN, "written");
            question = asks("Security", 1);
        }
        screen.answer(&question, "note");
        screen.answer("What happened?", "nobody has a pen");
        screen.answer(&question, "stop");
        screen.answer(STOP, "sotp");
        screen.expect(" That was neither.\n");
        screen.answer(STOP, "");
        screen.answer(&question, "Stop");
        screen.answer(STOP, "STOP");
        assert_eq!(screen.end(), 1, "{}", screen.visible());
        assert_eq!(room.objects(), [""; 0]);
        let transcript = room.aborted();
        assert_eq!(
            typed_notes(&transcript),
            [(9, "nobody has a pen".to_owned())]
        );
    }
}

#[test]
fn a_share_is_shown_and_wiped_on_a_dumb_terminal_and_in_a_narrow_window() {
    for (terminal, size, cells) in [
        ("dumb", (80, 24), 3),
        ("", (80, 24), 3),
        ("xterm", (53, 40), 2),
    ] {
        let (columns, _) = size;
        let Some(room) = screen_room() else {
            return;
        };
        room.write_plan();
        let mut byok = room.byok(&["run", "plan.toml"]);
        byok.env("NO_COLOR", "1");
        let mut screen = Screen::start_sized(byok, terminal, size);
        screen.answer(APPROVE, "Yes");
        screen.answer(KEYBOARD, "Ada Lovelace");
        screen.seats();
        screen.answer("when only Security looks: ", "1");
        let shown = screen.expect(WRITTEN);
        let words = read_off(&shown);
        let row = shown
            .lines()
            .find(|line| line.starts_with("    1 "))
            .unwrap();
        assert_eq!(row.split_whitespace().count(), 2 * cells, "{row}");
        assert!(row.trim_end().width() <= usize::from(columns), "{row}");
        screen.enter("written");
        let after = screen.expect(&asks("Security", 1));
        if terminal == "xterm" {
            assert!(after.contains(WIPE), "{after}");
        } else {
            // pushed off the screen
            assert!(after.contains(&"\n".repeat(100)), "{after}");
            assert!(!screen.shown.contains('\x1b'), "{}", screen.shown);
        }
        screen.enter(&words[0]);
        type_from(&mut screen, "Security", &words, 2);
        screen.expect("all 33 words came back right");
        screen.expect("when only Audit looks: ");
        screen.keys(b"\x03");
        screen.answer("on: ", "STOP");
        assert_eq!(screen.end(), 1);
    }
}

#[test]
fn a_window_that_does_not_hold_every_word_shows_none() {
    let Some(room) = screen_room() else {
        return;
    };
    room.write_plan();
    let mut screen = Screen::start_sized(room.byok(&["run", "plan.toml"]), "xterm", (80, 20));
    let needed = "This window has 20 rows of 80 columns; the shares of this plan need 21 rows of 80 columns.";
    let shown = screen.answer(APPROVE, "Yes");
    assert!(folded(&shown).contains(needed), "{shown}");
    screen.expect("Not approved yet: make the window larger first; this window has 20 rows of 80");
    screen.expect(APPROVE);
    screen.resize(80, 24);
    screen.enter("Yes");
    screen.answer(KEYBOARD, "Ada Lovelace");
    screen.seats();

    // somebody pulls at the window between
    screen.expect("when only Security looks: ");
    screen.resize(80, 20);
    screen.enter("1");
    let asked = screen.expect("Then press Enter: ");
    assert!(folded(&asked).contains(needed), "{asked}");
    screen.enter(""); // it is as small as before
    let asked = screen.expect("Then press Enter: ");
    assert!(!asked.contains("ONLY Security"), "{asked}");
    screen.resize(80, 21);
    screen.enter("");
    let page = screen.expect(WRITTEN);
    let page = page.rsplit_once(WIPE).unwrap().1.to_owned();
    assert_eq!(page.lines().count(), 21, "{page}");
    let words = read_off(&page);
    // and while it is written: what went out of sight is shown again
    screen.resize(100, 30);
    screen.enter("written");
    let again = screen.expect(WRITTEN);
    assert_eq!(read_off(again.rsplit_once(WIPE).unwrap().1), words);
    screen.enter("written");
    screen.expect(&asks("Security", 1));
    screen.keys(b"\x03");
    screen.answer(STOP, "STOP");
    assert_eq!(screen.end(), 1);
    assert_eq!(room.objects(), [""; 0]);
}

#[test]
fn the_screen_is_handed_to_a_person_and_words_are_typed_one_a_line() {
    let Some(room) = screen_room() else {
        return;
    };
    let mut screen = start(&room);
    let shown = screen.expect("when only Security looks: ");
    assert!(
        shown.contains(" HAND THE SCREEN TO Security (Person 0). Everyone"),
        "{shown}"
    );
    // one Enter too many, or another's number, shows nobody a share
    for stray in ["", "2"] {
        screen.enter(stray);
        let told = screen.expect("when only Security looks: ");
        assert!(told.contains(" Nothing is shown yet. Type 1"), "{told}");
    }
    screen.enter("1");
    let words = read_off(&screen.expect(WRITTEN));
    screen.enter("written");
    let told = screen.expect(&asks("Security", 1));
    assert!(
        folded(&told).contains("type the words from your form, one word a line."),
        "{told}"
    );
    for several in [
        words.join(" "),
        format!("1 {}", words[0]),
        format!("{} {}", words[0], words[1]),
    ] {
        screen.enter(&several);
        let told = screen.expect(&asks("Security", 1));
        assert!(
            told.contains("One word a line: nothing of that line was taken."),
            "{told}"
        );
    }
    screen.enter(&words[0]);
    type_from(&mut screen, "Security", &words, 2);
    screen.expect("all 33 words came back right");
    screen.expect("when only Audit looks: ");
    screen.keys(b"\x03");
    screen.answer(STOP, "STOP");
    assert_eq!(screen.end(), 1);
}

#[test]
fn a_screen_that_others_may_record_shows_no_share() {
    let Some(mut room) = screen_room() else {
        return;
    };
    room.write_plan();
    for variable in ["TMUX", "SSH_CONNECTION", "SSH_TTY", "STY"] {
        let mut byok = room.byok(&["run", "plan.toml"]);
        byok.env(variable, "x");
        let mut screen = Screen::start(byok);
        assert_eq!(screen.end(), 5, "{}", screen.shown);
        assert!(
            screen.shown.contains(&format!("({variable} is set)")),
            "{}",
            screen.shown
        );
        assert!(!screen.shown.contains(APPROVE), "{}", screen.shown);
        assert_eq!(room.beside(), [""; 0]);
    }
    room.plan.top_more =
        "screen_recorded = \"the console is reached by serial line only\"\n".into();
    room.write_plan();
    let mut byok = room.byok(&["run", "plan.toml"]);
    byok.env("TMUX", "x");
    let mut screen = Screen::start(byok);
    screen.answer(APPROVE, "no");
    assert_eq!(screen.end(), 1);
}

#[test]
fn the_screen_of_a_share_fits_whatever_the_custodian_is_called() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let long = "Abteilung Informationssicherheit Zürich";
    let wide = "監査".repeat(19);
    let names = format!("\"{long}\", \"{wide}\"");
    room.plan.more = support::escrow::named_table(2, &names, "screen");
    let mut screen = start(&room);
    for name in [long, &wide] {
        let words = copy(&mut screen, name);
        type_from(&mut screen, name, &words, 1);
        screen.expect("all 33 words came back right");
    }
    assert_eq!(screen.end(), 0);
}

// ---- typed shares ---------------------------------------------------------------------

/// The HSM is lost; custodians come with what they have, in this order of sources.
fn loss(threshold: usize, count: usize) -> Option<(Room, Room, Vec<String>)> {
    let old = room(Kind::Kryoptic, threshold, count)?;
    old.run_well();
    let mut new = Room::new(Kind::SoftHsm)?;
    new.use_kms_key(old.kms.clone());
    new.plan.kind = "recover".into();
    new.plan.top_more = format!(
        "previous = \"{}\"\nreuse_escrow = \"a test\"\n",
        old.path("records/one").display()
    );
    new.plan.more = "[recover]\nshares = \"typed\"\npackage = \"record\"\n".into();
    let shares = shares(&old.path("shares"));
    let shares = shares.into_iter().map(|(_, words)| words).collect();
    Some((old, new, shares))
}

/// The first three rows of the previous head, from paper.
#[track_caller]
pub fn type_head(screen: &mut Screen, head: &str) {
    for row in 1..=3 {
        let asked = format!("Row {row} of the head digest of the previous record");
        screen.expect(&asked);
        screen.answer("4 words: ", &head[(row - 1) * 8..row * 8]);
    }
}

#[track_caller]
fn same_bytes(old: &Room, new: &Room) -> Transcript {
    assert_eq!(
        new.openssl_opens(&wrapped("records/one")),
        old.openssl_opens(&wrapped("records/one"))
    );
    new.transcript("records/one")
}

pub const STRANGER: &str = " Type the name again, or yes if somebody else brings a share: ";

/// Somebody whom the record does not know brings a share.
#[track_caller]
fn deputy(screen: &mut Screen, name: &str) {
    screen.answer(WHO, name);
    screen.answer(STRANGER, "yes");
}

#[test]
fn a_mistyped_name_is_asked_again_and_word_1_leads_back_to_it_without_an_exception() {
    let Some((old, new, dealt)) = loss(2, 3) else {
        return;
    };
    let mut screen = start(&new);
    type_head(&mut screen, &head(&old.path("records/one")));
    screen.answer(WHO, "Ana");
    screen.expect("The record knows no Ana: Security, Audit, Treasury.");
    screen.answer(STRANGER, "Ann");
    screen.expect("The record knows no Ann: ");
    screen.answer(STRANGER, "AUDIT");
    screen.answer(&asks("Audit", 1), "back");
    screen.answer(WHO, "security");
    let security = words_of(&dealt[0]);
    // a row was left out: everything after it is one row too early
    let mut shifted = [&security[..11], &security[12..]].concat();
    shifted.push(security[11].clone());
    type_from(&mut screen, "Security", &shifted, 1);
    let which = "Security: which row? A number from 1 to 33, or aside: ";
    let told = screen.expect(which);
    let page = told.rsplit_once(WIPE).unwrap().1;
    fits(page);
    assert_eq!(read_off(page), shifted);
    assert!(page.contains("again 12 = "), "{page}");
    screen.enter("12 shelter");
    screen.expect(" Type the number alone;");
    screen.answer(which, "again 12");
    screen.expect(" Typing goes on at row 12.\n");
    screen.answer(&asks("Security", 12), "back");
    screen.expect(" Typing goes on at row 11.\n");
    screen.answer(&asks("Security", 11), &security[10]);
    type_from(&mut screen, "Security", &security, 12);
    screen.answer(WHO, "Audit");
    type_from(&mut screen, "Audit", &words_of(&dealt[1]), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let transcript = same_bytes(&old, &new);
    assert!(transcript.events("exception").is_empty());
}

#[test]
fn shares_are_typed_with_every_mistake_and_still_recover_the_data_key() {
    let Some((old, new, dealt)) = loss(3, 5) else {
        return;
    };
    let Some(other) = room(Kind::SoftHsm, 3, 5) else {
        return;
    };
    other.run_well();
    let foreign = words_of(&shares(&other.path("shares"))[1].1);
    let mut screen = start(&new);
    type_head(&mut screen, &head(&old.path("records/one")));

    // A word that is not in the list, and one that is wrong; whose deputy Ada is, people know.
    let told = screen.answer(WHO, "Ada");
    screen.answer(STRANGER, "yes");
    let named =
        folded(&told).contains("The record says who got a share: Security, Audit, Treasury,");
    assert!(named, "{told}");
    let first = words_of(&dealt[0]);
    screen.answer(&asks("Ada", 1), "notaword");
    screen.expect("Row 1: that is not in the word list");
    let wrong = words_of(&with_word(&dealt[0], 17, another_word(&dealt[0], 17)));
    type_from(&mut screen, "Ada", &wrong, 1);
    let told = screen.expect(&asks("Ada", 18));
    let page = told.rsplit_once(WIPE).unwrap().1;
    fits(page);
    let row = |row: usize| format!("{row} {} ", wrong[row - 1]);
    let excerpt = page.lines().find(|line| line.contains("> 18 ")).unwrap();
    for shown in [row(16), row(17), format!("> {}", row(18)), row(19)] {
        assert!(format!("{excerpt} ").contains(&shown), "{shown}: {page}");
    }
    for text in [
        "Exactly one changed word would explain it:",
        "\n Ada: look at row 18 on your form, letter by letter, and type it again.\n",
        "\n Nothing is lost.   good so far   none yet\n",
        "still needed  3 of 3\n",
        "made so far   no data key in the HSM; only the transcript\n",
        "\n back = edit any row     aside = put this share aside",
        "\n note = record something for the auditor        stop = end the ceremony here\n",
    ] {
        assert!(page.contains(text), "{text:?}: {page}");
    }
    assert!(!told.contains(&first[17]), "the word was guessed: {told}");
    let others = [&first[..15], &first[19..]].concat();
    unseen(&mut screen, &others);
    // back: any row, also one that was right
    let which = "Ada: which row? A number from 1 to 33, or aside: ";
    screen.enter("back");
    screen.answer(which, "40");
    screen.expect("The rows are 1 to 33.");
    screen.answer(which, "back");
    screen.expect(" Typing goes on at row 18.\n");
    screen.answer(&asks("Ada", 18), "BACK");
    screen.answer(which, "20");
    screen.answer(&asks("Ada", 20), &first[19]);
    screen.answer(&asks("Ada", 18), "notaword");
    screen.expect("not in the word list");
    screen.answer(&asks("Ada", 18), &first[17][..4]);
    let told = screen.expect(WHO);
    assert!(told.contains("good so far   Security"), "{told}");
    assert!(told.contains("still needed  2 of 3"), "{told}");
    assert!(
        told.contains("could bring   Audit, Treasury, Legal, Operations\n"),
        "{told}"
    );
    unseen(&mut screen, &first);

    // The same form again, and a form of another ceremony: both are seen at word 4.
    screen.enter("Bob");
    screen.answer(STRANGER, "yes");
    for row in 1..=4 {
        screen.answer(&asks("Bob", row), &first[row - 1]);
    }
    screen.expect("typed a share with this word 4");
    for row in 1..=4 {
        screen.answer(&asks("Bob", row), &foreign[row - 1]);
    }
    screen.expect("differs from that of the shares before");
    screen.answer(&asks("Bob", 1), "aside");
    screen.expect("the share of Bob was put aside");

    // Two neighbours exchanged.
    let third = words_of(&dealt[2]);
    let (exchanged, at) = swapped(&dealt[2]);
    let exchanged = words_of(&exchanged);
    deputy(&mut screen, "Carol");
    type_from(&mut screen, "Carol", &exchanged, 1);
    let told = screen.expect("which row? A number from 1 to 33, or aside: ");
    let (first, second) = (at + 1, at + 2);
    let rows = format!("ows {first} and {second} exchanged");
    assert!(told.contains(&rows), "{told}");
    screen.enter(&first.to_string());
    screen.answer(&asks("Carol", first), &third[at]);
    // now one wrong word explains it
    let told = screen.answer(&asks("Carol", second), &third[at + 1]);
    assert!(told.contains(&format!("> {second} ")), "{told}");
    assert!(told.contains("still needed  2 of 3"), "{told}");

    // A forged share with a checksum that fits.
    deputy(&mut screen, "Mallory");
    type_from(&mut screen, "Mallory", &words_of(&forged(&dealt[3])), 1);
    screen.expect("Mallory: it is not one of the shares in the previous record; it was not taken");

    deputy(&mut screen, "Dave");
    type_from(&mut screen, "Dave", &words_of(&dealt[4]), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    unseen(&mut screen, &words_of(&dealt[4]));
    calm(&screen);
    let transcript = same_bytes(&old, &new);
    assert_eq!(
        transcript.event("quorum-met")["shares"],
        serde_json::json!(["Security", "Treasury", "Operations"])
    );
    let anchor = transcript.event("same-material")["anchor"].to_string();
    assert!(
        anchor.contains("rows 1, 2, 3 of the previous head typed"),
        "{anchor}"
    );
    let exceptions = transcript.events("exception");
    let exceptions = exceptions.iter().map(|line| line["what"].as_str().unwrap());
    assert_eq!(
        exceptions.collect::<Vec<_>>(),
        [
            "the share of Security (Person 0) was typed by Ada",
            "the share of Bob was put aside",
            "the share of Treasury (Person 2) was typed by Carol",
            "the share of Operations (Person 4) was typed by Dave",
        ]
    );
}

#[test]
fn custodians_are_asked_for_in_a_recovery_and_what_is_wrong_in_a_share_is_shown_to_them() {
    let Some((old, new, dealt)) = loss(2, 3) else {
        return;
    };
    new.write_plan();
    let mut screen = Screen::start(new.byok(&["run", "plan.toml"]));
    let here = "who is here? Name, or absent: ";
    screen.answer(APPROVE, "Yes");
    screen.answer(KEYBOARD, "Ada Lovelace");
    screen.answer(&format!(" Custodian Security: {here}"), "absent"); // two others are enough
    screen.answer(&format!(" Custodian Audit: {here}"), "Grace Hopper");
    screen.answer(&format!(" Custodian Treasury: {here}"), "absent");
    let asked = screen.answer("or the name of who is here: ", "Emmy Noether");
    assert!(
        folded(&asked).contains("too few are there for a quorum (any 2 of 3 shares), and"),
        "{asked}"
    );
    let list = screen.expect(" A number corrects a name, Enter goes on: ");
    assert!(
        list.contains("   2  custodian Security: absent\n"),
        "{list}"
    );
    screen.enter("");
    type_head(&mut screen, &head(&old.path("records/one")));

    // Two words are wrong: all that was typed is shown, to Audit alone.
    screen.answer(WHO, "Audit");
    screen.expect(" Audit (Grace Hopper): type your 33 words, one word a line.");
    let audit = words_of(&dealt[1]);
    screen.answer(&asks("Audit", 1), &audit[..2].join(" "));
    screen.expect("One word a line: nothing of that line was taken.");
    let wrong = with_word(&dealt[1], 11, another_word(&dealt[1], 11));
    let wrong = words_of(&with_word(&wrong, 25, another_word(&dealt[1], 25)));
    type_from(&mut screen, "Audit", &wrong, 1);
    let which = "Audit: which row? A number from 1 to 33, or aside: ";
    let told = screen.expect(which);
    let page = told.rsplit_once(WIPE).unwrap().1;
    fits(page);
    assert!(
        page.contains("More than one word is wrong: compare every row with the form."),
        "{page}"
    );
    assert_eq!(read_off(page), wrong);
    screen.enter("12");
    screen.answer(&asks("Audit", 12), &audit[11]);
    screen.answer(&asks("Audit", 26), &audit[25]);
    screen.expect(WHO);
    unseen(&mut screen, &audit);

    // Treasury's is typed by the person in that seat, under that person's name.
    screen.enter("Emmy Noether");
    type_from(&mut screen, "Emmy Noether", &words_of(&dealt[2]), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let transcript = same_bytes(&old, &new);
    assert_eq!(
        transcript.event("roll-call")["present"],
        serde_json::json!([
            {"role": "custodian", "seat": "Audit", "name": "Grace Hopper"},
            {"role": "custodian", "seat": "Treasury", "name": "Emmy Noether"},
        ])
    );
    assert!(
        transcript.events("exception").is_empty(),
        "everybody typed their own"
    );
}

#[test]
fn without_the_record_shares_and_package_are_typed_and_the_fingerprint_decides() {
    let Some((old, mut new, dealt)) = loss(2, 3) else {
        return;
    };
    let before = fingerprint(&old.transcript("records/one"));
    let package = fs::read_to_string(old.path("records/one/package.txt")).unwrap();
    let rows: Vec<&str> = package
        .lines()
        .filter(|line| line.contains("  check "))
        .map(|line| line.split_once("  ").unwrap().1)
        .collect();
    assert_eq!(rows.len(), 5);
    new.plan.top_more = "reuse_escrow = \"a test\"\n".into();
    new.plan.key_more = format!("fingerprint = \"{before}\"\n");
    new.plan.more = "[recover]\nshares = \"typed\"\npackage = \"typed\"\n".into();
    let mut screen = start(&new);
    for (at, row) in rows.iter().enumerate() {
        let question = format!("Row {}, 16 hex digits and the 4 of its check: ", at + 1);
        match at {
            1 => {
                screen.answer(&question, rows[2]);
                screen.expect("hat is row 3; row 2 is asked for");
                screen.answer(&question, &format!("row 3   {}", rows[2]));
                screen.expect("hat is row 3; row 2 is asked for");
                screen.answer(
                    &question,
                    &rows[1]
                        .trim_start()
                        .replacen(&rows[1].trim_start()[..8], "01234567", 1),
                );
                screen.expect("he check of row 2 does not fit its digits");
                screen.answer(&question, &format!("row 2   {row}")); // as it is printed
                continue;
            }
            3 => {
                screen.answer(&question, &row[..12]);
                screen.expect("ow 4 has 16 hex digits and then 4 of its check");
            }
            _ => {}
        }
        screen.answer(&question, &row.to_uppercase().replace("CHECK", " "));
    }
    // A forged share is found out only with all shares there: then another custodian comes.
    screen.answer(WHO, "Mallory");
    type_from(&mut screen, "Mallory", &words_of(&forged(&dealt[0])), 1);
    screen.answer(WHO, "Bob");
    type_from(&mut screen, "Bob", &words_of(&dealt[1]), 1);
    screen.expect("together they give no escrow key");
    screen.answer(WHO, "Carol");
    type_from(&mut screen, "Carol", &words_of(&dealt[2]), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let transcript = same_bytes(&old, &new);
    let quorum = transcript.event("quorum-met");
    assert_eq!(quorum["shares"], serde_json::json!(["Bob", "Carol"]));
    assert_eq!(quorum["dissenting"], serde_json::json!(["Mallory"]));
    let exception = transcript.event("exception")["what"].to_string();
    assert!(exception.contains("Mallory"), "{exception}");
}

/// The rows of each data key in a printed package, as they are typed.
fn printed_rows(room: &Room) -> Vec<Vec<String>> {
    let package = fs::read_to_string(room.path("records/one/package.txt")).unwrap();
    let of_key = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.contains("  check "));
        rows.map(|line| line.split_once("  ").unwrap().1.to_owned())
            .collect()
    };
    package.split("\ndata key ").skip(1).map(of_key).collect()
}

/// A data key of 16 bytes has three rows, one of 32 has five; each data key begins at row 1 again.
#[test]
fn packages_of_sixteen_bytes_and_of_several_data_keys_are_typed() {
    let china = "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let (Some(mut old), Some(mut new)) = (room(Kind::SoftHsm, 2, 3), Room::new(Kind::SoftHsm))
    else {
        return;
    };
    let second =
        "[[key]]\nlabel = \"in-china\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n";
    let import = format!(
        "[[key.import]]\nname = \"cn-north-1\"\nkey_arn = \"{china}\"\nparameters = \"inputs/china.json\"\n\
         wrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
        old.kms.sha256()
    );
    new.use_kms_key(old.kms.clone());
    for room in [&mut old, &mut new] {
        room.plan.import_more = format!("{second}{import}");
        let parameters = room.kms.parameters(china, support::now() + 86_000);
        fs::write(room.path("inputs/china.json"), parameters).unwrap();
    }
    old.run_well();
    let rows = printed_rows(&old);
    assert_eq!((rows[0].len(), rows[1].len()), (5, 3));
    let dealt = shares(&old.path("shares"));
    new.plan.kind = "recover".into();
    new.plan.top_more = format!(
        "previous = \"{}\"\nreuse_escrow = \"a test\"\n",
        old.path("records/one").display()
    );
    new.plan.more = "[recover]\nshares = \"typed\"\npackage = \"typed\"\n".into();
    let mut screen = start(&new);
    type_head(&mut screen, &head(&old.path("records/one")));
    for (label, rows) in [LABEL, "in-china"].iter().zip(&rows) {
        screen.expect(&format!("The escrow package of {label:?}, from paper."));
        for (at, row) in rows.iter().enumerate() {
            let question = format!("Row {}, 16 hex digits and the 4 of its check: ", at + 1);
            screen.answer(&question, row);
        }
    }
    for (name, at) in [("Ada", 0), ("Bob", 1)] {
        screen.answer(WHO, name);
        type_from(&mut screen, name, &words_of(&dealt[at].1), 1);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    for wrapped in [
        wrapped("records/one"),
        "records/one/in-china/cn-north-1/WrappedKeyMaterial.bin".into(),
    ] {
        assert_eq!(new.openssl_opens(&wrapped), old.openssl_opens(&wrapped));
    }
}

#[test]
fn a_first_share_of_another_ceremony_is_put_aside_for_all_others() {
    let Some((old, mut new, dealt)) = loss(2, 3) else {
        return;
    };
    let Some(other) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    other.run_well();
    let foreign = words_of(&shares(&other.path("shares"))[1].1);
    // no record that knows the shares: the first one decides what the others must be
    let package = old.path("records/one/escrow-package.json");
    let before = fingerprint(&old.transcript("records/one"));
    new.plan.top_more = "reuse_escrow = \"a test\"\n".into();
    new.plan.key_more = format!("fingerprint = \"{before}\"\n");
    new.plan.more = format!(
        "[recover]\nshares = \"typed\"\npackage = \"{}\"\n",
        package.display()
    );
    let mut screen = start(&new);
    screen.answer(WHO, "Mallory");
    type_from(&mut screen, "Mallory", &words_of(&slow(&dealt[1])), 1);
    screen.expect("its iteration exponent is 15");
    screen.expect("it was not taken");
    screen.answer(WHO, "Bob");
    type_from(&mut screen, "Bob", &foreign, 1);
    let first = words_of(&dealt[0]);
    screen.answer(WHO, "Ada");
    for row in 1..=4 {
        screen.answer(&asks("Ada", row), &first[row - 1]);
    }
    screen.expect("differs from that of the shares before");
    screen.answer(&asks("Ada", 1), "aside");
    screen.answer(WHO, "Bob");
    let put_aside = "Type aside to put it aside, Enter to keep it: ";
    screen.answer(put_aside, "asid");
    screen.expect(" That was neither.\n");
    screen.answer(put_aside, "aside");
    screen.expect("none yet");
    screen.answer(WHO, "");
    screen.expect(" Nothing was typed: a custodian's name is needed.\n");
    for (name, at) in [("Ada", 0), ("Carol", 2)] {
        screen.answer(WHO, name);
        type_from(&mut screen, name, &words_of(&dealt[at]), 1);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    same_bytes(&old, &new);
}

/// The package stands at a path, and the record that the plan names knows its shares all the same.
#[test]
fn a_typed_share_that_the_record_does_not_know_is_named_before_the_others_come() {
    let Some((old, mut new, dealt)) = loss(2, 3) else {
        return;
    };
    let package = old.path("records/one/escrow-package.json");
    new.plan.more = format!(
        "[recover]\nshares = \"typed\"\npackage = \"{}\"\n",
        package.display()
    );
    let mut screen = start(&new);
    type_head(&mut screen, &head(&old.path("records/one")));
    deputy(&mut screen, "Mallory");
    type_from(&mut screen, "Mallory", &words_of(&slow(&dealt[1])), 1);
    screen.expect("it is not one of the shares in the previous record");
    screen.expect("none yet");
    for (name, at) in [("Ada", 0), ("Carol", 2)] {
        deputy(&mut screen, name);
        type_from(&mut screen, name, &words_of(&dealt[at]), 1);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    same_bytes(&old, &new);
}

#[test]
fn notes_and_stop_work_at_every_prompt_of_a_recovery() {
    let Some((old, mut new, dealt)) = loss(2, 3) else {
        return;
    };
    let before = fingerprint(&old.transcript("records/one"));
    new.plan.top_more = "reuse_escrow = \"a test\"\n".into();
    new.plan.key_more = format!("fingerprint = \"{before}\"\n");
    new.plan.more = "[recover]\nshares = \"typed\"\npackage = \"typed\"\n".into();
    let package = fs::read_to_string(old.path("records/one/package.txt")).unwrap();
    let rows = package
        .lines()
        .filter(|line| line.contains("  check "))
        .map(|line| line.split_once("  ").unwrap().1);
    let mut screen = start(&new);
    let mut notes = Vec::new();
    for (at, row) in rows.enumerate() {
        let question = format!("Row {}, 16 hex digits and the 4 of its check: ", at + 1);
        if at == 2 {
            noted(
                &mut screen,
                &question,
                "the package page is creased",
                &mut notes,
            );
        }
        screen.answer(&question, &row.replace("check", " "));
    }
    noted(&mut screen, WHO, "Treasury is ill", &mut notes);
    // a share typed where a name belongs goes nowhere
    screen.answer(WHO, &dealt[0]);
    screen.expect("That looks like words of a share.");
    unseen(&mut screen, &words_of(&dealt[0]));
    screen.answer(WHO, &"x".repeat(41));
    screen.expect("at most 40 characters");
    screen.answer(WHO, "支払い \u{202e}e\u{301}👩‍👩‍👧 אבטחה");
    screen.expect("a character that cannot be shown");
    let name = "支払い e\u{301}👩👩👧 אבטחה";
    screen.answer(WHO, name);
    let wrong = words_of(&with_word(&dealt[0], 32, another_word(&dealt[0], 32)));
    noted(&mut screen, &asks(name, 1), "the ink has run", &mut notes);
    type_from(&mut screen, name, &wrong, 1);
    let told = screen.expect(&asks(name, 33));
    fits(told.rsplit_once(WIPE).unwrap().1);
    assert!(told.contains("> 33 "), "{told}");
    screen.enter("back");
    let which = "which row? A number from 1 to 33, or aside: ";
    noted(&mut screen, which, "two people read row 33", &mut notes);
    screen.answer(which, "stop");
    screen.answer(STOP, "");
    screen.answer(which, "33");
    screen.answer(&asks(name, 33), &words_of(&dealt[0])[32]);
    let told = screen.expect(WHO);
    assert!(told.contains(&format!("good so far   {name}\n")), "{told}");
    screen.enter("stop");
    screen.answer(STOP, "");
    screen.answer(WHO, "Bob");
    type_from(&mut screen, "Bob", &words_of(&dealt[1]), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    // what is typed after a question is the person's own width, and so is the last line's
    let own = |line: &&str| {
        !line.contains(&dealt[0][..9])
            && line.split_once(": ").is_none()
            && !line.contains("records/one")
    };
    let told = screen.shown.lines().filter(own);
    support::fits(&told.collect::<Vec<_>>().join("\n"));
    let transcript = same_bytes(&old, &new);
    assert_eq!(typed_notes(&transcript), notes);
    verify(&new);
}

/// Types a note at this question, and remembers it.
#[track_caller]
fn noted(screen: &mut Screen, question: &str, what: &str, notes: &mut Vec<(u64, String)>) {
    screen.answer(question, "note");
    screen.answer("What happened? (one line, for the auditor", what);
    screen.expect("Noted for the auditor.");
    notes.push((7, what.to_owned()));
}

#[test]
fn who_has_no_paper_with_the_head_says_so_and_it_is_recorded() {
    let Some((old, new, dealt)) = loss(2, 3) else {
        return;
    };
    let mut screen = start(&new);
    let none = "Type none again to confirm, Enter to type the row: ";
    screen.answer("4 words: ", "none");
    screen.answer(none, ""); // taken back
    screen.answer("4 words: ", &head(&old.path("records/one"))[..8]);
    screen.answer("4 words: ", "none");
    screen.expect("none is no longer possible: row 1 was taken from this paper.");
    screen.answer("4 words: ", "stop");
    screen.answer(STOP, "STOP");
    assert_eq!(screen.end(), 1, "{}", screen.visible());
    let mut screen = start(&new);
    screen.answer("4 words: ", "none");
    screen.answer(none, "none");
    for (name, at) in [("Security", 0), ("Audit", 1)] {
        screen.answer(WHO, name);
        type_from(&mut screen, name, &words_of(&dealt[at]), 1);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let transcript = same_bytes(&old, &new);
    let exception = transcript.event("exception")["what"].to_string();
    let said = "the previous record has no anchor: nothing from outside it vouches for it";
    assert_eq!(exception, format!("{said:?}"));
    let shown = support::folded(&screen.shown);
    let which = "the head digest of the previous record: \"";
    assert!(
        shown.contains(which) && shown.contains("\", sealed 20"),
        "{shown}"
    );
}

#[test]
fn another_head_on_paper_ends_the_recovery() {
    let Some((_old, new, _)) = loss(2, 3) else {
        return;
    };
    let mut screen = start(&new);
    for _ in 0..3 {
        screen.answer("4 words: ", "00000000");
    }
    assert_eq!(screen.end(), 4, "{}", screen.visible());
    let said = screen.visible();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("is not what the paper says [PREVIOUS-HEAD]"),
        "{said}"
    );
    assert!(
        said.contains("hint: compare the ceremony's date and place on the paper"),
        "{said}"
    );
    assert!(!said.contains("slip"), "{said}");
    assert_eq!(new.objects(), [""; 0]);
}

#[test]
fn typed_shares_need_people() {
    let Some((old, mut new, _)) = loss(2, 3) else {
        return;
    };
    let head = head(&old.path("records/one"));
    new.plan.top_more += &format!("previous_head = \"{head}\"\n");
    refused(
        &new.run(),
        2,
        &["an unattended run has nobody to type shares or the package"],
    );
    assert_eq!(new.beside(), [""; 0]);
    assert!(!new.objects().iter().any(|object| object.contains(LABEL)));
}

/// Killed while Audit looks at the share: Security's form is written, Audit's perhaps.
#[test]
fn the_forms_of_a_hand_out_that_was_killed_are_named_by_the_next_run() {
    let Some(room) = screen_room() else {
        return;
    };
    let mut screen = start(&room);
    let words = copy(&mut screen, "Security");
    type_from(&mut screen, "Security", &words, 1);
    screen.expect("all 33 words came back right");
    screen.answer("when only Audit looks: ", "2");
    screen.expect(WRITTEN);
    screen.kill();
    assert_eq!(room.beside(), ["one.incomplete"]);
    assert_eq!(room.objects().len(), 1);
    let old = room.transcript("records/one.incomplete").lines[0]["ceremony"].clone();

    let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
    let shown = screen.answer(APPROVE, "Yes");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = format!(
        "interrupted ceremony {}; destroy them: share 1, Security; share 2, Audit, if it was begun",
        old.as_str().unwrap()
    );
    assert!(
        shown.contains(&told) && !shown.contains("share 3"),
        "{shown}"
    );
    screen.answer(KEYBOARD, "Ada Lovelace");
    screen.seats();
    for custodian in ["Security", "Audit", "Treasury"] {
        let words = copy(&mut screen, custodian);
        type_from(&mut screen, custodian, &words, 1);
        screen.expect("all 33 words came back right");
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let transcript = room.transcript("records/one");
    let void = transcript.event("shares-voided");
    assert_eq!(void["ceremony"], old);
    assert_eq!(
        void["shares"],
        serde_json::json!([
            {"share": 1, "custodian": "Security", "handed_out": true},
            {"share": 2, "custodian": "Audit", "handed_out": false},
        ])
    );
    assert_eq!(room.objects().len(), 1, "{:?}", room.objects());
    verify(&room);
}

#[test]
fn three_typed_shares_and_the_typed_package_are_enough_with_the_record_gone() {
    let Some((old, mut new, dealt)) = loss(3, 5) else {
        return;
    };
    let before = fingerprint(&old.transcript("records/one"));
    let key = old.openssl_opens(&wrapped("records/one"));
    let package = fs::read_to_string(old.path("records/one/package.txt")).unwrap();
    fs::remove_dir_all(old.path("records")).unwrap();
    fs::remove_dir_all(old.path("shares")).unwrap();
    new.plan.top_more = "reuse_escrow = \"a test\"\n".into();
    new.plan.key_more = format!("fingerprint = \"{before}\"\n");
    new.plan.more = "[recover]\nshares = \"typed\"\npackage = \"typed\"\n".into();
    let mut screen = start(&new);
    let rows = package.lines().filter(|line| line.contains("  check "));
    for (at, row) in rows.enumerate() {
        let question = format!("Row {}, 16 hex digits and the 4 of its check: ", at + 1);
        screen.answer(&question, row.split_once("  ").unwrap().1);
    }
    for (name, at) in [("Ada", 4), ("Bob", 0), ("Carol", 2)] {
        screen.answer(WHO, name);
        type_from(&mut screen, name, &words_of(&dealt[at]), 1);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    assert_eq!(new.openssl_opens(&wrapped("records/one")), key);
    let transcript = new.transcript("records/one");
    assert_eq!(
        transcript.event("key-recovered")["fingerprint"],
        before.as_str()
    );
    assert_eq!(
        transcript.event("same-material")["anchor"],
        "fingerprint in the plan"
    );
}
