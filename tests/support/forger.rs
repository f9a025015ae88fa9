//! Somebody who makes records anew: with every right but the HSM's key and the paper.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// A key pair of their own, made by ssh-keygen.
pub struct Forger {
    dir: tempfile::TempDir,
    public_key: String,
    pub fingerprint: String,
}

/// One forges for all tests of a program.
pub fn forger() -> &'static Forger {
    static FORGER: OnceLock<Forger> = OnceLock::new();
    FORGER.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let key = key.to_str().unwrap();
        let make = [
            "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-C", "", "-f", key,
        ];
        ssh_keygen(&make);
        let public_key = fs::read_to_string(format!("{key}.pub")).unwrap();
        let shown = ssh_keygen(&["-l", "-f", key]);
        Forger {
            dir,
            public_key: public_key.trim().to_owned(),
            fingerprint: shown.split(' ').nth(1).unwrap().to_owned(),
        }
    })
}

impl Forger {
    /// The line of a transcript, with this key where the HSM's stands.
    pub fn in_place_of_signer(&self, line: &str) -> String {
        let mut line = line.to_owned();
        if !line.contains("\"event\":\"transcript-signer\"") {
            return line;
        }
        let puts = [
            ("public_key", &self.public_key),
            ("fingerprint", &self.fingerprint),
        ];
        for (member, value) in puts {
            let start = line.find(&format!("\"{member}\":\"")).unwrap() + member.len() + 4;
            let end = start + line[start..].find('"').unwrap();
            line.replace_range(start..end, value);
        }
        line
    }

    /// `ecdsa-sha2-nistp256 AAAA…`
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Signs the transcript of this record in the HSM's place.
    pub fn sign(&self, record: &Path, rehearsal: bool) {
        let namespace = match rehearsal {
            true => "byok-rehearsal",
            false => "byok-ceremony",
        };
        let aside = tempfile::tempdir().unwrap();
        let file = aside.path().join("transcript");
        fs::copy(record.join("transcript.jsonl"), &file).unwrap();
        let key = self.dir.path().join("key");
        let (key, file) = (key.to_str().unwrap(), file.to_str().unwrap());
        ssh_keygen(&["-q", "-Y", "sign", "-n", namespace, "-f", key, file]);
        fs::create_dir_all(record.join("signatures")).unwrap();
        fs::copy(format!("{file}.sig"), record.join("signatures/hsm.sig")).unwrap();
    }
}

/// Stock ssh-keygen, which must say yes; its standard output.
pub fn ssh_keygen(args: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(args).output().unwrap();
    let errors = super::stderr(&output);
    assert!(output.status.success(), "{args:?}: {errors}");
    super::stdout(&output)
}
