//! `byok doctor`: what an HSM can do, each path tried with control keys, and what runs left in it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use crate::ceremony::{log_in, preflight};
use crate::error::{Error, Result};
use crate::hsm::{Hsm, KeyId, Module, TokenUri, removal_command};
use crate::operator::{Interrupted, Operator, Terminal, Unattended};
use crate::plan::{HsmPlan, PinSource, Plan, WrapIn, read_small};
use crate::spec::Spec;
use crate::transcript::Torn;
use crate::verify::{self, RecordedPlan};
use crate::words;
use crate::wrapping::{ControlKey, WrappingAlgorithm};

/// Where the HSM is named: a plan, or module, token and PIN source, which take precedence.
pub struct HsmPlace {
    /// A plan.
    pub plan: Option<PathBuf>,
    /// A PKCS#11 module.
    pub module: Option<PathBuf>,
    /// A token URI.
    pub token: Option<String>,
    /// A PIN source.
    pub pin: Option<String>,
    /// What a record says, where neither plan nor module is given.
    pub recorded: Option<HsmPlan>,
}

impl HsmPlace {
    fn open(self) -> Result<(Module, Hsm)> {
        let plan = self
            .plan
            .as_deref()
            .map(Plan::read)
            .transpose()?
            .map(|plan| plan.hsm)
            .or(self.recorded);
        let missing = |what: &str| {
            Error::usage(format!("no {what}: give a PLAN, or --module and --token"))
                .hint("byok doctor --module /usr/lib/softhsm/libsofthsm2.so --token pkcs11:token=ceremony")
        };
        let path = self
            .module
            .or(plan.as_ref().map(|hsm| hsm.module.clone()))
            .ok_or_else(|| missing("module"))?;
        let token = match self.token {
            Some(uri) => TokenUri::parse(&uri)?,
            None => plan
                .as_ref()
                .map(|hsm| hsm.token.clone())
                .ok_or_else(|| missing("token"))?,
        };
        let pin = match self.pin {
            Some(text) => PinSource::parse(&text, Path::new(""))?,
            None => plan.map_or(PinSource::Prompt, |hsm| hsm.pin),
        };
        let module = Module::load(&path)?;
        let hsm = module.open(&module.find(&token)?)?;
        let interrupted = Interrupted::watch()?;
        let mut operator: Box<dyn Operator> = match Terminal::open(interrupted.clone())? {
            Some(terminal) => Box::new(terminal),
            None => Box::new(Unattended::new(interrupted)),
        };
        log_in(&hsm, &pin, operator.as_mut())?;
        Ok((module, hsm))
    }
}

