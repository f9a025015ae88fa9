//! Killed at any moment, and a disk that fails at any moment: what is left is named, nothing that has the
//! final name is less than whole, and the next run of the same plan comes to its end.
//!
//! strace says which calls of a whole ceremony change what is on disk (between two of them the state of the
//! disk is one), then each of them is the last call of a run, or fails. `BYOK_TEST_ALL=1`: every one of them;
//! else a sample that is spread over the whole ceremony.

use crate::support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::Kind;
use support::dead::{Faults, Scene};
use support::strace::{self, Call};

/// How many are tried of each kind of fault, where not all are.
const SAMPLE: usize = 6;

/// Two runs at a time.
const WORKERS: usize = 2;

fn all() -> bool {
    std::env::var_os("BYOK_TEST_ALL").is_some()
}

/// The calls of a whole run that change something.
fn clean_run(scene: &Scene) -> Vec<Call> {
    scene.restore();
    let output = strace::run(&scene.room, None).output().unwrap();
    assert!(output.status.success(), "{}", support::stderr(&output));
    let calls = strace::calls(&scene.room);
    strace::changes(&scene.room, &calls)
}

/// Tries `fault` at every call that `wanted` picks, or at a sample of them, and prints how many were safe.
fn each(
    what: &str,
    kind: &'static str,
    wanted: fn(&Call) -> bool,
    fault: fn(&Scene, &Call) -> Faults,
) {
    let cut_off = AtomicUsize::new(0);
    let (next, tried, unsafe_ones) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        Mutex::new(Vec::new()),
    );
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let Some(scene) = Scene::new(Kind::SoftHsm, kind) else {
                    return;
                };
                if !strace::is_here(&scene.room) {
                    return;
                }
                let mut calls = clean_run(&scene);
                calls.retain(wanted);
                let step = if all() {
                    1
                } else {
                    calls.len().div_ceil(SAMPLE)
                };
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst) * step;
                    let Some(call) = calls.get(at) else { break };
                    scene.restore();
                    let faults = fault(&scene, call);
                    tried.fetch_add(1, Ordering::SeqCst);
                    if scene.hsm_cut_off.take() && faults.is_empty() {
                        cut_off.fetch_add(1, Ordering::SeqCst);
                    } else if !faults.is_empty() {
                        let told = format!(
                            "at {}, {}:\n  {}",
                            call.place(),
                            call.line,
                            faults.join("\n  ")
                        );
                        eprintln!("{told}");
                        unsafe_ones.lock().unwrap().push(told);
                    }
                }
            });
        }
    });
    let (tried, unsafe_ones) = (tried.into_inner(), unsafe_ones.into_inner().unwrap());
    let cut_off = cut_off.into_inner();
    let ours = tried - cut_off;
    if tried > 0 {
        println!(
            "{what}: {kind}: {ours} tried, {} safe; {cut_off} more cut SoftHSM off in a file of its own",
            ours - unsafe_ones.len()
        );
    }
    assert!(unsafe_ones.is_empty(), "{}", unsafe_ones.join("\n"));
}

// ---- killed ----------------------------------------------------------------------------

fn killed(scene: &Scene, call: &Call) -> Faults {
    let inject = format!("{}:signal=SIGKILL:when={}", call.name, call.number);
    let output = strace::run(&scene.room, Some(&inject)).output().unwrap();
    if !strace::was_killed(&output) {
        return vec![format!("it was not killed: {:?}", output.status)];
    }
    if is_of_softhsm_alone(scene, call) {
        return Faults::new();
    }
    scene.judge()
}

/// SoftHSM writes its token's own file anew at every login, in place: cut off there, the whole token is gone,
/// with or without byok (docs/threat-model.md).
fn is_of_softhsm_alone(scene: &Scene, call: &Call) -> bool {
    let own = call.file().ends_with("/token.object");
    let gone = own && !scene.has_its_token();
    scene.hsm_cut_off.set(gone);
    gone
}

#[test]
fn a_generation_killed_at_any_call_leaves_what_the_next_one_takes_away() {
    each("kills", "generate", |_| true, killed);
}

