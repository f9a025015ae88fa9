//! The whole way to a real OpenBao server: a ceremony, its import.sh, and old ciphertext that opens again.

use crate::away::{self, checked, import_of, receipt, receipt_refused, reimport};
use crate::kms_on_loopback::bao::Bao;
use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::pty::Pty;
use support::{
    Kind, LABEL, Room, base64, folded, is_private, openssl, refused, sha256, skip, stderr, stdout,
    twins, unhex, verifiers, well,
};

const SHA_1: &str = "RSA_AES_KEY_WRAP_SHA_1";
const SHA_256: &str = "RSA_AES_KEY_WRAP_SHA_256";

/// A room whose data key goes to the key `payments` of a server of its own.
fn room(kind: Kind) -> Option<(Bao, Room)> {
    let Some(bao) = Bao::start() else {
        skip("BYOK_TEST_VENV has no bao");
        return None;
    };
    let mut room = Room::new(kind)?;
    fs::write(room.path("inputs/bao.json"), bao.wrapping_key()).unwrap();
    room.plan.imported = false; // into AWS KMS
    Some((bao, room))
}

/// The one import of the plan, wrapped as this HSM can.
fn into(room: &mut Room, bao: &Bao, spec: &str, wrapping: &str) {
    room.plan.spec = spec.into();
    let key = ["openbao", "bao", &bao.key("payments")];
    room.plan.key_more = import_of(room, key, "bao.json", [wrapping, &slip(bao)]);
}

/// The digest of the wrapping key.
fn slip(bao: &Bao) -> String {
    away::slip(&bao.text(&["read", "-field=public_key", "transit/wrapping_key"]))
}

fn carried(room: &Room, record: &str) -> std::path::PathBuf {
    away::carried(room, record, "bao")
}

fn import(bao: &Bao, online: &Path, args: &[&str]) -> Output {
    away::run(online, &bao.env(), args)
}

fn imported(bao: &Bao, room: &Room, record: &str) -> std::path::PathBuf {
    let online = carried(room, record);
    let output = import(bao, &online, &["--yes"]);
    well(&output);
    online
}

twins!(
    what_openbao_encrypted_opens_again_after_it_was_deleted_and_reimported_from_softhsm,
    what_openbao_encrypted_opens_again_after_it_was_deleted_and_reimported_from_kryoptic,
    |kind: Kind| {
        let Some((bao, mut room)) = room(kind) else {
            return;
        };
        let wrapping = if kind.wraps_sha_256() { SHA_256 } else { SHA_1 };
        into(&mut room, &bao, "SYMMETRIC_DEFAULT", wrapping);
        let transcript = room.run_well();
        let wrapped = transcript.event("key-wrapped");
        assert_eq!(wrapped["wrapped_in"], "hsm");
        assert_eq!(
            (&wrapped["kms"], &wrapped["key"]),
            (&"openbao".into(), &bao.key("payments").into())
        );
        assert!(wrapped.get("key_arn").is_none());
        let read = transcript.event("import-parameters-read");
        assert_eq!(read["wrapping_key_sha256"], slip(&bao).as_str());
        for aws in [
            "key_arn",
            "key_arn_in_parameters",
            "import_token_sha256",
            "valid_to",
        ] {
            assert!(read.get(aws).is_none(), "{aws}");
        }
        assert!(transcript.event("sealed").get("import_before").is_none());
        let online = imported(&bao, &room, "records/one");
        assert_eq!(
            receipt(&room, "records/one", &online.join("import-result.json")),
            "proved in KMS"
        );
        let told = bao.described("payments");
        assert_eq!(told["data"]["type"], "aes256-gcm96");
        for closed in [
            "exportable",
            "allow_plaintext_backup",
            "imported_key_allow_rotation",
        ] {
            assert_eq!(told["data"][closed], false, "{closed}");
        }
        let plain = base64(b"old data");
        let old = bao.encrypt("payments", &plain);

        bao.delete("payments");
        assert!(!bao.decrypt("payments", &old).status.success());
        reimport(&mut room, "records/two");
        let output = room.run();
        well(&output);
        assert_eq!(
            room.transcript("records/two").events("same-material").len(),
            1
        );
        imported(&bao, &room, "records/two");
        assert_eq!(stdout(&bao.decrypt("payments", &old)).trim(), plain);
        for record in ["records/one", "records/two"] {
            well(&verifiers::both(room.dir.path(), &[record]));
        }
    }
);

