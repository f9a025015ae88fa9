//! Shares and package coming back: from files, or typed by custodians, one at a time.

use std::fs;
use std::path::Path;

use super::{Ceremony, Error, Result, recover, screens, words};
use crate::error::Exit;
use crate::escrow::package::{self, LONGEST_TYPED};
use crate::escrow::slip39::words::{Words, number_of};
use crate::escrow::slip39::{NotAShare, Share};
use crate::escrow::{
    self, Package, PackedKey, Quorum, Refused, SHARE_WORDS, UntrustedShares, share_digest,
};
use crate::plan::{PackageSource, RecoverPlan, ShareSource};
use crate::previous::KnownShare;
use crate::transcript::{Event, ShareUsed};

/// The words that all shares of a set begin with, and the one that tells them apart.
const COMMON: usize = 3;

const STRANGER: &str = "it is none of those that the previous record dealt";

/// What a share that was taken begins with, and whose it is.
struct Beginning {
    of: String,
    words: [u16; COMMON + 1],
}

enum Typed {
    Word(u16),
    Back,
    Aside,
}

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
            let len = self.expected(key)?.bytes + 8;
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

    fn is_stranger(&self, share: &Words) -> bool {
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

    /// One custodian after the other. What is good stays, whatever comes after it; nobody's words stay
    /// on the screen.
    fn type_quorum(&mut self) -> Result<Quorum> {
        let mut shares = UntrustedShares::default();
        let mut begun: Vec<Beginning> = Vec::new();
        loop {
            if shares.missing() == Some(0) {
                match shares.validate() {
                    Err(error) if error.exit == Exit::Mismatch => self.operator.say(
                        "\n These shares are of one set, but together they give no escrow key: at least\n \
                         one of them is not what was dealt. Nothing is lost. Take the share of another\n \
                         custodian too; or put one aside: type the name of who brought it.\n",
                    ),
                    done => return done,
                }
            }
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
            if shares.names().contains(&custodian.as_str()) {
                if self.is_put_aside(&custodian)? {
                    shares.remove(&custodian);
                    begun.retain(|begun| begun.of != custodian);
                }
                continue;
            }
            let typed = self.type_share(&custodian, &begun)?;
            self.operator.wipe();
            let Some(typed) = typed else {
                self.note(&format!("the share of {custodian} was put aside"))?;
                continue;
            };
            if self.is_stranger(&typed) {
                self.operator
                    .say(&format!(" {custodian}: {STRANGER}; it was not taken.\n"));
                continue;
            }
            let taken = Share::from_words(&typed)
                .map_err(|why| spoken(&why))
                .and_then(|share| {
                    let name = self.name_of(&typed, &custodian);
                    let taken = shares.add(&name, share).map_err(|why| refused(&why));
                    taken.map(|()| name)
                });
            match taken {
                Ok(name) => {
                    self.used(&name, &typed)?;
                    begun.push(Beginning {
                        words: std::array::from_fn(|at| typed.number(at)),
                        of: name,
                    });
                }
                Err(why) => self.operator.say(&format!(" {custodian}: {why}.\n")),
            }
        }
    }

    /// A share that was good by itself may still have to go: it may be of another set than all others.
    fn is_put_aside(&mut self, custodian: &str) -> Result<bool> {
        self.operator.say(&format!(
            " The share of {custodian} was typed already, and it is a share.\n"
        ));
        let aside = self
            .operator
            .ask(" Type aside to put it aside, Enter to keep it: ")?;
        if aside.as_deref() != Some("aside") {
            return Ok(false);
        }
        self.note(&format!("the share of {custodian} was put aside"))?;
        Ok(true)
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
    fn type_share(&mut self, custodian: &str, begun: &[Beginning]) -> Result<Option<Words>> {
        self.operator.say(&format!(
            "\n {custodian}: type your 33 words, one a line.\n \
             Four letters of a word are enough. back = the row before, aside = put this\n \
             share aside and take another custodian first.\n"
        ));
        let mut typed = Words::blank(SHARE_WORDS)?;
        let mut row = 1;
        loop {
            while row <= SHARE_WORDS {
                match self.ask_share_word(custodian, row)? {
                    Typed::Aside => return Ok(None),
                    Typed::Back => row = row.saturating_sub(1).max(1),
                    Typed::Word(number) => {
                        typed.set(row - 1, number);
                        let begins_well =
                            row != COMMON + 1 || self.begins_well(custodian, &typed, begun);
                        row = if begins_well { row + 1 } else { 1 };
                    }
                }
            }
            let Err(why) = Share::from_words(&typed) else {
                return Ok(Some(typed));
            };
            let Some(again) = self.row_to_type_again(custodian, &why)? else {
                return Ok(None);
            };
            // Only this row is typed anew; the others stay as they are.
            match self.ask_share_word(custodian, again)? {
                Typed::Aside => return Ok(None),
                Typed::Back => {}
                Typed::Word(number) => {
                    typed.set(again - 1, number);
                    if again <= COMMON + 1 && !self.begins_well(custodian, &typed, begun) {
                        row = 1;
                    }
                }
            }
        }
    }

    fn ask_share_word(&mut self, custodian: &str, row: usize) -> Result<Typed> {
        loop {
            let question = format!(" {custodian}, word {row:>2} of {SHARE_WORDS}: ");
            let word = self.operator.ask_word(&question)?;
            let word = word.ok_or_else(|| Error::usage("nobody is there to type shares"))?;
            match word.trim_ascii() {
                b"aside" => return Ok(Typed::Aside),
                b"back" => return Ok(Typed::Back),
                word => match number_of(word) {
                    Some(number) => return Ok(Typed::Word(number)),
                    None => self.operator.say(&format!(
                        " Row {row}: that is not a word of the list; look at the form again.\n"
                    )),
                },
            }
        }
    }

    fn begins_well(&mut self, custodian: &str, typed: &Words, begun: &[Beginning]) -> bool {
        let common = begun
            .first()
            .and_then(|first| (0..COMMON).find(|at| typed.number(*at) != first.words[*at]));
        if let Some(at) = common {
            self.operator.say(&screens::fold(
                &format!(
                    "{custodian}: word {} is not that of the shares before. Either row {} was mistyped, or this form is of another ceremony: compare the ceremony ids on the forms. Type it again from row 1, or aside.",
                    at + 1,
                    at + 1
                ),
                " ",
            ));
            return false;
        }
        let same = begun
            .iter()
            .find(|before| before.words[COMMON] == typed.number(COMMON));
        if let Some(before) = same {
            self.operator.say(&screens::fold(
                &format!(
                    "{custodian}: {} typed a share with this word 4 already. Is this your own form? Type it again from row 1, or aside.",
                    before.of
                ),
                " ",
            ));
            return false;
        }
        true
    }

    /// Which row to look at; `None`: put aside.
    fn row_to_type_again(&mut self, custodian: &str, why: &NotAShare) -> Result<Option<usize>> {
        let why = super::capitalised(&spoken(why));
        self.operator.wipe();
        self.operator.say(&format!(
            "\n All 33 words are in the list, but together they do not make a share.\n{}\n \
             Nothing is lost. Only the row that you name now is typed again.\n",
            screens::fold(&format!("{why}."), " ")
        ));
        loop {
            let question =
                format!(" {custodian}: which row? A number from 1 to {SHARE_WORDS}, or aside: ");
            let answer = self.operator.ask(&question)?.unwrap_or_default();
            if answer == "aside" {
                return Ok(None);
            }
            if let Ok(row @ 1..=SHARE_WORDS) = answer.parse::<usize>() {
                return Ok(Some(row));
            }
        }
    }

    /// What the previous record says of this share.
    fn dealt(&self, share: &Words) -> Option<&KnownShare> {
        let previous = self.previous.as_ref()?;
        previous.custodian_of(&words::hex(&share_digest(&previous.ceremony, share)))
    }

    /// The custodian that the previous record names for this share, else who brought it.
    fn name_of(&self, typed: &Words, brought_by: &str) -> String {
        self.dealt(typed)
            .map_or_else(|| brought_by.to_owned(), |share| share.custodian.clone())
    }

    fn used(&mut self, name: &str, typed: &Words) -> Result<()> {
        let dealt = self
            .dealt(typed)
            .map(|dealt| (dealt.number, dealt.sha256.clone()));
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
                "exactly one wrong word would explain it, in row {}: compare letter by letter",
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
