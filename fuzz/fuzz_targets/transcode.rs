//! libFuzzer over `wampd_fuzz::transcode`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::transcode(data));
