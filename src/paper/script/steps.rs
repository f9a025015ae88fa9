//! The thirteen steps as people walk them, with the numbers of the screens and of the transcript.

use super::Script;
use super::part::Part;
use super::step_texts::{approval, part};
use crate::ground::error::Step;
use crate::paper::html::{Html, Sheet, p, short_line, tag, tasks};
use crate::plan::Kind;

/// How long the whole line takes, in minutes.
pub(super) fn in_the_room(script: &Script) -> usize {
    let steps: usize = Step::ALL
        .iter()
        .filter_map(|step| part(script, *step))
        .map(|part| part.minutes)
        .sum();
    approval(script).minutes + steps
}

pub(super) fn sheet(script: &Script) -> Sheet {
    let blocks = Step::ALL.iter().map(|step| match part(script, *step) {
        Some(part) => block(
            &step.number().to_string(),
            &step_name(script.plan.kind, *step),
            part,
        ),
        None => not_here(*step),
    });
    Sheet::new("steps in the room")
        .with([
            tag("h1", "In the room"),
            p("The numbers are those on the screen and in the transcript. Tick what was done, write the time \
                (UTC) when a step began, and sign with your initials. What is not as it is written here goes \
                on an exception sheet, and into the transcript: type note at any question. Ctrl-C asks \
                before it ends anything. A ceremony is never resumed: if it ends early, byok takes back what \
                it made, and it is run again from the start."),
        ])
        .with(block("", "before step 1: approve", approval(script)))
        .with_each(blocks)
}

/// The step as the screen calls it, and what it does in a ceremony of this kind.
fn step_name(kind: Kind, step: Step) -> String {
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

fn block(number: &str, name: &str, part: Part) -> Html {
    let minutes = match part.minutes {
        0 => "under a minute".to_owned(),
        1 => "about 1 minute".to_owned(),
        n => format!("about {n} minutes"),
    };
    let title = match number {
        "" => name.to_owned(),
        number => format!("Step {number} of {}: {name}", Step::COUNT),
    };
    let title = tag("h3", [title.into(), tag("span.minutes", minutes)]);
    let sign = [short_line("began"), short_line("initials")].map(|line| tag("div", line));
    let text = [title, tasks(part.tasks), part.more];
    tag(
        "div.step",
        [
            tag("div.number", number),
            tag("div", text),
            tag("div.sign", sign),
        ],
    )
}

fn not_here(step: Step) -> Html {
    let text = format!(
        "Step {} of {}: {}. Not in this ceremony.",
        step.number(),
        Step::COUNT,
        step.name()
    );
    tag(
        "div.step.none",
        [
            tag("div.number", step.number().to_string()),
            tag("div", text),
            tag("div.sign", ""),
        ],
    )
}
