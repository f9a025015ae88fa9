//! Ceremonies that must not come to their end: what is said, what is left, and that the next one does.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::aborted::{aborted, aborted_beside, files_of, nothing_made};
use support::{
    ARN, Kind, LABEL, PIN, Room, SHA_1, SHA_256, Transcript, namespace, now, refused, skip, stderr,
    stdout, tree,
};

// ---- the import parameters ---------------------------------------------------------

fn parameters_that_are_not_what_they_claim(kind: Kind) {
    let Some(room) = Room::new(kind) else {
        return;
    };
    let write = |room: &Room, json: String| {
        fs::write(room.path("inputs/eu-west-1.json"), json).unwrap();
    };
    let deadline = now() + 86_000;
    let other_account = ARN.replace("111122223333", "999988887777");
    let other_key = ARN.replace("1234abcd-", "1234abce-");
    for arn in [&other_account, &other_key] {
        write(&room, room.kms.parameters(arn, deadline));
        let says = ["step 5 of 13", "[KEY-ARN-MATCH]", ARN, arn];
        aborted(&room, &room.run(), 4, &says);
    }

    let json = room.kms.parameters(ARN, deadline);
    let named = json.replacen('{', &format!("{{\"WrappingAlgorithm\": \"{SHA_256}\","), 1);
    write(&room, named);
    let says = ["step 5 of 13", "[WRAPPING-ALGORITHM-MATCH]", SHA_256];
    aborted(&room, &room.run(), 4, &says);

    write(&room, room.kms.parameters(ARN, now() - 1));
    let says = [
        "step 5 of 13",
        "[PARAMETERS-DEADLINE]",
        "byok: hint: download new ones",
    ];
    aborted(&room, &room.run(), 4, &says);

    write(&room, json);
    room.run_corrected(&[]);
}

support::twins!(
    parameters_that_are_not_what_they_claim_stop_a_ceremony_on_softhsm,
    parameters_that_are_not_what_they_claim_stop_a_ceremony_on_kryoptic,
    parameters_that_are_not_what_they_claim
);

#[test]
fn missing_parameters_are_exit_2_before_anything_is_made() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::remove_file(room.path("inputs/eu-west-1.json")).unwrap();
    let says = ["[PARAMETERS-PRESENT]", "inputs/eu-west-1.json"];
    nothing_made(&room, &room.run(), 2, &says);
    room.write_parameters();
    room.run_corrected(&[]);
}

// ---- the PIN -----------------------------------------------------------------------

/// What the proxy's log says of one function, a return value a call.
fn logged(room: &Room, function: &str) -> Vec<String> {
    let log = fs::read_to_string(room.path("calls.log")).unwrap_or_default();
    let calls = log.lines().filter_map(|line| line.strip_prefix(function));
    calls
        .filter_map(|rest| rest.strip_prefix(' '))
        .map(str::to_owned)
        .collect()
}

fn a_wrong_pin_is_tried_once(kind: Kind) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    let rules = format!("log:{}", room.path("calls.log").display());
    let Some(()) = room.behind_proxy(&rules) else {
        return;
    };
    fs::write(room.path("pin"), "wrong-pin-of-the-tests\n").unwrap();
    let output = room.run();
    let says = [
        "step 4 of 13",
        "C_Login: CKR_PIN_INCORRECT",
        "[PIN]",
        "it was tried once",
    ];
    aborted(&room, &output, 3, &says);
    assert!(!stderr(&output).contains("wrong-pin-of-the-tests"));
    assert_eq!(logged(&room, "C_Login"), ["CKR_PIN_INCORRECT"]);
    fs::write(room.path("pin"), PIN).unwrap();
    room.run_corrected(&[]);
    assert_eq!(logged(&room, "C_Login"), ["CKR_PIN_INCORRECT", "CKR_OK"]);
}

support::twins!(
    a_wrong_pin_is_tried_once_on_softhsm,
    a_wrong_pin_is_tried_once_on_kryoptic,
    a_wrong_pin_is_tried_once
);

/// What people save as a PIN beside a PIN. Each would spend a try that the token counts.
#[test]
fn what_is_no_pin_is_refused_by_name_before_a_try_is_spent() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let rules = format!("log:{}", room.path("calls.log").display());
    let Some(()) = room.behind_proxy(&rules) else {
        return;
    };
    room.write_plan();
    let utf16 = |first: &[u8], wide: fn(u16) -> [u8; 2]| {
        let units = PIN.encode_utf16().flat_map(wide);
        [first.to_vec(), units.collect()].concat()
    };
    let bytes = |before: &str, after: &str| format!("{before}{PIN}{after}").into_bytes();
    for (file, why) in [
        (vec![], "it is empty"),
        (b"\r\n\n".to_vec(), "it is empty"),
        (bytes("\u{feff}", "\n"), "a byte order mark"),
        (utf16(b"\xff\xfe", u16::to_le_bytes), "it is UTF-16"),
        (utf16(b"\xfe\xff", u16::to_be_bytes), "it is UTF-16"),
        (utf16(b"", u16::to_le_bytes), "it is UTF-16"),
        (bytes("", "\0"), "it holds a zero byte"),
        (
            bytes("", "\nthe PIN of the test\n"),
            "it has more than one line",
        ),
        (bytes("# PIN\n", ""), "it has more than one line"),
        (bytes("\"", "\"\n"), "it stands in quotation marks"),
        (bytes("'", "'"), "it stands in quotation marks"),
        (
            bytes("\u{201c}", "\u{201d}"),
            "it stands in quotation marks",
        ),
        (bytes(" ", ""), "it begins or ends with a blank"),
        (bytes("", " \n"), "it begins or ends with a blank"),
        (bytes("", "\u{1b}[C"), "a control character"),
        ([PIN.as_bytes(), b"\xe4"].concat(), "it is not UTF-8 text"),
        (vec![b'1'; 2000], "it is longer than 1023 bytes"),
    ] {
        fs::write(room.path("pin"), &file).unwrap();
        let doctor = |pin: &str| {
            let module = room.plan.module.clone();
            let token = ["--token", "pkcs11:token=ceremony", "--pin", pin];
            let mut by_shell = std::process::Command::new("sh");
            let byok = room.byok(&[]);
            by_shell.envs(
                byok.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            by_shell.current_dir(byok.get_current_dir().unwrap());
            by_shell.args(["-c", "exec \"$0\" \"$@\" 3<pin"]);
            by_shell.arg(byok.get_program());
            by_shell.args([&["doctor", "--module", &module][..], &token].concat());
            by_shell.output().unwrap()
        };
        let run = room.run();
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert!(stdout(&check).contains(why), "{}", stdout(&check));
        for output in [run, check, doctor("file:pin"), doctor("fd:3")] {
            let said = format!("{}{}", stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(2), "{why}: {said}");
            assert!(said.contains(why) && said.contains("[PIN-FORM]"), "{said}");
            assert!(!said.contains(PIN), "{said}");
        }
        assert!(logged(&room, "C_Login").is_empty(), "{why}");
        assert!(room.objects().is_empty());
    }
    fs::write(room.path("pin"), format!("{PIN}\r\n\n")).unwrap();
    room.run_corrected(&[]);
    assert_eq!(logged(&room, "C_Login"), ["CKR_OK"]);
}

