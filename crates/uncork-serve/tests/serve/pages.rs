//! What a path is: files, indexes, redirects to folders, suffixes, applications, errors.

use uncork_serve::rules::Rules;

use crate::support::{Served, Setup};

fn site() -> Setup {
    Setup::new()
        .file("index.html", "top")
        .file("about.html", "about")
        .file("both", "bare")
        .file("both.html", "suffixed")
        .file("sub/index.html", "sub")
        .file("sub.html", "beside the folder")
        .file("empty/.keep", "")
        .file("a b/ü?#%.txt", "odd name")
        .file("evil.com/index.html", "not evil")
        .file(".git/config", "hidden")
        .file(".env", "hidden")
        .file("sub/.htpasswd", "hidden")
        .file("sub/.d/open.txt", "hidden")
        .file("..dots", "hidden")
        .file(".well-known/security.txt", "seen")
        .file(".well-known/.secret", "hidden")
        .file("well-known/a..txt", "seen")
}

#[test]
fn a_folder_is_its_index() {
    let served = site().start();
    for (target, text) in [
        ("/", "top"),
        ("/?query", "top"),
        ("/index.html", "top"),
        ("//", "top"),
        ("/sub/", "sub"),
        ("//sub///", "sub"),
        ("/s%75b/", "sub"),
        ("/sub/index.html", "sub"),
        ("/sub/index", "sub"),
    ] {
        served.get(target).is(200).says(text);
    }
    for target in ["/empty/", "/missing/", "/about.html/", "/about/", "/Sub/"] {
        served.get(target).is(404);
    }
}

#[test]
fn indexes_are_tried_in_order() {
    let rules = Rules {
        index: ["index.htm", "default.html"].map(String::from).to_vec(),
        ..Rules::default()
    };
    let served = Setup::new()
        .rules(rules)
        .file("default.html", "second")
        .file("index.html", "none of them")
        .file("sub/index.htm", "first")
        .file("sub/default.html", "second")
        .file("odd/index.htm/is-a-folder", "")
        .file("odd/default.html", "second")
        .start();
    served.get("/").is(200).says("second");
    served.get("/sub/").is(200).says("first");
    served.get("/odd/").is(200).says("second");
}

#[test]
fn a_folder_without_its_slash_is_elsewhere() {
    let served = site().start();
    for (target, location) in [
        ("/empty", "/empty/"),
        ("/sub", "/sub/"),
        ("/empty?a=b&c=%20", "/empty/?a=b&c=%20"),
        ("/empty?", "/empty/?"),
        ("/empty?a?b", "/empty/?a?b"),
        ("/a%20b", "/a%20b/"),
        ("http://other.example/empty?x", "/empty/?x"),
    ] {
        let response = served.get(target).is(301);
        response
            .has("location", location)
            .has("content-length", "0");
    }
}

/// `//evil.com` as a Location would be another host.
#[test]
fn a_redirect_never_leaves_the_host() {
    let served = site().start();
    for target in [
        "//evil.com",
        "///evil.com",
        "//evil.com?//evil.com",
        "/%65vil.com",
        "http://a.example//evil.com",
    ] {
        let response = served.get(target).is(301);
        let location = response.header("location").unwrap();
        assert!(location.starts_with("/evil.com/"), "{target}: {location}");
    }
    for target in [
        "/\\evil.com",
        "/%5cevil.com",
        "/%2fevil.com",
        "/%2f%2fevil.com",
    ] {
        served.get(target).is(400).has_no("location");
    }
}

