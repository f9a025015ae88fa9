//! What KMS is told about the material of an import, and which of several Regions is the primary.
//!
//! KMS accepts new material for a multi-Region key in its primary Region only, and compares what the replicas get
//! with it. An ARN does not say which Region is the primary. Among the imports of one data key into one
//! multi-Region key, the primary is the one that the plan calls NEW_KEY_MATERIAL; a `generate` without that takes
//! the first. Source: AWS KMS API 2014-11-01, ImportKeyMaterial.

use super::{ImportPlan, KeyPlan, Kind, Plan};
use crate::ground::error::{Error, Result};

/// `import_type`, as the plan gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportAs {
    /// `NEW_KEY_MATERIAL`
    New,
    /// `EXISTING_KEY_MATERIAL`
    Existing,
}

/// The longest description of material that KMS accepts, in characters.
const LONGEST_DESCRIPTION: usize = 256;

/// What an import into a multi-Region key is in its plan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    /// byok takes its KMS key for the primary.
    Primary,
    /// byok takes its KMS key for a replica of the key of this other import.
    Replica {
        /// The primary's import.
        of: &'a ImportPlan,
    },
}

impl Role<'_> {
    /// For people who approve it.
    pub(crate) fn told(self) -> String {
        match self {
            Self::Primary => "taken for the PRIMARY of this multi-Region key".to_owned(),
            Self::Replica { of } => format!("taken for a REPLICA; imported after {}", of.name),
        }
    }
}

impl ImportAs {
    /// The KMS name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "NEW_KEY_MATERIAL",
            Self::Existing => "EXISTING_KEY_MATERIAL",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let all = [Self::New, Self::Existing];
        let found = all.into_iter().find(|known| known.name() == text);
        found.ok_or_else(|| {
            Error::usage(format!(
                "import_type {text:?} is neither NEW_KEY_MATERIAL nor EXISTING_KEY_MATERIAL"
            ))
            .hint("leave it out unless the KMS key holds other material too: byok then decides")
        })
    }
}

/// A KeyMaterialDescription that reaches KMS exactly as it is here.
pub(super) fn description(text: &str) -> Result<String> {
    let refuse =
        |why: &str, hint: &str| Err(Error::usage(format!("description {text:?} {why}")).hint(hint));
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":/_ .-".contains(c);
    if text.is_empty() || text.len() > LONGEST_DESCRIPTION || !text.chars().all(allowed) {
        return refuse(
            "is not a text that KMS accepts: 1 to 256 letters, digits, spaces and : / _ . -",
            "if you want no description, leave the field out",
        );
    }
    // The AWS CLI reads the first as an option, and replaces the others by what they name.
    let read_by_aws = ["-", "file://", "fileb://", "http://", "https://"];
    if read_by_aws.iter().any(|begin| text.starts_with(begin)) {
        return refuse(
            "begins with characters that have a meaning to the AWS CLI",
            "begin it with a word",
        );
    }
    Ok(text.to_owned())
}

impl KeyPlan {
    /// The role of an import among this data key's imports into one multi-Region key. `None`: not such a key, a
    /// witness, or nothing says which Region is the primary.
    pub(crate) fn role<'a>(&'a self, kind: Kind, import: &ImportPlan) -> Option<Role<'a>> {
        let members = || self.members(import);
        let is_new = |member: &&ImportPlan| member.import_as == Some(ImportAs::New);
        let may_be_first = |member: &&ImportPlan| {
            kind == Kind::Generate && member.import_as != Some(ImportAs::Existing)
        };
        let primary = members()
            .find(is_new)
            .or_else(|| members().find(may_be_first))?;
        let is_member = members().any(|member| member.name == import.name);
        is_member.then_some(match primary.name == import.name {
            true => Role::Primary,
            false => Role::Replica { of: primary },
        })
    }

    /// Whether this data key goes to several Regions of one multi-Region key, and this import to one of them.
    pub(crate) fn goes_to_several_regions(&self, import: &ImportPlan) -> bool {
        self.members(import).nth(1).is_some()
    }

    /// The imports into the same multi-Region key as this one, without witnesses.
    fn members<'a>(&'a self, import: &ImportPlan) -> impl Iterator<Item = &'a ImportPlan> {
        let key = import.kms_key.clone();
        let own = move |member: &&ImportPlan| {
            member.kms_key.is_multi_region() && member.kms_key.is_replica_of(key.as_str())
        };
        let imports = self.imports.iter();
        imports
            .filter(|member| member.witness_of.is_none())
            .filter(own)
    }

    /// The KMS key to rotate once this import, and every other one into it, is done: the plan adds new material to
    /// a KMS key that already has some.
    pub(crate) fn rotates<'a>(&'a self, kind: Kind, import: &'a ImportPlan) -> Option<&'a str> {
        let new = match self.role(kind, import) {
            Some(Role::Replica { of }) => of,
            _ => import,
        };
        (new.import_as == Some(ImportAs::New)).then_some(new.kms_key.as_str())
    }
}

