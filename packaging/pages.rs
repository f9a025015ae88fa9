//! What a package brings beside the program: a man page for byok and for each verb, and completions for bash, zsh and
//! fish. All of it is made from the command line that `--help` is made from.
//!
//! pages DIR DATE SCRIPTS DOCS   into the new directories DIR/man1, DIR/bash, DIR/zsh and DIR/fish; DATE stands at the
//!                               foot of a page, SCRIPTS and DOCS are where the package has scripts and documents

use std::fs;
use std::io::{Result, Write};
use std::path::Path;

use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// Where the package has what is not in the program.
struct Places {
    date: String,
    scripts: String,
    docs: String,
}

fn main() -> Result<()> {
    let mut given = std::env::args().skip(1);
    let mut next = || given.next().expect("pages DIR DATE SCRIPTS DOCS");
    let dir = next();
    let dir = Path::new(&dir);
    let places = Places {
        date: next(),
        scripts: next(),
        docs: next(),
    };
    let mut command = shown(&byok::cli::command()).disable_help_subcommand(true);
    command.build();
    fs::create_dir(dir.join("man1"))?;
    man_pages(&command, &command, &places, &dir.join("man1"))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let dir = dir.join(shell.to_string());
        fs::create_dir(&dir)?;
        clap_complete::generate_to(shell, &mut command.clone(), "byok", dir)?;
    }
    Ok(())
}

/// The command without its hidden arguments, which completions would offer. Its help says nothing of a longer one,
/// which is none of byok's.
fn shown(command: &Command) -> Command {
    let name: &'static str = command.get_name().to_owned().leak();
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let help = Arg::new("help").short('h').long("help");
    let help = help.action(ArgAction::Help).help("Print help");
    let mut shown = Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .subcommand_required(command.is_subcommand_required_set())
        .subcommand_help_heading("COMMANDS")
        .args(args)
        .arg(help)
        .subcommands(command.get_subcommands().map(shown));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(after) = command.get_after_help() {
        shown = shown.after_help(after.clone());
    }
    shown
}

fn man_pages(byok: &Command, command: &Command, places: &Places, dir: &Path) -> Result<()> {
    for verb in command.get_subcommands() {
        man_pages(byok, verb, places, dir)?;
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let page = command.clone().mut_args(with_its_value);
    let page = Man::new(page.override_usage(usage))
        .date(&places.date)
        .source(concat!("byok ", env!("CARGO_PKG_VERSION")))
        .manual("Key ceremonies");
    let mut out = fs::File::create_new(dir.join(page.get_filename()))?;
    page.render_title(&mut out)?;
    out.write_all(b".nh\n.ad l\n")?; // no option is broken in two, and no gaps between words
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    let told = Told::of(command);
    section(&mut out, "DESCRIPTION", paragraphs(command, &told))?;
    page.render_options_section(&mut out)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut out)?;
    }
    section(&mut out, "FILES", files(command, places))?;
    let codes = told.codes.or_else(|| Told::of(byok).codes);
    section(&mut out, "EXIT STATUS", exit_status(&codes.expect("codes")))?;
    if let Some(example) = told.example {
        section(&mut out, "EXAMPLES", examples(&example))?;
    }
    section(&mut out, "SEE ALSO", see_also(byok, command))
}

fn section(out: &mut impl Write, title: &str, body: Roff) -> Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [title]).extend([body]);
    // to_roff: what precedes the page was written with its title
    out.write_all(roff.to_roff().as_bytes())
}

/// Where a value is found stands with its option, unless it is a file: then below FILES.
fn with_its_value(arg: Arg) -> Arg {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let found = arg.get_long_help().filter(|_| !is_path(&arg));
    let text = match found.map(ToString::to_string) {
        Some(found) if found.contains(&help) => found,
        Some(found) => format!("{help}. {}", capitalised(&found)),
        None => help,
    };
    arg.long_help(text)
}

fn capitalised(text: &str) -> String {
    text[..1].to_uppercase() + &text[1..]
}

