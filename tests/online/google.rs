//! The whole way to Google Cloud KMS: a ceremony, its `import.sh` with the tests' small gcloud, a KMS that unwraps, and what
//! proves that it is there.

use crate::away::{self, checked, import_of, receipt, receipt_refused, reimport, result};
use crate::kms_on_loopback::google::{CloudKms, RING};
use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::{Kind, Room, base64, folded, refused, skip, stderr, stdout, verifiers, well};

/// Import method and what it is in a plan.
const SHA_1: (&str, &str) = ("rsa-oaep-3072-sha1-aes-256", "RSA_AES_KEY_WRAP_SHA_1");
const SHA_256: (&str, &str) = ("rsa-oaep-4096-sha256-aes-256", "RSA_AES_KEY_WRAP_SHA_256");
const OAEP: (&str, &str) = ("rsa-oaep-3072-sha256", "RSAES_OAEP_SHA_256");

/// A room whose data key goes to the key `payments`, by an import job of this method.
fn room(kind: Kind, spec: &str, method: (&str, &str)) -> Option<(CloudKms, Room)> {
    let Some(kms) = CloudKms::start() else {
        skip("BYOK_TEST_VENV has no google-cloud-kms");
        return None;
    };
    let mut room = Room::new(kind)?;
    room.plan.imported = false; // into AWS KMS
    room.plan.spec = spec.into();
    wrapped_by(&mut room, &kms, "job", method);
    Some((kms, room))
}

/// The import of the plan, by a new import job.
fn wrapped_by(room: &mut Room, kms: &CloudKms, name: &str, (method, wrapping): (&str, &str)) {
    let job = kms.job(name, method);
    fs::write(room.path("inputs/job.json"), &job).unwrap();
    let key = ["google", "google", &kms.key("payments")];
    room.plan.key_more = import_of(room, key, "job.json", [wrapping, &slip(&job)]);
}

/// The digest of the job's key.
fn slip(job: &str) -> String {
    let job: Value = serde_json::from_str(job).unwrap();
    away::slip(job["publicKey"]["pem"].as_str().unwrap())
}

fn carried(room: &Room, record: &str) -> PathBuf {
    away::carried(room, record, "google")
}

/// Runs import.sh there, by the loopback.
fn import(kms: &CloudKms, online: &Path, args: &[&str]) -> Output {
    let address = kms.address();
    let args = [&["--yes", "--address", &address], args].concat();
    away::run(online, &kms.env(), &args)
}

/// The script when its deadline is past.
fn late(script: &str) -> String {
    let mut lines = script.lines();
    let line = lines.find(|line| line.starts_with("deadline=")).unwrap();
    script.replace(line, "deadline=1")
}

const PURPOSES: [(&str, &str, &str); 6] = [
    ("AES_", "raw-encryption", "aes-"),
    ("ED25519", "asymmetric-signing", "ec-sign-ed25519"),
    ("HMAC_", "mac", "hmac-sha"),
    ("RSA_", "asymmetric-signing", "rsa-sign-pss-"),
    ("SYMMETRIC_", "encryption", "google-symmetric-encryption"),
    ("ECC_", "asymmetric-signing", "ec-sign-"),
];

fn make_key(kms: &CloudKms, spec: &str) {
    let purpose = PURPOSES.iter().find(|(of, ..)| spec.starts_with(of));
    let (of, purpose, algorithm) = purpose.unwrap();
    let algorithm = match (spec, &spec[of.len()..]) {
        ("ECC_NIST_P256", _) => "ec-sign-p256-sha256".into(),
        ("ECC_NIST_P384", _) => "ec-sign-p384-sha384".into(),
        ("ECC_SECG_P256K1", _) => "ec-sign-secp256k1-sha256".into(),
        ("SYMMETRIC_DEFAULT" | "ED25519", _) => (*algorithm).to_owned(),
        (_, bits) if *of == "AES_" => format!("{algorithm}{bits}-gcm"),
        (_, bits) if *of == "RSA_" => format!("{algorithm}{bits}-sha256"),
        (_, bits) => format!("{algorithm}{bits}"),
    };
    kms.make_key("payments", purpose, &algorithm);
}

