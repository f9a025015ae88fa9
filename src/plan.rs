//! The plan: the only input that decides what happens. TOML in, a [`Plan`] out, or a refusal.
//!
//! byok refuses by name what this version cannot do. A field that is parsed and then ignored would be worse
//! than no field: people would believe in an escrow that nobody made.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::roles::Apart;
use crate::crypto::escrow::Policy;
use crate::crypto::key_id::SIGNER_LABEL;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::{Fingerprint, WrappingAlgorithm};
use crate::ground::anchor::Anchor;
use crate::ground::error::{Error, Result};
use crate::ground::files::read_small;
use crate::ground::token_uri::TokenUri;
use crate::ground::words::{self, Digest};
use crate::plan::kms::KmsKey;

mod import_type;
pub mod kms;
pub(crate) mod meaning;
pub(crate) mod parameters;
pub(crate) mod raw;
pub(crate) mod roles;
mod source;
mod syntax;
mod tables;

pub(crate) use import_type::{ImportAs, Role};
pub(crate) use source::{InToken, Source};

/// The most data keys in a plan or a record, and the most imports: comparing each with all others must stay
/// cheap.
pub(crate) const MOST_KEYS: usize = 4096;

/// The longest time for which KMS keeps imported material: `ValidTo` is at most this long after the request.
pub(crate) const LONGEST_VALIDITY: SignedDuration = SignedDuration::from_hours(365 * 24);

/// A plan that was checked: [`Plan::parse`] made it, or it is a draft that is still to be written and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the plan file is; paths in it are relative to its directory.
    pub path: PathBuf,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of the exact bytes.
    pub sha256: Digest,
    /// The title of the ceremony.
    pub title: String,
    /// The kind of ceremony.
    pub kind: Kind,
    /// Which network the machine may have.
    pub network: Network,
    /// Which HSM, and how to log in.
    pub hsm: HsmPlan,
    /// The data keys, in the plan's order; at least one.
    pub keys: Vec<KeyPlan>,
    /// The record that this ceremony builds on.
    pub previous: Option<PathBuf>,
    /// Its head digest, from paper.
    pub previous_head: Option<Anchor>,
    /// Where a recovery takes the shares and the package from.
    pub recover: Option<RecoverPlan>,
    /// Why data keys are destroyed.
    pub reason: Option<String>,
    /// Why a recovery deals no new shares.
    pub reuse_escrow: Option<String>,
    /// Who gets shares of the escrow key; `None`: no escrow.
    pub escrow: Option<EscrowPlan>,
    /// Why shares may be shown on a screen that others may be recording.
    pub screen_recorded: Option<String>,
    /// The record's directory.
    pub directory: PathBuf,
    /// The witnesses' seats, by the plan's names; the roll call asks for each.
    pub witnesses: Vec<String>,
    /// Seats that one person may not hold together.
    pub(crate) apart: Vec<Apart>,
    /// Who signs the transcript.
    pub signer: SignerPlan,
}

/// Who signs the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerPlan {
    /// The signer in the HSM token; if there is none, byok makes one.
    Any,
    /// The signer whose public key has this SHA-256, and no other.
    Named(Digest),
    /// Nobody; the record states this as an exception.
    Nobody,
}

/// The `[escrow]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscrowPlan {
    /// Who gets a share, and whose shares together recover the escrow key.
    pub(crate) policy: Policy,
    /// How they get their shares.
    pub deliver: Deliver,
}

/// The `[recover]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverPlan {
    /// Where the shares come from.
    pub shares: ShareSource,
    /// Where the escrow package comes from.
    pub package: PackageSource,
}

/// Where shares come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareSource {
    /// Custodians type them.
    Typed,
    /// The share files in this directory.
    Files(PathBuf),
}

/// Where the escrow package comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageSource {
    /// The previous record.
    Record,
    /// Typed from its printed rows.
    Typed,
    /// A file.
    File(PathBuf),
}

/// How custodians get their shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// One after the other at the screen: written down by hand and typed back.
    Screen,
    /// One file for each, in this directory.
    Files(PathBuf),
}

/// The kind of ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// New data keys.
    Generate,
    /// Imports the same data keys again, from the HSM.
    Reimport,
    /// Imports the same data keys again, from a quorum of shares and the escrow package.
    Recover,
    /// Destroys data keys.
    Destroy,
}

