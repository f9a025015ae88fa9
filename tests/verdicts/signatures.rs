//! Who signed a record: the key in the HSM, the witnesses, and what stock ssh-keygen says of it.

use crate::support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::escrow;
use support::forger::ssh_keygen;
use support::{Kind, LABEL, PIN, Room, Transcript, pipe, refused, sha256, stderr, stdout};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];
const SIGNER: &str = "byok-transcript-signer";
const HSM_SIG: &str = "records/one/signatures/hsm.sig";
const TRANSCRIPT: &str = "records/one/transcript.jsonl";
const HALVES: [&str; 2] = ["CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"];

/// `ssh-keygen -Y verify`, with a list that allows this public key for any purpose.
fn stock_verifies(public_key: &str, namespace: &str, sig: &Path, message: &[u8]) -> bool {
    let list = sig.with_extension("allowed");
    fs::write(&list, format!("somebody {public_key}\n")).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-I", "somebody", "-n", namespace, "-f"]);
    command.arg(&list).arg("-s").arg(sig);
    let verified = pipe(&mut command, message).status.success();
    fs::remove_file(list).unwrap();
    verified
}

fn public_key(transcript: &Transcript) -> String {
    transcript.event("transcript-signer")["public_key"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn fingerprint(transcript: &Transcript) -> String {
    transcript.event("transcript-signer")["fingerprint"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A key pair of a person, made by ssh-keygen; its public half as it stands in a list.
fn witness(room: &Room, name: &str, kind: &[&str]) -> String {
    let path = room.path(name);
    let file = path.to_str().unwrap();
    ssh_keygen(&[&["-q", "-N", "", "-C", "", "-f", file, "-t"], kind].concat());
    let line = fs::read_to_string(path.with_extension("pub")).unwrap();
    line.trim().to_owned()
}

/// Signs the transcript as a witness does, and puts the signature into the record.
fn sign(room: &Room, key: &str, namespace: &str, file: &str) {
    let copy = room.path("to-sign.jsonl");
    fs::copy(room.path(TRANSCRIPT), &copy).unwrap();
    let key = room.path(key);
    let args = [
        "-q",
        "-Y",
        "sign",
        "-n",
        namespace,
        "-f",
        key.to_str().unwrap(),
    ];
    ssh_keygen(&[&args[..], &[copy.to_str().unwrap()]].concat());
    let made = room.path("to-sign.jsonl.sig");
    fs::rename(made, room.path("records/one/signatures").join(file)).unwrap();
}

fn verify(room: &Room, args: &[&str]) -> Output {
    let all = [&["verify", "records/one"], args].concat();
    room.byok(&all).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

/// The one line of halves, by class, of the signer of this CKA_ID.
fn halves(id: &str) -> Vec<String> {
    HALVES.map(|class| format!("{class} {SIGNER} {id}")).into()
}

fn signers(room: &Room) -> Vec<String> {
    let mut signers = room.signers();
    signers.sort();
    signers
}

/// A second plan in the same room, for the same token.
fn next_record(room: &mut Room, label: &str) {
    room.plan.label = label.into();
    room.plan.directory = format!("records/{label}");
}

// ---- the HSM's own signature --------------------------------------------------------

#[test]
fn stock_ssh_keygen_accepts_what_the_hsm_signed_and_nothing_else() {
    for kind in BOTH {
        let Some(room) = Room::new(kind) else {
            continue;
        };
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        let transcript = room.transcript("records/one");
        let named = transcript.event("transcript-signer");
        assert_eq!(
            (&named["origin"], &named["label"]),
            (&"made".into(), &SIGNER.into())
        );
        assert_eq!(signers(&room), halves(named["cka_id"].as_str().unwrap()));
        for (attribute, value) in [
            ("CKA_TOKEN", true),
            ("CKA_PRIVATE", true),
            ("CKA_SENSITIVE", true),
            ("CKA_SIGN", true),
            ("CKA_EXTRACTABLE", false),
            ("CKA_COPYABLE", false),
            ("CKA_MODIFIABLE", false),
        ] {
            assert_eq!(
                named["attributes"][attribute], value,
                "{kind:?} {attribute}"
            );
        }
        // ssh-keygen gives the key the same name, and the screen shows it
        fs::write(room.path("signer.pub"), public_key(&transcript)).unwrap();
        let shown = ssh_keygen(&["-lf", room.path("signer.pub").to_str().unwrap()]);
        assert!(
            shown.starts_with(&format!("256 {} ", fingerprint(&transcript))),
            "{shown}"
        );
        assert!(stderr(&output).contains(&fingerprint(&transcript)));
        assert!(stderr(&output).contains("transcript signer made in the token"));

        let (key, sig) = (public_key(&transcript), room.path(HSM_SIG));
        let bytes = &transcript.bytes;
        assert!(stock_verifies(&key, "byok-ceremony", &sig, bytes));
        assert!(!stock_verifies(&key, "byok-rehearsal", &sig, bytes));
        for place in 0..48 {
            let mut changed = bytes.clone();
            let at = place * (bytes.len() - 1) / 47;
            changed[at] ^= 1;
            assert!(
                !stock_verifies(&key, "byok-ceremony", &sig, &changed),
                "byte {at}"
            );
        }
        // the file is written as ssh-keygen writes one
        let file = fs::read_to_string(&sig).unwrap();
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!(lines[0], "-----BEGIN SSH SIGNATURE-----");
        assert_eq!(*lines.last().unwrap(), "-----END SSH SIGNATURE-----");
        let base64 = &lines[1..lines.len() - 1];
        let (last, whole) = base64.split_last().unwrap();
        assert!(whole.iter().all(|line| line.len() == 70) && last.len() <= 70);
        let sums = fs::read_to_string(room.path("records/one/SHA256SUMS")).unwrap();
        assert!(!sums.contains("signatures"), "{sums}");

        let said = json(&verify(&room, &["--json"]));
        assert_eq!(said["verdict"], "consistent, not authenticated");
        let signature = &said["signatures"][0];
        assert_eq!(signature["file"], "signatures/hsm.sig");
        assert_eq!(signature["key_type"], "ecdsa-sha2-nistp256");
        assert_eq!(signature["fingerprint"], fingerprint(&transcript).as_str());
        assert_eq!(signature["checked"], true);
        assert!(signature["principal"].is_null());
    }
}

#[test]
fn the_signer_is_made_once_and_found_by_every_later_ceremony() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        let first = room.run_well();
        let made = signers(&room);
        next_record(&mut room, "second");
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("transcript signer found in the token"));
        let second = room.transcript("records/second");
        assert_eq!(second.event("transcript-signer")["origin"], "found");
        assert_eq!(public_key(&second), public_key(&first));
        assert!(second.events("signer-intended").is_empty());

        next_record(&mut room, "third");
        room.plan.record_more = format!("signer = \"{}\"\n", fingerprint(&first));
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        let third = room.transcript("records/third");
        assert_eq!(third.event("transcript-signer")["origin"], "named");
        assert_eq!(signers(&room), made);
    }
}

#[test]
fn a_named_signer_that_is_absent_ends_the_ceremony_and_none_is_made() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let other = witness(&room, "other", &["ecdsa"]);
    fs::write(room.path("other.pub"), other).unwrap();
    let shown = ssh_keygen(&["-lf", room.path("other.pub").to_str().unwrap()]);
    let named = shown.split(' ').nth(1).unwrap().to_owned();
    room.plan.top_more = format!("signer = \"{named}\"\n");
    let says = [
        "step 4 of 13",
        "[SIGNER]",
        &named,
        "is this the right token?",
    ];
    refused(&room.run(), 3, &says);
    assert_eq!((room.objects(), room.signers()), (vec![], vec![]));
    assert!(room.aborted().events("signer-intended").is_empty());

    // There is one, but it is another: it is named, not used.
    fs::remove_dir_all(room.path("records")).unwrap();
    room.token(&["pair", "ceremony", PIN, SIGNER, "0a0b", "no"]);
    let before = signers(&room);
    refused(
        &room.run(),
        3,
        &["[SIGNER]", &named, "there is SHA256:", "CKA_ID 0a0b"],
    );
    assert_eq!(signers(&room), before);
}

#[test]
fn two_signers_are_not_guessed_between_but_the_plan_can_name_one() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        room.token(&["pair", "ceremony", PIN, SIGNER, "0a0b", "no"]);
        room.token(&["pair", "ceremony", PIN, SIGNER, "0c0d", "no"]);
        let before = signers(&room);
        let output = room.run();
        let says = [
            "step 4 of 13",
            "2 private keys",
            "[SIGNER]",
            "CKA_ID 0a0b",
            "CKA_ID 0c0d",
        ];
        refused(&output, 3, &says);
        assert!(!room.path("records/one").exists());
        assert_eq!(signers(&room), before);
        let text = stderr(&output);
        let hint = text
            .lines()
            .find(|line| line.contains("CKA_ID 0c0d"))
            .unwrap();
        let at = hint.find("SHA256:").unwrap();
        room.plan.top_more = format!("signer = \"{}\"\n", &hint[at..at + 50]);
        let transcript = room.run_well();
        assert_eq!(transcript.event("transcript-signer")["cka_id"], "0c0d");
        assert!(verify(&room, &[]).status.success());
    }
}

