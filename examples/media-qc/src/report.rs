//! The verdict: what was found, held against what was asked for.

use serde::{Deserialize, Serialize};

use crate::job::Checks;
use crate::measure::{Loudness, Measured, Stretches};
use crate::probe::MediaFacts;

/// What the job stores as its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was examined, without secrets.
    pub source: String,
    /// Whether it passes.
    pub verdict: Verdict,
    /// Why it does not; empty when it does.
    pub reasons: Vec<Reason>,
    /// What it is made of.
    pub media: MediaFacts,
    /// What was found in it.
    pub measured: Measured,
    /// How long decoding and measuring took.
    pub analysis_ms: u64,
    /// Which ffmpeg did it.
    pub tool: String,
}

/// Fit to deliver, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check passed.
    Pass,
    /// At least one check failed.
    Fail,
}

impl Verdict {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

/// One failed check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Which check: `black`, `silence`, `freeze`, `loudness`, `true_peak` or `decode_errors`.
    pub check: String,
    /// What was measured; `None` when there was nothing to measure.
    pub measured: Option<f64>,
    /// What was allowed.
    pub limit: f64,
    /// Both in one sentence.
    pub message: String,
}

/// Holds measurements against limits. Pure: the same file and the same checks give the same reasons.
pub fn judge(measured: &Measured, checks: &Checks) -> (Verdict, Vec<Reason>) {
    let reasons: Vec<Reason> = [
        stretch("black", measured.black.as_ref(), checks.max_black_s),
        stretch("silence", measured.silence.as_ref(), checks.max_silence_s),
        stretch("freeze", measured.freeze.as_ref(), checks.max_freeze_s),
        loudness(measured.loudness, checks),
        true_peak(measured.loudness, checks),
        decode_errors(measured, checks),
    ]
    .into_iter()
    .flatten()
    .collect();
    (if reasons.is_empty() { Verdict::Pass } else { Verdict::Fail }, reasons)
}

fn stretch(check: &str, found: Option<&Stretches>, limit_s: Option<f64>) -> Option<Reason> {
    let (found, limit_s) = (found?, limit_s?);
    if found.longest_s <= limit_s {
        return None;
    }
    // Shorter ones may have been dropped from the list but never a longer one, so this is found unless the list is full.
    let longest = found.listed.iter().find(|s| s.end_s - s.start_s >= found.longest_s - 0.001);
    let place = longest.map(|s| format!(" at {:.1} s", s.start_s)).unwrap_or_default();
    let message = format!("{:.2} s of {check}{place} (limit {limit_s} s)", found.longest_s);
    Some(reason(check, Some(found.longest_s), limit_s, message))
}

/// A file without sound, or with nothing but silence, does not meet a loudness that was asked for.
fn loudness(found: Option<Loudness>, checks: &Checks) -> Option<Reason> {
    let target = checks.loudness_target_lufs?;
    let tolerance = checks.loudness_tolerance_lu;
    let Some(lufs) = found.and_then(|loudness| loudness.integrated_lufs) else {
        let message = format!("no sound to measure loudness of (target {target} LUFS)");
        return Some(reason("loudness", None, target, message));
    };
    // ffmpeg prints tenths; a comparison of binary fractions should not fail -23.0 against -22.5 ± 0.5.
    ((lufs - target).abs() > tolerance + 1e-6).then(|| {
        let message = format!("loudness of {lufs} LUFS (target {target} ± {tolerance})");
        reason("loudness", Some(lufs), target, message)
    })
}

fn true_peak(found: Option<Loudness>, checks: &Checks) -> Option<Reason> {
    let limit = checks.max_true_peak_dbtp?;
    let peak = found?.true_peak_dbtp?;
    (peak > limit)
        .then(|| reason("true_peak", Some(peak), limit, format!("true peak of {peak} dBTP (limit {limit})")))
}

