//! `byok check`: the run's own checks in the run's order. It makes nothing.

use std::path::Path;

#[cfg(feature = "room")]
use crate::ceremony::checks::Facts;
#[cfg(not(feature = "room"))]
use crate::evidence::{checks, previous::Previous};
use crate::ground::error::{Error, Result};
use crate::ground::lines::{Line, Lines, State};
use crate::ground::paint::Paint;
use crate::ground::window::Window;
use crate::ground::words;
use crate::plan::Plan;

/// Checks a plan. Each line goes to standard output: `ok`, `warning`, `not yet` or `wrong`.
///
/// # Errors
/// The exit code that `byok run` would end with now.
pub(crate) fn check(path: &Path, with_hsm: bool, as_json: bool) -> Result<()> {
    let plan = Plan::read(path)?;
    let mut lines = Lines::default();
    let (title, sha256) = (&plan.title, words::hex(&plan.sha256));
    lines.add(State::Ok, format!("plan: {title:?}, SHA-256 {sha256}"));
    lines.0.extend(asked(&plan, with_hsm)?.0);
    report(lines, as_json)
}

/// Everything that a run checks.
#[cfg(feature = "room")]
fn asked(plan: &Plan, with_hsm: bool) -> Result<Lines> {
    Ok(Facts::of(plan, false, with_hsm).all())
}

/// The checks that need neither HSM nor the computer of the room.
#[cfg(not(feature = "room"))]
fn asked(plan: &Plan, with_hsm: bool) -> Result<Lines> {
    if with_hsm {
        return Err(super::without_room("byok check --hsm"));
    }
    let mut lines = Lines::default();
    let previous = lines.unless_refused(Previous::of_plan(plan, false));
    let previous = previous.and_then(|(previous, _)| previous);
    if let Some(previous) = &previous {
        checks::builds_on(plan, previous, &mut lines);
    }
    checks::parameters_exist(plan, &mut lines);
    checks::judged(plan, previous.as_ref(), &mut lines);
    checks::slip_apart(plan, &mut lines);
    let told =
        "computer, HSM, shares and data keys were not checked; the byok of the room checks them";
    lines.warn([format!("the room: {told}")]);
    Ok(lines)
}

/// What is said if nothing is wrong or missing.
const READY: &str = match cfg!(feature = "room") {
    true => "ready: byok run would start",
    false => "no objection to the plan so far",
};

fn report(lines: Lines, as_json: bool) -> Result<()> {
    let refused = lines.exit();
    if as_json {
        let exit = refused.map_or(0, |exit| exit as u8);
        super::print_json(&serde_json::json!({"exit": exit, "lines": lines.0}))?;
    } else {
        for_people(&lines.0)?;
    }
    match refused {
        Some(exit) if as_json => Err(Error::new(exit, verdict(&lines.0).0)),
        Some(exit) => Err(Error::new(exit, verdict(&lines.0).0).said()),
        None => Ok(()),
    }
}

/// In the run's order, but the worst last: what scrolls off a small window is what is ok. If even the rest is too much
/// for a window, a line of each follows once more.
fn for_people(lines: &[Line]) -> Result<()> {
    let of = |state| lines.iter().filter(move |line| line.state == state);
    let text = |state| of(state).map(shown).collect::<String>();
    let grave = text(State::Warning) + &text(State::NotYet) + &text(State::Wrong);
    let laid_out = Window::USUAL.lines(&format!("{grave}{}", verdict(lines).0));
    let summary: String = match laid_out.lines().count() < Window::USUAL.rows {
        true => String::new(),
        false => of(State::NotYet)
            .chain(of(State::Wrong))
            .map(in_short)
            .collect(),
    };
    let summary = match summary.is_empty() {
        true => summary,
        false => format!("in short:\n{summary}"),
    };
    let text = text(State::Ok) + &grave + &summary;
    let paint = match verdict(lines) {
        (verdict, true) => Paint::Good.on(&verdict),
        (verdict, false) => Paint::Bad.on(&verdict),
    };
    super::print_lines(&format!("{text}{paint}\n"))
}

/// The first line of a result that is above in full.
fn in_short(line: &Line) -> String {
    const ROOM: usize = 79 - 9;
    let what = words::printable(&line.what);
    let what = match what.chars().count() > ROOM {
        true => what.chars().take(ROOM - 1).chain(['…']).collect(),
        false => what,
    };
    format!("{} {what}\n", state(line))
}

/// The last line of the answer, and whether it is a good one.
fn verdict(lines: &[Line]) -> (String, bool) {
    let count = |state| lines.iter().filter(|line| line.state == state).count();
    let why_not = match (count(State::Wrong), count(State::NotYet)) {
        (0, 0) => return (READY.to_owned(), true),
        (0, later) => format!("{later} not yet there"),
        (wrong, 0) => format!("{wrong} wrong"),
        (wrong, later) => format!("{wrong} wrong, {later} not yet there"),
    };
    (format!("would not start: {why_not}"), false)
}

/// The state of a line, in a column of eight.
fn state(line: &Line) -> String {
    let (paint, state) = match line.state {
        State::Ok => (Paint::Good, "ok"),
        State::Warning => (Paint::Warning, "WARNING"),
        State::NotYet => (Paint::Bad, "not yet"),
        State::Wrong => (Paint::Bad, "wrong"),
    };
    format!("{}{:gap$}", paint.on(state), "", gap = 8 - state.len())
}

fn shown(line: &Line) -> String {
    let mut text = format!("{} {}\n", state(line), words::printable(&line.what));
    for hint in &line.hints {
        text += &format!("         - {}\n", words::printable(hint));
    }
    text
}
