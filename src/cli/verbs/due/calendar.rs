//! What is due as a calendar that other programs read: iCalendar, RFC 5545.

use jiff::Timestamp;

use super::{Due, Overview};
use crate::evidence::due::Ahead;
use crate::ground::words;

/// RFC 5545's duration (section 3.3.6) before a date.
fn trigger(hours: i64) -> String {
    match hours % 24 {
        0 => format!("-P{}D", hours / 24),
        _ => format!("-PT{hours}H"),
    }
}

/// Lines have at most so many bytes (RFC 5545, section 3.1).
const LONGEST: usize = 75;

/// The whole file. What has no date is due on the day it was made.
pub(super) fn text(overview: &Overview, now: Timestamp) -> String {
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//byok//byok due//EN".to_owned(),
    ];
    for due in &overview.due {
        lines.extend(event(Event::of(due), now));
    }
    for (record, why) in &overview.broken {
        let record = record.display().to_string();
        lines.extend(event(
            Event {
                title: format!("byok: BROKEN: {record}"),
                about: record,
                at: None,
                what: why.clone(),
                alarms: &[],
            },
            now,
        ));
    }
    lines.push("END:VCALENDAR".to_owned());
    lines.iter().map(|line| folded(line)).collect()
}

/// An entry of the calendar.
struct Event {
    title: String,
    /// The same in every run, so that a calendar knows what it has already.
    about: String,
    at: Option<Timestamp>,
    what: String,
    alarms: &'static [Ahead],
}

impl Event {
    fn of(due: &Due) -> Self {
        let (label, import) = (&due.held.label, &due.held.import);
        let key = due.held.kms_key.as_str();
        let before = due.before.map_or_else(|| "-".to_owned(), stamp);
        Self {
            title: format!("byok: {label}/{import}: {}", due.told()),
            about: format!("{:?} {label} {import} {key} {before}", due.task),
            at: due.before,
            what: format!("{key}\n{}: {}", due.task.who(), due.command()),
            alarms: match due.before {
                Some(_) => due.task.ahead(),
                None => &[],
            },
        }
    }
}

fn event(event: Event, now: Timestamp) -> Vec<String> {
    let uid = words::hex(&words::sha256(event.about.as_bytes()));
    let mut lines = vec![
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{uid:.32}@byok"),
        format!("DTSTAMP:{}", stamp(now)),
        format!("DTSTART:{}", stamp(event.at.unwrap_or(now))),
        format!("SUMMARY:{}", escaped(&event.title)),
        format!("DESCRIPTION:{}", escaped(&event.what)),
    ];
    for Ahead { hours, what } in event.alarms {
        lines.extend([
            "BEGIN:VALARM".to_owned(),
            "ACTION:DISPLAY".to_owned(),
            format!("TRIGGER:{}", trigger(*hours)),
            format!(
                "DESCRIPTION:{}",
                escaped(&format!("{}: {what}", event.title))
            ),
            "END:VALARM".to_owned(),
        ]);
    }
    lines.push("END:VEVENT".to_owned());
    lines
}

/// A time in UTC (section 3.3.5).
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A text value (section 3.3.11).
fn escaped(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let escape = |mut value: String, c: char| {
            if matches!(c, '\\' | ',' | ';') {
                value.push('\\');
            }
            value.push(c);
            value
        };
        words::printable(line).chars().fold(String::new(), escape)
    });
    lines.collect::<Vec<_>>().join("\\n")
}

/// A line that is longer goes on in the next, after a space (section 3.1); never within a character.
fn folded(line: &str) -> String {
    let mut text = String::new();
    let mut bytes = 0;
    for c in line.chars() {
        if bytes + c.len_utf8() > LONGEST {
            text += "\r\n ";
            bytes = 1;
        }
        bytes += c.len_utf8();
        text.push(c);
    }
    text + "\r\n"
}
