//! PKCS#11 modules, and what they may do.

mod lost_session;
mod manners;
mod opencryptoki;
mod out_of_process;
mod reports;
mod sandbox;
#[path = "../support/mod.rs"]
mod support;
mod what_modules_say;
