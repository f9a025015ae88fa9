//! Digests for people to compare, and text that is safe to show.
//!
//! A SHA-256 digest is shown as eight numbered rows, each of eight hex digits and four words of the
//! PGP word list (P. Juola, P. Zimmermann, 1995): two people can read and compare a row aloud.

use std::fmt::Write as _;

use crate::ground::paint;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// How many rows a digest has.
pub(crate) const ROWS: usize = 8;

/// One line per byte value: the two-syllable word for even positions, the three-syllable word for odd ones.
const PGP_WORDS: &str = include_str!("words/pgp.txt");

/// SHA-256 of `bytes` (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// SHA-256 of everything that can be read, piece by piece.
///
/// # Errors
/// Whatever reading fails with.
pub(crate) fn sha256_of(mut from: impl std::io::Read) -> std::io::Result<Digest> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    let mut piece = [0; 64 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(len) => hasher.update(&piece[..len]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// SHA-256 of the running program, so that a record names the tool that made it.
///
/// # Errors
/// If the system does not let the program read itself.
pub(crate) fn own_digest() -> std::io::Result<Digest> {
    std::fs::File::open("/proc/self/exe").and_then(sha256_of)
}

/// A sentence with a capital first letter.
pub(crate) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The bytes of hex digits in upper or lower case, or `None` for anything else.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digit = |byte: u8| (byte as char).to_digit(16);
            Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
        })
        .collect()
}

/// The SHA-256 digest of 64 hex digits in upper or lower case, or `None` for anything else.
pub fn digest_from_hex(text: &str) -> Option<Digest> {
    unhex(text)?.try_into().ok()
}

/// The PGP word for `byte` at `position`.
pub(crate) fn pgp_word(byte: u8, position: usize) -> &'static str {
    let line = PGP_WORDS.lines().nth(byte.into()).unwrap_or_default();
    line.split(' ').nth(position % 2).unwrap_or_default()
}

/// Row `number` (1 to 8) of a digest, as shown: `6487 9f7d   flytrap liberty        quota insincere`.
pub fn row(digest: &Digest, number: usize) -> String {
    let bytes = row_bytes(digest, number);
    let pair = |at: usize| {
        format!(
            "{} {}",
            pgp_word(bytes[at], at),
            pgp_word(bytes[at + 1], at + 1)
        )
    };
    format!(
        "{} {}   {:<22} {}",
        hex(&bytes[..2]),
        hex(&bytes[2..]),
        pair(0),
        pair(2)
    )
}

/// All eight rows, numbered, each line indented by `indent` spaces.
pub fn rows(digest: &Digest, indent: usize) -> String {
    (1..=ROWS).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{:indent$}row {number}   {}", "", row(digest, number));
        text
    })
}

/// Whether a person typed row `number` of the digest: eight hex digits or four PGP words, in upper or lower case
/// and with any spacing.
pub(crate) fn is_row(typed: &str, digest: &Digest, number: usize) -> bool {
    let bytes = row_bytes(digest, number);
    let typed = typed.to_lowercase();
    let words: Vec<&str> = typed.split_whitespace().collect();
    let expected_words = (0..4).map(|at| pgp_word(bytes[at], at).to_lowercase());
    words.concat() == hex(bytes) || words.iter().copied().eq(expected_words)
}

/// Whether a person typed a row at all, right or wrong: eight hex digits or four words of the list.
pub fn looks_like_row(typed: &str) -> bool {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let digits = words.concat();
    digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit())
        || words.len() == 4 && hex_of_words(typed).is_some()
}

/// The hex digits of PGP words, whose positions are counted from an even one; `None` if a word is not in the list
/// of its position.
pub(crate) fn hex_of_words(text: &str) -> Option<String> {
    let of = |(position, word): (usize, &str)| {
        let is = |line: &str| {
            line.split(' ')
                .nth(position % 2)
                .is_some_and(|listed| listed.eq_ignore_ascii_case(word))
        };
        PGP_WORDS
            .lines()
            .position(is)
            .map(|byte| format!("{byte:02x}"))
    };
    text.split_whitespace().enumerate().map(of).collect()
}

