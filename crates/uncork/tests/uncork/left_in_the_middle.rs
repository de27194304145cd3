//! Messages that can't be sent whole: what has left arrives, nothing stays held, and the next
//! message is refused.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use uncork::{Message, SendError, Sender};

use crate::support::{
    REFUSED_PATH, assert_let_go, assert_nothing_held, file_with, incomplete, pair, pattern,
    sparse_file, tight_pair,
};

/// Sends `head` and a file that has `real` bytes and has been promised to have more.
fn check_short_file(head: &[u8], file: &File, real: u64, promised: u64) {
    let (stream, mut reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    let sent = sender.message().bytes(head).file(file, 0..promised).send();
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    let SendError::FileTooShort {
        missing_bytes,
        sent_bytes,
        total_bytes,
    } = error
    else {
        panic!("expected FileTooShort, not {error:?}");
    };
    assert_eq!(missing_bytes, promised - real);
    assert_eq!(total_bytes, head.len() as u64 + promised);
    assert_eq!(sent_bytes, sender.counts().bytes);
    // Nobody has read yet: what is too much for the window leaves later.
    assert_let_go(&stream);
    let mut arrived = vec![0; usize::try_from(sent_bytes).unwrap()];
    reader.read_exact(&mut arrived).unwrap();
    assert_nothing_held(&stream);
    assert!(arrived.starts_with(head));
    let next = sender.send([&b"next"[..]]);
    assert_eq!(incomplete(next), (sent_bytes, total_bytes));
    assert_eq!(
        incomplete(sender.burst().map(drop)),
        (sent_bytes, total_bytes)
    );
    // Not a byte of the refused message has followed.
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_file_that_is_too_short_leaves_nothing_held() {
    let file = file_with(&pattern(1000));
    check_short_file(b"head", &file, 1000, 2000);
    check_short_file(b"", &file, 1000, 2000);
    check_short_file(b"head", &file, 1000, 500_000);
    let file = file_with(&pattern(100_001));
    check_short_file(b"head", &file, 100_001, 500_000);
    check_short_file(b"", &file, 100_001, 500_000);
}

#[test]
fn a_copied_file_that_is_too_short_leaves_nothing_held() {
    let file = File::open(REFUSED_PATH).unwrap();
    let real = std::fs::read(REFUSED_PATH).unwrap().len() as u64;
    let (stream, mut reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    let sent = sender
        .message()
        .bytes(b"head")
        .file(&file, 0..real + 9)
        .send();
    let Err(SendError::FileTooShort {
        missing_bytes,
        sent_bytes,
        total_bytes,
    }) = sent
    else {
        panic!("expected FileTooShort, not {sent:?}");
    };
    assert_eq!((missing_bytes, total_bytes), (9, 4 + real + 9));
    // What was read into the copy buffer when the file ended is not sent any more.
    assert_eq!(sent_bytes, 4);
    assert_nothing_held(&stream);
    let mut arrived = [0; 4];
    reader.read_exact(&mut arrived).unwrap();
    assert_eq!(&arrived, b"head");
    incomplete(sender.send([&b"next"[..]]));
}

#[test]
fn a_file_that_can_not_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let directory = File::open(folder.path()).unwrap();
    let (stream, _reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    let alone = sender.message().file(&directory, 0..10).send();
    assert!(
        matches!(alone, Err(SendError::Call { call: "pread", .. })),
        "{alone:?}"
    );
    // Nothing has left, so the sender goes on.
    let behind_head = sender
        .message()
        .bytes(b"head")
        .file(&directory, 0..10)
        .send();
    assert_eq!(behind_head.unwrap_err().sent_bytes(), 4);
    assert_nothing_held(&stream);
    assert_eq!(incomplete(sender.send([&b"next"[..]])), (4, 14));
}

#[test]
fn a_reset_in_the_middle_is_an_error() {
    let memory = vec![0; 16 << 20];
    let file = sparse_file(256 << 20);
    let messages = [
        Message::new().bytes(b"head").bytes(&memory),
        Message::new().bytes(b"head").file(&file, 0..256 << 20),
    ];
    for message in &messages {
        let (stream, mut reader) = tight_pair();
        let reset = std::thread::spawn(move || {
            reader.read_exact(&mut [0; 4]).unwrap();
            SockRef::from(&reader)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        });
        let mut sender = Sender::new(&stream).unwrap();
        let error = sender.send_message(message).unwrap_err();
        reset.join().unwrap();
        let kind = error.kind();
        let is_reset = matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        assert!(is_reset, "{error:?}");
        assert!(matches!(error, SendError::Call { .. }), "{error:?}");
        assert!(error.sent_bytes() >= 4 && error.sent_bytes() < message.len());
        assert_let_go(&stream);
        let next = sender.send([&b"next"[..]]);
        assert_eq!(incomplete(next), (error.sent_bytes(), message.len()));
    }
}

#[test]
fn a_stream_that_was_shut_down_is_an_error() {
    let file = file_with(&pattern(1000));
    let messages = [
        Message::new().bytes(b"head"),
        Message::new().bytes(b"head").file(&file, 0..1000),
        // `sendfile` has no flag against SIGPIPE; programs in Rust ignore that signal.
        Message::new().file(&file, 0..1000),
    ];
    let (stream, mut reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    for message in &messages {
        let error = sender.send_message(message).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error:?}");
        assert!(matches!(error, SendError::Call { .. }), "{error:?}");
        assert_eq!(error.sent_bytes(), 0);
    }
    assert_let_go(&stream);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_send_timeout_ends_a_message_that_nobody_reads() {
    let memory = vec![0; 16 << 20];
    let file = sparse_file(16 << 20);
    let refused = File::open(REFUSED_PATH).unwrap();
    let messages = [
        Message::new().bytes(b"head").bytes(&memory),
        Message::new().bytes(b"head").file(&file, 0..16 << 20),
        Message::new().bytes(&memory).file(&refused, 0..1),
    ];
    for message in &messages {
        let (stream, mut reader) = tight_pair();
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let mut sender = Sender::new(&stream).unwrap();
        let error = sender.send_message(message).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
        assert_let_go(&stream);
        let next = sender.send([&b"next"[..]]);
        assert_eq!(incomplete(next), (error.sent_bytes(), message.len()));
        // The bytes that the error names are those that arrive.
        stream.shutdown(Shutdown::Write).unwrap();
        let mut arrived = Vec::new();
        reader.read_to_end(&mut arrived).unwrap();
        assert_eq!(arrived.len() as u64, error.sent_bytes());
        assert_nothing_held(&stream);
    }
}
