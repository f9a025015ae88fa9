//! What the pages of the script are filled with: each fact of the plan, and of the previous record, once.

use std::path::Path;

use super::Script;
use crate::paper::html::{Html, rows_to_fill};
use crate::paper::template::{Facts, facts};

mod ceremony;
mod escrow;
mod hsm;
mod keys;
mod record;
mod seats;

pub(super) use ceremony::CeremonyFacts;
pub(super) use escrow::EscrowFacts;
#[cfg(test)]
pub(super) use escrow::ShareFacts;
pub(super) use hsm::HsmFacts;
pub(super) use keys::KeysFacts;
#[cfg(test)]
pub(super) use keys::{FileFacts, ImportFacts, KeyFacts, MeaningFacts};
pub(super) use record::RecordFacts;
pub(super) use seats::SeatFacts;

/// With more data keys or imports than this the paper lists them in tables.
const IN_TABLES: usize = 12;
/// With at most this many data keys each stands on the share forms, and the package can be copied there by hand.
pub(super) const ON_FORMS: usize = 2;
/// The most labels on page 1, and on a form.
const LABELS: usize = 8;
const LABELS_ON_FORM: usize = 12;
/// The most KMS keys that are named on a form, and the most of each of several data keys.
const ARNS: usize = 12;
const ARNS_OF_EACH: usize = 5;
/// How many empty rows there are for shares that nothing is known of.
const UNKNOWN_SHARES: usize = 8;
/// How much of the transcript signer's digest is compared: rows 1 to 3.
const SIGNER_DIGITS: usize = 3 * 8;

facts! {
    Named { name: Html, }
    /// One exception sheet.
    ExceptionFacts { sheet: Html, exceptions: Vec<Named>, }
}

/// Everything about one ceremony.
pub(super) struct ScriptFacts {
    pub ceremony: CeremonyFacts,
    pub keys: KeysFacts,
    pub escrow: EscrowFacts,
    pub hsm: HsmFacts,
    pub record: RecordFacts,
    pub seats: SeatFacts,
}

impl ScriptFacts {
    pub(super) fn of(script: &Script) -> Self {
        Self {
            ceremony: CeremonyFacts::of(script),
            keys: KeysFacts::of(script),
            escrow: EscrowFacts::of(script),
            hsm: HsmFacts::of(script),
            record: RecordFacts::of(script),
            seats: SeatFacts::of(script),
        }
    }

    /// For a template.
    pub(super) fn all(&self) -> [&dyn Facts; 6] {
        [
            &self.ceremony,
            &self.keys,
            &self.escrow,
            &self.hsm,
            &self.record,
            &self.seats,
        ]
    }
}

impl Named {
    pub(super) fn new(name: impl Into<Html>) -> Self {
        Self { name: name.into() }
    }

    pub(super) fn all<T: Into<Html>>(names: impl IntoIterator<Item = T>) -> Vec<Self> {
        names.into_iter().map(Self::new).collect()
    }
}

/// All eight rows of a digest, to write it on.
fn eight_rows() -> Html {
    Html::from([
        Html::fixed("<div class=\"two\">"),
        rows_to_fill(1..=4),
        rows_to_fill(5..=8),
        Html::fixed("</div>"),
    ])
}

fn html(text: Option<impl Into<Html>>) -> Html {
    text.map_or_else(Html::default, Into::into)
}

/// The last part of a path.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
