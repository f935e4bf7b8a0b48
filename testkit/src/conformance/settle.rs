//! The end of an attempt: every outcome, once, and only by the holder of the lease.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::heartbeat::Report;
use jobforge_core::job::{ClaimedJob, ErrorInfo, Items, Lease, NewJob, QueuedBecause, WorkerId};
use jobforge_core::settle::{Outcome, Settled, Settlement};
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::rows::Move;
use serde_json::json;

use crate::fixtures::{
    at, attempts, by, claim, claim_one, detail, enqueue, error, failure, job, json, moment, next, read,
    register, reported, running, running_job, s, settle_one, settlement, success, unknown_job,
};

/// Runs the job again and lets the next attempt fail with this message.
async fn fail_once(
    store: &Arc<dyn Store>,
    worker: &WorkerId,
    message: &str,
    seconds: i64,
) -> Result<ClaimedJob> {
    let claimed = claim_one(store, worker, at(seconds)).await?;
    assert_eq!(settle_one(store, worker, &claimed, failure(message), at(seconds)).await?, Settled::Applied);
    Ok(claimed)
}

pub async fn a_success_ends_the_job_and_keeps_its_result(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    let result = json(r#"{"rows":3,"text":"größer"}"#);
    let done = Outcome::Succeeded { result: Some(result.clone()) };
    assert_eq!(settle_one(&store, &worker, &job, done, at(7)).await?, Settled::Applied);
    let told = detail(&store, job.id).await?;
    assert!(told.result.expect("a result").same_as(&result));
    assert!(told.job.result_id.is_some());
    assert_eq!((told.job.status, told.job.attempts, told.job.lease), (Status::Succeeded, 1, job.lease));
    assert_eq!((told.job.started_at, told.job.finished_at), (Some(moment(0)), Some(moment(7))));
    assert_eq!((told.job.locked_by, told.job.locked_at, told.job.last_worker), (None, None, Some(worker)));
    assert_eq!((told.job.heartbeat_due_at, told.job.deadline_at, told.job.error), (None, None, None));
    Ok(())
}

pub async fn a_success_without_a_result_has_none(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &job, success(), at(7)).await?;
    let told = detail(&store, job.id).await?;
    assert!(told.result.is_none() && told.job.result_id.is_none());
    assert_eq!(told.job.status, Status::Succeeded);
    Ok(())
}

pub async fn a_first_try_success_and_a_running_attempt_are_shown_as_attempts(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(3)).await?;
    let running = detail(&store, job.id).await?;
    assert_eq!(attempts(&running), [(1, 1, "running", None)]);
    assert_eq!((running.attempts[0].started_at, running.attempts[0].finished_at), (Some(moment(3)), None));
    settle_one(&store, &worker, &job, success(), at(7)).await?;
    let done = detail(&store, job.id).await?;
    assert_eq!(attempts(&done), [(1, 1, "succeeded", None)]);
    assert_eq!(
        (done.attempts[0].started_at, done.attempts[0].finished_at),
        (Some(moment(3)), Some(moment(7)))
    );
    assert_eq!(done.attempts[0].worker, Some(worker));
    Ok(())
}

pub async fn a_job_that_never_ran_has_no_attempts(store: Arc<dyn Store>) -> Result<()> {
    let id = enqueue(&store, job("email"), at(0)).await?;
    let told = detail(&store, id).await?;
    assert!(told.attempts.is_empty() && told.result.is_none() && told.logs.is_empty());
    Ok(())
}

