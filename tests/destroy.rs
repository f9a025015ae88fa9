//! The end of a data key's life: proved first, destroyed, proved to be gone.

mod support;

use std::fs;

use support::escrow::room;
use support::pty::Pty;
use support::screen::Screen;
use support::strace::{self, was_killed};
use support::verifiers::{both, copy_tree};
use support::{Kind, LABEL, Room, Transcript, refused, sha256, stderr, stdout};

/// The plan that destroys what `records/one` made.
fn plan_the_end(room: &mut Room, head: &str) {
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    room.plan.directory = "records/two".into();
    room.plan.top_more = format!(
        "previous = \"records/one\"\nprevious_head = \"{head}\"\nreason = \"end of life\"\n"
    );
}

fn a_data_key_ends(kind: Kind) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    let made = room.run_well();
    let (head, objects) = (sha256(&made.bytes), room.objects());
    assert_eq!(objects.len(), 1);

    // Another head than the paper's: nothing is destroyed.
    plan_the_end(&mut room, &"0".repeat(64));
    refused(&room.run(), 4, &["[PREVIOUS-RECORD]"]);
    assert_eq!(room.objects(), objects);

    // Another key in its place: nothing is destroyed.
    plan_the_end(&mut room, &head);
    room.plan.top_more = "reason = \"end of life\"\n".into();
    room.plan.key_more = format!("fingerprint = \"{}\"\n", "0".repeat(64));
    refused(&room.run(), 4, &["[SAME-MATERIAL]", LABEL]);
    assert_eq!(room.objects(), objects);

    room.plan.key_more = String::new();
    plan_the_end(&mut room, &head);
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(room.objects().is_empty());
    let ended = room.transcript("records/two");
    let destroyed = ended.event("key-destroyed");
    assert_eq!(destroyed["cka_id"], made.event("key-generated")["cka_id"]);
    assert_eq!(destroyed["why"], "end of life");
    assert_eq!(
        ended.event("same-material")["fingerprint"],
        made.event("key-generated")["fingerprint"]
    );
    assert!(!fs::exists(room.path("records/two/import.sh")).unwrap());
    let verified = room.byok(&["verify", "records/two"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(
        stdout(&verified).contains("destroyed"),
        "{}",
        stdout(&verified)
    );
}

/// What keeps a data key alive outside the HSM, as it is asked for.
const OUTSIDE: [&str; 4] = [
    "the form of share 1, Security",
    "the form of share 2, Audit",
    "the form of share 3, Treasury",
    "every copy of escrow-package.json and its printed page",
];

#[test]
fn every_share_and_the_package_are_ticked_off_one_by_one() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let head = sha256(&room.run_well().bytes);
    plan_the_end(&mut room, &head);
    room.plan.more = String::new();
    room.write_plan();
    let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
    screen.expect("DESTROY");
    screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    screen.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
    // a mistyped word is no account of what happens to a form
    for mistyped in ["destoryed", ""] {
        screen.answer("Type destroyed, or what happens to it: ", mistyped);
        screen
            .expect(" Not understood. Type destroyed; or say in a few words what happens to it.\n");
    }
    for (what, said) in
        OUTSIDE
            .iter()
            .zip(["Destroyed", "lost, says Audit", "destroyed", "destroyed"])
    {
        let asked = screen.answer("Type destroyed, or what happens to it: ", said);
        let asked: Vec<&str> = asked.split_whitespace().collect();
        let question = format!("Is {what} destroyed before your eyes?");
        assert!(asked.join(" ").contains(&question), "{asked:?}");
    }
    assert_eq!(screen.end(), 0, "{}", screen.shown);
    assert_eq!(room.objects(), [""; 0]);
    let ended = room.transcript("records/two");
    let ticked: Vec<_> = ended
        .events("escrow-destroyed")
        .iter()
        .map(|event| {
            (
                event["what"].as_str().unwrap().to_owned(),
                event["said"].clone(),
            )
        })
        .collect();
    let whats: Vec<&str> = ticked.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(whats, OUTSIDE);
    assert_eq!(ticked[1].1, "lost, says Audit");
    let exception = ended.event("exception")["what"].to_string();
    assert!(
        exception.contains(OUTSIDE[1]) && exception.contains("lost, says Audit"),
        "{exception}"
    );
}

#[test]
fn what_nobody_ticked_off_is_an_exception() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let head = sha256(&room.run_well().bytes);
    plan_the_end(&mut room, &head);
    room.plan.more = String::new();
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let ended = room.transcript("records/two");
    assert_eq!(ended.events("exception").len(), OUTSIDE.len());
    let events = ended.events("escrow-destroyed");
    assert!(events.iter().all(|event| event["said"] == "not asked"));
}

#[test]
fn a_destruction_needs_a_reason() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let head = sha256(&room.run_well().bytes);
    let objects = room.objects();
    plan_the_end(&mut room, &head);
    room.plan.top_more = room.plan.top_more.replace("reason = \"end of life\"\n", "");
    refused(&room.run(), 2, &["reason"]);
    assert_eq!(room.objects(), objects);
}

