//! The whole life of a data key: made and escrowed, deleted in the KMS and wrapped again, lost with its
//! HSM and brought back from shares. Data that was encrypted at the start must open after each of these.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{
    hand_over, make_token, not_proved, read, same_material, tell, tell_ceremony, tell_end,
    write_new, write_parameters,
};
use crate::ceremony::operator::{Interrupted, Unattended};
use crate::ceremony::{Approved, generate, recover, reimport};
use crate::crypto::escrow::slip39::{self, Share};
use crate::crypto::escrow::{Package, package, read_share_file, share_file_name};
use crate::crypto::wrapping;
use crate::evidence::record::Sealed;
use crate::evidence::verify::{self, Verified};
use crate::ground::error::{Error, Result};
use crate::ground::words::Digest;
use crate::hsm::Module;
use crate::plan::{Deliver, ImportPlan, KeyPlan, Kind, Plan};
use crate::rehearsal::{self, DATA_LEN, Stage, StandInKms, THRESHOLD};

/// Which of the shares, in order, take part in the recovery.
const WHO_COME: [usize; THRESHOLD] = [0, 2, 4];

/// What stays the same from ceremony to ceremony.
struct Life<'a> {
    module: &'a Path,
    room: &'a Path,
    kms: StandInKms,
    nobody: Unattended,
}

/// Data that was encrypted with the data key before anything happened to it.
struct OldData {
    arn: String,
    data: [u8; DATA_LEN],
    encrypted: Vec<u8>,
}

/// Goes through the whole life, and tells each part once it is proved.
pub(super) fn live(module: &Path, room: &Path) -> Result<()> {
    let mut life = Life {
        module,
        room,
        kms: StandInKms::open()?,
        nobody: Unattended::silent(Interrupted::watch()?),
    };
    make_token(module, rehearsal::TOKEN)?;
    let (plan, sealed) = life.hold(Stage::Generate, None)?;
    let made = tell_ceremony(&plan, &sealed, &mut life.kms)?;
    let shares = share_files(&plan)?;
    any_quorum_opens(&plan, &sealed, &made, &shares)?;
    let told = format!(
        "any {THRESHOLD} of {} shares open it; in files, read back, joined",
        shares.len()
    );
    tell("escrowed", &told, "proved")?;

    let old = life.encrypt(&plan)?;
    life.reimport(&old, &sealed.head)?;
    tell(
        "reimport",
        "deleted in the KMS, wrapped again: old data opens",
        "proved",
    )?;
    life.lose_and_recover(&old, &sealed.head, &shares)?;
    let told = format!("HSM erased; {THRESHOLD} shares, new HSM, KMS: old data opens");
    tell("lost", &told, "proved")?;
    tell_end(&sealed.directory)
}

