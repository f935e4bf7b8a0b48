//! A person's hand: cancel, retry, delete, pause and resume, and what each refuses.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::job::{NewJob, QueuedBecause, RunAt};
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::rows::{Move, Moved};

use crate::fixtures::{
    asking, at, by, claim, claim_as, claim_one, detail, ended_job, enqueue, error, failure, job, json, keyed,
    moment, read, register, running_job, s, settle_one, success, unknown_job,
};

const NOW: Move = Move::Retry { delay: Duration::ZERO };

async fn move_one(
    store: &Arc<dyn Store>,
    id: jobforge_core::job::JobId,
    step: Move,
    seconds: i64,
) -> Result<Moved> {
    let mut answers = store.move_jobs(&[id], step, &by(), at(seconds)).await?;
    assert_eq!(answers.len(), 1);
    Ok(answers.remove(0))
}

pub async fn a_canceled_queued_job_never_runs(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let due = enqueue(&store, job("email"), at(0)).await?;
    let later = enqueue(&store, NewJob { when: RunAt::After(s(60)), ..job("email") }, at(0)).await?;
    let answers = store.move_jobs(&[due, later], Move::Cancel, &by(), at(5)).await?;
    assert_eq!(answers, [Moved::Done { from: Status::Queued }; 2]);
    assert_eq!(claim(&store, &worker, 10, at(100)).await?.len(), 0);
    assert_eq!(claim_as(&store, &asking(&worker, "default", 1), at(100)).await?.next_due, None);
    let stored = read(&store, due).await?;
    assert_eq!((stored.status, stored.finished_at, stored.attempts), (Status::Canceled, Some(moment(5)), 0));
    Ok(())
}

pub async fn canceling_a_running_job_fences_its_worker_and_keeps_the_attempt(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    assert_eq!(move_one(&store, held.id, Move::Cancel, 5).await?, Moved::Done { from: Status::Running });
    let stored = detail(&store, held.id).await?;
    assert_eq!((stored.job.status, stored.job.finished_at), (Status::Canceled, Some(moment(5))));
    assert_eq!(
        (stored.job.locked_by, stored.job.locked_at, stored.job.last_worker),
        (None, None, Some(worker.clone()))
    );
    assert_eq!((stored.job.heartbeat_due_at, stored.job.deadline_at), (None, None));
    assert!(stored.job.lease > held.lease);
    let told: Vec<_> =
        stored.attempts.iter().map(|attempt| (attempt.attempt, attempt.outcome.as_str())).collect();
    assert_eq!(told, [(1, "canceled")]);
    assert_eq!((stored.attempts[0].lease, &stored.attempts[0].worker), (held.lease, &Some(worker.clone())));
    assert!(matches!(settle_one(&store, &worker, &held, success(), at(6)).await?, Settled::Fenced { .. }));
    Ok(())
}

pub async fn a_repeated_cancel_is_done_already_and_an_ended_job_cannot_be_canceled(
    store: Arc<dyn Store>,
) -> Result<()> {
    let id = enqueue(&store, job("email"), at(0)).await?;
    move_one(&store, id, Move::Cancel, 5).await?;
    assert_eq!(move_one(&store, id, Move::Cancel, 9).await?, Moved::Done { from: Status::Canceled });
    assert_eq!(read(&store, id).await?.finished_at, Some(moment(5)), "the first cancel counts");
    for status in [Status::Succeeded, Status::Failed, Status::Dead] {
        let id = ended_job(&store, status, job("email"), at(0)).await?;
        assert_eq!(move_one(&store, id, Move::Cancel, 9).await?, Moved::Refused { status });
        assert_eq!(read(&store, id).await?.status, status);
    }
    Ok(())
}

