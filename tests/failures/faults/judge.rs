//! What became of a ceremony with a fault in it: every sentence that must hold afterwards.

use std::fs;
use std::process::Output;

use super::list::{Fault, Sort};
use super::scenes::{Stage, UNOPENED, everything};
use super::support::escrow::files_below;
use super::support::{PIN, Transcript, stderr, stdout};

/// How a ceremony with a fault ended, where it ended as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Aborted, everything said, and the next run came to its end.
    Refused,
    /// Sealed, and everything in it is right.
    Survived,
    /// Only the KMS can tell: what it cannot open.
    BeyondTheRoom,
    /// The call had nothing in it that this fault could change.
    NoFault,
}

/// Runs the ceremony with this fault, and again without, and judges both.
///
/// # Errors
/// What does not hold.
pub fn tried(stage: &mut Stage, fault: &Fault) -> Result<Verdict, String> {
    stage.begin_anew();
    let output = stage.run_with(&fault.rule);
    let log = fs::read_to_string(stage.room.path("calls.log")).unwrap_or_default();
    if !happened(fault, &log) {
        return Ok(Verdict::NoFault);
    }
    let text = stderr(&output);
    must(!text.contains(PIN), "the PIN is in what was said")?;
    let judged = match output.status.code() {
        Some(0) => survived(stage, fault, &text),
        Some(code @ (3 | 4)) => refused(stage, fault, &output, code).map(|()| Verdict::Refused),
        other => Err(format!("it ended with {other:?}")),
    };
    judged.map_err(|why| format!("{why}\n{text}"))
}

fn must(holds: bool, what: &str) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(what.to_owned()),
    }
}

fn happened(fault: &Fault, log: &str) -> bool {
    match fault.sort {
        Sort::Error | Sort::Lost | Sort::Removed | Sort::Blind => {
            let calls = log
                .lines()
                .filter(|line| line.split(' ').next() == Some(&fault.function));
            calls.count() as u64 >= fault.number
        }
        _ => log.contains(&format!("{} changed", fault.function)),
    }
}

fn survived(stage: &Stage, fault: &Fault, text: &str) -> Result<Verdict, String> {
    // The signer of the previous record was not found: another was made, and people are told.
    let another_signer = "the previous record was signed by another key";
    must(
        names(stage).len() == 1,
        "something stands beside the record",
    )?;
    match stage.holds() {
        Ok(()) => Ok(Verdict::Survived),
        Err(why) if why == UNOPENED && fault.sort == Sort::Flip => Ok(Verdict::BeyondTheRoom),
        Err(_) if fault.sort == Sort::Unseen && text.contains(another_signer) => {
            Ok(Verdict::Survived)
        }
        Err(why) => Err(why),
    }
}

/// The directories of this ceremony, final and other: `two`, `two.aborted-…`.
fn names(stage: &Stage) -> Vec<String> {
    let name = stage.room.plan.directory.trim_start_matches("records/");
    let mut names = stage.room.beside();
    names.retain(|beside| beside.starts_with(name));
    names
}

fn refused(stage: &mut Stage, fault: &Fault, output: &Output, code: i32) -> Result<(), String> {
    let text = stderr(output);
    let of_the_hsm = [Sort::Error, Sort::Lost, Sort::Removed, Sort::Blind];
    if of_the_hsm.contains(&fault.sort) {
        must(code == 3, "the exit code of the HSM is 3")?;
        named(fault, &text)?;
    }
    must(
        text.contains("byok: state: "),
        "it is not said what now exists",
    )?;
    let names = names(stage);
    let [aborted] = names.as_slice() else {
        return Err(format!("there is {names:?}"));
    };
    must(
        aborted.contains(".aborted-"),
        "its record is not called aborted",
    )?;
    let record = format!("records/{aborted}");
    must(text.contains(&record), "it is not said where the record is")?;
    last_line(&stage.room.transcript(&record), code)?;
    let verified = stage.room.byok(&["verify", &record]).output().unwrap();
    must(verified.status.success(), &stderr(&verified))?;
    nothing_looks_finished(stage, &record)?;
    everything_left_is_named(stage, &text, &record)?;
    next_run(stage)
}

