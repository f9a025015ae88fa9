//! The command line, and nothing else.
//!
//! The words, everywhere the same: *ceremony, plan, record, transcript, operator, custodian, witness,
//! auditor*; *data key* (what is imported), *wrapping key* (the KMS's RSA public key), *HSM token*
//! against *import token*; *key check value (KCV)*; *fingerprint*; *import parameters*; *slip* (the
//! paper of the online side); *receipt* (what the KMS answered); *control key* (preflight's throw-away).

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::cli::verbs::{Place, Thing};
use crate::ground::error::{Error, Result};

mod main;
pub(crate) mod verbs;

pub use main::main;

/// Offline key ceremonies: a data key made in an HSM, wrapped for import into a cloud KMS, on record
#[derive(Parser)]
#[command(
    name = "byok",
    version,
    propagate_version = true,
    term_width = 79,
    arg_required_else_help = true
)]
#[command(after_help = "Start here:  byok rehearse\n\n\
        Exit codes: 0 done, 1 declined or interrupted, 2 usage, plan or input file,\n\
        3 HSM, 4 something is not what it claims to be, 5 the machine")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Practise: the whole life of a data key, or a plan, on a fresh soft HSM and a stand-in KMS
    #[command(
        after_help = "Without PLAN nothing is asked and no terminal, network or root is needed. With\n\
        PLAN, of any kind, its names, custodians and screens are practised at a\n\
        terminal; soft HSM, stand-in KMS and a stand-in for the previous record take\n\
        the place of the real ones, and practice papers to type from are shown first.\n\n\
        Example:  byok rehearse\n          \
        byok rehearse plan.toml"
    )]
    Rehearse {
        /// Practise this plan
        plan: Option<PathBuf>,
        /// SoftHSM's PKCS#11 module, where it is not found by itself
        #[arg(long)]
        module: Option<PathBuf>,
        /// Where rehearsals are kept
        #[arg(long, default_value = "target/rehearsal")]
        directory: PathBuf,
        /// The room that was made for this rehearsal; byok starts itself anew in it
        #[arg(long, hide = true)]
        room: Option<PathBuf>,
    },
    /// What this HSM can do: every path tried with control keys
    #[command(
        after_help = "Throw-away keys are made, all but two as session objects, and destroyed: those\n\
        two, byok-throw-away, are token objects. Symmetric data keys are tried under\n\
        every size of wrapping key, the others under RSA_3072; --all tries every\n\
        spec under every size and makes RSA data keys of 3072 and 4096 bits in the HSM\n\
        too, which may take minutes.\n\n\
        Example:  byok doctor plan.toml\n          \
        byok doctor --module /usr/lib/softhsm/libsofthsm2.so \\\n            \
        --token pkcs11:token=ceremony\n          \
        byok doctor plan.toml \\\n            \
        --leftovers records/2026-11-22-payments.aborted-20261122T114203Z"
    )]
    Doctor {
        /// Take module, token and PIN source from this plan
        plan: Option<PathBuf>,
        /// PKCS#11 module
        #[arg(long)]
        module: Option<PathBuf>,
        /// Token, by label or PKCS#11 URI
        #[arg(long)]
        token: Option<String>,
        /// prompt, prompt-halves, pinpad, file:PATH or fd:N
        #[arg(long)]
        pin: Option<String>,
        /// List what an aborted or interrupted run left in the token
        #[arg(long, value_name = "RECORD")]
        leftovers: Option<PathBuf>,
        /// Every spec under every size of wrapping key
        #[arg(long, conflicts_with = "leftovers")]
        all: bool,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Write a commented plan from what the online side and the HSM say
    #[command(
        after_help = "FILES are answers of `aws kms describe-key` or `create-key`, and import\n\
        parameters (JSON, the console's zip, a directory), in any order. The plan goes\n\
        to standard output or, with --out, to a new file. wrapping_key_sha256 is never\n\
        filled in: it comes from paper. Parameters need not be there yet: the plan names\n\
        where they will lie. At a terminal byok asks who gets shares.\n\n\
        Example:  byok plan describe-key.json --label payments-2026 \\\n            \
        --module /usr/lib/softhsm/libsofthsm2.so --out plan.toml\n          \
        byok plan --reimport records/2026-11-22-payments \\\n            \
        inputs/eu-west-1.json --out again.toml"
    )]
    Plan {
        /// Answers of the AWS CLI and import parameters
        files: Vec<PathBuf>,
        /// PKCS#11 module; its tokens are listed, nobody logs in
        #[arg(long)]
        module: Option<PathBuf>,
        /// Which token, by label or PKCS#11 URI, where the module shows several
        #[arg(long)]
        token: Option<String>,
        /// Label of the data key
        #[arg(long)]
        label: Option<String>,
        /// Title of the ceremony
        #[arg(long)]
        title: Option<String>,
        /// Write the plan to this new file
        #[arg(long)]
        out: Option<PathBuf>,
        /// A plan that brings the data keys of this record back from the HSM
        #[arg(long, value_name = "RECORD", conflicts_with_all = ["recover", "new_shares"])]
        reimport: Option<PathBuf>,
        /// A plan that brings them back from a quorum of shares
        #[arg(long, value_name = "RECORD", conflicts_with = "new_shares")]
        recover: Option<PathBuf>,
        /// A plan that deals new shares of them
        #[arg(long, value_name = "RECORD", conflicts_with = "files")]
        new_shares: Option<PathBuf>,
        /// Who gets shares: names with commas; asked at a terminal
        #[arg(long, value_name = "NAMES", requires = "threshold",
              conflicts_with_all = ["no_escrow", "reimport"])]
        custodians: Option<String>,
        /// How many of them are needed
        #[arg(long, value_name = "M", requires = "custodians")]
        threshold: Option<u8>,
        /// Nobody gets a share: if the HSM is lost, so is the data key
        #[arg(long, conflicts_with_all = ["reimport", "recover", "new_shares"])]
        no_escrow: bool,
        /// Why the shares of a recovery stay in use; asked at a terminal
        #[arg(
            long,
            value_name = "REASON",
            requires = "recover",
            conflicts_with = "custodians"
        )]
        reuse_escrow: Option<String>,
    },
    /// Everything that can be known before the room: ok, not yet, or wrong
    #[command(
        after_help = "Ends with 0 only if `byok run` would start now, else with the code it would end\n\
        with.\n\n\
        Example:  byok check plan.toml\n          \
        byok check --hsm plan.toml"
    )]
    Check {
        /// The plan
        plan: PathBuf,
        /// Log in, look for labels or data keys, and run the preflight as well
        #[arg(long)]
        hsm: bool,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// The ceremony
    #[command(
        after_help = "At a terminal the plan's meaning and digest are shown, and only Yes approves.\n\
        At every question but that for a PIN, note records something for the auditor;\n\
        stop ends it. Unattended, --approve with the SHA-256 of the plan's exact bytes\n\
        stands for that. Standard output gets one line: the head digest and the\n\
        transcript's path.\n\n\
        Example:  byok run plan.toml\n          \
        byok run plan.toml --approve SHA256, the one that somebody approved on paper"
    )]
    Run {
        /// The plan
        plan: PathBuf,
        /// SHA-256 of the plan, 64 hex digits: nobody is asked anything
        #[arg(long, value_name = "SHA256")]
        approve: Option<String>,
    },
    /// Whether a record holds; no HSM is needed
    #[command(
        after_help = "The verdict is authentic, consistent but not authenticated, or broken (exit 4).\n\
        Only something from outside the record makes it authentic: the head digest from\n\
        paper, or a list of keys whose owners you know (ssh-keygen(1), ALLOWED\n\
        SIGNERS). With both, both must hold. Keys inside the record vouch for nothing.\n\n\
        Example:  byok verify \\\n            \
        --head '64879f7d 6b960a01 0d02c7f0' records/2026-11-22-payments\n          \
        byok verify --signers allowed_signers records/2026-11-22-payments"
    )]
    Verify {
        /// The record's directory
        #[arg(required_unless_present = "head")]
        record: Option<PathBuf>,
        /// The head digest from paper: 64 hex digits, or at least the first three rows; or their words
        #[arg(long, value_name = "ROWS", num_args = 1..)]
        head: Vec<String>,
        /// Allowed signers: whoever may vouch for a record, and with which key
        #[arg(long, value_name = "FILE")]
        signers: Option<PathBuf>,
        /// A copy of a record before this one, or a directory of such copies; may be given again
        #[arg(long, value_name = "DIR")]
        previous: Vec<PathBuf>,
        /// Show the ceremony's last screen again
        #[arg(long)]
        next: bool,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Add to a record what the KMS answered
    #[command(
        after_help = "FILES are import-result.json of import.sh, or JSON of ImportKeyMaterial,\n\
        DescribeKey, ListKeyRotations, GenerateMac, GetPublicKey or CloudTrail. They\n\
        are checked against the record and kept byte for byte; the sealed transcript\n\
        does not change.\n\n\
        Example:  byok receipt records/2026-11-22-payments import-result.json"
    )]
    Receipt {
        /// The record's directory
        record: PathBuf,
        /// What the KMS answered
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// A copy of a record before this one, or a directory of such copies; may be given again
        #[arg(long, value_name = "DIR")]
        previous: Vec<PathBuf>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// What a file is: plan, import parameters, any file of a record, a share or private key (never a word of it)
    #[command(after_help = "Example:  byok inspect inputs/eu-west-1.json")]
    Inspect {
        /// The file, or a directory of import parameters
        file: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// The paper of a ceremony: the script with its steps, exception sheets and share forms, to print
    #[command(
        after_help = "One HTML file that needs nothing else, on standard output or, with --out, in a\n\
        new file. Open it in a browser and print it on A4 or Letter. It holds the\n\
        digest of this very plan, and no secret. Where the record that the plan builds\n\
        on is at hand, it is verified and fills in key check values, fingerprints and\n\
        its head digest. --blank needs no plan: a share form, exception sheets and a\n\
        page for the head digest, all to be filled in by hand.\n\n\
        Example:  byok script plan.toml --out script.html\n          \
        byok script --practice plan.toml > practice.html\n          \
        byok script --blank > forms.html"
    )]
    Script {
        /// The plan
        #[arg(required_unless_present = "blank")]
        plan: Option<PathBuf>,
        /// PRACTICE on every page, for a rehearsal
        #[arg(long)]
        practice: bool,
        /// Forms that belong to no plan
        #[arg(long, conflicts_with_all = ["plan", "practice"])]
        blank: bool,
        /// Write to this new file
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Custodians' shares
    Share {
        /// What to do with one.
        #[command(subcommand)]
        command: ShareCommand,
    },
}

