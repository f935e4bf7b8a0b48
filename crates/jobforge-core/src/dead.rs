//! Dead letters by cause: which dead jobs died of the same thing.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{ErrorInfo, Job, JobId};

/// Kinds of errors that we write ourselves: the kind says it all, whatever figures the sentence has.
const OWN_KINDS: [&str; 6] =
    ["worker_lost", "heartbeat_late", "no_progress", "timeout", "poison", "restored"];
/// How much of a message tells its cause.
const TELLING_CHARS: usize = 300;
/// The shortest run of hexadecimal digits that is taken for an identity.
const HEX_RUN: usize = 6;

/// Dead jobs with the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeadGroup {
    /// The fingerprint that they share.
    pub group: String,
    /// Their type.
    pub job_type: String,
    /// The kind of their error.
    pub kind: String,
    /// Their message without its variable parts.
    pub pattern: String,
    /// How many there are.
    pub count: u64,
    /// When the first of them died.
    pub first_at: Timestamp,
    /// When the last of them died.
    pub last_at: Timestamp,
    /// The last of them.
    pub sample: JobId,
}

/// Jobs moved in one step when nothing bounds the pace.
const FULL_STEP: usize = 500;
/// Steps a second of a bounded pace, as far as whole jobs allow.
const STEPS_PER_SECOND: f64 = 5.0;

/// How fast many jobs are moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    per_second: Option<f64>,
}

impl Pace {
    /// As fast as the database goes.
    pub const FULL: Self = Self { per_second: None };

    /// At most so many jobs a second; `None` unless that is a positive number.
    pub fn per_second(jobs: f64) -> Option<Self> {
        (jobs.is_finite() && jobs > 0.0).then_some(Self { per_second: Some(jobs) })
    }

    /// How many jobs one step moves.
    pub fn step(self) -> usize {
        match self.per_second {
            None => FULL_STEP,
            Some(jobs) => ((jobs / STEPS_PER_SECOND) as usize).clamp(1, FULL_STEP),
        }
    }

    /// How long to wait after a step.
    pub fn pause(self) -> Duration {
        let Some(jobs) = self.per_second else { return Duration::ZERO };
        Duration::try_from_secs_f64(self.step() as f64 / jobs).unwrap_or(Duration::MAX)
    }
}

/// What a dead job died of, also before the database has written it down.
pub fn group_of(job: &Job) -> Option<String> {
    let told = || job.error.as_ref().map(|error| fingerprint(&job.job_type, error));
    job.dead_group.clone().or_else(told)
}

/// The fingerprint of a cause: type, kind of error and the message without its variable parts.
///
/// 64-bit FNV-1a (<https://www.rfc-editor.org/rfc/rfc9923>) as 16 hex digits: the same in every version and on every machine.
pub fn fingerprint(job_type: &str, error: &ErrorInfo) -> String {
    let pattern =
        if OWN_KINDS.contains(&error.kind.as_str()) { String::new() } else { pattern(&error.message) };
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in [job_type, &error.kind, &pattern] {
        // 0xff stands in no text, so that no two divisions of the same letters are alike.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

/// The first line of a message with its variable parts taken out: numbers, identities, and what stands in quotes.
pub fn pattern(message: &str) -> String {
    let line: String = message.lines().next().unwrap_or_default().chars().take(TELLING_CHARS).collect();
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '"' | '`')
            && let Some(end) = rest[1..].find(first)
        {
            let _ = write!(out, "{first}…{first}");
            rest = &rest[end + 2..];
            continue;
        }
        if !first.is_ascii_alphanumeric() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        out.push_str(&word_pattern(word));
        rest = tail;
    }
    out
}

/// A word of letters, digits and hyphens.
fn word_pattern(word: &str) -> String {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = |part: &str| part.bytes().any(|byte| byte.is_ascii_digit());
    let groups: Vec<usize> = word.split('-').map(str::len).collect();
    if groups == [8, 4, 4, 4, 12] && word.split('-').all(is_hex) {
        return "<id>".to_owned();
    }
    let part = |part: &str| {
        if part.len() >= HEX_RUN && is_hex(part) && has_digit(part) {
            return "<hex>".to_owned();
        }
        let mut out = String::with_capacity(part.len());
        for c in part.chars() {
            match c.is_ascii_digit() {
                false => out.push(c),
                true if out.ends_with('#') => {}
                true => out.push('#'),
            }
        }
        out
    };
    word.split('-').map(part).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: &str, message: &str) -> ErrorInfo {
        ErrorInfo { message: message.to_owned(), kind: kind.to_owned(), retryable: true, details: None }
    }

    #[test]
    fn what_varies_from_job_to_job_is_taken_out_of_a_message() {
        for (message, expected) in [
            ("connection to 10.0.0.7:5432 refused", "connection to #.#.#.#:# refused"),
            ("user 01890a5d-ac96-774b-bcce-b302099a8057 is unknown", "user <id> is unknown"),
            ("\"/data/clip 17.mp4\" is not a video", "\"…\" is not a video"),
            ("commit deadbeef12 not found", "commit <hex> not found"),
            ("exit code 3\nTraceback …", "exit code #"),
            ("it's a naïve \"open quote", "it's a naïve \"open quote"),
            ("worker-0a1b2c3d left", "worker-<hex> left"),
            ("facade and decade are words", "facade and decade are words"),
        ] {
            assert_eq!(pattern(message), expected);
        }
    }

    #[test]
    fn the_same_cause_has_the_same_fingerprint_and_another_type_kind_or_message_another() {
        let of = |job_type: &str, kind: &str, message: &str| fingerprint(job_type, &error(kind, message));
        let smtp = of("email.send", "smtp", "451 try again in 30 s");
        assert_eq!(smtp, of("email.send", "smtp", "451 try again in 7 s"));
        assert_ne!(smtp, of("email.send", "smtp", "mailbox is full"));
        assert_ne!(smtp, of("email.send", "dns", "451 try again in 30 s"));
        assert_ne!(smtp, of("email.bulk", "smtp", "451 try again in 30 s"));
        assert_eq!(smtp.len(), 16);
        // Stored with jobs, so it must never change.
        assert_eq!(of("t", "error", "boom"), "39e51e09d8647a0d");
    }

    #[test]
    fn a_pace_moves_no_more_jobs_in_a_second_than_it_says() {
        for jobs in [0.1, 1.0, 3.0, 10.0, 50.0, 900.0, 100_000.0] {
            let pace = Pace::per_second(jobs).expect("a pace");
            let rate = pace.step() as f64 / pace.pause().as_secs_f64();
            assert!(rate <= jobs * 1.001 && rate >= jobs * 0.99, "{jobs}: {rate}");
        }
        assert_eq!((Pace::FULL.step(), Pace::FULL.pause()), (500, Duration::ZERO));
        assert_eq!((Pace::per_second(0.0), Pace::per_second(f64::NAN)), (None, None));
    }

    #[test]
    fn our_own_sentences_are_told_apart_by_their_kind_alone() {
        let of = |message: &str| fingerprint("t", &error("worker_lost", message));
        assert_eq!(of("w-1 on host-a was not heard for 23 s"), of("w-2 on host-b ended: signal 9"));
    }
}
