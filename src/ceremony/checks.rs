//! Every check that can be made before anybody approves anything, in one table. `byok run` makes those that concern
//! it, each at its time, and ends at the first that fails; `byok check` makes all beforehand and shows each result;
//! docs/checks.md explains the ids. What needs no HSM is judged in [`evidence::checks`](crate::evidence::checks).

use super::before;
use super::clock;
use super::import_types;
use super::operator::{Interrupted, Operator as _, Terminal};
use super::reimport::Expected;
use super::room;
use super::screens;
use crate::evidence::checks;
use crate::evidence::previous::Previous;
use crate::evidence::record::{self, Leftover};
use crate::evidence::transcript::Vouched;
use crate::ground::error::{Error, Result};
use crate::ground::facts::Machine;
use crate::ground::lines::{Lines, State};
use crate::ground::window::Window;
use crate::hsm::machine::{medium, sandbox};
use crate::plan::parameters::Judged;
use crate::plan::{KeyPlan, Kind, Network, Plan, meaning};

mod builds_on;
mod in_hsm;
mod sources;

/// One check.
pub(crate) struct Check {
    /// The ids that its refusals carry ([`Error::check`]), each with a row in docs/checks.md; some carry none.
    pub ids: &'static [&'static str],
    /// Who makes it.
    pub when: When,
    /// Makes it, writes its result and what people read, and keeps what later checks need.
    pub run: for<'p> fn(&mut Facts<'p>, &mut Lines),
}

/// Who makes a check. `byok check` makes them all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// `byok run` itself, before the table: it cannot be done twice.
    First,
    /// Every run, before the approval.
    Before,
    /// A run at a terminal, before the approval.
    AtTerminal,
    /// A run without people, before the approval.
    Unattended,
    /// A run, in the step that it belongs to.
    InTheRoom,
    /// The same; `byok check` makes it only with `--hsm`.
    InTheHsm,
}

use When::{AtTerminal, Before, First, InTheHsm, InTheRoom, Unattended};

/// In the order of a run: a run would end at the first that fails.
pub(crate) const CHECKS: [Check; 30] = [
    check(&["PREVIOUS-RECORD"], Before, previous),
    check(&["CLOCK"], Unattended, clock_is_right),
    check(&["RECORD-EXISTS"], Before, record_is_free),
    check(&["FILE-SYSTEM"], Before, record_can_be_written),
    check(&["LEFTOVER", "LIVE-RUN"], Before, left_by_earlier_runs),
    check(&["SHARES-CLOSED"], Before, shares_lie_alone),
    check(&["MODULE-IN-RECORD"], Before, module_exists),
    check(&["IMPORT-TYPE"], Before, import_types_agree),
    check(&["PARAMETERS-PRESENT", "EXPIRY"], Before, parameters_exist),
    check(&["SOURCE"], Before, source_files),
    check(&["SCREEN"], AtTerminal, screen),
    check(&["MEDIUM"], Before, runs_from),
    check(&["AIR-GAP"], AtTerminal, air_gap),
    check(&["SCREEN-SIZE"], InTheRoom, window),
    check(&[], InTheRoom, machine),
    check(&["SANDBOX"], First, close_process),
    check(&["TOKEN-IN-USE", "TOKEN-LOCK"], InTheRoom, in_hsm::open),
    check(&["PIN-FORM"], InTheRoom, in_hsm::pin_source),
    check(checks::OF_PARAMETERS, InTheRoom, parameters_hold),
    check(&[checks::SLIP_APART], InTheRoom, slip_apart),
    check(&["KMS-KEY-MATCH"], InTheRoom, builds_on::same_kms_keys),
    check(&["SAME-MATERIAL"], InTheRoom, builds_on::expected),
    check(&["ESCROW-PACKAGE", "QUORUM"], InTheRoom, builds_on::package),
    check(&["SOURCE"], InTheRoom, sources::files),
    check(&["PIN", "SIGNER"], InTheHsm, in_hsm::log_in),
    check(&["LABEL-FREE"], InTheHsm, in_hsm::labels_are_free),
    check(&["CONTROL"], InTheHsm, in_hsm::wrapping),
    check(&["SAME-MATERIAL"], InTheHsm, builds_on::find),
    check(&["SOURCE"], InTheHsm, sources::in_token),
    check(&[], InTheRoom, escrow_is_there),
];

