//! Mboxes, split and joined.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::mbox(data));
