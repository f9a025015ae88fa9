//! What an earlier version dealt is recovered by this one: data keys of every spec, from the shares, the package and the
//! record that `tests/make-records.sh` made with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::{Kind, Room, Transcript, stderr};

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/records/0.1.0/{name}"))
}

/// A plan that recovers every data key of a record and deals new shares, into the room's HSM.
fn recovers(room: &Room, record: &Path, made: &Transcript) -> String {
    let mut keys = String::new();
    for key in made.events("key-generated") {
        let spec = key["spec"].as_str().unwrap();
        keys += &format!(
            "[[key]]\nlabel = {}\nspec = \"{spec}\"\nkeep = \"extractable\"\n",
            key["label"]
        );
        if spec == "HMAC_224" {
            keys += "bits = 256\n";
        }
    }
    let head = crate::support::sha256(&fs::read(record.join("transcript.jsonl")).unwrap());
    let (first, rest) = room
        .plan
        .text()
        .split_once("[[key]]")
        .map(|(first, rest)| {
            let (_, record) = rest.split_once("[record]").unwrap();
            (first.to_owned(), format!("[record]{record}"))
        })
        .unwrap();
    let previous = format!(
        "previous = \"{}\"\nprevious_head = \"{head}\"\n[machine]",
        record.display()
    );
    let first = first.replacen("[machine]", &previous, 1);
    format!(
        "{first}{keys}[recover]\nshares = \"files:some\"\n[escrow]\nthreshold = 2\n\
         custodians = [\"Security\", \"Audit\", \"Treasury\"]\ndeliver = \"files:new\"\n{rest}"
    )
}

/// Two shares of three, brought to another HSM.
fn come_back(kind: Kind) {
    let Some(mut room) = Room::new(kind) else {
        return;
    };
    let record = kept("all-made");
    let made = Transcript::read(&record.join("transcript.jsonl"));
    let some = room.path("some");
    fs::create_dir(&some).unwrap();
    fs::set_permissions(&some, fs::Permissions::from_mode(0o700)).unwrap();
    for share in ["01-Security.txt", "03-Treasury.txt"] {
        fs::copy(kept("shares-all").join(share), some.join(share)).unwrap();
    }
    room.plan.kind = "recover".into();
    let output = room.run_text(&recovers(&room, &record, &made));
    assert!(output.status.success(), "{}", stderr(&output));
    let back = room.transcript("records/one");
    let fingerprints = |transcript: &Transcript, event: &str| -> Vec<_> {
        let keys = transcript.events(event).into_iter();
        keys.map(|key| (key["label"].clone(), key["fingerprint"].clone()))
            .collect()
    };
    let made = fingerprints(&made, "key-generated");
    assert_eq!(made.len(), 12);
    assert_eq!(fingerprints(&back, "key-recovered"), made);
}

#[test]
fn every_spec_that_0_1_0_dealt_comes_back_on_softhsm() {
    come_back(Kind::SoftHsm);
}
