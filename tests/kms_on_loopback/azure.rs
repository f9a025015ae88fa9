//! A vault of Azure on the loopback interface: the tests' own, which unwraps with PyPI's `cryptography`, and the vendor's
//! Python client `azure-keyvault-keys` to talk to it, both in `BYOK_TEST_VENV`.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::stand_in::{Env, StandIn, nowhere, printed, program};

/// A vault that ends when this is dropped.
pub struct Vault {
    of: StandIn,
    url: String,
}

impl Vault {
    /// One whose keys' identifiers begin with this URL. `None` where the machine has no client for it.
    pub fn start(url: &str) -> Option<Self> {
        let modules = "azure.keyvault.keys, cryptography";
        let vault = Self {
            of: StandIn::start("azure/vault.py", modules, &[url])?,
            url: url.to_owned(),
        };
        let (address, authority) = (vault.address(), vault.authority());
        let words = [&address, authority.to_str().unwrap(), url];
        vault.of.command("az", "azure/az.py", &words);
        Some(vault)
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.of.port)
    }

    /// The certificate that its own is to be judged by.
    pub fn authority(&self) -> PathBuf {
        self.of.home.path().join("ca.pem")
    }

    /// The identifier of a key, as a plan names it.
    pub fn key(&self, name: &str) -> String {
        format!("{}/keys/{name}", self.url)
    }

    /// Runs the vendor's client.
    pub fn client(&self, args: &[&str]) -> Output {
        Command::new(&self.of.python)
            .arg(program("azure/client.py"))
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
        printed(self.client(args), args)
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
    /// and no others.
    pub fn env(&self) -> Env {
        let mut env = self.of.env(&self.of.bin());
        env.push(("ARM_CLOUD_METADATA_URL", nowhere()));
        env
    }

    /// What `import.sh` needs of the environment for the real `az`: it is signed in as the managed identity of this
    /// computer, which the vault of the tests plays too. `None`: no `az`.
    pub fn az_env(&self) -> Option<Env> {
        let az = std::env::var_os("BYOK_TEST_AZ").filter(|path| !path.is_empty())?;
        let bin = std::path::absolute(az).unwrap();
        let home = self.of.home.path();
        let config = home.join("azure");
        std::fs::create_dir_all(&config).unwrap();
        let id = |n: u8| format!("00000000-0000-0000-0000-{n:012}");
        let profile = serde_json::json!({"installationId": id(1), "subscriptions": [{
            "id": id(2), "name": "of a test", "state": "Enabled", "isDefault": true, "tenantId": id(3),
            "homeTenantId": id(3), "managedByTenants": [], "environmentName": "AzureCloud",
            "user": {"name": "systemAssignedIdentity", "type": "servicePrincipal", "assignedIdentityInfo": "MSI"},
        }]});
        std::fs::write(config.join("azureProfile.json"), profile.to_string()).unwrap();
        let mut env = self.of.env(bin.parent().unwrap());
        env.extend([
            ("AZURE_CONFIG_DIR", config.display().to_string()),
            ("IDENTITY_ENDPOINT", format!("{}/msi/token", self.address())),
            ("IDENTITY_HEADER", "of a test".into()),
            ("AZURE_CLI_DISABLE_CONNECTION_VERIFICATION", "1".into()),
            ("AZURE_DEFAULTS_LOCATION", "nowhere".into()),
            ("ARM_CLOUD_METADATA_URL", nowhere()),
        ]);
        Some(env)
    }
}
