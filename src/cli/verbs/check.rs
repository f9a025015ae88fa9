//! `byok check`: the run's own questions, asked in the run's order, without making anything.

use std::path::Path;

use serde::Serialize;

use crate::ceremony::judged::Judged;
use crate::ceremony::operator::{Interrupted, Operator as _, Terminal, Watch};
use crate::ceremony::reimport::Expected;
use crate::ceremony::screens;
use crate::ceremony::screens::Window;
use crate::ceremony::{before, clock, could_sign, look_at_pin_file, parameters, preflight, room};
use crate::crypto::spec::Spec;
use crate::evidence::previous::Previous;
use crate::evidence::record::Leftover;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::facts::Machine;
use crate::ground::words;
use crate::hsm::machine::sandbox;
use crate::hsm::{Hsm, Module};
use crate::plan::{Keep, KeyPlan, Kind, Network, Plan};

mod builds_on;
mod sources;
mod tokens;

use tokens::Used;

/// One line of the answer.
#[derive(Serialize)]
struct Line {
    state: State,
    what: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Warning,
    NotYet,
    Wrong,
}

#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, state: State, what: impl Into<String>) {
        self.0.push(Line {
            state,
            what: words::without_os_number(&what.into()),
            hints: Vec::new(),
            exit: Exit::Done,
        });
    }

    /// `ok` with what was found, or the refusal.
    fn judge<T>(&mut self, result: Result<T>, ok: impl FnOnce(&T) -> String) -> Option<T> {
        match result {
            Ok(value) => {
                self.add(State::Ok, ok(&value));
                Some(value)
            }
            Err(error) => {
                self.refuse(State::Wrong, error);
                None
            }
        }
    }

    fn refuse(&mut self, state: State, error: Error) {
        self.0.push(Line {
            state,
            what: error.line(),
            exit: error.exit,
            hints: error.hints,
        });
    }
}

/// Checks a plan. Each line goes to standard output: `ok`, `warning`, `not yet` or `wrong`.
///
/// # Errors
/// The exit code that `byok run` would end with now.
pub(crate) fn check(path: &Path, with_hsm: bool, as_json: bool) -> Result<()> {
    let plan = Plan::read(path)?;
    let mut lines = Lines::default();
    lines.add(
        State::Ok,
        format!(
            "plan: {:?}, SHA-256 {}",
            plan.title,
            words::hex(&plan.sha256)
        ),
    );
    before_approval(&plan, &mut lines);
    let previous = builds_on::previous(&plan, &mut lines);
    if plan.escrow.is_some() {
        let room = before::shares_have_room(&plan, previous.as_ref());
        lines.judge(room, |()| "escrow: there is room for the shares".into());
    }
    match before::leftover(&plan, previous.as_ref()) {
        Ok(None) => {}
        Ok(Some(leftover)) => lines.add(State::Warning, left_by_earlier_runs(&leftover)),
        Err(error) => lines.refuse(State::Wrong, error),
    }
    if let Err(error) = clock::not_before(previous.as_ref()) {
        lines.refuse(State::Wrong, error);
    }
    screen(&plan, &mut lines);
    let machine = Machine::look(&plan.directory);
    match (
        room::air_gap(&plan, &machine),
        machine.interfaces_up.is_empty(),
    ) {
        (Ok(()), false) => lines.add(
            State::Warning,
            format!(
                "machine: network: {}; the plan allows it, and the record will say so",
                machine.network_told()
            ),
        ),
        (result, _) => {
            lines.judge(result, |()| {
                format!("machine: network: {}", machine.network_told())
            });
        }
    }
    if machine.record_vanishes() {
        let disk = machine.what_vanishes();
        let told = format!(
            "machine: the record's disk is {disk}: it vanishes at power-off; the record will say so"
        );
        lines.add(State::Warning, told);
    }
    for warning in machine.warnings() {
        lines.add(State::Warning, format!("machine: {warning}"));
    }
    sources::files(&plan, &mut lines);
    close_process(&plan, &mut lines)?;
    let interrupted = Interrupted::watch()?;
    let watch = Watch::any_time(interrupted.clone())?;
    let hsm = open_hsm(&plan, &mut lines);
    drop(watch);
    let has_pin = pin_source(&plan, &mut lines);
    let used = tokens::used(&plan, previous.as_ref());
    let judged = import_parameters(&plan, &used, &mut lines);
    let expected = builds_on::expected(&plan, previous.as_ref(), &mut lines);
    if !with_hsm {
        lines.add(
            State::Warning,
            match plan.kind {
                Kind::Generate => {
                    "HSM: PIN, labels and wrapping were not tried; byok check --hsm tries them"
                }
                _ => "HSM: PIN, data keys and wrapping were not tried; byok check --hsm tries them",
            },
        );
    }
    if with_hsm && !has_pin {
        lines.add(State::Warning, "HSM: nothing was tried without the PIN");
    } else if with_hsm && let Some(mut hsm) = hsm {
        let login = super::log_in(&hsm, &plan.hsm.pin, &interrupted);
        let _watch = Watch::any_time(interrupted)?;
        let known = (previous.as_ref(), &expected[..]);
        match login.and_then(|_| could_sign(&plan, &hsm)) {
            Ok(()) => try_hsm(&plan, &mut hsm, judged, known, &mut lines),
            Err(error) => lines.refuse(State::Wrong, error),
        }
    }
    if plan.escrow.is_none() && plan.kind == Kind::Generate {
        lines.add(
            State::Warning,
            "no [escrow]: if the HSM is lost, so is the data key, and all that it protects",
        );
    }
    report(lines, as_json)
}

