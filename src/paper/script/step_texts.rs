//! What people do in each step, and how long it takes: the approval and steps 1 to 8.

use super::last_steps::{escrow, next, outputs, prove, seal, ticked_off};
use super::part::Part;
use super::{Script, does, minutes};
use crate::crypto::sshsig::fingerprint;
use crate::ground::error::Step;
use crate::paper::html::{Html, code, free, p, rows_to_fill, short_line, table, tag};
use crate::plan::{KeyPlan, Kind, Network, PackageSource, PinSource, ShareSource, SignerPlan};

/// What is done before byok has a record.
pub(super) fn approval(script: &Script) -> Part {
    let plan = script.plan_name();
    let (mode, begin) = match script.practice {
        true => ("REHEARSAL", format!("byok rehearse {plan}")),
        false => ("PRODUCTION", format!("byok run {plan}")),
    };
    let mut tasks = vec![
        does(
            "Everybody",
            "signs on the page \"who\"; bags are compared with their numbers and opened.",
        ),
        does(
            "Operator",
            [
                code(&format!("byok check --hsm {plan}")),
                ": every line says ok, or WARNING (read each).".into(),
            ],
        ),
        does(
            "Operator",
            [
                code(&begin),
                format!(": the screen says {mode} and what the plan means.").into(),
            ],
        ),
        does(
            "Witness",
            "reads the 8 rows of page 1 aloud; the operator compares the screen; each row is ticked.",
        ),
        does(
            "Operator",
            [
                "all 8 rows match: types ".into(),
                code("Yes"),
                ". Anything else stops, and nothing was made.".into(),
            ],
        ),
    ];
    if script.practice {
        tasks.remove(1);
    }
    Part::new(minutes::APPROVAL, tasks)
}

/// A step of this plan, or nothing where its kind does not have it.
pub(super) fn part(script: &Script, step: Step) -> Option<Part> {
    let plan = script.plan;
    let destroys = plan.kind == Kind::Destroy;
    let deals = plan.escrow.is_some();
    match step {
        Step::OpenRecord => Some(open_record(script)),
        Step::RollCall => Some(roll_call(script)),
        Step::Machine => Some(machine(script)),
        Step::OpenHsm => Some(open_hsm(script)),
        Step::Parameters => (script.imports() > 0).then(|| parameters(script)),
        Step::Preflight => (!destroys).then(preflight),
        Step::Generate => Some(generate(script)),
        Step::Wrap => (script.imports() > 0).then(|| wrap(script)),
        Step::Escrow if destroys => Some(ticked_off()),
        Step::Escrow => deals.then(|| escrow(script)),
        Step::ProveEscrow => deals.then(prove),
        Step::WriteOutputs => Some(outputs(script)),
        Step::Seal => Some(seal()),
        Step::Next => Some(next(script)),
    }
}

fn open_record(script: &Script) -> Part {
    let text = Html::from([
        "byok makes ".into(),
        code(&format!("{}.incomplete", script.record())),
        " and begins the transcript. Nothing to type.".into(),
    ]);
    Part::new(0, vec![text])
}

fn roll_call(script: &Script) -> Part {
    let mut tasks = vec![does(
        "Operator",
        "types who is at the keyboard, and who is present where byok asks for it.",
    )];
    if script.plan.previous.is_some() && script.plan.previous_head.is_none() {
        tasks.push(does(
            "Witness",
            "holds the signed paper with the head digest of the record before.",
        ));
        tasks.push(does(
            "Operator",
            [
                "types rows 1, 2 and 3 from it. Without that paper: ".into(),
                code("none"),
                ", which is an exception.".into(),
            ],
        ));
    }
    Part::new(minutes::ROLL_CALL, tasks)
}

fn machine(script: &Script) -> Part {
    let mut tasks: Vec<Html> = vec![does(
        "Operator",
        "reads aloud what byok says of network, swap and disk.",
    )];
    if script.plan.network == Network::Forbidden {
        tasks.push(
            "An interface is up? byok stops and shows the command that takes it down; begin again \
            with the approval."
                .into(),
        );
    }
    tasks.push(
        "byok asks for yes to accept something? It is an exception: fill in a sheet first.".into(),
    );
    Part::new(minutes::MACHINE, tasks)
}

