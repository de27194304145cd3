//! A trace while it runs: an engine, the state machine, and the file for the events.

use std::fs::File;
use std::io;

use rustix::time::{ClockId, clock_gettime};

use crate::conversation::Detail;
use crate::ebpf::{EbpfEngine, EbpfError};
use crate::engine::{Losses, Target};
use crate::event::{Event, Kind};
use crate::machine::Machine;
use crate::process::Processes;
use crate::recording::Recorder;
use crate::report::{Engine, Report};
use crate::sample::{SampleEngine, SampleError};
use crate::stacks::Stack;

/// Which engine is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The exact one where it is possible, else samples.
    Auto,
    /// BPF programs.
    Ebpf,
    /// TCP_INFO.
    Sample,
}

/// Why a trace can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The exact engine was asked for.
    #[error("the ebpf engine can't run here: {0}")]
    Ebpf(EbpfError),
    /// No engine can run, or the sampling one was asked for.
    #[error("{0}")]
    Sample(SampleError),
}

/// A trace that runs.
#[derive(Debug)]
pub struct Session {
    source: Source,
    machine: Machine,
    processes: Processes,
    recorder: Option<Recorder<File>>,
    unrecorded: Option<io::Error>,
    /// Why it isn't the exact engine.
    note: Option<String>,
}

#[derive(Debug)]
enum Source {
    Ebpf(Box<EbpfEngine>),
    Sample(SampleEngine),
}

/// Nanoseconds of `CLOCK_MONOTONIC`, which is also the clock of the kernel's events.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

impl Session {
    /// Begins to watch. `rate_hz` is how often samples are taken, where they are.
    ///
    /// # Errors
    /// Where the engine that was asked for can't run here, or none can.
    pub fn start(target: &Target, choice: Choice, rate_hz: u32) -> Result<Self, StartError> {
        let mut note = None;
        let exact = match choice {
            Choice::Sample => None,
            Choice::Ebpf => Some(EbpfEngine::start(target).map_err(StartError::Ebpf)?),
            Choice::Auto => EbpfEngine::start(target)
                .inspect_err(|error| {
                    note = Some(format!(
                        "sampled, as the ebpf engine can't run here: {error}"
                    ));
                })
                .ok(),
        };
        let source = match exact {
            Some(engine) => Source::Ebpf(Box::new(engine)),
            None => {
                let engine = SampleEngine::start(target, rate_hz);
                Source::Sample(engine.map_err(StartError::Sample)?)
            }
        };
        let engine = match source {
            Source::Ebpf(_) => Engine::Ebpf,
            Source::Sample(_) => Engine::Sample,
        };
        Ok(Self {
            source,
            machine: Machine::new(engine, now_ns()),
            processes: Processes::default(),
            recorder: None,
            unrecorded: None,
            note,
        })
    }

    /// What is watched is this command, which is started for the trace: the advice is to start it otherwise.
    pub fn set_command(&mut self, command: Vec<String>) {
        self.machine.set_command(command);
    }

    /// The names of functions are found by a process that `command` starts, and that calls
    /// [`serve_symbols`](crate::serve_symbols), not by a thread of this one: a library that is cut short
    /// while it is read ends who reads it. To be called before the first turn.
    pub fn set_symbolizer(&mut self, command: std::process::Command) {
        self.processes.stacks.set_symbolizer(command);
    }

    /// Keeps the events in a file, too.
    ///
    /// # Errors
    /// What writing says.
    pub fn record(&mut self, file: File) -> io::Result<()> {
        self.recorder = Some(Recorder::begin(file, &self.machine)?);
        Ok(())
    }

    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.machine.engine()
    }

    /// Takes in what has happened since the last call; doesn't wait. To be called every
    /// [few milliseconds](Session::TURN), so that no event is lost.
    pub fn turn(&mut self) {
        let Self {
            source,
            machine,
            processes,
            recorder,
            ..
        } = self;
        let mut written = Ok(());
        let mut take = |mut event: Event| {
            name(&mut event);
            learn(&event, machine, processes, recorder.as_mut(), &mut written);
            machine.take(&event);
            if let (Some(recorder), Ok(())) = (recorder.as_mut(), &written) {
                written = recorder.event(event);
            }
        };
        match source {
            Source::Ebpf(engine) => engine.drain(&mut take),
            Source::Sample(engine) => engine.drain(&mut take),
        }
        self.stop_recording_if(written);
    }

    /// A disk that is full ends the recording, and not the trace.
    fn stop_recording_if(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.recorder = None;
            self.unrecorded = Some(error);
        }
    }

    /// Why the file of the events is not complete.
    #[must_use]
    pub fn unrecorded(&self) -> Option<&io::Error> {
        self.unrecorded.as_ref()
    }

    /// How long to wait between two turns.
    pub const TURN: std::time::Duration = std::time::Duration::from_millis(10);

    /// What was found until now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_at(now_ns(), Detail::Brief)
    }

    fn report_at(&self, at_ns: u64, detail: Detail) -> Report {
        let losses = self.losses();
        let mut report = self.machine.report(at_ns, detail, &self.processes, losses);
        crate::advice::repair_at_next_start(&mut report.advice, is_running);
        report.notes.splice(0..0, self.note.clone());
        if let Source::Sample(engine) = &self.source {
            report.notes.extend(engine.notes());
        }
        if let Some(error) = &self.unrecorded {
            report.notes.push(format!(
                "the file of the events is not complete: write: {error}"
            ));
        }
        report
    }

    /// Ends the trace: the file of the events is complete, and more events are not taken into it.
    pub fn finish(&mut self) -> Report {
        self.turn();
        // A replay ends at the same moment. Looking for the last names takes a while, and is no part of it.
        let at_ns = now_ns();
        let losses = self.losses();
        let stacks = self.processes.stacks.all();
        if let Some(recorder) = self.recorder.take() {
            let written = complete(recorder, stacks, at_ns, losses);
            self.stop_recording_if(written);
        }
        self.report_at(at_ns, Detail::Whole)
    }

    fn losses(&self) -> Losses {
        match &self.source {
            Source::Ebpf(engine) => engine.losses(),
            Source::Sample(engine) => engine.losses(),
        }
    }
}

fn is_running(pid: u32) -> bool {
    uncork_sockets::Process::open(pid).is_ok_and(|process| process.is_running())
}

/// The kernel's event names the thread that was first; people know the process's name.
fn name(event: &mut Event) {
    if let Kind::Open(identity) = &mut event.kind
        && let Some(command) = uncork_sockets::command(identity.pid)
    {
        identity.command = command;
    }
}

fn complete(
    mut recorder: Recorder<File>,
    stacks: Vec<Stack>,
    at_ns: u64,
    losses: Losses,
) -> io::Result<()> {
    for stack in stacks {
        recorder.stack(stack)?;
    }
    recorder.end(at_ns, losses)
}

/// Looks up what will be gone when the report is made: the process of a new socket, the functions of
/// a stack.
fn learn(
    event: &Event,
    machine: &Machine,
    processes: &mut Processes,
    recorder: Option<&mut Recorder<File>>,
    written: &mut io::Result<()>,
) {
    match &event.kind {
        Kind::Open(identity) => {
            let met = processes.meet(identity.pid);
            if let (Some(process), Some(recorder), Ok(())) = (met, recorder, &written) {
                *written = recorder.process(process);
            }
        }
        Kind::Write { stack, .. } if !stack.is_empty() => {
            if let Some(pid) = machine.pid_of(event.socket) {
                processes.stacks.ask(pid, stack);
            }
        }
        _ => {}
    }
}
