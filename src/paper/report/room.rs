//! People, machine, HSM, exceptions, the order of events, and the files.

use super::facts::{
    CheckFacts, EventFacts, ExceptionFacts, FileFacts, FilesFacts, MemberFacts, RoomFacts,
    SeatFacts, ToldFacts,
};
use super::{Report, events, groups, html, shown};
use crate::evidence::transcript::{
    Exception, Line, Opened, Output, PreflightCheck, PreflightPassed, Present, RollCall,
    WrongAnswer,
};
use crate::ground::clock;
use crate::ground::error::Step;
use crate::ground::strict_json::Json;

/// Events that are shown member by member: title, name, and the members that are shown elsewhere.
const TOLD: [(&str, &str, &[&str]); 5] = [
    ("Approval", "plan-approved", &["plan_sha256"]),
    ("Roll call", "roll-call", &["present"]),
    ("Machine", "machine-checked", &[]),
    ("HSM", "hsm-opened", &[]),
    ("Transcript signer", "transcript-signer", &["attributes"]),
];

pub(super) fn facts(report: &Report, opening: &Opened) -> RoomFacts {
    let mut told = Vec::new();
    for (title, event, but) in TOLD {
        let lines = report.lines.iter().filter(|line| line.name == event);
        told.extend(lines.map(|line| ToldFacts {
            title: title.into(),
            members: members(line, but),
            seats: seats(line),
        }));
    }
    let passed: Vec<_> = report.events::<PreflightPassed>().collect();
    RoomFacts {
        told,
        byok: opening.byok.as_ref().into(),
        byok_digest: groups(&opening.byok_sha256),
        checks: passed
            .iter()
            .flat_map(|passed| &passed.checks)
            .map(check)
            .collect(),
    }
}

/// Everything that an event says, except its place in the chain: what later versions add is shown too.
fn members(line: &Line, but: &[&str]) -> Vec<MemberFacts> {
    let frame = ["seq", "at", "prev", "event"];
    let members = line.members().into_iter();
    members
        .filter(|(name, _)| !frame.contains(&name.as_str()) && !but.contains(&name.as_str()))
        .map(|(name, value)| MemberFacts {
            value: match &value {
                Json::String(hex) if name.ends_with("sha256") => groups(hex),
                value => shown(value).into(),
            },
            name: name.replace('_', " ").into(),
        })
        .collect()
}

/// Who sat in which seat, a row each; nothing for other events.
fn seats(line: &Line) -> Vec<SeatFacts> {
    let present = line.tells::<RollCall>().map(|call| call.present.as_slice());
    let seat = |seat: &Present| SeatFacts {
        role: (*seat.role).into(),
        seat: seat.seat.as_str().into(),
        name: seat.name.as_str().into(),
    };
    present.unwrap_or_default().iter().map(seat).collect()
}

fn check(check: &PreflightCheck) -> CheckFacts {
    CheckFacts {
        check: check.check.as_ref().into(),
        wrapping: check.wrapping.as_ref().into(),
        wrapping_key_spec: check.wrapping_key_spec.as_ref().into(),
        place: check.wrapped_in.to_string().into(),
        import: html(check.import.as_deref()),
    }
}

/// Each deviation with the number of the step it happened in.
pub(super) fn exceptions(report: &Report) -> Vec<ExceptionFacts> {
    let told = report.events::<Exception>().map(|told| ExceptionFacts {
        step: step(told.step).into(),
        when: clock::for_people(told.line.at).into(),
        what: told.what.as_str().into(),
    });
    told.collect()
}

/// How often a PIN or a row from paper was wrong.
pub(super) fn wrong_answers(report: &Report) -> String {
    let count = |asked| {
        let wrong = report.events::<WrongAnswer>();
        wrong.filter(|wrong| wrong.asked == asked).count()
    };
    let kinds = [
        ("pin", "the HSM token's PIN"),
        ("slip", "a row of the slip"),
        (
            "previous-head",
            "a row of the previous record's head digest",
        ),
    ];
    let told: Vec<String> = kinds
        .iter()
        .map(|(asked, what)| (count(*asked), what))
        .filter(|(times, _)| *times > 0)
        .map(|(times, what)| format!("{what}: {times}"))
        .collect();
    told.join("; ")
}

/// `step 3, look at the machine`, as on screens and on the printed script.
fn step(number: u8) -> String {
    let known = Step::ALL.iter().find(|step| step.number() == number);
    match known {
        Some(step) => format!("step {number}, {}", step.name()),
        None => format!("step {number}"),
    }
}

/// Events of one name that follow each other share a row.
fn run(run: &[Line]) -> EventFacts {
    let (first, last) = (&run[0], &run[run.len() - 1]);
    let (lines, times) = match run.len() {
        1 => (first.number.to_string(), String::new()),
        n => (
            format!("{} to {}", first.number, last.number),
            n.to_string(),
        ),
    };
    EventFacts {
        lines: lines.into(),
        time: first.at.strftime("%Y-%m-%d %H:%M:%S").to_string().into(),
        told: events::told(&first.event).into(),
        event: first.name.as_str().into(),
        times: times.into(),
    }
}

/// The order of events, and every file of the record that was written before this one.
pub(super) fn files(report: &Report) -> FilesFacts {
    let files = report.events::<Output>().map(|output| FileFacts {
        path: output.path.as_str().into(),
        bytes: output.bytes.to_string().into(),
        digest: groups(&output.sha256),
    });
    FilesFacts {
        events: report
            .lines
            .chunk_by(|a, b| a.name == b.name)
            .map(run)
            .collect(),
        files: files.collect(),
    }
}
