//! Where two peers meet: loopback with the segments of a real link, or a veth pair.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Socket, Type};
use uncork::ListenOptions;

/// `TCP_MAXSEG` of a link with an MTU of 1488: segments of 1436 bytes once the 12 bytes of
/// TCP timestamps are off, as paths through PPPoE or a tunnel have them.
pub const SEGMENT_BYTES_MAX: u32 = 1448;

/// A place where a connection can be made.
#[derive(Debug)]
pub enum Place {
    /// 127.0.0.1, with segments bounded as on a real link: left alone, loopback sends 64 KiB
    /// segments and hides every waste.
    Loopback,
    /// Two network namespaces joined by a veth pair with an MTU of 1500. Needs root.
    Veth(VethPair),
}

impl Place {
    /// A connected pair of streams: the accepting side, and the connecting side.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn connect(&self) -> io::Result<(TcpStream, TcpStream)> {
        match self {
            Place::Loopback => {
                let listener = listen(Ipv4Addr::LOCALHOST, Some(SEGMENT_BYTES_MAX))?;
                let client = connect(listener.local_addr()?, Some(SEGMENT_BYTES_MAX))?;
                Ok((listener.accept()?.0, client))
            }
            Place::Veth(pair) => {
                let listener = pair.inside(Side::Server, || listen(Side::Server.addr(), None))?;
                let addr = listener.local_addr()?;
                let client = pair.inside(Side::Client, || connect(addr, None))?;
                Ok((listener.accept()?.0, client))
            }
        }
    }
}

fn listen(addr: Ipv4Addr, segment_bytes_max: Option<u32>) -> io::Result<TcpListener> {
    let mut options = ListenOptions::new();
    if let Some(bytes) = segment_bytes_max {
        options = options.segment_bytes_max(bytes);
    }
    options.bind((addr, 0).into())
}

/// Connects with segments bounded from the first packet on: `TCP_MAXSEG` counts only before
/// `connect`. Every other option is at its default.
///
/// # Errors
/// What the kernel says.
pub fn connect(addr: SocketAddr, segment_bytes_max: Option<u32>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    if let Some(bytes) = segment_bytes_max {
        socket.set_tcp_mss(bytes)?;
    }
    socket.connect(&addr.into())?;
    Ok(socket.into())
}

/// Addresses with ports that nobody has now, for a server that can't be told to take any.
///
/// # Errors
/// Where no port is free.
pub fn free_addrs<const N: usize>(ip: Ipv4Addr) -> io::Result<[SocketAddr; N]> {
    // All at once, so that none is given twice.
    let listeners = (0..N).map(|_| TcpListener::bind((ip, 0)));
    let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
    let mut addrs = [SocketAddr::from((ip, 0)); N];
    for (addr, listener) in addrs.iter_mut().zip(&listeners) {
        *addr = listener.local_addr()?;
    }
    Ok(addrs)
}

/// One end of a veth pair.
#[derive(Debug, Clone, Copy)]
enum Side {
    Server,
    Client,
}

impl Side {
    /// Addresses of TEST-NET-1 (RFC 5737): they exist only within the two namespaces.
    fn addr(self) -> Ipv4Addr {
        match self {
            Side::Server => Ipv4Addr::new(192, 0, 2, 1),
            Side::Client => Ipv4Addr::new(192, 0, 2, 2),
        }
    }

    fn letter(self) -> char {
        match self {
            Side::Server => 's',
            Side::Client => 'c',
        }
    }
}

/// Two network namespaces and the veth pair between them; gone when dropped.
#[derive(Debug)]
pub struct VethPair {
    name: String,
}

impl VethPair {
    /// Makes them with `ip` (Debian: iproute2).
    ///
    /// # Errors
    /// Where `ip` is missing or refuses: without root it does.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pair = Self {
            name: format!("unc{}x{number}", std::process::id()),
        };
        for side in [Side::Server, Side::Client] {
            ip(&format!("netns add {}", pair.namespace(side)))?;
        }
        ip(&format!(
            "link add {s} netns {s} mtu 1500 type veth peer name {c} netns {c} mtu 1500",
            s = pair.namespace(Side::Server),
            c = pair.namespace(Side::Client),
        ))?;
        for side in [Side::Server, Side::Client] {
            let name = pair.namespace(side);
            ip(&format!("-n {name} addr add {}/30 dev {name}", side.addr()))?;
            ip(&format!("-n {name} link set {name} up"))?;
        }
        Ok(pair)
    }

    /// Name of a namespace, and of the link in it (15 characters at most).
    fn namespace(&self, side: Side) -> String {
        format!("{}{}", self.name, side.letter())
    }

    /// Runs `work` in a thread that has moved into one side's namespace: sockets stay in the
    /// namespace in which they were made.
    fn inside<T: Send>(
        &self,
        side: Side,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let namespace = File::open(format!("/run/netns/{}", self.namespace(side)))?;
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind)?;
                work()
            });
            let joined = worker.join();
            joined.map_err(|_| io::Error::other("the thread in the namespace panicked"))?
        })
    }
}

impl Drop for VethPair {
    fn drop(&mut self) {
        for side in [Side::Server, Side::Client] {
            // The link goes with its namespace. A failure leaves an idle namespace behind.
            let _ = ip(&format!("netns delete {}", self.namespace(side)));
        }
    }
}

fn ip(arguments: &str) -> io::Result<()> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {arguments}: {}", said.trim())))
}
