//! `byok script`: the paper of a ceremony, as HTML.

use std::path::Path;

use crate::evidence::previous::Previous;
use crate::ground::error::{Error, Result};
use crate::paper::script::{self, Script};
use crate::plan::Plan;

/// Writes the script to standard output, or to a new file.
///
/// # Errors
/// Exit 2 at a terminal without a file, for a bad plan, or for a file that exists; exit 4 if the record that the plan
/// builds on is there and broken.
pub(crate) fn script(path: &Path, practice: bool, out: Option<&Path>) -> Result<()> {
    let plan = Plan::read(path)?;
    let previous = previous(&plan)?;
    let script = Script {
        plan: &plan,
        practice,
        previous: previous.as_ref(),
    };
    give(&script.render(), out)
}

/// Writes forms that belong to no plan.
///
/// # Errors
/// Exit 2 for a file that exists.
pub(crate) fn blank(out: Option<&Path>) -> Result<()> {
    give(&script::blank(), out)
}

fn give(html: &str, out: Option<&Path>) -> Result<()> {
    let Some(out) = out else {
        if super::is_for_people() {
            let error = Error::usage(
                "the script is a page for a browser and a printer, not for a terminal",
            );
            return Err(error.hint("write it to a file: byok script … --out script.html"));
        }
        return super::print(html);
    };
    super::write_out(out, html)?;
    super::remark(&format!(
        "wrote {}, a page for a browser, to print on A4 or Letter",
        out.display()
    ));
    Ok(())
}

/// The previous record, if it is at hand: the paper may be printed outside the room.
fn previous(plan: &Plan) -> Result<Option<Previous>> {
    let Some(directory) = &plan.previous else {
        return Ok(None);
    };
    if !directory.is_dir() {
        super::remark(&format!(
            "byok: the previous record {} is not here: the fields that come from it stay blank",
            directory.display()
        ));
        return Ok(None);
    }
    Previous::load(directory, plan.previous_head.as_ref()).map(Some)
}
