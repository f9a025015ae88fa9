//! What every ceremony shares: approval, opening and ending the record, taking back what was made.
//!
//! A ceremony is a straight line (see [`generate`]). It is never resumed; it is run again.

use std::path::Path;

use jiff::Timestamp;

use crate::ceremony::operator::Operator;
use crate::crypto::key_id::KeyId;
use crate::crypto::random;
use crate::evidence::previous::Previous;
use crate::evidence::record::{self, Leftover, Record, Sealed};
use crate::evidence::transcript::{
    self, Attempt, Destroyed, Event, LeftObject, Present, VoidShares, Vouched,
};
use crate::ground::error::{Again, Error, Exit, Result, Step};
use crate::ground::words::{self, Digest};
use crate::hsm::machine::sandbox::Wish;
use crate::hsm::{self, Hsm, Module, removal_command, under_way};
use crate::paper::report;
use crate::plan::{self, Kind, Network, Plan};

mod approval;
mod at_screen;
pub(crate) mod before;
pub(crate) mod clock;
pub(crate) mod destroy;
mod escrow;
pub(crate) mod generate;
mod import_types;
pub(crate) mod judged;
mod login;
pub(crate) mod material;
mod mistyped;
mod notes;
pub(crate) mod operator;
mod outputs;
pub(crate) mod parameters;
mod pin;
pub(crate) mod preflight;
pub(crate) mod recover;
pub(crate) mod reimport;
mod reopen;
mod roll_call;
pub(crate) mod room;
pub mod screens;
pub(crate) mod shares;
mod signer;
pub(crate) mod source;
pub(crate) mod tries;
mod two_sided;
mod typing;
mod wrong;

pub(crate) use approval::Approved;
pub(crate) use login::log_in;
pub(crate) use pin::look_at_pin_file;
pub(crate) use signer::could_sign;
pub(crate) use wrong::not_recorded;

/// How the process is closed for this plan, before the module is loaded.
pub(crate) fn process_of(plan: &Plan) -> Wish<'_> {
    Wish {
        deny_sockets: plan.network == Network::Forbidden,
        environment: Some(&plan.hsm.env),
        pin: plan.hsm.pin.descriptor(),
    }
}

/// A ceremony under way.
pub(crate) struct Ceremony<'a> {
    plan: &'a Plan,
    operator: &'a mut dyn Operator,
    record: Record,
    /// `REHEARSAL` or nothing, before every step that is announced.
    rehearsal: bool,
    id: String,
    step: Step,
    hsm: Option<Hsm>,
    module: Option<Module>,
    /// What an interrupted run may have left in the token.
    leftover: Vec<(String, KeyId)>,
    /// What of that was destroyed.
    taken_away: Vec<String>,
    /// What this run asked the HSM to make as token objects.
    made: Vec<(String, KeyId)>,
    /// Who signs the transcript.
    signing: signer::Signing,
    /// The record that this ceremony builds on, and what vouches for it.
    previous: Option<&'a Previous>,
    anchor: Vouched,
    /// The ceremony that made the escrow package that is opened, as the package says.
    escrow_of: String,
    /// Who is there, by the roll call.
    present: Vec<Present>,
    /// The seats that were asked for and that nobody has.
    absent: Vec<String>,
    /// The attempts before this one that did not come to their end.
    attempts: Vec<Attempt>,
    /// Shares that are with custodians before the record is sealed.
    out_there: escrow::OutThere,
    /// What was told of each data key, to be shown again.
    told_keys: Vec<String>,
    exceptions: u32,
    /// How often the HSM's session was opened anew.
    reopenings: u32,
    /// When the first import token of the record expires.
    deadline: Option<Timestamp>,
}

