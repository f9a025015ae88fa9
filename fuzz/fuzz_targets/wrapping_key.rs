#![no_main]
//! See `parsers::wrapping_key`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::wrapping_key(bytes));
