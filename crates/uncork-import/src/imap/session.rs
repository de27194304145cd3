//! One connection to a server, from its greeting to its end. Commands are answered one by one
//! here; pipelining is the upload's.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::capability::Capabilities;
use super::response::{
    Response, ResponseError, Responses, Status, StatusKind, strip_word, tag_text,
};
#[cfg(target_os = "linux")]
use super::wire::link::LinkWatch;
use super::wire::{self, NotSent, Piece, Reader, Writer};
use crate::target::Security;
use crate::{Compress, ImportError, Options, Target};

mod connect;
mod encryption;
mod exchange;
mod login;
mod secrets;
mod way;

use connect::{Connected, Reach};
use encryption::{Beginning, Next};

/// How long a server may take to greet: one that waits for the client to speak is none of IMAP.
const GREETING_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the answer to a goodbye is waited for.
const LOG_OUT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection.
pub(crate) struct Session {
    pub(crate) address: String,
    pub(crate) writer: Writer,
    pub(crate) responses: Responses<Reader>,
    pub(crate) capabilities: Capabilities,
    pub(crate) next_tag: u32,
    /// How long an answer may take.
    pub(crate) answer_timeout: Duration,
    reach: Reach,
    is_encrypted: bool,
    is_compressed: bool,
    has_utf8: bool,
    /// System calls and segments that have been counted.
    counted: (u64, Option<u64>),
}

/// A command that is not answered to its end.
struct Pending {
    tag: u32,
    /// For the whole of it, unless who reads the answer puts it off.
    deadline: Instant,
    /// The server's last words.
    said: Option<String>,
}

/// What a server said to a command that may go on.
enum Turn {
    /// `+`, and what stood behind it.
    Continue(String),
    Done(Status),
}

impl Session {
    /// Connects, encrypts where that is needed, logs in, and learns what the server offers.
    pub(crate) async fn open(target: &Target, options: &Options) -> Result<Self, ImportError> {
        let Connected { stream, reach } = connect::connect(target, options).await?;
        let address = target.address();
        let (writer, reader) = wire::split(stream).map_err(|source| ImportError::Connect {
            address: address.clone(),
            source,
        })?;
        let mut session = Self {
            address,
            writer,
            responses: Responses::new(reader),
            capabilities: Capabilities::default(),
            next_tag: 1,
            answer_timeout: options.patience.answer,
            reach,
            is_encrypted: false,
            is_compressed: false,
            has_utf8: false,
            counted: (0, None),
        };
        if target.security == Security::Tls {
            session.encrypt(&target.host, &options.tls).await?;
        }
        let greeting = session.greeting().await?;
        session.learn_capabilities(&greeting).await?;
        let beginning = Beginning {
            is_encrypted: session.is_encrypted,
            reach,
            is_logged_in: greeting.kind == StatusKind::PreAuth,
            offers_start_tls: session.capabilities.has("STARTTLS"),
            login_disabled: session.capabilities.has("LOGINDISABLED"),
            allow_plaintext: options.allow_plaintext,
        };
        match beginning.next() {
            Next::StartTls => session.start_tls(target, options).await?,
            Next::GoOn => {}
            Next::Refuse => {
                let address = session.address;
                return Err(ImportError::Plaintext { address });
            }
        }
        if greeting.kind != StatusKind::PreAuth {
            session.log_in(target, options).await?;
        }
        session.enable_utf8().await?;
        if options.compress == Compress::Always {
            session.compress().await?;
        }
        session.take_counts();
        Ok(session)
    }

    /// Compresses what is sent and read from here on (RFC 4978), between two commands; `false`
    /// where the server does not offer it, or refuses.
    pub(crate) async fn compress(&mut self) -> Result<bool, ImportError> {
        if self.is_compressed || !self.capabilities.has("COMPRESS=DEFLATE") {
            return Ok(self.is_compressed);
        }
        let status = self.command("COMPRESS DEFLATE", |_| {}).await?;
        if status.kind == StatusKind::Ok {
            self.writer.start_deflate();
            self.is_compressed = true;
        }
        Ok(self.is_compressed)
    }

    /// What the server offers and the import uses, for the report.
    pub(crate) fn capabilities_used(&self) -> Vec<String> {
        let mut used = self.capabilities.used();
        if self.is_compressed {
            used.push("COMPRESS=DEFLATE".to_owned());
        }
        used
    }

    /// Watches the link where compressing could help: `None` where the server is on this machine,
    /// does not offer it, or compresses already.
    #[cfg(target_os = "linux")]
    pub(crate) fn watch_link(&self) -> Option<LinkWatch> {
        let may_help = self.reach == Reach::Network
            && !self.is_compressed
            && self.capabilities.has("COMPRESS=DEFLATE");
        may_help.then(|| LinkWatch::start(&self.writer)).flatten()
    }

