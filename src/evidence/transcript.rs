//! The transcript: JSON lines, each bound to the one before.
//!
//! A line is compact JSON, `{"seq":N,"at":"…Z","prev":"…","event":"…",…}`: `seq` counts from 1, so it
//! is the line's number; `prev` is the SHA-256 of the exact bytes of the previous line without its
//! line feed (64 zeros in the first); `at` never decreases. The last line is `sealed` or `aborted`.
//! The **head digest** is the SHA-256 of the whole sealed file: `sha256sum transcript.jsonl`.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

mod chain;
mod event;

pub use chain::{Chain, Line, Torn};
pub(crate) use chain::{Said, entries, is_ceremony_id, numbered, other_format, time};
pub(crate) use event::*;

/// The file's name in every record.
pub const FILE: &str = "transcript.jsonl";

/// The format that this version writes, named in the first line.
pub(crate) const FORMAT: &str = "byok-transcript-v1";

/// The checksum file's name.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// The folder of a record that contains the signatures of its transcript.
pub(crate) const SIGNATURES: &str = "signatures/";

/// The signature that the HSM made, within the record.
pub(crate) const HSM_SIGNATURE: &str = "signatures/hsm.sig";

/// The purpose of a transcript's signature (SSHSIG namespace); a signature for another purpose does not verify.
pub(crate) fn namespace(rehearsal: bool) -> &'static str {
    match rehearsal {
        true => "byok-rehearsal",
        false => "byok-ceremony",
    }
}

/// A transcript that is being written. The open file is locked, so that a second run can see that it is live.
pub(crate) struct Transcript {
    file: File,
    path: PathBuf,
    end: Mark,
    synced: bool,
}

/// The end of the transcript at one moment.
#[derive(Clone)]
pub(crate) struct Mark {
    seq: u64,
    prev: Digest,
    at: Timestamp,
    whole: Sha256,
    len: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    seq: u64,
    at: Timestamp,
    prev: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl Transcript {
    /// Starts a transcript in a file that was just made, and locks it.
    ///
    /// # Errors
    /// Exit 5 if the lock is not available.
    pub(crate) fn start(file: File, path: &Path) -> Result<Self> {
        file.try_lock()
            .map_err(|e| Error::machine(format!("locking {}: {e}", path.display())))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            end: Mark {
                seq: 0,
                prev: [0; 32],
                at: Timestamp::UNIX_EPOCH,
                whole: Sha256::new(),
                len: 0,
            },
            synced: true,
        })
    }

    /// Appends one event. It is on disk only after [`sync`](Self::sync).
    ///
    /// # Errors
    /// Exit 5 if the line cannot be written in full; then nothing of it is left.
    pub(crate) fn append(&mut self, event: &Event) -> Result<()> {
        let at = clock::now().max(self.end.at);
        let written = Written {
            seq: self.end.seq + 1,
            at,
            prev: if self.end.seq == 0 {
                "0".repeat(64)
            } else {
                words::hex(&self.end.prev)
            },
            event,
        };
        let mut line = serde_json::to_vec(&written).map_err(|e| self.cannot("writing", e))?;
        let prev = words::sha256(&line);
        line.push(b'\n');
        if let Err(e) = self.file.write_all(&line) {
            // A full disk accepts part of a line: the next line must not follow that part.
            let _ = self.cut();
            return Err(self.cannot("writing", e));
        }
        self.end.whole.update(&line);
        self.end.len += line.len() as u64;
        (self.end.seq, self.end.at, self.end.prev) = (written.seq, at, prev);
        self.synced = false;
        Ok(())
    }

    /// Whether no line was appended yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.end.seq == 0
    }

    /// The lines appended so far, read back from the file: what a reader will see, not what was meant.
    ///
    /// # Errors
    /// Exit 5 if the file cannot be read or its lines are not a chain.
    pub(crate) fn lines_so_far(&self) -> Result<Vec<Line>> {
        let bytes = std::fs::read(&self.path).map_err(|e| self.cannot("reading", e))?;
        let torn = Torn::read(&bytes).map_err(|why| self.cannot("reading", why))?;
        Ok(torn.lines)
    }

    /// The present end of the transcript.
    pub(crate) fn mark(&self) -> Mark {
        self.end.clone()
    }

    /// Removes what was appended since. This is only for a last line whose record could not be finished: that record
    /// never had its final name, and its transcript gets another last line.
    ///
    /// # Errors
    /// Exit 5 if the file cannot be shortened.
    pub(crate) fn return_to(&mut self, mark: Mark) -> Result<()> {
        self.end = mark;
        self.synced = false;
        self.cut().map_err(|e| self.cannot("shortening", e))
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.end.len)?;
        self.file.seek(SeekFrom::Start(self.end.len)).map(|_| ())
    }

    /// Makes everything appended so far survive a power cut (fsync). Called before each irreversible step, and at the
    /// end of each step.
    ///
    /// # Errors
    /// Exit 5 if the disk refuses.
    pub(crate) fn sync(&mut self) -> Result<()> {
        if !self.synced {
            self.file
                .sync_all()
                .map_err(|e| self.cannot("syncing", e))?;
            self.synced = true;
        }
        Ok(())
    }

    /// The digest of everything written so far; for a sealed transcript, the head.
    pub(crate) fn head(&self) -> Digest {
        self.end.whole.clone().finalize().into()
    }

    fn cannot(&self, doing: &str, why: impl std::fmt::Display) -> Error {
        Error::machine(format!("{doing} {}: {why}", self.path.display())).hint(
            "the disk is full, read-only or gone: free or replace it, then run the ceremony again",
        )
    }
}
