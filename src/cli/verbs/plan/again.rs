//! A plan that builds on a record: the same data keys again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::materials;
use super::{
    BuildsOn, Elsewhere, Escrow, Known, PlanWish, Told, fits, from_plan, furthest_midnight,
    near_plan, notes, paths_can_be_written, room, sort, two_files,
};
use crate::crypto::escrow::package;
use crate::evidence::previous::Previous;
use crate::evidence::record::refuse_module_within;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::files::{parent, read_small};
use crate::ground::token_uri::TokenUri;
use crate::paper::plan::Notes;
use crate::plan::kms::KeyArn;
use crate::plan::{
    Deliver, HsmPlan, ImportAs, ImportPlan, Keep, KeyPlan, Kind, Network, PackageSource, PinSource,
    Plan, RecoverPlan, ShareSource, SignerPlan, Source,
};

/// Writes the plan from what the record's own plan said. A person must type the head digest from paper: taken from the
/// record it would vouch for nothing.
pub(super) fn render(how: BuildsOn, record: &Path, wish: &PlanWish) -> Result<String> {
    let mut previous = Previous::load(record, None)?;
    for told in previous.branches.not_built_on() {
        super::super::remark(&format!("byok: WARNING: {told}"));
    }
    let mut old = plan_of(record)?;
    let kind = kind_of(how, &old);
    if kind == Kind::Recover && previous.package.is_none() {
        let imports = imports_of_all(&old, &previous);
        previous = with_package(&previous)?;
        old = plan_of(&previous.directory)?;
        give_imports(&mut old, imports);
    } else {
        let imports = imports_of_all(&old, &previous);
        give_imports(&mut old, imports);
    }
    let told = new_parameters(&old, &wish.files)?;
    let word = match how {
        BuildsOn::NewShares => "new-shares",
        BuildsOn::Reimport | BuildsOn::Recover => kind.name(),
    };
    let escrow = match how {
        BuildsOn::Recover => Escrow::of_recovery(&wish.escrow, &previous, room::ask)?,
        BuildsOn::NewShares => Escrow::of_new_shares(&wish.escrow, &previous, room::ask)?,
        BuildsOn::Reimport => Escrow::Open,
    };
    let mut notes = notes::of_again();
    let mut plan = Plan {
        title: title(wish, &old, word),
        kind,
        previous: Some(near_plan(wish, &previous.directory)?),
        network: network(&old),
        hsm: hsm(wish, &old)?,
        directory: directory_of(&old, word, &previous.directory).into(),
        previous_head: None,
        reason: None,
        recover: None,
        reuse_escrow: None,
        escrow: None,
        screen_recorded: None,
        signer: SignerPlan::Any,
        ..old.clone()
    };
    notes.above("title", &notes::builds_on(&previous.ceremony));
    of_the_records_word(wish, &old, &mut notes);
    if kind == Kind::Recover || how == BuildsOn::NewShares {
        notes.above("screen_recorded", notes::SCREEN_RECORDED);
    }
    if kind == Kind::Recover {
        plan.recover = Some(RecoverPlan {
            shares: ShareSource::Typed,
            package: PackageSource::Record,
        });
        if wish.module.is_none() {
            notes.above("hsm.module", notes::PERHAPS_LOST);
        }
    }
    let nothing = Known::default();
    for (at, key) in plan.keys.iter_mut().enumerate() {
        (key.source, key.reason, key.fingerprint) = (Source::Hsm, None, None);
        if how == BuildsOn::NewShares {
            key.imports.clear();
        }
        for (nth, import) in key.imports.iter_mut().enumerate() {
            let of_key = &old.keys[at];
            let known = import.kms_key.arn().map_or(&nothing, |arn| &told.aws[arn]);
            fits(key.spec, &import.kms_key, known)?;
            let elsewhere = told.elsewhere.iter().find(|given| given.is_for(import));
            let given = known.parameters.as_ref().map(|(path, _)| path);
            let given = given.or(elsewhere.map(|given| &given.path));
            let place = format!("key.{at}.import.{nth}");
            if given.is_none() {
                let again = notes::fetched_again(&import.kms_key);
                notes.above(format!("{place}.parameters"), &again);
            }
            import.parameters = match given {
                Some(path) => from_plan(wish, path),
                None => parameters_file(&old, of_key, import).into(),
            };
            if let Some(wrapping) = elsewhere.and_then(|given| given.read.answered.wrapping) {
                import.wrapping = wrapping;
            }
            once_more(import, &key.label, known, &previous, (&place, &mut notes))?;
        }
    }
    match how {
        BuildsOn::NewShares => escrow.decide(&mut plan, delivered_before(&previous), &mut notes),
        BuildsOn::Recover => escrow.decide(&mut plan, Deliver::Screen, &mut notes),
        BuildsOn::Reimport => {}
    }
    let kept = plan.apart.clone();
    plan.apart = kept
        .into_iter()
        .filter(|pair| plan.calls_for(*pair))
        .collect();
    if let Some(signer) = &previous.signer {
        // a different HSM has a different signer
        let known = "Who signed that record; to insist on it, compare with the paper:";
        notes.above(
            "record.signer",
            &format!("{known}\nsigner = \"{}\"", signer.fingerprint),
        );
    }
    paths_can_be_written(&plan)?;
    let text = plan.written(&notes);
    judge(&plan, &text, escrow.is_open() && how == BuildsOn::Recover)?;
    Ok(text)
}

