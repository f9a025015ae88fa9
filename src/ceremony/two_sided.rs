//! The two-sided check: the wrapping keys in the room are those that the online side downloaded.
//!
//! Whoever could swap a parameters file on its way into the room would get every data key. So a
//! second person writes down, online, a digest over the parameter files; in the room three of its
//! rows, drawn after the files were read, are typed from that slip.

use super::wrong::{Asked, Wrong};
use crate::ceremony::operator::Operator;
use crate::ceremony::screens;
use crate::crypto::random;
use crate::evidence::previous::Previous;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest, ROWS, Unlisted};
use crate::plan::parameters::{Judged, files_digest};

/// How many rows are compared, and how often one row may be typed.
const DRAWN: usize = 3;
const TRIES: usize = 3;

const IN_PLAN: &str = "wrapping_key_sha256 in the plan";

/// Has a person type rows of the slip, unless the plan holds every wrapping key's digest. Notes, at
/// each import, how it was compared.
pub(super) fn compare(
    judged: &mut [Judged],
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<()> {
    if judged.iter().all(in_plan) {
        all_compared(judged, IN_PLAN);
        return Ok(());
    }
    let digest = files_digest(judged);
    let mut slip = Paper::slip("digest of the parameter files", Some(Instead::Key));
    slip.others = digests_of_keys(judged);
    let rows = drawn_rows()?;
    loop {
        operator.say(TAKE_THE_SLIP);
        match rows_match(&digest, &rows, &slip, operator, wrong)? {
            Answer::Rows => {
                let how = format!(
                    "rows {} of the parameter files' digest typed",
                    listed(&rows)
                );
                all_compared(judged, &how);
                return Ok(());
            }
            Answer::NotAsked => return Ok(()),
            Answer::Instead => {
                operator.say(
                    " Then the digests of the wrapping keys are compared. Type back to return.\n",
                );
                if keys_match(judged, operator, wrong)? {
                    return Ok(());
                }
                operator.say(&format!(
                    " Back to the digest over all parameter files: it begins again, at row {}.\n",
                    rows[0]
                ));
            }
        }
    }
}

const TAKE_THE_SLIP: &str = " Take the slip of the online side, with the digest over all parameter files.\n\
     \x20No such digest on it, only digests of wrapping keys? Type key.\n";

/// What can be typed in place of the first row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instead {
    /// Another digest on the slip is compared.
    Key,
    /// Back to the digest that is compared first.
    Back,
    /// There is no paper.
    None,
}

impl Instead {
    fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Back => "back",
            Self::None => "none",
        }
    }

    /// A later row can only be typed from the paper that the first one came from.
    fn is_possible(self, at: usize) -> bool {
        at == 0 || self == Self::Back
    }

    /// Going back loses nothing, and changing to the other digest can be undone; having no paper cannot.
    fn is_meant(self, operator: &mut dyn Operator) -> Result<bool> {
        if self != Self::None {
            return Ok(true);
        }
        let again = operator.ask(
            " No paper? Then nothing vouches for the previous record, and the transcript\n \
             says so. Type none again to confirm, Enter to type the row: ",
        )?;
        Ok(again.is_none_or(|again| again.eq_ignore_ascii_case(self.word())))
    }
}

/// A paper with a digest on it, and what it means if its rows differ.
struct Paper<'a> {
    /// What the digest on it is called.
    digest: &'a str,
    name: &'static str,
    asked: fn(usize) -> Asked,
    instead: Option<Instead>,
    /// The other digests on the same paper, and what each is of.
    others: Vec<(Digest, String)>,
    check: &'static str,
    hints: [&'static str; 2],
}

impl<'a> Paper<'a> {
    /// The slip that a second person signed on the online side.
    fn slip(digest: &'a str, instead: Option<Instead>) -> Self {
        Self {
            digest,
            name: "the slip",
            asked: Asked::Slip,
            instead,
            others: Vec::new(),
            check: "TWO-SIDED",
            hints: [
                "is it the wrong slip, such as last year's? Then bring the right one, and run the same plan again",
                "if it is the right one, these files were changed on their way: find out how; then download new import parameters with a new slip",
            ],
        }
    }

    /// What the witnesses of the earlier ceremony wrote down and signed.
    fn head() -> Self {
        Self {
            digest: "head digest of the previous record",
            name: "the paper",
            asked: Asked::PreviousHead,
            instead: Some(Instead::None),
            others: Vec::new(),
            check: "PREVIOUS-HEAD",
            hints: [
                "compare the ceremony's date and place on the paper with the record: is it the paper of this record?",
                "if it is, the record was changed or replaced after that ceremony: take another copy of it, and find out who had this one",
            ],
        }
    }

