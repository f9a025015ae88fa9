//! The command line, and nothing else.
//!
//! The words, everywhere the same: *ceremony, plan, record, transcript, operator, custodian, witness,
//! auditor*; *data key* (what is imported), *wrapping key* (the KMS's RSA public key), *HSM token*
//! against *import token*; *key check value (KCV)*; *fingerprint*; *import parameters*; *slip* (the
//! paper of the online side); *receipt* (what the KMS answered); *control key* (preflight's throw-away).

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::cli::verbs::{Place, Thing};
use crate::ground::anchor::{Anchor, FROM_PAPER, TYPE_ROWS};
use crate::ground::error::{Error, Result};
use crate::ground::words;

mod main;
mod misused;
mod recognised;
pub(crate) mod verbs;

pub use main::main;

/// Which program this is.
const VERSION: &str = match cfg!(feature = "room") {
    true => env!("CARGO_PKG_VERSION"),
    false => concat!(env!("CARGO_PKG_VERSION"), ", without the room"),
};

/// The command line as data, from which man pages and completions are made; byok itself has no use for it. The long
/// help of each value says where the value is found.
pub fn command() -> clap::Command {
    misused::with_where_found(Cli::command())
}

/// The text below the list of verbs.
const AFTER: &str = match cfg!(feature = "room") {
    true => {
        "Start here:  byok rehearse\n\n\
        Exit codes: 0 done, 1 declined or interrupted, 2 usage, plan or input file,\n\
        3 HSM, 4 something is not what it claims to be, 5 the machine"
    }
    false => {
        "This byok was built without the room: rehearse, doctor, run, share and every\n\
        option that needs an HSM are in the other one.\n\n\
        Exit codes: 0 done, 2 usage, plan or input file, 4 something is not what it\n\
        claims to be, 5 the machine"
    }
};

