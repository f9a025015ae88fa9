//! Reads a transcript back: the chain of lines, by rules that stock tools can check too.

use jiff::Timestamp;

use super::event::{
    Aborted, DataKeyFacts, Destroyed, EscrowDealt, Event, HandedOut, KeyIntended, Opened,
    SealedLine, SignerIntended, Told,
};
use super::{FORMAT, VoidShare, VoidShares};
use crate::crypto::escrow::slip39::MOST_IN_ALL;
use crate::crypto::key_id::KeyId;
use crate::crypto::spec::Spec;
use crate::evidence::rules::{Broken, Cause, Rule, limits};
use crate::ground::strict_json::{self, Json};
use crate::ground::words::{self, Digest};

/// A transcript whose lines are a chain.
pub struct Chain {
    /// The lines in order; at least one.
    pub lines: Vec<Line>,
    /// SHA-256 of the whole file.
    pub head: Digest,
    opened: Opened,
}

/// One line.
pub struct Line {
    /// Its number, counting from 1.
    pub number: usize,
    /// When it was written, by that machine's clock.
    pub at: Timestamp,
    /// The event's name.
    pub name: String,
    /// What happened.
    pub(crate) event: Event,
    /// Why its members are not those of its type; if so, the event counts as unknown.
    pub misfit: Option<String>,
    /// The line's exact text, without its line feed.
    raw: String,
}

/// An event of one type, with its line.
pub(crate) struct Said<'a, T> {
    /// The line.
    pub line: &'a Line,
    told: &'a T,
}

impl<T> std::ops::Deref for Said<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.told
    }
}

/// A chain whose last line may be incomplete: the power failed while it was being written.
pub struct Torn {
    /// The whole lines.
    pub lines: Vec<Line>,
}

impl Line {
    /// The event's members, if it is of this type.
    pub(crate) fn tells<T: Told>(&self) -> Option<&T> {
        T::of(&self.event)
    }

    /// Every member of the line, including those that a later version added.
    pub fn members(&self) -> Vec<(String, Json)> {
        match strict_json::parse(self.raw.as_bytes()) {
            Ok(Json::Object(members)) => members,
            _ => Vec::new(), // does not happen: the line was read as an object
        }
    }
}

/// The events of one type, in order.
pub(crate) fn entries<'a, T: Told + 'a>(lines: &'a [Line]) -> impl Iterator<Item = Said<'a, T>> {
    lines.iter().filter_map(|line| {
        let told = line.tells()?;
        Some(Said { line, told })
    })
}

impl Chain {
    /// Checks a whole file: every line, and that it ends like a sealed or aborted transcript.
    ///
    /// # Errors
    /// The first thing that does not hold, with its line.
    pub fn read(bytes: &[u8]) -> Result<Self, Broken> {
        let (lines, rest) = lines(bytes)?;
        if !rest.is_empty() {
            let number = lines.len() + 1;
            return Err(Broken::line(
                Rule::End,
                number,
                "it does not end with a line feed",
            ));
        }
        let last = lines.last();
        let last = last.ok_or_else(|| Broken::new(Rule::End, "the transcript is empty"))?;
        if !last.is_end() {
            let why = format!(
                "the transcript ends with \"{}\", neither sealed nor aborted",
                words::quoted(&last.name)
            );
            return Err(Broken::line(Rule::End, last.number, why).because(Cause::Unfinished));
        }
        if let Some(early) = lines[..lines.len() - 1].iter().find(|line| line.is_end()) {
            let why = format!("\"{}\" is before the end", early.name);
            return Err(Broken::line(Rule::End, early.number, why));
        }
        let opened = lines[0].tells::<Opened>().cloned();
        let opened = opened.ok_or_else(|| lines[0].opens_nothing())?;
        Ok(Self {
            lines,
            head: words::sha256(bytes),
            opened,
        })
    }

    /// The events of one type, in order.
    pub(crate) fn events<'a, T: Told + 'a>(&'a self) -> impl Iterator<Item = Said<'a, T>> {
        entries(&self.lines)
    }

    /// The data keys in these lines: generated, found again or recovered.
    pub(crate) fn data_keys(&self) -> impl Iterator<Item = Said<'_, DataKeyFacts>> {
        self.events()
    }

    /// The first line.
    pub(crate) fn opening(&self) -> &Opened {
        &self.opened
    }

    /// The last line of a ceremony that finished.
    pub(crate) fn sealed(&self) -> Option<&SealedLine> {
        self.end().tells()
    }

    /// The last line of a ceremony that was aborted.
    pub(crate) fn aborted(&self) -> Option<&Aborted> {
        self.end().tells()
    }

    /// Whether the ceremony was aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted().is_some()
    }

    /// The last line, `sealed` or `aborted`.
    pub(crate) fn end(&self) -> &Line {
        &self.lines[self.lines.len() - 1]
    }
}

