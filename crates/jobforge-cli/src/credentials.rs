//! Secrets that lie in files: those that a service manager hands over, and the URLs of the database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jobforge::core::settings::{SETTINGS, Settings};
use jobforge::live::OwnSettings;

use crate::failure::{self, Failure};

/// Settings whose file is read at once; of all others it is read where it is needed.
const URLS: [&str; 2] = ["database_url", "database_direct_url"];

/// Takes what lies in files into what this process has of its own, and resolves its settings.
pub(crate) fn with_files(own: &mut OwnSettings) -> Result<Settings, Failure> {
    let settings = resolved(own)?;
    let folder = handed_over();
    let found = folder.map(|folder| credentials(&folder, &settings)).unwrap_or_default();
    let urls = URLS.into_iter().filter(|key| !own.flags.contains_key(*key));
    let urls: Vec<&str> = urls
        .filter(|key| {
            !settings.text(&format!("{key}_file")).is_empty() || found.iter().any(|(k, _)| k == key)
        })
        .collect();
    if found.is_empty() && urls.is_empty() {
        return Ok(settings);
    }
    for (key, path) in found {
        own.file.insert(format!("{key}_file"), path.display().to_string());
    }
    let settings = resolved(own)?;
    for key in &urls {
        if let Some(url) = secret(&settings, key)? {
            own.file.insert((*key).to_owned(), url);
        }
    }
    resolved(own)
}

/// A secret that is given, or the content of the file that is named for it.
pub(crate) fn secret(settings: &Settings, key: &str) -> Result<Option<String>, Failure> {
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

fn resolved(own: &OwnSettings) -> Result<Settings, Failure> {
    own.above(BTreeMap::new()).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(failure::CONFIG, lines.join("\n       "))
            .hint("`jobforge help-settings` lists every setting")
    })
}

/// The folder of systemd's credentials.
fn handed_over() -> Option<PathBuf> {
    // Where the service manager has put them: a fact, not a setting of ours.
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Credentials that are named like a secret that nothing else sets. A whole folder that is loaded as `jobforge` gives each
/// of its files that prefix.
fn credentials(folder: &Path, settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let keys = SETTINGS.iter().filter_map(|setting| setting.key.strip_suffix("_file"));
    let unset =
        keys.filter(|key| settings.text(key).is_empty() && settings.text(&format!("{key}_file")).is_empty());
    let found = unset.filter_map(|key| {
        let names = [key.to_owned(), format!("jobforge_{key}")];
        let path = names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file());
        path.map(|path| (key, path))
    });
    found.collect()
}
