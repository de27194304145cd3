//! Folders: made where they are missing, named as the wire wants it, refused with a reason, and
//! those of a tree kept apart.

use std::fs;
use std::path::Path;

use uncork_import::{Options, Order, Source, Target};

use crate::support::{
    FILE_DATE, Lab, Offers, assert_whole, import_with, numbered, numbered_mail, numbers, options,
    run, write_dated,
};

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
        let count = |verb: &str| {
            let command = format!("{verb} {wire}");
            let commands = lab.server.commands();
            commands.iter().filter(|known| **known == command).count()
        };
        assert_eq!((count("CREATE"), count("SUBSCRIBE")), (1, 1), "{folder}");
        // The second time it is there, and has them.
        let outcome = run(&source, &lab.target(folder));
        assert_whole(&outcome, 0);
        assert_eq!(outcome.report.already_there, 3);
        assert_eq!(numbers(&lab.read(wire)), [0, 1, 2], "{folder}");
        assert_eq!((count("CREATE"), count("SUBSCRIBE")), (1, 1), "{folder}");
    }
}

/// Said once, and the mails counted.
#[test]
fn a_folder_that_the_server_does_not_make() {
    let (_root, source) = numbered(300);
    // The lab's folders can't have a dot in their name.
    let lab = Lab::offering(Offers::MultiAppend, Vec::new());
    let outcome = run(&source, &lab.target("a.b"));
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let report = &outcome.report;
    let notes = report.notes.iter();
    let notes: Vec<_> = notes.filter(|note| note.contains("a.b")).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let why = "[CANNOT] character not allowed";
    assert!(notes[0].contains(why), "{notes:?}");
    assert_eq!((report.imported, report.refused_messages), (0, 300));
    assert!(report.refused.iter().all(|mail| mail.folder == "a.b"));
    assert_eq!((lab.stored(), lab.appends()), (0, 0));
}

/// A Maildir++ tree: a root and folders within folders, each with mails of its own numbers.
const TREE: [(&str, &str, std::ops::Range<usize>); 4] = [
    ("", "INBOX", 0..120),
    (".Work", "Work", 120..240),
    (".Work.2004", "Work/2004", 240..250),
    (".Entw&APw-rfe", "Entw&APw-rfe", 250..400),
];

fn write_tree(root: &Path) -> Source {
    for (folder, _, range) in TREE {
        let folder = root.join(folder);
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        for n in range {
            let name = format!("cur/{}.M0P1Q{n}.host:2,S", 1_000_000_000 + n);
            write_dated(&folder.join(name), numbered_mail(n).as_bytes(), FILE_DATE);
        }
    }
    Source::open(root).unwrap()
}

#[track_caller]
fn check_tree(change: impl FnOnce(&mut Options), is_kept: bool) {
    let root = tempfile::tempdir().unwrap();
    let source = write_tree(root.path());
    let mut options = options();
    change(&mut options);
    for offers in Offers::ALL {
        let lab = Lab::offering(offers, Vec::new());
        let url = format!("imap://lab@127.0.0.1:{}", lab.server.addr().port());
        let target = Target::parse(&url).unwrap();
        for run in 0..2 {
            let outcome = import_with(&source, &target, &options);
            let total = 400 * (1 - run);
            assert_whole(&outcome, total);
            assert_eq!(outcome.report.already_there, 400 - total);
            for (_, wire, range) in TREE {
                let mut stored = numbers(&lab.read(wire));
                if !is_kept {
                    stored.sort_unstable();
                }
                assert_eq!(stored, range.collect::<Vec<_>>(), "{offers:?}: {wire}");
            }
        }
    }
}

#[test]
fn a_tree_arrives_in_its_folders() {
    check_tree(|_| (), true);
}

#[test]
fn a_tree_over_one_connection() {
    check_tree(
        |options| options.connections = std::num::NonZeroU32::new(1),
        true,
    );
}

#[test]
fn a_tree_over_many_connections() {
    check_tree(
        |options| options.connections = std::num::NonZeroU32::new(3),
        true,
    );
}

/// Several connections on one folder: all is there, in some order.
#[test]
fn a_tree_in_any_order() {
    let change = |options: &mut Options| {
        options.connections = std::num::NonZeroU32::new(3);
        options.order = Order::Any;
    };
    check_tree(change, false);
}
