//! Imports elsewhere than into AWS KMS, for which no server is needed.

use std::fs;

use super::specs::RSA_AES;
use super::{KmsKey, Room, SHA_256};

/// A key ring of Google, and a vault of Azure that takes symmetric keys.
pub const RING: &str = "projects/a-project/locations/europe-west3/keyRings/ceremonies";
pub const MANAGED: &str = "https://a-hsm.managedhsm.azure.net";

/// A key of OCI's that is not there yet.
const OCI: &str =
    "https://v-management.kms.eu-frankfurt-1.oraclecloud.com/ocid1.compartment.oc1..aaaa/payments";

fn google() -> String {
    format!("{RING}/cryptoKeys/payments")
}

/// The data key of the plan goes into a Managed HSM of Azure too. Its KEK is the key pair of the room's KMS.
pub fn into_a_managed_hsm(room: &mut Room) {
    let key = format!("{MANAGED}/keys/payments");
    room.plan.import_more += &imported(room, "azure", &key, RSA_AES[0]);
}

/// The same, and into a key ring of Google, which takes no RSA-2048: the room's KMS has another key pair then.
pub fn into_azure_and_google(room: &mut Room) {
    room.use_kms_key(KmsKey::rsa(4096));
    into_a_managed_hsm(room);
    room.plan.import_more += &imported(room, "google", &google(), RSA_AES[0]);
}

/// An AES key goes into Google Cloud KMS, OCI Vault and OpenBao, with what they take alone or first.
pub fn aes_into_google_oci_and_bao(room: &mut Room) {
    room.plan_spec("AES_256", None); // the wrapping key has 4096 bits then
    room.plan.wrapping = RSA_AES[1].into();
    let more =
        imported(room, "google", &google(), RSA_AES[1]) + &imported(room, "oci", OCI, SHA_256);
    room.plan.import_more += &more;
}

/// An import into `key` of `kms`, by the room's wrapping key: its parameters beside the others, and its lines in a plan.
fn imported(room: &Room, kms: &str, key: &str, wrapping: &str) -> String {
    let file = format!("inputs/{kms}.json");
    fs::write(room.path(&file), room.kms.parameters_of(kms, key, wrapping)).unwrap();
    format!(
        "[[key.import]]\nname = \"{kms}\"\nkms = \"{kms}\"\nkey = \"{key}\"\nparameters = \"{file}\"\n\
         wrapping = \"{wrapping}\"\nwrap_in = \"{}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
        room.plan.wrap_in,
        room.kms.sha256()
    )
}

/// What the commands of the other KMSs print about one RSA-4096 wrapping key, in the room's `inputs`: `kek.json`,
/// `job.json` for an algorithm of RSA_AES_KEY_WRAP with SHA-1, `bao.json`, `oci.json`. The SHA-256 of that key.
pub fn answers_of_every_kms(room: &Room) -> String {
    let kms = KmsKey::rsa(4096);
    let answer = |name, key: &str| kms.parameters_of(name, key, RSA_AES[0]);
    let pem = answer("openbao", "").trim_end().replace('\n', "\\n");
    for (name, answer) in [
        ("kek", answer("azure", &format!("{MANAGED}/keys/KEK"))),
        ("job", answer("google", &format!("{RING}/cryptoKeys/any"))),
        (
            "bao",
            format!("{{\"data\":{{\"public_key\":\"{pem}\"}}}}\n"),
        ),
        (
            "oci",
            format!("{{\"data\":{{\"public-key\":\"{pem}\"}}}}\n"),
        ),
    ] {
        fs::write(room.path(&format!("inputs/{name}.json")), answer).unwrap();
    }
    kms.sha256()
}

/// The data key of the plan goes into five KMSs. What SoftHSM cannot wrap as OCI takes it, this computer wraps.
pub fn into_every_kms(room: &mut Room) {
    let slip = answers_of_every_kms(room);
    let bao = "https://bao.example:8200/v1/transit/keys/payments".to_owned();
    for (name, kms, key, file, wrapping, wrap_in) in [
        ("google", "google", google(), "job", RSA_AES[0], "hsm"),
        (
            "azure",
            "azure",
            format!("{MANAGED}/keys/payments"),
            "kek",
            RSA_AES[0],
            "hsm",
        ),
        ("bao", "openbao", bao, "bao", RSA_AES[0], "hsm"),
        ("oci", "oci", OCI.to_owned(), "oci", SHA_256, "host"),
    ] {
        room.plan.import_more += &format!(
            "[[key.import]]\nname = \"{name}\"\nkms = \"{kms}\"\nkey = \"{key}\"\nparameters = \"inputs/{file}.json\"\n\
             wrapping = \"{wrapping}\"\nwrap_in = \"{wrap_in}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{slip}\"\n"
        );
    }
}
