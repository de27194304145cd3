//! Events in a file, and reports from them again: one JSON document a line, the first of which says
//! what it is.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use serde::{Deserialize, Serialize};

use crate::conversation::Detail;
use crate::engine::Losses;
use crate::event::Event;
use crate::machine::Machine;
use crate::process::{Process, Processes};
use crate::report::{Engine, Report};
use crate::stacks::Stack;

/// What the first line says; a later format has a higher number.
const VERSION: u32 = 1;

/// No line that is written is longer.
const LINE_BYTES: usize = 64 * 1024;

/// No command is kept that is longer; JSON may need six bytes for one of these.
const COMMAND_BYTES: usize = 8 * 1024;

fn is_kept(command: &[String]) -> bool {
    let bytes = command.iter().map(|word| word.len() + 1);
    bytes.sum::<usize>() <= COMMAND_BYTES
}

/// Why a recording can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file can't be read.
    #[error("read: {0}")]
    Read(io::Error),
    /// A line isn't what a recording has there.
    #[error("line {line} is none of a recording: {reason}")]
    Line {
        /// Which line, from 1 on.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It was made by a later uncork.
    #[error("the recording has version {0}; this uncork knows version {VERSION}")]
    Version(u32),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first line.
    UncorkTrace {
        version: u32,
        engine: Engine,
        started_ns: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<Vec<String>>,
    },
    Process(Process),
    Stack(Stack),
    Event(Event),
    /// The last line; missing where the trace was killed.
    End {
        at_ns: u64,
        lost_events: u64,
        lost_sockets: u64,
    },
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    file: BufWriter<W>,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording of what a machine is about to take in.
    ///
    /// # Errors
    /// What writing says.
    pub fn begin(file: W, machine: &Machine) -> io::Result<Self> {
        let command = machine.command().filter(|words| is_kept(words));
        let mut recorder = Self {
            file: BufWriter::new(file),
        };
        recorder.write(&Line::UncorkTrace {
            version: VERSION,
            engine: machine.engine(),
            started_ns: machine.started_ns(),
            command: command.map(<[String]>::to_vec),
        })?;
        Ok(recorder)
    }

    /// An event.
    ///
    /// # Errors
    /// What writing says.
    pub fn event(&mut self, event: Event) -> io::Result<()> {
        self.write(&Line::Event(event))
    }

    pub(crate) fn process(&mut self, process: &Process) -> io::Result<()> {
        self.write(&Line::Process(process.clone()))
    }

    pub(crate) fn stack(&mut self, stack: Stack) -> io::Result<()> {
        self.write(&Line::Stack(stack))
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// What writing says.
    pub fn end(mut self, at_ns: u64, losses: Losses) -> io::Result<()> {
        self.write(&Line::End {
            at_ns,
            lost_events: losses.events,
            lost_sockets: losses.sockets,
        })?;
        self.file.flush()
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")
    }
}

/// Makes the report of a recording. Needs no privileges, and asks nothing of this machine.
///
/// # Errors
/// Where the file can't be read, or is no recording.
pub fn replay(file: impl Read) -> Result<Report, RecordingError> {
    let mut lines = Lines {
        file: BufReader::new(file),
        number: 0,
    };
    let first = lines.next()?;
    let Some(Line::UncorkTrace {
        version,
        engine,
        started_ns,
        command,
    }) = first
    else {
        return Err(lines.wrong("it doesn't begin as one"));
    };
    if version != VERSION {
        return Err(RecordingError::Version(version));
    }
    let mut machine = Machine::new(engine, started_ns);
    if let Some(command) = command.filter(|words| is_kept(words)) {
        machine.set_command(command);
    }
    let mut processes = Processes::default();
    let mut ended_ns = started_ns;
    let mut losses = Losses::default();
    let mut is_whole = false;
    while let Some(line) = lines.next()? {
        match line {
            Line::UncorkTrace { .. } => return Err(lines.wrong("it begins again")),
            Line::Process(process) => processes.remember(process),
            Line::Stack(stack) => processes.stacks.remember(stack),
            Line::Event(event) => {
                ended_ns = ended_ns.max(event.at_ns);
                machine.take(&event);
            }
            Line::End {
                at_ns,
                lost_events,
                lost_sockets,
            } => {
                is_whole = true;
                ended_ns = ended_ns.max(at_ns);
                losses = Losses {
                    events: lost_events,
                    sockets: lost_sockets,
                };
            }
        }
    }
    let mut report = machine.report(ended_ns, Detail::Whole, &processes, losses);
    if !is_whole {
        report.notes.push(
            "the recording is cut off, as it was not ended: there may be more than is told"
                .to_owned(),
        );
    }
    Ok(report)
}

struct Lines<R: Read> {
    file: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> Result<Option<Line>, RecordingError> {
        let mut text = Vec::new();
        self.number += 1;
        let mut line = (&mut self.file).take(LINE_BYTES as u64);
        line.read_until(b'\n', &mut text)
            .map_err(RecordingError::Read)?;
        if text.is_empty() {
            return Ok(None);
        }
        match serde_json::from_slice(&text) {
            Ok(line) => Ok(Some(line)),
            // A trace that was killed ends within a line.
            Err(_) if !text.ends_with(b"\n") && self.number > 1 && text.len() < LINE_BYTES => {
                Ok(None)
            }
            Err(error) => Err(self.wrong(&error.to_string())),
        }
    }

    fn wrong(&self, reason: &str) -> RecordingError {
        RecordingError::Line {
            line: self.number,
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Facts, Identity, Kind, SocketId};

    fn recording() -> Vec<u8> {
        recording_of(&Machine::new(Engine::Ebpf, 1_000))
    }

    fn recording_of(machine: &Machine) -> Vec<u8> {
        let mut file = Vec::new();
        let mut recorder = Recorder::begin(&mut file, machine).unwrap();
        let process = Process {
            pid: 7,
            command_line: "python3 import.py".to_owned(),
            ..Process::default()
        };
        recorder.process(&process).unwrap();
        let identity = Identity {
            pid: 7,
            command: "python3".to_owned(),
            connects: Some(true),
            local: ([127, 0, 0, 1], 40_000).into(),
            remote: ([127, 0, 0, 1], 143).into(),
            namespace: 1,
            cgroup: 1,
        };
        let event = |at_ns, kind| Event {
            at_ns,
            socket: SocketId(1),
            kind,
            facts: Facts::default(),
            skipped: 0,
        };
        recorder
            .event(event(2_000, Kind::Open(Box::new(identity))))
            .unwrap();
        recorder.event(event(3_000, Kind::Close)).unwrap();
        recorder
            .end(
                9_000,
                Losses {
                    events: 3,
                    sockets: 0,
                },
            )
            .unwrap();
        file
    }

    #[test]
    fn the_command_is_kept() {
        let command_of = |command: &[&str]| {
            let mut machine = Machine::new(Engine::Ebpf, 1_000);
            machine.set_command(command.iter().copied().map(str::to_owned).collect());
            let file = recording_of(&machine);
            assert!(replay(&file[..]).is_ok());
            let first = file.split(|byte| *byte == b'\n').next().unwrap();
            match serde_json::from_slice(first).unwrap() {
                Line::UncorkTrace { command, .. } => command,
                line => panic!("{line:?}"),
            }
        };
        let words = ["sh", "-c", "a b"];
        assert_eq!(command_of(&words), Some(words.map(str::to_owned).to_vec()));
        let most = "\u{1}".repeat(COMMAND_BYTES - 1);
        assert_eq!(command_of(&[&most]), Some(vec![most.clone()]));
        assert_eq!(command_of(&[&most, "a"]), None);
    }

    #[test]
    fn what_was_recorded_is_replayed() {
        let report = replay(&recording()[..]).unwrap();
        assert_eq!((report.events, report.events_lost), (2, 3));
        assert_eq!(report.sockets[0].command_line, "python3 import.py");
        assert!((report.seconds - 8e-6).abs() < 1e-12);
    }

    #[test]
    fn a_trace_that_was_killed_ends_within_a_line() {
        let whole = recording();
        let report = replay(&whole[..whole.len() - 20]).unwrap();
        assert_eq!((report.events, report.events_lost), (2, 0));
    }

    #[test]
    fn what_is_no_recording() {
        #[track_caller]
        fn check(file: &[u8], expected: &str) {
            let error = replay(file).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let whole = recording();
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        check(
            b"",
            "line 1 is none of a recording: it doesn't begin as one",
        );
        check(b"hello\n", "line 1 is none of a recording");
        check(
            lines[1],
            "line 1 is none of a recording: it doesn't begin as one",
        );
        check(
            &[lines[0], lines[0]].concat(),
            "line 2 is none of a recording: it begins again",
        );
        check(
            &[lines[0], b"{\"event\":1}\n"].concat(),
            "line 2 is none of a recording",
        );
        let later = String::from_utf8(lines[0].to_vec()).unwrap();
        let later = later.replace("\"version\":1", "\"version\":2");
        check(
            later.as_bytes(),
            "the recording has version 2; this uncork knows version 1",
        );
        // A line without an end doesn't fill the memory.
        let endless = io::repeat(b'{').take(10 << 30);
        assert!(replay(lines[0].chain(endless)).is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_recording(at in 0..1000_usize, byte in any::<u8>(), cut in 0..1000_usize) {
            let mut file = recording();
            let at = at % file.len();
            file[at] = byte;
            file.truncate(file.len().saturating_sub(cut % 200));
            let _ = replay(&file[..]);
        }
    }
}