impl Kind {
    /// The plan's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Reimport => "reimport",
            Self::Recover => "recover",
            Self::Destroy => "destroy",
        }
    }
}

/// What the plan says about the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// No interface but `lo` may be up.
    Forbidden,
    /// The HSM is reached by network; this is recorded.
    Hsm,
    /// Any network; this is recorded.
    Allowed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Network {
    /// The plan's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Hsm => "hsm",
            Self::Allowed => "allowed",
        }
    }
}

/// The `[hsm]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HsmPlan {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token.
    pub token: TokenUri,
    /// Where the PIN comes from.
    pub pin: PinSource,
    /// Names of environment variables that the module needs; they are recorded.
    pub env: Vec<String>,
    /// Why the HSM is hardware although its slot does not say so.
    pub hardware: Option<String>,
}

/// Where the user PIN comes from: never from the plan, the arguments or the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// Typed by one person, without echo.
    Prompt,
    /// Typed by two people, one half each.
    PromptHalves,
    /// A file; line ends at its end are dropped.
    File(PathBuf),
    /// An inherited file descriptor; as for a file.
    Descriptor(i32),
    /// The HSM's own PIN pad.
    PinPad,
}

impl PinSource {
    /// Whether people type it at this computer.
    pub(crate) fn is_typed(&self) -> bool {
        matches!(self, Self::Prompt | Self::PromptHalves)
    }

    /// The descriptor from which it is read.
    pub(crate) fn descriptor(&self) -> Option<i32> {
        match self {
            Self::Descriptor(fd) => Some(*fd),
            _ => None,
        }
    }

    /// The file from which it is read.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// Reads the plan's `pin`, or the same words from `doctor`'s command line.
    ///
    /// # Errors
    /// Exit 2 for anything but the five forms. The message does not repeat the text: a PIN typed in the wrong
    /// place must not be shown.
    pub(crate) fn parse(text: &str, base: &Path) -> Result<Self> {
        match text {
            "prompt" => return Ok(Self::Prompt),
            "prompt-halves" => return Ok(Self::PromptHalves),
            "pinpad" => return Ok(Self::PinPad),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(base.join(path)));
        }
        if let Some(Ok(fd)) = text.strip_prefix("fd:").map(str::parse::<i32>)
            && fd > 2
        {
            return Ok(Self::Descriptor(fd));
        }
        Err(Error::usage(
            "pin must be prompt, prompt-halves, pinpad, file:PATH, or fd:N with N at least 3",
        )
        .hint("a plan must never contain the PIN itself; if it did, change the PIN"))
    }
}

/// One `[[key]]`: a data key and all its imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlan {
    /// CKA_LABEL and directory name.
    pub label: String,
    /// The KMS key spec.
    pub spec: Spec,
    /// Whether the data key stays in the HSM, and how.
    pub keep: Keep,
    /// Where the material comes from, in `generate`.
    pub source: Source,
    /// Why it comes from a file.
    pub reason: Option<String>,
    /// The fingerprint that it must have, if no record says so.
    pub fingerprint: Option<Fingerprint>,
    /// Its imports: at least one, unless the ceremony only deals new shares.
    pub imports: Vec<ImportPlan>,
}

/// Whether the data key stays in the HSM, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It stays and can be wrapped again: a reimport needs only the PIN, and so does a theft.
    Extractable,
    /// It stays, but cannot leave the HSM once the escrow is proved: a reimport needs a quorum.
    Sealed,
    /// It never becomes a token object: only a quorum brings it back.
    None,
}

impl Keep {
    /// The plan's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Extractable => "extractable",
            Self::Sealed => "sealed",
            Self::None => "none",
        }
    }

    /// Whether only a quorum of custodians brings the data key back.
    pub(crate) fn by_quorum(self) -> bool {
        self != Self::Extractable
    }
}

/// The option of `byok plan` that begins to bring a data key back.
pub(crate) fn again(by_quorum: bool) -> &'static str {
    match by_quorum {
        true => "--recover",
        false => "--reimport",
    }
}

/// Where the wrapping happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WrapIn {
    /// In the HSM: this computer never sees the bytes.
    Hsm,
    /// In this computer, because the plan says so.
    Host,
}

impl WrapIn {
    /// The plan's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hsm => "hsm",
            Self::Host => "host",
        }
    }

    /// For people who approve it.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Self::Hsm => "inside the HSM",
            Self::Host => "IN THIS COMPUTER'S MEMORY",
        }
    }
}

