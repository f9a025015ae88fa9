//! Receipts: KMS's answers, appended to a sealed record.
//!
//! `receipts.jsonl` is a separate chain beside the transcript, which never changes. A line is compact JSON,
//! `{"seq":N,"at":"…Z","prev":"…",…,"file":"receipts/NNN.json","sha256":"…",…}`: `seq` counts from 1; the first
//! `prev` is the head digest of the record's transcript, and every later one is the SHA-256 of the previous line
//! without its line feed. `receipts/` contains the answers byte for byte.
//!
//! byok does not believe what a line says: it derives that again from the answer's bytes, and both must agree.
//! Nothing in a record shows whether lines were cut off at its end, until a later record names the digest of the
//! whole file (`previous_receipts_head`).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::evidence::transcript::{
    Chain, ChallengeMade, DataKeyFacts, ImportTypeTold, Imported, KeyName, Said, Told, Wrapped,
};
use crate::ground::words::Digest;
use crate::plan::ImportAs;

pub mod answer;
pub(crate) mod azure;
pub(crate) mod chain;
pub mod describe;
mod elsewhere;
mod endpoint;
mod engine;
mod google;
pub(crate) mod judge;
mod oci;
mod possession;
mod shown;
mod transit;

pub use chain::alone;
pub(crate) use chain::read;
pub(crate) use judge::{Entry, Listed};
pub(crate) use possession::{is_pair, proof, prove};

/// The chain's name in a record.
pub(crate) const FILE: &str = "receipts.jsonl";

/// The folder of the answers.
pub(crate) const FOLDER: &str = "receipts/";

/// What `import.sh` leaves in the folder of an import, for a shell: each run that asked KMS leaves one, and all come back.
pub(crate) const IMPORT_RESULTS: &str = "import-result*.json";

/// The format that this version writes, named in the first line.
pub(crate) const FORMAT: &str = "byok-receipts-v1";

/// The message for a last line that is incomplete.
pub(crate) const TORN: &str = "it is incomplete: it does not end with a line feed";

/// The message for an answer that no line names.
pub(crate) const UNNAMED: &str = "no line of receipts.jsonl names this file";

/// What an answer proves about a data key, in rising order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Proves {
    /// Nothing.
    #[default]
    #[serde(rename = "nothing")]
    Nothing,
    /// KMS accepted an import.
    #[serde(rename = "accepted by KMS")]
    Accepted,
    /// KMS accepted the same symmetric material a second time, as EXISTING_KEY_MATERIAL; or KMS computes with the
    /// HMAC key or the key pair.
    #[serde(rename = "proved in KMS")]
    Proved,
}

/// One line with its answer.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Its number, counting from 1.
    pub number: usize,
    /// When it was added.
    pub at: Timestamp,
    /// The answer's file within the record.
    pub file: String,
    /// SHA-256 of the answer.
    pub sha256: Digest,
    /// What it says.
    pub entry: Entry,
}

/// The receipts of a record, checked.
#[derive(Clone, Debug, Default)]
pub struct Receipts {
    /// The record's imports, from the transcript.
    pub imports: Vec<Import>,
    /// The lines in order.
    pub receipts: Vec<Receipt>,
    /// For each line, SHA-256 of the file up to and including it.
    pub heads: Vec<Digest>,
    /// SHA-256 of the last line without its line feed, or the transcript's head.
    last: Digest,
    /// Files in the folder that no line names.
    unnamed: Vec<String>,
}

/// An import of a record, from its transcript.
#[derive(Clone, Debug)]
pub struct Import {
    /// The data key's label.
    pub label: String,
    /// Its KMS key spec.
    pub spec: String,
    /// Its fingerprint, in hex.
    pub fingerprint: String,
    /// The import's name.
    pub import: String,
    /// The KMS key.
    pub(crate) kms_key: KeyName,
    /// `kms` of the plan; empty for AWS KMS.
    pub(crate) kms: String,
    /// The KMS's own name of the wrapping key, if it has one.
    pub(crate) wrapping_key_id: Option<String>,
    /// When the data key was wrapped for that KMS key.
    pub wrapped_at: Timestamp,
    /// Until when KMS accepted the import token.
    pub token_until: Option<Timestamp>,
    /// The script's `import_type`.
    pub import_as: Option<ImportAs>,
    /// Whether the script says EXISTING_KEY_MATERIAL, and why.
    pub(crate) existing: Option<Existing>,
    /// SHA-256 of the answer to its challenge, in hex.
    pub challenge: Option<String>,
    /// The KMS key to rotate after it.
    pub rotates: Option<String>,
}

