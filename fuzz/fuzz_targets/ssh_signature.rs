#![no_main]
//! See `parsers::ssh_signature`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::ssh_signature(bytes));
