//! `byok plan`: writes a commented plan from what the online side and the HSM say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::files;
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::plan::kms::aws::{self, ImportParameters, KeyMetadata};
use crate::plan::kms::{self, KeyArn, KmsKey};
use crate::plan::{Deliver, HsmPlan, ImportAs, ImportPlan, KeyPlan, Kind, Notes, Plan};

mod again;
mod notes;
#[cfg_attr(not(feature = "room"), path = "plan/no_room.rs")]
mod room;
mod shares;

use shares::Escrow;
pub(crate) use shares::EscrowWish;

/// What the command line asks for.
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

/// What is known about one KMS key.
#[derive(Default)]
struct Known {
    metadata: Option<KeyMetadata>,
    parameters: Option<(PathBuf, ImportParameters)>,
}

/// Writes the plan.
///
/// # Errors
/// Exit 2: a file that is neither, a KMS key that cannot take imported material, an existing `--out`.
/// Exit 3: the HSM does not answer, or it has several tokens and none was chosen.
pub(crate) fn write_plan(wish: PlanWish) -> Result<()> {
    if let Some((how, record)) = &wish.builds_on {
        let text = again::render(*how, record, &wish)?;
        return deliver(&text, &wish);
    }
    let known = sort(BTreeMap::new(), &wish.files)?;
    primaries_are_there(&known)?;
    let token = wish
        .module
        .as_deref()
        .map(|module| room::choose_token(module, wish.token.as_deref(), None))
        .transpose()?;
    let escrow = Escrow::of_new(&wish.escrow, room::ask)?;
    let text = render(&wish, &known, token, &escrow)?;
    if !known.is_empty() {
        judge(&text, &known)?;
    }
    deliver(&text, &wish)?;
    if escrow.is_open() {
        super::remark(
            "byok: WARNING: this plan has no [escrow]: if the HSM is lost, so is the data key",
        );
        super::remark(
            "byok: hint: fill it in, or give --custodians 'A, B, C' --threshold 2, or --no-escrow",
        );
    }
    Ok(())
}

/// To standard output or to a new file.
fn deliver(text: &str, wish: &PlanWish) -> Result<()> {
    let Some(out) = &wish.out else {
        return super::print(text);
    };
    super::write_out(out, text)?;
    let compare = match wish.builds_on.is_some() && wish.module.is_none() {
        true => " and compare its hsm.module with what is installed here",
        false => "",
    };
    super::remark(&format!(
        "wrote {}; read it{compare}, then: byok check {}",
        out.display(),
        words::shell_path(out)
    ));
    Ok(())
}

/// Sorts the files by the KMS key that they are about; some of these keys may be known before.
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

/// A file that is missing is reported as missing, not as the wrong kind of file.
fn unread(path: &Path, error: Error) -> Error {
    const PUT_IT_THERE: &str =
        "in a plan that builds on a record, put the file where `parameters` names it";
    let bytes = files::read_small(path).unwrap_or_default();
    if let Some(known) = kms::recognise(&bytes) {
        let told: Vec<String> = (known.more.iter().take(1))
            .map(|(name, value)| format!(" ({name} {value})"))
            .collect();
        let what = format!("{}: it is {}{}", path.display(), known.what, told.concat());
        return Error::usage(what)
            .hint(format!(
                "write the plan without it, then add a [[key.import]] with {}",
                known.plan
            ))
            .hint(PUT_IT_THERE);
    }
    if path.exists() {
        return error.doing(path.display());
    }
    Error::usage(format!("{}: there is no such file", path.display()))
        .hint("byok plan takes describe-key answers and import parameters, each by its path")
}

/// The console's download does not name its KMS key: if exactly one key is left without parameters, it belongs to
/// that key.
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

/// `None`: the file is something else. An answer that is broken is refused as such.
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

/// A plan is text: a path that is not UTF-8 would be written as another path.
fn paths_can_be_written(plan: &Plan) -> Result<()> {
    let parameters = plan.imports().map(|(_, import)| &import.parameters);
    let mut paths = plan
        .previous
        .iter()
        .chain([&plan.hsm.module])
        .chain(parameters);
    let Some(path) = paths.find(|path| path.to_str().is_none()) else {
        return Ok(());
    };
    let path = path.display();
    Err(Error::usage(format!(
        "{path}: a plan cannot name it, since this name is not UTF-8"
    ))
    .hint("give the file, or the directory above it that is named so, a name of plain letters"))
}

