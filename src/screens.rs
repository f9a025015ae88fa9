//! What people read at the moments that matter. At most 79 columns; nothing here asks or decides.

use std::path::Path;

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::ceremony::{self, Sealed};
use crate::machine;
use crate::outputs::ImportType;
use crate::plan::{
    Deliver, ImportPlan, InToken, Keep, KeyPlan, Kind, Network, Plan, SignerPlan, Source,
};
use crate::previous::Previous;
use crate::record::Leftover;
use crate::spec::Spec;
use crate::transcript::VoidShares;
use crate::transcript::signature::fingerprint;
use crate::words;

mod many;
mod shares;

pub use many::COUNTED_IN_STEPS;
pub use shares::{asked_of, mistyped, one_row, place_of, place_of_share, share, short, suspects};

/// The widest line, in terminal columns.
const WIDTH: usize = 79;

/// `byok 0.1.0   PRODUCTION            before step 1 of 13: approve`
pub fn heading(rehearsal: bool, place: &str) -> String {
    let left = format!("byok {}   {}", env!("CARGO_PKG_VERSION"), mode(rehearsal));
    let gap = WIDTH.saturating_sub(left.width() + place.width()).max(2);
    format!("{left}{:gap$}{place}\n", "")
}

fn mode(rehearsal: bool) -> &'static str {
    if rehearsal { "REHEARSAL" } else { "PRODUCTION" }
}

/// Everything that the plan means, and its digest. Ends with the question.
///
/// `previous` is the record that the plan builds on, whose receipts say what KMS holds already.
pub fn approval(
    plan: &Plan,
    leftover: Option<&Leftover>,
    previous: Option<&Previous>,
    rehearsal: bool,
) -> String {
    let mut screen = heading(rehearsal, "before step 1 of 13: approve");
    screen += &fold(&plan.title, " ");
    screen += "\n";
    screen += &match many::counts(plan) {
        true => many::meaning(plan, previous),
        false => each_meaning(plan, previous),
    };
    if let Some(reason) = &plan.reason {
        screen += &field("reason", reason);
    }
    screen += &previous_meaning(plan);
    if let Some(escrow) = escrow_meaning(plan) {
        screen += &field("escrow", &escrow);
    }
    if !plan.witnesses.is_empty() {
        screen += &field("witness", &plan.witnesses.join(", "));
    }
    let network = match plan.network {
        Network::Forbidden => "",
        Network::Hsm | Network::Allowed => "   NETWORK NOT FORBIDDEN",
    };
    screen += &field("HSM", &format!("{}{network}", plan.hsm.token));
    match &plan.signer {
        SignerPlan::Any => {}
        SignerPlan::Named(digest) => screen += &field("signer", &fingerprint(digest)),
        SignerPlan::Nobody => screen += &field("signer", "NONE: the transcript is not signed"),
    }
    screen += &field("record", &format!("{} (new)", plan.directory.display()));
    if let Some(leftover) = leftover {
        screen += &leftover_meaning(leftover);
    }
    screen += " SHA-256 of the plan. Compare with the paper, which has it from sha256sum:\n";
    screen += &words::rows(&plan.sha256, 3);
    // said again here: a plan with many imports pushes the heading off the screen
    let clock = machine::for_people(machine::now());
    screen += &format!(
        " {}. Nothing has been made yet. {clock}; wrong? type clock\n",
        mode(rehearsal)
    );
    screen += " One person reads the paper aloud, another the screen: do all 8 rows match?\n";
    screen += " Type Yes to approve, anything else to stop: ";
    screen
}

fn each_meaning(plan: &Plan, previous: Option<&Previous>) -> String {
    let mut text = String::new();
    for key in &plan.keys {
        text += &key_meaning(plan, previous, key);
        for import in &key.imports {
            text += &import_meaning(import);
            text += &known_to_kms(plan.kind, previous, key, import);
        }
        if plan.kind != Kind::Destroy {
            text += &field("keep", keep_meaning(key.keep));
        }
    }
    text
}

/// What becomes of data keys from this source in a ceremony of this kind.
fn verb(kind: Kind, source: &Source) -> (&'static str, &'static str) {
    match kind {
        Kind::Generate => comes_to_be(source),
        Kind::Reimport => ("find", "the same, in the HSM"),
        Kind::Recover => ("recover", "the same, from a quorum"),
        Kind::Destroy => (
            "DESTROY",
            "for ever; what it protects is lost with its last copy",
        ),
    }
}

