//! The place where both programs run: a token, a plan, import parameters.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64ct::{Base64, Encoding as _};
use byok::crypto::wrapping::ControlKey;
use byok::ground::words;
use byok::hsm::Module;
use byok::hsm::machine::{
    self,
    sandbox::{self, Wish},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Result;
use super::bare;
use super::measure::Program;

/// The hidden argument that makes a token: SoftHSM reads its configuration from the environment, so
/// this is a process of its own.
pub const ARGUMENT: &str = "--make-token";

const TOKEN: &str = "bench";
const PIN: &str = "bench-pin-1";

/// RSA-2048, the smallest that KMS gives: the control key has the size of the wrapping keys, and
/// making a larger one would hide everything else that a ceremony does.
const WRAPPING_KEY_BITS: usize = 2048;

/// About as long as those of AWS KMS.
const IMPORT_TOKEN_LEN: usize = 3072;

/// A directory with everything for ceremonies of so many data keys.
pub struct Scene {
    directory: PathBuf,
    module: PathBuf,
    /// How many data keys.
    pub keys: usize,
}

impl Scene {
    /// Makes the directory anew, and runs one ceremony to learn which files the bare program writes.
    pub fn set(directory: &Path, module: &Path, keys: usize) -> Result<Self> {
        let scene = Self {
            directory: directory.to_owned(),
            module: module.to_owned(),
            keys,
        };
        scene.strike()?;
        fs::create_dir_all(directory.join("inputs"))?;
        fs::create_dir_all(directory.join("pristine"))?;
        scene.write("softhsm2.conf", &scene.configuration("tokens"))?;
        scene.write("pristine.conf", &scene.configuration("pristine"))?;
        scene.write("pin", PIN)?;
        let mut token = this_program(&[ARGUMENT.as_ref(), module.as_os_str()])?;
        token
            .0
            .env("SOFTHSM2_CONF", directory.join("pristine.conf"));
        token.run()?;
        scene.write_plans()?;
        scene.freshen()?;
        scene.ceremony().run()?;
        scene.note_files()?;
        Ok(scene)
    }

    /// Takes everything away.
    pub fn strike(&self) -> Result<()> {
        remove(&self.directory)
    }

    /// A fresh token, no record, and nothing left to be written to disk.
    pub fn freshen(&self) -> Result<()> {
        for directory in ["tokens", "records"] {
            remove(&self.directory.join(directory))?;
        }
        copy(
            &self.directory.join("pristine"),
            &self.directory.join("tokens"),
        )?;
        rustix::fs::sync();
        Ok(())
    }

    /// `byok run`, unattended.
    pub fn ceremony(&self) -> Program {
        self.run_plan("plan.toml")
    }

    fn run_plan(&self, plan: &str) -> Program {
        let plan = self.directory.join(plan);
        let sha256 = words::hex(&words::sha256(&fs::read(&plan).unwrap_or_default()));
        let arguments = [
            "run".as_ref(),
            plan.as_os_str(),
            "--approve".as_ref(),
            sha256.as_ref(),
        ];
        self.with_token(byok(&arguments))
    }

    /// The bare program.
    pub fn bare(&self) -> Result<Program> {
        self.bare_with(&self.module)
    }

    fn bare_with(&self, module: &Path) -> Result<Program> {
        let arguments = [
            bare::ARGUMENT.as_ref(),
            module.as_os_str(),
            self.directory.as_os_str(),
        ];
        Ok(self.with_token(this_program(&arguments)?))
    }

    /// `byok verify` of the ceremony's record.
    pub fn verify(&self) -> Program {
        let record = self.directory.join("records/ceremony");
        byok(&["verify".as_ref(), record.as_os_str()])
    }

    /// The PKCS#11 calls and results of the ceremony and of the bare program. Left out is what differs by the way in
    /// which a module is called alone: byok loads the list of functions by itself, besides the cryptoki crate, and gives
    /// C_WrapKey a buffer, where the crate first asks for the length.
    pub fn logged(&self, proxy: &Path) -> Result<(Vec<String>, Vec<String>)> {
        let log = self.directory.join("calls.log");
        let calls = |mut program: Program| -> Result<Vec<String>> {
            remove_file(&log)?;
            self.freshen()?;
            program.0.env("BYOK_PROXY_MODULE", &self.module);
            let rules = format!("log:{}", log.display());
            program
                .0
                .env("BYOK_PROXY_RULES", rules)
                .env("BYOK_TEST_PROXY", proxy);
            program.run()?;
            let log = fs::read_to_string(&log)?;
            let lists = |line: &&str| line.starts_with("C_GetFunctionList");
            let mut calls: Vec<String> = Vec::new();
            for call in log.lines().filter(|line| !lists(line)) {
                let asked =
                    call.starts_with("C_WrapKey") && calls.last().is_some_and(|c| c == call);
                if !asked {
                    calls.push(call.to_owned());
                }
            }
            Ok(calls)
        };
        let plan = fs::read_to_string(self.directory.join("plan.toml"))?;
        let of = |module: &Path| format!("module = {:?}", module.display().to_string());
        self.write("proxy.toml", &plan.replace(&of(&self.module), &of(proxy)))?;
        Ok((
            calls(self.run_plan("proxy.toml"))?,
            calls(self.bare_with(proxy)?)?,
        ))
    }

    fn with_token(&self, mut program: Program) -> Program {
        let configuration = self.directory.join("softhsm2.conf");
        program.0.env("SOFTHSM2_CONF", configuration);
        program
    }

    fn configuration(&self, tokens: &str) -> String {
        format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            self.directory.join(tokens).display()
        )
    }

    /// A plan for `keys` data keys, each with one import of its own; all wrapped under one key.
    fn write_plans(&self) -> Result<()> {
        let wrapping_key = ControlKey::generate(WRAPPING_KEY_BITS)?;
        let wrapping_key = wrapping_key.public();
        fs::write(self.directory.join(bare::MODULUS), wrapping_key.modulus())?;
        let mut plan = format!(
            "title = \"Benchmark of {} data keys\"\nkind = \"generate\"\n\n\
             [machine]\nnetwork = \"allowed\"\n\n\
             [hsm]\nmodule = {:?}\ntoken = \"pkcs11:token={TOKEN}\"\npin = \"file:pin\"\n\
             env = [\"SOFTHSM2_CONF\", \"BYOK_PROXY_MODULE\", \"BYOK_PROXY_RULES\"]\n\n\
             [record]\ndirectory = \"records/ceremony\"\nsigner = \"none\"\n",
            self.keys,
            self.module.display().to_string(),
        );
        let valid_to = Timestamp::from_second(Timestamp::now().as_second())?;
        let valid_to = valid_to + SignedDuration::from_hours(23);
        for at in 0..self.keys {
            let label = bare::label(at);
            let arn =
                format!("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-{at:012x}");
            let token: Vec<u8> = (0..IMPORT_TOKEN_LEN)
                .map(|byte| (byte + at) as u8)
                .collect();
            let parameters = json!({
                "KeyId": arn,
                "ImportToken": Base64::encode_string(&token),
                "PublicKey": Base64::encode_string(wrapping_key.spki_der()),
                "ParametersValidTo": valid_to.to_string(),
            });
            self.write(&format!("inputs/{label}.json"), &parameters.to_string())?;
            plan += &format!(
                "\n[[key]]\nlabel = \"{label}\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n\
                 [[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{arn}\"\n\
                 parameters = \"inputs/{label}.json\"\nwrapping = \"RSAES_OAEP_SHA_1\"\n\
                 wrap_in = \"hsm\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
                words::hex(&wrapping_key.sha256())
            );
        }
        self.write("plan.toml", &plan)
    }

    /// Every file of the record with its size, in the order in which the ceremony wrote them.
    fn note_files(&self) -> Result<()> {
        let record = self.directory.join("records/ceremony");
        let transcript = fs::read_to_string(record.join("transcript.jsonl"))?;
        let mut files = Vec::new();
        for line in transcript.lines() {
            let line: Value = serde_json::from_str(line)?;
            if line["event"] == "output-written" {
                files.push(line["path"].as_str().ok_or("no path")?.to_owned());
            }
        }
        files.extend(["transcript.jsonl".into(), "SHA256SUMS".into()]);
        let mut listed = String::new();
        for file in files {
            listed += &format!("{} {file}\n", fs::metadata(record.join(&file))?.len());
        }
        self.write(bare::FILES, &listed)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.directory.join(name), text)?)
    }
}

/// Makes the token of a scene.
pub fn make_token(module: &Path) -> Result<()> {
    machine::protect_process()?;
    sandbox::close(&Wish::default())?;
    Ok(Module::load(module)?.make_practice_token(TOKEN, "bench-so-pin", PIN)?)
}

/// `byok` as cargo built it for this benchmark.
pub fn byok(arguments: &[&std::ffi::OsStr]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byok"));
    command.args(arguments);
    Program(command)
}

/// This very program, with a hidden argument.
fn this_program(arguments: &[&std::ffi::OsStr]) -> Result<Program> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(Program(command))
}

fn remove(directory: &Path) -> Result<()> {
    match directory.exists() {
        true => Ok(fs::remove_dir_all(directory)?),
        false => Ok(()),
    }
}

fn remove_file(file: &Path) -> Result<()> {
    match file.exists() {
        true => Ok(fs::remove_file(file)?),
        false => Ok(()),
    }
}

/// A directory and all below it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, to) = (entry?, to);
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => fs::copy(entry.path(), &to).map(|_| ())?,
        }
    }
    Ok(())
}
