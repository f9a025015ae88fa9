//! `kind = "generate"`: data keys that are new to byok, wrapped for KMS: made in the HSM, or there before. The
//! straight line, top to bottom.

use base64ct::{Base64, Encoding as _};

use super::judged::{Proved, Wrapped};
use super::preflight::Preflight;
use super::{
    Approved, Ceremony, Error, Event, KeyId, Operator, Result, Sealed, Step, Vault, screens,
    transcript, words,
};
use crate::crypto::wrapping;
use crate::evidence::transcript::{DataKeyFacts, KeyIntended};
use crate::hsm::{DataKey, Life, Material, Transport, under_way};
use crate::plan::parameters::Judged;
use crate::plan::{Keep, KeyPlan, Source, meaning};

/// Runs the ceremony. On failure nothing that it made is left in the HSM, or the error says what is.
///
/// # Errors
/// Whatever step refuses, with the state and what to do.
pub(crate) fn run(approved: &Approved, operator: &mut dyn Operator) -> Result<Sealed> {
    Ceremony::walk(approved, operator, line)
}

/// From step 5 on: the steps before are every ceremony's ([`Ceremony::walk`]).
fn line(ceremony: &mut Ceremony, vault: &mut Vault) -> Result<Sealed> {
    let parameters = ceremony.read_parameters()?; // 5
    let preflight = ceremony.preflight(vault, parameters)?; // 6
    let mut keys = ceremony.generate(vault, &preflight)?; // 7
    let wrapped = ceremony.wrap(vault, &keys, preflight)?; // 8
    let handed_out = ceremony.escrow(vault, &mut keys)?; // 9
    let package = ceremony.prove_escrow(vault, handed_out, &mut keys)?; // 10
    ceremony.write_outputs(&keys, &wrapped, package.as_ref())?; // 11
    ceremony.seal(vault) // 12
}

