//! Brings the source within reach: checks a local path, or downloads a URL to a temporary file.

use std::error::Error;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};
use tempfile::{NamedTempFile, TempPath};

use crate::error::QcError;
use crate::guard::{PrivateAddress, PublicOnly, check_literal};
use crate::job::{Source, public_url};
use crate::reporter::Reporter;
use crate::settings::Settings;

/// Where the download begins and ends on the job's scale of progress.
pub const PERCENT: std::ops::RangeInclusive<u8> = 15..=20;

/// How many redirects are followed.
const REDIRECT_LIMIT: usize = 5;
/// The longest pause that a server may ask for before the next attempt.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How much arrives between two reports of progress when the size is unknown.
const REPORT_EVERY_BYTES: u64 = 1024 * 1024;

/// A file within reach. A download is deleted when this is dropped.
#[derive(Debug)]
pub struct Fetched {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// Its size, which is not 0.
    pub size_bytes: u64,
    download: Option<TempPath>,
}

impl Fetched {
    /// Whether the file came over the network.
    pub fn is_download(&self) -> bool {
        self.download.is_some()
    }
}

/// Brings `source` within reach.
///
/// # Errors
/// Whatever is wrong with the path or the answer is final; whatever is wrong with the network is retryable.
pub async fn fetch(
    source: &Source,
    settings: &Settings,
    reporter: &dyn Reporter,
) -> Result<Fetched, QcError> {
    match source {
        Source::File(path) => find(path, settings),
        Source::Url(url) => tokio::select! {
            () = reporter.stop_signal().cancelled() => Err(QcError::Stopped),
            fetched = download(url, settings, reporter) => fetched,
        },
    }
}

fn find(path: &Path, settings: &Settings) -> Result<Fetched, QcError> {
    let name = || path.display().to_string();
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => QcError::FileNotFound { path: name() },
        io::ErrorKind::PermissionDenied => QcError::PermissionDenied { path: name() },
        _ => QcError::Local { action: "open the file", source },
    };
    let root = settings.media_root.as_deref().unwrap_or(Path::new(""));
    // Links are resolved before the comparison: one below the root may point out of it.
    let found = root.join(path).canonicalize();
    if let Some(root) = &settings.media_root {
        let root =
            root.canonicalize().map_err(|source| QcError::Local { action: "open --media-root", source })?;
        let allowed = match &found {
            Ok(found) => found.starts_with(&root),
            // Whether something outside exists is nobody's business either.
            Err(_) => stays_below(path, &root),
        };
        if !allowed {
            return Err(QcError::PathNotAllowed { path: name() });
        }
    }
    let found = found.map_err(refused)?;
    let metadata: Metadata = found.metadata().map_err(refused)?;
    // Before it is opened: a pipe without a writer would block for ever.
    if !metadata.is_file() {
        return Err(QcError::NotAFile { path: name() });
    }
    if metadata.len() == 0 {
        return Err(QcError::EmptyFile { name: name() });
    }
    File::open(&found).map_err(refused)?;
    Ok(Fetched { path: found, size_bytes: metadata.len(), download: None })
}

/// Whether a path means something below `root` by its spelling alone.
fn stays_below(path: &Path, root: &Path) -> bool {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    !climbs && (path.is_relative() || path.starts_with(root))
}

async fn download(url: &Url, settings: &Settings, reporter: &dyn Reporter) -> Result<Fetched, QcError> {
    let name = public_url(url);
    if !settings.private_hosts && check_literal(url).is_err() {
        return Err(QcError::HostNotAllowed { url: name });
    }
    let request = client(settings)?.get(url.clone()).send();
    let mut response = request.await.map_err(|error| transport(&name, &error))?;
    judge_head(&response, &name, settings.download_limit_bytes)?;

    let file = match &settings.temp_dir {
        Some(dir) => NamedTempFile::with_prefix_in("media-qc-", dir),
        None => NamedTempFile::with_prefix("media-qc-"),
    };
    let file = file.map_err(|source| QcError::Local { action: "create a temporary file", source })?;
    let mut sink = Sink::new(file, response.content_length(), settings.download_limit_bytes);
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&name, &error))? {
        sink.write(&chunk, &name)?;
        sink.report(reporter);
    }
    if sink.received == 0 {
        return Err(QcError::EmptyFile { name });
    }
    let download = sink.file.into_temp_path();
    Ok(Fetched { path: download.to_path_buf(), size_bytes: sink.received, download: Some(download) })
}

