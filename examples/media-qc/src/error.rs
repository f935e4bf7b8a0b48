//! The ways in which a file cannot be judged, and which of them are worth another attempt.
//!
//! A file that was examined and found wanting is not an error: that is a [`Report`](crate::Report) with reasons.

use std::io;
use std::time::Duration;

use jobforge::JobError;
use serde_json::json;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum QcError {
    /// A field of the payload makes no sense.
    #[error("invalid payload: {field} {problem}")]
    InvalidPayload { field: &'static str, problem: String },
    /// There is nothing at the path.
    #[error("{path} does not exist on this worker")]
    FileNotFound { path: String },
    /// The path is a directory, a device or a pipe.
    #[error("{path} is not a regular file")]
    NotAFile { path: String },
    /// The path lies outside of what the operator opened.
    #[error("{path} is not below this worker's --media-root")]
    PathNotAllowed { path: String },
    /// The file may not be read.
    #[error("{path} cannot be read: permission denied")]
    PermissionDenied { path: String },
    /// The file has no bytes.
    #[error("{name} is empty (0 bytes)")]
    EmptyFile { name: String },
    /// The content is no audio or video that ffmpeg knows.
    #[error("{name} is not a media file: {why}")]
    NotMedia { name: String, why: String },
    /// The file ends before its content does.
    #[error("{name} is truncated: {why}")]
    TruncatedMedia { name: String, why: String },
    /// The container holds neither audio nor video.
    #[error("{name} has no audio or video stream")]
    NoStreams { name: String },
    /// The streams are described, but ffmpeg has no decoder or none of it can be decoded.
    #[error("{name} cannot be decoded: {why}")]
    Undecodable { name: String, why: String },
    /// The download is larger than the operator allows.
    #[error("{name} is larger than the limit of {limit_bytes} bytes")]
    TooLarge { name: String, limit_bytes: u64 },
    /// The URL leads to an address that the operator has not opened.
    #[error("{url} leads to a private address; the operator can allow that with --allow-private-hosts")]
    HostNotAllowed { url: String },
    /// The redirects lead nowhere.
    #[error("{url} redirects too often or to an address that is neither http nor https")]
    BadRedirect { url: String },
    /// The server answered with a status that another attempt will not change.
    #[error("{url} answered {status}")]
    HttpRefused { url: String, status: u16 },
    /// The server answered with a status that may pass.
    #[error("{url} answered {status}")]
    HttpUnavailable { url: String, status: u16, retry_after: Option<Duration> },
    /// The download did not come through.
    #[error("failed to download {url}: {why}")]
    Network { url: String, why: String },
    /// The program is not installed.
    #[error("{tool} was not found on this worker; install it with: sudo apt-get install -y ffmpeg")]
    ToolMissing { tool: String },
    /// The program was ended by a signal that we did not send, for instance by the kernel when memory ran out.
    #[error("{tool} was killed by signal {signal}; the usual cause is too little memory")]
    ToolKilled { tool: String, signal: i32 },
    /// The program went on without getting anywhere.
    #[error("{tool} made no progress for {silent_s} s and was killed")]
    ToolHung { tool: String, silent_s: u64 },
    /// The program failed for a reason that we do not know.
    #[error("{tool} ended with exit code {code}: {last_line}")]
    ToolFailed { tool: String, code: i32, last_line: String, tail: Vec<String> },
    /// The worker's own disk or process table is in the way.
    #[error("failed to {action}")]
    Local { action: &'static str, source: io::Error },
    /// The work was told to stop.
    #[error("stopped")]
    Stopped,
}

impl QcError {
    /// A stable word for grouping.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InvalidPayload { .. } => "invalid_payload",
            Self::FileNotFound { .. } => "file_not_found",
            Self::NotAFile { .. } => "not_a_file",
            Self::PathNotAllowed { .. } => "path_not_allowed",
            Self::PermissionDenied { .. } => "permission_denied",
            Self::EmptyFile { .. } => "empty_file",
            Self::NotMedia { .. } => "not_media",
            Self::TruncatedMedia { .. } => "truncated_media",
            Self::NoStreams { .. } => "no_streams",
            Self::Undecodable { .. } => "undecodable",
            Self::TooLarge { .. } => "too_large",
            Self::HostNotAllowed { .. } => "host_not_allowed",
            Self::BadRedirect { .. } => "bad_redirect",
            Self::HttpRefused { .. } => "http_refused",
            Self::HttpUnavailable { .. } => "http_unavailable",
            Self::Network { .. } => "network",
            Self::ToolMissing { .. } => "tool_missing",
            Self::ToolKilled { .. } => "tool_killed",
            Self::ToolHung { .. } => "tool_hung",
            Self::ToolFailed { .. } => "tool_failed",
            Self::Local { .. } => "local_io",
            Self::Stopped => "stopped",
        }
    }

    /// Whether another attempt, on this worker or another, may end differently.
    pub fn retryable(&self) -> bool {
        match self {
            Self::HttpUnavailable { .. }
            | Self::Network { .. }
            | Self::ToolKilled { .. }
            | Self::ToolHung { .. }
            | Self::ToolFailed { .. }
            | Self::Local { .. }
            | Self::Stopped => true,
            Self::InvalidPayload { .. }
            | Self::FileNotFound { .. }
            | Self::NotAFile { .. }
            | Self::PathNotAllowed { .. }
            | Self::PermissionDenied { .. }
            | Self::EmptyFile { .. }
            | Self::NotMedia { .. }
            | Self::TruncatedMedia { .. }
            | Self::NoStreams { .. }
            | Self::Undecodable { .. }
            | Self::TooLarge { .. }
            | Self::HostNotAllowed { .. }
            | Self::BadRedirect { .. }
            | Self::HttpRefused { .. }
            | Self::ToolMissing { .. } => false,
        }
    }

    /// Turns this into what a handler returns.
    ///
    /// A method and not `From`: `JobError` already takes every `std::error::Error` as retryable, which would be wrong here.
    pub fn into_job_error(self) -> JobError {
        if matches!(self, Self::Stopped) {
            return JobError::stopped();
        }
        let mut message = self.to_string();
        if let Self::Local { source, .. } = &self {
            message = format!("{message}: {source}");
        }
        if !self.retryable() {
            return JobError::fatal(self.kind(), message);
        }
        let error = JobError::retry(self.kind(), message);
        match self {
            Self::HttpUnavailable { retry_after: Some(wait), .. } => error.after(wait),
            Self::ToolFailed { tail, .. } => error.with_details(json!({ "stderr": tail })),
            _ => error,
        }
    }
}