fn key_meaning(plan: &Plan, previous: Option<&Previous>, key: &KeyPlan) -> String {
    let (verb, how) = verb(plan.kind, &key.source);
    // Without imports the plan does not tell the length of the data key, but the record does.
    let known = previous.and_then(|previous| previous.key(&key.label)?.bytes);
    let made_of = match (known, key.spec) {
        (Some(bytes), Spec::Symmetric { .. }) => Spec::Symmetric { bytes },
        _ => key.spec,
    };
    let spec = format!("{}   {}, {made_of}, {how}", key.label, key.spec.name());
    let mut text = field(verb, &spec);
    match &key.source {
        Source::Token(InToken::Id(id)) => {
            text += &field("", &format!("the one of CKA_ID {}", words::hex(id)));
        }
        Source::File(path) => text += &field("from", &path.display().to_string()),
        Source::Hsm | Source::Token(InToken::Label) => {}
    }
    if let Some(reason) = &key.reason {
        text += &field("reason", reason);
    }
    if let Some(fingerprint) = &key.fingerprint {
        text += &field("", &format!("fingerprint {fingerprint}"));
    }
    text
}

/// How a data key of a `generate` comes to be.
fn comes_to_be(source: &Source) -> (&'static str, &'static str) {
    match source {
        Source::Hsm => ("make", "inside the HSM"),
        Source::Token(_) => (
            "take",
            "as it is in the HSM ALREADY: nothing tells who made it or who else has it",
        ),
        Source::File(_) => (
            "bring in",
            "from a FILE, THROUGH THIS COMPUTER'S MEMORY: whoever has or had the file has it",
        ),
    }
}

/// What the ceremony builds on, and what vouches for that.
fn previous_meaning(plan: &Plan) -> String {
    let Some(previous) = &plan.previous else {
        return String::new();
    };
    let anchor = match plan.previous_head {
        Some(_) => "its head digest stands in the plan",
        None => "its head digest is typed from paper",
    };
    field("previous", &format!("{}; {anchor}", previous.display()))
}

fn keep_meaning(keep: Keep) -> &'static str {
    match keep {
        Keep::Extractable => "in the HSM, extractable: whoever has token and PIN can wrap it again",
        Keep::Sealed => "in the HSM, sealed after the proof: then only a quorum brings it out",
        Keep::None => "not in the HSM: after the ceremony only a quorum brings it back",
    }
}

/// Nothing of a reimport that leaves the shares as they are.
fn escrow_meaning(plan: &Plan) -> Option<String> {
    let Some(escrow) = &plan.escrow else {
        return match (plan.kind, &plan.reuse_escrow) {
            (Kind::Destroy, _) => Some("each share form and package is asked for".to_owned()),
            (_, Some(reason)) => Some(format!("the old shares stay in use: {reason}")),
            (Kind::Generate, None) => Some(match plan.keys.len() {
                1 => "NONE: if the HSM is lost, so is this data key".to_owned(),
                _ => "NONE: if the HSM is lost, so are these data keys".to_owned(),
            }),
            (_, None) => None,
        };
    };
    let place = match &escrow.deliver {
        Deliver::Screen => "written down at this screen".to_owned(),
        Deliver::Files(directory) => format!("as files in {}", directory.display()),
    };
    Some(format!(
        "any {} of {}: {}; {place}",
        escrow.threshold,
        escrow.custodians.len(),
        escrow.custodians.join(", ")
    ))
}

fn import_meaning(import: &ImportPlan) -> String {
    let arn = &import.key_arn;
    let place = import.wrap_in.place();
    let place_of_key = match import.name == arn.region() {
        true => import.name.clone(), // many imports are named after their Region
        false => format!("{}, {}", import.name, arn.region()),
    };
    let expires = import.expires.map_or("never expires".to_owned(), |at| {
        format!("expires {}", machine::for_people(at))
    });
    field(
        "for",
        &format!("{place_of_key}, account {}", grouped(arn.account())),
    ) + &field("", &format!("key {}", arn.key_id()))
        + &field("wrap", &format!("{place}, {}   {expires}", import.wrapping))
}

