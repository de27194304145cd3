//! `cargo xtask peer`: servers that a bench runs as processes of their own, so that their CPU
//! time can be told from its own.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use uncork_lab::http::bare::serve_epoll;
use uncork_lab::http::bare_tokio::serve_tokio;
use uncork_lab::http::response;

#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// Answer every request with the same response, and parse nothing.
    Bare {
        /// What waits for the sockets.
        #[arg(long)]
        runtime: Runtime,
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// The length of the response's body.
        #[arg(long)]
        body_bytes: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    Epoll,
    Tokio,
}

impl Runtime {
    /// Its name as an argument.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Tokio => "tokio",
        }
    }
}

/// Serves until it is killed.
pub(crate) fn run(peer: &Peer) -> Result<()> {
    let Peer::Bare {
        runtime,
        listen,
        body_bytes,
    } = peer;
    let listener = TcpListener::bind(listen).with_context(|| format!("can't bind {listen}"))?;
    let response = response(*body_bytes);
    match runtime {
        Runtime::Epoll => serve_epoll(listener, &response)?,
        Runtime::Tokio => serve_tokio(listener, &response)?,
    }
    Ok(())
}
