//! `ceremony-scripts/RUNBOOK.md`, docs/first-ceremony.md and docs/escrow.md: every command of them, in its order, in a directory set up as it
//! says, with the real `online.sh`, the real AWS CLI, a KMS on the loopback, an HSM, and `byok`.
//!
//! The word after ```` ```sh ```` says where, or why not: see [`Place`]. `pages.rs` holds every page to that.

use crate::kms_on_loopback;
use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kms_on_loopback::{LoopbackKms, key_material_id_of};
use serde_json::Value;
use support::pty::Pty;
use support::{Kind, LABEL, PIN, Room, SHA_256, sha256, skip, stderr, stdout};

const SERVICES: &str = "kms,sts,iam,sns,monitoring,events,cloudtrail";
/// What the text changes from command to command.
const VARIABLES: &str = "region account key second primary topic";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `sh`: at the cloud operator's, or where the page says.
    Online,
    /// `sh room`: on the offline machine.
    Room,
    /// `sh dry`: what the KMS of the tests cannot do: printed by `--dry-run`, and each printed command judged by the
    /// AWS CLI's own validation of arguments.
    Dry,
    /// `sh build`: builds or tests byok itself. The scripts of the tests run it, not a test of the page.
    Build,
    /// `sh cloud`: with a vendor's command that is on no machine of the tests, or for its cloud alone: not run.
    Cloud,
    /// `sh root`: installs into the machine, or starts its daemons, as root: not run.
    Root,
}

/// What fences hold that is not for a shell.
pub(crate) const NO_COMMANDS: [&str; 2] = ["toml", "text"];

/// One block of commands.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    pub section: String,
    pub place: Place,
    pub text: String,
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn runbook() -> String {
    fs::read_to_string(root().join("ceremony-scripts/RUNBOOK.md")).unwrap()
}

fn fences() -> Vec<Fence> {
    fences_of(&runbook(), "## ")
}

/// The blocks of commands of a page, each with the heading of this depth above it.
pub(crate) fn fences_of(page: &str, heading: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let (mut section, mut open) = (String::new(), None::<Fence>);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) if NO_COMMANDS.contains(&info) => {
                let ends = lines.by_ref().any(|line| line == "```");
                assert!(ends, "a block that does not end");
            }
            (None, Some(info)) => {
                let place = match info {
                    "sh" => Place::Online,
                    "sh room" => Place::Room,
                    "sh dry" => Place::Dry,
                    "sh build" => Place::Build,
                    "sh cloud" => Place::Cloud,
                    "sh root" => Place::Root,
                    other => panic!("a block of an unknown kind: {other:?}"),
                };
                let (section, text) = (section.clone(), String::new());
                open = Some(Fence {
                    section,
                    place,
                    text,
                });
            }
            (Some(_), Some(rest)) => {
                assert_eq!(rest, "", "{section}");
                found.extend(open.take());
            }
            (Some(fence), None) => fence.text += &format!("{line}\n"),
            (None, None) => {
                if let Some(title) = line.strip_prefix(heading) {
                    title.clone_into(&mut section);
                }
            }
        }
    }
    assert!(open.is_none(), "a block that does not end");
    found
}

/// The commands of a block, loops opened up, assignments by the name of their variable.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let lines = text.replace("\\\n", " ").replace("&&\n", "&& ");
    let trimmed = lines.lines().map(str::trim).filter(|l| !l.is_empty());
    let plain = trimmed.filter(|l| !l.starts_with("for ") && *l != "done");
    plain.map(str::to_owned).collect()
}

/// The kinds of commands that this test knows how to run, and where.
fn is_known(place: Place, command: &str) -> bool {
    let begins = |with: &[&str]| with.iter().any(|word| command.starts_with(word));
    let assigns = command
        .split_once('=')
        .is_some_and(|(name, _)| VARIABLES.split(' ').any(|known| known == name));
    match place {
        Place::Room => begins(&["byok ", "cp -r ", "mv ", "rm -r /media/stick/"]),
        Place::Dry => begins(&["bash online.sh "]),
        Place::Build | Place::Cloud | Place::Root => false,
        Place::Online => {
            assigns
                || begins(&[
                    "bash online.sh ",
                    "aws ",
                    "openssl ",
                    "sha256sum ",
                    "(cd inputs && sha256sum ",
                    "sed ",
                    "cp ",
                    "mv ",
                ])
        }
    }
}

