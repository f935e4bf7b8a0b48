//! Cron patterns: read with faults that can be found, and asked for the next moment in a time zone.
//!
//! What a pattern of fixed times (no `*` and no `/` in seconds, minutes and hours) says of an hour that daylight saving
//! skips runs when the clock has jumped; in an hour that comes twice it runs the first time. What repeats (`*/15 * * * *`)
//! follows the clock: it runs in both of the doubled hours and not in the skipped one.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// The longest pattern.
const MAX_PATTERN: usize = 256;
/// How many years ahead the next moment is looked for: 29 February comes again after at most eight.
const HORIZON_YEARS: i16 = 9;
const HORIZON: SignedDuration = SignedDuration::from_hours(HORIZON_YEARS as i64 * 366 * 24);
/// Moments that are passed over in a doubled hour at most: one a second.
const MAX_PASSED_OVER: usize = 10_000;
/// What is shown to who wrote a bad pattern.
pub const EXAMPLE: &str = "30 2 * * 1-5";

/// A field of a pattern: its name, what may stand there, and an example.
const FIELDS: [(&str, &str, &str); 6] = [
    ("second", "0 to 59", "0"),
    ("minute", "0 to 59", "*/15"),
    ("hour", "0 to 23", "2"),
    ("day of the month", "1 to 31, L for the last, 15W for the weekday nearest the 15th", "1,15"),
    ("month", "1 to 12 or JAN to DEC", "1-6"),
    (
        "day of the week",
        "0 to 7 or SUN to SAT, 5L for the last Friday, MON#1 for the first Monday",
        "MON-FRI",
    ),
];

/// Words that stand for a pattern.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// It is far too long.
    #[error("the pattern has {0} bytes, at most {MAX_PATTERN} are allowed; write for example {EXAMPLE:?}")]
    TooLong(usize),
    /// It has too few or too many fields.
    #[error(
        "{pattern:?} has {found} fields; write 5 (minute, hour, day, month, weekday), or 6 with seconds before them, for example {EXAMPLE:?}"
    )]
    Fields {
        /// What was written.
        pattern: String,
        /// How many fields it has.
        found: usize,
    },
    /// One field is wrong.
    #[error(
        "{text:?} at character {at} of {pattern:?} is no {field}: allowed is {allowed}, and of those lists 1,2, ranges 1-5 and steps */5; write for example {example:?}"
    )]
    Field {
        /// What was written.
        pattern: String,
        /// The field's text.
        text: String,
        /// Where it begins, counted from 1.
        at: usize,
        /// Its name.
        field: &'static str,
        /// What may stand there.
        allowed: &'static str,
        /// What would be right.
        example: &'static str,
    },
    /// It begins with an @ and is no known word.
    #[error(
        "{0:?} is none of @yearly, @monthly, @weekly, @daily and @hourly; write for example {EXAMPLE:?}, or an interval with every"
    )]
    Nickname(String),
    /// There is no such moment within the next years.
    #[error("{0:?} never fires: no moment within the next nine years fits all of its fields")]
    NeverFires(String),
}

impl BadCron {
    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NeverFires(_) => "cron_never_fires",
            Self::TooLong(_) | Self::Fields { .. } | Self::Field { .. } | Self::Nickname(_) => "bad_cron",
        }
    }
}

/// A pattern that was read, in its time zone.
#[derive(Debug, Clone)]
pub struct CronClock {
    cron: Cron,
    zone: TimeZone,
    /// Second, minute, hour, day of the month, month, day of the week, as written.
    fields: [String; 6],
    is_fixed: bool,
}

