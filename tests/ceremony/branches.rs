//! Records that branch: several build on one, and whoever follows one of them is told of the others.

use crate::support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use support::escrow::{builds_on, head, room, table};
use support::pty::approval;
use support::verifiers::copy_tree;
use support::{Kind, Room, folded, refused, stderr, stdout, well};

/// A reimport that builds on `records/<from>`, without an import; with shares of its own, if any.
fn again(room: &mut Room, from: &str, to: &str, escrow: String) {
    room.plan.kind = "reimport".into();
    room.plan.imported = escrow.is_empty();
    room.plan.directory = format!("records/{to}");
    room.plan.top_more = builds_on(room, &format!("records/{from}"));
    room.plan.more = escrow;
}

fn held(room: &mut Room, from: &str, to: &str, escrow: String) {
    again(room, from, to, escrow);
    well(&room.run());
}

/// `one`; `left` and `right` build on it, and `right` dealt new shares.
fn branched() -> Option<Room> {
    let mut room = room(Kind::SoftHsm, 2, 3)?;
    room.run_well();
    held(&mut room, "one", "left", String::new());
    let anew = table(2, 2, "files:new-shares");
    held(&mut room, "one", "right", anew);
    Some(room)
}

fn verify(room: &Room, args: &[&str]) -> Output {
    let output = room.byok(&[&["verify"], args].concat()).output().unwrap();
    well(&output);
    output
}

/// The lines about other records.
fn beside(room: &Room, args: &[&str]) -> Vec<String> {
    let text = stdout(&verify(room, args));
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("beside    "));
    lines.map(str::to_owned).collect()
}

#[track_caller]
fn names(told: &[String], wanted: &[(&str, &str)]) {
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    for (line, (begins, says)) in told.iter().zip(wanted) {
        assert!(line.starts_with(begins), "{begins}: {line}");
        assert!(line.contains(says), "{says}: {line}");
    }
}

#[test]
fn verify_names_the_records_that_none_of_the_followed_ones_builds_on() {
    let Some(mut room) = branched() else {
        return;
    };
    let on_one = "records/one)";
    let right = ("records/right (reimport, sealed 20", on_one);
    let left = ("records/left (reimport, sealed 20", on_one);
    let told = beside(&room, &["records/left"]);
    names(&told, &[right]);
    names(&beside(&room, &["records/right"]), &[left]);
    names(&beside(&room, &["records/one"]), &[left, right]);

    // What builds on a branch belongs to it; an attempt made nothing.
    held(&mut room, "right", "third", String::new());
    copy_tree(
        &room.path("records/third"),
        &room.path("records/four.incomplete"),
    );
    let unfinished = room.path("records/four.incomplete/transcript.jsonl");
    let text = fs::read_to_string(&unfinished).unwrap();
    let (lines, _) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&unfinished, format!("{lines}\n")).unwrap();
    let third = ("records/third (reimport", "builds on records/right)");
    names(&beside(&room, &["records/left"]), &[right, third]);
    names(&beside(&room, &["records/third"]), &[left]);

    // The verdict stays what it is, and programs are told too.
    let rows = head(&room.path("records/left"));
    let output = verify(&room, &["--json", "--head", &rows, "records/left"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["verdict"], "authentic");
    let of_right = &json["beside"][0];
    assert_eq!(of_right["directory"], "records/right");
    let on = of_right["builds_on"].as_str().unwrap();
    assert!(on.ends_with("/records/one"), "{on}");
    assert_eq!(of_right["head"], head(&room.path("records/right")));
    assert_eq!(json["beside"].as_array().unwrap().len(), 2);

    // From another place, by what was given; a copy of a followed record is no other record.
    copy_tree(&room.path("records/left"), &room.path("stick/left"));
    let told = beside(&room, &["--previous", "records", "stick/left"]);
    names(&told, &[right, third]);
}

