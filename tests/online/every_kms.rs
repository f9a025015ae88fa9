//! One data key in five KMSs: one plan, one escrow, one record; and a year later, from three shares and in another HSM, again.

use crate::away::{self, carried, import_of, receipt, run};
use crate::azure;
use crate::kms_on_loopback::LoopbackKms;
use crate::kms_on_loopback::azure::Vault;
use crate::kms_on_loopback::bao::Bao;
use crate::kms_on_loopback::google::CloudKms;
use crate::kms_on_loopback::oci::{COMPARTMENT, ENDPOINT, OciVault};
use crate::real_kms;
use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use support::{Kind, LABEL, Room, Transcript, base64, due, sha256, skip, stdout, verifiers, well};

/// Import, file of its parameters, and how the two HSMs wrap for it.
const ELSEWHERE: [(&str, &str, &str); 4] = [
    ("openbao", "RSA_AES_KEY_WRAP_SHA_1", "bao.json"),
    ("azure", "RSA_AES_KEY_WRAP_SHA_1", "kek.json"),
    ("google", "RSA_AES_KEY_WRAP_SHA_1", "job.json"),
    ("oci", "RSAES_OAEP_SHA_256", "oci.json"),
];

struct Clouds {
    aws: LoopbackKms,
    arn: String,
    bao: Bao,
    azure: Vault,
    google: CloudKms,
    oci: OciVault,
}

impl Clouds {
    fn start() -> Option<Self> {
        let aws = LoopbackKms::start()?;
        let google = CloudKms::start()?;
        google.make_key("payments", "encryption", "google-symmetric-encryption");
        let azure = Vault::start("https://byok-tests.managedhsm.azure.net")?;
        azure.text(&["kek", "KEK", "3072"]);
        Some(Self {
            arn: aws.create_external_key("SYMMETRIC_DEFAULT"),
            aws,
            bao: Bao::start()?,
            azure,
            google,
            oci: OciVault::start()?,
        })
    }

    /// The name of the key, as a plan has it, and import parameters for it.
    fn key(&self, kms: &str, job: &str) -> (String, String) {
        match kms {
            "openbao" => (self.bao.key("payments"), self.bao.wrapping_key()),
            "azure" => (
                self.azure.key("payments"),
                self.azure.text(&["show", "KEK"]),
            ),
            "google" => (
                self.google.key("payments"),
                self.google.job(job, "rsa-oaep-3072-sha1-aes-256"),
            ),
            _ => (
                format!("{ENDPOINT}/{COMPARTMENT}/payments"),
                self.oci.wrapping_key(),
            ),
        }
    }

    /// The digest of the wrapping key, for the slip.
    fn slip(&self, kms: &str, parameters: &str) -> String {
        let told: Value = serde_json::from_str(parameters).unwrap();
        let pem = match kms {
            "azure" => return azure::slip(&self.azure),
            "openbao" => told.pointer("/data/public_key"),
            "google" => told.pointer("/publicKey/pem"),
            _ => told.pointer("/data/public-key"),
        };
        away::slip(pem.unwrap().as_str().unwrap())
    }

    /// The imports of a plan, with parameters fetched now.
    fn imports(&self, room: &mut Room, job: &str) {
        room.plan.spec = "SYMMETRIC_DEFAULT".into();
        real_kms::download(&self.aws, room, &self.arn, 2048);
        for (kms, wrapping, file) in ELSEWHERE {
            let (key, parameters) = self.key(kms, job);
            fs::write(room.path("inputs").join(file), &parameters).unwrap();
            let by = [wrapping, &self.slip(kms, &parameters)];
            room.plan.import_more += &import_of(room, [kms, kms, &key], file, by);
        }
    }

    /// Imports everything that a record has, and adds what came back to it.
    fn import(&self, room: &Room, record: &str, oci: &[&str]) {
        let aws = self.aws.endpoint();
        let (google, vault) = (self.google.address(), self.oci.address());
        let bao = [("openbao", self.bao.env(), Vec::new())];
        let others = [
            ("eu-west-1", self.aws.env(), vec!["--endpoint-url", &aws]),
            ("google", self.google.env(), vec!["--address", &google]),
            (
                "oci",
                self.oci.env(),
                [&["--address", &vault], oci].concat(),
            ),
        ];
        for (name, env, args) in bao.into_iter().chain(others) {
            let online = carried(room, record, name);
            well(&run(&online, &env, &[&["--yes"], &args[..]].concat()));
            receipt(room, record, &online.join("import-result.json"));
        }
        let online = carried(room, record, "azure");
        azure::imported(&self.azure, &online);
        let answer = self.answered(room, record);
        fs::write(room.path("answer.json"), answer.to_string()).unwrap();
        receipt(room, record, &room.path("answer.json"));
    }

    /// What the vault makes of the challenge of a record.
    fn answered(&self, room: &Room, record: &str) -> Value {
        let transcript = Transcript::read(&room.path(record).join("transcript.jsonl"));
        let made = transcript.events("challenge-made");
        let made = made.iter().find(|made| made["import"] == "azure").unwrap();
        let version = azure::version(&self.azure.told(&["show", "payments"]));
        let answer = azure::answer_to(&self.azure, made, &version, "A256GCM");
        well(&answer);
        serde_json::from_slice(&answer.stdout).unwrap()
    }

