//! Traces to a collector: what a real `up` exports, and what happens without collector or exporter.

use std::process::Command;

use crate::program::{Home, Running};

#[cfg(feature = "otlp")]
mod exported;

const UP: [&str; 3] = ["up", "--listen", "127.0.0.1:0"];
const TRUE: &str = r#"{"argv":["true"]}"#;

/// The program is to send its traces there.
fn traced<'a>(command: &'a mut Command, collector: &str) -> &'a mut Command {
    command
        .env("JOBFORGE_EXEC_ALLOW", "*")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret-4711")
        .env("OTEL_SERVICE_NAME", "forge")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

fn up(home: &Home, collector: &str) -> Running {
    let mut command = home.command(&UP);
    traced(&mut command, collector);
    Running::start(command, "stop with Ctrl-C")
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_build_without_exporter_says_once_where_to_get_one_if_a_collector_is_named() {
    let home = Home::new();
    let up = up(&home, "http://127.0.0.1:9");
    let id = home.ok(&["job", "enqueue", "exec", TRUE]);
    home.until(&id, "succeeded");
    assert_eq!(up.said().matches("--features otlp").count(), 1, "{}", up.said());
    assert_eq!(up.terminate(), 0);
}