fn every_spec(kind: Kind, rows: &[(&str, (&str, &str))]) {
    for (spec, method) in rows {
        let Some((kms, room)) = room(kind, spec, *method) else {
            return;
        };
        let transcript = room.run_well();
        let read = transcript.event("import-parameters-read");
        assert_eq!(read["wrapping_key_id"], format!("{RING}/importJobs/job"));
        assert!(read["valid_to"].is_string() && read.get("import_token_sha256").is_none());
        assert!(transcript.event("sealed").get("import_before").is_some());
        let wrapped = transcript.event("key-wrapped");
        let named = (&wrapped["kms"], &wrapped["key"]);
        assert_eq!(named, (&"google".into(), &kms.key("payments").into()));
        make_key(&kms, spec);
        let online = carried(&room, "records/one");
        well(&import(&kms, &online, &[]));
        let standing = receipt(&room, "records/one", &online.join("import-result.json"));
        let expected = match *spec {
            "SYMMETRIC_DEFAULT" => "accepted by KMS",
            _ => "proved in KMS",
        };
        assert_eq!(standing, expected, "{spec} {method:?}");
        well(&verifiers::both(room.dir.path(), &["records/one"]));
        // another answer than the data key's
        let told = fs::read_to_string(online.join("import-result.json")).unwrap();
        let member = ["pem", "mac", "plaintext"].into_iter();
        let shown: Value = serde_json::from_str(&told).unwrap();
        for right in member.filter_map(|member| shown[member].as_str()) {
            let job = fs::read_to_string(room.path("inputs/job.json")).unwrap();
            let job: Value = serde_json::from_str(&job).unwrap();
            let wrong = match right.starts_with("-----") {
                true => job["publicKey"]["pem"].as_str().unwrap().replace('\n', " "),
                false => base64(&[7; 32]),
            };
            receipt_refused(
                &room,
                "records/one",
                told.replace(right, &wrong),
                4,
                &["[KEY-MATERIAL]"],
            );
        }
    }
}

#[test]
fn every_spec_that_google_takes_from_softhsm_is_imported_and_proved() {
    every_spec(
        Kind::SoftHsm,
        &[
            ("HMAC_224", OAEP),
            ("HMAC_256", OAEP),
            ("AES_128", SHA_1),
            ("AES_256", SHA_1),
            ("ECC_NIST_P256", SHA_256),
            ("ECC_SECG_P256K1", SHA_1),
            ("RSA_2048", SHA_256),
        ],
    );
}

#[test]
fn what_kryoptic_wraps_with_sha_256_inside_is_imported_and_proved() {
    every_spec(
        Kind::Kryoptic,
        &[
            ("SYMMETRIC_DEFAULT", SHA_256),
            ("HMAC_384", OAEP),
            ("ECC_NIST_P384", OAEP),
            ("ED25519", SHA_256),
        ],
    );
}

