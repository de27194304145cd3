//! Imports over real sockets: into the lab's server, into scripted peers, into Dovecot.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "import/arrival.rs"]
mod arrival;
#[path = "import/compress.rs"]
mod compress;
#[path = "import/crashes.rs"]
mod crashes;
#[path = "import/dovecot.rs"]
mod dovecot;
#[path = "import/folders.rs"]
mod folders;
#[path = "import/hang_ups.rs"]
mod hang_ups;
#[path = "import/hostile.rs"]
mod hostile;
#[path = "import/imap_reader.rs"]
mod imap_reader;
#[path = "import/journal.rs"]
mod journal;
#[path = "import/link.rs"]
mod link;
#[path = "import/logins.rs"]
mod logins;
#[path = "import/long_mails.rs"]
mod long_mails;
#[path = "import/messy_mails.rs"]
mod messy_mails;
#[path = "import/odd_files.rs"]
mod odd_files;
#[path = "import/peer.rs"]
mod peer;
#[path = "import/random_faults.rs"]
mod random_faults;
#[path = "import/random_mails.rs"]
mod random_mails;
#[path = "import/refusals.rs"]
mod refusals;
#[path = "import/repairs.rs"]
mod repairs;
#[path = "import/support.rs"]
mod support;
#[path = "import/tls.rs"]
mod tls;
