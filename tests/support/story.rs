//! Ceremonies that nobody held: a plan, a chain of events and a package, made up by hand for the report.

use std::path::Path;

use byok::crypto::escrow::package::{KeyWrap, Package, PackedKey};
use byok::evidence::transcript::{Line, Torn};
use byok::ground::words;
use byok::plan::Plan;
use serde_json::{Value, json};

use super::escrow::CUSTODIANS;

const CEREMONY: &str = "00112233445566778899aabbccddeeff";

/// How far the data keys are exposed in a made-up ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    Never,
    EscrowKey,
    /// A recovery: the escrow key was joined, and no new one dealt.
    Quorum,
    Bytes,
    BytesAndEscrowKey,
    Software,
}

/// A plan and its events.
pub struct Story {
    title: String,
    label: String,
    imports: usize,
    custodians: usize,
    events: Vec<Value>,
}

impl Story {
    /// One data key for one KMS key.
    pub fn of(grade: Grade) -> Self {
        let escrow = matches!(grade, Grade::EscrowKey | Grade::BytesAndEscrowKey);
        let mut story = Self {
            title: "Payments data key, eu-west-1".into(),
            label: "payments-2026".into(),
            imports: 1,
            custodians: if escrow { 5 } else { 0 },
            events: Vec::new(),
        };
        let host = matches!(grade, Grade::Bytes | Grade::BytesAndEscrowKey);
        story.tell(grade == Grade::Software, host);
        if grade == Grade::Quorum {
            story.add(json!({"event": "share-used", "custodian": "Audit", "share": 2, "share_sha256": hex("used")}));
            story.add(
                json!({"event": "quorum-met", "shares": ["Audit", "Legal"], "dissenting": []}),
            );
        }
        story
    }

    /// The longest names, as many custodians as there can be, and twelve imports.
    pub fn large() -> Self {
        let title = "Zahlungsschlüssel & <b>支払い鍵</b>, Überweisungsverkehr aller Häuser: ";
        let mut story = Self {
            title: format!("{title}{}", "W".repeat(120 - title.chars().count())),
            label: format!("L{}", "abcdefghijklmno".repeat(5))[..64].to_owned(),
            imports: 12,
            custodians: CUSTODIANS.len(),
            events: Vec::new(),
        };
        story.tell(false, false);
        let long = "Somebody came in, looked around, and was asked to leave. ".repeat(6);
        for step in 1..=11 {
            story.add(json!({"event": "exception", "step": step, "what": long}));
        }
        story
    }

    /// Adds an event to the end.
    pub fn add(&mut self, event: Value) {
        self.events.push(event);
    }

    /// Changes or adds a field of the first event of a name.
    pub fn change(&mut self, event: &str, field: &str, value: Value) {
        let told = self.events.iter_mut().find(|told| told["event"] == event);
        told.unwrap()[field] = value;
    }

    /// The plan of it, as byok reads it.
    pub fn plan(&self) -> Plan {
        let mut text = format!(
            "title = {:?}\nkind = \"generate\"\n[hsm]\nmodule = \"/usr/lib/hsm.so\"\ntoken = \"pkcs11:token=ceremony\"\n\
             [[key]]\nlabel = \"{}\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n",
            self.title, self.label
        );
        for at in 0..self.imports {
            text += &format!(
                "[[key.import]]\nname = \"{}\"\nkey_arn = \"{}\"\nparameters = \"inputs/{at}.json\"\n\
                 wrapping = \"RSAES_OAEP_SHA_256\"\nexpires = \"2027-11-20T00:00:00Z\"\n",
                import(at),
                arn(at)
            );
        }
        if self.custodians > 0 {
            text += &super::escrow::table(3, self.custodians, "screen");
        }
        text += "[record]\ndirectory = \"records/2026-11-22-payments\"\n";
        Plan::parse(Path::new("plan.toml"), text.into_bytes()).unwrap()
    }

    /// The package, where shares were dealt.
    pub fn package(&self) -> Option<Package> {
        (self.custodians > 0).then(|| Package {
            ceremony: CEREMONY.into(),
            keys: vec![PackedKey {
                label: self.label.clone(),
                spec: "SYMMETRIC_DEFAULT".into(),
                bits: None,
                kcv: Some("4F1C9A".into()),
                fingerprint: hex("fingerprint"),
                public_key: None,
                wrapping: KeyWrap::Exact,
                wrapped: (0..40).collect(),
            }],
        })
    }

    /// The chain, read as byok reads it.
    pub fn lines(&self) -> Vec<Line> {
        let (mut bytes, mut prev) = (Vec::new(), "0".repeat(64));
        for (at, event) in self.events.iter().enumerate() {
            let seconds = format!("2026-11-22T{:02}:{:02}:00Z", 9 + at / 60, at % 60);
            let frame = format!(
                "{{\"seq\":{},\"at\":\"{seconds}\",\"prev\":\"{prev}\",",
                at + 1
            );
            let members = event.as_object().unwrap().iter();
            let (name, others): (Vec<_>, Vec<_>) = members.partition(|(name, _)| *name == "event");
            let members = name.into_iter().chain(others);
            let members = members.map(|(name, value)| format!("\"{name}\":{value}"));
            let line = frame + &members.collect::<Vec<_>>().join(",") + "}";
            prev = words::hex(&words::sha256(line.as_bytes()));
            bytes.extend(line.as_bytes());
            bytes.push(b'\n');
        }
        Torn::read(&bytes).unwrap().lines
    }

