//! A server from the outside: bound, started, reloaded, drained.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{Access, access};
use socket2::SockRef;
use uncork::ListenOptions;

use crate::admin::{Admin, Health};
use crate::beneath::Opener;
use crate::cache::{Bounds, Cache};
use crate::census::{Census, connections_max};
use crate::clock::Clock;
use crate::config::{Config, LISTEN_DEFAULT};
use crate::desk::Desk;
use crate::hosts_folder::{self, Watch};
use crate::join::join_until;
use crate::loader::Loader;
use crate::lockdown::{LockdownPlan, Statement};
use crate::log::{self, AccessLog, LogError, LogTarget, WorkerLog};
use crate::mailbox::{Letter, Mailbox};
use crate::metrics::Metrics;
use crate::resource::{Kind, Resource};
use crate::site::{Site, Sites};
use crate::worker::{Owner, Worker};

/// How long the folder of sites is not looked at where inotify is missing or missed something.
const WATCH_INTERVAL: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// How long threads may take to end after a drain's time.
const END_TIME: Duration = Duration::from_secs(3);

/// Why a server can't be started or reloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address can't be listened on.
    #[error("can't listen on {address}{}", next_step(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A folder can't be read.
    #[error("can't read the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The access log can't be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A thread can't be started, or there are no descriptors.
    #[error("can't {what}")]
    Start {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What to do where an address can't be listened on.
fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another program does, which `ss -ltnp` names; `--listen` takes other addresses)"
        }
        io::ErrorKind::AddrNotAvailable => {
            " (this machine has no such address; `ip address` shows those that it has)"
        }
        io::ErrorKind::PermissionDenied => {
            " (a port below 1024 takes root, CAP_NET_BIND_SERVICE or a socket of systemd's: see \
             packaging/)"
        }
        _ => "",
    }
}

impl ServeError {
    /// The kind of I/O error behind it.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            ServeError::Listen { source, .. }
            | ServeError::Folder { source, .. }
            | ServeError::Start { source, .. } => source.kind(),
            ServeError::Log(_) => io::ErrorKind::Other,
        }
    }

    fn start(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| ServeError::Start { what, source }
    }
}

/// A server that has its sockets and no thread yet: the moment to give up privileges.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    /// For each worker.
    listeners: Vec<Vec<(TcpListener, Owner)>>,
    addresses: Vec<SocketAddr>,
    admin: Option<TcpListener>,
}

