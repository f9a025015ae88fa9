//! `byok plan`: a commented plan from what the online side and the HSM say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::plan::Plan;
use crate::plan::kms::KeyArn;
use crate::plan::kms::aws::{self, ImportParameters, KeyMetadata};

mod again;
#[cfg_attr(not(feature = "room"), path = "plan/no_room.rs")]
mod room;
mod shares;

use shares::Escrow;
pub(crate) use shares::EscrowWish;

/// What the command line wishes for.
pub(crate) struct PlanWish {
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
    /// Who gets shares.
    pub escrow: EscrowWish,
}

/// What a plan that builds on a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildsOn {
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
pub(crate) fn write_plan(wish: PlanWish) -> Result<()> {
    if let Some((how, record)) = &wish.builds_on {
        let text = again::render(*how, record, &wish)?;
        return deliver(&text, wish.out.as_deref());
    }
    let known = sort(BTreeMap::new(), &wish.files)?;
    primaries_are_there(&known)?;
    let token = wish
        .module
        .as_deref()
        .map(|module| room::choose_token(module, wish.token.as_deref(), None))
        .transpose()?;
    let escrow = Escrow::of_new(&wish.escrow, room::ask)?;
    let text = render(&wish, &known, token.as_ref(), &escrow)?;
    if !known.is_empty() {
        judge(&text, &known)?;
    }
    deliver(&text, wish.out.as_deref())?;
    if escrow.is_open() {
        super::remark(
            "byok: WARNING: this plan has no [escrow]: if the HSM is lost, so is the data key",
        );
        super::remark(
            "byok: hint: fill it in, or say it: --custodians 'A, B, C' --threshold 2, or --no-escrow",
        );
    }
    Ok(())
}

/// To standard output or to a new file.
fn deliver(text: &str, out: Option<&Path>) -> Result<()> {
    let Some(out) = out else {
        return super::print(text);
    };
    super::write_out(out, text)?;
    super::remark(&format!(
        "wrote {}; read it, then: byok check {}",
        out.display(),
        words::shell_path(out)
    ));
    Ok(())
}

