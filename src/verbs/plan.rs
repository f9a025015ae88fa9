//! `byok plan`: a commented plan from what the online side and the HSM say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result};
use crate::hsm::{Module, TokenUri};
use crate::kms::KeyArn;
use crate::kms::aws::{self, ImportParameters, KeyMetadata};
use crate::machine::sandbox::{self, Wish};
use crate::plan::Plan;
use crate::spec::Spec;
use crate::{machine, record, words};

mod again;

/// What the command line wishes for.
pub struct PlanWish {
    /// Answers of the AWS CLI and import parameters.
    pub files: Vec<PathBuf>,
    /// PKCS#11 module.
    pub module: Option<PathBuf>,
    /// Label or URI of the token.
    pub token: Option<String>,
    /// Label of the data key.
    pub label: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// New file; `None` is standard output.
    pub out: Option<PathBuf>,
    /// The record to build on, and how.
    pub builds_on: Option<(BuildsOn, PathBuf)>,
}

/// What a plan that builds on a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildsOn {
    /// The same data keys from the HSM.
    Reimport,
    /// The same data keys from a quorum.
    Recover,
    /// New shares of the same data keys.
    NewShares,
}

/// What is known of one KMS key.
#[derive(Default)]
struct Known {
    metadata: Option<KeyMetadata>,
    parameters: Option<(PathBuf, ImportParameters)>,
}

/// Writes the plan.
///
/// # Errors
/// Exit 2: a file that is neither, a KMS key that cannot take imported material, an existing `--out`.
/// Exit 3: the HSM does not answer, or several tokens and none chosen.
pub fn write_plan(wish: PlanWish) -> Result<()> {
    if let Some((how, record)) = &wish.builds_on {
        let text = again::render(*how, record, &wish)?;
        Plan::parse(Path::new("plan.toml"), text.clone().into_bytes())?;
        return deliver(&text, wish.out.as_deref());
    }
    let known = sort(&wish.files)?;
    let token = wish
        .module
        .as_deref()
        .map(|module| choose_token(module, wish.token.as_deref()))
        .transpose()?;
    let text = render(&wish, &known, token.as_ref())?;
    if !known.is_empty() {
        judge(&text, &known)?;
    }
    deliver(&text, wish.out.as_deref())
}

/// To standard output or to a new file.
fn deliver(text: &str, out: Option<&Path>) -> Result<()> {
    let Some(out) = out else {
        return super::print(text);
    };
    record::write_new(out, text.as_bytes()).map_err(|e| {
        Error::usage(format!("writing {}: {e}", out.display())).hint("no file is overwritten")
    })?;
    eprintln!(
        "wrote {}; read it, then: byok check {}",
        out.display(),
        out.display()
    );
    Ok(())
}

/// Sorts the files by the KMS key that they are about.
fn sort(files: &[PathBuf]) -> Result<BTreeMap<KeyArn, Known>> {
    let mut known: BTreeMap<KeyArn, Known> = BTreeMap::new();
    let mut homeless = Vec::new();
    for path in files {
        match metadata(path)? {
            Some(metadata) => {
                importable(&metadata)?;
                let arn = metadata.arn.clone();
                known.entry(arn).or_default().metadata = Some(metadata);
            }
            None => {
                let read = aws::read(path).map_err(|e| e.doing(path.display()))?;
                match read.key_arn.clone() {
                    Some(arn) => {
                        known.entry(arn).or_default().parameters = Some((path.clone(), read))
                    }
                    None => homeless.push((path.clone(), read)),
                }
            }
        }
    }
    give_homes(&mut known, homeless)?;
    Ok(known)
}

/// The console's download does not name its KMS key: with exactly one key left without parameters it
/// is that one's.
fn give_homes(
    known: &mut BTreeMap<KeyArn, Known>,
    homeless: Vec<(PathBuf, ImportParameters)>,
) -> Result<()> {
    for (path, read) in homeless {
        let mut waiting: Vec<_> = known
            .values_mut()
            .filter(|known| known.parameters.is_none())
            .collect();
        match waiting.as_mut_slice() {
            [one] => one.parameters = Some((path, read)),
            _ => {
                return Err(Error::usage(format!(
                    "{}: it does not name its KMS key",
                    path.display()
                ))
                .hint("give the describe-key answer of exactly that KMS key with it"));
            }
        }
    }
    Ok(())
}