/// Notes at what nothing vouches for yet: a module is a program, and `byok check` loads it.
fn of_the_records_word(wish: &PlanWish, old: &Plan, notes: &mut Notes) {
    if wish.module.is_none() {
        notes.above("hsm.module", notes::RECORDS_MODULE);
    }
    if !old.hsm.env.is_empty() {
        notes.above("hsm.env", notes::RECORDS_ENV);
    }
}

/// The text must be a valid plan, once people fill in what only they know.
fn judge(plan: &Plan, text: &str, open: bool) -> Result<()> {
    let text = match open {
        true => {
            let mut filled_in = plan.clone();
            filled_in.reuse_escrow = Some("-".to_owned());
            filled_in.written(&Notes::default())
        }
        false => text.to_owned(),
    };
    Plan::parse(Path::new("plan.toml"), text.into_bytes())?;
    if open {
        super::super::remark(
            "byok: FILL IN reuse_escrow or [escrow] in this plan: do the shares that are typed stay in use?",
        );
    }
    Ok(())
}

/// The plan of a record.
fn plan_of(record: &Path) -> Result<Plan> {
    let path = record.join("plan.toml");
    let bytes = read_small(&path).map_err(|e| Error::usage(format!("{}: {e}", path.display())))?;
    Plan::parse(Path::new("plan.toml"), bytes)
}

/// The newest earlier record that holds an escrow package: a recovery with shares that stay in use has none of its own.
fn with_package(previous: &Previous) -> Result<Previous> {
    let earlier = previous.earlier.iter();
    let mut holds = earlier.filter(|record| record.join(package::JSON_FILE).is_file());
    let Some(record) = holds.next() else {
        return Err(Error::usage(format!(
            "{} holds no escrow package, nor does an earlier record that was found",
            previous.directory.display()
        ))
        .hint("name the record that dealt the shares in use: its escrow-package.json is needed"));
    };
    super::super::remark(&format!(
        "byok: {} holds no escrow package: this plan builds on {}, which dealt the shares in use",
        previous.directory.display(),
        record.display()
    ));
    Previous::load(record, None)
}

/// The imports of each data key.
fn imports_of_all(old: &Plan, previous: &Previous) -> Vec<(String, Vec<ImportPlan>)> {
    let of = |key: &KeyPlan| (key.label.clone(), imports_of(key, previous));
    old.keys.iter().map(of).collect()
}

fn give_imports(old: &mut Plan, imports: Vec<(String, Vec<ImportPlan>)>) {
    for (label, imports) in imports {
        let mut keys = old.keys.iter_mut();
        if let Some(key) = keys.find(|key| key.label == label) {
            key.imports = imports;
        }
    }
}

/// The parameters that were downloaded again; only those of KMS keys of the record are accepted.
fn new_parameters(old: &Plan, files: &[PathBuf]) -> Result<Told> {
    let arns = old
        .imports()
        .filter_map(|(_, import)| import.kms_key.arn().cloned());
    let of_record: BTreeMap<KeyArn, Known> = arns.map(|arn| (arn, Known::default())).collect();
    let count = of_record.len();
    let told = sort(of_record, files)?;
    for given in &told.elsewhere {
        of_one_owner(old, given)?;
    }
    for (_, import) in old.imports() {
        let mut files = told.elsewhere.iter().filter(|given| given.is_for(import));
        if let (Some(first), Some(second)) = (files.next(), files.next()) {
            return Err(two_files(
                &first.path,
                &second.path,
                import.kms_key.as_str(),
            ));
        }
    }
    if told.aws.len() == count {
        return Ok(told);
    }
    let of_record = |arn: &&KeyArn| {
        let mut imports = old.imports();
        !imports.any(|(_, import)| import.kms_key.arn() == Some(*arn))
    };
    let other = told.aws.keys().find(of_record).map(KeyArn::as_str);
    Err(Error::mismatch(format!(
        "{}: the record wrapped nothing for this KMS key",
        other.unwrap_or_default()
    ))
    .check("KMS-KEY-MATCH")
    .hint("for another KMS key add a [[key.import]] by hand, with other_kms_key = \"reason\""))
}

