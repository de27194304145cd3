//! `uncork serve` where the system around it is special: sockets that are handed over, and a kernel
//! without openat2.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use uncork_lab::requirement;

use crate::running::Running;
use crate::support::uncork;

/// Long enough for a slow machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program's path, which is run by another one here.
fn program() -> std::ffi::OsString {
    uncork().get_program().to_owned()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks for a target with the connection's last request; the status line and all behind it.
fn ask(mut stream: TcpStream, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// As systemd starts it from a socket unit: the socket is there before and after it, and who connects
/// meanwhile is served by the next one.
#[test]
fn sockets_that_systemd_holds() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("index.html"), "held").unwrap();
    let notify = place.path().join("notify");
    let told = UnixDatagram::bind(&notify).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let word = || {
        let mut bytes = [0; 1000];
        let count = told.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let serve = || {
        // Sockets that are handed over begin at descriptor 3.
        let script =
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --json --root \"$1\" 3<&0 </dev/null";
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .arg(program())
            .arg(place.path());
        command.stdin(OwnedFd::from(held.try_clone().unwrap()));
        command.env("NOTIFY_SOCKET", &notify);
        Running::start(&mut command)
    };
    let mut waiting = connect(address);
    for _ in 0..2 {
        let mut running = serve();
        assert_eq!(
            running.ready["listening"],
            serde_json::json!([address.to_string()])
        );
        assert!(word().contains("READY=1"));
        assert!(ask(waiting, "/").ends_with("held"));
        assert!(ask(connect(address), "/").ends_with("held"));
        running.end();
        assert!(word().contains("STOPPING=1"));
        // It stands in the queue of the socket, which nobody has closed.
        waiting = connect(address);
    }
}

/// Runs a program where openat2 is no system call.
const WITHOUT_OPENAT2: &str = r#"
import ctypes, os, struct, sys
OPENAT2, ENOSYS = 437, 38
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, OPENAT2), (0x06, 0, 0, 0x00050000 | ENOSYS), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
filter = Filter(len(steps), ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0  # PR_SET_SECCOMP
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// Folder by folder, and through no link.
#[test]
fn a_kernel_without_openat2() {
    let Some(python) = requirement::program("python3") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("folder/deep")).unwrap();
    fs::write(root.join("folder/deep/page.html"), "walked to").unwrap();
    fs::write(place.path().join("secret.html"), "not to be seen").unwrap();
    symlink("folder/deep/page.html", root.join("inside.html")).unwrap();
    symlink("../secret.html", root.join("outside.html")).unwrap();
    symlink(place.path(), root.join("above")).unwrap();
    let serve = |command: &mut Command| {
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--root"]);
        Running::start(command.arg(&root))
    };
    let mut command = Command::new(python);
    command.args(["-c", WITHOUT_OPENAT2]).arg(program());
    let mut running = serve(&mut command);
    let (address, ready) = (running.address(), &running.ready);
    assert!(ready.to_string().contains("no openat2"), "{ready}");
    let status = |target: &str| ask(connect(address), target)[..12].to_owned();
    for _ in 0..2 {
        let page = ask(connect(address), "/folder/deep/page.html");
        assert!(page.ends_with("walked to"), "{page}");
        assert_eq!(status("/inside.html"), "HTTP/1.1 403");
        assert_eq!(status("/outside.html"), "HTTP/1.1 403");
        assert_eq!(status("/above/secret.html"), "HTTP/1.1 404");
        assert_eq!(status("/folder/deep"), "HTTP/1.1 301");
        assert_eq!(status("/folder/other.html"), "HTTP/1.1 404");
        assert_eq!(status("/folder/../../secret.html"), "HTTP/1.1 400");
    }
    running.end();
    let mut running = serve(&mut uncork());
    let (address, ready) = (running.address(), &running.ready);
    assert!(!ready.to_string().contains("no openat2"), "{ready}");
    assert!(ask(connect(address), "/inside.html").ends_with("walked to"));
    running.end();
}
