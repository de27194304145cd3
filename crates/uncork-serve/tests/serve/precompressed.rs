//! Files that stand compressed beside themselves.

use std::time::Duration;

use uncork_serve::rules::Rules;

use crate::support::{Served, Setup, pattern, set_time_to};

const TIME: u64 = 1_700_000_000;

fn site() -> Served {
    Setup::new()
        .file_of("all.css", "identity", TIME)
        .file_of("all.css.br", "brotli", TIME)
        .file_of("all.css.zst", "zstd!", TIME + 5)
        .file_of("all.css.gz", "gz", TIME)
        .file_of("gz.js", "identity", TIME)
        .file_of("gz.js.gz", "gz", TIME)
        .file_of("plain.txt", "identity", TIME)
        .file_of("only.json.br", "only brotli", TIME)
        .file_of("older.css", "changed since", TIME)
        .file_of("older.css.gz", "too old", TIME - 1)
        .file_of("older.css.br", "new enough", TIME)
        .file_of("page.html", "page", TIME)
        .file_of("page.html.gz", "page gz", TIME)
        .file_of("index.html.gz", "index gz", TIME)
        .file_of("long.bin", pattern(200_000), TIME)
        .file_of("long.bin.zst", pattern(100_000), TIME)
        .start()
}

#[test]
fn the_coding_that_is_liked_best() {
    let served = site();
    let mut client = served.client();
    let table = [
        ("gzip, deflate, br, zstd", "br", "brotli"),
        ("gzip, zstd", "zstd", "zstd!"),
        ("gzip", "gzip", "gz"),
        ("x-gzip", "gzip", "gz"),
        ("GZIP", "gzip", "gz"),
        ("*", "br", "brotli"),
        ("br;q=0.5, gzip;q=0.8", "gzip", "gz"),
        ("br;q=0, *", "zstd", "zstd!"),
        ("br;q=0.001, gzip;q=0", "br", "brotli"),
        ("gzip;q=1.0, identity;q=0.5", "gzip", "gz"),
        ("gzip;q=0.2, identity;q=0.5", "", "identity"),
        ("gzip;q=0", "", "identity"),
        ("identity", "", "identity"),
        ("deflate", "", "identity"),
        ("", "", "identity"),
        ("*;q=0", "", "identity"),
        ("br;q=2", "", "identity"),
        ("identity;q=0, zstd;q=0.1", "zstd", "zstd!"),
    ];
    for (accept, coding, text) in table {
        let lines = format!("Accept-Encoding: {accept}\r\n");
        let response = client.get_with("/all.css", &lines).is(200);
        assert_eq!(response.text(), text, "{accept}");
        let said = response.header("content-encoding").unwrap_or_default();
        assert_eq!(said, coding, "{accept}");
        let response = response.has("vary", "Accept-Encoding");
        let response = response.has("content-type", "text/css; charset=utf-8");
        assert_eq!(response.length(), text.len());
    }
    client
        .get("/all.css")
        .says("identity")
        .has("vary", "Accept-Encoding");
    let twice = "Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n";
    client.get_with("/all.css", twice).is(200);
}

#[test]
fn one_coding_alone_does_not_vary() {
    let served = site();
    let all = "Accept-Encoding: br, zstd, gzip\r\n";
    let response = served.get_with("/plain.txt", all).is(200).says("identity");
    response.has_no("vary").has_no("content-encoding");
    served
        .get_with("/plain.txt", "Accept-Encoding: identity;q=0\r\n")
        .is(200);
    served
        .get_with("/gz.js", all)
        .has("content-encoding", "gzip")
        .says("gz");
}

#[test]
fn only_the_compressed_file_is_there() {
    let served = site();
    let response = served.get_with("/only.json", "Accept-Encoding: gzip, br\r\n");
    response
        .is(200)
        .says("only brotli")
        .has("content-encoding", "br")
        .has("content-length", "11")
        .has("content-type", "application/json")
        .has("vary", "Accept-Encoding");
    let gzip = "Accept-Encoding: gzip\r\n";
    served
        .get_with("/", gzip)
        .is(200)
        .says("index gz")
        .has("content-encoding", "gzip");
    // Whoever says nothing takes any coding (RFC 9110, section 12.5.3).
    served
        .get_with("/only.json", "")
        .is(200)
        .says("only brotli")
        .has("content-encoding", "br");
    // So may whoever says it on two lines.
    let twice = "Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n";
    served
        .get_with("/only.json", twice)
        .is(200)
        .has("content-encoding", "br");
    // It can't be had as it is.
    for lines in ["Accept-Encoding: gzip\r\n", "Accept-Encoding: br;q=0\r\n"] {
        let response = served.get_with("/only.json", lines).is(406);
        assert_ne!(response.text(), "only brotli");
    }
    // By its own name it is what it is.
    served
        .get("/only.json.br")
        .is(200)
        .says("only brotli")
        .has_no("content-encoding");
}

