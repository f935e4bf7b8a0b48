//! Log lines on stderr: for people on a terminal, JSON otherwise.

mod json;

use std::io::IsTerminal;

use jobforge::core::settings::Settings;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;

use crate::failure::{self, Failure};

/// Starts logging. One-shot commands say only what went wrong; servers tell their story.
pub(crate) fn start(settings: &Settings, flag: Option<&str>, is_server: bool) -> Result<(), Failure> {
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
    // A log that nobody reads any more must not end the process: by default a failed line is told on the same stream.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // A second start within one process (tests) changes nothing.
    let _ = if human {
        builder.with_target(false).compact().try_init()
    } else {
        builder.fmt_fields(JsonFields::new()).event_format(json::Lines).try_init()
    };
    Ok(())
}
