//! Data keys in the HSM: find, generate, judge, tell apart by check values, destroy.

use std::path::Path;

use cryptoki::context::Function;
use cryptoki::error::{Error as P11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::SessionState;

use super::check::{Length, Told};
use super::{Hsm, Life, Session, attributes, fault, quirks};
use crate::crypto::key_id::{KeyId, SIGNER_LABEL};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::{CheckValues, Fingerprint};
use crate::ground::error::{Error, Result};
use crate::ground::facts::Attributes;
use crate::ground::words;

impl KeyId {
    pub(super) fn attribute(self) -> Attribute {
        Attribute::Id(self.bytes().into())
    }
}

/// The name of an object in the token, or temporarily in a session.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    pub label: &'a str,
    pub id: KeyId,
    /// Whether the object outlives the session.
    pub token: bool,
}

impl Name<'_> {
    pub(crate) fn attributes(&self) -> [Attribute; 2] {
        [Attribute::Label(self.label.into()), self.id.attribute()]
    }
}

/// The label of trial keys: made in a token to see whether that works, and destroyed at once.
pub(super) const THROW_AWAY_LABEL: &str = "byok-throw-away";

/// The shell command with which a person removes an object that byok could not remove. The transcript signer
/// has two halves, so two commands on one line; a data key that is a pair has only its private half in the token.
pub(crate) fn removal_command(
    module: &Path,
    token: &str,
    (label, id): (&str, KeyId),
    is_private: bool,
) -> String {
    let command = |kind: &str| {
        format!(
            "pkcs11-tool --module {} --token-label {} --login --delete-object --type {kind} --id {id}",
            words::shell_word(&module.display().to_string()),
            words::shell_word(token),
        )
    };
    match label {
        SIGNER_LABEL => format!("{}; {}", command("privkey"), command("pubkey")),
        _ if is_private => command("privkey"),
        _ => command("secrkey"),
    }
}

/// A labelled object in the token, with what people need to recognise it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Its CKO_… class, by the PKCS#11 wrapper's name.
    pub class: String,
    /// CKA_ID in lower-case hex.
    pub id: String,
}

impl Object {
    /// Whether it is a secret or a private key.
    pub(crate) fn is_key(&self) -> bool {
        [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY]
            .iter()
            .any(|class| class.to_string() == self.class)
    }
}

/// A key in the HSM: byok knows only its handle and what the HSM computes with it.
pub(crate) struct Material {
    pub(super) handle: ObjectHandle,
    /// Its key spec.
    pub spec: Spec,
    /// The attributes that were read back.
    pub attributes: Attributes,
    /// The values that tell it apart from other keys.
    pub check: CheckValues,
}

/// A data key with a name and an id in the token.
pub(crate) struct DataKey {
    /// CKA_LABEL, the plan's label.
    pub label: String,
    /// CKA_ID.
    pub id: KeyId,
    /// Where it is kept.
    pub life: Life,
    /// The key itself.
    pub material: Material,
}

/// A key that was already in the token.
pub(crate) struct Found {
    pub(super) handle: ObjectHandle,
    spec: Spec,
    /// CKA_LABEL; a key that byok did not make may have any label.
    pub label: String,
    /// CKA_ID in lower-case hex.
    pub id: String,
    /// Whether it may be wrapped.
    pub extractable: bool,
    /// How it differs from a data key as byok makes it.
    pub deviations: Option<String>,
    attributes: Attributes,
    check: Option<CheckValues>,
    /// How its length differs from the spec's, if that is known.
    length: Option<String>,
}

impl Found {
    /// Its check values, if the HSM can compute them.
    pub(crate) fn check(&self) -> Option<&CheckValues> {
        self.check.as_ref()
    }

    /// Whether it is the data key with this fingerprint. An HMAC key with zero bytes appended has the same
    /// fingerprint but is a different key to KMS, so its length must be right too.
    pub(crate) fn is(&self, fingerprint: &Fingerprint) -> bool {
        let same = |check: &CheckValues| check.fingerprint == *fingerprint;
        self.length.is_none() && self.check.as_ref().is_some_and(same)
    }

    /// How its length differs from the spec's.
    pub(crate) fn length(&self) -> Option<&str> {
        self.length.as_deref()
    }

    /// The same key as a data key to be wrapped.
    pub(crate) fn into_data_key(self, label: &str) -> Option<DataKey> {
        let material = Material {
            handle: self.handle,
            spec: self.spec,
            attributes: self.attributes,
            check: self.check?,
        };
        let id = KeyId::any_from_hex(&self.id)?;
        Some(DataKey {
            label: label.to_owned(),
            id,
            life: Life::Token,
            material,
        })
    }
}