/// Import parameters belong to each import of the record whose KMS would read them; one owner must hold all their keys.
fn of_one_owner(old: &Plan, given: &Elsewhere) -> Result<()> {
    let imports = old.imports().map(|(_, import)| import);
    let imports = imports.filter(|import| given.is_for(import));
    let owners: BTreeSet<String> = imports.map(|import| import.kms_key.owner()).collect();
    let path = given.path.display();
    match owners.len() {
        1 => Ok(()),
        0 => Err(Error::mismatch(format!(
            "{path}: it is {}, but not for a key of the record",
            given.read.row.answer.what
        ))
        .check("KMS-KEY-MATCH")
        .hint("for another key add a [[key.import]] by hand, with other_kms_key = \"reason\"")),
        _ => Err(Error::usage(format!(
            "{path}: it does not say which of these it is from: {}",
            owners.into_iter().collect::<Vec<_>>().join(", ")
        ))
        .hint("write the plan without it, then put the file where `parameters` names it")),
    }
}

/// How the same data keys come back.
fn kind_of(how: BuildsOn, old: &Plan) -> Kind {
    // What the HSM does not give out again must come from a quorum, whatever the plan is for.
    let given_out = old.keys.iter().all(|key| key.keep == Keep::Extractable);
    match how {
        BuildsOn::Reimport => Kind::Reimport,
        BuildsOn::NewShares if given_out => Kind::Reimport,
        BuildsOn::Recover | BuildsOn::NewShares => Kind::Recover,
    }
}

fn title(wish: &PlanWish, old: &Plan, word: &str) -> String {
    let title = wish.title.clone();
    title.unwrap_or_else(|| format!("{} ({word})", without_word(&old.title)))
}

/// A title without the words that earlier plans of this kind added.
fn without_word(title: &str) -> &str {
    let words = [" (reimport)", " (recover)", " (new-shares)"];
    let shorter = words.iter().find_map(|word| title.strip_suffix(word));
    shorter.map_or(title, without_word)
}

/// An exception that was made for one run does not stay.
fn network(old: &Plan) -> Network {
    match old.network {
        Network::Hsm => Network::Hsm,
        Network::Forbidden | Network::Allowed => Network::Forbidden,
    }
}

/// The record's own HSM, or the one that is named now. A module that is named is loaded: a different HSM has a
/// different token and needs different variables. People open it as before; a PIN that came without people is not
/// taken over.
fn hsm(wish: &PlanWish, old: &Plan) -> Result<HsmPlan> {
    let mut hsm = old.hsm.clone();
    match &wish.module {
        Some(module) => {
            hsm.token = room::choose_token(module, wish.token.as_deref(), Some(&old.hsm.token))?;
            let set = room::variables(Some(module)).into_iter();
            hsm.env
                .extend(set.filter(|name| !old.hsm.env.contains(name)));
            hsm.module.clone_from(module);
        }
        None => {
            let out = wish.out.as_deref();
            let module =
                out.map_or_else(|| hsm.module.clone(), |out| parent(out).join(&hsm.module));
            refuse_module_within(&module, [])?;
            let token = wish.token.as_deref().map(TokenUri::parse).transpose()?;
            hsm.token = token.unwrap_or(hsm.token);
        }
    }
    if wish.module.is_some() || hsm.token != old.hsm.token {
        hsm.hardware = None;
    }
    if let PinSource::File(_) | PinSource::Descriptor(_) = hsm.pin {
        hsm.pin = PinSource::Prompt;
    }
    Ok(hsm)
}

