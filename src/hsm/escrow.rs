//! The escrow key in the HSM: it wraps data keys out, and back in.

use std::collections::BTreeSet;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use super::check::Length;
use super::keys::{KeyId, class, key_type};
use super::wrap::WrapRows;
use super::{Hsm, Life, Material, attributes, fault, quirks};
use crate::error::{Error, Exit, Result};
use crate::locked::Locked;
use crate::spec::Spec;
use crate::wrapping;

/// An escrow key as a session object of the HSM, with the AES-KW and AES-KWP rows that controls proved.
pub struct EscrowHandle {
    handle: ObjectHandle,
    rows: WrapRows,
}

/// What proves an escrow for data keys of these specs: a key of 32 bytes, one of each length that AES-KW
/// does not take, and for private keys one on P-256.
fn controls(specs: impl Iterator<Item = Spec>) -> BTreeSet<Spec> {
    let padded = specs.filter(|spec| spec.needs_padding());
    let mut controls: BTreeSet<Spec> = padded
        .map(|spec| match spec.is_private() {
            true => Spec::P256,
            false => spec,
        })
        .collect();
    controls.insert(Spec::AES_256);
    controls
}

fn cannot_serve(spec: Spec, refused: Error) -> Error {
    let refused = refused.check("CONTROL");
    match spec {
        Spec::Hmac { bytes, .. } if spec.needs_padding() => refused
            .hint(format!(
                "this HSM cannot serve [escrow] for HMAC keys of {bytes} bytes: it does not wrap them with AES-KWP (RFC 5649)"
            ))
            .hint(format!(
                "for a new data key write bits = {}, a length that AES-KW takes",
                bytes.next_multiple_of(8) * 8
            ))
            .hint("one that exists comes back on another HSM"),
        _ if spec.needs_padding() => refused.hint(
            "this HSM cannot serve [escrow] for such keys: it does not wrap with AES-KWP (RFC 5649)",
        ),
        _ => refused
            .hint("this HSM cannot serve [escrow]: it does not wrap with AES-KW (RFC 3394)"),
    }
}

impl Hsm {
    /// Random bytes of the HSM's generator, into locked memory.
    ///
    /// # Errors
    /// Exit 3 where C_GenerateRandom fails.
    pub fn random(&self, bytes: &mut Locked) -> Result<()> {
        self.session.generate_random_slice(bytes).map_err(fault)
    }

    /// Loads an escrow key that wraps data keys of these specs and opens them again: controls of their
    /// kinds prove it.
    ///
    /// # Errors
    /// Exit 3 where the HSM makes no controls, refuses the key, or no row of the quirks table proves itself.
    pub fn load_proved(
        &mut self,
        key: &Locked,
        specs: impl Iterator<Item = Spec>,
    ) -> Result<EscrowHandle> {
        let controls = controls(specs)
            .into_iter()
            .map(|spec| self.throw_away(spec))
            .collect::<Result<Vec<Material>>>()?;
        let mut escrow = EscrowHandle {
            handle: self
                .bring_in(key, &attributes::escrow_key())
                .map_err(|e| e.doing("loading the escrow key"))?,
            rows: WrapRows::default(),
        };
        for control in controls {
            if let Err(e) = self.find_row(&mut escrow, key, &control) {
                if !super::session_was_lost(&e) {
                    self.end_escrow_key(escrow)?;
                }
                return Err(e);
            }
            self.destroy(control)?;
        }
        Ok(escrow)
    }

    /// The first row that proves itself for keys of this spec's kind.
    fn find_row(&self, escrow: &mut EscrowHandle, key: &Locked, control: &Material) -> Result<()> {
        let spec = control.spec;
        let mut refused: Option<Error> = None;
        for row in 0..WrapRows::count(spec) {
            escrow.rows.set(spec, row);
            match self.proves(escrow, key, control) {
                Ok(()) => return Ok(()),
                Err(e) if super::session_was_lost(&e) => return Err(e), // that says nothing of the row
                // What a module does wrong tells more than what it does not know; of that, the
                // standard's own mechanism tells most.
                Err(e) => {
                    let tells = |e: &Error| e.check.is_some();
                    if refused.as_ref().is_none_or(|r| tells(&e) && !tells(r)) {
                        refused = Some(e.doing(escrow.rows.of(spec).name));
                    }
                }
            }
        }
        let refused = refused.unwrap_or_else(|| Error::hsm("no way to wrap for escrow"));
        Err(cannot_serve(spec, refused))
    }

    /// The HSM wraps the control, software opens it, the HSM takes it back in: each time the same key.
    fn proves(&self, escrow: &EscrowHandle, key: &Locked, control: &Material) -> Result<()> {
        let wrapped = self.wrap_for_escrow(escrow, control)?;
        let opened = wrapping::open_wrapped(control.spec, key, &wrapped)?;
        if wrapping::check_values(control.spec, &opened.bytes)? != control.check {
            return Err(Error::hsm("it wrapped other bytes than the HSM holds").check("CONTROL"));
        }
        // What follows a PKCS#8 is no part of it; what follows a secret makes another secret of it.
        if let Some(len) = control.spec.secret_len()
            && opened.appended > 0
        {
            return Err(Error::hsm(format!(
                "C_WrapKey: it wrapped {} bytes of a key of {len}",
                len + opened.appended
            ))
            .check("CONTROL"));
        }
        self.comes_back(escrow, &wrapped, control)
    }

    fn comes_back(&self, escrow: &EscrowHandle, wrapped: &[u8], control: &Material) -> Result<()> {
        let other = |why: String| {
            Error::hsm(format!(
                "it unwrapped to other bytes than were wrapped{why}"
            ))
            .check("CONTROL")
        };
        let back = match self.unwrap_from_escrow(escrow, wrapped, control.spec) {
            Err(e) if e.exit == Exit::Mismatch => return Err(other(format!(" ({})", e.what))),
            back => back?,
        };
        let same = back.check == control.check;
        self.destroy(back)?;
        match same {
            true => Ok(()),
            false => Err(other(String::new())),
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
    /// key, kryoptic even CKR_DEVICE_ERROR; so where one does not open, a second try and a control decide whose
    /// fault it is.
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
            // It opened, to a key of another kind.
            Err(e) if e.check == Some("POSSESSION") => {
                let what = format!("the package holds no {} key ({})", spec.name(), e.what);
                return Err(Error::mismatch(what).check("ESCROW-PACKAGE"));
            }
            Err(e) if e.check.is_none() => e,
            other => return other,
        };
        if let Ok(opened) = self.unwrap_from_escrow(escrow, wrapped, spec) {
            self.destroy(opened)?;
            return Err(refused); // the HSM failed once, and the package is right
        }
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
        match self.length(handle, spec)? {
            Length::Right => Ok(judged),
            Length::Another(len) => {
                Err(Error::mismatch(format!("it unwrapped to {len}")).check("SAME-MATERIAL"))
            }
            Length::Unknown => Err(Error::hsm(
                "the module does not tell how long a key is that it unwrapped",
            )
            .check("CONTROL")),
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
