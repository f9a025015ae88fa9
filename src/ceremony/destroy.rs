//! `kind = "destroy"`: the end of a data key's life, on record. What is destroyed is proved to be the
//! data key first, and proved to be gone afterwards.

use super::reimport::find_right;
use super::{
    Approved, Ceremony, Error, Event, KeyId, Operator, Result, Sealed, Step, screens, words,
};
use crate::plan::{Keep, KeyPlan};
use crate::transcript::{Destroyed, EscrowDestroyed};

/// Runs the ceremony. What was destroyed before a failure stays destroyed, and the record says so.
///
/// # Errors
/// Whatever step refuses, with the state and what to do.
pub fn run(approved: &Approved, operator: &mut dyn Operator) -> Result<Sealed> {
    Ceremony::walk(approved, operator, line)
}

fn line(ceremony: &mut Ceremony) -> Result<Sealed> {
    ceremony.roll_call()?; // 2
    ceremony.look_at_machine()?; // 3
    ceremony.open_hsm()?; // 4
    ceremony.destroy_keys()?; // 7
    ceremony.tick_off_escrow()?; // 9
    ceremony.write_outputs(&[], &[], &[], None)?; // 11
    ceremony.seal() // 12
}

impl Ceremony<'_> {
    /// Step 7. Every data key is found and proved before the first one is destroyed.
    fn destroy_keys(&mut self) -> Result<()> {
        self.begin(Step::Generate)?;
        let plan = self.plan;
        let mut proved = Vec::new();
        for key in plan.keys.iter().filter(|key| key.keep != Keep::None) {
            let expected = self.expected(key)?;
            crate::hsm::under_way::serves(Some(&key.label));
            let (found, notes) = find_right(self.hsm_mut()?, key, &expected)
                .map_err(|e| e.doing(format!("finding the data key {:?}", key.label)))?;
            self.notes(&notes)?;
            let id = KeyId::any_from_hex(&found.id);
            let label = found.label.clone();
            let alone = |id: &KeyId| self.hsm()?.is_alone(&label, *id, expected.spec);
            let id = match id.map(|id| alone(&id).map(|alone| alone.then_some(id))) {
                Some(alone) => alone?,
                None => None,
            };
            let id = id.ok_or_else(|| {
                Error::hsm(format!(
                    "the data key {:?} cannot be told from other keys by label and CKA_ID ({:?}, {:?})",
                    key.label, label, found.id
                ))
                .hint("byok did not make it; destroy it with the HSM's own tool, before witnesses")
            })?;
            let data_key = found
                .into_data_key(&key.label)
                .ok_or_else(|| Error::hsm("its check values cannot be computed"))?;
            self.same_material(key, &expected, &data_key, "key-found")?;
            proved.push((key, label, id));
        }
        self.record.transcript.sync()?;
        proved
            .into_iter()
            .try_for_each(|(key, label, id)| self.destroy_key(key, &label, id))
    }

    /// `label`: the one in the HSM, which a key that byok did not make keeps.
    fn destroy_key(&mut self, key: &KeyPlan, label: &str, id: KeyId) -> Result<()> {
        let objects = self
            .hsm()?
            .destroy_named(label, id)
            .map_err(|e| e.doing(format!("destroying the data key {:?}", key.label)))?;
        self.operator.say(&format!(
            "      {}  destroyed, and no longer found\n",
            key.label
        ));
        self.record
            .transcript
            .append(&Event::KeyDestroyed(Destroyed {
                label: key.label.clone(),
                cka_id: id.to_string(),
                objects,
                why: self.plan.reason.clone().unwrap_or_default(),
            }))?;
        self.record.transcript.sync()
    }

    /// Step 9: a data key lives on in its shares and packages until they are gone too.
    fn tick_off_escrow(&mut self) -> Result<()> {
        self.begin(Step::Escrow)?;
        let Some(previous) = &self.previous else {
            return Ok(());
        };
        let mut things: Vec<String> = previous
            .dealt
            .iter()
            .map(|share| format!("the form of share {}, {}", share.number, share.custodian))
            .collect();
        if previous.package.is_some() {
            things.push("every copy of escrow-package.json and its printed page".to_owned());
        }
        for what in things {
            let asked = screens::fold(&format!("Is {what} destroyed before your eyes?"), " ");
            let question = format!("{asked} Type destroyed, or what happens to it: ");
            let said = self.ask(&question)?;
            let said = said.map_or("not asked".to_owned(), |said| words::printable(&said));
            if said != "destroyed" {
                self.note(&format!("not destroyed in the room: {what} ({said})"))?;
            }
            self.record
                .transcript
                .append(&Event::EscrowDestroyed(EscrowDestroyed { what, said }))?;
        }
        Ok(())
    }
}
