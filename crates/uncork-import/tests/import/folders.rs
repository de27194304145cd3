//! Folders: made where they are missing, named as the wire wants it, refused with a reason.

use uncork_import::ImportError;

use crate::support::{Lab, Offers, assert_whole, numbered, numbers, run};

#[test]
fn a_missing_folder_is_made() {
    let (_root, source) = numbered(3);
    for (folder, wire) in [
        ("Old", "Old"),
        ("Old/2004/January", "Old/2004/January"),
        ("Sent Mail", "Sent Mail"),
        ("A&B", "A&-B"),
        ("Entwürfe", "Entw&APw-rfe"),
        ("台北/日本語", "&U,BTFw-/&ZeVnLIqe-"),
    ] {
        let lab = Lab::offering(Offers::MultiAppend, Vec::new());
        assert_whole(&run(&source, &lab.target(folder)), 3);
        assert_eq!(numbers(&lab.read(wire)), [0, 1, 2], "{folder}");
        assert!(lab.read("INBOX").is_empty());
        let commands = lab.server.commands();
        for verb in ["CREATE", "SUBSCRIBE"] {
            let command = format!("{verb} {wire}");
            assert_eq!(
                commands.iter().filter(|c| **c == command).count(),
                1,
                "{commands:?}"
            );
        }
        // The second time it is there.
        assert_whole(&run(&source, &lab.target(folder)), 3);
        assert_eq!(numbers(&lab.read(wire)), [0, 1, 2, 0, 1, 2], "{folder}");
        let creates = lab
            .server
            .commands()
            .into_iter()
            .filter(|c| c.starts_with("CREATE"));
        assert_eq!(creates.count(), 1);
    }
}

#[test]
fn a_folder_that_the_server_does_not_make() {
    let (_root, source) = numbered(3);
    // The lab's folders can't have a dot in their name.
    let lab = Lab::offering(Offers::MultiAppend, Vec::new());
    let outcome = run(&source, &lab.target("a.b"));
    let error = outcome.error.unwrap();
    let ImportError::Folder { folder, reason } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(folder, "a.b");
    assert!(
        reason.contains("[CANNOT] character not allowed"),
        "{reason}"
    );
    assert_eq!(
        (outcome.report.imported, outcome.report.unknown_messages),
        (0, 0)
    );
    assert_eq!((lab.stored(), lab.appends()), (0, 0));
}