impl Bound {
    /// Takes the `inherited` sockets, or else binds the configuration's addresses.
    ///
    /// # Errors
    /// Where an address can't be listened on.
    pub fn new(config: Config, inherited: Vec<TcpListener>) -> Result<Self, ServeError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = config.threads.unwrap_or(cores).max(1);
        let mut listeners: Vec<Vec<(TcpListener, Owner)>> =
            (0..workers).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        if inherited.is_empty() {
            let default = LISTEN_DEFAULT.parse().ok();
            let wanted = config.listen.iter().copied();
            let wanted: Vec<_> = match config.listen.len() {
                0 => default.into_iter().collect(),
                _ => wanted.collect(),
            };
            for &address in &wanted {
                let is_beside_v4 = |one: &SocketAddr| one.is_ipv4() && one.port() == address.port();
                // `[::]` would take the port of `0.0.0.0` away.
                let options = if wanted.iter().any(is_beside_v4) {
                    ListenOptions::new().only_v6()
                } else {
                    ListenOptions::new()
                };
                let bound = bind(address, options, workers);
                let bound = bound.map_err(|source| ServeError::Listen { address, source })?;
                addresses.push(bound[0].local_addr().unwrap_or(address));
                for (of_worker, listener) in listeners.iter_mut().zip(bound) {
                    of_worker.push((listener, Owner::Us));
                }
            }
        }
        for listener in inherited {
            let failed = ServeError::start("take the socket that was handed over");
            addresses.push(listener.local_addr().map_err(failed)?);
            for of_worker in &mut listeners {
                let failed = ServeError::start("share the socket that was handed over");
                of_worker.push((share(&listener).map_err(failed)?, Owner::Another));
            }
        }
        let admin = match config.admin {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address);
                Some(listener.map_err(|source| ServeError::Listen { address, source })?)
            }
        };
        Ok(Self {
            config,
            listeners,
            addresses,
            admin,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many workers there will be.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.listeners.len()
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What has to stay readable and writable when everything else is given up: the sites, what is
    /// `also_readable` (the configuration, for a reload), and the folder of the log.
    ///
    /// Sites are put in the place of others by renaming, or by a link that is made anew: so it is the
    /// folder in which a site stands that stays readable, unless that is `/`.
    #[must_use]
    pub fn lockdown_plan(&self, also_readable: &[PathBuf]) -> LockdownPlan {
        let mut roots: Vec<PathBuf> = self
            .config
            .sites
            .iter()
            .map(|site| absolute(&site.root))
            .collect();
        if let Some(folder) = &self.config.hosts {
            roots.push(absolute(&folder.path));
            let scan = hosts_folder::scan(&folder.path).unwrap_or_default();
            let links = scan.hosts.into_iter().map(|(_, path)| path);
            roots.extend(links.filter(|path| path.is_symlink()));
        }
        let real = roots.iter().filter_map(|root| root.canonicalize().ok());
        let real: Vec<PathBuf> = real.collect();
        let mut readable: Vec<PathBuf> = also_readable.to_vec();
        readable.extend(roots.iter().chain(&real).map(|root| match root.parent() {
            Some(parent) if parent.parent().is_some() => parent.to_owned(),
            _ => root.clone(),
        }));
        readable.sort();
        readable.dedup();
        let writable = match self.config.log.as_ref().map(|log| &log.to) {
            Some(LogTarget::File(file)) => {
                // A link, and that to which it leads.
                let files = [Some(absolute(file)), file.canonicalize().ok()];
                let files = files.into_iter().flatten();
                let folders = files.filter_map(|file| Some(file.parent()?.to_owned()));
                let mut folders: Vec<PathBuf> = folders.collect();
                folders.dedup();
                folders
            }
            Some(LogTarget::PerHost(folder)) => vec![absolute(folder)],
            Some(LogTarget::Stdout) | None => Vec::new(),
        };
        LockdownPlan {
            user: self.config.user.clone(),
            readable,
            writable,
        }
    }

    /// Opens the access log and starts the workers. `on_failure` is called where one of them ends though it was not told to.
    ///
    /// # Errors
    /// Where a folder can't be read, the access log can't be written, or a thread can't be started.
    pub fn start(
        self,
        on_failure: impl Fn() + Send + Sync + 'static,
    ) -> Result<Server, ServeError> {
        let on_failure = Arc::new(on_failure);
        let Self {
            config,
            listeners,
            addresses,
            admin,
        } = self;
        let workers = listeners.len();
        let drain_time = config.limits.drain_time;
        let (sites, notes, _) = build(&config, &Sites::default(), workers)?;
        let sites = Arc::new(sites);
        let log = config.log.as_ref();
        let log = log.map(|settings| AccessLog::start(settings, workers));
        let log = log.transpose()?;
        let opener = Opener::probe();
        let loader = Loader::start(opener).map_err(ServeError::start("start a thread"))?;
        let metrics = Arc::new(Metrics::new(workers));
        let connections = Connections::new(&config, workers, addresses.len());
        let census = Arc::new(Census::new(&config.limits, connections.max));
        let nowhere = Site::new("-".to_owned(), PathBuf::new(), Arc::default(), workers);
        let mut mailboxes = Vec::new();
        let mut threads = Vec::new();
        for (index, listeners) in listeners.into_iter().enumerate() {
            let mailbox = Arc::new(Mailbox::new().map_err(ServeError::start("make a mailbox"))?);
            mailboxes.push(Arc::clone(&mailbox));
            let parts = WorkerParts {
                index,
                workers,
                connections,
                limits: config.limits.clone(),
                sites: Arc::clone(&sites),
                nowhere: nowhere.clone(),
                loader: loader.counter(Arc::clone(&mailbox)),
                log: log.as_ref().map(AccessLog::worker),
                metrics: Arc::clone(&metrics),
                opener,
                census: Arc::clone(&census),
                mailbox,
                listeners,
            };
            let on_failure = Arc::clone(&on_failure);
            let thread = thread::Builder::new()
                .name(format!("uncork-{index}"))
                .spawn(move || {
                    let ended = catch_unwind(AssertUnwindSafe(|| parts.run()));
                    let panicked = |_| Err(io::Error::other("a worker panicked"));
                    let ended = ended.unwrap_or_else(panicked);
                    if ended.is_err() {
                        on_failure();
                    }
                    ended
                });
            threads.push(thread.map_err(ServeError::start("start a worker"))?);
        }
        let shared = Arc::new(Shared {
            mailboxes,
            changing: Mutex::new(()),
            state: Mutex::new(State { config, sites }),
            workers,
            must_rescan: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
        });
        let log = log.map(Arc::new);
        let admin = admin
            .map(|listener| start_admin(listener, &shared, &metrics, &nowhere, log.as_ref()))
            .transpose()
            .map_err(ServeError::start("start the admin's thread"))?;
        let watcher = Watcher::start(&shared).map_err(ServeError::start("start a thread"))?;
        Ok(Server {
            addresses,
            notes,
            opener,
            connections,
            drain_time,
            shared,
            threads,
            watcher: Some(watcher),
            log,
            _admin: admin,
        })
    }
}

/// A server that serves.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    notes: Vec<String>,
    opener: Opener,
    connections: Connections,
    drain_time: Duration,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    watcher: Option<Watcher>,
    log: Option<Arc<AccessLog>>,
    _admin: Option<Admin>,
}

