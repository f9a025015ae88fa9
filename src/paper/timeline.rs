//! The time of imports as a picture: of all records, for what is due, and of one, for its report.

use jiff::{SignedDuration, Timestamp};

use crate::evidence::due::Task;
use crate::ground::clock;
use crate::paper::html::Html;
use crate::paper::template::{facts, fill};

const PICTURE: &str = include_str!("timeline/picture.html");

/// How wide a time line is, in the units of its picture.
const WIDTH: i64 = 600;

facts! {
    PictureFacts {
        title: Html,
        /// The ends of the time line.
        first: Html, last: Html,
        at: Html,
        spans: Vec<SpanFacts>,
    }
    SpanFacts {
        name: Html, how_far: Html, key: Html,
        taken: bool,
        /// Where the bar begins, how wide it is and how wide the dashed one below it, and where now is.
        begin: Html, width: Html, dashed: Html, now: Html,
        marks: Vec<MarkFacts>,
        dates: Vec<DateFacts>,
    }
    MarkFacts { mark: Html, }
    DateFacts { what: Html, when: Html, }
}

/// An import, or several that have the same dates.
pub(super) struct Span {
    pub name: Html,
    /// How far it came.
    pub how_far: Html,
    /// The KMS key.
    pub key: Html,
    /// When the data key came into the HSM, and how, if that is to be told.
    pub came: Option<(Timestamp, &'static str)>,
    /// When the KMS took it; if no receipt says so, when it was wrapped.
    pub since: Timestamp,
    /// Whether the KMS took it.
    pub taken: bool,
    /// Until when the KMS takes what it did not take yet.
    pub before: Option<Timestamp>,
    /// When the KMS deletes the material.
    pub ends: Option<Timestamp>,
}

impl Span {
    /// When people prepare the next ceremony.
    fn ahead(&self) -> Vec<(Timestamp, &'static str)> {
        let Some(ends) = self.ends else {
            return Vec::new();
        };
        let ahead = Task::Reimport.ahead().iter();
        let days = ahead.filter_map(|ahead| {
            let at = ends.checked_sub(SignedDuration::from_hours(ahead.hours));
            Some((at.ok()?, ahead.what))
        });
        days.filter(|(at, _)| *at > self.since).collect()
    }

    /// Every date, in words.
    fn dates(&self) -> Vec<DateFacts> {
        let date = |what: &'static str, when: Html| DateFacts {
            what: what.into(),
            when,
        };
        let exact = |at: Timestamp| clock::for_people(at).into();
        let began = match self.taken {
            true => "in the KMS since",
            false => "wrapped",
        };
        let came = self.came.map(|(at, how)| date(how, day(at)));
        let before = self.before.filter(|_| !self.taken);
        let ahead = self.ahead().into_iter();
        came.into_iter()
            .chain([date(began, day(self.since))])
            .chain(before.map(|at| date("import before", exact(at))))
            .chain(ahead.map(|(at, what)| date(what, day(at))))
            .chain([date(
                Task::Reimport.told(),
                self.ends.map_or("never".into(), exact),
            )])
            .collect()
    }
}

/// Rows of a sheet: the picture of these, with what its signs mean. `now` is a line in it.
pub(super) fn picture(title: &'static str, spans: &[Span], now: Timestamp) -> Html {
    let line = TimeLine::of(spans, now);
    let facts = PictureFacts {
        title: title.into(),
        first: day(line.first),
        last: day(line.last),
        at: clock::for_people(now).into(),
        spans: spans.iter().map(|span| line.span(span)).collect(),
    };
    fill(PICTURE, &[&facts])
}

fn day(at: Timestamp) -> Html {
    at.strftime("%Y-%m-%d").to_string().into()
}

/// The time that all bars show.
struct TimeLine {
    first: Timestamp,
    last: Timestamp,
    now: Timestamp,
}

impl TimeLine {
    /// From the first import to the last end, and now, with room after both; no more than five years from now.
    fn of(spans: &[Span], now: Timestamp) -> Self {
        let days = |days: i64| SignedDuration::from_hours(days * 24);
        let (room, most) = (days(30), days(5 * 365));
        let since = spans.iter().map(|span| span.since.max(now - most));
        let ends = spans.iter().flat_map(|span| [span.before, span.ends]);
        let ends = ends.flatten().map(|end| end.min(now + most));
        let last = ends.chain([now]).max().unwrap_or(now);
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

    fn span(&self, span: &Span) -> SpanFacts {
        let number = |number: i64| Html::from(number.to_string());
        let begin = self.at(span.since);
        let width = |until: Option<Timestamp>| {
            let end = until.map_or(WIDTH, |until| self.at(until));
            (end - begin).max(1)
        };
        let kept = width(span.ends);
        let bar = match span.taken {
            true => kept,
            false => width(span.before).min(kept),
        };
        SpanFacts {
            name: span.name.clone(),
            how_far: span.how_far.clone(),
            key: span.key.clone(),
            taken: span.taken,
            begin: number(begin),
            width: number(bar),
            dashed: match kept > bar {
                true => number(kept),
                false => Html::default(),
            },
            now: number(self.at(self.now)),
            marks: (span.ahead().into_iter())
                .map(|(at, _)| MarkFacts {
                    mark: number(self.at(at)),
                })
                .collect(),
            dates: span.dates(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::template::{Field as _, tests::*};

    #[test]
    fn the_picture_fits_its_facts() {
        let used = fits(PICTURE, &[&PictureFacts::example()]);
        let declared = [
            PictureFacts::NAMES,
            SpanFacts::NAMES,
            MarkFacts::NAMES,
            DateFacts::NAMES,
        ];
        nothing_is_left_out("src/paper/timeline", &[PICTURE], &used, &declared);
    }

    /// A plan can name any date.
    #[test]
    fn no_date_is_too_early_or_too_late_for_the_picture() {
        for ends in [Timestamp::MIN, Timestamp::MAX] {
            let span = Span {
                name: Html::default(),
                how_far: Html::default(),
                key: Html::default(),
                taken: true,
                came: None,
                since: Timestamp::UNIX_EPOCH,
                before: Some(ends),
                ends: Some(ends),
            };
            picture("Every import", &[span], clock::now());
        }
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
