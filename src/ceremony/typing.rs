//! Shares typed by custodians, one after the other. What is good stays, whatever comes after it; nobody's
//! words stay on the screen.

use super::shares::{STRANGER, refused};
use super::{Ceremony, Error, Result, screens, words};
use crate::crypto::escrow::slip39::{
    self,
    words::{Words, number_of},
};
use crate::crypto::escrow::slip39::{NotAShare, Share};
use crate::crypto::escrow::{Quorum, SHARE_WORDS, UntrustedShares};
use crate::ground::error::Exit;

/// The words with which a share begins: those that all shares of a set have in common, and those that tell them apart.
const BEGINNING: usize = 4;

/// The longest name of who brings a share, in characters, as in a plan.
const LONGEST_NAME: usize = 40;

/// What a share that was taken begins with, and whose it is.
struct Beginning {
    of: String,
    words: [u16; BEGINNING],
}

/// Who types a share now, and what is known before.
pub(super) struct Typist<'a> {
    pub(super) custodian: &'a str,
    begun: &'a [Beginning],
    /// The lines that say what is good so far and what is needed.
    pub(super) so_far: String,
}

/// A word, or what was typed instead of one.
pub(super) enum Typed {
    Word(u16),
    Back,
    Aside,
}

/// What came of the question which row is wrong.
pub(super) enum Corrected {
    /// This row was typed again.
    Row(usize),
    /// This row and all after it are to be typed again.
    From(usize),
    /// Nothing: the share is put aside.
    Aside,
}

/// What came of one custodian's turn.
enum Brought {
    Share(Words),
    Aside,
    /// The name was wrong, and no word was typed.
    Nothing,
}

