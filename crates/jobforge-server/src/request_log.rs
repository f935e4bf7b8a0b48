//! One id and one log line for each request. Neither headers nor bodies nor query strings are logged.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::Response;
use jobforge::clock::monotonic;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::metrics::{self, Asked};
use crate::trace;

/// Characters of a path or method that are logged.
const SHOWN: usize = 200;
/// Paths that are asked all the time by machines.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/startupz", "/metrics"];
/// What workers ask all the time.
const WORKERS: &str = "/v1/worker/";
/// What open pages of the dashboard ask all the time.
const PAGES: &str = "/ui";

/// Why a request failed on our side: for the log, never for the client.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

/// The id of a request, as in its log line and in the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) Uuid);

/// Names the request, has it answered and logs it.
pub(crate) async fn log_request(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let method: String = request.method().as_str().chars().take(SHOWN).collect();
    let path: String = request.uri().path().chars().take(SHOWN).collect();
    let asked = Asked::of(&request);
    let is_probe = PROBES.contains(&path.as_str());
    let is_worker = path.starts_with(WORKERS);
    let is_page = path.starts_with(PAGES) && method == "GET";
    let traced = if is_probe || is_worker { Span::none() } else { trace::serve(&request, &asked, &path, id) };
    let begun = monotonic();
    let mut response = next.run(request).instrument(traced.clone()).await;
    let took = monotonic().duration_since(begun);
    let ms = took.as_millis() as u64;
    let status = response.status().as_u16();
    metrics::count(&asked, status, took);
    trace::served(&traced, status);
    drop(traced);
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        tracing::error!(request.id = %id, method, path, status, ms, error = cause, "{method} {path:?} failed with {status}: {cause}");
    } else if is_probe || ((is_worker || is_page) && status < 400) {
        tracing::debug!(request.id = %id, method, path, status, ms, "{method} {path} gave {status} in {ms} ms");
    } else {
        tracing::info!(request.id = %id, method, path, status, ms, "{method} {path:?} gave {status} in {ms} ms");
    }
    let headers = response.headers_mut();
    // The tools of every browser show it beside the page; `jobforge bench pages` goes by it.
    let timing = format!("total;dur={:.2}", took.as_secs_f64() * 1000.0);
    if is_page && let Ok(timing) = HeaderValue::from_str(&timing) {
        headers.insert("server-timing", timing);
    }
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", id);
    }
    // Only what never changes, as the dashboard's own files, says something else.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
