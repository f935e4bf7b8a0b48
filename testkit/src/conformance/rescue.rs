//! Taking jobs back from lost workers: found, planned by the core, applied only where nothing has changed since.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::claim::ClaimAsk;
use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::{JobId, Lease, NewJob, QueuedBecause, WorkerId};
use jobforge_core::rescue::{OnLost, RescuePolicy, SuspectPage, WORKER_DIED, plan};
use jobforge_core::settle::{Outcome, Settled};
use jobforge_core::state::Status;
use jobforge_core::worker::{NewWorker, WorkerState};
use jobforge_store::Store;
use jobforge_store::rows::Move;

use crate::fixtures::{
    asking, at, beat, by, claim, claim_as, claim_one, detail, enqueue, heartbeat_one, job, moment,
    new_worker, next, read, register, register_for, running, running_job, s, settle_one, success, sweep,
};

fn found(page: &SuspectPage) -> Vec<JobId> {
    page.suspects.iter().map(|suspect| suspect.job.id).collect()
}

/// A job that runs on a worker whose lease of 20 s begins at second 0.
async fn doomed(
    store: &Arc<dyn Store>,
    worker: &str,
    new: NewJob,
) -> Result<(WorkerId, jobforge_core::job::ClaimedJob)> {
    let worker = register_for(store, worker, s(20), at(0)).await?;
    enqueue(store, new, at(0)).await?;
    let held = claim_one(store, &worker, at(0)).await?;
    Ok((worker, held))
}

pub async fn healthy_jobs_are_no_suspects(store: Arc<dyn Store>) -> Result<()> {
    running_job(&store, "worker-00000001", at(0)).await?;
    enqueue(&store, job("email"), at(0)).await?;
    let page = store.suspects(&[], 10, at(60)).await?;
    assert_eq!((page.as_of, found(&page)), (moment(60), vec![]));
    Ok(())
}

pub async fn a_job_of_a_silent_worker_is_taken_back_and_runs_elsewhere(store: Arc<dyn Store>) -> Result<()> {
    let (lost, held) = doomed(&store, "worker-00000001", job("email")).await?;
    assert_eq!(
        found(&store.suspects(&[], 10, at(20)).await?),
        [],
        "on its last moment the lease still holds"
    );
    assert_eq!(store.expire_workers(u32::MAX, at(21)).await?, std::slice::from_ref(&lost));
    let page = store.suspects(&[], 10, at(21)).await?;
    assert_eq!(found(&page), [held.id]);
    let worker = page.suspects[0].worker.as_ref().expect("the worker is known");
    assert_eq!((&worker.id, worker.state, worker.ended_at), (&lost, WorkerState::Lost, Some(moment(21))));
    let report = store.apply_rescues(&plan(&page, &RescuePolicy::default()), at(22)).await?;
    assert_eq!((report.moved, report.lost_races), (vec![held.id], vec![]));
    let stored = read(&store, held.id).await?;
    assert_eq!(
        (stored.status, stored.queued_because, stored.misses),
        (Status::Queued, QueuedBecause::Rescue, 1)
    );
    assert_eq!((stored.run_at, stored.attempts, stored.lease), (moment(22), 1, next(held.lease)));
    assert_eq!((stored.locked_by, stored.locked_at, stored.last_worker), (None, None, Some(lost.clone())));
    assert_eq!((stored.heartbeat_due_at, stored.deadline_at, stored.finished_at), (None, None, None));
    let told = detail(&store, held.id).await?.attempts;
    assert_eq!((told.len(), told[0].outcome.as_str(), &told[0].worker), (1, "lost", &Some(lost)));
    assert_eq!((told[0].attempt, told[0].lease, told[0].finished_at), (1, held.lease, Some(moment(22))));
    assert_eq!(told[0].error.as_ref().map(|error| error.kind.as_str()), Some("worker_lost"));
    let heir = register(&store, "worker-00000002", at(22)).await?;
    let again = claim_one(&store, &heir, at(22)).await?;
    assert_eq!((again.id, again.attempt, again.lease), (held.id, 2, Lease(held.lease.0 + 2)));
    assert_eq!(settle_one(&store, &heir, &again, success(), at(23)).await?, Settled::Applied);
    Ok(())
}

pub async fn an_expired_worker_is_found_before_anybody_marks_it(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = doomed(&store, "worker-00000001", job("email")).await?;
    let page = store.suspects(&[], 10, at(21)).await?;
    assert_eq!(found(&page), [held.id]);
    let report = store.apply_rescues(&plan(&page, &RescuePolicy::default()), at(21)).await?;
    assert_eq!(report.moved, [held.id]);
    Ok(())
}

pub async fn what_a_worker_held_when_it_left_is_found_at_once(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    store.leave(&worker, "deploy", at(1)).await?;
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(1)).await?.moved, [held.id]);
    let stored = read(&store, held.id).await?;
    assert_eq!(stored.status, Status::Queued);
    assert!(stored.error.expect("an error").message.contains("deploy"));
    Ok(())
}

