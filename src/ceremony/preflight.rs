//! Step 6: proof, with throw-away keys, that this HSM wraps as it is asked to. CKR_OK alone proves
//! nothing: some modules answer it and use a different hash.
//!
//! - **Trial**: a throw-away key is wrapped under the very wrapping key of each import.
//! - **Control**: the same mechanism, hash and size under an RSA key made in this computer; software
//!   opens the result, and what it finds must be the key that the HSM says it holds.
//! - **Escrow control**: with escrow or a recovery ahead, an escrow key that nothing depends on wraps a
//!   throw-away key, software opens it, and the HSM takes it back in.
//! - **Way in**: with a data key that comes from a file, bytes that nothing depends on are brought in likewise.
//! - **Host path**: a throw-away key is taken out as the data key would be, and compared likewise.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::judged::Proved;
use super::{Ceremony, Step, Vault, transcript};
use crate::crypto::escrow::ESCROW_KEY_LEN;
use crate::crypto::locked::Locked;
use crate::crypto::spec::{Curve, Spec};
use crate::crypto::wrapping::{self, ControlKey, WrappingAlgorithm, pkcs8};
use crate::evidence::transcript::PreflightCheck;
use crate::ground::error::{Error, Result};
use crate::hsm::{self, Hsm, Material, Transport, Way, WrappingHandle};
use crate::plan::parameters::Judged;
use crate::plan::{Plan, WrapIn};

/// Everything that preflight proved.
pub(crate) struct Preflight<'p> {
    /// In the plan's order.
    pub(super) imports: Vec<Proved<'p>>,
    /// The proved way out for `wrap_in = "host"`, if an import needs one.
    pub(super) transport: Option<Transport>,
    /// What was checked, for the transcript.
    pub checks: Vec<PreflightCheck>,
}

/// Proves the wrapping of every import. `progress` is called before each slow part with what it is.
///
/// # Errors
/// Exit 3 with the first proof that fails; only session objects were made.
pub(crate) fn prove<'p>(
    hsm: &mut Hsm,
    wants: Vec<Judged<'p>>,
    mut progress: impl FnMut(&str),
) -> Result<Preflight<'p>> {
    let mut checks = Vec::new();
    let throw_away = throw_away_keys(hsm, &wants, &mut progress)?;
    let ways = controls(hsm, &wants, &throw_away, &mut checks, &mut progress)?;
    let transport = host_path(hsm, &wants, &throw_away, &mut checks)?;
    let mut imports = Vec::with_capacity(wants.len());
    for want in wants {
        let way = ways.get(&want.kind()).copied().unwrap_or(Way::OneCall);
        let key = &throw_away[&want.key.spec];
        let wrapping_key = trial(hsm, &want, key, way, transport.as_ref())
            .map_err(|e| ways_out(e.doing(want.name()), &want))?;
        checks.push(check("TRIAL-WRAP", &want, Some(want.name())));
        imports.push(Proved {
            judged: want,
            wrapping_key,
        });
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

/// What one control proves for: algorithm, size of the wrapping key, data key.
type WantKind = (WrappingAlgorithm, usize, Spec);

impl Judged<'_> {
    fn kind(&self) -> WantKind {
        let bits = self.wrapping_key.bits();
        (self.import.wrapping, bits, self.key.spec)
    }
}

/// One throw-away key of each spec that is wanted, and one more on P-256 if the HSM wraps private keys.
fn throw_away_keys(
    hsm: &mut Hsm,
    wants: &[Judged],
    progress: &mut impl FnMut(&str),
) -> Result<BTreeMap<Spec, Material>> {
    let mut specs: BTreeSet<Spec> = wants.iter().map(|want| want.key.spec).collect();
    let mut in_hsm = wants
        .iter()
        .filter(|want| want.import.wrap_in == WrapIn::Hsm);
    let is_control = in_hsm.any(|want| want.key.spec.varies()) && specs.insert(Spec::P256);
    let mut keys = BTreeMap::new();
    for spec in specs {
        if let Spec::Rsa { bits } = spec {
            progress(&format!(
                "making a throw-away RSA-{bits} data key in the HSM, some seconds"
            ));
        }
        let made = hsm.throw_away(spec);
        let made = match is_control && spec == Spec::P256 {
            true => made.map_err(|e| needs_p256(e).hint(HOST)),
            false => made,
        };
        keys.insert(spec, made?);
    }
    Ok(keys)
}

/// Why an RSA data key needs an HSM with curves.
pub(super) fn needs_p256(error: Error) -> Error {
    // for an RSA key it depends on the length
    error.doing("control: only a private key on P-256 shows for certain what an HSM appends to one")
}

