//! What can be known before anybody approves anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::ceremony::material;
use crate::ceremony::screens;
use crate::crypto::escrow::share_file_name;
use crate::crypto::key_id::SIGNER_LABEL;
use crate::evidence::previous::Previous;
use crate::evidence::record::{self, Leftover, SealedBeside, is_within};
use crate::evidence::transcript::{VoidShare, VoidShares};
use crate::ground::environment;
use crate::ground::error::{Error, Result};
use crate::ground::window::Window;
use crate::ground::words;
use crate::hsm::machine;
use crate::hsm::machine::others;
use crate::plan::{Deliver, InToken, KeyPlan, Kind, Plan, ShareSource, Source};

/// Whether a directory can be made where the record will be.
///
/// # Errors
/// Exit 5 if it cannot: the disk is read-only, or this user may not write there.
pub(crate) fn record_can_be_written(plan: &Plan) -> Result<()> {
    let directory = plan.directory.parent().unwrap_or(&plan.directory);
    let directory = directory.ancestors().map(|path| {
        if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        }
    });
    let Some(existing) = directory.into_iter().find(|path| path.exists()) else {
        return Ok(());
    };
    rustix::fs::access(
        existing,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    )
    .map_err(|e| {
        Error::machine(format!(
            "the record cannot be written in {}: {e}",
            existing.display()
        ))
        .hint("let record.directory in the plan name a place that this user can write to")
    })
}

/// The record and the share files need a disk that knows whose a file is.
///
/// # Errors
/// Exit 5 if the record or share files would lie on FAT or the like.
pub(crate) fn disks_know_owners(plan: &Plan) -> Result<()> {
    machine::refuse_open_file_system(&plan.directory, "the record")?;
    match plan.escrow.as_ref().map(|escrow| &escrow.deliver) {
        Some(Deliver::Files(directory)) => {
            machine::refuse_open_file_system(directory, "the share files")
        }
        _ => Ok(()),
    }
}

/// Checks the type and length of every file that a data key comes from; the content is read later, once.
///
/// # Errors
/// Exit 2 if one is missing, is not a regular file, has the wrong length, or lies inside the record.
pub(crate) fn source_files(plan: &Plan) -> Result<()> {
    plan.source_files().try_for_each(|(key, path)| {
        source_file(plan, key, path).map_err(|e| e.doing(format!("[[key]] {:?}", key.label)))
    })
}

fn source_file(plan: &Plan, key: &KeyPlan, path: &Path) -> Result<()> {
    if is_within(path, &plan.directory) {
        return Err(Error::usage(format!(
            "the material in {} lies inside the record, which is copied and shown",
            path.display()
        ))
        .check("SOURCE")
        .hint("let source name a file elsewhere, on a medium that is destroyed afterwards"));
    }
    material::look_at(path, key.spec)
}

/// What earlier runs of this plan's record left, as far as this plan may remove it: only objects with a label of
/// this plan or of a transcript signer, and never a key that a sealed record beside it names. Whoever can write beside
/// the record could plant the traces of a run; this keeps them from aiming at other data keys.
///
/// # Errors
/// Exit 5 if a running ceremony holds the record's name, or if this cannot be found out.
pub(crate) fn leftover(plan: &Plan, previous: Option<&Previous>) -> Result<Option<Leftover>> {
    let Some(mut leftover) = Leftover::find(&plan.directory)? else {
        return Ok(None);
    };
    let sealed = sealed(plan, previous);
    // The other kinds make no data key, so no run of theirs can have left one.
    let makes = matches!(plan.kind, Kind::Generate | Kind::Recover);
    leftover.intended.retain(|(label, id)| {
        // A key of the token that a plan only takes from was there before any run.
        let is_made = |key: &KeyPlan| key.label == *label && key.source.makes_an_object();
        let of_plan = makes && plan.keys.iter().any(is_made);
        let is_taken = plan.keys.iter().any(|key| match &key.source {
            Source::Token(InToken::Id(taken)) => words::hex(taken) == id.to_string(),
            _ => false,
        });
        (of_plan || label == SIGNER_LABEL) && !is_taken && !sealed.ids.contains(&id.to_string())
    });
    if !leftover.intended.is_empty()
        && let Some(damaged) = record::damaged_beside(&plan.directory)
    {
        return Err(Error::mismatch(format!(
            "an earlier run left objects in the HSM, and the record {}, which may protect some of them, is broken",
            damaged.display()
        ))
        .check("LEFTOVER")
        .hint("nothing was destroyed; put a good copy of that record in its place, or move it elsewhere if it is not a record of this HSM")
        .hint(format!("what is wrong with it: byok verify {}", words::shell_path(&damaged))));
    }
    // The forms of a sealed ceremony stay good, whatever lies beside its record.
    leftover.void = leftover
        .void
        .filter(|void| !sealed.ceremonies.contains(&void.ceremony));
    Ok(Some(leftover))
}