fn open_hsm(script: &Script) -> Part {
    let pin = match &script.plan.hsm.pin {
        PinSource::Prompt => does("Holder of the PIN", "types it; the others turn away."),
        PinSource::PromptHalves => does(
            "Two people",
            "type one half of the PIN each, one after the other; the others turn away.",
        ),
        PinSource::File(_) | PinSource::Descriptor(_) => does(
            "Operator",
            "the PIN comes from where the plan says; nobody types it.",
        ),
        PinSource::PinPad => does("Holder of the PIN", "types it on the HSM's own keys."),
    };
    let tries =
        "A wrong PIN: stop and think. The HSM counts the tries, and locks itself after the last.";
    let mut tasks = vec![
        does(
            "Operator",
            "HSM connected, taken from its bag before everybody's eyes.",
        ),
        pin,
        tries.into(),
    ];
    if script.plan.signer == SignerPlan::Nobody {
        return Part::new(minutes::OPEN_HSM, tasks);
    }
    tasks.push(does("Witness", signer(script)));
    Part::new(minutes::OPEN_HSM, tasks).and(rows_to_fill(1..=3))
}

/// The key of the HSM that signs the transcript: first written down, later compared.
fn signer(script: &Script) -> Html {
    let named = match &script.plan.signer {
        SignerPlan::Named(digest) => Some(fingerprint(digest)),
        _ => None,
    };
    let before = script
        .previous
        .and_then(|previous| previous.signer.as_ref());
    let known = named.or_else(|| before.map(|signer| signer.fingerprint.clone()));
    match known {
        Some(fingerprint) => Html::from([
            "compares the transcript signer on the screen with the paper of the first ceremony. The record \
                before names "
                .into(),
            code(&fingerprint),
            "; another HSM has another one, which is then written down here."
                .into(),
        ]),
        None => "writes down rows 1 to 3 of the transcript signer from the screen, or compares them with the \
            paper of an earlier ceremony in this HSM."
            .into(),
    }
}

fn parameters(script: &Script) -> Part {
    let in_plan = script
        .plan
        .imports()
        .all(|(_, import)| import.wrapping_key_sha256.is_some());
    let tasks = match in_plan {
        true => vec![
            does(
                "Carrier of the slip",
                "compares the wrapping key digests on the page of data keys with the slip: 8 groups each.",
            ),
            does("Operator", "byok compares them with the files by itself."),
        ],
        false => vec![
            does(
                "Carrier of the slip",
                "reads from the slip the three rows that byok asks for. The rows are drawn now; nobody knew \
                    them before.",
            ),
            does("Operator", "types them."),
            "byok says that a row is another? Look at that row on the slip again and type it again. The third \
                wrong answer for a row ends the ceremony: these are not the files that the online side saw."
                .into(),
        ],
    };
    let asked = Html::from([short_line("rows asked:"), short_line("match:")]);
    Part::new(minutes::PARAMETERS + script.imports(), tasks).and(if in_plan {
        Html::default()
    } else {
        p(asked)
    })
}

fn preflight() -> Part {
    Part::new(minutes::PREFLIGHT, vec!["Nothing to type. byok proves with throw-away keys that this HSM wraps as asked. If it \
        cannot, it stops here: no data key exists yet.".into()])
}