/// The plan, and the notes for people in it.
fn render(
    wish: &PlanWish,
    known: &BTreeMap<KeyArn, Known>,
    token: Option<TokenUri>,
    escrow: &Escrow,
) -> Result<String> {
    let label = wish.label.as_deref().unwrap_or("data-key");
    let regions: Vec<&str> = known.keys().map(KeyArn::region).collect();
    let title = wish.title.clone();
    let title = title.unwrap_or_else(|| match regions.is_empty() {
        true => format!("Data key {label}"),
        false => format!("Data key {label}, {}", regions.join(", ")),
    });
    let mut notes = notes::of_new();
    if !matches!(escrow, Escrow::Without) {
        notes.above("screen_recorded", notes::SCREEN_RECORDED);
    }
    let hsm = match (&wish.module, token) {
        (Some(module), Some(token)) => HsmPlan::draft(&from_plan(wish, module), token),
        _ => {
            notes.above("hsm.module", notes::MODULE);
            let token = Some("FILL-IN".to_owned());
            let to_fill_in = TokenUri {
                token,
                ..TokenUri::default()
            };
            HsmPlan::draft(Path::new("/path/to/the/vendors/pkcs11.so"), to_fill_in)
        }
    };
    let env = room::variables(wish.module.as_deref());
    let day = clock::now().strftime("%Y-%m-%d").to_string();
    let directory = format!("records/{day}-{label}");
    let mut plan = Plan {
        keys: keys(label, known, wish, &mut notes)?,
        ..Plan::draft(
            &title,
            Kind::Generate,
            HsmPlan { env, ..hsm },
            Path::new(&directory),
        )
    };
    escrow.decide(&mut plan, Deliver::Screen, &mut notes);
    paths_can_be_written(&plan)?;
    Ok(plan.written(&notes))
}

/// A data key for each spec that the KMS keys take, or one to be filled in.
fn keys(
    label: &str,
    known: &BTreeMap<KeyArn, Known>,
    wish: &PlanWish,
    notes: &mut Notes,
) -> Result<Vec<KeyPlan>> {
    if known.is_empty() {
        notes.above("key.import.name", notes::EXAMPLE);
        let parameters = Path::new("inputs/eu-west-1.json");
        let wrapping = usual_wrapping(Spec::DEFAULT);
        let to_fill_in = ImportPlan::draft("eu-west-1", KeyArn::to_fill_in(), parameters, wrapping);
        let imports = vec![to_fill_in];
        return Ok(vec![KeyPlan {
            imports,
            ..KeyPlan::draft(label, Spec::DEFAULT)
        }]);
    }
    let of_specs = by_spec(known)?;
    let mut names = BTreeMap::new();
    let mut keys = Vec::new();
    for (spec, kms_keys) in &of_specs {
        let mut key = match of_specs.len() {
            1 => KeyPlan::draft(label, *spec),
            _ => KeyPlan::draft(&format!("{label}-{}", in_a_label(*spec)), *spec),
        };
        let place = format!("key.{}", keys.len());
        if let Spec::Hmac { hash, .. } = spec {
            notes.above(format!("{place}.bits"), &notes::bits(hash.bytes() * 8));
        }
        for (arn, known) in primary_first(kms_keys) {
            let count: &mut usize = names.entry(arn.region().to_owned()).or_default();
            *count += 1;
            let name = match *count {
                1 => arn.region().to_owned(),
                count => format!("{}-{count}", arn.region()),
            };
            let place = format!("{place}.import.{}", key.imports.len());
            key.imports.push(import(
                &name,
                *spec,
                (arn, known),
                wish,
                (&place, &mut *notes),
            )?);
        }
        keys.push(key);
    }
    Ok(keys)
}

/// KMS keys and what is known about them, by the spec of the data key that they take.
type OfSpec<'a> = BTreeMap<Spec, Vec<(&'a KeyArn, &'a Known)>>;

