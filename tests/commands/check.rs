//! `byok check` of ceremonies that build on a record: it asks what the run asks, and makes nothing.

use crate::support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use support::escrow::{self, fingerprint, head, lay, table};
use support::pty::Pty;
use support::{Kind, LABEL, PIN, Room, folded, refused, stderr, stdout};

const OTHER_ARN: &str =
    "arn:aws:kms:eu-west-1:111122223333:key/99999999-12ab-34cd-56ef-1234567890ab";

fn check(room: &Room, args: &[&str]) -> Output {
    room.write_plan();
    room.byok(&[&["check", "plan.toml"], args].concat())
        .output()
        .unwrap()
}

/// A line of this state says all of this, and the exit code is this one.
#[track_caller]
fn says(output: &Output, exit: i32, lines: &[(&str, &str)]) {
    let text = stdout(output);
    assert_eq!(output.status.code(), Some(exit), "{text}{}", stderr(output));
    for (state, part) in lines {
        let there = |line: &str| line.starts_with(&format!("{state:<9}")) && line.contains(part);
        assert!(text.lines().any(there), "{state} {part:?} in:\n{text}");
    }
}

/// The room's plan reimports what `records/one` holds into `records/two`.
fn reimports(room: &mut Room) {
    let record = room.path("records/one");
    room.plan.kind = "reimport".into();
    room.plan.top_more = format!(
        "previous = \"records/one\"\nprevious_head = \"{}\"\n",
        head(&record)
    );
    room.plan.directory = "records/two".into();
    room.plan.more = String::new();
}

#[test]
fn check_of_a_reimport_reads_the_record_and_finds_the_data_key() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        let made = room.run_well();
        reimports(&mut room);
        let before = support::tree(room.dir.path()).len();
        let must = format!("must have KCV {}", made.event("key-generated")["kcv"]);
        let must = must.replace('"', "");
        says(
            &check(&room, &[]),
            0,
            &[
                (
                    "ok",
                    "records/one holds together, no receipts; previous_head in the plan vouches",
                ),
                ("ok", "KMS keys: those of the previous record"),
                ("ok", &must),
                ("ok", &fingerprint(&made)),
                ("WARNING", "HSM: PIN, data keys and wrapping were not tried"),
            ],
        );
        let id = made.event("key-generated")["cka_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let found = format!("found in the HSM (CKA_ID {id}), with the right fingerprint");
        says(&check(&room, &["--hsm"]), 0, &[("ok", &found)]);
        assert_eq!(room.objects().len(), 1);
        assert_eq!(support::tree(room.dir.path()).len(), before);

        // Beside the data key another one: the run would record an exception.
        room.token(&["plant", "ceremony", PIN, LABEL, "beef"]);
        says(
            &check(&room, &["--hsm"]),
            0,
            &[("ok", &found), ("WARNING", "(CKA_ID beef")],
        );
        assert!(room.run().status.success());
        fs::remove_dir_all(room.path("records/two")).unwrap();

        // The parameters may still be missing: the data key is looked for all the same.
        fs::rename(room.path("inputs"), room.path("later")).unwrap();
        says(
            &check(&room, &["--hsm"]),
            2,
            &[
                ("not yet", "[PARAMETERS-PRESENT]"),
                ("WARNING", "wrapping was not tried"),
                ("ok", &found),
            ],
        );
    }
}

