//! GET, HEAD, OPTIONS, and what else comes.

use crate::support::{Served, Setup};

fn site() -> Served {
    Setup::new().file("a.txt", "hello").start()
}

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

#[test]
fn get_has_each_header_once() {
    let served = site();
    let response = served.get("/a.txt").is(200).says("hello");
    assert_eq!(
        response.names(),
        [
            "Date",
            "Content-Length",
            "Server",
            "ETag",
            "Last-Modified",
            "Content-Type",
            "Accept-Ranges"
        ]
    );
    response
        .has("server", "uncork")
        .has("content-length", "5")
        .has("content-type", "text/plain; charset=utf-8")
        .has("accept-ranges", "bytes");
}

#[test]
fn head_is_get_without_the_body() {
    let served = Setup::new()
        .file("a.txt", "hello")
        .file("long.bin", vec![7; 200_000])
        .file("sub/index.html", "index")
        .start();
    let mut client = served.client();
    for target in ["/a.txt", "/long.bin", "/sub/", "/sub", "/missing", "/../a"] {
        let get = served.get(target);
        let mut client = served.client();
        client.send(request("HEAD", target));
        let head = client.response_to_head();
        assert_eq!(head.status, get.status, "{target}");
        let but_date = |response: &crate::support::Response| {
            let mut headers = response.headers.clone();
            headers.retain(|(name, _)| name != "Date");
            headers
        };
        assert_eq!(but_date(&head), but_date(&get), "{target}");
        if head.header("connection") == Some("close") {
            client.is_closed();
        } else {
            client.is_kept();
        }
    }
    // The response that follows begins right behind the head.
    client.send(request("HEAD", "/long.bin"));
    assert_eq!(client.response_to_head().is(200).length(), 200_000);
    client.get("/a.txt").is(200).says("hello");
}

#[test]
fn options_names_the_methods() {
    let served = site();
    let mut client = served.client();
    for target in ["*", "/a.txt", "/missing", "/"] {
        client.send(request("OPTIONS", target));
        let response = client.response().is(204).has("allow", "GET, HEAD, OPTIONS");
        assert_eq!(response.names(), ["Date", "Server", "Allow"]);
    }
    // Only OPTIONS is for the server as a whole.
    served.ask(request("GET", "*")).is(400);
}

#[test]
fn other_methods_are_405_with_allow() {
    let served = site();
    let mut client = served.client();
    // Methods are case-sensitive (RFC 9110, section 9.1).
    let methods = [
        "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "Get", "GETS", "GE", "X-Y.z!",
    ];
    for method in methods {
        client.send(request(method, "/a.txt"));
        let response = client.response().is(405);
        response
            .has("allow", "GET, HEAD, OPTIONS")
            .has("content-type", "text/plain; charset=utf-8");
    }
    client.is_kept();
    client.send("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    client.response().is(405).has("allow", "GET, HEAD, OPTIONS");
    client.is_kept();
}

#[test]
fn what_is_no_method_is_400() {
    let served = site();
    for method in ["", "G ET", "G\tET", "GET\0", "(GET)", "G\u{e9}T", "\"GET\""] {
        served.ask(request(method, "/a.txt")).is(400);
    }
    served.ask(request(&"M".repeat(33), "/a.txt")).is(400);
    served.ask(request(&"M".repeat(32), "/a.txt")).is(405);
}
