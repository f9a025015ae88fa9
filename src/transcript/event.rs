//! What a transcript can say. Names and fields are a contract with everyone who reads records.

use jiff::Timestamp;
use serde::Serialize;

use crate::hsm::{Attributes, Judged, ModuleDescription, Token};
use crate::machine::Machine;
use crate::machine::sandbox::Closed;
use crate::plan::{Kind, Network, WrapIn};
use crate::wrapping::WrappingAlgorithm;

/// One line's event. Digests and ids are lower-case hex, key check values upper-case.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs)] // the fields are documented in docs/transcript-format.md, where auditors look
pub enum Event {
    CeremonyOpened {
        format: &'static str,
        ceremony: String,
        title: String,
        kind: Kind,
        rehearsal: bool,
        byok: &'static str,
        byok_sha256: String,
        plan_sha256: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        previous_head: Option<String>,
        /// SHA-256 of that record's receipts.jsonl: removal is visible from now on.
        #[serde(skip_serializing_if = "Option::is_none")]
        previous_receipts_head: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        interrupted: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attempts: Vec<Attempt>,
    },
    PlanApproved {
        how: &'static str,
        plan_sha256: String,
    },
    RollCall {
        operator: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        present: Vec<Present>,
    },
    MachineChecked {
        network: Network,
        #[serde(flatten)]
        machine: Machine,
        /// How the process was closed before the module is loaded.
        #[serde(flatten)]
        closed: Option<Closed>,
        clock: Timestamp,
        /// What was added to this machine's own clock, in seconds, where a person corrected it.
        #[serde(skip_serializing_if = "is_zero")]
        clock_offset_seconds: i64,
    },
    HsmOpened {
        #[serde(flatten)]
        module: ModuleDescription,
        #[serde(flatten)]
        token: Token,
        /// Whether it is a program in this computer, and what says so.
        #[serde(flatten)]
        judged: Judged,
        env: Vec<String>,
        logins: u32,
    },
    /// The HSM is not as the previous record tells it. The fingerprint decides, not this.
    HsmChanged {
        changes: Vec<HsmChange>,
    },
    /// The HSM lost the session while shares were out; the data keys are in the token all the same.
    HsmReopened {
        #[serde(flatten)]
        token: Token,
        lost: String,
        logins: u32,
        /// The data keys that were found again, the same in everything.
        labels: Vec<String>,
    },
    /// Shares of a run that did not come to its end: people destroy their forms.
    SharesVoided(VoidShares),
    /// On disk before the HSM makes a transcript signer.
    SignerIntended {
        label: &'static str,
        cka_id: String,
    },
    TranscriptSigner(TranscriptSigner),
    ImportParametersRead(Imported),
    PreflightPassed {
        checks: Vec<PreflightCheck>,
    },
    KeyIntended(KeyIntended),
    KeyGenerated(DataKeyFacts),
    KeyFound(DataKeyFacts),
    KeyRecovered(DataKeyFacts),
    SameMaterial {
        label: String,
        fingerprint: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        previous_head: Option<String>,
        anchor: String,
    },
    ShareUsed(ShareUsed),
    QuorumMet {
        shares: Vec<String>,
        dissenting: Vec<String>,
    },
    KeyWrapped {
        label: String,
        import: String,
        key_arn: String,
        wrapping: WrappingAlgorithm,
        wrapped_in: WrapIn,
        wrapping_key_sha256: String,
        path: String,
        sha256: String,
        bytes: usize,
    },
    /// What the script of an import says of the material, where it says it.
    ImportType {
        label: String,
        import: String,
        key_arn: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        import_type: Option<&'static str>,
        /// From a receipt of a previous record.
        #[serde(skip_serializing_if = "Option::is_none")]
        key_material_id: Option<String>,
        /// The import that this one is the witness of; a replica's is one of its primary's.
        #[serde(skip_serializing_if = "Option::is_none")]
        witness_of: Option<String>,
        /// What the plan takes the KMS key for, where the script asks KMS whether it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        multi_region: Option<&'static str>,
        /// The KMS key that is rotated when every import of this material went through.
        #[serde(skip_serializing_if = "Option::is_none")]
        rotates: Option<String>,
        /// KeyMaterialDescription.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    KeyDestroyed(Destroyed),
    EscrowDealt {
        threshold: u8,
        shares: Vec<DealtShare>,
        labels: Vec<String>,
        package_sha256: String,
    },
    ShareHandedOut {
        share: u8,
        custodian: String,
        share_sha256: String,
        typed_back: bool,
    },
    EscrowProved {
        shares: usize,
        recombinations: usize,
        labels: Vec<String>,
    },
    /// The shares of an earlier ceremony still open its package: people destroy both.
    EscrowSuperseded {
        ceremony: String,
        custodians: Vec<String>,
        labels: Vec<String>,
    },
    EscrowDestroyed(EscrowDestroyed),
    KeySealed {
        label: String,
        cka_id: String,
    },
    OutputWritten {
        path: String,
        sha256: String,
        bytes: usize,
    },
    Exception {
        step: u8,
        what: String,
        /// Whether a person typed it with `note`; else byok says it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        typed: bool,
    },
    /// A PIN, or a row of a paper, that was not right; it could be given again.
    WrongAnswer {
        step: u8,
        asked: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        row: Option<usize>,
    },
    Sealed {
        outcome: &'static str,
        exposure: &'static str,
        exceptions: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        import_before: Option<Timestamp>,
    },
    Aborted {
        step: u8,
        exit: u8,
        error: String,
        state: Vec<String>,
        removed: Vec<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        may_be_left: Vec<LeftObject>,
        /// The signer that this run made signs this line, and is destroyed before the record has a name.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        signer_destroyed: bool,
    },
}

/// A ceremony of the same record that did not come to its end: what stands beside it, named before this one began.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct Attempt {
    pub directory: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<String>,
    /// SHA-256 of its transcript as it lies there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// Who sat in a seat of the plan: a custodian's or a witness's, or a deputy for them.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct Present {
    pub role: &'static str,
    pub seat: String,
    pub name: String,
}

