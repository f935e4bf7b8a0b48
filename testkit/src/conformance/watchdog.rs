//! What watchdogs go by, and what is kept of their runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::claim::{Bounds, ClaimAsk, TypeBounds};
use jobforge_core::heartbeat::Beat;
use jobforge_core::job::{JobId, WorkerId};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::verdict::HeldBack;
use jobforge_core::watchdog::{GuardKind, Run, RunVerdict, Survey};
use jobforge_store::Store;

use crate::fixtures::{
    asking, at, beat, claim_as, enqueue, heartbeat_one, job, moment, read, register_for, running, s,
    settle_one, success,
};

pub(super) fn run(second: i64) -> Run {
    Run {
        watchdog: "host-a:7".to_owned(),
        started_at: moment(second),
        duration_ms: 12,
        trigger: "lease".to_owned(),
        guard: Some("mass_loss".to_owned()),
        suspects: 5,
        workers_lost: 1,
        requeued: 2,
        ended: 1,
        lost_races: 1,
        verdicts: vec![RunVerdict {
            job: JobId(uuid::Uuid::from_u128(7)),
            worker: Some(WorkerId("worker-00000001".to_owned())),
            cause: "worker_lost".to_owned(),
            outcome: "queued".to_owned(),
            why: "it was not heard".to_owned(),
        }],
        error: Some("broke off".to_owned()),
    }
}

pub async fn a_survey_counts_the_workers_and_tells_the_last_sign_of_any_watchdog(
    store: Arc<dyn Store>,
) -> Result<()> {
    let empty = store.survey(at(0)).await?;
    assert_eq!((empty.as_of, empty.last_sign_at), (moment(0), None));
    assert_eq!((empty.active, empty.overdue, empty.silent), (0, 0, 0));
    register_for(&store, "worker-00000001", s(20), at(0)).await?;
    register_for(&store, "worker-00000002", s(60), at(0)).await?;
    let left = register_for(&store, "worker-00000003", s(20), at(0)).await?;
    store.leave(&left, "done", at(1)).await?;
    store.watchdog_sign("host-a:7", s(60), None, at(12)).await?;
    store.watchdog_sign("host-b:8", s(60), None, at(10)).await?;
    assert_eq!(store.survey(at(10)).await?.silent, 0, "half a lease without a word is none too long");
    let Survey { active, overdue, silent, last_sign_at, .. } = store.survey(at(20)).await?;
    assert_eq!((active, overdue, last_sign_at), (2, 0, Some(moment(12))), "on its last moment a lease holds");
    assert_eq!(silent, 1, "the one with the long lease has time");
    let Survey { active, overdue, silent, .. } = store.survey(at(31)).await?;
    assert_eq!((active, overdue, silent), (2, 1, 2));
    Ok(())
}

pub async fn extending_gives_a_whole_lease_from_now_and_never_shortens_one(
    store: Arc<dyn Store>,
) -> Result<()> {
    let short = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    register_for(&store, "worker-00000002", s(20), at(40)).await?;
    let left = register_for(&store, "worker-00000003", s(20), at(0)).await?;
    store.leave(&left, "done", at(1)).await?;
    assert_eq!(store.extend_leases(at(30)).await?, 1, "the younger one has more than a lease left");
    let workers = store.workers(at(30)).await?;
    let until = |id: &WorkerId| workers.iter().find(|w| w.id == *id).map(|w| w.lease_expires_at);
    assert_eq!(until(&short), Some(moment(50)));
    assert_eq!(until(&left), Some(moment(20)), "who has ended stays ended");
    assert!(store.renew(&short, false, None, at(45)).await?.is_some(), "an extended worker may renew again");
    Ok(())
}

