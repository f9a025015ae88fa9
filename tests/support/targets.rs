//! Imports elsewhere than into AWS KMS, for which no server is needed.

use std::fs;

use super::Room;

/// The data key of the plan goes into a Managed HSM of Azure too. Its KEK is the key pair of the room's KMS.
pub fn into_a_managed_hsm(room: &mut Room) {
    const VAULT: &str = "https://a-hsm.managedhsm.azure.net/keys";
    let kek = room
        .kms
        .parameters_of("azure", &format!("{VAULT}/payments"));
    fs::write(room.path("inputs/kek.json"), kek).unwrap();
    room.plan.import_more += &format!(
        "[[key.import]]\nname = \"azure\"\nkms = \"azure\"\nkey = \"{VAULT}/payments\"\n\
         parameters = \"inputs/kek.json\"\nwrapping = \"RSA_AES_KEY_WRAP_SHA_1\"\nexpires = \"never\"\n\
         wrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    );
}
