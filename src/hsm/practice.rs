//! A fresh token for a rehearsal. Real tokens are set up with the vendor's own tools.

use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use super::{Module, fault};
use crate::ground::error::{Error, Result};

impl Module {
    /// Initialises the first free slot as a token with this label: C_InitToken, then C_InitPIN. The PINs protect
    /// only practice keys.
    ///
    /// # Errors
    /// Exit 3 if there is no free slot, or if the module refuses.
    pub fn make_practice_token(&self, label: &str, so_pin: &str, user_pin: &str) -> Result<()> {
        let making = |e| fault(e).doing("making a practice token");
        let slot =
            self.look()?.free.pop().ok_or_else(|| {
                Error::hsm("making a practice token: the module shows no free slot")
            })?;
        let so_pin = AuthPin::from(so_pin.to_owned());
        self.context
            .init_token(slot, &so_pin, label)
            .map_err(making)?;
        // SoftHSM gives the token another slot when it is initialised.
        let uri = super::TokenUri {
            token: Some(label.to_owned()),
            ..super::TokenUri::default()
        };
        let session = self
            .context
            .open_rw_session(self.find(&uri)?.slot)
            .map_err(making)?;
        session.login(UserType::So, Some(&so_pin)).map_err(making)?;
        session
            .init_pin(&AuthPin::from(user_pin.to_owned()))
            .map_err(making)?;
        session.logout().map_err(making)
    }
}
