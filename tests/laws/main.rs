//! What holds for the code, its dependencies, its documents and every input.

mod corpus;
mod dependencies;
mod documents;
mod house;
mod laws;
mod package;
#[path = "../support/parsers.rs"]
mod parsers;
mod release;
mod room;
mod supply_chain;
#[path = "../support/mod.rs"]
mod support;
