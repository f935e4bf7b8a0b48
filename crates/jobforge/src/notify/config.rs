//! Channels from the settings and from `[[alert_channels]]` of the configuration file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jobforge_core::alert::notice::Place;
use jobforge_core::alert::route::{Channel, QuietHours};
use jobforge_core::alert::rules::Severity;
use jobforge_core::enqueue::check_name;
use jobforge_core::settings::Settings;
use jobforge_core::time::parse_duration;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Channels, Configured, REPEAT, REPEAT_CRITICAL, Target, email};
use crate::builtin::secrets::Secret;
use crate::builtin::webhook::SigningKeys;

/// The shortest repetition that makes sense.
const LEAST_REPEAT: Duration = Duration::from_secs(300);
/// Channels of one server at most.
const MOST_CHANNELS: usize = 50;

/// What kind of receiver a channel leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// Slack's incoming webhook.
    Slack,
    /// PagerDuty's Events API v2.
    Pagerduty,
    /// Whatever takes what Prometheus' Alertmanager sends.
    Webhook,
    /// Mail.
    Email,
}

/// One `[[alert_channels]]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelTable {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: ChannelKind,
    /// Slack's or the webhook's address, or where PagerDuty takes events.
    pub url: Option<String>,
    /// File that holds it.
    pub url_file: Option<String>,
    /// PagerDuty's integration key.
    pub key: Option<String>,
    /// File that holds it.
    pub key_file: Option<String>,
    /// The webhook's signing secret.
    pub secret: Option<String>,
    /// File that holds it.
    pub secret_file: Option<String>,
    /// Who gets mail.
    #[serde(default)]
    pub to: Vec<String>,
    /// From whom.
    pub from: Option<String>,
    /// The mail server.
    pub smtp_url: Option<String>,
    /// File that holds it.
    pub smtp_url_file: Option<String>,
    /// The least severity that it is told of.
    pub least: Option<Severity>,
    /// How often it is told again, such as `4h`.
    pub repeat: Option<String>,
    /// Which channel stands in for it.
    pub fallback: Option<String>,
    /// When only what is critical is told; empty is never.
    pub quiet_hours: Option<String>,
}

impl fmt::Debug for ChannelTable {
    /// Addresses and keys are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelTable")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Channels {
    /// Reads the channels of the file and those of the settings.
    ///
    /// # Errors
    /// One sentence that names the channel and what is wrong; never with a secret in it.
    pub fn read(settings: &Settings, tables: &[ChannelTable]) -> Result<Self, String> {
        let mut channels = Self {
            place: Place {
                name: settings.text("fleet_name").to_owned(),
                url: settings.text("public_url").trim_end_matches('/').to_owned(),
            },
            ..Self::default()
        };
        let quiet = quiet("alert_quiet_hours", settings.text("alert_quiet_hours"))?;
        for table in tables.iter().chain(&from_settings(settings)?) {
            let one = configured(table, quiet.as_ref())
                .map_err(|fault| format!("alert channel {}: {fault}", table.name))?;
            if channels.by_name.insert(table.name.clone(), one).is_some() {
                return Err(format!("alert channel {} is configured twice", table.name));
            }
        }
        if channels.by_name.len() > MOST_CHANNELS {
            return Err(format!(
                "{} alert channels are configured; at most {MOST_CHANNELS}",
                channels.by_name.len()
            ));
        }
        let default = settings.text("alert_fallback");
        if !default.is_empty() && !channels.has(default) {
            return Err(format!("alert_fallback is {default:?}, which is no channel"));
        }
        for one in channels.by_name.values_mut() {
            if one.fallback.is_none() && !default.is_empty() && one.channel.name != default {
                one.fallback = Some(default.to_owned());
            }
        }
        for one in channels.by_name.values() {
            let name = &one.channel.name;
            match &one.fallback {
                Some(fallback) if fallback == name => {
                    return Err(format!("alert channel {name} falls back to itself"));
                }
                Some(fallback) if !channels.has(fallback) => {
                    return Err(format!(
                        "alert channel {name} falls back to {fallback:?}, which is no channel"
                    ));
                }
                Some(_) | None => {}
            }
        }
        Ok(channels)
    }
}