/// A new name for the record.
fn directory_of(old: &Plan, word: &str, previous: &Path) -> String {
    let day = clock::now().strftime("%Y-%m-%d").to_string();
    let label = old
        .keys
        .first()
        .map_or("data-key", |key| key.label.as_str());
    let name = format!("{day}-{label}-{word}");
    // A second plan of the same day must not name the record that it builds on.
    let taken = |name: &str| {
        previous.file_name().is_some_and(|is| is == name)
            || previous
                .parent()
                .is_some_and(|beside| beside.join(name).exists())
    };
    let free = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.clone())
        .chain(free)
        .find(|name| !taken(name));
    format!("records/{}", free.unwrap_or(name))
}

/// Where a data key goes: by the record or, if that only dealt new shares, by the newest earlier one that says so.
fn imports_of(key: &KeyPlan, previous: &Previous) -> Vec<ImportPlan> {
    let of = |plan: Plan| {
        let mut keys = plan.keys.into_iter();
        keys.find(|earlier| earlier.label == key.label)
            .map(|key| key.imports)
    };
    let earlier = previous
        .earlier
        .iter()
        .filter_map(|record| of(Plan::read(&record.join("plan.toml")).ok()?));
    std::iter::once(key.imports.clone())
        .chain(earlier)
        .find(|imports| !imports.is_empty())
        .unwrap_or_default()
}

/// Where its import parameters will be: two data keys may have imports of the same name.
fn parameters_file(old: &Plan, key: &KeyPlan, import: &ImportPlan) -> String {
    let mut others = old.keys.iter().filter(|other| other.label != key.label);
    let shared = others.any(|other| other.imports.iter().any(|same| same.name == import.name));
    match shared {
        true => format!("inputs/{}-{}.json", key.label, import.name),
        false => format!("inputs/{}.json", import.name),
    }
}

/// The same import again. What belonged to one download (its deadline, its wrapping key) or to one decision
/// (`other_kms_key`: the record now names that KMS key itself) is left out.
fn once_more(
    import: &mut ImportPlan,
    label: &str,
    known: &Known,
    previous: &Previous,
    (place, notes): (&str, &mut Notes),
) -> Result<()> {
    let at = |field: &str| format!("{place}.{field}");
    if let Some(before) = import.expires {
        let most = "at most 365 days after the import, or \"never\"; the record before had";
        notes.above(at("expires"), &format!("{most}\n{before}"));
        import.expires = Some(furthest_midnight()?);
    }
    if known.parameters.is_none() && import.parameters_valid_to.is_some() {
        notes.above(at("parameters_valid_to"), notes::DEADLINE_OF_NEW);
    }
    known.deadline(place, notes);
    import.wrapping = known.wrapping().unwrap_or(import.wrapping);
    import.parameters_valid_to = None;
    import.wrapping_key_sha256 = None;
    import.other_kms_key = None;
    import.import_as = None;
    material(import, label, previous, (&at("import_type"), notes));
    Ok(())
}

/// Which of the materials of its KMS key this one is, as far as receipts say.
fn material(
    import: &mut ImportPlan,
    label: &str,
    previous: &Previous,
    (place, notes): (&str, &mut Notes),
) {
    let arn = import.kms_key.as_str();
    let before = previous.import_before(label, &import.kms_key);
    let waits =
        before.is_some_and(|before| before.import_as == Some(ImportAs::New) && !before.accepted);
    let mut kms_keys = previous.kms_keys.iter();
    let several = kms_keys.find(|several| several.key_arn == arn);
    let id = previous.key_material_id(label, arn);
    if let Some(id) = &id {
        let told = match import.kms_key.arn() {
            Some(_) => format!("KMS calls this material {id}: it goes in as EXISTING_KEY_MATERIAL"),
            None => format!("{} took this material as version {id}.", import.kms_key.kms),
        };
        notes.above(place, &told);
    }
    if let Some(several) = several.filter(|_| import.witness_of.is_none()) {
        notes.above(place, &materials::for_people(std::slice::from_ref(several)));
    }
    if id.is_none() && waits && import.witness_of.is_none() {
        notes.above(
            place,
            "No receipt says that KMS took it. If it did, add that receipt, or say\n\
             EXISTING_KEY_MATERIAL:",
        );
        import.import_as = Some(ImportAs::New);
    }
}

/// How the shares in use were handed out.
fn delivered_before(previous: &Previous) -> Deliver {
    let plan = previous
        .in_use()
        .and_then(|dealt| plan_of(&dealt.directory).ok());
    match plan
        .and_then(|plan| plan.escrow)
        .map(|escrow| escrow.deliver)
    {
        Some(Deliver::Files(_)) => Deliver::Files("new-shares".into()),
        Some(Deliver::Screen) | None => Deliver::Screen,
    }
}
