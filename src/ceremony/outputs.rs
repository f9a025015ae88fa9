//! Step 11: everything that is carried out of the room.

use jiff::Timestamp;

use super::import_types::proves;
use super::judged::Wrapped;
use super::{Ceremony, Error, Result, Step, screens, transcript, words};
use crate::crypto::escrow::package::{self, Package};
use crate::crypto::wrapping::public;
use crate::evidence::transcript::{HsmOpened, entries};
use crate::ground::facts::TokenFacts;
use crate::hsm::DataKey;
use crate::paper::outputs::{self, Common, ImportScript, ImportType, Run, Written, import_all};
use crate::paper::outputs::{import_type, multi_region};
use crate::paper::report::{self, Report};
use crate::plan::kms::{Given, ImportToken, KeyArn, KmsKey};
use crate::plan::parameters::Judged;
use crate::plan::{ImportPlan, KeyPlan, Plan, Role};

impl Ceremony<'_> {
    /// Step 11: for each import the wrapped data key, the import token and the script of the online
    /// side, and what explains them.
    pub(super) fn write_outputs(
        &mut self,
        keys: &[DataKey],
        wrapped: &[Wrapped],
        package: Option<&Package>,
    ) -> Result<()> {
        self.begin(Step::WriteOutputs)?;
        let plan = self.plan();
        for wrapped in wrapped {
            self.write_import(wrapped)?;
        }
        self.write_public_keys(keys)?;
        if let Some(package) = package {
            self.ledger
                .write(package::JSON_FILE, package.to_json().as_bytes())?;
            self.ledger
                .write(package::TEXT_FILE, package.to_text().as_bytes())?;
        }
        let runs = runs(plan);
        if !runs.is_empty() {
            let all = import_all(&runs, &self.basis.id, &plan.title, self.basis.rehearsal);
            self.ledger.write("import.sh", all.as_bytes())?;
        }
        let readme = screens::record_readme(plan, &self.basis.id, self.basis.rehearsal);
        self.ledger.write("README.txt", readme.as_bytes())?;
        self.write_report(package)
    }

    fn write_import(&mut self, wrapped: &Wrapped) -> Result<()> {
        let folder = wrapped.judged.name();
        self.ledger
            .write(&format!("{folder}/WrappedKeyMaterial.bin"), &wrapped.bytes)?;
        for (name, content) in self.beside(wrapped)? {
            self.ledger.write(&format!("{folder}/{name}"), &content)?;
        }
        Ok(())
    }

    /// What its KMS wants with it, and the script that imports it.
    fn beside(&mut self, wrapped: &Wrapped) -> Result<Vec<Written>> {
        let Judged { key, import, .. } = &wrapped.judged;
        let Given {
            token, valid_to, ..
        } = &*wrapped.judged;
        if let (KmsKey::Aws(arn), Some(token), Some(valid_to)) = (&import.kms_key, token, valid_to)
        {
            let import_type = import_type(self.plan().kind, self.previous(), key, import);
            self.note_import_type(key, import, import_type.as_ref())?;
            let script = self.import_script(wrapped, (arn, token, *valid_to), import_type);
            return Ok(vec![
                (outputs::TOKEN.into(), token.bytes.clone()),
                ("import.sh".into(), script.into_bytes()),
            ]);
        }
        let version = self.note_version(key, import)?;
        let lines = self.ledger.record.transcript.lines_so_far()?;
        let opened = entries::<HsmOpened>(&lines).next();
        let opened = opened.ok_or_else(|| Error::machine("no HSM was opened"))?;
        let common = self.common(wrapped, &opened.token, version.as_deref());
        outputs::elsewhere(&common).map_err(|refusal| Error::usage(refusal.why))
    }

    /// Writes the public key of each key pair: it identifies the private key later.
    fn write_public_keys(&mut self, keys: &[DataKey]) -> Result<()> {
        for key in keys {
            let Some(spki) = &key.material.check.public_key else {
                continue;
            };
            self.ledger
                .write(&format!("{}/public-key.der", key.label), spki)?;
            let pem = public::to_pem(spki);
            self.ledger
                .write(&format!("{}/public-key.pem", key.label), pem.as_bytes())?;
        }
        Ok(())
    }

    /// The report, last, because it names every other file.
    fn write_report(&mut self, package: Option<&Package>) -> Result<()> {
        let lines = self.ledger.record.transcript.lines_so_far()?;
        let report = Report {
            plan: self.plan(),
            lines: &lines,
            package,
            previous: self.previous(),
        };
        self.ledger.write(report::FILE, report.render().as_bytes())
    }

    /// Records the import type that the script states: with it a receipt proves more.
    fn note_import_type(
        &mut self,
        key: &KeyPlan,
        import: &ImportPlan,
        import_type: Option<&ImportType>,
    ) -> Result<()> {
        let kind = self.plan().kind;
        let multi_region = multi_region(kind, key, import);
        if import_type.is_none() && multi_region.is_none() && import.description.is_none() {
            return Ok(());
        }
        let key_material_id = match import_type {
            Some(ImportType::ExistingKeyMaterial { key_material_id }) => key_material_id.clone(),
            _ => None,
        };
        self.ledger.append(transcript::ImportTypeTold {
            import_type: import_type.map(|told| told.name().into()),
            key_material_id,
            witness_of: proves(kind, key, import).cloned(),
            multi_region: multi_region.map(|is| is.name().into()),
            rotates: key.rotates(kind, import).map(str::to_owned),
            description: import.description.clone(),
            ..told(key, import)
        })
    }

    /// Records the version of a key elsewhere that took this material before, according to receipts: with it a later
    /// receipt proves more.
    fn note_version(&mut self, key: &KeyPlan, import: &ImportPlan) -> Result<Option<String>> {
        let known = self
            .previous()
            .and_then(|previous| previous.key_material_id(&key.label, import.kms_key.as_str()));
        let Some(version) = known.map(str::to_owned) else {
            return Ok(None);
        };
        self.ledger.append(transcript::ImportTypeTold {
            key_material_id: Some(version.clone()),
            ..told(key, import)
        })?;
        Ok(Some(version))
    }

    /// An import into a KMS without import token.
    fn common<'c>(
        &'c self,
        wrapped: &'c Wrapped,
        hsm: &'c TokenFacts,
        version: Option<&'c str>,
    ) -> Common<'c> {
        let Judged { key, import, .. } = wrapped.judged;
        Common {
            kms_key: &import.kms_key,
            ceremony: &self.basis.id,
            rehearsal: self.basis.rehearsal,
            title: &self.plan().title,
            label: &key.label,
            import: &import.name,
            spec: key.spec,
            wrapping: import.wrapping,
            wrapped: &wrapped.bytes,
            wrapping_key_id: wrapped.judged.wrapping_key_id.as_deref(),
            valid_to: wrapped.judged.valid_to,
            hsm,
            version,
            challenge: wrapped.challenge.as_deref(),
        }
    }

    fn import_script(
        &self,
        wrapped: &Wrapped,
        (arn, token, valid_to): (&KeyArn, &ImportToken, Timestamp),
        import_type: Option<ImportType>,
    ) -> String {
        let Judged { key, import, .. } = wrapped.judged;
        ImportScript {
            ceremony: &self.basis.id,
            rehearsal: self.basis.rehearsal,
            title: &self.plan().title,
            label: &key.label,
            import: &import.name,
            key_arn: arn.as_str(),
            region: arn.region(),
            account: arn.account(),
            wrapping_algorithm: import.wrapping.name(),
            wrapped_sha256: &words::hex(&words::sha256(&wrapped.bytes)),
            token_sha256: &words::hex(&words::sha256(&token.bytes)),
            valid_to,
            expires: import.expires,
            import_type,
            description: import.description.as_deref(),
            multi_region: multi_region(self.plan().kind, key, import),
            rotates: key.rotates(self.plan().kind, import),
        }
        .render()
    }
}

