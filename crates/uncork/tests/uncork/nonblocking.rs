//! Messages that arrive from an event loop, in turns.

use rustix::event::{PollFd, PollFlags, poll};
use socket2::SockRef;
use uncork::nonblocking::{Progress, Sender, Turn};
use uncork::{Message, SendError};

use crate::support::{
    BUFFER_BYTES_LEAST, Files, Pace, assert_let_go, assert_nothing_held, assert_same, pair,
    read_all,
};

/// Goes on with a message until it has left; returns how often it was blocked and how often it yielded.
fn send_whole(
    sender: &mut Sender<std::net::TcpStream>,
    message: &Message<'_>,
    budget_bytes: u64,
) -> (usize, usize) {
    let mut progress = Progress::default();
    let (mut blocked, mut yielded) = (0, 0);
    loop {
        match sender.send(message, &mut progress, budget_bytes).unwrap() {
            Turn::Finished => return (blocked, yielded),
            Turn::Yielded => yielded += 1,
            Turn::Blocked => {
                blocked += 1;
                let mut polled = [PollFd::new(sender.get_ref(), PollFlags::OUT)];
                poll(&mut polled, None).unwrap();
            }
        }
        assert!(progress.has_begun());
        assert!(progress.sent_bytes() <= message.len());
    }
}

fn check_every_kind(pace: Pace, send_buffer_bytes: Option<usize>, budget_bytes: u64) {
    let (stream, reader) = pair();
    stream.set_nonblocking(true).unwrap();
    if let Some(bytes) = send_buffer_bytes {
        SockRef::from(&stream).set_send_buffer_size(bytes).unwrap();
    }
    let reader = read_all(reader, pace);
    let files = Files::new();
    let mut sender = Sender::new(stream).unwrap();
    let mut expected = Vec::new();
    let mut turns = (0, 0);
    for kind in &files.kinds() {
        let (blocked, yielded) = send_whole(&mut sender, &kind.message, budget_bytes);
        turns = (turns.0 + blocked, turns.1 + yielded);
        assert_nothing_held(sender.get_ref());
        expected.extend_from_slice(&kind.expected);
        assert_eq!(
            sender.counts().bytes,
            expected.len() as u64,
            "{}",
            kind.name
        );
    }
    assert!(budget_bytes == u64::MAX || turns.1 > 0, "nothing yielded");
    assert!(
        send_buffer_bytes.is_none() || turns.0 > 0,
        "nothing blocked"
    );
    drop(sender);
    assert_same(&reader.join().unwrap(), &expected);
}

#[test]
fn every_kind_arrives_in_one_turn_and_in_many() {
    check_every_kind(Pace::Fast, None, u64::MAX);
    check_every_kind(Pace::Fast, None, 1);
    check_every_kind(Pace::Slow, Some(BUFFER_BYTES_LEAST), u64::MAX);
    check_every_kind(Pace::Slow, Some(BUFFER_BYTES_LEAST), 10_000);
}

#[test]
fn a_message_that_is_given_up_is_let_go_and_ends_the_stream() {
    let (stream, _reader) = pair();
    stream.set_nonblocking(true).unwrap();
    let mut sender = Sender::new(stream).unwrap();
    let bytes = vec![b'x'; 50_000_000];
    let message = Message::new().bytes(b"head").bytes(&bytes);
    let mut progress = Progress::default();
    let turn = sender.send(&message, &mut progress, u64::MAX).unwrap();
    assert_eq!(turn, Turn::Blocked);
    let sent_bytes = progress.sent_bytes();
    assert!(sent_bytes > 0);
    sender.give_up(&mut progress).unwrap();
    assert_let_go(sender.get_ref());
    let mut progress = Progress::default();
    let next = sender.send(&Message::new().bytes(b"next"), &mut progress, u64::MAX);
    match next {
        Err(SendError::Incomplete {
            sent_bytes: said,
            total_bytes,
        }) => {
            assert_eq!((said, total_bytes), (sent_bytes, message.len()));
        }
        other => panic!("{other:?}"),
    }
}
