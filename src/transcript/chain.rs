//! Reading a transcript back: the chain of lines, by rules that stock tools can check too.

use jiff::Timestamp;

use crate::hsm::KeyId;
use crate::rules::{Broken, Cause, Rule, limits};
use crate::spec::Spec;
use crate::strict_json::{self, Json};
use crate::words::{self, Digest};

use super::{VoidShare, VoidShares};

/// A transcript whose lines hold together.
pub struct Chain {
    /// The lines in order; at least one.
    pub lines: Vec<Line>,
    /// SHA-256 of the whole file.
    pub head: Digest,
}

/// One line.
pub struct Line {
    /// Its number, counting from 1.
    pub number: usize,
    /// When it was written, by the clock of that machine.
    pub at: Timestamp,
    /// The event's name.
    pub event: String,
    /// All members of the line.
    pub json: Json,
}

/// A chain whose last line may be missing its end: the power went while it was written.
pub struct Torn {
    /// The whole lines.
    pub lines: Vec<Line>,
}

impl Line {
    /// A text member of the event, or the empty text.
    pub fn text(&self, name: &str) -> &str {
        self.json
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    /// Whether a member is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.json.get(name), Some(Json::Bool(true)))
    }
}

impl Chain {
    /// Checks a whole file: every line, and that it ends as a sealed or aborted transcript does.
    ///
    /// # Errors
    /// The first thing that does not hold, naming its line.
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
        if !is_end(&last.event) {
            let why = format!(
                "the transcript ends with \"{}\", neither sealed nor aborted",
                words::quoted(&last.event)
            );
            return Err(Broken::line(Rule::End, last.number, why).because(Cause::Unfinished));
        }
        if let Some(early) = lines[..lines.len() - 1]
            .iter()
            .find(|line| is_end(&line.event))
        {
            let why = format!("\"{}\" stands before the end", early.event);
            return Err(Broken::line(Rule::End, early.number, why));
        }
        Ok(Self {
            lines,
            head: words::sha256(bytes),
        })
    }

    /// The events of one name, in order.
    pub fn events<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.event == name)
    }

    /// The lines that tell a data key: generated, found again or recovered.
    pub fn data_keys(&self) -> impl Iterator<Item = &Line> {
        let tells = ["key-generated", "key-found", "key-recovered"];
        self.lines
            .iter()
            .filter(move |line| tells.contains(&line.event.as_str()))
    }

    /// The first line, `ceremony-opened`.
    pub fn opening(&self) -> &Line {
        &self.lines[0]
    }

    /// The last line, `sealed` or `aborted`.
    pub fn end(&self) -> &Line {
        &self.lines[self.lines.len() - 1]
    }
}

impl Torn {
    /// Checks an unsealed transcript as far as whole lines go.
    ///
    /// # Errors
    /// The first thing that does not hold, naming its line.
    pub fn read(bytes: &[u8]) -> Result<Self, Broken> {
        lines(bytes).map(|(lines, _)| Self { lines })
    }

    /// Label and CKA_ID of what the run may have left in the token. A sealed run left nothing; an
    /// aborted one says what it could not take back; of any other it is every `key-intended` and
    /// `signer-intended` that no `key-destroyed` takes back. `named`: the record has the name of an aborted
    /// one, which it gets after the signer that it made is gone.
    pub fn intended(&self, named: bool) -> Vec<(String, KeyId)> {
        match self.lines.last() {
            Some(last) if last.event == "sealed" => Vec::new(),
            Some(last) if last.event == "aborted" => {
                let signer = last.is_true("signer_destroyed") && !named;
                let mut left = may_be_left(last);
                left.extend(self.keys("signer-intended").filter(|_| signer));
                left
            }
            _ => {
                let gone: Vec<_> = self.keys("key-destroyed").collect();
                self.keys("key-intended")
                    .chain(self.keys("signer-intended"))
                    .filter(|key| !gone.contains(key))
                    .collect()
            }
        }
    }

    /// Whether the last line is `sealed`.
    pub fn is_sealed(&self) -> bool {
        self.lines.last().is_some_and(|last| last.event == "sealed")
    }

    /// The same without a last line `sealed`: of a run that was cut off before its record was whole, so
    /// that it never was a sealed one.
    #[must_use]
    pub fn unsealed(mut self) -> Self {
        if self.is_sealed() {
            self.lines.pop();
        }
        self
    }

    /// Whether the object of this CKA_ID was to be a private key.
    pub fn is_private(&self, id: KeyId) -> bool {
        let id = id.to_string();
        self.lines
            .iter()
            .filter(|line| line.event == "key-intended" && line.text("cka_id") == id)
            .any(|line| Spec::parse(line.text("spec")).is_ok_and(Spec::is_private))
    }

