//! Sends one message over loopback and says what it cost. The argument picks its kind: `memory`,
//! `small-file`, `large-file` or `burst`.
//!
//! To see the system calls behind each kind:
//!
//! ```text
//! cargo build -p uncork --example message_kinds
//! strace -f -e trace=sendmsg,sendfile,setsockopt target/debug/examples/message_kinds small-file
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use uncork::Sender;

/// The kinds, as the command line names them.
pub(crate) const KINDS: [&str; 4] = ["memory", "small-file", "large-file", "burst"];

/// What stands before a body or a file.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";

/// A body that goes from the page cache by `MSG_MORE` and one `sendfile`.
const SMALL_FILE_BYTES: u64 = 10_000;

/// A body that takes the cork and several `sendfile`s.
const LARGE_FILE_BYTES: u64 = 8_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let kind = std::env::args().nth(1).unwrap_or_default();
    if !KINDS.contains(&kind.as_str()) {
        return Err(format!("usage: message_kinds {}", KINDS.join("|")).into());
    }
    send_one(&kind)
}

/// Sends one message of this kind to a reader in this process.
pub(crate) fn send_one(kind: &str) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (reader, _) = listener.accept()?;
    let reader = std::thread::spawn(move || count_bytes(reader));
    // A file with nothing in it but its length is enough to be sent.
    let file: File = tempfile::tempfile()?;
    file.set_len(LARGE_FILE_BYTES)?;

    let mut sender = Sender::new(stream)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "sending: {kind}")?;
    match kind {
        "small-file" => sender
            .message()
            .bytes(HEAD)
            .file(&file, 0..SMALL_FILE_BYTES)
            .send()?,
        "large-file" => sender
            .message()
            .bytes(HEAD)
            .file(&file, 0..LARGE_FILE_BYTES)
            .send()?,
        "burst" => {
            let mut burst = sender.burst()?;
            for line in 0..100 {
                write!(burst, "line {line}\r\n")?;
            }
            burst.finish()?;
        }
        _ => sender.send([HEAD, b"Hello from memory.\r\n"])?,
    }
    let counts = sender.counts();
    writeln!(
        stdout,
        "sent: {} bytes in {} system calls",
        counts.bytes, counts.system_calls
    )?;
    drop(sender);
    let arrived = reader.join().map_err(|_| "the reader panicked")??;
    writeln!(stdout, "arrived: {arrived} bytes")?;
    Ok(())
}

/// Reads to the end; returns how much there was.
fn count_bytes(mut stream: TcpStream) -> io::Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}
