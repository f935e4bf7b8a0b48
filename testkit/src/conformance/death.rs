//! Proof of death: who is dead, who is not, and that the jobs of the dead run again at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::death::{Death, DeathReport, Place, ProcessId, Proof, Slot};
use jobforge_core::job::{ClaimedJob, NewJob, QueuedBecause, WorkerId};
use jobforge_core::rescue::{OnLost, RescuePolicy, WORKER_DIED};
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::{NewWorker, WorkerRow, WorkerState};
use jobforge_store::Store;
use jobforge_store::rows::Deaths;

use crate::fixtures::{
    at, claim, claim_one, detail, enqueue, job, moment, new_worker, next, read, s, settle_one, success,
};

/// Process `pid` of one machine.
pub(super) fn process(pid: u32) -> ProcessId {
    ProcessId {
        machine_id: "machine-a".to_owned(),
        boot_id: "boot-1".to_owned(),
        pid_namespace: 4_026_531_836,
        pid,
        started: 7,
    }
}

pub(super) fn without_slot(pid: u32) -> Place {
    Place { process: process(pid), up_for: s(100), slot: None }
}

fn killed() -> Death {
    let proof = Proof::Signaled { signal: 9, name: "SIGKILL".to_owned(), oom_kills: None };
    Death::new(proof, ["allocating".to_owned(), "still allocating".to_owned()])
}

fn in_slot(process: ProcessId, up_for: Duration) -> Place {
    let policy = RescuePolicy::default();
    let slot = Slot { name: "mail".to_owned(), id: "slot-file-1".to_owned(), policy };
    Place { process, up_for, slot: Some(slot) }
}

pub(super) async fn register_at(store: &Arc<dyn Store>, id: &str, place: Place, now: Now) -> Result<Deaths> {
    let pid = place.process.pid;
    Ok(store.register(&NewWorker { pid, place: Some(place), ..new_worker(id) }, now).await?)
}

/// A worker in a process of its own, without a slot, that runs one job.
async fn running_in(store: &Arc<dyn Store>, id: &str, pid: u32) -> Result<(WorkerId, ClaimedJob)> {
    register_at(store, id, without_slot(pid), at(0)).await?;
    let worker = WorkerId(id.to_owned());
    enqueue(store, job("email"), at(0)).await?;
    let held = claim_one(store, &worker, at(0)).await?;
    Ok((worker, held))
}

pub(super) async fn report(
    store: &Arc<dyn Store>,
    process: ProcessId,
    policy: &RescuePolicy,
    now: Now,
) -> Result<Deaths> {
    Ok(store.report_death(&DeathReport { process, death: killed() }, policy, now).await?)
}

async fn row(store: &Arc<dyn Store>, id: &WorkerId, seconds: i64) -> Result<WorkerRow> {
    let found = store.workers(at(seconds)).await?.into_iter().find(|worker| worker.id == *id);
    Ok(found.expect("the worker is listed"))
}

pub async fn a_proven_death_takes_the_jobs_back_at_once_with_its_certificate(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, held) = running_in(&store, "worker-00000001", 42).await?;
    let deaths = report(&store, process(42), &RescuePolicy::default(), at(1)).await?;
    assert_eq!(deaths.workers, std::slice::from_ref(&worker));
    assert_eq!(deaths.moved.iter().map(|line| line.id).collect::<Vec<_>>(), [held.id]);
    assert_eq!(deaths.lost_races, []);
    let stored = row(&store, &worker, 1).await?;
    assert_eq!((stored.state, stored.ended_at), (WorkerState::Dead, Some(moment(1))));
    assert_eq!(stored.end_reason.as_deref(), Some("signal 9 (SIGKILL)"));
    assert_eq!((stored.process, stored.slot, stored.death), (Some(process(42)), None, Some(killed())));
    let told = detail(&store, held.id).await?;
    assert_eq!((told.job.status, told.job.queued_because), (Status::Queued, QueuedBecause::Rescue));
    assert_eq!((told.job.misses, told.job.lease, told.job.run_at), (1, next(held.lease), moment(1)));
    let error = told.attempts[0].error.as_ref().expect("an error");
    assert_eq!(error.kind, "worker_lost");
    assert_eq!(error.message, "worker-00000001 on host-a ended while it ran the job: signal 9 (SIGKILL)");
    let certificate = &error.details.as_ref().expect("details")["death"];
    assert_eq!(
        (&certificate["proof"]["signal"], &certificate["last_output"][1]),
        (&9.into(), &"still allocating".into())
    );
    let heir = register(&store, "worker-00000002").await?;
    assert_eq!(claim_one(&store, &heir, at(1)).await?.id, held.id);
    Ok(())
}

async fn register(store: &Arc<dyn Store>, id: &str) -> Result<WorkerId> {
    crate::fixtures::register(store, id, at(1)).await
}

