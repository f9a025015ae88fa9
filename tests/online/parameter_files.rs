//! One table of files that people bring as import parameters. The room (`byok::plan::kms::aws`) and the online half
//! (`online.sh slip`) must give the same verdict on each, with the same exit code, and of a file that they take
//! the same digests. Where stock tools cannot judge a form, the online half refuses it in words.

use crate::desk;
mod forms;
mod made;
use crate::support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use byok::ground::words;
use byok::plan::kms::{self, aws};
use desk::{Desk, which};
use forms::{Case, Verdict};
use made::{Made, answer, zip_of};
use support::{Kind, Room, base64, skip, stderr, stdout};

/// A cloud operator's computer; with unzip, where this one has it.
fn desk() -> Desk {
    let desk = Desk::without_cli();
    if let Some(unzip) = which("unzip") {
        symlink(unzip, desk.path("tools/unzip")).unwrap();
    }
    desk
}

fn lay_out(desk: &Desk, case: &Case) {
    let inputs = desk.work("inputs");
    let _ = fs::remove_dir_all(&inputs);
    fs::create_dir(&inputs).unwrap();
    for (path, bytes) in &case.files {
        let path = inputs.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    for (from, to) in &case.links {
        symlink(to, inputs.join(from)).unwrap();
    }
}

/// The two verdicts; `None` where both are as the table says.
fn judged(desk: &Desk, case: &Case) -> Option<String> {
    lay_out(desk, case);
    let room = aws::read(&desk.work("inputs").join(&case.path));
    let online = desk.run(&["slip"]);
    let room_code = room.as_ref().map_or_else(|error| error.exit as i32, |_| 0);
    // What expired the room reads, too, and then refuses with 4.
    let ends = room.as_ref().ok().and_then(|read| read.valid_to);
    let expired = ends.is_some_and(|ends| ends <= jiff::Timestamp::now());
    let (in_room, at_desk) = match case.verdict {
        Verdict::Taken if expired => (0, 4),
        Verdict::Taken => (0, 0),
        Verdict::Refused(code) => (code, code),
        Verdict::RoomOnly(_) => (0, 2),
    };
    let said = format!("{}{}", online.out, online.err);
    fs::remove_dir_all(desk.work("inputs")).unwrap(); // a link to nothing among it
    let wrong = if (room_code, online.code) != (in_room, at_desk) {
        "another verdict"
    } else if expired && matches!(case.verdict, Verdict::Taken) {
        if said.contains("expired on ") {
            return None;
        }
        "not said why"
    } else if let (Ok(read), Verdict::Taken) = (&room, &case.verdict) {
        let rows = [
            read.wrapping_key.sha256(),
            kms::parameter_files_digest(&read.files),
        ];
        if rows.iter().all(|rows| said.contains(&words::rows(rows, 2))) {
            return None;
        }
        "another digest"
    } else if let Verdict::RoomOnly(words) = case.verdict {
        if said.contains(words) {
            return None;
        }
        "not said why"
    } else {
        return None;
    };
    let room = room.map_or_else(|error| error.to_string(), |_| "taken".into());
    Some(format!(
        "{}: {wrong}: room {room_code} ({room}), online {} ({said})",
        case.name, online.code
    ))
}

#[track_caller]
fn all_agree(cases: &[Case]) {
    let desk = desk();
    let wrong: Vec<String> = cases.iter().filter_map(|c| judged(&desk, c)).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn both_sides_take_the_same_json() {
    all_agree(&forms::json_taken(&Made::new()));
}

#[test]
fn both_sides_refuse_the_same_json() {
    all_agree(&forms::json_refused(&Made::new()));
}

#[test]
fn both_sides_refuse_the_same_members() {
    all_agree(&forms::members_refused(&Made::new()));
}

#[test]
fn both_sides_refuse_the_same_tokens_in_every_form() {
    let made = Made::new();
    all_agree(&forms::tokens(&made));
}

#[test]
fn both_sides_judge_the_same_folders() {
    all_agree(&forms::folders(&Made::new()));
}

#[test]
fn no_link_is_followed_below_the_folder_of_the_slip() {
    all_agree(&forms::links(&Made::new()));
}

/// Whoever waits for a FIFO waits for ever.
#[test]
fn both_sides_take_regular_files_only() {
    let desk = desk();
    let made = Made::new();
    let [key, _] = made.pair();
    for (name, path) in [
        ("beside", "a.json"),
        ("a zip", "a.zip"),
        ("in a folder", "one/ImportToken.bin"),
    ] {
        let files = vec![(format!("one/{}", key.0), key.1.clone())];
        let case = Case::files(
            name,
            files,
            path.split('/').next().unwrap(),
            Verdict::Refused(2),
        );
        lay_out(&desk, &case);
        let fifo = desk.work("inputs").join(path);
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let room = aws::read(&desk.work("inputs").join(&case.path)).unwrap_err();
        assert_eq!(room.exit as i32, 2);
        if path != "one/ImportToken.bin" {
            fs::remove_dir_all(desk.work("inputs/one")).unwrap();
        }
        let online = desk.path("online.sh");
        let mut slip = desk.command(&which("timeout").unwrap(), &["20", "bash"]);
        let slip = slip.arg(&online).arg("slip").output().unwrap();
        assert_eq!(slip.status.code(), Some(2), "{name}: {}", stderr(&slip));
        assert!(
            stderr(&slip).contains("not a file that can be read"),
            "{name}"
        );
        assert!(!desk.work("inputs/slip.txt").exists());
        fs::remove_dir_all(desk.work("inputs")).unwrap(); // whoever looks at the desk afterwards would wait
    }
}

#[test]
fn both_sides_judge_the_same_zips() {
    if which("unzip").is_none() || which("zip").is_none() {
        return skip("there is no zip and unzip");
    }
    all_agree(&forms::zips(&Made::new()));
}

#[test]
fn what_stock_tools_cannot_judge_is_refused_in_words() {
    all_agree(&forms::room_only(&Made::new()));
    // Without unzip a zip is not taken on trust.
    let desk = Desk::without_cli();
    let made = Made::new();
    let case = Case::file(
        "a.zip",
        zip_of(&made.pair()),
        Verdict::RoomOnly("unpack it"),
    );
    lay_out(&desk, &case);
    assert!(aws::read(&desk.work("inputs/a.zip")).is_ok());
    let ran = desk
        .run(&["slip"])
        .ended(2, &["there is no unzip here", "unpack it"]);
    assert!(!ran.err.contains("who changed"), "{}", ran.err);
}

/// What everybody types for the slip: run on what the script leaves, of every form and with what may lie beside.
#[test]
fn the_command_for_the_slip_gives_what_byok_asks_for() {
    let made = Made::new();
    let desk = desk();
    let command = kms::slip_command("inputs");
    let mut files = vec![
        ("eu-west-1.json".to_owned(), made.json().into_bytes()),
        ("describe-key.json".into(), made.described().into_bytes()),
        (".DS_Store".into(), b"x".to_vec()),
    ];
    for (name, bytes) in made.pair() {
        files.push((format!("console/{name}"), bytes));
    }
    files.push(("console/README.txt".into(), b"Use within 24 hours".to_vec()));
    let mut paths = vec!["eu-west-1.json", "console"];
    if which("unzip").is_some() {
        files.push(("z.zip".into(), zip_of(&made.pair())));
        paths.push("z.zip");
    }
    lay_out(&desk, &Case::files("", files, "", Verdict::Taken));
    let slip = desk
        .run(&["slip"])
        .ended(0, &[&command.replace('\n', "\n  ")[..0], &command]);
    desk.run(&["slip"]).ended(0, &[]); // with slip.txt and SHA256SUMS there
    let inputs = desk.work("inputs");
    let read = paths
        .iter()
        .flat_map(|path| aws::read(&inputs.join(path)).unwrap().files);
    let digest = words::hex(&kms::parameter_files_digest(&read.collect::<Vec<_>>()));
    let shown = Command::new("bash")
        .args(["-c", &command])
        .current_dir(desk.work("."))
        .output()
        .unwrap();
    assert!(shown.status.success(), "{}", stderr(&shown));
    let shown = stdout(&shown);
    let rows: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(_, row)| row)
        .collect();
    assert_eq!(rows.concat(), digest, "{shown}");
    for path in paths {
        assert!(shown.contains(path), "{shown}");
    }
    assert!(!shown.contains("describe-key"), "{shown}");
    assert!(
        slip.out
            .contains(&words::rows(&words::digest_from_hex(&digest).unwrap(), 2))
    );
    // A file that changed after the slip is seen by the command too.
    fs::write(inputs.join("eu-west-1.json"), "{}").unwrap();
    let changed = Command::new("bash")
        .args(["-c", &command])
        .current_dir(desk.work("."))
        .output()
        .unwrap();
    assert!(!changed.status.success() && !stdout(&changed).contains("     8\t"));
}

#[test]
fn the_command_for_the_slip_stands_everywhere_alike() {
    let text =
        |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let command = kms::slip_command("inputs");
    for path in ["docs/first-ceremony.md", "ceremony-scripts/RUNBOOK.md"] {
        assert!(text(path).contains(&command), "{path}");
    }
    for path in [
        "docs/first-ceremony.md",
        "ceremony-scripts/RUNBOOK.md",
        "docs/plan-format.md",
        "docs/glossary.md",
        "src/paper/script/slip.html",
        "src/paper/script/record_before.html",
    ] {
        let text = text(path);
        for other in ["sha256sum *", "xargs sha256sum", "SHA256SUMS | sha256sum"] {
            let places = text.matches(other).count()
                - command.matches(other).count() * text.matches(&command).count();
            assert_eq!(places, 0, "{path}: {other}");
        }
    }
}

/// The paper names the folder that the plan's parameters lie in.
#[test]
fn the_paper_says_the_same_command_with_the_folder_of_the_plan() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    for folder in ["inputs", "inputs-again"] {
        fs::create_dir_all(room.path(folder)).unwrap();
        let path = format!("{folder}/eu-west-1.json");
        fs::write(room.path(&path), Made::new().json()).unwrap();
        room.plan.parameters = path;
        room.write_plan();
        let paper = room.byok(&["script", "plan.toml"]).output().unwrap();
        let command = kms::slip_command(folder);
        let line = |line: &str| {
            format!(
                "<pre>{}</pre>",
                line.replace('&', "&amp;").replace('<', "&lt;")
            )
        };
        let command: String = command.lines().map(line).collect();
        assert!(
            stdout(&paper).contains(&command),
            "{folder}: {}",
            stderr(&paper)
        );
        assert!(!stdout(&paper).contains("sha256sum *"));
    }
}

