//! What the cloud operator runs must run on the shell that macOS ships (bash 3.2), without `jq` or
//! GNU's own options, as an ordinary user. Bash 3.2 itself is not on Linux machines any more: so a
//! finder looks for what came later, and the scripts run with `BASH_COMPAT=3.2` and few tools.

use crate::kms_on_loopback;
use crate::support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use byok::paper::outputs::{ImportScript, ImportType, MultiRegion, Run, import_all};
use jiff::{SignedDuration, Timestamp};
use kms_on_loopback::bao::Bao;
use kms_on_loopback::{ACCOUNT, LoopbackKms};
use support::{refused, skip, stderr, stdout, well};

/// What macOS, Linux and AWS CloudShell all have, and nothing else; `sha256sum` is `shasum` there.
const TOOLS: &str = "awk bash cat chmod cut date dirname env head iconv ln ls mkdir mktemp mv printf \
    rm sed sha256sum sleep sort tail tee tr wc";

/// Something that bash 3.2 or the tools of macOS do not have: its name, whether a line of code has
/// it, and a line that has it.
type Feature = (&'static str, fn(&str) -> bool, &'static str);

/// What came to bash after 3.2.
const LATER_BASH: [Feature; 29] = [
    ("associative array", |l| declares(l, 'A'), "local -A seen"),
    ("nameref", |l| declares(l, 'n'), "declare -n to=$1"),
    (
        "global by declare",
        |l| declares(l, 'g'),
        "declare -g a=yes",
    ),
    ("lower by declare", |l| declares(l, 'l'), "typeset -l name"),
    ("upper by declare", |l| declares(l, 'u'), "local -ru NAME=x"),
    ("mapfile", |l| word(l, "mapfile"), "mapfile -t lines <file"),
    ("readarray", |l| word(l, "readarray"), "x && readarray -t a"),
    ("coproc", |l| word(l, "coproc"), "coproc cat"),
    ("lower case", |l| expands(l, ","), "x=${name,,}"),
    ("upper case", |l| expands(l, "^"), "x=${list[0]^}"),
    ("transformation", |l| expands(l, "@"), "echo ${name@Q}"),
    ("pipe of both", |l| l.contains("|&"), "make |& tee log"),
    ("append of both", |l| l.contains("&>>"), "make &>>log"),
    ("test -v", tests_v, "if [[ -v HOME ]]; then"),
    ("maybe empty array", whole_array, "for x in \"${a[@]}\"; do"),
    (
        "printf of times",
        |l| l.contains("%("),
        "printf '%(%s)T' -1",
    ),
    ("negative index", |l| l.contains("[-"), "x=${a[-1]}"),
    ("negative length", cuts_from_the_end, "x=${name:0:-1}"),
    ("wait -n", |l| l.contains("wait -n"), "wait -n || true"),
    ("falling through", |l| l.contains(";&"), "a) one ;&"),
    ("step in braces", steps, "for i in {1..9..2}; do"),
    ("zeros in braces", pads, "for i in {01..10}; do"),
    (
        "named descriptor",
        |l| l.contains("exec {"),
        "exec {log}>file",
    ),
    ("BASHPID", |l| l.contains("BASHPID"), "echo $BASHPID"),
    ("EPOCH", |l| l.contains("EPOCH"), "now=$EPOCHSECONDS"),
    ("Unicode escape", |l| l.contains("\\u"), "dash=$'\\u2013'"),
    ("read -N", |l| l.contains("read -N"), "read -N 1 key"),
    (
        "part of a second",
        |l| l.contains("read -t 0."),
        "read -t 0.5 k",
    ),
    ("newer shopt", newer_shopt, "shopt -s globstar"),
];

