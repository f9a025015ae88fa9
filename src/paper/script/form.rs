//! Share forms: a page for each custodian, empty but for what is no secret.

use super::Script;
use crate::crypto::escrow::package;
use crate::paper::html::{Document, Html, Sheet, boxes, code, groups, line, p, short_line, tag};
use crate::plan::{EscrowPlan, KeyPlan};

/// What shares do, and what not even all of them do.
const TOGETHER: &str = "Together they restore the KMS key's material; they cannot decrypt AWS ciphertext by \
    themselves. One share alone opens nothing.";

/// Words of a share.
const WORDS: usize = 33;

/// With at most this many data keys the package can be copied by hand.
const BY_HAND: usize = 2;

/// The most KMS keys that are named on a form, and the most data keys beyond [`BY_HAND`].
const NAMED: usize = 12;
const NAMED_OF_TWO: usize = 5;
const LABELS: usize = 12;

pub(super) fn add_all(script: &Script, document: &mut Document) {
    let Some(escrow) = &script.plan.escrow else {
        return;
    };
    for (at, custodian) in escrow.custodians.iter().enumerate() {
        document.add(form(script, escrow, at + 1, custodian));
    }
}

fn form(script: &Script, escrow: &EscrowPlan, number: usize, custodian: &str) -> Sheet {
    let count = escrow.custodians.len();
    let keys = &script.plan.keys;
    let name = format!("form {number} of {count}, {custodian}");
    let mut sheet = Sheet::new(name).with([
        tag("h1", format!("Share {number} of {count}: {custodian}")),
        p([
            match script.practice {
                true => tag("b", "PRACTICE: never write a real share on this form. "),
                false => Html::default(),
            },
            tag(
                "b",
                format!(
                    "Any {} of the {count} shares, with the escrow package, are enough. \
                    ",
                    escrow.threshold
                ),
            ),
            TOGETHER.into(),
        ]),
        words(),
        labelled("ceremony id", boxes(8, 4)),
    ]);
    sheet = match keys.len() {
        0..=BY_HAND => sheet.with_each(keys.iter().map(|key| data_key(script, key))),
        _ => sheet.with(labels(keys)),
    };
    sheet = sheet
        .with(places())
        .with(emergency(&format!("{} custodians", escrow.threshold)));
    if keys.len() <= BY_HAND {
        sheet = sheet.with_each(keys.iter().filter_map(by_hand));
    }
    if !keys.iter().all(can_be_typed) {
        sheet = sheet.with(package_digest());
    }
    sheet
}

/// 33 numbered boxes, in the order of the screen: three columns of eleven.
fn words() -> Html {
    let word = |number: usize| tag("div", [tag("b", number.to_string()), "".into()]);
    tag("div.words", (1..=WORDS).map(word).collect::<Html>())
}

fn data_key(script: &Script, key: &KeyPlan) -> Html {
    let (kcv, fingerprint) = script.known(&key.label);
    let kcv = match (kcv, key.spec.has_kcv()) {
        (Some(kcv), _) => Html::from(["KCV ".into(), code(&kcv)]),
        (None, true) => Html::from(["KCV ".into(), boxes(1, 6)]),
        (None, false) => Html::default(),
    };
    let bits = key.spec.bits().map(|bits| format!("{bits} bits. "));
    let fingerprint = fingerprint.map_or_else(
        || fingerprint_boxes(key.spec.fingerprint_len()),
        |hex| groups(&hex),
    );
    tag(
        "div.key",
        [
            labelled(
                "data key",
                [
                    tag("b", &key.label),
                    format!(", {}. {}", key.spec.name(), bits.unwrap_or_default()).into(),
                    kcv,
                ],
            ),
            labelled("fingerprint", fingerprint),
            arns(
                key,
                if script.plan.keys.len() == 1 {
                    NAMED
                } else {
                    NAMED_OF_TWO
                },
            ),
        ],
    )
}

/// Places for so many bytes, 16 on a line.
fn fingerprint_boxes(bytes: usize) -> Html {
    let groups = bytes / 4; // of 8 digits
    let line = |at: usize| tag("div", boxes((groups - at * 4).min(4), 8));
    (0..groups.div_ceil(4)).map(line).collect()
}

/// A name and what is filled in beside it.
fn labelled(name: &'static str, value: impl Into<Html>) -> Html {
    tag("div.labelled", [tag("div", name), tag("div", value)])
}