/// What the script of the online half asks of the key, for somebody else than who imported.
fn proof(bao: &Bao, room: &Room) -> std::path::PathBuf {
    let script = "ceremony-scripts/online/transit.sh";
    let mut bash = Command::new("bash");
    bash.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
    bash.args(["prove", "online", "--out", "by-script.json"]);
    bash.current_dir(room.dir.path()).env_clear();
    well(&bash.envs(bao.env()).output().unwrap());
    room.path("by-script.json")
}

/// In PEM; of an Ed25519 key OpenBao tells the 32 bytes alone, in base64: by RFC 8410 these stand behind this head.
fn spki(spec: &str, told: &str) -> Vec<u8> {
    match spec {
        "ED25519" => {
            let key = openssl(&["base64", "-d", "-A"], format!("{told}\n").as_bytes());
            [&unhex("302a300506032b6570032100")[..], &key].concat()
        }
        _ => openssl(&["pkey", "-pubin", "-outform", "DER"], told.as_bytes()),
    }
}

/// The answer of `read`, with the right key and with another one of its kind.
fn proved_by_its_public_key_alone(bao: &Bao, room: &Room, spec: &str) {
    if spec != "ED25519" {
        return;
    }
    let answer = bao.text(&["read", "-format=json", "transit/keys/payments"]);
    let told: Value = serde_json::from_str(&answer).unwrap();
    let told = told["data"]["keys"]["1"]["public_key"].as_str().unwrap();
    for (other, exit, says) in [
        (base64(&[7; 32]), 4, "[KEY-MATERIAL]"),
        (base64(&[7; 31]), 2, "is not 32 bytes in base64"),
    ] {
        let other = answer.replace(told, &other);
        receipt_refused(room, "records/one", other, exit, &[says]);
    }
    fs::write(room.path("proof.json"), answer).unwrap();
    assert_eq!(
        receipt(room, "records/one", &room.path("proof.json")),
        "proved in KMS"
    );
}

/// Every spec that it takes, and what shows that it has this very data key.
#[test]
fn every_spec_that_openbao_takes_is_imported_and_proved() {
    let specs = [
        (Kind::SoftHsm, "HMAC_256", SHA_1),
        (Kind::SoftHsm, "HMAC_384", SHA_256),
        (Kind::SoftHsm, "HMAC_512", SHA_1),
        (Kind::SoftHsm, "AES_128", SHA_1),
        (Kind::SoftHsm, "AES_256", SHA_256),
        (Kind::Kryoptic, "AES_128", SHA_256),
        (Kind::SoftHsm, "ECC_NIST_P256", SHA_256),
        (Kind::SoftHsm, "ECC_NIST_P384", SHA_1),
        (Kind::SoftHsm, "ECC_NIST_P521", SHA_256),
        (Kind::Kryoptic, "ED25519", SHA_256),
        (Kind::SoftHsm, "RSA_2048", SHA_256),
    ];
    for (kind, spec, wrapping) in specs {
        let Some((bao, mut room)) = room(kind) else {
            return;
        };
        into(&mut room, &bao, spec, wrapping);
        let transcript = room.run_well();
        let fingerprint = transcript.event("key-generated")["fingerprint"]
            .as_str()
            .unwrap()
            .to_owned();
        let online = imported(&bao, &room, "records/one");
        let result = online.join("import-result.json");
        assert_eq!(
            receipt(&room, "records/one", &result),
            "proved in KMS",
            "{spec}"
        );
        assert_eq!(
            receipt(&room, "records/one", &proof(&bao, &room)),
            "proved in KMS"
        );
        if is_private(spec) {
            let told = bao.described("payments");
            let told = told["data"]["keys"]["1"]["public_key"].as_str().unwrap();
            assert_eq!(sha256(&spki(spec, told)), fingerprint, "{spec}");
            proved_by_its_public_key_alone(&bao, &room, spec);
        }
        well(&verifiers::both(room.dir.path(), &["records/one"]));
    }
}

