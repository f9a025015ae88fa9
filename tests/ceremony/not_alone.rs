//! Others at the same HSM token, and others at the same computer.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::escrow::{lay, shares, table};
use support::remote::Remote;
use support::{Kind, LABEL, PIN, Room, refused, sha256, stderr, stdout};

const SIGNER: &str = "byok-transcript-signer";

/// `byok run` of the room's plan with this record, approved.
fn run_into(room: &mut Room, record: &str) -> Command {
    room.plan.directory = format!("records/{record}");
    let plan = format!("{record}.toml");
    fs::write(room.path(&plan), room.plan.text()).unwrap();
    let approved = sha256(room.plan.text().as_bytes());
    let mut command = room.byok(&["run", &plan, "--approve", &approved]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

// ---- at the same token -------------------------------------------------------------

/// The lock that this process holds.
fn lock_of(process: u32) -> PathBuf {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let mut files = descriptors.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let is_lock = |file: &PathBuf| file.display().to_string().contains("/byok-token-");
    files.find(is_lock).expect("a lock")
}

#[test]
fn of_four_ceremonies_on_one_token_one_makes_a_data_key_and_a_signer() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        let Some(mut room) = Room::new(kind) else {
            continue;
        };
        let runs: Vec<_> = (0..4)
            .map(|n| run_into(&mut room, &n.to_string()).spawn().unwrap())
            .collect();
        let ended: Vec<_> = runs
            .into_iter()
            .map(|run| run.wait_with_output().unwrap())
            .collect();
        let mut codes: Vec<_> = ended
            .iter()
            .map(|output| output.status.code().unwrap())
            .collect();
        codes.sort_unstable();
        let told: String = ended.iter().map(stderr).collect();
        assert_eq!(codes[0], 0, "{told}");
        for output in ended.iter().filter(|output| !output.status.success()) {
            match output.status.code() {
                Some(5) => refused(
                    output,
                    5,
                    &[
                        "step 4 of 13",
                        "another byok is using the HSM token",
                        "[TOKEN-IN-USE]",
                    ],
                ),
                _ => refused(output, 3, &["[LABEL-FREE]"]), // it came after the first had ended
            }
        }
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{told}");
        assert_eq!(room.objects().len(), 1, "{:?}", room.objects());
        assert_eq!(room.signers().len(), 2, "{:?}", room.signers()); // its two halves
        let signers = room.byok(&["check", "--hsm", "0.toml"]).output().unwrap();
        assert!(
            !stdout(&signers).contains("private keys labelled"),
            "{}",
            stdout(&signers)
        );
    }
}

