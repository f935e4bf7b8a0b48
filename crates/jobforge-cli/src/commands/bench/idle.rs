//! What an idle worker costs: statements and memory.

use std::time::Duration;

use jobforge::clock;
use serde::Serialize;

use super::{Bench, length, round, wait};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output;

/// The idle back-off reaches its longest wait within this time.
const SETTLE: Duration = Duration::from_secs(15);

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    seconds: f64,
    /// Transactions per minute as the server counted them, this measurement's own left out; absent without a server.
    statements_per_minute: Option<f64>,
    resident_mb: Option<f64>,
}

pub(super) async fn run(context: &Context, bench: &Bench, seconds: f64) -> Result<(), Failure> {
    let length = length(seconds)?;
    let worker = bench.worker(context, 10).start().await?;
    let bar = output::progress(SETTLE.as_secs() + length.as_secs(), "idling");
    wait(SETTLE, &bar).await;
    let before = count(bench).await?;
    let began = clock::monotonic();
    wait(length, &bar).await;
    let after = count(bench).await?;
    let minutes = clock::monotonic().duration_since(began).as_secs_f64() / 60.0;
    bar.finish_and_clear();
    let resident_mb = resident_mb();
    worker.stop_gracefully(Duration::from_secs(5)).await;
    // The first count's own two statements lie before it was read or are counted in it; the second's lie after.
    let spent = before.zip(after).map(|(before, after)| (after - before - OWN).max(0) as f64);
    let report = Report {
        scenario: "idle",
        engine: bench.store.capabilities().engine,
        seconds: length.as_secs_f64(),
        statements_per_minute: spent.map(|spent| round(spent / minutes)),
        resident_mb: resident_mb.map(round),
    };
    if context.json {
        return output::json(&report);
    }
    let statements = report
        .statements_per_minute
        .map_or_else(|| "no server to ask".to_owned(), |n| format!("{n:.1} statements/min"));
    let memory = report.resident_mb.map_or_else(|| "unknown".to_owned(), |mb| format!("{mb:.1} MB"));
    output::say(&format!("an idle worker: {statements}, {memory} resident"));
    Ok(())
}

/// Statements of this measurement between its two readings: the first reading and the flush before the second.
const OWN: i64 = 2;

async fn count(bench: &Bench) -> Result<Option<i64>, Failure> {
    match &bench.raw {
        Some(raw) => raw.transactions().await.map(Some),
        None => Ok(None),
    }
}

/// Memory of this process that is in use, from the kernel.
fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}