/// Offline key ceremonies: make a data key in an HSM, wrap it for import into a cloud KMS, keep a record
#[derive(Parser)]
#[command(
    name = "byok",
    version = VERSION,
    propagate_version = true,
    term_width = 79,
    arg_required_else_help = true,
    arg = verbose()
)]
#[command(after_help = AFTER)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What it adds is printed where the version is: see `main`.
fn verbose() -> clap::Arg {
    let verbose = clap::Arg::new("verbose")
        .long("verbose")
        .requires("version");
    let verbose = verbose.action(clap::ArgAction::SetTrue);
    verbose.help("With --version: also this program's SHA-256, in rows and words")
}

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Practise the whole life of a data key, or a plan, on a fresh soft HSM and a stand-in KMS
    #[command(
        after_help = "Without PLAN it asks nothing and needs no terminal, network or root. With PLAN,\n\
        of any kind, people practise its names, custodians and screens at a terminal. A\n\
        soft HSM, a stand-in KMS and a stand-in for the previous record replace the\n\
        real ones. Practice papers to type from are shown first.\n\n\
        Example:  byok rehearse\n          \
        byok rehearse plan.toml"
    )]
    Rehearse {
        /// Practise this plan
        plan: Option<PathBuf>,
        /// SoftHSM's PKCS#11 module, if byok does not find it
        #[arg(long)]
        module: Option<PathBuf>,
        /// Where to keep rehearsals
        #[arg(long, default_value = "target/rehearsal")]
        directory: PathBuf,
        /// The directory that was made for this rehearsal; byok starts itself again in it
        #[arg(long, hide = true)]
        room: Option<PathBuf>,
    },
    /// Find out what this HSM can do: try every path with control keys
    #[command(
        after_help = "It makes throw-away keys and destroys them. All are session objects except two\n\
        token objects, byok-throw-away. It tries symmetric data keys under every size\n\
        of wrapping key, others under RSA_3072. With --all it tries every spec under\n\
        every size, and also makes RSA data keys of 3072 and 4096 bits in the HSM,\n\
        which may take minutes.\n\n\
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
        /// List everything that an aborted or interrupted run left in the token
        #[arg(long, value_name = "RECORD")]
        leftovers: Option<PathBuf>,
        /// Try every spec under every size of wrapping key
        #[arg(long, conflicts_with = "leftovers")]
        all: bool,
        /// Write what it can do to a new file, to send: no label, serial number, PIN or path is in it
        #[arg(long, value_name = "FILE", conflicts_with_all = ["leftovers", "plan"])]
        report: Option<PathBuf>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Write a commented plan from the online side's answers and the HSM
    #[command(
        after_help = "FILES are answers of `aws kms describe-key` or `create-key`, and import\n\
        parameters of any KMS (of AWS KMS as JSON, the console's zip or a directory).\n\
        The plan goes to standard output or, with --out, to a new file. byok never\n\
        fills in wrapping_key_sha256, which comes from paper. The parameters of AWS KMS\n\
        need not exist yet: the plan names the file that they will be in. At a terminal\n\
        byok asks who gets shares.\n\n\
        Example:  byok plan describe-key.json --label payments-2026 \\\n            \
        --module /usr/lib/softhsm/libsofthsm2.so --out plan.toml\n          \
        byok plan --reimport records/2026-11-22-payments \\\n            \
        inputs/eu-west-1.json --out again.toml"
    )]
    Plan(PlanArgs),
    /// Check everything that can be known before the room: ok, not yet, or wrong
    #[command(
        after_help = "Exits with 0 only if `byok run` would start now, otherwise with the code that\n\
        `byok run` would exit with.\n\n\
        Example:  byok check plan.toml\n          \
        byok check --hsm plan.toml"
    )]
    Check {
        /// The plan
        plan: PathBuf,
        /// Also log in, look for labels or data keys, and run the preflight
        #[arg(long)]
        hsm: bool,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Hold the ceremony
    #[command(
        after_help = "At a terminal it shows the plan's meaning and digest, and only Yes approves. At\n\
        every question except for a PIN, type note to record something for the auditor,\n\
        or stop to end the ceremony. Unattended, --approve with the SHA-256 of the\n\
        plan's exact bytes replaces the typed approval. Standard output gets one line:\n\
        the head digest and the transcript's path.\n\n\
        Example:  byok run plan.toml\n          \
        byok run plan.toml --approve SHA256   (approved by somebody on paper)"
    )]
    Run {
        /// The plan
        plan: PathBuf,
        /// SHA-256 of the plan, 64 hex digits; byok then asks no questions
        #[arg(long, value_name = "SHA256")]
        approve: Option<String>,
    },
    /// Verify a record; no HSM is needed
    #[command(
        after_help = "The verdict is authentic, consistent but not authenticated, or broken (exit 4).\n\
        With --head it can be: not the record of that head (exit 4). With --signers it\n\
        can be: not by a listed signer (exit 4).\n\
        Only something from outside the record makes it authentic: the head digest from\n\
        paper, or a list of keys whose owners you know (ssh-keygen(1), ALLOWED\n\
        SIGNERS). If you give both, both must hold. Keys inside the record vouch for\n\
        nothing.\n\n\
        Example:  byok verify \\\n            \
        --head '64879f7d 6b960a01 0d02c7f0' records/2026-11-22-payments\n          \
        byok verify --signers allowed_signers records/2026-11-22-payments"
    )]
    Verify {
        /// The record's directory
        #[arg(required_unless_present = "head")]
        record: Option<PathBuf>,
        /// A path without an option: the error says what it is
        #[arg(hide = true)]
        stray: Vec<PathBuf>,
        /// The head digest from paper: 64 hex digits, or at least the first three rows; or their words
        #[arg(long, value_name = "ROWS", num_args = 1..)]
        head: Vec<String>,
        /// Allowed signers: who may vouch for a record, and with which key
        #[arg(long, value_name = "FILE")]
        signers: Option<PathBuf>,
        /// A copy of an earlier record, or a directory of such copies; may be given again
        #[arg(long, value_name = "DIR")]
        previous: Vec<PathBuf>,
        /// Show the ceremony's last screen again
        #[arg(long)]
        next: bool,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Add the KMS's answers to a record
    #[command(
        after_help = "FILES are every import-result*.json from import.sh (each try leaves one), or\n\
        JSON from ImportKeyMaterial, DescribeKey, ListKeyRotations, GenerateMac,\n\
        GetPublicKey or CloudTrail. byok checks them against the record and keeps them\n\
        byte for byte; the sealed transcript does not change.\n\n\
        Example:  byok receipt records/2026-11-22-payments import-result*.json"
    )]
    Receipt {
        /// The record's directory
        record: PathBuf,
        /// The KMS's answers
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// A copy of an earlier record, or a directory of such copies; may be given again
        #[arg(long, value_name = "DIR")]
        previous: Vec<PathBuf>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Tell what records say must still be done: imports, proofs, material that expires
    #[command(
        after_help = "It reads every record in these directories and below. It needs no HSM and no\n\
        network, and changes nothing. Soonest first: what was not imported, as far as\n\
        receipts say; what was imported and not proved; what a KMS will delete, and the\n\
        command that begins the reimport.\n\n\
        Exit codes: 0 nothing is due in that time, 1 something is, 2 usage, or no\n\
        record of a real ceremony, 4 a record is not what it claims to be\n\n\
        Example:  byok due records\n          \
        byok due --within 120d --ics byok.ics /media/usb1"
    )]
    Due {
        /// Records, or directories with records
        #[arg(default_value = "records")]
        directories: Vec<PathBuf>,
        /// How far ahead to look, in days
        #[arg(long, value_name = "DAYS", default_value = "90d")]
        within: verbs::Days,
        /// Write a calendar (iCalendar, with alarms) to this new file
        #[arg(long, value_name = "FILE")]
        ics: Option<PathBuf>,
        /// Write a page with a time line, to print, to this new file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Say what a file is: plan, import parameters, any file of a record, a share or private key (without showing its secret)
    #[command(after_help = "Example:  byok inspect inputs/eu-west-1.json")]
    Inspect {
        /// The file, or a directory of import parameters
        file: PathBuf,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Make the paper for a ceremony, to print: the script with its steps, exception sheets and share forms
    #[command(
        after_help = "It writes one HTML file that needs nothing else, to standard output or, with\n\
        --out, to a new file: a page for a browser, to print on A4 or Letter. It has\n\
        the digest of exactly this plan, and contains no secret. If the record that the\n\
        plan builds on is at hand, byok verifies it, and the paper has its key check\n\
        values, fingerprints and head digest. --blank needs no plan: it makes a share\n\
        form, exception sheets and a page for the head digest, to fill in by hand.\n\n\
        Example:  byok script plan.toml --out script.html\n          \
        byok script --practice plan.toml > practice.html\n          \
        byok script --blank > forms.html"
    )]
    Script {
        /// The plan
        #[arg(required_unless_present = "blank")]
        plan: Option<PathBuf>,
        /// Print PRACTICE on every page, for a rehearsal
        #[arg(long)]
        practice: bool,
        /// Make forms that belong to no plan
        #[arg(long, conflicts_with_all = ["plan", "practice"])]
        blank: bool,
        /// Write to this new file
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Check a custodian's share
    Share {
        /// What to do with it.
        #[command(subcommand)]
        command: ShareCommand,
    },
}