#[test]
fn the_last_pin_try_is_not_made_where_nobody_can_confirm_it() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let log = format!("log:{}", room.path("calls.log").display());
    let Some(()) = room.behind_proxy(&format!("pin-flags:2;{log}")) else {
        return;
    };
    let says = [
        "step 4 of 13",
        "next wrong PIN locks it",
        "pin = \"prompt\"",
    ];
    aborted(&room, &room.run(), 3, &says);
    assert_eq!(logged(&room, "C_Login"), [""; 0]);

    room.behind_proxy(&format!("pin-flags:3;{log}")).unwrap();
    let says = [
        "step 4 of 13",
        "C_Login: CKR_PIN_LOCKED",
        "security officer to reset",
    ];
    aborted(&room, &room.run(), 3, &says);

    room.behind_proxy(&format!("pin-flags:1;{log}")).unwrap();
    room.run_corrected(&[]);
}

// ---- module and token --------------------------------------------------------------

#[test]
fn a_module_that_is_none_is_exit_3() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let module = room.plan.module.clone();
    room.plan.module = "/nonexistent/pkcs11.so".into();
    let says = [
        "/nonexistent/pkcs11.so",
        "No such file",
        "hsm.module in the plan",
    ];
    nothing_made(&room, &room.run(), 3, &says);

    fs::write(room.path("text.so"), "no library at all\n").unwrap();
    room.plan.module = "text.so".into();
    let says = ["step 4 of 13", "loading the PKCS#11 module", "text.so"];
    aborted(&room, &room.run(), 3, &says);

    // A library, but no PKCS#11 module.
    let libc = "/lib/x86_64-linux-gnu/libc.so.6";
    if Path::new(libc).exists() {
        room.plan.module = libc.into();
        let says = [
            "step 4 of 13",
            "loading the PKCS#11 module",
            "C_GetFunctionList",
        ];
        aborted(&room, &room.run(), 3, &says);
    }
    room.plan.module = module;
    room.run_corrected(&[]);
}

/// The digest in the transcript is of the file that is loaded: a bare name is not looked up elsewhere.
#[test]
fn a_module_beside_the_plan_is_the_one_that_is_loaded() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let name = Path::new(&room.plan.module).file_name().unwrap();
    let name = name.to_str().unwrap().to_owned();
    let module = std::mem::replace(&mut room.plan.module, name.clone());
    fs::write(
        room.path(&name),
        "not the one that the system knows by this name\n",
    )
    .unwrap();
    aborted(
        &room,
        &room.run(),
        3,
        &["step 4 of 13", "loading the PKCS#11 module"],
    );
    fs::copy(module, room.path(&name)).unwrap();
    let transcript = room.run_corrected(&[]);
    let digest = support::sha256(&fs::read(room.path(&name)).unwrap());
    assert_eq!(
        transcript.event("hsm-opened")["module_sha256"],
        digest.as_str()
    );
}

#[test]
fn an_absent_token_is_named_with_those_that_are_there() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.token = "pkcs11:token=ceremonie".into();
    let says = [
        "step 4 of 13",
        "no token matches",
        "hint: there is pkcs11:token=ceremony;serial=",
    ];
    let output = room.run();
    aborted(&room, &output, 3, &says);

    room.plan.token = "pkcs11:token=ceremony;serial=00".into();
    aborted(&room, &room.run(), 3, &["no token matches"]);

    room.plan.token = hinted_tokens(&output)[0].clone();
    room.run_corrected(&[]);
}

fn hinted_tokens(output: &Output) -> Vec<String> {
    let text = stderr(output);
    let hints = text
        .lines()
        .filter_map(|line| line.strip_prefix("byok: hint: there is "));
    hints.map(str::to_owned).collect()
}

/// SoftHSM only: its tokens are directories, so a second one of the same label can be put beside.
#[test]
fn of_two_tokens_with_one_label_the_serial_chooses() {
    let (Some(mut room), Some(other)) = (Room::new(Kind::SoftHsm), Room::new(Kind::SoftHsm)) else {
        return;
    };
    let copied = Command::new("cp")
        .arg("-r")
        .arg(other.path("tokens/."))
        .arg(room.path("tokens"))
        .status();
    assert!(copied.unwrap().success());
    let output = room.run();
    refused(
        &output,
        3,
        &["step 4 of 13", "2 tokens match", "give label and serial"],
    );
    let tokens = hinted_tokens(&output);
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    assert_ne!(tokens[0], tokens[1]);
    assert!(room.aborted().events("key-intended").is_empty());
    fs::remove_dir_all(room.path("records")).unwrap();

    // Whichever of the two it is, the key is made in that one and not in the other.
    let serial = tokens[0].rsplit('=').next().unwrap().to_owned();
    room.plan.token = format!("pkcs11:serial={serial}");
    let transcript = room.run_well();
    assert_eq!(transcript.event("hsm-opened")["serial"], serial.as_str());
    let mut with_objects = Vec::new();
    for name in files_of(&room.path("tokens")) {
        let objects = files_of(&room.path("tokens").join(&name));
        if objects
            .iter()
            .any(|file| file.ends_with(".object") && file != "token.object")
        {
            with_objects.push(name);
        }
    }
    assert_eq!(with_objects.len(), 1, "{with_objects:?}");
    let uuid: String = with_objects[0].replace('-', "");
    assert!(uuid.ends_with(&serial), "{uuid} is not of serial {serial}");
}

// ---- the token goes away -----------------------------------------------------------

/// How often each function is called in a whole run of the usual plan.
fn calls_of_a_good_run(kind: Kind) -> Option<BTreeMap<String, u64>> {
    let mut room = Room::new(kind)?;
    room.behind_proxy(&format!("log:{}", room.path("calls.log").display()))?;
    room.run_corrected(&[]);
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(room.path("calls.log")).unwrap().lines() {
        let name = line.split(' ').next().unwrap().to_owned();
        *calls.entry(name).or_default() += 1;
    }
    Some(calls)
}

