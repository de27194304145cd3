//! Which sockets have been dealt with, so that each is looked at once: neither again at the next look,
//! nor again in the next process that shares it. Pure; bounded by the descriptors that are open.

use std::collections::{HashMap, HashSet};

use uncork_sockets::Descriptor;

/// What is known of the descriptors of several processes.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    processes: HashMap<u32, HashMap<Descriptor, Option<u64>>>,
    /// By how many known descriptors each socket is had.
    cookies: HashMap<u64, usize>,
}

/// What a descriptor turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// A socket that was not known before.
    New,
    /// One that another descriptor has, too.
    Shared,
}

impl Memory {
    /// Of these descriptors of a process the new ones; forgets those that are not there any more.
    pub(crate) fn new_ones(&mut self, pid: u32, descriptors: &[Descriptor]) -> Vec<Descriptor> {
        let known = self.processes.entry(pid).or_default();
        let is_new = |descriptor: &&Descriptor| !known.contains_key(descriptor);
        let new: Vec<Descriptor> = descriptors.iter().filter(is_new).copied().collect();
        if known.len() + new.len() > descriptors.len() {
            let is_there: HashSet<&Descriptor> = descriptors.iter().collect();
            for (_, cookie) in known.extract_if(|descriptor, _| !is_there.contains(descriptor)) {
                release(&mut self.cookies, cookie);
            }
        }
        new
    }

    /// Keeps what a new descriptor is: a TCP socket by its cookie, or anything else.
    pub(crate) fn keep(&mut self, pid: u32, descriptor: Descriptor, cookie: Option<u64>) -> Met {
        let known = self.processes.entry(pid).or_default();
        if let Some(former) = known.insert(descriptor, cookie) {
            release(&mut self.cookies, former);
        }
        let Some(cookie) = cookie else {
            return Met::New;
        };
        let count = self.cookies.entry(cookie).or_default();
        *count += 1;
        if *count == 1 { Met::New } else { Met::Shared }
    }

    /// Forgets a process.
    pub(crate) fn forget(&mut self, pid: u32) {
        for cookie in self
            .processes
            .remove(&pid)
            .unwrap_or_default()
            .into_values()
        {
            release(&mut self.cookies, cookie);
        }
    }
}

fn release(cookies: &mut HashMap<u64, usize>, cookie: Option<u64>) {
    let Some(cookie) = cookie else { return };
    if let Some(count) = cookies.get_mut(&cookie) {
        *count -= 1;
        if *count == 0 {
            cookies.remove(&cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(number: i32, inode: u64) -> Descriptor {
        Descriptor { number, inode }
    }

    #[test]
    fn each_socket_is_met_once() {
        let mut memory = Memory::default();
        let (a, b) = (descriptor(3, 30), descriptor(4, 40));
        assert_eq!(memory.new_ones(1, &[a, b]), [a, b]);
        assert_eq!(memory.keep(1, a, Some(100)), Met::New);
        assert_eq!(memory.keep(1, b, None), Met::New);
        assert_eq!(memory.new_ones(1, &[a, b]), []);
        // A child has the same socket, and both close it.
        assert_eq!(memory.new_ones(2, &[a]), [a]);
        assert_eq!(memory.keep(2, a, Some(100)), Met::Shared);
        assert_eq!(memory.new_ones(1, &[b]), []);
        memory.forget(2);
        assert!(memory.cookies.is_empty());
        // The same number, another socket.
        let c = descriptor(3, 31);
        assert_eq!(memory.new_ones(1, &[c, b]), [c]);
        assert_eq!(memory.keep(1, c, Some(101)), Met::New);
        assert_eq!(memory.new_ones(1, &[]), []);
        assert!(memory.cookies.is_empty() && memory.processes[&1].is_empty());
    }

    #[test]
    fn what_was_kept_twice_is_released_once() {
        let mut memory = Memory::default();
        let a = descriptor(3, 30);
        memory.keep(1, a, Some(100));
        assert_eq!(memory.keep(1, a, Some(100)), Met::New);
        memory.forget(1);
        memory.forget(1);
        assert!(memory.cookies.is_empty());
    }
}
