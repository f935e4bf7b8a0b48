//! Spans for distributed traces: of enqueues and of the runs of jobs, by OpenTelemetry's conventions for messaging
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>).
//!
//! They are spans of `tracing` with the target [`TARGET`], beside those of the log, and exist only in a program that has
//! called [`export_with`]: it brings the layer that sends them. This library needs nothing of OpenTelemetry for that.

use std::borrow::Cow;
use std::sync::OnceLock;

use jobforge_core::job::{ClaimedJob, NewJob, WorkerId};
use jobforge_core::settle::Outcome;
use jobforge_store::StoreError;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The target of the spans that are meant for a collector, and not for the log.
pub const TARGET: &str = "jobforge::trace";

/// How W3C trace contexts get into spans and out of them. With the layer of `tracing-opentelemetry` each is a few lines.
#[derive(Debug, Clone, Copy)]
pub struct Exporter {
    /// Makes a new span the child of a `traceparent`.
    pub set_parent: fn(&Span, &str),
    /// The `traceparent` of a span's children.
    pub traceparent: fn(&Span) -> Option<String>,
}

static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// Begins to make spans for traces, for the rest of this process; a second call changes nothing.
pub fn export_with(exporter: Exporter) {
    let _ = EXPORTER.set(exporter);
}

/// Whether spans for traces are made.
pub fn is_exporting() -> bool {
    EXPORTER.get().is_some()
}

/// The span as a child of `parent`, if that is a trace context.
#[must_use]
pub fn child_of(span: Span, parent: Option<&str>) -> Span {
    if let (Some(exporter), Some(parent), false) = (EXPORTER.get(), parent, span.is_disabled()) {
        (exporter.set_parent)(&span, parent);
    }
    span
}

/// The `traceparent` of the span's children; `None` if it is not exported.
pub fn traceparent(span: &Span) -> Option<String> {
    let exporter = EXPORTER.get().filter(|_| !span.is_disabled())?;
    (exporter.traceparent)(span)
}

/// Around one call that puts jobs in: a child of the trace that they all name, otherwise of what surrounds it.
pub(crate) fn send(jobs: &[NewJob]) -> Span {
    let Some(first) = jobs.first().filter(|_| is_exporting()) else { return Span::none() };
    let only = Some(first).filter(|_| jobs.len() == 1);
    let queue = Some(&first.queue).filter(|queue| jobs.iter().all(|job| job.queue == **queue));
    let span = info_span!(
        target: TARGET,
        "send",
        otel.name = queue.map_or_else(|| "send".to_owned(), |queue| format!("send {queue}")),
        otel.kind = "producer",
        otel.status_code = Empty,
        "error.type" = Empty,
        messaging.system = "jobforge",
        messaging.operation.name = "send",
        "messaging.operation.type" = "send",
        messaging.destination.name = queue.map(String::as_str),
        messaging.message.id = only.map(|job| job.id.to_string()),
        messaging.batch.message_count = (jobs.len() > 1).then_some(jobs.len() as u64),
        "jobforge.job.type" = only.map(|job| job.job_type.as_str()),
        jobforge.job.tenant = only.map(|job| job.tenant_id.as_str()),
    );
    let named =
        first.traceparent.as_ref().filter(|_| jobs.iter().all(|job| job.traceparent == first.traceparent));
    child_of(span, named.map(String::as_str))
}

/// The jobs as they are put in: those that name no trace are in that of the span.
pub(crate) fn carried<'a>(span: &Span, jobs: &'a [NewJob]) -> Cow<'a, [NewJob]> {
    if jobs.iter().all(|job| job.traceparent.is_some()) {
        return Cow::Borrowed(jobs);
    }
    let Some(trace) = traceparent(span) else { return Cow::Borrowed(jobs) };
    let mut jobs = jobs.to_vec();
    for job in &mut jobs {
        job.traceparent.get_or_insert_with(|| trace.clone());
    }
    Cow::Owned(jobs)
}

/// Marks the span of a call that put no job in.
pub(crate) fn not_sent(span: &Span, error: &StoreError) {
    fail(
        span,
        match error {
            StoreError::IdempotencyConflict { .. } | StoreError::DuplicateId(_) => "conflict",
            StoreError::Unreachable { .. } | StoreError::Interrupted { .. } => "unreachable",
            _ => "_OTHER",
        },
    );
}

/// Around one run of a job: a child of the trace in which it was enqueued.
pub(crate) fn process(job: &ClaimedJob, worker: &WorkerId) -> Span {
    if !is_exporting() {
        return Span::none();
    }
    let span = info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.name = format!("process {}", job.queue),
        otel.kind = "consumer",
        otel.status_code = Empty,
        "error.type" = Empty,
        messaging.system = "jobforge",
        messaging.operation.name = "process",
        "messaging.operation.type" = "process",
        messaging.destination.name = job.queue,
        messaging.message.id = %job.id,
        messaging.client.id = %worker,
        "jobforge.job.type" = job.job_type,
        jobforge.job.tenant = job.tenant_id,
        jobforge.job.attempt = job.attempt,
        jobforge.job.outcome = Empty,
    );
    child_of(span, job.traceparent.as_deref())
}

/// Says in its span how a run ended; `None` is a job that was not this worker's any more. What a handler said stays here:
/// it may be about people, and collectors are often run by others.
pub(crate) fn processed(span: &Span, outcome: Option<&Outcome>) {
    let (word, error) = match outcome {
        Some(Outcome::Succeeded { .. }) => ("succeeded", None),
        Some(Outcome::Retry { error, .. }) => ("retry", Some(error)),
        Some(Outcome::Failed { error }) => ("failed", Some(error)),
        Some(Outcome::Snoozed { .. }) => ("snoozed", None),
        Some(Outcome::Released) => ("released", None),
        None => ("abandoned", None),
    };
    span.record("jobforge.job.outcome", word);
    if let Some(error) = error {
        fail(span, if error.kind.is_empty() { "_OTHER" } else { &error.kind });
    }
}

fn fail(span: &Span, kind: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind);
}
