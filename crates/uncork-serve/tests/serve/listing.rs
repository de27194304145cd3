//! What stands in a folder, as a page.

use std::os::unix::fs::symlink;

use uncork_serve::rules::Rules;

use crate::support::{Served, Setup};

const TIME: u64 = 1_700_000_000;

fn site(hidden: bool) -> Served {
    let rules = Rules {
        listing: true,
        hidden,
        ..Rules::default()
    };
    let setup = Setup::new()
        .rules(rules)
        .file_of("b.txt", "1", TIME + 30)
        .file_of("a.txt", "333", TIME + 20)
        .file_of("C.txt", "22", TIME + 10)
        .file("zoo/deep/file", "")
        .file("indexed/index.html", "index")
        .file(".hidden", "")
        .file(".git/config", "")
        .file("odd/<script>alert('&\"')<script>.txt", "odd")
        .file("odd/a b?#%.txt", "odd")
        .file("odd/ü.txt", "odd");
    std::fs::create_dir(setup.root().join("empty")).unwrap();
    symlink("../../outside", setup.root().join("zoo/link")).unwrap();
    setup.start()
}

/// Where the links of the table's body lead to.
fn links(page: &str) -> Vec<String> {
    let body = page.split("<tbody>").nth(1).unwrap();
    let mut links = Vec::new();
    for piece in body.split("href=\"").skip(1) {
        links.push(piece.split('"').next().unwrap().to_owned());
    }
    links
}

#[test]
fn it_is_sorted_as_the_query_says() {
    let served = site(false);
    let folders = ["./empty/", "./indexed/", "./odd/", "./zoo/"];
    let turned = ["./zoo/", "./odd/", "./indexed/", "./empty/"];
    let (a, b, c) = ("./a%2Etxt", "./b%2Etxt", "./C%2Etxt");
    let all = |folders: [&str; 4], files: [&str; 3]| [&folders[..], &files[..]].concat().join(" ");
    for (query, expected) in [
        ("", all(folders, [c, a, b])),
        ("?sort=name", all(folders, [c, a, b])),
        ("?sort=-name", all(turned, [b, a, c])),
        ("?sort=nonsense", all(folders, [c, a, b])),
        ("?other=1", all(folders, [c, a, b])),
    ] {
        let response = served.get(&format!("/{query}")).is(200);
        assert_eq!(links(&response.text()).join(" "), expected, "{query}");
        response.has("content-type", "text/html; charset=utf-8");
    }
    for (query, expected) in [
        ("?sort=size", [b, c, a]),
        ("?sort=-size", [a, c, b]),
        ("?sort=time", [c, a, b]),
        ("?sort=-time", [b, a, c]),
    ] {
        let links = links(&served.get(&format!("/{query}")).is(200).text());
        assert_eq!(links[4..], expected, "{query}");
    }
}

#[test]
fn hidden_files_are_not_shown() {
    let page = site(false).get("/").is(200).text();
    assert!(!page.contains("hidden") && !page.contains("git"), "{page}");
    let served = site(true);
    let page = served.get("/").is(200).text();
    assert!(page.contains(".hidden") && page.contains(".git/"), "{page}");
    served.get("/.git/").is(200);
    site(false).get("/.git/").is(404);
}

#[test]
fn names_are_escaped_and_their_links_lead_there() {
    let served = site(false);
    let page = served.get("/odd/").is(200).text();
    assert!(!page.contains("<script>"), "{page}");
    assert!(page.contains("&lt;script&gt;alert("), "{page}");
    let links = links(&page);
    assert_eq!(links[0], "../");
    for link in &links[1..] {
        let target = link.strip_prefix("./").unwrap();
        served.get(&format!("/odd/{target}")).is(200).says("odd");
    }
    assert_eq!(links.len(), 4);
}

#[test]
fn only_folders_without_an_index_that_end_with_a_slash() {
    let served = site(false);
    served.get("/indexed/").is(200).says("index");
    served.get("/zoo").is(301).has("location", "/zoo/");
    served
        .get("/zoo?sort=size")
        .is(301)
        .has("location", "/zoo/?sort=size");
    served.get("/missing/").is(404);
    served.get("/a.txt/").is(404);
    served.get("/empty/").is(200);
    // The link is shown; what it leads to is not served.
    let page = served.get("/zoo/").is(200).text();
    assert!(page.contains("link"), "{page}");
    served.get("/zoo/link").is(403);
    Setup::new().file("sub/a", "").start().get("/sub/").is(404);
}

#[test]
fn head_conditions_and_changes() {
    let served = site(false);
    let response = served.get("/zoo/").is(200).has_no("last-modified");
    let lines = format!("If-None-Match: {}\r\n", response.etag());
    served.get_with("/zoo/", &lines).is(304);
    served
        .get_with("/zoo/", "Range: bytes=0-13\r\n")
        .is(206)
        .says("<!doctype html");
    let mut client = served.client();
    client.send("HEAD /zoo/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        client.response_to_head().is(200).length(),
        response.length()
    );
    served.write("zoo/new.txt", "new");
    let page = served.until("/zoo/", |page| page.text().contains("new.txt"));
    assert_ne!(page.etag(), response.etag());
    // A size changes without the folder.
    served.write("zoo/new.txt", "n".repeat(5000));
    served.until("/zoo/", |page| page.text().contains("5.0 kB"));
}
