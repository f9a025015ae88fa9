//! Answers of KMS, CloudTrail or an `import.sh`; byok tells them apart by content, never by the file's name.
//!
//! Text is UTF-8, or UTF-8 or UTF-16 with a byte-order mark (which PowerShell's `>` writes). Source of the shapes:
//! AWS KMS API 2014-11-01 as the AWS CLI prints it with `--output json`; CloudTrail's event record, its log file
//! (`Records`) and the answer of LookupEvents (`Events`).

use jiff::Timestamp;

use super::elsewhere;
use super::engine::EngineKey;
use crate::evidence::receipts::describe::{KeyMetadata, describe_key};
use crate::evidence::transcript::{self, KeyName};
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::{self, Json};
use crate::plan::kms::aws;
use crate::plan::kms::aws::text;

/// The format that `import.sh` writes.
const IMPORT_RESULT: &str = "byok-import-result-v1";

/// An answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A result file of `import.sh`: which import it ran, and what happened.
    ImportResult(ImportResult),
    /// The bare answer of ImportKeyMaterial.
    ImportKeyMaterial {
        /// The KMS key, by id or ARN.
        key_id: String,
        /// KMS's id for the material; older APIs do not say.
        key_material_id: Option<String>,
    },
    /// The answer of DescribeKey.
    DescribeKey {
        /// KMS's facts about the key.
        metadata: KeyMetadata,
        /// `CurrentKeyMaterialId`.
        current: Option<String>,
    },
    /// The answer of ListKeyRotations.
    ListKeyRotations {
        /// The KMS key that was asked about, by ARN, if somebody wrote it beside the answer (`KeyId`).
        asked: Option<String>,
        /// Its list.
        rotations: Vec<Rotation>,
    },
    /// The answer of GenerateMac.
    GenerateMac(MacAnswer),
    /// The answer of GetPublicKey.
    GetPublicKey(PublicKeyAnswer),
    /// What another KMS tells about a key, or what it computed.
    EngineKey(Box<EngineKey>),
    /// CloudTrail events, only those of KMS.
    CloudTrail(Vec<TrailEvent>),
}

/// An answer, and who gave it.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    /// The endpoints that were given, if somebody wrote them beside the answers, as the scripts do; for AWS's own,
    /// none is written.
    pub(crate) endpoints: Vec<String>,
}

impl Answered {
    /// Reads one file.
    ///
    /// # Errors
    /// As [`Answer::read`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let json = parsed(bytes)?;
        let answer = Answer::of(&json, bytes)?;
        let endpoints = match &answer {
            Answer::ImportResult(result) => result.endpoint.iter().cloned().collect(),
            _ => {
                let answers = json.as_array().unwrap_or(std::slice::from_ref(&json));
                let told = answers.iter();
                told.filter_map(|json| as_text(json, "endpoint")).collect()
            }
        };
        Ok(Self { answer, endpoints })
    }
}

/// A file of the format `byok-import-result-v1`.
#[derive(Clone, Debug)]
pub struct ImportResult {
    /// The ceremony whose script ran.
    pub ceremony: String,
    /// The data key's label.
    pub label: String,
    /// The import's name.
    pub import: String,
    /// The KMS key into which the script imported.
    pub(crate) kms_key: KeyName,
    /// The KMS key that answered; AWS CLIs before 2025 do not show it.
    pub key_id: Option<String>,
    /// KMS's id for the material; likewise.
    pub key_material_id: Option<String>,
    /// The exit code of the AWS CLI.
    pub exit: u64,
    /// When the script ended, by that computer's clock.
    pub at: Timestamp,
    /// The options that were given to the script, such as a profile's name.
    pub arguments: Option<String>,
    /// The endpoint that was given, without any password in it; `None`: AWS's own.
    pub endpoint: Option<String>,
    /// The account of the credentials; older scripts do not say.
    pub account: Option<String>,
    /// What `aws --version` said.
    pub cli: Option<String>,
    /// Why the KMS showed nothing that proves the data key, if it was asked.
    pub(crate) unproved: Option<String>,
    /// What any other KMS told about the key right after it.
    pub(crate) engine: Box<EngineKey>,
}

