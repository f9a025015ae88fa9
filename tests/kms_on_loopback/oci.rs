//! A vault of OCI on the loopback interface: the tests' own, which unwraps with PyPI's `cryptography` of `BYOK_TEST_VENV`,
//! and a small `oci` which speaks HTTP to it.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::stand_in::{Env, StandIn, nowhere, printed};

/// The vault of the tests, as plans name it.
pub const ENDPOINT: &str = "https://examplevault-management.kms.us-ashburn-1.oraclecloud.com";
/// A compartment.
pub const COMPARTMENT: &str = "ocid1.compartment.oc1..aaaaaaaaexample";

/// A vault that ends when this is dropped.
pub struct OciVault {
    of: StandIn,
}

impl OciVault {
    /// An empty one. `None` where the machine has no `cryptography` for it.
    pub fn start() -> Option<Self> {
        let of = StandIn::start("oci/vault.py", "cryptography", &[])?;
        of.command("oci", "oci/oci.py", &[]);
        Some(Self { of })
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.of.port)
    }

    /// What import.sh needs of the environment; what names servers in it leads nowhere.
    pub fn env(&self) -> Env {
        let mut env = self.of.env(&self.of.bin());
        env.extend([
            ("OCI_CLI_PROFILE", "DEFAULT".into()),
            ("OCI_CLI_ENDPOINT", nowhere()),
            ("OCI_CLI_REGION", "nowhere".into()),
            ("OCI_CLI_RC_FILE", "/nowhere".into()),
        ]);
        env
    }

    /// Puts the real `oci` in the place of the tests' own, and signs it in with a key that this vault asks nobody for.
    /// `false`: there is none.
    pub fn with_the_real_oci(&self) -> bool {
        let Some(oci) = std::env::var_os("BYOK_TEST_OCI").filter(|path| !path.is_empty()) else {
            return false;
        };
        let home = self.of.home.path();
        let place = self.of.bin().join("oci");
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(std::path::absolute(oci).unwrap(), place).unwrap();
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
        let mut command = Command::new(self.of.bin().join("oci"));
        command.args(["kms", "management"]).args(args);
        command.args(["--endpoint", &self.address(), "--output", "json"]);
        command.env_clear().env("OCI_CLI_RC_FILE", "/dev/null");
        command.env("HOME", self.of.home.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What it printed; panics with what it said if it failed.
    pub fn text(&self, args: &[&str]) -> String {
        printed(self.oci(args), args)
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
