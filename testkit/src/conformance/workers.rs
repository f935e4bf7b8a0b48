//! Worker incarnations: their lease, and that it cannot be had back once it has run out.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::job::WorkerId;
use jobforge_core::worker::{NewWorker, WorkerRow, WorkerState};
use jobforge_store::Store;

use crate::fixtures::{at, claim, enqueue, job, moment, new_worker, register, register_for, s};

async fn row(store: &Arc<dyn Store>, id: &WorkerId, seconds: i64) -> Result<Option<WorkerRow>> {
    Ok(store.workers(at(seconds)).await?.into_iter().find(|worker| worker.id == *id))
}

pub async fn a_registered_worker_is_live_and_known_in_every_field(store: Arc<dyn Store>) -> Result<()> {
    let new = NewWorker {
        name: Some("Büro 3".to_owned()),
        hostname: "node-7.example.org".to_owned(),
        pid: u32::MAX,
        queues: vec!["mail".to_owned(), "a,b {c}".to_owned()],
        types: Some(vec!["email.send".to_owned()]),
        slots: 32,
        lease: s(20),
        registered_by: Some("1f2e3d4c5b6a7980".to_owned()),
        ..new_worker("worker-00000001")
    };
    assert!(store.worker(&new.id).await?.is_none());
    store.register(&new, at(5)).await?;
    let stored = row(&store, &new.id, 5).await?.expect("the worker is listed");
    let alone = store.worker(&new.id).await?.expect("the worker is found");
    assert_eq!(format!("{alone:?}"), format!("{stored:?}"));
    assert_eq!(stored.registered_by, new.registered_by);
    assert_eq!((stored.name, stored.hostname, stored.pid), (new.name, new.hostname, new.pid));
    assert_eq!((stored.queues, stored.types, stored.slots), (new.queues, new.types, new.slots));
    assert_eq!(
        (stored.state, stored.started_at, stored.last_heartbeat_at),
        (WorkerState::Live, moment(5), moment(5))
    );
    assert_eq!((stored.lease_expires_at, stored.ended_at, stored.end_reason), (moment(25), None, None));
    Ok(())
}

pub async fn no_types_is_not_the_same_as_every_type(store: Arc<dyn Store>) -> Result<()> {
    let every = register(&store, "worker-00000001", at(0)).await?;
    store.register(&NewWorker { types: Some(Vec::new()), ..new_worker("worker-00000002") }, at(0)).await?;
    let none = WorkerId("worker-00000002".to_owned());
    assert_eq!(row(&store, &every, 0).await?.expect("listed").types, None);
    assert_eq!(row(&store, &none, 0).await?.expect("listed").types, Some(Vec::new()));
    Ok(())
}

pub async fn a_renewal_starts_the_lease_again(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    for seconds in [5, 10, 29, 48] {
        assert!(store.renew(&worker, false, None, at(seconds)).await?.is_some(), "at {seconds} s");
    }
    let stored = row(&store, &worker, 48).await?.expect("listed");
    assert_eq!((stored.last_heartbeat_at, stored.lease_expires_at), (moment(48), moment(68)));
    Ok(())
}

pub async fn a_lease_that_may_grow_is_as_long_as_the_fleet_needs(store: Arc<dyn Store>) -> Result<()> {
    let grows = NewWorker { lease: s(20), lease_scales: true, ..new_worker("worker-00000001") };
    store.register(&grows, at(0)).await?;
    let fixed = register_for(&store, "worker-00000002", s(20), at(0)).await?;
    let lasts = async |worker: &WorkerId, second| {
        let renewal = store.renew(worker, false, None, at(second)).await?.expect("it has its lease");
        let until = row(&store, worker, second).await?.expect("listed").lease_expires_at;
        assert!(until >= moment(second) + renewal.lease, "what it is told is stored");
        anyhow::Ok(renewal.lease)
    };
    assert_eq!(store.survey(at(1)).await?.least_lease, s(0));
    assert_eq!((lasts(&grows.id, 1).await?, lasts(&fixed, 1).await?), (s(20), s(20)));
    store.set_least_lease(s(50), at(2)).await?;
    assert_eq!(store.survey(at(2)).await?.least_lease, s(50));
    assert_eq!((lasts(&grows.id, 2).await?, lasts(&fixed, 2).await?), (s(50), s(20)));
    store.set_least_lease(s(0), at(3)).await?;
    assert_eq!(lasts(&grows.id, 3).await?, s(20));
    Ok(())
}