pub async fn policy_fail_ends_the_job_with_the_runbooks_exact_text(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = doomed(&store, "worker-00000001", job("email")).await?;
    let policy = RescuePolicy { on_lost: OnLost::Fail.into(), ..RescuePolicy::default() };
    assert_eq!(sweep(&store, &policy, at(21)).await?.moved, [held.id]);
    let stored = read(&store, held.id).await?;
    assert_eq!((stored.status, stored.finished_at), (Status::Failed, Some(moment(21))));
    assert_eq!(stored.error.expect("an error").message, WORKER_DIED);
    Ok(())
}

pub async fn a_job_that_loses_too_many_leases_is_dead_with_the_evidence_of_each(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (_, first) = doomed(&store, "worker-00000001", job("email")).await?;
    sweep(&store, &RescuePolicy::default(), at(21)).await?;
    let second = register_for(&store, "worker-00000002", s(20), at(30)).await?;
    claim_one(&store, &second, at(30)).await?;
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(51)).await?.moved, [first.id]);
    let dead = detail(&store, first.id).await?;
    assert_eq!((dead.job.status, dead.job.misses, dead.job.finished_at), (Status::Dead, 2, Some(moment(51))));
    let told: Vec<_> =
        dead.attempts.iter().map(|attempt| (attempt.attempt, attempt.outcome.as_str())).collect();
    assert_eq!(told, [(1, "lost"), (2, "lost")]);
    assert!(dead.attempts.iter().all(|attempt| attempt.error.is_some()));
    Ok(())
}

pub async fn a_heartbeat_between_scan_and_rescue_wins(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let sign = Beat { due_in: s(60), ..beat(&held) };
    heartbeat_one(&store, &worker, sign.clone(), at(10)).await?;
    let page = store.suspects(&[], 10, at(71)).await?;
    let rescues = plan(&page, &RescuePolicy::default());
    assert_eq!((found(&page), rescues.len()), (vec![held.id], 1), "its heartbeat is late");
    assert_eq!(heartbeat_one(&store, &worker, sign, at(72)).await?, BeatReply::Kept);
    let report = store.apply_rescues(&rescues, at(73)).await?;
    assert_eq!((report.moved, report.lost_races), (vec![], vec![held.id]));
    let stored = read(&store, held.id).await?;
    assert_eq!((stored.status, stored.lease, stored.misses), (Status::Running, held.lease, 0));
    Ok(())
}

pub async fn an_end_a_cancel_and_a_deletion_between_scan_and_rescue_win(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    store.enqueue(&[job("a"), job("b"), job("c"), job("d")], at(0)).await?;
    let held = claim(&store, &worker, 4, at(0)).await?;
    let page = store.suspects(&[], 10, at(21)).await?;
    let rescues = plan(&page, &RescuePolicy::default());
    assert_eq!(rescues.len(), 4);
    settle_one(&store, &worker, &held[0], success(), at(22)).await?;
    store.move_jobs(&[held[1].id, held[2].id], Move::Cancel, &by(), at(22)).await?;
    store.move_jobs(&[held[2].id], Move::Delete, &by(), at(22)).await?;
    let mut report = store.apply_rescues(&rescues, at(23)).await?;
    report.lost_races.sort();
    let mut expected = vec![held[0].id, held[1].id, held[2].id];
    expected.sort();
    assert_eq!((report.moved, report.lost_races), (vec![held[3].id], expected));
    assert_eq!(read(&store, held[0].id).await?.status, Status::Succeeded);
    assert_eq!(read(&store, held[1].id).await?.status, Status::Canceled);
    Ok(())
}

pub async fn of_two_watchdogs_with_the_same_plan_the_second_is_too_late(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = doomed(&store, "worker-00000001", job("email")).await?;
    let rescues = plan(&store.suspects(&[], 10, at(21)).await?, &RescuePolicy::default());
    assert_eq!(store.apply_rescues(&rescues, at(21)).await?.moved, [held.id]);
    let late = store.apply_rescues(&rescues, at(22)).await?;
    assert_eq!((late.moved, late.lost_races), (vec![], vec![held.id]));
    assert_eq!(read(&store, held.id).await?.misses, 1, "counted once");
    let heir = register(&store, "worker-00000002", at(23)).await?;
    let again = claim_one(&store, &heir, at(23)).await?;
    assert_eq!(
        store.apply_rescues(&rescues, at(24)).await?.lost_races,
        [held.id],
        "the next attempt is safe too"
    );
    assert_eq!(read(&store, held.id).await?.locked_by, Some(heir));
    assert_eq!(again.attempt, 2);
    Ok(())
}

pub async fn two_watchdogs_at_the_same_time_move_each_job_once(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let batch: Vec<NewJob> = (0..40).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    assert_eq!(claim(&store, &worker, 40, at(0)).await?.len(), 40);
    let rescues = plan(&store.suspects(&[], 100, at(21)).await?, &RescuePolicy::default());
    let mut watchdogs = Vec::new();
    for _ in 0..4 {
        let (store, rescues) = (store.clone(), rescues.clone());
        watchdogs.push(tokio::spawn(async move { store.apply_rescues(&rescues, at(22)).await }));
    }
    let mut moved = Vec::new();
    let mut lost = 0;
    for watchdog in watchdogs {
        let report = watchdog.await??;
        moved.extend(report.moved);
        lost += report.lost_races.len();
    }
    moved.sort();
    moved.dedup();
    assert_eq!((moved.len(), lost), (40, 120));
    for new in &batch {
        let stored = read(&store, new.id).await?;
        assert_eq!((stored.misses, stored.lease), (1, Lease(2)));
    }
    Ok(())
}

