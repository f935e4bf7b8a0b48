//! Enqueue one by one.

use std::time::Duration;

use jobforge::clock;
use jobforge::core::counted::counted;
use jobforge::core::job::JobId;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{Bench, BenchJob, per_second, positive};
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    engine: &'static str,
    clients: usize,
    jobs: usize,
    seconds: f64,
    per_second: f64,
}

pub(super) async fn run(
    context: &Context,
    bench: &Bench,
    seconds: f64,
    clients: usize,
) -> Result<(), Failure> {
    positive("--clients", clients)?;
    let length = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|length| !length.is_zero())
        .ok_or_else(|| Failure::new(failure::USAGE, format!("--seconds is {seconds}; it must be above 0")))?;
    // Connections and plans are made before the clock starts.
    let warm = bench.client.enqueue(BenchJob::new(0)).await?;
    let began = clock::monotonic();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let client = bench.client.clone();
        tasks.spawn(async move {
            let mut ids: Vec<JobId> = Vec::new();
            while clock::monotonic().duration_since(began) < length {
                ids.push(client.enqueue(BenchJob::new(ids.len() as u64)).await?.id);
            }
            Ok::<_, jobforge::Error>(ids)
        });
    }
    let mut ids = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let done =
            done.map_err(|error| Failure::new(failure::FAILED, format!("a client broke off: {error}")))?;
        ids.extend(done?);
    }
    let took = clock::monotonic().duration_since(began);
    let report = Report {
        scenario: "enqueue",
        engine: bench.store.capabilities().engine,
        clients,
        jobs: ids.len(),
        seconds: took.as_secs_f64(),
        per_second: per_second(ids.len(), took),
    };
    ids.push(warm.id);
    bench.remove(&ids).await?;
    if context.json {
        return output::json(&report);
    }
    output::say(&format!(
        "{:.0} jobs/s enqueued one by one by {} ({} jobs)",
        report.per_second,
        counted(clients, "client"),
        report.jobs
    ));
    Ok(())
}
