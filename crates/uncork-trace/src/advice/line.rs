//! The line to write, language by language. Those of Python, Node, Java and Go were tried; of the others the
//! names were read in the language's documentation or source, and not run.

use crate::report::{Cause, Language};

use super::side::Side;

/// The line against a cause. `None` where the language has none, or where one line is not enough.
pub(super) fn line(language: Language, cause: Cause, side: Side) -> Option<&'static str> {
    match cause {
        Cause::Nagle => Some(nodelay(language, side)),
        Cause::Cork => uncork(language),
        Cause::LocalDelayedAck => quickack(language),
        Cause::PacketWaste => Some(collect(language)),
        Cause::StopAndWait => None,
    }
}

/// TCP_NODELAY, once, when the connection is there.
fn nodelay(language: Language, side: Side) -> &'static str {
    match (language, side) {
        (Language::Python, Side::Client(143 | 993)) => {
            "imap.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # imap: of imaplib"
        }
        (Language::Python, Side::Client(25 | 465 | 587)) => {
            "smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # smtp: of smtplib"
        }
        (Language::Python, Side::Client(21)) => {
            "ftp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # ftp: of ftplib"
        }
        (Language::Python, Side::Server) => {
            "sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # http.server, socketserver: \
             disable_nagle_algorithm = True in the handler's class"
        }
        (Language::Python, _) => "sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)",
        (Language::Node, _) => "socket.setNoDelay(true);",
        (Language::Java, Side::Server) => {
            "socket.setTcpNoDelay(true);  // com.sun.net.httpserver: \
             java -Dsun.net.httpserver.nodelay=true"
        }
        (Language::Java, _) => "socket.setTcpNoDelay(true);",
        (Language::DotNet, _) => "socket.NoDelay = true;",
        (Language::Go, _) => "conn.(*net.TCPConn).SetNoDelay(true)",
        (Language::Rust, _) => {
            "stream.set_nodelay(true)?;  // or, with the crate uncork: uncork::Sender::new(stream)?"
        }
        (Language::Php, _) => {
            "socket_set_option($socket, SOL_TCP, TCP_NODELAY, 1);  // streams: \
             stream_context_create(['socket' => ['tcp_nodelay' => true]])"
        }
        (Language::Perl, _) => {
            "setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);  # use Socket qw(IPPROTO_TCP TCP_NODELAY)"
        }
        (Language::Ruby, _) => "socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)",
    }
}

/// TCP_CORK, taken off. Node's and .NET's sockets, Java's and PHP's can't set one by name: in them it
/// comes from a library, which has its own way to take it off.
fn uncork(language: Language) -> Option<&'static str> {
    match language {
        Language::Python => Some("sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)"),
        Language::Go => {
            Some("syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 0)")
        }
        Language::Rust => Some(
            "rustix::net::sockopt::set_tcp_cork(&stream, false)?;  // uncork::Sender does it by itself",
        ),
        Language::Perl => Some(
            "setsockopt($socket, IPPROTO_TCP, TCP_CORK, 0);  # use Socket qw(IPPROTO_TCP TCP_CORK)",
        ),
        Language::Ruby => Some("socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_CORK, 0)"),
        Language::Node | Language::Java | Language::DotNet | Language::Php => None,
    }
}

/// TCP_QUICKACK, before each read. Node can't set it.
fn quickack(language: Language) -> Option<&'static str> {
    match language {
        Language::Python => {
            Some("sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # before each recv")
        }
        Language::Java => Some(
            "socket.setOption(jdk.net.ExtendedSocketOptions.TCP_QUICKACK, true);  // before each read",
        ),
        Language::DotNet => Some(
            "socket.SetRawSocketOption(6, 12, BitConverter.GetBytes(1));  // TCP_QUICKACK, before each Receive",
        ),
        Language::Go => Some(
            "syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)  // before each Read",
        ),
        Language::Rust => Some("uncork::quickack(&stream)?;  // before each read"),
        Language::Php => Some(
            "socket_set_option($socket, SOL_TCP, 12, 1);  // TCP_QUICKACK, before each socket_read",
        ),
        Language::Perl => Some(
            "setsockopt($socket, IPPROTO_TCP, TCP_QUICKACK, 1);  # before each read; from Socket",
        ),
        Language::Ruby => Some(
            "socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_QUICKACK, 1)  # before each read",
        ),
        Language::Node => None,
    }
}

/// The pieces of a message, collected.
fn collect(language: Language) -> &'static str {
    match language {
        Language::Python => "sock.sendall(b\"\".join(pieces))",
        Language::Node => {
            "socket.cork(); /* the writes of a message */ process.nextTick(() => socket.uncork());"
        }
        Language::Java => {
            "var out = new BufferedOutputStream(socket.getOutputStream());  // out.flush() once a message"
        }
        Language::DotNet => {
            "var output = new BufferedStream(stream);  // output.Flush() once a message"
        }
        Language::Go => "w := bufio.NewWriter(conn)  // w.Flush() once a message",
        Language::Rust => {
            "let mut out = std::io::BufWriter::new(stream);  // out.flush()? once a message; \
             or, with the crate uncork: uncork::Sender"
        }
        Language::Php => "fwrite($stream, $head . $body);",
        Language::Perl => "syswrite($socket, join('', @pieces));",
        Language::Ruby => "socket.write(pieces.join)",
    }
}