pub async fn a_lease_that_has_run_out_cannot_be_renewed(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    enqueue(&store, job("email"), at(0)).await?;
    assert!(store.renew(&worker, false, None, at(21)).await?.is_none(), "before anybody noticed");
    assert!(store.renew(&worker, false, None, at(22)).await?.is_none(), "the refusal itself renews nothing");
    store.expire_workers(u32::MAX, at(23)).await?;
    assert!(store.renew(&worker, false, None, at(24)).await?.is_none(), "after it was marked");
    assert_eq!(claim(&store, &worker, 1, at(24)).await?.len(), 0);
    let stored = row(&store, &worker, 24).await?.expect("listed");
    assert_eq!(
        (stored.state, stored.ended_at, stored.lease_expires_at),
        (WorkerState::Lost, Some(moment(23)), moment(20))
    );
    assert!(stored.end_reason.is_some());
    Ok(())
}

pub async fn only_workers_whose_lease_ran_out_are_expired_and_each_once(store: Arc<dyn Store>) -> Result<()> {
    let short = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let draining = register_for(&store, "worker-00000002", s(20), at(0)).await?;
    let left = register_for(&store, "worker-00000003", s(20), at(0)).await?;
    register(&store, "worker-00000004", at(0)).await?;
    assert!(store.renew(&draining, true, None, at(1)).await?.is_some());
    store.leave(&left, "done", at(1)).await?;
    assert_eq!(store.expire_workers(u32::MAX, at(20)).await?, [], "on its last moment the lease still holds");
    assert_eq!(store.expire_workers(u32::MAX, at(21)).await?, [short]);
    assert_eq!(
        store.expire_workers(u32::MAX, at(22)).await?,
        [draining],
        "a draining worker must renew like any other"
    );
    assert_eq!(store.expire_workers(u32::MAX, at(23)).await?, []);
    Ok(())
}

pub async fn a_draining_worker_renews_and_stays_draining(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    assert!(store.renew(&worker, true, None, at(5)).await?.is_some());
    assert_eq!(row(&store, &worker, 5).await?.expect("listed").state, WorkerState::Draining);
    assert!(store.renew(&worker, false, None, at(20)).await?.is_some());
    let stored = row(&store, &worker, 20).await?.expect("listed");
    assert_eq!((stored.state, stored.lease_expires_at), (WorkerState::Draining, moment(40)));
    Ok(())
}

pub async fn a_worker_that_left_says_why_and_cannot_come_back(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    store.leave(&worker, "deploy", at(7)).await?;
    store.leave(&worker, "again", at(8)).await?;
    assert!(store.renew(&worker, false, None, at(9)).await?.is_none());
    let stored = row(&store, &worker, 9).await?.expect("listed");
    assert_eq!((stored.state, stored.ended_at), (WorkerState::Gone, Some(moment(7))));
    assert_eq!(stored.end_reason.as_deref(), Some("deploy"), "the first word counts");
    let unknown = WorkerId("worker-0badbad0".to_owned());
    assert!(store.renew(&unknown, false, None, at(9)).await?.is_none());
    store.leave(&unknown, "never was", at(9)).await?;
    Ok(())
}

pub async fn ended_workers_are_listed_for_a_day(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    store.leave(&worker, "done", at(10)).await?;
    assert!(row(&store, &worker, 86_400).await?.is_some());
    assert!(row(&store, &worker, 86_500).await?.is_none());
    Ok(())
}
