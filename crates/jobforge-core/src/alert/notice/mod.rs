//! One message to one channel, and what it looks like there.
//!
//! A notice is the payload of a durable job. It names the channel and holds none of its secrets; [`slack`],
//! [`pagerduty`], [`webhook`] and [`email`] shape it as each receiver documents.

pub mod email;
pub mod pagerduty;
pub mod slack;
pub mod webhook;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::history::Labels;
use super::kept::AlertRow;
use super::route::{MOST_NAMED, Message, Told};
use super::rules::{Severity, rules};
use super::state::Active;
use super::text;

/// The type of the jobs that tell.
pub const NOTIFY: &str = "system.notify";
/// The queue they wait in; servers that have channels serve it.
pub const NOTIFY_QUEUE: &str = "alerts";
/// Whose jobs they are. Nobody else can make any that is heeded.
pub const NOTIFY_TENANT: &str = "system";
/// The rule that a test speaks of.
const TEST_RULE: &str = "JobForgeTest";
/// The longest name of a series in a sentence.
const SERIES_CHARS: usize = 200;

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Something is wrong.
    Firing,
    /// It is well again.
    Resolved,
    /// Nothing is wrong; somebody tries the channel.
    Test,
}

impl Says {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// To which channel.
    pub channel: String,
    /// What it says.
    pub says: Says,
    /// About which rule.
    pub rule: String,
    /// The name that was drawn for the database; receivers tell incidents apart by it.
    pub fleet: String,
    /// When it was written.
    pub at: Timestamp,
    /// What it tells of, at most [`MOST_NAMED`].
    pub alerts: Vec<Named>,
    /// How many more there are.
    #[serde(default)]
    pub more: usize,
    /// The channel that could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

/// One alert in a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The series.
    pub labels: Labels,
    /// How much it matters.
    pub severity: Severity,
    /// Since when it fires.
    pub fired_at: Timestamp,
    /// When it ceased to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// What the rule came to, as text.
    pub value: String,
    /// One sentence with numbers.
    pub summary: String,
}

/// What each server knows of the place it speaks from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// What people call this installation; empty is `JobForge`.
    pub name: String,
    /// Where people reach it; empty is nowhere.
    pub url: String,
}

impl Place {
    fn name(&self) -> &str {
        if self.name.is_empty() { "JobForge" } else { &self.name }
    }
}

/// A notice, and the key under which it is enqueued once.
#[derive(Debug, Clone, PartialEq)]
pub struct Keyed {
    /// The same for every judge that plans this message from the same facts.
    pub key: String,
    /// The message.
    pub notice: Notice,
}

/// The notices of a planned message. `per_alert` is for receivers that keep an incident for each alert: what does not
/// fit into one notice is then told in others instead of being counted.
pub fn notices(
    message: &Message,
    told: &[Told],
    over: &[AlertRow],
    fleet: &str,
    per_alert: bool,
    at: Timestamp,
) -> Vec<Keyed> {
    let says = if message.resolved { Says::Resolved } else { Says::Firing };
    // In one order, so that two judges cut them alike.
    let mut alerts = message.alerts.clone();
    alerts.sort_by(|one, other| one.labels.cmp(&other.labels));
    let parts: Vec<&[Active]> = if per_alert { alerts.chunks(MOST_NAMED).collect() } else { vec![&alerts] };
    let keyed = |alerts: &[Active]| Keyed {
        key: key(message, says, alerts, told),
        notice: Notice {
            channel: message.channel.clone(),
            says,
            rule: message.rule.clone(),
            fleet: fleet.to_owned(),
            at,
            alerts: alerts.iter().take(MOST_NAMED).map(|alert| tells(alert, over)).collect(),
            more: alerts.len().saturating_sub(MOST_NAMED),
            instead_of: None,
        },
    };
    parts.into_iter().map(keyed).collect()
}

/// A message that tries a channel.
pub fn test(channel: &str, fleet: &str, by: &str, at: Timestamp) -> Notice {
    let alert = Named {
        labels: Labels::from([("channel".to_owned(), channel.to_owned())]),
        severity: Severity::Info,
        fired_at: at,
        resolved_at: None,
        value: "1".to_owned(),
        summary: format!("{by} tries the channel {channel}. Nothing is wrong."),
    };
    Notice {
        channel: channel.to_owned(),
        says: Says::Test,
        rule: TEST_RULE.to_owned(),
        fleet: fleet.to_owned(),
        at,
        alerts: vec![alert],
        more: 0,
        instead_of: None,
    }
}

