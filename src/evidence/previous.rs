//! The record that a ceremony builds on: which data keys it made or brought back, for which KMS keys, and what
//! vouches for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::crypto::escrow::Policy;
use crate::crypto::escrow::package::{self, Package};
use crate::crypto::key_id::KeyId;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::Fingerprint;
use crate::evidence::receipts::{KnownMaterial, Receipts};
use crate::evidence::rules::{Rule, limits};
use crate::evidence::transcript::{
    Chain, DataKeyFacts, DealtShare, EscrowDealt, Event, HsmOpened, KeyName, Said,
    TranscriptSigner, Vouched, Wrapped,
};
use crate::evidence::verify::{self, Branches, Followed, KmsKeyMaterials};
use crate::ground::anchor::{ANOTHER_HEAD, Anchor};
use crate::ground::error::{Error, Result};
use crate::ground::facts::{ModuleDescription, TokenFacts};
use crate::ground::files;
use crate::ground::words::{self, Digest};
use crate::plan::kms::KmsKey;
use crate::plan::{ImportAs, Keep, Kind, Plan};

mod outside;

pub(crate) use outside::{Outside, not_in_use, outside, told as told_outside};

/// A previous record that was verified.
pub struct Previous {
    /// Where it was found.
    pub directory: PathBuf,
    /// Its ceremony's title.
    pub(crate) title: String,
    /// The head digest of its transcript.
    pub head: Digest,
    /// When it was sealed, by its ceremony's clock.
    pub sealed: Timestamp,
    /// Its ceremony's id.
    pub ceremony: String,
    /// The earlier records that were found, the newest first.
    pub earlier: Vec<PathBuf>,
    /// Its data keys.
    pub keys: Vec<KnownKey>,
    /// Who was dealt which share of its escrow key, if it has one.
    pub dealt: Vec<KnownShare>,
    /// What this record and the earlier ones that were found dealt, the newest first.
    pub(crate) sets: Vec<Dealt>,
    /// Where this record and the earlier ones that were found left data keys, the newest first; then the branches.
    pub(crate) tokens: Vec<LeftIn>,
    /// Records about the same data keys that it does not build on.
    pub(crate) branches: Branches,
    /// What those dealt.
    pub(crate) sets_of_branches: Vec<Dealt>,
    /// Whether the records could be followed back to the one that made the data keys.
    pub(crate) is_whole: bool,
    /// Its escrow package, if there is one.
    pub package: Option<Package>,
    /// Whether it is from a rehearsal.
    pub rehearsal: bool,
    /// Its HSM, if it names one.
    pub hsm: Option<HsmFacts>,
    /// SHA-256 of its receipts.jsonl, if it has receipts.
    pub receipts_head: Option<Digest>,
    /// How many receipts it has.
    pub receipts: usize,
    /// Who signed it.
    pub signer: Option<KnownSigner>,
    /// The materials that its receipts know, and those of the earlier records that were found.
    pub materials: Vec<KnownMaterial>,
    /// The imports of this record and the earlier ones, the newest first.
    pub imports: Vec<ImportBefore>,
    /// Its KMS keys that have several materials.
    pub kms_keys: Vec<KmsKeyMaterials>,
}

/// A KMS key for which a record wrapped a data key.
#[derive(Clone, Debug)]
pub struct ImportBefore {
    /// The data key's fingerprint, in hex.
    pub fingerprint: String,
    /// The KMS key.
    pub(crate) kms_key: KeyName,
    /// The `import_type` in its script; witnesses count only if there is nothing else.
    pub import_as: Option<ImportAs>,
    /// Whether a receipt says that KMS accepted it.
    pub accepted: bool,
}