/// What the record says of how an import is made: as yet nothing.
fn told(key: &KeyPlan, import: &ImportPlan) -> transcript::ImportTypeTold {
    transcript::ImportTypeTold {
        label: key.label.clone(),
        import: import.name.clone(),
        kms_key: (&import.kms_key).into(),
        import_type: None,
        key_material_id: None,
        witness_of: None,
        multi_region: None,
        rotates: None,
        description: None,
    }
}

/// Every import in the order in which KMS can take them: replicas after their primary, witnesses last.
fn runs(plan: &Plan) -> Vec<Run<'_>> {
    let mut runs: Vec<(u8, Run)> = Vec::new();
    for (key, import) in plan.imports() {
        let after = match key.role(plan.kind, import) {
            Some(Role::Replica { of }) => Some(of.name.as_str()),
            _ => None,
        };
        let turn = match (&import.witness_of, after) {
            (Some(_), _) => 2,
            (None, Some(_)) => 1,
            (None, None) => 0,
        };
        let run = Run {
            label: &key.label,
            import: &import.name,
            after,
            rotates: key.rotates(plan.kind, import),
        };
        runs.push((turn, run));
    }
    runs.sort_by_key(|(turn, _)| *turn);
    runs.into_iter().map(|(_, run)| run).collect()
}
