//! The exact engine: BPF programs at the kernel's tracepoints pass on what happens to each socket.

mod record;

use std::io;

use aya::maps::{Array, HashMap, MapData, RingBuf, SkStorage};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};

use crate::engine::{Losses, Target};
use crate::event::Event;

/// Built by `cargo xtask bpf` of `bpf/trace.bpf.c`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../bpf/trace.bpf.o");

/// Tracepoints, each with a program of its name.
const TRACEPOINTS: [&str; 6] = [
    "sock_send_length",
    "sock_recv_length",
    "tcp_probe",
    "inet_sock_set_state",
    "sched_process_fork",
    "sched_process_exit",
];

/// Of a refusal that is as long as the kernel likes.
const LINE_CHARS: usize = 200;

/// What a target is watched for (`WATCH_ITSELF`, `WATCH_CHILDREN` of the programs).
const WATCH_CHILDREN: u32 = 2;
const WATCH_BOTH: u32 = 3;

/// Records read at one turn, so that a torrent of them can't keep the caller from its other work.
const RECORDS_A_TURN: usize = 65_536;

/// Why the programs can't run here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EbpfError {
    /// The kernel doesn't describe its types: no CONFIG_DEBUG_INFO_BTF, or /sys isn't mounted.
    #[error("the kernel's type information (/sys/kernel/btf/vmlinux) can't be read: {0}")]
    Btf(#[source] aya::BtfError),
    /// The programs or their maps can't be loaded.
    #[error("bpf(BPF_PROG_LOAD): {0}")]
    Load(String),
    /// This kernel has no such tracepoint.
    #[error("this kernel has no tracepoint {0}")]
    Tracepoint(&'static str),
    /// The kernel's events have the host's process ids, which mean other processes in a container.
    #[error("process ids are a container's own here: run it on the host, or with --pid=host")]
    PidNamespace,
    /// CAP_BPF and CAP_PERFMON are missing.
    #[error("not permitted: root, or CAP_BPF and CAP_PERFMON, is needed")]
    NotPermitted,
}

/// The programs while they run; they end with it.
pub struct EbpfEngine {
    /// Holds the programs and their links.
    _programs: Ebpf,
    ring: RingBuf<MapData>,
    counters: Array<MapData, Counters>,
}

impl std::fmt::Debug for EbpfEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EbpfEngine").finish_non_exhaustive()
    }
}

impl EbpfEngine {
    /// Loads the programs, and watches from now on.
    ///
    /// # Errors
    /// What this kernel has not, or this user may not.
    ///
    /// # Minimum kernel version
    /// 6.3, for `sock_send_length`.
    pub fn start(target: &Target) -> Result<Self, EbpfError> {
        if !is_initial_pid_namespace() {
            return Err(EbpfError::PidNamespace);
        }
        let btf = Btf::from_sys_fs().map_err(EbpfError::Btf)?;
        let watch_all = u32::from(matches!(target, Target::All));
        let own_pid = std::process::id();
        let mut programs = EbpfLoader::new()
            .btf(Some(&btf))
            .override_global("watch_all", &watch_all, true)
            .override_global("own_pid", &own_pid, true)
            .load(OBJECT)
            .map_err(|error| refused(&error))?;
        let mut targets: HashMap<MapData, u32, u32> = map(&mut programs, "targets")?;
        let mut watch = |pid: u32, how: u32| {
            let inserted = targets.insert(pid, how, 0);
            inserted.map_err(|error| refused(&error))
        };
        let ring = map(&mut programs, "events")?;
        let counters = map(&mut programs, "counters")?;
        let mut older = OlderSockets {
            calls: map(&mut programs, "calls_of")?,
            segments: map(&mut programs, "segments_of")?,
            ports: map(&mut programs, "ports")?,
        };
        if *target == Target::Children {
            watch(own_pid, WATCH_CHILDREN)?;
        }
        for name in TRACEPOINTS {
            attach(&mut programs, name, &btf)?;
        }
        // Their children are looked for once forks are seen, so that none is missed between.
        if let Target::Pids(pids) = target {
            for pid in pids {
                watch(*pid, WATCH_BOTH)?;
            }
            for pid in pids {
                for child in uncork_sockets::children(*pid) {
                    watch(child, WATCH_BOTH)?;
                    older.watch(child);
                }
                older.watch(*pid);
            }
        }
        Ok(Self {
            _programs: programs,
            ring,
            counters,
        })
    }

    /// Hands out what has happened since the last call. Doesn't wait.
    pub fn drain(&mut self, take: &mut dyn FnMut(Event)) {
        for _ in 0..RECORDS_A_TURN {
            let Some(bytes) = self.ring.next() else {
                break;
            };
            if let Some(event) = record::parse(&bytes) {
                take(event);
            }
        }
    }

    /// What was left out so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let [_, events, sockets] = self.counters.get(&0, 0).unwrap_or_default();
        Losses { events, sockets }
    }
}

/// `struct counters` of the programs.
type Counters = [u64; 3];

/// What is kept with each socket: `struct calls` and `struct segments` of the programs.
type Calls = [u64; 11];
type Segments = [u64; 5];

/// Where `pid` (and `thread`) and `command` stand in [`Calls`].
const CALLS_PID: usize = 7;
const CALLS_COMMAND: usize = 8;

