//! What a transcript can say. Names and members are a contract with everyone who reads records.
//!
//! The same types write and read. A member that may get other values in a later version is text, or [`Named`].
//! Unknown members are accepted, and an unknown event is [`Event::Unknown`].

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, value};
use serde::{Deserialize, Deserializer, Serialize};

use crate::crypto::escrow::policy::{Group, Policy};
use crate::ground::facts::{Attributes, Closed, Judged, Machine, ModuleDescription, TokenFacts};
use crate::ground::strict_json::Json;
use crate::ground::words;
use crate::plan::kms::KmsKey;
use crate::plan::{Kind, WrapIn};

/// A word of a list that may grow.
pub(crate) type Word = Cow<'static, str>;

/// A value that byok knows, or the text that a later version wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Named<T> {
    /// A known value.
    Known(T),
    /// The text of a later version.
    Other(String),
}

/// Only text is a word: serde by itself takes `{"generate":null}` for one too.
impl<'de, T: DeserializeOwned> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known: Result<T, value::Error> = T::deserialize(text.as_str().into_deserializer());
        Ok(known.map_or(Self::Other(text), Self::Known))
    }
}

impl<T> From<T> for Named<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Copy> Named<T> {
    /// The value, if it is known.
    pub(crate) fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Named<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// What vouches for the material with which data keys are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) enum Vouched {
    /// A fingerprint in the approved plan.
    Fingerprint,
    /// The previous record's head digest in the approved plan.
    Plan,
    /// Rows of that head digest, typed from paper.
    Paper,
    /// Nothing from outside the previous record.
    Nothing,
    /// The text of a later version.
    Otherwise(String),
}

impl Vouched {
    const TOLD: [(Self, &str); 4] = [
        (Self::Fingerprint, "fingerprint in the plan"),
        (Self::Plan, "previous_head in the plan"),
        (Self::Paper, "rows 1, 2, 3 of the previous head typed"),
        (
            Self::Nothing,
            "none: nothing from outside the previous record vouches for it",
        ),
    ];

    /// Whether something outside the previous record vouches for it, and byok knows that thing.
    pub(crate) fn vouches(&self) -> bool {
        matches!(self, Self::Fingerprint | Self::Plan | Self::Paper)
    }

    /// The record's text for it.
    pub(crate) fn told(&self) -> &str {
        match self {
            Self::Otherwise(text) => text,
            known => {
                let mut told = Self::TOLD.iter();
                told.find(|(is, _)| is == known)
                    .map_or("", |(_, told)| told)
            }
        }
    }
}

impl From<String> for Vouched {
    fn from(text: String) -> Self {
        let known = Self::TOLD.into_iter().find(|(_, told)| *told == text);
        match known {
            Some((known, _)) => known,
            None if text.starts_with("none") => Self::Nothing, // whatever a later version adds
            None => Self::Otherwise(text),
        }
    }
}

impl From<Vouched> for String {
    fn from(vouched: Vouched) -> Self {
        vouched.told().to_owned()
    }
}

/// The list of events: the type of each, and from it the enum [`Event`], whose name for an event in the transcript is the
/// variant's in kebab-case. Transcripts that exist must stay readable: no event and no member changes its name or goes, a
/// new member is optional, and what a later version adds is kept as [`Event::Unknown`].
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($type:ident),)*) => {
        /// The event of one line. Digests and ids are lower-case hex, key check values upper-case.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(tag = "event", rename_all = "kebab-case")]
        #[allow(missing_docs)] // they are documented in docs/transcript-format.md, where auditors look
        pub(crate) enum Event {
            $($(#[$doc])* $variant($type),)*
            KeyGenerated(DataKeyFacts),
            KeyFound(DataKeyFacts),
            KeyRecovered(DataKeyFacts),
            /// Of a later version.
            #[serde(other)]
            Unknown,
        }

        $(impl Told for $type {
            fn of(event: &Event) -> Option<&Self> {
                match event {
                    Event::$variant(told) => Some(told),
                    _ => None,
                }
            }
        }

        impl From<$type> for Event {
            fn from(told: $type) -> Self {
                Self::$variant(told)
            }
        })*
    };
}

impl Event {
    /// What is wrong with a line's members that its type alone does not show.
    pub(super) fn misfit(&self, line: &Json) -> Option<&'static str> {
        if matches!(self, Self::Unknown) {
            return None; // of a later version
        }
        // serde accepts a list for an object if its members are in the right order
        let of_objects = [
            "attempts",
            "present",
            "changes",
            "shares",
            "groups",
            "files",
            "checks",
            "may_be_left",
        ];
        let lists = of_objects
            .iter()
            .filter_map(|name| line.get(name)?.as_array());
        let mut lists = lists.flatten();
        if lists.any(|element| element.as_array().is_some()) {
            return Some("a list contains a list");
        }
        if line.get("key_arn").is_some() && line.get("key").is_some() {
            return Some("it names two keys, key_arn and key");
        }
        match self {
            // All of it or nothing: serde reads a part as nothing.
            Self::MachineChecked(told) if told.closed.is_none() && closed_in_part(line) => {
                Some("some members about how the process was closed are missing")
            }
            Self::EscrowDealt(dealt) if dealt.policy().is_none() => {
                Some("no such shares can be dealt")
            }
            _ => None,
        }
    }
}