/// The keys and ceremonies of sealed records: those beside this one, and the one that it builds on.
fn sealed(plan: &Plan, previous: Option<&Previous>) -> SealedBeside {
    let mut sealed = record::sealed_beside(&plan.directory);
    if let Some(previous) = previous {
        let ids = previous.keys.iter().filter_map(|key| key.id);
        sealed.ids.extend(ids.map(|id| id.to_string()));
        let signer = previous.signer.iter().map(|signer| signer.cka_id.clone());
        sealed.ids.extend(signer);
        sealed.ceremonies.insert(previous.ceremony.clone());
    }
    sealed
}

/// Who else could change, or read, what this ceremony relies on; a sentence each.
pub(crate) fn others_may(plan: &Plan) -> Vec<String> {
    let mut told = Vec::new();
    let mut changed = |what: &str, path: &Path| {
        let why = others::who_may_change(path);
        if !why.is_empty() {
            let (path, why) = (path.display(), why.join("; "));
            told.push(format!("others could replace {what}, {path}: {why}"));
        }
    };
    let pin = plan.hsm.pin.file();
    changed("the PKCS#11 module", &plan.hsm.module);
    if let Some(path) = pin {
        changed("the PIN file", path);
    }
    for (_, path) in plan.source_files() {
        changed("a data key's file", path);
    }
    changed("the record", existing(&plan.directory));
    for directory in share_directories(plan) {
        changed("the shares", existing(directory));
    }
    let secrets = plan.source_files().map(|(_, path)| path).chain(pin);
    told.extend(secrets.filter_map(|path| {
        let why = others::who_may_read(path)?;
        Some(format!("{} is a secret: {why}", path.display()))
    }));
    told
}

/// The part of a path that exists already.
fn existing(path: &Path) -> &Path {
    let mut on_the_way = path.ancestors().filter(|path| path.exists());
    on_the_way.next().unwrap_or(Path::new("."))
}

fn share_directories(plan: &Plan) -> impl Iterator<Item = &Path> {
    let dealt = plan
        .escrow
        .as_ref()
        .and_then(|escrow| match &escrow.deliver {
            Deliver::Files(directory) => Some(directory.as_path()),
            Deliver::Screen => None,
        });
    let brought = plan
        .recover
        .as_ref()
        .and_then(|recover| match &recover.shares {
            ShareSource::Files(directory) => Some(directory.as_path()),
            ShareSource::Typed => None,
        });
    dealt.into_iter().chain(brought)
}

/// Whoever can enter a directory of shares has a quorum.
///
/// # Errors
/// Exit 5 if others can enter one, or write to it.
pub(crate) fn shares_are_closed(plan: &Plan) -> Result<()> {
    share_directories(plan).try_for_each(|directory| {
        let Some(why) = others::who_may_enter(directory) else {
            return Ok(());
        };
        let (shown, word) = (directory.display(), words::shell_path(directory));
        Err(Error::machine(format!(
            "the directory for shares, {shown}, is open to others: {why}"
        ))
        .check("SHARES-CLOSED")
        .hint(format!(
            "it must belong to you and be closed to others: chmod 700 {word}"
        ))
        .hint("others may have read the shares that are there: if so, deal new ones"))
    })
}

/// Share files lie alone in their directory, and never in the record.
///
/// # Errors
/// Exit 2 if the directory for shares is not empty, is not a directory, or leads into the record by another path.
pub(crate) fn shares_have_room(plan: &Plan, previous: Option<&Previous>) -> Result<()> {
    let Some(Deliver::Files(directory)) = plan.escrow.as_ref().map(|escrow| &escrow.deliver) else {
        return Ok(());
    };
    let refused = |why: &str| {
        let shown = directory.display();
        Error::usage(format!("the directory for shares, {shown}, {why}"))
            .hint("let deliver name a new directory: nothing is overwritten")
    };
    let refuse = |why: &str| Err(refused(why));
    if is_within(directory, &plan.directory) {
        return refuse("lies inside the record, which is copied and shown");
    }
    match fs::read_dir(directory) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => refuse(&format!("cannot be used: {e}")),
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(shares_there(plan, previous, directory)
                .into_iter()
                .fold(refused("is not empty"), Error::hint)),
            None => Ok(()),
        },
    }
}

