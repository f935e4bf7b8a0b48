//! The watchdog's loop, the housekeeper and the clean-up job.

use std::time::Duration;

use jobforge::builtin::BuiltinConfig;
use jobforge::builtin::cleanup::{CleanupPayload, CleanupReport};
use jobforge::core::audit::By;
use jobforge::core::rescue::{OnLost, RescuePolicy, WORKER_DIED};
use jobforge::core::retention::Retention;
use jobforge::core::state::Status;
use jobforge::core::time::{Now, sub};
use jobforge::services::{Housekeeper, Watchdog, purge};
use jobforge::store::rows::{JobFilter, Move};
use jobforge::{Error, JobContext, JobError, clock};
use testkit::fixtures;
use tokio_util::sync::CancellationToken;

use crate::common::{Db, HANG, Task, check_consistent, ended_detail, enqueue, job_when};

const LEASE: Duration = Duration::from_millis(1200);
const DAY: Duration = Duration::from_secs(86_400);

async fn hang(_job: Task, ctx: JobContext) -> Result<(), JobError> {
    ctx.stopped().await;
    Err(JobError::stopped())
}

async fn the_watchdog_acts_by_itself_soon_after_a_lease_has_run_out(db: Db) {
    let stop = CancellationToken::new();
    let policy = RescuePolicy { on_lost: OnLost::Fail.into(), ..RescuePolicy::default() };
    // The check interval alone would find it after an hour.
    let watchdog = Watchdog::new(db.store().clone(), policy, Duration::from_secs(3600));
    let running = tokio::spawn(watchdog.run(stop.clone()));
    let worker = db.worker().register(hang).lease(LEASE).start().await.unwrap();
    let id = enqueue(&db.client, "orphan").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    drop(worker);
    let lost = clock::monotonic();
    let job = job_when(&db.client, id, "it is found", |job| job.status == Status::Failed).await;
    let took = clock::monotonic().duration_since(lost);
    assert!(took < LEASE + HANG / 2, "{took:?}");
    assert_eq!(job.error.unwrap().message, WORKER_DIED);
    stop.cancel();
    running.await.unwrap();
}

async fn the_housekeeper_ends_when_it_is_told_to(db: Db) {
    let stop = CancellationToken::new();
    let running = tokio::spawn(Housekeeper::new(db.store().clone()).run(stop.clone()));
    stop.cancel();
    tokio::time::timeout(HANG, running).await.expect("it ends").unwrap();
}

/// Leaves a job of each ended status, so many days ago.
async fn ended_jobs(db: &Db, days: u32) {
    let then = Now::Fixed(sub(clock::wall(), DAY * days));
    for status in [Status::Succeeded, Status::Failed, Status::Dead, Status::Canceled] {
        fixtures::ended_job(db.store(), status, fixtures::job("old.job"), then).await.unwrap();
    }
}

async fn left(db: &Db) -> Vec<Status> {
    let filter = JobFilter { job_type: Some("old.job".to_owned()), limit: 100, ..JobFilter::default() };
    let mut statuses: Vec<_> =
        db.client.jobs(&filter).await.unwrap().into_iter().map(|job| job.status).collect();
    statuses.sort();
    statuses
}

async fn the_clean_up_job_deletes_what_is_past_its_horizon(db: Db) {
    ended_jobs(&db, 20).await;
    ended_jobs(&db, 40).await;
    ended_jobs(&db, 100).await;
    let builder = db.worker().builtins(BuiltinConfig::default()).unwrap();
    let _worker = builder.start().await.unwrap();
    let payload = CleanupPayload { days_to_keep: Some(30), dead_days: Some(35), ..CleanupPayload::default() };
    let id = db.client.enqueue(payload).await.unwrap().id;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!(detail.job.status, Status::Succeeded, "{:?}", detail.job.error);
    let report: CleanupReport = detail.result.unwrap().decode().unwrap();
    let deleted: Vec<_> = report.deleted.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    assert_eq!(deleted, [("canceled", 1), ("dead", 2), ("failed", 1), ("succeeded", 2)]);
    assert_eq!(detail.job.items.processed, 6);
    use Status::{Canceled, Dead, Failed, Succeeded};
    assert_eq!(left(&db).await, [Succeeded, Failed, Failed, Dead, Canceled, Canceled]);
    check_consistent(&db.client).await;
}

async fn an_absurd_horizon_deletes_nothing_and_fails_the_job(db: Db) {
    ended_jobs(&db, 100).await;
    let builder = db.worker().builtins(BuiltinConfig::default()).unwrap();
    let _worker = builder.start().await.unwrap();
    let payload = CleanupPayload { days_to_keep: Some(0), ..CleanupPayload::default() };
    let id = db.client.enqueue(payload).await.unwrap().id;
    let job = ended_detail(&db.client, id).await.job;
    assert_eq!((job.status, job.error.unwrap().kind.as_str()), (Status::Failed, "invalid_payload"));
    assert_eq!(left(&db).await.len(), 4);
}

async fn a_purge_goes_batch_by_batch_and_stops_when_told(db: Db) {
    let then = Now::Fixed(sub(clock::wall(), DAY * 100));
    let jobs: Vec<_> = (0..1500).map(|_| fixtures::job("old.job")).collect();
    db.store().enqueue(&jobs, then).await.unwrap();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    db.store().move_jobs(&ids, Move::Cancel, &By::named("tester"), then).await.unwrap();
    let retention = Retention::default();
    let mut told = Vec::new();
    let note = |so_far: &[(Status, u64)]| told.push(so_far.iter().map(|(_, count)| count).sum::<u64>());
    purge(db.store().as_ref(), &retention, note, || true).await.unwrap();
    assert_eq!(told, [1000]);
    let total = purge(db.store().as_ref(), &retention, |_| {}, || false).await.unwrap();
    assert_eq!(total.iter().map(|(_, count)| count).sum::<u64>(), 500);
    assert!(matches!(db.client.job(ids[0]).await, Err(Error::NotFound(_))));
}

on_each_engine_and_pooler!(
    the_watchdog_acts_by_itself_soon_after_a_lease_has_run_out,
    the_housekeeper_ends_when_it_is_told_to,
    the_clean_up_job_deletes_what_is_past_its_horizon,
    an_absurd_horizon_deletes_nothing_and_fails_the_job,
    a_purge_goes_batch_by_batch_and_stops_when_told,
);
