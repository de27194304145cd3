//! The system calls of each kind of message, as `strace` sees them.

use std::path::Path;
use std::process::Command;

use uncork_lab::requirement;

/// The example is compiled into this test and run by a second process of this very binary:
/// what is counted is what was just built.
#[expect(dead_code, reason = "the example's own main")]
#[path = "../../examples/message_kinds.rs"]
mod message_kinds;

/// Tells the second process which kind to send.
const KIND: &str = "UNCORK_TEST_MESSAGE_KIND";

#[test]
fn each_kind_of_message_takes_the_system_calls_of_its_plan() {
    let Some(strace) = requirement::program("strace") else {
        return;
    };
    let probe = Command::new(&strace)
        .args(["-o", "/dev/null", "true"])
        .output();
    let probe = probe.unwrap();
    if !probe.status.success() {
        let said = String::from_utf8_lossy(&probe.stderr);
        requirement::skip(&format!("strace may not trace here: {}", said.trim()));
        return;
    }
    let large_file: &[&str] = &[
        "setsockopt TCP_CORK [1]",
        "sendto MSG_MORE",
        "sendfile",
        "sendfile",
        "sendfile",
        "sendfile",
        "setsockopt TCP_CORK [0]",
    ];
    for (kind, expected) in [
        ("memory", &["sendmsg"][..]),
        ("small-file", &["sendto MSG_MORE", "sendfile"]),
        ("large-file", large_file),
        ("burst", &["sendto"]),
    ] {
        assert_eq!(calls_of(&strace, kind), expected, "{kind}");
    }
}

/// The example works: every kind, or, in the second process, the one that the test above names.
#[test]
fn send_one() {
    match std::env::var(KIND) {
        Ok(kind) => message_kinds::send_one(&kind).unwrap(),
        Err(_) => message_kinds::KINDS
            .iter()
            .for_each(|kind| message_kinds::send_one(kind).unwrap()),
    }
}

/// The calls that sending one message of this kind takes.
fn calls_of(strace: &Path, kind: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let traced = "trace=sendmsg,sendto,write,writev,sendfile,setsockopt,pread64";
    let output = Command::new(strace)
        .args(["-f", "-e", traced, "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "system_calls::send_one"])
        .env(KIND, kind)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("arrived:"),
        "{said}"
    );
    between_markers(&std::fs::read_to_string(trace).unwrap())
}

/// Calls between the two lines that the example writes to its standard output.
///
/// A line of the trace is `PID call(arguments) = result`, or has `<unfinished ...>` for the
/// result where another thread came between; the line that resumes it is not counted again.
fn between_markers(trace: &str) -> Vec<String> {
    let calls = trace.lines().filter_map(|line| {
        let (_pid, call) = line.split_once(' ')?;
        let (name, arguments) = call.trim_start().split_once('(')?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_name.then_some((name, arguments))
    });
    let is_marker = |(name, arguments): &(&str, &str), text: &str| {
        *name == "write" && arguments.starts_with("1, ") && arguments.contains(text)
    };
    calls
        .skip_while(|call| !is_marker(call, "\"sending: "))
        .skip(1)
        .take_while(|call| !is_marker(call, "\"sent: "))
        .map(|(name, arguments)| in_short(name, arguments))
        .collect()
}

/// A call's name, and those of its arguments that matter here.
fn in_short(name: &str, arguments: &str) -> String {
    let details: &[&str] = match name {
        "setsockopt" => &["TCP_CORK", "[0]", "[1]"],
        "sendmsg" | "sendto" => &["MSG_MORE"],
        _ => &[],
    };
    let told = details.iter().filter(|detail| arguments.contains(**detail));
    std::iter::once(name)
        .chain(told.copied())
        .collect::<Vec<_>>()
        .join(" ")
}
