//! Import parameters of a KMS other than AWS KMS: what its own command prints, in JSON; where that says no more than the
//! wrapping key, this alone in PEM.

use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;

use super::aws::text;
use super::name::Name;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::{WrappingKey, is_pem};
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::{self, Json};

/// How a KMS gives its import parameters.
pub(crate) struct Answer {
    /// What they are, for people.
    pub what: &'static str,
    /// What an import of them is usually called.
    pub import_name: &'static str,
    /// What a key in PEM lacks; `None`: nothing.
    pub pem_lacks: Option<&'static str>,
    /// The member by which alone they are known, whatever is wrong with them, if there is one.
    pub mark: Option<&'static str>,
    /// The members that byok reads, each of which may occur once.
    pub members: &'static str,
    /// What another answer is, if that is more than a member.
    pub by_content: fn(&Json) -> Option<String>,
    /// A member of other answers, and what they are.
    pub others: &'static [(&'static str, &'static str)],
    /// What they give.
    pub given: fn(&Self, &Json) -> Result<Answered>,
    /// What the wrapping key is, if it has a name that the KMS wants back: for programs, for people, and the one of them
    /// that a key takes material by.
    pub id: (&'static str, &'static str, &'static str),
    /// The check that finds it of no use, and how people get one that is.
    pub useless: (&'static str, &'static str),
    /// What to do for somebody who has another file.
    pub fetch: &'static str,
}

/// What a file of them says: as yet nobody asked whether it is for the plan's key.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The RSA public key to wrap under.
    pub wrapping_key: WrappingKey,
    /// The KMS's own name of it, if the KMS wants that back.
    pub id: Option<String>,
    /// A key that is where the wrapping key is, if they say where that is.
    pub of: Option<Name>,
    /// The one algorithm that it is for.
    pub wrapping: Option<WrappingAlgorithm>,
    /// From when on it is of use.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
}

impl From<WrappingKey> for Answered {
    fn from(wrapping_key: WrappingKey) -> Self {
        Self {
            wrapping_key,
            id: None,
            of: None,
            wrapping: None,
            from: None,
            until: None,
        }
    }
}

impl Answer {
    /// Reads the bytes of one file.
    ///
    /// # Errors
    /// Exit 2: not such an answer, with what it is instead. Exit 4: what it gives is of no use.
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Answered> {
        let text = text::decode(bytes).ok_or_else(|| self.refused("is not text"))?;
        let text = text.trim();
        match (is_pem(text.as_bytes()), self.pem_lacks) {
            (true, None) => self.key(text).map(Answered::from),
            (true, Some(lacks)) => Err(self.refused(format!("is PEM, which {lacks}"))),
            (false, _) => (self.given)(self, &self.json(text)?),
        }
    }

    fn json(&self, text: &str) -> Result<Json> {
        let json = strict_json::parse(text.as_bytes());
        let json = json.map_err(|why| self.refused(format!("is not JSON: {why}")))?;
        if json.as_array().is_some() {
            return Err(self.refused("is a list, not one answer"));
        }
        if let Some(what) = (self.by_content)(&json) {
            return Err(self.refused(format!("is {what}")));
        }
        let mut others = self.others.iter();
        if let Some((_, what)) = others.find(|(member, _)| json.at(member).is_some()) {
            return Err(self.refused(format!("is {what}")));
        }
        let mut members = self.members.split(' ');
        match members.find(|name| json.count(name) > 1) {
            None => Ok(json),
            Some(twice) => Err(self.refused(format!(
                "has a second `{twice}` inside another member: it could mean two things"
            ))),
        }
    }

    /// The text of a member, given with those in which it stands.
    pub(super) fn text<'j>(&self, json: &'j Json, path: &str) -> Result<&'j str> {
        let text = json.at(path).and_then(Json::as_str);
        text.ok_or_else(|| {
            let (within, name) = path.rsplit_once(' ').unwrap_or(("", path));
            let place = match within {
                "" => String::new(),
                within => format!(" in `{within}`"),
            };
            self.refused(format!("has no text `{name}`{place}"))
        })
    }

    /// The wrapping key in PEM.
    pub(super) fn key(&self, pem: &str) -> Result<WrappingKey> {
        let der = der_of(pem.trim()).map_err(|error| error.hint(self.fetch))?;
        self.delivered(WrappingKey::from_spki_der(&der))
    }

    /// The wrapping key as this KMS delivers it: the error names its own command.
    pub(super) fn delivered(&self, key: Result<WrappingKey>) -> Result<WrappingKey> {
        key.map_err(|mut error| {
            error.hints.clear(); // they name the downloads of AWS
            error
                .hint("fetch it again, compare its digest with the online slip, and find out where this file came from")
                .hint(self.fetch)
        })
    }

    /// It is not such an answer.
    pub(super) fn refused(&self, what: impl Into<String>) -> Error {
        Error::usage(what).hint(self.fetch)
    }

    /// It is one, of no use.
    pub(super) fn useless(&self, what: impl Into<String>) -> Error {
        Error::mismatch(what)
            .check(self.useless.0)
            .hint(self.useless.1)
    }
}

/// Refuses a wrapping key of another length than `whose` have.
pub(super) fn of_length(key: &WrappingKey, known: &[usize], whose: &str) -> Result<()> {
    if known.contains(&key.bits()) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(usize::to_string).collect();
    let (bits, known) = (key.bits(), known.join(" or "));
    let what = format!("the wrapping key has {bits} bits; {whose} have {known}");
    let error = Error::mismatch(what).check("WRAPPING-KEY-SIZE");
    Err(error.hint("find out where this file came from"))
}

/// The bytes in one block of PEM (RFC 7468) that says it is a public key.
pub(crate) fn der_of(pem: &str) -> Result<Vec<u8>> {
    let inner = pem
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"));
    let first = pem.lines().next().unwrap_or_default();
    let refuse =
        |what: String| Error::usage(format!("the public key {what}")).check("WRAPPING-KEY-SPKI");
    let inner = inner.ok_or_else(|| {
        let first: String = first.chars().take(60).collect();
        refuse(format!(
            "is not one public key in PEM; it begins with {first:?}"
        ))
    })?;
    let letters = inner.replace(['\r', '\n', ' '], "");
    Base64::decode_vec(&letters).map_err(|_| refuse("is not one block of base64 in PEM".into()))
}