#[test]
fn openbao_takes_other_material_in_silence_and_byok_says_that_it_is_not_the_data_key() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "ECC_NIST_P256", SHA_256);
    room.run_well();
    let online = imported(&bao, &room, "records/one");
    let result = fs::read_to_string(online.join("import-result.json")).unwrap();
    // somebody deletes it and makes a key of the same name
    bao.delete("payments");
    bao.text(&["write", "-f", "transit/keys/payments", "type=ecdsa-p256"]);
    let told = bao.text(&["read", "-format=json", "transit/keys/payments"]);
    let says = ["not the data key", "imported"];
    receipt_refused(&room, "records/one", told, 4, &says);
    // an import of other material under the same name: the server accepts it
    let there: Value = bao.described("payments");
    let other = there["data"]["keys"]["1"]["public_key"]
        .as_str()
        .unwrap()
        .replace('\n', " ");
    let at = result.find("-----BEGIN").unwrap();
    let end = result[at..].find('"').unwrap();
    let forged = result.replace(&result[at..at + end], &other);
    receipt_refused(&room, "records/one", forged, 4, &["[KEY-MATERIAL]"]);
    assert_eq!(
        receipt(&room, "records/one", &online.join("import-result.json")),
        "proved in KMS"
    );
}

/// A year later, with another HSM: three shares, and the engine opens what it encrypted before.
#[test]
fn a_quorum_brings_the_data_key_back_into_openbao_from_another_hsm() {
    let Some((bao, mut old)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut old, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    old.plan.keep = "none".into();
    let custodians = ["Security", "Audit", "Treasury", "Legal", "Operations"];
    old.run_with_escrow(3, &custodians);
    imported(&bao, &old, "records/one");
    let plain = base64(b"old data");
    let encrypted = bao.encrypt("payments", &plain);
    bao.delete("payments");

    let Some(mut new) = Room::new(Kind::Kryoptic) else {
        return;
    };
    fs::write(new.path("inputs/bao.json"), bao.wrapping_key()).unwrap();
    new.plan.imported = false;
    into(&mut new, &bao, "SYMMETRIC_DEFAULT", SHA_256);
    new.plan.kind = "recover".into();
    new.plan.keep = "none".into();
    let record = old.path("records/one");
    new.plan.top_more = format!(
        "previous = \"{}\"\nprevious_head = \"{}\"\nreuse_escrow = \"a test\"\n",
        record.display(),
        sha256(&fs::read(record.join("transcript.jsonl")).unwrap())
    );
    new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    let shares = support::escrow::shares(&old.path("shares"));
    let brought = new.path("brought");
    fs::create_dir(&brought).unwrap();
    fs::set_permissions(&brought, fs::Permissions::from_mode(0o700)).unwrap();
    for (path, _) in [&shares[0], &shares[2], &shares[4]] {
        fs::copy(path, brought.join(path.file_name().unwrap())).unwrap();
    }
    let transcript = new.run_well();
    assert_eq!(transcript.events("same-material").len(), 1);
    let online = imported(&bao, &new, "records/one");
    assert_eq!(stdout(&bao.decrypt("payments", &encrypted)).trim(), plain);
    let result = online.join("import-result.json");
    assert_eq!(receipt(&new, "records/one", &result), "proved in KMS");
}

/// OpenBao's command reads Vault's variables too, so it plays `vault` here.
#[test]
fn a_plan_for_vault_is_imported_with_vault() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    room.plan.key_more = room.plan.key_more.replace("\"openbao\"", "\"vault\"");
    let transcript = room.run_well();
    assert_eq!(transcript.event("key-wrapped")["kms"], "vault");
    let args = ["verify", "--next", "records/one"];
    let next = room.byok(&args).output().unwrap();
    well(&next);
    let prove = format!("bash transit.sh --vault prove {LABEL}/bao --out proof.json");
    assert!(stdout(&next).contains(&prove), "{}", stdout(&next));
    let online = carried(&room, "records/one");
    let run = |env: Vec<(&'static str, String)>| {
        Command::new("bash")
            .args(["import.sh", "--yes"])
            .current_dir(&online)
            .env_clear()
            .envs(env)
            .output()
            .unwrap()
    };
    refused(&run(bao.env()), 2, &["the command vault is not installed"]);
    let commands = room.path("commands");
    fs::create_dir(&commands).unwrap();
    std::os::unix::fs::symlink(bao.command(), commands.join("vault")).unwrap();
    let mut env = bao.env();
    let token = env
        .iter()
        .position(|(name, _)| *name == "BAO_TOKEN")
        .unwrap();
    env[token].0 = "VAULT_TOKEN";
    env[0].1 = format!("{}:/usr/bin:/bin", commands.display());
    let output = run(env);
    well(&output);
    let result = online.join("import-result.json");
    assert_eq!(receipt(&room, "records/one", &result), "proved in KMS");
    well(&verifiers::both(room.dir.path(), &["records/one"]));
}

