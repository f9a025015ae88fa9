//! The verbs beside `run`, and what is printed.

mod check;
mod command_line;
mod due;
mod examples;
mod html;
mod inspect;
mod paint;
mod plan_again;
mod stories;
#[path = "../support/mod.rs"]
mod support;
mod targets;