impl CronClock {
    /// Reads a pattern of five or six fields, or a word such as `@daily`.
    ///
    /// # Errors
    /// Names the field that is wrong, where it is, and what would be right.
    pub fn parse(pattern: &str, zone: TimeZone) -> Result<Self, BadCron> {
        if pattern.len() > MAX_PATTERN {
            return Err(BadCron::TooLong(pattern.len()));
        }
        let trimmed = pattern.trim();
        let meant = match trimmed.strip_prefix('@') {
            None => trimmed,
            Some(_) => {
                let known = NICKNAMES.iter().find(|(word, _)| word.eq_ignore_ascii_case(trimmed));
                known.ok_or_else(|| BadCron::Nickname(trimmed.to_owned()))?.1
            }
        };
        let mut fields: Vec<String> = meant.split_whitespace().map(str::to_uppercase).collect();
        let has_seconds = fields.len() == 6;
        if !has_seconds && fields.len() != 5 {
            return Err(BadCron::Fields { pattern: trimmed.to_owned(), found: fields.len() });
        }
        if !has_seconds {
            fields.insert(0, "0".to_owned());
        }
        for (index, field) in fields.iter().enumerate() {
            let mut alone = ["0", "0", "0", "*", "*", "*"];
            alone[index] = field;
            if parse(&alone.join(" ")).is_none() {
                let position = index - usize::from(!has_seconds);
                return Err(wrong_field(trimmed, position, index));
            }
        }
        let not_read = || BadCron::Fields { pattern: trimmed.to_owned(), found: fields.len() };
        let cron = parse(&fields.join(" ")).ok_or_else(not_read)?;
        let is_fixed = fields[..3].iter().all(|field| !field.contains(['*', '/', '?']));
        let fields = <[String; 6]>::try_from(fields)
            .map_err(|fields| BadCron::Fields { pattern: trimmed.to_owned(), found: fields.len() })?;
        Ok(Self { cron, zone, fields, is_fixed })
    }

    /// Whether no moment of the next nine years fits. Cheap, unlike asking for a moment that never comes.
    pub fn never_fires(&self, now: Timestamp) -> bool {
        let civil = self.zone.to_datetime(now);
        let years = format!("{}-{}", civil.year(), civil.year().saturating_add(HORIZON_YEARS));
        let bounded = format!("{} {years}", self.fields.join(" "));
        let read =
            CronParser::builder().seconds(Seconds::Required).year(Year::Required).build().parse(&bounded);
        read.ok().is_none_or(|cron| cron.find_next_occurrence(&civil, false).is_err())
    }

    /// The first moment after this one; none if there is none within the next nine years.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let next = if self.is_fixed { self.next_fixed(moment) } else { self.next_repeated(moment) }?;
        (next.duration_since(moment) <= HORIZON).then_some(next)
    }

    fn next_repeated(&self, moment: Timestamp) -> Option<Timestamp> {
        let zoned = moment.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&zoned, false).ok().map(|next| next.timestamp())
    }

    fn next_fixed(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(moment);
        for _ in 0..MAX_PASSED_OVER {
            civil = self.cron.find_next_occurrence(&civil, false).ok()?;
            let next = self.happens(civil)?;
            if next > moment {
                return Some(next);
            }
        }
        None
    }

    /// When a time on the wall's clock happens: once, whatever the clock does there.
    fn happens(&self, civil: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => ambiguous.unambiguous().ok(),
            AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
            AmbiguousOffset::Gap { .. } => {
                let before = ambiguous.earlier().ok()?;
                self.zone.following(before).next().map(|jump| jump.timestamp())
            }
        }
    }

    /// The fields as written, with the seconds before them.
    pub(super) fn fields(&self) -> &[String; 6] {
        &self.fields
    }

    /// What the library says of the pattern.
    pub(super) fn in_the_librarys_words(&self) -> String {
        self.cron.describe()
    }
}

fn parse(pattern: &str) -> Option<Cron> {
    CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build().parse(pattern).ok()
}

/// Where the field stands in the text, for a person to find it.
fn wrong_field(pattern: &str, position: usize, index: usize) -> BadCron {
    let text = pattern.split_whitespace().nth(position).unwrap_or_default();
    let at = text.as_ptr().addr().saturating_sub(pattern.as_ptr().addr());
    let (field, allowed, example) = FIELDS[index];
    let text = text.chars().take(40).collect();
    BadCron::Field {
        pattern: pattern.to_owned(),
        text,
        at: pattern.get(..at).map_or(0, |before| before.chars().count()) + 1,
        field,
        allowed,
        example,
    }
}