pub async fn a_failure_waits_and_runs_again_with_its_error_kept(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    let fault =
        ErrorInfo { details: Some(json!({"status": 503, "n": [1, null]})), ..error("mail server says no") };
    let retry = Outcome::Retry { error: fault.clone(), delay: Some(Duration::from_millis(12_500)) };
    assert_eq!(settle_one(&store, &worker, &job, retry, at(7)).await?, Settled::Applied);
    let failed = detail(&store, job.id).await?;
    assert_eq!((failed.job.status, failed.job.queued_because), (Status::Queued, QueuedBecause::Retry));
    assert_eq!((failed.job.attempts, failed.job.misses, failed.job.lease), (1, 0, job.lease));
    assert_eq!(failed.job.run_at, moment(19) + jiff::SignedDuration::from_millis(500));
    assert_eq!((&failed.job.error, failed.job.finished_at), (&Some(fault), None));
    assert_eq!((&failed.job.locked_by, &failed.job.last_worker), (&None, &Some(worker.clone())));
    assert_eq!(attempts(&failed), [(1, 1, "retry", Some("mail server says no"))]);
    assert_eq!(
        (failed.attempts[0].started_at, failed.attempts[0].finished_at),
        (Some(moment(0)), Some(moment(7)))
    );
    assert_eq!(claim(&store, &worker, 1, at(19)).await?.len(), 0);
    let second = claim_one(&store, &worker, at(20)).await?;
    assert_eq!((second.attempt, second.lease), (2, next(job.lease)));
    settle_one(&store, &worker, &second, success(), at(21)).await?;
    let done = detail(&store, job.id).await?;
    assert_eq!(attempts(&done), [(1, 1, "retry", Some("mail server says no")), (2, 2, "succeeded", None)]);
    assert_eq!(done.job.error, None, "a success has no error");
    Ok(())
}

pub async fn the_last_failure_makes_the_job_dead(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let id = enqueue(&store, NewJob { max_attempts: 2, ..job("email") }, at(0)).await?;
    fail_once(&store, &worker, "first", 0).await?;
    fail_once(&store, &worker, "second", 100).await?;
    let dead = detail(&store, id).await?;
    assert_eq!(
        (dead.job.status, dead.job.attempts, dead.job.finished_at),
        (Status::Dead, 2, Some(moment(100)))
    );
    assert_eq!(attempts(&dead), [(1, 1, "retry", Some("first")), (2, 2, "dead", Some("second"))]);
    assert_eq!(dead.job.error.expect("an error").message, "second");
    Ok(())
}

pub async fn a_failure_for_good_ends_the_job_as_failed(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &job, Outcome::Failed { error: error("no such account") }, at(7)).await?;
    let failed = detail(&store, job.id).await?;
    assert_eq!((failed.job.status, failed.job.finished_at), (Status::Failed, Some(moment(7))));
    assert_eq!(attempts(&failed), [(1, 1, "failed", Some("no such account"))]);
    assert_eq!(failed.job.error.expect("an error").message, "no such account");
    Ok(())
}

pub async fn a_snooze_waits_and_uses_no_attempt(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    assert_eq!(
        settle_one(&store, &worker, &first, Outcome::Snoozed { delay: s(90) }, at(10)).await?,
        Settled::Applied
    );
    let stored = read(&store, first.id).await?;
    assert_eq!((stored.status, stored.queued_because), (Status::Queued, QueuedBecause::Snooze));
    assert_eq!((stored.attempts, stored.run_at, stored.error), (0, moment(100), None));
    let second = claim_one(&store, &worker, at(100)).await?;
    assert_eq!((second.attempt, second.lease), (1, next(first.lease)));
    Ok(())
}

pub async fn a_release_gives_the_job_back_at_once_and_uses_no_attempt(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    assert_eq!(settle_one(&store, &worker, &first, Outcome::Released, at(10)).await?, Settled::Applied);
    let stored = read(&store, first.id).await?;
    assert_eq!((stored.status, stored.queued_because), (Status::Queued, QueuedBecause::Release));
    assert_eq!((stored.attempts, stored.misses, stored.run_at), (0, 0, moment(10)));
    let heir = register(&store, "worker-00000002", at(10)).await?;
    let second = claim_one(&store, &heir, at(10)).await?;
    assert_eq!((second.attempt, second.lease), (1, next(first.lease)));
    settle_one(&store, &heir, &second, success(), at(11)).await?;
    let told = detail(&store, first.id).await?;
    let last = told.attempts.last().expect("an attempt");
    assert_eq!((last.attempt, last.lease, last.outcome.as_str()), (1, second.lease, "succeeded"));
    Ok(())
}

