//! What the Debian package brings beside the program, made here as `make-deb.sh` makes it: its man pages say what the
//! help says, and its completions offer what the help names. `tests/deb.sh` reads them with `man`, in Debian.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What stands on every page and in no help: where the package has what is not in the program.
const OF_THE_PACKAGE: [&str; 4] = [
    "/scripts",
    "what byok, its paper and its pages call ceremony-scripts",
    "/docs",
    "readme.md and the pages that it names",
];

fn pages() -> TempDir {
    let program: PathBuf = env!("CARGO_BIN_EXE_byok").into();
    let program = program.parent().unwrap().join("examples/pages");
    let hint = format!("{}: cargo build --example pages", program.display());
    assert!(program.exists(), "{hint}");
    let made = tempfile::tempdir().unwrap();
    let args = ["2026-11-30", "/scripts", "/docs"];
    let output = Command::new(&program).arg(made.path()).args(args).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", support::stderr(&output));
    made
}

/// byok and every verb that people see, by the name of its page.
fn verbs(
    command: &clap::Command,
    page: &str,
    found: &mut Vec<(String, Vec<String>, clap::Command)>,
) {
    let words = page.split('-').skip(1).map(str::to_owned).collect();
    found.push((page.to_owned(), words, command.clone()));
    for verb in command.get_subcommands() {
        verbs(verb, &format!("{page}-{}", verb.get_name()), found);
    }
}

fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// What a reader of the page sees, a line each: no requests, no fonts, no escapes.
fn read_by_people(page: &str) -> Vec<String> {
    let is_text = |line: &&str| !line.starts_with(['.', '\'']);
    let mut text: Vec<String> = page.lines().filter(is_text).map(str::to_owned).collect();
    for line in &mut text {
        for (roff, shown) in [
            ("\\fB", ""),
            ("\\fI", ""),
            ("\\fR", ""),
            ("\\&", ""),
            ("\\-", "-"),
            ("\\*(Aq", "'"),
            ("\\\\", "\\"),
        ] {
            *line = line.replace(roff, shown);
        }
        *line = plain(line);
    }
    text
}

/// Sentences of a help, as they stand on a page.
fn sentences(command: &clap::Command) -> Vec<String> {
    let after = command.get_after_help().map(ToString::to_string);
    let after = after.unwrap_or_default();
    let blocks = after.split("\n\n").flat_map(|block| {
        match (
            block.strip_prefix("Example:"),
            block.strip_prefix("Exit codes: "),
        ) {
            (Some(example), _) => example.lines().map(plain).collect(),
            (_, Some(_)) => Vec::new(), // a list on the page
            _ => vec![plain(block)],
        }
    });
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let args = args.flat_map(|arg| [arg.get_help(), arg.get_long_help()]);
    let args = args.flatten().map(|help| plain(&help.to_string()));
    let about = plain(&command.get_about().unwrap().to_string());
    blocks.chain(args).chain([about]).collect()
}

#[test]
fn every_verb_has_a_man_page_that_says_what_its_help_says_and_nothing_else() {
    let made = pages();
    let mut all = Vec::new();
    verbs(&byok::cli::command(), "byok", &mut all);
    let mut expected = BTreeSet::new();
    for (page, words, command) in &all {
        let file = format!("{page}.1");
        let text = fs::read_to_string(made.path().join("man1").join(&file)).unwrap();
        expected.insert(file);
        let read = read_by_people(&text);
        for sentence in sentences(command) {
            assert!(
                read.join(" ").contains(&sentence),
                "{page} does not say: {sentence}"
            );
        }
        let help = |words: &[String]| {
            let output = Command::new(support::program())
                .args(words)
                .arg("--help")
                .output();
            support::stdout(&output.unwrap())
        };
        let mut said = plain(&format!("{} {}", help(words), help(&[])));
        said += &sentences(command).join(" ");
        said += &format!(
            "{page} - {}",
            plain(&command.get_about().unwrap().to_string())
        );
        let is_said = |piece: &str| {
            let piece = piece.trim_end_matches('.');
            said.contains(piece) || OF_THE_PACKAGE.contains(&piece)
        };
        for line in &read {
            let is_list_of_pages = line.starts_with("byok") && line.ends_with("(1)");
            let line = line.replace(" [default", ". [default"); // elsewhere in a help
            assert!(
                is_list_of_pages || line.split(". ").all(is_said),
                "{page}: no help says: {line}"
            );
        }
    }
    let there = fs::read_dir(made.path().join("man1")).unwrap();
    let there: BTreeSet<String> = there
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, expected);
    assert!(all.len() >= 13, "{}", all.len());
}

#[test]
fn completions_offer_every_verb_and_option_that_people_see_and_no_other() {
    let made = pages();
    let mut all = Vec::new();
    verbs(&byok::cli::command(), "byok", &mut all);
    for (shell, file) in [
        ("bash", "byok.bash"),
        ("zsh", "_byok"),
        ("fish", "byok.fish"),
    ] {
        let text = fs::read_to_string(made.path().join(shell).join(file)).unwrap();
        for (_, words, command) in &all {
            let verb = words.last().map_or("byok", String::as_str);
            assert!(text.contains(verb), "{shell}: {verb}");
            for arg in command.get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                let option = match shell {
                    "fish" => format!(" -l {long} "),
                    _ => format!("--{long}"),
                };
                assert_eq!(
                    text.contains(&option),
                    !arg.is_hide_set(),
                    "{shell}: {option}"
                );
            }
        }
    }
}

/// What only a clone can use is named in both, since neither brings it to a room.
#[test]
fn the_bundle_and_the_package_leave_the_same_scripts_of_a_clone_behind() {
    let left = |script: &str| -> BTreeSet<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("ceremony-scripts")
            .join(script);
        let text = fs::read_to_string(path).unwrap();
        let (_, names) = text.split_once("/ceremony-scripts/{").unwrap();
        let (names, _) = names.split_once('}').unwrap();
        names.split(',').map(str::to_owned).collect()
    };
    let (bundle, package) = (left("make-bundle.sh"), left("make-deb.sh"));
    let only: Vec<&String> = package.difference(&bundle).collect();
    // a bundle is unpacked by them; in a package they have nothing to unpack
    assert_eq!(only, ["meanwhile", "rehearse", "setup-room"]);
    assert!(bundle.is_subset(&package) && bundle.contains("make-deb"));
}
