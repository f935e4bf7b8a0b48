//! Spans of [`jobforge::trace`] as those of OpenTelemetry, in batches from a thread of their own: what ends is put into a
//! bounded queue and never waits; where that is full it is dropped. `OTEL_BSP_*` sets sizes and rhythm.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use jobforge::trace::{Exporter, TARGET, export_with};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use uuid::Uuid;

use super::{Spans, send, variable};

/// How long a process that stops tries to send what is left.
const LAST_BATCHES: Duration = Duration::from_secs(3);
const TRACEPARENT: &str = "traceparent";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

pub(super) fn start() -> Result<Spans, String> {
    let provider =
        SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(send::exporter()?).build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("jobforge"))
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false);
    // Neither the log's own spans nor those of libraries, and no lines of the log.
    let ours = FilterFn::new(|meta: &Metadata<'_>| meta.is_span() && meta.target() == TARGET);
    let spans = spans.with_filter(ours.with_max_level_hint(LevelFilter::INFO));
    let _ = PROVIDER.set(provider);
    export_with(Exporter { set_parent, traceparent });
    Ok(Box::new(spans))
}

pub(super) fn finish() {
    if let Some(provider) = PROVIDER.get()
        && let Err(fault) = provider.shutdown_with_timeout(LAST_BATCHES)
    {
        tracing::warn!("the last traces did not reach the collector: {fault}");
    }
}

/// Who sends: what the variables say, above what is known of this process.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name("jobforge")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", Uuid::new_v4().to_string()))
        .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match variable("OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

fn set_parent(span: &Span, parent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), parent.to_owned())]);
    // What is no trace context leaves the span a root.
    let _ = span.set_parent(TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier));
}

fn traceparent(span: &Span) -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier.remove(TRACEPARENT)
}
