//! The payload: which file to look at, and what it has to satisfy.

use std::path::PathBuf;
use std::time::Duration;

use jobforge::JobType;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::error::QcError;
use crate::report::Report;

/// The longest path or URL that is accepted, in bytes.
pub const SOURCE_LIMIT_BYTES: usize = 4096;
/// The longest duration that a check may name, in seconds: one day.
const DURATION_LIMIT_S: f64 = 86_400.0;

/// Checks one media file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaQc {
    /// A path on the worker's machine, or an `http://` or `https://` URL.
    pub source: String,
    /// What to look for, and how much of it passes.
    #[serde(default)]
    pub checks: Checks,
}

impl JobType for MediaQc {
    const TYPE: &'static str = "media.qc";
    const QUEUE: &'static str = "media";
    // Generous, for a film of any length on a slow machine: a hung ffmpeg is noticed long before.
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(4 * 60 * 60));
    type Output = Report;
}

/// What to look for, and how much of it passes. A limit of `null` measures without judging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Black shorter than this is not listed.
    pub black_min_s: f64,
    /// The longest single black stretch that passes.
    pub max_black_s: Option<f64>,
    /// Silence shorter than this is not listed.
    pub silence_min_s: f64,
    /// Sound below this level counts as silence.
    pub silence_db: f64,
    /// The longest single silent stretch that passes.
    pub max_silence_s: Option<f64>,
    /// A still picture shorter than this is not listed.
    pub freeze_min_s: f64,
    /// The longest single still stretch that passes.
    pub max_freeze_s: Option<f64>,
    /// The programme loudness to be met (EBU R128 asks for -23); not judged unless set.
    pub loudness_target_lufs: Option<f64>,
    /// How far the programme loudness may be from the target.
    pub loudness_tolerance_lu: f64,
    /// The highest true peak that passes (EBU R128 asks for -1); not judged unless set.
    pub max_true_peak_dbtp: Option<f64>,
    /// How many decoder errors pass.
    pub max_decode_errors: Option<u64>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            black_min_s: 0.5,
            max_black_s: Some(2.0),
            silence_min_s: 1.0,
            silence_db: -60.0,
            max_silence_s: Some(5.0),
            freeze_min_s: 1.0,
            max_freeze_s: Some(5.0),
            loudness_target_lufs: None,
            loudness_tolerance_lu: 1.0,
            max_true_peak_dbtp: None,
            max_decode_errors: Some(0),
        }
    }
}

impl MediaQc {
    /// Checks `source` against the default limits.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), checks: Checks::default() }
    }

    /// Returns the parsed source of a payload whose every number makes sense.
    ///
    /// # Errors
    /// [`QcError::InvalidPayload`], which names the field; never retryable.
    pub fn validate(&self) -> Result<Source, QcError> {
        self.checks.validate()?;
        Source::parse(&self.source)
    }
}

impl Checks {
    fn validate(&self) -> Result<(), QcError> {
        for (field, seconds) in [
            ("checks.black_min_s", Some(self.black_min_s)),
            ("checks.silence_min_s", Some(self.silence_min_s)),
            ("checks.freeze_min_s", Some(self.freeze_min_s)),
        ] {
            // ffmpeg reads a minimum of zero as "every frame", which would fill the report with single frames.
            within(field, seconds, 0.01, DURATION_LIMIT_S)?;
        }
        for (field, seconds) in [
            ("checks.max_black_s", self.max_black_s),
            ("checks.max_silence_s", self.max_silence_s),
            ("checks.max_freeze_s", self.max_freeze_s),
        ] {
            within(field, seconds, 0.0, DURATION_LIMIT_S)?;
        }
        within("checks.silence_db", Some(self.silence_db), -120.0, 0.0)?;
        within("checks.loudness_target_lufs", self.loudness_target_lufs, -70.0, 0.0)?;
        within("checks.loudness_tolerance_lu", Some(self.loudness_tolerance_lu), 0.0, 70.0)?;
        within("checks.max_true_peak_dbtp", self.max_true_peak_dbtp, -70.0, 20.0)
    }
}

