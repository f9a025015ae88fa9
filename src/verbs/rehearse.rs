//! `byok rehearse`: the whole life of a data key, or one ceremony of a plan, on a soft HSM and a stand-in
//! KMS, every claim proved.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ceremony::{Approved, Sealed, log_in, parameters, preflight};
use crate::error::{Error, Result};
use crate::hsm::{Module, TokenUri};
use crate::operator::{Interrupted, Operator, Terminal, Unattended};
use crate::plan::{ImportPlan, KeyPlan, PinSource, Plan, WrapIn};
use crate::rehearsal::{self, StandInKms};
use crate::verify::{self, Verified};
use crate::wrapping::{self, WrappingAlgorithm};
use crate::{machine, screens, transcript, words};

mod life;

/// Where SoftHSM's module stands on common systems, and where `rehearse.sh` unpacks it.
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
/// Whatever the ceremony refuses; exit 4 where anything that should be proved is not.
pub fn rehearse(
    plan: Option<&Path>,
    module: Option<&Path>,
    directory: &Path,
    room: Option<&Path>,
) -> Result<()> {
    let module = match module {
        // The rehearsal's plan stands elsewhere, and its paths are relative to it.
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
            .hint("ceremony-scripts/rehearse.sh unpacks it below target/, without root")
    })?;
    path.canonicalize()
        .map_err(|e| Error::hsm(format!("{}: {e}", path.display())))
}

/// Makes the directory of this rehearsal and starts byok anew in it, because SoftHSM reads its
/// configuration from the environment, which a running process must not change.
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
    let stamp = machine::compact(machine::now());
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
    match plan {
        Some(plan) => practise(plan, module, room),
        None => life::live(module, room),
    }
}

/// One ceremony of a real plan, at a terminal.
fn practise(plan: &Path, module_path: &Path, room: &Path) -> Result<()> {
    let mut kms = StandInKms::open()?;
    let module = Module::load(module_path)?;
    module.make_practice_token(rehearsal::TOKEN, rehearsal::PIN, rehearsal::PIN)?;
    let text = moved_plan(&Plan::read(plan)?, &module, module_path, &kms, room)?;
    drop(module);
    let path = room.join("plan.toml");
    write_new(&path, text.as_bytes())?;
    let practised = Plan::read(&path)?;
    write_parameters(&practised, &kms)?;
    let sealed = at_terminal(&practised)?;
    tell_ceremony(&practised, &sealed, &mut kms)?;
    tell_end(&sealed.directory)
}

/// What the KMS gives for each import of the plan, where the plan says that it stands.
fn write_parameters(plan: &Plan, kms: &StandInKms) -> Result<()> {
    for (_, import) in plan.imports() {
        let parameters = kms.parameters(import.key_arn.as_str(), import.wrapping);
        write_new(&import.parameters, parameters.as_bytes())?;
    }
    Ok(())
}

/// A real plan, moved into the room. Which algorithms the soft HSM wraps with is found out, not known.
fn moved_plan(
    plan: &Plan,
    module: &Module,
    path: &Path,
    kms: &StandInKms,
    room: &Path,
) -> Result<String> {
    let uri = TokenUri {
        token: Some(rehearsal::TOKEN.into()),
        ..TokenUri::default()
    };
    let mut hsm = module.open(&module.find(&uri)?)?;
    let mut nobody = Unattended::silent(Interrupted::watch()?);
    log_in(&hsm, &PinSource::File(room.join("pin")), &mut nobody)?;
    let mut works = Vec::new();
    for wrapping in [
        WrappingAlgorithm::RsaesOaepSha1,
        WrappingAlgorithm::RsaesOaepSha256,
    ] {
        let want = preflight::Want {
            wrapping,
            wrap_in: WrapIn::Hsm,
            wrapping_key: kms.wrapping_key(),
            bytes: 32,
            import: "rehearsal".into(),
        };
        if preflight::prove(&mut hsm, &[want], |_| {}).is_ok() {
            works.push(wrapping);
        }
    }
    Ok(rehearsal::practice_plan(plan, path, |wrapping| {
        works.contains(&wrapping)
    }))
}

