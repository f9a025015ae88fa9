//! A head digest from paper.

use crate::ground::words::{self, Digest};

/// What stands for rows from paper in a command that is shown before they are known. The pages have the same.
pub(crate) const FROM_PAPER: &str = "'ROW1 ROW2 ROW3'";

/// What people type in its place.
pub(crate) const TYPE_ROWS: &str = "type ROW1 to ROW3 from the paper, 8 hex digits each";

/// What to do if a record has another head: nobody can tell a slip of the finger from another record.
pub(crate) const ANOTHER_HEAD: [&str; 2] = [
    "compare it with the paper again, row by row: a mistyped digit looks exactly like this",
    "if it agrees with the paper, the paper is for another record, or this one was changed: take another copy",
];

/// A head digest from paper: all of it, or at least its first three rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor(String);

/// Why a text is not a head digest.
fn refused(text: &str) -> String {
    let mut kinds = [false; 2]; // hex, words
    for word in text.split_whitespace() {
        let is_hex = word.chars().all(|c| c.is_ascii_hexdigit());
        kinds[usize::from(!is_hex)] |= is_hex || words::is_listed(word);
    }
    match kinds {
        [true, true] => "these are hex digits and words, mixed: give every row in hex, or every row in words",
        _ => {
            "a head digest is 64 hex digits, or at least its first three rows: 24 digits, or their 12 words in order"
        }
    }
    .into()
}

impl Anchor {
    /// Reads 24 to 64 hex digits, spaces allowed, or the words of those rows.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits: String = text
            .split_whitespace()
            .collect::<String>()
            .to_ascii_lowercase();
        let digits = words::hex_of_words(text).unwrap_or(digits);
        if !(24..=64).contains(&digits.len()) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(refused(text));
        }
        Ok(Self(digits))
    }

    /// A complete head digest, such as a later record names.
    pub(crate) fn whole(head: &Digest) -> Self {
        Self(words::hex(head))
    }

    /// The known hex digits, 24 to 64.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Whether a head, in hex, begins with it.
    pub(crate) fn begins(&self, head: &str) -> bool {
        head.starts_with(&self.0)
    }

    /// The rows that differ, each as given and as in this head, if others are the same.
    pub(crate) fn differing(&self, head: &str) -> Option<String> {
        let rows = (0..self.0.len()).step_by(8).map(|at| {
            let end = self.0.len().min(at + 8);
            (at / 8 + 1, &self.0[at..end], &head[at..end])
        });
        let of_all = rows.clone().count();
        let differ: Vec<_> = rows.filter(|(_, given, is)| given != is).collect();
        let listed = |told: &dyn Fn(&(usize, &str, &str)) -> String| {
            differ.iter().map(told).collect::<Vec<_>>().join(", ")
        };
        let numbers = listed(&|(number, ..)| number.to_string());
        let shown = listed(&|(_, given, is)| format!("{} given, {} here", pair(given), pair(is)));
        match differ.len() {
            n if n == of_all => None,
            1 => Some(format!("only row {numbers} differs: {shown}")),
            _ => Some(format!("rows {numbers} differ: {shown}")),
        }
    }
}

/// The digits of a row as people see them.
fn pair(digits: &str) -> String {
    match digits.split_at_checked(4) {
        Some((left, right)) if !right.is_empty() => format!("{left} {right}"),
        _ => digits.to_owned(),
    }
}
