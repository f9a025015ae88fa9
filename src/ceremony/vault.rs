//! The vault: the HSM from step 4 on, and what this run made in it, which is taken back if the ceremony fails.

use super::escrow::OutThere;
use super::signer::Signing;
use crate::crypto::key_id::KeyId;
use crate::hsm::{Hsm, Module};

/// The open session, and what was made in it.
pub(crate) struct Vault {
    pub(super) hsm: Hsm,
    pub(super) module: Module,
    /// What this run asked the HSM to make as token objects.
    pub(super) made: Vec<(String, KeyId)>,
    /// What was destroyed for good.
    pub(super) taken_away: Vec<String>,
    /// Who signs the transcript.
    pub(super) signing: Signing,
    /// Shares that are with custodians before the record is sealed.
    pub(super) out_there: OutThere,
    /// How often the session was opened again.
    pub(super) reopenings: u32,
}

impl Vault {
    /// Nothing was made yet.
    pub(super) fn of(module: Module, hsm: Hsm) -> Self {
        Self {
            hsm,
            module,
            made: Vec::new(),
            taken_away: Vec::new(),
            signing: Signing::default(),
            out_there: OutThere::default(),
            reopenings: 0,
        }
    }
}
