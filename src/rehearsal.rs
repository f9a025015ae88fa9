//! What a rehearsal uses instead of the real world: a KMS with a key of its own, plans, and a record to build on.

use std::collections::BTreeMap;
use std::path::Path;

use aes::cipher::KeyInit as _;
use base64ct::{Base64, Encoding as _};
use jiff::SignedDuration;
use zeroize::Zeroizing;

use crate::crypto::escrow::Policy;
use crate::crypto::random;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::{self, ControlKey, Fingerprint, WrappingAlgorithm, check_values};
use crate::ground::anchor::Anchor;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::token_uri::TokenUri;
use crate::ground::words::{self, Digest};
use crate::paper::plan::Notes;
use crate::plan::kms::{KeyArn, KmsKey};
use crate::plan::{
    Deliver, EscrowPlan, HsmPlan, ImportPlan, KeyPlan, Kind, Network, PackageSource, PinSource,
    Plan, RecoverPlan, ShareSource,
};

mod practice;
mod stand_in;
mod works;

pub(crate) use practice::{Replaced, from_elsewhere, practice_plan};
pub(crate) use stand_in::Before;
pub(crate) use works::Works;

/// The token's label and PINs. They guard nothing: everything in a rehearsal is practice.
pub(crate) const TOKEN: &str = "rehearsal";
/// The token of the second HSM, after the first one is lost.
pub(crate) const SECOND_TOKEN: &str = "rehearsal-2";
/// What people type at a rehearsal.
pub(crate) const PIN: &str = "practice-1234";
/// How many shares open the escrow of a rehearsal that asks nothing.
pub(crate) const THRESHOLD: usize = 3;

/// Length of the data that the stand-in KMS encrypts, in bytes.
pub(crate) const DATA_LEN: usize = 32;

/// A KMS that stands in for the real one: it gives import parameters, takes wrapped material, encrypts with it and
/// forgets it. Like the real one, it remembers for ever which material a KMS key once had.
pub(crate) struct StandInKms {
    key: ControlKey,
    token: [u8; 32],
    keys: BTreeMap<String, Held>,
}

/// One KMS key, from its first import on.
struct Held {
    /// `None` once it was deleted.
    material: Option<Zeroizing<Vec<u8>>>,
    /// What any further material must be.
    fingerprint: Fingerprint,
}

impl StandInKms {
    /// A fresh one with an RSA-4096 key.
    ///
    /// # Errors
    /// Exit 5 if key or token cannot be made.
    pub(crate) fn open() -> Result<Self> {
        Self::with_key(4096)
    }

