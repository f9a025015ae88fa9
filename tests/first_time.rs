//! What somebody meets who has README and nothing else: commands that are printed are typed as they stand, one
//! fact reads alike wherever it is told, and what is typed wrong is answered.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::escrow::{builds_on, head, lay, room as escrow_room, shares};
use support::pty::Pty;
use support::{Kind, Room, folded, refused, stderr, stdout, well};

/// The program, on its way to a shell of the room.
fn shell(room: &Room, commands: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_byok"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    Command::new("bash")
        .args(["-euc", commands])
        .current_dir(room.dir.path())
        .env_clear()
        .env("PATH", path)
        .envs(room.env.iter().cloned())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Every command of a last screen for who sits at this computer, in its order.
fn commands(screen: &str) -> String {
    let joined = screen.replace("\\\n", " ");
    let (_, screen) = joined.split_once(" First: ").unwrap();
    let mut commands: Vec<&str> = Vec::new();
    let (first, rest) = screen.split_once('\n').unwrap();
    commands.push(first.trim());
    for line in rest.lines() {
        let again = line.strip_prefix(" This screen again:");
        let is_command = |line: &&str| ["cp -r ", "byok "].iter().any(|c| line.starts_with(c));
        commands.extend(
            again
                .or(line.strip_prefix("     "))
                .map(str::trim)
                .filter(is_command),
        );
    }
    commands.join("\n")
}

#[test]
fn the_commands_of_the_last_screen_run_as_typed_from_the_directory_that_it_names() {
    for (keep, how) in [("extractable", "--reimport"), ("sealed", "--recover")] {
        let Some(mut room) = escrow_room(Kind::SoftHsm, 2, 3) else {
            return;
        };
        room.plan.keep = keep.into();
        let output = room.run();
        well(&output);
        let stick = room.path("stick");
        fs::create_dir(&stick).unwrap();
        let commands = commands(&stderr(&output));
        for begins in [
            "cd records\n",
            "cp -r one ",
            "byok verify --head",
            "byok verify --next one",
        ] {
            assert!(commands.contains(begins), "{begins}:\n{commands}");
        }
        assert!(
            commands.contains(&format!("byok plan {how} one ")),
            "{commands}"
        );
        let rows = head(&room.path("records/one"));
        let typed = commands
            .replace("/media/usb1", stick.to_str().unwrap())
            .replace("ROWS 1-3", &rows[..24]);
        let done = shell(&room, &typed);
        well(&done);
        // the plan that this wrote stands where its paths mean what they say
        let written = room.path("one-again.toml");
        let plan = fs::read_to_string(&written).unwrap_or_else(|e| panic!("{e}:\n{typed}"));
        assert!(plan.contains("previous = \"records/one\"\n"), "{plan}");
        assert!(plan.contains("\ndirectory = \"records/20"), "{plan}");
        assert!(stdout(&done).contains("authentic"), "{}", stdout(&done));
        for line in stderr(&output)
            .lines()
            .filter(|line| line.starts_with("     "))
        {
            assert!(line.chars().count() <= 79, "{line}");
        }
    }
}

/// What the last screen says after `word`, up to the next point of the list.
fn told(screen: &str, from: &str, to: &str) -> String {
    let screen = folded(screen);
    let (_, rest) = screen
        .split_once(from)
        .unwrap_or_else(|| panic!("{from}: {screen}"));
    rest.split_once(to).unwrap().0.trim().to_owned()
}

#[test]
fn what_is_carried_out_to_the_cloud_operator_is_the_same_on_paper_and_screen() {
    for several in [false, true] {
        let Some(mut room) = Room::new(Kind::SoftHsm) else {
            return;
        };
        if several {
            room.plan.import_more = format!(
                "[[key.import]]\nname = \"second\"\nkey_arn = {:?}\nparameters = \"inputs/second.json\"\n\
                 wrapping = {:?}\nexpires = \"never\"\nwrapping_key_sha256 = {:?}\n",
                SECOND,
                support::SHA_1,
                room.kms.sha256()
            );
            let parameters = room.kms.parameters(SECOND, support::now() + 86_000);
            fs::write(room.path("inputs/second.json"), parameters).unwrap();
        }
        let output = room.run();
        well(&output);
        let screen = told(&stderr(&output), " needs ", " 3 they bring back");
        let script = room.byok(&["script", "plan.toml"]).output().unwrap();
        well(&script);
        let paper = stdout(&script).replace("&lt;", "<").replace("&gt;", ">");
        let paper = told(&paper, "on the third stick: ", ". The deadline");
        assert_eq!(screen, paper);
        let right = match several {
            false => "the folder payments-2026/eu-west-1, nothing else",
            true => "import.sh and the 2 folders <label>/<import> beside it, nothing else",
        };
        assert_eq!(paper, right);
    }
}

const SECOND: &str = "arn:aws:kms:us-east-1:111122223333:key/9999abcd-12ab-34cd-56ef-1234567890ab";

/// byok on a terminal where lines were pasted before it asked anything: the shell takes the first of them.
fn behind(room: &Room, args: &str) -> Pty {
    let byok = room.byok(&[]);
    let mut shell = Command::new("sh");
    let line = format!(
        "echo ready; read -r go; exec {:?} {args}",
        byok.get_program()
    );
    shell
        .args(["-c", &line])
        .current_dir(room.dir.path())
        .env_clear();
    for (name, value) in byok.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let mut pty = Pty::start(shell);
    pty.expect("ready");
    pty.keys(b"go\rbyok check again.toml\rYes\rA, B\r");
    pty
}

#[test]
fn what_was_pasted_ahead_of_a_question_does_not_answer_it() {
    let Some(mut room) = escrow_room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.plan.keep = "sealed".into();
    room.run_well();
    let mut pty = behind(&room, "plan --recover records/one --out again.toml");
    pty.answer(
        " Why they stay in use (Enter: new shares are dealt): ",
        "nobody left",
    );
    assert_eq!(pty.end().code, Some(0));
    let plan = fs::read_to_string(room.path("again.toml")).unwrap();
    assert!(plan.contains("reuse_escrow = \"nobody left\"\n"), "{plan}");

    let mut pty = behind(&room, "plan --out new.toml");
    pty.answer("(Enter: no escrow): ", "");
    assert_eq!(pty.end().code, Some(0));
    let plan = fs::read_to_string(room.path("new.toml")).unwrap();
    assert!(plan.contains("# No [escrow], as was said"), "{plan}");

    // Nobody approves a plan that they have not seen.
    room.plan.directory = "records/two".into();
    room.plan.label = "other".into();
    room.plan.more = String::new();
    room.plan.keep = "extractable".into();
    room.write_plan();
    let mut pty = behind(&room, "run plan.toml");
    pty.answer(support::pty::APPROVE, "no");
    assert_eq!(pty.end().code, Some(1));
}

#[test]
fn a_plan_from_a_quorum_says_that_the_hsm_may_be_another_one() {
    let Some(mut room) = escrow_room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.plan.keep = "sealed".into();
    room.run_well();
    let plan = |args: &[&str]| {
        let output = room.byok(&[&["plan"], args].concat()).output().unwrap();
        well(&output);
        stdout(&output)
    };
    let comment = "Is that one lost?";
    for option in ["--recover", "--new-shares"] {
        let text = plan(&[option, "records/one"]);
        let (_, hsm) = text.split_once("\n[hsm]\n").unwrap();
        let (above, _) = hsm.split_once("\nmodule = ").unwrap();
        assert!(above.contains(comment), "{option}: {text}");
        assert!(above.lines().all(|line| line.len() <= 79), "{above}");
    }
    let module = room.plan.module.clone();
    let text = plan(&["--recover", "records/one", "--module", &module]);
    assert!(!text.contains(comment), "{text}");
}

/// A recovery, elsewhere, of what this room made; its shares come from `brought`.
fn recovery(old: &Room) -> Option<Room> {
    let mut new = Room::new(Kind::SoftHsm)?;
    new.use_kms_key(old.kms.clone());
    new.plan.kind = "recover".into();
    new.plan.top_more = format!(
        "{}reuse_escrow = \"a test\"\n",
        builds_on(old, "records/one")
    );
    new.plan.more = "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n".into();
    Some(new)
}

#[test]
fn shares_that_are_too_few_are_counted_and_the_custodians_that_could_come_are_named() {
    let Some(old) = escrow_room(Kind::SoftHsm, 3, 5) else {
        return;
    };
    old.run_well();
    let dealt = shares(&old.path("shares"));
    let Some(new) = recovery(&old) else { return };
    lay(&new.path("brought"), &[dealt[3].1.as_str()]);
    refused(
        &new.run(),
        4,
        &["still needed: 2 of 3; not here yet: Security, Audit, Treasury, Operations"],
    );
}