#[test]
fn every_command_is_of_a_kind_that_is_run() {
    let fences = fences();
    assert!(fences.len() >= 25, "{}", fences.len());
    for fence in &fences {
        let commands = commands(&fence.text);
        assert!(!commands.is_empty(), "{}: an empty block", fence.section);
        for command in commands {
            assert!(
                is_known(fence.place, &command),
                "{}: {command}",
                fence.section
            );
        }
    }
    let dry: Vec<_> = fences.iter().filter(|f| f.place == Place::Dry).collect();
    let all_rotate = |f: &&Fence| f.text.lines().all(|l| l.contains(" rotate "));
    assert!(
        dry.iter().all(all_rotate),
        "what the KMS can do is not only printed: {dry:?}"
    );
}

#[test]
fn every_verb_of_online_sh_has_its_place() {
    let help = Command::new("bash")
        .arg(root().join("ceremony-scripts/online.sh"))
        .arg("--help")
        .output()
        .unwrap();
    let help = stdout(&help);
    let rows = help.lines().filter_map(|line| line.strip_prefix("  "));
    let rows = rows.filter(|row| row.starts_with(|c: char| c.is_ascii_lowercase()));
    let verbs: Vec<String> = rows
        .filter_map(|row| row.split_once("  "))
        .flat_map(|(verbs, _)| verbs.split(", ").map(str::to_owned))
        .collect();
    assert!(verbs.len() >= 15, "{verbs:?}");
    let all: String = fences().iter().map(|f| f.text.clone()).collect();
    for verb in &verbs {
        let used = all.contains(&format!("online.sh {verb}"));
        assert!(used, "RUNBOOK.md does not use {verb}");
    }
}

#[test]
fn what_is_left_out_is_left_out_by_name_and_nothing_deletes_before_a_reimport() {
    let text = runbook();
    for name in [
        "Automatic rotation",
        "AWS_KMS",
        "Custom key stores",
        "ML_DSA",
    ] {
        let (_, out) = text.split_once("## Not here").unwrap();
        assert!(out.contains(name), "{name}");
    }
    let reimport = fences()
        .into_iter()
        .filter(|f| f.section.contains("Reimport"));
    let commands: String = reimport.map(|f| f.text).collect();
    assert!(commands.contains("online.sh import"));
    assert!(!commands.contains("delete"), "{commands}");
}

/// Both ends of the stick.
struct Desk {
    kms: LoopbackKms,
    room: Room,
}

impl Desk {
    fn new() -> Option<Self> {
        let Some(kms) = LoopbackKms::start_with(SERVICES) else {
            skip("BYOK_TEST_VENV is not set");
            return None;
        };
        let kind = [Kind::Kryoptic, Kind::SoftHsm]
            .into_iter()
            .find(|kind| kind.module().is_some())?;
        let room = Room::new(kind)?;
        fs::remove_dir_all(room.path("inputs")).unwrap(); // it comes on the stick
        for folder in ["online", "online/policies", "stick"] {
            fs::create_dir(room.path(folder)).unwrap();
        }
        let scripts = root().join("ceremony-scripts");
        fs::copy(scripts.join("online.sh"), room.path("online/online.sh")).unwrap();
        for file in fs::read_dir(scripts.join("policies")).unwrap() {
            let file = file.unwrap();
            let to = room.path("online/policies").join(file.file_name());
            fs::copy(file.path(), to).unwrap();
        }
        fs::write(room.path("vars"), "").unwrap();
        Some(Self { kms, room })
    }

    /// The text's variables, as they stand now.
    fn variables(&self) -> BTreeMap<String, String> {
        let told = fs::read_to_string(self.room.path("vars")).unwrap();
        let each = told.lines().filter_map(|l| l.strip_prefix("declare -- "));
        let each = each.filter_map(|l| l.split_once('='));
        each.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect()
    }

    fn variable(&self, name: &str) -> String {
        self.variables()[name].clone()
    }

    /// What is typed: yes to an import; where a key's id is asked for, that of the key in the command.
    fn typed(&self, text: &str) -> String {
        if text.contains("online.sh import") || text.contains("bash import.sh") {
            return "yes\n".to_owned();
        }
        let asks = |l: &&str| l.contains("delete-material") || l.contains("schedule-deletion");
        let Some(line) = text.lines().find(asks) else {
            return String::new();
        };
        let name = line.split("--key \"$").nth(1).unwrap();
        let arn = self.variable(name.split('"').next().unwrap());
        format!("{}\n", arn.rsplit('/').next().unwrap())
    }

