//! The rules for a record, with the names that both verifiers use, and the limits on what they read.
//!
//! `docs/transcript-format.md` has the table; `ceremony-scripts/verify-record.sh` uses the same names and numbers.
//! Tests keep the three equal.

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
    Medium,
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
    /// Judged by byok only: the receipts.
    Receipts,
    /// Judged by byok only: whether each event has the members of its type.
    Members,
}

impl Rule {
    /// All rules with their names.
    pub const ALL: [(Self, &'static str); 35] = [
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
        (Self::Medium, "MEDIUM"),
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

    /// Whether the script of stock tools leaves the rule to byok.
    pub fn is_byoks_alone(self) -> bool {
        matches!(self, Self::Receipts | Self::Members)
    }

    /// Its name in both verifiers.
    pub(crate) fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(rule, _)| *rule == self);
        named.map_or("", |(_, name)| name)
    }
}

/// A likely cause of a broken rule, about which people can do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A file manager or a system left the file on the medium.
    LeftBy(&'static str),
    /// A copy changed LF to CR LF.
    LineEnds,
    /// The transcript has no end: the run was interrupted.
    Unfinished,
    /// The last receipt is incomplete.
    Torn,
    /// An answer that no receipt names.
    Unnamed,
}

/// The first thing in a record that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule that is broken.
    pub rule: Rule,
    /// The cause, if byok knows it.
    pub cause: Option<Cause>,
    /// The line of a chain in which it is.
    pub(crate) line: Option<usize>,
    what: String,
}

impl Broken {
    /// `what` may quote the record: it is shown in one line that cannot imitate other lines.
    pub(crate) fn new(rule: Rule, what: impl AsRef<str>) -> Self {
        Self {
            rule,
            cause: None,
            line: None,
            what: words::quoted_whole(&words::without_os_number(what.as_ref())),
        }
    }

    /// A fault in a line of a chain.
    pub(crate) fn line(rule: Rule, number: usize, why: impl fmt::Display) -> Self {
        Self {
            line: Some(number),
            ..Self::new(rule, format!("line {number}: {why}"))
        }
    }

    /// Adds the place: `place: what`.
    #[must_use]
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.what = format!("{}: {}", words::quoted(place), self.what);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<Option<Cause>>) -> Self {
        self.cause = cause.into().or(self.cause);
        self
    }
}

/// Reads as the text of the fault.
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

/// The limits, in bytes or by count: anything larger is refused before it is read. The script has the same numbers
/// under the same names in lower case.
pub mod limits {
    /// The longest transcript: some eighty thousand lines.
    pub const LONGEST_TRANSCRIPT: u64 = 32 << 20;
    /// The longest line of a transcript: a parsed line takes several times its length in memory.
    pub const LONGEST_LINE: u64 = 4 << 20;
    /// The longest file of a record.
    pub const LONGEST_FILE: u64 = 64 << 20;
    /// The longest public key, as DER.
    pub(crate) const LONGEST_PUBLIC_KEY: u64 = 64 << 10;
    /// The longest signature file.
    pub(crate) const LONGEST_SIGNATURE: u64 = 64 << 10;
    /// The longest list of signers.
    pub(crate) const LONGEST_LIST: u64 = 1 << 20;
    /// The largest total size of a record's files.
    pub const LARGEST_RECORD: u64 = 1 << 30;
    /// The most files and folders in a record.
    pub const MOST_ENTRIES: u64 = 65_536;
    /// The most data keys, and the most imports.
    pub const MOST_KEYS: u64 = crate::plan::MOST_KEYS as u64;
    /// The most lines in a transcript.
    pub const MOST_LINES: u64 = 131_072;
    /// The most files below `signatures/`.
    pub const MOST_SIGNATURES: u64 = 64;
    /// The longest path within a record: every system can open it.
    pub const LONGEST_PATH: u64 = 1024;

    /// All limits that the script has too.
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