/// Whether it is a PGP word, for any position.
pub(crate) fn is_listed(word: &str) -> bool {
    let mut listed = PGP_WORDS.split_whitespace();
    listed.any(|listed| listed.eq_ignore_ascii_case(word))
}

/// Why a word does not belong in its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unlisted {
    /// It is in neither list.
    Unknown,
    /// It is in the list of the other positions.
    Misplaced,
}

/// The first word that is not in the list of its position, counted from 1.
pub(crate) fn first_unlisted(text: &str) -> Option<(usize, Unlisted)> {
    let mut words = text.split_whitespace().enumerate();
    words.find_map(|(at, word)| {
        let mut listed = PGP_WORDS
            .lines()
            .filter_map(|line| line.split(' ').nth(at % 2));
        let fits = listed.any(|listed| listed.eq_ignore_ascii_case(word));
        let why = match is_listed(word) {
            true => Unlisted::Misplaced,
            false => Unlisted::Unknown,
        };
        (!fits).then_some((at + 1, why))
    })
}

fn row_bytes(digest: &Digest, number: usize) -> &[u8] {
    let start = (number - 1) * 4;
    &digest[start..start + 4]
}

/// Whether every character can be shown without moving the cursor, hiding, or reordering its neighbours: no control
/// characters, no bidirectional formatting, no zero-width characters, no line separators, no byte-order mark.
pub fn is_printable(text: &str) -> bool {
    text.chars().all(is_printable_char)
}

fn is_printable_char(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'))
}

/// One line of text, with everything that is not [printable](is_printable) written as `\u{…}`, including line
/// feeds: text from outside never looks like more lines than it is.
pub fn printable(text: &str) -> String {
    escaped(text, false)
}

/// The most characters of a record's text that are shown in one place: any digest, and any name that byok writes, is
/// shorter.
const MOST_QUOTED: usize = 160;

/// A record's text for the middle of byok's own words: [`printable`], with its blanks collapsed, and cut. So it
/// does not fill a screen, or look like a line of its own.
pub(crate) fn quoted(text: &str) -> String {
    cut(text, MOST_QUOTED)
}

/// A whole line that quotes such texts, cut so that a screen has room for byok's own words.
pub(crate) fn quoted_whole(line: &str) -> String {
    cut(line, 8 * MOST_QUOTED)
}

fn cut(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut after_blank = false;
    let mut room = most;
    for c in text.chars() {
        let blank = is_blank(c);
        if blank && after_blank {
            continue;
        }
        if room == 0 {
            shown.push('…');
            break;
        }
        after_blank = blank;
        room -= 1;
        shown.push(if blank { ' ' } else { c });
    }
    printable(&shown)
}

/// Whether the character is printable but invisible: all kinds of spaces, and letters that look like one.
fn is_blank(c: char) -> bool {
    let looks_so = matches!(
        c,
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    );
    looks_so || c.is_whitespace() && is_printable_char(c)
}

/// The system's own error text without the number that Rust's standard library adds for programmers: `No such file or
/// directory`, not `No such file or directory (os error 2)`.
pub(crate) fn without_os_number(text: &str) -> String {
    const BEGINS: &str = " (os error ";
    let mut parts = text.split(BEGINS);
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match rest.strip_prefix(')') {
            Some(rest) if rest.len() + 1 < part.len() => told += rest,
            _ => told += &format!("{BEGINS}{part}"), // somebody's own words
        }
    }
    told
}

/// One word for a shell with exactly this meaning.
pub(crate) fn shell_word(text: &str) -> String {
    format!("'{}'", printable(text).replace('\'', r"'\''"))
}

/// A path as a word for a shell, unquoted if it contains nothing special: people type what is shown.
pub(crate) fn shell_path(path: &std::path::Path) -> String {
    let shown = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    match !shown.is_empty() && !shown.starts_with('-') && shown.chars().all(is_plain) {
        true => shown,
        false => shell_word(&shown),
    }
}

/// A path within a sentence: one line, without what a terminal would take for anything but text.
pub(crate) fn path(path: &std::path::Path) -> String {
    printable(&path.display().to_string())
}

/// A whole screen: like [`printable`], but its own line feeds and [paint] stay.
pub(crate) fn screen(text: &str) -> String {
    escaped(text, true)
}

