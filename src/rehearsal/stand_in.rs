//! The record that a practised plan builds on. The real one's data keys must not be touched and its
//! shares must not be typed, so a stand-in is made: the same labels, custodians and threshold, other data keys.

use std::collections::BTreeSet;
use std::path::Path;

use super::practice::Replaced;
use super::{TOKEN, Works};
use crate::ceremony::reimport;
use crate::crypto::escrow::Policy;
use crate::crypto::spec::Spec;
use crate::evidence::previous::Previous;
use crate::evidence::transcript::KeyName;
use crate::ground::error::{Error, Result};
use crate::paper::plan::Notes;
use crate::plan::kms::{KeyArn, KmsKey};
use crate::plan::{
    Deliver, EscrowPlan, ImportPlan, Keep, KeyPlan, Kind, Network, PackageSource, Plan,
};

/// How many custodians a stand-in has, and how many shares open it, if nobody says.
const CUSTODIANS: usize = 3;
const THRESHOLD: u8 = 2;

/// The names in a stand-in for the previous record.
#[derive(Debug)]
pub(crate) struct Before {
    keys: Vec<Key>,
    /// Who got shares of its escrow, if it has one.
    pub escrow: Option<Policy>,
    /// What people are told about the origin of these names, a sentence each.
    pub told: Vec<String>,
}

#[derive(Debug)]
struct Key {
    label: String,
    spec: Spec,
    keep: Keep,
    /// The KMS keys that it is wrapped for; at least one.
    kms_keys: Vec<KmsKey>,
}

impl Before {
    /// What `plan` needs before it: from the real previous record if there is one, otherwise from the plan.
    ///
    /// # Errors
    /// Exit 2 if data key, spec or `keep` in the record differ from the plan; exit 2 or 4 if a ceremony of the plan could
    /// not succeed.
    pub(crate) fn of(plan: &Plan, previous: Option<&Previous>) -> Result<Self> {
        refuse_hopeless(plan, previous)?;
        let mut taken = BTreeSet::new();
        let keys = plan
            .keys
            .iter()
            .map(|key| {
                let known = previous.map(|known| reimport::known(known, key));
                let known = known.transpose()?.map(|known| known.kms_keys.as_slice());
                Ok(Key {
                    label: key.label.clone(),
                    spec: key.spec,
                    keep: key.keep,
                    kms_keys: kms_keys(key, known.unwrap_or_default(), &mut taken)?,
                })
            })
            .collect::<Result<_>>()?;
        let mut before = Self {
            keys,
            escrow: None,
            told: Vec::new(),
        };
        before.name_record(plan, previous);
        before.name_custodians(plan, previous)?;
        Ok(before)
    }

    fn name_record(&mut self, plan: &Plan, previous: Option<&Previous>) {
        let told = match (&plan.previous, previous) {
            (_, Some(previous)) => format!(
                "The previous record is a stand-in: the names are those of {}, the data keys are not.",
                previous.directory.display()
            ),
            (Some(path), None) => format!(
                "The previous record, {}, is not here: a stand-in was made from what the plan says.",
                path.display()
            ),
            (None, None) => {
                "The fingerprints in the plan are replaced by those of stand-in data keys."
                    .to_owned()
            }
        };
        self.told.push(told);
        if previous.is_some_and(|previous| previous.rehearsal) {
            let told =
                "That record is itself from a rehearsal: byok refuses a real run of this plan.";
            self.told.push(told.to_owned());
        }
    }

    /// The custodians of the real record, otherwise those of the plan, otherwise practice names.
    fn name_custodians(&mut self, plan: &Plan, previous: Option<&Previous>) -> Result<()> {
        if let Some(dealt) = previous.and_then(Previous::in_use) {
            self.escrow = Some(dealt.policy.clone());
            return Ok(());
        }
        let sealed = plan.keys.iter().any(|key| key.keep != Keep::Extractable);
        let asks_for_forms = plan.previous.is_some() && previous.is_none();
        let wanted = plan.kind == Kind::Recover
            || sealed
            || asks_for_forms && (plan.kind == Kind::Destroy || plan.escrow.is_some());
        if !wanted {
            return Ok(());
        }
        let (escrow, told) = match &plan.escrow {
            Some(escrow) => (
                escrow.policy.clone(),
                "Nothing says who holds the earlier shares: the custodians of [escrow] play these people.",
            ),
            None => (
                Policy::any(
                    THRESHOLD,
                    (1..=CUSTODIANS).map(|n| format!("custodian {n}")).collect(),
                )
                .map_err(Error::usage)?,
                "Nothing says who holds the earlier shares: here custodian 1, 2 and 3 do, and any 2 are enough.",
            ),
        };
        self.escrow = Some(escrow);
        self.told.push(told.to_owned());
        Ok(())
    }

    /// The plan of the ceremony that makes the stand-in; it asks nothing. Its shares go to `dealt`, its
    /// import parameters are expected at the paths that the plan names.
    pub(crate) fn plan(&self, module: &Path, works: &Works, dealt: &str) -> String {
        let escrow = self.escrow.as_ref().map(|policy| EscrowPlan {
            policy: policy.clone(),
            deliver: Deliver::Files(dealt.into()),
        });
        let title = "Stand-in for the previous record";
        let (hsm, record) = (super::hsm(module, TOKEN), Path::new(Replaced::PREVIOUS));
        let plan = Plan {
            network: Network::Allowed,
            keys: self.keys.iter().map(|key| key.plan(works)).collect(),
            escrow,
            ..Plan::draft(title, Kind::Generate, hsm, record)
        };
        plan.written(&Notes::default())
    }
}

