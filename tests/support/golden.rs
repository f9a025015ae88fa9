//! Stories: what a person types and then reads, as text files that read like the screen.
//!
//! `SNAPSHOTS=overwrite cargo test --test commands stories::`, and `--test people screens::`, write them anew;
//! `git diff` then shows what changed on which screen. What differs from run to run is in zeros, as wide as it was.

use std::fs;
use std::path::Path;
use std::process::Output;

use snapbox::Data;
use snapbox::assert::{Assert, DEFAULT_ACTION_ENV};
use snapbox::data::DataFormat;

use super::{Room, stderr, stdout};

/// That the file `NAME.txt` in this folder of `tests/` is just this text.
#[track_caller]
pub fn same(folder: &str, name: &str, text: &str) {
    let path = format!("{}/tests/{folder}/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let path = Path::new(&path);
    let renewed = std::env::var(DEFAULT_ACTION_ENV).is_ok_and(|action| action == "overwrite");
    if renewed && !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let kept = Data::read_from(path, Some(DataFormat::Text)).raw();
    let told = Data::text(text.to_owned()).raw();
    let action = Assert::new().action_env(DEFAULT_ACTION_ENV);
    action.normalize_paths(false).eq(told, kept);
}

/// One command as it is typed, what it printed, and the code it ended with.
pub fn screen(command: &str, output: &Output) -> String {
    let code = output.status.code().unwrap();
    let said = stdout(output) + &stderr(output);
    format!("$ byok {command}\n{said}[exit {code}]\n\n")
}

/// What was shown in this room, without what is another each time or on another machine.
pub fn settled(room: &Room, text: &str) -> String {
    let text = text.replace(&room.dir.path().display().to_string(), "/room");
    let text = text.replace(&room.module.display().to_string(), "/usr/lib/hsm.so");
    let mut settled = String::new();
    let mut looks = false; // at the machine, and the lines below are what it saw
    for line in text.lines() {
        match looks && line.starts_with("      ") {
            true => continue,
            false => settled += &(settled_line(line) + "\n"),
        }
        looks = line.ends_with("look at the machine");
        if looks {
            settled += "      …\n";
        }
    }
    settled
}

fn settled_line(line: &str) -> String {
    for begin in ["WARNING  machine: ", "WARNING  this process: "] {
        if line.starts_with(begin) {
            return format!("{begin}…");
        }
    }
    let parts: Vec<&str> = line.split_whitespace().collect();
    match parts[..] {
        // of a digest: hex and words
        ["row", number, a, b, _, ..] if a.len() == 4 && b.len() == 4 => {
            format!("   row {number}   0000 0000   word word          word word")
        }
        _ => settled_words(line),
    }
}

/// The line with each run of letters and digits, and of what stands within times and digests, settled.
fn settled_words(line: &str) -> String {
    let (mut text, mut word) = (String::new(), String::new());
    for c in line.chars().chain(['\n']) {
        if c.is_alphanumeric() || "-:+/.".contains(c) {
            word.push(c);
            continue;
        }
        let is_kcv = text.ends_with("KCV ");
        text += &settled_word(&std::mem::take(&mut word), is_kcv);
        text.push(c);
    }
    text.pop();
    text
}

/// Digests, identifiers, times and check values in zeros, as wide as they are.
fn settled_word(word: &str, is_kcv: bool) -> String {
    let bare = word.trim_end_matches(['.', ':']);
    let is_hex = bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_time = bare.len() == 5 && bare.is_char_boundary(2) && bare[2..].starts_with(':');
    if let Some(digest) = word.strip_prefix("SHA256:") {
        return format!("SHA256:{}", "0".repeat(digest.len()));
    }
    if is_hex && (bare.len() >= 12 || is_kcv) {
        return "0".repeat(bare.len()) + &word[bare.len()..];
    }
    if is_time {
        return zeros(word);
    }
    let Some(at) = date(word) else {
        return word.to_owned();
    };
    let (before, rest) = word.split_at(at);
    let (date, rest) = rest.split_at(10);
    match rest.starts_with('T') {
        true => format!("{before}{}{}", zeros(date), zeros(rest)),
        false => format!("{before}{}{rest}", zeros(date)),
    }
}

fn zeros(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "0")
}

/// Where a date such as 2026-11-22 begins.
fn date(word: &str) -> Option<usize> {
    let is_date = |part: &[u8]| {
        let digits = |at: usize| part[at].is_ascii_digit() != (at == 4 || at == 7);
        part.starts_with(b"20") && part[4] == b'-' && part[7] == b'-' && (0..10).all(digits)
    };
    word.as_bytes().windows(10).position(is_date)
}
