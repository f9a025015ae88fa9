//! What a run that died, or whose disk failed, leaves behind: judged by what stands in the token and on
//! disk, by what `byok doctor` says of it, and by the next run of the same plan.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::escrow::{builds_on, lay, shares, table};
use super::targets::into_azure_and_google;
use super::{Kind, PIN, Room, SHA_1, now, stderr, stdout};

/// The second data key of the ceremonies.
pub const SECOND: &str = "cards-2026";

/// A room before a ceremony of two data keys, which can be set back to that moment.
pub struct Scene {
    /// `generate`, `reimport` or `recover`.
    pub kind: &'static str,
    pub room: Room,
    /// The objects of the token at that moment, the transcript signers too.
    before: Vec<String>,
    saved: tempfile::TempDir,
    /// Whether the HSM itself was cut off in the last attempt: an object without a name was left, or the
    /// token is gone.
    pub hsm_cut_off: Cell<bool>,
    /// What was lost, and is built on.
    _old: Option<Room>,
}

/// What is not as it should be after one attempt. Empty is well.
pub type Faults = Vec<String>;

/// An object that its HSM was cut off from making: it bears no whole name.
fn is_unnamed(object: &str) -> bool {
    object.split(' ').filter(|part| !part.is_empty()).count() < 3
}

impl Scene {
    /// `None` where the module is not on this machine.
    pub fn new(hsm: Kind, kind: &'static str) -> Option<Self> {
        let mut room = Room::new(hsm)?;
        into_azure_and_google(&mut room);
        room.plan.more = second_key(&room) + &table(2, 3, "files:shares");
        let mut old = None;
        if kind != "generate" {
            room.run_well();
            room.plan.more = second_key(&room);
            room.plan.kind = kind.into();
            fs::rename(room.path("records"), room.path("before")).unwrap();
            room.plan.top_more = builds_on(&room, "before/one");
        }
        if kind == "recover" {
            let mut new = Room::new(hsm)?;
            into_azure_and_google(&mut new);
            new.plan.kind = kind.into();
            new.plan.more =
                second_key(&new) + "[recover]\nshares = \"files:brought\"\npackage = \"record\"\n";
            new.plan.top_more = builds_on(&room, "before/one") + "reuse_escrow = \"a test\"\n";
            let shares = shares(&room.path("shares"));
            let words: Vec<&str> = shares[..2]
                .iter()
                .map(|(_, words)| words.as_str())
                .collect();
            lay(&new.path("brought"), &words);
            old = Some(std::mem::replace(&mut room, new));
        }
        room.write_plan();
        let before = everything(&room);
        let saved = tempfile::tempdir().unwrap();
        copy(room.dir.path(), saved.path());
        Some(Self {
            kind,
            room,
            before,
            saved,
            hsm_cut_off: Cell::new(false),
            _old: old,
        })
    }