/// One control for each combination of algorithm, wrapping key size and data key spec.
fn controls(
    hsm: &mut Hsm,
    wants: &[Judged],
    throw_away: &BTreeMap<Spec, Material>,
    checks: &mut Vec<PreflightCheck>,
    progress: &mut impl FnMut(&str),
) -> Result<BTreeMap<WantKind, Way>> {
    let mut control_keys: BTreeMap<usize, ControlKey> = BTreeMap::new();
    let mut ways = BTreeMap::new();
    let mut in_full_length = Vec::new();
    for want in wants
        .iter()
        .filter(|want| want.import.wrap_in == WrapIn::Hsm)
    {
        let bits = want.wrapping_key.bits();
        if ways.contains_key(&want.kind()) {
            continue;
        }
        let control_key = match control_keys.entry(bits) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => {
                progress(&format!("making an RSA-{bits} control key, a few seconds"));
                place.insert(ControlKey::generate(bits)?)
            }
        };
        let way = find_way(
            hsm,
            control_key,
            want.import.wrapping,
            want.key.spec,
            throw_away,
        )
        .map_err(|e| {
            ways_out(
                e.doing(format!(
                    "control, {} under {}",
                    want.import.wrapping,
                    want.wrapping_key.spec()
                )),
                want,
            )
        })?;
        let of_curves = (want.import.wrapping, way);
        if matches!(want.key.spec, Spec::Ec(_)) && !in_full_length.contains(&of_curves) {
            let control_key = match control_keys.range(LONG_ENOUGH..).next() {
                Some((_, made)) => made,
                None => control_keys
                    .entry(LONG_ENOUGH)
                    .or_insert(ControlKey::generate(LONG_ENOUGH)?),
            };
            keeps_leading_zeros(hsm, control_key, want.import.wrapping, way)
                .map_err(|e| ways_out(e, want))?;
            in_full_length.push(of_curves);
        }
        checks.push(PreflightCheck {
            mechanism: want.import.wrapping.is_rsa_aes().then(|| way.name().into()),
            ..check("CONTROL", want, None)
        });
        ways.insert(want.kind(), way);
    }
    Ok(ways)
}

/// The first way by which every control opens. For private keys there are two: the length of an RSA key's
/// PKCS#8 varies, so that a clean one proves nothing, and P-256 shows what a module appends.
pub(super) fn find_way(
    hsm: &Hsm,
    control_key: &ControlKey,
    wrapping: WrappingAlgorithm,
    spec: Spec,
    throw_away: &BTreeMap<Spec, Material>,
) -> Result<Way> {
    let mut keys = vec![&throw_away[&spec]];
    if spec.varies() {
        keys.insert(0, &throw_away[&Spec::P256]);
    }
    let loaded = hsm.load_wrapping_key(control_key.public())?;
    let mut refused: Option<Error> = None;
    let mut found = None;
    for way in Way::all() {
        let tried = keys.iter().try_for_each(|key| {
            control(
                hsm,
                control_key,
                &loaded,
                wrapping,
                way,
                key,
                Zeros::PutBack,
            )
        });
        match tried {
            Ok(()) => {
                found = Some(way);
                break;
            }
            Err(e) if hsm::session_was_lost(&e) => return Err(e),
            Err(e) => {
                // of ways that it does not know, the last is in two parts, as most modules do it
                let is_plain = |r: &Error| r.check.is_none() && !hsm::went_away(r);
                if refused
                    .as_ref()
                    .is_none_or(|r| is_plain(r) || hsm::tells_more(&e, r))
                {
                    refused = Some(e);
                }
            }
        }
        if !wrapping.is_rsa_aes() {
            break; // there is one way only
        }
    }
    hsm.unload_wrapping_key(loaded)?;
    found.ok_or_else(|| refused.unwrap_or_else(|| Error::hsm("no way to wrap")))
}

/// The size of a wrapping key in bits under which RSAES-OAEP takes a private key on P-521.
pub(super) const LONG_ENOUGH: usize = 3072;

/// A private value on a curve has a fixed length (RFC 5915, section 3); kryoptic drops its leading zero bytes,
/// which KMS may refuse. On P-521 every second value begins with one, so twenty throw-away keys leave a chance
/// of 1 in a million that a module of that kind goes unseen; with the spec's own curve it would be 255 in 256.
///
/// # Errors
/// Exit 3 if a value is too short, or if the HSM makes no key on P-521.
pub(super) fn keeps_leading_zeros(
    hsm: &mut Hsm,
    control_key: &ControlKey,
    wrapping: WrappingAlgorithm,
    way: Way,
) -> Result<()> {
    const KEYS: usize = 20;
    let p521 = Spec::Ec(Curve::P521);
    let doing = "control, whether private values on curves keep their length";
    let loaded = hsm.load_wrapping_key(control_key.public())?;
    for _ in 0..KEYS {
        let key = hsm.throw_away(p521).map_err(|e| e.doing(doing))?;
        let kept = control(hsm, control_key, &loaded, wrapping, way, &key, Zeros::Kept);
        hsm.destroy(key)?;
        kept.map_err(|e| e.doing(doing))?;
    }
    hsm.unload_wrapping_key(loaded)
}