#[test]
fn a_signer_that_could_leave_the_hsm_is_refused() {
    for kind in BOTH {
        let Some(room) = Room::new(kind) else {
            continue;
        };
        room.token(&["pair", "ceremony", PIN, SIGNER, "0a0b", "yes"]);
        let says = [
            "step 4 of 13",
            "CKA_EXTRACTABLE is TRUE, not FALSE",
            "[ATTRIBUTES]",
            "CKA_ID 0a0b",
        ];
        refused(&room.run(), 3, &says);
        assert_eq!(signers(&room), halves("0a0b"));
    }
}

#[test]
fn a_plan_may_say_that_nobody_signs_and_the_record_says_so() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.record_more = "signer = \"none\"\n".into();
    let transcript = room.run_well();
    let noted = transcript.event("exception")["what"].as_str().unwrap();
    assert!(noted.contains("the transcript is not signed"), "{noted}");
    assert!(transcript.events("transcript-signer").is_empty());
    assert_eq!(room.signers(), [""; 0]);
    assert!(!room.path("records/one/signatures").exists());
    assert_eq!(
        json(&verify(&room, &["--json"]))["signatures"],
        serde_json::json!([])
    );
    // whoever makes a signature up for it is found out
    let key = witness(&room, "other", &["ecdsa"]);
    fs::create_dir(room.path("records/one/signatures")).unwrap();
    sign(&room, "other", "byok-ceremony", "hsm.sig");
    let says = ["signatures/hsm.sig: the transcript names no signer"];
    refused(&verify(&room, &[]), 4, &says);
    // as a witness's it holds, and vouches once the list has it
    let file = room.path("records/one/signatures/hsm.sig");
    fs::rename(&file, file.with_file_name("clerk.sig")).unwrap();
    fs::write(room.path("list"), format!("clerk {key}\n")).unwrap();
    let output = verify(&room, &["--signers", "list"]);
    assert!(
        stdout(&output).starts_with("authentic: signed by clerk"),
        "{}",
        stderr(&output)
    );
}

