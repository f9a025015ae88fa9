//! `byok plan`: writes a commented plan from what the online side and the HSM say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::cli::recognised::{Recognised, recognise};
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::evidence::receipts::describe::{KeyMetadata, describe_key};
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::files;
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::paper::plan::Notes;
use crate::plan::kms::aws::{self, ImportParameters};
use crate::plan::kms::{self, FILL_IN, KeyArn, KmsKey};
use crate::plan::{Deliver, HsmPlan, ImportAs, ImportPlan, KeyPlan, Kind, Plan};

mod again;
mod notes;
#[cfg_attr(not(feature = "room"), path = "plan/no_room.rs")]
mod room;
mod shares;

use shares::Escrow;
pub(crate) use shares::EscrowWish;

/// What the command line asks for.
pub(crate) struct PlanWish {
    /// Answers of the KMSs: import parameters, and what AWS KMS says of a KMS key.
    pub files: Vec<PathBuf>,
    /// PKCS#11 module.
    pub module: Option<PathBuf>,
    /// Label or URI of the token.
    pub token: Option<String>,
    /// Label of the data key.
    pub label: Option<String>,
    /// Spec of the data key, if no answer names one.
    pub spec: Option<String>,
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

/// Import parameters of a KMS other than AWS KMS, in a file.
struct Elsewhere {
    path: PathBuf,
    read: Recognised,
}

/// What the files say.
#[derive(Default)]
struct Told {
    /// About keys of AWS KMS.
    aws: BTreeMap<KeyArn, Known>,
    /// About wrapping keys of other KMSs.
    elsewhere: Vec<Elsewhere>,
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
    let told = sort(BTreeMap::new(), &wish.files)?;
    primaries_are_there(&told.aws)?;
    let token = wish
        .module
        .as_deref()
        .map(|module| room::choose_token(module, wish.token.as_deref(), None))
        .transpose()?;
    let escrow = Escrow::of_new(&wish.escrow, room::ask)?;
    let (text, open) = render(&wish, &told, token, &escrow)?;
    if !told.is_empty() {
        judge(&text, &told)?;
    }
    deliver(&text, &wish)?;
    if !open.is_empty() {
        let imports = open.join(", ");
        super::remark(&format!(
            "byok: FILL IN `key` in this plan for {imports}: no answer names the whole key"
        ));
    }
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

/// Sorts the files by what they are about; some keys of AWS KMS may be known before.
fn sort(known: BTreeMap<KeyArn, Known>, files: &[PathBuf]) -> Result<Told> {
    let mut told = Told {
        aws: known,
        elsewhere: Vec::new(),
    };
    let mut homeless = Vec::new();
    for path in files {
        if let Some(metadata) = metadata(path)? {
            importable(&metadata)?;
            let arn = metadata.arn.clone();
            told.aws.entry(arn).or_default().metadata = Some(metadata);
        } else if let Some(read) = of_elsewhere(path)? {
            let path = path.clone();
            told.elsewhere.push(Elsewhere { path, read });
        } else {
            let read = aws::read(path).map_err(|e| unread(path, e))?;
            match read.key_arn.clone() {
                Some(arn) => {
                    let of_key = arn.as_str().to_owned();
                    let known = told.aws.entry(arn).or_default();
                    if let Some((first, _)) = &known.parameters {
                        return Err(two_files(first, path, &of_key));
                    }
                    known.parameters = Some((path.clone(), read));
                }
                None => homeless.push((path.clone(), read)),
            }
        }
    }
    give_homes(&mut told.aws, homeless)?;
    Ok(told)
}

/// No file is passed over: a key takes one.
fn two_files(first: &Path, second: &Path, key: &str) -> Error {
    let (first, second) = (first.display(), second.display());
    Error::usage(format!("{first} and {second} are both for {key}"))
        .hint("give only the one that is to be used")
}

/// `None`: the file is something else, or cannot be read.
fn of_elsewhere(path: &Path) -> Result<Option<Recognised>> {
    let bytes = files::read_small(path).unwrap_or_default();
    let read = recognise(&bytes).map_err(|e| e.doing(path.display()))?;
    let until = read.as_ref().and_then(Recognised::valid_to);
    if let Some(until) = until.filter(|until| *until <= clock::now()) {
        let (path, until) = (path.display(), clock::for_people(until));
        super::remark(&format!(
            "byok: WARNING: {path}: KMS took material by it until {until}: fetch new import parameters"
        ));
    }
    Ok(read)
}

/// A file that is missing is reported as missing, not as the wrong kind of file.
fn unread(path: &Path, error: Error) -> Error {
    if path.exists() {
        return error.doing(path.display());
    }
    Error::usage(format!("{}: there is no such file", path.display())).hint(
        "byok plan takes describe-key answers and import parameters of every KMS, each by its path",
    )
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
    match describe_key(&bytes) {
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

/// The plan, with the notes for people in it, and the imports for which they fill in `key`.
fn render(
    wish: &PlanWish,
    told: &Told,
    token: Option<TokenUri>,
    escrow: &Escrow,
) -> Result<(String, Vec<String>)> {
    let label = wish.label.as_deref().unwrap_or("data-key");
    let regions = told.aws.keys().map(KeyArn::region);
    let elsewhere = told
        .elsewhere
        .iter()
        .map(|given| given.read.row.answer.import_name);
    let places: Vec<&str> = regions.chain(elsewhere).collect();
    let title = wish.title.clone();
    let title = title.unwrap_or_else(|| match places.is_empty() {
        true => format!("Data key {label}"),
        false => format!("Data key {label}, {}", places.join(", ")),
    });
    let mut notes = notes::of_new();
    if !matches!(escrow, Escrow::Without) {
        notes.above("screen_recorded", notes::SCREEN_RECORDED);
    }
    let hsm = match (&wish.module, token) {
        (Some(module), Some(token)) => HsmPlan::draft(&from_plan(wish, module), token),
        _ => {
            notes.above("hsm.module", notes::MODULE);
            let token = Some(FILL_IN.to_owned());
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
        keys: keys(label, told, wish, &mut notes)?,
        ..Plan::draft(
            &title,
            Kind::Generate,
            HsmPlan { env, ..hsm },
            Path::new(&directory),
        )
    };
    escrow.decide(&mut plan, Deliver::Screen, &mut notes);
    paths_can_be_written(&plan)?;
    let imports = plan.imports().map(|(_, import)| import);
    let open = imports.filter(|import| import.kms_key.to_fill_in().is_some());
    let open = open.map(|import| import.name.clone()).collect();
    Ok((plan.written(&notes), open))
}

/// A data key for each spec that the KMS keys take, or one to be filled in.
fn keys(label: &str, told: &Told, wish: &PlanWish, notes: &mut Notes) -> Result<Vec<KeyPlan>> {
    let wanted = wish.spec.as_deref().map(spec_named).transpose()?;
    if told.is_empty() {
        notes.above("key.import.name", notes::EXAMPLE);
        let spec = wanted.unwrap_or(Spec::DEFAULT);
        let parameters = Path::new("inputs/eu-west-1.json");
        let kms_key = KmsKey::from(KeyArn::to_fill_in());
        let wrapping = usual_wrapping(spec, &kms_key)?;
        let to_fill_in = ImportPlan::draft("eu-west-1", kms_key, parameters, wrapping);
        let imports = vec![to_fill_in];
        return Ok(vec![KeyPlan {
            imports,
            ..KeyPlan::draft(label, spec)
        }]);
    }
    let of_specs = by_spec(told, wanted)?;
    let mut names = BTreeMap::new();
    let mut keys = Vec::new();
    for (spec, wanted) in &of_specs {
        let mut key = match of_specs.len() {
            1 => KeyPlan::draft(label, *spec),
            _ => KeyPlan::draft(&format!("{label}-{}", in_a_label(*spec)), *spec),
        };
        let place = format!("key.{}", keys.len());
        if let Spec::Hmac { hash, .. } = spec {
            notes.above(format!("{place}.bits"), &notes::bits(hash.bytes() * 8));
        }
        for (arn, known) in primary_first(&wanted.aws) {
            let name = not_taken(&mut names, arn.region());
            let place = format!("{place}.import.{}", key.imports.len());
            key.imports.push(import(
                &name,
                *spec,
                (arn, known),
                wish,
                (&place, &mut *notes),
            )?);
        }
        for given in &wanted.elsewhere {
            let name = not_taken(&mut names, given.read.row.answer.import_name);
            let place = format!("{place}.import.{}", key.imports.len());
            let import = given.import(&name, &key, wish, (&place, &mut *notes))?;
            key.imports.push(import);
        }
        keys.push(key);
    }
    Ok(keys)
}

/// A name for an import: the second of the same name is told apart by a number.
fn not_taken(names: &mut BTreeMap<String, usize>, name: &str) -> String {
    let count = names.entry(name.to_owned()).or_default();
    *count += 1;
    match *count {
        1 => name.to_owned(),
        count => format!("{name}-{count}"),
    }
}

fn spec_named(name: &str) -> Result<Spec> {
    Spec::parse(name).map_err(|refusal| Error::usage(refusal.why).hint(refusal.hint))
}

/// What is to become of data keys of one spec.
#[derive(Default)]
struct OfSpec<'a> {
    aws: Vec<(&'a KeyArn, &'a Known)>,
    elsewhere: Vec<&'a Elsewhere>,
}

/// Import parameters alone do not name a key spec: byok takes the one that is wanted, that of the other KMS keys, or the
/// usual one.
fn by_spec(told: &Told, wanted: Option<Spec>) -> Result<BTreeMap<Spec, OfSpec<'_>>> {
    let spec_of = |known: &Known| Spec::parse(&known.metadata.as_ref()?.key_spec).ok();
    let mut named: Vec<Spec> = told.aws.values().filter_map(spec_of).collect();
    named.sort_unstable();
    named.dedup();
    let of_others = match (wanted, named.as_slice()) {
        (Some(spec), _) => Some(spec),
        (None, [spec]) => Some(*spec),
        (None, []) => Some(Spec::DEFAULT),
        (None, _) => None,
    };
    let not_named = |what: &dyn std::fmt::Display, hint: &str| {
        let what = format!("{what}: its import parameters do not name its key spec");
        Error::usage(what).hint(hint)
    };
    let mut of_specs = BTreeMap::<Spec, OfSpec<'_>>::new();
    for (arn, known) in &told.aws {
        let is_a_guess = wanted.is_none() && named.is_empty() && is_for_private_keys(known);
        let spec = spec_of(known).or(of_others.filter(|_| !is_a_guess));
        let spec = spec.ok_or_else(|| {
            not_named(
                arn,
                "give the describe-key answer of that KMS key with them",
            )
        })?;
        of_specs.entry(spec).or_default().aws.push((arn, known));
    }
    for given in &told.elsewhere {
        let spec = of_others.ok_or_else(|| not_named(&given.path.display(), WHICH_SPEC))?;
        of_specs.entry(spec).or_default().elsewhere.push(given);
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
    let kms_key = KmsKey::from(arn.clone());
    fits(spec, &kms_key, known)?;
    let at = |field: &str| format!("{place}.{field}");
    let parameters = match &known.parameters {
        Some((path, _)) => from_plan(wish, path),
        None => format!("inputs/{name}.json").into(),
    };
    let told = known.wrapping();
    notes.above(at("wrapping"), notes::wrapping(told.is_some()));
    let wrapping = told.map_or_else(|| usual_wrapping(spec, &kms_key), Ok)?;
    let mut import = ImportPlan::draft(name, kms_key, &parameters, wrapping);
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

impl Told {
    fn is_empty(&self) -> bool {
        self.aws.is_empty() && self.elsewhere.is_empty()
    }
}

impl Elsewhere {
    /// Whether the KMS of an earlier import would take what is wrapped for it.
    fn is_for(&self, import: &ImportPlan) -> bool {
        let wanted = kms::Wanted {
            path: &self.path,
            wrapping: self.read.answered.wrapping.unwrap_or(import.wrapping),
            valid_to: None,
        };
        import.kms_key.arn().is_none() && import.kms_key.read(&wanted).is_ok()
    }

    /// An import of a data key under this wrapping key.
    fn import(
        &self,
        name: &str,
        key: &KeyPlan,
        wish: &PlanWish,
        (place, notes): (&str, &mut Notes),
    ) -> Result<ImportPlan> {
        let at = |field: &str| format!("{place}.{field}");
        let kms_key = self.read.kms_key(&key.label);
        let wrapping = self
            .read
            .answered
            .wrapping
            .map_or_else(|| kms_key.usual(key.spec), Ok);
        let taken = wrapping.and_then(|wrapping| {
            kms_key.takes(key.spec, wrapping)?;
            kms_key.fits(key.spec, wrapping, self.read.answered.wrapping_key.bits())?;
            Ok(wrapping)
        });
        let wrapping = taken.map_err(|refusal| {
            let error = Error::usage(refusal.why).hint(refusal.hint);
            error.hint(WHICH_SPEC).doing(self.path.display())
        })?;
        let algorithms: Vec<&str> = kms_key.algorithms(key.spec).map(|a| a.name()).collect();
        let key_note = notes::key_elsewhere(&self.read.more(), kms_key.to_fill_in());
        notes.above(at("key"), &key_note);
        notes.above(
            at("wrapping"),
            &match self.read.answered.wrapping {
                Some(_) => notes::wrapping(true).to_owned(),
                None => notes::takes(kms_key.kms, &algorithms),
            },
        );
        if key.spec.is_private() {
            notes.above(at("wrap_in"), notes::PRIVATE);
        }
        let parameters = from_plan(wish, &self.path);
        Ok(ImportPlan::draft(name, kms_key, &parameters, wrapping))
    }
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

/// Whoever gets this hint gave import parameters of a KMS whose answers name no spec.
const WHICH_SPEC: &str = "--spec SPEC says what the data key is, such as AES_256 or ECC_NIST_P256";

/// What to download parameters for, if nothing says it.
fn usual_wrapping(spec: Spec, kms_key: &KmsKey) -> Result<WrappingAlgorithm> {
    let usual = kms_key.usual(spec);
    usual.map_err(|refusal| Error::usage(refusal.why).hint(refusal.hint))
}

/// Whether the downloaded wrapping key takes material of the spec.
fn fits(spec: Spec, kms_key: &KmsKey, known: &Known) -> Result<()> {
    let Some((path, read)) = &known.parameters else {
        return Ok(());
    };
    let algorithm = match read.wrapping_algorithm {
        Some(algorithm) => algorithm,
        None => usual_wrapping(spec, kms_key)?,
    };
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

/// The text must be a valid plan once it is filled in, otherwise it is not written: labels and titles come from people.
fn judge(text: &str, told: &Told) -> Result<()> {
    let parts = text.split(FILL_IN).enumerate();
    let filled_in: String = parts
        .map(|(at, part)| match at {
            0 => part.to_owned(),
            _ => format!("filled-in-{at}{part}"),
        })
        .collect();
    let plan = Plan::parse(Path::new("plan.toml"), filled_in.into_bytes())?;
    if plan.imports().count() != told.aws.len() + told.elsewhere.len() {
        return Err(Error::usage("the plan would not hold every KMS key"));
    }
    Ok(())
}
