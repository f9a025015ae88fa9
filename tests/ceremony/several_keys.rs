//! Several data keys in one escrow, and data keys of 16 bytes: every one comes back, from every form of
//! the package.

use crate::support;

use std::fs;

use support::escrow::{self, builds_on, lay, reference, shares, wrapped};
use support::{Kind, LABEL, Room, SHA_1, now, openssl, refused, stderr};

const CHINA: &str =
    "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const LABELS: [&str; 3] = [LABEL, "ledger", "archive"];

fn arn(number: usize) -> String {
    support::ARN.replace("1234abcd", &format!("1234abc{number}"))
}

/// `[[key]]` for the second and third data key; each has parameters of its own.
fn more_keys(room: &Room, imported: bool) -> String {
    let key = |number: usize| {
        let parameters = room.kms.parameters(&arn(number), now() + 86_000);
        fs::write(room.path(&format!("inputs/{number}.json")), parameters).unwrap();
        let import = format!(
            "[[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{}\"\nparameters = \"inputs/{number}.json\"\n\
             wrapping = \"{SHA_1}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
            arn(number),
            room.kms.sha256()
        );
        format!(
            "[[key]]\nlabel = \"{}\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n{}",
            LABELS[number],
            if imported { &import } else { "" }
        )
    };
    format!("{}{}", key(1), key(2))
}

fn opened(room: &Room, record: &str, label: &str) -> Vec<u8> {
    room.openssl_opens(&format!(
        "{record}/{label}/eu-west-1/WrappedKeyMaterial.bin"
    ))
}

/// A room in which three data keys were generated and escrowed, any 2 of 3.
fn three(kind: Kind) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.plan.more = more_keys(&room, true) + &escrow::table(2, 3, "files:shares");
    let transcript = room.run_well();
    assert_eq!(transcript.events("key-generated").len(), 3);
    assert_eq!(
        escrow::package(&room.path("records/one"))["keys"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    Some(room)
}

#[test]
fn three_data_keys_in_one_package_all_come_back_on_another_hsm() {
    for (from, to) in [
        (Kind::SoftHsm, Kind::SoftHsm),
        (Kind::Kryoptic, Kind::SoftHsm),
    ] {
        let (Some(old), Some(mut new)) = (three(from), Room::new(to)) else {
            continue;
        };
        new.use_kms_key(old.kms.clone());
        new.plan.kind = "recover".into();
        new.plan.top_more = format!(
            "{}reuse_escrow = \"a test\"\n",
            builds_on(&old, "records/one")
        );
        let recover = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n";
        new.plan.more = more_keys(&new, true) + recover;
        let dealt = shares(&old.path("shares"));
        lay(&new.path("brought"), &[&dealt[1].1, &dealt[2].1]);
        let output = new.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(
            new.transcript("records/one").events("key-recovered").len(),
            3
        );
        assert_eq!(new.objects().len(), 3);
        let keys = LABELS.map(|label| opened(&new, "records/one", label));
        for (key, label) in keys.iter().zip(LABELS) {
            assert_eq!(*key, opened(&old, "records/one", label), "{label}");
        }
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    }
}

#[test]
fn of_three_data_keys_one_may_come_back_alone() {
    let Some(mut room) = three(Kind::SoftHsm) else {
        return;
    };
    // From the HSM: the first, then all three.
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(&room, "records/one");
    for (record, more, count) in [
        ("records/two", String::new(), 1),
        ("records/three", more_keys(&room, true), 3),
    ] {
        room.plan.directory = record.into();
        room.plan.more = more;
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(room.transcript(record).events("key-found").len(), count);
        for label in &LABELS[..count] {
            assert_eq!(
                opened(&room, record, label),
                opened(&room, "records/one", label)
            );
        }
    }
    // From the quorum: the third, though the package names it last.
    room.plan.kind = "recover".into();
    room.plan.label = LABELS[2].into();
    room.plan.key_arn = arn(2);
    room.write_parameters();
    room.plan.top_more += "reuse_escrow = \"a test\"\n";
    room.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    room.plan.directory = "records/four".into();
    let dealt = shares(&room.path("shares"));
    lay(&room.path("brought"), &[&dealt[0].1, &dealt[2].1]);
    room.token(&["destroy", "ceremony", support::PIN, LABELS[2]]);
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        opened(&room, "records/four", LABELS[2]),
        opened(&room, "records/one", LABELS[2])
    );
    room.plan.label = "another".into();
    room.plan.directory = "records/five".into();
    refused(&room.run(), 2, &["has no data key \"another\""]);
}