/// What can't stand in a header never comes into one.
#[test]
fn a_query_is_no_way_into_the_head() {
    let served = site().start();
    let response = served.get("/empty?a=\u{fc}\"<>'").is(301);
    response.has("location", "/empty/?a=%C3%BC%22%3C%3E'");
    for target in ["/empty?%0d%0aX:%20y", "/sub%0d%0aX:%20y"] {
        let response = served.get(target);
        assert_eq!(response.header("x"), None);
    }
    served
        .get("/empty?%0d%0aX:%20y")
        .has("location", "/empty/?%0d%0aX:%20y");
    served.get("/empty%0d%0aX:%20y").is(400);
    for byte in [0u8, 1, 9, 11, 0x7f] {
        let request = [b"GET /empty?", &[byte][..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        served.ask(request).is(400);
    }
}

#[test]
fn names_are_decoded_once() {
    let served = site().start();
    let target = "/a%20b/%C3%BC%3F%23%25.txt";
    served.get(target).is(200).says("odd name");
    served
        .get("/a%20b/%c3%bc%3f%23%25.txt")
        .is(200)
        .says("odd name");
    served
        .get("/a%20b/\u{fc}%3f%23%25.txt")
        .is(200)
        .says("odd name");
    served.get("/a%2520b/%C3%BC%3F%23%25.txt").is(404);
    served.get("/a+b/%C3%BC%3F%23%25.txt").is(404);
}

#[test]
fn what_could_leave_the_root_is_refused() {
    let served = site().start();
    for target in [
        "/..",
        "/../",
        "/../secret",
        "/sub/../index.html",
        "/sub/..",
        "/.",
        "/./index.html",
        "/sub/./index.html",
        "/%2e%2e/secret",
        "/.%2e/secret",
        "/%2E./secret",
        "/sub/%2e/index.html",
        "/sub%2f..%2findex.html",
        "/sub%2findex.html",
        "/sub%5cindex.html",
        "/sub\\index.html",
        "/..\\secret",
        "/index.html%00",
        "/index.html%00.txt",
        "/%0a",
        "/%7f",
        "/%",
        "/%2",
        "/%zz",
        "/%u0041",
        "/index.html#top",
        "http://a.example/../secret",
        "http://a.example/%2e%2e/secret",
    ] {
        served.get(target).is(400);
    }
    // Decoded once, that is a name with a `%`.
    served.get("/%252e%252e/secret").is(404);
    served.get("/well-known/a..txt").is(200).says("seen");
    served.get("/...").is(404);
}

#[test]
fn hidden_files_are_not_there() {
    let served = site().start();
    for target in [
        "/.git/config",
        "/.git/",
        "/.git",
        "/.env",
        "/%2eenv",
        "/sub/.htpasswd",
        "/sub/.d/open.txt",
        "/..dots",
        "/.well-known/.secret",
        "/sub/.well-known/x",
        "/.well-known/../.env",
    ] {
        let response = served.get(target);
        assert!(
            matches!(response.status, 404 | 400),
            "{target}: {response:?}"
        );
        assert_ne!(response.text(), "hidden", "{target}");
    }
    served.get("/.well-known/security.txt").is(200).says("seen");
    let folder = served.get("/.well-known").is(301);
    folder.has("location", "/.well-known/");
}

#[test]
fn hidden_files_are_there_where_the_rules_say_so() {
    let rules = Rules {
        hidden: true,
        ..Rules::default()
    };
    let served = site().rules(rules).start();
    served.get("/.env").is(200).says("hidden");
    served.get("/.git/config").is(200).says("hidden");
    served.get("/sub/.d/open.txt").is(200).says("hidden");
    served.get("/..dots").is(200).says("hidden");
    served.get("/../secret").is(400);
}

#[test]
fn the_html_suffix_can_be_left_out() {
    let served = site().start();
    served
        .get("/about")
        .is(200)
        .says("about")
        .has("content-type", "text/html; charset=utf-8");
    served.get("/both").is(200).says("bare");
    served.get("/both.html").is(200).says("suffixed");
    // The folder goes before the file beside it.
    served.get("/sub").is(301);
    served.get("/about.htm").is(404);
    served.get("/about.html.html").is(404);

    let rules = Rules {
        html_suffix: false,
        ..Rules::default()
    };
    let served = site().rules(rules).start();
    served.get("/about").is(404);
    served.get("/about.html").is(200);
}

fn application() -> Served {
    let rules = Rules {
        spa: Some("/app.html".to_owned()),
        ..Rules::default()
    };
    Setup::new()
        .rules(rules)
        .file("app.html", "application")
        .file("real.txt", "real")
        .file("404.html", "not taken for routes")
        .start()
}

#[test]
fn an_application_answers_for_its_routes() {
    let served = application();
    for target in ["/user/7", "/", "/deep/er/", "/user?tab=1"] {
        let response = served.get(target).is(200).says("application");
        response.has("content-type", "text/html; charset=utf-8");
    }
    served.get("/real.txt").is(200).says("real");
    // What looks like a file is missed as one: a script that is HTML breaks later and worse.
    served
        .get("/missing.js")
        .is(404)
        .says("not taken for routes");
    // So is what looks hidden: nobody is to read of a 200 that it is there.
    for hidden in ["/.git/config", "/.git", "/user/.ssh/id"] {
        served.get(hidden).is(404).says("not taken for routes");
    }
    let etag = served.get("/user/7").etag();
    let lines = format!("If-None-Match: {etag}\r\n");
    served.get_with("/user/8", &lines).is(304);
    served
        .ask("POST /user/7 HTTP/1.1\r\nHost: a\r\n\r\n")
        .is(405);
}

#[test]
fn pages_of_errors() {
    let rules = Rules {
        error_pages: vec![(404, "/errors/gone.html".to_owned())],
        ..Rules::default()
    };
    let served = Setup::new()
        .rules(rules)
        .file("errors/gone.html", "gone for good")
        .file("404.html", "not this one")
        .start();
    let response = served.get("/missing").is(404).says("gone for good");
    response.has("content-type", "text/html; charset=utf-8");
    // It is no representation of what was asked for: no conditions, no ranges.
    let page = served.get("/errors/gone.html").is(200);
    let lines = format!("If-None-Match: {}\r\n", page.etag());
    served.get_with("/missing", &lines).is(404);
    served.get_with("/missing", "If-None-Match: *\r\n").is(404);
    served
        .get_with("/missing", "Range: bytes=0-3\r\n")
        .is(404)
        .says("gone for good");
    let mut client = served.client();
    client.get("/missing").is(404);
    client.is_kept();
}

#[test]
fn the_usual_page_for_404_is_taken_where_it_exists() {
    let served = Setup::new().file("404.html", "usual").start();
    served.get("/missing").is(404).says("usual");
    let served = Setup::new().start();
    let response = served.get("/missing").is(404);
    let response = response.has("content-type", "text/plain; charset=utf-8");
    assert!(response.text().contains("404"));
    let missing = Rules {
        error_pages: vec![(404, "/nowhere.html".to_owned())],
        ..Rules::default()
    };
    Setup::new().rules(missing).start().get("/missing").is(404);
}

#[test]
fn empty_files_and_the_bounds_of_memory() {
    let mut setup = Setup::new();
    let lengths = [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1_000_000];
    for len in lengths {
        setup = setup.file(&format!("{len}"), crate::support::pattern(len));
    }
    let served = setup.start();
    let mut client = served.client();
    // Twice: found, and then kept.
    for len in [lengths, lengths].concat() {
        let response = client.get(&format!("/{len}")).is(200);
        let response = response.has("content-type", "application/octet-stream");
        crate::support::assert_same(&response.body, &crate::support::pattern(len));
    }
}

/// Longer than the cache keeps keys, and longer than the file system keeps names.
#[test]
fn long_paths() {
    let deep = "d".repeat(200);
    let path = [&*deep; 9].join("/");
    let served = Setup::new().file(&format!("{path}/f.txt"), "deep").start();
    for _ in 0..2 {
        served.get(&format!("/{path}/f.txt")).is(200).says("deep");
        served.get(&format!("/{}", "n".repeat(300))).is(404);
        served.get(&format!("/{}", "n/".repeat(2500))).is(404);
    }
}