fn closed_in_part(line: &Json) -> bool {
    let whole = serde_json::to_value(Closed::default()).unwrap_or_default();
    let mut members = whole.as_object().into_iter().flatten();
    members.any(|(name, _)| line.get(name).is_some())
}

/// One type of event.
pub(crate) trait Told: Sized {
    /// The event's members, if it is of this type.
    fn of(event: &Event) -> Option<&Self>;
}

/// Data keys that were generated, found again or recovered: each event has the same facts.
impl Told for DataKeyFacts {
    fn of(event: &Event) -> Option<&Self> {
        match event {
            Event::KeyGenerated(told) | Event::KeyFound(told) | Event::KeyRecovered(told) => {
                Some(told)
            }
            _ => None,
        }
    }
}

events! {
    CeremonyOpened(Opened),
    PlanApproved(PlanApproved),
    RollCall(RollCall),
    MachineChecked(MachineChecked),
    HsmOpened(HsmOpened),
    /// The HSM differs from the previous record's. The fingerprint decides, not this.
    HsmChanged(HsmChanged),
    /// The HSM lost the session while shares were out; the data keys are still in the token.
    HsmReopened(HsmReopened),
    /// Shares of a run that did not finish: people destroy their forms.
    SharesVoided(VoidShares),
    /// On disk before the HSM makes a transcript signer.
    SignerIntended(SignerIntended),
    TranscriptSigner(TranscriptSigner),
    ImportParametersRead(Imported),
    PreflightPassed(PreflightPassed),
    KeyIntended(KeyIntended),
    SameMaterial(SameMaterial),
    ShareUsed(ShareUsed),
    QuorumMet(QuorumMet),
    KeyWrapped(Wrapped),
    /// What a KMS is asked to decrypt, to prove that it has a data key.
    ChallengeMade(ChallengeMade),
    /// The `import_type` in an import's script, if it has one.
    ImportType(ImportTypeTold),
    KeyDestroyed(Destroyed),
    EscrowDealt(EscrowDealt),
    ShareHandedOut(HandedOut),
    EscrowProved(EscrowProved),
    /// The shares of an earlier ceremony still open its package: people destroy both.
    EscrowSuperseded(EscrowSuperseded),
    EscrowDestroyed(EscrowDestroyed),
    KeySealed(KeySealed),
    OutputWritten(Output),
    Exception(Exception),
    /// A wrong PIN, or a wrong row from paper; the person could answer again.
    WrongAnswer(WrongAnswer),
    Sealed(SealedLine),
    Aborted(Aborted),
}

/// `ceremony-opened`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub format: Word,
    pub ceremony: String,
    pub title: String,
    pub kind: Named<Kind>,
    pub rehearsal: bool,
    pub byok: Word,
    pub byok_sha256: String,
    pub plan_sha256: String,
    #[serde(default, deserialize_with = "head", skip_serializing_if = "unset")]
    pub previous_head: Option<String>,
    /// SHA-256 of that record's receipts.jsonl: from now on, a removal shows.
    #[serde(default, deserialize_with = "head", skip_serializing_if = "unset")]
    pub previous_receipts_head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "unset")]
    pub attempts: Vec<Attempt>,
}

/// `plan-approved`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PlanApproved {
    pub how: Word,
    pub plan_sha256: String,
}

/// `roll-call`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RollCall {
    pub operator: String,
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "unset")]
    pub present: Vec<Present>,
}

