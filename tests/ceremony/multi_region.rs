//! One data key in every Region of a multi-Region key: the primary first, the replicas after it, and a
//! Region that is missing stops everything before anything is made.

use crate::kms_on_loopback;
use crate::support;

use std::fs;
use std::process::{Command, Output};

use kms_on_loopback::{LoopbackKms, key_material_id_of};
use serde_json::{Value, json};
use support::escrow::builds_on;
use support::pty::approval;
use support::{
    Kind, LABEL, PIN, Room, due, in_a_year, now, openssl, refused, sha256, stderr, stdout,
    verifiers, well,
};

const MRK: &str = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
const ONE: &str = "records/one";
const TWO: &str = "records/two";
const ID: &str = "6c2d1a4f5e0b3c7d8e9f00112233445566778899aabbccddeeff001122334455";

fn in_region(arn: &str, region: &str) -> String {
    arn.replace("eu-west-1", region)
}

/// One more import of the plan's data key, by its Region.
fn import(room: &Room, arn: &str, more: &str) -> String {
    let region = arn.split(':').nth(3).unwrap();
    let digest = room.plan.wrapping_key_sha256.as_ref().unwrap();
    format!(
        "[[key.import]]\nname = \"{region}\"\nkey_arn = \"{arn}\"\nparameters = \"inputs/{region}.json\"\n\
         wrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{digest}\"\n{more}"
    )
}

fn parameters(room: &Room, arn: &str, valid_to: u64) {
    let region = arn.split(':').nth(3).unwrap();
    let text = room.kms.parameters(arn, valid_to);
    fs::write(room.path(&format!("inputs/{region}.json")), text).unwrap();
}

/// A room whose plan is for a primary in eu-west-1 and a replica in us-east-1.
fn two_regions() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    room.plan.key_arn = MRK.into();
    for region in ["eu-west-1", "us-east-1"] {
        parameters(&room, &in_region(MRK, region), now() + 86_000);
    }
    room.plan.import_more = import(&room, &in_region(MRK, "us-east-1"), "");
    Some(room)
}

fn script(room: &Room, record: &str, region: &str) -> String {
    let path = room.path(record).join(&room.plan.label).join(region);
    fs::read_to_string(path.join("import.sh")).unwrap()
}

/// What `import.sh` leaves.
fn import_result(room: &Room, record: &str, region: &str) -> Value {
    let ceremony = room.transcript(record).lines[0]["ceremony"].clone();
    let arn = in_region(MRK, region);
    let at = jiff::Timestamp::from_second(now() as i64)
        .unwrap()
        .to_string();
    json!({
        "format": "byok-import-result-v1", "ceremony": ceremony, "label": LABEL, "import": region,
        "key_arn": arn, "KeyId": arn, "KeyMaterialId": ID, "exit": 0, "error": null, "at": at,
        "cli": "aws-cli/1.46",
    })
}

#[track_caller]
fn received(room: &Room, record: &str, answer: &Value) -> String {
    fs::write(room.path("answer.json"), answer.to_string()).unwrap();
    let output = room
        .byok(&["receipt", record, "answer.json"])
        .output()
        .unwrap();
    well(&output);
    stdout(&output)
}

