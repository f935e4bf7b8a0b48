//! From flags, environment and file to settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jobforge::core::settings::Settings;
use jobforge::live::OwnSettings;

use crate::cli::Global;
use crate::failure::{self, Failure};

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

/// Reads `key = value` pairs; tables are not used, for every key is whole.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let fail = |what: String| Failure::new(failure::CONFIG, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| fail(error.message().to_owned()))?;
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
