//! What somebody meets who has README and nothing else: commands that are printed are typed as they stand, one
//! fact reads alike wherever it is told, and what is typed wrong is answered.

use crate::support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::escrow::{builds_on, head, lay, room as escrow_room, shares};
use support::pty::Pty;
use support::{Kind, Room, folded, refused, stderr, stdout, well};

/// The program, on its way to a shell of the room.
fn shell(room: &Room, commands: &str) -> Output {
    let program = Path::new(support::program());
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
            .replace("ROW1 ROW2 ROW3", &rows[..24]);
        let done = shell(&room, &typed);
        well(&done);
        // the plan that this wrote stands where its paths mean what they say
        let written = room.path("one-again.toml");
        let plan = fs::read_to_string(&written).unwrap_or_else(|e| panic!("{e}:\n{typed}"));
        assert!(plan.contains("previous = \"records/one\"\n"), "{plan}");
        assert!(plan.contains("\ndirectory = \"records/20"), "{plan}");
        assert!(stdout(&done).contains("authentic"), "{}", stdout(&done));
        let told = stderr(&output);
        let hints = told.lines().filter(|line| line.starts_with("     "));
        support::fits(&hints.collect::<Vec<_>>().join("\n"));
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
        let screen = told(&stderr(&output), " needs ", " 3 what comes back");
        let screen = screen.trim_end_matches(" of the record"); // which the paper speaks of all the time
        let script = room.byok(&["script", "plan.toml"]).output().unwrap();
        well(&script);
        let paper = stdout(&script).replace("&lt;", "<").replace("&gt;", ">");
        let paper = told(&paper, "to the third stick: ", ". The deadline");
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
    pty.answer(", or none for no escrow: ", "none");
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
    let comment = "Is that HSM lost?";
    for option in ["--recover", "--new-shares"] {
        let text = plan(&[option, "records/one"]);
        let (_, hsm) = text.split_once("\n[hsm]\n").unwrap();
        let (above, _) = hsm.split_once("\nmodule = ").unwrap();
        assert!(above.contains(comment), "{option}: {text}");
        support::fits(above);
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

/// A plan with every table but `[recover]`.
const WHOLE: &str = "title = \"t\"\nkind = \"generate\"\n[machine]\nnetwork = \"forbidden\"\n[hsm]\n\
    module = \"/m\"\ntoken = \"pkcs11:token=a\"\n[[key]]\nlabel = \"a\"\nspec = \"SYMMETRIC_DEFAULT\"\n\
    keep = \"extractable\"\n[[key.import]]\nname = \"a\"\n\
    key_arn = \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\"\n\
    parameters = \"p\"\nwrapping = \"RSAES_OAEP_SHA_256\"\nexpires = \"never\"\n[escrow]\nthreshold = 2\n\
    custodians = [\"A\", \"B\"]\ndeliver = \"screen\"\n[record]\ndirectory = \"d\"\n";

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    let check = |text: &str| {
        fs::write(&plan, text).unwrap();
        let mut byok = Command::new(support::program());
        byok.arg("check").arg(&plan).stdin(Stdio::null());
        byok.output().unwrap()
    };
    let top = "belongs above the first [table] of the plan";
    let whole = check(WHOLE);
    assert!(!stderr(&whole).contains("belongs"), "{}", stderr(&whole));
    for (line, below, says) in [
        (
            "screen_recorded = \"x\"",
            "[escrow]",
            format!("`screen_recorded` {top}"),
        ),
        (
            "screen_recorded = \"x\"",
            "[record]",
            format!("`screen_recorded` {top}"),
        ),
        (
            "previous_head = \"\"",
            "[record]",
            format!("`previous_head` {top}"),
        ),
        (
            "reuse_escrow = \"x\"",
            "[hsm]",
            format!("`reuse_escrow` {top}"),
        ),
        ("title = \"x\"", "[[key]]", format!("`title` {top}")),
        (
            "network = \"hsm\"",
            "[hsm]",
            "`network` belongs in [machine]".into(),
        ),
        (
            "pin = \"prompt\"",
            "[machine]",
            "`pin` belongs in [hsm]".into(),
        ),
        (
            "expires = \"never\"",
            "[[key]]",
            "`expires` belongs in [[key.import]]".into(),
        ),
        (
            "keep = \"none\"",
            "[[key.import]]",
            "`keep` belongs in [[key]]".into(),
        ),
        (
            "witnesses = []",
            "[escrow]",
            "`witnesses` belongs in [record]".into(),
        ),
        (
            "shares = \"typed\"",
            "[escrow]",
            "`shares` belongs in [recover]".into(),
        ),
        (
            "threshold = 2",
            "[record]",
            "`threshold` belongs in [escrow]".into(),
        ),
        (
            "reason = \"x\"",
            "[escrow]",
            format!("`reason` {top}, or in [[key]]"),
        ),
        (
            "signer = \"none\"",
            "[hsm]",
            format!("`signer` {top}, or in [record]"),
        ),
    ] {
        let text = WHOLE.replacen(below, &format!("{below}\n{line}"), 1);
        refused(&check(&text), 2, &[&says]);
    }
    // also where something else is told first, and of a table
    let text = WHOLE.replacen("directory = \"d\"\n", "", 1) + "expires = \"never\"\n";
    refused(&check(&text), 2, &["`expires` belongs in [[key.import]]"]);
    let text = WHOLE.replacen("[[key.import]]", "[[import]]", 1);
    refused(&check(&text), 2, &["[[key.import]]"]);
}

#[test]
fn plans_that_are_written_show_where_the_screen_s_exception_stands() {
    let Some(room) = escrow_room(Kind::SoftHsm, 2, 3) else {
        return;
    };
    room.run_well();
    for (args, shows) in [
        (&["plan"][..], true),
        (&["plan", "--recover", "records/one"], true),
        (&["plan", "--new-shares", "records/one"], true),
        (&["plan", "--reimport", "records/one"], false),
        (&["plan", "--no-escrow"], false),
    ] {
        let output = room.byok(args).output().unwrap();
        well(&output);
        let plan = stdout(&output);
        let (above, _) = plan.split_once("\n[").unwrap();
        assert_eq!(
            above.contains("\n# screen_recorded = \""),
            shows,
            "{args:?}: {plan}"
        );
    }
}

#[test]
fn a_token_is_named_by_its_label_or_a_uri_wherever_it_is_named() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let module = room.plan.module.clone();
    let mut named = |token: &str| {
        let module = ["--module", &module, "--token", token];
        let plan = room
            .byok(&[&["plan", "--no-escrow"], &module[..]].concat())
            .output();
        let pin = ["--pin", "file:pin", "--json"];
        let doctor = room
            .byok(&[&["doctor"], &module[..], &pin].concat())
            .output();
        room.plan.token = token.into();
        let check = room.check();
        [plan.unwrap(), doctor.unwrap(), check]
    };
    for token in ["ceremony", "pkcs11:token=ceremony"] {
        named(token).iter().for_each(well);
    }
    for token in [
        "token=ceremony",
        "token=ceremony;pin-value=4711",
        "pkcs12:token=ceremony",
    ] {
        for output in named(token) {
            refused(
                &output,
                2,
                &["must begin with pkcs11:", "pkcs11:token=ceremony;serial="],
            );
            assert!(!stderr(&output).contains("4711"), "{}", stderr(&output));
        }
    }
    for output in named("another") {
        assert_eq!(output.status.code(), Some(3));
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains("token=another"), "{said}");
    }
}

