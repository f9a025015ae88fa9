//! What byok is built from: known crates in known versions under known licences, each with its reason.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::skip;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn toml(path: &str) -> Value {
    toml::from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// Name, version and licence of every crate that byok is built from on this machine, itself not among them.
fn built() -> BTreeSet<(String, String, String)> {
    let tree = [
        "tree",
        "--locked",
        "--offline",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ];
    let output = Command::new(env!("CARGO"))
        .args(tree)
        .args(["--format", "{p}\t{l}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let one = |line: &str| {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('\t')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
        (name != "byok").then(|| (name.to_owned(), version.to_owned(), licence.to_owned()))
    };
    let built: BTreeSet<_> = tree.lines().filter_map(one).collect();
    assert!(built.len() > 50, "{built:?}");
    built
}

#[test]
fn every_crate_comes_from_the_one_registry_with_its_checksum() {
    let ours = ["byok", "byok-fuzz", "byok-proxy", "byok-kryoptic"];
    for lock in [
        "",
        "fuzz/",
        "tests/modules/proxy/",
        "tests/modules/kryoptic/",
    ] {
        let lock = toml(&format!("{lock}Cargo.lock"));
        for package in lock["package"].as_array().unwrap() {
            let name = package["name"].as_str().unwrap();
            if ours.contains(&name) {
                assert!(package.get("source").is_none(), "{name}");
                continue;
            }
            let registry = "registry+https://github.com/rust-lang/crates.io-index";
            assert_eq!(package["source"], registry, "{name}");
            assert_eq!(
                package["checksum"].as_str().map(str::len),
                Some(64),
                "{name}"
            );
        }
    }
}

/// Whether a licence expression (SPDX; a slash is how crates once wrote OR) can be fulfilled with `allowed`.
fn fulfilled(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let text = expression.replace('/', " OR ");
    let mut depth = 0;
    for joint in [" OR ", " AND "] {
        let at = text.char_indices().find(|(at, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0 && text[*at..].starts_with(joint)
        });
        if let Some((at, _)) = at {
            let sides = [&text[..at], &text[at + joint.len()..]];
            let mut fulfilled = sides.into_iter().map(|side| fulfilled(side, allowed));
            return match joint {
                " OR " => fulfilled.any(|yes| yes),
                _ => fulfilled.all(|yes| yes),
            };
        }
    }
    let inner = text
        .trim()
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    inner.map_or_else(
        || allowed.contains(text.trim()),
        |inner| fulfilled(inner, allowed),
    )
}

#[test]
fn every_licence_is_one_of_those_that_deny_toml_names() {
    let deny = toml("deny.toml");
    let allowed = texts(&deny["licenses"]["allow"]);
    for (name, version, licence) in built() {
        assert!(fulfilled(&licence, &allowed), "{name} {version}: {licence}");
    }
    assert!(fulfilled("GPL-3.0 OR (MIT AND Unicode-3.0)", &allowed));
    assert!(fulfilled("LGPL-3.0/MIT", &allowed));
    for other in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND GPL-3.0",
        "MIT WITH x",
    ] {
        assert!(!fulfilled(other, &allowed), "{other}");
    }
}

#[test]
fn no_crate_is_there_in_two_versions_without_a_reason() {
    let deny = toml("deny.toml");
    let bans = &deny["bans"];
    assert_eq!(bans["multiple-versions"], "deny");
    let excused: Vec<&str> = bans["skip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(
                entry["reason"]
                    .as_str()
                    .is_some_and(|reason| reason.len() > 10),
                "{entry}"
            );
            entry["crate"].as_str().unwrap().split('@').next().unwrap()
        })
        .collect();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version, _) in built() {
        versions.entry(name).or_default().push(version);
    }
    for (name, versions) in versions {
        assert!(
            versions.len() == 1 || excused.contains(&name.as_str()),
            "{name} {versions:?}"
        );
    }
}

#[test]
fn every_crate_that_byok_asks_for_has_its_reason() {
    let manifest = toml("Cargo.toml");
    let page = read("docs/supply-chain.md");
    let (_, table) = page.split_once("## Why each crate is there").unwrap();
    let told: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once(" | "))
        .flat_map(|(crates, _)| crates.trim_end_matches('`').split("`, `"))
        .collect();
    let asked: BTreeSet<&str> = ["dependencies", "dev-dependencies"]
        .into_iter()
        .flat_map(|table| {
            manifest[table]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
        })
        .collect();
    assert_eq!(told, asked);
}