fn generate(script: &Script) -> Part {
    let word = script.check_word();
    let (takes, mut tasks) = match script.plan.kind {
        Kind::Generate => (minutes::DATA_KEYS, vec![
            "From here on something exists in the HSM. If the ceremony ends early, byok destroys it, or \
                names it.".into(),
            witness_of_each(script, format!("writes the {word} of each data key, as the screen shows it; byok waits for Enter.")),
        ]),
        Kind::Reimport => (minutes::DATA_KEYS, vec![
            witness_of_each(script, format!("compares the {word} of each data key with the one below. byok compares \
                the whole fingerprint.")),
            "Another key in its place? byok stops: SAME-MATERIAL. Nothing was wrapped.".into(),
        ]),
        Kind::Recover => recover(script),
        Kind::Destroy => (minutes::DATA_KEYS_OTHERWISE, vec![
            does("Everybody", "once more: may these data keys end? What only they open is lost with their \
                last copy."),
            witness_of_each(script, format!("compares the {word} of each data key before it is destroyed; byok proves \
                the fingerprint first and the end afterwards.")),
            does("Operator", [
                "types ".into(),
                code("DESTROY"),
                " when everybody agrees, or ".into(),
                code("no"),
                ", which ends the ceremony and destroys nothing.".into(),
            ]),
        ]),
    };
    for (key, path) in script.plan.source_files() {
        tasks.push(does(
            "Witness",
            [
                "sees that the data key ".into(),
                free(&key.label),
                " comes from the file ".into(),
                code(&script.relative(path)),
                "; byok notes it as an exception: fill in a sheet.".into(),
            ],
        ));
    }
    Part::new(takes, tasks).and(check_values(script))
}

/// What a witness does with each data key that the screen shows. It shows no single one of very many: then
/// there is nothing to write or to compare but their number.
fn witness_of_each(script: &Script, does_what: String) -> Html {
    match script.counts_in_steps() {
        true => does(
            "Witness",
            "compares the number of data keys on the screen with page 1. byok compares every fingerprint that \
                is known from before.",
        ),
        false => does("Witness", does_what),
    }
}

fn recover(script: &Script) -> (usize, Vec<Html>) {
    let Some(recover) = &script.plan.recover else {
        return (minutes::DATA_KEYS_OTHERWISE, Vec::new());
    };
    let shares = match recover.shares {
        ShareSource::Typed => does(
            "Each custodian",
            format!(
                "alone at the screen, types the 33 words of the own form (about {} minutes); four letters of \
                    a word are enough. The others turn away.",
                minutes::TYPING
            ),
        ),
        ShareSource::Files(_) => does(
            "Each custodian",
            "hands the share file over; byok reads them all.",
        ),
    };
    let package = match recover.package {
        PackageSource::Typed => does(
            "Operator",
            "types the rows of the printed package page; each row has a check.",
        ),
        PackageSource::Record | PackageSource::File(_) => {
            "byok reads the escrow package; nothing to type.".into()
        }
    };
    let tasks = vec![
        package,
        shares,
        "A word is mistyped? byok names the row; nothing is lost. A share that does not agree is put aside \
            and named.".into(),
        witness_of_each(
            script,
            format!(
                "compares the {} of each data key with the one below. byok compares the whole fingerprint.",
                script.check_word()
            ),
        ),
    ];
    let brought = match script
        .previous
        .map_or(0, |previous| previous.shares_in_use().len())
    {
        0 => 5, // a guess, where nothing is known of the shares
        dealt => dealt,
    };
    (
        minutes::DATA_KEYS_OTHERWISE + minutes::BRINGING * brought,
        tasks,
    )
}

/// A row for each data key: its check value, known or to be written. Many have their rows on the pages of
/// data keys.
fn check_values(script: &Script) -> Html {
    let keys = &script.plan.keys;
    if script.in_tables() {
        let counted = match script.counts_in_steps() {
            true => {
                "The screen counts so many data keys and shows no single one: the report in the record, \
                    transcript.html, tells each."
            }
            false => "",
        };
        let text = format!(
            "The {} data keys stand on the pages \"data keys and imports\". {counted}",
            keys.len()
        );
        return p(text.trim_end());
    }
    let row = |key: &KeyPlan| vec![free(&key.label), script.glance(key), tag("span.tick", "")];
    let head = match script.check_word() {
        "KCV" => "KCV",
        _ => "KCV or fingerprint",
    };
    let rows = keys.iter().map(row);
    table("table.list", &["data key", head, "seen"], rows.collect())
}

fn wrap(script: &Script) -> Part {
    let text = match script.plan.wraps_in_host() {
        true => {
            "Nothing to type. Where the plan says wrap_in = \"host\", bytes of a data key are in this \
                computer's memory for a moment; the record says so."
        }
        false => "Nothing to type. The HSM wraps; this computer never sees a byte of a data key.",
    };
    Part::new(minutes::WRAP, vec![text.into()])
}