pub async fn a_silent_handler_on_a_living_worker_is_taken_back(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let id = enqueue(&store, job("email"), at(0)).await?;
    let ask = ClaimAsk { beat_due_in: s(120), ..asking(&worker, "default", 1) };
    claim_as(&store, &ask, at(0)).await?;
    assert_eq!(found(&store.suspects(&[], 10, at(120)).await?), []);
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(121)).await?.moved, [id]);
    let stored = read(&store, id).await?;
    assert_eq!((stored.misses, stored.error.expect("an error").kind.as_str()), (1, "heartbeat_late"));
    Ok(())
}

pub async fn a_job_far_past_its_deadline_is_taken_back_without_a_miss(store: Arc<dyn Store>) -> Result<()> {
    let timed = NewJob { timeout: Some(s(30)), ..job("email") };
    let (_, held) = running(&store, "worker-00000001", timed, at(0)).await?;
    assert!(
        sweep(&store, &RescuePolicy::default(), at(40)).await?.moved.is_empty(),
        "its worker has a grace of ten seconds"
    );
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(41)).await?.moved, [held.id]);
    let stored = read(&store, held.id).await?;
    assert_eq!(
        (stored.status, stored.queued_because, stored.misses),
        (Status::Queued, QueuedBecause::Retry, 0)
    );
    assert_eq!((stored.run_at, stored.lease), (moment(42), next(held.lease)));
    assert_eq!(stored.error.expect("an error").kind, "timeout");
    let told = detail(&store, held.id).await?.attempts;
    assert_eq!(told.len(), 1);
    Ok(())
}

pub async fn a_worker_that_registers_anew_is_another_incarnation(store: Arc<dyn Store>) -> Result<()> {
    let (old, held) = doomed(&store, "worker-00000001", job("email")).await?;
    let reborn = register(&store, "worker-00000002", at(21)).await?;
    // The same process and machine, but the old incarnation's job is not its own.
    let lost = BeatReply::Lost { status: Status::Running };
    assert_eq!(heartbeat_one(&store, &reborn, beat(&held), at(22)).await?, lost);
    assert_eq!(store.expire_workers(u32::MAX, at(22)).await?, [old]);
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(22)).await?.moved, [held.id]);
    assert_eq!(claim_one(&store, &reborn, at(22)).await?.id, held.id);
    Ok(())
}

pub async fn a_self_fenced_worker_hands_its_job_over_without_a_miss(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = doomed(&store, "worker-00000001", job("email")).await?;
    assert!(store.renew(&worker, false, None, at(25)).await?.is_none());
    assert_eq!(settle_one(&store, &worker, &held, Outcome::Released, at(26)).await?, Settled::Applied);
    let stored = read(&store, held.id).await?;
    assert_eq!((stored.status, stored.misses, stored.attempts), (Status::Queued, 0, 0));
    Ok(())
}

pub async fn at_most_a_page_of_suspects_comes_and_nothing_starves(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    store.enqueue(&[job("a"), job("b"), job("c"), job("d"), job("e")], at(0)).await?;
    assert_eq!(claim(&store, &worker, 5, at(0)).await?.len(), 5);
    let mut moved = 0;
    for sizes in [2, 2, 1, 0] {
        let page = store.suspects(&[], 2, at(21)).await?;
        assert_eq!(page.suspects.len(), sizes);
        moved += store.apply_rescues(&plan(&page, &RescuePolicy::default()), at(21)).await?.moved.len();
    }
    assert_eq!(moved, 5);
    Ok(())
}

pub async fn a_rescued_job_may_be_canceled_retried_and_deleted(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = doomed(&store, "worker-00000001", job("email")).await?;
    sweep(&store, &RescuePolicy::default(), at(21)).await?;
    store.move_jobs(&[held.id], Move::Retry { delay: Duration::ZERO }, &by(), at(22)).await?;
    assert_eq!(read(&store, held.id).await?.misses, 0, "a fresh start");
    store.move_jobs(&[held.id], Move::Delete, &by(), at(23)).await?;
    assert!(store.job(held.id).await?.is_none());
    Ok(())
}

pub async fn an_empty_plan_and_a_quiet_tick_change_nothing(store: Arc<dyn Store>) -> Result<()> {
    store
        .register(&NewWorker { name: Some("quiet".to_owned()), ..new_worker("worker-00000001") }, at(0))
        .await?;
    assert_eq!(store.expire_workers(u32::MAX, at(1)).await?, []);
    let report = store.apply_rescues(&[], at(1)).await?;
    assert!(report.moved.is_empty() && report.lost_races.is_empty());
    assert_eq!(store.reconcile(at(1)).await?, 0);
    Ok(())
}
