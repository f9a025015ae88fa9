//! `examples/*.toml`: whole plans, read by byok itself; only what is not there keeps them from starting.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Kind, Room, stdout};

fn examples() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.ends_with(".toml"), "{name}");
        found.push((name, fs::read_to_string(path).unwrap()));
    }
    found.sort();
    found
}

/// What an example needs and nobody brought: the ids of checks, or what a line is about.
const NOT_THERE: [&str; 4] = [
    "[PARAMETERS-PRESENT]",
    "the previous record records/2026-11-22-payments-2026: there is no such directory",
    "[SOURCE]",
    "a ceremony needs a terminal",
];

#[test]
fn byok_reads_every_example_and_only_what_is_missing_keeps_it_from_starting() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::remove_dir_all(room.path("inputs")).unwrap();
    for (name, text) in examples() {
        let mut here = text
            .replace(
                "/usr/lib/softhsm/libsofthsm2.so",
                &room.module.display().to_string(),
            )
            .replace(";serial=0a1b2c3d4e5f6071", "")
            .replace("network = \"forbidden\"", "network = \"allowed\"");
        if !here.contains("[machine]") {
            here = here.replacen(
                "\n[hsm]\n",
                "\n[machine]\nnetwork = \"allowed\"\n\n[hsm]\n",
                1,
            );
        }
        fs::write(room.path("plan.toml"), here).unwrap();
        let output = room.byok(&["check", "--json", "plan.toml"]).output();
        let said: Value = serde_json::from_str(&stdout(&output.unwrap())).unwrap();
        let lines = said["lines"].as_array().unwrap();
        assert!(lines.len() > 5, "{name}: {said}");
        for line in lines {
            let what = line["what"].as_str().unwrap();
            let is_good = ["ok", "warning"].contains(&line["state"].as_str().unwrap());
            let is_missing = NOT_THERE.iter().any(|text| what.contains(text));
            assert!(is_good || is_missing, "{name}: {what}");
        }
    }
}

#[test]
fn the_examples_show_every_kind_every_kms_and_what_else_a_plan_can_do() {
    let all = examples();
    let (mut kinds, mut kmss) = (BTreeSet::new(), BTreeSet::new());
    for (name, text) in &all {
        assert!(text.starts_with("# "), "{name} does not say what it is for");
        let plan: toml::Value = toml::from_str(text).unwrap();
        kinds.insert(plan["kind"].as_str().unwrap().to_owned());
        for key in plan["key"].as_array().unwrap() {
            let imports = key.get("import").and_then(toml::Value::as_array);
            for import in imports.into_iter().flatten() {
                let kms = import.get("kms").map_or("aws", |kms| kms.as_str().unwrap());
                kmss.insert(kms.to_owned());
            }
        }
    }
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(kinds, set(&["generate", "reimport", "recover", "destroy"]));
    let every = ["aws", "openbao", "vault", "azure", "google", "oci"];
    assert_eq!(kmss, set(&every));
    for (name, shows) in [
        ("generate.toml", "\n[escrow]\n"),
        ("groups.toml", "\ngroups = ["),
        ("groups.toml", "\n[roles] "),
        ("every-kms.toml", "\nwitness_of = "),
        ("existing-material.toml", "\nsource = \"token\""),
        ("existing-material.toml", "\nsource = \"file:"),
        ("rotation.toml", "key/mrk-"),
        ("rotation.toml", "\nimport_type = \"NEW_KEY_MATERIAL\""),
        ("reimport.toml", "\nother_kms_key = "),
        ("new-shares.toml", "\n[escrow]\n"),
        ("recover.toml", "\n[recover]\n"),
        ("destroy.toml", "\nreason   = "),
    ] {
        let (_, text) = all.iter().find(|(file, _)| file == name).unwrap();
        assert!(text.contains(shows), "{name}: {shows}");
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plan-format.md");
    let page = fs::read_to_string(page).unwrap();
    for (name, _) in &all {
        let link = format!("[{name}](../examples/{name})");
        assert!(page.contains(&link), "docs/plan-format.md: {link}");
    }
}
