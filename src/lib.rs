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
//! # Wings
//! Each knows only those below it; `tests/laws/house.rs` holds that, and prints the picture.
//!
//! | wing | what it is for |
//! |---|---|
//! | [`cli`] | the command line, and what each verb does |
//! | [`rehearsal`] | a whole life of a data key, practised on a soft HSM |
//! | [`ceremony`] | the straight line of each kind; operator, screens, data keys from files |
//! | [`paper`] | script, report and forms, whose words stand in HTML files; the scripts of the online side |
//! | [`evidence`] | transcript, record, receipts, and verifying them |
//! | [`plan`] | the plan, from TOML; import parameters of the KMS |
//! | [`hsm`] | PKCS#11; this computer |
//! | [`crypto`] | key specs, wrapping, escrow, SSHSIG, locked memory |
//! | [`ground`] | errors, words, files, strict JSON: what everyone uses |
//!
//! # Invariants
//! - Data-key bytes never enter this process, unless the approved plan says `wrap_in = "host"` or names a file.
//! - No data key exists before the plan is approved and the preflight has passed.
//! - Only [`hsm`] and `raw.rs` name cryptoki. Only [`ceremony::operator`] touches the terminal.
//!   Only [`evidence::record`] and [`evidence::transcript`] write files of a ceremony, and [`evidence::filing`] after
//!   it. The core never prints.
//! - No file is ever overwritten; every input is read once and its digest pinned.
//! - There is no network code in the dependency tree.
//! - No HSM module is loaded before the process is closed ([`hsm::machine::sandbox`]).
//! - `unsafe` stands in `ground/raw.rs` alone.
//!
//! # The room
//! The feature `room`, on if nobody says otherwise, builds [`hsm`], [`ceremony`], [`rehearsal`], `ground/raw.rs` and
//! the verbs that need them. Without it byok verifies, takes receipts, inspects, prints scripts, and writes and
//! checks plans, and has no `unsafe`, no PKCS#11 and no seccomp in it: an auditor's program.

// Without the room: no HSM, no ceremony, no rehearsal, and no `unsafe`. What only they use of the other wings is
// built with them, and is dead without them; the build with the room tells what is dead in truth.
#![cfg_attr(
    not(feature = "room"),
    forbid(unsafe_code),
    allow(dead_code, unused_imports)
)]

#[cfg(feature = "room")]
pub mod ceremony;
pub mod cli;
pub mod crypto;
pub mod evidence;
pub mod ground;
#[cfg(feature = "room")]
pub mod hsm;
pub mod paper;
pub mod plan;
#[cfg(feature = "room")]
pub mod rehearsal;
