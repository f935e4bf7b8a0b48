//! How many jobs run at once, in which order, and how many are taken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jobforge::{JobContext, JobError, clock};
use tokio::sync::Semaphore;

use crate::common::{Db, HANG, SELDOM, Task, ended, enqueue, eventually, task};

/// How many jobs of each queue run now, and how many ran at once at most.
#[derive(Default)]
struct Crowd {
    now: Mutex<HashMap<String, (usize, usize)>>,
}

impl Crowd {
    fn enter(&self, queue: &str) {
        let mut now = self.now.lock().unwrap();
        let (here, most) = now.entry(queue.to_owned()).or_default();
        *here += 1;
        *most = (*most).max(*here);
    }

    fn leave(&self, queue: &str) {
        self.now.lock().unwrap().get_mut(queue).unwrap().0 -= 1;
    }

    fn here(&self, queue: &str) -> usize {
        self.now.lock().unwrap().get(queue).map_or(0, |(here, _)| *here)
    }

    fn most(&self, queue: &str) -> usize {
        self.now.lock().unwrap()[queue].1
    }
}

type Run = BoxFuture<'static, Result<(), JobError>>;

/// A handler that is counted while it waits for a permit of `gate`.
fn gated(
    crowd: &Arc<Crowd>,
    gate: &Arc<Semaphore>,
) -> impl Fn(Task, JobContext) -> Run + Send + Sync + 'static + use<> {
    let (crowd, gate) = (Arc::clone(crowd), Arc::clone(gate));
    move |_, ctx| {
        let (crowd, gate) = (Arc::clone(&crowd), Arc::clone(&gate));
        Box::pin(async move {
            let queue = &ctx.job().queue;
            crowd.enter(queue);
            gate.acquire().await?.forget();
            // Long enough to be seen beside the others.
            tokio::time::sleep(Duration::from_millis(5)).await;
            crowd.leave(queue);
            Ok(())
        })
    }
}

async fn no_more_jobs_run_at_once_than_a_queue_has_slots(db: Db) {
    let (crowd, gate) = (Arc::new(Crowd::default()), Arc::new(Semaphore::new(0)));
    let ids = db
        .client
        .enqueue_many((0..40).map(|n| db.client.enqueue(task(n.to_string()))).collect())
        .await
        .unwrap();
    let worker = db.worker().register(gated(&crowd, &gate)).queue("default", 4).poll(SELDOM);
    let worker = worker.start().await.unwrap();
    eventually("all slots are used", || crowd.here("default") == 4).await;
    // Jobs that are not known to be short are not taken ahead: another worker could run them now.
    assert_eq!(worker.stats().held, 4);
    gate.add_permits(40);
    for receipt in ids {
        ended(&db.client, receipt.id).await;
    }
    assert_eq!(crowd.most("default"), 4);
}

async fn long_jobs_are_not_taken_ahead(db: Db) {
    let most_held = Arc::new(AtomicUsize::new(0));
    let long = |_: Task, _: JobContext| async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok(())
    };
    db.client.enqueue_many((0..16).map(|n| db.client.enqueue(task(n.to_string()))).collect()).await.unwrap();
    let worker = db.worker().register(long).queue("default", 2).start().await.unwrap();
    eventually("all have run", || {
        most_held.fetch_max(usize::try_from(worker.stats().held).unwrap(), Ordering::SeqCst);
        worker.stats().settled == 16
    })
    .await;
    assert_eq!(most_held.load(Ordering::SeqCst), 2);
}

async fn queues_have_slots_of_their_own(db: Db) {
    let (crowd, gate) = (Arc::new(Crowd::default()), Arc::new(Semaphore::new(0)));
    let worker = db.worker().register(gated(&crowd, &gate)).queue("mail", 1).queue("video", 3);
    let worker = worker.poll(SELDOM).start().await.unwrap();
    let mut ids = Vec::new();
    for queue in ["mail", "mail", "mail", "video", "video", "video", "video"] {
        ids.push(db.client.enqueue(task("work")).queue(queue).await.unwrap().id);
    }
    eventually("both queues are full", || crowd.here("mail") == 1 && crowd.here("video") == 3).await;
    assert_eq!(worker.stats().held, 4);
    gate.add_permits(7);
    for id in ids {
        ended(&db.client, id).await;
    }
    assert_eq!((crowd.most("mail"), crowd.most("video")), (1, 3));
}

async fn a_busy_queue_is_not_held_up_by_an_idle_one(db: Db) {
    let work = |_: Task, _: JobContext| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    };
    let jobs = (0..6).map(|n| db.client.enqueue(task(n.to_string())).queue("busy")).collect();
    db.client.enqueue_many(jobs).await.unwrap();
    let began = clock::monotonic();
    let worker = db.worker().register(work).queue("busy", 1).queue("idle", 1).poll(SELDOM);
    let worker = worker.start().await.unwrap();
    eventually("all have run", || worker.stats().settled == 6).await;
    let took = clock::monotonic().duration_since(began);
    assert!(took < HANG / 5, "each job waited for a poll: {took:?}");
}

async fn more_urgent_jobs_run_first(db: Db) {
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    let note = move |job: Task, _: JobContext| {
        noted.lock().unwrap().push(job.name);
        // Too long to be taken ahead, so that the database decides about each.
        async {
            tokio::time::sleep(Duration::from_millis(25)).await;
            Ok(())
        }
    };
    let mut ids = Vec::new();
    for (name, priority) in
        [("late", 50), ("normal", 0), ("urgent", -10), ("second", 0), ("most urgent", -100)]
    {
        ids.push(db.client.enqueue(task(name)).priority(priority).await.unwrap().id);
    }
    let _worker = db.worker().register(note).queue("default", 1).start().await.unwrap();
    for id in ids {
        ended(&db.client, id).await;
    }
    assert_eq!(*order.lock().unwrap(), ["most urgent", "urgent", "normal", "second", "late"]);
}

async fn a_queue_that_nobody_asked_for_is_left_alone(db: Db) {
    let work = |_: Task, _: JobContext| async { Ok(()) };
    let other = db.client.enqueue(task("other")).queue("other").await.unwrap().id;
    let _worker = db.worker().register(work).queue("default", 2).start().await.unwrap();
    let own = enqueue(&db.client, "own").await;
    ended(&db.client, own).await;
    assert_eq!(db.client.job(other).await.unwrap().attempts, 0);
}

on_each_engine!(
    no_more_jobs_run_at_once_than_a_queue_has_slots,
    long_jobs_are_not_taken_ahead,
    queues_have_slots_of_their_own,
    a_busy_queue_is_not_held_up_by_an_idle_one,
    more_urgent_jobs_run_first,
    a_queue_that_nobody_asked_for_is_left_alone,
);