/// AES has no public half: only a decryption shows that an engine has it.
#[test]
fn a_wrong_answer_to_the_challenge_is_other_material() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    let transcript = room.run_well();
    let made = transcript.event("challenge-made");
    let ciphertext = made["ciphertext"].as_str().unwrap();
    // by another person, later, with the command that import.sh says
    imported(&bao, &room, "records/one");
    let path = "transit/decrypt/payments";
    let question = format!("ciphertext=vault:v1:{ciphertext}");
    let answer = bao.text(&["write", "-format=json", path, &question]);
    let told: Value = serde_json::from_str(&answer).unwrap();
    let bytes = openssl(
        &["base64", "-d", "-A"],
        format!("{}\n", told["data"]["plaintext"].as_str().unwrap()).as_bytes(),
    );
    assert_eq!(bytes.len(), 32);
    assert_eq!(made["answer_sha256"], sha256(&bytes).as_str());
    let wrong = answer.replace(
        told["data"]["plaintext"].as_str().unwrap(),
        &base64(&[7; 32]),
    );
    fs::write(room.path("wrong.json"), wrong).unwrap();
    let output = room
        .byok(&["receipt", "records/one", "wrong.json"])
        .output()
        .unwrap();
    refused(
        &output,
        4,
        &["[KEY-MATERIAL]", "is not the one to the challenge"],
    );
    fs::write(room.path("answer.json"), answer).unwrap();
    assert_eq!(
        receipt(&room, "records/one", &room.path("answer.json")),
        "proved in KMS"
    );

    // other material under the same name: the server takes it, but cannot answer
    bao.delete("payments");
    let wrapping_key = bao.text(&["read", "-field=public_key", "transit/wrapping_key"]);
    bao.import_plaintext_of_the_test("payments", &wrapping_key, &[9; 32]);
    let asked = bao.bao(&["write", "-format=json", path, &question]);
    assert!(!asked.status.success());
}

/// Its URL is in every error, and a server may say anything: neither calms an alarm, and nor does an empty answer.
#[test]
fn a_key_called_forbidden_that_does_not_answer_is_an_alarm_that_its_result_keeps() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    let more = room.plan.key_more.replace("payments", "Forbidden");
    room.plan.key_more = more;
    room.run_well();
    let online = carried(&room, "records/one");
    let script = online.join("import.sh");
    let good = fs::read_to_string(&script).unwrap();
    let other = good.replace("\nchallenge='", "\nchallenge='AAAA");
    fs::write(&script, other).unwrap();
    let output = import(&bao, &online, &["--yes"]);
    away::alarm_is_kept(&room, &online, &output, "message authentication failed");

    fs::write(&script, good).unwrap();
    bao.delete("Forbidden");
    let empty = "case \" $* \" in *decrypt/*) echo '{\"data\": {}}'; exit ;; esac";
    let env = away::meddled(&room, bao.env(), "bao", empty);
    let output = away::run(&online, &env, &["--yes"]);
    away::alarm_is_kept(&room, &online, &output, "{\"data\": {}}");
}