/// The channels that are set by single settings.
fn from_settings(settings: &Settings) -> Result<Vec<ChannelTable>, String> {
    let given = |key: &str| Some(settings.text(key).to_owned()).filter(|text| !text.is_empty());
    let secret = |key: &str| one_of(key, given(key).as_ref(), given(&format!("{key}_file")).as_ref());
    let table = |name: &str, kind| ChannelTable {
        name: name.to_owned(),
        kind,
        url: None,
        url_file: None,
        key: None,
        key_file: None,
        secret: None,
        secret_file: None,
        to: Vec::new(),
        from: None,
        smtp_url: None,
        smtp_url_file: None,
        least: None,
        repeat: None,
        fallback: None,
        quiet_hours: None,
    };
    let mut tables = Vec::new();
    if let Some(url) = secret("alert_slack_url")? {
        tables.push(ChannelTable { url: Some(url), ..table("slack", ChannelKind::Slack) });
    }
    if let Some(key) = secret("alert_pagerduty_key")? {
        let url = given("alert_pagerduty_url");
        tables.push(ChannelTable { key: Some(key), url, ..table("pagerduty", ChannelKind::Pagerduty) });
    }
    if let Some(url) = secret("alert_webhook_url")? {
        let secret = secret("alert_webhook_secret")?;
        tables.push(ChannelTable { url: Some(url), secret, ..table("webhook", ChannelKind::Webhook) });
    }
    let (to, smtp_url) = (settings.list("alert_email_to"), secret("alert_smtp_url")?);
    match (to.is_empty(), smtp_url) {
        (true, None) => {}
        (false, None) => return Err("alert_email_to is set, but alert_smtp_url is not".to_owned()),
        (true, Some(_)) => return Err("alert_smtp_url is set, but alert_email_to is not".to_owned()),
        (false, smtp_url) => {
            let from = given("alert_email_from");
            tables.push(ChannelTable { to, from, smtp_url, ..table("email", ChannelKind::Email) });
        }
    }
    Ok(tables)
}

fn configured(table: &ChannelTable, quiet_everywhere: Option<&QuietHours>) -> Result<Configured, String> {
    check_name(&table.name).map_err(|fault| format!("name: {fault}"))?;
    let target = target(table)?;
    let (least, repeat) = match table.kind {
        ChannelKind::Pagerduty => (Severity::Critical, REPEAT_CRITICAL),
        ChannelKind::Slack | ChannelKind::Webhook | ChannelKind::Email => (Severity::Warning, REPEAT),
    };
    let repeat = match &table.repeat {
        None => repeat,
        Some(text) => parse_duration(text).map_err(|fault| format!("repeat: {fault}"))?,
    };
    if repeat < LEAST_REPEAT {
        return Err("repeat must be 5m or more".to_owned());
    }
    let quiet = match &table.quiet_hours {
        None => quiet_everywhere.cloned(),
        Some(text) => quiet("quiet_hours", text)?,
    };
    Ok(Configured {
        channel: Channel { name: table.name.clone(), least: table.least.unwrap_or(least), repeat },
        fallback: table.fallback.clone(),
        quiet,
        target,
    })
}

fn quiet(origin: &str, text: &str) -> Result<Option<QuietHours>, String> {
    match text.trim() {
        "" => Ok(None),
        text => QuietHours::from_str(text).map(Some).map_err(|fault| format!("{origin}: {fault}")),
    }
}

fn target(table: &ChannelTable) -> Result<Target, String> {
    let url = one_of("url", table.url.as_ref(), table.url_file.as_ref())?;
    let key = one_of("key", table.key.as_ref(), table.key_file.as_ref())?;
    let secret = one_of("secret", table.secret.as_ref(), table.secret_file.as_ref())?;
    let smtp_url = one_of("smtp_url", table.smtp_url.as_ref(), table.smtp_url_file.as_ref())?;
    let needs = |what: &str| format!("{what} is missing");
    match table.kind {
        ChannelKind::Slack => Ok(Target::Slack { url: address("url", url.ok_or_else(|| needs("url"))?)? }),
        ChannelKind::Pagerduty => {
            let url = url.unwrap_or_else(|| "https://events.pagerduty.com/v2/enqueue".to_owned());
            let url = Url::parse(address("url", url)?.reveal()).map_err(|_| "url is no URL".to_owned())?;
            Ok(Target::PagerDuty { url, key: Secret::new(key.ok_or_else(|| needs("key"))?) })
        }
        ChannelKind::Webhook => {
            let secret = secret.map(Secret::new);
            if let Some(secret) = &secret {
                // The fault of a key names it only by what it is for.
                SigningKeys::read("secret", secret)
                    .map_err(|_| "secret must be whsec_ and the Base64 of at least 16 bytes".to_owned())?;
            }
            Ok(Target::Webhook { url: address("url", url.ok_or_else(|| needs("url"))?)?, secret })
        }
        ChannelKind::Email => {
            let smtp = Secret::new(smtp_url.ok_or_else(|| needs("smtp_url"))?);
            email::transport(&smtp)?;
            let mailbox = |field: &str, text: &str| {
                text.trim().parse::<Mailbox>().map_err(|_| format!("{field}: {text:?} is no mail address"))
            };
            let to: Vec<Mailbox> =
                table.to.iter().map(|text| mailbox("to", text)).collect::<Result<_, _>>()?;
            if to.is_empty() {
                return Err(needs("to"));
            }
            let from = mailbox("from", table.from.as_deref().unwrap_or("jobforge@localhost"))?;
            Ok(Target::Email { smtp, from, to })
        }
    }
}

