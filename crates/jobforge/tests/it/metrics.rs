//! What attempts count as, by the process that makes the change. Differences are looked at, for other tests of the same
//! process count as well.

use std::time::Duration;

use jobforge::core::metric::{Metric, process, table};
use jobforge::core::state::Status;
use jobforge::{JobContext, JobError};

use crate::common::{Db, Task, ended, eventually, task};

/// Snoozes once, fails, stands still or panics, as the job is called; and reports items.
async fn act(job: Task, ctx: JobContext) -> Result<(), JobError> {
    ctx.items(3, 2, 1);
    match job.name.as_str() {
        "snooze" if ctx.checkpoint::<bool>()?.is_none() => {
            ctx.set_checkpoint(&true)?;
            Err(JobError::snooze(Duration::ZERO))
        }
        "fatal" => Err(JobError::fatal("no", "never")),
        "slow" => {
            ctx.stop_signal().cancelled().await;
            Err(JobError::stopped())
        }
        "panic" => panic!("as asked"),
        _ => Ok(()),
    }
}

fn seen(queue: &str, job: &str) -> Vec<u64> {
    let attempts = ["succeeded", "failed", "dead", "snoozed"];
    let of = |metric: &'static Metric, labels: &[&str]| process().count(metric, labels);
    let mut seen: Vec<u64> = attempts.iter().map(|end| of(&table::ATTEMPTS, &[queue, end])).collect();
    seen.extend(["worker", "timeout"].map(|source| of(&table::DEAD, &[queue, source])));
    seen.extend(["success", "failed"].map(|status| of(&table::EXECUTIONS, &[job, status])));
    seen.extend(["success", "failed", "skipped"].map(|status| of(&table::ITEMS, &[job, status])));
    seen.extend([
        of(&table::JOBS, &[queue]),
        of(&table::JOBS_FAILED, &[queue]),
        of(&table::RETRIED, &[queue]),
    ]);
    seen
}

async fn every_end_of_an_attempt_is_counted_once(db: Db) {
    let before = seen("ends", "test.task");
    let _worker = db.worker().register(act).queue("ends", 4).start().await.unwrap();
    for (name, end) in [
        ("fine", Status::Succeeded),
        ("snooze", Status::Succeeded),
        ("fatal", Status::Failed),
        ("slow", Status::Dead),
        ("panic", Status::Dead),
    ] {
        let job = db.client.enqueue(task(name)).queue("ends").max_attempts(2);
        let job = if name == "slow" { job.timeout(Duration::from_millis(100)) } else { job };
        let id = job.await.unwrap().id;
        assert_eq!(ended(&db.client, id).await.status, end, "{name}");
    }
    let grown =
        || -> Vec<u64> { seen("ends", "test.task").iter().zip(&before).map(|(a, b)| a - b).collect() };
    // Two succeed, one of them after a snooze; one fails for good, two fail once and are dead after the second time.
    let wanted = [2, 3, 2, 1, 1, 1, 2, 5, 24, 16, 8, 8, 5, 2];
    eventually(&format!("{wanted:?}"), || grown() == wanted).await;
}

on_each_engine!(every_end_of_an_attempt_is_counted_once);