/// `import-type` of the transcript: the script says EXISTING_KEY_MATERIAL, or a version elsewhere took it before.
#[derive(Clone, Debug)]
pub(crate) struct Existing {
    /// Which material, from a receipt of a previous record.
    pub key_material_id: Option<String>,
    /// The import of which this one is the witness.
    pub witness_of: Option<String>,
}

/// A receipt's id for the material in a KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMaterial {
    /// Whether the id is that of a version of a key elsewhere, which may have the same material in several; AWS KMS makes
    /// it from key and material, so there one material has one.
    pub(crate) is_version: bool,
    /// The data key's fingerprint, in hex.
    pub fingerprint: String,
    /// The KMS key.
    pub key_arn: String,
    /// KMS's id for the material there.
    pub key_material_id: String,
}

/// How far an import has come, according to the receipts of its record.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// The data key's label.
    pub label: String,
    /// The import's name.
    pub import: String,
    /// The KMS key.
    #[serde(flatten)]
    pub(crate) kms_key: KeyName,
    /// KMS's id for the material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_id: Option<String>,
    /// `no receipt`, `import failed`, `accepted by KMS` or `proved in KMS`.
    pub kms: &'static str,
    /// Who says so, if it was not AWS: the endpoint that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// When it reached that stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Whose clock says when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_by: Option<Clock>,
}

/// Whose clock gives the time of something in KMS; the earlier in this list, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Clock {
    /// KMS's own, by CloudTrail.
    #[serde(rename = "KMS")]
    Kms,
    /// The online computer's, when its script ended.
    #[serde(rename = "online side")]
    Online,
    /// The clock of the computer on which the receipt was added: the answer has no time.
    #[serde(rename = "receipt added")]
    Added,
}

impl Standing {
    /// Whether KMS accepted the material.
    pub(crate) fn is_accepted(&self) -> bool {
        is_taken(self.kms)
    }

    /// Whether the KMS that the plan names accepted it, not another server.
    pub(crate) fn is_done(&self) -> bool {
        self.is_accepted() && self.endpoint.is_none()
    }

    /// How far the import has come, and who says so if it was not AWS.
    pub(crate) fn told(&self) -> String {
        format!("{}{}", self.kms, self.doubt().unwrap_or_default())
    }

    /// Who says so, if it was not whom the plan names.
    pub(crate) fn doubt(&self) -> Option<String> {
        let endpoint = self.endpoint.as_deref()?;
        Some(said_elsewhere(endpoint, Some(&self.kms_key)))
    }
}

/// Whether an import that came so far was taken by its KMS.
pub(crate) fn is_taken(kms: &str) -> bool {
    [ACCEPTED, PROVED].contains(&kms)
}

/// Added to every statement about an answer that did not come from AWS, or from the server that the plan names.
pub(crate) fn said_elsewhere(endpoint: &str, key: Option<&KeyName>) -> String {
    format!(", says {endpoint}, {}", is_not(key))
}

/// Who it is not.
pub(crate) fn is_not(key: Option<&KeyName>) -> &'static str {
    match key {
        Some(KeyName::Other(_)) => "WHICH THE PLAN DOES NOT NAME",
        Some(KeyName::Arn(_)) | None => "WHICH IS NOT AWS",
    }
}

/// `accepted by KMS`
pub(crate) const ACCEPTED: &str = "accepted by KMS";
/// `proved in KMS`
pub(crate) const PROVED: &str = "proved in KMS";
/// `import failed`
pub(crate) const FAILED: &str = "import failed";
/// `no receipt`
pub(crate) const NONE: &str = "no receipt";

impl Receipts {
    /// SHA-256 of the whole `receipts.jsonl`; `None` while there is no line.
    pub(crate) fn head(&self) -> Option<Digest> {
        self.heads.last().copied()
    }

    /// The materials that these receipts know.
    pub(crate) fn known(&self) -> Vec<KnownMaterial> {
        known(&self.imports, &self.receipts)
    }

