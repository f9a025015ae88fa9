//! docs/releases.md: its short commands are run as they stand, in a clone; those that take long are there to be run.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use support::{done, skip};

const HOUSE: &str = env!("CARGO_MANIFEST_DIR");

/// The blocks of the page with this word after the back-quotes.
fn blocks(kind: &str) -> String {
    let page = fs::read_to_string(Path::new(HOUSE).join("docs/releases.md")).unwrap();
    let open = format!("```{kind}\n");
    page.split(&open)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

fn run(program: &str, args: &[&str], place: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(args).current_dir(place);
    for name in ["GIT_AUTHOR", "GIT_COMMITTER"] {
        command.env(format!("{name}_NAME"), "A maintainer");
        command.env(format!("{name}_EMAIL"), "maintainer@byok.invalid");
    }
    let output = command.env("HOME", place.parent().unwrap()).output();
    output.unwrap_or_else(|e| panic!("{program}: {e}"))
}

#[test]
fn a_release_is_named_committed_signed_and_checked_as_its_page_says() {
    let home = tempfile::tempdir().unwrap();
    let clone = home.path().join("clone");
    let cloned = Command::new("git")
        .args(["-c", "safe.directory=*", "clone", "--quiet", HOUSE])
        .arg(&clone)
        .output();
    if !cloned.is_ok_and(|output| output.status.success()) {
        return skip("this is not a clone, or there is no git");
    }
    let key = [".ssh", ".ssh/byok-release"].map(|name| home.path().join(name));
    fs::create_dir(&key[0]).unwrap();
    let key = key[1].to_str().unwrap();
    done(&run(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", key],
        &clone,
    ));
    let files = clone.join("target/release-9.8.7");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("byok-9.8.7-x86_64.tar"), "a bundle").unwrap();

    let named = format!("version={}\n", env!("CARGO_PKG_VERSION"));
    let commands = blocks("sh");
    assert!(commands.starts_with(&named), "{commands}");
    let commands = commands.replacen(&named, "version=9.8.7\n", 1);
    let said = done(&run("bash", &["-euc", &commands], &clone));
    assert!(said.contains("byok-9.8.7-x86_64.tar: OK"), "{said}");

    for file in ["Cargo.toml", "Cargo.lock", "fuzz/Cargo.lock"] {
        let text = fs::read_to_string(clone.join(file)).unwrap();
        let named = "name = \"byok\"\nversion = \"9.8.7\"\n";
        assert!(text.contains(named), "{file}");
    }
    let changes = fs::read_to_string(clone.join("CHANGELOG.md")).unwrap();
    let is_dated = |line: &str| line.starts_with("## [9.8.7] - 2");
    assert!(changes.lines().any(is_dated), "{changes}");
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .current_dir(&clone)
        .output();
    done(&metadata.unwrap());
    let tag = done(&run("git", &["cat-file", "tag", "v9.8.7"], &clone));
    assert!(tag.contains("-----BEGIN SSH SIGNATURE-----"), "{tag}");

    fs::write(files.join("byok-9.8.7-x86_64.tar"), "another bundle").unwrap();
    assert!(
        !run("sha256sum", &["-c", "SHA256SUMS"], &files)
            .status
            .success()
    );
}

#[test]
fn every_script_that_a_release_needs_is_there_and_takes_these_options() {
    let mut seen = 0;
    for line in blocks("sh build").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !["ceremony-scripts/", "tests/"]
            .iter()
            .any(|place| words[0].starts_with(place))
        {
            continue;
        }
        let path = Path::new(HOUSE).join(words[0]);
        let mode = path.metadata().unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(mode.permissions().mode() & 0o100 != 0, "{line}");
        let text = fs::read_to_string(&path).unwrap();
        for word in &words[1..] {
            let is_taken = word.contains(['$', '>', '/']) || text.contains(word);
            assert!(is_taken, "{line}: {word}");
        }
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}
