//! Recordings: the same report again, and files that are none.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use uncork_lab::requirement;

use super::peers::script;
use super::{EBPF, SAMPLE, Traced, trace};
use crate::support::{Ended, Ordinary, run};

/// One of the recordings of the crate that makes reports of them.
pub(super) fn recording(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../uncork-trace/tests/recordings");
    folder.join(name).with_extension("jsonl")
}

/// A server and a client that writes twice, in one process.
const TWICE: &str = "
import socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()
for _ in range(30):
    client.send(b'x' * 100)
    client.send(b'x' * 10)
    accepted.recv(110, socket.MSG_WAITALL)
    accepted.send(b'ok')
    client.recv(2)
";

#[test]
fn a_recording_gives_the_same_report() {
    let engines = if requirement::root() {
        &[EBPF, SAMPLE][..]
    } else {
        &[SAMPLE]
    };
    for engine in engines {
        let Some(program) = script(TWICE, &[]) else {
            return;
        };
        let user = Ordinary::new();
        let path = user.folder("recordings").join("twice.jsonl");
        let mut command = trace(&["--engine", engine, "--events"]);
        command
            .arg(&path)
            .arg("--")
            .arg(program.get_program())
            .args(program.get_args());
        let traced = Traced::run(&mut command).with(1);
        let mut command = user.uncork();
        command.args(["trace", "--json", "--replay"]).arg(&path);
        let replayed = Traced::run(&mut command).with(1);
        let value = |traced: &Traced| serde_json::to_value(&traced.report).unwrap();
        let (before, after) = (value(&traced), value(&replayed));
        let repair = after["advice"][0]["repair"].as_str().unwrap();
        assert!(repair.starts_with("uncork run -- "), "{repair}");
        for field in [
            "engine",
            "seconds",
            "sockets",
            "held_ms_total",
            "held_ms_error",
            "advice",
            "events",
        ] {
            assert_eq!(before[field], after[field], "{engine}: {field}");
        }
    }
}

fn replay(bytes: &[u8]) -> Ended {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    run(trace(&["--replay"]).arg(file.path()))
}

#[track_caller]
fn refused(bytes: &[u8], words: &str) {
    let ended = replay(bytes).with(2);
    assert_eq!(ended.stdout, "");
    ended.says(&[words]);
}

#[test]
fn files_that_are_no_recordings() {
    let recording = fs::read(recording("imaplib")).unwrap();
    let first = recording.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    refused(b"", "it doesn't begin as one");
    refused(b"\n", "line 1 is none of a recording");
    refused(b"hello\n", "line 1 is none of a recording");
    refused(&[0xff; 1000], "line 1 is none of a recording");
    refused(&vec![b'x'; 10_000_000], "line 1 is none of a recording");
    refused(&vec![0; 10_000_000], "line 1 is none of a recording");
    refused(&recording[..first / 2], "line 1 is none of a recording");
    refused(
        &recording[first..],
        "line 1 is none of a recording: it doesn't begin as one",
    );
    refused(
        &[&recording[..], &recording[..]].concat(),
        "it begins again",
    );
    refused(
        &[&recording[..], b"{\"event\":{}}\n"].concat(),
        "is none of a recording",
    );
    let deep = [&recording[..first], &vec![b'['; 60_000], b"\n"].concat();
    refused(&deep, "line 2 is none of a recording");
    let long = [
        &recording[..first],
        b"{\"process\":{\"pid\":1,\"command_line\":\"",
        &vec![b'x'; 1 << 20],
    ];
    refused(&long.concat(), "line 2 is none of a recording");
    let later = String::from_utf8(recording[..first].to_vec()).unwrap();
    refused(
        later.replace(":1,", ":2,").as_bytes(),
        "the recording has version 2",
    );
}

/// A trace that was killed has written a part of its last line.
#[test]
fn a_recording_without_its_end() {
    let whole = fs::read(recording("imaplib")).unwrap();
    let cut = replay(&whole[..whole.len() / 2]).with(1);
    let held = |ended: &Ended| ended.json()["held_ms_total"].as_f64().unwrap();
    let whole = replay(&whole).with(1);
    assert!(held(&cut) > 0.0 && held(&cut) < held(&whole));
    let notes = cut.json()["notes"].to_string();
    assert!(notes.contains("it was not ended"), "{notes}");
}
