//! What the bytes of a connection go through on their way to the socket: nothing, TLS,
//! compression, or both.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use rustls::{ServerConfig, ServerConnection, Stream};

/// What is read at once of a compressed stream.
const DEFLATED_BYTES: usize = 16 * 1024;

/// A connection's layers over its socket.
#[derive(Debug)]
pub(crate) struct Pipe {
    stream: Arc<TcpStream>,
    tls: Option<Box<ServerConnection>>,
    deflate: Option<Box<Deflate>>,
}

/// Both directions of COMPRESS=DEFLATE (RFC 4978): raw deflate, without zlib's header.
#[derive(Debug)]
struct Deflate {
    out: Compress,
    into: Decompress,
    /// Bytes `start..end` have been received and not inflated.
    received: Vec<u8>,
    start: usize,
    end: usize,
}

impl Pipe {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            tls: None,
            deflate: None,
        }
    }

    /// Puts TLS over the socket. The handshake happens with the first byte in either direction.
    pub(crate) fn start_tls(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Compresses from now on.
    pub(crate) fn start_deflate(&mut self) {
        self.deflate = Some(Box::new(Deflate {
            out: Compress::new(Compression::fast(), false),
            into: Decompress::new(false),
            received: vec![0; DEFLATED_BYTES],
            start: 0,
            end: 0,
        }));
    }

    pub(crate) fn has_deflate(&self) -> bool {
        self.deflate.is_some()
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads at least one byte; none at the end of the connection.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(deflate) = &mut self.deflate else {
            return read_sealed(&mut self.tls, &self.stream, into);
        };
        loop {
            // Also with nothing new there may be more to come of what was put in before.
            let count = deflate.inflate(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            deflate.start = 0;
            deflate.end = read_sealed(&mut self.tls, &self.stream, &mut deflate.received)?;
            if deflate.end == 0 {
                return Ok(0);
            }
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(deflate) = &mut self.deflate else {
            return write_sealed(&mut self.tls, &self.stream, bytes);
        };
        let deflated = deflate.deflate(bytes)?;
        write_sealed(&mut self.tls, &self.stream, &deflated)
    }

    /// Says that nothing more comes.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            while tls.wants_write() {
                tls.write_tls(&mut &*self.stream)?;
            }
        }
        self.stream.shutdown(Shutdown::Write)
    }
}

fn read_sealed(
    tls: &mut Option<Box<ServerConnection>>,
    mut stream: &TcpStream,
    into: &mut [u8],
) -> io::Result<usize> {
    loop {
        let read = match tls {
            Some(tls) => Stream::new(&mut **tls, &mut stream).read(into),
            None => stream.read(into),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn write_sealed(
    tls: &mut Option<Box<ServerConnection>>,
    mut stream: &TcpStream,
    bytes: &[u8],
) -> io::Result<()> {
    match tls {
        Some(tls) => {
            let mut sealed = Stream::new(&mut **tls, &mut stream);
            sealed.write_all(bytes)?;
            sealed.flush()
        }
        None => stream.write_all(bytes),
    }
}

impl Deflate {
    fn inflate(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (taken, given) = (self.into.total_in(), self.into.total_out());
        let input = &self.received[self.start..self.end];
        let status = self.into.decompress(input, into, FlushDecompress::Sync)?;
        self.start += usize::try_from(self.into.total_in() - taken).unwrap_or(0);
        let count = usize::try_from(self.into.total_out() - given).unwrap_or(0);
        if status == Status::StreamEnd && count == 0 {
            return Err(io::Error::other("the peer ended the compressed stream"));
        }
        Ok(count)
    }

    /// Compresses so that the peer can read all of it at once.
    fn deflate(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut deflated = Vec::with_capacity(bytes.len() / 2 + 64);
        let mut rest = bytes;
        loop {
            let taken = self.out.total_in();
            self.out
                .compress_vec(rest, &mut deflated, FlushCompress::Sync)?;
            rest = &rest[usize::try_from(self.out.total_in() - taken).unwrap_or(0)..];
            if rest.is_empty() && deflated.len() < deflated.capacity() {
                return Ok(deflated);
            }
            deflated.reserve(deflated.len().max(64));
        }
    }
}
