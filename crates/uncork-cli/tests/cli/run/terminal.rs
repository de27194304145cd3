//! On a terminal: what the person types reaches the command once, and the shell sees it stop.

use std::fs;
use std::process::Command;

use super::{has_yama, python, script};
use crate::support::{run, uncork};

#[test]
fn keys_and_job_control() {
    let Some(python) = python() else { return };
    for options in [&[][..], &["--nodelay", "--quickack"]] {
        let (_job, job) = script(include_str!("job.py"));
        let (place, shell) = script(include_str!("shell.py"));
        let file = place.path().join("nodelay");
        let mut command = Command::new(&python);
        command.arg(shell).arg(&file);
        command.arg(uncork().get_program()).arg("run").args(options);
        let ended = run(command.arg(&python).arg(job).arg(&file)).with(0);
        assert_eq!(ended.stderr, "");
        for words in [
            "('SIGINT', 1)",
            "shell: stopped by SIGTSTP",
            "heard still there",
            "('SIGCONT', 1)",
            "shell: killed by SIGQUIT",
        ] {
            assert!(ended.stdout.contains(words), "no {words}: {ended:?}");
        }
        // The keeper has served it, who is nobody's parent.
        let nodelay = fs::read_to_string(file).unwrap();
        assert!(nodelay == "1" || has_yama(), "{nodelay}");
    }
}
