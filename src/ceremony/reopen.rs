//! An HSM that loses its session while shares are handed out, which takes most of an hour.
//!
//! Token objects outlive a session. So the session is opened again, the PIN is asked for again, and every
//! data key is proved to be what it was; then the work that failed is done again from its beginning. Session
//! keys are made anew by that work, and the escrow key comes from bytes that are still held, or from what
//! custodians typed. A data key that was a session object is gone: the ceremony ends, its forms void.

use super::{Ceremony, Error, Result, Vault, login, screens, transcript};
use crate::ground::error::Exit;
use crate::hsm::{self, DataKey, Hsm, Life};

/// More than this many are not an accident: somebody should look at the HSM first.
const MOST_REOPENINGS: u32 = 3;

impl Ceremony<'_> {
    /// Does work with the HSM that holds nothing of the session before or after it, and does it again if the session
    /// was lost.
    pub(super) fn in_a_session<T>(
        &mut self,
        vault: &mut Vault,
        keys: &mut [DataKey],
        work: impl Fn(&mut Hsm, &[DataKey]) -> Result<T>,
    ) -> Result<T> {
        loop {
            match work(&mut vault.hsm, keys) {
                Err(lost) if hsm::session_was_lost(&lost) => self.reopen(vault, lost, keys)?,
                done => return done,
            }
        }
    }

    /// `keys`: those that are still needed; at the seal none is: the HSM only has to sign.
    pub(super) fn reopen(
        &mut self,
        vault: &mut Vault,
        lost: Error,
        keys: &mut [DataKey],
    ) -> Result<()> {
        if let Some(gone) = keys.iter().find(|key| key.life == Life::Session) {
            return Err(lost.state(format!(
                "the data key {:?} was a session object, not a token object: it ended with the HSM's session",
                gone.label
            )));
        }
        if vault.reopenings >= MOST_REOPENINGS {
            return Err(lost.hint(format!(
                "the session was reopened {MOST_REOPENINGS} times already: find out why this HSM drops it"
            )));
        }
        let (why, found) = match keys.is_empty() {
            true => ("the HSM only has to sign", " to sign the transcript"),
            false => (
                "the data keys are in the token, and the shares that were handed out stay good",
                ", and every data key is the same as before",
            ),
        };
        let told = format!(
            "The HSM lost its session ({}). Nothing is lost: {why}. The PIN is needed once more.",
            lost.what
        );
        self.desk.say(&format!("\n{}", screens::fold(&told, " ")));
        let logins = self
            .open_again(vault, true)
            .map_err(|e| not_reopened(&lost, e))?;
        for key in keys.iter_mut() {
            let found = vault.hsm.find_again(key);
            found.map_err(|e| e.doing(format!("finding the data key {:?} again", key.label)))?;
        }
        vault.find_signer_again()?;
        self.ledger.append(transcript::HsmReopened {
            token: vault.hsm.token().facts(),
            lost: lost.what.clone(),
            logins,
            labels: keys.iter().map(|key| key.label.clone()).collect(),
        })?;
        self.note(&format!(
            "the HSM lost its session ({}); it was opened again{found}",
            lost.what
        ))?;
        self.ledger.sync()
    }

    /// After a failure: once more, so that what this run made can be destroyed. Nobody is waited for.
    pub(super) fn open_to_destroy(&mut self, vault: &mut Vault) -> Result<()> {
        if vault.reopenings > MOST_REOPENINGS {
            return Err(Error::hsm("the HSM's session is lost"));
        }
        self.desk.say(
            "\n The HSM lost its session. To destroy what this run made, it is opened again.\n",
        );
        self.open_again(vault, false)?;
        let _ = vault.find_signer_again(); // without it the aborted transcript is not signed, and says so
        Ok(())
    }

    /// The same token, a new session, the PIN once more. Says how many logins it took. `wait`: for people to
    /// connect a token that is gone.
    fn open_again(&mut self, vault: &mut Vault, wait: bool) -> Result<u32> {
        // A failure is final: no PIN that was refused is ever tried again.
        let before = std::mem::replace(&mut vault.reopenings, u32::MAX);
        while let Err(gone) = vault.module.reopen(&mut vault.hsm) {
            let told = format!(
                "The HSM token {:?} cannot be opened ({}). Connect it again.",
                vault.hsm.token().token,
                gone.what
            );
            let question = screens::fold(&told, " ") + " Then press Enter: ";
            if !wait || self.desk.ask(&question)?.is_none() {
                return Err(gone);
            }
        }
        let logins = login::log_in(
            &vault.hsm,
            &self.plan().hsm.pin,
            self.desk.operator,
            &mut self.ledger.wrong_answers(),
        )?;
        vault.reopenings = before + 1;
        Ok(logins)
    }
}

/// What failed first is the reason, unless a person ended the ceremony.
fn not_reopened(lost: &Error, mut why: Error) -> Error {
    if why.exit == Exit::Declined {
        return why;
    }
    why.exit = Exit::Hsm;
    why.doing(format!(
        "the HSM lost its session ({}) and could not be opened again",
        lost.what
    ))
}
