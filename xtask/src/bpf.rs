//! `cargo xtask bpf`: the BPF programs of `uncork trace`, from their source into the object that is
//! committed, so that nobody needs clang to build uncork.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use uncork_lab::requirement::skip;

use crate::command::{output, root, step};

/// What the object is made of, beneath `crates/uncork-trace/bpf`.
const SOURCE: &str = "trace.bpf.c";
const OBJECT: &str = "trace.bpf.o";

/// Which clang has made it: another one makes other bytes of the same source.
const COMPILER: &str = "trace.bpf.o.clang";

/// Build the object, or check it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Build it aside, and fail where the committed one is another
    #[arg(long)]
    check: bool,
}

/// Builds or checks.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match arguments.check {
        true => check(),
        false => build(&folder().join(OBJECT)).and_then(|()| {
            fs::write(folder().join(COMPILER), compiler()? + "\n").context(COMPILER)
        }),
    }
}

/// Fails where the committed object is not what its source makes.
///
/// # Errors
/// Where it differs, or the source can't be built.
pub(crate) fn check() -> Result<()> {
    let Ok(compiler) = compiler() else {
        skip("no clang (or no llvm-strip) on this machine, which builds the BPF programs");
        return Ok(());
    };
    let aside = tempfile::tempdir()?;
    let built = aside.path().join(OBJECT);
    build(&built)?;
    let made_with = fs::read_to_string(folder().join(COMPILER)).context(COMPILER)?;
    if made_with.trim() != compiler {
        skip(&format!(
            "the BPF object was made by `{}`, and this is `{compiler}`: its source compiles, but \
             the bytes can't be compared",
            made_with.trim()
        ));
        return Ok(());
    }
    let committed = fs::read(folder().join(OBJECT)).context(OBJECT)?;
    ensure!(
        committed == fs::read(&built)?,
        "{OBJECT} is not what {SOURCE} makes: run `cargo xtask bpf`, and commit it"
    );
    eprintln!("» {OBJECT} is what {SOURCE} makes");
    Ok(())
}

fn folder() -> PathBuf {
    root().join("crates/uncork-trace/bpf")
}

fn compiler() -> Result<String> {
    output(Command::new("llvm-strip").arg("--version"))?;
    let version = output(Command::new("clang").arg("--version"))?;
    let line = version.lines().next().context("clang says no version")?;
    Ok(line.to_owned())
}

/// Relative paths only, so that the same source makes the same bytes wherever it lies.
fn build(object: &Path) -> Result<()> {
    let Some(name) = object.to_str() else {
        bail!("{} is no UTF-8", object.display());
    };
    let prefix = format!("-ffile-prefix-map={}=.", folder().display());
    step(
        Command::new("clang")
            .args(["-O2", "-g", "-Wall", "-Werror", "-target", "bpfel", &prefix])
            .args(["-c", SOURCE, "-o", name])
            .current_dir(folder()),
    )?;
    step(Command::new("llvm-strip").args(["-g", name]))
}
