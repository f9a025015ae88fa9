//! What the HSM's module cannot reach: it is somebody else's code in this process.
//!
//! [`close`] is called once, before a module is loaded, and cannot be undone. byok cleans the environment in this
//! process; it does not start itself again with a clean one. So its arguments and the PIN's descriptor stay as
//! they are, and the loader still finds a module's own libraries through LD_LIBRARY_PATH, which it read at the
//! start. A second start would not help against LD_PRELOAD: the preloaded code is there first, and could prevent
//! it. So the record names such variables.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::OnceLock;

use super::sockets::{self, Denied};
use super::start;
use crate::ground::error::{Error, Result};
use crate::ground::facts::Closed;
use crate::ground::files::read_at_most;
use crate::ground::out;
use crate::ground::raw;

/// The longest module that byok loads, in bytes: vendors' modules have a few hundred megabytes at most.
pub(crate) const LONGEST_MODULE: u64 = 1 << 30;

/// Variables from which known modules read their configuration.
const OF_MODULES: [&str; 8] = [
    "SOFTHSM2_CONF",
    "KRYOPTIC_CONF",
    "P11_KIT_SERVER_ADDRESS",
    "ChrystokiConfigurationPath",
    "CS_PKCS11_R3_CFG",
    "CKNFAST_LOADSHARING",
    "CKNFAST_FAKE_ACCELERATOR_LOGIN",
    "YUBIHSM_PKCS11_CONF",
];

impl Closed {
    /// For people, as half a sentence.
    pub(crate) fn told(&self) -> String {
        let sockets = match self.sockets_denied {
            true => "no sockets but those of this computer",
            false => {
                "network sockets are not denied: the plan allows a network, and byok cannot control what goes over it"
            }
        };
        format!(
            "{sockets}; descriptors closed: {}; environment variables hidden from the module: {}",
            self.descriptors_closed, self.variables_hidden
        )
    }

    /// What the loader's variables mean, for people.
    pub(crate) fn loader_told(&self) -> Option<String> {
        let names = self.loader_variables.join(", ");
        (!names.is_empty()).then(|| format!(
            "byok was started with {names}: that decides which libraries are loaded. It is recorded. To avoid it, start from a fresh login."
        ))
    }
}

/// What this process keeps. The default is for when no plan says what the module needs: the module gets everything.
#[derive(Default)]
pub struct Wish<'a> {
    /// Whether to refuse every socket that leads to a network.
    pub deny_sockets: bool,
    /// The variables that the module may see; `None`: all except the loader's.
    pub environment: Option<&'a [String]>,
    /// The descriptor from which the PIN is read.
    pub pin: Option<i32>,
}

static CLOSED: OnceLock<Closed> = OnceLock::new();

/// How this process was closed; `None`: not yet.
pub(crate) fn closed() -> Option<&'static Closed> {
    CLOSED.get()
}

/// Closes this process for good: descriptors, standard output, environment, privileges and, if they are denied,
/// network sockets. Called once, before there are other threads or a module.
///
/// # Errors
/// Exit 2 if the PIN's descriptor is a socket; exit 5 if the kernel refuses, or if byok cannot check the result.
pub fn close(wish: &Wish) -> Result<()> {
    wish.pin.map_or(Ok(()), refuse_socket)?;
    let descriptors_closed = close_descriptors(wish.pin)?;
    out::keep().map_err(|e| refused(&format!("keeping standard output: {e}")))?;
    let variables_hidden = hide_variables(wish.environment)?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|e| refused(&format!("giving up new privileges: {e}")))?;
    if wish.deny_sockets {
        sockets::deny(Denied::Sockets).map_err(|why| {
            refused(&format!("denying network sockets to this process: {why}"))
                .hint("it needs a kernel with CONFIG_SECCOMP_FILTER; a container may forbid it")
                .hint(
                    "or write network = \"allowed\" under [machine] in the plan; that is recorded",
                )
        })?;
    } else {
        // if the kernel refuses here, byok has promised nothing
        let _ = sockets::deny(Denied::Keystrokes);
    }
    let status = Status::read()?;
    let closed = Closed {
        sockets_denied: wish.deny_sockets && status.number("Seccomp") == Some(2),
        no_new_privileges: status.number("NoNewPrivs") == Some(1),
        umask: status.umask(),
        descriptors_closed,
        variables_hidden,
        loader_variables: start::loader_variables(),
    };
    if !closed.no_new_privileges || (wish.deny_sockets && !closed.sockets_denied) {
        return Err(refused(
            "the kernel accepted it, but does not confirm it for this process",
        ));
    }
    CLOSED
        .set(closed)
        .map_err(|_| refused("it was closed before"))
}

/// The PIN's descriptor stays open for the module too, so it must not lead out of this computer. If it is not
/// open, the code that reads the PIN says so.
fn refuse_socket(pin: i32) -> Result<()> {
    let kind = fs::metadata(format!("/proc/self/fd/{pin}")).map(|found| found.file_type());
    match kind {
        Ok(kind) if kind.is_socket() => Err(Error::usage(format!(
            "the PIN from descriptor {pin}: it is a socket"
        ))
        .hint("a socket may lead out of this computer, and the HSM's module would have it too")
        .hint("give a file or a pipe, say 3<pin.txt")),
        _ => Ok(()),
    }
}