impl Hsm {
    /// Every key with this label and of the spec's class, with what the HSM computes with it.
    ///
    /// # Errors
    /// Exit 3 if the search fails.
    pub(crate) fn find_keys(&mut self, label: &str, spec: Spec) -> Result<Vec<Found>> {
        let template = [
            Attribute::Class(class(spec)),
            Attribute::Token(true),
            Attribute::Label(label.into()),
        ];
        let handles = self.session.find_objects(&template).map_err(fault)?;
        handles
            .into_iter()
            .map(|handle| self.look_at(handle, spec))
            .collect()
    }

    /// The same by CKA_ID, for a key that byok did not make and whose label differs from the data key's.
    ///
    /// # Errors
    /// Exit 3 if the search fails.
    pub(crate) fn find_keys_by_id(&mut self, id: KeyId, spec: Spec) -> Result<Vec<Found>> {
        let template = [
            Attribute::Class(class(spec)),
            Attribute::Token(true),
            id.attribute(),
        ];
        let handles = self.session.find_objects(&template).map_err(fault)?;
        handles
            .into_iter()
            .map(|handle| self.look_at(handle, spec))
            .collect()
    }

    fn look_at(&mut self, handle: ObjectHandle, spec: Spec) -> Result<Found> {
        let rules = attributes::data_key(spec, Life::Token);
        let check = match self.check_values(handle, spec) {
            Ok(check) => Some(check),
            Err(fault) if super::went_away(&fault) => return Err(fault), // the key is not to blame
            Err(_) => None,
        };
        self.found(handle, spec, &rules, check)
    }

    /// The key that was found, judged by these rules.
    pub(super) fn found(
        &self,
        handle: ObjectHandle,
        spec: Spec,
        rules: &[attributes::Rule],
        check: Option<CheckValues>,
    ) -> Result<Found> {
        let mut kinds = attributes::kinds(rules);
        kinds.extend([AttributeType::Id, AttributeType::Label]);
        let read = self.session.get_attributes(handle, &kinds).map_err(fault)?;
        let (mut id, mut label) = (String::new(), String::new());
        for attribute in &read {
            match attribute {
                Attribute::Id(told) => id = words::hex(told),
                Attribute::Label(told) => label = String::from_utf8_lossy(told).into_owned(),
                _ => {}
            }
        }
        let length = match &check {
            Some(_) => self.length(handle, spec)?,
            None => Length::Right,
        };
        let length = match length {
            Length::Right => None,
            Length::Another(length) => Some(length),
            Length::Unknown => Some("the module does not report its length".to_owned()),
        };
        Ok(Found {
            handle,
            spec,
            label,
            id,
            extractable: read.contains(&Attribute::Extractable(true)),
            deviations: attributes::judge(rules, &read).err(),
            attributes: attributes::seen(rules, &read),
            check,
            length,
        })
    }

    /// Finds a data key again in a new session, by label and CKA_ID: attributes, check value and fingerprint
    /// must be the same as before.
    ///
    /// # Errors
    /// Exit 3 if it is gone or its attributes have changed; exit 4 if another key is in its place.
    pub(crate) fn find_again(&self, key: &mut DataKey) -> Result<()> {
        let spec = key.material.spec;
        let mut template = vec![Attribute::Class(class(spec)), Attribute::Token(true)];
        if !key.id.is_empty() {
            template.push(key.id.attribute());
        }
        let by_id = template.clone();
        template.push(Attribute::Label(key.label.as_str().into()));
        let mut found = self.session.find_objects(&template).map_err(fault)?;
        if found.is_empty() && !key.id.is_empty() {
            // byok did not make it, and its label differs from the data key's
            found = self.session.find_objects(&by_id).map_err(fault)?;
        }
        if found.is_empty() {
            return Err(Error::hsm("it is no longer in the token"));
        }
        let mut same = None;
        key.material
            .check
            .public_key
            .iter()
            .for_each(|spki| self.may_be(spki));
        for handle in found {
            match self.check_values(handle, spec) {
                // An HMAC key with zero bytes appended has the same values but is a different key to KMS.
                Ok(check) if check == key.material.check => {
                    if let Length::Right = self.length(handle, spec)? {
                        same = Some(handle);
                    }
                }
                Err(fault) if super::went_away(&fault) => return Err(fault),
                _ => {} // not it
            }
        }
        let another = || Error::mismatch("another key is in its place").check("SAME-MATERIAL");
        let handle = same.ok_or_else(another)?;
        let rules = [&attributes::data_key(spec, key.life), attributes::GENERATED].concat();
        let read = self
            .session
            .get_attributes(handle, &attributes::kinds(&rules))
            .map_err(fault)?;
        let now = attributes::seen(&rules, &read);
        if let Some(changed) = now.changed_since(&key.material.attributes) {
            return Err(Error::hsm(format!("its {changed} has changed")).check(super::ATTRIBUTES));
        }
        key.material.handle = handle;
        Ok(())
    }

