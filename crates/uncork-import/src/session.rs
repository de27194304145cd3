//! One connection to a server, from its greeting to the folder that takes the mail.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use socket2::SockRef;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout, timeout_at};
use uncork::tokio::Sender;

use crate::capability::Capabilities;
use crate::mailbox::{quoted, quoted_mailbox};
use crate::response::{
    Response, ResponseError, Responses, Status, StatusKind, strip_word, tag_text,
};
use crate::{Credentials, ImportError, Options, Target};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to greet: one that waits for the client to speak is none of IMAP.
const GREETING_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a server may take to answer. A slow disk under a large transaction needs minutes.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Untagged responses that are kept of one command.
const DATA_MAX: usize = 100;

/// A connection. Commands are answered one by one here; pipelining is the upload's.
pub(crate) struct Session {
    pub(crate) address: String,
    pub(crate) sender: Sender<OwnedWriteHalf>,
    pub(crate) responses: Responses<BufReader<OwnedReadHalf>>,
    pub(crate) capabilities: Capabilities,
    pub(crate) next_tag: u32,
}

/// What a folder held when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FolderState {
    /// Another one means another folder of the same name: no UID of the one is in the other.
    pub(crate) uid_validity: u64,
    /// The UID that the next mail gets.
    pub(crate) uid_next: u64,
}

impl Session {
    /// Connects, logs in, and learns what the server offers.
    pub(crate) async fn open(target: &Target, options: &Options) -> Result<Self, ImportError> {
        let (address, stream) = connect(target, options).await?;
        let (reader, writer) = stream.into_split();
        let sender = Sender::new(writer).map_err(|source| ImportError::Connect {
            address: address.clone(),
            source,
        })?;
        let mut session = Self {
            address,
            sender,
            responses: Responses::new(BufReader::new(reader)),
            capabilities: Capabilities::default(),
            next_tag: 1,
        };
        let greeting = session.greeting().await?;
        match greeting.capabilities() {
            Some(words) => session.capabilities = Capabilities::parse(words),
            None => session.ask_capabilities().await?,
        }
        if greeting.kind != StatusKind::PreAuth {
            let Credentials::Password(password) = &options.credentials else {
                return Err(ImportError::Login {
                    user: target.user.clone(),
                    reason: "tokens are not in this version".to_owned(),
                });
            };
            session.log_in(&target.user, password).await?;
        }
        Ok(session)
    }

