//! Full disks and power cuts between the hand-out of shares and the seal. Nothing is left that opens
//! anything, people are told which forms are void, and old shares never mix with new ones.

use crate::support;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use support::escrow::{CUSTODIANS, files_below, room, shares, table};
use support::screen::Screen;
use support::wait_for;
use support::{
    Kind, LABEL, PIN, Room, Transcript, folded, names_in, namespace, refused, skip, stderr, stdout,
};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];

// ---- full disks ----------------------------------------------------------------------

/// Record and shares on one small disk; then again when there is room.
const SMALL_DISK: &str = r#"
mount -t tmpfs -o "$LIMIT" tmpfs records || exit 77
"$@" 2>first.err; echo $? >first.rc
cp -a records seen
"$LISTER" "$MODULE" list ceremony "$PIN" >between
mount -o remount,size=64m records || exit 77
"$@" 2>second.err; echo $? >second.rc
cp -a records seen-again
"#;

/// How many shares were handed out before the disk was full; `None` where it never was. The outer `None`:
/// it cannot be tried here.
fn on_a_small_disk(way: &[&str], pages: usize) -> Option<Option<usize>> {
    let mut room = room(Kind::SoftHsm, 2, 8)?;
    room.plan.more = table(2, 8, "files:records/shares");
    fs::create_dir(room.path("records")).unwrap();
    let mut run = room.run_under(&[way, &["sh", "-c", SMALL_DISK, "sh"]].concat());
    let lister = room.token_command(&[]);
    run.env("LIMIT", format!("size={}k", pages * 4))
        .env("PIN", PIN);
    run.env("LISTER", lister.get_program())
        .env("MODULE", lister.get_args().next().unwrap());
    let output = run.output().unwrap();
    if output.status.code() == Some(77) {
        skip("no tmpfs can be mounted");
        return None;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let text = |name: &str| fs::read_to_string(room.path(name)).unwrap();
    let (first, said) = (text("first.rc"), text("first.err"));
    if first.trim() == "0" {
        return Some(None);
    }
    assert_eq!(first.trim(), "5", "{pages} pages: {said}");
    for wanted in ["No space left on device", "disk is full"] {
        assert!(said.contains(wanted), "{pages} pages: {said}");
    }
    assert_eq!(text("between"), "", "{pages} pages: a data key was left");
    let handed_out = told_void(&room, &said);
    assert_eq!(text("second.rc").trim(), "0", "{}", text("second.err"));
    let verified = room.byok(&["verify", "seen-again/one"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert_eq!(shares(&room.path("seen-again/shares")).len(), 8);
    assert_eq!(room.objects().len(), 1);
    Some(Some(handed_out))
}

/// What was seen on the full disk: every share that went out is void, and its file is gone.
#[track_caller]
fn told_void(room: &Room, said: &str) -> usize {
    assert_eq!(names_in(&room.path("seen/shares")), [""; 0]);
    let seen = names_in(&room.path("seen"));
    let Some(aborted) = seen.iter().find(|name| name.starts_with("one.aborted-")) else {
        assert!(seen.contains(&"one.incomplete".to_owned()), "{seen:?}");
        return 0;
    };
    let record = format!("seen/{aborted}");
    let verified = room.byok(&["verify", &record]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    let transcript = room.transcript(&record);
    let handed_out = transcript.events("share-handed-out").len();
    for (at, custodian) in CUSTODIANS.iter().enumerate().take(handed_out) {
        let form = format!("share {}, {custodian}", at + 1);
        assert!(said.contains(&form), "{form}: {said}");
    }
    let state = transcript.lines.last().unwrap()["state"].to_string();
    for text in [said, &state] {
        let void = text.contains("these shares are now void; destroy their forms: ");
        assert_eq!(void, text.contains("share 1, Security"), "{text}");
    }
    handed_out
}

#[test]
fn a_disk_that_is_full_while_shares_go_out_voids_them_and_leaves_no_data_key() {
    let Some(way) = namespace(&["--mount"]) else {
        return;
    };
    let mut ends = Vec::new();
    for pages in (36..=84).step_by(3) {
        let Some(end) = on_a_small_disk(&way, pages) else {
            return;
        };
        ends.push(end);
    }
    // no room for the outputs is found out before the first share
    assert_eq!(ends[0], Some(0), "{ends:?}");
    let between = ends
        .iter()
        .flatten()
        .filter(|count| (1..8).contains(*count));
    assert!(between.count() > 1, "{ends:?}");
    assert_eq!(ends.last(), Some(&None), "{ends:?}");
}

/// Somebody else takes all the space there is while the ceremony waits for the PIN of its second session.
const FILLED_MEANWHILE: &str = r#"
mount -t tmpfs -o size=1m tmpfs records || exit 77
( until test -e fill; do sleep 0.05; done
  cat /dev/zero >records/filler 2>cat.err
  truncate -s -8192 records/filler
  touch filled ) &
"$@"; rc=$?
cp -a records seen
exit $rc
"#;

#[test]
fn a_disk_that_fills_up_while_shares_are_out_still_takes_the_outputs() {
    let (Some(way), Some(mut room)) = (namespace(&["--mount"]), room(Kind::SoftHsm, 2, 3)) else {
        return;
    };
    fs::create_dir(room.path("records")).unwrap();
    room.plan.pin = "prompt".into();
    if room.behind_proxy("lose-session:C_UnwrapKey:4").is_none() {
        return;
    }
    let run = room.run_under(&[&way[..], &["sh", "-c", FILLED_MEANWHILE, "sh"]].concat());
    let mut attended = std::process::Command::new(run.get_program());
    let args: Vec<_> = run
        .get_args()
        .take_while(|arg| *arg != "--approve")
        .collect();
    attended.args(args).current_dir(room.dir.path());
    attended.env_clear().envs(
        run.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut screen = Screen::start(attended);
    const ASKED: &str = "(nothing is shown while you type): ";
    screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    screen.roll_call();
    screen.answer("Type yes to go on and record this as an exception: ", "yes");
    screen.answer(ASKED, PIN);
    screen.expect("The HSM lost its session");
    screen.expect(ASKED);
    fs::write(room.path("fill"), "").unwrap();
    wait_for(|| room.path("filled").exists());
    screen.enter(PIN);
    match screen.end() {
        0 => {}
        77 => return skip("no tmpfs can be mounted"),
        other => panic!("{other}: {}", screen.shown),
    }
    assert!(fs::metadata(room.path("seen/filler")).unwrap().len() > 500_000);
    let verified = room.byok(&["verify", "seen/one"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
}

// ---- power cuts ----------------------------------------------------------------------

/// A run that hangs in a call of the HSM, killed there as by a power cut.
fn killed_at(room: &mut Room, function: &str, call: usize) {
    let log = room.path("calls.log");
    let hang = format!("hang:{function}:{call};log:{}", log.display());
    room.behind_proxy(&hang).unwrap();
    let mut run = room.run_under(&["env"]);
    let mut child = run
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let hangs = format!("{function} hangs");
    wait_for(|| {
        fs::read_to_string(&log)
            .unwrap_or_default()
            .contains(&hangs)
    });
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    room.without_proxy();
}

/// A room whose ceremony was killed with all shares in files, before the proof.
fn killed_before_the_proof(kind: Kind) -> Option<Room> {
    support::proxy_module()?;
    let mut room = room(kind, 2, 3)?;
    // preflight, deal and proof each take a control back; then comes the data key
    killed_at(&mut room, "C_UnwrapKey", 4);
    let left = room.transcript("records/one.incomplete");
    assert_eq!(left.events("share-handed-out").len(), 3);
    assert!(left.events("escrow-proved").is_empty());
    assert_eq!(shares(&room.path("shares")).len(), 3);
    assert_eq!(room.objects().len(), 1);
    Some(room)
}

fn ceremony(transcript: &Transcript) -> &str {
    transcript.lines[0]["ceremony"].as_str().unwrap()
}

/// What the run after a killed one says of the forms, and does to what was left.
#[track_caller]
fn next_run_names(room: &Room, old: &Transcript, forms: &str, said: &str) {
    let told = format!(
        "the share forms of the interrupted ceremony {}; destroy them: {forms}",
        ceremony(old)
    );
    assert!(folded(said).contains(&told), "{said}");
    let transcript = room.transcript("records/one");
    let aside = transcript.lines[0]["interrupted"].as_str().unwrap();
    assert!(aside.starts_with("one.interrupted-"), "{aside}");
    assert_eq!(transcript.event("shares-voided")["ceremony"], ceremony(old));
    let made = old.event("key-generated");
    assert_eq!(transcript.destroyed(LABEL)["cka_id"], made["cka_id"]);
    let id = transcript.event("key-generated")["cka_id"]
        .as_str()
        .unwrap();
    assert_eq!(room.objects(), [format!("CKO_SECRET_KEY {LABEL} {id}")]);
    let verified = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
}

const ALL: &str = "share 1, Security; share 2, Audit; share 3, Treasury";

#[test]
fn a_run_killed_with_shares_in_files_never_mixes_them_with_new_ones() {
    for kind in BOTH {
        let Some(room) = killed_before_the_proof(kind) else {
            continue;
        };
        let old = room.transcript("records/one.incomplete");
        let before = shares(&room.path("shares"));
        // beside them somebody laid one of another ceremony, which may be good
        let other = fs::read_to_string(room.path("shares").join(&before[0].0)).unwrap();
        let other = other.replace(ceremony(&old), &"0".repeat(32));
        fs::write(room.path("shares/99-other.txt"), other).unwrap();
        let files: Vec<String> = names_in(&room.path("shares"))
            .iter()
            .filter(|name| *name != "99-other.txt")
            .map(|name| format!("shares/{name}"))
            .collect();
        let void = format!(
            "it holds shares of ceremony {}, which was not sealed; they are void: shred -u {}\n",
            ceremony(&old),
            files.join(" ")
        );
        let good = format!(
            "it holds shares of ceremony {}: if that ceremony was sealed, they are good",
            "0".repeat(32)
        );
        let there = "the directory for shares, shares, is not empty";
        refused(&room.run(), 2, &[there, &void, &good]);
        fs::remove_file(room.path("shares/99-other.txt")).unwrap();
        assert_eq!(shares(&room.path("shares")), before);
        assert_eq!(names_in(&room.path("records")), ["one.incomplete"]);
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert_eq!(check.status.code(), Some(2), "{}", stderr(&check));
        assert!(folded(&stdout(&check)).contains(ALL), "{}", stdout(&check));

        fs::remove_dir_all(room.path("shares")).unwrap();
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        next_run_names(&room, &old, ALL, &stderr(&output));
        let transcript = room.transcript("records/one");
        let out = |share: u64, custodian: &str| json!({"share": share, "custodian": custodian, "handed_out": true});
        assert_eq!(
            transcript.event("shares-voided")["shares"],
            json!([out(1, "Security"), out(2, "Audit"), out(3, "Treasury"),])
        );
        let new = shares(&room.path("shares"));
        assert!(
            new.iter()
                .all(|(_, words)| before.iter().all(|(_, old)| old != words))
        );
        // It was said once: the run after the next has nothing to tell.
        fs::rename(room.path("records/one"), room.path("records/other")).unwrap();
        room.token(&["destroy", "ceremony", PIN, LABEL]);
        fs::remove_dir_all(room.path("shares")).unwrap();
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(
            room.transcript("records/one")
                .events("shares-voided")
                .is_empty()
        );
    }
}

#[test]
fn the_forms_of_a_killed_run_are_named_before_the_next_one_is_approved() {
    let Some(room) = killed_before_the_proof(Kind::SoftHsm) else {
        return;
    };
    let old = room.transcript("records/one.incomplete");
    fs::remove_dir_all(room.path("shares")).unwrap();
    room.write_plan();
    let start = || {
        let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
        let shown = screen.expect(" Type Yes to approve, anything else to stop: ");
        let told = format!(
            "interrupted ceremony {}; destroy them: {ALL}",
            ceremony(&old)
        );
        assert!(folded(&shown).contains(&told), "{shown}");
        // words of a share may still stand there, for a killed run wipes nothing
        let shown = shown.strip_prefix("\u{1b}[H\u{1b}[2J\u{1b}[3J").unwrap();
        support::fits(shown);
        screen
    };
    let mut screen = start();
    screen.enter("no");
    assert_eq!(screen.end(), 1);
    assert_eq!(names_in(&room.path("records")), ["one.incomplete"]);
    let mut screen = start();
    screen.enter("Yes");
    screen.roll_call();
    // nobody compares a slip: the plan has the digest
    assert_eq!(screen.end(), 0, "{}", screen.shown);
    next_run_names(&room, &old, ALL, &screen.shown);
}

#[test]
fn a_data_key_that_was_sealed_when_the_power_went_is_destroyed_by_the_next_run() {
    for kind in BOTH {
        let Some(mut tried) = room(kind, 2, 3) else {
            continue;
        };
        tried.plan.keep = "sealed".into();
        let log = tried.path("calls.log");
        if tried
            .behind_proxy(&format!("log:{}", log.display()))
            .is_none()
        {
            return;
        }
        tried.run_well();
        // the last one reads CKA_EXTRACTABLE back
        let calls = fs::read_to_string(log).unwrap();
        let reads = calls.matches("C_GetAttributeValue ").count();
        let mut room = room(kind, 2, 3).unwrap();
        room.plan.keep = "sealed".into();
        killed_at(&mut room, "C_GetAttributeValue", reads);
        let old = room.transcript("records/one.incomplete");
        assert_eq!(old.events("escrow-proved").len(), 1);
        assert!(old.events("key-sealed").is_empty());
        fs::remove_dir_all(room.path("shares")).unwrap();
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        next_run_names(&room, &old, ALL, &stderr(&output));
    }
}

#[test]
fn shares_of_a_sealed_ceremony_are_not_called_void() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let transcript = room.run_well();
    let files = files_below(&room.path("shares"));
    room.plan.directory = "records/two".into();
    room.plan.label = "payments-2027".into();
    let good = format!(
        "it holds shares of ceremony {}: if that ceremony was sealed, they are good",
        ceremony(&transcript)
    );
    let output = room.run();
    refused(&output, 2, &["is not empty", &good]);
    assert!(!stderr(&output).contains("shred"), "{}", stderr(&output));
    assert_eq!(files_below(&room.path("shares")), files);
}

/// Something stands where the share was and cannot be removed: it gets a name that says what it is.
#[test]
fn a_void_share_that_cannot_be_erased_is_renamed() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.plan.pin = "prompt".into();
    if room.behind_proxy("lose-session:C_UnwrapKey:4").is_none() {
        return;
    }
    room.write_plan();
    let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
    const ASKED: &str = "(nothing is shown while you type): ";
    screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    screen.roll_call();
    screen.answer(ASKED, PIN);
    screen.expect(ASKED);
    let share = room.path("shares/02-Audit.txt");
    fs::rename(&share, room.path("taken")).unwrap();
    fs::create_dir(&share).unwrap();
    fs::write(share.join("in-the-way"), "").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    screen.keys(b"\x03");
    screen.answer("type STOP to end the ceremony, Enter to go on: ", "STOP");
    assert_eq!(screen.end(), 1, "{}", screen.shown);
    let left = names_in(&room.path("shares"));
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("02-Audit.txt.void-"), "{left:?}");
    let said = folded(&screen.shown);
    let told = format!("shares/{} is void; it could not be erased", left[0]);
    for wanted in [
        told.as_str(),
        ALL,
        "1 object of this run may still be in the HSM",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
