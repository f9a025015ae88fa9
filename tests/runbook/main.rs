//! Whole lives of a data key, as the pages tell them; and every command of every page.

mod by_target;
#[path = "../kms_on_loopback/mod.rs"]
mod kms_on_loopback;
mod pages;
mod rehearsal;
mod runbook;
#[path = "../support/mod.rs"]
mod support;
