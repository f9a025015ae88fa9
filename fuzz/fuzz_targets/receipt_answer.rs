#![no_main]
//! See `parsers::receipt_answer`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::receipt_answer(bytes));
