//! Screens as their readers see them: each story is a text file in `tests/commands/stories/`, see
//! `tests/support/golden.rs` for how they are written anew.

use crate::support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::escrow::{self, builds_on};
use support::golden::{same, screen, settled};
use support::pty::approval;
use support::{ARN, Kind, Room};

const STORIES: &str = "commands/stories";

/// byok without a room, started in this directory.
fn byok(directory: &Path, command: &str) -> Output {
    let mut byok = Command::new(support::program());
    byok.args(command.split(' ')).current_dir(directory);
    byok.env_clear().output().unwrap()
}

#[test]
fn the_help_of_each_verb_reads_like_its_story() {
    let verbs = [
        "rehearse",
        "doctor",
        "plan",
        "check",
        "run",
        "verify",
        "due",
        "receipt",
        "inspect",
        "script",
        "share check",
    ];
    let help = |command: &str| screen(command, &byok(Path::new("/"), command));
    same(STORIES, "help", &help("--help"));
    for verb in verbs {
        let name = format!("help-{}", verb.replace(' ', "-"));
        same(STORIES, &name, &help(&format!("{verb} --help")));
    }
}

/// Records that were made once for all: every figure in them stays.
#[test]
fn verify_and_inspect_of_kept_records_read_like_their_stories() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/0.1.0");
    let tells = |commands: &[&str]| -> String {
        let screen = |command: &&str| screen(command, &byok(&kept, command));
        commands.iter().map(screen).collect()
    };
    let head = support::sha256(&fs::read(kept.join("generate/transcript.jsonl")).unwrap());
    let by_paper = format!("verify --head {head} generate");
    let other = format!("verify --head {} generate", "0".repeat(24));
    let verify = [
        "verify generate",
        &by_paper,
        &other,
        "verify reimport",
        "verify recover",
        "verify aborted",
        "verify shares",
    ];
    same(STORIES, "verify", &tells(&verify));
    // Not of a record whose import token has a deadline: its screen tells the hours that are left.
    let next = ["generate", "reimport", "recover", "aborted"];
    let next = next.map(|record| format!("verify --next {record}"));
    same(
        STORIES,
        "verify-next",
        &tells(&next.each_ref().map(String::as_str)),
    );
    let inspect = [
        "inspect generate/plan.toml",
        "inspect generate/transcript.jsonl",
        "inspect generate/transcript.html",
        "inspect generate/escrow-package.json",
        "inspect generate/package.txt",
        "inspect generate/SHA256SUMS",
        "inspect generate/signatures/hsm.sig",
        "inspect generate/payments-2026/eu-west-1/WrappedKeyMaterial.bin",
        "inspect generate/payments-2026/eu-west-1/ImportToken.bin",
        "inspect generate/import.sh",
        "inspect generate",
        "inspect shares/01-Security.txt",
        "inspect nowhere",
    ];
    same(STORIES, "inspect", &tells(&inspect));
}

/// A ceremony from the plan to the record: what is on the screen between.
#[test]
fn a_ceremony_reads_like_its_story() {
    let Some(mut room) = escrow::room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let mut story = String::new();
    let tells = |room: &Room, story: &mut String, command: &str| {
        let words: Vec<&str> = command.split(' ').collect();
        *story += &screen(command, &room.byok(&words).output().unwrap());
    };
    room.write_plan();
    tells(&room, &mut story, "check plan.toml");
    tells(&room, &mut story, "check --hsm plan.toml");
    tells(&room, &mut story, "inspect plan.toml");
    tells(&room, &mut story, "inspect inputs/eu-west-1.json");
    story += &format!("$ byok run plan.toml\n{}no\n\n", approval(&room));
    let ran = room.run();
    story += &screen("run plan.toml --approve SHA256", &ran);
    tells(&room, &mut story, "verify --next records/one");
    tells(&room, &mut story, "run plan.toml");
    tells(&room, &mut story, "plan --reimport records/one");
    same(STORIES, "ceremony", &settled(&room, &story));

    let mut story = String::new();
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.more = String::new();
    story += &format!("$ byok run plan.toml\n{}no\n\n", approval(&room));
    tells(&room, &mut story, "check plan.toml");
    room.plan.key_arn = ARN.replace("1234abcd", "99999999");
    room.plan.expires = "2025-01-01T00:00:00Z".into();
    room.write_plan();
    tells(&room, &mut story, "check plan.toml");
    same(STORIES, "reimport", &settled(&room, &story));
}
