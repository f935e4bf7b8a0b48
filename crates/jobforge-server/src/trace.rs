//! Traces that come in with a request: its span by OpenTelemetry's conventions for HTTP
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>), and the jobs that it puts in.

use axum::extract::Request;
use axum::http::HeaderMap;
use jobforge::core::enqueue::{JobRequest, trace_id};
use jobforge::trace::{TARGET, child_of, is_exporting};
use tracing::field::Empty;
use tracing::{Span, info_span};
use uuid::Uuid;

use crate::metrics::Asked;

/// The span of a request: a child of its caller's. Neither query nor headers nor body are in it.
pub(crate) fn serve(request: &Request, asked: &Asked, path: &str, id: Uuid) -> Span {
    if !is_exporting() {
        return Span::none();
    }
    // By the conventions a method that nobody knows has this name.
    let method = if asked.method == "other" { "_OTHER" } else { asked.method };
    let span = info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = format!("{method} {}", asked.route),
        otel.kind = "server",
        otel.status_code = Empty,
        "error.type" = Empty,
        http.request.method = method,
        http.route = asked.route,
        http.response.status_code = Empty,
        url.path = path,
        url.scheme = "http",
        jobforge.request.id = %id,
    );
    child_of(span, traceparent(request.headers()))
}

/// Says in its span how a request was answered. What the caller did wrong is no error of a server.
pub(crate) fn served(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.to_string());
    }
}

/// The job in the caller's trace, unless it names one itself. Where spans are exported, that of the enqueue is between.
pub(crate) fn carried(headers: &HeaderMap, mut request: JobRequest) -> JobRequest {
    if request.traceparent.is_none() && !is_exporting() {
        request.traceparent = traceparent(headers).map(str::to_owned);
    }
    request
}

/// The caller's trace context. One that is none is passed over, as the standard has it.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get("traceparent")?.to_str().ok().filter(|trace| trace_id(trace).is_some())
}
