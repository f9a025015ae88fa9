#![no_main]
//! See `parsers::private_key`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::private_key(bytes));