/// The leading zero bytes of a private value on a curve, in what a control opens.
#[derive(Clone, Copy, PartialEq)]
enum Zeros {
    /// They must be there.
    Kept,
    /// If they are missing, they are put back: one control meets a value that begins with zero only by chance, and
    /// for an RSA key it says nothing; [`keeps_leading_zeros`] decides for curves.
    PutBack,
}

/// Wraps in the HSM, opens in software, compares with what the HSM says it holds.
fn control(
    hsm: &Hsm,
    control_key: &ControlKey,
    loaded: &WrappingHandle,
    algorithm: WrappingAlgorithm,
    way: Way,
    key: &Material,
    zeros: Zeros,
) -> Result<()> {
    let wrapped = hsm.wrap(loaded, algorithm, way, key)?;
    let deviates = |what: String| {
        Error::hsm(format!("C_WrapKey answered CKR_OK, but {what}"))
            .check("CONTROL")
            .hint("KMS could not unwrap what this module makes, or would unwrap a different key")
    };
    let opened = control_key
        .open(algorithm, &wrapped)
        .map_err(|e| deviates(e.what))?;
    match key.spec.secret_len() {
        Some(len) if len != opened.len() => {
            return Err(deviates(format!(
                "it wrapped {} bytes instead of {len}",
                opened.len()
            )));
        }
        Some(_) => {}
        None => {
            let whole = pkcs8::der_len(&opened).map_err(|e| deviates(e.what))?;
            if whole != opened.len() {
                return Err(deviates(format!(
                    "it wrapped {} bytes after the {whole} of the PKCS#8 private key, which KMS refuses",
                    opened.len() - whole
                )));
            }
        }
    }
    let full = match key.spec {
        Spec::Ec(curve) if zeros == Zeros::PutBack => {
            pkcs8::in_full_length(curve, &opened).map_err(|e| deviates(e.what))?
        }
        _ => None,
    };
    let whole = full.as_deref().unwrap_or(&opened);
    let same = wrapping::check_values(key.spec, whole).map_err(|e| deviates(e.what))? == key.check;
    match same {
        true => Ok(()),
        false => Err(deviates(
            "it wrapped bytes that are not the key that the HSM holds".into(),
        )),
    }
}

fn host_path(
    hsm: &Hsm,
    wants: &[Judged],
    throw_away: &BTreeMap<Spec, Material>,
    checks: &mut Vec<PreflightCheck>,
) -> Result<Option<Transport>> {
    let mut transport = None;
    let mut done = Vec::new();
    for want in wants
        .iter()
        .filter(|want| want.import.wrap_in == WrapIn::Host)
    {
        if done.contains(&want.key.spec) {
            continue;
        }
        let mut proved = match transport.take() {
            Some(transport) => transport,
            None => hsm.transport()?,
        };
        hsm.prove_transport(&mut proved, &throw_away[&want.key.spec])
            .map_err(|e| e.doing("taking a throw-away key out for wrap_in = \"host\""))?;
        checks.push(check("HOST-PATH", want, None));
        done.push(want.key.spec);
        transport = Some(proved);
    }
    Ok(transport)
}

/// Wraps the throw-away key under the import's own wrapping key, which then stays loaded.
fn trial(
    hsm: &Hsm,
    want: &Judged,
    key: &Material,
    way: Way,
    transport: Option<&Transport>,
) -> Result<Option<(WrappingHandle, Way)>> {
    let Some(transport) = transport.filter(|_| want.import.wrap_in == WrapIn::Host) else {
        let loaded = hsm.load_wrapping_key(&want.wrapping_key)?;
        hsm.wrap(&loaded, want.import.wrapping, way, key)?;
        return Ok(Some((loaded, way)));
    };
    let bytes = hsm.take_out(transport, key)?;
    wrapping::wrap(want.import.wrapping, &want.wrapping_key, &bytes)?;
    Ok(None)
}

const HOST: &str =
    "set wrap_in = \"host\" in the plan, if your policy allows the bytes in this computer's memory";

/// Both ways out of an HSM that does not wrap as the plan asks.
fn ways_out(error: Error, want: &Judged) -> Error {
    // An HSM that went away would not wrap by another algorithm either.
    if want.import.wrap_in == WrapIn::Host || hsm::went_away(&error) {
        return error;
    }
    let others = others(want);
    let error = match others.is_empty() {
        true => error.hint(HOST),
        false => {
            let others = others.join(" or ");
            let error = error.hint(match want.import.kms_key.binds_algorithm {
                true => format!(
                    "get import parameters for an algorithm that this HSM wraps with, perhaps {others}"
                ),
                false => format!("perhaps this HSM wraps with wrapping = {others} in the plan"),
            });
            error.hint(format!("or {HOST}"))
        }
    };
    error.hint("`byok doctor` tries every algorithm and both ways")
}

