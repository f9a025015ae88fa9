//! `byok plan --reimport`, `--recover` and `--new-shares`: what they write needs only what people know,
//! and then runs to its end.

use crate::support;

use std::fs;

use support::escrow::{builds_on, fingerprint, head, room, shares, wrapped};
use support::pty::Pty;
use support::{ARN, Kind, LABEL, PIN, Room, refused, stderr, stdout};

/// A record with an escrow of any 2 of 3, of a data key that is kept like this.
fn made(keep: &str) -> Option<Room> {
    let mut room = room(Kind::SoftHsm, 2, 3)?;
    room.plan.keep = keep.into();
    room.run_well();
    Some(room)
}

/// The plan that is written, with what a person fills in: network, PIN, head, slip, where shares come from.
#[track_caller]
fn filled(room: &Room, option: &str) -> String {
    let args = ["plan", option, "records/one", "--out", "again.toml"];
    let output = room.byok(&args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let mut plan = fs::read_to_string(room.path("again.toml")).unwrap();
    let head = format!("previous_head = \"{}\"", head(&room.path("records/one")));
    let slip = format!("wrapping_key_sha256 = \"{}\"", room.kms.sha256());
    for (from, to, always) in [
        ("\"forbidden\"", "\"allowed\"", true),
        ("\"prompt\"", "\"file:pin\"", true),
        ("# previous_head = \"\"", head.as_str(), true),
        ("# wrapping_key_sha256 = \"\"", slip.as_str(), false),
        ("\"typed\" ", "\"files:shares\" ", false),
        ("# reuse_escrow = \"\"", "reuse_escrow = \"a test\"", false),
    ] {
        assert!(plan.contains(from) || !always, "{from}:\n{plan}");
        plan = plan.replacen(from, to, 1);
    }
    plan
}

/// Runs it; the record's directory.
#[track_caller]
fn runs(room: &Room, plan: &str) -> String {
    let output = room.run_text(plan);
    assert!(output.status.success(), "{}\n{plan}", stderr(&output));
    let beside = room.beside();
    let new: Vec<_> = beside.iter().filter(|name| *name != "one").collect();
    assert_eq!(new.len(), 1, "{beside:?}");
    let record = format!("records/{}", new[0]);
    let (new, old) = (room.transcript(&record), room.transcript("records/one"));
    assert_eq!(fingerprint(&new), fingerprint(&old));
    record
}

#[test]
fn the_plan_of_a_reimport_runs() {
    let Some(room) = made("extractable") else {
        return;
    };
    let record = runs(&room, &filled(&room, "--reimport"));
    assert_eq!(
        room.openssl_opens(&wrapped(&record)),
        room.openssl_opens(&wrapped("records/one"))
    );
}

#[test]
fn the_plan_of_a_recovery_runs_with_the_hsm_empty() {
    for keep in ["extractable", "sealed", "none"] {
        let Some(room) = made(keep) else {
            return;
        };
        room.token(&["destroy", "ceremony", PIN, LABEL]);
        let record = runs(&room, &filled(&room, "--recover"));
        assert_eq!(
            room.openssl_opens(&wrapped(&record)),
            room.openssl_opens(&wrapped("records/one"))
        );
        assert_eq!(room.objects().len(), usize::from(keep != "none"));
    }
}

#[test]
fn the_plan_of_new_shares_runs_from_the_hsm_or_from_a_quorum() {
    for (keep, kind) in [
        ("extractable", "reimport"),
        ("sealed", "recover"),
        ("none", "recover"),
    ] {
        let Some(room) = made(keep) else {
            return;
        };
        let plan = filled(&room, "--new-shares");
        assert!(plan.contains(&format!("\"{kind}\"")), "{plan}");
        let record = runs(&room, &plan);
        assert_eq!(shares(&room.path("new-shares")).len(), 3);
        let transcript = room.transcript(&record);
        assert_eq!(transcript.event("escrow-proved")["shares"], 3);
        assert_eq!(
            transcript.event("escrow-superseded")["custodians"],
            serde_json::json!(["Security", "Audit", "Treasury"])
        );
    }
}

/// The HSM is lost; another one takes its place, whose token has another serial number.
#[test]
fn the_plan_of_a_recovery_names_the_token_of_the_module_that_is_given() {
    let (Some(mut room), Some(other)) = (room(Kind::SoftHsm, 2, 3), Room::new(Kind::SoftHsm))
    else {
        return;
    };
    // With the serial number, as byok writes it.
    let fresh = room
        .byok(&["plan", "--module", room.plan.module.as_str()])
        .output()
        .unwrap();
    let fresh = support::stdout(&fresh);
    let token = fresh
        .lines()
        .find(|line| line.starts_with("token"))
        .unwrap();
    let old = token.split('"').nth(1).unwrap().to_owned();
    assert!(old.contains(";serial="), "{old}");
    room.plan.token = old.clone();
    room.run_well();
    let record = room.path("records/one").display().to_string();
    let plan = |room: &Room, more: &[&str]| {
        let args = [&["plan", "--recover", record.as_str()], more].concat();
        room.byok(&args).output().unwrap()
    };
    let module = other.plan.module.as_str();
    let said = plan(&other, &["--module", module]);
    let said = support::stdout(&said);
    assert!(said.contains(&format!("module = \"{module}\"")), "{said}");
    assert!(
        said.contains("token  = \"pkcs11:token=ceremony;serial="),
        "{said}"
    );
    assert!(!said.contains(&old), "{said}");

    other.token(&["init", "second", PIN]);
    refused(
        &plan(&other, &["--module", module]),
        3,
        &["tokens match", "--token LABEL"],
    );
    let said = plan(&other, &["--module", module, "--token", "second"]);
    let said = support::stdout(&said);
    assert!(
        said.contains("token  = \"pkcs11:token=second;serial="),
        "{said}"
    );
    // Without a module nothing is asked; a label is a label all the same.
    let said = support::stdout(&plan(&room, &["--token", "second"]));
    assert!(said.contains("token  = \"pkcs11:token=second\""), "{said}");
    // The module that the record names still shows its token among others.
    room.token(&["init", "second", PIN]);
    let said = plan(&room, &["--module", room.plan.module.as_str()]);
    assert!(
        support::stdout(&said).contains("token=ceremony;serial="),
        "{}",
        stderr(&said)
    );
}

#[test]
fn a_record_without_shares_gives_no_plan_that_needs_them() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    for (option, says) in [
        ("--recover", "holds no escrow package"),
        ("--new-shares", "that record dealt no shares"),
    ] {
        let output = room
            .byok(&["plan", option, "records/one"])
            .output()
            .unwrap();
        refused(&output, 2, &[says]);
    }
    let both = [
        "plan",
        "--recover",
        "records/one",
        "--new-shares",
        "records/one",
    ];
    refused(
        &room.byok(&both).output().unwrap(),
        2,
        &["cannot be used with"],
    );
}

