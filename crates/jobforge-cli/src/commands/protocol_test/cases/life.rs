//! What people and machines do to a worker: cancel, freeze, stop, restart.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobforge::core::state::Status;
use serde_json::json;

use super::super::judge;
use super::super::record::{Call, Record};
use super::super::scene::{SOON, Scene};

/// Longer than any case.
const VERY_LONG_MS: u64 = 120_000;
/// Most jobs that are used to fill a worker's slots.
const FILL: usize = 12;
/// How long a worker is watched that must not do something any more.
const AFTERMATH: Duration = Duration::from_secs(3);

pub(super) async fn cancel(scene: &mut Scene) -> Result<String> {
    scene.start_worker()?;
    let slots =
        scene.until(SOON, "the worker registers", |record| !record.incarnations().is_empty()).await?.slots();
    let jobs = slots.min(FILL);
    let ids = scene.enqueue_many(jobs, "protocol.sleep", json!({ "ms": VERY_LONG_MS })).await?;
    scene.until_given(&ids).await?;
    let canceled = scene.elapsed();
    scene.cancel(&ids).await?;
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let all_told = |record: &Record| texts.iter().all(|id| judge::told_to_stop(record, id).is_some());
    let record = scene.until(SOON, "heartbeats ask for every canceled job", all_told).await?;
    let told = texts.iter().filter_map(|id| judge::told_to_stop(&record, id)).max().unwrap_or_default();
    let echoes = scene.enqueue_many(jobs, "protocol.echo", json!({})).await?;
    let ends = scene.ends(&echoes, SOON).await.context("its slots stayed taken by canceled jobs")?;
    ends.iter().try_for_each(super::super::judge::End::succeeded_at_once)?;
    let record = scene.watch(AFTERMATH).await?;
    texts.iter().try_for_each(|id| judge::silent_about(&record, id, told))?;
    judge::one_incarnation(&record)?;
    Ok(format!("{jobs} of {slots} slots; told after {} ms", told.saturating_sub(canceled).as_millis()))
}

pub(super) async fn lost_lease(scene: &mut Scene) -> Result<String> {
    let id = scene.enqueue("protocol.sleep", json!({ "ms": VERY_LONG_MS })).await?;
    scene.start_worker()?;
    let before = scene.until_under_way(id).await?;
    scene.worker()?.freeze();
    scene.until_taken_back(id).await?;
    scene.cancel(&[id]).await?;
    scene.worker()?.thaw();
    let thawed = scene.elapsed();
    let anew = |record: &Record| record.incarnations().len() >= 2;
    let record = scene.until(SOON, "it registers as another worker", anew).await?;
    let registered = scene.elapsed();
    let jobs = before.slots().min(FILL);
    let echoes = scene.enqueue_many(jobs, "protocol.echo", json!({})).await?;
    let ends = scene.ends(&echoes, SOON).await.context("its slots stayed taken by the job it had lost")?;
    ends.iter().try_for_each(super::super::judge::End::succeeded)?;
    let text = id.to_string();
    judge::silent_about(&scene.watch(AFTERMATH).await?, &text, registered)?;
    ensure!(record.incarnations().len() == 2, "it registered {} times", record.incarnations().len() - 1);
    Ok(format!("another worker after {} ms", registered.saturating_sub(thawed).as_millis()))
}

pub(super) async fn drain(scene: &mut Scene) -> Result<String> {
    let long = scene.enqueue("protocol.sleep", json!({ "ms": 1500 })).await?;
    scene.start_worker()?;
    scene.until_under_way(long).await?;
    let mut ids = scene.enqueue_many(5, "protocol.echo", json!({})).await?;
    let told = scene.elapsed();
    scene.stop_worker(SOON).await?;
    let took = scene.elapsed().saturating_sub(told);
    judge::left(&scene.record())?;
    ids.push(long);
    for id in &ids {
        let status = scene.job(*id).await?.status;
        ensure!(status != Status::Running, "it ended while one of its jobs was still running for the server");
    }
    scene.start_worker()?;
    for end in scene.ends(&ids, SOON).await? {
        end.succeeded()?;
    }
    Ok(format!("stopped in {:.1} s", took.as_secs_f64()))
}

pub(super) async fn release(scene: &mut Scene) -> Result<String> {
    let id = scene.enqueue("protocol.sleep", json!({ "ms": VERY_LONG_MS })).await?;
    scene.start_worker_with_grace(Duration::from_secs(1))?;
    scene.until_under_way(id).await?;
    let told = scene.elapsed();
    scene.stop_worker(SOON).await?;
    let took = scene.elapsed().saturating_sub(told);
    let record = scene.record();
    judge::left(&record)?;
    let text = id.to_string();
    let released = record.sent().iter().any(|sent| (sent.id, sent.outcome) == (text.as_str(), "released"));
    ensure!(released, "it did not report the job as \"released\"");
    let job = scene.job(id).await?;
    ensure!(
        (job.status, job.attempts) == (Status::Queued, 0),
        "the job is {} with {} attempts used, instead of queued with none",
        job.status,
        job.attempts
    );
    Ok(format!("stopped in {:.1} s", took.as_secs_f64()))
}

pub(super) async fn restart(scene: &mut Scene) -> Result<String> {
    let id = scene.enqueue("protocol.sleep", json!({ "ms": 1500 })).await?;
    // At best it begins anew in a new process, which is its supervisor's affair.
    scene.supervise();
    scene.start_worker()?;
    scene.until_under_way(id).await?;
    scene.restart_workers().await?;
    scene.end(id, SOON).await?.succeeded_at_once()?;
    let anew = |record: &Record| record.incarnations().len() >= 2;
    let record = scene.until(SOON, "it registers as another worker", anew).await?;
    let old = record.incarnations()[0];
    let left = record.calls(Call::Leave).any(|exchange| exchange.succeeded() && exchange.worker() == old);
    ensure!(left, "it registered anew without leave under its old name");
    let next = scene.enqueue("protocol.echo", json!({})).await?;
    scene.end(next, SOON).await?.succeeded_at_once()?;
    Ok(String::new())
}
