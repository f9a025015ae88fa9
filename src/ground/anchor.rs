//! A head digest from paper.

use crate::ground::words::{self, Digest, ROWS};

/// What stands for rows from paper in a command that is shown before they are known. The pages have the same.
pub(crate) const FROM_PAPER: &str = "'ROW1 ROW2 ROW3'";

/// What people type in its place.
pub(crate) const TYPE_ROWS: &str = "type ROW1 to ROW3 from the paper, 8 hex digits each";

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

    /// The rows that differ, if others are the same: a digit was mistyped.
    pub(crate) fn differing(&self, head: &str) -> Option<String> {
        let rows = || (0..ROWS).filter(|row| row * 8 < self.0.len());
        let is_same = |row: &usize| {
            let end = (row * 8 + 8).min(self.0.len());
            self.0[row * 8..end] == head[row * 8..end]
        };
        let differ: Vec<String> = rows()
            .filter(|row| !is_same(row))
            .map(|row| (row + 1).to_string())
            .collect();
        match (differ.len(), rows().any(|row| is_same(&row))) {
            (_, false) => None,
            (1, true) => Some(format!("only row {} differs", differ[0])),
            (_, true) => Some(format!("rows {} differ", differ.join(", "))),
        }
    }
}