    /// How far each import has come, without the imports.
    pub fn standings(&self) -> Vec<Standing> {
        let each = self.by_import().into_iter();
        each.map(|(_, standing)| standing).collect()
    }

    /// How far each import has come.
    pub(crate) fn by_import(&self) -> Vec<(&Import, Standing)> {
        let known = self.known();
        let by_aws = |receipt: &&Receipt| receipt.entry.endpoint.is_none();
        let of_aws = Self {
            imports: self.imports.clone(),
            receipts: self.receipts.iter().filter(by_aws).cloned().collect(),
            ..Self::default()
        };
        let standing = |import| {
            let by_aws = of_aws.standing(import, &known);
            let standing = match by_aws.is_accepted() {
                true => by_aws,
                false => self.standing(import, &known),
            };
            (import, standing)
        };
        self.imports.iter().map(standing).collect()
    }

    fn standing(&self, import: &Import, known: &[KnownMaterial]) -> Standing {
        let facts: Vec<Fact> = facts_of(&self.receipts, import).collect();
        let proves = facts.iter().map(|fact| fact.proves).max();
        let first = facts.iter().filter(|fact| Some(fact.proves) == proves);
        let first = first.min_by_key(|fact| fact.at_by);
        let known = known.iter().find(|known| {
            import.is_into(&known.key_arn) && known.fingerprint == import.fingerprint
        });
        let accepted = proves >= Some(Proves::Accepted);
        let computes = computes_with(&self.receipts, import);
        let proved = computes.is_some()
            || accepted && (proves == Some(Proves::Proved) || self.is_witnessed(import));
        Standing {
            label: import.label.clone(),
            import: import.import.clone(),
            kms_key: import.kms_key.clone(),
            key_material_id: known
                .filter(|_| accepted)
                .map(|known| known.key_material_id.clone()),
            kms: match (proved, accepted, proves) {
                (true, _, _) => PROVED,
                (_, true, _) => ACCEPTED,
                (_, _, Some(_)) => FAILED,
                (_, _, None) => NONE,
            },
            endpoint: match (&computes, first) {
                (Some(shown), _) => shown.entry.endpoint.clone(),
                (None, first) => first.and_then(|fact| fact.endpoint.clone()),
            },
            at: match (computes, accepted) {
                (Some(shown), false) => Some(shown.at),
                _ => first.map(|fact| fact.at),
            },
            at_by: match (computes, accepted) {
                (Some(_), false) => Some(Clock::Added),
                _ => first.map(|fact| fact.at_by),
            },
        }
    }

    /// Whether KMS accepted a witness of this import, or the import of which this one is the witness. Only the
    /// witness's own script says that it sent this record's material, as existing material.
    fn is_witnessed(&self, import: &Import) -> bool {
        self.imports.iter().any(|other| {
            let (witness, first) =
                match (is_witness_of(other, import), is_witness_of(import, other)) {
                    (true, _) => (other, import),
                    (_, true) => (import, other),
                    _ => return false,
                };
            let mut by_script = facts_of(&self.receipts, witness)
                .filter(|fact| fact.by_script && fact.proves >= Proves::Accepted);
            other.label == import.label
                && by_script.any(|fact| {
                    accepted_of(&self.receipts, first).any(|id| {
                        witness.kms_key != first.kms_key || (id.is_some() && id == fact.id)
                    })
                })
        })
    }

    /// The entries of ListKeyRotations that none of the known materials explains.
    pub(crate) fn unexplained(&self, known: &[KnownMaterial]) -> Vec<Listed> {
        let known = known.iter();
        let known: BTreeSet<_> = known
            .map(|known| (key_id(&known.key_arn), known.key_material_id.as_str()))
            .collect();
        let receipts = self.receipts.iter();
        let listed = receipts.flat_map(|receipt| &receipt.entry.materials);
        let mut once = HashSet::new();
        let is_explained =
            |listed: &Listed| known.contains(&(key_id(&listed.key_arn), &listed.key_material_id));
        listed
            .filter(|listed| !is_explained(listed) && once.insert(*listed))
            .cloned()
            .collect()
    }

    /// Files in the folder that no line names: an interrupted `byok receipt`, or a cut line.
    pub(crate) fn unnamed(&self) -> &[String] {
        &self.unnamed
    }
}

