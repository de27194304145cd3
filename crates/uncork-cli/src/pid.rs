//! Process ids, as arguments.

/// `PID_MAX_LIMIT` of Linux. And 0 is no process: `/proc` has it as the parent of the first one.
pub(crate) const PID_MAX: i64 = 4 * 1024 * 1024;
