//! Escrow on both HSMs: what is dealt, proved and left behind, opened by other programs.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use byok::crypto::escrow::slip39::Share;
use byok::crypto::escrow::{UntrustedShares, read_share_file};
use support::escrow::{
    CUSTODIANS, choices, head, named_table, nowhere, openssl_opens_package, package, reference,
    reference_recovers, room, shares, spellings, table, telling, wrapped,
};
use support::{Kind, LABEL, PIN, Room, hex, openssl_check_values, refused, sha256, stderr, unhex};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];

/// Deals M of N on this HSM and looks at everything that came of it.
fn dealt_to_files(kind: Kind, threshold: usize, count: usize) {
    let Some(room) = room(kind, threshold, count) else {
        return;
    };
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let record = room.path("records/one");
    let transcript = room.transcript("records/one");
    let data_key = room.openssl_opens(&wrapped("records/one"));
    let (kcv, fingerprint) = openssl_check_values(&data_key);
    assert_eq!(transcript.event("key-generated")["kcv"], kcv.as_str());

    let shares = shares(&room.path("shares"));
    let names: Vec<String> = shares
        .iter()
        .map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let wanted: Vec<String> = (1..=count)
        .map(|n| format!("{n:02}-{}.txt", CUSTODIANS[n - 1]))
        .collect();
    assert_eq!(names, wanted);
    let opened = &transcript.lines[0];
    let ceremony = opened["ceremony"].as_str().unwrap();
    let dealt = transcript.event("escrow-dealt");
    assert_eq!(dealt["threshold"], threshold);
    assert_eq!(dealt["shares"].as_array().unwrap().len(), count);
    let handed_out = transcript.events("share-handed-out");
    assert_eq!(handed_out.len(), count);
    for (at, (path, words)) in shares.iter().enumerate() {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{}", path.display());
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with(&format!("\n{words}\n")), "{text}");
        assert!(text.contains(ceremony), "{text}");
        let each: Vec<&str> = words.split(' ').collect();
        assert_eq!(each.len(), 33, "{words}");
        let is_word = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase());
        assert!(each.iter().all(|word| !word.is_empty() && is_word(word)));
        let digest = sha256(format!("byok-share-v1\n{ceremony}\n{words}\n").as_bytes());
        assert_eq!(dealt["shares"][at]["share_sha256"], digest.as_str());
        assert_eq!(dealt["shares"][at]["custodian"], CUSTODIANS[at]);
        assert_eq!(dealt["shares"][at]["share"], at + 1);
        assert_eq!(handed_out[at]["share_sha256"], digest.as_str());
    }
    assert_eq!(transcript.event("escrow-proved")["shares"], count);

    package_is_well_formed(&room, ceremony, &kcv, &fingerprint);
    let json = fs::read(record.join("escrow-package.json")).unwrap();
    assert_eq!(dealt["package_sha256"], sha256(&json).as_str());
    for (_, words) in &shares {
        nowhere(&telling(words), &room.path("records"), &stderr(&output));
    }
    verified(&room, "records/one");

    let Some(python) = reference() else {
        return;
    };
    let subsets = choices(count, threshold);
    let sets: Vec<Vec<&str>> = subsets
        .iter()
        .map(|set| set.iter().map(|at| shares[*at].1.as_str()).collect())
        .collect();
    let recovered = reference_recovers(&python, &sets);
    assert_eq!(recovered.len(), sets.len());
    let escrow_key = &recovered[0];
    assert_eq!(escrow_key.len(), 64, "{escrow_key}");
    assert!(recovered.iter().all(|key| key == escrow_key));
    for set in &subsets {
        assert_eq!(byok_recovers(&shares, set), *escrow_key, "{set:?}");
    }
    assert_eq!(
        openssl_opens_package(&package(&record), escrow_key),
        data_key
    );
    let mut secrets = spellings(&unhex(escrow_key));
    secrets.extend(spellings(&data_key));
    nowhere(&secrets, &room.path("records"), &stderr(&output));
    if threshold < count || threshold > 2 {
        let fewer: Vec<&str> = shares[..threshold - 1]
            .iter()
            .map(|(_, words)| words.as_str())
            .collect();
        assert!(reference_recovers(&python, &[fewer])[0].starts_with("refused"));
    }
}

/// The escrow key, in hex, that byok makes of these share files.
fn byok_recovers(shares: &[(PathBuf, String)], set: &[usize]) -> String {
    let mut untrusted = UntrustedShares::default();
    for at in set {
        let words = read_share_file(&shares[*at].0).unwrap();
        let share = Share::from_words(&words).ok().unwrap();
        untrusted.add(CUSTODIANS[*at], share).unwrap();
    }
    hex(untrusted.validate().unwrap().escrow_key())
}