/// The commands that docs/transcript-format.md gives for signatures.
fn documented_check() -> &'static str {
    let page = include_str!("../../docs/transcript-format.md");
    let (_, after) = page.split_once("# the signatures (rule 9)\n").unwrap();
    after.split_once("\n\n").unwrap().0
}

#[test]
fn the_documented_commands_check_every_signature() {
    let Some(room) = Room::new(Kind::Kryoptic) else {
        return;
    };
    room.run_well();
    witness(&room, "clerk", &["ed25519"]);
    sign(&room, "clerk", "byok-ceremony", "clerk.sig");
    let check = || {
        let mut bash = Command::new("bash");
        bash.args(["-c", documented_check()]);
        let output = bash.current_dir(room.path("records/one")).output().unwrap();
        stdout(&output)
            .matches("Good \"byok-ceremony\" signature")
            .count()
    };
    assert_eq!(check(), 3, "the HSM's twice, the witness's once");
    sign(&room, "clerk", "byok-ceremony", "hsm.sig");
    assert_eq!(check(), 2, "by another key than the transcript names");
    let mut bytes = fs::read(room.path(TRANSCRIPT)).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    fs::write(room.path(TRANSCRIPT), bytes).unwrap();
    assert_eq!(check(), 0);
}

// ---- ceremonies that do not come to their end -----------------------------------------

