#![no_main]
//! See `parsers::uri`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::uri(bytes));
