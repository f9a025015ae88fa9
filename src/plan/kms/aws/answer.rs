//! The JSON answer of GetParametersForImport.

use jiff::Timestamp;

use super::text::{self, AS_JSON, DOWNLOAD};
use super::{Form, ImportParameters, bare};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::{WrappingKey, is_pem};
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::Json;
use crate::plan::kms::KeyArn;

/// The members that byok reads.
const MEMBERS: [&str; 6] = [
    "KeyId",
    "PublicKey",
    "ImportToken",
    "ParametersValidTo",
    "WrappingAlgorithm",
    "WrappingKeySpec",
];

/// Reads the answer; byok ignores unknown members.
pub(super) fn parse(bytes: &[u8]) -> Result<ImportParameters> {
    let json = text::object(bytes)?;
    refuse_other_answers(&json)?;
    refuse_nested(&json)?;
    let key_arn = KeyArn::parse(string(&json, "KeyId")?).and_then(KeyArn::in_its_partition);
    let key_arn = key_arn.map_err(|error| error.doing("KeyId"))?;
    let spki = blob(&json, "PublicKey")?;
    let token = blob(&json, "ImportToken")?;
    let parameters = bare(Form::Json, &spki, token)?;
    Ok(ImportParameters {
        key_arn: Some(key_arn),
        valid_to: valid_to(&json)?,
        wrapping_algorithm: algorithm(&json)?,
        wrapping_key_spec: key_spec(&json, &parameters.wrapping_key)?,
        ..parameters
    })
}

/// Refuses the answer of another operation, by name. GetPublicKey's is the dangerous one: it has a PublicKey too.
fn refuse_other_answers(json: &Json) -> Result<()> {
    let has = |name| json.get(name).is_some();
    let call = if has("ImportToken") {
        return Ok(());
    } else if has("KeyMetadata") {
        "DescribeKey or CreateKey"
    } else if has("KeyUsage") || has("SigningAlgorithms") || has("EncryptionAlgorithms") {
        "GetPublicKey"
    } else if has("KeyMaterialId") {
        "ImportKeyMaterial"
    } else {
        return Ok(());
    };
    Err(Error::usage(format!("is an answer of {call}, not import parameters")).hint(AS_JSON))
}

/// Only the members of the answer itself count. A simpler reader, such as a script, might take a member with the same
/// name inside another one.
fn refuse_nested(json: &Json) -> Result<()> {
    let members = json.as_object().unwrap_or_default();
    let Some(name) = members.iter().find_map(|(_, value)| known_inside(value)) else {
        return Ok(());
    };
    if json.get("ImportToken").is_none() {
        return Err(Error::usage(format!(
            "has its `{name}` inside another member: byok needs the answer itself"
        ))
        .hint(AS_JSON));
    }
    Err(Error::usage(format!(
        "has a `{name}` inside another member: it could mean two things"
    ))
    .hint("no KMS answer has that: find out who changed the file")
    .hint(DOWNLOAD))
}

/// A member with a known name anywhere in the value; the parser limits how deep that may be.
fn known_inside(value: &Json) -> Option<&'static str> {
    match value {
        Json::Array(elements) => elements.iter().find_map(known_inside),
        Json::Object(members) => members.iter().find_map(|(name, value)| {
            let known = MEMBERS.into_iter().find(|known| known == name);
            known.or_else(|| known_inside(value))
        }),
        _ => None,
    }
}

/// A member that must be present and a string.
pub(crate) fn string<'a>(json: &'a Json, name: &str) -> Result<&'a str> {
    let value = json.get(name).filter(|value| **value != Json::Null);
    let value = value.ok_or_else(|| missing(name))?;
    value
        .as_str()
        .ok_or_else(|| wrong_kind(name, "a string", value))
}

/// A string member that may be absent.
pub(crate) fn optional_string(json: &Json, name: &str) -> Result<Option<String>> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(_) => string(json, name).map(|text| Some(text.to_owned())),
    }
}

fn missing(name: &str) -> Error {
    Error::usage(format!("has no `{name}`")).hint(AS_JSON)
}

pub(crate) fn wrong_kind(name: &str, wanted: &str, value: &Json) -> Error {
    Error::usage(format!("`{name}` is {}, not {wanted}", value.kind())).hint(AS_JSON)
}

