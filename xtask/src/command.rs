//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The same cargo that runs this task, at the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command that has the terminal, says which one, and how long it took.
///
/// # Errors
/// Where it can't be run or does not succeed.
pub(crate) fn step(command: &mut Command) -> Result<()> {
    let words = words(command);
    eprintln!("» {words}");
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("can't run `{words}`"))?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(status.success(), "`{words}` ended with {status}");
    eprintln!("» {words}: {seconds:.1} s");
    Ok(())
}

/// What a command prints, without the ends of lines at its end.
///
/// # Errors
/// Where it can't be run or does not succeed; the message has what it wrote to stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let words = words(command);
    let output = command
        .output()
        .with_context(|| format!("can't run `{words}`"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{words}` ended with {}: {}",
        output.status,
        stderr.trim()
    );
    let stdout = String::from_utf8(output.stdout)
        .with_context(|| format!("`{words}` printed something else than UTF-8"))?;
    Ok(stdout.trim_end_matches('\n').to_owned())
}

/// The command as it would be typed, without its environment, and its program without folders.
fn words(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
