//! A KMS on the loopback interface, and the real AWS CLI to talk to it.
//!
//! The KMS is `ministack`, which really unwraps what it is sent. It needs a Python environment:
//!
//! ```text
//! python3 -m venv V && V/bin/pip install 'ministack==1.5.33' 'cryptography==50.0.2' awscli
//! BYOK_TEST_VENV=V cargo test
//! ```
//!
//! Without `BYOK_TEST_VENV` the tests that need it say `skipped: …` and pass.
#![allow(dead_code)] // every test crate uses another part of this

pub mod azure;
pub mod bao;
pub mod google;
pub mod oci;
pub mod stand_in;
mod warm;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use byok::ground::words;
use serde_json::{Value, json};

/// The account that every key belongs to: ministack takes twelve digits of an access key for one.
pub const ACCOUNT: &str = "111122223333";
/// Where keys are made unless a test says otherwise.
pub const REGION: &str = "eu-west-1";

const PATIENCE: Duration = Duration::from_secs(600);

/// A running KMS with nothing in it; it ends when this is dropped.
pub struct LoopbackKms {
    venv: PathBuf,
    home: tempfile::TempDir,
    port: u16,
    _server: UnixStream,
}

impl LoopbackKms {
    /// Starts a KMS and waits until it answers. `None`, and a line that says so, where the machine
    /// has no environment for it.
    pub fn start() -> Option<Self> {
        Self::start_with("kms,sts")
    }

    /// The same, with other services beside it: `"kms,sts,iam,sns,monitoring,events,cloudtrail"`.
    pub fn start_with(services: &str) -> Option<Self> {
        let Some(venv) = std::env::var_os("BYOK_TEST_VENV").filter(|path| !path.is_empty()) else {
            eprintln!("skipped: no KMS to test against, BYOK_TEST_VENV is not set");
            return None;
        };
        let venv = std::path::absolute(venv).expect("an absolute path of BYOK_TEST_VENV");
        let home = tempfile::tempdir().expect("a private folder");
        let started = Instant::now();
        loop {
            let port = free_port();
            let server = begin(&venv, home.path(), port, services);
            if answers(home.path(), port, &server) {
                return Some(Self {
                    venv,
                    home,
                    port,
                    _server: server,
                });
            }
            let log = std::fs::read_to_string(home.path().join("log"));
            assert!(started.elapsed() < PATIENCE, "no KMS begins: {log:?}");
        }
    }

    /// The URL for `--endpoint-url`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The whole environment that the AWS CLI, and so `import.sh`, needs: nothing of the caller's.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let warm = warm::aws(&self.venv);
        let path = format!(
            "{}:{}/bin:/usr/bin:/bin",
            warm.display(),
            self.venv.display()
        );
        vec![
            ("PATH", path),
            ("HOME", self.home.path().display().to_string()),
            ("AWS_ACCESS_KEY_ID", ACCOUNT.into()),
            ("AWS_SECRET_ACCESS_KEY", "loopback".into()),
            ("AWS_DEFAULT_REGION", REGION.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_PAGER", String::new()),
        ]
    }

    /// Where an `aws` is that begins the real one.
    pub fn aws_cli(&self) -> PathBuf {
        warm::aws(&self.venv).join("aws")
    }

    /// Runs the real AWS CLI against this KMS.
    pub fn aws(&self, args: &[&str]) -> Output {
        Command::new(self.aws_cli())
            .args(["--endpoint-url", &self.endpoint()])
            .args(args)
            .env_clear()
            .envs(self.env())
            .stdin(Stdio::null())
            .output()
            .expect("the AWS CLI of BYOK_TEST_VENV")
    }

