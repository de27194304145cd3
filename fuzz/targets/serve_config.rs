//! A configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_serve::fuzzing::config(data));
