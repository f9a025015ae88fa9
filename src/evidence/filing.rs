//! Adds receipts: the answer is on disk before the line that names it, and nothing is overwritten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::evidence::receipts::answer::{Answer, Answered};
use crate::evidence::receipts::judge::{Entry, Rules, Scope};
use crate::evidence::receipts::{FILE, FOLDER, KnownMaterial, Receipt, Receipts, UNNAMED, chain};
use crate::evidence::rules::Cause;
use crate::evidence::verify::{self, Followed, Verified};
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::words;
use crate::ground::words::shell_path;

/// What happened to one file.
pub(crate) struct Added {
    /// The file, by the name that was given.
    pub from: PathBuf,
    /// The receipt.
    pub receipt: Receipt,
    /// Whether the record already had it; then nothing was written.
    pub already: bool,
}

/// Adds answers to a sealed record, in this order. All are checked before the first is written.
///
/// Returns what was added, the record with its receipts, and the earlier records that were found.
///
/// # Errors
/// Exit 2: a file that is not an answer. Exit 4: the record is broken or aborted, or an answer belongs to another
/// ceremony, KMS key or material, or is a real KMS's answer for a rehearsal. Exit 5: the disk refuses, or another
/// `byok receipt` is running.
pub(crate) fn append(
    record: &Path,
    files: &[PathBuf],
    previous: &[PathBuf],
) -> Result<(Vec<Added>, Verified, Followed)> {
    let turn =
        File::open(record).map_err(|e| Error::usage(format!("{}: {e}", record.display())))?;
    match turn.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(
                Error::machine("another byok receipt is adding to this record").check("LIVE-RUN"),
            );
        }
        Err(fs::TryLockError::Error(e)) => return Err(cannot("locking", record, &e)),
    }
    let (mut verified, mut receipts) = open(record)?;
    let followed = verify::follow(record, &verified, previous)?;
    let before = followed.known();
    let mut judged = judge_all(&verified, receipts.clone(), files, &before)?;
    finish_interrupted(record, &receipts, &judged)?;
    for pending in &mut judged {
        if !pending.already {
            write(record, &mut receipts, pending)?;
        }
    }
    let added = judged.into_iter().map(|pending| Added {
        from: pending.from,
        receipt: pending.receipt,
        already: pending.already,
    });
    verified.receipts = receipts;
    Ok((added.collect(), verified, followed))
}

/// A record that holds, except that an interrupted run may have left an answer without its line.
fn open(record: &Path) -> Result<(Verified, Receipts)> {
    let verified = verify::but_for_unnamed_receipts(record).map_err(|broken| {
        let error = Error::mismatch(format!("the record {}: {broken}", record.display()))
            .state("nothing was added");
        match broken.cause {
            Some(Cause::Torn) => torn(record, error),
            _ => error
                .hint("add receipts to an intact copy of the record; to check a copy: byok verify"),
        }
    })?;
    if verified.is_aborted() {
        return Err(Error::mismatch(
            "this ceremony was aborted: nothing from it can have been imported",
        )
        .hint("add the receipt to the record from which the data key was imported"));
    }
    let receipts = verified.receipts.clone();
    Ok((verified, receipts))
}

/// A line that was being written when the power failed. Its bytes are not a receipt; only a person may remove them.
pub(crate) fn torn(record: &Path, error: Error) -> Error {
    let path = record.join(FILE);
    let whole = fs::read(&path).map(|bytes| {
        bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1)
    });
    let command = whole.map_or_else(
        |_| "cut the bytes after the last line feed".to_owned(),
        |len| format!("truncate -s {len} {}", shell_path(&path)),
    );
    error
        .hint("the power failed while that line was being written; the lines above it are whole")
        .hint(format!("remove the incomplete line: {command}"))
        .hint("then add its answer again: byok receipt RECORD FILE")
}

/// One file that is about to be added to the record.
struct Pending {
    from: PathBuf,
    bytes: Vec<u8>,
    receipt: Receipt,
    already: bool,
}

fn judge_all(
    verified: &Verified,
    mut receipts: Receipts,
    files: &[PathBuf],
    before: &[KnownMaterial],
) -> Result<Vec<Pending>> {
    let mut judged = Vec::with_capacity(files.len());
    for from in files {
        let doing = |e: Error| e.doing(from.display()).state("nothing was added");
        let bytes = crate::ground::files::read_small(from)
            .map_err(|e| doing(Error::usage(e.to_string())))?;
        let sha256 = words::sha256(&bytes);
        let same = receipts
            .receipts
            .iter()
            .find(|receipt| receipt.sha256 == sha256);
        if let Some(receipt) = same.cloned() {
            judged.push(Pending {
                from: from.clone(),
                bytes,
                receipt,
                already: true,
            });
            continue;
        }
        let scope = Scope {
            ceremony: &verified.chain.opening().ceremony,
            imports: &receipts.imports,
            earlier: &receipts.receipts,
            before,
            rules: Rules::Now,
        };
        let answer = Answered::read(&bytes).map_err(doing)?;
        not_mixed(verified, &answer.answer).map_err(doing)?;
        let entry = scope.judge(&answer).map_err(doing)?;
        let receipt = next(&receipts, sha256, entry);
        receipts.receipts.push(receipt.clone());
        judged.push(Pending {
            from: from.clone(),
            bytes,
            receipt,
            already: false,
        });
    }
    Ok(judged)
}