/// The one aborted record of the room, its signature judged by ssh-keygen.
fn aborted_and_signed(room: &Room) -> Transcript {
    let names = room.beside();
    let name = names
        .iter()
        .find(|name| name.contains(".aborted-"))
        .unwrap();
    let transcript = room.aborted();
    let sig = room.path(&format!("records/{name}/signatures/hsm.sig"));
    let key = public_key(&transcript);
    assert!(stock_verifies(
        &key,
        "byok-ceremony",
        &sig,
        &transcript.bytes
    ));
    let record = format!("records/{name}");
    let verified = room.byok(&["verify", &record, "--json"]).output().unwrap();
    assert_eq!(
        json(&verified)["outcome"],
        "aborted",
        "{}",
        stderr(&verified)
    );
    assert_eq!(json(&verified)["signatures"][0]["checked"], true);
    transcript
}

#[test]
fn an_aborted_ceremony_is_signed_too_and_the_signer_that_it_made_is_gone() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        let wrong = room
            .kms
            .parameters("arn:aws:kms:eu-west-1:111122223333:key/other", 9);
        fs::write(room.path("inputs/eu-west-1.json"), wrong).unwrap();
        let output = room.run();
        assert!(!output.status.success());
        let aborted = aborted_and_signed(&room);
        assert_eq!(aborted.lines.last().unwrap()["signer_destroyed"], true);
        assert_eq!(room.signers(), [""; 0]);
        let made = public_key(&aborted);

        // The one that was there before stays; a second abort is signed by it.
        fs::remove_dir_all(room.path("records")).unwrap();
        room.write_parameters();
        let first = room.run_well();
        assert_ne!(public_key(&first), made);
        let kept = signers(&room);
        room.plan.label = "second".into();
        room.plan.expires = "never".into();
        fs::rename(room.path("records"), room.path("kept")).unwrap();
        fs::write(room.path("inputs/eu-west-1.json"), "{}").unwrap();
        assert!(!room.run().status.success());
        let aborted = aborted_and_signed(&room);
        assert_eq!(public_key(&aborted), public_key(&first));
        assert!(
            aborted
                .lines
                .last()
                .unwrap()
                .get("signer_destroyed")
                .is_none()
        );
        assert_eq!(signers(&room), kept);
    }
}

/// Traces that somebody planted do not aim at a signer that is in use.
#[test]
fn the_signer_of_a_sealed_record_is_never_destroyed_as_a_leftover() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let first = room.run_well();
    let kept = signers(&room);
    let lines: Vec<&[u8]> = first.bytes.split_inclusive(|b| *b == b'\n').collect();
    let at = first
        .names()
        .iter()
        .position(|n| *n == "signer-intended")
        .unwrap();
    next_record(&mut room, "second");
    let plant = |room: &Room| {
        fs::create_dir_all(room.path("records/second.incomplete")).unwrap();
        let planted = room.path("records/second.incomplete/transcript.jsonl");
        fs::write(planted, lines[..=at].concat()).unwrap();
    };
    plant(&room);
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(signers(&room), kept);

    // The sealed record is not here; the plan names its signer.
    fs::rename(room.path("records"), room.path("elsewhere")).unwrap();
    plant(&room);
    room.plan.label = "third".into();
    room.plan.record_more = format!("signer = \"{}\"\n", fingerprint(&first));
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(signers(&room), kept);
    let noted = room.transcript("records/second");
    let noted = noted.event("exception")["what"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(noted.contains("the transcript signer in use"), "{noted}");
}