/// `transcript-signer`: whose signature `signatures/hsm.sig` is.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct TranscriptSigner {
    /// `named`, `found` or `made`.
    pub origin: &'static str,
    pub label: &'static str,
    pub cka_id: String,
    pub public_key: String,
    pub fingerprint: String,
    pub attributes: Attributes,
    /// The previous record's signer, where it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_fingerprint: Option<String>,
}

/// `import-parameters-read`.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct Imported {
    pub label: String,
    pub import: String,
    pub key_arn: String,
    /// Whether the parameters themselves named this KMS key; the console's download does not.
    pub key_arn_in_parameters: bool,
    pub wrapping: WrappingAlgorithm,
    pub files: Vec<FileDigest>,
    pub wrapping_key_spec: &'static str,
    pub wrapping_key_sha256: String,
    pub import_token_sha256: String,
    pub valid_to: Timestamp,
    /// `wrapping_key_sha256 in the plan`, or the rows that a person typed from the slip.
    pub two_sided_check: String,
}

/// A file and its SHA-256.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct FileDigest {
    pub name: String,
    pub sha256: String,
}

/// One check of `preflight-passed`.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct PreflightCheck {
    pub check: &'static str,
    pub wrapping: &'static str,
    pub wrapped_in: WrapIn,
    pub wrapping_key_spec: &'static str,
    /// Of RSA_AES_KEY_WRAP: the mechanism that does it, or its second part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<String>,
}

/// `key-intended`: on disk before the HSM is asked to make anything.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct KeyIntended {
    pub label: String,
    pub spec: &'static str,
    pub cka_id: String,
}

/// An object that an aborted run could not take back.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct LeftObject {
    pub label: String,
    pub cka_id: String,
}

/// `key-destroyed`.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct Destroyed {
    pub label: String,
    pub cka_id: String,
    pub objects: usize,
    pub why: String,
}

/// A share of `escrow-dealt`, by the digest that tells nothing of its words.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct DealtShare {
    pub share: u8,
    pub custodian: String,
    pub share_sha256: String,
}

/// One difference of `hsm-changed`.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct HsmChange {
    pub what: &'static str,
    pub before: String,
    pub now: String,
}

/// `shares-voided`: what an interrupted run had dealt, as far as its transcript tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // as above
pub struct VoidShares {
    pub ceremony: String,
    pub shares: Vec<VoidShare>,
}

/// A share that opens nothing of value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // as above
pub struct VoidShare {
    pub share: u64,
    pub custodian: String,
    /// False where nothing but the power cut tells whether its words were seen.
    pub handed_out: bool,
}

/// `key-generated`, `key-found` and `key-recovered`.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct DataKeyFacts {
    pub label: String,
    pub spec: &'static str,
    /// Length of a secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Length of an HMAC key: it belongs to the fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<usize>,
    pub cka_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kcv: Option<String>,
    pub fingerprint: String,
    pub attributes: Attributes,
    /// `token` or `file`: of a first import of material that was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
    /// CKA_LABEL, where it is not the data key's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_in_hsm: Option<String>,
}

/// `share-used`: who brought a share, and which one it is where the previous record knows.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct ShareUsed {
    pub custodian: String,
    /// Who typed it, where that is not the name above: a deputy, or the person in that seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brought_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_sha256: Option<String>,
}

/// `escrow-destroyed`: what became of a share form or a package, as the operator said.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as above
pub struct EscrowDestroyed {
    pub what: String,
    pub said: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_zero(number: &i64) -> bool {
    *number == 0
}
