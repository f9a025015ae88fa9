//! The blank rows for the head digest: filled in by hand when the transcript is sealed.

use super::{Html, p, tag};
use crate::html::{Sheet, line, rows_to_fill, short_line};
use crate::plan::Plan;

pub(super) fn sheet(plan: &Plan, rehearsal: bool) -> Sheet {
    let practice = match rehearsal {
        true => p("REHEARSAL: practise it, then throw it away."),
        false => Html::default(),
    };
    let places: Html = plan
        .witness_places()
        .iter()
        .map(|who| witness(who))
        .collect();
    Sheet::new("head digest, filled in by hand")
        .with([
            tag("h1", "Head digest of the transcript"),
            practice,
            p("The last screen of the ceremony shows it in 8 rows; they are read aloud. It is the SHA-256 of \
                transcript.jsonl. Only this paper, kept apart from the record, says later that the record is \
                the real one."),
        ])
        .with(operator())
        .with([tag("h2", "Witnesses: rows 1 to 3, in your own hand")])
        .with(tag("div.two", places))
}

fn operator() -> Html {
    Html::from([
        tag("h2", "Whoever was at the keyboard: all 8 rows"),
        tag("div.two", [rows_to_fill(1..=4), rows_to_fill(5..=8)]),
        p([line("name"), line("signature"), short_line("date")]),
    ])
}

fn witness(who: &str) -> Html {
    tag(
        "div",
        [
            p(who),
            rows_to_fill(1..=3),
            p(line("name")),
            p(line("signature")),
            p([short_line("date"), short_line("time (UTC)")]),
        ],
    )
}
