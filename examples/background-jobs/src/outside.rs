//! What is outside of the application, to try it out and test it: a feed of clips that limits how often it is asked, and
//! receivers of webhooks that fail at first.
//!
//! ```text
//! GET  /clips?after=POSITION&limit=N   a page of changes, or 429 with Retry-After
//! POST /hooks/NAME                     503 as often as it was told for each webhook-id, then 204
//! GET  /hooks                          what came: {"delivery-1": {"tries": 3, "delivered": 1}}
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use jobforge::clock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The largest page.
const LARGEST_PAGE: usize = 1000;
/// Requests for clips are counted by this time.
const WINDOW: Duration = Duration::from_secs(1);

const WORDS: [&str; 12] = [
    "triple", "kill", "clutch", "round", "speedrun", "glitch", "comeback", "final", "boss", "perfect",
    "parry", "lobby",
];

/// How it behaves.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Requests for clips in a second.
    pub requests_per_second: u32,
    /// What it then asks to wait.
    pub retry_after_s: u32,
    /// How often a receiver fails before it takes a delivery.
    pub fail_first: u32,
}

/// What came of one webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Requests.
    pub tries: u32,
    /// Requests that were answered with 204.
    pub delivered: u32,
}

/// The outside. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Outside {
    manners: Manners,
    state: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Every change in order; the position behind the first is 1.
    changes: Vec<Value>,
    hooks: BTreeMap<String, Hook>,
    window: Option<(Instant, u32)>,
    refused: u32,
}

#[derive(Debug, Deserialize)]
struct Asked {
    after: String,
    limit: usize,
}

impl Outside {
    /// Without any clip yet.
    pub fn new(manners: Manners) -> Self {
        Self { manners, state: Arc::default() }
    }

    /// Tells of a clip that is new or has changed.
    pub fn publish(&self, clip: Value) {
        self.kept().changes.push(clip);
    }

    /// Tells of so many clips, made one after the other up to now. They are the same each time but for when.
    pub fn publish_samples(&self, count: usize) {
        let now = clock::wall();
        (0..count).for_each(|number| self.publish(sample(number, now)));
    }

    /// What came of each webhook, by its id.
    pub fn hooks(&self) -> BTreeMap<String, Hook> {
        self.kept().hooks.clone()
    }

    /// Requests that were answered with 429.
    pub fn refused(&self) -> u32 {
        self.kept().refused
    }

    /// Answers until it is dropped.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let router = Router::new()
            .route("/clips", get(clips))
            .route("/hooks/{name}", post(take_hook))
            .route("/hooks", get(|State(outside): State<Self>| async move { Json(outside.hooks()) }))
            .with_state(self);
        axum::serve(listener, router).await
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that holds it can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn clips(State(outside): State<Outside>, Query(Asked { after, limit }): Query<Asked>) -> Response {
    let mut kept = outside.kept();
    let now = clock::monotonic();
    let (began, requests) = match kept.window {
        Some((began, requests)) if now.duration_since(began) < WINDOW => (began, requests),
        _ => (now, 0),
    };
    kept.window = Some((began, requests + 1));
    if requests >= outside.manners.requests_per_second {
        kept.refused += 1;
        let wait = outside.manners.retry_after_s.to_string();
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, wait)]).into_response();
    }
    let from = match after.as_str() {
        "" => Some(0),
        text => text.parse::<usize>().ok().filter(|from| *from <= kept.changes.len()),
    };
    let Some(from) = from else {
        return (StatusCode::BAD_REQUEST, format!("there is no position {after:?}")).into_response();
    };
    let to = kept.changes.len().min(from + limit.clamp(1, LARGEST_PAGE));
    let page =
        json!({ "clips": kept.changes[from..to], "next": to.to_string(), "more": to < kept.changes.len() });
    Json(page).into_response()
}

async fn take_hook(State(outside): State<Outside>, headers: HeaderMap) -> StatusCode {
    let Some(id) = headers.get("webhook-id").and_then(|id| id.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut kept = outside.kept();
    let hook = kept.hooks.entry(id.to_owned()).or_default();
    hook.tries += 1;
    if hook.tries <= outside.manners.fail_first {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    hook.delivered += 1;
    StatusCode::NO_CONTENT
}

/// One of the clips that are the same each time.
fn sample(number: usize, now: Timestamp) -> Value {
    let word = |step: usize| WORDS[(number * step + number / WORDS.len()) % WORDS.len()];
    json!({
        "id": format!("clip-{number:06}"),
        "title": format!("{} {} {}", word(1), word(5), word(7)),
        "creator": format!("creator-{:03}", number % 97),
        "views": (number * 37) % 5000,
        "votes": (number * 13) % 200,
        "created_at": now - Duration::from_secs(60 * (number as u64 % 20_000)),
    })
}
