//! The keeper: the process that answers when the supervisor can't.
//!
//! Where a filter's listener is gone, the calls that it names fail with ENOSYS: a command whose
//! supervisor was killed could never connect again. So a second process has the listener, too, and
//! sleeps. It takes over while the supervisor is stopped, and for good once it has ended. It ends when
//! the last process with the filter has ended.
//!
//! It is started as a program anew, in a session of its own, with nothing open but what it needs: no
//! pipe, terminal or folder waits for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getppid, pidfd_open, pidfd_send_signal,
};

use super::family;
use super::service::{Listing, Selection, Service};
use crate::sys::{descriptors, seccomp, signals, spawn};

/// What the supervisor says before it stops; the command's id follows.
const STOPPING: u8 = b's';

/// What it says when it goes on.
const BACK: u8 = b'b';

/// What the keeper answers when it leaves the listener to the supervisor again. Both at once would not
/// do: one of them could wait for a call that the other has taken.
const YOURS: u8 = b'y';

/// Between two looks at a command that has stopped: nothing tells a process that is not its parent when
/// it goes on.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The supervisor's word with its keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    process: Pid,
    control: UnixStream,
}

/// How the keeper is to be started: the arguments of this same program that lead to [`keep`].
#[derive(Debug, Clone)]
pub struct KeeperArguments {
    /// What comes first: three numbers follow, and the ports of [`Settings`](super::Settings).
    pub verb: &'static str,
}

impl Keeper {
    pub(crate) fn start(arguments: &KeeperArguments, service: &Service) -> io::Result<Self> {
        let (control, far_end) = UnixStream::pair()?;
        let handed = [
            service.listener().try_clone_to_owned()?,
            OwnedFd::from(far_end),
            service.in_hand().try_clone_to_owned()?,
        ];
        // The running program, even if its file has been replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("uncork")
            .arg(arguments.verb)
            .args(handed.each_ref().map(|end| end.as_raw_fd().to_string()))
            .args(service.selection().ports.iter().map(u16::to_string))
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        spawn::before_exec(&mut command, move || {
            rustix::process::setsid()?;
            for end in &handed {
                spawn::keep_across_exec(end.as_fd())?;
            }
            Ok(())
        });
        let child = command.spawn()?;
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = process.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { process, control })
    }

    pub(crate) fn process(&self) -> Pid {
        self.process
    }

    /// The supervisor is about to stop, as the command has. No answer is waited for: whoever calls
    /// meanwhile, waits.
    pub(crate) fn take_over(&mut self, command: Pid) -> io::Result<()> {
        let [b0, b1, b2, b3] = command.as_raw_nonzero().get().to_ne_bytes();
        self.control.write_all(&[STOPPING, b0, b1, b2, b3])
    }

    /// The supervisor goes on, and has the listener for itself when this returns.
    pub(crate) fn hand_back(&mut self) -> io::Result<()> {
        self.control.write_all(&[BACK])?;
        self.control.read_exact(&mut [0])
    }

    /// Nobody needs the keeper any more. It would see that itself, but may not even have begun; and it
    /// is waited for, so that nothing of it is left where nobody reaps.
    pub(crate) fn dismiss(self) {
        let _ = rustix::process::kill_process(self.process, Signal::KILL);
        let waited = || rustix::process::waitpid(Some(self.process), WaitOptions::empty());
        while matches!(waited(), Err(Errno::INTR)) {}
    }
}

/// Is the keeper: `numbers` are the descriptors that [`Keeper::start`] has handed on.
///
/// For a process that has just begun. Returns when it is not needed any more.
///
/// # Errors
/// Where the descriptors are not those of a keeper, because somebody else has called.
#[doc(hidden)]
pub fn keep(numbers: [RawFd; 3], ports: Vec<u16>) -> io::Result<()> {
    let no_keeper = || io::Error::from(io::ErrorKind::InvalidInput);
    let [listener, control, in_hand] = descriptors::adopt(numbers).ok_or_else(no_keeper)?;
    // Those who stop services send SIGTERM to every process that they find. This one ends after those
    // that need it, by itself.
    signals::block()?;
    descriptors::close_all_but(&numbers)?;
    let _ = rustix::thread::set_name(c"uncork-keeper");
    seccomp::probe()?;
    let selection = Selection { ports };
    let service = Service::new(listener, File::from(in_hand), selection, Listing::Count);
    watch(service, UnixStream::from(control))
}

/// Sleeps until the supervisor stops or ends.
fn watch(mut service: Service, mut control: UnixStream) -> io::Result<()> {
    // A pidfd, as its id may be another's once it has ended. It is the parent: it has not ended, or its
    // end of `control` is closed, which comes first below.
    let supervisor = getppid().and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok());
    let mut stopped = None;
    loop {
        let is_serving = stopped.is_some();
        let listener_events = if is_serving {
            PollFlags::IN
        } else {
            // That nobody has the filter any more, poll tells unasked.
            PollFlags::empty()
        };
        let (calls, words) = wait(&service, listener_events, &control, is_serving)?;
        if !words.is_empty() {
            let mut word = [0];
            match control.read(&mut word) {
                Ok(1) if word == [STOPPING] => {
                    let mut command = [0; 4];
                    if control.read_exact(&mut command).is_err() {
                        break;
                    }
                    stopped = Some(u32::from_ne_bytes(command));
                }
                Ok(1) => {
                    stopped = None;
                    let _ = control.write_all(&[YOURS]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        } else if calls.contains(PollFlags::IN) && is_serving {
            service.serve();
        } else if let (Some(command), Some(supervisor)) = (stopped, &supervisor) {
            if !family::is_stopped(command) {
                // Somebody has made the command go on, or has ended it: nobody else tells who waits for
                // it. Again and again, as that one may be about to stop only now.
                let _ = pidfd_send_signal(supervisor, Signal::CONT);
            }
            if calls.contains(PollFlags::HUP) {
                // It would never let `poll` sleep again.
                std::thread::sleep(LOOK_PAUSE);
            }
        } else if calls.contains(PollFlags::HUP) {
            return Ok(());
        }
    }
    drop(control);
    service.release_what_was_in_hand();
    loop {
        let mut polled = [PollFd::from_borrowed_fd(service.listener(), PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = polled[0].revents();
        if events.contains(PollFlags::IN) {
            service.serve();
        } else if events.contains(PollFlags::HUP) {
            return Ok(());
        }
    }
}

/// What has happened to the listener and to the supervisor's end; at the latest after a while where the
/// command has to be looked after.
fn wait(
    service: &Service,
    listener_events: PollFlags,
    control: &UnixStream,
    is_stopped: bool,
) -> io::Result<(PollFlags, PollFlags)> {
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: LOOK_PAUSE.subsec_nanos().into(),
    };
    let timeout = is_stopped.then_some(&pause);
    let mut polled = [
        PollFd::from_borrowed_fd(service.listener(), listener_events),
        PollFd::new(control, PollFlags::IN),
    ];
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::INTR) => Ok((polled[0].revents(), polled[1].revents())),
        Err(error) => Err(error.into()),
    }
}

/// Whether no process has the filter any more.
pub(crate) fn is_over(service: &Service) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(service.listener(), PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
}
