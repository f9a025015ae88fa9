//! Rooms in which one ceremony is about to be held, and can be held again from the same beginning.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::support::escrow::{self, builds_on};
use super::support::targets::{aes_into_google_oci_and_bao, into_azure_and_google};
use super::support::{Kind, LABEL, PIN, Room, SHA_1, now, openssl, stderr};

pub const SECOND: &str = "ledger";

/// One ceremony, and how its room is made ready for it.
#[derive(Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    pub kind: Kind,
    pub prepare: fn(Kind) -> Option<Room>,
    /// How many wraps of a data key leave the HSM for a KMS, which alone can open them.
    pub wraps_for_kms: usize,
}

pub const GENERATE: Scene = Scene {
    name: "generate",
    kind: Kind::SoftHsm,
    prepare: generate,
    wraps_for_kms: 1,
};

pub const GENERATE_ON_KRYOPTIC: Scene = Scene {
    kind: Kind::Kryoptic,
    ..GENERATE
};

pub const GENERATE_IN_HOST: Scene = Scene {
    name: "generate, HMAC and EC, wrap_in host",
    prepare: generate_in_host,
    wraps_for_kms: 0,
    ..GENERATE
};

pub const GENERATE_WITHOUT_ESCROW: Scene = Scene {
    name: "generate, without escrow",
    prepare: Room::new,
    ..GENERATE
};

pub const GENERATE_ELSEWHERE: Scene = Scene {
    name: "generate, into a Managed HSM and Google too",
    prepare: generate_elsewhere,
    wraps_for_kms: 5, // one under the KMS key; for each other one of the key between, and one with it
    ..GENERATE
};

pub const GENERATE_AES_ELSEWHERE: Scene = Scene {
    name: "generate, AES_256 into Google, OCI and OpenBao, wrap_in host",
    prepare: generate_aes_elsewhere,
    wraps_for_kms: 0,
    ..GENERATE
};

pub const GENERATE_ED25519: Scene = Scene {
    name: "generate, ED25519 into OpenBao",
    kind: Kind::Kryoptic,
    prepare: generate_ed25519,
    wraps_for_kms: 2,
};

pub const REIMPORT: Scene = Scene {
    name: "reimport",
    prepare: reimport,
    ..GENERATE
};

pub const RECOVER: Scene = Scene {
    name: "recover",
    prepare: recover,
    ..GENERATE
};

/// An AES data key, wrapped in the HSM, with shares for three.
fn generate(kind: Kind) -> Option<Room> {
    let mut room = escrow::room(kind, 2, 3)?;
    if kind.wraps_sha_256() {
        room.plan.wrapping = super::support::SHA_256.into();
    }
    Some(room)
}

/// The same into three KMSs, one of which proves by decrypting.
fn generate_elsewhere(kind: Kind) -> Option<Room> {
    let mut room = generate(kind)?;
    into_azure_and_google(&mut room);
    Some(room)
}

/// An AES key that AWS KMS never gets, into three others, whose bytes come to this computer.
fn generate_aes_elsewhere(kind: Kind) -> Option<Room> {
    let mut room = generate(kind)?;
    room.plan.wrap_in = "host".into();
    aes_into_google_oci_and_bao(&mut room);
    Some(room)
}

fn generate_ed25519(kind: Kind) -> Option<Room> {
    let mut room = generate(kind)?;
    room.plan_spec("ED25519", None);
    Some(room)
}