impl Life<'_> {
    /// Holds one ceremony, with import parameters of its own.
    fn hold(&mut self, stage: Stage, previous_head: Option<&Digest>) -> Result<(Plan, Sealed)> {
        let path = self.room.join(stage.plan_file());
        let text = rehearsal::own_plan(self.module, stage, previous_head)?;
        write_new(&path, text.as_bytes())?;
        let plan = Plan::read(&path)?;
        write_parameters(&plan, &self.kms)?;
        let approved = Approved::own_rehearsal(plan.clone())?;
        let sealed = match plan.kind {
            Kind::Reimport => reimport::run(&approved, &mut self.nobody),
            Kind::Recover => recover::run(&approved, &mut self.nobody),
            _ => generate::run(&approved, &mut self.nobody),
        }?;
        Ok((plan, sealed))
    }

    fn encrypt(&self, plan: &Plan) -> Result<OldData> {
        let (_, import) = only_import(plan)?;
        let (arn, data) = (import.kms_key.as_str().to_owned(), rehearsal::random()?);
        let encrypted = self.kms.encrypt(&arn, &data)?;
        Ok(OldData {
            arn,
            data,
            encrypted,
        })
    }

    /// The KMS forgets the material; the HSM still has it.
    fn reimport(&mut self, old: &OldData, head: &Digest) -> Result<()> {
        self.forget(old)?;
        let (plan, sealed) = self.hold(Stage::Reimport, Some(head))?;
        self.old_data_opens(&plan, &sealed, old)
    }

    /// KMS and HSM are without the material; shares and package bring it back into another HSM.
    fn lose_and_recover(&mut self, old: &OldData, head: &Digest, shares: &[PathBuf]) -> Result<()> {
        self.forget(old)?;
        self.erase_hsm()?;
        self.bring(shares)?;
        make_token(self.module, rehearsal::SECOND_TOKEN)?;
        let (plan, sealed) = self.hold(Stage::Recover, Some(head))?;
        self.old_data_opens(&plan, &sealed, old)
    }

    /// Deletes the material in the KMS, which then opens nothing, and lets it make new parameters.
    fn forget(&mut self, old: &OldData) -> Result<()> {
        self.kms.delete(&old.arn)?;
        if self.kms.decrypt(&old.arn, &old.encrypted).is_ok() {
            return Err(not_proved(
                "the stand-in KMS decrypts with material that was deleted",
            ));
        }
        self.kms.renew()
    }

    /// Deletes the store of the soft HSM with every token in it. No module is loaded meanwhile.
    fn erase_hsm(&self) -> Result<()> {
        let tokens = self.room.join("tokens");
        fs::remove_dir_all(&tokens)
            .and_then(|()| DirBuilder::new().mode(0o700).create(&tokens))
            .map_err(|e| Error::machine(format!("erasing {}: {e}", tokens.display())))?;
        if !Module::load(self.module)?.tokens()?.is_empty() {
            return Err(not_proved("the erased HSM still shows a token"));
        }
        Ok(())
    }

    /// The custodians who come put their share files where the recovery reads them.
    fn bring(&self, shares: &[PathBuf]) -> Result<()> {
        let brought = self.room.join(rehearsal::BROUGHT);
        DirBuilder::new()
            .mode(0o700)
            .create(&brought)
            .map_err(|e| Error::machine(format!("making {}: {e}", brought.display())))?;
        for share in WHO_COME.iter().filter_map(|at| shares.get(*at)) {
            let to = brought.join(share.file_name().unwrap_or_default());
            // A copy keeps the mode 0600.
            fs::copy(share, &to)
                .map_err(|e| Error::machine(format!("writing {}: {e}", to.display())))?;
        }
        Ok(())
    }

    /// The record holds together, the KMS takes what it holds, and decrypts what it encrypted before.
    fn old_data_opens(&mut self, plan: &Plan, sealed: &Sealed, old: &OldData) -> Result<()> {
        let verified = verify::verify(&sealed.directory, None).map_err(not_proved)?;
        let (key, import) = only_import(plan)?;
        hand_over(&sealed.directory, key, import, &mut self.kms)?;
        let material = self.kms.material(&old.arn)?;
        same_material(&verified, key, material)?;
        if self.kms.decrypt(&old.arn, &old.encrypted)? != old.data {
            return Err(not_proved("old data opens as something else"));
        }
        Ok(())
    }
}

fn only_import(plan: &Plan) -> Result<(&KeyPlan, &ImportPlan)> {
    plan.imports()
        .next()
        .ok_or_else(|| not_proved("its own plan imports nothing"))
}

/// The share files that the ceremony wrote, in the order of the custodians.
fn share_files(plan: &Plan) -> Result<Vec<PathBuf>> {
    let Some((Deliver::Files(directory), policy)) = plan
        .escrow
        .as_ref()
        .map(|escrow| (&escrow.deliver, &escrow.policy))
    else {
        return Err(not_proved("its own plan deals no shares to files"));
    };
    let named = policy
        .places()
        .map(|place| directory.join(share_file_name(place.number.into(), place.custodian)));
    Ok(named.collect())
}

/// Reads the files back and opens the record's package with every quorum that there is.
fn any_quorum_opens(
    plan: &Plan,
    sealed: &Sealed,
    made: &Verified,
    files: &[PathBuf],
) -> Result<()> {
    let shares: Vec<Share> = files
        .iter()
        .map(|path| read_share(path))
        .collect::<Result<_>>()?;
    let json = read(&sealed.directory.join(package::JSON_FILE))?;
    let package = Package::from_json(&json).map_err(not_proved)?;
    for (at, a) in shares.iter().enumerate() {
        for (next, b) in shares.iter().enumerate().skip(at + 1) {
            for c in &shares[next + 1..] {
                opens(plan, made, &package, [a, b, c])?;
            }
        }
    }
    Ok(())
}

fn read_share(path: &Path) -> Result<Share> {
    Share::from_words(&read_share_file(path)?)
        .map_err(|_| not_proved(format!("{} is not a share", path.display())))
}

/// One quorum opens every data key of the package, and each is the key that was made.
fn opens(
    plan: &Plan,
    made: &Verified,
    package: &Package,
    quorum: [&Share; THRESHOLD],
) -> Result<()> {
    let secret = slip39::combine(&quorum, b"")
        .map_err(|_| not_proved(format!("{THRESHOLD} of the shares do not join")))?;
    for key in &plan.keys {
        let packed = package.packed(&key.label).map_err(|e| not_proved(e.what))?;
        let opened = wrapping::open_wrapped(key.spec, &secret, &packed.wrapped)?;
        same_material(made, key, &opened.bytes)?;
    }
    Ok(())
}