#[test]
fn check_ends_with_the_code_of_the_run_that_would_find_another_data_key_or_none() {
    let (Some(mut room), Some(mut other)) = (Room::new(Kind::SoftHsm), Room::new(Kind::SoftHsm))
    else {
        return;
    };
    let made = room.run_well();
    reimports(&mut room);
    other.use_kms_key(room.kms.clone());
    other.plan.kind = "reimport".into();
    other.plan.top_more = format!(
        "previous = \"{}\"\nprevious_head = \"{}\"\n",
        room.path("records/one").display(),
        head(&room.path("records/one"))
    );
    let both = |room: &Room, args: &[&str], exit, what: &str| {
        says(&check(room, args), exit, &[("wrong", what)]);
        refused(&room.run(), exit, &[what]);
    };
    both(
        &other,
        &["--hsm"],
        3,
        "the token holds no secret key with that label",
    );
    other.token(&["plant", "ceremony", PIN, LABEL, "beef"]);
    both(&other, &["--hsm"], 4, "[SAME-MATERIAL]");
    both(&other, &["--hsm"], 4, &fingerprint(&made));

    let good = room.plan.clone();
    room.plan.key_more = format!("fingerprint = \"{}\"\n", "ab".repeat(32));
    both(&room, &[], 4, "is not the one in the previous record");
    room.plan = good.clone();
    room.plan.top_more = format!(
        "previous = \"records/one\"\nprevious_head = \"{}\"\n",
        "0".repeat(64)
    );
    both(&room, &[], 4, "[PREVIOUS-RECORD]");
    // what a run meets first decides, whatever else is wrong
    fs::create_dir(room.path("records/two")).unwrap();
    both(&room, &[], 4, "[PREVIOUS-RECORD]");
    fs::remove_dir(room.path("records/two")).unwrap();
    room.plan = good.clone();
    room.plan.label = "payments-2027".into();
    both(
        &room,
        &[],
        2,
        "the previous record has no data key \"payments-2027\"",
    );
    room.plan = good.clone();
    room.plan.keep = "sealed".into();
    both(
        &room,
        &[],
        2,
        "keep = \"sealed\" in the plan, \"extractable\" in the previous record",
    );

    room.plan = good.clone();
    room.plan.key_arn = OTHER_ARN.into();
    room.write_parameters();
    both(&room, &[], 4, "[KMS-KEY-MATCH]");
    room.plan.import_more = "other_kms_key = \"the service moves\"\n".into();
    says(
        &check(&room, &[]),
        0,
        &[(
            "WARNING",
            "goes into another KMS key than before: the service moves",
        )],
    );
    assert!(room.run().status.success());
}

#[test]
fn a_head_digest_that_does_not_fit_sends_people_back_to_their_paper() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    reimports(&mut room);
    let right = head(&room.path("records/one"));
    let digit = if right.starts_with('0') { "1" } else { "0" };
    let mistyped = format!("{digit}{}", &right[1..]);
    room.plan.top_more = room.plan.top_more.replace(&right, &mistyped);
    let output = check(&room, &[]);
    says(&output, 4, &[("wrong", "[PREVIOUS-RECORD]")]);
    assert!(stdout(&output).contains("a mistyped digit looks exactly like this"));
    refused(&room.run(), 4, &["compare it with the paper again"]);
}

#[test]
fn what_is_wrong_is_told_once_and_counted_at_the_end() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "file:nowhere".into();
    let output = check(&room, &["--hsm"]);
    says(&output, 2, &[("wrong", "the PIN file nowhere: ")]);
    let told = stdout(&output);
    assert_eq!(told.matches("the PIN file").count(), 1, "{told}");
    // What is wrong stands last, above the verdict; nothing is said a second time.
    let end: Vec<&str> = told.lines().rev().take(2).collect();
    assert_eq!(end[0], "would not start: 1 wrong", "{told}");
    assert!(
        end[1].starts_with("wrong    the PIN file nowhere: "),
        "{told}"
    );
    assert_eq!(stderr(&output), "");
    fs::remove_file(room.path("inputs/eu-west-1.json")).unwrap();
    let said = stdout(&check(&room, &[]));
    assert!(
        said.ends_with("would not start: 1 wrong, 1 not yet there\n"),
        "{said}"
    );
    let place = |state: &str| said.find(&format!("\n{state}")).unwrap();
    assert!(place("ok") < place("not yet") && place("not yet") < place("wrong"));
    fs::remove_dir(room.path("inputs")).unwrap();
    room.plan.pin = "file:pin".into();
    let said = stdout(&check(&room, &[]));
    assert!(
        said.ends_with("would not start: 1 not yet there\n"),
        "{said}"
    );
    support::well(&room.byok(&["script", "plan.toml"]).output().unwrap());
    fs::create_dir(room.path("inputs")).unwrap();
    room.write_parameters();
    for args in [&[][..], &["--hsm"]] {
        let said = stdout(&check(&room, args));
        assert!(said.ends_with("\nready: byok run would start\n"), "{said}");
    }
}