impl Torn {
    /// Checks the whole lines of an unsealed transcript.
    ///
    /// # Errors
    /// The first thing that does not hold, with its line.
    pub fn read(bytes: &[u8]) -> Result<Self, Broken> {
        lines(bytes).map(|(lines, _)| Self { lines })
    }

    /// Label and CKA_ID of what the run may have left in the token. A sealed run left nothing. An aborted one says
    /// what it could not destroy. Any other run may have left every `key-intended` and `signer-intended` without a
    /// `key-destroyed`. `named`: the record has the name of an aborted one; it gets that name only after the signer
    /// that the run made is gone.
    pub fn intended(&self, named: bool) -> Vec<(String, KeyId)> {
        match self.lines.last() {
            Some(last) if last.name == "sealed" => Vec::new(),
            Some(last) if last.name == "aborted" => {
                let Some(aborted) = last.tells::<Aborted>() else {
                    return Vec::new();
                };
                let left = aborted.may_be_left.iter();
                let left = left.filter_map(|left| object(&left.label, &left.cka_id));
                let signer = aborted.signer_destroyed && !named;
                left.chain(self.signers().filter(|_| signer)).collect()
            }
            _ => {
                let gone = entries::<Destroyed>(&self.lines);
                let gone: Vec<_> = gone
                    .filter_map(|gone| object(&gone.label, &gone.cka_id))
                    .collect();
                entries::<KeyIntended>(&self.lines)
                    .filter_map(|key| object(&key.label, &key.cka_id))
                    .chain(self.signers())
                    .filter(|key| !gone.contains(key))
                    .collect()
            }
        }
    }

    fn signers(&self) -> impl Iterator<Item = (String, KeyId)> {
        let intended = entries::<SignerIntended>(&self.lines);
        intended.filter_map(|signer| object(&signer.label, &signer.cka_id))
    }

    /// Whether the last line is `sealed`.
    pub(crate) fn is_sealed(&self) -> bool {
        self.lines.last().is_some_and(|last| last.name == "sealed")
    }

    /// The same without a last line `sealed`, for a run that was cut off before its record was complete: it never was
    /// a sealed one.
    #[must_use]
    pub(crate) fn unsealed(mut self) -> Self {
        if self.is_sealed() {
            self.lines.pop();
        }
        self
    }

    /// Whether the object with this CKA_ID was to be a private key.
    pub(crate) fn is_private(&self, id: KeyId) -> bool {
        let id = id.to_string();
        entries::<KeyIntended>(&self.lines)
            .filter(|key| key.cka_id == id)
            .any(|key| Spec::parse(&key.spec).is_ok_and(Spec::is_private))
    }

    /// The shares that an interrupted run dealt and handed out, including one that was perhaps on the screen. The
    /// shares of a sealed run are good; an aborted run named its own.
    pub fn void_shares(&self) -> Option<VoidShares> {
        if self.lines.last().is_some_and(Line::is_end) {
            return None;
        }
        let back: Vec<u8> = entries::<HandedOut>(&self.lines)
            .map(|back| back.share)
            .collect();
        let dealt = entries::<EscrowDealt>(&self.lines).next()?;
        let shares = dealt
            .shares
            .iter()
            .take(back.len() + 1)
            .filter_map(|share| {
                // Anybody may have written this: only what a plan could have contained is shown.
                let could_be = (1..=MOST_IN_ALL).contains(&share.share)
                    && crate::plan::is_name(&share.custodian);
                could_be.then(|| VoidShare {
                    share: share.share.into(),
                    custodian: share.custodian.clone(),
                    handed_out: back.contains(&share.share),
                })
            });
        let ceremony = &self.opened()?.ceremony;
        is_ceremony_id(ceremony).then(|| VoidShares {
            ceremony: ceremony.clone(),
            shares: shares.collect(),
        })
    }

    /// The first line, if there is one.
    pub(crate) fn opened(&self) -> Option<&Opened> {
        self.lines.first()?.tells()
    }
}

/// Whether it has the form of a ceremony's id.
pub(crate) fn is_ceremony_id(text: &str) -> bool {
    text.len() == 32 && words::unhex(text).is_some()
}

fn object(label: &str, cka_id: &str) -> Option<(String, KeyId)> {
    Some((label.to_owned(), KeyId::from_hex(cka_id)?))
}

fn is_end(name: &str) -> bool {
    matches!(name, "sealed" | "aborted")
}

impl Line {
    /// The fault of a line whose members are not those of its type.
    pub(crate) fn does_not_fit(&self) -> Broken {
        let (name, why) = (words::quoted(&self.name), self.misfit.as_deref());
        let why = why.unwrap_or("it is not this event");
        let why = format!("the members of \"{name}\" are not those that byok writes: {why}");
        Broken::line(Rule::Members, self.number, why)
    }

    /// The fault of a first line that is not in this format.
    fn opens_nothing(&self) -> Broken {
        let members = Json::Object(self.members());
        match members.get("format").and_then(Json::as_str) {
            Some(FORMAT) => self.does_not_fit(),
            other => other_format(other.unwrap_or_default()),
        }
    }

