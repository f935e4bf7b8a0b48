//! From flags, environment and file to settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jobforge::core::settings::Settings;
use jobforge::live::OwnSettings;
use jobforge::notify::ChannelTable;

use crate::cli::Global;
use crate::failure::{self, Failure};

/// The one table of the configuration file.
const CHANNELS: &str = "alert_channels";

/// Resolves the settings, and gives the layers that this process has of its own; `flags` holds what the command's own
/// flags set, by key.
pub(crate) fn settings(
    global: &Global,
    mut flags: BTreeMap<String, String>,
) -> Result<(Settings, OwnSettings), Failure> {
    if let Some(url) = &global.database_url {
        flags.insert("database_url".to_owned(), url.clone());
    }
    if let Some(directory) = &global.data_dir {
        flags.insert("data_dir".to_owned(), directory.display().to_string());
    }
    let file = global.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let own = OwnSettings { flags, env: Arc::new(environment), file };
    match own.above(BTreeMap::new()) {
        Ok(settings) => Ok((settings, own)),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(Failure::new(failure::CONFIG, lines.join("\n       "))
                .hint("`jobforge help-settings` lists every setting"))
        }
    }
}

/// A token that is given, or the content of the file that is named for it.
pub(crate) fn token(settings: &Settings, key: &str) -> Result<Option<String>, Failure> {
    let (given, file) = (settings.text(key), settings.text(&format!("{key}_file")));
    let fail = |what: String| Failure::new(failure::CONFIG, what);
    match (given.is_empty(), file.is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Ok(Some(given.to_owned())),
        (false, false) => Err(fail(format!("{key} and {key}_file are both set; remove one of them"))),
        (true, false) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| fail(format!("{key}_file is {file}, which cannot be read: {error}")))?;
            let text = text.trim().to_owned();
            // A blank file is a mistake that would leave the server open.
            if text.is_empty() {
                Err(fail(format!("{key}_file is {file}, which is empty")))
            } else {
                Ok(Some(text))
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the settings registry asks by name; this is where the names are looked up"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The `[[alert_channels]]` of the configuration file.
pub(crate) fn channels(global: &Global) -> Result<Vec<ChannelTable>, Failure> {
    let Some(path) = global.config.as_deref() else { return Ok(Vec::new()) };
    let fail = |what: String| Failure::new(failure::CONFIG, format!("{}: {what}", path.display()));
    let Some(channels) = read_table(path)?.remove(CHANNELS) else { return Ok(Vec::new()) };
    let all = channels
        .as_array()
        .ok_or_else(|| fail(format!("{CHANNELS} must be written as [[{CHANNELS}]] tables")))?;
    let one = |(index, table): (usize, &toml::Value)| {
        let named = table.get("name").and_then(toml::Value::as_str);
        let which = named.map_or_else(|| format!("at place {}", index + 1), str::to_owned);
        // The fault alone: the text around it holds secrets.
        let read = serde_json::to_value(table).map_err(|error| error.to_string()).and_then(|value| {
            serde_json::from_value::<ChannelTable>(value).map_err(|error| error.to_string())
        });
        read.map_err(|fault| fail(format!("alert channel {which}: {fault}")))
    };
    all.iter().enumerate().map(one).collect()
}

fn read_table(path: &Path) -> Result<toml::Table, Failure> {
    let fail = |what: String| Failure::new(failure::CONFIG, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    text.parse().map_err(|error: toml::de::Error| fail(error.message().to_owned()))
}

/// Reads `key = value` pairs; no table but that of the alert channels is used, for every key is whole.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let fail = |what: String| Failure::new(failure::CONFIG, format!("{}: {what}", path.display()));
    let mut table = read_table(path)?;
    table.remove(CHANNELS);
    table
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                toml::Value::Array(items) => {
                    let items: Vec<String> = items
                        .iter()
                        .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                        .collect();
                    items.join(",")
                }
                toml::Value::Datetime(_) | toml::Value::Table(_) => {
                    return Err(fail(format!("{key} must be a single value")));
                }
            };
            Ok((key, value))
        })
        .collect()
}
