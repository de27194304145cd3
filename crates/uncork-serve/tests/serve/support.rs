//! A site on disk, a server for it in this process, and a client that says what it is told, byte by
//! byte, and believes nothing of a response.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tempfile::TempDir;
use uncork_serve::config::Config;
use uncork_serve::limits::Limits;
use uncork_serve::rules::Rules;
use uncork_serve::{Bound, Server};

/// How long a test waits for what must come: far beyond what a loaded machine needs. It turns a hang
/// into a failure and asserts nothing about time.
pub(crate) const LIVENESS: Duration = Duration::from_secs(60);

/// An address of this machine with a port that the kernel chooses.
pub(crate) fn any_port() -> Vec<SocketAddr> {
    vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]
}

/// What is to be served, and how.
pub(crate) struct Setup {
    folder: TempDir,
    rules: Rules,
    limits: Limits,
    threads: usize,
}

impl Setup {
    /// An empty site with the default rules.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self {
            folder,
            rules: Rules::default(),
            limits: test_limits(),
            threads: 1,
        }
    }

    pub(crate) fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        write(&self.root().join(path), bytes);
        self
    }

    /// A file that was changed so many seconds after the epoch.
    pub(crate) fn file_of(self, path: &str, bytes: impl AsRef<[u8]>, seconds: u64) -> Self {
        write(&self.root().join(path), bytes);
        set_time(&self.root().join(path), seconds);
        self
    }

    pub(crate) fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn start(self) -> Served {
        let mut config = Config::of_root(self.root());
        config.sites[0].rules = Arc::new(self.rules);
        config.limits = self.limits;
        config.threads = Some(self.threads);
        Served::of(self.folder, config)
    }
}

/// The default bounds, but for a drain that ends soon where a test left connections open.
pub(crate) fn test_limits() -> Limits {
    Limits {
        drain_time: Duration::from_secs(1),
        ..Limits::default()
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Served {
    server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
}

impl Served {
    /// Serves by a configuration whose files are in `folder`, at a port that the kernel chooses.
    pub(crate) fn of(folder: TempDir, config: Config) -> Self {
        let config = Config {
            listen: any_port(),
            ..config
        };
        let bound = Bound::new(config, Vec::new()).unwrap();
        let server = bound.start(|| ()).unwrap();
        Self {
            address: server.addresses()[0],
            server: Some(server),
            folder,
        }
    }

    /// Serves by the text of a configuration, with paths relative to a new folder that `files` fills.
    pub(crate) fn by(text: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            write(&folder.path().join(path), bytes);
        }
        let config = configuration(folder.path(), text);
        Self::of(folder, config)
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Ends it as SIGTERM does.
    pub(crate) fn drain(mut self) {
        self.server.take().unwrap().drain().unwrap();
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write(&self.root().join(path), bytes);
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// A client whose way takes segments of this many bytes at most.
    pub(crate) fn client_with_mss(&self, mss: u32) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_tcp_mss(mss).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::new(socket.into())
    }

    /// The response to GET on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        self.get_with(target, "")
    }

    /// The same with more header lines, each with its line end.
    #[track_caller]
    pub(crate) fn get_with(&self, target: &str, lines: &str) -> Response {
        self.client().get_with(target, lines)
    }

    /// The response to these bytes on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.client();
        client.send(request);
        client.response()
    }

    /// Asks until the response is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, target: &str, is_so: impl Fn(&Response) -> bool) -> Response {
        until(|| Some(self.get(target)).filter(&is_so))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let drained = server.drain();
            if !thread::panicking() {
                drained.unwrap();
            }
        }
    }
}

/// A configuration whose paths are relative to `folder`.
#[track_caller]
pub(crate) fn configuration(folder: &Path, text: &str) -> Config {
    let path = folder.join("uncork.toml");
    fs::write(&path, text).unwrap();
    let mut config = Config::load(&path).unwrap();
    config.threads = config.threads.or(Some(1));
    config.limits.drain_time = Duration::from_secs(1);
    config
}

/// Waits for what must come.
#[track_caller]
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(since.elapsed() < LIVENESS, "it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Writes a file, and the folders above it where they are missing.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Puts a file's time of change so many seconds after the epoch.
pub(crate) fn set_time(path: &Path, seconds: u64) {
    set_time_to(path, Duration::from_secs(seconds));
}

/// The same, to the nanosecond.
pub(crate) fn set_time_to(path: &Path, since_epoch: Duration) {
    let time = std::time::UNIX_EPOCH + since_epoch;
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

/// Bytes of which no two neighbouring kilobytes are the same.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0u8..=250).cycle().take(len).collect()
}

/// Compares without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(arrived: &[u8], expected: &[u8]) {
    assert_eq!(arrived.len(), expected.len(), "lengths differ");
    let differs = arrived.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "first byte that differs");
}