impl Command {
    /// Rows of a head digest may be typed without quotes: then the record is what stands last.
    ///
    /// # Errors
    /// Exit 2 where rows are all that was given.
    pub(crate) fn settled(mut self) -> Result<Self> {
        if let Self::Verify { record, head, .. } = &mut self
            && record.is_none()
        {
            let last = head.pop().filter(|_| !head.is_empty());
            let last = last.ok_or_else(|| {
                Error::usage("--head: no record was given").hint("byok verify --head 'ROWS' RECORD")
            })?;
            *record = Some(last.into());
        }
        Ok(self)
    }

    /// What was given where, and what belongs there.
    pub(crate) fn places(&self) -> Vec<Place> {
        const RECORD: &[Thing] = &[Thing::Record];
        const PLAN: &[Thing] = &[Thing::Plan];
        const ONLINE: &[Thing] = &[Thing::Parameters, Thing::KmsKey];
        const ANSWER: &[Thing] = &[Thing::Answer, Thing::ImportResult, Thing::KmsKey];
        const PACKAGE: &[Thing] = &[Thing::Package];
        const SHARE: &[Thing] = &[Thing::Share];
        fn each<'a>(
            takes: &'static [Thing],
            given: impl IntoIterator<Item = &'a PathBuf>,
        ) -> impl Iterator<Item = Place> {
            given
                .into_iter()
                .cloned()
                .map(move |given| Place { given, takes })
        }
        match self {
            Self::Rehearse { plan, .. } | Self::Script { plan, .. } => each(PLAN, plan).collect(),
            Self::Doctor {
                plan, leftovers, ..
            } => each(PLAN, plan).chain(each(RECORD, leftovers)).collect(),
            Self::Plan {
                files,
                reimport,
                recover,
                new_shares,
                ..
            } => {
                let records = [reimport, recover, new_shares].into_iter().flatten();
                each(ONLINE, files).chain(each(RECORD, records)).collect()
            }
            Self::Check { plan, .. } | Self::Run { plan, .. } => each(PLAN, [plan]).collect(),
            Self::Verify { record, .. } => each(RECORD, record).collect(),
            Self::Receipt { record, files, .. } => {
                each(RECORD, [record]).chain(each(ANSWER, files)).collect()
            }
            Self::Inspect { .. } => Vec::new(),
            Self::Share {
                command:
                    ShareCommand::Check {
                        stray,
                        record,
                        package,
                        share,
                        ..
                    },
            } => each(&[], stray)
                .chain(each(RECORD, record))
                .chain(each(PACKAGE, package))
                .chain(each(SHARE, share))
                .collect(),
        }
    }
}

