//! Stacks in words. Finding the names of a large program takes a while, and its process may end
//! meanwhile; so a thread begins with each stack as soon as it is seen.

use std::collections::HashMap;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::symbolizer::Symbolizer;

/// Stacks that are put into words.
const STACKS: usize = 1024;

/// How long a report waits for the last names.
const PATIENCE: Duration = Duration::from_secs(3);

/// A stack in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stack {
    pub(crate) pid: u32,
    pub(crate) addresses: Vec<u64>,
    pub(crate) frames: Vec<String>,
}

type Key = (u32, Vec<u64>);

/// All that were seen.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    shared: Arc<Shared>,
    requests: Option<Sender<Key>>,
    /// Finds the names in a process of its own.
    symbolizer: Option<Command>,
}

#[derive(Debug, Default)]
struct Shared {
    /// `None` while the names are looked for.
    known: Mutex<HashMap<Key, Option<Vec<String>>>>,
    found: Condvar,
}

impl Stacks {
    /// From now on names are found by a process that this command starts; to be called before any is
    /// asked for.
    pub(crate) fn set_symbolizer(&mut self, command: Command) {
        self.symbolizer = Some(command);
    }

    /// Begins to look for the names of a stack, unless that has been done.
    pub(crate) fn ask(&mut self, pid: u32, addresses: &[u64]) {
        let key = (pid, addresses.to_vec());
        {
            let mut known = self.shared.known();
            if known.len() >= STACKS || known.contains_key(&key) {
                return;
            }
            known.insert(key.clone(), None);
        }
        let requests = self.requests.get_or_insert_with(|| {
            let (sender, requests) = channel();
            let shared = Arc::clone(&self.shared);
            let command = self.symbolizer.take();
            // Without a thread there are addresses only.
            let _ = thread::Builder::new()
                .name("symbols".to_owned())
                .spawn(move || shared.look_up(Symbolizer::new(command), &requests));
            sender
        });
        if requests.send(key.clone()).is_err() {
            self.shared.put(key, Vec::new());
        }
    }

    /// A stack as it was recorded.
    pub(crate) fn remember(&mut self, stack: Stack) {
        let mut known = self.shared.known();
        if known.len() < STACKS {
            known.insert((stack.pid, stack.addresses), Some(stack.frames));
        }
    }

    /// The words of a stack; none where it is not known, or not yet.
    pub(crate) fn frames(&self, pid: u32, addresses: &[u64]) -> Vec<String> {
        if addresses.is_empty() {
            return Vec::new();
        }
        let known = self.shared.known();
        known
            .get(&(pid, addresses.to_vec()))
            .cloned()
            .flatten()
            .unwrap_or_default()
    }

    /// All of them, once their names are found; those that take too long are left out.
    pub(crate) fn all(&self) -> Vec<Stack> {
        let known = self.shared.known();
        let waited = self
            .shared
            .found
            .wait_timeout_while(known, PATIENCE, |known| known.values().any(Option::is_none));
        let (known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().filter_map(|((pid, addresses), frames)| {
            Some(Stack {
                pid: *pid,
                addresses: addresses.clone(),
                frames: frames.clone()?,
            })
        });
        found.collect()
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, HashMap<Key, Option<Vec<String>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: Key, frames: Vec<String>) {
        self.known().insert(key, Some(frames));
        self.found.notify_all();
    }

    fn look_up(&self, mut symbolizer: Symbolizer, requests: &Receiver<Key>) {
        for (pid, addresses) in requests {
            let frames = symbolizer.frames(pid, &addresses);
            self.put((pid, addresses), frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_this_very_program() {
        let pid = std::process::id();
        let address = Shared::put as *const () as u64;
        let mut stacks = Stacks::default();
        stacks.ask(pid, &[address]);
        stacks.ask(pid, &[1]);
        let all = stacks.all();
        assert_eq!(all.len(), 2);
        let frames = stacks.frames(pid, &[address]);
        assert!(frames.len() == 1 && frames[0].contains("put"), "{frames:?}");
        assert_eq!(stacks.frames(pid, &[1]), ["0x1"]);
        assert!(stacks.frames(pid, &[2]).is_empty());
    }
}