/// What all threads know.
#[derive(Debug)]
struct Shared {
    mailboxes: Vec<Arc<Mailbox>>,
    /// Held from reading folders to publishing what they hold, one at a time.
    changing: Mutex<()>,
    state: Mutex<State>,
    workers: usize,
    /// The folder of sites could not be read, or not all of it: it is read again though nothing tells
    /// of a change.
    must_rescan: AtomicBool,
    is_draining: AtomicBool,
}

#[derive(Debug)]
struct State {
    config: Config,
    sites: Arc<Sites>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What people should know of the sites: folders that are none.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How files are opened on this kernel.
    #[must_use]
    pub fn opener(&self) -> Opener {
        self.opener
    }

    /// Whether there may be as many connections as were asked for.
    #[must_use]
    pub fn connections(&self) -> Statement {
        self.connections.statement()
    }

    /// The sites of this moment.
    #[must_use]
    pub fn sites(&self) -> Arc<Sites> {
        Arc::clone(&self.shared.lock().sites)
    }

    /// What reloads it, for another thread: to read folders may take for ever where a disk hangs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// See [`Reloader::reload`].
    ///
    /// # Errors
    /// Where a folder can't be read; everything stays as it was then.
    pub fn reload(&self, config: Config) -> Result<Vec<String>, ServeError> {
        self.reloader().reload(config)
    }

    /// Opens the files of the access log anew.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// Accepts nothing more, finishes what is under way, and ends: by the drain's time and a few
    /// seconds, whatever hangs. Threads that do are left alone, as the process ends.
    ///
    /// # Errors
    /// What ended a worker before, and what did not end in time.
    pub fn drain(mut self) -> io::Result<()> {
        self.shared.is_draining.store(true, Ordering::Relaxed);
        for mailbox in &self.shared.mailboxes {
            mailbox.post(Letter::Drain);
        }
        self.watcher = None;
        let until = Instant::now() + self.drain_time + END_TIME;
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            let ended = match join_until(thread, until) {
                Some(Ok(ended)) => ended,
                Some(Err(_)) => Err(io::Error::other("a worker panicked")),
                None => Err(io::Error::other(
                    "a worker waits for a disk, and did not end",
                )),
            };
            result = result.and(ended);
        }
        self._admin = None;
        if let Some(log) = self.log.take().and_then(|log| Arc::try_unwrap(log).ok())
            && !log.finish()
        {
            let late = || io::Error::other("the access log did not take the last lines");
            result = result.and_then(|()| Err(late()));
        }
        result
    }

    /// Whether a worker has ended by itself, which none should.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

