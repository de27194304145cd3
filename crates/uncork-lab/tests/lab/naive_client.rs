//! The naive client says, byte for byte and piece for piece, what CPython's imaplib says.
#![expect(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, in helpers too"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use socket2::SockRef;
use uncork_lab::naive_client::{ClientError, Manner, NaiveClient};

const MANNERS: [Manner; 4] = [
    Manner::Naive,
    Manner::NoDelay,
    Manner::Corked,
    Manner::WholeMessage,
];

/// One step of a scripted peer.
enum Step {
    Say(&'static str),
    /// The next bytes must be these, and nothing may have come behind them: the client waits.
    Hear(&'static str),
}
use Step::{Hear, Say};

fn peer(steps: Vec<Step>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let play = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        for step in steps {
            match step {
                Say(words) => (&stream).write_all(words.as_bytes()).unwrap(),
                Hear(words) => hear(&stream, words),
            }
        }
    });
    (addr, play)
}

fn hear(mut stream: &TcpStream, words: &str) {
    let mut came = vec![0; words.len()];
    stream.read_exact(&mut came).unwrap();
    assert_eq!(String::from_utf8_lossy(&came), words);
    stream.set_nonblocking(true).unwrap();
    let more = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    assert!(
        more.is_err() || matches!(more, Ok(0)),
        "the client did not wait after {words:?}"
    );
}

fn opening() -> Vec<Step> {
    vec![
        Say("* OK hello\r\n"),
        Hear("KLAB0 CAPABILITY\r\n"),
        Say("* CAPABILITY IMAP4rev1\r\nKLAB0 OK done\r\n"),
    ]
}

#[test]
fn a_session_says_what_imaplib_says() {
    for manner in MANNERS {
        let mut steps = opening();
        steps.extend([
            Hear("KLAB1 LOGIN anna \"pa\\\"ss\\\\word\"\r\n"),
            Say("KLAB1 OK\r\n"),
            Hear("KLAB2 APPEND Archive (\\Seen \\Flagged) \"17-Jul-1996 02:44:25 -0700\" {10}\r\n"),
            Say("* 4 EXISTS\r\n+ ok\r\n"),
            Hear("0123456789\r\n"),
            Say("KLAB2 OK [APPENDUID 1 2] stored\r\n"),
            Hear("KLAB3 APPEND INBOX {0}\r\n"),
            Say("+\r\n"),
            Hear("\r\n"),
            Say("KLAB3 OK\r\n"),
            Hear("KLAB4 LOGOUT\r\n"),
            Say("* BYE\r\nKLAB4 OK\r\n"),
        ]);
        let (addr, play) = peer(steps);
        let mut client = NaiveClient::connect(addr, manner, None).unwrap();
        client.login("anna", r#"pa"ss\word"#).unwrap();
        let date = Some("17-Jul-1996 02:44:25 -0700");
        client
            .append("Archive", r"\Seen \Flagged", date, b"0123456789")
            .unwrap();
        client.append("", "", None, b"").unwrap();
        client.logout().unwrap();
        play.join().unwrap();
    }
}

#[test]
fn options_are_those_of_the_manner() {
    for manner in MANNERS {
        let (addr, play) = peer(opening());
        let client = NaiveClient::connect(addr, manner, Some(1000)).unwrap();
        let socket = SockRef::from(client.stream());
        let nodelay = matches!(manner, Manner::NoDelay | Manner::WholeMessage);
        assert_eq!(socket.tcp_nodelay().unwrap(), nodelay, "{manner:?}");
        assert!(!socket.tcp_cork().unwrap(), "{manner:?}");
        assert!(socket.tcp_mss().unwrap() <= 1000, "{manner:?}");
        play.join().unwrap();
    }
}

/// One segment is read whole, so what leaves together is always read together. What leaves
/// apart may melt together in the peer's buffer before it is read, but hardly 20 times in a row
/// where Nagle holds the CRLF back.
#[test]
fn pieces_leave_as_the_manner_says() {
    for manner in MANNERS {
        let (addr, play) = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let play = thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                literals_read_whole(&stream)
            });
            (addr, play)
        };
        let mut client = NaiveClient::connect(addr, manner, None).unwrap();
        for _ in 0..20 {
            client.append("INBOX", "", None, &[b'x'; 500]).unwrap();
        }
        client.logout().unwrap();
        let whole = play.join().unwrap();
        match manner {
            Manner::Naive => assert!(whole < 20, "{whole} of 20 in one piece"),
            Manner::NoDelay => {}
            Manner::Corked | Manner::WholeMessage => assert_eq!(whole, 20, "{manner:?}"),
        }
    }
}

/// Serves APPENDs as a naive server does, and counts those whose literal came together with its
/// CRLF.
fn literals_read_whole(mut stream: &TcpStream) -> usize {
    let mut reader = BufReader::new(stream);
    stream.write_all(b"* OK hello\r\n").unwrap();
    let mut whole = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        let tag = line.split(' ').next().unwrap().to_owned();
        if line.ends_with("{500}\r\n") {
            stream.write_all(b"+ ok\r\n").unwrap();
            let first = reader.fill_buf().unwrap().len();
            whole += usize::from(first == 502);
            let mut literal = [0; 502];
            reader.read_exact(&mut literal).unwrap();
            assert!(literal.ends_with(b"x\r\n"));
        }
        stream
            .write_all(format!("{tag} OK\r\n").as_bytes())
            .unwrap();
        line.clear();
    }
    whole
}

#[test]
fn refusals_name_the_servers_words() {
    let append = "KLAB1 APPEND Sent {4}\r\n";
    for (answers, expected) in [
        (
            vec![Hear(append), Say("KLAB1 NO [TRYCREATE] no such folder\r\n")],
            "the server refused APPEND: KLAB1 NO [TRYCREATE] no such folder",
        ),
        (
            vec![
                Hear(append),
                Say("+ ok\r\n"),
                Hear("mail\r\n"),
                Say("KLAB1 NO [OVERQUOTA] full\r\n"),
            ],
            "the server refused APPEND: KLAB1 NO [OVERQUOTA] full",
        ),
        (
            vec![Hear(append), Say("220 smtp.example.org\r\n")],
            "the server said what was not expected here: 220 smtp.example.org",
        ),
        (
            vec![Hear(append), Say("* BYE going down\r\n")],
            "the server closed the connection after it said: * BYE going down",
        ),
    ] {
        let mut steps = opening();
        steps.extend(answers);
        let (addr, play) = peer(steps);
        let mut client = NaiveClient::connect(addr, Manner::NoDelay, None).unwrap();
        let error = client.append("Sent", "", None, b"mail").unwrap_err();
        assert_eq!(error.to_string(), expected);
        play.join().unwrap();
    }
}

#[test]
fn an_unwelcome_client_says_why() {
    let (addr, play) = peer(vec![Say("* BYE too many connections\r\n")]);
    let error = NaiveClient::connect(addr, Manner::Naive, None).unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("too many connections"));
    play.join().unwrap();
}