/// Sorts the files by the KMS key that they are about; of some it may be known before.
fn sort(mut known: BTreeMap<KeyArn, Known>, files: &[PathBuf]) -> Result<BTreeMap<KeyArn, Known>> {
    let mut homeless = Vec::new();
    for path in files {
        match metadata(path)? {
            Some(metadata) => {
                importable(&metadata)?;
                let arn = metadata.arn.clone();
                known.entry(arn).or_default().metadata = Some(metadata);
            }
            None => {
                let read = aws::read(path).map_err(|e| unread(path, e))?;
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

/// What is not there is told as that, before it is told what it is not.
fn unread(path: &Path, error: Error) -> Error {
    if path.exists() {
        return error.doing(path.display());
    }
    Error::usage(format!("{}: there is no such file", path.display()))
        .hint("byok plan takes describe-key answers and import parameters, each by its path")
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

fn render(
    wish: &PlanWish,
    known: &BTreeMap<KeyArn, Known>,
    token: Option<&TokenUri>,
    escrow: &Escrow,
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
    line("# The plan of a key ceremony: it decides all that happens. Read every line.");
    line("# Paths are relative to this file. Check it with: byok check PLAN");
    line(&format!("title = {}", quoted(&title)));
    line("kind  = \"generate\"                 # new data keys");
    if !matches!(escrow, Escrow::Without) {
        text += shares::SCREEN_RECORDED;
    }
    let mut line = |written: &str| {
        let _ = writeln!(text, "{written}");
    };
    line("");
    line("[machine]");
    line("# forbidden | hsm (the HSM is reached by network) | allowed; recorded");
    line("network = \"forbidden\"");
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
            line("# byok plan --module PATH fills in both");
            line("module = \"/path/to/the/vendors/pkcs11.so\"");
            line("token  = \"pkcs11:token=FILL-IN\"");
        }
    }
    line("# prompt | prompt-halves (two people) | file:PATH | fd:N | pinpad");
    line("pin    = \"prompt\"");
    line("# What the module sees of the environment, and nothing else:");
    line(&format!(
        "env    = {:?}",
        room::variables(wish.module.as_deref())
    ));
    if known.is_empty() {
        text += &data_key(&label, Spec::AES_256);
        text += &example_import();
    }
    let of_specs = by_spec(known)?;
    let mut names = BTreeMap::new();
    for (spec, kms_keys) in &of_specs {
        text += &match of_specs.len() {
            1 => data_key(&label, *spec),
            _ => data_key(&format!("{label}-{}", in_a_label(*spec)), *spec),
        };
        for (arn, known) in primary_first(kms_keys) {
            let count: &mut usize = names.entry(arn.region().to_owned()).or_default();
            *count += 1;
            let name = if *count == 1 {
                arn.region().to_owned()
            } else {
                format!("{}-{count}", arn.region())
            };
            text += &import(&name, *spec, arn, known, wish)?;
        }
    }
    let day = clock::now().strftime("%Y-%m-%d").to_string();
    text += &escrow.table();
    text += &format!(
        "\n[record]\n# must not exist yet\ndirectory = {}\n# The roll call asks who sits there:\n# witnesses = [\"Internal audit\"]\n",
        quoted(&format!("records/{day}-{label}"))
    );
    Ok(text)
}

/// KMS keys and what is known of them, by the spec of the data key that they take.
type OfSpec<'a> = BTreeMap<Spec, Vec<(&'a KeyArn, &'a Known)>>;

/// Import parameters alone do not tell a key spec: it is that of the others, or the usual one.
fn by_spec(known: &BTreeMap<KeyArn, Known>) -> Result<OfSpec<'_>> {
    let spec_of = |known: &Known| Spec::parse(&known.metadata.as_ref()?.key_spec).ok();
    let mut told: Vec<Spec> = known.values().filter_map(spec_of).collect();
    told.sort_unstable();
    told.dedup();
    let mut of_specs = OfSpec::new();
    for (arn, known) in known {
        let spec = match (spec_of(known), told.as_slice()) {
            (Some(spec), _) => spec,
            (None, [spec]) => *spec,
            (None, []) if !is_for_private_keys(known) => Spec::AES_256,
            (None, _) => {
                return Err(Error::usage(format!(
                    "{}: its import parameters do not tell its key spec",
                    arn.as_str()
                ))
                .hint("give the describe-key answer of that KMS key with them"));
            }
        };
        of_specs.entry(spec).or_default().push((arn, known));
    }
    Ok(of_specs)
}

fn is_for_private_keys(known: &Known) -> bool {
    known.wrapping().is_some_and(WrappingAlgorithm::is_rsa_aes)
}

/// `rsa-2048`: more than one data key needs more than one label.
fn in_a_label(spec: Spec) -> String {
    spec.name().to_lowercase().replace('_', "-")
}

fn data_key(label: &str, spec: Spec) -> String {
    let mut text = format!(
        "\n[[key]]\n# The label, in the HSM and in the record:\nlabel = {}\nspec  = \"{}\"\n",
        quoted(label),
        spec.name()
    );
    if let Spec::Hmac { hash, .. } = spec {
        let least = hash.bytes() * 8;
        text += &format!(
            "# {least} to {}, whole bytes; {least} where it is not given:\n# bits  = {least}\n",
            crate::crypto::spec::LONGEST_HMAC * 8
        );
    }
    text += "# extractable: stays in the HSM; a reimport needs only the PIN, as does theft |\n\
             # sealed, none: only a quorum brings it back\n\
             keep  = \"extractable\"\n\
             # hsm: made there | token, token:id=HEX: in it already |\n\
             # file:PATH, with reason = \"…\"\n\
             # source = \"hsm\"\n";
    text
}

fn import(name: &str, spec: Spec, arn: &KeyArn, known: &Known, wish: &PlanWish) -> Result<String> {
    fits(spec, arn, known)?;
    let wrapping = known.wrapping();
    let wrapping_note = match wrapping {
        Some(_) => "As the import parameters say:",
        None => "What the parameters must be downloaded for; KMS's answer does not name it:",
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
        text += &material(metadata);
    }
    text += &format!("key_arn    = {}\n", quoted(arn.as_str()));
    text += &format!("parameters = {}\n", quoted(&parameters));
    let wrapping = wrapping.unwrap_or_else(|| usual_wrapping(spec));
    text += &format!(
        "# {wrapping_note}\nwrapping   = {}\n",
        quoted(wrapping.name())
    );
    text +=
        "# hsm | host (the bytes are then in this computer for a moment)\nwrap_in    = \"hsm\"\n";
    if spec.is_private() {
        text += "# An HSM that cannot wrap private keys as KMS takes them (SoftHSM) needs host;\n\
                 # byok doctor tells.\n";
    }
    text += "# at most 365 days after the import, or \"never\"\n";
    text += &format!("expires    = \"{}\"\n", furthest_midnight()?);
    text += known.deadline();
    text += SLIP;
    Ok(text)
}

/// The slip's digest is never filled in: taken from the file it would prove nothing.
const SLIP: &str = "# From the slip of the online side, never from the parameters file; needed for\n\
    # unattended runs:\n# wrapping_key_sha256 = \"\"\n";

impl Known {
    /// The algorithm that the parameters name.
    fn wrapping(&self) -> Option<WrappingAlgorithm> {
        self.parameters.as_ref()?.1.wrapping_algorithm
    }

    /// A place for the deadline, where the parameters carry none.
    fn deadline(&self) -> &'static str {
        match &self.parameters {
            Some((_, read)) if read.valid_to.is_none() => {
                "# These parameters carry no deadline; the console shows it:\n\
                 # parameters_valid_to = \"YYYY-MM-DDTHH:MM:SSZ\"\n"
            }
            _ => "",
        }
    }
}

/// KMS takes new material in the primary Region first, and the plan's first import is taken for that.
fn primary_first<'a>(known: &[(&'a KeyArn, &'a Known)]) -> Vec<(&'a KeyArn, &'a Known)> {
    let mut ordered = known.to_vec();
    ordered.sort_by_key(|(_, known)| known.metadata.as_ref().is_some_and(is_replica));
    ordered
}