#[test]
fn a_token_is_kept_from_others_until_the_ceremony_ends_and_no_longer() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.token(&["init", "elsewhere", PIN]);
    let log = room.path("log");
    if room
        .behind_proxy(&format!("hang:C_GenerateKey:1;log:{}", log.display()))
        .is_none()
    {
        return;
    }
    let mut hangs = run_into(&mut room, "hangs")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !fs::read_to_string(&log)
        .unwrap_or_default()
        .contains("hangs")
    {
        assert_eq!(hangs.try_wait().unwrap(), None, "it ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    room.without_proxy();
    let before = (room.objects(), room.signers());
    let second = run_into(&mut room, "second").output().unwrap();
    refused(
        &second,
        5,
        &[
            "[TOKEN-IN-USE]",
            "serial=",
            "let the other one end, or end it at its own screen",
        ],
    );
    for args in [
        &["check", "second.toml"][..],
        &["check", "--hsm", "second.toml"],
        &["doctor", "second.toml"],
    ] {
        let output = room.byok(args).output().unwrap();
        let told = stdout(&output) + &stderr(&output);
        assert!(told.contains("[TOKEN-IN-USE]"), "{args:?}: {told}");
        assert_eq!(output.status.code(), Some(5), "{args:?}: {told}");
    }
    assert_eq!((room.objects(), room.signers()), before);
    room.plan.token = "pkcs11:token=elsewhere".into();
    let other = run_into(&mut room, "elsewhere").output().unwrap();
    assert!(other.status.success(), "{}", stderr(&other));
    room.plan.token = "pkcs11:token=ceremony".into();
    let lock = lock_of(hangs.id());
    hangs.kill().unwrap();
    hangs.wait().unwrap();
    if rustix::process::geteuid().is_root() {
        // What another user put there, that user can take away while byok trusts in it.
        std::os::unix::fs::chown(&lock, Some(65533), None).unwrap();
        let planted = run_into(&mut room, "planted").output().unwrap();
        let lock = lock.display().to_string();
        let says = [
            "[TOKEN-LOCK]",
            &lock,
            "belongs to user 65533",
            "as root: rm ",
        ];
        refused(&planted, 5, &says);
        assert_eq!((room.objects(), room.signers()), before);
        fs::remove_file(&lock).unwrap();
    }
    let third = run_into(&mut room, "third").output().unwrap();
    assert!(third.status.success(), "{}", stderr(&third));
}

/// Somebody at another computer before the same HSM, where no lock of this one reaches.
fn at_another_computer(
    room: &Room,
    remote: &Remote,
    after: &'static str,
    call: &'static str,
    mut makes: Command,
) {
    let transcript = room.path("records/one.incomplete/transcript.jsonl");
    let mut made = false;
    remote.seen().meanwhile = Some(Box::new(move |name| {
        let intended = || {
            fs::read_to_string(&transcript)
                .unwrap_or_default()
                .contains(after)
        };
        if !made && name.split(' ').next() == Some(call) && intended() {
            made = true;
            assert!(makes.status().unwrap().success());
        }
    }));
}

#[test]
fn what_another_computer_makes_under_the_same_name_at_the_same_moment_ends_the_run() {
    let id = "0123456789abcdef0123456789abcdef";
    let data_key = ["plant", "ceremony", PIN, LABEL, id];
    let signer = ["pair", "ceremony", PIN, SIGNER, id, "no"];
    for (label, intended, call, makes) in [
        (LABEL, "key-intended", "C_GenerateKey", &data_key[..]),
        (SIGNER, "signer-intended", "C_GenerateKeyPair", &signer[..]),
    ] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        let Some(remote) = Remote::before(&mut room) else {
            return;
        };
        remote.look_at_nobody();
        at_another_computer(&room, &remote, intended, call, room.token_command(makes));
        let output = room.run();
        let shows = format!("C_FindObjects finds 2 objects labelled {label:?}");
        refused(
            &output,
            3,
            &[&shows, "[LABEL-ALONE]", id, "at another computer?"],
        );
        let left = [room.objects(), room.signers()].concat();
        assert!(
            !left.is_empty() && left.iter().all(|object| object.contains(id)),
            "{label}: {left:?}"
        );
        assert_eq!(fs::read_dir(room.path("records")).unwrap().count(), 1);
        remote.seen().meanwhile = None;
        room.token(&["destroy", "ceremony", PIN, label]);
        room.run_well();
    }
}

// ---- at the same computer ----------------------------------------------------------

