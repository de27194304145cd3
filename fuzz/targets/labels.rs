//! X-Gmail-Labels of a Google Takeout.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::labels(data));
