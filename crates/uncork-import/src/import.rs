//! One import from its first connection to its report.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use crate::folder_map::FolderMap;
use crate::folder_map::mailbox::MailboxEncoding;
use crate::folder_map::namespace::{ServerFolders, listing_commands};
use crate::imap::capability::{AppendSupport, Capabilities};
use crate::imap::response::Response;
use crate::imap::session::Session;
use crate::journal::Journal;
use crate::prepare::PrepareOptions;
use crate::prepare::rejects::Rejects;
use crate::report::List;
use crate::run::pace::{Pace, until_midnight};
use crate::run::reader::{
    ARRIVALS_AHEAD, Arrival, BATCH_BYTES, BATCH_MESSAGES, ReadBatch, Reading,
};
use crate::run::tuner::Tuner;
use crate::run::worker::Worker;
use crate::run::{Limits, Run, Sharing, Terms};
use crate::source::Unit;
use crate::{ImportError, JournalPlace, Options, Order, Outcome, Progress, Report, Source, Target};

/// How often it is looked at whether more connections would be faster.
const TUNE_INTERVAL: Duration = Duration::from_millis(250);

/// Imports all mails of the sources, in their order. Blocks until the last answer, or the error
/// that ends it.
pub fn import(
    sources: &[Source],
    target: &Target,
    options: &Options,
    progress: &Progress,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => return Outcome::early(ImportError::Runtime { source }),
    };
    // Disks block: reading has threads of its own. They end when nobody takes their mails any
    // more, so the receivers must be gone before the scope waits for them.
    let mut outcome = thread::scope(|scope| {
        runtime.block_on(async {
            run(scope, sources, target, options, progress)
                .await
                .unwrap_or_else(Outcome::early)
        })
    });
    outcome.report.dry_run = options.dry_run;
    outcome
}

async fn run<'s, 'e>(
    scope: &'s thread::Scope<'s, 'e>,
    sources: &'e [Source],
    target: &'e Target,
    options: &'e Options,
    progress: &'e Progress,
) -> Result<Outcome, ImportError> {
    let now = Timestamp::now();
    let mut journal = Journal::open(&options.journal, &target.account())?;
    if options.retry_refused {
        journal.retry_refused()?;
    }
    let rejects = options.rejects.as_deref().map(Rejects::open);
    let rejects = rejects.transpose()?.map(Arc::new);
    progress.say("connecting");
    let mut session = Session::open(target, options).await?;
    let asked = Instant::now();
    let folders = list_folders(&mut session).await?;
    let sharing = sharing(options.order, &session.capabilities, asked.elapsed());
    let map = FolderMap::new(target.folder.as_deref(), &options.map, folders)?;

    let started = Instant::now();
    let jobs = jobs(sources);
    let connections_max = options
        .connections
        .map_or(Options::CONNECTIONS_MAX, std::num::NonZeroU32::get);
    let readers = jobs.len().clamp(1, connections_max as usize);
    let reading = Arc::new(Reading {
        jobs: Mutex::new(jobs),
        map,
        prepare: PrepareOptions {
            strictness: options.strictness,
            date: options.date,
            keeps_nul: session.capabilities.has("BINARY"),
            rejects: rejects.clone(),
            now,
        },
        labels: options.labels,
        progress,
    });
    let limits = limits(&session.capabilities);
    let tuner = if options.connections.is_some() {
        Tuner::fixed(connections_max)
    } else {
        Tuner::new(connections_max)
    };
    let pace = pace(options, &journal, now)?;
    let terms = Terms {
        pace,
        limits,
        tuner,
        sharing,
        rejects,
    };
    let run = Run::new(target, options, progress, journal, terms, readers);
    run.report.borrow_mut().capabilities_used = session.capabilities_used();
    if let JournalPlace::File(path) = &options.journal {
        run.report.borrow_mut().journal = Some(path.clone());
    }

    let forwarders: FuturesUnordered<_> = (0..readers)
        .map(|_| {
            let (arrivals_in, arrivals) = mpsc::channel(ARRIVALS_AHEAD);
            let reading = Arc::clone(&reading);
            scope.spawn(move || reading.read(arrivals_in));
            forward(&run, arrivals)
        })
        .collect();
    let session = connections(&run, session, forwarders).await;
    let is_read = reading.jobs.lock().is_ok_and(|jobs| jobs.is_empty());
    drop(reading);
    run.report.borrow_mut().sources_read = is_read && !run.is_over();
    let session = match session {
        Some(session) if options.verify && !run.is_over() => {
            crate::run::verify::verify(&run, session).await
        }
        session => session,
    };
    if let Some(session) = session {
        session.log_out().await;
    }
    if options.stop.is_asked() {
        run.fail(ImportError::Stopped);
    }
    let (mut report, error) = run.finish();
    report.finish(started.elapsed());
    Ok(Outcome { report, error })
}