fn is_path(arg: &Arg) -> bool {
    arg.get_value_hint() == ValueHint::AnyPath
}

/// What stands below the options of a help.
#[derive(Default)]
struct Told {
    paragraphs: Vec<String>,
    codes: Option<String>,
    example: Option<String>,
}

impl Told {
    fn of(command: &Command) -> Self {
        let mut told = Self::default();
        let text = command.get_after_help().map(ToString::to_string);
        for paragraph in text.unwrap_or_default().split("\n\n") {
            if let Some(codes) = paragraph.strip_prefix("Exit codes: ") {
                told.codes = Some(one_line(codes));
            } else if let Some(example) = paragraph.strip_prefix("Example:  ") {
                told.example = Some(example.to_owned());
            } else if !paragraph.is_empty() {
                told.paragraphs.push(one_line(paragraph));
            }
        }
        told
    }
}

/// The name of its page: byok-share-check.
fn page_of(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn paragraphs(command: &Command, told: &Told) -> Roff {
    let mut roff = Roff::new();
    let about = command.get_about().expect("about").to_string();
    roff.text([roman(format!("{about}."))]);
    for paragraph in &told.paragraphs {
        roff.control("PP", []).text([roman(paragraph)]);
    }
    roff
}

fn entry(roff: &mut Roff, head: Vec<Inline>, body: &str) {
    roff.control("TP", []).text(head).text([roman(body)]);
}

fn files(command: &Command, places: &Places) -> Roff {
    let mut roff = Roff::new();
    for arg in command.get_arguments().filter(|arg| is_path(arg)) {
        let found = arg.get_long_help().expect("where it is found").to_string();
        let name = arg.get_value_names().expect("named")[0].to_string();
        let head = match arg.get_long() {
            Some(long) => vec![bold(format!("--{long}")), italic(format!(" <{name}>"))],
            None => vec![italic(name)],
        };
        entry(&mut roff, head, &found);
    }
    for (place, has) in [
        (
            &places.scripts,
            "what byok, its paper and its pages call ceremony-scripts",
        ),
        (&places.docs, "README.md and the pages that it names"),
    ] {
        entry(&mut roff, vec![bold(place)], has);
    }
    roff
}

/// `0 done, 1 declined or interrupted, …`: an entry for each code.
fn exit_status(codes: &str) -> Roff {
    let mut roff = Roff::new();
    let mut parts: Vec<String> = Vec::new();
    for part in codes.split(", ") {
        match part.starts_with(|c: char| c.is_ascii_digit()) {
            true => parts.push(part.to_owned()),
            false => *parts.last_mut().expect("a code first") += &format!(", {part}"),
        }
    }
    for part in parts {
        let (code, means) = part.split_once(' ').expect("a meaning");
        entry(&mut roff, vec![bold(code)], means);
    }
    roff
}

/// Lines as they are, without the indentation that they have below `Example:`.
fn examples(example: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("nf", []);
    for line in example.lines() {
        let indented = line.strip_prefix("          ").unwrap_or(line);
        roff.text([roman(indented)]);
    }
    roff.control("fi", []);
    roff
}

/// The pages of the verbs that this help names, and byok's own.
fn see_also(byok: &Command, command: &Command) -> Roff {
    let text = command.get_after_help().map(ToString::to_string);
    let text = one_line(&text.unwrap_or_default());
    let is_named = |verb: &&Command| {
        command.get_name() == "byok" || text.contains(&format!("byok {}", verb.get_name()))
    };
    let others = byok.get_subcommands().filter(is_named);
    let mut names: Vec<String> = std::iter::once(byok)
        .chain(others)
        .chain(command.get_subcommands())
        .map(page_of)
        .filter(|page| *page != page_of(command))
        .collect();
    names.sort();
    names.dedup();
    let mut inlines = Vec::new();
    for name in names {
        if !inlines.is_empty() {
            inlines.push(roman(", "));
        }
        inlines.extend([bold(name), roman("(1)")]);
    }
    let mut roff = Roff::new();
    roff.text(inlines);
    roff
}
