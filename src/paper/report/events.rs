//! What each event means to somebody who was not there.

use crate::evidence::transcript::Event;

/// The event in a sentence.
pub(super) fn told(event: &Event) -> &'static str {
    match event {
        Event::CeremonyOpened(_) => "The ceremony began, and its record was opened.",
        Event::PlanApproved(_) => "The plan was approved.",
        Event::RollCall(_) => "It was recorded who was there, as far as byok asked.",
        Event::MachineChecked(_) => "byok looked at this computer: network, swap, disk, clock.",
        Event::HsmOpened(_) => "The HSM was opened.",
        Event::HsmChanged(_) => "The HSM differs from the one of the previous record.",
        Event::HsmReopened(_) => "The HSM had lost its session and was opened again.",
        Event::SharesVoided(_) => "The shares of a run that did not finish are void.",
        Event::SignerIntended(_) => "byok was about to make a key that signs the transcript.",
        Event::TranscriptSigner(_) => "The key that signs the transcript was ready in the HSM.",
        Event::ImportParametersRead(_) => "The import parameters of a KMS key were read.",
        Event::PreflightPassed(_) => "Throw-away keys proved that the HSM wraps as the plan asks.",
        Event::KeyIntended(_) => "byok was about to ask the HSM for a data key.",
        Event::KeyGenerated(_) => "The HSM made a data key.",
        Event::KeyFound(_) => "A data key was found in the HSM, or brought in as the plan says.",
        Event::KeyRecovered(_) => "A data key was brought back from shares and package.",
        Event::SameMaterial(_) => "A data key was proved to be the same as before.",
        Event::ShareUsed(_) => "A custodian gave a share.",
        Event::QuorumMet(_) => "Enough shares agreed to open the package.",
        Event::KeyWrapped(_) => "A data key was wrapped for a KMS key.",
        Event::ChallengeMade(_) => {
            "A question was made that only a holder of the data key can answer."
        }
        Event::ImportType(_) => {
            "The script of an import was given what it tells its KMS about the material."
        }
        Event::KeyDestroyed(_) => "A key was destroyed in the HSM.",
        Event::EscrowDealt(_) => "The escrow key was split into shares.",
        Event::ShareHandedOut(_) => "A share was handed out to its custodian.",
        Event::EscrowProved(_) => "The shares that came back opened the package: the escrow works.",
        Event::EscrowSuperseded(_) => "New shares took the place of earlier ones.",
        Event::EscrowDestroyed(_) => "The operator said what became of a share form or a package.",
        Event::KeySealed(_) => "A data key was sealed: it cannot leave the HSM any more.",
        Event::OutputWritten(_) => "A file of the record was written.",
        Event::Exception(_) => "An exception was recorded.",
        Event::WrongAnswer(_) => "A PIN or a row from paper was wrong, and byok asked again.",
        Event::Sealed(_) => "The ceremony ended well, and the transcript was sealed.",
        Event::Aborted(_) => "The ceremony ended early.",
        Event::Unknown => "An event of a later version of byok.",
    }
}
