//! `/metrics`, on the server and on a listener of its own, and what a request counts as.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jobforge::core::metric::{Format, Metric, process, table};
use jobforge::services::{Numbers, exposition};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections;
use crate::error::ServerError;
use crate::local::check_local;
use crate::server::{App, grace_is_over};

/// `GET /metrics` of the server.
pub(crate) async fn scrape(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    tell(Some(&app.numbers), &headers).await
}

async fn tell(numbers: Option<&Arc<Numbers>>, headers: &HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let text = match numbers {
        Some(numbers) => numbers.exposition(format).await,
        None => exposition(format),
    };
    ([(CONTENT_TYPE, format.content_type())], text).into_response()
}

/// Counts a request that was answered: by the route's template, never by what the client wrote.
pub(crate) fn count(request: &Asked, code: u16, took: Duration) {
    let code = code.to_string();
    let labels = [request.route.as_str(), request.method, code.as_str()];
    process().add(&table::HTTP_REQUESTS, &labels, 1);
    process().observe(&table::HTTP_SECONDS, &labels, took);
}

/// What is kept of a request to count it.
pub(crate) struct Asked {
    pub(crate) route: String,
    pub(crate) method: &'static str,
}

impl Asked {
    pub(crate) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let route = match matched {
            // The worker protocol is nested and has no parameters.
            Some(matched) if matched.contains("__private") => WORKER_CALLS
                .iter()
                .find(|call| path.strip_prefix("/v1/worker/").is_some_and(|rest| rest == **call))
                .map_or_else(|| "/v1/worker/{call}".to_owned(), |call| format!("/v1/worker/{call}")),
            Some(matched) => matched.to_owned(),
            None => "unmatched".to_owned(),
        };
        Self { route, method: method(request.method()) }
    }
}

const WORKER_CALLS: [&str; 10] = [
    "register",
    "claim",
    "heartbeat",
    "results",
    "leave",
    "deaths",
    "purge",
    "samples",
    "settings",
    "signals",
];

fn method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|name| method.as_str() == *name).unwrap_or("other")
}

/// Raises a gauge for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Raised(&'static Metric);

impl Raised {
    pub(crate) fn by_one(gauge: &'static Metric) -> Self {
        process().shift(gauge, &[], 1.0);
        Self(gauge)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        process().shift(self.0, &[], -1.0);
    }
}

/// A listener that tells metrics and nothing else.
#[derive(Debug)]
pub struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

/// Takes the port. With `numbers`, which somebody runs, the shared ones are told as well.
///
/// It asks for no token: who can reach the address may read. On loopback no web page can, as for the server without tokens.
///
/// # Errors
/// Why the system did not give the port.
pub async fn bind_metrics(
    listen: SocketAddr,
    numbers: Option<Arc<Numbers>>,
) -> Result<MetricsServer, ServerError> {
    let failed = |source| ServerError::metrics(listen, source);
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let local = listen.ip().to_canonical().is_loopback();
    let router = Router::new()
        .route("/metrics", get(apart))
        .route("/livez", get(|| async { "ok\n" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "only /metrics and /livez are here\n") })
        .layer(from_fn_with_state(local, only_local))
        .with_state(numbers);
    Ok(MetricsServer { listener, address, router })
}

async fn apart(State(numbers): State<Option<Arc<Numbers>>>, headers: HeaderMap) -> Response {
    tell(numbers.as_ref(), &headers).await
}

async fn only_local(State(local): State<bool>, request: Request, next: Next) -> Response {
    if local && let Err(refusal) = check_local(request.uri(), request.headers()) {
        return refusal.into();
    }
    next.run(request).await
}

impl MetricsServer {
    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` fires.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServerError> {
        let address = self.address;
        tracing::info!(%address, "Telling metrics on http://{address}/metrics");
        if !address.ip().to_canonical().is_loopback() {
            tracing::warn!(%address, "Whoever reaches {address} may read the metrics, names of queues and job types included");
        }
        let told = stop.clone();
        let stopped = async move { told.cancelled().await };
        tokio::select! {
            served = connections::serve(self.listener, self.router, stopped) => served.map_err(|source| ServerError::Serve { address, source }),
            () = grace_is_over(&stop) => Ok(()),
        }
    }
}