const fn check(
    ids: &'static [&'static str],
    when: When,
    run: for<'p> fn(&mut Facts<'p>, &mut Lines),
) -> Check {
    Check { ids, when, run }
}

/// What the checks work on, and what each found out for those after it.
pub(crate) struct Facts<'p> {
    plan: &'p Plan,
    rehearsal: bool,
    /// Whether the HSM is to be tried.
    tries_hsm: bool,
    /// Whether the record that the plan builds on was read, if there is one.
    is_read: bool,
    known: Known,
    machine: Option<Machine>,
    has_pin: bool,
    /// The HSM's session, before the login and after it.
    opened: Option<in_hsm::Opened>,
    /// `None` if any import is not ready.
    judged: Option<Vec<Judged<'p>>>,
    /// What every data key must turn out to be; empty if that is not known.
    expected: Vec<(&'p KeyPlan, Expected)>,
}

/// What an approval rests on.
pub(crate) struct Known {
    /// The record that the plan builds on, read once, and what vouches for it.
    pub previous: Option<Previous>,
    /// Nothing, until that record is read.
    pub anchor: Vouched,
    /// What earlier runs left.
    pub leftover: Option<Leftover>,
}

impl<'p> Facts<'p> {
    /// No check has been made yet.
    pub(crate) fn of(plan: &'p Plan, rehearsal: bool, tries_hsm: bool) -> Self {
        Self {
            plan,
            rehearsal,
            tries_hsm,
            is_read: false,
            known: Known {
                previous: None,
                anchor: Vouched::Nothing,
                leftover: None,
            },
            machine: None,
            has_pin: true,
            opened: None,
            judged: None,
            expected: Vec::new(),
        }
    }

    /// Makes the checks that a run makes before the approval.
    ///
    /// # Errors
    /// The first that is wrong.
    pub(super) fn before(&mut self, way: When) -> Result<()> {
        let asked = CHECKS.iter();
        let mut asked = asked.filter(|check| [Before, way].contains(&check.when));
        asked.try_for_each(|check| self.ask(check).into_result())
    }

    /// Asks some by their names.
    ///
    /// # Errors
    /// The first that fails.
    pub(crate) fn some(&mut self, ids: &[&str]) -> Result<()> {
        let mut asked = CHECKS.iter().filter(|check| check.ids == ids);
        asked.try_for_each(|check| self.ask(check).into_result())
    }

    /// Asks everything.
    pub(crate) fn all(mut self) -> Lines {
        let answers = CHECKS.iter().flat_map(|check| self.ask(check).0);
        Lines(answers.collect())
    }

    fn ask(&mut self, check: &Check) -> Lines {
        let mut lines = Lines::default();
        (check.run)(self, &mut lines);
        lines
    }

    /// The record that the plan builds on, read once.
    ///
    /// # Errors
    /// As [`Previous::of_plan`].
    pub(super) fn read_previous(&mut self) -> Result<Option<&Previous>> {
        if !self.is_read {
            let (previous, anchor) = Previous::of_plan(self.plan, self.rehearsal)?;
            self.known.previous = previous;
            self.known.anchor = anchor;
            self.is_read = true;
        }
        Ok(self.previous())
    }

    pub(super) fn previous(&self) -> Option<&Previous> {
        self.known.previous.as_ref()
    }

    pub(super) fn leftover(&self) -> Option<&Leftover> {
        self.known.leftover.as_ref()
    }

    pub(super) fn into_known(self) -> Known {
        self.known
    }
}

fn previous(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    match facts.read_previous() {
        Ok(None) => {}
        Ok(Some(previous)) => checks::builds_on(plan, previous, lines),
        Err(error) => lines.refuse(State::Wrong, error),
    }
}

fn clock_is_right(facts: &mut Facts, lines: &mut Lines) {
    lines.unless_refused(clock::not_before(facts.previous()));
}

fn record_is_free(facts: &mut Facts, lines: &mut Lines) {
    lines.judge(record::refuse_existing(&facts.plan.directory), |()| {
        format!(
            "record: {} does not exist yet",
            facts.plan.directory.display()
        )
    });
}

fn record_can_be_written(facts: &mut Facts, lines: &mut Lines) {
    lines.unless_refused(before::record_can_be_written(facts.plan));
    lines.unless_refused(before::disks_know_owners(facts.plan));
}

