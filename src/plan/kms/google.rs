//! Google Cloud KMS.
//!
//! The wrapping key belongs to an *import job* of the key's own key ring, which names the one algorithm that it unwraps and
//! lives for three days. There is no import token: the job's name binds. What is imported becomes a new version of the
//! key; Google compares material only if it goes back into a version that held some before.
//!
//! Source: Cloud KMS documentation, "Key import", "Import jobs", "Reimport a destroyed key"; REST resources ImportJob and
//! CryptoKeyVersion (v1), as `gcloud --format=json` prints them; the algorithms of `gcloud kms keys versions import`.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::file::{self, ParameterFile};
use super::{Given, Kms, KmsKey, Lifetime, Recognised, Wanted};
use crate::crypto::spec::{Curve, HmacHash, Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::WrappingKey;
use crate::crypto::wrapping::public;
use crate::ground::clock;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::strict_json::{self, Json};

/// The plan's word for it.
pub(crate) const WORD: &str = "google";

/// How such a key is named.
pub(crate) const EXAMPLE: &str =
    "by its resource name: projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY";

/// The longest name of a key ring, a key or an import job.
const LONGEST_NAME: usize = 63;

/// How long an import job lives.
const HOURS: i64 = 72;

/// A key of a key ring, by its resource name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CryptoKey {
    name: String,
    project: String,
    location: String,
    ring: String,
    key: String,
}

