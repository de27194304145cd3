//! The process between a shell and the command: it serves the command's calls, and is in all else as
//! if it was not there. Signals, stops and the end pass through it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::End;
use super::family;
use super::keeper::{self, Keeper};
use super::quickack::Quickack;
use super::service::Service;
use super::tally::Report;
use crate::sys::signals::{self, Received};

/// Where signals come from, as far as it matters whether the command has got them, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A process sent it, to this process or to all of a group.
    Process,
    /// The kernel did: the terminal's signals go to the whole group, with the command in it.
    Kernel,
}

/// A command while it runs.
#[derive(Debug)]
pub(crate) struct Supervisor {
    command: Pid,
    signals: OwnedFd,
    /// `None` where the command has no filter.
    pub(crate) service: Option<Service>,
    /// `None` where it could not be started, or was killed.
    pub(crate) keeper: Option<Keeper>,
    /// `None` where that was not asked for.
    pub(crate) quickack: Option<Quickack>,
    is_command_stopped: bool,
    /// No process has the filter any more.
    is_service_over: bool,
}

impl Supervisor {
    pub(crate) fn new(
        command: Pid,
        signals: OwnedFd,
        service: Option<Service>,
        keeper: Option<Keeper>,
        quickack: Option<Quickack>,
    ) -> Self {
        Self {
            command,
            signals,
            service,
            keeper,
            quickack,
            is_command_stopped: false,
            is_service_over: false,
        }
    }

    /// Serves until the command has ended, and tells how it did.
    pub(crate) fn supervise(&mut self) -> io::Result<End> {
        loop {
            let (signals, calls) = self.wait()?;
            if calls.contains(PollFlags::IN) {
                if let Some(service) = &mut self.service {
                    service.serve();
                }
            } else if !calls.is_empty() {
                self.is_service_over = true;
            }
            if signals.contains(PollFlags::IN)
                && let Some(end) = self.signals()?
            {
                return Ok(end);
            }
        }
    }

    /// What was done, once the command has ended.
    pub(crate) fn finish(self) -> Report {
        let Self {
            service,
            keeper,
            quickack,
            ..
        } = self;
        let quickack = quickack.map(Quickack::finish);
        let Some(service) = service else {
            return Report {
                quickack,
                ..Report::default()
            };
        };
        // Where processes of the command live on, the keeper does for them what this process did.
        if keeper::is_over(&service)
            && let Some(keeper) = keeper
        {
            keeper.dismiss();
        }
        Report {
            quickack,
            ..service.tally.report()
        }
    }

    fn wait(&self) -> io::Result<(PollFlags, PollFlags)> {
        let signals = PollFd::new(&self.signals, PollFlags::IN);
        // A listener that nobody calls any more would never let `poll` sleep again.
        let service = self.service.as_ref().filter(|_| !self.is_service_over);
        let done = match service {
            Some(service) => {
                let calls = PollFd::from_borrowed_fd(service.listener(), PollFlags::IN);
                let mut polled = [signals, calls];
                let done = poll(&mut polled, None);
                done.map(|_| (polled[0].revents(), polled[1].revents()))
            }
            None => {
                let mut polled = [signals];
                let done = poll(&mut polled, None);
                done.map(|_| (polled[0].revents(), PollFlags::empty()))
            }
        };
        match done {
            Ok(events) => Ok(events),
            Err(Errno::INTR) => Ok((PollFlags::empty(), PollFlags::empty())),
            Err(error) => Err(error.into()),
        }
    }

    fn signals(&mut self) -> io::Result<Option<End>> {
        for received in signals::read(&self.signals)? {
            // Children first: whether the command is stopped decides about SIGCONT.
            if let Some(end) = self.children() {
                return Ok(Some(end));
            }
            if self.is_meant_for_command(received) {
                signals::send(self.command, received.signal);
            }
        }
        Ok(self.children())
    }

    fn is_meant_for_command(&self, received: Received) -> bool {
        let Received { signal, code, .. } = received;
        let is_session_leader = || rustix::process::getsid(None) == Ok(rustix::process::getpid());
        match origin(code) {
            Origin::Kernel => match signal {
                // A terminal that hangs up tells the leader of the session alone; the others hear of it
                // when the leader ends.
                libc::SIGHUP => is_session_leader(),
                // An alarm that was set before uncork became this process: it survives an exec.
                libc::SIGALRM => true,
                _ => false,
            },
            Origin::Process => match signal {
                libc::SIGCHLD => false,
                // A shell continues the whole group.
                libc::SIGCONT => self.is_command_stopped,
                // `kill 0` and the like in the command has reached the command.
                _ => !family::descends(received.sender, id(self.command)),
            },
        }
    }

    /// Asks how all children fare that have something to tell. As the first process of a container, and
    /// where Yama makes it adopt the command's orphans, there are more than the command.
    fn children(&mut self) -> Option<End> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        let mut end = None;
        loop {
            match rustix::process::wait(options) {
                Ok(Some((process, status))) if process == self.command => {
                    if status.stopped() {
                        self.is_command_stopped = true;
                        self.stop();
                    } else if status.continued() {
                        self.is_command_stopped = false;
                    } else {
                        end = end_of(status);
                    }
                }
                Ok(Some((process, status))) => {
                    let is_keeper = |keeper: &mut Keeper| keeper.process() == process;
                    if !status.stopped() && !status.continued() {
                        self.keeper.take_if(is_keeper);
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return end,
            }
        }
    }

    /// The command has stopped: the shell has to see that, and sees this process only.
    fn stop(&mut self) {
        if !family::is_job() {
            // Nobody would make this process go on.
            return;
        }
        // Other processes of the command may be going on, and wait in a call.
        let taken = self.keeper.as_mut().map(Keeper::take_over);
        // No duplicate is held for as long as this process is stopped.
        let _idle = self.quickack.as_ref().map(Quickack::pause);
        signals::send(rustix::process::getpid(), libc::SIGSTOP);
        if matches!(taken, Some(Ok(())))
            && self
                .keeper
                .as_mut()
                .map(Keeper::hand_back)
                .is_some_and(|done| done.is_err())
        {
            self.keeper = None;
        }
    }
}

fn origin(code: i32) -> Origin {
    match code {
        // kill(2), tkill(2), sigqueue(3); every code of a process is 0 or negative.
        libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE => Origin::Process,
        _ => Origin::Kernel,
    }
}

fn end_of(status: WaitStatus) -> Option<End> {
    let code = status
        .exit_status()
        .and_then(|code| u8::try_from(code).ok());
    code.map(End::Code)
        .or_else(|| status.terminating_signal().map(End::Signal))
}

fn id(process: Pid) -> u32 {
    process.as_raw_nonzero().get().cast_unsigned()
}