impl<'a> Ceremony<'a> {
    /// Step 7. Every label and CKA_ID is on disk before the HSM makes the first key. The preflight is
    /// the proof that wrapping works; without one no data key is made.
    fn generate(&mut self, vault: &mut Vault, _proof: &Preflight) -> Result<Vec<DataKey>> {
        self.begin_at_hsm(vault, Step::Generate)?;
        let plan = self.plan();
        let mut intended = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            if !key.source.makes_an_object() {
                intended.push((key, None));
                continue;
            }
            let id = KeyId::random()?;
            self.ledger.append(KeyIntended {
                label: key.label.clone(),
                spec: key.spec.name().into(),
                cka_id: id.to_string(),
            })?;
            intended.push((key, Some(id)));
        }
        self.ledger.sync()?;
        let mut made = Vec::with_capacity(intended.len());
        for (key, id) in intended {
            self.progress("made", made.len(), plan.keys.len())?;
            let _serving = under_way::serving(&key.label);
            let Some(id) = id else {
                made.push(self.take_from_token(vault, key)?);
                continue;
            };
            vault.made.push((key.label.clone(), id));
            made.push(match &key.source {
                Source::File(_) => self.bring_in_file(vault, key, id, life(key.keep))?,
                Source::Hsm | Source::Token(_) => self.make_one(vault, key, id)?,
            });
        }
        self.progressed("made", made.len());
        self.pause_to_compare("Write the KCV of each data key on the paper")?;
        Ok(made)
    }

    fn make_one(&mut self, vault: &Vault, key: &KeyPlan, id: KeyId) -> Result<DataKey> {
        let data_key = vault
            .hsm
            .generate(&key.label, id, key.spec, life(key.keep))
            .map_err(|e| e.doing(format!("generating the data key {:?}", key.label)))?;
        self.is_the_only_one(vault, &key.label, id)?;
        self.ledger.append(Event::KeyGenerated(facts(&data_key)))?;
        self.tell_key(&format!(
            "{}  {}, {}  {}",
            key.label,
            key.spec.name(),
            key.spec,
            data_key.material.check.glance()
        ));
        Ok(data_key)
    }

    /// The label was free. Somebody at another computer with the same HSM may have used it since: of two runs
    /// that look, at least the later one sees both keys.
    ///
    /// # Errors
    /// Exit 3 if the token does not hold exactly what this run made.
    pub(super) fn is_the_only_one(&self, vault: &Vault, label: &str, id: KeyId) -> Result<()> {
        let found = vault.hsm.labelled(label)?;
        let others: Vec<&str> = found.iter().map(|object| object.id.as_str()).collect();
        match others == [id.to_string()] {
            true => Ok(()),
            false => Err(not_the_only_one(label, &others)),
        }
    }

    /// Step 8, in the plan's order of imports. The results are held in memory until step 11.
    pub(super) fn wrap(
        &mut self,
        vault: &Vault,
        keys: &[DataKey],
        preflight: Preflight<'a>,
    ) -> Result<Vec<Wrapped<'a>>> {
        self.begin_at_hsm(vault, Step::Wrap)?;
        let count = preflight.imports.len();
        let mut wrapped = Vec::with_capacity(count);
        for proved in preflight.imports {
            self.progress("wrapped", wrapped.len(), count)?;
            let label = &proved.judged.key.label;
            let _serving = under_way::serving(label);
            let row = of_label(keys, label)
                .and_then(|key| self.wrap_one(vault, key, proved, preflight.transport.as_ref()))?;
            wrapped.push(row);
        }
        if let Some(transport) = preflight.transport {
            vault.hsm.end_transport(transport)?;
        }
        self.progressed("wrapped", wrapped.len());
        Ok(wrapped)
    }

    fn wrap_one(
        &mut self,
        vault: &Vault,
        key: &DataKey,
        proved: Proved<'a>,
        transport: Option<&Transport>,
    ) -> Result<Wrapped<'a>> {
        let Judged { import, .. } = &proved.judged;
        let under = &proved.judged.wrapping_key;
        let hsm = &vault.hsm;
        let bytes = match (&proved.wrapping_key, transport) {
            (Some((wrapping_key, way)), _) => {
                hsm.wrap(wrapping_key, import.wrapping, *way, &key.material)
            }
            (None, Some(transport)) => hsm.take_out(transport, &key.material).and_then(|bytes| {
                same_bytes(&key.material, &bytes)?;
                wrapping::wrap(import.wrapping, under, &bytes)
            }),
            (None, None) => Err(Error::hsm("preflight proved no way to wrap")),
        };
        let (label, name) = (&key.label, &import.name);
        let bytes =
            bytes.map_err(|e| e.doing(format!("wrapping the data key {label:?} for {name:?}")))?;
        let judged = proved.judged;
        let mut wrapped = Wrapped {
            judged,
            bytes,
            challenge: None,
        };
        self.ledger.append(wrapped.event())?;
        wrapped.challenge = self.challenge(vault, key, &wrapped.judged)?;
        Ok(wrapped)
    }

    /// Made while the HSM still has the data key; the record keeps the question, and only a digest of the answer.
    fn challenge(
        &mut self,
        vault: &Vault,
        key: &DataKey,
        judged: &Judged,
    ) -> Result<Option<Vec<u8>>> {
        let kms_key = &judged.import.kms_key;
        if !(kms_key.proves_by_decrypting)(key.material.spec) {
            return Ok(None);
        }
        let name = judged.name();
        let Some((ciphertext, answer)) = vault.hsm.challenge(&key.material)? else {
            self.desk.say(&format!(
                "      {name}: no challenge: this HSM does not do AES-GCM\n"
            ));
            return Ok(None);
        };
        self.ledger.append(transcript::ChallengeMade {
            label: key.label.clone(),
            import: judged.import.name.clone(),
            ciphertext: Base64::encode_string(&ciphertext),
            answer_sha256: words::hex(&answer),
        })?;
        Ok(Some(ciphertext))
    }

    /// Shows a line for a data key, if there are few enough that somebody reads them.
    pub(super) fn tell_key(&mut self, told: &str) {
        if self.plan().keys.len() < meaning::COUNTED {
            let told = screens::fold(told, "      ");
            self.desk.say(&told);
            self.desk.told_keys.push(told);
        }
    }

    /// What people write down or compare stays on the screen until they have done so. If there are so many keys
    /// that the steps only count them, the report names each.
    pub(super) fn pause_to_compare(&mut self, what: &str) -> Result<()> {
        if self.plan().keys.len() < meaning::COUNTED {
            self.keys_in_pages()?;
            let told = format!("{what} (if it has none, the first 8 digits of the fingerprint).");
            let question = screens::fold(&told, " ") + " Press Enter when that is done: ";
            self.ask(&question)?;
        }
        Ok(())
    }

    /// Shows them once more if they have scrolled off the screen.
    pub(super) fn keys_in_pages(&mut self) -> Result<()> {
        const SEEN: usize = 12;
        let told = std::mem::take(&mut self.desk.told_keys);
        match told.len() {
            0..=SEEN => Ok(()),
            _ => self.show_in_pages(&told.concat()),
        }
    }

    /// Shows how far long work is; it can be ended between keys.
    fn progress(&mut self, what: &str, done: usize, of: usize) -> Result<()> {
        self.desk.go_on()?;
        if of >= meaning::COUNTED && done > 0 && done.is_multiple_of(25) {
            self.desk.say(&format!("      {done} of {of} {what}\n"));
        }
        Ok(())
    }

    /// Shows that long work is done.
    fn progressed(&mut self, what: &str, all: usize) {
        if all >= meaning::COUNTED {
            self.desk.say(&format!("      all {all} {what}\n"));
        }
    }
}

