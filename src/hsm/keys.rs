//! Data keys in the HSM: found, generated, judged, told apart by check values, destroyed.

use std::fmt;
use std::path::Path;

use cryptoki::context::Function;
use cryptoki::error::{Error as P11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::{Attributes, Hsm, Life, attributes, fault, quirks};
use crate::error::{Error, Result};
use crate::words;
use crate::wrapping::{self, CheckValues};

/// A CKA_ID: 16 random bytes, drawn before the key is made and written down first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Stands for a CKA_ID that byok did not make, which may have any length.
    const NOT_OURS: Self = Self([0; 16]);

    /// A fresh one from the operating system's generator.
    ///
    /// # Errors
    /// Exit 5 where that generator fails.
    pub fn random() -> Result<Self> {
        let mut id = [0; 16];
        SysRng
            .try_fill_bytes(&mut id)
            .map_err(|e| Error::machine(format!("drawing a CKA_ID: {e}")))?;
        Ok(Self(id))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn attribute(self) -> Attribute {
        Attribute::Id(self.0.into())
    }

    /// Reads 32 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        words::unhex(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::hex(&self.0))
    }
}

/// The command by which a person removes an object that byok could not, ready for a shell. The transcript
/// signer has two halves, which take two commands on one line.
pub fn removal_command(module: &Path, token: &str, label: &str, id: KeyId) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let command = |kind: &str| {
        format!(
            "pkcs11-tool --module {} --token-label {} --login --delete-object --type {kind} --id {id}",
            quoted(&module.display().to_string()),
            quoted(token),
        )
    };
    match label {
        super::SIGNER_LABEL => format!("{}; {}", command("privkey"), command("pubkey")),
        _ => command("secrkey"),
    }
}

/// Something in the token that carries a label, as far as people need to recognise it.
#[derive(Clone, Debug)]
pub struct Object {
    /// CKO_… class, as the PKCS#11 wrapper names it.
    pub class: String,
    /// CKA_ID in lower-case hex.
    pub id: String,
}

/// A secret key in the HSM, known here only by its handle and what the HSM computes with it.
pub struct Material {
    pub(super) handle: ObjectHandle,
    /// Length in bytes.
    pub(super) len: usize,
    /// What was read back of it.
    pub attributes: Attributes,
    /// What tells it apart from other keys.
    pub check: CheckValues,
}

/// Material that has a name and an id in the token.
pub struct DataKey {
    /// CKA_LABEL, the plan's label.
    pub label: String,
    /// CKA_ID.
    pub id: KeyId,
    /// Where it lives.
    pub life: Life,
    /// The key itself.
    pub material: Material,
}

/// A secret key that was in the token already.
pub struct Found {
    handle: ObjectHandle,
    len: usize,
    /// CKA_ID in lower-case hex.
    pub id: String,
    /// Whether it may be wrapped.
    pub extractable: bool,
    /// How it differs from a data key as it is made.
    pub deviations: Option<String>,
    attributes: Attributes,
    check: Option<CheckValues>,
}

impl Found {
    /// Its check values, where the HSM computes them.
    pub fn check(&self) -> Option<&CheckValues> {
        self.check.as_ref()
    }

    /// Whether it is the data key of this fingerprint.
    pub fn is(&self, fingerprint: &words::Digest) -> bool {
        self.check
            .as_ref()
            .is_some_and(|check| check.fingerprint == *fingerprint)
    }

    /// As a data key to be wrapped.
    pub fn into_data_key(self, label: &str) -> Option<DataKey> {
        let material = Material {
            handle: self.handle,
            len: self.len,
            attributes: self.attributes,
            check: self.check?,
        };
        let id = KeyId::from_hex(&self.id).unwrap_or(KeyId::NOT_OURS);
        Some(DataKey {
            label: label.to_owned(),
            id,
            life: Life::Token,
            material,
        })
    }
}

