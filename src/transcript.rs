//! The transcript: JSON lines, each bound to the one before.
//!
//! A line is compact JSON, `{"seq":N,"at":"…Z","prev":"…","event":"…",…}`: `seq` counts from 1, so it
//! is the line's number; `prev` is the SHA-256 of the exact bytes of the previous line without its
//! line feed (64 zeros in the first); `at` never decreases. The last line is `sealed` or `aborted`.
//! The **head digest** is the SHA-256 of the whole sealed file: `sha256sum transcript.jsonl`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::machine;
use crate::words::{self, Digest};

mod chain;
mod event;

pub use chain::{Chain, Line, Torn, UNFINISHED};
pub use event::{
    BroughtBack, DealtShare, Destroyed, EscrowDestroyed, Event, FileDigest, Imported, KeyIntended,
    PreflightCheck, ShareUsed,
};

/// The file's name in every record.
pub const FILE: &str = "transcript.jsonl";

/// The format that this version writes, named in the first line.
pub const FORMAT: &str = "byok-transcript-v1";

/// A transcript that is being written. The open file is locked: a second run sees that it is live.
pub struct Transcript {
    file: File,
    path: PathBuf,
    seq: u64,
    prev: Digest,
    at: Timestamp,
    whole: Sha256,
    synced: bool,
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
    /// Exit 5 where the lock cannot be had.
    pub fn start(file: File, path: &Path) -> Result<Self> {
        file.try_lock()
            .map_err(|e| Error::machine(format!("locking {}: {e}", path.display())))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            seq: 0,
            prev: [0; 32],
            at: Timestamp::UNIX_EPOCH,
            whole: Sha256::new(),
            synced: true,
        })
    }

    /// Appends one event. It is on disk after [`sync`](Self::sync).
    ///
    /// # Errors
    /// Exit 5 where the line cannot be written whole.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        let at = machine::now().max(self.at);
        let written = Written {
            seq: self.seq + 1,
            at,
            prev: if self.seq == 0 {
                "0".repeat(64)
            } else {
                words::hex(&self.prev)
            },
            event,
        };
        let mut line = serde_json::to_vec(&written).map_err(|e| self.cannot("writing", e))?;
        let prev = words::sha256(&line);
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(|e| self.cannot("writing", e))?;
        self.whole.update(&line);
        (self.seq, self.at, self.prev, self.synced) = (written.seq, at, prev, false);
        Ok(())
    }

    /// Makes everything appended so far survive a power cut (fsync). Called before each irreversible
    /// step and at the end of each step.
    ///
    /// # Errors
    /// Exit 5 where the disk says no.
    pub fn sync(&mut self) -> Result<()> {
        if !self.synced {
            self.file
                .sync_all()
                .map_err(|e| self.cannot("syncing", e))?;
            self.synced = true;
        }
        Ok(())
    }

    /// The digest of everything written so far; of a sealed transcript, the head.
    pub fn head(&self) -> Digest {
        self.whole.clone().finalize().into()
    }

    fn cannot(&self, doing: &str, why: impl std::fmt::Display) -> Error {
        Error::machine(format!("{doing} {}: {why}", self.path.display())).hint(
            "the disk is full, read-only or gone: free or replace it, then run the ceremony again",
        )
    }
}