pub async fn an_ended_job_runs_again_with_fresh_attempts(store: Arc<dyn Store>) -> Result<()> {
    for status in [Status::Dead, Status::Failed, Status::Canceled, Status::Succeeded] {
        let worker = register(&store, &format!("worker-of-{status}"), at(0)).await?;
        let id = ended_job(&store, status, NewJob { max_attempts: 1, ..job("email") }, at(0)).await?;
        let before = read(&store, id).await?;
        assert_eq!(move_one(&store, id, NOW, 9).await?, Moved::Done { from: status });
        let stored = read(&store, id).await?;
        assert_eq!(
            (stored.status, stored.queued_because),
            (Status::Queued, QueuedBecause::Operator),
            "{status}"
        );
        assert_eq!((stored.attempts, stored.misses, stored.run_at), (0, 0, moment(9)), "{status}");
        assert_eq!((stored.finished_at, stored.error), (None, None), "{status}");
        assert!(stored.lease > before.lease, "an old owner must stay fenced: {status}");
        let again = claim_one(&store, &worker, at(9)).await?;
        assert_eq!((again.id, again.attempt), (id, 1));
        assert_eq!(settle_one(&store, &worker, &again, success(), at(10)).await?, Settled::Applied);
        assert_eq!(read(&store, id).await?.status, Status::Succeeded);
    }
    Ok(())
}

pub async fn the_history_of_a_job_survives_its_retry(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &held, jobforge_core::settle::Outcome::Failed { error: error("no") }, at(1))
        .await?;
    move_one(&store, held.id, NOW, 2).await?;
    let again = claim_one(&store, &worker, at(3)).await?;
    settle_one(&store, &worker, &again, success(), at(4)).await?;
    let told = detail(&store, held.id).await?.attempts;
    let told: Vec<_> =
        told.iter().map(|attempt| (attempt.attempt, attempt.lease, attempt.outcome.as_str())).collect();
    assert_eq!(told, [(1, held.lease, "failed"), (1, again.lease, "succeeded")]);
    Ok(())
}

pub async fn a_success_that_is_run_again_stays_in_the_history(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &held, success(), at(1)).await?;
    move_one(&store, held.id, NOW, 2).await?;
    let told = detail(&store, held.id).await?.attempts;
    let told: Vec<_> =
        told.iter().map(|attempt| (attempt.attempt, attempt.lease, attempt.outcome.as_str())).collect();
    assert_eq!(told, [(1, held.lease, "succeeded")]);
    Ok(())
}

pub async fn retrying_a_running_job_takes_it_from_its_worker(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    assert_eq!(move_one(&store, held.id, NOW, 5).await?, Moved::Done { from: Status::Running });
    let stored = read(&store, held.id).await?;
    assert_eq!((stored.status, stored.attempts, stored.locked_by), (Status::Queued, 0, None));
    assert!(stored.lease > held.lease);
    assert!(matches!(settle_one(&store, &worker, &held, success(), at(6)).await?, Settled::Fenced { .. }));
    let again = claim_one(&store, &worker, at(7)).await?;
    assert_eq!((again.id, again.attempt), (held.id, 1));
    let told = detail(&store, held.id).await?.attempts;
    let told: Vec<_> = told.iter().map(|attempt| (attempt.attempt, attempt.outcome.as_str())).collect();
    assert_eq!(told, [(1, "reset"), (1, "running")], "the lost attempt is recorded");
    Ok(())
}

pub async fn retrying_a_waiting_job_pulls_it_forward(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &held, failure("boom"), at(0)).await?;
    let planned = enqueue(&store, NewJob { when: RunAt::After(s(3600)), ..job("email") }, at(0)).await?;
    let answers = store.move_jobs(&[held.id, planned], NOW, &by(), at(0)).await?;
    assert_eq!(answers, [Moved::Done { from: Status::Queued }; 2]);
    let stored = read(&store, held.id).await?;
    assert_eq!(
        (stored.attempts, stored.queued_because, stored.run_at),
        (0, QueuedBecause::Operator, moment(0))
    );
    let mut claimed: Vec<_> = claim(&store, &worker, 10, at(0)).await?.iter().map(|job| job.id).collect();
    claimed.sort();
    assert_eq!(claimed, [held.id, planned]);
    Ok(())
}

pub async fn a_retry_may_wait_first(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let dead = ended_job(&store, Status::Dead, job("email"), at(0)).await?;
    let due = enqueue(&store, job("email"), at(0)).await?;
    let step = Move::Retry { delay: Duration::from_millis(30_500) };
    store.move_jobs(&[dead, due], step, &by(), at(10)).await?;
    assert_eq!(read(&store, dead).await?.run_at, moment(40) + jiff::SignedDuration::from_millis(500));
    assert_eq!(claim(&store, &worker, 10, at(40)).await?.len(), 0, "a due job can be put off too");
    assert_eq!(claim(&store, &worker, 10, at(41)).await?.len(), 2);
    Ok(())
}

