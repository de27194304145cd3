//! What a site's section of the configuration says: redirects, headers, types.

use crate::support::Served;

const FILES: &[(&str, &str)] = &[
    ("root/index.html", "index"),
    ("root/page.html", "page"),
    ("root/old.html", "still there"),
    ("root/assets/app.js", "js"),
    ("root/assets/deep/er.css", "css"),
    ("root/assets/index.html", "assets"),
    ("root/data.foo", "foo"),
    ("root/site.webmanifest", "{}"),
    ("root/x.svg", "<svg/>"),
    ("root/archive.tar.gz", "gz"),
    ("root/UPPER.TXT", "upper"),
    ("root/noextension", "?"),
    ("root/coded/own.css", "plain"),
    ("root/coded/own.css.gz", "gz"),
    ("root/coded/none.css", "plain"),
    ("root/coded/none.css.gz", "gz"),
    ("root/coded/all.css", "plain"),
    ("root/coded/all.css.gz", "gz"),
    ("root/coded/same.css", "plain"),
    ("root/coded/same.css.gz", "gz"),
    ("root/coded/alone.css", "plain"),
];

fn by(rules: &str) -> Served {
    let text = format!("[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n{rules}");
    Served::by(&text, FILES)
}

#[test]
fn redirects_come_before_files() {
    let served = by(r#"
        redirects = [
            { from = "/old.html", to = "/page.html" },
            { from = "/blog/*", to = "https://blog.example/*", status = 308 },
            { from = "/in/*", to = "/out/*", status = 302 },
            { from = "/all/*", to = "/page.html?from=all", status = 307 },
            { from = "/see", to = "https://see.example/", status = 303 },
            { from = "/see", to = "/second-rule" },
            { from = "/assets/*", to = "/*" },
            { from = "/find/*", to = "/search?q=*" },
        ]"#);
    let table = [
        ("/old.html", 301, "/page.html"),
        ("/old.html?a=b", 301, "/page.html?a=b"),
        ("/blog/", 308, "https://blog.example/"),
        ("/blog/2024/x", 308, "https://blog.example/2024/x"),
        (
            "/blog/a%20%C3%BC?q=1",
            308,
            "https://blog.example/a%20%C3%BC?q=1",
        ),
        ("/blog//evil.com", 308, "https://blog.example/evil.com"),
        ("/in/a/b/", 302, "/out/a/b/"),
        ("/all/x?mine=1", 307, "/page.html?from=all"),
        ("/see", 303, "https://see.example/"),
        ("/assets//evil.com", 301, "/evil.com"),
        ("/assets/app.js", 301, "/app.js"),
        (
            "/find/a%26b=c+d%23e%25%20f&x?y=z",
            301,
            "/search?q=a%26b%3Dc%2Bd%23e%25%20f%26x",
        ),
    ];
    let mut client = served.client();
    for (target, status, location) in table {
        let response = client.get(target).is(status).has("location", location);
        assert_eq!(
            response.names(),
            ["Date", "Server", "Location", "Content-Length"]
        );
    }
    client.get("/blog").is(404);
    client.get("/see/").is(404);
    client.get("/page.html").is(200);
    // HEAD is redirected as GET is, and nothing else.
    client.send("HEAD /old.html HTTP/1.1\r\nHost: a\r\n\r\n");
    client
        .response_to_head()
        .is(301)
        .has("location", "/page.html");
    client.send("POST /old.html HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response().is(405);
}

#[test]
fn headers_by_globs() {
    let served = by(r#"
        cache_control = "public, max-age=300"
        [[site.headers]]
        path = "/**"
        set = { X-Content-Type-Options = "nosniff", X-Which = "all" }
        [[site.headers]]
        path = "/assets/*"
        set = { Cache-Control = "immutable", X-Which = "assets", ETag = "" }
        [[site.headers]]
        path = "/assets/**"
        set = { X-Deep = "yes" }
        [[site.headers]]
        path = "/page.html"
        set = { cache-control = "", Content-Type = "text/plain" }
        "#);
    served
        .get("/")
        .is(200)
        .has("cache-control", "public, max-age=300")
        .has("x-content-type-options", "nosniff")
        .has("x-which", "all")
        .has_no("x-deep");
    served
        .get("/assets/app.js")
        .has("cache-control", "immutable")
        .has("x-which", "assets")
        .has("x-deep", "yes")
        .has_no("etag");
    // `*` stays within one folder.
    served
        .get("/assets/deep/er.css")
        .has("cache-control", "public, max-age=300")
        .has("x-which", "all")
        .has("x-deep", "yes")
        .etag();
    served
        .get("/page.html")
        .has_no("cache-control")
        .has("content-type", "text/plain");
    // The file's path counts as well as the one that was asked for.
    served.get("/page").has_no("cache-control");
    // A 304 has what the 200 has of these.
    let etag = served.get("/").etag();
    served
        .get_with("/", &format!("If-None-Match: {etag}\r\n"))
        .is(304)
        .has("cache-control", "public, max-age=300")
        .has("x-content-type-options", "nosniff");
    served
        .get_with("/", "Range: bytes=1-2\r\n")
        .is(206)
        .has("x-which", "all")
        .says("nd");
}

/// A cache that does not know of the codings would give one to a client that can't read it.
#[test]
fn a_rule_for_vary_keeps_the_coding() {
    let served = by(r#"
        headers = [
            { path = "/coded/*", set = { Vary = "Origin" } },
            { path = "/coded/none.css", set = { Vary = "" } },
            { path = "/coded/all.css", set = { vary = "*" } },
            { path = "/coded/same.css", set = { Vary = "accept-encoding, Origin" } },
        ]"#);
    for (target, vary) in [
        ("/coded/own.css", "Origin, Accept-Encoding"),
        ("/coded/none.css", "Accept-Encoding"),
        ("/coded/all.css", "*"),
        ("/coded/same.css", "accept-encoding, Origin"),
    ] {
        for (coding, text) in [("identity", "plain"), ("gzip", "gz")] {
            let lines = format!("Accept-Encoding: {coding}\r\n");
            let response = served.get_with(target, &lines).is(200).says(text);
            let etag = response.has("vary", vary).etag();
            let lines = format!("{lines}If-None-Match: {etag}\r\n");
            served.get_with(target, &lines).is(304).has("vary", vary);
        }
    }
    served.get("/coded/alone.css").has("vary", "Origin");
}

/// What a response does not say of its page, no condition is compared with.
#[test]
fn validators_that_are_left_out_are_no_conditions() {
    let served = by(r#"
        headers = [
            { path = "/page.html", set = { ETag = "" } },
            { path = "/data.foo", set = { Last-Modified = "" } },
        ]"#);
    let known = by("").get("/page.html").etag();
    let page = served.get("/page.html").is(200).has_no("etag");
    let changed = page.header("last-modified").unwrap().to_owned();
    for (lines, status) in [
        (format!("If-None-Match: {known}\r\n"), 200),
        (format!("If-Match: {known}\r\n"), 412),
        (format!("If-Modified-Since: {changed}\r\n"), 304),
    ] {
        served.get_with("/page.html", &lines).is(status);
    }
    let etag = served.get("/data.foo").has_no("last-modified").etag();
    for (lines, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-Modified-Since: {changed}\r\n"), 200),
    ] {
        served.get_with("/data.foo", &lines).is(status);
    }
}

#[test]
fn the_server_line_is_for_rules_to_say() {
    let served = by(r#"
        headers = [
            { path = "/assets/**", set = { Server = "mine" } },
            { path = "/page.html", set = { server = "" } },
            { path = "/404.html", set = { Server = "" } },
        ]"#);
    served.write("404.html", "gone");
    let etag = served.get("/assets/app.js").has("server", "mine").etag();
    let lines = format!("If-None-Match: {etag}\r\n");
    let response = served.get_with("/assets/app.js", &lines).is(304);
    response.has("server", "mine");
    for lines in ["Range: bytes=0-0\r\n", "Range: bytes=0-0,3-3\r\n"] {
        let response = served.get_with("/page.html", lines).is(206);
        response.has_no("server");
    }
    served.get("/page.html").is(200).has_no("server");
    served.get("/missing").is(404).has_no("server");
    served.get("/").is(200).has("server", "uncork");
}

/// Each part says what the whole page would say.
#[test]
fn parts_have_the_media_type_of_the_rules() {
    let served = by(r#"
        headers = [
            { path = "/page.html", set = { Content-Type = "text/x-own" } },
            { path = "/old.html", set = { Content-Type = "" } },
        ]"#);
    let of = |target| {
        let response = served.get_with(target, "Range: bytes=0-0,3-3\r\n");
        let response = response.is(206);
        let whole = response.header("content-type").unwrap();
        assert!(whole.starts_with("multipart/byteranges; "), "{whole}");
        let text = response.text();
        let lines = text.lines().filter(|line| line.contains("ontent-Type"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("/page.html"), ["Content-Type: text/x-own"; 2]);
    assert_eq!(of("/old.html"), [""; 0]);
}

/// A page has the headers of its path, and those of its file, by whatever path it was asked for.
#[test]
fn headers_by_the_path_and_by_the_file() {
    let served = by(r#"
        spa = "/index.html"
        error_pages = { 405 = "/page.html" }
        headers = [
            { path = "/index.html", set = { X-Index = "1" } },
            { path = "/", set = { X-Root = "1" } },
            { path = "/**/*.html", set = { X-Html = "1" } },
            { path = "/page", set = { X-Page = "1" } },
            { path = "/user/*", set = { X-User = "1" } },
        ]"#);
    let root = served.get("/").is(200).has("x-index", "1");
    root.has("x-root", "1").has("x-html", "1");
    let index = served.get("/index.html").is(200).has("x-index", "1");
    index.has_no("x-root").has("x-html", "1");
    let page = served.get("/page").is(200).has("x-page", "1");
    page.has("x-html", "1").has_no("x-index");
    let folder = served.get("/assets/").is(200).says("assets");
    folder.has("x-html", "1").has_no("x-index").has_no("x-root");
    // The application's page, and that of an error, have a path of their own.
    let route = served.get("/user/7").is(200).has("x-index", "1");
    route.has_no("x-user").has_no("x-root");
    let error = served.ask("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    error.is(405).has("x-html", "1").has_no("x-root");
}

/// What a configuration takes for a glob fits something.
#[test]
fn globs_of_every_folder() {
    let served = by(r#"
        headers = [
            { path = "/**/*.js", set = { X-A = "1" } },
            { path = "**/*.js", set = { X-B = "1" } },
            { path = "*/data.foo", set = { X-C = "1" } },
            { path = "/*.foo", set = { X-D = "1" } },
        ]"#);
    served.get("/assets/app.js").has("x-a", "1").has("x-b", "1");
    served.get("/data.foo").has("x-c", "1").has("x-d", "1");
    served.get("/data.foo").has_no("x-a").has_no("x-b");
}

#[test]
fn cache_control_is_not_there_unless_it_is_said() {
    by("").get("/").is(200).has_no("cache-control");
    by("cache_control = \"no-store\"\n")
        .get("/")
        .has("cache-control", "no-store");
}

#[test]
fn media_types() {
    let served = by("types = { foo = \"application/x-foo\", svg = \"text/x-svg\" }\n");
    for (target, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/deep/er.css", "text/css; charset=utf-8"),
        ("/data.foo", "application/x-foo"),
        ("/x.svg", "text/x-svg"),
        ("/site.webmanifest", "application/manifest+json"),
        ("/archive.tar.gz", "application/gzip"),
        ("/UPPER.TXT", "text/plain; charset=utf-8"),
        ("/noextension", "application/octet-stream"),
    ] {
        served.get(target).is(200).has("content-type", media_type);
    }
    by("").get("/x.svg").has("content-type", "image/svg+xml");
}

#[test]
fn no_etag_where_it_is_off() {
    let served = by("etag = \"off\"\n");
    let response = served.get("/page.html").is(200).has_no("etag");
    let changed = response.header("last-modified").unwrap();
    served
        .get_with("/page.html", &format!("If-Modified-Since: {changed}\r\n"))
        .is(304)
        .has_no("etag");
}
