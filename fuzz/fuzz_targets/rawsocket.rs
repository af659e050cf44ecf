//! libFuzzer over `wampd_fuzz::rawsocket`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::rawsocket(data));
