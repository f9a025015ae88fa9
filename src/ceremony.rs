//! What every ceremony shares: approval, opening and ending the record, taking back what was made.
//!
//! A ceremony is a straight line (see [`generate`]). It is never resumed; it is run again.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use crate::ceremony::operator::Operator;
use crate::crypto::key_id::KeyId;
use crate::crypto::random;
use crate::evidence::previous::Previous;
use crate::evidence::record::{Leftover, Record, Sealed, Turn};
use crate::evidence::transcript::{self, Destroyed, Event, Vouched};
use crate::ground::error::{Error, Result, Step};
use crate::ground::window::Top;
use crate::ground::words::{self, Digest};
use crate::hsm::machine::sandbox::Wish;
use crate::hsm::{self, Hsm, Module};
use crate::paper::report;
use crate::plan::{self, Network, Plan};

mod abort;
mod approval;
mod at_screen;
pub(crate) mod before;
pub(crate) mod checks;
pub(crate) mod clock;
pub(crate) mod destroy;
mod escrow;
pub(crate) mod generate;
mod import_types;
pub(crate) mod judged;
mod ledger;
mod login;
pub(crate) mod material;
mod mistyped;
mod notes;
pub(crate) mod operator;
mod outputs;
mod parameters;
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
mod vault;
mod wrong;

use ledger::Ledger;
use vault::Vault;

pub(crate) use approval::{Approved, nothing_begun};
pub(crate) use login::{for_verb as log_in_for_verb, log_in};
pub(crate) use wrong::not_recorded;

/// How the process is closed for this plan, before the module is loaded.
pub(crate) fn process_of(plan: &Plan) -> Wish<'_> {
    Wish {
        deny_sockets: plan.network == Network::Forbidden,
        environment: Some(&plan.hsm.env),
        pin: plan.hsm.pin.descriptor(),
    }
}

/// A ceremony under way: what every step has. From step 4 on there is a [`Vault`] too, and the steps that take it are
/// those that work with the HSM.
pub(crate) struct Ceremony<'a> {
    basis: Basis<'a>,
    desk: Desk<'a>,
    ledger: Ledger,
}

/// The plan, and what the ceremony builds on.
struct Basis<'a> {
    plan: &'a Plan,
    /// Whether everything made is for practice.
    rehearsal: bool,
    id: String,
    /// What an interrupted run may have left in the token.
    leftover: &'a [(String, KeyId)],
    /// The record that this ceremony builds on, and what vouches for it.
    previous: Option<&'a Previous>,
    anchor: Vouched,
    /// The ceremony that made the escrow package that is opened, as the package says.
    escrow_of: String,
}

/// The people, and what they were shown.
struct Desk<'a> {
    operator: &'a mut dyn Operator,
    /// Who the roll call found, and the seats that nobody took; then who typed another's share.
    seats: Vec<roll_call::Seat>,
    /// What was shown about each data key, to show it again.
    told_keys: Vec<String>,
}

impl<'a> Deref for Desk<'a> {
    type Target = dyn Operator + 'a;

    fn deref(&self) -> &Self::Target {
        self.operator
    }
}

impl DerefMut for Desk<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.operator
    }
}

impl<'a> Ceremony<'a> {
    /// Steps 1 to 4 are the same in every ceremony; then the straight line of its kind goes on, with the HSM open.
    /// Everything is taken back if a step fails.
    fn walk(
        approved: &'a Approved,
        operator: &'a mut dyn Operator,
        line: fn(&mut Ceremony<'a>, &mut Vault) -> Result<Sealed>,
    ) -> Result<Sealed> {
        let mut ceremony = Self::open(approved, operator)?; // 1
        let mut vault = match ceremony.as_far_as_the_hsm(approved) {
            Ok(vault) => vault,
            Err(error) => return Err(ceremony.abort(None, error)),
        };
        let walked = ceremony.look_into_token(&mut vault); // 4 still
        match walked.and_then(|()| line(&mut ceremony, &mut vault)) {
            Ok(sealed) => Ok(sealed),
            Err(error) => Err(ceremony.abort(Some(vault), error)),
        }
    }

    fn as_far_as_the_hsm(&mut self, approved: &Approved) -> Result<Vault> {
        self.first_lines(approved)?; // 1 still
        self.roll_call()?; // 2
        self.look_at_machine()?; // 3
        self.open_hsm() // 4
    }

    /// Step 1: opens the record. Under the lock byok looks once more for what earlier runs left: it must be what was
    /// approved, and is set aside.
    fn open(approved: &'a Approved, operator: &'a mut dyn Operator) -> Result<Self> {
        let at = |e: Error| e.at(Step::OpenRecord);
        let nothing_made = |e: Error| at(e).state("no data key was generated; no record was made");
        let plan = approved.plan();
        let turn = Turn::take(&plan.directory).map_err(nothing_made)?;
        let leftover = before::leftover(plan, approved.previous()).map_err(nothing_made)?;
        approved.covers(leftover.as_ref()).map_err(nothing_made)?;
        let record = Record::open(turn, leftover.as_ref()).map_err(nothing_made)?;
        Ok(Self {
            basis: Basis {
                plan,
                rehearsal: approved.is_rehearsal(),
                id: random_id()?,
                leftover: approved.leftover().map_or(&[], |found| &found.intended),
                previous: approved.previous(),
                anchor: approved.anchor().clone(),
                escrow_of: String::new(),
            },
            desk: Desk {
                operator,
                seats: Vec::new(),
                told_keys: Vec::new(),
            },
            ledger: Ledger::of(record, &plan.directory),
        })
    }

    /// Shows a text of the present step that may take several pages.
    fn show_in_pages(&mut self, text: &str) -> Result<()> {
        let (step, title) = (self.ledger.step, screens::title(self.plan()));
        let place = format!("step {} of {}: {}", step.number(), Step::COUNT, step.name());
        let top = Top {
            rehearsal: self.basis.rehearsal,
            place: &place,
            title: &title,
            always: false,
        };
        self.desk.show(text, &top)
    }

    fn plan(&self) -> &'a Plan {
        self.basis.plan
    }

