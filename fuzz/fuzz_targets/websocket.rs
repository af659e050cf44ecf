//! libFuzzer over `wampd_fuzz::websocket`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wampd_fuzz::websocket(data));