impl<'a> Ceremony<'a> {
    /// Opens the record (step 1), walks a kind's straight line, and takes everything back if it breaks.
    fn walk(
        approved: &'a Approved,
        operator: &'a mut dyn Operator,
        line: fn(&mut Ceremony<'a>) -> Result<Sealed>,
    ) -> Result<Sealed> {
        let mut ceremony = Self::open(approved, operator)?;
        match line(&mut ceremony) {
            Ok(sealed) => Ok(sealed),
            Err(error) => Err(ceremony.abort(error)),
        }
    }

    /// Step 1: opens the record and writes its first lines.
    fn open(approved: &'a Approved, operator: &'a mut dyn Operator) -> Result<Self> {
        let plan = approved.plan();
        let leftover =
            before::leftover(plan, approved.previous()).map_err(|e| e.at(Step::OpenRecord))?;
        approved
            .covers(leftover.as_ref())
            .map_err(|e| e.at(Step::OpenRecord))?;
        let (intended, void) = leftover
            .map(|leftover| (leftover.intended, leftover.void))
            .unwrap_or_default();
        let (record, aside) = Record::open(&plan.directory).map_err(|e| {
            e.at(Step::OpenRecord)
                .state("no data key was generated; no record was made")
        })?;
        let mut ceremony = Self {
            plan,
            operator,
            record,
            rehearsal: approved.is_rehearsal(),
            id: random_id()?,
            step: Step::OpenRecord,
            hsm: None,
            module: None,
            leftover: intended,
            taken_away: Vec::new(),
            made: Vec::new(),
            signing: signer::Signing::default(),
            previous: approved.previous(),
            anchor: approved.anchor().clone(),
            escrow_of: String::new(),
            present: Vec::new(),
            absent: Vec::new(),
            attempts: record::attempts_before(&plan.directory),
            out_there: escrow::OutThere::default(),
            told_keys: Vec::new(),
            exceptions: 0,
            reopenings: 0,
            deadline: None,
        };
        match ceremony.first_lines(approved, aside.as_deref(), void) {
            Ok(()) => Ok(ceremony),
            Err(e) => Err(ceremony.abort(e)),
        }
    }

    fn first_lines(
        &mut self,
        approved: &Approved,
        aside: Option<&Path>,
        void: Option<VoidShares>,
    ) -> Result<()> {
        let opened = Event::CeremonyOpened(transcript::Opened {
            format: transcript::FORMAT.into(),
            ceremony: self.id.clone(),
            title: self.plan.title.clone(),
            kind: self.plan.kind.into(),
            rehearsal: self.rehearsal,
            byok: env!("CARGO_PKG_VERSION").into(),
            byok_sha256: own_digest(),
            plan_sha256: words::hex(&self.plan.sha256),
            previous_head: self.previous.map(|previous| words::hex(&previous.head)),
            previous_receipts_head: self
                .previous
                .and_then(|previous| previous.receipts_head)
                .map(|head| words::hex(&head)),
            interrupted: aside.map(file_name),
            attempts: self.attempts.clone(),
        });
        self.record.transcript.append(&opened)?;
        self.begin(Step::OpenRecord)?;
        self.record.write("plan.toml", &self.plan.bytes)?;
        self.record
            .transcript
            .append(&Event::PlanApproved(transcript::PlanApproved {
                how: approved.how().into(),
                plan_sha256: words::hex(&self.plan.sha256),
            }))?;
        if let Some(void) = void {
            let told = format!("Void: {}.", screens::void_shares(&void));
            self.operator.say(&screens::fold(&told, " "));
            self.record.transcript.append(&Event::SharesVoided(void))?;
        }
        self.record.transcript.sync()
    }

    /// Enters a step: what was written so far is on disk, and nobody asked to end.
    fn begin(&mut self, step: Step) -> Result<()> {
        self.take_notes()?; // of the step that ends
        self.record.transcript.sync()?;
        self.step = step;
        under_way::serves(None);
        self.module_is_unchanged()?;
        self.operator.go_on()?;
        self.operator.step(
            step,
            if self.rehearsal {
                " REHEARSAL  step"
            } else {
                " step"
            },
        );
        Ok(())
    }

    /// Before the steps in which the HSM does what matters: it is still the module that preflight proved.
    fn module_is_unchanged(&self) -> Result<()> {
        let matters = [Step::Generate, Step::Wrap, Step::Escrow, Step::Seal];
        match &self.module {
            Some(module) if matters.contains(&self.step) => module.is_unchanged(),
            _ => Ok(()),
        }
    }

    fn hsm(&self) -> Result<&Hsm> {
        self.hsm
            .as_ref()
            .ok_or_else(|| Error::hsm("no session with the HSM is open"))
    }

    fn hsm_mut(&mut self) -> Result<&mut Hsm> {
        self.hsm
            .as_mut()
            .ok_or_else(|| Error::hsm("no session with the HSM is open"))
    }

    /// Step 12: ends the transcript and gives the record its name.
    fn seal(&mut self) -> Result<Sealed> {
        self.begin(Step::Seal)?;
        self.take_notes()?;
        let head = loop {
            match self.sign_and_seal() {
                // what custodians wrote down for an hour must not be void for one signature
                Err(lost) if hsm::session_was_lost(&lost) => self.reopen(lost, &mut [])?,
                done => break done?,
            }
        };
        let record = self.plan.directory.display();
        self.operator.look_after_calls(&format!(
            "The record {record} is sealed and complete; only the session with the HSM is not closed. byok verify \
             --next {record} shows what comes next."
        ))?;
        Ok(Sealed {
            directory: self.plan.directory.clone(),
            head,
            deadline: self.deadline,
            exceptions: self.exceptions,
            signer: self.signing.key.as_ref().map(|key| key.public.clone()),
            attempts: self
                .attempts
                .iter()
                .map(|attempt| attempt.directory.clone())
                .collect(),
        })
    }

    fn sign_and_seal(&mut self) -> Result<Digest> {
        let sealed = Event::Sealed(transcript::SealedLine {
            outcome: "done".into(),
            exposure: self.exposure().into(),
            exceptions: self.exceptions,
            import_before: self.deadline.map(Into::into),
        });
        let (hsm, signing, rehearsal) = (self.hsm.as_ref(), &self.signing, self.rehearsal);
        let mut sign = |bytes: &[u8]| signer::sign(hsm, signing, rehearsal, bytes);
        self.record.seal(&sealed, &mut sign)
    }

    /// The exposure grade, never more than is true.
    fn exposure(&self) -> &'static str {
        let reason = self.plan.hsm.hardware.as_deref();
        let hsm = self.hsm.as_ref();
        let software = hsm.is_none_or(|hsm| hsm.nature(reason).is_software());
        report::grade(
            software,
            self.plan.bytes_come_here(),
            self.plan.escrow.is_some() || self.plan.recover.is_some(),
        )
    }

