//! `byok doctor`: what an HSM can do, each path tried with control keys, and what runs left in it.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::ceremony::checks::Facts;
use crate::ceremony::operator::{Interrupted, Watch};
use crate::ceremony::{log_in_for_verb, process_of};
use crate::crypto::spec::Spec;
use crate::evidence::record;
use crate::evidence::rules;
use crate::evidence::transcript::Torn;
use crate::evidence::verify::RecordedPlan;
use crate::ground::error::{Error, Result};
use crate::ground::facts::Nature;
use crate::ground::text::fold;
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::hsm::machine::sandbox::{self, Wish};
use crate::hsm::{Hsm, Module, removal_command};
use crate::plan::kms::KmsKey;
use crate::plan::{PinSource, Plan};

mod answer;
mod examination;
mod report;
mod table;

use answer::Next;
use examination::Examination;

/// Where the HSM is named: a plan, or module, token and PIN source, which take precedence.
pub(crate) struct HsmPlace {
    /// A plan.
    pub plan: Option<PathBuf>,
    /// A PKCS#11 module.
    pub module: Option<PathBuf>,
    /// A token URI.
    pub token: Option<String>,
    /// A PIN source.
    pub pin: Option<String>,
}

/// An HSM that somebody logged in to.
struct Opened {
    module: Module,
    hsm: Hsm,
    /// Whether it is a device or a program.
    nature: Nature,
    /// Where the plan's data keys go.
    kms_keys: Vec<KmsKey>,
    _watch: Watch,
}

impl HsmPlace {
    /// What is done with what doctor says.
    fn next(&self) -> Next {
        match (&self.plan, &self.module, &self.token) {
            (None, Some(module), Some(token)) => Next::Plan(module.clone(), token.into()),
            (plan, ..) => Next::Check(plan.clone().unwrap_or_default()),
        }
    }

    fn open(self) -> Result<Opened> {
        let plan = self.plan.as_deref().map(Plan::read).transpose()?;
        // the plan's reason is about the plan's HSM, not about a different one
        let of_plan = self.module.is_none() && self.token.is_none();
        let missing = |what: &str| {
            Error::usage(format!("no {what}: give a PLAN, or --module and --token"))
                .hint("byok doctor --module /usr/lib/softhsm/libsofthsm2.so --token pkcs11:token=ceremony")
        };
        let path = self
            .module
            .or(plan.as_ref().map(|plan| plan.hsm.module.clone()))
            .ok_or_else(|| missing("module"))?;
        let token = match self.token {
            Some(uri) => TokenUri::parse(&uri)?,
            None => plan
                .as_ref()
                .map(|plan| plan.hsm.token.clone())
                .ok_or_else(|| missing("token"))?,
        };
        let pin_of_plan = plan.as_ref().filter(|_| self.pin.is_none());
        let pin = match self.pin {
            Some(text) => PinSource::parse(&text, Path::new(""))?,
            None => plan
                .as_ref()
                .map_or(PinSource::Prompt, |plan| plan.hsm.pin.clone()),
        };
        let wish = plan.as_ref().map_or_else(Wish::default, process_of);
        sandbox::close(&Wish {
            pin: pin.descriptor(),
            ..wish
        })?;
        if let Some(plan) = pin_of_plan {
            Facts::of(plan, false, true).some(&["PIN-FORM"])?;
        }
        let interrupted = Interrupted::watch()?;
        let watch = Watch::any_time(interrupted.clone())?;
        record::refuse_module_within(&path, [])?;
        let module = Module::load(&path)?;
        let hsm = module.open(&module.find(&token)?)?;
        drop(watch);
        log_in_for_verb(&hsm, &pin, &interrupted)?;
        let reason = plan.as_ref().filter(|_| of_plan);
        let reason = reason.and_then(|plan| plan.hsm.hardware.as_deref());
        Ok(Opened {
            nature: hsm.nature(reason),
            kms_keys: plan.iter().flat_map(kms_keys).collect(),
            module,
            hsm,
            _watch: Watch::any_time(interrupted)?,
        })
    }
}

fn kms_keys(plan: &Plan) -> Vec<KmsKey> {
    let imports = plan.imports();
    imports.map(|(_, import)| import.kms_key.clone()).collect()
}

