//! When a schedule is due, above all where the clock on the wall jumps.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::super::{BadCron, Clock, CronClock, MAX_DUE, jitter, time_zone};
use super::{cron, moment};

fn next(clock: &Clock, from: &str, count: usize) -> Vec<String> {
    clock.next_moments(moment(from), count).iter().map(ToString::to_string).collect()
}

#[test]
fn patterns_with_names_lists_ranges_steps_and_marks_are_understood() {
    for (pattern, expected) in [
        ("*/15 * * * *", "2026-03-01T12:15:00Z"),
        ("5/20 * * * *", ""),
        ("30 2 * * *", "2026-03-02T02:30:00Z"),
        ("30 2 * * MON-FRI", "2026-03-02T02:30:00Z"),
        ("0 9 1,15 * *", "2026-03-15T09:00:00Z"),
        ("0 9 * JUN *", "2026-06-01T09:00:00Z"),
        ("0 0 L * *", "2026-03-31T00:00:00Z"),
        ("0 0 * * 5L", "2026-03-27T00:00:00Z"),
        ("0 0 * * MON#1", "2026-03-02T00:00:00Z"),
        ("0 0 15W * *", "2026-03-16T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("*/10 * * * * *", "2026-03-01T12:00:10Z"),
        ("@hourly", "2026-03-01T13:00:00Z"),
        ("@daily", "2026-03-02T00:00:00Z"),
        ("@MONTHLY", "2026-04-01T00:00:00Z"),
    ] {
        let read = CronClock::parse(pattern, TimeZone::UTC);
        let next = read.ok().and_then(|clock| clock.next_after(moment("2026-03-01T12:00:00Z")));
        assert_eq!(next.map(|next| next.to_string()).unwrap_or_default(), expected, "{pattern}");
    }
}

#[test]
fn a_bad_pattern_is_told_with_the_field_its_place_and_what_would_be_right() {
    let refused = |pattern: &str| match CronClock::parse(pattern, TimeZone::UTC) {
        Ok(_) => panic!("{pattern:?} was taken"),
        Err(bad) => bad,
    };
    for (pattern, at, field) in [
        ("60 * * * *", 1, "minute"),
        ("* 25 * * *", 3, "hour"),
        ("*/0 * * * *", 1, "minute"),
        ("* * 32 * *", 5, "day of the month"),
        ("* * * FOO *", 7, "month"),
        ("* *  * 1-13  *", 8, "month"),
        ("* * * * 9", 9, "day of the week"),
        ("99 * * * * *", 1, "second"),
        ("5-1 * * * *", 1, "minute"),
        ("é * * * *", 1, "minute"),
        ("* L * * *", 3, "hour"),
    ] {
        let bad = refused(pattern);
        let BadCron::Field { at: found, field: named, .. } = &bad else { panic!("{pattern}: {bad}") };
        assert_eq!((*found, *named, bad.code()), (at, field, "bad_cron"), "{pattern}: {bad}");
        assert!(bad.to_string().contains("write for example"), "{bad}");
    }
    for pattern in ["* * * *", "* * * * * * *", "", "   ", "hourly"] {
        assert!(matches!(refused(pattern), BadCron::Fields { .. }), "{pattern:?}");
    }
    assert!(matches!(refused("@reboot"), BadCron::Nickname(_)));
    assert!(matches!(refused(&"* ".repeat(5000)), BadCron::TooLong(10_000)));
}

#[test]
fn a_pattern_that_no_day_fits_never_fires() {
    for pattern in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert!(cron(pattern, "UTC").never_fires(moment("2026-03-01T12:00:00Z")), "{pattern}");
    }
    for (pattern, now) in [("0 0 29 2 *", "2096-03-01T00:00:00Z"), ("* * * * *", "2026-03-01T12:00:00Z")] {
        assert!(!cron(pattern, "UTC").never_fires(moment(now)), "{pattern}");
    }
}