    fn run(&self, fence: &Fence) -> String {
        match fence.place {
            Place::Online => self.online(&fence.section, &fence.text),
            Place::Room => self.in_the_room(&fence.section, &fence.text),
            Place::Dry => self.judged(&fence.section, &fence.text),
            Place::Build | Place::Cloud | Place::Root => panic!("{}: not for here", fence.section),
        }
    }

    fn online(&self, section: &str, text: &str) -> String {
        let vars = self.room.path("vars");
        // Only the command line says where AWS is; the fences' own aws commands take it from the environment.
        let here = format!("--endpoint-url {} ", self.kms.endpoint());
        let script = format!(
            "set -euo pipefail\n. {vars}\n{}\ndeclare -p {VARIABLES} >{vars} 2>/dev/null || true\n",
            text.replace(
                "/media/stick",
                &self.room.path("stick").display().to_string()
            )
            .replace("bash online.sh ", &format!("bash online.sh {here}"))
            .replace("bash import.sh ", &format!("bash import.sh {here}")),
            vars = vars.display(),
        );
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).env_clear().envs(self.kms.env());
        bash.env("AWS_ENDPOINT_URL", self.kms.endpoint());
        bash.env("BASH_COMPAT", "3.2");
        bash.current_dir(self.room.path("online"));
        succeeded(section, text, &with_input(bash, &self.typed(text)))
    }

    fn in_the_room(&self, section: &str, text: &str) -> String {
        let script = text
            .replace(
                "/media/stick",
                &self.room.path("stick").display().to_string(),
            )
            .replace(
                "/usr/lib/softhsm/libsofthsm2.so",
                &self.room.module.display().to_string(),
            )
            .lines()
            .map(|line| match line.strip_prefix("byok run ") {
                // nobody is there to type Yes
                Some(plan) => {
                    format!("byok run {plan} --approve $(sha256sum < {plan} | cut -c 1-64)\n")
                }
                None => format!("{line}\n"),
            })
            .collect::<String>();
        succeeded(section, text, &with_input(self.offline(&script), ""))
    }

    /// The shell of the offline machine.
    fn offline(&self, script: &str) -> Command {
        let byok = Path::new(support::program()).parent().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("set -euo pipefail\n{script}")]);
        bash.env_clear().envs(self.room.env.iter().cloned());
        bash.env("PATH", format!("{}:/usr/bin:/bin", byok.display()));
        bash.env("HOME", self.room.dir.path());
        bash.current_dir(self.room.dir.path());
        bash
    }

    /// Prints what would run, and has the AWS CLI judge each printed command: with arguments that it
    /// takes, all that is left is that nobody answers.
    fn judged(&self, section: &str, text: &str) -> String {
        let dry = text.replace("bash online.sh ", "bash online.sh --dry-run ");
        let endpoint = format!(" --endpoint-url {}", self.kms.endpoint());
        let printed = self.online(section, &dry).replace(&endpoint, "");
        let mut judged = 0;
        for command in printed.lines().filter(|line| line.starts_with("aws ")) {
            assert!(
                is_taken(&self.kms, command, &self.room.path("online")),
                "{section}: {command}"
            );
            judged += 1;
        }
        assert!(judged > 0, "{section}: nothing printed:\n{printed}");
        printed
    }

    /// A plan as somebody leaves it who read every line and corrected it.
    fn correct_plan(&self, name: &str, directory: &str, more: &[(&str, &str)]) {
        let path = self.room.path(name);
        let mut plan = fs::read_to_string(&path).unwrap();
        let quoted = |text: &str| format!("\"{text}\"");
        let wrap_in = if self.room.kind.wraps_sha_256() {
            "hsm"
        } else {
            "host"
        };
        let mut lines = vec![
            ("network", quoted("allowed")),
            ("pin", quoted("file:pin")),
            ("wrapping", quoted(SHA_256)),
            ("wrap_in", quoted(wrap_in)),
            ("directory", quoted(directory)),
            ("parameters", quoted("inputs/eu-west-1.json")),
            ("wrapping_key_sha256", quoted(&self.slip())),
        ];
        lines.extend(more.iter().map(|(field, value)| (*field, quoted(value))));
        for (field, value) in lines {
            plan = with_field(&plan, field, &value);
        }
        fs::write(path, plan).unwrap();
    }

    /// The wrapping key's digest from the slip of the online side, as a program reads it there.
    fn slip(&self) -> String {
        let slip = fs::read_to_string(self.room.path("online/inputs/slip.txt")).unwrap();
        let (_, rows) = slip.split_once("WRAPPING KEY in").unwrap();
        let rows = rows.lines().filter_map(|l| l.trim().strip_prefix("row "));
        let halves = rows.take(8).map(|row| {
            let words: Vec<&str> = row.split_whitespace().collect();
            format!("{}{}", words[1], words[2])
        });
        halves.collect()
    }

    fn state(&self, variable: &str) -> String {
        let arn = self.variable(variable);
        let told = self
            .kms
            .aws_text(&["kms", "describe-key", "--key-id", &arn]);
        let told: Value = serde_json::from_str(&told).unwrap();
        told["KeyMetadata"]["KeyState"].as_str().unwrap().to_owned()
    }

    /// The KMS holds exactly the data key that the HSM holds.
    fn holds_the_data_key(&self) {
        let hex = self.room.token(&["take", "ceremony", PIN, LABEL]);
        let digits = hex.trim();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let key: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        let arn = self.variable("key");
        assert_eq!(
            self.kms.key_material_id(&arn),
            Some(key_material_id_of(&key, &arn))
        );
    }

    /// What "steps 4 to 7 for this key" stands for where the text does not repeat them: some material
    /// under the wrapping key, by openssl.
    fn import_something(&self, variable: &str) {
        let arn = self.variable(variable);
        let told = self.kms.parameters(&arn, SHA_256, "RSA_2048");
        let told: Value = serde_json::from_str(&told).unwrap();
        let bytes = |field: &str| {
            let text = format!("{}\n", told[field].as_str().unwrap());
            support::openssl(&["base64", "-d", "-A"], text.as_bytes())
        };
        let file = |name: &str| self.room.path(name).display().to_string();
        fs::write(file("wrapping-key"), bytes("PublicKey")).unwrap();
        fs::write(file("token"), bytes("ImportToken")).unwrap();
        let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256";
        let key = file("wrapping-key");
        let mut args = vec![
            "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", &key,
        ];
        args.extend(oaep.split(' '));
        fs::write(file("wrapped"), support::openssl(&args, &[7; 32])).unwrap();
        let [wrapped, token] = ["wrapped", "token"].map(|name| format!("fileb://{}", file(name)));
        self.kms.aws_text(&[
            "kms",
            "import-key-material",
            "--key-id",
            &arn,
            "--encrypted-key-material",
            &wrapped,
            "--import-token",
            &token,
            "--expiration-model",
            "KEY_MATERIAL_DOES_NOT_EXPIRE",
        ]);
    }

    fn make_the_roles(&self) {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}"#;
        for role in
            "administrator parameters importer prover rotator destroyer watcher auditor".split(' ')
        {
            let name = format!("byok-{role}");
            let with = ["--role-name", &name, "--assume-role-policy-document", trust];
            self.kms
                .aws_text(&[&["iam", "create-role"], &with[..]].concat());
        }
    }
}

