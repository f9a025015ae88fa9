//! Steps 9 and 10: the escrow key wraps the data keys, its shares are handed out, and what came back
//! from the custodians alone must open the package again.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Ceremony, Step, Vault, screens, transcript, words};
use crate::crypto::escrow::policy::{Place, Policy};
use crate::crypto::escrow::slip39::{self, Share, words::Words};
use crate::crypto::escrow::{
    ESCROW_KEY_LEN, KeyWrap, Package, PackedKey, Quorum, UntrustedShares, share_digest,
    share_file_name,
};
use crate::crypto::locked::Locked;
use crate::crypto::spec::Spec;
use crate::evidence::transcript::{DealtShare, Event};
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::hsm::{DataKey, Hsm, Life, under_way};
use crate::plan::{Deliver, EscrowPlan};

/// What came back from the custodians; nothing of what was dealt is kept.
pub(crate) struct HandedOut {
    shares: UntrustedShares,
    package: Package,
}

/// Shares that custodians hold while the ceremony may still fail.
#[derive(Default)]
pub(crate) struct OutThere {
    /// `share 2, Audit`, for people.
    forms: Vec<String>,
    files: Vec<PathBuf>,
}

impl OutThere {
    /// After a failure the shares that were handed out open nothing of value. Their files are erased, and
    /// people are told which forms are void.
    pub(super) fn void(&mut self) -> Vec<String> {
        let mut state = Vec::new();
        for path in std::mem::take(&mut self.files) {
            if fs::remove_file(&path).is_ok() || !path.exists() {
                continue;
            }
            let void = crate::evidence::record::with_suffix(
                &path,
                &format!(".void-{}", clock::compact(clock::now())),
            );
            match fs::rename(&path, &void) {
                Ok(()) => state.push(format!(
                    "{} is void; it could not be erased",
                    void.display()
                )),
                Err(_) => state.push(format!("{} is void; erase it by hand", path.display())),
            }
        }
        let forms = std::mem::take(&mut self.forms);
        if !forms.is_empty() {
            state.push(format!(
                "these shares are now void; destroy their forms: {}",
                forms.join("; ")
            ));
        }
        state
    }
}

