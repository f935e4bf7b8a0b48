//! Who is told of what, and when: grouping, repetition, silences, quiet hours, the channel behind the channel.
//!
//! A plan is made from what fires, what is silenced and what was sent; it says which messages go out now. Whoever
//! sends them does so in durable jobs.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::history::Labels;
use super::rules::{Severity, rules};
use super::silence::EVERYTHING;
use super::state::Active;
use crate::time::since;

/// Alerts of one rule that begin within this time go out as one message.
pub const GROUP_WAIT: Duration = Duration::from_secs(30);
/// The least time between two messages to one channel about one rule.
pub const LEAST_PAUSE: Duration = Duration::from_secs(60);
/// Alerts that one message names; the rest is counted.
pub const MOST_NAMED: usize = 20;

/// A part of the night in which only what is critical is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    /// When it begins.
    pub from: Time,
    /// When it ends; before `from` if it goes over midnight.
    pub until: Time,
    /// Whose clock.
    pub zone: TimeZone,
}

impl QuietHours {
    /// Whether it is quiet.
    pub fn holds(&self, now: Timestamp) -> bool {
        let time = now.to_zoned(self.zone.clone()).time();
        if self.from <= self.until {
            self.from <= time && time < self.until
        } else {
            time >= self.from || time < self.until
        }
    }
}

impl FromStr for QuietHours {
    type Err = String;

    /// Reads `22:00-07:00 Europe/Berlin`; without a zone it is UTC.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} must be like 22:00-07:00 Europe/Berlin");
        let (hours, zone) = text.trim().split_once(' ').unwrap_or((text.trim(), "UTC"));
        let (from, until) = hours.split_once('-').ok_or_else(bad)?;
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| bad());
        let zone = zone.trim();
        let zone =
            TimeZone::get(zone).map_err(|_| format!("{zone:?} is not a time zone such as Europe/Berlin"))?;
        Ok(Self { from: time(from)?, until: time(until)?, zone })
    }
}

/// Somebody does not want to hear of something for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// The rule, or `*`.
    pub rule: String,
    /// Labels that must have these values.
    pub labels: Labels,
    /// When it ends.
    pub until: Timestamp,
}

impl Silence {
    /// Whether it covers this alert now.
    pub fn covers(&self, active: &Active, now: Timestamp) -> bool {
        now < self.until
            && (self.rule == EVERYTHING || self.rule == active.rule)
            && self.labels.iter().all(|(label, value)| active.labels.get(label) == Some(value))
    }
}

/// A way to tell somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The least severity that it is told of.
    pub least: Severity,
    /// How often it is told again while something goes on.
    pub repeat: Duration,
}

/// What a channel was told of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The channel.
    pub channel: String,
    /// The rule.
    pub rule: String,
    /// The series.
    pub labels: Labels,
    /// When the alert began to fire.
    pub fired_at: Timestamp,
    /// When it was told of last.
    pub at: Timestamp,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// To whom.
    pub channel: String,
    /// About which rule.
    pub rule: String,
    /// Whether it says that all is well again.
    pub resolved: bool,
    /// What it tells of.
    pub alerts: Vec<Active>,
}

/// What is sent now, given what fires and what was told. Resolved alerts are told of to whoever heard of
/// them, at once, unless it is quiet and they were not critical.
pub fn plan(
    firing: &[Active],
    told: &[Told],
    channels: &[Channel],
    silences: &[Silence],
    quiet: Option<&QuietHours>,
    now: Timestamp,
) -> Vec<Message> {
    let mut messages = Vec::new();
    let is_quiet = quiet.is_some_and(|quiet| quiet.holds(now));
    for channel in channels {
        let heard: Vec<&Told> = told.iter().filter(|told| told.channel == channel.name).collect();
        let mut by_rule: BTreeMap<&str, Vec<&Active>> = BTreeMap::new();
        for active in firing.iter().filter(|active| active.severity >= channel.least) {
            let held_back = is_quiet && active.severity < Severity::Critical;
            if !held_back && !silences.iter().any(|silence| silence.covers(active, now)) {
                by_rule.entry(&active.rule).or_default().push(active);
            }
        }
        for (rule, alerts) in by_rule {
            if due(rule, &alerts, &heard, channel, now) {
                let alerts = alerts.into_iter().cloned().collect();
                messages.push(Message {
                    channel: channel.name.clone(),
                    rule: rule.to_owned(),
                    resolved: false,
                    alerts,
                });
            }
        }
        let ends = resolved(firing, &heard, channel);
        messages
            .extend(ends.into_iter().filter(|end| !is_quiet || severity(&end.rule) == Severity::Critical));
    }
    messages
}