/// Whether the AWS CLI takes these arguments; nothing is sent to anybody.
pub(crate) fn is_taken(kms: &LoopbackKms, command: &str, folder: &Path) -> bool {
    let mut bash = Command::new("bash");
    bash.args(["-c", command]).env_clear().envs(kms.env());
    bash.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    bash.env("AWS_MAX_ATTEMPTS", "1").current_dir(folder);
    let output = with_input(bash, "");
    !output.status.success() && stderr(&output).contains("Could not connect to the endpoint")
}

/// The plan with this field; a commented or absent one of an import stands after its `wrapping`.
pub(crate) fn with_field(plan: &str, field: &str, value: &str) -> String {
    let is_it = |line: &str| {
        let line = line.trim_start_matches(['#', ' ']);
        line.strip_prefix(field)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut done = false;
    let mut lines: Vec<String> = Vec::new();
    for line in plan.lines() {
        if is_it(line) && !done {
            lines.push(format!("{field} = {value}"));
            done = true;
        } else {
            lines.push(line.to_owned());
        }
    }
    if !done {
        let at = lines
            .iter()
            .position(|l| l.starts_with("wrapping"))
            .unwrap();
        lines.insert(at + 1, format!("{field} = {value}"));
    }
    lines.join("\n") + "\n"
}

pub(crate) fn with_input(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input.as_bytes()); // who asks nothing may be gone already
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[track_caller]
pub(crate) fn succeeded(section: &str, text: &str, output: &Output) -> String {
    let said = stdout(output);
    assert!(
        output.status.success(),
        "{section}:\n{text}\n{said}\n{}",
        stderr(output)
    );
    said + &stderr(output)
}

/// The blocks of one section; `part` of them where the test acts in between.
fn of<'a>(fences: &'a [Fence], section: &str) -> Vec<&'a Fence> {
    let found: Vec<_> = fences
        .iter()
        .filter(|f| f.section.split(' ').next() == Some(section))
        .collect();
    assert!(!found.is_empty(), "no section {section}");
    found
}

