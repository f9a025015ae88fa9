//! What people print, and what leaves the room: it reads plan and evidence, and decides nothing.

pub(crate) mod html;
pub mod outputs;
pub mod report;
pub mod script;
