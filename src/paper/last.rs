//! The last screens of a ceremony: first the head digest, by itself, until people have written it down; then
//! who carries which files where, before when.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::crypto::escrow::package;
use crate::evidence::previous::Previous;
use crate::evidence::receipts::{self, IMPORT_RESULTS};
use crate::evidence::record::Sealed;
use crate::evidence::verify::more_records;
use crate::ground::anchor::{FROM_PAPER, TYPE_ROWS};
use crate::ground::clock;
use crate::ground::text::{command, fold, heading};
use crate::ground::words;
use crate::paper::outputs;
use crate::plan::{self, Deliver, Kind, MARKS, Plan, meaning};

/// Of each file that holds a data key in clear.
pub(crate) const REMOVE: &str =
    "REMOVE this and every copy: a data key in clear, which byok never deletes";

/// Of the folder of share files.
pub(crate) const GIVE_OUT: &str =
    "SHARES, one file each: give each only to its custodian, then wipe them";

/// Of the shares that new ones replace.
pub(crate) const OLD_SHARES: &str = "DESTROY the old share forms and every copy of the old package: together they still open the data keys";

/// The head digest. The screen shows nothing else until people have written it down.
pub(crate) fn head(plan: &Plan, sealed: &Sealed, rehearsal: bool) -> String {
    let exceptions = match sealed.exceptions {
        0 => "no exceptions recorded".to_owned(),
        1 => "1 exception recorded".to_owned(),
        n => format!("{n} exceptions recorded"),
    };
    let at = clock::for_people(clock::now());
    heading(rehearsal, "step 13 of 13: the head digest")
        + &format!(" SEALED {at}. All steps done, {exceptions}.\n")
        + &fold(
            &format!(
                "Head of the transcript. Read all 8 rows aloud. {}",
                who_writes(&plan.witnesses)
            ),
            " ",
        )
        + &words::rows(&sealed.head, 3)
}

/// One witness writes the whole digest: three rows are enough against somebody who must match a given head, all eight
/// also against a machine that prepared two transcripts.
pub(crate) fn who_writes(witnesses: &[String]) -> String {
    match witnesses {
        [] => {
            "One witness writes all 8, every other witness rows 1 to 3; everybody signs.".to_owned()
        }
        [only] => format!("{only} writes all 8 and signs."),
        [first, ..] => {
            format!("{first} writes all 8, every other witness rows 1 to 3; everybody signs.")
        }
    }
}

/// Where the last screen stands.
pub(crate) const NEXT: &str = "step 13 of 13: what comes next";

/// What comes after it. `previous` is the record that the ceremony built on.
pub(crate) fn next(
    plan: &Plan,
    sealed: &Sealed,
    previous: Option<&Previous>,
    (rehearsal, on_medium): (bool, bool),
) -> String {
    let folders = plan.folders();
    let in_clear: Vec<PathBuf> = plan
        .source_files()
        .map(|(_, path)| path.to_owned())
        .collect();
    let share_files = plan
        .escrow
        .as_ref()
        .and_then(|escrow| match &escrow.deliver {
            Deliver::Files(directory) => Some(directory.as_path()),
            Deliver::Screen => None,
        });
    let in_use = previous.and_then(Previous::in_use);
    let in_use = in_use.filter(|_| plan.kind != Kind::Destroy);
    let next = Next {
        directory: &sealed.directory,
        attempts: &sealed.attempts,
        folders: &folders,
        imported: false,
        deadline: sealed.deadline,
        open: (plan.imports()).any(|(_, i)| meaning::no_deadline(&i.kms_key).is_some()),
        rehearsal,
        on_medium,
        package: plan.escrow.is_some(),
        replaces: replaces_shares(plan, previous),
        by_quorum: plan.keys.iter().any(|key| key.keep.by_quorum()),
        earlier_package: in_use.map(|dealt| dealt.directory.as_path()),
        rotated: !plan.rotated().is_empty(),
        proofs: &proofs(plan),
        in_clear: &in_clear,
        share_files,
        branches: previous.map_or(0, |previous| previous.branches.records.len()),
    };
    let signed = sealed.signer.as_ref().map_or(String::new(), |signer| {
        format!(" Signed by the HSM:   {}\n", signer.fingerprint())
    });
    next.screen(clock::now()) + &signed
}

