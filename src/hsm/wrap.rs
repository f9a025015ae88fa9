//! Wrapping inside the HSM, and the one way for key bytes to leave it, for `wrap_in = "host"`.

use cryptoki::error::{Error as P11Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use super::check::unsigned;
use super::{Hsm, Material, attributes, fault, quirks};
use crate::crypto::locked::Locked;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::{self, WrappingAlgorithm, key::WrappingKey};
use crate::ground::error::{Again, Error, Result};
use crate::ground::raw::mechanism_type;

/// How long the buffer for C_WrapKey's answer is, in bytes. The longest one is an RSA-4096 key: some 2,400 bytes of PKCS#8, after an
/// AES key under RSA-4096.
const ROOM: usize = 8192;

/// An RSA public key as a session object of the HSM.
pub struct WrappingHandle {
    handle: ObjectHandle,
    modulus_len: usize,
}

/// How the HSM wraps with RSA_AES_KEY_WRAP: a control key decides. For RSAES-OAEP nothing is to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// CKM_RSA_AES_KEY_WRAP.
    OneCall,
    /// RSAES-OAEP of an ephemeral AES key, and AES-KWP under that key, by a row of the quirks table.
    TwoParts(usize),
}

impl Way {
    /// All ways, in the order in which they are tried.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let rows = 0..quirks::AES_KEY_WRAPS_PADDED.len();
        std::iter::once(Self::OneCall).chain(rows.map(Self::TwoParts))
    }

    /// Its name in the transcript.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneCall => quirks::RSA_AES_KEY_WRAP.name,
            Self::TwoParts(row) => quirks::AES_KEY_WRAPS_PADDED[row].name,
        }
    }
}

/// The throw-away AES key under which key bytes travel from the HSM into locked memory.
pub struct Transport {
    handle: ObjectHandle,
    key: Locked,
    rows: WrapRows,
}

/// The rows by which a module wraps with AES-KW and with AES-KWP.
#[derive(Clone, Copy, Default)]
pub(super) struct WrapRows {
    exact: usize,
    padded: usize,
}

impl WrapRows {
    /// How many rows there are for keys of this spec.
    pub(crate) fn count(spec: Spec) -> usize {
        Self::table(spec).len()
    }

    fn table(spec: Spec) -> &'static [quirks::Numbered] {
        match spec.needs_padding() {
            true => quirks::AES_KEY_WRAPS_PADDED,
            false => quirks::AES_KEY_WRAPS,
        }
    }

    /// Selects a row for keys of this spec's kind.
    pub(crate) fn set(&mut self, spec: Spec, row: usize) {
        match spec.needs_padding() {
            true => self.padded = row,
            false => self.exact = row,
        }
    }

    /// The mechanism for keys of this spec.
    pub(crate) fn of(self, spec: Spec) -> &'static quirks::Numbered {
        &Self::table(spec)[match spec.needs_padding() {
            true => self.padded,
            false => self.exact,
        }]
    }
}

impl Hsm {
    /// C_WrapKey: the one place that calls it, once, with room for any answer. The answer itself gives the length.
    /// Modules that are asked for the length first say too much, or too little (NSS softokn for AES-KWP), or take
    /// the question for the beginning of an operation (wolfPKCS11).
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or says that its answer is longer than the room for it.
    pub(super) fn wrap_key(
        &self,
        mechanism: &Mechanism,
        under: ObjectHandle,
        key: ObjectHandle,
    ) -> Result<Vec<u8>> {
        let wrapped = self.session.wrap_key(mechanism, under, key, vec![0; ROOM]);
        match wrapped {
            Ok((mut wrapped, len)) if len <= ROOM as u64 => {
                wrapped.shrink_to_fit(); // a plan has hundreds, and all are kept up to the outputs
                Ok(wrapped)
            }
            Ok((_, len)) => Err(too_long(format!(
                "C_WrapKey: the module says that it wrote {len} bytes into a buffer of {ROOM}"
            ))),
            Err(P11Error::Pkcs11(RvError::BufferTooSmall, _)) => Err(too_long(format!(
                "C_WrapKey: CKR_BUFFER_TOO_SMALL for a buffer of {ROOM} bytes"
            ))),
            Err(e) => Err(fault(e)),
        }
    }