/// What is unlike a first import: another KMS key than before, a witness, material that KMS knows already.
fn known_to_kms(
    kind: Kind,
    previous: Option<&Previous>,
    key: &KeyPlan,
    import: &ImportPlan,
) -> String {
    let mut text = String::new();
    if let Some(reason) = &import.other_kms_key {
        text += &field("KMS key", &format!("may be another than before: {reason}"));
    }
    if let Some(other) = &import.witness_of {
        text += &field(
            "witness",
            &format!("the same material a second time, which proves the import {other}"),
        );
    }
    if let Some(role) = key.role(kind, import) {
        text += &field("Region", &role.told());
    }
    match ceremony::import_type(kind, previous, key, import) {
        Some(ImportType::ExistingKeyMaterial { key_material_id }) => {
            let why = match key_material_id {
                Some(id) => format!("{id:.12}…, known by a receipt"),
                None => "KMS compares the two".to_owned(),
            };
            text += &field("import as", &format!("EXISTING_KEY_MATERIAL, {why}"));
        }
        Some(ImportType::NewKeyMaterial) => {
            let what = match import.import_as {
                Some(_) => "added to what the KMS key holds; rotated online",
                None => "the first of the KMS key",
            };
            text += &field("import as", &format!("NEW_KEY_MATERIAL, {what}"));
        }
        None => {}
    }
    if let Some(description) = &import.description {
        text += &field("described", description);
    }
    text
}

fn leftover_meaning(leftover: &Leftover) -> String {
    let mut text = field(
        "before",
        &format!(
            "a run that did not come to its end left {}",
            leftover.working.display()
        ),
    );
    for (label, id) in &leftover.intended {
        text += &field(
            "destroy",
            &format!("{label}, CKA_ID {id}, if that run made it"),
        );
    }
    if let Some(void) = &leftover.void {
        text += &field("void", &void_shares(void));
    }
    if let Some(broken) = &leftover.broken {
        text += &field(
            "",
            &format!("its transcript does not hold ({broken}): nothing is destroyed"),
        );
    }
    text
}

/// Which forms of an interrupted run are to be collected and destroyed.
pub fn void_shares(void: &VoidShares) -> String {
    let mut forms = Vec::new();
    for share in &void.shares {
        let perhaps = if share.handed_out {
            ""
        } else {
            ", if it was begun"
        };
        forms.push(format!(
            "share {}, {}{perhaps}",
            share.share, share.custodian
        ));
    }
    format!(
        "the share forms of the interrupted ceremony {}; destroy them: {}",
        void.ceremony,
        forms.join("; ")
    )
}

/// The account number as people read it: `1111 2222 3333`.
fn grouped(account: &str) -> String {
    account
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The last screen of a ceremony. `previous` is the record that it built on.
pub fn sealed(
    plan: &Plan,
    sealed: &Sealed,
    previous: Option<&Previous>,
    rehearsal: bool,
) -> String {
    let now = machine::now();
    let exceptions = match sealed.exceptions {
        0 => "no exceptions recorded".to_owned(),
        1 => "1 exception recorded".to_owned(),
        n => format!("{n} exceptions recorded"),
    };
    let top = heading(rehearsal, "step 13 of 13: what comes next")
        + &format!(
            " SEALED {}. All steps done, {exceptions}.\n",
            machine::for_people(now)
        );
    let mut screen =
        String::from(" Head of the transcript. Read all 8 rows aloud; witnesses write rows 1-3:\n");
    screen += &words::rows(&sealed.head, 3);
    if let Some(signer) = &sealed.signer {
        screen += &format!(
            " signed by {}\n   row 1   {}\n",
            signer.fingerprint(),
            words::row(&signer.digest(), 1)
        );
    }
    let folders: Vec<_> = plan
        .imports()
        .map(|(key, import)| format!("{}/{}", key.label, import.name))
        .collect();
    let in_clear: Vec<String> = plan
        .source_files()
        .map(|(_, path)| path.display().to_string())
        .collect();
    let share_files = plan
        .escrow
        .as_ref()
        .and_then(|escrow| match &escrow.deliver {
            Deliver::Files(directory) => Some(directory.display().to_string()),
            Deliver::Screen => None,
        });
    let holds_package = previous.filter(|previous| previous.package.is_some());
    let next = Next {
        directory: &sealed.directory,
        folders: &folders,
        imported: false,
        deadline: sealed.deadline,
        rehearsal,
        package: plan.escrow.is_some(),
        by_quorum: plan.keys.iter().any(|key| key.keep != Keep::Extractable),
        earlier_package: holds_package.map(|previous| previous.directory.as_path()),
        rotated: !plan.rotated().is_empty(),
        in_clear: &in_clear,
        share_files: share_files.as_deref(),
    };
    let next = next.screen(now);
    // What scrolls away can be had again with verify --next; the head must stay to be read aloud.
    match top.lines().count() + screen.lines().count() + next.lines().count() {
        0..=23 => top + &screen + &next,
        _ => top + &next + &screen,
    }
}

/// What the last screen tells.
pub struct Next<'a> {
    /// The record.
    pub directory: &'a Path,
    /// `<label>/<import>` of every import that is still to be made.
    pub folders: &'a [String],
    /// Whether receipts tell that others were made.
    pub imported: bool,
    /// When the first import token expires.
    pub deadline: Option<Timestamp>,
    /// Whether the record is practice.
    pub rehearsal: bool,
    /// Whether the record holds an escrow package.
    pub package: bool,
    /// Whether a data key cannot be wrapped again without a quorum.
    pub by_quorum: bool,
    /// The earlier record whose escrow package is in use, where this one holds none.
    pub earlier_package: Option<&'a Path>,
    /// Whether KMS keys are rotated to this material when it is imported.
    pub rotated: bool,
    /// Files that hold data keys in clear.
    pub in_clear: &'a [String],
    /// Where the share files were written, if they were not written down at the screen.
    pub share_files: Option<&'a str>,
}

