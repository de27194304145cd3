//! Which site a request is for.

use crate::support::{Response, Served};

const SITES: &str = r#"
[[site]]
hosts = ["example.org", "münchen.example"]
root = "exact"

[[site]]
hosts = ["*.example.org"]
root = "wild"

[[site]]
hosts = ["*.deep.example.org", "one.deep.example.org"]
root = "deep"

[[site]]
hosts = ["[::1]"]
root = "six"
"#;

const FILES: &[(&str, &str)] = &[
    ("exact/index.html", "exact"),
    ("wild/index.html", "wild"),
    ("deep/index.html", "deep"),
    ("six/index.html", "six"),
    ("rest/index.html", "rest"),
];

fn without_default() -> Served {
    Served::by(SITES, FILES)
}

fn with_default() -> Served {
    let rest = "[[site]]\nhosts = [\"_default\"]\nroot = \"rest\"\n";
    Served::by(&format!("{SITES}\n{rest}"), FILES)
}

#[track_caller]
fn of_host(served: &Served, host: &str) -> Response {
    served.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

#[test]
fn one_name_has_many_spellings() {
    let served = with_default();
    let table = [
        ("example.org", "exact"),
        ("EXAMPLE.Org", "exact"),
        ("example.org.", "exact"),
        ("example.org:80", "exact"),
        ("Example.ORG.:8080", "exact"),
        ("example.org:", "exact"),
        ("münchen.example", "exact"),
        ("MÜNCHEN.example", "exact"),
        ("xn--mnchen-3ya.example", "exact"),
        ("XN--MNCHEN-3YA.example.", "exact"),
        ("a.example.org", "wild"),
        ("A.B.Example.Org.:1", "wild"),
        ("deep.example.org", "wild"),
        ("x.deep.example.org", "deep"),
        ("x.y.deep.example.org", "deep"),
        ("one.deep.example.org", "deep"),
        ("[::1]", "six"),
        ("[0:0::1]:8080", "six"),
        ("example.com", "rest"),
        ("notexample.org", "rest"),
        ("org", "rest"),
        ("127.0.0.1:80", "rest"),
        ("_default", "rest"),
        ("", "rest"),
    ];
    for (host, site) in table {
        let response = of_host(&served, host);
        assert_eq!((response.status, &*response.text()), (200, site), "{host}");
    }
}

#[test]
fn a_host_without_a_site_is_421() {
    let served = without_default();
    let mut client = served.client();
    for host in ["example.com", "127.0.0.1", "", "_default"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response().is(421);
    }
    client.send("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
    client.response().is(200).says("exact");
}

#[test]
fn the_target_goes_before_the_host_line() {
    let served = with_default();
    let table = [
        ("http://example.org/", "exact"),
        ("HTTP://EXAMPLE.ORG:8080/index.html", "exact"),
        ("https://example.org./", "exact"),
        ("http://a.example.org", "wild"),
        ("http://a.example.org?query", "wild"),
        ("http://other.example/", "rest"),
    ];
    for (target, site) in table {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x.deep.example.org\r\n\r\n");
        served.ask(request).is(200).says(site);
    }
    for target in [
        "ftp://example.org/",
        "http:///",
        "http://u@example.org/",
        "example.org/",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: example.org\r\n\r\n");
        served.ask(request).is(400);
    }
    // The line has to be there, and valid, all the same (RFC 9112, section 3.2).
    served
        .ask("GET http://example.org/ HTTP/1.1\r\n\r\n")
        .is(400);
    served
        .ask("GET http://example.org/ HTTP/1.1\r\nHost: a b\r\n\r\n")
        .is(400);
}

#[test]
fn no_host_line() {
    let served = with_default();
    served.ask("GET / HTTP/1.0\r\n\r\n").is(200).says("rest");
    served
        .ask("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n")
        .is(200)
        .says("exact");
    served.ask("GET / HTTP/1.1\r\n\r\n").is(400);
    without_default().ask("GET / HTTP/1.0\r\n\r\n").is(421);
}

#[test]
fn two_host_lines_are_refused_even_if_they_are_the_same() {
    let served = with_default();
    for second in ["example.org", "other.example", ""] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let request = format!("GET / {version}\r\nHost: example.org\r\nhOsT: {second}\r\n\r\n");
            let mut client = served.client();
            client.send(request);
            client.response().is(400).has("connection", "close");
            client.is_closed();
        }
    }
}

#[test]
fn what_is_no_host_is_400() {
    let served = with_default();
    let hosts = [
        "a..b",
        ".a",
        "..",
        ".",
        "a b",
        "a/b",
        "a\\b",
        "a@b",
        "a,b",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:-1",
        "[::1",
        "::1",
        "[::1]x",
        "[x]",
        "a\0b",
        "*.example.org",
        "a%2eb",
        "a?b",
        "a#b",
    ];
    for host in hosts {
        assert_eq!(of_host(&served, host).status, 400, "{host:?}");
    }
    assert_eq!(of_host(&served, &"a".repeat(64)).status, 400);
    assert_eq!(of_host(&served, &"a.".repeat(127)).status, 200);
    assert_eq!(of_host(&served, &"a.".repeat(128)).status, 400);
}