#[test]
fn every_ban_and_every_exception_has_its_reason() {
    let deny = toml("deny.toml");
    let lists = [
        &deny["bans"]["deny"],
        &deny["bans"]["skip"],
        &deny["advisories"]["ignore"],
    ];
    for entry in lists.into_iter().flat_map(|list| list.as_array().unwrap()) {
        let reason = entry["reason"].as_str().unwrap_or_default();
        assert!(reason.len() > 10, "{entry}");
    }
    for licence in texts(&deny["licenses"]["allow"]) {
        let line = format!("\"{licence}\",");
        let text = read("deny.toml");
        let line = text.lines().find(|text| text.contains(&line)).unwrap();
        assert!(line.contains("# "), "{line}");
    }
    assert_eq!(deny["sources"]["unknown-registry"], "deny");
    assert_eq!(deny["sources"]["unknown-git"], "deny");
}

/// Whether a line of a script has cargo read Cargo.lock. What a message says of cargo is no command.
fn builds(line: &str) -> bool {
    let words = [
        "build", "test", "clippy", "tree", "metadata", "fetch", "install", "mutants",
    ];
    let said = ["die ", "exit(", "--version"];
    words.into_iter().any(|word| {
        line.contains(&format!("cargo {word} "))
            || line.contains(&format!("cargo auditable {word} "))
    }) && !said.into_iter().any(|text| line.contains(text))
}

#[test]
fn every_script_builds_what_is_locked() {
    let mut seen = 0;
    for directory in ["ceremony-scripts", "softhsm-config", "tests", ".ci"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let is_script = path.extension().is_some_and(|e| e == "sh") || path.ends_with("run");
            if !is_script {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap().replace("\\\n", " ");
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'));
            for line in code.filter(|line| builds(line)) {
                seen += 1;
                assert!(line.contains("--locked"), "{}: {line}", path.display());
            }
        }
    }
    assert!(seen > 8, "{seen}");
}

/// The list of what is in a program, as CycloneDX wants it: what `sbom.sh` says of byok as the tests have it.
fn sbom() -> Option<Value> {
    if !Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|done| done.status.success())
    {
        skip("there is no python3");
        return None;
    }
    let output = Command::new(root().join("ceremony-scripts/sbom.sh"))
        .arg(support::program())
        .env("SOURCE_DATE_EPOCH", "1767225600")
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_list_of_what_a_program_is_made_of_names_every_crate_with_its_source() {
    let Some(bom) = sbom() else { return };
    assert_eq!(
        (&bom["bomFormat"], &bom["specVersion"]),
        (&"CycloneDX".into(), &"1.5".into())
    );
    assert_eq!(
        (&bom["version"], &bom["metadata"]["timestamp"]),
        (&1.into(), &"2026-01-01T00:00:00Z".into())
    );
    let serial = bom["serialNumber"]
        .as_str()
        .unwrap()
        .strip_prefix("urn:uuid:")
        .unwrap();
    let groups: Vec<usize> = serial.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    let program = &bom["metadata"]["component"];
    assert_eq!(
        (&program["type"], &program["name"]),
        (&"application".into(), &"byok".into())
    );
    let digest = support::sha256(&fs::read(support::program()).unwrap());
    assert_eq!(program["hashes"][0]["content"], digest);

    let lock = toml("Cargo.lock");
    let checksum = |name: &str, version: &str| {
        let packages = lock["package"].as_array().unwrap();
        let this = packages
            .iter()
            .find(|p| p["name"] == name && p["version"] == version);
        this.map(|package| package["checksum"].clone())
    };
    let mut told = BTreeSet::new();
    let mut refs = BTreeSet::from([program["bom-ref"].as_str().unwrap()]);
    for component in bom["components"].as_array().unwrap() {
        let text = |name: &str| component[name].as_str().unwrap();
        assert_eq!(text("type"), "library");
        assert!(
            ["required", "excluded"].contains(&text("scope")),
            "{component}"
        );
        assert!(refs.insert(text("bom-ref")), "{component}");
        assert!(
            component["licenses"][0]["expression"].is_string(),
            "{component}"
        );
        if text("name") == "rust-std" {
            continue;
        }
        let purl = format!(
            "pkg:cargo/{}@{}",
            text("name"),
            text("version").replace('+', "%2B")
        );
        assert_eq!(text("purl"), purl);
        let hash = &component["hashes"][0];
        assert_eq!(hash["alg"], "SHA-256");
        assert_eq!(
            Some(&hash["content"]),
            checksum(text("name"), text("version")).as_ref()
        );
        told.insert((text("name").to_owned(), text("version").to_owned()));
    }
    let built: BTreeSet<_> = built()
        .into_iter()
        .map(|(name, version, _)| (name, version))
        .collect();
    assert_eq!(told, built);
    // a procedural macro runs while byok is built; what it writes is in byok, it is not
    let scope = |name: &str| {
        let components = bom["components"].as_array().unwrap();
        components.iter().find(|c| c["name"] == name).unwrap()["scope"].clone()
    };
    assert_eq!(
        (scope("serde_derive"), scope("serde_json")),
        ("excluded".into(), "required".into())
    );
    let asks = bom["dependencies"].as_array().unwrap();
    let asking: BTreeSet<&str> = asks
        .iter()
        .map(|ask| ask["ref"].as_str().unwrap())
        .collect();
    assert_eq!(asking, refs);
    for on in asks.iter().flat_map(|ask| texts(&ask["dependsOn"])) {
        assert!(refs.contains(on), "{on}");
    }
}

