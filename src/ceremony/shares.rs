//! Shares and package coming back: from files, or typed by custodians, one at a time.

use std::fs;
use std::path::Path;

use super::{Ceremony, Error, Result, words};
use crate::escrow::package::{self, LONGEST_TYPED};
use crate::escrow::slip39::words::{Words, number_of};
use crate::escrow::slip39::{NotAShare, Share};
use crate::escrow::{
    self, Package, PackedKey, Quorum, Refused, SHARE_WORDS, UntrustedShares, share_digest,
};
use crate::plan::{PackageSource, RecoverPlan, ShareSource};
use crate::previous::read_package_file;
use crate::transcript::{Event, ShareUsed};

/// The words that all shares of a set begin with, and the one that tells them apart.
const COMMON: usize = 3;

impl Ceremony<'_> {
    fn recover_plan(&self) -> Result<&RecoverPlan> {
        self.plan
            .recover
            .as_ref()
            .ok_or_else(|| Error::usage("the plan has no [recover]"))
    }

    /// The escrow package from where the plan says.
    pub(super) fn escrow_package(&mut self) -> Result<Package> {
        match self.recover_plan()?.package.clone() {
            PackageSource::File(path) => read_package_file(&path),
            PackageSource::Typed => self.type_package(),
            PackageSource::Record => self
                .previous
                .as_ref()
                .and_then(|previous| previous.package.clone())
                .ok_or_else(|| {
                    Error::mismatch("the previous record holds no escrow package")
                        .check("ESCROW-PACKAGE")
                        .hint("an older record of this data key may: set package in [recover] to its escrow-package.json")
                }),
        }
    }

    /// Row by row from the printed text; each row has a check of its own.
    fn type_package(&mut self) -> Result<Package> {
        let plan = self.plan;
        let mut keys = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            let len = key.spec.bytes() + 8;
            if len > LONGEST_TYPED {
                return Err(Error::usage(format!(
                    "the package of {:?} is too long to be typed",
                    key.label
                )));
            }
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
                kcv: String::new(),
                fingerprint: String::new(),
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
            let typed = self.operator.ask(&format!(
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
        let shares = match self.recover_plan()?.shares.clone() {
            ShareSource::Files(directory) => self.read_shares(&directory)?,
            ShareSource::Typed => self.type_shares()?,
        };
        let quorum = shares.validate()?;
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
                    spoken(&why)
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
            self.used(&name, &typed)?;
        }
        Ok(shares)
    }

    /// One custodian after the other. What is good stays, whatever comes after it.
    fn type_shares(&mut self) -> Result<UntrustedShares> {
        let mut shares = UntrustedShares::default();
        let mut common: Option<[u16; COMMON]> = None;
        let mut fourth_words = Vec::new();
        while shares.missing() != Some(0) {
            self.tell_progress(&shares);
            let custodian = self
                .operator
                .ask(" Which custodian types a share now? Name: ")?;
            let custodian =
                custodian.ok_or_else(|| Error::usage("nobody is there to type shares"))?;
            if custodian.is_empty() {
                continue;
            }
            let custodian = words::printable(&custodian);
            let Some(typed) = self.type_share(&custodian, common, &fourth_words)? else {
                self.note(&format!("the share of {custodian} was put aside"))?;
                continue;
            };
            let share = match Share::from_words(&typed) {
                Ok(share) => share,
                Err(why) => {
                    self.operator
                        .say(&format!(" {custodian}: {}.\n", spoken(&why)));
                    continue;
                }
            };
            let name = self.name_of(&typed, &custodian);
            match shares.add(&name, share) {
                Ok(()) => {
                    common.get_or_insert(std::array::from_fn(|at| typed.number(at)));
                    fourth_words.push(typed.number(COMMON));
                    self.used(&name, &typed)?;
                }
                Err(why) => self
                    .operator
                    .say(&format!(" {custodian}: {}.\n", refused(&why))),
            }
            self.operator.wipe();
        }
        Ok(shares)
    }

    fn tell_progress(&mut self, shares: &UntrustedShares) {
        let names = shares.names();
        let good = if names.is_empty() {
            "none yet".to_owned()
        } else {
            names.join(", ")
        };
        let missing = shares
            .missing()
            .map_or("not known before the first".to_owned(), |missing| {
                missing.to_string()
            });
        self.operator.say(&format!(
            "\n good so far   {good}\n still needed  {missing}\n"
        ));
    }

    /// All words of one share; `None`: put aside. A word that is not in the list is named at once, a
    /// share of another set or a repeated one at word 4, a mistyped word by its row.
    fn type_share(
        &mut self,
        custodian: &str,
        common: Option<[u16; COMMON]>,
        fourth_words: &[u16],
    ) -> Result<Option<Words>> {
        self.operator.say(&format!(
            "\n {custodian}: type your 33 words, a row at a time; four letters of a word are\n \
             enough. back = the row before, aside = another custodian first.\n"
        ));
        let mut typed = Words::blank(SHARE_WORDS)?;
        let mut row = 1;
        loop {
            while row <= SHARE_WORDS {
                let question = format!(" {custodian}, word {row:>2} of 33: ");
                let Some(word) = self.operator.ask_word(&question)? else {
                    return Err(Error::usage("nobody is there to type shares"));
                };
                match &word[..] {
                    b"aside" => return Ok(None),
                    b"back" => row = row.saturating_sub(1).max(1),
                    word => match number_of(word) {
                        None => self.operator.say(&format!(
                            " Row {row}: that is not a word of the list; look again.\n"
                        )),
                        Some(number) => {
                            typed.set(row - 1, number);
                            row += 1;
                        }
                    },
                }
                if row == COMMON + 2 && !self.begins_well(custodian, &typed, common, fourth_words) {
                    row = 1;
                }
            }
            let Err(why) = Share::from_words(&typed) else {
                return Ok(Some(typed));
            };
            match self.row_to_type_again(custodian, &why)? {
                Some(again) => row = again,
                None => return Ok(None),
            }
            // Only this row is typed anew; the others stay as they are.
            let question = format!(" {custodian}, word {row:>2} of 33: ");
            if let Some(number) = self
                .operator
                .ask_word(&question)?
                .and_then(|word| number_of(&word))
            {
                typed.set(row - 1, number);
            }
            row = SHARE_WORDS + 1;
        }
    }

    fn begins_well(
        &mut self,
        custodian: &str,
        typed: &Words,
        common: Option<[u16; COMMON]>,
        fourth_words: &[u16],
    ) -> bool {
        if let Some(common) = common
            && let Some(at) = (0..COMMON).find(|at| typed.number(*at) != common[*at])
        {
            self.operator.say(&format!(
                " {custodian}: word {} is not that of the shares before. Either row {} was\n \
                 mistyped, or this form is of another escrow. Type it again from row 1.\n",
                at + 1,
                at + 1
            ));
            return false;
        }
        if fourth_words.contains(&typed.number(COMMON)) {
            self.operator.say(&format!(
                " {custodian}: a share with this word 4 was typed already. Is this your own\n form? Type it again from row 1, or aside.\n"
            ));
            return false;
        }
        true
    }

    /// Which row to look at; `None`: put aside.
    fn row_to_type_again(&mut self, custodian: &str, why: &NotAShare) -> Result<Option<usize>> {
        self.operator.say(&format!(
            "\n All 33 words are in the list, but together they do not make a share.\n {}.\n",
            super::capitalised(&spoken(why))
        ));
        loop {
            let question = format!(
                " {custodian}: which row do you type again? (a number, or aside to take another\n custodian): "
            );
            let answer = self.operator.ask(&question)?.unwrap_or_default();
            if answer == "aside" {
                return Ok(None);
            }
            if let Ok(row @ 1..=SHARE_WORDS) = answer.parse::<usize>() {
                return Ok(Some(row));
            }
        }
    }

    /// The custodian that the previous record names for this share, else who brought it.
    fn name_of(&self, typed: &Words, brought_by: &str) -> String {
        let known = self.previous.as_ref().and_then(|previous| {
            previous.custodian_of(&words::hex(&share_digest(&previous.ceremony, typed)))
        });
        known.map_or_else(|| brought_by.to_owned(), |share| share.custodian.clone())
    }

    fn used(&mut self, name: &str, typed: &Words) -> Result<()> {
        let dealt = self.previous.as_ref().and_then(|previous| {
            let sha256 = words::hex(&share_digest(&previous.ceremony, typed));
            previous
                .custodian_of(&sha256)
                .map(|share| (share.number, sha256))
        });
        self.record.transcript.append(&Event::ShareUsed(ShareUsed {
            custodian: name.to_owned(),
            share: dealt.as_ref().map(|(number, _)| *number),
            share_sha256: dealt.map(|(_, sha256)| sha256),
        }))
    }
}