const FIRST: &str = "records/2026-11-22-payments";
const SECOND: &str = "records/2027-10-20-payments";

/// What a reimport does; done a second time, its names move on.
fn reimport(desk: &Desk, fences: &[Fence], again: bool) {
    let (from, to) = if again {
        (SECOND, "records/2027-12-01-payments")
    } else {
        (FIRST, SECOND)
    };
    let next = |fence: &Fence| {
        let mut fence = fence.clone();
        if again {
            let moved = [
                (SECOND, to),
                (FIRST, SECOND),
                ("inputs-used", "inputs-used-2"),
                ("payments-2026-used", "payments-2026-used-2"),
                ("inputs-again", "inputs-once-more"),
                ("again.toml", "once-more.toml"),
            ];
            for (old, new) in moved {
                fence.text = fence.text.replace(old, new);
            }
        }
        fence
    };
    let plan = if again {
        "once-more.toml"
    } else {
        "again.toml"
    };
    let head = sha256(&fs::read(desk.room.path(from).join("transcript.jsonl")).unwrap());
    for fence in of(fences, "9.") {
        let fence = next(fence);
        let Some((before, after)) = fence.text.split_once(&format!("byok check {plan}\n")) else {
            desk.run(&fence);
            continue;
        };
        desk.in_the_room(&fence.section, before);
        desk.correct_plan(plan, to, &[("expires", "never")]);
        let text = fs::read_to_string(desk.room.path(plan)).unwrap();
        let text = with_field(&text, "previous_head", &format!("\"{head}\"")); // from paper
        fs::write(desk.room.path(plan), text).unwrap();
        desk.in_the_room(&fence.section, &format!("byok check {plan}\n{after}"));
    }
    assert_eq!(desk.state("key"), "Enabled");
    desk.holds_the_data_key();
}

/// Everything that the first key goes through, in the order of the text.
const FIRST_KEY: [&str; 14] = [
    "Whose", "1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.", "9.", "10.", "9.", "12.", "16.",
];
/// What other keys go through; beside the first, to be quicker.
const OTHER_KEYS: [&str; 7] = ["Whose", "2.", "3.", "11.", "13.", "14.", "15."];

#[test]
fn no_section_with_commands_is_left_out() {
    for fence in fences() {
        let number = fence.section.split(' ').next().unwrap();
        let runs = FIRST_KEY.contains(&number) || OTHER_KEYS.contains(&number);
        assert!(runs, "{}: nobody runs its commands", fence.section);
    }
}

#[test]
fn every_command_runs_in_its_order_and_the_kms_holds_the_data_key() {
    let Some(desk) = Desk::new() else {
        return;
    };
    let fences = fences();
    desk.make_the_roles();
    for (at, section) in FIRST_KEY.into_iter().enumerate() {
        let blocks = of(&fences, section);
        match section {
            "5." => wrapped_in_the_room(&desk, &blocks),
            "9." => reimport(&desk, &fences, at > 10),
            "16." => ended(&desk, &blocks),
            section => {
                let said: String = blocks.iter().map(|block| desk.run(block)).collect();
                as_it_says(&desk, section, &said);
            }
        }
    }
}

