//! What "now" means at the storage seam, and durations in people's words.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// No job may be planned for this moment or later: 9999-01-01T00:00:00Z, beyond which most clients cannot read times.
pub const LATEST: i64 = 253_370_764_800;

/// Which clock a store call goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// The database's own clock: production.
    Database,
    /// A fixed moment: simulations and tests.
    Fixed(Timestamp),
}

impl Now {
    /// The fixed moment, if there is one.
    pub fn fixed(self) -> Option<Timestamp> {
        match self {
            Self::Database => None,
            Self::Fixed(moment) => Some(moment),
        }
    }
}

/// Adds a duration, stopping at the ends of representable time instead of wrapping.
pub fn add(moment: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| moment.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Subtracts a duration, stopping at the ends of representable time.
pub fn sub(moment: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| moment.checked_sub(duration).ok())
        .unwrap_or(Timestamp::MIN)
}

/// How long ago `then` was at `now`; zero if it lies ahead.
pub fn since(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

/// Writes a duration as a person would say it: `240 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`.
pub fn words(duration: Duration) -> String {
    let (ms, s) = (duration.as_millis(), duration.as_secs());
    let pair = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big} {unit}") } else { format!("{big} {unit} {small} {small_unit}") }
    };
    match s {
        0..=1 if ms < 2000 => format!("{ms} ms"),
        0..=119 => format!("{s} s"),
        120..=7199 => pair(s / 60, "min", s % 60, "s"),
        7200..=172_799 => pair(s / 3600, "h", s % 3600 / 60, "min"),
        _ => pair(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

/// Reads a duration as people write it: `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`; a bare number is seconds.
///
/// # Errors
/// When the text is none of these, naming the accepted forms.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut total, mut rest) = (Duration::ZERO, trimmed);
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let unit_ms: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        let part = Duration::from_millis(number.checked_mul(unit_ms).ok_or_else(bad)?);
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = next;
    }
    Ok(total)
}

/// Whether a text has the shape of RFC 3339. The parser reads more than that: leap seconds as the second before, names of
/// time zones, and dates without hyphens.
pub(crate) fn is_rfc_3339(text: &str) -> bool {
    let fits = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                b'+' => matches!(byte, b'+' | b'-'),
                like => byte == like,
            })
    };
    let (Some(moment), Some(rest)) = (text.get(..19), text.get(19..)) else { return false };
    let (fraction, offset) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
    let digits = fraction
        .strip_prefix('.')
        .map(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    fits(moment, "0000-00-00T00:00:00")
        && !moment.ends_with(":60")
        && (fraction.is_empty() || digits == Some(true))
        && (matches!(offset, "Z" | "z") || fits(offset, "+00:00"))
}

/// Whether a text begins with a year of more than four digits.
pub(crate) fn has_long_year(text: &str) -> bool {
    let digits = text.trim_start_matches('+').find(|c: char| !c.is_ascii_digit());
    digits.is_some_and(|digits| digits > 4 && text.trim_start_matches('+')[digits..].starts_with('-'))
}

/// A text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write for example 500ms, 30s, 5m, 2h, 1d or 1h30m")]
pub struct BadDuration(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_speech() {
        for (ms, text) in [
            (0, "0 ms"),
            (1999, "1999 ms"),
            (2000, "2 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (349_200_000, "4 d 1 h"),
        ] {
            assert_eq!(words(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn durations_are_read_in_the_usual_spellings() {
        for (text, ms) in
            [("90", 90_000), ("500ms", 500), ("1h30m", 5_400_000), ("2 min", 120_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "-5s", "5 parsecs", "s", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        assert_eq!(add(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(add(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
        assert_eq!(sub(Timestamp::MIN, Duration::from_secs(1)), Timestamp::MIN);
        assert_eq!(since(Timestamp::MIN, Timestamp::MAX), Duration::ZERO);
    }
}
