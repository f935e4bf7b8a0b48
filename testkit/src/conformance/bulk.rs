//! Many jobs at once: the ways for bulk keep every promise of the way for one.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::job::NewJob;
use jobforge_core::payload::Payload;
use jobforge_core::settle::RetryPolicy;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_store::rows::JobFilter;
use jobforge_store::{Store, StoreError};

use crate::fixtures::{at, claim, enqueue, job, json, keyed, read, register, s};

/// Above the size from which an engine may switch to its way for bulk.
const BULK: usize = 5000;

pub async fn a_bulk_batch_is_enqueued_whole_and_in_order(store: Arc<dyn Store>) -> Result<()> {
    let batch: Vec<NewJob> = (0..BULK)
        .map(|n| NewJob {
            payload: json(&format!("{{\"n\":{n},\"text\":\"tab\\t, comma, \\\\N \\\"quoted\\\"\"}}")),
            tags: vec![format!("n{n}")],
            timeout: (n % 2 == 0).then(|| s(30)),
            idempotency_key: (n % 3 == 0).then(|| format!("k-{n}")),
            ..job("bulk")
        })
        .collect();
    let answer = store.enqueue(&batch, at(0)).await?;
    assert_eq!(answer.len(), BULK);
    assert!(batch.iter().zip(&answer).all(|(new, told)| told.id == new.id && told.created));
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let mut claimed = Vec::new();
    while claimed.len() < BULK {
        let page = claim(&store, &worker, 1000, at(0)).await?;
        assert!(!page.is_empty(), "only {} of {BULK} jobs could be claimed", claimed.len());
        claimed.extend(page);
    }
    for (new, job) in batch.iter().zip(&claimed) {
        assert_eq!((job.id, &job.tags, job.timeout), (new.id, &new.tags, new.timeout));
        assert!(job.payload.same_as(&new.payload));
    }
    let again = store.enqueue(&batch[..1500], at(1)).await?;
    assert!(again.iter().all(|told| !told.created), "a repeated bulk batch creates nothing");
    Ok(())
}

pub async fn a_bulk_batch_on_the_databases_own_clock_keeps_every_field(store: Arc<dyn Store>) -> Result<()> {
    let awkward = "tab\t newline\n return\r back\\slash \\N \"quote\" {brace} comma, ü €";
    let batch: Vec<NewJob> = (0..BULK)
        .map(|n| NewJob {
            payload: Payload::from_value(&serde_json::json!({ "n": n, "text": awkward })).expect("valid"),
            tags: if n % 2 == 0 { vec![format!("n{n}"), "a \"b\" {c}, \\d".to_owned()] } else { Vec::new() },
            timeout: (n % 3 == 0).then(|| s(30)),
            created_by: (n % 5 == 0).then(|| awkward.to_owned()),
            retry: (n % 7 == 0).then(RetryPolicy::default),
            traceparent: (n % 11 == 0)
                .then(|| "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            priority: (n % 13) as i16 - 6,
            ..job("bulk")
        })
        .collect();
    let answer = store.enqueue(&batch, Now::Database).await?;
    assert!(batch.iter().zip(&answer).all(|(new, told)| told.id == new.id && told.created));
    for new in batch.iter().step_by(97) {
        let stored = read(&store, new.id).await?;
        assert!(stored.payload.same_as(&new.payload));
        assert_eq!(
            (&stored.tags, stored.timeout, &stored.created_by),
            (&new.tags, new.timeout, &new.created_by)
        );
        assert_eq!(
            (stored.retry, &stored.traceparent, stored.priority),
            (new.retry, &new.traceparent, new.priority)
        );
        assert_eq!((stored.status, stored.run_at), (Status::Queued, stored.created_at));
    }
    register(&store, "worker-00000001", Now::Database).await?;
    let queues = store.queues(Now::Database).await?;
    assert_eq!(queues.iter().map(|queue| queue.ready).sum::<u64>(), BULK as u64);
    Ok(())
}

pub async fn a_bulk_batch_sent_again_on_the_databases_own_clock_creates_nothing(
    store: Arc<dyn Store>,
) -> Result<()> {
    let batch: Vec<NewJob> = (0..BULK).map(|_| job("bulk")).collect();
    store.enqueue(&batch[..10], Now::Database).await?;
    let again = store.enqueue(&batch, Now::Database).await?;
    assert_eq!(again.iter().filter(|told| told.created).count(), BULK - 10);
    let mut taken = batch.clone();
    taken[BULK - 1].payload = json("[1]");
    taken[0] = job("bulk");
    let refused = store.enqueue(&taken, Now::Database).await;
    assert!(
        matches!(refused, Err(StoreError::DuplicateId(id)) if id == batch[BULK - 1].id),
        "got {refused:?}"
    );
    assert!(store.job(taken[0].id).await?.is_none(), "nothing of the refused batch");
    Ok(())
}

pub async fn a_bulk_batch_with_one_conflict_enqueues_nothing(store: Arc<dyn Store>) -> Result<()> {
    enqueue(&store, keyed("k", "1"), at(0)).await?;
    let mut batch: Vec<NewJob> = (0..BULK).map(|_| job("bulk")).collect();
    batch[BULK - 1] = keyed("k", "2");
    let refused = store.enqueue(&batch, at(1)).await;
    assert!(matches!(refused, Err(StoreError::IdempotencyConflict { .. })), "got {refused:?}");
    let left = store.jobs(&JobFilter { limit: 10, ..JobFilter::default() }).await?;
    assert_eq!(left.len(), 1, "nothing of the refused batch");
    Ok(())
}
