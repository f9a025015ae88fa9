use super::*;
use crate::crypto::wrapping::key::tests::crafted;
use crate::ground::error::Exit;
use crate::plan::kms::Wanted;

const RING: &str = "projects/a-project-1/locations/europe-west6/keyRings/a_ring-1";

fn read(name: &str) -> Result<KmsKey> {
    KmsKey::parse(Some("google"), None, Some(name))
}

fn key() -> KmsKey {
    read(&format!("{RING}/cryptoKeys/Payments_1")).unwrap()
}

fn parse(bytes: &[u8]) -> Result<Answered> {
    GOOGLE.parse(bytes)
}

/// As for a plan whose key this is.
fn judged(text: &str, wrapping: WrappingAlgorithm) -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("job.json");
    std::fs::write(&path, text).unwrap();
    let wanted = Wanted {
        path: &path,
        wrapping,
        valid_to: None,
    };
    key().read(&wanted).map(|_| ())
}

#[test]
fn a_key_has_one_spelling_and_anything_else_is_refused_by_its_part() {
    for name in [
        format!("{RING}/cryptoKeys/k"),
        "projects/example.com:project/locations/global/keyRings/R/cryptoKeys/K-1_2".into(),
    ] {
        let key = read(&name).unwrap();
        assert_eq!(key.as_str(), name);
        assert!(name.starts_with(&key.owner()) && !key.owner().contains("cryptoKeys"));
        let version = format!("{name}/cryptoKeyVersions/12");
        let told = of_version(&version).map(|(key, version)| (KmsKey::Google(key), version));
        assert_eq!(told, Some((key, "12")));
    }
    let with = |from: &str, to: &str| format!("{RING}/cryptoKeys/k").replace(from, to);
    let long = "k".repeat(64);
    for (name, why) in [
        (String::new(), "does not begin with projects/"),
        (with("projects/", "/projects/"), "does not begin"),
        (
            with("/cryptoKeys/k", ""),
            "has no /cryptoKeys/ after its ring",
        ),
        (with("cryptoKeys/k", "cryptoKeys/k/"), "has a key that"),
        (
            with("cryptoKeys/k", "cryptoKeys/k/cryptoKeyVersions/1"),
            "has a key that",
        ),
        (with("cryptoKeys", "cryptokeys"), "has no /cryptoKeys/"),
        (
            with("projects", "https://cloudkms.googleapis.com/v1/projects"),
            "does not begin",
        ),
        (with("a-project-1", "A-project-1"), "has a project"),
        (with("a-project-1", "1-project"), "has a project"),
        (with("a-project-1", "short"), "has a project"),
        (with("a-project-1", "123456789012"), "has a project"),
        (with("a-project-1", "a-project-"), "has a project"),
        (with("a-project-1", "a:b:project"), "has a project"),
        (with("a-project-1", ""), "has a project"),
        (with("europe-west6", "Europe"), "has a location"),
        (with("europe-west6", "a b"), "has a location"),
        (with("europe-west6", ""), "has a location"),
        (with("a_ring-1", "a.ring"), "has a ring"),
        (with("a_ring-1", "*"), "has a ring"),
        (with("cryptoKeys/k", "cryptoKeys/k$(x)"), "has a key"),
        (
            with("cryptoKeys/k", &format!("cryptoKeys/{long}")),
            "has a key",
        ),
        (with("cryptoKeys/k", "cryptoKeys/ké"), "has a key"),
    ] {
        let error = read(&name).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{name}");
        assert!(error.what.contains(why), "{why}: {}", error.what);
    }
    for version in ["", "0", "01", "1x", "-1", "1234567890"] {
        let name = format!("{RING}/cryptoKeys/k/cryptoKeyVersions/{version}");
        assert_eq!(of_version(&name), None, "{version}");
    }
}

fn job(bits: usize, wrapping: WrappingAlgorithm) -> String {
    key().practice(&crafted(bits), wrapping).unwrap()
}

#[test]
fn parameters_as_gcloud_prints_them_give_algorithm_deadline_and_job() {
    for (bits, wrapping) in [
        (3072, WrappingAlgorithm::RsaAesKeyWrapSha1),
        (4096, WrappingAlgorithm::RsaesOaepSha256),
    ] {
        let text = job(bits, wrapping);
        let job = parse(text.as_bytes()).unwrap();
        assert_eq!(
            (job.wrapping_key.bits(), job.wrapping),
            (bits, Some(wrapping))
        );
        assert_eq!(job.id, Some(format!("{RING}/importJobs/stand-in")));
        judged(&text, wrapping).unwrap();
        let other = judged(&text, WrappingAlgorithm::RsaAesKeyWrapSha256);
        assert_eq!(other.unwrap_err().check, Some("WRAPPING-ALGORITHM-MATCH"));
    }
}