/// Gives a server another configuration.
#[derive(Debug)]
pub struct Reloader {
    shared: Arc<Shared>,
}

impl Reloader {
    /// The sites of this moment.
    #[must_use]
    pub fn sites(&self) -> Arc<Sites> {
        Arc::clone(&self.shared.lock().sites)
    }

    /// Whether the server is ending.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining.load(Ordering::Relaxed)
    }

    /// Serves by another configuration from now on: its sites and rules. Addresses, threads, limits
    /// and the log stay as they are. Returns what people should know.
    ///
    /// # Errors
    /// Where a folder can't be read; everything stays as it was then.
    pub fn reload(&self, config: Config) -> Result<Vec<String>, ServeError> {
        let _changing = self.shared.begin_change();
        let (sites, mut notes, is_uncertain) = build(&config, &self.sites(), self.shared.workers)?;
        let known: HashSet<_> = self.sites().iter().map(|site| site.id).collect();
        let new = sites.iter().filter(|site| !known.contains(&site.id));
        let roots: BTreeSet<&Path> = new.map(Site::root).collect();
        notes.extend(roots.into_iter().filter_map(unreadable));
        let mut state = self.shared.lock();
        let old = &state.config;
        let fixed = [
            ("listen", old.listen != config.listen),
            ("threads", old.threads != config.threads),
            ("admin", old.admin != config.admin),
            ("user", old.user != config.user),
            ("limits", old.limits != config.limits),
            ("log", old.log != config.log),
        ];
        let changed = fixed.iter().filter(|(_, has_changed)| *has_changed);
        notes.extend(changed.map(|(key, _)| format!("`{key}` has changed: that needs a restart")));
        state.config = config;
        let must_rescan = &self.shared.must_rescan;
        must_rescan.store(is_uncertain, Ordering::Relaxed);
        self.shared.publish(&mut state, sites);
        Ok(notes)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_change(&self) -> std::sync::MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &mut State, sites: Sites) {
        state.sites = Arc::new(sites);
        for mailbox in &self.mailboxes {
            mailbox.post(Letter::Sites(Arc::clone(&state.sites)));
        }
    }
}

/// What a worker's thread is started with. Its cache and its clock belong to that thread alone.
struct WorkerParts {
    index: usize,
    workers: usize,
    connections: Connections,
    limits: crate::limits::Limits,
    sites: Arc<Sites>,
    nowhere: Site,
    loader: crate::loader::Counter,
    log: Option<WorkerLog>,
    metrics: Arc<Metrics>,
    opener: Opener,
    census: Arc<Census>,
    mailbox: Arc<Mailbox>,
    listeners: Vec<(TcpListener, Owner)>,
}

impl WorkerParts {
    fn run(self) -> io::Result<()> {
        let share = |of_all: u64| {
            let share = of_all / self.workers as u64;
            usize::try_from(share).unwrap_or(usize::MAX)
        };
        let cache = Cache::new(Bounds {
            entries: share(self.limits.cache_entries as u64),
            bytes: share(self.limits.cache_bytes),
            files: share(self.connections.files()),
        });
        let desk = Desk {
            worker: self.index,
            sites: Rc::new(self.sites),
            cache,
            fresh: None,
            waiting: HashMap::new(),
            loader: self.loader,
            opener: self.opener,
            clock: Clock::new(),
            now: Instant::now(),
            seconds: 0,
            limits: Rc::new(self.limits),
            log: self.log,
            metrics: self.metrics.worker(self.index),
            busy: Rc::new(Resource::fixed(Kind::Failed)),
            nowhere: Rc::new(self.nowhere),
            is_draining: false,
            answered: 0,
            outgoing: None,
        };
        Worker::new(self.listeners, desk, self.mailbox, self.census)?.run()
    }
}