/// Why words are no share, for people; the right word is never guessed for them.
pub(crate) fn spoken(why: &NotAShare) -> String {
    let rows = |rows: &[usize]| {
        rows.iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(" or ")
    };
    match why {
        NotAShare::Checksum { changed, exchanged } if !exchanged.is_empty() => {
            let pair = exchanged[0];
            let other = if changed.is_empty() {
                String::new()
            } else {
                format!(", or one wrong word in row {}", rows(changed))
            };
            format!(
                "rows {pair} and {} exchanged would explain it{other}",
                pair + 1
            )
        }
        NotAShare::Checksum { changed, .. } if !changed.is_empty() => {
            format!(
                "exactly one wrong word would explain it, in row {}: look at it letter by letter",
                rows(changed)
            )
        }
        NotAShare::Checksum { .. } => {
            "more than one word is wrong: compare every row with the form".into()
        }
        NotAShare::Length => "the number of words is that of no share".into(),
        NotAShare::Padding | NotAShare::Groups => {
            "the words are of no share that byok deals".into()
        }
        NotAShare::Memory => "there is no locked memory for it".into(),
    }
}

pub(crate) fn refused(why: &Refused) -> String {
    match why {
        Refused::OtherSet => {
            "this share is of another set than those before; it was not taken".into()
        }
        Refused::Repeated { by } => {
            format!("this very share was given before, by {by}; it was not taken")
        }
    }
}