fn close_descriptors(pin: Option<i32>) -> Result<usize> {
    let cannot = |why: &str| {
        refused(&format!(
            "closing the descriptors it was started with: {why}"
        ))
    };
    let inherited = start::descriptors()
        .ok_or_else(|| cannot("nobody looked at the start"))?
        .map_err(|e| cannot(&e.to_string()))?;
    let others = inherited.into_iter().filter(|fd| Some(fd.number()) != pin);
    Ok(others.map(raw::Inherited::close).count())
}

/// Hides the variables that are not among `kept`. The loader's variables stay only if a plan names them.
fn hide_variables(kept: Option<&[String]>) -> Result<usize> {
    let stays = |name: &OsStr| match kept {
        Some(kept) => kept.iter().any(|kept| OsStr::new(kept) == name),
        None => !start::is_the_loaders(name),
    };
    let names = std::env::vars_os().map(|(name, _)| name);
    let hidden: Vec<OsString> = names.filter(|name| !stays(name)).collect();
    raw::remove_variables(&hidden)
        .map_err(|why| refused(&format!("cleaning the environment: {why}")))?;
    Ok(hidden.len())
}

fn refused(what: &str) -> Error {
    Error::machine(format!(
        "closing this process before the HSM's module is loaded: {what}"
    ))
    .check("SANDBOX")
}

/// The variables that byok was started with and that the module reads: those of known modules, and those whose
/// names stand in the module's file.
pub(crate) fn module_variables(module: Option<&Path>) -> Vec<String> {
    let set: Vec<String> = start::names()
        .into_iter()
        .filter(|name| is_plain(name))
        .collect();
    let file = module.and_then(|path| read_at_most(path, LONGEST_MODULE).ok());
    let named = names_in(&file.unwrap_or_default(), &set);
    let reads = |name: &String| OF_MODULES.contains(&name.as_str()) || named.contains(name);
    set.iter().filter(|name| reads(name)).cloned().collect()
}

/// Those of them that the module cannot see.
pub(crate) fn hidden_module_variables(module: &Path) -> Vec<String> {
    let mut names = module_variables(Some(module));
    names.retain(|name| std::env::var_os(name).is_none());
    names
}

/// What to say if a module did not start or found nothing: what this process hides from it.
pub(crate) fn told_hidden(module: &Path) -> Vec<String> {
    let hidden = hidden_module_variables(module).into_iter().map(|name| {
        format!(
            "{name} is set, but the module does not see it: [hsm] env in the plan does not name it"
        )
    });
    hidden.collect()
}

/// The same about the network, which few modules need.
pub(crate) fn told_denied() -> Option<String> {
    let no_network = closed().is_some_and(|closed| closed.sockets_denied);
    no_network.then(|| {
        "byok denies the module every network socket (network = \"forbidden\"): if the HSM is reached by network, \
         write network = \"hsm\" under [machine] in the plan; that is recorded"
            .to_owned()
    })
}

/// Whether it is neither the loader's variable nor one that every login has.
fn is_plain(name: &str) -> bool {
    const OF_EVERY_LOGIN: [&str; 10] = [
        "HOME", "LANG", "LOGNAME", "MAIL", "PATH", "PWD", "SHELL", "TERM", "TZ", "USER",
    ];
    !start::is_the_loaders(OsStr::new(name)) && !OF_EVERY_LOGIN.contains(&name)
}

/// Which of these names occur in a program's bytes: as words of their own or, if a name is too long to be there by
/// chance, in the middle of a word, because not every compiler ends a text.
fn names_in(bytes: &[u8], names: &[String]) -> BTreeSet<String> {
    let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_unlike_others = |name: &str| name.len() >= 8 && name.contains('_');
    let is_in = |word: &[u8], name: &str| {
        let name = (name.as_bytes(), is_unlike_others(name));
        word == name.0 || (name.1 && word.windows(name.0.len()).any(|part| part == name.0))
    };
    let mut found = BTreeSet::new();
    for word in bytes
        .split(|byte| !is_of_a_name(byte))
        .filter(|word| word.len() > 1)
    {
        let named = names.iter().filter(|name| is_in(word, name));
        found.extend(named.cloned());
    }
    found
}

/// What the kernel says about this process, from proc(5).
struct Status(String);

impl Status {
    fn read() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/status");
        text.map(Self)
            .map_err(|e| refused(&format!("/proc/self/status: {e}")))
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.trim())
    }

    /// `0077` there, `077` for people.
    fn umask(&self) -> String {
        let umask = self.field("Umask").unwrap_or("unknown");
        umask.strip_prefix('0').unwrap_or(umask).to_owned()
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.field(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_reads_the_variables_that_its_file_names() {
        let names = ["SAFE", "VENDOR_CONF", "OTHER_CONF", "HOME_OF_IT"].map(str::to_owned);
        let file = b"\0x.SAFE\0UNSAFER\0openVENDOR_CONFread only\0OTHER_CON\0HOME_OF_IT=";
        let found: Vec<String> = names_in(file, &names).into_iter().collect();
        assert_eq!(found, ["HOME_OF_IT", "SAFE", "VENDOR_CONF"]);
        assert!(!names_in(b"UNSAFE\0", &names).contains("SAFE"));
    }
}
