//! The HSM: whether it is there, and with `--hsm` what it does. What is made in it ends with the session.

use super::super::operator::{Interrupted, Watch};
use super::super::{before, login, pin, preflight, room, signer};
use super::Facts;
use crate::crypto::spec::Spec;
use crate::ground::error::Result;
use crate::ground::lines::{Lines, State};
use crate::hsm::machine::sandbox;
use crate::hsm::{Hsm, Module};
use crate::plan::parameters::Judged;
use crate::plan::{Keep, KeyPlan, Kind, Plan};

/// The HSM token of the plan, in a session.
pub(super) struct Opened {
    pub hsm: Hsm,
    interrupted: Interrupted,
    /// From the login on: no question comes after it, and a call may hang.
    watch: Option<Watch>,
}

pub(super) fn open(facts: &mut Facts, lines: &mut Lines) {
    if sandbox::closed().is_some() && before::module_exists(facts.plan).is_ok() {
        facts.opened = open_token(facts.plan, lines);
    }
}

fn open_token(plan: &Plan, lines: &mut Lines) -> Option<Opened> {
    let interrupted = lines.unless_refused(Interrupted::watch())?;
    let watch = lines.unless_refused(Watch::any_time(interrupted.clone()))?;
    let module = lines.judge(Module::load(&plan.hsm.module), |module| {
        format!("module: SHA-256 {}", module.description().module_sha256)
    })?;
    let token = lines.judge(module.find(&plan.hsm.token), |token| {
        format!("token: {}", token.uri())
    })?;
    let hsm = lines.unless_refused(module.open(&token))?;
    drop(watch);
    tell_nature(plan, &hsm, lines);
    Some(Opened {
        hsm,
        interrupted,
        watch: None,
    })
}

/// What the exposure grade will rest on.
fn tell_nature(plan: &Plan, hsm: &Hsm, lines: &mut Lines) {
    let reason = plan.hsm.hardware.as_deref();
    let nature = hsm.nature(reason);
    let told = match nature.exception(reason) {
        Some(what) => what,
        None if nature.is_software() => format!("the HSM is {}", nature.told()),
        None => return lines.add(State::Ok, format!("token: the HSM is {}", nature.told())),
    };
    lines.warn([format!("token: {told}; the record will say so")]);
}

/// Whether the PIN is available, as far as this is known without asking for it.
pub(super) fn pin_source(facts: &mut Facts, lines: &mut Lines) {
    if let Some(path) = facts.plan.hsm.pin.file() {
        facts.has_pin = lines.unless_refused(pin::look_at_pin_file(path)).is_some();
    }
}

/// If the HSM is not to be tried, or cannot be, no later check uses it.
pub(super) fn log_in(facts: &mut Facts, lines: &mut Lines) {
    let mut opened = facts.opened.take();
    if !facts.tries_hsm {
        let keys = match facts.plan.kind {
            Kind::Generate => "labels",
            _ => "data keys",
        };
        let told =
            format!("HSM: PIN, {keys} and wrapping were not tried; byok check --hsm tries them");
        return lines.warn([told]);
    }
    if !facts.has_pin {
        return lines.warn(["HSM: nothing was tried without the PIN".to_owned()]);
    }
    if let Some(opened) = &mut opened {
        let plan = facts.plan;
        let logged_in = opened
            .log_in(plan)
            .and_then(|()| signer::could_sign(plan, &opened.hsm));
        if lines.unless_refused(logged_in).is_none() {
            return;
        }
    }
    facts.opened = opened;
}

impl Opened {
    fn log_in(&mut self, plan: &Plan) -> Result<()> {
        login::for_verb(&self.hsm, &plan.hsm.pin, &self.interrupted)?;
        self.watch = Some(Watch::any_time(self.interrupted.clone())?);
        Ok(())
    }
}

pub(super) fn labels_are_free(facts: &mut Facts, lines: &mut Lines) {
    let (Some(opened), Kind::Generate) = (&facts.opened, facts.plan.kind) else {
        return;
    };
    let mut keys = facts.plan.keys.iter();
    let ready = keys.try_for_each(|key| room::token_is_ready_for(&opened.hsm, key));
    if lines.unless_refused(ready).is_none() {
        facts.opened = None; // what a run would find after that, nobody needs to know
    }
}

/// Proves the wrapping of the imports, if they are ready.
pub(super) fn wrapping(facts: &mut Facts, lines: &mut Lines) {
    let (plan, Some(opened)) = (facts.plan, &mut facts.opened) else {
        return;
    };
    let hsm = &mut opened.hsm;
    if matches!(plan.kind, Kind::Generate | Kind::Recover)
        && plan.keys.iter().any(makes_a_token_object)
    {
        lines.unless_refused(hsm.try_token_object(Spec::DEFAULT));
    }
    match facts.judged.take() {
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
