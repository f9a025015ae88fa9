#![no_main]
//! See `parsers::plan`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::plan(bytes));
