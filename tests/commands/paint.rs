//! Bold and colour: on terminals that have it, and nowhere else; the words are the same.

use std::path::Path;
use std::process::Command;

use crate::support;

use support::pty::{APPROVE, Pty};
use support::targets::into_a_managed_hsm;
use support::{Kind, Room, stdout};

/// A record of practice that 0.1.0 made.
fn record() -> String {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/0.1.0/generate");
    record.to_str().unwrap().to_owned()
}

/// What a terminal with these variables gets.
fn at_terminal(mut command: Command, variables: Variables) -> String {
    command.envs(variables);
    Pty::start(command).end().screen
}

/// The text between the sequences for bold and colour.
fn without_paint(screen: &str) -> String {
    let mut parts = screen.split("\x1b[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let (_, after) = part.split_once('m').unwrap();
        text + after
    })
}

/// As many variables each time: their number is told.
type Variables = [(&'static str, &'static str); 2];

/// An empty NO_COLOR asks for nothing.
const COLOUR: Variables = [("TERM", "xterm-256color"), ("NO_COLOR", "")];
/// What asks for none: that variable, a terminal that has none, and no terminal's name at all.
const PLAIN: [Variables; 3] = [
    [("TERM", "xterm-256color"), ("NO_COLOR", "1")],
    [("TERM", "dumb"), ("NO_COLOR", "")],
    [("TERM", ""), ("NO_COLOR", "")],
];

/// A minute may end between two screens.
fn timeless(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "0")
}

#[test]
fn verdicts_are_painted_on_a_terminal_and_plain_for_everybody_else() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    let real = room.path("records/one");
    room.run_well();
    let real = real.to_str().unwrap();
    let (practice, broken) = (record(), room.path("broken"));
    let copied = Command::new("cp").args(["-r", real]).arg(&broken).status();
    assert!(copied.unwrap().success());
    std::fs::write(broken.join("README.txt"), "other").unwrap();
    let broken = broken.to_str().unwrap();
    let head = support::sha256(&std::fs::read(format!("{real}/transcript.jsonl")).unwrap());
    let cases: [(&[&str], &[&str]); 6] = [
        (
            &["check", "plan.toml"],
            &[
                "\x1b[1;32mok\x1b[0m       plan: ",
                "\n\x1b[1;31mwould not start: ",
            ],
        ),
        (
            &["verify", &practice],
            &[
                "\x1b[1;7mREHEARSAL\x1b[0m: this record",
                "\x1b[1;7mconsistent, NOT AUTHENTICATED\x1b[0m: nothing",
                "verdict   \x1b[1;7mconsistent, NOT AUTHENTICATED\x1b[0m\n",
            ],
        ),
        (
            &["verify", real, "--head", &head],
            &["\x1b[1;32mauthentic\x1b[0m: the transcript"],
        ),
        (
            &["verify", broken],
            &["byok: verdict: \x1b[1;31mbroken\x1b[0m\n"],
        ),
        (
            &["due", real],
            &["\x1b[1;7mDUE now or within 90 days\x1b[0m\n"],
        ),
        (&["due", broken], &["\x1b[1;31mBROKEN\x1b[0m    "]),
    ];
    for (args, painted) in cases {
        let colour = at_terminal(room.byok(args), COLOUR);
        for piece in painted {
            assert!(colour.contains(piece), "{args:?}: {piece:?} in {colour:?}");
        }
        for variables in PLAIN {
            let plain = at_terminal(room.byok(args), variables);
            assert!(!plain.contains('\x1b'), "{args:?}: {plain:?}");
            let [bare, plain] = [without_paint(&colour), plain].map(|text| timeless(&text));
            assert_eq!(bare, plain, "{args:?} {variables:?}");
        }
        let output = room.byok(args).envs(COLOUR).output().unwrap();
        let piped = stdout(&output) + &support::stderr(&output);
        assert!(
            piped.chars().all(|c| c == '\n' || !c.is_control()),
            "{args:?}: {piped:?}"
        );
    }
}

#[test]
fn the_headings_of_a_ceremony_are_bold_and_its_warnings_stand_out_on_a_terminal_that_can() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    into_a_managed_hsm(&mut room);
    room.write_plan();
    let approval = |variables: Variables| {
        let mut byok = room.byok(&["run", "plan.toml"]);
        byok.envs(variables);
        let mut pty = Pty::start(byok);
        let screen = pty.answer(APPROVE, "no");
        assert_eq!(pty.end().code, Some(1));
        screen
    };
    let colour = approval(COLOUR);
    let heading = colour.lines().find(|line| line.starts_with("\x1b[1mbyok "));
    let heading = heading.unwrap_or_else(|| panic!("{colour:?}"));
    assert!(
        heading.ends_with("before step 1 of 13: approve, page 1 of 2\x1b[0m"),
        "{heading:?}"
    );
    assert!(
        colour.contains(" \x1b[1;7mWARNING\x1b[0m   one wrapping key for"),
        "{colour:?}"
    );
    for variables in PLAIN {
        let plain = approval(variables);
        assert!(!plain.contains('\x1b'), "{plain:?}");
        assert_eq!(timeless(&without_paint(&colour)), timeless(&plain));
    }
}
