//! The escrow key in the HSM: it wraps data keys out, and back in.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use super::keys::{KeyId, class, key_type};
use super::wrap::WrapRows;
use super::{Hsm, Life, Material, attributes, fault, quirks};
use crate::error::{Error, Result};
use crate::locked::Locked;
use crate::spec::Spec;
use crate::wrapping;

/// An escrow key as a session object of the HSM, with the AES-KW and AES-KWP rows that controls proved.
pub struct EscrowHandle {
    handle: ObjectHandle,
    rows: WrapRows,
}

impl Hsm {
    /// Random bytes of the HSM's generator, into locked memory.
    ///
    /// # Errors
    /// Exit 3 where C_GenerateRandom fails.
    pub fn random(&self, bytes: &mut Locked) -> Result<()> {
        self.session.generate_random_slice(bytes).map_err(fault)
    }

    /// Throw-away keys that prove an escrow for data keys of these specs: one of 32 bytes, one of each
    /// length that AES-KW does not take, and for private keys one on P-256.
    ///
    /// # Errors
    /// Exit 3 where the HSM makes none.
    fn escrow_controls(&mut self, specs: impl Iterator<Item = Spec>) -> Result<Vec<Material>> {
        let mut wanted = vec![Spec::AES_256];
        wanted.extend(specs.filter(|spec| spec.needs_padding()).map(
            |spec| match spec.is_private() {
                true => Spec::P256,
                false => spec,
            },
        ));
        wanted.sort_unstable();
        wanted.dedup();
        wanted
            .into_iter()
            .map(|spec| self.throw_away(spec))
            .collect()
    }

    /// Loads an escrow key for data keys of these specs, proved by controls of their kinds.
    ///
    /// # Errors
    /// Exit 3 where the HSM makes no controls, refuses the key, or no row of the quirks table proves itself.
    pub fn load_proved(
        &mut self,
        key: &Locked,
        specs: impl Iterator<Item = Spec>,
    ) -> Result<EscrowHandle> {
        let controls = self.escrow_controls(specs)?;
        let loaded = self.load_escrow_key(key, &controls)?;
        for control in controls {
            self.destroy(control)?;
        }
        Ok(loaded)
    }

    /// Loads an escrow key and finds the rows that this module takes: each control is wrapped in the HSM,
    /// opened in software, and brought back in; each time its check values must be the same.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses the key or no row proves itself.
    fn load_escrow_key(&self, key: &Locked, controls: &[Material]) -> Result<EscrowHandle> {
        let handle = self
            .bring_in(key, &attributes::escrow_key())
            .map_err(|e| e.doing("loading the escrow key"))?;
        let mut escrow = EscrowHandle {
            handle,
            rows: WrapRows::default(),
        };
        for control in controls {
            if let Err(e) = self.find_escrow_row(&mut escrow, key, control) {
                if !super::session_was_lost(&e) {
                    self.session.destroy_object(handle).map_err(fault)?;
                }
                return Err(e);
            }
        }
        Ok(escrow)
    }

    fn find_escrow_row(
        &self,
        escrow: &mut EscrowHandle,
        key: &Locked,
        control: &Material,
    ) -> Result<()> {
        let mut first = None; // the standard's own mechanism tells most
        for row in 0..WrapRows::count(control.spec) {
            escrow.rows.set(control.spec, row);
            match self.prove_escrow(escrow, key, control) {
                Ok(()) => return Ok(()),
                Err(e) if super::session_was_lost(&e) => return Err(e), // that says nothing of the row
                Err(e) => {
                    first.get_or_insert(e.doing(escrow.rows.of(control.spec).name));
                }
            }
        }
        let refused = first.unwrap_or_else(|| Error::hsm("no way to wrap for escrow"));
        Err(refused
            .check("CONTROL")
            .hint(match control.spec.needs_padding() {
                false => "this HSM cannot serve [escrow]: it does not wrap with AES-KW (RFC 3394)",
                true => "this HSM cannot serve [escrow] for such keys: it does not wrap with AES-KWP (RFC 5649)",
            }))
    }

