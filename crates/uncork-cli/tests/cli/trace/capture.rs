//! A packet capture by tcpdump, which knows nothing of uncork: what its figures are held against.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use uncork_lab::requirement;

use crate::signals::kill;

/// Bytes that are kept of each packet: the heads of Ethernet, IPv4 and TCP with their options.
const SNAP_BYTES: usize = 14 + 60 + 60;

/// A file in the format of pcap-savefile(5), with stamps in nanoseconds, of this machine's byte order.
const MAGIC: u32 = 0xa1b2_3c4d;
const FILE_HEAD_BYTES: usize = 24;
const PACKET_HEAD_BYTES: usize = 16;

const ETHERNET_BYTES: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const TCP: u8 = 6;

/// A TCP segment with payload, as it was on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// In nanoseconds; only differences mean something.
    pub(super) at_ns: u64,
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    /// Of the payload.
    pub(super) bytes: usize,
}

/// tcpdump on loopback, while it runs.
pub(super) struct Capture {
    tcpdump: Child,
    stderr: BufReader<std::process::ChildStderr>,
    file: JoinHandle<Vec<u8>>,
}

impl Capture {
    /// Captures what goes to and from this address, or says that the test is skipped as there is no
    /// tcpdump.
    #[track_caller]
    pub(super) fn of(addr: SocketAddr) -> Option<Self> {
        let tcpdump = requirement::program("tcpdump")?;
        let mut tcpdump = Command::new(tcpdump)
            .args(["-i", "lo", "-n", "--immediate-mode", "-U", "-w", "-"])
            .args(["--time-stamp-precision", "nano", "-B", "8192"])
            .args(["-s", &SNAP_BYTES.to_string()])
            .args(["tcp", "port", &addr.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = tcpdump.stdout.take().unwrap();
        let file = thread::spawn(move || {
            let mut file = Vec::new();
            stdout.read_to_end(&mut file).unwrap();
            file
        });
        let mut stderr = BufReader::new(tcpdump.stderr.take().unwrap());
        // It says this when packets are taken.
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert!(
                stderr.read_line(&mut line).unwrap() > 0,
                "tcpdump has ended"
            );
        }
        Some(Self {
            tcpdump,
            stderr,
            file,
        })
    }

    /// Ends it. Fails where it has missed a packet.
    #[track_caller]
    pub(super) fn finish(mut self) -> Vec<Segment> {
        kill(&self.tcpdump, "-INT");
        let file = self.file.join().unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert!(self.tcpdump.wait().unwrap().success(), "{said}");
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        segments(&file)
    }
}

/// The segments with payload in a file.
#[track_caller]
fn segments(file: &[u8]) -> Vec<Segment> {
    let word = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().unwrap());
    let (head, mut rest) = file.split_at_checked(FILE_HEAD_BYTES).unwrap();
    assert_eq!(word(&head[..4]), MAGIC);
    let mut segments = Vec::new();
    while let Some((head, behind)) = rest.split_at_checked(PACKET_HEAD_BYTES) {
        let [seconds, nanos, kept, _] = [0, 4, 8, 12].map(|at| word(&head[at..at + 4]));
        let at_ns = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
        let kept = usize::try_from(kept).unwrap();
        assert!(kept <= SNAP_BYTES, "{kept}");
        let (packet, behind) = behind.split_at_checked(kept).unwrap();
        segments.extend(segment(at_ns, packet));
        rest = behind;
    }
    assert!(rest.is_empty(), "a packet is cut off");
    segments
}

/// `None` where it is no TCP over IPv4, is cut off, or has no payload.
fn segment(at_ns: u64, packet: &[u8]) -> Option<Segment> {
    let (ethernet, packet) = packet.split_at_checked(ETHERNET_BYTES)?;
    if ethernet[12..] != IPV4 || *packet.get(9)? != TCP {
        return None;
    }
    let ip_head_bytes = usize::from(packet.first()? & 0x0f) * 4;
    let number = |bytes: &[u8], at: usize| {
        let pair = bytes.get(at..at + 2)?;
        Some(u16::from_be_bytes([pair[0], pair[1]]))
    };
    let tcp = packet.get(ip_head_bytes..)?;
    let tcp_head_bytes = usize::from(tcp.get(12)? >> 4) * 4;
    let total_bytes = usize::from(number(packet, 2)?);
    let bytes = total_bytes.checked_sub(ip_head_bytes + tcp_head_bytes)?;
    let segment = Segment {
        at_ns,
        from_port: number(tcp, 0)?,
        to_port: number(tcp, 2)?,
        bytes,
    };
    (bytes > 0).then_some(segment)
}

#[test]
fn packets_of_a_file() {
    let mut packet = vec![0; 14 + 20 + 20];
    packet[12..14].copy_from_slice(&IPV4);
    packet[14] = 0x45;
    packet[16..18].copy_from_slice(&(20 + 20 + 7_u16).to_be_bytes());
    packet[14 + 9] = TCP;
    packet[34..36].copy_from_slice(&5000_u16.to_be_bytes());
    packet[36..38].copy_from_slice(&143_u16.to_be_bytes());
    packet[34 + 12] = 5 << 4;
    let mut file = vec![0; FILE_HEAD_BYTES];
    file[..4].copy_from_slice(&MAGIC.to_ne_bytes());
    for word in [2, 3, 54, 61_u32] {
        file.extend(word.to_ne_bytes());
    }
    file.extend(&packet);
    let expected = Segment {
        at_ns: 2_000_000_003,
        from_port: 5000,
        to_port: 143,
        bytes: 7,
    };
    assert_eq!(segments(&file), [expected]);
    packet[17] = 40;
    assert_eq!(segment(0, &packet), None);
    assert_eq!(segment(0, &packet[..40]), None);
    assert_eq!(segment(0, &[]), None);
}
