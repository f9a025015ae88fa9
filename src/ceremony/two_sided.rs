//! The two-sided check: the wrapping keys in the room are those that the online side downloaded.
//!
//! Whoever could swap a parameters file on its way into the room would get every data key. So a
//! second person writes down, online, a digest over the parameter files; in the room three of its
//! rows, drawn after the files were read, are typed from that slip.

use super::parameters::{Judged, files_digest};
use super::wrong::{Asked, Wrong};
use crate::error::{Error, Result};
use crate::kms::aws::ImportParameters;
use crate::operator::Operator;
use crate::plan::{ImportPlan, Plan};
use crate::random;
use crate::screens;
use crate::words::{self, Digest, ROWS};

/// How many rows are compared, and how often one row may be typed.
const DRAWN: usize = 3;
const TRIES: usize = 3;

/// `wrapping_key_sha256`, where the plan gives it.
pub(super) fn key_of_the_slip(import: &ImportPlan, read: &ImportParameters) -> Result<()> {
    match import.wrapping_key_sha256 {
        Some(slip) if slip != read.wrapping_key.sha256() => Err(Error::mismatch(format!(
            "the wrapping key's SHA-256 is {}, wrapping_key_sha256 in the plan is {}",
            words::hex(&read.wrapping_key.sha256()),
            words::hex(&slip)
        ))
        .check("WRAPPING-KEY-MATCH")
        .hint("this is not the wrapping key that the online side saw: STOP, and find out who had these files")),
        _ => Ok(()),
    }
}