/// The text form holds the same bytes as the JSON form, each row with its check.
#[track_caller]
fn package_is_well_formed(room: &Room, ceremony: &str, kcv: &str, fingerprint: &str) {
    let json = package(&room.path("records/one"));
    assert_eq!(json["format"], "byok-escrow-package-v1");
    assert_eq!(json["ceremony"], ceremony);
    let key = &json["keys"][0];
    assert_eq!(key["label"], LABEL);
    assert_eq!(key["kcv"], kcv);
    assert_eq!(key["fingerprint"], fingerprint);
    assert_eq!(key["wrapping"], "AES-KW");
    let text = fs::read_to_string(room.path("records/one/package.txt")).unwrap();
    let mut typed = String::new();
    for line in text.lines().filter(|line| line.contains("  check ")) {
        let mut words = line.split_whitespace();
        let (row, number) = (words.next().unwrap(), words.next().unwrap());
        let digits = words.next().unwrap().to_owned() + words.next().unwrap();
        let check = sha256(format!("{row} {number} {digits}").as_bytes());
        assert!(line.ends_with(&format!("check {}", &check[..4])), "{line}");
        typed += &digits;
    }
    assert_eq!(typed.len(), 80, "{text}");
    let wrapped = key["wrapped"].as_str().unwrap();
    assert_eq!(support::base64(&unhex(&typed)), wrapped);
}

#[track_caller]
fn verified(room: &Room, record: &str) {
    let head = head(&room.path(record));
    let output = room
        .byok(&["verify", "--head", &head, record])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn two_of_three_are_dealt_and_open_the_package() {
    BOTH.into_iter().for_each(|kind| dealt_to_files(kind, 2, 3));
}

#[test]
fn three_of_five_are_dealt_and_open_the_package() {
    BOTH.into_iter().for_each(|kind| dealt_to_files(kind, 3, 5));
}

#[test]
fn five_of_eight_are_dealt_and_open_the_package() {
    BOTH.into_iter().for_each(|kind| dealt_to_files(kind, 5, 8));
}

#[test]
fn sixteen_of_sixteen_are_dealt_and_open_the_package() {
    BOTH.into_iter()
        .for_each(|kind| dealt_to_files(kind, 16, 16));
}

#[test]
fn the_events_of_an_escrow_stand_in_the_order_of_the_steps() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.plan.keep = "sealed".into();
    let transcript = room.run_well();
    let mut names = transcript.names();
    names.dedup();
    let from = names
        .iter()
        .position(|name| *name == "key-wrapped")
        .unwrap();
    assert_eq!(
        names[from..],
        [
            "key-wrapped",
            "escrow-dealt",
            "share-handed-out",
            "escrow-proved",
            "key-sealed",
            "output-written",
            "sealed",
        ]
    );
    let checks = transcript.event("preflight-passed")["checks"].clone();
    let checks: Vec<&str> = checks
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert!(checks.contains(&"ESCROW-CONTROL"), "{checks:?}");
}

/// Refused with 2 before anything was made.
#[track_caller]
fn refused_at_once(room: &Room, says: &[&str]) {
    refused(&room.run(), 2, says);
    assert_eq!(room.beside(), [""; 0]);
    assert_eq!(room.objects(), [""; 0]);
}

#[test]
fn an_escrow_that_is_not_possible_is_refused_by_name() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let seventeen: Vec<String> = (1..=17).map(|n| format!("\"Custodian {n}\"")).collect();
    let long = format!("\"{}\", \"B\"", "x".repeat(41));
    let cases = [
        (1, "\"A\", \"B\"", "any 1 of 2 custodians"),
        (0, "\"A\", \"B\"", "any 0 of 2 custodians"),
        (3, "\"A\", \"B\"", "any 3 of 2 custodians"),
        (2, &seventeen.join(", "), "any 2 of 17 custodians"),
        (
            2,
            "\"Audit\", \"Audit\"",
            "the custodian \"Audit\" is in the plan twice",
        ),
        (
            2,
            "\"Audit\", \"AUDIT\"",
            "the custodian \"AUDIT\" is in the plan twice",
        ),
        (
            2,
            "\"../x\", \"B\"",
            "the custodian \"../x\" cannot be a name",
        ),
        (2, "\"a\\\\b\", \"B\"", "cannot be a name"),
        (
            2,
            "\".hidden\", \"B\"",
            "the custodian \".hidden\" cannot be a name",
        ),
        (2, "\"\", \"B\"", "the custodian \"\" cannot be a name"),
        (2, "\"  \", \"B\"", "cannot be a name"),
        (
            2,
            "\"Audit \", \"Audit\"",
            "the custodian \"Audit \" cannot be a name",
        ),
        (2, "\"a\\u0007\", \"B\"", "cannot be a name"),
        (2, "\"a\\u202eb\", \"B\"", "cannot be a name"),
        (2, &long, "cannot be a name"),
    ];
    for (threshold, names, says) in cases {
        room.plan.more = named_table(threshold, names, "files:shares");
        refused_at_once(&room, &[says]);
        assert!(!room.path("shares").exists());
    }
    for deliver in ["paper", "files:", "Screen", ""] {
        room.plan.more = table(2, 3, deliver);
        refused_at_once(&room, &["is neither screen nor files:DIR"]);
    }
}

