//! A call into the module that does not come back, or comes back late.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::scenes::{GENERATE_WITHOUT_ESCROW, Stage};
use super::support::screen::Screen;
use super::support::{Kind, LABEL, PATIENCE, PIN, Room, fits, folded, stderr, stdout, wait_for};

/// A stage, and the last call of a function in its ceremony, as a rule has it: both serve the data key.
fn stage_with(rule: &str, function: &str) -> Option<(Stage, String)> {
    let stage = Stage::new(GENERATE_WITHOUT_ESCROW)?;
    let count = stage.calls.iter().filter(|call| *call == function).count();
    stage.begin_anew();
    Some((stage, format!("{rule}:{function}:{count}")))
}

/// What a power cut leaves is there: the doctor names the data key, the next run takes it away and ends well.
#[track_caller]
fn as_after_a_power_cut(stage: &mut Stage) {
    assert_eq!(stage.room.beside(), ["one.incomplete"]);
    let begun = stage.room.transcript("records/one.incomplete");
    let id = begun.event("key-intended")["cka_id"].as_str().unwrap();
    let made = stage.room.objects();
    stage.room.without_proxy();
    stage.room.write_plan();
    let doctor = [
        "doctor",
        "plan.toml",
        "--leftovers",
        "records/one.incomplete",
    ];
    let listed = stage.room.byok(&doctor).output().unwrap();
    assert!(listed.status.success(), "{}", stderr(&listed));
    let named = format!("left      {LABEL}, CKA_ID {id}");
    assert_eq!(stdout(&listed).contains(&named), !made.is_empty());
    let output = stage.run();
    assert!(output.status.success(), "{}", stderr(&output));
    stage.holds().unwrap();
    let transcript = stage.room.transcript("records/one");
    let destroyed = transcript.events("key-destroyed");
    let of_label = destroyed.iter().filter(|event| event["label"] == LABEL);
    assert_eq!(of_label.count(), made.len());
    assert!(stage.room.beside()[1].starts_with("one.interrupted-"));
}

/// They wait for half a minute, so they wait together.
#[test]
fn a_call_that_hangs_is_named_after_30_seconds_and_is_ended_or_waited_for() {
    std::thread::scope(|scope| {
        scope.spawn(a_call_that_hangs_is_named_and_stop_ends_the_process);
        scope.spawn(an_unattended_run_says_which_call_hangs_and_a_signal_ends_it);
        scope.spawn(a_call_that_comes_back_late_is_waited_for);
        scope.spawn(a_login_that_hangs_in_the_doctor_is_ended_with_stop);
        scope.spawn(a_check_that_hangs_says_so_and_ctrl_c_ends_it);
    });
}