pub async fn after_a_step_of_the_clock_all_times_count_anew_and_doing_it_twice_gives_no_more(
    store: Arc<dyn Store>,
) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let bounds = TypeBounds {
        timeout: Bounds { other: Some(90_000), ..Bounds::default() },
        progress: Bounds { other: Some(40_000), ..Bounds::default() },
    };
    let id = enqueue(&store, job("email"), at(0)).await?;
    let held = claim_as(&store, &ClaimAsk { bounds, ..asking(&worker, "default", 1) }, at(0)).await?.jobs;
    heartbeat_one(&store, &worker, Beat { due_in: s(60), ..beat(&held[0]) }, at(10)).await?;
    // Forward, back behind the beginning, and forward again.
    for now in [700, 705, -50, 60] {
        store.renew_all_times(at(now)).await?;
        let workers = store.workers(at(now)).await?;
        assert_eq!(workers[0].lease_expires_at, moment(now + 20), "at {now}");
        let job = read(&store, id).await?;
        assert_eq!(job.heartbeat_due_at, Some(moment(now + 60)), "at {now}");
        assert_eq!(job.deadline_at, Some(moment(now + 90)), "at {now}");
        assert_eq!(job.progress.at, Some(moment(now)), "at {now}");
        assert_eq!(
            (job.status, job.started_at, job.lease),
            (Status::Running, Some(moment(0)), held[0].lease)
        );
    }
    heartbeat_one(&store, &worker, beat(&held[0]), at(61)).await?;
    settle_one(&store, &worker, &held[0], success(), at(62)).await?;
    Ok(())
}

pub async fn after_a_step_of_the_clock_nothing_but_workers_and_running_jobs_changes(
    store: Arc<dyn Store>,
) -> Result<()> {
    let left = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    store.leave(&left, "done", at(1)).await?;
    let (_, unbound) = running(&store, "worker-00000002", job("email"), at(0)).await?;
    let queued = enqueue(&store, job("email"), at(0)).await?;
    let before = read(&store, queued).await?;
    store.renew_all_times(at(700)).await?;
    let unbound = read(&store, unbound.id).await?;
    assert_eq!((unbound.deadline_at, unbound.progress.at), (None, None));
    assert_eq!(format!("{:?}", read(&store, queued).await?), format!("{before:?}"));
    let workers = store.workers(at(700)).await?;
    let ended = workers.iter().find(|worker| worker.id == left).expect("the worker that left");
    assert_eq!(ended.lease_expires_at, moment(20), "who has ended stays ended");
    Ok(())
}

pub async fn after_a_step_of_the_clock_whoever_gave_signs_is_still_there_and_nobody_else(
    store: Arc<dyn Store>,
) -> Result<()> {
    store.renew_all_times(at(0)).await?;
    assert!(store.housekeeper().await?.is_none() && store.scheduler(at(0)).await?.is_none());
    assert_eq!(store.alert_bench().await?.judged_at, None);
    store.sign_housekeeper("host-a:7", at(1)).await?;
    assert!(store.lead_schedules("host-a:7", s(5), at(2)).await?);
    assert!(store.take_alert_turn("host-a:7", s(60), at(3)).await?);
    store.renew_all_times(at(3600)).await?;
    assert!(store.alert_bench().await?.begins(moment(3660)), "who has not judged yet still has the turn");
    assert!(store.take_alert_turn("host-a:7", s(60), at(3)).await?);
    assert!(store.keep_alerts("host-a:7", &[], at(3)).await?);
    // Far ahead, and back.
    for now in [7200, 60] {
        store.renew_all_times(at(now)).await?;
        assert_eq!(store.housekeeper().await?.map(|sign| sign.at), Some(moment(now)));
        let scheduler = store.scheduler(at(now)).await?;
        assert_eq!(scheduler.map(|scheduler| scheduler.last_tick_at), Some(moment(now)));
        assert_eq!(store.alert_bench().await?.judged_at, Some(moment(now)));
    }
    Ok(())
}