#[test]
fn the_first_import_is_taken_for_the_primary_and_everybody_reads_it() {
    let Some(mut room) = two_regions() else {
        return;
    };
    let said = approval(&room);
    let printed = stdout(&room.byok(&["script", "plan.toml"]).output().unwrap());
    for (name, told) in [
        (
            "Region   ",
            "taken for the PRIMARY of this multi-Region key",
        ),
        ("import as", "NEW_KEY_MATERIAL, the first of the KMS key"),
        ("Region   ", "taken for a REPLICA; imported after eu-west-1"),
        ("import as", "EXISTING_KEY_MATERIAL, KMS compares the two"),
        ("make     ", "inside the HSM"),
    ] {
        let line = said.lines().find(|line| line.contains(told));
        assert!(
            line.is_some_and(|line| line.contains(name)),
            "{told}:\n{said}"
        );
        assert!(printed.contains(told), "{told}:\n{printed}");
    }
    room.run_well();
    let transcript = room.transcript(ONE);
    let told = transcript.events("import-type");
    let expected = [
        ("NEW_KEY_MATERIAL", "PRIMARY", Value::Null),
        ("EXISTING_KEY_MATERIAL", "REPLICA", json!("eu-west-1")),
    ];
    for (told, (import_type, multi_region, witness_of)) in told.iter().zip(expected) {
        assert_eq!(told["import_type"], import_type);
        assert_eq!(told["multi_region"], multi_region);
        assert_eq!(told["witness_of"], witness_of);
        assert_eq!(
            told["rotates"],
            Value::Null,
            "a first import rotates nothing"
        );
    }
    assert!(script(&room, ONE, "eu-west-1").contains("--import-type NEW_KEY_MATERIAL --output"));
    assert!(
        script(&room, ONE, "us-east-1").contains("--import-type EXISTING_KEY_MATERIAL --output")
    );
    let all = fs::read_to_string(room.path(ONE).join("import.sh")).unwrap();
    assert!(
        all.contains(&format!("run_after 'eu-west-1' '{LABEL}' 'us-east-1'")),
        "{all}"
    );

    // The plan's order may be another: what it calls new is the primary, and goes first.
    room.plan.label = "payments-2027".into();
    room.plan.directory = TWO.into();
    room.plan.import_more = import(
        &room,
        &in_region(MRK, "us-east-1"),
        "import_type = \"NEW_KEY_MATERIAL\"\n",
    );
    well(&room.run());
    assert!(script(&room, TWO, "eu-west-1").contains("multi_region='REPLICA'"));
    let all = fs::read_to_string(room.path(TWO).join("import.sh")).unwrap();
    let at = |text: &str| all.find(text).unwrap_or_else(|| panic!("{text} {all}"));
    assert!(
        at("run_one 'payments-2027' 'us-east-1'")
            < at("run_after 'us-east-1' 'payments-2027' 'eu-west-1'")
    );
    let arn = in_region(MRK, "us-east-1");
    assert!(
        all.contains(&format!("rotates='{arn}'")),
        "the primary is rotated, and only that"
    );
}

#[test]
fn an_accepted_replica_proves_the_material_of_its_primary() {
    let Some(mut room) = two_regions() else {
        return;
    };
    room.plan.expires = in_a_year();
    let [never, then] = ["never", &room.plan.expires].map(|at| format!("expires = \"{at}\""));
    room.plan.import_more = room.plan.import_more.replace(&never, &then);
    room.run_well();
    received(&room, ONE, &import_result(&room, ONE, "eu-west-1"));
    let of = |task: &str, region: &str| format!("{task} {LABEL} {region}");
    let [primary, replica] = ["eu-west-1", "us-east-1"].map(|region| of("reimport", region));
    assert_eq!(
        due(&room),
        [of("import", "us-east-1"), primary.clone()],
        "the replica is not imported"
    );
    let said = received(&room, ONE, &import_result(&room, ONE, "us-east-1"));
    assert_eq!(due(&room), [primary, replica]);
    assert!(said.contains("eu-west-1  proved in KMS"), "{said}");
    assert!(said.contains("us-east-1  proved in KMS"), "{said}");
    let output = verifiers::both(room.dir.path(), &[ONE]);
    well(&output);
}

/// The bare id of a multi-Region key is that of its replicas too, whatever kind of answer it stands in.
#[test]
fn an_answer_that_names_no_region_is_given_to_no_import() {
    let Some(room) = two_regions() else { return };
    room.run_well();
    let id = MRK.rsplit('/').next().unwrap();
    let replica = in_region(MRK, "us-east-1");
    let listed =
        |key: &str| json!({"KeyId": key, "KeyMaterialId": ID, "KeyMaterialState": "CURRENT"});
    let event = |more: Value| {
        let mut event = json!({
            "eventTime": room.transcript(ONE).lines.last().unwrap()["at"], "eventName": "DisableKey",
            "eventSource": "kms.amazonaws.com", "requestParameters": {"keyId": id},
        });
        let event_members = event.as_object_mut().unwrap();
        event_members.extend(more.as_object().unwrap().clone());
        event
    };
    let mut result = import_result(&room, ONE, "eu-west-1");
    result["KeyId"] = id.into();
    for answer in [
        json!({"Rotations": [listed(id)]}),
        json!({"KeyId": id, "Rotations": [listed(id)]}),
        json!({"Rotations": [listed(MRK), listed(id)]}),
        json!({"KeyId": id, "KeyMaterialId": ID}),
        json!({"KeyId": id, "Mac": "AAAA", "MacAlgorithm": "HMAC_SHA_256"}),
        json!({"KeyId": id, "PublicKey": "AAAA"}),
        event(json!({})),
        result,
    ] {
        fs::write(room.path("answer.json"), answer.to_string()).unwrap();
        let output = room
            .byok(&["receipt", ONE, "answer.json"])
            .output()
            .unwrap();
        let says = [
            &format!("does not say in which Region {id} answered"),
            "nothing was added",
        ];
        support::refused(&output, 2, &says);
    }
    let described = json!({"KeyMetadata": {"KeyId": id, "KeyState": "Enabled", "Origin": "EXTERNAL",
        "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": true}});
    fs::write(room.path("answer.json"), described.to_string()).unwrap();
    let output = room
        .byok(&["receipt", ONE, "answer.json"])
        .output()
        .unwrap();
    support::refused(&output, 2, &["`Arn`"]);
    // With the Region beside it, it is given to the import of that Region.
    for (answer, region) in [
        (
            json!({"KeyId": replica, "Rotations": [listed(id)]}),
            "us-east-1",
        ),
        (event(json!({"awsRegion": "us-east-1"})), "us-east-1"),
        (event(json!({"awsRegion": "eu-west-1"})), "eu-west-1"),
    ] {
        received(&room, ONE, &answer);
        let lines = fs::read_to_string(room.path(ONE).join("receipts.jsonl")).unwrap();
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        let told = last["materials"][0]["key_arn"].as_str();
        let told = told.or(last["events"][0]["key_arn"].as_str());
        assert_eq!(told, Some(in_region(MRK, region).as_str()), "{last}");
    }
    let verified = room.byok(&["verify", ONE]).output().unwrap();
    well(&verified);
}