impl Next<'_> {
    /// Who carries which files where, before when.
    pub fn screen(&self, now: Timestamp) -> String {
        let shown = words::shell_path(self.directory);
        let name = self.directory.file_name().unwrap_or_default().display();
        if self.rehearsal {
            return format!(
                " REHEARSAL: nothing here is real. Look at it, then remove it:\n   {shown}\n"
            );
        }
        let mut text = format!(
            " 1 two sticks, each:  cp -r {shown} /media/usb1; sync\n\
             \x20                     byok verify --head 'ROWS 1-3' /media/usb1/{name}\n"
        );
        text += &match (self.folders, self.package) {
            ([], _) if self.imported => " 2 everything is imported, say the receipts\n".into(),
            ([], true) => {
                " 2 nothing is imported: destroy the old shares and the old package\n".into()
            }
            ([], false) => {
                " 2 nothing is imported; what was not destroyed in the room is recorded as such\n"
                    .into()
            }
            (folders, _) => import_steps(folders, self.deadline, now),
        };
        if self.rotated {
            text += " 4 then they rotate:   bash online.sh rotate   (import.sh ends with the command)\n";
        }
        for path in self.in_clear {
            let told = format!(
                "REMOVE {path}, and every copy of it: a data key in clear. byok never deletes it"
            );
            text += &fold(&told, " ");
        }
        if let Some(directory) = self.share_files {
            let told = format!(
                "SHARES are in {directory}: one file each. Give each to its custodian alone, then wipe them there"
            );
            text += &fold(&told, " ");
        }
        if self.package {
            text += " KEEP escrow-package.json in 3 places: without it no share opens anything.\n";
        }
        if !self.folders.is_empty() {
            text += " Import missed or refused? Nothing is lost: get new import parameters, then\n";
            text += &self.once_more();
        }
        text += &format!(" This screen again:   byok verify --next {shown}\n");
        text
    }

    /// A quorum needs the record whose package the shares in use open.
    fn once_more(&self) -> String {
        let with_quorum = |record: &Path| {
            format!(
                "   with a quorum:     byok plan --recover {}\n",
                words::shell_path(record)
            )
        };
        match (self.by_quorum, self.package, self.earlier_package) {
            (false, ..) => format!(
                "                      byok plan --reimport {}\n",
                words::shell_path(self.directory)
            ),
            (true, true, _) => with_quorum(self.directory),
            (true, false, Some(earlier)) => with_quorum(earlier),
            (true, false, None) => {
                with_quorum(Path::new("RECORD"))
                    + "   RECORD is the one that dealt the shares in use: its package is needed\n"
            }
        }
    }
}

