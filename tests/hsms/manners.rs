//! Modules as they were met in the field: each does one thing otherwise than the standard wants, at every call.
//! The proxy gives its manners to SoftHSM and kryoptic; `tests/hsms/opencryptoki.rs` has one of them as it is.

use crate::support;

use std::fs;

use support::escrow::{builds_on, lay, shares, table, wrapped};
use support::{Kind, LABEL, PIN, Room, openssl, refused, stderr, stdout, well};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];
const UNSIGNED: &str = "signer = \"none\"\n";

/// A room with an escrow, behind a proxy with these rules.
fn room(kind: Kind, rules: &str) -> Option<Room> {
    let mut room = support::escrow::room(kind, 2, 3)?;
    room.behind_proxy(rules)?;
    Some(room)
}

/// `byok check --hsm` and `byok run`, and the token holds the data key alone.
#[track_caller]
fn serves(room: &Room) {
    well(&room.check());
    assert_eq!(room.objects(), [""; 0], "check leaves nothing");
    assert_eq!(room.signers(), [""; 0]);
    room.run_well();
    assert_eq!(room.objects().len(), 1);
}

/// What `byok doctor` says, which takes a while.
#[track_caller]
fn doctor(room: &Room, args: &[&str]) -> String {
    let examined = room
        .byok(&[&["doctor", "plan.toml"], args].concat())
        .output();
    let examined = examined.unwrap();
    well(&examined);
    stdout(&examined)
}

// ---- neighbours ----------------------------------------------------------------------

/// SoftHSM always shows one more slot, whose token is not initialised.
#[test]
fn a_slot_that_tells_nothing_stops_nobody() {
    for rv in ["TOKEN_NOT_RECOGNIZED", "DEVICE_ERROR", "TOKEN_NOT_PRESENT"] {
        let silent = format!("silent-slot:1:CKR_{rv}");
        // the session is lost as well: the token is looked for a second time
        let rules = format!("{silent};lose-session:C_UnwrapKey:3");
        let Some(mut room) = room(Kind::SoftHsm, &rules) else {
            return;
        };
        let transcript = room.run_well();
        assert_eq!(transcript.events("hsm-reopened").len(), 1);
        room.behind_proxy(&silent);
        room.plan.directory = "records/two".into();
        room.plan.label = "another".into();
        room.plan.more = String::new();
        well(&room.check());
        let module = &room.plan.module;
        let plan = room.byok(&["plan", "--module", module]).output().unwrap();
        well(&plan);
        assert!(stdout(&plan).contains("pkcs11:token=ceremony;serial="));
    }
}

#[test]
fn a_slot_that_tells_nothing_is_named_where_nothing_matches() {
    for (place, token) in [("0", "ceremony"), ("1", "another")] {
        let rules = format!("silent-slot:{place}:CKR_TOKEN_NOT_RECOGNIZED");
        let Some(mut room) = room(Kind::SoftHsm, &rules) else {
            return;
        };
        room.plan.token = format!("pkcs11:token={token}");
        let says = [
            "hint: slot 0x",
            " does not describe its token (C_GetTokenInfo: CKR_TOKEN_NOT_RECOGNIZED)",
        ];
        refused(&room.run(), 3, &says);
    }
}

#[test]
fn a_slot_that_tells_nothing_for_a_moment_is_asked_again() {
    for kind in BOTH {
        let Some(room) = room(kind, "fail:C_GetTokenInfo:1:CKR_GENERAL_ERROR") else {
            return;
        };
        well(&room.run());
    }
}

// ---- texts and clocks ------------------------------------------------------------------

#[test]
fn texts_that_end_in_zero_bytes_and_a_clock_that_cannot_be_read_are_no_obstacle() {
    for kind in BOTH {
        let Some(room) = room(kind, "zero-padded;odd-clock") else {
            return;
        };
        let clean =
            |text: &str| !text.contains("\\u") && !text.contains('\0') && !text.contains("%5C");
        serves(&room);
        let opened = room.transcript("records/one").event("hsm-opened").clone();
        assert_eq!(opened["token"], "ceremony");
        for text in ["library", "serial", "manufacturer", "model"] {
            assert!(clean(&opened[text].to_string()), "{opened}");
        }
        let module = &room.plan.module;
        let plan = stdout(&room.byok(&["plan", "--module", module]).output().unwrap());
        let token = plan.lines().find(|line| line.starts_with("token")).unwrap();
        assert!(clean(token), "{token}");
    }
}

#[test]
fn a_serial_that_cannot_be_written_is_left_out_of_the_uri() {
    let Some(mut room) = room(Kind::SoftHsm, "binary-serial") else {
        return;
    };
    let module = &room.plan.module;
    let plan = stdout(&room.byok(&["plan", "--module", module]).output().unwrap());
    let token = plan.lines().find(|line| line.starts_with("token")).unwrap();
    assert!(token.contains("\"pkcs11:token=ceremony\""), "{token}");
    room.plan.token = "pkcs11:token=ceremony".into();
    room.run_well();
}

