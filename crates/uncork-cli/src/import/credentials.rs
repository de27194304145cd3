//! How the user proves who they are, and how the server does.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use uncork_import::{Credentials, Target, TlsOptions, TokenSource};

use crate::exit::{Exit, Failure};

/// The environment variable that may hold the password.
const PASSWORD_VARIABLE: &str = "UNCORK_PASSWORD";

/// Where secrets come from, and how far they may go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging in")]
pub(super) struct LoginArgs {
    /// Read the password from the first line of this file (else: from UNCORK_PASSWORD, else it is
    /// asked for)
    #[arg(long, value_name = "FILE", group = "secret")]
    password_file: Option<PathBuf>,
    /// Run this command in a shell; the first line that it prints is the password
    #[arg(long, value_name = "COMMAND", group = "secret")]
    password_command: Option<String>,
    /// Run this command in a shell; the first line that it prints is an OAuth 2.0 access token
    ///
    /// It is run again for each connection, so it should give a token that is valid now.
    #[arg(long, value_name = "COMMAND", group = "secret")]
    token_command: Option<String>,
    /// Trust the authorities in this PEM file too
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca_file: Option<PathBuf>,
    /// Take any certificate: whoever is on the way can read and alter everything
    #[arg(long)]
    pub(super) insecure: bool,
    /// Let the password and the mail cross a network without TLS
    #[arg(long)]
    pub(super) allow_plaintext: bool,
}

impl LoginArgs {
    /// The credentials by the first way that is given: file, command, environment, terminal.
    pub(super) fn credentials(&self, target: &Target) -> Result<Credentials, Failure> {
        if let Some(command) = &self.token_command {
            return Ok(Credentials::Token(Arc::new(TokenCommand(command.clone()))));
        }
        self.password(target).map(Credentials::Password)
    }

    /// How the server's certificate is checked. A file that can't be read is known before it is
    /// needed, and where it never is.
    pub(super) fn tls(&self) -> Result<TlsOptions, Failure> {
        if let Some(path) = &self.ca_file {
            File::open(path).map_err(|error| {
                let kind = error.kind();
                let what = format!("--ca-file {} can't be read", path.display());
                Failure::io(Exit::Usage, kind, anyhow::Error::new(error).context(what))
            })?;
        }
        let mut tls = TlsOptions::default();
        tls.ca_file.clone_from(&self.ca_file);
        tls.insecure = self.insecure;
        Ok(tls)
    }

    /// Whether a command on the command line gives a secret. A careless one holds it itself.
    pub(super) fn has_command(&self) -> bool {
        self.password_command.is_some() || self.token_command.is_some()
    }

    fn password(&self, target: &Target) -> Result<String, Failure> {
        let usage = |error: anyhow::Error| Failure::new(Exit::Usage, error);
        if let Some(path) = &self.password_file {
            return password_from_file(path).map_err(|error| {
                let cause = error.downcast_ref::<io::Error>();
                let kind = cause.map_or(io::ErrorKind::Other, io::Error::kind);
                Failure::io(Exit::Usage, kind, error)
            });
        }
        if let Some(command) = &self.password_command {
            return line_from_command("the password command", command).map_err(usage);
        }
        match std::env::var(PASSWORD_VARIABLE) {
            Ok(password) => Ok(password),
            Err(std::env::VarError::NotUnicode(_)) => Err(usage(anyhow::anyhow!(
                "{PASSWORD_VARIABLE} is no UTF-8 text"
            ))),
            Err(std::env::VarError::NotPresent) => password_from_terminal(target).map_err(usage),
        }
    }
}

/// Gives a new token each time that one is asked for.
struct TokenCommand(String);

impl TokenSource for TokenCommand {
    fn token(&self) -> io::Result<String> {
        line_from_command("the token command", &self.0)
            .map_err(|error| io::Error::other(format!("{error:#}")))
    }
}

fn password_from_file(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the password file {} can't be read", path.display()))?;
    first_line(&text).with_context(|| format!("the password file {} is empty", path.display()))
}

/// The first line that a command prints. Neither the command nor what it prints gets into an
/// error: there may be a secret in both.
fn line_from_command(name: &str, command: &str) -> anyhow::Result<String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{name} could not be started"))?;
    anyhow::ensure!(
        output.status.success(),
        "{name} ended with {}: run it by itself to see why",
        output.status
    );
    let text =
        String::from_utf8(output.stdout).map_err(|_| anyhow::anyhow!("{name} printed no text"))?;
    first_line(&text).with_context(|| format!("{name} printed nothing"))
}

/// Asks the person at the terminal, and shows nothing of what they type.
fn password_from_terminal(target: &Target) -> anyhow::Result<String> {
    let is_attended = io::stdin().is_terminal() && io::stderr().is_terminal();
    anyhow::ensure!(
        is_attended,
        "no password: put it into the environment variable {PASSWORD_VARIABLE}, or name a \
         --password-file, a --password-command or a --token-command"
    );
    let question = format!("Password of {} on {}: ", target.user, target.host);
    let password = rpassword::prompt_password(question)
        .context("the password can't be read from the terminal: name a --password-file")?;
    anyhow::ensure!(!password.is_empty(), "no password was typed");
    Ok(password)
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let source = TokenCommand(format!("echo x >> '{0}'; wc -l < '{0}'", count.display()));
        let tokens = [source.token().unwrap(), source.token().unwrap()];
        assert_eq!(tokens.map(|token| token.trim().to_owned()), ["1", "2"]);
        let failed = TokenCommand("echo secret; exit 7".to_owned()).token();
        let text = failed.unwrap_err().to_string();
        assert!(
            text.contains("exit status: 7") && !text.contains("secret"),
            "{text}"
        );
    }
}