/// How descriptors are shared between connections and files.
#[derive(Debug, Clone, Copy)]
struct Connections {
    /// How many there may be.
    max: usize,
    /// How many the configuration asks for.
    wanted: usize,
    /// Descriptors that may be open.
    open_files: u64,
    /// Those that threads, sockets and logs take.
    fixed: u64,
}

/// Descriptors of a worker beside its listeners: epoll, its mailbox, a file that it is looking at.
const FILES_OF_WORKER: usize = 3;

/// Those of all: standard streams, loaders, the watcher, the admin's socket, the log, and some to spare.
const FILES_OF_ALL: usize = 20;

impl Connections {
    fn new(config: &Config, workers: usize, addresses: usize) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let open_files = limit.current.unwrap_or(u64::MAX);
        let log_files = match &config.log {
            Some(log) if matches!(log.to, LogTarget::PerHost(_)) => log::OPEN_MAX,
            _ => 1,
        };
        let fixed = workers * (addresses + FILES_OF_WORKER) + log_files + FILES_OF_ALL;
        let fixed = fixed as u64;
        let wanted = config.limits.connections;
        Self {
            max: connections_max(wanted, open_files, fixed),
            wanted,
            open_files,
            fixed,
        }
    }

    /// How many files may be kept open: half of what all else leaves.
    fn files(self) -> u64 {
        let taken = self.fixed.saturating_add(self.max as u64);
        self.open_files.saturating_sub(taken) / 2
    }

    fn statement(self) -> Statement {
        let Self {
            max,
            wanted,
            open_files,
            ..
        } = self;
        if max < wanted {
            return Statement::Missing(format!(
                "connections: {max} at once instead of {wanted}, as only {open_files} files may be open \
                 (raise `ulimit -Hn`, or LimitNOFILE of the unit)"
            ));
        }
        Statement::Holds(format!("connections: {max} at once"))
    }
}