#[test]
fn an_hsm_that_cannot_sign_at_the_end_leaves_no_sealed_record() {
    // The first signature is step 4's challenge, the second would be the seal's.
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    if room
        .behind_proxy("fail:C_SignInit:2:CKR_DEVICE_ERROR")
        .is_none()
    {
        return;
    }
    let output = room.run();
    let says = [
        "step 12 of 13",
        "signing the transcript in the HSM",
        "CKR_DEVICE_ERROR",
    ];
    refused(&output, 3, &says);
    assert_eq!(room.beside().len(), 1, "{:?}", room.beside());
    let aborted = aborted_and_signed(&room);
    assert_eq!(aborted.lines.last().unwrap()["signer_destroyed"], true);
    assert_eq!((room.objects(), room.signers()), (vec![], vec![]));
}

#[test]
fn an_hsm_without_p_256_is_refused_with_what_the_plan_can_say() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let rules = "fail:C_GenerateKeyPair:*:CKR_MECHANISM_INVALID";
    if room.behind_proxy(rules).is_none() {
        return;
    }
    let says = [
        "step 4 of 13",
        "CKR_MECHANISM_INVALID",
        "signer = \"none\" in the plan",
    ];
    refused(&room.run(), 3, &says);
    assert_eq!(room.signers(), [""; 0]);
    fs::remove_dir_all(room.path("records")).unwrap();
    let checked = room
        .byok(&["check", "--hsm", "plan.toml"])
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(3));
    for says in ["signer = \"none\"", "would not start: "] {
        assert!(stdout(&checked).contains(says), "{}", stdout(&checked));
    }
    room.plan.top_more = "signer = \"none\"\n".into();
    room.run_well();
}

#[test]
fn a_signer_that_cannot_be_destroyed_is_named_in_what_it_signs() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    // only the signer's halves are destroyed in this run before its end
    fs::write(room.path("inputs/eu-west-1.json"), "{}").unwrap();
    if room
        .behind_proxy("fail:C_DestroyObject:*:CKR_ACTION_PROHIBITED")
        .is_none()
    {
        return;
    }
    let output = room.run();
    let says = [
        "the transcript signer that this run made may still be in the HSM",
        "--type privkey",
        "--type pubkey",
    ];
    refused(&output, 2, &says);
    let aborted = aborted_and_signed(&room);
    let last = aborted.lines.last().unwrap();
    assert_eq!(last["may_be_left"][0]["label"], SIGNER);
    assert!(last.get("signer_destroyed").is_none());
    assert_eq!(room.signers().len(), 2);
    // the next run takes it away
    room.without_proxy();
    room.write_parameters();
    let next = room.run_well();
    assert_eq!(next.event("key-destroyed")["label"], SIGNER);
    assert_eq!(next.event("transcript-signer")["origin"], "made");
    assert_eq!(room.signers().len(), 2);
}

#[test]
fn a_signer_that_became_other_than_asked_is_refused_and_destroyed() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        let rules = [
            (
                "weaken:CKA_SENSITIVE=false",
                "CKA_SENSITIVE is FALSE, not TRUE",
            ),
            (
                "weaken:CKA_EXTRACTABLE=true",
                "CKA_EXTRACTABLE is TRUE, not FALSE",
            ),
            ("weaken:CKA_PRIVATE=false", "CKA_PRIVATE is FALSE, not TRUE"),
            (
                "lie:CKA_MODIFIABLE=true",
                "CKA_MODIFIABLE is TRUE, not FALSE",
            ),
            ("lie:CKA_COPYABLE=true", "CKA_COPYABLE is TRUE, not FALSE"),
            ("lie:CKA_SIGN=false", "CKA_SIGN is FALSE, not TRUE"),
            ("lie:CKA_TOKEN=false", "CKA_TOKEN is FALSE, not TRUE"),
            ("lie:CKA_LOCAL=false", "CKA_LOCAL is FALSE, not TRUE"),
        ];
        for (rule, deviates) in rules {
            let Some(()) = room.behind_proxy(rule) else {
                return;
            };
            let output = room.run();
            let says = ["step 4 of 13", "[ATTRIBUTES]", deviates];
            refused(&output, 3, &says);
            assert_eq!(room.signers(), [""; 0], "{kind:?} {rule}");
            let aborted = room.aborted();
            assert!(aborted.events("transcript-signer").is_empty());
            fs::remove_dir_all(room.path("records")).unwrap();
        }
    }
}

