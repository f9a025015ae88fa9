//! Handing a share to one custodian at the screen, and having it typed back.

use super::{Ceremony, Result, screens};
use crate::crypto::escrow::SHARE_WORDS;
use crate::crypto::escrow::policy::{Place, Policy};
use crate::crypto::escrow::slip39::words::{Words, number_of};
use crate::ground::window::Window;

const WRITTEN: &str = " Type written when the form is full: ";
const NOT_WRITTEN: &str = " Not understood. Type written: ";

/// One share on its way to its custodian.
struct HandOut<'a> {
    policy: &'a Policy,
    place: &'a Place<'a>,
    dealt: &'a Words,
}

impl Ceremony<'_> {
    /// Shows the words, wipes them, and has all of them typed back; returns what was typed. However it
    /// ends, no word of the share is left on the screen.
    pub(super) fn hand_out_at_screen(
        &mut self,
        policy: &Policy,
        place: &Place,
        dealt: &Words,
    ) -> Result<Words> {
        let typed = self.show_and_take_back(&HandOut {
            policy,
            place,
            dealt,
        });
        self.desk.wipe();
        if typed.is_ok() {
            let Place {
                number, custodian, ..
            } = place;
            let said = format!(
                "Share {number}: all 33 words came back right. {custodian}: fold the form, put it into its envelope, and leave the screen to the next person."
            );
            self.desk.say(&format!("\n{}\n", screens::fold(&said, " ")));
        }
        typed
    }

    fn show_and_take_back(&mut self, share: &HandOut) -> Result<Words> {
        let mut typed = Words::blank(SHARE_WORDS)?;
        let mut to_type: Vec<usize> = (1..=SHARE_WORDS).collect();
        self.show_words(share)?;
        loop {
            let mut at = 0;
            while let Some(row) = to_type.get(at) {
                match self.ask_word(share.place.custodian, *row)? {
                    Asked::Word(word) => {
                        typed.set(row - 1, word);
                        at += 1;
                    }
                    Asked::Again => {
                        self.desk.wipe();
                        self.show_words(share)?;
                        self.desk.say(&screens::goes_on_at(*row));
                    }
                    Asked::Back => {
                        at = at.saturating_sub(1);
                        self.desk.say(&screens::goes_on_at(to_type[at]));
                    }
                }
            }
            to_type = (0..SHARE_WORDS)
                .filter(|at| typed.number(*at) != share.dealt.number(*at))
                .map(|at| at + 1)
                .collect();
            if to_type.is_empty() {
                return Ok(typed);
            }
            self.begin_page(share);
            self.desk.say(&wrong_rows(share.place.custodian, &to_type));
        }
    }

    /// Shows the words until the form is written. Then they disappear, and the custodian types.
    fn show_words(&mut self, share: &HandOut) -> Result<()> {
        let Place {
            number, custodian, ..
        } = *share.place;
        let turn_away = format!(
            "HAND THE SCREEN TO {}. Everyone else: turn away, no cameras.",
            self.with_name(custodian)
        );
        self.desk.say(&screens::fold(&turn_away, " "));
        let alone = format!(
            " Type {number} when only {} looks: ",
            screens::short(custodian)
        );
        // one Enter too many of whoever sat here before would show them a second share
        while self
            .ask(&alone)?
            .is_some_and(|typed| typed != number.to_string())
        {
            let told = format!(
                " Nothing is shown yet. Type {number}, the number of the share, to show it.\n"
            );
            self.desk.say(&told);
        }
        let mut question = WRITTEN;
        loop {
            let window = self.desk.window();
            let rehearsal = self.basis.rehearsal;
            let page = screens::Page::handed_out(rehearsal, share.policy, share.place, window);
            if !page.fits() {
                self.enlarge(window)?;
                continue;
            }
            self.desk.wipe();
            let shown = page.text(share.dealt)?;
            self.desk.show_secret(&shown);
            let written = self.ask(question)?;
            if self.desk.window() != window {
                continue; // words may have gone out of sight
            }
            if written.is_none_or(|answer| answer.eq_ignore_ascii_case("written")) {
                break;
            }
            question = NOT_WRITTEN; // in the question's own line: one more would push a word out of sight
        }
        self.begin_page(share);
        let who = format!("{custodian}: type the words from your form, one word a line.");
        self.desk.say(&format!(
            "{} Four letters of a word are enough.\n \
             back = the row before               words = see the share again\n \
             note = tell the auditor something   stop = end the ceremony\n",
            screens::fold(&who, " ")
        ));
        Ok(())
    }

    /// No word is shown unless all of them can be seen.
    fn enlarge(&mut self, window: Window) -> Result<()> {
        self.desk.wipe();
        let needed = screens::shares_need(self.plan(), window).unwrap_or_default();
        let told = format!(
            "{}. No word is shown until all of them fit. Make the window larger, or its letters smaller.",
            crate::ground::words::capitalised(&needed)
        );
        let question = screens::fold(&told, " ") + " Then press Enter: ";
        self.ask(&question).map(|_| ())
    }

    /// A screen with nothing but its heading.
    fn begin_page(&mut self, share: &HandOut) {
        self.desk.wipe();
        let place = screens::place_of_share(share.policy, share.place);
        let heading = screens::heading(self.basis.rehearsal, &place);
        self.desk.say(&format!("{heading}\n"));
    }

    fn ask_word(&mut self, custodian: &str, row: usize) -> Result<Asked> {
        loop {
            let question = screens::asked_of(custodian, &screens::row_asked(row));
            let typed = self.ask_for_word(&question)?;
            let Some(typed) = typed else {
                return Ok(Asked::Again);
            };
            let word = typed.trim_ascii();
            if word.eq_ignore_ascii_case(b"words") {
                return Ok(Asked::Again);
            }
            if word.eq_ignore_ascii_case(b"back") {
                return Ok(Asked::Back);
            }
            if let Some(number) = number_of(word) {
                return Ok(Asked::Word(number));
            }
            let several = screens::several_words(word, row);
            let told = several.unwrap_or_else(|| format!(
                " What you typed for row {row} is not in the word list; look at the form again.\n"
            ));
            self.desk.say(&told);
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
            "{custodian}: {what}. Look at the form letter by letter, correct it if necessary, and type only the rows asked for now. Type words to see the share again."
        ),
        " ",
    )
}

enum Asked {
    Word(u16),
    Again,
    Back,
}