fn import_steps(folders: &[String], deadline: Option<Timestamp>, now: Timestamp) -> String {
    let needs = match folders {
        [one] => format!("needs the folder {one}, nothing else"),
        many => format!(
            "needs the {} folders <label>/<import> and import.sh above them",
            many.len()
        ),
    };
    format!(
        " 2 cloud operator:    bash import.sh   {}\n   {needs}\n\
         \x203 they bring back:   import-result.json, one for each import\n",
        before(deadline, now)
    )
}

fn before(deadline: Option<Timestamp>, now: Timestamp) -> String {
    let Some(deadline) = deadline else {
        return String::new();
    };
    let hours = deadline.duration_since(now).as_hours();
    if deadline <= now {
        return format!("TOO LATE since {}", machine::for_people(deadline));
    }
    format!("BEFORE {} ({hours} h left)", machine::for_people(deadline))
}

/// `README.txt` of a record. It explains; it vouches for nothing.
pub fn record_readme(plan: &Plan, ceremony: &str, rehearsal: bool) -> String {
    let practice = if rehearsal {
        "\nREHEARSAL: this record is from a rehearsal. Nothing in it is real.\n"
    } else {
        ""
    };
    let escrow = if plan.escrow.is_some() {
        "escrow-package.json  the data keys under the escrow key: without it no share opens anything\n\
         package.txt          the same as rows to print, copy and type back; keep both confidential\n"
    } else {
        ""
    };
    let imports = if plan.imports().next().is_some() {
        "import.sh          for the cloud operator: runs the import.sh of every folder in turn\n\
         <label>/<import>/  one KMS key's import; the folder alone is enough to run it\n\
         \x20 WrappedKeyMaterial.bin  the data key, encrypted for that KMS key only\n\
         \x20 ImportToken.bin         what KMS wants to see with it\n\
         \x20 import.sh               checks both, then runs aws kms import-key-material\n\
         \x20 import-result.json      written by import.sh; may be added later\n"
    } else {
        ""
    };
    let rotation = rotation_readme(plan);
    let mut in_clear = String::new();
    for (key, path) in plan.source_files() {
        in_clear += &format!(
            "\nThe data key {} came from a file, {}. Whoever has that file, or a copy of it,\n\
             has the data key. byok never deletes it: people remove it, and every copy, once this record is\n\
             safe (where it lies on a disk that can be wiped: shred -u; else destroy the medium).\n",
            key.label,
            words::printable(&path.display().to_string())
        );
    }
    let public_keys = match plan.keys.iter().any(|key| key.spec.is_private()) {
        true => {
            "<label>/public-key.pem  the public half of a key pair; the same as DER: public-key.der, whose\n\
             \x20                       SHA-256 is the fingerprint\n"
        }
        false => "",
    };
    let signature = match plan.signer {
        SignerPlan::Nobody => "",
        _ => {
            "signatures/hsm.sig the HSM's signature of transcript.jsonl, as ssh-keygen verifies it\n\
             signatures/*.sig   signatures of witnesses, which may be added later\n"
        }
    };
    format!(
        "Record of a key ceremony\n\
         {practice}\n\
         {}\n\
         ceremony {ceremony}\n\
         \n\
         plan.toml          what was approved, byte for byte\n\
         transcript.jsonl   what happened, a line an event, each bound to the one before\n\
         transcript.html    the same as a report to read and to print; what counts is transcript.jsonl\n\
         SHA256SUMS         checksums of every file: sha256sum -c SHA256SUMS\n\
{signature}{escrow}{public_keys}{imports}{rotation}\
{in_clear}\
         \n\
         The head digest of this record is the SHA-256 of transcript.jsonl. The witnesses wrote it\n\
         on paper. Only a copy from outside this directory says that the record is the real one:\n\
         \n\
         \x20 byok verify --head <digest from paper> <this directory>\n\
         \x20 verify-record.sh --head <digest from paper> <this directory>  (without byok)\n\
         \n\
         or a list, kept elsewhere, of keys whose owners you know:\n\
         \n\
         \x20 byok verify --signers <allowed signers> <this directory>\n\
         \n\
         This file and every other one here could have been made by somebody else; it does not\n\
         vouch for itself.\n",
        plan.title
    )
}