/// New parameters are given where the plan is written: it names them, and takes from them what they say.
#[test]
fn the_plan_of_a_reimport_takes_new_parameters() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let name = "inputs/new.json";
    let parameters = room.kms.parameters(ARN, support::now() + 80_000);
    let parameters = parameters.replacen('{', "{\"WrappingAlgorithm\": \"RSAES_OAEP_SHA_1\",", 1);
    fs::write(room.path(name), parameters).unwrap();
    let args = ["plan", "--reimport", "records/one", name];
    let output = room.byok(&args).output().unwrap();
    let plan = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    for says in [
        "parameters = \"inputs/new.json\"",
        "wrapping   = \"RSAES_OAEP_SHA_1\"",
        "previous = \"records/one\"",
    ] {
        assert!(plan.contains(says), "{says}:\n{plan}");
    }
    // Of another KMS key than the record's they are refused, by its name.
    let other = ARN.replace("1234abcd-12ab", "99999999-12ab");
    fs::write(
        room.path(name),
        room.kms.parameters(&other, support::now() + 80_000),
    )
    .unwrap();
    refused(
        &room.byok(&args).output().unwrap(),
        4,
        &[&other, "[KMS-KEY-MATCH]"],
    );
}

#[test]
fn the_plan_again_expires_as_late_as_kms_takes_and_finds_its_record_from_where_it_stands() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let soon = jiff::Timestamp::from_second(support::now() as i64 + 30 * 86_400).unwrap();
    room.plan.expires = soon.to_string();
    room.run_well();
    fs::create_dir_all(room.path("plans/next")).unwrap();
    for (out, previous) in [
        ("again.toml", "records/one"),
        ("plans/again.toml", "../records/one"),
        ("plans/next/again.toml", "../../records/one"),
    ] {
        let args = ["plan", "--reimport", "records/one", "--out", out];
        support::well(&room.byok(&args).output().unwrap());
        let plan = fs::read_to_string(room.path(out)).unwrap();
        assert!(
            plan.contains(&format!("previous = \"{previous}\"")),
            "{plan}"
        );
        let expires = plan
            .lines()
            .find_map(|line| line.strip_prefix("expires    = \""))
            .unwrap();
        let expires: jiff::Timestamp = expires.trim_end_matches('"').parse().unwrap();
        let days = (expires.as_second() - support::now() as i64) / 86_400;
        assert!((363..=365).contains(&days), "{days}: {plan}");
        let said = stdout(&room.byok(&["check", out]).output().unwrap());
        assert!(said.contains("holds together"), "{said}");
    }
}