/// What only GNU's tools do, or nobody has everywhere.
const LATER_TOOLS: [Feature; 4] = [
    ("jq", |l| word(l, "jq"), "aws x | jq -r .KeyId"),
    (
        "GNU sed",
        |l| any(l, &["sed -i", "sed -r", "sed --"]),
        "sed -i s/a/b/ f",
    ),
    (
        "GNU grep",
        |l| any(l, &["grep -P", "grep -oP"]),
        "grep -oP 'a\\K' file",
    ),
    ("GNU options", gnu_options, "date -d tomorrow +%s"),
];

fn any(line: &str, texts: &[&str]) -> bool {
    texts.iter().any(|text| line.contains(text))
}

fn gnu_options(line: &str) -> bool {
    let of_gnu = "date -d,date --,stat -c,sort -V,readlink -f,xargs -r,base64 -w,mktemp --";
    of_gnu.split(',').any(|option| line.contains(option))
}

fn newer_shopt(line: &str) -> bool {
    let newer = ["globstar", "lastpipe", "inherit_errexit"];
    newer.iter().any(|option| word(line, option))
}

/// Whether this word stands alone somewhere.
fn word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-./$".contains(c);
    line.split(|c| !part(c)).any(|found| found == word)
}

/// Whether a variable is declared with this letter among the options.
fn declares(line: &str, letter: char) -> bool {
    let words: Vec<&str> = line.split([' ', ';', '(', '\t']).collect();
    let how = ["declare", "local", "typeset", "readonly"];
    let with = |option: &str| option.starts_with('-') && option.contains(letter);
    words
        .windows(2)
        .any(|pair| how.contains(&pair[0]) && with(pair[1]))
}

/// Whether a variable is expanded with this operator right after its name or index.
fn expands(line: &str, operator: &str) -> bool {
    line.split("${").skip(1).any(|rest| {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let after = rest.trim_start_matches(name);
        let named = after.len() < rest.len();
        let after = match after.strip_prefix('[') {
            Some(index) => index.split_once(']').map_or("", |(_, after)| after),
            None => after,
        };
        named && after.starts_with(operator)
    })
}

fn tests_v(line: &str) -> bool {
    any(line, &["[ -v ", "[ ! -v ", "test -v "])
}

/// `${name:0:-1}`
fn cuts_from_the_end(line: &str) -> bool {
    line.split("${").skip(1).any(|rest| {
        let inside = rest.split('}').next().unwrap_or("");
        let mut parts = inside.splitn(3, ':').skip(1);
        let [from, length] = [parts.next(), parts.next()].map(Option::unwrap_or_default);
        !from.starts_with(['-', '+', '=', '?']) && length.trim_start().starts_with('-')
    })
}

/// All of an array, unless only where it has something: `${a[@]+"${a[@]}"}`.
fn whole_array(line: &str) -> bool {
    ["[@]", "[*]"].iter().any(|all| {
        line.match_indices(all).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + all.len()..]);
            let name = before.rsplit("${").next().unwrap_or("");
            let guarded = before.contains(&format!("${{{name}{all}+"));
            !(name.starts_with('#') || after.starts_with('+') || guarded)
        })
    })
}

/// Sequences in braces, such as `1..9`.
fn sequences(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices('{').filter_map(|(at, _)| {
        let inside = line[at + 1..].split('}').next().unwrap_or("");
        let part = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let is_one = inside.contains("..") && inside.chars().all(part);
        (is_one && !line[..at].ends_with('$')).then_some(inside)
    })
}

fn steps(line: &str) -> bool {
    sequences(line).any(|s| s.matches("..").count() == 2)
}

fn pads(line: &str) -> bool {
    sequences(line).any(|s| s.starts_with('0') && !s.starts_with("0."))
}

