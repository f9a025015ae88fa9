//! What people have on paper in the real room, for practice: on screens before the first one, and as files to print.
//! Nothing on these papers is real.

use std::fs::{self, DirBuilder};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{shortened, write_new};
use crate::ceremony::operator::Operator;
use crate::ceremony::screens;
use crate::crypto::escrow::Policy;
use crate::crypto::escrow::{Package, SHARE_WORDS, read_share_file};
use crate::crypto::locked::Locked;
use crate::evidence::previous::Previous;
use crate::ground::error::{Error, Result};
use crate::ground::text::fold;
use crate::ground::window::Top;
use crate::ground::words::{self, Digest};
use crate::plan::{PackageSource, Plan, parameters};
use crate::rehearsal::{self, Replaced};

/// The file with everything that is to be typed, in the rehearsal's directory.
const FILE: &str = "practice-slip.txt";

/// Lines of a page between its title and its question, on a terminal of 24.
const PAGE: usize = 21;

/// Room for one practice share form, in bytes.
const LONGEST_FORM: usize = 8192;

/// Papers for one practised plan: each block is on one page.
pub(super) struct Papers {
    /// The kind and title of the practised ceremony.
    title: String,
    blocks: Vec<String>,
}

impl Papers {
    /// Writes them for this practice plan. `told`: what differs from the real room, a sentence each. `forms`: the
    /// practice share forms. `wrapping_key`: the digest of the stand-in KMS's wrapping key.
    ///
    /// # Errors
    /// Exit 5 if the file cannot be written; whatever [`parameters::slip`] refuses.
    pub(super) fn write(
        plan: &Plan,
        previous: Option<&Previous>,
        told: &[String],
        forms: &[PathBuf],
        wrapping_key: &Digest,
        room: &Path,
    ) -> Result<Self> {
        let to_type = [
            forms_to_type(forms),
            pin(plan),
            slip(plan)?,
            previous.map(|known| head(plan, known)).unwrap_or_default(),
        ];
        let mut blocks = vec![differences(told)];
        blocks.extend(to_type);
        if let Some(package) = previous.and_then(|previous| previous.package.as_ref()) {
            blocks.extend(package_rows(plan, package));
        }
        blocks.retain(|block| !block.is_empty());
        let file = room.join(FILE);
        let text = format!(
            "PRACTICE: what people type at this rehearsal. Nothing on this paper is real.\n\n{}\n \
             SHA-256 of the practice plan, to compare when it is approved:\n{}\n \
             Digest of every wrapping key of the slip, if you answer key:\n{}",
            blocks.join("\n"),
            words::rows(&plan.sha256, 3),
            words::rows(wrapping_key, 3)
        );
        write_new(&file, text.as_bytes())?;
        let told = format!(
            "All of this and the plan's digest, to print or to read: {}",
            shortened(&file).display()
        );
        blocks.insert(1, fold(&told, " "));
        Ok(Self {
            title: screens::title(plan),
            blocks,
        })
    }

    /// Shows them, page by page.
    ///
    /// # Errors
    /// Exit 1 if the person ends the rehearsal.
    pub(super) fn show(&self, operator: &mut dyn Operator) -> Result<()> {
        let pages = packed(&self.blocks);
        for (at, page) in pages.iter().enumerate() {
            let top = Top {
                rehearsal: true,
                place: "before the first screen",
                title: &self.title,
                always: true,
            };
            let heading = top.page(at + 1, pages.len());
            operator.ask(&format!("{heading}{page} Press Enter when you have this: "))?;
        }
        Ok(())
    }
}

/// As many blocks on a page as it holds; a longer block has a page to itself.
fn packed(blocks: &[String]) -> Vec<String> {
    let mut pages: Vec<String> = Vec::new();
    for block in blocks {
        match pages.last_mut() {
            Some(page) if page.lines().count() + 1 + block.lines().count() <= PAGE => {
                page.push('\n');
                page.push_str(block);
            }
            _ => pages.push(block.clone()),
        }
    }
    pages
}

fn differences(told: &[String]) -> String {
    let mut text = fold(
        "Practice: HSM, KMS, data keys and shares are worth nothing. People see and type what they will in the real room, except for this:",
        " ",
    );
    for sentence in told {
        let folded = fold(sentence, "   ");
        text += &format!(" - {}", folded.trim_start());
    }
    text
}

fn pin(plan: &Plan) -> String {
    match plan.hsm.pin.is_typed() {
        true => format!(
            " PIN of the practice token: {} (two halves: any split of it)\n",
            rehearsal::PIN
        ),
        false => String::new(),
    }
}

