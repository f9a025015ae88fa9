//! What the plan in a record says about its surroundings. Read leniently: a plan of an older version must not prevent
//! the verification of a record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use toml::{Table, Value};

use crate::ground::files::read_small;
use crate::plan::Keep;

/// The plan of a record, as far as verification needs it.
pub(crate) struct RecordedPlan(Table);

impl RecordedPlan {
    /// The plan of this record; empty if it cannot be read.
    pub(crate) fn of(record: &Path) -> Self {
        let bytes = read_small(&record.join("plan.toml")).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        Self(toml::from_str(&text).unwrap_or_default())
    }

    /// The previous record's path, relative to the plan's original directory.
    pub(crate) fn previous(&self, record: &Path) -> Option<PathBuf> {
        let previous = Path::new(self.previous_as_written()?);
        if previous.is_absolute() {
            return Some(previous.to_owned());
        }
        Some(self.stood(record)?.join(previous))
    }

    /// `hsm.module` and `hsm.token`, as the plan has them.
    pub(crate) fn hsm(&self) -> Option<(String, String)> {
        let hsm = self.0.get("hsm")?;
        let text = |name| hsm.get(name)?.as_str().map(str::to_owned);
        Some((text("module")?, text("token")?))
    }

    /// The plan file's original directory: as far above the record as `record.directory` says. `None` if the
    /// record does not show that, as after `..` or an absolute path.
    pub(crate) fn stood(&self, record: &Path) -> Option<PathBuf> {
        let directory = Path::new(self.0.get("record")?.get("directory")?.as_str()?);
        let mut depth = 0;
        for part in directory.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::CurDir => {}
                _ => return None,
            }
        }
        let stands = record.canonicalize().ok()?;
        stands.ancestors().nth(depth).map(Path::to_owned)
    }

    /// Whether a data key cannot be wrapped again without a quorum of shares.
    pub(crate) fn keeps_by_quorum(&self) -> bool {
        let keys = self.0.get("key").and_then(Value::as_array);
        let keep = |key: &Value| key.get("keep").and_then(Value::as_str).map(str::to_owned);
        keys.into_iter()
            .flatten()
            .any(|key| keep(key).is_some_and(|keep| keep != Keep::Extractable.name()))
    }

    /// The files from which data keys came, by the plan's names.
    pub(crate) fn source_files(&self) -> Vec<String> {
        let keys = self.0.get("key").and_then(Value::as_array);
        let file = |key: &Value| {
            let source = key.get("source")?.as_str()?;
            source.strip_prefix("file:").map(str::to_owned)
        };
        keys.into_iter().flatten().filter_map(file).collect()
    }

    /// The directory for the share files, by the plan's name.
    pub(crate) fn share_files(&self) -> Option<String> {
        let deliver = self.0.get("escrow")?.get("deliver")?.as_str()?;
        deliver.strip_prefix("files:").map(str::to_owned)
    }

    /// A directory of the same name beside this record, if both were copied together.
    pub(crate) fn previous_beside(&self, record: &Path) -> Option<PathBuf> {
        let name = Path::new(self.previous_as_written()?).file_name()?;
        Some(record.canonicalize().ok()?.parent()?.join(name))
    }

    fn previous_as_written(&self) -> Option<&str> {
        self.0.get("previous")?.as_str()
    }

    /// The labels of its data keys.
    pub(crate) fn labels(&self) -> BTreeSet<String> {
        let labels = members(self.0.get("key")).filter_map(|key| text(key, "label"));
        labels.map(str::to_owned).collect()
    }

    /// When KMS must forget the material of each import. If two have the same name, the first one counts.
    pub(crate) fn expiries(&self) -> Expiries {
        let mut labels = BTreeSet::new();
        let mut all = BTreeMap::new();
        for key in members(self.0.get("key")) {
            let Some(label) = text(key, "label").filter(|label| labels.insert(*label)) else {
                continue;
            };
            for import in members(key.get("import")) {
                let expires = match text(import, "expires") {
                    None | Some("never") => Expiry::Never,
                    Some(time) => time.parse().map_or(Expiry::Unreadable, Expiry::At),
                };
                if let Some(name) = text(import, "name") {
                    let import = (label.to_owned(), name.to_owned());
                    all.entry(import).or_insert(expires);
                }
            }
        }
        Expiries(all)
    }
}

/// When KMS must forget the material of a plan's imports, by label and import.
pub(crate) struct Expiries(BTreeMap<(String, String), Expiry>);

/// `expires` of an import.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Never,
    At(Timestamp),
    /// No plan that byok took has such a time.
    Unreadable,
}

impl Expiries {
    /// The time for one import; `None`: never, or not known.
    pub(crate) fn of(&self, label: &str, import: &str) -> Option<Timestamp> {
        match self.entry(label, import)? {
            Expiry::At(time) => Some(time),
            Expiry::Never | Expiry::Unreadable => None,
        }
    }

    /// Whether the time for one import cannot be read.
    pub(crate) fn unreadable(&self, label: &str, import: &str) -> bool {
        self.entry(label, import) == Some(Expiry::Unreadable)
    }

    fn entry(&self, label: &str, import: &str) -> Option<Expiry> {
        let import = (label.to_owned(), import.to_owned());
        self.0.get(&import).copied()
    }
}

fn members(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(entry: &'a Value, member: &str) -> Option<&'a str> {
    entry.get(member)?.as_str()
}