/// Has a person type rows of the slip, unless the plan holds every wrapping key's digest. Says, for
/// each import, how it was compared.
pub(super) fn compare(
    plan: &Plan,
    judged: &[Judged],
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<Vec<String>> {
    let in_plan = "wrapping_key_sha256 in the plan".to_owned();
    if plan
        .imports()
        .all(|(_, import)| import.wrapping_key_sha256.is_some())
    {
        return Ok(vec![in_plan; judged.len()]);
    }
    let digest = files_digest(judged);
    let slip = Paper::slip("digest of the parameter files", Some("key"));
    let intro = " Take the slip of the online side, with the digest over all parameter files.\n\
                 \x20No such digest on it, only digests of wrapping keys? Type key.\n";
    operator.say(intro);
    let rows = drawn_rows()?;
    match rows_match(&digest, &rows, &slip, operator, wrong)? {
        Answer::Rows => Ok(vec![
            format!(
                "rows {} of the parameter files' digest typed",
                listed(&rows)
            );
            judged.len()
        ]),
        Answer::NotAsked => Ok(vec!["not asked".to_owned(); judged.len()]),
        Answer::Instead => keys_match(plan, judged, operator, wrong),
    }
}

/// A paper with a digest on it, and what follows where its rows are others.
struct Paper<'a> {
    /// The digest on it, as it is called.
    digest: &'a str,
    name: &'static str,
    asked: fn(usize) -> Asked,
    /// What can be typed in place of the first row.
    instead: Option<&'static str>,
    check: &'static str,
    hints: [&'static str; 2],
}

impl<'a> Paper<'a> {
    /// The slip that a second person signed on the online side.
    fn slip(digest: &'a str, instead: Option<&'static str>) -> Self {
        Self {
            digest,
            name: "the slip",
            asked: Asked::Slip,
            instead,
            check: "TWO-SIDED",
            hints: [
                "either this is not the slip for these files, or they were changed on their way: find out which",
                "to start over, download new import parameters with a new slip",
            ],
        }
    }

    /// What the witnesses of the earlier ceremony wrote down and signed.
    fn head() -> Self {
        Self {
            digest: "head digest of the previous record",
            name: "the paper",
            asked: Asked::PreviousHead,
            instead: Some("none"),
            check: "PREVIOUS-HEAD",
            hints: [
                "compare the ceremony's date and place on the paper with the record: is it the paper of this record?",
                "if it is, the record was changed or replaced after that ceremony: take another copy of it, and find out who had this one",
            ],
        }
    }

    fn refused(&self, row: usize) -> Error {
        let Self { digest, name, .. } = self;
        let what = format!("row {row} of the {digest} is not what {name} says");
        let error = Error::mismatch(what).check(self.check);
        self.hints
            .iter()
            .fold(error, |error, hint| error.hint(*hint))
    }
}

enum Answer {
    Rows,
    Instead,
    NotAsked,
}

/// At a terminal the first three rows of the previous record's head are typed from the paper that the
/// witnesses signed, unless the plan holds them. `None`: there is no paper at hand.
pub(super) fn previous_head(
    head: &Digest,
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<Option<String>> {
    operator.say(
        " Take the paper with the head digest of the previous record. Without that paper\n \
         type none; the transcript will say that nothing vouches for that record.\n",
    );
    match rows_match(head, &[1, 2, 3], &Paper::head(), operator, wrong)? {
        Answer::Rows => Ok(Some("rows 1, 2, 3 of the previous head typed".to_owned())),
        Answer::Instead | Answer::NotAsked => Ok(None),
    }
}

fn keys_match(
    plan: &Plan,
    judged: &[Judged],
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<Vec<String>> {
    let mut compared = Vec::with_capacity(judged.len());
    for ((key, import), judged) in plan.imports().zip(judged) {
        if import.wrapping_key_sha256.is_some() {
            compared.push("wrapping_key_sha256 in the plan".to_owned());
            continue;
        }
        let rows = drawn_rows()?;
        let of = format!(
            "digest of the wrapping key for {}/{}",
            key.label, import.name
        );
        let digest = judged.read.wrapping_key.sha256();
        rows_match(&digest, &rows, &Paper::slip(&of, None), operator, wrong)?;
        compared.push(format!(
            "rows {} of the wrapping key's digest typed",
            listed(&rows)
        ));
    }
    Ok(compared)
}

fn rows_match(
    digest: &Digest,
    rows: &[usize],
    paper: &Paper,
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<Answer> {
    for (at, row) in rows.iter().enumerate() {
        let mut typed = 0;
        loop {
            let question = screens::fold(
                &format!(
                    "Row {row} of the {} ({} of {}):",
                    paper.digest,
                    at + 1,
                    rows.len()
                ),
                " ",
            ) + "   8 hex digits or 4 words: ";
            let Some(answer) = operator.ask(&question)? else {
                return Ok(Answer::NotAsked);
            };
            if at == 0
                && paper
                    .instead
                    .is_some_and(|word| word.eq_ignore_ascii_case(&answer))
            {
                return Ok(Answer::Instead);
            }
            if words::is_row(&answer, digest, *row) {
                break;
            }
            if !words::looks_like_row(&answer) {
                operator.say(
                    " A row is 8 hex digits or 4 words. This was neither; it is not counted.\n",
                );
                continue;
            }
            wrong((paper.asked)(*row))?;
            typed += 1;
            if typed == TRIES {
                return Err(paper.refused(*row));
            }
            operator.say(&format!(
                " That is not row {row} of what was read here. Look at row {row} on the paper again.\n \
                 Tries left: {}.\n",
                TRIES - typed
            ));
        }
    }
    Ok(Answer::Rows)
}

/// Distinct row numbers, in order, drawn now: nobody could know them when the files were prepared.
fn drawn_rows() -> Result<Vec<usize>> {
    let mut rows: Vec<usize> = (1..=ROWS).collect();
    while rows.len() > DRAWN {
        let [byte] = random::array("rows")?;
        // Rejection keeps the draw even: 8-bit values below the largest multiple of the row count.
        let even = 256 - 256 % rows.len();
        if usize::from(byte) < even {
            rows.remove(usize::from(byte) % rows.len());
        }
    }
    Ok(rows)
}

fn listed(rows: &[usize]) -> String {
    rows.iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_different_rows_are_drawn_and_every_row_can_be() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let rows = drawn_rows().unwrap();
            assert_eq!(rows.len(), DRAWN);
            assert!(rows.is_sorted() && rows[0] != rows[1] && rows[1] != rows[2]);
            seen.extend(rows);
        }
        assert_eq!(seen.len(), ROWS);
    }
}
