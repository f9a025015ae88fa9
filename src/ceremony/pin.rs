//! PINs from files, descriptors and people. What cannot be meant as a PIN is refused before a try is spent on it,
//! and nothing of it is shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::crypto::locked::Locked;
use crate::ground::error::{Error, Result};
use crate::ground::files::open_regular;
use crate::ground::words;
use crate::hsm::machine;

/// The longest PIN that is read from a file or descriptor, in bytes, with its line end.
const LONGEST_PIN: usize = 1024;

/// Characters that people put around a text.
const QUOTES: &str =
    "\"'`\u{b4}\u{201c}\u{201d}\u{201e}\u{201f}\u{2018}\u{2019}\u{201a}\u{ab}\u{bb}";

/// Why a text is not a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAPin {
    /// Nothing is there, or only line ends.
    Empty,
    /// More than is read.
    Long,
    /// Two bytes a character, with or without a byte order mark.
    Utf16,
    /// A UTF-8 byte order mark comes first.
    ByteOrderMark,
    /// A zero byte.
    Nul,
    /// Something after the first line.
    Lines,
    /// Bytes that are not UTF-8, which PKCS#11 requires.
    NotUtf8,
    /// A control character, or one that nobody sees.
    Unseen,
    /// Quotation marks around it.
    Quotes,
    /// Blanks before or after it.
    Blanks,
    /// A name and `=` or `:` before it.
    Named,
    /// Digits that are not the ones on a PIN pad.
    Digits,
}

impl fmt::Display for NotAPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::Long => "it is longer than 1023 bytes",
            Self::Utf16 => "it is UTF-16, as PowerShell and Notepad write text",
            Self::ByteOrderMark => "it begins with a byte order mark, as Notepad writes one",
            Self::Nul => "it holds a zero byte",
            Self::Lines => "it has more than one line",
            Self::NotUtf8 => "it is not UTF-8 text",
            Self::Unseen => "it holds a control character, or one that cannot be seen",
            Self::Quotes => "it stands in quotation marks",
            Self::Blanks => "it begins or ends with a blank",
            Self::Named => "a name such as PIN= stands before it",
            Self::Digits => "it holds full-width digits, or those of another script",
        })
    }
}

impl NotAPin {
    /// What to do about a file.
    fn way_out(self) -> &'static str {
        match self {
            Self::Utf16 => "write it anew as UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW",
            Self::ByteOrderMark => "write it anew without the mark: tail -c +4 OLD > NEW",
            Self::Digits => "write it anew with the digits 0 to 9",
            Self::Named => {
                "take the name out; if it is part of the PIN, pin = \"prompt\" takes it as it is typed"
            }
            Self::Quotes | Self::Blanks => {
                "take them out; if they are part of the PIN, pin = \"prompt\" takes it as it is typed"
            }
            _ => "it must hold the PIN in one line of UTF-8 text, and nothing else",
        }
    }
}

/// Where the PIN ends in what a file holds: all line ends after it are dropped.
///
/// # Errors
/// Why it is not a PIN.
fn judge_file(bytes: &[u8]) -> std::result::Result<usize, NotAPin> {
    if is_utf16(bytes) {
        return Err(NotAPin::Utf16);
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(NotAPin::ByteOrderMark);
    }
    let line_ends = bytes.iter().rev();
    let line_ends = line_ends.take_while(|byte| matches!(byte, b'\n' | b'\r'));
    let pin = &bytes[..bytes.len() - line_ends.count()];
    if pin.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Err(NotAPin::Lines);
    }
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(pin.first()) || blank(pin.last()) {
        return Err(NotAPin::Blanks);
    }
    let text = judge(pin)?;
    let is_quote = |c: Option<char>| c.is_some_and(|c| QUOTES.contains(c));
    let mut characters = text.chars();
    if is_quote(characters.next()) && is_quote(characters.next_back()) {
        return Err(NotAPin::Quotes);
    }
    if text.trim().len() != text.len() {
        return Err(NotAPin::Blanks);
    }
    match has_a_name(text) {
        true => Err(NotAPin::Named),
        false => Ok(pin.len()),
    }
}

/// `PIN=`, `export BYOK_PIN=`, `pin:` and the like. A PIN may well hold `=`, but hardly after that word.
fn has_a_name(text: &str) -> bool {
    let before = |separator| text.split_once(separator).map_or("", |(before, _)| before);
    ['=', ':'].into_iter().map(before).any(|before| {
        let name = before.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let mut words = name.split(|c: char| !c.is_ascii_alphabetic());
        words.any(|word| {
            word.eq_ignore_ascii_case("pin") || word.ends_with("PIN") || word.ends_with("Pin")
        })
    })
}

/// Refuses what cannot be a PIN, however it was given. Quotation marks and blanks are taken as they are typed.
///
/// # Errors
/// Why it is not a PIN.
pub(super) fn judge(pin: &[u8]) -> std::result::Result<&str, NotAPin> {
    if pin.is_empty() {
        return Err(NotAPin::Empty);
    }
    if pin.contains(&0) {
        return Err(NotAPin::Nul);
    }
    let text = std::str::from_utf8(pin).map_err(|_| NotAPin::NotUtf8)?;
    // Keyboards have the small digits and fractions of Latin-1.
    let odd_digit = |c: char| c > '\u{ff}' && c.is_numeric();
    match words::is_printable(text) {
        true if text.contains(odd_digit) => Err(NotAPin::Digits),
        true => Ok(text),
        false => Err(NotAPin::Unseen),
    }
}

/// With a byte order mark, or because every second byte is zero.
fn is_utf16(bytes: &[u8]) -> bool {
    let zero = |at: usize| bytes.iter().skip(at).step_by(2).all(|byte| *byte == 0);
    let pairs = bytes.len() >= 2 && bytes.len().is_multiple_of(2);
    bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || pairs && (zero(0) || zero(1))
}

