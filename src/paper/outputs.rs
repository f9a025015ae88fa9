//! What leaves the room: the scripts that the cloud operator runs, who has no `byok`.
//!
//! Each import has a folder that is complete in itself: the wrapped data key, what its KMS wants back with it (AWS
//! KMS an import token, Azure and Google the wrapping key's name, others nothing) and an `import.sh` which knows what
//! the ceremony decided. One more `import.sh` at the top of the record runs them all. Both must run wherever the KMS's
//! own command runs, so they keep to bash 3.2 (macOS) and to tools that GNU and BSD systems share. AWS's stands here,
//! another KMS's in the file of its name.

use jiff::{SignedDuration, Timestamp};

use crate::crypto::spec::{Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::facts::TokenFacts;
use crate::ground::words::{self, shell_word};
use crate::plan::ImportPlan;
use crate::plan::kms::KmsKey;

mod azure;
mod google;
mod import_type;
mod oci;
mod transit;

pub(crate) use import_type::{import_type, multi_region};

pub(crate) use crate::evidence::record::IMPORT_TOKEN as TOKEN;

const IMPORT: &str = include_str!("outputs/import.sh.in");
const IMPORT_ALL: &str = include_str!("outputs/import-all.sh.in");
/// Text that several scripts share word for word; `online.sh` has it too.
const SHARED: [(&str, &str); 6] = [
    ("answers", include_str!("outputs/answers.sh.in")),
    ("checked_files", include_str!("outputs/checked-files.sh.in")),
    ("confirm", include_str!("outputs/confirm.sh.in")),
    ("result", include_str!("outputs/result.sh.in")),
    ("outcome", include_str!("outputs/outcome.sh.in")),
    (
        "own_environment",
        include_str!("outputs/own-environment.sh.in"),
    ),
];

/// Where the scripts of the online half are, for whoever is to type one of them.
pub(crate) const WHERE_SCRIPTS_ARE: &str = "in ceremony-scripts/online, with common.sh beside it";

/// What is carried out to the cloud operator, from the `<label>/<import>` of every import. The last screen and the
/// printed script take it from here.
pub(crate) fn carried_out(folders: &[String]) -> String {
    match folders {
        [one] => format!("the folder {one}, nothing else"),
        many => format!(
            "import.sh and the {} folders <label>/<import> beside it, nothing else",
            many.len()
        ),
    }
}

/// KMS accepts an expiry at most this far from the moment of the import.
const FURTHEST_EXPIRY: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Whether KMS is told that the material is new to the KMS key or already known there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportType {
    /// `NEW_KEY_MATERIAL`
    NewKeyMaterial,
    /// `EXISTING_KEY_MATERIAL`
    ExistingKeyMaterial {
        /// Which of its materials, if the KMS key has several: 64 hex digits from a receipt.
        key_material_id: Option<String>,
    },
}

impl ImportType {
    /// The KMS name, such as `NEW_KEY_MATERIAL`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NewKeyMaterial => "NEW_KEY_MATERIAL",
            Self::ExistingKeyMaterial { .. } => "EXISTING_KEY_MATERIAL",
        }
    }

    /// For approval and paper: what KMS is told about this import's material, and why.
    pub(crate) fn told(&self, import: &ImportPlan) -> String {
        let why = match (self, import.import_as) {
            (
                Self::ExistingKeyMaterial {
                    key_material_id: Some(id),
                },
                _,
            ) => {
                format!("{id:.12}…, known by a receipt")
            }
            (Self::ExistingKeyMaterial { .. }, _) => "KMS compares the two".to_owned(),
            (Self::NewKeyMaterial, Some(_)) => {
                "added to what the KMS key holds; rotated online".to_owned()
            }
            (Self::NewKeyMaterial, None) => "the first of the KMS key".to_owned(),
        };
        format!("{}, {why}", self.name())
    }
}

/// What a KMS key is in its multi-Region key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiRegion {
    /// Takes new material.
    Primary,
    /// Takes what the primary holds.
    Replica,
}

impl MultiRegion {
    /// The KMS name (`MultiRegionKeyType` of DescribeKey).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Primary => "PRIMARY",
            Self::Replica => "REPLICA",
        }
    }
}

