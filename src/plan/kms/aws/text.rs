//! Text from people's shells: encodings, base64, and output that is not JSON.

use base64ct::{Base64, Encoding};

use crate::crypto::wrapping::key::is_pem;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::{self, Fault, Json, Unread};

/// What to do if the parameters themselves are faulty.
pub(super) const DOWNLOAD: &str =
    "download new import parameters, and bring the key and the token from the same download";
/// How to get the JSON form.
pub(crate) const AS_JSON: &str = "online: aws kms get-parameters-for-import --key-id KEY_ARN --wrapping-algorithm … --wrapping-key-spec … --output json";

/// The text in UTF-8, in UTF-8 with a byte-order mark, or in UTF-16 with one (which PowerShell's `>` writes). `None`:
/// not text.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        odd.is_empty().then(|| String::from_utf16(&units).ok())?
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// The white space of JSON and of base64 in lines; only this is ignored.
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The lines that `certutil -encode` on Windows puts around base64, whatever the content.
const ARMOUR: (&str, &str) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");

/// Standard, padded base64 (RFC 4648, section 4), in one line or several, with or without certutil's lines around it.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_matches(BLANKS);
    let armoured = text
        .strip_prefix(ARMOUR.0)
        .and_then(|text| text.strip_suffix(ARMOUR.1));
    let text = armoured.unwrap_or(text);
    if is_a_word(text) {
        // Four letters, so it is base64 too; queries and programs print it if they found nothing.
        return None;
    }
    Base64::decode_vec(&text.replace(BLANKS, "")).ok()
}

/// The bytes in a file of base64.
pub(crate) fn from_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    base64(&decode(bytes)?)
}

fn is_a_word(text: &str) -> bool {
    ["None", "null", "undefined", "NULL", "none", "Null"].contains(&text)
}

/// What a text is that should be something else, if byok knows.
pub(super) fn named(text: &str) -> Option<String> {
    let text = text.trim_matches(BLANKS);
    let blank = |c: char| BLANKS.contains(&c);
    let letters = |more: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c) || blank(c))
    };
    let first = text.lines().next().unwrap_or_default();
    let what = if text.is_empty() {
        "nothing".to_owned()
    } else if is_a_word(text) {
        format!("the word `{text}`: the query found nothing")
    } else if is_pem(text.as_bytes()) {
        format!("PEM text ({first})")
    } else if is_aws_error(text) {
        let beginning: String = first.chars().take(80).collect();
        format!("an error message of AWS ({beginning})")
    } else if text.starts_with('<') {
        "a page of HTML or XML".to_owned()
    } else if text.starts_with(['{', '[']) {
        "JSON".to_owned()
    } else if text.chars().all(|c| c.is_ascii_hexdigit() || blank(c)) {
        "hexadecimal digits".to_owned()
    } else if base64(text).is_some() {
        "base64 once more".to_owned()
    } else if letters("-_=") && text.contains(['-', '_']) {
        "base64 for URLs, with - and _ instead of + and /".to_owned()
    } else if letters("+/") {
        "base64 that is cut short or has lost its = at the end".to_owned()
    } else {
        return None;
    };
    Some(what)
}

/// Why [`base64`] cannot read a text.
pub(super) fn not_base64(text: &str) -> String {
    let it_is = named(text).map(|what| format!(": it is {what}"));
    format!("is not padded base64{}", it_is.unwrap_or_default())
}

fn is_aws_error(text: &str) -> bool {
    let signs = [
        "An error occurred (",
        "(AccessDenied",
        "\"__type\"",
        "aws: error:",
    ];
    signs.iter().any(|sign| text.contains(sign))
}

