//! `ceremony-scripts/online`: every command of its RUNBOOK.md in its order, for OpenBao with the real server and its own
//! command, for Azure with the vault of the tests; and who may do what there by the policies.

use crate::kms_on_loopback::azure::Vault;
use crate::kms_on_loopback::bao::Bao;
use crate::kms_on_loopback::google::{CloudKms, RING};
use crate::kms_on_loopback::oci::{COMPARTMENT, ENDPOINT, OciVault};
use crate::runbook::{Fence, Place, commands, fences_of, root, succeeded, with_field, with_input};
use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::pty::Pty;
use support::{Kind, Room, base64, openssl, refused, sha256, skip, stderr, stdout, well};

const FIRST: &str = "records/2026-11-22-payments";
const SECOND: &str = "records/2027-10-20-payments";
const HSM: &str = "https://of-a-test.managedhsm.azure.net";

fn folder() -> PathBuf {
    root().join("ceremony-scripts/online")
}

fn page() -> String {
    fs::read_to_string(folder().join("RUNBOOK.md")).unwrap()
}

/// The blocks of one target.
fn fences(target: &str) -> Vec<Fence> {
    let page = page();
    let (_, part) = page.split_once(&format!("\n## {target}\n")).unwrap();
    let part = part.split("\n## ").next().unwrap();
    fences_of(part, "### ")
}

