//! Hostile people: who can write beside the records, carries the files, has been at the machine before, or
//! uses the minutes in which nobody looks. Each is refused, or what they did takes no part.

use crate::support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::aborted::{aborted, aborted_beside, files_of, nothing_made};
use support::dead::Scene;
use support::escrow::{lay, room as escrowed, shares, wrapped};
use support::pty::{APPROVE, Pty};
use support::strace::{self, Call};
use support::{Kind, KmsKey, LABEL, PIN, Room, folded, now, refused, sha256, stderr, tree};

/// One test of this file: when all of them held, how many there were is said.
fn attempt(test: impl FnOnce() -> Option<()>) {
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    if test().is_none() {
        return; // it said why it could not be tried
    }
    let refused = REFUSED.fetch_add(1, Ordering::SeqCst) + 1;
    let own = include_str!("hostile_people.rs");
    let count = |what| own.matches(what).count();
    let tests = count("\n#[test]\n") + 2 * count("\nsupport::twins!(\n");
    if refused == tests {
        println!("hostile people: {tests} tried, {refused} refused");
    }
}

const NAME: &str = "Who is at the keyboard? Name: ";
const ASK_PIN: &str = "(nothing is shown while you type): ";

/// An attended run, at the question for its approval.
fn attended(room: &mut Room) -> Pty {
    room.plan.pin = "prompt".into();
    room.write_plan();
    let mut pty = Pty::start(room.byok(&["run", "plan.toml"]));
    pty.expect(APPROVE);
    pty
}

/// It goes on to the PIN: its record is open, and the module loaded.
fn until_pin(pty: &mut Pty) {
    pty.enter("Yes");
    pty.answer(NAME, "Ada Lovelace");
    pty.expect(ASK_PIN);
}

/// The PIN is typed; how it ends.
#[track_caller]
fn with_pin(mut pty: Pty) -> (i32, String) {
    pty.enter(PIN);
    let ended = pty.end();
    (ended.code.unwrap(), folded(&ended.screen))
}

/// An aborted record, no data key, and the same plan comes to its end afterwards.
#[track_caller]
fn nothing_left(room: &Room) {
    assert_eq!(room.objects(), [""; 0]);
    let transcript = room.aborted();
    assert_eq!(transcript.lines.last().unwrap()["event"], "aborted");
}

/// A room, and the calls of a whole run in it; the run itself is taken away again.
fn traced(mut room: Room) -> Option<(Room, Vec<Call>)> {
    room.plan.record_more = "signer = \"none\"\n".into();
    if !strace::is_here(&room) {
        return None;
    }
    let output = strace::run(&room, None).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    fs::remove_dir_all(room.path("records")).unwrap();
    room.token(&["destroy", "ceremony", PIN, LABEL]);
    let calls = strace::calls(&room);
    Some((room, calls))
}

// ---- the wrapping key ------------------------------------------------------------------

fn a_swapped_wrapping_key(kind: Kind) -> Option<()> {
    let room = Room::new(kind)?;
    let slip = room.kms.sha256();
    let theirs = KmsKey::make(2048);
    let parameters = theirs.parameters(&room.plan.key_arn, now() + 86_000);
    fs::write(room.path("inputs/eu-west-1.json"), parameters).unwrap();
    let is = theirs.sha256();
    let says = ["step 5 of 13", "[WRAPPING-KEY-MATCH]", &is, "STOP"];
    let transcript = aborted(&room, &room.run(), 4, &says);
    assert!(transcript.events("import-parameters-read").is_empty());
    assert!(transcript.events("preflight-passed").is_empty());
    room.write_parameters();
    assert_eq!(room.plan.wrapping_key_sha256, Some(slip));
    room.run_corrected(&[]);
    Some(())
}

support::twins!(
    a_wrapping_key_that_was_swapped_on_the_way_is_refused_on_softhsm,
    a_wrapping_key_that_was_swapped_on_the_way_is_refused_on_kryoptic,
    |kind| attempt(|| a_swapped_wrapping_key(kind))
);