/// The other algorithms with which its KMS takes the data key. An HSM that refuses one algorithm for a private key refuses
/// all of them.
fn others(want: &Judged) -> Vec<String> {
    let (spec, kms_key) = (want.key.spec, &want.import.kms_key);
    let bits = want.wrapping_key.bits();
    let taken = kms_key
        .algorithms(spec)
        .filter(|other| *other != want.import.wrapping && kms_key.fits(spec, *other, bits).is_ok());
    match spec.is_private() {
        true => Vec::new(),
        false => taken.map(|other| format!("{:?}", other.name())).collect(),
    }
}

fn check(check: &'static str, want: &Judged, import: Option<String>) -> PreflightCheck {
    PreflightCheck {
        check: check.into(),
        wrapping: want.import.wrapping.name().into(),
        wrapped_in: want.import.wrap_in.into(),
        wrapping_key_spec: want.wrapping_key.spec().into(),
        mechanism: None,
        import,
    }
}

/// If a plan deals shares or takes them back: the same control that the real escrow key passes later, before any
/// data key exists.
///
/// # Errors
/// Exit 3 if this HSM cannot serve an escrow.
pub(crate) fn prove_escrow(hsm: &mut Hsm, plan: &Plan) -> Result<Option<PreflightCheck>> {
    if plan.escrow.is_none() && plan.recover.is_none() {
        return Ok(None);
    }
    try_escrow(hsm, plan.keys.iter().map(|key| key.spec))?;
    Ok(Some(PreflightCheck {
        check: "ESCROW-CONTROL".into(),
        wrapping: "AES-KW".into(),
        wrapped_in: WrapIn::Hsm.into(),
        wrapping_key_spec: "AES-256".into(),
        mechanism: None,
        import: None,
    }))
}

/// Loads an escrow key that nothing depends on, and has it wrap throw-away keys of these specs' kinds.
///
/// # Errors
/// As [`prove_escrow`].
pub(crate) fn try_escrow(hsm: &mut Hsm, specs: impl Iterator<Item = Spec>) -> Result<()> {
    let mut key = Locked::zeroed(ESCROW_KEY_LEN)?;
    hsm.random(&mut key)?;
    let loaded = hsm.load_proved(&key, specs)?;
    hsm.end_escrow_key(loaded)
}

/// The way in for data keys that come from files: bytes that nothing depends on are brought in the same way, once
/// for each spec.
///
/// # Errors
/// Exit 3 if the HSM does not take them in, or makes different keys of them.
pub(crate) fn prove_ways_in(hsm: &mut Hsm, plan: &Plan) -> Result<Vec<PreflightCheck>> {
    let specs: BTreeSet<Spec> = plan.source_files().map(|(key, _)| key.spec).collect();
    let mut checks = Vec::with_capacity(specs.len());
    for spec in specs {
        let mechanism = hsm
            .prove_way_in(spec)
            .map_err(|e| e.doing(format!("bringing a throw-away {} in", spec.name())))?;
        let (wrapping, wrapping_key_spec) = match spec.is_private() {
            true => ("AES-KWP", "AES-256"),
            false => ("none", "none"),
        };
        checks.push(PreflightCheck {
            check: "WAY-IN".into(),
            wrapping: wrapping.into(),
            wrapped_in: WrapIn::Host.into(),
            wrapping_key_spec: wrapping_key_spec.into(),
            mechanism: Some(mechanism.into()),
            import: None,
        });
    }
    Ok(checks)
}

impl<'a> Ceremony<'a> {
    /// Step 6.
    pub(super) fn preflight(
        &mut self,
        vault: &mut Vault,
        judged: Vec<Judged<'a>>,
    ) -> Result<Preflight<'a>> {
        self.begin(Step::Preflight)?;
        let hsm = &mut vault.hsm;
        let operator = &mut *self.desk.operator;
        let mut preflight = prove(hsm, judged, |what| operator.say(&format!("      {what}\n")))?;
        let escrow = prove_escrow(hsm, self.plan()).map_err(|e| e.doing("control, escrow"))?;
        let ways_in = prove_ways_in(hsm, self.plan()).map_err(|e| e.doing("control, way in"))?;
        let mut checks = std::mem::take(&mut preflight.checks);
        checks.extend(escrow);
        checks.extend(ways_in);
        self.ledger.append(transcript::PreflightPassed { checks })?;
        self.ledger.sync()?;
        Ok(preflight)
    }
}
