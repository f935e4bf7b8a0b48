//! Reads what ffmpeg's filters print. Pure: lines in, measurements out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The stretches that are listed one by one; of more, only count, sum and longest are kept.
const LISTED_STRETCHES: usize = 200;
/// The decoder errors that are quoted.
const QUOTED_ERRORS: usize = 5;
/// The lines of conversation kept for the message of a failed run.
const TAIL_LINES: usize = 20;
/// The longest quoted line, in characters.
const QUOTE_CHARS: usize = 300;
/// Loudness that EBU R128's absolute gate leaves out: below it there is no programme to speak of.
const LOUDNESS_FLOOR_LUFS: f64 = -70.0;

/// A stretch of time in the file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Where it begins.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

/// All stretches of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretches {
    /// How many there are.
    pub count: u64,
    /// How long they are together.
    pub total_s: f64,
    /// How long the longest of them is.
    pub longest_s: f64,
    /// The first 200 of them.
    pub listed: Vec<Stretch>,
}

impl Stretches {
    fn add(&mut self, start_s: f64, end_s: f64) {
        let (start_s, end_s) = (millis(start_s), millis(end_s));
        let length = millis((end_s - start_s).max(0.0));
        self.count += 1;
        self.total_s = millis(self.total_s + length);
        self.longest_s = self.longest_s.max(length);
        if self.listed.len() < LISTED_STRETCHES {
            self.listed.push(Stretch { start_s, end_s });
        }
    }
}

/// What EBU R128 says of the sound. A value is `None` when there was too little sound to measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Programme loudness.
    pub integrated_lufs: Option<f64>,
    /// Loudness range (LRA).
    pub range_lu: Option<f64>,
    /// The highest true peak.
    pub true_peak_dbtp: Option<f64>,
}

/// What one pass over the decoded file found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How much could be decoded.
    pub decoded_s: f64,
    /// Black pictures; `None` without video.
    pub black: Option<Stretches>,
    /// Still pictures; `None` without video. Black is still, too.
    pub freeze: Option<Stretches>,
    /// Silence; `None` without audio.
    pub silence: Option<Stretches>,
    /// Loudness; `None` without audio.
    pub loudness: Option<Loudness>,
    /// How many errors the decoders reported.
    pub decode_errors: u64,
    /// The first of them.
    pub first_errors: Vec<String>,
}

/// Collects the lines that `ffmpeg -loglevel level+info` writes to stderr.
#[derive(Debug, Default)]
pub struct LogReader {
    black: Stretches,
    freeze: Stretches,
    silence: Stretches,
    loudness: Loudness,
    freeze_since: Option<f64>,
    silence_since: Option<f64>,
    in_summary: bool,
    decode_errors: u64,
    first_errors: Vec<String>,
    cut_off: Option<String>,
    tail: VecDeque<String>,
}

impl LogReader {
    /// Takes one line.
    pub fn push(&mut self, line: &str) {
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        self.remember(line);
        let (tags, text) = split_tags(line);
        let Some(level) = tags.last() else {
            // Only ffmpeg's own multi-line messages have no tag; the one of interest is ebur128's summary.
            if self.in_summary {
                self.summary_line(text);
            }
            return;
        };
        let component = if tags.len() > 1 { tags[0].split(" @ ").next().unwrap_or_default() } else { "" };
        self.in_summary = component.contains("ebur128") && text.starts_with("Summary:");
        // The component is compared so that a title such as "black_start:0" in the file's metadata stays a title.
        match component {
            "blackdetect" => self.black_line(text),
            "freezedetect" => self.freeze_line(text),
            "silencedetect" => self.silence_line(text),
            _ if matches!(*level, "error" | "fatal" | "panic") => self.error_line(text),
            _ => {}
        }
    }

