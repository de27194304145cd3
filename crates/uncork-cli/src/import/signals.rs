//! SIGINT (Ctrl-C) and SIGTERM: the first ends the import gently, the second at once.

use std::io;
use std::thread;

use indicatif::ProgressBar;
use tokio::signal::unix::{Signal, SignalKind, signal};
use uncork_import::Stop;

use crate::output;

/// What a shell shows for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// From now on both signals are taken. They used to kill; so nothing may be waited for with them
/// taken but what looks at `stop`.
pub(super) fn watch(stop: Stop, bar: ProgressBar) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let inside = runtime.enter();
    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    drop(inside);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                signals.next().await;
                stop.stop();
                bar.suspend(|| {
                    output::note(
                        "stopping: waiting for what is on its way (Ctrl-C again leaves at once)",
                    );
                });
                signals.next().await;
                std::process::exit(INTERRUPTED);
            });
        })?;
    Ok(())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