/// What a section promises, beyond that its commands succeed.
fn as_it_says(desk: &Desk, section: &str, said: &str) {
    let expected: &[&str] = match section {
        "3." => &["alias/payments"],
        "4." => &["WRAPPING KEY in eu-west-1.json", &desk.slip()], // openssl sees the slip's key
        "6." => &["IMPORTED into arn:aws:kms:eu-west-1:"],
        "7." => &["does NOT show which material"],
        "8." => &["email keys@example.com"],
        "12." => &["aws kms list-key-rotations", "aws kms rotate-key-on-demand"],
        _ => &[],
    };
    for text in expected {
        assert!(said.contains(text), "{section}: no {text:?} in:\n{said}");
    }
    match section {
        "2." | "10." => assert_eq!(desk.state("key"), "PendingImport"),
        "6." => desk.holds_the_data_key(),
        "8." => {
            let alarms = desk.kms.aws_text(&["cloudwatch", "describe-alarms"]);
            assert!(alarms.contains("LessThanThreshold"), "{alarms}");
            assert!(alarms.contains("2592000"), "{alarms}");
        }
        _ => {}
    }
}

fn wrapped_in_the_room(desk: &Desk, blocks: &[&Fence]) {
    let [plan, ceremony] = blocks else {
        panic!("two blocks in step 5")
    };
    desk.run(plan);
    let expires = support::now() as i64 + 300 * 86_400;
    let expires = jiff::Timestamp::from_second(expires).unwrap().to_string();
    desk.correct_plan("plan.toml", FIRST, &[("expires", &expires)]);
    desk.run(ceremony);
}

#[test]
fn the_commands_for_other_keys_run_too() {
    let Some(desk) = Desk::new() else {
        return;
    };
    let fences = fences();
    for section in OTHER_KEYS {
        let said = match (section, &of(&fences, section)[..]) {
            ("11.", [made, alias]) => {
                desk.run(made);
                desk.import_something("second");
                desk.run(alias)
            }
            ("13.", [made, replica]) => {
                desk.run(made);
                desk.import_something("primary");
                desk.run(replica)
            }
            (_, blocks) => blocks.iter().map(|block| desk.run(block)).collect(),
        };
        match section {
            "11." => assert!(said.contains("before   alias/payments"), "{said}"),
            "13." => assert!(said.contains("arn:aws:kms:eu-central-1:"), "{said}"),
            "14." | "15." => assert_eq!(desk.state("second"), "Enabled"),
            _ => {}
        }
    }
}

#[test]
fn what_is_only_printed_is_judged_by_the_aws_cli() {
    let Some(kms) = LoopbackKms::start() else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let with = |more: &str| format!("aws kms rotate-key-on-demand --region eu-west-1 {more}");
    assert!(is_taken(&kms, &with("--key-id 1234abcd"), &root()));
    for bad in [
        "",
        "--key-idd 1234abcd",
        "--key-id ''",
        "--key-id 1234abcd --now",
    ] {
        assert!(!is_taken(&kms, &with(bad), &root()), "{bad}");
    }
}

/// The end: the key in KMS, then the data key in the HSM.
fn ended(desk: &Desk, blocks: &[&Fence]) {
    let [online, room] = blocks else {
        panic!("two blocks in step 16")
    };
    desk.run(online);
    assert_eq!(desk.state("key"), "PendingDeletion");
    destroyed(desk, room);
}

/// The plan of the end, as the example has it.
fn destroyed(desk: &Desk, room: &Fence) {
    let example = fs::read_to_string(root().join("examples/destroy.toml")).unwrap();
    let newest = "records/2027-12-01-payments";
    let head = sha256(&fs::read(desk.room.path(newest).join("transcript.jsonl")).unwrap());
    let previous = format!("previous = \"{newest}\"\nprevious_head = \"{head}\"");
    let module = desk.room.module.display().to_string();
    let plan = example
        .replace(&format!("previous = \"{NEW}\""), &previous)
        .replace("/usr/lib/softhsm/libsofthsm2.so", &module)
        .replace(
            "[\"SOFTHSM2_CONF\"]",
            "[\"SOFTHSM2_CONF\", \"KRYOPTIC_CONF\"]",
        )
        .replace(
            "\n[[key]]",
            "pin    = \"file:pin\"\n\n[machine]\nnetwork = \"allowed\"\n\n[[key]]",
        )
        .replace("2030-01-15", "2028-01-10")
        .replace("witnesses = [\"Internal audit\"]\n", ""); // nobody is there: it runs unattended
    fs::write(desk.room.path("destroy.toml"), plan).unwrap();
    desk.run(room);
    assert_eq!(desk.room.objects(), [""; 0]);
}

// ---- docs/first-ceremony.md, and docs/escrow.md after it ----

const NEW: &str = "records/2026-11-22-payments-2026";

