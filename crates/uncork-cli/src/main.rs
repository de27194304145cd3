#![forbid(unsafe_code)]
//! The command line of uncork: arguments, printing and exit codes. The work is in the crates.

use clap::{Parser, Subcommand};

mod demo;
mod exit;
mod import;
mod output;
mod run;
mod serve;

/// See, fix and avoid the time that TCP senders lose.
#[derive(Debug, Parser)]
#[command(name = "uncork", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::DemoArgs),
    Import(Box<import::ImportArgs>),
    Run(run::RunArgs),
    #[command(hide = true)]
    RunKeeper(run::KeeperArgs),
    Serve(serve::ServeArgs),
}

fn main() -> std::process::ExitCode {
    let done = match Cli::parse().verb {
        Verb::Demo(arguments) => demo::run(&arguments),
        Verb::Import(arguments) => import::run(&arguments),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::RunKeeper(arguments) => run::keep(arguments),
        Verb::Serve(arguments) => serve::run(&arguments),
    };
    exit::code(done)
}