    /// Data segments sent on this connection so far; `None` where the system does not tell.
    pub(crate) fn segments_sent(&self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        {
            let info = uncork::TcpInfo::of(self.sender.get_ref().as_ref()).ok()?;
            info.data_segments_out.map(u64::from)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    pub(crate) fn tag(&mut self) -> u32 {
        let tag = self.next_tag;
        self.next_tag = self.next_tag.wrapping_add(1);
        tag
    }

    /// Sends one command line and waits for its end; returns what came in between.
    pub(crate) async fn command(
        &mut self,
        line: &str,
    ) -> Result<(Vec<String>, Status), ImportError> {
        let tag = self.tag();
        let head = tag_text(tag);
        let line = [head.as_bytes(), b" ", line.as_bytes(), b"\r\n"];
        let sent = self.sender.send(line).await;
        sent.map_err(|error| ImportError::from_send(&self.address, error))?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut data = Vec::new();
        let mut said = None;
        loop {
            match self.response(deadline, said.clone()).await? {
                Response::Tagged(answered, status) if answered == tag => return Ok((data, status)),
                Response::Untagged(status) if status.kind == StatusKind::Bye => {
                    said = Some(status.reason());
                }
                Response::Data(line) if data.len() < DATA_MAX => data.push(line.text),
                _ => {}
            }
        }
    }

    /// Makes sure that the folder is there, making it where it is not.
    pub(crate) async fn prepare_folder(
        &mut self,
        folder: &str,
    ) -> Result<FolderState, ImportError> {
        if let Ok(state) = self.folder_state(folder).await? {
            return Ok(state);
        }
        let mailbox = quoted_mailbox(folder);
        let (_, created) = self.command(&format!("CREATE {mailbox}")).await?;
        if created.kind == StatusKind::Ok {
            // Where this fails the folder is there all the same, only not subscribed.
            self.command(&format!("SUBSCRIBE {mailbox}")).await?;
        }
        let state = self.folder_state(folder).await?;
        state.map_err(|status| match created.kind {
            StatusKind::Ok => ImportError::folder(folder, &status),
            // The answer to CREATE says why, that to STATUS only that it is not there.
            _ => ImportError::folder(folder, &created),
        })
    }

    /// What the folder holds now, or why the server does not say.
    pub(crate) async fn folder_state(
        &mut self,
        folder: &str,
    ) -> Result<Result<FolderState, Status>, ImportError> {
        let mailbox = quoted_mailbox(folder);
        let line = format!("STATUS {mailbox} (UIDVALIDITY UIDNEXT)");
        let (data, status) = self.command(&line).await?;
        let state = data.iter().find_map(|text| parse_folder_state(text));
        Ok(match (status.kind, state) {
            (StatusKind::Ok, Some(state)) => Ok(state),
            _ => Err(status),
        })
    }

    /// Says goodbye; how the server takes it does not matter any more.
    pub(crate) async fn log_out(mut self) {
        let _ = timeout(Duration::from_secs(2), self.command("LOGOUT")).await;
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
                "it says nothing (a port for TLS, or for another protocol?)",
            )),
            Err(ImportError::HungUp { .. }) => Err(not_imap(
                &address,
                "it hung up without a greeting (a port for TLS, or too many connections?)",
            )),
            Err(error) => Err(error),
        }
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Result<(), ImportError> {
        let refused = |reason: &str| ImportError::Login {
            user: user.to_owned(),
            reason: reason.to_owned(),
        };
        let status = if self.capabilities.has("AUTH=PLAIN") {
            self.authenticate_plain(user, password).await?
        } else if self.capabilities.has("LOGINDISABLED") {
            return Err(refused(
                "it takes passwords only over TLS, which is not in this version",
            ));
        } else if [user, password]
            .iter()
            .any(|text| !text.is_ascii() || text.contains(char::is_control))
        {
            return Err(refused(
                "it offers LOGIN only, which takes no characters beyond ASCII",
            ));
        } else {
            let line = format!("LOGIN {} {}", quoted(user), quoted(password));
            self.command(&line).await?.1
        };
        if status.kind != StatusKind::Ok {
            return Err(refused(&status.reason()));
        }
        match status.capabilities() {
            Some(words) => self.capabilities = Capabilities::parse(words),
            None => self.ask_capabilities().await?,
        }
        Ok(())
    }

