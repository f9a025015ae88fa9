//! `byok rehearse`: the whole life of a data key, or one ceremony of a plan, on a soft HSM and a stand-in
//! KMS, every claim proved.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use unicode_width::UnicodeWidthStr as _;

use crate::crypto::wrapping;
use crate::evidence::receipts;
use crate::evidence::record::Sealed;
use crate::evidence::transcript;
use crate::evidence::verify::{self, Verified};
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::text::fold;
use crate::hsm::Module;
use crate::hsm::machine::sandbox::{self, Wish};
use crate::plan::{ImportPlan, KeyPlan, Plan, WrapIn};
use crate::rehearsal::{self, StandInKms};

mod life;
mod papers;
mod practise;

/// Where SoftHSM's module is on common systems, and where `rehearse.sh` unpacks it.
const SOFTHSM: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "target/softhsm/usr/lib/softhsm/libsofthsm2.so",
];

/// Rehearses: without a plan, asking nothing; with one, its names and screens at a terminal.
///
/// # Errors
/// Whatever the ceremony refuses; exit 4 if anything that should be proved is not.
pub(crate) fn rehearse(
    plan: Option<&Path>,
    module: Option<&Path>,
    directory: &Path,
    room: Option<&Path>,
) -> Result<()> {
    if let (Some(plan), None) = (plan, room) {
        practise::can_be_practised(plan)?; // before a directory is made for it
    }
    let module = match module {
        // The rehearsal's plan is elsewhere, and its paths are relative to it.
        Some(path) => {
            std::path::absolute(path).map_err(|e| Error::hsm(format!("{}: {e}", path.display())))?
        }
        None => find_softhsm()?,
    };
    match room {
        Some(room) => in_room(plan, &module, room),
        None => Err(start_in_room(plan, &module, directory)),
    }
}

fn find_softhsm() -> Result<PathBuf> {
    let found = SOFTHSM.iter().map(Path::new).find(|path| path.exists());
    let path = found.ok_or_else(|| {
        Error::hsm("SoftHSM is not installed: a rehearsal needs it")
            .hint("apt-get install -y --no-install-recommends softhsm2, or give --module PATH")
            .hint("in a clone or a bundle: ceremony-scripts/rehearse.sh unpacks SoftHSM, without root")
    })?;
    path.canonicalize()
        .map_err(|e| Error::hsm(format!("{}: {e}", path.display())))
}

/// Makes the directory of this rehearsal and starts byok again in it, because SoftHSM reads its configuration from
/// the environment, which a running process must not change.
fn start_in_room(plan: Option<&Path>, module: &Path, directory: &Path) -> Error {
    let room = match make_room(directory) {
        Ok(room) => room,
        Err(error) => return error,
    };
    let mut command = Command::new("/proc/self/exe");
    command
        .env("SOFTHSM2_CONF", room.join("softhsm2.conf"))
        .arg("rehearse");
    command
        .args(plan.map(Path::as_os_str))
        .args([OsStr::new("--module"), module.as_os_str()]);
    command.args([OsStr::new("--room"), room.as_os_str()]);
    Error::machine(format!(
        "starting byok in {}: {}",
        room.display(),
        command.exec()
    ))
}

fn make_room(directory: &Path) -> Result<PathBuf> {
    let cannot = |e: std::io::Error| {
        Error::machine(format!(
            "making a rehearsal's directory in {}: {e}",
            directory.display()
        ))
        .hint("choose another place with --directory")
    };
    let mut private = DirBuilder::new();
    private
        .mode(0o700)
        .recursive(true)
        .create(directory)
        .map_err(cannot)?;
    let directory = directory.canonicalize().map_err(cannot)?;
    let stamp = clock::compact(clock::now());
    for attempt in 1..100 {
        let room = directory.join(if attempt == 1 {
            stamp.clone()
        } else {
            format!("{stamp}-{attempt}")
        });
        match DirBuilder::new().mode(0o700).create(&room) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(cannot(e)),
        }
        for below in ["tokens", "inputs"] {
            DirBuilder::new()
                .mode(0o700)
                .create(room.join(below))
                .map_err(cannot)?;
        }
        write_new(
            &room.join("softhsm2.conf"),
            rehearsal::softhsm_configuration(&room)?.as_bytes(),
        )?;
        write_new(
            &room.join("pin"),
            format!("{}\n", rehearsal::PIN).as_bytes(),
        )?;
        return Ok(room);
    }
    Err(Error::machine("no free name for a rehearsal's directory"))
}

