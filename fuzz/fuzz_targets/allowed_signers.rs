#![no_main]
//! See `parsers::allowed_signers`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::allowed_signers(bytes));
