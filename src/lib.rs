//! byok: offline key ceremonies for keys brought to a cloud KMS.
//!
//! `cargo doc --no-deps --document-private-items` shows every page that is named here.
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
//! | [`rehearsal`] | the whole life of a data key, practised on a soft HSM |
//! | [`ceremony`] | the straight line of each kind; operator, screens, data keys from files |
//! | [`paper`] | script, report and forms, whose words are in HTML files; the scripts of the online side |
//! | [`evidence`] | transcript, record, receipts, and verifying them |
//! | [`plan`] | the plan, from TOML; import parameters of the KMS |
//! | [`hsm`] | PKCS#11; this computer |
//! | [`crypto`] | key specs, wrapping, escrow, SSHSIG, locked memory |
//! | [`ground`] | errors, words, files, strict JSON: what everyone uses |
//!
//! # Where a change goes
//! | to change | go to |
//! |---|---|
//! | how byok treats a module that answers oddly | a row in `hsm::quirks`; a control key decides whether it works |
//! | what is asked before a ceremony | a row in [`ceremony::checks::CHECKS`] with its function, and its line in docs/checks.md (a test compares) |
//! | what a plan's word means to people | [`plan::meaning`]: approval screen, script and report take the sentence from there |
//! | a sentence of the script, the report or a form | the HTML file in [`paper`]; its facts stand in the `facts.rs` beside it |
//! | a transcript event | its struct and its line in the list of `evidence::transcript::event`, which reads and writes it; the step in [`ceremony`] that appends it; its row in docs/transcript-format.md. The report lists every event; a table of its members is a line in `TOLD` of `paper::report::room` |
//! | what makes a record broken | [`evidence::rules`], one list for byok and `verify-record.sh`, with a case for each rule in tests/verdicts |
//! | a verb | its file in [`cli::verbs`], with its arguments and its run |
//! | a man page or a completion | the help of its verb: `packaging/pages.rs` makes both from [`cli::command`] |
//! | add a KMS | a file in [`plan::kms`] with one `Elsewhere`, which says all of it (its key's name, its parameters, what it takes, what it means for people), and a variant of [`plan::kms::KmsKey`] with its lines in `elsewhere` and `ELSEWHERE` there; a file in [`paper::outputs`] with its script, and a line in `elsewhere` there; a file in [`evidence::receipts`] that reads its answers, and a row in `READERS` there; its script, policies and runbook in ceremony-scripts/online, with its command in the line of awk that folds (three scripts share it); a row in docs/targets.md and docs/plan-format.md. `oci` is the example; `google`, if import parameters have a deadline |
//!
//! # The path of a data key
//! Whoever only asks whether a data key can leave the HSM in clear reads, in this order:
//! `hsm::session` (every PKCS#11 call that byok can make: C_Decrypt and C_DeriveKey are not among them, and CKA_VALUE is never read),
//! `hsm::attributes` (what a key may do, and that the HSM is asked whether it is so), `hsm::keys`, `hsm::wrap` (the only
//! C_WrapKey, that of the escrow too), `hsm::unwrap` (the only C_UnwrapKey), `hsm::escrow` and `hsm::check`; then who calls them: `ceremony::generate`,
//! `ceremony::recover`, `ceremony::reimport`, `ceremony::preflight` and `ceremony::escrow`.
//! The approved exceptions are in `ceremony::source`, `ceremony::material`, `hsm::source` and `hsm::secrets`; what comes
//! through this computer lies in `crypto::locked`.
//! A software token keeps its keys in this very process: the record then says `software`. With escrow, the escrow key is made in this
//! process, and whoever has it and the package has the data keys: `paper::report::exposure` says so on the report.
//!
//! # Invariants
//! - Data-key bytes never enter this process, unless the approved plan says `wrap_in = "host"` or names a file.
//! - No data key exists before the plan is approved and the preflight has passed.
//! - Only [`hsm`] and `raw.rs` name cryptoki. Only [`ceremony::operator`] touches the terminal.
//!   Only [`evidence::record`] and [`evidence::transcript`] write files of a record, and [`evidence::filing`] after
//!   the ceremony; share files, which are in no record, are written by `ceremony::escrow`.
//! - No file is ever overwritten; every input is read once and its digest pinned.
//! - There is no network code in the dependency tree.
//! - No HSM module is loaded before the process is closed ([`hsm::machine::sandbox`]).
//! - Only `ground/raw.rs` has `unsafe`.
//!
//! # The room
//! The feature `room`, on by default, builds [`hsm`], [`ceremony`], [`rehearsal`], `ground/raw.rs` and the verbs that
//! need them. Without it byok verifies, takes receipts, inspects, prints scripts, and writes and checks plans; it has
//! no `unsafe`, no PKCS#11 and no seccomp in it. That is the auditor's program.

// Whoever changes the code reads these pages with the private items.
#![allow(rustdoc::private_intra_doc_links)]
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
