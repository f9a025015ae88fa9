//! Handing a share to one custodian at the screen, and having it typed back.

use super::{Ceremony, Result, screens};
use crate::escrow::SHARE_WORDS;
use crate::escrow::slip39::words::{Words, number_of};
use crate::plan::EscrowPlan;

impl Ceremony<'_> {
    /// Shows the words, wipes them, and takes all of them back. What is returned was typed. However it
    /// ends, no word of the share is left on the screen.
    pub(super) fn hand_out_at_screen(
        &mut self,
        escrow: &EscrowPlan,
        number: u8,
        custodian: &str,
        dealt: &Words,
    ) -> Result<Words> {
        let typed = self.show_and_take_back(escrow, number, custodian, dealt);
        self.operator.wipe();
        if typed.is_ok() {
            self.operator.say(&format!(
                "\n Share {number}: all 33 words came back right. {custodian}: fold the form, put it\n \
                 into its envelope, and leave the screen to the next person.\n\n"
            ));
        }
        typed
    }

    fn show_and_take_back(
        &mut self,
        escrow: &EscrowPlan,
        number: u8,
        custodian: &str,
        dealt: &Words,
    ) -> Result<Words> {
        let mut typed = Words::blank(SHARE_WORDS)?;
        let mut to_type: Vec<usize> = (1..=SHARE_WORDS).collect();
        self.show_words(escrow, number, custodian, dealt)?;
        self.ask_for_form(custodian);
        loop {
            let mut at = 0;
            while let Some(row) = to_type.get(at) {
                match self.ask_word(custodian, *row)? {
                    Asked::Word(word) => {
                        typed.set(row - 1, word);
                        at += 1;
                    }
                    Asked::Again => {
                        self.operator.wipe();
                        self.show_words(escrow, number, custodian, dealt)?;
                        self.ask_for_form(custodian);
                    }
                    Asked::Back => at = at.saturating_sub(1),
                }
            }
            to_type = (0..SHARE_WORDS)
                .filter(|at| typed.number(*at) != dealt.number(*at))
                .map(|at| at + 1)
                .collect();
            if to_type.is_empty() {
                return Ok(typed);
            }
            self.operator.wipe();
            self.operator.say(&wrong_rows(custodian, &to_type));
        }
    }

    fn ask_for_form(&mut self, custodian: &str) {
        self.operator.say(&format!(
            " {custodian}: type the words from your form, one a line.\n \
             Four letters of a word are enough. back = the row before, words = see the\n \
             share again.\n"
        ));
    }

    fn show_words(
        &mut self,
        escrow: &EscrowPlan,
        number: u8,
        custodian: &str,
        share: &Words,
    ) -> Result<()> {
        let count = escrow.custodians.len();
        let turn_away =
            format!("HAND THE SCREEN TO {custodian}. Everyone else: turn away, no cameras.");
        self.operator.say(&screens::fold(&turn_away, " "));
        self.operator
            .ask(&format!(" Press Enter when only {custodian} looks: "))?;
        loop {
            self.operator.wipe();
            let screen = screens::share(self.rehearsal, number, count, custodian, share)?;
            self.operator.show_secret(&screen);
            let written = self.operator.ask(" Type written when the form is full: ")?;
            self.operator.wipe();
            if written.is_none_or(|answer| answer.eq_ignore_ascii_case("written")) {
                return Ok(());
            }
        }
    }

    fn ask_word(&mut self, custodian: &str, row: usize) -> Result<Asked> {
        loop {
            let question = format!(" {custodian}, word {row:>2} of {SHARE_WORDS}: ");
            let Some(typed) = self.operator.ask_word(&question)? else {
                return Ok(Asked::Again);
            };
            match typed.trim_ascii() {
                b"words" => return Ok(Asked::Again),
                b"back" => return Ok(Asked::Back),
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

/// Which rows of the form to look at, and to type again.
fn wrong_rows(custodian: &str, rows: &[usize]) -> String {
    let listed: Vec<String> = rows.iter().map(usize::to_string).collect();
    let what = match rows {
        [row] => format!("row {row} is not what was shown"),
        _ => format!("rows {} are not what was shown", listed.join(", ")),
    };
    screens::fold(
        &format!(
            "{custodian}: {what}. Look at the form letter by letter, correct it if need be, and type only what is asked now; words shows the share again."
        ),
        " ",
    )
}

enum Asked {
    Word(u16),
    Again,
    Back,
}
