//! The key pair in the HSM that signs transcripts: ECDSA on P-256 (FIPS 186-5).

use cryptoki::error::Error as P11Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use super::check::{bare_point, challenge};
use super::keys::{Name, THROW_AWAY_LABEL, sees_private_objects};
use super::{Hsm, Session, attributes, fault};
use crate::crypto::key_id::KeyId;
use crate::crypto::key_id::SIGNER_LABEL;
use crate::crypto::spec::Curve;
use crate::crypto::sshsig::PublicKey;
use crate::ground::error::{Error, Result};
use crate::ground::facts::Attributes;
use crate::ground::words;

/// Length of an uncompressed point on P-256.
const POINT: usize = 65;

/// A private key in the token that has proved that it signs for its public key.
#[derive(Clone)]
pub(crate) struct SigningKey {
    /// CKA_ID, of any length if byok did not make it.
    id: Vec<u8>,
    /// The public half.
    pub public: PublicKey,
    /// The private half's attributes that were read back.
    pub attributes: Attributes,
}

/// A private key found by the signer's label.
pub(crate) struct FoundSigner {
    /// CKA_ID in lower-case hex.
    pub id: String,
    /// The key, or why byok cannot use it.
    pub key: Result<SigningKey>,
}

impl SigningKey {
    /// CKA_ID in lower-case hex.
    pub(crate) fn id(&self) -> String {
        words::hex(&self.id)
    }
}

impl Hsm {
    /// Every private EC key in the token that has the signers' label.
    ///
    /// # Errors
    /// Exit 3 if the search fails.
    pub(crate) fn signers(&self) -> Result<Vec<FoundSigner>> {
        let searching = |e| fault(e).doing("looking for the transcript signer");
        sees_private_objects(&self.session)?; // otherwise byok would make a second one
        let template = private_half(None);
        let handles = self.session.find_objects(&template).map_err(searching)?;
        let mut found = Vec::with_capacity(handles.len());
        for handle in handles {
            let id = self.id_of(handle).map_err(searching)?;
            let key = self
                .point_of(&id, handle)
                .and_then(|point| self.judged_signer(handle, id.clone(), &point));
            found.push(FoundSigner {
                id: words::hex(&id),
                key,
            });
        }
        Ok(found)
    }

    /// Makes a key pair with this CKA_ID and judges it.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or if the pair is not what byok asked for. Objects may then exist: the caller
    /// destroys the objects with the label and this id.
    pub(crate) fn make_signer(&self, id: KeyId) -> Result<SigningKey> {
        self.make_pair(SIGNER_LABEL, id).map(|(key, _)| key)
    }

    fn make_pair(&self, label: &str, id: KeyId) -> Result<(SigningKey, ObjectHandle)> {
        let token = true;
        let (public, private) = self.generate_pair(Name { label, id, token })?;
        let point = self.point_in(public)?;
        let key = self.judged_signer(private, id.bytes().to_vec(), &point)?;
        Ok((key, private))
    }

    /// Makes a pair as for a signer, as token objects, has it sign, and destroys it: this shows whether the HSM
    /// could have a signer.
    ///
    /// # Errors
    /// Exit 3 if that failed, or if the pair could not be destroyed.
    pub(crate) fn try_signer(&self) -> Result<()> {
        let id = KeyId::random()?;
        let tried = self
            .make_pair(THROW_AWAY_LABEL, id)
            .and_then(|(key, private)| {
                let digest = challenge_digest()?;
                let signature = sign_in(&self.session, private, &digest)?;
                proved(&key, &digest, &signature)
            });
        self.taken_back(id)?;
        tried
    }

    /// Has the HSM sign a fresh challenge, and verifies the signature in software.
    ///
    /// # Errors
    /// Exit 3 if the HSM does not sign, or if the signature is not by the public key beside it.
    pub(crate) fn prove_signer(&self, key: &SigningKey) -> Result<()> {
        let digest = challenge_digest()?;
        let signature = self
            .sign(key, &digest)
            .map_err(|e| e.doing("having the transcript signer sign a challenge"))?;
        proved(key, &digest, &signature)
    }

    /// C_Sign with CKM_ECDSA over a digest: `r` and `s`, 32 bytes each.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or if the signature has another length.
    pub(crate) fn sign(&self, key: &SigningKey, digest: &[u8; 32]) -> Result<[u8; 64]> {
        // In a session of its own: an earlier failure may have left an operation open in the other session.
        let own = self.context.open_rw_session(self.token.slot);
        let session = own.as_ref().unwrap_or(&self.session);
        sees_private_objects(session)?;
        let template = private_half(Some(&key.id));
        let found = session.find_objects(&template).map_err(fault)?;
        match found.as_slice() {
            [handle] => sign_in(session, *handle, digest),
            other => Err(Error::hsm(format!(
                "the token shows {} transcript signers with CKA_ID {}",
                other.len(),
                key.id()
            ))),
        }
    }

