//! What was found out, as a table for people: a row for all specs that have it in common, and below it why something
//! does not work.

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

/// What a cell means.
const LEGEND: [(&str, &str); 3] = [
    (" .  ", "  .          KMS does not take it so"),
    ("one call", "  one call   CKM_RSA_AES_KEY_WRAP"),
    (
        "two parts",
        "  two parts  an AES key of the HSM: under RSAES-OAEP, and over the data key",
    ),
];

impl Examination {
    /// At most 79 columns.
    pub(crate) fn table(&self) -> String {
        let mut reasons = Reasons::default();
        let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
        for made in self.made.iter().filter(|made| made.tried) {
            let cells = self.cells(made, &mut reasons);
            match rows.iter_mut().find(|(same, _)| *same == cells) {
                Some((_, specs)) => specs.push(made.spec),
                None => rows.push((cells, vec![made.spec])),
            }
        }
        let mut text = format!("\n{}\n", HEAD.join("\n"));
        for (cells, specs) in &rows {
            text += &shown(cells, specs);
        }
        let legend = LEGEND
            .iter()
            .filter(|(cell, _)| rows.iter().any(|(row, _)| row.contains(cell)));
        text += "\n";
        legend.for_each(|(_, meaning)| text += &format!("{meaning}\n"));
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

    /// What is in its row.
    fn cells(&self, made: &Made, reasons: &mut Reasons) -> String {
        let spec = made.spec;
        if let Some(why) = &made.why {
            return format!("NO: this HSM does not make it {}", reasons.number(why));
        }
        let mut row = String::new();
        for wrapping in WrappingAlgorithm::ALL {
            let cell = cell(&self.paths_of(spec, WrapIn::Hsm, Some(wrapping)), reasons);
            let _ = write!(row, "{cell:<9} ");
        }
        let host = cell(&self.paths_of(spec, WrapIn::Host, None), reasons);
        let _ = write!(row, " {host:<9}");
        let escrow = self.escrow.iter().find(|escrow| escrow.spec == spec);
        let escrow = escrow.map_or(String::new(), |escrow| match &escrow.why {
            None => escrow.wrapping.to_owned(),
            Some(why) => format!("NO {}", reasons.number(why)),
        });
        format!("{row} {escrow}")
    }

    pub(super) fn paths_of(
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

/// One row for all specs that have it in common.
fn shown(cells: &str, specs: &[&str]) -> String {
    let (first, others) = specs.split_first().unwrap_or((&"", &[]));
    let row = format!("{first:<17} {cells}\n");
    match others {
        [] => row,
        _ => row + &fold(&format!("the same: {}", others.join(", ")), "  "),
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