fn blob(json: &Json, name: &str) -> Result<Vec<u8>> {
    let text = string(json, name)?;
    if let Some(bytes) = text::base64(text) {
        return Ok(bytes);
    }
    if name == "PublicKey" && is_pem(text.as_bytes()) {
        // The check of the key has the better message.
        return Ok(text.as_bytes().to_vec());
    }
    Err(Error::usage(format!("`{name}` {}", text::not_base64(text))).hint(DOWNLOAD))
}

/// The time is absent if somebody reduced the answer to key and token; then the plan must give it.
fn valid_to(json: &Json) -> Result<Option<Timestamp>> {
    const NAME: &str = "ParametersValidTo";
    let time = match json.get(NAME) {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(text)) => written_time(text),
        Some(value @ Json::Number(_)) => time(value),
        Some(other) => return Err(wrong_kind(NAME, "a time", other)),
    };
    time.map(Some).ok_or_else(|| {
        Error::usage(format!("`{NAME}` is not a time"))
            .hint("it must be seconds since 1970, or ISO 8601 with an offset: \"2026-11-23T08:41:00Z\"")
            .hint(DOWNLOAD)
    })
}

/// ISO 8601 as the AWS CLI and tools around it write it, and nothing that could be read in two ways: a shell on the
/// online side reads the same forms.
fn written_time(text: &str) -> Option<Timestamp> {
    let (clock, rest) = text.split_at_checked(19)?;
    let is_clock = fits(clock, "dddd-dd-ddTdd:dd:dd") || fits(clock, "dddd-dd-dd dd:dd:dd");
    // Four-digit years only; a leap second is not a deadline.
    let usual = clock.starts_with(['1', '2']) && !clock.ends_with(":60");
    let zone = match rest.strip_prefix('.') {
        Some(rest) => {
            let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            (1..=9)
                .contains(&(rest.len() - zone.len()))
                .then_some(zone)?
        }
        None => rest,
    };
    (is_clock && usual && is_zone(zone)).then(|| text.parse().ok())?
}

fn is_zone(text: &str) -> bool {
    let Some(offset) = text.strip_prefix(['+', '-']) else {
        return text == "Z";
    };
    (fits(offset, "dd:dd") || fits(offset, "dddd")) && offset < "24"
}

/// Whether the text has this form: `d` stands for a digit, anything else for itself.
fn fits(text: &str, form: &str) -> bool {
    let same = |(c, wanted): (u8, u8)| match wanted {
        b'd' => c.is_ascii_digit(),
        _ => c == wanted,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(same)
}

/// A time as the AWS CLI prints it: version 1 in seconds since 1970, version 2 in ISO 8601.
pub(crate) fn time(value: &Json) -> Option<Timestamp> {
    match value {
        Json::Number(number) => number.as_f64().and_then(from_epoch),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Seconds since 1970, to the microsecond: a 64-bit float cannot hold more for present times.
fn from_epoch(seconds: f64) -> Option<Timestamp> {
    // The cast saturates; the next step refuses what is out of a timestamp's range.
    Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
}

fn algorithm(json: &Json) -> Result<Option<WrappingAlgorithm>> {
    let Some(name) = optional_string(json, "WrappingAlgorithm")? else {
        return Ok(None);
    };
    let why = match name.as_str() {
        "RSAES_PKCS1_V1_5" => "KMS has refused it since October 2023",
        "SM2PKE" => "byok cannot use SM2",
        _ => "it is not a known algorithm",
    };
    let refused = || {
        Error::usage(format!("`WrappingAlgorithm` is `{name}`: {why}")).hint(
            "download import parameters for RSAES_OAEP_SHA_256 or, if the material is long, RSA_AES_KEY_WRAP_SHA_256",
        )
    };
    name.parse().map(Some).map_err(|()| refused())
}

fn key_spec(json: &Json, key: &WrappingKey) -> Result<Option<String>> {
    let named = optional_string(json, "WrappingKeySpec")?;
    match named.as_deref() {
        Some(spec) if spec != key.spec() => Err(Error::mismatch(format!(
            "`WrappingKeySpec` says `{spec}`, but the public key is {}",
            key.spec()
        ))
        .check("WRAPPING-KEY-SPEC")
        .hint("the file contradicts itself: find out who changed it")
        .hint(DOWNLOAD)),
        _ => Ok(named),
    }
}