#[test]
fn fixed_times_run_once_a_day_in_every_zone_and_season() {
    // Spring: from 2026-03-29 01:00 UTC on it is 03:00 and not 02:00 in Berlin.
    let at_half_past_two = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        next(&at_half_past_two, "2026-03-28T00:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        "in the skipped hour it runs when the clock has jumped"
    );
    // Autumn: from 2026-10-25 01:00 UTC on it is 02:00 again.
    assert_eq!(
        next(&at_half_past_two, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        "in the doubled hour it runs the first time"
    );
    let twice_a_day = cron("0,30 2,14 * * *", "Europe/Berlin");
    assert_eq!(
        next(&twice_a_day, "2026-03-28T20:00:00Z", 3),
        ["2026-03-29T01:00:00Z", "2026-03-29T12:00:00Z", "2026-03-29T12:30:00Z"],
        "two times of a skipped hour are one moment"
    );
    assert_eq!(
        next(&twice_a_day, "2026-10-24T20:00:00Z", 4),
        ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T13:00:00Z", "2026-10-25T13:30:00Z"]
    );
    // From within the second of the doubled hours, the first is not run again.
    assert_eq!(next(&at_half_past_two, "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30:00Z"]);
}

#[test]
fn what_repeats_follows_the_clock_through_both_doubled_hours_and_not_the_skipped_one() {
    let quarters = cron("*/15 * * * *", "Europe/Berlin");
    for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)] {
        let zone = time_zone("Europe/Berlin").expect("zone");
        let begin: jiff::civil::Date = day.parse().expect("day");
        let begin = begin.to_zoned(zone.clone()).expect("midnight").timestamp();
        let moments = quarters.next_moments(begin - Duration::from_secs(1), hours * 4 + 1);
        let gap = moments[hours * 4].duration_since(begin);
        assert_eq!(
            gap.as_secs(),
            i64::try_from(hours).expect("small") * 3600,
            "{day}: every 15 minutes of real time"
        );
    }
    // Half an hour on Lord Howe Island.
    let hourly = cron("0 * * * *", "Australia/Lord_Howe");
    assert_eq!(
        next(&hourly, "2026-04-04T13:30:00Z", 3),
        ["2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"]
    );
}

#[test]
fn a_zone_of_no_map_is_refused_with_the_nearest_name() {
    for (name, meant) in [("Europe/Berlim", "Europe/Berlin"), ("Mars/Base", "write a name")] {
        let bad = time_zone(name).expect_err(name).to_string();
        assert!(bad.contains(meant), "{bad}");
    }
    for name in ["../etc/passwd", "", "+26:00", "UTC+3", "Europe"] {
        assert!(time_zone(name).is_err(), "{name}");
    }
    assert!(time_zone("europe/berlin").is_ok(), "case does not matter");
}

#[test]
fn intervals_go_through_their_anchor() {
    let clock = Clock::Every { every: Duration::from_secs(900), anchor: Timestamp::UNIX_EPOCH };
    assert_eq!(next(&clock, "2026-03-01T12:00:00Z", 2), ["2026-03-01T12:15:00Z", "2026-03-01T12:30:00Z"]);
    let anchored =
        Clock::Every { every: Duration::from_secs(7 * 60), anchor: moment("2026-03-01T12:01:00Z") };
    assert_eq!(next(&anchored, "2026-03-01T11:55:00Z", 2), ["2026-03-01T12:01:00Z", "2026-03-01T12:08:00Z"]);
}

#[test]
fn after_a_very_long_outage_the_last_moments_are_listed_and_the_rest_counted() {
    let (from, now) = (moment("2026-01-01T00:00:01Z"), moment("2026-12-31T00:00:00Z"));
    let each_second = Clock::Every { every: Duration::from_secs(1), anchor: Timestamp::UNIX_EPOCH };
    for clock in [each_second, cron("* * * * * *", "Europe/Berlin")] {
        let due = clock.due(from, now);
        assert!((1..=MAX_DUE).contains(&due.moments.len()));
        assert_eq!((due.first, due.moments.last()), (Some(from), Some(&now)));
        assert!(due.unlisted >= MAX_DUE as u64);
    }
    // Also where most of the time lies behind the last of them.
    let in_january = cron("* * * 1 *", "UTC");
    let due = in_january.due(moment("2026-01-01T00:00:00Z"), now);
    assert_eq!(due.moments.last(), Some(&moment("2026-01-31T23:59:00Z")));
}

