//! stub
use uncork_trace::Report;
pub(super) fn page(_: &Report, _: usize, _: &str) -> String {
    String::new()
}
