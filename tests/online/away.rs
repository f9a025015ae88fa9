//! Whoever imports, with the folder of one import and nothing else; and the room that reads what came of it.

use crate::kms_on_loopback::stand_in::Env;
use crate::support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::specs::{Import, in_hsm};
use support::{
    LABEL, Room, folded, names_in, openssl, refused, sha256, skip, stderr, stdout, well,
};

/// The one import of a plan, wrapped as the room's HSM can.
pub fn import_of(room: &Room, [kms, name, key]: [&str; 3], file: &str, by: [&str; 2]) -> String {
    let [wrapping, wrapping_key_sha256] = by;
    let import = Import {
        name,
        elsewhere: Some((kms, key)),
        arn: "",
        file: &format!("inputs/{file}"),
        wrapping,
        in_hsm: in_hsm(room.kind, &room.plan.spec, wrapping),
        wrapping_key_sha256,
    };
    import.text()
}

/// The digest of a wrapping key by the command of docs/targets.md.
pub fn slip(pem: &str) -> String {
    let der = openssl(&["pkey", "-pubin", "-outform", "DER"], pem.as_bytes());
    sha256(&der)
}

/// The folder of one import alone, carried elsewhere.
pub fn carried(room: &Room, record: &str, import: &str) -> PathBuf {
    let online = room.path("online");
    let _ = fs::remove_dir_all(&online);
    fs::create_dir(&online).unwrap();
    for file in fs::read_dir(room.path(record).join(LABEL).join(import)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), online.join(file.file_name())).unwrap();
    }
    online
}