fn in_room(plan: Option<&Path>, module: &Path, room: &Path) -> Result<()> {
    let environment: Vec<String> = rehearsal::ENVIRONMENT.map(str::to_owned).into();
    // A rehearsal's soft HSM needs no network, whatever a plan says about a real one.
    sandbox::close(&Wish {
        deny_sockets: true,
        environment: Some(&environment),
        pin: None,
    })?;
    let rehearsed = match plan {
        Some(plan) => practise::practise(plan, module, room),
        None => life::live(module, room),
    };
    rehearsed.map_err(|error| {
        error.or_else(
            format!("only practice things were made, in {}", room.display()),
            "run the same command again: each rehearsal has a directory of its own",
        )
    })
}

/// Writes what the KMS gives for each import, to the file that the plan names.
fn write_parameters(plan: &Plan, kms: &StandInKms) -> Result<()> {
    for (_, import) in plan.imports() {
        let parameters = kms.parameters(&import.kms_key, import.wrapping);
        write_new(&import.parameters, parameters.as_bytes())?;
    }
    Ok(())
}

/// Tells about a ceremony that made data keys, each line after it was proved.
fn tell_ceremony(plan: &Plan, sealed: &Sealed, kms: &mut StandInKms) -> Result<Verified> {
    let record = &sealed.directory;
    let verified = verify::verify(record, None).map_err(not_proved)?;
    for key in verified.report().keys {
        let made = format!(
            "{}: {} inside a soft HSM",
            key.label,
            made_of(plan, &key.label)
        );
        tell("made", &made, &key.glance())?;
    }
    tell_imports(plan, record, &verified, kms)?;
    Ok(verified)
}

/// Tells about each import, once the KMS has taken it and holds the data key that the record names.
fn tell_imports(
    plan: &Plan,
    record: &Path,
    verified: &Verified,
    kms: &mut StandInKms,
) -> Result<()> {
    let several = plan.imports().count() > 1;
    for (key, import) in plan.imports() {
        let which = match (several, plan.keys.len()) {
            (false, _) => String::new(),
            (true, 1) => format!("{}: ", import.name),
            (true, _) => format!("{}/{}: ", key.label, import.name),
        };
        let bytes = hand_over(record, key, import, kms)?;
        let place = match import.wrap_in {
            WrapIn::Hsm => "inside the HSM",
            WrapIn::Host => "in this computer",
        };
        let under = format!("{which}{place}, under a stand-in KMS's RSA-4096 key");
        tell("wrapped", &under, &format!("{bytes} bytes"))?;
        let material = kms.material(import.kms_key.as_str())?;
        same_material(verified, key, material)?;
        // the record cannot say more: nobody files what the stand-in answers
        let told = format!("{which}the stand-in holds the same key; {}", receipts::NONE);
        tell("imported", &told, "opened")?;
    }
    Ok(())
}

/// Imports what the record holds for one KMS key. Returns how long the wrapped material is.
fn hand_over(
    record: &Path,
    key: &KeyPlan,
    import: &ImportPlan,
    kms: &mut StandInKms,
) -> Result<usize> {
    let folder = record.join(&key.label).join(&import.name);
    let wrapped = read(&folder.join("WrappedKeyMaterial.bin"))?;
    let of_aws = import.kms_key.arn().is_some();
    let token = of_aws.then(|| read(&folder.join("ImportToken.bin")));
    let token = token.transpose()?;
    let name = import.kms_key.as_str();
    kms.import(name, key.spec, import.wrapping, &wrapped, token.as_deref())?;
    Ok(wrapped.len())
}