/// What `byok plan` is given.
#[derive(Args)]
pub(crate) struct PlanArgs {
    /// Answers of the KMSs: import parameters, describe-key of AWS KMS
    pub files: Vec<PathBuf>,
    /// PKCS#11 module; byok lists its tokens and does not log in
    #[arg(long)]
    pub module: Option<PathBuf>,
    /// Which token, by label or PKCS#11 URI, if the module shows several
    #[arg(long)]
    pub token: Option<String>,
    /// Label of the data key
    #[arg(long)]
    pub label: Option<String>,
    /// Spec of the data key, if no answer names one: `AES_256`, `ECC_NIST_P256`, …
    #[arg(long, conflicts_with_all = ["reimport", "recover", "new_shares"])]
    pub spec: Option<String>,
    /// Title of the ceremony
    #[arg(long)]
    pub title: Option<String>,
    /// Write the plan to this new file
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Write a plan that takes the data keys of this record from the HSM again
    #[arg(long, value_name = "RECORD", conflicts_with_all = ["recover", "new_shares"])]
    pub reimport: Option<PathBuf>,
    /// Write a plan that brings its data keys back from a quorum of shares
    #[arg(long, value_name = "RECORD", conflicts_with = "new_shares")]
    pub recover: Option<PathBuf>,
    /// Write a plan that deals new shares for its data keys
    #[arg(long, value_name = "RECORD", conflicts_with = "files")]
    pub new_shares: Option<PathBuf>,
    /// Who gets shares: names separated by commas; asked at a terminal
    #[arg(long, value_name = "NAMES", requires = "threshold",
          conflicts_with_all = ["no_escrow", "reimport"])]
    pub custodians: Option<String>,
    /// How many shares are needed
    #[arg(long, value_name = "M", requires = "custodians")]
    pub threshold: Option<u8>,
    /// Deal no shares: if the HSM is lost, so is the data key
    #[arg(long, conflicts_with_all = ["reimport", "recover", "new_shares"])]
    pub no_escrow: bool,
    /// Why the shares of a recovery stay in use; asked at a terminal
    #[arg(
        long,
        value_name = "REASON",
        requires = "recover",
        conflicts_with = "custodians"
    )]
    pub reuse_escrow: Option<String>,
}