pub async fn the_dead_can_neither_renew_nor_claim_nor_settle(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_in(&store, "worker-00000001", 42).await?;
    report(&store, process(42), &RescuePolicy::default(), at(1)).await?;
    assert!(store.renew(&worker, false, None, at(2)).await?.is_none());
    assert_eq!(claim(&store, &worker, 1, at(2)).await?.len(), 0);
    let fenced = Settled::Fenced { status: Status::Queued, lease: next(held.lease) };
    assert_eq!(settle_one(&store, &worker, &held, success(), at(2)).await?, fenced);
    Ok(())
}

pub async fn a_death_is_told_to_all_incarnations_of_its_process_and_to_no_other(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (first, _) = running_in(&store, "worker-00000001", 42).await?;
    let (second, _) = running_in(&store, "worker-00000002", 42).await?;
    let others = [
        process(43),
        ProcessId { started: 8, ..process(42) },
        ProcessId { pid_namespace: 1, ..process(42) },
        ProcessId { boot_id: "boot-2".to_owned(), ..process(42) },
        ProcessId { machine_id: "machine-b".to_owned(), ..process(42) },
    ];
    for (n, other) in others.into_iter().enumerate() {
        let place = Place { process: other, up_for: s(100), slot: None };
        register_at(&store, &format!("worker-1000000{n}"), place, at(0)).await?;
    }
    let mut deaths = report(&store, process(42), &RescuePolicy::default(), at(1)).await?;
    deaths.workers.sort();
    assert_eq!((deaths.workers, deaths.moved.len()), (vec![first, second], 2));
    let live = store.workers(at(1)).await?.iter().filter(|worker| worker.state == WorkerState::Live).count();
    assert_eq!(live, 5);
    Ok(())
}

pub async fn a_death_reported_again_changes_nothing_more(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_in(&store, "worker-00000001", 42).await?;
    report(&store, process(42), &RescuePolicy::default(), at(1)).await?;
    let heir = register(&store, "worker-00000002").await?;
    let again = claim_one(&store, &heir, at(1)).await?;
    let deaths = report(&store, process(42), &RescuePolicy::default(), at(5)).await?;
    assert!(deaths.moved.is_empty() && deaths.lost_races.is_empty());
    assert_eq!(row(&store, &worker, 5).await?.ended_at, Some(moment(1)));
    assert_eq!((again.id, read(&store, held.id).await?.locked_by), (held.id, Some(heir)));
    Ok(())
}

pub async fn who_left_in_good_order_is_not_dead_but_what_it_still_held_is_taken_back(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, held) = running_in(&store, "worker-00000001", 42).await?;
    store.leave(&worker, "deploy", at(1)).await?;
    let deaths = report(&store, process(42), &RescuePolicy::default(), at(2)).await?;
    assert_eq!((deaths.moved.len(), deaths.moved[0].id), (1, held.id));
    let stored = row(&store, &worker, 2).await?;
    assert_eq!(
        (stored.state, stored.end_reason.as_deref(), stored.death),
        (WorkerState::Gone, Some("deploy"), None)
    );
    Ok(())
}

pub async fn silence_that_turns_out_to_be_death_gets_its_proof(store: Arc<dyn Store>) -> Result<()> {
    let worker = NewWorker { lease: s(20), place: Some(without_slot(42)), ..new_worker("worker-00000001") };
    store.register(&worker, at(0)).await?;
    store.expire_workers(u32::MAX, at(21)).await?;
    report(&store, process(42), &RescuePolicy::default(), at(30)).await?;
    let stored = row(&store, &worker.id, 30).await?;
    assert_eq!(
        (stored.state, stored.ended_at, stored.death),
        (WorkerState::Dead, Some(moment(21)), Some(killed()))
    );
    Ok(())
}

pub async fn the_policy_for_lost_jobs_holds_for_the_dead(store: Arc<dyn Store>) -> Result<()> {
    let (_, fails) = running_in(&store, "worker-00000001", 42).await?;
    let policy = RescuePolicy { on_lost: OnLost::Fail.into(), ..RescuePolicy::default() };
    report(&store, process(42), &policy, at(1)).await?;
    let failed = read(&store, fails.id).await?;
    assert_eq!(
        (failed.status, failed.error.expect("an error").message.as_str()),
        (Status::Failed, WORKER_DIED)
    );
    let (_, dies) = running_in(&store, "worker-00000002", 43).await?;
    let policy = RescuePolicy { max_misses: 1, ..RescuePolicy::default() };
    report(&store, process(43), &policy, at(2)).await?;
    assert_eq!(read(&store, dies.id).await?.status, Status::Dead);
    Ok(())
}

pub async fn a_process_of_more_jobs_than_a_page_loses_them_all(store: Arc<dyn Store>) -> Result<()> {
    let (worker, _) = running_in(&store, "worker-00000001", 42).await?;
    let batch: Vec<NewJob> = (0..600).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    assert_eq!(claim(&store, &worker, 600, at(0)).await?.len(), 600);
    let deaths = report(&store, process(42), &RescuePolicy::default(), at(1)).await?;
    assert_eq!((deaths.moved.len(), deaths.lost_races.len()), (601, 0));
    Ok(())
}

