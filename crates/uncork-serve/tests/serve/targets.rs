//! Whatever the target is, what is served lies beneath the root: compared with an oracle that is slow
//! and obvious.

use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config as PropConfig, TestRunner};
use uncork_serve::rules::{Rules, Symlinks};

use crate::support::{Client, Served, Setup};

const SECRET: &str = "the secret that stands outside";

/// Names in the tree, and what people try.
const NAMES: &[&str] = &[
    "a",
    "b",
    "a.html",
    "index.html",
    "sub",
    "deep",
    "file",
    "..",
    ".",
    "",
    "...",
    ".hidden",
    ".well-known",
    "up",
    "out",
    "out_folder",
    "in",
    "chain",
    "loop",
    "absolute",
    "secret",
    "root",
    "elsewhere",
    "proc",
    "self",
    "etc",
    "passwd",
    "x y",
    "\u{fc}",
    "%",
    "A",
    "magic",
    "cwd",
];

/// Paths that lead to files, within the root and out of it.
const PATHS: &[&str] = &[
    "a",
    "b",
    "b.html",
    "sub/",
    "sub/deep/file",
    "in/file",
    "chain",
    "sub/up/a",
    "sub/up/sub/up/x y",
    "deep/a/b/file",
    ".well-known/file",
    "out",
    "elsewhere/",
    "elsewhere/file",
    "sub/out_folder/secret",
    "deep/passwd",
    "magic/etc/passwd",
    "../secret",
];

/// What stands between names.
const SEPARATORS: &[&str] = &["/", "/", "/", "/", "/", "//", "%2f", "\\", "%5c", "/./"];

/// What stands behind the last name.
const ENDS: &[&str] = &[
    "",
    "",
    "",
    "",
    "/",
    "?",
    "?x=/../secret",
    "/..",
    "%00",
    "/.",
];

fn tree(symlinks: Symlinks) -> Served {
    let rules = Rules {
        symlinks,
        ..Rules::default()
    };
    let mut setup = Setup::new().rules(rules);
    for path in [
        "../secret",
        "../elsewhere/file",
        "../elsewhere/index.html",
        "../elsewhere/a",
    ] {
        setup = setup.file(path, SECRET);
    }
    for path in [
        "a",
        "a.html",
        "b.html",
        "index.html",
        "x y",
        "\u{fc}",
        "%",
        "sub/index.html",
        "sub/file",
        "sub/deep/file",
        "sub/deep/.hidden",
        ".hidden/file",
        ".well-known/file",
        ".well-known/.hidden",
        "deep/a/b/file",
        "A",
    ] {
        setup = setup.file(path, format!("inside: {path}"));
    }
    let root = setup.root();
    for (to, link) in [
        ("..", "sub/up"),
        ("../..", "sub/out_folder"),
        ("../secret", "out"),
        ("../elsewhere", "elsewhere"),
        ("sub/deep", "in"),
        ("chain2", "chain"),
        ("in/file", "chain2"),
        ("loop", "loop"),
        ("/", "absolute"),
        ("/proc/self/root", "magic"),
        ("/proc/self/cwd", "deep/cwd"),
        ("sub/../../secret", "secret"),
        ("../root/a", "root"),
        ("../../../../../../etc/passwd", "deep/passwd"),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
    setup.start()
}

/// What the oracle says of a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    File(PathBuf),
    Folder,
    Nothing,
    Refused,
}

/// Walks from name to name, each link by hand, and never leaves the root.
fn walk(root: &Path, names: &[Vec<u8>], symlinks: Symlinks) -> Found {
    let mut todo: Vec<Vec<u8>> = names.iter().rev().cloned().collect();
    let mut stack: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    let full = |stack: &[Vec<u8>]| {
        let mut path = root.to_owned();
        for name in stack {
            path.push(std::ffi::OsString::from_vec(name.clone()));
        }
        path
    };
    while let Some(name) = todo.pop() {
        let is_folder = fs::symlink_metadata(full(&stack)).is_ok_and(|meta| meta.is_dir());
        if !is_folder {
            return Found::Nothing;
        }
        match &*name {
            b"" | b"." => continue,
            b".." => {
                if stack.pop().is_none() {
                    return Found::Refused;
                }
                continue;
            }
            _ => stack.push(name),
        }
        let Ok(meta) = fs::symlink_metadata(full(&stack)) else {
            return Found::Nothing;
        };
        if meta.is_symlink() {
            links += 1;
            if symlinks == Symlinks::Deny || links > 40 {
                return Found::Refused;
            }
            let target = fs::read_link(full(&stack)).unwrap();
            let target = target.as_os_str().as_bytes();
            if target.starts_with(b"/") {
                return Found::Refused;
            }
            stack.pop();
            let names = target.split(|byte| *byte == b'/').rev();
            todo.extend(names.map(<[u8]>::to_vec));
        }
    }
    let path = full(&stack);
    match fs::metadata(&path) {
        Ok(meta) if meta.is_file() => Found::File(path),
        Ok(meta) if meta.is_dir() => Found::Folder,
        _ => Found::Nothing,
    }
}