    /// The same with an RSA key of this many bits: 2048, 3072 or 4096, like the real one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn with_key(bits: usize) -> Result<Self> {
        Ok(Self {
            key: ControlKey::generate(bits)?,
            token: random()?,
            keys: BTreeMap::new(),
        })
    }

    /// A new RSA-4096 key and a new import token, as for every request for import parameters. Those given out before
    /// are worthless from now on.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn renew(&mut self) -> Result<()> {
        self.key = ControlKey::generate(4096)?;
        self.token = random()?;
        Ok(())
    }

    /// The wrapping key that it gives out.
    pub(crate) fn wrapping_key(&self) -> &crate::crypto::wrapping::key::WrappingKey {
        self.key.public()
    }

    /// Its whole key, as a control key for what the soft HSM wraps.
    pub(crate) fn control_key(&self) -> &ControlKey {
        &self.key
    }

    /// Import parameters for a key, as the command of its KMS prints them.
    pub(crate) fn parameters(&self, key: &KmsKey, wrapping: WrappingAlgorithm) -> String {
        let public = self.key.public();
        if let Some(printed) = key.practice(public, wrapping) {
            return printed;
        }
        let valid_to = clock::now() + SignedDuration::from_hours(24);
        format!(
            "{{\n    \"KeyId\": \"{key}\",\n    \"ImportToken\": \"{}\",\n    \"PublicKey\": \"{}\",\n    \
             \"ParametersValidTo\": \"{valid_to}\",\n    \"WrappingAlgorithm\": \"{wrapping}\"\n}}\n",
            Base64::encode_string(&self.token),
            Base64::encode_string(public.spki_der()),
        )
    }

    /// Imports wrapped material into a KMS key, with its token if it has one.
    ///
    /// # Errors
    /// Exit 4 for a different token, material that does not open, or material that differs from the first.
    pub(crate) fn import(
        &mut self,
        key_arn: &str,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        wrapped: &[u8],
        token: Option<&[u8]>,
    ) -> Result<()> {
        if token.is_some_and(|token| token != self.token) {
            return Err(refused(
                "this import token is not from this KMS, or is no longer valid",
            ));
        }
        let material = self
            .key
            .open(wrapping, wrapped)
            .map_err(|e| refused(e.what))?;
        let fingerprint = check_values(spec, &material)
            .map_err(|e| refused(e.what))?
            .fingerprint;
        if let Some(key) = self.keys.get(key_arn)
            && key.fingerprint != fingerprint
        {
            return Err(refused(
                "IncorrectKeyMaterialException: this KMS key had different material before",
            ));
        }
        let key = Held {
            material: Some(material),
            fingerprint,
        };
        self.keys.insert(key_arn.to_owned(), key);
        Ok(())
    }

    /// The material that a KMS key holds. The real KMS never shows it.
    ///
    /// # Errors
    /// Exit 4 if it holds none.
    pub(crate) fn material(&self, key_arn: &str) -> Result<&[u8]> {
        let held = self.keys.get(key_arn).and_then(|key| key.material.as_ref());
        held.map(|material| material.as_slice())
            .ok_or_else(|| refused("KMSInvalidStateException: this KMS key holds no material"))
    }

    /// Deletes the material of a KMS key, as `aws kms delete-imported-key-material` does.
    ///
    /// # Errors
    /// Exit 4 if it holds none.
    pub(crate) fn delete(&mut self, key_arn: &str) -> Result<()> {
        self.material(key_arn)?;
        if let Some(key) = self.keys.get_mut(key_arn) {
            key.material = None;
        }
        Ok(())
    }

    /// Encrypts data with the material of a KMS key: AES-KW (RFC 3394), which notices a wrong key when it decrypts. The
    /// real one uses AES-GCM.
    ///
    /// # Errors
    /// Exit 4 if it holds none that is as long as an AES-256 key.
    pub(crate) fn encrypt(&self, key_arn: &str, data: &[u8; DATA_LEN]) -> Result<Vec<u8>> {
        let kw = aes_kw::KwAes256::new_from_slice(self.material(key_arn)?)
            .map_err(|_| refused("the material is not an AES-256 key"))?;
        let mut encrypted = vec![0; DATA_LEN + 8];
        kw.wrap_key(data, &mut encrypted)
            .map_err(|e| refused(format!("encrypting: {e}")))?;
        Ok(encrypted)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) gave.
    ///
    /// # Errors
    /// Exit 4 if the KMS key holds no material, or not the material that the data was encrypted with.
    pub(crate) fn decrypt(&self, key_arn: &str, encrypted: &[u8]) -> Result<[u8; DATA_LEN]> {
        let mut data = [0; DATA_LEN];
        wrapping::aes_kw_unwrap(self.material(key_arn)?, encrypted, &mut data)
            .map_err(|why| refused(format!("decrypting: {why}")))?;
        Ok(data)
    }
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::mismatch(format!("the stand-in KMS: {why}"))
}

/// Random bytes: an import token, or data to encrypt.
///
/// # Errors
/// Exit 5 if there are none.
pub(crate) fn random() -> Result<[u8; 32]> {
    random::array("random bytes")
}

/// A ceremony in the life of a data key, in a rehearsal without a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Made, wrapped, escrowed.
    Generate,
    /// Deleted in the KMS, and wrapped again from the HSM.
    Reimport,
    /// Lost with the HSM, and brought back from shares into a second one; new shares are dealt.
    Recover,
}

impl Stage {
    /// Its record, below the rehearsal's directory.
    pub(crate) fn record(self) -> &'static str {
        match self {
            Self::Generate => "record",
            Self::Reimport => "record-reimport",
            Self::Recover => "record-recover",
        }
    }

    /// Its plan's file, below the rehearsal's directory.
    pub(crate) fn plan_file(self) -> &'static str {
        match self {
            Self::Generate => "plan.toml",
            Self::Reimport => "plan-reimport.toml",
            Self::Recover => "plan-recover.toml",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Generate => Kind::Generate,
            Self::Reimport => Kind::Reimport,
            Self::Recover => Kind::Recover,
        }
    }

    fn token(self) -> &'static str {
        match self {
            Self::Generate | Self::Reimport => TOKEN,
            Self::Recover => SECOND_TOKEN,
        }
    }

    /// Where its shares go to, if it deals any.
    fn dealt(self) -> Option<&'static str> {
        match self {
            Self::Generate => Some("shares"),
            Self::Reimport => None,
            Self::Recover => Some("new-shares"),
        }
    }
}

/// Where the shares are that custodians bring to a recovery, below the rehearsal's directory.
pub(crate) const BROUGHT: &str = "brought";

/// What a rehearsal's soft HSM sees of the environment.
pub(crate) const ENVIRONMENT: [&str; 1] = ["SOFTHSM2_CONF"];