/// The answer of GenerateMac. Its contents are judged for HMAC keys only.
#[derive(Clone, Debug)]
pub struct MacAnswer {
    /// The KMS key, by id or ARN.
    pub key_id: String,
    /// `Mac`, in base64.
    pub mac: Option<String>,
    /// `MacAlgorithm`, such as `HMAC_SHA_256`.
    pub algorithm: Option<String>,
}

/// The answer of GetPublicKey. Its contents are judged for key pairs only.
#[derive(Clone, Debug)]
pub struct PublicKeyAnswer {
    /// The KMS key, by id or ARN.
    pub key_id: String,
    /// `PublicKey`: the SubjectPublicKeyInfo (DER) in base64.
    pub public_key: Option<String>,
    /// `KeySpec`, such as `ECC_NIST_P256`.
    pub key_spec: Option<String>,
}

/// One entry of ListKeyRotations.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The KMS key, by id or ARN.
    pub key_id: String,
    /// KMS's id for the material.
    pub key_material_id: String,
    /// `CURRENT`, `NON_CURRENT`, `PENDING_ROTATION` or `PENDING_MULTI_REGION_IMPORT_AND_ROTATION`.
    pub state: Option<String>,
    /// Its other members, if they are as they should be.
    pub more: RotationMore,
}

/// The members of an entry of ListKeyRotations besides id and state. byok judges nothing by them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RotationMore {
    /// `IMPORTED` or `PENDING_IMPORT`.
    pub import_state: Option<String>,
    /// When KMS deletes the material.
    pub expires: Option<Timestamp>,
    /// Whether `ExpirationModel` says that it never does.
    pub never_expires: bool,
    /// `KeyMaterialDescription`.
    pub description: Option<String>,
}

/// One event of CloudTrail.
#[derive(Clone, Debug)]
pub struct TrailEvent {
    /// `eventName`.
    pub name: String,
    /// `eventTime`.
    pub at: Timestamp,
    /// `awsRegion`.
    pub region: Option<String>,
    /// The KMS keys in it, by id or ARN.
    pub key_ids: Vec<String>,
    /// KMS's id for the material.
    pub key_material_id: Option<String>,
    /// `importType` of the request.
    pub import_type: Option<String>,
    /// `errorCode`: KMS refused.
    pub error: Option<String>,
}

impl Answer {
    /// Reads one file.
    ///
    /// # Errors
    /// Exit 2: not text, not one JSON object, an error message of AWS, import parameters, or no answer that byok
    /// knows. Exit 4: an answer that contradicts itself.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        Self::of(&parsed(bytes)?, bytes)
    }

    fn of(json: &Json, bytes: &[u8]) -> Result<Self> {
        let has = |name| json.get(name).is_some();
        if json.get("format").and_then(Json::as_str) == Some(IMPORT_RESULT) {
            import_result(json).map(Self::ImportResult)
        } else if has("KeyMetadata") {
            described(json, bytes)
        } else if has("Rotations") {
            rotations(json)
        } else if has("Mac") {
            Ok(Self::GenerateMac(MacAnswer {
                key_id: text_of(json, "KeyId")?,
                mac: as_text(json, "Mac"),
                algorithm: as_text(json, "MacAlgorithm"),
            }))
        } else if json.as_array().is_some() || TRAIL.into_iter().any(has) {
            trail(json).map(Self::CloudTrail)
        } else if has("ImportToken") {
            Err(Error::usage("is import parameters, not a receipt").hint(KNOWN))
        } else if has("PublicKey") {
            Ok(Self::GetPublicKey(PublicKeyAnswer {
                key_id: text_of(json, "KeyId")?,
                public_key: as_text(json, "PublicKey"),
                key_spec: as_text(json, "KeySpec"),
            }))
        } else if has("KeyMaterialId") {
            Ok(Self::ImportKeyMaterial {
                key_id: text_of(json, "KeyId")?,
                key_material_id: material_id(json, "KeyMaterialId")?,
            })
        } else if let Some(key) = elsewhere::answered(json) {
            key.map(|key| Self::EngineKey(Box::new(key)))
        } else {
            Err(Error::usage("is not an answer that byok knows").hint(KNOWN))
        }
    }

    /// The name of the operation that answered.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ImportResult(result) => match result.kms_key {
                KeyName::Arn(_) => IMPORT_KEY_MATERIAL,
                KeyName::Other(_) => IMPORT,
            },
            Self::ImportKeyMaterial { .. } => IMPORT_KEY_MATERIAL,
            Self::EngineKey(_) => ENGINE_KEY,
            Self::DescribeKey { .. } => "DescribeKey",
            Self::ListKeyRotations { .. } => "ListKeyRotations",
            Self::GenerateMac(_) => GENERATE_MAC,
            Self::GetPublicKey(_) => GET_PUBLIC_KEY,
            Self::CloudTrail(_) => "CloudTrail",
        }
    }
}