/// Reads a file that should hold one JSON object.
///
/// # Errors
/// Exit 2, by name: empty, binary, PEM, other output formats of the AWS CLI, its error messages, JSON that is cut
/// short, repeated keys, JSON of another kind.
pub(crate) fn object(bytes: &[u8]) -> Result<Json> {
    let text = decode(bytes).ok_or_else(|| not_text(bytes))?;
    let text = text.trim_matches(BLANKS);
    if text.is_empty() {
        return Err(Error::usage("is empty").hint(AS_JSON));
    }
    if !text.starts_with(['{', '[', '"']) {
        return Err(not_json(text));
    }
    let json = strict_json::parse(text.as_bytes()).map_err(|why| broken(&why))?;
    match json.as_object() {
        Some(_) => refuse_aws_error(json),
        None => Err(
            Error::usage(format!("holds {}, not a JSON object", json.kind()))
                .hint("keep the whole answer: do not use --query")
                .hint(AS_JSON),
        ),
    }
}

fn not_text(bytes: &[u8]) -> Error {
    match bytes {
        [0x1f, 0x8b, ..] => Error::usage("is compressed (gzip)").hint("gunzip it first"),
        [0x30, 0x80..=0x84, ..] => Error::usage(
            "is only a DER file; a public key needs the import token with it",
        )
        .hint("put PublicKey.bin and ImportToken.bin into one directory, and name that directory"),
        _ => Error::usage("is neither JSON nor a zip").hint(AS_JSON),
    }
}

/// What a text is that is not JSON.
fn not_json(text: &str) -> Error {
    let first = text.lines().next().unwrap_or_default();
    let rule = first.len() > 3 && first.bytes().all(|c| c == b'-');
    if is_pem(text.as_bytes()) {
        return Error::usage("is PEM text; the import token is missing").hint(AS_JSON);
    }
    if is_aws_error(text) {
        return aws_error(first);
    }
    let format = if first.split('\t').count() >= 3 {
        "text"
    } else if rule || first.starts_with(['|', '+']) {
        "table"
    } else if text.lines().any(is_yaml_member) {
        "yaml"
    } else if base64(text).is_some() {
        return Error::usage("is only base64: one of the two files, not both")
            .hint(
                "put PublicKey.b64 and ImportToken.b64 into one directory, and name that directory",
            )
            .hint(AS_JSON);
    } else {
        return Error::usage("is neither JSON nor a zip").hint(AS_JSON);
    };
    Error::usage(format!(
        "is AWS CLI output in the format `{format}`, not JSON"
    ))
    .hint("run the command again with --output json")
    .hint(AS_JSON)
}

fn is_yaml_member(line: &str) -> bool {
    let line = line.trim_start_matches("- ");
    let (key, _) = line.split_once(':').unwrap_or_default();
    [
        "ImportToken",
        "PublicKey",
        "ParametersValidTo",
        "KeyId",
        "KeyMetadata",
    ]
    .contains(&key)
}

fn broken(why: &Unread) -> Error {
    if why.fault == Fault::Ends {
        return Error::usage(format!("is cut short: {why}"))
            .hint("copy the file again and compare its size and SHA-256 with the online side");
    }
    if why.fault == Fault::Repeats {
        return Error::usage(format!("can be read in two ways: {why}"))
            .hint("no KMS answer repeats a key: find out who changed the file")
            .hint(DOWNLOAD);
    }
    Error::usage(format!("is not JSON: {why}")).hint(AS_JSON)
}

/// Returns the object, unless it is an error message of AWS.
fn refuse_aws_error(json: Json) -> Result<Json> {
    let inner = json.get("Error").or_else(|| json.get("error"));
    let is_error = inner.is_some() || json.get("__type").is_some();
    let object = inner.unwrap_or(&json);
    let member = |names: &[&str]| {
        let value = names.iter().find_map(|name| object.get(name))?;
        value.as_str()
    };
    let message = member(&["Message", "message"]);
    if !is_error && (message.is_none() || json.get("PublicKey").is_some()) {
        return Ok(json);
    }
    let code = member(&["__type", "Code", "code"]).unwrap_or("error");
    Err(aws_error(&format!("{code}: {}", message.unwrap_or("-"))))
}

fn aws_error(message: &str) -> Error {
    Error::usage(format!("is an error message of AWS ({message})"))
        .hint("let the online side correct what the message says, then download the import parameters again")
}
