//! Whether spans go to an OpenTelemetry collector. The standard variables decide
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>); settings of ours there are none.

#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod send;

use tracing_subscriber::{Layer, Registry};

pub(super) type Spans = Box<dyn Layer<Registry> + Send + Sync>;

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Begins to export spans if a collector is named. The error is for the log: no server stays away for want of one.
pub(super) fn start() -> Result<Option<Spans>, String> {
    if ENDPOINTS.iter().all(|name| variable(name).is_none()) || is_off() {
        return Ok(None);
    }
    #[cfg(feature = "otlp")]
    return export::start().map(Some).map_err(|fault| {
        format!("traces are not exported: {fault}; mend the OTEL_ variable and start again")
    });
    #[cfg(not(feature = "otlp"))]
    Err("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build of jobforge exports no traces; get one that does with \
         `cargo build --release -p jobforge-cli --features otlp`, or unset the variable"
        .to_owned())
}

/// Sends what is left, within a bound.
pub(super) fn finish() {
    #[cfg(feature = "otlp")]
    export::finish();
}

fn is_off() -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|is| is.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|name| name == "none")
}

#[expect(clippy::disallowed_methods, reason = "variables of a standard, no settings of ours")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
