//! Leases that become longer and shorter while a worker lives: what it was given, nobody takes away before its time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use jobforge_core::job::WorkerId;
use jobforge_core::worker::{LeaseWish, NewWorker};
use jobforge_store::Store;

use crate::fixtures::{at, moment, new_worker, register_for, s};

/// Renews with this lease; returns the one that was given.
async fn renew(
    store: &Arc<dyn Store>,
    worker: &WorkerId,
    lease: Option<Duration>,
    second: i64,
) -> Result<Duration> {
    let wish = lease.map(|lease| LeaseWish { lease, scales: false });
    Ok(store.renew(worker, false, wish, at(second)).await?.expect("it has its lease").lease)
}

/// Until when others wait.
async fn until(store: &Arc<dyn Store>, worker: &WorkerId, second: i64) -> Result<Timestamp> {
    let workers = store.workers(at(second)).await?;
    Ok(workers.into_iter().find(|row| row.id == *worker).expect("listed").lease_expires_at)
}

pub async fn a_longer_lease_lasts_from_the_renewal_that_asks_for_it(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    assert_eq!(renew(&store, &worker, Some(s(60)), 5).await?, s(60));
    assert_eq!(until(&store, &worker, 5).await?, moment(65));
    assert_eq!(store.expire_workers(u32::MAX, at(64)).await?, []);
    assert_eq!(renew(&store, &worker, None, 30).await?, s(60), "it stays so");
    assert_eq!(store.expire_workers(u32::MAX, at(91)).await?, [worker]);
    Ok(())
}

pub async fn a_shorter_lease_takes_nothing_from_the_one_that_was_given(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(60), at(0)).await?;
    for (second, others_wait_until) in [(5, 60), (10, 60), (39, 60), (45, 65), (50, 70)] {
        assert_eq!(renew(&store, &worker, Some(s(20)), second).await?, s(20), "what it may count on");
        assert_eq!(until(&store, &worker, second).await?, moment(others_wait_until), "at {second} s");
    }
    assert_eq!(store.expire_workers(u32::MAX, at(71)).await?, [worker]);
    Ok(())
}

pub async fn a_lease_that_shrinks_with_the_fleet_takes_nothing_either(store: Arc<dyn Store>) -> Result<()> {
    let grows = NewWorker { lease: s(20), lease_scales: true, ..new_worker("worker-00000001") };
    store.register(&grows, at(0)).await?;
    store.set_least_lease(s(50), at(1)).await?;
    assert_eq!(renew_as_it_is(&store, &grows.id, 2).await?, s(50));
    store.set_least_lease(s(0), at(3)).await?;
    assert_eq!(renew_as_it_is(&store, &grows.id, 4).await?, s(20));
    assert_eq!(until(&store, &grows.id, 4).await?, moment(52));
    assert_eq!(renew_as_it_is(&store, &grows.id, 40).await?, s(20));
    assert_eq!(until(&store, &grows.id, 40).await?, moment(60));
    Ok(())
}

async fn renew_as_it_is(store: &Arc<dyn Store>, worker: &WorkerId, second: i64) -> Result<Duration> {
    Ok(store.renew(worker, false, None, at(second)).await?.expect("it has its lease").lease)
}

pub async fn a_whole_lease_is_the_one_that_was_given_last(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(60), at(0)).await?;
    renew(&store, &worker, Some(s(20)), 1).await?;
    // The worker may not have heard of the shorter one.
    assert_eq!(store.extend_leases(at(30)).await?, 1);
    assert_eq!(until(&store, &worker, 30).await?, moment(89));
    store.renew_all_times(at(10)).await?;
    assert_eq!(until(&store, &worker, 10).await?, moment(69));
    Ok(())
}

pub async fn a_lease_lasts_no_longer_than_it_was_given_for_when_the_clock_is_set_back(
    store: Arc<dyn Store>,
) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(1000)).await?;
    renew(&store, &worker, Some(s(20)), 1005).await?;
    assert_eq!(renew(&store, &worker, Some(s(20)), 10).await?, s(20));
    assert_eq!(until(&store, &worker, 10).await?, moment(30));
    Ok(())
}

pub async fn whether_a_lease_may_grow_is_said_with_each_renewal(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    store.set_least_lease(s(50), at(1)).await?;
    let mut lasts = Vec::new();
    for (second, scales) in [(2, false), (3, true), (4, false)] {
        let wish = LeaseWish { lease: s(30), scales };
        lasts.push(store.renew(&worker, false, Some(wish), at(second)).await?.expect("renewed").lease);
    }
    assert_eq!(lasts, [s(30), s(50), s(30)]);
    assert_eq!(until(&store, &worker, 4).await?, moment(53));
    Ok(())
}