/// The blocks of a page below `docs`.
pub(crate) fn fences_in(page: &str) -> Vec<Fence> {
    let page = fs::read_to_string(root().join("docs").join(page)).unwrap();
    fences_of(&page, "## ")
}

/// What stands in the pages for what everybody has otherwise.
fn as_here(desk: &Desk, text: &str) -> String {
    let room = |path: &str| desk.room.path(path).display().to_string();
    let mut text = text
        .replace(
            "/path/to/the/vendors/pkcs11.so",
            &desk.room.module.display().to_string(),
        )
        .replace("/media/usb1", &room("usb1"))
        .replace(
            "ceremony-scripts/",
            &format!("{}/ceremony-scripts/", root().display()),
        )
        .replace("records/2027-11-20-payments-2026", NEW); // a year has not passed
    if let Ok(told) = fs::read_to_string(desk.room.path("online/payments.describe-key.json")) {
        let told: Value = serde_json::from_str(&told).unwrap();
        text = text.replace(
            " ARN",
            &format!(" {}", told["KeyMetadata"]["Arn"].as_str().unwrap()),
        );
    }
    if let Ok(transcript) = fs::read(desk.room.path(NEW).join("transcript.jsonl")) {
        text = text.replace("ROW1 ROW2 ROW3", &sha256(&transcript)[..24]);
    }
    text
}

#[test]
fn the_first_ceremony_and_the_years_after_it_can_be_walked_in_their_order() {
    let Some(desk) = Desk::new() else {
        return;
    };
    let (mut days, mut walked) = (Vec::new(), 0);
    for fence in fences_in("first-ceremony.md") {
        if !days.contains(&fence.section) {
            days.push(fence.section.clone());
        }
        let text = as_here(&desk, &fence.text);
        let day = fence.section.split([' ', ':']).next().unwrap();
        walked += 1;
        match (day, fence.place) {
            ("T-8", Place::Room) => doctor(&desk, &text),
            ("T-7", Place::Room) => week_before(&desk, &text),
            ("T-1", Place::Online) => day_before(&desk, &text),
            ("T-0", Place::Room) if text.contains("byok run") => the_room(&desk, &text),
            ("At", Place::Online) => {
                let folder = desk.room.path(NEW).join(LABEL);
                copy(&folder, &desk.room.path("online").join(LABEL));
                desk.online(day, &text);
                let result = format!("online/{LABEL}/eu-west-1/import-result.json");
                fs::copy(
                    desk.room.path(&result),
                    desk.room.path("import-result.json"),
                )
                .unwrap();
            }
            (_, Place::Online) => {
                desk.online(day, &text);
            }
            _ => {
                desk.in_the_room(day, &text);
            }
        }
    }
    assert!(walked >= 15, "{walked}");
    let order: Vec<&str> = days
        .iter()
        .filter_map(|day| day.split([' ', ':']).next())
        .collect();
    assert_eq!(order, ["T-8", "T-7", "T-1", "T-0", "At", "T+1"]);
    for page in ["escrow.md", "command-line.md"] {
        years_after(&desk, page);
    }
}

