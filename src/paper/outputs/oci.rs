//! What leaves the room for OCI Vault: the wrapped data key as `oci` takes it, and the script that imports it.

use base64ct::{Base64, Encoding as _};

use super::{Common, Written, fill, sha256, shared};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::words::shell_word;
use crate::plan::kms::name::Name;
use crate::plan::kms::oci::{compartment, ocid};

const IMPORT: &str = include_str!("oci-import.sh.in");

/// The file that the script sends, for `--wrapped-import-key`.
const FILE: &str = "wrapped-import-key.json";

/// What goes to a vault, as a key for this algorithm.
pub(super) fn files(into: &Name, called: &str, common: &Common) -> Vec<Written> {
    let algorithm = match common.wrapping {
        WrappingAlgorithm::RsaesOaepSha256 => "RSA_OAEP_SHA256",
        WrappingAlgorithm::RsaAesKeyWrapSha256 => "RSA_OAEP_AES_SHA256",
        _ => "", // it takes no other
    };
    let length = match common.spec {
        Spec::Rsa { bits } => bits / 8,
        spec => spec.secret_len().unwrap_or_default(),
    };
    let json = format!(
        "{{\"keyMaterial\":\"{}\",\"wrappingAlgorithm\":\"{algorithm}\"}}",
        Base64::encode_string(common.wrapped)
    );
    let (compartment, display_name) = compartment(into).unwrap_or_default();
    let text = fill(IMPORT, |name| match name {
        "compartment" => shell_word(compartment),
        "display_name" => shell_word(display_name),
        "of_key" => shell_word(ocid(into).unwrap_or_default()),
        "shape" => shell_word(&format!("{called}/{length}")),
        "algorithm" => shell_word(algorithm),
        "json_sha256" => sha256(json.as_bytes()),
        _ => common.value(name).unwrap_or_else(|| shared(name)),
    });
    vec![(FILE.into(), json.into_bytes()), super::script(text)]
}
