//! Host names.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_serve::fuzzing::host(data));
