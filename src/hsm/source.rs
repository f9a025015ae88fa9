//! Material that existed before the ceremony: a key in the token, or bytes from this computer to bring in.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};

use super::check::Length;
use super::check::unsigned;
use super::keys::{ED25519_PARAMS, Name, class, key_type};
use super::secrets::Wanted;
use super::unwrap::Incoming;
use super::{DataKey, Found, Hsm, Life, Material, attributes, fault, quirks};
use crate::crypto::key_id::KeyId;
use crate::crypto::locked::Locked;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::{self, pkcs8};
use crate::ground::error::{Error, Result};

/// How a plan names a key in the token: by its CKA_ID or by its label.
#[derive(Clone, Copy)]
pub(crate) enum Named<'a> {
    /// CKA_LABEL.
    Label(&'a str),
    /// CKA_ID, at most 64 bytes.
    Id(&'a [u8]),
}

impl Named<'_> {
    fn attribute(self) -> Attribute {
        match self {
            Self::Label(label) => Attribute::Label(label.into()),
            Self::Id(id) => Attribute::Id(id.into()),
        }
    }
}

impl Hsm {
    /// Finds the one key in the token that is meant, and judges it as far as is possible without using it.
    ///
    /// # Errors
    /// Exit 3: no such key, several, not of the spec's kind, not extractable.
    pub(crate) fn source_is_there(&self, named: Named, spec: Spec) -> Result<()> {
        self.source_handle(named, spec).map(|_| ())
    }

    /// The same, with what the HSM computes with it and all its attributes. For its history byok has only the
    /// HSM's word; `deviations` says how it differs from a key that byok makes.
    ///
    /// # Errors
    /// As [`source_is_there`](Self::source_is_there); exit 3 if the HSM cannot compute with it, or if its length
    /// is not the spec's.
    pub(crate) fn take_source(&mut self, named: Named, spec: Spec) -> Result<Found> {
        let handle = self.source_handle(named, spec)?;
        let check = self
            .check_values(handle, spec)
            .map_err(|e| cannot_use(e, spec))?;
        if let Some(bytes) = spec.secret_len() {
            match self.secret_length(handle, bytes)? {
                Length::Right => {}
                Length::Another(length) => return Err(unlike(&length)),
                Length::Unknown => return Err(unlike("the module does not report its length")),
            }
        }
        let rules = [
            &attributes::data_key(spec, Life::Token),
            attributes::GENERATED,
        ]
        .concat();
        self.found(handle, spec, &rules, Some(check))
    }

    fn source_handle(&self, named: Named, spec: Spec) -> Result<ObjectHandle> {
        let template = [
            Attribute::Class(class(spec)),
            Attribute::Token(true),
            named.attribute(),
        ];
        let found = self.session.find_objects(&template).map_err(fault)?;
        match found.as_slice() {
            [one] => self.judge_source(*one, spec).map(|()| *one),
            [] => Err(self.none_there(named, spec)),
            several => Err(self.several_there(several)),
        }
    }

    fn none_there(&self, named: Named, spec: Spec) -> Error {
        let kind = spec.class_name();
        let error = match named {
            Named::Label(label) => {
                Error::hsm(format!("the token holds no {kind} labelled {label:?}"))
            }
            Named::Id(id) => Error::hsm(format!(
                "the token holds no {kind} with CKA_ID {}",
                crate::ground::words::hex(id)
            )),
        };
        let others = match named {
            Named::Label(label) => self.labelled(label).unwrap_or_default(),
            Named::Id(_) => Vec::new(),
        };
        let error = error
            .check("SOURCE")
            .hint("is it the right token? pkcs11-tool --login --list-objects shows its contents");
        others.iter().fold(error, |e, other| {
            e.hint(format!(
                "there is {} with that label, CKA_ID {}",
                other.class, other.id
            ))
        })
    }

    fn several_there(&self, handles: &[ObjectHandle]) -> Error {
        let error = Error::hsm(format!("{} keys in the token match", handles.len()))
            .check("SOURCE")
            .hint("name the right one by its CKA_ID: source = \"token:id=HEX\"");
        handles.iter().fold(error, |e, handle| {
            let read = self.session.get_attributes(*handle, &[AttributeType::Id]);
            match read.unwrap_or_default().as_slice() {
                [Attribute::Id(id)] => {
                    e.hint(format!("there is CKA_ID {}", crate::ground::words::hex(id)))
                }
                _ => e,
            }
        })
    }