    fn is_end(&self) -> bool {
        is_end(&self.name)
    }
}

/// The whole lines of the file, checked, and the bytes after the last line feed.
fn lines(bytes: &[u8]) -> Result<(Vec<Line>, &[u8]), Broken> {
    let mut lines: Vec<Line> = Vec::new();
    let mut prev = "0".repeat(64);
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (raw, after) = (&rest[..end], &rest[end + 1..]);
        let number = lines.len() + 1;
        let (line, names) = line(number, raw)?;
        if names != prev {
            return Err(broken_link(number, raw, after));
        }
        if lines.last().is_some_and(|before| line.at < before.at) {
            let why = "its time is before the line above";
            return Err(Broken::line(Rule::Order, number, why));
        }
        if (number == 1) != (line.name == "ceremony-opened") {
            let why = format!("\"{}\" is in the wrong place", words::quoted(&line.name));
            return Err(Broken::line(Rule::Opening, number, why));
        }
        lines.push(line);
        prev = words::hex(&words::sha256(raw));
        rest = after;
    }
    Ok((lines, rest))
}

/// The fault if the digest in line `number`, whose text is `raw`, is not that of the line above. The line after it,
/// if there is one, shows which of the two was changed.
fn broken_link(number: usize, raw: &[u8], after: &[u8]) -> Broken {
    let above = number - 1;
    let next = after
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let next = line(number + 1, next).ok();
    let digest = words::hex(&words::sha256(raw));
    let (at, why) = match next.map(|(_, names)| names == digest) {
        _ if number == 1 => (1, "prev is not 64 zeros".to_owned()),
        Some(false) => {
            let why = format!(
                "it was changed: line {} has the digest of other bytes",
                number + 1
            );
            (number, why)
        }
        Some(true) => {
            let why = format!("it was changed: its digest is not the prev of line {number}");
            (above, why)
        }
        None => {
            let why =
                format!("its digest is not the prev of line {number}: one of the two was changed");
            (above, why)
        }
    };
    Broken::line(Rule::Prev, at, why)
}

/// Formats have different rules; byok does not judge an unknown format by the rules of another.
pub(crate) fn other_format(named: &str) -> Broken {
    let why = format!("its format is \"{}\", not {FORMAT}", words::quoted(named));
    Broken::line(Rule::Format, 1, why)
}

/// A time to the second in its only spelling, such as `2026-11-22T11:42:03Z`.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (text.len() == 20 && time.to_string() == text).then_some(time)
}

/// One line of a chain by itself: compact JSON that every reader reads in the same way, with this `seq`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn numbered(raw: &[u8], number: usize) -> Result<Json, (Rule, String)> {
    let json = strict_json::parse(raw).map_err(|why| (Rule::Line, why.into()))?;
    let broken = |rule, why: &str| Err((rule, why.to_owned()));
    if json.to_compact_string().as_bytes() != raw {
        return match raw.ends_with(b"\r") {
            true => broken(Rule::Line, "it is not compact JSON: it ends with CR LF"),
            false => broken(Rule::Line, "it is not compact JSON"),
        };
    }
    if !json.is_plain() {
        let why = "it has a character that cannot be shown, or a number that is not an integer";
        return broken(Rule::Line, why);
    }
    if json.get("seq").and_then(Json::as_u64) != Some(number as u64) {
        let why = format!("seq is not {number}: a line was dropped, added or moved");
        return broken(Rule::Seq, &why);
    }
    Ok(json)
}

/// A line, and the digest that it gives for the line before.
fn line(number: usize, raw: &[u8]) -> Result<(Line, String), Broken> {
    let broken = |rule, why: &str| Broken::line(rule, number, why);
    if raw.len() as u64 > limits::LONGEST_LINE {
        let why = "it is longer than any line that byok writes";
        return Err(broken(Rule::Limit, why));
    }
    let line_ends = raw.ends_with(b"\r").then_some(Cause::LineEnds);
    let json =
        numbered(raw, number).map_err(|(rule, why)| broken(rule, &why).because(line_ends))?;
    let text = |name| json.get(name).and_then(Json::as_str);
    let at = text("at").and_then(time);
    let at = at.ok_or_else(|| broken(Rule::At, "at is not a time such as 2026-11-22T11:42:03Z"))?;
    let name = text("event").ok_or_else(|| broken(Rule::Event, "it has no event"))?;
    let read = serde_json::from_slice(raw).map_err(|e| words::quoted(&e.to_string()));
    let read = read.and_then(|event: Event| match event.misfit(&json) {
        Some(why) => Err(why.to_owned()),
        None => Ok(event),
    });
    let (event, misfit) = match read {
        Ok(event) => (event, None),
        Err(why) => (Event::Unknown, Some(why)),
    };
    let line = Line {
        number,
        at,
        name: name.to_owned(),
        event,
        misfit,
        raw: String::from_utf8_lossy(raw).into_owned(), // JSON is UTF-8
    };
    Ok((line, text("prev").unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests;