impl Plan {
    /// Every KMS key to rotate once everything is imported, each once, in the plan's order.
    pub(crate) fn rotated(&self) -> Vec<&str> {
        let mut arns: Vec<&str> = Vec::new();
        for (key, import) in self.imports() {
            let arn = key.rotates(self.kind, import);
            arns.extend(arn.filter(|arn| !arns.contains(arn)));
        }
        arns
    }
}

/// Refuses an `import_type` that has no meaning, or that KMS would refuse after the ceremony.
pub(super) fn judge(plan: &Plan) -> Result<()> {
    for key in &plan.keys {
        for import in &key.imports {
            judge_one(plan.kind, key, import).map_err(|e| {
                e.doing(format!("[[key]] {:?}: import {:?}", key.label, import.name))
            })?;
        }
    }
    one_material_in_all_regions(plan)
}

fn judge_one(kind: Kind, key: &KeyPlan, import: &ImportPlan) -> Result<()> {
    let refuse = |what: String, hint: &str| Err(Error::usage(what).hint(hint));
    let spec = key.spec.name();
    if spec != "SYMMETRIC_DEFAULT" {
        let given = [
            ("import_type", import.import_as.is_some()),
            ("description", import.description.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => refuse(
                format!("{name} has no meaning for {spec}"),
                "only symmetric KMS keys can have several materials; any other KMS key keeps its first material for ever",
            ),
            None => Ok(()),
        };
    }
    let Some(import_as) = import.import_as else {
        return Ok(());
    };
    let what = format!("import_type = {:?}", import_as.name());
    match import_as {
        ImportAs::New if import.witness_of.is_some() => refuse(
            format!("{what}: a witness imports material that the KMS key already has"),
            "remove import_type from the witness",
        ),
        ImportAs::New => one_primary(key, import, &what),
        ImportAs::Existing
            if kind == Kind::Generate
                && import.witness_of.is_none()
                && !matches!(key.role(kind, import), Some(Role::Replica { .. })) =>
        {
            refuse(
                format!("{what}: the data key is new, so no KMS key has it yet"),
                "in a generate it is only for replicas of a multi-Region key whose primary is another import of the same data key",
            )
        }
        ImportAs::Existing => Ok(()),
    }
}

fn one_primary(key: &KeyPlan, import: &ImportPlan, what: &str) -> Result<()> {
    let mut members = key.members(import);
    let other = members
        .find(|member| member.name != import.name && member.import_as == Some(ImportAs::New));
    match other {
        Some(other) => Err(Error::usage(format!(
            "{what} is also set for {:?}, another Region of the same KMS key",
            other.name
        ))
        .hint("KMS accepts new material in the primary Region only: set it there, and leave it out for the replicas")),
        None => Ok(()),
    }
}

/// All replicas of a multi-Region key have the same material as its primary.
fn one_material_in_all_regions(plan: &Plan) -> Result<()> {
    let regional = |(_, import): &(&KeyPlan, &ImportPlan)| import.kms_key.is_multi_region();
    for (key, import) in plan.imports().filter(regional) {
        let other = plan.imports().filter(regional).find(|(other, of_other)| {
            other.label != key.label && of_other.kms_key.is_replica_of(import.kms_key.as_str())
        });
        if let Some((other, _)) = other {
            return Err(Error::usage(format!(
                "{} is the same multi-Region key for two data keys, {:?} and {:?}",
                import.kms_key, key.label, other.label
            ))
            .hint("all Regions of a multi-Region key have the same material"));
        }
    }
    Ok(())
}
