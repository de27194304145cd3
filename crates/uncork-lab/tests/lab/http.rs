//! The load against both limits, and against servers that close when they should not. Counts
//! only, never times.
#![expect(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, in helpers too"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use uncork_lab::http::bare::serve_epoll;
use uncork_lab::http::bare_tokio::serve_tokio;
use uncork_lab::http::load::{
    Latencies, Load, LoadConfig, LoadError, Loss, OnLoss, Outcome, Reading, Until,
};
use uncork_lab::http::{get, response};

type Serve = fn(TcpListener, &[u8]) -> io::Result<()>;

const SERVERS: [Serve; 2] = [serve_epoll, serve_tokio];

/// Serves for as long as the tests run.
fn start(work: impl FnOnce(TcpListener) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || work(listener));
    addr
}

fn start_bare(serve: Serve, response: Vec<u8>) -> SocketAddr {
    start(move |listener| serve(listener, &response).unwrap())
}

fn requests(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| get("localhost", &format!("/{n}")))
        .collect()
}

fn load(addr: SocketAddr, change: impl FnOnce(&mut LoadConfig)) -> Load {
    let mut config = LoadConfig::new(addr, requests(3));
    change(&mut config);
    Load::connect(config).unwrap()
}

/// Reads one request; whether there was one.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return false,
        }
    }
    true
}

#[test]
fn every_request_is_answered_once_and_whole() {
    for serve in SERVERS {
        for body_bytes in [0, 1, 1024, 100_000, 3_000_000] {
            let response = response(body_bytes);
            let addr = start_bare(serve, response.clone());
            for (depth, reading) in [
                (1, Reading::First),
                (16, Reading::First),
                (1, Reading::Every),
                (16, Reading::Every),
            ] {
                let mut load = load(addr, |config| {
                    config.connections = 5;
                    config.depth = depth;
                    config.reading = reading;
                    config.latencies = Latencies::Keep;
                });
                for asked in [100, 7] {
                    let outcome = load.run(Until::Requests(asked)).unwrap();
                    let expected = Outcome {
                        requests: asked,
                        bytes: asked * response.len() as u64,
                        statuses: [(200, asked)].into(),
                        elapsed: outcome.elapsed,
                        latencies: outcome.latencies.clone(),
                        ..Outcome::default()
                    };
                    assert_eq!(outcome, expected, "{body_bytes} bytes, depth {depth}");
                    let batches = asked.div_ceil(depth as u64);
                    assert_eq!(outcome.latencies.len() as u64, batches);
                }
                let first = load.first_response(0).unwrap();
                assert!([&first.head[..], &first.body[..]].concat() == response);
                assert_eq!(first.status, 200);
            }
        }
    }
}

#[test]
fn a_run_ends_with_its_time_and_with_all_answers() {
    let addr = start_bare(serve_epoll, response(1024));
    let mut load = load(addr, |config| {
        config.connections = 64;
        config.segment_bytes_max = Some(1448);
    });
    let outcome = load
        .run(Until::Elapsed(Duration::from_millis(100)))
        .unwrap();
    assert!(outcome.requests >= 64, "{outcome:?}");
    assert_eq!(outcome.statuses[&200], outcome.requests);
    assert!(outcome.elapsed >= Duration::from_millis(100));
}

/// Answers three requests of each connection and a half, and closes.
fn serve_three_and_a_half(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let response = response(1000);
            let parts = [&response[..], &response, &response, &response[..500]];
            for part in parts {
                if !read_request(&mut stream) || stream.write_all(part).is_err() {
                    return;
                }
            }
        });
    }
}

#[test]
fn what_a_closed_connection_leaves_unanswered_is_lost() {
    let addr = start(|listener| serve_three_and_a_half(&listener));
    for reading in [Reading::First, Reading::Every] {
        // One at a time, each fourth is lost; of sixteen at once, thirteen.
        for (depth, asked, lost, reconnects) in [(1, 40, 10, 10), (16, 160, 130, 10)] {
            let mut load = load(addr, |config| {
                config.depth = depth;
                config.reading = reading;
                config.on_loss = OnLoss::CountAndReconnect;
            });
            let outcome = load.run(Until::Requests(asked)).unwrap();
            assert_eq!(
                (outcome.requests, outcome.lost, outcome.reconnects),
                (asked - lost, lost, reconnects)
            );
            assert_eq!(outcome.statuses, [(200, asked - lost)].into());
        }
    }
}

#[test]
fn a_loss_is_an_error_where_it_is_not_counted() {
    let addr = start(|listener| serve_three_and_a_half(&listener));
    let error = load(addr, |_| ()).run(Until::Requests(40)).unwrap_err();
    let LoadError::Lost { unanswered, loss } = error else {
        panic!("{error}");
    };
    assert_eq!(unanswered, 1);
    assert!(matches!(loss, Loss::Closed | Loss::Failed(_)), "{loss}");
}

#[test]
fn an_announced_end_loses_nothing() {
    let addr = start(|listener| {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The second answer of a connection is its last, whatever else was asked.
            for end in ["keep-alive", "close"] {
                let text =
                    format!("HTTP/1.1 503 No\r\nContent-Length: 2\r\nConnection: {end}\r\n\r\nno");
                let _ = read_request(&mut stream) && stream.write_all(text.as_bytes()).is_ok();
            }
        }
    });
    for depth in [1, 16] {
        let mut load = load(addr, |config| {
            config.depth = depth;
            config.reading = Reading::Every;
        });
        let outcome = load.run(Until::Requests(20)).unwrap();
        assert_eq!((outcome.requests, outcome.lost), (20, 0), "depth {depth}");
        assert_eq!(outcome.reconnects, 10);
        assert_eq!(outcome.statuses, [(503, 20)].into());
    }
}

#[test]
fn an_answer_of_another_length_is_noticed() {
    let addr = start(|listener| {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            for body_bytes in 10.. {
                if !read_request(&mut stream) || stream.write_all(&response(body_bytes)).is_err() {
                    break;
                }
            }
        }
    });
    let mut first = load(addr, |config| config.requests = requests(1));
    let error = first.run(Until::Requests(2)).unwrap_err().to_string();
    assert!(error.contains("longer than the first"), "{error}");
    drop(first);
    let mut every = load(addr, |config| config.reading = Reading::Every);
    assert_eq!(every.run(Until::Requests(9)).unwrap().requests, 9);
}

#[test]
fn who_is_not_there_or_has_nothing_to_ask_gets_an_error() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = gone.local_addr().unwrap();
    drop(gone);
    let refused = Load::connect(LoadConfig::new(addr, requests(1)));
    assert!(matches!(refused, Err(LoadError::Connect { .. })));
    let empty = Load::connect(LoadConfig::new(addr, Vec::new()));
    assert!(matches!(empty, Err(LoadError::Empty)));
}
