//! C_UnwrapKey: the one place that calls it, and what is done with the result.

use cryptoki::error::{Error as P11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};

use super::keys::{Name, template_refused};
use super::{Hsm, attributes, fault, quirks};
use crate::ground::error::{Error, Result};

/// A wrapped key that comes in, and what it must become.
pub(super) struct Incoming<'a> {
    /// The key under which it is wrapped.
    pub under: ObjectHandle,
    /// The mechanism.
    pub mechanism: &'a Mechanism<'a>,
    /// The wrapped bytes.
    pub wrapped: &'a [u8],
    /// CKA_CLASS.
    pub class: ObjectClass,
    /// CKA_KEY_TYPE.
    pub key_type: KeyType,
    /// Its attributes.
    pub rules: &'a [attributes::Rule],
    /// Label and CKA_ID; a throw-away key has none.
    pub name: Option<Name<'a>>,
}

/// Why a row of the table did not work.
enum Refused {
    /// The module refuses this template, or makes a different key: another row may work.
    Template(Error),
    /// Another row would not help.
    Other(Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Template(error) | Refused::Other(error) => error,
        }
    }
}

impl Hsm {
    /// Unwraps the key, reads every attribute back and judges them. Throw-away keys find the row of the quirks
    /// table by which this module unwraps; a key with a name comes in by that row alone.
    ///
    /// # Errors
    /// Exit 3 if the HSM refuses or makes a different key; it keeps nothing of that, unless the key has a name.
    pub(super) fn unwrap_key(&self, incoming: &Incoming) -> Result<ObjectHandle> {
        let first = self.unwrapping.get();
        let refused = match self.unwrap_by(first, incoming) {
            Err(Refused::Template(refused)) if incoming.name.is_none() => refused,
            answered => return answered.map_err(Error::from),
        };
        let others = (0..quirks::UNWRAPPINGS.len()).filter(|row| *row != first);
        for row in others {
            if let Ok(handle) = self.unwrap_by(row, incoming) {
                self.unwrapping.set(row);
                return Ok(handle);
            }
        }
        Err(refused) // the standard's own way is the most informative
    }

    fn unwrap_by(&self, row: usize, incoming: &Incoming) -> Result<ObjectHandle, Refused> {
        let row = &quirks::UNWRAPPINGS[row];
        let rules = match row.by_copy {
            true => attributes::changeable(incoming.rules),
            false => incoming.rules.to_vec(),
        };
        let name = incoming.name.filter(|_| !row.by_copy);
        let made = self.by_row(name, |omitted| {
            let mut template = vec![
                Attribute::Class(incoming.class),
                Attribute::KeyType(incoming.key_type),
            ];
            template.extend(name.iter().flat_map(Name::attributes));
            let omitted = [omitted, row.omitted].concat();
            template.extend(attributes::template(&rules, &omitted));
            self.session.unwrap_key(
                incoming.mechanism,
                incoming.under,
                incoming.wrapped,
                &template,
            )
        });
        let handle = made.map_err(|e| match is_of_template(&e) {
            true => Refused::Template(fault(e)),
            false => Refused::Other(fault(e)),
        })?;
        self.finished(row, handle, incoming)
    }

    /// What is left to do after C_UnwrapKey, and the judgement. An unnamed key that fails it is destroyed.
    fn finished(
        &self,
        row: &quirks::Unwrapping,
        handle: ObjectHandle,
        incoming: &Incoming,
    ) -> Result<ObjectHandle, Refused> {
        let refused = match self.made_sensitive(handle) {
            Ok(()) if row.by_copy => return self.copied(handle, incoming),
            Ok(()) => match self.judged_alone(handle, incoming.rules) {
                Ok(()) => return Ok(handle),
                Err(e) => e,
            },
            Err(e) => Refused::Other(e),
        };
        if incoming.name.is_none() {
            let _ = self.session.destroy_object(handle);
        }
        Err(refused)
    }

    /// Copies a changeable key to one that cannot be changed. The original is destroyed, whatever happens.
    fn copied(&self, from: ObjectHandle, incoming: &Incoming) -> Result<ObjectHandle, Refused> {
        let mut template: Vec<Attribute> =
            incoming.name.iter().flat_map(Name::attributes).collect();
        template.extend(attributes::left_to_a_copy(incoming.rules));
        let copied = self.session.copy_object(from, &template);
        self.session
            .destroy_object(from)
            .map_err(|e| Refused::Other(fault(e)))?;
        let copy = copied.map_err(|e| Refused::Template(fault(e)))?;
        match self.judged_alone(copy, incoming.rules) {
            Ok(()) => Ok(copy),
            Err(refused) => {
                if incoming.name.is_none() {
                    let _ = self.session.destroy_object(copy);
                }
                Err(refused)
            }
        }
    }

    fn judged_alone(
        &self,
        handle: ObjectHandle,
        rules: &[attributes::Rule],
    ) -> Result<(), Refused> {
        match self.read_back(handle, rules) {
            Ok(_) => Ok(()),
            Err(e) if e.check == Some(super::ATTRIBUTES) => Err(Refused::Template(e)),
            Err(e) => Err(Refused::Other(e)),
        }
    }

    /// Sets SENSITIVE if the module dropped it. The judgement that follows says whether that worked, so a refusal
    /// here is not reported.
    pub(super) fn made_sensitive(&self, handle: ObjectHandle) -> Result<()> {
        let wanted = [cryptoki::object::AttributeType::Sensitive];
        let read = self
            .session
            .get_attributes(handle, &wanted)
            .map_err(fault)?;
        if read.contains(&Attribute::Sensitive(false)) {
            let _ = self
                .session
                .update_attributes(handle, &[Attribute::Sensitive(true)]);
        }
        Ok(())
    }
}

fn is_of_template(error: &P11Error) -> bool {
    template_refused(error) || matches!(error, P11Error::Pkcs11(RvError::AttributeReadOnly, _))
}