/// The name of the import into AWS KMS.
pub(super) const IMPORT_KEY_MATERIAL: &str = "ImportKeyMaterial";
/// The name of an import into any other KMS.
pub(super) const IMPORT: &str = "import";
/// The name of what any other KMS tells about a key.
pub(super) const ENGINE_KEY: &str = "engine key";
/// The name of the operation that proves HMAC material.
pub(super) const GENERATE_MAC: &str = "GenerateMac";
/// The name of the operation that proves a private key.
pub(super) const GET_PUBLIC_KEY: &str = "GetPublicKey";

const KNOWN: &str = "a receipt is an import-result*.json of import.sh, or JSON of ImportKeyMaterial, DescribeKey, \
                     ListKeyRotations, GenerateMac, GetPublicKey or CloudTrail; from OpenBao or Vault of \
                     `read -format=json MOUNT/keys/NAME`, or `write -format=json MOUNT/hmac/NAME/sha2-N` or MOUNT/decrypt/NAME; \
                     from Azure of `az keyvault key show` or `decrypt`; from Google of `gcloud kms keys versions describe` or of the \
                     API's publicKey, macSign or rawDecrypt; from OCI of `oci kms management key-version get`";

/// How a file begins that was compressed with gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The members of an object that contains CloudTrail events, or is one.
const TRAIL: [&str; 5] = [
    "eventSource",
    "Records",
    "Events",
    "CloudTrailEvent",
    "detail",
];

/// The text of a file, as [`json_or_lines`].
fn parsed(bytes: &[u8]) -> Result<Json> {
    if bytes.starts_with(GZIP) {
        return Err(Error::usage("is compressed (gzip)").hint("unpack it first: gunzip FILE"));
    }
    let text = text::decode(bytes).ok_or_else(|| Error::usage("is not text"))?;
    json_or_lines(&text)
}

/// One JSON value, or one on each line; those become an array.
fn json_or_lines(text: &str) -> Result<Json> {
    strict_json::parse(text.as_bytes()).or_else(|why| {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let lines: Result<Vec<Json>, _> = lines
            .map(|line| strict_json::parse(line.as_bytes()))
            .collect();
        match lines {
            Ok(lines) if lines.len() > 1 => Ok(Json::Array(lines)),
            _ => Err(Error::usage(format!("is not JSON: {why}")).hint(KNOWN)),
        }
    })
}

fn optional(json: &Json, name: &str) -> Result<Option<String>> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(Error::usage(format!(
            "`{name}` is {}, not a string",
            other.kind()
        ))),
    }
}

/// A string member, if it is there; the code that needs it reports that it is missing.
fn as_text(json: &Json, name: &str) -> Option<String> {
    json.get(name).and_then(Json::as_str).map(str::to_owned)
}