/// gcloud cannot ask for it, so curl does.
#[test]
fn an_aes_key_is_proved_by_curl_whose_arguments_and_environment_tell_nothing() {
    let Some((kms, room)) = room(Kind::SoftHsm, "AES_256", SHA_1) else {
        return;
    };
    room.run_well();
    make_key(&kms, "AES_256");
    let online = carried(&room, "records/one");
    let address = kms.address();
    let args = ["--yes", "--address", &address];
    let with_path = |token: &str, path: &str| {
        let mut env = kms.env_of(token);
        let own = env.iter_mut().find(|(name, _)| *name == "PATH").unwrap();
        own.1 = own.1.replace("/usr/bin:/bin", path);
        env
    };
    let run = |env: &[(&'static str, String)]| {
        let output = away::run(&online, env, &args);
        well(&output);
        stdout(&output)
    };
    // without curl: what is missing, and what to ask by another way
    let said = run(&with_path("of-a-test", &away::path_without(&room, "curl")));
    let version = format!("{}/cryptoKeyVersions/1", kms.key("payments"));
    for text in [
        "It is not proved yet: that takes curl, which is not installed",
        &format!("  POST {address}/v1/{version}:rawDecrypt"),
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    // who imports is not who proves
    let said = run(&kms.env_of("of-an-importer"));
    let prove = format!(
        "bash google.sh prove {} --address {address}",
        online.display()
    );
    away::not_proved_yet(&said, &prove);
    away::stops_unseen(&online, kms.env(), ["gcloud", "gcloud auth login"], &args);
    // another answer than the ceremony's is an alarm
    let script = online.join("import.sh");
    let good = fs::read_to_string(&script).unwrap();
    fs::write(&script, good.replace("\nnonce='", "\nnonce='AAAA")).unwrap();
    away::is_alarmed(&run(&kms.env_of("of-a-test")));
    fs::write(&script, good).unwrap();

    let told = room.path("told");
    let meddler = format!(
        "#!/bin/bash\nprintf '%s\\n' \"$@\" >'{0}'\nenv >>'{0}'\nexec /usr/bin/curl \"$@\"\n",
        told.display()
    );
    let commands = room.path("commands");
    fs::create_dir(&commands).unwrap();
    fs::write(commands.join("curl"), meddler).unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(commands.join("curl"), executable).unwrap();
    let mut env = with_path(
        "of-a-test",
        &format!("{}:/usr/bin:/bin", commands.display()),
    );
    let home = env.iter().find(|(name, _)| *name == "HOME").unwrap();
    fs::write(
        Path::new(&home.1).join(".curlrc"),
        "proxy = \"http://127.0.0.1:1\"\n",
    )
    .unwrap();
    env.push(("http_proxy", "http://127.0.0.1:1".into()));
    let said = run(&env);
    assert!(said.contains("what only this data key can show"), "{said}");
    let told = fs::read_to_string(told).unwrap();
    assert!(told.starts_with("-q\n"), "{told}");
    for hidden in ["of-a-test", "proxy=", "HOME=", "CLOUDSDK"] {
        assert!(!told.contains(hidden), "{hidden}: {told}");
    }
    let mut results = support::names_in(&online);
    results.retain(|name| name.starts_with("import-result"));
    let standing = |name: &String| receipt(&room, "records/one", &online.join(name));
    let standings: Vec<String> = results.iter().map(standing).collect();
    assert!(
        standings.contains(&"proved in KMS".to_owned()),
        "{standings:?}"
    );
}

/// Neither the name of the key nor what the server says calms an alarm.
#[test]
fn a_key_called_permission_denied_that_shows_nothing_is_an_alarm_that_its_result_keeps() {
    let Some((kms, mut room)) = room(Kind::SoftHsm, "HMAC_256", SHA_1) else {
        return;
    };
    let name = "PERMISSION_DENIED";
    room.plan.key_more = room.plan.key_more.replace("payments", name);
    room.run_well();
    kms.make_key(name, "mac", "hmac-sha256");
    let online = carried(&room, "records/one");
    let address = kms.address();
    let gone = format!(
        "case \" $* \" in *' mac-sign '*) gcloud kms keys versions destroy 1 --key {name} --project byok-tests \
         --location europe-west6 --keyring ceremonies --format=json >/dev/null ;; esac"
    );
    let env = away::meddled(&room, kms.env(), "gcloud", &gone);
    let output = away::run(&online, &env, &["--yes", "--address", &address]);
    away::alarm_is_kept(&room, &online, &output, "is not enabled");
}

/// Only a missing curl is told as one.
#[test]
fn an_answer_without_what_proves_an_aes_key_is_an_alarm_and_not_a_missing_curl() {
    let Some((kms, room)) = room(Kind::SoftHsm, "AES_256", SHA_1) else {
        return;
    };
    room.run_well();
    make_key(&kms, "AES_256");
    let online = carried(&room, "records/one");
    let address = kms.address();
    let args = ["--yes", "--address", &address];
    let empty = "while [ \"$1\" != --output ]; do shift; done\necho '{\"protectionLevel\": \"HSM\"}' >\"$2\"; \
                 printf 200; exit";
    let env = away::meddled(&room, kms.env(), "curl", empty);
    let output = away::run(&online, &env, &args);
    assert!(!stdout(&output).contains("curl"), "{}", stdout(&output));
    away::alarm_is_kept(&room, &online, &output, "{\"protectionLevel\": \"HSM\"}");
}

/// With the vendor's own command, from the making of the key to the same material back in its version.
#[test]
fn the_real_gcloud_makes_the_key_imports_proves_and_reimports() {
    let Some((kms, mut room)) = room(Kind::SoftHsm, "AES_256", SHA_1) else {
        return;
    };
    let Some(env) = kms.real_env() else {
        skip("no BYOK_TEST_GCLOUD: gcloud is not installed");
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    let address = kms.address();
    let bash = |words: &[&str]| {
        let mut bash = Command::new("bash");
        bash.args(words).current_dir(room.dir.path());
        bash.env_clear().envs(env.iter().cloned()).output().unwrap()
    };
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/ceremony-scripts/online/google.sh"
    );
    let asked = |words: &[&str]| bash(&[&[script], words, &["--address", &address]].concat());
    let job = format!("{RING}/importJobs/real");
    well(&asked(&["job", &job]));
    let output = asked(&["parameters", &job, "--out", "real.json"]);
    well(&output);
    let real = fs::read_to_string(room.path("real.json")).unwrap();
    assert!(
        stdout(&output).contains(&slip(&real)),
        "{}",
        stdout(&output)
    );
    well(&room.byok(&["inspect", "real.json"]).output().unwrap());

    let args = ["--yes", "--address", &address];
    let output = away::run(&online, &env, &args);
    refused(&output, 2, &["there is no such key"]);
    let said = stdout(&output);
    let (_, make) = said.split_once("  gcloud kms keys create").unwrap();
    let (make, _) = make.split_once("\n\n").unwrap();
    let there = format!("export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS={address}/");
    let make =
        format!("unset PYTHONPATH CLOUDSDK_PROXY_ADDRESS\n{there}\ngcloud kms keys create{make}");
    well(&bash(&["-c", &make]));
    let output = away::run(&online, &env, &args);
    well(&output);
    let told = result(&online);
    assert!(told["cli"].as_str().unwrap().starts_with("gcloud/5"));
    let standing = receipt(&room, "records/one", &online.join("import-result.json"));
    assert_eq!(standing, "proved in KMS");
    let version = format!("{}/cryptoKeyVersions/1", kms.key("payments"));
    well(&asked(&["destroy", &version, "--yes"]));
    let described = ["keys", "versions", "describe", "1", "--key", "payments"];
    while kms.told(&described)["state"] != "DESTROYED" {}

    reimport(&mut room, "records/two");
    wrapped_by(&mut room, &kms, "job2", SHA_1);
    well(&room.run());
    let online = carried(&room, "records/two");
    let output = away::run(&online, &env, &args);
    well(&output);
    let says = "Version 1 took this material before, as a receipt says";
    assert!(stdout(&output).contains(says), "{}", stdout(&output));
    let standing = receipt(&room, "records/two", &online.join("import-result.json"));
    assert_eq!(standing, "proved in KMS");
}

#[test]
fn two_runs_at_the_same_time_make_two_versions_and_the_later_one_says_so() {
    let Some((kms, room)) = room(Kind::SoftHsm, "HMAC_256", SHA_1) else {
        return;
    };
    room.run_well();
    make_key(&kms, "HMAC_256");
    let online = carried(&room, "records/one");
    let address = kms.address();
    let args = ["--yes", "--address", &address];
    let env = away::beside_another(&online, kms.env(), ["gcloud", "versions import"], &args);
    let said = away::found_two(&online, &env, &args);
    assert!(said.contains("at the same time: 1 2"), "{said}");
}

#[test]
fn a_list_of_versions_that_does_not_come_after_the_import_is_told() {
    let Some((kms, room)) = room(Kind::SoftHsm, "HMAC_256", SHA_1) else {
        return;
    };
    room.run_well();
    make_key(&kms, "HMAC_256");
    let online = carried(&room, "records/one");
    let text = format!(
        "case \" $* \" in *' versions list '*) [ ! -e '{0}' ] || exit 1\n>'{0}' ;; esac",
        room.path("listed").display()
    );
    let env = away::meddled(&room, kms.env(), "gcloud", &text);
    let output = away::run(&online, &env, &["--yes", "--address", &kms.address()]);
    well(&output);
    let said = stdout(&output);
    assert!(said.contains("Could not look for other versions"), "{said}");
}

/// An opaque key: only that Google compares what comes back into the same version proves it.
#[test]
fn a_symmetric_key_is_proved_by_the_same_material_back_in_its_version() {
    let Some((kms, mut room)) = room(Kind::SoftHsm, "SYMMETRIC_DEFAULT", SHA_1) else {
        return;
    };
    assert_eq!(room.run_well().event("key-wrapped")["wrapped_in"], "hsm");
    let online = carried(&room, "records/one");
    refused(&import(&kms, &online, &[]), 2, &["there is no such key"]);
    let said = stdout(&import(&kms, &online, &[]));
    assert!(said.contains("gcloud kms keys create payments --project byok-tests"));
    make_key(&kms, "SYMMETRIC_DEFAULT");
    let output = import(&kms, &online, &[]);
    well(&output);
    let said = stdout(&output);
    for text in [
        "gcloud kms keys versions import --project byok-tests --location europe-west6",
        "--import-job job --algorithm google-symmetric-encryption --wrapped-key-file WrappedKeyMaterial.bin",
        "shows nothing of such a key",
        "--primary-version 1",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let told = result(&online);
    assert_eq!(
        told["version"],
        format!("{}/cryptoKeyVersions/1", kms.key("payments"))
    );
    assert_eq!(told["cli"], "gcloud/550.0.0");
    assert_eq!(
        receipt(&room, "records/one", &online.join("import-result.json")),
        "accepted by KMS"
    );
    let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
    for text in [
        &format!("{RING}/importJobs/job"),
        "brought back into its version by a reimport",
    ] {
        assert!(report.contains(text), "{text}");
    }

    // again; without the result nothing tells whose it is
    let kept = fs::read(online.join("import-result.json")).unwrap();
    let output = import(&kms, &online, &[]);
    well(&output);
    assert!(stdout(&output).contains("Nothing is sent again"));
    fs::remove_file(online.join("import-result.json")).unwrap();
    fs::remove_file(online.join("import-result-2.json")).unwrap();
    for args in [&[][..], &["--version", "1"]] {
        let says = ["it may be another data key", "bash import.sh --new-version"];
        refused(&import(&kms, &online, args), 4, &says);
    }
    // a run that was cut off after sending says it, too
    let cut = String::from_utf8(kept.clone()).unwrap();
    let cut = cut.replace("\"exit\": 0", "\"exit\": 130");
    fs::write(online.join("import-result.json"), &cut).unwrap();
    for args in [&[][..], &["--new-version"]] {
        let output = import(&kms, &online, args);
        well(&output);
        assert!(stdout(&output).contains("Nothing is sent again"));
        fs::remove_file(online.join("import-result-2.json")).unwrap();
    }
    fs::write(online.join("import-result.json"), &kept).unwrap();
    // after the deadline it still looks
    let script = fs::read_to_string(online.join("import.sh")).unwrap();
    fs::write(online.join("import-result.json"), &cut).unwrap();
    fs::write(online.join("import.sh"), late(&script)).unwrap();
    well(&import(&kms, &online, &[]));
    fs::write(online.join("import.sh"), &script).unwrap();
    let versions = kms.told(&["keys", "versions", "list", "--key", "payments"]);
    assert_eq!(versions.as_array().unwrap().len(), 1);

    let (text, sealed, opened) = (room.path("text"), room.path("sealed"), room.path("opened"));
    let [text, sealed, opened] = [&text, &sealed, &opened].map(|path| path.to_str().unwrap());
    fs::write(text, "of the customers").unwrap();
    kms.text(&[
        "encrypt",
        "--key",
        "payments",
        "--version",
        "1",
        "--plaintext-file",
        text,
        "--ciphertext-file",
        sealed,
    ]);
    let open = || {
        kms.gcloud(&[
            "decrypt",
            "--key",
            "payments",
            "--ciphertext-file",
            sealed,
            "--plaintext-file",
            opened,
        ])
    };
    kms.text(&["keys", "versions", "destroy", "1", "--key", "payments"]);
    assert!(!open().status.success());
    refused(
        &import(&kms, &online, &[]),
        4,
        &["version 1 is DESTROYED", "--version 1"],
    );
    // sent anew beside it, by somebody who lost the results: it is one more
    let alone = room.path("alone");
    fs::create_dir(&alone).unwrap();
    for file in ["import.sh", "WrappedKeyMaterial.bin"] {
        fs::copy(online.join(file), alone.join(file)).unwrap();
    }
    well(&import(&kms, &alone, &["--new-version"]));
    assert!(result(&alone)["version"].as_str().unwrap().ends_with("/2"));

    reimport(&mut room, "records/two");
    wrapped_by(&mut room, &kms, "job2", SHA_1);
    well(&room.run());
    let online = carried(&room, "records/two");
    refused(
        &import(&kms, &online, &["--version", "3"]),
        1,
        &["without knowing"],
    );
    let output = import(&kms, &online, &[]); // a receipt says which
    well(&output);
    assert!(stdout(&output).contains("Version 1 took this material before, as a receipt says"));
    well(&open());
    assert_eq!(fs::read_to_string(opened).unwrap(), "of the customers");
    assert_eq!(result(&online)["reimported"], "true");
    // cut off after sending, it still knows
    let good = fs::read_to_string(online.join("import-result.json")).unwrap();
    for cut in [
        good.replace("\"exit\": 0", "\"exit\": 130"),
        good.replace("\"exit\": 0", "\"exit\": 130")
            .replace("\"import_job\": \"", "\"was\": \""),
    ] {
        fs::write(online.join("import-result.json"), cut).unwrap();
        well(&import(&kms, &online, &[]));
        let again = fs::read(online.join("import-result-2.json")).unwrap();
        let again: Value = serde_json::from_slice(&again).unwrap();
        assert_eq!(again["reimported"], "true");
        fs::remove_file(online.join("import-result-2.json")).unwrap();
    }
    fs::write(online.join("import-result.json"), &good).unwrap();
    // into another version, or into one that held nothing, it proves nothing
    for (from, to) in [
        ("cryptoKeyVersions/1", "cryptoKeyVersions/2"),
        ("\"reimported\": \"true\"", "\"reimported\": null"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(room.path("other.json"), good.replace(from, to)).unwrap();
        let standing = receipt(&room, "records/two", &room.path("other.json"));
        assert_eq!(standing, "accepted by KMS", "{to}");
    }
    assert_eq!(
        receipt(&room, "records/two", &online.join("import-result.json")),
        "proved in KMS"
    );
    for record in ["records/one", "records/two"] {
        let output = verifiers::both(room.dir.path(), &[record]);
        well(&output);
        // a version has the name that Google gives it, and is no KeyMaterialId
        let told = stdout(&output);
        for text in [
            format!(
                "          version {}/cryptoKeyVersions/1\n",
                kms.key("payments")
            ),
            "  version 1  ".into(),
        ] {
            let here = record == "records/one"; // the other has been told of version 2 too
            assert!(told.contains(&text) || !here, "{text}: {told}");
        }
        assert!(
            !told.contains("KeyMaterialId") && !told.contains("material projects/"),
            "{told}"
        );
    }
    // the script of the first record does not take it for its own
    let online = carried(&room, "records/one");
    fs::copy(
        room.path("records/one/receipts/001.json"),
        online.join("import-result.json"),
    )
    .unwrap();
    let output = import(&kms, &online, &[]);
    assert_eq!(output.status.code(), Some(4));
    assert!(
        stdout(&output)
            .contains("STOP. What is in version 1 now did not come from this import job")
    );
}

/// Google refuses other material in a version that held some, and takes it in silence as a further one.
#[test]
fn other_material_is_refused_in_its_version_and_found_as_a_further_one() {
    let Some((kms, room)) = room(Kind::SoftHsm, "HMAC_256", SHA_1) else {
        return;
    };
    room.run_well();
    make_key(&kms, "HMAC_256");
    let online = carried(&room, "records/one");
    well(&import(&kms, &online, &[]));
    let good = fs::read_to_string(online.join("import-result.json")).unwrap();
    kms.text(&["keys", "versions", "destroy", "1", "--key", "payments"]);
    let Some(mut other) = Room::new(Kind::SoftHsm) else {
        return;
    };
    other.plan.imported = false;
    other.plan.spec = "HMAC_256".into();
    wrapped_by(&mut other, &kms, "other", SHA_1);
    other.run_well();
    let theirs = carried(&other, "records/one");
    let says = [
        "an import would make a further version",
        "bash import.sh --version N",
    ];
    refused(&import(&kms, &theirs, &[]), 4, &says);
    let output = import(&kms, &theirs, &["--version", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    for text in [
        "NOT IMPORTED: version 1 is IMPORT_FAILED",
        "not the material that this version held",
    ] {
        assert!(
            stdout(&output).contains(text),
            "{text}: {}",
            stdout(&output)
        );
    }
    assert_eq!(
        receipt(&other, "records/one", &theirs.join("import-result.json")),
        "import failed"
    );
    well(&import(&kms, &theirs, &["--new-version"]));
    // what failed does not count: without any result the other is found, and proved
    for name in ["import-result.json", "import-result-2.json"] {
        fs::rename(theirs.join(name), other.path(name)).unwrap();
    }
    let output = import(&kms, &theirs, &[]);
    well(&output);
    assert!(stdout(&output).contains("Version 2 came from this import job"));
    for name in ["import-result.json", "import-result-2.json"] {
        fs::rename(other.path(name), theirs.join(name)).unwrap();
    }
    // their answer in our result: the other material is found
    let second: Value =
        serde_json::from_slice(&fs::read(theirs.join("import-result-2.json")).unwrap()).unwrap();
    let told: Value = serde_json::from_str(&good).unwrap();
    let mac = |of: &Value| of["mac"].as_str().unwrap().to_owned();
    let wrong = good.replace(&mac(&told), &mac(&second));
    receipt_refused(&room, "records/one", wrong, 4, &["[KEY-MATERIAL]"]);
    // so it is in the API's own answer, and in one about a version of software
    let name = format!("{}/cryptoKeyVersions/2", kms.key("payments"));
    for (text, exit, says) in [
        (
            format!("{{\"name\": \"{name}\", \"mac\": \"{}\"}}", mac(&second)),
            4,
            "[KEY-MATERIAL]",
        ),
        (
            format!("{{\"name\": \"{name}\", \"algorithm\": \"HMAC_SHA512\"}}"),
            4,
            "[KMS-KEY-MATCH]",
        ),
        (
            format!(
                "{{\"name\": \"{name}\", \"algorithm\": \"HMAC_SHA256\", \"protectionLevel\": \"SOFTWARE\"}}"
            ),
            4,
            "is not in an HSM",
        ),
        (
            format!("{{\"name\": \"{}\"}}", name.replace("payments", "other")),
            4,
            "imports nothing",
        ),
        (
            format!("{{\"name\": \"{}\"}}", name.replace("projects", "x")),
            2,
            "does not name a version",
        ),
    ] {
        receipt_refused(&room, "records/one", text, exit, &[says]);
    }
    let right = format!(
        "{{\"name\": \"{}\", \"mac\": \"{}\"}}",
        name.replace("/2", "/1"),
        mac(&told)
    );
    fs::write(room.path("proof.json"), right).unwrap();
    assert_eq!(
        receipt(&room, "records/one", &room.path("proof.json")),
        "proved in KMS"
    );
}

#[test]
fn the_script_takes_no_option_no_file_and_no_key_that_is_not_the_ceremonys() {
    let Some((kms, room)) = room(Kind::SoftHsm, "RSA_2048", SHA_256) else {
        return;
    };
    room.run_well();
    let online = carried(&room, "records/one");
    let script = fs::read_to_string(online.join("import.sh")).unwrap();
    away::script_reads_well(&online, "projects/");
    let help = import(&kms, &online, &["--help"]);
    refused(&help, 2, &["'--help' is not accepted"]); // only alone
    for args in [
        &["--algorithm", "x"][..],
        &["--target-key-file", "x"],
        &["--import-job", "other"],
        &["--key", "other"],
        &["--version"],
        &["--version", "01"],
        &["--version", "x"],
        &["--version", "1", "--new-version"],
        &["--address", "http://example.org"],
        &["--address", "https://user:secret@127.0.0.1"],
        &["--address", "https://127.0.0.1/x"],
    ] {
        let output = import(&kms, &online, args);
        refused(&output, 2, &["nothing was imported"]);
        assert!(!stderr(&output).contains("secret"));
    }
    assert_eq!(
        import(&kms, &online, &["--imported"]).status.code(),
        Some(1)
    );
    // a key of another use, and one for a use that such a pair can have
    kms.make_key("payments", "asymmetric-signing", "ec-sign-p256-sha256");
    refused(
        &import(&kms, &online, &[]),
        4,
        &["is for the algorithm ec-sign-p256-sha256"],
    );
    let good = fs::read(online.join("WrappedKeyMaterial.bin")).unwrap();
    fs::write(online.join("WrappedKeyMaterial.bin"), b"x").unwrap();
    let says = "WrappedKeyMaterial.bin is not the file that the ceremony wrote";
    refused(&import(&kms, &online, &[]), 4, &[says]);
    fs::write(online.join("WrappedKeyMaterial.bin"), good).unwrap();
    assert!(!online.join("import-result.json").exists());

    // what the key is for, among what the data key can be, decides the algorithm
    let Some(kms) = CloudKms::start() else {
        return;
    };
    fs::write(online.join("import.sh"), &script).unwrap();
    kms.make_key(
        "payments",
        "asymmetric-encryption",
        "rsa-decrypt-oaep-2048-sha256",
    );
    fs::write(online.join("import.sh"), late(&script)).unwrap();
    let says = ["which is past", "make another import job"];
    refused(&import(&kms, &online, &[]), 4, &says);
    assert!(!online.join("import-result.json").exists());
    fs::write(online.join("import.sh"), &script).unwrap();
    let output = import(&kms, &online, &[]); // of another project's job: there is none
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    for text in [
        "--algorithm rsa-decrypt-oaep-2048-sha256",
        "The import job, or the version, is not there",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

#[test]
fn parameters_that_are_no_such_job_and_plans_that_google_does_not_take_are_refused() {
    let Some((kms, mut room)) = room(Kind::SoftHsm, "ECC_NIST_P256", SHA_256) else {
        return;
    };
    let good = room.plan.key_more.clone();
    for (from, to, says) in [
        ("key = ", "key_arn = ", "key_arn is for AWS KMS alone"),
        (
            "/cryptoKeys/",
            "/cryptoKey/",
            "has no /cryptoKeys/ after its ring",
        ),
        (
            SHA_256.1,
            "RSAES_OAEP_SHA_1",
            "has no import method with it",
        ),
        (
            "expires = \"never\"",
            "expires = \"2027-01-01T00:00:00Z\"",
            "expires belongs to AWS KMS alone",
        ),
    ] {
        room.plan.key_more = good.replacen(from, to, 1);
        assert_ne!(room.plan.key_more, good, "{from}");
        checked(&room, 2, &[says]);
    }
    room.plan.key_more = good.clone();
    room.plan.spec = "ECC_NIST_P521".into();
    checked(&room, 2, &["has no keys on P-521"]);
    room.plan.spec = "HMAC_256".into();
    room.plan.key_more = format!("bits = 512\n{good}");
    checked(&room, 2, &["exactly as long as the hash"]);
    room.plan.key_more = good.clone();
    room.plan.spec = "ECC_NIST_P256".into();
    checked(&room, 0, &[]);
    let job = fs::read_to_string(room.path("inputs/job.json")).unwrap();
    let told: Value = serde_json::from_str(&job).unwrap();
    let until = told["expireTime"].as_str().unwrap();
    for (text, exit, says) in [
        (
            told["publicKey"]["pem"].as_str().unwrap().to_owned(),
            2,
            "is PEM, which does not name the import job",
        ),
        (
            job.replace("ceremonies", "others"),
            4,
            "what was wrapped for an import job of its own key ring",
        ),
        (job.replace("\"HSM\"", "\"SOFTWARE\""), 4, "[IMPORT-JOB]"),
        (job.replace("ACTIVE", "EXPIRED"), 4, "[IMPORT-JOB]"),
        (
            job.replace("SHA256_AES_256", "SHA1_AES_256"),
            4,
            "[WRAPPING-ALGORITHM-MATCH]",
        ),
        (
            job.replace(until, "2026-01-01T00:00:00Z"),
            4,
            "[PARAMETERS-DEADLINE]",
        ),
        (
            job.replace(until, "9999-12-30T00:00:00Z"),
            5,
            "clock is behind, or the file is not what the KMS wrote",
        ),
        (kms.job("other", SHA_256.0), 4, "WRAPPING-KEY-MATCH"),
    ] {
        fs::write(room.path("inputs/job.json"), text).unwrap();
        checked(&room, exit, &[says]);
    }
}

/// One plan, one data key, one record: into AWS KMS and to Google.
#[test]
fn one_data_key_goes_to_aws_and_to_google() {
    let Some((kms, mut room)) = room(Kind::SoftHsm, "HMAC_256", SHA_1) else {
        return;
    };
    room.plan.imported = true; // into AWS KMS too
    room.plan.import_more = room.plan.key_more.clone();
    room.plan.key_more.clear();
    let transcript = room.run_well();
    assert_eq!(transcript.events("key-wrapped").len(), 2);
    let told = fs::read_to_string(room.path("records/one/README.txt")).unwrap();
    for text in ["ImportToken.bin", "gcloud kms keys versions import"] {
        assert!(told.contains(text), "{text}");
    }
    let output = room
        .byok(&["verify", "--next", "records/one"])
        .output()
        .unwrap();
    well(&output);
    assert!(folded(&stdout(&output)).contains("BEFORE "));
    let output = room
        .byok(&["plan", "--reimport", "records/one"])
        .output()
        .unwrap();
    well(&output);
    for line in [
        "kms        = \"google\"",
        &format!("key        = \"{}\"", kms.key("payments")),
        "# fetched again: bash google.sh parameters projects/byok-tests/",
    ] {
        assert!(
            stdout(&output).contains(line),
            "{line}: {}",
            stdout(&output)
        );
    }
    let output = room
        .byok(&["plan", "--reimport", "records/one", "inputs/job.json"])
        .output()
        .unwrap();
    well(&output);
    let again = "parameters = \"inputs/job.json\"";
    assert!(stdout(&output).contains(again), "{}", stdout(&output));
    let output = room.byok(&["inspect", "inputs/job.json"]).output().unwrap();
    well(&output);
    let job = fs::read_to_string(room.path("inputs/job.json")).unwrap();
    for text in [&slip(&job), &format!("{RING}/importJobs/job"), SHA_1.1] {
        assert!(
            stdout(&output).contains(text),
            "{text}: {}",
            stdout(&output)
        );
    }
}