pub async fn no_more_workers_are_expired_than_asked_for_the_longest_overdue_first(
    store: Arc<dyn Store>,
) -> Result<()> {
    let second = register_for(&store, "worker-00000001", s(20), at(1)).await?;
    let first = register_for(&store, "worker-00000002", s(20), at(0)).await?;
    assert_eq!(store.expire_workers(0, at(60)).await?, []);
    assert_eq!(store.expire_workers(1, at(60)).await?, [first]);
    assert_eq!(store.expire_workers(1, at(60)).await?, [second]);
    Ok(())
}

pub async fn watchdogs_are_listed_by_their_last_sign_and_forgotten_after_a_day(
    store: Arc<dyn Store>,
) -> Result<()> {
    store.watchdog_sign("host-a:7", s(60), None, at(0)).await?;
    store.watchdog_sign("host-b:8", s(30), None, at(2)).await?;
    store.watchdog_sign("host-a:7", s(60), None, at(5)).await?;
    let seen = store.watchdogs(at(6)).await?;
    assert_eq!(seen.iter().map(|w| w.id.as_str()).collect::<Vec<_>>(), ["host-a:7", "host-b:8"]);
    assert_eq!((seen[0].started_at, seen[0].last_sign_at), (moment(0), moment(5)));
    assert_eq!(seen[1].check_interval_ms, 30_000);
    assert!(!seen[1].is_silent(moment(12)) && seen[1].is_silent(moment(13)));
    store.watchdog_sign("host-c:9", s(60), None, at(2 * 86_400)).await?;
    let seen = store.watchdogs(at(2 * 86_400)).await?;
    assert_eq!(seen.iter().map(|w| w.id.as_str()).collect::<Vec<_>>(), ["host-c:9"]);
    Ok(())
}

pub async fn runs_are_kept_in_every_field_newest_first_for_a_week(store: Arc<dyn Store>) -> Result<()> {
    store.record_run(&run(10), at(10)).await?;
    store.record_run(&run(20), at(20)).await?;
    assert_eq!(store.watchdog_runs(10).await?, [run(20), run(10)]);
    assert_eq!(store.watchdog_runs(1).await?, [run(20)]);
    let later = 10 + i64::try_from(Duration::from_secs(7 * 86_400).as_secs())? + 5;
    store.record_run(&run(later), Now::Fixed(moment(later))).await?;
    assert_eq!(store.watchdog_runs(10).await?, [run(later), run(20)]);
    Ok(())
}

pub async fn what_holds_a_watchdog_back_is_told_to_who_asks_about_a_job(store: Arc<dyn Store>) -> Result<()> {
    let id = enqueue(&store, job("email"), at(0)).await?;
    let held = HeldBack { guard: GuardKind::MassLoss, until: moment(30) };
    store.watchdog_sign("host-a:7", s(60), Some(held), at(10)).await?;
    assert_eq!(store.watchdogs(at(10)).await?[0].held, Some(held));
    let told = |second| {
        let store = store.clone();
        async move { store.job_facts(id, at(second)).await.map(|facts| facts.and_then(|facts| facts.held)) }
    };
    assert_eq!((told(29).await?, told(30).await?), (Some(held), None));
    store.watchdog_sign("host-a:7", s(60), None, at(12)).await?;
    assert_eq!(told(13).await?, None);
    Ok(())
}

pub async fn a_watchdog_that_is_held_back_holds_nothing_up_beside_a_free_one(
    store: Arc<dyn Store>,
) -> Result<()> {
    let id = enqueue(&store, job("email"), at(0)).await?;
    let held = HeldBack { guard: GuardKind::Blind, until: moment(30) };
    store.watchdog_sign("host-a:7", s(60), None, at(10)).await?;
    store.watchdog_sign("host-b:8", s(60), Some(held), at(11)).await?;
    let told = |second| {
        let store = store.clone();
        async move { store.job_facts(id, at(second)).await.map(|facts| facts.and_then(|facts| facts.held)) }
    };
    assert_eq!(told(20).await?, None, "the first one does what the second must not");
    assert_eq!(told(21).await?, Some(held), "nobody knows whether the first one is still there");
    Ok(())
}
