//! Step 6: proof, with throw-away keys, that this HSM wraps as it is asked to. CKR_OK alone proves
//! nothing: modules were seen that answer it and use another hash.
//!
//! - **Trial**: a throw-away key is wrapped under the very wrapping key of each import.
//! - **Control**: the same mechanism, hash and size under an RSA key made in this computer; software
//!   opens the result, and what it finds must be the key that the HSM says it holds.
//! - **Escrow control**: with escrow or a recovery ahead, an escrow key that nothing depends on wraps a
//!   throw-away key, software opens it, and the HSM takes it back in.
//! - **Host path**: a throw-away key is taken out as the data key would be, and compared likewise.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::parameters::Judged;
use super::{Ceremony, Event, Step};
use crate::error::{Error, Result};
use crate::escrow::ESCROW_KEY_LEN;
use crate::hsm::{Hsm, Material, Transport, WrappingHandle};
use crate::locked::Locked;
use crate::plan::{Plan, WrapIn};
use crate::transcript::PreflightCheck;
use crate::wrapping::key::WrappingKey;
use crate::wrapping::{self, ControlKey, WrappingAlgorithm};

/// What one import asks of the HSM.
pub struct Want<'a> {
    /// How KMS will unwrap.
    pub wrapping: WrappingAlgorithm,
    /// Where it is wrapped.
    pub wrap_in: WrapIn,
    /// The import's wrapping key.
    pub wrapping_key: &'a WrappingKey,
    /// Length of the data key in bytes.
    pub bytes: usize,
    /// `label/import`, for messages.
    pub import: String,
}

/// An import whose wrapping was proved with throw-away keys. Data keys are wrapped only with one.
pub struct Proved {
    /// The wrapping key in the HSM; `None` for the host path.
    pub(super) wrapping_key: Option<WrappingHandle>,
}

/// Everything that preflight proved.
pub struct Preflight {
    /// One for each import, in order.
    pub(super) imports: Vec<Proved>,
    /// The proved way out for `wrap_in = "host"`, where an import needs one.
    pub(super) transport: Option<Transport>,
    /// What was checked, for the transcript.
    pub checks: Vec<PreflightCheck>,
}

/// Proves every want. `progress` is called before each slow part with what it is.
///
/// # Errors
/// Exit 3 with the first want that does not hold; nothing but session objects was made.
pub fn prove(hsm: &mut Hsm, wants: &[Want], mut progress: impl FnMut(&str)) -> Result<Preflight> {
    let mut checks = Vec::new();
    let throw_away = throw_away_keys(hsm, wants)?;
    controls(hsm, wants, &throw_away, &mut checks, &mut progress)?;
    let transport = host_path(hsm, wants, &throw_away, &mut checks)?;
    let mut imports = Vec::with_capacity(wants.len());
    for want in wants {
        let proved = trial(hsm, want, &throw_away[&want.bytes], transport.as_ref())
            .map_err(|e| ways_out(e.doing(&want.import), want))?;
        checks.push(check("TRIAL-WRAP", want, Some(want.import.clone())));
        imports.push(proved);
    }
    throw_away
        .into_values()
        .try_for_each(|material| hsm.destroy(material))?;
    Ok(Preflight {
        imports,
        transport,
        checks,
    })
}

/// One throw-away key of each length that is wanted.
fn throw_away_keys(hsm: &mut Hsm, wants: &[Want]) -> Result<BTreeMap<usize, Material>> {
    let mut keys = BTreeMap::new();
    for want in wants {
        if let Entry::Vacant(place) = keys.entry(want.bytes) {
            place.insert(hsm.throw_away(want.bytes)?);
        }
    }
    Ok(keys)
}

/// One control for each combination of algorithm, wrapping key size and data key length.
fn controls(
    hsm: &Hsm,
    wants: &[Want],
    throw_away: &BTreeMap<usize, Material>,
    checks: &mut Vec<PreflightCheck>,
    progress: &mut impl FnMut(&str),
) -> Result<()> {
    let mut control_keys: BTreeMap<usize, ControlKey> = BTreeMap::new();
    let mut done = Vec::new();
    for want in wants.iter().filter(|want| want.wrap_in == WrapIn::Hsm) {
        let bits = want.wrapping_key.bits();
        if done.contains(&(bits, want.wrapping, want.bytes)) {
            continue;
        }
        let control_key = match control_keys.entry(bits) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => {
                progress(&format!("making an RSA-{bits} control key, a few seconds"));
                place.insert(ControlKey::generate(bits)?)
            }
        };
        control(hsm, control_key, want, &throw_away[&want.bytes]).map_err(|e| {
            ways_out(
                e.doing(format!(
                    "control, {} under {}",
                    want.wrapping,
                    want.wrapping_key.spec()
                )),
                want,
            )
        })?;
        checks.push(check("CONTROL", want, None));
        done.push((bits, want.wrapping, want.bytes));
    }
    Ok(())
}

/// Wraps in the HSM, opens in software, compares with what the HSM says it holds.
fn control(hsm: &Hsm, control_key: &ControlKey, want: &Want, key: &Material) -> Result<()> {
    let loaded = hsm.load_wrapping_key(control_key.public())?;
    let wrapped = hsm.wrap(&loaded, want.wrapping, key)?;
    hsm.unload_wrapping_key(loaded)?;
    let deviates = |what: String| {
        Error::hsm(format!("C_WrapKey answered CKR_OK, but {what}"))
            .check("CONTROL")
            .hint("KMS could not unwrap what this module makes, or would unwrap another key")
    };
    let opened = control_key
        .open(want.wrapping, &wrapped)
        .map_err(|e| deviates(e.what))?;
    if opened.len() != want.bytes {
        return Err(deviates(format!(
            "it wrapped {} bytes instead of {}",
            opened.len(),
            want.bytes
        )));
    }
    if wrapping::check_values(&opened)? != key.check {
        return Err(deviates(
            "it wrapped other bytes than the key that the HSM holds".into(),
        ));
    }
    Ok(())
}

