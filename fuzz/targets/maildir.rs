//! The names of a Maildir and other trees.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::maildir(data));