fn text_of(json: &Json, name: &str) -> Result<String> {
    optional(json, name)?.ok_or_else(|| Error::usage(format!("has no `{name}`")))
}

/// 64 lower-case hex digits, as the API says.
fn material_id(json: &Json, name: &str) -> Result<Option<String>> {
    let id = optional(json, name)?;
    match &id {
        Some(id) if !is_material_id(id) => Err(Error::usage(format!(
            "`{name}` is not 64 lower-case hex digits"
        ))),
        _ => Ok(id),
    }
}

fn is_material_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

fn import_result(json: &Json) -> Result<ImportResult> {
    let exit = json.get("exit").and_then(Json::as_u64);
    let arguments = optional(json, "arguments")?;
    let endpoint = optional(json, "endpoint")?;
    let at = transcript::time(&text_of(json, "at")?);
    Ok(ImportResult {
        ceremony: text_of(json, "ceremony")?,
        label: text_of(json, "label")?,
        import: text_of(json, "import")?,
        kms_key: match (optional(json, "key_arn")?, optional(json, "key")?) {
            (Some(arn), None) => KeyName::Arn(arn),
            (None, Some(key)) => KeyName::Other(key),
            (None, None) => return Err(Error::usage("has no `key_arn` and no `key`")),
            (Some(_), Some(_)) => return Err(Error::usage("names two keys, `key_arn` and `key`")),
        },
        engine: Box::new(elsewhere::in_result(json)?),
        key_id: optional(json, "KeyId")?,
        key_material_id: material_id(json, "KeyMaterialId")?,
        exit: exit.ok_or_else(|| Error::usage("has no exit code"))?,
        at: at.ok_or_else(|| Error::usage("`at` is not a time"))?,
        endpoint: endpoint.or_else(|| endpoint_among(arguments.as_deref()?)),
        account: optional(json, "account")?,
        cli: optional(json, "cli")?,
        unproved: as_text(json, "unproved"),
        arguments,
    })
}

/// Scripts of older versions name the endpoint only among their arguments; the last one was used.
fn endpoint_among(arguments: &str) -> Option<String> {
    let given = arguments.rsplit_once("--endpoint-url")?.1;
    let url = given.trim_start_matches(['=', ' ']).split(' ').next()?;
    Some(url.to_owned())
}

/// Whether this AWS CLI is older than the `KeyId` in the answer of ImportKeyMaterial (5 June 2025), according to
/// `aws --version`. `import.sh` judges in the same way.
pub fn shows_no_key(cli: &str) -> bool {
    let version = cli.split(' ').next().unwrap_or_default();
    let numbers = version.strip_prefix("aws-cli/").unwrap_or_default();
    let numbers: Vec<Option<u32>> = numbers.split('.').map(|part| part.parse().ok()).collect();
    match numbers[..] {
        [Some(1), Some(minor), Some(patch)] => (minor, patch) < (40, 30),
        [Some(2), Some(minor), Some(patch)] => (minor, patch) < (27, 30),
        _ => false,
    }
}

fn described(json: &Json, bytes: &[u8]) -> Result<Answer> {
    let metadata = describe_key(bytes)?;
    let inner = json.get("KeyMetadata").unwrap_or(&Json::Null);
    Ok(Answer::DescribeKey {
        current: material_id(inner, "CurrentKeyMaterialId")?,
        metadata,
    })
}

fn rotations(json: &Json) -> Result<Answer> {
    let list = json.get("Rotations").and_then(Json::as_array);
    let list = list.ok_or_else(|| Error::usage("`Rotations` is not a list"))?;
    let entry = |entry: &Json| -> Result<Option<Rotation>> {
        let Some(key_material_id) = material_id(entry, "KeyMaterialId")? else {
            return Ok(None); // an answer from before 2025
        };
        Ok(Some(Rotation {
            key_id: text_of(entry, "KeyId")?,
            key_material_id,
            state: optional(entry, "KeyMaterialState")?,
            more: rotation_more(entry),
        }))
    };
    let rotations: Vec<Rotation> = list
        .iter()
        .filter_map(|json| entry(json).transpose())
        .collect::<Result<_>>()?;
    if rotations.is_empty() {
        return Err(Error::usage("lists no key material").hint(
            "online: aws kms list-key-rotations --include-key-material ALL_KEY_MATERIAL --key-id KEY_ARN --output json",
        ));
    }
    Ok(Answer::ListKeyRotations {
        asked: optional(json, "KeyId")?,
        rotations,
    })
}

