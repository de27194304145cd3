//! The same limit on tokio: what a runtime adds to a request.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bare::RECEIVE_BYTES;
use super::replies::{Debt, Replies};
use super::request_ends::RequestEnds;

/// [`serve_epoll`](super::bare::serve_epoll) on tokio's current-thread runtime, with one task a
/// connection.
///
/// # Errors
/// Where the runtime or the listener fails. A connection that fails is closed.
pub fn serve_tokio(listener: TcpListener, response: &[u8]) -> io::Result<()> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().build()?;
    listener.set_nonblocking(true)?;
    let replies = Arc::new(Replies::new(response));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let replies = Arc::clone(&replies);
            // How a connection ends is its client's affair.
            tokio::spawn(async move {
                let _ = answer(stream, &replies).await;
            });
        }
    })
}

/// Answers until the client closes. `read` rather than `readable` and `try_read`: after a read
/// that did not fill its buffer it knows that nothing is left, and saves the `recv` that would
/// say so.
async fn answer(mut stream: TcpStream, replies: &Replies) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; RECEIVE_BYTES];
    let mut ends = RequestEnds::default();
    let mut debt = Debt::default();
    loop {
        let received = stream.read(&mut buffer).await?;
        if received == 0 {
            return Ok(());
        }
        replies.owe(&mut debt, ends.count(&buffer[..received]));
        while let Some(next) = replies.next(debt) {
            debt.pay(stream.write(next).await?);
        }
    }
}