/// They are read once: what lies there afterwards is nothing to the ceremony.
#[test]
fn parameters_swapped_after_they_were_read_take_no_part() {
    attempt(|| {
        let (room, calls) = traced(Room::new(Kind::SoftHsm)?)?;
        let theirs = KmsKey::make(2048);
        let parameters = theirs.parameters(&room.plan.key_arn, now() + 86_000);
        let output = strace::stopped_at(&room, strace::line_of(&calls, "key-intended"), || {
            fs::write(room.path("inputs/eu-west-1.json"), parameters).unwrap();
        });
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(room.openssl_opens(&wrapped("records/one")).len(), 32);
        let token = room.path(&format!("records/one/{LABEL}/eu-west-1/ImportToken.bin"));
        assert_eq!(fs::read(token).unwrap(), room.kms.token);
        Some(())
    });
}

// ---- the plan --------------------------------------------------------------------------

#[test]
fn another_digest_than_the_plans_is_exit_1_whatever_else_is_wrong() {
    attempt(|| {
        let room = Room::new(Kind::SoftHsm)?;
        let good = room.plan.text();
        let says = [
            "[APPROVED-DIGEST]",
            "nothing was made, in the HSM or on disk",
        ];
        let no_plan = "this is = = no TOML".to_owned();
        let no_record = good.replace("records/one", "inputs");
        for plan in [good.clone(), no_plan.clone(), no_record, String::new()] {
            fs::write(room.path("plan.toml"), plan).unwrap();
            for approved in ["5a".repeat(32), "yes".into(), String::new()] {
                let mut run = room.byok(&["run", "plan.toml", "--approve", &approved]);
                nothing_made(&room, &run.output().unwrap(), 1, &says);
            }
        }
        // one digit is mistyped
        fs::write(room.path("plan.toml"), &good).unwrap();
        let right = sha256(good.as_bytes());
        let digit = if right.ends_with('0') { "1" } else { "0" };
        let mistyped = format!("{}{digit}", &right[..63]);
        let mut run = room.byok(&["run", "plan.toml", "--approve", &mistyped]);
        let row = ["only row 8 differs", "a digit may be mistyped"];
        nothing_made(&room, &run.output().unwrap(), 1, &row);
        for approved in ["abc", "64879f7d 6b960a01 0d02c7f0", "plan.toml"] {
            let mut run = room.byok(&["run", "plan.toml", "--approve", approved]);
            let no_digest = [
                "[APPROVED-DIGEST]",
                "is not a SHA-256, which has 64 hex digits",
            ];
            nothing_made(&room, &run.output().unwrap(), 1, &no_digest);
        }
        // One byte more than what was approved.
        fs::write(room.path("plan.toml"), format!("{good}\n")).unwrap();
        let approved = sha256(good.as_bytes());
        let mut run = room.byok(&["run", "plan.toml", "--approve", &approved]);
        nothing_made(&room, &run.output().unwrap(), 1, &says);
        nothing_made(
            &room,
            &room.run_text(&no_plan),
            2,
            &["the plan plan.toml: line 1: "],
        );
        // Upper case is the same digest.
        fs::write(room.path("plan.toml"), &good).unwrap();
        let mut run = room.byok(&["run", "plan.toml", "--approve", &approved.to_uppercase()]);
        assert!(run.output().unwrap().status.success());
        Some(())
    });
}

/// It is read once, before the approval: what was approved is what is done and what the record keeps.
#[test]
fn a_plan_edited_while_people_approve_it_is_not_the_one_that_is_carried_out() {
    attempt(|| {
        let mut room = Room::new(Kind::SoftHsm)?;
        let mut pty = attended(&mut room);
        let approved = room.plan.text();
        let theirs = approved.replace("records/one", "records/theirs");
        let theirs = theirs.replace(LABEL, "theirs");
        fs::write(room.path("plan.toml"), &theirs).unwrap();
        until_pin(&mut pty);
        fs::remove_file(room.path("plan.toml")).unwrap();
        let (code, screen) = with_pin(pty);
        assert_eq!(code, 0, "{screen}");
        assert_eq!(room.beside(), ["one"]);
        let kept = fs::read_to_string(room.path("records/one/plan.toml")).unwrap();
        assert_eq!(kept, approved);
        assert!(room.objects()[0].contains(LABEL), "{:?}", room.objects());
        assert!(!screen.contains("theirs"), "{screen}");
        Some(())
    });
}

// ---- the record ------------------------------------------------------------------------

