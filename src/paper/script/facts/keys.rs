//! The data keys, and the KMS keys that get them.

use super::{ARNS, ARNS_OF_EACH, IN_TABLES, LABELS, LABELS_ON_FORM, Named, ON_FORMS, Script, html};
use crate::ground::words;
use crate::paper::html::{Html, boxes, code, commands, fingerprint_boxes, groups};
use crate::paper::last;
use crate::paper::outputs::{WHERE_SCRIPTS_ARE, carried_out, import_type};
use crate::paper::script::form;
use crate::paper::template::facts;
use crate::plan::kms;
use crate::plan::{ImportPlan, Keep, KeyPlan, Kind, Plan, Source, meaning};
use std::collections::BTreeSet;
use std::path::Path;

facts! {
    /// All data keys and imports.
    KeysFacts {
        labels: Html,
        labels_on_form: Html,
        key_count: Html,
        keys: Vec<KeyFacts>,
        keeps: Vec<MeaningFacts>,
        in_tables: bool,
        few_keys: bool,
        counts_in_steps: bool,
        check_word: Html,
        check_title: Html,
        source_files: Vec<FileFacts>,

        imports: bool,
        one_import: bool,
        import_count: Html,
        named_arns: Vec<Named>,
        /// Whether an import must be made by some time.
        has_deadline: bool,
        /// How many hours after the download, for the first of them.
        hours: Html,
        /// For which KMS how many, if there are several.
        valid: Html,
        by: Html,
        several_deadlines: bool,
        /// What it means that others have none, by KMS.
        no_deadline: Vec<Named>,
        /// Why their record is guarded for longer.
        guard: Html,
        /// The commands that fetch import parameters, of KMSs whose script fetches them for one key by itself.
        fetched: Vec<Named>,
        where_scripts_are: Html,
        /// The scripts that show a slip.
        scripts: Html,
        something_expires: bool,
        slip_command: Html,
        slip_in_plan: bool,
        wraps_here: bool,
        carried_out: Html,
        rotated: Vec<Named>,
        /// The commands that ask for proofs.
        proofs: Vec<Named>,
    }
    /// A data key.
    KeyFacts {
        label: Html,
        spec: Html,
        spec_name: Html,
        bits: Html,
        keep: Html,
        kept: Html,
        way: Html,
        how: Html,
        which: Html,
        /// Whether it was there before the ceremony.
        is_brought: bool,
        /// The file that it comes from.
        file: Html,
        key_reason: Html,
        has_kcv: bool,
        check_is_known: bool,
        /// What people compare at a glance: what is known, or boxes to write it in.
        glance: Html,
        fingerprint: Html,
        fingerprint_boxes: Html,
        imports: Vec<ImportFacts>,
        named_arns: Vec<Named>,
        more_arns: Html,
        package_rows: Html,
    }
    /// An import; a data key without imports has one without an ARN.
    ImportFacts {
        is_first: bool,
        import: Html,
        arn: Html,
        place_name: Html,
        place: Html,
        region: Html,
        wrap: Html,
        expires: Html,
        expiry: Html,
        wrapping_key: Html,
        unlike: Vec<MeaningFacts>,
    }
    /// A name, and what it means.
    MeaningFacts { name: Html, means: Html, }
    FileFacts { label: Html, file: Html, }
}

impl KeysFacts {
    pub(super) fn of(script: &Script) -> Self {
        let plan = script.plan;
        let labels: Vec<&str> = plan.keys.iter().map(|key| key.label.as_str()).collect();
        let arns = plan.imports().map(|(_, import)| import.kms_key.as_str());
        let import_count = plan.imports().count();
        let (check_word, check_title) = check_word(plan);
        let hours = meaning::hours(plan);
        Self {
            labels: words::some(&labels, LABELS).into(),
            labels_on_form: words::some(&labels, LABELS_ON_FORM).into(),
            key_count: labels.len().to_string().into(),
            keys: plan.keys.iter().map(|key| self::key(script, key)).collect(),
            keeps: keeps(plan),
            in_tables: labels.len() > IN_TABLES || import_count > IN_TABLES,
            few_keys: labels.len() <= ON_FORMS,
            counts_in_steps: labels.len() >= meaning::COUNTED,
            check_word: check_word.into(),
            check_title: check_title.into(),
            source_files: source_files(script),

            imports: import_count > 0,
            one_import: import_count == 1,
            import_count: import_count.to_string().into(),
            named_arns: Named::all(arns.take(ARNS)),
            has_deadline: !hours.is_empty(),
            hours: html(hours.first().map(|(hours, _)| hours.to_string())),
            valid: valid(plan, &hours).into(),
            by: by(&hours).into(),
            several_deadlines: hours.len() > 1,
            no_deadline: no_deadline(plan),
            guard: last::GUARD.into(),
            fetched: fetched(plan),
            where_scripts_are: WHERE_SCRIPTS_ARE.into(),
            scripts: scripts(plan).into(),
            something_expires: plan.imports().any(|(_, import)| import.expires.is_some()),
            slip_command: slip_command(plan),
            slip_in_plan: plan
                .imports()
                .all(|(_, import)| import.wrapping_key_sha256.is_some()),
            wraps_here: plan.wraps_in_host(),
            carried_out: carried_out(&plan.folders()).into(),
            rotated: Named::all(plan.rotated()),
            proofs: Named::all(last::proofs(plan)),
        }
    }
}