fn open_to(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_others_may_write_is_a_warning_of_check_and_an_exception_of_the_record() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    fs::create_dir(room.path("lib")).unwrap();
    fs::copy(&room.module, room.path("lib/module.so")).unwrap();
    fs::create_dir(room.path("records")).unwrap();
    std::os::unix::fs::symlink("lib/module.so", room.path("module.so")).unwrap();
    room.plan.module = "module.so".into();
    let shut = [
        ("lib", 0o755),
        ("lib/module.so", 0o644),
        ("pin", 0o600),
        ("records", 0o755),
    ];
    let close = |room: &Room| {
        shut.iter()
            .for_each(|(path, mode)| open_to(&room.path(path), *mode))
    };
    close(&room);
    open_to(room.dir.path(), 0o700); // nobody gets to what is only readable
    let open = [
        (
            "pin",
            0o666,
            "others could replace the PIN file, pin: everybody may write to",
        ),
        (
            "pin",
            0o620,
            "others could replace the PIN file, pin: group 0 may write to",
        ),
        (
            "lib/module.so",
            0o777,
            "others could replace the PKCS#11 module, module.so: everybody may write to",
        ),
        (
            "lib",
            0o777,
            "others could replace the PKCS#11 module, module.so: everybody may write to",
        ),
        (
            "lib",
            0o775,
            "others could replace the PKCS#11 module, module.so: group 0 may write to",
        ),
        (
            "records",
            0o777,
            "others could replace the record, records: everybody may write to",
        ),
    ];
    let group = rustix::process::getegid().as_raw();
    let run = |room: &mut Room, number: usize| {
        room.plan.label = format!("key-{number}");
        room.plan.directory = format!("records/{number}");
        let output = room.run();
        assert!(output.status.success(), "{}", stderr(&output));
        room.transcript(&room.plan.directory)
    };
    for (number, (path, mode, told)) in open.into_iter().enumerate() {
        let told = told.replace("group 0", &format!("group {group}"));
        open_to(&room.path(path), mode);
        room.plan.directory = "records/not-yet".into();
        room.write_plan();
        let check = stdout(&room.byok(&["check", "plan.toml"]).output().unwrap());
        assert!(
            check.contains(&format!("WARNING  machine: {told}")),
            "{path} {mode:o}: {check}"
        );
        let transcript = run(&mut room, number);
        let exceptions = transcript.events("exception");
        assert_eq!(exceptions.len(), 1, "{path} {mode:o}: {exceptions:?}");
        assert!(
            exceptions[0]["what"].as_str().unwrap().contains(&told),
            "{exceptions:?}"
        );
        assert_eq!(exceptions[0]["step"], 3);
        close(&room);
    }
    assert_eq!(run(&mut room, 99).events("exception").len(), 0);
    open_to(room.dir.path(), 0o755);
    open_to(&room.path("pin"), 0o644);
    let transcript = run(&mut room, 100);
    let exceptions = transcript.events("exception");
    let what = "pin is a secret: everybody may read it (mode 0644)";
    assert_eq!(exceptions[0]["what"], what);
}

#[test]
fn a_directory_for_shares_that_others_can_enter_is_refused() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let closed = "is open to others";
    fs::create_dir(room.path("shares")).unwrap();
    room.plan.more = table(2, 2, "files:shares");
    for mode in [0o777, 0o770, 0o1777] {
        open_to(&room.path("shares"), mode);
        refused(
            &room.run(),
            5,
            &[
                closed,
                "[SHARES-CLOSED]",
                "chmod 700 shares",
                &format!("{mode:04o}"),
            ],
        );
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert!(stdout(&check).contains(closed), "{}", stdout(&check));
        assert_eq!(room.beside(), [""; 0]);
    }
    open_to(&room.path("shares"), 0o755);
    open_to(room.dir.path(), 0o755); // now they get there
    refused(
        &room.run(),
        5,
        &[closed, "everybody may enter it (mode 0755)"],
    );
    open_to(&room.path("shares"), 0o700);
    room.run_well();

    let dealt = shares(&room.path("shares"));
    let words: Vec<&str> = dealt.iter().map(|(_, words)| words.as_str()).collect();
    lay(&room.path("brought"), &words);
    open_to(&room.path("brought"), 0o755);
    room.plan.kind = "recover".into();
    room.plan.top_more = "previous = \"records/one\"\n".to_owned()
        + &format!(
            "previous_head = \"{}\"\n",
            support::escrow::head(&room.path("records/one"))
        )
        + "reuse_escrow = \"a test\"\n";
    room.plan.more = "[recover]\nshares = \"files:brought\"\n".into();
    room.plan.directory = "records/two".into();
    refused(
        &room.run(),
        5,
        &[closed, "the directory for shares, brought"],
    );
    open_to(&room.path("brought"), 0o700);
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
}
