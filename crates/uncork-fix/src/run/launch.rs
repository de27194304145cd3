//! Starting the command with the filter on it, and getting the filter's listener back.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::Pid;

use super::error::RunError;
use super::filter::Filter;
use crate::sys::{seccomp, signals, spawn};

/// Variables by which systemd addresses one process by its id: it is the command that is meant.
const OWN_ID_VARIABLES: [&CStr; 3] = [LISTEN_PID, c"WATCHDOG_PID", c"SYSTEMD_EXEC_PID"];

const LISTEN_PID: &CStr = c"LISTEN_PID";

/// What the child says over the socket: that the listener comes with it.
const LISTENER: u8 = 0;

/// Becomes the command, without a filter: an outer `uncork run` does the work. Returns where it can't.
pub(crate) fn become_command(words: &[OsString], inherited: signals::Inherited) -> RunError {
    let (program, mut command) = command(words);
    spawn::before_exec(&mut command, move || inherited.restore());
    let source = command.exec();
    RunError::Command { program, source }
}

/// Starts the command; with a filter, whose listener then comes back, where one is given.
pub(crate) fn start(
    words: &[OsString],
    filter: Option<Filter>,
    inherited: signals::Inherited,
) -> Result<(Pid, Option<OwnedFd>), RunError> {
    let (program, mut command) = command(words);
    let (near, far) = UnixStream::pair().map_err(RunError::system("socketpair"))?;
    let variables = own_id_variables();
    let has_filter = filter.is_some();
    let death_signal = rustix::process::parent_process_death_signal().unwrap_or_default();
    spawn::before_exec(&mut command, move || {
        let own = CString::new(std::process::id().to_string())?;
        for name in &variables {
            spawn::set_variable(name, &own);
            if *name == LISTEN_PID {
                // The inode of a pidfd of this process, which the command is not.
                spawn::unset_variable(c"LISTEN_PIDFDID");
            }
        }
        // Who wants this process to end with its parent, wants the command to.
        rustix::process::set_parent_process_death_signal(death_signal)?;
        let Some(filter) = &filter else {
            return inherited.restore();
        };
        match hand_over(filter, &far) {
            Ok(()) => inherited.restore(),
            Err(error) => {
                // The error that `spawn` returns doesn't say from which step it comes.
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                let _ = rustix::io::write(&far, &[u8::try_from(number).unwrap_or(u8::MAX)]);
                Err(error)
            }
        }
    });
    let spawned = command.spawn();
    // The closure has the far end: only the child may have it open now.
    drop(command);
    let child = match spawned {
        Ok(child) => child,
        Err(source) => {
            return Err(match receive(&near) {
                Ok((number, None)) if number != LISTENER => refused(number),
                _ => RunError::Command { program, source },
            });
        }
    };
    let listener = match has_filter.then(|| receive(&near)) {
        None => None,
        Some(Ok((LISTENER, Some(listener)))) => Some(listener),
        Some(Ok((number, _))) => return Err(refused(number)),
        Some(Err(source)) => {
            let call = "recvmsg";
            return Err(RunError::System { call, source });
        }
    };
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let process = process.ok_or(RunError::System {
        call: "fork",
        source: io::ErrorKind::InvalidData.into(),
    })?;
    Ok((process, listener))
}

fn command(words: &[OsString]) -> (OsString, Command) {
    let (program, arguments) = match words {
        [program, arguments @ ..] => (program.as_os_str(), arguments),
        [] => (OsStr::new(""), &[][..]),
    };
    let mut command = Command::new(program);
    command.args(arguments);
    (program.to_owned(), command)
}

/// The seccomp call of the child was refused.
fn refused(number: u8) -> RunError {
    match i32::from(number) {
        libc::EBUSY => RunError::Occupied,
        number => RunError::System {
            call: "seccomp",
            source: io::Error::from_raw_os_error(number),
        },
    }
}

/// In the child: puts the filter on, and sends its listener. The child's own end of it closes with the
/// exec; whatever follows here must be no call that the filter would stop.
fn hand_over(filter: &Filter, far: &UnixStream) -> io::Result<()> {
    let listener = match seccomp::install(filter.program()) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            // Without CAP_SYS_ADMIN the kernel wants to know that no program with more privileges than
            // this one's can get under the filter.
            rustix::thread::set_no_new_privs(true)?;
            seccomp::install(filter.program())?
        }
        done => done?,
    };
    let descriptors = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let byte = [LISTENER];
    let slices = [IoSlice::new(&byte)];
    sendmsg(far, &slices, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What the child has said, and what came with it.
fn receive(near: &UnixStream) -> io::Result<(u8, Option<OwnedFd>)> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut byte)];
    let received = recvmsg(near, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = descriptors.next().and_then(|mut first| first.next());
    Ok((byte[0], descriptor))
}

/// Those variables that name this process.
fn own_id_variables() -> Vec<&'static CStr> {
    let own = std::process::id().to_string();
    let value = |name: &CStr| std::env::var(name.to_str().ok()?).ok();
    let names_us = |name: &&CStr| value(name).is_some_and(|value| value == own);
    OWN_ID_VARIABLES.into_iter().filter(names_us).collect()
}
