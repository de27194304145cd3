//! Files that change while they are served. What is kept of them is compared with the file system
//! each second: the tests wait until the change is seen.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use uncork_serve::rules::{Rules, Symlinks};

use crate::support::{Response, Served, Setup, assert_same, pattern, set_time, write};

/// Beyond the grain of a file's time: what was found after it is known for certain.
const SETTLED: Duration = Duration::from_millis(2300);

/// What is kept is looked at again after that.
const CHECKED: Duration = Duration::from_millis(1100);

/// One change of the tree, of what it is seen, and how.
struct Change {
    name: &'static str,
    change: fn(&Path),
    target: &'static str,
    before: (u16, &'static str),
    after: (u16, &'static str),
}

const CHANGES: &[Change] = &[
    Change {
        name: "written in place",
        change: |root| write(&root.join("in_place"), "after"),
        target: "/in_place",
        before: (200, "before"),
        after: (200, "after"),
    },
    Change {
        name: "of the same length",
        change: |root| write(&root.join("same_length"), "AFTER!"),
        target: "/same_length",
        before: (200, "before"),
        after: (200, "AFTER!"),
    },
    Change {
        name: "of the same length and time",
        change: |root| {
            write(&root.join("same_time"), "AFTER!");
            set_time(&root.join("same_time"), 1_700_000_000);
        },
        target: "/same_time",
        before: (200, "before"),
        after: (200, "AFTER!"),
    },
    Change {
        name: "renamed over",
        change: |root| {
            write(&root.join("next"), "AFTER!");
            fs::rename(root.join("next"), root.join("renamed")).unwrap();
        },
        target: "/renamed",
        before: (200, "before"),
        after: (200, "AFTER!"),
    },
    Change {
        name: "deleted",
        change: |root| fs::remove_file(root.join("deleted")).unwrap(),
        target: "/deleted",
        before: (200, "before"),
        after: (404, ""),
    },
    Change {
        name: "appears",
        change: |root| write(&root.join("appears"), "after"),
        target: "/appears",
        before: (404, ""),
        after: (200, "after"),
    },
    Change {
        name: "appears with its folder",
        change: |root| write(&root.join("new/deep/file"), "after"),
        target: "/new/deep/file",
        before: (404, ""),
        after: (200, "after"),
    },
    Change {
        name: "appears before the one with a suffix",
        change: |root| write(&root.join("suffix"), "after"),
        target: "/suffix",
        before: (200, "before"),
        after: (200, "after"),
    },
    Change {
        name: "an index appears",
        change: |root| write(&root.join("folder/index.html"), "after"),
        target: "/folder/",
        before: (404, ""),
        after: (200, "after"),
    },
    Change {
        name: "a folder becomes a file",
        change: |root| {
            fs::remove_dir_all(root.join("was_folder")).unwrap();
            write(&root.join("was_folder"), "after");
        },
        target: "/was_folder",
        before: (301, ""),
        after: (200, "after"),
    },
    Change {
        name: "a compressed one appears",
        change: |root| write(&root.join("coded.gz"), "after"),
        target: "/coded",
        before: (200, "before"),
        after: (200, "after"),
    },
    Change {
        name: "a compressed one goes",
        change: |root| fs::remove_file(root.join("uncoded.gz")).unwrap(),
        target: "/uncoded",
        before: (200, "zipped"),
        after: (200, "before"),
    },
    Change {
        name: "its folder is exchanged",
        change: |root| {
            write(&root.join("next_folder/file"), "AFTER!");
            fs::rename(root.join("exchanged"), root.join("previous_folder")).unwrap();
            fs::rename(root.join("next_folder"), root.join("exchanged")).unwrap();
        },
        target: "/exchanged/file",
        before: (200, "before"),
        after: (200, "AFTER!"),
    },
    Change {
        name: "a file becomes a link out of the root",
        change: |root| {
            fs::remove_file(root.join("escapes")).unwrap();
            symlink(root.join("../secret"), root.join("escapes")).unwrap();
        },
        target: "/escapes",
        before: (200, "before"),
        after: (403, ""),
    },
];

fn tree(symlinks: Symlinks) -> Served {
    let rules = Rules {
        symlinks,
        ..Rules::default()
    };
    let mut setup = Setup::new().rules(rules).file("../secret", "secret");
    for file in ["in_place", "same_length", "renamed", "deleted", "escapes"] {
        setup = setup.file(file, "before");
    }
    setup
        .file_of("same_time", "before", 1_700_000_000)
        .file("suffix.html", "before")
        .file("folder/other", "")
        .file("was_folder/other", "")
        .file("coded", "before")
        .file("uncoded", "before")
        .file("uncoded.gz", "zipped")
        .file("exchanged/file", "before")
        .start()
}

fn look(served: &Served, change: &Change) -> Response {
    served.get_with(change.target, "Accept-Encoding: gzip\r\n")
}

fn is(response: &Response, (status, text): (u16, &str)) -> bool {
    response.status == status && (status != 200 || response.text() == text)
}

#[test]
fn each_change_is_seen() {
    for symlinks in [Symlinks::Inside, Symlinks::Deny] {
        let served = tree(symlinks);
        thread::sleep(SETTLED);
        for _ in 0..2 {
            for change in CHANGES {
                let response = look(&served, change);
                assert!(
                    is(&response, change.before),
                    "{}: {response:?}",
                    change.name
                );
            }
            thread::sleep(CHECKED);
        }
        let before = CHANGES
            .iter()
            .map(|change| look(&served, change).etag_if_any());
        let before: Vec<Option<String>> = before.collect();
        for change in CHANGES {
            (change.change)(&served.root());
        }
        for (change, before) in CHANGES.iter().zip(before) {
            let seen = crate::support::until(|| {
                let response = look(&served, change);
                let is_either = is(&response, change.before) || is(&response, change.after);
                assert!(is_either, "{}: {response:?}", change.name);
                Some(response).filter(|response| is(response, change.after))
            });
            if let (Some(before), Some(after)) = (before, seen.etag_if_any()) {
                let is_other = before != after || change.name == "of the same length and time";
                assert!(is_other, "{}: {before}", change.name);
            }
        }
    }
}

/// Again and again, faster than anything is looked at: the last word is seen.
#[test]
fn a_file_that_changes_often() {
    let served = Setup::new().file("a", "0").start();
    for round in 0..3 {
        for number in 0..20 {
            served.write("a", format!("{round} {number}"));
            served.get("/a").is(200);
        }
        let last = format!("{round} 19");
        served.until("/a", |response| response.text() == last);
    }
}

/// A link in the way to a file is part of what was seen.
#[test]
fn a_link_that_is_turned() {
    let served = Setup::new()
        .file("v1/file", "first")
        .file("v2/file", "second")
        .start();
    let root = served.root();
    symlink("v1", root.join("current")).unwrap();
    thread::sleep(SETTLED);
    served.get("/current/file").is(200).says("first");
    thread::sleep(CHECKED);
    served.get("/current/file").is(200).says("first");
    symlink("v2", root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("current")).unwrap();
    served.until("/current/file", |response| response.text() == "second");
}

/// The folder is carried out of the root, and a link leads to it: what would be opened now is
/// refused, and so is what was opened before.
fn carried_out(above: &str, symlinks: Symlinks) {
    let rules = Rules {
        symlinks,
        ..Rules::default()
    };
    let served = Setup::new()
        .rules(rules)
        .file("a/b/c/file", "inside")
        .start();
    thread::sleep(SETTLED);
    served.get("/a/b/c/file").is(200);
    thread::sleep(CHECKED);
    served.get("/a/b/c/file").is(200).says("inside");
    let outside = served.folder.path().join("outside");
    let within = served.root().join(above);
    fs::rename(&within, &outside).unwrap();
    symlink(&outside, &within).unwrap();
    served.until("/a/b/c/file", |response| response.status == 403);
}

#[test]
fn a_folder_is_carried_out_of_the_root() {
    carried_out("a/b/c", Symlinks::Inside);
    carried_out("a/b/c", Symlinks::Deny);
}

#[test]

fn a_folder_further_up_is_carried_out_of_the_root() {
    carried_out("a", Symlinks::Inside);
    carried_out("a", Symlinks::Deny);
}

/// The root itself is another folder now.
#[test]
fn the_root_is_exchanged() {
    let served = Setup::new()
        .file("a", "first")
        .file("gone", "first")
        .start();
    thread::sleep(SETTLED);
    served.get("/a").says("first");
    served.get("/gone").says("first");
    served.get("/new").is(404);
    let root = served.root();
    let folder = served.folder.path();
    write(&folder.join("next/a"), "second");
    write(&folder.join("next/new"), "new");
    fs::rename(&root, folder.join("before")).unwrap();
    served.until("/a", |response| response.status == 404);
    fs::rename(folder.join("next"), &root).unwrap();
    served.until("/a", |response| response.text() == "second");
    served.until("/new", |response| response.text() == "new");
    served.until("/gone", |response| response.status == 404);
}

/// What was promised can't be sent any more: the connection ends, and nothing is made up.
#[test]
fn a_file_that_is_cut_while_it_is_sent() {
    const LEN: usize = 30_000_000;
    let served = Setup::new().file("long", pattern(LEN)).start();
    let mut client = served.client();
    client.send(crate::support::get("/long", ""));
    let head = client.response_to_head().is(200);
    assert_eq!(head.length(), LEN);
    let file = fs::File::options()
        .write(true)
        .open(served.root().join("long"));
    file.unwrap().set_len(1000).unwrap();
    let arrived = client.rest();
    assert!(arrived.len() < LEN, "{}", arrived.len());
    // So is the next one, until the change is seen.
    crate::support::until(|| {
        let mut client = served.client();
        client.send(crate::support::get("/long", "Connection: close\r\n"));
        let arrived = client.rest();
        memchr::memmem::find(&arrived, b"Content-Length: 1000\r\n").map(|_| ())
    });
    assert_same(&served.get("/long").is(200).body, &pattern(1000));
}
