//! Threads that wait for the disk, so that workers need not.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::beneath::{Opener, Patience};
use crate::mailbox::{Letter, Mailbox};
use crate::resource::{self, Digest};
use crate::site::Site;
use crate::token::Token;

/// How many files can be waited for at a time.
pub(crate) const LOADER_THREADS: usize = 4;

/// How many of the threads may do errands of one kind: large files on a slow disk leave one to those
/// who only ask what a path is, and the other way round.
const THREADS_OF_KIND: usize = LOADER_THREADS - 1;

/// How long the disk may take for an errand, and what waits for its turn while nothing else ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that are read at a time to get a file into the kernel's memory.
const WARM_BUFFER_BYTES: usize = 256 * 1024;

/// Something that a worker can't do without waiting.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Find what a path is.
    Find {
        /// The site.
        site: Site,
        /// The path, as the cache knows it.
        key: Box<[u8]>,
        /// What is known of the path.
        digests: Vec<Digest>,
    },
    /// Get a range of a file into the kernel's memory.
    Warm {
        /// The file.
        file: Arc<File>,
        /// Its range.
        range: Range<u64>,
        /// The connection that waits for it.
        token: Token,
    },
}

/// Errands of one kind that wait for a thread. Who finds it full is told that the server is busy.
const ERRANDS_MAX: usize = 4096;

/// An errand, and where its answer goes.
#[derive(Debug)]
struct Job {
    errand: Errand,
    mailbox: Arc<Mailbox>,
    /// Of [`Errand::Warm`]: gone where nobody waits for it any more.
    waiting: Option<Weak<Mutex<Wait>>>,
}

/// How far a part of a file has come for which somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// It waits for a thread.
    InLine,
    /// A thread has waited for the disk since then.
    Since(Instant),
}

/// What waits for a thread, and what threads do.
#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    /// Rung where there may be something to do.
    bell: Condvar,
}

#[derive(Debug)]
struct State {
    finds: VecDeque<Job>,
    warms: VecDeque<Job>,
    /// Threads that do the one or the other.
    finding: usize,
    warming: usize,
    /// When a part of a file came last.
    ended_at: Instant,
    is_closed: bool,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            finds: VecDeque::new(),
            warms: VecDeque::new(),
            finding: 0,
            warming: 0,
            ended_at: now,
            is_closed: false,
        }
    }

    /// Whether there was room for it.
    fn put(&mut self, job: Job, now: Instant) -> bool {
        if self.warming == 0 && self.warms.is_empty() {
            // Nothing could end while there was nothing to do.
            self.ended_at = now;
        }
        let line = match job.errand {
            Errand::Find { .. } => &mut self.finds,
            Errand::Warm { .. } => &mut self.warms,
        };
        if line.len() >= ERRANDS_MAX {
            line.retain(Job::is_wanted);
        }
        let has_room = line.len() < ERRANDS_MAX;
        if has_room {
            line.push_back(job);
        }
        has_room
    }

    /// What a thread is to do next. What a path is goes first: others may wait for the same.
    fn take(&mut self, now: Instant) -> Option<Job> {
        if self.finding < THREADS_OF_KIND
            && let Some(job) = self.finds.pop_front()
        {
            self.finding += 1;
            return Some(job);
        }
        if self.warming == THREADS_OF_KIND {
            return None;
        }
        while let Some(job) = self.warms.pop_front() {
            if job.begin(now) {
                self.warming += 1;
                return Some(job);
            }
        }
        None
    }

    fn ended(&mut self, kind: Kind, now: Instant) {
        match kind {
            Kind::Find => self.finding -= 1,
            Kind::Warm => {
                self.warming -= 1;
                self.ended_at = now;
            }
        }
    }
}

/// What an errand is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Find,
    Warm,
}

impl Job {
    fn kind(&self) -> Kind {
        match self.errand {
            Errand::Find { .. } => Kind::Find,
            Errand::Warm { .. } => Kind::Warm,
        }
    }

    fn is_wanted(&self) -> bool {
        let waiting = self.waiting.as_ref();
        waiting.is_none_or(|waiting| waiting.strong_count() > 0)
    }

    /// Puts down that a thread does it. Whether anybody waits for that.
    fn begin(&self, now: Instant) -> bool {
        let Some(waiting) = &self.waiting else {
            return true;
        };
        let Some(waiting) = waiting.upgrade() else {
            return false;
        };
        *lock(&waiting) = Wait::Since(now);
        true
    }
}