#[test]
fn a_data_key_ends_on_softhsm() {
    a_data_key_ends(Kind::SoftHsm);
}

#[test]
fn a_data_key_ends_on_kryoptic() {
    a_data_key_ends(Kind::Kryoptic);
}

#[test]
fn what_people_say_of_the_forms_is_recorded_and_cannot_break_the_record() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_with_escrow(2, &["Security", "Audit"]);
    let head = sha256(&room.transcript("records/one").bytes);
    plan_the_end(&mut room, &head);
    room.plan.more = String::new();
    room.write_plan();
    let mut pty = Pty::start(room.byok(&["run", "plan.toml"]));
    pty.answer("anything else to stop: ", "Yes");
    pty.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
    let asked = "Type destroyed, or what happens to it: ";
    let shown = pty.answer(asked, "destroyed");
    assert!(shown.contains("share 1, Security destroyed before your eyes?"));
    pty.answer(asked, "note");
    pty.answer("What happened?", "Audit sent a deputy");
    pty.answer(asked, "kept by \u{202e}Audit\u{1b}[2J");
    pty.answer(asked, "destroyed");
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let transcript = room.transcript("records/two");
    let said: Vec<_> = transcript.events("escrow-destroyed");
    assert_eq!(said[1]["said"], "kept by \\u{202e}Audit\\u{1b}[2J");
    let exceptions = transcript.events("exception");
    assert_eq!((exceptions.len(), &exceptions[0]["step"]), (2, &9.into()));
    assert_eq!(exceptions[0]["what"], "Audit sent a deputy");
    let verified = room.byok(&["verify", "records/two"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
}

/// The plan that destroys what one good ceremony made; `None` where byok cannot be traced.
fn about_to_end() -> Option<(Room, Transcript)> {
    let mut room = Room::new(Kind::SoftHsm)?;
    let made = room.run_well();
    plan_the_end(&mut room, &sha256(&made.bytes));
    strace::is_here(&room).then_some((room, made))
}

/// The next run of the plan records the end, and tells which attempt it was.
#[track_caller]
fn the_next_run_records_the_end(room: &Room, made: &Transcript, attempt: [&str; 2]) {
    let id = &made.event("key-generated")["cka_id"];
    assert!(room.objects().is_empty());
    let checked = room.byok(&["check", "--hsm", "plan.toml"]);
    let checked = { checked }.output().unwrap();
    assert_ne!(checked.status.code(), Some(3), "{}", stdout(&checked));
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let ended = room.transcript("records/two");
    let destroyed = ended.event("key-destroyed");
    assert_eq!(
        (&destroyed["cka_id"], &destroyed["objects"]),
        (id, &0.into())
    );
    let told = ended.event("exception")["what"].to_string();
    for wanted in attempt {
        assert!(told.contains(wanted), "{told}");
        assert!(stdout(&checked).contains(wanted), "{}", stdout(&checked));
    }
    let verified = both(room.dir.path(), &["records/two"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(stdout(&verified).contains("destroyed"));
}

#[test]
fn an_end_whose_ceremony_failed_afterwards_is_told_and_recorded_by_the_next() {
    let Some((room, made)) = about_to_end() else {
        return;
    };
    let no_name = "renameat2:error=EIO:when=1";
    let output = strace::run(&room, Some(no_name)).output().unwrap();
    refused(&output, 5, &["was destroyed, and nothing takes that back"]);
    let attempt = ["whose record is two.aborted-", "destroyed it"];
    the_next_run_records_the_end(&room, &made, attempt);
}

#[test]
fn an_end_cut_off_before_its_line_was_written_is_recorded_by_the_next() {
    let Some((room, made)) = about_to_end() else {
        return;
    };
    copy_tree(&room.path("tokens"), &room.path("kept"));
    assert!(strace::run(&room, None).status().unwrap().success());
    let calls = strace::calls(&room);
    let line = strace::line_of(&calls, "key-destroyed");
    fs::remove_dir_all(room.path("records/two")).unwrap();
    fs::remove_dir_all(room.path("tokens")).unwrap();
    fs::rename(room.path("kept"), room.path("tokens")).unwrap();

    let kill = format!("write:signal=SIGKILL:when={}", line.number);
    let output = strace::run(&room, Some(&kill)).output().unwrap();
    assert!(was_killed(&output), "{}", stderr(&output));
    let attempt = ["whose record is two.", "ended before it could record that"];
    the_next_run_records_the_end(&room, &made, attempt);
}

#[test]
fn an_attempt_that_somebody_made_up_ends_nothing() {
    let Some((room, _)) = about_to_end() else {
        return;
    };
    // A whole attempt of the same plan, and the data key is gone; but of another data key than the record's.
    let no_name = "renameat2:error=EIO:when=1";
    refused(&strace::run(&room, Some(no_name)).output().unwrap(), 5, &[]);
    let attempt = room.beside().remove(1);
    let file = room.path(&format!("records/{attempt}/transcript.jsonl"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("\"event\":\"key-found\"", "\"event\":\"key-looked\""),
    )
    .unwrap();
    refused(
        &room.run(),
        3,
        &["the token holds no secret key of that label"],
    );
}