#[test]
fn hostile_and_mistaken_parameters_are_refused_by_what_they_are() {
    let good = job(3072, WrappingAlgorithm::RsaAesKeyWrapSha1);
    let with = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        text
    };
    let pem = public::to_pem(parse(good.as_bytes()).unwrap().wrapping_key.spki_der());
    for (text, why) in [
        (String::new(), "is not JSON"),
        ("[]".into(), "is a list"),
        ("{}".into(), "has no text `name`"),
        (pem, "is PEM"),
        (
            "{\"ImportToken\": \"\"}".into(),
            "is import parameters of AWS KMS",
        ),
        (
            "{\"data\": {}}".into(),
            "is an answer of OpenBao, Vault or OCI",
        ),
        ("{\"error\": {}}".into(), "is an error message of Google"),
        (
            "{\"name\": \"x\", \"purpose\": \"MAC\"}".into(),
            "is about a key",
        ),
        (
            "{\"name\": \"x\", \"algorithm\": \"y\"}".into(),
            "is about a version",
        ),
        (
            with("\"name\": \"", "\"name\": 1, \"other\": \""),
            "has no text `name`",
        ),
        (
            with("\"name\":", "\"name\": \"x\", \"name\":"),
            "is not JSON",
        ),
        (
            with("\"state\":", "\"labels\": {\"state\": \"x\"}, \"state\":"),
            "has a second `state`",
        ),
        (with("\"pem\"", "\"der\""), "has no text `pem`"),
        (
            with("BEGIN PUBLIC KEY", "BEGIN RSA PUBLIC KEY"),
            "is not one public key in PEM",
        ),
        (with("MII", "M"), "the public key is not"),
        (
            with("\"expireTime\": \"", "\"expireTime\": \"soon "),
            "`expireTime` is not a time",
        ),
        (
            with("\"expireTime\"", "\"createTime\""),
            "has no text `expireTime`",
        ),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{text}");
        assert!(error.what.contains(why), "{why}: {}", error.what);
        let hints = error.hints.concat();
        assert!(hints.contains("gcloud kms import-jobs describe"), "{hints}");
        assert!(!hints.contains("aws"), "{hints}");
    }
    for (text, check, why) in [
        (
            with("\"HSM\"", "\"SOFTWARE\""),
            "IMPORT-JOB",
            "SOFTWARE, not HSM",
        ),
        (
            with("\"HSM\"", "\"SOFTWARE\"").replace("\"state\"", "\"x\""),
            "IMPORT-JOB",
            "SOFTWARE, not HSM",
        ),
        (
            with("\"HSM\"", "\"HSM_SINGLE_TENANT\""),
            "IMPORT-JOB",
            "not HSM",
        ),
        (
            with("ACTIVE", "EXPIRED"),
            "IMPORT-JOB",
            "is EXPIRED, not ACTIVE",
        ),
        (
            with("ACTIVE", "PENDING_GENERATION"),
            "IMPORT-JOB",
            "not ACTIVE",
        ),
        (
            with(
                "RSA_OAEP_3072_SHA1_AES_256",
                "HPKE_KEM_XWING_HKDF_SHA256_AES_256_GCM",
            ),
            "IMPORT-JOB",
            "HPKE_KEM_XWING",
        ),
        (
            with("RSA_OAEP_3072_SHA1_AES_256", "RSA_OAEP_3072_SHA1"),
            "IMPORT-JOB",
            "RSA_OAEP_3072_SHA1,",
        ),
        (
            with("RSA_OAEP_3072", "RSA_OAEP_4096"),
            "WRAPPING-KEY-SIZE",
            "has 3072 bits",
        ),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            (error.exit, error.check),
            (Exit::Mismatch, Some(check)),
            "{text}"
        );
        assert!(error.what.contains(why), "{why}: {}", error.what);
    }
    for name in [
        RING.replace("a_ring", "b_ring") + "/importJobs/j",
        RING.replace("europe-west6", "global") + "/importJobs/j",
        RING.replace("a-project-1", "a-project-2") + "/importJobs/j",
        format!("{RING}1/importJobs/j"),
    ] {
        let text = with(&format!("{RING}/importJobs/stand-in"), &name);
        let error = judged(&text, WrappingAlgorithm::RsaAesKeyWrapSha1).unwrap_err();
        assert_eq!(
            (error.exit, error.check),
            (Exit::Mismatch, Some("IMPORT-JOB")),
            "{name}"
        );
    }
}

#[test]
fn what_has_no_name_of_a_job_is_none() {
    let good = job(3072, WrappingAlgorithm::RsaAesKeyWrapSha1);
    for name in [
        format!("{RING}/importJobs/j/x"),
        format!("{RING}/importJobs/"),
        format!("{RING}/cryptoKeys/Payments_1"),
    ] {
        let text = good.replace(&format!("{RING}/importJobs/stand-in"), &name);
        let error = judged(&text, WrappingAlgorithm::RsaAesKeyWrapSha1).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{name}");
        assert!(error.what.ends_with("which is no import job's"), "{name}");
    }
}

#[test]
fn exactly_what_google_takes_is_taken() {
    for spec in Spec::ALL {
        for wrapping in WrappingAlgorithm::ALL {
            let taken = key().takes(spec, wrapping);
            let of_spec = !["ECC_NIST_P521", "AES_192"].contains(&spec.name());
            let rsa = spec.name().starts_with("RSA_");
            let expected = match wrapping.name() {
                "RSAES_OAEP_SHA_1" => false,
                "RSAES_OAEP_SHA_256" => of_spec && !rsa,
                _ => of_spec,
            };
            assert_eq!(
                taken.is_ok(),
                expected,
                "{} {wrapping} {taken:?}",
                spec.name()
            );
        }
    }
    let longer = Spec::Hmac {
        hash: HmacHash::Sha256,
        bytes: 33,
    };
    for spec in [longer, Spec::Symmetric { bytes: 16 }, Spec::Ec(Curve::P521)] {
        assert!(algorithms(spec).is_err());
    }
}
