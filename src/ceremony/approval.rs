//! The proof that somebody approved exactly this plan.

use std::path::Path;

use super::checks::{Facts, Known, When};
use super::{Error, Leftover, Operator, Plan, Result, before, clock, plan, screens, words};
use crate::ceremony::screens::Approval;
use crate::evidence::previous::Previous;
use crate::evidence::record;
use crate::evidence::transcript::Vouched;
use crate::ground::anchor::Anchor;
use crate::ground::clock::Watch;
use crate::ground::error::Exit;
use crate::ground::window::{Top, Window, next_page};
use crate::plan::{Deliver, Kind, PackageSource, ShareSource};

/// A plan that was approved. Only this module makes one, and nothing is made in the HSM without one.
pub(crate) struct Approved {
    plan: Plan,
    how: How,
    rehearsal: bool,
    known: Known,
    /// The time of the ceremony, if a person entered it.
    _watch: Watch,
}

#[derive(Clone, Copy)]
enum How {
    Typed,
    Unattended,
}

impl Approved {
    /// Shows the meaning and the digest of the plan, and accepts only `Yes`.
    ///
    /// # Errors
    /// Exit 1 for every other answer; whatever a [check](super::checks) refuses.
    pub(crate) fn by_typing(
        plan: Plan,
        rehearsal: bool,
        operator: &mut dyn Operator,
    ) -> Result<Self> {
        let mut facts = Facts::of(&plan, rehearsal, false);
        facts.read_previous()?;
        if record::is_unfinished(&plan.directory) {
            operator.wipe(); // a run that was killed could not: words of a share may still be there
        }
        let mut watch = Watch::default();
        clock::compare(&plan, facts.previous(), operator, &mut watch)?;
        loop {
            facts.before(When::AtTerminal)?;
            let screen = screens::approval(&plan, facts.leftover(), facts.previous(), rehearsal);
            match yes_or_not(operator, &plan, screen, rehearsal)?.as_deref() {
                Some("Yes") => {
                    if let Err(small) = before::shares_fit(&plan, operator.window()) {
                        let larger = "Not approved yet: make the window larger first";
                        let told = format!("{larger}; {}.", small.what);
                        operator.say(&screens::fold(&told, " "));
                        continue;
                    }
                    let known = facts.into_known();
                    return Ok(Self {
                        plan,
                        how: How::Typed,
                        rehearsal,
                        known,
                        _watch: watch,
                    });
                }
                Some("clock") => clock::ask(operator, &mut watch).map(|_| ())?,
                _ => return Err(not_approved()),
            }
        }
    }

    /// The digest on the command line stands for the typed approval. It is compared with the exact
    /// bytes before anything else is looked at.
    ///
    /// # Errors
    /// Exit 1 for a different digest; exit 2 if the plan needs a person; whatever a [check](super::checks) refuses.
    pub(crate) fn unattended(path: &Path, sha256: &str) -> Result<Self> {
        let bytes = plan::read_bytes(path)?;
        let is = words::sha256(&bytes);
        let approved: String = sha256.split_whitespace().collect();
        let approved = words::digest_from_hex(&approved).ok_or_else(|| no_digest(sha256))?;
        if is != approved {
            let is = words::hex(&is);
            let rows = Anchor::whole(&approved).differing(&is);
            let rows = rows.map(|rows| format!("; {rows}")).unwrap_or_default();
            return Err(Error::declined(format!(
                "--approve: the plan's SHA-256 is {is}; a different one was approved{rows}"
            ))
            .check("APPROVED-DIGEST")
            .hint("a digit may be mistyped, or the plan was changed after it was approved")
            .hint(
                "read the plan again; if it is what you want, approve its digest: sha256sum PLAN",
            ));
        }
        let plan = Plan::parse(path, bytes)?;
        Self::needs_nobody(&plan)?;
        Self::by_nobody(plan, false)
    }

    /// The plan of a rehearsal that asks nothing: byok wrote it itself a moment ago.
    ///
    /// # Errors
    /// Whatever a [check](super::checks) refuses.
    pub(crate) fn own_rehearsal(plan: Plan) -> Result<Self> {
        Self::by_nobody(plan, true)
    }

    fn by_nobody(plan: Plan, rehearsal: bool) -> Result<Self> {
        let mut facts = Facts::of(&plan, rehearsal, false);
        facts.before(When::Unattended)?;
        let known = facts.into_known();
        Ok(Self {
            plan,
            how: How::Unattended,
            rehearsal,
            known,
            _watch: Watch::default(),
        })
    }

    fn needs_nobody(plan: &Plan) -> Result<()> {
        if let Some((key, import)) = plan
            .imports()
            .find(|(_, i)| i.wrapping_key_sha256.is_none())
        {
            return Err(Error::usage(format!(
                "an unattended run needs wrapping_key_sha256 for {}/{}",
                key.label, import.name
            ))
            .check("TWO-SIDED")
            .hint("nobody is there to compare the slip: copy the SHA-256 of the wrapping key from the slip")
            .hint("of the online side into the plan; a digest of the parameters file itself proves nothing"));
        }
        if plan
            .escrow
            .as_ref()
            .is_some_and(|escrow| escrow.deliver == Deliver::Screen)
        {
            return Err(Error::usage(
                "an unattended run has nobody to look at shares (deliver = \"screen\")",
            )
            .hint("run at a terminal, or set deliver = \"files:DIR\""));
        }
        let anchored = plan.previous_head.is_some() || plan.previous.is_none();
        if plan.kind != Kind::Generate && !anchored {
            return Err(Error::usage(format!(
                "an unattended run of kind = {:?} needs previous_head or the fingerprint of every data key",
                plan.kind.name()
            ))
            .check("PREVIOUS-RECORD")
            .hint("nobody is there to type rows of the head digest from paper: put the digest into the plan"));
        }
        if let Some(witness) = plan.witnesses.first() {
            return Err(Error::usage(format!(
                "an unattended run has nobody to say who the witness is (witness {witness:?})"
            ))
            .hint("run at a terminal, or take `witnesses` out of the plan"));
        }
        if !plan.apart.is_empty() {
            return Err(
                Error::usage("an unattended run has nobody to say who is there ([roles])")
                    .hint("run at a terminal, or take [roles] out of the plan"),
            );
        }
        let typed = plan.recover.as_ref().is_some_and(|recover| {
            recover.shares == ShareSource::Typed || recover.package == PackageSource::Typed
        });
        if typed {
            return Err(
                Error::usage("an unattended run has nobody to type shares or the package").hint(
                    "set shares = \"files:DIR\" and package = \"record\" or a path in [recover]",
                ),
            );
        }
        if plan.hsm.pin.is_typed() {
            return Err(Error::usage("an unattended run has nobody to type the PIN")
                .hint("set `pin` in the plan to file:PATH, fd:N or pinpad"));
        }
        Ok(())
    }

