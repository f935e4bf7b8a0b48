//! Looking after the database as a whole: what ended long ago is forgotten, and a restored copy begins anew.

use std::sync::Arc;

use anyhow::{Context, Result};
use jobforge_core::audit::AuditFilter;
use jobforge_core::job::{NewJob, QueuedBecause, WorkerId};
use jobforge_core::operation::{BulkAction, BulkFilter, NewOperation, TURN};
use jobforge_core::rescue::{OnLost, RescuePolicy};
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::token::{Scope, TokenRow, TokenText};
use jobforge_store::Store;
use jobforge_store::restored::take_back;
use jobforge_store::rows::TIDY_BATCH;
use uuid::Uuid;

use super::watchdog::run;
use crate::fixtures::{
    at, by, claim_one, detail, ended_job, enqueue, failure, job, moment, read, register, running,
    running_job, s, settle_one, success,
};

const DAY: i64 = 86_400;
/// Fences of a database that was restored once are above this.
const FIRST_BASE: i64 = 1 << 32;

/// Who is known, as of a moment at which nobody had ended for a day.
async fn known(store: &Arc<dyn Store>) -> Result<Vec<String>> {
    let mut known: Vec<String> = store.workers(at(10)).await?.into_iter().map(|worker| worker.id.0).collect();
    known.sort();
    Ok(known)
}

pub async fn workers_that_ended_are_forgotten_but_never_one_that_a_job_runs_under(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (holds, _) = running_job(&store, "worker-00000001", at(0)).await?;
    let gone = register(&store, "worker-00000002", at(0)).await?;
    store.leave(&gone, "done", at(1)).await?;
    store.leave(&holds, "done", at(1)).await?;
    assert_eq!(store.tidy(at(DAY)).await?, 0, "a day has not passed");
    assert_eq!(store.tidy(at(DAY + 2)).await?, 1);
    assert_eq!(known(&store).await?, ["worker-00000001"]);
    Ok(())
}

pub async fn forgetting_goes_a_batch_at_a_time_and_ends(store: Arc<dyn Store>) -> Result<()> {
    let count = TIDY_BATCH + 3;
    for number in 0..count {
        store.record_run(&run(i64::try_from(number)?), at(0)).await?;
    }
    let later = at(8 * DAY);
    assert_eq!((store.tidy(later).await?, store.tidy(later).await?), (TIDY_BATCH as u64, 3));
    assert_eq!(store.tidy(later).await?, 0);
    Ok(())
}

pub async fn a_server_tells_how_busy_it_is_and_a_file_has_none(store: Arc<dyn Store>) -> Result<()> {
    let Some(pressure) = store.pressure().await? else {
        assert_eq!(store.capabilities().engine, "sqlite");
        return Ok(());
    };
    assert!((1..=pressure.max_connections).contains(&pressure.connections), "{pressure:?}");
    Ok(())
}

pub async fn asking_for_room_changes_nothing_where_there_is_some(store: Arc<dyn Store>) -> Result<()> {
    let before = store.sizes().await?.iter().map(|part| part.bytes).sum::<u64>();
    store.ask_for_room().await?;
    assert_eq!(store.sizes().await?.iter().map(|part| part.bytes).sum::<u64>(), before);
    Ok(())
}

pub async fn operations_are_forgotten_a_month_after_their_end_and_deeds_never(
    store: Arc<dyn Store>,
) -> Result<()> {
    let new =
        |action| NewOperation { id: Uuid::now_v7(), action, filter: BulkFilter::default(), dry_run: false };
    let (ended, open) = (new(BulkAction::Delete), new(BulkAction::Delete));
    for operation in [&ended, &open] {
        store.put_operation(operation, &by(), at(0)).await?;
    }
    store.cancel_operation(ended.id, &by(), at(1)).await?;
    let deeds = store.audit(&AuditFilter::default(), 100).await?;
    assert_eq!(store.tidy(at(29 * DAY)).await?, 0);
    assert_eq!(store.tidy(at(30 * DAY + 2)).await?, 1);
    assert!(store.operation(ended.id).await?.is_none());
    assert!(store.operation(open.id).await?.is_some(), "one that goes on is kept however old it is");
    store.tidy(at(4000 * DAY)).await?;
    assert_eq!(store.audit(&AuditFilter::default(), 100).await?, deeds);
    Ok(())
}

