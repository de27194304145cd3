//! The access log.

use std::path::PathBuf;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `format`.
    pub format: LogFormat,
    /// `file`, or `per_host`.
    pub to: LogTarget,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Apache's combined format, with the host in front of it where all hosts share a file.
    Combined,
    /// One JSON object a line.
    Json,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// `file = "…"`: all in one.
    File(PathBuf),
    /// `per_host = "…"`: a folder that gets `HOST.log` for each site.
    PerHost(PathBuf),
    /// `file = "-"`: standard output.
    Stdout,
}
