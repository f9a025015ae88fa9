//! The escrow package: the data keys wrapped under the escrow key. It is JSON for programs, and text to print, to
//! copy by hand and to type back.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding as _};
use serde::Serialize;

use super::{Why, row_check};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::kwp_len;
use crate::ground::error::Error;
use crate::ground::strict_json::{self, Json};
use crate::ground::words;

/// The format's name.
pub(crate) const FORMAT: &str = "byok-escrow-package-v1";

/// The file's names in a record.
pub(crate) const JSON_FILE: &str = "escrow-package.json";

/// What people must not forget while shares are in use.
pub(crate) const KEEP: &str =
    "KEEP escrow-package.json in 3 places: without it no share opens anything.";
/// The same as text.
pub(crate) const TEXT_FILE: &str = "package.txt";

/// The most wrapped bytes that people type back by hand.
pub(crate) const LONGEST_TYPED: usize = 72;

/// Limits for the wrapped bytes of a private key: the shortest PKCS#8 is longer than the first, and a key of
/// RSA_4096 is half as long as the second.
const SHORTEST_WRAPPED: usize = 48;
const LONGEST_WRAPPED: usize = 5120;

/// Bytes of one row of the text: two groups of eight hex digits.
const ROW: usize = 8;

/// Wrapped data keys of one ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The ceremony's id, 32 hex digits.
    pub ceremony: String,
    /// In the plan's order.
    pub keys: Vec<PackedKey>,
}

/// One wrapped data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedKey {
    /// The data key's label.
    pub label: String,
    /// KMS key spec.
    pub spec: String,
    /// Length of an HMAC key in bits.
    pub bits: Option<usize>,
    /// Key check value of an AES key.
    pub kcv: Option<String>,
    /// Fingerprint in hex.
    pub fingerprint: String,
    /// The SubjectPublicKeyInfo of an Ed25519 key: an HSM may not tell it, and a signature does not reveal it.
    pub public_key: Option<Vec<u8>>,
    /// How it is wrapped.
    pub wrapping: KeyWrap,
    /// The data key under the escrow key.
    pub wrapped: Vec<u8>,
}

impl PackedKey {
    /// The text before its rows.
    fn head(&self) -> String {
        let bits = self.bits.map(|bits| format!(", {bits} bits"));
        let kcv = self.kcv.as_ref().map(|kcv| format!("KCV          {kcv}\n"));
        format!(
            "\ndata key     {}\nspec         {}{}\n{}fingerprint  {}\n{}, {} bytes\n",
            self.label,
            self.spec,
            bits.unwrap_or_default(),
            kcv.unwrap_or_default(),
            self.fingerprint,
            self.wrapping.name(),
            self.wrapped.len()
        )
    }

    /// Whether this can be a data key of this spec. Nobody knows who wrote it.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn is_of(&self, spec: Spec) -> Result<(), Why> {
        if self.spec != spec.name() {
            let told = words::printable(&self.spec);
            return Err(format!(
                "the package says that it is {told}, not {}",
                spec.name()
            ));
        }
        let bits = spec.secret_len().map(|bytes| bytes * 8);
        if self.bits.is_some_and(|told| Some(told) != bits) {
            let told = self.bits.unwrap_or_default();
            return Err(format!(
                "the package says that it has {told} bits, not {}",
                bits.unwrap_or_default()
            ));
        }
        if spec == Spec::Ed25519 && self.public_key.is_none() {
            return Err("it has no public_key".into());
        }
        let wrapping = KeyWrap::of(spec);
        if self.wrapping != wrapping {
            let (told, wanted) = (self.wrapping.name(), wrapping.name());
            return Err(format!(
                "it is wrapped with {told}, not with {wanted} ({spec})"
            ));
        }
        let len = self.wrapped.len();
        let fits = match spec.secret_len() {
            Some(bytes) => len == kwp_len(bytes),
            None => (SHORTEST_WRAPPED..=LONGEST_WRAPPED).contains(&len) && len.is_multiple_of(8),
        };
        match fits {
            true => Ok(()),
            false => Err(format!("{len} wrapped bytes do not fit {spec}")),
        }
    }
}

/// How a data key is wrapped under the escrow key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWrap {
    /// AES-KW (RFC 3394): secret keys with a multiple of 8 bytes.
    Exact,
    /// AES-KWP (RFC 5649): other lengths, and the PKCS#8 of private keys.
    Padded,
}