/// Whether new shares take the place of old ones. A ceremony that imports nothing deals them for no other reason.
pub(crate) fn replaces_shares(plan: &Plan, previous: Option<&Previous>) -> bool {
    let before = previous.and_then(Previous::in_use).is_some();
    plan.escrow.is_some() && (before || plan.imports().next().is_none())
}

/// What the last screen tells.
pub(crate) struct Next<'a> {
    /// The record.
    pub directory: &'a Path,
    /// The directories of the attempts before it, by their names beside it.
    pub attempts: &'a [String],
    /// `<label>/<import>` of every import that is still to be made.
    pub folders: &'a [String],
    /// Whether receipts say that others were made.
    pub imported: bool,
    /// When the first import token expires.
    pub deadline: Option<Timestamp>,
    /// Whether an import that is still to be made has no deadline.
    pub open: bool,
    /// Whether the record is practice.
    pub rehearsal: bool,
    /// Whether this computer runs from byok's medium.
    pub on_medium: bool,
    /// Whether the record holds an escrow package.
    pub package: bool,
    /// Whether the shares of that package take the place of others.
    pub replaces: bool,
    /// Whether a data key cannot be wrapped again without a quorum.
    pub by_quorum: bool,
    /// The earlier record whose escrow package stays in use, if this one holds none.
    pub earlier_package: Option<&'a Path>,
    /// Whether KMS keys are rotated to this material when it is imported.
    pub rotated: bool,
    /// The commands that ask for the proofs that are still missing.
    pub proofs: &'a [String],
    /// Files that hold data keys in clear.
    pub in_clear: &'a [PathBuf],
    /// Where the share files were written, if they were not written down at the screen.
    pub share_files: Option<&'a Path>,
    /// How many more records are about its data keys.
    pub branches: usize,
}

