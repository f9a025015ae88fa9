//! Google Cloud KMS on the loopback interface: the tests' own, which unwraps with PyPI's `cryptography`, and a small
//! `gcloud` which speaks to it by the vendor's Python client `google-cloud-kms`, all in `BYOK_TEST_VENV`. The real gcloud
//! is in `BYOK_TEST_GCLOUD`.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::stand_in::{Env, StandIn, nowhere, printed};

/// Where all keys of the tests are.
pub const RING: &str = "projects/byok-tests/locations/europe-west6/keyRings/ceremonies";

/// A KMS that ends when this is dropped.
pub struct CloudKms {
    of: StandIn,
}

impl CloudKms {
    /// An empty one. `None` where the machine has no client for it.
    pub fn start() -> Option<Self> {
        let modules = "google.cloud.kms_v1, cryptography";
        let of = StandIn::start("google/kms.py", modules, &[])?;
        of.command("gcloud", "google/gcloud.py", &[]);
        Some(Self { of })
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.of.port)
    }

    /// The resource name of a key, as a plan names it.
    pub fn key(&self, name: &str) -> String {
        format!("{RING}/cryptoKeys/{name}")
    }

    /// What import.sh needs of the environment; what names servers in it leads nowhere.
    pub fn env(&self) -> Env {
        let mut env = self.of.env(&self.of.bin());
        let config = self.of.home.path().display().to_string();
        let elsewhere = format!("{}/", nowhere());
        env.extend([
            ("CLOUDSDK_CONFIG", config),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", elsewhere),
            ("CLOUDSDK_CORE_PROJECT", "another".into()),
            ("CLOUDSDK_PROXY_ADDRESS", "nowhere".into()),
            ("CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION", "true".into()),
        ]);
        env
    }

    /// The same for somebody who is signed in with this token; `of-an-importer` may not ask for a proof.
    pub fn env_of(&self, token: &str) -> Env {
        let path = self.of.home.path().join("token");
        std::fs::write(&path, format!("{token}\n")).unwrap();
        let mut env = self.env();
        let path = path.display().to_string();
        env.push(("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", path));
        env
    }

    /// The same with the real gcloud. `None`: there is none.
    pub fn real_env(&self) -> Option<Env> {
        let gcloud = std::env::var_os("BYOK_TEST_GCLOUD").filter(|path| !path.is_empty())?;
        let bin = self.of.home.path().join("real");
        std::fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink(std::path::absolute(gcloud).unwrap(), bin.join("gcloud"))
            .unwrap();
        let mut env = self.env_of("of-a-test");
        env.retain(|(name, _)| *name != "PATH");
        env.push(("PATH", format!("{}:/usr/bin:/bin", bin.display())));
        Some(env)
    }

    /// Runs the gcloud of the tests about the key ring of the tests.
    pub fn gcloud(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.of.bin().join("gcloud"));
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
        printed(self.gcloud(args), args)
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
