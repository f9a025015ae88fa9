//! What leaves the room for OCI Vault: the wrapped data key as `oci` takes it, and the script that imports it.

use base64ct::{Base64, Encoding as _};

use super::{Common, Written, fill, sha256, shared};
use crate::crypto::spec::Refusal;
use crate::ground::words::shell_word;
use crate::plan::kms::Kms as _;
use crate::plan::kms::oci::{OciKey, WORD, algorithm};

const IMPORT: &str = include_str!("oci-import.sh.in");

/// The file that the script sends, for `--wrapped-import-key`.
const FILE: &str = "wrapped-import-key.json";

/// What goes to a vault.
///
/// # Errors
/// Why it takes none.
pub(crate) fn files(into: &OciKey, common: &Common) -> Result<Vec<Written>, Refusal> {
    let (kind, length) = into.shape(common.spec)?;
    let algorithm = algorithm(common.wrapping).unwrap_or_default();
    let json = format!(
        "{{\"keyMaterial\":\"{}\",\"wrappingAlgorithm\":\"{algorithm}\"}}",
        Base64::encode_string(common.wrapped)
    );
    let text = fill(IMPORT, |name| match name {
        "kms" => shell_word(WORD),
        "name" => shell_word(into.kms()),
        "key" => shell_word(into.as_str()),
        "server" => shell_word(into.place()),
        "compartment" => shell_word(
            into.compartment()
                .map_or("", |(compartment, _)| compartment),
        ),
        "display_name" => shell_word(into.compartment().map_or("", |(_, name)| name)),
        "of_key" => shell_word(into.ocid().unwrap_or_default()),
        "shape" => shell_word(&format!("{kind}/{length}")),
        "algorithm" => shell_word(algorithm),
        "json_sha256" => sha256(json.as_bytes()),
        _ => common.value(name).unwrap_or_else(|| shared(name)),
    });
    Ok(vec![(FILE.into(), json.into_bytes()), super::script(text)])
}
