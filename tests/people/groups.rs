//! Shares of groups between people and the screen: handed out, typed back, and typed again in a recovery, with the
//! mistakes that people make.

use crate::hand_out::{STRANGER, WHO, asks, copy, start, type_from, type_head, unseen, words_of};
use crate::support;

use support::escrow::{another_word, forged, head, shares, with_word, wrapped};
use support::screen::Screen;
use support::{Kind, Room, folded};

const GROUPS: &str = "[escrow]\ngroups_threshold = 2\ngroups = [\n\
    { name = \"Security\", threshold = 2, custodians = [\"Ines\", \"Jan\", \"Kim\"] },\n\
    { name = \"Audit\", threshold = 1, custodians = [\"Lea\", \"Max\"] },\n]\n";

fn room(kind: Kind, deliver: &str) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.plan.more = format!("{GROUPS}deliver = \"{deliver}\"\n");
    Some(room)
}

#[test]
fn shares_of_groups_are_handed_out_with_mistakes_and_every_one_is_proved() {
    let Some(room) = room(Kind::SoftHsm, "screen") else {
        return;
    };
    let mut screen = start(&room);
    let mut all = Vec::new();
    for custodian in ["Ines", "Jan", "Kim", "Lea", "Max"] {
        let words = copy(&mut screen, custodian);
        if custodian == "Lea" {
            // the form has one word that the share has not
            let wrong = words_of(&with_word(
                &words.join(" "),
                20,
                another_word(&words.join(" "), 20),
            ));
            type_from(&mut screen, custodian, &wrong, 1);
            screen.expect("Lea: row 21 is not what was shown.");
            screen.answer(&asks(custodian, 21), &words[20]);
        } else {
            type_from(&mut screen, custodian, &words, 1);
        }
        screen.expect("all 33 words came back right.");
        unseen(&mut screen, &words);
        all.push(words);
    }
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let shown = folded(&screen.shown);
    assert!(
        shown.contains(
            "Words 1 and 2 are the same on every form; words 3 and 4 make this one yours."
        )
    );
    let beginning = |at: usize, words: usize| all[at][..words].to_vec();
    assert!((1..5).all(|at| beginning(at, 2) == beginning(0, 2)));
    assert_ne!(all[2][2..4], all[3][2..4]);
    let transcript = room.transcript("records/one");
    assert_eq!(transcript.event("escrow-proved")["recombinations"], 5);
    assert_eq!(
        transcript.event("escrow-dealt")["groups"][1]["name"],
        "Audit"
    );
}

/// A ceremony that dealt shares to groups, a recovery from them with another HSM and this in its plan, and the shares.
fn lost(more: &str) -> Option<(Room, Room, Vec<String>)> {
    let old = room(Kind::Kryoptic, "files:shares")?;
    old.run_well();
    let mut new = Room::new(Kind::SoftHsm)?;
    new.use_kms_key(old.kms.clone());
    new.plan.kind = "recover".into();
    let previous = old.path("records/one");
    new.plan.top_more = format!(
        "previous = \"{}\"\nreuse_escrow = \"a test\"\n",
        previous.display()
    );
    new.plan.more = format!("[recover]\nshares = \"typed\"\npackage = \"record\"\n{more}");
    let dealt = shares(&old.path("shares"));
    let dealt = dealt.into_iter().map(|(_, words)| words).collect();
    Some((old, new, dealt))
}