impl CryptoKey {
    /// Reads the resource name.
    ///
    /// # Errors
    /// Exit 2 for any other spelling, by the part that is wrong.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::usage(format!("key {name:?} {why}")).hint(format!("name it {EXAMPLE}"))
        };
        let parts: Vec<&str> = name.split('/').collect();
        let [
            "projects",
            project,
            "locations",
            location,
            "keyRings",
            ring,
            "cryptoKeys",
            key,
        ] = parts[..]
        else {
            return Err(refuse("is not the resource name of a key"));
        };
        if !is_project(project) {
            return Err(refuse(
                "has a project that is not 6 to 30 small letters, digits and hyphens",
            ));
        }
        if !is_word(location, 63, "-") || location.contains(|c: char| c.is_ascii_uppercase()) {
            return Err(refuse(
                "has a location that is not small letters, digits and hyphens",
            ));
        }
        if !is_word(ring, LONGEST_NAME, "-_") || !is_word(key, LONGEST_NAME, "-_") {
            return Err(refuse(
                "has a key ring or key that is not 1 to 63 letters, digits, _ and -",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            project: project.to_owned(),
            location: location.to_owned(),
            ring: ring.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The key that a version's resource name belongs to, and the version's number.
    pub(crate) fn of_version(name: &str) -> Option<(Self, &str)> {
        let (key, version) = name.rsplit_once("/cryptoKeyVersions/")?;
        let is_number = (1..10).contains(&version.len())
            && version.bytes().all(|c| c.is_ascii_digit())
            && !version.starts_with('0');
        is_number.then(|| Some((Self::parse(key).ok()?, version)))?
    }

    /// Project, location, key ring and key, as `gcloud` takes them.
    pub(crate) fn parts(&self) -> [&str; 4] {
        [&self.project, &self.location, &self.ring, &self.key]
    }

    /// The key of this label in the same ring.
    fn key(&self, label: &str) -> Self {
        let key: String = label.chars().take(LONGEST_NAME).collect();
        Self {
            name: format!("{}/cryptoKeys/{key}", self.ring()),
            key,
            ..self.clone()
        }
    }

    /// What the resource names of all that is in its key ring begin with.
    fn ring(&self) -> &str {
        let end = self.name.len() - "/cryptoKeys/".len() - self.key.len();
        &self.name[..end]
    }
}

/// A project's id, perhaps with the domain that it belongs to.
fn is_project(project: &str) -> bool {
    let (domain, id) = project.split_once(':').unwrap_or(("of", project));
    is_word(domain, 63, "-.")
        && (6..=30).contains(&id.len())
        && is_word(id, 30, "-")
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && !project.contains(|c: char| c.is_ascii_uppercase())
        && !id.ends_with('-')
}

fn is_word(text: &str, most: usize, more: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    (1..=most).contains(&text.len()) && text.chars().all(fits)
}

/// The algorithms that a data key can have there, as `gcloud` names them, the usual one first.
///
/// # Errors
/// Why Google takes none.
pub(crate) fn algorithms(spec: Spec) -> std::result::Result<Vec<&'static str>, Refusal> {
    let refuse = |why: &str, hint: &str| {
        Err(Refusal {
            why: format!("Google Cloud KMS {why}"),
            hint: hint.to_owned(),
        })
    };
    Ok(match spec {
        Spec::Symmetric { bytes: 32 } => vec!["google-symmetric-encryption"],
        Spec::Symmetric { .. } => {
            return refuse(
                "takes 32 bytes for symmetric encryption",
                "name the data key's KMS keys in aws-cn in a plan of their own",
            );
        }
        Spec::Aes { bytes: 16 } => vec!["aes-128-gcm"],
        Spec::Aes { bytes: 32 } => vec!["aes-256-gcm"],
        Spec::Aes { .. } => {
            return refuse("has no AES keys of 192 bits", "take AES_256, or AES_128");
        }
        Spec::Ed25519 => vec!["ec-sign-ed25519"],
        Spec::Hmac { hash, bytes } if bytes != hash.bytes() => {
            return refuse(
                "takes an HMAC key only if it is exactly as long as the hash",
                "remove `bits` from the plan",
            );
        }
        Spec::Hmac { hash, .. } => vec![match hash {
            HmacHash::Sha224 => "hmac-sha224",
            HmacHash::Sha256 => "hmac-sha256",
            HmacHash::Sha384 => "hmac-sha384",
            HmacHash::Sha512 => "hmac-sha512",
        }],
        Spec::Ec(Curve::P256) => vec!["ec-sign-p256-sha256"],
        Spec::Ec(Curve::P384) => vec!["ec-sign-p384-sha384"],
        Spec::Ec(Curve::Secp256k1) => vec!["ec-sign-secp256k1-sha256"],
        Spec::Ec(Curve::P521) => {
            return refuse(
                "has no keys on P-521",
                "the most similar one that it takes is ECC_NIST_P384",
            );
        }
        Spec::Rsa { bits: 2048 } => vec![
            "rsa-sign-pss-2048-sha256",
            "rsa-sign-pkcs1-2048-sha256",
            "rsa-decrypt-oaep-2048-sha256",
            "rsa-decrypt-oaep-2048-sha1",
        ],
        Spec::Rsa { bits: 3072 } => vec![
            "rsa-sign-pss-3072-sha256",
            "rsa-sign-pkcs1-3072-sha256",
            "rsa-decrypt-oaep-3072-sha256",
            "rsa-decrypt-oaep-3072-sha1",
        ],
        Spec::Rsa { .. } => vec![
            "rsa-sign-pss-4096-sha256",
            "rsa-sign-pss-4096-sha512",
            "rsa-sign-pkcs1-4096-sha256",
            "rsa-sign-pkcs1-4096-sha512",
            "rsa-decrypt-oaep-4096-sha256",
            "rsa-decrypt-oaep-4096-sha512",
            "rsa-decrypt-oaep-4096-sha1",
        ],
    })
}

impl Kms for CryptoKey {
    fn as_str(&self) -> &str {
        &self.name
    }

    fn kms(&self) -> &'static str {
        "Google Cloud KMS"
    }

    fn word(&self) -> Option<&'static str> {
        Some(WORD)
    }

    fn place(&self) -> &str {
        &self.location
    }

    fn owner(&self) -> &str {
        self.ring()
    }

    fn command(&self) -> Option<String> {
        let [project, location, ring, _] = self.parts();
        Some(format!(
            "gcloud kms import-jobs describe JOB --project {project} --location {location} --keyring {ring} --format=json"
        ))
    }

    fn source(&self) -> Option<String> {
        Some(format!("{}/importJobs/JOB", self.ring()))
    }

    fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> std::result::Result<(), Refusal> {
        let refuse = |why: &str, hint: &str| {
            Err(Refusal {
                why: format!("wrapping {wrapping}: Google Cloud KMS {why}"),
                hint: hint.to_owned(),
            })
        };
        algorithms(spec)?;
        match (wrapping, spec) {
            (WrappingAlgorithm::RsaesOaepSha1, _) => refuse(
                "has no import method with it",
                "write RSA_AES_KEY_WRAP_SHA_256, or RSA_AES_KEY_WRAP_SHA_1 if the HSM wraps with that alone",
            ),
            (WrappingAlgorithm::RsaesOaepSha256, Spec::Rsa { .. }) => refuse(
                "takes RSA keys with RSA_AES_KEY_WRAP_* only",
                "write RSA_AES_KEY_WRAP_SHA_256 or RSA_AES_KEY_WRAP_SHA_1",
            ),
            _ => Ok(()),
        }
    }

    fn wrapping_key_bits(&self) -> &'static [usize] {
        &[3072, 4096]
    }

    fn binds_algorithm(&self) -> bool {
        true
    }

    fn read(&self, wanted: &Wanted) -> Result<Given> {
        let (job, file) = read(wanted.path)?;
        job.judge(self, wanted.wrapping)?;
        Ok(Given {
            wrapping_key: job.wrapping_key,
            wrapping_key_id: Some(job.name),
            token: None,
            valid_to: Some(job.expires),
            files: vec![file],
        })
    }

    fn deadline(&self, wanted: &Wanted) -> Option<Timestamp> {
        read(wanted.path).ok().map(|(job, _)| job.expires)
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Hours(HOURS)
    }

    fn no_guard(&self) -> Option<String> {
        Some("by byok alone, unless the material goes back into a version that held it (import.sh --version): Google Cloud KMS takes any material as a new version".into())
    }

    fn proves_by_decrypting(&self, spec: Spec) -> bool {
        matches!(spec, Spec::Aes { .. }) // SYMMETRIC_DEFAULT is opaque there
    }

    fn beside(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "import.sh",
            "checks it, then runs gcloud kms keys versions import",
        )]
    }

    fn practice(&self, key: &WrappingKey, wrapping: WrappingAlgorithm) -> Option<String> {
        let pem = public::to_pem(key.spki_der()).replace('\n', "\\n");
        let method = METHODS
            .iter()
            .find(|(_, algorithm, bits)| *algorithm == wrapping && *bits == key.bits());
        let (method, ..) = method?;
        let expires = clock::now() + SignedDuration::from_hours(HOURS);
        Some(format!(
            "{{\n  \"expireTime\": \"{expires}\",\n  \"importMethod\": \"{method}\",\n  \"name\": \"{}/importJobs/stand-in\",\n  \
             \"protectionLevel\": \"HSM\",\n  \"publicKey\": {{\n    \"pem\": \"{pem}\"\n  }},\n  \"state\": \"ACTIVE\"\n}}\n",
            self.ring()
        ))
    }
}