fn before_approval(plan: &Plan, lines: &mut Lines) {
    lines.judge(before::record_is_free(plan), |()| {
        format!("record: {} does not exist yet", plan.directory.display())
    });
    for result in [
        before::record_can_be_written(plan),
        before::disks_know_owners(plan),
    ] {
        if let Err(error) = result {
            lines.refuse(State::Wrong, error);
        }
    }
    if let Err(error) = before::shares_are_closed(plan) {
        lines.refuse(State::Wrong, error);
    }
    for told in before::others_may(plan) {
        lines.add(
            State::Warning,
            format!("machine: {told}; the record will say so"),
        );
    }
    lines.judge(before::module_exists(plan), |()| {
        format!("module: {}", plan.hsm.module.display())
    });
    for (key, import) in plan.imports() {
        let name = format!("{}/{}", key.label, import.name);
        if let Err(error) = before::parameters_exist(import) {
            let error = before::or_later(plan, key, import, error);
            lines.refuse(State::NotYet, error.doing(&name));
        }
        if let Err(error) = before::expiry(import) {
            lines.refuse(State::Wrong, error.doing(&name));
        }
    }
}

fn left_by_earlier_runs(leftover: &Leftover) -> String {
    let keys: Vec<String> = leftover
        .intended
        .iter()
        .map(|(label, id)| format!("{label} (CKA_ID {id})"))
        .collect();
    let keys = if keys.is_empty() {
        "nothing in the HSM".to_owned()
    } else {
        keys.join(", ")
    };
    format!(
        "record: a run that did not come to its end left {}; the next run destroys what it may have left: {keys}",
        leftover.working.display()
    ) + &leftover
        .void
        .as_ref()
        .map(|void| format!("; void: {}", screens::void_shares(void)))
        .unwrap_or_default()
}

/// As a run does before it loads the module. Nothing is loaded into a process that is not closed.
fn close_process(plan: &Plan, lines: &mut Lines) -> Result<()> {
    sandbox::close(&crate::ceremony::process_of(plan))?;
    let Some(closed) = sandbox::closed() else {
        return Ok(());
    };
    let state = match plan.network {
        Network::Forbidden => State::Ok,
        Network::Hsm | Network::Allowed => State::Warning,
    };
    lines.add(state, format!("this process: {}", closed.told()));
    if let Some(told) = closed.loader_told() {
        lines.add(State::Warning, format!("machine: {told}"));
    }
    Ok(())
}

