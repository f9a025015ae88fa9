//! Step 5: the import parameters, read once, judged ([`crate::plan::parameters`]), and compared with what the online side wrote down.

use super::{Ceremony, Event, Step, two_sided};
use crate::evidence::transcript::{FileDigest, Imported};
use crate::ground::error::Result;
use crate::ground::words;
use crate::plan::kms::ParameterFile;
use crate::plan::parameters::{Judged, judge, or_later, slips_beside};

impl<'a> Ceremony<'a> {
    /// Step 5, in the plan's order of imports.
    pub(super) fn read_parameters(&mut self) -> Result<Vec<Judged<'a>>> {
        self.begin(Step::Parameters)?;
        let plan = self.plan();
        let mut judged = plan
            .imports()
            .map(|(key, import)| {
                judge(key, import)
                    .map_err(|e| or_later(plan, key, import, e))
                    .map_err(|e| e.doing(format!("{}/{}", key.label, import.name)))
            })
            .collect::<Result<Vec<_>>>()?;
        // before anybody is asked for rows: the paper is taken, not the file
        self.notes(&slips_beside(plan))?;
        two_sided::compare(
            &mut judged,
            self.desk.operator,
            &mut self.ledger.wrong_answers(),
        )?;
        for judged in &judged {
            self.ledger.append(event(judged))?;
        }
        self.ledger.deadline = judged.iter().filter_map(|judged| judged.valid_to).min();
        self.ledger.sync()?;
        Ok(judged)
    }
}

fn event(judged: &Judged) -> Event {
    let Judged { key, import, .. } = judged;
    let token = judged.token.as_ref();
    let digest = |file: &ParameterFile| FileDigest {
        name: file.name.clone(),
        sha256: words::hex(&file.sha256),
    };
    Event::ImportParametersRead(Imported {
        label: key.label.clone(),
        import: import.name.clone(),
        kms_key: (&import.kms_key).into(),
        key_arn_in_parameters: token.map(|token| token.names_key),
        wrapping: import.wrapping.name().into(),
        files: judged.files.iter().map(digest).collect(),
        wrapping_key_spec: judged.wrapping_key.spec().into(),
        wrapping_key_sha256: words::hex(&judged.wrapping_key_sha256()),
        wrapping_key_id: judged.wrapping_key_id.clone(),
        import_token_sha256: token.map(|token| words::hex(&words::sha256(&token.bytes))),
        valid_to: judged.valid_to.map(Into::into),
        two_sided_check: judged.compared.clone(),
    })
}