/// Compact JSON in which everything that is not [printable](is_printable) is JSON's own `\uXXXX`: it means the
/// same to a program, and controls no terminal.
pub(crate) fn json(compact: &str) -> String {
    let mut shown = String::with_capacity(compact.len());
    for c in compact.chars() {
        match is_printable_char(c) {
            true => shown.push(c),
            false => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

fn escaped(text: &str, keep_layout: bool) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut shown, c| {
            let is_layout = keep_layout && (c == '\n' || paint::is_edge(c));
            if is_layout || is_printable_char(c) {
                shown.push(c);
            } else {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            shown
        })
}

/// A list that does not outgrow its cell or line.
pub(crate) fn some<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shown_without_what_steers_a_terminal_and_means_the_same() {
        let text = "a\u{9b}2J\u{202e}b\u{e0041}é\u{1b}\n";
        let shown = json(&serde_json::to_string(text).unwrap());
        assert!(is_printable(&shown), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        let word = |path: &str| shell_path(std::path::Path::new(path));
        assert_eq!(word("records/2026-11_a.b"), "records/2026-11_a.b");
        assert_eq!(word("a b; rm -rf $HOME"), "'a b; rm -rf $HOME'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("-x"), "'-x'");
    }

    #[test]
    fn a_row_is_eight_hex_digits_and_four_words() {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&[0x64, 0x87, 0x9f, 0x7d]);
        assert_eq!(
            row(&digest, 1),
            "6487 9f7d   flytrap liberty        quota insincere"
        );
        assert!(is_row("64879F7D", &digest, 1));
        assert!(is_row(" Flytrap liberty  quota insincere ", &digest, 1));
        assert!(!is_row("flytrap liberty quota", &digest, 1));
        assert!(!is_row("", &digest, 1));
        assert!(!is_row("64879f7d", &digest, 2));
        assert_eq!(
            hex_of_words("flytrap Liberty quota insincere").as_deref(),
            Some("64879f7d")
        );
        assert_eq!(hex_of_words("liberty flytrap"), None);
        assert!(looks_like_row("0000 0000") && looks_like_row("quota insincere flytrap liberty"));
        assert!(!looks_like_row("b3e5a4b") && !looks_like_row("") && !looks_like_row("quota"));
    }

    #[test]
    fn the_word_list_is_whole_and_its_words_differ() {
        let words: std::collections::BTreeSet<_> = PGP_WORDS
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        assert_eq!(PGP_WORDS.lines().count(), 256);
        assert_eq!(words.len(), 512);
    }

    #[test]
    fn what_could_mislead_a_reader_is_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert!(is_printable("Zahlungsschlüssel 支払い"));
        assert!(!is_printable("x\ty"));
        assert_eq!(printable("a\nb"), "a\\u{a}b");
        assert_eq!(screen("a\nb"), "a\nb");
    }

    #[test]
    fn a_quoted_text_is_short_and_its_blanks_are_one() {
        assert_eq!(quoted("a  b \u{3000}\u{a0}\u{3164} c"), "a b c");
        assert_eq!(quoted("a\n\u{202e}b"), "a\\u{a}\\u{202e}b");
        let screens = format!("a{}verdict   authentic", " ".repeat(5000));
        assert_eq!(quoted(&screens), "a verdict authentic");
        assert_eq!(quoted(&"支".repeat(500)), "支".repeat(160) + "…");
    }

    #[test]
    fn hex_reads_back() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("123"), None);
        assert_eq!(unhex("é1"), None);
    }

    #[test]
    fn a_shell_word_is_quoted() {
        assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell_word("a\u{1b}b"), r"'a\u{1b}b'");
    }

    #[test]
    fn a_digest_has_64_hex_digits() {
        let digits = "aB".repeat(32);
        assert_eq!(digest_from_hex(&digits), Some([0xab; 32]));
        for wrong in [
            "",
            &digits[1..],
            &digits[2..],
            &(digits.clone() + "00"),
            &"ag".repeat(32),
        ] {
            assert_eq!(digest_from_hex(wrong), None, "{wrong:?}");
        }
    }
}
