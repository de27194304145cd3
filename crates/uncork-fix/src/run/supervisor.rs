//! The process between a shell and the command: it serves the command's calls, and is in all else as
//! if it was not there. Signals, stops and the end pass through it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::End;
use super::family;
use super::keeper::{self, Keeper, KeeperArguments};
use super::quickack::Quickack;
use super::service::{Selection, Service};
use super::tally::Report;
use crate::sys::group;
use crate::sys::signals::{self, Received};

/// Where signals come from, as far as it matters whether the command has got them, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A process sent it, to this process or to all of a group.
    Process,
    /// The kernel did: the terminal's signals go to the whole group, with the command in it.
    Kernel,
}

/// How often a keeper that was killed, or could not begin, is replaced.
const NEW_KEEPERS_MAX: u32 = 8;

/// The signals by which a terminal stops the processes of a job: its shell sees to it that they go on.
const OF_TERMINALS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// A command while it runs.
#[derive(Debug)]
pub(crate) struct Supervisor {
    command: Pid,
    signals: OwnedFd,
    /// `None` where the command has no filter.
    service: Option<Service>,
    /// `None` where none is needed, or none could be started; [`no_keeper`](Self::no_keeper) then says why.
    keeper: Option<Keeper>,
    pub(crate) no_keeper: Option<io::Error>,
    keeper_arguments: KeeperArguments,
    new_keepers: u32,
    /// `None` where that was not asked for.
    quickack: Option<Quickack>,
    is_command_stopped: bool,
    /// No process has the filter any more.
    is_service_over: bool,
}

impl Supervisor {
    pub(crate) fn new(
        command: Pid,
        signals: OwnedFd,
        mut service: Option<Service>,
        keeper_arguments: KeeperArguments,
    ) -> Self {
        let keeper = service.as_ref();
        let keeper = keeper.map(|service| Keeper::start(&keeper_arguments, service));
        let (keeper, no_keeper) = match keeper {
            None => (None, None),
            Some(Ok(keeper)) => (Some(keeper), None),
            Some(Err(error)) => (None, Some(error)),
        };
        // Now, as the kernel renames a process a moment after whoever started it has heard of the exec.
        if let Some(service) = &mut service {
            let name = uncork_sockets::command(id(command)).unwrap_or_default();
            service.tally.are_of(id(command), &name);
        }
        Self {
            command,
            signals,
            service,
            keeper,
            no_keeper,
            keeper_arguments,
            new_keepers: 0,
            quickack: None,
            is_command_stopped: false,
            is_service_over: false,
        }
    }

    /// Begins to set QUICKACK again and again.
    pub(crate) fn begin_quickack(&mut self, selection: &Selection) -> io::Result<()> {
        let keeper = self.keeper.as_ref().map(Keeper::process);
        self.quickack = Some(Quickack::start(selection, keeper)?);
        Ok(())
    }

    /// Serves until the command has ended, and tells how it did.
    pub(crate) fn supervise(&mut self) -> io::Result<End> {
        loop {
            let (signals, calls) = self.wait()?;
            if calls.contains(PollFlags::IN) {
                if let Some(service) = &mut self.service {
                    service.serve();
                }
            } else if calls.contains(PollFlags::HUP) {
                // Not so at an error: a freezer that comes in between is one.
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
        let is_session_leader = || group::own_session() == std::process::id();
        // What the kernel sends to this group has not reached a command that has left it.
        let has_left = || group::group_of(self.command) != Some(group::own_group());
        match origin(code) {
            Origin::Kernel => match signal {
                // A terminal that hangs up tells the leader of the session alone; the others hear of it
                // when the leader ends.
                libc::SIGHUP => is_session_leader() || has_left(),
                // An alarm that was set before uncork became this process: it survives an exec.
                libc::SIGALRM => true,
                libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP | libc::SIGCONT | libc::SIGWINCH => {
                    has_left()
                }
                _ => false,
            },
            Origin::Process => match signal {
                libc::SIGCHLD => false,
                // A shell continues the whole group.
                libc::SIGCONT => self.is_command_stopped && !self.is_keeper(received.sender),
                // `kill 0` and the like in the command has reached the command.
                _ => !family::descends(received.sender, id(self.command)),
            },
        }
    }

    /// The keeper's signal is for this process.
    fn is_keeper(&self, sender: u32) -> bool {
        let keeper = self.keeper.as_ref();
        keeper.is_some_and(|keeper| id(keeper.process()) == sender)
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
                        self.stop(status.stopping_signal().unwrap_or(libc::SIGSTOP));
                    } else if status.continued() {
                        self.is_command_stopped = false;
                    } else {
                        end = end_of(status);
                    }
                }
                Ok(Some((process, status))) => {
                    let is_keeper = |keeper: &mut Keeper| keeper.process() == process;
                    let has_ended = !status.stopped() && !status.continued();
                    if has_ended && self.keeper.take_if(is_keeper).is_some() {
                        self.replace_keeper();
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return end,
            }
        }
    }

    /// The keeper has ended, which it does by itself only where nobody needs it any more.
    fn replace_keeper(&mut self) {
        let Some(service) = self
            .service
            .as_ref()
            .filter(|service| !keeper::is_over(service))
        else {
            return;
        };
        // One that can't live where this process is would be started for ever.
        let started = if self.quickack.is_some() {
            Err(io::Error::other(
                "it was killed, and beside --quickack no other can be started",
            ))
        } else if self.new_keepers < NEW_KEEPERS_MAX {
            Keeper::start(&self.keeper_arguments, service)
        } else {
            Err(io::Error::other("it ends again and again"))
        };
        self.new_keepers += 1;
        match started {
            Ok(keeper) => self.keeper = Some(keeper),
            Err(error) => self.no_keeper = Some(error),
        }
    }

    /// The command has stopped: the shell has to see that, and sees this process only. By the same
    /// signal, as shells tell which one it was.
    ///
    /// Whoever makes the command alone go on, the keeper makes this process follow. Without one it stops
    /// only where a shell will make both go on: by the signals of a terminal.
    fn stop(&mut self, signal: i32) {
        if !family::is_job() {
            // Nobody would make this process go on.
            return;
        }
        // Other processes of the command may be going on, and wait in a call.
        let command = self.command;
        let taken = self.keeper.as_mut().map(|keeper| keeper.take_over(command));
        let is_followed = matches!(taken, Some(Ok(())));
        if !is_followed && !OF_TERMINALS.contains(&signal) {
            return;
        }
        // No duplicate is held for as long as this process is stopped.
        let _idle = self.quickack.as_ref().map(Quickack::pause);
        signals::stop_by(signal);
        if is_followed && let Some(keeper) = &mut self.keeper {
            // It fails where the keeper was killed meanwhile: then it will be replaced.
            let _ = keeper.hand_back();
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
