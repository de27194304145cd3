//! Line ends and NULs of mails.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::normalise(data));
