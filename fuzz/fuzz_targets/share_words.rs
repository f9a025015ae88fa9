#![no_main]
//! See `parsers::share_words_of_a_file`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| byok_fuzz::parsers::share_words_of_a_file(bytes));
