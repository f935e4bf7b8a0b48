//! How pages write times, ids and states.

use std::time::Duration;

use jiff::Timestamp;
use jobforge::core::job::Job;
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};

/// A moment for people, with the exact one beside it.
#[derive(Debug, Clone)]
pub(super) struct When {
    /// `3 min ago`, `in 29 s`.
    pub(super) said: String,
    /// As machines write it.
    pub(super) iso: String,
    /// Whether a script counts down to it.
    pub(super) ahead: bool,
}

impl When {
    pub(super) fn of(at: Timestamp, now: Timestamp) -> Self {
        let ahead = at > now;
        let said = match ahead {
            true => format!("in {}", brief(since(at, now))),
            false => format!("{} ago", brief(since(now, at))),
        };
        Self { said, iso: format!("{at:.3}"), ahead }
    }

    /// How long ago, in two units.
    pub(super) fn exactly(at: Timestamp, now: Timestamp) -> Self {
        let said = match at > now {
            true => format!("in {}", words(since(at, now))),
            false => format!("{} ago", words(since(now, at))),
        };
        Self { said, ..Self::of(at, now) }
    }
}

/// A duration in one unit, as lists have room for.
pub(super) fn brief(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0 => "0 s".to_owned(),
        1..=119 => format!("{s} s"),
        120..=7199 => format!("{} min", s / 60),
        7200..=172_799 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

/// The end of an id: the beginning of a UUID v7 is the time, which neighbours share.
pub(super) fn short(id: &str) -> String {
    let start = id.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    format!("…{}", &id[start..])
}

/// A text that fits into a line; the whole is in its title.
pub(super) fn cut(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut cut: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        cut.push('…');
    }
    cut
}

/// A number with thin groups of three.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The same where counting stopped before the end.
pub(super) fn at_least(number: u64, more: bool) -> String {
    format!("{}{}", count(number), if more { "+" } else { "" })
}

/// The same where counting stops at a cap.
pub(super) fn capped(number: u64, cap: u64) -> String {
    at_least(number, number >= cap)
}

/// One or many.
pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A state in a word, and how it is coloured. The word is always there, so nothing is told by colour alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Badge {
    pub(super) word: &'static str,
    pub(super) tone: &'static str,
}

/// How a job is, by its row and the clock.
pub(super) fn badge(job: &Job, now: Timestamp, in_trouble: bool) -> Badge {
    let of = |word, tone| Badge { word, tone };
    match job.status {
        Status::Queued if job.run_at > now => match job.queued_because {
            jobforge::core::job::QueuedBecause::Retry => of("retry waits", "waiting"),
            _ => of("scheduled", "scheduled"),
        },
        Status::Queued => of("ready", "queued"),
        Status::Running if in_trouble => of("in trouble", "recovering"),
        Status::Running if is_quiet(job, now) => of("quiet", "recovering"),
        Status::Running => of("running", "running"),
        Status::Succeeded => of("succeeded", "succeeded"),
        Status::Failed => of("failed", "failed"),
        Status::Dead => of("dead", "dead"),
        Status::Canceled => of("canceled", "canceled"),
    }
}

/// Whether its next sign of life is overdue.
pub(super) fn is_quiet(job: &Job, now: Timestamp) -> bool {
    job.status == Status::Running && job.heartbeat_due_at.is_some_and(|due| due < now)
}

/// A share of a whole in percent, as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share(pub(super) u8);

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Share {
    /// Of a limit that is better not reached; none is reached at once.
    pub(super) fn of(part: Duration, whole: Duration) -> Self {
        if whole.is_zero() {
            return Self(100);
        }
        Self((part.as_secs_f64() / whole.as_secs_f64() * 100.0).clamp(0.0, 100.0) as u8)
    }

    pub(super) fn tone(&self) -> &'static str {
        match self.0 {
            100.. => "full",
            60.. => "most",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_never_negative_and_say_which_way() {
        let at = |s| Timestamp::from_second(s).expect("in range");
        assert_eq!(When::of(at(100), at(145)).said, "45 s ago");
        assert_eq!(When::of(at(145), at(100)).said, "in 45 s");
        assert_eq!(When::of(at(100), at(100)).said, "0 s ago");
        assert_eq!(When::of(at(0), at(7200)).said, "2 h ago");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü\nß", 4), "äöü …");
        assert_eq!(short("0198-ßabcdefg"), "…ßabcdefg");
        assert_eq!(short("abc"), "…abc");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(12), "12");
    }
}
