//! Steps 3 and 4: on what machine, before which HSM.

use super::{
    Ceremony, Destroyed, Error, Hsm, Module, Result, Step, Vault, before, clock, login, screens,
    source, transcript,
};
use crate::ground::facts::Machine;
use crate::hsm::machine::{medium, sandbox};
use crate::plan::{KeyPlan, Kind, Network, Plan};

/// Tells a person to take the network away.
///
/// # Errors
/// Exit 5 if an interface is up that the plan forbids.
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
    Err(error.hint(
        "or set network = \"hsm\" or \"allowed\" under [machine] in the plan; that is recorded",
    ))
}

impl Ceremony<'_> {
    /// Step 3. A rehearsal does not check the air gap: it is practised where people work.
    pub(super) fn look_at_machine(&mut self) -> Result<()> {
        self.begin(Step::Machine)?;
        medium::read()?; // what cannot be believed is not left out in silence
        let seen = Machine::look(&self.plan().directory);
        self.ledger.append(transcript::MachineChecked {
            network: self.plan().network.name().into(),
            machine: seen.clone(),
            closed: sandbox::closed().cloned(),
            clock: crate::ground::clock::now().into(),
            clock_offset_seconds: crate::ground::clock::offset(),
        })?;
        if let Some(what) = clock::corrected() {
            self.note(&what)?;
        }
        if let Some(what) = clock::sealed_later(self.previous()) {
            self.note(&what)?;
        }
        if !seen.core_dumps_off {
            return Err(Error::machine("core dumps are not off in this process"));
        }
        if self.basis.rehearsal {
            self.desk
                .say("      the network is not checked in a rehearsal; a real run looks at it\n");
        } else {
            air_gap(self.plan(), &seen)?;
            if seen.record_vanishes() {
                self.exception(&format!(
                    "the record's disk is {}: it vanishes at power-off",
                    seen.what_vanishes()
                ))?;
            }
        }
        if !self.basis.rehearsal {
            self.notes(&before::others_may(self.plan()))?;
        }
        if seen.medium_sha256.is_some() {
            let told = format!(
                "this computer: {}",
                medium::told(seen.medium_sha256.as_deref())
            );
            self.desk.say(&screens::fold(&told, "      "));
        }
        self.desk.say(&screens::fold(
            &format!(
                "network: {}; the record's disk: {}",
                seen.network_told(),
                seen.record_file_system
            ),
            "      ",
        ));
        if let Some(closed) = sandbox::closed() {
            let told = format!("this process: {}", closed.told());
            self.desk.say(&screens::fold(&told, "      "));
            if let Some(told) = closed.loader_told() {
                self.desk.say(&screens::fold(&told, " "));
            }
        }
        for warning in seen.warnings() {
            self.desk.say(&screens::fold(&warning, " "));
        }
        self.note_recorder()
    }

    /// The plan accepts it; readers of the record must know.
    fn note_recorder(&mut self) -> Result<()> {
        let (Some(reason), true) = (&self.plan().screen_recorded, self.plan().shares_at_screen())
        else {
            return Ok(());
        };
        match before::recorder() {
            Some(name) if !self.basis.rehearsal => self.note(&format!(
                "shares are on a screen that may be recorded ({name} is set); the plan says why: {reason}"
            )),
            _ => Ok(()),
        }
    }

    /// Step 4: opens the HSM and logs in.
    pub(super) fn open_hsm(&mut self) -> Result<Vault> {
        self.begin(Step::OpenHsm)?;
        let working = self.ledger.record.working().display().to_string();
        let plan = crate::ground::words::shell_path(&self.plan().path);
        self.desk.look_after_calls(&format!(
            "What then exists: {working}, and in the HSM what this run asked it to make. byok doctor {plan} --leftovers \
             {working} lists that; the next run of this plan sets the record aside and destroys the rest."
        ))?;
        let module = Module::load(&self.plan().hsm.module)?;
        let token = module.find(&self.plan().hsm.token)?;
        let hsm = module.open(&token)?;
        let logins = login::log_in(
            &hsm,
            &self.plan().hsm.pin,
            self.desk.operator,
            &mut self.ledger.wrong_answers(),
        )?;
        let nature = hsm.nature(self.plan().hsm.hardware.as_deref());
        self.ledger.append(transcript::HsmOpened {
            module: module.description(),
            token: token.facts(),
            judged: nature.judged(),
            env: self.plan().hsm.env.clone(),
            logins,
        })?;
        Ok(Vault::of(module, hsm))
    }

    /// The rest of step 4: takes back what an interrupted run left, and refuses labels that are taken.
    pub(super) fn look_into_token(&mut self, vault: &mut Vault) -> Result<()> {
        self.tell_nature(&vault.hsm)?;
        self.tell_hsm_changes(vault)?;
        self.destroy_leftover(vault)?;
        let plan = self.plan();
        if plan.kind == Kind::Generate {
            // otherwise the data keys are there, or come back under their own labels
            let mut keys = plan.keys.iter();
            keys.try_for_each(|key| token_is_ready_for(&vault.hsm, key))?;
        }
        self.choose_signer(vault)
    }

    /// Finds out what every statement about exposure rests on.
    fn tell_nature(&mut self, hsm: &Hsm) -> Result<()> {
        let reason = self.plan().hsm.hardware.as_deref();
        let nature = hsm.nature(reason);
        let told = format!("the HSM is {}", nature.told());
        self.desk.say(&screens::fold(&told, "      "));
        match nature.exception(reason) {
            Some(what) => self.note(&what),
            None => Ok(()),
        }
    }

    fn destroy_leftover(&mut self, vault: &mut Vault) -> Result<()> {
        for (label, id) in self.basis.leftover {
            if self.is_signer_in_use(vault, label, *id)? {
                self.note(&format!(
                    "traces of an earlier run name the transcript signer in use, CKA_ID {id}: it was not touched"
                ))?;
                continue;
            }
            let objects = vault.hsm.destroy_named(label, *id)?;
            if objects > 0 {
                self.desk.say(&format!(
                    " destroyed {label:?}, which an interrupted run left\n"
                ));
                vault.taken_away.push(format!(
                    "{label:?}, CKA_ID {id}, which an earlier run had left, was destroyed"
                ));
                self.ledger.append(Destroyed {
                    label: label.clone(),
                    cka_id: id.to_string(),
                    objects,
                    why: "an interrupted run left it".into(),
                })?;
            }
        }
        Ok(())
    }
}

/// Before a data key of `generate` is made: its label is free, or the key that it comes from is there.
///
/// # Errors
/// Exit 3 if not; nothing is touched.
pub(crate) fn token_is_ready_for(hsm: &Hsm, key: &KeyPlan) -> Result<()> {
    match key.source.makes_an_object() {
        true => label_is_free(hsm, &key.label),
        false => source::is_there(hsm, key),
    }
}

/// Nobody used the label of a new data key before.
///
/// # Errors
/// Exit 3 if the token holds an object of this label already; nothing is touched.
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
    .hint("to bring the same data key back, use kind = \"reimport\"; to import that very object, use source = \"token\""))
}