    fn remember(&mut self, line: &str) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.chars().take(QUOTE_CHARS).collect());
    }

    fn black_line(&mut self, text: &str) {
        if let (Some(start), Some(end)) = (value(text, "black_start:"), value(text, "black_end:")) {
            self.black.add(start, end);
        }
    }

    fn freeze_line(&mut self, text: &str) {
        if let Some(start) = value(text, "freeze_start:") {
            self.freeze_since = Some(start);
        } else if let Some(end) = value(text, "freeze_end:")
            && let Some(start) = self.freeze_since.take()
        {
            self.freeze.add(start, end);
        }
    }

    fn silence_line(&mut self, text: &str) {
        if let Some(start) = value(text, "silence_start:") {
            // The filter may place the start a hair before the first sample.
            self.silence_since = Some(start.max(0.0));
        } else if let Some(end) = value(text, "silence_end:")
            && let Some(start) = self.silence_since.take()
        {
            self.silence.add(start, end);
        }
    }

    fn summary_line(&mut self, text: &str) {
        let text = text.trim();
        if let Some(lufs) = value(text, "I:") {
            self.loudness.integrated_lufs = (lufs > LOUDNESS_FLOOR_LUFS).then_some(lufs);
        } else if let Some(range) = value(text, "LRA:") {
            self.loudness.range_lu = Some(range);
        } else if let Some(peak) = value(text, "Peak:") {
            self.loudness.true_peak_dbtp = Some(peak);
        }
    }

    fn error_line(&mut self, text: &str) {
        self.decode_errors += 1;
        if text.contains("partial file") || text.contains("File ended prematurely") {
            self.cut_off.get_or_insert_with(|| text.to_owned());
        }
        if self.first_errors.len() < QUOTED_ERRORS {
            self.first_errors.push(text.chars().take(QUOTE_CHARS).collect());
        }
    }

    /// What the demuxer said when the file ended before its own index did.
    pub fn cut_off(&self) -> Option<&str> {
        self.cut_off.as_deref()
    }

    /// The newest lines, for the message of a failed run.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// Ends the reading: what is still open lasted until `decoded_s`.
    pub fn finish(mut self, decoded_s: f64, has_video: bool, has_audio: bool) -> Measured {
        if let Some(start) = self.freeze_since.take() {
            self.freeze.add(start, decoded_s);
        }
        if let Some(start) = self.silence_since.take() {
            self.silence.add(start, decoded_s);
        }
        if self.loudness.integrated_lufs.is_none() {
            // A range over no programme is printed as 0.0, which would read as a measurement.
            self.loudness.range_lu = None;
        }
        Measured {
            decoded_s: millis(decoded_s),
            black: has_video.then_some(self.black),
            freeze: has_video.then_some(self.freeze),
            silence: has_audio.then_some(self.silence),
            loudness: has_audio.then_some(self.loudness),
            decode_errors: self.decode_errors,
            first_errors: self.first_errors,
        }
    }
}

/// What one line of `-progress pipe:1` says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ProgressLine {
    /// Decoded so far, in seconds.
    Decoded(f64),
    /// How many times faster than playback.
    Speed(f64),
    /// The block is complete.
    BlockEnd,
}

/// Reads one line of `-progress` output; `None` for the keys that do not matter here and for `N/A`.
pub fn progress_line(line: &str) -> Option<ProgressLine> {
    let (key, text) = line.split_once('=')?;
    let text = text.trim();
    match key {
        // `out_time_ms` is microseconds as well, by an old mistake; this key says what it is.
        "out_time_us" => text.parse::<f64>().ok().map(|us| ProgressLine::Decoded((us / 1e6).max(0.0))),
        "speed" => text.strip_suffix('x')?.trim().parse().ok().map(ProgressLine::Speed),
        "progress" => Some(ProgressLine::BlockEnd),
        _ => None,
    }
}

