//! libFuzzer over `wampd_fuzz::server`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::server(data));