fn a_token_that_goes_away(kind: Kind) {
    let Some(calls) = calls_of_a_good_run(kind) else {
        return;
    };
    // Before the data key's own call, and after it: at check values, and while wrapping.
    for (function, made) in [
        ("C_GenerateKey", false),
        ("C_EncryptInit", true),
        ("C_WrapKey", true),
    ] {
        let Some(mut room) = Room::new(kind) else {
            return;
        };
        let rule = format!("removed-after:{function}:{}", calls[function]);
        room.behind_proxy(&rule).unwrap();
        let output = room.run();
        let failed = format!("{function}: CKR_DEVICE_REMOVED");
        let left = "state: 1 object of this run may still be in the HSM";
        refused(
            &output,
            3,
            &[
                &failed,
                left,
                "check its cable",
                "its transcript is not signed",
                "records/one.aborted-",
            ],
        );
        let transcript = room.aborted();
        let id = transcript.event("key-intended")["cka_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let removal = format!("to remove \"{LABEL}\", CKA_ID {id}: pkcs11-tool --module ");
        refused(
            &output,
            3,
            &[
                &removal,
                &format!(
                    "--token-label 'ceremony' --login --delete-object --type secrkey --id {id}"
                ),
            ],
        );
        let last = transcript.lines.last().unwrap();
        assert_eq!(
            (&last["event"], &last["exit"]),
            (&"aborted".into(), &3.into())
        );
        let key = format!("CKO_SECRET_KEY {LABEL} {id}");
        let expected = if made { vec![key] } else { Vec::new() };
        assert_eq!(room.objects(), expected, "{rule}");

        // The token is back: doctor lists exactly that, and the signer of the same run.
        room.without_proxy();
        room.write_plan();
        let record = format!("records/{}", room.beside()[0]);
        let doctor = room.byok(&["doctor", "plan.toml", "--leftovers", &record]);
        let listed = { doctor }.output().unwrap();
        assert!(listed.status.success(), "{}", stderr(&listed));
        if made {
            assert!(stdout(&listed).contains(&format!("left      {LABEL}, CKA_ID {id}")));
            assert!(stdout(&listed).contains(&format!("--delete-object --type secrkey --id {id}")));
        } else {
            assert!(!stdout(&listed).contains(LABEL), "{}", stdout(&listed));
        }
        assert!(stdout(&listed).contains("left      byok-transcript-signer, CKA_ID "));
        assert!(stdout(&listed).contains("--delete-object --type privkey --id "));
        let mut doctor = room.byok(&["doctor", "plan.toml", "--json", "--leftovers", &record]);
        let listed = doctor.output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        assert_eq!(json["left"].as_array().unwrap().len(), expected.len() + 1);
        assert_eq!(room.objects(), expected, "doctor only lists");

        // A failed attempt never blocks the next, which takes away what was left, and says so.
        let transcript = room.run_corrected(&[]);
        let mut destroyed = transcript.events("key-destroyed");
        destroyed.retain(|event| event["label"] == LABEL);
        assert_eq!(destroyed.len(), expected.len());
        assert!(destroyed.iter().all(|event| event["cka_id"] == id.as_str()));
        assert_eq!(room.signers().len(), 2, "the one that was left is gone");
    }
}

support::twins!(
    what_a_removed_token_keeps_is_named_and_found_again_on_softhsm,
    what_a_removed_token_keeps_is_named_and_found_again_on_kryoptic,
    a_token_that_goes_away
);

/// The answers that no other try changes, beside some that may pass.
#[test]
fn what_another_try_cannot_change_is_not_answered_with_power_and_cable() {
    let Some(calls) = calls_of_a_good_run(Kind::SoftHsm) else {
        return;
    };
    let lasting = "the HSM always refuses this, so another run of this plan would end here too";
    let passing = "check the HSM: power, cable, token and log";
    let too_long = "this module cannot wrap in this way";
    for (function, code, says) in [
        ("C_WrapKey", "CKR_MECHANISM_INVALID", lasting),
        ("C_WrapKey", "CKR_MECHANISM_PARAM_INVALID", lasting),
        ("C_WrapKey", "CKR_KEY_NOT_WRAPPABLE", lasting),
        ("C_WrapKey", "CKR_KEY_UNEXTRACTABLE", lasting),
        ("C_WrapKey", "CKR_BUFFER_TOO_SMALL", too_long),
        ("C_WrapKey", "CKR_FUNCTION_NOT_SUPPORTED", lasting),
        ("C_WrapKey", "CKR_TEMPLATE_INCONSISTENT", lasting),
        ("C_WrapKey", "CKR_ATTRIBUTE_VALUE_INVALID", lasting),
        ("C_GenerateKey", "CKR_TOKEN_WRITE_PROTECTED", lasting),
        ("C_WrapKey", "CKR_GENERAL_ERROR", passing),
        ("C_WrapKey", "CKR_HOST_MEMORY", passing),
        ("C_GenerateKey", "CKR_DEVICE_MEMORY", passing),
    ] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        let last = calls[function];
        room.behind_proxy(&format!("fail:{function}:{last}:{code}"))
            .unwrap();
        let output = room.run();
        refused(&output, 3, &[code, says]);
        let said = stderr(&output);
        for other in [lasting, passing] {
            assert_eq!(said.contains(other), other == says, "{code}: {said}");
        }
    }
}

// ---- functions that fail -----------------------------------------------------------

/// Every function of the run refuses its first call and then its last. Where nothing is lost by it,
/// the run may go on; then it comes to its end.
fn failing_functions(kind: Kind) {
    let Some(calls) = calls_of_a_good_run(kind) else {
        return;
    };
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    // C_EncryptInit's first refusal is not among them: the next row of the quirks table is tried. Nor is
    // C_GetTokenInfo, which is asked again.
    let stops = [
        "C_Initialize:1",
        "C_GetInfo:1",
        "C_GetSlotList:1",
        "C_OpenSession:1",
        "C_Login:1",
        "C_FindObjectsInit:1",
        "C_FindObjects:1",
        "C_GenerateKey:1",
        "C_GenerateKey:last",
        "C_GetAttributeValue:1",
        "C_GetAttributeValue:last",
        "C_CreateObject:1",
        "C_CreateObject:last",
        "C_EncryptInit:last",
        "C_WrapKey:1",
        "C_WrapKey:last",
        "C_DestroyObject:1",
        "C_DestroyObject:last",
    ];
    for stop in stops {
        let (function, number) = stop.split_once(':').unwrap();
        let last = calls[function].to_string();
        let number = if number == "last" { &last } else { number };
        let rv = if function == "C_WrapKey" {
            "CKR_KEY_UNEXTRACTABLE"
        } else {
            "CKR_FUNCTION_FAILED"
        };
        room.behind_proxy(&format!("fail:{function}:{number}:{rv}"))
            .unwrap();
        let failed = format!("{function}: {rv}");
        aborted(
            &room,
            &room.run(),
            3,
            &[&failed, "no data key was left in the HSM"],
        );
    }
    room.without_proxy();
    room.run_corrected(&[]);
}

support::twins!(
    a_function_that_fails_is_named_and_leaves_nothing_on_softhsm,
    a_function_that_fails_is_named_and_leaves_nothing_on_kryoptic,
    failing_functions
);

#[test]
fn a_key_that_cannot_be_destroyed_is_named() {
    let Some(calls) = calls_of_a_good_run(Kind::SoftHsm) else {
        return;
    };
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let (wrap, destroy) = (calls["C_WrapKey"], calls["C_DestroyObject"] + 1);
    room.behind_proxy(&format!(
        "fail:C_WrapKey:{wrap}:CKR_KEY_UNEXTRACTABLE;fail:C_DestroyObject:{destroy}:CKR_ACTION_PROHIBITED"
    ))
    .unwrap();
    let output = room.run();
    let id = room.aborted().event("key-intended")["cka_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let says = [
        "C_WrapKey: CKR_KEY_UNEXTRACTABLE",
        "1 object of this run may still be in the HSM",
        &id,
        "--delete-object",
    ];
    let key = format!("CKO_SECRET_KEY {LABEL} {id}");
    let transcript = aborted_beside(&room, &output, 3, &says, std::slice::from_ref(&key));
    assert!(transcript.events("key-destroyed").is_empty());
    room.without_proxy();
    assert_eq!(
        room.run_corrected(&[]).event("key-destroyed")["cka_id"],
        id.as_str()
    );
}