    /// Which digest a row is of that was typed instead, if it is on the same paper.
    fn other_row(&self, typed: &str, digest: &Digest, row: usize) -> Option<String> {
        let mut rows = (1..=ROWS).filter(|other| *other != row);
        if let Some(other) = rows.find(|other| words::is_row(typed, digest, *other)) {
            return Some(format!(
                "That is row {other} of this digest. Type row {row}."
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
    previous: &Previous,
    operator: &mut dyn Operator,
    wrong: Wrong,
) -> Result<bool> {
    let which = format!(
        "Take the paper with the head digest of the previous record: {:?}, sealed {}.",
        previous.title,
        clock::for_people(previous.sealed)
    );
    operator.say(&screens::fold(&which, " "));
    operator.say(
        " Without that paper type none; the transcript will say that nothing vouches for\n \
         that record.\n",
    );
    match rows_match(&previous.head, &[1, 2, 3], &Paper::head(), operator, wrong)? {
        Answer::Rows => Ok(true),
        Answer::Instead | Answer::NotAsked => Ok(false),
    }
}

fn all_compared(judged: &mut [Judged], how: &str) {
    for judged in judged {
        how.clone_into(&mut judged.compared);
    }
}

fn in_plan(judged: &Judged) -> bool {
    judged.import.wrapping_key_sha256.is_some()
}

fn of_key(judged: &Judged) -> String {
    format!("digest of the wrapping key for {}", judged.name())
}

fn digests_of_keys(judged: &[Judged]) -> Vec<(Digest, String)> {
    judged
        .iter()
        .map(|judged| (judged.wrapping_key_sha256(), of_key(judged)))
        .collect()
}

/// `false`: back to the digest of the parameter files.
fn keys_match(judged: &mut [Judged], operator: &mut dyn Operator, wrong: Wrong) -> Result<bool> {
    let mut others = digests_of_keys(judged);
    others.push((
        files_digest(judged),
        "digest of the parameter files".to_owned(),
    ));
    for judged in judged {
        if in_plan(judged) {
            IN_PLAN.clone_into(&mut judged.compared);
            continue;
        }
        let rows = drawn_rows()?;
        let of = of_key(judged);
        let digest = judged.wrapping_key_sha256();
        let mut slip = Paper::slip(&of, Some(Instead::Back));
        slip.others = others
            .iter()
            .filter(|(other, _)| *other != digest)
            .cloned()
            .collect();
        if let Answer::Instead = rows_match(&digest, &rows, &slip, operator, wrong)? {
            return Ok(false);
        }
        judged.compared = format!("rows {} of the wrapping key's digest typed", listed(&rows));
    }
    Ok(true)
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
            let instead = paper.instead;
            let instead = instead.filter(|word| word.word().eq_ignore_ascii_case(&answer));
            if let Some(instead) = instead {
                if !instead.is_possible(at) {
                    operator.say(&too_late(instead, rows));
                } else if instead.is_meant(operator)? {
                    return Ok(Answer::Instead);
                }
                continue;
            }
            if words::is_row(&answer, digest, *row) {
                break;
            }
            if !words::looks_like_row(&answer) {
                operator.say(&screens::fold(&no_row(&answer), " "));
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

/// What is said to a text that is not a row; if it has four words, with the one that was misspelt.
fn no_row(typed: &str) -> String {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let why = match (words.len(), words::first_unlisted(typed)) {
        (4, Some((at, Unlisted::Unknown))) => {
            format!("'{}' is not in the word list (word {at}).", words[at - 1])
        }
        (4, Some((at, Unlisted::Misplaced))) => format!(
            "'{}' never comes at that place in a row (word {at}): is the order right?",
            words[at - 1]
        ),
        _ => "A row is 8 hex digits or 4 words. This was neither;".to_owned(),
    };
    let end = if why.ends_with(';') { "it" } else { "It" };
    format!("{why} {end} is not counted.")
}

/// A word that would have been understood in place of the first row.
fn too_late(instead: Instead, rows: &[usize]) -> String {
    let word = instead.word();
    let told = format!(
        "{word} is no longer possible: row {} was taken from this paper. Ctrl-C ends the ceremony.",
        rows[0]
    );
    screens::fold(&told, " ")
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
            other.contains("row 5 of this digest. Type row 1"),
            "{other}"
        );
    }

    #[test]
    fn a_misspelt_word_of_a_row_is_named_with_its_place() {
        for (typed, said) in [
            (
                "flytrap liberty local insincere",
                "'local' is not in the word list (word 3). It is",
            ),
            (
                "liberty flytrap quota insincere",
                "'liberty' never comes at that place in a row (word 1)",
            ),
            (
                "flytrap liberty quota",
                "8 hex digits or 4 words. This was neither; it is not",
            ),
            ("6487 9f7", "This was neither"),
        ] {
            assert!(no_row(typed).contains(said), "{}", no_row(typed));
        }
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
