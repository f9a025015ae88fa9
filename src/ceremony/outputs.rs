//! Step 11: everything that is carried out of the room.

use super::import_types::proves;
use super::judged::Wrapped;
use super::{Ceremony, Error, Result, Step, screens, transcript, words};
use crate::crypto::escrow::package::{self, Package};
use crate::crypto::wrapping::public;
use crate::evidence::transcript::{HsmOpened, entries};
use crate::hsm::DataKey;
use crate::paper::outputs::azure::{self, VaultScript};
use crate::paper::outputs::transit::{self, TransitScript};
use crate::paper::outputs::{self, Common, ImportScript, ImportType, Run, import_all};
use crate::paper::outputs::{import_type, multi_region};
use crate::paper::report::{self, Report};
use crate::plan::kms::azure::VaultKey;
use crate::plan::kms::transit::{TransitKey, hash_function, key_type};
use crate::plan::kms::{ImportToken, KeyArn, Target};
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
        let Judged { key, import, .. } = &wrapped.judged;
        let folder = wrapped.judged.name();
        self.ledger
            .write(&format!("{folder}/WrappedKeyMaterial.bin"), &wrapped.bytes)?;
        let script = match &wrapped.judged.target {
            Target::Aws { arn, token } => {
                self.ledger
                    .write(&format!("{folder}/{}", outputs::TOKEN), &token.bytes)?;
                let import_type = import_type(self.plan().kind, self.previous(), key, import);
                self.note_import_type(key, import, import_type.as_ref())?;
                self.import_script(wrapped, (arn, token), import_type)
            }
            Target::Transit(into) => {
                let base64 = transit::base64_file(&wrapped.bytes);
                self.ledger
                    .write(&format!("{folder}/{}", transit::FILE), base64.as_bytes())?;
                self.transit_script(wrapped, into, &base64)?
            }
            Target::Azure { key, kid } => self.write_for_vault(wrapped, key, kid)?,
        };
        self.ledger
            .write(&format!("{folder}/import.sh"), script.as_bytes())
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
            label: key.label.clone(),
            import: import.name.clone(),
            kms_key: (&import.kms_key).into(),
            import_type: import_type.map(|told| told.name().into()),
            key_material_id,
            witness_of: proves(kind, key, import).cloned(),
            multi_region: multi_region.map(|is| is.name().into()),
            rotates: key.rotates(kind, import).map(str::to_owned),
            description: import.description.clone(),
        })
    }

    /// What the scripts of KMSs without import token have in common.
    fn common<'c>(&'c self, wrapped: &'c Wrapped, wrapped_sha256: &'c str) -> Common<'c> {
        let Judged { key, import, .. } = wrapped.judged;
        Common {
            ceremony: &self.basis.id,
            rehearsal: self.basis.rehearsal,
            title: &self.plan().title,
            label: &key.label,
            import: &import.name,
            spec: key.spec.name(),
            wrapped_sha256,
            challenge: wrapped.challenge.as_deref(),
        }
    }

    fn transit_script(&self, wrapped: &Wrapped, into: &TransitKey, base64: &str) -> Result<String> {
        let Judged { key, import, .. } = wrapped.judged;
        let key_type = key_type(key.spec).map_err(|refusal| Error::usage(refusal.why))?;
        let sha256 = words::hex(&words::sha256(&wrapped.bytes));
        let script = TransitScript {
            common: self.common(wrapped, &sha256),
            into,
            key_type,
            hash_function: hash_function(import.wrapping),
            base64_sha256: &words::hex(&words::sha256(base64.as_bytes())),
        };
        Ok(script.render())
    }

    /// The `.byok` file for a vault, and the script that imports it.
    fn write_for_vault(&mut self, wrapped: &Wrapped, into: &VaultKey, kek: &str) -> Result<String> {
        let lines = self.ledger.record.transcript.lines_so_far()?;
        let opened = entries::<HsmOpened>(&lines).next();
        let opened = opened.ok_or_else(|| Error::machine("no HSM was opened"))?;
        let file = format!("{}.byok", into.name());
        let content = azure::byok_file(kek, &wrapped.bytes, &opened.token);
        self.ledger.write(
            &format!("{}/{file}", wrapped.judged.name()),
            content.as_bytes(),
        )?;
        let kind = into.kind(wrapped.judged.key.spec);
        let kind = kind.map_err(|refusal| Error::usage(refusal.why))?;
        let sha256 = words::hex(&words::sha256(&wrapped.bytes));
        let script = VaultScript {
            common: self.common(wrapped, &sha256),
            into,
            kind: &kind,
            kek,
            file: &file,
            file_sha256: &words::hex(&words::sha256(content.as_bytes())),
        };
        Ok(script.render())
    }

    fn import_script(
        &self,
        wrapped: &Wrapped,
        (arn, token): (&KeyArn, &ImportToken),
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
            valid_to: token.valid_to,
            expires: import.expires,
            import_type,
            description: import.description.as_deref(),
            multi_region: multi_region(self.plan().kind, key, import),
            rotates: key.rotates(self.plan().kind, import),
        }
        .render()
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