/// The beginnings of `$( … case … in a) … )`: bash 3.2 takes the `)` of the pattern for the end of
/// the substitution, unless the pattern is written `(a)`.
fn cases_in_substitutions(code: &str) -> Vec<&str> {
    let inside = |at: usize| {
        let rest = &code[at + 2..];
        let mut depth = 1;
        let end = rest.find(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        &rest[..end.unwrap_or(rest.len())]
    };
    code.match_indices("$(")
        .map(|(at, _)| inside(at))
        .filter(|inside| {
            let begins = inside.trim_start().starts_with("case ");
            let later = any(inside, &["; case ", "\n", "&& case "]) && has_case_line(inside);
            (begins || later) && !inside.contains("esac")
        })
        .map(|inside| inside.lines().next().unwrap_or(""))
        .collect()
}

fn has_case_line(inside: &str) -> bool {
    let commands = inside.split(['\n', ';', '&']);
    commands
        .map(str::trim_start)
        .any(|c| c.starts_with("case ") && c.contains(" in"))
}

/// The lines of a script that are run: no comments, no text for people.
fn code(script: &str) -> String {
    let mut until = None::<String>;
    let mut kept = String::new();
    for line in script.lines() {
        if let Some(mark) = &until {
            if line == mark {
                until = None;
            }
            continue;
        }
        until = here_document(line);
        let (code, _) = line.split_once(" # ").unwrap_or((line, ""));
        if !code.trim_start().starts_with('#') {
            kept += code;
        }
        kept.push('\n');
    }
    kept
}

/// The mark that ends the here-document which begins in this line: capitals, as in all the scripts.
fn here_document(line: &str) -> Option<String> {
    let (_, mark) = line.split_once("<<")?;
    let mark = mark.trim_start_matches(['\'', '"']);
    let capitals = |c: &char| c.is_ascii_uppercase();
    let mark: String = mark.chars().take_while(capitals).collect();
    (!mark.is_empty()).then_some(mark)
}

/// What a script has that it must not have, each with its line.
fn found_in(script: &str) -> Vec<String> {
    let code = code(script);
    let mut found = Vec::new();
    for line in code.lines() {
        for (name, has, _) in LATER_BASH.iter().chain(&LATER_TOOLS) {
            if has(line) {
                found.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    let cases = cases_in_substitutions(&code);
    found.extend(cases.iter().map(|case| format!("case in $(): {case}")));
    found
}

fn scripts_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ceremony-scripts")
}

fn script(name: &str) -> String {
    fs::read_to_string(scripts_folder().join(name)).unwrap()
}

fn import_script() -> String {
    const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let hours = |hours| Timestamp::now() + SignedDuration::from_hours(hours);
    let script = ImportScript {
        ceremony: "00112233445566778899aabbccddeeff",
        rehearsal: false,
        title: "it's a title",
        label: "payments-2026",
        import: "eu-west-1",
        key_arn: support::ARN,
        region: "eu-west-1",
        account: ACCOUNT,
        wrapping_algorithm: "RSAES_OAEP_SHA_256",
        wrapped_sha256: DIGEST,
        token_sha256: DIGEST,
        valid_to: hours(20),
        expires: Some(hours(4000)),
        import_type: Some(ImportType::NewKeyMaterial),
        description: Some("from a test"),
        multi_region: Some(MultiRegion::Primary),
        rotates: Some("eu-west-1"),
    };
    script.render()
}

/// Everything that the cloud operator runs, as she gets it.
fn of_the_cloud_operator() -> Vec<(&'static str, String)> {
    let run = |label, import, after| Run {
        label,
        import,
        after,
        rotates: None,
    };
    let imports = [run("a", "b", None), run("a", "d", Some("b"))];
    let ceremony = "00112233445566778899aabbccddeeff";
    vec![
        ("online.sh", script("online.sh")),
        ("transit.sh", script("online/transit.sh")),
        ("azure.sh", script("online/azure.sh")),
        ("google.sh", script("online/google.sh")),
        ("oci.sh", script("online/oci.sh")),
        ("common.sh", script("online/common.sh")),
        ("import.sh", import_script()),
        (
            "import-all.sh",
            import_all(&imports, ceremony, "it's a title", false),
        ),
    ]
}

/// The `import.sh` for other KMSs than AWS KMS, before what all have in common is put in.
const TEMPLATES: [(&str, &str); 4] = [
    (
        "import.sh for transit",
        include_str!("../../src/paper/outputs/transit-import.sh.in"),
    ),
    (
        "import.sh for Azure",
        include_str!("../../src/paper/outputs/azure-import.sh.in"),
    ),
    (
        "import.sh for Google",
        include_str!("../../src/paper/outputs/google-import.sh.in"),
    ),
    (
        "import.sh for OCI",
        include_str!("../../src/paper/outputs/oci-import.sh.in"),
    ),
];

#[test]
fn what_the_cloud_operator_runs_has_nothing_later_than_bash_3_2() {
    let mut scripts = of_the_cloud_operator();
    scripts.push(("digest-rows.sh", script("digest-rows.sh")));
    scripts.extend(TEMPLATES.map(|(name, text)| (name, text.to_owned())));
    for (name, text) in scripts {
        let is_read_in = name == "common.sh";
        assert!(
            is_read_in || text.starts_with("#!/usr/bin/env bash\n"),
            "{name}"
        );
        let found = found_in(&text);
        assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
    }
}

#[test]
fn the_finder_finds_each_feature_in_code_and_not_in_words_for_people() {
    for (name, _, bad) in LATER_BASH.iter().chain(&LATER_TOOLS) {
        let in_place = format!("#!/usr/bin/env bash\nset -u\nf() {{\n    {bad}\n}}\n");
        let found = found_in(&in_place);
        let named = found.iter().any(|f| f.starts_with(name));
        assert!(named, "{name} is not found in {bad}: {found:?}");
        let told = format!("cat <<'END'\n{bad}\nEND\n    # {bad}\ntrue # {bad}\n");
        assert_eq!(found_in(&told), [""; 0], "{name} in words for people");
    }
}

#[test]
fn the_finder_finds_a_case_that_bash_3_2_reads_wrongly() {
    for bad in [
        "x=$(case $y in a | b) echo 1 ;; esac)\n",
        "x=$(pwd; case $y in a) echo 1 ;; esac)\n",
        "x=$(\n    case $y in\n        a) echo 1 ;;\n    esac\n)\n",
    ] {
        assert_eq!(found_in(bad).len(), 1, "{bad}");
    }
    for good in [
        "x=$(case $y in (a | b) echo 1 ;; esac)\n",
        "x=$(printf a)\ncase $y in a) echo \"$(pwd)\" ;; esac\nz=$((1 + 2))\n",
    ] {
        assert_eq!(found_in(good), [""; 0], "{good}");
    }
}

#[test]
fn the_finder_leaves_alone_what_bash_3_2_knows() {
    let good = r#"
        local name=$1 -r
        set -- ${a[@]+"${a[@]}"} "$@" ${1+"$@"}
        printf '%s' "${name%%,*}" "${name#^}" "${name:-x}" "${name:1:2}" "${#names[@]}" "${a[0]}"
        echo "${url%%://*@*}" "${name:?at most 1:-2}" "${name/a,/b^}"
        run 2>&1 | tee log; run >log 2>&1 &
        case $x in a | b) one ;; *) two ;; esac
        for i in {1..9}; do echo "$((10#$i - 1))"; done
        case $list in [A-Z]*) : ;; esac
        read -r first rest <<<"$x"
        echo "[ $x ]"; awk '{ print "a,b^c" }'; names+=(one)
    "#;
    for line in good.lines() {
        assert_eq!(found_in(line), [""; 0]);
    }
}