pub(super) fn not_the_only_one(label: &str, found: &[&str]) -> Error {
    let error = Error::hsm(format!(
        "C_FindObjects finds {} objects labelled {label:?} instead of the one that this run has just made",
        found.len()
    ))
    .check("LABEL-ALONE");
    let error = found
        .iter()
        .fold(error, |e, id| e.hint(format!("there is CKA_ID {id}")));
    error
        .hint("is another ceremony running on this HSM, at another computer? Let only one run, then run again")
}

fn life(keep: Keep) -> Life {
    match keep {
        Keep::Extractable => Life::Token,
        Keep::Sealed => Life::TokenUntilSealed,
        Keep::None => Life::Session,
    }
}

/// The data key of this label, which step 7 made or found.
fn of_label<'k>(keys: &'k [DataKey], label: &str) -> Result<&'k DataKey> {
    let mut keys = keys.iter();
    keys.find(|key| key.label == label)
        .ok_or_else(|| Error::hsm(format!("there is no data key {label:?}")))
}

/// What came out is the whole data key: KMS would notice only some mistakes.
fn same_bytes(material: &Material, bytes: &[u8]) -> Result<()> {
    match wrapping::check_values(material.spec, bytes)? == material.check {
        true => Ok(()),
        false => {
            Err(Error::hsm("C_WrapKey brought out other bytes than the HSM holds").check("CONTROL"))
        }
    }
}

/// What the transcript says about a data key.
pub(super) fn facts(key: &DataKey) -> DataKeyFacts {
    let spec = key.material.spec;
    DataKeyFacts {
        label: key.label.clone(),
        spec: spec.name().into(),
        bytes: spec.secret_len(),
        bits: spec.bits(),
        cka_id: key.id.to_string(),
        kcv: key.material.check.kcv.clone(),
        fingerprint: key.material.check.fingerprint.to_string(),
        attributes: key.material.attributes.clone(),
        source: None,
        label_in_hsm: None,
    }
}

impl Wrapped<'_> {
    fn event(&self) -> Event {
        let Judged { key, import, .. } = self.judged;
        Event::KeyWrapped(transcript::Wrapped {
            label: key.label.clone(),
            import: import.name.clone(),
            kms_key: (&import.kms_key).into(),
            wrapping: import.wrapping.name().into(),
            wrapped_in: import.wrap_in.into(),
            wrapping_key_sha256: words::hex(&self.judged.wrapping_key_sha256()),
            path: format!("{}/WrappedKeyMaterial.bin", self.judged.name()),
            sha256: words::hex(&words::sha256(&self.bytes)),
            bytes: self.bytes.len(),
        })
    }
}