impl Material {
    /// Length in bytes.
    #[allow(clippy::len_without_is_empty)] // no key is empty
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Hsm {
    /// Every secret key of this label, with what the HSM computes of it. `len` is what a key of the
    /// plan's spec has: modules do not tell it reliably (SoftHSM says 0 after C_UnwrapKey).
    ///
    /// # Errors
    /// Exit 3 where the search fails.
    pub fn find_secret_keys(&mut self, label: &str, len: usize) -> Result<Vec<Found>> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Label(label.into()),
        ];
        let handles = self.session.find_objects(&template).map_err(fault)?;
        handles
            .into_iter()
            .map(|handle| self.look_at(handle, len))
            .collect()
    }

    fn look_at(&mut self, handle: ObjectHandle, len: usize) -> Result<Found> {
        let rules = attributes::data_key(Life::Token);
        let mut kinds = attributes::kinds(&rules);
        kinds.push(AttributeType::Id);
        let read = self.session.get_attributes(handle, &kinds).map_err(fault)?;
        let id = read.iter().find_map(|a| {
            if let Attribute::Id(id) = a {
                Some(words::hex(id))
            } else {
                None
            }
        });
        Ok(Found {
            handle,
            len,
            id: id.unwrap_or_default(),
            extractable: read.contains(&Attribute::Extractable(true)),
            deviations: attributes::judge(&rules, &read).err(),
            attributes: attributes::seen(&rules, &read),
            check: self.check_values(handle).ok(),
        })
    }

    /// Finds a data key again in a new session, by label and CKA_ID: attributes, check value and
    /// fingerprint must be what they were.
    ///
    /// # Errors
    /// Exit 3 where it is not there or has other attributes; exit 4 where another key is in its place.
    pub fn find_again(&self, key: &mut DataKey) -> Result<()> {
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Label(key.label.as_str().into()),
        ];
        if key.id != KeyId::NOT_OURS {
            template.push(key.id.attribute());
        }
        let found = self.session.find_objects(&template).map_err(fault)?;
        if found.is_empty() {
            return Err(Error::hsm("it is not in the token any more"));
        }
        let mut same = None;
        for handle in found {
            match self.check_values(handle) {
                Ok(check) if check == key.material.check => same = Some(handle),
                Err(lost) if super::session_was_lost(&lost) => return Err(lost),
                _ => {} // not it
            }
        }
        let another = || Error::mismatch("another key stands in its place").check("SAME-MATERIAL");
        let handle = same.ok_or_else(another)?;
        let rules = [&attributes::data_key(key.life), attributes::GENERATED].concat();
        let read = self
            .session
            .get_attributes(handle, &attributes::kinds(&rules))
            .map_err(fault)?;
        let now = attributes::seen(&rules, &read);
        if let Some(changed) = now.changed_since(&key.material.attributes) {
            return Err(Error::hsm(format!("its {changed} is not what it was")).check("ATTRIBUTES"));
        }
        key.material.handle = handle;
        Ok(())
    }

    /// Everything in the token that carries this label, of any class.
    ///
    /// # Errors
    /// Exit 3 where the search fails.
    pub fn labelled(&self, label: &str) -> Result<Vec<Object>> {
        let searching = |e| fault(e).doing(format!("looking for objects labelled {label:?}"));
        let template = [Attribute::Label(label.into())];
        let handles = self.session.find_objects(&template).map_err(searching)?;
        let wanted = [AttributeType::Class, AttributeType::Id];
        let mut objects = Vec::with_capacity(handles.len());
        for handle in handles {
            let mut object = Object {
                class: "unknown class".into(),
                id: String::new(),
            };
            for attribute in self
                .session
                .get_attributes(handle, &wanted)
                .map_err(searching)?
            {
                match attribute {
                    Attribute::Class(class) => object.class = class.to_string(),
                    Attribute::Id(id) => object.id = words::hex(&id),
                    _ => {}
                }
            }
            objects.push(object);
        }
        Ok(objects)
    }

    /// A throw-away session key of `len` bytes with a data key's attributes. Making it also finds
    /// the rows of the quirks table that this module needs; the data key is then made the same way.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn throw_away(&mut self, len: usize) -> Result<Material> {
        let rules = attributes::data_key(Life::Session);
        let mut row = 0;
        let handle = loop {
            match self.generate_secret(&rules, row, len, &[]) {
                Ok(handle) => break handle,
                Err(e) if template_refused(&e) && row + 1 < quirks::OMISSIONS.len() => row += 1,
                Err(e) => return Err(fault(e).doing("generating a throw-away key")),
            }
        };
        self.omission = row;
        let judged = self.find_block_cipher(handle).and_then(|cipher| {
            self.cipher = cipher;
            self.judged(&rules, handle, len)
        });
        if judged.is_err() {
            // It has no label to find it by, and this module may have made it a token object.
            let _ = self.session.destroy_object(handle);
        }
        judged
    }

    /// Generates a data key of `len` bytes, reads every attribute back, judges it.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses, or where the key came back other than asked. The object may
    /// then exist: the caller destroys what carries this label and id.
    pub fn generate(&self, label: &str, id: KeyId, len: usize, life: Life) -> Result<DataKey> {
        let rules = attributes::data_key(life);
        let name = [Attribute::Label(label.into()), id.attribute()];
        let handle = self
            .generate_secret(&rules, self.omission, len, &name)
            .map_err(fault)?;
        Ok(DataKey {
            label: label.to_owned(),
            id,
            life,
            material: self.judged(&rules, handle, len)?,
        })
    }

    fn generate_secret(
        &self,
        rules: &[attributes::Rule],
        omission: usize,
        len: usize,
        name: &[Attribute],
    ) -> Result<ObjectHandle, P11Error> {
        let mut template = vec![Attribute::Class(ObjectClass::SECRET_KEY)];
        template.push(Attribute::KeyType(cryptoki::object::KeyType::AES));
        template.push(Attribute::ValueLen((len as u64).into()));
        template.extend_from_slice(name);
        template.extend(attributes::template(rules, quirks::OMISSIONS[omission]));
        self.session.generate_key(&Mechanism::AesKeyGen, &template)
    }

    /// A key that was generated here: its own rules, and what the HSM says of its origin.
    fn judged(
        &self,
        rules: &[attributes::Rule],
        handle: ObjectHandle,
        len: usize,
    ) -> Result<Material> {
        self.judged_as(&[rules, attributes::GENERATED].concat(), handle, len)
    }

    /// Reads every attribute back, judges it, and has the HSM compute the check values.
    pub(super) fn judged_as(
        &self,
        rules: &[attributes::Rule],
        handle: ObjectHandle,
        len: usize,
    ) -> Result<Material> {
        let read = self
            .session
            .get_attributes(handle, &attributes::kinds(rules))
            .map_err(|e| fault(e).doing("reading the key's attributes back"))?;
        let attributes = attributes::judge(rules, &read).map_err(|deviations| {
            Error::hsm(format!(
                "the HSM made another key than it was asked for: {deviations}"
            ))
            .check("ATTRIBUTES")
            .hint("this module cannot hold data keys safely; show this text to its vendor")
        })?;
        Ok(Material {
            handle,
            len,
            attributes,
            check: self.check_values(handle)?,
        })
    }

    /// Key check value and fingerprint, computed by the HSM (AES).
    fn check_values(&self, handle: ObjectHandle) -> Result<CheckValues> {
        let zeros = Zeroizing::new(self.encrypt_block(handle, &[0; 16]).map_err(check_fault)?);
        let text = wrapping::fingerprint_text();
        let mut fingerprint = [0; 32];
        for (half, block) in fingerprint.chunks_mut(16).zip(text.chunks(16)) {
            half.copy_from_slice(&self.encrypt_block(handle, block).map_err(check_fault)?);
        }
        Ok(CheckValues::new(&zeros, fingerprint))
    }

    fn find_block_cipher(&self, handle: ObjectHandle) -> Result<usize> {
        let encrypt =
            |row: &quirks::BlockCipher| self.session.encrypt(&row.mechanism, handle, &[0; 16]);
        let mut last = None;
        for (at, row) in quirks::BLOCK_CIPHERS.iter().enumerate() {
            match encrypt(row) {
                Ok(block) if block.len() == 16 => return Ok(at),
                Ok(block) => {
                    last = Some(Error::hsm(format!(
                        "{} gave {} bytes",
                        row.name,
                        block.len()
                    )))
                }
                Err(e) => last = Some(fault(e).doing(row.name)),
            }
        }
        let none = || Error::hsm("no block cipher");
        Err(last
            .unwrap_or_else(none)
            .doing("computing a key check value"))
    }

    fn encrypt_block(&self, handle: ObjectHandle, block: &[u8]) -> Result<[u8; 16], P11Error> {
        let cipher = &quirks::BLOCK_CIPHERS[self.cipher];
        let encrypted = Zeroizing::new(self.session.encrypt(&cipher.mechanism, handle, block)?);
        Ok(encrypted.as_slice().try_into()?)
    }

    /// Sets EXTRACTABLE to FALSE, for good, and reads it back.
    ///
    /// # Errors
    /// Exit 3 where the HSM refuses, or says TRUE afterwards.
    pub fn seal(&self, material: &Material) -> Result<()> {
        let sealing = |e| fault(e).doing("setting CKA_EXTRACTABLE to FALSE");
        let sealed = [Attribute::Extractable(false)];
        let read = || {
            let wanted = [AttributeType::Extractable];
            let read = self.session.get_attributes(material.handle, &wanted);
            read.map_err(sealing)
        };
        if read()? == sealed {
            return Ok(()); // before the session was lost; SoftHSM refuses to do it twice
        }
        self.session
            .update_attributes(material.handle, &sealed)
            .map_err(sealing)?;
        if read()? != sealed {
            return Err(Error::hsm(
                "the HSM accepted CKA_EXTRACTABLE = FALSE, but does not say so",
            )
            .check("ATTRIBUTES"));
        }
        Ok(())
    }

    /// Destroys a key made for one step.
    ///
    /// # Errors
    /// Exit 3 where C_DestroyObject fails; session objects end with the session all the same.
    pub fn destroy(&self, material: Material) -> Result<()> {
        self.session.destroy_object(material.handle).map_err(fault)
    }

    /// Destroys the token objects that carry both this label and this id, and proves that none is
    /// left. Says how many there were.
    ///
    /// # Errors
    /// Exit 3 where one could not be destroyed or is still found.
    pub fn destroy_named(&self, label: &str, id: KeyId) -> Result<usize> {
        let template = [Attribute::Label(label.into()), id.attribute()];
        // In a session of its own: whatever failed before may have left an operation open in the other.
        let own = self.context.open_rw_session(self.token.slot);
        let session = own.as_ref().unwrap_or(&self.session);
        sees_private_objects(session)?;
        let find = || session.find_objects(&template).map_err(fault);
        let found = find()?;
        for handle in &found {
            session.destroy_object(*handle).map_err(fault)?;
        }
        if !found.is_empty() && !find()?.is_empty() {
            return Err(Error::hsm(
                "C_DestroyObject answered CKR_OK, but the object is still there",
            ));
        }
        Ok(found.len())
    }

    /// Whether the token holds an object with this label and id.
    ///
    /// # Errors
    /// Exit 3 where the search fails.
    pub fn holds(&self, label: &str, id: KeyId) -> Result<bool> {
        let template = [Attribute::Label(label.into()), id.attribute()];
        Ok(!self
            .session
            .find_objects(&template)
            .map_err(fault)?
            .is_empty())
    }
}

/// Without a login a search finds nothing, which would look like proof that nothing is there.
pub(super) fn sees_private_objects(session: &Session) -> Result<()> {
    let state = session.get_session_info().map_err(fault)?.session_state();
    match state {
        SessionState::RwPublic | SessionState::RoPublic => Err(fault(P11Error::Pkcs11(
            RvError::UserNotLoggedIn,
            Function::FindObjectsInit,
        ))),
        _ => Ok(()),
    }
}

fn check_fault(error: P11Error) -> Error {
    fault(error).doing("computing the key check value and the fingerprint")
}

/// Whether the module may take the same template with fewer attributes.
pub(super) fn template_refused(error: &P11Error) -> bool {
    matches!(
        error,
        P11Error::Pkcs11(
            RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::TemplateInconsistent,
            _
        )
    )
}