#[test]
fn rows_of_the_head_are_taken_with_quotes_and_without() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_with_escrow(2, &["Security", "Audit"]);
    let head = head(&room.path("records/one"));
    let digest = support::unhex(&head).try_into().unwrap();
    let rows = byok::ground::words::rows(&digest, 3);
    let words: Vec<String> = rows
        .lines()
        .take(3)
        .flat_map(|row| row.split_whitespace().skip(4))
        .map(str::to_owned)
        .collect();
    assert_eq!(words.len(), 12, "{rows}");
    let hex: Vec<String> = (0..6)
        .map(|at| head[at * 4..at * 4 + 4].to_owned())
        .collect();
    let byok = |args: &[&str]| room.byok(args).output().unwrap();
    for rows in [&words, &hex] {
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        for args in [
            [&["verify", "--head"][..], &rows, &["records/one"]].concat(),
            [&["verify", "records/one", "--head"][..], &rows].concat(),
            [&["verify", "--head"][..], &rows, &["--json", "records/one"]].concat(),
            vec!["verify", "--head", &rows.join(" "), "records/one"],
        ] {
            let output = byok(&args);
            well(&output);
            assert!(stdout(&output).contains("authentic"), "{args:?}");
            assert!(!stdout(&output).contains("NOT AUTH"), "{args:?}");
        }
        let share = [
            &["share", "check", "--record", "records/one", "--share"],
            &["shares/01-Security.txt", "--head"][..],
            &rows,
        ];
        well(&byok(&share.concat()));
        let bare = [&["verify"][..], &rows, &["records/one"]].concat();
        for args in [bare, vec!["verify", &rows.join(" "), "records/one"]] {
            refused(
                &byok(&args),
                2,
                &[
                    "given without --head",
                    &format!("byok verify --head '{}' records/one", rows.join(" ")),
                ],
            );
        }
        let forgotten = [&["verify", "--head"], &rows[..1]].concat();
        refused(
            &byok(&forgotten),
            2,
            &["no record was given", "--head 'ROW1 ROW2 ROW3' RECORD"],
        );
    }
    for mixed in [
        [&words[..8], &hex[4..]].concat(),
        [&hex[..2], &words[4..]].concat(),
    ] {
        for args in [
            vec!["verify", "--head", &mixed.join(" "), "records/one"],
            [
                vec!["verify", "records/one", "--head"],
                mixed.iter().map(String::as_str).collect(),
            ]
            .concat(),
        ] {
            refused(&byok(&args), 2, &["hex digits and words, mixed"]);
        }
    }
}

