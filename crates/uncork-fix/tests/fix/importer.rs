//! CPython's imaplib, which stalls on each mail, repaired while it runs.

use uncork_fix::repair::Target;
use uncork_lab::hold::HoldWatch;
use uncork_lab::imap::{ImapServer, Personality, ServerConfig};
use uncork_lab::imaplib::Importer;
use uncork_sockets::Process;

use crate::support::{Notebook, counts, nodelay};

#[test]
fn a_stalled_importer() {
    const STALLED: u32 = 20;
    const FLUENT: u32 = 300;
    let folder = tempfile::tempdir().unwrap();
    let server = ImapServer::start(ServerConfig {
        personality: Personality::naive(),
        ..ServerConfig::new(folder.path())
    });
    let server = server.unwrap();
    let Some(mut importer) = Importer::start(server.addr()).unwrap() else {
        return;
    };
    let (notebook, target) = (Notebook::new(), Target::new([importer.pid()]));
    let process = Process::open(importer.pid()).unwrap();
    let fd = importer.fd();
    let mut holds = |mails| {
        let socket = process.socket(fd).unwrap().unwrap();
        let watch = HoldWatch::start(socket.into());
        importer.append(mails).unwrap();
        watch.finish().count
    };
    // A new connection acknowledges at once for a while.
    holds(STALLED);
    // A hold of 40 ms is seen a hundred times over; half of them is far from none all the same.
    assert!(holds(STALLED) > u64::from(STALLED / 2));
    assert_eq!(counts(&notebook.fix(&target)), (1, 0, 0));
    assert_eq!(nodelay(process.pid()), (1, 1));
    assert_eq!(holds(FLUENT), 0);
    assert_eq!(counts(&notebook.undo(&target)), (1, 0, 0));
    assert_eq!(nodelay(process.pid()), (0, 1));
    holds(STALLED);
    assert!(holds(STALLED) > u64::from(STALLED / 2));
    assert_eq!(server.stored(), u64::from(4 * STALLED + FLUENT));
}