    fn generate_pair(&self, name: Name) -> Result<(ObjectHandle, ObjectHandle)> {
        let made = self.by_row(Some(name), |omitted| {
            let mut public = vec![Attribute::EcParams(Curve::P256.params().to_vec())];
            public.extend(name.attributes());
            public.extend(attributes::template(&attributes::signing_public(), omitted));
            let mut private = name.attributes().to_vec();
            private.extend(attributes::template(
                &attributes::signing_private(),
                omitted,
            ));
            self.session
                .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        });
        made.map_err(|e| fault(e).doing("making a key pair on P-256"))
    }

    fn judged_signer(
        &self,
        private: ObjectHandle,
        id: Vec<u8>,
        point: &[u8; POINT],
    ) -> Result<SigningKey> {
        let rules = [
            attributes::signing_private().as_slice(),
            attributes::GENERATED,
        ]
        .concat();
        let read = self
            .session
            .get_attributes(private, &attributes::kinds(&rules))
            .map_err(|e| fault(e).doing("reading the transcript signer's attributes back"))?;
        let attributes = attributes::judge(&rules, &read).map_err(|deviations| {
            Error::hsm(format!(
                "the transcript signer is not what it must be: {deviations}"
            ))
            .check(super::ATTRIBUTES)
        })?;
        Ok(SigningKey {
            id,
            public: PublicKey::p256(point),
            attributes,
        })
    }

    fn id_of(&self, handle: ObjectHandle) -> Result<Vec<u8>, P11Error> {
        let read = self.session.get_attributes(handle, &[AttributeType::Id])?;
        Ok(match read.into_iter().next() {
            Some(Attribute::Id(id)) => id,
            _ => Vec::new(),
        })
    }

    /// The point of the public half, an object beside the private half; some HSMs report it for the private half
    /// too.
    fn point_of(&self, id: &[u8], private: ObjectHandle) -> Result<[u8; POINT]> {
        let template = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::EC),
            Attribute::Label(SIGNER_LABEL.into()),
            Attribute::Id(id.to_vec()),
        ];
        let halves = self.session.find_objects(&template).map_err(fault)?;
        match halves.as_slice() {
            [public] => self.point_in(*public),
            [] => self.point_in(private).map_err(|_| {
                Error::hsm("its public half is not in the token")
                    .hint("a pair that byok makes has both halves, with the same label and CKA_ID")
            }),
            _ => Err(Error::hsm(
                "the token holds several public keys with its label and CKA_ID",
            )),
        }
    }

    fn point_in(&self, handle: ObjectHandle) -> Result<[u8; POINT]> {
        let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
        let read = self
            .session
            .get_attributes(handle, &wanted)
            .map_err(|e| fault(e).doing("reading the transcript signer's public key"))?;
        let on_p256 = read.contains(&Attribute::EcParams(Curve::P256.params().to_vec()));
        let told = read.iter().find_map(|attribute| match attribute {
            Attribute::EcPoint(told) => point(told),
            _ => None,
        });
        told.filter(|_| on_p256).ok_or_else(|| {
            Error::hsm("the HSM reports no point on P-256 for the transcript signer")
        })
    }
}

/// The template that finds private halves: all of them, or the one with a CKA_ID.
fn private_half(id: Option<&[u8]>) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(true),
        Attribute::Label(SIGNER_LABEL.into()),
    ];
    template.extend(id.map(|id| Attribute::Id(id.to_vec())));
    template
}

/// An uncompressed point on P-256.
fn point(value: &[u8]) -> Option<[u8; POINT]> {
    let point: [u8; POINT] = bare_point(value).try_into().ok()?;
    (point[0] == 4).then_some(point)
}

/// A digest that stands for nothing else.
fn challenge_digest() -> Result<[u8; 32]> {
    challenge("byok-ceremony signer challenge v1").map(|text| words::sha256(&text))
}

fn sign_in(session: &Session, handle: ObjectHandle, digest: &[u8; 32]) -> Result<[u8; 64]> {
    let signature = session
        .sign(&Mechanism::Ecdsa, handle, digest)
        .map_err(fault)?;
    let len = signature.len();
    signature
        .try_into()
        .map_err(|_| Error::hsm(format!("C_Sign: {len} bytes of ECDSA on P-256, not 64")))
}

fn proved(key: &SigningKey, digest: &[u8; 32], signature: &[u8; 64]) -> Result<()> {
    if key.public.signed_digest(digest, signature) {
        return Ok(());
    }
    Err(
        Error::hsm("the HSM's signature is not by the public key beside the signing key")
            .check("SIGNER"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_wrapped_and_bare() {
        let mut bare = [7; POINT];
        bare[0] = 4;
        let wrapped = [&[0x04, 0x41][..], &bare].concat();
        assert_eq!(point(&wrapped), Some(bare));
        assert_eq!(point(&bare), Some(bare));
        bare[0] = 2;
        assert_eq!(point(&bare), None);
        assert_eq!(point(&wrapped[1..]), None);
        assert_eq!(point(&[]), None);
    }
}