/// `machine-checked`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MachineChecked {
    pub network: Word,
    #[serde(flatten)]
    pub machine: Machine,
    /// How the process was closed before the module was loaded.
    #[serde(flatten)]
    pub closed: Option<Closed>,
    pub clock: Named<Timestamp>,
    /// The correction that a person gave for this machine's clock, in seconds.
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "unset")]
    pub clock_offset_seconds: i64,
}

/// `hsm-opened`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HsmOpened {
    #[serde(flatten)]
    pub module: ModuleDescription,
    #[serde(flatten)]
    pub token: TokenFacts,
    /// Whether the HSM is a program in this computer, and how byok knows.
    #[serde(flatten)]
    pub judged: Judged,
    pub env: Vec<String>,
    pub logins: u32,
}

/// `hsm-changed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HsmChanged {
    pub changes: Vec<HsmChange>,
}

/// `hsm-reopened`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HsmReopened {
    #[serde(flatten)]
    pub token: TokenFacts,
    pub lost: String,
    pub logins: u32,
    /// The data keys that were found again, unchanged.
    pub labels: Vec<String>,
}

/// `signer-intended`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignerIntended {
    pub label: Word,
    pub cka_id: String,
}

/// `preflight-passed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreflightPassed {
    pub checks: Vec<PreflightCheck>,
}

/// `same-material`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SameMaterial {
    pub label: String,
    pub fingerprint: String,
    #[serde(default, deserialize_with = "head", skip_serializing_if = "unset")]
    pub previous_head: Option<String>,
    pub anchor: Vouched,
}

/// `quorum-met`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct QuorumMet {
    pub shares: Vec<String>,
    pub dissenting: Vec<String>,
}

/// The key in a KMS that gets material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KmsKeyTold {
    /// Absent for AWS KMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms: Option<Word>,
    #[serde(flatten)]
    pub name: KeyName,
}

/// The name that a KMS has for its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum KeyName {
    /// The ARN of AWS KMS.
    #[serde(rename = "key_arn")]
    Arn(String),
    /// Any other KMS's.
    #[serde(rename = "key")]
    Other(String),
}

impl KeyName {
    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Arn(text) | Self::Other(text) => text,
        }
    }

    /// What its KMS calls the id of a material in it.
    pub(crate) fn word_for_material(&self) -> &'static str {
        match self {
            Self::Arn(_) => "KeyMaterialId",
            Self::Other(_) => "version",
        }
    }

    /// The ARN, if it is AWS KMS's.
    pub(crate) fn arn(&self) -> Option<&str> {
        match self {
            Self::Arn(arn) => Some(arn),
            Self::Other(_) => None,
        }
    }
}

impl From<&KmsKey> for KeyName {
    fn from(key: &KmsKey) -> Self {
        let text = key.as_str().to_owned();
        match key.arn() {
            Some(_) => Self::Arn(text),
            None => Self::Other(text),
        }
    }
}

impl From<&KmsKey> for KmsKeyTold {
    fn from(key: &KmsKey) -> Self {
        Self {
            kms: key.word.map(Into::into),
            name: key.into(),
        }
    }
}

/// `key-wrapped`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wrapped {
    pub label: String,
    pub import: String,
    #[serde(flatten)]
    pub kms_key: KmsKeyTold,
    pub wrapping: Word,
    pub wrapped_in: Named<WrapIn>,
    pub wrapping_key_sha256: String,
    pub path: String,
    pub sha256: String,
    pub bytes: usize,
}

/// `challenge-made`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ChallengeMade {
    pub label: String,
    pub import: String,
    /// Nonce, AES-GCM ciphertext and tag, in base64.
    pub ciphertext: String,
    pub answer_sha256: String,
}

/// `import-type`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImportTypeTold {
    pub label: String,
    pub import: String,
    #[serde(flatten)]
    pub kms_key: KmsKeyTold,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_type: Option<Word>,
    /// From a receipt of a previous record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_id: Option<String>,
    /// The import of which this one is the witness; for a replica, its primary's import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness_of: Option<String>,
    /// What the plan takes the KMS key for, if the script checks that with KMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_region: Option<Word>,
    /// The KMS key to rotate when every import of this material is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotates: Option<String>,
    /// KeyMaterialDescription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `escrow-dealt`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EscrowDealt {
    #[serde(flatten)]
    pub needed: Needed,
    pub shares: Vec<DealtShare>,
    pub labels: Vec<String>,
    pub package_sha256: String,
}