/// The import methods that byok serves: algorithm, and length of the wrapping key in bits.
const METHODS: [(&str, WrappingAlgorithm, usize); 6] = [
    (
        "RSA_OAEP_3072_SHA1_AES_256",
        WrappingAlgorithm::RsaAesKeyWrapSha1,
        3072,
    ),
    (
        "RSA_OAEP_4096_SHA1_AES_256",
        WrappingAlgorithm::RsaAesKeyWrapSha1,
        4096,
    ),
    (
        "RSA_OAEP_3072_SHA256_AES_256",
        WrappingAlgorithm::RsaAesKeyWrapSha256,
        3072,
    ),
    (
        "RSA_OAEP_4096_SHA256_AES_256",
        WrappingAlgorithm::RsaAesKeyWrapSha256,
        4096,
    ),
    (
        "RSA_OAEP_3072_SHA256",
        WrappingAlgorithm::RsaesOaepSha256,
        3072,
    ),
    (
        "RSA_OAEP_4096_SHA256",
        WrappingAlgorithm::RsaesOaepSha256,
        4096,
    ),
];

/// An import job of which byok can make use.
#[derive(Debug)]
pub(crate) struct ImportJob {
    wrapping_key: WrappingKey,
    /// Its resource name.
    name: String,
    algorithm: WrappingAlgorithm,
    expires: Timestamp,
}

const ANSWER: file::Answer = file::Answer {
    fetch: DESCRIBE,
    pem: "does not name the import job: its method, its deadline and its key ring",
    read: "name importMethod protectionLevel state expireTime publicKey pem",
    other: other_answer,
};
/// A member of other answers, and what they are.
const OTHERS: [(&str, &str); 6] = [
    ("ImportToken", "import parameters of AWS KMS"),
    ("data", "an answer of OpenBao, Vault or OCI"),
    ("error", "an error message of Google"),
    ("purpose", "about a key, not about an import job"),
    (
        "algorithm",
        "about a version of a key, not about an import job",
    ),
    ("key", "a key of Azure"),
];

const DESCRIBE: &str = "online: gcloud kms import-jobs describe JOB --project P --location L --keyring R --format=json";

fn refused(what: impl Into<String>) -> Error {
    Error::usage(what).hint(DESCRIBE)
}

fn no_job(what: String) -> Error {
    Error::mismatch(what)
        .check("IMPORT-JOB")
        .hint("make one in the key ring of the plan's key: gcloud kms import-jobs create JOB --import-method METHOD --protection-level hsm")
}

/// Reads the import job from a file.
///
/// # Errors
/// Exit 2: no such file, not a regular file, or not such an answer, with what it is instead. Exit 4: the job is of no use.
fn read(path: &Path) -> Result<(ImportJob, ParameterFile)> {
    let (bytes, file) = file::read_one(path, DESCRIBE)?;
    Ok((parse(&bytes).map_err(|e| e.doing(&file.name))?, file))
}

