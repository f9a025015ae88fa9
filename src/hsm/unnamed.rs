//! What an HSM was making when it was cut off: objects that nobody can name.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use super::{Hsm, fault};
use crate::ground::error::Result;

impl Hsm {
    /// The classes of the keys in the token that lack a label or a CKA_ID, or of which the module tells
    /// nothing; those are `?`. An HSM that saves an object piece by piece leaves such when it is cut off.
    ///
    /// # Errors
    /// Exit 3 where the search fails.
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

/// The class, where it is no key's or label and CKA_ID are both there: `None`.
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
