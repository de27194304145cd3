//! Another process, held so that it can't be mistaken for a later one of the same id.

use std::ffi::{CStr, CString};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Dir, Mode, OFlags, open, openat, readlinkat_raw};
use rustix::io::Errno;
use rustix::process::{ForeignRawFd, Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::advice::field;
use crate::error::Error;
use crate::socket::{Duplicate, Socket};

/// Room for `socket:[` and an inode of 20 digits; other links are longer, and of no interest.
const LINK_BYTES: usize = 32;

/// `PIDFD_THREAD` of `linux/pidfd.h` (Linux 6.9): a descriptor of a thread that leads no process.
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());

/// A process that is running, or was when it was opened.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    pidfd: OwnedFd,
    /// `/proc/PID`: what is opened beneath it is of that very process, or fails.
    folder: OwnedFd,
}

/// A descriptor of another process that is a socket of some kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// Of the descriptor in its process.
    pub number: i32,
    /// Of the socket, as in `/proc/net/tcp`. Used again for other sockets once it is closed.
    pub inode: u64,
}

impl Process {
    /// Takes hold of a process. This needs no permission yet.
    ///
    /// # Errors
    /// Where there is no such process, or it is hidden, or the id is that of a thread.
    ///
    /// # Minimum kernel version
    /// Linux 5.3 (`pidfd_open`); [`socket`](Self::socket) needs 5.6.
    #[doc(alias = "pidfd_open")]
    pub fn open(pid: u32) -> Result<Self, Error> {
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(id) = id else {
            return Err(Error::of(pid, "pidfd_open", Errno::SRCH));
        };
        let pidfd = pidfd_open(id, PidfdFlags::empty()).map_err(|errno| not_opened(pid, errno))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(format!("/proc/{pid}"), flags, Mode::empty());
        let has_ended = has_ended(&pidfd);
        let folder = folder.map_err(|errno| match errno {
            // A living process without a folder is hidden (hidepid), or /proc is not there.
            Errno::NOENT if !has_ended => Error::of(pid, "open", Errno::PERM),
            _ => Error::of(pid, "open", errno),
        })?;
        // Alive after the folder was opened: so the folder is of the process that the pidfd is of.
        if has_ended {
            return Err(Error::of(pid, "pidfd_open", Errno::SRCH));
        }
        Ok(Self { pid, pidfd, folder })
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended yet. One that ended and was not waited for has.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !has_ended(&self.pidfd)
    }

    /// Whether its descriptors can be had: the same check of the kernel (`PTRACE_MODE_ATTACH`) is made
    /// for [`socket`](Self::socket). Asks for descriptor 0, whatever it is.
    ///
    /// # Errors
    /// Where they can't.
    pub fn check_permission(&self) -> Result<(), Error> {
        self.duplicate(0).map(drop)
    }

    /// Its descriptors that are sockets, of whatever kind, in the order of their numbers. Those of a
    /// process whose first thread has ended are its other threads'; to duplicate them takes Linux 6.9.
    ///
    /// One `readlinkat` a descriptor and two calls for all: cheap enough for hundreds of times a
    /// second.
    ///
    /// # Errors
    /// Where the process is gone, or not ours to look at.
    pub fn descriptors(&self) -> Result<Vec<Descriptor>, Error> {
        let (descriptors, is_empty) = self.descriptors_in(c"fd")?;
        if !is_empty {
            return Ok(descriptors);
        }
        // Perhaps its first thread has ended, which has no descriptors then; the others have them.
        match self.thread_beside_zombie() {
            Some(thread) => {
                let path = CString::new(format!("task/{}/fd", thread.as_raw_nonzero()));
                let path = path.unwrap_or_default();
                Ok(self.descriptors_in(&path)?.0)
            }
            None => Ok(descriptors),
        }
    }

