//! To come.
/// The page.
pub fn page(_report: &super::DemoReport) -> String {
    String::new()
}