pub async fn a_deleted_job_leaves_nothing_behind(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let queued = enqueue(&store, job("email"), at(0)).await?;
    assert_eq!(move_one(&store, queued, Move::Delete, 1).await?, Moved::Done { from: Status::Queued });
    assert_eq!(claim(&store, &worker, 10, at(1)).await?.len(), 0);
    for status in [Status::Succeeded, Status::Failed, Status::Dead, Status::Canceled] {
        let new = keyed("k", r#"{"n":1}"#);
        let id = ended_job(&store, status, new, at(2)).await?;
        assert_eq!(move_one(&store, id, Move::Delete, 3).await?, Moved::Done { from: status });
        assert!(store.job(id).await?.is_none() && store.job_detail(id).await?.is_none());
        assert!(store.job_facts(id, at(3)).await?.is_none());
        assert_eq!(move_one(&store, id, Move::Delete, 4).await?, Moved::Missing);
    }
    // The key is free again, also for another payload.
    enqueue(&store, keyed("k", "[2]"), at(5)).await?;
    Ok(())
}

pub async fn a_running_job_is_not_deleted(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    assert_eq!(move_one(&store, held.id, Move::Delete, 1).await?, Moved::Refused { status: Status::Running });
    let result = jobforge_core::settle::Outcome::Succeeded { result: Some(json("[1]")) };
    assert_eq!(settle_one(&store, &worker, &held, result, at(2)).await?, Settled::Applied);
    assert_eq!(move_one(&store, held.id, Move::Delete, 3).await?, Moved::Done { from: Status::Succeeded });
    Ok(())
}

pub async fn answers_to_a_move_come_in_the_order_of_the_ids(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let done = {
        let id = enqueue(&store, job("email"), at(0)).await?;
        move_one(&store, id, Move::Cancel, 0).await?;
        id
    };
    let queued = enqueue(&store, job("email"), at(0)).await?;
    let answers =
        store.move_jobs(&[unknown_job(), held.id, queued, done, queued], Move::Delete, &by(), at(1)).await?;
    let expected = [
        Moved::Missing,
        Moved::Refused { status: Status::Running },
        Moved::Done { from: Status::Queued },
        Moved::Done { from: Status::Canceled },
    ];
    assert_eq!(answers[..4], expected);
    // The same id twice in one call: the second line is about a job that is gone.
    assert!(
        matches!(answers[4], Moved::Missing | Moved::Done { from: Status::Queued }),
        "got {:?}",
        answers[4]
    );
    assert_eq!(answers.len(), 5);
    for step in [Move::Cancel, NOW, Move::Delete] {
        assert_eq!(store.move_jobs(&[unknown_job()], step, &by(), at(1)).await?, [Moved::Missing]);
        assert_eq!(store.move_jobs(&[], step, &by(), at(1)).await?, []);
    }
    Ok(())
}

pub async fn pausing_says_whether_it_changed_anything(store: Arc<dyn Store>) -> Result<()> {
    assert!(!store.pause_queue("default", false, &by(), at(0)).await?, "it was not paused");
    assert!(store.pause_queue("default", true, &by(), at(1)).await?);
    assert!(!store.pause_queue("default", true, &by(), at(2)).await?);
    let paused = store.queues(at(3)).await?;
    let paused = paused.iter().find(|queue| queue.name == "default").expect("a paused queue is listed");
    assert_eq!(paused.paused_at, Some(moment(1)), "since the first time");
    assert!(store.pause_queue("default", false, &by(), at(4)).await?);
    assert!(!store.pause_queue("default", false, &by(), at(5)).await?);
    assert!(store.queues(at(6)).await?.iter().all(|queue| queue.paused_at.is_none()));
    Ok(())
}

pub async fn a_pause_stops_neither_running_jobs_nor_other_queues(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let other = enqueue(&store, NewJob { queue: "other".to_owned(), ..job("email") }, at(0)).await?;
    store.pause_queue("default", true, &by(), at(1)).await?;
    let claimed = claim_as(&store, &asking(&worker, "other", 5), at(2)).await?.jobs;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [other]);
    assert_eq!(settle_one(&store, &worker, &held, success(), at(3)).await?, Settled::Applied);
    Ok(())
}