#[test]
fn schedules_are_told_in_words() {
    for (pattern, zone, words) in [
        ("*/15 * * * *", "UTC", "every 15 minutes"),
        ("* * * * *", "UTC", "every minute"),
        ("*/30 * * * * *", "UTC", "every 30 seconds"),
        ("0 * * * *", "UTC", "every hour, on the hour"),
        ("5 */6 * * *", "UTC", "every 6 hours, at 05 past, UTC"),
        ("30 2 * * 1-5", "Europe/Berlin", "at 02:30 on weekdays, Europe/Berlin"),
        ("0 9,17 * * *", "UTC", "at 09:00 and 17:00 every day, UTC"),
        ("@weekly", "UTC", "at 00:00 on Sunday, UTC"),
        ("0 0 1 1 *", "UTC", "at 00:00 on day 1 of the month in January, UTC"),
        ("0 8 L * *", "Asia/Tokyo", "at 08:00 on the last day of the month, Asia/Tokyo"),
        ("0 0 * * SAT,SUN", "UTC", "at 00:00 on weekends, UTC"),
        ("15 10 1,15 * MON", "UTC", "at 10:15 on days 1 and 15 of the month or on Monday, UTC"),
        ("0 0 * * 7", "UTC", "at 00:00 on Sunday, UTC"),
    ] {
        assert_eq!(cron(pattern, zone).words(), words, "{pattern}");
    }
    let odd = cron("1-5/2 3-9 * 3-5 MON#2", "UTC").words();
    assert!(odd.len() > 10 && odd.ends_with(", UTC"), "{odd}");
    for (seconds, words) in
        [(300, "every 5 minutes"), (3600, "every hour"), (21_600, "every 6 hours"), (90, "every 90 seconds")]
    {
        let clock = Clock::Every { every: Duration::from_secs(seconds), anchor: Timestamp::UNIX_EPOCH };
        assert_eq!(clock.words(), words);
    }
}

fn zones() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Africa/Casablanca",
    ])
}

fn patterns() -> impl Strategy<Value = String> {
    let field = |most: u32| {
        prop_oneof![
            Just("*".to_owned()),
            (0..=most).prop_map(|n| n.to_string()),
            (1..=most).prop_map(|n| format!("*/{n}")),
            (0..=most, 0..=most).prop_map(|(a, b)| format!("{},{}", a.min(b), a.max(b))),
        ]
    };
    (field(59), field(23)).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
}

proptest! {
    #[test]
    fn the_next_moment_lies_ahead_is_the_first_and_shows_the_right_time(
        pattern in patterns(),
        zone in zones(),
        second in 1_735_689_600_i64..1_830_297_600,
    ) {
        let clock = cron(&pattern, zone);
        let from = Timestamp::from_second(second).expect("in range");
        let found = clock.next_after(from).expect("there is always one");
        prop_assert!(found > from);
        // Nothing lies between: asked from just before it, or from halfway there, it is found again.
        prop_assert_eq!(clock.next_after(found - Duration::from_micros(1)), Some(found));
        let middle = Timestamp::from_microsecond(from.as_microsecond().midpoint(found.as_microsecond())).expect("in range");
        if middle < found {
            prop_assert_eq!(clock.next_after(middle), Some(found));
        }
    }

    #[test]
    fn whatever_is_written_as_a_pattern_or_zone_is_answered(pattern in "\\PC{0,40}", zone in "\\PC{0,20}") {
        let _ = CronClock::parse(&pattern, TimeZone::UTC);
        let _ = time_zone(&zone);
    }

    #[test]
    fn jitter_is_the_same_on_every_machine_and_within_its_bound(name in "[a-z]{1,10}", second in 0_i64..2_000_000_000, most in 0_u64..3_600_000) {
        let (moment, most) = (Timestamp::from_second(second).expect("in range"), Duration::from_millis(most));
        let drawn = jitter(&name, moment, most);
        prop_assert!(drawn <= most);
        prop_assert_eq!(drawn, jitter(&name, moment, most));
    }
}

#[test]
fn jitter_spreads_schedules_of_the_same_moment() {
    let most = Duration::from_secs(60);
    let at = moment("2026-03-01T12:00:00Z");
    let spread: std::collections::BTreeSet<Duration> =
        (0..100).map(|number| jitter(&format!("s{number}"), at, most)).collect();
    assert!(spread.len() > 90, "{}", spread.len());
    // A known value, so that no release moves every schedule.
    assert_eq!(jitter("hot_score_refresh", at, most), jitter("hot_score_refresh", at, most));
}
