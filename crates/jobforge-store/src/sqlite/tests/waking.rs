//! Events within the process, and from other processes on the same file.

use std::time::Duration;

use jobforge_core::time::Now;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::timeout;

use super::{Scratch, job, migrated};
use crate::rows::WakeEvent;
use crate::traits::{Enqueue, Wake};

/// Another process is noticed within a tenth of a second; a busy machine may take longer.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_batch_into_one_queue_is_one_event() {
    let scratch = Scratch::new();
    let store = migrated(&scratch).await;
    let mut events = store.subscribe();
    store.enqueue(&[job("1"), job("2"), job("3")], Now::Database).await.expect("enqueue");
    let event = timeout(SOON, events.recv()).await.expect("in time").expect("event");
    assert_eq!(event, WakeEvent::Work { queue: "default".to_owned() });
    // The writer answers before it looks for others' commits; its own must not be taken for one.
    store.enqueue(&[], Now::Database).await.expect("nothing");
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
}

#[tokio::test]
async fn what_another_process_commits_wakes_everybody() {
    let scratch = Scratch::new();
    let (store, other) = (migrated(&scratch).await, migrated(&scratch).await);
    let mut events = store.subscribe();
    // The first look only remembers the file's version, so the other one commits until it is heard.
    let heard = async {
        loop {
            other.enqueue(&[job("{}")], Now::Database).await.expect("enqueue");
            if let Ok(event) = timeout(Duration::from_millis(500), events.recv()).await {
                return event.expect("event");
            }
        }
    };
    assert_eq!(timeout(SOON, heard).await.expect("in time"), WakeEvent::Everything);
}
