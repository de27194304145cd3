//! What is known of the processes that own sockets: looked up while they live, as a report is often
//! made after they have ended.

use std::collections::HashMap;

use blazesym::symbolize::source::{self, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};
use serde::{Deserialize, Serialize};

use crate::report::Language;
use crate::{container, language};

/// Processes that are remembered. Later ones are told by pid and name only.
const PROCESSES: usize = 4096;

/// Stacks that are put into words, and frames of each that are told.
const STACKS: usize = 1024;
const FRAMES: usize = 12;

/// Bytes of a frame's name: C++ and Rust have very long ones.
const FRAME_BYTES: usize = 120;

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its command line, shortened.
    #[serde(default)]
    pub command_line: String,
    /// The language that it is written in, where that could be told.
    #[serde(default)]
    pub language: Option<Language>,
    /// Container or control group, where it is in one.
    #[serde(default)]
    pub container: Option<String>,
}

/// A stack in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stack {
    pub(crate) pid: u32,
    pub(crate) addresses: Vec<u64>,
    pub(crate) frames: Vec<String>,
}

/// All that were met.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<u32, Process>,
    stacks: HashMap<(u32, Vec<u64>), Vec<String>>,
    symbolizer: Option<Symbolizer>,
}

impl Processes {
    /// Looks a process up, unless it is known; gives it where it is new.
    pub(crate) fn meet(&mut self, pid: u32) -> Option<&Process> {
        if self.known.contains_key(&pid) || self.known.len() >= PROCESSES {
            return None;
        }
        let process = Process {
            pid,
            command_line: uncork_sockets::command_line(pid).unwrap_or_default(),
            language: language::of_process(pid),
            container: container::of_process(pid),
        };
        Some(self.known.entry(pid).or_insert(process))
    }

    /// Puts a stack into words, unless it is known; gives it where it is new.
    pub(crate) fn read_stack(&mut self, pid: u32, addresses: &[u64]) -> Option<Stack> {
        let key = (pid, addresses.to_vec());
        if addresses.is_empty() || self.stacks.len() >= STACKS || self.stacks.contains_key(&key) {
            return None;
        }
        let symbolizer = self.symbolizer.get_or_insert_with(Symbolizer::new);
        let frames = frames(symbolizer, pid, addresses);
        self.stacks.insert(key, frames.clone());
        Some(Stack {
            pid,
            addresses: addresses.to_vec(),
            frames,
        })
    }

    /// A process as it was recorded.
    pub(crate) fn remember(&mut self, process: Process) {
        if self.known.len() < PROCESSES {
            self.known.insert(process.pid, process);
        }
    }

    /// A stack as it was recorded.
    pub(crate) fn remember_stack(&mut self, stack: Stack) {
        if self.stacks.len() < STACKS {
            self.stacks.insert((stack.pid, stack.addresses), stack.frames);
        }
    }

    /// A process; empty where it is not known.
    pub(crate) fn of(&self, pid: u32) -> Process {
        self.known.get(&pid).cloned().unwrap_or_default()
    }

    /// The words of a stack that was read.
    pub(crate) fn frames(&self, pid: u32, addresses: &[u64]) -> Vec<String> {
        if addresses.is_empty() {
            return Vec::new();
        }
        self.stacks.get(&(pid, addresses.to_vec())).cloned().unwrap_or_default()
    }
}

/// Names of functions with their files where they are known; addresses otherwise.
fn frames(symbolizer: &Symbolizer, pid: u32, addresses: &[u64]) -> Vec<String> {
    // All but the innermost are addresses to which calls return: one before is in the call.
    let calls: Vec<u64> = addresses
        .iter()
        .take(FRAMES)
        .enumerate()
        .map(|(depth, address)| address.saturating_sub(u64::from(depth > 0)))
        .collect();
    let source = Source::Process(source::Process::new(pid.into()));
    let Ok(symbols) = symbolizer.symbolize(&source, Input::AbsAddr(&calls)) else {
        return Vec::new();
    };
    let frame = |(symbol, address): (Symbolized<'_>, &u64)| match symbol {
        Symbolized::Sym(symbol) => {
            let name: String = symbol.name.chars().take(FRAME_BYTES).collect();
            let name = uncork_sockets::harmless(name.as_bytes());
            let place = symbol.code_info.as_deref();
            let file = place.and_then(|place| place.file.to_str().zip(place.line));
            match (file, symbol.module.as_deref()) {
                (Some((file, line)), _) => format!("{name} ({}:{line})", uncork_sockets::harmless(file.as_bytes())),
                (None, Some(module)) => {
                    let module = std::path::Path::new(module).file_name().unwrap_or(module);
                    format!("{name} in {}", uncork_sockets::harmless(module.as_encoded_bytes()))
                }
                (None, None) => name,
            }
        }
        Symbolized::Unknown(_) => format!("{address:#x}"),
    };
    symbols.into_iter().zip(&calls).map(frame).collect()
}
