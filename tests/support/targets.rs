//! Imports elsewhere than into AWS KMS, for which no server is needed.

use std::fs;

use super::{Room, base64, openssl, unhex};

/// The data key of the plan goes into a Managed HSM of Azure too. Its KEK is the key pair of the room's KMS.
pub fn into_a_managed_hsm(room: &mut Room) {
    const VAULT: &str = "https://a-hsm.managedhsm.azure.net/keys";
    let modulus = ["pkey", "-pubin", "-inform", "DER", "-noout", "-text"];
    let modulus = modulus_of(&String::from_utf8(openssl(&modulus, &room.kms.spki)).unwrap());
    let kek = serde_json::json!({
        "attributes": {"enabled": true, "expires": null},
        "key": {
            "kid": format!("{VAULT}/KEK/0123456789abcdef0123456789abcdef"), "kty": "RSA-HSM",
            "keyOps": ["import"], "n": base64(&modulus), "e": "AQAB",
        },
    });
    fs::write(room.path("inputs/kek.json"), kek.to_string()).unwrap();
    room.plan.import_more += &format!(
        "[[key.import]]\nname = \"azure\"\nkms = \"azure\"\nkey = \"{VAULT}/payments\"\n\
         parameters = \"inputs/kek.json\"\nwrapping = \"RSA_AES_KEY_WRAP_SHA_1\"\nexpires = \"never\"\n\
         wrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    );
}

/// From the lines of openssl that are hexadecimal rows, without the zero byte before.
fn modulus_of(text: &str) -> Vec<u8> {
    let rows = text.lines().filter(|line| line.starts_with("    "));
    let hex: String = rows
        .flat_map(str::chars)
        .filter(char::is_ascii_hexdigit)
        .collect();
    unhex(hex.strip_prefix("00").unwrap_or(&hex))
}
