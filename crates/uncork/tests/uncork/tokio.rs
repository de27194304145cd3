//! The same sender over tokio: messages that arrive, and futures that are dropped.

use std::io::Read;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size_force;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use uncork::plan::SENDFILE_CAP_BYTES;
use uncork::tokio::Sender;
use uncork::{BURST_BUFFER_BYTES, Message};
use uncork_lab::requirement;

use crate::support::{
    BUFFER_BYTES_LEAST, Files, LIVENESS, Pace, assert_let_go, assert_nothing_held, assert_same,
    incomplete, pair, pattern, read_all, sparse_file, tight_pair,
};

/// For how long a future is polled before it is dropped.
const CANCELLED_AFTER: Duration = Duration::from_millis(50);

const UNREAD_BYTES: u64 = 16 << 20;

fn to_tokio(stream: std::net::TcpStream) -> TcpStream {
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

async fn check_every_kind(pace: Pace, send_buffer_bytes: Option<usize>) {
    let (stream, reader) = pair();
    if let Some(bytes) = send_buffer_bytes {
        SockRef::from(&stream).set_send_buffer_size(bytes).unwrap();
    }
    let reader = read_all(reader, pace);
    let files = Files::new();
    let kinds = files.kinds();
    let mut sender = Sender::new(to_tokio(stream)).unwrap();
    let mut expected = Vec::new();
    for kind in &kinds {
        let sent = sender.send_message(&kind.message).await;
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

#[tokio::test]
async fn every_kind_arrives() {
    check_every_kind(Pace::Fast, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_arrives_through_a_tiny_buffer_at_a_slow_reader() {
    check_every_kind(Pace::Slow, Some(BUFFER_BYTES_LEAST)).await;
}

#[tokio::test]
async fn whatever_lends_a_stream_takes_drafts_and_pieces() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let stream = Arc::new(to_tokio(stream));
    let mut by_ref = Sender::new(&*stream).unwrap();
    by_ref.send([&b"by "[..], b"reference, "]).await.unwrap();
    let mut by_arc = Sender::new(Arc::clone(&stream)).unwrap();
    by_arc.message().bytes(b"by Arc, ").send().await.unwrap();
    drop(by_arc);
    let stream = Arc::into_inner(stream).unwrap();
    let (_read_half, write_half) = stream.into_split();
    let mut by_half = Sender::new(write_half).unwrap();
    by_half.send([&b"by half"[..]]).await.unwrap();
    assert_nothing_held(by_half.get_ref().as_ref());
    drop((by_half, _read_half));
    assert_eq!(reader.join().unwrap(), b"by reference, by Arc, by half");
}

/// Drops the future of a message that nobody reads, and then the sender.
async fn check_dropped(message: &Message<'_>) {
    let (stream, mut reader) = tight_pair();
    let mut sender = Sender::new(to_tokio(stream)).unwrap();
    let sent = timeout(CANCELLED_AFTER, sender.send_message(message)).await;
    assert!(
        sent.is_err(),
        "nobody reads, so it can't have left: {sent:?}"
    );
    assert_let_go(sender.get_ref());
    let sent_bytes = sender.counts().bytes;
    assert!(sent_bytes > 0);
    let next = sender.send([&b"next"[..]]).await;
    assert_eq!(incomplete(next), (sent_bytes, message.len()));
    let next = sender.burst().map(drop);
    assert_eq!(incomplete(next), (sent_bytes, message.len()));
    SockRef::from(sender.get_ref())
        .shutdown(Shutdown::Write)
        .unwrap();
    let mut arrived = Vec::new();
    reader.read_to_end(&mut arrived).unwrap();
    assert_eq!(arrived.len() as u64, sent_bytes);
    assert_nothing_held(sender.get_ref());
}

#[tokio::test]
async fn a_future_dropped_in_the_middle_leaves_nothing_corked() {
    let memory = vec![0; usize::try_from(UNREAD_BYTES).unwrap()];
    let file = sparse_file(UNREAD_BYTES);
    check_dropped(&Message::new().bytes(b"head").bytes(&memory)).await;
    check_dropped(&Message::new().bytes(b"head").file(&file, 0..UNREAD_BYTES)).await;
    check_dropped(&Message::new().bytes(&memory).file(&file, 0..1000)).await;
}

/// Writes until the socket takes no more, also after what was in flight has found its place at
/// the peer; returns how much that was.
async fn fill(stream: &TcpStream) -> usize {
    let mut filled_bytes = 0;
    let mut idle_rounds = 0;
    while idle_rounds < 10 {
        // Not through tokio, which remembers "not writable" until the kernel says otherwise.
        match SockRef::from(stream).send(&[b'-'; 4096]) {
            Ok(written) => {
                filled_bytes += written;
                idle_rounds = 0;
            }
            Err(_) => {
                idle_rounds += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    filled_bytes
}

#[tokio::test]
async fn a_future_dropped_before_its_first_byte_leaves_the_sender_usable() {
    let (stream, reader) = tight_pair();
    let stream = to_tokio(stream);
    stream.set_nodelay(true).unwrap();
    stream.writable().await.unwrap();
    // Another's bytes fill the socket, so that the message can't begin.
    let filled_bytes = fill(&stream).await;
    let mut sender = Sender::new(&stream).unwrap();
    let file = sparse_file(UNREAD_BYTES);
    let mut waiting = Box::pin(sender.message().file(&file, 0..UNREAD_BYTES).send());
    assert!(timeout(CANCELLED_AFTER, &mut waiting).await.is_err());
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_cork().unwrap(), "the first call was the cork");
    drop(waiting);
    assert_let_go(&stream);
    // What has no bytes has nothing to wait for.
    let empty = timeout(LIVENESS, sender.send([&b""[..]])).await;
    empty.unwrap().unwrap();
    let waiting = sender.send([&b"never"[..]]);
    assert!(timeout(CANCELLED_AFTER, waiting).await.is_err());
    drop(sender.send([&b"never polled"[..]]));
    assert_eq!(sender.counts().bytes, 0);

    let reader = read_all(reader, Pace::Fast);
    sender.send([&b"next"[..]]).await.unwrap();
    drop(stream);
    let arrived = reader.join().unwrap();
    assert_eq!(arrived.len(), filled_bytes + 4);
    assert!(arrived.ends_with(b"-next"));
}

#[tokio::test]
async fn a_burst_leaves_when_it_is_finished_flushed_or_dropped() {
    let (stream, reader) = pair();
    let reader = read_all(reader, Pace::Fast);
    let stream = to_tokio(stream);
    let mut sender = Sender::new(&stream).unwrap();
    let bytes = pattern(3 * BURST_BUFFER_BYTES);

    let mut burst = sender.burst().unwrap();
    for piece in bytes.chunks(10) {
        burst.write_all(piece).await.unwrap();
    }
    burst.finish().await.unwrap();
    assert_nothing_held(&stream);
    assert_eq!(sender.counts().messages, 1);

    let mut burst = sender.burst().unwrap();
    burst.write_all(b"flushed ").await.unwrap();
    burst.flush().await.unwrap();
    burst.finish().await.unwrap();
    assert_nothing_held(&stream);

    // Past its buffer a burst is corked.
    let mut burst = sender.burst().unwrap();
    burst.write_all(&bytes).await.unwrap();
    burst.flush().await.unwrap();
    assert!(!SockRef::from(&stream).tcp_cork().unwrap(), "flushed");
    drop(burst);
    assert_nothing_held(&stream);
    let mut burst = sender.burst().unwrap();
    burst.write_all(&bytes).await.unwrap();
    drop(burst);
    assert_nothing_held(&stream);

    let calls = sender.counts().system_calls;
    let mut burst = sender.burst().unwrap();
    burst.write_all(b"small ").await.unwrap();
    burst.finish().await.unwrap();
    assert_eq!(sender.counts().system_calls, calls + 1);

    let mut burst = sender.burst().unwrap();
    burst.write_all(b"dropped").await.unwrap();
    drop(burst);
    assert_nothing_held(&stream);
    drop(stream);
    assert_same(
        &reader.join().unwrap(),
        &[&bytes[..], b"flushed ", &bytes, &bytes, b"small dropped"].concat(),
    );
}

#[tokio::test]
async fn a_burst_dropped_in_the_middle_leaves_nothing_corked() {
    let (stream, mut reader) = tight_pair();
    let mut sender = Sender::new(to_tokio(stream)).unwrap();
    let bytes = vec![0; usize::try_from(UNREAD_BYTES).unwrap()];
    let mut burst = sender.burst().unwrap();
    burst.write_all(b"head").await.unwrap();
    let written = timeout(CANCELLED_AFTER, burst.write_all(&bytes)).await;
    assert!(written.is_err(), "nobody reads, so it can't have left");
    let more = burst.write_all(b"more").await;
    let (_, total_bytes) = incomplete(more);
    assert_eq!(total_bytes, UNREAD_BYTES + 4);
    drop(burst);
    assert_let_go(sender.get_ref());
    let sent_bytes = sender.counts().bytes;
    let next = sender.send([&b"next"[..]]).await;
    assert_eq!(incomplete(next), (sent_bytes, total_bytes));
    drop(sender);
    let mut arrived = Vec::new();
    reader.read_to_end(&mut arrived).unwrap();
    assert_eq!(arrived.len() as u64, sent_bytes);
}

/// A reader that keeps up never makes the socket say "wait", and still the sender must not keep
/// the only thread. Here a send buffer larger than the message stands for that reader; root may
/// have one.
#[tokio::test(flavor = "current_thread")]
async fn a_large_file_lets_other_tasks_run_in_between() {
    const CALLS: u32 = 8;
    const FILE_BYTES: u64 = CALLS as u64 * SENDFILE_CAP_BYTES as u64;
    if !requirement::root() {
        return;
    }
    let (stream, reader) = pair();
    set_socket_send_buffer_size_force(&stream, 16 * SENDFILE_CAP_BYTES).unwrap();
    let polls = Arc::new(AtomicU32::new(0));
    let other = tokio::spawn({
        let polls = Arc::clone(&polls);
        async move {
            loop {
                polls.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let stream = to_tokio(stream);
    stream.writable().await.unwrap();
    let mut sender = Sender::new(stream).unwrap();
    let file = sparse_file(FILE_BYTES);
    let polls_before = polls.load(Ordering::Relaxed);
    let message = sender.message().file(&file, 0..FILE_BYTES);
    message.send().await.unwrap();
    let polls_between = polls.load(Ordering::Relaxed) - polls_before;
    assert!(
        polls_between >= CALLS - 1,
        "the other task ran {polls_between} times"
    );
    other.abort();
    drop(sender);
    let arrived = read_all(reader, Pace::Fast).join().unwrap();
    assert_eq!(arrived.len() as u64, FILE_BYTES);
}

/// A send may be spawned onto a runtime of several threads.
#[test]
fn futures_are_send() {
    fn is_send<T: Send>(_: &T) {}
    fn check(mut sender: Sender<tokio::net::TcpStream>) {
        is_send(&sender.send([&b"x"[..]]));
        is_send(&sender.message().bytes(b"x").send());
        is_send(&async move {
            let mut burst = sender.burst()?;
            burst.write_all(b"x").await?;
            burst.finish().await
        });
    }
    let _ = check;
}