/// An HMAC key and an EC key, whose bytes come to this computer.
fn generate_in_host(kind: Kind) -> Option<Room> {
    let mut room = Room::new(kind)?;
    room.plan_spec("HMAC_256", None);
    room.plan.wrap_in = "host".into();
    let arn = super::support::ARN.replace("1234abcd", "1234abc2");
    let parameters = room.kms.parameters(&arn, now() + 86_000);
    fs::write(room.path("inputs/2.json"), parameters).unwrap();
    room.plan.more = format!(
        "[[key]]\nlabel = \"{SECOND}\"\nspec = \"ECC_NIST_P256\"\nkeep = \"extractable\"\n[[key.import]]\n\
         name = \"eu-west-1\"\nkey_arn = \"{arn}\"\nparameters = \"inputs/2.json\"\nwrapping = \"{SHA_1}\"\n\
         wrap_in = \"host\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    );
    Some(room)
}

fn made_before(kind: Kind) -> Option<Room> {
    let mut room = generate(kind)?;
    room.run_well();
    room.plan.directory = "records/two".into();
    room.plan.top_more = builds_on(&room, "records/one") + "reuse_escrow = \"a test\"\n";
    room.plan.more = String::new();
    Some(room)
}

/// The same data key from the HSM that still holds it.
fn reimport(kind: Kind) -> Option<Room> {
    let mut room = made_before(kind)?;
    room.plan.kind = "reimport".into();
    Some(room)
}

/// The same data key from share files and the package, in a token that lost it.
fn recover(kind: Kind) -> Option<Room> {
    let mut room = made_before(kind)?;
    room.plan.kind = "recover".into();
    room.plan.more = "[recover]\nshares = \"files:shares\"\npackage = \"record\"\n".into();
    room.token(&["destroy", "ceremony", PIN, LABEL]);
    Some(room)
}

/// A room, a copy of all that is in it, and what a ceremony without faults did there.
pub struct Stage {
    pub room: Room,
    copy: tempfile::TempDir,
    /// Every object of the token beforehand.
    pub before: Vec<String>,
    /// Class and label of every object afterwards.
    pub after: Vec<String>,
    /// The calls of the clean run, in their order.
    pub calls: Vec<String>,
}

impl Stage {
    /// `None` where the HSM or the proxy is not on this machine.
    pub fn new(scene: Scene) -> Option<Self> {
        let mut room = (scene.prepare)(scene.kind)?;
        let copy = tempfile::tempdir().unwrap();
        copied(room.dir.path(), copy.path());
        let before = everything(&room);
        room.behind_proxy(&format!("log:{}", room.path("calls.log").display()))?;
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        let log = fs::read_to_string(room.path("calls.log")).unwrap();
        let names = log.lines().map(|line| line.split(' ').next().unwrap());
        let calls = names.map(str::to_owned).collect();
        let after = without_ids(&everything(&room));
        let stage = Self {
            room,
            copy,
            before,
            after,
            calls,
        };
        stage.holds().unwrap();
        Some(stage)
    }

    /// As it was before any ceremony.
    pub fn begin_anew(&self) {
        for entry in fs::read_dir(self.room.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
        copied(self.copy.path(), self.room.dir.path());
    }

    /// Whether whatever lies in `shares` was dealt by the ceremony that is tried.
    pub fn deals_shares(&self) -> bool {
        !self.copy.path().join("shares").exists()
    }

    /// The ceremony behind a proxy with these rules, given a minute.
    pub fn run_with(&mut self, rules: &str) -> Output {
        let log = self.room.path("calls.log");
        let rules = format!("{rules};log:{}", log.display());
        self.room.behind_proxy(&rules).unwrap();
        self.room
            .run_under(&["timeout", "-k", "1", "60"])
            .output()
            .unwrap()
    }

    /// The same in peace.
    pub fn run(&mut self) -> Output {
        self.room.without_proxy();
        self.room
            .run_under(&["timeout", "-k", "1", "60"])
            .output()
            .unwrap()
    }

    /// The record verifies, the token holds what it should, and of what was wrapped openssl finds the check
    /// values that were recorded.
    pub fn holds(&self) -> Result<(), String> {
        let record = self.room.plan.directory.as_str();
        let verified = self.room.byok(&["verify", record]).output().unwrap();
        if !verified.status.success() {
            return Err(format!("it does not verify: {}", stderr(&verified)));
        }
        let after = without_ids(&everything(&self.room));
        if after != self.after {
            return Err(format!("the token holds {after:?}, not {:?}", self.after));
        }
        let transcript = self.room.transcript(record);
        for wrapped in transcript.events("key-wrapped") {
            let path = format!("{record}/{}", wrapped["path"].as_str().unwrap());
            let wrapping = wrapped["wrapping"].as_str().unwrap();
            let key = self.room.kms.try_open(&self.room.path(&path), wrapping);
            let key = key.ok_or_else(|| UNOPENED.to_owned())?;
            let mut told = transcript.lines.iter().filter(|line| {
                line["label"] == wrapped["label"] && line["fingerprint"].is_string()
            });
            let told = told.next().unwrap();
            let is = fingerprint(told["spec"].as_str().unwrap(), &key);
            if told["fingerprint"] != is.as_str() {
                return Err(format!("{path} is another key: {is}, told was {told}"));
            }
        }
        Ok(())
    }
}

/// What [`Stage::holds`] says where the KMS's key does not open what was wrapped.
pub const UNOPENED: &str = "the KMS cannot open what was wrapped";

fn fingerprint(spec: &str, key: &[u8]) -> String {
    match spec {
        aes if aes == "SYMMETRIC_DEFAULT" || aes.starts_with("AES_") => {
            super::support::openssl_check_values(key).1
        }
        hmac if hmac.starts_with("HMAC_") => super::support::openssl_hmac_fingerprint(hmac, key),
        _ => {
            let public = ["pkey", "-inform", "DER", "-pubout", "-outform", "DER"];
            super::support::sha256(&openssl(&public, key))
        }
    }
}

/// Every object of the token, the transcript signer too.
pub fn everything(room: &Room) -> Vec<String> {
    let mut all = [room.objects(), room.signers()].concat();
    all.sort();
    all
}

fn without_ids(objects: &[String]) -> Vec<String> {
    let named = objects
        .iter()
        .map(|object| object.rsplit_once(' ').unwrap().0);
    named.map(str::to_owned).collect()
}

fn copied(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    let copy = copy.arg("-a").arg(from.join(".")).arg(to).status();
    assert!(copy.unwrap().success());
}
