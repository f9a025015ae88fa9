#![no_main]
//! See `parsers::transcript`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::transcript(bytes));
