//! What the fuzz targets call; `tests/laws/corpus.rs` calls the same without libFuzzer.

#[path = "../../tests/support/parsers.rs"]
pub mod parsers;
