//! `byok due`: what records say must still be done, on the days before and after each date.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support;

use support::escrow::{builds_on, table};
use support::{ARN, Kind, LABEL, Room, folded, now, refused, skip, stdout, well};

const DAY: i64 = 86_400;

/// `byok due`, on a clock that is this many seconds ahead.
fn due_at(room: &Room, ahead: i64, args: &[&str]) -> Output {
    let mut command = Command::new("faketime");
    command.args(["-f", &format!("{ahead:+}s"), support::program(), "due"]);
    command.args(args).current_dir(room.dir.path()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).output().unwrap()
}

/// What `--json` says, and the exit code.
fn told(room: &Room, ahead: i64, within: &str) -> (Value, i32) {
    let output = due_at(room, ahead, &["records", "--json", "--within", within]);
    let value = serde_json::from_slice(&output.stdout);
    let value = value.unwrap_or_else(|e| panic!("{e}: {}", support::stderr(&output)));
    (value, output.status.code().unwrap())
}

/// The tasks that it tells, with their dates.
fn tasks(told: &Value) -> Vec<(String, Option<i64>)> {
    let due = told["due"].as_array().unwrap().iter();
    due.map(|due| {
        let before = due["before"].as_str().map(|at| {
            let at: jiff::Timestamp = at.parse().unwrap();
            at.as_second()
        });
        (due["task"].as_str().unwrap().to_owned(), before)
    })
    .collect()
}

/// What the operator brings back of an import that AWS KMS took.
fn imported(room: &Room, record: &str) {
    imported_by(room, record, None);
}

/// The same from a server that is not AWS.
fn imported_by(room: &Room, record: &str, endpoint: Option<&str>) {
    let ceremony = room.transcript(record).lines[0]["ceremony"].clone();
    let at = jiff::Timestamp::from_second(now() as i64 + 60).unwrap();
    let mut result = json!({
        "format": "byok-import-result-v1", "ceremony": ceremony, "label": LABEL, "import": "eu-west-1", "key_arn": ARN,
        "KeyId": ARN, "exit": 0, "error": null, "at": at.to_string(), "cli": "aws-cli/2.30",
    });
    if let Some(endpoint) = endpoint {
        result["endpoint"] = endpoint.into();
    }
    fs::write(room.path("result.json"), result.to_string()).unwrap();
    let output = room.byok(&["receipt", record, "result.json"]).output();
    well(&output.unwrap());
}

#[test]
fn an_import_is_due_until_a_receipt_says_so_then_its_expiry_is() {
    let Some(mut room) = Room::new(Kind::SoftHsm).filter(|_| support::faketime()) else {
        return;
    };
    let expires = jiff::Timestamp::from_second(now() as i64 / DAY * DAY + 200 * DAY).unwrap();
    room.plan.expires = expires.to_string();
    room.run_well();
    let (value, exit) = told(&room, 0, "90d");
    let (deadline, before) = (tasks(&value), value["due"][0]["before"].clone());
    assert_eq!(
        (deadline[0].0.as_str(), deadline.len(), exit),
        ("import", 1, 1)
    );
    let next = format!("bash records/one/{LABEL}/eu-west-1/import.sh");
    assert_eq!(value["due"][0]["next"], next);
    assert_eq!(value["due"][0]["key_arn"], ARN);
    assert!(before.is_string());
    // a second before the deadline of the import parameters, and after it
    let left = deadline[0].1.unwrap() - now() as i64;
    assert_eq!(tasks(&told(&room, left - DAY, "90d").0)[0].0, "import");
    let (value, exit) = told(&room, left + DAY, "0d");
    assert_eq!((tasks(&value)[0].0.as_str(), exit), ("import-again", 1));
    assert_eq!(
        value["due"][0]["next"],
        "byok plan --reimport records/one --out again.toml"
    );

    imported(&room, "records/one");
    let expected = [("reimport".to_owned(), Some(expires.as_second()))];
    let left = expires.as_second() - now() as i64;
    // beyond the days that are asked for, within them, on the day before, and on the day after
    for (ahead, within, exit) in [
        (0, "90d", 0),
        (0, "201d", 1),
        (left - DAY, "2d", 1),
        (left - DAY, "0d", 0),
    ] {
        let (value, is) = told(&room, ahead, within);
        assert_eq!(
            (tasks(&value).as_slice(), is),
            (&expected[..], exit),
            "{ahead} {within}"
        );
    }
    let (value, exit) = told(&room, left + DAY, "0d");
    assert_eq!((tasks(&value)[0].0.as_str(), exit), ("expired", 1));
    let text = folded(&stdout(&due_at(&room, left + DAY, &["records"])));
    for says in [
        "OVERDUE",
        "the KMS has deleted the material",
        "security officers: byok plan --reimport records/one",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
}

/// The command is that of the last screen and the paper: whoever reads it asks the KMS at once.
#[test]
fn what_is_imported_and_not_proved_comes_with_the_command_that_asks_for_the_proof() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan_spec("HMAC_256", None);
    room.run_well();
    imported(&room, "records/one");
    let output = room.byok(&["due", "records", "--json"]).output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let prove = value["due"].as_array().unwrap().iter();
    let prove: Vec<&Value> = prove.filter(|due| due["task"] == "prove").collect();
    assert_eq!(prove.len(), 1, "{value}");
    assert_eq!(
        prove[0]["next"],
        format!("bash online.sh prove --key {ARN}")
    );
}

