#![no_main]
//! See `parsers::package_text`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::package_text(bytes));