/// What was recovered with shares that stay in use has no package of its own.
#[test]
fn the_plan_of_a_recovery_follows_a_record_without_a_package_to_the_one_that_has_it() {
    let Some(mut room) = made("none") else {
        return;
    };
    room.plan.kind = "recover".into();
    room.plan.directory = "records/two".into();
    room.plan.top_more = format!(
        "previous = \"records/one\"\nprevious_head = \"{}\"\nreuse_escrow = \"a test\"\n",
        head(&room.path("records/one"))
    );
    room.plan.more = "[recover]\nshares = \"files:shares\"\npackage = \"record\"\n".into();
    support::well(&room.run());
    assert!(!room.path("records/two/escrow-package.json").exists());
    let args = [
        "plan",
        "--recover",
        "records/two",
        "--reuse-escrow",
        "as before",
        "--out",
        "again.toml",
    ];
    let output = room.byok(&args).output().unwrap();
    support::well(&output);
    assert!(
        stderr(&output).contains("records/one, which dealt the shares in use"),
        "{}",
        stderr(&output)
    );
    let plan = fs::read_to_string(room.path("again.toml")).unwrap();
    assert!(plan.contains("previous = \"records/one\""), "{plan}");
    assert!(plan.contains("reuse_escrow = \"as before\""), "{plan}");
    assert!(plan.contains(&format!("key_arn    = \"{ARN}\"")), "{plan}");
}

/// Nor has what was recovered with them, or reimported, any shares of its own.
#[test]
fn the_plan_of_new_shares_follows_to_the_record_that_dealt_those_in_use() {
    for kind in ["recover", "reimport"] {
        let Some(mut room) = made("extractable") else {
            return;
        };
        room.plan.kind = kind.into();
        room.plan.directory = "records/two".into();
        room.plan.top_more = builds_on(&room, "records/one");
        room.plan.more = String::new();
        if kind == "recover" {
            room.plan.top_more += "reuse_escrow = \"a test\"\n";
            room.plan.more = "[recover]\nshares = \"files:shares\"\npackage = \"record\"\n".into();
        }
        support::well(&room.run());
        let args = ["plan", "--new-shares", "records/two"];
        let output = room.byok(&args).output().unwrap();
        support::well(&output);
        let plan = stdout(&output);
        let table = "[escrow]\n# as before: change what changed\nthreshold  = 2\n\
            custodians = [\"Security\", \"Audit\", \"Treasury\"]\ndeliver    = \"files:new-shares\"";
        assert!(plan.contains(table), "{plan}");

        // At a terminal it is asked who gets them.
        let mut pty = Pty::start(room.byok(&[&args[..], &["--out", "anew.toml"]].concat()));
        pty.answer(
            " Custodians, with commas between them (Enter: as before): ",
            "Ann, Ben, Eve",
        );
        pty.answer(" How many of these 3 are needed: ", "2");
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        assert!(
            ended
                .screen
                .contains("before: any 2 of 3: Security, Audit, Treasury"),
            "{}",
            ended.screen
        );
        let plan = fs::read_to_string(room.path("anew.toml")).unwrap();
        let table = "threshold  = 2\ncustodians = [\"Ann\", \"Ben\", \"Eve\"]\n";
        assert!(plan.contains(table), "{plan}");
    }
}

/// The word of the last ceremony makes way for that of the next.
#[test]
fn the_title_of_a_plan_that_builds_on_another_does_not_grow() {
    let Some(mut room) = made("extractable") else {
        return;
    };
    room.plan.title = "Payments (recover) (reimport)".into();
    fs::remove_dir_all(room.path("records")).unwrap();
    fs::remove_dir_all(room.path("shares")).unwrap();
    room.plan.label = "payments-2027".into();
    room.run_well();
    let args = ["plan", "--reimport", "records/one"];
    let plan = stdout(&room.byok(&args).output().unwrap());
    assert!(
        plan.contains("title    = \"Payments (reimport)\"\n"),
        "{plan}"
    );
}

#[test]
fn no_reason_is_filled_in_for_people() {
    let Some(room) = made("sealed") else {
        return;
    };
    let args = ["plan", "--recover", "records/one"];
    let output = room.byok(&args).output().unwrap();
    support::well(&output);
    assert!(stdout(&output).contains("# reuse_escrow = \"\"\n"));
    assert!(
        stderr(&output).contains("FILL IN reuse_escrow or [escrow]"),
        "{}",
        stderr(&output)
    );
    fs::write(room.path("open.toml"), stdout(&output)).unwrap();
    refused(
        &room.byok(&["check", "open.toml"]).output().unwrap(),
        2,
        &["reuse_escrow"],
    );

    // At a terminal it is asked.
    let asks = |answers: &[(&str, &str)], out: &str| {
        let mut pty = Pty::start(room.byok(&[&args[..], &["--out", out]].concat()));
        for (question, answer) in answers {
            pty.answer(question, answer);
        }
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        fs::read_to_string(room.path(out)).unwrap()
    };
    let why = " Why they stay in use (Enter: new shares are dealt): ";
    let plan = asks(&[(why, "nobody left")], "reuse.toml");
    assert!(
        plan.contains("reuse_escrow = \"nobody left\"") && !plan.contains("[escrow]"),
        "{plan}"
    );
    let who = " Custodians, with commas between them (Enter: as before): ";
    let many = " How many of these 3 are needed: ";
    let plan = asks(
        &[(why, ""), (who, ""), (many, "4"), (many, "2")],
        "new.toml",
    );
    let table = "threshold  = 2\ncustodians = [\"Security\", \"Audit\", \"Treasury\"]\n";
    assert!(
        plan.contains(table) && !plan.contains("reuse_escrow"),
        "{plan}"
    );
}