impl Next<'_> {
    /// Who carries which files where, before when. Commands are typed in the directory that holds the record, so that
    /// they stay short.
    pub(crate) fn screen(&self, now: Timestamp) -> String {
        if self.rehearsal {
            return format!(
                " REHEARSAL: nothing here is real. Look at it, then remove it:\n   {}\n",
                words::shell_path(self.directory)
            );
        }
        let name = self.name();
        let mut text = self.place();
        text += &match self.on_medium {
            true => self.carried_out(),
            false => self.copied(),
        };
        text += &match (self.folders, self.package) {
            ([], _) if self.imported => {
                " 2 everything is imported, according to the receipts\n".into()
            }
            ([], true) => " 2 nothing is imported\n".into(),
            ([], false) => {
                " 2 nothing is imported; what was not destroyed in the room is recorded as such\n"
                    .into()
            }
            (folders, _) => self.import_steps(folders, now),
        };
        if self.rotated {
            text += " 4 then they rotate:   bash online.sh rotate   (import.sh ends with it)\n";
        }
        text += &prove_steps(self.proofs);
        for path in self.in_clear {
            text += &format!(" {REMOVE}:\n");
            text += &format!("     {}\n", self.as_typed(path));
        }
        if let Some(directory) = self.share_files {
            text += &format!(" {GIVE_OUT}:\n");
            text += &format!("     {}\n", self.as_typed(directory));
        }
        if self.replaces {
            text += &fold(&format!("{OLD_SHARES}."), " ");
        }
        text += &self.keep();
        if !self.folders.is_empty() {
            text += " Import missed or refused? Nothing is lost: get new import parameters, then\n";
            text += &self.once_more();
        }
        text += &self.branches();
        let again = ["byok verify --next".to_owned(), name];
        text + &command(" This screen again:   ", &again, GOES_ON)
    }

    fn import_steps(&self, folders: &[String], now: Timestamp) -> String {
        let carried = outputs::carried_out(folders);
        let mut needs = fold(&format!("needs {carried} of the record"), "   ");
        if self.open {
            needs += &fold(GUARD, "   ");
        }
        let receipt = [
            "byok receipt".to_owned(),
            self.name(),
            IMPORT_RESULTS.to_owned(),
        ];
        format!(
            " 2 cloud operator:    bash import.sh   {}\n{needs}",
            before(self.deadline, now)
        ) + &command(" 3 what comes back:   ", &receipt, GOES_ON)
    }

    /// How it gets onto two sticks from a computer with a disk.
    fn copied(&self) -> String {
        let mut text = format!(" 1 two sticks, each; {TYPE_ROWS}:\n");
        for typed in copies(self.directory) {
            text += &command("     ", &typed, GOES_ON);
        }
        text + &attempts(&self.name(), self.attempts)
    }

    /// The same from byok's medium, whose console mounts sticks; what is typed there stands in one line.
    fn carried_out(&self) -> String {
        let name = self.name();
        let mut text =
            " 1 two sticks, each; until then the record is in this computer's memory alone:\n"
                .to_owned();
        text += &command("     ", &carry(&name), "");
        for attempt in self.attempts {
            let attempt = words::shell_path(Path::new(attempt));
            text += &command("     ", &carry(&attempt), "");
        }
        text += &format!(
            "   carry reads back what it copied, and says when the stick may be pulled.\n   \
             Then, each in one line; {TYPE_ROWS}:\n"
        );
        for typed in [
            vec!["open STICK".to_owned()],
            check(format!("/media/STICK/{name}")),
            vec!["close STICK".to_owned()],
        ] {
            text += &command("     ", &typed, "");
        }
        text
    }

    /// Which escrow package stays needed, if there is one.
    fn keep(&self) -> String {
        match (self.package, self.earlier_package) {
            (true, _) => format!(" {}\n", package::KEEP),
            (false, None) => String::new(),
            (false, Some(record)) => {
                let record = self.as_typed(record);
                format!(" {}\n   It is in {record}\n", package::KEEP)
            }
        }
    }

    /// What this record does not tell.
    fn branches(&self) -> String {
        match self.branches {
            0 => String::new(),
            n => format!(
                " NOT TOLD HERE: {}; byok verify says which\n",
                more_records(n)
            ),
        }
    }

    fn name(&self) -> String {
        name(self.directory)
    }

    /// Where the commands are typed.
    fn place(&self) -> String {
        let command = beside(self.directory);
        command.map_or_else(String::new, |cd| format!(" First:               {cd}\n"))
    }

    /// A file or folder as it is typed beside the record: the shorter of its path from there and its whole path.
    fn as_typed(&self, path: &Path) -> String {
        let place = self
            .directory
            .parent()
            .filter(|place| *place != Path::new(""));
        let place = place.unwrap_or(Path::new(".")).canonicalize();
        let (Ok(place), Ok(path)) = (place, path.canonicalize()) else {
            return words::shell_path(path);
        };
        let common = place.components().zip(path.components());
        let common = common.take_while(|(a, b)| a == b).count();
        let mut from_there: PathBuf = place.components().skip(common).map(|_| "..").collect();
        from_there.extend(path.components().skip(common));
        [from_there, path]
            .map(|path| words::shell_path(&path))
            .into_iter()
            .min_by_key(String::len)
            .unwrap_or_default()
    }

    /// Where the plan of what comes next is written: above `records`, where plans belong, or beside the record.
    fn plan_file(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        let place = std::path::absolute(self.directory).ok();
        let place = place.as_deref().and_then(Path::parent);
        let above = match place.and_then(Path::file_name) {
            Some(place) if place == "records" => Path::new(".."),
            _ => Path::new(""),
        };
        let file = above.join(format!("{}-again.toml", name.to_string_lossy()));
        words::shell_path(&file)
    }

    /// A quorum needs the record whose package the shares in use open.
    fn once_more(&self) -> String {
        let out = self.plan_file();
        let how = plan::again(self.by_quorum);
        let typed = |record: &str| {
            let plan = [format!("byok plan {how}"), format!("{record}{GOES_ON}")];
            command("     ", &plan, GOES_ON) + &format!("     --out {out}\n")
        };
        let with_quorum = |record: &str| format!("   with a quorum:\n{}", typed(record));
        match (self.by_quorum, self.package, self.earlier_package) {
            (false, ..) => typed(&self.name()),
            (true, true, _) => with_quorum(&self.name()),
            (true, false, Some(earlier)) => with_quorum(&self.as_typed(earlier)),
            (true, false, None) => {
                with_quorum("RECORD")
                    + "   RECORD is the one that dealt the shares in use: its package is needed\n"
            }
        }
    }
}

