//! Handing a share to one custodian at the screen, and having it typed back.

use super::{Ceremony, Result, screens};
use crate::escrow::SHARE_WORDS;
use crate::escrow::slip39::words::{Words, number_of};
use crate::plan::EscrowPlan;

impl Ceremony<'_> {
    /// Shows the words, wipes them, and takes all of them back. What is returned was typed.
    pub(super) fn hand_out_at_screen(
        &mut self,
        escrow: &EscrowPlan,
        number: u8,
        custodian: &str,
        dealt: &Words,
    ) -> Result<Words> {
        let mut typed = Words::blank(SHARE_WORDS)?;
        let mut row = 1;
        self.show_words(escrow, number, custodian, dealt)?;
        loop {
            while row <= SHARE_WORDS {
                match self.ask_word(custodian, row)? {
                    Asked::Word(word) => {
                        typed.set(row - 1, word);
                        row += 1;
                    }
                    Asked::Again => self.show_words(escrow, number, custodian, dealt)?,
                    Asked::Row(back) => row = back,
                }
            }
            let wrong: Vec<String> = (0..SHARE_WORDS)
                .filter(|at| typed.number(*at) != dealt.number(*at))
                .map(|at| (at + 1).to_string())
                .collect();
            self.operator.wipe();
            if wrong.is_empty() {
                self.operator.say(&format!(
                    " Share {number}, {custodian}: all 33 words came back right.\n"
                ));
                return Ok(typed);
            }
            self.operator.say(&format!(
                " {custodian}: row {} on your form is not what was shown. Look at it letter\n \
                 by letter; type words to see the share again.\n",
                wrong.join(", ")
            ));
            row = wrong.first().and_then(|row| row.parse().ok()).unwrap_or(1);
        }
    }

    fn show_words(
        &mut self,
        escrow: &EscrowPlan,
        number: u8,
        custodian: &str,
        share: &Words,
    ) -> Result<()> {
        let count = escrow.custodians.len();
        self.operator.wipe();
        let question = format!(
            " HAND THE SCREEN TO {custodian}. Everyone else: turn away. No camera on this screen.\n \
             Press Enter when only {custodian} looks: "
        );
        self.operator.ask(&question)?;
        loop {
            self.operator.wipe();
            let screen = screens::share(self.rehearsal, number, count, custodian, share)?;
            self.operator.show_secret(&screen);
            let written = self.operator.ask(" Type written when the form is full: ")?;
            self.operator.wipe();
            if written.is_none_or(|answer| answer == "written") {
                return Ok(());
            }
        }
    }

    fn ask_word(&mut self, custodian: &str, row: usize) -> Result<Asked> {
        loop {
            let question = format!(
                " {custodian}, word {row:>2} of 33 (words shows them again, back goes a row up): "
            );
            let Some(typed) = self.operator.ask_word(&question)? else {
                return Ok(Asked::Again);
            };
            match &typed[..] {
                b"words" => return Ok(Asked::Again),
                b"back" => return Ok(Asked::Row(row.saturating_sub(1).max(1))),
                word => match number_of(word) {
                    Some(number) => return Ok(Asked::Word(number)),
                    None => self.operator.say(&format!(
                        " What you typed for row {row} is not a word of the list; look at the form again.\n"
                    )),
                },
            }
        }
    }
}

enum Asked {
    Word(u16),
    Again,
    Row(usize),
}
