//! The only wing that decides what a PKCS#11 module is asked (OASIS PKCS#11 v2.40): open a token, make keys, wrap them.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cryptoki::error::{Error as P11Error, RvError};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::Version;
use cryptoki_sys::{
    CK_TOKEN_INFO, CKF_PROTECTED_AUTHENTICATION_PATH, CKF_TOKEN_INITIALIZED,
    CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED,
};

use crate::crypto::locked::Locked;
use crate::ground::error::{Again, Error, Result};
use crate::ground::facts::{ModuleDescription, Nature, TokenFacts};
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::hsm::machine::{NoTurn, Turn, sandbox};

mod attributes;
mod check;
mod escrow;
mod fault;
mod keys;
pub mod machine;
mod nature;
mod other_list;
mod practice;
mod quirks;
mod secrets;
mod session;
mod sign;
mod source;
pub(crate) mod under_way;
mod unnamed;
mod unwrap;
mod wrap;

use fault::fault;
use session::{Context, Session};

pub(crate) use attributes::Life;
pub(crate) use escrow::EscrowHandle;
pub(crate) use fault::{session_was_lost, tells_more, went_away};
pub(crate) use keys::{DataKey, Found, Material, Object, removal_command};
pub(crate) use sign::{FoundSigner, SigningKey};
pub(crate) use source::Named;
pub use wrap::{Transport, Way, WrappingHandle};

/// The check id of every key that is not what byok asked for.
const ATTRIBUTES: &str = "ATTRIBUTES";

/// An error for an HSM that could not be opened. The hints about what this process hides from the module
/// print first, because a wrong cable is the rarer cause.
fn kept_from(module: &Path, mut error: Error) -> Error {
    error.hints.splice(..0, sandbox::told_hidden(module));
    // most HSMs are not reached by network, unless nothing answers
    let at = match error.again {
        Again::Away => 0,
        Again::Unknown | Again::Never => error.hints.len(),
    };
    error.hints.splice(at..at, sandbox::told_denied());
    error
}

/// Opens the module's file: byok neither waits for a FIFO nor reads a device to its end.
fn read_module(path: &Path) -> std::io::Result<std::io::Take<File>> {
    let file = crate::ground::files::open_regular(path)?;
    if file.metadata()?.len() > sandbox::LONGEST_MODULE {
        return Err(std::io::Error::other("longer than any PKCS#11 module"));
    }
    Ok(file.take(sandbox::LONGEST_MODULE))
}

/// A PKCS#11 module, loaded and initialised.
pub struct Module {
    path: PathBuf,
    sha256: words::Digest,
    library: String,
    context: Context,
}

impl Module {
    /// Loads the shared library and calls C_Initialize.
    ///
    /// # Errors
    /// Exit 3: there is no such file, it is not a PKCS#11 module, or C_Initialize failed. Exit 5 if this process
    /// was not closed first ([`sandbox::close`]).
    pub fn load(path: &Path) -> Result<Self> {
        let doing = || format!("loading the PKCS#11 module {}", path.display());
        if sandbox::closed().is_none() {
            // it is somebody else's code, and from here it could still reach the network
            return Err(Error::machine("this process was not closed first").doing(doing()));
        }
        let sha256 = read_module(path).and_then(words::sha256_of).map_err(|e| {
            Error::hsm(e.to_string())
                .doing(doing())
                .hint("give the path of the vendor's shared library, as `module` in a plan or with --module")
                .hint(
                    "SoftHSM on Debian: apt-get install softhsm2, /usr/lib/softhsm/libsofthsm2.so",
                )
        })?;
        // dlopen would look for a bare name in other places than the file that was digested.
        let whole =
            std::path::absolute(path).map_err(|e| Error::hsm(e.to_string()).doing(doing()))?;
        let failed = |e| fault(e).doing(doing());
        let opening = |e| kept_from(path, failed(e));
        let context = Context::new(&whole).map_err(opening)?;
        context.initialize().map_err(|e| {
            let error = failed(e).hint(
                "the module did not start: look at its own configuration first \
                 (SoftHSM: SOFTHSM2_CONF)",
            );
            kept_from(path, error)
        })?;
        let info = context.get_library_info().map_err(opening)?;
        let library = format!(
            "{} {} {}",
            padded(&info.manufacturerID),
            padded(&info.libraryDescription),
            Version::from(info.libraryVersion)
        );
        Ok(Self {
            path: path.to_owned(),
            sha256,
            library: words::printable(&library),
            context,
        })
    }

