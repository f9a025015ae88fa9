//! Without the room byok loads no module and asks nobody.

use std::path::Path;

use super::shares::{Escrow, Question};
use crate::cli::verbs::without_room;
use crate::ground::error::Result;
use crate::ground::token_uri::TokenUri;

pub(super) fn choose_token(_: &Path, _: Option<&str>, _: Option<&TokenUri>) -> Result<TokenUri> {
    Err(without_room("byok plan --module"))
}

pub(super) fn variables(_: Option<&Path>) -> Vec<String> {
    Vec::new()
}

pub(super) fn ask(_: Question) -> Result<Escrow> {
    Ok(Escrow::Open)
}