/// Runs as many connections as help until there is nothing more to do; one of them that is
/// still good.
async fn connections<F>(
    run: &Run<'_>,
    first: Session,
    mut forwarders: FuturesUnordered<F>,
) -> Option<Session>
where
    F: Future<Output = ()>,
{
    let mut workers = FuturesUnordered::new();
    // The lowest first: those above the number that is wanted end at once.
    let mut idle_numbers = BTreeSet::new();
    let mut started = 1;
    let mut spare: Option<Session> = None;
    let work = |me: usize, session| async move { (me, Worker::new(run, me, session).work().await) };
    workers.push(work(0, Some(first)));
    run.report.borrow_mut().connections = 1;
    let mut tick = tokio::time::interval(TUNE_INTERVAL);
    loop {
        tokio::select! {
            Some(()) = forwarders.next() => {}
            Some((me, session)) = workers.next() => {
                idle_numbers.insert(me);
                if let Some(session) = session
                    && let Some(other) = spare.replace(session) {
                        other.log_out().await;
                    }
            }
            _ = tick.tick() => {
                run.tune(Instant::now());
                // A stop is asked for on another thread.
                if run.is_over() {
                    run.changed.notify_waiters();
                }
            }
        }
        if workers.is_empty() && forwarders.is_empty() && (run.is_over() || !run.has_work()) {
            return spare;
        }
        let wanted = run.wish.get() as usize;
        let can_help = match run.sharing {
            Sharing::Never => run.folders_waiting() > 0,
            Sharing::InTurn | Sharing::Free => run.has_work(),
        };
        if workers.len() < wanted.max(1) && can_help && !run.is_over() {
            let me = idle_numbers.pop_first().unwrap_or_else(|| {
                started += 1;
                started - 1
            });
            workers.push(work(me, spare.take()));
            let mut report = run.report.borrow_mut();
            let now = u32::try_from(workers.len()).unwrap_or(u32::MAX);
            report.connections = report.connections.max(now);
        }
    }
}

/// Takes what one thread reads into the queues.
async fn forward(run: &Run<'_>, mut arrivals: mpsc::Receiver<Arrival>) {
    while let Some(arrival) = arrivals.recv().await {
        match arrival {
            Arrival::Mails(batch) => {
                tell_repairs(run, &batch);
                let folder = run.folder(&batch.folder);
                run.queue(folder, batch.mails).await;
            }
            Arrival::Refused {
                source,
                folder,
                reason,
            } => {
                let mut report = run.report.borrow_mut();
                report.list(List::Refused, &source, &folder, &reason);
                run.progress.show(&report);
            }
            Arrival::Note(note) => run.report.borrow_mut().note(note),
        }
        if run.is_over() {
            break;
        }
    }
    run.source_ended();
}

fn tell_repairs(run: &Run<'_>, batch: &ReadBatch) {
    let mut report = run.report.borrow_mut();
    for (repair, count) in &batch.repairs {
        *report.repaired.entry(repair.name()).or_default() += count;
    }
    for (position, repairs) in &batch.repaired {
        let source = position.to_string();
        report.repair(&source, &batch.folder.name, &repairs.to_string());
    }
}

/// The units of the sources, those of one folder together.
fn jobs(sources: &[Source]) -> VecDeque<Vec<&Unit>> {
    let mut jobs: VecDeque<Vec<&Unit>> = VecDeque::new();
    let mut places = HashMap::new();
    for unit in sources.iter().flat_map(Source::units) {
        let place = *places.entry(unit.folder()).or_insert_with(|| {
            jobs.push_back(Vec::new());
            jobs.len() - 1
        });
        jobs[place].push(unit);
    }
    jobs
}

/// Learns what folders the server has.
async fn list_folders(session: &mut Session) -> Result<ServerFolders, ImportError> {
    let encoding = if session.has_utf8() {
        MailboxEncoding::Utf8
    } else {
        MailboxEncoding::ModifiedUtf7
    };
    let mut folders = ServerFolders::new(encoding);
    let commands = listing_commands(|word| session.capabilities.has(word));
    for command in commands {
        session
            .exchange(command, |response| {
                if let Response::Data(data) = response {
                    let literals: Vec<_> = data
                        .literals
                        .into_iter()
                        .map(|literal| literal.head)
                        .collect();
                    folders.absorb(&data.text, &literals);
                }
            })
            .await?;
    }
    Ok(folders)
}

/// Over a longer way one connection, which waits for nothing, is faster than several that wait
/// for each other. (Several commands take no less than a round trip.)
const TURN_TIME_MAX: Duration = Duration::from_millis(10);

/// Whether several connections may put mail into one folder. In turn that works where a batch
/// is one command that asks for nothing in between.
fn sharing(order: Order, capabilities: &Capabilities, listing: Duration) -> Sharing {
    match order {
        Order::Any => Sharing::Free,
        Order::Kept
            if capabilities.append() == AppendSupport::Multi && listing <= TURN_TIME_MAX =>
        {
            Sharing::InTurn
        }
        Order::Kept => Sharing::Never,
    }
}

fn limits(capabilities: &Capabilities) -> Limits {
    let messages = [
        capabilities.number("MESSAGELIMIT"),
        capabilities.number("SAVELIMIT"),
    ];
    let messages = messages.into_iter().flatten().min();
    let messages = messages.and_then(|limit| usize::try_from(limit).ok());
    let mail_bytes = capabilities.number("APPENDLIMIT").unwrap_or(u64::MAX);
    Limits {
        messages: messages.map_or(BATCH_MESSAGES, |limit| limit.clamp(1, BATCH_MESSAGES)),
        // Some count the whole command against the limit of one mail.
        bytes: mail_bytes.min(2 * BATCH_BYTES),
        mail_bytes,
    }
}

fn pace(options: &Options, journal: &Journal, now: Timestamp) -> Result<Pace, ImportError> {
    let bytes_today = journal.bytes_on(now.to_zoned(TimeZone::UTC).date())?;
    let start = Instant::now();
    Ok(Pace::new(
        options,
        start,
        bytes_today,
        start + until_midnight(now),
    ))
}

impl Outcome {
    fn early(error: ImportError) -> Self {
        Self {
            report: Report::default(),
            error: Some(error),
        }
    }
}
