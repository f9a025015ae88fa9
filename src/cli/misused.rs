//! A command line that clap refuses: its message, and after it which command to type and where its value is found.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command, CommandFactory as _};

use super::Cli;
use crate::ground::anchor::{FROM_PAPER, TYPE_ROWS};

/// Where each value is found, by the ids of arguments.
const FOUND: [(&[&str], &str); 24] = [
    (
        &["reimport", "recover", "new_shares", "record"],
        "RECORD is the directory that a ceremony left, such as records/2026-11-22-payments",
    ),
    (
        &["leftovers"],
        "RECORD is what that run left beside its record: ls -d records/*.aborted-* records/*.interrupted-*",
    ),
    (
        &["previous"],
        "DIR is a copy of an earlier record, or the directory that holds such copies, such as records",
    ),
    (&["head"], TYPE_ROWS),
    (
        &["signers"],
        "FILE is your own list of keys, ssh-keygen(1) ALLOWED SIGNERS; none from the record",
    ),
    (
        &["plan"],
        "PLAN is the file that byok plan wrote, such as plan.toml",
    ),
    (
        &["approve"],
        "SHA256 is what was approved on paper, 64 hex digits: sha256sum PLAN",
    ),
    (
        &["module"],
        "MODULE is the path of the HSM's PKCS#11 library; its vendor's manual names it, docs/hsms.md some",
    ),
    (
        &["token"],
        "TOKEN is a label or a PKCS#11 URI: without --token, byok plan --module MODULE lists the tokens",
    ),
    (
        &["pin"],
        "PIN is not the PIN: prompt, prompt-halves, pinpad, file:PATH or fd:N",
    ),
    (
        &["label"],
        "LABEL names the data key in the HSM and in the record, such as payments-2026",
    ),
    (
        &["spec"],
        "SPEC is that of the data key, such as SYMMETRIC_DEFAULT, AES_256 or ECC_NIST_P256",
    ),
    (
        &["title"],
        "TITLE is the ceremony's, such as 'Payments data key, eu-west-1'",
    ),
    (
        &["out"],
        "OUT is the name of a new file; no file is overwritten",
    ),
    (
        &["ics", "html", "report"],
        "FILE is the name of a new file; no file is overwritten",
    ),
    (
        &["directories"],
        "DIRECTORIES are records, or directories that hold records, such as records",
    ),
    (&["within"], "DAYS is a number of days, such as 90d"),
    (
        &["custodians", "threshold"],
        "for example: --custodians 'Security, Audit, Treasury' --threshold 2",
    ),
    (
        &["reuse_escrow", "screen_recorded"],
        "REASON is a sentence for the auditor, in quotes; the record keeps it",
    ),
    (
        &["package"],
        "FILE is the escrow-package.json of the record that dealt the shares",
    ),
    (
        &["share"],
        "FILE is a share file, such as 02-Audit.txt; without --share the words are typed",
    ),
    (
        &["files"],
        "FILES are KMS's answers: every import-result*.json, or JSON of the AWS CLI",
    ),
    (
        &["file"],
        "FILE is any file of a ceremony, such as inputs/eu-west-1.json",
    ),
    (
        &["directory", "room"],
        "a directory, which byok makes if it is not there",
    ),
];

/// What follows clap's message, a hint each.
pub(super) fn hints(error: &Error, given: &[String]) -> Vec<String> {
    let (path, command) = meant(given);
    if error.kind() == ErrorKind::InvalidSubcommand {
        return vec![format!("{path} --help lists what there is to type")];
    }
    let named = named(error);
    let about = |arg: &&Arg| named.contains(&bare(&arg.to_string()));
    let about: Vec<&Arg> = command.get_arguments().filter(about).collect();
    if about.is_empty() || error.kind() == ErrorKind::ArgumentConflict {
        return vec![format!(
            "{path} --help: all options, and an example to type"
        )];
    }
    let found = about.iter().filter_map(|arg| found(arg));
    std::iter::once(typed(&path, &command, &about))
        .chain(found)
        .collect()
}

/// The verb that was typed, with everything before it, and its command.
fn meant(given: &[String]) -> (String, Command) {
    let (mut path, mut command) = ("byok".to_owned(), Cli::command());
    command.build();
    for word in given {
        let Some(below) = command.find_subcommand(word).cloned() else {
            continue;
        };
        path += &format!(" {word}");
        command = below;
    }
    (path, command)
}

/// The arguments that the error is about, as clap shows them.
fn named(error: &Error) -> Vec<String> {
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(one)) => std::slice::from_ref(one),
        Some(ContextValue::Strings(several)) => several,
        _ => &[],
    };
    named.iter().map(|name| bare(name)).collect()
}

/// `--head ROWS...`: without the brackets that say whether it may be left out.
fn bare(name: &str) -> String {
    name.replace(['<', '>', '[', ']'], "")
}

/// The command with these arguments, and with those that it always needs.
fn typed(path: &str, command: &Command, about: &[&Arg]) -> String {
    let is_named = |arg: &&Arg| about.iter().any(|named| named.get_id() == arg.get_id());
    let options = command.get_arguments().filter(|arg| !arg.is_positional());
    let places = command.get_positionals();
    let always = |arg: &&Arg| arg.is_required_set() || arg.get_id() == "record";
    let places = places.filter(|arg| always(arg) || is_named(arg));
    let all = options.filter(is_named).chain(places);
    let all = all.map(|arg| match arg.get_id().as_str() {
        "head" => format!(" --head {FROM_PAPER}"),
        _ => format!(" {}", bare(&arg.to_string())),
    });
    format!("type: {path}{}", all.collect::<String>())
}

fn found(arg: &Arg) -> Option<String> {
    let id = arg.get_id().as_str();
    let (_, told) = FOUND.iter().find(|(ids, _)| ids.contains(&id))?;
    Some((*told).to_owned())
}

/// The command with what `FOUND` says about each of its values.
pub(super) fn with_where_found(command: Command) -> Command {
    command
        .mut_args(|arg| match found(&arg) {
            Some(told) => arg.long_help(told),
            None => arg,
        })
        .mut_subcommands(with_where_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(command: &Command, path: &str, each: &mut dyn FnMut(&str, &Arg)) {
        for arg in command.get_arguments() {
            each(path, arg);
        }
        for verb in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            below(verb, &format!("{path} {}", verb.get_name()), each);
        }
    }

    #[test]
    fn every_value_of_the_command_line_is_said_where_to_find() {
        let mut count = 0;
        below(&Cli::command(), "byok", &mut |path, arg| {
            if arg.get_action().takes_values() && arg.get_id() != "stray" {
                assert!(found(arg).is_some(), "{path}: {arg}");
                count += 1;
            }
        });
        assert!(count > 30, "{count}");
        for (ids, told) in FOUND {
            assert!(told.chars().count() <= 110, "{ids:?}");
        }
    }
}