/// Code lines of a crate's `src`, and how many of them have the word `unsafe`.
fn lines_of(directory: &Path) -> (usize, usize) {
    let mut lines = (0, 0);
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let more = match path.extension() {
            _ if path.is_dir() => lines_of(&path),
            Some(ending) if ending == "rs" => {
                let text = fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&text);
                let code = text.lines().map(str::trim);
                let code = code.filter(|line| !line.is_empty() && !line.starts_with("//"));
                let word = |c: char| !c.is_alphanumeric() && c != '_';
                let is_unsafe = |line: &&str| line.split(word).any(|word| word == "unsafe");
                (code.clone().count(), code.filter(is_unsafe).count())
            }
            _ => continue,
        };
        lines = (lines.0 + more.0, lines.1 + more.1);
    }
    lines
}

#[test]
fn what_is_said_of_each_crate_is_what_its_source_shows() {
    let page = read("docs/supply-chain.md");
    let (_, table) = page.split_once("## How far each was reviewed").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeMap<&str, Vec<&str>> = rows
        .map(|row| row.split_once("` | ").unwrap())
        .map(|(name, row)| (name, row.trim_end_matches(" |").split(" | ").collect()))
        .collect();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let manifest = toml("Cargo.toml");
    let mut asked = BTreeSet::new();
    for name in manifest["dependencies"].as_object().unwrap().keys() {
        asked.insert(name.as_str());
        let row = told.get(name.as_str());
        let row = row.unwrap_or_else(|| panic!("{name} has no row"));
        let is = packages
            .iter()
            .find(|package| package["name"] == name.as_str() && package["version"] == row[0]);
        let is = is.unwrap_or_else(|| panic!("{name} {} is not what is built from", row[0]));
        let manifest = Path::new(is["manifest_path"].as_str().unwrap());
        let (lines, dangerous) = lines_of(&manifest.with_file_name("src"));
        assert_eq!(
            row[1..3],
            [lines.to_string(), dangerous.to_string()],
            "{name}"
        );
        assert!(
            row.len() == 5 && row[3..].iter().all(|cell| !cell.is_empty()),
            "{name}"
        );
    }
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), asked);
}

/// The bundle and the package carry them.
#[test]
fn every_crate_of_the_program_comes_with_the_text_of_its_licence() {
    let output = Command::new(root().join("ceremony-scripts/third-party-licenses.sh"))
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("python3") {
        return skip("no python3 for ceremony-scripts/third-party-licenses.sh");
    }
    assert!(output.status.success(), "{said}");
}
