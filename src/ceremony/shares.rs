//! Shares and package coming back: the shares from files, or [typed](super::typing) by custodians.

use std::fs;
use std::path::Path;

use super::{Ceremony, Error, Result, recover, screens, words};
use crate::escrow::package;
use crate::escrow::slip39::Share;
use crate::escrow::slip39::words::Words;
use crate::escrow::{self, Package, PackedKey, Quorum, Refused, UntrustedShares, share_digest};
use crate::plan::{PackageSource, RecoverPlan, ShareSource};
use crate::previous::KnownShare;
use crate::transcript::{Event, ShareUsed};

pub(super) const STRANGER: &str = "it is none of those that the previous record dealt";

impl Ceremony<'_> {
    fn recover_plan(&self) -> Result<&RecoverPlan> {
        self.plan
            .recover
            .as_ref()
            .ok_or_else(|| Error::usage("the plan has no [recover]"))
    }

    /// The escrow package from where the plan says.
    pub(super) fn escrow_package(&mut self) -> Result<Package> {
        let source = self.recover_plan()?.package.clone();
        match recover::package_at_hand(&source, self.previous)? {
            Some(package) => Ok(package),
            None => self.type_package(),
        }
    }

    /// Row by row from the printed text; each row has a check of its own.
    fn type_package(&mut self) -> Result<Package> {
        let plan = self.plan;
        let mut keys = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            let spec = self.expected(key)?.spec;
            let typed = spec.secret_len().filter(|_| package::can_be_typed(spec));
            let len = typed.map(crate::wrapping::kwp_len).ok_or_else(|| {
                Error::usage(format!(
                    "the package of {:?} is too long to be typed",
                    key.label
                ))
            })?;
            self.operator.say(&format!(
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
                wrapping: crate::escrow::KeyWrap::of(spec),
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
                Err(why) => self.operator.say(&format!(
                    " {}. Type the row again.\n",
                    super::capitalised(&why)
                )),
            }
        }
    }

    /// Shares until they are enough and agree.
    pub(super) fn collect_quorum(&mut self) -> Result<Quorum> {
        let quorum = match self.recover_plan()?.shares.clone() {
            ShareSource::Files(directory) => {
                let shares = self.read_shares(&directory)?;
                let quorum = shares.validate()?;
                self.refuse_strangers(&shares, &quorum)?;
                quorum
            }
            ShareSource::Typed => {
                let typed = self.type_quorum();
                self.operator.wipe(); // the last custodian's words, however it ended
                typed?
            }
        };
        for name in &quorum.dissenters {
            self.note(&format!(
                "{name} is not one of the shares that were dealt: it agrees with no other"
            ))?;
        }
        self.record.transcript.append(&Event::QuorumMet {
            shares: quorum.names.clone(),
            dissenting: quorum.dissenters.clone(),
        })?;
        Ok(quorum)
    }

    /// Whether shares must be those that the previous record dealt: the package is that record's too.
    fn knows_shares(&self) -> bool {
        let of_record = |recover: &RecoverPlan| recover.package == PackageSource::Record;
        self.plan.recover.as_ref().is_some_and(of_record)
            && self
                .previous
                .as_ref()
                .is_some_and(|previous| !previous.dealt.is_empty())
    }

    pub(super) fn is_stranger(&self, share: &Words) -> bool {
        self.knows_shares() && self.dealt(share).is_none()
    }

    /// A quorum of another escrow opens nothing here; better said by name than by the HSM.
    fn refuse_strangers(&self, shares: &UntrustedShares, quorum: &Quorum) -> Result<()> {
        for (name, share) in shares.each() {
            let counts = quorum.names.iter().any(|of_quorum| of_quorum == name);
            if counts && self.is_stranger(&share.words()?) {
                return Err(Error::mismatch(format!("the share {name}: {STRANGER}"))
                    .check("SHARE")
                    .hint("shares, package and `previous` must be of one ceremony: compare the ids on the forms"));
            }
        }
        Ok(())
    }

    fn read_shares(&mut self, directory: &Path) -> Result<UntrustedShares> {
        let cannot =
            |e: std::io::Error| Error::usage(format!("the shares in {}: {e}", directory.display()));
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(cannot)? {
            paths.push(entry.map_err(cannot)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        if paths.is_empty() {
            return Err(Error::usage(format!(
                "there are no share files (*.txt) in {}",
                directory.display()
            )));
        }
        let mut shares = UntrustedShares::default();
        for path in paths {
            let typed = escrow::read_share_file(&path)?;
            let name = self.name_of(&typed, &super::file_name(&path));
            let share = Share::from_words(&typed).map_err(|why| {
                Error::mismatch(format!(
                    "the share file {}: {}",
                    path.display(),
                    screens::suspects(&why)
                ))
                .check("SHARE")
            })?;
            let taken = shares.add(&name, share);
            taken.map_err(|why| {
                Error::mismatch(format!(
                    "the share file {}: {}",
                    path.display(),
                    refused(&why)
                ))
                .check("SHARE")
            })?;
            self.used(&name, &name, &typed)?;
        }
        Ok(shares)
    }

    /// What the previous record says of this share.
    fn dealt(&self, share: &Words) -> Option<&KnownShare> {
        let previous = self.previous.as_ref()?;
        previous.custodian_of(&words::hex(&share_digest(&previous.ceremony, share)))
    }

    /// The custodian that the previous record names for this share, else who brought it.
    pub(super) fn name_of(&self, typed: &Words, brought_by: &str) -> String {
        self.dealt(typed)
            .map_or_else(|| brought_by.to_owned(), |share| share.custodian.clone())
    }

    pub(super) fn used(&mut self, name: &str, brought_by: &str, typed: &Words) -> Result<()> {
        let dealt = self
            .dealt(typed)
            .map(|dealt| (dealt.number, dealt.sha256.clone()));
        self.record.transcript.append(&Event::ShareUsed(ShareUsed {
            custodian: name.to_owned(),
            brought_by: (brought_by != name).then(|| brought_by.to_owned()),
            share: dealt.as_ref().map(|(number, _)| *number),
            share_sha256: dealt.map(|(_, sha256)| sha256),
        }))
    }
}

/// Why a share is not taken, for people.
pub(super) fn refused(why: &Refused) -> String {
    match why {
        Refused::OtherSet => {
            "this share is of another set than those before; it was not taken".into()
        }
        Refused::Repeated { by } => {
            format!("this very share was given before, by {by}; it was not taken")
        }
    }
}