#[test]
fn the_room_scripts_that_need_a_newer_bash_say_so() {
    for name in ["verify-record.sh", "recover-without-byok.sh"] {
        let text = script(name);
        let head: Vec<&str> = text.lines().take(30).collect();
        assert!(!found_in(&text).is_empty(), "{name} runs on bash 3.2 too");
        let says = head.iter().any(|line| line.starts_with("# Needs bash 4"));
        assert!(says, "{name} does not say what it needs");
    }
    assert!(script("online.sh").contains("bash 3.2"));
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if which("shellcheck").is_none() {
        return skip("there is no shellcheck");
    }
    let home = tempfile::tempdir().unwrap();
    for (name, text) in of_the_cloud_operator() {
        let file = home.path().join(name);
        fs::write(&file, text).unwrap();
        let output = Command::new("shellcheck").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", stdout(&output));
    }
}

/// The first command of every script, and a word of the shell itself, so that no function of the caller comes before it:
/// it starts again, once, as bash -p, which takes no functions or start-up file from the environment, and without the
/// options there. POSIX mode first: then no function is called `exec`. A shell that is not bash is told so after it.
const GUARD: &str = "case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:\"$$\") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ \
    exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT \"${BASH:-bash}\" -p \"${BASH_SOURCE[0]}\" ${1+\"$@\"} ;; esac \
    # no option, function or start-up file of the caller's shell";