fn client(settings: &Settings) -> Result<Client, QcError> {
    // The first caller in the process decides; an error only says that somebody already has.
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    let guarded = !settings.private_hosts;
    let mut builder = Client::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .redirect(Policy::custom(move |attempt| redirect(attempt, guarded)))
        .referer(false)
        // A proxy would resolve names by itself, behind the guard's back.
        .no_proxy();
    if guarded {
        builder = builder.dns_resolver(std::sync::Arc::new(PublicOnly));
    }
    builder.build().map_err(|error| QcError::Local {
        action: "set up the HTTP client",
        source: io::Error::other(chain(&error)),
    })
}

fn redirect(attempt: Attempt<'_>, guarded: bool) -> reqwest::redirect::Action {
    if guarded && check_literal(attempt.url()).is_err() {
        return attempt.error(PrivateAddress);
    }
    if attempt.previous().len() > REDIRECT_LIMIT {
        return attempt.error("too many redirects");
    }
    match attempt.url().scheme() {
        "http" | "https" => attempt.follow(),
        _ => attempt.error("neither http nor https"),
    }
}

/// Judges an answer before its body is read.
fn judge_head(response: &Response, name: &str, limit_bytes: u64) -> Result<(), QcError> {
    let url = name.to_owned();
    let status = response.status();
    if !status.is_success() {
        let passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
        let status = status.as_u16();
        if !passing {
            return Err(QcError::HttpRefused { url, status });
        }
        let after = header(response, &RETRY_AFTER).parse().ok().map(Duration::from_secs);
        let retry_after = after.map(|wait| wait.min(RETRY_AFTER_LIMIT));
        return Err(QcError::HttpUnavailable { url, status, retry_after });
    }
    // Only types that are surely no media: many servers send films as text/plain or octet-stream.
    let kind =
        header(response, &CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(kind.as_str(), "text/html" | "application/xhtml+xml" | "application/json" | "application/pdf")
    {
        return Err(QcError::NotMedia { name: url, why: format!("the server sent {kind}") });
    }
    match response.content_length() {
        Some(length) if length > limit_bytes => Err(QcError::TooLarge { name: url, limit_bytes }),
        Some(_) | None => Ok(()),
    }
}

fn header<'a>(response: &'a Response, name: &reqwest::header::HeaderName) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The file being written, and how far it has come.
struct Sink {
    file: NamedTempFile,
    received: u64,
    reported: u64,
    expected: Option<u64>,
    limit: u64,
}

impl Sink {
    fn new(file: NamedTempFile, expected: Option<u64>, limit: u64) -> Self {
        Self { file, received: 0, reported: 0, expected: expected.filter(|bytes| *bytes > 0), limit }
    }

    /// Writes in place: a chunk is some ten kilobytes for the page cache, less work than handing it to another thread.
    fn write(&mut self, chunk: &[u8], name: &str) -> Result<(), QcError> {
        if self.received == 0 && looks_like_html(chunk) {
            return Err(QcError::NotMedia {
                name: name.to_owned(),
                why: "the server sent a web page".to_owned(),
            });
        }
        self.received += chunk.len() as u64;
        // Counted as it arrives, since a server may announce no length or a wrong one.
        if self.received > self.limit {
            return Err(QcError::TooLarge { name: name.to_owned(), limit_bytes: self.limit });
        }
        self.file.write_all(chunk).map_err(|source| QcError::Local { action: "store the download", source })
    }

    fn report(&mut self, reporter: &dyn Reporter) {
        let step = self.expected.map_or(REPORT_EVERY_BYTES, |all| (all / 20).clamp(1, REPORT_EVERY_BYTES));
        if self.received - self.reported < step {
            return;
        }
        self.reported = self.received;
        let share = self.expected.map_or(0.0, |all| (self.received as f64 / all as f64).min(1.0));
        let percent = PERCENT.start() + (share * f64::from(PERCENT.end() - PERCENT.start())) as u8;
        let of = self.expected.map(|all| format!(" of {}", mebibytes(all))).unwrap_or_default();
        reporter.progress(percent, &format!("downloaded {}{of}", mebibytes(self.received)));
    }
}

/// A size for people.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

fn looks_like_html(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&start[..start.len().min(64)]).trim_start().to_ascii_lowercase();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}

/// Says what a failed exchange means. The URL is left out of the library's text: it may hold secrets.
fn transport(name: &str, error: &reqwest::Error) -> QcError {
    let url = name.to_owned();
    if causes(error).any(<dyn Error>::is::<PrivateAddress>) {
        return QcError::HostNotAllowed { url };
    }
    if error.is_redirect() {
        return QcError::BadRedirect { url };
    }
    let why = if error.is_timeout() { "the server did not answer in time".to_owned() } else { chain(error) };
    QcError::Network { url, why }
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

fn chain(error: &reqwest::Error) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    if texts.is_empty() { "no connection".to_owned() } else { texts.join(": ") }
}