/// The call that answered what the fault made it answer is named as the standard names it.
fn named(fault: &Fault, text: &str) -> Result<(), String> {
    let wanted = match fault.sort {
        // nobody is told by the PKCS#11 wrapper; what comes next in that session finds the search open
        Sort::Error if fault.function == "C_FindObjectsFinal" => ": CKR_OPERATION_ACTIVE".into(),
        // the error may have been overcome, but not that nothing is found any more
        Sort::Blind if text.contains("the token shows 0 transcript signers") => return Ok(()),
        Sort::Error | Sort::Blind => format!("{}: CKR_DEVICE_ERROR", fault.function),
        // whichever call felt it first
        _ => {
            let mut words = text.split_whitespace().zip(text.split_whitespace().skip(1));
            let felt = words.any(|(function, rv)| {
                function.trim_start_matches('(').starts_with("C_")
                    && LOST.iter().any(|lost| rv.starts_with(lost))
            });
            return must(felt, "no function that felt it is named");
        }
    };
    must(text.contains(&wanted), &format!("{wanted:?} is not said"))
}

const LOST: [&str; 5] = [
    "CKR_SESSION_HANDLE_INVALID",
    "CKR_USER_NOT_LOGGED_IN",
    "CKR_DEVICE_REMOVED",
    "CKR_TOKEN_NOT_PRESENT",
    "CKR_OBJECT_HANDLE_INVALID",
];

fn last_line(transcript: &Transcript, code: i32) -> Result<(), String> {
    let last = transcript.lines.last().unwrap();
    must(
        last["event"] == "aborted" && last["exit"] == code,
        &format!("the transcript ends with {last}"),
    )
}

/// No wrapped data key, no package, no share: not in the aborted record, and nowhere beside it.
fn nothing_looks_finished(stage: &Stage, record: &str) -> Result<(), String> {
    let aborted = stage.room.path(record);
    let shares = stage.room.path("shares");
    let mut files = files_below(&aborted);
    if stage.deals_shares() && shares.exists() {
        files.extend(files_below(&shares));
    }
    let finished = files.iter().find(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("WrappedKeyMaterial")
            || name.starts_with("escrow-package")
            || name.ends_with(".txt")
    });
    finished.map_or(Ok(()), |path| Err(format!("{} is there", path.display())))
}

/// What is in the token and was not, with the command that removes it; the doctor finds the same.
fn everything_left_is_named(stage: &mut Stage, text: &str, record: &str) -> Result<(), String> {
    let now = everything(&stage.room);
    let gone = stage.before.iter().find(|object| !now.contains(object));
    if let Some(gone) = gone {
        return Err(format!("{gone} was there before, and is not any more"));
    }
    let before = stage.before.clone();
    let left: Vec<&String> = now
        .iter()
        .filter(|object| !before.contains(object))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    stage.room.without_proxy();
    stage.room.write_plan();
    let mut doctor = stage
        .room
        .byok(&["doctor", "plan.toml", "--leftovers", record]);
    let listed = stdout(&doctor.output().unwrap());
    for object in left {
        let id = object.rsplit(' ').next().unwrap();
        let kind = match object.split(' ').next().unwrap() {
            "CKO_SECRET_KEY" => "secrkey",
            "CKO_PRIVATE_KEY" => "privkey",
            _ => "pubkey",
        };
        let command = format!("--delete-object --type {kind} --id {id}");
        must(
            text.contains(&command),
            &format!("{object} is left and not named"),
        )?;
        must(
            listed.contains(&command),
            &format!("the doctor does not list {object}:\n{listed}"),
        )?;
    }
    Ok(())
}

fn next_run(stage: &mut Stage) -> Result<(), String> {
    let output = stage.run();
    must(
        output.status.success(),
        &format!("the next run: {}", stderr(&output)),
    )?;
    stage.holds().map_err(|why| format!("the next run: {why}"))
}
