//! `kind = "destroy"`: the end of a data key's life, on record. What is destroyed is proved to be the
//! data key first, and proved to be gone afterwards.

use super::reimport::{Expected, find_right};
use super::{
    Approved, Ceremony, Error, Event, Hsm, KeyId, Operator, Result, Sealed, Step, Vault, screens,
    words,
};
use crate::evidence::previous::{Outside, Previous, outside};
use crate::evidence::record;
use crate::evidence::transcript::{Destroyed, EscrowDestroyed, Torn, entries};
use crate::hsm::under_way;
use crate::plan::Kind;
use crate::plan::{Keep, KeyPlan, Plan, meaning};

/// Runs the ceremony. What was destroyed before a failure stays destroyed, and the record says so.
///
/// # Errors
/// Whatever step refuses, with the state and what to do.
pub(crate) fn run(approved: &Approved, operator: &mut dyn Operator) -> Result<Sealed> {
    Ceremony::walk(approved, operator, line)
}

/// From step 7 on: the steps before are every ceremony's ([`Ceremony::walk`]).
fn line(ceremony: &mut Ceremony, vault: &mut Vault) -> Result<Sealed> {
    ceremony.destroy_keys(vault)?; // 7
    ceremony.tick_off_escrow(vault)?; // 9
    ceremony.write_outputs(&[], &[], None)?; // 11
    ceremony.seal(vault) // 12
}

impl Ceremony<'_> {
    /// Step 7. Every data key is found and proved before the first one is destroyed.
    fn destroy_keys(&mut self, vault: &mut Vault) -> Result<()> {
        self.begin_at_hsm(vault, Step::Generate)?;
        let plan = self.plan();
        let (mut proved, mut ended) = (Vec::new(), Vec::new());
        for key in plan.keys.iter().filter(|key| key.keep != Keep::None) {
            let expected = self.expected(key)?;
            let _serving = under_way::serving(&key.label);
            let doing = |e: Error| e.doing(format!("finding the data key {:?}", key.label));
            let (found, notes) = match find_right(&mut vault.hsm, key, &expected) {
                Ok(found) => found,
                Err(error) => {
                    let gone = self
                        .destroyed_before(vault, key, &expected)
                        .map_err(doing)?;
                    ended.push((key, gone.ok_or_else(|| doing(error))?));
                    continue;
                }
            };
            self.notes(&notes)?;
            let id = KeyId::any_from_hex(&found.id);
            let label = found.label.clone();
            let alone = |id: &KeyId| vault.hsm.is_alone(&label, *id, expected.spec);
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
            self.same_material(key, &expected, &data_key, Event::KeyFound)?;
            proved.push((key, label, id));
        }
        self.ledger.sync()?;
        if !proved.is_empty() {
            self.asked_once_more(proved.len())?;
        }
        ended
            .into_iter()
            .try_for_each(|(key, gone)| self.record_earlier(key, &gone))?;
        proved
            .into_iter()
            .try_for_each(|(key, label, id)| self.destroy_key(vault, key, &label, id))
    }

    /// Asks once more between the proof and the destruction: what people compare was shown a moment ago. An unattended
    /// run asks nobody.
    fn asked_once_more(&mut self, count: usize) -> Result<()> {
        let what = match count {
            1 => "the data key".to_owned(),
            n => format!("the {n} data keys"),
        };
        self.keys_in_pages()?;
        let told = format!(
            "Compare what is shown with the paper. {} Nothing has been destroyed yet, and nothing can bring {what} back.",
            meaning::LAST_WAY_BACK
        );
        let question = screens::fold(&told, " ")
            + &format!(" Type {DESTROY} to destroy {what}, or no to end the ceremony: ");
        loop {
            match self.ask(&question)?.as_deref() {
                None | Some(DESTROY) => return Ok(()),
                Some(no) if no.eq_ignore_ascii_case("no") => {
                    return Err(Error::declined(format!("{what} is not to be destroyed"))
                        .state("nothing was destroyed; what was in the HSM is untouched"));
                }
                Some(_) => {
                    let told = format!(
                        " Not understood. Type {DESTROY}, in capitals, to destroy, no to end the ceremony.\n"
                    );
                    self.desk.say(&told);
                }
            }
        }
    }

    /// `label`: the label in the HSM; a key that byok did not make keeps its own.
    fn destroy_key(
        &mut self,
        vault: &mut Vault,
        key: &KeyPlan,
        label: &str,
        id: KeyId,
    ) -> Result<()> {
        let _serving = under_way::serving(&key.label);
        let objects = vault.hsm.destroy_named(label, id).map_err(|e| {
            e.doing(format!("destroying the data key {:?}", key.label))
                .state(format!("the data key {:?} may be destroyed", key.label))
        })?;
        // said if the ceremony fails after this
        vault.taken_away.push(format!(
            "the data key {:?} was destroyed, and nothing can undo that; the next run of this plan records it",
            key.label
        ));
        self.desk.say(&format!(
            "      {}  destroyed, and no longer found\n",
            key.label
        ));
        self.record_end(key, id, objects)
    }

    fn record_end(&mut self, key: &KeyPlan, id: KeyId, objects: usize) -> Result<()> {
        self.ledger.append(Destroyed {
            label: key.label.clone(),
            cka_id: id.to_string(),
            objects,
            why: self.plan().reason.clone().unwrap_or_default(),
        })?;
        self.ledger.sync()
    }

    fn destroyed_before(
        &mut self,
        vault: &mut Vault,
        key: &KeyPlan,
        expected: &Expected,
    ) -> Result<Option<Gone>> {
        let (plan, previous) = (self.plan(), self.previous());
        destroyed_before(plan, previous, &mut vault.hsm, key, expected)
    }

    /// Records the end of a data key in an earlier attempt, whose own record was never sealed.
    fn record_earlier(&mut self, key: &KeyPlan, gone: &Gone) -> Result<()> {
        self.note(&gone.told)?;
        self.record_end(key, gone.id, 0)
    }

    /// Step 9: a data key lives on in its shares and packages until they are gone too.
    fn tick_off_escrow(&mut self, vault: &Vault) -> Result<()> {
        self.begin_at_hsm(vault, Step::Escrow)?;
        for Outside { what, ceremony } in outside(self.plan(), self.previous()) {
            let asked = screens::fold(&format!("Was {what} destroyed in front of you?"), " ");
            let question = format!("{asked} Type destroyed, or what happens to it: ");
            let said = self.what_happens_to_it(&question)?;
            let ticked = EscrowDestroyed {
                what,
                said,
                ceremony,
            };
            if !ticked.is_destroyed() {
                let EscrowDestroyed { what, said, .. } = &ticked;
                self.note(&format!("not destroyed in the room: {what} ({said})"))?;
            }
            self.ledger.append(ticked)?;
        }
        Ok(())
    }

    /// `destroyed`, or what happens to it instead. A mistyped `destroyed` is not taken for such a description.
    fn what_happens_to_it(&mut self, question: &str) -> Result<String> {
        loop {
            let Some(said) = self.ask(question)? else {
                return Ok("not asked".to_owned());
            };
            let said = words::printable(&said);
            if said.eq_ignore_ascii_case(EscrowDestroyed::DESTROYED) {
                return Ok(EscrowDestroyed::DESTROYED.to_owned());
            }
            if said.contains(' ') {
                return Ok(said);
            }
            self.desk.say(
                " Not understood. Type destroyed; or say in a few words what happens to it.\n",
            );
        }
    }
}