    fn tell(&mut self, software: bool, host: bool) {
        let (title, label) = (self.title.clone(), self.label.clone());
        self.events = vec![
            json!({"event": "ceremony-opened", "format": "byok-transcript-v1", "ceremony": CEREMONY, "title": title,
                "kind": "generate", "rehearsal": false, "byok": "0.1.0", "byok_sha256": hex("byok"), "plan_sha256": hex("plan")}),
            written("plan.toml"),
            json!({"event": "plan-approved", "how": "typed", "plan_sha256": hex("plan")}),
            json!({"event": "roll-call", "operator": "Ann Ådén"}),
            json!({"event": "machine-checked", "network": "forbidden", "kernel": "Linux 6.1.0", "core_dumps_off": true,
                "interfaces_up": [], "swap": [], "record_file_system": "ext4", "clock": "2026-11-22T09:04:00Z"}),
            json!({"event": "exception", "step": 3, "what": "the cable was found plugged in & taken out"}),
            json!({"event": "hsm-opened", "module": "/usr/lib/hsm.so", "module_sha256": hex("module"), "library": "Maker 1.0",
                "token": "ceremony", "manufacturer": "Maker", "model": "Model", "serial": "0a1b2c3d", "firmware": "7.1",
                "software": software, "env": [], "logins": 1}),
        ];
        for at in 0..self.imports {
            self.add(json!({"event": "import-parameters-read", "label": label, "import": import(at), "key_arn": arn(at),
                "key_arn_in_parameters": true, "wrapping": "RSAES_OAEP_SHA_256",
                "files": [{"name": format!("{at}.json"), "sha256": hex("file")}], "wrapping_key_spec": "RSA_4096",
                "wrapping_key_sha256": hex("wrapping key"), "import_token_sha256": hex("token"),
                "valid_to": "2026-11-23T09:41:00Z",
                "two_sided_check": "rows 2, 5 and 8 of the parameter files' digest typed"}));
        }
        self.add(json!({"event": "preflight-passed", "checks": [{"check": "CONTROL", "wrapping": "RSAES_OAEP_SHA_256",
            "wrapped_in": "hsm", "wrapping_key_spec": "RSA_4096"}]}));
        self.add(json!({"event": "key-intended", "label": label, "spec": "SYMMETRIC_DEFAULT", "cka_id": CEREMONY}));
        self.add(json!({"event": "key-generated", "label": label, "spec": "SYMMETRIC_DEFAULT", "bytes": 32, "cka_id": CEREMONY,
            "kcv": "4F1C9A", "fingerprint": hex("fingerprint"),
            "attributes": {"CKA_TOKEN": true, "CKA_SENSITIVE": true, "CKA_DECRYPT": false, "CKA_COPYABLE": "not reported"}}));
        for at in 0..self.imports {
            let path = format!("{label}/{}/WrappedKeyMaterial.bin", import(at));
            self.add(json!({"event": "key-wrapped", "label": label, "import": import(at), "key_arn": arn(at),
                "wrapping": "RSAES_OAEP_SHA_256", "wrapped_in": if host { "host" } else { "hsm" },
                "wrapping_key_sha256": hex("wrapping key"), "path": path, "sha256": hex("material"), "bytes": 512}));
        }
        if self.custodians > 0 {
            self.deal();
        }
        for at in 0..self.imports {
            for name in ["WrappedKeyMaterial.bin", "ImportToken.bin", "import.sh"] {
                self.add(written(&format!("{label}/{}/{name}", import(at))));
            }
        }
        self.add(written("README.txt"));
    }

    fn deal(&mut self) {
        let shares = CUSTODIANS[..self.custodians].iter().enumerate();
        let shares = shares.map(|(at, custodian)| {
            json!({"share": at + 1, "custodian": custodian, "share_sha256": hex(custodian)})
        });
        let shares: Vec<Value> = shares.collect();
        self.add(json!({"event": "escrow-dealt", "threshold": 3, "shares": shares.clone(), "labels": [self.label],
            "package_sha256": hex("package")}));
        for mut share in shares {
            share["event"] = "share-handed-out".into();
            share["typed_back"] = true.into();
            self.add(share);
        }
        self.add(json!({"event": "escrow-proved", "shares": self.custodians, "recombinations": 3, "labels": [self.label]}));
    }
}

fn written(path: &str) -> Value {
    json!({"event": "output-written", "path": path, "sha256": hex(path), "bytes": 512})
}

fn import(at: usize) -> String {
    format!("eu-west-1-{at}")
}

fn arn(at: usize) -> String {
    format!("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-{at:012}")
}

fn hex(of: &str) -> String {
    words::hex(&words::sha256(of.as_bytes()))
}