impl fmt::Display for WrapIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One `[[key.import]]`: a KMS key that gets this material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportPlan {
    /// Directory name below the label's.
    pub name: String,
    /// The KMS key.
    pub(crate) kms_key: KmsKey,
    /// The import parameters: a file or a directory.
    pub parameters: PathBuf,
    /// The algorithm with which KMS will unwrap.
    pub wrapping: WrappingAlgorithm,
    /// Where it is wrapped.
    pub wrap_in: WrapIn,
    /// When KMS must forget the material; `None`: never.
    pub expires: Option<Timestamp>,
    /// The deadline of parameters that carry no deadline themselves.
    pub parameters_valid_to: Option<Timestamp>,
    /// SHA-256 of the wrapping key's SPKI DER, from the online slip.
    pub wrapping_key_sha256: Option<Digest>,
    /// Why the material goes into a different KMS key than before.
    pub other_kms_key: Option<String>,
    /// The other import of this data key that this one proves: the same material, imported a second time into the
    /// same KMS key or into a replica of it.
    pub witness_of: Option<String>,
    /// What `import_type` KMS is sent, if the plan says so.
    pub import_as: Option<ImportAs>,
    /// KeyMaterialDescription, 1 to 256 ASCII characters.
    pub description: Option<String>,
}

impl Plan {
    /// Reads the file once and parses it.
    ///
    /// # Errors
    /// Exit 2: no such file, not a regular file, too long, or as [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, read_bytes(path)?)
    }

    /// Parses and checks a plan whose file is at `path`.
    ///
    /// # Errors
    /// Exit 2 with the first fault, and its line if TOML knows it.
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        raw::parse(path, bytes).map_err(|e| e.doing(format!("the plan {}", path.display())))
    }

    /// The plan's imports, each with its data key, in order.
    pub(crate) fn imports(&self) -> impl Iterator<Item = (&KeyPlan, &ImportPlan)> {
        self.keys
            .iter()
            .flat_map(|key| key.imports.iter().map(move |import| (key, import)))
    }

    /// `<label>/<import>` of every import, if the record contains files for it.
    pub(crate) fn folders(&self) -> Vec<String> {
        self.imports()
            .map(|(key, import)| format!("{}/{}", key.label, import.name))
            .collect()
    }

    /// Whether the roll call asks who sits in both of these seats.
    pub(crate) fn calls_for(&self, pair: Apart) -> bool {
        let policy = self.escrow.as_ref().map(|escrow| &escrow.policy);
        let typed = self.recover.as_ref().map(|recover| &recover.shares);
        let typed = typed == Some(&ShareSource::Typed);
        let custodians = typed || policy.is_some();
        let groups = typed || policy.is_some_and(Policy::is_grouped);
        let [of_custodians, of_groups, of_witnesses] = pair.needs();
        (custodians || !of_custodians)
            && (groups || !of_groups)
            && (!self.witnesses.is_empty() || !of_witnesses)
    }

    /// Whether custodians see or type shares at this computer's screen.
    pub(crate) fn shares_at_screen(&self) -> bool {
        let typed = self.recover.as_ref().map(|recover| &recover.shares);
        self.shows_shares() || typed == Some(&ShareSource::Typed)
    }

    /// Whether the words of new shares are shown on this computer's screen.
    pub(crate) fn shows_shares(&self) -> bool {
        let shown = self.escrow.as_ref().map(|escrow| &escrow.deliver);
        shown == Some(&Deliver::Screen)
    }

    /// The seats that have a place for a signature on paper: the plan's witnesses, or unnamed ones.
    pub(crate) fn witness_places(&self) -> Vec<String> {
        const UNNAMED: usize = 4;
        match self.witnesses.is_empty() {
            true => (1..=UNNAMED).map(|n| format!("witness {n}")).collect(),
            false => self
                .witnesses
                .iter()
                .map(|seat| format!("witness: {seat}"))
                .collect(),
        }
    }

    /// Whether any data key's bytes come into this computer for wrapping.
    pub(crate) fn wraps_in_host(&self) -> bool {
        self.imports()
            .any(|(_, import)| import.wrap_in == WrapIn::Host)
    }

    /// The files that hold data keys in clear, each with its data key.
    pub(crate) fn source_files(&self) -> impl Iterator<Item = (&KeyPlan, &Path)> {
        self.keys.iter().filter_map(|key| match &key.source {
            Source::File(path) => Some((key, path.as_path())),
            Source::Hsm | Source::Token(_) => None,
        })
    }

    /// Whether any data key's bytes are in this computer during the ceremony.
    pub(crate) fn bytes_come_here(&self) -> bool {
        self.wraps_in_host() || self.source_files().next().is_some()
    }
}