/// What tells one HSM from another, and from itself after an update: members of `hsm-opened`, by name.
pub(crate) type HsmFacts = [(&'static str, String); 5];

/// The facts of a token and its module.
pub(crate) fn hsm_facts(token: &TokenFacts, module: &ModuleDescription) -> HsmFacts {
    [
        ("manufacturer", token.manufacturer.clone()),
        ("model", token.model.clone()),
        ("serial", token.serial.clone()),
        ("firmware", token.firmware.clone()),
        ("module_sha256", module.module_sha256.clone()),
    ]
}

/// A data key according to a record.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// CKA_LABEL.
    pub label: String,
    /// KMS key spec.
    pub spec: String,
    /// How it is kept, if the record's own plan can be read.
    pub keep: Option<Keep>,
    /// CKA_ID, unless it was a session object.
    pub id: Option<KeyId>,
    /// Length in bytes of a secret key.
    pub bytes: Option<usize>,
    /// Key check value of an AES key.
    pub kcv: Option<String>,
    /// Fingerprint.
    pub fingerprint: Fingerprint,
    /// How it first came into an HSM: the newest record that tells it, this one or an earlier one.
    pub(crate) came: Option<Came>,
    /// The SubjectPublicKeyInfo of an Ed25519 key: an HSM may not tell it.
    pub(crate) public_key: Option<Vec<u8>>,
    /// The KMS keys for which it was wrapped: by this record or, if it only dealt new shares, by the newest earlier
    /// record that wrapped it.
    pub(crate) kms_keys: Vec<KeyName>,
}

/// How a data key first came into an HSM. A record that found it there, or brought it back, does not tell that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// An HSM made it.
    Made,
    /// From a file.
    File,
    /// It was in an HSM already when byok first used it.
    Token,
}

impl Came {
    /// As the record tells that has this line.
    pub(crate) fn told_by(key: &Said<DataKeyFacts>) -> Option<Self> {
        match (&key.line.event, key.source.as_deref()) {
            (Event::KeyGenerated(_), _) => Some(Self::Made),
            (_, Some("file")) => Some(Self::File),
            (_, Some("token")) => Some(Self::Token),
            _ => None,
        }
    }
}

/// How each data key came, by its fingerprint; the newest record first.
fn how_they_came<'a>(chains: impl DoubleEndedIterator<Item = &'a Chain>) -> BTreeMap<String, Came> {
    let oldest_first = chains.rev().flat_map(Chain::data_keys);
    let told = oldest_first.filter_map(|key| Some((key.fingerprint.clone(), Came::told_by(&key)?)));
    told.collect()
}

/// The transcript signer according to a record.
#[derive(Clone, Debug)]
pub struct KnownSigner {
    /// `SHA256:…` of its public key.
    pub fingerprint: String,
    /// CKA_ID in its HSM.
    pub cka_id: String,
}

/// A share according to a record.
#[derive(Clone, Debug)]
pub struct KnownShare {
    /// Its number, from 1.
    pub number: u64,
    /// The custodian who was given it.
    pub custodian: String,
    /// The digest by which it is recognised.
    pub sha256: String,
}

/// An HSM token in which a ceremony left its data keys.
pub(crate) struct LeftIn {
    token: TokenFacts,
    /// The ceremony's id.
    ceremony: String,
}

impl LeftIn {
    /// What tells this token from another: an update of its module may change the rest.
    fn names(&self) -> [&str; 3] {
        let token = &self.token;
        [&token.token, &token.serial, &token.manufacturer]
    }

    /// `None`: the ceremony left nothing in its HSM, or tells of none.
    fn by(chain: &Chain, keeps: &[(String, Keep)]) -> Option<Self> {
        let stays = keeps.is_empty() || keeps.iter().any(|(_, keep)| *keep != Keep::None);
        let ended = chain.opening().kind.known() == Some(Kind::Destroy);
        let opened = chain.events::<HsmOpened>().last()?;
        (stays && !ended).then(|| Self {
            token: opened.token.clone(),
            ceremony: id(chain),
        })
    }
}

/// What one ceremony dealt.
#[derive(Clone)]
pub(crate) struct Dealt {
    /// Its id.
    pub ceremony: String,
    /// Its record.
    pub directory: PathBuf,
    /// Who was given which share.
    pub shares: Vec<KnownShare>,
    /// Whose shares are enough.
    pub policy: Policy,
}

impl Dealt {
    /// `None`: the ceremony dealt no shares.
    fn by(directory: &Path, chain: &Chain) -> Option<Self> {
        Some(Self {
            ceremony: id(chain),
            directory: directory.to_owned(),
            shares: known_shares(chain),
            policy: policy(chain)?,
        })
    }

    /// The custodians of these shares.
    pub(crate) fn custodians(&self) -> Vec<String> {
        self.policy.custodians()
    }
}

