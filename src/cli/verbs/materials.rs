//! The table of the materials of a KMS key, for people.

use crate::evidence::receipts;
use crate::evidence::verify::{KmsKeyMaterials, Material};
use crate::ground::clock;
use crate::ground::words::{self, quoted};

/// Each KMS key with its materials, and the one sentence that operators must know.
pub(crate) fn for_people(keys: &[KmsKeyMaterials]) -> String {
    keys.iter().map(of_key).collect()
}

fn of_key(key: &KmsKeyMaterials) -> String {
    let mut text = format!("materials of {}\n", quoted(&key.key_arn));
    if let Some(at) = key.at {
        text += &format!("  as KMS listed them; added {}\n", clock::for_people(at));
        let doubt = key
            .endpoint
            .as_deref()
            .map(|url| receipts::said_elsewhere(url, None));
        text += &doubt.map_or_else(String::new, |doubt| {
            format!(
                "  {}\n",
                words::quoted_whole(doubt.trim_start_matches(", "))
            )
        });
    }
    for material in &key.materials {
        text += &format!(
            "  {}\n    {}\n",
            quoted(&material.key_material_id),
            about(material)
        );
    }
    text += "  The KMS key is Enabled only while all of them are imported";
    text += match key.materials.iter().all(|material| material.needed) {
        true => ".\n",
        false => ",\n  except what waits for its rotation.\n",
    };
    for next in &key.next {
        text += &format!("  next: {}\n", words::quoted_whole(next));
    }
    text
}

fn about(material: &Material) -> String {
    let state = quoted(material.state.as_deref().unwrap_or("state not told"));
    let imported = match material.import_state.as_deref() {
        Some("IMPORTED") => "imported",
        Some("PENDING_IMPORT") => "NOT IMPORTED",
        Some(other) => &quoted(other),
        None => "import not told",
    };
    let expires = match (material.expires, material.never_expires) {
        (Some(at), _) => format!("expires {}", clock::for_people(at)),
        (None, true) => "never expires".to_owned(),
        (None, false) => "expiry not told".to_owned(),
    };
    let label = material.label.as_ref();
    let label = label
        .map(|label| format!(", {}", quoted(label)))
        .unwrap_or_default();
    format!("{state}  {imported}  {expires}  {}{label}", material.record)
}