/// The exact bytes of a plan file.
///
/// # Errors
/// Exit 2 if it cannot be read, is not a regular file, or is longer than 1 MiB.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    read_small(path).map_err(|e| {
        Error::usage(format!("the plan {}: {e}", path.display()))
            .hint("`byok plan --help` says how to write a plan")
    })
}

/// Checks a label or import name: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`, and not a name that the record itself uses.
fn name(what: &str, text: &str) -> Result<String> {
    let fits = (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !fits {
        return Err(Error::usage(format!("{what} {text:?} is not a name")).hint(
            "use letters, digits, _ and -; begin with a letter or digit; at most 64 characters",
        ));
    }
    if text.eq_ignore_ascii_case(SIGNER_LABEL) {
        return Err(Error::usage(format!(
            "{what} {text:?} is the label of the transcript signer"
        )));
    }
    if ["signatures", "receipts", "sha256sums"].contains(&text.to_ascii_lowercase().as_str()) {
        return Err(Error::usage(format!(
            "{what} {text:?} is a name that the record itself uses"
        )));
    }
    Ok(text.to_owned())
}

/// Refuses the second of two names that differ only in case: file systems confuse them.
fn once(seen: &mut BTreeSet<String>, what: &str, text: &str) -> Result<()> {
    if seen.insert(text.to_lowercase()) {
        return Ok(());
    }
    Err(
        Error::usage(format!("{what} {text:?} is in the plan twice"))
            .hint("names must differ in more than upper and lower case"),
    )
}

/// A time such as `2027-11-20T00:00:00Z`.
fn time(what: &str, text: &str) -> Result<Timestamp> {
    text.parse::<Timestamp>()
        .ok()
        .filter(|_| text.ends_with('Z'))
        .ok_or_else(|| {
            Error::usage(format!("{what} {text:?} is not a UTC time"))
                .hint("write it as 2027-11-20T00:00:00Z")
        })
}

/// 64 hex digits.
fn digest(what: &str, text: &str) -> Result<Digest> {
    words::digest_from_hex(&text.split_whitespace().collect::<String>()).ok_or_else(|| {
        Error::usage(format!("{what} is not 64 hex digits"))
            .hint("take it from the online side's slip, never from the parameters file itself")
    })
}

/// A path relative to the plan, kept as it was written.
fn relative(base: &Path, what: &str, text: &str) -> Result<PathBuf> {
    if text.is_empty() || !words::is_printable(text) {
        return Err(Error::usage(format!(
            "{what} is empty or contains characters that cannot be shown"
        )));
    }
    Ok(base.join(text))
}

/// The record's directory: its last part must be a plain name without the marks of an unfinished record.
fn record_directory(base: &Path, text: &str) -> Result<PathBuf> {
    let directory = relative(base, "record.directory", text)?;
    let refuse = |why: &str| Err(Error::usage(format!("record.directory {text:?} {why}")));
    let Some(Component::Normal(name)) = directory.components().next_back() else {
        return refuse("does not end in a name");
    };
    if is_marked(&name.to_string_lossy()) {
        return refuse("has the mark of an unfinished record in its name");
    }
    // Without a trailing slash or dot, so that `<directory>.incomplete` is beside it.
    Ok(directory.components().collect())
}

/// What an attempt that did not finish adds to the record's name.
pub(crate) const MARKS: [&str; 2] = [".interrupted-", ".aborted-"];

/// Whether a directory's name belongs to a ceremony that did not finish, or has not finished yet.
pub(crate) fn is_marked(name: &str) -> bool {
    name.contains(".incomplete") || MARKS.iter().any(|mark| name.contains(mark))
}

/// Whether a text can name a custodian's or a witness's seat: it is shown on screens, on forms and in file
/// names.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.trim() == name
        && name.chars().count() <= 40
        && words::is_printable(name)
        && !name.contains(['/', '\\'])
        && !name.starts_with('.')
}
