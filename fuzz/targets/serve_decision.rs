//! A request's head, and the response to it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_serve::fuzzing::decision(data));
