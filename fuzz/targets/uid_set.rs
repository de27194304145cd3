//! Sets of UIDs, as APPENDUID tells them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::uid_set(data));