    fn previous(&self) -> Option<&'a Previous> {
        self.basis.previous
    }

    fn first_lines(&mut self, approved: &Approved) -> Result<()> {
        let opened = transcript::Opened {
            format: transcript::FORMAT.into(),
            ceremony: self.basis.id.clone(),
            title: self.plan().title.clone(),
            kind: self.plan().kind.into(),
            rehearsal: self.basis.rehearsal,
            byok: env!("CARGO_PKG_VERSION").into(),
            byok_sha256: words::own_digest()
                .map_or_else(|_| "unknown".into(), |own| words::hex(&own)),
            plan_sha256: words::hex(&self.plan().sha256),
            previous_head: self.previous().map(|previous| words::hex(&previous.head)),
            previous_receipts_head: self
                .previous()
                .and_then(|previous| previous.receipts_head)
                .map(|head| words::hex(&head)),
            interrupted: self.ledger.record.aside().map(file_name),
            attempts: self.ledger.attempts.clone(),
        };
        self.ledger.append(opened)?;
        self.begin(Step::OpenRecord)?;
        self.ledger.write("plan.toml", &self.plan().bytes)?;
        self.ledger.append(transcript::PlanApproved {
            how: approved.how().into(),
            plan_sha256: words::hex(&self.plan().sha256),
        })?;
        if let Some(void) = approved.leftover().and_then(|found| found.void.as_ref()) {
            let told = format!("Void: {}.", screens::void_shares(void));
            self.desk.say(&screens::fold(&told, " "));
            self.ledger.append(void.clone())?;
        }
        self.ledger.sync()
    }

    /// Enters a step. Everything written so far is on disk, and nobody has asked to end.
    fn begin(&mut self, step: Step) -> Result<()> {
        self.enter(step)?;
        self.announce()
    }

    /// The same for a step that depends on the HSM: the module is still the one that preflight proved.
    fn begin_at_hsm(&mut self, vault: &Vault, step: Step) -> Result<()> {
        self.enter(step)?;
        vault.module.is_unchanged()?;
        self.announce()
    }

    fn enter(&mut self, step: Step) -> Result<()> {
        self.take_notes()?; // of the step that ends
        self.ledger.sync()?;
        self.ledger.step = step;
        Ok(())
    }

    fn announce(&mut self) -> Result<()> {
        let before = match self.basis.rehearsal {
            true => " REHEARSAL  step",
            false => " step",
        };
        self.desk.go_on()?;
        self.desk.step(self.ledger.step, before);
        Ok(())
    }

    /// Step 12: ends the transcript and gives the record its name.
    fn seal(&mut self, vault: &mut Vault) -> Result<Sealed> {
        self.begin_at_hsm(vault, Step::Seal)?;
        self.take_notes()?;
        let head = loop {
            match self.sign_and_seal(vault) {
                // what custodians wrote down for an hour must not become void because one signature failed
                Err(lost) if hsm::session_was_lost(&lost) => self.reopen(vault, lost, &mut [])?,
                done => break done?,
            }
        };
        let record = self.plan().directory.display();
        self.desk.look_after_calls(&format!(
            "The record {record} is sealed and complete; only the HSM session is still open. byok verify \
             --next {record} shows what comes next."
        ))?;
        Ok(Sealed {
            directory: self.plan().directory.clone(),
            head,
            deadline: self.ledger.deadline,
            exceptions: self.ledger.exceptions,
            signer: vault.signing.key.as_ref().map(|key| key.public.clone()),
            attempts: self
                .ledger
                .attempts
                .iter()
                .map(|attempt| attempt.directory.clone())
                .collect(),
        })
    }

    fn sign_and_seal(&mut self, vault: &Vault) -> Result<Digest> {
        let sealed = Event::Sealed(transcript::SealedLine {
            outcome: "done".into(),
            exposure: self.exposure(vault).into(),
            exceptions: self.ledger.exceptions,
            import_before: self.ledger.deadline.map(Into::into),
        });
        let rehearsal = self.basis.rehearsal;
        let mut sign = |bytes: &[u8]| vault.sign(rehearsal, bytes);
        self.ledger.record.seal(&sealed, &mut sign)
    }

    /// The exposure grade: never better than is true.
    fn exposure(&self, vault: &Vault) -> &'static str {
        let reason = self.plan().hsm.hardware.as_deref();
        report::grade(
            vault.hsm.nature(reason).is_software(),
            self.plan().bytes_come_here(),
            self.plan().escrow.is_some() || self.plan().recover.is_some(),
        )
    }
}

/// A ceremony's id: 16 random bytes in hex.
fn random_id() -> Result<String> {
    random::array::<16>("the ceremony's id").map(|id| words::hex(&id))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| words::printable(&name.to_string_lossy()))
        .unwrap_or_default()
}