    /// Back to the moment before the ceremony.
    pub fn restore(&self) {
        for entry in fs::read_dir(self.room.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
        copy(self.saved.path(), self.room.dir.path());
    }

    /// What the run left, and whether the next one comes to its end.
    pub fn judge(&self) -> Faults {
        let mut faults = Faults::new();
        let left = self.left();
        self.hsm_cut_off
            .set(left.iter().any(|object| is_unnamed(object)));
        if self.room.path("records/one").exists() {
            self.verifies("records/one", &mut faults);
            self.is_whole(&mut faults);
            return faults;
        }
        let record = self.unfinished();
        let named = record
            .as_ref()
            .map_or(Vec::new(), |record| intended(record));
        for object in &left {
            if !is_unnamed(object) && !named.iter().any(|named| object.ends_with(named.as_str())) {
                faults.push(format!(
                    "{object:?} stands in the token, and in no key-intended"
                ));
            }
        }
        match record {
            // what it made is no leftover then
            Some(record) if self.is_whole_but_for_its_name(&record) => {}
            Some(record) => self.doctor_says(&record, &left, &mut faults),
            None => {}
        }
        self.runs_again(&mut faults);
        faults
    }

    /// Every object that is left is named, with the command that removes it, by the run itself.
    pub fn is_said(&self, said: &str) -> Faults {
        let mut left = self.left();
        left.retain(|object| !is_unnamed(object));
        let id = |object: &str| object.rsplit(' ').next().unwrap_or_default().to_owned();
        left.retain(|object| {
            !said.contains("--delete-object --type") || !said.contains(&id(object))
        });
        left.iter()
            .map(|object| format!("{object} is left, and was not named: {said}"))
            .collect()
    }

    /// Whether there is a token at all.
    pub fn has_its_token(&self) -> bool {
        let mut list = self.room.token_command(&["list", "ceremony", PIN]);
        list.output().unwrap().status.success()
    }

    /// The objects that are in the token and were not.
    pub fn left(&self) -> Vec<String> {
        let mut now = everything(&self.room);
        now.retain(|object| !self.before.contains(object));
        now
    }

    /// The directory of the attempt, where its transcript has a line.
    pub fn unfinished(&self) -> Option<PathBuf> {
        let names = self.room.beside();
        let name = names.iter().find(|name| name.starts_with("one."))?;
        let record = self.room.path("records").join(name);
        let text = fs::read_to_string(record.join("transcript.jsonl")).ok()?;
        text.contains('\n').then_some(record)
    }

    fn verifies(&self, record: &str, faults: &mut Faults) {
        let output = self.room.byok(&["verify", record]).output().unwrap();
        if !output.status.success() {
            faults.push(format!("{record} does not verify: {}", stderr(&output)));
        }
    }

    /// Doctor names everything that is there and nothing else, and gives the command.
    fn doctor_says(&self, record: &Path, left: &[String], faults: &mut Faults) {
        let record = record.display().to_string();
        let mut doctor = self
            .room
            .byok(&["doctor", "plan.toml", "--leftovers", &record]);
        let output = doctor.output().unwrap();
        let said = stdout(&output);
        if !output.status.success() {
            return faults.push(format!("doctor: {}", stderr(&output)));
        }
        let told = said
            .lines()
            .filter(|line| line.starts_with("unnamed "))
            .count();
        let unnamed = left.iter().filter(|object| is_unnamed(object)).count();
        if told != unnamed {
            faults.push(format!("{unnamed} unnamed of {left:?}, and doctor: {said}"));
        }
        let named = || left.iter().filter(|object| !is_unnamed(object));
        for object in named() {
            let id = object.rsplit(' ').next().unwrap_or_default();
            let wanted = [format!("CKA_ID {id}\n"), format!("--id {id}")];
            if id.is_empty() || !wanted.iter().all(|wanted| said.contains(wanted)) {
                faults.push(format!("doctor does not name {object:?}: {said}"));
            }
        }
        if named().count() == 0 && !said.contains("this run left nothing in the token") {
            faults.push(format!("doctor names what is not there: {said}"));
        }
    }

    fn is_whole_but_for_its_name(&self, record: &Path) -> bool {
        let record = record.display().to_string();
        let output = self.room.byok(&["verify", &record]).output().unwrap();
        output.status.success() && !stdout(&output).contains("ABORTED")
    }

    /// The same plan, after what its refusal says.
    fn runs_again(&self, faults: &mut Faults) {
        let mut output = self.room.run();
        if output.status.code() == Some(2) {
            follow_the_hint(&self.room, &output, faults);
            if !self.room.path("records/one").exists() {
                output = self.room.run();
            }
        }
        if self.room.path("records/one").exists() {
            self.verifies("records/one", faults);
            return self.is_whole(faults);
        }
        if !output.status.success() {
            return faults.push(format!("the next run: {}", stderr(&output)));
        }
        self.verifies("records/one", faults);
        self.is_whole(faults);
    }

    /// Beside what was there, the token holds the record's data keys and its signer and nothing else.
    fn is_whole(&self, faults: &mut Faults) {
        let transcript = self.room.transcript("records/one");
        let mut wanted: Vec<String> = Vec::new();
        if self.kind != "reimport" {
            for event in transcript.lines.iter() {
                let name = event["event"].as_str().unwrap_or_default();
                let id = event["cka_id"].as_str().unwrap_or_default();
                match name {
                    "key-generated" | "key-recovered" => wanted.push(format!(
                        "CKO_SECRET_KEY {} {id}",
                        event["label"].as_str().unwrap_or_default()
                    )),
                    "transcript-signer" if event["origin"] == "made" => {
                        for half in ["CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"] {
                            wanted.push(format!("{half} byok-transcript-signer {id}"));
                        }
                    }
                    _ => {}
                }
            }
        }
        wanted.sort();
        let mut left = self.left();
        left.retain(|object| !is_unnamed(object));
        if left != wanted {
            faults.push(format!(
                "the token holds {left:?}, the record names {wanted:?}"
            ));
        }
    }
}

/// Every object of the token, in order.
fn everything(room: &Room) -> Vec<String> {
    let mut objects = [room.objects(), room.signers()].concat();
    objects.sort();
    objects
}

/// `label id` of everything that the transcript says it meant to make, as far as its lines are whole.
fn intended(record: &Path) -> Vec<String> {
    let text = fs::read_to_string(record.join("transcript.jsonl")).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let named = lines.iter().filter(|line| {
        ["key-intended", "signer-intended"].contains(&line["event"].as_str().unwrap())
    });
    let text = |line: &serde_json::Value, field: &str| line[field].as_str().unwrap().to_owned();
    named
        .map(|line| format!(" {} {}", text(line, "label"), text(line, "cka_id")))
        .collect()
}

/// What stands in the way is taken away by the command that is given: share files of the attempt are
/// erased, a record that lacks only its name gets it.
fn follow_the_hint(room: &Room, output: &Output, faults: &mut Faults) {
    let said = stderr(output);
    let command = said.lines().find_map(|line| {
        let at = line.find("shred -u ").or(line.find("byok verify "))?;
        Some(line[at..].replace("byok verify", &format!("{} verify", super::program())))
    });
    let Some(command) = command else {
        return faults.push(format!("no way on is told: {said}"));
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(room.dir.path());
    let done = shell.output().unwrap();
    if !done.status.success() {
        faults.push(format!("{command}: {}", stderr(&done)));
    }
}

/// `[[key]]` of the second data key, with its import.
fn second_key(room: &Room) -> String {
    let arn = super::ARN.replace("1234abcd", "5678abcd");
    let parameters = room.kms.parameters(&arn, now() + 86_000);
    fs::write(room.path("inputs/second.json"), parameters).unwrap();
    format!(
        "[[key]]\nlabel = \"{SECOND}\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n\
         [[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{arn}\"\nparameters = \"inputs/second.json\"\n\
         wrapping = \"{SHA_1}\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    )
}

fn copy(from: &Path, to: &Path) {
    let from = format!("{}/.", from.display());
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}
