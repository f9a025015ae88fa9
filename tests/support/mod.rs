//! Rooms for the tests: a real token, a KMS key made by openssl, a plan.
#![allow(dead_code, missing_docs)] // each test file uses its own part

pub mod aborted;
pub mod dead;
pub mod escrow;
pub mod forger;
pub mod golden;
pub mod memory;
pub mod paper;
pub mod pty;
pub mod remote;
pub mod screen;
pub mod specs;
pub mod story;
pub mod strace;
pub mod synced;
pub mod targets;
pub mod verifiers;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use unicode_width::UnicodeWidthStr as _;

pub const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub const LABEL: &str = "payments-2026";
pub const PIN: &str = "pin-8471-of-the-tests";
pub const SHA_1: &str = "RSAES_OAEP_SHA_1";
pub const SHA_256: &str = "RSAES_OAEP_SHA_256";

/// How long a test waits for what must come, on however slow and busy a machine. Nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Waits for what must come.
#[track_caller]
pub fn wait_for(mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < PATIENCE, "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The two HSMs of the tests. No test may be true of one of them only without saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SoftHsm,
    Kryoptic,
}

impl Kind {
    /// The module, or `None` after saying that it is not here.
    pub fn module(self) -> Option<PathBuf> {
        let (variable, usual) = match self {
            Self::SoftHsm => (
                "BYOK_TEST_SOFTHSM",
                "/usr/lib/softhsm/libsofthsm2.so".to_owned(),
            ),
            Self::Kryoptic => (
                "BYOK_TEST_KRYOPTIC",
                in_target("modules/release/libbyok_kryoptic.so"),
            ),
        };
        module_at(variable, &usual)
    }

    /// Whether C_WrapKey takes OAEP with SHA-256.
    pub fn wraps_sha_256(self) -> bool {
        self == Self::Kryoptic
    }
}

/// A test before SoftHSM, and its twin before kryoptic. Both names stand there: the pages of docs/ name them.
#[allow(unused_macros)]
macro_rules! twins {
    ($softhsm:ident, $kryoptic:ident, $test:expr) => {
        #[test]
        fn $softhsm() {
            ($test)(crate::support::Kind::SoftHsm);
        }

        #[test]
        fn $kryoptic() {
            ($test)(crate::support::Kind::Kryoptic);
        }
    };
}
#[allow(unused_imports)]
pub(crate) use twins;

/// The program that is tested: as it was built for release, where `BYOK_TEST_BIN` says so, or cargo's own.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        std::env::var("BYOK_TEST_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_byok").into())
    })
}

/// The fault-injecting proxy.
pub fn proxy_module() -> Option<PathBuf> {
    module_at(
        "BYOK_TEST_PROXY",
        &in_target("modules/release/libbyok_proxy.so"),
    )
}

/// opencryptoki, as Debian packages it.
pub fn opencryptoki_module() -> Option<PathBuf> {
    let arch = std::env::consts::ARCH;
    module_at(
        "BYOK_TEST_OPENCRYPTOKI",
        &format!("/usr/lib/{arch}-linux-gnu/pkcs11/libopencryptoki.so"),
    )
}

/// The module whose HSM is in another process.
pub fn remote_module() -> Option<PathBuf> {
    module_at(
        "BYOK_TEST_REMOTE",
        &in_target("modules/release/libbyok_remote.so"),
    )
}