#[test]
fn the_script_sends_nothing_twice_and_nothing_that_is_not_the_ceremonys() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    room.run_well();
    let online = carried(&room, "records/one");
    away::script_reads_well(&online, "http://127.0.0.1");
    let run = |args: &[&str]| import(&bao, &online, args);
    let results = || {
        support::names_in(&online)
            .iter()
            .filter(|name| name.starts_with("import-result"))
            .count()
    };
    assert_eq!(run(&["--imported"]).status.code(), Some(1));
    for (args, exit) in [
        (&["--exportable"][..], 2),
        (&["--address", "http://user:secret@127.0.0.1"], 2),
        (&["--address"], 2),
        (&[], 1), // nobody says yes
    ] {
        let output = run(args);
        refused(&output, exit, &["nothing was imported"]);
        assert!(!stderr(&output).contains("secret"));
    }
    // an address that leads nowhere: a failure that leaves a result, and is no receipt of an import
    let output = run(&["--yes", "--address", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("NOT IMPORTED"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        receipt(&room, "records/one", &online.join("import-result.json")),
        "import failed"
    );
    // changed files
    let file = online.join("WrappedKeyMaterial.b64");
    let good = fs::read(&file).unwrap();
    fs::write(&file, base64(b"something else")).unwrap();
    refused(
        &run(&["--yes"]),
        4,
        &["WrappedKeyMaterial.b64 is not the file that the ceremony wrote"],
    );
    fs::write(&file, good).unwrap();
    assert_eq!(results(), 1);

    // TLS is never left out on the way to another computer
    for address in ["http://bao.example:8200", "http://127.0.0.1.example"] {
        refused(
            &run(&["--yes", "--address", address]),
            2,
            &["without TLS only to this very computer"],
        );
    }

    let mut bash = Command::new("bash");
    bash.args(["import.sh", "--yes"]).current_dir(&online);
    bash.env_clear().envs(bao.env());
    let ended = Pty::start(bash).end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let screen = ended.screen.lines();
    let prose: Vec<&str> = screen.filter(|line| !line.contains('/')).collect();
    support::fits(&prose.join("\n"));
    assert_eq!(run(&["--imported"]).status.code(), Some(0));
    let again = run(&["--yes"]);
    well(&again);
    assert!(
        stdout(&again).contains("nothing is sent again"),
        "{}",
        stdout(&again)
    );
    away::stops_unseen(&online, bao.env(), ["bao", "bao login"], &["--yes"]);
    let mut signed_out = bao.env();
    signed_out.retain(|(name, _)| *name != "BAO_TOKEN");
    let says = ["nothing was sent by this run; it was imported on 20"];
    refused(&away::run(&online, &signed_out, &["--yes"]), 1, &says);
    assert_eq!(results(), 2);
    // what was there before this ceremony stays
    for file in fs::read_dir(&online)
        .unwrap()
        .map(|file| file.unwrap().path())
    {
        if file
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("import-result")
        {
            fs::remove_file(file).unwrap();
        }
    }
    refused(
        &run(&["--yes"]),
        4,
        &["there is a key of this name already"],
    );
}

/// The plan names a server that answers here by a tunnel alone: what import.sh says to type then works as it stands.
#[test]
fn through_a_tunnel_every_verb_works_and_the_command_that_proves_goes_there_too() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    let named = "https://bao.example:8200";
    room.plan.key_more = room.plan.key_more.replace(&bao.server(), named);
    room.run_well();
    let online = carried(&room, "records/one");
    let tunnel = bao.server();
    let by_tunnel = ["--yes", "--address", &tunnel];
    // the server in the tunnel has no TLS of its own
    let closed = tunnel.replace("http:", "https:");
    let output = import(&bao, &online, &["--yes", "--address", &closed]);
    let said = folded(&stdout(&output));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for text in ["speaks without TLS", "bash import.sh --address URL"] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
    assert!(!said.contains("Run this script again"), "{said}");

    well(&import(&bao, &online, &by_tunnel));
    let again = stdout(&import(&bao, &online, &by_tunnel));
    let prove = again
        .lines()
        .find_map(|line| line.strip_prefix("  bash transit.sh prove "));
    let prove = prove.unwrap_or_else(|| panic!("{again}"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ceremony-scripts/online/transit.sh");
    let typed = |text: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("bash {} {text}", script.display())]);
        bash.current_dir(room.dir.path())
            .env_clear()
            .envs(bao.env());
        bash.output().unwrap()
    };
    well(&typed(&format!("prove {prove}")));
    assert_eq!(
        receipt(&room, "records/one", &room.path("proof.json")),
        "proved in KMS"
    );
    let key = format!("{named}/v1/transit/keys/payments");
    for verb in [
        "parameters URL --out one.json",
        "status URL",
        "delete URL --yes",
    ] {
        let verb = verb.replace("URL", &key);
        well(&typed(&format!("{verb} --address {tunnel}")));
        let says = ["speaks without TLS", "--address"];
        let closed = typed(&format!("{verb} --address {closed}").replace("one.", "two."));
        refused(&closed, 1, &says);
    }
    let other = format!("{named}/v1/other/keys/payments");
    well(&typed(&format!("mount {other} --address {tunnel}")));
}

