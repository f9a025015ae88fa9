//! How a secret from this computer comes into the HSM: by C_CreateObject or, if the HSM refuses that for secrets,
//! by C_UnwrapKey under a key pair made in the HSM for this one purpose.

use cryptoki::error::{Error as P11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::types::RawAuthPin;
use zeroize::Zeroize as _;

use super::keys::Name;
use super::unwrap::Incoming;
use super::{Hsm, attributes, fault, quirks, wrap};
use crate::crypto::locked::Locked;
use crate::crypto::wrapping::key::WrappingKey;
use crate::crypto::wrapping::{self, WrappingAlgorithm};
use crate::ground::error::{Error, Result};
use crate::ground::raw;

/// Size of the gate's key pair in bits; it lives for one call.
const GATE_BITS: u64 = 2048;

/// What a secret becomes in the HSM.
pub(super) struct Wanted<'a> {
    /// CKA_KEY_TYPE.
    pub key_type: KeyType,
    /// CKA_LABEL and CKA_ID; a throw-away key has none.
    pub name: Option<Name<'a>>,
    /// Its attributes.
    pub rules: &'a [attributes::Rule],
}

impl Wanted<'_> {
    fn template(&self, omitted: &[AttributeType]) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(self.key_type),
        ];
        template.extend(self.name.iter().flat_map(Name::attributes));
        template.extend(attributes::template(self.rules, omitted));
        template
    }
}

/// Hands a PIN to `login` as the wrapper's type. That type's heap copy is locked while it lives, and zeroized
/// before this returns.
pub(super) fn as_pin<T>(pin: &Locked, login: impl FnOnce(&RawAuthPin) -> T) -> T {
    raw::with_locked_copy(pin, |copy| {
        let pin = RawAuthPin::new(Box::new(copy));
        login(&pin)
    })
}

impl Hsm {
    /// Brings an AES key in as a session object, reads its attributes back and judges them.
    ///
    /// # Errors
    /// Exit 3 if the HSM accepts it in neither way, or makes a different key.
    pub(super) fn bring_in(
        &self,
        key: &Locked,
        rules: &[attributes::Rule],
    ) -> Result<ObjectHandle> {
        let wanted = Wanted {
            key_type: KeyType::AES,
            name: None,
            rules,
        };
        let handle = self.bring_in_secret(key, &wanted)?;
        self.read_back(handle, rules)?;
        Ok(handle)
    }

    /// The same for any secret; the caller judges it.
    ///
    /// # Errors
    /// Exit 3 if the HSM accepts it in neither way.
    pub(super) fn bring_in_secret(&self, key: &Locked, wanted: &Wanted) -> Result<ObjectHandle> {
        match self.create_secret(key, wanted) {
            Ok(handle) => Ok(handle),
            Err(e) if secrets_refused(&e) => self.bring_through_gate(key, wanted).map_err(|gate| {
                gate.hint(format!(
                    "C_CreateObject was refused before: {}",
                    fault(e).what
                ))
            }),
            Err(e) => Err(fault(e)),
        }
    }

    fn create_secret(&self, key: &Locked, wanted: &Wanted) -> Result<ObjectHandle, P11Error> {
        self.by_row(wanted.name, |omitted| {
            raw::with_locked_copy(key, |copy| {
                let mut template = wanted.template(omitted);
                template.insert(2, Attribute::Value(copy));
                let created = self.session.create_object(&template);
                wipe(template);
                created
            })
        })
    }

    /// The HSM makes a key pair, this computer encrypts under its public half, and the HSM unwraps.
    fn bring_through_gate(&self, key: &Locked, wanted: &Wanted) -> Result<ObjectHandle> {
        let (public, private) = self.make_gate()?;
        let brought = self.gate_key(public).and_then(|gate| {
            let mut last = Error::hsm("the HSM has no way in");
            for row in quirks::GATES {
                match self.unwrap_at_gate(key, wanted, private, &gate, *row) {
                    Ok(handle) => return Ok(handle),
                    Err(e) => last = e,
                }
            }
            Err(last)
        });
        for half in [public, private] {
            self.session.destroy_object(half).map_err(fault)?;
        }
        brought.map_err(|e| e.doing("bringing a key in under a key pair of the HSM"))
    }

    fn make_gate(&self) -> Result<(ObjectHandle, ObjectHandle)> {
        let mut public = attributes::template(&attributes::gate_public(), &[]);
        public.push(Attribute::ModulusBits(GATE_BITS.into()));
        public.push(Attribute::PublicExponent(vec![1, 0, 1]));
        let private = attributes::template(&attributes::gate_private(), &[]);
        self.session
            .generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)
            .map_err(|e| fault(e).doing("making a key pair to bring a key in"))
    }

    fn gate_key(&self, public: ObjectHandle) -> Result<WrappingKey> {
        let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
        let read = self
            .session
            .get_attributes(public, &wanted)
            .map_err(fault)?;
        let part = |is: fn(&Attribute) -> Option<&Vec<u8>>| read.iter().find_map(is);
        let modulus = part(|a| {
            if let Attribute::Modulus(n) = a {
                Some(n)
            } else {
                None
            }
        });
        let exponent = part(|a| {
            if let Attribute::PublicExponent(e) = a {
                Some(e)
            } else {
                None
            }
        });
        match (modulus, exponent) {
            (Some(n), Some(e)) => WrappingKey::from_parts(n, e),
            _ => Err(Error::hsm(
                "the HSM does not report the public key that it made",
            )),
        }
    }

    fn unwrap_at_gate(
        &self,
        key: &Locked,
        wanted: &Wanted,
        private: ObjectHandle,
        gate: &WrappingKey,
        algorithm: WrappingAlgorithm,
    ) -> Result<ObjectHandle> {
        self.unwrap_key(&Incoming {
            under: private,
            mechanism: &wrap::oaep(algorithm),
            wrapped: &wrapping::wrap(algorithm, gate, key)?,
            class: ObjectClass::SECRET_KEY,
            key_type: wanted.key_type,
            rules: wanted.rules,
            name: wanted.name,
        })
    }
}

/// Zeroizes the one secret value of a template; the wrapper's attribute types do not.
fn wipe(template: Vec<Attribute>) {
    for attribute in template {
        if let Attribute::Value(mut value) = attribute {
            value.zeroize();
        }
    }
}

/// What HSMs answer that refuse secrets in plain, as FIPS mode demands.
fn secrets_refused(error: &P11Error) -> bool {
    matches!(
        error,
        P11Error::Pkcs11(
            RvError::TemplateInconsistent
                | RvError::AttributeValueInvalid
                | RvError::ActionProhibited
                | RvError::FunctionNotSupported
                | RvError::KeyFunctionNotPermitted,
            _
        )
    )
}