/// A token whose storage is out of reach answers every search with nothing: that is no proof that what it made
/// is gone. When it is there again, the next run takes it away.
fn made_and_not_found(kind: Kind) {
    let Some(calls) = calls_of_a_good_run(kind) else {
        return;
    };
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    let wrap = calls["C_WrapKey"];
    room.behind_proxy(&format!(
        "fail:C_WrapKey:{wrap}:CKR_DEVICE_ERROR;blind-after:C_WrapKey:{wrap}"
    ))
    .unwrap();
    let output = room.run();
    let says = [
        "C_WrapKey: CKR_DEVICE_ERROR",
        "state: 1 object of this run may still be in the HSM",
        "state: the transcript signer that this run made may still be in the HSM",
        "--delete-object",
    ];
    refused(&output, 3, &says);
    let transcript = room.aborted();
    let left = transcript.event("aborted")["may_be_left"]
        .as_array()
        .unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
    room.without_proxy();
    let record = format!("records/{}", room.beside()[0]);
    room.write_plan();
    let listed = room.byok(&["doctor", "plan.toml", "--leftovers", &record]);
    let listed = stdout(&{ listed }.output().unwrap());
    assert_eq!(listed.matches("left      ").count(), 2, "{listed}");
    let last = "in short this run left 2 objects. A new run of the same plan destroys them, once it is approved; by hand,";
    assert!(support::folded(&listed).contains(last), "{listed}");
    let taken_away = room.run_corrected(&[]);
    assert_eq!(taken_away.events("key-destroyed").len(), 2);
}

support::twins!(
    what_was_made_and_is_not_found_again_may_be_left_on_softhsm,
    what_was_made_and_is_not_found_again_may_be_left_on_kryoptic,
    made_and_not_found
);

// ---- modules that do otherwise than they are told -----------------------------------

/// A template that the module weakens, and an answer that deviates from the template.
fn other_attributes(kind: Kind) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    room.plan.record_more = "signer = \"none\"\n".into(); // its pair would be weakened first
    let weakened = [
        "CKA_DECRYPT=true",
        "CKA_SIGN=true",
        "CKA_VERIFY=true",
        "CKA_WRAP=true",
        "CKA_UNWRAP=true",
        "CKA_DERIVE=true",
        "CKA_SENSITIVE=false",
        "CKA_EXTRACTABLE=false",
        "CKA_PRIVATE=false",
        "CKA_COPYABLE=true",
        "CKA_MODIFIABLE=true",
        "CKA_TOKEN=true",
    ];
    let lies = [
        "CKA_LOCAL=false",
        "CKA_ALWAYS_SENSITIVE=false",
        "CKA_DESTROYABLE=false",
        "CKA_ENCRYPT=false",
        "CKA_EXTRACTABLE=false",
        "CKA_WRAP=true",
    ];
    let rules = weakened.iter().map(|what| ("weaken", what));
    for (rule, what) in rules.chain(lies.iter().map(|what| ("lie", what))) {
        let Some(()) = room.behind_proxy(&format!("{rule}:{what}")) else {
            return;
        };
        let output = room.run();
        let (name, value) = what.split_once('=').unwrap();
        let deviates = match value {
            "true" => format!("{name} is TRUE, not FALSE"),
            _ => format!("{name} is FALSE, not TRUE"),
        };
        let transcript = aborted(
            &room,
            &output,
            3,
            &["step 6 of 13, preflight", "[ATTRIBUTES]", &deviates],
        );
        assert!(transcript.events("key-intended").is_empty());
    }
    room.without_proxy();
    room.run_corrected(&[]);
}

support::twins!(
    keys_with_other_attributes_than_asked_are_refused_on_softhsm,
    keys_with_other_attributes_than_asked_are_refused_on_kryoptic,
    other_attributes
);

/// The module answers CKR_OK and wraps with SHA-1: only the control sees it.
#[test]
fn a_module_that_wraps_with_another_hash_is_found_out() {
    let Some(mut room) = Room::new(Kind::Kryoptic) else {
        return;
    };
    room.plan.wrapping = SHA_256.into();
    let Some(()) = room.behind_proxy("oaep-sha1") else {
        return;
    };
    let says = [
        "step 6 of 13, preflight",
        "[CONTROL]",
        "C_WrapKey answered CKR_OK, but",
        SHA_256,
        "wrap_in = \"host\"",
    ];
    let transcript = aborted(&room, &room.run(), 3, &says);
    assert!(transcript.events("key-intended").is_empty());
    room.without_proxy();
    room.run_corrected(&[]);
}

fn a_wrong_length(kind: Kind) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    for (more, len) in [("1", "257"), ("-1", "255"), ("-256", "0")] {
        let Some(()) = room.behind_proxy(&format!("wrap-length:{more}")) else {
            return;
        };
        let says = [
            "step 6 of 13, preflight",
            "[WRAPPED-LENGTH]",
            &format!("C_WrapKey: {len} bytes"),
            "a modulus of 256 bytes never gives",
        ];
        aborted(&room, &room.run(), 3, &says);
    }
    room.without_proxy();
    room.run_corrected(&[]);
}

support::twins!(
    wrapped_material_of_a_wrong_length_is_refused_on_softhsm,
    wrapped_material_of_a_wrong_length_is_refused_on_kryoptic,
    a_wrong_length
);

#[test]
fn an_hsm_that_takes_no_secret_keys_serves_wrap_in_host_through_a_key_pair_of_its_own() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.wrap_in = "host".into();
    let Some(()) = room.behind_proxy("refuse-create-secret") else {
        return;
    };
    room.run_corrected(&[]);
}

// ---- runs that are alive, and runs that died -----------------------------------------