    /// The shares that an interrupted run dealt and handed out, and the one that was perhaps on the screen.
    /// A sealed run's are good; an aborted one named its own.
    pub fn void_shares(&self) -> Option<VoidShares> {
        if self.lines.last().is_some_and(|last| is_end(&last.event)) {
            return None;
        }
        let of = |event: &'static str| self.lines.iter().filter(move |line| line.event == event);
        let number = |json: &Json| json.get("share").and_then(Json::as_u64);
        let back: Vec<_> = of("share-handed-out")
            .map(|line| number(&line.json))
            .collect();
        let dealt = of("escrow-dealt").next()?.json.get("shares")?.as_array()?;
        let shares = dealt.iter().take(back.len() + 1).filter_map(|share| {
            // Anybody may have written this: only what a plan could have said is shown.
            let custodian = share.get("custodian")?.as_str()?;
            let number = number(share).filter(|number| (1..=16).contains(number))?;
            crate::plan::is_name(custodian).then(|| VoidShare {
                share: number,
                custodian: custodian.to_owned(),
                handed_out: back.contains(&Some(number)),
            })
        });
        let ceremony = self.lines.first()?.text("ceremony");
        let is_id = ceremony.len() == 32 && words::unhex(ceremony).is_some();
        is_id.then(|| VoidShares {
            ceremony: ceremony.to_owned(),
            shares: shares.collect(),
        })
    }

    fn keys(&self, event: &'static str) -> impl Iterator<Item = (String, KeyId)> {
        let lines = self.lines.iter().filter(move |line| line.event == event);
        lines.filter_map(|line| {
            Some((
                line.text("label").to_owned(),
                KeyId::from_hex(line.text("cka_id"))?,
            ))
        })
    }
}

fn may_be_left(aborted: &Line) -> Vec<(String, KeyId)> {
    let left = aborted
        .json
        .get("may_be_left")
        .and_then(Json::as_array)
        .unwrap_or_default();
    let text = |object: &Json, name| {
        object
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    left.iter()
        .filter_map(|object| {
            Some((
                text(object, "label"),
                KeyId::from_hex(&text(object, "cka_id"))?,
            ))
        })
        .collect()
}

fn is_end(event: &str) -> bool {
    matches!(event, "sealed" | "aborted")
}

/// The whole lines of the file, checked, and what follows the last line feed.
fn lines(bytes: &[u8]) -> Result<(Vec<Line>, &[u8]), Broken> {
    let mut lines: Vec<Line> = Vec::new();
    let mut prev = "0".repeat(64);
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (raw, after) = (&rest[..end], &rest[end + 1..]);
        let number = lines.len() + 1;
        let line = line(number, raw)?;
        if line.text("prev") != prev {
            return Err(broken_link(number, raw, after));
        }
        if lines.last().is_some_and(|before| line.at < before.at) {
            let why = "its time is before the line above";
            return Err(Broken::line(Rule::Order, number, why));
        }
        if (number == 1) != (line.event == "ceremony-opened") {
            let why = format!(
                "\"{}\" stands in the wrong place",
                words::quoted(&line.event)
            );
            return Err(Broken::line(Rule::Opening, number, why));
        }
        lines.push(line);
        prev = words::hex(&words::sha256(raw));
        rest = after;
    }
    Ok((lines, rest))
}

/// The digest in line `number`, which is `raw`, is not that of the line above. The line after tells
/// which of the two was changed, where there is one.
fn broken_link(number: usize, raw: &[u8], after: &[u8]) -> Broken {
    let above = number - 1;
    let next = after
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let next = line(number + 1, next).ok();
    let digest = words::hex(&words::sha256(raw));
    let (at, why) = match next.map(|next| next.text("prev") == digest) {
        _ if number == 1 => (1, "prev is not 64 zeros".to_owned()),
        Some(false) => {
            let why = format!("it was changed: line {} binds other bytes", number + 1);
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

/// A time to the second in its one spelling, such as `2026-11-22T11:42:03Z`.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (text.len() == 20 && time.to_string() == text).then_some(time)
}

/// One line of a chain by itself: compact JSON that every reader takes for the same, with this `seq`.
///
/// # Errors
/// What is wrong with it.
pub fn numbered(raw: &[u8], number: usize) -> Result<Json, (Rule, String)> {
    let json = strict_json::parse(raw).map_err(|why| (Rule::Line, why))?;
    let broken = |rule, why: &str| Err((rule, why.to_owned()));
    if json.to_compact_string().as_bytes() != raw {
        return match raw.ends_with(b"\r") {
            true => broken(Rule::Line, "it is not compact JSON: it ends with CR LF"),
            false => broken(Rule::Line, "it is not compact JSON"),
        };
    }
    if !json.is_plain() {
        let why = "it holds a character that cannot be shown, or a number that is no integer";
        return broken(Rule::Line, why);
    }
    if json.get("seq").and_then(Json::as_u64) != Some(number as u64) {
        let why = format!("seq is not {number}: a line was dropped, added or moved");
        return broken(Rule::Seq, &why);
    }
    Ok(json)
}

fn line(number: usize, raw: &[u8]) -> Result<Line, Broken> {
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
    let event = text("event").ok_or_else(|| broken(Rule::Event, "it has no event"))?;
    let event = event.to_owned();
    Ok(Line {
        number,
        at,
        event,
        json,
    })
}

#[cfg(test)]
mod tests;
