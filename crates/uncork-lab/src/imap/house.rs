//! What all connections of one server share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fault::FaultPlan;
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
    pub(crate) started: Instant,
    stopping: AtomicBool,
    /// Wakes those who sleep in [`House::pause`] when the server stops.
    asleep: (Mutex<()>, Condvar),
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
        personality: Personality,
        faults: FaultPlan,
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
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            asleep: (Mutex::new(()), Condvar::new()),
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
        let sleepers = lock(&self.asleep.0);
        self.stopping.store(true, Ordering::Release);
        self.asleep.1.notify_all();
        drop(sleepers);
    }

    /// Sleeps for so long, or until the server stops.
    pub(crate) fn pause(&self, duration: Duration) {
        let deadline = Instant::now() + duration;
        let mut guard = lock(&self.asleep.0);
        while !self.is_stopping() {
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
