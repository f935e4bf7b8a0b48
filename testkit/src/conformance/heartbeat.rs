//! Signs of life: what they store, and that nobody but the holder of the lease can give them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::heartbeat::{Beat, BeatReply, Report};
use jobforge_core::job::{Items, Job, Lease, Progress};
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::rows::{LogTail, Move};
use serde_json::json;

use crate::fixtures::{
    at, beat, beat_with, by, claim, claim_one, detail, enqueue, failure, heartbeat_one, job, moment, read,
    register, register_for, running_job, s, settle_one, success, sweep, unknown_job,
};

/// A report with something in every field.
fn full_report() -> Report {
    Report {
        progress: Some(40),
        message: Some("page 4 of 10".to_owned()),
        phase: Some("render".to_owned()),
        items: Some(Items { processed: 4, failed: 1, skipped: 2 }),
        checkpoint: Some(json!({"page": 4})),
        log_tail: Some("line 1\nline 2".to_owned()),
        log_changed: true,
        changed: true,
        ignores_stop: false,
    }
}

/// What a handler may change in its job's row.
fn reported(job: &Job) -> (Progress, Items, Option<serde_json::Value>) {
    (job.progress.clone(), job.items, job.checkpoint.clone())
}

pub async fn a_heartbeat_keeps_the_job_and_moves_its_deadline(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    let sign = Beat { due_in: Duration::from_millis(90_250), ..beat(&job) };
    assert_eq!(heartbeat_one(&store, &worker, sign, at(30)).await?, BeatReply::Kept);
    let stored = read(&store, job.id).await?;
    assert_eq!(stored.heartbeat_at, Some(moment(30)));
    assert_eq!(stored.heartbeat_due_at, Some(moment(120) + jiff::SignedDuration::from_millis(250)));
    assert_eq!((stored.status, stored.locked_by, stored.lease), (Status::Running, Some(worker), job.lease));
    Ok(())
}

pub async fn a_report_is_stored_in_every_field(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    assert_eq!(
        heartbeat_one(&store, &worker, beat_with(&job, full_report()), at(30)).await?,
        BeatReply::Kept
    );
    let progress = Progress {
        percent: Some(40),
        message: Some("page 4 of 10".to_owned()),
        phase: Some("render".to_owned()),
        at: Some(moment(30)),
    };
    let items = Items { processed: 4, failed: 1, skipped: 2 };
    assert_eq!(reported(&read(&store, job.id).await?), (progress, items, Some(json!({"page": 4}))));
    let logs = detail(&store, job.id).await?.logs;
    let told: Vec<_> = logs
        .iter()
        .map(|LogTail { attempt, lease, text, updated_at }| (*attempt, *lease, text.as_str(), *updated_at))
        .collect();
    assert_eq!(told, [(1, job.lease, "line 1\nline 2", moment(30))]);
    Ok(())
}

pub async fn fields_that_are_not_reported_stay_as_they_are(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    heartbeat_one(&store, &worker, beat_with(&job, full_report()), at(30)).await?;
    let before = reported(&read(&store, job.id).await?);
    heartbeat_one(&store, &worker, beat(&job), at(60)).await?;
    assert_eq!(reported(&read(&store, job.id).await?), before, "a beat without news");
    let news = Report { progress: Some(50), ..Report::default() };
    heartbeat_one(&store, &worker, beat_with(&job, news), at(90)).await?;
    let (progress, items, checkpoint) = reported(&read(&store, job.id).await?);
    assert_eq!(progress, Progress { percent: Some(50), at: Some(moment(90)), ..before.0 });
    assert_eq!((items, checkpoint), (before.1, before.2));
    let log = Report { log_tail: Some("line 2\nline 3".to_owned()), log_changed: true, ..Report::default() };
    heartbeat_one(&store, &worker, beat_with(&job, log), at(120)).await?;
    let told = detail(&store, job.id).await?;
    assert_eq!(told.logs.iter().map(|log| log.text.as_str()).collect::<Vec<_>>(), ["line 2\nline 3"]);
    assert_eq!(told.job.progress.at, Some(moment(90)), "log lines are no progress");
    Ok(())
}

pub async fn each_attempt_begins_its_progress_anew_and_keeps_the_checkpoint(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    heartbeat_one(&store, &worker, beat_with(&first, full_report()), at(10)).await?;
    settle_one(&store, &worker, &first, failure("boom"), at(20)).await?;
    let second = claim_one(&store, &worker, at(60)).await?;
    assert_eq!(second.checkpoint, Some(json!({"page": 4})));
    let (progress, items, _) = reported(&read(&store, first.id).await?);
    assert_eq!((progress, items), (Progress::default(), Items::default()));
    let log = Report { log_tail: Some("second".to_owned()), log_changed: true, ..Report::default() };
    heartbeat_one(&store, &worker, beat_with(&second, log), at(61)).await?;
    let logs = detail(&store, first.id).await?.logs;
    let told: Vec<_> = logs.iter().map(|log| (log.attempt, log.text.as_str())).collect();
    assert_eq!(told, [(1, "line 1\nline 2"), (2, "second")]);
    Ok(())
}

