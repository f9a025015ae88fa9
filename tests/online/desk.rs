//! A cloud operator's computer: few tools, `online.sh`, and an `aws`, real or fake.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::kms_on_loopback::LoopbackKms;
use crate::support;

/// All that the script may use besides bash and the AWS CLI: what macOS, Linux and AWS CloudShell have.
const TOOLS: [&str; 22] = [
    "awk",
    "bash",
    "cat",
    "chmod",
    "date",
    "env",
    "head",
    "iconv",
    "ls",
    "ln",
    "mkdir",
    "mktemp",
    "mv",
    "printf",
    "rm",
    "sed",
    "sha256sum",
    "sleep",
    "sort",
    "tee",
    "tr",
    "wc",
];

/// Notes each call, and answers as the files of the operation's name say: NAME.out or
/// NAME.err; lookup-events.EVENT before lookup-events.
const FAKE_AWS: &str = r#"#!/bin/bash
here=${0%/*}
[ "$1" != --version ] || { echo "aws-cli/2.99.0 Python/3.13.0"; exit 0; }
printf '%s\n' "$*" >> "$here/calls"
env > "$here/env"
name=$2
case "$*" in *"AttributeValue="*) name=$name.$(printf '%s' "$*" | sed 's/.*AttributeValue=\([A-Za-z]*\).*/\1/') ;; esac
if [ -e "$here/$name.out" ] || [ -e "$here/$name.err" ]; then
    [ ! -e "$here/$name.out" ] || cat "$here/$name.out"
    [ ! -e "$here/$name.err" ] || { cat "$here/$name.err" >&2; exit 254; }
    exit 0
fi
[ ! -e "$here/$2.err" ] || { cat "$here/$2.err" >&2; exit 254; }
[ ! -e "$here/$2.out" ] || { cat "$here/$2.out"; exit 0; }
echo "An error occurred (NoAnswer) when calling the $2 operation: no answer is set" >&2
exit 254
"#;

/// Debian's AWS CLI, which is older than rotation of imported material.
pub const OLD_CLI: &str = "/usr/bin/aws";

/// How the script ended and what it said.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn ended(self, code: i32, with: &[&str]) -> Self {
        let said = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, code, "{said}");
        for text in with {
            assert!(said.contains(text), "no {text:?} in:\n{said}");
        }
        self
    }
}

pub struct Desk {
    home: tempfile::TempDir,
    env: Vec<(String, String)>,
    pub globals: Vec<String>,
}

impl Desk {
    fn bare() -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["tools", "aws", "tmp", "work"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        for tool in TOOLS {
            let found = which(tool).unwrap_or_else(|| panic!("no {tool}"));
            symlink(found, home.path().join("tools").join(tool)).unwrap();
        }
        fs::copy(script(), home.path().join("online.sh")).unwrap();
        Self {
            home,
            env: Vec::new(),
            globals: Vec::new(),
        }
    }

    /// With the AWS CLI of the tests, or another real one, that talks to this KMS.
    pub fn at(kms: &LoopbackKms, cli: &Path) -> Self {
        let mut desk = Self::bare();
        symlink(cli, desk.path("aws/aws")).unwrap();
        let env = kms.env().into_iter().filter(|(name, _)| *name != "PATH");
        desk.env = env.map(|(name, value)| (name.to_owned(), value)).collect();
        desk.globals = vec!["--endpoint-url".into(), kms.endpoint()];
        desk
    }

    /// With an `aws` that answers as it is told.
    pub fn fake() -> Self {
        let desk = Self::bare();
        fs::write(desk.path("aws/aws"), FAKE_AWS).unwrap();
        fs::set_permissions(desk.path("aws/aws"), fs::Permissions::from_mode(0o755)).unwrap();
        desk
    }

    /// Without any `aws`.
    pub fn without_cli() -> Self {
        Self::bare()
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    /// A file of the folder in which the script runs.
    pub fn work(&self, below: &str) -> PathBuf {
        self.path("work").join(below)
    }

    pub fn read(&self, below: &str) -> String {
        fs::read_to_string(self.work(below)).unwrap()
    }

    /// What lies in the working folder, sorted.
    pub fn files(&self) -> Vec<String> {
        let files = support::tree(&self.path("work")).into_iter();
        let mut names: Vec<String> = files
            .filter(|(_, content)| content.is_some())
            .map(|(path, _)| path.display().to_string())
            .collect();
        names.sort();
        names
    }

    pub fn answers(&self, operation: &str, out: &str) {
        let _ = fs::remove_file(self.path(&format!("aws/{operation}.err")));
        fs::write(self.path(&format!("aws/{operation}.out")), out).unwrap();
    }

    pub fn refuses(&self, operation: &str, error: &str) {
        let _ = fs::remove_file(self.path(&format!("aws/{operation}.out")));
        let said = format!("\nAn error occurred ({error}) when calling it: no\n");
        fs::write(self.path(&format!("aws/{operation}.err")), said).unwrap();
    }

    /// The calls of the fake `aws` since the last look.
    pub fn calls(&self) -> String {
        let calls = fs::read_to_string(self.path("aws/calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("aws/calls"));
        calls
    }

    pub fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = format!(
            "{}:{}",
            self.path("aws").display(),
            self.path("tools").display()
        );
        command
            .args(args)
            .env_clear()
            .envs(self.env.iter().cloned())
            .env("PATH", path)
            .env("TMPDIR", self.path("tmp"))
            .current_dir(self.path("work"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the script; an import without its question.
    pub fn run(&self, args: &[&str]) -> Ran {
        match args.first() {
            Some(&"import") => self.typing("", &[args, &["--yes"]].concat()),
            _ => self.typing("", args),
        }
    }

    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.into(), value.into()));
    }

    /// Runs the script; a person types this.
    pub fn typing(&self, typed: &str, args: &[&str]) -> Ran {
        let online = self.path("online.sh").display().to_string();
        let globals = self.globals.iter().map(String::as_str);
        let args: Vec<&str> = [online.as_str()]
            .into_iter()
            .chain(args.iter().copied())
            .chain(globals)
            .collect();
        let mut command = self.command(&which("bash").unwrap(), &args);
        ran(&mut command, typed)
    }
}

impl Drop for Desk {
    /// Whatever happened, no temporary file is left.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0);
            let hidden = self
                .files()
                .into_iter()
                .find(|name| name.contains(".online."));
            assert_eq!(hidden, None);
        }
    }
}

pub fn ran(command: &mut Command, typed: &str) -> Ran {
    let output = support::pipe(command.stdin(Stdio::piped()), typed.as_bytes());
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ceremony-scripts/online.sh")
}

pub fn which(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}
