//! `byok plan --reimport`, `--recover` and `--new-shares`: what they write needs only what people know,
//! and then runs to its end.

mod support;

use std::fs;

use support::escrow::{fingerprint, head, room, shares, wrapped};
use support::{Kind, LABEL, PIN, Room, refused, stderr};

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
    for option in ["--recover", "--new-shares"] {
        let output = room
            .byok(&["plan", option, "records/one"])
            .output()
            .unwrap();
        refused(&output, 2, &["that record"]);
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
