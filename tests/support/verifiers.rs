//! The two verifiers, byok and the script of stock tools: whatever one says, the other says too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::forger::forger;
use super::{sha256, skip, stderr, stdout};

/// `ceremony-scripts/verify-record.sh` with these arguments, in this directory.
pub fn script(directory: &Path, args: &[&str]) -> Output {
    script_in(directory).args(args).output().unwrap()
}

/// The same, not started yet.
pub fn script_in(directory: &Path) -> Command {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/ceremony-scripts/verify-record.sh"
    );
    let mut bash = Command::new("bash");
    bash.arg(script).current_dir(directory).env_clear();
    bash.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    bash.stdin(Stdio::null());
    bash
}

/// `byok verify` with these arguments, in this directory; the script must come to the same verdict.
#[track_caller]
pub fn both(directory: &Path, args: &[&str]) -> Output {
    let mut byok = Command::new(super::program());
    byok.arg("verify").args(args).current_dir(directory);
    let output = byok.env_clear().stdin(Stdio::null()).output().unwrap();
    script_agrees(directory, args, &output);
    output
}

/// That the script, with the arguments that `byok verify` was given, says what byok said; its output.
#[track_caller]
pub fn script_agrees(directory: &Path, args: &[&str], byok: &Output) -> Option<Output> {
    if !has_jq() {
        return None;
    }
    let args = &both_know(args);
    let script = script(directory, args);
    let said = format!(
        "{args:?}\nbyok: {}{}\nscript: {}{}",
        stdout(byok),
        stderr(byok),
        stdout(&script),
        stderr(&script)
    );
    let verdict = stdout(&script);
    if is_byoks_alone(byok) {
        let goes_by = ["--head", "--signers"].iter().any(|arg| args.contains(arg));
        let expected = ["consistent, not authenticated", "authentic"][usize::from(goes_by)];
        assert_eq!(verdict.lines().next(), Some(expected), "{said}");
        return Some(script);
    }
    assert_eq!(byok.status.code(), script.status.code(), "{said}");
    match byok.status.code() {
        Some(0) => {
            let text = stdout(byok);
            let authentic = text.lines().any(|line| {
                line.starts_with("authentic") || line.contains("\"verdict\":\"authentic\"")
            }) || text.contains("\"verdict\": \"authentic\"");
            let expected = if authentic {
                "authentic\n"
            } else {
                "consistent, not authenticated\n"
            };
            assert!(verdict.starts_with(expected), "{said}");
            assert!(
                verdict.ends_with(&format!("verdict   {expected}")),
                "{said}"
            );
        }
        Some(4) => {
            let against = stderr(byok);
            let against = against
                .lines()
                .find_map(|line| line.strip_prefix("byok: verdict: "));
            let against = against.unwrap_or_else(|| panic!("no verdict: {said}"));
            assert!(verdict.starts_with(&format!("{against}: ")), "{said}");
            assert_eq!(named(&stderr(byok)), named(&verdict), "{said}");
            assert_eq!(rule(&stderr(byok)), rule(&verdict), "{said}");
            assert!(
                verdict.ends_with(&format!("verdict   {against}\n")),
                "{said}"
            );
        }
        _ => assert_eq!(verdict, "", "{said}"),
    }
    Some(script)
}

/// The arguments that the script has too.
fn both_know<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut known = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--json" | "--next" => {}
            "--previous" => drop(args.next()),
            arg => known.push(arg),
        }
    }
    known
}

/// Whether what byok refuses is receipts, members of an event, or records before this one, which the script does not judge.
fn is_byoks_alone(byok: &Output) -> bool {
    let text = stderr(byok);
    let by_rule =
        ["RECEIPTS", "MEMBERS", "PREVIOUS-RECORD", "KEY-MATERIAL-ID"].contains(&rule(&text));
    by_rule || text.starts_with("byok: error: --previous ")
}

/// The name of the rule that the first line ends with.
pub fn rule(text: &str) -> &str {
    let first = text.lines().next().unwrap_or_default();
    let name = first
        .rsplit_once(" [")
        .and_then(|(_, name)| name.strip_suffix(']'));
    name.unwrap_or_default()
}

/// The first thing that does not hold: `transcript.jsonl: line 7`, `plan.toml`.
fn named(text: &str) -> String {
    let why = text.lines().next().unwrap_or_default();
    let why = why.strip_prefix("byok: error: ").unwrap_or(why);
    let verdicts = [
        "broken: ",
        "not the record of that head: ",
        "not by a listed signer: ",
    ];
    let why = verdicts
        .iter()
        .find_map(|verdict| why.strip_prefix(verdict))
        .unwrap_or(why);
    let mut parts = why.split(": ");
    let file = parts.next().unwrap_or_default();
    if file.contains(['?', '\\']) {
        return "a name that is shown in two ways".into();
    }
    match parts.next() {
        Some(line) if line.starts_with("line ") => format!("{file}: {line}"),
        _ => file.to_owned(),
    }
}