    /// Every initialised token that the module shows, in its order.
    ///
    /// # Errors
    /// Exit 3 if the module does not answer.
    pub(crate) fn tokens(&self) -> Result<Vec<Token>> {
        self.look().map(|seen| seen.tokens)
    }

    /// What is in the slots. A slot that does not answer is no reason to refuse the tokens beside it.
    fn look(&self) -> Result<Seen> {
        let listing = |e| kept_from(&self.path, fault(e).doing("listing the tokens"));
        let mut seen = Seen::default();
        for slot in self.context.get_slots_with_token().map_err(listing)? {
            match self.context.get_token_info(slot) {
                Ok(info) if info.flags & CKF_TOKEN_INITIALIZED != 0 => {
                    seen.tokens.push(Token::new(slot, &info));
                }
                Ok(_) => seen.free.push(slot),
                Err(e) => seen.silent.push((slot, fault(e).what)),
            }
        }
        Ok(seen)
    }

    /// The one token that the URI names.
    ///
    /// # Errors
    /// Exit 3 if no token matches, or more than one; the hints list the tokens that are there.
    pub(crate) fn find(&self, uri: &TokenUri) -> Result<Token> {
        self.find_where(uri, |token| uri.names(token))
    }

    /// A slot that reports nothing now may do so a moment later: SoftHSM behaves so while another process writes.
    fn look_for(&self, wanted: impl Fn(&Token) -> bool) -> Result<Seen> {
        for pause in [200, 400, 800] {
            let seen = self.look()?;
            if seen.silent.is_empty() || seen.tokens.iter().any(&wanted) {
                return Ok(seen);
            }
            std::thread::sleep(Duration::from_millis(pause));
        }
        self.look()
    }

    fn find_where(&self, uri: &TokenUri, wanted: impl Fn(&Token) -> bool) -> Result<Token> {
        let seen = self.look_for(&wanted)?;
        let mut matching: Vec<&Token> = seen.tokens.iter().filter(|t| wanted(t)).collect();
        let error = match (matching.pop(), matching.len()) {
            (Some(token), 0) => return Ok(token.clone()),
            (None, _) => return Err(seen.none_matches(uri, &self.path)),
            (Some(_), more) => Error::hsm(format!("{uri}: {} tokens match", more + 1))
                .hint("give label and serial, so that exactly one matches"),
        };
        Err(seen.with_those_there(error))
    }

    /// Opens a read-write session with the token, and keeps every other byok on this computer away from it
    /// meanwhile. Nobody is logged in yet.
    ///
    /// # Errors
    /// Exit 3 if C_OpenSession fails; exit 5 if another byok is using the token, or byok cannot find out.
    pub(crate) fn open(&self, token: &Token) -> Result<Hsm> {
        Ok(Hsm {
            _turn: turn(token)?,
            context: self.context.clone(),
            session: self.session(token)?,
            token: token.clone(),
            hardware_slot: self.is_hardware_slot(token.slot),
            omission: Cell::default(),
            token_omission: Cell::default(),
            unwrapping: Cell::default(),
            cipher: 0,
            public_keys: RefCell::default(),
        })
    }

    /// Whether the slot says that it is hardware; a slot that does not answer counts as one that does not.
    fn is_hardware_slot(&self, slot: Slot) -> bool {
        let info = self.context.get_slot_info(slot);
        info.is_ok_and(|info| info.hardware_slot())
    }

    fn session(&self, token: &Token) -> Result<Session> {
        self.context.open_rw_session(token.slot).map_err(|e| {
            let error = fault(e).doing(format!("opening a session with {}", token.uri()));
            let error = error.hint(
                "byok cannot use a token that is write-protected, removed or in use elsewhere",
            );
            kept_from(&self.path, error)
        })
    }