    /// Whether folder names are spelled in UTF-8.
    pub(crate) fn has_utf8(&self) -> bool {
        self.has_utf8
    }

    /// Data segments sent on this connection so far; `None` where the system does not tell.
    pub(crate) fn segments_sent(&self) -> Option<u64> {
        self.writer.segments_sent()
    }

    /// Says goodbye; how the server takes it does not matter any more.
    pub(crate) async fn log_out(mut self) {
        let _ = timeout(LOG_OUT_TIMEOUT, self.command("LOGOUT", |_| {})).await;
    }

    async fn greeting(&mut self) -> Result<Status, ImportError> {
        let not_imap = |address: &str, reason: &str| ImportError::NotImap {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let address = self.address.clone();
        match self.response(Instant::now() + GREETING_TIMEOUT, None).await {
            Ok(Response::Untagged(status)) => match status.kind {
                StatusKind::Ok | StatusKind::PreAuth => Ok(status),
                _ => Err(ImportError::HungUp {
                    address,
                    said: Some(status.reason()),
                    source: io::Error::other("it greets with BYE"),
                }),
            },
            Ok(_) => Err(not_imap(&address, "its first line is no greeting")),
            Err(ImportError::Silent { .. }) => Err(not_imap(
                &address,
                "it says nothing (a port for imaps://, or for another protocol?)",
            )),
            Err(ImportError::HungUp { .. }) => Err(not_imap(
                &address,
                "it hung up without a greeting (a port for imaps://, or too many connections?)",
            )),
            Err(error) => Err(error),
        }
    }

    /// The capabilities that come with a status, or those that the server names when asked.
    async fn learn_capabilities(&mut self, status: &Status) -> Result<(), ImportError> {
        match status.capabilities() {
            Some(words) => {
                self.capabilities = Capabilities::parse(words);
                Ok(())
            }
            None => self.ask_capabilities().await,
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), ImportError> {
        let mut told = None;
        self.command("CAPABILITY", |response| {
            if let Response::Data(data) = response {
                let words = strip_word(&data.text, "CAPABILITY");
                told = told.take().or(words.map(Capabilities::parse));
            }
        })
        .await?;
        self.capabilities = told.unwrap_or_default();
        Ok(())
    }

    /// Sends the first line of a command.
    async fn begin(&mut self, line: &str) -> Result<Pending, ImportError> {
        let tag = self.next_tag;
        self.next_tag = tag.wrapping_add(1);
        let pending = Pending {
            tag,
            deadline: Instant::now() + self.answer_timeout,
            said: None,
        };
        let tag = tag_text(tag);
        self.send(&pending, &[tag.as_bytes(), b" ", line.as_bytes(), b"\r\n"])
            .await?;
        Ok(pending)
    }

    /// Sends a part of a command.
    async fn send(&mut self, pending: &Pending, parts: &[&[u8]]) -> Result<(), ImportError> {
        let pieces: Vec<Piece<'_>> = parts.iter().map(|part| Piece::Bytes(part)).collect();
        match timeout_at(pending.deadline, self.writer.send(&pieces)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(NotSent::Socket(source) | NotSent::Source(source))) => {
                Err(ImportError::HungUp {
                    address: self.address.clone(),
                    said: pending.said.clone(),
                    source,
                })
            }
            Err(_) => Err(self.silent()),
        }
    }

    /// Reads until the server wants more of a command, or ends it; `each` sees what else comes.
    async fn turn(
        &mut self,
        pending: &mut Pending,
        mut each: impl FnMut(&mut Pending, Response),
    ) -> Result<Turn, ImportError> {
        loop {
            match self
                .response(pending.deadline, pending.said.clone())
                .await?
            {
                Response::Tagged(answered, status) if answered == pending.tag => {
                    return Ok(Turn::Done(status));
                }
                Response::Continue(text) => return Ok(Turn::Continue(text)),
                Response::Untagged(status) if status.kind == StatusKind::Bye => {
                    pending.said = Some(status.reason());
                }
                response => each(pending, response),
            }
        }
    }

    async fn response(
        &mut self,
        deadline: Instant,
        said: Option<String>,
    ) -> Result<Response, ImportError> {
        // A server that writes its answer in pieces, with Nagle on, waits for this ACK.
        self.writer.acknowledge_at_once();
        match timeout_at(deadline, self.responses.next()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(ImportError::from_response(&self.address, error, said)),
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> ImportError {
        ImportError::Silent {
            address: self.address.clone(),
            after: self.answer_timeout,
        }
    }
}

impl From<ResponseError> for io::Error {
    fn from(error: ResponseError) -> Self {
        io::Error::other(error)
    }
}