    /// Ends a ceremony that failed: takes back what was made, closes the record as aborted, and adds
    /// to the error what now exists.
    fn abort(mut self, error: Error) -> Error {
        let mut error = error.at(self.step);
        let _ = self.take_notes(); // a transcript that cannot be written must not stop what follows
        let (taken_back, mut left) = self.destroy_made();
        error.state.append(&mut self.taken_away);
        error.state.extend(self.void_shares());
        let removed = self.record.take_back();
        error
            .state
            .push(what_is_left(self.plan.kind, taken_back, left.len()));
        let mark = self.record.transcript.mark();
        let mut ended = self.end_aborted(&error, &removed, &left);
        let made_a_signer = self.signing.intended.is_some() && self.signing.key.is_some();
        let signer_left = self.destroy_signer();
        if made_a_signer && signer_left.is_none() {
            error.state.push(
                "the transcript signer that this run made was destroyed too: cross its rows out on paper".into(),
            );
        }
        if let Some(signer) = signer_left {
            // It is still there, so it can sign again, and what it signs is then true.
            error.state.push(
                "the transcript signer that this run made may still be in the HSM".to_owned(),
            );
            left.push(signer);
            ended = self
                .record
                .reopen(mark)
                .and_then(|()| self.end_aborted(&error, &removed, &left));
        }
        if !left.is_empty() {
            error.hints.push(TAKEN_AWAY_NEXT.into());
            let commands = left.iter().map(|left| self.removal_hint(left));
            error.hints.extend(commands);
        }
        let working = self.record.working().to_owned();
        let closed = ended.and_then(|unsigned| {
            error.state.extend(unsigned);
            self.record.close_aborted()
        });
        error.state.push(match closed {
            Ok(directory) => format!("nothing was written but {}", directory.display()),
            Err(e) if working.exists() => format!(
                "the record could not be closed ({}); what there is stands in {}",
                e.what,
                working.display()
            ),
            Err(_) => format!(
                "the record could not be closed: {} is not there any more; what was written is on the disk that went away",
                working.display()
            ),
        });
        if error.hints.is_empty() {
            error.hints.push(what_next(&error).into());
        }
        let _ = self.operator.look_after_calls(&error.for_people());
        error
    }

    /// Writes the last line of an aborted ceremony, and has it signed where the HSM answers. Says where it
    /// does not.
    fn end_aborted(
        &mut self,
        error: &Error,
        removed: &[String],
        left: &[(String, KeyId)],
    ) -> Result<Option<String>> {
        if self.record.transcript.is_empty() {
            return Ok(None); // the disk refused its first line, which no other may take the place of
        }
        let aborted = Event::Aborted(transcript::Aborted {
            step: self.step.number(),
            exit: error.exit as u8,
            error: error.line(),
            state: error
                .state
                .iter()
                .map(|state| words::printable(state))
                .collect(),
            removed: removed.to_vec(),
            may_be_left: left
                .iter()
                .map(|(label, id)| LeftObject {
                    label: label.clone(),
                    cka_id: id.to_string(),
                })
                .collect(),
            signer_destroyed: self.signing.intended.is_some(),
        });
        let (hsm, signing, rehearsal) = (self.hsm.as_ref(), &self.signing, self.rehearsal);
        let mut unsigned = None;
        let mut sign = |bytes: &[u8]| match signer::sign(hsm, signing, rehearsal, bytes) {
            Ok(signature) => Ok(signature),
            Err(e) => {
                unsigned = Some(format!("its transcript is not signed ({})", e.what));
                Ok(None)
            }
        };
        self.record.end(&aborted, &mut sign)?;
        Ok(unsigned)
    }

