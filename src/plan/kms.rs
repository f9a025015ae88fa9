//! The KMSs that data keys go to, and what each asks of a ceremony.
//!
//! A KMS gives *import parameters*: always an RSA public key to wrap under, and with it whatever that KMS wants back. What
//! differs from one to the next is asked by [`Kms`], and each KMS answers in its own file: how a plan names its key, its
//! parameters, what it takes. [`KmsKey`] is the one list of them.

use std::ops::Deref;
use std::path::Path;

use jiff::Timestamp;

use crate::crypto::spec::{Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::WrappingKey;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::words::{self, Digest};

pub(crate) mod arn;
pub mod aws;
pub(crate) mod azure;
mod file;
pub(crate) mod google;
pub(crate) mod oci;
pub(crate) mod transit;

pub(crate) use arn::KeyArn;
use azure::VaultKey;
pub(crate) use file::{ParameterFile, der_of};
use google::CryptoKey;
use oci::OciKey;
use transit::{Program, TransitKey};

/// What only people know, in a plan that byok writes.
pub(crate) const FILL_IN: &str = "FILL-IN";

/// The key that an import goes to, as its KMS names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KmsKey {
    /// A key of AWS KMS.
    Aws(KeyArn),
    /// A key of the transit engine of OpenBao or Vault.
    Transit(TransitKey),
    /// A key of a vault or a Managed HSM of Azure.
    Azure(VaultKey),
    /// A key of Google Cloud KMS.
    Google(CryptoKey),
    /// A key of a vault of OCI.
    Oci(OciKey),
}

impl Deref for KmsKey {
    type Target = dyn Kms;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Aws(arn) => arn,
            Self::Transit(key) => key,
            Self::Azure(key) => key,
            Self::Google(key) => key,
            Self::Oci(key) => key,
        }
    }
}

/// A KMS in a plan.
struct Row {
    /// `kms`.
    word: &'static str,
    /// The script of its online half, as it is typed behind `bash`.
    script: &'static str,
    /// What a key's name looks like, for people.
    example: &'static str,
    /// A key of each kind that takes other data keys than the rest.
    kinds: &'static [&'static str],
    /// Reads such a name.
    parse: fn(&str) -> Result<KmsKey>,
    /// Recognises its import parameters.
    recognise: fn(&[u8]) -> Result<Recognised>,
}

/// Every KMS but AWS KMS, which a plan need not name.
const ELSEWHERE: [Row; 5] = [
    Row {
        word: "openbao",
        script: "transit.sh",
        example: transit::EXAMPLE,
        kinds: &["https://host/v1/mount/keys/name"],
        parse: |url| TransitKey::parse(Program::OpenBao, url).map(KmsKey::Transit),
        recognise: transit::recognise,
    },
    Row {
        word: "vault",
        script: "transit.sh --vault",
        example: transit::EXAMPLE,
        kinds: &["https://host/v1/mount/keys/name"],
        parse: |url| TransitKey::parse(Program::Vault, url).map(KmsKey::Transit),
        recognise: transit::recognise,
    },
    Row {
        word: azure::WORD,
        script: "azure.sh",
        example: azure::EXAMPLE,
        kinds: &[
            "https://vault.vault.azure.net/keys/name",
            "https://hsm.managedhsm.azure.net/keys/name",
        ],
        parse: |url| VaultKey::parse(url).map(KmsKey::Azure),
        recognise: azure::recognise,
    },
    Row {
        word: google::WORD,
        script: "google.sh",
        example: google::EXAMPLE,
        kinds: &["projects/project/locations/l/keyRings/ring/cryptoKeys/key"],
        parse: |name| CryptoKey::parse(name).map(KmsKey::Google),
        recognise: google::recognise,
    },
    Row {
        word: oci::WORD,
        script: "oci.sh",
        example: oci::EXAMPLE,
        kinds: &[
            "https://vault-management.kms.region.oraclecloud.com/ocid1.compartment.oc1..c/name",
        ],
        parse: |url| OciKey::parse(url).map(KmsKey::Oci),
        recognise: oci::recognise,
    },
];