/// A rehearsal's KMS key may have the same name as a real one. Only an answer that names the ceremony itself can
/// belong to the rehearsal.
fn not_mixed(verified: &Verified, answer: &Answer) -> Result<()> {
    match answer {
        Answer::ImportResult(_) => Ok(()),
        _ if !verified.is_rehearsal() => Ok(()),
        _ => Err(Error::mismatch(
            "this record is from a rehearsal: answers of a real KMS do not belong in it",
        )
        .check("RECEIPT")),
    }
}

fn next(receipts: &Receipts, sha256: words::Digest, entry: Entry) -> Receipt {
    let number = receipts.receipts.len() + 1;
    let last = receipts.receipts.last().map(|last| last.at);
    Receipt {
        number,
        at: last.map_or(clock::now(), |last| last.max(clock::now())),
        file: chain::name(number),
        sha256,
        entry,
    }
}

/// An answer without its line may only be the next one to be added, with exactly the same bytes.
fn finish_interrupted(record: &Path, receipts: &Receipts, judged: &[Pending]) -> Result<()> {
    for path in receipts.unnamed() {
        let target = record.join(path);
        let same = judged.iter().any(|pending| {
            pending.receipt.file == *path && fs::read(&target).is_ok_and(|is| is == pending.bytes)
        });
        if !same {
            return Err(Error::mismatch(format!("{path}: {}", UNNAMED))
                .check("RECEIPT")
                .state("nothing was added")
                .hint("an earlier byok receipt was interrupted, or a line was cut off")
                .hint(format!(
                    "if it is whole, add it first: byok receipt {} {}",
                    shell_path(record),
                    shell_path(&target)
                ))
                .hint(
                    "if it is incomplete, remove it: a file that no line names is not a receipt",
                ));
        }
    }
    Ok(())
}

fn write(record: &Path, receipts: &mut Receipts, pending: &Pending) -> Result<()> {
    let receipt = &pending.receipt;
    let line = chain::line(receipts, receipt.at, &receipt.sha256, &receipt.entry)
        .map_err(|e| Error::machine(format!("writing {FILE}: {e}")))?;
    let path = record.join(FILE);
    let is_new = !receipts.unnamed().contains(&receipt.file);
    let answer = match is_new {
        true => write_answer(record, &receipt.file, &pending.bytes),
        false => Ok(()),
    };
    let whole = answer
        .and_then(|()| append_line(&path, &line).map_err(|e| cannot("writing", &path, &e)))
        .inspect_err(|_| {
            if is_new {
                take_back(record, &receipt.file);
            }
        })?;
    sync(record)?;
    receipts.push(receipt.clone(), &line, &whole);
    Ok(())
}

/// An answer without a line would make the record broken, and so would an empty folder.
fn take_back(record: &Path, file: &str) {
    let _ = fs::remove_file(record.join(file));
    let _ = fs::remove_dir(record.join(FOLDER)); // fails if another answer is in it
    let lines = record.join(FILE);
    if fs::symlink_metadata(&lines).is_ok_and(|lines| lines.len() == 0) {
        let _ = fs::remove_file(lines);
    }
}

fn write_answer(directory: &Path, file: &str, bytes: &[u8]) -> Result<()> {
    let folder = directory.join(FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => sync(directory)?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(cannot("making", &folder, &e)),
    }
    let path = directory.join(file);
    crate::ground::files::write_new(&path, bytes).map_err(|e| cannot("writing", &path, &e))?;
    sync(&folder)
}

/// Appends the line and returns the whole file. A line that was written only in part is removed.
fn append_line(path: &Path, line: &[u8]) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut options = OpenOptions::new();
    let mut file = options
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    let before = file.metadata()?.len();
    let written = file
        .write_all(&[line, b"\n"].concat())
        .and_then(|()| file.sync_all());
    if let Err(why) = written {
        let _ = file.set_len(before).and_then(|()| file.sync_all());
        return Err(why);
    }
    fs::read(path)
}

fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| cannot("syncing", directory, &e))
}

fn cannot(doing: &str, path: &Path, why: &io::Error) -> Error {
    let error = Error::machine(format!("{doing} {}: {why}", path.display()));
    match why.kind() {
        io::ErrorKind::StorageFull => {
            error.hint("the disk is full: make room, then add the receipt again")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            error.hint("add receipts to a copy of the record that this user may write to")
        }
        _ => error.hint("look at the disk, then add the receipt again: byok receipt RECORD FILE"),
    }
}
