//! What a refused run leaves: an aborted record that says the same, or nothing at all.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::{PIN, Room, Transcript, refused, stderr, stdout};

/// The run was refused so, the token holds what it held, and the one aborted record beside the
/// record's place says the same and verifies.
#[track_caller]
pub fn aborted_beside(
    room: &Room,
    output: &Output,
    exit: i32,
    says: &[&str],
    objects: &[String],
) -> Transcript {
    refused(output, exit, says);
    let text = stderr(output);
    assert!(!text.contains(PIN), "the PIN is in:\n{text}");
    assert!(text.contains("byok: state: "), "{text}");
    assert_eq!(room.objects(), objects, "after:\n{text}");
    let transcript = room.aborted();
    let last = transcript.lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit"]),
        (&"aborted".into(), &exit.into())
    );
    assert!(
        text.contains(last["error"].as_str().unwrap()),
        "{last}\n{text}"
    );
    let names = room.beside();
    assert!(!names.contains(&"one".to_owned()), "{names:?}");
    let name = names
        .iter()
        .find(|name| name.contains(".aborted-"))
        .unwrap();
    let record = format!("records/{name}");
    assert!(text.contains(&record), "{text}");
    // A signer that was found or made has signed; one that was made is gone.
    let mut files = vec!["SHA256SUMS", "plan.toml", "transcript.jsonl"];
    if !transcript.events("transcript-signer").is_empty() {
        files.insert(2, "signatures");
    }
    assert_eq!(files_of(&room.path(&record)), files);
    if !transcript.events("signer-intended").is_empty() {
        assert_eq!(room.signers(), [""; 0]);
    }
    let verified = room.byok(&["verify", &record]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(stdout(&verified).contains("ABORTED"));
    transcript
}

/// The same where the token holds nothing; the aborted record is then cleared away for the next case.
#[track_caller]
pub fn aborted(room: &Room, output: &Output, exit: i32, says: &[&str]) -> Transcript {
    let transcript = aborted_beside(room, output, exit, says, &[]);
    fs::remove_dir_all(room.path("records")).unwrap();
    transcript
}

/// The run was refused before it made anything, in the token or on disk.
#[track_caller]
pub fn nothing_made(room: &Room, output: &Output, exit: i32, says: &[&str]) {
    refused(output, exit, says);
    assert_eq!((room.objects(), room.signers()), (vec![], vec![]));
    assert_eq!(room.beside(), [""; 0]);
}

/// The names in a directory, in order.
pub fn files_of(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