/// Tries every wrapping algorithm with every kind of data key, in the HSM and by the host path: under all
/// sizes of wrapping key for symmetric data keys, for others under one, or under all with `all`. A plan says which KMS
/// must take it, otherwise any. `file` is for people to send.
///
/// # Errors
/// Exit 2 if there is such a file already; exit 3 if the HSM cannot be opened or cannot make a symmetric data key at all.
pub(crate) fn doctor(place: HsmPlace, all: bool, as_json: bool, file: Option<&Path>) -> Result<()> {
    file.map_or(Ok(()), super::is_new)?; // before what takes minutes
    let next = place.next();
    let Opened {
        module,
        mut hsm,
        nature,
        kms_keys,
        _watch,
    } = place.open()?;
    let throw_away = hsm.throw_away(Spec::DEFAULT)?;
    let attributes = throw_away.attributes.clone();
    hsm.destroy(throw_away)?;
    let in_token = hsm.try_token_object(Spec::DEFAULT).err().map(|e| e.line());
    let report = Examination::of(&mut hsm, all, kms_keys)?;
    let escrow = report.escrow_refused(Spec::DEFAULT);
    let signer = hsm.try_signer().err().map(|e| e.line());
    let (module, token) = (module.description(), hsm.token().facts());
    let uri = hsm.token().uri();
    let env = sandbox::module_variables(Some(Path::new(&module.module)));
    let judged = nature.judged();
    let answer = json!({
            "module": module, "token": token, "env": env,
            "software": judged.software, "judged_by": judged.judged_by, "hardware_reason": judged.hardware_reason,
            "data_key_attributes": attributes,
            "token_object": {"works": in_token.is_none(), "why": in_token}, "paths": report.paths, "data_keys": report.made,
            "choices": report.choices(), "serves": report.serves(),
            "escrow": {"works": escrow.is_none(), "why": escrow, "data_keys": report.escrow},
            "signer": {"works": signer.is_none(), "why": signer},
    });
    if let Some(file) = file {
        report::write(file, &answer, &module, &token)?;
    }
    if as_json {
        return super::print_json(&answer);
    }
    super::print_lines(&format!(
        "module    {}\n          {}\nSHA-256   {}\ntoken     {}\n          {}, {}, firmware {}\n",
        words::printable(&module.module),
        module.library,
        module.module_sha256,
        uri,
        token.manufacturer,
        token.model,
        token.firmware
    ))?;
    super::print_lines(&fold(&nature.told(), "          "))?;
    if !env.is_empty() {
        super::print_lines(&format!(
            "env       {env:?}: set here, and read by the module: [hsm] env in a plan names them\n"
        ))?;
    }
    super::print_lines("data key  AES-256 with every attribute as asked, check values computed\n")?;
    super::print_lines(&match &in_token {
        None => {
            "          as a session object and as a token object (destroyed again)\n".to_owned()
        }
        Some(why) => {
            "          NO as a token object: only keep = \"none\" works with this HSM\n".to_owned()
                + &fold(why, "          ")
        }
    })?;
    super::print_lines(&match escrow {
        None => "escrow    an escrow key loaded, AES-KW is correct: [escrow] and recover work\n"
            .to_owned(),
        Some(why) => {
            "escrow    NO: neither [escrow] nor recover works with this HSM\n".to_owned()
                + &fold(why, "          ")
        }
    })?;
    super::print_lines(&match &signer {
        None => "signer    P-256 key pair with every attribute as asked, a challenge signed\n"
            .to_owned(),
        Some(why) => {
            "signer    NO: the transcript can only go unsigned (signer = \"none\" in the plan)\n"
                .to_owned()
                + &fold(why, "          ")
        }
    })?;
    super::print_lines(&report.table())?;
    super::print_lines(&report.served())?;
    let refused = [
        ("token objects (keep = \"none\" works)", in_token.is_some()),
        ("[escrow] and recover", escrow.is_some()),
        ("the signer (signer = \"none\" works)", signer.is_some()),
    ];
    let refused = refused.into_iter().filter(|(_, refused)| *refused);
    let refused: Vec<&str> = refused.map(|(what, _)| what).collect();
    let warning = nature.is_software().then(|| nature.told());
    super::print_lines(&report.answer(&refused, warning.as_deref(), &next))
}