/// A record, as it is typed beside it.
fn name(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default();
    words::shell_path(Path::new(name))
}

/// The command that leads to where a record is named without its folder, if it lies in one.
pub(crate) fn beside(directory: &Path) -> Option<String> {
    let place = directory
        .parent()
        .filter(|place| !place.as_os_str().is_empty())?;
    Some(format!("cd {}", words::shell_path(place)))
}

/// At the end of a line that the next one continues, in a shell.
const GOES_ON: &str = " \\";

/// What is typed beside a record to copy it to a stick and to check the copy, each in the parts that stay together.
pub(crate) fn copies(directory: &Path) -> [Vec<String>; 2] {
    let name = name(directory);
    [
        [
            "cp -r".to_owned(),
            name.clone(),
            "/media/usb1; sync".to_owned(),
        ]
        .to_vec(),
        check(format!("/media/usb1/{name}")),
    ]
}

fn check(copy: String) -> Vec<String> {
    vec![format!("byok verify --head {FROM_PAPER}"), copy]
}

/// What the console of byok's medium takes in the place of `cp`.
pub(crate) fn carry(name: &str) -> [String; 2] {
    ["carry STICK".to_owned(), name.to_owned()]
}

/// An auditor must see them too: each is copied beside the record.
fn attempts(name: &str, attempts: &[String]) -> String {
    if attempts.is_empty() {
        return String::new();
    }
    let marks = MARKS
        .iter()
        .filter(|mark| attempts.iter().any(|attempt| attempt.contains(*mark)));
    let mut typed = vec!["cp -r".to_owned()];
    typed.extend(marks.map(|mark| format!("{name}{mark}*")));
    typed.push("/media/usb1; sync".to_owned());
    let told = match attempts.len() {
        1 => "   the attempt before it:".to_owned(),
        n => format!("   the {n} attempts before it:"),
    };
    format!("{told}\n{}", command("     ", &typed, GOES_ON))
}

/// The commands that ask for the proof of each import, each once.
pub(crate) fn proofs(plan: &Plan) -> Vec<String> {
    let commands = plan.imports().filter_map(|(key, import)| {
        let kms = import.kms_key.word.unwrap_or_default();
        let folder = format!("{}/{}", key.label, import.name);
        receipts::prove(key.spec.name(), (kms, import.kms_key.as_str()), &folder)
    });
    let mut commands: Vec<String> = commands.collect();
    commands.sort();
    commands.dedup();
    commands
}

/// `import.sh` asks for the proof itself, if whoever runs it may.
fn prove_steps(commands: &[String]) -> String {
    /// With more of them the screen shows how the first is typed.
    const SHOWN: usize = 3;
    let mut text = String::new();
    for typed in commands.iter().take(SHOWN) {
        let words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        text += &command("     ", &words, GOES_ON);
    }
    if let Some(more) = commands.len().checked_sub(SHOWN + 1) {
        text += &format!("     and so for the other {}\n", more + 1);
    }
    match text.is_empty() {
        true => text,
        false => format!(
            " Not proved then? Somebody who may prove types this (from ceremony-scripts)\n   with \
             the folder as it lies on the stick, and brings back its file:\n{text}"
        ),
    }
}

