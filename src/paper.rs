//! What people print, and what leaves the room: it reads plan and evidence, and decides nothing.
//!
//! The words of script and report are in the HTML files of `script/` and `report/`, one file for each page, which read
//! like the page. The facts for their `{{places}}` come from the Rust files beside them; `template` puts the two
//! together. `plan` writes a plan, which people fill in; what a plan means is worded in `plan::meaning`, for the approval
//! screen too.

pub(crate) mod document;
pub(crate) mod due;
mod head;
mod holders;
pub(crate) mod html;
pub(crate) mod last;
pub mod outputs;
pub(crate) mod plan;
pub mod report;
pub mod script;
pub(crate) mod template;
mod timeline;