pub async fn a_token_that_ended_stays_but_not_when_it_was_last_used(store: Arc<dyn Store>) -> Result<()> {
    let token = |number: u8, expires_at| {
        let text = TokenText::of_random(&[Scope::Read], [number; 8], [number; 32]);
        TokenRow {
            id: text.id().to_owned(),
            name: format!("t{number}"),
            scopes: vec![Scope::Read],
            tenant_id: None,
            queues: None,
            hash: text.hash(),
            created_at: moment(0),
            created_by: String::new(),
            expires_at,
            revoked_at: None,
            last_used_at: None,
        }
    };
    let (expired, revoked, good) = (token(1, Some(moment(100))), token(2, None), token(3, None));
    for token in [&expired, &revoked, &good] {
        store.put_token(token, &by(), at(0)).await?;
        store.token_used(&token.id, at(60)).await?;
    }
    store.revoke_token(&revoked.id, &by(), at(100)).await?;
    let used = async || -> Result<Vec<(String, bool)>> {
        let mut used: Vec<_> = store
            .tokens()
            .await?
            .into_iter()
            .map(|token| (token.name, token.last_used_at.is_some()))
            .collect();
        used.sort();
        Ok(used)
    };
    let as_of = |known| [("t1".to_owned(), known), ("t2".to_owned(), known), ("t3".to_owned(), true)];
    assert_eq!(store.tidy(at(90 * DAY)).await?, 0);
    assert_eq!(used().await?, as_of(true));
    assert_eq!(store.tidy(at(90 * DAY + 101)).await?, 2);
    assert_eq!(used().await?, as_of(false));
    Ok(())
}

pub async fn a_restored_copy_voids_every_lease_and_takes_its_jobs_back_at_no_cost(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    store.watchdog_sign("host-a:7", s(60), None, at(1)).await?;
    let old =
        ended_job(&store, Status::Failed, NewJob { queue: "old".to_owned(), ..job("email") }, at(1)).await?;
    assert_eq!(store.begin_anew(0, at(5)).await?, std::slice::from_ref(&worker));
    assert_eq!(store.watchdogs(at(5)).await?.len(), 0);
    // Nobody of before can do anything any more, whether its job was taken back already or not.
    assert_eq!(store.renew(&worker, false, None, at(5)).await?, None);
    let taken = take_back(store.as_ref(), &RescuePolicy::default(), at(5)).await?;
    assert_eq!(taken.iter().map(|line| line.id).collect::<Vec<_>>(), [held.id]);
    let late = settle_one(&store, &worker, &held, success(), at(6)).await?;
    assert!(matches!(late, Settled::Fenced { .. }), "{late:?}");
    let back = read(&store, held.id).await?;
    assert_eq!((back.status, back.queued_because), (Status::Queued, QueuedBecause::Rescue));
    assert_eq!((back.attempts, back.misses), (0, 0), "the job could do nothing about it");
    let told = detail(&store, held.id).await?;
    let kind = told.attempts[0].error.as_ref().map(|error| error.kind.as_str());
    assert_eq!(
        (told.attempts[0].outcome.as_str(), told.attempts[0].lease, kind),
        ("lost", held.lease, Some("restored"))
    );
    assert_eq!(read(&store, old).await?.status, Status::Failed);
    assert!(take_back(store.as_ref(), &RescuePolicy::default(), at(6)).await?.is_empty());
    // Who comes now works as ever, under a fence that nobody of before can have been given.
    let fresh = register(&store, "worker-00000002", at(7)).await?;
    let again = claim_one(&store, &fresh, at(7)).await?;
    assert!(again.lease.0 >= FIRST_BASE, "{:?}", again.lease);
    assert_eq!(settle_one(&store, &fresh, &again, success(), at(8)).await?, Settled::Applied);
    Ok(())
}