#[test]
fn a_window_that_was_enlarged_is_told_and_filled_as_it_is_now() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    let mut pty = Pty::start_sized(room.byok(&["run", "plan.toml"]), 60, 20);
    pty.expect(" Press Enter for the digest: ");
    pty.resize(80, 23);
    pty.enter("");
    let digest = pty.expect(support::pty::APPROVE);
    assert!(
        folded(&digest).contains("This window has 23 rows of 80 columns;"),
        "{digest}"
    );
    pty.enter("no");
    assert_eq!(pty.code(), Some(1));

    // enlarged between two pages: the text is laid out anew, from its beginning
    let mut pty = Pty::start_sized(room.byok(&["run", "plan.toml"]), 40, 10);
    pty.expect(" Press Enter for the rest: ");
    pty.resize(80, 24);
    pty.enter("");
    let rest = pty.expect(support::pty::APPROVE);
    let (whole, _) = rest
        .split_once("Press Enter for the digest: ")
        .unwrap_or((&rest, ""));
    assert!(
        whole.contains(" make      payments-2026   SYMMETRIC_DEFAULT"),
        "{whole}"
    );
    pty.enter("no");
    assert_eq!(pty.code(), Some(1));
}

#[test]
fn text_in_a_pipe_is_folded_where_columns_is_set_and_what_machines_read_never() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_well();
    room.plan.directory = "records/two".into();
    room.write_plan();
    for args in [
        &["verify", "records/one"][..],
        &["check", "plan.toml"],
        &["verify", "--json", "records/one"],
        &["plan", "--no-escrow"],
    ] {
        let said = |columns: Option<&str>| {
            let mut byok = room.byok(args);
            // check counts what it hides from the module: one variable more, or another
            let (name, value) = columns.map_or(("ROWS", "24"), |columns| ("COLUMNS", columns));
            byok.env(name, value);
            stdout(&byok.output().unwrap())
        };
        let whole = said(None);
        let is_for_people = !args.contains(&"--json") && args[0] != "plan";
        for columns in ["80", "50"] {
            let folded_at = said(Some(columns));
            let widest = folded_at.lines().map(|line| line.chars().count()).max();
            let width: usize = columns.parse().unwrap();
            match is_for_people {
                true => {
                    assert!(widest < Some(width), "{args:?} at {columns}: {folded_at}");
                    let same = |text: &str| text.split_whitespace().collect::<String>();
                    assert_eq!(same(&whole), same(&folded_at));
                }
                false => assert_eq!(whole, folded_at),
            }
        }
        for nothing in ["", "0", "x"] {
            assert_eq!(whole, said(Some(nothing)));
        }
    }
}
