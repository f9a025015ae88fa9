//! The head digest on paper, the days after, exception sheets, and the yearly check.

use super::{Script, does};
use crate::evidence::previous::Previous;
use crate::ground::error::Step;
use crate::paper::html::{
    Html, Sheet, code, commands, free, line, p, rows_to_fill, short_line, tag, tasks,
};
use crate::paper::outputs;
use crate::plan::{ImportPlan, KeyPlan};

/// Exceptions on one page.
const EXCEPTIONS_A_PAGE: usize = 3;

/// The head digest on paper: shown, read aloud and written down in step 13.
pub(super) fn head(script: &Script) -> Sheet {
    let seats = script.plan.witness_places();
    head_with(script.practice_box(), &seats, &script.record_name())
}

/// The same with what differs from ceremony to ceremony.
pub(super) fn head_with(practice: Html, seats: &[String], record: &str) -> Sheet {
    let (first, others) = match seats.split_first() {
        Some((first, others)) => (first.as_str(), others),
        None => ("witness", seats),
    };
    let signed = || p([line("name"), line("signature"), short_line("time (UTC)")]);
    Sheet::new("the paper")
        .with([
            tag("h1", "The paper: head digest of the transcript (step 13)"),
            practice,
            p("The operator reads it aloud from the last screen. One witness writes all 8 rows, every other \
                witness rows 1 to 3, each in their own hand; nobody copies from a neighbour. This page, kept \
                apart from every copy of the record, is what makes the record authentic later."),
            tag("h3", format!("All 8 rows, {first}")),
            tag("div.two", [rows_to_fill(1..=4), rows_to_fill(5..=8)]),
            signed(),
        ])
        .with(tag("div.two", others.iter().map(rows_of_one).collect::<Html>()))
        .with([
            p("Years later, where the record is:"),
            commands(&[format!("byok verify --head 'ROW1 ROW2 ROW3' {record}")]),
            p(["or ".into(), code("sha256sum transcript.jsonl"), " in it, and compare.".into()]),
        ])
}

/// The end of the room: its time, and everybody's signature.
pub(super) fn end(practice: Html, present: Vec<Vec<Html>>) -> Sheet {
    Sheet::new("the end").with_places(
        [
            tag("h1", "The end"),
            practice,
            p([short_line("The ceremony ended at (UTC)"), short_line("date")]),
            p("Everybody who is in the room signs: what happened is as this script and its exception sheets \
                say."),
        ],
        &["role", "name", "signature"],
        present,
    )
}

/// Places for one of the witnesses who write the first rows.
fn rows_of_one(who: &String) -> Html {
    tag(
        "div",
        [
            tag("h3", format!("Rows 1 to 3, {who}")),
            rows_to_fill(1..=3),
            p(line("name")),
            p(line("signature")),
            p(short_line("time (UTC)")),
        ],
    )
}

/// What a `destroy` takes away in its step 9.
pub(super) fn destroyed(script: &Script) -> Sheet {
    let dealt = script.previous.map_or(&[][..], Previous::shares_in_use);
    let mut rows: Vec<Vec<Html>> = dealt
        .iter()
        .map(|share| vec![format!("form of share {}, {}", share.number, share.custodian).into()])
        .collect();
    if rows.is_empty() {
        rows = vec![vec!["form of share".into()]; 8];
    }
    rows.extend((1..=3).map(|n| vec![format!("escrow package, place {n}").into()]));
    rows.push(vec![
        "copy of the package in each copy of the record".into(),
    ]);
    let replaced = script
        .previous
        .iter()
        .flat_map(|previous| previous.sets.iter().skip(1));
    rows.extend(replaced.map(|dealt| {
        let what = format!(
            "forms and packages of ceremony {}, which newer ones replaced",
            dealt.ceremony
        );
        vec![what.into()]
    }));
    Sheet::new("destroyed")
        .with_places(
            [
                tag("h1", "Destroyed (step 9)"),
                p("A data key lives on in its shares and packages until they are gone too. Each is destroyed \
                    before the eyes of a witness, or it is written here what happens to it instead."),
            ],
            &["what", "bag number, intact", "destroyed how", "seen by"],
            rows,
        )
}

/// From the import to the first receipts.
pub(super) fn next_days(script: &Script) -> Sheet {
    let mut sheet = Sheet::new("after the room").with(tag("h1", "After the room"));
    if script.imports() > 0 {
        sheet = the_import(script, sheet);
    }
    let kept = [
        "record, copy 1",
        "record, copy 2",
        "signed paper",
        "HSM",
        "PIN",
    ];
    let head = ["what", "place", "bag number", "since", "initials"];
    sheet
        .with([
            tag("h2", "T+1: receipt and copies"),
            tasks(day_after(script)),
        ])
        .with_places(
            tag("h2", "Where things are"),
            &head,
            kept.map(|what| vec![what.into()]).to_vec(),
        )
}