/// The practised ceremony as people will see it, with what they need to play it.
fn at_terminal(plan: &Plan) -> Result<Sealed> {
    let mut terminal = Terminal::open(Interrupted::watch()?)?.ok_or_else(|| {
        Error::usage("rehearsing a plan needs a terminal: its screens are what is practised")
            .hint("byok rehearse, without a plan, needs none")
    })?;
    let slip = parameters::slip(plan)?;
    terminal.ask(&screens::practice_slip(&slip))?;
    let approved = Approved::by_typing(plan.clone(), true, &mut terminal)?;
    super::run::ceremony(&approved, &mut terminal)
}

/// Tells of a ceremony that made data keys, each line after it was proved.
fn tell_ceremony(plan: &Plan, sealed: &Sealed, kms: &mut StandInKms) -> Result<Verified> {
    let record = &sealed.directory;
    let verified = verify::verify(record, None).map_err(not_proved)?;
    for key in verified.report().keys {
        let made = format!(
            "{}: {} random bytes inside a soft HSM",
            key.label,
            key_bytes(plan, &key.label)
        );
        tell("made", &made, &format!("KCV {}", key.kcv))?;
    }
    for (key, import) in plan.imports() {
        let bytes = hand_over(record, key, import, kms)?;
        let place = match import.wrap_in {
            WrapIn::Hsm => "inside the HSM",
            WrapIn::Host => "in this computer",
        };
        let under = format!("{place}, under a stand-in KMS's RSA-4096 key");
        tell("wrapped", &under, &format!("{bytes} bytes"))?;
        let material = kms.material(import.key_arn.as_str())?;
        same_material(&verified, &key.label, key.spec.bytes(), material)?;
        tell(
            "imported",
            "the KMS unwrapped it and holds the same key",
            "proved",
        )?;
    }
    Ok(verified)
}

/// Imports what the record holds for one KMS key. Says how long the wrapped material is.
fn hand_over(
    record: &Path,
    key: &KeyPlan,
    import: &ImportPlan,
    kms: &mut StandInKms,
) -> Result<usize> {
    let folder = record.join(&key.label).join(&import.name);
    let wrapped = read(&folder.join("WrappedKeyMaterial.bin"))?;
    let token = read(&folder.join("ImportToken.bin"))?;
    let arn = import.key_arn.as_str();
    kms.import(arn, import.wrapping, &wrapped, &token)?;
    Ok(wrapped.len())
}

/// The last lines: what nobody can change unseen, and where it lies.
fn tell_end(record: &Path) -> Result<()> {
    tell("evidence", &tampering_is_seen(record)?, "refused")?;
    let look = record.join(crate::report::FILE);
    super::print(&format!(
        "look at   {}\n          then README \"A first ceremony\"\n",
        shortened(&look).display()
    ))
}

fn key_bytes(plan: &Plan, label: &str) -> usize {
    plan.keys
        .iter()
        .find(|key| key.label == label)
        .map_or(0, |key| key.spec.bytes())
}

/// What the stand-in or the escrow opened is what the transcript says the HSM made.
fn same_material(verified: &Verified, label: &str, len: usize, opened: &[u8]) -> Result<()> {
    let check = wrapping::check_values(opened)?;
    let report = verified.report();
    let made = report.keys.iter().find(|key| key.label == label);
    let same = made.is_some_and(|key| {
        key.kcv == check.kcv && key.fingerprint == words::hex(&check.fingerprint)
    });
    if !same || opened.len() != len {
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
        Err(why) if why.starts_with(&format!("line {line}:")) => {
            Ok(format!("one byte changed: verify names line {line}"))
        }
        Err(why) => Err(not_proved(format!(
            "a changed byte in line {line} was called {why}"
        ))),
        Ok(_) => Err(not_proved(
            "a changed byte in the transcript was not seen".into(),
        )),
    }
}

fn tell(what: &str, text: &str, outcome: &str) -> Result<()> {
    super::print(&format!("{what:<9} {text:<55} {outcome}\n"))
}

fn not_proved(why: String) -> Error {
    Error::mismatch(format!("the rehearsal did not prove what it should: {why}"))
        .hint("do not hold a real ceremony with this build")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::machine(format!("reading {}: {e}", path.display())))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|e| Error::machine(format!("writing {}: {e}", path.display())))
}

/// Relative to where the person stands, where it is below.
fn shortened(path: &Path) -> &Path {
    std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
}