    /// Loads an RSA public key that was judged, reads it back, and compares.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses it, or does not hold the key that it was given.
    pub(crate) fn load_wrapping_key(&self, key: &WrappingKey) -> Result<WrappingHandle> {
        let rules = attributes::wrapping_key();
        let mut template = vec![
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Modulus(key.modulus().to_vec()),
            Attribute::PublicExponent(key.public_exponent().to_vec()),
        ];
        template.extend(attributes::template(&rules, &[]));
        let loading = |e| fault(e).doing("loading the wrapping key");
        let handle = self.session.create_object(&template).map_err(loading)?;
        let mut kinds = attributes::kinds(&rules);
        kinds.extend([AttributeType::Modulus, AttributeType::PublicExponent]);
        let read = self
            .session
            .get_attributes(handle, &kinds)
            .map_err(loading)?;
        attributes::judge(&rules, &read)
            .and_then(|_| same_public_key(key, &read))
            .map_err(|why| {
                Error::hsm(format!(
                    "the HSM does not hold the wrapping key that it was given: {why}"
                ))
                .check("WRAPPING-KEY-LOADED")
                .hint("this module cannot be trusted with wrapping; show this text to its vendor")
            })?;
        Ok(WrappingHandle {
            handle,
            modulus_len: key.modulus_len(),
        })
    }

    /// C_WrapKey: the HSM encrypts the data key under the wrapping key. The result of RSAES-OAEP is exactly as long
    /// as the modulus (RFC 8017, section 7.1.1); RSA_AES_KEY_WRAP adds the AES-KWP of the data key.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or if the length is wrong.
    pub(crate) fn wrap(
        &self,
        wrapping_key: &WrappingHandle,
        algorithm: WrappingAlgorithm,
        way: Way,
        material: &Material,
    ) -> Result<Vec<u8>> {
        let wrapped = match (algorithm.is_rsa_aes(), way) {
            (false, _) => self.wrap_key(&oaep(algorithm), wrapping_key.handle, material.handle)?,
            (true, Way::OneCall) => self.wrap_rsa_aes(wrapping_key, algorithm, material)?,
            (true, Way::TwoParts(row)) => {
                self.wrap_in_two_parts(wrapping_key, algorithm, row, material)?
            }
        };
        let modulus_len = wrapping_key.modulus_len;
        let fits = match algorithm.is_rsa_aes() {
            false => wrapped.len() == modulus_len,
            true => wrapped.len() > modulus_len + 8 && wrapped.len().is_multiple_of(8),
        };
        if !fits {
            return Err(Error::hsm(format!(
                "C_WrapKey: {} bytes, a length that {algorithm} under a modulus of {modulus_len} bytes never gives",
                wrapped.len(),
            ))
            .check("WRAPPED-LENGTH"));
        }
        Ok(wrapped)
    }

    /// CKM_RSA_AES_KEY_WRAP with an ephemeral AES key of 256 bits.
    fn wrap_rsa_aes(
        &self,
        wrapping_key: &WrappingHandle,
        algorithm: WrappingAlgorithm,
        material: &Material,
    ) -> Result<Vec<u8>> {
        with_rsa_aes(algorithm, |mechanism| {
            self.wrap_key(mechanism, wrapping_key.handle, material.handle)
        })
        .map_err(|e| e.doing(quirks::RSA_AES_KEY_WRAP.name))
    }

    /// The same in two parts: the HSM makes an AES key, wraps it under the wrapping key, and wraps the data key
    /// under the AES key.
    fn wrap_in_two_parts(
        &self,
        wrapping_key: &WrappingHandle,
        algorithm: WrappingAlgorithm,
        row: usize,
        material: &Material,
    ) -> Result<Vec<u8>> {
        let ephemeral = self.generate_aes(&attributes::ephemeral_key())?;
        let parts = || -> Result<Vec<u8>> {
            let mut wrapped = self
                .wrap_key(&oaep(algorithm), wrapping_key.handle, ephemeral)
                .map_err(|e| e.doing(algorithm.oaep().name()))?;
            if wrapped.len() != wrapping_key.modulus_len {
                return Err(
                    Error::hsm(format!("C_WrapKey: {} bytes of OAEP", wrapped.len()))
                        .check("WRAPPED-LENGTH"),
                );
            }
            let padded = &quirks::AES_KEY_WRAPS_PADDED[row];
            wrapped.extend(
                self.wrap_key(&padded.mechanism(), ephemeral, material.handle)
                    .map_err(|e| e.doing(padded.name))?,
            );
            Ok(wrapped)
        };
        let wrapped = parts();
        self.session.destroy_object(ephemeral).map_err(fault)?;
        wrapped
    }

    /// Removes a wrapping key from the session.
    ///
    /// # Errors
    /// Exit 3 if C_DestroyObject fails.
    pub(crate) fn unload_wrapping_key(&self, key: WrappingHandle) -> Result<()> {
        self.session.destroy_object(key.handle).map_err(fault)
    }

    /// Makes a transport key: 32 bytes from the operating system's generator, held only in locked memory and in a
    /// session object that can only wrap.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses it; exit 5 if memory or randomness fails.
    pub(crate) fn transport(&self) -> Result<Transport> {
        let key = Locked::random(32, "a transport key")?;
        let handle = self
            .bring_in(&key, &attributes::transport_key())
            .map_err(|e| e.doing("loading the transport key for wrap_in = \"host\""))?;
        Ok(Transport {
            handle,
            key,
            rows: WrapRows::default(),
        })
    }

