//! People, machine, HSM, exceptions, the order of events, and the files.

use super::{Html, Report, code, facts, groups, members, p, table, tag};
use crate::evidence::transcript::{
    Exception, Line, Opened, Output, PreflightCheck, PreflightPassed, Present, RollCall,
    WrongAnswer,
};
use crate::ground::clock;
use crate::ground::error::Step;
use crate::paper::html::{Sheet, free};

pub(super) fn sheet(report: &Report, opening: &Opened) -> Sheet {
    let mut sheet = Sheet::new("room, machine and HSM").with(tag("h1", "The room"));
    let parts = [
        ("Approval", "plan-approved", &["plan_sha256"][..]),
        ("Roll call", "roll-call", &["present"]),
        ("Machine", "machine-checked", &[]),
        ("HSM", "hsm-opened", &[]),
        ("Transcript signer", "transcript-signer", &["attributes"]),
    ];
    for (title, event, but) in parts {
        for line in report.lines.iter().filter(|line| line.name == event) {
            sheet = sheet
                .with([tag("h2", title), facts(members(line, but))])
                .with_long(seats(line));
        }
    }
    let tool = facts(vec![
        ("byok".into(), opening.byok.as_ref().into()),
        (
            "SHA-256 of the program".into(),
            groups(&opening.byok_sha256),
        ),
    ]);
    sheet
        .with([tag("h2", "Tool"), tool])
        .with(preflight(report))
}

/// Who sat where, a row each; nothing for other events.
fn seats(line: &Line) -> Html {
    let present = line.tells::<RollCall>().map(|call| call.present.as_slice());
    let present = present.unwrap_or_default();
    if present.is_empty() {
        return Html::default();
    }
    let row = |seat: &Present| [&*seat.role, &seat.seat, &seat.name].map(free).into();
    let head = ["role", "seat", "name"];
    table("table.list", &head, present.iter().map(row).collect())
}

fn proved(check: &PreflightCheck) -> Vec<Html> {
    let place = check.wrapped_in.to_string();
    vec![
        check.check.as_ref().into(),
        check.wrapping.as_ref().into(),
        check.wrapping_key_spec.as_ref().into(),
        place.into(),
        check.import.as_deref().unwrap_or_default().into(),
    ]
}

fn preflight(report: &Report) -> Html {
    let mut rows: Vec<Vec<Html>> = Vec::new();
    for passed in report.events::<PreflightPassed>() {
        rows.extend(passed.checks.iter().map(proved));
    }
    if rows.is_empty() {
        return Html::default();
    }
    let head = ["check", "wrapping", "wrapping key", "in", "import"];
    Html::from([
        tag(
            "h2",
            "Preflight, with throw-away keys, before any data key was touched",
        ),
        table("table.list", &head, rows),
    ])
}

/// Each deviation with the number of the step it happened in.
pub(super) fn exceptions(report: &Report) -> Html {
    let rows: Vec<Vec<Html>> = report
        .events::<Exception>()
        .map(|told| {
            vec![
                step(told.step).into(),
                clock::for_people(told.line.at).into(),
                free(&told.what),
            ]
        })
        .collect();
    let title = tag("h2", "Exceptions");
    let told = match rows.is_empty() {
        true => p("None were recorded up to step 11."),
        false => table("table.list", &["step", "when", "what"], rows),
    };
    Html::from([title, told, wrong_answers(report)])
}

/// How often a PIN or a row from paper was not right.
fn wrong_answers(report: &Report) -> Html {
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
    match told.is_empty() {
        true => Html::default(),
        false => p(format!(
            "Wrong answers, which were asked for again. {}.",
            told.join("; ")
        )),
    }
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
fn events(lines: &[Line]) -> Vec<Vec<Html>> {
    let runs = lines.chunk_by(|a, b| a.name == b.name);
    let row = |run: &[Line]| {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let numbers = match run.len() {
            1 => first.number.to_string(),
            _ => format!("{} to {}", first.number, last.number),
        };
        let at = first.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let times = if run.len() == 1 {
            String::new()
        } else {
            run.len().to_string()
        };
        vec![numbers.into(), at.into(), code(&first.name), times.into()]
    };
    runs.map(row).collect()
}

/// The order of events, and every file of the record that was written before this one.
pub(super) fn files(report: &Report) -> Sheet {
    let rows = report.events::<Output>().map(|output| {
        vec![
            code(&output.path),
            output.bytes.to_string().into(),
            groups(&output.sha256),
        ]
    });
    Sheet::new("order of events, files")
        .with_long([
            tag("h1", "What happened, in order"),
            p("Line numbers are those of transcript.jsonl."),
            table(
                "table.list",
                &["lines", "time (UTC)", "event", "times"],
                events(report.lines),
            ),
        ])
        .with_long([
            tag("h1", "Files of the record"),
            p("SHA-256 of each, as the transcript names them. transcript.jsonl is named by the head digest alone."),
            table(
                "table.list",
                &["path", "bytes", "SHA-256"],
                rows.collect(),
            ),
        ])
}