#[test]
fn a_reimport_killed_at_any_call_leaves_what_the_next_one_takes_away() {
    each("kills", "reimport", |_| true, killed);
}

#[test]
fn a_recovery_killed_at_any_call_leaves_what_the_next_one_takes_away() {
    each("kills", "recover", |_| true, killed);
}

// ---- a disk that fails -----------------------------------------------------------------

/// What a disk says that is full, or broken, at this call.
fn error_at(call: &Call) -> &'static str {
    match call.name.as_str() {
        "fsync" | "fdatasync" => "EIO",
        "unlink" | "unlinkat" | "rmdir" => "EROFS",
        _ => "ENOSPC",
    }
}

/// The call fails once; what comes after it is well again.
fn failed_once(scene: &Scene, call: &Call) -> Faults {
    failed(scene, call, "")
}

/// Every call of its name fails from then on, as on a disk that stays full; the screen's writes too.
fn failed_for_good(scene: &Scene, call: &Call) -> Faults {
    failed(scene, call, "+")
}

fn failed(scene: &Scene, call: &Call, more: &str) -> Faults {
    let (name, number, error) = (&call.name, call.number, error_at(call));
    let inject = format!("{name}:error={error}:when={number}{more}");
    let output = strace::run(&scene.room, Some(&inject)).output().unwrap();
    if is_of_softhsm_alone(scene, call) {
        return Faults::new();
    }
    let mut faults = Faults::new();
    let said = support::stderr(&output);
    match output.status.code() {
        Some(0) => {}
        Some(3 | 5) if scene.room.path("records/one").exists() => {
            faults.push(format!("it failed, and the record has its name: {said}"));
        }
        Some(3 | 5) if more.is_empty() => faults.extend(scene.is_said(&said)),
        Some(3 | 5) => {}
        other => faults.push(format!("it ended with {other:?}: {said}")),
    }
    faults.extend(scene.judge());
    faults
}

/// In the record, its shares, or the directories above: not in the token.
fn is_ours(call: &Call) -> bool {
    !call.file().contains("/tokens/") && !call.path().contains("/tokens/")
}

#[test]
fn a_generation_whose_disk_refuses_any_one_call_is_safe() {
    each("full disk, once", "generate", |_| true, failed_once);
}

#[test]
fn a_generation_whose_disk_refuses_from_any_call_on_is_safe() {
    each("full disk, for good", "generate", is_ours, failed_for_good);
}

#[test]
fn a_reimport_whose_disk_refuses_from_any_call_on_is_safe() {
    each("full disk, for good", "reimport", is_ours, failed_for_good);
}

#[test]
fn a_recovery_whose_disk_refuses_from_any_call_on_is_safe() {
    each("full disk, for good", "recover", is_ours, failed_for_good);
}

#[test]
fn a_reimport_whose_disk_refuses_any_one_call_is_safe() {
    each("full disk, once", "reimport", is_ours, failed_once);
}

#[test]
fn a_recovery_whose_disk_refuses_any_one_call_is_safe() {
    each("full disk, once", "recover", is_ours, failed_once);
}

// ---- the power goes --------------------------------------------------------------------