/// `share-handed-out`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandedOut {
    pub share: u8,
    pub custodian: String,
    pub share_sha256: String,
    pub typed_back: bool,
}

/// `escrow-proved`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EscrowProved {
    pub shares: usize,
    pub recombinations: usize,
    pub labels: Vec<String>,
}

/// `escrow-superseded`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EscrowSuperseded {
    pub ceremony: String,
    pub custodians: Vec<String>,
    pub labels: Vec<String>,
}

/// `key-sealed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeySealed {
    pub label: String,
    pub cka_id: String,
}

/// `output-written`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Output {
    pub path: String,
    pub sha256: String,
    pub bytes: usize,
}

/// `exception`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Exception {
    pub step: u8,
    pub what: String,
    /// Whether a person typed it with `note`; otherwise byok wrote it.
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "unset")]
    pub typed: bool,
}

/// `wrong-answer`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WrongAnswer {
    pub step: u8,
    pub asked: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
}

/// `sealed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SealedLine {
    pub outcome: Word,
    pub exposure: Word,
    pub exceptions: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_before: Option<Named<Timestamp>>,
}

impl SealedLine {
    /// When the first import token expires.
    pub(crate) fn import_before(&self) -> Option<Timestamp> {
        self.import_before.as_ref()?.known()
    }
}

/// `aborted`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Aborted {
    pub step: u8,
    pub exit: u8,
    pub error: String,
    pub state: Vec<String>,
    pub removed: Vec<String>,
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "unset")]
    pub may_be_left: Vec<LeftObject>,
    /// The signer that this run made signs this line; the run destroys it before the record gets a name.
    #[serde(default, deserialize_with = "absent", skip_serializing_if = "unset")]
    pub signer_destroyed: bool,
}

/// An earlier ceremony of the same record that did not finish: what is beside the record, named before this one
/// began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub directory: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<String>,
    /// SHA-256 of its transcript there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// Who was in a seat of the plan: the custodian or witness, or a deputy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Present {
    pub role: Word,
    pub seat: String,
    pub name: String,
}

/// `transcript-signer`: whose signature is in `signatures/hsm.sig`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TranscriptSigner {
    /// `named`, `found` or `made`.
    pub origin: Word,
    pub label: Word,
    pub cka_id: String,
    pub public_key: String,
    pub fingerprint: String,
    pub attributes: Attributes,
    /// The previous record's signer, if it was a different one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_fingerprint: Option<String>,
}

/// `import-parameters-read`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Imported {
    pub label: String,
    pub import: String,
    #[serde(flatten)]
    pub kms_key: KmsKeyTold,
    /// Whether the parameters themselves named this KMS key; the console's download does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_arn_in_parameters: Option<bool>,
    pub wrapping: Word,
    pub files: Vec<FileDigest>,
    pub wrapping_key_spec: Word,
    pub wrapping_key_sha256: String,
    /// The KMS's own name of the wrapping key, if it wants that back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapping_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_token_sha256: Option<String>,
    /// Until when the KMS takes the material, if it has a deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Named<Timestamp>>,
    /// `wrapping_key_sha256 in the plan`, or the rows that a person typed from the slip.
    pub two_sided_check: String,
}

/// A file and its SHA-256.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FileDigest {
    pub name: String,
    pub sha256: String,
}

/// One check of `preflight-passed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreflightCheck {
    pub check: Word,
    pub wrapping: Word,
    pub wrapped_in: Named<WrapIn>,
    pub wrapping_key_spec: Word,
    /// For RSA_AES_KEY_WRAP: the mechanism that does it, or its second part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<String>,
}

/// `key-intended`: on disk before the HSM is asked to make anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyIntended {
    pub label: String,
    pub spec: Word,
    pub cka_id: String,
}

/// An object that an aborted run could not destroy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LeftObject {
    pub label: String,
    pub cka_id: String,
}

/// `key-destroyed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Destroyed {
    pub label: String,
    pub cka_id: String,
    pub objects: usize,
    pub why: String,
}

/// A share in `escrow-dealt`, by the digest that reveals nothing about its words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DealtShare {
    pub share: u8,
    pub custodian: String,
    /// Absent if there are no groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub share_sha256: String,
}

/// How many shares of `escrow-dealt` are needed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Needed {
    OfAll {
        threshold: u8,
    },
    OfGroups {
        groups_threshold: u8,
        groups: Vec<DealtGroup>,
    },
}

