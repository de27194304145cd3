//! Children, and sockets that they share.

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