impl Queue {
    /// Waits for something to do. `None`: nobody is left who could want it.
    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.take(Instant::now()) {
                return Some(job);
            }
            let woken = self.bell.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Where errands go in. The threads end when it is gone.
#[derive(Debug)]
struct Entrance(Arc<Queue>);

impl Drop for Entrance {
    fn drop(&mut self) {
        lock(&self.0.state).is_closed = true;
        self.0.bell.notify_all();
    }
}

/// Where errands are handed in. The threads end after the last [`Counter`] is gone; nobody waits for
/// them, as the disk may never answer.
#[derive(Debug)]
pub(crate) struct Loader {
    entrance: Arc<Entrance>,
}

impl Loader {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where a thread can't be started.
    pub(crate) fn start(opener: Opener) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State::new(Instant::now())),
            bell: Condvar::new(),
        });
        let entrance = Arc::new(Entrance(Arc::clone(&queue)));
        for _ in 0..LOADER_THREADS {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name("uncork-disk".to_owned())
                .spawn(move || work(&queue, opener))?;
        }
        Ok(Self { entrance })
    }

    /// A place at which a worker hands in errands; answers go to its mailbox.
    #[must_use]
    pub(crate) fn counter(&self, mailbox: Arc<Mailbox>) -> Counter {
        Counter {
            entrance: Arc::clone(&self.entrance),
            mailbox,
            waiting: HashMap::new(),
        }
    }
}

/// Where one worker hands in its errands.
#[derive(Debug)]
pub(crate) struct Counter {
    entrance: Arc<Entrance>,
    mailbox: Arc<Mailbox>,
    /// Connections that wait for a part of a file.
    waiting: HashMap<Token, Arc<Mutex<Wait>>>,
}

impl Counter {
    /// Hands in an errand. Whether there was room for it.
    #[must_use]
    pub(crate) fn hand_in(&mut self, errand: Errand) -> bool {
        let token = match &errand {
            Errand::Find { .. } => None,
            Errand::Warm { token, .. } => Some(*token),
        };
        let wait = token.map(|token| (token, Arc::new(Mutex::new(Wait::InLine))));
        let job = Job {
            errand,
            mailbox: Arc::clone(&self.mailbox),
            waiting: wait.as_ref().map(|(_, wait)| Arc::downgrade(wait)),
        };
        let queue = &self.entrance.0;
        let has_room = lock(&queue.state).put(job, Instant::now());
        if has_room {
            self.waiting.extend(wait);
            queue.bell.notify_one();
        }
        has_room
    }

    /// A connection waits for no file any more: it has it, or has ended. What was not begun for it is
    /// not done.
    pub(crate) fn forget(&mut self, token: Token) {
        self.waiting.remove(&token);
    }

