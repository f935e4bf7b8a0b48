//! References to secrets: a payload names one, the worker knows it, and nothing else ever shows it.
//!
//! The name `stripe_key` is looked up as the environment variable `JOBFORGE_SECRET_STRIPE_KEY`, then as the file
//! `stripe_key` in the secrets folder. No other variable or file can be named.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use jobforge_core::redact::REDACTED;

use crate::job_error::JobError;

const NAME_BYTES: usize = 64;
/// No key or token is longer; the wrong file might be.
const SECRET_BYTES: u64 = 64 * 1024;
/// A shorter secret is not searched for in answers: it would be found everywhere.
const REDACT_FROM_BYTES: usize = 6;

/// Where secrets come from and where they may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretsConfig {
    /// A folder with one file per secret.
    pub folder: Option<PathBuf>,
    /// The hosts a secret may be sent to, by its name: `api.example.com` or `*.example.com`. A secret that is not
    /// listed may be sent to any host that a payload names.
    pub hosts: BTreeMap<String, Vec<String>>,
}

/// The value of a secret. It prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the value, for the one place that sends it or signs with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns `text` without the secret. A server may echo what it was sent.
    pub fn redact(&self, text: String) -> String {
        if self.0.len() >= REDACT_FROM_BYTES && text.contains(&self.0) {
            text.replace(&self.0, REDACTED)
        } else {
            text
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Finds secrets by name.
#[derive(Debug, Clone)]
pub struct Secrets {
    config: SecretsConfig,
    variable: fn(&str) -> Option<String>,
}

impl Secrets {
    /// Looks in the environment of this process and in the configured folder.
    pub fn new(config: SecretsConfig) -> Self {
        Self { config, variable: environment }
    }

    /// Returns the secret called `name`.
    ///
    /// # Errors
    /// Fatal `invalid_payload` for a name that no secret can have, fatal `secret_missing` when there is none or it is
    /// empty, retryable `secret_unreadable` when its file cannot be read. None of them shows a value.
    pub fn get(&self, field: &str, name: &str) -> Result<Secret, JobError> {
        if !is_name(name) {
            let problem = "names of secrets have 1 to 64 characters of a-z, 0-9, `_` and `-`";
            return Err(super::invalid_payload(field, problem));
        }
        let variable = format!("JOBFORGE_SECRET_{}", name.to_uppercase().replace('-', "_"));
        let value = match (self.variable)(&variable) {
            Some(value) => Some(value),
            None => self.read_file(name)?,
        };
        let value = value.map(|value| value.trim_end_matches(['\r', '\n']).to_owned()).unwrap_or_default();
        if value.is_empty() {
            let text = format!(
                "the secret {name:?} (payload field `{field}`) is not known to this worker; its operator sets {variable} \
                 or a file {name} in the folder of JOBFORGE_SECRETS_DIR"
            );
            return Err(JobError::fatal("secret_missing", text));
        }
        Ok(Secret(value))
    }

    /// Returns the secret called `name` if it may be sent to `host`.
    ///
    /// # Errors
    /// As [`Secrets::get`]; fatal `secret_not_for_host` when the operator bound it to other hosts.
    pub fn get_for_host(&self, field: &str, name: &str, host: &str) -> Result<Secret, JobError> {
        if let Some(patterns) = self.config.hosts.get(name)
            && !patterns.iter().any(|pattern| host_matches(pattern, host))
        {
            let text = format!(
                "the secret {name:?} (payload field `{field}`) may not be sent to {host}; its operator lists its hosts in \
                 JOBFORGE_SECRET_HOSTS"
            );
            return Err(JobError::fatal("secret_not_for_host", text));
        }
        self.get(field, name)
    }

    fn read_file(&self, name: &str) -> Result<Option<String>, JobError> {
        let Some(folder) = &self.config.folder else { return Ok(None) };
        // A name has neither `/` nor `.`, so it stays in the folder.
        let read = std::fs::File::open(folder.join(name)).and_then(|file| {
            let mut text = String::new();
            file.take(SECRET_BYTES).read_to_string(&mut text)?;
            Ok(text)
        });
        match read {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                // The kind alone: other texts could quote what was read.
                let text = format!("the file of the secret {name:?} could not be read: {}", error.kind());
                Err(JobError::retry("secret_unreadable", text))
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn host_matches(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => host.len() > suffix.len() && host.ends_with(suffix),
        _ => pattern == host,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "secrets are the one thing that must not pass through the settings registry"
)]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(folder: &std::path::Path) -> Secrets {
        let hosts = BTreeMap::from([(
            "bound".to_owned(),
            vec!["api.example.com".to_owned(), "*.example.org".to_owned()],
        )]);
        let variable = |name: &str| match name {
            "JOBFORGE_SECRET_FROM_ENV" => Some("env-value".to_owned()),
            "JOBFORGE_SECRET_BOUND" => Some("bound-value".to_owned()),
            "JOBFORGE_SECRET_EMPTY" => Some("\n".to_owned()),
            _ => None,
        };
        Secrets { config: SecretsConfig { folder: Some(folder.to_owned()), hosts }, variable }
    }

    #[test]
    fn a_secret_comes_from_its_variable_or_its_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("from-file"), "file-value\n").unwrap();
        let secrets = secrets(folder.path());
        assert_eq!(secrets.get("f", "from-env").unwrap().reveal(), "env-value");
        assert_eq!(secrets.get("f", "from_env").unwrap().reveal(), "env-value");
        assert_eq!(secrets.get("f", "from-file").unwrap().reveal(), "file-value");
    }

    #[test]
    fn no_other_variable_or_file_can_be_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.txt"), "secret").unwrap();
        let secrets = secrets(folder.path());
        for name in ["", "PATH", "../etc/passwd", "x.txt", "/etc/passwd", "a b", "ä", &"a".repeat(65)] {
            let error = format!("{:?}", secrets.get("headers.X", name).unwrap_err());
            assert!(error.contains("invalid_payload") && error.contains("headers.X"), "{name}: {error}");
        }
        for name in ["path", "empty", "nope"] {
            let error = format!("{:?}", secrets.get("secret_ref", name).unwrap_err());
            assert!(
                error.contains("Fatal") && error.contains("secret_missing") && error.contains(name),
                "{error}"
            );
        }
    }

    #[test]
    fn a_bound_secret_goes_to_its_hosts_only() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets(folder.path());
        for host in ["api.example.com", "API.example.com", "a.example.org", "a.b.example.org"] {
            secrets.get_for_host("f", "bound", host).unwrap();
        }
        for host in ["example.com", "example.org", "evil-example.org", "api.example.com.evil.net", "10.0.0.1"]
        {
            let error = format!("{:?}", secrets.get_for_host("f", "bound", host).unwrap_err());
            assert!(error.contains("secret_not_for_host") && !error.contains("bound-value"), "{error}");
        }
        secrets.get_for_host("f", "from_env", "any.host").unwrap();
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("hunter22");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(secret.redact("you sent hunter22!".to_owned()), "you sent [redacted]!");
    }
}
