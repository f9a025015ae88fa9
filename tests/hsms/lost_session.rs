//! An HSM that drops its session while shares are handed out: the ceremony goes on in a new one, or ends
//! with everything taken back. The session is really closed, behind byok's back, by the test's proxy.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Output, Stdio};

use support::escrow::{fingerprint, head, room, shares, table, wrapped};
use support::screen::Screen;
use support::{Kind, LABEL, PIN, Room, Transcript, openssl_check_values, refused, stderr};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];
const VOID: &str = "these shares are now void; destroy their forms: share 1, Security; share 2, Audit; \
                    share 3, Treasury";

/// A room whose ceremony deals any 2 of 3 to files, and what its HSM keeps.
fn kept(kind: Kind, keep: &str) -> Option<Room> {
    let mut room = room(kind, 2, 3)?;
    room.plan.keep = keep.into();
    Some(room)
}

/// The first and the last call of each function that steps 9 and 10 make, by their number in the run.
/// The second C_GenerateRandom, half of the escrow key, is the first of step 9; C_Logout follows the seal.
fn calls_while_shares_are_dealt(kind: Kind) -> Option<Vec<(String, u64)>> {
    let mut room = kept(kind, "sealed")?;
    let log = room.path("calls");
    room.behind_proxy(&format!("log:{}", log.display()))?;
    room.run_well();
    let text = fs::read_to_string(log).unwrap();
    let names = || text.lines().map(|line| line.split(' ').next().unwrap());
    let from = names().collect::<Vec<_>>();
    let from = from.iter().rposition(|name| *name == "C_GenerateRandom");
    let until = names().position(|name| name == "C_Logout").unwrap();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut calls: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (at, name) in names().enumerate().take(until) {
        let number = counts.entry(name).or_default();
        *number += 1;
        if at >= from.unwrap() {
            calls.entry(name.to_owned()).or_default().push(*number);
        }
    }
    let ends = |(name, numbers): (String, Vec<u64>)| {
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        let both = if first == last {
            vec![first]
        } else {
            vec![first, last]
        };
        both.into_iter().map(move |number| (name.clone(), number))
    };
    Some(calls.into_iter().flat_map(ends).collect())
}

/// The record tells of it, holds, and is of the one data key that is in the token.
#[track_caller]
fn ended_well(room: &Room, output: &Output, rule: &str) -> Transcript {
    assert!(output.status.success(), "{rule}: {}", stderr(output));
    let transcript = room.transcript("records/one");
    let times = transcript.events("hsm-reopened").len();
    assert_eq!(times, 1, "{rule}: {}", stderr(output));
    let reopened = transcript.event("hsm-reopened");
    let told = transcript.event("exception")["what"].to_string();
    let at_the_seal = told.contains("to sign the transcript"); // where no data key is needed any more
    let labels: &[&str] = if at_the_seal { &[] } else { &[LABEL] };
    assert_eq!(reopened["labels"], serde_json::json!(labels), "{rule}");
    assert_eq!(reopened["logins"], 1, "{rule}");
    let opened = transcript.event("hsm-opened");
    assert_eq!(reopened["serial"], opened["serial"], "{rule}");
    let exception = transcript.event("exception")["what"].to_string();
    assert!(exception.contains("the HSM lost its session (") && exception.contains("CKR_"));
    assert_eq!(transcript.event("sealed")["exceptions"], 1, "{rule}");
    assert_eq!(transcript.event("escrow-proved")["shares"], 3, "{rule}");
    let verified = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(verified.status.success(), "{rule}: {}", stderr(&verified));
    let id = transcript.event("key-generated")["cka_id"]
        .as_str()
        .unwrap();
    assert_eq!(
        room.objects(),
        [format!("CKO_SECRET_KEY {LABEL} {id}")],
        "{rule}"
    );
    let (_, fingerprint) = openssl_check_values(&room.openssl_opens(&wrapped("records/one")));
    assert_eq!(
        transcript.event("key-generated")["fingerprint"],
        fingerprint.as_str()
    );
    transcript
}

