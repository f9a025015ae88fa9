//! `kind = "reimport"`: the same data keys again, from the HSM. With `[escrow]` and no import it deals
//! new shares.

use super::{Approved, Ceremony, Error, Event, Operator, Result, Sealed, Step, screens, words};
use crate::hsm::{DataKey, Found};
use crate::plan::{Keep, KeyPlan};
use crate::previous::{HSM_FACTS, KnownKey, Previous};
use crate::transcript::{BroughtBack, HsmChange};

/// Runs the ceremony. Nothing is made in the HSM but session objects.
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
    let parameters = ceremony.read_parameters()?; // 5
    ceremony.same_kms_keys()?;
    let preflight = ceremony.preflight(&parameters)?; // 6
    let mut keys = ceremony.find()?; // 7
    let wrapped = ceremony.wrap(&keys, &parameters, preflight)?; // 8
    let handed_out = ceremony.escrow(&mut keys)?; // 9
    let package = ceremony.prove_escrow(handed_out, &mut keys)?; // 10
    ceremony.write_outputs(&parameters, &wrapped, package.as_ref())?; // 11
    ceremony.seal() // 12
}

/// What a data key must turn out to be, and who says so.
pub(super) struct Expected {
    pub fingerprint: words::Digest,
    pub kcv: Option<String>,
    /// Length in bytes.
    pub bytes: usize,
}

impl Ceremony<'_> {
    /// Step 7. The fingerprint decides; label and CKA_ID only say where to look first.
    fn find(&mut self) -> Result<Vec<DataKey>> {
        self.begin(Step::Generate)?;
        let plan = self.plan;
        let mut keys = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            let expected = self.expected(key)?;
            let found = self
                .find_one(key, &expected)
                .map_err(|e| e.doing(format!("finding the data key {:?}", key.label)))?;
            self.same_material(key, &found, "key-found")?;
            keys.push(found);
        }
        Ok(keys)
    }

    fn find_one(&mut self, key: &KeyPlan, expected: &Expected) -> Result<DataKey> {
        let found = self.find_right(key, expected)?;
        self.usable(key, found)
    }

    /// The object that has the right fingerprint. Others of that label are named and left alone.
    pub(super) fn find_right(&mut self, key: &KeyPlan, expected: &Expected) -> Result<Found> {
        let found = self
            .hsm_mut()?
            .find_secret_keys(&key.label, expected.bytes)?;
        let others: Vec<String> = found
            .iter()
            .filter(|key| !key.is(&expected.fingerprint))
            .map(described)
            .collect();
        let count = found.len();
        match found.into_iter().find(|key| key.is(&expected.fingerprint)) {
            Some(right) => {
                for other in others {
                    self.note(&format!(
                        "another object is labelled {:?} too ({other}); it was not touched",
                        key.label
                    ))?;
                }
                Ok(right)
            }
            None if count == 0 => Err(Error::hsm("the token holds no secret key of that label").hint(
                "is this the right token? With the HSM lost, a recover brings the data key back from a quorum",
            )),
            None => Err(not_the_same(key, expected, &others)),
        }
    }

    fn usable(&mut self, key: &KeyPlan, found: Found) -> Result<DataKey> {
        if !found.extractable {
            return Err(Error::hsm(
                "it is sealed in the HSM (CKA_EXTRACTABLE is FALSE): it cannot be wrapped",
            )
            .hint(
                "kind = \"recover\" brings it back from a quorum of shares and the escrow package",
            ));
        }
        if let Some(deviations) = &found.deviations {
            self.note(&format!(
                "the data key {:?} is not as it was made: {deviations}",
                key.label
            ))?;
        }
        found
            .into_data_key(&key.label)
            .ok_or_else(|| Error::hsm("its check values cannot be computed"))
    }

    /// What the plan or the previous record says of a data key.
    pub(super) fn expected(&self, key: &KeyPlan) -> Result<Expected> {
        let known = self
            .previous
            .as_ref()
            .map(|previous| known(previous, key))
            .transpose()?;
        match (known, key.fingerprint) {
            (Some(known), Some(fingerprint)) if known.fingerprint != fingerprint => {
                Err(Error::mismatch(format!(
                    "[[key]] {:?}: the fingerprint in the plan is not the previous record's",
                    key.label
                ))
                .check("SAME-MATERIAL")
                .hint("take one of the two out of the plan, once it is clear which is right"))
            }
            (Some(known), _) => Ok(Expected {
                fingerprint: known.fingerprint,
                kcv: Some(known.kcv.clone()),
                bytes: known.bytes.unwrap_or(key.spec.bytes()),
            }),
            (None, Some(fingerprint)) => Ok(Expected {
                fingerprint,
                kcv: None,
                bytes: key.spec.bytes(),
            }),
            (None, None) => Err(Error::usage(format!(
                "[[key]] {:?}: nothing says what it must be",
                key.label
            ))),
        }
    }

    /// Records a data key that is what it should be.
    pub(super) fn same_material(
        &mut self,
        key: &KeyPlan,
        data_key: &DataKey,
        event: &str,
    ) -> Result<()> {
        let brought = BroughtBack {
            label: key.label.clone(),
            spec: key.spec.name(),
            bytes: data_key.material.len(),
            cka_id: data_key.id.to_string(),
            kcv: data_key.material.check.kcv.clone(),
            fingerprint: words::hex(&data_key.material.check.fingerprint),
            attributes: data_key.material.attributes.clone(),
        };
        let what = if self.anchor.starts_with("none") {
            "what the previous record tells, for which nothing vouches"
        } else {
            "the same material"
        };
        self.operator.say(&format!(
            "      {}  {what}, KCV {}\n",
            key.label, brought.kcv
        ));
        let same = Event::SameMaterial {
            label: key.label.clone(),
            fingerprint: brought.fingerprint.clone(),
            previous_head: self
                .previous
                .as_ref()
                .map(|previous| words::hex(&previous.head)),
            anchor: self.anchor.clone(),
        };
        let brought = if event == "key-found" {
            Event::KeyFound(brought)
        } else {
            Event::KeyRecovered(brought)
        };
        self.record.transcript.append(&brought)?;
        self.record.transcript.append(&same)
    }

    /// Material never goes into another KMS key than before by mistake.
    pub(super) fn same_kms_keys(&mut self) -> Result<()> {
        let plan = self.plan;
        let Some(previous) = &self.previous else {
            return Ok(());
        };
        let mut notes = Vec::new();
        for (key, import) in plan.imports() {
            let known = known(previous, key)?;
            let arn = &import.key_arn;
            if known.key_arns.is_empty() {
                notes.push(format!(
                    "{}/{}: the previous record wrapped for no KMS key, so nothing says that this is the one",
                    key.label, import.name
                ));
                continue;
            }
            let is_known = known
                .key_arns
                .iter()
                .any(|known| known == arn.as_str() || arn.is_replica_of(known));
            match (is_known, &import.other_kms_key) {
                (true, _) => {}
                (false, Some(reason)) => {
                    notes.push(format!(
                        "{}/{} goes into another KMS key than before: {reason}",
                        key.label, import.name
                    ));
                }
                (false, None) => {
                    return Err(Error::mismatch(format!(
                        "{}/{}: {} is not the KMS key of the previous record ({})",
                        key.label,
                        import.name,
                        arn.as_str(),
                        known.key_arns.join(", ")
                    ))
                    .check("KMS-KEY-MATCH")
                    .hint("the same material in another KMS key opens nothing that the first one encrypted")
                    .hint("if it is meant, say why in the plan: other_kms_key = \"reason\""));
                }
            }
        }
        notes.iter().try_for_each(|note| self.note(note))
    }
}

