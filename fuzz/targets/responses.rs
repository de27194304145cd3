//! What an IMAP server says, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::responses(data));
