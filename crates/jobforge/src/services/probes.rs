//! What the system depends on outside, asked in the background, so that no question about health waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Client;
use tokio_util::sync::CancellationToken;

use crate::builtin::outbound::plain_client;
use crate::clock;

/// Between two rounds.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Probes that health tells of whether they are configured or not, because runbooks look for them.
pub const KNOWN: [&str; 2] = ["groq_api", "google_oauth"];

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeState {
    /// Nothing is to be asked.
    NotConfigured,
    /// It has not been asked yet.
    Pending,
    /// It answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long it took.
        took: Duration,
        /// When.
        at: Instant,
    },
    /// It did not.
    Silent {
        /// Why.
        why: String,
        /// When.
        at: Instant,
    },
}

/// The probes and what they found last.
#[derive(Debug, Clone)]
pub struct Probes {
    targets: Arc<BTreeMap<String, String>>,
    found: Arc<Mutex<BTreeMap<String, ProbeState>>>,
}

impl Probes {
    /// Reads `name=URL` entries.
    ///
    /// # Errors
    /// Names the entry that cannot be read.
    pub fn new(entries: &[String]) -> Result<Self, String> {
        let mut targets = BTreeMap::new();
        for entry in entries {
            let bad = || format!("health_probes contains {entry:?}; write name=https://host/path");
            let (name, url) = entry.split_once('=').ok_or_else(bad)?;
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let url = url::Url::parse(url.trim()).map_err(|_| bad())?;
            let name = name.trim();
            if name.is_empty() || !name.chars().all(is_word) || !["http", "https"].contains(&url.scheme()) {
                return Err(bad());
            }
            targets.insert(name.to_owned(), url.to_string());
        }
        Ok(Self { targets: Arc::new(targets), found: Arc::default() })
    }

    /// What was found last, by name.
    pub fn found(&self) -> BTreeMap<String, ProbeState> {
        let mut all: BTreeMap<String, ProbeState> =
            KNOWN.iter().map(|name| ((*name).to_owned(), ProbeState::NotConfigured)).collect();
        all.extend(self.targets.keys().map(|name| (name.clone(), ProbeState::Pending)));
        all.extend(self.found.lock().unwrap_or_else(PoisonError::into_inner).clone());
        all
    }

    /// Asks all of them from time to time until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        if self.targets.is_empty() {
            return;
        }
        let client = match plain_client(ANSWER_WITHIN) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error = %error, "no HTTP client for the health probes");
                return;
            }
        };
        loop {
            let asked = self.targets.iter().map(|(name, url)| self.ask(&client, name, url));
            tokio::select! {
                () = stop.cancelled() => return,
                _ = futures_util::future::join_all(asked) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
        }
    }

    async fn ask(&self, client: &Client, name: &str, url: &str) {
        let begun = clock::monotonic();
        let answer = client.get(url).send().await;
        let at = clock::monotonic();
        let state = match answer {
            Ok(answer) => {
                let (status, took) = (answer.status().as_u16(), at.duration_since(begun));
                ProbeState::Answered { status, took, at }
            }
            // The URL may hold a key.
            Err(error) => ProbeState::Silent { why: error.without_url().to_string(), at },
        };
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_what_runbooks_look_for_is_always_told_of() {
        let probes = Probes::new(&["groq_api=https://example.org/status".to_owned()]).expect("fine");
        let found = probes.found();
        assert_eq!(found["groq_api"], ProbeState::Pending);
        assert_eq!(found["google_oauth"], ProbeState::NotConfigured);
        for bad in
            ["groq_api", "=https://example.org", "a b=https://example.org", "x=ftp://example.org", "x=y"]
        {
            assert!(Probes::new(&[bad.to_owned()]).is_err_and(|why| why.contains(bad)), "{bad}");
        }
    }
}