/// The last lines: what nobody can change unseen, and where it is.
fn tell_end(record: &Path) -> Result<()> {
    tell_tampering(record)?;
    let look = record.join(crate::paper::report::FILE);
    super::print(&format!(
        "look at   {}\n          then docs/first-ceremony.md\n",
        shortened(&look).display()
    ))
}

fn tell_tampering(record: &Path) -> Result<()> {
    tell("evidence", &tampering_is_seen(record)?, "refused")
}

/// Makes a token in the soft HSM. The module is unloaded again, because each ceremony loads it itself.
fn make_token(module: &Path, label: &str) -> Result<()> {
    Module::load(module)?.make_practice_token(label, rehearsal::PIN, rehearsal::PIN)
}

/// What a data key of the plan is made of: `32 random bytes`, `key pair on P-384`.
fn made_of(plan: &Plan, label: &str) -> String {
    let key = plan.keys.iter().find(|key| key.label == label);
    match key.map(|key| key.spec) {
        Some(spec) => match spec.secret_len() {
            Some(bytes) => format!("{bytes} random bytes"),
            None => spec.to_string(),
        },
        None => String::new(),
    }
}

/// Checks that the stand-in or the escrow opened the key that the HSM made, according to the transcript.
fn same_material(verified: &Verified, key: &KeyPlan, opened: &[u8]) -> Result<()> {
    let check = wrapping::check_values(key.spec, opened)?;
    let label = &key.label;
    let report = verified.report();
    let made = report.keys.iter().find(|key| key.label == *label);
    let same = made.is_some_and(|key| {
        key.kcv == check.kcv && key.fingerprint == check.fingerprint.to_string()
    });
    if !same {
        return Err(not_proved(format!(
            "the material that came out is not the HSM's data key {label:?}"
        )));
    }
    Ok(())
}

/// Changes one byte in a copy of the transcript, and has it verified.
fn tampering_is_seen(record: &Path) -> Result<String> {
    let mut bytes = read(&record.join(transcript::FILE))?;
    let middle = bytes.len() / 2;
    let line = bytes[..middle]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    bytes[middle] ^= 1;
    match transcript::Chain::read(&bytes) {
        Err(why) if why.line == Some(line) => {
            Ok(format!("one byte changed: verify names line {line}"))
        }
        Err(why) => Err(not_proved(format!(
            "a changed byte in line {line} was called {why}"
        ))),
        Ok(_) => Err(not_proved("a changed byte in the transcript was not seen")),
    }
}

/// One line; if it is too long, the outcome is below.
fn tell(what: &str, text: &str, outcome: &str) -> Result<()> {
    const WIDTH: usize = 69; // of 79, after the subject
    let needed = text.width() + 1 + outcome.width();
    if needed <= WIDTH {
        let text_width = (WIDTH - 1 - outcome.width()).min(55);
        let gap = text_width.saturating_sub(text.width()) + 1;
        return super::print(&format!("{what:<9} {text}{:gap$}{outcome}\n", ""));
    }
    let text = fold(text, "          ");
    let outcome = fold(outcome, "          ");
    super::print(&format!("{what:<9} {}{outcome}", text.trim_start()))
}

fn not_proved(why: impl std::fmt::Display) -> Error {
    Error::mismatch(format!("the rehearsal did not prove what it should: {why}"))
        .hint("do not hold a real ceremony with this build")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::machine(format!("reading {}: {e}", path.display())))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    crate::ground::files::write_new(path, bytes)
        .map_err(|e| Error::machine(format!("writing {}: {e}", path.display())))
}

/// Relative to the working directory, if it is below it.
fn shortened(path: &Path) -> &Path {
    std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
}
