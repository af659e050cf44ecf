//! libFuzzer over `wampd_fuzz::decode`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::decode(data));
