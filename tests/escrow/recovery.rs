//! The same data key again: from a quorum of shares on another HSM, or from the HSM that still holds it.
//! Whatever is wrong with what people bring, no other key ever takes its place.

use crate::support;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Output;

use support::escrow::{
    another_word, builds_on, fingerprint, forged, head, lay, numbered_as, of_no_group, package,
    reference, reference_recovers, room, shares, slow, swapped, table, with_word, wrapped,
};
use support::forger::forger;
use support::screen::Screen;
use support::{
    ARN, Kind, LABEL, PIN, Room, SHA_256, openssl, openssl_check_values, refused, sha256, stderr,
    stdout,
};

const BOTH: [Kind; 2] = [Kind::SoftHsm, Kind::Kryoptic];
const OTHER_ARN: &str =
    "arn:aws:kms:eu-west-1:111122223333:key/99999999-12ab-34cd-56ef-1234567890ab";
const MRK: &str = "key/mrk-1234abcd12ab34cd56ef1234567890ab";

/// A data key was generated and escrowed; then its HSM was lost, and there is a new one.
struct Loss {
    old: Room,
    new: Room,
    shares: Vec<String>,
    key: Vec<u8>,
}

impl Loss {
    fn new(from: Kind, to: Kind, threshold: usize, count: usize) -> Option<Self> {
        Self::keeping(from, to, (threshold, count), "extractable")
    }

    fn keeping(from: Kind, to: Kind, escrow: (usize, usize), keep: &str) -> Option<Self> {
        let mut old = room(from, escrow.0, escrow.1)?;
        old.plan.keep = keep.into();
        old.run_well();
        let mut new = Room::new(to)?;
        new.use_kms_key(old.kms.clone());
        new.plan.kind = "recover".into();
        new.plan.keep = keep.into();
        new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
        new.plan.top_more = format!(
            "{}reuse_escrow = \"a test\"\n",
            builds_on(&old, "records/one")
        );
        let shares = shares(&old.path("shares"))
            .into_iter()
            .map(|(_, words)| words)
            .collect();
        let key = old.openssl_opens(&wrapped("records/one"));
        Some(Self {
            old,
            new,
            shares,
            key,
        })
    }

    /// Runs the recovery with these shares.
    fn with(&self, shares: &[&str]) -> Output {
        lay(&self.new.path("brought"), shares);
        let _ = fs::remove_dir_all(self.new.path("records"));
        self.new.run()
    }

    /// The very same bytes were wrapped again.
    #[track_caller]
    fn recovers(&self, shares: &[&str]) {
        let output = self.with(shares);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(self.new.openssl_opens(&wrapped("records/one")), self.key);
        let transcript = self.new.transcript("records/one");
        let before = fingerprint(&self.old.transcript("records/one"));
        assert_eq!(transcript.event("key-recovered")["fingerprint"], before);
        assert_eq!(transcript.event("same-material")["fingerprint"], before);
    }

    /// Refused by name, and nothing is left in the token.
    #[track_caller]
    fn fails(&self, shares: &[&str], code: i32, says: &[&str]) {
        let output = self.with(shares);
        refused(&output, code, says);
        assert_eq!(self.new.objects(), [""; 0]);
        assert!(!self.new.path("records/one").exists());
        let aborted = self.new.aborted();
        assert!(aborted.events("key-recovered").is_empty());
        assert!(aborted.events("key-wrapped").is_empty());
    }

    fn share(&self, at: usize) -> &str {
        &self.shares[at]
    }

    /// The token is as new again.
    fn forget(&mut self) {
        let mut fresh = Room::new(self.new.kind).unwrap();
        fresh.use_kms_key(self.old.kms.clone());
        fresh.plan = support::PlanText {
            module: fresh.plan.module.clone(),
            ..self.new.plan.clone()
        };
        self.new = fresh;
    }
}

/// Makes the room's plan one that reimports what `records/one` holds into `records/two`.
fn reimports(room: &mut Room) {
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.more = String::new();
}

/// A room whose token holds the data key of `records/one`, and whose plan reimports it.
fn reimport_room(kind: Kind) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.run_well();
    reimports(&mut room);
    Some(room)
}

#[track_caller]
fn reimported(room: &Room) -> support::Transcript {
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        room.openssl_opens(&wrapped("records/two")),
        room.openssl_opens(&wrapped("records/one"))
    );
    room.transcript("records/two")
}

#[track_caller]
fn not_reimported(room: &Room, code: i32, says: &[&str]) {
    let before = room.objects();
    refused(&room.run(), code, says);
    assert!(!room.path("records/two").exists());
    assert_eq!(room.objects(), before, "the token was touched");
}

/// SoftHSM computes check values of a key that nobody allowed to encrypt; kryoptic does not.
fn planted_is_shown(kind: Kind) -> &'static str {
    match kind {
        Kind::SoftHsm => "there is CKA_ID beef: KCV ",
        Kind::Kryoptic => "there is CKA_ID beef: its check values cannot be computed",
    }
}

// ---- recover ------------------------------------------------------------------------

#[test]
fn a_data_key_of_one_hsm_comes_back_in_any_other_from_any_quorum() {
    for (from, to) in BOTH.into_iter().flat_map(|from| BOTH.map(|to| (from, to))) {
        let Some(mut loss) = Loss::new(from, to, 2, 3) else {
            continue;
        };
        for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 1)] {
            loss.recovers(&[loss.share(a), loss.share(b)]);
            let kept = loss.new.objects();
            assert_eq!(kept.len(), 1, "{kept:?}");
            assert!(kept[0].starts_with(&format!("CKO_SECRET_KEY {LABEL} ")));
            loss.forget();
        }
        loss.recovers(&[loss.share(0), loss.share(1), loss.share(2)]);
        let transcript = loss.new.transcript("records/one");
        assert_eq!(transcript.events("share-used").len(), 3);
        assert_eq!(
            transcript.event("quorum-met")["dissenting"],
            serde_json::json!([])
        );
        assert_eq!(transcript.events("exception").len(), 0);
    }
}

