//! From flags, environment and file to settings.

use std::collections::BTreeMap;
use std::path::Path;

use jobforge::core::settings::{Layers, Settings, resolve};

use crate::cli::Global;
use crate::failure::{self, Failure};

/// Resolves the settings; `flags` holds what the command's own flags set, by key.
pub(crate) fn settings(global: &Global, mut flags: BTreeMap<String, String>) -> Result<Settings, Failure> {
    if let Some(url) = &global.database_url {
        flags.insert("database_url".to_owned(), url.clone());
    }
    if let Some(directory) = &global.data_dir {
        flags.insert("data_dir".to_owned(), directory.display().to_string());
    }
    let file = global.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let layers = Layers { flags, env: &environment, file, stored: BTreeMap::new() };
    resolve(&layers).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(failure::CONFIG, lines.join("\n       "))
            .hint("`jobforge help-settings` lists every setting")
    })
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