fn in_target(path: &str) -> String {
    format!("{}/target/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn module_at(variable: &str, usual: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var(variable).unwrap_or_else(|_| usual.to_owned()));
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{variable}: {} is not there", path.display()));
    None
}

/// Says, where `tests/run.sh` counts it, that the running test did not test.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    eprint!("skipped: {line}");
    if let Ok(path) = std::env::var("BYOK_TEST_SKIPS") {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Questions that whoever has nothing to say passes by with Enter.
pub const PASSED: [&str; 5] = [
    " A number corrects a name, Enter goes on: ",
    " Press Enter when it is written: ",
    " Press Enter for the rest: ",
    " Press Enter for the digest: ",
    " Press Enter when that is done: ",
];

/// Whether one of them is what is waited at, however it was folded.
pub fn is_passed(shown: &str) -> bool {
    const LONGEST: usize = 12; // words
    let mut last: Vec<&str> = shown
        .rsplit(char::is_whitespace)
        .take(3 * LONGEST)
        .collect();
    last.reverse();
    last.retain(|word| !word.is_empty());
    let last = last.join(" ");
    shown.ends_with(": ")
        && PASSED
            .iter()
            .any(|question| last.ends_with(question.trim()))
}

/// The number that is asked for in `Type 2 when only Audit looks: `, before a share is shown.
pub fn share_asked(shown: &str) -> String {
    let (_, asked) = shown.rsplit_once("Type ").expect("the number of a share");
    asked.split(' ').next().unwrap().to_owned()
}

/// What stands in a window of 80 columns and so many rows; a line that is too long takes several.
pub fn last_rows(shown: &str, rows: usize) -> String {
    let mut kept = Vec::new();
    let mut taken = 0;
    for line in shown.split('\n').rev() {
        taken += line.chars().count().div_ceil(80).max(1);
        if taken > rows {
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n")
}

/// A token of its own, and everything a ceremony needs.
pub struct Room {
    pub kind: Kind,
    pub dir: tempfile::TempDir,
    /// The module that the plan names.
    pub module: PathBuf,
    /// What byok sees of the environment beyond PATH.
    pub env: Vec<(String, String)>,
    pub plan: PlanText,
    pub kms: KmsKey,
}

/// The plan, field by field, so that a test changes only what it is about.
#[derive(Clone)]
pub struct PlanText {
    pub title: String,
    pub network: String,
    pub module: String,
    pub token: String,
    pub pin: String,
    pub label: String,
    pub key_arn: String,
    pub parameters: String,
    pub wrapping: String,
    pub wrap_in: String,
    pub expires: String,
    pub wrapping_key_sha256: Option<String>,
    pub directory: String,
    pub kind: String,
    pub keep: String,
    pub spec: String,
    /// Whether the data key goes anywhere.
    pub imported: bool,
    /// `kms` and `key`, where it does not go to AWS KMS.
    pub elsewhere: Option<(&'static str, &'static str)>,
    /// Lines added to the top, and to `[[key]]`.
    pub top_more: String,
    pub key_more: String,
    /// Lines added to `[[key.import]]`, to `[record]`, and to the end.
    pub import_more: String,
    pub record_more: String,
    pub more: String,
}

impl Room {
    /// A room before this HSM; `None` where its module is not on this machine.
    pub fn new(kind: Kind) -> Option<Self> {
        let module = kind.module()?;
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("inputs")).unwrap();
        fs::write(dir.path().join("pin"), format!("{PIN}\n")).unwrap();
        fs::set_permissions(dir.path().join("pin"), fs::Permissions::from_mode(0o600)).unwrap();
        let env = configure(kind, dir.path());
        let kms = KmsKey::rsa(2048);
        let plan = PlanText {
            title: "Payments data key, eu-west-1".into(),
            network: "allowed".into(),
            module: module.display().to_string(),
            token: "pkcs11:token=ceremony".into(),
            pin: "file:pin".into(),
            label: LABEL.into(),
            key_arn: ARN.into(),
            parameters: "inputs/eu-west-1.json".into(),
            wrapping: SHA_1.into(),
            wrap_in: "hsm".into(),
            expires: "never".into(),
            wrapping_key_sha256: Some(kms.sha256()),
            directory: "records/one".into(),
            kind: "generate".into(),
            keep: "extractable".into(),
            spec: "SYMMETRIC_DEFAULT".into(),
            imported: true,
            elsewhere: None,
            top_more: String::new(),
            key_more: String::new(),
            import_more: String::new(),
            record_more: String::new(),
            more: String::new(),
        };
        let room = Self {
            kind,
            dir,
            module,
            env,
            plan,
            kms,
        };
        room.token(&["init", "ceremony", PIN]);
        room.write_parameters();
        Some(room)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Makes the plan one for this spec, wrapped as this HSM can wrap it. `bits` is for HMAC keys.
    pub fn plan_spec(&mut self, spec: &str, bits: Option<usize>) {
        self.plan.spec = spec.into();
        self.plan.key_more = bits.map_or(String::new(), |bits| format!("bits = {bits}\n"));
        if is_private(spec) {
            self.plan.wrapping = "RSA_AES_KEY_WRAP_SHA_256".into();
            self.plan.wrap_in = match self.kind {
                Kind::SoftHsm => "host".into(), // it appends bytes
                Kind::Kryoptic if spec.starts_with("ECC_") => "host".into(), // it drops leading zeros
                Kind::Kryoptic => "hsm".into(),
            };
        }
        self.plan.elsewhere = specs::elsewhere(spec);
        if self.plan.elsewhere.is_some() {
            if !is_private(spec) {
                self.plan.wrapping = "RSA_AES_KEY_WRAP_SHA_1".into();
            }
            self.use_kms_key(KmsKey::rsa(4096));
        }
    }

    /// Another wrapping key, with its parameters and its digest in the plan.
    pub fn use_kms_key(&mut self, kms: KmsKey) {
        self.plan.wrapping_key_sha256 = Some(kms.sha256());
        self.kms = kms;
        self.write_parameters();
    }

    pub fn write_parameters(&self) {
        let json = match self.plan.elsewhere {
            None => self.kms.parameters(&self.plan.key_arn, now() + 86_000),
            Some((kms, key)) => self.kms.parameters_of(kms, key, &self.plan.wrapping),
        };
        fs::write(self.path("inputs/eu-west-1.json"), json).unwrap();
    }

    /// Writes the plan and returns where.
    pub fn write_plan(&self) -> PathBuf {
        let path = self.path("plan.toml");
        fs::write(&path, self.plan.text()).unwrap();
        path
    }

    /// A bare PKCS#11 program of the tests before this token.
    pub fn token(&self, args: &[&str]) -> String {
        let output = self.token_command(args).output().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn token_command(&self, args: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_byok"))
            .parent()
            .unwrap()
            .join("examples/test-token");
        let mut command = Command::new(&program);
        assert!(
            program.exists(),
            "{}: cargo build --example test-token",
            program.display()
        );
        command
            .arg(self.kind.module().unwrap())
            .args(args)
            .envs(self.env.iter().cloned());
        command
    }

    /// Every object of the token but the transcript signer, a line each: class, label, id.
    pub fn objects(&self) -> Vec<String> {
        self.all_objects(|object| !is_signer(object))
    }

    /// Both halves of every transcript signer.
    pub fn signers(&self) -> Vec<String> {
        self.all_objects(is_signer)
    }

    fn all_objects(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.token(&["list", "ceremony", PIN])
            .lines()
            .filter(|object| wanted(object))
            .map(str::to_owned)
            .collect()
    }

    pub fn byok(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.dir.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Writes the plan and runs it unattended, approved by its digest.
    pub fn run(&self) -> Output {
        self.write_plan();
        let approved = sha256(&fs::read(self.path("plan.toml")).unwrap());
        self.byok(&["run", "plan.toml", "--approve", &approved])
            .output()
            .unwrap()
    }

    /// `byok check --hsm` of the plan.
    pub fn check(&self) -> Output {
        self.write_plan();
        self.byok(&["check", "--hsm", "plan.toml"])
            .output()
            .unwrap()
    }

    /// A run that must have come to its end.
    pub fn run_well(&self) -> Transcript {
        let output = self.run();
        assert!(output.status.success(), "{}", stderr(&output));
        self.transcript("records/one")
    }

    /// Runs this plan text, approved by its digest.
    pub fn run_text(&self, plan: &str) -> Output {
        fs::write(self.path("plan.toml"), plan).unwrap();
        let approved = sha256(plan.as_bytes());
        self.byok(&["run", "plan.toml", "--approve", &approved])
            .output()
            .unwrap()
    }

    /// A program that is given `byok run`, approved, as its last arguments.
    pub fn run_under(&self, way: &[&str]) -> Command {
        let plan = self.write_plan();
        let approved = sha256(&fs::read(plan).unwrap());
        let mut command = Command::new(way[0]);
        command.args(&way[1..]);
        command.args([program(), "run", "plan.toml", "--approve"]);
        command.arg(approved);
        command.current_dir(self.dir.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// The run after a refused one: it comes to its end, openssl opens what it wrapped, its record
    /// verifies, and its data key is all that it added to these objects of the token.
    #[track_caller]
    pub fn run_corrected(&self, objects_before: &[String]) -> Transcript {
        let transcript = self.run_well();
        let generated = transcript.event("key-generated");
        let label = &self.plan.label;
        let wrapped = format!("records/one/{label}/eu-west-1/WrappedKeyMaterial.bin");
        let (kcv, fingerprint) = openssl_check_values(&self.openssl_opens(&wrapped));
        assert_eq!(generated["kcv"], kcv.as_str());
        assert_eq!(generated["fingerprint"], fingerprint.as_str());
        let id = generated["cka_id"].as_str().unwrap();
        let mut expected = objects_before.to_vec();
        expected.push(format!("CKO_SECRET_KEY {label} {id}"));
        expected.sort();
        let mut objects = self.objects();
        objects.sort();
        assert_eq!(objects, expected);
        let verified = verifiers::both(self.dir.path(), &["records/one"]);
        assert!(verified.status.success(), "{}", stderr(&verified));
        transcript
    }

    /// Puts the proxy before the token, with these rules.
    pub fn behind_proxy(&mut self, rules: &str) -> Option<()> {
        let proxy = proxy_module()?;
        self.plan.module = proxy.display().to_string();
        self.env
            .retain(|(name, _)| !name.starts_with("BYOK_PROXY_"));
        self.env.push((
            "BYOK_PROXY_MODULE".into(),
            self.module.display().to_string(),
        ));
        self.env.push(("BYOK_PROXY_RULES".into(), rules.into()));
        Some(())
    }

    /// Adds an escrow whose shares go to files, and the ceremony that deals it.
    pub fn run_with_escrow(&mut self, threshold: u8, custodians: &[&str]) -> Transcript {
        self.plan.more = format!(
            "[escrow]\nthreshold = {threshold}\ncustodians = {custodians:?}\ndeliver = \"files:shares\"\n"
        );
        self.run_well()
    }

    /// The 33 words of a share file, on one line.
    pub fn share(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path("shares").join(name)).unwrap();
        text.lines().last().unwrap().to_owned()
    }

    /// Takes the proxy away again.
    pub fn without_proxy(&mut self) {
        self.plan.module = self.module.display().to_string();
    }

    pub fn transcript(&self, record: &str) -> Transcript {
        Transcript::read(&self.path(record).join("transcript.jsonl"))
    }

    /// What stands beside the record: `one.aborted-…` and the like.
    pub fn beside(&self) -> Vec<String> {
        names_in(&self.path("records"))
    }

    /// The one aborted record.
    pub fn aborted(&self) -> Transcript {
        let names = self.beside();
        let aborted: Vec<_> = names
            .iter()
            .filter(|name| name.starts_with("one.aborted-"))
            .collect();
        assert_eq!(aborted.len(), 1, "{names:?}");
        self.transcript(&format!("records/{}", aborted[0]))
    }

    /// The data key, opened by openssl with the KMS's private key.
    pub fn openssl_opens(&self, wrapped: &str) -> Vec<u8> {
        self.kms.open(&self.path(wrapped), &self.plan.wrapping)
    }
}

impl PlanText {
    pub fn text(&self) -> String {
        let digest = self.wrapping_key_sha256.as_ref();
        let digest = digest
            .map(|d| format!("wrapping_key_sha256 = \"{d}\"\n"))
            .unwrap_or_default();
        let into = match self.elsewhere {
            None => format!("key_arn = \"{}\"", self.key_arn),
            Some((kms, key)) => format!("kms = \"{kms}\"\nkey = \"{key}\""),
        };
        let import = format!(
            "[[key.import]]\nname = \"eu-west-1\"\n{into}\nparameters = \"{}\"\nwrapping = \"{}\"\n\
             wrap_in = \"{}\"\nexpires = \"{}\"\n{digest}{}",
            self.parameters, self.wrapping, self.wrap_in, self.expires, self.import_more,
        );
        format!(
            "title = \"{}\"\nkind = \"{}\"\n{}[machine]\nnetwork = \"{}\"\n[hsm]\nmodule = \"{}\"\n\
             token = \"{}\"\npin = \"{}\"\nenv = [\"SOFTHSM2_CONF\", \"KRYOPTIC_CONF\", \"BYOK_PROXY_MODULE\", \
             \"BYOK_PROXY_RULES\", \"BYOK_REMOTE_SOCKET\", \"P11_KIT_SERVER_ADDRESS\", \"FAKETIME\"]\n\
             [[key]]\nlabel = \"{}\"\nspec = \"{}\"\nkeep = \"{}\"\n{}{}[record]\ndirectory = \"{}\"\n{}{}",
            self.title,
            self.kind,
            self.top_more,
            self.network,
            self.module,
            self.token,
            self.pin,
            self.label,
            self.spec,
            self.keep,
            self.key_more,
            if self.imported { import } else { String::new() },
            self.directory,
            self.record_more,
            self.more
        )
    }
}

fn configure(kind: Kind, dir: &Path) -> Vec<(String, String)> {
    let (variable, file, text) = match kind {
        Kind::SoftHsm => {
            fs::create_dir(dir.join("tokens")).unwrap();
            let tokens = dir.join("tokens");
            let text = format!(
                "directories.tokendir = {}\nobjectstore.backend = file\n",
                tokens.display()
            );
            ("SOFTHSM2_CONF", "softhsm2.conf", text)
        }
        Kind::Kryoptic => {
            let token = dir.join("token.sql");
            let text = format!(
                "[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
                token.display()
            );
            ("KRYOPTIC_CONF", "kryoptic.toml", text)
        }
    };
    fs::write(dir.join(file), text).unwrap();
    vec![(variable.to_owned(), dir.join(file).display().to_string())]
}

fn is_signer(object: &str) -> bool {
    object.contains(" byok-transcript-signer ")
}

/// When material may expire at the latest, nearly: `expires` of a plan.
pub fn in_a_year() -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(360 * 24);
    format!("{at:.0}")
}

/// What `byok due` tells of the records here: task, data key and import, sorted.
#[track_caller]
pub fn due(room: &Room) -> Vec<String> {
    let args = ["due", "records", "--json", "--within", "400d"];
    let output = room.byok(&args).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["broken"], serde_json::json!([]));
    let word = |due: &serde_json::Value, name: &str| due[name].as_str().unwrap().to_owned();
    let due = told["due"].as_array().unwrap().iter();
    let told = due.map(|due| {
        ["task", "label", "import"]
            .map(|name| word(due, name))
            .join(" ")
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

/// Every file and directory below, with its bytes: what must not change.
pub fn tree(path: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
            found.push((path, None));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.push((path, Some(bytes)));
        }
    }
    found.sort();
    found
}

/// `unshare` with these flags, as root or in a user namespace of one's own.
pub fn namespace(flags: &[&'static str]) -> Option<Vec<&'static str>> {
    for user in [&[][..], &["--user", "--map-root-user"]] {
        let way = [&["unshare"], user, flags].concat();
        let tried = Command::new(way[0]).args(&way[1..]).arg("true").output();
        if tried.is_ok_and(|output| output.status.success()) {
            return Some(way);
        }
    }
    skip(&format!("unshare {flags:?}: neither root nor a namespace"));
    None
}

/// Bytes as opaque as an import token, the same for the same name.
pub fn opaque(name: &str) -> Vec<u8> {
    let part = |number| byok::ground::words::sha256(format!("{name}, part {number}").as_bytes());
    (0..20).flat_map(part).collect()
}

/// A KMS's wrapping key pair, made and used by openssl alone.
#[derive(Clone, Debug)]
pub struct KmsKey {
    pem: PathBuf,
    pub spki: Vec<u8>,
    pub token: Vec<u8>,
}

impl KmsKey {
    /// One pair of each size serves a whole test program: making them is slow.
    pub fn rsa(bits: u32) -> Self {
        static MADE: Mutex<Vec<(u32, KmsKey)>> = Mutex::new(Vec::new());
        let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, key)) = made.iter().find(|(size, _)| *size == bits) {
            return key.clone();
        }
        let key = Self::make(bits);
        made.push((bits, key.clone()));
        key
    }

    /// A pair of its own.
    pub fn make(bits: u32) -> Self {
        static COUNT: Mutex<u32> = Mutex::new(0);
        static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
        let dir = DIR.get_or_init(|| tempfile::tempdir().unwrap());
        let number = {
            let mut count = COUNT
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            *count += 1;
            *count
        };
        let pem = dir.path().join(format!("{number}.pem"));
        let size = format!("rsa_keygen_bits:{bits}");
        openssl(
            &[
                "genpkey",
                "-quiet",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                &size,
                "-out",
                pem.to_str().unwrap(),
            ],
            &[],
        );
        let spki = openssl(
            &[
                "pkey",
                "-in",
                pem.to_str().unwrap(),
                "-pubout",
                "-outform",
                "DER",
            ],
            &[],
        );
        Self {
            pem,
            spki,
            token: opaque(&format!("import token {number}")),
        }
    }

    /// SHA-256 of the SPKI DER, as the slip of the online side shows it.
    pub fn sha256(&self) -> String {
        sha256(&self.spki)
    }

    /// Import parameters as `aws kms get-parameters-for-import` prints them.
    pub fn parameters(&self, arn: &str, valid_to: u64) -> String {
        format!(
            "{{\n    \"KeyId\": \"{arn}\",\n    \"ImportToken\": \"{}\",\n    \"PublicKey\": \"{}\",\n    \
             \"ParametersValidTo\": {valid_to}.123\n}}\n",
            base64(&self.token),
            base64(&self.spki)
        )
    }

    /// The answer of another KMS about it: the key in PEM, Azure's about a KEK beside `key`, or Google's about an import
    /// job in its ring that unwraps so.
    pub fn parameters_of(&self, kms: &str, key: &str, wrapping: &str) -> String {
        let pem = openssl(&["pkey", "-pubin", "-inform", "DER"], &self.spki);
        let pem = String::from_utf8(pem).unwrap();
        if kms == "google" {
            let (ring, _) = key.split_once("/cryptoKeys/").unwrap();
            let hash = wrapping.rsplit_once("SHA_").unwrap().1;
            let method = format!("RSA_OAEP_{}_SHA{hash}_AES_256", self.modulus_len() * 8);
            let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(71);
            return format!(
                "{{\"name\":\"{ring}/importJobs/job\",\"importMethod\":\"{method}\",\"protectionLevel\":\"HSM\",\
                 \"state\":\"ACTIVE\",\"expireTime\":\"{expires:.0}\",\"publicKey\":{{\"pem\":\"{}\"}}}}\n",
                pem.replace('\n', "\\n")
            );
        }
        if kms != "azure" {
            return pem;
        }
        let exponent = self.spki.len() - 5; // its head, and 65537
        let n = &self.spki[exponent - self.modulus_len()..exponent];
        let (vault, _) = key.rsplit_once('/').unwrap();
        let (kid, n) = (format!("{vault}/KEK/{}", "0".repeat(32)), base64(n));
        format!(
            "{{\"key\":{{\"kid\":\"{kid}\",\"kty\":\"RSA-HSM\",\"keyOps\":[\"import\"],\"n\":\"{n}\",\
             \"e\":\"AQAB\"}},\"attributes\":{{\"enabled\":true}}}}\n"
        )
    }

    /// What openssl finds in it.
    pub fn open(&self, wrapped: &Path, wrapping: &str) -> Vec<u8> {
        let opened = self.try_open(wrapped, wrapping);
        opened.unwrap_or_else(|| panic!("openssl does not open {}", wrapped.display()))
    }

    /// By openssl, unless it refuses: `pkeyutl -decrypt` of RSAES-OAEP, told the hash for OAEP and for MGF1; of
    /// RSA_AES_KEY_WRAP that gives the AES key for `enc -d -id-aes256-wrap-pad` of the rest.
    pub fn try_open(&self, wrapped: &Path, wrapping: &str) -> Option<Vec<u8>> {
        let hash = match wrapping.ends_with("SHA_256") {
            true => "sha256",
            false => "sha1",
        };
        let wrapped = fs::read(wrapped).unwrap();
        let opened = |output: Output| output.status.success().then_some(output.stdout);
        if !wrapping.starts_with("RSA_AES_") {
            return opened(self.decrypted(&wrapped, hash));
        }
        let (key, material) = wrapped.split_at(self.modulus_len());
        let key = hex(&opened(self.decrypted(key, hash))?);
        assert_eq!(key.len(), 64, "an AES-256 key");
        let mut openssl = Command::new("openssl");
        openssl.args([
            "enc",
            "-d",
            "-id-aes256-wrap-pad",
            "-iv",
            "A65959A6",
            "-K",
            &key,
        ]);
        opened(pipe(&mut openssl, material))
    }

    /// The AES key between RSA key and material of an RSA_AES_KEY_WRAP with SHA-256.
    pub fn opens_ephemeral(&self, wrapped: &Path) -> Vec<u8> {
        let wrapped = fs::read(wrapped).unwrap();
        let opened = self.decrypted(&wrapped[..self.modulus_len()], "sha256");
        assert!(opened.status.success(), "{}", stderr(&opened));
        opened.stdout
    }

    /// 256, 384 or 512 of the structure around it.
    fn modulus_len(&self) -> usize {
        (self.spki.len() - 38) & !63
    }

    fn decrypted(&self, wrapped: &[u8], hash: &str) -> Output {
        let (oaep, mgf) = (format!("rsa_oaep_md:{hash}"), format!("rsa_mgf1_md:{hash}"));
        pipe(
            Command::new("openssl").args([
                "pkeyutl",
                "-decrypt",
                "-inkey",
                self.pem.to_str().unwrap(),
                "-pkeyopt",
                "rsa_padding_mode:oaep",
                "-pkeyopt",
                &oaep,
                "-pkeyopt",
                &mgf,
            ]),
            wrapped,
        )
    }
}

/// Whether clocks can be set for one program; otherwise the test skips.
pub fn faketime() -> bool {
    let tried = Command::new("faketime")
        .args(["-f", "+2d", "true"])
        .output();
    let there = tried.is_ok_and(|output| output.status.success());
    if !there {
        skip("faketime is not here");
    }
    there
}

/// Whether a key spec is one of private keys.
pub fn is_private(spec: &str) -> bool {
    spec.starts_with("ECC_") || spec.starts_with("RSA_") || spec == "ED25519"
}

/// The fingerprint of an HMAC key by `openssl mac`, as docs/check-values.md says.
pub fn openssl_hmac_fingerprint(spec: &str, key: &[u8]) -> String {
    let digest = format!("SHA2-{}", spec.trim_start_matches("HMAC_"));
    let key = format!("hexkey:{}", hex(key));
    let mac = openssl(
        &[
            "mac", "-binary", "-digest", &digest, "-macopt", &key, "HMAC",
        ],
        b"byok-ceremony material fingerprint v1",
    );
    hex(&mac)
}

/// Key check value and fingerprint of an AES key by `openssl enc`, as docs/check-values.md says.
pub fn openssl_check_values(key: &[u8]) -> (String, String) {
    let cipher = format!("-aes-{}-ecb", key.len() * 8);
    let encrypt = |plain: &[u8]| openssl(&["enc", &cipher, "-nopad", "-K", &hex(key)], plain);
    let text = openssl(
        &["dgst", "-sha256", "-binary"],
        b"byok-ceremony material fingerprint v1",
    );
    (
        hex(&encrypt(&[0; 16])[..3]).to_uppercase(),
        hex(&encrypt(&text)),
    )
}

pub fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let output = pipe(Command::new("openssl").args(args), input);
    assert!(
        output.status.success(),
        "openssl {args:?}: {}",
        stderr(&output)
    );
    output.stdout
}

pub fn pipe(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// A transcript as the tests read it: by serde_json, not by byok.
#[derive(Debug)]
pub struct Transcript {
    pub lines: Vec<serde_json::Value>,
    pub bytes: Vec<u8>,
}

impl Transcript {
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let lines = lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        Self { lines, bytes }
    }

    /// The events of one name.
    pub fn events(&self, name: &str) -> Vec<&serde_json::Value> {
        self.lines
            .iter()
            .filter(|line| line["event"] == name)
            .collect()
    }

    /// The one event of this name.
    pub fn event(&self, name: &str) -> &serde_json::Value {
        let events = self.events(name);
        assert_eq!(events.len(), 1, "{name} in {:#?}", self.lines);
        events[0]
    }

    /// What became of an object of this label: its one `key-destroyed`.
    pub fn destroyed(&self, label: &str) -> &serde_json::Value {
        let destroyed = self.events("key-destroyed");
        let of_label: Vec<_> = destroyed
            .iter()
            .filter(|event| event["label"] == label)
            .collect();
        assert_eq!(of_label.len(), 1, "{label} in {:#?}", self.lines);
        of_label[0]
    }

    pub fn names(&self) -> Vec<&str> {
        self.lines
            .iter()
            .map(|line| line["event"].as_str().unwrap())
            .collect()
    }
}

/// The names in a directory, in order; none where there is no such.
pub fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// As people read it, wherever it was folded.
pub fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// No line is wider than 79 columns, but for `--option PATH \`: how long the path of a module is says nothing of byok,
/// and what people copy is not folded within a word.
#[track_caller]
pub fn fits(text: &str) {
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        let words: Vec<&str> = line.split_whitespace().collect();
        let path = words.len() <= 3 && words.iter().any(|word| word.starts_with('/'));
        assert!(
            line.width() <= 79 || path,
            "{} columns: {line}",
            line.width()
        );
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts that it ended well.
#[track_caller]
pub fn well(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        stdout(output),
        stderr(output)
    );
}

/// What it printed; asserts that it ended well.
#[track_caller]
pub fn done(output: &Output) -> String {
    well(output);
    stdout(output)
}

/// Asserts the exit code and that the error text says each of these.
#[track_caller]
pub fn refused(output: &Output, exit: i32, says: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    for wanted in says {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// By openssl, so that byok's own digest is checked by another program.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&openssl(&["dgst", "-sha256", "-binary"], bytes))
}

pub fn base64(bytes: &[u8]) -> String {
    String::from_utf8(openssl(&["base64", "-A"], bytes)).unwrap()
}