/// What is done with a share.
#[derive(Subcommand)]
pub(crate) enum ShareCommand {
    /// One custodian checks one share: whose it is, never what it says
    #[command(
        after_help = "Without --share the custodian types the 33 words at this terminal; they are\n\
        wiped afterwards. Only a record can tell whose share it is; it is verified\n\
        first. A package knows its ceremony, but no shares. One share alone opens\n\
        nothing.\n\n\
        Example:  byok share check --record records/2026-11-22-payments\n          \
        byok share check --record records/2026-11-22-payments \\\n            \
        --share 02-Audit.txt"
    )]
    Check {
        /// What belongs behind an option: it is told there
        #[arg(hide = true)]
        stray: Vec<PathBuf>,
        /// The record of the ceremony that dealt the share
        #[arg(long, conflicts_with = "package")]
        record: Option<PathBuf>,
        /// The record's head digest from paper: 64 hex digits, or at least the first three rows; or their words
        #[arg(long, value_name = "ROWS", num_args = 1.., requires = "record")]
        head: Vec<String>,
        /// An escrow package, where no record is at hand
        #[arg(long, value_name = "FILE")]
        package: Option<PathBuf>,
        /// A share file
        #[arg(long, value_name = "FILE")]
        share: Option<PathBuf>,
        /// Why typing a share over SSH, in tmux or in screen is acceptable here
        #[arg(long, value_name = "REASON")]
        screen_recorded: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}
