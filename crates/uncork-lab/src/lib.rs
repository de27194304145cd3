#![forbid(unsafe_code)]
//! Embedded servers, links and naive clients.
//!
//! The demo, the tests and the benches of every crate run against these peers: an
//! [IMAP server](imap) that stores into a real Maildir, a private instance of the real
//! [Dovecot](dovecot), [crashes](crash) of an import, a [link] with delay and bandwidth, a client that
//! [sends as CPython's imaplib does](naive_client), the limit of [web servers](http) and the load
//! for them, and deterministic [mail]. The pages of all verbs
//! share their [frame and style](html).

pub mod crash;
pub mod demo;
pub mod dovecot;
pub mod hold;
pub mod html;
pub mod http;
pub mod imap;
pub mod imaplib;
pub mod link;
pub mod mail;
pub mod naive_client;
pub mod place;
pub mod process;
pub mod python;
pub mod requirement;
pub mod scratch;
pub mod seeds;
pub mod web;
