//! The room and its machine: who is there, what the clock says, what the disk is, what the machine may do
//! in the middle of a ceremony.

use crate::support;

use std::fs;
use std::process::Command;

use support::escrow::table;
use support::pty::{APPROVE, Pty};
use support::{Kind, Room, Transcript, namespace, refused, skip, stderr, stdout};

const NAME: &str = "Who is at the keyboard? Name: ";
const HERE: &str = "who is here? Name, or absent: ";
const UTC: &str = " UTC as YYYY-MM-DD HH:MM, or right: ";
const TWICE: &str = " Type yes to go on; it is recorded. A number corrects a name: ";

/// Two custodians whose shares become files, and one witness; the PIN comes from a file.
fn peopled() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan.record_more = "witnesses = [\"Internal audit\"]\n".into();
    room.plan.more = table(2, 2, "files:shares");
    Some(room)
}

fn start(room: &Room) -> Pty {
    room.write_plan();
    Pty::start(room.byok(&["run", "plan.toml"]))
}

fn seats(room: &Room) -> Vec<String> {
    let plan: toml::Table = room.plan.text().parse().unwrap();
    let custodians = plan["escrow"]["custodians"].as_array().unwrap();
    custodians
        .iter()
        .map(|c| c.as_str().unwrap().to_owned())
        .collect()
}

