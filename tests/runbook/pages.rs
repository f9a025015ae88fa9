//! Every block of every page: its commands are run by a test, or the word in its fence says why not. The blocks that no
//! other test walks are run here.

use crate::kms_on_loopback::LoopbackKms;
use crate::kms_on_loopback::bao::Bao;
use crate::runbook::{
    Fence, NO_COMMANDS, Place, commands, fences_in, fences_of, is_taken, root, succeeded,
};
use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::pty::Pty;
use support::{ARN, Kind, PIN, Room, openssl, sha256, skip, stdout};

/// Who runs a page's blocks that are to be run, and how many those are: a further block is a further entry, or a longer test.
const RUN: [(&str, usize, &[&str]); 19] = [
    (
        "ceremony-scripts/RUNBOOK.md",
        33,
        &[
            "runbook/runbook: every_command_runs_in_its_order_and_the_kms_holds_the_data_key",
            "runbook/runbook: the_commands_for_other_keys_run_too",
        ],
    ),
    (
        "ceremony-scripts/online/RUNBOOK.md",
        31,
        &[
            "runbook/by_target: every_command_for_openbao_runs_in_its_order_and_old_ciphertext_opens_after_a_reimport",
            "runbook/by_target: every_command_for_azure_runs_in_its_order_and_the_vault_holds_the_data_key",
            "runbook/by_target: every_command_for_google_runs_in_its_order_and_the_version_takes_the_same_material_back",
            "runbook/by_target: every_command_for_oci_runs_in_its_order_and_is_accepted",
        ],
    ),
    (
        "docs/check-values.md",
        6,
        &["specs/specs_escrow: the_commands_of_the_page_on_check_values_make_its_numbers"],
    ),
    ("docs/command-line.md", 1, &[WALK]),
    (
        "docs/due.md",
        1,
        &["runbook/pages: what_is_due_is_told_as_the_page_says"],
    ),
    ("docs/escrow.md", 6, &[WALK]),
    ("docs/first-ceremony.md", 16, &[WALK]),
    (
        "docs/for-auditors.md",
        11,
        &[
            "laws/documents: the_auditors_commands_answer_from_a_record_alone",
            "laws/documents: the_auditors_commands_answer_where_the_old_shares_still_serve",
        ],
    ),
    (
        "docs/hsms.md",
        2,
        &["runbook/pages: the_doctor_looks_at_an_hsm_as_the_page_says"],
    ),
    (
        "docs/receipts.md",
        2,
        &[
            "online/receipts: receipts_hold_by_stock_tools_as_the_documentation_says",
            "runbook/pages: the_commands_that_list_materials_are_taken_by_the_aws_cli",
        ],
    ),
    (
        "docs/recovery-without-byok.md",
        12,
        &[
            "escrow/recovery_without_byok: the_documents_commands_bring_the_data_key_back_to_kms",
            "escrow/recovery_without_byok: the_script_goes_on_where_the_page_s_own_step_2_ended_and_asks_again_what_is_mistyped",
        ],
    ),
    (
        "docs/rehearsal.md",
        1,
        &["runbook/pages: a_plan_is_practised_as_the_page_says"],
    ),
    (
        "docs/targets.md",
        1,
        &["runbook/pages: the_wrapping_key_of_openbao_comes_with_the_digest_of_the_slip"],
    ),
    (
        "docs/transcript-format.md",
        4,
        &[
            "verdicts/both_verifiers: the_documents_commands_see_what_both_see",
            "runbook/pages: a_witness_signs_and_the_known_answers_hold_as_the_page_says",
        ],
    ),
    (
        "docs/trial-on-softhsm.md",
        8,
        &["laws/documents: the_trial_on_softhsm_can_be_walked_as_it_stands"],
    ),
    (
        "docs/without-people.md",
        1,
        &["runbook/pages: a_ceremony_runs_without_people_as_the_page_says"],
    ),
    (
        "docs/building.md",
        1,
        &["runbook/pages: the_bundle_is_unpacked_by_the_commands_of_its_own_test"],
    ),
    (
        "docs/releases.md",
        5,
        &["laws/release: a_release_is_named_committed_signed_and_checked_as_its_page_says"],
    ),
    (
        "softhsm-config/README.md",
        2,
        &["runbook/pages: a_token_is_made_as_the_page_says"],
    ),
];
const WALK: &str =
    "runbook/runbook: the_first_ceremony_and_the_years_after_it_can_be_walked_in_their_order";

