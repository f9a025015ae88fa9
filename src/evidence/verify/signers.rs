//! Who may sign, from outside the record: OpenSSH's allowed signers file (ssh-keygen(1), "ALLOWED SIGNERS").
//!
//! A key's validity is judged at the time of the transcript's last line, so that a record stays authentic after
//! its key has expired. For that time there is only the record's own word, so a key that may be in the wrong hands
//! must be removed from the list.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::crypto::sshsig::PublicKey;
use crate::evidence::rules::limits;
use crate::ground::error::{Error, Result};
use crate::ground::files::read_at_most;
use crate::ground::words;

/// The keys of a list.
#[derive(Debug)]
pub struct AllowedSigners(Vec<Allowed>);

#[derive(Debug)]
struct Allowed {
    principals: String,
    key: PublicKey,
    options: Options,
}

#[derive(Debug, Default)]
struct Options {
    /// Patterns; if there are none, every namespace is allowed.
    namespaces: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl AllowedSigners {
    /// Reads a list.
    ///
    /// # Errors
    /// Exit 2 if the file cannot be read, or if byok does not understand a line; the error names it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let cannot = |why: String| Error::usage(format!("--signers {shown}: {why}"));
        let bytes = read_at_most(path, limits::LONGEST_LIST).map_err(|e| cannot(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| cannot("not UTF-8 text".into()))?;
        Self::parse(&text).map_err(|why| {
            cannot(why).hint(
                "a line is: NAME namespaces=\"byok-ceremony\" ecdsa-sha2-nistp256 AAAA…; see ssh-keygen(1), ALLOWED SIGNERS",
            )
        })
    }

    /// Reads the text of a list.
    ///
    /// # Errors
    /// The first line that byok does not understand.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut allowed = Vec::new();
        if text.contains('\0') {
            return Err("not text".into());
        }
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_matches(is_space);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let one = allowed_by(line).map_err(|why| format!("line {}: {why}", at + 1))?;
            allowed.push(one);
        }
        if allowed.is_empty() {
            return Err("it lists nobody".into());
        }
        Ok(Self(allowed))
    }

    /// Whose key this is, if it may sign for this purpose at this time.
    pub(super) fn principal(
        &self,
        key: &PublicKey,
        namespace: &str,
        at: Timestamp,
    ) -> Option<String> {
        let may = |one: &&Allowed| one.key == *key && one.options.refuses(namespace, at).is_none();
        let one = self.0.iter().find(may)?;
        Some(words::quoted(&one.principals))
    }

    /// Why this key may not sign.
    pub(super) fn why_not(&self, key: &PublicKey, namespace: &str, at: Timestamp) -> &'static str {
        let of_key = self.0.iter().filter(|one| one.key == *key);
        let refused = of_key
            .filter_map(|one| one.options.refuses(namespace, at))
            .next_back();
        refused.unwrap_or("not in the list")
    }
}

impl Options {
    fn refuses(&self, namespace: &str, at: Timestamp) -> Option<&'static str> {
        let fits = |patterns: &String| matches_list(patterns, namespace);
        if !self.namespaces.as_ref().is_none_or(fits) {
            return Some("listed for other namespaces");
        }
        if self.after.is_some_and(|after| at < after) {
            return Some("listed as valid only after this record's end");
        }
        if self.before.is_some_and(|before| at > before) {
            return Some("listed as valid only before this record's end");
        }
        None
    }
}

/// `principals [options] type base64 [comment]`.
fn allowed_by(line: &str) -> Result<Allowed, String> {
    let (principals, rest) = word(line)?;
    let (second, after) = word(rest)?;
    let (third, after_third) = word(after)?;
    let principals = principals_of(principals)?;
    let (key, options) = match PublicKey::from_words(second, third) {
        Some(key) => (key, Options::default()),
        None => {
            let options = options(second)?;
            let (base64, _) = word(after_third)?;
            let key = PublicKey::from_words(third, base64).ok_or("no public key")?;
            (key, options)
        }
    };
    Ok(Allowed {
        principals,
        key,
        options,
    })
}