/// Binds an address once for each worker. Where there are several, the first binding is without
/// SO_REUSEPORT, so that another server on the address is noticed and not shared with.
fn bind(
    address: SocketAddr,
    options: ListenOptions,
    workers: usize,
) -> io::Result<Vec<TcpListener>> {
    let alone = options.bind(address)?;
    if workers == 1 {
        alone.set_nonblocking(true)?;
        return Ok(vec![alone]);
    }
    let address = alone.local_addr()?;
    drop(alone);
    let options = options.reuse_port();
    let bound = (0..workers).map(|_| {
        let listener = options.bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.collect()
}

/// A handed-over socket for one more worker.
fn share(listener: &TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    SockRef::from(listener).set_tcp_nodelay(true)?;
    listener.try_clone()
}

/// The sites of a configuration. Those that are as before, their names for logs and metrics included,
/// are the same, with all that is kept of them. (No two of one configuration have that name in common.)
/// Also returns what people should know, and whether there may be more of them a moment later.
fn build(
    config: &Config,
    before: &Sites,
    workers: usize,
) -> Result<(Sites, Vec<String>, bool), ServeError> {
    let mut sites = Sites::default();
    let mut notes = Vec::new();
    let mut is_uncertain = false;
    for one in &config.sites {
        let root = absolute(&one.root);
        let name = one.hosts.first().map(ToString::to_string);
        let name = name.unwrap_or_default();
        let earlier = one.hosts.first().and_then(|host| before.of(host));
        let same = earlier.filter(|site| {
            site.name() == name && site.root() == root && *site.rules() == one.rules
        });
        let site = same.cloned().unwrap_or_else(|| {
            let rules = Arc::clone(&one.rules);
            Site::new(name, root, rules, workers)
        });
        for host in &one.hosts {
            sites.add(host, &site);
        }
    }
    if let Some(folder) = &config.hosts {
        let scan = hosts_folder::scan(&folder.path).map_err(|source| ServeError::Folder {
            path: folder.path.clone(),
            source,
        })?;
        is_uncertain = scan.is_uncertain;
        for (path, reason) in scan.skipped {
            notes.push(format!("{} is not served: {reason}", path.display()));
        }
        for (host, path) in scan.hosts {
            let root = absolute(&path);
            let name = host.to_string();
            let same = before.of(&host).filter(|site| {
                site.name() == name && site.root() == root && *site.rules() == folder.rules
            });
            let site = same.cloned().unwrap_or_else(|| {
                let rules = Arc::clone(&folder.rules);
                Site::new(name, root, rules, workers)
            });
            sites.add(&host, &site);
        }
    }
    Ok((sites, notes, is_uncertain))
}

/// What is to be said of a new site's folder that can't be read.
fn unreadable(root: &Path) -> Option<String> {
    let denied = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    if !std::fs::read_dir(root).is_err_and(denied) {
        return None;
    }
    let root_text = root.display();
    // What the user may do is asked for without Landlock.
    let may_read = access(root, Access::READ_OK | Access::EXEC_OK).is_ok();
    Some(if may_read {
        format!(
            "{root_text} lies outside of what may still be read (Landlock): it is 403 until a restart"
        )
    } else {
        format!("{root_text} can't be read by this user: it is 403 until it can")
    })
}

/// Sites are opened by their path each time, wherever the process stands.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn start_admin(
    listener: TcpListener,
    shared: &Arc<Shared>,
    metrics: &Arc<Metrics>,
    nowhere: &Site,
    log: Option<&Arc<AccessLog>>,
) -> io::Result<Admin> {
    let (of_metrics, of_health) = (Arc::clone(shared), Arc::clone(shared));
    let (metrics, nowhere) = (Arc::clone(metrics), nowhere.clone());
    let dropped = log.map(|log| log.dropped_counter());
    Admin::start(
        listener,
        Box::new(move || {
            let sites = Arc::clone(&of_metrics.lock().sites);
            let mut all: Vec<&Site> = sites.iter().collect();
            all.sort_by_key(|site| site.id);
            all.dedup_by_key(|site| site.id);
            all.push(&nowhere);
            let counted = all.iter().map(|site| (site.name(), &site.counters));
            let dropped = dropped
                .as_ref()
                .map_or(0, |count| count.load(Ordering::Relaxed));
            metrics.render(counted, dropped)
        }),
        Box::new(move || {
            if of_health.is_draining.load(Ordering::Relaxed) {
                Health::Draining
            } else {
                Health::Ok
            }
        }),
    )
}

/// The thread that looks after the folder of sites.
#[derive(Debug)]
struct Watcher {
    stop: Arc<OwnedFd>,
}

impl Watcher {
    fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (shared, stopped) = (Arc::clone(shared), Arc::clone(&stop));
        thread::Builder::new()
            .name("uncork-watch".to_owned())
            .spawn(move || watch(&shared, &stopped))?;
        Ok(Self { stop })
    }
}

/// Nobody waits for its end: the folder may be on a disk that does not answer.
impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
    }
}

/// Looks after the folder of sites until `stop` is readable.
fn watch(shared: &Shared, stop: &OwnedFd) {
    let mut watched: Option<(PathBuf, Watch)> = None;
    loop {
        let hosts = shared.lock().config.hosts.clone();
        match (&mut watched, hosts) {
            (Some((path, watch)), Some(folder)) if *path == folder.path => {
                let must_rescan = shared.must_rescan.load(Ordering::Relaxed);
                if watch.has_changed() || must_rescan {
                    rescan(shared);
                }
            }
            (watched, Some(folder)) => {
                let watch = Watch::new(&folder.path);
                *watched = Some((folder.path, watch));
                // What came while nobody watched.
                rescan(shared);
            }
            (watched, None) => *watched = None,
        }
        let bell = watched.as_ref().and_then(|(_, watch)| watch.bell());
        if is_stopped(stop, bell) {
            return;
        }
    }
}

