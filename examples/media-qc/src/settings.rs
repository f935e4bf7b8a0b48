//! What the operator of the worker decides, as opposed to who enqueues a job.

use std::path::PathBuf;
use std::time::Duration;

/// The largest download by default: 2 GiB.
pub const DOWNLOAD_LIMIT_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The worker's side of the work: tools, limits and permissions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The ffmpeg program: a name to be found in `PATH`, or a path.
    pub ffmpeg: PathBuf,
    /// The ffprobe program.
    pub ffprobe: PathBuf,
    /// Local sources must lie below this directory, and relative ones start from it; `None` allows every path.
    pub media_root: Option<PathBuf>,
    /// Whether URLs may point at private, loopback and link-local addresses.
    pub private_hosts: bool,
    /// Downloads larger than this are refused.
    pub download_limit_bytes: u64,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a download may pause.
    pub read_timeout: Duration,
    /// How long ffprobe may take.
    pub probe_timeout: Duration,
    /// How long ffmpeg may go without decoding anything before it counts as hung.
    pub stall_timeout: Duration,
    /// Where downloads are kept while they are examined; `None` is the system's place for temporary files.
    pub temp_dir: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ffmpeg: "ffmpeg".into(),
            ffprobe: "ffprobe".into(),
            media_root: None,
            private_hosts: false,
            download_limit_bytes: DOWNLOAD_LIMIT_BYTES,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            probe_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(60),
            temp_dir: None,
        }
    }
}
