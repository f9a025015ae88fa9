//! A KMS of the tests: a program in Python of `BYOK_TEST_VENV` that answers on the loopback interface and holds all that it
//! has in its memory, and the commands that speak to it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What a command needs of the environment.
pub type Env = Vec<(&'static str, String)>;

/// A server that ends when this is dropped.
pub struct StandIn {
    pub python: PathBuf,
    pub home: tempfile::TempDir,
    pub port: u16,
    server: Child,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A file beside this one.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/kms_on_loopback")
        .join(name)
}

impl StandIn {
    /// Begins this program with its home and these words. `None`: there is no Python that has these modules.
    pub fn start(name: &str, modules: &str, words: &[&str]) -> Option<Self> {
        let venv = std::env::var_os("BYOK_TEST_VENV").filter(|path| !path.is_empty())?;
        let python = std::path::absolute(venv).unwrap().join("bin/python");
        let mut there = Command::new(&python);
        let there = there.args(["-c", &format!("import {modules}")]);
        if !there.output().ok()?.status.success() {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut server = Command::new(&python)
            .arg("-B") // nothing is written beside the programs
            .arg(program(name))
            .arg(home.path())
            .args(words)
            .env_clear()
            .env("PYTHONPATH", program(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut told = BufReader::new(server.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        Some(Self {
            python,
            home,
            port: line.trim().parse().expect("the port of the KMS"),
            server,
        })
    }

    /// Where the commands are.
    pub fn bin(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    /// A command that runs this program in Python, with these words before what it is given.
    pub fn command(&self, name: &str, of: &str, words: &[&str]) {
        let words = [self.python.to_str().unwrap(), program(of).to_str().unwrap()]
            .into_iter()
            .chain(words.iter().copied())
            .map(|word| format!("'{word}' "))
            .collect::<String>();
        std::fs::create_dir_all(self.bin()).unwrap();
        let path = self.bin().join(name);
        std::fs::write(&path, format!("#!/bin/sh\nexec {words}\"$@\"\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The environment of somebody whose commands are there; what names servers in it leads nowhere.
    pub fn env(&self, bin: &Path) -> Env {
        let nowhere = nowhere();
        vec![
            ("PATH", format!("{}:/usr/bin:/bin", bin.display())),
            ("HOME", self.home.path().display().to_string()),
            ("HTTPS_PROXY", nowhere.clone()),
            ("https_proxy", nowhere),
            ("REQUESTS_CA_BUNDLE", "/nowhere".into()),
            ("PYTHONPATH", "/nowhere".into()),
        ]
    }
}

/// A server that nobody is.
pub fn nowhere() -> String {
    "http://127.0.0.1:1".to_owned()
}

/// What a command printed; panics with what it said if it failed.
pub fn printed(output: Output, args: &[&str]) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
