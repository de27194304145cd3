//! Folder names in modified UTF-7.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::utf7(data));
