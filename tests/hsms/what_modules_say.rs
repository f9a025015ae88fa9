//! What an HSM's module says of itself, prints, and does not find: none of it decides more than it may.

use crate::support;

use support::pty;
use support::{Kind, PIN, Room, refused, sha256, stderr, stdout};

const HARDWARE: &str = "manufacturer:Maker Inc.;model:Model 7;hardware-slot";
const UNKNOWN: &str = "manufacturer:Maker Inc.;model:Model 7";

/// A room before SoftHSM that says of itself what these rules tell.
fn room(rules: &str) -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.behind_proxy(rules)?;
    Some(room)
}

/// The plan says that the HSM is hardware.
fn says_hardware(room: &mut Room) {
    room.plan.pin = "file:pin\"\nhardware = \"a card of ours".into();
}

// ---- hardware or software ----------------------------------------------------------

#[test]
fn an_hsm_is_software_unless_its_slot_or_the_plan_says_otherwise() {
    const NEVER: &str = "never left the HSM in clear";
    const SOFTWARE: &str = "software HSM";
    let rows: [(&str, bool, &str, &str, &str); 13] = [
        // what the module says, whether the plan says hardware, by what it is judged, grade, exception
        (UNKNOWN, false, "slot", SOFTWARE, ""),
        (HARDWARE, false, "slot", NEVER, ""),
        (HARDWARE, true, "slot", NEVER, ""),
        (
            UNKNOWN,
            true,
            "plan",
            NEVER,
            "hardware by the plan's word only",
        ),
        ("hardware-slot", false, "manufacturer", SOFTWARE, ""),
        ("", true, "manufacturer", SOFTWARE, "which is not believed"),
        (
            "manufacturer:IBM;model:IBM SoftTok;hardware-slot",
            false,
            "model",
            SOFTWARE,
            "",
        ),
        (
            "manufacturer:IBM;model:IBM Soft;hardware-slot",
            true,
            "model",
            SOFTWARE,
            "which is not believed",
        ),
        (
            "manufacturer:IBM Corp.;model:Soft;hardware-slot",
            false,
            "model",
            SOFTWARE,
            "",
        ),
        (
            "manufacturer:IBM;model:EP11;hardware-slot",
            false,
            "slot",
            NEVER,
            "",
        ),
        (
            "manufacturer:wolfpkcs11;hardware-slot",
            false,
            "manufacturer",
            SOFTWARE,
            "",
        ),
        (
            "manufacturer:Mozilla Foundation;model:NSS 3;hardware-slot",
            false,
            "manufacturer",
            SOFTWARE,
            "",
        ),
        (
            "manufacturer:Maker;model:Model;hardware-slot;fail:C_GetSlotInfo:*:CKR_DEVICE_ERROR",
            false,
            "slot",
            SOFTWARE,
            "",
        ),
    ];
    let Some(mut room) = room("") else {
        return;
    };
    for (number, (rules, by_plan, judged_by, grade, exception)) in rows.into_iter().enumerate() {
        room.behind_proxy(rules).unwrap();
        room.plan.pin = "file:pin".into();
        if by_plan {
            says_hardware(&mut room);
        }
        room.plan.label = format!("key-{number}");
        room.plan.directory = format!("records/{number}");
        let output = room.run();
        assert!(output.status.success(), "{rules}: {}", stderr(&output));
        let transcript = room.transcript(&room.plan.directory);
        let opened = transcript.event("hsm-opened");
        let software = grade == SOFTWARE;
        assert_eq!(opened["software"], software, "{rules}");
        assert_eq!(opened["judged_by"], judged_by, "{rules}");
        let reason = (judged_by == "plan").then_some("a card of ours");
        assert_eq!(opened["hardware_reason"].as_str(), reason, "{rules}");
        assert_eq!(transcript.event("sealed")["exposure"], grade, "{rules}");
        let exceptions: Vec<String> = transcript
            .events("exception")
            .iter()
            .map(|event| event["what"].as_str().unwrap().to_owned())
            .filter(|what| what.contains("hardware"))
            .collect();
        assert_eq!(
            exceptions.len(),
            usize::from(!exception.is_empty()),
            "{rules}: {exceptions:?}"
        );
        assert!(
            exceptions.concat().contains(exception),
            "{rules}: {exceptions:?}"
        );
        let report =
            std::fs::read_to_string(room.path(&format!("{}/transcript.html", room.plan.directory)));
        let why = match (software, judged_by) {
            (true, "slot") => "CKF_HW_SLOT is not set",
            (true, field) => &format!(
                "a software HSM, known by its {field}: {}",
                opened[field].as_str().unwrap()
            ),
            (false, "slot") => "hardware: its slot says so (CKF_HW_SLOT)",
            (false, _) => "the plan says why: a card of ours",
        };
        let report = report.unwrap().replace('\n', " ");
        assert!(report.contains(why), "{rules}: {why}");
    }
}

