//! What an HSM was making when it was cut off: objects without a name.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use super::{Hsm, fault};
use crate::ground::error::Result;

impl Hsm {
    /// The classes of the keys in the token that lack a label or a CKA_ID; `?` if the module reports nothing about
    /// one. An HSM that saves an object piece by piece leaves such objects when it is cut off.
    ///
    /// # Errors
    /// Exit 3 if the search fails.
    pub(crate) fn unnamed(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for handle in self.session.find_objects(&[]).map_err(fault)? {
            let asked = [
                AttributeType::Class,
                AttributeType::Label,
                AttributeType::Id,
            ];
            let told = self.session.get_attributes(handle, &asked);
            found.extend(class_of_unnamed(&told.unwrap_or_default()));
        }
        found.sort();
        Ok(found)
    }
}

/// The class of an unnamed key; `None` if the object is not a key, or has both label and CKA_ID.
fn class_of_unnamed(told: &[Attribute]) -> Option<String> {
    let mut class = None;
    let (mut has_label, mut has_id) = (false, false);
    for attribute in told {
        match attribute {
            Attribute::Class(value) => class = Some(*value),
            Attribute::Label(value) => has_label = !value.is_empty(),
            Attribute::Id(value) => has_id = !value.is_empty(),
            _ => {}
        }
    }
    let keys = [
        ObjectClass::SECRET_KEY,
        ObjectClass::PRIVATE_KEY,
        ObjectClass::PUBLIC_KEY,
    ];
    match class {
        _ if has_label && has_id => None,
        None => Some("?".to_owned()),
        Some(class) => keys.contains(&class).then(|| class.to_string()),
    }
}
