//! Google Cloud KMS.
//!
//! The wrapping key belongs to an *import job* of the key's own key ring, which names the one algorithm that it unwraps and
//! lives for three days. There is no import token: the job's name binds. What is imported becomes a new version of the
//! key; Google compares material only if it goes back into a version that held some before.
//!
//! Source: Cloud KMS documentation, "Key import", "Import jobs", "Reimport a destroyed key"; REST resources ImportJob and
//! CryptoKeyVersion (v1), as `gcloud --format=json` prints them; the algorithms of `gcloud kms keys versions import`.

use jiff::{SignedDuration, Timestamp};

use super::answer::{Answer, Answered, of_length};
use super::name::{Name, Shape, is_label, is_small, is_word};
use super::{Called, Elsewhere, Facts, KmsKey, Lifetime};
use crate::crypto::spec::{Curve, HmacHash, Spec};
use crate::crypto::wrapping::WrappingAlgorithm::{
    self, RsaAesKeyWrapSha1, RsaAesKeyWrapSha256, RsaesOaepSha1, RsaesOaepSha256,
};
use crate::crypto::wrapping::public;
use crate::ground::clock;
use crate::ground::error::Result;
use crate::ground::strict_json::Json;

/// The longest name of a key ring, a key or an import job.
const LONGEST_NAME: usize = 63;

/// How long an import job lives.
const HOURS: i64 = 72;

/// Google Cloud KMS.
pub(super) const GOOGLE: Elsewhere = Elsewhere {
    facts: Facts {
        kms: "Google Cloud KMS",
        word: Some(WORD),
        script: "google.sh",
        place: "{location}",
        owner: "projects/{project}/locations/{location}/keyRings/{ring}",
        source: Some("{owner}/importJobs/JOB"),
        wrapping_key_bits: &[3072, 4096],
        binds_algorithm: true,
        lifetime: Lifetime::Hours(HOURS),
        no_guard: Some(
            "by byok alone, unless the material goes back into a version that held it (import.sh --version): {kms} takes any material as a new version",
        ),
        doubt: None,
        proves_by_decrypting: |spec| matches!(spec, Spec::Aes { .. }), // SYMMETRIC_DEFAULT is opaque there
        beside: &[(
            "import.sh",
            "checks it, then runs gcloud kms keys versions import",
        )],
    },
    example: "by its resource name: projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
    kinds: &["projects/project/locations/l/keyRings/ring/cryptoKeys/key"],
    shape: Shape {
        text: "projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{key}",
        parts: &[
            (
                "project",
                is_project,
                "6 to 30 small letters, digits and hyphens",
            ),
            (
                "location",
                |location| is_small(location, 63, "-"),
                "small letters, digits and hyphens",
            ),
            ("ring", is_name, NAME),
            ("key", is_name, NAME),
        ],
    },
    key: KmsKey::Google,
    called: |_, spec| algorithms(spec),
    unwraps: |spec, wrapping| match (wrapping, spec) {
        (RsaesOaepSha1, _) => Err((
            "has no import method with it",
            "write RSA_AES_KEY_WRAP_SHA_256, or RSA_AES_KEY_WRAP_SHA_1 if the HSM wraps with that alone",
        )),
        (RsaesOaepSha256, Spec::Rsa { .. }) => Err((
            "takes RSA keys with RSA_AES_KEY_WRAP_* only",
            "write RSA_AES_KEY_WRAP_SHA_256 or RSA_AES_KEY_WRAP_SHA_1",
        )),
        _ => Ok(()),
    },
    answer: Answer {
        what: "import parameters of Google Cloud KMS",
        import_name: WORD,
        pem_lacks: Some("does not name the import job: its method, its deadline and its key ring"),
        mark: Some("importMethod"),
        members: "name importMethod protectionLevel state expireTime publicKey pem",
        by_content: |_| None,
        others: &[
            ("ImportToken", "import parameters of AWS KMS"),
            ("data", "an answer of OpenBao, Vault or OCI"),
            ("error", "an error message of Google"),
            ("purpose", "about a key, not about an import job"),
            (
                "algorithm",
                "about a version of a key, not about an import job",
            ),
            ("key", "a key of Azure"),
        ],
        given,
        id: (
            "import_job",
            "import job",
            "an import job of its own key ring",
        ),
        useless: (
            "IMPORT-JOB",
            "make one in the key ring of the plan's key: bash google.sh job projects/P/locations/L/keyRings/R/importJobs/JOB",
        ),
        fetch: "online: gcloud kms import-jobs describe JOB --project P --location L --keyring R --format=json",
    },
    unsaid: &[],
    judge: |_, _, _| Ok(()),
    labelled: |label| format!("{label:.LONGEST_NAME$}"),
    practice: |key, wrapping_key, wrapping| {
        let pem = public::to_pem(wrapping_key.spki_der()).replace('\n', "\\n");
        let mut methods = METHODS.iter();
        let method = methods.find(|(_, of, bits)| (*of, *bits) == (wrapping, wrapping_key.bits()));
        let method = method.map_or("NONE", |(method, ..)| method);
        let expires = clock::now() + SignedDuration::from_hours(HOURS);
        let job =
            key.fill("projects/{project}/locations/{location}/keyRings/{ring}/importJobs/stand-in");
        format!(
            "{{\n  \"expireTime\": \"{expires}\",\n  \"importMethod\": \"{method}\",\n  \"name\": \"{job}\",\n  \
             \"protectionLevel\": \"HSM\",\n  \"publicKey\": {{\n    \"pem\": \"{pem}\"\n  }},\n  \"state\": \"ACTIVE\"\n}}\n"
        )
    },
};