/// Waits for either of them, or for the interval. Whether it was `stop`.
fn is_stopped(stop: &OwnedFd, bell: Option<BorrowedFd<'_>>) -> bool {
    let mut polled = vec![PollFd::new(stop, PollFlags::IN)];
    polled.extend(bell.map(|bell| PollFd::from_borrowed_fd(bell, PollFlags::IN)));
    let _ = poll(&mut polled, Some(&WATCH_INTERVAL));
    polled[0].revents().contains(PollFlags::IN)
}

/// Reads the folder of sites again. Where that fails, the sites stay as they are until the next time.
fn rescan(shared: &Shared) {
    let _changing = shared.begin_change();
    let (config, before) = {
        let state = shared.lock();
        (state.config.clone(), Arc::clone(&state.sites))
    };
    let built = build(&config, &before, shared.workers);
    let must_rescan = !matches!(built, Ok((.., false)));
    shared.must_rescan.store(must_rescan, Ordering::Relaxed);
    let Ok((sites, ..)) = built else {
        return;
    };
    let mut state = shared.lock();
    let ids = |sites: &Sites| sites.iter().map(|site| site.id).collect::<HashSet<_>>();
    if ids(&sites) != ids(&state.sites) || sites.len() != state.sites.len() {
        shared.publish(&mut state, sites);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::host::HostPattern;

    /// As where the folder of sites is on a disk that does not answer.
    #[test]
    fn a_drain_does_not_wait_for_who_reads_folders() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::of_hosts(folder.path().to_owned());
        config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.threads = Some(1);
        let server = Bound::new(config, Vec::new()).unwrap().start(|| ());
        let server = server.unwrap();
        let shared = Arc::clone(&server.shared);
        let _changing = shared.begin_change();
        // The watcher notices it, and waits.
        std::fs::create_dir(folder.path().join("a.example")).unwrap();
        thread::sleep(Duration::from_millis(1500));
        let (done, is_done) = channel();
        thread::spawn(move || done.send(server.drain()));
        let drained = is_done.recv_timeout(Duration::from_secs(30));
        drained.unwrap().unwrap();
    }

    fn sites(text: &str, before: &Sites) -> Sites {
        let config = Config::parse(text, "/etc/t").unwrap();
        build(&config, before, 1).unwrap().0
    }

    fn site(hosts: &str) -> String {
        format!("[[site]]\nhosts = [{hosts}]\nroot = '/srv/a'\n")
    }

    fn of<'s>(sites: &'s Sites, host: &str) -> &'s Site {
        sites.of(&HostPattern::parse(host).unwrap()).unwrap()
    }

    #[test]
    fn a_site_that_is_as_before_is_the_same() {
        let before = sites(&site("'a', 'b'"), &Sites::default());
        let after = sites(&site("'a', 'c'"), &before);
        assert_eq!(of(&after, "a").id, of(&before, "a").id);
        assert_eq!(of(&after, "c").id, of(&before, "a").id);
    }

    /// Its logs and metrics are of the name that it has now.
    #[test]
    fn a_site_with_another_first_host_is_another_one() {
        let before = sites(&site("'a', 'b'"), &Sites::default());
        let after = sites(&site("'b', 'a'"), &before);
        assert_eq!(of(&after, "a").name(), "b");
        assert_ne!(of(&after, "a").id, of(&before, "a").id);
        let parted = sites(&format!("{}{}", site("'a'"), site("'b'")), &before);
        assert_eq!(of(&parted, "a").id, of(&before, "a").id);
        assert_eq!(of(&parted, "b").name(), "b");
        assert_ne!(of(&parted, "b").id, of(&parted, "a").id);
    }
}