/// Every verb of the room that reads them refuses, by name, what AWS cannot have given as an import token.
#[test]
fn a_token_that_aws_cannot_have_given_is_refused_by_every_verb() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let made = Made::new();
    fs::write(room.path("describe-key.json"), made.described()).unwrap();
    for (number, (name, token, why)) in made.bad_tokens().into_iter().enumerate() {
        let folder = format!("inputs/folder{number}");
        fs::create_dir_all(room.path(&folder)).unwrap();
        fs::write(room.path(&folder).join("PublicKey.bin"), &made.spki).unwrap();
        fs::write(room.path(&folder).join("ImportToken.bin"), &token).unwrap();
        let twice = format!("inputs/twice{number}");
        fs::create_dir_all(room.path(&twice)).unwrap();
        fs::write(room.path(&twice).join("pkey.b64"), base64(&made.spki)).unwrap();
        fs::write(room.path(&twice).join("token.b64"), base64(&token)).unwrap();
        let json = format!("inputs/json{number}.json");
        fs::write(room.path(&json), answer(&made.spki, &token)).unwrap();
        let zip = format!("inputs/zip{number}.zip");
        let entries = [
            ("WrappingPublicKey.bin".to_owned(), made.spki.clone()),
            ("ImportToken.bin".into(), token),
        ];
        fs::write(room.path(&zip), zip_of(&entries)).unwrap();
        for path in [&folder, &twice, &json, &zip] {
            let told = room.byok(&["inspect", path]).output().unwrap();
            support::refused(&told, 2, &["import token", why]);
            let plan = room
                .byok(&["plan", "describe-key.json", path])
                .output()
                .unwrap();
            support::refused(&plan, 2, &["import token", why]);
        }
        room.plan.parameters = json;
        room.plan.directory = format!("records/{number}");
        room.write_plan();
        let check = room.byok(&["check", "plan.toml"]).output().unwrap();
        assert_eq!(check.status.code(), Some(2), "{name}: {}", stdout(&check));
        assert!(stdout(&check).contains(why), "{name}: {}", stdout(&check));
        let run = room.run();
        support::refused(&run, 2, &["import token", why]);
        assert!(!room.path(&room.plan.directory).exists());
    }
}

/// What real KMSs give passes: opaque bytes of every length, in every form.
#[test]
fn opaque_tokens_of_every_length_are_taken() {
    let made = Made::new();
    let desk = desk();
    for len in [32, 33, 64, 200, 1184, 2048, 4096, 6144] {
        let token: Vec<u8> = support::opaque(&format!("length {len}"))
            .into_iter()
            .cycle()
            .take(len)
            .collect();
        let case = Case::json(
            &format!("{len} bytes"),
            answer(&made.spki, &token),
            Verdict::Taken,
        );
        assert_eq!(judged(&desk, &case), None);
    }
}
