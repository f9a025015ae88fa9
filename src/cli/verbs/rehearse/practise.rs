//! One ceremony of a real plan, of any kind, at a terminal. A stand-in for what the plan builds on is made first;
//! afterwards everything that the record claims is proved from outside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::papers::{self, Papers};
use super::{hand_over, make_token, write_new, write_parameters};
use crate::ceremony::operator::{Interrupted, Operator as _, Terminal, Unattended};
use crate::ceremony::tries::Tries;
use crate::ceremony::{Approved, generate, log_in, not_recorded};
use crate::crypto::escrow::Policy;
use crate::crypto::spec::{Curve, Spec};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::evidence::previous::Previous;
use crate::ground::error::{Error, Exit, Result};
use crate::ground::token_uri::TokenUri;
use crate::hsm::{Hsm, Module};
use crate::plan::kms::aws;
use crate::plan::{KeyPlan, Kind, PinSource, Plan, WrapIn, parameters};
use crate::rehearsal::{self, Before, Replaced, StandInKms, Works};

mod prove;

/// Where the stand-in's shares are until forms are made from them.
const DEALT: &str = "dealt";

/// The RSA key that need not last: what a soft HSM wraps with does not depend on its length. One on P-521 does
/// not fit under the shortest.
fn short(plan: &Plan) -> usize {
    let p521 = |key: &KeyPlan| key.spec == Spec::Ec(Curve::P521);
    let mut imports = plan.imports();
    if imports.any(|(_, import)| !import.kms_key.wrapping_key_bits.contains(&2048)) {
        return 4096; // every KMS has these
    }
    match plan.keys.iter().any(p521) {
        true => 3072,
        false => 2048,
    }
}

/// Refuses what cannot be practised, before anything is made.
///
/// # Errors
/// What `byok check` says about a plan that cannot be read or a broken previous record; exit 2 without a terminal; as
/// [`Before::of`].
pub(super) fn can_be_practised(path: &Path) -> Result<()> {
    read(path)?;
    terminal(Interrupted::watch()?).map(|_| ())
}

/// Practises it in its room.
pub(super) fn practise(path: &Path, module: &Path, room: &Path) -> Result<()> {
    let (plan, before) = read(path)?;
    let interrupted = Interrupted::watch()?;
    let mut terminal = terminal(interrupted.clone())?;
    terminal.say(" Preparing a soft HSM and a stand-in KMS, some seconds\n");
    let mut kms = StandInKms::with_key(short(&plan))?;
    make_token(module, rehearsal::TOKEN)?;
    let mut practice = Practice {
        module,
        room,
        kind: plan.kind,
        nobody: Unattended::silent(interrupted),
        works: Works::default(),
    };
    let escrows = plan.escrow.is_some()
        || plan.recover.is_some()
        || before
            .as_ref()
            .is_some_and(|before| before.escrow.is_some());
    practice.works = practice.what_works(&plan, escrows, &kms)?;
    let stand_in = before
        .as_ref()
        .map(|before| practice.make(before, &mut kms));
    let stand_in = stand_in.transpose()?;
    if plan.imports().next().is_some() {
        kms.renew()?; // import parameters of their own, under a key as long as usual
    }
    let practised = practice.move_in(&plan, stand_in.as_ref(), &kms)?;

    let elsewhere = rehearsal::from_elsewhere(&plan);
    let told = practice.told(&plan, before.as_ref(), &elsewhere);
    let previous = stand_in.as_ref().map(|made| &made.previous);
    let forms = stand_in.as_ref().map_or(&[][..], |made| &made.forms);
    let wrapping_key = kms.wrapping_key().sha256();
    Papers::write(&practised, previous, &told, forms, &wrapping_key, room)?.show(&mut terminal)?;
    let approved = Approved::by_typing(practised.clone(), true, &mut terminal)?;
    let sealed = super::super::run::ceremony(&approved, &mut terminal)?;
    drop(terminal);
    practice.prove(&practised, &sealed, previous, &mut kms)
}

/// The plan, and what must exist before it.
fn read(path: &Path) -> Result<(Plan, Option<Before>)> {
    let plan = Plan::read(path)?;
    for (key, import) in plan.imports() {
        parameters::expiry(import)
            .map_err(|e| e.doing(format!("{}/{}", key.label, import.name)))?;
    }
    if plan.kind == Kind::Generate {
        return Ok((plan, None));
    }
    let previous = real_previous(&plan)?;
    let before = Before::of(&plan, previous.as_ref())?;
    Ok((plan, Some(before)))
}

/// The record that the plan names, if it is here. If it is here and broken, that is an error.
fn real_previous(plan: &Plan) -> Result<Option<Previous>> {
    let Some(directory) = &plan.previous else {
        return Ok(None);
    };
    match Previous::load(directory, plan.previous_head.as_ref()) {
        Ok(previous) => Ok(Some(previous)),
        Err(e) if e.exit == Exit::Usage && !directory.exists() => Ok(None),
        Err(e) => Err(e),
    }
}

