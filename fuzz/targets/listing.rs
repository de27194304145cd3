//! LIST and NAMESPACE.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| uncork_import::fuzzing::listing(data));
