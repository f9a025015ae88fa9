//! Shares and package coming back: the shares from files, or [typed](super::typing) by custodians.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Ceremony, Error, Result, recover, transcript, words};
use crate::crypto::escrow::package;
use crate::crypto::escrow::policy::{Counted, Policy, Standing};
use crate::crypto::escrow::slip39::words::Words;
use crate::crypto::escrow::slip39::{MOST_IN_ALL, Share};
use crate::crypto::escrow::{
    self, Package, PackedKey, Quorum, Refused, UntrustedShares, share_digest,
};
use crate::evidence::previous::KnownShare;
use crate::evidence::transcript::ShareUsed;
use crate::plan::{RecoverPlan, ShareSource};

pub(super) const STRANGER: &str = "it is not one of the shares in the previous record";

/// More files than this are not shares that custodians brought.
const MOST_FILES: usize = 2 * MOST_IN_ALL as usize;

impl Ceremony<'_> {
    fn recover_plan(&self) -> Result<&RecoverPlan> {
        self.plan()
            .recover
            .as_ref()
            .ok_or_else(|| Error::usage("the plan has no [recover]"))
    }

    /// The escrow package from where the plan says.
    pub(super) fn escrow_package(&mut self) -> Result<Package> {
        let source = self.recover_plan()?.package.clone();
        let package = match recover::package_at_hand(&source, self.previous())? {
            Some(package) => package,
            None => self.type_package()?,
        };
        self.basis.escrow_of.clone_from(&package.ceremony);
        Ok(package)
    }

    /// Row by row from the printed text; each row has a check of its own.
    fn type_package(&mut self) -> Result<Package> {
        let plan = self.plan();
        let mut keys = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            let spec = self.expected(key)?.spec;
            let typed = spec.secret_len().filter(|_| package::can_be_typed(spec));
            let len = typed.map(crate::crypto::wrapping::kwp_len).ok_or_else(|| {
                Error::usage(format!(
                    "the package of {:?} is too long to be typed",
                    key.label
                ))
            })?;
            self.desk.say(&format!(
                " The escrow package of {:?}, from paper.\n",
                key.label
            ));
            let mut wrapped = Vec::with_capacity(len);
            for row in 1..=package::row_count(len) {
                wrapped.extend(self.type_row(row)?);
            }
            wrapped.truncate(len);
            keys.push(PackedKey {
                label: key.label.clone(),
                spec: key.spec.name().to_owned(),
                bits: None,
                kcv: None,
                fingerprint: String::new(),
                public_key: None,
                wrapping: crate::crypto::escrow::KeyWrap::of(spec),
                wrapped,
            });
        }
        Ok(Package {
            ceremony: String::new(),
            keys,
        })
    }

    fn type_row(&mut self, row: usize) -> Result<Vec<u8>> {
        loop {
            let typed = self.ask(&format!(
                " Row {row}, 16 hex digits and the 4 of its check: "
            ))?;
            let typed = typed.ok_or_else(|| Error::usage("nobody is there to type the package"))?;
            match package::read_row(row, &typed) {
                Ok(bytes) => return Ok(bytes),
                Err(why) => self.desk.say(&format!(
                    " {}. Type the row again.\n",
                    crate::ground::words::capitalised(&why)
                )),
            }
        }
    }

    /// Takes shares until there are enough and they agree.
    pub(super) fn collect_quorum(&mut self) -> Result<Quorum> {
        let (quorum, strangers) = match self.recover_plan()?.shares.clone() {
            ShareSource::Files(directory) => self.read_quorum(&directory)?,
            ShareSource::Typed => {
                let typed = self.type_quorum();
                self.desk.wipe(); // the last custodian's words, however it ended
                (typed?, Vec::new())
            }
        };
        for name in &quorum.dissenters {
            self.note(&format!(
                "{name} is not one of the shares that were dealt: it agrees with no other"
            ))?;
        }
        if !quorum.unjudged.is_empty() {
            self.note(&format!(
                "at least one of these was not dealt, and nothing says which, because their group gives something else than the rest: {}",
                quorum.unjudged.join(", ")
            ))?;
        }
        self.ledger.append(transcript::QuorumMet {
            shares: quorum.names.clone(),
            dissenting: [quorum.dissenters.clone(), strangers].concat(),
        })?;
        Ok(quorum)
    }

    /// The shares in the files of a directory, and the files that are put aside because the record does not know
    /// them.
    fn read_quorum(&mut self, directory: &Path) -> Result<(Quorum, Vec<String>)> {
        let (shares, strangers) = self.read_shares(directory)?;
        if !strangers.is_empty() && !shares.is_enough() {
            let left = shares.names().len();
            return Err(Error::mismatch(format!("{}: {STRANGER}", strangers.join(", ")))
                .check("SHARE")
                .hint(format!("without it {left} of the shares that were dealt are here, which is not enough"))
                .hint(self.still_to_bring(&shares))
                .hint("shares, package and `previous` must be from one ceremony: compare the ids on the forms"));
        }
        for name in &strangers {
            self.note(&format!("{name} was put aside: {STRANGER}"))?;
        }
        self.desk.go_on()?;
        match shares.validate() {
            Err(few) if !shares.is_enough() => Err(few.hint(self.still_to_bring(&shares))),
            quorum => Ok((quorum?, strangers)),
        }
    }

    fn read_shares(&mut self, directory: &Path) -> Result<(UntrustedShares, Vec<String>)> {
        let (mut shares, mut strangers) = (UntrustedShares::default(), Vec::new());
        for path in share_files(directory)? {
            self.desk.go_on()?;
            let unfit = |why: String| {
                Error::mismatch(format!("the share file {}: {why}", path.display())).check("SHARE")
            };
            let typed = escrow::read_share_file(&path)?;
            let file = super::file_name(&path);
            let share = match Share::as_dealt(&typed) {
                Err(why) if why.is_mistyped() => return Err(unfit(why.told())),
                _ if self.is_stranger(&typed) => {
                    strangers.push(file);
                    continue;
                }
                share => share.map_err(|why| unfit(why.told()))?,
            };
            let name = self.name_of(&typed, &file);
            let taken = shares.add(&name, share);
            taken.map_err(|why| {
                unfit(refused(&why))
                    .hint("no record here knows the shares: the ceremony ids on the forms tell which of the two does not belong")
            })?;
            self.used(&name, &name, &typed)?;
        }
        Ok((shares, strangers))
    }

    /// The shares that the ceremony of the package dealt, as far as a record names them.
    fn known_shares(&self) -> &[KnownShare] {
        self.previous()
            .map_or(&[], |previous| previous.dealt_by(&self.basis.escrow_of))
    }

    /// Whose shares are enough, as far as a record says.
    fn known_policy(&self) -> Option<&Policy> {
        self.previous()?.policy_of(&self.basis.escrow_of)
    }

    /// How far these shares are from a quorum, as far as the record or they themselves say it.
    fn standing(&self, shares: &UntrustedShares) -> Option<Standing> {
        let recorded = self.known_policy();
        let recorded = recorded.map(|policy| policy.standing(|group| shares.brought(group)));
        recorded.or_else(|| shares.standing())
    }

    /// What is still needed, for people.
    pub(super) fn still_needed(&self, shares: &UntrustedShares) -> Option<String> {
        Some(self.standing(shares)?.told())
    }

    /// Whose shares could come next, as far as a record says: those of groups that are complete are not needed.
    pub(super) fn not_yet_brought(&self, shares: &UntrustedShares) -> String {
        let taken = shares.names();
        let (Some(policy), Some(standing)) = (self.known_policy(), self.standing(shares)) else {
            return String::new();
        };
        policy.names_where(|place| {
            let group = standing.groups.get(usize::from(place.group));
            !taken.contains(&place.custodian) && !group.is_some_and(Counted::is_complete)
        })
    }

    /// Who got a share, as far as a record says.
    pub(super) fn known_custodians(&self) -> impl Iterator<Item = &str> {
        let dealt = self.known_shares().iter();
        dealt.map(|share| share.custodian.as_str())
    }

    /// The same as a hint.
    fn still_to_bring(&self, shares: &UntrustedShares) -> String {
        let missing = match self.still_needed(shares) {
            Some(missing) => format!("still needed: {missing}"),
            None => "shares are still needed".to_owned(),
        };
        match self.not_yet_brought(shares).as_str() {
            "" => missing,
            names => format!("{missing}; not here yet: {names}"),
        }
    }

    /// Whether the record knows all shares, and this is not one of them.
    pub(super) fn is_stranger(&self, share: &Words) -> bool {
        !self.known_shares().is_empty() && self.dealt(share).is_none()
    }

    /// Whether the record says whose share this is.
    pub(super) fn is_dealt(&self, share: &Words) -> bool {
        self.dealt(share).is_some()
    }

    /// What the record says about this share.
    fn dealt(&self, share: &Words) -> Option<&KnownShare> {
        let sha256 = words::hex(&share_digest(&self.basis.escrow_of, share));
        let mut known = self.known_shares().iter();
        known.find(|known| known.sha256 == sha256)
    }

    /// The custodian that the record names for this share, otherwise who brought it.
    pub(super) fn name_of(&self, typed: &Words, brought_by: &str) -> String {
        self.dealt(typed)
            .map_or_else(|| brought_by.to_owned(), |share| share.custodian.clone())
    }

    pub(super) fn used(&mut self, name: &str, brought_by: &str, typed: &Words) -> Result<()> {
        let dealt = self
            .dealt(typed)
            .map(|dealt| (dealt.number, dealt.sha256.clone()));
        self.ledger.append(ShareUsed {
            custodian: name.to_owned(),
            brought_by: (brought_by != name).then(|| brought_by.to_owned()),
            share: dealt.as_ref().map(|(number, _)| *number),
            share_sha256: dealt.map(|(_, sha256)| sha256),
        })
    }
}

/// The share files of a directory, in the order of their names.
///
/// # Errors
/// Exit 2 if there are none, or more than a set can have.
pub(crate) fn share_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot =
        |e: std::io::Error| Error::usage(format!("the shares in {}: {e}", directory.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(cannot)? {
        paths.push(entry.map_err(cannot)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    match paths.len() {
        0 => Err(Error::usage(format!(
            "there are no share files (*.txt) in {}",
            directory.display()
        ))
        .hint("put the share files of a quorum there before the ceremony")),
        1..=MOST_FILES => Ok(paths),
        many => Err(Error::usage(format!(
            "there are {many} files (*.txt) in {}, and a set has at most {MOST_IN_ALL} shares",
            directory.display()
        ))
        .hint("let shares name a directory that holds the share files and nothing else")),
    }
}

/// Why a share is not taken, for people.
pub(super) fn refused(why: &Refused) -> String {
    match why {
        Refused::OtherSet { than } => {
            format!("this share is from a different set than that of {than}; it was not taken")
        }
        Refused::Repeated { by } => {
            format!("this very share was given before, by {by}; it was not taken")
        }
        Refused::Contradicts { by } => format!(
            "{by} gave a different share with the same number, and only one of the two was dealt; it was not taken"
        ),
    }
}