#[test]
fn a_new_plan_asks_who_gets_shares_or_says_that_nobody_does() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let plan = |args: &[&str]| room.byok(&[&["plan"], args].concat()).output().unwrap();
    let flags = ["--custodians", "Ann, Ben , Eve", "--threshold", "2"];
    let table = "\n[escrow]\nthreshold  = 2\ncustodians = [\"Ann\", \"Ben\", \"Eve\"]\n";
    assert!(stdout(&plan(&flags)).contains(table));
    for (custodians, threshold, says) in [
        ("Ann", "1", "2 to 16 custodians"),
        ("Ann, Ben", "3", "a number from 2 to 2"),
        ("Ann, Ben", "1", "a number from 2 to 2"),
        ("Ann, Ben, ann", "2", "\"ann\" is there twice"),
        ("Ann; Ben; Eve", "2", "put commas between the names"),
        ("Ann, B\u{200b}en", "2", "cannot be a name"),
    ] {
        let output = plan(&["--custodians", custodians, "--threshold", threshold]);
        refused(&output, 2, &[says]);
    }
    // Nobody is there to be asked: it is said loudly.
    let output = plan(&[]);
    assert!(stdout(&output).contains("\n# [escrow]\n"));
    assert!(
        stderr(&output).contains("WARNING: this plan has no [escrow]"),
        "{}",
        stderr(&output)
    );
    let output = plan(&["--no-escrow"]);
    assert!(stdout(&output).contains("# No [escrow], as was said"));
    assert_eq!(stderr(&output), "");
    let who = " Custodians, with commas between them, or none for no escrow: ";
    let asks = |answers: &[(&str, &str)], out: &str| {
        let mut pty = Pty::start(room.byok(&["plan", "--out", out]));
        for (question, answer) in answers {
            pty.answer(question, answer);
        }
        assert_eq!(pty.end().code, Some(0));
        fs::read_to_string(room.path(out)).unwrap()
    };
    let many = " How many of these 3 are needed: ";
    let text = asks(
        &[
            (who, "Ann"),
            (who, "Ann, Ben, ann"),
            (who, "Ann; Ben; Eve"),
            (who, "Ann, B\u{1b}[Den"),
            (who, "Ann, Ben, Eve"),
            (many, "2"),
        ],
        "three.toml",
    );
    assert!(text.contains(table), "{text}");
    let text = asks(&[(who, ""), (who, "none")], "none.toml");
    assert!(text.contains("# No [escrow], as was said"), "{text}");
    let written = text.lines().filter(|line| !line.starts_with("key_arn"));
    support::fits(&written.collect::<Vec<_>>().join("\n"));
}

#[test]
fn check_warns_of_an_import_token_that_an_earlier_record_used() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    room.plan.directory = "records/two".into();
    room.plan.label = "payments-2027".into();
    let check = |room: &Room| {
        room.write_plan();
        stdout(&room.byok(&["check", "plan.toml"]).output().unwrap())
    };
    let warns = "eu-west-1: its import token was already used for records/one";
    let said = check(&room);
    assert!(said.contains(warns), "{said}");
    // Also of the record that a plan builds on, wherever that lies.
    fs::rename(room.path("records"), room.path("before")).unwrap();
    let said = check(&room);
    assert!(!said.contains("already"), "{said}");
    room.plan.label = LABEL.into();
    room.plan.kind = "reimport".into();
    room.plan.top_more = "previous = \"before/one\"\n".into();
    let said = check(&room);
    assert!(said.contains("was already used for before/one"), "{said}");
    let mut parameters: serde_json::Value =
        serde_json::from_slice(&fs::read(room.path("inputs/eu-west-1.json")).unwrap()).unwrap();
    parameters["ImportToken"] = support::base64(&[9; 600]).into();
    fs::write(room.path("inputs/eu-west-1.json"), parameters.to_string()).unwrap();
    let said = check(&room);
    assert!(!said.contains("already"), "{said}");
}