/// Names, either all within one pair of quotation marks or without any. byok compares the names with nothing, so it
/// could not tell an excepted name (`!`) from the others.
fn principals_of(word: &str) -> Result<String, String> {
    let quoted = word.strip_prefix('"').and_then(|w| w.strip_suffix('"'));
    let principals = quoted.unwrap_or(word);
    if principals.contains('"') {
        return Err("quotation marks within the principals".into());
    }
    if principals.is_empty() {
        return Err("no principal".into());
    }
    if principals.split(',').any(|name| name.starts_with('!')) {
        return Err("a principal that begins with !".into());
    }
    Ok(principals.to_owned())
}

/// ASCII white space; other spaces are characters of a word.
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// The first word and the rest; spaces within double quotes belong to the word.
fn word(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim_start_matches(is_space);
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        !quoted && is_space(c)
    });
    if quoted && end.is_none() {
        return Err("a quotation mark is not closed".into());
    }
    Ok(text.split_at(end.unwrap_or(text.len())))
}

fn options(text: &str) -> Result<Options, String> {
    if text.is_empty() {
        return Err("no public key".into());
    }
    let mut options = Options::default();
    let mut quoted = false;
    let between = |c: char| {
        quoted ^= c == '"';
        !quoted && c == ','
    };
    // A comma at the end leaves an empty option, which is ignored.
    for option in text.split(between) {
        options.take(option)?;
    }
    Ok(options)
}

impl Options {
    /// Takes an option: each only once, its value within quotation marks and without any inside.
    fn take(&mut self, option: &str) -> Result<(), String> {
        let unknown = || format!("neither a public key nor a known option: {option:?}");
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let name = name.to_ascii_lowercase();
        if name == "cert-authority" {
            return Err("cert-authority: byok accepts keys, not certificates".into());
        }
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        let value = value.filter(|value| !value.contains(['"', '\\']));
        let value = value.ok_or_else(unknown)?;
        let twice = match name.as_str() {
            "namespaces" if value.is_empty() => return Err("namespaces is empty".into()),
            "namespaces" => self.namespaces.replace(value.to_owned()).is_some(),
            "valid-after" => self.after.replace(time(value)?).is_some(),
            "valid-before" => self.before.replace(time(value)?).is_some(),
            _ => return Err(unknown()),
        };
        match twice {
            true => Err(format!("{name} is given twice")),
            false => Ok(()),
        }
    }
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, then `Z`. Without `Z` it would be local time, and a record does
/// not know any place.
fn time(text: &str) -> Result<Timestamp, String> {
    let refuse = || format!("{text:?} is not a UTC time such as 20261122Z or 202611221142Z");
    let digits = text.strip_suffix('Z').ok_or_else(refuse)?;
    let known = [8, 12, 14].contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    if !known {
        return Err(refuse());
    }
    let number = |from: usize, to: usize| {
        let digits = digits.get(from..to).unwrap_or("0");
        digits.parse::<i16>().unwrap_or(-1)
    };
    let small = |from: usize| i8::try_from(number(from, from + 2)).unwrap_or(-1);
    DateTime::new(
        number(0, 4),
        small(4),
        small(6),
        small(8),
        small(10),
        small(12),
        0,
    )
    .and_then(|time| time.to_zoned(TimeZone::UTC))
    .map(|time| time.timestamp())
    .map_err(|_| refuse())
}

/// A list of patterns with `*`, `?` and a leading `!`, as ssh has them: a pattern that begins with `!` and matches
/// refuses, whatever else matches.
fn matches_list(patterns: &str, text: &str) -> bool {
    let mut fits = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if matches(not.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => fits |= matches(pattern.as_bytes(), text.as_bytes()),
        }
    }
    fits
}