#[test]
fn shares_of_groups_are_typed_in_any_order_and_what_is_missing_is_told_by_group() {
    let Some((old, new, dealt)) = lost("") else {
        return;
    };
    let [ines, _, kim, _, max] = &dealt[..] else {
        panic!("five shares")
    };
    let mut screen = start(&new);
    type_head(&mut screen, &head(&old.path("records/one")));
    let told = screen.answer(WHO, "Max");
    let told = folded(&told);
    assert!(
        told.contains("Security: Ines, Jan, Kim; Audit: Lea, Max."),
        "{told}"
    );
    type_from(&mut screen, "Max", &words_of(max), 1);
    let told = screen.answer(WHO, "Max");
    assert!(
        folded(&told).contains("still needed 1 of 2 groups: Security needs 2, Audit is complete"),
        "{told}"
    );
    assert!(
        folded(&told).contains("could bring Security: Ines, Jan, Kim"),
        "{told}"
    );
    screen.answer(" Type aside to put it aside, Enter to keep it: ", "");

    // the own form of somebody who typed already is seen at word 4, and words of another group are no mistake
    screen.answer(WHO, "Kim");
    for row in 1..=4 {
        screen.answer(&asks("Kim", row), &words_of(max)[row - 1]);
    }
    screen.expect("Max typed a share with these words 3 and 4 already.");
    type_from(&mut screen, "Kim", &words_of(kim), 1);
    let told = screen.answer(WHO, "Mallory");
    assert!(
        folded(&told).contains("still needed 1 of 2 groups: Security needs 1, Audit is complete"),
        "{told}"
    );
    screen.answer(STRANGER, "yes");
    type_from(&mut screen, "Mallory", &words_of(&forged(ines)), 1);
    screen.expect("Mallory: it is not one of the shares in the previous record; it was not taken");
    screen.answer(WHO, "Ines");
    type_from(&mut screen, "Ines", &words_of(ines), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    assert_eq!(
        new.openssl_opens(&wrapped("records/one")),
        old.openssl_opens(&wrapped("records/one"))
    );
    let met = new.transcript("records/one");
    let met = met.event("quorum-met");
    assert_eq!(met["shares"], serde_json::json!(["Kim", "Ines", "Max"]));
}

#[test]
fn who_is_asked_for_new_custodians_keeps_the_groups_with_enter() {
    let Some(room) = room(Kind::SoftHsm, "files:shares") else {
        return;
    };
    room.run_well();
    let args = ["plan", "--new-shares", "records/one", "--out", "anew.toml"];
    let mut screen = Screen::start(room.byok(&args));
    let asked = " Custodians, with commas between them (Enter: as before): ";
    let told = screen.answer(asked, "");
    let whole = "before: 2 of 2 groups: Security (any 2 of 3): Ines, Jan, Kim; Audit (any 1 of 2): Lea, Max";
    assert!(folded(&told).contains(whole), "{told}");
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let plan = std::fs::read_to_string(room.path("anew.toml")).unwrap();
    assert!(plan.contains("groups_threshold = 2"), "{plan}");
}

const REASON: &str = " To take this share, type because and the reason. aside puts it aside: ";

/// What the roll call keeps apart stays apart when shares are typed: for people of the room, and for somebody who comes.
#[test]
fn another_s_share_needs_a_reason_where_the_plan_keeps_the_seats_apart() {
    let apart = "[roles]\napart = [\"operator and custodian\", \"custodians of two groups\"]\n";
    let Some((old, new, dealt)) = lost(apart) else {
        return;
    };
    let words = |at: usize| words_of(&dealt[at]);
    let mut screen = start(&new); // Ada Lovelace is at the keyboard
    type_head(&mut screen, &head(&old.path("records/one")));

    // Whoever is at the keyboard types for a custodian.
    screen.answer(WHO, "ada  lovelace");
    screen.answer(STRANGER, "yes");
    type_from(&mut screen, "ada  lovelace", &words(0), 1);
    let told = folded(&screen.answer(REASON, ""));
    assert!(
        told.contains("The share of Ines (Person 0) was typed by ada lovelace. The plan says NEVER ONE PERSON: operator and custodian."),
        "{told}"
    );
    screen.expect(" Type because and the reason, or aside.\n");
    screen.answer(REASON, "aside");
    screen.expect("exception: the share of ada  lovelace was put aside");

    // The custodian of one group types for that group, and for another.
    screen.answer(WHO, "Kim");
    type_from(&mut screen, "Kim", &words(1), 1);
    screen.answer(WHO, "Kim");
    type_from(&mut screen, "Kim", &words(3), 1);
    let told = folded(&screen.answer(REASON, "because Lea is on her way, agreed with audit"));
    assert!(
        told.contains("The plan says NEVER ONE PERSON: custodians of two groups."),
        "{told}"
    );

    // So does somebody who was not at the roll call: the second group needs the reason.
    screen.answer(WHO, "Jan");
    screen.answer(" Type aside to put it aside, Enter to keep it: ", "aside");
    screen.answer(WHO, "Lea");
    screen.answer(" Type aside to put it aside, Enter to keep it: ", "aside");
    screen.answer(WHO, "Olga");
    screen.answer(STRANGER, "yes");
    type_from(&mut screen, "Olga", &words(4), 1);
    screen.answer(WHO, "Olga");
    type_from(&mut screen, "Olga", &words(2), 1);
    screen.answer(REASON, "because the others are ill");
    screen.answer(WHO, "Ines");
    type_from(&mut screen, "Ines", &words(0), 1);
    assert_eq!(screen.end(), 0, "{}", screen.visible());
    let transcript = new.transcript("records/one");
    let noted = transcript.events("exception");
    let noted: Vec<&str> = noted
        .iter()
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        noted,
        [
            "the share of ada  lovelace was put aside",
            "the share of Jan (Person 1) was typed by Kim",
            "the share of Lea (Person 3) was typed by Kim; the plan keeps apart custodians of two groups, but: Lea is on her way, agreed with audit",
            "the share of Jan was put aside",
            "the share of Lea was put aside",
            "the share of Max (Person 4) was typed by Olga",
            "the share of Kim (Person 2) was typed by Olga; the plan keeps apart custodians of two groups, but: the others are ill",
        ]
    );
}
