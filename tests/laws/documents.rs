//! The documents say only what is there: tests they name, files they link to, checks and commands.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::pty::{APPROVE, Pty};
use support::{Kind, PIN, Room, sha256, skip, stderr, stdout};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(&path))
        .unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Every page of the tree, with paths from the root.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    files("", ".md", &mut found);
    found.sort();
    assert!(found.len() > 25, "{found:?}");
    found
}

/// The files with this ending below a directory, but for what is built or hidden.
fn files(directory: &str, ending: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if directory.is_empty() {
            name.clone()
        } else {
            format!("{directory}/{name}")
        };
        match entry.file_type().unwrap().is_dir() {
            true if name == "target" || name.starts_with('.') => {}
            true => files(&path, ending, found),
            false if name.ends_with(ending) => found.push(path),
            false => {}
        }
    }
}

fn sources(directory: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().into_string().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => sources(&path, found),
            false if path.ends_with(".rs") => found.push(path),
            false => {}
        }
    }
}

/// What stands between back-quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether the name is one of the two that `twins!` makes tests of.
fn is_twin(source: &str, test: &str) -> bool {
    let pairs = source.split("twins!(").skip(1);
    let mut names = pairs.flat_map(|pair| pair.split(',').take(2));
    names.any(|name| name.trim() == test)
}

#[test]
fn every_test_that_the_assurance_case_names_exists() {
    let case = read("docs/assurance-case.md");
    let mut named = 0;
    for (file, test) in quoted(&case).filter_map(|text| text.split_once(".rs: ")) {
        let source = read(format!("tests/{file}.rs"));
        let declared = format!("#[test]\nfn {test}()");
        let law = format!("#[test]\n    fn {test}("); // within proptest!
        assert!(
            source.contains(&declared) || source.contains(&law) || is_twin(&source, test),
            "tests/{file}.rs has no test {test}"
        );
        named += 1;
    }
    assert!(named >= 40, "only {named} tests are named");
    let claims = case
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| claim"));
    for claim in claims {
        assert!(claim.contains(".rs: "), "no evidence: {claim}");
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    for document in documents() {
        let text = read(&document);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
        {
            let (link, _) = link;
            if link.starts_with("http") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => {
                    let beside = Path::new(&document).parent().unwrap().join(path);
                    assert!(
                        root().join(&beside).exists(),
                        "{document}: {link} leads nowhere"
                    );
                    beside.display().to_string()
                }
            };
            if !heading.is_empty() {
                let headings = read(&target);
                let there = headings
                    .lines()
                    .filter_map(|l| l.strip_prefix('#'))
                    .any(|l| anchor(l) == heading);
                assert!(there, "{document}: {link}: no such heading");
            }
        }
    }
}

/// How Markdown pages call a heading in links.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn what_three_rows_hold_against_stands_in_one_place_and_the_format_names_it() {
    let mut files = Vec::new();
    for entry in fs::read_dir("docs").unwrap() {
        files.push(entry.unwrap().path());
    }
    files.push("README.md".into());
    let tells = |path: &&PathBuf| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .contains("2^48")
    };
    let told: Vec<_> = files.iter().filter(tells).collect();
    assert_eq!(told, [Path::new("docs/threat-model.md")]);
    let threats = read("docs/threat-model.md");
    assert!(threats.contains("## Three rows or eight"));
    for bits in ["2^96", "2^128"] {
        assert!(threats.contains(bits), "{bits}");
    }
    assert!(read("docs/transcript-format.md").contains("(threat-model.md#three-rows-or-eight)"));
}

#[test]
fn every_check_of_the_code_is_explained_and_no_other() {
    let mut files = Vec::new();
    sources("src", &mut files);
    let mut in_code = BTreeSet::new();
    for file in files {
        let text = read(&file);
        for call in text.split(".check(\"").skip(1) {
            in_code.insert(call.split('"').next().unwrap().to_owned());
        }
    }
    assert!(in_code.len() > 20, "{in_code:?}");
    let page = read("docs/checks.md");
    let explained: BTreeSet<&str> = page
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.split('`').next())
        .collect();
    for check in &in_code {
        assert!(
            explained.contains(check.as_str()),
            "docs/checks.md does not explain {check}"
        );
    }
    for check in explained {
        let mark = format!("\"{check}\"");
        let mut all = Vec::new();
        sources("src", &mut all);
        assert!(
            all.iter().any(|file| read(file).contains(&mark)),
            "no code says {check}"
        );
    }
}