/// Text without its folding.
fn as_words(text: &str) -> String {
    let text = text
        .replace("byok: hint: ", " ")
        .replace("\n            ", " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// ---- the roll call -------------------------------------------------------------------------

#[test]
fn every_custodian_and_witness_is_called_and_deputies_are_recorded_by_name() {
    let Some(room) = peopled() else {
        return;
    };
    let mut pty = start(&room);
    let shown = pty.answer(APPROVE, "Yes");
    assert!(shown.contains(" witness   Internal audit\n"), "{shown}");
    pty.answer(NAME, "Ada Lovelace");
    let [first, second] = &seats(&room)[..] else {
        panic!("two custodians")
    };
    pty.answer(&format!(" Custodian {first}: {HERE}"), "");
    pty.answer(&format!(" Custodian {first}: {HERE}"), "Grace Hopper");
    pty.answer(
        &format!(" Custodian {second}: {HERE}"),
        "Mary Cartwright, deputy",
    );
    pty.answer(&format!(" Witness Internal audit: {HERE}"), "Emmy Noether");
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let transcript = room.transcript("records/one");
    let called = transcript.event("roll-call");
    assert_eq!(called["operator"], "Ada Lovelace");
    assert_eq!(
        called["present"],
        serde_json::json!([
            {"role": "custodian", "seat": first, "name": "Grace Hopper"},
            {"role": "custodian", "seat": second, "name": "Mary Cartwright, deputy"},
            {"role": "witness", "seat": "Internal audit", "name": "Emmy Noether"},
        ])
    );
    assert_eq!(transcript.event("sealed")["exceptions"], 0);
    let again = room.byok(&["plan", "--reimport", "records/one"]).output();
    let plan = stdout(&again.unwrap());
    assert!(
        plan.contains(
            "
witnesses = [\"Internal audit\"]\n"
        ),
        "{plan}"
    );
}

#[test]
fn somebody_missing_ends_the_ceremony_before_anything_is_made() {
    let Some(room) = peopled() else {
        return;
    };
    let mut pty = start(&room);
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, "Ada Lovelace");
    pty.answer(HERE, "Grace Hopper");
    pty.answer(HERE, "Absent");
    let asked = pty.answer(
        "Type absent again to end it, or the name of who is here: ",
        "absent",
    );
    assert!(as_words(&asked).contains("The ceremony then ends here; nothing is lost."));
    let ended = pty.end();
    assert_eq!(ended.code, Some(1), "{}", ended.screen);
    let second = &seats(&room)[1];
    for says in [
        format!("the custodian {second} is missing"),
        "no data key was left in the HSM by this run".into(),
        "run the same command again when everybody is there".into(),
    ] {
        assert!(
            as_words(&ended.screen).contains(&as_words(&says)),
            "{says}: {}",
            ended.screen
        );
    }
    assert_eq!(room.objects(), [""; 0]);
    assert!(!room.path("shares").exists());
    assert_eq!(room.aborted().event("aborted")["step"], 2);
}

#[test]
fn a_name_is_corrected_from_the_list_and_only_what_was_confirmed_is_recorded() {
    let Some(room) = peopled() else {
        return;
    };
    let correct = " A number corrects a name, Enter goes on: ";
    let mut pty = start(&room);
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, "Ada Lovelaec");
    pty.answer(HERE, "Grace Hopper");
    pty.answer(HERE, "absent"); // typed too early: the question after it still takes a name
    pty.answer("or the name of who is here: ", "Emmy Noether");
    pty.answer(HERE, "Emy Noether");
    let [first, second] = &seats(&room)[..] else {
        panic!("two custodians")
    };
    let list = pty.expect(correct);
    for line in [
        "   1  at the keyboard: Ada Lovelaec\n",
        &format!("   2  custodian {first}: Grace Hopper\n"),
        &format!("   3  custodian {second}: Emmy Noether\n"),
        "   4  witness Internal audit: Emy Noether\n",
    ] {
        assert!(list.contains(line), "{line}: {list}");
    }
    for wrong in ["0", "5", "x", "-1", "99999999999999999999"] {
        pty.enter(wrong);
        pty.expect("The numbers are 1 to 4.");
        pty.expect(correct);
    }
    for (number, question, name, listed) in [
        ("1", NAME, "Ada Lovelace", "at the keyboard: Ada Lovelace"),
        ("3", HERE, "Mary Cartwright", "Mary Cartwright"),
        (
            "4",
            HERE,
            "Emmy Noether",
            "witness Internal audit: Emmy Noether",
        ),
    ] {
        pty.enter(number);
        pty.answer(question, name);
        let shown = pty.expect(correct);
        assert!(shown.contains(listed), "{shown}");
        let lines = (1..=4).map(|n| format!("\n   {n}  "));
        for line in lines.chain(["Grace Hopper\n".to_owned()]) {
            assert!(shown.contains(&line), "not the whole list: {shown}");
        }
    }
    pty.enter("");
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let transcript = room.transcript("records/one");
    let called = transcript.event("roll-call");
    assert_eq!(called["operator"], "Ada Lovelace");
    let names: Vec<_> = called["present"].as_array().unwrap().iter().collect();
    let names: Vec<_> = names.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Grace Hopper", "Mary Cartwright", "Emmy Noether"]);
    assert_eq!(transcript.event("sealed")["exceptions"], 0);
    let text = String::from_utf8(transcript.bytes.clone()).unwrap();
    assert!(
        !text.contains("Lovelaec") && !text.contains("Emy "),
        "{text}"
    );
}

#[test]
fn attempts_before_a_ceremony_and_wrong_answers_reach_the_auditor() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "prompt".into();
    room.plan.wrapping_key_sha256 = None;
    let pin = "(nothing is shown while you type): ";
    let row = "8 hex digits or 4 words: ";
    let begin = |room: &Room, wrong: usize| {
        let mut pty = start(room);
        pty.answer(APPROVE, "Yes");
        pty.answer(NAME, "Ada Lovelace");
        for _ in 0..wrong {
            pty.answer(pin, "a-wrong-pin");
            pty.expect("That PIN was wrong.");
        }
        pty.answer(pin, support::PIN);
        pty
    };
    // One ends for three wrong rows, one is killed.
    let mut pty = begin(&room, 1);
    for _ in 0..3 {
        pty.answer(row, "00000000");
    }
    assert_eq!(pty.end().code, Some(4));
    let aborted = room.beside();
    let name = aborted[0].clone();
    let first = room.aborted();
    let asked: Vec<_> = first.events("wrong-answer");
    let asked: Vec<_> = asked
        .iter()
        .map(|line| (&line["step"], &line["asked"]))
        .collect();
    let (four, five) = (serde_json::json!(4), serde_json::json!(5));
    let (of_pin, of_slip) = (serde_json::json!("pin"), serde_json::json!("slip"));
    assert_eq!(asked[0], (&four, &of_pin));
    assert_eq!(asked[1..], [(&five, &of_slip); 3]);
    let mut pty = begin(&room, 0);
    pty.expect(row);
    pty.signal(rustix::process::Signal::KILL);
    pty.wait();
    drop(pty);

    let mut pty = begin(&room, 2);
    let file = fs::read(room.path("inputs/eu-west-1.json")).unwrap();
    let line = format!("{}  eu-west-1.json\n", support::sha256(&file));
    let slip = support::sha256(line.as_bytes());
    for at in 0..3 {
        let shown = pty.expect(row);
        let number = shown.rsplit("Row ").next().unwrap().split(' ').next();
        let number: usize = number.unwrap().parse().unwrap();
        if at == 1 {
            pty.enter("00000000");
            pty.expect("Tries left: 2");
            pty.expect(row);
        }
        pty.enter(&slip[(number - 1) * 8..number * 8]);
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let copied = "     cp -r one.interrupted-* one.aborted-* /media/usb1; sync\n";
    assert!(
        ended.screen.contains("the 2 attempts before it:"),
        "{}",
        ended.screen
    );
    assert!(ended.screen.contains(copied), "{}", ended.screen);

    let transcript = room.transcript("records/one");
    let attempts = transcript.event("ceremony-opened")["attempts"]
        .as_array()
        .unwrap();
    assert_eq!(attempts.len(), 2);
    for attempt in attempts {
        let directory = attempt["directory"].as_str().unwrap();
        let path = room
            .path("records")
            .join(directory)
            .join("transcript.jsonl");
        let bytes = fs::read(&path).unwrap();
        assert_eq!(
            attempt["head"],
            support::sha256(&bytes).as_str(),
            "{attempt}"
        );
        let opening = Transcript::read(&path).lines[0]["ceremony"].clone();
        assert_eq!(attempt["ceremony"], opening);
    }
    assert!(
        attempts
            .iter()
            .any(|attempt| attempt["directory"] == name.as_str())
    );
    assert_eq!(transcript.events("wrong-answer").len(), 3);
    let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
    assert!(report.contains(&name), "the report names the attempt");
    assert!(
        report.contains("PIN: 2; a row of the slip: 1."),
        "the report counts them"
    );
    let verified = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    let next = room
        .byok(&["verify", "--next", "records/one"])
        .output()
        .unwrap();
    assert!(stdout(&next).contains(copied), "{}", stdout(&next));
}

#[test]
fn one_person_in_two_seats_needs_a_yes_or_a_correction_and_ends_nothing() {
    for answer in ["yes", "3"] {
        let Some(room) = peopled() else {
            return;
        };
        let mut pty = start(&room);
        pty.answer(APPROVE, "Yes");
        for name in [
            "Ada Lovelace",
            "Grace Hopper",
            "grace hopper",
            "Emmy Noether",
        ] {
            pty.answer(if name.starts_with("Ada") { NAME } else { HERE }, name);
        }
        pty.expect("Grace Hopper holds 2 seats: custodian ");
        for typo in ["y", "", "9"] {
            pty.answer(TWICE, typo);
            pty.expect(" Type yes, or a number from 1 to 4.\n");
        }
        pty.answer(TWICE, "no");
        pty.expect("   3  custodian "); // the list, not the end
        pty.answer(TWICE, answer);
        if answer == "3" {
            pty.answer(HERE, "Mary Somerville");
            pty.answer(" A number corrects a name, Enter goes on: ", "");
        }
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        let transcript = room.transcript("records/one");
        assert_eq!(
            transcript.events("exception").len(),
            usize::from(answer == "yes")
        );
        if answer == "yes" {
            let what = transcript.event("exception")["what"].as_str().unwrap();
            assert!(
                what.to_lowercase().contains("grace hopper holds 2 seats"),
                "{what}"
            );
        }
    }
}

const APART: &str = " A number corrects a name. To go on, type because and the reason: ";

#[test]
fn seats_that_the_plan_keeps_apart_need_another_person_or_a_reason() {
    for answer in ["because Emmy is ill, agreed with audit", "4"] {
        let Some(mut room) = peopled() else {
            return;
        };
        room.plan.more += "[roles]\napart = [\"operator and witness\", \"two custodians\"]\n";
        let mut pty = start(&room);
        let shown = pty.answer(APPROVE, "Yes");
        let shown = support::folded(&shown);
        assert!(
            shown.contains("never one person: operator and witness, two custodians;"),
            "{shown}"
        );
        for name in [
            "Ada Lovelace",
            "Grace Hopper",
            "Mary Somerville",
            "ada  lovelace",
        ] {
            pty.answer(if name.starts_with("Ada") { NAME } else { HERE }, name);
        }
        let told = pty.answer(APART, "no");
        let held = "Ada Lovelace holds 2 seats: at the keyboard, witness Internal audit. The plan says NEVER ONE PERSON: operator and witness.";
        assert!(support::folded(&told).contains(held), "{told}");
        pty.answer(APART, &format!("because {}", "x".repeat(201)));
        pty.expect("printable text of at most 200 characters");
        for typo in ["yes", "", "because", "9"] {
            pty.answer(APART, typo);
            pty.expect(" Type because and the reason, or a number from 1 to 4.\n");
        }
        pty.answer(APART, answer);
        if answer == "4" {
            pty.answer(HERE, "Emmy Noether");
            pty.answer(" A number corrects a name, Enter goes on: ", "");
        }
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        let transcript = room.transcript("records/one");
        let noted = transcript.events("exception");
        assert_eq!(noted.len(), usize::from(answer != "4"));
        // custodians are not called in a reimport, the witness is
        let again = room.byok(&["plan", "--reimport", "records/one"]).output();
        let again = again.unwrap();
        assert!(again.status.success(), "{}", stderr(&again));
        let kept = "\n[roles]\napart = [\"operator and witness\"]\n";
        assert!(stdout(&again).contains(kept), "{}", stdout(&again));
        if let Some(noted) = noted.first() {
            let what = noted["what"].as_str().unwrap();
            assert!(
                what.starts_with("Ada Lovelace holds 2 seats: at the keyboard, witness "),
                "{what}"
            );
            assert!(
                what.ends_with("; the plan keeps apart operator and witness, but: Emmy is ill, agreed with audit"),
                "{what}"
            );
        }
    }
}

#[test]
fn pairs_of_seats_that_are_not_possible_are_refused_by_name() {
    let Some(mut room) = peopled() else {
        return;
    };
    let plan = room.plan.more.clone();
    for (apart, says) in [
        (
            "\"operator and cook\"",
            "apart \"operator and cook\" is not a pair of seats",
        ),
        ("", "apart names no pair of seats"),
        (
            "\"custodians of two groups\"",
            "keeps apart \"custodians of two groups\", and nobody is called",
        ),
        (
            "\"custodian and witness\"",
            "keeps apart \"custodian and witness\", and nobody is called",
        ),
        (
            "\"two custodians\"",
            "an unattended run has nobody to say who is there",
        ),
    ] {
        room.plan.record_more = String::new();
        room.plan.more = format!("{plan}[roles]\napart = [{apart}]\n");
        refused(&room.run(), 2, &[says]);
    }
}

#[test]
fn a_plan_with_witnesses_is_never_run_unattended() {
    let Some(room) = peopled() else {
        return;
    };
    let says = [
        "an unattended run has nobody to say who the witness is",
        "hint: run at a terminal",
    ];
    refused(&room.run(), 2, &says);
    assert!(!room.path("records").exists());
}

#[test]
fn names_of_witnesses_are_judged_like_those_of_custodians() {
    for (witnesses, says) in [
        ("\"A\", \"a\"", "the witness \"a\" is in the plan twice"),
        ("\"\"", "the witness \"\" cannot be a name"),
        ("\"a\\u202eb\"", "cannot be a name"),
        ("\"../x\"", "cannot be a name"),
    ] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        room.plan.record_more = format!("witnesses = [{witnesses}]\n");
        refused(&room.run(), 2, &[says]);
    }
}