fn is_witness_of(witness: &Import, other: &Import) -> bool {
    let existing = witness.existing.as_ref();
    existing.and_then(|existing| existing.witness_of.as_deref()) == Some(other.import.as_str())
}

/// One import that KMS accepted or refused.
struct Fact {
    proves: Proves,
    id: Option<String>,
    at: Timestamp,
    at_by: Clock,
    /// Whether the record's own `import.sh` says so.
    by_script: bool,
    /// The endpoint that answered, if it is not AWS's.
    endpoint: Option<String>,
}

/// What the receipts say about one import: import results and CloudTrail's events.
fn facts_of<'a>(receipts: &'a [Receipt], import: &'a Import) -> impl Iterator<Item = Fact> + 'a {
    let is_of = |label: &Option<String>, name: &Option<String>| {
        label.as_deref() == Some(&import.label) && name.as_deref() == Some(&import.import)
    };
    receipts.iter().flat_map(move |receipt| {
        let entry = &receipt.entry;
        let own = ([answer::IMPORT_KEY_MATERIAL, answer::IMPORT].contains(&entry.answer.as_str())
            && is_of(&entry.label, &entry.import))
        .then(|| Fact {
            proves: entry.proves,
            id: entry.key_material_id.clone(),
            at: entry.happened.unwrap_or(receipt.at),
            at_by: match entry.happened {
                Some(_) => Clock::Online,
                None => Clock::Added,
            },
            by_script: entry.exit.is_some(), // a bare answer has no exit code
            endpoint: entry.endpoint.clone(),
        });
        let events = entry.events.iter();
        let events = events
            .filter(|event| is_of(&event.label, &event.import))
            .map(|event| Fact {
                proves: event.proves,
                id: event.key_material_id.clone(),
                at: event.happened,
                at_by: Clock::Kms,
                by_script: false,
                endpoint: entry.endpoint.clone(),
            });
        own.into_iter().chain(events.collect::<Vec<_>>())
    })
}

/// The first answer that shows that the KMS key computes with this HMAC key or key pair.
fn computes_with<'a>(receipts: &'a [Receipt], import: &Import) -> Option<&'a Receipt> {
    let shows = |receipt: &&Receipt| {
        let entry = &receipt.entry;
        [
            answer::GENERATE_MAC,
            answer::GET_PUBLIC_KEY,
            answer::ENGINE_KEY,
        ]
        .contains(&entry.answer.as_str())
            && entry.proves == Proves::Proved
            && entry.label.as_ref() == Some(&import.label)
            && entry.is_of(&import.kms_key)
    };
    receipts.iter().find(shows)
}

/// The material ids in accepted imports.
fn accepted_of<'a>(
    receipts: &'a [Receipt],
    import: &'a Import,
) -> impl Iterator<Item = Option<String>> + 'a {
    facts_of(receipts, import)
        .filter(|fact| fact.proves >= Proves::Accepted)
        .map(|fact| fact.id)
}

/// The materials that these receipts know: from an accepted import or, if an old AWS CLI did not show it, from
/// DescribeKey after it.
fn known(imports: &[Import], receipts: &[Receipt]) -> Vec<KnownMaterial> {
    let mut all: Vec<KnownMaterial> = Vec::new();
    for import in imports {
        let known = known_id(import, receipts).map(|key_material_id| KnownMaterial {
            is_version: import.kms_key.arn().is_none(),
            fingerprint: import.fingerprint.clone(),
            key_arn: import.kms_key.as_str().to_owned(),
            key_material_id,
        });
        all.extend(known.filter(|known| !all.contains(known)));
    }
    all
}

/// The id of the material that one import's receipts know.
fn known_id(import: &Import, receipts: &[Receipt]) -> Option<String> {
    let told = accepted_of(receipts, import).flatten().next();
    told.or_else(|| match import.rotates {
        // Material that was added to other material is current only after the KMS key is rotated.
        Some(_) => None,
        None => described_after_import(receipts, import),
    })
}