    /// Every object in the token with this label, of any class.
    ///
    /// # Errors
    /// Exit 3 if the search fails.
    pub(crate) fn labelled(&self, label: &str) -> Result<Vec<Object>> {
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

    /// A throw-away session key with a data key's attributes. Making it also finds the rows of the quirks table
    /// that this module needs; the data key is then made in the same way.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub(crate) fn throw_away(&mut self, spec: Spec) -> Result<Material> {
        let rules = attributes::data_key(spec, Life::Session);
        let (handle, told) = self
            .make(&rules, spec, None)
            .map_err(|e| fault(e).doing(format!("generating a throw-away {}", spec.name())))?;
        let judged = self
            .learn_block_cipher(handle, spec)
            .and_then(|()| self.judged(&rules, handle, spec, told));
        if judged.is_err() {
            // It has no label to find it by, and this module may have made it a token object.
            let _ = self.session.destroy_object(handle);
        }
        judged
    }

    /// Makes a throw-away token object with a data key's attributes, and destroys it: some modules accept for
    /// session objects what they refuse for token objects. No ceremony does this: a ceremony names in its
    /// transcript whatever it is about to make in a token.
    ///
    /// # Errors
    /// As [`generate`](Self::generate), and if the key could not be destroyed.
    pub(crate) fn try_token_object(&self, spec: Spec) -> Result<()> {
        let id = KeyId::random()?;
        let made = self.generate(THROW_AWAY_LABEL, id, spec, Life::Token);
        self.taken_back(id)?;
        made.map(|_| ())
            .map_err(|e| e.doing("making a throw-away data key as a token object"))
    }

    /// Destroys a throw-away token key, if it was made; if that fails, tells people what is left.
    pub(super) fn taken_back(&self, id: KeyId) -> Result<()> {
        let destroyed = self.destroy_named(THROW_AWAY_LABEL, id);
        destroyed.map(|_| ()).map_err(|e| {
            e.doing(format!("destroying {THROW_AWAY_LABEL:?}, CKA_ID {id}"))
                .state("the throw-away key may still be in the token; it protects nothing")
                .hint("remove it with the HSM's own tools, or pkcs11-tool --login --delete-object")
        })
    }

    /// Generates a data key, reads every attribute back, judges it.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or if the attributes are not those that byok asked for. The object may then
    /// exist: the caller destroys the object with this label and id.
    pub(crate) fn generate(
        &self,
        label: &str,
        id: KeyId,
        spec: Spec,
        life: Life,
    ) -> Result<DataKey> {
        let rules = attributes::data_key(spec, life);
        let name = Name {
            label,
            id,
            token: life != Life::Session,
        };
        let (handle, told) = self.make(&rules, spec, Some(name)).map_err(fault)?;
        Ok(DataKey {
            label: label.to_owned(),
            id,
            life,
            material: self.judged(&rules, handle, spec, told)?,
        })
    }

