//! The importer's story: the same mails into the same server, by one way of sending after the
//! other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uncork::TcpInfo;
use uncork_import::{Options, Progress, Source, Target};

use super::report::{MailManner, MailRow, MailStory, Network};
use super::{DemoError, system};
use crate::hold::{HoldWatch, Holds};
use crate::imap::{ImapServer, Personality, ServerConfig};
use crate::link::{Link, LinkConfig};
use crate::mail::{GeneratedMail, MailGenerator, write_maildir};
use crate::naive_client::{Manner, NaiveClient};
use crate::place::SEGMENT_BYTES_MAX;
use crate::scratch;

/// Every run sends the same mails.
const SEED: u64 = 1;

/// Half of the link's round trip.
const LINK_DELAY: Duration = Duration::from_millis(10);

/// Where the mails go.
const FOLDER: &str = "INBOX";

/// The rows: how, over what, and how many mails at most. What waits 40 ms or a round trip for
/// each mail gets fewer of them.
const ROWS: [(MailManner, Network, usize); 12] = [
    (MailManner::Naive, Network::Loopback, 100),
    (MailManner::Naive, Network::LoopbackRealSegments, 150),
    (MailManner::NoDelay, Network::Loopback, 2000),
    (MailManner::Corked, Network::Loopback, 2000),
    (MailManner::WholeMessage, Network::Loopback, 2000),
    (MailManner::Uncork, Network::Loopback, usize::MAX),
    (MailManner::UncorkLiteralPlus, Network::Loopback, usize::MAX),
    (MailManner::UncorkMultiAppend, Network::Loopback, usize::MAX),
    (MailManner::WholeMessage, Network::Link, 50),
    (MailManner::Uncork, Network::Link, 100),
    (MailManner::UncorkLiteralPlus, Network::Link, usize::MAX),
    (MailManner::UncorkMultiAppend, Network::Link, usize::MAX),
];

/// Steps of this story: one a row, and the making of the mails.
pub(super) const STEPS: usize = ROWS.len() + 1;

pub(super) fn run(messages: usize, step: &mut impl FnMut(String)) -> Result<MailStory, DemoError> {
    step(format!("make {messages} mails"));
    let folder = scratch::folder(messages).map_err(system("a folder for the mails"))?;
    let written = write_maildir(folder.path(), SEED, messages);
    written.map_err(system("room for the mails"))?;
    let mails = Mails {
        first: MailGenerator::new(SEED).take(messages.min(2000)).collect(),
        folder,
        messages,
    };
    let mut rows = Vec::with_capacity(ROWS.len());
    let mut bytes = 0;
    for (manner, network, most) in ROWS {
        step(describe(manner, network, most.min(messages)));
        let sent = send(&mails, manner, network, most.min(messages))?;
        bytes = bytes.max(sent.bytes);
        rows.push(row(manner, network, sent, &rows));
    }
    Ok(MailStory {
        messages,
        bytes,
        link_round_trip_ms: LINK_DELAY.as_secs_f64() * 2e3,
        rows,
    })
}

fn describe(manner: MailManner, network: Network, messages: usize) -> String {
    let over = match network {
        Network::Loopback => "",
        Network::LoopbackRealSegments => ", segments of a real link",
        Network::Link => ", 20 ms round trip",
    };
    format!("{messages} mails: {}{over}", manner.name())
}

/// The mails, in memory for the naive client and in a Maildir for uncork.
struct Mails {
    first: Vec<GeneratedMail>,
    folder: tempfile::TempDir,
    messages: usize,
}

/// What one row has to tell.
#[derive(Clone, Copy)]
struct Sent {
    messages: u64,
    bytes: u64,
    seconds: f64,
    segments: u64,
    holds: Holds,
}

fn row(manner: MailManner, network: Network, sent: Sent, before: &[MailRow]) -> MailRow {
    let messages = sent.messages as f64;
    let rate = messages / sent.seconds.max(f64::MIN_POSITIVE);
    let is_link = |network| network == Network::Link;
    let baseline = before
        .iter()
        .find(|row| is_link(row.network) == is_link(network));
    MailRow {
        manner,
        network,
        messages: sent.messages,
        seconds: sent.seconds,
        messages_per_second: rate,
        ms_per_message: sent.seconds * 1e3 / messages.max(1.0),
        segments_per_message: sent.segments as f64 / messages.max(1.0),
        messages_held: sent.holds.count,
        held_ms_total: sent.holds.total.as_secs_f64() * 1e3,
        times_as_fast: baseline.map_or(1.0, |row| rate / row.messages_per_second),
    }
}

