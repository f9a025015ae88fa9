//! Shares between people and the screen: handed out, written down, typed back, and typed again years
//! later, with the mistakes that people make.

mod support;

use std::fs;

use support::escrow::{
    another_word, fingerprint, forged, head, room, shares, swapped, table, with_word, wrapped,
};
use support::screen::{Screen, WIPE};
use support::{Kind, LABEL, Room, Transcript, refused, sha256, stderr};
use unicode_width::UnicodeWidthStr as _;

const APPROVE: &str = " Type Yes to approve, anything else to stop: ";
const KEYBOARD: &str = "Who is at the keyboard? Name: ";
const WRITTEN: &str = "Type written when the form is full: ";
const WHO: &str = "Which custodian types a share now? Name: ";

/// A room whose ceremony deals any 2 of 3 at the screen.
fn screen_room() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan.more = table(2, 3, "screen");
    Some(room)
}

fn start(room: &Room) -> Screen {
    room.write_plan();
    let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
    screen.answer(APPROVE, "Yes");
    screen.answer(KEYBOARD, "Ada Lovelace");
    screen
}

/// Words 1 to 33 from the screen of a share, as a custodian reads the three columns.
#[track_caller]
fn read_off(screen: &str) -> Vec<String> {
    let mut words = vec![String::new(); 33];
    for line in screen.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        if cells.len() == 6 && cells[0].parse::<usize>().is_ok() {
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
fn copy(screen: &mut Screen, custodian: &str) -> Vec<String> {
    screen.answer(&format!("when only {custodian} looks: "), "");
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
    for line in page.lines() {
        assert!(line.width() <= 79, "{} columns: {line}", line.width());
    }
    assert!(page.lines().count() <= 24, "it scrolls:\n{page}");
}

fn asks(custodian: &str, row: usize) -> String {
    format!(" {custodian}, word {row:>2} of 33: ")
}

/// Types rows `from` to 33, four letters of each.
#[track_caller]
fn type_from(screen: &mut Screen, custodian: &str, words: &[String], from: usize) {
    for row in from..=33 {
        screen.answer(&asks(custodian, row), &words[row - 1][..4]);
    }
}

fn words_of(share: &str) -> Vec<String> {
    share.split(' ').map(str::to_owned).collect()
}

/// No two neighbouring words of the share are seen any more, typed or shown.
#[track_caller]
fn unseen(screen: &mut Screen, words: &[String]) {
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

    // Audit types a word that is not in the list, goes back, and looks at the share again.
    let words = copy(&mut screen, "Audit");
    screen.answer(&asks("Audit", 1), &words[0]);
    screen.answer(&asks("Audit", 2), "kryoptic");
    screen.expect("What you typed for row 2 is not a word of the list");
    screen.answer(&asks("Audit", 2), "");
    screen.expect("not a word of the list");
    screen.answer(&asks("Audit", 2), another_word(&words.join(" "), 1));
    screen.answer(&asks("Audit", 3), "back");
    screen.answer(&asks("Audit", 2), &format!(" {} ", words[1].to_uppercase()));
    screen.answer(&asks("Audit", 3), "words");
    let again = copy(&mut screen, "Audit");
    assert_eq!(again, words);
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
    let told = screen.expect("type only what is asked now");
    assert!(
        told.contains("rows 18, 31 are not what was shown"),
        "{told}"
    );
    unseen(&mut screen, &words);
    screen.answer(&asks("Treasury", 18), &words[17]);
    screen.answer(&asks("Treasury", 31), &form[30]);
    let told = screen.expect("type only what is asked now");
    assert!(told.contains("row 31 is not what was shown"), "{told}");
    assert!(!told.contains("step 10 of 13"));
    screen.answer(&asks("Treasury", 31), &words[30]);
    screen.expect("all 33 words came back right");
    dealt.push(words);

    screen.expect("step 10 of 13");
    assert_eq!(screen.end(), 0, "{}", screen.shown);
    for words in &dealt {
        unseen(&mut screen, words);
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
fn verify(room: &Room) {
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
            "these shares are now void, destroy their forms: share 1, Security; share 2, Audit"
        ),
        "{visible}"
    );
    assert_eq!(room.objects(), [""; 0]);
    assert!(!room.path("records/one").exists());
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
fn type_head(screen: &mut Screen, head: &str) {
    for row in 1..=3 {
        let asked = format!("Row {row} of the digest of the previous record's head");
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

    // A word that is not in the list, and one that is wrong.
    screen.answer(WHO, "Ada");
    let first = words_of(&dealt[0]);
    screen.answer(&asks("Ada", 1), "notaword");
    screen.expect("Row 1: that is not a word of the list");
    let wrong = words_of(&with_word(&dealt[0], 17, another_word(&dealt[0], 17)));
    type_from(&mut screen, "Ada", &wrong, 1);
    let told = screen.expect("which row? A number from 1 to 33, or aside: ");
    assert!(
        told.contains("one wrong word would explain it, in row 18"),
        "{told}"
    );
    assert!(!told.contains(&first[17]), "the word was guessed: {told}");
    unseen(&mut screen, &first);
    screen.enter("40");
    screen.answer("which row? A number from 1 to 33, or aside: ", "18");
    screen.answer(&asks("Ada", 18), "notaword");
    screen.expect("not a word of the list");
    screen.answer(&asks("Ada", 18), &first[17][..4]);
    let told = screen.expect(WHO);
    assert!(told.contains("good so far   Security"), "{told}");
    assert!(told.contains("still needed  2"), "{told}");
    unseen(&mut screen, &first);

    // The same form again, and a form of another ceremony: both are seen at word 4.
    screen.enter("Bob");
    for row in 1..=4 {
        screen.answer(&asks("Bob", row), &first[row - 1]);
    }
    screen.expect("typed a share with this word 4");
    for row in 1..=4 {
        screen.answer(&asks("Bob", row), &foreign[row - 1]);
    }
    screen.expect("is not that of the shares before");
    screen.answer(&asks("Bob", 1), "aside");
    screen.expect("the share of Bob was put aside");

    // Two neighbours exchanged.
    let third = words_of(&dealt[2]);
    let exchanged = words_of(&swapped(&dealt[2], 9));
    screen.answer(WHO, "Carol");
    type_from(&mut screen, "Carol", &exchanged, 1);
    let told = screen.expect("which row? A number from 1 to 33, or aside: ");
    assert!(told.contains("ows 10 and 11 exchanged"), "{told}");
    screen.enter("10");
    screen.answer(&asks("Carol", 10), &third[9]);
    screen.answer("which row? A number from 1 to 33, or aside: ", "11");
    screen.answer(&asks("Carol", 11), &third[10]);

    // A forged share with a checksum that fits.
    screen.answer(WHO, "Mallory");
    type_from(&mut screen, "Mallory", &words_of(&forged(&dealt[3])), 1);
    screen.expect("Mallory: it is none of those that the previous record dealt; it was not taken");

    screen.answer(WHO, "Dave");
    type_from(&mut screen, "Dave", &words_of(&dealt[4]), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    unseen(&mut screen, &words_of(&dealt[4]));
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
    assert_eq!(
        transcript.events("exception").len(),
        1,
        "the share put aside"
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
                screen.expect("he check of row 2 does not fit its digits");
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
    new.plan.more = format!(
        "[recover]\nshares = \"typed\"\npackage = \"{}\"\n",
        package.display()
    );
    let mut screen = start(&new);
    type_head(&mut screen, &head(&old.path("records/one")));
    screen.answer(WHO, "Bob");
    type_from(&mut screen, "Bob", &foreign, 1);
    let first = words_of(&dealt[0]);
    screen.answer(WHO, "Ada");
    for row in 1..=4 {
        screen.answer(&asks("Ada", row), &first[row - 1]);
    }
    screen.expect("of another ceremony");
    screen.answer(&asks("Ada", 1), "aside");
    screen.answer(WHO, "Bob");
    screen.answer("Type aside to put it aside, Enter to keep it: ", "aside");
    screen.expect("none yet");
    for (name, at) in [("Ada", 0), ("Carol", 2)] {
        screen.answer(WHO, name);
        type_from(&mut screen, name, &words_of(&dealt[at]), 1);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    same_bytes(&old, &new);
}

#[test]
fn who_has_no_paper_with_the_head_says_so_and_it_is_recorded() {
    let Some((old, new, dealt)) = loss(2, 3) else {
        return;
    };
    let mut screen = start(&new);
    screen.answer("4 words: ", "none");
    for (name, at) in [("Ada", 0), ("Bob", 1)] {
        screen.answer(WHO, name);
        type_from(&mut screen, name, &words_of(&dealt[at]), 1);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let transcript = same_bytes(&old, &new);
    let exception = transcript.event("exception")["what"].to_string();
    assert!(exception.contains("has no anchor"), "{exception}");
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
        &["nobody is there to type shares or package"],
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
    screen.answer("when only Audit looks: ", "");
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