pub async fn the_next_holder_of_a_slot_proves_the_last_one_dead(store: Arc<dyn Store>) -> Result<()> {
    register_at(&store, "worker-00000001", in_slot(process(42), s(100)), at(0)).await?;
    let (first, elsewhere) = (WorkerId("worker-00000001".to_owned()), "worker-00000009");
    let mut other = in_slot(process(50), s(100));
    other.slot.as_mut().expect("a slot").id = "slot-file-2".to_owned();
    register_at(&store, elsewhere, other, at(0)).await?;
    let id = enqueue(&store, job("email"), at(0)).await?;
    claim_one(&store, &first, at(0)).await?;
    let deaths = register_at(&store, "worker-00000002", in_slot(process(43), s(101)), at(1)).await?;
    assert_eq!((deaths.workers, deaths.moved[0].id), (vec![first.clone()], id));
    let stored = row(&store, &first, 1).await?;
    assert_eq!((stored.state, stored.slot.as_deref()), (WorkerState::Dead, Some("mail")));
    assert_eq!(stored.end_reason.as_deref(), Some("successor holds slot mail"));
    assert_eq!(row(&store, &WorkerId(elsewhere.to_owned()), 1).await?.state, WorkerState::Live);
    let heir = WorkerId("worker-00000002".to_owned());
    assert_eq!(claim_one(&store, &heir, at(1)).await?.id, id);
    Ok(())
}

pub async fn a_process_that_registers_anew_proves_nothing_against_itself(
    store: Arc<dyn Store>,
) -> Result<()> {
    register_at(&store, "worker-00000001", in_slot(process(42), s(100)), at(0)).await?;
    let deaths = register_at(&store, "worker-00000002", in_slot(process(42), s(101)), at(1)).await?;
    assert_eq!(deaths.workers, []);
    assert_eq!(row(&store, &WorkerId("worker-00000001".to_owned()), 1).await?.state, WorkerState::Live);
    Ok(())
}

pub async fn another_boot_proves_those_before_it_dead(store: Arc<dyn Store>) -> Result<()> {
    register_at(&store, "worker-00000001", in_slot(process(42), s(100)), at(0)).await?;
    let after = ProcessId { boot_id: "boot-2".to_owned(), ..process(42) };
    let deaths = register_at(&store, "worker-00000002", in_slot(after, s(5)), at(60)).await?;
    let first = WorkerId("worker-00000001".to_owned());
    assert_eq!(deaths.workers, std::slice::from_ref(&first));
    assert_eq!(row(&store, &first, 60).await?.end_reason.as_deref(), Some("boot id changed"));
    Ok(())
}

pub async fn who_was_heard_since_this_boot_is_another_machine(store: Arc<dyn Store>) -> Result<()> {
    register_at(&store, "worker-00000001", in_slot(process(42), s(100)), at(0)).await?;
    let clone = ProcessId { boot_id: "boot-2".to_owned(), ..process(42) };
    // The clone's kernel has been up for longer than the other worker is silent.
    let deaths = register_at(&store, "worker-00000002", in_slot(clone, s(5)), at(4)).await?;
    assert_eq!(deaths.workers, []);
    assert_eq!(row(&store, &WorkerId("worker-00000001".to_owned()), 4).await?.state, WorkerState::Live);
    Ok(())
}

pub async fn a_host_name_alone_proves_nothing(store: Arc<dyn Store>) -> Result<()> {
    let unknown = crate::fixtures::register(&store, "worker-00000001", at(0)).await?;
    let deaths = register_at(&store, "worker-00000002", in_slot(process(42), s(1)), at(5)).await?;
    assert_eq!(deaths.workers, []);
    assert_eq!(report(&store, process(42), &RescuePolicy::default(), at(6)).await?.workers.len(), 1);
    assert_eq!(row(&store, &unknown, 6).await?.state, WorkerState::Live);
    Ok(())
}

pub async fn a_stopped_process_is_noted_until_it_goes_on_or_renews(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_in(&store, "worker-00000001", 42).await?;
    assert_eq!(store.report_stopped(&process(42), true, at(3)).await?, std::slice::from_ref(&worker));
    assert_eq!(store.report_stopped(&process(42), true, at(5)).await?, std::slice::from_ref(&worker));
    assert_eq!(row(&store, &worker, 5).await?.stopped_at, Some(moment(3)), "since the first report");
    assert_eq!(read(&store, held.id).await?.status, Status::Running, "it takes nothing away");
    store.report_stopped(&process(42), false, at(6)).await?;
    assert_eq!(row(&store, &worker, 6).await?.stopped_at, None);
    store.report_stopped(&process(42), true, at(7)).await?;
    assert!(store.renew(&worker, false, None, at(8)).await?.is_some());
    assert_eq!(row(&store, &worker, 8).await?.stopped_at, None);
    assert_eq!(store.report_stopped(&process(43), true, at(9)).await?, []);
    Ok(())
}
