//! Answers of OCI Vault about a version of a key, as `oci kms management key-version get` prints them.

use super::engine::{EngineKey, Reader, text};
use crate::ground::error::Result;
use crate::ground::strict_json::Json;
use crate::plan::kms::oci::{WORD, planned_ocid};

/// How it answers. It shows nothing of an AES key that could be compared.
pub(super) const READER: Reader = Reader {
    kms: &[WORD],
    member: "algorithm",
    is_of,
    in_result: |json| {
        Ok(EngineKey {
            state: text(json, "state"),
            ..told(text(json, "key_id"), text(json, "public_key"))
        })
    },
    answered,
    kinds: |_| Vec::new(),
    prove: "",
    symmetric: |_| None,
};

/// The plan knows the OCID of a key that gets a next version; a new key has none before its import.
fn is_of(key: &EngineKey, name: &str) -> bool {
    let planned = planned_ocid(name);
    planned.is_none() || key.name.is_none() || key.name == planned
}

/// The answer about a version; `None`: another answer.
fn answered(json: &Json) -> Option<Result<EngineKey>> {
    let data = json.get("data")?;
    let key = text(data, "key-id")?;
    Some(Ok(told(Some(key), text(data, "public-key"))))
}

fn told(key: Option<String>, public_key: Option<String>) -> EngineKey {
    EngineKey {
        name: key,
        public_key,
        ..EngineKey::default()
    }
}
