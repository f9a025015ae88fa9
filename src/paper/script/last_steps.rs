//! What people do from the escrow on, steps 9 to 13.

use super::part::{Part, handing_out};
use super::{Script, does, minutes};
use crate::crypto::escrow::package;
use crate::paper::html::{Html, code, commands, places, tag};
use crate::paper::outputs;
use crate::plan::Deliver;

pub(super) fn escrow(script: &Script) -> Part {
    let Some(escrow) = &script.plan.escrow else {
        return Part::new(0, Vec::new());
    };
    let tasks = match &escrow.deliver {
        Deliver::Screen => vec![
            does("Custodian", "comes to the screen alone; everybody else turns away. No camera, no copy."),
            does("Custodian", format!(
                "writes all 33 words in BLOCK LETTERS on the own form (about {} minutes), then types them \
                    back from the paper (about {}).",
                minutes::WRITING,
                minutes::TYPING
            )),
            does("Custodian", "when byok says that all came back right: folds the form into its envelope. It \
                stays in sight until step 13."),
            "The ceremony ends early? These shares are void: all forms are destroyed before everybody's \
                eyes.".into(),
        ],
        Deliver::Files(directory) => vec![
            Html::from(["byok writes one file for each custodian into \
                ".into(), code(&script.relative(directory)), " and reads it back. Whoever has that folder \
                has a quorum.".into()]),
            does("Operator", "in step 13 moves each file to its custodian's stick, and erases the folder."),
        ],
    };
    let names = escrow.custodians.iter().enumerate();
    let rows = names.map(|(at, name)| vec![(at + 1).to_string().into(), name.into()]);
    Part::new(handing_out(script), tasks).and(places(
        &[
            "share",
            "custodian",
            "written",
            "came back right",
            "initials",
        ],
        rows.collect(),
    ))
}

pub(super) fn ticked_off() -> Part {
    Part::new(
        minutes::TICKED_OFF,
        vec![
            does(
                "Witness",
                "sees each share form and each copy of the package destroyed, and signs the page \"destroyed\".",
            ),
            does(
                "Operator",
                [
                    "types ".into(),
                    code("destroyed"),
                    " for each, or what happens to it instead; that is an exception.".into(),
                ],
            ),
        ],
    )
}

pub(super) fn prove() -> Part {
    Part::new(
        minutes::PROVE,
        vec![
            "Nothing to type. From what the custodians typed back, and nothing else, byok joins \
        the escrow key and opens the package; every share takes part."
                .into(),
        ],
    )
}

pub(super) fn outputs(script: &Script) -> Part {
    let text = format!(
        "Nothing to type. byok writes {} and the report, transcript.html.",
        match script.imports() {
            0 => "its files".to_owned(),
            1 => "the folder for the cloud operator".to_owned(),
            n => format!("{n} folders for the cloud operator"),
        }
    );
    Part::new(0, vec![text.into()])
}

pub(super) fn seal() -> Part {
    let text = "Nothing to type. byok writes the transcript's last line and gives the record its name. The head \
        digest is on the next screen.";
    Part::new(0, vec![text.into()])
}

/// The head digest, from the last screen to the page of its own.
fn head_digest(script: &Script) -> Vec<Html> {
    vec![
        does(
            "Operator",
            "reads all 8 rows of the head digest aloud from the screen, in words or hex.",
        ),
        does(
            script
                .plan
                .witnesses
                .first()
                .map_or("One witness", String::as_str),
            "writes all 8 rows on the page \"the paper\" by hand: three rows do not hold against a machine that \
                prepared two transcripts, all eight do.",
        ),
        does(
            "Every other witness",
            "writes rows 1 to 3 there by hand; each compares with the screen, and signs.",
        ),
        does(
            "Operator",
            "presses Enter when it is written: the next screen says what comes next.",
        ),
    ]
}

/// How the package gets to each form, with a printer or without.
fn printed_package(script: &Script) -> Html {
    let by_hand = match script
        .plan
        .keys
        .iter()
        .all(|key| package::can_be_typed(key.spec))
    {
        true => Html::from([
            "; no printer: the rows of ".into(),
            code(package::TEXT_FILE),
            " in the record are shown on the screen, and copied by hand onto the forms.".into(),
        ]),
        false => Html::from([
            "; no printer: the package is too long to copy by hand, so ".into(),
            code(package::JSON_FILE),
            " goes on a stick of its own into each bag, and its SHA-256 from ".into(),
            code(package::TEXT_FILE),
            " onto each form.".into(),
        ]),
    };
    Html::from([
        "prints the page \"escrow package\" of transcript.html, once for each form and place (a printer \
            without a network)"
            .into(),
        by_hand,
    ])
}

pub(super) fn next(script: &Script) -> Part {
    let (record, name) = (script.record(), script.record_name());
    let mut tasks = head_digest(script);
    tasks.push(does(
        "Operator",
        [
            "two sticks, each: ".into(),
            commands(&[
                format!("cp -r {record} /media/usb1; sync"),
                format!("byok verify --head 'ROWS 1-3' /media/usb1/{name}"),
            ]),
        ],
    ));
    if script.imports() > 0 {
        tasks.push(does(
            "Operator",
            [
                format!(
                    "for the cloud operator, on the third stick: {}. The deadline on the screen: ",
                    outputs::carried_out(&script.plan.folders())
                )
                .into(),
                tag("span.line", ""),
                " UTC".into(),
            ],
        ));
    }
    if script.plan.escrow.is_some() {
        tasks.push(does("Operator", printed_package(script)));
        tasks.push(does("Each custodian", "writes ceremony id, check values (the package's digest too, where \
            the form has places for it) and the package's places on the own form, from the report on the \
            screen; staples; closes the form into its bag; the number goes on the page \"who\"."));
        if script.by_quorum() {
            tasks.push("From now on only a quorum brings a sealed data key out again.".into());
        }
    }
    if script
        .previous
        .is_some_and(|previous| previous.in_use().is_some())
        && script.plan.escrow.is_some()
    {
        tasks.push(
            "The old share forms and every copy of the old package are destroyed: they still open \
            what they opened."
                .into(),
        );
    }
    for (_, path) in script.plan.source_files() {
        tasks.push(does("Operator and a witness", [
            "once both sticks are verified: remove ".into(),
            code(&script.relative(path)),
            " and every copy of it (a disk that can be wiped: shred -u; else destroy the medium). It holds a data \
                key in clear; byok never deletes it.".into(),
        ]));
    }
    tasks.push(does(
        "Everybody",
        "exception sheets are numbered and signed; empty ones are crossed out. HSM and PIN go back into \
            their bags. The time of the end and everybody's signature go on the page \"the end\".",
    ));
    Part::new(minutes::NEXT, tasks)
}
