//! Where the material of a data key comes from: made in the HSM, or older than this ceremony.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Keep, relative};
use crate::ground::error::{Error, Result};
use crate::ground::words;

/// The longest CKA_ID that a plan can name, in bytes.
const LONGEST_ID: usize = 64;

/// `source` of a `[[key]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Made inside the HSM in this ceremony.
    Hsm,
    /// A key that is already in the HSM token.
    Token(InToken),
    /// A file that holds it in clear.
    File(PathBuf),
}

/// Which key of the HSM token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InToken {
    /// The key with the data key's label.
    Label,
    /// The key with this CKA_ID, whatever its label.
    Id(Vec<u8>),
}

impl Source {
    /// Reads the plan's `source`.
    ///
    /// # Errors
    /// Exit 2 for anything but the four forms.
    pub(super) fn parse(text: Option<&str>, base: &Path) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self::Hsm);
        };
        match text {
            "hsm" => return Ok(Self::Hsm),
            "token" => return Ok(Self::Token(InToken::Label)),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return relative(base, "source", path).map(Self::File);
        }
        text.strip_prefix("token:id=")
            .and_then(words::unhex)
            .filter(|id| (1..=LONGEST_ID).contains(&id.len()))
            .map(|id| Self::Token(InToken::Id(id)))
            // It may be key bytes in the wrong place, so the message does not repeat it.
            .ok_or_else(|| {
                Error::usage("source must be hsm, token, token:id=HEX or file:PATH")
                    .hint("a plan must never contain the material itself; if it did, the material is exposed")
            })
    }

    /// Whether byok makes an object in the token; if the ceremony fails, byok destroys that object.
    pub(crate) fn makes_an_object(&self) -> bool {
        !matches!(self, Self::Token(_))
    }

    /// Checks what the plan must say beside it.
    ///
    /// # Errors
    /// Exit 2: a file without a reason, a reason without a file, or a key in the token with a `keep` that would
    /// change it.
    pub(super) fn judge(&self, reason: Option<&str>, keep: Keep) -> Result<()> {
        match (self, reason) {
            (Self::File(_), None) => Err(Error::usage(
                "source = \"file:…\" needs reason = \"…\" beside it",
            )
            .hint("a data key that was in a file is exposed, so the record states why it came from a file")
            .hint("if you have no reason, let the HSM make a new data key: remove source")),
            (Self::Hsm | Self::Token(_), Some(_)) => Err(Error::usage(
                "reason in [[key]] belongs to source = \"file:…\"",
            )
            .hint("remove it: byok does not run a plan with a field that would have no effect")),
            (Self::Token(_), None) if keep != Keep::Extractable => Err(Error::usage(format!(
                "keep = {:?} is not possible with source = \"token\"",
                keep.name()
            ))
            .hint("byok neither seals nor destroys a key that it did not make: if the ceremony failed afterwards, byok could not undo that")
            .hint("write keep = \"extractable\"; if you want it sealed, use the HSM's own tool once the record is sealed")),
            _ => Ok(()),
        }
    }
}

/// In the plan's spelling.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hsm => f.write_str("hsm"),
            Self::Token(InToken::Label) => f.write_str("token"),
            Self::Token(InToken::Id(id)) => write!(f, "token:id={}", words::hex(id)),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_four_forms_are_read() {
        let parse = |text| Source::parse(Some(text), Path::new("base"));
        assert_eq!(Source::parse(None, Path::new("")).unwrap(), Source::Hsm);
        for text in ["hsm", "token", "token:id=0a1b", "file:base/k.bin"] {
            let base = Path::new("");
            let read = Source::parse(Some(text), base).unwrap();
            assert_eq!(read.to_string(), text);
        }
        let file = parse("file:k.bin").unwrap();
        assert_eq!(file, Source::File(PathBuf::from("base/k.bin")));
        let long = format!("token:id={}", "00".repeat(65));
        let mistyped = [
            "HSM",
            "DEADBEEF",
            "token:id=0",
            "token:id=xy",
            "token:label=a",
            &long,
        ];
        for text in mistyped {
            let refused = parse(text).unwrap_err();
            assert!(!refused.what.contains(text), "{refused:?}");
        }
        assert!(parse("").is_err() && parse("file:").is_err() && parse("token:id=").is_err());
    }
}
