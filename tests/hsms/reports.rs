//! `byok doctor --report`: what people send about their HSM, and the rows of docs/hsms.md made from it.
//!
//! `SNAPSHOTS=overwrite` writes the files of the HSMs that are here anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::opencryptoki::Desk;
use crate::support;

use support::{Kind, PIN, Room, names_in, refused, well};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hsms")
}

fn read(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// What was written says what docs/hsms/ has of this version of the module, and not whose it is.
fn is_kept(room: &Room, kept_as: &str, pin: &str) {
    let text = fs::read_to_string(room.path("report.json")).unwrap();
    let place = room.dir.path().display().to_string();
    let own = ["\"ceremony\"", "token=", pin, &room.plan.module, &place];
    for own in own {
        assert!(!text.contains(own), "{own} in {text}");
    }
    let file = kept().join(kept_as);
    if std::env::var_os("SNAPSHOTS").is_some_and(|word| word == "overwrite") {
        fs::write(&file, &text).unwrap();
    }
    let same = |mut report: Value| {
        // another build of the module, and another byok, may say the same
        report["module"]["module_sha256"].take();
        report["byok"].take();
        report
    };
    let (is, kept): (Value, Value) = (serde_json::from_str(&text).unwrap(), read(&file));
    assert!(is["token"].get("serial").is_none() && is["token"].get("token").is_none());
    if (&is["module"]["library"], &is["token"]) == (&kept["module"]["library"], &kept["token"]) {
        assert_eq!(same(is), same(kept));
    }
}

/// Without a plan, so that every KMS's way is tried.
fn arguments(room: &Room) -> [&str; 9] {
    let (module, token) = (room.plan.module.as_str(), room.plan.token.as_str());
    let [pin, report] = ["file:pin", "report.json"];
    [
        "doctor", "--module", module, "--token", token, "--pin", pin, "--report", report,
    ]
}

fn reports(kind: Kind, kept_as: &str) {
    let Some(room) = Room::new(kind) else {
        return;
    };
    let report = || room.byok(&arguments(&room));
    well(&report().output().unwrap());
    is_kept(&room, kept_as, PIN);
    let before = fs::read(room.path("report.json")).unwrap();
    let again = report().output().unwrap();
    refused(&again, 2, &["report.json", "no file is overwritten"]);
    assert_eq!(fs::read(room.path("report.json")).unwrap(), before);
}

#[test]
fn doctor_reports_of_softhsm_what_the_page_has_of_it() {
    reports(Kind::SoftHsm, "SoftHSM-2.6.1.json");
}

#[test]
fn doctor_reports_of_kryoptic_what_the_page_has_of_it() {
    reports(Kind::Kryoptic, "kryoptic-1.5.4.json");
}

#[test]
fn doctor_reports_of_opencryptoki_what_the_page_has_of_it() {
    let Some(desk) = Desk::new() else {
        return;
    };
    let Some(output) = desk.byok(&arguments(&desk.room)) else {
        return;
    };
    well(&output);
    is_kept(
        &desk.room,
        "opencryptoki-3.8.1.json",
        crate::opencryptoki::PIN,
    );
}

/// A module may put the token's label, its serial number or its own path into what it answers.
#[test]
fn a_reason_in_a_report_does_not_name_the_token() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    // a token whose label is part of every reason
    room.token(&["init", "C_WrapKey", PIN]);
    room.plan.token = "pkcs11:token=C_WrapKey".into();
    if room.behind_proxy("model:of C_WrapKey").is_none() {
        return;
    }
    let report = room.byok(&arguments(&room)).output();
    well(&report.unwrap());
    let text = fs::read_to_string(room.path("report.json")).unwrap();
    assert!(
        !text.contains("C_WrapKey") && text.contains("…: CKR_"),
        "{text}"
    );
}

/// Which algorithms wrap a symmetric data key in the HSM.
fn algorithms(report: &Value, family: &str) -> &'static str {
    let works = |hash: &str| {
        let wrapping = format!("{family}_{hash}");
        let mut paths = report["paths"].as_array().unwrap().iter().filter(|path| {
            path["spec"] == "SYMMETRIC_DEFAULT"
                && path["wrapped_in"] == "hsm"
                && path["wrapping"] == wrapping.as_str()
        });
        paths.any(|path| path["works"] == true)
    };
    match (works("SHA_1"), works("SHA_256")) {
        (true, true) => "both",
        (true, false) => "SHA-1",
        (false, true) => "SHA-256",
        (false, false) => "no",
    }
}

/// What works, but for some specs.
fn but_for(works: &Value, each: &Value) -> String {
    if works != true {
        return "no".into();
    }
    let failed = each.as_array().unwrap().iter();
    let failed = failed.filter(|one| one["works"] == false && one["tried"] != false);
    let failed: Vec<&str> = failed.map(|one| one["spec"].as_str().unwrap()).collect();
    match failed.is_empty() {
        true => "yes".into(),
        false => format!("yes; not {}", failed.join(", ")),
    }
}

fn row(name: &str, report: &Value) -> String {
    let yes = |value: &Value| if value == true { "yes" } else { "no" };
    format!(
        "| [{}]({}) | {} | {} | {} | {} | {} |",
        name.trim_end_matches(".json").replace('-', " "),
        format_args!("hsms/{name}"),
        algorithms(report, "RSAES_OAEP"),
        algorithms(report, "RSA_AES_KEY_WRAP"),
        but_for(&true.into(), &report["data_keys"]),
        but_for(&report["escrow"]["works"], &report["escrow"]["data_keys"]),
        yes(&report["signer"]["works"]),
    )
}

#[test]
fn every_row_of_a_report_stands_in_the_page_as_the_report_says_it() {
    let page = fs::read_to_string(kept().with_extension("md")).unwrap();
    let mut rows: Vec<String> = names_in(&kept())
        .iter()
        .map(|name| row(name, &read(&kept().join(name))))
        .collect();
    rows.sort();
    let stand = page.lines().filter(|line| line.contains("](hsms/"));
    let mut stand: Vec<&str> = stand.collect();
    stand.sort_unstable();
    assert_eq!(stand, rows);
}
