//! What people see and type.

mod first_time;
mod groups;
mod hand_out;
mod screens;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod typed_wrong;
