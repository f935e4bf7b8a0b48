//! Group commit: many calls in one transaction, none at another's expense.

use std::sync::{Arc, mpsc};

use jobforge_core::time::Now;
use tokio::task::JoinHandle;

use super::{Scratch, job, migrated};
use crate::error::StoreError;
use crate::rows::JobFilter;
use crate::sqlite::SqliteStore;
use crate::traits::{Enqueue, Inspect};

const CALLERS: usize = 100;

/// Keeps the writer busy until the returned sender is dropped.
async fn hold_writer(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (started, running) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let hold = move |_: &super::super::Tx<'_>| {
            let _ = started.send(());
            let _ = held.recv();
            Ok(())
        };
        store.write("hold", 1, hold).await
    });
    running.await.expect("the writer holds");
    release
}

/// Starts calls one by one so that each is in the channel before the writer goes on.
async fn queue_up<F>(
    store: &Arc<SqliteStore>,
    count: usize,
    call: impl Fn(Arc<SqliteStore>, usize) -> F,
) -> Vec<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let calls = (0..count).map(|i| tokio::spawn(call(Arc::clone(store), i))).collect();
    // On this test's single thread every spawned call runs up to its wait for the answer.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    calls
}

async fn count(store: &SqliteStore) -> usize {
    store.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await.expect("list").len()
}

#[tokio::test]
async fn calls_that_wait_share_one_transaction() {
    let scratch = Scratch::new();
    let store = Arc::new(migrated(&scratch).await);
    let before = store.writer.transactions();
    let release = hold_writer(&store).await;
    let calls =
        queue_up(&store, CALLERS, |store, _| async move { store.enqueue(&[job("{}")], Now::Database).await })
            .await;
    drop(release);
    for call in calls {
        assert!(call.await.expect("join").expect("enqueue")[0].created);
    }
    assert_eq!(store.writer.transactions() - before, 2, "the one that held, and one for all the others");
    assert_eq!(count(&store).await, CALLERS);
}

#[tokio::test]
async fn a_call_that_fails_or_panics_takes_no_other_with_it() {
    let scratch = Scratch::new();
    let store = Arc::new(migrated(&scratch).await);
    let release = hold_writer(&store).await;
    let calls = queue_up(&store, 30, |store, i| async move {
        match i % 3 {
            0 => store.enqueue(&[job("{}")], Now::Database).await.map(drop),
            1 => {
                let twice = job("1");
                let mut other = job("2");
                other.id = twice.id;
                store.enqueue(&[twice, other], Now::Database).await.map(drop)
            }
            _ => store.write("panic", 1, |_| -> crate::Result<()> { panic!("on purpose") }).await,
        }
    })
    .await;
    drop(release);
    for (i, call) in calls.into_iter().enumerate() {
        let outcome = call.await.expect("join");
        match i % 3 {
            0 => outcome.expect("a good call"),
            1 => assert!(matches!(outcome, Err(StoreError::DuplicateId(_)))),
            _ => assert!(matches!(outcome, Err(StoreError::Failed { call: "panic", .. }))),
        }
    }
    assert_eq!(count(&store).await, 10, "all of the good, nothing of the bad");
}

#[tokio::test]
async fn a_call_whose_caller_went_away_is_not_run() {
    let scratch = Scratch::new();
    let store = Arc::new(migrated(&scratch).await);
    let release = hold_writer(&store).await;
    let calls =
        queue_up(
            &store,
            5,
            |store, _| async move { store.enqueue(&[job("{}")], Now::Database).await.map(drop) },
        )
        .await;
    for call in &calls {
        call.abort();
    }
    for call in calls {
        assert!(call.await.expect_err("aborted").is_cancelled());
    }
    drop(release);
    store.enqueue(&[job("{}")], Now::Database).await.expect("enqueue");
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn a_store_in_memory_works_alike() {
    let store = SqliteStore::open_in_memory().expect("open");
    crate::traits::Admin::migrate(&store).await.expect("migrate");
    store.enqueue(&[job("{}")], Now::Database).await.expect("enqueue");
    assert_eq!(count(&store).await, 1);
}
