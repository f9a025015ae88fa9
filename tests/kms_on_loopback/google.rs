//! Google Cloud KMS on the loopback interface: the tests' own, which unwraps with PyPI's `cryptography`, and a small
//! `gcloud` which speaks to it by the vendor's Python client `google-cloud-kms`, all in `BYOK_TEST_VENV`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// Where all keys of the tests are.
pub const RING: &str = "projects/byok-tests/locations/europe-west6/keyRings/ceremonies";

/// A KMS that ends when this is dropped; all it holds is in its memory.
pub struct CloudKms {
    home: tempfile::TempDir,
    port: u16,
    server: Child,
}

impl Drop for CloudKms {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/kms_on_loopback/google")
        .join(name)
}

impl CloudKms {
    /// An empty one. `None` where the machine has no client for it.
    pub fn start() -> Option<Self> {
        let venv = std::env::var_os("BYOK_TEST_VENV").filter(|path| !path.is_empty())?;
        let python = std::path::absolute(venv).unwrap().join("bin/python");
        let mut there = Command::new(&python);
        let there = there.args(["-c", "import google.cloud.kms_v1, cryptography"]);
        if !there.output().ok()?.status.success() {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let gcloud = home.path().join("gcloud");
        let text = format!(
            "#!/bin/sh\nexec '{}' '{}' \"$@\"\n",
            python.display(),
            program("gcloud.py").display()
        );
        std::fs::write(&gcloud, text).unwrap();
        std::fs::set_permissions(&gcloud, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut server = Command::new(&python)
            .arg(program("kms.py"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut told = BufReader::new(server.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        Some(Self {
            home,
            port: line.trim().parse().expect("the port of the KMS"),
            server,
        })
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The resource name of a key, as a plan names it.
    pub fn key(&self, name: &str) -> String {
        format!("{RING}/cryptoKeys/{name}")
    }

    /// What import.sh needs of the environment; what names servers in it leads nowhere.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let nowhere = "http://127.0.0.1:1".to_owned();
        vec![
            (
                "PATH",
                format!("{}:/usr/bin:/bin", self.home.path().display()),
            ),
            ("HOME", self.home.path().display().to_string()),
            ("CLOUDSDK_CONFIG", self.home.path().display().to_string()),
            (
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS",
                format!("{nowhere}/"),
            ),
            ("CLOUDSDK_CORE_PROJECT", "another".into()),
            ("CLOUDSDK_PROXY_ADDRESS", "nowhere".into()),
            ("CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION", "true".into()),
            ("HTTPS_PROXY", nowhere.clone()),
            ("https_proxy", nowhere),
            ("PYTHONPATH", "/nowhere".into()),
        ]
    }

    /// Runs the gcloud of the tests about the key ring of the tests.
    pub fn gcloud(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.home.path().join("gcloud"));
        command.arg("kms").args(args);
        command.args(["--project", "byok-tests", "--location", "europe-west6"]);
        command.args(["--keyring", "ceremonies", "--format=json"]);
        command.env_clear();
        command.env("CLOUDSDK_CORE_UNIVERSE_DOMAIN", "googleapis.com");
        let address = format!("{}/", self.address());
        command.env("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", address);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What it printed; panics with what it said if it failed.
    pub fn text(&self, args: &[&str]) -> String {
        let output = self.gcloud(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, read.
    pub fn told(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(args)).unwrap()
    }

    /// Makes an import job; what `describe` prints of it.
    pub fn job(&self, name: &str, method: &str) -> String {
        self.text(&[
            "import-jobs",
            "create",
            name,
            "--import-method",
            method,
            "--protection-level",
            "hsm",
        ]);
        self.text(&["import-jobs", "describe", name])
    }

    /// Makes a key for imports.
    pub fn make_key(&self, name: &str, purpose: &str, algorithm: &str) {
        self.text(&[
            "keys",
            "create",
            name,
            "--purpose",
            purpose,
            "--default-algorithm",
            algorithm,
            "--protection-level",
            "hsm",
            "--import-only",
            "--skip-initial-version-creation",
        ]);
    }
}
