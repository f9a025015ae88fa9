//! What to say if a record does not have the head digest from paper.

use crate::evidence::rules::{Broken, Rule};
use crate::evidence::transcript::{self, Chain};
use crate::ground::anchor::Anchor;
use crate::ground::strict_json::Json;
use crate::ground::words;

/// Whether the anchor is the head of this transcript.
///
/// # Errors
/// What the head is instead, and what else the digest may be.
pub(super) fn fits(anchor: &Anchor, chain: &Chain) -> Result<(), Broken> {
    let head = words::hex(&chain.head);
    if anchor.begins(&head) {
        return Ok(());
    }
    let given = anchor.digits();
    let more = anchor.differing(&head).or_else(|| known_as(given, chain));
    let more = more.unwrap_or_else(|| "no row agrees".to_owned());
    let why = format!("its head is {head}, not the one given: {given}; {more}");
    Err(Broken::new(Rule::Head, why).within(transcript::FILE))
}

/// What else in the transcript has this digest: people may have copied a digest from the wrong place.
fn known_as(digits: &str, chain: &Chain) -> Option<String> {
    let named = |line: &transcript::Line| {
        let members = Json::Object(line.members());
        let name = member_with(&members, digits, "")?;
        Some(format!(
            "it is another digest: {} in line {}",
            words::quoted(&name),
            line.number
        ))
    };
    chain.lines.iter().find_map(named)
}

/// The name of the member whose value begins with these digits.
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