fn host_path(
    hsm: &Hsm,
    wants: &[Want],
    throw_away: &BTreeMap<usize, Material>,
    checks: &mut Vec<PreflightCheck>,
) -> Result<Option<Transport>> {
    let mut transport = None;
    let mut done = Vec::new();
    for want in wants
        .iter()
        .filter(|want| want.wrap_in == WrapIn::Host && !want.import.is_empty())
    {
        if done.contains(&want.bytes) {
            continue;
        }
        let mut proved = match transport.take() {
            Some(transport) => transport,
            None => hsm.transport()?,
        };
        hsm.prove_transport(&mut proved, &throw_away[&want.bytes])
            .map_err(|e| e.doing("taking a throw-away key out for wrap_in = \"host\""))?;
        checks.push(check("HOST-PATH", want, None));
        done.push(want.bytes);
        transport = Some(proved);
    }
    Ok(transport)
}

/// Wraps the throw-away key under the import's own wrapping key, which then stays loaded.
fn trial(hsm: &Hsm, want: &Want, key: &Material, transport: Option<&Transport>) -> Result<Proved> {
    let Some(transport) = transport.filter(|_| want.wrap_in == WrapIn::Host) else {
        let loaded = hsm.load_wrapping_key(want.wrapping_key)?;
        hsm.wrap(&loaded, want.wrapping, key)?;
        return Ok(Proved {
            wrapping_key: Some(loaded),
        });
    };
    let bytes = hsm.take_out(transport, key)?;
    wrapping::oaep_encrypt(want.wrapping, want.wrapping_key, &bytes)?;
    Ok(Proved { wrapping_key: None })
}

/// Both ways out of an HSM that does not wrap as the plan asks.
fn ways_out(error: Error, want: &Want) -> Error {
    if want.wrap_in == WrapIn::Host {
        return error;
    }
    let other = match want.wrapping {
        WrappingAlgorithm::RsaesOaepSha256 => "RSAES_OAEP_SHA_1",
        _ => "RSAES_OAEP_SHA_256",
    };
    error
        .hint(format!("download import parameters for an algorithm that this HSM wraps with, perhaps {other}"))
        .hint("or set wrap_in = \"host\" in the plan, if your policy allows the bytes in this computer's memory")
        .hint("`byok doctor` tries every algorithm and both ways")
}

fn check(check: &'static str, want: &Want, import: Option<String>) -> PreflightCheck {
    PreflightCheck {
        check,
        wrapping: want.wrapping.name(),
        wrapped_in: want.wrap_in,
        wrapping_key_spec: want.wrapping_key.spec(),
        import,
    }
}

/// Where a plan deals shares or takes them back: the same control that the real escrow key passes later,
/// before any data key exists.
///
/// # Errors
/// Exit 3 where this HSM cannot serve an escrow.
pub fn prove_escrow(hsm: &mut Hsm, plan: &Plan) -> Result<Option<PreflightCheck>> {
    if plan.escrow.is_none() && plan.recover.is_none() {
        return Ok(None);
    }
    try_escrow(hsm)?;
    Ok(Some(PreflightCheck {
        check: "ESCROW-CONTROL",
        wrapping: "AES-KW",
        wrapped_in: WrapIn::Hsm,
        wrapping_key_spec: "AES-256",
        import: None,
    }))
}

/// Loads an escrow key that nothing depends on, and has it wrap a throw-away key.
///
/// # Errors
/// As [`prove_escrow`].
pub fn try_escrow(hsm: &mut Hsm) -> Result<()> {
    let mut key = Locked::zeroed(ESCROW_KEY_LEN)?;
    hsm.random(&mut key)?;
    let control = hsm.throw_away(ESCROW_KEY_LEN)?;
    let loaded = hsm.load_escrow_key(&key, &control)?;
    hsm.end_escrow_key(loaded)?;
    hsm.destroy(control)
}

/// What a plan and its judged parameters ask of the HSM.
pub fn wants<'a>(plan: &Plan, judged: &'a [Judged]) -> Vec<Want<'a>> {
    let want = |((key, import), judged): (
        (&crate::plan::KeyPlan, &crate::plan::ImportPlan),
        &'a Judged,
    )| Want {
        wrapping: import.wrapping,
        wrap_in: import.wrap_in,
        wrapping_key: &judged.read.wrapping_key,
        bytes: key.spec.bytes(),
        import: format!("{}/{}", key.label, import.name),
    };
    plan.imports().zip(judged).map(want).collect()
}

impl Ceremony<'_> {
    /// Step 6.
    pub(super) fn preflight(&mut self, judged: &[Judged]) -> Result<Preflight> {
        self.begin(Step::Preflight)?;
        let wants = wants(self.plan, judged);
        let hsm = self
            .hsm
            .as_mut()
            .ok_or_else(|| Error::hsm("no session with the HSM is open"))?;
        let operator = &mut *self.operator;
        let mut preflight = prove(hsm, &wants, |what| operator.say(&format!("      {what}\n")))?;
        let escrow = prove_escrow(hsm, self.plan).map_err(|e| e.doing("control, escrow"))?;
        let mut checks = std::mem::take(&mut preflight.checks);
        checks.extend(escrow);
        self.record
            .transcript
            .append(&Event::PreflightPassed { checks })?;
        self.record.transcript.sync()?;
        Ok(preflight)
    }
}