/// The slip of the online side, if rows of it are typed.
fn slip(plan: &Plan) -> Result<String> {
    let mut imports = plan.imports();
    if imports.all(|(_, import)| import.wrapping_key_sha256.is_some()) {
        return Ok(String::new());
    }
    let digest = parameters::slip(plan)?;
    Ok(format!(
        " The slip of the online side, whose part you play too. Copy it to paper:\n \
         digest over all parameter files\n{}",
        words::rows(&digest, 3)
    ))
}

/// The paper of the witnesses, if rows of it are typed.
fn head(plan: &Plan, previous: &Previous) -> String {
    if plan.previous.is_none() || plan.previous_head.is_some() {
        return String::new();
    }
    let mut text = " The paper that the witnesses signed after the last ceremony. Copy it:\n \
                    head digest of the previous record\n"
        .to_owned();
    for row in 1..=3 {
        text += &format!("   row {row}   {}\n", words::row(&previous.head, row));
    }
    text
}

fn forms_to_type(forms: &[PathBuf]) -> String {
    let Some(directory) = forms.first().and_then(|form| form.parent()) else {
        return String::new();
    };
    let names: Vec<_> = forms
        .iter()
        .filter_map(|form| Some(form.file_name()?.to_string_lossy()))
        .collect();
    let place = shortened(directory).display();
    fold(
        &format!("Practice share forms to print, one for each custodian, in {place}:"),
        " ",
    ) + &fold(&names.join(", "), "   ")
}

/// The printed page of the package, a block for each data key, if it is typed.
fn package_rows(plan: &Plan, package: &Package) -> Vec<String> {
    let typed = plan
        .recover
        .as_ref()
        .is_some_and(|recover| recover.package == PackageSource::Typed);
    if !typed {
        return Vec::new();
    }
    let block = |key: &crate::crypto::escrow::PackedKey| {
        let one = Package {
            ceremony: package.ceremony.clone(),
            keys: vec![key.clone()],
        };
        let text = one.to_text();
        let rows = text.lines().filter(|line| line.contains("  check "));
        let rows: String = rows.map(|row| format!("   {row}\n")).collect();
        format!(" The printed escrow package of {:?}:\n{rows}", key.label)
    };
    package.keys.iter().map(block).collect()
}

/// Makes the forms that custodians bring to a recovery from the stand-in's share files.
///
/// # Errors
/// Exit 5 if they cannot be written.
pub(super) fn forms(
    dealt: &Path,
    policy: &Policy,
    ceremony: &str,
    room: &Path,
) -> Result<Vec<PathBuf>> {
    let cannot = |e: std::io::Error| Error::machine(format!("the practice share forms: {e}"));
    let to = room.join(Replaced::FORMS);
    DirBuilder::new().mode(0o700).create(&to).map_err(cannot)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(dealt).map_err(cannot)? {
        names.push(entry.map_err(cannot)?.file_name());
    }
    names.sort();
    let mut forms = Vec::with_capacity(names.len());
    for name in &names {
        let path = to.join(name);
        write_form(&dealt.join(name), &path, &policy.quorum(), ceremony)?;
        forms.push(path);
    }
    Ok(forms)
}

/// The words numbered in three columns, as a form has them; on the last line all of them again, so that
/// `byok share check` and `shares = "files:…"` read the file.
fn write_form(dealt: &Path, to: &Path, quorum: &str, ceremony: &str) -> Result<()> {
    const ROWS: usize = SHARE_WORDS / 3;
    let cannot = |e: std::io::Error| Error::machine(format!("writing {}: {e}", to.display()));
    let share = read_share_file(dealt)?;
    let name = to.file_stem().unwrap_or_default().to_string_lossy();
    let (number, custodian) = name.split_once('-').unwrap_or(("", &name));
    let mut text = Locked::zeroed(LONGEST_FORM)?;
    let mut rest = &mut text[..];
    let mut write = || {
        write!(
            rest,
            "PRACTICE SHARE FORM {number}, {custodian}\n\
             Worthless: it is from a rehearsal and opens no real data key.\n\
             {quorum}; ceremony {ceremony}\n\n"
        )?;
        for row in 0..ROWS {
            for at in [row, row + ROWS] {
                write!(rest, "{:>5} {:<10}", at + 1, share.word(at))?;
            }
            let last = row + 2 * ROWS;
            writeln!(rest, "{:>5} {}", last + 1, share.word(last))?;
        }
        for at in 0..SHARE_WORDS {
            let before = if at == 0 { "\n" } else { " " };
            write!(rest, "{before}{}", share.word(at))?;
        }
        writeln!(rest)
    };
    write().map_err(cannot)?;
    let left = rest.len();
    let len = LONGEST_FORM - left;
    crate::ground::files::write_new(to, &text[..len]).map_err(cannot)
}
