//! What all connections of one server share.

use std::collections::HashSet;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::certificate::Certificate;
use super::fault_plan::FaultPlan;
use super::personality::Personality;
use super::store::Store;

/// How many commands the transcript keeps; the first ones, so that it can be compared.
const TRANSCRIPT_MAX: usize = 10_000;

/// Characters of one command in it.
const TRANSCRIPT_LINE_MAX: usize = 256;

/// The shared state of one server.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) personality: Personality,
    pub(crate) faults: FaultPlan,
    pub(crate) store: Store,
    pub(crate) mail_root: PathBuf,
    pub(crate) stored: AtomicU64,
    pub(crate) connections: AtomicU64,
    /// Sessions that are logged in now.
    pub(crate) logged_in: AtomicUsize,
    /// The access tokens that are valid now.
    pub(crate) tokens: Mutex<HashSet<String>>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) started: Instant,
    stopping: AtomicBool,
    crashed: AtomicBool,
    /// Wakes those who sleep in [`House::pause`] when the server ends.
    asleep: (Mutex<()>, Condvar),
    /// A byte written here wakes the listener's thread.
    bell: UnixStream,
    transcript: Mutex<Vec<String>>,
}

/// When a connection was last heard of, in milliseconds since the server's start.
#[derive(Debug)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    pub(crate) fn new(house: &House) -> Self {
        Self(AtomicU64::new(house.age_ms()))
    }

    pub(crate) fn beat(&self, house: &House) {
        self.0.store(house.age_ms(), Ordering::Relaxed);
    }

    pub(crate) fn silence(&self, house: &House) -> Duration {
        Duration::from_millis(
            house
                .age_ms()
                .saturating_sub(self.0.load(Ordering::Relaxed)),
        )
    }
}

impl House {
    pub(crate) fn new(
        mail_root: PathBuf,
        store: Store,
        (user, password): (String, String),
        (personality, faults): (Personality, FaultPlan),
        certificate: Option<Certificate>,
        bell: UnixStream,
    ) -> Self {
        Self {
            user,
            password,
            personality,
            faults,
            store,
            mail_root,
            stored: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            logged_in: AtomicUsize::new(0),
            tokens: Mutex::new(HashSet::new()),
            certificate,
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            crashed: AtomicBool::new(false),
            asleep: (Mutex::new(()), Condvar::new()),
            bell,
            transcript: Mutex::new(Vec::new()),
        }
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.end(&self.stopping);
    }

    /// Whether the server has died and has not been restarted yet. Until then nothing is said.
    pub(crate) fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::Acquire)
    }

    /// Dies: the listener's thread ends all connections and then restarts.
    pub(crate) fn crash(&self) {
        self.end(&self.crashed);
    }

    /// Comes back to life with what is on disk.
    pub(crate) fn restart(&self) {
        self.store.forget();
        self.crashed.store(false, Ordering::Release);
    }

    fn end(&self, flag: &AtomicBool) {
        let sleepers = lock(&self.asleep.0);
        flag.store(true, Ordering::Release);
        self.asleep.1.notify_all();
        drop(sleepers);
        // Where the bell can't be rung, the listener looks up within one watch interval.
        let _ = (&self.bell).write_all(b"!");
    }

    /// Sleeps for so long, or until the server ends.
    pub(crate) fn pause(&self, duration: Duration) {
        let deadline = Instant::now() + duration;
        let mut guard = lock(&self.asleep.0);
        while !self.is_stopping() && !self.has_crashed() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.asleep.1.wait_timeout(guard, left);
            guard = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn note(&self, command: &str, argument: &str) {
        let mut transcript = lock(&self.transcript);
        if transcript.len() < TRANSCRIPT_MAX {
            let space = if argument.is_empty() { "" } else { " " };
            let parts = [command, space, argument];
            let line = parts.iter().flat_map(|part| part.chars());
            transcript.push(line.take(TRANSCRIPT_LINE_MAX).collect());
        }
    }

    pub(crate) fn transcript(&self) -> Vec<String> {
        lock(&self.transcript).clone()
    }
}

/// Locks although another thread panicked with the lock held: one connection's end must not
/// be every connection's end.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
