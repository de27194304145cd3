//! Messages that arrive, over blocking and non-blocking streams of std.

use std::io::{Read, Write};
use std::net::TcpStream;

use socket2::SockRef;
use uncork::{Sender, TcpInfo};

use crate::support::{
    BUFFER_BYTES_LEAST, Files, Pace, assert_let_go, assert_nothing_held, assert_same, pair,
    pattern, read_all,
};

#[derive(Clone, Copy)]
enum Mode {
    Blocking,
    NonBlocking,
}

/// Sends one message of each kind over one connection and compares what arrives.
fn check_every_kind(mode: Mode, pace: Pace, send_buffer_bytes: Option<usize>) {
    let (stream, reader) = pair();
    stream
        .set_nonblocking(matches!(mode, Mode::NonBlocking))
        .unwrap();
    if let Some(bytes) = send_buffer_bytes {
        SockRef::from(&stream).set_send_buffer_size(bytes).unwrap();
    }
    let reader = read_all(reader, pace);
    let files = Files::new();
    let kinds = files.kinds();
    let mut sender = Sender::new(stream).unwrap();
    let mut expected = Vec::new();
    for kind in &kinds {
        let sent = sender.send_message(&kind.message);
        sent.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        assert_nothing_held(sender.get_ref());
        expected.extend_from_slice(&kind.expected);
        assert_eq!(
            sender.counts().bytes,
            expected.len() as u64,
            "{}",
            kind.name
        );
    }
    assert_eq!(sender.counts().messages, kinds.len() as u64);
    drop(sender);
    assert_same(&reader.join().unwrap(), &expected);
}

#[test]
fn every_kind_arrives_over_a_blocking_stream() {
    check_every_kind(Mode::Blocking, Pace::Fast, None);
}

#[test]
fn every_kind_arrives_over_a_non_blocking_stream() {
    check_every_kind(Mode::NonBlocking, Pace::Fast, None);
}

#[test]
fn every_kind_arrives_through_a_tiny_buffer_at_a_slow_reader() {
    for mode in [Mode::Blocking, Mode::NonBlocking] {
        check_every_kind(mode, Pace::Slow, Some(BUFFER_BYTES_LEAST));
    }
}

#[test]
fn a_draft_and_a_sequence_of_pieces_are_messages() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let mut sender = Sender::new(&stream).unwrap();
    sender.send([&b"head "[..], b"body "]).unwrap();
    sender.message().bytes(b"draft").send().unwrap();
    assert_eq!(sender.counts().system_calls, 2);
    assert_nothing_held(&stream);
    drop(stream);
    assert_eq!(reader.join().unwrap(), b"head body draft");
}

/// A small message has left when the send returns, though nobody has read the one before:
/// nothing on this side waits for an ACK.
#[test]
fn small_messages_leave_one_after_the_other() {
    let (stream, mut reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    let head = pattern(300);
    let mut arrived = vec![0; 303];
    for _ in 0..50 {
        sender.send([&head[..]]).unwrap();
        assert_eq!(
            TcpInfo::of(&stream).unwrap().holds_small_segment(),
            Some(false)
        );
        sender.send([&b"end"[..]]).unwrap();
        assert_eq!(
            TcpInfo::of(&stream).unwrap().holds_small_segment(),
            Some(false)
        );
        assert_let_go(&stream);
        reader.read_exact(&mut arrived).unwrap();
    }
}

#[test]
fn a_sender_lifts_nagle_and_cork_that_it_finds() {
    let (stream, mut reader) = pair();
    let socket = SockRef::from(&stream);
    socket.set_tcp_cork(true).unwrap();
    (&stream).write_all(b"held").unwrap();
    assert!(socket.tcp_cork().unwrap() && !socket.tcp_nodelay().unwrap());
    assert_eq!(TcpInfo::of(&stream).unwrap().unsent_bytes, Some(4));
    let sender = Sender::new(&stream).unwrap();
    assert_nothing_held(&stream);
    let mut arrived = [0; 4];
    reader.read_exact(&mut arrived).unwrap();
    assert_eq!(&arrived, b"held");
    assert_eq!(sender.counts().bytes, 0);
}

#[test]
fn the_stream_comes_back_as_it_must_be() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let mut sender = Sender::new(stream).unwrap();
    sender.send([&b"by sender, "[..]]).unwrap();
    let mut stream: TcpStream = sender.into_inner();
    assert_let_go(&stream);
    stream.write_all(b"by hand").unwrap();
    drop(stream);
    assert_eq!(reader.join().unwrap(), b"by sender, by hand");
}