    /// What a module does not report is judged later, by what the key does.
    fn judge_source(&self, handle: ObjectHandle, spec: Spec) -> Result<()> {
        let told = |kind| {
            let read = self.session.get_attributes(handle, &[kind]);
            read.unwrap_or_default().into_iter().next()
        };
        if told(AttributeType::Extractable) != Some(Attribute::Extractable(true)) {
            return Err(Error::hsm(
                "it cannot be wrapped: CKA_EXTRACTABLE is FALSE, for good",
            )
            .check("SOURCE")
            .hint("if another copy exists (an HSM backup, or its source), bring that copy in as an extractable key")
            .hint("otherwise this material can never be imported: remove source from the plan, and byok makes a new data key"));
        }
        if told(AttributeType::WrapWithTrusted) == Some(Attribute::WrapWithTrusted(true)) {
            return Err(Error::hsm(
                "it cannot be wrapped for KMS: CKA_WRAP_WITH_TRUSTED is TRUE",
            )
            .check("SOURCE")
            .hint("the HSM wraps it only under keys that its security officer marked as trusted; a KMS's wrapping key is not one of them"));
        }
        if let Some(Attribute::KeyType(is)) = told(AttributeType::KeyType)
            && !is_type(is, spec)
        {
            return Err(unlike(&format!("its key type is {is}")));
        }
        match (spec, told(length_of(spec))) {
            (_, Some(Attribute::ValueLen(len))) => {
                let (len, wanted) = (u64::from(len), spec.secret_len().unwrap_or(0));
                if len != 0 && len != wanted as u64 {
                    return Err(unlike(&format!("{len} bytes, not {wanted}")));
                }
            }
            (Spec::Ec(curve), Some(Attribute::EcParams(is))) if is != curve.params() => {
                return Err(unlike("it is on another curve"));
            }
            (Spec::Ed25519, Some(Attribute::EcParams(is)))
                if !ED25519_PARAMS.contains(&is.as_slice()) =>
            {
                return Err(unlike("it is on another curve"));
            }
            (Spec::Rsa { bits }, Some(Attribute::Modulus(n))) if unsigned(&n).len() * 8 != bits => {
                let has = unsigned(&n).len() * 8;
                return Err(unlike(&format!("its modulus has {has} bits, not {bits}")));
            }
            _ => {}
        }
        Ok(())
    }

    /// Brings bytes into the HSM as a data key with this label and CKA_ID: a secret directly, a private key under
    /// a throw-away AES key in the HSM. The HSM must then compute the same check values as software does.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses or makes a different key; the object may then exist.
    pub(crate) fn bring_in_data_key(
        &mut self,
        bytes: &Locked,
        (label, id): (&str, KeyId),
        spec: Spec,
        life: Life,
    ) -> Result<DataKey> {
        let token = life != Life::Session;
        let name = Name { label, id, token };
        Ok(DataKey {
            label: label.to_owned(),
            id,
            life,
            material: self.bring_in_as(bytes, spec, life, Some(name))?,
        })
    }