/// Which ceremonies the share files in a directory belong to: old shares never mix with new ones.
fn shares_there(plan: &Plan, previous: Option<&Previous>, directory: &Path) -> Vec<String> {
    let void = void_ceremonies(plan, previous);
    let interrupted = leftover(plan, previous).ok().flatten();
    let begun_last = interrupted.and_then(|run| run.void);
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let begun = || begun_by(begun_last.as_ref()?, &entry.file_name().to_string_lossy());
        if let Some(ceremony) = ceremony_of_share(&entry.path()).or_else(begun) {
            let file = words::shell_path(&entry.path());
            files.entry(ceremony).or_default().push(file);
        }
    }
    let told = |(ceremony, mut files): (String, Vec<String>)| match void.contains(&ceremony) {
        true => {
            files.sort();
            format!(
                "it holds shares of ceremony {ceremony}, which was not sealed; they are void: shred -u {}",
                files.join(" ")
            )
        }
        false => {
            format!(
                "it holds shares of ceremony {ceremony}: if that ceremony was sealed, they are good"
            )
        }
    };
    files.into_iter().map(told).collect()
}

/// The ceremonies of this record that were not sealed. A ceremony that a sealed record names is never among them,
/// whatever lies beside it.
fn void_ceremonies(plan: &Plan, previous: Option<&Previous>) -> BTreeSet<String> {
    let sealed = sealed(plan, previous).ceremonies;
    let attempts = record::attempts(&plan.directory).into_iter();
    let unsealed = attempts.filter(|(_, attempt)| !attempt.is_sealed());
    let ids = unsealed.filter_map(|(_, attempt)| Some(attempt.opened()?.ceremony.clone()));
    ids.filter(|id| !sealed.contains(id)).collect()
}

/// The interrupted ceremony, if a file has the name of a share that it was about to write.
fn begun_by(void: &VoidShares, name: &str) -> Option<String> {
    let is_name = |share: &VoidShare| name == share_file_name(share.share, &share.custodian);
    let is_its = void.shares.iter().any(is_name);
    is_its.then(|| void.ceremony.clone())
}

/// The ceremony that a share file names in its third line. Byte by byte: its words are not read.
fn ceremony_of_share(path: &Path) -> Option<String> {
    const LONGEST: usize = 1024;
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut file = fs::File::open(path).ok()?;
    let mut head = Vec::new();
    let mut byte = [0];
    while head.iter().filter(|byte| **byte == b'\n').count() < 3 {
        if head.len() == LONGEST || file.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let ceremony = head.lines().nth(2)?.strip_prefix("ceremony ")?;
    (head.starts_with("byok share ") && words::unhex(ceremony).is_some())
        .then(|| ceremony.to_owned())
}

/// The module is a file outside every record.
///
/// # Errors
/// Exit 2 if the module lies inside a record; exit 3 if its file is missing, or is not a regular file.
pub(crate) fn module_exists(plan: &Plan) -> Result<()> {
    let records = plan.previous.iter().chain([&plan.directory]);
    record::refuse_module_within(&plan.hsm.module, records.map(PathBuf::as_path))?;
    let why = match fs::metadata(&plan.hsm.module) {
        Ok(kind) if kind.is_file() => return Ok(()),
        Ok(_) => "not a regular file".to_owned(),
        Err(e) => e.to_string(),
    };
    let module = plan.hsm.module.display();
    Err(Error::hsm(format!("the PKCS#11 module {module}: {why}"))
        .hint("hsm.module in the plan is the path of the vendor's shared library on this machine"))
}

/// Variables that are set if a screen is sent or kept elsewhere: SSH, tmux, screen.
pub(crate) const RECORDERS: [&str; 5] = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "TMUX", "STY"];

/// The variable that says so of this screen.
pub(crate) fn recorder() -> Option<&'static str> {
    RECORDERS
        .into_iter()
        .find(|name| environment::variable(name).is_some())
}

/// Shares are shown and typed only where nobody else can see the screen: not over SSH, not in tmux or
/// screen, which keep what they showed.
///
/// # Errors
/// Exit 5 if somebody may be recording and the plan does not say why that is acceptable.
pub(crate) fn shares_can_be_shown(plan: &Plan, rehearsal: bool) -> Result<()> {
    if !plan.shares_at_screen() || rehearsal || plan.screen_recorded.is_some() {
        return Ok(());
    }
    match recorder() {
        Some(name) => Err(Error::machine(format!(
            "shares would be shown or typed on a screen that is sent or kept elsewhere ({name} is set)"
        ))
        .check("SCREEN")
        .hint("hold the ceremony at the machine's own console, outside SSH, tmux and screen")
        .hint("if your policy allows it, say why above the first [table] of the plan: screen_recorded = \"reason\"")),
        None => Ok(()),
    }
}

/// Every share that this plan shows is seen as a whole, or not at all.
///
/// # Errors
/// Exit 5 if the window is too small for one.
pub(crate) fn shares_fit(plan: &Plan, window: Window) -> Result<()> {
    match screens::shares_need(plan, window) {
        Some(told) => Err(Error::machine(told)
            .check("SCREEN-SIZE")
            .hint("make the window larger, or its letters smaller; on a console: setfont with a smaller font")),
        None => Ok(()),
    }
}