    /// Every KMS forgets the material, as far as it can.
    fn forget(&self) {
        real_kms::forgotten(&self.aws, &self.arn);
        self.bao.delete("payments");
        self.azure.forget("payments");
        let version = ["keys", "versions", "destroy", "1", "--key", "payments"];
        self.google.text(&version);
        let look = ["keys", "versions", "describe", "1", "--key", "payments"];
        while self.google.told(&look)["state"] != "DESTROYED" {} // there it takes days
    }
}

/// How far each import of a record is, in the order of the plan.
fn standings(room: &Room, record: &str) -> Vec<String> {
    let output = room.byok(&["verify", "--json", record]).output().unwrap();
    well(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let imports = told["imports"].as_array().unwrap();
    let each = imports.iter().map(|of| of["kms"].as_str().unwrap());
    each.map(str::to_owned).collect()
}

#[test]
fn one_plan_brings_one_data_key_into_five_kmss_and_three_shares_bring_it_back_into_all() {
    let Some(clouds) = Clouds::start() else {
        skip("BYOK_TEST_VENV has not every KMS of the tests");
        return;
    };
    let (Some(mut old), Some(mut new)) = (Room::new(Kind::SoftHsm), Room::new(Kind::Kryoptic))
    else {
        return;
    };
    clouds.imports(&mut old, "job");
    old.plan.keep = "none".into();
    let custodians = ["Security", "Audit", "Treasury", "Legal", "Operations"];
    old.run_with_escrow(3, &custodians);
    assert_eq!(due(&old).len(), 5, "an import into each");
    clouds.import(&old, "records/one", &[]);
    let stand_ins = ["eu-west-1", "google", "oci"].map(|name| format!("import {LABEL} {name}"));
    assert_eq!(
        due(&old),
        stand_ins,
        "OpenBao is itself, and Azure proved it"
    );
    let [accepted, proved] = ["accepted by KMS", "proved in KMS"];
    let first = [accepted, proved, proved, accepted, accepted]; // AWS, OpenBao, Azure, Google, OCI
    assert_eq!(standings(&old, "records/one"), first);
    well(&verifiers::both(old.dir.path(), &["records/one"]));

    // what each encrypts
    let in_aws = real_kms::ciphertext(&clouds.aws, &old, &clouds.arn);
    let plain = base64(b"of the customers");
    let in_bao = clouds.bao.encrypt("payments", &plain);
    let in_azure = clouds.answered(&old, "records/one");
    let [text, sealed, opened] = ["text", "sealed", "opened"].map(|name| old.path(name));
    let [text, sealed, opened] = [&text, &sealed, &opened].map(|path| path.to_str().unwrap());
    fs::write(text, "of the customers").unwrap();
    let key = ["--key", "payments"];
    let encrypt = [
        "encrypt",
        "--version",
        "1",
        "--plaintext-file",
        text,
        "--ciphertext-file",
        sealed,
    ];
    clouds.google.text(&[&encrypt[..], &key].concat());
    clouds.forget();

    // a year later: another HSM, three of the five
    let record = old.path("records/one");
    let head = sha256(&fs::read(record.join("transcript.jsonl")).unwrap());
    clouds.imports(&mut new, "job2");
    new.plan.kind = "recover".into();
    new.plan.keep = "none".into();
    new.plan.top_more = format!(
        "previous = \"{}\"\nprevious_head = \"{head}\"\nreuse_escrow = \"a test\"\n",
        record.display()
    );
    new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    let brought = new.path("brought");
    fs::create_dir(&brought).unwrap();
    fs::set_permissions(&brought, fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["01-Security.txt", "03-Treasury.txt", "05-Operations.txt"] {
        fs::copy(old.path("shares").join(name), brought.join(name)).unwrap();
    }
    let transcript = new.run_well();
    assert_eq!(transcript.events("same-material").len(), 1);
    clouds.import(&new, "records/one", &["--another"]);
    assert_eq!(
        real_kms::decrypted(&clouds.aws, &in_aws, &clouds.arn),
        b"to the customer"
    );
    assert_eq!(
        stdout(&clouds.bao.decrypt("payments", &in_bao)).trim(),
        plain
    );
    let again = clouds.answered(&old, "records/one"); // the old challenge
    assert_eq!(again["result"], in_azure["result"]);
    let decrypt = [
        "decrypt",
        "--ciphertext-file",
        sealed,
        "--plaintext-file",
        opened,
    ];
    clouds.google.text(&[&decrypt[..], &key].concat());
    assert_eq!(fs::read_to_string(opened).unwrap(), "of the customers");
    let second = standings(&new, "records/one");
    assert_eq!(second[1..], [proved, proved, proved, accepted]); // Google compared
    well(&verifiers::both(new.dir.path(), &["records/one"]));
}
