//! libFuzzer over `wampd_fuzz::roundtrip`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::roundtrip(data));