    /// Finds the row that this module accepts for keys of the control key's kind: it takes `control` out and compares
    /// its check values with the HSM's.
    ///
    /// # Errors
    /// Exit 3 if no row yields the bytes that the HSM holds.
    pub(crate) fn prove_transport(
        &self,
        transport: &mut Transport,
        control: &Material,
    ) -> Result<()> {
        let mut told: Option<Error> = None;
        for row in 0..WrapRows::count(control.spec) {
            transport.rows.set(control.spec, row);
            let refused = match self.take_out(transport, control) {
                Ok(bytes) => match wrapping::check_values(control.spec, &bytes) {
                    Ok(check) if check == control.check => return Ok(()),
                    _ => Error::hsm("the bytes that came out are not those that the HSM holds"),
                },
                Err(lost) if super::session_was_lost(&lost) => return Err(lost),
                Err(e) => e,
            };
            let tells_more = |told: &Error| super::tells_more(&refused, told);
            if told.as_ref().is_none_or(tells_more) {
                told = Some(refused.doing(transport.rows.of(control.spec).name));
            }
        }
        let none = || Error::hsm("the HSM has no way to take key bytes out");
        Err(told.unwrap_or_else(none).check("CONTROL"))
    }

    /// The key's bytes in locked memory, by AES-KW or AES-KWP under the transport key. For a private key, exactly
    /// its PKCS#8: what a module appends is cut off.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or if its answer does not unwrap to such a key.
    pub(crate) fn take_out(&self, transport: &Transport, material: &Material) -> Result<Locked> {
        let mechanism = transport.rows.of(material.spec).mechanism();
        let wrapped = self.wrap_key(&mechanism, transport.handle, material.handle)?;
        wrapping::open_wrapped(material.spec, &transport.key, &wrapped).map(|opened| opened.bytes)
    }

    /// Destroys the transport key, here and in the HSM.
    ///
    /// # Errors
    /// Exit 3 if C_DestroyObject fails.
    pub(crate) fn end_transport(&self, transport: Transport) -> Result<()> {
        self.session.destroy_object(transport.handle).map_err(fault)
    }
}

fn too_long(what: String) -> Error {
    Error::hsm(what)
        .again(Again::Never)
        .check("WRAPPED-LENGTH")
        .hint("no wrapped key is that long: this module cannot wrap in this way; show this text to its vendor")
}

fn same_public_key(key: &WrappingKey, read: &[Attribute]) -> Result<(), String> {
    for attribute in read {
        match attribute {
            Attribute::Modulus(n) if unsigned(n) != key.modulus() => {
                return Err("CKA_MODULUS differs".into());
            }
            Attribute::PublicExponent(e) if unsigned(e) != key.public_exponent() => {
                return Err("CKA_PUBLIC_EXPONENT differs".into());
            }
            _ => {}
        }
    }
    let told = |wanted: fn(&Attribute) -> bool| read.iter().any(wanted);
    if told(|a| matches!(a, Attribute::Modulus(_)))
        && told(|a| matches!(a, Attribute::PublicExponent(_)))
    {
        Ok(())
    } else {
        Err("it does not report modulus and exponent".into())
    }
}

/// CKM_RSA_PKCS_OAEP with MGF1 of the same hash and an empty label, as KMS demands
/// (PKCS#11 v2.40 section 2.1.8).
pub(super) fn oaep(algorithm: WrappingAlgorithm) -> Mechanism<'static> {
    Mechanism::RsaPkcsOaep(oaep_params(algorithm))
}

fn oaep_params(algorithm: WrappingAlgorithm) -> PkcsOaepParams<'static> {
    let (hash, mgf) = match algorithm.oaep() {
        WrappingAlgorithm::RsaesOaepSha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        _ => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
    };
    PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty())
}

/// CK_RSA_AES_KEY_WRAP_PARAMS (PKCS#11 v2.40, section 2.1.21).
#[repr(C)]
struct RsaAesParams<'a> {
    aes_key_bits: u64,
    oaep: &'a PkcsOaepParams<'static>,
}

/// The mechanism points to its parameters, which live for the call.
fn with_rsa_aes<T>(algorithm: WrappingAlgorithm, call: impl FnOnce(&Mechanism) -> T) -> T {
    let oaep = oaep_params(algorithm);
    let params = RsaAesParams {
        aes_key_bits: 256,
        oaep: &oaep,
    };
    let number = mechanism_type(quirks::RSA_AES_KEY_WRAP.number);
    call(&Mechanism::VendorDefined(VendorDefinedMechanism::new(
        number,
        Some(&params),
    )))
}