/// By its name only: whatever else lies there may be a secret.
#[test]
fn a_slip_that_lies_beside_the_parameters_is_warned_about_and_recorded() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let warned = || {
        let said = check(&room, &[]);
        says(&said, 0, &[("ok", "payments-2026/eu-west-1: ")]);
        let said = stdout(&said);
        let lines = said.lines().filter(|line| line.contains("[SLIP-APART]"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for other in ["SHA256SUMS", "payments.describe-key.json", "slippers.txt"] {
        fs::write(room.path("inputs").join(other), "").unwrap();
    }
    assert_eq!(warned(), [""; 0]);
    let slips = ["Slip-2026.pdf", "scan of the slip.jpg", "slip.txt"];
    for slip in slips {
        fs::write(room.path("inputs").join(slip), "").unwrap();
    }
    let told = |slip: &str| {
        format!(
            "inputs/{slip} lies beside the import parameters: a slip that came with them proves nothing about them"
        )
    };
    let expected = slips.map(|slip| format!("WARNING  {} [SLIP-APART]", told(slip)));
    assert_eq!(warned(), expected);

    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let transcript = room.transcript("records/one");
    let noted = transcript.events("exception").into_iter();
    let noted = noted.filter(|event| event["step"] == 5);
    let noted: Vec<&str> = noted.map(|event| event["what"].as_str().unwrap()).collect();
    assert_eq!(noted, slips.map(told));
}

#[test]
fn nothing_that_matters_is_lost_above_the_verdict() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    // Warnings stand below what is well.
    let said = stdout(&check(&room, &[]));
    let states: Vec<&str> = said
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let first = states.iter().position(|state| *state == "WARNING").unwrap();
    assert!(!states[first..].contains(&"ok"), "{said}");
    assert!(!said.contains("in short"), "{said}");

    // More than a window holds: each in a line above the verdict.
    let expired = "2020-01-01T00:00:00Z";
    for number in 0..12 {
        let name = format!("region-{number}");
        room.plan.import_more += &format!(
            "[[key.import]]\nname = \"{name}\"\nkey_arn = \"{}\"\nparameters = \"inputs/{name}.json\"\n\
             wrapping = \"RSAES_OAEP_SHA_256\"\nexpires = \"{expired}\"\n",
            support::ARN.replace("1234abcd", &format!("1234ab{number:02}"))
        );
    }
    let said = stdout(&check(&room, &[]));
    let (above, short) = said
        .split_once("\nin short:\n")
        .unwrap_or_else(|| panic!("{said}"));
    let short: Vec<&str> = short.lines().collect();
    let (verdict, told) = short.split_last().unwrap();
    let told_by = |state: &str| told.iter().filter(|line| line.starts_with(state)).count();
    let count = format!(
        "{} wrong, {} not yet there",
        told_by("wrong"),
        told_by("not yet")
    );
    assert_eq!(*verdict, format!("would not start: {count}"), "{said}");
    support::fits(&told.join("\n"));
    for line in told {
        assert!(above.contains(line.trim_end_matches('…')), "{line}: {said}");
    }
}

#[test]
fn at_a_terminal_no_line_is_longer_than_79_columns() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    room.write_plan();
    for (args, code) in [
        (&["check", "plan.toml"][..], 2),
        (&["verify", "records/one"], 0),
        (&["inspect", "inputs/eu-west-1.json"], 0),
        (&["doctor", "plan.toml"], 0),
    ] {
        let whole = room.byok(args).output().unwrap();
        assert_eq!(whole.status.code(), Some(code), "{}", stderr(&whole));
        assert!(stdout(&whole).lines().any(|line| line.chars().count() > 79));
        let ended = Pty::start(room.byok(args)).end();
        support::fits(&ended.screen);
    }
}