fn lost_at_every_call(kind: Kind) {
    let Some(calls) = calls_while_shares_are_dealt(kind) else {
        return;
    };
    let names: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in [
        "C_GenerateRandom",
        "C_WrapKey",
        "C_UnwrapKey",
        "C_SetAttributeValue",
    ] {
        assert!(names.contains(&wanted), "{names:?}");
    }
    // a session that ends when the signature is there is missed by nobody
    let needed = calls
        .into_iter()
        .filter(|(name, _)| name != "C_CloseSession");
    for (function, number) in needed {
        let mut room = kept(kind, "sealed").unwrap();
        let rule = format!("lose-session:{function}:{number}");
        room.behind_proxy(&rule).unwrap();
        let output = room.run();
        let transcript = ended_well(&room, &output, &rule);
        assert_eq!(transcript.event("key-sealed")["label"], LABEL, "{rule}");
        room.without_proxy();
        let out = room.path("out");
        let mut wrapping =
            room.token_command(&["wrap", "ceremony", PIN, LABEL, out.to_str().unwrap()]);
        assert!(
            stderr(&wrapping.output().unwrap()).contains("KeyUnextractable"),
            "{rule}"
        );
    }
}

support::twins!(
    a_session_lost_at_any_call_of_the_escrow_is_reopened_on_softhsm,
    a_session_lost_at_any_call_of_the_escrow_is_reopened_on_kryoptic,
    lost_at_every_call
);

#[test]
fn whatever_an_hsm_calls_a_lost_session_it_is_reopened() {
    for kind in BOTH {
        for name in [
            "CKR_SESSION_HANDLE_INVALID",
            "CKR_SESSION_CLOSED",
            "CKR_DEVICE_REMOVED",
            "CKR_TOKEN_NOT_PRESENT",
            "CKR_USER_NOT_LOGGED_IN",
        ] {
            let Some(mut room) = kept(kind, "extractable") else {
                return;
            };
            // preflight, deal and proof each take a control back; then comes the data key
            let rule = format!("fail:C_UnwrapKey:4:{name}");
            if room.behind_proxy(&rule).is_none() {
                return;
            }
            let transcript = ended_well(&room, &room.run(), &rule);
            let lost = transcript.event("hsm-reopened")["lost"].to_string();
            assert!(lost.contains(&format!("C_UnwrapKey: {name}")), "{lost}");
        }
    }
}

#[test]
fn a_session_that_is_lost_twice_is_reopened_twice() {
    let Some(mut room) = kept(Kind::SoftHsm, "extractable") else {
        return;
    };
    if room
        .behind_proxy("lose-session:C_GenerateRandom:2;lose-session:C_UnwrapKey:3")
        .is_none()
    {
        return;
    }
    let transcript = room.run_well();
    assert_eq!(transcript.events("hsm-reopened").len(), 2);
    assert_eq!(transcript.event("sealed")["exceptions"], 2);
}

#[test]
fn an_hsm_that_drops_every_session_is_given_up() {
    let Some(mut room) = kept(Kind::SoftHsm, "extractable") else {
        return;
    };
    let again: Vec<String> = (4..=20)
        .map(|call| format!("fail:C_UnwrapKey:{call}:CKR_SESSION_CLOSED"))
        .collect();
    if room.behind_proxy(&again.join(";")).is_none() {
        return;
    }
    let output = room.run();
    refused(
        &output,
        3,
        &[
            "C_UnwrapKey: CKR_SESSION_CLOSED",
            "reopened 3 times already",
            VOID,
        ],
    );
    assert_eq!(room.aborted().events("hsm-reopened").len(), 3);
    assert_eq!(room.objects(), [""; 0]);
}

#[test]
fn a_data_key_that_was_not_kept_ends_with_its_session_and_so_does_the_ceremony() {
    for kind in BOTH {
        for rule in [
            "lose-session:C_GenerateRandom:2",
            "lose-session:C_UnwrapKey:4",
        ] {
            let Some(mut room) = kept(kind, "none") else {
                return;
            };
            if room.behind_proxy(rule).is_none() {
                return;
            }
            let output = room.run();
            let gone = format!(
                "the data key \"{LABEL}\" was a session object, not a token object: it ended with the HSM's session"
            );
            refused(&output, 3, &["CKR_SESSION_HANDLE_INVALID", &gone]);
            let aborted = room.aborted();
            assert!(aborted.events("hsm-reopened").is_empty());
            let handed_out = aborted.events("share-handed-out").len();
            assert_eq!(handed_out, if rule.ends_with('4') { 3 } else { 0 });
            assert_eq!(stderr(&output).contains(VOID), handed_out > 0);
            if handed_out > 0 {
                assert!(shares(&room.path("shares")).is_empty());
                let state = aborted.lines.last().unwrap()["state"].to_string();
                assert!(state.contains(VOID), "{state}");
            }
            assert_eq!(room.objects(), [""; 0]);
            let record = format!("records/{}", room.beside()[0]);
            let verified = room.byok(&["verify", &record]).output().unwrap();
            assert!(verified.status.success(), "{}", stderr(&verified));
        }
    }
}