/// One path and whether it works.
#[derive(Serialize)]
struct Tried {
    wrapping: WrappingAlgorithm,
    wrapped_in: WrapIn,
    wrapping_key_spec: &'static str,
    works: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Tries every wrapping algorithm and wrapping key size, in the HSM and by the host path.
///
/// # Errors
/// Exit 3 where the HSM cannot be opened or cannot make a data key at all.
pub fn doctor(place: HsmPlace, as_json: bool) -> Result<()> {
    let (module, mut hsm) = place.open()?;
    let mut tried = Vec::new();
    let throw_away = hsm.throw_away(Spec::AES_256)?;
    let attributes = throw_away.attributes.clone();
    hsm.destroy(throw_away)?;
    for bits in [2048, 3072, 4096] {
        eprintln!("trying RSA-{bits}, a few seconds");
        let wrapping_key = ControlKey::generate(bits)?;
        for wrapping in [
            WrappingAlgorithm::RsaesOaepSha1,
            WrappingAlgorithm::RsaesOaepSha256,
        ] {
            for wrap_in in [WrapIn::Hsm, WrapIn::Host] {
                let want = preflight::Want {
                    wrapping,
                    wrap_in,
                    wrapping_key: wrapping_key.public(),
                    spec: Spec::AES_256,
                    import: format!("{wrapping} under RSA_{bits}"),
                };
                let refused = preflight::prove(&mut hsm, &[want], |_| {}).err();
                tried.push(Tried {
                    wrapping,
                    wrapped_in: wrap_in,
                    wrapping_key_spec: wrapping_key.public().spec(),
                    works: refused.is_none(),
                    why: refused.map(|e| e.line()),
                });
            }
        }
    }
    let escrow = preflight::try_escrow(&mut hsm, std::iter::empty())
        .err()
        .map(|e| e.line());
    let signer = hsm.try_signer().err().map(|e| e.line());
    let (module, token) = (module.description(), hsm.token().clone());
    if as_json {
        return super::print_json(&json!({
            "module": module, "token": token, "software": token.is_software(),
            "data_key_attributes": attributes, "paths": tried,
            "escrow": {"works": escrow.is_none(), "why": escrow},
            "signer": {"works": signer.is_none(), "why": signer},
        }));
    }
    super::print(&format!(
        "module    {}\n          SHA-256 {}\n          {}\ntoken     {}\n          {}, {}, firmware {}\n",
        words::printable(&module.module),
        module.module_sha256,
        module.library,
        token.uri(),
        token.manufacturer,
        token.model,
        token.firmware
    ))?;
    if token.is_software() {
        super::print("          a software HSM: key bytes are in a computer's memory\n")?;
    }
    super::print("data key  AES-256 with every attribute as asked, check values computed\n")?;
    super::print(&match escrow {
        None => {
            "escrow    an escrow key loaded, AES-KW as it should be: [escrow] and recover work\n"
                .to_owned()
        }
        Some(why) => format!(
            "escrow    NO: neither [escrow] nor recover works with this HSM\n          {}\n",
            words::printable(&why)
        ),
    })?;
    super::print(&match signer {
        None => "signer    P-256 key pair with every attribute as asked, a challenge signed\n"
            .to_owned(),
        Some(why) => format!(
            "signer    NO: the transcript can only go unsigned (signer = \"none\" in the plan)\n          {}\n",
            words::printable(&why)
        ),
    })?;
    tried.iter().try_for_each(|path| super::print(&shown(path)))
}

fn shown(path: &Tried) -> String {
    let works = if path.works { "yes" } else { "NO " };
    let mut line = format!(
        "{works}       {:<20} {}  wrap_in = \"{}\"\n",
        path.wrapping.name(),
        path.wrapping_key_spec,
        path.wrapped_in
    );
    if let Some(why) = &path.why {
        line += &format!("          {}\n", words::printable(why));
    }
    line
}

/// Lists what an aborted or interrupted run left in the token.
///
/// # Errors
/// Exit 2 where the record cannot be read; exit 3 where the HSM cannot.
pub fn leftovers(place: HsmPlace, record: &Path, as_json: bool) -> Result<()> {
    let intended = intended(record)?;
    let place = match (&place.plan, &place.module) {
        (None, None) => recorded_place(record, place)?,
        _ => place,
    };
    let (module, hsm) = place.open()?;
    let mut left = Vec::new();
    for (label, id) in intended {
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
            &json!({"record": record.display().to_string(), "left": objects}),
        );
    }
    if left.is_empty() {
        return super::print("nothing is left in the token of this run\n");
    }
    for (label, id) in left {
        let command = removal_command(
            Path::new(&module.description().module),
            &hsm.token().token,
            &label,
            id,
        );
        super::print(&format!(
            "left      {label}, CKA_ID {id}\n          {command}\n"
        ))?;
    }
    super::print("A new run of the same plan destroys this, after approval.\n")
}

/// The HSM as the recorded plan names it. Its relative paths were relative to where the plan stood.
fn recorded_place(record: &Path, place: HsmPlace) -> Result<HsmPlace> {
    let cannot = |e: std::io::Error| Error::usage(format!("{}: {e}", record.display()));
    let bytes = read_small(&record.join("plan.toml")).map_err(cannot)?;
    let stood = RecordedPlan::of(record).stood(record);
    let at = stood.clone().unwrap_or_default().join("plan.toml");
    let hsm = Plan::parse(&at, bytes)?.hsm;
    let is_relative =
        hsm.module.is_relative() || matches!(&hsm.pin, PinSource::File(path) if path.is_relative());
    if stood.is_none() && is_relative {
        return Err(Error::usage(format!(
            "{}: its plan names module or PIN file relative to a place that the record does not tell",
            record.display()
        ))
        .hint("give the PLAN, or --module, --token and --pin"));
    }
    Ok(HsmPlace {
        recorded: Some(hsm),
        ..place
    })
}

/// What the run may have made, unless it came to its end: then its data keys are not left over.
fn intended(record: &Path) -> Result<Vec<(String, KeyId)>> {
    let path = record.join(crate::transcript::FILE);
    let bytes = verify::read(&path, verify::LONGEST_TRANSCRIPT).map_err(|why| {
        Error::usage(format!("{}: {why}", path.display()))
            .hint("give the directory of an aborted or interrupted run")
    })?;
    let torn = Torn::read(&bytes).map_err(|why| {
        Error::mismatch(format!("{}: {why}", path.display()))
            .hint("this transcript does not hold; what it names may be anything")
    })?;
    Ok(torn.intended(false)) // each is looked for, so one that is gone is not told
}
