//! Integration tests.

#[path = "lab/http.rs"]
mod http;
#[path = "lab/imap_client.rs"]
mod imap_client;
#[path = "lab/imap_crashes.rs"]
mod imap_crashes;
#[path = "lab/imap_faults.rs"]
mod imap_faults;
#[path = "lab/imap_folders.rs"]
mod imap_folders;
#[path = "lab/imap_hostile.rs"]
mod imap_hostile;
#[path = "lab/imap_lab.rs"]
mod imap_lab;
#[path = "lab/imap_logins.rs"]
mod imap_logins;
#[path = "lab/imap_server.rs"]
mod imap_server;
#[path = "lab/imap_uploads.rs"]
mod imap_uploads;
#[path = "lab/link.rs"]
mod link;
#[path = "lab/naive_client.rs"]
mod naive_client;
#[path = "lab/segments.rs"]
mod segments;