impl Previous {
    /// The previous record, if the plan names one, and what vouches for it.
    ///
    /// # Errors
    /// As [`load`](Self::load); exit 4 if a real ceremony builds on a rehearsal, or the other way round.
    pub(crate) fn of_plan(plan: &Plan, rehearsal: bool) -> Result<(Option<Self>, Vouched)> {
        let Some(directory) = &plan.previous else {
            return Ok((None, Vouched::Fingerprint));
        };
        let previous = Self::load(directory, plan.previous_head.as_ref())?;
        same_mode(&previous, rehearsal)?;
        let anchor = match &plan.previous_head {
            Some(_) => Vouched::Plan,
            None => Vouched::Nothing,
        };
        Ok((Some(previous), anchor))
    }

    /// Verifies the record and reads what it says. If the plan gives an anchor, it must fit.
    ///
    /// # Errors
    /// Exit 2 if there is no such directory; exit 4 if the record is broken, was aborted, or is not the one that the
    /// anchor names.
    pub fn load(directory: &Path, anchor: Option<&Anchor>) -> Result<Self> {
        let doing = |e: Error| e.doing(format!("the previous record {}", directory.display()));
        if !directory.is_dir() {
            return Err(doing(Error::usage("there is no such directory")
                .hint("set `previous` in the plan to the copy of the record that was brought here")
                .hint("if the record is lost, give the fingerprint of each data key instead")));
        }
        // The head first: if it is not a record, or not the right one, the rest is not read.
        let is_it = anchor.map_or(Ok(()), |anchor| verify::is_the_one(directory, anchor));
        let verified = is_it.and_then(|()| verify::verify(directory, anchor));
        let verified = verified.map_err(|broken| {
            let error = Error::mismatch(broken.to_string()).check("PREVIOUS-RECORD");
            doing(match broken.rule {
                Rule::Head => ANOTHER_HEAD.into_iter().fold(error, Error::hint),
                _ => error.hint("use another copy of the record"),
            })
        })?;
        if verified.is_aborted() {
            return Err(doing(
                Error::mismatch("its ceremony was aborted: it made nothing")
                    .check("PREVIOUS-RECORD"),
            ));
        }
        let followed = verify::follow(directory, &verified, &[]).map_err(doing)?;
        let mut materials = verified.receipts.known();
        materials.extend(followed.known());
        let mut imports = imports_of(&verified.receipts);
        for link in &followed.links {
            imports.extend(imports_of(&link.verified.receipts));
        }
        let chain = &verified.chain;
        let kept = keeps(directory);
        let mut keys = known_keys(chain, &kept)
            .map_err(|why| doing(Error::mismatch(why).check("PREVIOUS-RECORD")))?;
        for key in keys
            .iter_mut()
            .filter(|key| key.spec == Spec::Ed25519.name())
        {
            let path = directory.join(&key.label).join("public-key.der");
            key.public_key = files::read_at_most(&path, limits::LONGEST_PUBLIC_KEY).ok();
        }
        for key in keys.iter_mut().filter(|key| key.kms_keys.is_empty()) {
            key.kms_keys = wrapped_before(&followed, &key.fingerprint);
        }
        let kms_keys = verify::materials(directory, &verified, &followed, &[]);
        let links = followed.links.iter();
        let links = links.map(|link| (link.directory.as_path(), &link.verified.chain));
        let all: Vec<_> = std::iter::once((directory, chain)).chain(links).collect();
        let came = how_they_came(all.iter().map(|(_, chain)| *chain));
        for key in &mut keys {
            key.came = came.get(&key.fingerprint.to_string()).copied();
        }
        let dealt = all.iter().filter_map(|(at, chain)| Dealt::by(at, chain));
        let sets = dealt.collect();
        let branches = verify::branches(directory, &verified, &followed, &[]);
        let of_branches = branches.chains();
        let sets_of_branches = of_branches.filter_map(|(at, chain)| Dealt::by(at, chain));
        let sets_of_branches = sets_of_branches.collect();
        let earlier = all.iter().skip(1);
        let left = earlier.filter_map(|(at, chain)| LeftIn::by(chain, &keeps(at)));
        // nothing vouches for the plan of a branch
        let of_branches = branches.chains();
        let of_branches = of_branches.filter_map(|(_, chain)| LeftIn::by(chain, &[]));
        let own = LeftIn::by(chain, &kept).into_iter();
        let tokens = own.chain(left).chain(of_branches).collect();
        let oldest = all
            .last()
            .and_then(|(_, chain)| chain.opening().kind.known());
        let is_whole = oldest == Some(Kind::Generate);
        Ok(Self {
            earlier: followed
                .links
                .into_iter()
                .map(|link| link.directory)
                .collect(),
            receipts_head: verified.receipts.head(),
            receipts: verified.receipts.receipts.len(),
            materials,
            imports,
            kms_keys,
            directory: directory.to_owned(),
            title: chain.opening().title.clone(),
            head: chain.head,
            sealed: chain.end().at,
            ceremony: id(chain),
            keys,
            dealt: known_shares(chain),
            sets,
            tokens,
            branches,
            sets_of_branches,
            is_whole,
            package: read_package(directory).map_err(doing)?,
            signer: chain.events().next().map(|signer| known_signer(&signer)),
            rehearsal: verified.is_rehearsal(),
            hsm: known_hsm(chain),
        })
    }