#[test]
fn a_live_run_is_not_touched() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::create_dir_all(room.path("records/one.incomplete")).unwrap();
    let transcript = room.path("records/one.incomplete/transcript.jsonl");
    fs::write(&transcript, "").unwrap();
    let mut holder = Command::new("flock")
        .arg(&transcript)
        .args(["sh", "-c", "echo locked; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.as_mut().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "locked\n");
    let before = tree(&room.path("records"));
    refused(
        &room.run(),
        5,
        &[
            "[LIVE-RUN]",
            "a ceremony is running in",
            "records/one.incomplete",
        ],
    );
    let check = room.byok(&["check", "plan.toml"]).output().unwrap();
    assert_eq!(check.status.code(), Some(5), "{}", stdout(&check));
    assert!(stdout(&check).contains("[LIVE-RUN]"));
    assert_eq!(tree(&room.path("records")), before);
    assert_eq!(room.objects(), [""; 0]);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    room.run_corrected(&[]);
}

/// A run that hangs in a call of the HSM, killed there as by a power cut.
fn killed_at(room: &mut Room, function: &str, call: u64) {
    let log = room.path("calls.log");
    let hang = format!("hang:{function}:{call};log:{}", log.display());
    room.behind_proxy(&hang).unwrap();
    let child = room
        .run_under(&["env"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let hangs = format!("{function} hangs");
    kill_when(child.unwrap(), || {
        fs::read_to_string(&log)
            .unwrap_or_default()
            .contains(&hangs)
    });
    room.without_proxy();
}

fn kill_when(mut child: Child, ready: impl Fn() -> bool) {
    support::wait_for(|| {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it did not hang: {ended:?}");
        ready()
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The name of what was set aside, which the first event of this transcript names.
#[track_caller]
fn interrupted(room: &Room, transcript: &Transcript) -> String {
    let names = room.beside();
    let aside: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("one.interrupted-"))
        .collect();
    assert_eq!(aside.len(), 1, "{names:?}");
    assert_eq!(transcript.lines[0]["interrupted"], aside[0].as_str());
    assert!(
        !names.iter().any(|name| name.ends_with(".incomplete")),
        "{names:?}"
    );
    aside[0].clone()
}

#[test]
fn a_run_killed_before_the_pin_came_is_set_aside() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "fd:3".into();
    // Nothing is ever written to the pipe that is its standard input and its descriptor 3.
    let mut run = room.run_under(&["sh", "-c", "exec \"$0\" \"$@\" 3<&0"]);
    let child = run
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let transcript = room.path("records/one.incomplete/transcript.jsonl");
    kill_when(child, || {
        fs::read_to_string(&transcript)
            .unwrap_or_default()
            .contains("machine-checked")
    });
    assert_eq!(room.beside(), ["one.incomplete"]);
    let left = fs::read(&transcript).unwrap();

    room.plan.pin = "file:pin".into();
    let transcript = room.run_corrected(&[]);
    let aside = interrupted(&room, &transcript);
    assert!(transcript.events("key-destroyed").is_empty());
    assert_eq!(
        fs::read(room.path(&format!("records/{aside}/transcript.jsonl"))).unwrap(),
        left
    );
}

/// The one data key that this run destroyed; it may have destroyed a transcript signer too.
fn data_key_destroyed(transcript: &Transcript) -> &serde_json::Value {
    let destroyed = transcript.events("key-destroyed");
    let mut of_data_keys = destroyed.iter().filter(|event| event["label"] == LABEL);
    let one = of_data_keys.next().unwrap();
    assert!(of_data_keys.next().is_none(), "{destroyed:?}");
    one
}

fn killed_with_a_key(kind: Kind) {
    let Some(calls) = calls_of_a_good_run(kind) else {
        return;
    };
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    killed_at(&mut room, "C_WrapKey", calls["C_WrapKey"]);
    let left = room.objects();
    assert_eq!(left.len(), 1, "{left:?}");
    let id = left[0].rsplit(' ').next().unwrap().to_owned();
    let record = "records/one.incomplete";
    let mut doctor = room.byok(&["doctor", "plan.toml", "--leftovers", record]);
    room.write_plan();
    assert!(stdout(&doctor.output().unwrap()).contains(&id));
    // Another key with the same CKA_ID is not what the dead run made.
    room.token(&["plant", "ceremony", PIN, "somebody-elses", &id]);
    let others = [format!("CKO_SECRET_KEY somebody-elses {id}")];

    let transcript = room.run_corrected(&others);
    interrupted(&room, &transcript);
    let destroyed = data_key_destroyed(&transcript);
    assert_eq!(destroyed["cka_id"], id.as_str());
    assert_eq!(destroyed["objects"], 1);
    assert_eq!(
        transcript.events("key-destroyed").len(),
        2,
        "and the signer"
    );
    assert_eq!(room.signers().len(), 2, "a new one");
    let names = transcript.names();
    let place = |name| names.iter().position(|n| *n == name).unwrap();
    assert!(place("hsm-opened") < place("key-destroyed"));
    assert!(place("key-destroyed") < place("key-intended"));
}

support::twins!(
    what_a_killed_run_made_is_destroyed_by_the_next_on_softhsm,
    what_a_killed_run_made_is_destroyed_by_the_next_on_kryoptic,
    killed_with_a_key
);

/// Killed while the HSM makes the signer, and right after: with the pair in the token.
fn killed_over_its_signer(kind: Kind) {
    for (function, left) in [("C_GenerateKeyPair", 0), ("C_SignInit", 2)] {
        let Some(mut room) = Room::new(kind) else {
            return;
        };
        if support::proxy_module().is_none() {
            return;
        }
        killed_at(&mut room, function, 1);
        let halves = room.signers();
        assert_eq!(halves.len(), left, "{function}: {halves:?}");
        let transcript = room.run_corrected(&[]);
        interrupted(&room, &transcript);
        let destroyed = transcript.events("key-destroyed");
        assert_eq!(destroyed.len(), left / 2, "{function}");
        for event in destroyed {
            assert_eq!(event["label"], "byok-transcript-signer");
            assert_eq!(event["objects"], 2);
        }
        assert_eq!(transcript.event("transcript-signer")["origin"], "made");
        let now = room.signers();
        assert_eq!(now.len(), 2);
        assert!(halves.iter().all(|half| !now.contains(half)), "{now:?}");
    }
}

support::twins!(
    a_signer_of_a_run_that_was_killed_is_destroyed_by_the_next_on_softhsm,
    a_signer_of_a_run_that_was_killed_is_destroyed_by_the_next_on_kryoptic,
    killed_over_its_signer
);

/// The last line says that the signer is destroyed; the power goes before it is.
#[test]
fn a_signer_whose_end_was_announced_but_not_reached_is_destroyed_by_the_next_run() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        if support::proxy_module().is_none() {
            return;
        }
        fs::write(room.path("inputs/eu-west-1.json"), "{}").unwrap();
        killed_at(&mut room, "C_DestroyObject", 1);
        let cut = room.transcript("records/one.incomplete");
        assert_eq!(cut.lines.last().unwrap()["signer_destroyed"], true);
        let left = room.signers();
        assert_eq!(left.len(), 2);
        room.write_parameters();
        let transcript = room.run_corrected(&[]);
        interrupted(&room, &transcript);
        let destroyed = transcript.event("key-destroyed");
        let named = &cut.event("signer-intended")["cka_id"];
        assert_eq!(
            (&destroyed["cka_id"], &destroyed["objects"]),
            (named, &2.into())
        );
        assert_eq!(room.signers().len(), 2);
        assert_ne!(room.signers(), left);
    }
}

#[test]
fn a_failed_attempt_after_a_killed_run_does_not_forget_what_that_one_made() {
    let Some(calls) = calls_of_a_good_run(Kind::SoftHsm) else {
        return;
    };
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    killed_at(&mut room, "C_WrapKey", calls["C_WrapKey"]);
    let left = room.objects();
    assert_eq!(left.len(), 1);
    fs::write(room.path("pin"), "wrong-pin-of-the-tests").unwrap();
    let output = room.run();
    refused(&output, 3, &["CKR_PIN_INCORRECT"]);
    assert_eq!(room.objects(), left, "nobody logged in");
    fs::write(room.path("pin"), PIN).unwrap();
    let transcript = room.run_corrected(&[]);
    let destroyed = data_key_destroyed(&transcript);
    assert!(left[0].ends_with(destroyed["cka_id"].as_str().unwrap()));
}

#[test]
fn a_leftover_whose_transcript_does_not_hold_destroys_nothing() {
    let Some(calls) = calls_of_a_good_run(Kind::SoftHsm) else {
        return;
    };
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    killed_at(&mut room, "C_WrapKey", calls["C_WrapKey"]);
    let left = room.objects();
    let path = room.path("records/one.incomplete/transcript.jsonl");
    let changed = fs::read_to_string(&path)
        .unwrap()
        .replacen("Payments", "Paymints", 1);
    fs::write(&path, changed).unwrap();
    let says = ["[LABEL-FREE]", "it was not touched"];
    aborted_beside(&room, &room.run(), 3, &says, &left);
    room.plan.label = "payments-2027".into();
    room.run_corrected(&left);
}

#[test]
fn an_object_of_the_label_that_a_killed_run_did_not_make_still_refuses() {
    let Some(calls) = calls_of_a_good_run(Kind::SoftHsm) else {
        return;
    };
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    killed_at(&mut room, "C_WrapKey", calls["C_WrapKey"]);
    room.token(&["plant", "ceremony", PIN, LABEL, "0a0b"]);
    let planted = [format!("CKO_SECRET_KEY {LABEL} 0a0b")];
    let says = ["[LABEL-FREE]", "CKA_ID 0a0b"];
    let transcript = aborted_beside(&room, &room.run(), 3, &says, &planted);
    assert_eq!(data_key_destroyed(&transcript)["objects"], 1);
    room.plan.label = "payments-2027".into();
    room.run_corrected(&planted);
}

// ---- the machine -------------------------------------------------------------------

#[test]
fn a_clock_that_is_ahead_or_behind_is_told_from_the_parameters() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    if !Command::new("faketime")
        .args(["-f", "+2d", "true"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        return skip("faketime is not here");
    }
    let output = room.run_under(&["faketime", "-f", "+2d"]).output().unwrap();
    let says = [
        "step 5 of 13",
        "[PARAMETERS-DEADLINE]",
        "this machine's clock is ahead",
    ];
    aborted(&room, &output, 4, &says);
    let output = room.run_under(&["faketime", "-f", "-2d"]).output().unwrap();
    let says = [
        "step 5 of 13",
        "[CLOCK]",
        "clock is behind",
        "hint: set the clock",
    ];
    aborted(&room, &output, 5, &says);
    room.run_corrected(&[]);
}

#[test]
fn a_read_only_disk_is_exit_5_and_nothing_is_made() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let Some(way) = namespace(&["--mount"]) else {
        return;
    };
    fs::create_dir(room.path("records")).unwrap();
    let script = "mount -t tmpfs -o ro tmpfs records || exit 77; exec \"$0\" \"$@\"";
    let output = room
        .run_under(&[&way[..], &["sh", "-c", script]].concat())
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        return skip("no tmpfs can be mounted");
    }
    let says = [
        "the record cannot be written in",
        "let record.directory in the plan name",
    ];
    nothing_made(&room, &output, 5, &says);
    room.run_corrected(&[]);
}