/// The same message to the channel behind the channel.
pub fn fallback(notice: &Notice, to: &str) -> Notice {
    Notice { channel: to.to_owned(), instead_of: Some(notice.channel.clone()), ..notice.clone() }
}

/// One alert; of one that is over the plan knows only which it was, and the database the rest.
fn tells(alert: &Active, over: &[AlertRow]) -> Named {
    let is_same = |row: &&AlertRow| {
        row.alert.rule == alert.rule
            && row.alert.labels == alert.labels
            && row.alert.fired_at == alert.fired_at
    };
    let kept = over.iter().find(is_same);
    let full = kept.map_or(alert, |row| &row.alert);
    Named {
        labels: full.labels.clone(),
        severity: full.severity,
        fired_at: full.fired_at.unwrap_or(full.since),
        resolved_at: kept.and_then(|row| row.resolved_at),
        value: text::render("{value}", &full.labels, full.value),
        summary: full.summary.clone(),
    }
}

/// From which episodes the message tells, and when the channel heard of them last: two judges come to the same, and what
/// is told again after hours is another message.
fn key(message: &Message, says: Says, alerts: &[Active], told: &[Told]) -> String {
    let mut episodes: Vec<(String, Option<Timestamp>, Option<Timestamp>)> = alerts
        .iter()
        .map(|alert| {
            let heard = told.iter().find(|told| {
                told.channel == message.channel
                    && told.rule == alert.rule
                    && told.labels == alert.labels
                    && Some(told.fired_at) == alert.fired_at
            });
            (series(&alert.labels), alert.fired_at, heard.map(|told| told.at))
        })
        .collect();
    episodes.sort();
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(&(&message.channel, &message.rule, says, episodes)).unwrap_or_default());
    hex(&hash.finalize(), 32)
}

/// By which a receiver knows one alert from its beginning to its end.
pub fn fingerprint(rule: &str, labels: &Labels) -> String {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(&(rule, labels)).unwrap_or_default());
    hex(&hash.finalize(), 16)
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.chars().take(digits).collect()
}

/// A series as people read it.
fn series(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    clip(&pairs.join(", "), SERIES_CHARS)
}

/// What a rule means.
fn description(rule: &str) -> &'static str {
    rules().into_iter().find(|known| known.name == rule).map_or("", |known| known.description)
}

/// At most so many characters, with a sign that there was more.
fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

impl Notice {
    /// The most that any of its alerts matters.
    pub fn severity(&self) -> Severity {
        self.alerts.iter().map(|alert| alert.severity).max().unwrap_or(Severity::Info)
    }

    /// One line that says it all.
    pub fn headline(&self) -> String {
        let count = self.alerts.len() + self.more;
        let many = if count > 1 { format!(" ({count})") } else { String::new() };
        match self.says {
            Says::Firing => format!("{}: {}{many}", self.severity().word().to_uppercase(), self.rule),
            Says::Resolved => format!("RESOLVED: {}{many}", self.rule),
            Says::Test => format!("TEST: {}", self.channel),
        }
    }

    /// The alerts in sentences, one each.
    fn sentences(&self) -> impl Iterator<Item = String> {
        let over = self.says == Says::Resolved;
        self.alerts.iter().map(move |alert| {
            let what = if alert.summary.is_empty() { series(&alert.labels) } else { alert.summary.clone() };
            match (over, alert.resolved_at) {
                (true, Some(at)) => format!("{what} (from {} until {})", minute(alert.fired_at), minute(at)),
                (true, None) => format!("{what} (from {})", minute(alert.fired_at)),
                (false, _) => format!("{what} (since {})", minute(alert.fired_at)),
            }
        })
    }

    /// What follows the alerts that are named.
    fn rest(&self) -> Option<String> {
        (self.more > 0).then(|| format!("and {} more", self.more))
    }

    /// Why this channel is told.
    fn detour(&self) -> Option<String> {
        let channel = self.instead_of.as_ref()?;
        Some(format!("The channel {channel} could not be told, so this one is."))
    }
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests;
