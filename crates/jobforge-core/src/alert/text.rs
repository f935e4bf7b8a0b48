//! Sentences of alerts: `{job_name}` is a label, `{value:percent}` what the expression came to.
//!
//! The same sentence becomes a template in the rules file of Prometheus and a finished text in the built-in
//! evaluator; numbers look alike in both.

use std::fmt::Write;

use super::history::Labels;

/// The sentence as a template of Prometheus.
pub fn template(sentence: &str) -> String {
    filled(sentence, |hole| match hole.split_once(':') {
        Some((_, "percent")) => "{{ $value | humanizePercentage }}".to_owned(),
        Some((_, "duration")) => "{{ $value | humanizeDuration }}".to_owned(),
        _ if hole == "value" => "{{ $value | humanize }}".to_owned(),
        _ => format!("{{{{ $labels.{hole} }}}}"),
    })
}

/// The sentence with its labels and its value.
pub fn render(sentence: &str, labels: &Labels, value: f64) -> String {
    filled(sentence, |hole| match hole.split_once(':') {
        Some((_, "percent")) => format!("{}%", four_digits(value * 100.0)),
        Some((_, "duration")) => duration(value),
        _ if hole == "value" => humanized(value),
        _ => labels.get(hole).cloned().unwrap_or_default(),
    })
}

fn filled(sentence: &str, fill: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        let (hole, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(&fill(hole));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Go's `%.4g`, as far as numbers of alerts go.
fn four_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}").replace("inf", "+Inf");
    }
    // Rounding may carry: 9999.9 is 1e+04.
    let scientific = format!("{value:.3e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..4).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or_default();
        return trimmed(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

/// `humanize` of Prometheus: 4.2k.
fn humanized(value: f64) -> String {
    const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
    if value == 0.0 || !value.is_finite() {
        return four_digits(value);
    }
    let mut scaled = value;
    let mut unit = "";
    if value.abs() >= 1.0 {
        for prefix in LARGE {
            if scaled.abs() < 1000.0 {
                break;
            }
            (unit, scaled) = (prefix, scaled / 1000.0);
        }
    } else {
        for prefix in SMALL {
            if scaled.abs() >= 1.0 {
                break;
            }
            (unit, scaled) = (prefix, scaled * 1000.0);
        }
    }
    format!("{}{unit}", four_digits(scaled))
}

/// `humanizeDuration` of Prometheus: 2h 5m 0s.
fn duration(value: f64) -> String {
    if value == 0.0 || !value.is_finite() || value.abs() < 1.0 {
        return format!("{}s", humanized(value));
    }
    let mut text = String::new();
    if value < 0.0 {
        text.push('-');
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds; beyond 2^63 nobody reads them")]
    let whole = value.abs() as i64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    if days > 0 {
        let _ = write!(text, "{days}d ");
    }
    if days > 0 || hours > 0 {
        let _ = write!(text, "{hours}h ");
    }
    if days > 0 || hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m {}s", whole % 60);
    } else {
        let _ = write!(text, "{}s", four_digits(value.abs()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_becomes_a_template_and_a_text() {
        let sentence = "{job_name}: {value:percent} of its runs failed";
        assert_eq!(
            template(sentence),
            "{{ $labels.job_name }}: {{ $value | humanizePercentage }} of its runs failed"
        );
        let labels = Labels::from([("job_name".to_owned(), "clip_sync".to_owned())]);
        assert_eq!(render(sentence, &labels, 0.1234), "clip_sync: 12.34% of its runs failed");
    }

    #[test]
    fn numbers_look_as_prometheus_writes_them() {
        let durations = [
            (0.5, "500ms"),
            (59.0, "59s"),
            (75.0, "1m 15s"),
            (7500.0, "2h 5m 0s"),
            (90_061.0, "1d 1h 1m 1s"),
        ];
        for (seconds, text) in durations {
            assert_eq!(duration(seconds), text);
        }
        let numbers = [(0.0, "0"), (6.0, "6"), (1234.0, "1.234k"), (0.05, "50m"), (1e6, "1M"), (2.5, "2.5")];
        for (number, text) in numbers {
            assert_eq!(humanized(number), text);
        }
        assert_eq!(four_digits(99.999), "100");
        assert_eq!(four_digits(12_345.0), "1.234e+04");
    }
}
