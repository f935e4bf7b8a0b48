//! Decodes a file once with ffmpeg and measures it on the way.

use std::ffi::OsString;
use std::path::Path;

use crate::child::{Invocation, Output, Pulse};
use crate::error::QcError;
use crate::job::Checks;
use crate::measure::{LogReader, Measured, ProgressLine, progress_line};
use crate::probe::{MediaFacts, input};
use crate::reporter::Reporter;
use crate::settings::Settings;

/// Where the analysis begins and ends on the job's scale of progress.
pub const PERCENT: std::ops::RangeInclusive<u8> = 45..=75;

/// How much shorter than announced a file may be: one second, or a tenth of its length, whichever is more.
const MISSING_LIMIT_S: f64 = 1.0;
const MISSING_LIMIT_SHARE: f64 = 0.10;

/// Decodes the first picture and the first sound stream of a file, and reports progress from 45 to 75 as it goes.
///
/// # Errors
/// [`QcError::TruncatedMedia`] and [`QcError::Undecodable`] speak of the file; the others of the run.
pub async fn analyze(
    path: &Path,
    name: &str,
    facts: &MediaFacts,
    checks: &Checks,
    settings: &Settings,
    reporter: &dyn Reporter,
) -> Result<Measured, QcError> {
    let run = Invocation {
        program: &settings.ffmpeg,
        args: arguments(path, facts, checks),
        patience: settings.stall_timeout,
    };
    let mut log = LogReader::default();
    let mut meter = Meter::new(facts.expected_s());
    let status = run
        .run(reporter.stop_signal(), |output, line| match output {
            Output::Stdout => meter.push(line, reporter),
            Output::Stderr => {
                log.push(line);
                Pulse::Quiet
            }
        })
        .await?;

    if let Some(why) = truncation(meter.expected_s, meter.decoded_s, log.cut_off()) {
        return Err(QcError::TruncatedMedia { name: name.to_owned(), why });
    }
    if !status.success() {
        return Err(failure(name, status.code().unwrap_or(-1), log.tail()));
    }
    let measured = log.finish(meter.decoded_s, !facts.video.is_empty(), !facts.audio.is_empty());
    if measured.decoded_s == 0.0 {
        let why = measured.first_errors.first().cloned().unwrap_or_else(|| "no frame came out".to_owned());
        return Err(QcError::Undecodable { name: name.to_owned(), why });
    }
    Ok(measured)
}

/// Builds ffmpeg's command line: one pass, no output file.
fn arguments(path: &Path, facts: &MediaFacts, checks: &Checks) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"].map(Into::into).into();
    args.extend(input(path));
    let mut add = |flag: &str, value: String| args.extend([flag.into(), value.into()]);
    if let Some(video) = facts.video.first() {
        add("-map", format!("0:{}", video.index));
        let (black, freeze) = (checks.black_min_s, checks.freeze_min_s);
        add("-vf", format!("blackdetect=d={black}:pix_th=0.10,freezedetect=n=-60dB:d={freeze}"));
    }
    if let Some(audio) = facts.audio.first() {
        add("-map", format!("0:{}", audio.index));
        let (level, silence) = (checks.silence_db, checks.silence_min_s);
        // `framelog=verbose` silences the ten lines a second that ebur128 prints otherwise; 5.1 knows no `quiet`.
        add("-af", format!("silencedetect=n={level}dB:d={silence},ebur128=peak=true:framelog=verbose"));
    }
    add("-progress", "pipe:1".to_owned());
    add("-f", "null".to_owned());
    args.push("-".into());
    args
}

/// Turns ffmpeg's position into the job's progress.
struct Meter {
    expected_s: Option<f64>,
    decoded_s: f64,
    speed: Option<f64>,
}

impl Meter {
    fn new(expected_s: Option<f64>) -> Self {
        Self { expected_s, decoded_s: 0.0, speed: None }
    }

    fn push(&mut self, line: &str, reporter: &dyn Reporter) -> Pulse {
        match progress_line(line) {
            Some(ProgressLine::Decoded(seconds)) if seconds > self.decoded_s => {
                self.decoded_s = seconds;
                Pulse::Moved
            }
            Some(ProgressLine::Speed(speed)) => {
                self.speed = Some(speed);
                Pulse::Quiet
            }
            Some(ProgressLine::BlockEnd) => {
                reporter.progress(self.percent(), &self.message());
                Pulse::Quiet
            }
            Some(ProgressLine::Decoded(_)) | None => Pulse::Quiet,
        }
    }

