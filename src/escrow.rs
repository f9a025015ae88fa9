//! Escrow: a one-time key wraps the data keys, and its shares go to the custodians.

pub mod slip39;