    /// The data key with a label.
    pub(crate) fn key(&self, label: &str) -> Option<&KnownKey> {
        self.keys.iter().find(|key| key.label == label)
    }

    /// The receipts' id for this data key's material in this KMS key.
    pub(crate) fn key_material_id(&self, label: &str, key_arn: &str) -> Option<&str> {
        let fingerprint = self.key(label)?.fingerprint.to_string();
        let of =
            |known: &&KnownMaterial| known.fingerprint == fingerprint && known.key_arn == key_arn;
        let known = self.materials.iter().find(of)?;
        Some(&known.key_material_id)
    }

    /// How this data key was last wrapped for this KMS key.
    pub(crate) fn import_before(&self, label: &str, kms_key: &KmsKey) -> Option<&ImportBefore> {
        let fingerprint = self.key(label)?.fingerprint.to_string();
        let kms_key = KeyName::from(kms_key);
        let of =
            |before: &&ImportBefore| before.fingerprint == fingerprint && before.kms_key == kms_key;
        self.imports.iter().find(of)
    }

    /// The escrow in use, as far as it is known: the one that this record dealt, otherwise the latest before it.
    pub(crate) fn in_use(&self) -> Option<&Dealt> {
        self.sets.first()
    }

    /// The shares that a ceremony dealt, in this record or an earlier one; none if that is not known.
    pub(crate) fn dealt_by(&self, ceremony: &str) -> &[KnownShare] {
        self.set_of(ceremony).map_or(&[], |dealt| &dealt.shares)
    }

    /// Which of a ceremony's shares are enough.
    pub(crate) fn policy_of(&self, ceremony: &str) -> Option<&Policy> {
        self.set_of(ceremony).map(|dealt| &dealt.policy)
    }

    fn set_of(&self, ceremony: &str) -> Option<&Dealt> {
        self.sets.iter().find(|dealt| dealt.ceremony == ceremony)
    }
}

fn same_mode(previous: &Previous, rehearsal: bool) -> Result<()> {
    let what = match (previous.rehearsal, rehearsal) {
        (true, false) => "is from a rehearsal: a real ceremony cannot build on it",
        (false, true) => "is from a real ceremony: a rehearsal cannot build on it",
        _ => return Ok(()),
    };
    let shown = previous.directory.display();
    Err(Error::mismatch(format!("the previous record {shown} {what}")).check("PREVIOUS-RECORD"))
}

/// One entry for each data key and KMS key of a record.
fn imports_of(receipts: &Receipts) -> Vec<ImportBefore> {
    let mut all: Vec<ImportBefore> = Vec::new();
    for (import, standing) in receipts.by_import() {
        let same = |other: &&mut ImportBefore| {
            other.fingerprint == import.fingerprint && other.kms_key == import.kms_key
        };
        match all.iter_mut().find(same) {
            Some(other) => {
                other.accepted |= standing.is_accepted();
                if import.import_as != Some(ImportAs::Existing) {
                    other.import_as = import.import_as;
                }
            }
            None => all.push(ImportBefore {
                fingerprint: import.fingerprint.clone(),
                kms_key: import.kms_key.clone(),
                import_as: import.import_as,
                accepted: standing.is_accepted(),
            }),
        }
    }
    all
}

fn known_signer(signer: &TranscriptSigner) -> KnownSigner {
    KnownSigner {
        fingerprint: signer.fingerprint.clone(),
        cka_id: signer.cka_id.clone(),
    }
}

fn known_hsm(chain: &Chain) -> Option<HsmFacts> {
    let opened = chain.events::<HsmOpened>().last()?;
    Some(hsm_facts(&opened.token, &opened.module))
}