#[test]
fn a_module_that_locks_nothing_serves() {
    for kind in BOTH {
        let Some(room) = room(kind, "cant-lock") else {
            return;
        };
        room.run_well();
    }
}

// ---- C_WrapKey -------------------------------------------------------------------------

/// In every path: for KMS in the HSM and by the host, with RSA_AES_KEY_WRAP, for escrow, for lengths.
#[test]
fn no_path_asks_for_the_length_of_what_is_wrapped() {
    for (kind, spec, wrap_in) in [
        (Kind::SoftHsm, "SYMMETRIC_DEFAULT", "hsm"),
        (Kind::SoftHsm, "HMAC_256", "host"),
        (Kind::Kryoptic, "RSA_2048", "hsm"),
    ] {
        let Some(mut room) = room(kind, "odd-query") else {
            return;
        };
        room.plan_spec(spec, None);
        room.plan.wrap_in = wrap_in.into();
        serves(&room);
        if (kind, wrap_in) == (Kind::SoftHsm, "hsm") {
            let examined = doctor(&room, &[]);
            assert!(!examined.contains("OPERATION_ACTIVE"), "{examined}");
            assert!(examined.contains("[escrow] and recover work"), "{examined}");
        }
    }
}

#[test]
fn a_module_that_never_has_room_enough_is_named() {
    let Some(room) = room(Kind::SoftHsm, "fail:C_WrapKey:*:CKR_BUFFER_TOO_SMALL") else {
        return;
    };
    let says = [
        "step 6 of 13",
        "C_WrapKey: CKR_BUFFER_TOO_SMALL for a buffer of 8192 bytes",
        "[WRAPPED-LENGTH]",
        "this module cannot wrap in this way",
    ];
    refused(&room.run(), 3, &says);
}

/// Escrow took what OAEP refused.
#[test]
fn a_length_that_is_not_true_is_refused_in_every_path() {
    // control, trial, escrow control
    for wrap in ["1", "2", "3"] {
        let Some(room) = room(Kind::SoftHsm, &format!("length:C_WrapKey:{wrap}:8")) else {
            return;
        };
        refused(&room.run(), 3, &["step 6 of 13", "[", "C_WrapKey: "]);
        assert!(room.aborted().events("key-intended").is_empty());
    }
}

// ---- C_UnwrapKey -----------------------------------------------------------------------

/// opencryptoki 3.27. (That a copy is not copied again the real modules behind the proxy do not take.)
const OF_UNWRAPPED: &str = "strict-unwrap;lie:CKA_COPYABLE=false";

/// The escrow, the recovery and the way in for a private key from a file, whatever is kept.
#[test]
fn a_module_that_is_told_nothing_of_an_unwrapped_key_serves_escrow_and_recovery() {
    for kind in BOTH {
        for keep in ["extractable", "sealed", "none"] {
            let Some(mut old) = room(kind, OF_UNWRAPPED) else {
                return;
            };
            old.plan.keep = keep.into();
            old.run_well();
            let Some(mut new) = Room::new(kind) else {
                return;
            };
            new.use_kms_key(old.kms.clone());
            new.plan.kind = "recover".into();
            new.plan.keep = keep.into();
            new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
            new.plan.top_more = builds_on(&old, "records/one") + "reuse_escrow = \"a test\"\n";
            let words = shares(&old.path("shares"));
            lay(&new.path("brought"), &[&words[0].1, &words[1].1]);
            new.behind_proxy(OF_UNWRAPPED).unwrap();
            let transcript = new.run_well();
            let told = &transcript.event("key-recovered")["attributes"];
            assert_eq!(told["CKA_SENSITIVE"], true, "{kind:?} {keep}");
            assert_eq!(told["CKA_MODIFIABLE"], keep == "sealed");
            let key = |room: &Room| room.openssl_opens(&wrapped("records/one"));
            assert_eq!(key(&new), key(&old));
            assert_eq!(new.objects().len(), usize::from(keep != "none"), "{keep}");
        }
    }
}

#[test]
fn a_module_that_is_told_nothing_of_an_unwrapped_key_takes_private_keys_in() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            return;
        };
        let pem = openssl(
            &[
                "genpkey",
                "-quiet",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ],
            &[],
        );
        let der = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem);
        fs::write(room.path("key.der"), der).unwrap();
        room.plan_spec("ECC_NIST_P256", None);
        room.plan.wrap_in = "host".into();
        room.plan.key_more = "source = \"file:key.der\"\nreason = \"a test\"\n".into();
        room.behind_proxy(OF_UNWRAPPED).unwrap();
        room.run_well();
        assert_eq!(room.objects().len(), 1);
    }
}

