//! The escrow key in the HSM: it wraps data keys, and unwraps them again.

use std::collections::BTreeMap;

use cryptoki::object::ObjectHandle;

use super::check::Length;
use super::keys::{Name, class, key_type};
use super::unwrap::Incoming;
use super::wrap::WrapRows;
use super::{Hsm, Life, Material, attributes, fault};
use crate::crypto::key_id::KeyId;
use crate::crypto::locked::Locked;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping;
use crate::ground::error::{Error, Exit, Result};

/// An escrow key as a session object of the HSM, with the AES-KW and AES-KWP rows that controls proved.
pub(crate) struct EscrowHandle {
    handle: ObjectHandle,
    rows: WrapRows,
}

/// The control keys that prove an escrow for data keys of these specs: one of 32 bytes, one of each length that
/// AES-KW does not accept, and for private keys one on P-256 or edwards25519. Each with the spec of the data keys that
/// it stands for.
fn controls(specs: impl Iterator<Item = Spec>) -> BTreeMap<Spec, Spec> {
    let padded = specs.filter(|spec| spec.needs_padding());
    let mut controls: BTreeMap<Spec, Spec> = padded
        .map(|spec| match spec.varies() {
            true => (Spec::P256, spec),
            false => (spec, spec),
        })
        .collect();
    controls.insert(Spec::DEFAULT, Spec::DEFAULT);
    controls
}

/// Where a control failed.
enum Failed {
    /// What the HSM wrapped is not the key.
    Wrapping(Error),
    /// The HSM wraps, but cannot unwrap the result.
    Unwrapping(Error),
}

impl Failed {
    fn doing(self, what: &str) -> Self {
        match self {
            Self::Wrapping(error) => Self::Wrapping(error.doing(what)),
            Self::Unwrapping(error) => Self::Unwrapping(error.doing(what)),
        }
    }

    fn of(self, spec: Spec) -> Error {
        let way = match spec.needs_padding() {
            true => "AES-KWP (RFC 5649)",
            false => "AES-KW (RFC 3394)",
        };
        match self {
            Self::Wrapping(error) => {
                cannot_serve(spec, error, &format!("it does not wrap with {way}"))
            }
            Self::Unwrapping(error) => cannot_serve(
                spec,
                error.doing("unwrapping what it wrapped"),
                &format!("it wraps with {way}, but does not correctly unwrap the result"),
            ),
        }
    }
}

fn cannot_serve(spec: Spec, refused: Error, why: &str) -> Error {
    let refused = refused.check("CONTROL");
    match spec {
        Spec::Hmac { bytes, .. } if spec.needs_padding() => refused
            .hint(format!(
                "this HSM cannot serve [escrow] for HMAC keys of {bytes} bytes: {why}"
            ))
            .hint(format!(
                "for a new data key write bits = {}, a length that AES-KW accepts",
                bytes.next_multiple_of(8) * 8
            ))
            .hint("an existing data key can be recovered on another HSM"),
        _ if spec.needs_padding() => refused.hint(format!(
            "this HSM cannot serve [escrow] for such keys: {why}"
        )),
        _ => refused.hint(format!("this HSM cannot serve [escrow]: {why}")),
    }
}

impl Hsm {
    /// Random bytes from the HSM's generator, into locked memory.
    ///
    /// # Errors
    /// Exit 3 if C_GenerateRandom fails.
    pub(crate) fn random(&self, bytes: &mut Locked) -> Result<()> {
        self.session.generate_random_slice(bytes).map_err(fault)
    }