fn decode_errors(measured: &Measured, checks: &Checks) -> Option<Reason> {
    let limit = checks.max_decode_errors?;
    let count = measured.decode_errors;
    (count > limit).then(|| {
        let first =
            measured.first_errors.first().map(|first| format!(", the first: {first}")).unwrap_or_default();
        let message = format!("{count} errors while decoding (limit {limit}){first}");
        reason("decode_errors", Some(count as f64), limit as f64, message)
    })
}

fn reason(check: &str, measured: Option<f64>, limit: f64, message: String) -> Reason {
    Reason { check: check.to_owned(), measured, limit, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Stretch;

    fn one(start_s: f64, end_s: f64) -> Option<Stretches> {
        let length = end_s - start_s;
        let listed = vec![Stretch { start_s, end_s }];
        Some(Stretches { count: 1, total_s: length, longest_s: length, listed })
    }

    fn clean() -> Measured {
        let loudness =
            Loudness { integrated_lufs: Some(-23.4), range_lu: Some(5.0), true_peak_dbtp: Some(-2.0) };
        Measured {
            decoded_s: 60.0,
            black: Some(Stretches::default()),
            freeze: Some(Stretches::default()),
            silence: Some(Stretches::default()),
            loudness: Some(loudness),
            ..Measured::default()
        }
    }

    fn check(measured: &Measured, checks: &Checks) -> String {
        let (verdict, reasons) = judge(measured, checks);
        let mut text = verdict.as_str().to_owned();
        reasons.iter().for_each(|reason| text.push_str(&format!("\n{}: {}", reason.check, reason.message)));
        text
    }

    #[test]
    fn a_clean_file_passes() {
        assert_eq!(check(&clean(), &Checks::default()), "pass");
    }

    #[test]
    fn a_stretch_of_exactly_the_limit_passes() {
        let measured = Measured { black: one(3.0, 5.0), ..clean() };
        assert_eq!(check(&measured, &Checks::default()), "pass");
    }

    #[test]
    fn every_failed_check_is_a_reason() {
        let loud = Loudness { integrated_lufs: Some(-14.0), range_lu: Some(2.0), true_peak_dbtp: Some(0.3) };
        let measured = Measured {
            black: one(10.0, 13.0),
            silence: one(0.0, 6.25),
            freeze: one(20.0, 30.0),
            loudness: Some(loud),
            decode_errors: 2,
            first_errors: vec!["Invalid NAL unit size".to_owned()],
            ..clean()
        };
        let checks =
            Checks { loudness_target_lufs: Some(-23.0), max_true_peak_dbtp: Some(-1.0), ..Checks::default() };
        insta::assert_snapshot!(check(&measured, &checks), @r"
        fail
        black: 3.00 s of black at 10.0 s (limit 2 s)
        silence: 6.25 s of silence at 0.0 s (limit 5 s)
        freeze: 10.00 s of freeze at 20.0 s (limit 5 s)
        loudness: loudness of -14 LUFS (target -23 ± 1)
        true_peak: true peak of 0.3 dBTP (limit -1)
        decode_errors: 2 errors while decoding (limit 0), the first: Invalid NAL unit size
        ");
    }

    #[test]
    fn a_limit_of_null_measures_without_judging() {
        let measured = Measured { black: one(0.0, 50.0), decode_errors: 9, ..clean() };
        let checks = Checks { max_black_s: None, max_decode_errors: None, ..Checks::default() };
        assert_eq!(check(&measured, &checks), "pass");
    }

    #[test]
    fn a_wanted_loudness_needs_sound() {
        let checks = Checks { loudness_target_lufs: Some(-23.0), ..Checks::default() };
        assert_eq!(check(&clean(), &checks), "pass");
        for loudness in [None, Some(Loudness::default())] {
            let measured = Measured { loudness, ..clean() };
            assert!(check(&measured, &checks).contains("no sound to measure"));
        }
    }

    #[test]
    fn the_edge_of_the_tolerance_is_inside() {
        let checks =
            Checks { loudness_target_lufs: Some(-23.1), loudness_tolerance_lu: 0.3, ..Checks::default() };
        assert_eq!(check(&clean(), &checks), "pass");
    }
}
