//! The rules that a record keeps, by the names that both verifiers say, and the limits of what is read of one.
//!
//! `docs/transcript-format.md` has the table; `ceremony-scripts/verify-record.sh` judges by the same names and
//! numbers. Tests hold the three together.

use std::fmt;

use crate::ground::words;

pub(crate) mod reading;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the table in docs/transcript-format.md says what each is
pub enum Rule {
    Entry,
    Name,
    Read,
    Limit,
    Line,
    Seq,
    At,
    Event,
    Prev,
    Order,
    Opening,
    End,
    Format,
    Sealed,
    KeyTwice,
    Plan,
    Path,
    OutputTwice,
    Missing,
    Bytes,
    Wrapped,
    PublicKey,
    More,
    Empty,
    Sums,
    Signer,
    SignatureName,
    SignatureForm,
    Purpose,
    Signature,
    Head,
    Listed,
    /// What only byok judges: receipts.
    Receipts,
    /// And whether each event has the members of its name.
    Members,
}

impl Rule {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 34] = [
        (Self::Entry, "ENTRY"),
        (Self::Name, "NAME"),
        (Self::Read, "READ"),
        (Self::Limit, "LIMIT"),
        (Self::Line, "LINE"),
        (Self::Seq, "SEQ"),
        (Self::At, "AT"),
        (Self::Event, "EVENT"),
        (Self::Prev, "PREV"),
        (Self::Order, "ORDER"),
        (Self::Opening, "OPENING"),
        (Self::End, "END"),
        (Self::Format, "FORMAT"),
        (Self::Sealed, "SEALED"),
        (Self::KeyTwice, "KEY-TWICE"),
        (Self::Plan, "PLAN"),
        (Self::Path, "PATH"),
        (Self::OutputTwice, "OUTPUT-TWICE"),
        (Self::Missing, "MISSING"),
        (Self::Bytes, "BYTES"),
        (Self::Wrapped, "WRAPPED"),
        (Self::PublicKey, "PUBLIC-KEY"),
        (Self::More, "MORE"),
        (Self::Empty, "EMPTY"),
        (Self::Sums, "SUMS"),
        (Self::Signer, "SIGNER"),
        (Self::SignatureName, "SIGNATURE-NAME"),
        (Self::SignatureForm, "SIGNATURE-FORM"),
        (Self::Purpose, "PURPOSE"),
        (Self::Signature, "SIGNATURE"),
        (Self::Head, "HEAD"),
        (Self::Listed, "LISTED"),
        (Self::Receipts, "RECEIPTS"),
        (Self::Members, "MEMBERS"),
    ];

    /// Whether the script of stock tools leaves it to byok.
    pub fn is_byoks_alone(self) -> bool {
        matches!(self, Self::Receipts | Self::Members)
    }

    /// Its name, as both verifiers say it.
    pub(crate) fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(rule, _)| *rule == self);
        named.map_or("", |(_, name)| name)
    }
}

/// What people can do something about, if a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A file manager or system left it on the medium.
    LeftBy(&'static str),
    /// A copy turned LF into CR LF.
    LineEnds,
    /// The transcript has no end: the run was interrupted.
    Unfinished,
    /// The last receipt is cut.
    Torn,
    /// An answer that no receipt names.
    Unnamed,
}

/// The first thing of a record that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule that it is against.
    pub rule: Rule,
    /// What is known to lead to it.
    pub cause: Option<Cause>,
    /// The line of a chain that it stands in.
    pub(crate) line: Option<usize>,
    what: String,
}

impl Broken {
    /// `what` may quote the record: it is shown in one line that cannot pose as others.
    pub(crate) fn new(rule: Rule, what: impl AsRef<str>) -> Self {
        Self {
            rule,
            cause: None,
            line: None,
            what: words::quoted_whole(&words::without_os_number(what.as_ref())),
        }
    }

    /// In a line of a chain.
    pub(crate) fn line(rule: Rule, number: usize, why: impl fmt::Display) -> Self {
        Self {
            line: Some(number),
            ..Self::new(rule, format!("line {number}: {why}"))
        }
    }

    /// Where it is: `place: what`.
    #[must_use]
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.what = format!("{}: {}", words::quoted(place), self.what);
        self
    }

    /// Says what leads to it.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<Option<Cause>>) -> Self {
        self.cause = cause.into().or(self.cause);
        self
    }
}

/// It reads as what is wrong.
impl std::ops::Deref for Broken {
    type Target = str;

    fn deref(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// The limits, in bytes or by count: a larger thing is refused before it is read. The script has the same numbers
/// under the same names in lower case.
pub mod limits {
    /// The longest transcript: some eighty thousand lines.
    pub const LONGEST_TRANSCRIPT: u64 = 32 << 20;
    /// The longest line of a transcript: what is parsed takes several times its room.
    pub const LONGEST_LINE: u64 = 4 << 20;
    /// The longest file of a record.
    pub const LONGEST_FILE: u64 = 64 << 20;
    /// The longest public key, as DER.
    pub(crate) const LONGEST_PUBLIC_KEY: u64 = 64 << 10;
    /// The longest signature file.
    pub(crate) const LONGEST_SIGNATURE: u64 = 64 << 10;
    /// The longest list of signers.
    pub(crate) const LONGEST_LIST: u64 = 1 << 20;
    /// All files of a record together.
    pub const LARGEST_RECORD: u64 = 1 << 30;
    /// How many files and folders a record has at most.
    pub const MOST_ENTRIES: u64 = 65_536;
    /// How many data keys, and how many imports.
    pub const MOST_KEYS: u64 = crate::plan::MOST_KEYS as u64;
    /// How many lines a transcript has at most.
    pub const MOST_LINES: u64 = 131_072;
    /// How many files there are below `signatures/` at most.
    pub const MOST_SIGNATURES: u64 = 64;
    /// The longest path within a record, so that every system can open it.
    pub const LONGEST_PATH: u64 = 1024;

    /// All that the script has too.
    pub const ALL: [(&str, u64); 12] = [
        ("longest_transcript", LONGEST_TRANSCRIPT),
        ("longest_line", LONGEST_LINE),
        ("longest_file", LONGEST_FILE),
        ("longest_public_key", LONGEST_PUBLIC_KEY),
        ("longest_signature", LONGEST_SIGNATURE),
        ("longest_list", LONGEST_LIST),
        ("largest_record", LARGEST_RECORD),
        ("most_entries", MOST_ENTRIES),
        ("most_keys", MOST_KEYS),
        ("most_lines", MOST_LINES),
        ("most_signatures", MOST_SIGNATURES),
        ("longest_path", LONGEST_PATH),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_told_in_its_words_alone() {
        let said = std::io::Error::from_raw_os_error(13);
        let told = Broken::new(Rule::Read, format!("plan.toml: {said}")).within("a record");
        assert_eq!(told.to_string(), "a record: plan.toml: Permission denied");
    }
}