// ---- the signer of the record before ------------------------------------------------------

#[test]
fn a_recovery_in_another_hsm_has_another_signer_and_says_so() {
    for (from, to) in [
        (Kind::SoftHsm, Kind::Kryoptic),
        (Kind::Kryoptic, Kind::SoftHsm),
    ] {
        let (Some(old), Some(mut new)) = (escrow::room(from, 2, 3), Room::new(to)) else {
            continue;
        };
        let first = old.run_well();
        new.use_kms_key(old.kms.clone());
        new.plan.kind = "recover".into();
        new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
        let record = old.path("records/one");
        let named = |record: &Path| {
            format!(
                "previous = {record:?}\nprevious_head = \"{}\"\n",
                escrow::head(record)
            )
        };
        new.plan.top_more = format!("{}reuse_escrow = \"a test\"\n", named(&record));
        let shares = escrow::shares(&old.path("shares"));
        escrow::lay(&new.path("brought"), &[&shares[0].1, &shares[1].1]);
        let output = new.run();
        assert!(output.status.success(), "{}", stderr(&output));
        let said = format!(
            "the previous record was signed by another key, {}",
            fingerprint(&first)
        );
        let told: Vec<String> = stderr(&output)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        assert!(told.join(" ").contains(&said), "{}", stderr(&output));
        let recovered = new.transcript("records/one");
        let signer = recovered.event("transcript-signer");
        assert_eq!(signer["origin"], "made");
        assert_eq!(signer["previous_fingerprint"], fingerprint(&first).as_str());
        assert!(
            recovered
                .events("exception")
                .iter()
                .all(|e| !e["what"].as_str().unwrap().contains("signed by"))
        );
        assert!(verify(&new, &[]).status.success());

        // In the same HSM it stays; one that changes there all the same is an exception.
        new.plan.kind = "reimport".into();
        new.plan.more = String::new();
        new.plan.top_more = named(&new.path("records/one"));
        for (directory, changed) in [("records/same", false), ("records/other", true)] {
            if changed {
                new.token(&["destroy", "ceremony", PIN, SIGNER]);
            }
            new.plan.directory = directory.into();
            let output = new.run();
            assert!(output.status.success(), "{}", stderr(&output));
            let transcript = new.transcript(directory);
            let before = &transcript.event("transcript-signer")["previous_fingerprint"];
            let noted = transcript.events("exception");
            assert_eq!(before.is_string(), changed);
            assert_eq!(noted.len(), usize::from(changed));
            if changed {
                assert_eq!(*before, fingerprint(&recovered));
                assert!(
                    noted[0]["what"]
                        .as_str()
                        .unwrap()
                        .contains("signed by another key")
                );
            }
        }
        // Where the plan names the one that is gone, the ceremony does not begin.
        new.plan.directory = "records/named".into();
        new.plan.record_more = format!("signer = \"{}\"\n", fingerprint(&recovered));
        refused(&new.run(), 3, &["[SIGNER]", &fingerprint(&recovered)]);
    }
}

// ---- witnesses, and who vouches ---------------------------------------------------------

