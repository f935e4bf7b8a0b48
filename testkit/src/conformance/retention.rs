//! Forgetting: only what has ended, only past its horizon, and then all of it.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::job::{JobId, NewJob, RunAt};
use jobforge_core::retention::{PURGE_BATCH, Retention};
use jobforge_core::settle::Outcome;
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::rows::Move;

use crate::fixtures::{
    at, beat_with, by, claim, claim_one, detail, ended_job, enqueue, failure, heartbeat_one, job, json,
    keyed, register, reported, running_job, s, settle_one,
};

const DAY: i64 = 86_400;
const RETENTION: Retention = Retention { succeeded_days: 1, failed_days: 2, dead_days: 3, canceled_days: 4 };

/// Purges once and returns what went, in the order of the statuses and without the zeros.
async fn purge(store: &Arc<dyn Store>, seconds: i64) -> Result<Vec<(Status, u64)>> {
    let mut gone = store.purge(&RETENTION, at(seconds)).await?;
    gone.retain(|(_, count)| *count > 0);
    gone.sort();
    Ok(gone)
}

async fn exists(store: &Arc<dyn Store>, id: JobId) -> Result<bool> {
    Ok(store.job(id).await?.is_some())
}

pub async fn each_status_is_kept_for_its_own_time(store: Arc<dyn Store>) -> Result<()> {
    let statuses = [Status::Succeeded, Status::Failed, Status::Dead, Status::Canceled];
    let mut ids = Vec::new();
    for status in statuses {
        ids.push(ended_job(&store, status, job("email"), at(0)).await?);
    }
    for (index, status) in statuses.into_iter().enumerate() {
        let horizon = DAY * (index as i64 + 1);
        assert_eq!(purge(&store, horizon - 1).await?, [], "one second before");
        assert!(exists(&store, ids[index]).await?);
        assert_eq!(purge(&store, horizon + 1).await?, [(status, 1)], "one second after");
        assert!(!exists(&store, ids[index]).await?);
    }
    Ok(())
}

pub async fn what_has_not_ended_is_never_purged(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let waiting = enqueue(&store, NewJob { when: RunAt::After(s(9)), ..job("email") }, at(0)).await?;
    let again =
        ended_job(&store, Status::Dead, NewJob { queue: "other".to_owned(), ..job("email") }, at(0)).await?;
    store.move_jobs(&[again], Move::Retry { delay: std::time::Duration::ZERO }, &by(), at(1)).await?;
    assert_eq!(purge(&store, 100 * DAY).await?, []);
    for id in [held.id, waiting, again] {
        assert!(exists(&store, id).await?);
    }
    Ok(())
}

pub async fn attempts_points_result_and_log_go_with_the_job(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    let half = jobforge_core::heartbeat::Report { progress: Some(50), ..Default::default() };
    heartbeat_one(&store, &worker, beat_with(&first, half), at(1)).await?;
    settle_one(&store, &worker, &first, failure("boom"), at(1)).await?;
    let second = claim_one(&store, &worker, at(60)).await?;
    let done = Outcome::Succeeded { result: Some(json("[1]")) };
    let log = jobforge_core::heartbeat::Report {
        log_tail: Some("line".to_owned()),
        log_changed: true,
        changed: true,
        ..Default::default()
    };
    store.settle(&worker, &[reported(&second, done, log)], at(61)).await?;
    assert_eq!(purge(&store, 2 * DAY).await?, [(Status::Succeeded, 1)]);
    assert!(store.job_detail(first.id).await?.is_none());
    // The same id is free: nothing of the old job may show up in the new one.
    enqueue(&store, NewJob { id: first.id, ..job("email") }, at(2 * DAY)).await?;
    let fresh = detail(&store, first.id).await?;
    assert!(fresh.attempts.is_empty() && fresh.result.is_none() && fresh.logs.is_empty());
    let worker = register(&store, "worker-00000002", at(2 * DAY)).await?;
    let again = claim_one(&store, &worker, at(2 * DAY)).await?;
    assert_eq!(again.lease, first.lease);
    assert!(detail(&store, first.id).await?.attempts[0].progress.is_empty());
    Ok(())
}

pub async fn a_key_is_free_again_after_its_job_was_purged(store: Arc<dyn Store>) -> Result<()> {
    let old = ended_job(&store, Status::Succeeded, keyed("k", "1"), at(0)).await?;
    assert_eq!(purge(&store, 2 * DAY).await?, [(Status::Succeeded, 1)]);
    let new = enqueue(&store, keyed("k", "2"), at(2 * DAY)).await?;
    assert_ne!(new, old);
    Ok(())
}

pub async fn a_purge_takes_a_batch_at_a_time_until_nothing_is_left(store: Arc<dyn Store>) -> Result<()> {
    let count = PURGE_BATCH + 200;
    let batch: Vec<NewJob> = (0..count).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
    store.move_jobs(&ids, Move::Cancel, &by(), at(0)).await?;
    let recent = ended_job(&store, Status::Canceled, job("email"), at(4 * DAY)).await?;
    let mut left = count as u64;
    while left > 0 {
        let gone: u64 = purge(&store, 5 * DAY).await?.iter().map(|(_, count)| count).sum();
        assert!((1..=PURGE_BATCH as u64).contains(&gone), "{gone} in one call");
        left = left.checked_sub(gone).expect("no more than there were");
    }
    assert_eq!(purge(&store, 5 * DAY).await?, []);
    assert!(exists(&store, recent).await?);
    let worker = register(&store, "worker-00000001", at(0)).await?;
    assert_eq!(claim(&store, &worker, 1, at(1)).await?.len(), 0);
    Ok(())
}

pub async fn what_would_be_purged_is_counted_and_stays(store: Arc<dyn Store>) -> Result<()> {
    for status in [Status::Succeeded, Status::Failed, Status::Dead, Status::Canceled] {
        ended_job(&store, status, job("email"), at(0)).await?;
    }
    let recent = ended_job(&store, Status::Succeeded, job("email"), at(DAY)).await?;
    let as_of = 2 * DAY;
    let mut counted = store.purgeable(&RETENTION, at(as_of + 1)).await?;
    counted.sort();
    let expected = [(Status::Succeeded, 2), (Status::Failed, 1), (Status::Dead, 0), (Status::Canceled, 0)];
    assert_eq!(counted, expected);
    assert!(exists(&store, recent).await?);
    assert_eq!(purge(&store, as_of + 1).await?, [(Status::Succeeded, 2), (Status::Failed, 1)]);
    let nothing = RETENTION.only(&[]);
    assert!(store.purgeable(&nothing, at(100 * DAY)).await?.iter().all(|(_, count)| *count == 0));
    Ok(())
}