/// What a KMS says of one of its keys.
pub(crate) trait Kms {
    /// The whole name, unlike that of any other key of any KMS.
    fn as_str(&self) -> &str;

    /// What the KMS is called, for people.
    fn kms(&self) -> &'static str;

    /// The plan's word for the KMS; AWS KMS needs none.
    fn word(&self) -> Option<&'static str>;

    /// Where it answers: a Region, or scheme and host.
    fn place(&self) -> &str;

    /// What has its wrapping keys to itself: no two such share one. A key of AWS KMS does; elsewhere what holds the key.
    fn owner(&self) -> &str {
        self.place()
    }

    /// The command that prints import parameters, if there is one for all.
    fn command(&self) -> Option<String>;

    /// What the script of the online half is asked for import parameters, if that is one thing for all.
    fn source(&self) -> Option<String> {
        None
    }

    /// Whether the KMS takes such a data key wrapped with this algorithm, as far as the plan alone says.
    ///
    /// # Errors
    /// Why not; of a data key that it never takes, why it does not.
    fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> std::result::Result<(), Refusal>;

    /// Whether the KMS takes it under a wrapping key of this many bits.
    ///
    /// # Errors
    /// Why not.
    fn fits(
        &self,
        _: Spec,
        _: WrappingAlgorithm,
        _wrapping_key_bits: usize,
    ) -> std::result::Result<(), Refusal> {
        Ok(()) // only an AES key goes under the wrapping key
    }

    /// How long its wrapping keys can be, in bits.
    fn wrapping_key_bits(&self) -> &'static [usize] {
        &[2048, 3072, 4096]
    }

    /// Whether its import parameters are for one algorithm only.
    fn binds_algorithm(&self) -> bool {
        false
    }

    /// Reads and judges import parameters: whether they are for this key, and of use now but for their deadline.
    ///
    /// # Errors
    /// Exit 2: the file itself. Exit 4: they are for another key, another algorithm, or of no use.
    fn read(&self, wanted: &Wanted) -> Result<Given>;

    /// Their deadline, as they say it: nothing else about them is judged.
    fn deadline(&self, _: &Wanted) -> Option<Timestamp> {
        None
    }

    /// How long import parameters are of use.
    fn lifetime(&self) -> Lifetime;

    /// Who compares the material with what was there before, if the KMS does not always do it.
    fn no_guard(&self) -> Option<String>;

    /// What is not established about this algorithm there.
    fn doubt(&self, _: WrappingAlgorithm) -> Option<&'static str> {
        None
    }

    /// Whether the KMS shows only by decrypting that it has such a data key.
    fn proves_by_decrypting(&self, _: Spec) -> bool {
        false
    }

    /// What is beside WrappedKeyMaterial.bin: name and meaning of each file.
    fn beside(&self) -> &'static [(&'static str, &'static str)];

    /// Import parameters with this wrapping key as the command prints them, for a rehearsal; AWS KMS has a token too.
    fn practice(&self, _: &WrappingKey, _: WrappingAlgorithm) -> Option<String> {
        None
    }
}

/// What a plan says about import parameters.
pub(crate) struct Wanted<'p> {
    /// Where they are.
    pub path: &'p Path,
    /// The algorithm that they must be for.
    pub wrapping: WrappingAlgorithm,
    /// `parameters_valid_to`.
    pub valid_to: Option<Timestamp>,
}

/// What import parameters give.
pub(crate) struct Given {
    /// The RSA public key to wrap under.
    pub wrapping_key: WrappingKey,
    /// The KMS's own name of it, if the KMS wants that back.
    pub wrapping_key_id: Option<String>,
    /// The import token, if the KMS wants one.
    pub token: Option<ImportToken>,
    /// Until when the KMS takes the material; `None`: for as long as the wrapping key exists.
    pub valid_to: Option<Timestamp>,
    /// The files that were read.
    pub files: Vec<ParameterFile>,
}

