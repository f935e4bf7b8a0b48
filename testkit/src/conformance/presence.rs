//! Workers that have lost the connection that they hold: suspect, which by itself takes nothing from them.

use std::sync::Arc;

use anyhow::Result;
use jiff::Timestamp;
use jobforge_core::job::WorkerId;
use jobforge_core::rescue::{RescuePolicy, plan};
use jobforge_core::time::Now;
use jobforge_store::Store;

use crate::fixtures::{at, claim, enqueue, job, moment, register_for, s};

async fn suspect_since(store: &Arc<dyn Store>, worker: &WorkerId, now: Now) -> Result<Option<Timestamp>> {
    let row = store.workers(now).await?.into_iter().find(|row| row.id == *worker);
    Ok(row.expect("listed").suspect_at)
}

pub async fn a_worker_that_has_lost_its_connection_is_suspect_until_it_renews(
    store: Arc<dyn Store>,
) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    assert_eq!(
        store.mark_suspect(std::slice::from_ref(&worker), at(3)).await?,
        std::slice::from_ref(&worker)
    );
    assert_eq!(store.mark_suspect(std::slice::from_ref(&worker), at(4)).await?, [], "it was known");
    assert_eq!(suspect_since(&store, &worker, at(4)).await?, Some(moment(3)));
    assert!(store.renew(&worker, false, None, at(5)).await?.is_some());
    assert_eq!(suspect_since(&store, &worker, at(5)).await?, None);
    Ok(())
}

pub async fn only_workers_that_are_active_become_suspect(store: Arc<dyn Store>) -> Result<()> {
    let left = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    store.leave(&left, "done", at(1)).await?;
    let unknown = WorkerId("worker-0badbad0".to_owned());
    assert_eq!(store.mark_suspect(&[left.clone(), unknown], at(2)).await?, []);
    assert_eq!(suspect_since(&store, &left, at(2)).await?, None);
    Ok(())
}

pub async fn only_jobs_of_fast_types_are_found_before_the_lease_of_a_suspect_worker_ends(
    store: Arc<dyn Store>,
) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let fast = enqueue(&store, job("thumbnail"), at(0)).await?;
    enqueue(&store, job("billing"), at(0)).await?;
    assert_eq!(claim(&store, &worker, 2, at(0)).await?.len(), 2);
    store.mark_suspect(std::slice::from_ref(&worker), at(3)).await?;
    let policy = RescuePolicy { fast: vec!["thumbnail".to_owned()], ..RescuePolicy::default() };
    let page = store.suspects(&policy.fast, 10, at(9)).await?;
    assert_eq!(page.suspects.len(), 0, "it may be back in a moment");
    let page = store.suspects(&policy.fast, 10, at(10)).await?;
    let report = store.apply_rescues(&plan(&page, &policy), at(10)).await?;
    assert_eq!(report.moved, [fast]);
    assert_eq!(store.suspects(&policy.fast, 10, at(10)).await?.suspects.len(), 0);
    assert_eq!(store.suspects(&policy.fast, 10, at(21)).await?.suspects.len(), 1, "its lease has ended");
    Ok(())
}