/// The one body that may come with 200, if any.
fn oracle(root: &Path, target: &[u8], symlinks: Symlinks) -> Option<Vec<u8>> {
    let path = target.split(|byte| *byte == b'?').next()?;
    if !path.starts_with(b"/") || target.contains(&b'#') {
        return None;
    }
    let mut decoded = Vec::new();
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [*rest.next()?, *rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        if digits.starts_with('+') {
            return None;
        }
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte == b'/' {
            return None;
        }
        decoded.push(byte);
    }
    if decoded
        .iter()
        .any(|byte| *byte < 0x20 || *byte == 0x7f || *byte == b'\\')
    {
        return None;
    }
    let is_folder = decoded.ends_with(b"/");
    let names: Vec<Vec<u8>> = decoded
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    for (at, name) in names.iter().enumerate() {
        let is_known = at == 0 && name == b".well-known" && (names.len() > 1 || is_folder);
        if name.starts_with(b".") && !is_known {
            return None;
        }
    }
    let mut candidates = vec![names.clone()];
    if is_folder {
        candidates[0].push(b"index.html".to_vec());
    } else {
        let mut suffixed = names;
        suffixed.last_mut()?.extend_from_slice(b".html");
        candidates.push(suffixed);
    }
    for names in candidates {
        match walk(root, &names, symlinks) {
            Found::File(path) => return Some(fs::read(path).unwrap()),
            Found::Nothing => {}
            Found::Folder | Found::Refused => return None,
        }
    }
    None
}

/// A name as it is, or with some of its bytes encoded, perhaps twice.
fn spelled(name: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (name, prop::collection::vec(0u8..24, 12)).prop_map(|(name, how)| {
        let mut text = Vec::new();
        for (at, byte) in name.iter().enumerate() {
            match how[at % how.len()] {
                0 if *byte != b'/' => text.extend_from_slice(format!("%{byte:02x}").as_bytes()),
                1 if *byte != b'/' => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                2 if at == 0 => text.extend_from_slice(format!("%25{byte:02x}").as_bytes()),
                _ if *byte <= b' ' || *byte == b'%' => {
                    text.extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
                _ => text.push(*byte),
            }
        }
        text
    })
}

fn segment() -> impl Strategy<Value = Vec<u8>> {
    spelled(prop_oneof![
        12 => prop::sample::select(NAMES).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ])
}

/// Names behind each other, a path that there is, or anything.
fn target() -> impl Strategy<Value = Vec<u8>> {
    let end = || prop::sample::select(ENDS);
    let parts = prop::collection::vec((prop::sample::select(SEPARATORS), segment()), 0..6);
    let structured = (parts, end()).prop_map(|(parts, end)| {
        let parts = parts.iter();
        let parts = parts.map(|(separator, name)| [separator.as_bytes(), name].concat());
        [parts.collect::<Vec<_>>().concat(), end.as_bytes().to_vec()].concat()
    });
    let path = prop::sample::select(PATHS).prop_map(|path| path.as_bytes().to_vec());
    let there = (spelled(path), end()).prop_map(|(path, end)| {
        let path = [b"/", &*path].concat();
        [path, end.as_bytes().to_vec()].concat()
    });
    let raw = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![5 => structured, 4 => there, 1 => raw]
}

/// One answer to these bytes as a target. `None` where they are more than one line.
fn ask(served: &Served, target: &[u8]) -> Option<(u16, Vec<u8>)> {
    if target.iter().any(|byte| b" \r\n".contains(byte)) {
        return None;
    }
    let mut client: Client = served.client();
    client.send([b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    let response = client.response();
    Some((response.status, response.body))
}

fn whatever_the_target_is(symlinks: Symlinks) {
    let served = tree(symlinks);
    let root = served.root();
    let config = PropConfig {
        cases: 1500,
        failure_persistence: None,
        ..PropConfig::default()
    };
    let hits = std::cell::Cell::new(0);
    let run = TestRunner::new(config).run(&target(), |target| {
        let Some((status, body)) = ask(&served, &target) else {
            return Ok(());
        };
        let shown = String::from_utf8_lossy(&target).into_owned();
        let has_secret = memchr::memmem::find(&body, SECRET.as_bytes()).is_some();
        prop_assert!(!has_secret, "{}", shown);
        match oracle(&root, &target, symlinks) {
            Some(expected) => {
                hits.set(hits.get() + 1);
                prop_assert_eq!(status, 200, "{}", shown);
                prop_assert_eq!(body, expected, "{}", shown);
            }
            None => prop_assert_ne!(status, 200, "{}", shown),
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        hits.get() > 50,
        "only {} of the targets were files",
        hits.get()
    );
}

#[test]
fn what_is_served_lies_beneath_the_root() {
    whatever_the_target_is(Symlinks::Inside);
}

#[test]
fn what_is_served_lies_beneath_the_root_without_links() {
    whatever_the_target_is(Symlinks::Deny);
}

/// The oracle knows the tree: a wrong one would prove nothing.
#[test]
fn the_oracle_by_hand() {
    let served = tree(Symlinks::Inside);
    let check = |target: &str, expected: Option<&str>| {
        let found = oracle(&served.root(), target.as_bytes(), Symlinks::Inside);
        let expected = expected.map(|path| format!("inside: {path}").into_bytes());
        assert_eq!(found, expected, "{target}");
        let (status, body) = ask(&served, target.as_bytes()).unwrap();
        assert_eq!((status == 200).then_some(body), expected, "{target}");
    };
    check("/", Some("index.html"));
    check("/b", Some("b.html"));
    check("/chain", Some("sub/deep/file"));
    check("/sub/up/a", Some("a"));
    check("/x%20y", Some("x y"));
    check("/%25", Some("%"));
    check("/.well-known/file", Some(".well-known/file"));
    for none in [
        "/secret",
        "/sub/out_folder/secret",
        "/root",
        "/.hidden/file",
        "/..",
        "/out",
        "/loop",
    ] {
        check(none, None);
    }
}
