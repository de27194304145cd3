//! `cargo xtask fuzz`: a short run of each fuzz target, on stable Rust.
//!
//! libFuzzer needs a program that counts where it has been. cargo-fuzz asks a nightly compiler
//! for that, and for the address sanitizer, which has nothing to find where all code is safe.
//! Without the sanitizer the stable compiler can do it, too.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{cargo, output, root, step, target_folder};

/// Which targets are run, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this target (fuzz/targets); may be given several times.
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// Inputs that each target is tried with.
    #[arg(long, default_value_t = 20_000)]
    runs: u32,
    /// Another one tries other inputs.
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// What makes a program count the edges that it takes, as cargo-fuzz does it.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table";

/// The longest input that is made.
const INPUT_BYTES_MAX: u32 = 4096;

/// An input that takes longer hangs, or is quadratic in a way that a peer could use.
const INPUT_SECONDS_MAX: u32 = 10;

/// More than any target needs.
const MEMORY_MB_MAX: u32 = 512;

/// Builds the targets and runs them one by one, all of them even where one breaks.
///
/// # Errors
/// Where an input breaks a target; the error says which, and how to try it again.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = arguments.targets.iter().find(|name| !known.contains(*name)) {
        bail!(
            "no fuzz target `{unknown}`; there are: {}",
            known.join(", ")
        );
    }
    let wanted = match &arguments.targets[..] {
        [] => &known[..],
        some => some,
    };
    let host = output(Command::new(rustc()).args(["--print", "host-tuple"]))?;
    build(&host, wanted)?;
    let programs = target_folder().join(&host).join("release");
    let artifacts = root().join("fuzz/artifacts");
    fs::create_dir_all(&artifacts).with_context(|| format!("can't make {artifacts:?}"))?;
    let mut broken = Vec::new();
    for name in wanted {
        if let Err(error) = fuzz(&programs.join(name), &artifacts, name, arguments) {
            eprintln!("{error:#}");
            broken.push(name.as_str());
        }
    }
    ensure!(
        broken.is_empty(),
        "broken: {}. The input is the last file fuzz/artifacts/TARGET-crash-* (or -timeout-, \
         -oom-); try it again with `{}/TARGET FILE`. Once mended, keep it in \
         fuzz/corpus/TARGET/ under a name that says what it is.",
        broken.join(", "),
        programs.display()
    );
    Ok(())
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("can't list {folder:?}"))?;
    let mut names = Vec::new();
    for entry in entries {
        if let Some(name) = entry?.file_name().to_string_lossy().strip_suffix(".rs") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// With `--target`, so that the flags are not for build scripts, which could not be linked.
fn build(host: &str, targets: &[String]) -> Result<()> {
    let mut build = cargo(&["build", "--locked", "--release", "--target", host]);
    build.args(["--manifest-path", "fuzz/Cargo.toml"]);
    build.arg("--target-dir").arg(target_folder());
    for name in targets {
        build.args(["--bin", name]);
    }
    step(build.env("RUSTFLAGS", COVERAGE))
}

/// Runs one target from its seeds; what it finds beyond them is thrown away.
fn fuzz(program: &Path, artifacts: &Path, name: &str, arguments: &Arguments) -> Result<()> {
    let found = tempfile::tempdir().context("can't make a temporary folder")?;
    let start = Instant::now();
    output(
        Command::new(program)
            .arg(format!("-runs={}", arguments.runs))
            .arg(format!("-seed={}", arguments.seed))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
            .arg(format!("-artifact_prefix={}/{name}-", artifacts.display()))
            .args(["-len_control=0", "-verbosity=0"])
            .arg(found.path())
            .arg(root().join("fuzz/corpus").join(name)),
    )?;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("» {name}: {} inputs, {seconds:.1} s", arguments.runs);
    Ok(())
}