    /// What the AWS CLI printed; panics with what it said if it failed.
    pub fn aws_text(&self, args: &[&str]) -> String {
        let output = self.aws(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aws {args:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8 from the AWS CLI")
    }

    /// Makes a KMS key of Origin EXTERNAL in the usual Region and returns its ARN.
    pub fn create_external_key(&self, spec: &str) -> String {
        self.create_external_key_in(spec, REGION)
    }

    /// Makes a KMS key of Origin EXTERNAL in this Region and returns its ARN.
    pub fn create_external_key_in(&self, spec: &str, region: &str) -> String {
        let usage = usages(spec)[0];
        let made = self.aws_text(&[
            "kms",
            "create-key",
            "--region",
            region,
            "--origin",
            "EXTERNAL",
            "--key-spec",
            spec,
            "--key-usage",
            usage,
        ]);
        text_at(&made, "/KeyMetadata/Arn")
    }

    /// Asks this KMS without the AWS CLI, which takes half a second a call: for what a test asks it often, and
    /// the CLI is not what it is about. Panics with what the KMS said if it refused.
    pub fn ask(&self, operation: &str, request: &Value) -> Value {
        let body = request.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: TrentService.{operation}\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/kms/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the KMS");
        stream
            .write_all((head + &body).as_bytes())
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (status, body) = answer.split_once("\r\n\r\n").expect("HTTP");
        assert!(status.starts_with("HTTP/1.1 200"), "{operation}: {answer}");
        serde_json::from_str(body).expect("JSON from the KMS")
    }

    /// Makes a KMS key of Origin EXTERNAL for this use and returns its ARN.
    pub fn external_key_for(&self, spec: &str, usage: &str) -> String {
        let request = json!({"Origin": "EXTERNAL", "KeySpec": spec, "KeyUsage": usage});
        let made = self.ask("CreateKey", &request);
        text_at(&made.to_string(), "/KeyMetadata/Arn")
    }

    /// Import parameters for this KMS key, exactly as the AWS CLI printed them. ministack keeps one
    /// set for each key: an earlier one is void.
    pub fn parameters(&self, arn: &str, algorithm: &str, wrapping_key_spec: &str) -> String {
        self.aws_text(&[
            "kms",
            "get-parameters-for-import",
            "--region",
            region_of(arn),
            "--key-id",
            arn,
            "--wrapping-algorithm",
            algorithm,
            "--wrapping-key-spec",
            wrapping_key_spec,
        ])
    }

    /// The KeyMaterialId that this KMS tells of a symmetric key's material; `None` while it has none.
    pub fn key_material_id(&self, arn: &str) -> Option<String> {
        let told = self.aws_text(&[
            "kms",
            "describe-key",
            "--region",
            region_of(arn),
            "--key-id",
            arn,
        ]);
        let told: Value = serde_json::from_str(&told).expect("JSON from describe-key");
        let id = told.pointer("/KeyMetadata/CurrentKeyMaterialId")?;
        Some(id.as_str()?.to_owned())
    }
}

/// The KeyMaterialId that ministack computes from a symmetric key's material, in lower-case hex. It
/// is a keyed digest of the material, so it proves byte for byte what arrived. The formula is
/// ministack's own: AWS publishes none. `key_id` may be the id or the ARN; the id is what counts.
pub fn key_material_id_of(material: &[u8], key_id: &str) -> String {
    let id = key_id.rsplit('/').next().unwrap_or(key_id);
    let text = format!("ministack:kms:key-material-id:{id}");
    words::hex(&hmac_sha256(material, text.as_bytes()))
}

/// HMAC-SHA256 (RFC 2104) of a key of at most one block.
fn hmac_sha256(key: &[u8], text: &[u8]) -> words::Digest {
    const BLOCK: usize = 64;
    assert!(key.len() <= BLOCK, "longer keys are hashed first");
    let padded = |pad: u8| {
        (0..BLOCK)
            .map(|at| key.get(at).copied().unwrap_or(0) ^ pad)
            .collect::<Vec<u8>>()
    };
    let inner = words::sha256(&[&padded(0x36), text].concat());
    words::sha256(&[&padded(0x5c), &inner[..]].concat())
}

/// What KMS keys of a spec may be used for.
pub fn usages(spec: &str) -> &'static [&'static str] {
    match spec {
        "ECC_SECG_P256K1" => &["SIGN_VERIFY"],
        _ if spec.starts_with("ECC_") => &["SIGN_VERIFY", "KEY_AGREEMENT"],
        _ if spec.starts_with("RSA_") => &["SIGN_VERIFY", "ENCRYPT_DECRYPT"],
        _ if spec.starts_with("HMAC_") => &["GENERATE_VERIFY_MAC"],
        _ => &["ENCRYPT_DECRYPT"],
    }
}

fn region_of(arn: &str) -> &str {
    arn.split(':').nth(3).expect("an ARN")
}

fn text_at(json: &str, pointer: &str) -> String {
    let json: Value = serde_json::from_str(json).expect("JSON from the AWS CLI");
    let text = json.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no {pointer} in {json}"))
        .to_owned()
}

/// A port that was free a moment ago. Another program may take it before the KMS does, which then ends.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback");
    listener.local_addr().expect("its address").port()
}

/// A KMS that is called after its home, so that its answer is told from another one's at the same port.
fn begin(venv: &Path, home: &Path, port: u16, services: &str) -> UnixStream {
    let home = home.display().to_string();
    let env = [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", &home),
        ("TMPDIR", &home),
        ("MINISTACK_EDITION", &home),
        ("BIND_HOST", "127.0.0.1"), // its default is every interface
        ("GATEWAY_PORT", &port.to_string()),
        ("SERVICES", services),
        ("CLOUDTRAIL_RECORDING", "1"), // where cloudtrail is one of them
        ("IOT_MTLS_ENABLED", "0"),
        ("SFTP_ENABLED", "0"),
    ];
    warm::ministack(venv, services, &home, &env)
}

/// Waits until this KMS answers; `false` if it ended instead.
fn answers(home: &Path, port: u16, server: &UnixStream) -> bool {
    let started = Instant::now();
    while !is_healthy(home, port) {
        if warm::has_ended(server) {
            return false;
        }
        let log = home.join("log");
        assert!(
            started.elapsed() < PATIENCE,
            "the KMS does not answer: {:?}",
            std::fs::read_to_string(log)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

fn is_healthy(home: &Path, port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(
            b"GET /_ministack/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let name = home.display().to_string();
    ask().is_ok_and(|answer| {
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"kms\"") && answer.contains(&name)
    })
}
