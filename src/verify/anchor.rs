//! A head digest from paper, and what is told where it is another one.

use crate::rules::{Broken, Rule};
use crate::strict_json::Json;
use crate::transcript::{self, Chain};
use crate::words::{self, Digest, ROWS};

/// A head digest from paper: all of it or at least its first three rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor(String);

impl Anchor {
    /// Reads 24 to 64 hex digits, spaces allowed, or the words of those rows.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits: String = text
            .split_whitespace()
            .collect::<String>()
            .to_ascii_lowercase();
        let digits = words::hex_of_words(text).unwrap_or(digits);
        if !(24..=64).contains(&digits.len()) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(
                "a head digest is 64 hex digits, or at least its first three rows: 24 digits, or their 12 words in order"
                    .into(),
            );
        }
        Ok(Self(digits))
    }

    /// All of a head digest, such as a later record names.
    pub fn whole(head: &Digest) -> Self {
        Self(words::hex(head))
    }

    /// The hex digits that are known of it, 24 to 64.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Whether it is the head of this transcript.
    pub(super) fn fits(&self, chain: &Chain) -> Result<(), Broken> {
        let head = words::hex(&chain.head);
        if head.starts_with(&self.0) {
            return Ok(());
        }
        let given = &self.0;
        let more = self.differing(&head).or_else(|| self.known_as(chain));
        let more = more.map(|more| format!("; {more}")).unwrap_or_default();
        let why = format!("its head is {head}, not the one given: {given}{more}");
        Err(Broken::new(Rule::Head, why).within(transcript::FILE))
    }

    /// Which rows differ, where others are the same: a mistyped digit.
    fn differing(&self, head: &str) -> Option<String> {
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

    /// What else in the transcript has this digest: people copy a digest from the wrong place.
    fn known_as(&self, chain: &Chain) -> Option<String> {
        let named = |line: &transcript::Line| {
            let name = member_with(&line.json, &self.0, "")?;
            Some(format!(
                "it is another digest: {} in line {}",
                words::quoted(&name),
                line.number
            ))
        };
        chain.lines.iter().find_map(named)
    }
}

/// The name of the member that begins with these digits.
fn member_with(json: &Json, digits: &str, name: &str) -> Option<String> {
    match json {
        Json::String(text) if text.len() == 64 && text.starts_with(digits) => {
            Some(name.to_owned()).filter(|name| name != "prev")
        }
        Json::Array(items) => items
            .iter()
            .find_map(|item| member_with(item, digits, name)),
        Json::Object(members) => members
            .iter()
            .find_map(|(name, value)| member_with(value, digits, name)),
        _ => None,
    }
}