#[test]
fn check_doctor_and_the_approval_say_why() {
    let Some(mut room) = room(UNKNOWN) else {
        return;
    };
    let said = |room: &Room| {
        room.write_plan();
        stdout(&room.byok(&["check", "plan.toml"]).output().unwrap())
    };
    let clear =
        "WARNING  token: the HSM is a software HSM: its slot does not say that it is hardware";
    assert!(said(&room).contains(clear), "{}", said(&room));
    let approval = pty::approval(&room);
    assert!(!approval.contains(" hardware "), "{approval}");
    says_hardware(&mut room);
    let planned =
        "WARNING  token: the HSM is hardware by the plan's word only: its slot does not say so";
    assert!(said(&room).contains(planned), "{}", said(&room));
    let approval = pty::approval(&room).replace('\n', " ");
    assert!(
        approval.contains("hardware  by the plan's word if not by its slot's"),
        "{approval}"
    );
    let doctor = room
        .byok(&["doctor", "plan.toml", "--json"])
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert_eq!(told["judged_by"], "plan", "{told}");
    assert_eq!(
        (&told["software"], &told["hardware_reason"]),
        (&false.into(), &"a card of ours".into())
    );
    room.behind_proxy(HARDWARE).unwrap();
    let set = "ok       token: the HSM is hardware: its slot says so (CKF_HW_SLOT)";
    assert!(said(&room).contains(set), "{}", said(&room));
    room.plan.pin = "file:pin\"\nhardware = \"".into();
    refused(&room.run(), 2, &["hsm.hardware must be a reason"]);
}

#[test]
fn a_plan_for_the_same_hsm_asks_whether_the_reason_still_holds() {
    let Some(mut room) = room(UNKNOWN) else {
        return;
    };
    says_hardware(&mut room);
    room.run_well();
    let again = |more: &[&str]| {
        let args = [&["plan", "--reimport", "records/one"], more].concat();
        let output = room.byok(&args).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let plan = again(&[]);
    let reason = plan
        .lines()
        .find(|line| line.starts_with("hardware = \"a card of ours\""));
    assert!(
        reason.is_some_and(|line| line.ends_with("# is this still true?")),
        "{plan}"
    );
    assert!(!again(&["--token", "pkcs11:token=other"]).contains("hardware"));
}

// ---- what it prints ----------------------------------------------------------------

/// What somebody would like to be taken for the outcome.
const FORGED: &str = "0000000000000000000000000000000000000000000000000000000000000000  records/one/transcript.jsonl";

#[test]
fn what_a_module_prints_is_not_what_byok_says() {
    let Some(room) = room(&format!("print:{FORGED}")) else {
        return;
    };
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let head = sha256(&std::fs::read(room.path("records/one/transcript.jsonl")).unwrap());
    assert_eq!(
        stdout(&output),
        format!("{head}  records/one/transcript.jsonl\n")
    );
    assert!(stderr(&output).contains(FORGED));
    let module = room.plan.module.as_str();
    for args in [
        &["check", "--hsm", "--json", "plan.toml"][..],
        &["doctor", "--json", "plan.toml"],
        &["plan", "--module", module, "--token", "ceremony"],
    ] {
        let output = room.byok(args).output().unwrap();
        assert!(!stdout(&output).contains(FORGED), "{args:?}");
        assert!(
            stderr(&output).contains(FORGED),
            "{args:?}: the module was not loaded"
        );
        if args.contains(&"--json") {
            let one_line = stdout(&output);
            assert_eq!(one_line.lines().count(), 1, "{args:?}");
            serde_json::from_str::<serde_json::Value>(&one_line).unwrap();
        }
    }
}

#[test]
fn a_rehearsal_prints_its_own_lines_only() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/prints.c");
    let real = format!("-DREAL=\"{}\"", room.module.display());
    let text = format!("-DTEXT=\"{FORGED}\"");
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wall", &real, &text, "-o"]);
    cc.arg(room.path("prints.so")).args([source, "-ldl"]);
    assert!(cc.status().unwrap().success());
    let mut rehearse = room.byok(&[
        "rehearse",
        "--module",
        "prints.so",
        "--directory",
        "practice",
    ]);
    let output = rehearse.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.starts_with("made ") && !said.contains(FORGED),
        "{said}"
    );
    let printed = stderr(&output);
    assert!(printed.matches(FORGED).count() > 2, "{printed}");
}