pub async fn the_last_report_is_stored_with_the_end(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    let report = Report {
        progress: Some(100),
        message: Some("done".to_owned()),
        phase: Some("upload".to_owned()),
        items: Some(Items { processed: 9, failed: 0, skipped: 1 }),
        checkpoint: Some(json!({"page": 9})),
        log_tail: Some("the end".to_owned()),
        log_changed: true,
        changed: true,
        ignores_stop: false,
    };
    let end = reported(&first, failure("boom"), report.clone());
    assert_eq!(store.settle(&worker, &[end], at(7)).await?, [Settled::Applied]);
    let told = detail(&store, first.id).await?;
    assert_eq!((told.job.progress.percent, told.job.progress.message.as_deref()), (Some(100), Some("done")));
    assert_eq!((told.job.progress.phase.as_deref(), told.job.progress.at), (Some("upload"), Some(moment(7))));
    assert_eq!((told.job.items.processed, told.job.items.skipped), (9, 1));
    assert_eq!(told.logs.iter().map(|log| log.text.as_str()).collect::<Vec<_>>(), ["the end"]);
    let second = claim_one(&store, &worker, at(60)).await?;
    assert_eq!(second.checkpoint, Some(json!({"page": 9})), "visible to the next attempt");
    let end = reported(&second, success(), report);
    assert_eq!(store.settle(&worker, &[end], at(61)).await?, [Settled::Applied]);
    let told = detail(&store, first.id).await?;
    assert_eq!(
        (told.job.status, told.job.progress.percent, told.logs.len()),
        (Status::Succeeded, Some(100), 2)
    );
    Ok(())
}

pub async fn a_batch_of_every_kind_is_answered_in_order(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let batch: Vec<NewJob> = (0..50).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    let held = claim(&store, &worker, 50, at(0)).await?;
    let canceled = held[48].id;
    store.move_jobs(&[canceled], Move::Cancel, &by(), at(1)).await?;
    let mut sent: Vec<Settlement> = held
        .iter()
        .enumerate()
        .map(|(index, job)| match index % 6 {
            0 => settlement(job, success()),
            1 => settlement(job, Outcome::Succeeded { result: Some(json(&index.to_string())) }),
            2 => settlement(job, failure(&format!("failure {index}"))),
            3 => settlement(job, Outcome::Failed { error: error("for good") }),
            4 => settlement(job, Outcome::Snoozed { delay: s(60) }),
            _ => settlement(job, Outcome::Released),
        })
        .collect();
    sent.insert(10, sent[2].clone());
    sent.push(Settlement { id: unknown_job(), ..sent[0].clone() });
    sent.push(Settlement { lease: Lease(77), ..sent[7].clone() });
    let answers = store.settle(&worker, &sent, at(2)).await?;
    assert_eq!(answers.len(), sent.len());
    for (index, (settlement, answer)) in sent.iter().zip(&answers).enumerate() {
        match (index, answer) {
            (10, Settled::Replayed) | (51, Settled::Gone) | (52, Settled::Fenced { .. }) => {}
            (_, Settled::Fenced { status: Status::Canceled, .. }) if settlement.id == canceled => {}
            (_, Settled::Applied) if settlement.id != canceled => {
                let stored = read(&store, settlement.id).await?;
                assert_eq!(
                    (stored.status, stored.error),
                    (settlement.to, settlement.error.clone()),
                    "line {index}"
                );
            }
            _ => panic!("line {index}: {answer:?}"),
        }
    }
    assert_eq!(store.settle(&worker, &[], at(3)).await?, []);
    Ok(())
}

pub async fn a_long_story_is_told_attempt_by_attempt(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) =
        running(&store, "worker-00000001", NewJob { max_attempts: 9, ..job("email") }, at(0)).await?;
    settle_one(&store, &worker, &first, failure("one"), at(1)).await?;
    fail_once(&store, &worker, "two", 100).await?;
    let third = claim_one(&store, &worker, at(200)).await?;
    settle_one(&store, &worker, &third, Outcome::Released, at(201)).await?;
    let fourth = claim_one(&store, &worker, at(202)).await?;
    let told = detail(&store, first.id).await?;
    let kept: Vec<_> =
        attempts(&told).into_iter().filter(|(_, _, outcome, _)| *outcome != "released").collect();
    assert_eq!(kept, [(1, 1, "retry", Some("one")), (2, 2, "retry", Some("two")), (3, 4, "running", None)]);
    settle_one(&store, &worker, &fourth, success(), at(203)).await?;
    assert_eq!(attempts(&detail(&store, first.id).await?).last(), Some(&(3, 4, "succeeded", None)));
    Ok(())
}
