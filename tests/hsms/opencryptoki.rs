//! opencryptoki as Debian packages it, unmodified: a third module, whose token lives in a process of its own. It has
//! no curves and no AES-KW, so its transcript is not signed, and there is no escrow.

use crate::support;

use std::process::{Command, Output};

use support::escrow::wrapped;
use support::{
    Kind, Room, SHA_1, SHA_256, namespace, opencryptoki_module, openssl_check_values, skip, stderr,
    stdout, verifiers, well,
};

/// Its PINs have four to eight characters.
pub const PIN: &str = "8471-oct";

/// What is put before a command, which then has an opencryptoki of its own.
const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/opencryptoki.sh");

pub struct Desk {
    pub room: Room,
    way: Vec<&'static str>,
}

impl Desk {
    pub fn new() -> Option<Self> {
        let module = opencryptoki_module()?;
        let mut way = namespace(&["--mount", "--ipc", "--pid", "--fork"])?;
        way.push(BESIDE);
        let mut room = Room::new(Kind::SoftHsm)?;
        room.plan.module = module.display().to_string();
        room.plan.record_more = "signer = \"none\"\n".into();
        std::fs::write(room.path("pin"), format!("{PIN}\n")).unwrap();
        Some(Self { room, way })
    }

    /// `None` where there can be none of its own: in most containers, and without root.
    fn ended(mut command: Command) -> Option<Output> {
        let output = command.env("PIN", PIN).output().unwrap();
        if output.status.code() == Some(77) {
            skip(stderr(&output).trim());
            return None;
        }
        Some(output)
    }

    fn run(&self) -> Option<Output> {
        Self::ended(self.room.run_under(&self.way))
    }

    pub fn byok(&self, args: &[&str]) -> Option<Output> {
        self.room.write_plan();
        let mut command = Command::new(self.way[0]);
        command.args(&self.way[1..]).arg(support::program());
        command.args(args).current_dir(self.room.dir.path());
        Self::ended(command)
    }
}

#[test]
fn opencryptoki_holds_a_ceremony_in_the_hsm_with_both_hashes() {
    let Some(mut desk) = Desk::new() else {
        return;
    };
    for (wrapping, directory) in [(SHA_1, "records/one"), (SHA_256, "records/two")] {
        desk.room.plan.wrapping = wrapping.into();
        desk.room.plan.directory = directory.into();
        let Some(output) = desk.run() else {
            return;
        };
        well(&output);
        let transcript = desk.room.transcript(directory);
        let opened = transcript.event("hsm-opened");
        assert_eq!(opened["model"], "IBM SoftTok");
        assert_eq!(opened["software"], true); // whatever its slot says
        assert_eq!(transcript.event("key-wrapped")["wrapped_in"], "hsm");
        let key = desk.room.openssl_opens(&wrapped(directory));
        let (kcv, fingerprint) = openssl_check_values(&key);
        let generated = transcript.event("key-generated");
        assert_eq!(generated["kcv"], kcv.as_str());
        assert_eq!(generated["fingerprint"], fingerprint.as_str());
        well(&verifiers::both(desk.room.dir.path(), &[directory]));
    }
}

#[test]
fn check_and_doctor_tell_what_opencryptoki_can_do() {
    let Some(desk) = Desk::new() else {
        return;
    };
    let Some(checked) = desk.byok(&["check", "--hsm", "plan.toml"]) else {
        return;
    };
    well(&checked);
    let examined = desk.byok(&["doctor", "plan.toml", "--json"]).unwrap();
    well(&examined);
    let examined: serde_json::Value = serde_json::from_str(&stdout(&examined)).unwrap();
    assert_eq!(examined["software"], true);
    assert_eq!(examined["token_object"]["works"], true);
    assert_eq!(examined["signer"]["works"], false);
    assert_eq!(examined["escrow"]["works"], false);
    let paths = examined["paths"].as_array().unwrap();
    let mut in_hsm = paths
        .iter()
        .filter(|path| path["spec"] == "SYMMETRIC_DEFAULT" && path["wrapped_in"] == "hsm");
    assert!(in_hsm.all(|path| path["works"] == true), "{paths:?}");
}