#[test]
fn the_html_suffix_with_a_coding() {
    let served = site();
    let response = served
        .get_with("/page", "Accept-Encoding: gzip\r\n")
        .is(200);
    let response = response.says("page gz").has("content-encoding", "gzip");
    response.has("content-type", "text/html; charset=utf-8");
    served
        .get("/page")
        .is(200)
        .says("page")
        .has("vary", "Accept-Encoding");
}

#[test]
fn an_older_one_is_of_earlier_content() {
    let served = site();
    let gzip = served.get_with("/older.css", "Accept-Encoding: gzip\r\n");
    gzip.is(200)
        .says("changed since")
        .has_no("content-encoding");
    served
        .get_with("/older.css", "Accept-Encoding: gzip, br\r\n")
        .is(200)
        .says("new enough");
}

/// Within one second, too; but a time that a tool has cut to its second is not earlier.
#[test]
fn an_older_one_of_the_same_second() {
    let setup = Setup::new()
        .file("a.css", "plain")
        .file("a.css.br", "brotli")
        .file("a.css.zst", "zstd")
        .file("a.css.gz", "gz");
    for (path, nanos) in [
        ("a.css", 500_000_000),
        ("a.css.br", 499_999_999),
        ("a.css.zst", 500_000_000),
        ("a.css.gz", 0),
    ] {
        set_time_to(&setup.root().join(path), Duration::new(TIME, nanos));
    }
    let served = setup.start();
    for (coding, text) in [("br", "plain"), ("zstd", "zstd"), ("gzip", "gz")] {
        let lines = format!("Accept-Encoding: {coding}\r\n");
        served.get_with("/a.css", &lines).is(200).says(text);
    }
}

#[test]
fn ranges_are_of_the_coded_form() {
    let served = site();
    let zstd = "Accept-Encoding: zstd\r\n";
    let response = served.get_with("/long.bin", &format!("{zstd}Range: bytes=99990-\r\n"));
    let response = response
        .is(206)
        .has("content-range", "bytes 99990-99999/100000");
    let response = response
        .has("content-encoding", "zstd")
        .has("vary", "Accept-Encoding");
    assert_eq!(response.body, pattern(100_000)[99_990..]);
    let response = served.get_with("/long.bin", "Range: bytes=99990-99999\r\n");
    let response = response
        .is(206)
        .has("content-range", "bytes 99990-99999/200000");
    response.has_no("content-encoding");
    let lines = format!("{zstd}Range: bytes=100000-\r\n");
    served
        .get_with("/long.bin", &lines)
        .is(416)
        .has("content-range", "bytes */100000");
    served
        .get_with(
            "/all.css",
            "Accept-Encoding: br\r\nRange: bytes=0-0,2-3\r\n",
        )
        .is(206)
        .has("content-encoding", "br")
        .has("vary", "Accept-Encoding");
}

#[test]
fn none_where_the_rules_say_so() {
    let rules = Rules {
        precompressed: false,
        ..Rules::default()
    };
    let served = Setup::new()
        .rules(rules)
        .file("a.css", "identity")
        .file("a.css.gz", "gz")
        .file("only.css.gz", "gz")
        .start();
    let gzip = "Accept-Encoding: gzip\r\n";
    let response = served.get_with("/a.css", gzip).is(200).says("identity");
    response.has_no("vary");
    served.get_with("/only.css", gzip).is(404);
}

/// What is no file is not taken for one.
#[test]
fn a_folder_that_is_named_like_a_coding() {
    let served = Setup::new()
        .file("a.css", "identity")
        .file("a.css.gz/x", "folder")
        .start();
    let response = served.get_with("/a.css", "Accept-Encoding: gzip\r\n");
    response.is(200).says("identity").has_no("vary");
}
