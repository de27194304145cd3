//! A Python program as another process: what it has is looked at, or changed, from outside while it
//! waits.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::process;
use crate::requirement;

/// A Python program that says lines and waits for lines. Ends, with its descendants, when dropped.
#[derive(Debug)]
pub struct Python {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a program, or says that the test is skipped because there is no Python.
    ///
    /// # Panics
    /// Where it can't be started.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str]) -> Option<Self> {
        let python = requirement::program("python3")?;
        let mut child = Command::new(python)
            .args(["-c", program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 can be started");
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let stdout = BufReader::new(stdout);
        Some(Self { child, stdout })
    }

    /// The id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line that it says; an empty one if it has ended.
    ///
    /// # Errors
    /// Where it is no text.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Says a line to it.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(format!("{line}\n").as_bytes()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Says a line to it, and waits for the next one that it says.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn ask(&mut self, line: &str) -> io::Result<String> {
        self.say(line)?;
        let answer = self.line()?;
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<()> {
        self.child.wait().map(drop)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            process::stop(&mut self.child);
        }
    }
}
