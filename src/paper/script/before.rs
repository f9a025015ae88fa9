//! Before the room: the calendar, the slip of the online side, the paper of the record before.

use std::path::Path;

use super::{Script, does};
use crate::crypto::sshsig::parse_fingerprint;
use crate::evidence::previous::Previous;
use crate::ground::words;
use crate::paper::html::{
    Html, Sheet, code, commands, line, p, rows, rows_to_compare, rows_to_fill, short_line, tag,
    tasks,
};
use crate::plan::kms::aws;
use crate::plan::{ImportPlan, Kind};

/// How many empty lines there are for shares that nothing is known of.
const UNKNOWN_SHARES: usize = 8;

/// How much of the transcript signer's digest is compared: rows 1 to 3, as step 4 shows them.
const SIGNER_DIGITS: usize = 3 * 8;

/// When what is done, from a week before to a year after.
pub(super) fn calendar(script: &Script) -> Sheet {
    let mut sheet = Sheet::new("calendar").with([
        tag("h1", "Calendar"),
        p("T-0 is the day in the room. Write the dates in."),
    ]);
    let mut days = vec![(
        "T-7",
        "a week before: rehearse and print",
        week_before(script),
    )];
    if script.imports() > 0 {
        days.push((
            "T-1",
            "at most 24 hours before the import: parameters and slip",
            day_before(),
        ));
    }
    days.push(("T-0", "the room", the_room(script)));
    if script.imports() > 0 {
        days.push(("T+24 h", "the import, at the latest", the_import()));
    }
    days.push((
        "T+1",
        "the day after: receipt and copies",
        day_after(script),
    ));
    if script.plan.kind != Kind::Destroy {
        days.push(("yearly", "shares and copies", every_year(script)));
    }
    for (when, what, todo) in days {
        sheet = sheet.with([
            tag(
                "h2",
                [
                    format!("{when}, {what}: ").into(),
                    tag("span.line.short", ""),
                ],
            ),
            tasks(todo),
        ]);
    }
    sheet
}

fn week_before(script: &Script) -> Vec<Html> {
    let plan = script.plan_name();
    vec![
        does(
            "Operator",
            [
                code(&format!("byok check {plan}")),
                ": every line says ok, WARNING (read each) or not yet.".into(),
            ],
        ),
        does(
            "Operator",
            [
                code(&format!("byok doctor {plan}")),
                ": this HSM can do what the plan asks.".into(),
            ],
        ),
        does(
            "Everybody",
            [
                "practise, with a script printed with --practice: ".into(),
                code(&format!("byok rehearse {plan}")),
            ],
        ),
        does(
            "Operator",
            [
                "prints this script and has a second person compare the digest on page 1 with "
                    .into(),
                code(&format!("sha256sum {plan}")),
            ],
        ),
        "Room, people, deputies and bags are booked; the HSM's PIN is known to work.".into(),
    ]
}

fn day_before() -> Vec<Html> {
    vec![
        does(
            "Cloud operator",
            "downloads the import parameters of each KMS key into the folder inputs, nothing else in it. \
                They serve 24 hours: the import must be over by then.",
        ),
        does(
            "Second person",
            "watches the download, fills in and signs the slip (next page), and keeps it.",
        ),
        does(
            "Cloud operator",
            "copies the folder inputs to a new stick and closes it into a bag.",
        ),
        does(
            "Operator",
            "checks the date and the batteries of the offline computer.",
        ),
    ]
}

fn the_room(script: &Script) -> Vec<Html> {
    vec![
        format!(
            "The steps of this script, about {} minutes. Nobody leaves before step 13 is done.",
            super::steps::in_the_room(script)
        )
        .into(),
    ]
}

fn the_import() -> Vec<Html> {
    vec![
        Html::from(["The deadline stands on the last screen: ".into(), tag("span.line", ""), " UTC".into()]),
        does("Cloud operator", [code("bash import.sh"), ", with nothing but the stick; it checks the files, \
            the deadline and the account.".into()]),
        does("Cloud operator", "brings back import-result.json, one for each import."),
        "Missed or refused? Nothing is lost: new import parameters, and a ceremony that wraps again.".into(),
    ]
}

fn day_after(script: &Script) -> Vec<Html> {
    let record = script.record_name();
    let mut todo = Vec::new();
    if script.imports() > 0 {
        todo.push(does(
            "Operator",
            [
                "in each copy: ".into(),
                commands(&[format!("byok receipt {record} import-result.json")]),
            ],
        ));
    }
    todo.push(does(
        "Witness",
        [
            "each copy, against the signed paper: ".into(),
            commands(&[format!("byok verify --head 'ROWS 1-3' {record}")]),
        ],
    ));
    todo.push("Copies, paper and bags are in their places, each in another one.".into());
    if script.plan.escrow.is_some() {
        todo.push(
            "The escrow package lies in three places; its printed page is stapled to each share \
            form."
                .into(),
        );
    }
    todo
}

fn every_year(script: &Script) -> Vec<Html> {
    let record = script.record_name();
    let mut todo = vec![does(
        "Witness",
        [
            "each copy is read whole: ".into(),
            commands(&[format!("byok verify --head 'ROWS 1-3' {record}")]),
        ],
    )];
    if script.plan.escrow.is_some() {
        todo.insert(
            0,
            does(
                "Each custodian",
                [
                    "alone at an offline computer (table near the end): ".into(),
                    commands(&[format!("byok share check --record {record}")]),
                ],
            ),
        );
    }
    todo.push("When does the material expire in KMS? The next ceremony is planned before.".into());
    todo
}