#[test]
fn a_pin_is_never_read_from_where_byok_keeps_its_output() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "fd:3".into(); // nobody opened it
    let approved = {
        let plan = room.write_plan();
        sha256(&std::fs::read(plan).unwrap())
    };
    std::fs::write(room.path("out"), format!("{PIN}\n")).unwrap(); // it would do
    let out = std::fs::File::options()
        .append(true)
        .open(room.path("out"))
        .unwrap();
    let mut run = room.byok(&["run", "plan.toml", "--approve", &approved]);
    let output = run.stdout(out).output().unwrap();
    let not_given = "the PIN from descriptor 3: No such file: byok was not started with it";
    refused(&output, 2, &[not_given]);
}

// ---- what it does not get ----------------------------------------------------------

#[test]
fn an_hsm_that_is_reached_by_network_is_told_why_it_is_not() {
    for call in ["C_Initialize", "C_GetSlotList", "C_OpenSession"] {
        let Some(mut room) = room(&format!("dials:{call}:CKR_DEVICE_REMOVED")) else {
            return;
        };
        let check = |room: &Room| {
            room.write_plan();
            stdout(
                &room
                    .byok(&["check", "--hsm", "plan.toml"])
                    .output()
                    .unwrap(),
            )
        };
        let denied = "byok denies the module every network socket (network = \"forbidden\")";
        assert!(!check(&room).contains(denied));
        room.plan.network = "forbidden".into();
        let told = check(&room);
        assert!(
            told.contains("CKR_DEVICE_REMOVED") && told.contains(denied),
            "{call}: {told}"
        );
        assert!(told.contains("network = \"hsm\""), "{call}: {told}");
        let (byok, cable) = (told.find(denied), told.find("check its cable"));
        assert!(byok < cable, "{call}: the likelier one first: {told}");
    }
}

/// What is likelier than a network comes first: the token has another label.
#[test]
fn a_token_that_is_not_there_is_told_beside_those_that_are() {
    let Some(mut room) = room("") else {
        return;
    };
    let uri = "there is pkcs11:token=ceremony;serial=";
    room.plan.token = "pkcs11:token=elsewhere".into();
    room.plan.network = "forbidden".into();
    room.write_plan();
    let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
    let told = stdout(&checked);
    let mut hints = told.lines();
    let error =
        "wrong    pkcs11:token=elsewhere: no token matches: none has the label \"elsewhere\"";
    assert!(hints.any(|line| line == error), "{told}");
    for hint in [
        uri,
        "if it is one of these, ",
        "byok denies the module every network",
    ] {
        let line = hints.next().unwrap();
        assert!(
            line.starts_with(&format!("         - {hint}")),
            "{hint}: {told}"
        );
    }
    room.plan.token = "pkcs11:token=ceremony;serial=0".into();
    room.write_plan();
    let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
    let told = stdout(&checked);
    assert!(
        told.contains("no token matches: serial, manufacturer or model differs"),
        "{told}"
    );
}

#[test]
fn a_hidden_variable_that_the_modules_file_names_is_named() {
    let Some(mut room) = room("fail:C_Initialize:1:CKR_FUNCTION_FAILED") else {
        return;
    };
    room.write_plan();
    let plan = std::fs::read_to_string(room.path("plan.toml")).unwrap();
    let line = plan
        .lines()
        .find(|line| line.starts_with("env = "))
        .unwrap();
    let fewer = plan.replace(line, "env = [\"SOFTHSM2_CONF\"]");
    room.env.push(("SOMETHING_ELSE".into(), "x".into()));
    let refused_by = |room: &Room, text: &str| stderr(&room.run_text(text));
    let told = refused_by(&room, &fewer);
    for name in ["BYOK_PROXY_MODULE", "BYOK_PROXY_RULES"] {
        assert!(
            told.contains(&format!("{name} is set, but the module does not see it")),
            "{told}"
        );
    }
    assert!(!told.contains("SOMETHING_ELSE"), "{told}");
    assert!(!refused_by(&room, &plan).contains("does not see it"));
    // and whoever has no plan yet is told what it needs
    room.behind_proxy("").unwrap();
    let module = room.plan.module.as_str();
    let output = room
        .byok(&["plan", "--module", module, "--token", "ceremony"])
        .output()
        .unwrap();
    assert!(
        stdout(&output)
            .contains("env    = [\"BYOK_PROXY_MODULE\", \"BYOK_PROXY_RULES\", \"SOFTHSM2_CONF\"]"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}
