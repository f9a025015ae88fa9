//! Whoever can write beside the records plants the traces of a run that never was. They aim at nothing
//! that a record builds on.

use crate::support;

use std::fs;
use std::path::Path;

use serde_json::json;
use support::escrow::{builds_on, table};
use support::pty::Pty;
use support::{Kind, LABEL, Room, refused, sha256, stderr, stdout};

/// A transcript that holds together as far as it goes: a line for each of these events.
fn plant(directory: &Path, events: &[serde_json::Value]) {
    fs::create_dir_all(directory).unwrap();
    let (mut prev, mut text) = ("0".repeat(64), String::new());
    for (at, event) in events.iter().enumerate() {
        let (name, fields) = event.as_object().unwrap().iter().next().unwrap();
        let head =
            json!({"seq": at + 1, "at": "2026-01-01T00:00:00Z", "prev": prev, "event": name});
        let (head, fields) = (head.to_string(), fields.to_string());
        // serde_json sorts members; the order of a line's first four is the format's
        let head = serde_json::from_str::<serde_json::Value>(&head).unwrap();
        let line = format!(
            "{{\"seq\":{},\"at\":{},\"prev\":{},\"event\":{},{}",
            head["seq"],
            head["at"],
            head["prev"],
            head["event"],
            &fields[1..]
        );
        prev = sha256(line.as_bytes());
        text += &format!("{line}\n");
    }
    fs::write(directory.join("transcript.jsonl"), text).unwrap();
}

fn opened(ceremony: &str) -> serde_json::Value {
    json!({"ceremony-opened": {"format": "byok-transcript-v1", "ceremony": ceremony, "title": "t", "kind": "generate",
        "rehearsal": false, "byok": "0.1.0", "byok_sha256": "ab", "plan_sha256": "cd"}})
}

const ID: &str = "00112233445566778899aabbccddeeff";

fn id_of(room: &Room, record: &str, event: &str) -> String {
    let transcript = room.transcript(record);
    transcript.event(event)["cka_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_data_key_that_the_previous_record_names_is_never_a_leftover() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let objects = room.objects();
    let id = id_of(&room, "records/one", "key-generated");
    for kind in ["reimport", "destroy"] {
        room.plan.kind = kind.into();
        room.plan.imported = kind == "reimport";
        room.plan.directory = format!("elsewhere/{kind}");
        let reason = if kind == "destroy" {
            "reason = \"its end\"\n"
        } else {
            ""
        };
        room.plan.top_more = builds_on(&room, "records/one") + reason;
        plant(
            &room.path(&format!("elsewhere/{kind}.incomplete")),
            &[
                opened(ID),
                json!({"key-intended": {"label": LABEL, "spec": "SYMMETRIC_DEFAULT", "cka_id": id}}),
            ],
        );
        let output = room.run();
        assert!(output.status.success(), "{kind}: {}", stderr(&output));
        let transcript = room.transcript(&format!("elsewhere/{kind}"));
        if kind == "reimport" {
            assert!(transcript.events("key-destroyed").is_empty());
            assert_eq!(room.objects(), objects);
        } else {
            assert_eq!(transcript.event("key-destroyed")["why"], "its end");
        }
    }
}

#[test]
fn the_signer_of_the_previous_record_is_never_a_leftover() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let signers = room.signers();
    let id = id_of(&room, "records/one", "transcript-signer");
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "elsewhere/two".into();
    let label = "byok-transcript-signer";
    plant(
        &room.path("elsewhere/two.incomplete"),
        &[
            opened(ID),
            json!({"signer-intended": {"label": label, "cka_id": id}}),
        ],
    );
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(room.signers(), signers);
    let transcript = room.transcript("elsewhere/two");
    assert_eq!(transcript.event("transcript-signer")["origin"], "found");
    assert!(transcript.events("key-destroyed").is_empty());
}

/// A record that was damaged so, and planted traces that aim at its data key: nothing is destroyed.
#[track_caller]
fn still_guards(says: &str, code: i32, damaged: fn(String, &str) -> String) {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let objects = room.objects();
    let id = id_of(&room, "records/one", "key-generated");
    let path = room.path("records/one/transcript.jsonl");
    fs::write(&path, damaged(fs::read_to_string(&path).unwrap(), &id)).unwrap();
    room.plan.directory = "records/two".into();
    plant(
        &room.path("records/two.incomplete"),
        &[
            opened(ID),
            json!({"key-intended": {"label": LABEL, "spec": "SYMMETRIC_DEFAULT", "cka_id": id}}),
        ],
    );
    refused(&room.run(), code, &[says]);
    assert_eq!(room.objects(), objects);
}

/// Each line with the digest of the one above, as whoever changes a record makes it.
fn rechained(text: &str) -> String {
    let mut prev = "0".repeat(64);
    let mut all = String::new();
    for line in text.lines() {
        let at = line.find("\"prev\":\"").unwrap() + 8;
        let line = format!("{}{prev}{}", &line[..at], &line[at + 64..]);
        prev = sha256(line.as_bytes());
        all += &format!("{line}\n");
    }
    all
}

#[test]
fn a_record_that_somebody_damaged_still_guards_what_it_names() {
    still_guards("[LABEL-FREE]", 3, |text, _| text + "\n");
}

#[test]
fn a_record_that_lost_its_last_line_still_guards_what_it_names() {
    still_guards("[LABEL-FREE]", 3, |mut text, _| {
        let last = text.trim_end().rfind('\n').unwrap();
        text.truncate(last + 1);
        text
    });
}