    /// Makes an object by the first row of [`quirks::OMISSIONS`] that the module accepts, beginning at the row that
    /// it accepted for such objects before. If it made a token object but reported a failure, that object goes first.
    pub(super) fn by_row<T>(
        &self,
        name: Option<Name>,
        make: impl Fn(&'static [AttributeType]) -> Result<T, P11Error>,
    ) -> Result<T, P11Error> {
        let token = name.filter(|name| name.token);
        let (learned, mut row) = match token {
            Some(_) => (
                &self.token_omission,
                self.omission.get().max(self.token_omission.get()),
            ),
            None => (&self.omission, self.omission.get()),
        };
        loop {
            match (make(quirks::OMISSIONS[row]), token) {
                (Ok(made), _) => {
                    learned.set(row);
                    return Ok(made);
                }
                (Err(e), _) if row + 1 == quirks::OMISSIONS.len() => return Err(e),
                (Err(e), None) if template_refused(&e) => {}
                (Err(e), Some(name)) if template_refused(&e) || is_general(&e) => {
                    let _ = self.destroy_named(name.label, name.id);
                }
                (Err(e), _) => return Err(e),
            }
            row += 1;
        }
    }

    /// The key and, for a pair, what the HSM reports about its public half, which is destroyed again.
    fn make(
        &self,
        rules: &[attributes::Rule],
        spec: Spec,
        name: Option<Name>,
    ) -> Result<(ObjectHandle, Option<Told>), P11Error> {
        let named: Vec<Attribute> = name.iter().flat_map(Name::attributes).collect();
        if let Some(bytes) = spec.secret_len() {
            let made = self.by_row(name, |omitted| {
                let mut template = vec![
                    Attribute::Class(ObjectClass::SECRET_KEY),
                    Attribute::KeyType(key_type(spec)),
                    Attribute::ValueLen((bytes as u64).into()),
                ];
                template.extend_from_slice(&named);
                template.extend(attributes::template(rules, omitted));
                self.session
                    .generate_key(&secret_generation(spec), &template)
            });
            return Ok((made?, None));
        }
        let (public, private) = self.by_row(name, |omitted| {
            let mut public = pair_parameters(spec);
            public.extend(attributes::template(
                &attributes::data_key_public(),
                omitted,
            ));
            let mut private = named.clone();
            private.extend(attributes::template(rules, omitted));
            self.session
                .generate_key_pair(&pair_generation(spec), &public, &private)
        })?;
        let told = self.told_of(public);
        told.point.iter().for_each(|point| self.may_be(point));
        self.session.destroy_object(public)?;
        Ok((private, Some(told)))
    }

    /// Judges a key that was generated here: by its own rules, by what the HSM says about its origin, and, for a
    /// pair, by whether the halves belong together.
    fn judged(
        &self,
        rules: &[attributes::Rule],
        handle: ObjectHandle,
        spec: Spec,
        told: Option<Told>,
    ) -> Result<Material> {
        let made = self.judged_as(&[rules, attributes::GENERATED].concat(), handle, spec)?;
        match told {
            Some(told) if !told.is_of(spec, &made.check) => Err(Error::hsm(
                "the private key that the HSM made does not belong to the public key beside it",
            )
            .check("POSSESSION")),
            _ => Ok(made),
        }
    }

    /// Reads every attribute back, judges the key, and has the HSM compute its check values.
    pub(super) fn judged_as(
        &self,
        rules: &[attributes::Rule],
        handle: ObjectHandle,
        spec: Spec,
    ) -> Result<Material> {
        Ok(Material {
            handle,
            spec,
            attributes: self.read_back(handle, rules)?,
            check: self.check_values(handle, spec)?,
        })
    }

    /// Reads back every attribute that the rules name, and judges them.
    pub(super) fn read_back(
        &self,
        handle: ObjectHandle,
        rules: &[attributes::Rule],
    ) -> Result<Attributes> {
        let read = self
            .session
            .get_attributes(handle, &attributes::kinds(rules))
            .map_err(|e| fault(e).doing("reading the key's attributes back"))?;
        attributes::judge(rules, &read).map_err(|deviations| {
            Error::hsm(format!(
                "the HSM did not make the key that byok asked for: {deviations}"
            ))
            .check(super::ATTRIBUTES)
            .hint("this module cannot hold keys safely; show this text to its vendor")
        })
    }

    /// Sets EXTRACTABLE to FALSE, for good, and reads it back.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses, or says TRUE afterwards.
    pub(crate) fn seal(&self, material: &Material) -> Result<()> {
        let sealing = |e| fault(e).doing("setting CKA_EXTRACTABLE to FALSE");
        let sealed = [Attribute::Extractable(false)];
        let read = || {
            let wanted = [AttributeType::Extractable];
            let read = self.session.get_attributes(material.handle, &wanted);
            read.map_err(sealing)
        };
        if read()? == sealed {
            return Ok(()); // done before the session was lost; SoftHSM refuses to do it twice
        }
        self.session
            .update_attributes(material.handle, &sealed)
            .map_err(sealing)?;
        if read()? != sealed {
            return Err(Error::hsm(
                "the HSM accepted CKA_EXTRACTABLE = FALSE, but does not report it as FALSE",
            )
            .check(super::ATTRIBUTES));
        }
        Ok(())
    }

    /// Whether exactly one key of the spec's class has this label and CKA_ID.
    ///
    /// # Errors
    /// Exit 3 if the search fails.
    pub(crate) fn is_alone(&self, label: &str, id: KeyId, spec: Spec) -> Result<bool> {
        let template = [
            Attribute::Class(class(spec)),
            Attribute::Label(label.into()),
            id.attribute(),
        ];
        let found = self.session.find_objects(&template).map_err(fault)?;
        Ok(!id.is_empty() && found.len() == 1)
    }

    /// Destroys a key made for one step.
    ///
    /// # Errors
    /// Exit 3 if C_DestroyObject fails; session objects end with the session all the same.
    pub(crate) fn destroy(&self, material: Material) -> Result<()> {
        self.session.destroy_object(material.handle).map_err(fault)
    }

    /// Destroys the token objects that have both this label and this id, and proves that none is left. Returns
    /// how many there were.
    ///
    /// # Errors
    /// Exit 3 if an object could not be destroyed or is still found. Also if it is not found although the HSM made
    /// it: the HSM's storage may be out of reach.
    pub(crate) fn destroy_named(&self, label: &str, id: KeyId) -> Result<usize> {
        let template = [Attribute::Label(label.into()), id.attribute()];
        // In a session of its own: an earlier failure may have left an operation open in the other session.
        let own = self.context.open_rw_session(self.token.slot);
        let session = own.as_ref().unwrap_or(&self.session);
        sees_private_objects(session)?;
        let find = || session.find_objects(&template).map_err(fault);
        let found = find()?;
        if found.is_empty() && session.has_made(id.bytes()) {
            return Err(Error::hsm(format!(
                "C_FindObjects does not find {label:?}, CKA_ID {id}, although this HSM made it a while ago"
            )));
        }
        for handle in &found {
            session.destroy_object(*handle).map_err(fault)?;
        }
        if !found.is_empty() && !find()?.is_empty() {
            return Err(Error::hsm(
                "C_DestroyObject answered CKR_OK, but the object is still there",
            ));
        }
        session.is_gone(id.bytes());
        Ok(found.len())
    }

    /// Whether the token holds an object with this label and id.
    ///
    /// # Errors
    /// Exit 3 if the search fails.
    pub(crate) fn holds(&self, label: &str, id: KeyId) -> Result<bool> {
        let template = [Attribute::Label(label.into()), id.attribute()];
        Ok(!self
            .session
            .find_objects(&template)
            .map_err(fault)?
            .is_empty())
    }
}

/// Without a login, a search finds nothing: that would look like proof that nothing is there.
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

/// The class of a data key.
pub(super) fn class(spec: Spec) -> ObjectClass {
    match spec.is_private() {
        true => ObjectClass::PRIVATE_KEY,
        false => ObjectClass::SECRET_KEY,
    }
}

/// The key type of a data key. Every module knows generic secrets; only some know CKK_SHA_n_HMAC.
pub(super) fn key_type(spec: Spec) -> KeyType {
    match spec {
        Spec::Symmetric { .. } | Spec::Aes { .. } => KeyType::AES,
        Spec::Hmac { .. } => KeyType::GENERIC_SECRET,
        Spec::Ec(_) => KeyType::EC,
        Spec::Ed25519 => KeyType::EC_EDWARDS,
        Spec::Rsa { .. } => KeyType::RSA,
    }
}

fn secret_generation(spec: Spec) -> Mechanism<'static> {
    match spec {
        Spec::Hmac { .. } => Mechanism::GenericSecretKeyGen,
        _ => Mechanism::AesKeyGen,
    }
}