fn left_by_earlier_runs(facts: &mut Facts, lines: &mut Lines) {
    let found = before::leftover(facts.plan, facts.previous());
    facts.known.leftover = lines.unless_refused(found).flatten();
    lines.warn(facts.leftover().map(told_leftover));
}

fn told_leftover(leftover: &Leftover) -> String {
    let keys = leftover.intended.iter();
    let keys: Vec<String> = keys
        .map(|(label, id)| format!("{label} (CKA_ID {id})"))
        .collect();
    let keys = match keys[..] {
        [] => "nothing in the HSM".to_owned(),
        _ => keys.join(", "),
    };
    let void = leftover.void.as_ref();
    let void = void.map(|void| format!("; void: {}", screens::void_shares(void)));
    format!(
        "record: a run that did not come to its end left {}; the next run destroys what it may have left: {keys}{}",
        leftover.working.display(),
        void.unwrap_or_default()
    )
}

fn shares_lie_alone(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    lines.unless_refused(before::shares_are_closed(plan));
    if let Some(escrow) = &plan.escrow {
        let room = before::shares_have_room(plan, facts.previous());
        let policy = &escrow.policy;
        lines.judge(room, |()| {
            format!("escrow: {}; there is room for the shares", policy.whole())
        });
    }
    if let Some(apart) = meaning::apart(plan) {
        lines.add(State::Ok, format!("roles: {apart}"));
    }
}

fn module_exists(facts: &mut Facts, lines: &mut Lines) {
    lines.judge(before::module_exists(facts.plan), |()| {
        format!("module: {}", facts.plan.hsm.module.display())
    });
}

fn import_types_agree(facts: &mut Facts, lines: &mut Lines) {
    if let Some(previous) = facts.previous() {
        lines.unless_refused(import_types::agree(facts.plan, previous));
    }
}

fn parameters_exist(facts: &mut Facts, lines: &mut Lines) {
    checks::parameters_exist(facts.plan, lines);
}

fn parameters_hold(facts: &mut Facts, lines: &mut Lines) {
    facts.judged = checks::judged(facts.plan, facts.previous(), lines);
}

fn slip_apart(facts: &mut Facts, lines: &mut Lines) {
    checks::slip_apart(facts.plan, lines);
}

fn source_files(facts: &mut Facts, lines: &mut Lines) {
    lines.unless_refused(before::source_files(facts.plan));
}

/// Whoever sees or types shares needs a screen that nobody else sees.
fn screen(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    if plan.shares_at_screen() {
        let shown = before::shares_can_be_shown(plan, facts.rehearsal);
        lines.judge(shown, |()| match &plan.screen_recorded {
            Some(reason) => {
                format!("screen: shares may be recorded here; the plan says why: {reason}")
            }
            None => "screen: neither SSH nor tmux nor screen sends or keeps it".into(),
        });
    }
}

/// What this computer runs from decides what all its other answers are worth.
fn runs_from(_: &mut Facts, lines: &mut Lines) {
    lines.judge(medium::read(), |sha256| {
        format!("machine: {}", medium::told(sha256.as_deref()))
    });
}

/// Nobody should read eight rows aloud for a run that will be refused. A rehearsal is held where people work.
fn air_gap(facts: &mut Facts, lines: &mut Lines) {
    if facts.rehearsal {
        return;
    }
    let seen = Machine::look(&facts.plan.directory);
    let network = format!("machine: network: {}", seen.network_told());
    match room::air_gap(facts.plan, &seen) {
        Ok(()) if !seen.interfaces_up.is_empty() => {
            lines.warn([format!(
                "{network}; the plan allows it, and the record will say so"
            )]);
        }
        result => {
            lines.judge(result, |()| network);
        }
    }
    facts.machine = Some(seen);
}

/// Everybody needs a window that is large enough.
fn window(facts: &mut Facts, lines: &mut Lines) {
    let plan = facts.plan;
    match Terminal::open(Interrupted::default()) {
        Ok(Some(terminal)) => told_window(plan, terminal.window(), lines),
        Ok(None) if plan.shares_at_screen() => lines.refuse(State::NotYet, no_terminal()),
        Ok(None) => {} // it may be approved by its digest
        Err(error) => lines.refuse(State::Wrong, error),
    }
}

