//! What the HSM's module gets of this process, told by a module: sockets, foreign calls, descriptors,
//! environment, privileges.

use crate::support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;
use support::escrow::table;
use support::{Kind, PIN, Room, namespace, sha256, skip, stderr, stdout};

/// What leads to a network, or past the filter. `socket(2)` says EACCES, 13, of what one may not make.
const REFUSED: [&str; 11] = [
    "INET",
    "INET-TCP",
    "INET6",
    "PACKET",
    "VSOCK",
    "NETLINK-ROUTE",
    "ALG",
    "BLUETOOTH",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
];
/// What types at a terminal as if a person did, refused whatever the plan says of the network.
const KEYSTROKES: [&str; 4] = ["TIOCSTI", "TIOCSTI-long", "TIOCLINUX", "TIOCLINUX-long"];
/// `ioctl(2)` of a descriptor that there is not.
const NOT_OPEN: &str = "9";
const ALLOWED: [&str; 3] = ["UNIX", "PAIR", "NETLINK-UEVENT"];
/// In `C_Initialize`, and later in a thread that the module starts.
const PLACES: [&str; 2] = ["C_Initialize", "thread"];

/// A room whose module tries to get out.
fn room() -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    let rule = format!("try-escape:{}", room.path("tried").display());
    room.behind_proxy(&rule)?;
    Some(room)
}

/// What the module wrote down.
struct Tried(String);

impl Tried {
    fn of(room: &Room) -> Self {
        Self(fs::read_to_string(room.path("tried")).unwrap())
    }

    #[track_caller]
    fn came_of(&self, place: &str, what: &str) -> &str {
        let line = self.0.lines().find_map(|line| {
            let line = line.strip_prefix(place)?.strip_prefix(' ')?;
            line.strip_prefix(what)?.strip_prefix(' ')
        });
        line.unwrap_or_else(|| panic!("no {place} {what} in\n{}", self.0))
    }

    /// What stands behind a word in each of its lines.
    fn all(&self, word: &str) -> Vec<&str> {
        let of = |line| Some(str::strip_prefix(line, word)?.trim_start());
        let mut all: Vec<_> = self.0.lines().filter_map(of).collect();
        all.sort_unstable();
        all
    }
}

/// Whoever runs the tests (cargo, for one) may have left descriptors open.
const CLOSE_OTHERS: &str =
    "for n in /proc/$$/fd/*; do n=${n##*/}; [ $n -le 2 ] || eval \"exec $n>&-\"; done;";

/// A network namespace in which nothing is up.
fn no_network() -> Option<Vec<&'static str>> {
    namespace(&["--net"])
}

#[track_caller]
fn no_keystrokes(tried: &Tried, place: &str) {
    for what in KEYSTROKES {
        assert_eq!(tried.came_of(place, what), "13", "{place} {what}");
    }
    assert_eq!(tried.came_of(place, "TIOCGWINSZ"), NOT_OPEN);
}