#[test]
fn a_share_directory_that_holds_anything_is_refused_before_a_data_key_is_made() {
    let Some(room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    support::escrow::make_closed(&room.path("shares"));
    fs::write(room.path("shares/.old"), "x").unwrap();
    refused_at_once(&room, &["the directory for shares, shares, is not empty"]);
    assert_eq!(fs::read(room.path("shares/.old")).unwrap(), b"x");
    fs::remove_file(room.path("shares/.old")).unwrap();
    room.run_well(); // an empty one will do
    assert_eq!(shares(&room.path("shares")).len(), 3);
}

#[test]
fn a_share_directory_that_is_a_file_is_refused() {
    let Some(room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    fs::write(room.path("shares"), "x").unwrap();
    refused_at_once(&room, &["the directory for shares, shares, cannot be used"]);
}

#[test]
fn shares_never_lie_inside_the_record_under_any_spelling_of_it() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    std::os::unix::fs::symlink(".", room.path("here")).unwrap();
    for place in [
        "records/one/shares",
        "records/one",
        "./records/one/shares",
        "records/../records/one/shares",
        "here/records/one/shares",
        "records/one.incomplete/shares",
    ] {
        room.plan.more = table(2, 3, &format!("files:{place}"));
        let output = room.run();
        assert!(stderr(&output).contains("inside the record"), "{place}");
        assert_eq!(output.status.code(), Some(2), "{place}");
        assert_eq!(room.beside(), [""; 0], "{place}");
    }
    room.plan.more = table(2, 3, "files:records/one-shares");
    room.run_well();
}

#[test]
fn shares_on_a_screen_need_somebody_who_looks() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.more = table(2, 3, "screen");
    refused_at_once(&room, &["has nobody to look at shares"]);
}

#[test]
fn keys_that_only_a_quorum_brings_back_need_a_quorum() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    for keep in ["sealed", "none"] {
        room.plan.keep = keep.into();
        refused_at_once(&room, &["need [escrow]"]);
    }
}

#[test]
fn an_hsm_that_takes_no_secrets_in_plain_takes_the_escrow_key_through_its_gate() {
    for kind in BOTH {
        let Some(mut room) = room(kind, 2, 3) else {
            continue;
        };
        let log = room.path("calls");
        let rules = format!("refuse-create-secret;log:{}", log.display());
        if room.behind_proxy(&rules).is_none() {
            return;
        }
        let transcript = room.run_well();
        assert_eq!(transcript.event("escrow-proved")["shares"], 3);
        let calls = fs::read_to_string(log).unwrap();
        assert!(calls.contains("C_CreateObject CKR_TEMPLATE_INCONSISTENT"));
        assert!(calls.contains("C_GenerateKeyPair CKR_OK"));
        let Some(python) = reference() else {
            continue;
        };
        let dealt = shares(&room.path("shares"));
        let quorum = vec![dealt[0].1.as_str(), dealt[2].1.as_str()];
        let escrow_key = &reference_recovers(&python, &[quorum])[0];
        assert_eq!(
            openssl_opens_package(&package(&room.path("records/one")), escrow_key),
            room.openssl_opens(&wrapped("records/one")),
            "{kind:?}"
        );
        assert_eq!(room.objects().len(), 1, "{:?}", room.objects());
    }
}

#[test]
fn an_hsm_without_aes_kw_is_found_out_before_any_data_key_exists() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    // call 3 and on: the two before wrap for the KMS
    let rules = "fail:C_WrapKey:3:CKR_MECHANISM_INVALID;fail:C_WrapKey:4:CKR_MECHANISM_INVALID;\
                 fail:C_WrapKey:5:CKR_MECHANISM_INVALID;fail:C_WrapKey:6:CKR_MECHANISM_INVALID";
    if room.behind_proxy(rules).is_none() {
        return;
    }
    let output = room.run();
    refused(
        &output,
        3,
        &["step 6 of 13", "[CONTROL]", "cannot serve [escrow]"],
    );
    assert!(room.aborted().events("key-intended").is_empty());
    assert!(!room.path("shares").exists());
}

