//! libFuzzer over `wampd_fuzz::model`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::model(data));
