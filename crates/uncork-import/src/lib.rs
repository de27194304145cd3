#![forbid(unsafe_code)]
//! Bulk mail into any IMAP server.
//!
//! An importer that sends APPEND, waits for `+`, sends the mail, and waits for the answer pays
//! two round trips a mail; one that also writes in pieces pays 40 ms more to Nagle's algorithm.
//! This one asks the server for nothing it does not need: with LITERAL+ it never waits, with
//! MULTIAPPEND a hundred mails are one command, and without either the end of one mail and the
//! command for the next leave together, so that one round trip a mail is left.
//!
//! ```no_run
//! use uncork_import::{import, Options, Progress, Source, Target};
//!
//! let source = Source::open("Maildir")?;
//! let target = Target::parse("imap://ada@localhost/Old")?;
//! let outcome = import(&source, &target, &Options::with_password("secret"), &Progress::default());
//! println!("{} mails are in", outcome.report.imported);
//! if let Some(error) = outcome.error {
//!     println!("then: {error}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What counts
//! A mail is imported when the server has said so. A batch that is refused is sent again in
//! halves until the refused mail stands alone, after the server was asked that it kept nothing
//! of it; what goes again comes after what went in meanwhile. Mails whose answer never came are
//! counted as unknown and not sent again.
//!
//! # Limits
//! One connection, no TLS, Maildir and .eml folders only, and no journal: a second run imports
//! everything again.

use std::thread;

use tokio::sync::mpsc;

mod batch;
mod capability;
mod date;
mod encoder;
mod error;
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the engine is yet to use it"
)]
mod journal;
mod lines;
#[expect(
    dead_code,
    reason = "the parts that make and take these come one by one"
)]
mod mail;
mod mailbox;
mod options;
mod outgoing;
mod report;
mod response;
mod session;
mod source;
mod target;
mod upload;
mod window;

pub use error::ImportError;
pub use options::{
    Compress, Credentials, DateFrom, Existing, JournalPlace, Labels, OnConnect, Options, Order,
    Patience, Stop, Strictness, TlsOptions, TokenSource,
};
pub use report::{Progress, REFUSED_LISTED_MAX, Refused, Report};
pub use source::{Source, SourceError, SourceKind};
pub use target::{Target, TargetError};

use crate::batch::Batch;
use crate::session::Session;
use crate::upload::Upload;

/// Batches that have been read and not yet sent: bounds what is in memory to about 16 MiB
/// beside the window.
const BATCHES_AHEAD: usize = 4;

/// How an import ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done, up to the error if there was one.
    pub report: Report,
    /// Why it ended before the last mail.
    pub error: Option<ImportError>,
}

/// Imports all mails of a source. Blocks until the last answer, or the error that ends it.
pub fn import(source: &Source, target: &Target, options: &Options, progress: &Progress) -> Outcome {
    let mut report = Report::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => {
            return Outcome {
                report,
                error: Some(ImportError::Runtime { source }),
            };
        }
    };
    // Disks block: reading has a thread of its own. It ends when nobody takes its batches any
    // more, so the receiver must be gone before the scope waits for it.
    let (batches_in, batches) = mpsc::channel(BATCHES_AHEAD);
    let result = thread::scope(|scope| {
        scope.spawn(move || {
            batch::fill_batches(source, |batch| batches_in.blocking_send(batch).is_ok());
        });
        runtime.block_on(upload(target, options, progress, batches, &mut report))
    });
    let found = source.messages() as u64;
    let told = report.imported + report.refused_messages + report.unknown_messages;
    report.not_sent_messages = found.saturating_sub(told);
    report.subfolders_left_out = source.subfolders() as u64;
    Outcome {
        report,
        error: result.err(),
    }
}

async fn upload(
    target: &Target,
    options: &Options,
    progress: &Progress,
    mut batches: mpsc::Receiver<Batch>,
    report: &mut Report,
) -> Result<(), ImportError> {
    let mut session = Session::open(target, options).await?;
    let before = session.prepare_folder(&target.folder).await?;
    report.connections = 1;
    report.capabilities_used = session.capabilities.used();
    let mut upload = Upload {
        folder: &target.folder,
        report,
        progress,
        before,
    };
    upload.run(session, &mut batches).await
}