#[test]
fn every_script_begins_with_a_shell_that_nobody_has_set() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts: Vec<(String, String)> = of_the_cloud_operator()
        .into_iter()
        .filter(|(name, _)| *name != "common.sh") // only read in
        .map(|(name, text)| (name.to_owned(), text))
        .collect();
    for folder in [
        "ceremony-scripts",
        "softhsm-config",
        "tests",
        "tests/bundle",
    ] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "sh") {
                scripts.push((
                    path.display().to_string(),
                    fs::read_to_string(&path).unwrap(),
                ));
            }
        }
    }
    for (name, text) in scripts {
        let is_command = |line: &&str| !line.is_empty() && !line.starts_with('#');
        assert_eq!(text.lines().find(is_command), Some(GUARD), "{name}");
    }
}

#[test]
fn what_the_callers_shell_was_set_to_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "some text\n").unwrap();
    let start_up = home.path().join("start-up");
    fs::write(&start_up, "sha256sum() { echo 00; }\n").unwrap();
    let run = |options: &str| {
        let mut command = Command::new("bash");
        command
            .arg(scripts_folder().join("digest-rows.sh"))
            .arg(&file);
        if !options.is_empty() {
            command
                .env("SHELLOPTS", options)
                .env("BASH_FUNC_exec%%", "() { :; }")
                .env("BASHOPTS", "failglob:nocasematch:nullglob")
                .env("BASH_ENV", &start_up)
                .env("BASH_FUNC_sha256sum%%", "() { echo 00; }")
                .env("BASH_FUNC_awk%%", "() { echo forged; }")
                .env("BASH_FUNC_set%%", "() { echo forged; exit 0; }")
                .env("BASH_FUNC_env%%", "() { echo forged; exit 0; }")
                .env("BASH_COMPAT", "31");
        }
        command.output().unwrap()
    };
    let plain = run("");
    assert_eq!(stdout(&plain).lines().count(), 8);
    for options in [
        "noclobber:noglob",
        "posix:noglob",
        "privileged:noglob",
        "errexit:nounset",
    ] {
        let hostile = run(options);
        assert_eq!(
            stdout(&hostile),
            stdout(&plain),
            "{options}: {}",
            stderr(&hostile)
        );
    }
}

/// A clone in which `cargo build` takes a moment: it leaves a program that says where it lies.
struct Clone(tempfile::TempDir);