fn open_hsm(plan: &Plan, lines: &mut Lines) -> Option<Hsm> {
    before::module_exists(plan).ok()?;
    let module = lines.judge(Module::load(&plan.hsm.module), |module| {
        format!("module: SHA-256 {}", module.description().module_sha256)
    })?;
    let token = lines.judge(module.find(&plan.hsm.token), |token| {
        format!("token: {}", token.uri())
    })?;
    let opened = module.open(&token);
    let hsm = opened.map_err(|error| lines.refuse(State::Wrong, error));
    let hsm = hsm.ok()?;
    tell_nature(plan, &hsm, lines);
    Some(hsm)
}

/// What the exposure grade will rest on.
fn tell_nature(plan: &Plan, hsm: &Hsm, lines: &mut Lines) {
    let reason = plan.hsm.hardware.as_deref();
    let nature = hsm.nature(reason);
    match nature.exception(reason) {
        Some(what) => lines.add(
            State::Warning,
            format!("token: {what}; the record will say so"),
        ),
        None if nature.is_software() => lines.add(
            State::Warning,
            format!(
                "token: the HSM is {}; the record will say so",
                nature.told()
            ),
        ),
        None => lines.add(State::Ok, format!("token: the HSM is {}", nature.told())),
    }
}

/// Whether the PIN can be had, as far as that is known without asking for it.
fn pin_source(plan: &Plan, lines: &mut Lines) -> bool {
    let Some(path) = plan.hsm.pin.file() else {
        return true;
    };
    match look_at_pin_file(path) {
        Ok(()) => true,
        Err(error) => {
            lines.refuse(State::Wrong, error);
            false
        }
    }
}

/// `None` where any import is not ready.
fn import_parameters<'p>(
    plan: &'p Plan,
    used: &Used,
    lines: &mut Lines,
) -> Option<Vec<Judged<'p>>> {
    let mut judged = Vec::new();
    let mut complete = true;
    for (key, import) in plan.imports() {
        if before::parameters_exist(import).is_err() {
            complete = false;
            continue; // said above, as `not yet`
        }
        let name = format!("{}/{}", key.label, import.name);
        let result = parameters::judge(key, import)
            .map_err(|e| before::or_later(plan, key, import, e))
            .map_err(|e| e.doing(&name));
        let ok = |judged: &Judged| {
            let compared = match import.wrapping_key_sha256 {
                Some(_) => "wrapping key as on the slip",
                None => "to be compared with the slip in the room",
            };
            let valid_to = crate::ground::clock::for_people(judged.valid_to);
            format!(
                "{name}: {}, {compared}, valid to {valid_to}",
                judged.read.wrapping_key.spec()
            )
        };
        match lines.judge(result, ok) {
            Some(import) => {
                tokens::warn(used, &import, lines);
                judged.push(import);
            }
            None => complete = false,
        }
    }
    complete.then_some(judged)
}

/// Whoever sees or types shares needs a screen that nobody else sees; everybody needs one that is large enough.
fn screen(plan: &Plan, lines: &mut Lines) {
    let shares = plan.shares_at_screen();
    if shares {
        lines.judge(before::shares_can_be_shown(plan, false), |()| {
            match &plan.screen_recorded {
                Some(reason) => {
                    format!("screen: shares may be recorded here; the plan says why: {reason}")
                }
                None => "screen: neither SSH nor tmux nor screen sends or keeps it".into(),
            }
        });
    }
    match Terminal::open(Interrupted::default()) {
        Ok(Some(terminal)) => window(plan, terminal.window(), lines),
        Ok(None) if shares => lines.refuse(State::NotYet, super::run::no_terminal()),
        Ok(None) => {} // it may be approved by its digest
        Err(error) => lines.refuse(State::Wrong, error),
    }
}

fn window(plan: &Plan, window: Window, lines: &mut Lines) {
    let small = window.too_small().filter(|_| !plan.shows_shares());
    match (before::shares_fit(plan, window), small) {
        (Err(error), _) => lines.refuse(State::Wrong, error),
        (Ok(()), Some(told)) => lines.add(State::Warning, format!("screen: {told}")),
        (Ok(()), None) => lines.add(State::Ok, format!("screen: this window has {window}")),
    }
}