/// The plan's word for it.
pub(crate) const WORD: &str = "google";

const NAME: &str = "1 to 63 letters, digits, _ and -";

/// The import methods that byok serves: algorithm, and length of the wrapping key in bits.
const METHODS: [(&str, WrappingAlgorithm, usize); 6] = [
    ("RSA_OAEP_3072_SHA1_AES_256", RsaAesKeyWrapSha1, 3072),
    ("RSA_OAEP_4096_SHA1_AES_256", RsaAesKeyWrapSha1, 4096),
    ("RSA_OAEP_3072_SHA256_AES_256", RsaAesKeyWrapSha256, 3072),
    ("RSA_OAEP_4096_SHA256_AES_256", RsaAesKeyWrapSha256, 4096),
    ("RSA_OAEP_3072_SHA256", RsaesOaepSha256, 3072),
    ("RSA_OAEP_4096_SHA256", RsaesOaepSha256, 4096),
];

/// A project's id, perhaps with the domain that it belongs to.
fn is_project(project: &str) -> bool {
    let (domain, id) = project.split_once(':').unwrap_or(("of", project));
    let begins = id.starts_with(|c: char| c.is_ascii_lowercase());
    is_small(domain, 63, "-.") && begins && id.len() >= 6 && is_label(id, 30)
}

fn is_name(name: &str) -> bool {
    is_word(name, LONGEST_NAME, "-_")
}

/// The key that a version's resource name belongs to, and the version's number.
pub(crate) fn of_version(name: &str) -> Option<(Name, &str)> {
    let (key, version) = name.rsplit_once("/cryptoKeyVersions/")?;
    let is_number = (1..10).contains(&version.len())
        && version.bytes().all(|c| c.is_ascii_digit())
        && !version.starts_with('0');
    is_number.then(|| Some((GOOGLE.shape.read(key).ok()?, version)))?
}