/// Sends `messages` mails to a fresh server, and makes sure that they are stored.
fn send(
    mails: &Mails,
    manner: MailManner,
    network: Network,
    messages: usize,
) -> Result<Sent, DemoError> {
    let root = scratch::folder(messages).map_err(system("a folder for the server's mail"))?;
    let segment_bytes_max = (network == Network::LoopbackRealSegments).then_some(SEGMENT_BYTES_MAX);
    let server = ImapServer::start(ServerConfig {
        personality: personality(manner, network),
        max_segment_bytes: segment_bytes_max,
        ..ServerConfig::new(root.path())
    })?;
    let link = match network {
        Network::Link => Some(Link::start(LinkConfig::new(server.addr(), LINK_DELAY))),
        Network::Loopback | Network::LoopbackRealSegments => None,
    };
    let link = link.transpose().map_err(system("a socket for the link"))?;
    let addr = link.as_ref().map_or(server.addr(), Link::addr);
    let sent = match naive_manner(manner) {
        Some(manner) => send_naively(&mails.first[..messages], manner, addr, segment_bytes_max),
        None => import(mails, addr, messages),
    }?;
    let stored = server.stored();
    if stored != messages as u64 {
        return Err(DemoError::Lost {
            sent: messages as u64,
            stored,
        });
    }
    Ok(sent)
}

/// A server of which imaplib stalls, with the extensions that the row is about.
///
/// Behind the link it is a careful one: what a naive one holds until the client's ACK would be
/// set free by the relay's, which no delay has made late.
fn personality(manner: MailManner, network: Network) -> Personality {
    let has_literal_plus = matches!(
        manner,
        MailManner::UncorkLiteralPlus | MailManner::UncorkMultiAppend
    );
    let personality = match network {
        Network::Link => Personality::careful(),
        Network::Loopback | Network::LoopbackRealSegments => Personality::naive(),
    };
    personality
        .literal_plus(has_literal_plus)
        .multi_append(manner == MailManner::UncorkMultiAppend)
}

fn naive_manner(manner: MailManner) -> Option<Manner> {
    match manner {
        MailManner::Naive => Some(Manner::Naive),
        MailManner::NoDelay => Some(Manner::NoDelay),
        MailManner::Corked => Some(Manner::Corked),
        MailManner::WholeMessage => Some(Manner::WholeMessage),
        MailManner::Uncork | MailManner::UncorkLiteralPlus | MailManner::UncorkMultiAppend => None,
    }
}

fn send_naively(
    mails: &[GeneratedMail],
    manner: Manner,
    addr: SocketAddr,
    segment_bytes_max: Option<u32>,
) -> Result<Sent, DemoError> {
    let lab = ServerConfig::new("");
    let mut client = NaiveClient::connect(addr, manner, segment_bytes_max)?;
    client.login(&lab.user, &lab.password)?;
    let segments = |client: &NaiveClient| {
        let info = TcpInfo::of(client.stream()).map_err(system("TCP_INFO"))?;
        Ok::<u64, DemoError>(info.data_segments_out.unwrap_or(0).into())
    };
    let segments_before = segments(&client)?;
    let socket = client.stream().try_clone();
    let watch = HoldWatch::start(socket.map_err(system("a descriptor"))?.into());
    let started = Instant::now();
    let mut bytes = 0;
    for mail in mails {
        let literal = mail.bytes_crlf();
        bytes += literal.len() as u64;
        let date = mail.imap_internal_date();
        client.append(FOLDER, &mail.flags.imap_list(), Some(&date), &literal)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let holds = watch.finish();
    let segments = segments(&client)? - segments_before;
    client.logout()?;
    Ok(Sent {
        messages: mails.len() as u64,
        bytes,
        seconds,
        segments,
        holds,
    })
}

fn import(mails: &Mails, addr: SocketAddr, messages: usize) -> Result<Sent, DemoError> {
    let shorter = (messages < mails.messages)
        .then(|| {
            let folder = scratch::folder(messages)?;
            write_maildir(folder.path(), SEED, messages)?;
            Ok(folder)
        })
        .transpose()
        .map_err(system("room for the mails"))?;
    let folder = shorter.as_ref().unwrap_or(&mails.folder);
    let source = Source::open(folder.path()).map_err(|error| DemoError::System {
        what: "the mails that it wrote",
        source: std::io::Error::other(error),
    })?;
    let lab = ServerConfig::new("");
    let target = format!("imap://{}@{addr}/{FOLDER}", lab.user);
    let target = Target::parse(&target).map_err(|error| DemoError::System {
        what: "the lab's address",
        source: std::io::Error::other(error),
    })?;
    let watch = Arc::new(Mutex::new(None));
    let watched = Arc::clone(&watch);
    let mut options = Options::with_password(lab.password);
    options.on_connect = Some(Arc::new(move |socket| {
        if let (Ok(socket), Ok(mut watch)) = (socket.try_clone_to_owned(), watched.lock()) {
            *watch = Some(HoldWatch::start(socket));
        }
    }));
    let outcome = uncork_import::import(&[source], &target, &options, &Progress::default());
    let watch = watch.lock().ok().and_then(|mut watch| watch.take());
    let holds = watch.map(HoldWatch::finish).unwrap_or_default();
    match outcome.error {
        Some(error) => Err(error.into()),
        None => Ok(Sent {
            messages: outcome.report.imported,
            bytes: outcome.report.bytes,
            seconds: outcome.report.seconds,
            segments: outcome.report.segments_sent.unwrap_or(0),
            holds,
        }),
    }
}