fn the_import(script: &Script, sheet: Sheet) -> Sheet {
    let row = |(key, import): (&KeyPlan, &ImportPlan)| {
        let name = format!("{} / {}", key.label, import.name);
        vec![free(&name), import.key_arn.region().into()]
    };
    let rows = script.plan.imports().map(row).collect();
    let head = [
        "import",
        "Region",
        "imported (UTC)",
        "import-result.json",
        "initials",
    ];
    let run = [
        code("bash import.sh"),
        format!(
            ", with what was carried out: {}. It runs every import in turn; running it again is safe.",
            outputs::carried_out(&script.plan.folders())
        )
        .into(),
    ];
    let todo = vec![
        does("Cloud operator", run),
        "KMS refuses one, or it is too late? Nothing is lost. The others are done; for that one a new \
            ceremony wraps again."
            .into(),
    ];
    sheet
        .with_places(
            [
                tag("h2", "T+24 h, at the latest: the import"),
                p([line("deadline on the last screen (UTC)")]),
                tasks(todo),
            ],
            &head,
            rows,
        )
        .with(the_rotation(script))
}

/// KMS encrypts with material that was added to other material only after a rotation.
fn the_rotation(script: &Script) -> Html {
    let arns = script.plan.rotated();
    if arns.is_empty() {
        return Html::default();
    }
    let rotate = arns.iter();
    let rotate: Vec<String> = rotate
        .map(|arn| format!("bash online.sh rotate --key {arn} --now"))
        .collect();
    let todo = vec![
        does(
            "Cloud operator",
            [
                "once it is imported, into every Region: ".into(),
                commands(&rotate),
            ],
        ),
        "The old material stays needed: a KMS key is Enabled only while all its materials are imported. Its \
            record is kept as this one is."
            .into(),
    ];
    Html::from([tag("h2", "Then: the rotation"), tasks(todo)])
}

fn day_after(script: &Script) -> Vec<Html> {
    let record = script.record_name();
    let receipt = commands(&[format!("byok receipt {record} import-result.json")]);
    let verify = commands(&[format!("byok verify --head 'ROWS 1-3' {record}")]);
    let mut todo = vec![
        does("Witness", ["for each copy this says authentic: ".into(), verify]),
        "Each copy, the signed paper and the package are in their places; bag numbers are compared.".into(),
        "This script and its exception sheets are filed with the paper, never with the record alone.".into(),
    ];
    if script.imports() > 0 {
        todo.insert(0, does("Operator", ["in each copy: ".into(), receipt]));
    }
    todo
}

/// Expected, happened, decided.
pub(super) fn exceptions(number: usize) -> Sheet {
    let first = (number - 1) * EXCEPTIONS_A_PAGE;
    let blocks = (1..=EXCEPTIONS_A_PAGE).map(|at| exception(first + at));
    Sheet::new(format!("exception sheet {number}"))
        .with([
            tag("h1", format!("Exception sheet {number}")),
            p("Whatever is not as this script says. The number of the step is that on the screen, 1 to 13. \
                Write first, then decide together, then go on."),
        ])
        .with_each(blocks)
}

fn exception(number: usize) -> Html {
    let places =
        ["expected", "happened", "decided"].map(|name| tag("tr", [tag("td", name), tag("td", "")]));
    tag(
        "div.box.thin.exception",
        [
            p([
                tag("b", format!("Exception {number}")),
                "  ".into(),
                short_line("step"),
                format!("of {} ", Step::COUNT).into(),
                short_line("time (UTC)"),
            ]),
            tag("table.facts.open", places),
            p([
                line("decided by"),
                short_line("initials"),
                tag("span.tick", ""),
                "in the transcript too".into(),
            ]),
        ],
    )
}

/// Once a year each custodian finds out whether the share can still be read.
pub(super) fn yearly(script: &Script) -> Sheet {
    let names = script.custodians().iter().enumerate();
    let rows = names.map(|(at, name)| vec![(at + 1).to_string().into(), name.into()]);
    Sheet::new("yearly share check")
        .with_places([
            tag("h1", "Yearly share check"),
            p("Each custodian alone, at an offline computer, with the record or a copy of it:"),
            commands(&[format!("byok share check --record {}", script.record_name())]),
            p([
                "The words are typed and wiped; byok says whose share it is, never what it says. One share \
                    alone opens nothing. Hardly more good shares than the threshold? New ones are dealt soon: "
                    .into(),
                code("byok plan --new-shares RECORD"),
                ".".into(),
            ]),
        ],
            &["share", "custodian", "year 1: date, initials", "bag after", "year 2: date, initials", "bag after"],
            rows.collect(),
        )
}