impl KeyWrap {
    /// The way for data keys of this spec.
    pub(crate) fn of(spec: Spec) -> Self {
        match spec.needs_padding() {
            true => Self::Padded,
            false => Self::Exact,
        }
    }

    /// Its name in a package.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "AES-KW",
            Self::Padded => "AES-KWP",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Exact, Self::Padded]
            .into_iter()
            .find(|wrap| wrap.name() == name)
    }
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    ceremony: &'a str,
    keys: Vec<WrittenKey<'a>>,
}

#[derive(Serialize)]
struct WrittenKey<'a> {
    label: &'a str,
    spec: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kcv: Option<&'a str>,
    fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    wrapping: &'static str,
    wrapped: String,
}

impl Package {
    /// The JSON file: one compact line.
    pub fn to_json(&self) -> String {
        let keys = self.keys.iter().map(|key| WrittenKey {
            label: &key.label,
            spec: &key.spec,
            bits: key.bits,
            kcv: key.kcv.as_deref(),
            fingerprint: &key.fingerprint,
            public_key: key.public_key.as_deref().map(Base64::encode_string),
            wrapping: key.wrapping.name(),
            wrapped: Base64::encode_string(&key.wrapped),
        });
        let written = Written {
            format: FORMAT,
            ceremony: &self.ceremony,
            keys: keys.collect(),
        };
        serde_json::to_string(&written)
            .map(|text| text + "\n")
            .unwrap_or_default()
    }

    /// Reads the JSON file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Why> {
        let json = strict_json::parse(bytes)?;
        if !json.is_plain() {
            return Err(
                "it has a character that cannot be shown, or a number that is not an integer"
                    .into(),
            );
        }
        let text = |json: &Json, name: &str| {
            json.get(name)
                .and_then(Json::as_str)
                .map(str::to_owned)
                .ok_or_else(|| format!("it has no {name}"))
        };
        let format = text(&json, "format")?;
        if format != FORMAT {
            return Err(format!("its format is {format:?}, not {FORMAT}"));
        }
        let listed = json
            .get("keys")
            .and_then(Json::as_array)
            .ok_or("it has no keys")?;
        let mut keys: Vec<PackedKey> = Vec::with_capacity(listed.len());
        for key in listed {
            let label = text(key, "label")?;
            if keys.iter().any(|other| other.label == label) {
                return Err(format!("it has {label:?} twice"));
            }
            let bits = key
                .get("bits")
                .map(|bits| bits.as_u64().ok_or("bits is not a number"));
            let wrapping = KeyWrap::parse(&text(key, "wrapping")?)
                .ok_or("a data key is wrapped in a way that this version does not know")?;
            let base64 = |name: &str| {
                Base64::decode_vec(&text(key, name)?).map_err(|_| format!("{name} is not base64"))
            };
            let public_key = key.get("public_key").map(|_| base64("public_key"));
            keys.push(PackedKey {
                label,
                spec: text(key, "spec")?,
                bits: bits
                    .transpose()?
                    .and_then(|bits| usize::try_from(bits).ok()),
                kcv: key.get("kcv").map(|_| text(key, "kcv")).transpose()?,
                fingerprint: text(key, "fingerprint")?,
                public_key: public_key.transpose()?,
                wrapping,
                wrapped: base64("wrapped")?,
            });
        }
        Ok(Self {
            ceremony: text(&json, "ceremony")?,
            keys,
        })
    }

    /// The package as text: for each data key, numbered rows of 16 hex digits with a check of four.
    pub fn to_text(&self) -> String {
        self.text(|_| true)
    }

    /// The text that is stapled to share forms. A data key that is too long to type has no rows there: it comes from
    /// the file, whose digest is on the page.
    pub(crate) fn to_page(&self) -> String {
        let is_typed = |key: &PackedKey| key.wrapped.len() <= LONGEST_TYPED;
        let text = self.text(is_typed);
        match self.keys.iter().all(is_typed) {
            true => text,
            false => {
                let digest = words::hex(&words::sha256(self.to_json().as_bytes()));
                format!("{text}\nSHA-256 of {JSON_FILE}:\n{digest}\n")
            }
        }
    }

    fn text(&self, has_rows: impl Fn(&PackedKey) -> bool) -> String {
        let mut text = format!("{FORMAT}\nceremony {}\n", self.ceremony);
        for key in &self.keys {
            text += &key.head();
            match has_rows(key) {
                true => text += &rows(&key.wrapped),
                false => text += &format!("too long to be typed: bring {JSON_FILE}\n"),
            }
        }
        text + "\nrow check: the first 4 hex digits of SHA-256 over \"row N DIGITS\", where N is\n\
                the row's number and DIGITS are its hex digits without the space.\n\
                Without a quorum of shares this opens nothing; without this no quorum does.\n"
    }

    /// Checks the text of a package: its ceremony, its labels, and whether every row fits its check.
    ///
    /// # Errors
    /// Which row is wrong, or what is missing.
    pub fn look_at_text(text: &str) -> Result<(String, Vec<String>), Why> {
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return Err(format!("its first line is not {FORMAT}"));
        }
        let after = |line: &str, name: &str| {
            line.strip_prefix(name)
                .map(|value| value.trim_start().to_owned())
        };
        let ceremony = lines.next().and_then(|line| after(line, "ceremony "));
        let (mut labels, mut row, mut rows) = (Vec::new(), 0, 0_usize);
        for line in lines {
            if let Some(label) = after(line, "data key ") {
                labels.push(label);
                row = 0;
            } else if let Some(len) = after(line, "AES-KW, ").or_else(|| after(line, "AES-KWP, ")) {
                let len: usize = len.trim_end_matches(" bytes").parse().unwrap_or_default();
                rows = rows.saturating_add(row_count(len));
            } else if let Some(typed) = after(line, &format!("row {:<2}  ", row + 1)) {
                row += 1;
                rows = rows.saturating_sub(1);
                read_row(row, &typed)?;
            }
        }
        match (ceremony, rows) {
            (None, _) => Err("it does not name a ceremony".into()),
            (_, 1..) => Err("a row is missing".into()),
            (Some(ceremony), 0) => Ok((ceremony, labels)),
        }
    }

    /// The data key with a label.
    ///
    /// # Errors
    /// Exit 4 if the package does not have it.
    pub(crate) fn packed(&self, label: &str) -> crate::ground::error::Result<&PackedKey> {
        let mut keys = self.keys.iter();
        keys.find(|key| key.label == label).ok_or_else(|| {
            Error::mismatch(format!("the escrow package holds no data key {label:?}"))
                .check("ESCROW-PACKAGE")
        })
    }
}