/// `None`: the file is something else. One that is an answer, but none that holds, is refused as that.
fn metadata(path: &Path) -> Result<Option<KeyMetadata>> {
    const LONGEST: u64 = 1 << 20;
    let small = fs::metadata(path).is_ok_and(|kind| kind.is_file() && kind.len() <= LONGEST);
    let Some(bytes) = small.then(|| fs::read(path).ok()).flatten() else {
        return Ok(None);
    };
    let is_answer = bytes.windows(13).any(|window| window == b"\"KeyMetadata\"");
    match aws::describe_key(&bytes) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_answer => Err(error.doing(path.display())),
        Err(_) => Ok(None),
    }
}

fn importable(key: &KeyMetadata) -> Result<()> {
    let refuse = |why: String| Err(Error::usage(format!("{}: {why}", key.arn.as_str())));
    if key.origin != "EXTERNAL" {
        return refuse(format!(
            "its origin is {}: only KMS keys of origin EXTERNAL take imported material",
            key.origin
        ))
        .map_err(|e| e.hint("aws kms create-key --origin EXTERNAL makes one"));
    }
    match Spec::parse(&key.key_spec) {
        Ok(_) => Ok(()),
        Err(refusal) => refuse(refusal.why).map_err(|e| e.hint(refusal.hint)),
    }
}

/// The token to name: the only one, or the one chosen by label or URI.
fn choose_token(module: &Path, wish: Option<&str>) -> Result<TokenUri> {
    sandbox::close(&Wish::without_plan())?;
    let module = Module::load(module)?;
    let wish = match wish {
        Some(uri) if uri.starts_with("pkcs11:") => TokenUri::parse(uri)?,
        Some(label) => TokenUri {
            token: Some(label.to_owned()),
            ..TokenUri::default()
        },
        None => TokenUri::default(),
    };
    match module.find(&wish) {
        Ok(token) => Ok(token.uri()),
        Err(e) => Err(e.hint("choose with --token LABEL or --token URI")),
    }
}

fn render(
    wish: &PlanWish,
    known: &BTreeMap<KeyArn, Known>,
    token: Option<&TokenUri>,
) -> Result<String> {
    let label = match (&wish.label, known.len()) {
        (Some(label), _) => label.clone(),
        (None, _) => "data-key".to_owned(),
    };
    let regions: Vec<&str> = known.keys().map(KeyArn::region).collect();
    let title = wish
        .title
        .clone()
        .unwrap_or_else(|| match regions.is_empty() {
            true => format!("Data key {label}"),
            false => format!("Data key {label}, {}", regions.join(", ")),
        });
    let mut text = String::new();
    let mut line = |written: &str| {
        let _ = writeln!(text, "{written}");
    };
    line("# The plan of a key ceremony. Everything that happens is decided here; read every line.");
    line("# Paths are relative to this file. Check it with: byok check PLAN");
    line(&format!("title = {}", quoted(&title)));
    line("kind  = \"generate\"                 # new data keys");
    line("");
    line("[machine]");
    line(
        "network = \"forbidden\"              # forbidden | hsm (the HSM is reached by network) | allowed; recorded",
    );
    line("");
    line("[hsm]");
    match (&wish.module, token) {
        (Some(module), Some(token)) => {
            line(&format!(
                "module = {}",
                quoted(&from_plan(wish, module).display().to_string())
            ));
            line(&format!("token  = {}", quoted(&token.to_string())));
        }
        _ => {
            line(
                "module = \"/path/to/the/vendors/pkcs11.so\"   # byok plan --module PATH fills in both",
            );
            line("token  = \"pkcs11:token=FILL-IN\"");
        }
    }
    line(
        "pin    = \"prompt\"                  # prompt | prompt-halves (two people) | file:PATH | fd:N | pinpad",
    );
    line(&format!(
        "env    = {:?}   # what the module sees of the environment, and nothing else",
        sandbox::module_variables()
    ));
    line("");
    line("[[key]]");
    line(&format!(
        "label = {}                  # in the HSM and in the record",
        quoted(&label)
    ));
    line("spec  = \"SYMMETRIC_DEFAULT\"");
    line(
        "keep  = \"extractable\"              # stays in the HSM: a reimport needs only the PIN, so does theft",
    );
    if known.is_empty() {
        text += &example_import();
    }
    let mut names = BTreeMap::new();
    for (arn, known) in known {
        let count: &mut usize = names.entry(arn.region().to_owned()).or_default();
        *count += 1;
        let name = if *count == 1 {
            arn.region().to_owned()
        } else {
            format!("{}-{count}", arn.region())
        };
        text += &import(&name, arn, known, wish)?;
    }
    let day = machine::now().strftime("%Y-%m-%d").to_string();
    text += "\n# Without shares a lost HSM is a lost data key:\n# [escrow]\n# threshold  = 3\n\
             # custodians = [\"Security\", \"Audit\", \"Treasury\", \"Legal\", \"Operations\"]\n\
             # deliver    = \"screen\"             # screen | files:DIR\n";
    text += &format!(
        "\n[record]\ndirectory = {}    # must not exist yet\n# witnesses = [\"Internal audit\"]   # the roll call asks who sits there\n",
        quoted(&format!("records/{day}-{label}"))
    );
    Ok(text)
}

