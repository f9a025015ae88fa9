//! The escrow key in the HSM: it wraps data keys out, and back in.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use super::keys::KeyId;
use super::{Hsm, Life, Material, attributes, fault, quirks};
use crate::error::{Error, Result};
use crate::escrow::ESCROW_KEY_LEN;
use crate::locked::Locked;
use crate::wrapping;

/// An escrow key as a session object of the HSM, with the AES-KW row that its control proved.
pub struct EscrowHandle {
    handle: ObjectHandle,
    row: usize,
}

impl Hsm {
    /// Random bytes of the HSM's generator, into locked memory.
    ///
    /// # Errors
    /// Exit 3 where C_GenerateRandom fails.
    pub fn random(&self, bytes: &mut Locked) -> Result<()> {
        self.session.generate_random_slice(bytes).map_err(fault)
    }

    /// Loads an escrow key and finds the AES-KW row that this module takes: `control`, a throw-away
    /// key, is wrapped in the HSM, opened in software, and brought back in; each time its check values
    /// must be the same.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses the key or no row proves itself.
    pub fn load_escrow_key(&self, key: &Locked, control: &Material) -> Result<EscrowHandle> {
        let handle = self
            .bring_in(key, &attributes::escrow_key())
            .map_err(|e| e.doing("loading the escrow key"))?;
        let mut first = None; // the standard's own mechanism tells most
        for row in 0..quirks::AES_KEY_WRAPS.len() {
            let escrow = EscrowHandle { handle, row };
            match self.prove_escrow(&escrow, key, control) {
                Ok(()) => return Ok(escrow),
                Err(e) if super::session_was_lost(&e) => return Err(e), // that says nothing of the row
                Err(e) => {
                    first.get_or_insert(e.doing(quirks::AES_KEY_WRAPS[row].name));
                }
            }
        }
        self.session.destroy_object(handle).map_err(fault)?;
        let refused = first.unwrap_or_else(|| Error::hsm("no way to wrap for escrow"));
        Err(refused
            .check("CONTROL")
            .hint("this HSM cannot serve [escrow]: it does not wrap with AES-KW (RFC 3394)"))
    }

    fn prove_escrow(&self, escrow: &EscrowHandle, key: &Locked, control: &Material) -> Result<()> {
        let wrapped = self.wrap_for_escrow(escrow, control)?;
        let mut opened = Locked::zeroed(control.len)?;
        wrapping::aes_kw_unwrap(key, &wrapped, &mut opened).map_err(Error::hsm)?;
        if wrapping::check_values(&opened)? != control.check {
            return Err(Error::hsm("it wrapped other bytes than the HSM holds"));
        }
        let back = self.unwrap_from_escrow(escrow, &wrapped, control.len)?;
        let same = back.check == control.check;
        self.destroy(back)?;
        if same {
            Ok(())
        } else {
            Err(Error::hsm("it unwrapped to other bytes than were wrapped"))
        }
    }

    /// C_WrapKey under the escrow key: AES-KW, 8 bytes longer than the data key.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses or the length is another one.
    pub fn wrap_for_escrow(&self, escrow: &EscrowHandle, material: &Material) -> Result<Vec<u8>> {
        let mechanism = quirks::AES_KEY_WRAPS[escrow.row].mechanism();
        let mut wrapped = self
            .session
            .wrap_key(&mechanism, escrow.handle, material.handle)
            .map_err(fault)?;
        wrapped.truncate(material.len + 8); // NSS softokn reports more than it writes
        if wrapped.len() != material.len + 8 {
            return Err(
                Error::hsm(format!("C_WrapKey: {} bytes of AES-KW", wrapped.len()))
                    .check("WRAPPED-LENGTH"),
            );
        }
        Ok(wrapped)
    }

    /// C_UnwrapKey: a data key of `len` bytes comes back into the HSM for this session. Every attribute
    /// is read back and judged; SENSITIVE, which some modules drop here, is set again if need be.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses or makes a weaker key of it.
    pub fn unwrap_from_escrow(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        len: usize,
    ) -> Result<Material> {
        self.unwrap_as(escrow, wrapped, len, Life::Session, &[])
    }

    /// The same for what came from a package. Modules answer what they like to a package of another escrow
    /// key, kryoptic even CKR_DEVICE_ERROR; so where one does not open, a control decides whose fault it is.
    ///
    /// # Errors
    /// Exit 4 where this escrow key opens other things, but not this; else as
    /// [`unwrap_from_escrow`](Self::unwrap_from_escrow).
    pub fn unwrap_packed(
        &mut self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        len: usize,
    ) -> Result<Material> {
        let refused = match self.unwrap_from_escrow(escrow, wrapped, len) {
            Err(e) if e.check.is_none() => e,
            other => return other,
        };
        if self.control_comes_back(escrow).is_err() {
            return Err(refused);
        }
        Err(Error::mismatch(format!(
            "the escrow key does not open what the package holds ({})",
            refused.what
        ))
        .check("ESCROW-PACKAGE"))
    }

    fn control_comes_back(&mut self, escrow: &EscrowHandle) -> Result<()> {
        let control = self.throw_away(ESCROW_KEY_LEN)?;
        let wrapped = self.wrap_for_escrow(escrow, &control)?;
        let back = self.unwrap_from_escrow(escrow, &wrapped, control.len)?;
        self.destroy(back)?;
        self.destroy(control)
    }

    /// The same as a token object of this label and CKA_ID.
    ///
    /// # Errors
    /// As [`unwrap_from_escrow`](Self::unwrap_from_escrow); the named object may then exist.
    pub fn unwrap_named(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        len: usize,
        (label, id): (&str, KeyId),
        life: Life,
    ) -> Result<Material> {
        self.unwrap_as(
            escrow,
            wrapped,
            len,
            life,
            &[Attribute::Label(label.into()), id.attribute()],
        )
    }

    fn unwrap_as(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        len: usize,
        life: Life,
        name: &[Attribute],
    ) -> Result<Material> {
        let rules = attributes::data_key(life);
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
        ];
        template.extend_from_slice(name);
        template.extend(attributes::template(
            &rules,
            quirks::OMISSIONS[self.omission],
        ));
        let mechanism = quirks::AES_KEY_WRAPS[escrow.row].mechanism();
        let handle = self
            .session
            .unwrap_key(&mechanism, escrow.handle, wrapped, &template)
            .map_err(fault)?;
        self.make_sensitive(handle)?;
        self.judged_as(&rules, handle, len)
    }

    fn make_sensitive(&self, handle: ObjectHandle) -> Result<()> {
        let read = self
            .session
            .get_attributes(handle, &[AttributeType::Sensitive])
            .map_err(fault)?;
        if read.contains(&Attribute::Sensitive(false)) {
            // The judgement that follows says whether it took; a refusal here is no news of its own.
            let _ = self
                .session
                .update_attributes(handle, &[Attribute::Sensitive(true)]);
        }
        Ok(())
    }

    /// Ends the escrow key in the HSM.
    ///
    /// # Errors
    /// Exit 3 where C_DestroyObject fails.
    pub fn end_escrow_key(&self, escrow: EscrowHandle) -> Result<()> {
        self.session.destroy_object(escrow.handle).map_err(fault)
    }
}
