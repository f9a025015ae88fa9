//! The KMSs that data keys go to, and what each asks of a ceremony.
//!
//! A KMS gives *import parameters*: always an RSA public key to wrap under, and with it whatever that KMS wants back. What
//! differs from one to the next is asked here, and answered in its own file: [`KmsKey`] is how a plan names the key,
//! [`Target`] what an import brings to it once its parameters are read.

use jiff::Timestamp;

use crate::crypto::spec::{Refusal, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

pub(crate) mod arn;
pub mod aws;
pub(crate) mod azure;
mod file;
pub(crate) mod transit;

pub(crate) use arn::KeyArn;
use azure::VaultKey;
pub(crate) use file::ParameterFile;
use transit::{Program, TransitKey};

/// The key that an import goes to, as its KMS names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KmsKey {
    /// A key of AWS KMS.
    Aws(KeyArn),
    /// A key of the transit engine of OpenBao or Vault.
    Transit(TransitKey),
    /// A key of a vault or a Managed HSM of Azure.
    Azure(VaultKey),
}

/// Where wrapped material goes, and what goes with it.
pub(crate) enum Target<'p> {
    /// AWS KMS: material and import token together, until a deadline.
    Aws {
        /// The KMS key.
        arn: &'p KeyArn,
        /// What KMS gave with the wrapping key.
        token: ImportToken,
    },
    /// OpenBao or Vault: the material alone, at any time.
    Transit(&'p TransitKey),
    /// Azure: the material and the identifier of the KEK, at any time.
    Azure {
        /// The key.
        key: &'p VaultKey,
        /// The KEK, with its version.
        kid: String,
    },
}

/// The import token of AWS KMS.
pub(crate) struct ImportToken {
    /// Opaque; only KMS opens it.
    pub bytes: Vec<u8>,
    /// Until when KMS takes it.
    pub valid_to: Timestamp,
    /// Whether the parameters name their KMS key.
    pub names_key: bool,
}

