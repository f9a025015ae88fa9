//! What was found out, as a table for people: a row for each spec, and below it why something does not work.

use std::fmt::Write as _;

use super::examination::{Examination, Made, Path};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::text::fold;
use crate::plan::WrapIn;

/// Reasons, each given once, by number.
#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    /// `(1)`; the reason itself is below the table.
    fn number(&mut self, why: &str) -> String {
        let at = self.0.iter().position(|told| told == why);
        let at = at.unwrap_or_else(|| {
            self.0.push(why.to_owned());
            self.0.len() - 1
        });
        format!("({})", at + 1)
    }
}

const HEAD: [&str; 3] = [
    "                  wrap_in = \"hsm\"                          wrap_in",
    "                  RSAES_OAEP_         RSA_AES_KEY_WRAP_    = \"host\"  [escrow],",
    "spec              SHA_1     SHA_256   SHA_1     SHA_256              recover",
];

/// How many rows come below one head, so that a window of 24 rows shows both.
const ROWS: usize = 8;

const LEGEND: [&str; 3] = [
    "  .          KMS does not take it so",
    "  one call   CKM_RSA_AES_KEY_WRAP",
    "  two parts  an AES key of the HSM: under RSAES-OAEP, and over the data key",
];

impl Examination {
    /// At most 79 columns.
    pub(crate) fn table(&self) -> String {
        let mut reasons = Reasons::default();
        let mut text = String::new();
        for rows in self.made.chunks(ROWS) {
            text += &format!("\n{}\n", HEAD.join("\n"));
            for made in rows {
                text += &self.row(made, &mut reasons);
            }
        }
        // below the last row too: what follows may have pushed the heads above out of sight
        let below: Vec<&str> = HEAD.into_iter().rev().collect();
        text += &format!("{}\n\n{}\n", below.join("\n"), LEGEND.join("\n"));
        text += match self.all {
            true => "  Wrapping keys of 2048, 3072 and 4096 bits; \"some\" says which fail.\n",
            false => {
                "  Wrapping keys: every size for SYMMETRIC_DEFAULT, RSA_3072 for the others.\n"
            }
        };
        for (at, why) in reasons.0.iter().enumerate() {
            let folded = fold(why, "             ");
            let _ = write!(
                text,
                "  {:<10} {}",
                format!("({})", at + 1),
                folded.trim_start()
            );
        }
        text
    }

    /// The last line: what scrolled off a small window need not be scrolled back to.
    pub(crate) fn in_short(&self, refused: &[&str]) -> String {
        let made = self.made.iter().filter(|made| made.why.is_some());
        let mut no: Vec<String> = refused.iter().map(|what| (*what).to_owned()).collect();
        no.extend(made.map(|made| format!("data keys of {}", made.spec)));
        let failed = self.paths.iter().filter(|path| !path.works).count();
        if failed > 0 {
            no.push(format!("{failed} of {} wrappings", self.paths.len()));
        }
        let told = match no.is_empty() {
            true => "in short  everything that was tried works".to_owned(),
            false => format!("in short  NO: {}; the reasons are above", no.join(", ")),
        };
        let folded = fold(&told, "          ");
        folded.trim_start().to_owned()
    }

    fn row(&self, made: &Made, reasons: &mut Reasons) -> String {
        let spec = made.spec;
        if !made.tried {
            return format!("{spec:<17} not tried; byok doctor --all does, and takes longer\n");
        }
        if let Some(why) = &made.why {
            return format!(
                "{spec:<17} NO: this HSM does not make it {}\n",
                reasons.number(why)
            );
        }
        let mut row = format!("{spec:<17}");
        for wrapping in WrappingAlgorithm::ALL {
            let cell = cell(&self.paths_of(spec, WrapIn::Hsm, Some(wrapping)), reasons);
            let _ = write!(row, " {cell:<9}");
        }
        let host = cell(&self.paths_of(spec, WrapIn::Host, None), reasons);
        let _ = write!(row, "  {host:<9}");
        let escrow = self.escrow.iter().find(|escrow| escrow.spec == spec);
        let escrow = escrow.map_or(String::new(), |escrow| match &escrow.why {
            None => escrow.wrapping.to_owned(),
            Some(why) => format!("NO {}", reasons.number(why)),
        });
        format!("{row} {escrow}\n")
    }

    fn paths_of(
        &self,
        spec: &str,
        wrapped_in: WrapIn,
        wrapping: Option<WrappingAlgorithm>,
    ) -> Vec<&Path> {
        let wanted = |path: &&Path| {
            path.spec == spec
                && path.wrapped_in == wrapped_in
                && wrapping.is_none_or(|wrapping| path.wrapping == wrapping)
        };
        self.paths.iter().filter(wanted).collect()
    }
}

/// What all sizes that were tried have in common; if they differ, which of them do not work.
fn cell(paths: &[&Path], reasons: &mut Reasons) -> String {
    let Some(first) = paths.first() else {
        return ".".to_owned();
    };
    let refused: Vec<&&Path> = paths.iter().filter(|path| !path.works).collect();
    let word = match first.mechanism {
        None => "yes",
        Some("CKM_RSA_AES_KEY_WRAP") => "one call",
        Some(_) => "two parts",
    };
    let Some(why) = refused.first().and_then(|path| path.why.as_ref()) else {
        return word.to_owned();
    };
    if refused.len() == paths.len() {
        return format!("NO {}", reasons.number(why));
    }
    let which: Vec<String> = refused
        .iter()
        .map(|path| format!("{} under {}", path.wrapping, path.wrapping_key_spec))
        .collect();
    let why = format!("not with {}: {why}", which.join(", "));
    format!("some {}", reasons.number(&why))
}
