//! The thirteen steps as people walk them, with the numbers of the screens and of the transcript, and how long each
//! takes. What people do in each is in steps.html.

use super::{Script, minutes};
use crate::ground::error::Step;
use crate::paper::html::Html;
use crate::paper::template::{Facts, Field, Value};
use crate::plan::{Deliver, Kind};

/// A step, or the approval before them. The template asks for each by a name of its own.
pub(super) struct StepFacts {
    id: &'static str,
    number: Html,
    name: Html,
    minutes: Html,
    /// Whether this kind of ceremony does without it.
    absent: bool,
}

const APPROVE: &str = "approve";

/// What each step is called in the template.
const IDS: [(Step, &str); Step::COUNT as usize] = [
    (Step::OpenRecord, "open_record"),
    (Step::RollCall, "roll_call"),
    (Step::Machine, "machine"),
    (Step::OpenHsm, "open_hsm"),
    (Step::Parameters, "parameters"),
    (Step::Preflight, "preflight"),
    (Step::Generate, "data_keys"),
    (Step::Wrap, "wrapping"),
    (Step::Escrow, "escrow"),
    (Step::ProveEscrow, "prove_escrow"),
    (Step::WriteOutputs, "write_outputs"),
    (Step::Seal, "seal"),
    (Step::Next, "next"),
];

impl Facts for StepFacts {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        let mut ids = IDS.iter().map(|(_, id)| *id).chain([APPROVE]);
        match name {
            "number" => Some(self.number.value()),
            "name" => Some(self.name.value()),
            "minutes" => Some(self.minutes.value()),
            "absent" => Some(self.absent.value()),
            _ => ids
                .any(|id| id == name)
                .then(|| Value::Flag(self.id == name)),
        }
    }
}

impl Field for StepFacts {
    fn value(&self) -> Value<'_> {
        Value::List(vec![self])
    }
    #[cfg(test)]
    fn example() -> Self {
        StepFacts {
            id: APPROVE,
            number: Html::example(),
            name: Html::example(),
            minutes: Html::example(),
            absent: false,
        }
    }
}

/// The approval and every step.
pub(super) fn all(script: &Script) -> Vec<StepFacts> {
    let approval = StepFacts {
        id: APPROVE,
        number: Html::default(),
        name: "before step 1: approve".into(),
        minutes: told(minutes::APPROVAL).into(),
        absent: false,
    };
    let step = |(step, id): &(Step, &'static str)| {
        let takes = takes(script, *step);
        let name = match takes {
            Some(_) => name_here(script.plan.kind, *step),
            None => step.name().to_owned(),
        };
        StepFacts {
            id,
            number: step.number().to_string().into(),
            name: name.into(),
            minutes: told(takes.unwrap_or_default()).into(),
            absent: takes.is_none(),
        }
    };
    std::iter::once(approval)
        .chain(IDS.iter().map(step))
        .collect()
}

fn told(minutes: usize) -> String {
    match minutes {
        0 => "under a minute".to_owned(),
        1 => "about 1 minute".to_owned(),
        n => format!("about {n} minutes"),
    }
}

/// The step as the screen calls it, and what it does in a ceremony of this kind.
fn name_here(kind: Kind, step: Step) -> String {
    let here = match (kind, step) {
        (Kind::Generate, Step::Generate) => "made",
        (Kind::Reimport, Step::Generate) => "found again in the HSM",
        (Kind::Recover, Step::Generate) => "brought back by a quorum",
        (Kind::Destroy, Step::Generate) => "destroyed",
        (Kind::Destroy, Step::Escrow) => "what became of the shares",
        _ => return step.name().to_owned(),
    };
    format!("{} (here: {here})", step.name())
}

/// How long the whole line takes, in minutes.
pub(super) fn in_the_room(script: &Script) -> usize {
    let steps = Step::ALL.iter().filter_map(|step| takes(script, *step));
    minutes::APPROVAL + steps.sum::<usize>()
}

/// How long a step takes, in minutes; 0 is less than one. Nothing where this kind of ceremony does without it.
fn takes(script: &Script, step: Step) -> Option<usize> {
    let plan = script.plan;
    let imports = plan.imports().count();
    let destroys = plan.kind == Kind::Destroy;
    match step {
        Step::OpenRecord | Step::WriteOutputs | Step::Seal => Some(0),
        Step::RollCall => Some(minutes::ROLL_CALL),
        Step::Machine => Some(minutes::MACHINE),
        Step::OpenHsm => Some(minutes::OPEN_HSM),
        Step::Parameters => (imports > 0).then_some(minutes::PARAMETERS + imports),
        Step::Preflight => (!destroys).then_some(minutes::PREFLIGHT),
        Step::Generate => Some(data_keys(script)),
        Step::Wrap => (imports > 0).then_some(minutes::WRAP),
        Step::Escrow if destroys => Some(minutes::TICKED_OFF),
        Step::Escrow => plan.escrow.as_ref().map(|escrow| match escrow.deliver {
            Deliver::Screen => escrow.policy.count() * minutes::DEALING,
            Deliver::Files(_) => escrow.policy.count() * minutes::FILE,
        }),
        Step::ProveEscrow => plan.escrow.as_ref().map(|_| minutes::PROVE),
        Step::Next => Some(minutes::NEXT),
    }
}

fn data_keys(script: &Script) -> usize {
    /// A guess, where nothing is known of the shares.
    const SHARES: usize = 5;
    match script.plan.kind {
        Kind::Generate | Kind::Reimport => minutes::DATA_KEYS,
        Kind::Destroy => minutes::DATA_KEYS_OTHERWISE,
        Kind::Recover => {
            let brought = match script.shares_before().count() {
                0 => SHARES,
                dealt => dealt,
            };
            minutes::DATA_KEYS_OTHERWISE + minutes::BRINGING * brought
        }
    }
}