/// Where nothing can be done again, a new session still takes back what was made: a search without a login
/// finds nothing, and that is no proof.
#[test]
fn a_session_lost_before_the_escrow_ends_the_ceremony_and_leaves_no_data_key() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        let log = room.path("calls");
        if room
            .behind_proxy(&format!("log:{}", log.display()))
            .is_none()
        {
            return;
        }
        room.run_well();
        let wraps = fs::read_to_string(log)
            .unwrap()
            .matches("C_WrapKey ")
            .count();
        let mut room = Room::new(kind).unwrap();
        // the last one wraps the data key for its import
        room.behind_proxy(&format!("lose-session:C_WrapKey:{wraps}"));
        let output = room.run();
        refused(
            &output,
            3,
            &[
                "step 8 of 13",
                "CKR_SESSION_HANDLE_INVALID",
                "the one it made was destroyed",
            ],
        );
        assert_eq!(room.objects(), [""; 0]);
        assert_eq!(room.aborted().destroyed(LABEL)["objects"], 1);
    }
}

/// A PIN that came through a pipe is gone. What cannot be reached is then named, and the next run takes it away.
#[test]
fn a_session_that_cannot_be_opened_again_leaves_a_data_key_that_is_named() {
    let Some(mut room) = kept(Kind::SoftHsm, "extractable") else {
        return;
    };
    let log = room.path("calls");
    let rules = format!("lose-session:C_UnwrapKey:4;log:{}", log.display());
    if room.behind_proxy(&rules).is_none() {
        return;
    }
    room.plan.pin = "fd:3".into();
    let mut run = room.run_under(&["sh", "-c", "cat pin | { exec 3<&0; exec \"$0\" \"$@\"; }"]);
    let output = run.stdin(Stdio::null()).output().unwrap();
    refused(
        &output,
        3,
        &[
            "the HSM lost its session (",
            "could not be opened again: the PIN from descriptor 3: it is empty",
            "1 object of this run may still be in the HSM",
            VOID,
        ],
    );
    let calls = fs::read_to_string(log).unwrap();
    assert_eq!(calls.matches("C_Login ").count(), 1, "{calls}");
    let aborted = room.aborted();
    let id = aborted.event("key-generated")["cka_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        aborted.lines.last().unwrap()["may_be_left"][0]["cka_id"],
        id.as_str()
    );
    assert_eq!(room.objects(), [format!("CKO_SECRET_KEY {LABEL} {id}")]);
    room.without_proxy();
    room.plan.pin = "file:pin".into();
    let transcript = room.run_well();
    assert_eq!(transcript.destroyed(LABEL)["cka_id"], id.as_str());
    assert_eq!(room.objects().len(), 1);
}

#[test]
fn a_wrong_pin_in_the_new_session_is_tried_once() {
    let Some(mut room) = kept(Kind::SoftHsm, "extractable") else {
        return;
    };
    let log = room.path("calls");
    // the second login is the one after the loss
    let rules = format!(
        "lose-session:C_UnwrapKey:4;fail:C_Login:2:CKR_PIN_INCORRECT;log:{}",
        log.display()
    );
    if room.behind_proxy(&rules).is_none() {
        return;
    }
    let says = [
        "could not be opened again",
        "CKR_PIN_INCORRECT",
        "1 object of this run may still be",
        VOID,
    ];
    refused(&room.run(), 3, &says);
    let calls = fs::read_to_string(log).unwrap();
    assert_eq!(calls.matches("C_Login ").count(), 2, "{calls}");
}