#[test]
fn an_existing_record_is_not_touched() {
    attempt(|| {
        let mut room = Room::new(Kind::SoftHsm)?;
        room.run_corrected(&[]);
        let (objects, before) = (room.objects(), tree(&room.path("records")));
        refused(
            &room.run(),
            2,
            &["[RECORD-EXISTS]", "records/one already exists"],
        );
        assert_eq!(tree(&room.path("records")), before);
        assert_eq!(room.objects(), objects);

        // Whatever bears the name: a file, or a link to nowhere.
        fs::write(room.path("records/file"), "not a record").unwrap();
        std::os::unix::fs::symlink("nowhere", room.path("records/link")).unwrap();
        for name in ["records/file", "records/link"] {
            room.plan.directory = name.into();
            refused(&room.run(), 2, &["[RECORD-EXISTS]", name]);
        }
        assert_eq!(
            fs::read(room.path("records/file")).unwrap(),
            b"not a record"
        );

        room.plan.directory = "records/two".into();
        room.plan.label = "payments-2027".into();
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(room.objects().len(), 2);
        Some(())
    });
}

#[test]
fn a_record_that_somebody_makes_while_the_ceremony_runs_is_not_touched() {
    attempt(|| {
        let mut room = Room::new(Kind::SoftHsm)?;
        let mut pty = attended(&mut room);
        until_pin(&mut pty);
        fs::create_dir(room.path("records/one")).unwrap();
        fs::write(room.path("records/one/plan.toml"), "prepared").unwrap();
        let (code, screen) = with_pin(pty);
        assert_eq!(code, 5, "{screen}");
        assert!(
            screen.contains("step 12 of 13") && screen.contains("records/one"),
            "{screen}"
        );
        nothing_left(&room);
        assert_eq!(files_of(&room.path("records/one")), ["plan.toml"]);
        fs::remove_dir_all(room.path("records/one")).unwrap();
        room.plan.pin = "file:pin".into();
        room.run_corrected(&[]);
        Some(())
    });
}

/// A working directory that leads elsewhere is set aside as it is; nothing is written where it leads.
#[test]
fn a_working_directory_that_is_a_link_is_set_aside() {
    attempt(|| {
        let room = Room::new(Kind::SoftHsm)?;
        fs::create_dir_all(room.path("records")).unwrap();
        fs::create_dir(room.path("theirs")).unwrap();
        symlink(room.path("theirs"), room.path("records/one.incomplete")).unwrap();
        let transcript = room.run_corrected(&[]);
        let aside = transcript.lines[0]["interrupted"].as_str().unwrap();
        assert!(room.path("records").join(aside).is_symlink());
        assert_eq!(files_of(&room.path("theirs")), [""; 0]);
        Some(())
    });
}

/// Outputs are made anew, in directories of this run: whatever bears their names already is refused.
#[test]
fn an_output_that_leads_elsewhere_is_refused_and_nothing_is_written_there() {
    attempt(|| {
        for (name, file) in [
            (LABEL, false),
            ("README.txt", true),
            ("signatures", false),
            ("SHA256SUMS", true),
        ] {
            let mut room = Room::new(Kind::SoftHsm)?;
            let mut pty = attended(&mut room);
            until_pin(&mut pty);
            fs::create_dir(room.path("theirs")).unwrap();
            let target = if file { "theirs/new" } else { "theirs" };
            let link = room.path("records/one.incomplete").join(name);
            symlink(room.path(target), &link).unwrap();
            let (code, screen) = with_pin(pty);
            assert_eq!(code, 5, "{name}: {screen}");
            assert!(screen.contains("File exists"), "{name}: {screen}");
            assert_eq!(files_of(&room.path("theirs")), [""; 0], "{name}");
            assert_eq!(room.objects(), [""; 0], "{name}");
            assert!(!room.path("records/one").exists(), "{name}");
            room.plan.pin = "file:pin".into();
            room.run_corrected(&[]);
        }
        Some(())
    });
}

// ---- what is built on ------------------------------------------------------------------

