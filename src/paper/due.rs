//! What is due, as a page that people print and hang up.

use jiff::{SignedDuration, Timestamp};

use crate::evidence::due::{Due, Held, Overview};
use crate::evidence::receipts;
use crate::ground::clock;
use crate::paper::document::Document;
use crate::paper::html::Html;
use crate::paper::template::{facts, fill};

const PAGE: &str = include_str!("due/page.html");

/// How wide a time line is, in the units of its picture.
const WIDTH: i64 = 600;

facts! {
    PageFacts {
        at: Html, records: Html, data_keys: Html, practice: Html, aborted: Html,
        broken: Vec<BrokenFacts>,
        /// What is said if nothing must be done.
        nothing: Html,
        due: Vec<DueFacts>,
        /// The ends of the time line.
        first: Html, last: Html,
        held: Vec<HeldFacts>,
        remarks: Vec<RemarkFacts>,
    }
    BrokenFacts { record: Html, why: Html, }
    DueFacts { before: Html, label: Html, import: Html, what: Html, who: Html, command: Html, key: Html, }
    HeldFacts {
        label: Html, import: Html, kms: Html, key: Html, since: Html, until: Html,
        /// Whether the KMS took it.
        taken: bool,
        /// Where the bar begins, how wide it is, and where now is.
        begin: Html, width: Html, now: Html,
    }
    RemarkFacts { remark: Html, }
}

/// The whole page.
pub(crate) fn page(overview: &Overview, now: Timestamp) -> String {
    let line = TimeLine::of(&overview.held, now);
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
        first: day(line.first),
        last: day(line.last),
        held: overview.held.iter().map(|held| line.held(held)).collect(),
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

fn day(at: Timestamp) -> Html {
    at.strftime("%Y-%m-%d").to_string().into()
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

/// The time that all bars show.
struct TimeLine {
    first: Timestamp,
    last: Timestamp,
    now: Timestamp,
}

impl TimeLine {
    /// From the first import to the last expiry, and now, with room after both; no more than five years from now.
    fn of(held: &[Held], now: Timestamp) -> Self {
        let days = |days: i64| SignedDuration::from_hours(days * 24);
        let (room, most) = (days(30), days(5 * 365));
        let since = held.iter().map(|held| held.since.max(now - most));
        let until = held.iter().filter_map(|held| held.until);
        let until = until.map(|until| until.min(now + most));
        let last = until.chain([now]).max().unwrap_or(now);
        Self {
            first: since.chain([now - room]).min().unwrap_or(now),
            last: last + room,
            now,
        }
    }

    /// Where a time is.
    fn at(&self, at: Timestamp) -> i64 {
        let seconds = |at: Timestamp| at.duration_since(self.first).as_secs();
        (seconds(at) * WIDTH / seconds(self.last).max(1)).clamp(0, WIDTH)
    }

    fn held(&self, held: &Held) -> HeldFacts {
        let (begin, end) = (
            self.at(held.since),
            held.until.map_or(WIDTH, |until| self.at(until)),
        );
        let number = |number: i64| Html::from(number.to_string());
        HeldFacts {
            label: (&held.label).into(),
            import: (&held.import).into(),
            kms: held.kms.into(),
            key: held.kms_key.as_str().into(),
            since: day(held.since),
            until: held.until.map(day).unwrap_or_default(),
            taken: receipts::is_taken(held.kms),
            begin: number(begin),
            width: number((end - begin).max(1)),
            now: number(self.at(self.now)),
        }
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
            HeldFacts::NAMES,
            RemarkFacts::NAMES,
        ];
        nothing_is_left_out("src/paper/due", &[PAGE], &used, &declared);
    }

    #[test]
    fn a_time_stands_where_it_belongs_on_the_line() {
        let at = |day: &str| format!("{day}T00:00:00Z").parse().unwrap();
        let line = TimeLine {
            first: at("2026-01-01"),
            last: at("2027-01-01"),
            now: at("2026-07-02"),
        };
        let places = [
            "2025-01-01",
            "2026-01-01",
            "2026-07-02",
            "2027-01-01",
            "2030-01-01",
        ];
        assert_eq!(places.map(|day| line.at(at(day))), [0, 0, 299, 600, 600]);
    }
}
