//! The demo: what small writes cost on this machine, and what whole messages do about it.
//!
//! Three stories, on embedded servers and over real sockets: [mail](MailStory) into an IMAP server, a
//! header with a [file](WebStory) to a browser, and a [program](ProgramStory) that nobody may change.

use std::io;
use std::time::Instant;

use crate::imap::ServerError;
use crate::naive_client::ClientError;

mod html;
mod mail_story;
mod program_story;
mod report;
mod sentences;
mod web_story;

pub use html::page;
pub use program_story::{Programs, import_naively};
pub use report::{
    DemoReport, Machine, MailManner, MailRow, MailStory, Network, ProgramManner, ProgramRow,
    ProgramStory, Seen, WebRow, WebStory,
};

/// Mails that are generated, unless told otherwise.
pub const MESSAGES_DEFAULT: u32 = 5000;

/// What the demo is about to do, for a progress display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which step this is, from 1 on.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// What it does.
    pub what: String,
}

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A temporary file or a loopback socket.
    #[error("the demo needs {what} and did not get it")]
    System {
        /// What it needed.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The embedded server did not start.
    #[error("the embedded IMAP server did not start")]
    Server(#[from] ServerError),
    /// The naive client failed.
    #[error("the naive client failed")]
    Client(#[from] ClientError),
    /// uncork's own import failed.
    #[error("uncork import failed")]
    Import(#[from] uncork_import::ImportError),
    /// The server does not hold what was sent: a defect of the demo's parts.
    #[error("{sent} mails were sent and {stored} stored")]
    Lost {
        /// Mails sent.
        sent: u64,
        /// Mails stored.
        stored: u64,
    },
}

/// Runs the stories, the first with this many mails, and tells each step before it is made.
///
/// # Errors
/// See [`DemoError`].
pub fn run(
    messages: u32,
    programs: &Programs,
    mut on_step: impl FnMut(&Step),
) -> Result<DemoReport, DemoError> {
    let started = Instant::now();
    let of = mail_story::STEPS + web_story::STEPS + program_story::STEPS;
    let mut number = 0;
    let mut step = |what: String| {
        number += 1;
        on_step(&Step { number, of, what });
    };
    let machine = machine();
    let mail = mail_story::run(messages.max(1) as usize, &mut step)?;
    let web = web_story::run(&mut step).map_err(system("loopback sockets and a file"))?;
    let program = program_story::run(programs, &mut step)?;
    Ok(DemoReport {
        machine,
        seconds: started.elapsed().as_secs_f64(),
        sentences: sentences::sentences(&mail, &web, &program),
        mail,
        web,
        program,
    })
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> DemoError {
    move |source| DemoError::System { what, source }
}

fn machine() -> Machine {
    let uname = rustix::system::uname();
    let now = jiff::Timestamp::now();
    let now = now.round(jiff::Unit::Second).unwrap_or(now);
    Machine {
        kernel: format!(
            "{} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy()
        ),
        cpu: cpu_model().unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        date: now.to_string(),
    }
}

/// The processor's name, where the system tells.
#[must_use]
pub fn cpu_model() -> Option<String> {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    cpu_info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    })
}
