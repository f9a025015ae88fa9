#![no_main]
//! See `parsers::receipts_chain`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::receipts_chain(bytes));