impl Clone {
    fn new() -> Self {
        let clone = Self(tempfile::tempdir().unwrap());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in ["ceremony-scripts", "softhsm-config", "bin", "src"] {
            fs::create_dir(clone.path(folder)).unwrap();
        }
        for file in [
            "ceremony-scripts/rehearse.sh",
            "ceremony-scripts/build-release.sh",
            "ceremony-scripts/meanwhile.sh",
            "softhsm-config/find-module.sh",
            "Cargo.toml",
            "Cargo.lock",
        ] {
            fs::copy(root.join(file), clone.path(file)).unwrap();
        }
        clone.program(
            "bin/cargo",
            "case $1 in\n--version) echo cargo 1.99.0 ;;\nauditable) exit 1 ;;\nmetadata) echo '{}' ;;\n\
             build) mkdir -p \"$CARGO_TARGET_DIR/release\"\n\
             printf '#!/bin/sh\\necho this is \"$0\"\\n' >\"$CARGO_TARGET_DIR/release/byok\"\n\
             chmod +x \"$CARGO_TARGET_DIR/release/byok\" ;;\nesac",
        );
        clone
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), format!("#!/bin/bash\n{text}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What `rehearse.sh` prints, its last line by the program that it ran.
    fn rehearses(&self) -> String {
        let output = self.script(&[], &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        support::fits(&stdout(&output));
        stdout(&output)
    }

    fn script(&self, args: &[&str], env: &[(&str, &str)]) -> std::process::Output {
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        Command::new("bash")
            .arg(self.path("ceremony-scripts/rehearse.sh"))
            .args(args)
            .env("PATH", path)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

#[test]
fn a_rehearsal_never_builds_over_the_program_that_is_there() {
    let clone = Clone::new();
    let first = clone.path("target/release/byok");
    let said = clone.rehearses();
    assert!(said.contains("byok is built"), "{said}");
    assert!(
        said.ends_with(&format!("this is {}\n", first.display())),
        "{said}"
    );

    clone.program("target/release/byok", "echo agreed on by its digest");
    let said = clone.rehearses();
    assert!(said.contains("byok found in target/release"), "{said}");
    assert!(said.ends_with("agreed on by its digest\n"), "{said}");

    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    let source = fs::File::create(clone.path("src/lib.rs")).unwrap();
    source.set_modified(later).unwrap();
    let said = clone.rehearses();
    let elsewhere = clone.path("target/rehearsal-build/release/byok");
    let newer = "the source is newer than target/release";
    assert!(support::folded(&said).contains(newer), "{said}");
    assert!(
        said.ends_with(&format!("this is {}\n", elsewhere.display())),
        "{said}"
    );
    let kept = fs::read_to_string(first).unwrap();
    assert!(kept.contains("agreed on"), "{kept}");
}

#[test]
fn what_keeps_a_rehearsal_from_its_start_is_told_in_lines_of_at_most_79_columns() {
    let clone = Clone::new();
    let there = clone.path("src").display().to_string();
    let nowhere = "/nowhere/libsofthsm2.so";
    for (args, env, says) in [
        (
            &["--samples", &there][..],
            &[][..],
            "exists already, and nothing is overwritten: give another directory, or remove it",
        ),
        (
            &[],
            &[("BYOK_SOFTHSM_MODULE", nowhere)],
            "BYOK_SOFTHSM_MODULE=/nowhere/libsofthsm2.so: there is no such file",
        ),
    ] {
        let output = clone.script(args, env);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(support::folded(&said).contains(says), "{said}");
        support::fits(&said);
    }
}

/// A computer with few tools, and the scripts.
struct Desk {
    home: tempfile::TempDir,
    ordinary_user: bool,
    env: Vec<(&'static str, String)>,
    /// Where online.sh finds the KMS.
    endpoint: Option<String>,
}

impl Desk {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["tools", "work", "tmp"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        for tool in TOOLS.split(' ') {
            let found = which(tool).unwrap_or_else(|| panic!("no {tool}"));
            symlink(found, home.path().join("tools").join(tool)).unwrap();
        }
        for (name, text) in of_the_cloud_operator() {
            fs::write(home.path().join("work").join(name), text).unwrap();
        }
        Self {
            home,
            ordinary_user: false,
            env: vec![],
            endpoint: None,
        }
    }

    /// With the real AWS CLI and this KMS.
    fn at(kms: &LoopbackKms) -> Self {
        let mut desk = Self::new();
        symlink(kms.aws_cli(), desk.home.path().join("tools/aws")).unwrap();
        desk.env = kms.env();
        desk.env
            .retain(|(name, _)| !["PATH", "HOME"].contains(name));
        desk.endpoint = Some(kms.endpoint());
        desk
    }

    /// The same for somebody who owns the two folders and nothing else.
    fn of_an_ordinary_user(mut self) -> Self {
        self.ordinary_user = true;
        let owned = ["work", "tmp"].map(|folder| self.home.path().join(folder));
        let mut chown = Command::new("chown");
        chown.args(["-R", "nobody"]).args(owned);
        assert!(chown.status().unwrap().success());
        fs::set_permissions(self.home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// In bash of the manners of 3.2, which a script takes for the one that it started itself.
    fn run(&self, args: &[&str]) -> Output {
        let drops = "--reuid nobody --regid nogroup --clear-groups --no-new-privs";
        let bash = which("bash").unwrap();
        let mut command = Command::new(&bash);
        if self.ordinary_user {
            command = Command::new(which("setpriv").expect("setpriv"));
            command.args(drops.split(' ')).arg(bash);
        }
        let path = |folder: &str| self.home.path().join(folder);
        command.args(["-c", "BYOK_SHELL=$$ exec bash \"$@\"", "bash"]);
        command.args(args).current_dir(path("work")).env_clear();
        if let Some(endpoint) = self.endpoint.as_ref().filter(|_| args[0] == "online.sh") {
            command.args(["--endpoint-url", endpoint]);
        }
        command.env("PATH", path("tools")).env("HOME", path("work"));
        command.env("TMPDIR", path("tmp")).env("BASH_COMPAT", "3.2");
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        command.output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert!(output.status.success(), "{args:?}: {said}");
        said
    }

    fn has(&self, tool: &str) -> bool {
        let looks = format!("command -v {tool}");
        self.run(&["-c", &looks]).status.success()
    }

    /// A KMS key made, its parameters downloaded, their slip shown again, and the key seen.
    fn works_a_day(&self) {
        let made = self.succeeds(&["online.sh", "create", "--name", "one"]);
        let arn = made
            .lines()
            .find(|l| l.starts_with("arn:"))
            .expect("an ARN");
        let which = [
            "online.sh",
            "parameters",
            "--name",
            "eu-west-1",
            "--key",
            arn,
        ];
        let how = ["--algorithm", "RSAES_OAEP_SHA_256", "--size", "RSA_2048"];
        self.succeeds(&[&which[..], &how].concat());
        let slip = self.succeeds(&["online.sh", "slip"]);
        assert_eq!(slip.matches("row 8 ").count(), 2, "{slip}");
        let status = self.succeeds(&["online.sh", "status"]);
        let seen = status.contains(arn) && status.contains("PendingImport");
        assert!(seen, "{status}");
        let dry = ["online.sh", "schedule-deletion", "--dry-run", "--key", arn];
        assert!(self.succeeds(&dry).contains("schedule-key-deletion"));
    }

    fn helps(&self) {
        for script in ["online.sh", "import.sh", "import-all.sh"] {
            let help = self.succeeds(&[script, "--help"]);
            assert!(help.contains("usage: bash"));
            support::fits(&help);
        }
        for verb in ["create", "parameters", "alarm", "delete-material"] {
            let help = self.succeeds(&["online.sh", verb, "--help"]);
            assert!(help.contains("Example:"), "{help}");
            support::fits(&help);
        }
    }
}

fn which(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}

#[test]
fn they_run_with_the_manners_of_bash_3_2_and_without_jq() {
    let Some(kms) = LoopbackKms::start() else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let desk = Desk::at(&kms);
    assert!(desk.has("aws"));
    for absent in ["jq", "python3", "perl", "base64", "openssl"] {
        assert!(!desk.has(absent), "{absent}");
    }
    desk.helps();
    desk.works_a_day();
}

#[test]
fn they_run_for_an_ordinary_user() {
    let Some(kms) = LoopbackKms::start() else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut desk = Desk::at(&kms);
    if is_root {
        desk = desk.of_an_ordinary_user();
    }
    assert_ne!(desk.succeeds(&["-c", "echo $EUID"]).trim(), "0");
    desk.helps();
    if !desk.run(&["-c", "aws --version"]).status.success() {
        return skip("an ordinary user cannot run the AWS CLI of BYOK_TEST_VENV");
    }
    desk.works_a_day();
}

/// byok's table too: what is shown and recorded is what is asked, or nothing is.
#[test]
fn an_endpoint_is_scheme_host_and_port_or_it_is_refused() {
    let desk = Desk::new();
    for case in include_str!("../../src/evidence/receipts/endpoints.txt").lines() {
        let (kind, url) = case.split_once(' ').unwrap();
        let import = desk.run(&["import.sh", "--yes", "--endpoint-url", url]);
        let key = ["--key", support::ARN, "--dry-run", "--endpoint-url", url];
        let online = desk.run(&[&["online.sh", "disable"][..], &key].concat());
        let said = |output: &Output| stdout(output) + &stderr(output);
        if kind == "refused" {
            for output in [import, online] {
                assert_eq!(output.status.code(), Some(2), "{url}: {}", said(&output));
                let why = said(&output);
                assert!(why.contains("--endpoint-url: "), "{url}: {why}");
                assert!(!why.contains("evil") && !why.contains("secret"), "{why}");
            }
            continue;
        }
        let asks = format!("asks        {url} (given by --endpoint-url)\n");
        assert!(said(&import).contains(&asks), "{}", said(&import));
        assert!(said(&import).contains("Material.bin is missing"));
        let command = format!("--endpoint-url {}", url.replace(['[', ']'], ""));
        let sent = said(&online).replace(['[', ']', '\\', '\''], "");
        assert!(online.status.success() && sent.contains(&command), "{sent}");
    }
}

#[test]
fn digests_in_rows_need_few_tools_too() {
    let desk = Desk::new();
    let script = scripts_folder().join("digest-rows.sh");
    fs::write(desk.home.path().join("work/file"), "hello\n").unwrap();
    let said = desk.succeeds(&[script.to_str().unwrap(), "file"]);
    assert!(said.contains("row 1   5891 b5b5"), "{said}");
}

/// With the real server and its command; `openssl` and `fold` are the only tools more.
#[test]
fn the_script_for_engines_runs_with_the_manners_of_bash_3_2() {
    let Some(bao) = Bao::start() else {
        return skip("BYOK_TEST_VENV has no bao");
    };
    let mut desk = Desk::new();
    for tool in ["openssl", "fold"] {
        symlink(
            which(tool).unwrap(),
            desk.home.path().join("tools").join(tool),
        )
        .unwrap();
    }
    symlink(bao.command(), desk.home.path().join("tools/bao")).unwrap();
    desk.env = bao.env();
    desk.env
        .retain(|(name, _)| !["PATH", "HOME"].contains(name));
    let key = bao.key("payments");
    bao.text(&["write", "-f", "transit/keys/payments"]);
    let told = |args: &[&str]| {
        let output = desk.run(args);
        well(&output);
        stdout(&output)
    };
    let slip = told(&["transit.sh", "parameters", &key, "--out", "bao.json"]);
    assert!(slip.contains("wrapping_key_sha256"), "{slip}");
    let status = told(&["transit.sh", "status", &key]);
    assert!(status.contains("aes256-gcm96"), "{status}");
    told(&["transit.sh", "delete", &key, "--yes"]);
    let output = desk.run(&["transit.sh", "status", &key]);
    refused(&output, 1, &["no answer about payments"]);
    let output = desk.run(&["azure.sh", "status", "https://a.vault.azure.net/keys/b"]);
    refused(&output, 2, &["the command az is not installed"]);
    for script in ["transit.sh", "azure.sh"] {
        let help = told(&[script, "--help"]);
        assert!(help.starts_with("usage: bash "));
        support::fits(&help);
    }
}
