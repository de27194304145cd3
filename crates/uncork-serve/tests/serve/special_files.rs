//! What is no file, and what leads out of the root.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use uncork_lab::requirement;
use uncork_serve::rules::{Rules, Symlinks};

use crate::support::{Served, Setup, write};

fn with_links(symlinks: Symlinks) -> Served {
    let rules = Rules {
        symlinks,
        ..Rules::default()
    };
    let setup = Setup::new()
        .rules(rules)
        .file("file", "inside")
        .file("sub/file", "sub")
        .file("../secret", "secret")
        .file("../elsewhere/index.html", "secret");
    let root = setup.root();
    let outside = setup.root().join("..").canonicalize().unwrap();
    for (to, link) in [
        ("file", "inside"),
        ("sub", "sub_link"),
        ("../file", "sub/up"),
        ("../secret", "relative"),
        ("../elsewhere", "folder"),
        ("nowhere", "dangling"),
        ("loop", "loop"),
        ("sub/../../secret", "winding"),
        ("/proc/self/root", "magic"),
        ("/proc/self/cwd", "cwd"),
        ("/etc/passwd", "passwd"),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
    symlink(outside.join("secret"), root.join("absolute")).unwrap();
    // Absolute links are refused even where they lead back.
    symlink(root.canonicalize().unwrap().join("file"), root.join("back")).unwrap();
    setup.start()
}

#[test]
fn links_out_of_the_root_are_403() {
    for symlinks in [Symlinks::Inside, Symlinks::Deny] {
        let served = with_links(symlinks);
        // Twice: found, and then kept.
        for target in [
            "/relative",
            "/absolute",
            "/back",
            "/folder/",
            "/folder",
            "/folder/index.html",
            "/winding",
            "/magic/etc/passwd",
            "/magic/",
            "/cwd/",
            "/passwd",
            "/loop",
        ]
        .repeat(2)
        {
            let response = served.get(target).is(403);
            assert!(!response.text().contains("secret"), "{target}");
        }
    }
}

#[test]
fn links_within_the_root() {
    let served = with_links(Symlinks::Inside);
    for _ in 0..2 {
        served.get("/inside").is(200).says("inside");
        served.get("/sub_link/file").is(200).says("sub");
        served.get("/sub/up").is(200).says("inside");
        served.get("/sub_link/up").is(200).says("inside");
        served
            .get("/sub_link")
            .is(301)
            .has("location", "/sub_link/");
        served.get("/dangling").is(404);
    }
    let served = with_links(Symlinks::Deny);
    for _ in 0..2 {
        for target in [
            "/inside",
            "/sub_link/file",
            "/sub/up",
            "/sub_link",
            "/dangling",
        ] {
            served.get(target).is(403);
        }
        served.get("/sub/file").is(200).says("sub");
    }
}

/// A root that is a link is what people deploy with.
#[test]
fn the_root_may_be_a_link() {
    let setup = Setup::new();
    let root = setup.root();
    let releases = root.parent().unwrap().join("releases");
    for (release, text) in [("1", "first"), ("2", "second")] {
        write(&releases.join(release).join("index.html"), text);
    }
    fs::remove_dir(&root).unwrap();
    symlink("releases/1", &root).unwrap();
    let served = setup.start();
    served.get("/").is(200).says("first");
    let next = root.parent().unwrap().join("next");
    symlink("releases/2", &next).unwrap();
    fs::rename(next, &root).unwrap();
    served.until("/", |response| response.text() == "second");
}

/// Nobody ever writes into the FIFO: that must not matter.
#[test]
fn fifos_and_sockets_are_403() {
    let setup = Setup::new().file("next", "served all the same");
    let root = setup.root();
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, root.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    mknodat(CWD, root.join("index.html"), FileType::Fifo, mode, 0).unwrap();
    mknodat(CWD, root.join("next.gz"), FileType::Fifo, mode, 0).unwrap();
    let _listener = UnixListener::bind(root.join("socket")).unwrap();
    let served = setup.start();
    for target in ["/fifo", "/socket", "/", "/index.html"].repeat(2) {
        served.get(target).is(403);
    }
    let response = served.get_with("/next", "Accept-Encoding: gzip\r\n");
    response.is(200).says("served all the same");
    served.get("/missing").is(404);
}

#[test]
fn devices_are_403() {
    if !requirement::root() {
        return;
    }
    let setup = Setup::new();
    let root = setup.root();
    let mode = Mode::RUSR | Mode::WUSR;
    // /dev/zero, which would be served for ever.
    match mknodat(
        CWD,
        root.join("zero"),
        FileType::CharacterDevice,
        mode,
        makedev(1, 5),
    ) {
        Ok(()) => {}
        Err(Errno::PERM) => return requirement::skip("no device can be made here"),
        Err(errno) => panic!("{errno}"),
    }
    let served = setup.start();
    for _ in 0..2 {
        served.get("/zero").is(403);
    }
}
