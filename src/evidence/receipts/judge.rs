//! What an answer says about this record: to which import it belongs, and what it proves.

use jiff::Timestamp;
use serde::Serialize;

use super::answer::{self, Answer, Answered, ImportResult, Rotation, RotationMore, TrailEvent};
use super::endpoint::{self, Service};
use super::{Import, KnownMaterial, Proves, Receipt, known_id};
use crate::evidence::receipts::describe::KeyMetadata;
use crate::evidence::transcript::KeyName;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json;

/// The contents of one receipt, without the answer's own bytes. Absent members do not apply.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    /// The operation that answered.
    pub answer: String,
    /// The data key's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The import's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<String>,
    /// The KMS key.
    #[serde(flatten)]
    pub(crate) kms_key: Option<KeyName>,
    /// KMS's id for the material in that KMS key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_id: Option<String>,
    /// Exit code of the AWS CLI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<u64>,
    /// The endpoint that answered, if it does not belong to AWS: whoever runs it may answer anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// `KeyState` of DescribeKey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_state: Option<String>,
    /// When it happened, by the online side's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub happened: Option<Timestamp>,
    /// The materials in ListKeyRotations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<Listed>,
    /// CloudTrail's events about KMS keys of this record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<TrailFact>,
    /// What the answer proves, given the receipts before it.
    pub proves: Proves,
    /// Why the KMS showed no proof. It is not in the line, because lines of older versions do not have it.
    #[serde(skip)]
    pub unproved: Option<String>,
}

impl Entry {
    /// Whether it is about the KMS key of this name.
    pub(crate) fn is_of(&self, key: &KeyName) -> bool {
        self.kms_key.as_ref() == Some(key)
    }

    /// A line of an older version stays valid; what today's rules cannot decide counts for nothing.
    pub(super) fn told_by_older_rules(self) -> Self {
        Self {
            answer: self.answer,
            exit: self.exit,
            happened: self.happened,
            ..Self::default()
        }
    }

    /// Whether a line can contain it: see [`Json::is_plain`](crate::ground::strict_json::Json::is_plain).
    fn is_plain(&self) -> bool {
        let json = serde_json::to_vec(self).map(|bytes| strict_json::parse(&bytes));
        matches!(json, Ok(Ok(json)) if json.is_plain())
    }
}

/// One material that KMS lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Listed {
    /// The KMS key.
    pub key_arn: String,
    /// The material.
    pub key_material_id: String,
    /// `CURRENT`, `NON_CURRENT`, `PENDING_ROTATION` or `PENDING_MULTI_REGION_IMPORT_AND_ROTATION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The answer's other members. They are not in the line, because lines of older versions do not have them.
    #[serde(skip)]
    pub more: RotationMore,
}

/// One event of CloudTrail about a KMS key of this record.
#[derive(Clone, Debug, Serialize)]
pub struct TrailFact {
    /// `eventName`.
    pub event_name: String,
    /// `eventTime`.
    pub happened: Timestamp,
    /// The KMS key.
    pub key_arn: String,
    /// The data key's label, if the event is about an import of this record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The import's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<String>,
    /// Which material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_id: Option<String>,
    /// Why KMS refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the event proves.
    pub proves: Proves,
}

/// What an answer is judged against.
pub(crate) struct Scope<'a> {
    pub ceremony: &'a str,
    pub imports: &'a [Import],
    /// The receipts before this one.
    pub earlier: &'a [Receipt],
    /// The materials that earlier records know.
    pub before: &'a [KnownMaterial],
    /// The rules to judge by.
    pub rules: Rules,
}

/// The rules by which an answer is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The rules of this version.
    Now,
    /// The rules of earlier versions, for lines that already exist. They assigned the bare id of a multi-Region
    /// key to the first import into any of its Regions, and counted an import as accepted although its answer
    /// named no KMS key.
    Older,
}