#[test]
fn check_says_how_large_the_window_is_and_what_a_share_needs() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let mut at = |more: String, (columns, rows), code, says: &str| {
        room.plan.more = more;
        room.write_plan();
        let ended = Pty::start_sized(room.byok(&["check", "plan.toml"]), columns, rows).end();
        let screen = folded(&ended.screen);
        assert_eq!(ended.code, Some(code), "{}", ended.screen);
        assert!(screen.contains(says), "{says}: {}", ended.screen);
        for line in ended.screen.lines() {
            assert!(line.chars().count() < columns.into(), "{line}");
        }
    };
    let small = "this window has 20 rows of 80 columns";
    let needs = format!("{small}; the shares of this plan need 21 rows of 80 columns");
    let shares = || table(2, 3, "screen");
    at(
        shares(),
        (80, 24),
        0,
        "screen: this window has 24 rows of 80 columns",
    );
    at(shares(), (80, 20), 5, &format!("wrong {needs}"));
    at(shares(), (80, 20), 5, "[SCREEN-SIZE]");
    at(
        shares(),
        (40, 24),
        5,
        "of 40 columns; the shares of this plan need 21 rows of 80 columns",
    );
    at(
        shares(),
        (80, 23),
        0,
        "ok screen: this window has 23 rows of 80 columns",
    );
    let warned = format!("WARNING screen: {small}; the screens of a ceremony are made for 24");
    at(String::new(), (80, 20), 0, &warned);
}

#[test]
fn check_says_when_nothing_vouches_for_the_previous_record() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    reimports(&mut room);
    room.plan.top_more = "previous = \"records/one\"\n".into();
    says(
        &check(&room, &[]),
        0,
        &[(
            "ok",
            "nothing vouches for it yet: in the room, rows of its head digest are typed",
        )],
    );
    room.plan.top_more = "previous = \"records/nowhere\"\n".into();
    says(
        &check(&room, &[]),
        2,
        &[("wrong", "there is no such directory")],
    );
}

#[test]
fn check_of_a_destroy_finds_what_would_be_destroyed_and_leaves_it() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    reimports(&mut room);
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    room.plan.top_more += "reason = \"end of life\"\n";
    says(
        &check(&room, &["--hsm"]),
        0,
        &[
            ("ok", "HSM: logged in"),
            ("ok", "with the right fingerprint"),
        ],
    );
    assert_eq!(room.objects().len(), 1);
    assert!(room.run().status.success());
    room.plan.directory = "records/three".into();
    says(
        &check(&room, &["--hsm"]),
        3,
        &[("wrong", "the token holds no secret key with that label")],
    );
}

/// A room whose data key was escrowed, and one with another token whose plan recovers it.
fn loss() -> Option<(Room, Room)> {
    let old = escrow::room(Kind::SoftHsm, 2, 3)?;
    old.run_well();
    let mut new = Room::new(Kind::SoftHsm)?;
    new.use_kms_key(old.kms.clone());
    new.plan.kind = "recover".into();
    new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    new.plan.top_more = format!(
        "previous = \"{}\"\nprevious_head = \"{}\"\nreuse_escrow = \"a test\"\n",
        old.path("records/one").display(),
        head(&old.path("records/one"))
    );
    let dealt = escrow::shares(&old.path("shares"));
    lay(
        &new.path("brought"),
        &[dealt[0].1.as_str(), dealt[2].1.as_str()],
    );
    Some((old, new))
}