/// For how long import parameters are valid.
fn valid(plan: &Plan, hours: &[(i64, &str)]) -> String {
    let endless = !no_deadline(plan).is_empty();
    match hours {
        [(hours, _)] if !endless => format!("They are valid for {hours} hours"),
        _ => {
            let each = hours.iter();
            let each =
                each.map(|(hours, kms)| format!("those of {kms} are valid for {hours} hours"));
            let told = each.collect::<Vec<_>>().join(", ");
            told.replacen('t', "T", 1)
        }
    }
}

/// The latest time of the imports.
fn by(hours: &[(i64, &str)]) -> String {
    match hours {
        [(hours, _)] => format!("{hours} h after the download"),
        _ => {
            let each = hours
                .iter()
                .map(|(hours, kms)| format!("{hours} h after the download for {kms}"));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Each KMS once.
fn no_deadline(plan: &Plan) -> Vec<Named> {
    let told = |(_, import): (&KeyPlan, &ImportPlan)| {
        let told = meaning::no_deadline(&import.kms_key)?;
        Some(format!("{}: {told}", import.kms_key.kms))
    };
    let told: BTreeSet<String> = plan.imports().filter_map(told).collect();
    Named::all(told.iter().map(String::as_str))
}

/// Each command once.
fn fetched(plan: &Plan) -> Vec<Named> {
    let command = |(_, import): (&KeyPlan, &ImportPlan)| {
        let command = import.kms_key.parameters()?;
        Some(format!("{command} {}", parameters_path(import)))
    };
    let commands = plan.imports().filter_map(command);
    let commands: BTreeSet<String> = commands.collect();
    Named::all(commands.iter().map(String::as_str))
}

/// The file of its import parameters, as it is typed beside its folder.
fn parameters_path(import: &ImportPlan) -> String {
    let folder = import.parameters.parent().and_then(Path::file_name);
    let name = import.parameters.file_name().unwrap_or_default();
    words::shell_path(&Path::new(folder.unwrap_or_default()).join(name))
}

/// The scripts that show the slip of each KMS, by their names alone.
fn scripts(plan: &Plan) -> String {
    let name = |(_, import): (_, &ImportPlan)| import.kms_key.script.split(' ').next();
    let names: BTreeSet<&str> = plan.imports().filter_map(name).collect();
    names.into_iter().collect::<Vec<_>>().join(" or ")
}

/// The files that hold data keys in clear.
fn source_files(script: &Script) -> Vec<FileFacts> {
    let files = script.plan.source_files();
    let file = |(key, path): (&KeyPlan, &Path)| FileFacts {
        label: key.label.as_str().into(),
        file: script.relative(path).into(),
    };
    files.map(file).collect()
}

/// Key check value and fingerprint of a data key, if the previous record or the plan names them.
fn known(script: &Script, key: &KeyPlan) -> (Option<String>, Option<String>) {
    match script
        .previous
        .and_then(|previous| previous.key(&key.label))
    {
        Some(known) => (known.kcv.clone(), Some(known.fingerprint.to_string())),
        None => (None, key.fingerprint.as_ref().map(ToString::to_string)),
    }
}

fn key(script: &Script, key: &KeyPlan) -> KeyFacts {
    let (kcv, fingerprint) = known(script, key);
    let (way, how) = meaning::way(script.plan.kind, &key.source);
    let file = match &key.source {
        Source::File(path) => Some(script.relative(path)),
        Source::Hsm | Source::Token(_) => None,
    };
    let named = match script.plan.keys.len() {
        1 => ARNS,
        _ => ARNS_OF_EACH,
    };
    let arns = key.imports.iter().map(|import| import.kms_key.as_str());
    let has_kcv = key.spec.is_aes();
    KeyFacts {
        label: key.label.as_str().into(),
        spec: format!("{}, {}", key.spec.name(), key.spec).into(),
        spec_name: key.spec.name().into(),
        bits: html(key.spec.bits().map(|bits| bits.to_string())),
        keep: key.keep.name().into(),
        kept: meaning::keep(script.plan.kind, key.keep).into(),
        way: way.into(),
        how: how.into(),
        which: html(meaning::which(&key.source)),
        is_brought: key.source != Source::Hsm,
        file: html(file),
        key_reason: html(key.reason.as_ref()),
        has_kcv,
        check_is_known: if has_kcv {
            kcv.is_some()
        } else {
            fingerprint.is_some()
        },
        glance: glance(has_kcv, kcv.as_deref(), fingerprint.as_deref()),
        fingerprint: html(fingerprint.as_deref().map(groups)),
        fingerprint_boxes: fingerprint_boxes(key.spec.fingerprint_len()),
        imports: imports_of(script, key),
        named_arns: Named::all(arns.take(named)),
        more_arns: html(
            key.imports
                .len()
                .checked_sub(named)
                .filter(|more| *more > 0)
                .map(|more| more.to_string()),
        ),
        package_rows: match script.plan.keys.len() <= ON_FORMS {
            true => form::package_by_hand(key),
            false => Html::default(),
        },
    }
}

fn imports_of(script: &Script, key: &KeyPlan) -> Vec<ImportFacts> {
    if key.imports.is_empty() {
        return vec![ImportFacts::none()];
    }
    let imports = key.imports.iter().enumerate();
    imports
        .map(|(at, import)| self::import(script, at, key, import))
        .collect()
}

fn import(script: &Script, at: usize, key: &KeyPlan, import: &ImportPlan) -> ImportFacts {
    let kind = script.plan.kind;
    let (place_name, place) = meaning::place(&import.kms_key);
    let digest = import.wrapping_key_sha256.as_ref();
    let mut unlike: Vec<_> = meaning::unlike_others(kind, key, import);
    let import_type = import_type(kind, script.previous, key, import);
    unlike.extend(import_type.map(|told| ("imported as", told.told(import))));
    unlike.extend(
        import
            .description
            .clone()
            .map(|told| ("described as", told)),
    );
    ImportFacts {
        is_first: at == 0,
        import: import.name.as_str().into(),
        arn: import.kms_key.as_str().into(),
        place_name: place_name.into(),
        place: place.into(),
        region: import.kms_key.place().into(),
        wrap: meaning::wrap(import).into(),
        expires: meaning::expires(import).into(),
        expiry: meaning::expiry(import).into(),
        wrapping_key: html(digest.map(|digest| groups(&words::hex(digest)))),
        unlike: unlike.into_iter().map(MeaningFacts::of).collect(),
    }
}

impl ImportFacts {
    fn none() -> Self {
        Self {
            is_first: true,
            import: Html::default(),
            arn: Html::default(),
            place_name: Html::default(),
            place: Html::default(),
            region: Html::default(),
            wrap: Html::default(),
            expires: Html::default(),
            expiry: Html::default(),
            wrapping_key: Html::default(),
            unlike: Vec::new(),
        }
    }
}

impl MeaningFacts {
    fn of((name, means): meaning::Fact) -> Self {
        Self {
            name: name.into(),
            means: means.into(),
        }
    }
}

fn glance(has_kcv: bool, kcv: Option<&str>, fingerprint: Option<&str>) -> Html {
    match (has_kcv, kcv, fingerprint) {
        (true, Some(kcv), _) => code(kcv),
        (true, None, _) => boxes(1, 6),
        (false, _, Some(hex)) => code(&format!("{}…", hex.get(..8).unwrap_or(hex))),
        (false, _, None) => boxes(2, 4),
    }
}

/// What people compare of these data keys at a glance, in a sentence and as a title: AES keys have a KCV, the
/// others none.
fn check_word(plan: &Plan) -> (&'static str, &'static str) {
    let with_kcv = plan.keys.iter().filter(|key| key.spec.is_aes()).count();
    match with_kcv {
        0 => ("first 8 digits of the fingerprint", "KCV or fingerprint"),
        n if n == plan.keys.len() => ("KCV", "KCV"),
        _ => (
            "KCV (if it has none, the first 8 digits of the fingerprint)",
            "KCV or fingerprint",
        ),
    }
}

/// What each `keep` of the plan means.
fn keeps(plan: &Plan) -> Vec<MeaningFacts> {
    let mut keeps: Vec<Keep> = Vec::new();
    for key in &plan.keys {
        if plan.kind != Kind::Destroy && !keeps.contains(&key.keep) {
            keeps.push(key.keep);
        }
    }
    let facts = |keep: Keep| MeaningFacts {
        name: format!("keep {}", keep.name()).into(),
        means: meaning::keep(plan.kind, keep).into(),
    };
    keeps.into_iter().map(facts).collect()
}

/// The folder that holds the plan's parameters; online they are all in one.
fn slip_command(plan: &Plan) -> Html {
    let folder = |(_, import): (_, &ImportPlan)| {
        let name = import.parameters.parent()?.file_name()?;
        Some(words::shell_path(Path::new(name)))
    };
    let mut folders: Vec<_> = plan.imports().map(folder).collect();
    folders.dedup();
    let folder = match folders.as_slice() {
        [Some(one)] => one,
        _ => "inputs",
    };
    let lines: Vec<String> = kms::slip_command(folder)
        .lines()
        .map(str::to_owned)
        .collect();
    commands(&lines)
}
