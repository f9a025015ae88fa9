//! The two-sided check: the wrapping keys in the room are those that the online side downloaded.
//!
//! Whoever could swap a parameters file on its way into the room would get every data key. So a
//! second person writes down, online, a digest over the parameter files; in the room three of its
//! rows, drawn after the files were read, are typed from that slip.

use super::judged::{Judged, files_digest};
use super::wrong::{Asked, Wrong};
use crate::ceremony::operator::Operator;
use crate::ceremony::screens;
use crate::crypto::random;
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest, ROWS};
use crate::plan::kms::aws::ImportParameters;
use crate::plan::{ImportPlan, KeyPlan, Plan};

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
    let mut slip = Paper::slip("digest of the parameter files", Some("key"));
    slip.others = digests_of_keys(plan, judged);
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
    /// The other digests on the same paper, and what each is of.
    others: Vec<(Digest, String)>,
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
            others: Vec::new(),
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
            others: Vec::new(),
            check: "PREVIOUS-HEAD",
            hints: [
                "compare the ceremony's date and place on the paper with the record: is it the paper of this record?",
                "if it is, the record was changed or replaced after that ceremony: take another copy of it, and find out who had this one",
            ],
        }
    }

    /// Whose row was typed instead, where it stands on the same paper.
    fn other_row(&self, typed: &str, digest: &Digest, row: usize) -> Option<String> {
        let mut rows = (1..=ROWS).filter(|other| *other != row);
        if let Some(other) = rows.find(|other| words::is_row(typed, digest, *other)) {
            return Some(format!(
                "That is row {other} of this digest. Row {row} is asked for."
            ));
        }
        let of = |(other, of): &(Digest, String)| {
            let at = (1..=ROWS).find(|at| words::is_row(typed, other, *at))?;
            Some(format!(
                "That is row {at} of the {of}. Take the {}, row {row}.",
                self.digest
            ))
        };
        self.others.iter().find_map(of)
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
/// witnesses signed, unless the plan holds them. False: there is no paper at hand.
pub(super) fn previous_head(
    head: &Digest,
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<bool> {
    operator.say(
        " Take the paper with the head digest of the previous record. Without that paper\n \
         type none; the transcript will say that nothing vouches for that record.\n",
    );
    match rows_match(head, &[1, 2, 3], &Paper::head(), operator, wrong)? {
        Answer::Rows => Ok(true),
        Answer::Instead | Answer::NotAsked => Ok(false),
    }
}

fn of_key(key: &KeyPlan, import: &ImportPlan) -> String {
    format!(
        "digest of the wrapping key for {}/{}",
        key.label, import.name
    )
}

fn digests_of_keys(plan: &Plan, judged: &[Judged]) -> Vec<(Digest, String)> {
    let imports = plan.imports().zip(judged);
    imports
        .map(|((key, import), judged)| (judged.read.wrapping_key.sha256(), of_key(key, import)))
        .collect()
}

fn keys_match(
    plan: &Plan,
    judged: &[Judged],
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<Vec<String>> {
    let mut others = digests_of_keys(plan, judged);
    others.push((
        files_digest(judged),
        "digest of the parameter files".to_owned(),
    ));
    let mut compared = Vec::with_capacity(judged.len());
    for ((key, import), judged) in plan.imports().zip(judged) {
        if import.wrapping_key_sha256.is_some() {
            compared.push("wrapping_key_sha256 in the plan".to_owned());
            continue;
        }
        let rows = drawn_rows()?;
        let of = of_key(key, import);
        let digest = judged.read.wrapping_key.sha256();
        let mut slip = Paper::slip(&of, None);
        slip.others = others
            .iter()
            .filter(|(other, _)| *other != digest)
            .cloned()
            .collect();
        rows_match(&digest, &rows, &slip, operator, wrong)?;
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
            if let Some(other) = paper.other_row(&answer, digest, *row) {
                operator.say(&screens::fold(&(other + " It is not counted."), " "));
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
    fn a_row_of_another_digest_on_the_same_slip_is_named() {
        let mut slip = Paper::slip("digest of the parameter files", None);
        slip.others = vec![([2; 32], "digest of the wrapping key for a/b".to_owned())];
        let mut digest: Digest = [0; 32];
        digest[16] = 9; // row 5 differs
        let row = |of: &Digest, number: usize| words::hex(&of[(number - 1) * 4..number * 4]);
        let say = |typed: &str| slip.other_row(typed, &digest, 1);
        assert_eq!(say("ffff ffff"), None);
        let other = say(&row(&[2; 32], 1)).unwrap();
        assert!(
            other.contains("row 1 of the digest of the wrapping key for a/b"),
            "{other}"
        );
        let other = say(&row(&digest, 5)).unwrap();
        assert!(
            other.contains("row 5 of this digest. Row 1 is asked"),
            "{other}"
        );
    }

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
