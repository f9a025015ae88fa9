//! The HSM, the machine, and who signs the transcript.

use super::{Script, html};
use crate::crypto::sshsig::fingerprint;
use crate::paper::html::Html;
use crate::paper::template::facts;
use crate::plan::{Network, PinSource, SignerPlan, meaning};

facts! {
    /// HSM and machine.
    HsmFacts {
        token: Html,
        hardware: Html,
        network: Html,
        no_network: bool,
        pin_prompt: bool,
        pin_halves: bool,
        pin_read: bool,
        pin_pad: bool,
        signer: Html,
        is_signed: bool,
        signer_known: Html,
    }
}

impl HsmFacts {
    pub(super) fn of(script: &Script) -> Self {
        let plan = script.plan;
        let pin = &plan.hsm.pin;
        Self {
            token: plan.hsm.token.to_string().into(),
            hardware: html(plan.hsm.hardware.as_deref().map(meaning::hardware)),
            network: meaning::network(plan.network).into(),
            no_network: plan.network == Network::Forbidden,
            pin_prompt: *pin == PinSource::Prompt,
            pin_halves: *pin == PinSource::PromptHalves,
            pin_read: pin.file().is_some() || pin.descriptor().is_some(),
            pin_pad: *pin == PinSource::PinPad,
            signer: html(meaning::signer(&plan.signer)),
            is_signed: plan.signer != SignerPlan::Nobody,
            signer_known: match &plan.signer {
                SignerPlan::Named(digest) => fingerprint(digest).into(),
                _ => html(script.signer_before()),
            },
        }
    }
}
