//! What a record says of itself: its verifiers, its signatures, and what they make of tampering.

mod both_verifiers;
mod signatures;
mod signatures_by_stock_tools;
#[path = "../support/mod.rs"]
mod support;
mod tampering;