/// Fills up at one moment after another; what was written on the way stays to be looked at.
const FULL_DISK: &str = r#"
mount -t tmpfs -o "$LIMIT" tmpfs records || exit 77
"$@" 2>first.err; echo $? >first.rc
cp -a records seen
"$LISTER" "$MODULE" list ceremony "$PIN" >between
mount -o remount,size=64m,nr_inodes=4096 records || exit 77
"$@" 2>second.err; echo $? >second.rc
cp -a records seen-again
"#;

/// What became of one attempt on a disk with this limit. `None`: it cannot be tried here.
fn on_a_small_disk(room: &Room, way: &[&str], limit: &str) -> Option<i32> {
    for name in ["seen", "seen-again"] {
        let _ = fs::remove_dir_all(room.path(name));
    }
    let mut run = room.run_under(&[way, &["sh", "-c", FULL_DISK, "sh"]].concat());
    let lister = room.token_command(&[]);
    run.env("LIMIT", limit).env("PIN", PIN);
    run.env("LISTER", lister.get_program())
        .env("MODULE", lister.get_args().next().unwrap());
    let output = run.output().unwrap();
    if output.status.code() == Some(77) {
        skip("no tmpfs can be mounted");
        return None;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let text = |name: &str| fs::read_to_string(room.path(name)).unwrap();
    let number = |name: &str| text(name).trim().parse::<i32>().unwrap();
    let (first, said) = (number("first.rc"), text("first.err"));
    assert_eq!(
        number("second.rc"),
        if first == 0 { 2 } else { 0 },
        "{limit}: {}",
        text("second.err")
    );
    if first == 0 {
        assert_eq!(files_of(&room.path("seen")), ["one"]);
        return Some(0);
    }
    assert_eq!(first, 5, "{limit}: {said}");
    assert!(said.contains("No space left on device"), "{limit}: {said}");
    assert!(said.contains("disk is full"), "{limit}: {said}");
    assert_eq!(text("between"), "", "{limit}: a data key was left");
    let seen = files_of(&room.path("seen"));
    assert_eq!(seen.len(), 1, "{limit}: {seen:?}");
    if seen[0].starts_with("one.aborted-") {
        let record = format!("seen/{}", seen[0]);
        let verified = room.byok(&["verify", &record]).output().unwrap();
        assert!(verified.status.success(), "{limit}: {}", stderr(&verified));
        assert!(
            said.contains(&format!("records/{}", seen[0])),
            "{limit}: {said}"
        );
    } else {
        assert_eq!(seen, ["one.incomplete"], "{limit}");
        let stands = ["what was written is in", "no record was made"];
        assert!(
            stands.iter().any(|says| said.contains(says)),
            "{limit}: {said}"
        );
    }
    let verified = room.byok(&["verify", "seen-again/one"]).output().unwrap();
    assert!(verified.status.success(), "{limit}: {}", stderr(&verified));
    assert_eq!(room.objects().len(), 1, "{limit}");
    Some(5)
}

/// A room whose plan wraps its data key for so many KMS keys.
fn room_with_imports(imports: usize) -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    for number in 1..imports {
        let arn = ARN.replace("1234abcd", &format!("1234ab{number:02}"));
        let parameters = room.kms.parameters(&arn, now() + 86_000);
        fs::write(room.path(&format!("inputs/{number}.json")), parameters).unwrap();
        room.plan.import_more += &format!(
            "[[key.import]]\nname = \"another-{number}\"\nkey_arn = \"{arn}\"\nparameters = \"inputs/{number}.json\"\n\
             wrapping = \"{SHA_1}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
            room.kms.sha256()
        );
    }
    Some(room)
}

fn full_disks<T: AsRef<str>>(limits: &[T], imports: usize) {
    let Some(way) = namespace(&["--mount"]) else {
        return;
    };
    let mut ends = Vec::new();
    for limit in limits {
        let Some(room) = room_with_imports(imports) else {
            return;
        };
        fs::create_dir(room.path("records")).unwrap();
        let Some(end) = on_a_small_disk(&room, &way, limit.as_ref()) else {
            return;
        };
        ends.push(end);
    }
    assert!(ends.contains(&5), "{ends:?}");
}