fn within(field: &'static str, value: Option<f64>, low: f64, high: f64) -> Result<(), QcError> {
    match value {
        Some(value) if !(low..=high).contains(&value) => Err(QcError::InvalidPayload {
            field,
            problem: format!("{value} is not between {low} and {high}"),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Where the media comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path on the worker's machine.
    File(PathBuf),
    /// A file to be downloaded.
    Url(Url),
}

impl Source {
    /// Tells paths from URLs; anything that looks like a URL but is neither http nor https is refused.
    ///
    /// # Errors
    /// [`QcError::InvalidPayload`] on `source`.
    pub fn parse(text: &str) -> Result<Self, QcError> {
        let invalid = |problem: String| QcError::InvalidPayload { field: "source", problem };
        if text.is_empty() {
            return Err(invalid("is empty; give a path or an http(s) URL".to_owned()));
        }
        if text.len() > SOURCE_LIMIT_BYTES {
            return Err(invalid(format!("is longer than {SOURCE_LIMIT_BYTES} bytes")));
        }
        if text.contains('\0') {
            return Err(invalid("contains a NUL character".to_owned()));
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::File(PathBuf::from(text)));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let url = Url::parse(text).map_err(|error| invalid(format!("is not a URL: {error}")))?;
                Ok(Self::Url(url))
            }
            // The scheme is shown, the rest is not: it may hold a password.
            other => Err(invalid(format!("{other}:// is not supported; give a path or an http(s) URL"))),
        }
    }

    /// The source as shown to people: a URL without its user, password, query and fragment, which may be secrets.
    pub fn label(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => public_url(url),
        }
    }
}

/// Returns scheme, host and path of a URL.
pub fn public_url(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> String {
        match serde_json::from_str::<MediaQc>(json) {
            Err(error) => error.to_string(),
            Ok(job) => job.validate().unwrap_err().to_string(),
        }
    }

    #[test]
    fn a_payload_needs_only_a_source() {
        let job: MediaQc = serde_json::from_str(r#"{"source": "/media/a.mp4"}"#).unwrap();
        assert_eq!(job, MediaQc::new("/media/a.mp4"));
        assert_eq!(job.validate().unwrap(), Source::File("/media/a.mp4".into()));
    }

    #[test]
    fn single_checks_can_be_set_or_switched_off() {
        let json = r#"{"source": "a.mp4", "checks": {"max_black_s": 0.5, "max_freeze_s": null}}"#;
        let job: MediaQc = serde_json::from_str(json).unwrap();
        assert_eq!(job.checks, Checks { max_black_s: Some(0.5), max_freeze_s: None, ..Checks::default() });
    }

    #[test]
    fn a_misspelt_field_is_an_error_that_names_it() {
        assert!(problem(r#"{"source": "a", "chekcs": {}}"#).contains("unknown field `chekcs`"));
        assert!(
            problem(r#"{"source": "a", "checks": {"black_mins": 1}}"#).contains("unknown field `black_mins`")
        );
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        insta::assert_snapshot!(
            problem(r#"{"source": "a", "checks": {"black_min_s": 0}}"#),
            @"invalid payload: checks.black_min_s 0 is not between 0.01 and 86400"
        );
        assert!(problem(r#"{"source": "a", "checks": {"silence_db": 10}}"#).contains("silence_db"));
        assert!(problem(r#"{"source": "a", "checks": {"loudness_target_lufs": 23}}"#).contains("target"));
        let nan = Checks { max_black_s: Some(f64::NAN), ..Checks::default() };
        assert!(nan.validate().is_err());
    }

    #[test]
    fn only_paths_and_web_addresses_are_sources() {
        for bad in ["", "ftp://host/a.mp4", "file:///etc/passwd", "concat://x", "http://", "a\0b"] {
            assert!(Source::parse(bad).is_err(), "{bad:?}");
        }
        assert!(matches!(Source::parse("HTTPS://host/a.mp4").unwrap(), Source::Url(_)));
        assert!(matches!(Source::parse("clips/a:b.mp4").unwrap(), Source::File(_)));
    }

    #[test]
    fn a_label_shows_no_secrets() {
        let source = Source::parse("https://user:pw@cdn.example:8443/a.mp4?token=abc#x").unwrap();
        assert_eq!(source.label(), "https://cdn.example:8443/a.mp4");
        assert!(!problem(r#"{"source": "ftp://user:pw@host/a"}"#).contains("pw"));
    }
}
