#![no_main]
//! See `parsers::console_zip`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::console_zip(bytes));