/// Not every KMS stops taking a file.
pub(crate) const GUARD: &str = "where the KMS has no deadline, whoever may import there can import the file for as long as the wrapping key exists: guard this record as long";

fn before(deadline: Option<Timestamp>, now: Timestamp) -> String {
    let Some(deadline) = deadline else {
        return meaning::AT_ANY_TIME.to_owned();
    };
    let hours = deadline.duration_since(now).as_hours();
    if deadline <= now {
        return format!("TOO LATE since {}", clock::for_people(deadline));
    }
    format!("BEFORE {} ({hours} h left)", clock::for_people(deadline))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What people read beside this screen, and type from.
    const PAGES: [(&str, &str); 12] = [
        (
            "first-ceremony.md",
            include_str!("../../docs/first-ceremony.md"),
        ),
        ("escrow.md", include_str!("../../docs/escrow.md")),
        (
            "RUNBOOK.md",
            include_str!("../../ceremony-scripts/RUNBOOK.md"),
        ),
        (
            "room-generate.md",
            include_str!("../../ceremony-scripts/room-generate.md"),
        ),
        (
            "room-reimport.md",
            include_str!("../../ceremony-scripts/room-reimport.md"),
        ),
        (
            "room-recover.md",
            include_str!("../../ceremony-scripts/room-recover.md"),
        ),
        (
            "verify-record.sh",
            include_str!("../../ceremony-scripts/verify-record.sh"),
        ),
        (
            "for-auditors.md",
            include_str!("../../docs/for-auditors.md"),
        ),
        (
            "transcript-format.md",
            include_str!("../../docs/transcript-format.md"),
        ),
        ("receipts.md", include_str!("../../docs/receipts.md")),
        ("import.sh", include_str!("outputs/import.sh.in")),
        ("after the room", include_str!("script/after_the_room.html")),
    ];

    fn page(name: &str) -> &'static str {
        PAGES.iter().find(|(other, _)| *other == name).unwrap().1
    }

    #[test]
    fn the_pages_name_what_is_typed_as_this_screen_does() {
        let mut shown = 0;
        for (name, text) in PAGES {
            for (at, _) in text.match_indices("--head '") {
                let given = &text[at + "--head ".len()..];
                let given = given.replace("'\\''", "'"); // within quotes of a shell
                let digits = given[1..].chars().take_while(char::is_ascii_hexdigit);
                let is_one = digits.count() == 8 || given.starts_with(FROM_PAPER);
                assert!(is_one, "{name}: {given:.40}");
                shown += 1;
            }
        }
        assert!(shown > 7, "{shown}");
        for name in ["first-ceremony.md", "room-reimport.md"] {
            assert!(page(name).contains(TYPE_ROWS), "{name}");
        }
    }

    /// What is told on the last screen and in step 13 of the paper of a plan, each in one line.
    fn told(plan: &Plan) -> [String; 2] {
        let sealed = Sealed {
            directory: plan.directory.clone(),
            head: [0; 32],
            deadline: None,
            exceptions: 0,
            signer: None,
            attempts: Vec::new(),
        };
        let screen = head(plan, &sealed, false) + &next(plan, &sealed, None, (false, false));
        let paper = crate::paper::script::Script {
            plan,
            practice: false,
            previous: None,
        };
        let paper = paper.render();
        let (_, step) = paper.split_once("all 8 rows of the head digest").unwrap();
        let step = step.split("class=\"sign\"").next().unwrap();
        [screen, step.replace("<code>", "").replace("</code>", "")]
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The plan of each example, and one whose shares become files.
    fn every_kind() -> Vec<Plan> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let into_files = std::fs::read_to_string(examples.join("generate.toml")).unwrap();
        let into_files = into_files.replace("\"screen\"", "\"files:shares\"");
        let mut plans = vec![Plan::parse(Path::new("files.toml"), into_files.into()).unwrap()];
        for entry in std::fs::read_dir(examples).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|is| is == "toml") {
                plans.push(Plan::read(&path).unwrap());
            }
        }
        plans
    }

    #[test]
    fn every_line_of_the_last_screen_fits_with_the_longest_name_of_a_record() {
        const NAME: &str = "2026-11-30-payments-2026-recover";
        let attempts = MARKS.map(|mark| format!("{NAME}{mark}20261130T140500Z"));
        for mut plan in every_kind() {
            plan.directory = Path::new("records").join(NAME);
            for (on_medium, attempts) in [
                (false, &attempts[..0]),
                (false, &attempts[..1]),
                (false, &attempts[..]),
                (true, &attempts[..0]),
                (true, &attempts[..]),
            ] {
                let sealed = Sealed {
                    directory: plan.directory.clone(),
                    head: [0; 32],
                    deadline: Some(clock::now()),
                    exceptions: 0,
                    signer: None,
                    attempts: attempts.to_vec(),
                };
                let screen = next(&plan, &sealed, None, (false, on_medium));
                for line in screen.lines() {
                    // an ARN can be longer than a line by itself
                    let fits = line.len() <= 79 || !line.trim().contains(' ');
                    assert!(fits, "{}: {line}", plan.path.display());
                }
                let joined = screen.replace(GOES_ON, "");
                let joined = joined.split_whitespace().collect::<Vec<_>>().join(" ");
                let mut typed = match on_medium {
                    true => vec![
                        format!("carry STICK {NAME}"),
                        format!("/media/STICK/{NAME}"),
                    ],
                    false => vec![format!("cp -r {NAME} /media/usb1; sync")],
                };
                if on_medium {
                    typed.extend(attempts.iter().map(|name| format!("carry STICK {name}")));
                    assert!(!screen.contains("/media/usb1"), "{screen}");
                }
                for typed in typed {
                    assert!(joined.contains(&typed), "{typed}: {screen}");
                }
                assert!(screen.contains("--head 'ROW1 ROW2 ROW3'"), "{screen}");
                let check = screen.split_once("--head 'ROW1 ROW2 ROW3'").unwrap().1;
                assert_eq!(check.starts_with(GOES_ON), !on_medium, "{screen}");
            }
        }
    }

    #[test]
    fn step_13_of_the_paper_tells_what_the_last_screen_tells() {
        let plans = every_kind();
        let mut seen = [0; 5];
        for plan in plans {
            let [screen, step] = told(&plan);
            let name = plan.path.display();
            let who = who_writes(&plan.witnesses);
            assert!(
                screen.contains(&who) && step.contains(&who),
                "{name}: {step}"
            );
            assert!(step.contains(&carry(&super::name(&plan.directory)).join(" ")));
            let sentences = [REMOVE, GIVE_OUT, OLD_SHARES, package::KEEP, GUARD];
            for (at, sentence) in sentences.into_iter().enumerate() {
                let tells = screen.contains(sentence);
                assert_eq!(step.contains(sentence), tells, "{name}: {sentence}: {step}");
                seen[at] += usize::from(tells);
            }
        }
        assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
    }

    #[test]
    fn the_pages_bring_back_every_result_of_import_sh() {
        for (name, text) in PAGES {
            let typed = text.lines().filter(|line| {
                line.contains("byok receipt R") || line.contains("byok receipt records/")
            });
            for line in typed {
                let one = line.contains("import-result.json");
                assert!(!one, "{name}: {line}");
            }
        }
        for name in [
            "first-ceremony.md",
            "RUNBOOK.md",
            "room-generate.md",
            "room-reimport.md",
            "room-recover.md",
            "import.sh",
        ] {
            assert!(page(name).contains(IMPORT_RESULTS), "{name}");
        }
    }

    #[test]
    fn the_pages_of_later_ceremonies_keep_the_package_too() {
        for name in ["room-reimport.md", "room-recover.md"] {
            assert!(page(name).contains(package::KEEP), "{name}");
        }
    }
}