#[test]
fn a_failed_unwrap_is_called_that() {
    let Some(room) = room(Kind::SoftHsm, "fail:C_UnwrapKey:*:CKR_WRAPPED_KEY_INVALID") else {
        return;
    };
    let output = room.run();
    let says = [
        "[CONTROL]",
        "unwrapping what it wrapped: ",
        "C_UnwrapKey: CKR_WRAPPED_KEY_INVALID",
        "it wraps with AES-KW (RFC 3394), but does not correctly unwrap the result",
    ];
    refused(&output, 3, &says);
    assert!(
        !stderr(&output).contains("does not wrap"),
        "{}",
        stderr(&output)
    );
}

// ---- token objects ---------------------------------------------------------------------

/// NSS softokn does not know the attributes, and so tells nothing of them either.
const OF_TOKENS: &str = "strict-token;lie:CKA_COPYABLE=false;lie:CKA_DESTROYABLE=true";

#[test]
fn what_is_refused_of_token_objects_only_is_left_out_of_them() {
    for kind in BOTH {
        let Some(mut room) = room(kind, OF_TOKENS) else {
            return;
        };
        serves(&room);
        assert_eq!(room.signers().len(), 2);
        room.plan.directory = "records/two".into();
        room.plan.label = "from-a-file".into();
        room.plan.more = String::new();
        fs::write(room.path("key"), openssl(&["rand", "32"], &[])).unwrap();
        room.plan.key_more = "source = \"file:key\"\nreason = \"a test\"\n".into();
        well(&room.run());
    }
}

/// The session object passes: without a token object nobody knew before step 4, or 7.
#[test]
fn check_and_doctor_try_a_token_object_and_leave_nothing() {
    let Some(mut room) = room(Kind::SoftHsm, "strict-token") else {
        return;
    };
    for signer in [UNSIGNED, ""] {
        room.plan.record_more = signer.into();
        let checked = room.check();
        assert_eq!(checked.status.code(), Some(3));
        let said = stdout(&checked);
        assert!(said.contains("CKA_COPYABLE is TRUE, not FALSE"), "{said}");
    }
    let examined = doctor(&room, &[]);
    for told in ["NO as a token object", "signer    NO"] {
        assert!(examined.contains(told), "{examined}");
    }
    assert_eq!(room.objects(), [""; 0]);
    assert_eq!(room.signers(), [""; 0]);
}

// ---- RSA -------------------------------------------------------------------------------

const SHA256_RSA_PKCS: &str = "without:0x40";
const EC_KEY_PAIR_GEN: &str = "without:0x1040";

#[test]
fn an_rsa_key_proves_itself_by_the_mechanism_that_hashes_nothing() {
    for kind in BOTH {
        let Some(mut room) = Room::new(kind) else {
            return;
        };
        room.plan_spec("RSA_2048", None);
        room.behind_proxy(SHA256_RSA_PKCS).unwrap();
        room.run_well();
    }
}

#[test]
fn an_rsa_plan_needs_no_curves_by_the_host_and_is_told_why_in_the_hsm() {
    let Some(mut room) = Room::new(Kind::Kryoptic) else {
        return;
    };
    room.plan_spec("RSA_2048", None);
    room.plan.record_more = UNSIGNED.into();
    room.behind_proxy(EC_KEY_PAIR_GEN).unwrap();
    let says = [
        "C_GenerateKeyPair: CKR_MECHANISM_INVALID",
        "only a private key on P-256 shows for certain what an HSM appends to one",
        "wrap_in = \"host\"",
    ];
    refused(&room.run(), 3, &says);
    fs::remove_dir_all(room.path("records")).unwrap();
    room.plan.wrap_in = "host".into();
    room.plan.more = table(2, 3, "files:shares");
    room.run_well();
}

// ---- the same key again ----------------------------------------------------------------

/// A key with a zero byte more has the same HMAC of everything, and is another key to KMS.
#[test]
fn a_longer_hmac_key_in_the_place_of_a_data_key_is_another_one() {
    let Some(mut room) = room(Kind::SoftHsm, "lose-session:C_UnwrapKey:4") else {
        return;
    };
    room.plan_spec("HMAC_256", Some(256));
    room.plan.pin = "prompt".into();
    room.write_plan();
    let mut screen = support::screen::Screen::start(room.byok(&["run", "plan.toml"]));
    const ASKED: &str = "(nothing is shown while you type): ";
    screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
    screen.roll_call();
    screen.answer(ASKED, PIN);
    screen.expect("The HSM lost its session");
    screen.expect(ASKED);
    let object = room.objects().pop().unwrap();
    let id = object.rsplit(' ').next().unwrap().to_owned();
    let key = room.token(&["take", "ceremony", PIN, LABEL]);
    room.token(&["destroy", "ceremony", PIN, LABEL]);
    let longer = format!("{}00", key.trim());
    room.token(&["secret", "ceremony", PIN, LABEL, &id, &longer]);
    screen.enter(PIN);
    assert_eq!(screen.end(), 4, "{}", screen.shown);
    assert!(
        screen.shown.contains("another key is in its place"),
        "{}",
        screen.shown
    );
}