/// Whether a file holds a PIN; it is not kept.
///
/// # Errors
/// Exit 2 if the file cannot be read or holds no PIN.
pub(crate) fn look_at_pin_file(path: &Path) -> Result<()> {
    read_file(path).map(|_| ())
}

/// The PIN in a file.
///
/// # Errors
/// Exit 2 if the file cannot be read or holds no PIN.
pub(super) fn read_file(path: &Path) -> Result<Locked> {
    let what = format!("the PIN file {}", path.display());
    let mut file = open_regular(path).map_err(|e| {
        let error = Error::usage(format!("{what}: {e}"));
        match path.exists() && !path.is_file() {
            true => error.hint("for a pipe, use fd:N"),
            false => error,
        }
    })?;
    read(&mut file, &what)
}

/// The PIN that an inherited descriptor gives.
///
/// # Errors
/// As [`read_file`].
pub(super) fn read_descriptor(fd: i32) -> Result<Locked> {
    // Through /proc the descriptor is opened again, safely; a closed one is simply not there.
    let path = format!("/proc/self/fd/{fd}");
    let what = format!("the PIN from descriptor {fd}");
    let refuse =
        |why: String| Error::usage(format!("{what}: {why}")).hint("run with, say, 3<pin.txt");
    if !machine::was_given(fd) {
        // byok may have opened something under this number since: that is not a PIN
        return Err(refuse("No such file: byok was not started with it".into()));
    }
    let mut file = File::open(path).map_err(|e| refuse(e.to_string()))?;
    read(&mut file, &what)
}

/// Reads straight into locked memory.
fn read(from: &mut impl Read, what: &str) -> Result<Locked> {
    let mut buffer = Locked::zeroed(LONGEST_PIN)?;
    let mut len = 0;
    loop {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::usage(format!("{what}: {e}"))),
        }
    }
    let judged = match len {
        LONGEST_PIN => Err(NotAPin::Long),
        _ => judge_file(&buffer[..len]),
    };
    let pin = judged.map_err(|why| {
        Error::usage(format!("{what}: {why}"))
            .check("PIN-FORM")
            .hint("nothing was tried: no PIN went to the HSM")
            .hint(why.way_out())
    })?;
    buffer.truncated(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_dropped_and_whatever_else_is_no_pin_is_named() {
        for whole in [
            "4711",
            "4711\n",
            "4711\r\n",
            "4711\n\n",
            "4711\r\n\r\n",
            "4711\r",
        ] {
            assert_eq!(judge_file(whole.as_bytes()), Ok(4), "{whole:?}");
        }
        for pin in [
            "a b",
            "1",
            "\"",
            "'x",
            "pässwört",
            "=#!",
            "a=b",
            "shopping=7",
            "x²½",
            "Ключ",
            "=pin",
            "PIN",
            "pincode",
        ] {
            assert_eq!(judge_file(pin.as_bytes()), Ok(pin.len()), "{pin:?}");
        }
        for (bytes, why) in [
            (&b""[..], NotAPin::Empty),
            (b"\n\r\n", NotAPin::Empty),
            (b"\xef\xbb\xbf4711", NotAPin::ByteOrderMark),
            (b"\xff\xfe4\x007\x00", NotAPin::Utf16),
            (b"\xfe\xff\x004\x007", NotAPin::Utf16),
            (b"4\x007\x00\n\x00", NotAPin::Utf16),
            (b"\x004\x007", NotAPin::Utf16),
            (b"47\x0011", NotAPin::Nul),
            (b"4711\x00", NotAPin::Nul),
            (b"4711\nmine", NotAPin::Lines),
            (b"\n4711", NotAPin::Lines),
            (b"47\r11", NotAPin::Lines),
            (b"p\xe4ss", NotAPin::NotUtf8),
            (b"47\x1b11", NotAPin::Unseen),
            ("47\u{200b}11".as_bytes(), NotAPin::Unseen),
            (b"\"4711\"\n", NotAPin::Quotes),
            (b"'4711'", NotAPin::Quotes),
            ("\u{201e}4711\u{201c}".as_bytes(), NotAPin::Quotes),
            (b" 4711", NotAPin::Blanks),
            (b"4711 \n", NotAPin::Blanks),
            (b"4711\t", NotAPin::Blanks),
            ("4711\u{a0}".as_bytes(), NotAPin::Blanks),
            (b"PIN=4711\n", NotAPin::Named),
            (b"pin=4711", NotAPin::Named),
            (b"export BYOK_PIN=4711", NotAPin::Named),
            (b"HSM_PIN_1=4711", NotAPin::Named),
            (b"userPin = 4711", NotAPin::Named),
            (b"Pin: 4711", NotAPin::Named),
            (b"set PIN=4711", NotAPin::Named),
            (b"$env:PIN=\"4711\"", NotAPin::Named),
            (b"{\"pin\": \"4711\"}", NotAPin::Named),
            (b"pin-value=4711", NotAPin::Named),
            (
                "\u{ff14}\u{ff17}\u{ff11}\u{ff11}".as_bytes(),
                NotAPin::Digits,
            ),
            ("\u{664}\u{667}\u{661}\u{661}".as_bytes(), NotAPin::Digits),
        ] {
            assert_eq!(judge_file(bytes), Err(why), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_typed_may_have_marks_and_blanks_around_it() {
        for pin in ["\"4711\"", " 4711 "] {
            assert_eq!(judge(pin.as_bytes()), Ok(pin));
        }
        assert_eq!(judge(b"\x1b[D"), Err(NotAPin::Unseen));
        assert_eq!(judge(b""), Err(NotAPin::Empty));
    }
}