#[test]
fn check_of_a_recovery_looks_at_package_and_label_and_asks_for_no_share() {
    let Some((old, mut new)) = loss() else { return };
    let ceremony = old.transcript("records/one").lines[0]["ceremony"].clone();
    let package = format!(
        "package: from ceremony {}; it holds every data key of the plan; shares were not checked; needed: \
         any 2 of 3: Security, Audit, Treasury",
        ceremony.as_str().unwrap()
    );
    let free = "nothing in the HSM stands in its way";
    says(
        &check(&new, &["--hsm"]),
        0,
        &[("ok", &package), ("ok", free)],
    );
    let good = new.plan.clone();
    fs::write(
        new.path("another.json"),
        fs::read_to_string(old.path("records/one/escrow-package.json"))
            .unwrap()
            .replace(LABEL, "another"),
    )
    .unwrap();
    for (source, exit, what) in [
        ("another.json", 4, "[ESCROW-PACKAGE]"),
        ("plan.toml", 4, "[ESCROW-PACKAGE]"),
        ("nowhere.json", 2, "the escrow package nowhere.json"),
    ] {
        new.plan.more = format!("[recover]\nshares = \"files:brought\"\npackage = \"{source}\"\n");
        says(&check(&new, &[]), exit, &[("wrong", what)]);
        refused(&new.run(), exit, &[what]);
    }
    new.plan = good;
    let there = escrow::shares(&new.path("brought"))[1].0.clone();
    let away = new.path("away");
    fs::rename(&there, &away).unwrap();
    let few = "brought: 1 of at least 2 shares that are needed [QUORUM]";
    says(&check(&new, &[]), 4, &[("wrong", few)]);
    refused(&new.run(), 4, &["[QUORUM]", "not here yet:"]);
    fs::rename(&away, &there).unwrap();
    new.token(&["plant", "ceremony", PIN, LABEL, "beef"]);
    says(&check(&new, &["--hsm"]), 4, &[("wrong", "[SAME-MATERIAL]")]);
    refused(&new.run(), 4, &["[SAME-MATERIAL]"]);
    new.token(&["destroy", "ceremony", PIN, LABEL]);
    assert!(new.run().status.success());
    new.plan.directory = "records/two".into();
    says(
        &check(&new, &["--hsm"]),
        0,
        &[("WARNING", "the token holds the same data key")],
    );
}

#[test]
fn shares_at_the_screen_need_a_screen_that_nobody_else_sees() {
    let (Some(mut deals), Some((_old, mut types))) = (Room::new(Kind::SoftHsm), loss()) else {
        return;
    };
    deals.plan.more = table(2, 3, "screen");
    types.plan.more = "[recover]\nshares = \"typed\"\npackage = \"record\"\n".into();
    for mut room in [deals, types] {
        says(
            &check(&room, &[]),
            2,
            &[("not yet", "a ceremony needs a terminal")],
        );
        let at_terminal = |room: &Room, verb: &str, variable: &str| {
            room.write_plan();
            let mut command = room.byok(&[verb, "plan.toml"]);
            command.env(variable, "1");
            Pty::start(command)
        };
        let ended = at_terminal(&room, "check", "UNSEEN").end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        assert!(ended.screen.contains("screen: neither SSH nor tmux"));
        for variable in ["SSH_CONNECTION", "TMUX", "STY"] {
            for verb in ["check", "run"] {
                let ended = at_terminal(&room, verb, variable).end();
                assert_eq!(ended.code, Some(5), "{}", ended.screen);
                assert!(ended.screen.contains("[SCREEN]"), "{}", ended.screen);
            }
        }
        room.plan.top_more = format!(
            "screen_recorded = \"reached by SSH only\"\n{}",
            room.plan.top_more
        );
        let ended = at_terminal(&room, "check", "TMUX").end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        let words: Vec<&str> = ended.screen.split_whitespace().collect(); // the line is folded
        assert!(
            words
                .join(" ")
                .contains("the plan says why: reached by SSH only")
        );
        assert_eq!(room.beside(), [""; 0]);
    }
}