/// The import token of AWS KMS.
pub(crate) struct ImportToken {
    /// Opaque; only KMS opens it.
    pub bytes: Vec<u8>,
    /// Whether the parameters name their KMS key.
    pub names_key: bool,
}

/// How long import parameters are of use.
pub(crate) enum Lifetime {
    /// So many hours after they were made.
    Hours(i64),
    /// They have no deadline, which means this.
    Endless(&'static str),
}

/// What a file of import parameters says of itself, if it is in the form that a command of a KMS prints.
pub(crate) struct Recognised {
    /// What it is, for people.
    pub what: &'static str,
    /// What an import of it is usually called.
    pub name: &'static str,
    /// The key that such a label is imported as; `FILL-IN` stands for each part that the file does not say.
    pub kms_key: Box<dyn Fn(&str) -> KmsKey>,
    /// The wrapping key in it.
    pub wrapping_key: WrappingKey,
    /// The one algorithm that it is for.
    pub wrapping: Option<WrappingAlgorithm>,
    /// Until when the KMS takes material by it, if it has a deadline.
    pub valid_to: Option<Timestamp>,
    /// What else it says: name and value.
    pub more: Vec<(&'static str, String)>,
}

/// Import parameters of any KMS but AWS KMS; `None`: the file is something else.
///
/// # Errors
/// Exit 4: they are import parameters of a KMS, but of no use.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Option<Recognised>> {
    let mut useless = None;
    for row in &ELSEWHERE {
        match (row.recognise)(bytes) {
            Ok(known) => return Ok(Some(known)),
            Err(error) if error.exit == Exit::Mismatch => useless = useless.or(Some(error)),
            Err(_) => {}
        }
    }
    useless.map_or(Ok(None), Err)
}

/// A key of each kind of each KMS, as far as it matters what they take.
pub(crate) fn each_kind() -> Vec<KmsKey> {
    let elsewhere = ELSEWHERE.iter().flat_map(|row| {
        let kinds = row.kinds.iter();
        kinds.filter_map(|name| (row.parse)(name).ok())
    });
    let aws = KmsKey::from(KeyArn::to_fill_in());
    std::iter::once(aws).chain(elsewhere).collect()
}

/// The wrapping key in the bytes of one file, or why there is none, by the reader of each KMS but AWS KMS.
pub fn by_each_reader(bytes: &[u8]) -> impl Iterator<Item = Result<WrappingKey>> {
    let each = ELSEWHERE.iter().map(move |row| (row.recognise)(bytes));
    each.map(|known| known.map(|known| known.wrapping_key))
}

/// The script of the online half of the KMS with this word, as it is typed behind `bash`; AWS KMS has no word.
pub(crate) fn script(word: &str) -> &'static str {
    let row = ELSEWHERE.iter().find(|row| row.word == word);
    row.map_or("online.sh", |row| row.script)
}

impl KmsKey {
    /// Reads `kms`, and the key's name in the field that this KMS has for it.
    ///
    /// # Errors
    /// Exit 2 for a KMS that byok does not know, and for a name that is not one of that KMS.
    pub(crate) fn parse(
        kms: Option<&str>,
        key_arn: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self> {
        let kms = kms.unwrap_or("aws");
        let row = ELSEWHERE.iter().find(|row| row.word == kms);
        let refuse = |what: String, hint: &str| Err(Error::usage(what).hint(hint));
        let Some(row) = row else {
            return match (kms, key_arn, key) {
                ("aws", Some(arn), None) => Ok(Self::Aws(KeyArn::parse(arn)?.in_its_partition()?)),
                ("aws", Some(_), Some(_)) => both(kms),
                ("aws", None, _) => refuse(
                    "it has no key_arn".into(),
                    "name the key of AWS KMS by its ARN; `key` is for other KMSs, with `kms`",
                ),
                _ => refuse(
                    format!("kms {kms:?} is not one of {}", known()),
                    "without `kms` it is aws",
                ),
            };
        };
        match (key_arn, key) {
            (Some(_), _) => both(kms),
            (None, None) => refuse(
                "it has no `key`".into(),
                &format!("name it {}", row.example),
            ),
            (None, Some(name)) if name.contains(FILL_IN) => refuse(
                format!("key {name:?} is not filled in"),
                &format!("name it {}", row.example),
            ),
            (None, Some(name)) => (row.parse)(name),
        }
    }

    /// The ARN, for what only AWS KMS knows: Regions, accounts, several materials of one key.
    pub(crate) fn arn(&self) -> Option<&KeyArn> {
        match self {
            Self::Aws(arn) => Some(arn),
            _ => None,
        }
    }

    /// Whether the other name is that of this same multi-Region key in another Region.
    pub(crate) fn is_replica_of(&self, other: &str) -> bool {
        self.arn().is_some_and(|arn| arn.is_replica_of(other))
    }

    /// Whether it is one Region's part of a multi-Region key.
    pub(crate) fn is_multi_region(&self) -> bool {
        self.arn().is_some_and(KeyArn::is_multi_region)
    }

    /// The script of its online half, as it is typed behind `bash`.
    pub(crate) fn script(&self) -> &'static str {
        script(self.word().unwrap_or_default())
    }