/// Whoever may delete keys replaced it: while the script ran, or between two runs.
#[test]
fn another_key_in_the_place_of_the_one_that_was_sent_stops_the_script() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    room.run_well();
    let online = carried(&room, "records/one");
    let run = |env: &[(&'static str, String)]| {
        Command::new("bash")
            .args(["import.sh", "--yes"])
            .current_dir(&online)
            .env_clear()
            .envs(env.iter().cloned())
            .output()
            .unwrap()
    };
    // somebody else's commands, right after the import: one that the engine made, one of another type
    let real = bao.command();
    let commands = room.path("commands");
    fs::create_dir(&commands).unwrap();
    let mut meddled = bao.env();
    meddled[0].1 = format!("{}:/usr/bin:/bin", commands.display());
    for (number, key_type) in [(1, "aes256-gcm96"), (2, "ecdsa-p256")] {
        let meddler = format!(
            "#!/bin/bash\nbao=({real:?})\n\"${{bao[@]}}\" \"$@\" || exit\n\
             case $* in *keys/payments/import*) ;; *) exit 0 ;; esac\n{{\n\
             \"${{bao[@]}}\" write transit/keys/payments/config deletion_allowed=true &&\n\
             \"${{bao[@]}}\" delete transit/keys/payments &&\n\
             \"${{bao[@]}}\" write -f transit/keys/payments type={key_type}\n}} >/dev/null\n"
        );
        let command = commands.join("bao");
        fs::write(&command, meddler).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        let output = run(&meddled);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        let told = stdout(&output);
        let stops = format!(
            "STOP. The key that is there now is not the one that was sent: type {key_type}, imported false."
        );
        for text in [
            stops.as_str(),
            "Call the security officer. Delete nothing.",
            "The answer is in",
        ] {
            assert!(told.contains(text), "{text:?} is not in {told}");
        }
        assert!(!told.contains("IMPORTED"), "{told}");
        let name = match number {
            1 => "import-result.json".to_owned(),
            _ => format!("import-result-{number}.json"),
        };
        let result: Value = serde_json::from_slice(&fs::read(online.join(&name)).unwrap()).unwrap();
        assert_eq!(
            (&result["exit"], &result["type"], &result["imported_key"]),
            (&4.into(), &key_type.into(), &"false".into())
        );
        assert_eq!(
            receipt(&room, "records/one", &online.join(&name)),
            "import failed"
        );
        // it does not count as imported, and what is there stays
        refused(
            &run(&bao.env()),
            4,
            &["there is a key of this name already"],
        );
        bao.delete("payments");
    }
    well(&run(&bao.env()));
    bao.delete("payments");
    bao.text(&["write", "-f", "transit/keys/payments", "type=aes256-gcm96"]);
    let again = run(&bao.env());
    assert_eq!(again.status.code(), Some(4), "{}", stdout(&again));
    assert!(
        stdout(&again).contains("type aes256-gcm96, imported false"),
        "{}",
        stdout(&again)
    );
}