/// The ceremony failed after shares were out: they are erased and called void.
#[track_caller]
fn voided(room: &Room, output: &std::process::Output, code: i32, says: &str) {
    let void = "these shares are now void; destroy their forms: share 1, Security; share 2, Audit; \
                share 3, Treasury";
    refused(output, code, &[says, void]);
    assert_eq!(fs::read_dir(room.path("shares")).unwrap().count(), 0);
    assert_eq!(room.objects(), [""; 0]);
    let aborted = room.aborted();
    let last = aborted.lines.last().unwrap();
    assert_eq!(last["event"], "aborted");
    assert_eq!(last["exit"], code);
    let state = last["state"].to_string();
    assert!(state.contains(void), "{state}");
    assert_eq!(aborted.events("share-handed-out").len(), 3);
    assert!(aborted.events("escrow-proved").is_empty());
}

#[test]
fn a_ceremony_that_fails_at_the_proof_voids_the_shares_that_are_out() {
    for kind in BOTH {
        let Some(mut room) = room(kind, 2, 3) else {
            continue;
        };
        // preflight, deal and proof each take a control back; then comes the data key, twice, and a control
        let rules = [4, 5, 6].map(|call| format!("fail:C_UnwrapKey:{call}:CKR_DEVICE_ERROR"));
        if room.behind_proxy(&rules.join(";")).is_none() {
            return;
        }
        let output = room.run();
        voided(&room, &output, 3, "step 10 of 13");
        room.without_proxy();
        room.run_well(); // a failed attempt never blocks the next
    }
}

#[test]
fn a_package_with_one_changed_bit_is_caught_at_the_proof() {
    for kind in BOTH {
        let Some(mut room) = room(kind, 2, 3) else {
            continue;
        };
        // control and trial of the import, escrow control, import, deal's control, the data key
        if room.behind_proxy("wrap-flip:6").is_none() {
            return;
        }
        let output = room.run();
        voided(
            &room,
            &output,
            4,
            "the escrow key does not open the escrow package",
        );
    }
}

#[test]
fn an_hsm_that_wraps_the_escrow_control_wrongly_deals_nothing() {
    for kind in BOTH {
        for (call, step) in [(3, "step 6 of 13"), (5, "step 9 of 13")] {
            let Some(mut room) = room(kind, 2, 3) else {
                continue;
            };
            if room.behind_proxy(&format!("wrap-flip:{call}")).is_none() {
                return;
            }
            // the second row of mechanisms is tried too, and the module does not know it
            refused(&room.run(), 3, &[step, "[CONTROL]"]);
            assert!(!room.path("shares").exists());
            assert_eq!(room.objects(), [""; 0]);
        }
    }
}

#[test]
fn a_share_file_that_cannot_be_written_ends_the_ceremony() {
    let Some(room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    if rustix_is_root() {
        return support::skip("root writes everywhere");
    }
    fs::create_dir(room.path("shares")).unwrap();
    fs::set_permissions(room.path("shares"), fs::Permissions::from_mode(0o500)).unwrap();
    let output = room.run();
    refused(&output, 5, &["writing the share shares/01-Security.txt"]);
    assert_eq!(room.objects(), [""; 0]);
}

fn rustix_is_root() -> bool {
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

#[test]
fn a_sealed_data_key_cannot_leave_the_hsm_any_more() {
    for kind in BOTH {
        let Some(mut room) = room(kind, 2, 3) else {
            continue;
        };
        room.plan.keep = "sealed".into();
        let transcript = room.run_well();
        let generated = transcript.event("key-generated");
        let sealed = transcript.event("key-sealed");
        assert_eq!(sealed["label"], LABEL);
        assert_eq!(sealed["cka_id"], generated["cka_id"]);
        let out = room.path("out");
        let wrapping = room
            .token_command(&["wrap", "ceremony", PIN, LABEL, out.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(!wrapping.status.success());
        let said = stderr(&wrapping);
        assert!(said.contains("KeyUnextractable"), "{said}");
        assert!(!out.exists());
        assert_eq!(room.objects().len(), 1);
    }
}

#[test]
fn an_extractable_data_key_can_leave_the_hsm() {
    for kind in BOTH {
        let Some(room) = room(kind, 2, 3) else {
            continue;
        };
        let transcript = room.run_well();
        assert!(transcript.events("key-sealed").is_empty());
        let out = room.path("out");
        room.token(&["wrap", "ceremony", PIN, LABEL, out.to_str().unwrap()]);
        assert!(out.exists());
    }
}

#[test]
fn a_data_key_that_is_not_kept_is_in_no_later_session() {
    for kind in BOTH {
        let Some(mut room) = room(kind, 2, 3) else {
            continue;
        };
        room.plan.keep = "none".into();
        let transcript = room.run_well();
        assert_eq!(room.objects(), [""; 0]);
        let generated = transcript.event("key-generated");
        assert_eq!(generated["attributes"]["CKA_TOKEN"], false);
        let (_, fingerprint) = openssl_check_values(&room.openssl_opens(&wrapped("records/one")));
        assert_eq!(generated["fingerprint"], fingerprint.as_str());
    }
}
