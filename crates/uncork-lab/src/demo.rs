//! The demo.

mod html;
mod report;
pub use html::page;
pub use report::*;
