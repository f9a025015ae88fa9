//! `byok run`.

use std::path::Path;

use crate::ceremony::checks::no_terminal;
use crate::ceremony::operator::{Interrupted, Operator, Terminal, Unattended};
use crate::ceremony::{self, Approved, destroy, generate, recover, reimport, screens};
use crate::evidence::record::Sealed;
use crate::ground::error::Result;
use crate::ground::out;
use crate::ground::window::Top;
use crate::ground::words;
use crate::hsm::machine::sandbox;
use crate::paper::last;
use crate::plan::{Kind, Plan};

/// Runs the plan's ceremony: at a terminal, or with the plan's digest as approval.
///
/// # Errors
/// Whatever the ceremony refuses; exit 2 without a terminal and without `--approve`.
pub(crate) fn run(path: &Path, approve: Option<&str>) -> Result<()> {
    let approved = approved(path, approve).map_err(ceremony::nothing_begun);
    let (approved, mut operator) = approved?;
    let sealed = ceremony(&approved, operator.as_mut())?;
    if super::is_for_people() {
        return Ok(()); // people at the screen have the head in rows
    }
    let line = format!(
        "{}  {}\n",
        words::hex(&sealed.head),
        sealed
            .directory
            .join(crate::evidence::transcript::FILE)
            .display()
    );
    // Somebody must have read it.
    out::write(line.as_bytes()).map_err(|e| {
        let e = super::cannot_print(e);
        let record = words::shell_path(&sealed.directory);
        e.state(format!(
            "the record {record} is sealed and complete; only the line about it could not be printed"
        ))
        .hint(format!("to see it again: byok verify --next {record}"))
    })
}

/// What was approved, and who is there.
fn approved(path: &Path, approve: Option<&str>) -> Result<(Approved, Box<dyn Operator>)> {
    let interrupted = Interrupted::watch()?;
    let Some(sha256) = approve else {
        let plan = Plan::read(path)?;
        sandbox::close(&ceremony::process_of(&plan))?;
        let mut terminal = Terminal::open(interrupted)?.ok_or_else(no_terminal)?;
        let approved = Approved::by_typing(plan, false, &mut terminal)?;
        return Ok((approved, Box::new(terminal)));
    };
    let approved = Approved::unattended(path, sha256)?;
    sandbox::close(&ceremony::process_of(approved.plan()))?;
    Ok((approved, Box::new(Unattended::new(interrupted))))
}

/// The line of the plan's kind, and its last screens.
pub(super) fn ceremony(approved: &Approved, operator: &mut dyn Operator) -> Result<Sealed> {
    let sealed = match approved.plan().kind {
        Kind::Generate => generate::run(approved, operator)?,
        Kind::Reimport => reimport::run(approved, operator)?,
        Kind::Recover => recover::run(approved, operator)?,
        Kind::Destroy => destroy::run(approved, operator)?,
    };
    last_screens(approved, &sealed, operator);
    Ok(sealed)
}

/// The head by itself until it is written down, then what comes next, in pages if the window needs it.
fn last_screens(approved: &Approved, sealed: &Sealed, operator: &mut dyn Operator) {
    /// The shell asks for its next command below the last page.
    const BELOW: usize = 2;
    let (plan, rehearsal) = (approved.plan(), approved.is_rehearsal());
    let head = last::head(plan, sealed, rehearsal);
    operator.show_until_enter(&format!("\n{head}"), " Press Enter when it is written: ");
    let how = (rehearsal, super::on_medium());
    let next = last::next(plan, sealed, approved.previous(), how);
    let title = screens::title(plan);
    let top = Top {
        rehearsal,
        place: last::NEXT,
        title: &title,
        always: true,
    };
    operator.say("\n");
    loop {
        let window = operator.window();
        let pages = window.pages(&next, &top, 0, BELOW);
        let Some((end, before)) = pages.split_last() else {
            return;
        };
        // the window changed: laid out again, from the beginning
        let stays = before.iter().all(|page| {
            operator.show_until_enter(page, " Press Enter for the rest: ");
            operator.window() == window
        });
        if stays {
            return operator.say(end);
        }
    }
}