fn told_window(plan: &Plan, window: Window, lines: &mut Lines) {
    let small = window.too_small().filter(|_| !plan.shows_shares());
    if lines
        .unless_refused(before::shares_fit(plan, window))
        .is_some()
    {
        match small {
            Some(told) => lines.add(State::Warning, format!("screen: {told}")),
            None => lines.add(State::Ok, format!("screen: this window has {window}")),
        }
    }
}

/// A ceremony needs people at a terminal, or the approval on the command line.
pub(crate) fn no_terminal() -> Error {
    Error::usage("a ceremony needs a terminal: there is none on standard input and standard error")
        .hint("without people: byok run PLAN --approve SHA256, with the SHA-256 of the plan's exact bytes")
}

/// What the record will say of this machine.
fn machine(facts: &mut Facts, lines: &mut Lines) {
    let will_say = |told| format!("machine: {told}; the record will say so");
    if let Some(seen) = &facts.machine {
        if seen.record_vanishes() {
            let disk = seen.what_vanishes();
            lines.warn([will_say(format!(
                "the record's disk is {disk}: it vanishes at power-off"
            ))]);
        }
        let warnings = seen.warnings().into_iter();
        lines.warn(warnings.map(|warning| format!("machine: {warning}")));
    }
    lines.warn(before::others_may(facts.plan).into_iter().map(will_say));
}

/// As a run does before it loads the module. Nothing is loaded into a process that is not closed.
fn close_process(facts: &mut Facts, lines: &mut Lines) {
    lines.unless_refused(sandbox::close(&super::process_of(facts.plan)));
    let Some(closed) = sandbox::closed() else {
        return;
    };
    let state = match facts.plan.network {
        Network::Forbidden => State::Ok,
        Network::Hsm | Network::Allowed => State::Warning,
    };
    lines.add(state, format!("this process: {}", closed.told()));
    let loader = closed.loader_told();
    lines.warn(loader.map(|told| format!("machine: {told}")));
}

fn escrow_is_there(facts: &mut Facts, lines: &mut Lines) {
    if facts.plan.escrow.is_none() && facts.plan.kind == Kind::Generate {
        lines.add(
            State::Warning,
            "no [escrow]: if the HSM is lost, so is the data key, and all that it protects",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the approval itself asks beside the table.
    const BY_THE_APPROVAL: [&str; 3] = ["APPROVED-DIGEST", "TWO-SIDED", "SCREEN-SIZE"];
    /// The part of step 5 that needs the room.
    const IN_THE_ROOM_ONLY: [&str; 1] = ["TWO-SIDED"];

    /// Names and steps of the page's first table.
    fn page() -> Vec<(&'static str, Vec<&'static str>)> {
        let page = include_str!("../../docs/checks.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| `"));
        rows.take_while(|line| line.starts_with("| `"))
            .map(|line| {
                let mut cells = line.split('|').map(str::trim).skip(1);
                let name = cells.next().unwrap().trim_matches('`');
                (name, cells.next().unwrap().split(", ").collect())
            })
            .collect()
    }

    fn ids(asked: impl Fn(When) -> bool) -> BTreeSet<&'static str> {
        let checks = CHECKS.iter().filter(|check| asked(check.when));
        checks.flat_map(|check| check.ids).copied().collect()
    }

    #[test]
    fn the_page_of_checks_says_what_the_table_asks() {
        let in_time = |when| !matches!(when, InTheRoom | InTheHsm);
        let told = |word: &str| -> BTreeSet<&str> {
            let rows = page().into_iter();
            rows.filter(|(_, steps)| steps.contains(&word))
                .map(|(name, _)| name)
                .collect()
        };
        let mut before = told("before");
        before.retain(|name| !BY_THE_APPROVAL.contains(name));
        assert_eq!(before, ids(in_time));

        let mut asked: BTreeSet<&str> = &told("`check`") | &told("5");
        asked.retain(|name| !IN_THE_ROOM_ONLY.contains(name));
        let all = ids(|_| true);
        assert!(asked.is_subset(&all), "{:?}", &asked - &all);
        let every: BTreeSet<&str> = page().into_iter().map(|(name, _)| name).collect();
        assert!(all.is_subset(&every), "{:?}", &all - &every);
        let later = &ids(|when| when == InTheRoom) - &asked;
        assert!(later.is_subset(&told("before")), "{later:?}");
    }
}