#[test]
fn new_shares_of_three_data_keys_open_each_of_them() {
    let Some(mut room) = three(Kind::SoftHsm) else {
        return;
    };
    room.plan.kind = "reimport".into();
    room.plan.imported = false;
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.more = more_keys(&room, false) + &escrow::table(3, 5, "files:new-shares");
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let proved = room
        .transcript("records/two")
        .event("escrow-proved")
        .clone();
    assert_eq!(proved["labels"], serde_json::json!(LABELS));
    let kept = |record: &str| {
        let package = escrow::package(&room.path(record));
        let keys = package["keys"].as_array().unwrap().clone();
        keys.iter()
            .map(|key| (key["label"].clone(), key["fingerprint"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(kept("records/one"), kept("records/two"));
}

/// A room whose data key of 16 bytes was escrowed.
fn in_china(kind: Kind) -> Option<Room> {
    let mut room = escrow::room(kind, 2, 3)?;
    room.plan.key_arn = CHINA.into();
    room.write_parameters();
    room.run_well();
    Some(room)
}

#[test]
fn a_data_key_of_sixteen_bytes_comes_back_from_24_wrapped_bytes() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        let (Some(old), Some(mut new)) = (in_china(kind), Room::new(kind)) else {
            continue;
        };
        let package = escrow::package(&old.path("records/one"));
        let packed = package["keys"][0]["wrapped"].as_str().unwrap();
        assert_eq!(
            openssl(&["base64", "-d", "-A"], packed.as_bytes()).len(),
            24
        );
        let text = fs::read_to_string(old.path("records/one/package.txt")).unwrap();
        assert_eq!(text.matches("  check ").count(), 3, "{text}");
        let dealt = shares(&old.path("shares"));
        let key = opened(&old, "records/one", LABEL);
        assert_eq!(key.len(), 16);
        if let Some(python) = reference() {
            let set = vec![dealt[0].1.as_str(), dealt[1].1.as_str()];
            let escrow_key = escrow::reference_recovers(&python, &[set]).remove(0);
            assert_eq!(escrow::openssl_opens_package(&package, &escrow_key), key);
        }
        new.use_kms_key(old.kms.clone());
        new.plan.key_arn = CHINA.into();
        new.write_parameters();
        new.plan.kind = "recover".into();
        new.plan.top_more = format!(
            "{}reuse_escrow = \"a test\"\n",
            builds_on(&old, "records/one")
        );
        new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
        lay(&new.path("brought"), &[&dealt[0].1, &dealt[2].1]);
        let output = new.run();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(new.openssl_opens(&wrapped("records/one")), key);
        assert_eq!(
            new.transcript("records/one").event("key-recovered")["bytes"],
            16
        );
    }
}

#[test]
fn new_shares_and_the_end_of_a_data_key_of_sixteen_bytes_know_its_length_from_the_record() {
    let Some(mut room) = in_china(Kind::SoftHsm) else {
        return;
    };
    // Such a plan names no KMS key that would tell it.
    room.plan.kind = "reimport".into();
    room.plan.imported = false;
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.more = escrow::table(2, 2, "files:new-shares");
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let package = escrow::package(&room.path("records/two"));
    let packed = package["keys"][0]["wrapped"].as_str().unwrap();
    assert_eq!(
        openssl(&["base64", "-d", "-A"], packed.as_bytes()).len(),
        24
    );
    assert_eq!(
        room.transcript("records/two").event("key-found")["bytes"],
        16
    );

    room.plan.kind = "destroy".into();
    room.plan.top_more += "reason = \"end of life\"\n";
    room.plan.directory = "records/three".into();
    room.plan.more = String::new();
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        room.transcript("records/three").event("key-found")["bytes"],
        16
    );
    assert!(room.objects().is_empty());
}