#[test]
fn with_a_forbidden_network_no_socket_ring_or_foreign_call_gets_out_of_any_thread() {
    let (Some(mut room), Some(way)) = (room(), no_network()) else {
        return;
    };
    let output = room.run_under(&way).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("network sockets are not denied"), "{said}");
    let allowed = Tried::of(&room);
    for place in PLACES {
        for what in ["INET", "INET-TCP", "UNIX", "PAIR"] {
            assert_eq!(allowed.came_of(place, what), "ok", "{place} {what}");
        }
        no_keystrokes(&allowed, place);
    }
    let tasks = allowed.all("task ");
    assert!(
        tasks
            .iter()
            .all(|task| task.ends_with("NoNewPrivs=1 Seccomp=2")),
        "{tasks:?}"
    );
    let checked = &room
        .transcript("records/one")
        .event("machine-checked")
        .clone();
    assert_eq!(checked["sockets_denied"], false);

    fs::remove_file(room.path("tried")).unwrap();
    room.plan.network = "forbidden".into();
    room.plan.directory = "records/two".into();
    room.plan.label = "payments-2027".into();
    let output = room.run_under(&way).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("this process: no sockets but those of this"),
        "{said}"
    );
    let tried = Tried::of(&room);
    for place in PLACES {
        no_keystrokes(&tried, place);
        for what in REFUSED {
            assert_eq!(tried.came_of(place, what), "13", "{place} {what}");
        }
        for what in ALLOWED {
            let before = allowed.came_of(place, what);
            assert_eq!(tried.came_of(place, what), before, "{place} {what}");
        }
        assert_eq!(tried.came_of(place, "UNIX"), "ok");
        if cfg!(target_arch = "x86_64") {
            assert_eq!(tried.came_of(place, "x32-socket"), "13");
            match allowed.came_of(place, "i386-getpid") {
                "ok" => assert_eq!(tried.came_of(place, "i386-getpid"), "13"),
                ended => assert_eq!(tried.came_of(place, "i386-getpid"), ended),
            }
        }
    }
    let tasks = tried.all("task ");
    assert!(tasks.len() >= 3, "{tasks:?}"); // once alone, once beside a thread of its own
    assert!(
        tasks
            .iter()
            .all(|task| task.ends_with("NoNewPrivs=1 Seccomp=2")),
        "{tasks:?}"
    );
    let checked = &room
        .transcript("records/two")
        .event("machine-checked")
        .clone();
    for (field, is) in [
        ("network", json!("forbidden")),
        ("interfaces_up", json!([])),
        ("sockets_denied", json!(true)),
        ("no_new_privileges", json!(true)),
        ("umask", json!("077")),
        ("loader_variables", json!([])),
        ("variables_hidden", json!(1)), // PATH
    ] {
        assert_eq!(checked[field], is, "{field}");
    }
}

