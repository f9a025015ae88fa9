//! All 33 words were typed and make no share: which row to look at, and one row typed again.

use super::typing::{Corrected, Typed, Typist, so_far_line};
use super::{Ceremony, Result, screens};
use crate::ceremony::screens::Again;
use crate::crypto::escrow::SHARE_WORDS;
use crate::crypto::escrow::slip39::NotAShare;
use crate::crypto::escrow::slip39::words::Words;

enum Which {
    Rows(Again),
    Back,
    Aside,
}

impl Ceremony<'_> {
    /// Has one row typed again: the one that the checksum points to, or one that the person names. Or the person says
    /// from which row on to type again. The words that were shown for this are wiped.
    pub(super) fn type_row_again(
        &mut self,
        typist: &Typist,
        typed: &mut Words,
        why: &NotAShare,
    ) -> Result<Corrected> {
        self.show_mistake(typist, typed, why)?;
        let told = screens::one_row(why);
        let mut row = told;
        loop {
            let asked = match row {
                Some(row) => row,
                None => match self.which_row(typist.custodian)? {
                    Which::Rows(Again::Row(row)) => row,
                    Which::Rows(Again::From(row)) => {
                        self.desk.wipe();
                        return Ok(Corrected::From(row));
                    }
                    Which::Aside => return Ok(Corrected::Aside),
                    Which::Back => {
                        row = told;
                        let said = told.map(screens::goes_on_at);
                        self.desk.say(&said.unwrap_or_default());
                        continue;
                    }
                },
            };
            match self.ask_share_word(typist.custodian, asked)? {
                Typed::Aside => return Ok(Corrected::Aside),
                Typed::Back => row = None,
                Typed::Word(number) => {
                    typed.set(asked - 1, number);
                    self.desk.wipe();
                    return Ok(Corrected::Row(asked));
                }
            }
        }
    }

    fn show_mistake(&mut self, typist: &Typist, typed: &Words, why: &NotAShare) -> Result<()> {
        self.desk.wipe();
        let place = screens::place_of("step 7 of 13: shares", typist.custodian);
        let heading = screens::heading(self.basis.rehearsal, &place);
        self.desk.say(&heading);
        let window = self.desk.window();
        let below = below(typist, why);
        let around = window
            .narrowed(&format!("{heading}{below}?"))
            .lines()
            .count();
        let shown = screens::mistyped(typed, why, window, around)?;
        self.desk.show_secret(&shown);
        self.desk.say(&below);
        Ok(())
    }

    fn which_row(&mut self, custodian: &str) -> Result<Which> {
        let custodian = screens::short(custodian);
        let question =
            format!(" {custodian}: which row? A number from 1 to {SHARE_WORDS}, or aside: ");
        loop {
            let answer = self.ask(&question)?.unwrap_or_default();
            match answer.to_ascii_lowercase().as_str() {
                "aside" => return Ok(Which::Aside),
                "back" => return Ok(Which::Back),
                answer => match screens::rows_again(answer) {
                    Ok(rows) => return Ok(Which::Rows(rows)),
                    Err(why) => self.desk.say(&why),
                },
            }
        }
    }
}

/// The lines between the words and the question.
fn below(typist: &Typist, why: &NotAShare) -> String {
    let custodian = typist.custodian;
    let (look, keys) = match screens::one_row(why) {
        Some(row) => (
            format!(
                "{custodian}: look at row {row} on your form, letter by letter, and type it again."
            ),
            "back = edit any row     aside = put this share aside, take another custodian",
        ),
        None => (
            format!("{custodian}: look at your form. Only the row that you name is typed again."),
            "again 12 = type rows 12 to 33 (a row was left out)   aside = another share",
        ),
    };
    let made = "no data key in the HSM; only the transcript";
    format!(
        "\n{}\n{}{} {keys}\n \
         note = record something for the auditor        stop = end the ceremony here\n",
        screens::fold(&look, " "),
        typist.so_far,
        so_far_line("", "made so far", made),
    )
}