/// There is no ceremony yet that could be run again.
#[test]
fn check_of_an_hsm_that_fails_speaks_of_no_ceremony() {
    for (rules, says) in [
        ("fail:C_Login:1:CKR_DEVICE_ERROR", "CKR_DEVICE_ERROR"),
        ("fail:C_WrapKey:1:CKR_SESSION_CLOSED", "CKR_SESSION_CLOSED"),
        ("fail:C_WrapKey:1:CKR_DEVICE_REMOVED", "CKR_DEVICE_REMOVED"),
    ] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        if room.behind_proxy(rules).is_none() {
            return;
        }
        room.write_plan();
        for args in [
            &["check", "--hsm", "plan.toml"][..],
            &["doctor", "plan.toml"],
        ] {
            let output = room.byok(args).output().unwrap();
            let said = stdout(&output) + &stderr(&output);
            assert!(said.contains(says), "{args:?}: {said}");
            assert!(!said.contains("ceremony again"), "{args:?}: {said}");
            assert!(!said.contains("ceremony then"), "{args:?}: {said}");
        }
    }
}

/// Whoever hands a record over chooses what lies in it, and what its plan names.
#[test]
fn a_module_that_lies_inside_a_record_is_refused_by_name_and_never_loaded() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let good = room.plan.module.clone();
    // a module that works; the record of its ceremony names it
    fs::create_dir_all(room.path("vendor/lib")).unwrap();
    fs::copy(&good, room.path("vendor/lib/hsm.so")).unwrap();
    room.plan.module = "vendor/lib/hsm.so".into();
    room.run_well();
    // now it lies in a record, to which a link leads, and in one that does not hold together
    for place in ["records/other", "records/broken"] {
        fs::create_dir_all(room.path(place)).unwrap();
        fs::copy(&good, room.path(place).join("hsm.so")).unwrap();
    }
    for place in ["vendor", "records/other"] {
        let transcript = room.path("records/one/transcript.jsonl");
        fs::copy(transcript, room.path(place).join("transcript.jsonl")).unwrap();
    }
    symlink("records/other/hsm.so", room.path("link.so")).unwrap();
    symlink(&good, room.path("records/other/link.so")).unwrap();
    room.plan.directory = "records/two".into();
    let says = ["lies inside a record", "[MODULE-IN-RECORD]"];
    for (module, top) in [
        ("vendor/lib/hsm.so", ""),
        ("records/other/hsm.so", ""),
        ("records/one/../other/hsm.so", ""),
        ("link.so", ""),
        ("records/other/link.so", ""),
        ("records/broken/hsm.so", "previous = \"records/broken\"\n"),
    ] {
        room.plan.module = module.into();
        room.plan.top_more = top.into();
        room.plan.kind = if top.is_empty() {
            "generate"
        } else {
            "reimport"
        }
        .into();
        let said = stdout(&check(&room, &["--hsm"]));
        assert!(
            said.contains(says[0]) && said.contains(says[1]),
            "{module}: {said}"
        );
        assert!(!said.contains("module: SHA-256"), "{module}: {said}");
        if top.is_empty() {
            refused(&room.run(), 2, &says);
            let plan = room.byok(&["plan", "--module", module]).output().unwrap();
            refused(&plan, 2, &says);
            let token = "pkcs11:token=ceremony";
            let doctor = room.byok(&[
                "doctor", "--module", module, "--token", token, "--pin", "file:pin",
            ]);
            refused(&{ doctor }.output().unwrap(), 2, &says);
        }
    }
    for out in [&[][..], &["--out", "again.toml"]] {
        let again = [&["plan", "--reimport", "records/one"], out].concat();
        refused(&room.byok(&again).output().unwrap(), 2, &says);
    }
    assert!(!room.path("again.toml").exists());
    fs::remove_file(room.path("vendor/transcript.jsonl")).unwrap();
    let again = ["plan", "--reimport", "records/one", "--out", "again.toml"];
    let output = room.byok(&again).output().unwrap();
    assert!(
        stderr(&output).contains("compare its hsm.module"),
        "{}",
        stderr(&output)
    );
    let plan = fs::read_to_string(room.path("again.toml")).unwrap();
    let (_, hsm) = plan.split_once("\n[hsm]\n").unwrap();
    let (above, rest) = hsm.split_once("\nmodule = ").unwrap();
    assert!(
        above.contains("nothing vouches for module and token yet"),
        "{plan}"
    );
    let (above, _) = rest.split_once("\nenv    = ").unwrap();
    assert!(above.contains("From the previous record"), "{plan}");
}
