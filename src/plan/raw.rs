//! The plan in TOML's spelling, and how it becomes a [`Plan`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tables::Keys;
use super::{
    Deliver, EscrowPlan, HsmPlan, ImportAs, ImportPlan, InToken, Keep, KeyPlan, Kind, MOST_KEYS,
    Network, PackageSource, PinSource, Plan, RecoverPlan, ShareSource, SignerPlan, Source, WrapIn,
    digest, import_type, name, once, record_directory, relative, syntax, time,
};
use crate::crypto::escrow::package;
use crate::crypto::escrow::policy::{Group, Policy};
use crate::crypto::escrow::slip39::{MOST_IN_ALL, MOST_SHARES};
use crate::crypto::spec::{LONGEST_HMAC, Refusal, Spec};
use crate::crypto::sshsig::parse_fingerprint;
use crate::crypto::wrapping::{Fingerprint, WrappingAlgorithm};
use crate::ground::anchor::Anchor;
use crate::ground::error::{Error, Result};
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::plan::kms::{KeyArn, KmsKey};
use crate::plan::roles;

/// A roll call works up to this many people.
const MOST_WITNESSES: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    title: String,
    kind: String,
    previous: Option<String>,
    previous_head: Option<String>,
    reason: Option<String>,
    reuse_escrow: Option<String>,
    screen_recorded: Option<String>,
    signer: Option<String>,
    machine: Option<RawMachine>,
    hsm: RawHsm,
    #[serde(default)]
    key: Vec<RawKey>,
    escrow: Option<RawEscrow>,
    roles: Option<RawRoles>,
    recover: Option<RawRecover>,
    record: RawRecord,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMachine {
    network: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHsm {
    module: String,
    token: String,
    pin: Option<String>,
    #[serde(default)]
    env: Vec<String>,
    hardware: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    label: String,
    spec: String,
    keep: String,
    fingerprint: Option<String>,
    bits: Option<usize>,
    source: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    import: Vec<RawImport>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImport {
    name: String,
    kms: Option<String>,
    key_arn: Option<String>,
    key: Option<String>,
    parameters: String,
    wrapping: String,
    wrap_in: Option<String>,
    expires: String,
    parameters_valid_to: Option<String>,
    wrapping_key_sha256: Option<String>,
    other_kms_key: Option<String>,
    witness_of: Option<String>,
    import_type: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecover {
    shares: String,
    package: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEscrow {
    threshold: Option<u8>,
    custodians: Option<Vec<String>>,
    groups_threshold: Option<u8>,
    groups: Option<Vec<RawGroup>>,
    deliver: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    name: String,
    threshold: u8,
    custodians: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoles {
    apart: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    directory: String,
    #[serde(default)]
    witnesses: Vec<String>,
    signer: Option<String>,
}

/// Every table of a plan.
fn tables() -> [Keys; 10] {
    [
        Keys::of::<RawPlan>(""),
        Keys::of::<RawMachine>("machine"),
        Keys::of::<RawHsm>("hsm"),
        Keys::of::<RawKey>("key"),
        Keys::of::<RawImport>("key.import"),
        Keys::of::<RawEscrow>("escrow"),
        Keys::of::<RawGroup>("escrow.groups"),
        Keys::of::<RawRecover>("recover"),
        Keys::of::<RawRoles>("roles"),
        Keys::of::<RawRecord>("record"),
    ]
}

pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Plan> {
    let text = syntax::text(&bytes)?;
    let raw: RawPlan = toml::from_str(text).map_err(|e| syntax::refused(text, &e, &tables()))?;
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let kinds = [Kind::Generate, Kind::Reimport, Kind::Recover, Kind::Destroy];
    let kind = one_of("kind", &raw.kind, &kinds, Kind::name)?;
    let directory = record_directory(&base, &raw.record.directory)?;
    let escrow = given(raw.escrow, |escrow| self::escrow(escrow, &base, &directory))?;
    let networks = [Network::Forbidden, Network::Hsm, Network::Allowed];
    let network = given(raw.machine.and_then(|machine| machine.network), |text| {
        one_of("machine.network", &text, &networks, Network::name)
    })?;
    let plan = Plan {
        path: path.to_owned(),
        title: title(&raw.title)?,
        kind,
        network: network.unwrap_or(Network::Forbidden),
        hsm: hsm(raw.hsm, &base)?,
        keys: keys(raw.key, &base, kind, escrow.is_some(), &directory)?,
        previous: given(raw.previous, |path| relative(&base, "previous", &path))?,
        previous_head: given(raw.previous_head, |text| anchor(&text))?,
        reason: given(raw.reason, |text| reason("reason", &text))?,
        recover: given(raw.recover, |recover| self::recover(recover, &base))?,
        reuse_escrow: given(raw.reuse_escrow, |text| reason("reuse_escrow", &text))?,
        escrow,
        screen_recorded: given(raw.screen_recorded, |text| reason("screen_recorded", &text))?,
        directory,
        witnesses: witnesses_of_the_record(raw.record.witnesses)?,
        apart: match raw.roles {
            Some(roles) => roles::read(&roles.apart)?,
            None => Vec::new(),
        },
        signer: signer(raw.signer, raw.record.signer)?,
        sha256: words::sha256(&bytes),
        bytes,
    };
    keeps_need_escrow(&plan)?;
    seats_are_there(&plan)?;
    kind_has_what_it_needs(&plan)?;
    import_type::judge(&plan)?;
    Ok(plan)
}

/// What a field says that may be absent.
fn given<T, U>(field: Option<T>, read: impl FnOnce(T) -> Result<U>) -> Result<Option<U>> {
    field.map(read).transpose()
}

/// What a field says that has one of some words.
fn one_of<T: Copy>(field: &str, text: &str, words: &[T], name: fn(T) -> &'static str) -> Result<T> {
    let found = words.iter().find(|word| name(**word) == text);
    found.copied().ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|word| name(*word)).collect();
        let words = words.join(", ");
        Error::usage(format!("{field} {text:?} is not one of {words}"))
    })
}

/// The directory of `files:DIR`; `None` for the other word.
fn files(field: &str, text: &str, other: &str, base: &Path) -> Result<Option<PathBuf>> {
    let directory = text.strip_prefix("files:").filter(|path| !path.is_empty());
    match directory {
        Some(path) => Ok(Some(base.join(path))),
        None if text == other => Ok(None),
        None => Err(Error::usage(format!(
            "{field} {text:?} is neither {other} nor files:DIR"
        ))),
    }
}

fn title(text: &str) -> Result<String> {
    if text.trim().is_empty()
        || text.chars().count() > 120
        || !words::is_printable(text)
        || text.contains("  ")
    {
        return Err(Error::usage(
            "the title is empty, longer than 120 characters, or contains characters that cannot be shown",
        )
        .hint(
            "people read titles, so byok refuses control, invisible and direction-changing characters, and two spaces in a row",
        ));
    }
    Ok(text.to_owned())
}

fn hsm(raw: RawHsm, base: &Path) -> Result<HsmPlan> {
    let variable = |name: &String| {
        !name.is_empty() && !name.contains(['=', '\0']) && words::is_printable(name)
    };
    if !raw.env.iter().all(variable) {
        return Err(Error::usage(
            "hsm.env must be a list of names of environment variables, such as [\"SOFTHSM2_CONF\"]",
        )
        .hint("give names only: the values stay in the environment"));
    }
    Ok(HsmPlan {
        module: relative(base, "hsm.module", &raw.module)?,
        token: TokenUri::parse(&raw.token)?,
        pin: PinSource::parse(raw.pin.as_deref().unwrap_or("prompt"), base)?,
        env: raw.env,
        hardware: given(raw.hardware, |text| reason("hsm.hardware", &text))?,
    })
}

fn keys(
    raw: Vec<RawKey>,
    base: &Path,
    kind: Kind,
    escrow: bool,
    record: &Path,
) -> Result<Vec<KeyPlan>> {
    if raw.is_empty() {
        return Err(Error::usage("the plan has no [[key]]"));
    }
    let if_no_import = kind == Kind::Destroy || kind != Kind::Generate && escrow;
    let (mut labels, mut arns) = (BTreeSet::new(), BTreeSet::new());
    let mut keys = Vec::with_capacity(raw.len());
    for raw in raw {
        once(&mut labels, "the label", &raw.label)?;
        let label = raw.label.clone();
        if kind != Kind::Generate && (raw.source.is_some() || raw.reason.is_some()) {
            return Err(Error::usage(format!(
                "[[key]] {label:?}: source and reason belong to kind = \"generate\""
            ))
            .hint("every other kind takes the data key from the HSM or from a quorum"));
        }
        let key = key(raw, base, &mut arns, if_no_import)
            .and_then(|key| not_in_the_record(&key.source, record).map(|()| key));
        keys.push(key.map_err(|e| e.doing(format!("[[key]] {label:?}")))?);
    }
    let imports: usize = keys.iter().map(|key| key.imports.len()).sum();
    if keys.len().max(imports) > MOST_KEYS {
        return Err(Error::usage(format!(
            "the plan has more than {MOST_KEYS} data keys or imports"
        ))
        .hint("plan several ceremonies"));
    }
    one_material_each(&keys)?;
    sources_once(&keys)?;
    Ok(keys)
}

fn not_in_the_record(source: &Source, record: &Path) -> Result<()> {
    match source {
        Source::File(path) if path.starts_with(record) => Err(Error::usage(
            "source: the file lies inside the record, which is copied and shown",
        )
        .hint("name a file elsewhere, on a medium that is destroyed afterwards")),
        _ => Ok(()),
    }
}

/// Refuses two labels for one material.
fn sources_once(keys: &[KeyPlan]) -> Result<()> {
    for (at, key) in keys.iter().enumerate() {
        let named = !matches!(key.source, Source::Hsm | Source::Token(InToken::Label));
        let other = keys[..at].iter().find(|other| other.source == key.source);
        if let Some(other) = other.filter(|_| named) {
            return Err(Error::usage(format!(
                "[[key]] {:?} and {:?} have the same source",
                other.label, key.label
            ))
            .hint("write one [[key]] for one material, with a [[key.import]] for each KMS key"));
        }
    }
    Ok(())
}

/// A witness may name a KMS key again, but only for the same data key.
fn one_material_each(keys: &[KeyPlan]) -> Result<()> {
    let mut gets: BTreeMap<&str, &str> = BTreeMap::new();
    for key in keys {
        for import in &key.imports {
            let first = *gets.entry(import.kms_key.as_str()).or_insert(&key.label);
            if first != key.label {
                return Err(Error::usage(format!(
                    "the KMS key {} is in the plan for two data keys, {first:?} and {:?}",
                    import.kms_key, key.label
                ))
                .hint("in one ceremony a KMS key gets one material"));
            }
        }
    }
    Ok(())
}

fn key(
    raw: RawKey,
    base: &Path,
    arns: &mut BTreeSet<String>,
    may_have_no_import: bool,
) -> Result<KeyPlan> {
    let label = name("the label", &raw.label)?;
    let keeps = [Keep::Extractable, Keep::Sealed, Keep::None];
    let keep = one_of("keep", &raw.keep, &keeps, Keep::name)?;
    if raw.import.is_empty() && !may_have_no_import {
        return Err(Error::usage("it has no [[key.import]]")
            .hint("a data key without an import needs no ceremony: add the KMS key it is for"));
    }
    let fingerprint = given(raw.fingerprint, |text| fingerprint(&text))?;
    let source = Source::parse(raw.source.as_deref(), base)?;
    let reason = given(raw.reason, |text| reason("reason in [[key]]", &text))?;
    source.judge(reason.as_deref(), keep)?;
    let mut names = BTreeSet::new();
    let mut imports = Vec::with_capacity(raw.import.len());
    for raw in raw.import {
        once(&mut names, "the import name", &raw.name)?;
        let import_name = raw.name.clone();
        imports
            .push(import(raw, base, arns).map_err(|e| e.doing(format!("import {import_name:?}")))?);
    }
    let spec = spec(&raw.spec, raw.bits, &imports)?;
    let digits = spec.fingerprint_len() * 2;
    if fingerprint
        .as_ref()
        .is_some_and(|told| told.len() * 2 != digits)
    {
        return Err(Error::usage(format!(
            "fingerprint is not a fingerprint of {}",
            spec.name()
        ))
        .hint(format!("it has {digits} hex digits")));
    }
    imports.iter().try_for_each(|import| {
        (import.kms_key)
            .takes(spec, import.wrapping)
            .map_err(|refusal| refused(refusal).doing(format!("import {:?}", import.name)))
    })?;
    witnesses(&imports, spec)?;
    Ok(KeyPlan {
        label,
        spec,
        keep,
        source,
        reason,
        fingerprint,
        imports,
    })
}

/// A witness imports the same material a second time, if KMS can compare: into the same KMS key or a replica of
/// it, with its own import parameters.
fn witnesses(imports: &[ImportPlan], spec: Spec) -> Result<()> {
    for witness in imports {
        let Some(name) = &witness.witness_of else {
            continue;
        };
        let refuse = |why: String, hint: &str| {
            let what = format!("import {:?}: witness_of = {name:?} {why}", witness.name);
            Err(Error::usage(what).hint(hint))
        };
        if !matches!(spec, Spec::Symmetric { .. }) {
            return refuse(
                format!("has no meaning for {}", spec.name()),
                "KMS compares symmetric material only",
            );
        }
        let other = imports
            .iter()
            .find(|import| import.name == *name && import.name != witness.name);
        let Some(other) = other.filter(|other| other.witness_of.is_none()) else {
            return refuse(
                "does not name another import of this data key, or names another witness".into(),
                "name the import whose material it proves",
            );
        };
        let into = &witness.kms_key;
        if *into != other.kms_key && !into.is_replica_of(other.kms_key.as_str()) {
            return refuse(
                format!("is into another KMS key ({})", other.kms_key),
                "KMS compares material within one KMS key and its multi-Region replicas",
            );
        }
        if witness.parameters == other.parameters {
            return refuse(
                "has the same import parameters".into(),
                "let a second person download other import parameters for it",
            );
        }
    }
    Ok(())
}

/// Each kind needs some fields, and refuses those that would have no meaning in it.
fn kind_has_what_it_needs(plan: &Plan) -> Result<()> {
    let without = |what: &str, why: &str| {
        Err(Error::usage(format!("kind = {:?} {what}", plan.kind.name())).hint(why))
    };
    let of_made = |key: &KeyPlan| key.fingerprint.is_some() && key.source == Source::Hsm;
    let builds_on = plan.previous.is_some() || plan.keys.iter().any(of_made);
    if plan.screen_recorded.is_some() && !plan.shares_at_screen() {
        return without(
            "shows no shares",
            "screen_recorded is for [escrow] with deliver = \"screen\", or [recover] with shares = \"typed\"",
        );
    }
    if plan.reason.is_some() && plan.kind != Kind::Destroy {
        return without("gives a reason", "`reason` belongs to kind = \"destroy\"");
    }
    if plan.kind == Kind::Generate {
        if plan
            .imports()
            .any(|(_, import)| import.other_kms_key.is_some())
        {
            return without(
                "has no earlier KMS key",
                "other_kms_key belongs to reimport and recover",
            );
        }
        if builds_on
            || plan.previous_head.is_some()
            || plan.recover.is_some()
            || plan.reuse_escrow.is_some()
        {
            return without(
                "builds on no record: previous, previous_head, fingerprint, [recover] and reuse_escrow do not belong in it",
                "a ceremony with an existing data key is a reimport or a recover; a fingerprint is for material that comes \
                 from a token or a file",
            );
        }
        return Ok(());
    }
    let known = plan.previous.is_some() || plan.keys.iter().all(|key| key.fingerprint.is_some());
    if !known {
        return without(
            "needs `previous`, or the fingerprint of every data key",
            "name the record that made the data key; if that record is lost, every share form has the fingerprint",
        );
    }
    if plan.previous_head.is_some() && plan.previous.is_none() {
        return without(
            "gives previous_head without `previous`",
            "a head digest belongs to a record: name the record",
        );
    }
    if plan.kind == Kind::Destroy {
        return destroys_only(plan);
    }
    match (plan.kind, &plan.recover) {
        (Kind::Recover, None) => without(
            "needs [recover]",
            "say where the shares and the escrow package come from",
        ),
        (Kind::Reimport, Some(_)) => without(
            "takes the data key from the HSM",
            "[recover] belongs to kind = \"recover\"",
        ),
        (Kind::Recover, Some(recover))
            if recover.package == PackageSource::Record && plan.previous.is_none() =>
        {
            without(
                "has no `previous` from which to take the package",
                "set package to \"typed\" or to a path",
            )
        }
        (Kind::Recover, Some(recover))
            if recover.package == PackageSource::Typed
                && !plan.keys.iter().all(|key| package::can_be_typed(key.spec)) =>
        {
            without(
                "has a package that is too long to be typed: private keys, or secret keys of more than 64 bytes",
                "set package in [recover] to its escrow-package.json",
            )
        }
        (Kind::Recover, _) if plan.escrow.is_none() && plan.reuse_escrow.is_none() => without(
            "without [escrow] needs reuse_escrow = \"reason\"",
            "the shares that are typed will have been in this computer: deal new shares, or say why the old ones can still be used",
        ),
        _ => Ok(()),
    }
}

fn destroys_only(plan: &Plan) -> Result<()> {
    let refuse = |what: &str| Err(Error::usage(format!("kind = \"destroy\" {what}")));
    if plan.reason.is_none() {
        return refuse("needs reason = \"…\"")
            .map_err(|e| e.hint("the record states why the data key was destroyed"));
    }
    if plan.escrow.is_some() || plan.recover.is_some() || plan.reuse_escrow.is_some() {
        return refuse("uses no shares: remove [escrow], [recover] and reuse_escrow");
    }
    if plan.imports().next().is_some() {
        return refuse("imports nothing: remove [[key.import]]");
    }
    Ok(())
}

/// `signer` may be at the top or in `[record]`, once.
fn signer(top: Option<String>, of_record: Option<String>) -> Result<SignerPlan> {
    let text = match (top, of_record) {
        (None, None) => return Ok(SignerPlan::Any),
        (Some(_), Some(_)) => {
            return Err(Error::usage("signer is both at the top and in [record]"));
        }
        (Some(text), None) | (None, Some(text)) => text,
    };
    if text == "none" {
        return Ok(SignerPlan::Nobody);
    }
    parse_fingerprint(&text)
        .map(SignerPlan::Named)
        .ok_or_else(|| {
            Error::usage("signer must be a fingerprint, SHA256: and 43 characters, or none").hint(
                "take it from paper or from an earlier record: the field fingerprint of transcript-signer",
            )
        })
}

fn anchor(text: &str) -> Result<Anchor> {
    Anchor::parse(text).map_err(|why| {
        Error::usage(format!("previous_head: {why}"))
            .hint("take it from the paper that the witnesses signed")
    })
}

fn recover(raw: RawRecover, base: &Path) -> Result<RecoverPlan> {
    let directory = files("[recover]: shares", &raw.shares, "typed", base)?;
    let shares = directory.map_or(ShareSource::Typed, ShareSource::Files);
    let package = match raw.package.as_deref() {
        None | Some("record") => PackageSource::Record,
        Some("typed") => PackageSource::Typed,
        Some(path) => PackageSource::File(relative(base, "recover.package", path)?),
    };
    Ok(RecoverPlan { shares, package })
}

/// Nobody is to believe that people are kept apart who are never asked for.
fn seats_are_there(plan: &Plan) -> Result<()> {
    match plan.apart.iter().find(|pair| !plan.calls_for(**pair)) {
        Some(pair) => Err(Error::usage(format!(
            "[roles] keeps apart {:?}, and nobody is called for one of these seats",
            pair.name()
        ))
        .hint("custodians are called for [escrow] and for shares that are typed, groups for [escrow] with groups, witnesses for witnesses in [record]")),
        None => Ok(()),
    }
}

/// A data key that only a quorum can wrap again needs an escrow.
fn keeps_need_escrow(plan: &Plan) -> Result<()> {
    let lost = plan.keys.iter().find(|key| key.keep != Keep::Extractable);
    match lost {
        Some(key) if plan.escrow.is_none() && plan.kind == Kind::Generate => {
            Err(Error::usage(format!(
                "[[key]] {:?}: keep = \"sealed\" and \"none\" need [escrow]",
                key.label
            ))
            .hint("without shares nobody could ever import this data key again"))
        }
        _ => Ok(()),
    }
}

/// Whose shares are enough: `threshold` and `custodians`, or `groups_threshold` and `groups`.
fn policy(raw: &mut RawEscrow) -> Result<Policy> {
    let given = (
        raw.threshold,
        raw.custodians.take(),
        raw.groups_threshold,
        raw.groups.take(),
    );
    let policy = match given {
        (Some(threshold), Some(custodians), None, None) => Policy::any(threshold, custodians),
        (None, None, Some(needed), Some(groups)) => {
            let group = |raw: RawGroup| Group {
                name: raw.name,
                threshold: raw.threshold,
                custodians: raw.custodians,
            };
            let groups: Vec<Group> = groups.into_iter().map(group).collect();
            let called: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
            names("[escrow]: the group", &called)?;
            Policy::of_groups(needed, groups)
        }
        _ => Err("give threshold and custodians, or groups_threshold and groups".to_owned()),
    };
    let policy = policy.map_err(|why| {
        Error::usage(format!("[escrow]: {why}")).hint(format!(
            "at most {MOST_SHARES} groups, {MOST_SHARES} custodians in each and {MOST_IN_ALL} in all; \
             a threshold is at most the number of what it counts"
        ))
    })?;
    let custodians = policy.custodians();
    names("[escrow]: the custodian", &custodians)?;
    let groups = policy.groups().iter().map(|group| &group.name);
    let unclear = |name: &&String| policy.is_grouped() && name.contains([',', ';', ':']);
    match groups.chain(&custodians).find(unclear) {
        Some(name) => Err(Error::usage(format!(
            "[escrow]: {name:?} cannot be a name where there are groups"
        ))
        .hint("leave out commas, semicolons and colons: lists of groups are written with them")),
        None => Ok(policy.clone()),
    }
}

fn escrow(mut raw: RawEscrow, base: &Path, record: &Path) -> Result<EscrowPlan> {
    let policy = policy(&mut raw)?;
    let directory = files("[escrow]: deliver", &raw.deliver, "screen", base)?;
    let deliver = directory.map_or(Deliver::Screen, Deliver::Files);
    if let Deliver::Files(directory) = &deliver
        && directory.starts_with(record)
    {
        return Err(
            Error::usage("[escrow]: shares must not be inside the record")
                .hint("the record is copied and shown; name another directory in deliver"),
        );
    }
    Ok(EscrowPlan { policy, deliver })
}

/// Names of people's seats: they are shown on screens, on forms and in file names.
fn names(what: &str, names: &[String]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !super::is_name(name) {
            return Err(Error::usage(format!("{what} {name:?} cannot be a name"))
                .hint("use at most 40 printable characters, without / or \\, with no full stop at the start and no space at the start or end"));
        }
        once(&mut seen, what, name)?;
    }
    Ok(())
}

fn witnesses_of_the_record(names: Vec<String>) -> Result<Vec<String>> {
    if names.len() > MOST_WITNESSES {
        return Err(
            Error::usage(format!("[record]: {} witnesses are too many", names.len())).hint(
                format!("at most {MOST_WITNESSES}; each is asked for at the roll call"),
            ),
        );
    }
    self::names("[record]: the witness", &names)?;
    Ok(names)
}

/// A reason as people give one, in a plan or in the room.
///
/// # Errors
/// Exit 2 if it is none.
pub(crate) fn reason(what: &str, text: &str) -> Result<String> {
    if text.trim().is_empty() || text.chars().count() > 200 || !words::is_printable(text) {
        return Err(Error::usage(format!(
            "{what} must be a reason: printable text of at most 200 characters"
        )));
    }
    Ok(text.to_owned())
}

fn refused(refusal: Refusal) -> Error {
    Error::usage(refusal.why).hint(refusal.hint)
}

/// The spec. It must suit every KMS key that gets the material.
fn spec(text: &str, bits: Option<usize>, imports: &[ImportPlan]) -> Result<Spec> {
    let spec = Spec::parse(text).map_err(refused)?;
    match (spec, bits) {
        (Spec::Hmac { hash, .. }, Some(bits)) => {
            let least = hash.bytes() * 8;
            let most = LONGEST_HMAC * 8;
            if !bits.is_multiple_of(8) || !(least..=most).contains(&bits) {
                return Err(Error::usage(format!("bits = {bits} is not a length of {text} material"))
                    .hint(format!("KMS accepts whole bytes, from {least} to {most} bits; without `bits` the length is {least}")));
            }
            Ok(Spec::Hmac {
                hash,
                bytes: bits / 8,
            })
        }
        (_, Some(_)) => Err(Error::usage(format!("bits has no meaning for {text}"))
            .hint("only HMAC keys have a length of their own")),
        (Spec::Symmetric { .. }, None) => symmetric(imports),
        (spec, None) => Ok(spec),
    }
}

fn symmetric(imports: &[ImportPlan]) -> Result<Spec> {
    let in_china = imports
        .iter()
        .filter(|import| import.kms_key.arn().is_some_and(KeyArn::is_china))
        .count();
    match in_china {
        0 => Ok(Spec::DEFAULT),
        all if all == imports.len() => Ok(Spec::Symmetric { bytes: 16 }),
        _ => Err(Error::usage(
            "KMS accepts 16 bytes in partition aws-cn and 32 elsewhere: one data key cannot have both lengths",
        )
        .hint("plan a separate data key for the KMS keys in aws-cn")),
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint> {
    Fingerprint::from_hex(text).ok_or_else(|| {
        Error::usage("fingerprint is not a fingerprint: 64 hex digits (HMAC_224: 56, HMAC_384: 96, HMAC_512: 128)")
    })
}

fn import(raw: RawImport, base: &Path, arns: &mut BTreeSet<String>) -> Result<ImportPlan> {
    let kms_key = KmsKey::parse(
        raw.kms.as_deref(),
        raw.key_arn.as_deref(),
        raw.key.as_deref(),
    )?;
    if kms_key.arn().is_none() {
        nothing_of_aws(&raw, &kms_key)?;
    }
    if raw.witness_of.is_none() && !arns.insert(kms_key.as_str().to_owned()) {
        return Err(Error::usage(format!(
            "the KMS key {} is in the plan twice",
            kms_key.as_str()
        ))
        .hint("in one ceremony a KMS key gets one material"));
    }
    let wrap_in = given(raw.wrap_in, |text| {
        one_of("wrap_in", &text, &[WrapIn::Hsm, WrapIn::Host], WrapIn::name)
    })?;
    let expires = match raw.expires.as_str() {
        "never" => None,
        text => Some(time("expires", text)?),
    };
    Ok(ImportPlan {
        name: name("the import name", &raw.name)?,
        kms_key,
        parameters: relative(base, "parameters", &raw.parameters)?,
        wrapping: wrapping(&raw.wrapping)?,
        wrap_in: wrap_in.unwrap_or(WrapIn::Hsm),
        expires,
        parameters_valid_to: given(raw.parameters_valid_to, |text| {
            time("parameters_valid_to", &text)
        })?,
        wrapping_key_sha256: given(raw.wrapping_key_sha256, |text| {
            digest("wrapping_key_sha256", &text)
        })?,
        other_kms_key: given(raw.other_kms_key, |text| reason("other_kms_key", &text))?,
        witness_of: raw.witness_of,
        import_as: given(raw.import_type, |text| ImportAs::parse(&text))?,
        description: given(raw.description, |text| import_type::description(&text))?,
    })
}

/// What only AWS KMS has would have no effect elsewhere.
fn nothing_of_aws(raw: &RawImport, kms_key: &KmsKey) -> Result<()> {
    let only_aws = [
        ("parameters_valid_to", raw.parameters_valid_to.is_some()),
        ("witness_of", raw.witness_of.is_some()),
        ("import_type", raw.import_type.is_some()),
        ("description", raw.description.is_some()),
        ("expires", raw.expires != "never"),
    ];
    match only_aws.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(Error::usage(format!(
            "{field} belongs to AWS KMS alone: {} does not know it",
            kms_key.kms
        ))
        .hint(match *field {
            "expires" => "write expires = \"never\"",
            _ => "remove it",
        })),
        None => Ok(()),
    }
}

fn wrapping(text: &str) -> Result<WrappingAlgorithm> {
    let why = match text {
        "RSAES_PKCS1_V1_5" => "KMS has refused it since 2023-10-10",
        "SM2PKE" => "byok cannot wrap with it; KMS offers it in China Regions only",
        _ => "it is not a wrapping algorithm of KMS",
    };
    text.parse().map_err(|()| {
        let known = WrappingAlgorithm::BEST_FIRST.map(WrappingAlgorithm::name);
        Error::usage(format!("wrapping {text:?}: {why}")).hint(format!(
            "the algorithms are {}; which of them a KMS takes: docs/targets.md",
            known.join(", ")
        ))
    })
}
