//! Range, for a body of any length.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_serve::fuzzing::range(data));