#[test]
fn a_person_is_told_what_happened_and_types_the_pin_again() {
    let Some(mut room) = kept(Kind::SoftHsm, "extractable") else {
        return;
    };
    room.plan.more = table(2, 3, "files:shares");
    room.plan.pin = "prompt".into();
    // and the token is not there at once
    let rules = "lose-session:C_UnwrapKey:4;fail:C_OpenSession:3:CKR_TOKEN_NOT_PRESENT";
    if room.behind_proxy(rules).is_none() {
        return;
    }
    room.write_plan();
    let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
    screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    screen.roll_call();
    const ASKED: &str = "(nothing is shown while you type): ";
    screen.answer(ASKED, PIN);
    let told = screen.answer("Then press Enter: ", "");
    screen.answer(ASKED, "not-this-one");
    assert!(told.contains("step 10 of 13"), "{told}");
    let folded = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "The HSM lost its session (",
        "C_UnwrapKey: CKR_SESSION_HANDLE_INVALID",
        "Nothing is lost",
        "cannot be opened (opening a session with pkcs11:token=ceremony",
        "C_OpenSession: CKR_TOKEN_NOT_PRESENT). Connect it again.",
    ] {
        assert!(folded.contains(wanted), "{told}");
    }
    screen.expect("That PIN was wrong");
    screen.answer(ASKED, PIN);
    assert_eq!(screen.end(), 0, "{}", screen.shown);
    let transcript = room.transcript("records/one");
    assert_eq!(transcript.event("hsm-reopened")["logins"], 2);
    assert_eq!(room.objects().len(), 1);
}

/// `previous` and its head, as lines of a plan.
fn builds_on(room: &Room, record: &str) -> String {
    let record = room.path(record);
    format!(
        "previous = \"{}\"\nprevious_head = \"{}\"\n",
        record.display(),
        head(&record)
    )
}

#[test]
fn new_shares_of_a_key_that_was_found_or_recovered_are_dealt_in_a_new_session_too() {
    for kind in BOTH {
        // the proof's own data key: a recovery opens three things before it
        for (by, call) in [("reimport", 4), ("recover", 7)] {
            let Some(mut room) = kept(kind, "extractable") else {
                continue;
            };
            let made = room.run_well();
            room.plan.kind = by.into();
            room.plan.imported = false;
            room.plan.directory = "records/two".into();
            room.plan.top_more = builds_on(&room, "records/one");
            room.plan.more = table(2, 4, "files:new-shares");
            if by == "recover" {
                room.plan.more += "[recover]\nshares = \"files:shares\"\n";
                room.token(&["destroy", "ceremony", PIN, LABEL]);
            }
            if room
                .behind_proxy(&format!("lose-session:C_UnwrapKey:{call}"))
                .is_none()
            {
                return;
            }
            let output = room.run();
            assert!(output.status.success(), "{by}: {}", stderr(&output));
            let transcript = room.transcript("records/two");
            let lost = transcript.event("hsm-reopened")["lost"].as_str().unwrap();
            assert!(lost.starts_with("opening the package"), "{lost}");
            assert_eq!(transcript.event("escrow-proved")["shares"], 4);
            assert_eq!(fingerprint(&transcript), fingerprint(&made));
            assert_eq!(room.objects().len(), 1, "{by}");
        }
    }
}

/// Nobody who is not logged in sees a private object: that it is not found proves nothing.
#[test]
fn a_data_key_is_never_called_destroyed_by_a_session_without_a_login() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        room.run_well();
        let objects = room.objects();
        room.plan.kind = "destroy".into();
        room.plan.imported = false;
        room.plan.directory = "records/two".into();
        room.plan.top_more = builds_on(&room, "records/one") + "reason = \"end of life\"\n";
        // the second session has the signer prove itself, the third is the one that destroys
        if room.behind_proxy("lose-session:C_OpenSession:3").is_none() {
            return;
        }
        refused(&room.run(), 3, &["step 7 of 13", "CKR_USER_NOT_LOGGED_IN"]);
        assert_eq!(room.objects(), objects);
        let beside = room.beside();
        let aborted = beside.iter().find(|name| name.starts_with("two.aborted-"));
        let transcript = room.transcript(&format!("records/{}", aborted.unwrap()));
        assert!(transcript.events("key-destroyed").is_empty());
    }
}