/// All that the `import.sh` of one import says, checks and sends.
#[derive(Clone, Debug)]
pub struct ImportScript<'a> {
    /// The ceremony id, 32 hex digits.
    pub ceremony: &'a str,
    /// Rehearsals make scripts that refuse to import.
    pub rehearsal: bool,
    /// The plan's title: any printable text.
    pub title: &'a str,
    /// The data key's label.
    pub label: &'a str,
    /// The import's name.
    pub import: &'a str,
    /// The KMS key that gets the material.
    pub key_arn: &'a str,
    /// That key's Region.
    pub region: &'a str,
    /// The account that the KMS key belongs to: KMS refuses imports from any other.
    pub account: &'a str,
    /// The KMS name of the wrapping algorithm.
    pub wrapping_algorithm: &'a str,
    /// SHA-256 of `WrappedKeyMaterial.bin`, lower-case hex.
    pub wrapped_sha256: &'a str,
    /// SHA-256 of `ImportToken.bin`, lower-case hex.
    pub token_sha256: &'a str,
    /// Until when KMS takes the import token.
    pub valid_to: Timestamp,
    /// When KMS is to delete the material; `None` is never.
    pub expires: Option<Timestamp>,
    /// `--import-type`, if there is one.
    pub import_type: Option<ImportType>,
    /// `--key-material-description`, if the plan gives one.
    pub description: Option<&'a str>,
    /// What the plan takes the KMS key for, if it says so: the script asks KMS before it sends anything.
    pub multi_region: Option<MultiRegion>,
    /// The KMS key that is rotated once every import of this material has succeeded, if it held other material before.
    pub rotates: Option<&'a str>,
}

impl ImportScript<'_> {
    /// The script, ready to be written as `<label>/<import>/import.sh`.
    pub fn render(&self) -> String {
        fill(IMPORT, |name| self.value(name))
    }

    /// The value of one place in the template, as shell words.
    fn value(&self, name: &str) -> String {
        let epoch = |at: Timestamp| at.as_second().to_string();
        match name {
            "title" => shell_word(self.title),
            "ceremony" => shell_word(self.ceremony),
            "rehearsal" => yes_no(self.rehearsal),
            "label" => shell_word(self.label),
            "import" => shell_word(self.import),
            "key_arn" => shell_word(self.key_arn),
            "region" => shell_word(self.region),
            "account" => shell_word(self.account),
            "wrapping_algorithm" => shell_word(self.wrapping_algorithm),
            "wrapped_sha256" => shell_word(self.wrapped_sha256),
            "token_sha256" => shell_word(self.token_sha256),
            "deadline" => shell_word(&epoch(self.valid_to)),
            "deadline_text" => shell_word(&for_people(self.valid_to)),
            "expires" => shell_word(&self.expires.map(epoch).unwrap_or_default()),
            "expires_text" => shell_word(&self.expires.map_or("never".into(), for_people)),
            "earliest_text" => shell_word(&self.earliest().map(for_people).unwrap_or_default()),
            "import_type" => shell_word(self.import_type.as_ref().map_or("", ImportType::name)),
            "newer" => yes_no(self.import_type.is_some() || self.description.is_some()),
            "multi_region" => shell_word(self.multi_region.map_or("", MultiRegion::name)),
            "rotates" => shell_word(self.rotates.unwrap_or_default()),
            "terms" => self.terms(),
            "refuse" => function(transit::IMPORT, name),
            _ => shared(name),
        }
    }

    /// From when on KMS accepts this expiry.
    fn earliest(&self) -> Option<Timestamp> {
        self.expires?.checked_sub(FURTHEST_EXPIRY).ok()
    }

    /// The arguments that carry the plan's decisions about this import.
    fn terms(&self) -> String {
        let mut terms = match self.expires {
            Some(at) => format!(
                "--expiration-model KEY_MATERIAL_EXPIRES --valid-to {}",
                shell_word(&whole_second(at).to_string())
            ),
            None => "--expiration-model KEY_MATERIAL_DOES_NOT_EXPIRE".into(),
        };
        if let Some(import_type) = &self.import_type {
            terms += &format!(" --import-type {}", import_type.name());
        }
        if let Some(ImportType::ExistingKeyMaterial {
            key_material_id: Some(id),
        }) = &self.import_type
        {
            terms += &format!(" --key-material-id {}", shell_word(id));
        }
        if let Some(description) = self.description {
            terms += &format!(" --key-material-description {}", shell_word(description));
        }
        terms
    }
}

/// One import that the `import.sh` at the top of a record runs.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The data key's label.
    pub label: &'a str,
    /// The import's name.
    pub import: &'a str,
    /// The import of the same data key without which KMS does not know this material yet.
    pub after: Option<&'a str>,
    /// As [`ImportScript::rotates`].
    pub rotates: Option<&'a str>,
}

/// The `import.sh` at the top of a record: runs the one of each import, in this order.
pub fn import_all(runs: &[Run], ceremony: &str, title: &str, rehearsal: bool) -> String {
    let run = |run: &Run| {
        let place = format!("{} {}", shell_word(run.label), shell_word(run.import));
        match run.after {
            Some(after) => format!("run_after {} {place} ${{1+\"$@\"}}", shell_word(after)),
            None => format!("run_one {place} ${{1+\"$@\"}}"),
        }
    };
    fill(IMPORT_ALL, |name| match name {
        "title" => shell_word(title),
        "ceremony" => shell_word(ceremony),
        "rehearsal" => yes_no(rehearsal),
        "runs" => runs.iter().map(run).collect::<Vec<_>>().join("\n"),
        "rotates" => shell_word(&rotated(runs).join(" ")),
        "folded" => function(&shared("answers"), name),
        _ => shared(name),
    })
}

