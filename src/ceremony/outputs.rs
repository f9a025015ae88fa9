//! Step 11: everything that is carried out of the room.

use super::parameters::Judged;
use super::{Ceremony, Result, Step, screens, words};
use crate::escrow::package::{self, Package};
use crate::outputs::{ImportScript, import_all};
use crate::plan::{ImportPlan, KeyPlan};

impl Ceremony<'_> {
    /// Step 11: for each import the wrapped data key, the import token and the script of the online
    /// side, and what explains them.
    pub(super) fn write_outputs(
        &mut self,
        judged: &[Judged],
        wrapped: &[Vec<u8>],
        package: Option<&Package>,
    ) -> Result<()> {
        self.begin(Step::WriteOutputs)?;
        let plan = self.plan;
        for (((key, import), judged), wrapped) in plan.imports().zip(judged).zip(wrapped) {
            let folder = format!("{}/{}", key.label, import.name);
            self.record
                .write(&format!("{folder}/WrappedKeyMaterial.bin"), wrapped)?;
            self.record.write(
                &format!("{folder}/ImportToken.bin"),
                &judged.read.import_token,
            )?;
            let script = self.import_script(key, import, judged, wrapped);
            self.record
                .write(&format!("{folder}/import.sh"), script.as_bytes())?;
        }
        if let Some(package) = package {
            self.record
                .write(package::JSON_FILE, package.to_json().as_bytes())?;
            self.record
                .write(package::TEXT_FILE, package.to_text().as_bytes())?;
        }
        let imports: Vec<_> = plan
            .imports()
            .map(|(key, import)| (key.label.as_str(), import.name.as_str()))
            .collect();
        if !imports.is_empty() {
            let all = import_all(&imports, &self.id, &plan.title, self.rehearsal);
            self.record.write("import.sh", all.as_bytes())?;
        }
        let readme = screens::record_readme(plan, &self.id, self.rehearsal);
        self.record.write("README.txt", readme.as_bytes())?;
        Ok(())
    }

    fn import_script(
        &self,
        key: &KeyPlan,
        import: &ImportPlan,
        judged: &Judged,
        wrapped: &[u8],
    ) -> String {
        let arn = &import.key_arn;
        ImportScript {
            ceremony: &self.id,
            rehearsal: self.rehearsal,
            title: &self.plan.title,
            label: &key.label,
            import: &import.name,
            key_arn: arn.as_str(),
            region: arn.region(),
            account: arn.account(),
            wrapping_algorithm: import.wrapping.name(),
            wrapped_sha256: &words::hex(&words::sha256(wrapped)),
            token_sha256: &words::hex(&words::sha256(&judged.read.import_token)),
            valid_to: judged.valid_to,
            expires: import.expires,
            import_type: None,
            description: None,
        }
        .render()
    }
}