/// What an earlier version gave to the first import stays in the record, and no longer counts for it.
#[test]
fn a_line_of_an_older_version_stays_valid() {
    let Some(room) = two_regions() else { return };
    room.run_well();
    let id = MRK.rsplit('/').next().unwrap();
    let answer =
        json!({"Rotations": [{"KeyId": id, "KeyMaterialId": ID, "KeyMaterialState": "CURRENT"}]});
    let bytes = answer.to_string();
    let transcript = fs::read(room.path(ONE).join("transcript.jsonl")).unwrap();
    let at = room.transcript(ONE).lines.last().unwrap()["at"].clone();
    let first = room.transcript(ONE).events("key-wrapped")[0]["key_arn"].clone();
    let line = format!(
        "{{\"seq\":1,\"at\":{at},\"prev\":\"{}\",\"format\":\"byok-receipts-v1\",\"file\":\"receipts/001.json\",\
         \"sha256\":\"{}\",\"answer\":\"ListKeyRotations\",\"label\":\"{LABEL}\",\"key_arn\":{first},\
         \"materials\":[{{\"key_arn\":{first},\"key_material_id\":\"{ID}\",\"state\":\"CURRENT\"}}],\
         \"proves\":\"nothing\"}}\n",
        support::sha256(&transcript),
        support::sha256(bytes.as_bytes()),
    );
    fs::create_dir(room.path(ONE).join("receipts")).unwrap();
    fs::write(room.path(ONE).join("receipts/001.json"), &bytes).unwrap();
    fs::write(room.path(ONE).join("receipts.jsonl"), &line).unwrap();
    let verified = room.byok(&["verify", "--json", ONE]).output().unwrap();
    well(&verified);
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(report["unexplained"], json!([]));
    // A line that neither version would have written is broken.
    let other = line.replace("\"state\":\"CURRENT\"", "\"state\":\"NON_CURRENT\"");
    fs::write(room.path(ONE).join("receipts.jsonl"), other).unwrap();
    let verified = room.byok(&["verify", ONE]).output().unwrap();
    support::refused(&verified, 4, &["receipts.jsonl: line 1"]);
}

