//! What the HSM computes with a data key, so that people can tell the key from others: the check values of each
//! type, the proof that the HSM holds a private key, and the length of an HMAC key.

use cryptoki::error::{Error as P11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use zeroize::Zeroizing;

use super::{Hsm, Material, attributes, fault, quirks};
use crate::crypto::locked::Locked;
use crate::crypto::random;
use crate::crypto::spec::{Curve, HmacHash, Spec};
use crate::crypto::wrapping::{self, CheckValues, public};
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

/// Every text that a data key signs to prove itself begins with this.
const POSSESSION: &str = "byok-ceremony possession challenge v1";

/// What is known about an HMAC key's length.
pub(super) enum Length {
    /// The length that the spec demands.
    Right,
    /// Another length: which.
    Another(String),
    /// The module does not report it.
    Unknown,
}

/// What a module reports about a public key object.
pub(super) struct Told {
    pub(super) point: Option<Vec<u8>>,
    modulus: Option<Vec<u8>>,
}

impl Told {
    /// Whether this can be the public half of the key with these check values. A missing value is not a
    /// contradiction: the private half has proved itself.
    pub(crate) fn is_of(&self, spec: Spec, check: &CheckValues) -> bool {
        let Some(spki) = &check.public_key else {
            return false;
        };
        match (spec, &self.point, &self.modulus) {
            (Spec::Ec(curve), Some(point), _) => {
                let told = public::from_point(curve, bare_point(point));
                told.is_ok_and(|told| told == *spki)
            }
            (Spec::Rsa { .. }, _, Some(modulus)) => {
                let modulus = unsigned(modulus);
                !modulus.is_empty() && spki.windows(modulus.len()).any(|part| part == modulus)
            }
            _ => true,
        }
    }
}

impl Hsm {
    /// The check values of a key, computed by the HSM.
    pub(super) fn check_values(&self, handle: ObjectHandle, spec: Spec) -> Result<CheckValues> {
        match spec {
            Spec::Symmetric { .. } | Spec::Aes { .. } => self.of_aes(handle),
            Spec::Hmac { hash, .. } => self.of_hmac(handle, hash),
            Spec::Ec(curve) => self.of_ec(handle, curve),
            Spec::Ed25519 => self.of_ed25519(handle),
            Spec::Rsa { bits } => self.of_rsa(handle, bits),
        }
        .map_err(|e| match spec.is_private() {
            true => e.doing("having it sign a challenge"),
            false => e.doing("computing the key check value and the fingerprint"),
        })
    }

    fn of_aes(&self, handle: ObjectHandle) -> Result<CheckValues> {
        let zeros = Zeroizing::new(self.encrypt_block(handle, &[0; 16]).map_err(fault)?);
        let text = wrapping::fingerprint_text();
        let mut fingerprint = [0; 32];
        for (half, block) in fingerprint.chunks_mut(16).zip(text.chunks(16)) {
            half.copy_from_slice(&self.encrypt_block(handle, block).map_err(fault)?);
        }
        Ok(CheckValues::of_aes(&zeros, &fingerprint))
    }

    fn of_hmac(&self, handle: ObjectHandle, hash: HmacHash) -> Result<CheckValues> {
        let mechanism = match hash {
            HmacHash::Sha224 => Mechanism::Sha224Hmac,
            HmacHash::Sha256 => Mechanism::Sha256Hmac,
            HmacHash::Sha384 => Mechanism::Sha384Hmac,
            HmacHash::Sha512 => Mechanism::Sha512Hmac,
        };
        let mac = self
            .session
            .sign(&mechanism, handle, wrapping::FINGERPRINT_TEXT)
            .map_err(fault)?;
        if mac.len() != hash.bytes() {
            return Err(Error::hsm(format!("C_Sign: {} bytes of HMAC", mac.len())));
        }
        Ok(CheckValues::of_hmac(&mac))
    }

    /// Most modules do not report the point of an unwrapped private key; two signatures reveal it.
    fn of_ec(&self, handle: ObjectHandle, curve: Curve) -> Result<CheckValues> {
        let sign = || -> Result<(Vec<u8>, Vec<u8>)> {
            let digest = public::digest_for(curve, &challenge(POSSESSION)?);
            let signature = self
                .session
                .sign(&Mechanism::Ecdsa, handle, &digest)
                .map_err(fault)?;
            Ok((digest, signature))
        };
        public::from_signatures(curve, &[sign()?, sign()?]).map(CheckValues::of_public_key)
    }

    /// Its signature does not reveal the public key, and few modules tell that of a private key: the key is looked for
    /// among those that this module told when it made a pair, and those that came from elsewhere.
    fn of_ed25519(&self, handle: ObjectHandle) -> Result<CheckValues> {
        let wanted = [AttributeType::EcPoint, AttributeType::PublicKeyInfo];
        for kind in wanted {
            let told = self.session.get_attributes(handle, &[kind]);
            for attribute in told.unwrap_or_default() {
                if let Attribute::EcPoint(told) | Attribute::PublicKeyInfo(told) = attribute {
                    self.may_be(&told);
                }
            }
        }
        let challenge = challenge(POSSESSION)?;
        let scheme = EddsaParams::new(EddsaSignatureScheme::Ed25519);
        let signature = self
            .session
            .sign(&Mechanism::Eddsa(scheme), handle, &challenge)
            .map_err(fault)?;
        let known = self.public_keys.borrow();
        public::from_eddsa(known.iter().rev(), &challenge, &signature)
            .map(CheckValues::of_public_key)
    }

    /// Keeps what may be the public half of an Ed25519 key of this token: a SubjectPublicKeyInfo, or a point with or
    /// without its OCTET STRING, which all end with the key. A signature decides.
    pub(crate) fn may_be(&self, told: &[u8]) {
        let mut known = self.public_keys.borrow_mut();
        if let Some(key) = told.last_chunk().filter(|key| !known.contains(*key)) {
            known.push(*key);
        }
    }

    fn of_rsa(&self, handle: ObjectHandle, bits: usize) -> Result<CheckValues> {
        let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
        let read = self
            .session
            .get_attributes(handle, &wanted)
            .map_err(fault)?;
        let (mut modulus, mut exponent) = (None, None);
        for attribute in &read {
            match attribute {
                Attribute::Modulus(n) => modulus = Some(unsigned(n)),
                Attribute::PublicExponent(e) => exponent = Some(unsigned(e)),
                _ => {}
            }
        }
        let modulus = modulus.ok_or_else(|| Error::hsm("the HSM does not report its modulus"))?;
        if modulus.len() * 8 != bits {
            return Err(Error::hsm(format!(
                "its modulus is {} bytes long",
                modulus.len()
            )));
        }
        let challenge = challenge(POSSESSION)?;
        let signature = self.rsa_signature(handle, &challenge)?;
        let exponent = exponent.filter(|e| !e.is_empty()).unwrap_or(&[1, 0, 1]);
        public::from_rsa(modulus, exponent, &challenge, &signature).map(CheckValues::of_public_key)
    }

    /// With the first row that this module knows.
    fn rsa_signature(&self, handle: ObjectHandle, text: &[u8]) -> Result<Vec<u8>> {
        let sign = |row: &quirks::RsaSignature| {
            self.session
                .sign(&row.mechanism, handle, &(row.input)(text))
        };
        let (usual, others) = (&quirks::RSA_SIGNATURES[0], &quirks::RSA_SIGNATURES[1..]);
        let unknown = match sign(usual) {
            Err(e) if mechanism_unknown(&e) => fault(e), // the most informative error
            answered => return answered.map_err(fault),
        };
        let signed = others.iter().find_map(|row| sign(row).ok());
        signed.ok_or(unknown)
    }

    /// What the module reports about a public key; a module that reports nothing is accepted.
    pub(super) fn told_of(&self, public: ObjectHandle) -> Told {
        let one = |kind| {
            self.session
                .get_attributes(public, &[kind])
                .unwrap_or_default()
        };
        let point = one(AttributeType::EcPoint)
            .into_iter()
            .find_map(|a| match a {
                Attribute::EcPoint(point) if !point.is_empty() => Some(point),
                _ => None,
            });
        let modulus = one(AttributeType::Modulus)
            .into_iter()
            .find_map(|a| match a {
                Attribute::Modulus(n) if !n.is_empty() => Some(n),
                _ => None,
            });
        Told { point, modulus }
    }

    /// Whether an HMAC key is as long as its spec says. For other types the check values show it.
    pub(super) fn length(&self, handle: ObjectHandle, spec: Spec) -> Result<Length> {
        match spec {
            Spec::Hmac { bytes, .. } => self.secret_length(handle, bytes),
            _ => Ok(Length::Right),
        }
    }

    /// Whether a secret has this length in bytes. If the module does not report it (SoftHSM after C_UnwrapKey),
    /// wrapping under a throw-away key of the HSM shows it, up to the next multiple of 8 bytes.
    pub(super) fn secret_length(&self, handle: ObjectHandle, bytes: usize) -> Result<Length> {
        let read = self
            .session
            .get_attributes(handle, &[AttributeType::ValueLen])
            .unwrap_or_default();
        let told = read.iter().find_map(|attribute| match attribute {
            Attribute::ValueLen(len) => Some(u64::from(*len)),
            _ => None,
        });
        match told.filter(|told| *told != 0) {
            Some(told) if told == bytes as u64 => Ok(Length::Right),
            Some(told) => Ok(Length::Another(format!("{told} bytes, not {bytes}"))),
            None => self.probed_length(handle, bytes),
        }
    }

    /// AES-KW and AES-KWP add 8 bytes to the length, rounded up. AES-KW is for multiples of 8 bytes, but
    /// SoftHSM pads whatever it is given: there, 28 bytes look like 32.
    fn probed_length(&self, handle: ObjectHandle, bytes: usize) -> Result<Length> {
        let probe = self.generate_aes(&attributes::transport_key())?;
        let wrapped_len = |rows: &[quirks::Numbered]| {
            rows.iter().find_map(|row| {
                let wrapped = self.wrap_key(&row.mechanism(), probe, handle);
                wrapped.ok().map(|wrapped| wrapped.len())
            })
        };
        let (exact, rounded) = (
            wrapped_len(quirks::AES_KEY_WRAPS),
            wrapped_len(quirks::AES_KEY_WRAPS_PADDED),
        );
        self.session.destroy_object(probe).map_err(fault)?;
        let Some(wrapped) = exact.or(rounded) else {
            return Ok(Length::Unknown);
        };
        Ok(match wrapped == wrapping::kwp_len(bytes) {
            true if exact.is_some() == bytes.is_multiple_of(8) => Length::Right,
            true => Length::Unknown,
            false => Length::Another(format!("about {} bytes, not {bytes}", wrapped - 8)),
        })
    }

    /// A session AES key of 32 bytes that the HSM makes for one step.
    pub(super) fn generate_aes(&self, rules: &[attributes::Rule]) -> Result<ObjectHandle> {
        use cryptoki::object::{KeyType, ObjectClass};
        let template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
        ];
        let handle = self
            .by_row(None, |omitted| {
                let mut template = template.clone();
                template.extend(attributes::template(rules, omitted));
                self.session.generate_key(&Mechanism::AesKeyGen, &template)
            })
            .map_err(|e| fault(e).doing("making a key for one step"))?;
        self.read_back(handle, rules)?;
        Ok(handle)
    }

    /// Finds the row with which this module encrypts blocks; other types need none.
    pub(super) fn learn_block_cipher(&mut self, handle: ObjectHandle, spec: Spec) -> Result<()> {
        if spec.is_aes() {
            self.cipher = self.find_block_cipher(handle)?;
        }
        Ok(())
    }

    fn find_block_cipher(&self, handle: ObjectHandle) -> Result<usize> {
        let encrypt =
            |row: &quirks::BlockCipher| self.session.encrypt(&row.mechanism, handle, &[0; 16]);
        let mut refused: Option<Error> = None;
        for (at, row) in quirks::BLOCK_CIPHERS.iter().enumerate() {
            let why = match encrypt(row) {
                Ok(block) if block.len() == 16 => return Ok(at),
                Ok(block) => Error::hsm(format!("{} gave {} bytes", row.name, block.len())),
                Err(e) => fault(e).doing(row.name),
            };
            // The first failure may have caused the next.
            refused = Some(match refused {
                None => why,
                Some(first) => Error {
                    what: format!("{}; {}", first.what, why.what),
                    ..first
                },
            });
            if refused.as_ref().is_some_and(super::session_was_lost) {
                break; // the row is not to blame
            }
        }
        let none = || Error::hsm("no block cipher");
        Err(refused
            .unwrap_or_else(none)
            .doing("computing a key check value"))
    }

    /// A question that only the holder of an AES key can answer: 32 random bytes under AES-GCM, as nonce, ciphertext and
    /// tag; and the SHA-256 of the bytes, which are wiped. `None`: this HSM does not do it.
    ///
    /// # Errors
    /// Exit 3 if the session is lost; exit 5 if memory or randomness fails.
    pub(crate) fn challenge(&self, key: &Material) -> Result<Option<(Vec<u8>, Digest)>> {
        const TAG: usize = 16;
        let mut bytes = Locked::zeroed(32)?;
        self.random(&mut bytes)?;
        let mut nonce: [u8; 12] = random::array("a nonce")?;
        let bits = cryptoki::types::Ulong::new(TAG as u64 * 8);
        let parameters = GcmParams::new(&mut nonce, &[], bits).map_err(fault)?;
        let encrypted = self
            .session
            .encrypt(&Mechanism::AesGcm(parameters), key.handle, &bytes)
            .map_err(fault);
        match encrypted {
            Ok(encrypted) if encrypted.len() == bytes.len() + TAG => Ok(Some((
                [&nonce[..], &encrypted].concat(),
                words::sha256(&bytes),
            ))),
            Err(e) if super::went_away(&e) => Err(e.doing("AES-GCM of a challenge")),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    fn encrypt_block(&self, handle: ObjectHandle, block: &[u8]) -> Result<[u8; 16], P11Error> {
        let cipher = &quirks::BLOCK_CIPHERS[self.cipher];
        let encrypted = Zeroizing::new(self.session.encrypt(&cipher.mechanism, handle, block)?);
        Ok(encrypted.as_slice().try_into()?)
    }
}

fn mechanism_unknown(error: &P11Error) -> bool {
    matches!(
        error,
        P11Error::Pkcs11(RvError::MechanismInvalid | RvError::FunctionNotSupported, _)
    )
}

/// Bytes whose digest or signature serves nothing else: `text` and 32 random bytes.
pub(super) fn challenge(text: &str) -> Result<Vec<u8>> {
    let random: [u8; 32] = random::array("a challenge")?;
    Ok([text.as_bytes(), &random].concat())
}

/// The standard demands a point in an OCTET STRING (PKCS#11 v2.40, section 2.3.3); some modules omit that.
pub(super) fn bare_point(value: &[u8]) -> &[u8] {
    match value {
        [0x04, len, point @ ..] if point.len() == usize::from(*len) && *len < 0x80 => point,
        [0x04, 0x81, len, point @ ..] if point.len() == usize::from(*len) => point,
        point => point,
    }
}

/// Big integers may have leading zero bytes, or none.
pub(super) fn unsigned(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