#[test]
fn witnesses_sign_with_stock_ssh_keygen_and_a_list_from_outside_makes_it_authentic() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let transcript = room.run_well();
    let kinds: [(&str, &[&str]); 4] = [
        ("ed", &["ed25519"]),
        ("ec", &["ecdsa", "-b", "256"]),
        ("rsa", &["rsa", "-b", "2048"]),
        ("p521", &["ecdsa", "-b", "521"]),
    ];
    let hsm = public_key(&transcript);
    for (name, kind) in kinds {
        let key = witness(&room, name, kind);
        sign(&room, name, "byok-ceremony", &format!("{name}.sig"));
        fs::write(
            room.path("list"),
            format!("{name}@example.com namespaces=\"byok-ceremony\" {key}\n"),
        )
        .unwrap();
        let output = verify(&room, &["--signers", "list"]);
        let said = json(&verify(&room, &["--json", "--signers", "list"]));
        if name == "p521" {
            // known to ssh-keygen, not to byok: said, and never an anchor
            refused(
                &output,
                4,
                &["no listed key signed this record", "not checked by byok"],
            );
            assert_eq!(said["authenticated"], false);
            continue;
        }
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let authentic = format!("authentic: signed by {name}@example.com, whom your list names.\n");
        assert!(
            stdout(&output).starts_with(&authentic),
            "{}",
            stdout(&output)
        );
        assert_eq!(
            (&said["verdict"], &said["authenticated"]),
            (&"authentic".into(), &true.into())
        );
        let signatures = said["signatures"].as_array().unwrap();
        let of = |file: &str| signatures.iter().find(|s| s["file"] == file).unwrap();
        assert_eq!(
            of(&format!("signatures/{name}.sig"))["principal"],
            format!("{name}@example.com")
        );
        assert!(of("signatures/hsm.sig")["principal"].is_null());
    }
    // the HSM's own key, from paper or the first ceremony's record
    let lists = [
        (format!("hsm namespaces=\"byok-ceremony\" {hsm}\n"), true),
        (format!("# ours\n\nhsm,second {hsm} comment\n"), true),
        (format!("hsm valid-after=\"20200101Z\" {hsm}\n"), true),
        (
            format!("hsm namespaces=\"git,byok-rehearsal\" {hsm}\n"),
            false,
        ),
        (format!("hsm valid-before=\"20200101Z\" {hsm}\n"), false),
    ];
    let head = sha256(&transcript.bytes);
    let other = format!(
        "{}{}",
        if head.starts_with('0') { "1" } else { "0" },
        &head[1..]
    );
    for (list, good) in lists {
        fs::write(room.path("list"), &list).unwrap();
        let output = verify(&room, &["--signers", "list"]);
        assert_eq!(output.status.success(), good, "{list}: {}", stderr(&output));
        if !good {
            refused(
                &output,
                4,
                &[
                    "no listed key signed this record",
                    &fingerprint(&transcript),
                    "the record holds together, but a different signer signed it",
                    "byok: verdict: not by a listed signer\n",
                ],
            );
            assert!(!stderr(&output).contains("broken"), "{}", stderr(&output));
            let told = json(&verify(&room, &["--json", "--signers", "list"]));
            assert_eq!(told["verdict"], "not by a listed signer");
            assert_eq!(
                (&told["authenticated"], &told["rule"]),
                (&false.into(), &"LISTED".into())
            );
        }
        // both anchors hold, or the record does not
        let both = verify(&room, &["--signers", "list", "--head", &head]);
        assert_eq!(both.status.success(), good, "{list}");
        let wrong = verify(&room, &["--signers", "list", "--head", &other]);
        refused(&wrong, 4, &["its head is"]);
    }
    for (list, says) in [
        (
            format!("hsm cert-authority {hsm}\n"),
            "line 1: cert-authority",
        ),
        ("hsm\n".into(), "line 1: no public key"),
    ] {
        fs::write(room.path("list"), list).unwrap();
        refused(
            &verify(&room, &["--signers", "list"]),
            2,
            &["--signers list: ", says],
        );
    }
    refused(
        &verify(&room, &["--signers", "absent"]),
        2,
        &["--signers absent: "],
    );
}