/// Looks for labels or data keys, and proves the wrapping of the imports that are ready.
fn try_hsm(
    plan: &Plan,
    hsm: &mut Hsm,
    judged: Option<Vec<Judged>>,
    (previous, expected): (Option<&Previous>, &[(&KeyPlan, Expected)]),
    lines: &mut Lines,
) {
    if plan.kind == Kind::Generate {
        let mut keys = plan.keys.iter();
        if let Err(error) = keys.try_for_each(|key| room::token_is_ready_for(hsm, key)) {
            return lines.refuse(State::Wrong, error);
        }
    }
    if matches!(plan.kind, Kind::Generate | Kind::Recover)
        && plan.keys.iter().any(makes_a_token_object)
        && let Err(error) = hsm.try_token_object(Spec::AES_256)
    {
        lines.refuse(State::Wrong, error);
    }
    match judged {
        _ if plan.kind == Kind::Destroy => lines.add(State::Ok, "HSM: logged in"),
        None => lines.add(
            State::Warning,
            "HSM: logged in; wrapping was not tried: import parameters are not ready",
        ),
        Some(judged) => {
            lines.judge(prove(plan, hsm, judged), |checks| {
                let labels = match plan.kind {
                    Kind::Generate => "labels as they should be, ",
                    _ => "",
                };
                format!("HSM: logged in, {labels}{checks} preflight checks passed")
            });
        }
    }
    builds_on::find(plan, previous, hsm, expected, lines);
    sources::in_token(plan, hsm, lines);
}

fn makes_a_token_object(key: &KeyPlan) -> bool {
    key.keep != Keep::None && key.source.makes_an_object()
}

fn prove(plan: &Plan, hsm: &mut Hsm, judged: Vec<Judged>) -> Result<usize> {
    let proved = preflight::prove(hsm, judged, |_| {})?.checks.len();
    let escrow = preflight::prove_escrow(hsm, plan)?;
    let ways_in = preflight::prove_ways_in(hsm, plan)?;
    Ok(proved + usize::from(escrow.is_some()) + ways_in.len())
}

fn report(lines: Lines, as_json: bool) -> Result<()> {
    let refused = lines
        .0
        .iter()
        .map(|line| line.exit)
        .find(|exit| *exit != Exit::Done);
    if as_json {
        let exit = refused.map_or(0, |exit| exit as u8);
        super::print_json(&serde_json::json!({"exit": exit, "lines": lines.0}))?;
    } else {
        for_people(&lines.0)?;
    }
    match refused {
        Some(exit) if as_json => Err(Error::new(exit, verdict(&lines.0))),
        Some(exit) => Err(Error::new(exit, verdict(&lines.0)).said()),
        None => Ok(()),
    }
}

/// In the run's order, but what is not yet there, and then what is wrong, last: there people look.
fn for_people(lines: &[Line]) -> Result<()> {
    let now = |line: &&Line| !matches!(line.state, State::NotYet | State::Wrong);
    let of = |state| lines.iter().filter(move |line| line.state == state);
    let ordered = lines.iter().filter(now);
    let ordered = ordered.chain(of(State::NotYet)).chain(of(State::Wrong));
    let text: String = ordered.map(shown).collect();
    super::print_lines(&format!("{text}{}\n", verdict(lines)))
}

/// The last line of the answer.
fn verdict(lines: &[Line]) -> String {
    let count = |state| lines.iter().filter(|line| line.state == state).count();
    match (count(State::Wrong), count(State::NotYet)) {
        (0, 0) => "ready: byok run would start".to_owned(),
        (0, later) => format!("would not start: {later} not yet there"),
        (wrong, 0) => format!("would not start: {wrong} wrong"),
        (wrong, later) => format!("would not start: {wrong} wrong, {later} not yet there"),
    }
}

fn shown(line: &Line) -> String {
    let state = match line.state {
        State::Ok => "ok",
        State::Warning => "WARNING",
        State::NotYet => "not yet",
        State::Wrong => "wrong",
    };
    let mut text = format!("{state:<8} {}\n", words::printable(&line.what));
    for hint in &line.hints {
        text += &format!("         - {}\n", words::printable(hint));
    }
    text
}
