//! Sockets of this process and of others.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is how they fail"
)]

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use uncork::TcpInfo;
use uncork_lab::python::Python;
use uncork_lab::requirement;
use uncork_sockets::{Process, Socket, Transport, children, command, command_line};

fn sockets(process: &Process) -> Vec<Socket> {
    let descriptors = process.descriptors().unwrap();
    let sockets = descriptors.iter().map(|one| process.socket(one.number));
    sockets.filter_map(Result::unwrap).collect()
}

#[test]
fn the_same_socket_is_told_from_its_successor() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let other = TcpStream::connect(address).unwrap();
    let process = Process::open(std::process::id()).unwrap();
    let (number, cookie) = {
        let socket = process.socket(stream.as_raw_fd()).unwrap().unwrap();
        (socket.number(), socket.cookie())
    };
    let same = process.same_socket(number, cookie).unwrap().unwrap();
    assert!(!same.nodelay().unwrap() && !same.corked().unwrap());
    assert_eq!(TcpInfo::of(&same).unwrap().state, 1);
    // Another socket, a file, no descriptor.
    let file = std::fs::File::open("/dev/null").unwrap();
    for number in [other.as_raw_fd(), file.as_raw_fd(), 99_999] {
        assert!(process.same_socket(number, cookie).unwrap().is_none());
    }
}

#[test]
fn of_this_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    let process = Process::open(std::process::id()).unwrap();
    let descriptors = process.descriptors().unwrap();
    let has = |fd: i32| descriptors.iter().any(|descriptor| descriptor.number == fd);
    for fd in [
        listener.as_raw_fd(),
        stream.as_raw_fd(),
        datagrams.as_raw_fd(),
        unix.as_raw_fd(),
    ] {
        assert!(has(fd), "{fd} in {descriptors:?}");
    }
    let other = |fd: i32| process.socket(fd).unwrap().is_none();
    assert!(other(datagrams.as_raw_fd()) && other(unix.as_raw_fd()) && other(0) && other(99_999));

    let found = process.socket(stream.as_raw_fd()).unwrap().unwrap();
    let inode = descriptors
        .iter()
        .find(|one| one.number == found.number())
        .unwrap()
        .inode;
    assert_eq!(found.inode(), inode);
    assert_eq!(found.local(), stream.local_addr().unwrap());
    assert_eq!(found.remote(), Some(stream.peer_addr().unwrap()));
    assert_eq!(
        (found.is_listening(), found.transport()),
        (false, Transport::Tcp)
    );
    assert_ne!(found.as_raw_fd(), stream.as_raw_fd());
    assert_eq!(TcpInfo::of(&found).unwrap().state, 1);
    assert!(!found.corked().unwrap());
    found.set_nodelay(true).unwrap();
    assert!(found.nodelay().unwrap() && stream.nodelay().unwrap());
    found.set_nodelay(false).unwrap();
    assert!(!stream.nodelay().unwrap());

    let waiting = process.socket(listener.as_raw_fd()).unwrap().unwrap();
    assert!(waiting.is_listening());
    assert_eq!(waiting.remote(), None);
    // Another duplicate is the same socket; another socket never has its cookie.
    let again = process.socket(stream.as_raw_fd()).unwrap().unwrap();
    assert_eq!(again.cookie(), found.cookie());
    assert_ne!(waiting.cookie(), found.cookie());
    // The duplicate outlives what it was made of.
    drop(stream);
    TcpInfo::of(&OwnedFd::from(found)).unwrap();
}