/// Every page of the tree.
fn pages() -> Vec<String> {
    fn below(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                below(&path, found);
            } else if name.ends_with(".md") {
                let path = path.strip_prefix(root()).unwrap();
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    below(&root(), &mut found);
    assert!(found.len() > 25, "{found:?}");
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn is_run(fence: &&Fence) -> bool {
    matches!(fence.place, Place::Online | Place::Room | Place::Dry)
}

#[test]
fn every_block_of_commands_is_run_by_a_test_or_says_why_not() {
    for page in pages() {
        let run = fences_of(&read(&page), "## ").iter().filter(is_run).count();
        let told = RUN.iter().find(|(path, ..)| *path == page);
        let (blocks, tests) =
            told.map_or((0, [].as_slice()), |(_, blocks, tests)| (*blocks, tests));
        assert_eq!(run, blocks, "{page}: blocks that a test must run");
        for test in tests {
            let (file, name) = test.split_once(": ").unwrap();
            let source = read(&format!("tests/{file}.rs"));
            assert!(source.contains(&format!("#[test]\nfn {name}()")), "{test}");
        }
    }
    for (page, ..) in RUN {
        assert!(root().join(page).is_file(), "{page}");
    }
}

/// How a command begins.
const COMMANDS: &str = "byok bash aws az bao cargo cat cd cp curl export gcloud jq mv oci openssl sed sha256sum \
    softhsm-config ceremony-scripts tests tar vault";

#[test]
fn no_command_hides_where_no_test_looks_for_it() {
    for page in pages() {
        let (mut fence, mut before) = (None::<&str>, "");
        let text = read(&page);
        for line in text.lines() {
            match (fence, line.trim_start().strip_prefix("```")) {
                (None, Some(info)) => {
                    assert!(line.starts_with("```"), "{page}: a block in a list: {line}");
                    fence = Some(info);
                }
                (Some(_), Some(_)) => fence = None,
                (Some(info), None) if NO_COMMANDS.contains(&info) => {
                    let first = line.split([' ', '/']).next().unwrap();
                    let is_command = COMMANDS.split_whitespace().any(|known| known == first);
                    assert!(!is_command, "{page}: {line}");
                }
                (Some(_), None) => {}
                (None, None) => {
                    let is_block = before.is_empty() && line.starts_with("    ");
                    assert!(!is_block, "{page}: a block without a fence: {line}");
                }
            }
            before = line;
        }
    }
}

/// Everything that the tests are written in, except for this page.
fn text_of_the_tests() -> String {
    let mut found = vec![root().join("tests")];
    let mut text = String::new();
    while let Some(path) = found.pop() {
        if path.is_dir() {
            found.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|e| e == "sh" || e == "rs")
            && !path.ends_with("pages.rs")
        {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

/// What a build's block has in place of a test of its page.
#[test]
fn what_builds_byok_is_a_script_that_the_tests_run_or_cargo_with_what_is_locked() {
    let tests = text_of_the_tests();
    let of_whoever_releases = ["tests/run.sh", "tests/reproducible.sh", "tests/mutants.sh"];
    let mut seen = 0;
    for page in pages() {
        let fences = fences_of(&read(&page), "## ");
        for fence in fences.iter().filter(|fence| fence.place == Place::Build) {
            for command in commands(&fence.text) {
                let command = command.split('#').next().unwrap().trim();
                let Some(script) = command
                    .split(' ')
                    .next()
                    .filter(|word| word.ends_with(".sh"))
                else {
                    let locked = command.contains("--locked") || page != "docs/building.md";
                    assert!(locked, "{page}: {command}");
                    continue;
                };
                seen += 1;
                assert!(root().join(script).is_file(), "{page}: {command}");
                let name = script.rsplit('/').next().unwrap();
                let run = of_whoever_releases.contains(&script) || tests.contains(name);
                assert!(run, "{page}: no test runs {script}");
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}

/// The one block of commands of a page that is to be run here.
fn only_block(page: &str) -> String {
    let fences = fences_in(page);
    let mut run = fences.iter().filter(is_run);
    let fence = run.next().unwrap();
    assert!(run.next().is_none(), "{page}");
    fence.text.clone()
}

/// A shell of the room, with byok on the path.
fn shell(room: &Room, text: &str) -> Command {
    let byok = Path::new(support::program()).parent().unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", text])
        .current_dir(room.dir.path())
        .env_clear()
        .envs(room.env.iter().cloned())
        .env("PATH", format!("{}:/usr/bin:/bin", byok.display()))
        .env("HOME", room.dir.path())
        .stdin(Stdio::null());
    bash
}

fn run(room: &Room, text: &str) -> Output {
    shell(room, text).output().unwrap()
}

#[test]
fn a_ceremony_runs_without_people_as_the_page_says() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.pin = "fd:3".into();
    let plan = fs::read(room.write_plan()).unwrap();
    fs::rename(room.path("pin"), room.path("pin.txt")).unwrap();
    let page = only_block("without-people.md");
    let wrong = run(&room, &page.replace("64-HEX-DIGITS", &"0".repeat(64)));
    assert_eq!(wrong.status.code(), Some(1));
    let text = page.replace("64-HEX-DIGITS", &sha256(&plan));
    let output = run(&room, &text);
    succeeded("without people", &text, &output);
    let head = sha256(&room.transcript("records/one").bytes);
    let said = stdout(&output);
    assert!(
        said.starts_with(&head) && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_plan_is_practised_as_the_page_says() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    let module = room.module.display();
    let command = only_block("rehearsal.md").replace('\n', &format!(" --module {module}\n"));
    let mut pty = Pty::start(shell(&room, &command));
    pty.expect(" page 1 of ");
}

/// An import of this record is missing, which the exit code says.
#[test]
fn what_is_due_is_told_as_the_page_says() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let mut told = 0;
    for command in only_block("due.md").lines() {
        let output = run(&room, command);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(stdout(&output).contains("payments-2026"), "{command}");
        told += 1;
    }
    assert_eq!(told, 4);
    for file in ["byok.ics", "due.html"] {
        assert!(room.path(file).is_file(), "{file}");
    }
}

#[test]
fn the_doctor_looks_at_an_hsm_as_the_page_says() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let module = room.module.display().to_string();
    for fence in fences_in("hsms.md").iter().filter(is_run) {
        let command = fence
            .text
            .replace("/path/to/the/vendors/pkcs11.so", &module);
        let mut pty = Pty::start(shell(&room, &command));
        pty.answer("(nothing is shown while you type): ", PIN);
        let ended = pty.end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
    }
    assert!(room.path("hsm.json").is_file());
}

#[test]
fn the_commands_that_list_materials_are_taken_by_the_aws_cli() {
    let Some(kms) = LoopbackKms::start() else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let fences = fences_in("receipts.md");
    let dry = fences.iter().find(|fence| fence.place == Place::Dry);
    let [script, by_hand] = &commands(&dry.unwrap().text.replace("KEY_ARN", ARN))[..] else {
        panic!("two commands")
    };
    let home = tempfile::tempdir().unwrap();
    let scripts = root().join("ceremony-scripts");
    let mut bash = Command::new("bash");
    let dry = script.replace("online.sh", "online.sh --dry-run");
    bash.args(["-c", &dry]).env_clear().envs(kms.env());
    fs::copy(scripts.join("online.sh"), home.path().join("online.sh")).unwrap();
    let output = bash.current_dir(home.path()).output().unwrap();
    let said = succeeded("receipts", &dry, &output);
    let printed = said.lines().filter(|line| line.starts_with("aws "));
    let printed: Vec<&str> = printed.collect();
    assert!(!printed.is_empty(), "{said}");
    for command in printed.into_iter().chain([by_hand.as_str()]) {
        assert!(is_taken(&kms, command, home.path()), "{command}");
    }
}

#[test]
fn the_wrapping_key_of_openbao_comes_with_the_digest_of_the_slip() {
    let Some(bao) = Bao::start() else {
        return skip("BYOK_TEST_VENV has no bao");
    };
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("inputs")).unwrap();
    let text = only_block("targets.md");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &text]).env_clear();
    bash.envs(bao.env()).env("BAO_ADDR", bao.server());
    bash.env_remove("BAO_NAMESPACE")
        .env_remove("BAO_AGENT_ADDR");
    let output = bash.current_dir(home.path()).output().unwrap();
    succeeded("OpenBao", &text, &output);
    let brought = fs::read_to_string(home.path().join("inputs/bao.json")).unwrap();
    let brought: serde_json::Value = serde_json::from_str(&brought).unwrap();
    let pem = brought["data"]["public_key"].as_str().unwrap();
    let der = openssl(&["pkey", "-pubin", "-outform", "DER"], pem.as_bytes());
    assert!(stdout(&output).starts_with(&sha256(&der)));
}

#[test]
fn a_witness_signs_and_the_known_answers_hold_as_the_page_says() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let fences = fences_in("transcript-format.md");
    let [sign, _, lines, verify] = &fences[..] else {
        panic!("four blocks")
    };
    let keygen = "mkdir -m 700 ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519; cd records/one\n";
    let text = keygen.to_owned() + &sign.text + "cd ../..; byok verify records/one\n";
    let said = succeeded("sign", &text, &run(&room, &text));
    assert!(said.contains("internal-audit"), "{said}");

    let page = read("docs/transcript-format.md");
    let (_, answers) = page.split_once("\n## Known answers\n").unwrap();
    let (_, transcript) = answers.split_once("```text\n").unwrap();
    let (transcript, _) = transcript.split_once("```").unwrap();
    fs::create_dir(room.path("known")).unwrap();
    fs::write(room.path("known/transcript.jsonl"), transcript).unwrap();
    let text = format!("cd known; {}", lines.text);
    let said = succeeded("known answers", &text, &run(&room, &text));
    assert_eq!(said.lines().count(), 4);
    for line in said.lines() {
        assert!(
            answers.contains(&format!("| `{}` |", &line[..64])),
            "{line}"
        );
    }
    let scripts = root().join("ceremony-scripts");
    let text = format!(
        "cd known; sha256sum transcript.jsonl > SHA256SUMS; PATH=$PATH:{}\n{}",
        scripts.display(),
        verify.text
    );
    let said = succeeded("known answers", &text, &run(&room, &text));
    let authentic = said.lines().filter(|line| line.starts_with("authentic"));
    assert!(authentic.count() >= 2, "{said}");
}

#[test]
fn a_token_is_made_as_the_page_says() {
    if Kind::SoftHsm.module().is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let fences = fences_of(&read("softhsm-config/README.md"), "## ");
    let text: String = fences
        .iter()
        .filter(is_run)
        .map(|f| f.text.as_str())
        .collect();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &text]).env_clear();
    bash.env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
    bash.env("BYOK_SOFTHSM_MODULE", Kind::SoftHsm.module().unwrap());
    let mut pty = Pty::start({
        bash.current_dir(root());
        bash
    });
    pty.answer("PIN (4 to 255 characters): ", PIN);
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    assert!(ended.screen.contains("pkcs11:token=ceremony;serial="));
    let made = home.path().join("ceremony-hsm");
    assert!(made.join("softhsm2.conf").is_file());
    assert_eq!(
        fs::metadata(&made).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

/// tests/bundle.sh makes a bundle, and has these done in a bare Debian.
#[test]
fn the_bundle_is_unpacked_by_the_commands_of_its_own_test() {
    let test = read("tests/bundle/in-the-room.sh");
    let tar = "byok-0.1.0-x86_64";
    for command in only_block("building.md").lines() {
        let command = command.split("   ").next().unwrap();
        let words = command.replace(&format!("{tar}.tar"), "\"$tar\"");
        let words = words.replace(tar, "\"$bundle\"");
        for step in words.split(" && ") {
            assert!(test.contains(step), "{step}");
        }
    }
}

/// A clone in which byok is built already.
fn clone() -> tempfile::TempDir {
    let clone = tempfile::tempdir().unwrap();
    for entry in [
        "ceremony-scripts",
        "softhsm-config",
        "docs",
        "examples",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        let mut cp = Command::new("cp");
        cp.arg("-r").arg(root().join(entry)).arg(clone.path());
        assert!(cp.status().unwrap().success());
    }
    for folder in ["src", "target/release"] {
        fs::create_dir_all(clone.path().join(folder)).unwrap();
    }
    let byok = clone.path().join("target/release/byok");
    fs::copy(support::program(), byok).unwrap();
    clone
}

/// README's command.
#[test]
fn the_samples_are_those_of_one_rehearsal_and_are_marked_as_practice() {
    let Some(module) = Kind::SoftHsm.module() else {
        return;
    };
    let clone = clone();
    let here = |path: &str| clone.path().join(path);
    let readme = fences_of(&read("README.md"), "## ");
    let command = readme.iter().find(|fence| fence.text.contains("--samples"));
    let command = command.unwrap().text.trim_end();
    let make = || {
        let mut bash = Command::new("bash");
        bash.args(["-c", command]).current_dir(clone.path());
        bash.env("BYOK_SOFTHSM_MODULE", &module);
        bash.stdin(Stdio::null()).output().unwrap()
    };
    let said = succeeded("README", command, &make());
    let sample = |name: &str| fs::read_to_string(here("target/samples").join(name)).unwrap();
    let script = sample("script.html");
    assert!(script.contains("PRACTICE") && script.contains("form 1 of 5"));
    assert!(sample("report.html").contains("REHEARSAL"));
    assert!(sample("slip.txt").starts_with("PRACTICE: "));
    let rehearsal = fs::read_dir(here("target/samples/rehearsal")).unwrap();
    let mut rehearsal = rehearsal
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let rehearsal = rehearsal.next().unwrap();
    let digest = sha256(&fs::read(rehearsal.join("plan.toml")).unwrap());
    let shows =
        |paper: &str, digest: &str| paper.contains(&format!("{} {}", &digest[..4], &digest[4..8]));
    assert!(shows(&sample("report.html"), &digest));
    let planned = sha256(&fs::read(here("examples/generate.toml")).unwrap());
    assert!(
        shows(&script, &planned),
        "README counts the people of this plan"
    );
    let transcript = fs::read_to_string(rehearsal.join("record/transcript.jsonl")).unwrap();
    let slip = sample("slip.txt").replace(' ', "");
    let (_, wrapping_key) = transcript.split_once("\"wrapping_key_sha256\":\"").unwrap();
    assert!(slip.contains(&wrapping_key[..8]), "{slip}");
    for name in ["script.pdf", "report.pdf"] {
        let pdf = fs::read(here("target/samples").join(name));
        let says_why = said.contains("no PDF: there is no Chromium here");
        assert_eq!(
            pdf.as_ref().is_ok_and(|bytes| bytes.starts_with(b"%PDF-")),
            !says_why,
            "{said}"
        );
        let pdf = pdf.unwrap_or_default();
        assert!(says_why || are_a4(&pdf), "{name}");
    }
    support::refused(&make(), 2, &["target/samples exists already"]);
    assert_eq!(sample("script.html"), script);
}

/// Whether each page is 210 by 297 mm, in points.
fn are_a4(pdf: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pdf);
    let mut pages = text.split("/MediaBox [").skip(1).peekable();
    let is_there = pages.peek().is_some();
    let is_a4 = |page: &str| {
        let sides = page.split(']').next().unwrap().split_whitespace();
        let sides: Vec<f64> = sides.map(|side| side.parse().unwrap()).collect();
        matches!(sides[..], [0.0, 0.0, w, h] if (w - 595.3).abs() < 1.0 && (h - 841.9).abs() < 1.0)
    };
    is_there && pages.all(is_a4)
}

/// What a picture of a screen says, but for what is different each time: where, when, and the rows of a digest.
fn words_of(picture: &Path) -> Vec<String> {
    let picture = fs::read_to_string(picture).unwrap().replace('\u{a0}', " ");
    let lines = picture
        .lines()
        .filter_map(|line| line.strip_prefix("<text "));
    let words = lines.filter_map(|line| line.split(['>', '<']).nth(1));
    let changes = |line: &&str| {
        [" UTC", "   row ", " record "]
            .iter()
            .any(|t| line.contains(t))
    };
    words
        .filter(|line| !changes(line))
        .map(str::to_owned)
        .collect()
}

/// The picture that README shows was made by an earlier byok: this one shows the same.
#[test]
fn the_pictures_of_the_readme_are_made_anew_and_say_the_same() {
    let Some(module) = Kind::SoftHsm.module() else {
        return;
    };
    if Command::new("tmux").arg("-V").output().is_err() {
        return skip("tmux is not installed");
    }
    let clone = clone();
    let made = clone.path().join("made");
    fs::create_dir(&made).unwrap();
    let mut script = Command::new("bash");
    script
        .arg(clone.path().join("docs/pictures/make.sh"))
        .arg(&made);
    script
        .env("BYOK_SOFTHSM_MODULE", module)
        .stdin(Stdio::null());
    succeeded("pictures", "make.sh", &script.output().unwrap());
    let shown = words_of(&root().join("docs/pictures/approval.svg"));
    assert!(shown.len() > 10, "{shown:?}");
    assert_eq!(
        words_of(&made.join("approval.svg")),
        shown,
        "docs/pictures/make.sh makes it anew"
    );
    let of_browser = fs::metadata(made.join("report.png"));
    assert!(of_browser.map_or(0, |png| png.len()) < 150_000);
}