fn pair_generation(spec: Spec) -> Mechanism<'static> {
    match spec {
        Spec::Rsa { .. } => Mechanism::RsaPkcsKeyPairGen,
        Spec::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        _ => Mechanism::EccKeyPairGen,
    }
}

/// CKA_EC_PARAMS of edwards25519 (PKCS#11 v3.1, section 6.3.3): its object identifier, or its name. Modules take the
/// first; SoftHSM reports a private key with the second.
pub(super) const ED25519_PARAMS: [&[u8]; 2] = [&[6, 3, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"];

fn pair_parameters(spec: Spec) -> Vec<Attribute> {
    match spec {
        Spec::Ec(curve) => vec![Attribute::EcParams(curve.params().to_vec())],
        Spec::Ed25519 => vec![Attribute::EcParams(ED25519_PARAMS[0].to_vec())],
        Spec::Rsa { bits } => vec![
            Attribute::ModulusBits((bits as u64).into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ],
        Spec::Symmetric { .. } | Spec::Aes { .. } | Spec::Hmac { .. } => Vec::new(),
    }
}

/// Whether the module may accept the same template with fewer attributes.
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

/// NSS softokn's answer to attributes of token objects that it does not know.
fn is_general(error: &P11Error) -> bool {
    matches!(error, P11Error::Pkcs11(RvError::GeneralError, _))
}