    /// The plan.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The record that it builds on.
    pub(crate) fn previous(&self) -> Option<&Previous> {
        self.known.previous.as_ref()
    }

    /// What vouches for that record.
    pub(crate) fn anchor(&self) -> &Vouched {
        &self.known.anchor
    }

    /// What earlier runs left: the approval shows it, and the run removes it.
    pub(crate) fn leftover(&self) -> Option<&Leftover> {
        self.known.leftover.as_ref()
    }

    /// Refuses to destroy anything that the approval did not show.
    ///
    /// # Errors
    /// Exit 5 if what earlier runs left has changed since.
    pub(super) fn covers(&self, leftover: Option<&Leftover>) -> Result<()> {
        let known = |leftover: Option<&Leftover>| {
            leftover.map(|leftover| (leftover.intended.clone(), leftover.void.clone()))
        };
        if known(leftover).unwrap_or_default() == known(self.leftover()).unwrap_or_default() {
            return Ok(());
        }
        Err(Error::machine("the files beside the record changed after the plan was approved")
            .check("LEFTOVER")
            .hint("find out who else works there, then run again: the approval shows what would be destroyed"))
    }

    /// `typed` or `unattended`.
    pub(crate) fn how(&self) -> &'static str {
        match self.how {
            How::Typed => "typed",
            How::Unattended => "unattended",
        }
    }

    /// Whether everything made is for practice.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }
}

/// After a `yes` in small letters the question comes once more: it was hardly meant as a no.
fn yes_or_not(
    operator: &mut dyn Operator,
    plan: &Plan,
    screen: Approval,
    rehearsal: bool,
) -> Result<Option<String>> {
    let answer = ask(operator, plan, screen, rehearsal)?;
    let meant = |answer: &str| ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str());
    match answer.as_deref() {
        Some(typed) if typed != "Yes" && meant(typed) => operator.decide(
            " Not approved yet: only Yes, with a capital Y and small letters, approves.\n \
             Type Yes to approve, anything else to stop: ",
        ),
        _ => Ok(answer),
    }
}

/// Everything on one screen if the window holds it; otherwise the meaning first, a page at a time, and then the
/// digest. A window that is too small is mentioned.
fn ask(
    operator: &mut dyn Operator,
    plan: &Plan,
    screen: Approval,
    rehearsal: bool,
) -> Result<Option<String>> {
    let Approval { meaning, question } = screen;
    let window = operator.window();
    let small = told_small(plan, window);
    let title = screens::title(plan);
    let top = Top {
        rehearsal,
        place: screens::APPROVAL,
        title: &title,
        always: true,
    };
    let airy = format!("{}{title}{meaning}{small}{question}", top.alone());
    let dense = airy.replace("\n\n", "\n");
    if let Some(whole) = [airy, dense].iter().find(|whole| window.holds(whole)) {
        return operator.decide(whole);
    }
    operator.show_before(&meaning, &top, 1)?;
    let pages = operator.window().pages_to_turn(&meaning, &top, 1).len() + 1;
    operator.ask(&next_page(pages - 1, pages, "the digest"))?;
    let heading = top.page(pages, pages);
    let small = told_small(plan, operator.window()); // it may be larger by now
    operator.decide(&format!("{heading}{small}{question}"))
}

/// The size of the window and the size needed, if it is too small.
fn told_small(plan: &Plan, window: Window) -> String {
    let small = match plan.shows_shares() {
        true => screens::shares_need(plan, window),
        false => window.too_small(),
    };
    small.map_or(String::new(), |told| {
        screens::fold(&format!("{}.", words::capitalised(&told)), " ")
    })
}

/// Rows, a few digits, a file name: none of these approves a plan.
fn no_digest(given: &str) -> Error {
    let given = match given.len() {
        0..=80 => format!("{given:?}"),
        _ => "what was given".to_owned(),
    };
    Error::declined(format!(
        "--approve: {given} is not a SHA-256, which has 64 hex digits: all eight rows"
    ))
    .check("APPROVED-DIGEST")
    .hint("read the plan, then approve its whole digest: sha256sum PLAN")
}

/// What now exists after a refusal before step 1, and what to do if it has no hint of its own.
pub(crate) fn nothing_begun(error: Error) -> Error {
    let next = match error.exit {
        Exit::Declined => "the same plan can be run again at any time; it needs a new approval",
        _ => "put that right, then run the plan again",
    };
    error.or_else("nothing was made, in the HSM or on disk", next)
}

fn not_approved() -> Error {
    Error::declined("the plan was not approved")
        .hint("only Yes, with a capital Y, approves; to try again, run the same command")
}