impl Ceremony<'_> {
    /// Takes shares until there are enough and they agree.
    pub(super) fn type_quorum(&mut self) -> Result<Quorum> {
        let mut shares = UntrustedShares::default();
        let mut begun: Vec<Beginning> = Vec::new();
        loop {
            if shares.is_enough() {
                match shares.validate() {
                    Err(error) if error.exit == Exit::Mismatch => self.desk.say(
                        "\n These shares are from one set, but together they give no escrow key: at least\n \
                         one of them is not what was dealt. Nothing is lost. Take the share of another\n \
                         custodian too; or put one aside: type the name of who brought it.\n",
                    ),
                    done => return done,
                }
            }
            let custodian = self.ask_who(&shares)?;
            if shares.names().contains(&custodian.as_str()) {
                if self.is_put_aside(&custodian)? {
                    shares.remove(&custodian);
                    begun.retain(|begun| begun.of != custodian);
                }
                continue;
            }
            let typist = Typist {
                custodian: &custodian,
                begun: &begun,
                so_far: self.so_far(&shares, " Nothing is lost.   "),
            };
            let brought = self.type_share(&typist)?;
            self.desk.wipe();
            let typed = match brought {
                Brought::Share(typed) => typed,
                Brought::Aside => {
                    self.put_aside(&custodian)?;
                    continue;
                }
                Brought::Nothing => continue,
            };
            match self.take(&mut shares, &custodian, &typed) {
                Ok(name) => {
                    // else nobody knows whose it is
                    if self.is_dealt(&typed) && !self.may_be_typed_by(&name, &custodian)? {
                        shares.remove(&name);
                        self.put_aside(&custodian)?;
                        continue;
                    }
                    self.used(&name, &custodian, &typed)?;
                    begun.push(Beginning {
                        words: beginning(&typed),
                        of: name,
                    });
                }
                Err(why) => {
                    let said = screens::fold(&format!("{custodian}: {why}."), " ");
                    self.desk.say(&said);
                }
            }
        }
    }

    /// Takes a share under the name of whom it was dealt to, or says why not.
    fn take(
        &self,
        shares: &mut UntrustedShares,
        custodian: &str,
        typed: &Words,
    ) -> std::result::Result<String, String> {
        if self.is_stranger(typed) {
            return Err(format!("{STRANGER}; it was not taken"));
        }
        let share =
            Share::as_dealt(typed).map_err(|why| format!("{}; it was not taken", why.told()))?;
        let name = self.name_of(typed, custodian);
        shares.add(&name, share).map_err(|why| refused(&why))?;
        Ok(name)
    }

    /// Whom the previous record names; a deputy may bring a share too.
    fn dealt_to(&self) -> Option<String> {
        let names = self.not_yet_brought(&UntrustedShares::default());
        let told = format!("The record says who got a share: {names}.");
        (!names.is_empty()).then(|| screens::fold(&told, " "))
    }

    fn ask_who(&mut self, shares: &UntrustedShares) -> Result<String> {
        if shares.names().is_empty()
            && let Some(told) = self.dealt_to()
        {
            self.desk.say(&format!("\n{told}"));
        }
        let said = format!("\n{}{}", self.so_far(shares, " "), self.could_bring(shares));
        self.desk.say(&said);
        let mut typed = self.ask_name(" Which custodian types a share now? Name: ")?;
        loop {
            if let Some(known) = self.known_as(&typed) {
                return Ok(known);
            }
            let known: Vec<&str> = self.known_custodians().collect();
            let told = format!("The record knows no {typed}: {}.", known.join(", "));
            self.desk.say(&screens::fold(&told, " "));
            let again =
                self.ask_name(" Type the name again, or yes if somebody else brings a share: ")?;
            match again.eq_ignore_ascii_case("yes") {
                true => return Ok(typed),
                false => typed = again,
            }
        }
    }

    /// A custodian as the record writes the name, or who sits in a custodian's seat; every name if no record knows the
    /// shares.
    fn known_as(&self, typed: &str) -> Option<String> {
        if self.known_custodians().next().is_none() {
            return Some(typed.to_owned());
        }
        let mut known = self.known_custodians().chain(self.custodians_here());
        let known = known.find(|name| name.to_lowercase() == typed.to_lowercase());
        known.map(str::to_owned)
    }

    fn ask_name(&mut self, question: &str) -> Result<String> {
        loop {
            let name = self.ask(question)?;
            let name = name.ok_or_else(|| Error::usage("nobody is there to type shares"))?;
            if !words::is_printable(&name) {
                self.desk.say(screens::UNPRINTABLE);
            } else if name.chars().count() > LONGEST_NAME {
                let said = format!(" A name has at most {LONGEST_NAME} characters.\n");
                self.desk.say(&said);
            } else if name.is_empty() {
                self.desk
                    .say(" Nothing was typed: a custodian's name is needed.\n");
            } else {
                return Ok(name);
            }
        }
    }

    /// Which shares are good and how many are missing, with a text before the first of the two lines.
    fn so_far(&self, shares: &UntrustedShares, before: &str) -> String {
        let names = shares.names();
        let good = match names[..] {
            [] => "none yet".to_owned(),
            _ => names.join(", "),
        };
        let needed = self.still_needed(shares);
        let needed = needed.unwrap_or_else(|| "not known before the first".to_owned());
        so_far_line(before, "good so far", &good)
            + &so_far_line(&" ".repeat(before.len()), "still needed", &needed)
    }

    /// Whose shares could come next; before the first, [`Self::dealt_to`] names them all.
    fn could_bring(&self, shares: &UntrustedShares) -> String {
        match self.not_yet_brought(shares).as_str() {
            names if !names.is_empty() && !shares.names().is_empty() => {
                so_far_line(" ", "could bring", names)
            }
            _ => String::new(),
        }
    }

    /// A share that was good by itself may still have to go: it may be from a different set than all others.
    fn is_put_aside(&mut self, custodian: &str) -> Result<bool> {
        let said = format!("The share of {custodian} was typed already, and it is a share.");
        self.desk.say(&screens::fold(&said, " "));
        loop {
            let aside = self.ask(" Type aside to put it aside, Enter to keep it: ")?;
            match aside.unwrap_or_default().to_ascii_lowercase().as_str() {
                "aside" => break,
                "" => return Ok(false),
                _ => self.desk.say(" That was neither.\n"),
            }
        }
        self.put_aside(custodian)?;
        Ok(true)
    }

    fn put_aside(&mut self, custodian: &str) -> Result<()> {
        self.note(&format!("the share of {custodian} was put aside"))
    }

    /// All words of one share. A word that is not in the list is named at once, a
    /// share from a different set or a repeated one at row 4, a mistyped word by its row.
    fn type_share(&mut self, typist: &Typist) -> Result<Brought> {
        let who = self.with_name(typist.custodian);
        let who = format!("{who}: type your 33 words, one word a line.");
        self.desk.say(&format!(
            "\n{} Everyone else: turn away. Four letters of a word are enough.\n \
             back = the row before, at row 1 another name\n \
             aside = put this share aside, take another custodian\n \
             note = tell the auditor something (no share words)   stop = end the ceremony\n",
            screens::fold(&who, " ")
        ));
        let mut typed = Words::blank(SHARE_WORDS)?;
        let mut row = 1;
        loop {
            while row <= SHARE_WORDS {
                match self.ask_share_word(typist.custodian, row)? {
                    Typed::Aside => return Ok(Brought::Aside),
                    Typed::Back if row == 1 => return Ok(Brought::Nothing),
                    Typed::Back => {
                        row -= 1;
                        self.desk.say(&screens::goes_on_at(row));
                    }
                    Typed::Word(number) => {
                        typed.set(row - 1, number);
                        let begins_well = row != BEGINNING || self.begins_well(typist, &typed);
                        row = if begins_well { row + 1 } else { 1 };
                    }
                }
            }
            let Some(why) = Share::from_words(&typed)
                .err()
                .filter(NotAShare::is_mistyped)
            else {
                return Ok(Brought::Share(typed));
            };
            match self.type_row_again(typist, &mut typed, &why)? {
                Corrected::Aside => return Ok(Brought::Aside),
                Corrected::From(from) => {
                    row = from;
                    self.desk.say(&screens::goes_on_at(row));
                }
                Corrected::Row(1..=BEGINNING) if !self.begins_well(typist, &typed) => row = 1,
                Corrected::Row(_) => {} // the others stay as they are
            }
        }
    }

    pub(super) fn ask_share_word(&mut self, custodian: &str, row: usize) -> Result<Typed> {
        loop {
            let question = screens::asked_of(custodian, &screens::row_asked(row));
            let word = self.ask_for_word(&question)?;
            let word = word.ok_or_else(|| Error::usage("nobody is there to type shares"))?;
            let word = word.trim_ascii();
            if word.eq_ignore_ascii_case(b"aside") {
                return Ok(Typed::Aside);
            }
            if word.eq_ignore_ascii_case(b"back") {
                return Ok(Typed::Back);
            }
            if let Some(number) = number_of(word) {
                return Ok(Typed::Word(number));
            }
            let several = screens::several_words(word, row);
            self.desk.say(&several.unwrap_or_else(|| {
                format!(" Row {row}: that is not in the word list; look at the form again.\n")
            }));
        }
    }

    fn begins_well(&mut self, typist: &Typist, typed: &Words) -> bool {
        let Typist {
            custodian, begun, ..
        } = typist;
        let beginning = beginning(typed);
        let common = begun.first().and_then(|first| {
            let common = slip39::words_in_common(first.words);
            (0..common).find(|at| beginning[*at] != first.words[*at])
        });
        let same = begun.iter().find(|before| before.words == beginning);
        let why = match (common, same) {
            (Some(at), _) => format!(
                "the word of row {} differs from that of the shares before. Either it was mistyped, or this form is from another ceremony: compare the ceremony ids on the forms.",
                at + 1
            ),
            (None, Some(before)) => {
                let own = match slip39::words_in_common(beginning) {
                    3 => "this word 4",
                    _ => "these words 3 and 4",
                };
                let of = &before.of;
                format!("{of} typed a share with {own} already. Is this your own form?")
            }
            (None, None) => return true,
        };
        let said = format!("{custodian}: {why} Type it again from row 1, or aside.");
        self.desk.say(&screens::fold(&said, " "));
        false
    }
}

fn beginning(typed: &Words) -> [u16; BEGINNING] {
    std::array::from_fn(|at| typed.number(at))
}

/// One such line, folded below its value.
pub(super) fn so_far_line(before: &str, name: &str, value: &str) -> String {
    let indent = match before {
        "" => " ".repeat(" Nothing is lost.   ".len()),
        before => before.to_owned(),
    };
    let folded = screens::fold(value, &" ".repeat(indent.len() + 14));
    format!("{indent}{name:<14}{}", folded.trim_start())
}