fn import(name: &str, arn: &KeyArn, known: &Known, wish: &PlanWish) -> Result<String> {
    let wrapping = known
        .parameters
        .as_ref()
        .and_then(|(_, read)| read.wrapping_algorithm);
    let wrapping_note = match wrapping {
        Some(_) => "as the import parameters say",
        None => "must be what the parameters are downloaded for",
    };
    let parameters = match &known.parameters {
        Some((path, _)) => from_plan(wish, path).display().to_string(),
        None => format!("inputs/{name}.json"),
    };
    let mut text = format!("\n[[key.import]]\nname       = {}\n", quoted(name));
    if let Some(metadata) = &known.metadata {
        text += &format!(
            "# KMS says: {}, {}, {}\n",
            words::printable(&metadata.key_spec), // a line feed would begin a field of the plan
            words::printable(&metadata.key_usage),
            words::printable(&metadata.key_state)
        );
    }
    text += &format!("key_arn    = {}\n", quoted(arn.as_str()));
    text += &format!("parameters = {}\n", quoted(&parameters));
    let wrapping = wrapping.map_or("RSAES_OAEP_SHA_256", |algorithm| algorithm.name());
    text += &format!("wrapping   = {}   # {wrapping_note}\n", quoted(wrapping));
    text += "wrap_in    = \"hsm\"                  # hsm | host (the bytes are then in this computer for a moment)\n";
    text += &format!(
        "expires    = \"{}\" # at most 365 days ahead, or \"never\"\n",
        furthest_midnight()?
    );
    if known
        .parameters
        .as_ref()
        .is_some_and(|(_, read)| read.valid_to.is_none())
    {
        text += "# These parameters carry no deadline; the console shows it:\n";
        text += "# parameters_valid_to = \"YYYY-MM-DDTHH:MM:SSZ\"\n";
    }
    text += "# From the slip of the online side, never from the parameters file; needed for unattended runs:\n";
    text += "# wrapping_key_sha256 = \"\"\n";
    Ok(text)
}

/// Paths in a plan are relative to it; one that goes to another directory gets whole ones.
fn from_plan(wish: &PlanWish, path: &Path) -> PathBuf {
    match wish.out.as_deref().and_then(Path::parent) {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
        }
        _ => path.to_owned(),
    }
}

fn example_import() -> String {
    "\n[[key.import]]\n\
     # byok plan FILES… fills these in from describe-key answers and import parameters.\n\
     name       = \"eu-west-1\"\n\
     key_arn    = \"arn:aws:kms:REGION:ACCOUNT:key/FILL-IN\"\n\
     parameters = \"inputs/eu-west-1.json\"\n\
     wrapping   = \"RSAES_OAEP_SHA_256\"\n\
     wrap_in    = \"hsm\"\n\
     expires    = \"never\"\n"
        .to_owned()
}

/// The last midnight that KMS takes as an expiry for an import today.
fn furthest_midnight() -> Result<Timestamp> {
    let furthest = machine::now() + crate::plan::LONGEST_VALIDITY - SignedDuration::from_hours(1);
    let midnight = furthest.as_second() - furthest.as_second().rem_euclid(86_400);
    Timestamp::from_second(midnight)
        .map_err(|e| Error::machine(format!("this machine's clock: {e}")))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let escaped = words::printable(text)
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// What was written must be a plan, or it is not written: labels and titles come from people.
fn judge(text: &str, known: &BTreeMap<KeyArn, Known>) -> Result<()> {
    let plan = Plan::parse(Path::new("plan.toml"), text.as_bytes().to_vec())?;
    if plan.imports().count() != known.len() {
        return Err(Error::usage("the plan would not hold every KMS key"));
    }
    Ok(())
}
