//! One error type for the whole tool: what happened, what now exists, what to do.
//!
//! People read an error in a locked room with nobody to ask. So every error has the exit code on which scripts
//! rely, the step in which it happened, the state of the world after it, and hints, each with one thing to do.

use std::fmt;

use crate::ground::paint::Paint;
use crate::ground::words;

/// The process exit codes. They are a contract: docs/command-line.md explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// A person declined, or the run was interrupted.
    Declined = 1,
    /// Usage, the plan, or an input file.
    Usage = 2,
    /// The HSM: module, token, PIN, label, mechanism, object.
    Hsm = 3,
    /// Something is not what it claims to be: digest, share, fingerprint, expired token, KMS key.
    Mismatch = 4,
    /// The machine: disk, permissions, air gap, clock, a live run.
    Machine = 5,
}

/// The thirteen steps of a ceremony, numbered as on the printed script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the documentation; `Step::name` says them to people
pub enum Step {
    OpenRecord = 1,
    RollCall,
    Machine,
    OpenHsm,
    Parameters,
    Preflight,
    Generate,
    Wrap,
    Escrow,
    ProveEscrow,
    WriteOutputs,
    Seal,
    Next,
}

impl Step {
    /// How many steps a ceremony has.
    pub(crate) const COUNT: u8 = 13;

    /// All of them, in their order.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::OpenRecord,
        Self::RollCall,
        Self::Machine,
        Self::OpenHsm,
        Self::Parameters,
        Self::Preflight,
        Self::Generate,
        Self::Wrap,
        Self::Escrow,
        Self::ProveEscrow,
        Self::WriteOutputs,
        Self::Seal,
        Self::Next,
    ];

    /// The step's number on screens and on paper, 1 to 13.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What the step is called on screens and on paper.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenRecord => "open the record",
            Self::RollCall => "roll call",
            Self::Machine => "look at the machine",
            Self::OpenHsm => "open the HSM",
            Self::Parameters => "read the import parameters",
            Self::Preflight => "preflight",
            Self::Generate => "the data keys", // made, found, recovered or destroyed
            Self::Wrap => "wrap",
            Self::Escrow => "escrow",
            Self::ProveEscrow => "prove the escrow",
            Self::WriteOutputs => "write the outputs",
            Self::Seal => "seal",
            Self::Next => "what comes next",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "step {} of {}, {}",
            self.number(),
            Self::COUNT,
            self.name()
        )
    }
}

/// Whether another try could help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// Not known.
    #[default]
    Unknown,
    /// The HSM does not answer: it must come back first.
    Away,
    /// It cannot: the HSM will always refuse this request.
    Never,
}

/// A refusal or a failure, with everything that is needed to act.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.line())]
pub struct Error {
    /// The exit code of the process.
    pub exit: Exit,
    /// The ceremony step, once one has begun.
    pub step: Option<Step>,
    /// The id of the check that refused, such as `WRAPPING-KEY-MATCH`.
    pub check: Option<&'static str>,
    /// What went wrong, lower case, no full stop.
    pub what: String,
    /// Whether people already read it on standard output: then only the exit code remains.
    pub said: bool,
    /// What now exists, one sentence each.
    pub state: Vec<String>,
    /// What to do, one thing each.
    pub hints: Vec<String>,
    /// Whether another try could help.
    pub again: Again,
    /// The verdict on a record, printed last.
    pub verdict: Option<&'static str>,
}

/// The result of everything that can be refused.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with this exit code; add [`hint`](Self::hint)s to it.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            step: None,
            check: None,
            what: words::without_os_number(&what.into()),
            said: false,
            state: Vec::new(),
            hints: Vec::new(),
            again: Again::Unknown,
            verdict: None,
        }
    }

    /// A person declined or interrupted (exit 1).
    pub(crate) fn declined(what: impl Into<String>) -> Self {
        Self::new(Exit::Declined, what)
    }

    /// Usage, plan or input file (exit 2).
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// The HSM (exit 3).
    pub(crate) fn hsm(what: impl Into<String>) -> Self {
        Self::new(Exit::Hsm, what)
    }

    /// Something is not what it claims to be (exit 4).
    pub(crate) fn mismatch(what: impl Into<String>) -> Self {
        Self::new(Exit::Mismatch, what)
    }

    /// The machine (exit 5).
    pub(crate) fn machine(what: impl Into<String>) -> Self {
        Self::new(Exit::Machine, what)
    }

    /// Adds one thing to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(words::without_os_number(&hint.into()));
        self
    }

    /// Adds one sentence about what now exists.
    #[must_use]
    pub(crate) fn state(mut self, state: impl Into<String>) -> Self {
        self.state.push(words::without_os_number(&state.into()));
        self
    }

    /// Adds what now exists and what to do, where nothing deeper said it.
    #[must_use]
    pub(crate) fn or_else(mut self, state: impl Into<String>, hint: impl Into<String>) -> Self {
        if self.state.is_empty() {
            self = self.state(state);
        }
        match self.hints.is_empty() {
            true => self.hint(hint),
            false => self,
        }
    }

    /// Says that people already read it.
    #[must_use]
    pub(crate) fn said(mut self) -> Self {
        self.said = true;
        self
    }

    /// Adds a verdict. It is printed last: whatever is quoted above it, this is the real one.
    #[must_use]
    pub(crate) fn verdict(mut self, verdict: &'static str) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// Names the check that refused.
    #[must_use]
    pub(crate) fn check(mut self, id: &'static str) -> Self {
        self.check = Some(id);
        self
    }

    /// Says whether another try could help.
    #[must_use]
    pub(crate) fn again(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    /// Adds what was being done: `doing: what`.
    #[must_use]
    pub(crate) fn doing(mut self, doing: impl fmt::Display) -> Self {
        self.what = words::without_os_number(&format!("{doing}: {}", self.what));
        self
    }

    /// Records the step, unless one is recorded already by deeper code.
    #[must_use]
    pub(crate) fn at(mut self, step: Step) -> Self {
        self.step.get_or_insert(step);
        self
    }

    /// The error in one line: step, what, check id.
    pub fn line(&self) -> String {
        let step = self.step.map(|s| format!("{s}: ")).unwrap_or_default();
        let check = self.check.map(|c| format!(" [{c}]")).unwrap_or_default();
        words::printable(&format!("{step}{}{check}", self.what))
    }

    /// The error as a person sees it: `error:`, `state:` and `hint:` lines.
    pub fn for_people(&self) -> String {
        let mut text = format!("byok: error: {}\n", self.line());
        for state in &self.state {
            text += &format!("byok: state: {}\n", words::printable(state));
        }
        for hint in &self.hints {
            text += &format!("byok: hint: {}\n", words::printable(hint));
        }
        if let Some(verdict) = self.verdict {
            text += &format!("byok: verdict: {}\n", Paint::Bad.on(verdict));
        }
        text
    }
}