/// Data keys that were generated, found again or recovered: each event has the same facts.
fn known_keys(chain: &Chain, keeps: &[(String, Keep)]) -> Result<Vec<KnownKey>, String> {
    let mut kms_keys: BTreeMap<String, Vec<KeyName>> = BTreeMap::new();
    for wrapped in chain.events::<Wrapped>() {
        let of_label = kms_keys.entry(wrapped.label.clone()).or_default();
        of_label.push(wrapped.kms_key.name.clone());
    }
    chain
        .data_keys()
        .map(|key| known_key(&key, &kms_keys, keeps))
        .collect()
}

/// `keep` of every data key, from the plan in the verified record. The plan of a later format may not be readable;
/// then this is empty.
fn keeps(directory: &Path) -> Vec<(String, Keep)> {
    let plan = Plan::read(&directory.join("plan.toml"));
    let keys = plan.map(|plan| plan.keys).unwrap_or_default();
    keys.into_iter().map(|key| (key.label, key.keep)).collect()
}

fn known_key(
    key: &Said<DataKeyFacts>,
    kms_keys: &BTreeMap<String, Vec<KeyName>>,
    keeps: &[(String, Keep)],
) -> Result<KnownKey, String> {
    let fingerprint = Fingerprint::from_hex(&key.fingerprint);
    let keep = keeps.iter().find(|(of, _)| *of == key.label);
    Ok(KnownKey {
        label: key.label.clone(),
        spec: key.spec.to_string(),
        keep: keep.map(|(_, keep)| *keep),
        id: KeyId::any_from_hex(&key.cka_id),
        bytes: key.bytes,
        kcv: key.kcv.clone(),
        fingerprint: fingerprint
            .ok_or_else(|| format!("line {}: no fingerprint", key.line.number))?,
        came: None,
        public_key: None,
        kms_keys: kms_keys.get(&key.label).cloned().unwrap_or_default(),
    })
}

/// The KMS keys for which the newest of these records wrapped this data key.
fn wrapped_before(followed: &Followed, fingerprint: &Fingerprint) -> Vec<KeyName> {
    let fingerprint = fingerprint.to_string();
    let of = |chain: &Chain| -> Vec<KeyName> {
        let mut keys = chain.data_keys();
        let key = keys.find(|key| key.fingerprint == fingerprint);
        let wrapped = chain.events::<Wrapped>();
        wrapped
            .filter(|wrapped| key.as_ref().is_some_and(|key| key.label == wrapped.label))
            .map(|wrapped| wrapped.kms_key.name.clone())
            .collect()
    };
    let all = followed.links.iter().map(|link| of(&link.verified.chain));
    all.into_iter()
        .find(|kms_keys| !kms_keys.is_empty())
        .unwrap_or_default()
}

fn id(chain: &Chain) -> String {
    chain.opening().ceremony.clone()
}

fn known_shares(chain: &Chain) -> Vec<KnownShare> {
    let known = |share: &DealtShare| KnownShare {
        number: share.share.into(),
        custodian: words::quoted(&share.custodian),
        sha256: share.share_sha256.clone(),
    };
    let dealt = chain.events::<EscrowDealt>();
    dealt
        .flat_map(|dealt| dealt.shares.iter().map(known).collect::<Vec<_>>())
        .collect()
}

/// Whose shares are enough, if the ceremony dealt some.
fn policy(chain: &Chain) -> Option<Policy> {
    chain.events::<EscrowDealt>().next()?.policy()
}

fn read_package(directory: &Path) -> Result<Option<Package>> {
    let path = directory.join(package::JSON_FILE);
    if !path.exists() {
        return Ok(None);
    }
    read_package_file(&path).map(Some)
}

/// Reads an escrow package from a file.
///
/// # Errors
/// Exit 2 if it cannot be read; exit 4 if it is not an escrow package.
pub fn read_package_file(path: &Path) -> Result<Package> {
    let shown = path.display();
    const LONGEST: u64 = 16 << 20; // a private key of RSA_4096 takes almost 4 KiB
    let bytes = files::read_at_most(path, LONGEST)
        .map_err(|e| Error::usage(format!("the escrow package {shown}: {e}")))?;
    Package::from_json(&bytes).map_err(|why| {
        Error::mismatch(format!("the escrow package {shown}: {why}")).check("ESCROW-PACKAGE")
    })
}