    /// The algorithms with which its KMS takes such a data key, the best first.
    pub(crate) fn algorithms(&self, spec: Spec) -> impl Iterator<Item = WrappingAlgorithm> + '_ {
        let all = WrappingAlgorithm::BEST_FIRST.into_iter();
        all.filter(move |wrapping| self.takes(spec, *wrapping).is_ok())
    }

    /// The best of them.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn usual(&self, spec: Spec) -> std::result::Result<WrappingAlgorithm, Refusal> {
        let best = WrappingAlgorithm::BEST_FIRST[0];
        match self.algorithms(spec).next() {
            Some(wrapping) => Ok(wrapping),
            None => self.takes(spec, best).map(|()| best),
        }
    }

    /// How to name it, if people have to fill in a part of the name.
    pub(crate) fn to_fill_in(&self) -> Option<&'static str> {
        let row = ELSEWHERE.iter().find(|row| Some(row.word) == self.word());
        row.filter(|_| self.as_str().contains(FILL_IN))
            .map(|row| row.example)
    }

    /// How the online side gets import parameters for it.
    pub(crate) fn fetch(&self) -> String {
        match self.command() {
            None => "download them on the online side (aws kms get-parameters-for-import), at most 24 hours before the ceremony".into(),
            Some(command) => format!("fetch the wrapping key on the online side: {command}"),
        }
    }
}

fn both(kms: &str) -> Result<KmsKey> {
    let what = format!("key_arn and `key` do not go together, nor key_arn with kms = {kms:?}");
    Err(Error::usage(what).hint("key_arn is for AWS KMS alone, `key` for every other KMS"))
}

/// The words for all KMSs.
fn known() -> String {
    let words = ELSEWHERE.iter().map(|row| row.word);
    let words: Vec<&str> = ["aws"].into_iter().chain(words).collect();
    words.join(", ")
}

/// One digest over all parameter files: SHA-256 of the lines `<sha256 hex>  <name>\n`, sorted by name
/// bytewise, which are the lines of the online side's `SHA256SUMS`.
pub fn parameter_files_digest(files: &[ParameterFile]) -> Digest {
    let mut files: Vec<&ParameterFile> = files.iter().collect();
    files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let lines: String = files
        .iter()
        .map(|file| format!("{}  {}\n", words::hex(&file.sha256), file.name))
        .collect();
    words::sha256(lines.as_bytes())
}

/// The command that shows the rows of [`parameter_files_digest`] with stock tools on the online side. It covers exactly
/// the files that the script wrote into SHA256SUMS, whatever else is in the folder.
pub fn slip_command(folder: &str) -> String {
    format!(
        "(cd {folder} && sha256sum -c SHA256SUMS &&\n      \
         sha256sum < SHA256SUMS | cut -c 1-64 | fold -w 8 | cat -n)"
    )
}

impl From<KeyArn> for KmsKey {
    fn from(arn: KeyArn) -> Self {
        Self::Aws(arn)
    }
}

impl std::fmt::Display for KmsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