/// Each command alone, at a terminal, and what it must say.
fn years_after(desk: &Desk, page: &str) {
    let who = " Custodians, with commas between them (Enter: as before): ";
    let why = " Why they stay in use (Enter: new shares are dealt): ";
    for fence in fences_in(page) {
        assert_eq!(fence.place, Place::Room, "{}", fence.section);
        let text = as_here(desk, &fence.text);
        for command in text.lines() {
            if command.ends_with("| more") {
                let said = desk.in_the_room(page, command); // without a terminal it is cat
                assert!(
                    said.lines().all(|line| line.chars().count() <= 80),
                    "{said}"
                );
                continue;
            }
            let mut pty = Pty::start(desk.offline(command));
            let mut words = command
                .split(' ')
                .skip_while(|word| *word != "byok")
                .skip(1);
            let says = match (words.next().unwrap(), words.next().unwrap()) {
                ("share", _) => {
                    pty.answer("only you look: ", "");
                    for (at, word) in desk.room.share("02-Audit.txt").split(' ').enumerate() {
                        pty.answer(&format!("row {:>2} of 33: ", at + 1), word);
                    }
                    "share 2 of 5, Audit"
                }
                ("plan", "--recover") => {
                    pty.answer(why, "nobody left");
                    "recover.toml"
                }
                ("plan", "--new-shares") => {
                    pty.answer(who, "");
                    pty.answer(" How many of these 5 are needed: ", "3");
                    "new-shares.toml"
                }
                ("plan", "--reimport") => ".toml",
                ("due", _) => "WHICH IS NOT AWS", // the KMS of the tests: to be imported still
                ("verify", _) => "life of the data key payments-2026",
                other => panic!("{other:?}"),
            };
            let ended = pty.end();
            let due = command.contains("byok due ");
            assert_eq!(ended.code, Some(due.into()), "{command}: {}", ended.screen);
            assert!(ended.screen.contains(says), "{command}: {}", ended.screen);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    assert!(cp.arg("-r").args([from, to]).status().unwrap().success());
}

fn doctor(desk: &Desk, text: &str) {
    let mut pty = Pty::start(desk.offline(text));
    pty.answer("(nothing is shown while you type): ", PIN);
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
}

/// The plan comes from the answer of DescribeKey alone: there are no parameters yet.
fn week_before(desk: &Desk, text: &str) {
    let room = &desk.room;
    assert!(!room.path("inputs").exists());
    for command in text.replace("\\\n", " ").lines() {
        match command.split_whitespace().nth(1).unwrap() {
            "plan" => {
                let told = "payments.describe-key.json";
                fs::copy(room.path("online").join(told), room.path(told)).unwrap();
                desk.in_the_room("T-7", command);
                let plan = fs::read_to_string(room.path("plan.toml")).unwrap();
                assert!(
                    plan.contains("parameters = \"inputs/eu-west-1.json\""),
                    "{plan}"
                );
                assert!(plan.contains("threshold  = 3"), "{plan}");
                corrected(
                    room,
                    &[
                        ("network", "allowed"),
                        ("pin", "file:pin"),
                        ("directory", NEW),
                    ],
                );
                corrected(room, &[("deliver", "files:shares"), ("wrapping", SHA_256)]);
            }
            "check" => {
                let output = with_input(desk.offline(command), "");
                let said = stdout(&output);
                assert_eq!(output.status.code(), Some(2), "{said}");
                assert!(
                    said.contains("not yet  ") && said.contains("[PARAMETERS-PRESENT]"),
                    "{said}"
                );
                let last = "would not start: 1 not yet there\n";
                assert!(said.ends_with(last), "{said}{}", stderr(&output));
            }
            "rehearse" => {
                let Some(module) = Kind::SoftHsm.module() else {
                    continue;
                };
                let command = format!("{command} --module {}", module.display());
                let mut pty = Pty::start(desk.offline(&command));
                pty.expect(" page "); // the first of its practice papers
            }
            _ => {
                desk.in_the_room("T-7", command);
            }
        }
    }
}

fn corrected(room: &Room, fields: &[(&str, &str)]) {
    let mut plan = fs::read_to_string(room.path("plan.toml")).unwrap();
    for (field, value) in fields {
        plan = with_field(&plan, field, &format!("\"{value}\""));
    }
    fs::write(room.path("plan.toml"), plan).unwrap();
}

/// The download by hand is judged by the AWS CLI: a second one would make the first worth nothing.
fn day_before(desk: &Desk, text: &str) {
    if text.starts_with("aws ") {
        let (command, file) = text.rsplit_once("> ").unwrap();
        assert_eq!(file.trim(), "inputs/eu-west-1.json");
        let online = desk.room.path("online");
        assert!(is_taken(&desk.kms, command.trim(), &online), "{command}");
        return;
    }
    let said = desk.online("T-1", text);
    // What stock tools show is what the slip says.
    let slip = fs::read_to_string(desk.room.path("online/inputs/slip.txt")).unwrap();
    for row in said.lines().filter(|line| line.contains('\t')) {
        let digits = row.split('\t').nth(1).unwrap();
        let (left, right) = digits.split_at(4);
        assert!(slip.contains(&format!("{left} {right}")), "{row}\n{slip}");
    }
}

fn the_room(desk: &Desk, text: &str) {
    copy(&desk.room.path("online/inputs"), &desk.room.path("inputs"));
    fs::remove_file(desk.room.path("inputs/slip.txt")).unwrap(); // in somebody else's pocket
    fs::create_dir(desk.room.path("usb1")).unwrap();
    corrected(&desk.room, &[("wrapping_key_sha256", &desk.slip())]); // nobody is there to compare rows
    let said = desk.in_the_room("T-0", text);
    assert!(said.contains("ready: byok run would start"), "{said}");
}