/// What is typed before the first data key is destroyed.
const DESTROY: &str = "DESTROY";

/// A data key that an earlier attempt of this ceremony proved, and that the HSM no longer holds.
pub(crate) struct Gone {
    id: KeyId,
    /// What became of it, as far as is known.
    pub told: String,
}

/// A failed ceremony cannot bring back what it destroyed, so the next run of the same plan records that end. What an
/// earlier attempt says counts only if the HSM agrees: it must hold nothing with that CKA_ID.
///
/// # Errors
/// Exit 3 if the search fails.
pub(crate) fn destroyed_before(
    plan: &Plan,
    previous: Option<&Previous>,
    hsm: &mut Hsm,
    key: &KeyPlan,
    expected: &Expected,
) -> Result<Option<Gone>> {
    let head = previous.map(|previous| words::hex(&previous.head));
    for (name, attempt) in record::attempts(&plan.directory) {
        let found = proved_in(&attempt, head.as_deref().unwrap_or_default(), key, expected);
        if let Some(id) = found
            && hsm.find_keys_by_id(id, expected.spec)?.is_empty()
        {
            let hex = id.to_string();
            let mut destroyed = entries::<Destroyed>(&attempt.lines);
            let how = match destroyed.find(|gone| gone.cka_id == hex) {
                Some(_) => "destroyed it",
                None => "was to destroy it, and ended before it could record that",
            };
            let label = &key.label;
            let told = format!(
                "the HSM no longer holds the data key {label:?}: an earlier attempt, whose record is {name}, {how}"
            );
            return Ok(Some(Gone { id, told }));
        }
    }
    Ok(None)
}

/// The CKA_ID of the data key, if this was an attempt to destroy the same key and found it.
fn proved_in(attempt: &Torn, head: &str, key: &KeyPlan, expected: &Expected) -> Option<KeyId> {
    let opened = attempt.opened()?;
    if opened.kind.known() != Some(Kind::Destroy) || opened.previous_head.as_deref() != Some(head) {
        return None;
    }
    let fingerprint = expected.fingerprint.to_string();
    let mut found = attempt.lines.iter().filter_map(|line| match &line.event {
        Event::KeyFound(found) => Some(found),
        _ => None,
    });
    let found = found.find(|found| found.label == key.label && found.fingerprint == fingerprint)?;
    let id = KeyId::any_from_hex(&found.cka_id)?;
    (!id.is_empty() && expected.id.is_none_or(|known| known == id)).then_some(id)
}
