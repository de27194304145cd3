//! What the demo saw, as `uncork demo --json` prints it.

use serde::Serialize;

use crate::web::WebManner;

/// All that one run of the demo saw.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Where it ran.
    pub machine: Machine,
    /// How long it took.
    pub seconds: f64,
    /// The importer's story.
    pub mail: MailStory,
    /// The web server's story.
    pub web: WebStory,
    /// The story of a program that nobody may change.
    pub program: ProgramStory,
    /// What was seen, in four sentences.
    pub sentences: Vec<String>,
}

/// The machine on which figures were taken.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Kernel name and release.
    pub kernel: String,
    /// The processor's name; empty where the system does not tell.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// When, in UTC, to the second (RFC 3339).
    pub date: String,
}

/// One mail after the other into the embedded IMAP server, by several ways of sending.
#[derive(Debug, Clone, Serialize)]
pub struct MailStory {
    /// Mails that were generated. Slow rows take fewer of them, from the first on.
    pub messages: usize,
    /// Bytes of all of them, as they are sent.
    pub bytes: u64,
    /// Round trip of the emulated link, for the rows that cross it.
    pub link_round_trip_ms: f64,
    /// Each way over loopback, then the best over the link.
    pub rows: Vec<MailRow>,
}

/// What mails cross on their way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Loopback as it is.
    Loopback,
    /// Loopback with the segments of a real link (1436 bytes).
    LoopbackRealSegments,
    /// A link with delay, emulated in user space: it delays what is said, not the ACKs.
    Link,
}

/// How mails are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailManner {
    /// As CPython's imaplib: command, wait, literal, CRLF, each with a send of its own.
    Naive,
    /// The same with NODELAY.
    NoDelay,
    /// The same with a cork around literal and CRLF.
    Corked,
    /// Literal and CRLF in one vectored write.
    WholeMessage,
    /// `uncork import` into a server without any extension: one round trip a mail.
    Uncork,
    /// `uncork import` with LITERAL+: pipelined.
    UncorkLiteralPlus,
    /// `uncork import` with LITERAL+ and MULTIAPPEND: pipelined batches.
    UncorkMultiAppend,
}

impl MailManner {
    /// A short name for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive client",
            Self::NoDelay => "naive + NODELAY",
            Self::Corked => "naive + CORK around the message",
            Self::WholeMessage => "one vectored write per message",
            Self::Uncork => "uncork, no extension",
            Self::UncorkLiteralPlus => "uncork, LITERAL+ pipelined",
            Self::UncorkMultiAppend => "uncork, MULTIAPPEND",
        }
    }
}

/// One way of sending over one network.
#[derive(Debug, Clone, Serialize)]
pub struct MailRow {
    /// How.
    pub manner: MailManner,
    /// Over what.
    pub network: Network,
    /// Mails sent, all of them stored.
    pub messages: u64,
    /// Wall time for them.
    pub seconds: f64,
    /// Mails a second.
    pub messages_per_second: f64,
    /// Wall time of one mail.
    pub ms_per_message: f64,
    /// Data segments that the client sent, by the mails.
    pub segments_per_message: f64,
    /// How often a small segment was seen held (TCP_INFO, sampled).
    pub messages_held: u64,
    /// For how long in all.
    pub held_ms_total: f64,
    /// Over loopback, against the naive client there; over the link, against the slowest row.
    pub times_as_fast: f64,
}

/// A header and a file over one connection, by several ways of sending.
#[derive(Debug, Clone, Serialize)]
pub struct WebStory {
    /// Length of the header.
    pub head_bytes: u64,
    /// Payload of a full segment.
    pub segment_bytes: u32,
    /// Responses of each row.
    pub rounds: usize,
    /// By body size, then by manner.
    pub rows: Vec<WebRow>,
}

/// One body size sent in one way. Figures are medians of the rounds.
#[derive(Debug, Clone, Serialize)]
pub struct WebRow {
    /// How.
    pub manner: WebManner,
    /// Length of the file.
    pub body_bytes: u64,
    /// Data segments of a response.
    pub segments: u64,
    /// The most that any response took.
    pub segments_max: u64,
    /// The least that header and body need.
    pub least_segments: u64,
    /// The server's system calls for sending.
    pub system_calls: u64,
    /// CPU of the sending thread.
    pub cpu_us: f64,
    /// From the request to the last byte.
    pub latency_us: f64,
}

/// The naive client as a process of its own: seen from outside, and mended from outside.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProgramStory {
    /// As it is, then mended.
    pub rows: Vec<ProgramRow>,
    /// What could not be shown here, and why.
    pub refused: Vec<String>,
}

/// What is done about a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramManner {
    /// Nothing.
    AsItIs,
    /// `uncork run` has started it.
    Run,
    /// `uncork fix` has found it running.
    Fixed,
}

impl ProgramManner {
    /// A short name for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsItIs => "as it is",
            Self::Run => "started by uncork run",
            Self::Fixed => "running, after uncork fix",
        }
    }
}

/// One run of the program.
#[derive(Debug, Clone, Serialize)]
pub struct ProgramRow {
    /// What was done about it.
    pub manner: ProgramManner,
    /// Mails that were timed.
    pub messages: u64,
    /// Wall time of one mail (median).
    pub ms_per_message: f64,
    /// What `uncork trace` saw of it, where that watched.
    pub seen: Option<Seen>,
}

/// What `uncork trace` saw of a program.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// `ebpf`, which is exact, or `sample`.
    pub engine: String,
    /// Stalls by Nagle's algorithm.
    pub stalls: u64,
    /// Time lost by them.
    pub held_ms_total: f64,
    /// The writes of a message that stalls; `None` where none did.
    pub pattern: Option<String>,
}