#[test]
fn a_recovery_records_whose_shares_it_used() {
    let Some(loss) = Loss::new(Kind::SoftHsm, Kind::Kryoptic, 3, 5) else {
        return;
    };
    loss.recovers(&[loss.share(4), loss.share(0), loss.share(2)]);
    let transcript = loss.new.transcript("records/one");
    let used: Vec<_> = transcript
        .events("share-used")
        .iter()
        .map(|event| {
            (
                event["custodian"].as_str().unwrap().to_owned(),
                event["share"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        used,
        [
            ("Operations".to_owned(), Some(5)),
            ("Security".to_owned(), Some(1)),
            ("Treasury".to_owned(), Some(3)),
        ]
    );
}

#[test]
fn shares_that_are_not_what_was_dealt_are_named_and_recover_nothing() {
    for kind in BOTH {
        let Some(loss) = Loss::new(kind, kind, 3, 5) else {
            continue;
        };
        let Some(other) = room(kind, 3, 5) else {
            return;
        };
        other.run_well();
        let foreign = shares(&other.path("shares"));
        let [a, b, c] = [0, 1, 2].map(|at| loss.share(at));
        loss.fails(
            &[a, b],
            4,
            &["too few shares: still needed 1 of 3", "[QUORUM]"],
        );
        let changed = with_word(b, 17, another_word(b, 17));
        loss.fails(
            &[a, &changed, c],
            4,
            &[
                "02-brought.txt",
                "[SHARE]",
                "one wrong word would explain it, in row 18",
            ],
        );
        let (exchanged, at) = swapped(b);
        let rows = format!("rows {} and {} exchanged", at + 1, at + 2);
        loss.fails(&[a, &exchanged, c], 4, &["02-brought.txt", &rows]);
        loss.fails(
            &[a, b, a],
            4,
            &["03-brought.txt", "given before, by Security"],
        );
        let stranger = "not one of the shares in the previous record";
        loss.fails(
            &[a, b, &foreign[2].1],
            4,
            &["03-brought.txt", stranger, "[SHARE]", "2 of the shares"],
        );
        loss.fails(
            &[a, &forged(b), c],
            4,
            &["02-brought.txt", stranger, "[SHARE]"],
        );
        let foreign: Vec<&str> = foreign.iter().map(|(_, words)| words.as_str()).collect();
        loss.fails(
            &foreign[..3],
            4,
            &[
                "01-brought.txt",
                "not one of the shares in the previous record",
            ],
        );
        let cut = a.rsplit_once(' ').unwrap().0;
        loss.fails(&[cut, b, c], 2, &["01-brought.txt", "32 words, not 33"]);
        let unknown = with_word(c, 4, "kryoptic");
        loss.fails(
            &[a, b, &unknown],
            2,
            &[
                "03-brought.txt",
                "word 5 of its last line is not in the list",
            ],
        );
        loss.fails(&[], 2, &["there are no share files"]);
    }
}

#[test]
fn a_forged_share_among_more_than_enough_is_named_and_does_no_harm() {
    let Some(loss) = Loss::new(Kind::SoftHsm, Kind::SoftHsm, 3, 5) else {
        return;
    };
    for place in 0..4 {
        let mut brought = vec![loss.share(0), loss.share(1), loss.share(2)];
        let forgery = forged(loss.share(4));
        brought.insert(place, &forgery);
        if place > 0 {
            let _ = fs::remove_dir_all(loss.new.path("records"));
        }
        loss.recovers(&brought);
        let transcript = loss.new.transcript("records/one");
        let exceptions = transcript.events("exception");
        let forger = format!("{:02}-brought.txt", place + 1);
        let named = |event: &&&serde_json::Value| event["what"].as_str().unwrap().contains(&forger);
        assert_eq!(exceptions.iter().filter(named).count(), 1, "{exceptions:?}");
        assert_eq!(
            transcript.event("quorum-met")["dissenting"],
            serde_json::json!([forger])
        );
    }
}

/// Another ceremony's share, or one that somebody made: it is put aside by name and derived from by nobody,
/// and the shares that were dealt serve whatever lies before them.
#[test]
fn a_stranger_among_the_share_files_is_named_whatever_the_order() {
    let Some(mut loss) = Loss::new(Kind::SoftHsm, Kind::SoftHsm, 2, 3) else {
        return;
    };
    let Some(other) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    other.run_well();
    let [a, b] = [0, 1].map(|at| loss.share(at).to_owned());
    let strangers = [
        shares(&other.path("shares"))[0].1.clone(),
        slow(&a),
        of_no_group(&a),
        numbered_as(&loss.shares[2], &a),
    ];
    let own = loss.old.path("records/one/escrow-package.json");
    let by_path = format!(
        "[recover]\nshares = \"files:brought\"\npackage = \"{}\"\n",
        own.display()
    );
    for (round, stranger) in strangers.iter().enumerate() {
        for place in [0, 1, 2] {
            let mut brought = vec![a.as_str(), b.as_str()];
            brought.insert(place, stranger);
            loss.recovers(&brought);
            let transcript = loss.new.transcript("records/one");
            let named = format!("{:02}-brought.txt", place + 1);
            let exception = transcript.event("exception")["what"].to_string();
            assert!(
                exception.contains(&named) && exception.contains("not one of the shares"),
                "{exception}"
            );
            let met = transcript.event("quorum-met");
            assert_eq!(met["shares"], serde_json::json!(["Security", "Audit"]));
            assert_eq!(met["dissenting"], serde_json::json!([named]));
            assert_eq!(transcript.events("share-used").len(), 2);
            loss.forget();
            if round > 0 {
                break; // the first of each is enough
            }
        }
        loss.fails(
            &[stranger, &a],
            4,
            &[
                "01-brought.txt",
                "not one of the shares in the previous record",
                "[SHARE]",
            ],
        );
        loss.forget();
        // the package by its path is that record's too
        if round == 0 {
            loss.new.plan.more.clone_from(&by_path);
        }
    }
}

/// Where no record knows the shares, what byok never deals is refused at once, and of two that contradict
/// each other both are named.
#[test]
fn without_a_record_forged_shares_are_refused_before_anything_is_derived() {
    let Some(mut loss) = Loss::new(Kind::SoftHsm, Kind::SoftHsm, 2, 3) else {
        return;
    };
    let fingerprint = fingerprint(&loss.old.transcript("records/one"));
    let package = loss.old.path("records/one/escrow-package.json");
    loss.new.plan.top_more = "reuse_escrow = \"a test\"\n".into();
    loss.new.plan.key_more = format!("fingerprint = \"{fingerprint}\"\n");
    loss.new.plan.more = format!(
        "[recover]\nshares = \"files:brought\"\npackage = \"{}\"\n",
        package.display()
    );
    let [a, b, c] = [0, 1, 2].map(|at| loss.share(at).to_owned());
    let exponent = "its iteration exponent is 15, and byok deals shares of exponent 0 only";
    loss.fails(
        &[&slow(&a), &slow(&b)],
        4,
        &["01-brought.txt", exponent, "[SHARE]"],
    );
    loss.fails(
        &[&a, &slow(&b)],
        4,
        &["02-brought.txt", exponent, "[SHARE]"],
    );
    loss.fails(
        &[&of_no_group(&a), &b],
        4,
        &[
            "01-brought.txt",
            "a group that its own set does not have",
            "[SHARE]",
        ],
    );
    loss.fails(
        &[&numbered_as(&c, &a), &a, &b],
        4,
        &[
            "02-brought.txt",
            "01-brought.txt gave a different share with the same number",
            "[SHARE]",
        ],
    );
    loss.recovers(&[&a, &c]);
}

#[test]
fn a_package_of_another_ceremony_opens_to_nothing() {
    for kind in BOTH {
        let (Some(mut loss), Some(other)) = (Loss::new(kind, kind, 2, 3), room(kind, 2, 3)) else {
            continue;
        };
        other.run_well();
        let package = other.path("records/one/escrow-package.json");
        let says = |package: &str| {
            format!("[recover]\nshares = \"files:brought\"\npackage = \"{package}\"\n")
        };
        loss.new.plan.more = says(&package.display().to_string());
        let pair = [loss.shares[0].clone(), loss.shares[1].clone()];
        let pair = [pair[0].as_str(), pair[1].as_str()];
        loss.fails(
            &pair,
            4,
            &["does not open the escrow package", "[ESCROW-PACKAGE]"],
        );
        let own = loss.old.path("records/one/escrow-package.json");
        let text = fs::read_to_string(&own).unwrap();
        for (broken, code) in [
            (text.replace("payments-2026", "payments-2027"), 4),
            (text.replace("AES-KW", "AES-XX"), 4),
            (text.replace("-v1", "-v2"), 4),
            (text[..text.len() / 2].to_owned(), 4),
        ] {
            fs::write(loss.new.path("package.json"), broken).unwrap();
            loss.new.plan.more = says("package.json");
            loss.fails(&pair, code, &["escrow package"]);
        }
        loss.new.plan.more = says("nowhere.json");
        loss.fails(&pair, 2, &["nowhere.json"]);
        loss.new.plan.more = says(&own.display().to_string());
        loss.recovers(&pair);
    }
}

#[test]
fn a_package_that_opens_to_another_key_is_refused_with_both_shown() {
    let Some(python) = reference() else {
        return;
    };
    for kind in BOTH {
        let Some(mut loss) = Loss::new(kind, kind, 2, 3) else {
            continue;
        };
        // Whoever once had a quorum can wrap any key under the escrow key.
        let pair = vec![loss.share(0), loss.share(1)];
        let escrow_key = &reference_recovers(&python, &[pair])[0];
        let args = ["enc", "-id-aes256-wrap", "-iv", "A6A6A6A6A6A6A6A6", "-K"];
        let args = [&args[..], &[escrow_key.as_str()]].concat();
        let own = loss.old.path("records/one");
        let mut package = package(&own);
        package["keys"][0]["wrapped"] = support::base64(&openssl(&args, &[7; 32])).into();
        fs::write(loss.new.path("package.json"), package.to_string()).unwrap();
        loss.new.plan.more =
            "[recover]\nshares = \"files:brought\"\npackage = \"package.json\"\n".into();
        let (kcv, planted) = openssl_check_values(&[7; 32]);
        let right = fingerprint(&loss.old.transcript("records/one"));
        let there = format!("there is KCV {kcv}, fingerprint {planted}");
        loss.fails(
            &[loss.share(0), loss.share(1)],
            4,
            &["[SAME-MATERIAL]", &right, &there],
        );
    }
}

#[test]
fn a_shorter_package_opens_to_no_shorter_key() {
    let Some(mut loss) = Loss::new(Kind::SoftHsm, Kind::SoftHsm, 2, 3) else {
        return;
    };
    let own = loss.old.path("records/one/escrow-package.json");
    let mut package: serde_json::Value = serde_json::from_slice(&fs::read(own).unwrap()).unwrap();
    loss.new.plan.more =
        "[recover]\nshares = \"files:brought\"\npackage = \"package.json\"\n".into();
    for len in [0, 8, 16, 24, 32] {
        package["keys"][0]["wrapped"] = support::base64(&vec![7; len]).into();
        fs::write(loss.new.path("package.json"), package.to_string()).unwrap();
        let output = loss.with(&[loss.share(0), loss.share(1)]);
        assert!(
            [3, 4].contains(&output.status.code().unwrap()),
            "{}",
            stderr(&output)
        );
        assert_eq!(loss.new.objects(), [""; 0]);
    }
}

#[test]
fn a_key_that_the_old_hsm_still_holds_stays_and_that_is_said() {
    for kind in BOTH {
        let Some(mut loss) = Loss::new(kind, kind, 2, 3) else {
            continue;
        };
        let before = loss.old.objects();
        loss.old.plan.kind = "recover".into();
        loss.old.plan.top_more = loss.new.plan.top_more.clone();
        loss.old.plan.directory = "records/two".into();
        loss.old.plan.more = loss.new.plan.more.clone();
        lay(&loss.old.path("brought"), &[loss.share(0), loss.share(1)]);
        let transcript = reimported(&loss.old);
        assert_eq!(loss.old.objects(), before);
        let exception = transcript.event("exception");
        let what = exception["what"].as_str().unwrap();
        assert!(what.contains("the token holds the same data key"), "{what}");
    }
}

#[test]
fn a_planted_key_under_the_old_name_ends_the_recovery() {
    for kind in BOTH {
        let Some(loss) = Loss::new(kind, kind, 2, 3) else {
            continue;
        };
        loss.new.token(&["plant", "ceremony", PIN, LABEL, "beef"]);
        let before = loss.new.objects();
        let output = loss.with(&[loss.share(0), loss.share(1)]);
        let right = fingerprint(&loss.old.transcript("records/one"));
        refused(
            &output,
            4,
            &["[SAME-MATERIAL]", &right, planted_is_shown(kind)],
        );
        assert_eq!(loss.new.objects(), before);
    }
}

#[test]
fn what_is_not_kept_is_not_kept_by_a_recovery() {
    for kind in BOTH {
        let Some(loss) = Loss::keeping(kind, kind, (2, 3), "none") else {
            continue;
        };
        loss.recovers(&[loss.share(0), loss.share(1)]);
        assert_eq!(loss.new.objects(), [""; 0]);
    }
}

#[test]
fn what_was_sealed_is_sealed_again_by_a_recovery() {
    for kind in BOTH {
        let Some(loss) = Loss::keeping(kind, kind, (2, 3), "sealed") else {
            continue;
        };
        loss.recovers(&[loss.share(0), loss.share(1)]);
        let transcript = loss.new.transcript("records/one");
        assert_eq!(transcript.event("key-sealed")["label"], LABEL);
        let out = loss.new.path("out");
        let wrapping = loss
            .new
            .token_command(&["wrap", "ceremony", PIN, LABEL, out.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(stderr(&wrapping).contains("KeyUnextractable"));
    }
}

#[test]
fn a_ceremony_that_brings_a_key_back_does_not_change_how_it_is_kept() {
    let Some(mut loss) = Loss::keeping(Kind::SoftHsm, Kind::SoftHsm, (2, 3), "sealed") else {
        return;
    };
    for keep in ["extractable", "none"] {
        loss.new.plan.keep = keep.into();
        loss.fails(
            &[loss.share(0), loss.share(1)],
            2,
            &["keep", "\"sealed\" in the previous record"],
        );
    }
}

#[test]
fn a_recovery_without_new_shares_needs_a_reason() {
    let Some(mut loss) = Loss::new(Kind::SoftHsm, Kind::SoftHsm, 2, 3) else {
        return;
    };
    loss.new.plan.top_more = builds_on(&loss.old, "records/one");
    let output = loss.with(&[loss.share(0), loss.share(1)]);
    refused(&output, 2, &["needs reuse_escrow"]);
    assert_eq!(loss.new.beside(), [""; 0]);
    loss.new.plan.more += &table(2, 4, "files:shares");
    loss.recovers(&[loss.share(0), loss.share(1)]);
    assert_eq!(shares(&loss.new.path("shares")).len(), 4);
}

#[test]
fn a_module_that_drops_sensitive_when_it_unwraps_never_keeps_such_a_key() {
    for kind in BOTH {
        let Some(mut loss) = Loss::new(kind, kind, 2, 3) else {
            continue;
        };
        // Generated keys are weakened too: the preflight finds that out by itself.
        if loss
            .new
            .behind_proxy("weaken:CKA_SENSITIVE=false")
            .is_none()
        {
            return;
        }
        let output = loss.with(&[loss.share(0), loss.share(1)]);
        refused(&output, 3, &["CKA_SENSITIVE is FALSE", "[ATTRIBUTES]"]);
        assert_eq!(loss.new.objects(), [""; 0]);
    }
}

#[test]
fn a_key_that_was_unwrapped_without_sensitive_is_corrected_or_refused() {
    for kind in BOTH {
        let Some(mut loss) = Loss::new(kind, kind, 2, 3) else {
            continue;
        };
        if loss
            .new
            .behind_proxy("weaken-unwrapped:CKA_SENSITIVE=false")
            .is_none()
        {
            return;
        }
        let output = loss.with(&[loss.share(0), loss.share(1)]);
        match output.status.code() {
            Some(0) => {
                let transcript = loss.new.transcript("records/one");
                let recovered = transcript.event("key-recovered");
                assert_eq!(recovered["attributes"]["CKA_SENSITIVE"], true);
            }
            code => {
                assert_eq!(code, Some(3), "{}", stderr(&output));
                refused(&output, 3, &["CKA_SENSITIVE is FALSE"]);
                assert_eq!(loss.new.objects(), [""; 0]);
            }
        }
    }
}

#[test]
fn an_aborted_recovery_leaves_nothing_of_the_named_key() {
    for kind in BOTH {
        let Some(mut loss) = Loss::new(kind, kind, 2, 3) else {
            continue;
        };
        // preflight 1, quorum 2, the key as a session object 3, then under its name
        for rules in [
            "fail:C_UnwrapKey:4:CKR_DEVICE_MEMORY",
            "fail:C_WrapKey:5:CKR_DEVICE_MEMORY",
        ] {
            let Some(()) = loss.new.behind_proxy(rules) else {
                return;
            };
            let output = loss.with(&[loss.share(0), loss.share(1)]);
            refused(
                &output,
                3,
                &["CKR_DEVICE_MEMORY", "this run left no new key in the HSM"],
            );
            assert_eq!(loss.new.objects(), [""; 0]);
        }
    }
}

// ---- reimport -----------------------------------------------------------------------

#[test]
fn a_reimport_wraps_the_same_bytes_with_another_algorithm_size_and_expiry() {
    for kind in BOTH {
        let Some(mut room) = reimport_room(kind) else {
            continue;
        };
        let before = room.openssl_opens(&wrapped("records/one"));
        let objects = room.objects();
        room.use_kms_key(support::KmsKey::rsa(4096));
        room.plan.wrapping = SHA_256.into();
        room.plan.wrap_in = if kind.wraps_sha_256() { "hsm" } else { "host" }.into();
        let expires = jiff::Timestamp::from_second(support::now() as i64 + 20_000_000).unwrap();
        room.plan.expires = expires.to_string();
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(room.openssl_opens(&wrapped("records/two")), before);
        assert_eq!(
            fs::metadata(room.path(&wrapped("records/two")))
                .unwrap()
                .len(),
            512
        );
        assert_eq!(room.objects(), objects);
        let script = fs::read_to_string(
            room.path("records/two")
                .join(LABEL)
                .join("eu-west-1/import.sh"),
        )
        .unwrap();
        assert!(script.contains("RSAES_OAEP_SHA_256"));
        let transcript = room.transcript("records/two");
        assert_eq!(
            transcript.lines[0]["previous_head"],
            head(&room.path("records/one")).as_str()
        );
        assert_eq!(
            transcript.event("same-material")["anchor"],
            "previous_head in the plan"
        );
    }
}

#[test]
fn another_hsm_or_module_is_shown_and_recorded_and_the_fingerprint_decides() {
    for kind in BOTH {
        let Some(mut room) = reimport_room(kind) else {
            continue;
        };
        if room.behind_proxy("oaep-sha1").is_none() {
            return;
        }
        // another module before the same token
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("The HSM differs from that of the previous record"));
        let digest = |path: &str| sha256(&fs::read(path).unwrap());
        assert_eq!(
            room.transcript("records/two").event("hsm-changed")["changes"],
            serde_json::json!([{
                "what": "module_sha256",
                "before": digest(room.module.to_str().unwrap()),
                "now": digest(&room.plan.module),
            }])
        );
        room.without_proxy();
        fs::remove_dir_all(room.path("records/two")).unwrap();
        assert!(reimported(&room).events("hsm-changed").is_empty());
    }
    // another token, with the same data key in it
    let Some(loss) = Loss::new(Kind::SoftHsm, Kind::SoftHsm, 2, 3) else {
        return;
    };
    loss.recovers(&[loss.share(0), loss.share(1)]);
    let serial = |room: &Room| room.transcript("records/one").event("hsm-opened")["serial"].clone();
    assert_eq!(
        loss.new.transcript("records/one").event("hsm-changed")["changes"],
        serde_json::json!([{"what": "serial", "before": serial(&loss.old), "now": serial(&loss.new)}])
    );
}

#[test]
fn a_record_that_is_lost_is_replaced_by_the_fingerprint() {
    for kind in BOTH {
        let Some(mut room) = reimport_room(kind) else {
            continue;
        };
        let right = fingerprint(&room.transcript("records/one"));
        room.plan.top_more = String::new();
        room.plan.key_more = format!("fingerprint = \"{right}\"\n");
        let transcript = reimported(&room);
        assert_eq!(
            transcript.event("same-material")["anchor"],
            "fingerprint in the plan"
        );
        fs::remove_dir_all(room.path("records/two")).unwrap();
        room.plan.key_more = format!("fingerprint = \"{}\"\n", "ab".repeat(32));
        not_reimported(&room, 4, &["[SAME-MATERIAL]", &right, &"ab".repeat(32)]);
        room.plan.key_more = String::new();
        not_reimported(
            &room,
            2,
            &["needs `previous`, or the fingerprint of every data key"],
        );
    }
}

#[test]
fn a_fingerprint_that_contradicts_the_record_is_refused() {
    let Some(mut room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    room.plan.key_more = format!("fingerprint = \"{}\"\n", "ab".repeat(32));
    not_reimported(
        &room,
        4,
        &["is not the one in the previous record", "[SAME-MATERIAL]"],
    );
}

#[test]
fn another_key_in_the_place_of_the_original_is_shown_beside_it_and_refused() {
    for kind in BOTH {
        let (Some(room), Some(mut other)) = (reimport_room(kind), Room::new(kind)) else {
            continue;
        };
        other.use_kms_key(room.kms.clone());
        other.plan.kind = "reimport".into();
        other.plan.top_more = room.plan.top_more.clone();
        refused(
            &other.run(),
            3,
            &["the token holds no secret key with that label"],
        );
        other.token(&["plant", "ceremony", PIN, LABEL, "beef"]);
        let before = other.objects();
        let transcript = room.transcript("records/one");
        let generated = transcript.event("key-generated");
        let kcv = format!("it must have KCV {}", generated["kcv"].as_str().unwrap());
        refused(
            &other.run(),
            4,
            &[
                "[SAME-MATERIAL]",
                &kcv,
                &fingerprint(&transcript),
                planted_is_shown(kind),
                "STOP",
            ],
        );
        assert_eq!(other.objects(), before);
        assert!(!other.path("records/one").exists());
    }
}

#[test]
fn a_planted_key_beside_the_original_is_said_and_not_taken() {
    for kind in BOTH {
        let Some(room) = reimport_room(kind) else {
            continue;
        };
        room.token(&["plant", "ceremony", PIN, LABEL, "beef"]);
        let before = room.objects();
        let transcript = reimported(&room);
        assert_eq!(room.objects(), before);
        let exception = transcript.event("exception");
        let what = exception["what"].as_str().unwrap();
        assert!(
            what.contains("another object is labelled") && what.contains("CKA_ID beef"),
            "{what}"
        );
    }
}

#[test]
fn only_the_head_from_paper_vouches_for_the_previous_record() {
    let Some(mut room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    let right = room.plan.top_more.clone();
    let previous = right.lines().next().unwrap().to_owned();
    room.plan.top_more = format!("{previous}\nprevious_head = \"{}\"\n", "ab".repeat(32));
    not_reimported(&room, 4, &["[PREVIOUS-RECORD]"]);
    room.plan.top_more = format!("{previous}\nprevious_head = \"abcd\"\n");
    not_reimported(&room, 2, &["previous_head"]);
    room.plan.top_more = format!("{previous}\n");
    not_reimported(&room, 2, &["needs previous_head"]);
    let three_rows = &head(&room.path("records/one"))[..24];
    room.plan.top_more = format!("{previous}\nprevious_head = \"{three_rows}\"\n");
    reimported(&room);
}

/// Changes the transcript's text and makes chain, checksums and signature fit again, as a forger would.
fn forge(record: &std::path::Path, from: &str, to: &str) {
    let path = record.join("transcript.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    let old_head = sha256(text.as_bytes());
    let mut prev = "0".repeat(64);
    let mut forged = String::new();
    for line in text.lines() {
        let line = forger().in_place_of_signer(line);
        let marker = "\"prev\":\"";
        let at = line.find(marker).unwrap() + marker.len();
        let line = format!("{}{prev}{}", &line[..at], &line[at + 64..]).replace(from, to);
        prev = sha256(line.as_bytes());
        forged += &line;
        forged.push('\n');
    }
    fs::write(&path, &forged).unwrap();
    let sums = record.join("SHA256SUMS");
    let text = fs::read_to_string(&sums).unwrap();
    fs::write(&sums, text.replace(&old_head, &sha256(forged.as_bytes()))).unwrap();
    forger().sign(record, false);
}

/// What is no id of a ceremony is a stranger's text, and a name that is no text is no name in a plan.
#[test]
fn a_plan_that_builds_on_a_record_shows_no_text_of_it_as_byok_s_own() {
    let Some(room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    let record = room.path("records/one");
    let plan = |record: &std::path::Path| {
        let mut command = room.byok(&["plan", "--reimport"]);
        command.arg(record).output().unwrap()
    };
    let id = room.transcript("records/one").lines[0]["ceremony"].clone();
    let id = id.as_str().unwrap();
    let says = stdout(&plan(&record));
    assert!(
        says.starts_with(&format!("# Builds on the record of ceremony {id}. ")),
        "{says}"
    );
    let words = "0. Audit has read this plan; nobody need compare anything";
    forge(
        &record,
        &format!("\"ceremony\":\"{id}\""),
        &format!("\"ceremony\":\"{words}\""),
    );
    let says = stdout(&plan(&record));
    assert!(
        says.starts_with("# Builds on a record whose ceremony has no id"),
        "{says}"
    );
    assert!(!says.contains("Audit has read"), "{says}");
    let other = room
        .path("records")
        .join(std::ffi::OsStr::from_bytes(b"on\xff"));
    fs::rename(&record, &other).unwrap();
    refused(&plan(&other), 2, &["a plan cannot name it", "not UTF-8"]);
}

#[test]
fn a_forged_previous_record_with_a_planted_key_is_caught_by_its_head() {
    let (Some(room), Some(mut victim)) = (reimport_room(Kind::SoftHsm), Room::new(Kind::SoftHsm))
    else {
        return;
    };
    // The forger's key stands in the token, and in a record that holds together.
    victim.plan.kind = "reimport".into();
    victim.use_kms_key(room.kms.clone());
    let forger = Room::new(Kind::SoftHsm).unwrap();
    let planted = fingerprint(&forger.run_well());
    let record = room.path("records/one");
    let real_head = head(&record);
    let right = fingerprint(&room.transcript("records/one"));
    forge(&record, &right, &planted);
    let verify = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(
        verify.status.success(),
        "the forgery holds together: {}",
        stderr(&verify)
    );
    let mut plan = room;
    plan.plan.top_more = format!("previous = \"records/one\"\nprevious_head = \"{real_head}\"\n");
    not_reimported(&plan, 4, &["[PREVIOUS-RECORD]", &real_head]);
    // and without the head, its word would be taken: that is what the paper is for
    plan.plan.top_more = builds_on(&plan, "records/one");
    not_reimported(&plan, 4, &["[SAME-MATERIAL]", &planted, &right]);
}

/// The key was exchanged in the token, and the record rewritten to fit. Only paper tells.
#[test]
fn a_planted_key_is_never_called_the_same_material_on_the_word_of_a_record_alone() {
    let Some(mut room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    let record = room.path("records/one");
    let made = room.transcript("records/one");
    let real_head = head(&record);
    room.token(&["destroy", "ceremony", PIN, LABEL]);
    room.token(&["plant", "ceremony", PIN, LABEL, "beef"]);
    let planted = support::unhex(room.token(&["take", "ceremony", PIN, LABEL]).trim());
    let (kcv, planted) = openssl_check_values(&planted);
    forge(&record, &fingerprint(&made), &planted);
    forge(
        &record,
        made.event("key-generated")["kcv"].as_str().unwrap(),
        &kcv,
    );

    room.plan.top_more = "previous = \"records/one\"\n".into();
    room.write_plan();
    let asked = || {
        let mut screen = Screen::start(room.byok(&["run", "plan.toml"]));
        screen.answer(" Type Yes to approve, anything else to stop: ", "Yes");
        screen.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
        screen
    };
    let mut screen = asked();
    for _ in 0..3 {
        screen.answer("8 hex digits or 4 words: ", &real_head[..8]);
    }
    assert_eq!(screen.end(), 4, "{}", screen.shown);
    assert!(
        screen
            .shown
            .contains("Row 1 of the head digest of the previous record")
    );

    let mut screen = asked();
    screen.answer("8 hex digits or 4 words: ", "none");
    screen.answer(
        "Type none again to confirm, Enter to type the row: ",
        "none",
    );
    assert_eq!(screen.end(), 0, "{}", screen.shown);
    assert!(
        !screen.shown.contains("the same material"),
        "{}",
        screen.shown
    );
    assert!(
        screen.shown.contains("for which nothing vouches"),
        "{}",
        screen.shown
    );
    let transcript = room.transcript("records/two");
    let anchor = transcript.event("same-material")["anchor"]
        .as_str()
        .unwrap();
    assert!(anchor.starts_with("none: "), "{anchor}");
    // and who verifies it later with its own head is told the same
    let own = head(&room.path("records/two"));
    let verify = |args: &[&str]| {
        let args = [&["verify", "--head", &own], args, &["records/two"]].concat();
        let output = room.byok(&args).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let report: serde_json::Value = serde_json::from_str(&verify(&["--json"])).unwrap();
    assert_eq!(report["authenticated"], true);
    assert_eq!(report["previous"][0]["authenticated"], false);
    let text = verify(&[]);
    assert!(text.contains("records/one: holds, "), "{text}");
    assert!(
        text.contains("nothing vouched for the record with which it was compared"),
        "{text}"
    );
}

#[test]
fn a_previous_record_that_is_broken_aborted_or_missing_is_refused() {
    let Some(mut room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    let right = room.plan.top_more.clone();
    room.plan.top_more = right.replace("records/one", "records/none");
    not_reimported(&room, 2, &["there is no such directory"]);

    let material = room.path(&wrapped("records/one"));
    let bytes = fs::read(&material).unwrap();
    let mut changed = bytes.clone();
    changed[7] ^= 1;
    fs::write(&material, changed).unwrap();
    room.plan.top_more = right.clone();
    not_reimported(&room, 4, &["WrappedKeyMaterial.bin", "[PREVIOUS-RECORD]"]);
    fs::write(&material, bytes).unwrap();

    let mut failed = Room::new(Kind::SoftHsm).unwrap();
    if failed
        .behind_proxy("fail:C_GenerateKey:2:CKR_DEVICE_MEMORY")
        .is_none()
    {
        return;
    }
    refused(&failed.run(), 3, &["CKR_DEVICE_MEMORY"]);
    let aborted = format!("records/{}", failed.beside()[0]);
    room.plan.top_more = builds_on(&failed, &aborted);
    not_reimported(&room, 4, &["was aborted", "[PREVIOUS-RECORD]"]);

    room.plan.top_more = right;
    reimported(&room);
}

#[test]
fn the_same_material_goes_into_another_kms_key_only_for_a_reason() {
    let Some(mut room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    room.plan.key_arn = OTHER_ARN.into();
    room.write_parameters();
    not_reimported(&room, 4, &["[KMS-KEY-MATCH]", OTHER_ARN, ARN]);
    room.plan.import_more = "other_kms_key = \"account was closed\"\n".into();
    let transcript = reimported(&room);
    let what = transcript.event("exception")["what"].to_string();
    assert!(what.contains("account was closed"), "{what}");
}

#[test]
fn a_replica_of_a_multi_region_key_is_the_same_kms_key() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.key_arn = format!("arn:aws:kms:eu-west-1:111122223333:{MRK}");
    room.write_parameters();
    room.run_well();
    reimports(&mut room);
    for (arn, code) in [
        (format!("arn:aws:kms:us-east-1:999922223333:{MRK}"), 4),
        (
            format!(
                "arn:aws:kms:us-east-1:111122223333:{}",
                MRK.replace("1234abcd", "abcd1234")
            ),
            4,
        ),
        (format!("arn:aws:kms:us-east-1:111122223333:{MRK}"), 0),
    ] {
        room.plan.key_arn = arn.clone();
        room.write_parameters();
        if code == 0 {
            assert!(reimported(&room).events("exception").is_empty());
        } else {
            not_reimported(&room, code, &["[KMS-KEY-MATCH]"]);
        }
    }
}

#[test]
fn a_sealed_key_comes_back_by_a_recovery_only() {
    for kind in BOTH {
        let Some(mut room) = room(kind, 2, 3) else {
            continue;
        };
        room.plan.keep = "sealed".into();
        room.run_well();
        reimports(&mut room);
        not_reimported(&room, 3, &["it is sealed in the HSM", "kind = \"recover\""]);
    }
}

#[test]
fn a_plan_of_another_label_or_spec_than_the_record_is_refused() {
    let Some(mut room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    room.plan.label = "payments-2027".into();
    not_reimported(
        &room,
        2,
        &["the previous record has no data key \"payments-2027\""],
    );
}

// ---- new shares -----------------------------------------------------------------------

#[test]
fn new_shares_are_dealt_without_an_import_and_the_old_ones_do_not_open_the_new_package() {
    for kind in BOTH {
        for by in ["reimport", "recover"] {
            let Some(mut loss) = Loss::new(kind, kind, 2, 3) else {
                continue;
            };
            let room = &mut loss.old;
            room.plan.kind = by.into();
            room.plan.top_more = builds_on(room, "records/one");
            room.plan.directory = "records/two".into();
            room.plan.imported = false;
            room.plan.more = table(3, 4, "files:new-shares");
            if by == "recover" {
                let recover = "[recover]\nshares = \"files:shares\"\n";
                room.plan.more += recover;
            }
            let output = room.run();
            assert!(output.status.success(), "{}", stderr(&output));
            let transcript = room.transcript("records/two");
            assert_eq!(
                fingerprint(&transcript),
                fingerprint(&room.transcript("records/one"))
            );
            let superseded = transcript.event("escrow-superseded");
            let one = room.transcript("records/one");
            assert_eq!(superseded["ceremony"], one.lines[0]["ceremony"]);
            assert_eq!(superseded["labels"], serde_json::json!([LABEL]));
            assert!(!room.path("records/two/import.sh").exists());
            assert!(transcript.events("key-wrapped").is_empty());
            let verify = room
                .byok(&[
                    "verify",
                    "--head",
                    &head(&room.path("records/two")),
                    "records/two",
                ])
                .output()
                .unwrap();
            assert!(verify.status.success(), "{}", stderr(&verify));

            let new: Vec<String> = shares(&room.path("new-shares"))
                .into_iter()
                .map(|(_, words)| words)
                .collect();
            assert_eq!(new.len(), 4);
            loss.new.plan.top_more = format!(
                "{}reuse_escrow = \"a test\"\n",
                builds_on(&loss.old, "records/two")
            );
            loss.fails(
                &[loss.share(0), loss.share(1)],
                4,
                &[
                    "01-brought.txt",
                    "not one of the shares in the previous record",
                ],
            );
            // the same with the package named by its path: its ceremony tells which record knows the shares
            let path = loss.old.path("records/two/escrow-package.json");
            let more = loss.new.plan.more.clone();
            loss.new.plan.more = more.replace("record", &path.display().to_string());
            loss.fails(
                &[loss.share(0), loss.share(1)],
                4,
                &["not one of the shares in the previous record"],
            );
            loss.new.plan.more = more;
            let output = loss.with(&[&new[3], &new[0], &new[1]]);
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!(loss.new.openssl_opens(&wrapped("records/one")), loss.key);
            // which KMS key it was stands in the record before that one
            let transcript = loss.new.transcript("records/one");
            assert!(transcript.events("exception").is_empty());
            fs::remove_dir_all(loss.new.path("records")).unwrap();
            let lost = loss.old.path("lost");
            fs::rename(loss.old.path("records/one"), &lost).unwrap();
            let output = loss.with(&[&new[3], &new[0], &new[1]]);
            assert!(output.status.success(), "{}", stderr(&output));
            let transcript = loss.new.transcript("records/one");
            let noted = transcript.events("exception");
            assert!(
                noted.iter().any(|exception| {
                    let what = exception["what"].as_str().unwrap();
                    what.contains("wrapped for no KMS key")
                }),
                "{noted:?}"
            );
        }
    }
}

#[test]
fn a_reimport_with_nothing_to_import_and_nobody_to_deal_to_is_refused() {
    let Some(mut room) = reimport_room(Kind::SoftHsm) else {
        return;
    };
    room.plan.imported = false;
    not_reimported(&room, 2, &["it has no [[key.import]]"]);
}

/// Recovered in a new HSM and destroyed there: the HSM that was lost may still have it, and somebody is asked.
#[test]
fn an_end_asks_for_the_hsm_that_was_lost() {
    let Some(mut loss) = Loss::new(Kind::SoftHsm, Kind::SoftHsm, 2, 2) else {
        return;
    };
    let shares: Vec<String> = loss.shares.clone();
    loss.recovers(&[&shares[0], &shares[1]]);
    let new = &mut loss.new;
    support::verifiers::copy_tree(&loss.old.path("records/one"), &new.path("records/made"));
    new.plan.kind = "destroy".into();
    new.plan.imported = false;
    new.plan.directory = "records/end".into();
    let builds_on = builds_on(new, "records/one");
    new.plan.top_more = format!("{builds_on}reason = \"a test\"\n");
    new.plan.more = String::new();
    let output = new.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let lost = loss.old.transcript("records/one").event("hsm-opened")["serial"].clone();
    let new = &loss.new;
    let end = new.transcript("records/end");
    let asked = end.events("escrow-destroyed");
    let hsm = asked
        .iter()
        .find(|event| event["what"].as_str().unwrap().contains("other HSM"));
    let hsm = hsm.expect("the HSM that was lost");
    assert!(
        hsm["what"]
            .as_str()
            .unwrap()
            .contains(lost.as_str().unwrap())
    );
    assert_eq!(hsm["said"], "not asked");
    assert_eq!(asked.len(), 4, "two forms, a package, an HSM: {asked:?}");
    let verified = support::verifiers::both(new.dir.path(), &["records/end"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
    let paper = new.byok(&["script", "plan.toml"]).output().unwrap();
    let paper = String::from_utf8(paper.stdout).unwrap();
    assert!(
        paper.contains("in 4 questions") && paper.contains("must be deleted first"),
        "{paper}"
    );
}