/// Whether people can type the package of a data key of this spec: it is a secret, and not too long.
pub(crate) fn can_be_typed(spec: Spec) -> bool {
    spec.secret_len()
        .is_some_and(|bytes| kwp_len(bytes) <= LONGEST_TYPED)
}

/// Numbered rows, each with its check.
fn rows(wrapped: &[u8]) -> String {
    let mut text = String::new();
    for (at, bytes) in wrapped.chunks(ROW).enumerate() {
        let digits = words::hex(bytes);
        let (left, right) = digits.split_at(digits.len().min(8));
        let _ = writeln!(
            text,
            "row {:<2}  {left} {right:<8}  check {}",
            at + 1,
            check(at + 1, &digits)
        );
    }
    text
}

/// How many rows this many wrapped bytes take.
pub(crate) fn row_count(wrapped_len: usize) -> usize {
    wrapped_len.div_ceil(ROW)
}

/// Reads one typed row: 16 hex digits and the four of its check, with any spacing and in upper or lower case, with or
/// without `row N` before them.
///
/// # Errors
/// Which part is wrong.
pub fn read_row(number: usize, typed: &str) -> Result<Vec<u8>, Why> {
    let typed = typed.to_ascii_lowercase();
    let (own, typed) = own_number(&typed);
    if let Some(own) = own.filter(|own| *own != number) {
        return Err(other_row(own, number));
    }
    let digits: String = typed
        .split_whitespace()
        .filter(|word| *word != "check")
        .collect();
    if digits.len() != ROW * 2 + 4 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!(
            "row {number} has 16 hex digits and then 4 of its check"
        ));
    }
    let (row, typed_check) = digits.split_at(ROW * 2);
    if check(number, row) != typed_check {
        let mut others = 1..=LONGEST_TYPED.div_ceil(ROW);
        if let Some(own) = others.find(|own| check(*own, row) == typed_check) {
            return Err(other_row(own, number));
        }
        return Err(format!("the check of row {number} does not fit its digits"));
    }
    words::unhex(row).ok_or_else(|| format!("row {number} is not hex"))
}

