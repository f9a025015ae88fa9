//! What a practised ceremony claims, proved from outside it: by the record's own rules, in the stand-in
//! KMS, in the soft HSM.

use super::super::{made_of, not_proved, shortened, tell, tell_imports, tell_tampering};
use super::{Practice, token_of};
use crate::evidence::previous::Previous;
use crate::evidence::record::Sealed;
use crate::evidence::transcript::EscrowProved;
use crate::evidence::verify::{self, Verified};
use crate::ground::error::Result;
use crate::hsm::Module;
use crate::plan::{Deliver, Kind, Plan};
use crate::rehearsal::StandInKms;

impl Practice<'_> {
    /// Tells about the ceremony, each line after it was proved.
    pub(super) fn prove(
        &mut self,
        plan: &Plan,
        sealed: &Sealed,
        previous: Option<&Previous>,
        kms: &mut StandInKms,
    ) -> Result<()> {
        let verified = verify::verify(&sealed.directory, None).map_err(not_proved)?;
        verify::follow(&sealed.directory, &verified, &[])?;
        if !verified.is_rehearsal() {
            return Err(not_proved(
                "the record does not say that it is from a rehearsal",
            ));
        }
        tell_keys(plan, &verified, previous)?;
        tell_imports(plan, &sealed.directory, &verified, kms)?;
        tell_escrow(plan, &verified)?;
        if plan.kind == Kind::Destroy {
            self.tell_absence(plan)?;
        }
        tell_tampering(&sealed.directory)?;
        crate::cli::verbs::print(&format!(
            "look at   {}\n          byok verify says what it proves\n",
            shortened(&sealed.directory).display()
        ))
    }

    /// Looks again, in the token itself.
    fn tell_absence(&mut self, plan: &Plan) -> Result<()> {
        let module = Module::load(self.module)?;
        let hsm = self.open(&module, token_of(plan.kind))?;
        for key in &plan.keys {
            if !hsm.labelled(&key.label)?.is_empty() {
                return Err(not_proved(format!("the token still holds {:?}", key.label)));
            }
            tell(
                "gone",
                &format!("{}: no longer in the soft HSM", key.label),
                "proved",
            )?;
        }
        Ok(())
    }
}

/// The data keys: made, or exactly those that the stand-in record names.
fn tell_keys(plan: &Plan, verified: &Verified, previous: Option<&Previous>) -> Result<()> {
    let (what, how) = match plan.kind {
        Kind::Generate => ("made", "inside a soft HSM"),
        Kind::Reimport => ("found", "the same data key as before"),
        Kind::Recover => ("recovered", "the same data key as before"),
        Kind::Destroy => ("destroyed", "the same data key as before"),
    };
    for key in verified.report().keys {
        let known = previous.and_then(|previous| previous.key(&key.label));
        if known.is_some_and(|known| known.fingerprint.to_string() != key.fingerprint) {
            return Err(not_proved(format!(
                "{:?} is not the data key that it was before",
                key.label
            )));
        }
        let made_of = made_of(plan, &key.label);
        let text = match plan.kind {
            Kind::Generate => format!("{}: {made_of} {how}", key.label),
            _ => format!("{}: {}, {how}", key.label, made_of.replace(" random", "")),
        };
        tell(what, &text, &key.glance())?;
    }
    Ok(())
}

fn tell_escrow(plan: &Plan, verified: &Verified) -> Result<()> {
    let Some(escrow) = &plan.escrow else {
        return Ok(());
    };
    if verified.chain.events::<EscrowProved>().next().is_none() {
        return Err(not_proved(
            "the record does not say that its escrow was proved",
        ));
    }
    let how = match escrow.deliver {
        Deliver::Screen => "typed back, joined",
        Deliver::Files(_) => "in files, read back, joined",
    };
    let told = format!("{} open it; {how}", escrow.policy.title());
    tell("escrowed", &told, "proved")
}