fn terminal(interrupted: Interrupted) -> Result<Terminal> {
    Terminal::open(interrupted)?.ok_or_else(|| {
        Error::usage("rehearsing a plan needs a terminal: its screens are what is practised")
            .hint("byok rehearse, without a plan, needs none")
    })
}

/// The stand-in for the previous record.
struct StandIn {
    previous: Previous,
    /// Practice share forms, if shares are brought.
    forms: Vec<PathBuf>,
}

/// Where the practice takes place.
struct Practice<'a> {
    module: &'a Path,
    room: &'a Path,
    kind: Kind,
    nobody: Unattended,
    /// What the soft HSM does by itself: found by trying.
    works: Works,
}

impl Practice<'_> {
    /// Tries each spec of the plan with each algorithm that KMS takes it under, and with an escrow.
    fn what_works(&mut self, plan: &Plan, escrows: bool, kms: &StandInKms) -> Result<Works> {
        let module = Module::load(self.module)?;
        let mut hsm = self.open(&module, rehearsal::TOKEN)?;
        let mut tries = Tries::of(&mut hsm);
        let mut works = Works::default();
        let specs: BTreeSet<Spec> = plan.keys.iter().map(|key| key.spec).collect();
        for spec in specs {
            if !matches!(spec, Spec::Rsa { .. }) {
                tries.key(spec).map_err(|e| cannot_play(e, spec))?; // RSA takes seconds, and preflight says it
            }
            let played = match escrows {
                true => escrowed(&mut tries, spec)?,
                false => spec,
            };
            if played != spec {
                works.plays(spec, played);
            }
            let mut refused = None;
            for wrapping in WrappingAlgorithm::ALL {
                let mut imports = plan.imports();
                let taken = aws::takes(spec, wrapping, false).is_ok()
                    || imports.any(|(_, import)| import.kms_key.takes(spec, wrapping).is_ok());
                if !taken {
                    continue;
                }
                match tries.in_hsm(played, wrapping, kms.control_key()) {
                    Ok(_) => works.wraps(played, wrapping),
                    Err(_) => refused = Some(wrapping),
                }
            }
            if let (Spec::Ed25519, Some(wrapping)) = (spec, refused) {
                // SoftHSM makes such a key, but wraps it in no way
                let by_host = tries.by_host(spec, wrapping, kms.control_key().public());
                by_host.map_err(|e| cannot_play(e, spec))?;
            }
        }
        tries.end()?;
        Ok(works)
    }

    fn open(&mut self, module: &Module, token: &str) -> Result<Hsm> {
        let uri = TokenUri {
            token: Some(token.into()),
            ..TokenUri::default()
        };
        let hsm = module.open(&module.find(&uri)?)?;
        let pin = PinSource::File(self.room.join("pin"));
        log_in(&hsm, &pin, &mut self.nobody, &mut not_recorded)?;
        Ok(hsm)
    }

    /// Makes the previous record of the practised one, and asks nothing. The stand-in KMS once had its data keys.
    fn make(&mut self, before: &Before, kms: &mut StandInKms) -> Result<StandIn> {
        self.hold_before(before, kms)
            .map_err(|e| e.doing("making a stand-in for the previous record"))
    }

    fn hold_before(&mut self, before: &Before, kms: &mut StandInKms) -> Result<StandIn> {
        let path = self.room.join("previous.toml");
        let text = before.plan(self.module, &self.works, DEALT);
        write_new(&path, text.as_bytes())?;
        let plan = Plan::read(&path)?;
        write_parameters(&plan, kms)?;
        let sealed = generate::run(&Approved::own_rehearsal(plan.clone())?, &mut self.nobody)?;
        for (key, import) in plan.imports() {
            hand_over(&sealed.directory, key, import, kms)?;
            kms.delete(import.kms_key.as_str())?;
        }
        let previous = Previous::load(&sealed.directory, None)?;
        let forms = match &plan.escrow {
            Some(escrow) => self.make_forms(&escrow.policy, &previous)?,
            None => Vec::new(),
        };
        Ok(StandIn { previous, forms })
    }

    /// Makes forms for those who bring shares. The stand-in's share files are then erased.
    fn make_forms(&self, policy: &Policy, previous: &Previous) -> Result<Vec<PathBuf>> {
        let dealt = self.room.join(DEALT);
        let forms = match self.kind {
            Kind::Recover => papers::forms(&dealt, policy, &previous.ceremony, self.room)?,
            Kind::Generate | Kind::Reimport | Kind::Destroy => Vec::new(),
        };
        fs::remove_dir_all(&dealt)
            .map_err(|e| Error::machine(format!("erasing {}: {e}", dealt.display())))?;
        Ok(forms)
    }

    /// The practice plan, written and read back, with its import parameters.
    fn move_in(&self, plan: &Plan, made: Option<&StandIn>, kms: &StandInKms) -> Result<Plan> {
        let token = token_of(plan.kind);
        if token != rehearsal::TOKEN {
            make_token(self.module, token)?;
        }
        let replaced = self.replaced(made, kms, token);
        let path = self.room.join("plan.toml");
        write_new(&path, rehearsal::practice_plan(plan, &replaced).as_bytes())?;
        let practised = Plan::read(&path)?;
        write_parameters(&practised, kms)?;
        Ok(practised)
    }

    fn replaced(
        &self,
        made: Option<&StandIn>,
        kms: &StandInKms,
        token: &'static str,
    ) -> Replaced<'_> {
        let keys = made.map_or(&[][..], |made| &made.previous.keys);
        let of_key = |key: &crate::evidence::previous::KnownKey| {
            (key.label.clone(), key.fingerprint.clone())
        };
        Replaced {
            module: self.module,
            token,
            works: &self.works,
            wrapping_key_sha256: kms.wrapping_key().sha256(),
            previous_head: made.map(|made| made.previous.head),
            fingerprints: keys.iter().map(of_key).collect::<BTreeMap<_, _>>(),
        }
    }

    /// What the soft HSM does differently from the plan, once for each algorithm.
    fn wrapped_otherwise(&self, plan: &Plan) -> Vec<String> {
        let mut otherwise: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for (key, import) in plan.imports() {
            let (wrapping, wrap_in) =
                self.works
                    .how(key.spec, import.wrapping, import.wrap_in, &import.kms_key);
            if (wrapping, wrap_in) == (import.wrapping, import.wrap_in) {
                continue;
            }
            let how = match wrap_in {
                WrapIn::Hsm => format!("{wrapping} is practised instead"),
                WrapIn::Host => "this computer wraps instead (wrap_in = \"host\")".to_owned(),
            };
            let specs = otherwise.entry((import.wrapping, how)).or_default();
            specs.insert(key.spec.name());
        }
        let told = |((wrapping, how), specs): ((WrappingAlgorithm, String), BTreeSet<&str>)| {
            let specs: Vec<&str> = specs.into_iter().collect();
            format!(
                "The soft HSM does not wrap with {wrapping}, for {}: {how}.",
                specs.join(", ")
            )
        };
        otherwise.into_iter().map(told).collect()
    }

    /// What is practised instead of a data key that the soft HSM cannot escrow.
    fn played_otherwise(&self, plan: &Plan) -> Vec<String> {
        let specs: BTreeSet<Spec> = plan.keys.iter().map(|key| key.spec).collect();
        let played = specs.into_iter().filter_map(|spec| {
            let (real, practised) = (spec.secret_len()?, self.works.played(spec).secret_len()?);
            (real != practised).then(|| {
                format!(
                    "The soft HSM cannot serve [escrow] for {} of {} bits: bits = {} is practised instead.",
                    spec.name(),
                    real * 8,
                    practised * 8
                )
            })
        });
        played.collect()
    }

    /// What differs from the real room, a sentence each.
    fn told(&self, plan: &Plan, before: Option<&Before>, elsewhere: &[String]) -> Vec<String> {
        let mut told = before.map(|before| before.told.clone()).unwrap_or_default();
        told.extend(self.wrapped_otherwise(plan));
        told.extend(self.played_otherwise(plan));
        told.extend(elsewhere.iter().map(|label| {
            format!("The data key {label:?} exists in the real room; here a new one is made.")
        }));
        if plan.kind == Kind::Recover {
            told.push(
                "The recovery goes into a fresh soft HSM, as after the loss of the old one.".into(),
            );
        }
        if plan.hsm.pin == PinSource::PinPad {
            told.push(
                "The PIN is typed here; in the real room it is typed on the HSM's own PIN pad."
                    .into(),
            );
        }
        if plan.imports().next().is_some() {
            told.push(
                "Import parameters come from a stand-in KMS with a wrapping key of its own.".into(),
            );
        }
        told.push("The network is not checked.".into());
        told
    }
}

