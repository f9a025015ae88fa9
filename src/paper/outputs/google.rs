//! What leaves the room for Google Cloud KMS: the script that imports `WrappedKeyMaterial.bin` as it is.

use base64ct::{Base64, Encoding as _};

use super::azure::IMPORT as AZURE;
use super::{Common, Written, fill, for_people, function, shared};
use crate::crypto::wrapping::FINGERPRINT_TEXT;
use crate::ground::words::shell_word;
use crate::plan::kms::google::of_version;
use crate::plan::kms::name::Name;

const IMPORT: &str = include_str!("google-import.sh.in");

/// What goes to a key of Google's, which can be of these algorithms.
pub(super) fn files(into: &Name, algorithms: &str, common: &Common) -> Vec<Written> {
    let text = fill(IMPORT, |name| value(name, into, common, algorithms));
    vec![super::script(text)]
}

/// The value of one place in the template, as shell words.
fn value(name: &str, into: &Name, common: &Common, algorithms: &str) -> String {
    let challenge = || common.challenge.unwrap_or_default().split_at_checked(12);
    let (nonce, rest) = challenge().unwrap_or_default();
    let known = common.version.and_then(of_version);
    let until = common.valid_to.unwrap_or_default();
    match name {
        "project" | "location" => shell_word(into.part(name)),
        "key_ring" => shell_word(into.part("ring")),
        "key_name" => shell_word(into.part("key")),
        "job" => shell_word(common.wrapping_key_id.unwrap_or_default()),
        "algorithms" => shell_word(algorithms),
        "deadline" => shell_word(&until.as_second().to_string()),
        "deadline_text" => shell_word(&for_people(until)),
        "known" => shell_word(known.as_ref().map_or("", |(_, version)| version)),
        "nonce" => shell_word(&Base64::encode_string(nonce)),
        "challenge" => shell_word(&Base64::encode_string(rest)),
        "fingerprint_text" => shell_word(&String::from_utf8_lossy(FINGERPRINT_TEXT)),
        "found_several" | "is_alone" | "check_stopped" | "stopped_before" | "stop_at_two" => {
            function(AZURE, name)
        }
        _ => common.value(name).unwrap_or_else(|| shared(name)),
    }
}
