//! The source of clips: `GET /clips?after=POSITION&limit=N`, which limits how often it is asked.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use jobforge::clock;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::trouble::{Trouble, chain};

/// Bounds on one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES: usize = 8 * 1024 * 1024;
/// How long to wait where the source does not say, at least, for its clock and ours may differ, and at most.
const WAIT: Duration = Duration::from_secs(5);
const LEAST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// One page of changes, oldest first. Each clip is read by itself, so that a bad one is refused alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Page {
    /// The clips as they are now.
    pub clips: Vec<Value>,
    /// The position behind them.
    pub next: String,
    /// Whether there is more behind that already.
    pub more: bool,
}

/// What the source says.
#[derive(Debug)]
pub enum Answer {
    /// Here it is.
    Page(Page),
    /// Not now.
    Wait(Duration),
}

/// Where clips come from.
#[derive(Debug)]
pub struct Source {
    http: Client,
    url: Url,
    token: Option<String>,
}

impl Source {
    /// A source at an address such as `https://clips.example.com/`.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        // The first caller in the process decides; an error only says that somebody already has.
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(TIMEOUT).user_agent("background-jobs").build()?;
        let url: Url = url
            .parse()
            .with_context(|| format!("{url:?} is no URL; write for example https://clips.example.com/"))?;
        let url = url
            .join("clips")
            .with_context(|| format!("{url} can have no path; write an http or https URL"))?;
        Ok(Self { http, url, token })
    }

    /// Its name for people: the host and nothing that may be secret.
    pub fn name(&self) -> &str {
        self.url.host_str().unwrap_or("the source")
    }

    /// Asks for what comes behind a position.
    ///
    /// # Errors
    /// When there is no answer, or one that is no page.
    pub async fn page(&self, after: &str, limit: u32) -> Result<Answer, Trouble> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("after", after).append_pair("limit", &limit.to_string());
        let mut request = self.http.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let mut answer = request.send().await.map_err(|error| self.silent(after, error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => {
                return Ok(Answer::Wait(retry_after(answer.headers(), clock::wall())));
            }
            status => return Err(self.refused(after, status)),
        }
        let body = self.body(after, &mut answer).await?;
        let page = serde_json::from_slice(&body).map_err(|error| Trouble::Never {
            kind: "source_changed",
            message: format!("{} answered something that is no page, at position {after:?}: {error}; see whether its API has changed", self.name()),
        })?;
        Ok(Answer::Page(page))
    }

    async fn body(&self, after: &str, answer: &mut Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.silent(after, error))? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES {
                return Err(Trouble::Never {
                    kind: "page_too_large",
                    message: format!(
                        "{} answered more than {BODY_BYTES} bytes, at position {after:?}; make `page` smaller in the payload of the schedule",
                        self.name()
                    ),
                });
            }
        }
        Ok(body)
    }

    fn silent(&self, after: &str, error: reqwest::Error) -> Trouble {
        let why = chain(&error.without_url());
        let message = format!(
            "{} did not answer, at position {after:?}: {why}; the next attempt asks again from there",
            self.name()
        );
        Trouble::Again { kind: "source_silent", message }
    }

    fn refused(&self, after: &str, status: StatusCode) -> Trouble {
        let answered = format!("{} answered {status}, at position {after:?}", self.name());
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            let message = format!("{answered}; the next attempt asks again from there");
            return Trouble::Again { kind: "source_broken", message };
        }
        let advice = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "give the worker a valid CLIPS_TOKEN",
            _ => "see whether CLIPS_URL is right and its API has not changed",
        };
        Trouble::Never { kind: "source_refuses", message: format!("{answered}; {advice}") }
    }
}

/// Reads `Retry-After`, as seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Duration {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else if let Ok(moment) = jiff::fmt::rfc2822::parse(text) {
        Duration::try_from(moment.timestamp().duration_since(now)).unwrap_or_default()
    } else {
        WAIT
    };
    wait.clamp(LEAST_WAIT, LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now: Timestamp = "2015-10-21T07:28:00Z".parse().unwrap();
        for (text, seconds) in [
            ("7", 7),
            ("99999", 3600),
            ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
            ("Wed, 21 Oct 2015 07:27:00 GMT", 1),
            ("0", 1),
            ("soon", 5),
            ("", 5),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), Duration::from_secs(seconds), "{text}");
        }
    }
}