/// The soft HSM of a rehearsal, with one of its tokens.
pub(crate) fn hsm(module: &Path, token: &'static str) -> HsmPlan {
    HsmPlan {
        pin: PinSource::File("pin".into()),
        env: ENVIRONMENT.map(str::to_owned).into(),
        ..HsmPlan::draft(module, self::token(token))
    }
}

/// A token of this label.
pub(crate) fn token(label: &'static str) -> TokenUri {
    TokenUri {
        token: Some(label.to_owned()),
        ..TokenUri::default()
    }
}

/// The plan of a ceremony that asks nothing. All except the first build on the record with this head.
///
/// # Errors
/// Exit 2 if the made-up KMS key is not valid.
pub(crate) fn own_plan(
    module: &Path,
    stage: Stage,
    previous_head: Option<&Digest>,
) -> Result<String> {
    const KMS_KEY: &str =
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let kind = stage.kind();
    let parameters = format!("inputs/{kind}-payments-2026-eu-west-1.json");
    let import = ImportPlan::draft(
        "eu-west-1",
        KeyArn::parse(KMS_KEY)?,
        Path::new(&parameters),
        WrappingAlgorithm::RsaesOaepSha1,
    );
    let key = KeyPlan {
        imports: vec![import],
        ..KeyPlan::draft("payments-2026", Spec::DEFAULT)
    };
    let title = "Rehearsal: payments data key, eu-west-1";
    let custodians = ["Security", "Audit", "Treasury", "Legal", "Operations"];
    let policy = Policy::any(THRESHOLD as u8, custodians.map(str::to_owned).into());
    let policy = policy.map_err(Error::usage)?;
    let escrow = |directory: &str| EscrowPlan {
        policy: policy.clone(),
        deliver: Deliver::Files(directory.into()),
    };
    let hsm = hsm(module, stage.token());
    let plan = Plan {
        network: Network::Allowed,
        keys: vec![key],
        previous: previous_head.map(|_| Stage::Generate.record().into()),
        previous_head: previous_head.map(Anchor::whole),
        recover: (stage == Stage::Recover).then(|| RecoverPlan {
            shares: ShareSource::Files(BROUGHT.into()),
            package: PackageSource::Record,
        }),
        escrow: stage.dealt().map(escrow),
        ..Plan::draft(title, kind, hsm, Path::new(stage.record()))
    };
    Ok(plan.written(&Notes::default()))
}

/// SoftHSM's configuration for a rehearsal in this directory.
pub(crate) fn softhsm_configuration(room: &Path) -> Result<String> {
    let tokens = room.join("tokens");
    let shown = tokens
        .to_str()
        .filter(|text| words::is_printable(text) && !text.contains(['#', '\n']));
    let shown = shown.ok_or_else(|| {
        Error::usage(
            "the rehearsal's directory has a name that SoftHSM's configuration cannot hold",
        )
        .hint("choose another one with --directory")
    })?;
    Ok(format!(
        "directories.tokendir = {shown}\nobjectstore.backend = file\nlog.level = ERROR\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use WrappingAlgorithm::RsaesOaepSha256 as OAEP;

    #[test]
    fn the_stand_in_takes_its_key_again_and_no_other() {
        let mut kms = StandInKms::open().unwrap();
        let wrap = |kms: &StandInKms, material: [u8; 32]| {
            wrapping::wrap(OAEP, kms.wrapping_key(), &material).unwrap()
        };
        let (token, wrapped) = (kms.token, wrap(&kms, [7; 32]));
        kms.import("key", Spec::DEFAULT, OAEP, &wrapped, Some(&token))
            .unwrap();
        let encrypted = kms.encrypt("key", &[1; DATA_LEN]).unwrap();
        assert_eq!(kms.decrypt("key", &encrypted).unwrap(), [1; DATA_LEN]);

        kms.delete("key").unwrap();
        let gone = kms.decrypt("key", &encrypted).unwrap_err();
        assert!(gone.what.contains("KMSInvalidState"), "{}", gone.what);
        assert!(kms.delete("key").is_err());

        let other = wrap(&kms, [8; 32]);
        let other = kms
            .import("key", Spec::DEFAULT, OAEP, &other, Some(&token))
            .unwrap_err();
        assert!(
            other.what.contains("IncorrectKeyMaterial"),
            "{}",
            other.what
        );
        kms.renew().unwrap();
        assert!(
            kms.import("key", Spec::DEFAULT, OAEP, &wrapped, Some(&token))
                .is_err()
        );
        let (token, again) = (kms.token, wrap(&kms, [7; 32]));
        kms.import("key", Spec::DEFAULT, OAEP, &again, Some(&token))
            .unwrap();
        assert_eq!(kms.decrypt("key", &encrypted).unwrap(), [1; DATA_LEN]);
    }
}
