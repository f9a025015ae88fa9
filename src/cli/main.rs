//! Parses the command line, runs it, prints what went wrong with state and hints, ends with the exit code.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

#[cfg(feature = "room")]
use super::ShareCommand;
use super::{Cli, Command, PlanArgs};
use super::{misused, verbs};
use crate::ground::error::Result;
use crate::ground::paint;
use crate::ground::window::Window;
#[cfg(feature = "room")]
use crate::hsm::machine::protect_process;

/// The whole program.
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command.settled(),
        Err(asked) if asked.kind() == ErrorKind::DisplayVersion => {
            let verbose = std::env::args_os().any(|word| word == "--verbose");
            return ended(verbs::version(verbose), &[]);
        }
        Err(refused) => return misused(&refused),
    };
    let places = command.as_ref().map(Command::places).unwrap_or_default();
    let how = protect_process().and_then(|()| {
        paint::decide(std::io::stdout().is_terminal() || std::io::stderr().is_terminal());
        run(command?)
    });
    ended(how, &places)
}

fn ended(how: Result<()>, places: &[verbs::Place]) -> ExitCode {
    match how {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.said => ExitCode::from(error.exit as u8),
        Err(error) => {
            let error = verbs::misplaced(places, error);
            say(error.for_people());
            ExitCode::from(error.exit as u8)
        }
    }
}

/// If nobody can read it any more (the window was closed), the exit code still says it.
fn say(mut text: String) {
    let at_terminal = std::io::stderr().is_terminal();
    if at_terminal {
        text = Window::of(&std::io::stderr()).hanging(&text);
    }
    let _ = std::io::stderr().write_all(paint::shown(&text, at_terminal).as_bytes());
}

/// Help and version too come as an error, which is none.
fn misused(refused: &clap::Error) -> ExitCode {
    let _ = refused.print();
    let is_help = refused.exit_code() == 0
        || refused.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !is_help {
        let given: Vec<String> = std::env::args_os()
            .skip(1)
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let hints = misused::hints(refused, &given).into_iter();
        say(hints.map(|hint| format!("byok: hint: {hint}\n")).collect());
    }
    ExitCode::from(refused.exit_code() as u8)
}

fn run(command: Command) -> Result<()> {
    match command {
        #[cfg(feature = "room")]
        Command::Rehearse {
            plan,
            module,
            directory,
            room,
        } => verbs::rehearse(
            plan.as_deref(),
            module.as_deref(),
            &directory,
            room.as_deref(),
        ),
        #[cfg(feature = "room")]
        Command::Doctor {
            plan,
            module,
            token,
            pin,
            leftovers,
            all,
            report,
            json,
        } => {
            let place = verbs::HsmPlace {
                plan,
                module,
                token,
                pin,
            };
            match leftovers {
                Some(record) => verbs::leftovers(place, &record, json),
                None => verbs::doctor(place, all, json, report.as_deref()),
            }
        }
        Command::Plan(given) => verbs::write_plan(given.into()),
        Command::Check { plan, hsm, json } => verbs::check(&plan, hsm, json),
        #[cfg(feature = "room")]
        Command::Run { plan, approve } => verbs::run(&plan, approve.as_deref()),
        Command::Verify {
            record,
            stray: _, // settled
            head,
            signers,
            previous,
            next,
            json,
        } => {
            let (record, head) = (record.unwrap_or_default(), given(&head));
            let anchors = verbs::Anchors::of(head.as_deref(), signers.as_deref());
            verbs::verify(&record, &anchors, &previous, next, json)
        }
        Command::Receipt {
            record,
            files,
            previous,
            json,
        } => verbs::receipt(&record, &files, &previous, json),
        Command::Due {
            directories,
            within,
            ics,
            html,
            json,
        } => verbs::due(&verbs::DueWish {
            directories,
            within,
            ics,
            html,
            json,
        }),
        Command::Inspect { file, json } => verbs::inspect(&file, json),
        Command::Script {
            plan,
            practice,
            out,
            ..
        } => match plan {
            Some(plan) => verbs::script(&plan, practice, out.as_deref()),
            None => verbs::blank_forms(out.as_deref()),
        },
        #[cfg(feature = "room")]
        Command::Share { command } => share(command),
        #[cfg(not(feature = "room"))]
        Command::Rehearse { .. } => Err(verbs::without_room("byok rehearse")),
        #[cfg(not(feature = "room"))]
        Command::Doctor { .. } => Err(verbs::without_room("byok doctor")),
        #[cfg(not(feature = "room"))]
        Command::Run { .. } => Err(verbs::without_room("byok run")),
        #[cfg(not(feature = "room"))]
        Command::Share { .. } => Err(verbs::without_room("byok share")),
    }
}

impl From<PlanArgs> for verbs::PlanWish {
    fn from(given: PlanArgs) -> Self {
        let records = [
            (verbs::BuildsOn::Reimport, given.reimport),
            (verbs::BuildsOn::Recover, given.recover),
            (verbs::BuildsOn::NewShares, given.new_shares),
        ];
        let mut records = records.into_iter();
        Self {
            files: given.files,
            module: given.module,
            token: given.token,
            label: given.label,
            spec: given.spec,
            title: given.title,
            out: given.out,
            builds_on: records.find_map(|(how, record)| Some((how, record?))),
            escrow: verbs::EscrowWish {
                custodians: given.custodians,
                threshold: given.threshold,
                none: given.no_escrow,
                reuse: given.reuse_escrow,
            },
        }
    }
}

#[cfg(feature = "room")]
fn share(command: ShareCommand) -> Result<()> {
    let ShareCommand::Check {
        stray,
        record,
        head,
        package,
        share,
        screen_recorded,
        json,
    } = command;
    verbs::share_check(&verbs::ShareWish {
        stray,
        record,
        head: given(&head),
        package,
        share,
        screen_recorded,
        json,
    })
}

/// New files are for the owner alone. This program meets no secret that a core dump could show.
#[cfg(not(feature = "room"))]
fn protect_process() -> Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}

/// The rows of a head digest, however many arguments they are.
fn given(head: &[String]) -> Option<String> {
    (!head.is_empty()).then(|| head.join(" "))
}
