//! What is known of the processes that own sockets: looked up while they live, as a report is often
//! made after they have ended.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::report::Language;
use crate::stacks::Stacks;
use crate::{container, language};

/// Processes that are remembered. Later ones are told by pid and name only.
const PROCESSES: usize = 4096;

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

/// All that were met.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<u32, Process>,
    pub(crate) stacks: Stacks,
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

    /// A process as it was recorded.
    pub(crate) fn remember(&mut self, process: Process) {
        if self.known.len() < PROCESSES {
            self.known.insert(process.pid, process);
        }
    }

    /// A process; empty where it is not known.
    pub(crate) fn of(&self, pid: u32) -> Process {
        self.known.get(&pid).cloned().unwrap_or_default()
    }
}
