//! Bursts over a blocking stream: the cork ends with them, however they end.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use socket2::SockRef;
use uncork::{BURST_BUFFER_BYTES, Sender, TcpSocket};

use crate::support::{
    Pace, assert_let_go, assert_nothing_held, assert_same, incomplete, pair, pattern, read_all,
    tight_pair,
};

fn is_corked<S: TcpSocket>(stream: &S) -> bool {
    SockRef::from(stream).tcp_cork().unwrap()
}

#[test]
fn a_small_burst_is_one_system_call() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let mut sender = Sender::new(&stream).unwrap();
    let mut burst = sender.burst().unwrap();
    for line in 0..100 {
        write!(burst, "line {line}\r\n").unwrap();
    }
    burst.finish().unwrap();
    assert_nothing_held(&stream);
    assert_eq!(sender.counts().system_calls, 1);
    assert_eq!(sender.counts().messages, 1);
    drop(stream);
    let expected: String = (0..100).map(|line| format!("line {line}\r\n")).collect();
    assert_same(&reader.join().unwrap(), expected.as_bytes());
}

#[test]
fn an_empty_burst_is_no_system_call() {
    let (stream, _reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    sender.burst().unwrap().finish().unwrap();
    sender.burst().unwrap().flush().unwrap();
    drop(sender.burst().unwrap());
    assert_eq!(sender.counts().system_calls, 0);
    assert_let_go(&stream);
}

#[test]
fn ten_thousand_lines_arrive_whole() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let mut sender = Sender::new(&stream).unwrap();
    let mut burst = sender.burst().unwrap();
    let mut expected = Vec::new();
    for line in 0..10_000 {
        write!(burst, "line {line}\r\n").unwrap();
        write!(expected, "line {line}\r\n").unwrap();
    }
    assert!(is_corked(&stream), "a burst past its buffer is corked");
    burst.finish().unwrap();
    assert_nothing_held(&stream);
    // Each call but the last carries more than the buffer; cork and uncork make two more.
    let calls_most = expected.len() / BURST_BUFFER_BYTES + 1 + 2;
    assert!(sender.counts().system_calls <= calls_most as u64);
    drop(stream);
    assert_same(&reader.join().unwrap(), &expected);
}

#[test]
fn a_large_write_passes_by_the_buffer() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Slow);
    let bytes = pattern(1_000_000);
    let mut sender = Sender::new(&stream).unwrap();
    let mut burst = sender.burst().unwrap();
    burst.write_all(b"head").unwrap();
    burst.write_all(&bytes).unwrap();
    burst.write_all(b"tail").unwrap();
    burst.finish().unwrap();
    assert_nothing_held(&stream);
    sender.send([&b", next"[..]]).unwrap();
    drop(stream);
    assert_same(
        &reader.join().unwrap(),
        &[b"head", &bytes[..], b"tail, next"].concat(),
    );
}

#[test]
fn a_flush_lets_everything_leave_and_the_burst_goes_on() {
    let (stream, mut reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    let mut burst = sender.burst().unwrap();
    let bytes = pattern(BURST_BUFFER_BYTES + 1);
    for _ in 0..3 {
        burst.write_all(&bytes).unwrap();
        assert!(is_corked(&stream));
        burst.flush().unwrap();
        assert_nothing_held(&stream);
        let mut arrived = vec![0; bytes.len()];
        reader.read_exact(&mut arrived).unwrap();
        assert_same(&arrived, &bytes);
    }
    burst.finish().unwrap();
    assert_eq!(sender.counts().messages, 1);
}

#[test]
fn a_dropped_burst_leaves_and_uncorks() {
    for len in [10, 3 * BURST_BUFFER_BYTES] {
        let (stream, reader) = pair();
        let reader = read_all(reader, Pace::Fast);
        let bytes = pattern(len);
        let mut sender = Sender::new(&stream).unwrap();
        let mut burst = sender.burst().unwrap();
        burst.write_all(&bytes).unwrap();
        burst.write_all(b"rest").unwrap();
        drop(burst);
        assert_nothing_held(&stream);
        sender.send([&b"next"[..]]).unwrap();
        drop(stream);
        assert_same(
            &reader.join().unwrap(),
            &[&bytes[..], b"rest", b"next"].concat(),
        );
    }
}

#[test]
fn a_panic_within_a_burst_uncorks_and_cuts_it() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let bytes = pattern(3 * BURST_BUFFER_BYTES);
    let mut sender = Sender::new(&stream).unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut burst = sender.burst().unwrap();
        burst.write_all(&bytes).unwrap();
        burst.write_all(b"rest").unwrap();
        assert!(is_corked(&stream));
        std::panic::resume_unwind(Box::new("the caller's"));
    }));
    assert!(unwound.is_err());
    assert_nothing_held(&stream);
    let next = sender.send([&b"next"[..]]);
    assert!(matches!(next, Err(uncork::SendError::Incomplete { .. })));
    drop(stream);
    assert_same(&reader.join().unwrap(), &[&bytes[..], b"rest"].concat());
}

#[test]
fn a_forgotten_burst_that_has_gathered_refuses_the_next_message() {
    let (stream, _reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    let mut burst = sender.burst().unwrap();
    burst.write_all(b"rest").unwrap();
    std::mem::forget(burst);
    let next = sender.send([&b"next"[..]]);
    assert!(matches!(next, Err(uncork::SendError::Incomplete { .. })));
}

#[test]
fn a_forgotten_cork_comes_off_with_the_next_message() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let bytes = pattern(3 * BURST_BUFFER_BYTES);
    let mut sender = Sender::new(&stream).unwrap();
    let mut burst = sender.burst().unwrap();
    burst.write_all(&bytes).unwrap();
    std::mem::forget(burst);
    assert!(is_corked(&stream));
    sender.send([&b"next"[..]]).unwrap();
    assert_nothing_held(&stream);
    drop(stream);
    assert_same(&reader.join().unwrap(), &[&bytes[..], b"next"].concat());
}

#[test]
fn an_error_within_a_burst_uncorks_and_names_the_whole_burst() {
    let (stream, mut reader) = tight_pair();
    stream
        .set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let bytes = vec![0; 4 << 20];
    let mut sender = Sender::new(&stream).unwrap();
    let mut burst = sender.burst().unwrap();
    burst.write_all(b"head").unwrap();
    burst.flush().unwrap();
    burst.write_all(b"more").unwrap();
    let error = burst.write_all(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        burst.write_all(b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    drop(burst);
    assert_let_go(&stream);
    let total_bytes = 8 + bytes.len() as u64;
    let sent_bytes = sender.counts().bytes;
    let text = error.to_string();
    let named = format!("{sent_bytes} of {total_bytes} bytes");
    assert!(text.contains(&named), "{text}, not {named}");
    let next = sender.send([&b"next"[..]]);
    assert_eq!(incomplete(next), (sent_bytes, total_bytes));
    stream.shutdown(Shutdown::Write).unwrap();
    let mut arrived = Vec::new();
    reader.read_to_end(&mut arrived).unwrap();
    assert_eq!(arrived.len() as u64, sent_bytes);
}
