//! A vault of Azure on the loopback interface: the tests' own, which unwraps with PyPI's `cryptography`, and the vendor's
//! Python client `azure-keyvault-keys` to talk to it, both in `BYOK_TEST_VENV`.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A vault that ends when this is dropped; all it holds is in its memory.
pub struct Vault {
    python: PathBuf,
    home: tempfile::TempDir,
    url: String,
    port: u16,
    server: Child,
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/kms_on_loopback/azure")
        .join(name)
}

impl Vault {
    /// One whose keys' identifiers begin with this URL. `None` where the machine has no client for it.
    pub fn start(url: &str) -> Option<Self> {
        let venv = std::env::var_os("BYOK_TEST_VENV").filter(|path| !path.is_empty())?;
        let python = std::path::absolute(venv).unwrap().join("bin/python");
        let mut there = Command::new(&python);
        let there = there.args(["-c", "import azure.keyvault.keys, cryptography"]);
        if !there.output().ok()?.status.success() {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut server = Command::new(&python)
            .arg(program("vault.py"))
            .arg(home.path())
            .arg(url)
            .env_clear()
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
            url: url.to_owned(),
            port: line.trim().parse().expect("the port of the vault"),
            server,
        })
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate that its own is to be judged by.
    pub fn authority(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// The identifier of a key, as a plan names it.
    pub fn key(&self, name: &str) -> String {
        format!("{}/keys/{name}", self.url)
    }

    /// Runs the vendor's client.
    pub fn client(&self, args: &[&str]) -> Output {
        Command::new(&self.python)
            .arg(program("client.py"))
            .arg(self.address())
            .arg(self.authority())
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What it printed; panics with what it said if it failed.
    pub fn text(&self, args: &[&str]) -> String {
        let output = self.client(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, read.
    pub fn told(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(args)).unwrap()
    }

    /// Deletes a key, and the name with it.
    pub fn forget(&self, name: &str) {
        self.text(&["delete", name]);
        self.text(&["purge", name]);
    }

    /// What the scripts need of the environment for an `az` of the tests: the vendor's client, with the options of `az`
    /// and no others. What names servers in it leads nowhere.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        use std::os::unix::fs::PermissionsExt as _;
        let bin = self.home.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let az = format!(
            "#!/bin/sh\nexec '{}' '{}' '{}' '{}' '{}' \"$@\"\n",
            self.python.display(),
            program("az.py").display(),
            self.address(),
            self.authority().display(),
            self.url,
        );
        std::fs::write(bin.join("az"), az).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join("az"), executable).unwrap();
        let nowhere = "http://127.0.0.1:1".to_owned();
        vec![
            ("PATH", format!("{}:/usr/bin:/bin", bin.display())),
            ("HOME", self.home.path().display().to_string()),
            ("HTTPS_PROXY", nowhere.clone()),
            ("https_proxy", nowhere.clone()),
            ("ARM_CLOUD_METADATA_URL", nowhere),
            ("REQUESTS_CA_BUNDLE", "/nowhere".into()),
            ("PYTHONPATH", "/nowhere".into()),
        ]
    }

    /// What `import.sh` needs of the environment for the real `az`: it is signed in as the managed identity of this
    /// computer, which the vault of the tests plays too. What names servers in it leads nowhere. `None`: no `az`.
    pub fn az_env(&self) -> Option<Vec<(&'static str, String)>> {
        let az = std::env::var_os("BYOK_TEST_AZ").filter(|path| !path.is_empty())?;
        let bin = std::path::absolute(az).unwrap();
        let bin = bin.parent().unwrap().display().to_string();
        let home = self.home.path();
        let config = home.join("azure");
        std::fs::create_dir_all(&config).unwrap();
        let id = |n: u8| format!("00000000-0000-0000-0000-{n:012}");
        let profile = serde_json::json!({"installationId": id(1), "subscriptions": [{
            "id": id(2), "name": "of a test", "state": "Enabled", "isDefault": true, "tenantId": id(3),
            "homeTenantId": id(3), "managedByTenants": [], "environmentName": "AzureCloud",
            "user": {"name": "systemAssignedIdentity", "type": "servicePrincipal", "assignedIdentityInfo": "MSI"},
        }]});
        std::fs::write(config.join("azureProfile.json"), profile.to_string()).unwrap();
        let nowhere = "http://127.0.0.1:1".to_owned();
        Some(vec![
            ("PATH", format!("{bin}:/usr/bin:/bin")),
            ("HOME", home.display().to_string()),
            ("AZURE_CONFIG_DIR", config.display().to_string()),
            ("IDENTITY_ENDPOINT", format!("{}/msi/token", self.address())),
            ("IDENTITY_HEADER", "of a test".into()),
            ("AZURE_CLI_DISABLE_CONNECTION_VERIFICATION", "1".into()),
            ("AZURE_DEFAULTS_LOCATION", "nowhere".into()),
            ("ARM_CLOUD_METADATA_URL", nowhere.clone()),
            ("HTTPS_PROXY", nowhere.clone()),
            ("https_proxy", nowhere),
            ("REQUESTS_CA_BUNDLE", "/nowhere".into()),
            ("PYTHONPATH", "/nowhere".into()),
        ])
    }
}
