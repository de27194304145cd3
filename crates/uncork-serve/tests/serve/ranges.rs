//! Ranges (RFC 9110, section 14), of files in memory and beyond.

use uncork_serve::limits::Limits;

use crate::support::{Response, Served, Setup, assert_same, pattern, test_limits};

/// Kept in memory, at the bound of that, and sent from the file.
const LENGTHS: [usize; 4] = [1000, 65_536, 65_537, 3_000_000];

fn site() -> Served {
    let mut setup = Setup::new();
    for len in LENGTHS {
        setup = setup.file(&format!("{len}.bin"), pattern(len));
    }
    setup
        .file("empty.bin", "")
        .file("ten.txt", "0123456789")
        .start()
}

#[track_caller]
fn one(response: &Response, whole: &[u8], first: usize, last: usize) {
    assert_eq!(response.status, 206, "{first}-{last}");
    let range = format!("bytes {first}-{last}/{}", whole.len());
    assert_eq!(response.header("content-range"), Some(&*range));
    assert_eq!(response.length(), last - first + 1);
    assert_same(&response.body, &whole[first..=last]);
}

#[test]
fn single_ranges_are_exact() {
    let served = site();
    let mut client = served.client();
    for len in LENGTHS {
        let whole = pattern(len);
        let target = format!("/{len}.bin");
        for (range, first, last) in [
            ("0-0".to_owned(), 0, 0),
            ("0-".to_owned(), 0, len - 1),
            ("1-".to_owned(), 1, len - 1),
            ("-1".to_owned(), len - 1, len - 1),
            ("-999".to_owned(), len - 999, len - 1),
            (format!("-{}", len + 1), 0, len - 1),
            (format!("{}-", len - 1), len - 1, len - 1),
            (format!("500-{}", len + 7), 500, len - 1),
            ("123-456".to_owned(), 123, 456),
            (" 123-456 ".to_owned(), 123, 456),
            ("0-18446744073709551615".to_owned(), 0, len - 1),
            ("7-99999999999999999999999".to_owned(), 7, len - 1),
            (
                format!("{}-{}", len / 2, len / 2 + 400),
                len / 2,
                len / 2 + 400,
            ),
        ] {
            let response = client.get_with(&target, &format!("Range: bytes={range}\r\n"));
            if last - first + 1 == len && response.status == 200 {
                assert_same(&response.body, &whole);
                continue;
            }
            one(&response, &whole, first, last);
            let response = response.has("content-type", "application/octet-stream");
            response.has("accept-ranges", "bytes").etag();
        }
    }
}

/// In pieces of every size, a file is what it was.
#[test]
fn a_file_fetched_in_ranges_is_whole() {
    let served = site();
    for (len, step) in [(1000, 1), (65_537, 4099), (3_000_000, 65_537)] {
        let whole = pattern(len);
        let mut client = served.client();
        let mut fetched = Vec::new();
        while fetched.len() < len {
            let (first, last) = (fetched.len(), fetched.len() + step - 1);
            let lines = format!("Range: bytes={first}-{last}\r\n");
            let response = client.get_with(&format!("/{len}.bin"), &lines);
            one(&response, &whole, first, last.min(len - 1));
            fetched.extend_from_slice(&response.body);
        }
        assert_same(&fetched, &whole);
    }
}

#[test]
fn what_is_no_range_is_ignored() {
    let served = site();
    for range in [
        "bytes=",
        "bytes",
        "",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=1-2,5-2",
        "bytes=1-2,x",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes 1-2",
        "lines=1-2",
        "bytes = 1-2",
    ] {
        let response = served.get_with("/ten.txt", &format!("Range: {range}\r\n"));
        response.is(200).says("0123456789").has_no("content-range");
    }
    let twice = "Range: bytes=0-1\r\nRange: bytes=3-4\r\n";
    served.get_with("/ten.txt", twice).is(200);
}

#[test]
fn what_is_not_there_is_416() {
    let served = site();
    let mut client = served.client();
    for range in ["10-", "10-20", "-0", "99999999999999999999-", "10-,11-12"] {
        let response = client.get_with("/ten.txt", &format!("Range: bytes={range}\r\n"));
        let response = response.is(416).has("content-range", "bytes */10");
        assert_eq!(response.body, b"");
    }
    client.is_kept();
    served
        .get_with("/empty.bin", "Range: bytes=0-\r\n")
        .is(416)
        .has("content-range", "bytes */0");
    served.get_with("/empty.bin", "Range: bytes=-5\r\n").is(200);
    // A part of the list is enough.
    let response = served.get_with("/ten.txt", "Range: bytes=99-,2-3\r\n");
    one(&response, b"0123456789", 2, 3);
    served.get_with("/missing", "Range: bytes=0-\r\n").is(404);
}

