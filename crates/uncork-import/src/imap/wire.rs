//! The two halves of a connection, and what may lie between them and the socket: TLS, DEFLATE.
//!
//! Without such a layer a message goes to the kernel as it is, files by sendfile. With one it is
//! sealed into departures of half a MiB first, so that the records of one message leave together
//! as well.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;
use uncork::SendError;

mod deflate;
mod layers;
#[cfg(target_os = "linux")]
pub(crate) mod link;
mod reader;
pub(crate) mod tls;
mod writer;

use layers::Layers;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// What is read from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// A part of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    /// So many bytes of the file, from its start.
    File(&'a File, u64),
}

/// Which side kept something from being sent.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// A file is not what it was when it was measured, or can't be read any more.
    Source(io::Error),
    /// The connection.
    Socket(io::Error),
}

impl From<SendError> for NotSent {
    fn from(error: SendError) -> Self {
        match error {
            SendError::FileTooShort { .. } => NotSent::Source(error.into()),
            error => NotSent::Socket(error.into()),
        }
    }
}

/// The two halves of a connected stream, with no layer yet.
pub(crate) fn split(stream: TcpStream) -> io::Result<(Writer, Reader)> {
    let stream = Arc::new(stream);
    let layers = Rc::new(RefCell::new(Layers::default()));
    let reader = Reader::new(Arc::clone(&stream), Rc::clone(&layers));
    Ok((Writer::new(stream, layers)?, reader))
}

/// Reads what the stream has; 0 at its end.
fn poll_stream(
    stream: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    /// Runs with both ends of a connection.
    fn with_pair<F: Future>(play: impl FnOnce(TcpStream, TcpStream) -> F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let (client, server) = tokio::join!(client, listener.accept());
            play(client.unwrap(), server.unwrap().0).await
        })
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[derive(Debug, Clone)]
    enum Part {
        Memory(Vec<u8>),
        File(Vec<u8>),
    }

    fn parts() -> impl Strategy<Value = Vec<Part>> {
        let bytes = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (0usize..400_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        ];
        let part = (bytes, any::<bool>()).prop_map(|(bytes, in_file)| match in_file {
            true => Part::File(bytes),
            false => Part::Memory(bytes),
        });
        prop::collection::vec(part, 0..6)
    }

    /// Sends messages from one side to the other, both of them a writer and a reader of ours.
    async fn exchange(messages: &[Vec<Part>], is_compressed: bool, ends: (TcpStream, TcpStream)) {
        let (mut writer, _unread) = split(ends.0).unwrap();
        let (peer, mut reader) = split(ends.1).unwrap();
        let mut peer = peer;
        if is_compressed {
            writer.start_deflate();
            peer.start_deflate();
        }
        for message in messages {
            let files: Vec<File> = message
                .iter()
                .map(|part| match part {
                    Part::Memory(_) => file_of(b""),
                    Part::File(bytes) => file_of(bytes),
                })
                .collect();
            let pieces: Vec<Piece<'_>> = message
                .iter()
                .zip(&files)
                .map(|(part, file)| match part {
                    Part::Memory(bytes) => Piece::Bytes(bytes),
                    Part::File(bytes) => Piece::File(file, bytes.len() as u64),
                })
                .collect();
            let expected: Vec<u8> = message
                .iter()
                .flat_map(|part| match part {
                    Part::Memory(bytes) | Part::File(bytes) => bytes.iter().copied(),
                })
                .collect();
            let mut received = vec![0; expected.len()];
            let (sent, read) = tokio::join!(writer.send(&pieces), reader.read_exact(&mut received));
            sent.unwrap();
            read.unwrap();
            assert!(received == expected);
        }
        assert_eq!(peer.unread_bytes(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_is_sent_is_read(
            messages in prop::collection::vec(parts(), 1..4),
            is_compressed in any::<bool>(),
        ) {
            with_pair(|client, server| exchange(&messages, is_compressed, (client, server)));
        }
    }

    #[test]
    fn after_a_send_that_was_left_nothing_is_sent() {
        for is_compressed in [false, true] {
            with_pair(|client, server| async move {
                let (mut writer, _reader) = split(client).unwrap();
                if is_compressed {
                    writer.start_deflate();
                }
                // DEFLATE makes nothing of these bytes smaller than the buffers of the sockets.
                let mut dice = 1u32;
                let bytes: Vec<u8> = (0..24 << 20)
                    .map(|_| {
                        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (dice >> 24) as u8
                    })
                    .collect();
                let pieces = [Piece::Bytes(&bytes)];
                let left = timeout(Duration::from_millis(200), writer.send(&pieces)).await;
                assert!(left.is_err(), "nobody reads");
                let again = writer.send(&[Piece::Bytes(b"x")]).await;
                assert!(matches!(again, Err(NotSent::Socket(_))), "{again:?}");
                drop(server);
            });
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was() {
        for is_compressed in [false, true] {
            with_pair(|client, _server| async move {
                let (mut writer, _reader) = split(client).unwrap();
                if is_compressed {
                    writer.start_deflate();
                }
                let file = file_of(b"short");
                let short = writer.send(&[Piece::File(&file, 6)]).await;
                assert!(matches!(short, Err(NotSent::Source(_))), "{short:?}");
                let again = writer.send(&[Piece::Bytes(b"x")]).await;
                assert!(matches!(again, Err(NotSent::Socket(_))), "{again:?}");
            });
        }
    }
}