#[test]
fn a_whole_ceremony_with_escrow_passes_without_any_network_on_either_hsm() {
    for kind in [Kind::SoftHsm, Kind::Kryoptic] {
        let (Some(mut room), Some(way)) = (Room::new(kind), no_network()) else {
            continue;
        };
        room.plan.network = "forbidden".into();
        room.plan.more = table(2, 3, "files:shares");
        let output = room.run_under(&way).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let transcript = room.transcript("records/one");
        assert_eq!(transcript.event("machine-checked")["sockets_denied"], true);
        assert_eq!(transcript.events("escrow-proved").len(), 1);
        let wrapped = format!(
            "records/one/{}/eu-west-1/WrappedKeyMaterial.bin",
            room.plan.label
        );
        assert_eq!(room.openssl_opens(&wrapped).len(), 32);
        let verified = support::verifiers::both(room.dir.path(), &["records/one"]);
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
}

#[test]
fn a_plan_that_forbids_the_network_is_checked_and_its_hsm_looked_at_behind_the_same_wall() {
    let (Some(mut room), Some(way)) = (room(), no_network()) else {
        return;
    };
    room.plan.network = "forbidden".into();
    room.write_plan();
    for arguments in [
        &["check", "plan.toml", "--hsm"][..],
        &["doctor", "plan.toml"],
    ] {
        let _ = fs::remove_file(room.path("tried"));
        let byok = room.byok(arguments);
        let mut command = Command::new(way[0]);
        command
            .args(&way[1..])
            .arg(byok.get_program())
            .args(byok.get_args());
        command
            .current_dir(room.dir.path())
            .env_clear()
            .envs(room.env.iter().cloned());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?} {}", stderr(&output));
        let tried = Tried::of(&room);
        assert_eq!(tried.came_of("thread", "INET"), "13", "{arguments:?}");
        assert_eq!(tried.came_of("thread", "UNIX"), "ok", "{arguments:?}");
        if arguments[0] == "check" {
            let said = stdout(&output);
            assert!(
                said.contains("ok       this process: no sockets but those"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_rehearsal_needs_no_network_and_denies_it_to_itself() {
    let Some(module) = Kind::SoftHsm.module() else {
        return;
    };
    let room = tempfile::tempdir().unwrap();
    let mut byok = Command::new(support::program());
    byok.args(["rehearse", "--directory", "practice", "--module"])
        .arg(module)
        .env("LD_LIBRARY_PATH", "/nowhere")
        .current_dir(room.path());
    let output = byok.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let practice = fs::read_dir(room.path().join("practice"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    for record in ["record", "record-reimport", "record-recover"] {
        let path = practice.path().join(record).join("transcript.jsonl");
        let transcript = support::Transcript::read(&path);
        let checked = transcript.event("machine-checked");
        assert_eq!(checked["sockets_denied"], true, "{record}");
        assert_eq!(checked["no_new_privileges"], true, "{record}");
        assert_eq!(
            checked["loader_variables"],
            json!(["LD_LIBRARY_PATH"]),
            "{record}"
        );
    }
}

#[test]
fn no_descriptor_is_inherited_but_the_first_three_and_the_pin_s() {
    let Some(mut room) = room() else {
        return;
    };
    for (pin, left, closed) in [("fd:5", vec!["5"], 2), ("file:pin", vec![], 3)] {
        let _ = fs::remove_file(room.path("tried"));
        let directory = format!("records/{closed}");
        room.plan.pin = pin.into();
        room.plan.directory = directory.clone();
        room.plan.label = format!("payments-{closed}");
        let plan = fs::read(room.write_plan()).unwrap();
        let mut bash = Command::new("bash");
        let open = "exec 3</etc/passwd 5<pin 77>open; exec \"$@\"";
        bash.args(["-c", &format!("{CLOSE_OTHERS} {open}"), "bash"]);
        let byok = room.byok(&["run", "plan.toml", "--approve", &sha256(&plan)]);
        bash.arg(byok.get_program()).args(byok.get_args());
        bash.current_dir(room.dir.path())
            .env_clear()
            .envs(room.env.iter().cloned());
        let output = bash.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let tried = Tried::of(&room);
        let descriptors = tried.all("fd ");
        let inherited: Vec<_> = descriptors
            .iter()
            .filter(|line| {
                ["passwd", "/pin", "/open"]
                    .iter()
                    .any(|name| line.ends_with(name))
            })
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(inherited, left, "{descriptors:?}");
        let records = format!("/{directory}.incomplete/");
        let of = |number: &str| {
            let mut all = descriptors.iter().filter_map(|line| line.split_once(' '));
            all.find(|(found, _)| *found == number).unwrap().1
        };
        assert_eq!(of("1"), of("2"), "{descriptors:?}"); // what it prints
        let mut outputs = 0; // byok's own, of which nobody told the module
        for line in &descriptors {
            let (number, target) = line.split_once(' ').unwrap();
            let output = target.starts_with("pipe:") && target != of("2");
            outputs += usize::from(output);
            let lock = target.contains("/byok-token-") && target.ends_with(".lock");
            let own = target.contains(&records) || target.starts_with("/proc/") || output || lock;
            let given = number.parse::<u32>().unwrap() < 3 || left.contains(&number);
            assert!(own || given, "{line}");
        }
        assert_eq!(outputs, 1, "{descriptors:?}");
        let transcript = room.transcript(&directory);
        assert_eq!(
            transcript.event("machine-checked")["descriptors_closed"],
            closed
        );
    }
}

#[test]
fn a_socket_is_no_place_for_a_pin() {
    let Some(mut room) = room() else {
        return;
    };
    room.plan.pin = "fd:5".into();
    let plan = fs::read(room.write_plan()).unwrap();
    let approved = sha256(&plan);
    for arguments in [
        &["run", "plan.toml", "--approve", &approved][..],
        &["check", "plan.toml", "--hsm"],
        &["doctor", "plan.toml"],
    ] {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        (&ours).write_all(format!("{PIN}\n").as_bytes()).unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let byok = room.byok(arguments);
        let mut bash = Command::new("bash");
        bash.args(["-c", "exec 5<&0 </dev/null; exec \"$@\"", "bash"]);
        bash.arg(byok.get_program()).args(byok.get_args());
        bash.current_dir(room.dir.path())
            .env_clear()
            .envs(room.env.iter().cloned())
            .stdin(std::os::fd::OwnedFd::from(theirs));
        let output = bash.output().unwrap();
        let said = stdout(&output) + &stderr(&output); // of check, a line beside the others
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        let told = "the PIN from descriptor 5: it is a socket";
        assert!(said.contains(told), "{arguments:?}: {said}");
        // the module was not even loaded
        assert!(!room.path("tried").exists(), "{arguments:?}");
    }
    assert!(!room.path("records/one").exists());
}

#[test]
fn the_module_sees_of_the_environment_what_the_plan_names_and_nothing_else() {
    let Some(mut room) = room() else {
        return;
    };
    // The loader took its path before byok hid it: the real module is still found by its bare name.
    let real = Kind::SoftHsm.module().unwrap();
    let (place, name) = (real.parent().unwrap(), real.file_name().unwrap());
    for (variable, value) in &mut room.env {
        if variable == "BYOK_PROXY_MODULE" {
            *value = name.to_str().unwrap().to_owned();
        }
    }
    let Some(preloaded) = [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib/aarch64-linux-gnu/libm.so.6",
        "/lib64/libm.so.6",
    ]
    .into_iter()
    .find(|path| fs::exists(path).unwrap()) else {
        return skip("libm.so.6 is not where it is looked for");
    };
    let more = [
        ("AWS_SECRET_ACCESS_KEY", "not-for-the-module"),
        ("HOME", "/root"),
        ("LD_LIBRARY_PATH", place.to_str().unwrap()),
        ("LD_PRELOAD", preloaded),
        ("TERM", "xterm"),
    ];
    let plan = fs::read(room.write_plan()).unwrap();
    let mut byok = room.byok(&["run", "plan.toml", "--approve", &sha256(&plan)]);
    let output = byok.envs(more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("byok was started with LD_LIBRARY_PATH, LD_PRELOAD"),
        "{said}"
    );
    let tried = Tried::of(&room);
    let mut named: Vec<String> = room.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
    named.sort();
    assert_eq!(tried.all("env "), named);
    let transcript = room.transcript("records/one");
    let checked = transcript.event("machine-checked");
    assert_eq!(
        checked["loader_variables"],
        json!(["LD_LIBRARY_PATH", "LD_PRELOAD"])
    );
    assert_eq!(checked["variables_hidden"], 6); // these, and PATH
    let text = fs::read_to_string(room.path("records/one/transcript.jsonl")).unwrap();
    assert!(!text.contains("not-for-the-module") && !text.contains(preloaded));

    // one that the plan names is the module's to see
    fs::remove_file(room.path("tried")).unwrap();
    room.plan.directory = "records/two".into();
    room.plan.label = "payments-2027".into();
    let plan = room
        .plan
        .text()
        .replace("env = [", "env = [\"LD_LIBRARY_PATH\", ");
    fs::write(room.path("plan.toml"), &plan).unwrap();
    let mut byok = room.byok(&["run", "plan.toml", "--approve", &sha256(plan.as_bytes())]);
    let output = byok.envs(more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    named.push(format!("LD_LIBRARY_PATH={}", place.display()));
    named.sort();
    assert_eq!(Tried::of(&room).all("env "), named);
    let transcript = room.transcript("records/two");
    assert_eq!(transcript.event("hsm-opened")["env"][0], "LD_LIBRARY_PATH");
    let checked = transcript.event("machine-checked");
    assert_eq!(
        checked["loader_variables"],
        json!(["LD_LIBRARY_PATH", "LD_PRELOAD"])
    );
}

#[test]
fn a_variable_that_the_plan_does_not_name_is_hidden_and_the_refusal_says_so() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let plan = room.plan.text().replace("\"SOFTHSM2_CONF\", ", "");
    let output = room.run_text(&plan);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let hint = "SOFTHSM2_CONF is set, but the module does not see it: [hsm] env in the plan does not name it";
    assert!(stderr(&output).contains(hint), "{}", stderr(&output));
}

#[test]
fn what_a_ceremony_writes_is_its_owner_s_alone_whatever_the_umask_was() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let mut byok = room.run_under(&["bash", "-c", "umask 000; exec \"$@\"", "bash"]);
    let output = byok.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let transcript = room.transcript("records/one");
    assert_eq!(transcript.event("machine-checked")["umask"], "077");
    // the module's own files, which it makes as it likes, as far as the umask lets it
    let mut waiting = vec![room.path("records/one"), room.path("tokens")];
    let mut seen = 0;
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
            seen += 1;
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    assert!(seen > 10, "{seen}");
}