    /// The descriptors in a folder of `/proc/PID` that are sockets, and whether it has none at all.
    fn descriptors_in(&self, folder: &CStr) -> Result<(Vec<Descriptor>, bool), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |call| move |errno| self.failed(call, errno);
        let folder = openat(&self.folder, folder, flags, Mode::empty()).map_err(failed("open"))?;
        let entries = Dir::read_from(&folder).map_err(failed("getdents64"))?;
        let mut is_empty = true;
        let mut descriptors = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("getdents64"))?;
            let name = entry.file_name();
            let Some(number) = number(name) else { continue };
            is_empty = false;
            let mut room = [MaybeUninit::uninit(); LINK_BYTES];
            match readlinkat_raw(&folder, name, &mut room) {
                Ok((link, _)) => {
                    let inode = inode(link);
                    descriptors.extend(inode.map(|inode| Descriptor { number, inode }));
                }
                // Closed meanwhile.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(self.failed("readlinkat", errno)),
            }
        }
        descriptors.sort_unstable_by_key(|descriptor| descriptor.number);
        Ok((descriptors, is_empty))
    }

    /// A thread that lives, where the first one has ended and the process has not.
    fn thread_beside_zombie(&self) -> Option<Pid> {
        let state = |stat: &str| {
            let (_, rest) = stat.rsplit_once(')')?;
            rest.trim_start().chars().next()
        };
        let has_ended = |stat: &str| matches!(state(stat), Some('Z' | 'X') | None);
        let pid = self.pid;
        let stat = |thread: u32| fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat"));
        if !has_ended(&stat(pid).ok()?) {
            return None;
        }
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let mut threads = threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let thread = threads.find(|thread| stat(*thread).is_ok_and(|stat| !has_ended(&stat)))?;
        // Read by its id: it was this process's if that still runs.
        let thread = self.is_running().then_some(thread)?;
        Pid::from_raw(i32::try_from(thread).ok()?)
    }

    /// A duplicate of one of its descriptors, if that is a TCP socket: `None` where it is something
    /// else, or was closed meanwhile.
    ///
    /// # Errors
    /// Where the process is gone, or not ours to look into.
    ///
    /// # Minimum kernel version
    /// Linux 5.6.
    #[doc(alias = "pidfd_getfd")]
    pub fn socket(&self, number: i32) -> Result<Option<Socket>, Error> {
        let Some(duplicate) = self.duplicate(number)? else {
            return Ok(None);
        };
        Socket::new(duplicate, number).map_err(|(call, errno)| Error::of(self.pid, call, errno))
    }

    /// A duplicate of a socket that was found [before](Self::socket), if it still has this number:
    /// `None` where it was closed, and where the number is now that of something else. Two calls.
    ///
    /// # Errors
    /// Where the process is gone, or not ours to look into.
    #[doc(alias = "pidfd_getfd")]
    pub fn same_socket(&self, number: i32, cookie: u64) -> Result<Option<Duplicate>, Error> {
        let Some(duplicate) = self.duplicate(number)? else {
            return Ok(None);
        };
        Duplicate::new(duplicate, cookie).map_err(|errno| Error::of(self.pid, "getsockopt", errno))
    }

    /// A duplicate of one of its descriptors, whatever that is; `None` where there is none. One system
    /// call, where [`socket`](Self::socket) takes eight.
    ///
    /// # Errors
    /// Where the process is gone, or not ours to look into.
    ///
    /// # Minimum kernel version
    /// Linux 5.6.
    #[doc(alias = "pidfd_getfd")]
    pub fn duplicate(&self, number: ForeignRawFd) -> Result<Option<OwnedFd>, Error> {
        let duplicate = |pidfd: &OwnedFd| pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty());
        let of_thread = || {
            let thread = self.thread_beside_zombie()?;
            let thread = pidfd_open(thread, PIDFD_THREAD).ok()?;
            duplicate(&thread).ok()
        };
        match duplicate(&self.pidfd) {
            Ok(duplicate) => Ok(Some(duplicate)),
            Err(Errno::BADF) => Ok(of_thread()),
            Err(errno @ Errno::SRCH) => match of_thread() {
                Some(duplicate) => Ok(Some(duplicate)),
                None => Err(self.failed("pidfd_getfd", errno)),
            },
            Err(errno) => Err(self.failed("pidfd_getfd", errno)),
        }
    }

    /// A refusal that comes from the end of the process is none: the entries of one that was not
    /// waited for belong to root, and so its parent is refused.
    fn failed(&self, call: &'static str, errno: Errno) -> Error {
        match errno {
            Errno::PERM | Errno::ACCESS | Errno::NOENT if !self.is_running() => {
                Error::of(self.pid, call, Errno::SRCH)
            }
            // A living process has this entry, so something hides it.
            Errno::NOENT => Error::of(self.pid, call, Errno::PERM),
            _ => Error::of(self.pid, call, errno),
        }
    }
}

/// A pidfd is readable once its process has ended. A call that fails says nothing, and "it runs" is
/// what the next call on it will correct.
fn has_ended(pidfd: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// `pidfd_open` says EINVAL for a thread, since Linux 6.9 ENOENT.
fn not_opened(pid: u32, errno: Errno) -> Error {
    let of_process = || -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let process = field(&status, "Tgid:")?.parse().ok()?;
        (process != pid).then_some(process)
    };
    match errno {
        Errno::INVAL | Errno::NOENT => match of_process() {
            Some(process) => Error::Thread {
                pid,
                process,
                reason: errno.into(),
            },
            None => Error::of(pid, "pidfd_open", Errno::SRCH),
        },
        _ => Error::of(pid, "pidfd_open", errno),
    }
}

fn number(name: &CStr) -> Option<i32> {
    name.to_str().ok()?.parse().ok()
}

/// The inode of a link to `socket:[INODE]`.
fn inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_sockets() {
        for (link, expected) in [
            (&b"socket:[12345]"[..], Some(12345)),
            (b"socket:[18446744073709551615]", Some(u64::MAX)),
            (b"socket:[]", None),
            (b"socket:[12", None),
            (b"pipe:[12345]", None),
            (b"/tmp/socket:[1]", None),
            (b"", None),
        ] {
            assert_eq!(inode(link), expected);
        }
    }

    #[test]
    fn this_process_can_be_opened() {
        let process = Process::open(std::process::id()).unwrap();
        assert!(process.is_running());
        process.check_permission().unwrap();
    }

    #[test]
    fn no_process_of_that_id() {
        for pid in [0, i32::MAX as u32, u32::MAX] {
            let error = Process::open(pid).unwrap_err();
            assert!(error.is_gone(), "{error}");
            assert!(error.to_string().contains("pidfd_open"), "{error}");
            assert_eq!(error.advice(), None);
        }
    }

    #[test]
    fn a_thread_is_told_from_its_process() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            send.send(rustix::thread::gettid()).unwrap();
            let _ = wait.recv();
        });
        let id = receive.recv().unwrap().as_raw_nonzero().get();
        let error = Process::open(u32::try_from(id).unwrap()).unwrap_err();
        drop(end);
        thread.join().unwrap();
        let process = std::process::id();
        assert!(
            matches!(error, Error::Thread { process: found, .. } if found == process),
            "{error}"
        );
        assert!(error.advice().unwrap().contains(&process.to_string()));
    }
}