/// Whether jq is here; says so where it is not.
pub fn has_jq() -> bool {
    let there = Command::new("jq").arg("--version").output().is_ok();
    if !there {
        skip("jq is not installed");
    }
    there
}

/// Copies a directory with all that is below it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Records on disk, to be changed and verified; one of them is meant.
pub struct Records {
    pub dir: tempfile::TempDir,
    pub record: String,
}

impl Records {
    /// Copies all below `records` of a room; `record` is `records/…`.
    pub fn of(room: &Path, record: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&room.join("records"), &dir.path().join("records"));
        Self {
            dir,
            record: record.to_owned(),
        }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(&self.record).join(path)
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }

    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap()
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes the file with the first `from` in it replaced, which must be there.
    #[track_caller]
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{from} is not in {path}");
        self.write(path, changed);
    }

    pub fn lines(&self, path: &str) -> Vec<String> {
        self.text(path).lines().map(str::to_owned).collect()
    }

    pub fn write_lines(&self, path: &str, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.write(path, text);
    }

    pub fn head(&self) -> String {
        sha256(&self.read("transcript.jsonl"))
    }

    /// Writes lines with `seq` and `prev` computed again.
    pub fn chain(&self, path: &str, lines: &[String], first: &str) {
        let mut prev = first.to_owned();
        let mut chained = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            // A line whose beginning was changed keeps what it has.
            let line = match line.find(",\"at\":") {
                Some(rest) => format!("{{\"seq\":{}{}", at + 1, &line[rest..]),
                None => line.clone(),
            };
            let place = line.find("\"prev\":\"").unwrap() + 8;
            let line = format!("{}{prev}{}", &line[..place], &line[place + 64..]);
            prev = digest(line.as_bytes());
            chained.push(line);
        }
        self.write_lines(path, &chained);
    }

    /// A transcript of these lines, chained again, and the checksums anew; the signatures stay as they are.
    pub fn chain_anew(&self, lines: &[String]) {
        self.chain("transcript.jsonl", lines, &"0".repeat(64));
        self.sums_anew();
    }

    /// The same with the first `from` in the transcript replaced.
    #[track_caller]
    pub fn chain_anew_with(&self, from: &str, to: &str) {
        let lines = self.lines_with(from, to);
        self.chain_anew(&lines);
    }

    /// A transcript of these lines as a forger makes it: chained again, the checksums anew, and the forger's
    /// key in the place of the HSM's, which is not at hand.
    pub fn forge(&self, lines: &[String]) {
        let named = |line: &String| forger().in_place_of_signer(line);
        let lines: Vec<String> = lines.iter().map(named).collect();
        self.chain_anew(&lines);
        if lines
            .iter()
            .any(|line| line.contains("\"event\":\"transcript-signer\""))
        {
            let rehearsal = lines[0].contains("\"rehearsal\":true");
            forger().sign(&self.path(""), rehearsal);
        }
    }

    /// Forges the transcript with the first `from` in it replaced.
    #[track_caller]
    pub fn forge_with(&self, from: &str, to: &str) {
        let lines = self.lines_with(from, to);
        self.forge(&lines);
    }

    #[track_caller]
    fn lines_with(&self, from: &str, to: &str) -> Vec<String> {
        let text = self.text("transcript.jsonl");
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{from} is not in the transcript");
        changed.split_terminator('\n').map(str::to_owned).collect()
    }

    /// Receipts as a forger makes them, chained to the head.
    pub fn forge_receipts(&self, lines: &[String]) {
        self.chain("receipts.jsonl", lines, &self.head());
    }

    /// The checksums of the files that are listed.
    pub fn sums_anew(&self) {
        let mut sums = String::new();
        for line in self.lines("SHA256SUMS") {
            let (was, path) = line.split_once("  ").unwrap();
            let is = fs::read(self.path(path)).map_or(was.to_owned(), |bytes| digest(&bytes));
            sums += &format!("{is}  {path}\n");
        }
        self.write("SHA256SUMS", sums);
    }

    /// Both verifiers on the record that is meant.
    #[track_caller]
    pub fn verify(&self, args: &[&str]) -> Output {
        both(self.dir.path(), &[args, &[&self.record]].concat())
    }
}

/// SHA-256 by byok's own library: quicker than a process, and the verifiers judge it anyway.
fn digest(bytes: &[u8]) -> String {
    byok::ground::words::hex(&byok::ground::words::sha256(bytes))
}
