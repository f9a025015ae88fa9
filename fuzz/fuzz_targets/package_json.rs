#![no_main]
//! See `parsers::package_json`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::package_json(bytes));