    fn prove_escrow(&self, escrow: &EscrowHandle, key: &Locked, control: &Material) -> Result<()> {
        let wrapped = self.wrap_for_escrow(escrow, control)?;
        let opened = wrapping::open_wrapped(control.spec, key, &wrapped)?;
        if wrapping::check_values(control.spec, &opened)? != control.check {
            return Err(Error::hsm("it wrapped other bytes than the HSM holds"));
        }
        let back = self.unwrap_from_escrow(escrow, &wrapped, control.spec)?;
        let same = back.check == control.check;
        self.destroy(back)?;
        if same {
            Ok(())
        } else {
            Err(Error::hsm("it unwrapped to other bytes than were wrapped"))
        }
    }

    /// C_WrapKey under the escrow key: AES-KW, 8 bytes longer than the data key, where its length allows;
    /// else AES-KWP.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses or the length is another one.
    pub fn wrap_for_escrow(&self, escrow: &EscrowHandle, material: &Material) -> Result<Vec<u8>> {
        let row = escrow.rows.of(material.spec);
        let mut wrapped = self
            .session
            .wrap_key(&row.mechanism(), escrow.handle, material.handle)
            .map_err(fault)?;
        let wanted = material.spec.secret_len().map(wrapping::kwp_len);
        wrapped.truncate(wanted.unwrap_or(wrapped.len())); // NSS softokn reports more than it writes
        let fits = wanted.is_none_or(|len| wrapped.len() == len);
        if !fits || wrapped.len() < 24 || wrapped.len() % 8 != 0 {
            return Err(Error::hsm(format!(
                "C_WrapKey: {} bytes for the escrow package",
                wrapped.len()
            ))
            .check("WRAPPED-LENGTH"));
        }
        Ok(wrapped)
    }

    /// C_UnwrapKey: a data key comes back into the HSM for this session. Every attribute
    /// is read back and judged; SENSITIVE, which some modules drop here, is set again if need be.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses or makes a weaker key of it.
    pub fn unwrap_from_escrow(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        spec: Spec,
    ) -> Result<Material> {
        self.unwrap_as(escrow, wrapped, spec, Life::Session, &[])
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
        spec: Spec,
    ) -> Result<Material> {
        let refused = match self.unwrap_from_escrow(escrow, wrapped, spec) {
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
        let control = self.throw_away(Spec::AES_256)?;
        let wrapped = self.wrap_for_escrow(escrow, &control)?;
        let back = self.unwrap_from_escrow(escrow, &wrapped, control.spec)?;
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
        spec: Spec,
        (label, id): (&str, KeyId),
        life: Life,
    ) -> Result<Material> {
        self.unwrap_as(
            escrow,
            wrapped,
            spec,
            life,
            &[Attribute::Label(label.into()), id.attribute()],
        )
    }

    fn unwrap_as(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        spec: Spec,
        life: Life,
        name: &[Attribute],
    ) -> Result<Material> {
        let rules = attributes::data_key(spec, life);
        let mechanism = escrow.rows.of(spec).mechanism();
        let handle = self.unwrap_under(escrow.handle, &mechanism, wrapped, spec, &rules, name)?;
        let judged = self.judged_as(&rules, handle, spec)?;
        match self.another_length(handle, spec)? {
            None => Ok(judged),
            Some(length) => {
                Err(Error::mismatch(format!("it unwrapped to {length}")).check("SAME-MATERIAL"))
            }
        }
    }

    /// C_UnwrapKey under an AES key of the HSM, with these rules; the caller judges what came of it.
    pub(super) fn unwrap_under(
        &self,
        under: ObjectHandle,
        mechanism: &Mechanism,
        wrapped: &[u8],
        spec: Spec,
        rules: &[attributes::Rule],
        name: &[Attribute],
    ) -> Result<ObjectHandle> {
        let mut template = vec![
            Attribute::Class(class(spec)),
            Attribute::KeyType(key_type(spec)),
        ];
        template.extend_from_slice(name);
        template.extend(attributes::template(
            rules,
            quirks::OMISSIONS[self.omission],
        ));
        let handle = self
            .session
            .unwrap_key(mechanism, under, wrapped, &template)
            .map_err(fault)?;
        self.make_sensitive(handle)?;
        Ok(handle)
    }

    pub(super) fn make_sensitive(&self, handle: ObjectHandle) -> Result<()> {
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
