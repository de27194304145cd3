//! Socket addresses as they lie in a program's memory. The parsing is pure.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileExt;

use super::call::Peer;

/// The longest that says something about TCP: `struct sockaddr_in6`.
const LONGEST_BYTES: usize = 28;

/// The part of a `struct msghdr` that says where the address is: `msg_name` and `msg_namelen`.
const HEADER_BYTES: usize = 12;

/// Reads whom a call connects to out of the memory of the thread that makes it. `None` where that is
/// no address of the Internet.
///
/// # Errors
/// Where the memory may not be read. The thread may be gone or another's meanwhile: the caller has to
/// ask afterwards whether it still waits.
pub(crate) fn read(thread: u32, peer: Peer) -> io::Result<Option<SocketAddr>> {
    if peer == Peer::None {
        return Ok(None);
    }
    let memory = File::open(format!("/proc/{thread}/mem"))?;
    let (at, len) = match peer {
        Peer::Address { at, len } => (at, len),
        Peer::Header { at } => {
            let mut header = [0; HEADER_BYTES];
            memory.read_exact_at(&mut header, at)?;
            name_in(header)
        }
        Peer::None => return Ok(None),
    };
    let mut address = [0; LONGEST_BYTES];
    let len = usize::try_from(len).map_or(LONGEST_BYTES, |len| len.min(LONGEST_BYTES));
    let address = &mut address[..len];
    if at == 0 || address.is_empty() {
        return Ok(None);
    }
    memory.read_exact_at(address, at)?;
    Ok(parse(address))
}

/// Address and length of the name in the first bytes of a `struct msghdr` (64 bits).
fn name_in(header: [u8; HEADER_BYTES]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, len @ ..] = header;
    let at = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    (at, u32::from_ne_bytes(len).into())
}

/// A `struct sockaddr_in` or `sockaddr_in6`.
fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(field(bytes, 0)?);
    let port = u16::from_be_bytes(field(bytes, 2)?);
    let address = match i32::from(family) {
        libc::AF_INET => IpAddr::from(Ipv4Addr::from(field::<4>(bytes, 4)?)),
        libc::AF_INET6 => IpAddr::from(Ipv6Addr::from(field::<16>(bytes, 8)?)),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> Vec<u8> {
        let family = u16::try_from(libc::AF_INET).unwrap().to_ne_bytes();
        [&family[..], &[0x1F, 0x90, 127, 0, 0, 1], &[0; 8]].concat()
    }

    #[test]
    fn addresses_of_all_kinds() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(parse(bytes), expected, "{bytes:?}");
        };
        check(&v4(), Some("127.0.0.1:8080"));
        check(&v4()[..8], Some("127.0.0.1:8080"));
        check(&v4()[..7], None);
        let family = u16::try_from(libc::AF_INET6).unwrap().to_ne_bytes();
        let mut v6 = [&family[..], &[0, 25], &[0; 19], &[1], &[0; 4]].concat();
        v6.truncate(LONGEST_BYTES);
        check(&v6, Some("[0:0:0:0:0:0:0:1]:25"));
        check(&v6[..23], None);
        check(&[1, 0, b'/', b't', b'm', b'p'], None);
        check(&[], None);
    }

    #[test]
    fn memory_of_this_process() {
        let bytes = v4();
        let thread = std::process::id();
        let (at, len) = (bytes.as_ptr() as u64, bytes.len() as u64);
        let expected = parse(&bytes);
        assert!(expected.is_some());
        let found = read(thread, Peer::Address { at, len });
        assert_eq!(found.unwrap(), expected);
        let mut header = [at.to_ne_bytes().as_slice(), &16u32.to_ne_bytes()].concat();
        header.resize(56, 0);
        let at = header.as_ptr() as u64;
        assert_eq!(read(thread, Peer::Header { at }).unwrap(), expected);
        // What a program says about its own memory may be wrong.
        assert!(read(thread, Peer::Address { at: 8, len }).is_err());
        let none = Peer::Address { at: 0, len };
        assert_eq!(read(thread, none).unwrap(), None);
        drop((bytes, header));
    }
}