#[test]
fn what_a_stand_in_took_is_still_to_be_imported() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    imported_by(&room, "records/one", Some("http://localhost:4566"));
    let output = room.byok(&["due", "records"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = folded(&stdout(&output));
    for says in [
        "not imported yet",
        "says http://localhost:4566, WHICH IS NOT AWS",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    imported(&room, "records/one");
    well(&room.byok(&["due", "records"]).output().unwrap());
}

/// Whoever can make a directory makes no line, and nothing that a terminal would paint.
#[test]
fn a_name_of_a_directory_is_no_line_of_its_own() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let forged =
        "x\n\u{2062}Nothing is due: every import is reported, and none expires.\u{2060}\nverdict";
    let directory = room.path("records").join(forged);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("receipts.jsonl"), "").unwrap();
    let link = room.path("records").join(format!("link{forged}"));
    std::os::unix::fs::symlink(room.path("records/one"), link).unwrap();
    let output = room.byok(&["due", "records"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let text = stdout(&output);
    assert!(
        text.contains("BROKEN") && text.contains("a link is not followed"),
        "{text}"
    );
    assert!(
        !text
            .lines()
            .any(|line| line.contains("Nothing is due: ") && !line.contains("x\\u{a}")),
        "{text}"
    );
    assert!(!text.contains('\u{2062}'), "{text}");
}

/// A later record takes the place of the one that it builds on, with what that one says.
#[test]
fn a_reimport_takes_the_place_of_what_it_builds_on_until_the_end() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.more = table(2, 3, "files:shares");
    room.run_well();
    imported(&room, "records/one");
    room.plan.kind = "reimport".into();
    room.plan.directory = "records/two".into();
    room.plan.more = String::new();
    room.plan.top_more = builds_on(&room, "records/one");
    well(&room.run());
    let due = |room: &Room, args: &[&str]| {
        let output = room.byok(&[&["due"], args].concat()).output();
        output.unwrap()
    };
    let output = due(&room, &["records"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains(&format!("bash records/two/{LABEL}/eu-west-1/import.sh")),
        "{text}"
    );
    assert!(!text.contains("records/one/"), "{text}");
    assert!(text.contains("nobody typed these shares back"), "{text}");
    imported(&room, "records/two");
    well(&due(&room, &["records"]));
    // without the record before it
    fs::rename(room.path("records/one"), room.path("hidden")).unwrap();
    let output = due(&room, &["records"]);
    well(&output);
    assert!(stdout(&output).contains("the record before it is not here"));
    fs::rename(room.path("hidden"), room.path("records/one")).unwrap();
    // one byte is another
    let path = room.path("records/one/transcript.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replacen("generate", "generatE", 1)).unwrap();
    let output = due(&room, &["records"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(
        stdout(&output).contains("BROKEN    records/one"),
        "{}",
        stdout(&output)
    );
    fs::write(&path, good).unwrap();
    // the end: nothing is due any more, whatever was not imported
    room.plan.kind = "destroy".into();
    room.plan.directory = "records/three".into();
    room.plan.top_more = builds_on(&room, "records/two") + "reason = \"end of life\"\n";
    room.plan.imported = false;
    let output = room.run();
    well(&output);
    well(&due(&room, &["records"]));
    refused(
        &due(&room, &["nowhere"]),
        2,
        &["nowhere", "a record is a directory that a ceremony left"],
    );
    refused(
        &due(&room, &["inputs"]),
        2,
        &["no record of a real ceremony"],
    );
    refused(&due(&room, &["--within", "soon"]), 2, &["such as 90d"]);
}

/// The second run of a plan destroys what a killed one left, and its record says so under the very same label.
#[test]
fn what_an_interrupted_run_left_ends_nothing() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    if room.behind_proxy("hang:C_WrapKey:3").is_none() {
        return;
    }
    let killed = room.run_under(&["timeout", "-s", "KILL", "4"]).output();
    assert!(!killed.unwrap().status.success());
    room.without_proxy();
    let transcript = room.run_well();
    let mut destroyed = transcript.events("key-destroyed").into_iter();
    assert!(destroyed.any(|gone| gone["label"] == LABEL));
    let output = room.byok(&["due", "records", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(tasks(&value)[0].0, "import");
    assert_eq!(
        (&value["aborted"], &value["broken"]),
        (&json!(1), &json!([]))
    );
}

/// Of two copies the one counts that knows more; what was a record, and what cannot be looked into, is told.
#[test]
fn no_copy_link_or_lost_transcript_makes_it_silent() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    let copied = |name: &str| {
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .arg(room.path("records/one"))
            .arg(room.path(name));
        assert!(copy.status().unwrap().success());
    };
    copied("records/a-copy-from-before");
    imported(&room, "records/one");
    let due = |args: &[&str]| room.byok(&[&["due"], args].concat()).output().unwrap();
    well(&due(&["records"]));
    copied("records/other");
    fs::remove_file(room.path("records/other/transcript.jsonl")).unwrap();
    let output = due(&["records"]);
    assert_eq!(output.status.code(), Some(4));
    let text = stdout(&output);
    assert!(
        text.contains("BROKEN    records/other") && !text.contains("Nothing is due"),
        "{text}"
    );
    fs::remove_dir_all(room.path("records/other")).unwrap();
    std::os::unix::fs::symlink(room.path("records/one"), room.path("records/other")).unwrap();
    let output = due(&["records"]);
    well(&output);
    assert!(stdout(&output).contains("records/other: a link is not followed"));
    let practice =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/0.1.0/generate");
    refused(
        &due(&[practice.to_str().unwrap()]),
        2,
        &["no record of a real ceremony", "of others there are 1"],
    );
}

/// Every kind of record that 0.1.0 made, practice and aborted ones too.
#[test]
fn the_records_of_all_kinds_are_read_and_practice_is_left_out() {
    let records = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let output = Command::new(support::program())
        .args(["due", "--json"])
        .arg(records)
        .output();
    let value: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let counts =
        ["records", "practice", "aborted", "data_keys"].map(|name| value[name].as_u64().unwrap());
    assert_eq!(counts, [12, 3, 2, 14]);
    assert_eq!(value["broken"], json!([]));
}

/// By a stock parser: PyPI's icalendar.
#[test]
fn the_calendar_is_one_with_alarms_and_the_page_shows_each_import() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let expires = jiff::Timestamp::from_second(now() as i64 / DAY * DAY + 200 * DAY).unwrap();
    room.plan.expires = expires.to_string();
    room.run_well();
    imported(&room, "records/one");
    let files = ["--ics", "due.ics", "--html", "due.html"];
    let output = room
        .byok(&[&["due"], &files[..]].concat())
        .output()
        .unwrap();
    well(&output);
    let page = fs::read_to_string(room.path("due.html")).unwrap();
    for says in [
        LABEL,
        "accepted by KMS",
        "byok plan --reimport records/one",
        "<svg ",
        "in the KMS since <b>",
        "plan the ceremony <b>",
        "height=\"9\" fill=\"#000\"",
    ] {
        assert!(page.contains(says), "{says}");
    }
    refused(
        &room
            .byok(&[&["due"], &files[..]].concat())
            .output()
            .unwrap(),
        2,
        &["no file is overwritten"],
    );
    let text = fs::read_to_string(room.path("due.ics")).unwrap();
    assert!(
        text.lines().all(|line| line.len() <= 75)
            && text.matches("\r\n").count() == text.lines().count()
    );
    let Some(venv) = std::env::var_os("BYOK_TEST_VENV").filter(|venv| !venv.is_empty()) else {
        return skip("no BYOK_TEST_VENV");
    };
    let python = std::path::absolute(venv).unwrap().join("bin/python");
    const READ: &str = "import icalendar, sys\n\
        calendar = icalendar.Calendar.from_ical(open(sys.argv[1], 'rb').read())\n\
        for event in calendar.walk('VEVENT'):\n\
        \x20   alarms = [str(alarm['TRIGGER'].dt.days) for alarm in event.walk('VALARM')]\n\
        \x20   print(event['SUMMARY'], event['DTSTART'].dt.strftime('%Y-%m-%dT%H:%M:%SZ'), *alarms, sep='|')\n\
        \x20   print(event['DESCRIPTION'])\n";
    let output = Command::new(python)
        .args(["-c", READ])
        .arg(room.path("due.ics"))
        .output()
        .unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("No module named 'icalendar'") {
        return skip("BYOK_TEST_VENV has no icalendar");
    }
    well(&output);
    let expected = format!(
        "byok: {LABEL}/eu-west-1: the KMS deletes the material|{expires}|-60|-14|-1\n{ARN}\n\
         security officers: byok plan --reimport records/one --out again.toml\n"
    );
    assert_eq!(stdout(&output), expected);
}

#[test]
fn what_docs_benchmark_measures_can_be_measured() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/due.sh");
    let mut measured = Command::new(script);
    measured.arg("24").env("BYOK_TEST_BIN", support::program());
    let output = measured.output().unwrap();
    well(&output);
    assert!(support::stderr(&output).starts_with("24 records: "));
}
