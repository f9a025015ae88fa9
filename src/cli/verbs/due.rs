//! `byok due`: what a directory of records says must still be done, soonest first.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::evidence::due::{Due, Overview, overview};
use crate::evidence::{receipts, transcript};
use crate::ground::clock;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::paint::Paint;
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

/// A number of days, written `90d` or `90`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days(i64);

impl std::str::FromStr for Days {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let days = text.strip_suffix('d').unwrap_or(text).parse().ok();
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
    let mut found = Found::default();
    for directory in &wish.directories {
        found.search(directory, DEEPEST)?;
    }
    found.records.sort();
    found.records.dedup();
    let mut overview = overview(&found.records, now);
    overview.broken.append(&mut found.broken);
    overview.remarks.append(&mut found.remarks);
    let left_out = overview.practice + overview.aborted;
    if overview.broken.is_empty() && overview.records == left_out {
        let places: Vec<String> = wish
            .directories
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        return Err(Error::usage(format!(
            "{}: there is no record of a real ceremony that came to its end; of others there are {left_out}",
            places.join(", ")
        ))
        .hint(WHAT_TO_GIVE));
    }
    let until = now + SignedDuration::from_hours(wish.within.0 * 24);
    match wish.json {
        true => super::print_json(&for_programs(&overview, now, until))?,
        false => super::print_lines(&words::screen(&for_people(
            &overview,
            now,
            until,
            wish.within,
        )))?,
    }
    if let Some(file) = &wish.ics {
        write(file, &calendar::text(&overview, now))?;
    }
    if let Some(file) = &wish.html {
        write(file, &due_page(&overview, now))?;
    }
    let soon = overview.due.iter().filter(|due| is_soon(due, until));
    match (overview.broken.len(), soon.count()) {
        (0, 0) => Ok(()),
        (0, soon) => Err(Error::new(Exit::Declined, format!("due: {soon}")).said()),
        (broken, _) => Err(Error::new(Exit::Mismatch, format!("broken: {broken}")).said()),
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    super::write_out(file, text)?;
    super::remark(&format!("wrote {}", file.display()));
    Ok(())
}

fn is_soon(due: &Due, until: Timestamp) -> bool {
    due.before.is_none_or(|before| before <= until)
}

const WHAT_TO_GIVE: &str =
    "a record is a directory that a ceremony left; give it, or the directory above";

/// What lies in directories.
#[derive(Default)]
struct Found {
    records: Vec<PathBuf>,
    broken: Vec<(PathBuf, String)>,
    remarks: Vec<String>,
}

impl Found {
    /// The records in a directory and below it. A record holds no others.
    fn search(&mut self, directory: &Path, deeper: usize) -> Result<()> {
        let has = |name| directory.join(name).is_file();
        if has(transcript::FILE) {
            self.records.push(directory.to_owned());
            return Ok(());
        }
        if has(transcript::SUMS) && has("plan.toml") || has(receipts::FILE) {
            let why = format!("it was a record, and {} is not there", transcript::FILE);
            self.broken.push((directory.to_owned(), why));
            return Ok(());
        }
        let refuse = |e| Error::usage(format!("{}: {e}", directory.display())).hint(WHAT_TO_GIVE);
        for entry in std::fs::read_dir(directory).map_err(refuse)? {
            let entry = entry.map_err(refuse)?;
            let kind = entry.file_type().map_err(refuse)?;
            let path = entry.path();
            // every ext4 disk has one, for root alone
            if entry.file_name() == "lost+found" || !kind.is_dir() && !kind.is_symlink() {
                continue;
            }
            if kind.is_symlink() {
                if path.is_dir() {
                    self.remarks
                        .push(format!("{}: a link is not followed", words::path(&path)));
                }
            } else if deeper == 0 {
                self.remarks
                    .push(format!("{}: too deep, not looked into", words::path(&path)));
            } else if let Err(error) = self.search(&path, deeper - 1) {
                self.broken.push((path, error.what));
            }
        }
        Ok(())
    }
}

fn for_programs(overview: &Overview, now: Timestamp, until: Timestamp) -> serde_json::Value {
    let due = overview.due.iter().map(|due| {
        let mut told = json!(due);
        told["what"] = due.told().into();
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
        "records   {records}, about data keys: {data_keys}; at {}\n          left out: practice {practice}, not finished {aborted}\n",
        clock::for_people(now)
    );
    for (record, why) in &overview.broken {
        text += &format!(
            "\n{}    {}\n          {}\n",
            Paint::Bad.on("BROKEN"),
            words::path(record),
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
        (Paint::Bad.on("OVERDUE"), of(&late)),
        (
            Paint::Warning.on(&format!("DUE now or within {} days", within.0)),
            of(&|due| soon(due) && !late(due)),
        ),
        (Paint::Heading.on("LATER"), of(&|due| !soon(due))),
    ];
    for (title, part) in parts {
        if !part.is_empty() {
            text += &format!("\n{title}\n{part}");
        }
    }
    let whole = overview.broken.is_empty();
    if overview.due.is_empty() && whole {
        text += &format!("\n{}\n", Paint::Good.on(overview.nothing()));
    } else if overview.due.iter().all(|due| !is_soon(due, until)) && whole {
        let nothing = format!("Nothing is due within {} days.", within.0);
        text += &format!("\n{}\n", Paint::Good.on(&nothing));
    }
    if !overview.remarks.is_empty() {
        text += "\n";
    }
    for remark in &overview.remarks {
        text += &format!("note      {remark}\n");
    }
    text
}

/// When and which import, what about it, the KMS key, and who does what.
fn told(due: &Due) -> String {
    let at = due.before.map_or("now".to_owned(), clock::for_people);
    let held = &due.held;
    let (label, import) = (words::quoted(&held.label), words::quoted(&held.import));
    let (key, what) = (words::quoted(held.kms_key.as_str()), due.told());
    let (who, command) = (due.task.who(), due.command());
    format!("{at:<22}{label}/{import}\n  {what}\n  {key}\n  {who}: {command}\n")
}
