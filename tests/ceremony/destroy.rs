//! The end of a data key's life: proved first, destroyed, proved to be gone.

use crate::support;

use std::fs;

use support::escrow::{builds_on, head, room};
use support::pty::Pty;
use support::screen::Screen;
use support::strace::{self, was_killed};
use support::verifiers::{both, copy_tree};
use support::{
    Kind, LABEL, Room, Transcript, folded, last_rows, refused, sha256, stderr, stdout, well,
};

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
    let approval = screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    let approval = folded(&approval);
    assert!(
        approval.contains("PRODUCTION. Nothing is destroyed yet."),
        "{approval}"
    );
    assert!(
        approval.contains("share form, package and other HSM, in 4 questions"),
        "{approval}"
    );
    screen.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
    screen.answer(LAST, "DESTROY");
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
        let question = format!("Was {what} destroyed in front of you?");
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

const LAST: &str = "or no to end the ceremony: ";

/// After the proof, with the KCV on the screen, and before anything is destroyed.
#[test]
fn the_last_question_before_the_end_takes_no_typing_error_for_a_yes() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let made = room.run_well();
    let objects = room.objects();
    plan_the_end(&mut room, &sha256(&made.bytes));
    room.write_plan();
    let until_it = || {
        let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
        screen.answer("anything else to stop: ", "Yes");
        screen.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
        let asked = screen.expect(LAST);
        let kcv = made.event("key-generated")["kcv"].as_str().unwrap();
        assert!(
            last_rows(&asked, 24).contains(&format!("KCV {kcv}")),
            "{asked}"
        );
        assert_eq!(room.objects(), objects);
        screen
    };
    let mut screen = until_it();
    screen.enter("no");
    assert_eq!(screen.end(), 1, "{}", screen.shown);
    let said = folded(&screen.shown);
    for says in [
        "the data key is not to be destroyed",
        "nothing was destroyed; what was in the HSM is untouched",
        "this run left no new key in the HSM",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    assert_eq!(room.objects(), objects);
    let aborted = room.beside().pop().unwrap();
    let aborted = room.transcript(&format!("records/{aborted}"));
    assert!(aborted.events("key-destroyed").is_empty());

    let mut screen = until_it();
    for mistyped in ["destroy", "DESTORY", "", "Yes"] {
        screen.enter(mistyped);
        screen.expect(
            " Not understood. Type DESTROY, in capitals, to destroy, no to end the ceremony.\n",
        );
        screen.expect(LAST);
        assert_eq!(room.objects(), objects);
    }
    screen.enter("DESTROY");
    assert_eq!(screen.end(), 0, "{}", screen.shown);
    assert_eq!(room.objects(), [""; 0]);
}

/// A second record, whose shares are still those of the first.
fn reuses(room: &mut Room, kind: &str) {
    room.plan.directory = "records/reused".into();
    room.plan.kind = kind.into();
    room.plan.top_more = builds_on(room, "records/one");
    room.plan.more = String::new();
    if kind == "recover" {
        room.plan.top_more += "reuse_escrow = \"a test\"\n";
        room.plan.more = "[recover]\nshares = \"files:shares\"\npackage = \"record\"\n".into();
    }
    well(&room.run());
}

#[test]
fn an_end_asks_for_the_shares_in_use_whichever_record_dealt_them() {
    for kind in ["recover", "reimport"] {
        let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
            return;
        };
        room.run_well();
        let dealt = room.transcript("records/one").lines[0]["ceremony"].clone();
        reuses(&mut room, kind);
        let head = head(&room.path("records/reused"));
        plan_the_end(&mut room, &head);
        room.plan.top_more = room.plan.top_more.replace("records/one", "records/reused");
        room.plan.more = String::new();
        well(&room.run());
        let ended = room.transcript("records/two");
        let asked = ended.events("escrow-destroyed");
        let whats: Vec<&str> = asked
            .iter()
            .map(|event| event["what"].as_str().unwrap())
            .collect();
        assert_eq!(whats, OUTSIDE, "{kind}");
        assert!(asked.iter().all(|event| event["ceremony"] == dealt));

        let verified = both(room.dir.path(), &["records/two"]);
        well(&verified);
        let life = stdout(&room.byok(&["verify", "records/two"]).output().unwrap());
        for what in OUTSIDE {
            let row = format!("not destroyed     {what}: not asked");
            assert!(life.contains(&row), "{row}\n{life}");
        }
        let papers = room.byok(&["script", "plan.toml"]).output().unwrap();
        assert!(stdout(&papers).contains("form of share 2, Audit"), "{kind}");
    }
}

/// Shares that newer ones replaced still open the package of their time.
#[test]
fn an_end_asks_for_the_replaced_shares_too() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.run_well();
    let old = room.transcript("records/one").lines[0]["ceremony"].clone();
    reuses(&mut room, "reimport");
    room.plan.directory = "records/anew".into();
    room.plan.imported = false;
    room.plan.top_more = builds_on(&room, "records/reused");
    room.plan.more = support::escrow::table(2, 2, "files:new-shares");
    well(&room.run());
    let superseded = room.transcript("records/anew");
    let superseded = superseded.event("escrow-superseded");
    assert_eq!(superseded["ceremony"], old);
    assert_eq!(
        superseded["custodians"],
        serde_json::json!(["Security", "Audit", "Treasury"])
    );

    let head = head(&room.path("records/anew"));
    plan_the_end(&mut room, &head);
    room.plan.top_more = room.plan.top_more.replace("records/one", "records/anew");
    room.plan.more = String::new();
    well(&room.run());
    let ended = room.transcript("records/two");
    let asked = ended.events("escrow-destroyed");
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(asked[3]["ceremony"], old);
    let what = asked[3]["what"].as_str().unwrap();
    assert!(
        what.starts_with("every one of the 3 share forms of ceremony"),
        "{what}"
    );
}

/// Where no record tells of shares, there may be some all the same.
#[test]
fn an_end_without_its_records_asks_for_shares_that_nobody_knows() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let made = room.run_well();
    plan_the_end(&mut room, "");
    room.plan.top_more = "reason = \"end of life\"\n".into();
    let fingerprint = made.event("key-generated")["fingerprint"].as_str().unwrap();
    room.plan.key_more = format!("fingerprint = \"{fingerprint}\"\n");
    room.plan.more = String::new();
    well(&room.run());
    let ended = room.transcript("records/two");
    let asked = ended.event("escrow-destroyed")["what"].to_string();
    assert!(asked.contains("whose records are not here"), "{asked}");
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

support::twins!(
    a_data_key_ends_on_softhsm,
    a_data_key_ends_on_kryoptic,
    a_data_key_ends
);

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
    pty.answer(LAST, "DESTROY");
    let asked = "Type destroyed, or what happens to it: ";
    let shown = pty.answer(asked, "destroyed");
    assert!(shown.contains("share 1, Security destroyed in front of you?"));
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
    refused(&output, 5, &["was destroyed, and nothing can undo that"]);
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
        &["the token holds no secret key with that label"],
    );
}
