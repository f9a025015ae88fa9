#![no_main]
//! See `parsers::record`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::record(bytes));