impl Scope<'_> {
    /// What an answer proves, and about which import.
    ///
    /// # Errors
    /// Exit 2 if byok cannot find out to which import an answer belongs; exit 4 if it belongs to another ceremony,
    /// import or KMS key, or is about material that is not this record's.
    pub(crate) fn judge(&self, answered: &Answered) -> Result<Entry> {
        let answer = &answered.answer;
        let entry = match answer {
            Answer::ImportResult(result) => self.import_result(result)?,
            Answer::ImportKeyMaterial {
                key_id,
                key_material_id,
            } => self.bare_import(key_id, key_material_id.as_deref())?,
            Answer::DescribeKey { metadata, current } => self.described(metadata, current)?,
            Answer::ListKeyRotations { asked, rotations } => {
                self.rotations(asked.as_deref(), rotations)?
            }
            Answer::GenerateMac(mac) => self.generated_mac(mac)?,
            Answer::GetPublicKey(key) => self.told_public_key(key)?,
            Answer::EngineKey(key) => self.engine_key(key)?,
            Answer::CloudTrail(events) => self.trail(events)?,
        };
        let entry = Entry {
            answer: answer.name().to_owned(),
            endpoint: elsewhere(answered, &entry),
            ..entry
        };
        match entry.is_plain() {
            true => Ok(entry),
            false => Err(Error::usage(
                "has a character that cannot be shown, or a number that is too long",
            )),
        }
    }

    /// The imports into the KMS key that the answer names; at least one.
    pub(super) fn imports_into(&self, key_id: &str) -> Result<Vec<&Import>> {
        let into = self.maybe_imports_into(key_id, None)?;
        if !into.is_empty() {
            return Ok(into);
        }
        let known: Vec<&str> = self.imports.iter().map(|i| i.kms_key.as_str()).collect();
        Err(Error::mismatch(format!(
            "is about the KMS key {key_id}, into which this record imports nothing ({})",
            known.join(", ")
        ))
        .check("KMS-KEY-MATCH")
        .hint("add it to the record of the ceremony to which it belongs"))
    }

    /// The one rule for how an answer of any kind names a KMS key: by its ARN, or by its id. All replicas of a
    /// multi-Region key have the same bare id, so the Region must be with it.
    fn maybe_imports_into(&self, key_id: &str, region: Option<&str>) -> Result<Vec<&Import>> {
        let region = region.filter(|_| self.rules == Rules::Now && !key_id.starts_with("arn:"));
        let names = |import: &&Import| {
            let arn = import.kms_key.arn(); // only AWS KMS answers so
            arn.is_some_and(|arn| {
                super::names_key(key_id, arn)
                    && region.is_none_or(|region| super::region(arn) == region)
            })
        };
        let into: Vec<&Import> = self.imports.iter().filter(names).collect();
        let says_where = !key_id.starts_with("mrk-") || region.is_some();
        match says_where || into.is_empty() || self.rules == Rules::Older {
            true => Ok(into),
            false => Err(
                Error::usage(format!("does not say in which Region {key_id} answered"))
                    .check("KMS-KEY-MATCH")
                    .hint("ask with the key's ARN, so that the answer names it")
                    .hint("the answer of list-key-rotations never does; online: bash online.sh rotate --key KEY_ARN --out rotations.json"),
            ),
        }
    }

    /// Names the KMS key and, if there is only one, the import.
    pub(super) fn of_key(&self, into: &[&Import]) -> Entry {
        let first = into.first();
        let one = (into.len() == 1).then_some(first).flatten();
        Entry {
            label: first.map(|import| import.label.clone()),
            import: one.map(|import| import.import.clone()),
            kms_key: first.map(|import| import.kms_key.clone()),
            ..Entry::default()
        }
    }

    fn import_result(&self, result: &ImportResult) -> Result<Entry> {
        if result.ceremony != self.ceremony {
            return Err(not_of_this_record(format!(
                "is from the ceremony {}, but this record is from {}",
                result.ceremony, self.ceremony
            )));
        }
        let found = self
            .imports
            .iter()
            .find(|import| import.label == result.label && import.import == result.import);
        let import = found.ok_or_else(|| {
            not_of_this_record(format!(
                "is for {}/{}, which this record does not have",
                result.label, result.import
            ))
        })?;
        if import.kms_key != result.kms_key {
            return Err(not_of_this_record(format!(
                "names the KMS key {}, but the record names {} for {}/{}",
                result.kms_key.as_str(),
                import.kms_key.as_str(),
                import.label,
                import.import
            )));
        }
        let answers = super::elsewhere::reader(&import.kms).map_or(&[][..], |reader| reader.kms);
        if result.engine.kms != answers {
            return Err(not_of_this_record(format!(
                "does not say that it comes from the KMS into which the record imports {}/{}",
                import.label, import.import
            )));
        }
        if let Some(account) = &result.account
            && import.kms_key.arn().map(super::account) != Some(account)
        {
            return Err(Error::mismatch(format!(
                "was made with credentials of the account {account}, but the KMS key is {}",
                import.kms_key.as_str()
            ))
            .check("KMS-KEY-MATCH"));
        }
        if let Some(answered) = &result.key_id
            && !(self.maybe_imports_into(answered, None)?.iter())
                .any(|into| into.kms_key == import.kms_key)
        {
            return Err(Error::mismatch(format!(
                "KMS answered for the KMS key {answered}, not for {}",
                import.kms_key.as_str()
            ))
            .check("KMS-KEY-MATCH")
            .hint("STOP: call the security officer, and delete nothing"));
        }
        let id = match &import.kms_key {
            KeyName::Arn(_) => result.key_material_id.as_deref(),
            KeyName::Other(_) => result.engine.version.as_deref(),
        };
        let mut entry = if self.was_imported(result) {
            import.is_there(&result.engine)?;
            let entry = self.accepted(import, id, true)?;
            let back = import.brought_back(&result.engine);
            let proves = import.shown_by(&result.engine)?.max(entry.proves).max(back);
            Entry { proves, ..entry }
        } else {
            self.of_key(&[import])
        };
        entry.exit = Some(result.exit);
        entry.happened = Some(result.at);
        entry.unproved.clone_from(&result.unproved);
        Ok(entry)
    }

    /// If no KMS key answered, nothing was imported, unless that AWS CLI is known not to show it.
    fn was_imported(&self, result: &ImportResult) -> bool {
        if let KeyName::Other(_) = result.kms_key {
            return result.exit == 0; // no other KMS's answer names its key
        }
        let by_old_cli = || result.cli.as_deref().is_some_and(answer::shows_no_key);
        result.exit == 0 && (result.key_id.is_some() || self.rules == Rules::Older || by_old_cli())
    }

    /// The bare answer does not say whose wrapped file was sent, so it only proves that KMS accepted something.
    fn bare_import(&self, key_id: &str, id: Option<&str>) -> Result<Entry> {
        match self.imports_into(key_id)?.as_slice() {
            [import] => self.accepted(import, id, false),
            several => Err(Error::usage(format!(
                "does not say to which of the {} imports into {key_id} it belongs",
                several.len()
            ))
            .hint("use the import-result*.json that import.sh wrote: it names the import")),
        }
    }

    fn accepted(&self, import: &Import, id: Option<&str>, by_script: bool) -> Result<Entry> {
        let of_aws = import.kms_key.arn().is_some(); // elsewhere the id is that of the version
        if of_aws {
            self.same_material(import.kms_key.as_str(), id)?;
        }
        let proves = if by_script && of_aws {
            self.proved_by(import, id)
        } else {
            Proves::Accepted
        };
        Ok(Entry {
            key_material_id: id.map(str::to_owned),
            proves,
            ..self.of_key(&[import])
        })
    }

    /// What an import that KMS accepted proves about the material that was there before.
    fn proved_by(&self, import: &Import, id: Option<&str>) -> Proves {
        let Some(existing) = &import.existing else {
            return Proves::Accepted;
        };
        let by_id = id.is_some() && existing.key_material_id.as_deref() == id;
        let by_witness = existing.witness_of.as_ref().is_some_and(|other| {
            let other = (self.imports.iter())
                .find(|known| known.label == import.label && known.import == *other);
            other.is_some_and(|other| self.is_witness(import, id, other))
        });
        match by_id || by_witness {
            true => Proves::Proved,
            false => Proves::Accepted,
        }
    }

    /// In the same KMS key, both must have the same id; a replica may have a different one.
    fn is_witness(&self, witness: &Import, id: Option<&str>, other: &Import) -> bool {
        super::accepted_of(self.earlier, other).any(|earlier| {
            witness.kms_key != other.kms_key || (id.is_some() && earlier.as_deref() == id)
        })
    }

    /// The id that this record, or an earlier one, knows for its material in this KMS key.
    fn known_id(&self, key_arn: &str) -> Option<String> {
        let of_key = |import: &&Import| import.is_into(key_arn);
        let import = self.imports.iter().find(of_key)?;
        let scripted = (self.imports.iter().filter(of_key))
            .find_map(|import| import.existing.as_ref()?.key_material_id.clone());
        let same = |other: &&Import| other.fingerprint == import.fingerprint;
        let mut own = self.imports.iter().filter(of_key).filter(same);
        let received = || own.find_map(|import| known_id(import, self.earlier));
        let mut before = self.before.iter();
        scripted.or_else(received).or_else(|| {
            before
                .find(|known| known.key_arn == key_arn && known.fingerprint == import.fingerprint)
                .map(|known| known.key_material_id.clone())
        })
    }

    /// KMS makes the id from KMS key and material, so a different id means different material.
    fn same_material(&self, key_arn: &str, id: Option<&str>) -> Result<()> {
        match (id, self.known_id(key_arn)) {
            (Some(id), Some(known)) if id != known => Err(Error::mismatch(format!(
                "names the key material {id} in {key_arn}, but this record's is {known}"
            ))
            .check("KEY-MATERIAL-ID")
            .hint("STOP: the KMS key holds other material than this record's; delete nothing")
            .hint("online: aws kms list-key-rotations --include-key-material ALL_KEY_MATERIAL; then add its answer")),
            _ => Ok(()),
        }
    }

    /// Whether the current material may not be this record's: its script adds it to what the KMS key has, or an
    /// earlier ListKeyRotations lists it among others.
    fn may_hold_more(&self, key_arn: &str) -> bool {
        let added = |import: &Import| import.is_into(key_arn) && import.rotates.is_some();
        let Some(known) = self.known_id(key_arn) else {
            return true; // there is nothing to compare it with
        };
        let lists = |receipt: &Receipt| {
            let mut listed = receipt.entry.materials.iter();
            listed.any(|listed| listed.key_arn == key_arn && listed.key_material_id == known)
        };
        self.imports.iter().any(added) || self.earlier.iter().any(lists)
    }

    fn described(&self, metadata: &KeyMetadata, current: &Option<String>) -> Result<Entry> {
        let into = self.imports_into(metadata.arn.as_str())?;
        let key_arn = metadata.arn.as_str();
        let spec = &into[0].spec;
        if metadata.origin != "EXTERNAL" || metadata.key_spec != *spec {
            return Err(Error::mismatch(format!(
                "describes {key_arn} with Origin {} and KeySpec {}, but this record needs EXTERNAL and {spec}",
                metadata.origin, metadata.key_spec
            ))
            .check("KMS-KEY-MATCH"));
        }
        if !self.may_hold_more(key_arn) {
            self.same_material(key_arn, current.as_deref())?;
        }
        Ok(Entry {
            key_material_id: current.clone(),
            key_state: Some(metadata.key_state.clone()),
            ..self.of_key(&into)
        })
    }

    /// KMS lists only the id; whoever asked may have written the ARN beside it.
    fn rotations(&self, asked: Option<&str>, rotations: &[Rotation]) -> Result<Entry> {
        let mut materials = Vec::new();
        let mut into = Vec::new();
        for rotation in rotations {
            let named = asked.filter(|arn| super::names_key(&rotation.key_id, arn));
            into = self.imports_into(named.unwrap_or(&rotation.key_id))?;
            materials.push(Listed {
                key_arn: into[0].kms_key.as_str().to_owned(),
                key_material_id: rotation.key_material_id.clone(),
                state: rotation.state.clone(),
                more: rotation.more.clone(),
            });
        }
        Ok(Entry {
            materials,
            ..self.of_key(&into)
        })
    }

    /// Events about other KMS keys are ignored; at least one must be about a KMS key of this record.
    fn trail(&self, events: &[TrailEvent]) -> Result<Entry> {
        let mut facts = Vec::new();
        for event in events {
            for key_id in &event.key_ids {
                let into = self.maybe_imports_into(key_id, event.region.as_deref())?;
                if !into.is_empty() {
                    facts.push(self.trail_fact(event, &into)?);
                }
            }
        }
        if facts.is_empty() {
            return Err(not_of_this_record(
                "no event in it is about a KMS key of this record".into(),
            ));
        }
        Ok(Entry {
            proves: facts
                .iter()
                .map(|fact| fact.proves)
                .max()
                .unwrap_or_default(),
            events: facts,
            ..Entry::default()
        })
    }

    fn trail_fact(&self, event: &TrailEvent, into: &[&Import]) -> Result<TrailFact> {
        let mut fact = TrailFact {
            event_name: event.name.clone(),
            happened: event.at,
            key_arn: into[0].kms_key.as_str().to_owned(),
            label: None,
            import: None,
            key_material_id: event.key_material_id.clone(),
            error: event.error.clone(),
            proves: Proves::Nothing,
        };
        let import = (event.name == "ImportKeyMaterial" && event.error.is_none())
            .then(|| self.import_of(event, into))
            .flatten();
        if let Some(import) = import {
            let id = event.key_material_id.as_deref();
            self.same_material(import.kms_key.as_str(), id)?;
            fact.label = Some(import.label.clone());
            fact.import = Some(import.import.clone());
            let existing = event.import_type.as_deref() == Some("EXISTING_KEY_MATERIAL");
            fact.proves = match existing {
                true => self.proved_by(import, id),
                false => Proves::Accepted,
            };
        }
        Ok(fact)
    }

    /// An event does not name a ceremony. It belongs to the one import into this KMS key whose import token was
    /// valid at that time.
    fn import_of<'a>(&self, event: &TrailEvent, into: &[&'a Import]) -> Option<&'a Import> {
        let mut could = into.iter().filter(|import| {
            import.wrapped_at <= event.at && import.token_until.is_some_and(|end| event.at <= end)
        });
        let one = could.next()?;
        could.next().is_none().then_some(*one)
    }
}

/// The endpoint that was given, if it does not belong to AWS: one rule for answers of every kind. It must be in the
/// Region of a KMS key in the answer.
fn elsewhere(answered: &Answered, entry: &Entry) -> Option<String> {
    let service = match answered.answer {
        Answer::CloudTrail(_) => Service::CloudTrail,
        _ => Service::Kms,
    };
    let of_events = entry.events.iter().map(|event| event.key_arn.as_str());
    let own = entry.kms_key.iter().filter_map(KeyName::arn);
    let keys: Vec<&str> = own.chain(of_events).collect();
    let is_of_aws = |url: &str| {
        let mut keys = keys.iter();
        keys.any(|arn| endpoint::is_of_aws(url, service, super::region(arn)))
    };
    let mut given = answered.endpoints.iter();
    given.find(|url| !is_of_aws(url)).cloned()
}

fn not_of_this_record(what: String) -> Error {
    Error::mismatch(what)
        .check("RECEIPT")
        .hint("add it to the record of the ceremony to which it belongs")
}