#[test]
fn a_missing_region_stops_before_anything_is_made_and_is_wrapped_for_later() {
    let Some(mut room) = two_regions() else {
        return;
    };
    let replica = in_region(MRK, "us-east-1");
    let file = room.path("inputs/us-east-1.json");
    let (is_missing, expired, other) = (
        || fs::remove_file(&file).unwrap(),
        || parameters(&room, &replica, now() - 60),
        || {
            fs::copy(room.path("inputs/eu-west-1.json"), &file)
                .map(drop)
                .unwrap()
        },
    );
    let later = [
        "remove the import \"us-east-1\" from the plan",
        "byok plan --reimport RECORD, with \"us-east-1\" as its only [[key.import]]",
        "that needs no custodians",
    ];
    let lacks: [(&dyn Fn(), i32, &str); 3] = [
        (&is_missing, 2, "PARAMETERS-PRESENT"),
        (&expired, 4, "PARAMETERS-DEADLINE"),
        (&other, 4, "KEY-ARN-MATCH"),
    ];
    for (lack, exit, check) in lacks {
        lack();
        refused(&room.run(), exit, &[&[check], &later[..]].concat());
        let checked = stdout(&room.byok(&["check", "plan.toml"]).output().unwrap());
        assert!(later.iter().all(|told| checked.contains(told)), "{checked}");
        assert!(room.objects().is_empty(), "nothing was made");
    }
    // Of the primary that would be no way.
    parameters(&room, &replica, now() + 86_000);
    fs::rename(room.path("inputs/eu-west-1.json"), room.path("kept")).unwrap();
    let output = room.run();
    refused(
        &output,
        2,
        &[
            "PARAMETERS-PRESENT",
            "its replicas take nothing before it does",
        ],
    );
    assert!(!stderr(&output).contains("go on without it"));
    fs::rename(room.path("kept"), room.path("inputs/eu-west-1.json")).unwrap();

    // Without it, and later with it alone.
    room.plan.import_more = String::new();
    room.run_well();
    let alone = script(&room, ONE, "eu-west-1");
    assert!(!alone.contains("_KEY_MATERIAL --output"), "KMS decides");
    assert!(alone.contains("multi_region='PRIMARY'"), "{alone}");
    let text = room.plan.text();
    let own = &text[text.find("[[key.import]]").unwrap()..text.find("[record]").unwrap()];
    let text = text
        .replace(own, &import(&room, &replica, ""))
        .replace(
            "kind = \"generate\"\n",
            &format!("kind = \"reimport\"\n{}", builds_on(&room, ONE)),
        )
        .replace("directory = \"records/one\"", "directory = \"records/two\"");
    well(&room.run_text(&text));
    let later = script(&room, TWO, "us-east-1");
    assert!(
        later.contains("--import-type EXISTING_KEY_MATERIAL --output"),
        "{later}"
    );
    assert_eq!(
        room.openssl_opens(&format!("{TWO}/{LABEL}/us-east-1/WrappedKeyMaterial.bin")),
        room.openssl_opens(&format!("{ONE}/{LABEL}/eu-west-1/WrappedKeyMaterial.bin"))
    );
}

#[test]
fn what_no_multi_region_key_takes_is_refused() {
    let Some(mut room) = two_regions() else {
        return;
    };
    let replica = in_region(MRK, "us-east-1");
    let new = "import_type = \"NEW_KEY_MATERIAL\"\n";
    let existing = "import_type = \"EXISTING_KEY_MATERIAL\"\n";
    room.plan.import_more = format!("{new}{}", import(&room, &replica, new));
    refused(
        &room.run(),
        2,
        &["is also set for \"us-east-1\", another Region of the same KMS key"],
    );
    room.plan.import_more = format!("{existing}{}", import(&room, &replica, existing));
    refused(
        &room.run(),
        2,
        &["is new, so no KMS key has it yet", "whose primary"],
    );
    let other = format!(
        "[[key]]\nlabel = \"other\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n{}",
        import(&room, &replica, "")
    );
    room.plan.import_more = String::new();
    room.plan.more = other;
    refused(
        &room.run(),
        2,
        &["is the same multi-Region key for two data keys"],
    );
    // A replica that says what it is, is taken.
    room.plan.more = String::new();
    room.plan.import_more = import(&room, &replica, existing);
    room.run_well();
}

#[test]
fn a_plan_from_describe_key_puts_the_primary_first() {
    let Some(room) = two_regions() else { return };
    let described = |region: &str, kind: &str, name: &str| {
        let answer = json!({"KeyMetadata": {
            "Arn": in_region(MRK, region), "KeyState": "PendingImport", "Origin": "EXTERNAL",
            "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": true,
            "MultiRegionConfiguration": {"MultiRegionKeyType": kind},
        }});
        fs::write(room.path(name), answer.to_string()).unwrap();
    };
    described("us-east-1", "PRIMARY", "primary.json");
    described("eu-west-1", "REPLICA", "replica.json");
    let output = room
        .byok(&["plan", "replica.json", "primary.json"])
        .output()
        .unwrap();
    well(&output);
    let plan = stdout(&output);
    let at = |text: &str| plan.find(text).unwrap_or_else(|| panic!("{text} {plan}"));
    assert!(at("# the PRIMARY of its multi-Region key") < at("# a REPLICA: it gets"));
    assert!(at("key/mrk-") > at("[[key.import]]") && at("us-east-1:") < at("eu-west-1:"));
    let alone = room.byok(&["plan", "replica.json"]).output().unwrap();
    refused(
        &alone,
        2,
        &["is a replica", "describe-key answer of its primary"],
    );
}

/// A multi-Region key of the loopback KMS, with import parameters for its Regions.
struct Regions {
    kms: LoopbackKms,
    arn: String,
}