#[test]
fn a_signature_that_is_none_or_by_another_or_of_something_else_is_named() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let good = fs::read(room.path(HSM_SIG)).unwrap();
    let folder = room.path("records/one/signatures");
    for name in ["mallory", "clerk"] {
        witness(&room, name, &["ecdsa"]);
    }
    let broken = |says: &str| refused(&verify(&room, &[]), 4, &["broken: signatures/", says]);

    fs::remove_file(room.path(HSM_SIG)).unwrap();
    broken("hsm.sig: missing, although line ");
    sign(&room, "mallory", "byok-ceremony", "hsm.sig");
    broken("hsm.sig: by the key SHA256:");
    fs::write(room.path(HSM_SIG), "nothing of the kind\n").unwrap();
    broken("hsm.sig: not an SSH signature");
    for at in (40..good.len() - 40).step_by(23) {
        let mut changed = good.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        fs::write(room.path(HSM_SIG), changed).unwrap();
        broken("hsm.sig: ");
    }
    fs::write(room.path(HSM_SIG), &good).unwrap();
    assert!(verify(&room, &[]).status.success());

    sign(&room, "clerk", "byok-rehearsal", "clerk.sig");
    broken("clerk.sig: signed for \"byok-rehearsal\"");
    sign(&room, "clerk", "git", "clerk.sig");
    broken("clerk.sig: signed for \"git\"");
    fs::rename(room.path(TRANSCRIPT), room.path("whole")).unwrap();
    fs::write(room.path(TRANSCRIPT), "something else").unwrap();
    sign(&room, "clerk", "byok-ceremony", "clerk.sig");
    fs::rename(room.path("whole"), room.path(TRANSCRIPT)).unwrap();
    broken("clerk.sig: not a signature of transcript.jsonl by the key in it, SHA256:");
    sign(&room, "clerk", "byok-ceremony", "clerk.sig");
    assert!(verify(&room, &[]).status.success());
    for name in [
        "clerk",
        "-clerk.sig",
        "cl erk.sig",
        "clerk.txt",
        ".sig",
        "hsm.sig.bak",
        "a/b.sig",
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &good).unwrap();
        broken(&format!("{name}: not a signature's name"));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_rehearsal_is_signed_as_one_and_never_passes_as_a_ceremony() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let output = room.byok(&["rehearse"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let look = text
        .lines()
        .find(|line| line.starts_with("look at"))
        .unwrap();
    let report = room.path(look.split_whitespace().nth(2).unwrap());
    let path = report.with_file_name("transcript.jsonl");
    let transcript = Transcript::read(&path);
    let sig = path.with_file_name("signatures").join("hsm.sig");
    let key = public_key(&transcript);
    assert!(stock_verifies(
        &key,
        "byok-rehearsal",
        &sig,
        &transcript.bytes
    ));
    assert!(!stock_verifies(
        &key,
        "byok-ceremony",
        &sig,
        &transcript.bytes
    ));
    // a list for ceremonies does not make a rehearsal authentic
    let record = path.parent().unwrap().to_str().unwrap();
    for (namespace, good) in [("byok-ceremony", false), ("byok-rehearsal", true)] {
        let list = format!("hsm namespaces=\"{namespace}\" {key}\n");
        fs::write(room.path("list"), list).unwrap();
        let verified = room
            .byok(&["verify", record, "--signers", "list"])
            .output()
            .unwrap();
        assert_eq!(verified.status.success(), good, "{}", stderr(&verified));
    }
}

#[test]
fn the_label_of_the_signer_is_no_label_of_a_data_key() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    for label in [SIGNER, "BYOK-Transcript-Signer"] {
        room.plan.label = label.into();
        refused(&room.run(), 2, &["is the label of the transcript signer"]);
    }
    room.plan.label = LABEL.into();
    for signer in ["SHA256:abc", "x", ""] {
        room.plan.record_more = format!("signer = {signer:?}\n");
        refused(&room.run(), 2, &["signer must be a fingerprint"]);
    }
    room.plan.record_more = "signer = \"none\"\n".into();
    room.plan.top_more = "signer = \"none\"\n".into();
    refused(
        &room.run(),
        2,
        &["signer is both at the top and in [record]"],
    );
}
