//! byok: offline key ceremonies for keys brought to a cloud KMS.
//!
//! # Bird's-eye view
//! A plan is parsed, checked and approved; then a ceremony walks a straight line of thirteen steps
//! and leaves a record: the wrapped data key that the cloud accepts, and a transcript that an auditor
//! can check without the HSM and without this tool.
//!
//! ```text
//! plan.toml ── parse ── check ── approve ──► Approved ──► ceremony ──► record ──► verify
//! ```
//!
//! # Code map
//! - [`plan`]: TOML to [`plan::Plan`]; what is not built is refused by name.
//! - [`ceremony`]: the shared steps, the proof type [`ceremony::Approved`], and one file a kind.
//! - [`spec`]: what KMS imports. [`hsm`]: PKCS#11. [`wrapping`]: the same algorithms in software, for controls.
//! - [`kms`]: import parameters in. [`outputs`]: the online side's scripts out.
//! - [`transcript`], [`record`], [`receipts`], [`verify`]: the evidence. [`operator`], [`screens`]: the people.
//! - [`script`], [`report`]: paper for the room before, and of it after; [`html`]: what both are made of.
//! - [`material`]: data keys from files. [`machine`], [`locked`]: this computer. [`words`], [`error`]: what everyone uses.
//!
//! # Invariants
//! - Data-key bytes never enter this process, unless the approved plan says `wrap_in = "host"` or names a file.
//! - No data key exists before the plan is approved and the preflight has passed.
//! - Only [`hsm`], [`locked`] and `raw.rs` name cryptoki. Only [`operator`] touches the terminal. Only [`record`]
//!   and [`transcript`] write files of a ceremony, and [`receipts`] after it. The core never prints.
//! - No file is ever overwritten; every input is read once and its digest pinned.
//! - There is no network code in the dependency tree.
//! - No HSM module is loaded before the process is closed ([`machine::sandbox`]).
//! - `unsafe` stands in `raw.rs` alone.

pub mod anchor;
pub mod ceremony;
pub mod cli;
pub mod error;
pub mod escrow;
pub mod facts;
pub mod files;
pub mod filing;
pub mod hsm;
pub mod html;
pub mod kms;
pub mod locked;
pub mod machine;
pub mod material;
pub mod operator;
pub mod outputs;
pub mod plan;
pub mod previous;
mod random;
mod raw;
pub mod receipts;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod rules;
pub mod screens;
pub mod script;
pub mod spec;
pub mod sshsig;
pub mod strict_json;
pub mod transcript;
pub mod verbs;
pub mod verify;
pub mod words;
pub mod wrapping;
