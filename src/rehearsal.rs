//! What a rehearsal puts in the place of the real world: a KMS with a key of its own, and a plan.

use std::fmt::Write as _;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use jiff::SignedDuration;
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::machine;
use crate::plan::{PinSource, Plan, WrapIn};
use crate::words;
use crate::wrapping::{ControlKey, WrappingAlgorithm};

/// The token's label and PINs. They guard nothing: everything in a rehearsal is practice.
pub const TOKEN: &str = "rehearsal";
/// What people type at a rehearsal.
pub const PIN: &str = "practice-1234";

/// A KMS that stands in for the real one: it gives import parameters and takes wrapped material.
pub struct StandInKms {
    key: ControlKey,
    token: [u8; 32],
}

impl StandInKms {
    /// A fresh one with an RSA-4096 key.
    ///
    /// # Errors
    /// Exit 5 where key or token cannot be made.
    pub fn open() -> Result<Self> {
        let mut token = [0; 32];
        SysRng
            .try_fill_bytes(&mut token)
            .map_err(|e| Error::machine(format!("drawing an import token: {e}")))?;
        Ok(Self {
            key: ControlKey::generate(4096)?,
            token,
        })
    }

    /// The wrapping key that it gives out.
    pub fn wrapping_key(&self) -> &crate::wrapping::key::WrappingKey {
        self.key.public()
    }

    /// Import parameters for a KMS key, as `aws kms get-parameters-for-import` prints them.
    pub fn parameters(&self, key_arn: &str, wrapping: WrappingAlgorithm) -> String {
        let valid_to = machine::now() + SignedDuration::from_hours(24);
        format!(
            "{{\n    \"KeyId\": \"{key_arn}\",\n    \"ImportToken\": \"{}\",\n    \"PublicKey\": \"{}\",\n    \
             \"ParametersValidTo\": \"{valid_to}\",\n    \"WrappingAlgorithm\": \"{wrapping}\"\n}}\n",
            Base64::encode_string(&self.token),
            Base64::encode_string(self.key.public().spki_der()),
        )
    }

    /// Takes wrapped material with its token, and gives what it opened.
    ///
    /// # Errors
    /// Exit 4 for another token or material that does not open.
    pub fn import(
        &self,
        wrapping: WrappingAlgorithm,
        wrapped: &[u8],
        token: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        if token != self.token {
            return Err(Error::mismatch(
                "the stand-in KMS: this import token is not mine",
            ));
        }
        self.key
            .open(wrapping, wrapped)
            .map_err(|e| Error::mismatch(format!("the stand-in KMS: {}", e.what)))
    }
}

/// The plan of a rehearsal that asks nothing.
pub fn own_plan(module: &Path) -> String {
    format!(
        "title = \"Rehearsal: payments data key, eu-west-1\"\n\
         kind  = \"generate\"\n\n\
         [machine]\nnetwork = \"allowed\"\n\n\
         [hsm]\nmodule = {module:?}\ntoken  = \"pkcs11:token={TOKEN}\"\npin    = \"file:pin\"\n\
         env    = [\"SOFTHSM2_CONF\"]\n\n\
         [[key]]\nlabel = \"payments-2026\"\nspec  = \"SYMMETRIC_DEFAULT\"\nkeep  = \"extractable\"\n\n\
         [[key.import]]\nname       = \"eu-west-1\"\n\
         key_arn    = \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\"\n\
         parameters = \"inputs/payments-2026-eu-west-1.json\"\n\
         wrapping   = \"RSAES_OAEP_SHA_1\"\nwrap_in    = \"hsm\"\nexpires    = \"never\"\n\n\
         [record]\ndirectory = \"record\"\n",
    )
}

/// A real plan, moved into the rehearsal: its names, its data keys and imports, but the practice token,
/// the stand-in's parameters and a record below the rehearsal's directory. `can_wrap` says whether the
/// soft HSM wraps with an algorithm; where it cannot, this computer wraps.
pub fn practice_plan(
    plan: &Plan,
    module: &Path,
    can_wrap: impl Fn(WrappingAlgorithm) -> bool,
) -> String {
    let pin = match plan.hsm.pin {
        PinSource::PromptHalves => "prompt-halves",
        PinSource::Prompt | PinSource::PinPad => "prompt",
        PinSource::File(_) | PinSource::Descriptor(_) => "file:pin",
    };
    let title = plan.title.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!(
        "title = \"{title}\"\nkind  = \"generate\"\n\n[machine]\nnetwork = \"allowed\"\n\n\
         [hsm]\nmodule = {module:?}\ntoken  = \"pkcs11:token={TOKEN}\"\npin    = \"{pin}\"\n\
         env    = [\"SOFTHSM2_CONF\"]\n",
    );
    for key in &plan.keys {
        let _ = write!(
            text,
            "\n[[key]]\nlabel = {:?}\nspec  = \"{}\"\nkeep  = \"extractable\"\n",
            key.label,
            key.spec.name()
        );
        for import in &key.imports {
            let wrap_in = match import.wrap_in {
                WrapIn::Hsm if can_wrap(import.wrapping) => WrapIn::Hsm,
                _ => WrapIn::Host,
            };
            let expires = import
                .expires
                .map_or("never".to_owned(), |at| at.to_string());
            let _ = write!(
                text,
                "\n[[key.import]]\nname       = {:?}\nkey_arn    = \"{}\"\nparameters = \"{}\"\n\
                 wrapping   = \"{}\"\nwrap_in    = \"{wrap_in}\"\nexpires    = \"{expires}\"\n",
                import.name,
                import.key_arn.as_str(),
                parameters_path(&key.label, &import.name),
                import.wrapping,
            );
        }
    }
    text + "\n[record]\ndirectory = \"record\"\n"
}

/// Where a rehearsal's parameters stand, relative to its plan.
pub fn parameters_path(label: &str, import: &str) -> String {
    format!("inputs/{label}-{import}.json")
}

/// SoftHSM's configuration for a rehearsal in this directory.
pub fn softhsm_configuration(room: &Path) -> Result<String> {
    let tokens = room.join("tokens");
    let shown = tokens
        .to_str()
        .filter(|text| words::is_printable(text) && !text.contains(['#', '\n']));
    let shown = shown.ok_or_else(|| {
        Error::usage(
            "the rehearsal's directory has a name that SoftHSM's configuration cannot hold",
        )
        .hint("choose another one with --directory")
    })?;
    Ok(format!(
        "directories.tokendir = {shown}\nobjectstore.backend = file\nlog.level = ERROR\n"
    ))
}
