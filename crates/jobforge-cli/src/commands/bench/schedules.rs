//! Firing schedules: what a thousand firings a minute among ten thousand schedules cost.

use std::sync::Arc;
use std::time::Duration;

use jobforge::core::audit::By;
use jobforge::core::job::JobId;
use jobforge::core::schedule::{Checked, Definition, Overlap, Source, check};
use jobforge::core::time::{Now, add};
use jobforge::store::Store;
use jobforge::store::rows::{FIRE_STEP, JobFilter, MAX_PAGE, Move};
use jobforge::{JobType, clock};

use super::BenchJob;
use crate::failure::Failure;
use crate::output;

/// Schedules of one tenant of the benchmark.
const PER_TENANT: usize = 500;
/// Every so many schedules one is due in each minute that is measured.
const DUE_ONE_IN: usize = 10;

/// Adds schedules of which a tenth is due each minute, and plays minutes on a clock of its own as fast as they go.
pub(super) async fn run(
    store: &Arc<dyn Store>,
    count: usize,
    minutes: u64,
    json: bool,
) -> Result<(), Failure> {
    let count = super::positive("--schedules", count)?;
    let begin = store.now().await?;
    let by = By::named("bench");
    let all = (0..count).map(|number| definition(number, begin)).collect::<Result<Vec<_>, _>>()?;
    let bar = output::progress(count as u64, "adding schedules");
    for page in all.chunks(PER_TENANT) {
        store.declare_schedules(page, Source::Cli, &by, Now::Fixed(begin)).await?;
        bar.inc(page.len() as u64);
    }
    bar.finish_and_clear();
    let (mut fired, mut slowest, mut steps, mut worked) = (0_u64, Duration::ZERO, 0_u64, Duration::ZERO);
    for minute in 1..=minutes {
        let now = Now::Fixed(add(begin, Duration::from_secs(minute * 60)));
        loop {
            let begun = clock::monotonic();
            let lines = store.fire_schedules(Duration::ZERO, FIRE_STEP, now).await?.lines.len();
            let took = clock::monotonic().duration_since(begun);
            if lines == 0 {
                break;
            }
            (fired, steps, worked, slowest) =
                (fired + lines as u64, steps + 1, worked + took, slowest.max(took));
        }
    }
    let idle = idle(store).await?;
    let per_second = fired as f64 / worked.as_secs_f64().max(f64::EPSILON);
    let mean_ms = worked.as_secs_f64() * 1000.0 / steps.max(1) as f64;
    remove(store, &all, &by).await?;
    if json {
        return output::json(&serde_json::json!({
            "schedules": count, "fired": fired, "fired_per_s": per_second, "step_ms": mean_ms,
            "slowest_step_ms": slowest.as_secs_f64() * 1000.0, "idle_look_ms": idle.as_secs_f64() * 1000.0,
        }));
    }
    output::say(&format!(
        "{count} schedules, {fired} firings in {minutes} minutes of theirs, in steps of up to {FIRE_STEP}"
    ));
    output::say(&format!(
        "  {per_second:.0} firings a second; a minute's {} take {:.1} s",
        fired / minutes.max(1),
        worked.as_secs_f64() / minutes.max(1) as f64
    ));
    output::say(&format!(
        "  a step takes {mean_ms:.1} ms on average, {:.1} ms at most",
        slowest.as_secs_f64() * 1000.0
    ));
    output::say(&format!("  a look at which nothing is due takes {:.2} ms", idle.as_secs_f64() * 1000.0));
    Ok(())
}

fn definition(number: usize, begin: jiff::Timestamp) -> Result<Checked, Failure> {
    // One of the ten minutes of each round.
    let minutes = number % DUE_ONE_IN;
    let anchor = add(begin, Duration::from_secs(60 * (minutes as u64 + 1)));
    let definition = Definition {
        tenant_id: Some(format!("bench-{}", number / PER_TENANT)),
        queue: Some(super::QUEUE.to_owned()),
        every: Some(format!("{DUE_ONE_IN}m")),
        anchor: Some(anchor.to_string()),
        overlap: Overlap::Allow,
        ..Definition::new(format!("bench-{number:06}"), BenchJob::TYPE)
    };
    check(definition, begin).map_err(|invalid| Failure::usage(invalid.to_string()))
}

async fn idle(store: &Arc<dyn Store>) -> Result<Duration, Failure> {
    const LOOKS: u32 = 100;
    let begun = clock::monotonic();
    for _ in 0..LOOKS {
        // Far back, where nothing is due.
        store.fire_schedules(Duration::from_secs(86_400 * 365), FIRE_STEP, Now::Database).await?;
    }
    Ok(clock::monotonic().duration_since(begun) / LOOKS)
}

async fn remove(store: &Arc<dyn Store>, all: &[Checked], by: &By) -> Result<(), Failure> {
    let bar = output::progress(all.len() as u64, "removing them");
    for one in all {
        store.remove_schedule(&one.definition.name, by, Now::Database).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    loop {
        let filter =
            JobFilter { queue: Some(super::QUEUE.to_owned()), limit: MAX_PAGE, ..JobFilter::default() };
        let ids: Vec<JobId> = store.jobs(&filter).await?.iter().map(|job| job.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        store.move_jobs(&ids, Move::Delete, by, Now::Database).await?;
    }
}