    /// Opens a session to replace the one that the HSM lost, with the token of the same label and serial, in
    /// whatever slot it is now. Session objects are gone, and nobody is logged in.
    ///
    /// # Errors
    /// Exit 3 if that token is not there, or if C_OpenSession fails; `hsm` is then unchanged.
    pub(crate) fn reopen(&self, hsm: &mut Hsm) -> Result<()> {
        // Best effort: a login that outlived the failure would make the next C_Login fail.
        let _ = hsm.session.logout();
        let token = self.find_where(&hsm.token.uri(), |token| token.is(&hsm.token))?;
        hsm.session = self.session(&token)?;
        hsm.token = token;
        Ok(())
    }

    /// Checks that the module's file still has the digest that the transcript records.
    ///
    /// # Errors
    /// Exit 4 if its digest has changed, or if the file can no longer be read.
    pub(crate) fn is_unchanged(&self) -> Result<()> {
        let why = match read_module(&self.path).and_then(words::sha256_of) {
            Ok(sha256) if sha256 == self.sha256 => return Ok(()),
            Ok(sha256) => format!(
                "its SHA-256 was {} and is now {}",
                words::hex(&self.sha256),
                words::hex(&sha256)
            ),
            Err(e) => e.to_string(),
        };
        let path = self.path.display();
        Err(Error::mismatch(format!("the PKCS#11 module {path} changed while it was in use: {why}"))
            .check("MODULE-CHANGED")
            .hint("find out who changed it before you trust this machine; if it was a software update, start byok again"))
    }

    /// The module as the transcript records it.
    pub(crate) fn description(&self) -> ModuleDescription {
        ModuleDescription {
            module: words::path(&self.path),
            module_sha256: words::hex(&self.sha256),
            library: self.library.clone(),
        }
    }
}

/// What the slots of a module contain.
#[derive(Default)]
struct Seen {
    /// Initialised tokens.
    tokens: Vec<Token>,
    /// Slots whose token is not initialised.
    free: Vec<Slot>,
    /// Slots whose C_GetTokenInfo failed, each with its error.
    silent: Vec<(Slot, String)>,
}

impl Seen {
    fn with_those_there(&self, error: Error) -> Error {
        let there = |error: Error, token: &Token| error.hint(format!("there is {}", token.uri()));
        self.tokens.iter().fold(error, there)
    }

    /// The likeliest cause first: the tokens that are there have other names, or none is there.
    fn none_matches(&self, uri: &TokenUri, module: &Path) -> Error {
        let error = Error::hsm(format!("{uri}: {}", self.why_none(uri)));
        let silent = self.silent.iter().fold(error, |e, (slot, why)| {
            e.hint(format!(
                "slot {:#x} does not describe its token ({why}): if yours is in it, look at that HSM and try again",
                slot.id()
            ))
        });
        if self.tokens.is_empty() {
            let connected = "is the HSM connected, and does the module find its configuration?";
            return kept_from(module, silent.hint(connected));
        }
        let mut error = kept_from(module, silent);
        let kept = std::mem::take(&mut error.hints);
        error = self
            .with_those_there(error)
            .hint("if it is one of these, give that: `token` under [hsm] in the plan, or --token");
        kept.into_iter().fold(error, Error::hint)
    }

    fn why_none(&self, uri: &TokenUri) -> String {
        let is_there = |label: &String| self.tokens.iter().any(|token| token.token == *label);
        match &uri.token {
            _ if self.tokens.is_empty() => "the module shows no initialised token".to_owned(),
            Some(label) if !is_there(label) => {
                format!("no token matches: none has the label {label:?}")
            }
            _ => "no token matches: serial, manufacturer or model differs".to_owned(),
        }
    }
}

/// An initialised token in its slot.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    slot: Slot,
    facts: TokenFacts,
    written: TokenUri,
    pinpad: bool,
}

impl std::ops::Deref for Token {
    type Target = TokenFacts;

    fn deref(&self) -> &TokenFacts {
        &self.facts
    }
}

/// The text of a fixed-length field. It is padded with blanks, or with a zero byte and whatever follows.
fn padded(field: &[u8]) -> String {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text.trim_ascii_end()).into_owned()
}