#[test]
fn a_share_set_of_another_ceremony_recovers_nothing() {
    attempt(|| {
        let scene = Scene::new(Kind::SoftHsm, "recover")?;
        let other = escrowed(Kind::SoftHsm, 2, 3)?;
        other.run_well();
        let theirs = shares(&other.path("shares"));
        let words: Vec<&str> = theirs.iter().map(|(_, words)| words.as_str()).collect();
        lay(&scene.room.path("brought"), &words[..2]);
        let says = [
            "[SHARE]",
            "01-brought.txt",
            "not one of the shares in the previous record",
        ];
        aborted(&scene.room, &scene.room.run(), 4, &says);
        Some(())
    });
}

#[test]
fn another_record_under_the_name_of_the_previous_one_is_refused() {
    attempt(|| {
        let scene = Scene::new(Kind::SoftHsm, "reimport")?;
        let other = Room::new(Kind::SoftHsm)?;
        other.run_well();
        let objects = scene.room.objects();
        fs::remove_dir_all(scene.room.path("before/one")).unwrap();
        fs::rename(other.path("records/one"), scene.room.path("before/one")).unwrap();
        refused(&scene.room.run(), 4, &["[PREVIOUS-RECORD]", "before/one"]);
        assert_eq!(scene.room.beside(), [""; 0]);
        assert_eq!(scene.room.objects(), objects);
        Some(())
    });
}

// ---- the token -------------------------------------------------------------------------

fn a_taken_label(kind: Kind) -> Option<()> {
    let mut room = Room::new(kind)?;
    room.token(&["plant", "ceremony", PIN, LABEL, "00112233"]);
    let planted = room.objects();
    assert_eq!(planted, [format!("CKO_SECRET_KEY {LABEL} 00112233")]);
    let says = [
        "step 4 of 13",
        "[LABEL-FREE]",
        "CKA_ID 00112233",
        "it was not touched",
    ];
    aborted_beside(&room, &room.run(), 3, &says, &planted);
    room.plan.label = "payments-2027".into();
    room.run_corrected(&planted);
    Some(())
}

support::twins!(
    an_object_that_has_the_label_already_is_not_touched_on_softhsm,
    an_object_that_has_the_label_already_is_not_touched_on_kryoptic,
    |kind| attempt(|| a_taken_label(kind))
);

// ---- the module ------------------------------------------------------------------------

/// A room whose module is a file of its own, which somebody can exchange.
fn with_own_module() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    fs::copy(&room.plan.module, room.path("module.so")).unwrap();
    room.plan.module = "module.so".into();
    Some(room)
}

/// Another file takes the module's name, as an update or an attacker does it.
fn exchange_module(room: &Room) {
    let mut bytes = fs::read(room.path("module.so")).unwrap();
    bytes.push(0);
    fs::write(room.path("theirs.so"), bytes).unwrap();
    fs::rename(room.path("theirs.so"), room.path("module.so")).unwrap();
}

#[test]
fn a_module_changed_before_the_data_key_is_made_stops_the_ceremony() {
    attempt(|| {
        let mut room = with_own_module()?;
        let mut pty = attended(&mut room);
        until_pin(&mut pty);
        exchange_module(&room);
        let (code, screen) = with_pin(pty);
        assert_eq!(code, 4, "{screen}");
        for says in [
            "step 7 of 13",
            "[MODULE-CHANGED]",
            "module.so changed while it was in use",
        ] {
            assert!(screen.contains(says), "{says}: {screen}");
        }
        assert!(room.aborted().events("key-intended").is_empty());
        nothing_left(&room);
        room.plan.pin = "file:pin".into();
        room.run_corrected(&[]);
        Some(())
    });
}

fn stopped_with_another_module(event: &str, step: &str) -> Option<Output> {
    let (room, calls) = traced(with_own_module()?)?;
    let output = strace::stopped_at(&room, strace::line_of(&calls, event), || {
        exchange_module(&room)
    });
    let transcript = aborted(&room, &output, 4, &[step, "[MODULE-CHANGED]"]);
    assert_eq!(transcript.destroyed(LABEL)["objects"], 1);
    room.run_corrected(&[]);
    Some(output)
}

#[test]
fn a_module_changed_between_preflight_and_wrap_wraps_nothing() {
    attempt(|| stopped_with_another_module("key-generated", "step 8 of 13, wrap").map(|_| ()));
}

#[test]
fn a_module_changed_after_the_wrap_seals_nothing() {
    attempt(|| stopped_with_another_module("output-written", "step 12 of 13, seal").map(|_| ()));
}