fn is_replica(metadata: &KeyMetadata) -> bool {
    metadata.multi_region_type.as_deref() == Some("REPLICA")
}

/// What KMS says of Regions and of the material that is there.
fn material(metadata: &KeyMetadata) -> String {
    let mut text = match metadata.multi_region_type.as_deref() {
        Some("PRIMARY") => {
            "# the PRIMARY of its multi-Region key: the material is new there\n".to_owned()
        }
        Some("REPLICA") => "# a REPLICA: it gets what its primary gets, after it\n".to_owned(),
        _ => String::new(),
    };
    if let Some(id) = &metadata.current_key_material_id
        && !is_replica(metadata)
    {
        text += &format!(
            "# It holds material already (current: {}).\n\
             # This one is added, and the KMS key is rotated to it:\n\
             import_type = \"NEW_KEY_MATERIAL\"\n",
            words::printable(id)
        );
    }
    text
}

/// A replica takes only what its primary got.
fn primaries_are_there(known: &BTreeMap<KeyArn, Known>) -> Result<()> {
    let replica = |known: &Known| known.metadata.as_ref().is_some_and(is_replica);
    for (arn, _) in known.iter().filter(|(_, known)| replica(known)) {
        let has_primary = known
            .iter()
            .any(|(other, known)| other.is_replica_of(arn.as_str()) && !replica(known));
        if !has_primary {
            return Err(Error::usage(format!(
                "{arn} is a replica: KMS takes material that is new in the primary Region only"
            ))
            .hint("give the describe-key answer of its primary too; both go into one plan")
            .hint("for material that the primary has already: byok plan --reimport RECORD"));
        }
    }
    Ok(())
}

/// What to download parameters for, where nothing says it.
fn usual_wrapping(spec: Spec) -> WrappingAlgorithm {
    match spec {
        Spec::Rsa { .. } => WrappingAlgorithm::RsaAesKeyWrapSha256,
        _ => WrappingAlgorithm::RsaesOaepSha256,
    }
}

/// Whether the downloaded wrapping key takes material of the spec.
fn fits(spec: Spec, arn: &KeyArn, known: &Known) -> Result<()> {
    let Some((path, read)) = &known.parameters else {
        return Ok(());
    };
    let algorithm = read
        .wrapping_algorithm
        .unwrap_or_else(|| usual_wrapping(spec));
    spec.takes(algorithm, arn.is_china())
        .and_then(|()| spec.fits(algorithm, read.wrapping_key.bits()))
        .map_err(|refusal| {
            let error = Error::usage(refusal.why).hint(refusal.hint);
            error.doing(path.display())
        })
}

/// The record that a plan builds on, relative to the plan where it stands near it: both are copied together.
fn near_plan(wish: &PlanWish, path: &Path) -> Result<PathBuf> {
    /// Further up than this nothing belongs together.
    const FURTHEST: usize = 2;
    let whole = |path: &Path| {
        path.canonicalize()
            .map_err(|e| Error::usage(format!("{}: {e}", path.display())))
    };
    let beside = wish.out.as_deref().and_then(Path::parent);
    let beside = beside.filter(|parent| !parent.as_os_str().is_empty());
    let (plan, record) = (whole(beside.unwrap_or(Path::new(".")))?, whole(path)?);
    let near = plan.ancestors().enumerate().take(FURTHEST + 1);
    let mut near = near.filter(|(_, above)| above.parent().is_some()); // not the root
    Ok(near
        .find_map(|(up, above)| {
            let down = record.strip_prefix(above).ok()?;
            Some(
                std::iter::repeat_n(Path::new(".."), up)
                    .collect::<PathBuf>()
                    .join(down),
            )
        })
        .unwrap_or(record))
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
     # byok plan FILES… fills these in from describe-key answers and parameters.\n\
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
    let furthest = clock::now() + crate::plan::LONGEST_VALIDITY - SignedDuration::from_hours(1);
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