pub async fn answers_come_in_the_order_of_the_beats(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    store.enqueue(&[job("a"), job("b"), job("c"), job("d")], at(0)).await?;
    let held = claim(&store, &worker, 4, at(0)).await?;
    store.move_jobs(&[held[1].id], Move::Cancel, &by(), at(1)).await?;
    settle_one(&store, &worker, &held[2], success(), at(1)).await?;
    let gone = Beat { id: unknown_job(), ..beat(&held[0]) };
    let old = Beat { lease: Lease(held[3].lease.0 - 1), ..beat(&held[3]) };
    let beats = [gone, beat(&held[2]), beat(&held[0]), old, beat(&held[1]), beat(&held[3])];
    let answers = store.heartbeat(&worker, &beats, at(2)).await?;
    let expected = [
        BeatReply::Gone,
        BeatReply::Lost { status: Status::Succeeded },
        BeatReply::Kept,
        BeatReply::Lost { status: Status::Running },
        BeatReply::Canceled,
        BeatReply::Kept,
    ];
    assert_eq!(answers, expected);
    assert_eq!(store.heartbeat(&worker, &[], at(2)).await?, []);
    Ok(())
}

pub async fn a_canceled_job_says_so_to_its_worker_even_after_it_runs_again(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    store.move_jobs(&[job.id], Move::Cancel, &by(), at(1)).await?;
    assert_eq!(heartbeat_one(&store, &worker, beat(&job), at(2)).await?, BeatReply::Canceled);
    store.move_jobs(&[job.id], Move::Retry { delay: Duration::ZERO }, &by(), at(3)).await?;
    let answer = heartbeat_one(&store, &worker, beat(&job), at(4)).await?;
    assert_eq!(answer, BeatReply::Lost { status: Status::Queued });
    store.move_jobs(&[job.id], Move::Delete, &by(), at(5)).await?;
    assert_eq!(heartbeat_one(&store, &worker, beat(&job), at(6)).await?, BeatReply::Gone);
    Ok(())
}

pub async fn another_worker_and_an_older_lease_change_nothing(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    let other = register(&store, "worker-00000002", at(0)).await?;
    settle_one(&store, &worker, &first, failure("boom"), at(1)).await?;
    let second = claim_one(&store, &worker, at(60)).await?;
    let before = format!("{:?}", read(&store, first.id).await?);
    let lost = BeatReply::Lost { status: Status::Running };
    assert_eq!(
        heartbeat_one(&store, &worker, beat_with(&first, full_report()), at(61)).await?,
        lost,
        "older lease"
    );
    assert_eq!(
        heartbeat_one(&store, &other, beat_with(&second, full_report()), at(61)).await?,
        lost,
        "other worker"
    );
    assert_eq!(format!("{:?}", read(&store, first.id).await?), before);
    assert!(detail(&store, first.id).await?.logs.is_empty());
    Ok(())
}

pub async fn a_zombie_cannot_report_after_its_job_was_rescued(store: Arc<dyn Store>) -> Result<()> {
    enqueue(&store, job("email"), at(0)).await?;
    let zombie = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let held = claim_one(&store, &zombie, at(0)).await?;
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(21)).await?.moved, [held.id]);
    let before = format!("{:?}", read(&store, held.id).await?);
    let answer = heartbeat_one(&store, &zombie, beat_with(&held, full_report()), at(22)).await?;
    assert_eq!(answer, BeatReply::Lost { status: Status::Queued });
    assert_eq!(format!("{:?}", read(&store, held.id).await?), before);
    let heir = register(&store, "worker-00000002", at(22)).await?;
    let taken = claim_one(&store, &heir, at(23)).await?;
    let answer = heartbeat_one(&store, &zombie, beat_with(&held, full_report()), at(24)).await?;
    assert_eq!(answer, BeatReply::Lost { status: Status::Running });
    // Not even with a lease number that it guessed.
    let guess = Beat { lease: taken.lease, ..beat_with(&held, full_report()) };
    assert_eq!(
        heartbeat_one(&store, &zombie, guess, at(24)).await?,
        BeatReply::Lost { status: Status::Running }
    );
    let stored = read(&store, held.id).await?;
    assert_eq!((stored.locked_by, stored.heartbeat_at), (Some(heir), Some(moment(23))));
    assert_eq!(stored.progress, Progress::default());
    Ok(())
}
