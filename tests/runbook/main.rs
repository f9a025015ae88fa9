//! Whole lives of a data key, as README and RUNBOOK tell them.

mod by_target;
#[path = "../kms_on_loopback/mod.rs"]
mod kms_on_loopback;
mod rehearsal;
mod runbook;
#[path = "../support/mod.rs"]
mod support;