    /// Whether a connection's part of a file may still come, however long it has waited: the disk is
    /// slow, and not dead.
    #[must_use]
    pub(crate) fn may_still_come(&self, token: Token, now: Instant) -> bool {
        let Some(wait) = self.waiting.get(&token) else {
            return false;
        };
        // A thread that takes the errand locks the other way round: not both at once here.
        let wait = *lock(wait);
        let since = match wait {
            Wait::Since(since) => since,
            Wait::InLine => lock(&self.entrance.0.state).ended_at,
        };
        now.saturating_duration_since(since) < PATIENCE
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(queue: &Queue, opener: Opener) {
    let mut buffer = vec![0; WARM_BUFFER_BYTES];
    while let Some(job) = queue.next() {
        let kind = job.kind();
        job.mailbox.post(match job.errand {
            Errand::Find { site, key, digests } => {
                let find = || resource::find(&site, &key, opener, Patience::Wait, &digests);
                // Whoever waits for this has to hear of it, whatever happens.
                let found = catch_unwind(AssertUnwindSafe(find)).ok().flatten();
                let failed = || resource::Resource::fixed(resource::Kind::Failed);
                let resource = Box::new(found.unwrap_or_else(failed));
                Letter::Found {
                    site: site.id,
                    key,
                    resource,
                }
            }
            Errand::Warm { file, range, token } => {
                warm(&file, range, &mut buffer);
                Letter::Warmed { token }
            }
        });
        lock(&queue.state).ended(kind, Instant::now());
        queue.bell.notify_one();
    }
}

/// Reads a range and throws it away. A failure shows again where it is sent.
fn warm(file: &File, range: Range<u64>, buffer: &mut [u8]) {
    let mut offset = range.start;
    while offset < range.end {
        let most = buffer
            .len()
            .min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
        match rustix::io::pread(file, &mut buffer[..most], offset) {
            Ok(0) => return,
            Ok(read) => offset += read as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn find() -> Errand {
        let rules = Arc::default();
        Errand::Find {
            site: Site::new("a".to_owned(), PathBuf::new(), rules, 1),
            key: Box::from(*b"/"),
            digests: Vec::new(),
        }
    }

    fn warm_of(generation: u64) -> Errand {
        Errand::Warm {
            file: Arc::new(File::open("/dev/null").unwrap()),
            range: 0..1,
            token: Token::new(0, generation),
        }
    }

    /// A counter without threads, of which each test takes what it likes.
    fn counter() -> Counter {
        let queue = Queue {
            state: Mutex::new(State::new(Instant::now())),
            bell: Condvar::new(),
        };
        let entrance = Arc::new(Entrance(Arc::new(queue)));
        let mailbox = Arc::new(Mailbox::new().unwrap());
        Loader { entrance }.counter(mailbox)
    }

    fn take(counter: &Counter) -> Option<Job> {
        lock(&counter.entrance.0.state).take(Instant::now())
    }

    fn token_of(job: Option<Job>) -> Option<Token> {
        match job?.errand {
            Errand::Warm { token, .. } => Some(token),
            Errand::Find { .. } => None,
        }
    }

    #[test]
    fn what_a_path_is_does_not_wait_for_large_files() {
        let mut counter = counter();
        for generation in 0..100 {
            assert!(counter.hand_in(warm_of(generation)));
        }
        for generation in 0..THREADS_OF_KIND as u64 {
            let job = token_of(take(&counter));
            assert_eq!(job, Some(Token::new(0, generation)));
        }
        // The last thread stays free for what comes.
        assert!(take(&counter).is_none());
        assert!(counter.hand_in(find()));
        assert!(matches!(take(&counter).unwrap().kind(), Kind::Find));
        lock(&counter.entrance.0.state).ended(Kind::Warm, Instant::now());
        assert!(counter.hand_in(find()));
        // Also where files are in line before it.
        assert!(matches!(take(&counter).unwrap().kind(), Kind::Find));
    }

    #[test]
    fn large_files_do_not_wait_for_paths_for_ever() {
        let mut counter = counter();
        for _ in 0..100 {
            assert!(counter.hand_in(find()));
        }
        assert!(counter.hand_in(warm_of(0)));
        for _ in 0..THREADS_OF_KIND {
            assert!(matches!(take(&counter).unwrap().kind(), Kind::Find));
        }
        assert!(token_of(take(&counter)).is_some());
    }

    #[test]
    fn what_nobody_waits_for_is_not_done() {
        let mut counter = counter();
        for generation in 0..ERRANDS_MAX as u64 {
            assert!(counter.hand_in(warm_of(generation)));
        }
        assert!(!counter.hand_in(warm_of(1_000_000)));
        for generation in 0..ERRANDS_MAX as u64 - 1 {
            counter.forget(Token::new(0, generation));
        }
        // Those that are gone make room.
        let last = Token::new(0, 1_000_001);
        assert!(counter.hand_in(warm_of(1_000_001)));
        counter.forget(Token::new(0, ERRANDS_MAX as u64 - 1));
        assert_eq!(token_of(take(&counter)), Some(last));
        assert!(take(&counter).is_none());
    }

    #[test]
    fn a_slow_disk_is_waited_for_and_a_dead_one_is_not() {
        let mut counter = counter();
        let begin = Instant::now();
        let (first, second) = (Token::new(0, 1), Token::new(0, 2));
        assert!(!counter.may_still_come(first, begin));
        assert!(counter.hand_in(warm_of(1)) && counter.hand_in(warm_of(2)));
        let after = |patiences: u32| Instant::now() + PATIENCE * patiences;
        assert!(counter.may_still_come(first, begin));
        assert!(!counter.may_still_come(second, after(1)));
        // The first one ends late: it was slow, and so may the second one be.
        let state = |change: &dyn Fn(&mut State)| change(&mut lock(&counter.entrance.0.state));
        state(&|state| drop(state.take(after(1))));
        assert!(!counter.may_still_come(first, after(2)));
        state(&|state| state.ended(Kind::Warm, after(2)));
        assert!(counter.may_still_come(second, begin + PATIENCE * 2));
        assert!(!counter.may_still_come(second, after(3)));
        counter.forget(second);
        assert!(!counter.may_still_come(second, begin));
    }

    #[test]
    fn threads_end_with_the_last_counter() {
        let loader = Loader::start(Opener::probe()).unwrap();
        let queue = Arc::downgrade(&loader.entrance.0);
        let mut counter = loader.counter(Arc::new(Mailbox::new().unwrap()));
        drop(loader);
        assert!(counter.hand_in(warm_of(1)));
        drop(counter);
        let since = Instant::now();
        while queue.strong_count() > 0 {
            assert!(since.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(5));
        }
    }
}