    /// AUTHENTICATE PLAIN (RFC 4616): takes any user and password, and needs no quoting.
    async fn authenticate_plain(
        &mut self,
        user: &str,
        password: &str,
    ) -> Result<Status, ImportError> {
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        if self.capabilities.has("SASL-IR") {
            let line = format!("AUTHENTICATE PLAIN {response}");
            return Ok(self.command(&line).await?.1);
        }
        let tag = self.tag();
        let head = tag_text(tag);
        let address = self.address.clone();
        let failed = |error| ImportError::from_send(&address, error);
        let line = [head.as_bytes(), b" AUTHENTICATE PLAIN\r\n"];
        self.sender.send(line).await.map_err(failed)?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut is_said = false;
        loop {
            match self.response(deadline, None).await? {
                Response::Continue(_) if is_said => {
                    return Err(ImportError::Login {
                        user: user.to_owned(),
                        reason: "it asks for more than PLAIN has to say".to_owned(),
                    });
                }
                Response::Continue(_) => {
                    let line = [response.as_bytes(), b"\r\n"];
                    self.sender.send(line).await.map_err(failed)?;
                    is_said = true;
                }
                Response::Tagged(answered, status) if answered == tag => return Ok(status),
                _ => {}
            }
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), ImportError> {
        let (data, _) = self.command("CAPABILITY").await?;
        let words = data.iter().find_map(|text| strip_word(text, "CAPABILITY"));
        self.capabilities = Capabilities::parse(words.unwrap_or_default());
        Ok(())
    }

    async fn response(
        &mut self,
        deadline: Instant,
        said: Option<String>,
    ) -> Result<Response, ImportError> {
        // A server that writes its answer in pieces, with Nagle on, waits for this ACK.
        let _ = uncork::quickack(self.sender.get_ref().as_ref());
        match timeout_at(deadline, self.responses.next()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(ImportError::from_response(&self.address, error, said)),
            Err(_) => Err(ImportError::Silent {
                address: self.address.clone(),
                after: ANSWER_TIMEOUT,
            }),
        }
    }
}

/// Tries the addresses of the host one after the other.
async fn connect(target: &Target, options: &Options) -> Result<(String, TcpStream), ImportError> {
    let address = format!("{}:{}", target.host, target.port);
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let found: Vec<SocketAddr> = found
        .map_err(|source| ImportError::Resolve {
            host: target.host.clone(),
            source,
        })?
        .collect();
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    for addr in found {
        if !addr.ip().is_loopback() && !options.allow_plaintext {
            return Err(ImportError::Plaintext { address });
        }
        match timeout(CONNECT_TIMEOUT, dial(addr, options.segment_bytes_max)).await {
            Ok(Ok(stream)) => {
                if let Some(on_connect) = &options.on_connect {
                    on_connect(stream.as_fd());
                }
                return Ok((address, stream));
            }
            Ok(Err(error)) => last_error = error,
            Err(_) => last_error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(ImportError::Connect {
        address,
        source: last_error,
    })
}

async fn dial(addr: SocketAddr, segment_bytes_max: Option<u32>) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    if let Some(bytes) = segment_bytes_max {
        SockRef::from(&socket).set_tcp_mss(bytes)?;
    }
    let stream = socket.connect(addr).await?;
    // A peer that takes nothing for this long is gone: sends have no timeout of their own.
    #[cfg(target_os = "linux")]
    SockRef::from(&stream).set_tcp_user_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Reads `STATUS "x" (UIDVALIDITY 3 UIDNEXT 4)`.
fn parse_folder_state(text: &str) -> Option<FolderState> {
    // Some servers say more behind the list, if only a space.
    let list = strip_word(text, "STATUS")?.rsplit_once('(')?.1;
    let words: Vec<&str> = list.split(')').next()?.split_whitespace().collect();
    let number = |name: &str| {
        let mut pairs = words.chunks_exact(2);
        pairs.find_map(|pair| {
            let is_named = pair[0].eq_ignore_ascii_case(name);
            is_named.then(|| pair[1].parse().ok()).flatten()
        })
    };
    Some(FolderState {
        uid_validity: number("UIDVALIDITY")?,
        uid_next: number("UIDNEXT")?,
    })
}

impl From<ResponseError> for io::Error {
    fn from(error: ResponseError) -> Self {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_states() {
        let state = |uid_validity, uid_next| {
            Some(FolderState {
                uid_validity,
                uid_next,
            })
        };
        for (text, expected) in [
            ("STATUS INBOX (UIDVALIDITY 3 UIDNEXT 4)", state(3, 4)),
            (
                "status \"a (b)\" (uidnext 9 X 1 uidvalidity 0)",
                state(0, 9),
            ),
            ("STATUS INBOX (UIDVALIDITY 3 UIDNEXT 4) ", state(3, 4)),
            ("STATUS INBOX (UIDVALIDITY 3)", None),
            ("STATUS INBOX (UIDVALIDITY x UIDNEXT 4)", None),
            ("LIST INBOX (UIDVALIDITY 3 UIDNEXT 4)", None),
            ("STATUS", None),
        ] {
            assert_eq!(parse_folder_state(text), expected, "{text}");
        }
    }
}