#[test]
fn a_disk_that_is_full_leaves_no_data_key() {
    let limits = [
        "size=4k", "size=8k", "size=12k", "size=24k", "size=32k", "size=40k", "size=48k",
    ];
    full_disks(&limits, 1);
}

#[test]
fn a_disk_without_free_inodes_leaves_no_data_key() {
    // The last one has room for all but the checksums, which follow the seal.
    let limits = [
        "nr_inodes=2",
        "nr_inodes=3",
        "nr_inodes=4",
        "nr_inodes=6",
        "nr_inodes=8",
        "nr_inodes=10",
        "nr_inodes=11",
    ];
    full_disks(&limits, 1);
}

/// The sizes, in pages, of disks that are full just when a line of this transcript needs another page:
/// part of the line is then on disk, and outputs, which are taken back, make room for more.
fn disks_that_cut_a_line(transcript: &Transcript) -> Vec<String> {
    const PAGE: usize = 4096;
    let (mut len, mut outputs, mut sizes) = (0_usize, 0, Vec::new());
    let lines = transcript.bytes.split_inclusive(|byte| *byte == b'\n');
    for (line, json) in lines.zip(&transcript.lines) {
        if json["event"] == "output-written" {
            outputs += (json["bytes"].as_u64().unwrap() as usize).div_ceil(PAGE);
        }
        let pages = len.div_ceil(PAGE);
        if outputs > 1 && (len + line.len()).div_ceil(PAGE) > pages && !len.is_multiple_of(PAGE) {
            sizes.push(format!("size={}", (outputs + pages) * PAGE));
        }
        len += line.len();
    }
    sizes
}

#[test]
fn a_line_that_a_full_disk_cut_is_not_left_in_the_transcript() {
    let imports = 8;
    let (Some(room), Some(way)) = (room_with_imports(imports), namespace(&["--mount"])) else {
        return;
    };
    // Once on a disk that is large enough, and like the others in all else.
    fs::create_dir(room.path("records")).unwrap();
    let Some(end) = on_a_small_disk(&room, &way, "size=64m") else {
        return;
    };
    assert_eq!(end, 0);
    let sizes = disks_that_cut_a_line(&room.transcript("seen/one"));
    assert!(
        !sizes.is_empty(),
        "no line of this transcript crosses a page"
    );
    full_disks(&sizes, imports);
}

#[test]
fn a_network_that_the_plan_forbids_stops_the_run_until_it_is_gone() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.network = "forbidden".into();
    let up = |name: &String| {
        let flags = fs::read_to_string(format!("/sys/class/net/{name}/flags")).unwrap_or_default();
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16);
        name != "lo" && flags.is_ok_and(|flags| flags & 1 != 0)
    };
    let interfaces: Vec<String> = files_of(Path::new("/sys/class/net"));
    match interfaces.iter().find(|name| up(name)) {
        Some(name) => {
            let down = format!("hint: ip link set {name} down");
            let says = [
                "step 3 of 13",
                "[AIR-GAP]",
                "the plan forbids a network",
                &down,
            ];
            let transcript = aborted(&room, &room.run(), 5, &says);
            let seen = transcript.event("machine-checked")["interfaces_up"].to_string();
            assert!(seen.contains(name.as_str()), "{seen}");
        }
        None => skip("no network interface is up on this machine"),
    }
    let Some(way) = namespace(&["--net"]) else {
        return;
    };
    let output = room.run_under(&way).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let transcript = room.transcript("records/one");
    let seen = transcript.event("machine-checked");
    assert_eq!(seen["interfaces_up"], serde_json::json!([]));
    assert_eq!(seen["network"], "forbidden");
}

// ---- plans and approvals -----------------------------------------------------------

#[test]
fn a_run_without_people_refuses_what_needs_them() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    let output = room.byok(&["run", "plan.toml"]).output().unwrap();
    nothing_made(&room, &output, 2, &["needs a terminal", "--approve SHA256"]);

    let slip = room.plan.wrapping_key_sha256.take();
    nothing_made(
        &room,
        &room.run(),
        2,
        &[
            "[TWO-SIDED]",
            "needs wrapping_key_sha256 for payments-2026/eu-west-1",
        ],
    );
    room.plan.wrapping_key_sha256 = slip;
    for pin in ["prompt", "prompt-halves"] {
        room.plan.pin = pin.into();
        nothing_made(
            &room,
            &room.run(),
            2,
            &["nobody to type the PIN", "file:PATH, fd:N or pinpad"],
        );
    }
    room.plan.pin = "pinpad".into();
    aborted(&room, &room.run(), 3, &["step 4 of 13", "has no PIN pad"]);
    room.plan.pin = "file:pin".into();
    room.run_corrected(&[]);
}

/// What is not built is refused by name; what is built is refused by name where it means nothing.
#[test]
fn what_a_plan_cannot_have_is_refused_by_name() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let good = room.plan.text();
    let on_top = |line: &str| format!("{line}\n{good}");
    let at_end = |lines: &str| format!("{good}{lines}\n");
    let in_key = |line: &str| good.replace("[[key.import]]", &format!("{line}\n[[key.import]]"));
    let in_import = |line: &str| good.replace("wrap_in = ", &format!("{line}\nwrap_in = "));
    let builds = "builds on no record".to_owned();
    let mut plans = vec![
        (
            "signer must be a fingerprint".into(),
            at_end("signer = \"SHA256:abc\""),
        ),
        (
            "signer must be a fingerprint".into(),
            on_top("signer = \"x\""),
        ),
        (
            "bits has no meaning for SYMMETRIC_DEFAULT".into(),
            in_key("bits = 256"),
        ),
        (
            "is neither NEW_KEY_MATERIAL nor".into(),
            in_import("import_type = \"x\""),
        ),
        (
            "no KMS key has it yet".into(),
            in_import("import_type = \"EXISTING_KEY_MATERIAL\""),
        ),
        (
            "is not a text that KMS accepts".into(),
            in_import("description = \"no, thanks\""),
        ),
        (builds.clone(), at_end("[recover]\nshares = \"typed\"")),
        (builds.clone(), on_top("previous = \"x\"")),
        (
            builds.clone(),
            on_top(&format!("previous_head = \"{}\"", "0".repeat(64))),
        ),
        (builds.clone(), on_top("reuse_escrow = \"x\"")),
        (
            builds,
            in_key(&format!("fingerprint = \"{}\"", "0".repeat(64))),
        ),
        ("gives a reason".into(), on_top("reason = \"x\"")),
        ("other_kms_key".into(), in_import("other_kms_key = \"x\"")),
        ("witness_of".into(), in_import("witness_of = \"x\"")),
        ("screen_recorded".into(), on_top("screen_recorded = \"x\"")),
    ];
    for kind in ["reimport", "recover", "destroy"] {
        let plan = good.replace("kind = \"generate\"", &format!("kind = \"{kind}\""));
        plans.push((format!("kind = \"{kind}\" needs"), plan));
    }
    for keep in ["sealed", "none"] {
        let plan = good.replace("keep = \"extractable\"", &format!("keep = \"{keep}\""));
        plans.push(("need [escrow]".into(), plan));
    }
    for spec in ["SM2", "ECC_NIST_EDWARDS25519", "ML_DSA_44", "AES_512"] {
        let plan = good.replace("SYMMETRIC_DEFAULT", spec);
        plans.push((format!("spec \"{spec}\" is no"), plan));
    }
    for spec in ["RSA_2048", "RSA_3072", "RSA_4096"] {
        let plan = good.replace("SYMMETRIC_DEFAULT", spec);
        let says = format!("KMS accepts the material of {spec} with RSA_AES_KEY_WRAP_* only");
        plans.push((says, plan));
    }
    for (spec, what) in [("SYMMETRIC_DEFAULT", "symmetric"), ("HMAC_256", "HMAC")] {
        let plan = good.replace("SYMMETRIC_DEFAULT", spec);
        let plan = plan.replace("RSAES_OAEP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256");
        plans.push((
            format!("KMS accepts {what} material with RSAES_OAEP_* only"),
            plan,
        ));
    }
    for bits in [216, 1032, 257] {
        let plan = good.replace("SYMMETRIC_DEFAULT", "HMAC_224");
        let plan = plan.replace("[[key.import]]", &format!("bits = {bits}\n[[key.import]]"));
        plans.push((
            format!("bits = {bits} is not a length of HMAC_224 material"),
            plan,
        ));
    }
    for (says, plan) in &plans {
        assert_ne!(*plan, good, "{says}");
        refused(&room.run_text(plan), 2, &[says]);
    }
    assert_eq!(room.beside(), [""; 0]);
    room.run_corrected(&[]);
}