/// Lenient: lines of older versions were judged without these members.
fn rotation_more(entry: &Json) -> RotationMore {
    let text = |name| entry.get(name).and_then(Json::as_str);
    let valid_to = entry.get("ValidTo").map(aws::time);
    RotationMore {
        import_state: text("ImportState").map(str::to_owned),
        expires: valid_to.flatten(),
        never_expires: text("ExpirationModel") == Some("KEY_MATERIAL_DOES_NOT_EXPIRE"),
        description: text("KeyMaterialDescription").map(str::to_owned),
    }
}

/// Events in any of their forms.
fn trail(json: &Json) -> Result<Vec<TrailEvent>> {
    let mut events = Vec::new();
    trail_into(json, &mut events)?;
    match events.is_empty() {
        true => Err(Error::usage("holds no event of KMS")),
        false => Ok(events),
    }
}

/// Reads an event, a log file (`Records`), the answer of LookupEvents (`Events`), what EventBridge delivers
/// (`detail`), or several of them.
fn trail_into(json: &Json, events: &mut Vec<TrailEvent>) -> Result<()> {
    let list = |name| json.get(name).and_then(Json::as_array);
    let several = json.as_array().or(list("Records")).or(list("Events"));
    if let Some(several) = several {
        return several.iter().try_for_each(|json| trail_into(json, events));
    }
    if json.get("CloudTrailEvent").is_some() {
        let inner = text_of(json, "CloudTrailEvent")?;
        let inner = strict_json::parse(inner.as_bytes())
            .map_err(|why| Error::usage(format!("`CloudTrailEvent` is not JSON: {why}")))?;
        events.extend(trail_event(&inner)?);
    } else {
        events.extend(trail_event(json.get("detail").unwrap_or(json))?);
    }
    Ok(())
}

fn trail_event(json: &Json) -> Result<Option<TrailEvent>> {
    if json.get("eventSource").and_then(Json::as_str) != Some("kms.amazonaws.com") {
        return Ok(None);
    }
    let part = |name| json.get(name).unwrap_or(&Json::Null);
    let (request, response) = (part("requestParameters"), part("responseElements"));
    let at = transcript::time(&text_of(json, "eventTime")?);
    let mut ids = vec![material_id(response, "keyMaterialId")?];
    ids.push(material_id(part("additionalEventData"), "keyMaterialId")?);
    ids.push(material_id(request, "keyMaterialId")?);
    Ok(Some(TrailEvent {
        name: text_of(json, "eventName")?,
        at: at.ok_or_else(|| Error::usage("`eventTime` is not a time"))?,
        region: as_text(json, "awsRegion"),
        key_ids: trail_keys(json, request, response),
        key_material_id: ids.into_iter().flatten().next(),
        import_type: optional(request, "importType")?,
        error: optional(json, "errorCode")?,
    }))
}

/// The ARNs in `resources`; if there are none, `keyId` of the answer or the request.
fn trail_keys(json: &Json, request: &Json, response: &Json) -> Vec<String> {
    let resources = json.get("resources").and_then(Json::as_array);
    let arns: Vec<String> = resources
        .unwrap_or_default()
        .iter()
        .filter_map(|resource| resource.get("ARN")?.as_str())
        .map(str::to_owned)
        .collect();
    if !arns.is_empty() {
        return arns;
    }
    let told = [response, request].into_iter();
    told.filter_map(|part| part.get("keyId")?.as_str())
        .map(str::to_owned)
        .take(1)
        .collect()
}
