//! Whether an HSM token is a device or a program in this computer, and by what that is known.

use serde::Serialize;

use super::{Token, quirks};

/// What a token is, and what says so. Nothing is hardware by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Software: this manufacturer makes nothing else.
    ByManufacturer(String),
    /// Software: this model is a program.
    ByModel(String),
    /// Software: its slot does not say that it is hardware, or says nothing.
    SlotClear,
    /// Hardware: its slot says so.
    SlotSet,
    /// Hardware: its slot does not say so, the plan does, for this reason.
    ByPlan(String),
}

/// The same as the transcript and `byok doctor --json` say it.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Whether it is a program in this computer.
    pub software: bool,
    /// `manufacturer`, `model`, `slot` or `plan`.
    pub judged_by: &'static str,
    /// The plan's reason, where the plan decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_reason: Option<String>,
}

impl Nature {
    /// Known software is software whatever slot and plan say; then the slot decides, then the plan.
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

    /// From what a transcript recorded; `None` where it does not say by what it was judged.
    pub fn recorded<'a>(text: impl Fn(&str) -> &'a str, software: bool) -> Option<Self> {
        let of = |field| text(field).to_owned();
        match (software, text("judged_by")) {
            (true, "manufacturer") => Some(Self::ByManufacturer(of("manufacturer"))),
            (true, "model") => Some(Self::ByModel(of("model"))),
            (true, "slot") => Some(Self::SlotClear),
            (false, "slot") => Some(Self::SlotSet),
            (false, "plan") => Some(Self::ByPlan(of("hardware_reason"))),
            _ => None,
        }
    }

    /// Whether data keys are in a computer's memory.
    pub fn is_software(&self) -> bool {
        match self {
            Self::ByManufacturer(_) | Self::ByModel(_) | Self::SlotClear => true,
            Self::SlotSet | Self::ByPlan(_) => false,
        }
    }

    /// For people: what it is, and why it is taken for that.
    pub fn told(&self) -> String {
        match self {
            Self::ByManufacturer(name) => {
                format!("a software HSM, known by its manufacturer: {name}")
            }
            Self::ByModel(name) => format!("a software HSM, known by its model: {name}"),
            Self::SlotClear => {
                "a software HSM: its slot does not say that it is hardware (CKF_HW_SLOT is not set)"
                    .to_owned()
            }
            Self::SlotSet => "hardware: its slot says so (CKF_HW_SLOT)".to_owned(),
            Self::ByPlan(reason) => format!(
                "hardware by the plan's word only: its slot does not say so (CKF_HW_SLOT is not set); the plan says why: \
                 {reason}"
            ),
        }
    }

    /// What a record must say as an exception: a plan that calls its HSM hardware, rightly or wrongly.
    pub fn exception(&self, reason: Option<&str>) -> Option<String> {
        match (self, reason) {
            (Self::ByPlan(_), _) => Some(format!("the HSM is {}", self.told())),
            (known, Some(reason)) if known.is_software() => Some(format!(
                "the plan calls the HSM hardware ({reason}), which is not believed: it is {}",
                known.told()
            )),
            _ => None,
        }
    }

    /// For transcripts and programs.
    pub fn judged(&self) -> Judged {
        let (judged_by, reason) = match self {
            Self::ByManufacturer(_) => ("manufacturer", None),
            Self::ByModel(_) => ("model", None),
            Self::SlotClear | Self::SlotSet => ("slot", None),
            Self::ByPlan(reason) => ("plan", Some(reason.clone())),
        };
        Judged {
            software: self.is_software(),
            judged_by,
            hardware_reason: reason,
        }
    }
}