fn arns(key: &KeyPlan, most: usize) -> Html {
    let named = key.imports.iter().take(most);
    let mut lines: Vec<Html> = named
        .map(|import| tag("div.arn", code(import.key_arn.as_str())))
        .collect();
    if let Some(more) = key.imports.len().checked_sub(most).filter(|more| *more > 0) {
        lines.push(tag(
            "div.arn",
            format!("and {more} more KMS keys, named in the report"),
        ));
    }
    lines.into()
}

/// Many data keys: their check values stand on the package page.
fn labels(keys: &[KeyPlan]) -> Html {
    let named: Vec<&str> = keys
        .iter()
        .take(LABELS)
        .map(|key| key.label.as_str())
        .collect();
    let more = match keys.len().saturating_sub(LABELS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let arns = keys.iter().flat_map(|key| &key.imports).take(NAMED);
    let arns = arns.map(|import| tag("div.arn", code(import.key_arn.as_str())));
    Html::from([
        p([
            format!("{} data keys: ", keys.len()).into(),
            tag("b", format!("{}{more}", named.join(", "))),
            ". The check values of each stand on the package page; every KMS key stands in the report.".into(),
        ]),
        arns.collect(),
    ])
}

fn places() -> Html {
    Html::from([
        tag(
            "div.three",
            ["The package is kept at 1", "2", "3"].map(|at| tag("div", at)),
        ),
        p([
            short_line("date"),
            line("signature"),
            short_line("bag number"),
        ]),
        tag(
            "div.box.staple",
            "Staple the package page here: page \"escrow package\" of transcript.html. No printer: copy it from \
                package.txt, below or on a page of its own. Without it this share opens nothing.",
        ),
    ])
}

fn emergency(quorum: &str) -> Html {
    let text = format!(
        "Never photograph, copy or read out the words; type them nowhere but at byok in a ceremony or a \
            share check. Seen by somebody, lost, or the bag is open: tell the security officer at once; new \
            shares are dealt, and all old forms destroyed. KMS key or HSM lost: bring this form, unopened; \
            {quorum} and the package bring the data key back (byok plan --recover RECORD). Without \
            byok: the words are SLIP-0039, without a passphrase."
    );
    tag(
        "div.box.thin.small",
        [
            tag("b", "In an emergency"),
            " call the security officer: ".into(),
            tag("span.line", ""),
            Html::fixed("<br>"),
            text.into(),
        ],
    )
}

/// A form for whatever share: everything is filled in by hand.
pub(super) fn blank() -> Sheet {
    Sheet::new("share form")
        .with([
            p([
                tag("b", "Share "),
                short_line("number"),
                short_line("of"),
                line("custodian"),
            ]),
            p([
                tag("b", "With the escrow package, so many shares are enough: "),
                short_line("threshold"),
                TOGETHER.into(),
            ]),
            words(),
            labelled("ceremony id", boxes(8, 4)),
            labelled(
                "data key",
                [
                    line("label"),
                    short_line("spec"),
                    "KCV ".into(),
                    boxes(1, 6),
                ],
            ),
            labelled(
                "fingerprint",
                [tag("div", boxes(4, 8)), tag("div", boxes(4, 8))],
            ),
            labelled("KMS key", line("ARN")),
        ])
        .with(places())
        .with(emergency("as many custodians as the threshold says"))
        .with_each([rows_by_hand("a data key of 32 bytes", 40)])
}

fn can_be_typed(key: &KeyPlan) -> bool {
    package::can_be_typed(key.spec)
}

fn by_hand(key: &KeyPlan) -> Option<Html> {
    let wrapped = key
        .spec
        .secret_len()
        .map(crate::crypto::wrapping::kwp_len)?;
    can_be_typed(key).then(|| rows_by_hand(&key.label, wrapped))
}

/// What is too long to be copied comes from a file, which this tells from others.
fn package_digest() -> Html {
    Html::from([
        tag(
            "h3",
            "The package is a file, too long to copy by hand: SHA-256 of escrow-package.json",
        ),
        fingerprint_boxes(32),
    ])
}

/// Rows of the shape of package.txt.
fn rows_by_hand(what: &str, wrapped: usize) -> Html {
    let row = |number: usize| {
        let digits = tag("td", [boxes(2, 8), "check ".into(), boxes(1, 4)]);
        tag("tr", [tag("td.n", format!("row {number}")), digits])
    };
    let rows = (1..=package::row_count(wrapped)).map(row);
    Html::from([
        tag(
            "h3",
            format!("The package by hand: {what}, {wrapped} bytes, as in package.txt"),
        ),
        tag("table.rows", rows.collect::<Html>()),
    ])
}
