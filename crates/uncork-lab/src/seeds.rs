//! The seeds of the fuzz targets, and with them each input that once broke one.

use std::fs;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Tries each target with its seeds in `fuzz/corpus`, by their names. For tests: what does not hold
/// panics in the target.
///
/// # Panics
/// Where a target has no seeds.
#[expect(
    clippy::unwrap_used,
    reason = "called by tests only: a panic is how they fail"
)]
pub fn try_all(targets: &[(&str, Target)]) {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    for (name, target) in targets {
        let mut seeds = 0;
        for entry in fs::read_dir(format!("{corpus}/{name}")).unwrap() {
            let seed = fs::read(entry.unwrap().path()).unwrap();
            target(&seed);
            // What is cut off or added makes other inputs of it.
            target(&seed[..seed.len() / 2]);
            target(&[&seed[..], &seed[..]].concat());
            seeds += 1;
        }
        assert!(seeds > 0, "{name}");
        target(b"");
    }
}