/// Runs import.sh there, with these variables alone.
pub fn run(online: &Path, env: &[(&'static str, String)], args: &[&str]) -> Output {
    let mut bash = Command::new("bash");
    bash.arg("import.sh").args(args).current_dir(online);
    bash.env_clear().envs(env.iter().cloned()).output().unwrap()
}

/// A `PATH` with all commands of this machine but one.
pub fn path_without(room: &Room, command: &str) -> String {
    let folder = room.path(&format!("without-{command}"));
    fs::create_dir(&folder).unwrap();
    for entry in ["/usr/bin", "/bin"]
        .into_iter()
        .flat_map(fs::read_dir)
        .flatten()
    {
        let (from, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        if name != command {
            let _ = symlink(from, folder.join(name)); // often both are one folder
        }
    }
    folder.display().to_string()
}

/// The variables of a run in which this shell text comes before what a command does.
pub fn meddled(room: &Room, env: Env, command: &str, text: &str) -> Env {
    let bin = room.path(&format!("meddled-{command}"));
    fs::create_dir_all(&bin).unwrap();
    let text = format!("#!/bin/bash\nPATH=${{PATH#*:}}\n{text}\nexec {command} \"$@\"\n");
    fs::write(bin.join(command), text).unwrap();
    fs::set_permissions(bin.join(command), fs::Permissions::from_mode(0o755)).unwrap();
    with_bin(env, &bin)
}

/// The same variables, with the commands there before all others.
fn with_bin(env: Env, bin: &Path) -> Env {
    let with_bin = |(name, value): (&'static str, String)| match name {
        "PATH" => (name, format!("{}:{value}", bin.display())),
        _ => (name, value),
    };
    env.into_iter().map(with_bin).collect()
}

/// The variables of a run during which, right before this command sends, another run imports from a copy of the folder.
pub fn beside_another(online: &Path, env: Env, [command, sends]: [&str; 2], args: &[&str]) -> Env {
    let (other, bin) = (online.join("other"), online.join("bin"));
    fs::create_dir(&other).unwrap();
    fs::create_dir(&bin).unwrap();
    for file in fs::read_dir(online).unwrap().map(Result::unwrap) {
        if file.path().is_file() {
            fs::copy(file.path(), other.join(file.file_name())).unwrap();
        }
    }
    let text = format!(
        "#!/bin/bash\nPATH=${{PATH#*:}}\ncase \" $* \" in *' {sends} '*)\ncd '{0}' && mkdir begun && \
         {{ bash import.sh {1} >said 2>&1 </dev/null; echo $? >code; }}\ncd '{2}' ;;\nesac\nexec {command} \"$@\"\n",
        other.display(),
        args.join(" "),
        online.display(),
    );
    fs::write(bin.join(command), text).unwrap();
    fs::set_permissions(bin.join(command), fs::Permissions::from_mode(0o755)).unwrap();
    with_bin(env, &bin)
}

/// The other run imported, and saw nobody; this one says that there are two, and so do its result and the next run.
pub fn found_two(online: &Path, env: &Env, args: &[&str]) -> String {
    let output = &run(online, env, args);
    let other = |name| fs::read_to_string(online.join("other").join(name)).unwrap();
    assert_eq!(other("code"), "0\n", "{}", other("said"));
    let said = stdout(output);
    assert_eq!(output.status.code(), Some(4), "{said}{}", stderr(output));
    for text in [
        "IMPORTED into",
        "STOP. Several versions came at the same time: ",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(result(online)["exit"], 4);
    // whatever else says that it was imported
    let theirs = online.join("other/import-result.json");
    fs::copy(theirs, online.join("import-result-2.json")).unwrap();
    let again = run(online, env, args);
    refused(&again, 4, &["several versions came at the same time"]);
    let asked = run(online, env, &[&["--imported"], args].concat());
    assert_eq!(asked.status.code(), Some(1));
    said
}

/// What it wrote.
pub fn result(online: &Path) -> Value {
    serde_json::from_slice(&fs::read(online.join("import-result.json")).unwrap()).unwrap()
}

/// Adds an answer to a record, and tells how far its first import is now.
pub fn receipt(room: &Room, record: &str, file: &Path) -> String {
    let mut byok = room.byok(&["receipt", "--json", record, file.to_str().unwrap()]);
    let output = byok.output().unwrap();
    well(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["imports"][0]["kms"].as_str().unwrap().to_owned()
}

/// The room takes no such answer.
pub fn receipt_refused(
    room: &Room,
    record: &str,
    text: impl AsRef<[u8]>,
    exit: i32,
    says: &[&str],
) {
    fs::write(room.path("refused.json"), text).unwrap();
    let mut byok = room.byok(&["receipt", record, "refused.json"]);
    refused(&byok.output().unwrap(), exit, says);
}

/// The next ceremony builds on the present record.
pub fn reimport(room: &mut Room, next: &str) {
    let previous = std::mem::replace(&mut room.plan.directory, next.into());
    let head = sha256(&fs::read(room.path(&previous).join("transcript.jsonl")).unwrap());
    room.plan.kind = "reimport".into();
    room.plan.top_more = format!("previous = \"{previous}\"\nprevious_head = \"{head}\"\n");
}

/// `byok check` of the plan ends so, and says all this.
pub fn checked(room: &Room, exit: i32, says: &[&str]) {
    room.write_plan();
    let output = room.byok(&["check", "plan.toml"]).output().unwrap();
    let told = folded(&format!("{}{}", stdout(&output), stderr(&output)));
    assert_eq!(output.status.code(), Some(exit), "{told}");
    for wanted in says {
        assert!(told.contains(wanted), "{wanted:?} is not in {told}");
    }
}

/// Its import.sh is whole, is what shellcheck wants, and has a help for 79 columns but for the name of the key.
pub fn script_reads_well(online: &Path, key: &str) {
    let script = online.join("import.sh");
    assert!(!fs::read_to_string(&script).unwrap().contains("{{"));
    match Command::new("shellcheck").arg(script).output() {
        Ok(output) => well(&output),
        Err(_) => skip("no shellcheck"),
    }
    let path = std::env::var("PATH").unwrap();
    let help = run(online, &[("PATH", path)], &["--help"]);
    well(&help);
    let help = stdout(&help);
    let mut lines = help.lines().filter(|line| !line.contains(key));
    assert!(lines.all(|line| line.len() < 80), "{help}");
}

/// The import is done, and another person is to ask for its proof so: nothing of it is an alarm.
pub fn not_proved_yet(said: &str, prove: &str) {
    for text in ["IMPORTED into", "It is imported, and not proved yet", prove] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
    for alarm in ["may not be this data key", "STOP", "did not", "  | "] {
        assert!(!said.contains(alarm), "{alarm:?} is in {said}");
    }
}

/// The key did not show that it is the data key.
pub fn is_alarmed(said: &str) {
    for text in [
        "IMPORTED into",
        "did not show what proves the data key",
        "may not be this data key",
    ] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
}

/// A second run that cannot look: it sends nothing, and says when it was imported and what to do.
pub fn stops_unseen(online: &Path, env: Env, [command, sign_in]: [&str; 2], args: &[&str]) {
    let bin = online.join("signed-out");
    fs::create_dir(&bin).unwrap();
    let asked = "#!/bin/sh\necho \"$*\" >>\"${0%/*}/asked\"\necho 'not signed in' >&2\nexit 1\n";
    fs::write(bin.join(command), asked).unwrap();
    fs::set_permissions(bin.join(command), fs::Permissions::from_mode(0o755)).unwrap();
    let before = names_in(online);
    let signed_out = env.into_iter().map(|(name, value)| match name {
        "PATH" => (name, format!("{}:{value}", bin.display())),
        _ => (name, value),
    });
    let output = run(online, &signed_out.collect::<Vec<_>>(), args);
    let says = [
        "nothing was sent by this run; it was imported on 20",
        &format!("such as a sign-in ({sign_in})"),
        "run this again",
    ];
    refused(&output, 1, &says);
    let said = format!("{}{}", stdout(&output), stderr(&output));
    for wrong in [
        "NOT IMPORTED",
        "Going on",
        "without knowing",
        "nothing was imported",
    ] {
        assert!(!said.contains(wrong), "{wrong:?} is in {said}");
    }
    assert_eq!(names_in(online), before);
    let asked = fs::read_to_string(bin.join("asked")).unwrap();
    assert!(!asked.contains("import"), "{asked}");
    fs::remove_dir_all(bin).unwrap();
}

/// The alarm is on the screen and in the result, with what the KMS said; and the record keeps that result.
pub fn alarm_is_kept(room: &Room, online: &Path, output: &Output, why: &str) {
    well(output);
    is_alarmed(&stdout(output));
    let told = result(online);
    let unproved = told["unproved"].as_str().unwrap_or_default();
    assert!(unproved.contains(why), "{told}");
    let file = online.join("import-result.json");
    assert_eq!(receipt(room, "records/one", &file), "accepted by KMS");
    let kept = room.path("records/one/receipts");
    let mut kept = fs::read_dir(kept).unwrap().map(Result::unwrap);
    assert!(kept.any(|kept| fs::read(kept.path()).unwrap() == fs::read(&file).unwrap()));
    let again = ["receipt", "records/one", file.to_str().unwrap()];
    let shown = room.byok(&again).output().unwrap();
    well(&shown);
    let shown = stdout(&shown);
    let told = shown
        .split_once("\n          the KMS showed no proof: ")
        .unwrap();
    assert!(told.1.lines().next().unwrap().contains(why), "{shown}");
    fs::remove_file(file).unwrap();
}
