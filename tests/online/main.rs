//! The cloud operator's half, with a KMS that really unwraps.

mod away;
mod azure;
mod desk;
mod every_kms;
mod google;
mod import_script;
#[path = "../kms_on_loopback/mod.rs"]
mod kms_on_loopback;
mod oci;
mod online;
mod parameter_files;
mod policies;
mod portable_scripts;
mod real_kms;
mod receipts;
mod receipts_that_prove;
#[path = "../support/mod.rs"]
mod support;
mod transit;