impl Command {
    /// Rows of a head digest may be typed without quotes: then the record comes last.
    ///
    /// # Errors
    /// Exit 2 if only rows were given.
    pub(crate) fn settled(mut self) -> Result<Self> {
        if let Self::Verify { record, stray, .. } = &self
            && !stray.is_empty()
        {
            return Err(one_record(record.iter().chain(stray)));
        }
        if let Self::Verify { record, head, .. } = &mut self
            && record.is_none()
        {
            let last = head.pop().filter(|_| !head.is_empty());
            let last = last.ok_or_else(|| {
                Error::usage("--head: no record was given")
                    .hint(format!("byok verify --head {FROM_PAPER} RECORD"))
                    .hint(TYPE_ROWS)
            })?;
            *record = Some(last.into());
        }
        Ok(self)
    }

    /// Each place of the command line: what was given, and what belongs there.
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
            Self::Plan(given) => {
                let records = [&given.reimport, &given.recover, &given.new_shares];
                let records = records.into_iter().flatten();
                each(ONLINE, &given.files)
                    .chain(each(RECORD, records))
                    .collect()
            }
            Self::Check { plan, .. } | Self::Run { plan, .. } => each(PLAN, [plan]).collect(),
            Self::Verify { record, .. } => each(RECORD, record).collect(),
            Self::Receipt { record, files, .. } => {
                each(RECORD, [record]).chain(each(ANSWER, files)).collect()
            }
            Self::Inspect { .. } | Self::Due { .. } => Vec::new(),
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

/// Rows of a head digest without `--head`, or several records.
fn one_record<'a>(given: impl Iterator<Item = &'a PathBuf>) -> Error {
    let (records, others): (Vec<&PathBuf>, Vec<&PathBuf>) = given.partition(|path| path.exists());
    let rows: Vec<String> = others
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let record = records
        .first()
        .map_or("RECORD".to_owned(), |path| words::shell_path(path));
    match (rows.join(" "), records.len()) {
        (rows, 0 | 1) if Anchor::parse(&rows).is_ok() => {
            Error::usage("rows of a head digest were given without --head")
                .hint(format!("byok verify --head '{rows}' {record}"))
        }
        (rows, 0 | 1) => Error::usage(format!(
            "byok verify takes one record; {rows:?} is neither a record nor a row of a head digest"
        ))
        .hint(format!(
            "with the rows from paper: byok verify --head {FROM_PAPER} {record}"
        ))
        .hint(TYPE_ROWS),
        _ => Error::usage("byok verify takes one record at a time")
            .hint(format!("byok verify {record}"))
            .hint("for copies of earlier records: --previous DIR"),
    }
}

/// What is done with a share.
#[derive(Subcommand)]
pub(crate) enum ShareCommand {
    /// One custodian checks one share: byok says whose it is, never what it says
    #[command(
        after_help = "Without --share the custodian types the 33 words at this terminal, which is\n\
        wiped afterwards. Only a record can say whose share it is; byok verifies the\n\
        record first. A package names its ceremony, but no shares. One share alone\n\
        opens nothing.\n\n\
        Example:  byok share check --record records/2026-11-22-payments\n          \
        byok share check --record records/2026-11-22-payments \\\n            \
        --share 02-Audit.txt"
    )]
    Check {
        /// A path without an option: the error says what it is
        #[arg(hide = true)]
        stray: Vec<PathBuf>,
        /// The record of the ceremony that dealt the share
        #[arg(long, conflicts_with = "package")]
        record: Option<PathBuf>,
        /// The record's head digest from paper: 64 hex digits, or at least the first three rows; or their words
        #[arg(long, value_name = "ROWS", num_args = 1.., requires = "record")]
        head: Vec<String>,
        /// An escrow package, if no record is at hand
        #[arg(long, value_name = "FILE")]
        package: Option<PathBuf>,
        /// A share file
        #[arg(long, value_name = "FILE")]
        share: Option<PathBuf>,
        /// Why typing a share over SSH, in tmux or in screen is acceptable here
        #[arg(long, value_name = "REASON")]
        screen_recorded: Option<String>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}