#[test]
fn what_a_plan_cannot_mean_is_exit_2_and_names_it() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let good = room.plan.text();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let past = with("expires = \"never\"", "expires = \"2025-11-20T00:00:00Z\"");
    let far = jiff::Timestamp::from_second(now() as i64 + 365 * 86_400 + 600).unwrap();
    let far = with("expires = \"never\"", &format!("expires = \"{far}\""));
    let again = &good[good.find("[[key.import]]").unwrap()..good.find("[record]").unwrap()];
    let table = [
        (
            format!("{good}colour = \"red\"\n"),
            "unknown field `colour`",
        ),
        (format!("{good}[machina]\n"), "unknown field `machina`"),
        (with("wrap_in", "wrap_inn"), "unknown field `wrap_inn`"),
        (
            with("title = ", "title = \"a\"\ntitle = "),
            "line 2: title: duplicate key",
        ),
        (
            with("wrap_in", "name = \"again\"\nwrap_in"),
            ": name: duplicate key",
        ),
        (
            format!("{good}[hsm]\npin = \"prompt\"\n"),
            ": [hsm]: duplicate key",
        ),
        (
            with("expires = \"never\"", "expires = 2027-06-01T00:00:00Z"),
            ": expires is a time without quotation marks",
        ),
        (
            with("expires = \"never\"", "expires = 2027-06-01"),
            ": expires is a time without quotation marks",
        ),
        (
            with("expires = \"never\"", "expires = never"),
            ": expires: ",
        ),
        (
            with("keep = \"extractable\"", "keep = true"),
            ": keep: invalid type: boolean",
        ),
        (
            with("pin = \"file:pin\"", "pin = 4711"),
            ": pin: invalid type: integer (not shown)",
        ),
        (
            with(
                "[record]",
                "[escrow]\nthreshold = 2\ncustodians = \"4711\"\n[record]",
            ),
            ": custodians: invalid type: string (not shown)",
        ),
        (
            with(
                "[record]",
                "[escrow]\nthreshold = 2\ncustodians = [\n  \"A\",\n  4711,\n]\n[record]",
            ),
            ": custodians: invalid type",
        ),
        (
            format!("\u{feff}{good}"),
            "it begins with a byte order mark",
        ),
        (
            with("arn:aws:kms:eu-west-1", "arn:aws:kms:us-gov-west-1"),
            "us-gov-west-1 is in aws-us-gov",
        ),
        (
            with("arn:aws:kms:eu-west-1", "arn:aws-eusc:kms:eu-west-1"),
            "eu-west-1 is in aws",
        ),
        (
            with(
                "pkcs11:token=ceremony",
                "pkcs11:token=ceremony?pin-source=file:pin",
            ),
            "contains pin-source: that is a PIN's path",
        ),
        (
            with("title = \"Payments", "title = \"\\u202ePayments"),
            "cannot be shown",
        ),
        (
            with("label = \"payments-2026\"", "label = \"../x\""),
            "is not a name",
        ),
        (
            with("label = \"payments-2026\"", "label = \"Receipts\""),
            "the record itself uses",
        ),
        (with("name = \"eu-west-1\"", "name = \"\""), "is not a name"),
        (
            with("[record]", &format!("{again}[record]")),
            "is in the plan twice",
        ),
        (
            with("pkcs11:token=ceremony", "pkcs11:slot-id=1"),
            "slot numbers change",
        ),
        (
            with(
                "pkcs11:token=ceremony",
                "pkcs11:token=ceremony?pin-value=4711",
            ),
            "the token URI contains a PIN",
        ),
        (
            with("pin = \"file:pin\"", "pin = \"4711\""),
            "pin must be prompt",
        ),
        (
            with(
                "wrapping = \"RSAES_OAEP_SHA_1\"",
                "wrapping = \"RSAES_PKCS1_V1_5\"",
            ),
            "refused it since 2023",
        ),
        (
            with(
                "wrapping = \"RSAES_OAEP_SHA_1\"",
                "wrapping = \"RSA_AES_KEY_WRAP_SHA_256\"",
            ),
            "RSAES_OAEP_* only",
        ),
        (
            with("wrap_in = \"hsm\"", "wrap_in = \"cloud\""),
            "is not one of hsm, host",
        ),
        (
            with("records/one", "records/one.aborted-x"),
            "mark of an unfinished record",
        ),
        (with("records/one", "records/.."), "does not end in a name"),
        (past, "is in the past [EXPIRY]"),
        (far, "more than 365 days ahead [EXPIRY]"),
        (
            with("expires = \"never\"", "expires = \"2027-01-01\""),
            "not a UTC time",
        ),
        (
            with("network = \"allowed\"", "network = \"yes\""),
            "not one of forbidden, hsm, allowed",
        ),
    ];
    for (plan, says) in &table {
        let output = room.run_text(plan);
        refused(&output, 2, &[says]);
        assert!(!stderr(&output).contains("4711"), "{}", stderr(&output));
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert_eq!(check.status.code(), Some(2), "{says}: {}", stderr(&check));
        assert_eq!(room.beside(), [""; 0], "{says}");
    }
    assert_eq!(room.objects(), [""; 0]);
    room.run_corrected(&[]);
}

#[test]
fn a_reimport_that_ends_early_says_that_the_data_key_is_untouched() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let before = room.objects();
    room.plan.kind = "reimport".into();
    room.plan.top_more = support::escrow::builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    let another = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000";
    let parameters = room.kms.parameters(another, support::now() + 86_000);
    fs::write(room.path("inputs/eu-west-1.json"), parameters).unwrap();
    let untouched = "this run left no new key in the HSM; the data key that was there is untouched";
    refused(&room.run(), 4, &["[KEY-ARN-MATCH]", untouched]);
    assert_eq!(room.objects(), before);
}