/// Import parameters alone do not name a key spec: byok takes that of the other KMS keys, or the usual one.
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
            (None, []) if !is_for_private_keys(known) => Spec::DEFAULT,
            (None, _) => {
                return Err(Error::usage(format!(
                    "{}: its import parameters do not name its key spec",
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

fn import(
    name: &str,
    spec: Spec,
    (arn, known): (&KeyArn, &Known),
    wish: &PlanWish,
    (place, notes): (&str, &mut Notes),
) -> Result<ImportPlan> {
    fits(spec, &arn.clone().into(), known)?;
    let at = |field: &str| format!("{place}.{field}");
    let parameters = match &known.parameters {
        Some((path, _)) => from_plan(wish, path),
        None => format!("inputs/{name}.json").into(),
    };
    let usual = || usual_wrapping(spec);
    let wrapping = known.wrapping();
    notes.above(at("wrapping"), notes::wrapping(wrapping.is_some()));
    let mut import = ImportPlan::draft(
        name,
        arn.clone(),
        &parameters,
        wrapping.unwrap_or_else(usual),
    );
    import.expires = Some(furthest_midnight()?);
    if spec.is_private() {
        notes.above(at("wrap_in"), notes::PRIVATE);
    }
    if let Some(metadata) = &known.metadata {
        notes.above(at("key_arn"), &notes::kms_key(metadata));
        if let Some(id) = metadata
            .current_key_material_id
            .as_ref()
            .filter(|_| !is_replica(metadata))
        {
            notes.above(at("import_type"), &notes::added(id));
            import.import_as = Some(ImportAs::New);
        }
    }
    known.deadline(place, notes);
    Ok(import)
}

impl Known {
    /// The algorithm that the parameters name.
    fn wrapping(&self) -> Option<WrappingAlgorithm> {
        self.parameters.as_ref()?.1.wrapping_algorithm
    }

    /// A place for the deadline, if the parameters carry none.
    fn deadline(&self, place: &str, notes: &mut Notes) {
        if self
            .parameters
            .as_ref()
            .is_some_and(|(_, read)| read.valid_to.is_none())
        {
            notes.above(format!("{place}.parameters_valid_to"), notes::DEADLINE);
        }
    }
}

/// KMS takes new material in the primary Region first, so the plan's first import must be that.
fn primary_first<'a>(known: &[(&'a KeyArn, &'a Known)]) -> Vec<(&'a KeyArn, &'a Known)> {
    let mut ordered = known.to_vec();
    ordered.sort_by_key(|(_, known)| known.metadata.as_ref().is_some_and(is_replica));
    ordered
}

fn is_replica(metadata: &KeyMetadata) -> bool {
    metadata.multi_region_type.as_deref() == Some("REPLICA")
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
                "{arn} is a replica: KMS takes new material only in the primary Region"
            ))
            .hint("give the describe-key answer of its primary too; both go into one plan")
            .hint("if the primary has the material already: byok plan --reimport RECORD"));
        }
    }
    Ok(())
}

/// What to download parameters for, if nothing says it.
fn usual_wrapping(spec: Spec) -> WrappingAlgorithm {
    match spec {
        Spec::Rsa { .. } => WrappingAlgorithm::RsaAesKeyWrapSha256,
        _ => WrappingAlgorithm::RsaesOaepSha256,
    }
}

/// Whether the downloaded wrapping key takes material of the spec.
fn fits(spec: Spec, kms_key: &KmsKey, known: &Known) -> Result<()> {
    let Some((path, read)) = &known.parameters else {
        return Ok(());
    };
    let algorithm = read
        .wrapping_algorithm
        .unwrap_or_else(|| usual_wrapping(spec));
    kms_key
        .takes(spec, algorithm)
        .and_then(|()| kms_key.fits(spec, algorithm, read.wrapping_key.bits()))
        .map_err(|refusal| {
            let error = Error::usage(refusal.why).hint(refusal.hint);
            error.doing(path.display())
        })
}

/// The record that a plan builds on, relative to the plan if the two are near each other: they are copied together.
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

/// Paths in a plan are relative to it; a plan that goes to another directory gets absolute ones.
fn from_plan(wish: &PlanWish, path: &Path) -> PathBuf {
    match wish.out.as_deref().and_then(Path::parent) {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
        }
        _ => path.to_owned(),
    }
}

/// The last midnight that KMS accepts as the expiry of an import made today.
fn furthest_midnight() -> Result<Timestamp> {
    let furthest = clock::now() + crate::plan::LONGEST_VALIDITY - SignedDuration::from_hours(1);
    let midnight = furthest.as_second() - furthest.as_second().rem_euclid(86_400);
    Timestamp::from_second(midnight)
        .map_err(|e| Error::machine(format!("this machine's clock: {e}")))
}

/// The text must be a valid plan, otherwise it is not written: labels and titles come from people.
fn judge(text: &str, known: &BTreeMap<KeyArn, Known>) -> Result<()> {
    let plan = Plan::parse(Path::new("plan.toml"), text.as_bytes().to_vec())?;
    if plan.imports().count() != known.len() {
        return Err(Error::usage("the plan would not hold every KMS key"));
    }
    Ok(())
}