/// A certificate is judged, and a way there is chosen, by what is typed: nothing in the environment changes that.
#[test]
fn nothing_in_the_environment_switches_tls_off_or_leads_elsewhere() {
    let Some(bao) = Bao::start_closed() else {
        return skip("BYOK_TEST_VENV has no bao");
    };
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::write(room.path("inputs/bao.json"), bao.wrapping_key()).unwrap();
    room.plan.imported = false;
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    room.run_well();
    let online = carried(&room, "records/one");
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let by_proxy = format!("http://{}", proxy.local_addr().unwrap());
    let run = |name: &'static str, value: &str, args: &[&str]| {
        Command::new("bash")
            .args(["import.sh", "--yes"])
            .args(args)
            .current_dir(&online)
            .env_clear()
            .envs(bao.env())
            .env(name, value)
            .output()
            .unwrap()
    };
    let authority = bao.authority().to_str().unwrap();
    for (name, value) in [
        ("BAO_SKIP_VERIFY", "true"),
        ("VAULT_SKIP_VERIFY", "1"),
        ("BAO_CACERT", authority),
        ("VAULT_CACERT", authority),
        ("SSL_CERT_FILE", authority),
    ] {
        let output = run(name, value, &[]);
        let told = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {told}");
        assert!(
            told.contains("certificate signed by unknown authority"),
            "{name}: {told}"
        );
    }
    // programs ask no proxy for what is on this computer
    let elsewhere = ["--address", "https://bao.invalid:8200"];
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "BAO_HTTP_PROXY",
        "VAULT_HTTP_PROXY",
        "BAO_PROXY_ADDR",
        "VAULT_PROXY_ADDR",
    ] {
        let output = run(name, &by_proxy, &elsewhere);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stdout(&output));
        assert!(proxy.accept().is_err(), "{name}: the proxy was asked");
    }
    // a token of the other program is for another server
    let mut command = Command::new("bash");
    let env = bao.env().into_iter().map(|(name, value)| match name {
        "BAO_TOKEN" => ("VAULT_TOKEN", value),
        _ => (name, value),
    });
    command.args(["import.sh", "--yes", "--ca-cert", authority]);
    command.current_dir(&online).env_clear().envs(env);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("permission denied"),
        "{}",
        stdout(&output)
    );

    let output = run("VAULT_CLIENT_TIMEOUT", "1ns", &["--ca-cert", authority]);
    well(&output);
    let help = stdout(&import(&bao, &online, &["--help"]));
    for said in [
        "Every other BAO_* and VAULT_* variable",
        "VAULT_SKIP_VERIFY",
        "proxies",
    ] {
        assert!(help.contains(said), "{said:?} is not in {help}");
    }
}

/// The member that names the key says in which KMS it is, and the text never does.
#[test]
fn a_result_says_by_its_member_which_kms_has_the_key() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    room.run_well();
    let online = imported(&bao, &room, "records/one");
    let good = fs::read_to_string(online.join("import-result.json")).unwrap();
    let own = format!("\"key\": \"{}\"", bao.key("payments"));
    assert!(good.contains(&own), "{good}");
    for (to, exit, says) in [
        (own.replacen("key", "key_arn", 1), 4, "names the KMS key"),
        (
            format!("{own},\n  \"key_arn\": \"arn:aws:kms:eu-west-1:111122223333:key/x\""),
            2,
            "names two keys, `key_arn` and `key`",
        ),
        ("\"other\": null".into(), 2, "has no `key_arn` and no `key`"),
    ] {
        receipt_refused(&room, "records/one", good.replace(&own, &to), exit, &[says]);
    }
    assert_eq!(
        receipt(&room, "records/one", &online.join("import-result.json")),
        "proved in KMS"
    );
}