/// What makes KMS encrypt with material that was added to other material.
fn rotation_readme(plan: &Plan) -> String {
    let arns = plan.rotated();
    if arns.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\nThis material was made to be added to KMS keys that hold other material. It waits there\n\
         (PENDING_ROTATION) until, after the import into every Region, the cloud operator runs\n\n",
    );
    for arn in arns {
        text += &format!("  bash online.sh rotate --key {arn} --now\n");
    }
    text + "\nA KMS key is Enabled only while all its materials are imported: keep the record of each.\n"
}

/// ` make      payments-2026   SYMMETRIC_DEFAULT …`, folded below its value.
fn field(name: &str, value: &str) -> String {
    let folded = fold(value, "           ");
    format!(" {name:<10}{}", folded.trim_start())
}

/// The lines of an error for a screen: each folded below its first word after `byok: hint: `.
pub fn hanging(text: &str) -> String {
    text.lines()
        .map(|line| {
            let mark = line.match_indices(": ").nth(1).map_or(0, |(at, _)| at + 2);
            let (mark, rest) = line.split_at(mark);
            let folded = fold(rest, &" ".repeat(mark.len()));
            format!("{mark}{}", folded.trim_start())
        })
        .collect()
}

/// Lines for a terminal: each that is too long is folded below where its text begins, which is after its first
/// word or two and at least two spaces, or after `- `.
pub fn columns(text: &str) -> String {
    text.lines()
        .map(|line| match line.width() {
            0..=WIDTH => format!("{line}\n"),
            _ => folded_line(line),
        })
        .collect()
}

fn folded_line(line: &str) -> String {
    /// How far to the right a text may begin: `REHEARSAL ` and `exposure  ` are no longer.
    const FURTHEST: usize = 12;
    let lead = line.len() - line.trim_start_matches(' ').len();
    let rest = &line[lead..];
    let gap = rest.find("  ").filter(|at| lead + at < FURTHEST);
    let begins = match (rest.strip_prefix("- "), gap) {
        (Some(_), _) => lead + 2,
        (None, Some(at)) => line.len() - rest[at..].trim_start_matches(' ').len(),
        (None, None) => lead,
    };
    let (first, rest) = line.split_at(begins);
    let folded = fold(rest, &" ".repeat(begins));
    format!("{first}{}", folded.trim_start())
}

/// Breaks text into lines of at most 79 columns, at spaces where there are any, each with
/// this indent.
pub fn fold(text: &str, indent: &str) -> String {
    let text = words::printable(text);
    let room = WIDTH - indent.len();
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last().map_or(0, |line| line.width());
        if line > 0 && line + word.trim_end().width() > room {
            lines.push(String::new());
        }
        for c in word.chars() {
            if lines.last().map_or(0, |line| line.width()) + c.width().unwrap_or(0) > room
                && c != ' '
            {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
        }
    }
    lines
        .iter()
        .map(|line| format!("{indent}{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_at_spaces_and_counted_in_columns() {
        let wide = "支払い".repeat(30);
        for line in fold(&format!("{wide} {}", "word ".repeat(40)), "   ").lines() {
            assert!(line.width() <= WIDTH, "{line}");
        }
        assert_eq!(fold("one two", " "), " one two\n");
        assert_eq!(field("make", "a b"), " make      a b\n");
    }

    #[test]
    fn an_error_hangs_below_its_first_word() {
        let text = format!(
            "byok: hint: {}\nbyok: state: short\n",
            "word ".repeat(20).trim_end()
        );
        let shown = hanging(&text);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("byok: hint: word") && lines[0].width() <= WIDTH);
        assert!(lines[1].starts_with("            word"));
        assert_eq!(lines[2], "byok: state: short");
    }

    #[test]
    fn a_line_for_a_terminal_is_folded_below_where_its_text_begins() {
        let long = "word ".repeat(20);
        for (first, begins) in [("not yet  ", 9), ("         - ", 11), ("", 0), ("  ", 2)] {
            let shown = columns(&format!("{first}{}\nshort   line\n", long.trim_end()));
            let lines: Vec<&str> = shown.lines().collect();
            assert!(lines.iter().all(|line| line.width() <= WIDTH), "{shown}");
            assert!(lines[0].starts_with(&format!("{first}word")), "{shown}");
            assert_eq!(lines[1].find('w'), Some(begins), "{shown}");
            assert_eq!(lines[2], "short   line");
        }
    }

    #[test]
    fn a_heading_fills_the_line() {
        assert_eq!(heading(false, "x").trim_end().width(), WIDTH);
    }
}
