//! When a schedule runs, in words: `every 15 minutes`, `at 02:30 on weekdays, Europe/Berlin`.

use std::time::Duration;

use super::cron::CronClock;

/// Times of day that are listed; more are told as the library tells them.
const MAX_TIMES: usize = 6;

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `every 15 minutes`, `every 90 seconds`, `every day`.
pub(super) fn interval(every: Duration) -> String {
    let ms = every.as_millis();
    let units = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second")];
    match units.into_iter().find(|(unit, _)| ms.is_multiple_of(*unit) && ms >= *unit) {
        Some((unit, word)) => times(u64::try_from(ms / unit).unwrap_or(u64::MAX), word),
        None => format!("every {ms} ms"),
    }
}

/// `every day`, `every 2 days`.
fn times(count: u64, unit: &str) -> String {
    if count == 1 { format!("every {unit}") } else { format!("every {count} {unit}s") }
}

/// When a pattern fires, in words.
pub(super) fn cron(clock: &CronClock, zone: &str) -> String {
    let [second, minute, hour, day, month, weekday] = clock.fields().each_ref().map(String::as_str);
    let said = time_of_day(second, minute, hour).zip(days(day, month, weekday));
    let text = match said {
        Some(((time, is_daily), days)) => match (days.is_empty(), is_daily) {
            (true, true) => format!("{time} every day"),
            (true, false) => time,
            (false, _) => format!("{time} {days}"),
        },
        None => {
            let told = clock.in_the_librarys_words();
            let told = told.trim_end_matches('.');
            told.strip_prefix("At ").map_or_else(|| told.to_owned(), |rest| format!("at {rest}"))
        }
    };
    // What repeats within the hour is the same in every zone that differs by whole hours.
    if zone == "UTC" && hour == "*" { text } else { format!("{text}, {zone}") }
}

/// The time of day, and whether it says nothing of how often a day.
fn time_of_day(second: &str, minute: &str, hour: &str) -> Option<(String, bool)> {
    let step = |field: &str| field.strip_prefix("*/").and_then(|step| step.parse::<u64>().ok());
    match (second, minute, hour) {
        ("*", "*", "*") => return Some(("every second".to_owned(), false)),
        (every, "*", "*") if step(every).is_some() => {
            return step(every).map(|n| (times(n, "second"), false));
        }
        ("0", "*", "*") => return Some(("every minute".to_owned(), false)),
        ("0", every, "*") if step(every).is_some() => {
            return step(every).map(|n| (times(n, "minute"), false));
        }
        ("0", minute, every) if every == "*" || step(every).is_some() => {
            let (minute, hours) = (minute.parse::<u8>().ok()?, step(every).unwrap_or(1));
            let past = if minute == 0 { "on the hour".to_owned() } else { format!("at {minute:02} past") };
            return Some((format!("{}, {past}", times(hours, "hour")), false));
        }
        _ => {}
    }
    let (second, minutes, hours) = (second.parse::<u8>().ok()?, numbers(minute)?, numbers(hour)?);
    if minutes.len() * hours.len() > MAX_TIMES {
        return None;
    }
    let time = |hour: &u8, minute: &u8| match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    let all: Vec<String> =
        hours.iter().flat_map(|hour| minutes.iter().map(move |minute| time(hour, minute))).collect();
    Some((format!("at {}", listed(&all)), true))
}

/// `1,15` as numbers; ranges and steps are none.
fn numbers(field: &str) -> Option<Vec<u8>> {
    field.split(',').map(|number| number.parse().ok()).collect()
}

/// Which days, empty for all of them.
fn days(day: &str, month: &str, weekday: &str) -> Option<String> {
    let of_month = match day {
        "*" | "?" => String::new(),
        "L" => "on the last day of the month".to_owned(),
        listed_days => {
            let days: Vec<String> = numbers(listed_days)?.iter().map(u8::to_string).collect();
            let word = if days.len() == 1 { "day" } else { "days" };
            format!("on {word} {} of the month", listed(&days))
        }
    };
    let of_week = match weekday {
        "*" | "?" => String::new(),
        "1-5" | "MON-FRI" => "on weekdays".to_owned(),
        "0,6" | "6,0" | "6,7" | "SAT,SUN" | "SUN,SAT" => "on weekends".to_owned(),
        listed_days => {
            let name = |word: &str| Some(WEEKDAYS[named(word, &WEEKDAYS, 0)? % 7].to_owned());
            format!("on {}", listed(&listed_days.split(',').map(name).collect::<Option<Vec<_>>>()?))
        }
    };
    let in_months = match month {
        "*" => String::new(),
        listed_months => {
            let name = |word: &str| MONTHS.get(named(word, &MONTHS, 1)?).map(|name| (*name).to_owned());
            format!("in {}", listed(&listed_months.split(',').map(name).collect::<Option<Vec<_>>>()?))
        }
    };
    let which = match (of_month.is_empty(), of_week.is_empty()) {
        // Cron's own rule: either of them is enough.
        (false, false) => format!("{of_month} or {of_week}"),
        _ => of_month + &of_week,
    };
    Some([which, in_months].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
}

/// A number or the first three letters of a name, as the name's place; numbers begin at `first`.
fn named(word: &str, names: &[&str], first: usize) -> Option<usize> {
    match word.parse::<usize>() {
        Ok(number) => number.checked_sub(first).filter(|place| *place <= names.len()),
        Err(_) => names.iter().position(|name| word.len() == 3 && name.to_uppercase().starts_with(word)),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
