//! Children, and sockets that they share.

use std::process::Command;

use uncork_fix::repair::Target;
use uncork_lab::python::Python;
use uncork_sockets::children;

use crate::support::{Notebook, counts, nodelay};

const FAMILY: &str = "
import os, socket, time
shared = socket.create_server(('127.0.0.1', 0))
if os.fork() == 0:
    own = socket.create_connection(shared.getsockname())
    if os.fork() == 0:
        shared.close()
        more = socket.create_server(('127.0.0.1', 0))
        print(os.getpid(), flush=True)
    time.sleep(600)
input()
shared.close()
print('closed', flush=True)
input()
";

#[test]
fn each_socket_of_a_family_counts_once() {
    let Some(mut python) = Python::start(FAMILY, &[]) else {
        return;
    };
    let grandchild: u32 = python.line().unwrap().parse().unwrap();
    let family = children(python.pid());
    assert_eq!((family.len(), family.last()), (2, Some(&grandchild)));
    let notebook = Notebook::new();
    let alone = Target::new([python.pid()]);
    let all = alone.clone().with_descendants(true);

    let report = notebook.fix(&alone);
    assert_eq!((counts(&report), report.processes), ((1, 0, 0), 1));
    assert_eq!(nodelay(family[0]), (1, 2), "its own is as it was");

    let report = notebook.fix(&all);
    assert_eq!((counts(&report), report.processes), ((2, 1, 0), 3));
    assert_eq!(nodelay(family[0]), (2, 2));
    assert_eq!(nodelay(grandchild), (2, 2));

    // The one who was asked has closed the socket; a child has it still.
    python.ask("").unwrap();
    let report = notebook.undo(&all);
    assert_eq!((counts(&report), report.processes), ((3, 0, 0), 3));
    assert_eq!((nodelay(family[0]), nodelay(grandchild)), ((0, 2), (0, 2)));
}

const HANDED_ON: &str = "
import os, socket, time
server = socket.create_server(('127.0.0.1', 0))
child = os.fork()
if child == 0:
    os.close(1)
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
input()
os._exit(0)
";

#[test]
fn a_socket_that_lives_on_in_a_child_is_found() {
    let Some(mut python) = Python::start(HANDED_ON, &[]) else {
        return;
    };
    let child: u32 = python.line().unwrap().parse().unwrap();
    let notebook = Notebook::new();
    assert_eq!(counts(&notebook.fix(&Target::new([python.pid()]))).0, 1);
    assert_eq!(nodelay(child), (1, 1));
    // The one that the record names ends.
    let _ = python.ask("");
    let report = notebook.undo_all();
    assert_eq!(report.changed_count, 1, "{report:?}");
    assert_eq!(nodelay(child), (0, 1));
    assert_eq!(notebook.text(), "");
    let killed = Command::new("kill")
        .args(["-KILL", &child.to_string()])
        .status();
    assert!(killed.unwrap().success());
}
