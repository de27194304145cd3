//! Warm requests allocate nothing. Alone in its binary: the allocator counts for all of it.
#![expect(clippy::unwrap_used, reason = "a test: a panic is how it fails")]

use std::alloc::System;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use uncork_serve::Bound;
use uncork_serve::config::Config;
use uncork_serve::log::{LogFormat, LogSettings, LogTarget};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests that are counted.
const REQUESTS: usize = 2000;

/// What may be allocated meanwhile: a tick of the worker, a buffer of the log handed over.
const ALLOWED: usize = 20;

/// Allocations of [`REQUESTS`] keep-alive requests of one file, after it was fetched before.
fn allocations(body_bytes: usize, log: Option<LogSettings>) -> usize {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file.bin"), vec![b'x'; body_bytes]).unwrap();
    let mut config = Config::of_root(root.path().to_owned());
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.threads = Some(1);
    config.log = log;
    let server = Bound::new(config, Vec::new())
        .unwrap()
        .start(|| ())
        .unwrap();
    let mut client = TcpStream::connect(server.addresses()[0]).unwrap();
    let request = b"GET /file.bin HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test\r\n\
                    Accept: */*\r\nAccept-Encoding: gzip, br\r\n\r\n";
    let mut buffer = vec![0; 256 * 1024];
    // The first finds the file, and tells how long a response is.
    client.write_all(request).unwrap();
    let mut read = 0;
    let response_bytes = loop {
        read += client.read(&mut buffer[read..]).unwrap();
        let head = buffer[..read].windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head) = head {
            break head + 4 + body_bytes;
        }
    };
    client
        .read_exact(&mut buffer[read..response_bytes])
        .unwrap();
    let mut round = || {
        client.write_all(request).unwrap();
        client.read_exact(&mut buffer[..response_bytes]).unwrap();
        assert!(buffer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    };
    for _ in 0..100 {
        round();
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..REQUESTS {
        round();
    }
    let change = region.change();
    // An idle connection would be kept for a while.
    drop(client);
    server.drain().unwrap();
    change.allocations + change.reallocations
}

#[test]
fn warm_requests_allocate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = |format| {
        Some(LogSettings {
            format,
            to: LogTarget::File(folder.path().join("access.log")),
        })
    };
    for (what, body_bytes, log) in [
        ("copied behind its head", 1024, None),
        ("sent from memory", 10 * 1024, None),
        ("sent from its file", 200 * 1024, None),
        ("logged", 1024, log(LogFormat::Combined)),
        ("logged as JSON", 1024, log(LogFormat::Json)),
    ] {
        let count = allocations(body_bytes, log);
        assert!(
            count <= ALLOWED,
            "{what}: {count} allocations in {REQUESTS} requests"
        );
    }
}
