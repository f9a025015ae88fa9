//! Whole ceremonies, and what they may find.

mod branches;
mod ceremonies;
mod destroy;
#[path = "../kms_on_loopback/mod.rs"]
mod kms_on_loopback;
mod medium;
mod multi_region;
mod not_alone;
mod planted;
mod private_keys;
mod room;
mod rotation;
mod scale;
mod several_keys;
mod sources;
#[path = "../support/mod.rs"]
mod support;