/// An import job of Google's HSMs that is active.
fn given(answer: &Answer, json: &Json) -> Result<Answered> {
    let text = |path| answer.text(json, path);
    let (name, method) = (text("name")?, text("importMethod")?);
    match text("protectionLevel")? {
        "HSM" => {}
        level => {
            return Err(answer.useless(format!(
                "the import job has the protection level {level}, not HSM: whoever brings a key of their own expects it in an HSM there too"
            )));
        }
    }
    match text("state")? {
        "ACTIVE" => {}
        state => return Err(answer.useless(format!("the import job is {state}, not ACTIVE"))),
    }
    let Some((_, wrapping, bits)) = METHODS.iter().find(|(known, ..)| *known == method) else {
        return Err(answer.useless(format!(
            "the import job has the method {method}, which byok does not serve"
        )));
    };
    let until = text("expireTime")?.parse::<Timestamp>().ok();
    // in whole seconds as the clock here, for which a job of this second would live for more than 72 hours
    let until = until.and_then(|at| Timestamp::from_second(at.as_second()).ok());
    let wrapping_key = answer.key(text("publicKey pem")?)?;
    of_length(&wrapping_key, &[*bits], "those of this import method")?;
    let until = until.ok_or_else(|| answer.refused("`expireTime` is not a time"))?;
    let ring = name.split_once("/importJobs/");
    let ring = ring.filter(|(_, job)| is_name(job)).map(|(ring, _)| ring);
    let of = ring.and_then(|ring| GOOGLE.shape.read(&format!("{ring}/cryptoKeys/k")).ok());
    let no_job = || answer.refused(format!("has the name {name:?}, which is no import job's"));
    Ok(Answered {
        id: Some(name.to_owned()),
        of: Some(of.ok_or_else(no_job)?),
        wrapping: Some(*wrapping),
        until: Some(until),
        ..wrapping_key.into()
    })
}

/// The algorithms that a data key can have there, as `gcloud` names them, the usual one first.
///
/// # Errors
/// Why Google takes none.
pub(crate) fn algorithms(spec: Spec) -> Called {
    Ok(match spec {
        Spec::Symmetric { bytes: 32 } => "google-symmetric-encryption",
        Spec::Symmetric { .. } => {
            return Err((
                "takes 32 bytes for symmetric encryption",
                "name the data key's KMS keys in aws-cn in a plan of their own",
            ));
        }
        Spec::Aes { bytes: 16 } => "aes-128-gcm",
        Spec::Aes { bytes: 32 } => "aes-256-gcm",
        Spec::Aes { .. } => {
            return Err(("has no AES keys of 192 bits", "take AES_256, or AES_128"));
        }
        Spec::Ed25519 => "ec-sign-ed25519",
        Spec::Hmac { hash, bytes } if bytes != hash.bytes() => {
            return Err((
                "takes an HMAC key only if it is exactly as long as the hash",
                "remove `bits` from the plan",
            ));
        }
        Spec::Hmac { hash, .. } => match hash {
            HmacHash::Sha224 => "hmac-sha224",
            HmacHash::Sha256 => "hmac-sha256",
            HmacHash::Sha384 => "hmac-sha384",
            HmacHash::Sha512 => "hmac-sha512",
        },
        Spec::Ec(Curve::P256) => "ec-sign-p256-sha256",
        Spec::Ec(Curve::P384) => "ec-sign-p384-sha384",
        Spec::Ec(Curve::Secp256k1) => "ec-sign-secp256k1-sha256",
        Spec::Ec(Curve::P521) => {
            return Err((
                "has no keys on P-521",
                "the most similar one that it takes is ECC_NIST_P384",
            ));
        }
        Spec::Rsa { bits: 2048 } => {
            "rsa-sign-pss-2048-sha256 rsa-sign-pkcs1-2048-sha256 rsa-decrypt-oaep-2048-sha256 rsa-decrypt-oaep-2048-sha1"
        }
        Spec::Rsa { bits: 3072 } => {
            "rsa-sign-pss-3072-sha256 rsa-sign-pkcs1-3072-sha256 rsa-decrypt-oaep-3072-sha256 rsa-decrypt-oaep-3072-sha1"
        }
        Spec::Rsa { .. } => {
            "rsa-sign-pss-4096-sha256 rsa-sign-pss-4096-sha512 rsa-sign-pkcs1-4096-sha256 rsa-sign-pkcs1-4096-sha512 rsa-decrypt-oaep-4096-sha256 rsa-decrypt-oaep-4096-sha512 rsa-decrypt-oaep-4096-sha1"
        }
    })
}

#[cfg(test)]
mod tests;