/// A group of `escrow-dealt`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DealtGroup {
    pub name: String,
    pub threshold: u8,
}

impl EscrowDealt {
    /// Whose shares are enough, the names as they can be shown. `None`: no such shares can be dealt.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let of = |name: Option<&String>| {
            let shares = self
                .shares
                .iter()
                .filter(|share| share.group.as_ref() == name);
            shares
                .map(|share| words::quoted(&share.custodian))
                .collect()
        };
        let policy = match &self.needed {
            Needed::OfAll { threshold } => Policy::any(*threshold, of(None)),
            Needed::OfGroups {
                groups_threshold,
                groups,
            } => {
                let group = |group: &DealtGroup| Group {
                    name: words::quoted(&group.name),
                    threshold: group.threshold,
                    custodians: of(Some(&group.name)),
                };
                Policy::of_groups(*groups_threshold, groups.iter().map(group).collect())
            }
        };
        policy
            .ok()
            .filter(|policy| policy.count() == self.shares.len())
    }
}

impl EscrowDealt {
    /// How many are enough, in words.
    pub(crate) fn quorum(&self) -> String {
        let policy = self.policy();
        policy.map_or("an unknown number".to_owned(), |policy| policy.short())
    }

    /// Whose shares are enough, in words.
    pub(crate) fn enough(&self) -> String {
        let policy = self.policy();
        policy.map_or("an unknown number of the shares".to_owned(), |policy| {
            policy.shares()
        })
    }
}

impl From<&Policy> for Needed {
    fn from(policy: &Policy) -> Self {
        let told = |group: &Group| DealtGroup {
            name: group.name.clone(),
            threshold: group.threshold,
        };
        match policy.groups() {
            [one] => Self::OfAll {
                threshold: one.threshold,
            },
            groups => Self::OfGroups {
                groups_threshold: policy.groups_needed(),
                groups: groups.iter().map(told).collect(),
            },
        }
    }
}

/// One difference of `hsm-changed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HsmChange {
    pub what: Word,
    pub before: String,
    pub now: String,
}

/// `shares-voided`: what an interrupted run had dealt, as far as its transcript says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidShares {
    pub ceremony: String,
    pub shares: Vec<VoidShare>,
}

/// A share that opens nothing of value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidShare {
    pub share: u64,
    pub custodian: String,
    /// False if only the power cut knows whether its words were seen.
    pub handed_out: bool,
}

/// `key-generated`, `key-found` and `key-recovered`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DataKeyFacts {
    pub label: String,
    pub spec: Word,
    /// Length of a secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Length of an HMAC key: part of its fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<usize>,
    pub cka_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kcv: Option<String>,
    pub fingerprint: String,
    pub attributes: Attributes,
    /// `token` or `file`, for the first import of older material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Word>,
    /// CKA_LABEL, if it differs from the data key's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_in_hsm: Option<String>,
}

impl DataKeyFacts {
    /// What people compare at a glance.
    pub(crate) fn glance(&self) -> String {
        crate::crypto::wrapping::glance(self.kcv.as_deref(), &self.fingerprint)
    }
}

/// `share-used`: who brought a share and, if the previous record knows, which share it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShareUsed {
    pub custodian: String,
    /// Who typed it, if it was not the person named above: a deputy, or the person in that seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brought_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_sha256: Option<String>,
}

/// `escrow-destroyed`: what happened to a share form or a package, according to the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EscrowDestroyed {
    pub what: String,
    pub said: String,
    /// The ceremony that dealt it, if it is known; earlier versions asked only for what the previous record dealt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<String>,
}

impl EscrowDestroyed {
    /// The word that is typed for a form or a package that is gone.
    pub(crate) const DESTROYED: &str = "destroyed";

    /// Whether it is gone, according to the operator.
    pub(crate) fn is_destroyed(&self) -> bool {
        self.said == Self::DESTROYED
    }
}

/// Whether a member says nothing, and is left out.
fn unset<T: Default + PartialEq>(member: &T) -> bool {
    *member == T::default()
}

/// A member that is absent if it does not apply: `null` counts as absent.
fn absent<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A digest that names another record. What is none would be taken for no record at all.
fn head<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let head: Option<String> = Option::deserialize(deserializer)?;
    match head.as_deref().map(words::digest_from_hex) {
        Some(None) => Err(D::Error::custom("a head digest is not 64 hex digits")),
        _ => Ok(head),
    }
}