impl Key {
    fn plan(&self, works: &Works) -> KeyPlan {
        let label = &self.label;
        let import = |(at, into): (usize, &KmsKey)| {
            let (wrapping, wrap_in) = works.any(self.spec, into);
            // a label has no full stop: no file of the practised plan is called so
            let parameters = format!("inputs/before.{label}.{at}.json");
            ImportPlan {
                wrap_in,
                ..ImportPlan::draft(
                    &format!("import-{at}"),
                    into.clone(),
                    Path::new(&parameters),
                    wrapping,
                )
            }
        };
        KeyPlan {
            keep: self.keep,
            imports: self.kms_keys.iter().enumerate().map(import).collect(),
            ..KeyPlan::draft(label, works.played(self.spec))
        }
    }
}

/// A data key goes to the same KMS keys as before, so that they are compared as they will be.
fn kms_keys(key: &KeyPlan, known: &[KeyName], taken: &mut BTreeSet<KmsKey>) -> Result<Vec<KmsKey>> {
    let of_plan = key.imports.iter().map(|import| import.kms_key.clone());
    let mut wanted: Vec<KmsKey> = of_plan.clone().collect();
    if !known.is_empty() {
        // another KMS's key is known by its name alone, which does not say what it takes: the plan does
        let of_plan = |name: &KeyName| of_plan.clone().find(|key| KeyName::from(key) == *name);
        let known = known.iter().filter_map(|name| {
            let by_arn = || name.arn().map(|arn| KeyArn::parse(arn).map(KmsKey::from));
            of_plan(name).map(Ok).or_else(by_arn)
        });
        wanted = known.collect::<Result<_>>()?;
    }
    wanted.retain(|key| taken.insert(key.clone()));
    if wanted.is_empty() {
        let made_up: KmsKey = KeyArn::parse(&format!(
            "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-{:012}",
            taken.len()
        ))?
        .into();
        taken.insert(made_up.clone());
        wanted.push(made_up);
    }
    Ok(wanted)
}

/// What cannot succeed in the real room is not practised here either.
fn refuse_hopeless(plan: &Plan, previous: Option<&Previous>) -> Result<()> {
    let sealed = plan.keys.iter().find(|key| key.keep != Keep::Extractable);
    if let (Kind::Reimport, Some(key)) = (plan.kind, sealed) {
        return Err(Error::usage(format!(
            "[[key]] {:?}: keep = {:?}: the HSM does not give it out again, so no reimport can be practised",
            key.label,
            key.keep.name()
        ))
        .hint("kind = \"recover\" brings it back from a quorum: byok plan --recover RECORD"));
    }
    let of_record = plan
        .recover
        .as_ref()
        .is_some_and(|recover| recover.package == PackageSource::Record);
    match previous {
        Some(previous) if of_record && previous.package.is_none() => Err(Error::mismatch(format!(
            "the previous record {} holds no escrow package, so no recovery from it can be practised",
            previous.directory.display()
        ))
        .check("ESCROW-PACKAGE")
        .hint("an older record of this data key may: set package in [recover] to its escrow-package.json")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(kind: &str, top: &str, key: &str, rest: &str) -> Plan {
        let text = format!(
            "title = \"t\"\nkind = \"{kind}\"\n{top}[hsm]\nmodule = \"m\"\ntoken = \"pkcs11:token=t\"\n\
             [[key]]\nlabel = \"a\"\nspec = \"SYMMETRIC_DEFAULT\"\n{key}[record]\ndirectory = \"r\"\n{rest}"
        );
        Plan::parse(Path::new("/nowhere/plan.toml"), text.into_bytes()).unwrap()
    }

    #[test]
    fn where_nobody_says_who_holds_the_shares_practice_names_do() {
        let top = "previous = \"gone\"\nreuse_escrow = \"a test\"\n";
        let import = "keep = \"extractable\"\n[[key.import]]\nname = \"i\"\nparameters = \"p\"\nexpires = \"never\"\n\
                      key_arn = \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\"\n\
                      wrapping = \"RSAES_OAEP_SHA_256\"\n";
        let plan = plan("recover", top, import, "[recover]\nshares = \"typed\"\n");
        let before = Before::of(&plan, None).unwrap();
        let policy = before.escrow.as_ref().unwrap();
        assert_eq!(policy.fewest(), usize::from(THRESHOLD));
        assert_eq!(
            policy.custodians(),
            ["custodian 1", "custodian 2", "custodian 3"]
        );
        assert!(
            before.told[0].contains("gone, is not here"),
            "{:?}",
            before.told
        );
        assert!(before.told[1].contains("custodian 1"), "{:?}", before.told);
        let text = before.plan(Path::new("m"), &Works::default(), "dealt");
        let made = Plan::parse(Path::new("/nowhere/plan.toml"), text.into_bytes()).unwrap();
        assert_eq!(
            made.keys[0].imports[0].kms_key,
            plan.keys[0].imports[0].kms_key
        );
    }

    #[test]
    fn a_sealed_data_key_is_not_reimported_in_practice_either() {
        let key = "keep = \"sealed\"\n";
        let escrow = "[escrow]\nthreshold = 2\ncustodians = [\"A\", \"B\"]\ndeliver = \"screen\"\n";
        let plan = plan("reimport", "previous = \"gone\"\n", key, escrow);
        let error = Before::of(&plan, None).unwrap_err();
        assert!(
            error.what.contains("no reimport can be practised"),
            "{}",
            error.what
        );
        assert!(error.hints[0].contains("recover"));
    }
}