#[test]
fn of_another_process() {
    let program = "
import os, socket
a = socket.create_server(('127.0.0.1', 0))
b = socket.create_server(('::1', 0), family=socket.AF_INET6)
c = socket.create_connection(a.getsockname()[:2])
d = socket.create_connection(b.getsockname()[:2])
both = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True)
mapped = socket.create_connection(('127.0.0.1', both.getsockname()[1]))
inner, _ = both.accept()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
unix = socket.socketpair()
raw = os.pipe()
fresh = socket.socket()
print(*[one.fileno() for one in (a, b, c, d, both, mapped, inner, fresh)], flush=True)
input()
c.close(); d.close()
print('closed', flush=True)
input()
";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    let mut expected: Vec<i32> = python
        .line()
        .unwrap()
        .split(' ')
        .map(|fd| fd.parse().unwrap())
        .collect();
    let (c, inner) = (expected[2], expected[6]);
    expected.sort_unstable();
    let process = Process::open(python.pid()).unwrap();
    process.check_permission().unwrap();
    let found = sockets(&process);
    let numbers: Vec<i32> = found.iter().map(Socket::number).collect();
    assert_eq!(numbers, expected);
    let listening = found.iter().filter(|socket| socket.is_listening()).count();
    let connected = found
        .iter()
        .filter(|socket| socket.remote().is_some())
        .count();
    assert_eq!((listening, connected), (3, 4));
    let inner = found
        .iter()
        .find(|socket| socket.number() == inner)
        .unwrap();
    assert_eq!(
        inner.local().ip().to_string(),
        "127.0.0.1",
        "IPv4 in an IPv6 socket"
    );

    let before = process.descriptors().unwrap();
    python.say("").unwrap();
    assert_eq!(python.line().unwrap(), "closed");
    // A number that was read before the descriptor was closed.
    assert!(before.iter().any(|descriptor| descriptor.number == c));
    assert!(process.socket(c).unwrap().is_none());
    assert_eq!(process.descriptors().unwrap().len(), before.len() - 2);

    python.say("").unwrap();
    // Ended, and not waited for yet: that is gone, too.
    while process.is_running() {
        std::thread::yield_now();
    }
    assert!(
        process
            .descriptors()
            .map_or_else(|error| error.is_gone(), |all| all.is_empty())
    );
    python.wait().unwrap();
    assert!(process.descriptors().unwrap_err().is_gone());
    assert!(process.socket(c).unwrap_err().is_gone());
    assert!(process.check_permission().unwrap_err().is_gone());
}

#[test]
fn multipath() {
    let program = "
import socket
try:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    one.bind(('127.0.0.1', 0)); one.listen()
    print(one.fileno(), flush=True)
except OSError as error:
    print(error, flush=True)
input()
";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    let line = python.line().unwrap();
    let Ok(number) = line.parse() else {
        return requirement::skip(&format!("no Multipath TCP here: {line}"));
    };
    let process = Process::open(python.pid()).unwrap();
    let socket = process.socket(number).unwrap().unwrap();
    assert_eq!(socket.transport(), Transport::Multipath);
    socket.set_nodelay(true).unwrap();
    assert!(socket.nodelay().unwrap() && socket.is_listening());
}

#[test]
fn a_tree_and_hostile_names() {
    let program = "
import os, sys, threading, time
def fork():
    if os.fork() == 0:
        if os.fork() == 0:
            with open('/proc/self/comm', 'wb') as comm:
                comm.write(b'a) R 1\\x1b[2J\\n')
            print(os.getpid(), flush=True)
        time.sleep(600)
# By a thread, whose children are in a list of their own.
thread = threading.Thread(target=fork)
thread.start()
input()
os.execv(sys.executable, ['\\x1b]0;owned\\x07', '-c', 'print(0, flush=True); input()', 'x' * 5000])
";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    let grandchild: u32 = python.line().unwrap().parse().unwrap();
    let family = children(python.pid());
    assert_eq!(family.len(), 2, "{family:?}");
    assert_eq!(family.last(), Some(&grandchild));
    assert_eq!(command(grandchild).unwrap(), "a) R 1\u{fffd}[2J\u{fffd}");
    python.say("").unwrap();
    assert_eq!(python.line().unwrap(), "0");
    let line = command_line(python.pid()).unwrap();
    assert!(
        line.starts_with("\u{fffd}]0;owned\u{fffd} -c print(0"),
        "{line}"
    );
    assert!(
        line.ends_with("xxx…") && line.chars().count() == 81,
        "{line}"
    );
    let processes: Vec<Process> = family
        .iter()
        .map(|pid| Process::open(*pid).unwrap())
        .collect();
    for process in &processes {
        assert!(process.is_running());
        let pid = i32::try_from(process.pid()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

/// Its first thread ends, as by pthread_exit(3), and another one has its sockets from then on.
const WITHOUT_FIRST_THREAD: &str = "
import ctypes, socket, threading, time
server = socket.create_server(('127.0.0.1', 0))
def serve():
    first = '/proc/self/stat'
    while open(first).read().rsplit(')', 1)[1].split()[0] != 'Z':
        time.sleep(0.001)
    print('alone', flush=True)
    time.sleep(600)
threading.Thread(target=serve).start()
ctypes.CDLL(None).syscall(60 if __import__('platform').machine() == 'x86_64' else 93, 0)
";

#[test]
fn of_a_process_whose_first_thread_has_ended() {
    let Some(mut python) = Python::start(WITHOUT_FIRST_THREAD, &[]) else {
        return;
    };
    assert_eq!(python.line().unwrap(), "alone");
    let process = Process::open(python.pid()).unwrap();
    assert!(process.is_running());
    let descriptors = process.descriptors().unwrap();
    assert!(!descriptors.is_empty());
    // Older kernels have no descriptors of threads.
    let found = sockets(&process);
    assert!(found.is_empty() || found.iter().any(Socket::is_listening));
}
