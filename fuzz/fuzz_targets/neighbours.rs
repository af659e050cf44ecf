//! libFuzzer over `wampd_fuzz::neighbours`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::neighbours(data));