/// The maps in which the programs keep what they know of sockets.
struct OlderSockets {
    calls: SkStorage<MapData, Calls>,
    segments: SkStorage<MapData, Segments>,
    ports: Array<MapData, u8>,
}

impl OlderSockets {
    /// Watches the sockets that a process has already, so that one that is in the middle of a long call
    /// is seen before the call returns. Where that isn't permitted, the call's return is waited for.
    fn watch(&mut self, pid: u32) {
        let Ok(process) = uncork_sockets::Process::open(pid) else {
            return;
        };
        let command = uncork_sockets::command(pid).unwrap_or_default();
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().take(15).zip(command.bytes()) {
            *to = from;
        }
        let word = |at: usize| name[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
        for descriptor in process.descriptors().unwrap_or_default() {
            let Ok(Some(socket)) = process.socket(descriptor.number) else {
                continue;
            };
            if socket.is_listening() || socket.remote().is_none() {
                continue;
            }
            let mut calls = Calls::default();
            calls[CALLS_PID] = u64::from(pid) | u64::from(pid) << 32;
            (calls[CALLS_COMMAND], calls[CALLS_COMMAND + 1]) = (word(0), word(8));
            // One that is watched already stays as it is (EEXIST), and one that can't be is watched from
            // its next call on. The order is that of the programs.
            let segments = Segments::default();
            let _ = self.segments.insert(&socket, segments, BPF_NOEXIST);
            let _ = self.calls.insert(&socket, calls, BPF_NOEXIST);
            let _ = self.ports.set(u32::from(socket.local().port()), 1, 0);
        }
    }
}

/// Make it, and leave alone what is there.
const BPF_NOEXIST: u64 = 1;

/// The first namespace has a fixed inode (PROC_PID_INIT_INO of `include/linux/proc_ns.h`).
fn is_initial_pid_namespace() -> bool {
    const PROC_PID_INIT_INO: u64 = 0xEFFF_FFFC;
    // Where it can't be asked, there are no namespaces, or no /proc; the ids are as likely right.
    rustix::fs::stat("/proc/self/ns/pid").map_or(true, |stat| stat.st_ino == PROC_PID_INIT_INO)
}

fn map<T>(programs: &mut Ebpf, name: &str) -> Result<T, EbpfError>
where
    T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = programs.take_map(name);
    let map = map.ok_or_else(|| EbpfError::Load(format!("the object has no map {name}")))?;
    T::try_from(map).map_err(|error| refused(&error))
}

fn attach(programs: &mut Ebpf, name: &'static str, btf: &Btf) -> Result<(), EbpfError> {
    let program = load(programs, name, name, btf)?;
    program.attach().map_err(|error| refused(&error))?;
    Ok(())
}

/// Loads a program for a tracepoint, which this kernel may not have.
fn load<'a>(
    programs: &'a mut Ebpf,
    name: &str,
    tracepoint: &'static str,
    btf: &Btf,
) -> Result<&'a mut BtfTracePoint, EbpfError> {
    let program = programs.program_mut(name);
    let program = program.ok_or_else(|| EbpfError::Load(format!("the object has no {name}")))?;
    let program: &mut BtfTracePoint = program.try_into().map_err(|error| refused(&error))?;
    program.load(tracepoint, btf).map_err(|error| match error {
        aya::programs::ProgramError::Btf(_) => EbpfError::Tracepoint(tracepoint),
        other => refused(&other),
    })?;
    Ok(program)
}

/// Tells a missing permission from other failures, which may be deep in the chain of causes.
fn refused(error: &(dyn std::error::Error + 'static)) -> EbpfError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return EbpfError::NotPermitted;
        }
        text = format!("{text}: {error}");
        cause = error.source();
    }
    EbpfError::Load(shortened(&text))
}

/// The kernel's verifier explains itself on a thousand lines, of which the last but a few says why.
fn shortened(text: &str) -> String {
    let is_told = |line: &&str| {
        let statistics = ["verification time", "stack depth", "processed ", ":"];
        !line.is_empty() && !statistics.iter().any(|start| line.starts_with(start))
    };
    let mut lines = text.lines().map(str::trim).filter(is_told);
    let first: String = lines
        .next()
        .unwrap_or_default()
        .chars()
        .take(LINE_CHARS)
        .collect();
    match lines.next_back() {
        Some(last) => format!(
            "{first} … {}",
            last.chars().take(LINE_CHARS).collect::<String>()
        ),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_a_tracepoint() {
        if !uncork_lab::requirement::root() {
            return;
        }
        let btf = Btf::from_sys_fs().unwrap();
        let mut programs = Ebpf::load(OBJECT).unwrap();
        let loaded = load(&mut programs, "tcp_probe", "uncork_has_no_such", &btf);
        let error = loaded.map(drop).unwrap_err();
        assert!(
            matches!(error, EbpfError::Tracepoint("uncork_has_no_such")),
            "{error}"
        );
    }

    #[test]
    fn what_the_verifier_says_is_shortened() {
        assert_eq!(shortened("no such map"), "no such map");
        let told = "Invalid argument. Verifier output: 0: R1=ctx()\n1: call helper#160\nprogram of this \
                    type cannot use helper\nverification time 725 usec\nprocessed 166 insns\n: Invalid";
        assert_eq!(
            shortened(told),
            "Invalid argument. Verifier output: 0: R1=ctx() … program of this type cannot use helper"
        );
    }
}
