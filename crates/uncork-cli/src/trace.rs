//! `uncork trace`: what people see of it.

use std::io::Write;

use uncork_trace::Report;

use crate::exit::{Exit, Failure};
use crate::output::{self, Page};

mod arguments;
mod duration;
mod examples;
mod html;
mod live;
mod progress;
#[cfg(test)]
mod samples;
mod summary;
mod terminal;
mod watch;
mod words;

use arguments::Target;
pub(crate) use arguments::TraceArgs;

pub(crate) fn run(arguments: &TraceArgs) -> Result<Exit, Failure> {
    let page = arguments.page()?;
    if let Target::Replay(path) = arguments.target() {
        return present(&watch::replay(path)?, arguments, page);
    }
    let watch = watch::watch(arguments)?;
    let exit = present(&watch.report, arguments, page)?;
    if watch.is_unrecorded {
        output::note("uncork: the file of the events is not complete");
        return Ok(Exit::NotPermitted);
    }
    match watch.command.and_then(watch::failed) {
        // Whoever runs tests under uncork has to hear of it.
        Some(failure) => {
            output::note(&failure);
            Ok(Exit::Losses)
        }
        None => Ok(exit),
    }
}

/// Finds the names of functions for an `uncork trace`, which alone starts this.
pub(crate) fn serve_symbols() -> Result<Exit, Failure> {
    match uncork_trace::serve_symbols(std::io::stdin(), std::io::stdout()) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Failure::new(Exit::Usage, error)
            .advised(Some("only `uncork trace` starts this".to_owned()))),
    }
}

/// Writes the page, prints the report in the way that was asked for, and says whether so much was lost
/// that it counts as a loss. The page is opened before the trace, by [`TraceArgs::page`].
fn present(report: &Report, arguments: &TraceArgs, page: Option<Page>) -> Result<Exit, Failure> {
    let top = arguments.top();
    let written = page.map_or(Ok(()), |page| {
        let date = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string();
        page.write(&html::page(report, top, &date), arguments.is_quiet())
    });
    let printed = if arguments.is_json() {
        output::json(report)
    } else if arguments.is_quiet() {
        Ok(())
    } else {
        let mut out = std::io::stdout().lock();
        let printed = terminal::print(&mut out, report, top);
        printed.and_then(|()| out.flush()).map_err(output::failure)
    };
    written.and(printed)?;
    Ok(exit(report, arguments))
}

/// Whether what was lost reaches what the user bears.
fn exit(report: &Report, arguments: &TraceArgs) -> Exit {
    let borne_ms = arguments.fail_over().as_secs_f64() * 1000.0;
    match report.held_ms_total >= borne_ms {
        true => Exit::Losses,
        false => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arguments::tests::parsed;

    #[test]
    fn what_counts_as_a_loss() {
        #[track_caller]
        fn check(held_ms: f64, arguments: &[&str], expected: Exit) {
            let mut report = samples::clean();
            report.held_ms_total = held_ms;
            let arguments = parsed(arguments);
            assert_eq!(exit(&report, &arguments), expected, "{held_ms}");
        }
        check(0.0, &["--all"], Exit::Done);
        check(0.9, &["--all"], Exit::Done);
        check(1.0, &["--all"], Exit::Losses);
        check(99.0, &["--all", "--fail-over", "100ms"], Exit::Done);
        check(100.0, &["--all", "--fail-over", "100ms"], Exit::Losses);
        check(f64::NAN, &["--all"], Exit::Done);
    }
}