/// What an escrow can hold here for this spec: the key itself or, for an HMAC key whose length is not a multiple of
/// 8 bytes, the next longer one, because some modules wrap the shorter one with padding.
fn escrowed(tries: &mut Tries, spec: Spec) -> Result<Spec> {
    let Err(refused) = tries.escrow(spec) else {
        return Ok(spec);
    };
    let longer = match spec {
        Spec::Hmac { hash, bytes } if !bytes.is_multiple_of(8) => Spec::Hmac {
            hash,
            bytes: bytes.next_multiple_of(8),
        },
        _ => return Err(cannot_play(refused, spec)),
    };
    match tries.escrow(longer) {
        Ok(()) => Ok(longer),
        Err(_) => Err(cannot_play(refused, spec)),
    }
}

fn cannot_play(error: Error, spec: Spec) -> Error {
    error
        .doing(format!(
            "this plan cannot be practised: the soft HSM cannot do {}",
            spec.name()
        ))
        .hint("byok rehearse --module PATH takes a different SoftHSM")
        .hint("byok check --hsm PLAN tries the plan's own HSM")
}

/// A recovery goes into an HSM other than the one that was lost.
fn token_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Recover => rehearsal::SECOND_TOKEN,
        Kind::Generate | Kind::Reimport | Kind::Destroy => rehearsal::TOKEN,
    }
}
