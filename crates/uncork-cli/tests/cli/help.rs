//! Help that can be read without the manual.

use crate::support::{run, uncork};

#[test]
fn every_verb_has_examples() {
    let general = run(uncork().arg("--help")).with(0);
    for verb in ["import", "demo", "fix"] {
        assert!(general.stdout.contains(verb), "{}", general.stdout);
        for asked in [[verb, "--help"], ["help", verb]] {
            let help = run(uncork().args(asked)).with(0);
            assert_eq!(help.stderr, "");
            assert!(help.stdout.contains("Examples:"), "{}", help.stdout);
            let example = format!("uncork {verb}");
            let (_, examples) = help.stdout.split_once("Examples:").unwrap();
            assert!(examples.contains(&example), "{examples}");
            for option in ["--json", "--quiet"] {
                assert!(help.stdout.contains(option), "{}", help.stdout);
            }
        }
    }
}

#[test]
fn the_help_of_import_tells_of_passwords_and_moves() {
    let help = run(uncork().args(["import", "--help"])).with(0).stdout;
    let short = run(uncork().args(["import", "-h"])).with(0).stdout;
    assert!(short.lines().count() < help.lines().count() && short.contains("import --help"));
    for words in [
        "UNCORK_PASSWORD",
        "--password-file",
        "--password-command",
        "--token-command",
        "--allow-plaintext",
        "Thunderbird",
        "Takeout",
        "Exchange",
    ] {
        assert!(help.contains(words), "no {words} in {help}");
    }
}

#[test]
fn the_version() {
    let version = run(uncork().arg("--version")).with(0).stdout;
    assert_eq!(version, format!("uncork {}\n", env!("CARGO_PKG_VERSION")));
}
