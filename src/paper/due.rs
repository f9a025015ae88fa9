//! What is due, as a page that people print and hang up.

use jiff::Timestamp;

use crate::evidence::due::{Due, Held, Overview};
use crate::evidence::receipts;
use crate::ground::clock;
use crate::paper::document::Document;
use crate::paper::html::Html;
use crate::paper::template::{facts, fill};
use crate::paper::timeline::{self, Span};

const PAGE: &str = include_str!("due/page.html");

facts! {
    PageFacts {
        at: Html, records: Html, data_keys: Html, practice: Html, aborted: Html,
        broken: Vec<BrokenFacts>,
        /// What is said if nothing must be done.
        nothing: Html,
        due: Vec<DueFacts>,
        timeline: Html,
        remarks: Vec<RemarkFacts>,
    }
    BrokenFacts { record: Html, why: Html, }
    DueFacts { before: Html, label: Html, import: Html, what: Html, who: Html, command: Html, key: Html, }
    RemarkFacts { remark: Html, }
}

/// The whole page.
pub(crate) fn page(overview: &Overview, now: Timestamp) -> String {
    let spans: Vec<Span> = overview.held.iter().map(span).collect();
    let count = |count: usize| Html::from(count.to_string());
    let facts = PageFacts {
        at: clock::for_people(now).into(),
        records: count(overview.records),
        data_keys: count(overview.data_keys),
        practice: count(overview.practice),
        aborted: count(overview.aborted),
        broken: (overview.broken.iter())
            .map(|(record, why)| BrokenFacts {
                record: record.display().to_string().into(),
                why: why.into(),
            })
            .collect(),
        nothing: match overview.due.is_empty() && overview.broken.is_empty() {
            true => overview.nothing().into(),
            false => Html::default(),
        },
        due: overview.due.iter().map(due).collect(),
        timeline: timeline::picture("Every import", &spans, now),
        remarks: (overview.remarks.iter())
            .map(|remark| RemarkFacts {
                remark: remark.into(),
            })
            .collect(),
    };
    let mut document = Document::new("What byok records say is due", "DUE");
    document.add(clock::for_people(now), fill(PAGE, &[&facts]));
    document.finish()
}

fn due(due: &Due) -> DueFacts {
    let held = &due.held;
    DueFacts {
        before: due
            .before
            .map_or("now".into(), |at| clock::for_people(at).into()),
        label: (&held.label).into(),
        import: (&held.import).into(),
        what: due.told().into(),
        who: due.task.who().into(),
        command: due.command().into(),
        key: held.kms_key.as_str().into(),
    }
}

/// An import, and when the KMS deletes the material if it takes it.
fn span(held: &Held) -> Span {
    let taken = receipts::is_taken(&held.kms);
    Span {
        name: format!("{} / {}", held.label, held.import).into(),
        how_far: (&held.kms).into(),
        key: held.kms_key.as_str().into(),
        came: None,
        since: held.since,
        taken,
        before: held.until.filter(|_| !taken),
        ends: match taken {
            true => held.until,
            false => held.expires,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::template::{Field as _, tests::*};

    #[test]
    fn the_page_fits_its_facts() {
        let used = fits(PAGE, &[&PageFacts::example()]);
        let declared = [
            PageFacts::NAMES,
            BrokenFacts::NAMES,
            DueFacts::NAMES,
            RemarkFacts::NAMES,
        ];
        nothing_is_left_out("src/paper/due", &[PAGE], &used, &declared);
    }
}
