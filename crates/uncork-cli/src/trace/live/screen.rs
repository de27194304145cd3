//! The terminal while it is ours.

use std::io::{self, BufWriter, Stderr};
use std::mem::ManuallyDrop;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};

/// Whether there is something to restore.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// The hook is chained once, however often a screen is opened.
static HOOK: Once = Once::new();

/// The whole terminal, until this is dropped.
pub(super) struct Screen {
    /// A frame is many small writes: collected, they are one. Not dropped, as that would print what fails,
    /// and so panic, where the terminal has gone; what it would restore, [`restore`] does.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Stderr>>>>,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        HOOK.call_once(|| {
            let print = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // Else the message would go to the screen that is about to vanish.
                restore();
                print(panic);
            }));
        });
        enable_raw_mode()?;
        IS_OPEN.store(true, Ordering::SeqCst);
        let opened = execute!(io::stderr(), EnterAlternateScreen).and_then(|()| {
            let backend = CrosstermBackend::new(BufWriter::new(io::stderr()));
            Terminal::new(backend)
        });
        match opened {
            Ok(terminal) => Ok(Self {
                terminal: ManuallyDrop::new(terminal),
            }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, once. What fails here can't be helped, nor told.
fn restore() {
    if IS_OPEN.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
        let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
    }
}