/// A GET of HTTP/1.1 for host `a.example`, with more header lines, each with its line end.
pub(crate) fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Received, and of no response yet.
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIVENESS)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends nothing more. What comes is still read.
    pub(crate) fn send_end(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends with a reset instead of an end.
    pub(crate) fn reset(self) {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.get_with(target, "")
    }

    #[track_caller]
    pub(crate) fn get_with(&mut self, target: &str, lines: &str) -> Response {
        self.send(get(target, lines));
        self.response()
    }

    /// The next response, to any method but HEAD.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.response_to_head();
        if !matches!(response.status, 204 | 304) {
            let body_bytes = response.length();
            while self.received.len() < body_bytes {
                assert!(self.read() > 0, "{response:?} ends too early");
            }
            response.body = self.received.drain(..body_bytes).collect();
        }
        response
    }

    /// The next response, to HEAD: without a body.
    #[track_caller]
    pub(crate) fn response_to_head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&self.received, b"\r\n\r\n") {
                break at + 4;
            }
            let so_far = String::from_utf8_lossy(&self.received).into_owned();
            assert!(self.read() > 0, "no response but {so_far:?}");
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        Response::of(&head)
    }

    /// Nothing more comes, and the peer has closed.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        let rest = self.rest();
        let shown = String::from_utf8_lossy(&rest[..rest.len().min(1000)]);
        assert!(rest.is_empty(), "more than expected: {shown:?}");
    }

    /// The connection is as good as new.
    #[track_caller]
    pub(crate) fn is_kept(&mut self) {
        self.send("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(self.response().status, 204);
        assert_eq!(self.received, b"");
    }

    /// All that comes until the peer closes, whatever it is. A reset is an end, too, where the peer
    /// did not want the rest of what was sent.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.received);
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        rest
    }

    /// Takes what is there of a body, and says how much it was.
    #[track_caller]
    pub(crate) fn take(&mut self) -> usize {
        if self.received.is_empty() {
            assert!(self.read() > 0, "the peer has closed");
        }
        std::mem::take(&mut self.received).len()
    }

    fn read(&mut self) -> usize {
        let mut piece = [0; 64 * 1024];
        let read = match self.stream.read(&mut piece) {
            Ok(read) => read,
            Err(error) => panic!("{error}, after {} bytes", self.received.len()),
        };
        self.received.extend_from_slice(&piece[..read]);
        read
    }
}

/// A response whose head was checked.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Checks and takes apart a head: what holds for each response is looked at here.
    #[track_caller]
    fn of(head: &[u8]) -> Self {
        let head = std::str::from_utf8(head).unwrap();
        assert!(head.is_ascii(), "{head:?}");
        let lines = head.strip_suffix("\r\n\r\n").unwrap();
        assert_eq!(
            lines.matches('\n').count(),
            lines.matches("\r\n").count(),
            "{head:?}"
        );
        let mut lines = lines.split("\r\n");
        let line = lines.next().unwrap();
        let (version, rest) = line.split_once(' ').unwrap();
        assert_eq!(version, "HTTP/1.1", "{head:?}");
        let (status, reason) = rest.split_once(' ').unwrap();
        assert!(!reason.is_empty(), "{head:?}");
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{head:?}"));
                assert_eq!(value.trim(), value, "{head:?}");
                let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                assert!(name.bytes().all(is_token) && !name.is_empty(), "{head:?}");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        for (at, (name, _)) in headers.iter().enumerate() {
            let again = headers[..at]
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name));
            assert!(!again, "{name} twice in {head:?}");
        }
        let response = Self {
            status: status.parse().unwrap(),
            headers,
            body: Vec::new(),
        };
        response.check(head);
        response
    }

    #[track_caller]
    fn check(&self, head: &str) {
        if self.status < 500 {
            let date = self.header("date").unwrap_or_else(|| panic!("{head:?}"));
            let time = httpdate::parse_http_date(date).unwrap();
            assert_eq!(httpdate::fmt_http_date(time), date);
        }
        let has_length = self.header("content-length").is_some();
        assert_eq!(has_length, !matches!(self.status, 204 | 304), "{head:?}");
        assert_eq!(self.header("transfer-encoding"), None, "{head:?}");
    }

    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The names of all headers, in their order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn length(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The ETag, which has to be a strong one.
    #[track_caller]
    pub(crate) fn etag(&self) -> String {
        let etag = self.header("etag").unwrap_or_else(|| panic!("{self:?}"));
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2);
        etag.to_owned()
    }

    pub(crate) fn etag_if_any(&self) -> Option<String> {
        self.header("etag").map(str::to_owned)
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}: {}", self.headers, self.text());
        self
    }

    /// Fails unless the header has this value.
    #[track_caller]
    pub(crate) fn has(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), Some(value), "{name} of {self:?}");
        self
    }

    /// Fails where it has this header.
    #[track_caller]
    pub(crate) fn has_no(self, name: &str) -> Self {
        assert_eq!(self.header(name), None, "{self:?}");
        self
    }

    /// Fails unless its body is this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert_eq!(self.text(), text, "{:?}", self.headers);
        self
    }
}