    /// Loads an escrow key and proves, with control keys of the same kinds, that it wraps and unwraps data keys of
    /// these specs.
    ///
    /// # Errors
    /// Exit 3 if the HSM makes no control keys, refuses the escrow key, or no row of the quirks table works.
    pub(crate) fn load_proved(
        &mut self,
        key: &Locked,
        specs: impl Iterator<Item = Spec>,
    ) -> Result<EscrowHandle> {
        let controls = controls(specs)
            .into_iter()
            .map(|(control, of)| self.control(control, of))
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

    /// An HSM without elliptic curves proves itself with a key of the data key's own spec.
    fn control(&mut self, control: Spec, of: Spec) -> Result<Material> {
        match self.throw_away(control) {
            Err(e) if control != of && !super::went_away(&e) => self.throw_away(of),
            made => made,
        }
    }

    /// The first row that works for keys of this spec's kind.
    fn find_row(&self, escrow: &mut EscrowHandle, key: &Locked, control: &Material) -> Result<()> {
        let spec = control.spec;
        let mut refused: Option<Failed> = None;
        for row in 0..WrapRows::count(spec) {
            escrow.rows.set(spec, row);
            let proved = self
                .wraps(escrow, key, control)
                .map_err(Failed::Wrapping)
                .and_then(|wrapped| {
                    self.comes_back(escrow, &wrapped, control)
                        .map_err(Failed::Unwrapping)
                });
            match proved {
                Ok(()) => return Ok(()),
                // the row is not to blame
                Err(Failed::Wrapping(e) | Failed::Unwrapping(e)) if super::session_was_lost(&e) => {
                    return Err(e);
                }
                // As for `tells_more`; what comes back wrong was wrapped.
                Err(e) => {
                    let tells = |e: &Failed| match e {
                        Failed::Wrapping(e) => (super::went_away(e), e.check.is_some()),
                        Failed::Unwrapping(e) => (super::went_away(e), true),
                    };
                    if refused.as_ref().is_none_or(|r| tells(&e) > tells(r)) {
                        refused = Some(e.doing(escrow.rows.of(spec).name));
                    }
                }
            }
        }
        let none = || Failed::Wrapping(Error::hsm("the HSM has no way to wrap for escrow"));
        Err(refused.unwrap_or_else(none).of(spec))
    }

    /// The HSM wraps the control key, and software unwraps the same key. [`comes_back`](Self::comes_back) follows.
    fn wraps(&self, escrow: &EscrowHandle, key: &Locked, control: &Material) -> Result<Vec<u8>> {
        let wrapped = self.wrap_for_escrow(escrow, control)?;
        let opened = wrapping::open_wrapped(control.spec, key, &wrapped)?;
        if wrapping::check_values(control.spec, &opened.bytes)? != control.check {
            return Err(Error::hsm("it did not wrap the key that the HSM holds").check("CONTROL"));
        }
        // Bytes after a PKCS#8 are not part of it; bytes after a secret make it a different secret.
        if let Some(len) = control.spec.secret_len()
            && opened.appended > 0
        {
            return Err(Error::hsm(format!(
                "C_WrapKey: it wrapped {} bytes, but the key has {len}",
                len + opened.appended
            ))
            .check("CONTROL"));
        }
        Ok(wrapped)
    }

    fn comes_back(&self, escrow: &EscrowHandle, wrapped: &[u8], control: &Material) -> Result<()> {
        let other = |why: String| {
            Error::hsm(format!("what it unwrapped is not what was wrapped{why}")).check("CONTROL")
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

    /// C_WrapKey under the escrow key: AES-KW if the data key's length allows it, 8 bytes longer than the key;
    /// otherwise AES-KWP.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses or the length is wrong.
    pub(crate) fn wrap_for_escrow(
        &self,
        escrow: &EscrowHandle,
        material: &Material,
    ) -> Result<Vec<u8>> {
        let row = escrow.rows.of(material.spec);
        let wrapped = self.wrap_key(&row.mechanism(), escrow.handle, material.handle)?;
        let wanted = material.spec.secret_len().map(wrapping::kwp_len);
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

    /// C_UnwrapKey: brings a data key back into the HSM for this session. Every attribute is read back and
    /// judged. SENSITIVE, which some modules drop here, is set again if need be.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or makes a weaker key.
    pub(crate) fn unwrap_from_escrow(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        spec: Spec,
    ) -> Result<Material> {
        self.unwrap_as(escrow, wrapped, spec, Life::Session, None)
    }

    /// The same for a key from an escrow package. Modules answer a package of another escrow key with any error,
    /// kryoptic even with CKR_DEVICE_ERROR. So if a key does not unwrap, a second try and a control key decide
    /// whether the HSM or the package is to blame.
    ///
    /// # Errors
    /// Exit 4 if this escrow key unwraps other keys, but not this one; otherwise as
    /// [`unwrap_from_escrow`](Self::unwrap_from_escrow).
    pub(crate) fn unwrap_packed(
        &mut self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        spec: Spec,
    ) -> Result<Material> {
        let refused = match self.unwrap_from_escrow(escrow, wrapped, spec) {
            // It unwrapped, to a key of another kind.
            Err(e) if e.check == Some("POSSESSION") => {
                let what = format!(
                    "the key in the package is not a {} key ({})",
                    spec.name(),
                    e.what
                );
                return Err(Error::mismatch(what).check("ESCROW-PACKAGE"));
            }
            Err(e) if e.check.is_none() => e,
            other => return other,
        };
        if let Ok(opened) = self.unwrap_from_escrow(escrow, wrapped, spec) {
            self.destroy(opened)?;
            return Err(refused); // the HSM failed once, and the package is right
        }
        if self.control_comes_back(escrow, spec).is_err() {
            return Err(refused);
        }
        Err(Error::mismatch(format!(
            "the escrow key does not open the escrow package ({})",
            refused.what
        ))
        .check("ESCROW-PACKAGE"))
    }

    /// A key of the same kind, since an HSM that failed to sign may still encrypt.
    fn control_comes_back(&mut self, escrow: &EscrowHandle, spec: Spec) -> Result<()> {
        let control = self.throw_away(spec)?;
        let wrapped = self.wrap_for_escrow(escrow, &control)?;
        let back = self.unwrap_from_escrow(escrow, &wrapped, control.spec)?;
        self.destroy(back)?;
        self.destroy(control)
    }

    /// The same as a token object with this label and CKA_ID.
    ///
    /// # Errors
    /// As [`unwrap_from_escrow`](Self::unwrap_from_escrow); the object may then exist.
    pub(crate) fn unwrap_named(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        spec: Spec,
        (label, id): (&str, KeyId),
        life: Life,
    ) -> Result<Material> {
        let token = life != Life::Session;
        let name = Name { label, id, token };
        self.unwrap_as(escrow, wrapped, spec, life, Some(name))
    }

    fn unwrap_as(
        &self,
        escrow: &EscrowHandle,
        wrapped: &[u8],
        spec: Spec,
        life: Life,
        name: Option<Name>,
    ) -> Result<Material> {
        let rules = attributes::data_key(spec, life);
        let handle = self.unwrap_key(&Incoming {
            under: escrow.handle,
            mechanism: &escrow.rows.of(spec).mechanism(),
            wrapped,
            class: class(spec),
            key_type: key_type(spec),
            rules: &rules,
            name,
        })?;
        let judged = self.judged_as(&rules, handle, spec)?;
        match self.length(handle, spec)? {
            Length::Right => Ok(judged),
            Length::Another(len) => {
                Err(Error::mismatch(format!("the unwrapped key has {len}")).check("SAME-MATERIAL"))
            }
            Length::Unknown => Err(Error::hsm(
                "the module does not report the length of the key that it unwrapped",
            )
            .check("CONTROL")),
        }
    }

    /// Ends the escrow key in the HSM.
    ///
    /// # Errors
    /// Exit 3 if C_DestroyObject fails.
    pub(crate) fn end_escrow_key(&self, escrow: EscrowHandle) -> Result<()> {
        self.session.destroy_object(escrow.handle).map_err(fault)
    }
}