/// Filled in online by a second person.
pub(super) fn slip(script: &Script) -> Sheet {
    let in_tables = script.in_tables();
    let single = match in_tables {
        true => {
            "With so many imports it is this digest that is compared. Where the digest of single wrapping keys \
                is wanted, the slip that the online side prints has them all."
        }
        false => {
            "Where the digest of each wrapping key is compared instead (the console shows it, or the plan has \
                it as wrapping_key_sha256), it is written here:"
        }
    };
    let places = script.plan.imports().filter(|_| !in_tables);
    let each = places.map(|(key, import)| {
        Html::from([
            tag(
                "h3",
                format!("Wrapping key for {} / {}", key.label, import.name),
            ),
            tag("div.two", [rows_to_fill(1..=4), rows_to_fill(5..=8)]),
        ])
    });
    let command = aws::slip_command(&folder_of_parameters(script));
    let command: Vec<String> = command.lines().map(str::to_owned).collect();
    Sheet::new("slip of the online side")
        .with([
            tag("h1", "Slip of the online side"),
            p("Filled in by hand, online, by a second person who sees the download and trusts neither the \
                stick nor its carrier. It goes into the room in that person's pocket. In step 5 byok asks \
                for three of its rows."),
            tag("h2", "Digest over all parameter files"),
            p("On the computer that downloaded them, where online.sh showed its slip. sha256sum says OK for each \
                parameter file of this ceremony, and names no other:"),
            commands(&command),
            tag("div.two", [rows_to_fill(1..=4), rows_to_fill(5..=8)]),
            p([line("name"), line("signature"), short_line("time (UTC)")]),
        ])
        .with(p(single))
        .with_each(each)
}

/// The folder that the plan's parameters lie in; online they all lie in one.
fn folder_of_parameters(script: &Script) -> String {
    let folder = |(_, import): (_, &ImportPlan)| {
        let name = import.parameters.parent()?.file_name()?;
        Some(words::shell_path(Path::new(name)))
    };
    let mut folders: Vec<_> = script.plan.imports().map(folder).collect();
    folders.dedup();
    match folders.as_slice() {
        [Some(one)] => one.clone(),
        _ => "inputs".to_owned(),
    }
}

/// The paper of the record that this ceremony builds on.
pub(super) fn record_before(script: &Script) -> Sheet {
    let known = match (script.previous, &script.plan.previous_head) {
        (Some(previous), _) => Html::from([
            p(
                "Head digest of the copy that was at hand when this script was printed. Compare it with the \
                    paper that the witnesses signed at that time; only that paper vouches for it.",
            ),
            rows_to_compare(&previous.head),
        ]),
        (None, Some(head)) => Html::from([
            p(
                "Head digest as it stands in the plan. Compare it with the paper that the witnesses signed \
                    at that time.",
            ),
            rows(head.digits()),
        ]),
        (None, None) => p(
            "The record was not at hand when this script was printed. Bring the paper that the witnesses \
                signed at that time.",
        ),
    };
    let ceremony = script.previous.map_or(Html::default(), |previous| {
        p(["Ceremony ".into(), code(&previous.ceremony)])
    });
    let typed = match script.plan.previous_head {
        Some(_) => p("The plan holds it; byok compares it by itself."),
        None => p(
            "In step 2 the operator types rows 1, 2 and 3 from the signed paper, not from this page.",
        ),
    };
    Sheet::new("the record before")
        .with([tag("h1", "The record before"), ceremony, known, typed])
        .with(script.previous.map_or_else(Html::default, signer_before))
        .with([
            p([line("compared by"), line("signature"), short_line("date")]),
            p("One person reads the signed paper aloud, another compares this page: eight hex digits or four \
                words a row."),
        ])
}

/// Whose signature the record before has, for step 4.
fn signer_before(previous: &Previous) -> Html {
    let Some(signer) = &previous.signer else {
        return Html::default();
    };
    let digits = parse_fingerprint(&signer.fingerprint).map(|digest| words::hex(&digest));
    Html::from([
        tag("h2", "Transcript signer of that record (step 4)"),
        p(code(&signer.fingerprint)),
        digits.map_or_else(Html::default, |digits| rows(&digits[..SIGNER_DIGITS])),
        p(
            "Compare it with the signed paper too. In step 4 the same HSM shows the same fingerprint and rows; \
            another HSM has another signer.",
        ),
    ])
}

/// Who brings which share to a recovery.
pub(super) fn shares_brought(script: &Script) -> Sheet {
    let dealt = script.previous.map_or(&[][..], Previous::shares_in_use);
    let known = dealt
        .iter()
        .map(|share| vec![share.number.to_string().into(), (&share.custodian).into()]);
    let blank = vec![vec![Html::default(); 2]; UNKNOWN_SHARES];
    let rows: Vec<Vec<Html>> = if dealt.is_empty() {
        blank
    } else {
        known.collect()
    };
    Sheet::new("shares that are brought")
        .with_places(
            [
                tag("h1", "Shares that are brought"),
                p("Each custodian opens the own bag, types the own share in step 7 while the others turn \
                    away, and closes the form into a new bag. A share that does not fit the others is put \
                    aside and named in the transcript."),
            ],
            &["share", "custodian", "who brings it", "bag number, intact", "new bag number", "initials"],
            rows,
        )
}
