//! Whether an HSM token is a device or a program in this computer, and how byok knows.

use super::{Token, quirks};
use crate::ground::facts::Nature;

impl Nature {
    /// Known software is software, whatever the slot and the plan say; otherwise the slot decides, then the plan.
    pub(super) fn of(token: &Token, hardware_slot: bool, reason: Option<&str>) -> Self {
        let known = |text: &str, rows: &[&str]| {
            let text = text.to_ascii_lowercase();
            rows.iter()
                .any(|row| text.starts_with(&row.to_ascii_lowercase()))
        };
        if known(&token.manufacturer, quirks::SOFTWARE_MANUFACTURERS) {
            return Self::ByManufacturer(token.manufacturer.clone());
        }
        if known(&token.model, quirks::SOFTWARE_MODELS) {
            return Self::ByModel(token.model.clone());
        }
        match (hardware_slot, reason) {
            (true, _) => Self::SlotSet,
            (false, Some(reason)) => Self::ByPlan(reason.to_owned()),
            (false, None) => Self::SlotClear,
        }
    }

    /// What a record must state as an exception: the plan calls the HSM hardware, and nothing else does.
    pub(crate) fn exception(&self, reason: Option<&str>) -> Option<String> {
        match (self, reason) {
            (Self::ByPlan(_), _) => Some(format!("the HSM is {}", self.told())),
            (known, Some(reason)) if known.is_software() => Some(format!(
                "the plan calls the HSM hardware ({reason}), which is not believed: it is {}",
                known.told()
            )),
            _ => None,
        }
    }
}