fn described_after_import(receipts: &[Receipt], import: &Import) -> Option<String> {
    let accepts = |receipt: &Receipt| {
        accepted_of(std::slice::from_ref(receipt), import)
            .next()
            .is_some()
    };
    let accepted = receipts.iter().position(accepts)?;
    let described = receipts[accepted + 1..].iter().find(|receipt| {
        receipt.entry.answer == "DescribeKey"
            && receipt.entry.endpoint.is_none()
            && receipt.entry.is_of(&import.kms_key)
            && receipt.entry.key_material_id.is_some()
    });
    described?.entry.key_material_id.clone()
}

/// The imports in a transcript.
pub(crate) fn imports(chain: &Chain) -> Vec<Import> {
    let about = About {
        keys: first_of(chain, |key: &DataKeyFacts| key.label.clone()),
        parameters: first_of(chain, |read: &Imported| name(&read.label, &read.import)),
        challenges: first_of(chain, |made: &ChallengeMade| {
            name(&made.label, &made.import)
        }),
        types: first_of(chain, |told: &ImportTypeTold| {
            name(&told.label, &told.import)
        }),
    };
    let wrapped = chain.events::<Wrapped>();
    wrapped.map(|wrapped| import(&about, &wrapped)).collect()
}

/// Data key and import.
type Name = (String, String);

fn name(label: &str, import: &str) -> Name {
    (label.to_owned(), import.to_owned())
}

/// What a transcript says about imports outside `key-wrapped`; the first line for each counts.
struct About<'a> {
    keys: BTreeMap<String, Said<'a, DataKeyFacts>>,
    parameters: BTreeMap<Name, Said<'a, Imported>>,
    challenges: BTreeMap<Name, Said<'a, ChallengeMade>>,
    types: BTreeMap<Name, Said<'a, ImportTypeTold>>,
}

fn first_of<'a, K: Ord, T: Told + 'a>(
    chain: &'a Chain,
    key: impl Fn(&T) -> K,
) -> BTreeMap<K, Said<'a, T>> {
    let mut first = BTreeMap::new();
    for entry in chain.events::<T>() {
        first.entry(key(&entry)).or_insert(entry);
    }
    first
}

fn import(about: &About, wrapped: &Said<Wrapped>) -> Import {
    let key = about.keys.get(&wrapped.label);
    let name = name(&wrapped.label, &wrapped.import);
    let parameters = about.parameters.get(&name);
    let typed = about.types.get(&name);
    let import_as = typed.and_then(|typed| ImportAs::parse(typed.import_type.as_deref()?).ok());
    Import {
        spec: key.map(|key| key.spec.to_string()).unwrap_or_default(),
        fingerprint: key.map(|key| key.fingerprint.clone()).unwrap_or_default(),
        label: wrapped.label.clone(),
        import: wrapped.import.clone(),
        kms_key: wrapped.kms_key.name.clone(),
        kms: wrapped
            .kms_key
            .kms
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        wrapping_key_id: parameters.and_then(|read| read.wrapping_key_id.clone()),
        wrapped_at: wrapped.line.at,
        token_until: parameters.and_then(|read| read.valid_to.as_ref()?.known()),
        import_as,
        challenge: about
            .challenges
            .get(&name)
            .map(|made| made.answer_sha256.clone()),
        rotates: typed.and_then(|typed| typed.rotates.clone()),
        existing: typed
            .filter(|_| import_as == Some(ImportAs::Existing) || wrapped.kms_key.kms.is_some())
            .map(|typed| Existing {
                key_material_id: typed.key_material_id.clone(),
                witness_of: typed.witness_of.clone(),
            }),
    }
}

impl Import {
    /// Whether it goes into the key of this name; [`KeyName`] says in which KMS.
    pub(crate) fn is_into(&self, name: &str) -> bool {
        self.kms_key.as_str() == name
    }
}

/// Whether an id or ARN in an answer of AWS KMS names the KMS key with this ARN.
fn names_key(text: &str, key_arn: &str) -> bool {
    text == key_arn || key_id(key_arn) == text
}

/// The Region in a key's ARN.
fn region(key_arn: &str) -> &str {
    key_arn.split(':').nth(3).unwrap_or_default()
}

/// The account in a key's ARN.
fn account(key_arn: &str) -> &str {
    key_arn.split(':').nth(4).unwrap_or_default()
}

fn key_id(key_arn: &str) -> &str {
    key_arn.rsplit('/').next().unwrap_or(key_arn)
}
