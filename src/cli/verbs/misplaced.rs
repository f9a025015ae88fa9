//! A file or directory in the wrong place of a command: byok says what it is, and which command takes it.
//!
//! This comes only after a command failed, so that no input of a command that succeeds is read twice.

use std::path::{Path, PathBuf};

use super::inspect;
use crate::cli::recognised::recognise;
use crate::crypto::escrow;
use crate::evidence::previous;
use crate::evidence::receipts::answer::Answer;
use crate::evidence::receipts::describe::describe_key;
use crate::evidence::transcript;
use crate::ground::error::{Error, Exit};
use crate::ground::files::read_small;
use crate::ground::words;
use crate::plan::Plan;
use crate::plan::kms::aws;

/// One place of a command line, and what the command takes there.
pub(crate) struct Place {
    /// What was given there.
    pub given: PathBuf,
    /// What belongs there.
    pub takes: &'static [Thing],
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// A record, as a directory.
    Record,
    /// A plan.
    Plan,
    /// Import parameters.
    Parameters,
    /// An answer of DescribeKey or CreateKey, which describes a KMS key and is a receipt too.
    KmsKey,
    /// Another answer of KMS.
    Answer,
    /// What `import.sh` wrote.
    ImportResult,
    /// An escrow package.
    Package,
    /// A share file.
    Share,
}

impl Thing {
    fn at(path: &Path) -> Option<Self> {
        if path.join(transcript::FILE).is_file() {
            return Some(Self::Record);
        }
        if path.is_dir() {
            return aws::read(path).ok().map(|_| Self::Parameters);
        }
        // Asked first: nothing else reads a share.
        if escrow::share_file(path).ok()?.is_some() {
            return Some(Self::Share);
        }
        if inspect::is_private_key(path) {
            return None;
        }
        Self::of_file(path)
    }

    fn of_file(path: &Path) -> Option<Self> {
        let bytes = read_small(path).ok()?;
        if describe_key(&bytes).is_ok() {
            return Some(Self::KmsKey);
        }
        if matches!(recognise(&bytes), Ok(Some(_))) {
            return Some(Self::Parameters); // of any other key the same answer is a receipt
        }
        match Answer::read(&bytes) {
            Ok(Answer::ImportResult(_)) => return Some(Self::ImportResult),
            Ok(_) => return Some(Self::Answer),
            Err(_) => {}
        }
        if previous::read_package_file(path).is_ok() {
            return Some(Self::Package);
        }
        if path.extension().is_some_and(|end| end == "toml") || Plan::parse(path, bytes).is_ok() {
            return Some(Self::Plan);
        }
        aws::read(path).ok().map(|_| Self::Parameters)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Record => "a record",
            Self::Plan => "a plan",
            Self::Parameters => "import parameters",
            Self::KmsKey => "an answer of DescribeKey",
            Self::Answer => "an answer of KMS",
            Self::ImportResult => "the import result of import.sh",
            Self::Package => "an escrow package",
            Self::Share => "a share file",
        }
    }

    /// The commands that take it, each with what it is for.
    fn commands(self, path: &Path) -> Vec<String> {
        let word = words::shell_path(path);
        match self {
            Self::Record => vec![
                format!("to verify it: byok verify {word}"),
                format!("to import its data keys again: byok plan --reimport {word}"),
                format!("to bring them back from a quorum: byok plan --recover {word}"),
                format!("to check a share against it: byok share check --record {word}"),
            ],
            Self::Plan => vec![
                format!("to see whether it would start: byok check {word}"),
                format!("to hold the ceremony: byok run {word}"),
            ],
            Self::Parameters => vec![
                format!("to write a plan from them: byok plan {word}"),
                format!("to see what they say: byok inspect {word}"),
            ],
            Self::KmsKey => vec![
                format!("to write a plan from it: byok plan {word}"),
                format!("to add it to a record: byok receipt RECORD {word}"),
            ],
            Self::Answer | Self::ImportResult => {
                vec![format!("to add it to a record: byok receipt RECORD {word}")]
            }
            Self::Package => vec![
                format!("to see what it holds: byok inspect {word}"),
                format!("to check a share against it: byok share check --package {word}"),
            ],
            Self::Share => vec![format!(
                "to see whose share it is: byok share check --record RECORD --share {word}"
            )],
        }
    }
}

/// The error of a command; or, if one of its places holds something that does not belong there, what that is.
pub(crate) fn misplaced(places: &[Place], error: Error) -> Error {
    if !matches!(error.exit, Exit::Usage | Exit::Mismatch | Exit::Machine) {
        return error;
    }
    let looked: Vec<_> = places
        .iter()
        .map(|place| (place, Thing::at(&place.given)))
        .collect();
    let swapped = looked.iter().find_map(|(place, thing)| {
        let thing = (*thing)?;
        (!place.takes.contains(&thing)).then_some((*place, thing))
    });
    let Some((place, thing)) = swapped else {
        return error;
    };
    let belongs: Vec<&str> = place.takes.iter().map(|takes| takes.name()).collect();
    let shown = place.given.display();
    let what = match belongs.is_empty() {
        true => format!("{shown}: is {}, which does not belong here", thing.name()),
        false => format!("{shown}: is {}, not {}", thing.name(), belongs.join(" or ")),
    };
    let told = Error::usage(what);
    match turned_round(&looked) {
        Some(command) => told.hint(format!("give the record first: {command}")),
        None => thing
            .commands(&place.given)
            .into_iter()
            .fold(told, Error::hint),
    }
}

/// The command for `byok receipt FILE RECORD`: the same with the record first.
fn turned_round(looked: &[(&Place, Option<Thing>)]) -> Option<String> {
    let (first, others) = looked.split_first()?;
    let takes_record = first.0.takes == [Thing::Record] && first.1 != Some(Thing::Record);
    let (record, _) = others
        .iter()
        .find(|(_, thing)| *thing == Some(Thing::Record))
        .filter(|_| takes_record)?;
    let files = looked.iter().map(|(place, _)| &place.given);
    let files = files.filter(|given| **given != record.given);
    let files: Vec<String> = files.map(|given| words::shell_path(given)).collect();
    let record = words::shell_path(&record.given);
    Some(format!("byok receipt {record} {}", files.join(" ")))
}
