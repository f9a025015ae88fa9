//! Wrapping inside the HSM, and the one way out of it for `wrap_in = "host"`.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::{Hsm, Material, attributes, fault, quirks};
use crate::error::{Error, Result};
use crate::locked::Locked;
use crate::wrapping::{self, WrappingAlgorithm, key::WrappingKey};

/// An RSA public key as a session object of the HSM.
pub struct WrappingHandle {
    handle: ObjectHandle,
    modulus_len: usize,
}

/// The throw-away AES key under which key bytes travel from the HSM into locked memory.
pub struct Transport {
    handle: ObjectHandle,
    key: Locked,
    row: usize,
}

impl Hsm {
    /// Loads a judged RSA public key, reads it back, and compares.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses it or holds another key than it was given.
    pub fn load_wrapping_key(&self, key: &WrappingKey) -> Result<WrappingHandle> {
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
                    "the HSM holds another wrapping key than it was given: {why}"
                ))
                .check("WRAPPING-KEY-LOADED")
                .hint("this module cannot be trusted with wrapping; show this text to its vendor")
            })?;
        Ok(WrappingHandle {
            handle,
            modulus_len: key.modulus_len(),
        })
    }

    /// C_WrapKey: the HSM encrypts the key under the wrapping key. The result is exactly as long as
    /// the modulus (RFC 8017, section 7.1.1).
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses or the length is another one.
    pub fn wrap(
        &self,
        wrapping_key: &WrappingHandle,
        algorithm: WrappingAlgorithm,
        material: &Material,
    ) -> Result<Vec<u8>> {
        let mechanism = oaep(algorithm)?;
        let wrapped = self
            .session
            .wrap_key(&mechanism, wrapping_key.handle, material.handle)
            .map_err(fault)?;
        if wrapped.len() != wrapping_key.modulus_len {
            return Err(Error::hsm(format!(
                "C_WrapKey: {} bytes, where {algorithm} under this wrapping key gives {}",
                wrapped.len(),
                wrapping_key.modulus_len
            ))
            .check("WRAPPED-LENGTH"));
        }
        Ok(wrapped)
    }

    /// Takes a wrapping key out of the session.
    ///
    /// # Errors
    /// Exit 3 where C_DestroyObject fails.
    pub fn unload_wrapping_key(&self, key: WrappingHandle) -> Result<()> {
        self.session.destroy_object(key.handle).map_err(fault)
    }

    /// Makes a transport key: 32 bytes of the operating system's generator, known to locked memory
    /// and to a session object that can only wrap.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses it; exit 5 where memory or randomness fails.
    pub fn transport(&self) -> Result<Transport> {
        let mut key = Locked::zeroed(32)?;
        SysRng
            .try_fill_bytes(&mut key)
            .map_err(|e| Error::machine(format!("drawing a transport key: {e}")))?;
        let handle = self
            .bring_in(&key, &attributes::transport_key())
            .map_err(|e| e.doing("loading the transport key for wrap_in = \"host\""))?;
        Ok(Transport {
            handle,
            key,
            row: 0,
        })
    }

    /// Finds the AES-KW row that this module takes, by taking `control` out and comparing its key
    /// check value with the HSM's.
    ///
    /// # Errors
    /// Exit 3 where no row brings out the bytes that the HSM holds.
    pub fn prove_transport(&self, transport: &mut Transport, control: &Material) -> Result<()> {
        let mut last = Error::hsm("no way to take key bytes out");
        for (row, quirk) in quirks::AES_KEY_WRAPS.iter().enumerate() {
            transport.row = row;
            match self.take_out(transport, control) {
                Ok(bytes) if wrapping::check_values(&bytes)? == control.check => return Ok(()),
                Ok(_) => {
                    last = Error::hsm(format!(
                        "{} brought out other bytes than the HSM holds",
                        quirk.name
                    ))
                }
                Err(e) => last = e.doing(quirk.name),
            }
        }
        Err(last.check("CONTROL"))
    }

    /// The key's bytes in locked memory, through AES-KW under the transport key.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses or what it gives does not unwrap to a key of its length.
    pub fn take_out(&self, transport: &Transport, material: &Material) -> Result<Locked> {
        let mechanism = quirks::AES_KEY_WRAPS[transport.row].mechanism();
        let mut wrapped = self
            .session
            .wrap_key(&mechanism, transport.handle, material.handle)
            .map_err(fault)?;
        wrapped.truncate(material.len + 8); // NSS softokn reports more than it writes
        let mut bytes = Locked::zeroed(material.len)?;
        wrapping::aes_kw_unwrap(&transport.key, &wrapped, &mut bytes)
            .map_err(|why| Error::hsm(format!("C_WrapKey: {why}")))?;
        Ok(bytes)
    }

    /// Ends the transport key, here and in the HSM.
    ///
    /// # Errors
    /// Exit 3 where C_DestroyObject fails.
    pub fn end_transport(&self, transport: Transport) -> Result<()> {
        self.session.destroy_object(transport.handle).map_err(fault)
    }
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
        Err("it does not tell modulus and exponent".into())
    }
}

/// Big integers come with and without leading zero bytes.
fn unsigned(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// CKM_RSA_PKCS_OAEP with MGF1 of the same hash and an empty label, as KMS wants it
/// (PKCS#11 v2.40 section 2.1.8).
pub(super) fn oaep(algorithm: WrappingAlgorithm) -> Result<Mechanism<'static>> {
    let (hash, mgf) = match algorithm {
        WrappingAlgorithm::RsaesOaepSha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        WrappingAlgorithm::RsaesOaepSha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        other => return Err(Error::usage(format!("{other} does not wrap secret keys"))),
    };
    Ok(Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
        hash,
        mgf,
        PkcsOaepSource::empty(),
    )))
}
