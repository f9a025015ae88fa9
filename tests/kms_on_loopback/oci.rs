//! A vault of OCI on the loopback interface: the tests' own, which unwraps with PyPI's `cryptography` of `BYOK_TEST_VENV`,
//! and a small `oci` which speaks HTTP to it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The vault of the tests, as plans name it.
pub const ENDPOINT: &str = "https://examplevault-management.kms.us-ashburn-1.oraclecloud.com";
/// A compartment.
pub const COMPARTMENT: &str = "ocid1.compartment.oc1..aaaaaaaaexample";

/// A vault that ends when this is dropped; all it holds is in its memory.
pub struct OciVault {
    home: tempfile::TempDir,
    port: u16,
    server: Child,
}

impl Drop for OciVault {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/kms_on_loopback/oci")
        .join(name)
}

impl OciVault {
    /// An empty one. `None` where the machine has no `cryptography` for it.
    pub fn start() -> Option<Self> {
        let venv = std::env::var_os("BYOK_TEST_VENV").filter(|path| !path.is_empty())?;
        let python = std::path::absolute(venv).unwrap().join("bin/python");
        let mut there = Command::new(&python);
        let there = there.args(["-c", "import cryptography"]);
        if !there.output().ok()?.status.success() {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let oci = home.path().join("oci");
        let text = format!(
            "#!/bin/sh\nexec '{}' '{}' \"$@\"\n",
            python.display(),
            program("oci.py").display()
        );
        std::fs::write(&oci, text).unwrap();
        std::fs::set_permissions(&oci, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut server = Command::new(&python)
            .arg(program("vault.py"))
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
            port: line.trim().parse().expect("the port of the vault"),
            server,
        })
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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
            ("OCI_CLI_PROFILE", "DEFAULT".into()),
            ("OCI_CLI_ENDPOINT", nowhere.clone()),
            ("OCI_CLI_REGION", "nowhere".into()),
            ("OCI_CLI_RC_FILE", "/nowhere".into()),
            ("HTTPS_PROXY", nowhere.clone()),
            ("https_proxy", nowhere),
            ("PYTHONPATH", "/nowhere".into()),
        ]
    }

    /// Puts the real `oci` in the place of the tests' own, and signs it in with a key that this vault asks nobody for.
    /// `false`: there is none.
    pub fn with_the_real_oci(&self) -> bool {
        let Some(oci) = std::env::var_os("BYOK_TEST_OCI").filter(|path| !path.is_empty()) else {
            return false;
        };
        let home = self.home.path();
        std::fs::remove_file(home.join("oci")).unwrap();
        std::os::unix::fs::symlink(std::path::absolute(oci).unwrap(), home.join("oci")).unwrap();
        let key = home.join("key.pem");
        let size = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let mut openssl = Command::new("openssl");
        openssl.args(["genpkey", "-quiet", "-out"]).arg(&key);
        assert!(openssl.args(size).status().unwrap().success());
        std::fs::create_dir(home.join(".oci")).unwrap();
        let fingerprint = ["00"; 16].join(":");
        let config = format!(
            "[DEFAULT]\nuser=ocid1.user.oc1..aaaaaaaaexample\nfingerprint={fingerprint}\nkey_file={}\n\
             tenancy=ocid1.tenancy.oc1..aaaaaaaaexample\nregion=us-ashburn-1\n",
            key.display()
        );
        std::fs::write(home.join(".oci/config"), config).unwrap();
        true
    }

    /// Runs the oci that is there about this vault.
    pub fn oci(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.home.path().join("oci"));
        command.args(["kms", "management"]).args(args);
        command.args(["--endpoint", &self.address(), "--output", "json"]);
        command.env_clear().env("OCI_CLI_RC_FILE", "/dev/null");
        command.env("HOME", self.home.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What it printed; panics with what it said if it failed.
    pub fn text(&self, args: &[&str]) -> String {
        let output = self.oci(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, read.
    pub fn told(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(args)).unwrap()
    }

    /// The wrapping key, as `oci` prints it.
    pub fn wrapping_key(&self) -> String {
        self.text(&["wrapping-key", "get"])
    }
}