/// One plan, one data key, one record: into AWS KMS and into OpenBao.
#[test]
fn one_data_key_goes_to_aws_and_to_openbao() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    room.plan.imported = true; // into AWS KMS too
    room.plan.import_more = room.plan.key_more.clone();
    room.plan.key_more.clear();
    let transcript = room.run_well();
    let generated = transcript.event("key-generated");
    let wrapped = transcript.events("key-wrapped");
    assert_eq!(wrapped.len(), 2);
    let in_aws = room.openssl_opens(&format!(
        "records/one/{LABEL}/eu-west-1/WrappedKeyMaterial.bin"
    ));
    let (_, fingerprint) = support::openssl_check_values(&in_aws);
    assert_eq!(generated["fingerprint"], fingerprint.as_str());
    imported(&bao, &room, "records/one");
    // what OpenBao encrypts opens under what AWS KMS was sent, at another OpenBao
    let plain = base64(b"the same in both");
    let encrypted = bao.encrypt("payments", &plain);
    bao.delete("payments");
    let under_the_engine = bao.text(&["read", "-field=public_key", "transit/wrapping_key"]);
    bao.import_plaintext_of_the_test("payments", &under_the_engine, &in_aws);
    assert_eq!(stdout(&bao.decrypt("payments", &encrypted)).trim(), plain);
    let told = fs::read_to_string(room.path("records/one/README.txt")).unwrap();
    for file in [
        "ImportToken.bin",
        "WrappedKeyMaterial.b64",
        "aws kms",
        "bao write",
    ] {
        assert!(told.contains(file), "{file}");
    }
    // the last screen has the deadline of the one and says that the other has none, until that import is made
    let next = |open: bool| {
        let output = room
            .byok(&["verify", "--next", "records/one"])
            .output()
            .unwrap();
        well(&output);
        let told = folded(&stdout(&output));
        assert!(told.contains("bash import.sh BEFORE"), "{told}");
        let says = told.contains("where the KMS has no deadline, whoever may import there");
        assert_eq!(says, open, "{told}");
    };
    next(true);
    let result = room.path("online/import-result.json");
    well(
        &room
            .byok(&["receipt", "records/one", result.to_str().unwrap()])
            .output()
            .unwrap(),
    );
    next(false);
    // the next plan names both again, and says what its files are
    let output = room
        .byok(&["plan", "--reimport", "records/one"])
        .output()
        .unwrap();
    well(&output);
    let plan = stdout(&output);
    for line in [
        "kms        = \"openbao\"",
        &format!("key        = \"{}\"", bao.key("payments")),
        "key_arn    = ",
        "# fetched again: bash transit.sh parameters ",
    ] {
        assert!(plan.contains(line), "{line} is not in {plan}");
    }
    let output = room
        .byok(&["plan", "--reimport", "records/one", "inputs/bao.json"])
        .output()
        .unwrap();
    well(&output);
    let again = "parameters = \"inputs/bao.json\"";
    assert!(stdout(&output).contains(again), "{}", stdout(&output));
    let output = room.byok(&["inspect", "inputs/bao.json"]).output().unwrap();
    well(&output);
    assert!(stdout(&output).contains(&slip(&bao)), "{}", stdout(&output));
}

#[test]
fn parameters_that_are_not_the_engines_and_plans_that_no_engine_takes_are_refused() {
    let Some((bao, mut room)) = room(Kind::SoftHsm) else {
        return;
    };
    into(&mut room, &bao, "SYMMETRIC_DEFAULT", SHA_1);
    let good = room.plan.key_more.clone();
    for (from, to, says) in [
        (
            "kms = \"openbao\"",
            "kms = \"google\"",
            "does not begin with projects/",
        ),
        (
            "kms = \"openbao\"",
            "kms = \"bao\"",
            "is not one of aws, openbao, vault, azure, google, oci",
        ),
        ("kms = \"openbao\"\n", "", "it has no key_arn"),
        ("key = ", "key_arn = ", "key_arn is for AWS KMS alone"),
        (
            "/keys/payments",
            "/payments",
            "has no /keys/ after its mount",
        ),
        (
            SHA_1,
            "RSAES_OAEP_SHA_256",
            "unwraps RSA_AES_KEY_WRAP_* only",
        ),
        (
            "expires = \"never\"",
            "expires = \"2027-01-01T00:00:00Z\"",
            "expires belongs to AWS KMS alone",
        ),
        (
            "expires = \"never\"",
            "expires = \"never\"\nimport_type = \"NEW_KEY_MATERIAL\"",
            "import_type belongs to AWS KMS alone",
        ),
    ] {
        room.plan.key_more = good.replace(from, to);
        assert_ne!(room.plan.key_more, good, "{from}");
        checked(&room, 2, &[says]);
    }
    room.plan.key_more = good.clone();
    for (spec, says) in [
        ("AES_192", "has no AES keys of 192 bits"),
        ("HMAC_224", "takes HMAC keys from 32 bytes on"),
        ("ECC_SECG_P256K1", "has no keys on secp256k1"),
    ] {
        room.plan.spec = spec.into();
        checked(&room, 2, &[says]);
    }
    room.plan.spec = "SYMMETRIC_DEFAULT".into();
    checked(&room, 0, &[]);
    // another engine's key is not the one on the slip; a smaller key is no engine's
    bao.text(&["secrets", "enable", "-path=other", "transit"]);
    let other = bao.text(&["read", "-format=json", "other/wrapping_key"]);
    fs::write(room.path("inputs/bao.json"), other).unwrap();
    checked(&room, 4, &["WRAPPING-KEY-MATCH"]);
    let small = openssl(&["pkey", "-pubin", "-inform", "DER"], &room.kms.spki);
    fs::write(room.path("inputs/bao.json"), small).unwrap();
    checked(&room, 4, &["WRAPPING-KEY-SIZE"]);
}
