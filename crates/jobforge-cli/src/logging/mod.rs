//! Log lines on stderr: for people on a terminal, JSON otherwise. Spans to a collector, if one is named.

mod json;
mod otlp;

use std::io::IsTerminal;

use jobforge::core::settings::Settings;
use tracing::Subscriber;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::failure::{self, Failure};

/// What a process has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// Only what went wrong.
    OneShot,
    /// Its story.
    Server,
    /// Likewise, below a parent that has said already what is wrong with their common environment.
    Supervised,
}

/// Starts logging.
pub(crate) fn start(settings: &Settings, flag: Option<&str>, teller: Teller) -> Result<(), Failure> {
    let is_server = teller != Teller::OneShot;
    let configured =
        settings.get("log").filter(|resolved| resolved.source != jobforge::core::settings::Source::Default);
    let filter = flag.or(configured.map(|resolved| resolved.value.as_str())).unwrap_or(if is_server {
        "info"
    } else {
        "warn"
    });
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(
            failure::CONFIG,
            format!("{filter:?} is not a log filter: {error}; write for example debug"),
        )
    })?;
    let human = match settings.text("log_format") {
        "human" => true,
        "json" => false,
        _ => std::io::stderr().is_terminal(),
    };
    let (spans, fault) = match if is_server { otlp::start() } else { Ok(None) } {
        Ok(spans) => (spans, None),
        Err(fault) => (None, Some(fault)),
    };
    // A second start within one process (tests) changes nothing.
    let _ = match spans {
        None => registry().with(filter).with(lines(human)).try_init(),
        Some(spans) => {
            // Each has a filter of its own: what the log leaves out may be exported, and the other way round.
            let only_export = format!("{}=off", jobforge::trace::TARGET).parse();
            let filter = only_export.into_iter().fold(filter, EnvFilter::add_directive);
            registry().with(spans).with(lines(human).with_filter(filter)).try_init()
        }
    };
    if let Some(fault) = fault.filter(|_| teller == Teller::Server) {
        tracing::warn!("{fault}");
    }
    Ok(())
}

/// Ends what [`start`] began, as far as it has anything to send.
pub(crate) fn finish() {
    otlp::finish();
}

fn lines<S>(human: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // A log that nobody reads any more must not end the process: by default a failed line is told on the same stream.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    if human {
        lines.with_target(false).compact().boxed()
    } else {
        lines.fmt_fields(JsonFields::new()).event_format(json::Lines).boxed()
    }
}
