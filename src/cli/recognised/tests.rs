use super::*;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::WrappingAlgorithm::{RsaAesKeyWrapSha1, RsaAesKeyWrapSha256};
use crate::crypto::wrapping::key::tests::crafted;
use crate::crypto::wrapping::public;
use crate::plan::kms::FILL_IN;

const RING: &str = "projects/a-project/locations/europe-west6/keyRings/ring";
const HSM: &str = "https://a-hsm.managedhsm.azure.net";

/// A key of each KMS that answers in its own way, and what its import parameters say besides the wrapping key.
fn each() -> [(KmsKey, WrappingAlgorithm, &'static [&'static str]); 4] {
    let key = |word, name: &str| KmsKey::parse(Some(word), None, Some(name)).unwrap();
    let oci = "https://a-management.kms.us-ashburn-1.oraclecloud.com/ocid1.compartment.oc1..a/k";
    [
        (
            key("openbao", "https://bao.example/v1/transit/keys/k"),
            RsaAesKeyWrapSha1,
            &[],
        ),
        (
            key("azure", &format!("{HSM}/keys/k")),
            RsaAesKeyWrapSha1,
            &["kek"],
        ),
        (
            key("google", &format!("{RING}/cryptoKeys/k")),
            RsaAesKeyWrapSha1,
            &["import_job", "valid_to"],
        ),
        (key("oci", oci), RsaAesKeyWrapSha256, &[]),
    ]
}

fn known(key: &KmsKey, wrapping: WrappingAlgorithm) -> Recognised {
    let text = key.practice(&crafted(4096), wrapping).unwrap();
    recognise(text.as_bytes()).unwrap().unwrap()
}

#[test]
fn what_a_command_prints_is_known_with_all_that_it_says() {
    for (key, wrapping, more) in each() {
        let known = known(&key, wrapping);
        assert!(known.answered.wrapping_key == crafted(4096));
        assert_eq!(known.kms_key("payments").word, key.word);
        let bound = key.binds_algorithm.then_some(wrapping);
        assert_eq!(known.answered.wrapping, bound);
        assert_eq!(known.valid_to().is_some(), bound.is_some());
        let names: Vec<&str> = known.more().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, more);
        assert!(known.more().iter().all(|(_, value)| !value.is_empty()));
        assert!(known.row.answer.what.starts_with("import parameters of "));
        assert!(!known.row.answer.import_name.is_empty());
    }
    assert!(recognise(b"{}").unwrap().is_none());
    let pem = public::to_pem(crafted(4096).spki_der());
    let wide: Vec<u8> = pem.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for anybodys in [pem.into_bytes(), [&[0xff, 0xfe], &wide[..]].concat()] {
        assert!(recognise(&anybodys).unwrap().is_none());
    }
}

#[test]
fn what_a_file_does_not_say_of_a_key_is_to_be_filled_in() {
    let [(bao, ..), (azure, ..), (google, ..), (oci, ..)] =
        each().map(|(key, wrapping, _)| (known(&key, wrapping), ()));
    for (known, begins) in [
        (bao, "https://FILL-IN/v1/FILL-IN/keys/"),
        (
            oci,
            "https://FILL-IN-management.kms.FILL-IN.oraclecloud.com/ocid1.compartment.oc1..FILL-IN/",
        ),
    ] {
        let key = known.kms_key("payments");
        assert_eq!(key.as_str(), format!("{begins}payments"));
        assert!(key.to_fill_in().is_some() && key.as_str().contains(FILL_IN));
        let error = KmsKey::parse(key.word, None, Some(key.as_str())).unwrap_err();
        assert!(error.what.contains("is not filled in"), "{}", error.what);
    }
    let azure = azure.kms_key("Payments_2026-");
    assert_eq!(azure.as_str(), format!("{HSM}/keys/payments-2026"));
    let google = google.kms_key("Payments_2026");
    assert_eq!(google.as_str(), format!("{RING}/cryptoKeys/Payments_2026"));
    assert_eq!((azure.to_fill_in(), google.to_fill_in()), (None, None));
    for key in [azure, google] {
        assert_eq!(
            KmsKey::parse(key.word, None, Some(key.as_str())).unwrap(),
            key
        );
    }
}

/// Whatever is wrong with it, a job is a job; anything else may be that of another KMS.
#[test]
fn what_is_of_no_use_is_told_from_what_is_something_else() {
    let [bao, _, google, _] = each().map(|(key, wrapping, _)| (key, wrapping));
    let exit = |text: &str| recognise(text.as_bytes()).err().map(|error| error.exit);
    let short = bao.0.practice(&crafted(2048), bao.1).unwrap();
    assert_eq!(exit(&short), Some(Exit::Mismatch));
    let job = google.0.practice(&crafted(4096), google.1).unwrap();
    let useless = job.replace("\"name\": \"", "\"name\": 1, \"x\": \"");
    assert_ne!(useless, job);
    assert_eq!(exit(&useless), Some(Exit::Mismatch));
    assert_eq!(exit("{\"publicKey\": 1}"), None);
    for nobodys in ["{\"\":1}", "{\"\":1,\"ImportToken\":\"\"}"] {
        assert_eq!(exit(nobodys), None); // a member without a name marks nothing
    }
}
