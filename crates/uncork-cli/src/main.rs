#![forbid(unsafe_code)]
//! The command line of uncork: arguments, printing and exit codes. The work is in the crates.

use clap::{Parser, Subcommand};

mod demo;
mod exit;
mod fix;
mod import;
mod output;
mod pid;
mod run;
mod serve;
mod trace;
mod words;

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
    #[command(hide = true)]
    DemoImporter(demo::ImporterArgs),
    Fix(fix::FixArgs),
    Import(Box<import::ImportArgs>),
    Run(run::RunArgs),
    #[command(hide = true)]
    RunKeeper(run::KeeperArgs),
    Serve(serve::ServeArgs),
    Trace(Box<trace::TraceArgs>),
    #[command(hide = true)]
    TraceSymbols,
}

fn main() -> std::process::ExitCode {
    let done = match Cli::parse().verb {
        Verb::Demo(arguments) => demo::run(&arguments),
        Verb::DemoImporter(arguments) => demo::import(&arguments),
        Verb::Fix(arguments) => fix::run(&arguments),
        Verb::Import(arguments) => import::run(&arguments),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::RunKeeper(arguments) => run::keep(arguments),
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::Trace(arguments) => trace::run(&arguments),
        Verb::TraceSymbols => trace::serve_symbols(),
    };
    exit::code(done)
}