    /// Stays at the beginning when the length is unknown: a number that means nothing would be worse.
    fn percent(&self) -> u8 {
        let share = self.expected_s.map_or(0.0, |expected| (self.decoded_s / expected).clamp(0.0, 1.0));
        PERCENT.start() + (share * f64::from(PERCENT.end() - PERCENT.start())) as u8
    }

    fn message(&self) -> String {
        let mut text = format!("analyzed {:.1} s", self.decoded_s);
        if let Some(expected) = self.expected_s {
            text.push_str(&format!(" of {expected:.1} s"));
        }
        if let Some(speed) = self.speed {
            text.push_str(&format!(" at {speed:.1}x"));
        }
        text
    }
}

/// Says why a file counts as cut off, if it does.
///
/// What the demuxer noticed decides at once. Otherwise the file must lack more than a second and more than a tenth:
/// containers round, and edit lists and audio priming make small differences normal.
fn truncation(expected_s: Option<f64>, decoded_s: f64, cut_off: Option<&str>) -> Option<String> {
    let announced = expected_s.map(|s| format!(" of {s:.1} s")).unwrap_or_default();
    if let Some(said) = cut_off {
        return Some(format!("it ends after {decoded_s:.1} s{announced} ({said})"));
    }
    let expected = expected_s?;
    let missing = expected - decoded_s;
    (decoded_s > 0.0 && missing > MISSING_LIMIT_S && missing > expected * MISSING_LIMIT_SHARE)
        .then(|| format!("only {decoded_s:.1} s{announced} can be decoded"))
}

/// Says what ffmpeg's failure means.
fn failure(name: &str, code: i32, tail: Vec<String>) -> QcError {
    let find =
        |texts: &[&str]| tail.iter().find(|line| texts.iter().any(|text| line.contains(text))).cloned();
    let hopeless = [
        "Decoder (codec",
        "Unknown decoder",
        "Invalid data found when processing input",
        "Could not find codec",
    ];
    if let Some(why) = find(&hopeless) {
        return QcError::Undecodable { name: name.to_owned(), why };
    }
    let last_line = tail.last().cloned().unwrap_or_default();
    QcError::ToolFailed { tool: "ffmpeg".to_owned(), code, last_line, tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_differences_are_no_truncation() {
        assert_eq!(truncation(Some(10.0), 9.2, None), None);
        assert_eq!(truncation(Some(3.0), 2.1, None), None);
        assert_eq!(truncation(Some(100.0), 91.0, None), None);
        assert_eq!(truncation(None, 5.0, None), None);
        assert_eq!(truncation(Some(10.0), 12.0, None), None);
    }

    #[test]
    fn a_missing_second_half_is_truncation() {
        let why = truncation(Some(6.0), 3.04, None).unwrap();
        assert_eq!(why, "only 3.0 s of 6.0 s can be decoded");
        let why = truncation(Some(6.0), 5.9, Some("partial file")).unwrap();
        assert_eq!(why, "it ends after 5.9 s of 6.0 s (partial file)");
    }

    #[test]
    fn progress_runs_from_45_to_75() {
        let mut meter = Meter::new(Some(10.0));
        for (decoded, percent) in [(0.0, 45), (5.0, 60), (9.99, 74), (10.0, 75), (14.0, 75)] {
            meter.decoded_s = decoded;
            assert_eq!(meter.percent(), percent, "after {decoded} s");
        }
        assert_eq!(Meter { expected_s: None, decoded_s: 7.0, speed: Some(3.0) }.percent(), 45);
    }

    #[test]
    fn only_streams_that_exist_are_mapped() {
        let facts = |video, audio| MediaFacts {
            container: String::new(),
            container_name: String::new(),
            size_bytes: 1,
            duration_s: None,
            bit_rate: None,
            video,
            audio,
        };
        let audio = crate::probe::AudioStream {
            index: 3,
            codec: "aac".to_owned(),
            channels: 2,
            layout: None,
            sample_rate_hz: None,
            duration_s: None,
        };
        let args = arguments(Path::new("/m/-a.mp4"), &facts(vec![], vec![audio]), &Checks::default());
        let args: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
        assert!(args.contains(&"file:/m/-a.mp4") && args.contains(&"0:3"));
        assert!(!args.contains(&"-vf"));
    }

    #[test]
    fn a_missing_decoder_is_final_and_the_unknown_is_not() {
        let tail = |line: &str| vec!["[info] Stream mapping:".to_owned(), line.to_owned()];
        let fatal = failure("a", 1, tail("[error] Decoder (codec xyz) not found for input stream #0:0"));
        assert_eq!((fatal.kind(), fatal.retryable()), ("undecodable", false));
        let other = failure("a", 1, tail("[fatal] Cannot allocate memory"));
        assert_eq!((other.kind(), other.retryable()), ("tool_failed", true));
    }
}
