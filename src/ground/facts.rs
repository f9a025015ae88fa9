//! What a record says about the machine, the process, the module, the token and the objects: plain data. Other code
//! observes it; reading it needs none of those.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ground::strict_json::Json;

/// What step 3 of the ceremony found out about the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Kernel name and release.
    pub kernel: String,
    /// Whether core dumps are off in this process.
    pub core_dumps_off: bool,
    /// Network interfaces that are up, except the loopback interface.
    pub interfaces_up: Vec<String>,
    /// Swap areas in use.
    pub swap: Vec<String>,
    /// Kind of the file system that will hold the record, such as `ext4` or `tmpfs`.
    pub record_file_system: String,
    /// Whether the system runs from a medium and keeps its changes in memory.
    #[serde(default)] // earlier versions did not look
    pub live_system: bool,
    /// The sleep states that the kernel offers, such as `mem` and `disk`.
    #[serde(default)]
    pub sleep_states: Vec<String>,
    /// Battery charge in percent, while the machine runs on battery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_battery: Option<u8>,
    /// SHA-256 of byok's medium, if the system runs from one, as it was read back when the computer started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium_sha256: Option<String>,
}

/// How the process was closed, confirmed by the kernel; in the transcript.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Closed {
    /// Whether the kernel refuses this process every socket that leads to a network.
    pub sockets_denied: bool,
    /// Whether nothing that this process starts can gain privileges (no_new_privs).
    pub no_new_privileges: bool,
    /// The permissions that files made by this process never have, octal: `077`.
    pub umask: String,
    /// How many of the descriptors with which byok was started were closed.
    pub descriptors_closed: usize,
    /// How many environment variables were hidden from the module.
    pub variables_hidden: usize,
    /// The dynamic loader's variables (LD_*) with which byok was started.
    pub loader_variables: Vec<String>,
}

/// The transcript's facts about a module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleDescription {
    /// Path of the shared library.
    pub module: String,
    /// SHA-256 of that file, lower-case hex.
    pub module_sha256: String,
    /// Manufacturer, description and version, according to the library.
    pub library: String,
}

/// A token's facts, according to its module (CK_TOKEN_INFO), without the padding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenFacts {
    /// Label.
    pub token: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Firmware version.
    pub firmware: String,
}

/// What a token is, and how byok knows. Nothing counts as hardware by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Software: this manufacturer makes nothing else.
    ByManufacturer(String),
    /// Software: this model is a program.
    ByModel(String),
    /// Software: its slot does not say that it is hardware, or says nothing.
    SlotClear,
    /// Hardware: its slot says so.
    SlotSet,
    /// Hardware: its slot does not say so, but the plan does, for this reason.
    ByPlan(String),
}

/// The same for the transcript and `byok doctor --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// Whether it is a program in this computer.
    pub software: bool,
    /// `manufacturer`, `model`, `slot` or `plan`; `None`: a record of an earlier version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<Cow<'static, str>>,
    /// The plan's reason, if the plan decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_reason: Option<String>,
}

impl Nature {
    /// Whether data keys are in a computer's memory.
    pub(crate) fn is_software(&self) -> bool {
        match self {
            Self::ByManufacturer(_) | Self::ByModel(_) | Self::SlotClear => true,
            Self::SlotSet | Self::ByPlan(_) => false,
        }
    }

    /// For people: what it is, and how byok knows.
    pub(crate) fn told(&self) -> String {
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

    /// For transcripts and programs.
    pub(crate) fn judged(&self) -> Judged {
        let (judged_by, reason) = match self {
            Self::ByManufacturer(_) => ("manufacturer", None),
            Self::ByModel(_) => ("model", None),
            Self::SlotClear | Self::SlotSet => ("slot", None),
            Self::ByPlan(reason) => ("plan", Some(reason.clone())),
        };
        Judged {
            software: self.is_software(),
            judged_by: Some(judged_by.into()),
            hardware_reason: reason,
        }
    }
}

impl Judged {
    /// What byok took the token for, and why; `None` if the record does not say why.
    pub(crate) fn nature(&self, token: &TokenFacts) -> Option<Nature> {
        match (self.software, self.judged_by.as_deref()?) {
            (true, "manufacturer") => Some(Nature::ByManufacturer(token.manufacturer.clone())),
            (true, "model") => Some(Nature::ByModel(token.model.clone())),
            (true, "slot") => Some(Nature::SlotClear),
            (false, "slot") => Some(Nature::SlotSet),
            (false, "plan") => self.hardware_reason.clone().map(Nature::ByPlan),
            _ => None,
        }
    }
}

/// The attributes that were read back from a key, by standard name; `None`: the module did not report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes(pub Vec<(Cow<'static, str>, Option<bool>)>);

/// The record's word for `None`.
const NOT_REPORTED: &str = "not reported";

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Some(value) => map.serialize_entry(name, value)?,
                None => map.serialize_entry(name, NOT_REPORTED)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Attributes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("attributes by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut all = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Json>()? {
                    let value = match value {
                        Json::Bool(value) => Some(value),
                        Json::String(_) => None,
                        other => {
                            let why = format!("{name} is {}", other.kind());
                            return Err(serde::de::Error::custom(why));
                        }
                    };
                    all.push((name.into(), value));
                }
                Ok(Attributes(all))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
