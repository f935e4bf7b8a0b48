//! `jobforge config` and `jobforge flag`: settings that every process goes by.

use std::collections::BTreeMap;

use jobforge::core::audit::{AuditFilter, Entry};
use jobforge::core::settings::{Change, Kind, SETTINGS, Settings, Stored, flag_key, flag_name};
use jobforge::core::time::{Now, add, parse_duration, since, words};
use jobforge::store::rows::MAX_PAGE;
use jobforge::{ChangeError, ChangeReport, Client, change_back, change_settings};

use super::Context;
use crate::cli::{ConfigCommand, FlagCommand};
use crate::failure::{self, Failure};
use crate::output;

pub(crate) async fn run(context: Context, command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::List { stored } => list(&context, stored).await,
        ConfigCommand::Get { key } => get(&context, &key).await,
        ConfigCommand::Set { pairs, good_for, expect } => {
            let pairs = pairs.iter().map(|pair| pair_of(pair)).collect::<Result<Vec<_>, _>>()?;
            set(&context, pairs, good_for.as_deref(), expect).await
        }
        ConfigCommand::Unset { keys } => {
            set(&context, keys.into_iter().map(|key| (key, None)).collect(), None, None).await
        }
        ConfigCommand::Revert { key } => revert(&context, &key).await,
        ConfigCommand::History { key, limit } => history(&context, key, limit).await,
    }
}

pub(crate) async fn flag(context: Context, command: FlagCommand) -> Result<(), Failure> {
    match command {
        FlagCommand::List => flags(&context).await,
        FlagCommand::Set { name, state, good_for } => {
            let key = flag_key(&name).ok_or_else(|| {
                let known: Vec<String> =
                    SETTINGS.iter().filter(|s| s.kind == Kind::Flag).map(|s| flag_name(s.key)).collect();
                Failure::usage(format!("{name:?} is not a flag; known are {}", known.join(", ")))
            })?;
            if !["on", "off"].contains(&state.as_str()) {
                return Err(Failure::usage(format!("a flag is switched on or off, not {state:?}")));
            }
            set(&context, vec![(key.to_owned(), Some(state))], good_for.as_deref(), None).await
        }
    }
}

fn pair_of(text: &str) -> Result<(String, Option<String>), Failure> {
    let pair = text.split_once('=').map(|(key, value)| (key.trim().to_owned(), Some(value.to_owned())));
    pair.ok_or_else(|| Failure::usage(format!("{text:?} is not KEY=VALUE")))
}

/// What is stored, and what counts in a process with this one's flags, environment and file.
async fn look(context: &Context, client: &Client) -> Result<(Stored, Settings), Failure> {
    let stored = client.store().stored_settings(Now::Database).await?;
    let settings = context.own.above(stored.layer()).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::new(failure::CONFIG, lines.join("\n       "))
    })?;
    Ok((stored, settings))
}

async fn list(context: &Context, only_stored: bool) -> Result<(), Failure> {
    let client = context.visit().await?;
    let (stored, settings) = look(context, &client).await?;
    if context.json && only_stored {
        return output::json(&stored);
    }
    let shown = settings.iter().filter(|resolved| !only_stored || stored.get(resolved.setting.key).is_some());
    if context.json {
        let all: Vec<_> = shown
            .map(|resolved| {
                let setting = resolved.setting;
                serde_json::json!({
                    "key": setting.key, "value": resolved.shown(), "source": resolved.source.to_string(),
                    "default": setting.default, "effect": setting.effect.as_str(),
                })
            })
            .collect();
        return output::json(&serde_json::json!({ "version": stored.version, "settings": all }));
    }
    let now = stored.as_of;
    let rows = shown
        .map(|resolved| {
            let kept = stored.get(resolved.setting.key);
            let until = kept.and_then(|kept| kept.expires_at);
            let by =
                kept.map(|kept| format!("{}, {} ago", kept.updated_by, words(since(now, kept.updated_at))));
            vec![
                resolved.setting.key.to_owned(),
                resolved.shown().to_owned(),
                resolved.source.to_string(),
                resolved.setting.effect.as_str().to_owned(),
                until.map(|until| format!("{until:.0}")).unwrap_or_default(),
                by.unwrap_or_default(),
            ]
        })
        .collect();
    output::table(&["setting", "value", "from", "effect", "until", "stored by"], &[], rows);
    output::note(&format!(
        "version {}; what is set by flag, environment or file is stronger than what is stored",
        stored.version
    ));
    Ok(())
}

async fn get(context: &Context, key: &str) -> Result<(), Failure> {
    let client = context.visit().await?;
    let (_, settings) = look(context, &client).await?;
    let Some(resolved) = settings.get(key) else {
        return Err(
            Failure::usage(format!("{key:?} is not a setting")).hint("`jobforge config list` lists them")
        );
    };
    if context.json {
        return output::json(&serde_json::json!({
            "key": key, "value": resolved.shown(), "source": resolved.source.to_string(),
        }));
    }
    output::say(resolved.shown());
    Ok(())
}

