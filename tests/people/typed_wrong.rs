//! What people type that cannot be done: they are told in their own words, with the command that does it.

use crate::support;

use std::fs;
use std::process::{Command, Stdio};

use support::pty::Pty;
use support::{ARN, Kind, LABEL, Room, refused, stderr, stdout};

/// A room with a sealed record that has an escrow in files, and all else that lies about on a desk.
fn desk() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    let made = room.run_with_escrow(2, &["Audit", "Legal", "Board"]);
    let ceremony = &made.lines[0]["ceremony"];
    let result = format!(
        "{{\"format\":\"byok-import-result-v1\",\"ceremony\":{ceremony},\"label\":\"{LABEL}\",\
         \"import\":\"eu-west-1\",\"key_arn\":\"{ARN}\",\"exit\":0,\"at\":\"2026-11-22T11:42:03Z\"}}\n"
    );
    fs::write(room.path("import-result.json"), result).unwrap();
    room.write_plan();
    Some(room)
}

#[test]
fn what_stands_in_the_wrong_place_is_told_with_the_command_that_takes_it() {
    let Some(room) = desk() else {
        return;
    };
    let share = fs::read_dir(room.path("shares")).unwrap().next().unwrap();
    let share = format!("shares/{}", share.unwrap().file_name().display());
    let (record, file, parameters) = ("records/one", "import-result.json", "inputs/eu-west-1.json");
    let package = "records/one/escrow-package.json";
    let rows: [(&[&str], &str); 20] = [
        (
            &["receipt", file, record],
            "give the record first: byok receipt records/one import-result.json",
        ),
        (&["receipt", "plan.toml", file], "byok check plan.toml"),
        (&["receipt", record, "plan.toml"], "byok check plan.toml"),
        (
            &["receipt", record, parameters],
            "byok plan inputs/eu-west-1.json",
        ),
        (&["check", parameters], "byok plan inputs/eu-west-1.json"),
        (&["check", record], "byok verify records/one"),
        (&["check", file], "byok receipt RECORD import-result.json"),
        (&["run", record], "byok plan --reimport records/one"),
        (&["run", parameters], "byok plan inputs/eu-west-1.json"),
        (&["script", record], "byok plan --reimport records/one"),
        (
            &["script", package],
            "byok inspect records/one/escrow-package.json",
        ),
        (&["doctor", record], "byok verify records/one"),
        (&["rehearse", record], "byok verify records/one"),
        (&["verify", "plan.toml"], "byok check plan.toml"),
        (&["verify", parameters], "byok plan inputs/eu-west-1.json"),
        (&["plan", "--reimport", "plan.toml"], "byok check plan.toml"),
        (&["plan", record], "byok plan --recover records/one"),
        (
            &["share", "check", record],
            "byok share check --record records/one",
        ),
        (
            &["share", "check", &share],
            "byok share check --record RECORD --share shares/",
        ),
        (
            &["share", "check", "--record", package],
            "byok share check --package records/one/escrow-package.json",
        ),
    ];
    for (args, command) in rows {
        let output = room.byok(args).output().unwrap();
        let what = ["is a ", "is an ", "is the ", "is import parameters"];
        assert!(
            what.iter().any(|what| stderr(&output).contains(what)),
            "{args:?}: {}",
            stderr(&output)
        );
        refused(&output, 2, &[command]);
    }
    // What stands where it belongs keeps its own error.
    fs::write(room.path("broken.toml"), "title = 1\n").unwrap();
    let output = room.byok(&["check", "broken.toml"]).output().unwrap();
    assert!(
        !stderr(&output).contains("is a plan"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn no_number_of_the_system_s_errors_is_shown_to_people() {
    let Some(mut room) = desk() else {
        return;
    };
    fs::write(room.path("locked"), "x").unwrap();
    fs::create_dir(room.path("empty")).unwrap();
    let mut all: Vec<Vec<&str>> = Vec::new();
    for there in ["nowhere", "empty", "plan.toml/below"] {
        for verb in [
            "check", "run", "script", "inspect", "verify", "doctor", "rehearse", "plan",
        ] {
            all.push(vec![verb, there]);
        }
        all.push(vec!["receipt", "records/one", there]);
        all.push(vec!["receipt", there, "import-result.json"]);
        all.push(vec!["verify", "--signers", there, "records/one"]);
        all.push(vec!["verify", "--previous", there, "records/one"]);
        for option in ["--record", "--package", "--share"] {
            all.push(vec!["share", "check", option, there]);
        }
        for option in ["--reimport", "--recover", "--new-shares", "--module"] {
            all.push(vec!["plan", option, there]);
        }
        all.push(vec!["doctor", "--leftovers", there]);
        all.push(vec!["plan", "--out", there]);
        all.push(vec!["script", "plan.toml", "--out", there]);
    }
    let quiet = |room: &Room, args: &[&str]| {
        let output = room.byok(args).stdin(Stdio::null()).output().unwrap();
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.contains("os error"), "{args:?}: {said}");
    };
    for args in &all {
        quiet(&room, args);
    }
    for (pin, parameters) in [
        ("file:nowhere", "inputs/eu-west-1.json"),
        ("fd:77", "nowhere.json"),
    ] {
        room.plan.pin = pin.into();
        room.plan.parameters = parameters.into();
        room.plan.directory = "records/two".into();
        room.write_plan();
        quiet(&room, &["check", "--hsm", "plan.toml"]);
        let said = stderr(&room.run());
        assert!(!said.contains("os error"), "{said}");
    }
    room.plan.module = "nowhere.so".into();
    room.write_plan();
    quiet(&room, &["check", "plan.toml"]);
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let Some(room) = desk() else {
        return;
    };
    let all: [&[&str]; 9] = [
        &["verify", "records/one"],
        &["verify", "--next", "records/one"],
        &["verify", "--json", "records/one"],
        &["check", "plan.toml"],
        &["doctor", "plan.toml"],
        &["plan", "--no-escrow"],
        &["script", "plan.toml"],
        &["inspect", "records/one/SHA256SUMS"],
        &["receipt", "records/one", "import-result.json"],
    ];
    for args in all {
        // The reading end is closed before the first byte: nobody reads anything at all.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = room.byok(args).stdout(writer).output().unwrap();
        assert!(
            stderr(&output).is_empty() || args[0] == "doctor",
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            !stderr(&output).contains("error"),
            "{args:?}: {}",
            stderr(&output)
        );
        let expected = if args[0] == "check" { 2 } else { 0 }; // the record exists
        assert_eq!(output.status.code(), Some(expected), "{args:?}");
    }
    // But somebody must be told that a ceremony is sealed.
    let mut room = room;
    room.plan.directory = "records/two".into();
    room.plan.label = "other".into();
    room.plan.more = String::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = room.run_under(&["env"]).stdout(writer).output().unwrap();
    refused(&output, 5, &["records/two is sealed and complete"]);
}

#[test]
fn a_mistyped_verb_or_option_is_answered_with_the_right_one() {
    for (args, meant) in [
        (&["chekc", "plan.toml"][..], "check"),
        (&["verfy", "records/one"], "verify"),
        (&["recipt", "a", "b"], "receipt"),
        (&["verify", "--heed", "x", "records/one"], "--head"),
        (&["plan", "--modul", "x"], "--module"),
        (&["run", "plan.toml", "--aprove", "x"], "--approve"),
        (&["share", "chek"], "check"),
    ] {
        let mut byok = Command::new(support::program());
        let output = byok.args(args).stdin(Stdio::null()).output().unwrap();
        refused(&output, 2, &["similar", &format!("'{meant}'")]);
    }
}

#[test]
fn what_is_listed_folds_at_the_terminal_s_own_width() {
    let Some(room) = desk() else {
        return;
    };
    let all: [&[&str]; 7] = [
        &["check", "plan.toml"],
        &["receipt", "records/one", "import-result.json"],
        &["doctor", "plan.toml"],
        &[
            "share",
            "check",
            "--record",
            "records/one",
            "--share",
            "nowhere",
        ],
        &[
            "plan",
            "--no-escrow",
            "--out",
            "a-new-file-with-a-rather-long-name.toml",
        ],
        &["plan", "--no-escrow"],
        &[
            "script",
            "plan.toml",
            "--out",
            "a-new-file-with-a-rather-long-name.html",
        ],
    ];
    for columns in [60, 80, 132] {
        for args in all {
            let ended = Pty::start_sized(room.byok(args), columns, 24).end();
            for line in ended.screen.lines() {
                let line = line.trim_end_matches('\r');
                // A plan is a file: folded it would be none.
                let narrow = if args == ["plan", "--no-escrow"] {
                    80
                } else {
                    columns
                };
                let most = usize::from(narrow - 1).min(79);
                assert!(
                    line.chars().count() <= most,
                    "{args:?} at {columns}: {line}"
                );
            }
        }
        for new in [
            "a-new-file-with-a-rather-long-name.toml",
            "a-new-file-with-a-rather-long-name.html",
        ] {
            fs::remove_file(room.path(new)).unwrap();
        }
    }
}