/// Each KMS key that is to be rotated, once.
fn rotated<'a>(runs: &[Run<'a>]) -> Vec<&'a str> {
    let mut arns: Vec<&str> = runs.iter().filter_map(|run| run.rotates).collect();
    arns.sort_unstable();
    arns.dedup();
    arns
}

/// An import into a KMS without import token: what goes there, and what each script says in the same way.
pub(crate) struct Common<'a> {
    pub kms_key: &'a KmsKey,
    pub ceremony: &'a str,
    pub rehearsal: bool,
    pub title: &'a str,
    pub label: &'a str,
    pub import: &'a str,
    pub spec: Spec,
    pub wrapping: WrappingAlgorithm,
    /// What is in `WrappedKeyMaterial.bin`.
    pub wrapped: &'a [u8],
    /// The KMS's own name of the wrapping key, if it wants that back.
    pub wrapping_key_id: Option<&'a str>,
    /// Until when the KMS takes it.
    pub valid_to: Option<Timestamp>,
    /// The HSM that wrapped it.
    pub hsm: &'a TokenFacts,
    /// The version of the key that took this material before, if receipts know one.
    pub version: Option<&'a str>,
    /// What the KMS is asked to decrypt.
    pub challenge: Option<&'a [u8]>,
}

/// A file in the folder of an import: its name and its content.
pub(crate) type Written = (String, Vec<u8>);

/// What goes to a KMS without import token: the script that imports, and what it sends besides `WrappedKeyMaterial.bin`.
///
/// # Errors
/// Why the KMS takes no such data key.
pub(crate) fn elsewhere(common: &Common) -> Result<Vec<Written>, Refusal> {
    let called = common.kms_key.called(common.spec)?;
    Ok(match common.kms_key {
        KmsKey::Aws(_) => Vec::new(),
        KmsKey::OpenBao(name) | KmsKey::Vault(name) => transit::files(name, called, common),
        KmsKey::Azure(name) => azure::files(name, called, common),
        KmsKey::Google(name) => google::files(name, called, common),
        KmsKey::Oci(name) => oci::files(name, called, common),
    })
}

/// The script of an import, as a file.
fn script(text: String) -> Written {
    ("import.sh".into(), text.into_bytes())
}

/// The digest of a file, as a script compares it.
fn sha256(bytes: &[u8]) -> String {
    shell_word(&words::hex(&words::sha256(bytes)))
}

impl Common<'_> {
    /// The value of one place in a template, if it is such a one.
    fn value(&self, name: &str) -> Option<String> {
        let kms_key = self.kms_key;
        Some(match name {
            "kms" => shell_word(kms_key.word.unwrap_or_default()),
            "name" => shell_word(kms_key.kms),
            "key" => shell_word(kms_key.as_str()),
            "server" => shell_word(&kms_key.place()),
            "title" => shell_word(self.title),
            "ceremony" => shell_word(self.ceremony),
            "rehearsal" => yes_no(self.rehearsal),
            "label" => shell_word(self.label),
            "import" => shell_word(self.import),
            "spec" => shell_word(self.spec.name()),
            "scripts_are" => shell_word(WHERE_SCRIPTS_ARE),
            "wrapped_sha256" => sha256(self.wrapped),
            "member" | "is_ours" => function(&shared("outcome"), name),
            "endpoint_fault" => function(&shared("own_environment"), name),
            "refuse" | "by_this_way" | "told_address" | "imported_before" | "is_own"
            | "is_closed" | "not_shown" | "not_in" | "say_unproved" | "cannot_look"
            | "say_failure" | "speaks_without_tls" | "say_without_tls" => {
                function(transit::IMPORT, name)
            }
            _ => return None,
        })
    }
}

/// One function of a text that scripts share. The texts are part of this program: a missing one is a mistake in it,
/// which any test finds.
fn function(text: &str, name: &str) -> String {
    let found = text
        .split_once(&format!("\n{name}() {{\n"))
        .and_then(|(_, rest)| rest.split_once("\n}"));
    let (body, _) = found.unwrap_or_else(|| panic!("no function {name:?} in the shared texts"));
    format!("{name}() {{\n{body}\n}}")
}

/// Puts a value into every `{{name}}`, in one pass: a value that looks like a place stays a value.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut pieces = template.split("{{");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        filled += &value(name);
        filled += rest;
    }
    filled
}

/// The texts that every script has. The templates are part of this program, so an unknown place is a mistake in it,
/// which any test finds.
fn shared(name: &str) -> String {
    let mut texts = SHARED.iter();
    let found = texts.find(|(place, _)| *place == name);
    let (_, text) =
        found.unwrap_or_else(|| panic!("the script template has an unknown place {name:?}"));
    text.trim_end().to_owned()
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.into()
}

/// KMS counts in seconds, and so does the AWS CLI's `--valid-to`.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn for_people(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_place_stays_a_value() {
        let filled = fill("x={{a}} y={{b}}.", |name| match name {
            "a" => "{{b}}".into(),
            _ => "2".into(),
        });
        assert_eq!(filled, "x={{b}} y=2.");
    }
}
