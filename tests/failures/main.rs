//! Calls, disks, files and people that fail or mean harm.

mod failures;
mod faults;
mod hostile_files;
mod hostile_people;
mod kills;
mod memory;
#[path = "../support/mod.rs"]
mod support;
