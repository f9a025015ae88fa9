//! `byok due`: what a directory of records says must still be done, soonest first.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::evidence::due::{Due, Overview, Task, overview};
use crate::evidence::transcript;
use crate::ground::clock;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::words;
use crate::paper::due::page as due_page;

mod calendar;

/// Records lie no deeper than this below a directory that is given.
const DEEPEST: usize = 5;

/// What the command line asks for.
pub(crate) struct DueWish {
    /// Records, or directories with records below.
    pub directories: Vec<PathBuf>,
    /// How far ahead to look.
    pub within: Days,
    /// A new file for the calendar.
    pub ics: Option<PathBuf>,
    /// A new file for the page.
    pub html: Option<PathBuf>,
    /// JSON instead of text.
    pub json: bool,
}

/// A number of days, written `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days(i64);

impl std::str::FromStr for Days {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
        let most = 36_500; // a hundred years
        let days = days.filter(|days| (0..=most).contains(days));
        days.map(Self).ok_or("give a number of days, such as 90d")
    }
}

/// Reads every record and says what is due.
///
/// # Errors
/// Exit 1 if something is due within the days; exit 2 if a directory is not there, or has no record; exit 4 if a record
/// does not hold.
pub(crate) fn due(wish: &DueWish) -> Result<()> {
    let now = clock::now();
    let mut records = Vec::new();
    for directory in &wish.directories {
        let found = records.len();
        search(directory, DEEPEST, &mut records)?;
        if records.len() == found {
            return Err(
                Error::usage(format!("{}: there is no record in it", directory.display())).hint(
                    "a record is a directory that a ceremony left; give it, or the directory above",
                ),
            );
        }
    }
    records.sort();
    records.dedup();
    let overview = overview(&records, now);
    let until = now + SignedDuration::from_hours(wish.within.0 * 24);
    if let Some(file) = &wish.ics {
        super::write_out(file, &calendar::text(&overview, now))?;
    }
    if let Some(file) = &wish.html {
        super::write_out(file, &due_page(&overview, now))?;
    }
    match wish.json {
        true => super::print_json(&for_programs(&overview, now, until))?,
        false => super::print_lines(&words::screen(&for_people(
            &overview,
            now,
            until,
            wish.within,
        )))?,
    }
    let soon = overview
        .due
        .iter()
        .filter(|due| is_soon(due, until))
        .count();
    match (overview.broken.len(), soon) {
        (0, 0) => Ok(()),
        (0, soon) => Err(Error::new(Exit::Declined, format!("due: {soon}")).said()),
        (broken, _) => Err(Error::new(Exit::Mismatch, format!("broken: {broken}")).said()),
    }
}

fn is_soon(due: &Due, until: Timestamp) -> bool {
    due.before.is_none_or(|before| before <= until)
}

/// The records in a directory and below it. Links are not followed, and a record holds no others.
fn search(directory: &Path, deeper: usize, records: &mut Vec<PathBuf>) -> Result<()> {
    if directory.join(transcript::FILE).is_file() {
        records.push(directory.to_owned());
        return Ok(());
    }
    let refuse = |e| Error::usage(format!("{}: {e}", directory.display()));
    for entry in std::fs::read_dir(directory).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        if deeper > 0 && entry.file_type().map_err(refuse)?.is_dir() {
            search(&entry.path(), deeper - 1, records)?;
        }
    }
    Ok(())
}

fn for_programs(overview: &Overview, now: Timestamp, until: Timestamp) -> serde_json::Value {
    let due = overview.due.iter().map(|due| {
        let mut told = json!(due);
        told["what"] = due.task.told().into();
        told["who"] = due.task.who().into();
        told["next"] = due.command().into();
        told["soon"] = is_soon(due, until).into();
        told
    });
    let broken = overview
        .broken
        .iter()
        .map(|(record, why)| json!({"record": record, "why": why}));
    json!({
        "at": now, "until": until, "records": overview.records, "practice": overview.practice, "aborted": overview.aborted,
        "data_keys": overview.data_keys, "held": overview.held, "due": due.collect::<Vec<_>>(), "broken": broken.collect::<Vec<_>>(),
        "remarks": overview.remarks,
    })
}

fn for_people(overview: &Overview, now: Timestamp, until: Timestamp, within: Days) -> String {
    let Overview {
        records,
        practice,
        aborted,
        data_keys,
        ..
    } = overview;
    let mut text = format!(
        "{records} records, {data_keys} data keys, at {}\n(practice and left out: {practice}; aborted: {aborted})\n",
        clock::for_people(now)
    );
    for (record, why) in &overview.broken {
        text += &format!(
            "\nBROKEN    {}\n          {}\n",
            record.display(),
            words::quoted_whole(why)
        );
        text += &format!("          byok verify {}\n", words::shell_path(record));
    }
    let late = |due: &&Due| due.before.is_some_and(|before| before <= now);
    let soon = |due: &&Due| is_soon(due, until);
    let of = |wanted: &dyn Fn(&&Due) -> bool| -> String {
        overview
            .due
            .iter()
            .filter(|due| wanted(due))
            .map(told)
            .collect()
    };
    let parts = [
        ("OVERDUE".to_owned(), of(&late)),
        (
            format!("DUE now or within {} days", within.0),
            of(&|due| soon(due) && !late(due)),
        ),
        ("LATER".to_owned(), of(&|due| !soon(due))),
    ];
    for (title, part) in parts {
        if !part.is_empty() {
            text += &format!("\n{title}\n{part}");
        }
    }
    if overview.due.is_empty() {
        text += "\nNothing is due: every import is reported, and none expires.\n";
    }
    if !overview.remarks.is_empty() {
        text += "\n";
    }
    for remark in &overview.remarks {
        text += &format!("note      {remark}\n");
    }
    text
}

/// `2027-11-20  payments-2026/eu-west-1: the KMS deletes the material`, and what to do.
fn told(due: &Due) -> String {
    let at = due.before.map_or("now".to_owned(), clock::for_people);
    let held = &due.held;
    let (label, import) = (words::quoted(&held.label), words::quoted(&held.import));
    let (key, what) = (words::quoted(held.kms_key.as_str()), due.task.told());
    let (who, command) = (due.task.who(), due.command());
    format!("{at:<22}{label}/{import}\n  {what}\n  {key}\n  {who}: {command}\n")
}