/// The text of such a field, if a URI can contain it.
fn as_written(field: &[u8]) -> Option<String> {
    let text = padded(field);
    let is_utf8 = !text.contains(char::REPLACEMENT_CHARACTER);
    (is_utf8 && !text.is_empty() && words::is_printable(&text)).then_some(text)
}

impl Token {
    fn new(slot: Slot, info: &CK_TOKEN_INFO) -> Self {
        let clean = |field: &[u8]| words::printable(&padded(field));
        Self {
            slot,
            facts: TokenFacts {
                token: clean(&info.label),
                manufacturer: clean(&info.manufacturerID),
                model: clean(&info.model),
                serial: clean(&info.serialNumber),
                firmware: Version::from(info.firmwareVersion).to_string(),
            },
            written: TokenUri {
                token: as_written(&info.label),
                serial: as_written(&info.serialNumber),
                ..TokenUri::default()
            },
            pinpad: info.flags & CKF_PROTECTED_AUTHENTICATION_PATH != 0,
        }
    }

    /// Whether it is the same token, in whatever slot it is now.
    fn is(&self, other: &Self) -> bool {
        let names = |t: &Self| [&t.token, &t.serial, &t.manufacturer, &t.model].map(String::clone);
        names(self) == names(other)
    }

    /// What a record says about the token.
    pub(crate) fn facts(&self) -> TokenFacts {
        self.facts.clone()
    }

    /// The URI that a plan should use: label and serial, as far as a URI can contain them.
    pub(crate) fn uri(&self) -> TokenUri {
        self.written.clone()
    }
}

/// How many tries are left after a wrong PIN, according to the token (CK_TOKEN_INFO flags).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TriesLeft {
    /// The token does not say.
    NotSaid,
    /// At least one wrong PIN was entered since the last right one (CKF_USER_PIN_COUNT_LOW).
    Low,
    /// The next wrong PIN locks the token (CKF_USER_PIN_FINAL_TRY).
    Last,
    /// None: the PIN is locked (CKF_USER_PIN_LOCKED).
    Locked,
}

/// The result of one C_Login.
pub(crate) enum Login {
    /// The user is logged in.
    Done,
    /// CKR_PIN_INCORRECT, or a PIN of impossible length: all that is known is that this PIN is wrong.
    WrongPin(TriesLeft),
}

/// An open session with a token. Dropping it closes the session, and session objects with it.
pub(crate) struct Hsm {
    context: Context,
    session: Session,
    token: Token,
    /// Whether its slot has CKF_HW_SLOT set.
    hardware_slot: bool,
    /// The row of `quirks::OMISSIONS` that the module accepts for session objects.
    omission: Cell<usize>,
    /// The same for token objects.
    token_omission: Cell<usize>,
    /// The row of `quirks::UNWRAPPINGS` that the module accepts.
    unwrapping: Cell<usize>,
    /// The row of `quirks::BLOCK_CIPHERS` that the module accepts.
    cipher: usize,
    /// Public halves that an Ed25519 key in the token may have.
    public_keys: RefCell<Vec<[u8; 32]>>,
    /// Dropped last: the next byok may begin when everything above is done.
    _turn: Turn,
}

/// Keeps every other byok on this computer away from the token: nobody may change what this one finds in it.
fn turn(token: &Token) -> Result<Turn> {
    let named = [
        &token.manufacturer,
        &token.model,
        &token.serial,
        &token.token,
    ];
    let named = named.map(|text| format!("{}:{text}", text.len())).concat();
    let name = format!(
        "byok-token-{}",
        words::hex(&words::sha256(named.as_bytes())[..16])
    );
    Turn::take(&name).map_err(|why| no_turn(token, why))
}