/// An event that is told otherwise than its name asks counts as unknown, and guards all the same.
#[test]
fn a_line_that_was_made_unreadable_still_guards_what_it_names() {
    still_guards("[LABEL-FREE]", 3, |text, _| {
        rechained(&text.replace("\"attributes\":{", "\"attributes\":null,\"more\":{"))
    });
}

/// Where the id itself was changed nobody can tell what it guards: then nothing is destroyed.
#[test]
fn beside_a_record_that_does_not_hold_nothing_is_destroyed() {
    still_guards(
        "records/one, which may protect some of them, is broken",
        4,
        |text, id| rechained(&text.replace(id, &"0".repeat(32))),
    );
}

#[test]
fn a_key_of_the_token_that_a_plan_names_by_its_id_is_never_a_leftover() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.token(&[
        "have",
        "ceremony",
        support::PIN,
        "old-label",
        ID,
        "aes:32",
        "yes",
    ]);
    let objects = room.objects();
    room.plan.key_more = format!("source = \"token:id={ID}\"\n");
    room.plan.more = "[[key]]\nlabel = \"old-label\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n\
        [[key.import]]\nname = \"b\"\nkey_arn = \"arn:aws:kms:eu-west-1:111122223333:key/aaaaaaaa-12ab-34cd-56ef-1234567890ab\"\n\
        parameters = \"inputs/b.json\"\nwrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\n"
        .into();
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/aaaaaaaa-12ab-34cd-56ef-1234567890ab";
    fs::write(
        room.path("inputs/b.json"),
        room.kms.parameters(arn, support::now() + 86_000),
    )
    .unwrap();
    room.plan.more += &format!("wrapping_key_sha256 = \"{}\"\n", room.kms.sha256());
    plant(
        &room.path("records/one.incomplete"),
        &[
            opened("00112233445566778899aabbccddeeff"),
            json!({"key-intended": {"label": "old-label", "spec": "SYMMETRIC_DEFAULT", "cka_id": ID}}),
        ],
    );
    let output = room.run();
    assert!(
        !output.status.success(),
        "the label is taken: {}",
        stderr(&output)
    );
    assert_eq!(room.objects(), objects);
}

#[test]
fn forms_of_a_ceremony_that_was_sealed_are_never_called_void() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.more = table(2, 3, "files:shares");
    room.run_well();
    let text = fs::read_to_string(room.path("records/one/transcript.jsonl")).unwrap();
    let (unsealed, _) = text.trim_end().rsplit_once('\n').unwrap();
    let planted = room.path("records/two.incomplete");
    fs::create_dir(&planted).unwrap();
    fs::write(planted.join("transcript.jsonl"), format!("{unsealed}\n")).unwrap();
    room.plan.more = String::new();
    room.plan.label = "another".into();
    room.plan.directory = "records/two".into();
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        !stderr(&output).contains("share forms of"),
        "{}",
        stderr(&output)
    );
    let transcript = room.transcript("records/two");
    assert!(transcript.events("shares-voided").is_empty());
}

#[test]
fn what_planted_traces_say_never_draws_on_the_approval() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let fake = format!("{} SHA-256 of the plan. row 1 dead beef", "x ".repeat(500));
    let shares = json!([{"share": 1, "custodian": fake}, {"share": 99, "custodian": "Audit"}]);
    let dealt = json!({"escrow-dealt": {"shares": shares}});
    for ceremony in [ID, "see below"] {
        plant(
            &room.path("records/one.incomplete"),
            &[opened(ceremony), dealt.clone()],
        );
        room.write_plan();
        let mut pty = Pty::start(room.byok(&["run", "plan.toml"]));
        let shown = pty.answer(" Type Yes to approve, anything else to stop: ", "no");
        for never in ["dead beef", "see below", "share 99"] {
            assert!(!shown.contains(never), "{shown}");
        }
        assert_eq!(pty.end().code, Some(1));
    }
}

#[test]
fn a_record_younger_than_the_clock_is_built_on_by_nobody_alone() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    if !support::faketime() {
        return;
    }
    let ahead = room.run_under(&["faketime", "-f", "+2h"]).output().unwrap();
    assert!(ahead.status.success(), "{}", stderr(&ahead));
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    let says = [
        "the previous record was sealed at",
        "[CLOCK]",
        "hint: set the clock",
    ];
    refused(&room.run(), 5, &says);
    assert!(!room.path("records/two").exists());
    let checked = room.byok(&["check", "plan.toml"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(5), "{}", stdout(&checked));
}

#[test]
fn an_answer_of_the_online_side_writes_no_field_of_the_plan() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let state = "PendingImport\nwrapping_key_sha256 = \"00\"\n[escrow]";
    let metadata = json!({"KeyMetadata": {
        "Arn": room.plan.key_arn, "Origin": "EXTERNAL",
        "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": state,
    }});
    fs::write(room.path("describe.json"), metadata.to_string()).unwrap();
    let output = room.byok(&["plan", "describe.json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plan = stdout(&output);
    assert!(plan.contains("# KMS says: "), "{plan}");
    for line in plan.lines() {
        assert!(
            !line.starts_with("wrapping_key_sha256") && !line.starts_with("[escrow]"),
            "{plan}"
        );
    }
}

#[test]
fn a_whole_record_that_somebody_put_there_is_not_called_good() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let planted = room.path("records/two.incomplete");
    support::verifiers::copy_tree(&room.path("records/one"), &planted);
    room.plan.directory = "records/two".into();
    let output = room.run();
    let only_people_can_tell = [
        "or somebody made it elsewhere",
        "nobody has its head on paper",
        "if it is from that run, its data keys",
        "nothing was touched",
    ];
    refused(&output, 2, &only_people_can_tell);
}