/// Whether a channel hears of these alerts of a rule now.
fn due(rule: &str, alerts: &[&Active], heard: &[&Told], channel: &Channel, now: Timestamp) -> bool {
    // What lies ahead was told before the clock was set back, and holds nothing back.
    let past = |at: Timestamp, pause: Duration| at > now || since(now, at) >= pause;
    let last = heard.iter().filter(|told| told.rule == rule).map(|told| told.at).max();
    let unheard = |active: &&&Active| {
        !heard.iter().any(|told| {
            told.rule == rule && told.labels == active.labels && active.fired_at == Some(told.fired_at)
        })
    };
    let oldest_unheard = alerts.iter().filter(unheard).filter_map(|active| active.fired_at).min();
    let new = oldest_unheard.is_some_and(|fired_at| past(fired_at, GROUP_WAIT))
        && last.is_none_or(|last| past(last, LEAST_PAUSE));
    new || last.is_some_and(|last| past(last, channel.repeat))
}

/// How much a rule matters; one that is no more, little.
fn severity(rule: &str) -> Severity {
    rules().iter().find(|known| known.name == rule).map_or(Severity::Info, |known| known.severity)
}

/// What a channel heard of and does not fire any more, one message a rule.
fn resolved(firing: &[Active], heard: &[&Told], channel: &Channel) -> Vec<Message> {
    let mut over: BTreeMap<&str, Vec<Active>> = BTreeMap::new();
    for told in heard {
        let goes_on = firing.iter().any(|active| {
            active.rule == told.rule && active.labels == told.labels && active.fired_at == Some(told.fired_at)
        });
        if !goes_on {
            over.entry(&told.rule).or_default().push(Active {
                rule: told.rule.clone(),
                labels: told.labels.clone(),
                since: told.fired_at,
                fired_at: Some(told.fired_at),
                value: 0.0,
                severity: Severity::Info,
                summary: String::new(),
            });
        }
    }
    let message = |(rule, alerts): (&str, Vec<Active>)| Message {
        channel: channel.name.clone(),
        rule: rule.to_owned(),
        resolved: true,
        alerts,
    };
    over.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        "2026-03-02T12:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
    }

    fn firing(rule: &str, job_name: &str, severity: Severity, since: i64) -> Active {
        Active {
            rule: rule.to_owned(),
            labels: Labels::from([("job_name".to_owned(), job_name.to_owned())]),
            since: at(since),
            fired_at: Some(at(since)),
            value: 1.0,
            severity,
            summary: String::new(),
        }
    }

    fn slack() -> Channel {
        Channel { name: "slack".to_owned(), least: Severity::Warning, repeat: Duration::from_secs(4 * 3600) }
    }

    /// What was told when these messages went out.
    fn told(messages: &[Message], now: Timestamp) -> Vec<Told> {
        let tell = |message: &Message| {
            let told = |active: &Active| Told {
                channel: message.channel.clone(),
                rule: active.rule.clone(),
                labels: active.labels.clone(),
                fired_at: active.fired_at.expect("it fires"),
                at: now,
            };
            message.alerts.iter().map(told).collect::<Vec<_>>()
        };
        messages.iter().filter(|message| !message.resolved).flat_map(tell).collect()
    }

    #[test]
    fn what_begins_within_half_a_minute_is_one_message_and_what_goes_on_is_repeated_after_hours() {
        let first = firing("Stale", "a", Severity::Warning, 0);
        let second = firing("Stale", "b", Severity::Warning, 20);
        let ask = |told: &[Told], seconds| {
            plan(&[first.clone(), second.clone()], told, &[slack()], &[], None, at(seconds))
        };
        assert_eq!(ask(&[], 25), [], "it waits for more of the same");
        let sent = ask(&[], 30);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].alerts.len(), 2);
        let told = told(&sent, at(30));
        assert_eq!(ask(&told, 3600), [], "once is enough");
        assert_eq!(ask(&told, 30 + 4 * 3600).len(), 1, "it goes on, and is told again");
    }

    #[test]
    fn one_rule_sends_at_most_a_message_a_minute() {
        let first = firing("Stale", "a", Severity::Warning, 0);
        let told = told(&plan(std::slice::from_ref(&first), &[], &[slack()], &[], None, at(30)), at(30));
        let both = [first, firing("Stale", "b", Severity::Warning, 31)];
        assert_eq!(plan(&both, &told, &[slack()], &[], None, at(75)), []);
        assert_eq!(plan(&both, &told, &[slack()], &[], None, at(90)).len(), 1);
    }

    #[test]
    fn who_heard_of_an_alert_hears_that_it_is_over_and_nobody_else_does() {
        let told = told(
            &plan(&[firing("Stale", "a", Severity::Warning, 0)], &[], &[slack()], &[], None, at(30)),
            at(30),
        );
        let others = Channel { name: "mail".to_owned(), ..slack() };
        let over = plan(&[], &told, &[slack(), others], &[], None, at(40));
        assert_eq!(over.len(), 1);
        assert!(over[0].resolved && over[0].channel == "slack");
        // It fires anew before that was told: the old one is over all the same.
        let again =
            plan(&[firing("Stale", "a", Severity::Warning, 50)], &told, &[slack()], &[], None, at(60));
        assert!(again.iter().any(|message| message.resolved));
    }

    #[test]
    fn what_was_told_before_the_clock_was_set_back_holds_nothing_back() {
        let told = told(
            &plan(&[firing("Stale", "a", Severity::Warning, 7200)], &[], &[slack()], &[], None, at(7230)),
            at(7230),
        );
        let both =
            [firing("Stale", "a", Severity::Warning, 7200), firing("Stale", "b", Severity::Warning, 0)];
        assert_eq!(plan(&both, &told, &[slack()], &[], None, at(60)).len(), 1);
    }

    #[test]
    fn a_night_is_not_disturbed_by_the_end_of_what_was_not_critical() {
        let quiet: QuietHours = "13:00-15:00".parse().expect("hours");
        let fires = [
            firing("BackgroundJobFailing", "a", Severity::Warning, 0),
            firing("qc_job_stuck", "a", Severity::Critical, 0),
        ];
        let told = told(&plan(&fires, &[], &[slack()], &[], None, at(60)), at(60));
        let ended = |seconds| {
            let messages = plan(&[], &told, &[slack()], &[], Some(&quiet), at(seconds));
            messages.into_iter().map(|message| message.rule).collect::<Vec<_>>()
        };
        assert_eq!(ended(2 * 3600), ["qc_job_stuck"]);
        assert_eq!(ended(4 * 3600), ["BackgroundJobFailing", "qc_job_stuck"], "in the morning");
    }

    #[test]
    fn little_things_silenced_ones_and_quiet_nights_are_not_told_of() {
        let alerts = [firing("Stale", "a", Severity::Warning, 0), firing("Dead", "a", Severity::Critical, 0)];
        let rules =
            |messages: &[Message]| messages.iter().map(|message| message.rule.clone()).collect::<Vec<_>>();
        let pager = Channel { least: Severity::Critical, ..slack() };
        assert_eq!(rules(&plan(&alerts, &[], &[pager], &[], None, at(60))), ["Dead"]);
        let silence = Silence {
            rule: "*".to_owned(),
            labels: Labels::from([("job_name".to_owned(), "a".to_owned())]),
            until: at(100),
        };
        assert_eq!(plan(&alerts, &[], &[slack()], std::slice::from_ref(&silence), None, at(60)), []);
        assert_eq!(plan(&alerts, &[], &[slack()], &[silence], None, at(101)).len(), 2, "a silence ends");
        let quiet = QuietHours {
            from: Time::constant(11, 0, 0, 0),
            until: Time::constant(13, 0, 0, 0),
            zone: TimeZone::UTC,
        };
        assert_eq!(rules(&plan(&alerts, &[], &[slack()], &[], Some(&quiet), at(60))), ["Dead"]);
        assert_eq!(
            plan(&alerts, &[], &[slack()], &[], Some(&quiet), at(3600)).len(),
            2,
            "the rest follows when the night is over"
        );
    }

    #[test]
    fn quiet_hours_are_read_with_their_zone() {
        let quiet: QuietHours = "22:00-07:00 Europe/Berlin".parse().expect("quiet hours");
        assert!(quiet.holds("2026-07-01T20:30:00Z".parse().expect("a time")), "22:30 in Berlin");
        assert!(!quiet.holds("2026-01-01T20:30:00Z".parse().expect("a time")), "21:30 in Berlin");
        assert!("22:00-07:00".parse::<QuietHours>().is_ok_and(|quiet| quiet.zone == TimeZone::UTC));
        for bad in ["", "22-7", "22:00", "25:00-07:00", "22:00-07:00 Atlantis/Main"] {
            let fault = bad.parse::<QuietHours>().expect_err(bad);
            assert!(fault.contains("22:00-07:00") || fault.contains("Atlantis"), "{fault}");
        }
    }

    #[test]
    fn quiet_hours_go_over_midnight() {
        let quiet = QuietHours {
            from: Time::constant(22, 0, 0, 0),
            until: Time::constant(7, 0, 0, 0),
            zone: TimeZone::UTC,
        };
        let holds = |time: &str| quiet.holds(format!("2026-03-02T{time}:00Z").parse().expect("a time"));
        assert!(holds("23:30") && holds("06:59") && holds("22:00"));
        assert!(!holds("07:00") && !holds("12:00") && !holds("21:59"));
    }
}