/// `*` and `?` as in OpenSSH. The list is foreign input: the steps never exceed pattern length times text length.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star = None; // the last `*`, and where the rest was last tried
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((after, tried)) = star else {
                    return false;
                };
                star = Some((after, tried + 1));
                (at, from) = (after, tried + 1);
            }
        }
    }
    pattern[at..].iter().all(|one| *one == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        PublicKey::p256(&[4; 65]).to_string()
    }

    fn judge(line: &str) -> Result<Option<String>, String> {
        let list = AllowedSigners::parse(line)?;
        let at = "2026-11-22T11:42:00Z".parse().unwrap();
        Ok(list.principal(&PublicKey::p256(&[4; 65]), "byok-ceremony", at))
    }

    /// Tried by going back to every `*`, these would not end.
    #[test]
    fn many_stars_end() {
        let text = "a".repeat(10_000);
        assert!(matches("*a".repeat(200).as_bytes(), text.as_bytes()));
        for pattern in [
            "*a".repeat(200) + "b",
            "*".repeat(10_000) + "b",
            "*?".repeat(10_001),
        ] {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()));
        }
        assert!(matches("*".repeat(10_000).as_bytes(), text.as_bytes()));
    }

    #[test]
    fn a_line_allows_what_its_options_say() {
        let key = key();
        let allows = [
            "",
            "namespaces=\"byok-ceremony\"",
            "namespaces=\"git,byok-*\"",
            "NAMESPACES=\"*\",valid-after=\"20261122Z\",valid-before=\"20261123Z\"",
            "valid-after=\"202611221142Z\"",
            "valid-before=\"20261122114200Z\"",
        ];
        for options in allows {
            let line = format!("# a comment\n\n hsm-1,*@example.com {options} {key} a comment\n");
            let who = Ok(Some("hsm-1,*@example.com".to_owned()));
            assert_eq!(judge(&line), who, "{options}");
        }
        let refuses = [
            "namespaces=\"byok-rehearsal\"",
            "namespaces=\"!byok-ceremony,*\"",
            "valid-after=\"20261123Z\"",
            "valid-before=\"202611221141Z\"",
        ];
        for options in refuses {
            assert_eq!(
                judge(&format!("hsm {options} {key}")),
                Ok(None),
                "{options}"
            );
        }
        assert_eq!(
            judge(&format!("\"two words\" {key}")),
            Ok(Some("two words".into()))
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let key = key();
        let lines = [
            (
                format!("hsm cert-authority {key}"),
                "line 1: cert-authority",
            ),
            (
                format!("hsm {key}\nhsm touch-required {key}"),
                "line 2: neither",
            ),
            (
                format!("hsm valid-after=\"20261122\" {key}"),
                "not a UTC time",
            ),
            (
                format!("hsm valid-after=\"20261322Z\" {key}"),
                "not a UTC time",
            ),
            (format!("hsm namespaces=\"x {key}"), "not closed"),
            (format!("hsm valid-after=20261122Z {key}"), "neither"),
            ("hsm".into(), "no public key"),
            ("hsm ssh-ed25519 AAAA".into(), "line 1: neither"),
            (
                "hsm namespaces=\"x\" ssh-ed25519 AAAA".into(),
                "no public key",
            ),
            (String::new(), "lists nobody"),
            (format!("hsm\0 {key}"), "not text"),
            (format!("hsm,!x {key}"), "begins with !"),
            (format!("a\"b c\"d {key}"), "quotation marks within"),
            (format!("hsm namespaces=\"\" {key}"), "namespaces is empty"),
            (format!("hsm namespaces=\"a\"\"b\" {key}"), "neither"),
            (format!("hsm namespaces=\"a\", {key}"), "neither"),
            (
                format!("hsm valid-after=\"20200101Z\",Valid-After=\"20200101Z\" {key}"),
                "valid-after is given twice",
            ),
        ];
        for (line, says) in lines {
            let why = judge(&line).unwrap_err();
            assert!(why.contains(says), "{line}: {why}");
        }
    }
}