#[test]
fn every_event_of_the_code_is_explained() {
    let source = read("src/evidence/transcript/event.rs");
    let page = read("docs/transcript-format.md");
    let (_, body) = source.split_once("\nevents! {\n").unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let (_, more) = source.split_once("            KeyGenerated(").unwrap();
    let (more, _) = more.split_once("/// Of a later").unwrap();
    let all = format!(
        "{body}\n    KeyGenerated({}",
        more.replace("            ", "    ")
    );
    let mut seen = 0;
    for line in all.lines() {
        let Some(name) = line
            .strip_prefix("    ")
            .filter(|l| l.starts_with(|c: char| c.is_ascii_uppercase()))
        else {
            continue;
        };
        let name: String = name
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let kebab: String = name
            .char_indices()
            .flat_map(|(at, c)| {
                let dash = (at > 0 && c.is_ascii_uppercase()).then_some('-');
                dash.into_iter().chain([c.to_ascii_lowercase()])
            })
            .collect();
        assert!(
            page.contains(&format!("| `{kebab}` |")),
            "docs/transcript-format.md: {kebab}"
        );
        seen += 1;
    }
    assert!(seen >= 33, "{seen}");
}

/// The commands between ```sh and ```, in order.
fn commands(page: &str) -> Vec<String> {
    page.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_auditors_commands_answer_from_a_record_alone() {
    if Command::new("jq").arg("--version").output().is_err() {
        return skip("jq is not here");
    }
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.network = "allowed".into();
    let transcript = room.run_with_escrow(2, &["Audit", "Legal"]);
    let fingerprint = transcript.event("key-generated")["fingerprint"]
        .as_str()
        .unwrap();
    let head = sha256(&fs::read(room.path("records/one/transcript.jsonl")).unwrap());
    let expected = [
        &head[..8],
        "rehearsal: false  kind: generate",
        "\"operator\":\"not asked\"",
        "\"software\":true",
        "software HSM",
        "\"checks\":[\"CONTROL\",\"TRIAL-WRAP\",\"ESCROW-CONTROL\"]",
        "\"wrapped_in\":\"hsm\"",
        "\"custodians\":[\"Audit\",\"Legal\"]",
        ": sealed, 0 exceptions",
        fingerprint,
    ];
    let answers = auditors_answers(&room.path("records/one"));
    assert_eq!(answers.len(), expected.len());
    for (answer, expected) in answers.iter().zip(expected) {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
    let signer = transcript.event("transcript-signer")["fingerprint"].clone();
    assert!(answers[3].contains(signer.as_str().unwrap()));
    assert!(answers[5].contains("key-intended"));
}

/// What the commands for each question print in this record. None of them may complain.
fn auditors_answers(record: &Path) -> Vec<String> {
    let blocks = commands(&read("docs/for-auditors.md"));
    let [helper, questions @ ..] = &blocks[..] else {
        panic!("no commands")
    };
    let answer = |commands: &String| {
        let script = format!("set -o pipefail; {helper}{commands}\ntrue");
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(record)
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{commands}: {}", stderr(&output));
        stdout(&output)
    };
    questions.iter().map(answer).collect()
}

#[test]
fn the_auditors_commands_answer_where_the_old_shares_still_serve() {
    if Command::new("jq").arg("--version").output().is_err() {
        return skip("jq is not here");
    }
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.network = "allowed".into();
    let made = room.run_with_escrow(2, &["Audit", "Legal"]);
    let previous = format!(
        "previous = \"records/one\"\nprevious_head = \"{}\"\nreuse_escrow = \"a test\"\n",
        sha256(&made.bytes)
    );
    let recover = "[recover]\nshares = \"files:shares\"\npackage = \"record\"\n";
    for (kind, more) in [("reimport", ""), ("recover", recover)] {
        room.plan.kind = kind.into();
        room.plan.directory = format!("records/{kind}");
        room.plan.top_more.clone_from(&previous);
        room.plan.more = more.into();
        let output = room.run();
        assert!(output.status.success(), "{kind}: {}", stderr(&output));
        let answers = auditors_answers(&room.path(&format!("records/{kind}")));
        let (event, exceptions, shares) = match kind {
            "reimport" => ("key-found", ": sealed, 0 exceptions", 0),
            _ => ("key-recovered", ": sealed, 1 exception\n", 2), // the token has the data key still
        };
        assert!(answers[5].contains(event) && !answers[5].contains("key-intended"));
        assert_eq!(answers[7].matches("\"share_sha256\"").count(), shares);
        assert_eq!(answers[7].contains("dissenting"), shares > 0);
        assert!(answers[8].contains(exceptions), "{}", answers[8]);
    }
}

#[test]
fn every_page_is_found_from_the_index_and_the_index_from_the_readme() {
    assert!(read("README.md").contains("](docs/README.md)"));
    let index = read("docs/README.md");
    for document in documents() {
        let from_docs = match document.strip_prefix("docs/") {
            Some(page) => page.to_owned(),
            None => format!("../{document}"),
        };
        let is_front = ["README.md", "docs/README.md"].contains(&document.as_str());
        assert!(
            is_front || index.contains(&format!("]({from_docs}")),
            "docs/README.md does not lead to {document}"
        );
    }
}

/// Whoever hears of byok reads it to its end.
#[test]
fn the_readme_is_a_front_page() {
    let bytes = read("README.md").len();
    assert!(bytes <= 8192, "{bytes} bytes");
}

/// The time and the seats of the example, as its printed script counts them.
#[test]
fn the_readme_says_how_long_the_example_takes_and_who_is_in_the_room() {
    let example = "examples/generate.toml";
    let mut script = Command::new(support::program());
    let output = script
        .args(["script", example])
        .current_dir(root())
        .output();
    let script = stdout(&output.unwrap());
    let (_, time) = script.split_once("time in the room").unwrap();
    let time = time.split("about ").nth(1).unwrap();
    let minutes = time.split(' ').next().unwrap();
    let plan: toml::Value = toml::from_str(&read(example)).unwrap();
    let seats = |table: &str, names: &str| plan[table][names].as_array().unwrap().len();
    let (custodians, witnesses) = (seats("escrow", "custodians"), seats("record", "witnesses"));
    assert_eq!(witnesses, 1);
    let readme = read("README.md");
    for says in [
        format!(
            "{} people are in the room for about {minutes} minutes",
            1 + custodians + witnesses
        ),
        format!("the operator, {custodians} custodians and a witness, for [this plan]({example})"),
        format!("{custodians} custodians write down"),
        format!(
            "that any {} bring it back",
            plan["escrow"]["threshold"].as_integer().unwrap()
        ),
    ] {
        assert!(readme.contains(&says), "{says}");
    }
}

/// Each picture is shown and is small; the terminal's has what the approval screen of the example says.
#[test]
fn the_pictures_of_the_readme_are_of_the_example_and_small() {
    let readme = read("README.md");
    let report = fs::metadata(root().join("docs/pictures/report.png")).unwrap();
    assert!(report.len() < 150_000, "{}", report.len());
    let approval = read("docs/pictures/approval.svg");
    assert!(approval.len() < 10_000, "{}", approval.len());
    for picture in ["docs/pictures/report.png", "docs/pictures/approval.svg"] {
        assert!(readme.contains(&format!("]({picture})")), "{picture}");
    }
    assert!(root().join("docs/pictures/make.sh").is_file());
    let shown = approval.replace('\u{a0}', " ");
    let plan: toml::Value = toml::from_str(&read("examples/generate.toml")).unwrap();
    let label = plan["key"][0]["label"].as_str().unwrap();
    for text in [
        plan["title"].as_str().unwrap(),
        label,
        "REHEARSAL",
        APPROVE.trim(),
    ] {
        assert!(shown.contains(text), "{text}");
    }
}

#[test]
fn the_help_of_every_verb_has_an_example() {
    let help = |args: &[&str]| {
        let output = Command::new(support::program()).args(args).output();
        stdout(&output.unwrap())
    };
    let all = help(&["--help"]);
    let (_, verbs) = all.split_once("Commands:\n").unwrap();
    let verbs = verbs.lines().take_while(|line| !line.is_empty());
    let mut seen = 0;
    let verbs = verbs.filter(|line| !line.starts_with("   ")); // but folded descriptions
    for verb in verbs.filter_map(|line| line.split_whitespace().next()) {
        let (args, example): (&[&str], _) = match verb {
            "help" => continue,
            "share" => (&["share", "check", "--help"], "byok share check"),
            verb => (&[verb, "--help"], verb),
        };
        let text = help(args);
        let (_, after) = text
            .split_once("Example:")
            .unwrap_or_else(|| panic!("{verb}: {text}"));
        assert!(
            after.contains(&format!("byok {}", example.trim_start_matches("byok "))),
            "{after}"
        );
        seen += 1;
    }
    assert!(seen >= 9, "{seen}: {all}");
}

/// Somebody walks the page at a terminal: its shell is one, as theirs would be.
#[test]
fn the_trial_on_softhsm_can_be_walked_as_it_stands() {
    if Kind::SoftHsm.module().is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let page = read("docs/trial-on-softhsm.md");
    let blocks = commands(&page);
    let is_slip = |block: &&String| block.starts_with("(cd inputs");
    let slip = blocks.iter().find(is_slip).unwrap();
    // The slip is on paper before the ceremony asks for its rows; here a file is the paper.
    let paper = slip.trim_end().to_owned() + " > slip\n";
    let script: String = blocks
        .iter()
        .filter(|block| !is_slip(block))
        .map(|block| block.replace("byok run", &format!("{paper}byok run")))
        .map(|block| block.replace("cd && rm -rf", "cp -r ~/trial/records ~/kept; cd && rm -rf"))
        .collect();
    let byok = Path::new(support::program()).parent().unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("set -euo pipefail\n{script}")]);
    bash.env_clear()
        .current_dir(root())
        .env("HOME", home.path());
    bash.env("PATH", format!("{}:/usr/bin:/bin", byok.display()));
    bash.env("BYOK_SOFTHSM_MODULE", Kind::SoftHsm.module().unwrap());
    let mut pty = Pty::start(bash);
    pty.answer("PIN (4 to 255 characters): ", PIN);
    pty.answer("(nothing is shown while you type): ", PIN);
    pty.expect("ready: byok run would start");
    pty.answer(APPROVE, "Yes");
    trial_in_the_room(&mut pty, home.path());
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let kcv = kcv_of(&home.path().join("kept/trial"));
    let (_, after) = ended.screen.split_once("SEALED").unwrap();
    assert!(
        after.lines().any(|line| line.trim() == kcv),
        "{kcv}: {after}"
    );
    assert!(
        after
            .to_lowercase()
            .contains("consistent, not authenticated"),
        "{after}"
    );
    // Nothing is left in the clone or at home.
    assert!(!root().join("pin").exists() && !home.path().join("ceremony-hsm").exists());
}

fn kcv_of(record: &Path) -> String {
    let transcript = support::Transcript::read(&record.join("transcript.jsonl"));
    transcript.event("key-generated")["kcv"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Answers every question of an ordinary ceremony without custodians.
fn trial_in_the_room(pty: &mut Pty, home: &Path) {
    pty.answer("at the keyboard", "Ada Lovelace");
    pty.answer("(nothing is shown while you type): ", PIN);
    for _ in 0..3 {
        let asked = pty.expect(" of the digest of the parameter files (");
        let row: usize = asked
            .rsplit("Row ")
            .next()
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let slip = fs::read_to_string(home.join("trial/slip")).unwrap();
        let digits = slip
            .lines()
            .nth(row - 1)
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .to_owned();
        pty.answer("8 hex digits or 4 words: ", &digits);
    }
}
