//! On a terminal: what the person types reaches the command once, and the shell sees it stop.

use std::process::Command;

use super::{python, script};
use crate::support::{run, uncork};

#[test]
fn keys_and_job_control() {
    let Some(python) = python() else { return };
    let (_job, job) = script(include_str!("job.py"));
    let (_shell, shell) = script(include_str!("shell.py"));
    let mut command = Command::new(&python);
    command.arg(shell).arg(uncork().get_program()).arg("run");
    let ended = run(command.arg(&python).arg(job)).with(0);
    assert_eq!(ended.stderr, "");
    for words in [
        "('SIGINT', 1)",
        "shell: stopped by SIGSTOP",
        "heard still there",
        "('SIGCONT', 1)",
        "shell: killed by SIGQUIT",
    ] {
        assert!(ended.stdout.contains(words), "no {words}: {ended:?}");
    }
}