/// Section 14.2: ranges are GET's.
#[test]
fn head_has_no_ranges() {
    let served = site();
    for range in ["0-3", "0-1,4-5", "99999999-"] {
        let mut client = served.client();
        client.send(format!(
            "HEAD /1000.bin HTTP/1.1\r\nHost: a\r\nRange: bytes={range}\r\n\r\n"
        ));
        let response = client.response_to_head().is(200).has_no("content-range");
        response
            .has("content-length", "1000")
            .has("accept-ranges", "bytes");
        client.is_kept();
    }
}

/// The parts of a response with several ranges: first and last byte, and the bytes.
#[track_caller]
fn parts(response: &Response, len: usize) -> Vec<(usize, usize, Vec<u8>)> {
    let media_type = response.header("content-type").unwrap();
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    assert!(!boundary.is_empty() && boundary.len() <= 70, "{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = &response.body[..];
    let mut parts = Vec::new();
    loop {
        rest = rest.strip_prefix(delimiter.as_bytes()).unwrap();
        if rest == b"--\r\n" {
            return parts;
        }
        let end = memchr::memmem::find(rest, b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 4..];
        let mut lines = head.strip_prefix("\r\n").unwrap().split("\r\n");
        assert_eq!(lines.next(), Some("Content-Type: application/octet-stream"));
        let range = lines.next().unwrap();
        let range = range.strip_prefix("Content-Range: bytes ").unwrap();
        let range = range.strip_suffix(&format!("/{len}")).unwrap();
        assert_eq!(lines.next(), None);
        let (first, last) = range.split_once('-').unwrap();
        let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
        let (body, after) = rest.split_at(last + 1 - first);
        parts.push((first, last, body.to_vec()));
        rest = after;
    }
}

#[test]
fn several_ranges_are_parts() {
    let served = site();
    let mut client = served.client();
    for len in LENGTHS {
        let whole = pattern(len);
        for (range, expected) in [
            ("0-0,2-2", vec![(0, 0), (2, 2)]),
            // In the order in which they were asked for.
            ("500-600, 100-200", vec![(500, 600), (100, 200)]),
            ("0-9,-10", vec![(0, 9), (len - 10, len - 1)]),
            ("1-2,,4-5 , 7-", vec![(1, 2), (4, 5), (7, len - 1)]),
            // Those that overlap or touch each other are one.
            ("0-100,50-150,300-310", vec![(0, 150), (300, 310)]),
            ("0-9,10-19,30-39", vec![(0, 19), (30, 39)]),
            ("700-710,100-110,99999999-", vec![(700, 710), (100, 110)]),
        ] {
            let target = format!("/{len}.bin");
            let response = client.get_with(&target, &format!("Range: bytes={range}\r\n"));
            let response = response.is(206).has_no("content-range");
            response.etag();
            let parts = parts(&response, len);
            let places: Vec<_> = parts
                .iter()
                .map(|(first, last, _)| (*first, *last))
                .collect();
            assert_eq!(places, expected, "{range} of {len}");
            for (first, last, body) in parts {
                assert_same(&body, &whole[first..=last]);
            }
        }
        client.is_kept();
    }
}

#[test]
fn ranges_that_become_one() {
    let served = site();
    for (range, first, last) in [("0-4,2-6", 0, 6), ("5-5,4-4,3-3", 3, 5), ("2-3,99-", 2, 3)] {
        let lines = format!("Range: bytes={range}\r\n");
        one(
            &served.get_with("/ten.txt", &lines),
            b"0123456789",
            first,
            last,
        );
    }
}

/// CVE-2011-3192: many ranges must not make a small file a large answer.
#[test]
fn too_many_ranges_are_the_whole() {
    let limits = Limits {
        ranges: 3,
        ..test_limits()
    };
    let served = Setup::new()
        .limits(limits)
        .file("ten.txt", "0123456789")
        .start();
    let ask = |range: &str| served.get_with("/ten.txt", &format!("Range: bytes={range}\r\n"));
    ask("0-0,2-2,4-4").is(206);
    ask("0-0,2-2,4-4,6-6").is(200).says("0123456789");
    // What overlaps counts as it was asked for.
    ask("0-,0-,0-,0-").is(200).says("0123456789");

    let served = site();
    let many: Vec<String> = (0..1500).map(|at| format!("{at}-")).collect();
    let lines = format!("Range: bytes={}\r\n", many.join(","));
    served
        .get_with("/65537.bin", &lines)
        .is(200)
        .has("content-length", "65537");
    let many = ["0-"; 16].join(",");
    let response = served.get_with("/65537.bin", &format!("Range: bytes={many}\r\n"));
    assert!(response.length() <= 65_537);
}
