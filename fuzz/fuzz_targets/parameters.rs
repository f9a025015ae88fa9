#![no_main]
//! See `parsers::parameters`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::parameters(bytes));
