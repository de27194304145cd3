//! One repair of one process, and its undoing.

use uncork_fix::repair::{RefusalKind, Repairer, Target};
use uncork_lab::python::Python;

use crate::support::{Notebook, counts, nodelay, sockets};

/// Seven TCP sockets (one has NODELAY already), and four others. A connection waits to be accepted.
const MIXED: &str = "
import os, socket
a = socket.create_server(('127.0.0.1', 0))
b = socket.create_server(('::1', 0), family=socket.AF_INET6)
c = socket.create_connection(a.getsockname()[:2])
d = socket.create_connection(b.getsockname()[:2])
inner, _ = a.accept()
done = socket.create_connection(a.getsockname()[:2])
done.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
fresh = socket.socket()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
unix = socket.socketpair()
raw = os.pipe()
def options():
    for one in (udp, udp6, *unix):
        print(one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), end=' ')
    print(flush=True)
options()
input()
options()
late = [socket.create_connection(a.getsockname()[:2]), a.accept()[0], a.accept()[0]]
print(*[one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in late], flush=True)
input()
c.close(); inner.close(); late.clear()
print('closed', flush=True)
input()
";

#[test]
fn tcp_sockets_alone_are_changed_and_changed_back() {
    let Some(mut python) = Python::start(MIXED, &[]) else {
        return;
    };
    let before = python.line().unwrap();
    let (notebook, target) = (Notebook::new(), Target::new([python.pid()]));
    assert_eq!(nodelay(python.pid()), (1, 7));
    let report = notebook.fix(&target);
    assert_eq!(counts(&report), (6, 1, 0), "{report:?}");
    assert_eq!((report.not_tcp_count, report.processes), (4, 1));
    assert!(report.is_recorded && report.notes.is_empty());
    assert_eq!(nodelay(python.pid()), (7, 7));
    let listening = report.changed.iter().filter(|change| change.is_listening);
    assert_eq!(listening.count(), 2);
    let v6 = report
        .changed
        .iter()
        .filter(|change| change.local.is_ipv6());
    assert_eq!(v6.count(), 2);
    // NODELAY is no cork's end.
    let corked: Vec<_> = report
        .changed
        .iter()
        .filter(|change| change.is_corked)
        .collect();
    assert_eq!(corked.len(), 1);
    let corked = sockets(python.pid())
        .into_iter()
        .find(|socket| socket.number() == corked[0].fd);
    assert!(corked.unwrap().corked().unwrap());
    for change in &report.changed {
        assert_eq!((change.pid, &*change.command), (python.pid(), "python3"));
        assert_eq!((change.before.nodelay, change.after.nodelay), (false, true));
    }

    // Again: there is nothing left to do, and nothing is written down.
    let written = notebook.text();
    assert_eq!(counts(&notebook.fix(&target)), (0, 7, 0));
    assert_eq!(notebook.text(), written);

    // The others are as they were. What comes later inherits where it is accepted; what had come
    // before, and has not been accepted yet, has no descriptor by which it could be found.
    assert_eq!(python.ask("").unwrap(), before);
    assert_eq!(python.line().unwrap(), "0 0 1");

    // Two of those that were changed are closed before it is undone.
    assert_eq!(python.ask("").unwrap(), "closed");
    let undone = notebook.undo(&target);
    assert_eq!(counts(&undone), (4, 0, 0), "{undone:?}");
    for change in &undone.changed {
        assert_eq!((change.before.nodelay, change.after.nodelay), (true, false));
    }
    assert_eq!(nodelay(python.pid()), (1, 5));
    assert_eq!(notebook.text(), "");
    assert_eq!(counts(&notebook.undo(&target)), (0, 0, 0));
}

#[test]
fn undoing_meets_what_was_done_meanwhile() {
    let program = "
import socket
a = socket.create_server(('127.0.0.1', 0))
b = socket.create_server(('127.0.0.1', 0))
print('ready', flush=True)
input()
a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
print('off', flush=True)
input()
";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    python.line().unwrap();
    let (notebook, target) = (Notebook::new(), Target::new([python.pid()]));
    assert_eq!(notebook.fix(&target).changed_count, 2);
    python.ask("").unwrap();
    // Repaired again, so that one of them is written down twice.
    assert_eq!(counts(&notebook.fix(&target)), (1, 1, 0));
    assert_eq!(notebook.text().split_whitespace().count(), 3);
    assert_eq!(counts(&notebook.undo_all()), (2, 0, 0));
    assert_eq!(nodelay(python.pid()), (0, 2));

    // Off already, by the program itself.
    assert_eq!(notebook.fix(&target).changed_count, 2);
    sockets(python.pid())[0].set_nodelay(false).unwrap();
    assert_eq!(counts(&notebook.undo(&target)), (1, 1, 0));
    assert_eq!(notebook.text(), "");

    // Without a record there is nothing to go by.
    let mut repairer = Repairer::new(|_| {});
    repairer.fix(&target);
    let report = repairer.finish();
    assert!(!report.is_recorded && report.changed_count == 2);
    assert_eq!(counts(&notebook.undo(&target)), (0, 0, 0));
    assert_eq!(nodelay(python.pid()), (2, 2));
}

#[test]
fn a_process_that_is_gone() {
    let program =
        "import socket\na = socket.create_server(('127.0.0.1', 0))\nprint(1, flush=True)\ninput()";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    python.line().unwrap();
    let (notebook, target) = (Notebook::new(), Target::new([python.pid()]));
    assert_eq!(notebook.fix(&target).changed_count, 1);
    python.say("").unwrap();
    python.wait().unwrap();
    for report in [notebook.fix(&target), notebook.undo(&target)] {
        assert_eq!((counts(&report), report.processes), ((0, 0, 1), 0));
        assert_eq!(report.refused[0].kind, RefusalKind::NoProcess);
    }
    assert_eq!(notebook.text(), "", "its sockets are gone with it");
    // One that was found, not named, is no loss.
    let found = Target::default().with_members(vec![python.pid()]);
    assert_eq!(counts(&notebook.fix(&found)), (0, 0, 0));
    assert_eq!(counts(&notebook.undo_all()), (0, 0, 0));
}

/// The id of a process that has ended may be that of a thread.
#[test]
fn an_id_that_was_given_again() {
    let program =
        "import socket\na = socket.create_server(('127.0.0.1', 0))\nprint(1, flush=True)\ninput()";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    python.line().unwrap();
    let notebook = Notebook::new();
    assert_eq!(notebook.fix(&Target::new([python.pid()])).changed_count, 1);
    python.say("").unwrap();
    python.wait().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        send.send(id.cast_unsigned()).unwrap();
        let _ = wait.recv();
    });
    let id = receive.recv().unwrap();
    let written = notebook.text();
    let [old, new] = [python.pid(), id].map(|pid| format!("\"pid\":{pid},"));
    assert!(written.contains(&old), "{written}");
    std::fs::write(notebook.record().path(), written.replace(&old, &new)).unwrap();
    // Who names it hears what it is.
    assert_eq!(counts(&notebook.undo(&Target::new([id]))), (0, 0, 1));
    assert_ne!(notebook.text(), "");
    assert_eq!(counts(&notebook.undo_all()), (0, 0, 0));
    assert_eq!(notebook.text(), "");
    drop(end);
    thread.join().unwrap();
}