fn a_call_that_hangs_is_named_and_stop_ends_the_process() {
    let Some((mut stage, rule)) = stage_with("hang", "C_WrapKey") else {
        return;
    };
    stage.room.behind_proxy(&rule).unwrap();
    stage.room.write_plan();
    let mut screen = Screen::start(stage.room.byok(&["run", "plan.toml"]));
    screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    screen.roll_call();
    screen.expect("The HSM has not answered");
    let told = folded(&screen.expect(" rest."));
    for wanted in [
        &format!("for 30 seconds: C_WrapKey, for the data key \"{LABEL}\". Nothing is lost."),
        "type STOP and Enter.",
        "records/one.incomplete, and in the HSM what this run asked it to make.",
        "byok doctor plan.toml --leftovers",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    fits(&screen.shown);
    screen.enter("what now");
    screen.expect(" Still waiting for C_WrapKey. STOP and Enter end byok here.\n");
    screen.keys(b"\x04"); // Ctrl-D ends nothing here either
    screen.expect(" Still waiting for C_WrapKey. STOP and Enter end byok here.\n");
    screen.enter("STOP");
    assert_eq!(screen.end(), 1);
    let said = folded(&screen.shown);
    let ended =
        format!("ended at the keyboard: C_WrapKey had not come back, for the data key \"{LABEL}\"");
    assert!(said.contains(&ended), "{said}");
    assert_eq!(
        stage.room.objects().len(),
        1,
        "the data key was made before"
    );
    as_after_a_power_cut(&mut stage);
}

/// An unattended run with this rule, its words in a file.
fn begun(stage: &mut Stage, rule: &str) -> Child {
    stage.room.behind_proxy(rule).unwrap();
    let words = File::create(stage.room.path("words")).unwrap();
    let mut run = stage.room.run_under(&["env"]);
    run.stdout(Stdio::null()).stderr(words).spawn().unwrap()
}

fn until_said(stage: &Stage, wanted: &str) -> String {
    let started = Instant::now();
    loop {
        let said = fs::read_to_string(stage.room.path("words")).unwrap();
        if said.contains(wanted) {
            return said;
        }
        assert!(started.elapsed() < PATIENCE, "{said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn an_unattended_run_says_which_call_hangs_and_a_signal_ends_it() {
    let Some((mut stage, rule)) = stage_with("hang", "C_GenerateKey") else {
        return;
    };
    let mut run = begun(&mut stage, &rule);
    let said = until_said(&stage, "SIGTERM ends byok here.");
    let line = said.lines().last().unwrap();
    assert!(
        line.starts_with("byok: waiting: C_GenerateKey has not come back for 30 seconds"),
        "{line}"
    );
    assert!(line.contains("records/one.incomplete"), "{line}");
    let killed = Command::new("kill").arg(run.id().to_string()).status();
    assert!(killed.unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(1));
    until_said(&stage, "ended by a signal: C_GenerateKey had not come back");
    as_after_a_power_cut(&mut stage);
}

fn a_call_that_comes_back_late_is_waited_for() {
    let Some((mut stage, rule)) = stage_with("slow", "C_WrapKey") else {
        return;
    };
    let mut run = begun(&mut stage, &format!("{rule}:33"));
    until_said(
        &stage,
        "byok: waiting: C_WrapKey has not come back for 30 seconds",
    );
    until_said(&stage, " C_WrapKey came back. byok goes on.\n");
    assert!(run.wait().unwrap().success());
    stage.holds().unwrap();
}

/// A room whose HSM hangs there, and its plan.
fn room_that_hangs(rule: &str) -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan.pin = "prompt".into();
    room.behind_proxy(rule)?;
    room.write_plan();
    Some(room)
}

/// What a verb says whose only traces end with it.
const NOTHING_LEFT: &str = "Nothing was written, and what it made in the HSM ends with this process; \
    only an object labelled byok-throw-away may stay in the token.";

fn a_login_that_hangs_in_the_doctor_is_ended_with_stop() {
    let Some(room) = room_that_hangs("hang:C_Login:1") else {
        return;
    };
    let mut screen = Screen::start(room.byok(&["doctor", "plan.toml"]));
    screen.answer("PIN", PIN);
    screen.expect("The HSM has not answered");
    let told = folded(&screen.expect("in the token."));
    assert!(told.contains("for 30 seconds: C_Login. "), "{told}");
    assert!(told.contains(NOTHING_LEFT), "{told}");
    screen.enter("STOP");
    assert_eq!(screen.end(), 1);
    assert!(room.objects().is_empty());
}

fn a_check_that_hangs_says_so_and_ctrl_c_ends_it() {
    let Some(room) = room_that_hangs("hang:C_GetSlotList:1") else {
        return;
    };
    let mut screen = Screen::start(room.byok(&["check", "--hsm", "plan.toml"]));
    let said = "byok: waiting: C_GetSlotList has not come back for 30 seconds; nothing is lost; \
                Ctrl-C ends byok here. ";
    screen.expect(said);
    screen.expect(NOTHING_LEFT);
    screen.keys(b"\x03");
    assert_eq!(screen.end(), 1);
}

/// The doctor takes minutes on some HSMs; nobody has to wait for its end, whether or not a call hangs.
#[test]
fn ctrl_c_ends_the_doctor_at_any_time() {
    for rule in ["hang:C_WrapKey:2", "slow:C_WrapKey:2:3"] {
        let Some(mut room) = room_that_hangs(rule) else {
            return;
        };
        let log = room.path("calls.log");
        room.behind_proxy(&format!("{rule};log:{}", log.display()));
        room.write_plan();
        let mut screen = Screen::start(room.byok(&["doctor", "plan.toml"]));
        screen.answer("PIN", PIN);
        wait_for(|| fs::read_to_string(&log).is_ok_and(|log| log.contains("C_WrapKey ")));
        screen.keys(b"\x03");
        assert_eq!(screen.end(), 1, "{rule}");
        assert!(
            screen.shown.contains("ended by a signal"),
            "{}",
            screen.shown
        );
        assert!(room.objects().is_empty());
    }
}