impl Ceremony<'_> {
    /// Another HSM, firmware or module than the previous record's is shown and recorded, and no reason to
    /// stop: the fingerprint decides whether it holds the data key.
    pub(super) fn tell_hsm_changes(&mut self) -> Result<()> {
        let (Some(previous), Some(module)) = (&self.previous, &self.module) else {
            return Ok(());
        };
        let (token, module) = (self.hsm()?.token(), module.description());
        let [manufacturer, model, serial, firmware, digest] = HSM_FACTS;
        let now = [
            (manufacturer, &token.manufacturer),
            (model, &token.model),
            (serial, &token.serial),
            (firmware, &token.firmware),
            (digest, &module.module_sha256),
        ];
        let changed = |(what, before): &(&'static str, String)| {
            let (_, now) = now.iter().find(|(fact, _)| fact == what)?;
            (*now != before).then(|| HsmChange {
                what,
                before: before.clone(),
                now: (*now).clone(),
            })
        };
        let changes: Vec<HsmChange> = previous.hsm.iter().filter_map(changed).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let mut told =
            String::from(" The HSM is not as in the previous record; the fingerprint decides:\n");
        for change in &changes {
            let text = format!(
                "{} {:?} before, {:?} now",
                change.what, change.before, change.now
            );
            told += &screens::fold(&text, "   ");
        }
        self.operator.say(&told);
        self.record
            .transcript
            .append(&Event::HsmChanged { changes })
    }
}

/// The previous record's word on a data key of the plan.
pub(super) fn known<'a>(previous: &'a Previous, key: &KeyPlan) -> Result<&'a KnownKey> {
    let known = previous.key(&key.label).ok_or_else(|| {
        Error::usage(format!(
            "the previous record has no data key {:?}",
            key.label
        ))
        .hint("label and spec must be those of the record that `previous` names")
    })?;
    if known.spec != key.spec.name() {
        return Err(Error::usage(format!(
            "[[key]] {:?}: spec {} in the plan, {} in the previous record",
            key.label,
            key.spec.name(),
            known.spec
        )));
    }
    match known.keep {
        Some(keep) if keep != key.keep => Err(Error::usage(format!(
            "[[key]] {:?}: keep = {:?} in the plan, {:?} in the previous record",
            key.label,
            key.keep.name(),
            keep.name()
        ))
        .hint("a ceremony that brings a data key back does not change how it is kept")),
        _ => Ok(known),
    }
}

pub(super) fn not_the_same(key: &KeyPlan, expected: &Expected, found: &[String]) -> Error {
    let kcv = expected
        .kcv
        .as_ref()
        .map(|kcv| format!("KCV {kcv}, "))
        .unwrap_or_default();
    Error::mismatch(format!(
        "this is not the data key {:?}: it must be {kcv}fingerprint {}; there is {}",
        key.label,
        words::hex(&expected.fingerprint),
        found.join("; ")
    ))
    .check("SAME-MATERIAL")
    .hint("STOP: another key stands in its place. Nothing was wrapped, nothing was touched")
}

/// A key of the token as people can tell it from others.
pub(super) fn described(found: &Found) -> String {
    let check = found.check().map(|check| {
        format!(
            "KCV {}, fingerprint {}",
            check.kcv,
            words::hex(&check.fingerprint)
        )
    });
    let check = check.unwrap_or("its check values cannot be computed".into());
    format!("CKA_ID {}: {check}", found.id)
}

/// A ceremony that brings keys back must not change how they are kept.
pub(super) fn is_kept(keep: Keep) -> bool {
    keep != Keep::None
}