/// The import job in the bytes of one file.
///
/// # Errors
/// As [`read`], except for those of opening.
pub(crate) fn parse(bytes: &[u8]) -> Result<ImportJob> {
    let json = ANSWER.parse(bytes)?;
    let name = text_of(&json, "name")?;
    let method = text_of(&json, "importMethod")?;
    serves(&json)?;
    let known = METHODS.iter().find(|(known, ..)| *known == method);
    let Some((_, algorithm, bits)) = known else {
        return Err(no_job(format!(
            "the import job has the method {method}, for which no HSM of byok wraps"
        )));
    };
    let expires = text_of(&json, "expireTime")?.parse::<Timestamp>().ok();
    // in whole seconds as the clock here, for which a job of this second would live for more than 72 hours
    let expires = expires.and_then(|at| Timestamp::from_second(at.as_second()).ok());
    Ok(ImportJob {
        wrapping_key: wrapping_key(&json, *bits)?,
        name: name.to_owned(),
        algorithm: *algorithm,
        expires: expires.ok_or_else(|| refused("`expireTime` is not a time"))?,
    })
}

/// What an answer is that is not about one import job.
fn other_answer(json: &Json) -> Option<&'static str> {
    if json.as_array().is_some() {
        return Some("a list, not one import job");
    }
    file::among(&OTHERS, json)
}

fn text_of<'a>(json: &'a Json, name: &str) -> Result<&'a str> {
    let text = json.get(name).and_then(Json::as_str);
    text.ok_or_else(|| refused(format!("has no text `{name}`")))
}

/// A job of Google's HSMs that is active.
fn serves(json: &Json) -> Result<()> {
    match text_of(json, "protectionLevel")? {
        "HSM" => {}
        other => {
            return Err(no_job(format!(
                "the import job has the protection level {other}, not HSM: whoever brings a key of their own expects it in an HSM there too"
            )));
        }
    }
    match text_of(json, "state")? {
        "ACTIVE" => Ok(()),
        other => Err(no_job(format!("the import job is {other}, not ACTIVE"))),
    }
}

fn wrapping_key(json: &Json, bits: usize) -> Result<WrappingKey> {
    let pem = json
        .get("publicKey")
        .and_then(|key| key.get("pem")?.as_str());
    let pem = pem.ok_or_else(|| refused("has no text `pem` in `publicKey`"))?;
    let key = file::key_in_pem(pem, DESCRIBE)?;
    file::of_length(key, bits, "that of this import method")
}

impl ImportJob {
    /// Its key ring, by a key in it.
    fn ring(&self) -> Result<CryptoKey> {
        let parts = self.name.split_once("/importJobs/");
        let parts = parts.filter(|(_, job)| is_word(job, LONGEST_NAME, "-_"));
        let key =
            parts.and_then(|(ring, _)| CryptoKey::parse(&format!("{ring}/cryptoKeys/k")).ok());
        key.ok_or_else(|| {
            refused(format!(
                "has the name {:?}, which is no import job's",
                self.name
            ))
        })
    }

    /// Whether it is one for this key and this algorithm.
    ///
    /// # Errors
    /// Exit 4.
    fn judge(&self, into: &CryptoKey, wrapping: WrappingAlgorithm) -> Result<()> {
        if !self.ring().is_ok_and(|ring| ring.ring() == into.ring()) {
            return Err(no_job(format!(
                "the import job is {:?}, but the plan's key is in {}: a key takes only what was wrapped for a job of its own key ring",
                self.name,
                into.ring()
            )));
        }
        if self.algorithm != wrapping {
            return Err(Error::mismatch(format!(
                "the import job unwraps {}, but the plan says {wrapping}",
                self.algorithm
            ))
            .check("WRAPPING-ALGORITHM-MATCH")
            .hint("a job unwraps with its own import method only: change the plan, or make another job"));
        }
        Ok(())
    }
}

/// Whether it is an import job, whatever is wrong with it.
fn is_job(bytes: &[u8]) -> bool {
    let json = strict_json::parse(bytes).ok();
    json.is_some_and(|json| json.get("importMethod").is_some())
}

/// An import job.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Recognised> {
    let read = parse(bytes).and_then(|job| Ok((job.ring()?, job)));
    let (ring, job) = read.map_err(|error| match is_job(bytes) {
        true => Error {
            exit: Exit::Mismatch, // a job, but of no use: no other KMS need be asked
            ..error
        },
        false => error,
    })?;
    Ok(Recognised {
        what: "import parameters of Google Cloud KMS",
        name: WORD,
        kms_key: Box::new(move |label| KmsKey::Google(ring.key(label))),
        wrapping_key: job.wrapping_key,
        wrapping: Some(job.algorithm),
        valid_to: Some(job.expires),
        more: vec![
            ("import_job", job.name),
            ("valid_to", job.expires.to_string()),
        ],
    })
}

#[cfg(test)]
mod tests;