/// Lists what an aborted or interrupted run left in the token.
///
/// # Errors
/// Exit 2 if the record cannot be read; exit 3 if the HSM cannot.
pub(crate) fn leftovers(place: HsmPlace, record: &Path, as_json: bool) -> Result<()> {
    let torn = read_torn(record)?;
    if place.plan.is_none() && place.module.is_none() {
        return Err(not_from_the_record(record));
    }
    let Opened {
        module,
        hsm,
        nature: _,
        kms_keys: _,
        _watch,
    } = place.open()?;
    let unnamed = hsm.unnamed()?;
    let mut left = Vec::new();
    // each is looked for, so one that is gone is not listed
    for (label, id) in torn.intended(false) {
        if hsm.holds(&label, id)? {
            left.push((label, id));
        }
    }
    if as_json {
        let objects: Vec<_> = left
            .iter()
            .map(|(label, id)| json!({"label": label, "cka_id": id.to_string()}))
            .collect();
        return super::print_json(
            &json!({"record": record.display().to_string(), "left": objects, "unnamed": unnamed}),
        );
    }
    tell_unnamed(&unnamed)?;
    if torn.is_sealed() {
        return super::print_lines(&format!(
            "sealed    this record is complete: what it made is in the token on purpose. byok verify {}\n",
            words::shell_path(record)
        ));
    }
    if left.is_empty() {
        return super::print_lines("this run left nothing in the token\n");
    }
    let count = left.len();
    for (label, id) in left {
        let command = removal_command(
            Path::new(&module.description().module),
            &hsm.token().token,
            (&label, id),
            torn.is_private(id),
        );
        // A command is never folded: it is copied.
        super::print(&format!(
            "left      {}, CKA_ID {id}\n          {command}\n",
            words::quoted(&label)
        ))?;
    }
    let objects = match count {
        1 => "1 object".to_owned(),
        _ => format!("{count} objects"),
    };
    super::print_lines(&format!(
        "in short  this run left {objects}. A new run of the same plan destroys them, once it is approved; by hand, as \
         above with pkcs11-tool (Debian: opensc).\n"
    ))
}

/// Objects that may belong to any program, or to nobody.
fn tell_unnamed(classes: &[String]) -> Result<()> {
    const WHY: &str = "An HSM that saves an object piece by piece leaves such objects when it is cut off. They may be \
        this run's or another program's. No ceremony uses or destroys them; their owner removes them with the HSM's own \
        tools.";
    for class in classes {
        super::print_lines(&format!("unnamed   {class} without label or CKA_ID\n"))?;
    }
    match classes.is_empty() {
        true => Ok(()),
        false => super::print_lines(&fold(WHY, "          ")),
    }
}

/// A record may come from anybody: what its plan names is loaded only if a person types it.
fn not_from_the_record(record: &Path) -> Error {
    let named = RecordedPlan::of(record).hsm();
    let (module, token) = named.unwrap_or_else(|| ("MODULE".into(), "TOKEN".into()));
    let [module, token] =
        [module, token].map(|text| words::shell_word(&words::quoted_whole(&text)));
    Error::usage("which HSM? A record's own plan may name any program as the module, so byok does not use it")
        .hint(format!(
            "give the plan: byok doctor PLAN --leftovers {}",
            words::shell_path(record)
        ))
        .hint(format!(
            "or the module and token; the record's plan says: --module {module} --token {token}"
        ))
}

/// The transcript of a run that may not have finished.
fn read_torn(record: &Path) -> Result<Torn> {
    let path = record.join(crate::evidence::transcript::FILE);
    let bytes = crate::evidence::rules::reading::read(&path, rules::limits::LONGEST_TRANSCRIPT)
        .map_err(|why| {
            Error::usage(format!("{}: {why}", path.display()))
                .hint("give the directory of an aborted or interrupted run")
        })?;
    let torn = Torn::read(&bytes).map_err(|why| {
        Error::mismatch(format!("{}: {why}", path.display()))
            .hint("this transcript is broken; what it names may be anything")
    })?;
    Ok(crate::evidence::record::as_it_counts(record, torn))
}
