//! What people read before and after a ceremony that builds on a record: what is unlike a first import,
//! which record the next quorum needs, and what lies in the record.

use crate::support;

use std::fs;

use serde_json::json;
use support::escrow::{self, builds_on, lay};
use support::golden::{same, settled};
use support::pty::approval;
use support::{ARN, Kind, LABEL, Room, now, stderr, stdout};

const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Adds to `records/one` that KMS took the import.
fn receive(room: &Room) {
    let ceremony = room.transcript("records/one").lines[0]["ceremony"].clone();
    let at = jiff::Timestamp::from_second(now() as i64).unwrap();
    let answer = json!({
        "format": "byok-import-result-v1", "ceremony": ceremony, "label": LABEL,
        "import": "eu-west-1", "key_arn": room.plan.key_arn, "KeyId": room.plan.key_arn,
        "KeyMaterialId": ID, "exit": 0, "error": null, "at": at.to_string(), "cli": "aws-cli/2",
    });
    fs::write(room.path("answer.json"), answer.to_string()).unwrap();
    let output = room
        .byok(&["receipt", "records/one", "answer.json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Adds the approval screen of the room's plan to a story.
fn tells(room: &Room, story: &mut String, of: &str) {
    let screen = approval(room);
    assert!(screen.lines().count() <= 24, "it scrolls:\n{screen}");
    *story += &format!("# {of}\n{screen}\n\n");
}

#[test]
fn the_approval_says_what_kms_knows_already_and_where_the_data_key_goes_instead() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let mut story = String::new();
    room.run_well();
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    tells(
        &room,
        &mut story,
        "without a receipt nobody knows what KMS knows",
    );
    receive(&room);
    tells(
        &room,
        &mut story,
        "a receipt told that KMS has the material",
    );

    // What the screen said is what the script says.
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let script = room
        .path("records/two")
        .join(LABEL)
        .join("eu-west-1/import.sh");
    let script = fs::read_to_string(script).unwrap();
    assert!(script.contains(&format!("EXISTING_KEY_MATERIAL --key-material-id '{ID}'")));

    room.plan.directory = "records/three".into();
    room.plan.key_arn = ARN.replace("1234abcd", "99999999");
    room.plan.import_more = "other_kms_key = \"the service moves\"\n".into();
    tells(&room, &mut story, "the data key goes into another KMS key");
    same(
        "people/stories",
        "approval-of-a-reimport",
        &settled(&room, &story),
    );
}

#[test]
fn the_approval_names_the_import_that_a_witness_proves_and_a_later_plan_keeps_it() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::copy(
        room.path("inputs/eu-west-1.json"),
        room.path("inputs/second.json"),
    )
    .unwrap();
    room.plan.import_more = format!(
        "[[key.import]]\nname = \"second\"\nkey_arn = \"{ARN}\"\nparameters = \"inputs/second.json\"\n\
         wrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\nwitness_of = \"eu-west-1\"\n\
         wrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    );
    let screen = settled(&room, &approval(&room));
    same("people/stories", "approval-with-a-witness", &screen);
    room.run_well();
    let plan = room
        .byok(&["plan", "--reimport", "records/one"])
        .output()
        .unwrap();
    assert!(plan.status.success(), "{}", stderr(&plan));
    let text = stdout(&plan);
    assert_eq!(
        text.matches("witness_of = \"eu-west-1\"").count(),
        1,
        "{text}"
    );

    // It is a plan that runs, once the network is allowed and a PIN is there.
    let text = text
        .replace("network = \"forbidden\"", "network = \"allowed\"")
        .replace("pin    = \"prompt\"", "pin    = \"file:pin\"");
    fs::write(room.path("again.toml"), text).unwrap();
    let check = room
        .byok(&["check", "--hsm", "again.toml"])
        .output()
        .unwrap();
    assert!(
        check.status.success(),
        "{}{}",
        stdout(&check),
        stderr(&check)
    );
}

#[test]
fn a_plan_again_keeps_how_the_hsm_is_reached_and_not_what_was_eased_once() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    for (network, kept) in [("allowed", "forbidden"), ("hsm", "hsm")] {
        room.plan.network = network.into();
        room.run_well();
        let plan = room
            .byok(&["plan", "--reimport", "records/one"])
            .output()
            .unwrap();
        let text = stdout(&plan);
        assert!(text.contains(&format!("network = \"{kept}\"")), "{text}");
        assert!(text.contains("pin    = \"prompt\""), "{text}");
        fs::remove_dir_all(room.path("records")).unwrap();
        room.token(&["destroy", "ceremony", support::PIN, LABEL]);
    }
}

/// As long as shares are in use, so is their package.
const KEEP: &str = " KEEP escrow-package.json in 3 places: without it no share opens anything.\n";

#[test]
fn the_package_is_to_be_kept_after_a_reimport_and_not_after_the_end() {
    let Some(mut room) = escrow::room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let made = room.run();
    assert!(stderr(&made).contains(KEEP), "{}", stderr(&made));
    room.plan.kind = "reimport".into();
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.more = String::new();
    room.plan.directory = "records/two".into();
    let again = room.run();
    let script = room.byok(&["script", "plan.toml"]).output().unwrap();
    assert!(stdout(&script).contains(KEEP.trim()), "{}", stdout(&script));
    let next = room.byok(&["verify", "--next", "records/two"]).output();
    for said in [stderr(&again), stdout(&next.unwrap())] {
        let told = said.split_once(KEEP).unwrap_or_else(|| panic!("{said}")).1;
        let record = told.lines().next().unwrap();
        assert!(
            record.starts_with("   It is in ") && record.ends_with("one"),
            "{record}"
        );
    }
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    let previous = builds_on(&room, "records/two");
    room.plan.top_more = format!("{previous}reason = \"a test\"\n");
    room.plan.directory = "records/end".into();
    let end = room.run();
    let script = room.byok(&["script", "plan.toml"]).output().unwrap();
    let next = room.byok(&["verify", "--next", "records/end"]).output();
    for said in [stderr(&end), stdout(&next.unwrap()), stdout(&script)] {
        assert!(!said.is_empty() && !said.contains("KEEP"), "{said}");
    }
}

#[test]
fn after_a_recovery_with_the_old_shares_the_record_with_their_package_is_named() {
    for keep in ["sealed", "none", "extractable"] {
        let Some(mut old) = escrow::room(Kind::SoftHsm, 2, 3) else {
            return;
        };
        old.plan.keep = keep.into();
        old.run_well();
        let Some(mut new) = Room::new(Kind::SoftHsm) else {
            return;
        };
        new.use_kms_key(old.kms.clone());
        new.plan.kind = "recover".into();
        new.plan.keep = keep.into();
        new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
        new.plan.top_more = format!(
            "{}reuse_escrow = \"a test\"\n",
            builds_on(&old, "records/one")
        );
        let dealt = escrow::shares(&old.path("shares"));
        lay(
            &new.path("brought"),
            &[dealt[0].1.as_str(), dealt[1].1.as_str()],
        );
        let output = new.run();
        assert!(output.status.success(), "{}", stderr(&output));
        let next = new
            .byok(&["verify", "--next", "records/one"])
            .output()
            .unwrap();
        let holds_package = old.path("records/one");
        let advice = match keep {
            "extractable" => "byok plan --reimport one \\\n".to_owned(),
            _ => format!("byok plan --recover {} \\\n", holds_package.display()),
        };
        for said in [stderr(&output), stdout(&next)] {
            assert!(said.contains(&advice), "{keep}: {advice} in\n{said}");
            let keep = format!("{KEEP}   It is in {}\n", holds_package.display());
            assert!(said.contains(&keep), "{keep} in\n{said}");
        }
        // The advice can be followed.
        if keep != "extractable" {
            let record = holds_package.to_str().unwrap();
            let plan = new.byok(&["plan", "--recover", record]).output().unwrap();
            assert!(plan.status.success(), "{}", stderr(&plan));
            let none = new.byok(&["plan", "--recover", "records/one"]).output();
            let none = none.unwrap();
            assert!(none.status.success(), "{}", stderr(&none));
            let said = stderr(&none);
            assert!(
                said.contains("records/one holds no escrow package"),
                "{said}"
            );
            let builds = format!("builds on {}", holds_package.display());
            assert!(said.contains(&builds), "{said}");
            // Without that record nobody can name it.
            fs::rename(old.path("records"), old.path("lost")).unwrap();
            let next = new.byok(&["verify", "--next", "records/one"]).output();
            let said = stdout(&next.unwrap());
            assert!(
                said.contains("RECORD is the one that dealt the shares in use"),
                "{said}"
            );
        }
    }
}

#[test]
fn the_last_screen_says_where_the_share_files_are() {
    let Some(room) = escrow::room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let next = room.byok(&["verify", "--next", "records/one"]).output();
    for said in [stderr(&output), stdout(&next.unwrap())] {
        // The path is typed where the commands above it are, as it stands.
        let told = said.split_once(" SHARES, one file each").unwrap().1;
        let path = told.lines().nth(1).unwrap().trim();
        assert_eq!(path, "../shares", "{said}");
        let place = said
            .lines()
            .find_map(|line| line.trim().strip_prefix("First:"));
        let typed = format!(
            "cd {} && ls {path}",
            place.unwrap().trim().strip_prefix("cd ").unwrap()
        );
        let listed = std::process::Command::new("sh")
            .current_dir(room.dir.path())
            .args(["-c", &typed])
            .output()
            .unwrap();
        assert!(
            stdout(&listed).contains("01-"),
            "{typed}: {}",
            stderr(&listed)
        );
    }
}

#[test]
fn the_readme_of_a_record_lists_what_lies_in_it() {
    let Some(mut room) = escrow::room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.run_well();
    let listed = |room: &Room, record: &str| {
        let text = fs::read_to_string(room.path(record).join("README.txt")).unwrap();
        ["import.sh", "WrappedKeyMaterial.bin", "escrow-package.json"]
            .map(|name| text.contains(name))
    };
    assert_eq!(listed(&room, "records/one"), [true, true, true]);
    room.plan.kind = "reimport".into();
    room.plan.imported = false;
    room.plan.top_more = builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.more = escrow::table(2, 3, "files:new-shares");
    let dealt = room.run();
    assert!(dealt.status.success(), "{}", stderr(&dealt));
    assert!(
        stderr(&dealt).contains("DESTROY the old share forms and every copy of the old package")
    );
    assert_eq!(listed(&room, "records/two"), [false, false, true]);

    // A plan that builds on it knows from the first record where the data key goes.
    for how in ["--reimport", "--recover"] {
        let plan = room.byok(&["plan", how, "records/two"]).output().unwrap();
        assert!(plan.status.success(), "{}", stderr(&plan));
        let text = stdout(&plan)
            .replace("network = \"forbidden\"", "network = \"allowed\"")
            .replace("# reuse_escrow = \"\"", "reuse_escrow = \"a test\"")
            .replace("shares  = \"typed\"", "shares  = \"files:new-shares\"");
        assert!(text.contains(&format!("key_arn    = \"{ARN}\"")), "{text}");
        fs::write(room.path("again.toml"), &text).unwrap();
        let check = room.byok(&["check", "again.toml"]).output().unwrap();
        assert!(
            check.status.success(),
            "{}{}",
            stdout(&check),
            stderr(&check)
        );
        assert!(
            stdout(&check).contains("KMS keys: those of the previous record"),
            "{}",
            stdout(&check)
        );
        let other = text.replace("1234abcd-12ab", "99999999-12ab");
        fs::write(room.path("again.toml"), other).unwrap();
        let check = room.byok(&["check", "again.toml"]).output().unwrap();
        assert!(
            stdout(&check).contains("[KMS-KEY-MATCH]"),
            "{}",
            stdout(&check)
        );
    }

    room.plan.kind = "destroy".into();
    room.plan.top_more += "reason = \"end of life\"\n";
    room.plan.directory = "records/three".into();
    room.plan.more = String::new();
    let ended = room.run();
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert!(
        !stderr(&ended).contains("the old package"),
        "{}",
        stderr(&ended)
    );
    assert!(stderr(&ended).contains("2 nothing is imported; what was not destroyed"));
    assert_eq!(listed(&room, "records/three"), [false, false, false]);
    assert!(!room.path("records/three/import.sh").exists());
}