// ---- the clock ------------------------------------------------------------------------------

/// `byok run plan.toml` with the clock that far off.
fn with_clock(room: &Room, off: &str) -> Pty {
    room.write_plan();
    let mut command = Command::new("faketime");
    command.args(["-f", off, support::program(), "run", "plan.toml"]);
    command.current_dir(room.dir.path()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .envs(room.env.iter().cloned());
    Pty::start(command)
}

fn utc_now() -> String {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M"])
        .output();
    stdout(&output.unwrap()).trim().to_owned()
}

#[test]
fn a_wrong_clock_is_corrected_by_hand_and_every_line_has_the_corrected_time() {
    if !support::faketime() {
        return;
    }
    let says_of_it = [
        (
            "-2d",
            "which is in the future by this machine's clock",
            " min behind",
        ),
        (
            "+2d",
            "By this machine's clock the import parameters of eu-west-1 expired",
            " min ahead",
        ),
    ];
    for (off, doubt, corrected) in says_of_it {
        let Some(room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        let mut pty = with_clock(&room, off);
        let shown = pty.expect(UTC);
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert!(words.join(" ").contains(doubt), "{shown}");
        assert!(shown.contains("Right within 5 minutes: type right. Wrong: type the UTC time."));
        pty.enter("soon");
        pty.expect("That is neither right nor a time such as");
        pty.answer(UTC, ""); // Enter alone does not end what the clock is needed for
        pty.expect("That is neither right nor a time such as");
        pty.answer(UTC, &utc_now());
        pty.answer(APPROVE, "Yes");
        pty.answer(NAME, "Ada Lovelace");
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        let transcript = room.transcript("records/one");
        let machine = transcript.event("machine-checked");
        let offset = machine["clock_offset_seconds"].as_i64().unwrap();
        assert!((offset.abs() - 2 * 86_400).abs() < 120, "{offset}");
        let what = transcript.event("exception")["what"].as_str().unwrap();
        assert!(what.contains("the time was entered by hand"), "{what}");
        assert!(
            what.contains(corrected) || what.contains("48 h 0 min"),
            "{what}"
        );
        let today = &utc_now()[..10];
        for line in &transcript.lines {
            assert!(line["at"].as_str().unwrap().starts_with(today), "{line}");
        }
        let verified = room.byok(&["verify", "records/one"]).output().unwrap();
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
}

#[test]
fn who_says_that_the_clock_is_right_is_refused_where_it_matters() {
    if !support::faketime() {
        return;
    }
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let mut pty = with_clock(&room, "-2d");
    pty.answer(UTC, "right");
    pty.answer(APPROVE, "Yes");
    pty.answer(NAME, "Ada Lovelace");
    let ended = pty.end();
    assert_eq!(ended.code, Some(5), "{}", ended.screen);
    assert!(ended.screen.contains("[CLOCK]"), "{}", ended.screen);
    assert_eq!(room.objects(), [""; 0]);
}

#[test]
fn the_clock_can_be_corrected_where_nothing_contradicts_it() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let mut pty = start(&room);
    let shown = pty.answer(APPROVE, "clock");
    assert!(shown.contains(" UTC; wrong? type clock\n"), "{shown}");
    pty.answer(UTC, "right");
    pty.answer(APPROVE, "Yes"); // unchanged, shown again
    pty.answer(NAME, "Ada Lovelace");
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let transcript = room.transcript("records/one");
    let machine = transcript.event("machine-checked");
    assert_eq!(machine.get("clock_offset_seconds"), None);
}

// ---- the machine ----------------------------------------------------------------------------

/// Runs byok where the kernel's own tables say what the script has put over them.
pub(crate) fn on_machine(room: &Room, script: &str, args: &[&str]) -> Option<std::process::Output> {
    let way = namespace(&["--mount"])?;
    let script = format!("set -e; {script}\nexec \"$0\" \"$@\"");
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).args(["sh", "-c", &script]);
    command.arg(support::program()).args(args);
    command.current_dir(room.dir.path()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(room.env.iter().cloned());
    let output = command.output().unwrap();
    if output.status.code() == Some(77) {
        skip("nothing can be mounted over /proc or /sys");
        return None;
    }
    Some(output)
}

/// A disk of this kind where records are kept, as the kernel would list it.
pub(crate) fn listed_disk(room: &Room, kind: &str) -> String {
    let place = room.dir.path().canonicalize().unwrap();
    let place = place.display();
    format!(
        "{{ cat /proc/self/mounts; echo '/dev/sdb1 {place}/records {kind} rw 0 0'; }} >mounts\n\
         mkdir -p records; mount --bind mounts /proc/$$/mounts || exit 77"
    )
}

#[test]
fn fat_is_refused_for_the_record_and_for_share_files() {
    for kind in ["vfat", "exfat"] {
        let Some(room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        let plan = room.write_plan();
        let approved = support::sha256(&fs::read(plan).unwrap());
        let script = listed_disk(&room, kind);
        let args = ["run", "plan.toml", "--approve", &approved];
        let Some(output) = on_machine(&room, &script, &args) else {
            return;
        };
        let says = [
            &format!("the record would lie on {kind}, which has no owners"),
            "[FILE-SYSTEM]",
            "hint: a stick with such a file system is fine for the copies",
        ];
        refused(&output, 5, &says.map(|text| text as &str));
        assert_eq!(room.objects(), [""; 0]);
        let checked = on_machine(&room, &script, &["check", "plan.toml"]).unwrap();
        assert_eq!(checked.status.code(), Some(5), "{}", stdout(&checked));
        assert!(
            stdout(&checked).contains("[FILE-SYSTEM]"),
            "{}",
            stdout(&checked)
        );
    }
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.directory = "elsewhere/one".into();
    room.plan.more = table(2, 2, "files:records/shares");
    let plan = room.write_plan();
    let approved = support::sha256(&fs::read(plan).unwrap());
    let script = listed_disk(&room, "vfat");
    let args = ["run", "plan.toml", "--approve", &approved];
    let Some(output) = on_machine(&room, &script, &args) else {
        return;
    };
    refused(
        &output,
        5,
        &["the share files would lie on vfat", "[FILE-SYSTEM]"],
    );
}

#[test]
fn a_live_system_is_told_as_one_that_vanishes() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let plan = room.write_plan();
    let approved = support::sha256(&fs::read(plan).unwrap());
    let script = format!(
        "{}\necho 'boot=live components quiet' >cmdline; mount --bind cmdline /proc/cmdline || exit 77",
        listed_disk(&room, "overlay")
    );
    let args = ["run", "plan.toml", "--approve", &approved];
    let Some(output) = on_machine(&room, &script, &args) else {
        return;
    };
    assert!(output.status.success(), "{}", stderr(&output));
    let transcript = Transcript::read(&room.path("records/one/transcript.jsonl"));
    assert_eq!(transcript.event("machine-checked")["live_system"], true);
    let what = transcript.event("exception")["what"].as_str().unwrap();
    assert_eq!(
        what,
        "the record's disk is an overlay of a live system: it vanishes at power-off"
    );
}

#[test]
fn swap_sleep_and_battery_are_warned_of_with_what_to_do() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    let script = "printf 'Filename Type Size Used Priority\\n/dev/dm-1 partition 1 0 -2\\n' >swaps\n\
        mount --bind swaps /proc/swaps || exit 77\n\
        mkdir -p supplies/BAT0; cd supplies/BAT0\n\
        echo Battery >type; echo Discharging >status; echo 57 >capacity; cd ../..\n\
        mount --bind supplies /sys/class/power_supply || exit 77\n\
        echo 'freeze mem disk' >states; mount --bind states /sys/power/state || exit 77";
    let Some(checked) = on_machine(&room, script, &["check", "plan.toml"]) else {
        return;
    };
    assert_eq!(checked.status.code(), Some(0), "{}", stdout(&checked));
    for says in [
        "WARNING  machine: Swap is in use (/dev/dm-1)",
        "swapoff -a",
        "WARNING  machine: This machine can go to sleep",
        "systemd-inhibit --what=sleep:idle:handle-lid-switch byok run PLAN",
        "WARNING  machine: This machine runs on its battery, 57 % charged",
    ] {
        assert!(
            stdout(&checked).contains(says),
            "{says}: {}",
            stdout(&checked)
        );
    }
    let approved = support::sha256(room.plan.text().as_bytes());
    let args = ["run", "plan.toml", "--approve", &approved];
    let output = on_machine(&room, script, &args).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let words: Vec<String> = stderr(&output)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert!(
        words
            .join(" ")
            .contains("57 % charged. A ceremony may take hours: plug it in.")
    );
    let machine = room
        .transcript("records/one")
        .event("machine-checked")
        .clone();
    assert_eq!(machine["on_battery"], 57);
    assert_eq!(
        machine["sleep_states"],
        serde_json::json!(["freeze", "mem", "disk"])
    );
    assert_eq!(
        room.transcript("records/one").event("sealed")["exceptions"],
        0
    );
}