impl KmsKey {
    /// Reads `kms`, and the key's name in the field that this KMS has for it.
    ///
    /// # Errors
    /// Exit 2 for a KMS that byok does not know, or not yet, and for a name that is not one of that KMS.
    pub(super) fn parse(
        kms: Option<&str>,
        key_arn: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self> {
        const KNOWN: &str = "aws, openbao, vault, azure";
        let kms = kms.unwrap_or("aws");
        let program = Program::ALL
            .into_iter()
            .find(|program| program.word() == kms);
        let refuse = |what: String, hint: &str| Err(Error::usage(what).hint(hint));
        match (kms, key_arn, key) {
            ("google" | "oci", _, _) => refuse(
                format!("kms {kms:?}: this version of byok does not import there yet"),
                &format!("what it knows: {KNOWN}"),
            ),
            ("aws", Some(arn), None) => Ok(Self::Aws(KeyArn::parse(arn)?.in_its_partition()?)),
            ("aws", None, _) => refuse(
                "it has no key_arn".into(),
                "name the key of AWS KMS by its ARN; `key` is for other KMSs, with `kms`",
            ),
            _ if program.is_none() && !["aws", azure::WORD].contains(&kms) => refuse(
                format!("kms {kms:?} is not one of {KNOWN}"),
                "without `kms` it is aws",
            ),
            (_, Some(_), _) => refuse(
                format!("key_arn and `key` do not go together, nor key_arn with kms = {kms:?}"),
                "key_arn is for AWS KMS alone, `key` for every other KMS",
            ),
            (_, None, None) => refuse(
                "it has no `key`".into(),
                match program {
                    Some(_) => "name it by its URL: https://HOST:PORT/v1/MOUNT/keys/NAME",
                    None => "name it by its identifier: https://VAULT.vault.azure.net/keys/NAME",
                },
            ),
            (_, None, Some(url)) => match program {
                Some(program) => TransitKey::parse(program, url).map(Self::Transit),
                None => VaultKey::parse(url).map(Self::Azure),
            },
        }
    }

    /// The whole name, unlike that of any other key of any KMS.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Aws(arn) => arn.as_str(),
            Self::Transit(key) => key.as_str(),
            Self::Azure(key) => key.as_str(),
        }
    }

    /// What its KMS is called, for people.
    pub(crate) fn kms(&self) -> &'static str {
        match self {
            Self::Aws(_) => "AWS KMS",
            Self::Transit(key) => key.program().name(),
            Self::Azure(key) => key.kms(),
        }
    }

    /// The plan's word for its KMS; AWS KMS needs none.
    pub(crate) fn word(&self) -> Option<&'static str> {
        match self {
            Self::Aws(_) => None,
            Self::Transit(key) => Some(key.program().word()),
            Self::Azure(_) => Some(azure::WORD),
        }
    }

    /// Where it answers: a Region, or scheme and host.
    pub(crate) fn place(&self) -> &str {
        match self {
            Self::Aws(arn) => arn.region(),
            Self::Transit(key) => key.server(),
            Self::Azure(key) => key.server(),
        }
    }

    /// The ARN, for what only AWS KMS knows: Regions, accounts, several materials of one key.
    pub(crate) fn arn(&self) -> Option<&KeyArn> {
        match self {
            Self::Aws(arn) => Some(arn),
            Self::Transit(_) | Self::Azure(_) => None,
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

    /// Whether its KMS takes such a data key wrapped with this algorithm, as far as the plan alone says.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn takes(
        &self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
    ) -> std::result::Result<(), Refusal> {
        match self {
            Self::Aws(arn) => aws::takes(spec, wrapping, arn.is_china()),
            Self::Transit(_) => transit::takes(spec, wrapping),
            Self::Azure(key) => key.takes(spec, wrapping),
        }
    }

    /// Whether its KMS takes it under a wrapping key of this many bits.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn fits(
        &self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        wrapping_key_bits: usize,
    ) -> std::result::Result<(), Refusal> {
        match self {
            Self::Aws(_) => aws::fits(spec, wrapping, wrapping_key_bits),
            Self::Transit(_) | Self::Azure(_) => Ok(()), // only an AES key goes under the wrapping key
        }
    }

    /// How the online side gets import parameters for it.
    pub(crate) fn fetch(&self) -> String {
        match self.command() {
            None => "download them on the online side (aws kms get-parameters-for-import), at most 24 hours before the ceremony".into(),
            Some(command) => format!("fetch the wrapping key on the online side: {command}"),
        }
    }

    /// The command that prints import parameters, where a KMS has one for all.
    pub(crate) fn command(&self) -> Option<String> {
        match self {
            Self::Aws(_) => None,
            Self::Transit(key) => Some(key.fetch()),
            Self::Azure(key) => Some(key.fetch()),
        }
    }
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
/// the files that `online.sh` wrote into SHA256SUMS, whatever else is in the folder.
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

impl Target<'_> {
    /// Whether the KMS shows only by decrypting that it has such a data key.
    pub(crate) fn proves_by_decrypting(&self, spec: Spec) -> bool {
        match self {
            Self::Aws { .. } => false, // it decrypts only what it encrypted
            Self::Transit(_) | Self::Azure { .. } => spec.is_aes(),
        }
    }

    /// Until when the KMS takes the material; `None`: for as long as the wrapping key exists.
    pub(crate) fn valid_to(&self) -> Option<Timestamp> {
        self.token().map(|token| token.valid_to)
    }

    /// The import token, if the KMS wants one.
    pub(crate) fn token(&self) -> Option<&ImportToken> {
        match self {
            Self::Aws { token, .. } => Some(token),
            Self::Transit(_) | Self::Azure { .. } => None,
        }
    }

    /// The identifier of the wrapping key, if the KMS wants it back.
    pub(crate) fn kid(&self) -> Option<&str> {
        match self {
            Self::Azure { kid, .. } => Some(kid),
            Self::Aws { .. } | Self::Transit(_) => None,
        }
    }
}