/// The number in `row 2 …`, and the rest.
fn own_number(typed: &str) -> (Option<usize>, &str) {
    let named = || {
        let after = typed.trim_start().strip_prefix("row")?.trim_start();
        let (number, rest) = after.split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, rest))
    };
    named().map_or((None, typed), |(number, rest)| (Some(number), rest))
}

fn other_row(typed: usize, asked: usize) -> Why {
    format!("that is row {typed}; row {asked} is asked for")
}

fn check(number: usize, digits: &str) -> String {
    row_check(&format!("row {number} {digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            ceremony: "00112233445566778899aabbccddeeff".into(),
            keys: vec![PackedKey {
                label: "payments-2026".into(),
                spec: "SYMMETRIC_DEFAULT".into(),
                bits: None,
                kcv: Some("F29000".into()),
                fingerprint: "ab".repeat(32),
                public_key: None,
                wrapping: KeyWrap::Exact,
                wrapped: (0..40).collect(),
            }],
        }
    }

    #[test]
    fn a_package_reads_back_from_json() {
        assert_eq!(
            Package::from_json(package().to_json().trim_end().as_bytes()).unwrap(),
            package()
        );
        assert!(
            Package::from_json(b"{\"format\":\"byok-escrow-package-v2\"}")
                .unwrap_err()
                .contains("v2")
        );
        assert!(Package::from_json(b"{}").unwrap_err().contains("no format"));
    }

    #[test]
    fn what_is_no_data_key_of_the_plan_is_told_by_what_differs() {
        let right = &package().keys[0];
        assert_eq!(right.is_of(Spec::DEFAULT), Ok(()));
        let is_of = |change: &dyn Fn(&mut PackedKey), spec| {
            let mut key = right.clone();
            change(&mut key);
            key.is_of(spec).unwrap_err()
        };
        let hmac = Spec::parse("HMAC_256").unwrap();
        assert!(is_of(&|_| {}, hmac).contains("it is SYMMETRIC_DEFAULT"));
        let padded = |key: &mut PackedKey| key.wrapping = KeyWrap::Padded;
        assert!(is_of(&padded, Spec::DEFAULT).contains("with AES-KWP"));
        let short = |key: &mut PackedKey| key.wrapped.truncate(24);
        assert!(is_of(&short, Spec::DEFAULT).contains("24 wrapped bytes"));
        let bits = |key: &mut PackedKey| key.bits = Some(128);
        assert!(is_of(&bits, Spec::DEFAULT).contains("it has 128 bits"));
        for len in [0, 40, 141, 8192] {
            let private = |key: &mut PackedKey| {
                key.spec = "ECC_NIST_P256".into();
                key.wrapping = KeyWrap::Padded;
                key.wrapped = vec![0; len];
            };
            assert!(is_of(&private, Spec::P256).contains("wrapped bytes do not fit key pair"));
        }
    }

    #[test]
    fn a_label_that_stands_there_twice_is_refused() {
        let mut twice = package();
        twice.keys.push(twice.keys[0].clone());
        let why = Package::from_json(twice.to_json().trim_end().as_bytes()).unwrap_err();
        assert!(why.contains("\"payments-2026\" twice"), "{why}");
    }

    #[test]
    fn its_rows_are_typed_back_one_by_one() {
        let text = package().to_text();
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("row ") && line.contains("check "))
            .collect();
        let rows: Vec<&str> = rows
            .into_iter()
            .filter(|line| !line.starts_with("row check"))
            .collect();
        assert_eq!(rows.len(), row_count(40));
        let mut wrapped = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let typed = row.split_once("  ").unwrap().1;
            wrapped.extend(read_row(at + 1, typed).unwrap());
        }
        assert_eq!(wrapped, package().keys[0].wrapped);
    }

    #[test]
    fn a_mistyped_digit_or_another_row_is_noticed() {
        let digits = "0001020304050607";
        let right = format!("{digits} {}", check(1, digits));
        assert!(read_row(1, &right.to_uppercase()).is_ok());
        for printed in [format!("row 1   {right}"), format!("Row 1 {right}")] {
            assert!(read_row(1, &printed).is_ok(), "{printed}");
            assert!(
                read_row(2, &printed)
                    .unwrap_err()
                    .starts_with("that is row 1;")
            );
        }
        assert!(
            read_row(2, &right)
                .unwrap_err()
                .starts_with("that is row 1;")
        );
        assert!(read_row(1, &right.replacen('1', "2", 1)).is_err());
        assert!(read_row(1, "0001").unwrap_err().contains("16 hex digits"));
    }
}
