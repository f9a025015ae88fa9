//! The answers of DescribeKey and CreateKey.

use crate::ground::error::{Error, Result};
use crate::ground::strict_json::Json;
use crate::plan::kms::KeyArn;
use crate::plan::kms::aws::{optional_string, string, text, wrong_kind};

const DESCRIBE: &str = "online: aws kms describe-key --key-id KEY_ARN --output json";

/// What KMS says about a key (`KeyMetadata` of the AWS API).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMetadata {
    /// The key's ARN.
    pub arn: KeyArn,
    /// `KeySpec`, such as `SYMMETRIC_DEFAULT`.
    pub key_spec: String,
    /// `KeyUsage`, such as `ENCRYPT_DECRYPT`.
    pub key_usage: String,
    /// `Origin`; only `EXTERNAL` accepts imported material.
    pub origin: String,
    /// `KeyState`, such as `PendingImport`.
    pub key_state: String,
    /// Whether this is a multi-Region key.
    pub multi_region: bool,
    /// `Description`, if there is one.
    pub description: Option<String>,
    /// `PRIMARY` or `REPLICA` (`MultiRegionConfiguration.MultiRegionKeyType`), if the answer says so.
    pub multi_region_type: Option<String>,
    /// `CurrentKeyMaterialId`, if the answer has it: the KMS key has, or had, material.
    pub current_key_material_id: Option<String>,
}

/// Reads the JSON answer of DescribeKey or CreateKey; text encodings as for import parameters.
///
/// # Errors
/// Exit 2: not such an answer, a member missing or of the wrong kind. Exit 4: the answer contradicts
/// itself.
pub fn describe_key(bytes: &[u8]) -> Result<KeyMetadata> {
    metadata(bytes).map_err(|mut error| {
        // The hints of these functions are about import parameters.
        error.hints.retain(|hint| hint != text::AS_JSON);
        error.hint(DESCRIBE)
    })
}

fn metadata(bytes: &[u8]) -> Result<KeyMetadata> {
    let json = text::object(bytes)?;
    let data = key_metadata(&json)?;
    let arn = KeyArn::parse(string(data, "Arn")?).map_err(|error| error.doing("Arn"))?;
    judge_id(data, &arn)?;
    let own = |name| string(data, name).map(str::to_owned);
    Ok(KeyMetadata {
        key_spec: key_spec(data)?,
        key_usage: own("KeyUsage")?,
        origin: own("Origin")?,
        key_state: own("KeyState")?,
        multi_region: multi_region(data, &arn)?,
        description: optional_string(data, "Description")?,
        multi_region_type: told(data.get("MultiRegionConfiguration"), "MultiRegionKeyType"),
        current_key_material_id: told(Some(data), "CurrentKeyMaterialId"),
        arn,
    })
}

/// A member that byok can do without, in an answer of any age.
fn told(json: Option<&Json>, name: &str) -> Option<String> {
    let text = json?.get(name)?.as_str()?;
    Some(text.to_owned())
}

fn key_metadata(json: &Json) -> Result<&Json> {
    match json.get("KeyMetadata") {
        Some(data @ Json::Object(_)) => Ok(data),
        Some(other) => Err(wrong_kind("KeyMetadata", "an object", other)),
        None if json.get("ImportToken").is_some() => Err(Error::usage(
            "is import parameters, not an answer of DescribeKey or CreateKey",
        )),
        None => Err(Error::usage("has no `KeyMetadata`")),
    }
}

/// `KeySpec`; answers from before 2021 call it `CustomerMasterKeySpec`.
fn key_spec(data: &Json) -> Result<String> {
    let old = optional_string(data, "CustomerMasterKeySpec")?;
    match (optional_string(data, "KeySpec")?, old) {
        (Some(new), Some(old)) if new != old => Err(contradiction(format!(
            "`KeySpec` is `{new}`, but `CustomerMasterKeySpec` is `{old}`"
        ))),
        (Some(spec), _) | (None, Some(spec)) => Ok(spec),
        (None, None) => string(data, "KeySpec").map(str::to_owned),
    }
}

fn judge_id(data: &Json, arn: &KeyArn) -> Result<()> {
    match optional_string(data, "KeyId")? {
        Some(id) if id != arn.key_id() => Err(contradiction(format!(
            "`KeyId` is `{id}`, but `Arn` names `{}`",
            arn.key_id()
        ))),
        _ => Ok(()),
    }
}

fn multi_region(data: &Json, arn: &KeyArn) -> Result<bool> {
    match data.get("MultiRegion") {
        None | Some(Json::Null) => Ok(arn.is_multi_region()),
        Some(Json::Bool(said)) if *said == arn.is_multi_region() => Ok(*said),
        Some(Json::Bool(said)) => Err(contradiction(format!(
            "`MultiRegion` is {said}, but `Arn` names `{}`",
            arn.key_id()
        ))),
        Some(other) => Err(wrong_kind("MultiRegion", "true or false", other)),
    }
}

fn contradiction(what: String) -> Error {
    Error::mismatch(format!("contradicts itself: {what}"))
        .hint("find out who changed the file, and ask KMS again")
}

#[cfg(test)]
mod tests;
