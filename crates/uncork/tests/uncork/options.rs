//! Options, as the kernel has them afterwards.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;
use uncork::{ListenOptions, Sender, TcpInfo, quickack, set_unsent_limit};
use uncork_lab::place;

use crate::support::{pair, wait_until};

fn bind(options: &ListenOptions) -> TcpListener {
    options.bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// The accepted side of a new connection, and the connecting one.
fn accept(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

#[test]
fn accepted_sockets_have_nodelay() {
    let (accepted, client) = accept(&bind(&ListenOptions::new()));
    assert!(accepted.nodelay().unwrap());
    assert!(!client.nodelay().unwrap());
    let (accepted, _client) = accept(&bind(&ListenOptions::default().backlog(1)));
    assert!(accepted.nodelay().unwrap());
}

#[test]
fn ipv6_addresses_are_bound_too() {
    match ListenOptions::new().bind("[::1]:0".parse().unwrap()) {
        Ok(listener) => assert!(accept(&listener).0.nodelay().unwrap()),
        Err(error) => uncork_lab::requirement::skip(&format!("no IPv6 loopback: {error}")),
    }
}

#[test]
fn both_wildcards_share_a_port_where_ipv6_is_alone() {
    let options = ListenOptions::new().only_v6();
    let v4 = options.bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let mut address: SocketAddr = "[::]:0".parse().unwrap();
    address.set_port(v4.local_addr().unwrap().port());
    match options.bind(address) {
        Ok(v6) => assert!(SockRef::from(&v6).only_v6().unwrap()),
        Err(error) => uncork_lab::requirement::skip(&format!("no IPv6: {error}")),
    }
}

#[test]
fn a_deferred_connection_is_accepted_with_its_first_bytes() {
    let listener = bind(&ListenOptions::new().defer_accept(Duration::from_secs(60)));
    listener.set_nonblocking(true).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The client's handshake is done, and still there is nobody to accept.
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    client.write_all(b"?").unwrap();
    wait_until(|| match listener.accept() {
        Ok((mut accepted, _)) => {
            accepted.set_nonblocking(true).unwrap();
            accepted.read_exact(&mut [0]).unwrap();
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    });
}

#[test]
fn two_listeners_share_a_port_only_where_asked_to() {
    let options = ListenOptions::new().reuse_port();
    let first = bind(&options);
    assert!(SockRef::from(&first).reuse_port().unwrap());
    let addr = first.local_addr().unwrap();
    let second = options.bind(addr).unwrap();
    assert_eq!(second.local_addr().unwrap(), addr);
    let alone = ListenOptions::new().bind(addr).unwrap_err();
    assert_eq!(alone.kind(), ErrorKind::AddrInUse);
}

#[test]
fn an_unsent_limit_is_inherited_or_set() {
    let (accepted, client) = accept(&bind(&ListenOptions::new().unsent_limit(16_384)));
    assert_eq!(
        SockRef::from(&accepted).tcp_notsent_lowat().unwrap(),
        16_384
    );
    set_unsent_limit(&client, 32_768).unwrap();
    assert_eq!(SockRef::from(&client).tcp_notsent_lowat().unwrap(), 32_768);
}

#[test]
fn segments_are_bounded() {
    let bound = place::SEGMENT_BYTES_MAX;
    let (accepted, _client) = accept(&bind(&ListenOptions::new().segment_bytes_max(bound)));
    let info = TcpInfo::of(&accepted).unwrap();
    // TCP timestamps, where they are on, take 12 bytes of it.
    assert!(
        [bound, bound - 12].contains(&info.send_segment_bytes),
        "{info:?}"
    );
    let facts = Sender::new(&accepted).unwrap().facts();
    assert_eq!(facts.segment_bytes, info.send_segment_bytes);
}

#[test]
fn quickack_is_on_afterwards() {
    let (stream, mut reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    // An answer to a request makes the connection look interactive, which turns it off.
    sender.send([&b"?"[..]]).unwrap();
    reader.read_exact(&mut [0]).unwrap();
    reader.write_all(b"!").unwrap();
    (&stream).read_exact(&mut [0]).unwrap();
    quickack(&reader).unwrap();
    assert!(SockRef::from(&reader).tcp_quickack().unwrap());
}

#[test]
fn tcp_info_tells_of_a_connection() {
    let (stream, mut reader) = pair();
    let mut sender = Sender::new(&stream).unwrap();
    let before = TcpInfo::of(&stream).unwrap();
    assert_eq!(before.state, 1, "ESTABLISHED");
    assert_eq!(before.data_segments_out, Some(0));
    let bytes = [0; 5000];
    sender.send([&bytes[..]]).unwrap();
    reader.read_exact(&mut [0; 5000]).unwrap();
    wait_until(|| TcpInfo::of(&stream).unwrap().unacked_segments == 0);
    let after = TcpInfo::of(&stream).unwrap();
    assert_eq!(after.unsent_bytes, Some(0));
    assert_eq!(after.holds_small_segment(), Some(false));
    assert!(after.sent_bytes.unwrap() >= 5000);
    // The SYN counts as a byte here.
    let acked_bytes = after.acked_bytes.unwrap();
    assert!((5000..=5001).contains(&acked_bytes), "{acked_bytes}");
    let least_segments = sender.facts().least_segments(5000);
    assert!(u64::from(after.data_segments_out.unwrap()) >= least_segments);
    assert!(after.segments_out.unwrap() >= after.data_segments_out.unwrap());
    assert!(after.send_segment_bytes > 0 && after.congestion_window_segments > 0);
    assert!(after.send_window_bytes.unwrap() > 0);
    assert!(after.retransmit_timeout > Duration::ZERO && after.rtt > Duration::ZERO);
    let peer = TcpInfo::of(&reader).unwrap();
    assert!(u64::from(peer.data_segments_in.unwrap()) >= least_segments);
}

#[test]
fn what_is_no_tcp_socket_is_an_error() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (unix, _peer) = UnixStream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    assert!(Sender::new(&udp).is_err());
    assert!(Sender::new(&unix).is_err());
    assert!(Sender::new(&file).is_err());
    assert!(TcpInfo::of(&udp).is_err());
    assert!(TcpInfo::of(&unix).is_err());
    assert!(quickack(&udp).is_err());
    assert!(quickack(&unix).is_err());
    assert!(set_unsent_limit(&udp, 1).is_err());
}
