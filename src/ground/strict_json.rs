//! JSON (RFC 8259), read strictly: a repeated key is refused, and the order of keys is kept.
//!
//! Two readers of an object with a repeated key may see two different values. What people compare by digest and
//! machines compare by value must have only one meaning, so byok refuses such objects.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::error::Category;

use crate::ground::words;

/// A JSON value. Objects keep the order of their keys, and have each key once.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number: 64-bit integer or 64-bit floating point.
    Number(serde_json::Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: members in the order of the text.
    Object(Vec<(String, Json)>),
}

/// Reads one JSON value that fills `bytes` (UTF-8, white space allowed around it).
///
/// Nesting is limited to 128 levels.
///
/// # Errors
/// Text that is not JSON, a repeated key (by name), bytes after the value, nesting that is too deep.
pub fn parse(bytes: &[u8]) -> Result<Json, Unread> {
    serde_json::from_slice(bytes).map_err(|error| Unread {
        fault: match error.classify() {
            Category::Eof => Fault::Ends,
            Category::Data => Fault::Repeats, // the only data error is the one made here
            Category::Syntax | Category::Io => Fault::Other,
        },
        why: error.to_string(),
    })
}

/// Why bytes were not read as JSON; its text says what is wrong, and in which line and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What is wrong.
    pub(crate) fault: Fault,
    why: String,
}

/// What is wrong with JSON, as far as people can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends too early.
    Ends,
    /// An object has a key twice.
    Repeats,
    /// It is something else.
    Other,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<Unread> for String {
    fn from(unread: Unread) -> Self {
        unread.why
    }
}

impl Json {
    /// The member `key` of an object; `None` if it is absent or if this is not an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        let members = self.as_object()?;
        let (_, value) = members.iter().find(|(name, _)| name == key)?;
        Some(value)
    }

    /// How often a member of this name is anywhere in the value.
    pub(crate) fn count(&self, name: &str) -> usize {
        match self {
            Self::Array(elements) => elements.iter().map(|element| element.count(name)).sum(),
            Self::Object(members) => members
                .iter()
                .map(|(member, value)| usize::from(member == name) + value.count(name))
                .sum(),
            _ => 0,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number without sign, point or exponent that fits in 64 bits.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// The elements of an array.
    pub(crate) fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// A member within others, by their names with spaces between.
    pub(crate) fn at(&self, path: &str) -> Option<&Json> {
        path.split(' ').try_fold(self, Json::get)
    }

    /// The members of an object, in order.
    pub(crate) fn as_object(&self) -> Option<&[(String, Json)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// What this is, for error texts: `a string`, `an object`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Whether every text in it can be shown, and every number is an integer of at most 15 digits, which every
    /// JSON reader reads as the same number. A transcript contains only such values.
    pub fn is_plain(&self) -> bool {
        match self {
            Json::Null | Json::Bool(_) => true,
            Json::Number(number) => number
                .as_i64()
                .is_some_and(|number| number.unsigned_abs() < 1_000_000_000_000_000),
            Json::String(text) => words::is_printable(text),
            Json::Array(items) => items.iter().all(Json::is_plain),
            Json::Object(members) => members
                .iter()
                .all(|(name, value)| words::is_printable(name) && value.is_plain()),
        }
    }

    /// The value without white space between tokens, exactly as `serde_json::to_string` writes it.
    ///
    /// A text is compact if and only if parsing it and writing it with this function gives the same text.
    pub fn to_compact_string(&self) -> String {
        // Writing to memory with string keys only has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(elements) => elements.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        let number = serde_json::Number::from_f64(value);
        number
            .map(Json::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut seen = BTreeSet::new();
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("duplicate key `{key}`")));
            }
            members.push((key, map.next_value()?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_refused_by_name_at_any_depth() {
        let top = parse(br#"{"a":1,"b":2,"a":1}"#).unwrap_err().to_string();
        assert_eq!(top, "duplicate key `a` at line 1 column 16");
        let deep = parse(br#"{"x":[{"k":1,"k":2}]}"#).unwrap_err().to_string();
        assert!(deep.starts_with("duplicate key `k`"), "{deep}");
        // The same key, once written plainly and once escaped.
        let escaped = parse(br#"{"a":1,"\u0061":2}"#).unwrap_err().to_string();
        assert!(escaped.starts_with("duplicate key `a`"), "{escaped}");
        assert!(parse(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn compact_text_comes_back_byte_for_byte() {
        for text in [
            r#"{"seq":1,"prev":"00","a":[true,false,null,-5,1.5,{}],"z":"\"\\\n\u0001é"}"#,
            "[]",
            "18446744073709551615",
            r#""x""#,
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().to_compact_string(), text);
        }
        let spaced = parse(br#" { "b" : 1 , "a" : 2 } "#).unwrap();
        assert_eq!(spaced.to_compact_string(), r#"{"b":1,"a":2}"#);
    }

    #[test]
    fn helpers_answer_only_for_their_kind() {
        let json = parse(br#"{"s":"t","n":7,"f":1.5,"b":true,"l":[1],"m":-1}"#).unwrap();
        assert_eq!(json.get("s").and_then(Json::as_str), Some("t"));
        assert_eq!(json.get("n").and_then(Json::as_u64), Some(7));
        assert_eq!(json.get("f").and_then(Json::as_u64), None);
        assert_eq!(json.get("m").and_then(Json::as_u64), None);
        assert_eq!(json.get("b"), Some(&Json::Bool(true)));
        let list = json.get("l").and_then(Json::as_array);
        assert_eq!(list.map(<[Json]>::len), Some(1));
        assert_eq!(json.get("absent"), None);
        assert_eq!(Json::Null.get("s"), None);
        assert_eq!(json.kind(), "an object");
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        let cut = parse(br#"{"a":"b"#).unwrap_err().to_string();
        assert!(cut.starts_with("EOF while parsing"), "{cut}");
        assert!(
            parse(b"{} {}")
                .unwrap_err()
                .to_string()
                .starts_with("trailing")
        );
        let fault = |text: &[u8]| parse(text).unwrap_err().fault;
        assert_eq!(fault(br#"{"a":"b"#), Fault::Ends);
        assert_eq!(fault(br#"{"a":1,"a":1}"#), Fault::Repeats);
        assert_eq!(fault(b"1e999"), Fault::Other);
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b"1e999").is_err());
        let deep = "[".repeat(100_000);
        let error = parse(deep.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("recursion limit exceeded"), "{error}");
    }
}
