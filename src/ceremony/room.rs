//! Steps 3 and 4: on what machine, before which HSM.

use super::wrong::Asked;
use super::{
    Ceremony, Destroyed, Error, Event, Hsm, Module, Result, Step, before, clock, login, screens,
    source,
};
use crate::ground::facts::Machine;
use crate::ground::facts::Nature;
use crate::hsm::machine::sandbox;
use crate::plan::{KeyPlan, Kind, Network, Plan};

/// What a person is told who should take the network away.
///
/// # Errors
/// Exit 5 where an interface is up that the plan forbids.
pub(crate) fn air_gap(plan: &Plan, seen: &Machine) -> Result<()> {
    if plan.network != Network::Forbidden || seen.interfaces_up.is_empty() {
        return Ok(());
    }
    let names = seen.interfaces_up.join(", ");
    let error =
        Error::machine(format!("the plan forbids a network, and {names} is up")).check("AIR-GAP");
    let error = seen
        .interfaces_up
        .iter()
        .fold(error, |e, name| e.hint(format!("ip link set {name} down")));
    Err(error
        .hint("or let [machine] network in the plan say \"hsm\" or \"allowed\"; that is recorded"))
}

impl Ceremony<'_> {
    /// Step 3. A rehearsal does not check the air gap: it is practised where people work.
    pub(super) fn look_at_machine(&mut self) -> Result<()> {
        self.begin(Step::Machine)?;
        let seen = Machine::look(&self.plan.directory);
        self.record.transcript.append(&Event::MachineChecked(
            crate::evidence::transcript::MachineChecked {
                network: self.plan.network.name().into(),
                machine: seen.clone(),
                closed: sandbox::closed().cloned(),
                clock: crate::ground::clock::now().into(),
                clock_offset_seconds: crate::ground::clock::offset(),
            },
        ))?;
        if let Some(what) = clock::corrected() {
            self.note(&what)?;
        }
        if let Some(what) = clock::sealed_later(self.previous) {
            self.note(&what)?;
        }
        if !seen.core_dumps_off {
            return Err(Error::machine("core dumps are not off in this process"));
        }
        if self.rehearsal {
            self.operator
                .say("      the network is not checked in a rehearsal; a real run looks at it\n");
        } else {
            air_gap(self.plan, &seen)?;
            if seen.record_vanishes() {
                self.exception(&format!(
                    "the record's disk is {}: it vanishes at power-off",
                    seen.what_vanishes()
                ))?;
            }
        }
        if !self.rehearsal {
            self.notes(&before::others_may(self.plan))?;
        }
        self.operator.say(&screens::fold(
            &format!(
                "network: {}; the record's disk: {}",
                seen.network_told(),
                seen.record_file_system
            ),
            "      ",
        ));
        if let Some(closed) = sandbox::closed() {
            let told = format!("this process: {}", closed.told());
            self.operator.say(&screens::fold(&told, "      "));
            if let Some(told) = closed.loader_told() {
                self.operator.say(&screens::fold(&told, " "));
            }
        }
        for warning in seen.warnings() {
            self.operator.say(&screens::fold(&warning, " "));
        }
        self.note_recorder()
    }

    /// The plan accepts it; whoever reads the record is to know.
    fn note_recorder(&mut self) -> Result<()> {
        let (Some(reason), true) = (&self.plan.screen_recorded, self.plan.shares_at_screen())
        else {
            return Ok(());
        };
        match before::recorder() {
            Some(name) if !self.rehearsal => self.note(&format!(
                "shares are on a screen that may be recorded ({name} is set); the plan says why: {reason}"
            )),
            _ => Ok(()),
        }
    }

    /// Step 4: opens the HSM, logs in, takes back what an interrupted run left, and refuses labels
    /// that are taken.
    pub(super) fn open_hsm(&mut self) -> Result<()> {
        self.begin(Step::OpenHsm)?;
        let working = self.record.working().display().to_string();
        let plan = crate::ground::words::shell_path(&self.plan.path);
        self.operator.look_after_calls(&format!(
            "What there is then: {working}, and in the HSM what this run asked it to make. byok doctor {plan} --leftovers \
             {working} lists that; the next run of this plan sets the one aside and takes the other away."
        ))?;
        let module = Module::load(&self.plan.hsm.module)?;
        let token = module.find(&self.plan.hsm.token)?;
        let hsm = module.open(&token)?;
        let (transcript, step) = (&mut self.record.transcript, self.step);
        let mut wrong = |asked: Asked| transcript.append(&asked.event(step));
        let logins = login::log_in(&hsm, &self.plan.hsm.pin, self.operator, &mut wrong)?;
        let nature = hsm.nature(self.plan.hsm.hardware.as_deref());
        self.record.transcript.append(&Event::HsmOpened(
            crate::evidence::transcript::HsmOpened {
                module: module.description(),
                token: token.facts(),
                judged: nature.judged(),
                env: self.plan.hsm.env.clone(),
                logins,
            },
        ))?;
        self.module = Some(module);
        self.hsm = Some(hsm);
        self.tell_nature(&nature)?;
        self.tell_hsm_changes()?;
        self.destroy_leftover()?;
        if self.plan.kind == Kind::Generate {
            let hsm = self.hsm()?; // else the data keys are there, or come back under their own labels
            self.plan
                .keys
                .iter()
                .try_for_each(|key| token_is_ready_for(hsm, key))?;
        }
        self.choose_signer()
    }

    /// What everything that is said of exposure rests on.
    fn tell_nature(&mut self, nature: &Nature) -> Result<()> {
        let told = format!("the HSM is {}", nature.told());
        self.operator.say(&screens::fold(&told, "      "));
        match nature.exception(self.plan.hsm.hardware.as_deref()) {
            Some(what) => self.note(&what),
            None => Ok(()),
        }
    }

    fn destroy_leftover(&mut self) -> Result<()> {
        for (label, id) in std::mem::take(&mut self.leftover) {
            if self.is_signer_in_use(&label, id)? {
                self.note(&format!(
                    "traces of an earlier run name the transcript signer in use, CKA_ID {id}: it was not touched"
                ))?;
                continue;
            }
            let objects = self.hsm()?.destroy_named(&label, id)?;
            if objects > 0 {
                self.operator.say(&format!(
                    " destroyed {label:?}, which an interrupted run left\n"
                ));
                self.taken_away.push(format!(
                    "{label:?}, CKA_ID {id}, which an earlier run had left, was destroyed"
                ));
                self.record
                    .transcript
                    .append(&Event::KeyDestroyed(Destroyed {
                        label,
                        cka_id: id.to_string(),
                        objects,
                        why: "an interrupted run left it".into(),
                    }))?;
            }
        }
        Ok(())
    }
}

/// Before a data key of `generate` is made: its label is free, or the key that it comes from is there.
///
/// # Errors
/// Exit 3 where it is not so; nothing is touched.
pub(crate) fn token_is_ready_for(hsm: &Hsm, key: &KeyPlan) -> Result<()> {
    match key.source.makes_an_object() {
        true => label_is_free(hsm, &key.label),
        false => source::is_there(hsm, key),
    }
}

/// # Errors
/// Exit 3 where the token holds an object of this label already; nothing is touched.
fn label_is_free(hsm: &Hsm, label: &str) -> Result<()> {
    let taken = hsm.labelled(label)?;
    let Some(object) = taken.first() else {
        return Ok(());
    };
    Err(Error::hsm(format!(
        "the token holds an object labelled {label:?} already ({}, CKA_ID {})",
        object.class,
        if object.id.is_empty() {
            "empty"
        } else {
            &object.id
        }
    ))
    .check("LABEL-FREE")
    .hint("it was not touched; give the data key another label in the plan")
    .hint("a ceremony that brings the same data key back is a reimport; to import that very object, source = \"token\""))
}