impl Ceremony<'_> {
    /// Step 9, if the plan has `[escrow]`.
    pub(super) fn escrow(
        &mut self,
        vault: &mut Vault,
        keys: &mut [DataKey],
    ) -> Result<Option<HandedOut>> {
        let Some(escrow) = &self.plan().escrow else {
            return Ok(None);
        };
        self.begin_at_hsm(vault, Step::Escrow)?;
        let (package, dealt) = self.deal(vault, escrow, keys)?;
        self.ledger
            .record
            .reserve(self.expected_outputs(&package))?;
        self.ledger.sync()?;
        let shares = self.hand_out(vault, escrow, dealt)?;
        Ok(Some(HandedOut { shares, package }))
    }

    /// An upper bound of the disk space that the outputs will take.
    fn expected_outputs(&self, package: &Package) -> usize {
        const ONE_IMPORT: usize = 32 << 10; // material, token, script, and its part of the report
        self.plan().imports().count() * ONE_IMPORT + package.to_json().len() * 32 + (128 << 10)
    }

    /// The escrow key lives in this function alone: drawn, loaded, used, split, ended.
    fn deal(
        &mut self,
        vault: &mut Vault,
        escrow: &EscrowPlan,
        keys: &mut [DataKey],
    ) -> Result<(Package, Vec<Share>)> {
        let key = self.in_a_session(vault, keys, |hsm, _| draw_escrow_key(hsm))?;
        let package = Package {
            ceremony: self.basis.id.clone(),
            keys: self.in_a_session(vault, keys, |hsm, keys| pack(hsm, &key, keys))?,
        };
        let policy = &escrow.policy;
        let dealt = slip39::deal(&key, policy.groups_needed(), &policy.sizes())?;
        drop(key);
        let mut shares = Vec::with_capacity(dealt.len());
        for (share, place) in dealt.iter().zip(policy.places()) {
            shares.push(DealtShare {
                share: place.number,
                custodian: place.custodian.to_owned(),
                group: place.group_name(),
                share_sha256: words::hex(&share_digest(&self.basis.id, &share.words()?)),
            });
        }
        self.ledger.append(transcript::EscrowDealt {
            needed: policy.into(),
            shares,
            labels: package.keys.iter().map(|key| key.label.clone()).collect(),
            package_sha256: words::hex(&words::sha256(package.to_json().as_bytes())),
        })?;
        Ok((package, dealt))
    }

    fn hand_out(
        &mut self,
        vault: &mut Vault,
        escrow: &EscrowPlan,
        dealt: Vec<Share>,
    ) -> Result<UntrustedShares> {
        let mut back = UntrustedShares::default();
        if let Deliver::Files(directory) = &escrow.deliver {
            make_share_directory(directory)?;
        }
        for (share, place) in dealt.into_iter().zip(escrow.policy.places()) {
            let (number, custodian) = (place.number, place.custodian);
            let dealt = share.words()?;
            drop(share);
            vault
                .out_there
                .forms
                .push(format!("share {number}, {custodian}"));
            let returned = match &escrow.deliver {
                Deliver::Screen => self.hand_out_at_screen(&escrow.policy, &place, &dealt)?,
                Deliver::Files(directory) => {
                    self.hand_out_file(vault, directory, (&place, &escrow.policy), &dealt)?
                }
            };
            let share_sha256 = words::hex(&share_digest(&self.basis.id, &returned));
            let share = Share::from_words(&returned).map_err(|_| {
                Error::mismatch(format!(
                    "share {number}, {custodian}: what came back is not a share"
                ))
            })?;
            back.add(custodian, share).map_err(|_| {
                Error::mismatch(format!(
                    "share {number}, {custodian}: what came back is a different share"
                ))
            })?;
            self.ledger.append(transcript::HandedOut {
                share: number,
                custodian: custodian.to_owned(),
                share_sha256,
                typed_back: escrow.deliver == Deliver::Screen,
            })?;
            self.ledger.sync()?;
        }
        Ok(back)
    }

    /// One 0600 file: the words on its last line. It is read back from the disk.
    fn hand_out_file(
        &mut self,
        vault: &mut Vault,
        directory: &Path,
        (place, policy): (&Place, &Policy),
        dealt: &Words,
    ) -> Result<Words> {
        let path = directory.join(share_file_name(place.number.into(), place.custodian));
        let mut text = Locked::zeroed(8192)?;
        let len = share_file(&mut text, &self.basis.id, (place, policy), dealt)?;
        let cannot = |e| share_disk(&e, format!("writing the share {}: {e}", path.display()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(cannot)?;
        vault.out_there.files.push(path.clone()); // only what this run made is ever erased
        file.write_all(&text[..len])
            .and_then(|()| file.sync_all())
            .map_err(cannot)?;
        fs::File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(cannot)?;
        crate::crypto::escrow::read_share_file(&path)
    }

    /// Step 10: from what came back alone.
    pub(super) fn prove_escrow(
        &mut self,
        vault: &mut Vault,
        handed_out: Option<HandedOut>,
        keys: &mut [DataKey],
    ) -> Result<Option<Package>> {
        let Some(HandedOut { shares, package }) = handed_out else {
            // Keys that are kept sealed have a proved escrow from before.
            self.seal_keys(vault, keys)?;
            return Ok(None);
        };
        self.begin(Step::ProveEscrow)?;
        let quorum = shares.validate()?;
        let wrong = [&quorum.dissenters[..], &quorum.unjudged].concat();
        if !wrong.is_empty() {
            return Err(Error::mismatch(format!(
                "the share of {} is not the one that was dealt",
                wrong.join(", or of ")
            ))
            .check("QUORUM"));
        }
        let recombinations = shares.every_share_recombines(&quorum)?;
        self.in_a_session(vault, keys, |hsm, keys| {
            package_opens(hsm, &quorum, &package, keys)
        })?;
        self.ledger.append(transcript::EscrowProved {
            shares: quorum.names.len(),
            recombinations,
            labels: package.keys.iter().map(|key| key.label.clone()).collect(),
        })?;
        drop((quorum, shares));
        self.supersede_escrow()?;
        self.seal_keys(vault, keys)?;
        Ok(Some(package))
    }

    /// Shares that an earlier ceremony dealt still open the package of that ceremony.
    fn supersede_escrow(&mut self) -> Result<()> {
        let Some(previous) = self.previous() else {
            return Ok(());
        };
        let Some(dealt) = previous.in_use() else {
            return Ok(());
        };
        let of_plan = |label: &String| self.plan().keys.iter().any(|key| key.label == *label);
        let superseded = Event::EscrowSuperseded(transcript::EscrowSuperseded {
            ceremony: dealt.ceremony.clone(),
            custodians: dealt.custodians(),
            labels: previous
                .keys
                .iter()
                .map(|key| key.label.clone())
                .filter(of_plan)
                .collect(),
        });
        self.ledger.append(superseded)?;
        let told = format!(
            "the shares and the package of ceremony {} are superseded: destroy both",
            dealt.ceremony
        );
        self.desk.say(&screens::fold(&told, "      "));
        Ok(())
    }

    /// `keep = "sealed"`: from here on only a quorum brings the data key out again.
    fn seal_keys(&mut self, vault: &mut Vault, keys: &mut [DataKey]) -> Result<()> {
        for at in 0..keys.len() {
            if keys[at].life != Life::TokenUntilSealed {
                continue;
            }
            let _serving = under_way::serving(&keys[at].label);
            self.in_a_session(vault, keys, |hsm, keys| {
                let sealed = hsm.seal(&keys[at].material);
                sealed.map_err(|e| e.doing(format!("sealing the data key {:?}", keys[at].label)))
            })?;
            self.ledger.append(transcript::KeySealed {
                label: keys[at].label.clone(),
                cka_id: keys[at].id.to_string(),
            })?;
        }
        Ok(())
    }
}

/// Every data key, wrapped under the escrow key in the HSM.
fn pack(hsm: &mut Hsm, key: &Locked, keys: &[DataKey]) -> Result<Vec<PackedKey>> {
    let loaded = hsm.load_proved(key, keys.iter().map(|key| key.material.spec))?;
    let mut packed = Vec::with_capacity(keys.len());
    for data_key in keys {
        let _serving = under_way::serving(&data_key.label);
        let wrapped = hsm
            .wrap_for_escrow(&loaded, &data_key.material)
            .map_err(|e| e.doing(format!("wrapping {:?} for escrow", data_key.label)))?;
        packed.push(packed_key(data_key, wrapped));
    }
    hsm.end_escrow_key(loaded)?;
    Ok(packed)
}

/// The package unwraps in the HSM to keys with the fingerprints of those that were generated.
fn package_opens(
    hsm: &mut Hsm,
    quorum: &Quorum,
    package: &Package,
    keys: &[DataKey],
) -> Result<()> {
    let specs = keys.iter().map(|key| key.material.spec);
    let loaded = hsm.load_proved(quorum.escrow_key(), specs)?;
    for data_key in keys {
        let packed = package.packed(&data_key.label)?;
        let _serving = under_way::serving(&data_key.label);
        let back = hsm
            .unwrap_packed(&loaded, &packed.wrapped, data_key.material.spec)
            .map_err(|e| e.doing(format!("opening the package for {:?}", packed.label)))?;
        let same = back.check == data_key.material.check;
        hsm.destroy(back)?;
        if !same {
            return Err(Error::mismatch(format!(
                "the package opens to a key other than {:?}",
                packed.label
            ))
            .check("SAME-MATERIAL"));
        }
    }
    hsm.end_escrow_key(loaded)
}

fn packed_key(data_key: &DataKey, wrapped: Vec<u8>) -> PackedKey {
    let spec = data_key.material.spec;
    PackedKey {
        bits: spec.bits(),
        label: data_key.label.clone(),
        spec: spec.name().to_owned(),
        kcv: data_key.material.check.kcv.clone(),
        fingerprint: data_key.material.check.fingerprint.to_string(),
        public_key: (spec == Spec::Ed25519)
            .then(|| data_key.material.check.public_key.clone())
            .flatten(),
        wrapping: KeyWrap::of(spec),
        wrapped,
    }
}

/// The HSM's generator XOR the operating system's, drawn second: neither alone decides.
fn draw_escrow_key(hsm: &Hsm) -> Result<Locked> {
    let mut key = Locked::zeroed(ESCROW_KEY_LEN)?;
    hsm.random(&mut key)?;
    let own = Locked::random(ESCROW_KEY_LEN, "the escrow key")?;
    key.iter_mut()
        .zip(own.iter())
        .for_each(|(key, own)| *key ^= own);
    Ok(key)
}

/// The error of a disk that refused a share.
fn share_disk(why: &std::io::Error, what: String) -> Error {
    let hint = match why.kind() {
        std::io::ErrorKind::StorageFull => {
            "the disk is full: make room, then run the ceremony again"
        }
        _ => "let deliver name a place that this user can write to, then run the ceremony again",
    };
    Error::machine(what).hint(hint)
}

/// The directory may exist if it is empty: nothing else ever lies beside shares.
fn make_share_directory(directory: &Path) -> Result<()> {
    let shown = directory.display();
    let cannot = |e| share_disk(&e, format!("the directory for shares, {shown}: {e}"));
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => crate::ground::files::sync_name(directory).map_err(cannot),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            if fs::read_dir(directory).map_err(cannot)?.next().is_some() {
                return Err(Error::usage(format!(
                    "the directory for shares, {}, is not empty",
                    directory.display()
                ))
                .hint("let deliver name a new directory: nothing is overwritten"));
            }
            Ok(())
        }
        Err(e) => Err(cannot(e)),
    }
}

/// The text of a share file, written into locked memory; its length.
fn share_file(
    text: &mut Locked,
    ceremony: &str,
    (place, policy): (&Place, &Policy),
    share: &Words,
) -> Result<usize> {
    let head = format!(
        "byok share {}, {}\n{} and the escrow package bring the data key back\nceremony {ceremony}\n",
        place.number,
        place.told(),
        policy.shares()
    );
    let mut len = 0;
    let mut push = |bytes: &[u8]| {
        let Some(place) = text.get_mut(len..len + bytes.len()) else {
            return false;
        };
        place.copy_from_slice(bytes);
        len += bytes.len();
        true
    };
    let mut whole = push(head.as_bytes());
    for at in 0..share.len() {
        whole &= at == 0 || push(b" ");
        whole &= push(share.word(at).as_bytes());
    }
    whole &= push(b"\n");
    if whole {
        Ok(len)
    } else {
        Err(Error::machine("a share file is longer than 8 KiB"))
    }
}