/// An address over HTTP. What is written in it may be a secret, so it is not repeated.
fn address(field: &str, text: String) -> Result<Secret, String> {
    let url = Url::parse(&text).map_err(|error| format!("{field} is no URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(format!("{field} must begin with https:// or http://"));
    }
    Ok(Secret::new(text))
}

/// A secret itself, or the content of the file that is named for it.
fn one_of(key: &str, given: Option<&String>, file: Option<&String>) -> Result<Option<String>, String> {
    match (given, file) {
        (None, None) => Ok(None),
        (Some(given), None) if given.trim().is_empty() => Err(format!("{key} is empty")),
        (Some(given), None) => Ok(Some(given.trim().to_owned())),
        (Some(_), Some(_)) => Err(format!("{key} and {key}_file are both set; remove one of them")),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("{key}_file is {file}, which cannot be read: {error}"))?;
            match text.trim() {
                "" => Err(format!("{key}_file is {file}, which is empty")),
                text => Ok(Some(text.to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jobforge_core::settings::{Layers, resolve};

    use super::*;

    fn settings(env: &[(&str, &str)]) -> Settings {
        let look =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let layers = Layers {
            flags: Default::default(),
            env: &look,
            file: Default::default(),
            stored: Default::default(),
        };
        resolve(&layers).expect("settings")
    }

    fn table(text: &str) -> ChannelTable {
        serde_json::from_str(text).expect("a table")
    }

    #[test]
    fn an_empty_secret_is_refused_before_somebody_should_be_woken() {
        let empty = table(r#"{"name": "oncall", "kind": "pagerduty", "key": " "}"#);
        let told = Channels::read(&settings(&[]), &[empty]).expect_err("no key");
        assert!(told.contains("key is empty"), "{told}");
    }

    #[test]
    fn the_environment_is_enough_for_the_common_case() {
        let key = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(key.path(), "R0UT1NGKEY\n").expect("written");
        let settings = settings(&[
            ("JOBFORGE_ALERT_SLACK_URL", "https://hooks.slack.example/services/T/B/hunter2"),
            ("JOBFORGE_ALERT_PAGERDUTY_KEY_FILE", key.path().to_str().expect("a path")),
            ("JOBFORGE_ALERT_EMAIL_TO", "a@example.org,Ada <ada@example.org>"),
            ("JOBFORGE_ALERT_SMTP_URL", "smtp://localhost:2525"),
            ("JOBFORGE_ALERT_FALLBACK", "email"),
        ]);
        let channels = Channels::read(&settings, &[]).expect("channels");
        let views = channels.views();
        let told: Vec<_> =
            views.iter().map(|view| (view.name.as_str(), view.least, view.fallback.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("email", "warning", None),
                ("pagerduty", "critical", Some("email")),
                ("slack", "warning", Some("email"))
            ]
        );
        let printed = format!("{channels:?} {settings:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("R0UT1NG"), "{printed}");
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_channel_and_without_its_secret() {
        let cases = [
            (r#"{"name":"x","kind":"slack"}"#, "url is missing"),
            (r#"{"name":"x","kind":"slack","url":"hunter2"}"#, "url is no URL"),
            (r#"{"name":"x","kind":"slack","url":"ftp://h/hunter2"}"#, "https://"),
            (r#"{"name":"x","kind":"pagerduty"}"#, "key is missing"),
            (r#"{"name":"x","kind":"webhook","url":"https://h/","secret":"hunter2"}"#, "whsec_"),
            (
                r#"{"name":"x","kind":"email","smtp_url":"smtp://localhost","to":["nobody"]}"#,
                "no mail address",
            ),
            (r#"{"name":"x","kind":"email","smtp_url":"http://hunter2","to":["a@b.c"]}"#, "smtp"),
            (r#"{"name":"x","kind":"slack","url":"https://h/","repeat":"1s"}"#, "5m or more"),
            (r#"{"name":"x","kind":"slack","url":"https://h/","quiet_hours":"night"}"#, "quiet_hours"),
            (r#"{"name":"x","kind":"slack","url":"https://h/","fallback":"y"}"#, "no channel"),
            (r#"{"name":"x","kind":"slack","url":"https://h/","fallback":"x"}"#, "itself"),
            (r#"{"name":"x","kind":"slack","url":"https://h/","url_file":"/f"}"#, "both set"),
            (r#"{"name":"x","kind":"slack","url_file":"/does/not/exist"}"#, "cannot be read"),
        ];
        for (text, expected) in cases {
            let fault = Channels::read(&settings(&[]), &[table(text)]).expect_err(text);
            assert!(fault.contains(expected) && fault.contains('x'), "{text}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        assert!(serde_json::from_str::<ChannelTable>(r#"{"name":"x","kind":"slack","ulr":"h"}"#).is_err());
    }
}