    fn removal_hint(&self, (label, id): &(String, KeyId)) -> String {
        let opened = self.hsm.as_ref().map(|hsm| hsm.token().token.as_str());
        let token = opened.or(self.plan.hsm.token.token.as_deref());
        let token = token.unwrap_or("TOKEN");
        let of_label = self.plan.keys.iter().find(|key| key.label == *label);
        let is_private = of_label.is_some_and(|key| key.spec.is_private());
        let command = removal_command(&self.plan.hsm.module, token, (label, *id), is_private);
        format!("to remove {label:?}, CKA_ID {id}: {command}")
    }

    /// Destroys what this run made in the token. Says how many objects, and what may be left.
    fn destroy_made(&mut self) -> (usize, Vec<(String, KeyId)>) {
        let mut destroyed = 0;
        let mut left = Vec::new();
        for (label, id) in std::mem::take(&mut self.made) {
            match self.destroy_one(&label, id) {
                Ok(0) => {}
                Ok(objects) => {
                    destroyed += objects;
                    let event = Event::KeyDestroyed(Destroyed {
                        label,
                        cka_id: id.to_string(),
                        objects,
                        why: "the ceremony was aborted".into(),
                    });
                    // A transcript that cannot be written must not stop the destruction.
                    let _ = self.record.transcript.append(&event);
                }
                Err(_) => left.push((label, id)),
            }
        }
        (destroyed, left)
    }

    /// In a new session where the HSM lost the old one: nothing is given up that a PIN can still reach.
    fn destroy_one(&mut self, label: &str, id: KeyId) -> Result<usize> {
        match self.hsm()?.destroy_named(label, id) {
            Err(lost) if hsm::session_was_lost(&lost) => {
                self.open_to_destroy()?;
                self.hsm()?.destroy_named(label, id)
            }
            done => done,
        }
    }
}

/// Before the commands that take away what an aborted run left.
const TAKEN_AWAY_NEXT: &str = "the next run of this plan destroys what this one left, after approval; by hand it takes pkcs11-tool (Debian: opensc)";

/// Where the refusal itself says nothing better.
fn what_next(error: &Error) -> &'static str {
    match error.exit {
        Exit::Done | Exit::Declined => {
            "the same plan can be run again at any time; it is then approved anew"
        }
        Exit::Usage => "put that right, then run the plan again",
        Exit::Hsm if error.again == Again::Never => {
            "the HSM refuses this whenever it is asked, so another run of this plan ends here too: byok doctor shows what this HSM does; change the plan or the HSM's own configuration"
        }
        Exit::Hsm => {
            "look at the HSM: its power, cable, token and log; then run the same plan again, which takes away what this run left"
        }
        Exit::Mismatch => "use nothing of it, and find out why before anything is tried again",
        Exit::Machine => {
            "look at the disk and at this machine; then run the same plan again, which takes away what this run left"
        }
    }
}

/// What an aborted run says of its data keys.
fn what_is_left(kind: Kind, taken_back: usize, left: usize) -> String {
    let none = match kind {
        Kind::Generate => "no data key was left in the HSM by this run",
        Kind::Reimport | Kind::Recover | Kind::Destroy => "this run left no new key in the HSM",
    };
    match (taken_back, left) {
        // a reimport makes nothing but session objects, and changes nothing
        (0, 0) if kind == Kind::Reimport => {
            format!("{none}; the data key that was there is untouched")
        }
        (0, 0) => none.to_owned(),
        (1, 0) => format!("{none}: the one it made was destroyed"),
        (n, 0) => format!("{none}: the {n} it made were destroyed"),
        (_, 1) => "1 object of this run may still be in the HSM".to_owned(),
        (_, n) => format!("{n} objects of this run may still be in the HSM"),
    }
}

/// A ceremony's id: 16 random bytes in hex.
fn random_id() -> Result<String> {
    random::array::<16>("the ceremony's id").map(|id| words::hex(&id))
}

/// SHA-256 of the running program, so that a record names the tool that made it.
fn own_digest() -> String {
    let digest = std::fs::File::open("/proc/self/exe").and_then(words::sha256_of);
    digest.map_or_else(|_| "unknown".to_owned(), |digest| words::hex(&digest))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| words::printable(&name.to_string_lossy()))
        .unwrap_or_default()
}
