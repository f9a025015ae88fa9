//! A computer that runs from byok's medium (`ceremony-scripts/make-medium.sh`), as its first process leaves it: the record
//! says so, and nobody but root can have said it. `tests/medium.sh` starts the medium itself.

use crate::room::{listed_disk, on_machine};
use crate::support;

use std::fs;

use support::verifiers::{both, script};
use support::{Kind, Room, refused, stdout};

/// Not the order of bytes that anything else has.
const DIGEST: &str = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// /run with the file of the medium in it, and what is done to that file.
fn run_with(text: &str, then: &str) -> String {
    format!(
        "grep -q 4294967295 /proc/self/uid_map || exit 77 # root of a namespace is not believed\n\
         mount -t tmpfs -o mode=755 tmpfs /run || exit 77\n\
         umask 022; printf '{text}\\n' >/run/byok-medium; {then}"
    )
}

#[test]
fn a_computer_that_runs_from_the_medium_says_so_in_check_record_report_and_both_verifiers() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let plan = room.write_plan();
    let approved = support::sha256(&fs::read(plan).unwrap());
    let plain = room.check();
    let not = "ok       machine: it does not run from byok's medium";
    assert!(stdout(&plain).contains(not), "{}", stdout(&plain));
    let script_of = format!(
        "{}\n{}\necho 'freeze mem' >states; mount --bind states /sys/power/state || exit 77",
        listed_disk(&room, "tmpfs"),
        run_with(DIGEST, "")
    );
    let Some(checked) = on_machine(&room, &script_of, &["check", "plan.toml"]) else {
        return;
    };
    let says = format!("ok       machine: byok's medium with SHA-256 {DIGEST}");
    assert!(stdout(&checked).contains(&says), "{}", stdout(&checked));
    assert!(!stdout(&checked).contains("go to sleep"));
    let args = ["run", "plan.toml", "--approve", &approved];
    let output = on_machine(&room, &script_of, &args).unwrap();
    assert!(output.status.success(), "{}", support::stderr(&output));
    assert!(support::stderr(&output).contains(DIGEST));
    let transcript = room.transcript("records/one");
    let machine = transcript.event("machine-checked");
    assert_eq!(machine["medium_sha256"], DIGEST);
    assert_eq!(machine["live_system"], true);
    let shown = support::stderr(&output);
    let told = [
        "two sticks, each; until then the record is in this computer's memory alone:\n     carry STICK one\n",
        "\n     open STICK\n     byok verify --head 'ROW1 ROW2 ROW3' /media/STICK/one\n     close STICK\n",
    ];
    let again = on_machine(&room, &script_of, &["verify", "--next", "records/one"]).unwrap();
    for told in told {
        for screen in [&shown, &stdout(&again)] {
            assert!(screen.contains(told), "{told}: {screen}");
            assert!(!screen.contains("usb1"), "{screen}");
        }
    }
    // on another computer it is a record like any other
    let elsewhere = room
        .byok(&["verify", "--next", "records/one"])
        .output()
        .unwrap();
    assert!(stdout(&elsewhere).contains("/media/usb1/one"));
    // whoever chose the medium knows that it forgets
    assert_eq!(transcript.event("sealed")["exceptions"], 0);
    let line = format!("medium    {DIGEST}");
    let records = room.path("records");
    for verifier in [both(&records, &["one"]), script(&records, &["one"])] {
        let said = stdout(&verifier);
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    let report = fs::read_to_string(room.path("records/one/transcript.html")).unwrap();
    assert!(report.contains("medium sha256"), "{report}");
    assert!(
        !report.contains("the disk of"),
        "a medium has none: {report}"
    );
}

#[test]
fn what_somebody_else_could_have_said_about_the_medium_is_refused() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let plan = room.write_plan();
    let approved = support::sha256(&fs::read(plan).unwrap());
    for (text, then, why) in [
        (DIGEST, "chmod 666 /run/byok-medium", "somebody else"),
        (DIGEST, "chmod 777 /run", "somebody else"),
        (
            DIGEST,
            "mv /run/byok-medium /run/b; ln -s b /run/byok-medium",
            "somebody else",
        ),
        ("0123", "", "it does not hold a SHA-256"),
        (
            "",
            "rm /run/byok-medium; mkdir /run/byok-medium",
            "somebody else",
        ),
    ] {
        let script = run_with(text, then);
        let args = ["run", "plan.toml", "--approve", &approved];
        let Some(output) = on_machine(&room, &script, &args) else {
            return;
        };
        refused(&output, 5, &["cannot be believed", why, "[MEDIUM]"]);
        let checked = on_machine(&room, &script, &["check", "plan.toml"]).unwrap();
        assert_eq!(checked.status.code(), Some(5), "{}", stdout(&checked));
        assert!(
            stdout(&checked).contains("[MEDIUM]"),
            "{}",
            stdout(&checked)
        );
    }
    assert!(!room.path("records/one").exists());
}

#[test]
fn who_is_root_in_a_user_namespace_alone_has_made_no_medium() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    fs::write(
        room.path("forge"),
        format!(
            "mount -t tmpfs -o mode=755 tmpfs /run; umask 022; echo {DIGEST} >/run/byok-medium\n\
             exec \"$@\"\n"
        ),
    )
    .unwrap();
    let own = "unshare --user --map-root-user --mount";
    let script = format!("{own} true || exit 77; exec {own} sh -e forge \"$0\" \"$@\"");
    let Some(checked) = on_machine(&room, &script, &["check", "plan.toml"]) else {
        return;
    };
    assert_eq!(checked.status.code(), Some(5), "{}", stdout(&checked));
    for says in [
        "cannot be believed: byok runs in a user namespace",
        "[MEDIUM]",
    ] {
        assert!(stdout(&checked).contains(says), "{}", stdout(&checked));
    }
    assert!(!stdout(&checked).contains("byok's medium with SHA-256"));
}