impl Regions {
    fn new() -> Option<Self> {
        let kms = LoopbackKms::start()?;
        let args = [
            "kms",
            "create-key",
            "--origin",
            "EXTERNAL",
            "--multi-region",
            "--query",
            "KeyMetadata.Arn",
        ];
        let arn = kms.aws_text(&[&args[..], &["--output", "text"]].concat());
        let arn = arn.trim().to_owned();
        Some(Self { kms, arn })
    }

    /// Downloads for these Regions; each plan's import names its own wrapping key.
    fn plan(&self, room: &mut Room, regions: &[(&str, &str)]) {
        let mut imports = Vec::new();
        for (region, more) in regions {
            let arn = in_region(&self.arn, region);
            let told = self.kms.parameters(&arn, "RSAES_OAEP_SHA_1", "RSA_2048");
            let json: Value = serde_json::from_str(&told).unwrap();
            let spki = format!("{}\n", json["PublicKey"].as_str().unwrap());
            let spki = openssl(&["base64", "-d", "-A"], spki.as_bytes());
            room.plan.wrapping_key_sha256 = Some(sha256(&spki));
            fs::write(room.path(&format!("inputs/{region}.json")), told).unwrap();
            imports.push(import(room, &arn, more));
        }
        room.plan.imported = false;
        room.plan.key_more = imports.concat();
    }

    fn import(&self, room: &Room, record: &str) -> Output {
        Command::new("bash")
            .arg(room.path(record).join("import.sh"))
            .args(["--yes", "--endpoint-url", &self.kms.endpoint()])
            .env_clear()
            .envs(self.kms.env())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn hold(&self, room: &Room, label: &str, regions: &[&str]) {
        let hex = room.token(&["take", "ceremony", PIN, label]);
        let key = byok::ground::words::unhex(hex.trim()).unwrap();
        for region in regions {
            let arn = in_region(&self.arn, region);
            let id = self.kms.key_material_id(&arn);
            assert_eq!(id, Some(key_material_id_of(&key, &arn)), "{region}");
        }
    }
}

#[test]
fn the_real_aws_cli_imports_the_primary_first_and_then_every_replica() {
    let (Some(regions), Some(mut room)) = (Regions::new(), Room::new(Kind::SoftHsm)) else {
        return;
    };
    // This KMS replicates only what holds material: the first ceremony is for the primary alone.
    regions.plan(&mut room, &[("eu-west-1", "")]);
    room.run_well();
    well(&regions.import(&room, ONE));
    let args = [
        "kms",
        "replicate-key",
        "--key-id",
        &regions.arn,
        "--replica-region",
        "us-east-1",
    ];
    regions.kms.aws_text(&args);

    // The rotation, with the Regions in the wrong order: KMS says so before anything is sent.
    room.plan.label = "payments-2027".into();
    room.plan.directory = TWO.into();
    let new = "import_type = \"NEW_KEY_MATERIAL\"\n";
    regions.plan(&mut room, &[("eu-west-1", ""), ("us-east-1", new)]);
    well(&room.run());
    let output = regions.import(&room, TWO);
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(4), "{said}");
    let primary = format!("the primary is {}", regions.arn);
    for told in [
        "this KMS key is the multi-Region REPLICA; the plan says it is the PRIMARY",
        &primary,
        "eu-west-1: NOT imported: import the primary first",
    ] {
        assert!(said.contains(told), "{told}:\n{said}");
    }
    regions.hold(&room, LABEL, &["eu-west-1", "us-east-1"]);

    // The right order: the material of that ceremony is brought to the right primary.
    let head = builds_on(&room, TWO);
    room.plan.kind = "reimport".into();
    room.plan.top_more = head;
    room.plan.directory = "records/three".into();
    regions.plan(
        &mut room,
        &[
            ("us-east-1", "import_type = \"EXISTING_KEY_MATERIAL\"\n"),
            ("eu-west-1", new),
        ],
    );
    well(&room.run());
    let output = regions.import(&room, "records/three");
    well(&output);
    let said = stdout(&output);
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("{text}\n{said}"));
    assert!(at("==== payments-2027/eu-west-1") < at("==== payments-2027/us-east-1"));
    assert!(at("--import-type NEW_KEY_MATERIAL") < at("--import-type EXISTING_KEY_MATERIAL"));
    let rotate = format!("bash online.sh rotate --key {} --now", regions.arn);
    assert!(at("==== outcome") < said.rfind(&rotate).unwrap(), "{said}");
    regions.hold(&room, "payments-2027", &["eu-west-1", "us-east-1"]);

    // A second run sends the primary's no more: KMS takes material as new once.
    let again = stdout(&regions.import(&room, "records/three"));
    assert!(again.contains("it was imported already"), "{again}");
}
