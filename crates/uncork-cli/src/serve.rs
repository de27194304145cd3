//! `uncork serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use clap::{ArgGroup, Args};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use uncork_serve::config::Config;
use uncork_serve::lockdown::{self, Lockdown, Statement};
use uncork_serve::site::Sites;
use uncork_serve::{Bound, Opener, Reloader, ServeError, Server, service};

use crate::exit::{Exit, Failure};
use crate::output;

/// Serve static sites over HTTP/1.1, one a host name, each response in the fewest packets
///
/// Listens on 127.0.0.1:8080 if nothing else is said. SIGHUP reads the configuration again, SIGUSR1
/// opens the access log again, SIGTERM and Ctrl-C finish what is under way and end.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, group = ArgGroup::new("what").required(true))]
pub(crate) struct ServeArgs {
    /// Serve this folder, whatever the host name
    #[arg(long, value_name = "DIR", group = "what")]
    root: Option<PathBuf>,
    /// Serve each folder in this one as the site of its name
    ///
    /// `example.org` is that host, `*.example.org` all beneath it, `_default` all others. Folders may
    /// come and go while it runs.
    #[arg(long, value_name = "DIR", group = "what")]
    hosts: Option<PathBuf>,
    /// Read all of it from a file; docs/serve.md describes it
    #[arg(long, value_name = "FILE", group = "what")]
    config: Option<PathBuf>,
    /// Where to listen: an address, or a port of this machine; may be said more than once
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Vec<SocketAddr>,
    /// Threads that serve; one a core if nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Where /metrics (for Prometheus) and /health are
    #[arg(long, value_name = "ADDR", value_parser = address)]
    admin: Option<SocketAddr>,
    /// Print one JSON document when it is ready
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  uncork serve --root public
      One site, on http://127.0.0.1:8080
  uncork serve --hosts /srv/www --listen 0.0.0.0:80 --listen '[::]:80'
      A site for each folder: /srv/www/example.org, /srv/www/*.example.net, /srv/www/_default
  uncork serve --config /etc/uncork/serve.toml
      Rules for each site, logs, limits; as a service: packaging/uncork-serve.service";

/// What this version is not, said at the start so that nobody finds out later.
const NOT_SERVED: &str = "TLS, HTTP/2, uploads and scripts";

/// As with `import`: 128 and the number of SIGINT.
const LEFT_AT_ONCE: i32 = 130;

/// Serves until a signal ends it.
pub(crate) fn run(arguments: &ServeArgs) -> Result<Exit, Failure> {
    leave_at_the_second_signal()?;
    let open_files = lockdown::raise_open_files();
    let inherited =
        service::inherited_listeners().map_err(|error| Failure::new(Exit::Usage, error))?;
    // Before anything that takes time: a signal that comes meanwhile ends the server once it is there.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]);
    let mut signals = signals.map_err(|error| Failure::new(Exit::NotPermitted, error))?;
    let config = arguments.config()?;
    let bound = Bound::new(config, inherited).map_err(failure)?;
    let plan = bound.lockdown_plan(&arguments.config_folder());
    let mut statements = vec![open_files];
    let given_up = Lockdown::apply(&plan);
    statements.extend(given_up.map_err(|error| Failure::new(Exit::NotPermitted, error))?);
    let threads = bound.workers();
    // A worker that ends by itself ends all: whoever started this process can start it again. A second
    // one must not be taken for somebody's second signal.
    let has_raised = AtomicBool::new(false);
    let end = move || {
        if !has_raised.swap(true, Ordering::Relaxed) {
            drop(signal_hook::low_level::raise(SIGTERM));
        }
    };
    let server = bound.start(end).map_err(failure)?;
    statements.insert(1, server.connections());
    let ready = Ready::new(&server, threads, &statements);
    if arguments.json {
        output::json(&ready)?;
    } else if !arguments.quiet {
        ready.print();
    }
    service::ready(&format!("serving {}", hosts(&server.sites())));
    let reloads = arguments.reloads(server.reloader())?;
    for signal in signals.forever() {
        match signal {
            // One that waits already reads what is there then.
            SIGHUP => drop(reloads.try_send(())),
            SIGUSR1 => server.reopen_log(),
            _ => break,
        }
    }
    service::stopping();
    if !arguments.quiet {
        output::note("finishing what is under way (Ctrl-C again leaves at once)");
    }
    server
        .drain()
        .map_err(|error| Failure::new(Exit::Losses, error))?;
    Ok(Exit::Done)
}

/// Who has no time to wait for the slowest download, or for a disk that does not answer, has none for a
/// word about it either.
fn leave_at_the_second_signal() -> Result<(), Failure> {
    let failed = |error| Failure::new(Exit::NotPermitted, error);
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let leave = Arc::clone(&is_second);
        flag::register_conditional_shutdown(signal, LEFT_AT_ONCE, leave).map_err(failed)?;
        // After that: the first signal arms it for the second.
        flag::register(signal, Arc::clone(&is_second)).map_err(failed)?;
    }
    Ok(())
}

impl ServeArgs {
    /// What the command line says, and the file that it names.
    fn config(&self) -> Result<Config, Failure> {
        let mut config = match (&self.root, &self.hosts, &self.config) {
            (Some(root), ..) => Config::of_root(self.folder(root)?),
            (_, Some(hosts), _) => Config::of_hosts(self.folder(hosts)?),
            (.., Some(file)) => {
                Config::load(file).map_err(|error| Failure::new(Exit::Usage, error))?
            }
            _ => unreachable!("clap requires one of them"),
        };
        if !self.listen.is_empty() {
            config.listen.clone_from(&self.listen);
        }
        config.threads = self.threads.map(usize::from).or(config.threads);
        config.admin = self.admin.or(config.admin);
        Ok(config)
    }

    fn folder(&self, path: &PathBuf) -> Result<PathBuf, Failure> {
        let what = |error: std::io::Error| {
            let kind = error.kind();
            let error = anyhow::Error::new(error);
            let text = format!("can't serve {}", path.display());
            Failure::io(Exit::Usage, kind, error.context(text))
        };
        let path = std::path::absolute(path).map_err(what)?;
        if !std::fs::metadata(&path).map_err(what)?.is_dir() {
            return Err(what(std::io::ErrorKind::NotADirectory.into()));
        }
        Ok(path)
    }

    /// What has to stay readable for a reload: the file's folder, and where the file is a link, that of
    /// what it leads to.
    fn config_folder(&self) -> Vec<PathBuf> {
        let Some(file) = &self.config else {
            return Vec::new();
        };
        let files = [std::path::absolute(file), file.canonicalize()];
        let files = files.into_iter().flatten();
        files
            .filter_map(|file| Some(file.parent()?.to_owned()))
            .collect()
    }

    /// Starts the thread that reloads whenever it is told to: signals are heard meanwhile, even where
    /// a folder is on a disk that does not answer.
    fn reloads(&self, reloader: Reloader) -> Result<SyncSender<()>, Failure> {
        let (reloads, inbox) = sync_channel(1);
        let arguments = self.clone();
        std::thread::Builder::new()
            .name("uncork-reload".to_owned())
            .spawn(move || {
                while inbox.recv().is_ok() {
                    arguments.reload(&reloader);
                }
            })
            .map_err(|error| Failure::new(Exit::NotPermitted, error))?;
        Ok(reloads)
    }

    fn reload(&self, reloader: &Reloader) {
        service::reloading();
        let notes = self
            .config()
            .map_err(|failure| failure.error)
            .and_then(|config| Ok(reloader.reload(config)?));
        if reloader.is_draining() {
            return;
        }
        let hosts = hosts(&reloader.sites());
        match notes {
            Ok(notes) => {
                notes.iter().for_each(|note| output::note(note));
                output::note(&format!("reloaded: {hosts}"));
            }
            Err(error) => output::note(&format!("not reloaded, all stays as it was: {error:#}")),
        }
        service::ready(&format!("serving {hosts}"));
    }
}

/// What is said when it serves.
#[derive(Debug, Serialize)]
struct Ready {
    listening: Vec<SocketAddr>,
    threads: usize,
    hosts: usize,
    /// Whether requests for any other name are served too.
    has_default: bool,
    holds: Vec<String>,
    does_not_hold: Vec<String>,
    notes: Vec<String>,
    #[serde(skip)]
    what: String,
}

impl Ready {
    fn new(server: &Server, threads: usize, statements: &[Statement]) -> Self {
        let sites = server.sites();
        let texts = |holds: bool| {
            let those = statements.iter().filter(|one| one.holds() == holds);
            those.map(|one| one.text().to_owned()).collect::<Vec<_>>()
        };
        let (mut holds, mut does_not_hold) = (texts(true), texts(false));
        match server.opener() {
            Opener::Openat2 => {
                holds.push(
                    "Paths: files are opened only beneath their site's folder (openat2)".to_owned(),
                );
            }
            Opener::Walk => {
                does_not_hold.push(
                    "Paths: this kernel has no openat2, so that no link is followed".to_owned(),
                );
            }
        }
        Self {
            listening: server.addresses().to_vec(),
            threads,
            hosts: sites.len(),
            has_default: sites.has_default(),
            holds,
            does_not_hold,
            notes: server.notes().to_vec(),
            what: hosts(&sites),
        }
    }

    fn print(&self) {
        let threads = match self.threads {
            1 => "1 thread".to_owned(),
            several => format!("{several} threads"),
        };
        for address in &self.listening {
            output::note(&format!("http://{address}/  {} ({threads})", self.what));
        }
        for text in &self.holds {
            output::note(&format!("  holds     {text}"));
        }
        for text in &self.does_not_hold {
            output::note(&format!("  does not  {text}"));
        }
        output::note(&format!("  not here  {NOT_SERVED}"));
        self.notes
            .iter()
            .for_each(|note| output::note(&format!("  note      {note}")));
        output::note("Ctrl-C ends it, after what is under way");
    }
}

/// What is served, in words.
fn hosts(sites: &Sites) -> String {
    match (sites.len(), sites.has_default()) {
        (0, _) => "no site yet".to_owned(),
        (1, true) => "one site, for every host name".to_owned(),
        (1, false) => "1 host name".to_owned(),
        (count, true) => format!("{} host names, and one site for all others", count - 1),
        (count, false) => format!("{count} host names"),
    }
}

/// An address, or a port of this machine alone.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        "not an address: 127.0.0.1:8080, [::]:80, or a port of this machine".to_owned()
    })
}

fn failure(error: ServeError) -> Failure {
    let kind = error.kind();
    Failure::io(Exit::Usage, kind, error)
}