    /// The same with throw-away bytes; for a private key, one on P-256.
    ///
    /// # Errors
    /// As [`bring_in_data_key`](Self::bring_in_data_key); only session objects were made.
    pub(crate) fn prove_way_in(&mut self, spec: Spec) -> Result<&'static str> {
        let Some(len) = spec.secret_len() else {
            let entrance = self.entrance()?;
            self.session
                .destroy_object(entrance.handle)
                .map_err(fault)?;
            return Ok(entrance.row.name);
        };
        let bytes = Locked::random(len, "a throw-away key")?;
        let brought = self.bring_in_as(&bytes, spec, Life::Session, None)?;
        self.destroy(brought)?;
        Ok("C_CreateObject")
    }

    fn bring_in_as(
        &mut self,
        bytes: &Locked,
        spec: Spec,
        life: Life,
        name: Option<Name>,
    ) -> Result<Material> {
        let wanted = wrapping::check_values(spec, bytes)?;
        wanted.public_key.iter().for_each(|spki| self.may_be(spki));
        let rules = attributes::data_key(spec, life);
        let handle = match spec.is_private() {
            true => self.bring_in_private(bytes, spec, &rules, name)?,
            false => {
                let secret = Wanted {
                    key_type: key_type(spec),
                    name,
                    rules: &rules,
                };
                let handle = self.bring_in_secret(bytes, &secret)?;
                self.made_sensitive(handle)?;
                handle
            }
        };
        let rules = [&rules, attributes::BROUGHT_IN].concat();
        let brought = self.judged_as(&rules, handle, spec)?;
        let length = self.length(handle, spec)?;
        if brought.check == wanted && !matches!(length, Length::Another(_)) {
            return Ok(brought);
        }
        Err(Error::hsm("the HSM did not take in the bytes that it was given").check("CONTROL"))
    }

    fn bring_in_private(
        &mut self,
        bytes: &Locked,
        spec: Spec,
        rules: &[attributes::Rule],
        name: Option<Name>,
    ) -> Result<ObjectHandle> {
        let entrance = self.entrance()?;
        let brought = entrance.unwrap(self, bytes, spec, rules, name);
        self.session
            .destroy_object(entrance.handle)
            .map_err(fault)?;
        brought
    }

    /// The throw-away AES key, with the first row of AES-KWP by which a private key made here comes in unchanged.
    fn entrance(&mut self) -> Result<Entrance> {
        let key = Locked::random(32, "a throw-away key")?;
        let handle = self
            .bring_in(&key, &attributes::entrance_key())
            .map_err(|e| e.doing("loading a key to bring a private key in"))?;
        let control = pkcs8::throw_away_p256()?;
        let mut entrance = Entrance {
            handle,
            key,
            row: &quirks::AES_KEY_WRAPS_PADDED[0],
        };
        let mut told: Option<Error> = None;
        for row in quirks::AES_KEY_WRAPS_PADDED {
            entrance.row = row;
            match self.prove_entrance(&entrance, &control) {
                Ok(()) => return Ok(entrance),
                Err(lost) if super::session_was_lost(&lost) => return Err(lost),
                Err(e) if told.as_ref().is_none_or(|told| super::tells_more(&e, told)) => {
                    told = Some(e.doing(row.name));
                }
                Err(_) => {}
            }
        }
        self.session.destroy_object(handle).map_err(fault)?;
        let none = || Error::hsm("the HSM has no way in");
        Err(told
            .unwrap_or_else(none)
            .check("CONTROL")
            .hint("this HSM cannot take in a private key: a throw-away key on P-256, wrapped with AES-KWP (RFC 5649), did not come in unchanged"))
    }

    fn prove_entrance(&self, entrance: &Entrance, control: &Locked) -> Result<()> {
        let rules = attributes::data_key(Spec::P256, Life::Session);
        let handle = entrance.unwrap(self, control, Spec::P256, &rules, None)?;
        let same = self
            .check_values(handle, Spec::P256)
            .and_then(|check| Ok(check == wrapping::check_values(Spec::P256, control)?));
        self.session.destroy_object(handle).map_err(fault)?;
        match same? {
            true => Ok(()),
            false => Err(Error::hsm("what it unwrapped is not what was wrapped")),
        }
    }
}

/// The throw-away AES key under which a private key comes in: only locked memory and the HSM hold it.
struct Entrance {
    handle: ObjectHandle,
    key: Locked,
    row: &'static quirks::Numbered,
}

impl Entrance {
    fn unwrap(
        &self,
        hsm: &Hsm,
        bytes: &Locked,
        spec: Spec,
        rules: &[attributes::Rule],
        name: Option<Name>,
    ) -> Result<ObjectHandle> {
        let wrapped = wrapping::aes_kwp_wrap(&self.key, bytes)?;
        hsm.unwrap_key(&Incoming {
            under: self.handle,
            mechanism: &self.row.mechanism(),
            wrapped: &wrapped,
            class: class(spec),
            key_type: key_type(spec),
            rules,
            name,
        })
    }
}

fn length_of(spec: Spec) -> AttributeType {
    match spec {
        Spec::Symmetric { .. } | Spec::Aes { .. } | Spec::Hmac { .. } => AttributeType::ValueLen,
        Spec::Ec(_) | Spec::Ed25519 => AttributeType::EcParams,
        Spec::Rsa { .. } => AttributeType::Modulus,
    }
}

/// HMAC keys that byok did not make may have the key type of their hash.
fn is_type(is: KeyType, spec: Spec) -> bool {
    is == key_type(spec) || matches!(spec, Spec::Hmac { .. }) && is == KeyType::SHA256_HMAC
}

fn unlike(how: &str) -> Error {
    Error::hsm(format!("it is not a key of the plan's spec: {how}"))
        .check("SOURCE")
        .hint("compare spec (for HMAC keys also bits) in the plan with the key in the HSM")
}

fn cannot_use(error: Error, spec: Spec) -> Error {
    let needs = match spec.is_aes() {
        true => "CKA_ENCRYPT",
        false => "CKA_SIGN",
    };
    error.hint(format!(
        "the fingerprint needs {needs} = TRUE; if the key may be changed (CKA_MODIFIABLE), set it with the HSM's own tool"
    ))
}