fn no_turn(token: &Token, why: NoTurn) -> Error {
    let error = match why {
        NoTurn::Held => Error::machine(format!(
            "another byok is using the HSM token {}",
            token.uri()
        ))
        .check("TOKEN-IN-USE")
        .hint("a token serves one ceremony at a time: let the other one end, or end it at its own screen, then run again")
        .hint("byok check --hsm and byok doctor also use the token while they run"),
        NoTurn::Planted { path, owner } => Error::machine(format!(
            "the lock file {}, which keeps other ceremonies away from the HSM token, {}",
            path.display(),
            owner.map_or("appears and disappears".into(), |owner| format!("belongs to user {owner}"))
        ))
        .check("TOKEN-LOCK")
        .hint("byok accepts it only from root or from the user who runs byok: any other owner could remove it during a ceremony")
        .hint(format!("find out what it is; if that user is not running byok, remove it as root: rm {}", path.display())),
        NoTurn::System(e) => Error::machine(e.to_string())
            .doing(format!("keeping other ceremonies away from {}", token.uri())),
    };
    error.hint("this byok did not touch the token")
}

impl Hsm {
    /// The token of this session.
    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// Whether it is a device or a program, and how byok knows; `reason` is `hsm.hardware` of the plan.
    pub(crate) fn nature(&self, reason: Option<&str>) -> Nature {
        Nature::of(&self.token, self.hardware_slot, reason)
    }

    /// What the token says about PIN tries.
    ///
    /// # Errors
    /// Exit 3 if C_GetTokenInfo fails.
    pub(crate) fn tries_left(&self) -> Result<TriesLeft> {
        let info = self
            .context
            .get_token_info(self.token.slot)
            .map_err(fault)?;
        let says = |flag| info.flags & flag != 0;
        Ok(if says(CKF_USER_PIN_LOCKED) {
            TriesLeft::Locked
        } else if says(CKF_USER_PIN_FINAL_TRY) {
            TriesLeft::Last
        } else if says(CKF_USER_PIN_COUNT_LOW) {
            TriesLeft::Low
        } else {
            TriesLeft::NotSaid
        })
    }

    /// One C_Login as user. `None` is the PIN pad (CKF_PROTECTED_AUTHENTICATION_PATH).
    ///
    /// # Errors
    /// Exit 3 for everything except a wrong PIN: no PIN pad, PIN locked, token gone.
    pub(crate) fn login(&self, pin: Option<&Locked>) -> Result<Login> {
        let outcome = match pin {
            Some(pin) => {
                secrets::as_pin(pin, |pin| self.session.login_with_raw(UserType::User, pin))
            }
            None if self.token.pinpad => self.session.login(UserType::User, None),
            None => {
                return Err(Error::hsm("the token has no PIN pad").hint(
                    "`pin` in a plan, or --pin, may be prompt, prompt-halves, file:PATH or fd:N",
                ));
            }
        };
        match outcome {
            Ok(()) => Ok(Login::Done),
            Err(P11Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid,
                _,
            )) => Ok(Login::WrongPin(
                // the PIN was wrong even if the token does not answer this question now
                self.tries_left().unwrap_or(TriesLeft::NotSaid),
            )),
            Err(P11Error::Pkcs11(RvError::PinLocked, _)) => Err(Error::hsm(
                "logging in: C_Login: CKR_PIN_LOCKED: the token's PIN is locked",
            )
            .hint("ask the HSM's security officer to reset the user PIN; then start byok again")),
            Err(other) => Err(fault(other).doing("logging in")),
        }
    }
}

impl Drop for Hsm {
    fn drop(&mut self) {
        // Best effort: closing the session, which comes next, also logs out.
        let _ = self.session.logout();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_ends_where_its_text_ends() {
        for (field, text) in [
            (&b"ceremony        "[..], "ceremony"),
            (b"ceremony\0\0\0\0", "ceremony"),
            (b"ceremony\0    ", "ceremony"),
            (b"ceremony  \0\0", "ceremony"),
            (b"0a\0left over", "0a"),
            (b"\0\0\0\0", ""),
        ] {
            assert_eq!(padded(field), text);
        }
    }

    #[test]
    fn a_name_that_cannot_be_written_is_in_no_uri() {
        assert_eq!(as_written(b"The HSM \0"), Some("The HSM".to_owned()));
        for field in [
            &b"\x01\x02\x03    "[..],
            b"0a\xff1c",
            b"        ",
            b"a\x1b[2J",
        ] {
            assert_eq!(as_written(field), None);
        }
    }
}