#[test]
fn a_broken_record_beside_is_named_as_broken_and_no_link_is_followed() {
    let Some(room) = branched() else {
        return;
    };
    let transcript = room.path("records/right/transcript.jsonl");
    let whole = fs::read_to_string(&transcript).unwrap();
    fs::write(
        &transcript,
        whole.replace("\"key-found\"", "\"key-sought\""),
    )
    .unwrap();
    let told = beside(&room, &["records/left"]);
    names(
        &told,
        &[(
            "records/right (broken (transcript.jsonl: line ",
            "records/one)",
        )],
    );

    // Cut off: the name is that of a sealed record.
    let (cut, _) = whole.trim_end().rsplit_once('\n').unwrap();
    fs::write(&transcript, format!("{cut}\n")).unwrap();
    let told = beside(&room, &["records/left"]);
    names(
        &told,
        &[("records/right (broken (", "neither sealed nor aborted")],
    );

    fs::write(&transcript, whole).unwrap();
    fs::rename(room.path("records/right"), room.path("elsewhere")).unwrap();
    symlink(room.path("elsewhere"), room.path("records/right")).unwrap();
    names(&beside(&room, &["records/left"]), &[]);
    fs::remove_file(room.path("records/right")).unwrap();
    fs::create_dir(room.path("records/right")).unwrap();
    let links = room.path("records/right/transcript.jsonl");
    symlink(room.path("elsewhere/transcript.jsonl"), links).unwrap();
    names(&beside(&room, &["records/left"]), &[]);
}

/// The moment when records branch is when a plan builds on an older one.
#[test]
fn a_plan_that_builds_on_an_older_record_is_told_of_the_newer_ones() {
    let Some(mut room) = room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.run_well();
    held(&mut room, "one", "left", String::new());
    again(&mut room, "one", "right", String::new());
    let says = "records/left (reimport, sealed 20";
    let why = "what such records of these data keys dealt, wrapped and kept is not known here";
    let checked = stdout(&room.check());
    let warned = checked
        .lines()
        .find(|line| line.starts_with("WARNING  not built on: ") && line.contains(says));
    assert!(warned.is_some_and(|line| line.contains(says)), "{checked}");
    assert!(checked.contains(why), "{checked}");
    let screen = folded(&approval(&room));
    let shown = "beside not built on: 1 more record of these data keys (byok check)";
    assert!(screen.contains(shown), "{screen}");

    let plan = |record| room.byok(&["plan", "--reimport", record]).output().unwrap();
    let planned = plan("records/one");
    well(&planned);
    assert!(stderr(&planned).contains(says), "{}", stderr(&planned));
    assert!(!stdout(&planned).contains(says), "{}", stdout(&planned));
    let newest = plan("records/left");
    assert!(
        !stderr(&newest).contains("not built on"),
        "{}",
        stderr(&newest)
    );

    let last = room.run();
    well(&last);
    let shown = " NOT TOLD HERE: 1 more record of these data keys; byok verify says which\n";
    assert!(stderr(&last).contains(shown), "{}", stderr(&last));
    let next = stdout(&verify(&room, &["--next", "records/right"]));
    assert!(next.contains(shown), "{next}");

    again(&mut room, "left", "newest", String::new());
    room.plan.top_more = builds_on(&room, "records/right");
    let checked = stdout(&room.check());
    assert!(checked.contains(says), "{checked}");
}

/// A data key lives on in the shares that a branch dealt.
#[test]
fn an_end_asks_for_what_a_branch_dealt_too() {
    let Some(mut room) = branched() else {
        return;
    };
    let dealt = room.transcript("records/right").lines[0]["ceremony"].clone();
    let dealt = dealt.as_str().unwrap();
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    room.plan.directory = "records/end".into();
    room.plan.top_more = format!(
        "{}reason = \"end of life\"\n",
        builds_on(&room, "records/left")
    );
    room.plan.more = String::new();
    let checked = stdout(&room.check());
    assert!(checked.contains("records/right (reimport"), "{checked}");
    let forms =
        format!("forms and packages of ceremony {dealt}, on which this plan does not build");
    room.write_plan();
    let papers = stdout(&room.byok(&["script", "plan.toml"]).output().unwrap());
    assert!(papers.contains(&forms), "{papers}");

    well(&room.run());
    let ended = room.transcript("records/end");
    let asked = ended.events("escrow-destroyed");
    let what = format!(
        "every one of the 2 share forms of ceremony {dealt}, on which this plan does not build, \
         and every copy of its package"
    );
    let asked_for = asked.iter().find(|event| event["what"] == what.as_str());
    assert_eq!(asked_for.unwrap()["ceremony"], dealt, "{asked:?}");
    assert_eq!(asked.len(), 5, "{asked:?}");
    let told = beside(&room, &["records/end"]);
    names(&told, &[("records/right (reimport", "records/one)")]);
    // Nothing is built on what has ended, and its own copies do not count.
    refused(&room.run(), 2, &["exists"]);
}