/// What SIGKILL cannot show: the order in which things are on disk.
fn on_disk_in_order(kind: &'static str) {
    let Some(scene) = Scene::new(Kind::SoftHsm, kind) else {
        return;
    };
    if !strace::is_here(&scene.room) {
        return;
    }
    let calls = clean_run(&scene);
    let faults = support::synced::judge(&scene.room, &calls);
    println!(
        "power loss: {kind}: {} calls, {} not synced in time",
        calls.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // and it would be seen: without the syncs of any one file or directory that stays
    let synced = calls.iter().filter(|call| call.name == "fsync");
    let gone: Vec<&str> = calls
        .iter()
        .filter(|call| call.name == "unlink")
        .map(|call| call.path())
        .collect();
    let stays = |file: &&str| !gone.iter().any(|gone| file.ends_with(gone));
    for file in synced.map(|call| call.file()).filter(stays) {
        let mut others = calls.clone();
        others.retain(|call| call.name != "fsync" || call.file() != file);
        let faults = support::synced::judge(&scene.room, &others);
        assert!(!faults.is_empty(), "nobody misses the syncs of {file}");
    }
}

#[test]
fn what_a_generation_writes_is_on_disk_before_its_record_has_its_name() {
    on_disk_in_order("generate");
}

#[test]
fn what_a_reimport_writes_is_on_disk_before_its_record_has_its_name() {
    on_disk_in_order("reimport");
}

#[test]
fn what_a_recovery_writes_is_on_disk_before_its_record_has_its_name() {
    on_disk_in_order("recover");
}

// ---- the medium goes -------------------------------------------------------------------

/// The moments, by the line that is about to be written.
const MOMENTS: [&str; 6] = [
    "machine-checked",
    "hsm-opened",
    "preflight-passed",
    "key-generated",
    "output-written",
    "sealed",
];

/// The run ends by itself, leaves no data key, and the next one is well.
fn ended_without_its_medium(scene: &Scene, output: &Output, moment: &str) {
    let said = support::stderr(output);
    assert_eq!(output.status.code(), Some(5), "{moment}: {said}");
    let mut faults = scene.is_said(&said);
    faults.extend(scene.judge());
    assert!(faults.is_empty(), "{moment}: {}\n{said}", faults.join("\n"));
}

fn each_moment(what: &str, deed: impl Fn(&Scene, &Call) -> Option<Output>) {
    let Some(scene) = Scene::new(Kind::SoftHsm, "generate") else {
        return;
    };
    if !strace::is_here(&scene.room) {
        return;
    }
    let calls = clean_run(&scene);
    let moments = if all() { &MOMENTS[..] } else { &MOMENTS[3..5] };
    for moment in moments {
        scene.restore();
        let Some(output) = deed(&scene, strace::line_of(&calls, moment)) else {
            return;
        };
        ended_without_its_medium(&scene, &output, moment);
    }
    println!("{what}: generate: {0} tried, {0} safe", moments.len());
}

#[test]
fn a_record_whose_directory_is_removed_meanwhile_leaves_no_data_key() {
    each_moment("record removed", |scene, call| {
        Some(strace::stopped_at(&scene.room, call, || {
            std::fs::remove_dir_all(scene.room.path("records")).unwrap();
        }))
    });
}

/// The record lies on a medium of its own, which is taken out.
const MEDIUM: &str = "mkdir records; mount -t tmpfs tmpfs records || exit 77\n\
    (until test -e go; do sleep 0.02; done; umount -l records; touch gone) >/dev/null 2>&1 &\n\
    exec \"$@\"";

#[test]
fn a_medium_that_is_taken_out_leaves_no_data_key() {
    let Some(way) = support::namespace(&["--mount"]) else {
        return;
    };
    let before = [&way[..], &["sh", "-c", MEDIUM, "sh"]].concat();
    each_moment("medium removed", |scene, call| {
        // `records` is there already: a call to make it is missing, nothing else
        let room = &scene.room;
        let output = strace::stopped_through(room, call, &before, &[], || {
            std::fs::write(room.path("go"), "").unwrap();
            support::wait_for(|| room.path("gone").exists());
        });
        if output.status.code() == Some(77) {
            support::skip("no tmpfs can be mounted");
            return None;
        }
        Some(output)
    });
}

/// Root, but without the power to write where nobody may.
const WITHOUT_OVERRIDE: [&str; 2] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];

#[test]
fn a_directory_that_becomes_read_only_leaves_no_data_key() {
    let drops = std::process::Command::new(WITHOUT_OVERRIDE[0])
        .args(&WITHOUT_OVERRIDE[1..])
        .arg("true")
        .output();
    let drop = match drops {
        Ok(output) if output.status.success() => &WITHOUT_OVERRIDE[..],
        _ => &[],
    };
    each_moment("read-only directory", |scene, call| {
        let room = &scene.room;
        let directories = ["records/one.incomplete", "records"];
        let mode = |mode| {
            for name in directories.iter().filter(|name| room.path(name).exists()) {
                std::fs::set_permissions(room.path(name), Permissions::from_mode(mode)).unwrap();
            }
        };
        let output = strace::stopped_through(room, call, &[], drop, || mode(0o500));
        mode(0o700); // and then it can be written again
        Some(output)
    });
}
