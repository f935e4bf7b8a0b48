//! From flags, environment and file to settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jobforge::core::schedule::{Definition, overridden};
use jobforge::core::settings::Settings;
use jobforge::live::OwnSettings;
use jobforge::notify::ChannelTable;

use crate::cli::Global;
use crate::credentials;
use crate::failure::{self, Failure};

/// What flags, environment and file say.
pub(crate) struct Read {
    /// The settings.
    pub(crate) settings: Settings,
    /// The layers that this process has of its own.
    pub(crate) own: OwnSettings,
    /// The schedules of the file, with the intervals that the environment says.
    pub(crate) schedules: Vec<Definition>,
    /// The channels of the file.
    pub(crate) channels: Vec<ChannelTable>,
}

/// What a file says.
#[derive(Default)]
struct File {
    settings: BTreeMap<String, String>,
    schedules: Vec<Definition>,
    channels: Vec<ChannelTable>,
}

/// Resolves the settings, and gives the layers that this process has of its own; `flags` holds what the command's own
/// flags set, by key.
pub(crate) fn settings(global: &Global, mut flags: BTreeMap<String, String>) -> Result<Read, Failure> {
    if let Some(url) = &global.database_url {
        flags.insert("database_url".to_owned(), url.clone());
    }
    if let Some(directory) = &global.data_dir {
        flags.insert("data_dir".to_owned(), directory.display().to_string());
    }
    let File { settings: file, schedules, channels } =
        global.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let mut own = OwnSettings { flags, env: Arc::new(environment), file };
    let settings = credentials::with_files(&mut own)?;
    Ok(Read { settings, own, schedules, channels })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the settings registry asks by name; this is where the names are looked up"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads `key = value` pairs, `[[schedules]]` and `[[alert_channels]]`; no other table is used, for every key is whole.
fn read_file(path: &Path) -> Result<File, Failure> {
    let fail = |what: String| Failure::new(failure::CONFIG, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let mut table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| fail(error.message().to_owned()))?;
    let schedules = tables(&mut table, "schedules", schedule).map_err(fail)?;
    let channels = tables(&mut table, "alert_channels", channel).map_err(fail)?;
    let settings = table
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
        .collect::<Result<_, _>>()?;
    Ok(File { settings, schedules, channels })
}

/// Takes tables of one name out, in order.
fn tables<T>(
    file: &mut toml::Table,
    name: &str,
    read: fn(usize, &toml::Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match file.remove(name) {
        None => Ok(Vec::new()),
        Some(toml::Value::Array(all)) => {
            all.iter().enumerate().map(|(index, one)| read(index, one)).collect()
        }
        Some(_) => Err(format!("{name} must be written as [[{name}]] tables")),
    }
}

/// What a table is called in a complaint.
fn called(index: usize, table: &toml::Value, kind: &str) -> String {
    let named = table.get("name").and_then(|name| name.as_str());
    named.map_or_else(|| format!("the {kind} at place {}", index + 1), |name| format!("{kind} {name}"))
}

/// One `[[alert_channels]]`.
fn channel(index: usize, table: &toml::Value) -> Result<ChannelTable, String> {
    // The fault alone: the text around it holds secrets.
    let read = serde_json::to_value(table).and_then(serde_json::from_value);
    read.map_err(|fault| format!("{}: {fault}", called(index, table, "alert channel")))
}

/// One `[[schedules]]`; its interval may come from the environment.
fn schedule(index: usize, table: &toml::Value) -> Result<Definition, String> {
    let which = called(index, table, "schedule");
    let read = serde_json::to_value(table).and_then(serde_json::from_value);
    let definition: Definition = read.map_err(|error| format!("{which}: {error}"))?;
    let (definition, variable) =
        overridden(definition, &environment).map_err(|fault| format!("{which}: {fault}"))?;
    if let (Some(variable), Some(every)) = (variable, &definition.every) {
        tracing::debug!("{which} runs every {every}, as {variable} says");
    }
    Ok(definition)
}
