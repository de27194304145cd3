//! Sockets to come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use uncork_fix::repair::{Change, Event, Repairer, Report, Target};
use uncork_lab::python::Python;

use crate::support::{Notebook, counts, nodelay};

/// Long enough for a slow machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watch {
    stop: Arc<AtomicBool>,
    changes: Receiver<Change>,
    thread: JoinHandle<Report>,
}

impl Watch {
    fn start(notebook: &Notebook, target: Target) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, changes) = channel();
        let (record, is_stopped) = (notebook.record(), Arc::clone(&stop));
        let thread = spawn(move || {
            let say = |event: Event<'_>| {
                if let Event::Changed(change) = event {
                    send.send(change.clone()).unwrap();
                }
            };
            let mut repairer = Repairer::new(say).with_record(record);
            repairer.watch(&target, &is_stopped);
            repairer.finish()
        });
        Self {
            stop,
            changes,
            thread,
        }
    }

    fn next(&self) -> Change {
        self.changes.recv_timeout(PATIENCE).unwrap()
    }
}

const COMING: &str = "
import os, socket, sys
a = socket.create_server(('127.0.0.1', 0))
def one(what):
    made = socket.create_connection(a.getsockname())
    print(what, os.getpid(), made.fileno(), flush=True)
    sys.stdin.readline()
    return made
print('ready', flush=True)
sys.stdin.readline()
first = one('first')
if os.fork() == 0:
    one('child')
    if os.fork() == 0:
        one('grandchild')
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
";

#[test]
fn sockets_and_children_that_come() {
    let Some(mut python) = Python::start(COMING, &[]) else {
        return;
    };
    python.line().unwrap();
    let notebook = Notebook::new();
    let target = Target::new([python.pid()]).with_descendants(true);
    let watch = Watch::start(&notebook, target);
    assert!(watch.next().is_listening);
    python.say("").unwrap();
    for what in ["first", "child", "grandchild"] {
        let line = python.line().unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let change = watch.next();
        assert_eq!(words[0], what);
        let found = (change.pid.to_string(), change.fd.to_string());
        assert_eq!((&*found.0, &*found.1), (words[1], words[2]));
        python.say("").unwrap();
    }
    // It ends when the last process does.
    python.wait().unwrap();
    let report = watch.thread.join().unwrap();
    assert_eq!(
        (counts(&report), report.processes),
        ((4, 0, 0), 3),
        "{report:?}"
    );
    // Each once, and nothing else.
    assert!(watch.changes.try_recv().is_err());
}

#[test]
fn it_stops_when_told_to() {
    let program = "
import socket
a = socket.create_server(('127.0.0.1', 0))
print('ready', flush=True)
input()
b = socket.create_connection(a.getsockname())
print('connected', flush=True)
input()
c = socket.create_connection(a.getsockname())
print('connected', flush=True)
input()
";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    python.line().unwrap();
    let (notebook, target) = (Notebook::new(), Target::new([python.pid()]));
    let watch = Watch::start(&notebook, target.clone());
    assert!(watch.next().is_listening);
    python.ask("").unwrap();
    assert!(watch.next().remote.is_some());
    watch.stop.store(true, Ordering::Relaxed);
    assert_eq!(watch.thread.join().unwrap().changed_count, 2);
    python.ask("").unwrap();
    assert_eq!(nodelay(python.pid()), (2, 3));
    assert_eq!(counts(&notebook.undo(&target)), (2, 0, 0));
    assert_eq!(nodelay(python.pid()), (0, 3));
}