/// Splits `[blackdetect @ 0x55] [info] text` into its tags and its text.
fn split_tags(line: &str) -> (Vec<&str>, &str) {
    let (mut tags, mut rest) = (Vec::new(), line);
    while let Some((tag, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        tags.push(tag);
        rest = after;
        if is_level(tag) {
            break;
        }
    }
    (tags, rest)
}

fn is_level(tag: &str) -> bool {
    matches!(tag, "panic" | "fatal" | "error" | "warning" | "info" | "verbose" | "debug" | "trace")
}

/// Returns the finite number that follows `key`.
fn value(text: &str, key: &str) -> Option<f64> {
    let (before, after) = text.split_once(key)?;
    // "LRA:" must not be found in "xLRA:", nor "I:" in "LUFSI:".
    if before.ends_with(|last: char| last.is_alphanumeric()) {
        return None;
    }
    after.split_whitespace().next()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Rounds to whole milliseconds, which is finer than any frame.
fn millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &str) -> LogReader {
        let mut reader = LogReader::default();
        log.lines().for_each(|line| reader.push(line));
        reader
    }

    #[test]
    fn black_silence_freeze_and_loudness_are_read_from_a_real_run() {
        let measured = read(include_str!("../tests/captured/faulty.log")).finish(9.009_342, true, true);
        let listed = |s: &Option<Stretches>| {
            s.as_ref().unwrap().listed.iter().map(|s| (s.start_s, s.end_s)).collect::<Vec<_>>()
        };
        assert_eq!(listed(&measured.black), [(2.0, 4.0)]);
        assert_eq!(listed(&measured.silence), [(3.022, 5.013)]);
        // The second freeze lasts to the end of the file, so ffmpeg never prints its end.
        assert_eq!(listed(&measured.freeze), [(2.0, 4.0), (6.16, 9.009)]);
        let expected =
            Loudness { integrated_lufs: Some(-21.3), range_lu: Some(4.8), true_peak_dbtp: Some(-16.5) };
        assert_eq!(measured.loudness, Some(expected));
        assert_eq!(measured.decode_errors, 0);
    }

    #[test]
    fn pure_silence_has_no_loudness() {
        let measured = read(include_str!("../tests/captured/silent.log")).finish(2.0, false, true);
        assert_eq!(measured.loudness, Some(Loudness::default()));
        assert_eq!(measured.silence.unwrap().total_s, 2.0);
        assert_eq!(measured.black, None);
    }

    #[test]
    fn a_cut_file_shows_errors_and_where_it_was_cut() {
        let reader = read(include_str!("../tests/captured/cut-fast.log"));
        assert_eq!(reader.cut_off(), Some("stream 1, offset 0x417bb: partial file"));
        let measured = reader.finish(3.0, true, true);
        assert_eq!(measured.decode_errors, 8);
        assert_eq!(measured.first_errors.len(), QUOTED_ERRORS);
        assert_eq!(measured.first_errors[0], "Invalid NAL unit size (3253 > 651).");
    }

    #[test]
    fn a_title_that_looks_like_a_measurement_is_a_title() {
        let reader = read(
            "[info]     title           : [blackdetect @ 0x1] [info] black_start:0 black_end:9 black_duration:9\n\
             [info]     comment         : black_start:0 black_end:9\n    I: -1.0 LUFS",
        );
        let measured = reader.finish(1.0, true, true);
        assert_eq!(measured.black, Some(Stretches::default()));
        assert_eq!(measured.loudness, Some(Loudness::default()));
    }

    #[test]
    fn the_list_is_bounded_and_the_sums_are_not() {
        let mut stretches = Stretches::default();
        (0..1000).for_each(|n| stretches.add(f64::from(n), f64::from(n) + 0.5));
        assert_eq!((stretches.listed.len(), stretches.count), (LISTED_STRETCHES, 1000));
        assert_eq!((stretches.total_s, stretches.longest_s), (500.0, 0.5));
    }

    #[test]
    fn progress_lines_are_read_from_a_real_run() {
        let lines: Vec<_> =
            include_str!("../tests/captured/faulty.progress").lines().filter_map(progress_line).collect();
        use ProgressLine::{BlockEnd, Decoded, Speed};
        let expected = [Decoded(0.04), Speed(7.86), BlockEnd, Decoded(9.009_342), Speed(55.9), BlockEnd];
        assert_eq!(lines, expected);
        assert_eq!(progress_line("out_time_us=N/A"), None);
        assert_eq!(progress_line("speed=N/A"), None);
    }
}