/// Both ends of the stick: the folder `online` beside the room.
struct Desk {
    room: Room,
    env: Vec<(&'static str, String)>,
    /// What stands in the page, and what here.
    here: Vec<(String, String)>,
    /// What people fill in and correct in the plan that the page has byok write.
    filled_in: Vec<(&'static str, String)>,
}

impl Desk {
    fn new(env: Vec<(&'static str, String)>, server: &str, here: &str) -> Option<Self> {
        let room = Room::new(Kind::SoftHsm)?;
        fs::remove_dir_all(room.path("inputs")).unwrap(); // it comes on the stick
        fs::create_dir(room.path("stick")).unwrap();
        fs::create_dir_all(room.path("online/policies")).unwrap();
        for part in ["", "policies"] {
            for file in fs::read_dir(folder().join(part)).unwrap() {
                let file = file.unwrap();
                if file.path().is_file() {
                    let to = room.path("online").join(part).join(file.file_name());
                    fs::copy(file.path(), to).unwrap();
                }
            }
        }
        fs::write(room.path("vars"), "").unwrap();
        let stick = room.path("stick").display().to_string();
        let here = vec![
            (server.to_owned(), here.to_owned()),
            ("/media/stick".to_owned(), stick),
            (
                "/path/to/the/vendors/pkcs11.so".to_owned(),
                room.kind.module().unwrap().display().to_string(),
            ),
            // nobody is there to write shares down
            (
                "--custodians 'Security, Audit, Treasury, Legal, Operations' --threshold 3"
                    .to_owned(),
                "--no-escrow".to_owned(),
            ),
        ];
        let filled_in = Vec::new();
        Some(Self {
            room,
            env,
            here,
            filled_in,
        })
    }

    /// This program instead of the one on the way.
    fn with_command(&mut self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.room.path("instead");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.env.retain(|(name, _)| *name != "PATH");
        let path = format!("{}:/usr/bin:/bin", folder.display());
        self.env.push(("PATH", path));
    }

    fn as_here(&self, text: &str) -> String {
        let replaced = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.here.iter().fold(text.to_owned(), replaced)
    }

    fn run(&self, fence: &Fence) -> String {
        let text = self.as_here(&fence.text);
        let output = match fence.place {
            Place::Online => self.online(&text),
            Place::Room => match text.split_once("byok check plan.toml\n") {
                Some((before, after)) => {
                    succeeded(&fence.section, before, &self.offline(before));
                    self.correct("plan.toml", &self.filled_in);
                    self.offline(&format!("byok check plan.toml\n{after}"))
                }
                None => self.offline(&text),
            },
            _ => return String::new(),
        };
        succeeded(&fence.section, &text, &output)
    }

    /// Somebody says yes to an import, and types the name of a key that ends.
    fn online(&self, text: &str) -> Output {
        let vars = self.room.path("vars");
        let vars = vars.display();
        let script = format!(
            "set -euo pipefail\n. {vars}\n{text}\ndeclare -p key kek vault_key ring vault >{vars} 2>/dev/null || true\n"
        );
        let typed = if text.contains(" import ") {
            "yes\n"
        } else if text.contains("kek\"") {
            "KEK\nKEK\n"
        } else if text.contains("google.sh destroy") {
            "payments/cryptoKeyVersions/1\n"
        } else {
            "payments\npayments\n"
        };
        let mut bash = Command::new("bash");
        bash.args(["-c", &script])
            .env_clear()
            .envs(self.env.clone());
        bash.env("BASH_COMPAT", "3.2");
        bash.current_dir(self.room.path("online"));
        with_input(bash, typed)
    }

    fn offline(&self, text: &str) -> Output {
        let script: String = text
            .lines()
            .map(|line| match line.strip_prefix("byok run ") {
                // nobody is there to type Yes
                Some(plan) => {
                    format!("byok run {plan} --approve $(sha256sum < {plan} | cut -c 1-64)\n")
                }
                None => format!("{line}\n"),
            })
            .collect();
        let byok = Path::new(support::program()).parent().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("set -euo pipefail\n{script}")]);
        bash.env_clear().envs(self.room.env.iter().cloned());
        bash.env("PATH", format!("{}:/usr/bin:/bin", byok.display()));
        bash.current_dir(self.room.dir.path());
        with_input(bash, "")
    }

    /// What people fill in for the key of this name, with the digest of this slip.
    fn fills_in(&mut self, kms: &str, key: &str, slip: &str) {
        // Google's job here and OCI are for SHA-256, which SoftHSM does not do by itself
        let (hash, wrap_in) = match kms {
            "google" | "oci" => ("256", "host"),
            _ => ("1", "hsm"),
        };
        self.filled_in = vec![
            ("directory", FIRST.to_owned()),
            ("key", key.to_owned()),
            ("wrapping", format!("RSA_AES_KEY_WRAP_SHA_{hash}")),
            ("wrap_in", wrap_in.to_owned()),
            ("wrapping_key_sha256", slip.to_owned()),
        ];
    }

    /// The next plan as somebody leaves it who corrects what the page says, and no more.
    fn correct_again(&self, slip: &str) {
        let head = sha256(&fs::read(self.room.path(FIRST).join("transcript.jsonl")).unwrap());
        let fields = [
            ("directory", SECOND.to_owned()),
            ("previous_head", head),
            ("wrapping_key_sha256", slip.to_owned()),
        ];
        self.correct("again.toml", &fields);
    }

    /// Corrects a plan; and this machine has a network, and nobody is there to type the PIN.
    fn correct(&self, name: &str, fields: &[(&str, String)]) {
        let path = self.room.path(name);
        let mut plan = fs::read_to_string(&path).unwrap();
        let here = [
            ("network", "allowed".to_owned()),
            ("pin", "file:pin".to_owned()),
        ];
        for (field, value) in here.iter().chain(fields) {
            plan = with_field(&plan, field, &format!("\"{value}\""));
        }
        fs::write(path, plan).unwrap();
    }
}

/// The digest of the wrapping key that a slip tells, by its rows.
fn digest(said: &str) -> String {
    let [key, _] = digests(said);
    let in_plan = format!("as wrapping_key_sha256:\n  \"{key}\"\n");
    assert!(said.contains(&in_plan), "{said}");
    key
}

/// By its rows: that of the wrapping key, and the one over all parameter files.
fn digests(said: &str) -> [String; 2] {
    let (_, slip) = said.split_once("SLIP of the import parameters").unwrap();
    let row = |line: &str| Some(line.strip_prefix("  row ")?[4..].replace(' ', ""));
    let rows: Vec<String> = slip.lines().filter_map(row).collect();
    assert_eq!(rows.len(), 16, "{said}");
    [rows[..8].concat(), rows[8..].concat()]
}

fn openbao() -> Option<(Bao, Desk)> {
    let Some(bao) = Bao::start_bare() else {
        skip("BYOK_TEST_VENV has no bao");
        return None;
    };
    let mut env = bao.env();
    let addresses = ["BAO_ADDR", "BAO_NAMESPACE", "BAO_AGENT_ADDR"];
    env.retain(|(name, _)| !addresses.contains(name));
    let desk = Desk::new(env, "https://bao.example:8200", &bao.server())?;
    Some((bao, desk))
}

#[test]
fn every_command_for_openbao_runs_in_its_order_and_old_ciphertext_opens_after_a_reimport() {
    let Some((bao, mut desk)) = openbao() else {
        return;
    };
    let plain = base64(b"old data");
    let (mut encrypted, mut slips) = (String::new(), Vec::<String>::new());
    for fence in fences("OpenBao and Vault") {
        let section = fence.section.split(' ').next().unwrap().to_owned();
        if section == "6." && fence.text.contains("transit.sh delete") {
            encrypted = bao.encrypt("payments", &plain);
        }
        let said = match fence.text.split_once("byok check again.toml\n") {
            Some((before, after)) => {
                let text = desk.as_here(before);
                succeeded(&fence.section, &text, &desk.offline(&text));
                desk.correct_again(&slips[1]);
                let text = desk.as_here(&format!("byok check again.toml\n{after}"));
                succeeded(&fence.section, &text, &desk.offline(&text))
            }
            None => desk.run(&fence),
        };
        if said.contains("SLIP of") {
            slips.push(digest(&said));
        }
        match section.as_str() {
            "2." => desk.fills_in("openbao", &bao.key("payments"), &slips[0]),
            "4." => assert!(said.contains("IMPORTED into"), "{said}"),
            "5." if fence.place == Place::Room => assert!(said.contains("proved in KMS"), "{said}"),
            "6." if fence.text.contains("proof-again") => {
                assert_eq!(stdout(&bao.decrypt("payments", &encrypted)).trim(), plain);
            }
            "7." => assert!(!bao.decrypt("payments", &encrypted).status.success()),
            _ => {}
        }
    }
    let stock = bao.text(&["read", "-field=public_key", "transit/wrapping_key"]);
    let stock = openssl(&["pkey", "-pubin", "-outform", "DER"], stock.as_bytes());
    assert_eq!(slips, [sha256(&stock), sha256(&stock)]);
}

/// The command of the slip is one fact: script and page have the same.
#[test]
fn the_scripts_make_the_slip_as_the_page_says() {
    let page = fs::read_to_string(root().join("docs/targets.md")).unwrap();
    for (script, command) in [
        ("transit.sh", "openssl pkey -pubin -outform DER"),
        ("azure.sh", "-outform DER"),
        ("google.sh", "openssl pkey -pubin -outform DER"),
        ("oci.sh", "openssl pkey -pubin -outform DER"),
    ] {
        let text = fs::read_to_string(folder().join(script)).unwrap();
        assert!(
            page.contains(&format!("{command} | sha256sum")),
            "{command}"
        );
        assert!(
            text.contains(&format!("{command} | keep_parameters")),
            "{script}"
        );
    }
    for script in ["common.sh", "transit.sh", "azure.sh", "google.sh", "oci.sh"] {
        let output = Command::new("shellcheck")
            .arg(folder().join(script))
            .output();
        match output {
            Ok(output) => well(&output),
            Err(_) => skip("no shellcheck"),
        }
    }
}

/// What a role must do works, and what another role is for is refused.
#[test]
fn each_role_of_an_engine_may_do_its_part_and_no_other() {
    let Some((bao, mut desk)) = openbao() else {
        return;
    };
    let key = bao.key("payments");
    let roles = "administrator parameters importer prover watcher destroyer";
    for fence in fences("OpenBao and Vault") {
        let section = fence.section.split(' ').next().unwrap().to_owned();
        if ["1.", "2.", "3."].contains(&section.as_str()) {
            let said = desk.run(&fence);
            if section == "2." {
                desk.fills_in("openbao", &key, &digest(&said));
            }
        }
    }
    well(
        &desk.online(
            "cp -r \"$1\" ."
                .replace(
                    "\"$1\"",
                    &desk.room.path("stick/payments-2026").display().to_string(),
                )
                .as_str(),
        ),
    );
    let verbs = [
        (
            "parameters",
            "parameters",
            "bash transit.sh parameters $key --out $RANDOM$RANDOM.json",
        ),
        (
            "importer",
            "import",
            "bash transit.sh import payments-2026/bao --yes",
        ),
        (
            "prover",
            "prove",
            "bash transit.sh prove payments-2026/bao --out $RANDOM$RANDOM.json",
        ),
        ("watcher", "status", "bash transit.sh status $key"),
        ("destroyer", "delete", "bash transit.sh delete $key --yes"),
    ];
    // in the order of a key's life
    for (owner, verb, command) in &verbs {
        let others = roles.split(' ').filter(|role| role != owner);
        // who imports looks before and after, and so does who proves: that is a watcher's part
        let looks = |role: &str| *verb == "status" && ["importer", "prover"].contains(&role);
        for role in others.filter(|role| !looks(role)) {
            let output = desk.as_role(&bao, role, &format!("key={key}\n{command}"));
            let said = format!("{}{}", stdout(&output), stderr(&output));
            assert!(!output.status.success(), "{role} may {verb}: {said}");
            assert!(said.contains("permission denied"), "{role}, {verb}: {said}");
        }
        let output = desk.as_role(&bao, owner, &format!("key={key}\n{command}"));
        well(&output);
        if *verb == "import" {
            let said = stdout(&output);
            let online = desk.room.path("online/payments-2026/bao");
            let next = format!("bash transit.sh prove {} --out", online.display());
            for text in ["IMPORTED into", "and not proved yet", &next] {
                assert!(said.contains(text), "{text}: {said}");
            }
            assert!(!said.contains("may not be this data key"), "{said}");
        }
    }
    let there = bao.bao(&["read", "transit/keys/payments"]);
    assert!(!there.status.success(), "{}", stdout(&there));
    // no role lets a key out, makes one, or takes a next version
    bao.text(&["write", "-f", "transit/keys/payments", "exportable=false"]);
    for role in roles.split(' ') {
        for forbidden in [
            "write transit/keys/payments/config exportable=true",
            "write transit/keys/payments/config allow_plaintext_backup=true",
            "write transit/keys/payments/import_version ciphertext=x",
            "write -f transit/keys/payments/rotate",
            "write -f transit/keys/other",
            "read transit/export/encryption-key/payments",
            "write transit/encrypt/payments plaintext=eA==",
            "write transit/decrypt/other ciphertext=x",
            "secrets disable transit",
        ] {
            let output = desk.as_role(&bao, role, &format!("bao {forbidden}"));
            assert!(!output.status.success(), "{role}: {forbidden}");
            assert!(
                stderr(&output).contains("permission denied"),
                "{role}: {forbidden}"
            );
        }
    }
    bao.text(&["secrets", "disable", "transit"]);
    for role in roles.split(' ').filter(|role| *role != "administrator") {
        let output = desk.as_role(&bao, role, &format!("bash transit.sh mount {key}"));
        assert!(stderr(&output).contains("permission denied"), "{role}");
    }
    well(&desk.as_role(
        &bao,
        "administrator",
        &format!("bash transit.sh mount {key}"),
    ));
}

impl Desk {
    /// With a token that has the policy of this role and no other.
    fn as_role(&self, bao: &Bao, role: &str, text: &str) -> Output {
        let policy = format!("-policy=byok-{role}");
        let token = bao.text(&[
            "token",
            "create",
            "-no-default-policy",
            &policy,
            "-field=token",
        ]);
        let mut bash = Command::new("bash");
        bash.args(["-c", text]).env_clear().envs(self.env.clone());
        bash.env("BAO_TOKEN", token.trim());
        bash.env("BAO_ADDR", bao.server());
        bash.current_dir(self.room.path("online"));
        with_input(bash, "")
    }
}

#[test]
fn the_script_for_engines_asks_nobody_but_the_server_of_its_url() {
    let Some((bao, desk)) = openbao() else {
        return;
    };
    bao.text(&["secrets", "enable", "transit"]);
    let key = bao.key("payments");
    let run = |text: &str| desk.online(&format!("key={key}\n{text}"));
    // where the environment leads to matters to nobody
    let set = "export BAO_ADDR=http://127.0.0.1:1 BAO_NAMESPACE=x VAULT_ADDR=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1";
    let get = format!("{set}\nbash transit.sh parameters $key --out one.json");
    well(&run(&get));
    refused(
        &run("bash transit.sh parameters $key --out one.json"),
        2,
        &["nothing is overwritten"],
    );
    for url in [
        "http://bao.example:8200/v1/transit/keys/payments",
        "https://user:secret@bao.example/v1/transit/keys/payments",
        "https://bao.example/v1/transit/payments",
        "https://bao.example/v1/../keys/payments",
        "https://bao.example/x/v1/transit/keys/payments",
        "'https://bao.example/v1/transit/keys/$(id)'",
    ] {
        let output = run(&format!("bash transit.sh status {url}"));
        refused(&output, 2, &["that is no URL of a key"]);
        assert!(!stderr(&output).contains("secret"));
    }
    refused(
        &run("bash transit.sh status $key"),
        1,
        &["no answer about payments"],
    );
    refused(
        &run("bash transit.sh prove nowhere --out x"),
        2,
        &["is not there"],
    );
    refused(
        &run("bash transit.sh delete $key --force"),
        2,
        &["is no option here"],
    );
    // a name that is not typed ends nothing
    bao.text(&["write", "-f", "transit/keys/payments"]);
    refused(
        &run("printf 'other\\n' | bash transit.sh delete $key"),
        1,
        &["nothing was changed"],
    );
    assert_eq!(bao.described("payments")["data"]["deletion_allowed"], false);
    for script in ["transit.sh", "azure.sh", "google.sh", "oci.sh"] {
        let help = stdout(&run(&format!("bash {script} --help")));
        assert!(help.lines().all(|line| line.len() < 80), "{help}");
        for verb in verbs(&help) {
            assert!(
                page().contains(&format!("{script} {verb}")),
                "{script} {verb}"
            );
        }
    }
}

/// As `online.sh` does for AWS KMS: one form of slip, and the digests of all files beside them.
#[test]
fn the_parameter_files_carry_their_digests_and_the_slip_has_the_one_over_all() {
    let Some((bao, desk)) = openbao() else {
        return;
    };
    bao.text(&["secrets", "enable", "transit"]);
    let get = |file: &str| {
        let key = bao.key("payments");
        let text = format!("bash transit.sh parameters {key} --out inputs/{file}");
        let mut bash = Command::new("bash");
        bash.args(["-c", &text]).env_clear().envs(desk.env.clone());
        bash.current_dir(desk.room.path("online"));
        bash
    };
    let inputs = desk.room.path("online/inputs");
    fs::create_dir(&inputs).unwrap();
    for (file, names) in [("b.json", "  b.json\n"), ("a.json", "  a.json\n  b.json\n")] {
        let ended = Pty::start(get(file)).end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        support::fits(&ended.screen);
        let [_, all] = digests(&ended.screen);
        let sums = fs::read(inputs.join("SHA256SUMS")).unwrap();
        assert_eq!(all, sha256(&sums));
        let listed = format!("(SHA-256 of SHA256SUMS):\n{names}  row 1");
        assert!(ended.screen.contains(&listed), "{}", ended.screen);
        well(&desk.online("cd inputs && sha256sum -c SHA256SUMS"));
    }
    fs::write(inputs.join("b.json"), "{}").unwrap();
    let says = "inputs/b.json changed since inputs/SHA256SUMS was written";
    refused(&get("c.json").output().unwrap(), 4, &[says]);
    // also if its line is the last, without a line feed, or as `sha256sum --binary` writes it
    let sums = fs::read_to_string(inputs.join("SHA256SUMS")).unwrap();
    fs::write(inputs.join("SHA256SUMS"), sums.trim_end()).unwrap();
    refused(&get("c.json").output().unwrap(), 4, &[says]);
    let binary = sums.replace("  b.json", " *b.json");
    fs::write(inputs.join("SHA256SUMS"), binary).unwrap();
    let says = "inputs/SHA256SUMS has a line that this script did not write";
    refused(&get("c.json").output().unwrap(), 4, &[says]);
    assert!(!inputs.join("c.json").exists());
    // what they refuse fits a terminal, too
    for text in [
        "bash transit.sh parameters https://bao.example/v1/../keys/payments",
        "bash azure.sh delete https://of-a-test.vault.azure.net/x",
        "bash google.sh status projects/a-project/x",
        "bash oci.sh status https://x-management.kms.r.oraclecloud.com/ocid1.vault.x",
        "bash transit.sh parameters https://bao.example/v1/transit/keys/payments --address x",
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", text]).env_clear().envs(desk.env.clone());
        bash.current_dir(desk.room.path("online"));
        let ended = Pty::start(bash).end();
        assert_eq!(ended.code, Some(2), "{}", ended.screen);
        support::fits(&ended.screen);
    }
}

/// The verbs that a help lists.
fn verbs(help: &str) -> BTreeSet<String> {
    let rows = help.lines().filter_map(|line| line.strip_prefix("  "));
    let rows = rows.filter(|row| row.starts_with(|c: char| c.is_ascii_lowercase()));
    let words = rows.filter_map(|row| row.split(' ').next());
    let verbs: BTreeSet<String> = words.map(str::to_owned).collect();
    assert!(verbs.len() >= 4, "{verbs:?}");
    verbs
}

#[test]
fn every_command_for_azure_runs_in_its_order_and_the_vault_holds_the_data_key() {
    let Some(vault) = Vault::start(HSM) else {
        skip("BYOK_TEST_VENV has no azure-keyvault-keys");
        return;
    };
    let Some(mut desk) = Desk::new(vault.env(), HSM, HSM) else {
        return;
    };
    let mut proved = false;
    for fence in fences("Azure Key Vault and Managed HSM") {
        let section = fence.section.split(' ').next().unwrap().to_owned();
        let said = desk.run(&fence);
        match section.as_str() {
            "2." => {
                let slip = digest(&said);
                let stock = vault.text(&["pem", "KEK"]);
                let stock = openssl(&["pkey", "-pubin", "-outform", "DER"], stock.as_bytes());
                assert_eq!(slip, sha256(&stock));
                desk.fills_in("azure", &vault.key("payments"), &slip);
            }
            "4." if fence.place == Place::Room => {
                assert!(said.contains("proved in KMS"), "{said}");
                proved = true;
            }
            // the KEK is gone: the wrapped file is of no use
            "4." if fence.text.contains("purge") => {
                assert!(!vault.client(&["show", "KEK"]).status.success());
                assert_eq!(vault.told(&["show", "payments"])["key"]["kty"], "oct-HSM");
            }
            _ => {}
        }
    }
    assert!(proved);
    assert!(!vault.client(&["show", "payments"]).status.success());
}

/// Each verb of the script for Azure, by another way to the vault.
#[test]
fn the_script_for_azure_reaches_the_vault_by_the_address_that_it_is_given() {
    let Some(vault) = Vault::start(HSM) else {
        skip("BYOK_TEST_VENV has no azure-keyvault-keys");
        return;
    };
    let Some(desk) = Desk::new(vault.env(), HSM, HSM) else {
        return;
    };
    let (address, authority) = (vault.address(), vault.authority());
    let run = |text: &str, address: &str| {
        let way = format!("--address {address} --ca-cert {}", authority.display());
        desk.online(&format!("bash azure.sh {text} {way}"))
    };
    for verb in ["kek", "parameters", "status", "delete", "purge"] {
        let text = match verb {
            "parameters" => format!("{verb} {HSM}/keys/KEK --out kek.json"),
            "delete" | "purge" => format!("{verb} {HSM}/keys/KEK --yes"),
            _ => format!("{verb} {HSM}/keys/KEK"),
        };
        let elsewhere = run(&text, "https://127.0.0.1:1");
        refused(&elsewhere, 1, &["no such vault: https://127.0.0.1:1"]);
        well(&run(&text, &address));
        refused(&run(&text, "http://127.0.0.1:1"), 2, &["only with TLS"]);
    }
}

#[test]
fn every_command_for_google_runs_in_its_order_and_the_version_takes_the_same_material_back() {
    let Some(kms) = CloudKms::start() else {
        skip("BYOK_TEST_VENV has no google-cloud-kms");
        return;
    };
    let Some(mut desk) = Desk::new(kms.env(), "a-project", "byok-tests") else {
        return;
    };
    // the page's own gcloud command goes where the script is told to go
    desk.env.retain(|(name, _)| ["PATH", "HOME"].contains(name));
    let address = kms.address();
    let there = [
        (
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS",
            format!("{address}/"),
        ),
        ("CLOUDSDK_CORE_UNIVERSE_DOMAIN", "googleapis.com".into()),
    ];
    desk.env.extend(there);
    let (mut slips, mut verdicts) = (Vec::<String>::new(), Vec::new());
    for mut fence in fences("Google Cloud KMS") {
        if fence.place == Place::Online {
            fence.text = with_address(
                &fence.text,
                "bash google.sh ",
                &format!(" --address {address}"),
            );
        }
        let said = match fence.text.split_once("byok check again.toml\n") {
            Some((before, after)) => {
                let text = desk.as_here(before);
                succeeded(&fence.section, &text, &desk.offline(&text));
                desk.correct_again(&slips[1]);
                let text = desk.as_here(&format!("byok check again.toml\n{after}"));
                succeeded(&fence.section, &text, &desk.offline(&text))
            }
            None => desk.run(&fence),
        };
        if fence.section.starts_with("5.") && fence.text.contains("google.sh status") {
            assert!(said.contains("\"DESTROY_SCHEDULED\""), "{said}");
            let said = desk.run(&fence); // days later
            assert!(said.contains("\"DESTROYED\""), "{said}");
        }
        if said.contains("SLIP of") {
            slips.push(digest(&said));
        }
        if fence.section.starts_with("2.") {
            desk.fills_in("google", &kms.key("payments"), &slips[0]);
        }
        if fence.text.contains("byok receipt") {
            verdicts.push(said);
        }
    }
    assert!(verdicts[0].contains("accepted by KMS"), "{}", verdicts[0]);
    assert!(verdicts[1].contains("proved in KMS"), "{}", verdicts[1]);
    assert_ne!(slips[0], slips[1]);
}

#[test]
fn every_command_for_oci_runs_in_its_order_and_is_accepted() {
    let Some(vault) = OciVault::start() else {
        skip("BYOK_TEST_VENV has no cryptography");
        return;
    };
    let Some(mut desk) = Desk::new(vault.env(), ENDPOINT, ENDPOINT) else {
        return;
    };
    let address = format!(" --address {}", vault.address());
    let mut told = String::new();
    for mut fence in fences("OCI Vault") {
        fence.text = with_address(&fence.text, "bash oci.sh ", &address);
        told = desk.run(&fence);
        if fence.section.starts_with("2.") {
            let slip = digest(&told);
            let answer = vault.told(&["wrapping-key", "get"]);
            let pem = answer["data"]["public-key"].as_str().unwrap();
            let stock = openssl(&["pkey", "-pubin", "-outform", "DER"], pem.as_bytes());
            assert_eq!(slip, sha256(&stock));
            let key = format!("{ENDPOINT}/{COMPARTMENT}/payments");
            desk.fills_in("oci", &key, &slip);
        }
    }
    assert!(told.contains("accepted by KMS"), "{told}");
    let keys = vault.told(&["key", "list", "--compartment-id", COMPARTMENT, "--all"]);
    let ocid = keys["data"][0]["id"].as_str().unwrap();
    let status = format!("bash oci.sh status {ENDPOINT}/{ocid}{address}");
    let output = desk.online(&status);
    well(&output);
    assert!(stdout(&output).contains("\"HSM\""), "{}", stdout(&output));
    refused(
        &desk.online("bash oci.sh status https://a/b"),
        2,
        &["by its OCID"],
    );
    for other in [
        "https://a.example.com",
        "https://evil.example/x-management.kms.r.oraclecloud.com",
        "https://evil.example:1-management.kms.r.oraclecloud.com",
        "http://x-management.kms.r.oraclecloud.com",
        "x-management.kms.r.oraclecloud.com",
    ] {
        let output = desk.online(&format!("bash oci.sh parameters {other} --out x"));
        refused(&output, 2, &["that is no endpoint of a vault"]);
    }
    // without a public key there is no slip, and no file
    let oci = "#!/bin/sh\necho '{\"data\": {\"public-key\": \"x\"}}'\n";
    desk.with_command("oci", oci);
    let output = desk.online(&format!(
        "bash oci.sh parameters {ENDPOINT} --out none.json"
    ));
    refused(&output, 1, &["there is no wrapping key"]);
    assert!(!desk.room.path("online/none.json").exists());
}

#[test]
fn the_script_for_google_waits_for_the_job_and_ends_a_version_by_its_whole_name() {
    let Some(kms) = CloudKms::start() else {
        skip("BYOK_TEST_VENV has no google-cloud-kms");
        return;
    };
    let Some(mut desk) = Desk::new(kms.env(), "a-project", "byok-tests") else {
        return;
    };
    let address = format!(" --address {}", kms.address());
    well(&desk.online(&format!(
        "bash google.sh job {RING}/importJobs/slow{address}"
    )));
    let parameters =
        format!("bash google.sh parameters {RING}/importJobs/slow --out job.json{address}");
    let says = "the job is not ACTIVE yet (PENDING_GENERATION): run this again";
    refused(&desk.online(&parameters), 1, &[says]);
    assert!(!desk.room.path("online/job.json").exists());
    let said = desk.online(&parameters);
    well(&said);
    digest(&stdout(&said));
    assert!(desk.room.path("online/job.json").exists());

    let version = format!("{}/cryptoKeyVersions/1", kms.key("payments"));
    let destroy = format!("bash google.sh destroy {version}{address}");
    let output = desk.online(&format!("printf 'payments\\n' | {destroy}"));
    refused(&output, 1, &["nothing was changed"]);
    assert!(stdout(&output).contains(&version), "{}", stdout(&output));

    // the sign-in and the Python of the environment reach gcloud, and nothing else does
    desk.with_command("gcloud", "#!/bin/sh\nenv | grep ^CLOUDSDK_ >told\n");
    let of_caller = "export CLOUDSDK_CONFIG=/c CLOUDSDK_ACTIVE_CONFIG_NAME=a CLOUDSDK_CORE_ACCOUNT=me \
        CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=token CLOUDSDK_PYTHON=/p CLOUDSDK_CORE_PROJECT=other";
    desk.online(&format!(
        "{of_caller}\nbash google.sh status {}",
        kms.key("payments")
    ));
    let told = fs::read_to_string(desk.room.path("online/told")).unwrap();
    let token = desk.room.path("online/token");
    for line in [
        "CLOUDSDK_CONFIG=/c",
        "CLOUDSDK_ACTIVE_CONFIG_NAME=a",
        "CLOUDSDK_CORE_ACCOUNT=me",
        &format!("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE={}", token.display()),
        "CLOUDSDK_PYTHON=/p",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    assert!(!told.contains("PROJECT"), "{told}");
}

/// The commands that begin so, with an option more.
fn with_address(text: &str, command: &str, address: &str) -> String {
    let told = |line: &str| match line.starts_with(command) {
        true => format!("{line}{address}\n"),
        false => format!("{line}\n"),
    };
    text.lines().map(told).collect()
}

/// A statement a line, of no more than a group, a verb, a kind and a compartment.
#[test]
fn the_statements_for_oci_are_about_vaults_and_keys_of_one_compartment() {
    let text = fs::read_to_string(folder().join("policies/oci-statements.txt")).unwrap();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [
            "Allow",
            "group",
            group,
            "to",
            verb,
            kind,
            "in",
            "compartment",
            "payments",
        ] = words[..]
        else {
            panic!("{line}");
        };
        assert!(
            group.starts_with("byok-") && ["vaults", "keys"].contains(&kind),
            "{line}"
        );
        let manages = verb == "manage";
        assert!(["read", "use", "manage"].contains(&verb), "{line}");
        assert_eq!(
            manages,
            group == "byok-importer" && kind == "keys",
            "{line}"
        );
    }
}

/// Checked for their form alone: there is no Azure here.
#[test]
fn the_roles_for_azure_name_data_actions_of_one_kind_and_nothing_else() {
    let mut roles = 0;
    for file in fs::read_dir(folder().join("policies")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(kind) = name.strip_prefix("azure-") else {
            continue;
        };
        let role: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let (actions, begins, empty) = match kind.starts_with("hsm-") {
            true => (
                "dataActions",
                "Microsoft.KeyVault/managedHsm/keys/",
                ["actions", "notActions", "notDataActions"],
            ),
            false => (
                "DataActions",
                "Microsoft.KeyVault/vaults/keys/",
                ["Actions", "NotActions", "NotDataActions"],
            ),
        };
        for list in empty {
            assert_eq!(role[list].as_array().unwrap().len(), 0, "{name}: {list}");
        }
        for action in role[actions].as_array().unwrap() {
            let action = action.as_str().unwrap();
            let of_keys = action.strip_prefix(begins);
            assert!(
                of_keys.is_some_and(|rest| !rest.contains('*')),
                "{name}: {action}"
            );
            let ends_keys = action.contains("delete") || action.contains("purge");
            assert!(
                !ends_keys || name.ends_with("destroyer.json"),
                "{name}: {action}"
            );
        }
        roles += 1;
    }
    assert_eq!(roles, 7);
}

/// As Google's roles are written for `gcloud iam roles create --file`.
#[test]
fn the_roles_for_google_name_permissions_of_cloud_kms_and_only_one_destroys() {
    let mut roles = 0;
    for file in fs::read_dir(folder().join("policies")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("google-") {
            continue;
        }
        let role: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for permission in role["includedPermissions"].as_array().unwrap() {
            let permission = permission.as_str().unwrap();
            let parts: Vec<&str> = permission.split('.').collect();
            let of = ["importJobs", "cryptoKeys", "cryptoKeyVersions"];
            assert!(
                parts.len() == 3 && parts[0] == "cloudkms" && of.contains(&parts[1]),
                "{permission}"
            );
            assert_eq!(
                parts[2] == "destroy",
                name.contains("destroyer") && parts[2] != "get",
                "{name}"
            );
            let makes_keys = permission == "cloudkms.cryptoKeys.create";
            assert!(!makes_keys || name.contains("administrator"), "{name}");
        }
        roles += 1;
    }
    assert_eq!(roles, 6);
}

/// Every block is run, and every command is of a kind that is.
#[test]
fn no_command_of_the_page_is_of_an_unknown_kind() {
    let all = fences_of(&page(), "### ");
    assert!(all.len() >= 14, "{}", all.len());
    for fence in all {
        for command in commands(&fence.text) {
            let known = match fence.place {
                Place::Room => ["byok ", "cp ", "mv ", "rm -r /media/stick/"].as_slice(),
                Place::Cloud => &["az ", "gcloud iam "],
                _ => &[
                    "bash transit.sh ",
                    "bash azure.sh ",
                    "bash google.sh ",
                    "bash oci.sh ",
                    "vault=",
                    "gcloud kms keys create ",
                    "rm /media/stick/",
                    "ring=",
                    "export BAO_ADDR=",
                    "bao ",
                    "cp ",
                    "mv ",
                    "mkdir ",
                    "key=",
                    "kek=",
                    "vault_key=",
                ],
            };
            assert!(
                known.iter().any(|with| command.starts_with(with)),
                "{command}"
            );
        }
    }
}