async fn set(
    context: &Context,
    pairs: Vec<(String, Option<String>)>,
    good_for: Option<&str>,
    expect: Option<u64>,
) -> Result<(), Failure> {
    let good_for = good_for.map(parse_duration).transpose();
    let good_for = good_for.map_err(|fault| Failure::usage(format!("--for: {fault}")))?;
    let client = context.visit().await?;
    let until = match good_for {
        Some(time) => Some(add(client.store().now().await?, time)),
        None => None,
    };
    let changes: Vec<Change> = pairs.into_iter().map(|(key, value)| Change { key, value, until }).collect();
    make(context, &client, &changes, expect).await
}

async fn revert(context: &Context, key: &str) -> Result<(), Failure> {
    let client = context.visit().await?;
    let back = change_back(&**client.store(), key).await.map_err(|error| explain(context, error))?;
    make(context, &client, &[back], None).await
}

async fn make(
    context: &Context,
    client: &Client,
    changes: &[Change],
    expect: Option<u64>,
) -> Result<(), Failure> {
    // Checked as a process would see them that has nothing of its own: this one's environment is not the servers'.
    let none = jobforge::live::OwnSettings::none();
    let report = change_settings(&**client.store(), &none, changes, expect, client.by()).await;
    tell(context, &report.map_err(|error| explain(context, error))?)
}

fn explain(context: &Context, error: ChangeError) -> Failure {
    match error {
        ChangeError::Store(error) => context.explain_open(&error),
        ChangeError::Outdated { .. } => Failure::new(failure::CONFLICT, error.to_string()),
        ChangeError::Refused(_) => Failure::usage(format!("nothing was changed: {error}"))
            .hint("`jobforge config list` lists every setting"),
        ChangeError::NoHistory(_) => Failure::new(failure::CONFLICT, error.to_string()),
    }
}

fn tell(context: &Context, report: &ChangeReport) -> Result<(), Failure> {
    if context.json {
        return output::json(report);
    }
    for change in &report.changes {
        let when = match change.effect {
            "restart" => "for processes that start from now on",
            _ => "on every process within seconds",
        };
        output::say(&format!("{} is {:?}, was {:?}, {when}", change.key, change.new, change.old));
    }
    output::note(&format!("version {}; undo with `jobforge config revert KEY`", report.version));
    Ok(())
}

async fn history(context: &Context, key: Option<String>, limit: usize) -> Result<(), Failure> {
    let client = context.visit().await?;
    let action = Some("setting.set".to_owned());
    let filter = AuditFilter { action, target: key, ..AuditFilter::default() };
    let entries = client.store().audit(&filter, limit.clamp(1, MAX_PAGE)).await?;
    if context.json {
        return output::json(&entries);
    }
    if entries.is_empty() {
        output::note("no setting was ever stored");
        return Ok(());
    }
    let now = client.store().now().await?;
    let row = |entry: &Entry| {
        let (before, after) = (values(entry.before.as_ref()), values(entry.after.as_ref()));
        let value = |map: &BTreeMap<String, serde_json::Value>, key: &str| {
            map.get(key).map_or_else(String::new, |value| match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => "-".to_owned(),
                other => other.to_string(),
            })
        };
        vec![
            value(&after, "version"),
            format!("{} ago", words(since(now, entry.at))),
            entry.target.clone().unwrap_or_default(),
            value(&before, "value"),
            value(&after, "value"),
            entry.by.actor.clone(),
            entry.by.reason.clone().unwrap_or_default(),
        ]
    };
    let rows = entries.iter().map(row).collect();
    output::table(&["version", "when", "setting", "old", "new", "who", "why"], &[0], rows);
    Ok(())
}

fn values(text: Option<&String>) -> BTreeMap<String, serde_json::Value> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

async fn flags(context: &Context) -> Result<(), Failure> {
    let client = context.visit().await?;
    let (stored, settings) = look(context, &client).await?;
    let flags = settings.iter().filter(|resolved| resolved.setting.kind == Kind::Flag);
    let until = |key: &str| stored.get(key).and_then(|kept| kept.expires_at);
    if context.json {
        let all: Vec<_> = flags
            .map(|flag| {
                serde_json::json!({
                    "name": flag_name(flag.setting.key), "enabled": flag.value == "true",
                    "source": flag.source.to_string(), "until": until(flag.setting.key),
                })
            })
            .collect();
        return output::json(&all);
    }
    let rows = flags
        .map(|flag| {
            vec![
                flag_name(flag.setting.key),
                if flag.value == "true" { "on" } else { "off" }.to_owned(),
                flag.source.to_string(),
                until(flag.setting.key).map(|until| format!("{until:.0}")).unwrap_or_default(),
                flag.setting.doc.to_owned(),
            ]
        })
        .collect();
    output::table(&["flag", "is", "from", "until", "meaning"], &[], rows);
    Ok(())
}