pub async fn a_copy_of_a_restored_copy_has_higher_fences_again(store: Arc<dyn Store>) -> Result<()> {
    enqueue(&store, job("email"), at(0)).await?;
    let mut leases = Vec::new();
    for round in 1..=3 {
        store.begin_anew(0, at(round * 10)).await?;
        take_back(store.as_ref(), &RescuePolicy::default(), at(round * 10)).await?;
        let worker = register(&store, &format!("worker-0000000{round}"), at(round * 10)).await?;
        leases.push(claim_one(&store, &worker, at(round * 10)).await?.lease.0);
    }
    assert_eq!(store.epoch().await?, 3);
    // Copies of one database, restored in its place again and again.
    store.begin_anew(7, at(40)).await?;
    assert_eq!(store.epoch().await?, 8);
    assert!(leases.iter().zip(1_i64..).all(|(lease, round)| *lease >= round * FIRST_BASE), "{leases:?}");
    Ok(())
}

pub async fn what_was_running_in_a_copy_goes_by_what_was_decided_for_every_loss(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    store.begin_anew(0, at(5)).await?;
    let policy = RescuePolicy { on_lost: OnLost::Fail.into(), ..RescuePolicy::default() };
    take_back(store.as_ref(), &policy, at(5)).await?;
    assert_eq!(read(&store, held.id).await?.status, Status::Failed);
    let late = settle_one(&store, &worker, &held, failure("late"), at(6)).await?;
    assert!(matches!(late, Settled::Fenced { .. }), "{late:?}");
    Ok(())
}

pub async fn a_job_on_its_last_attempt_is_not_dead_because_of_a_restore(store: Arc<dyn Store>) -> Result<()> {
    let last = NewJob { max_attempts: 1, ..job("email") };
    let (_, held) = running(&store, "worker-00000001", last, at(0)).await?;
    store.begin_anew(0, at(5)).await?;
    take_back(store.as_ref(), &RescuePolicy::default(), at(5)).await?;
    assert_eq!(read(&store, held.id).await?.status, Status::Queued);
    Ok(())
}

pub async fn somebody_else_goes_on_at_once_with_what_was_going_on_in_a_copy(
    store: Arc<dyn Store>,
) -> Result<()> {
    let new = NewOperation {
        id: Uuid::now_v7(),
        action: BulkAction::Delete,
        filter: BulkFilter::default(),
        dry_run: false,
    };
    store.put_operation(&new, &by(), at(0)).await?;
    store.take_operation("before", TURN, at(1)).await?.context("a turn")?;
    assert!(store.lead_schedules("before", TURN, at(1)).await?);
    store.sign_housekeeper("before", at(1)).await?;
    store.begin_anew(0, at(2)).await?;
    assert!(store.scheduler(at(2)).await?.is_none(), "who fired schedules where the copy was made");
    assert!(store.housekeeper().await?.is_none(), "who kept house where the copy was made");
    assert!(store.lead_schedules("now", TURN, at(2)).await?);
    assert_eq!(store.take_operation("now", TURN, at(2)).await?.map(|taken| taken.id), Some(new.id));
    Ok(())
}

pub async fn who_kept_house_last_is_known_and_when(store: Arc<dyn Store>) -> Result<()> {
    assert_eq!(store.housekeeper().await?, None);
    store.sign_housekeeper("a:1", at(1)).await?;
    store.sign_housekeeper("b:2", at(60)).await?;
    let last = store.housekeeper().await?.context("somebody")?;
    assert_eq!((last.by.as_str(), Now::Fixed(last.at)), ("b:2", at(60)));
    Ok(())
}

pub async fn a_worker_that_had_ended_before_the_copy_keeps_its_end(store: Arc<dyn Store>) -> Result<()> {
    let left = register(&store, "worker-00000001", at(0)).await?;
    store.leave(&left, "done for today", at(1)).await?;
    assert_eq!(store.begin_anew(0, at(5)).await?, [] as [WorkerId; 0]);
    let seen = store.workers(at(6)).await?;
    assert_eq!(seen[0].end_reason.as_deref(), Some("done for today"));
    Ok(())
}
